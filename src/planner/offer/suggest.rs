//! What could be offered: products whose capacity would go unused.

use std::cmp::Reverse;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::smallvec;

use super::first_short;
use super::play::Board;
use super::spread::{Group, groups};
use crate::domain::ask::{Shipments, When};
use crate::domain::bucket::Availability;
use crate::domain::id::ResourceId;
use crate::domain::limits::{MAX_OFFER_ORDERS, MAX_SUGGESTING_PLANS};
use crate::domain::network::{Network, ProcessIdx, Product, ProductIdx, ResourceIdx, SiteIdx, ZoneIdx};
use crate::domain::offer::{Advertised, ZoneShare, spread};
use crate::domain::time::{Day, Moment};
use crate::planner::resolve::ResolvedAsk;

/// What could be sold of one product, and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggested {
    /// Which product.
    pub sku: Arc<str>,
    /// Orders of one item that could all be kept over the whole period.
    pub orders: i64,
    /// The same, day by day from `starts` to `ends`; none on days that are over.
    pub orders_by_day: Vec<i64>,
    /// What stops one more; none: time itself, or nothing up to `MAX_OFFER_ORDERS`.
    pub bottleneck: Option<ResourceId>,
}

/// The products that could be promised to the zone within so many days, most orders first, then by SKU: each by itself, from
/// common capacity, the largest total of one-item orders that can all be kept when it is spread over the days from today on
/// (rule 25), found by doubling and halving. Products of which none can be kept are left out. Products are looked at in the
/// order of the network until `MAX_SUGGESTING_PLANS` plans were made; what was found by then is told.
#[allow(clippy::too_many_arguments)] // one question
pub fn suggest<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    starts: Day,
    ends: Day,
    zone: ZoneIdx,
    within_days: i32,
    limit: usize,
    now: Moment,
) -> Vec<Suggested> {
    let first = starts.max(network.zone(zone).calendar.day_of(now));
    if first > ends || limit == 0 {
        return Vec::new();
    }
    let share = [ZoneShare { zone: Arc::clone(&network.zone(zone).id), billionths: 1_000_000_000 }];
    let days = i64::from(ends.0 - first.0) + 1;
    let of_total = |total: i64| groups(network, &[zone], &share, first, &spread(total, days), now);
    let advertised = Advertised::WithinDays(within_days);
    // Products with the same sources have the same answer.
    let mut alike: FxHashMap<Vec<Way>, Option<Found>> = FxHashMap::default();
    // Most first, at most `limit` of them.
    let mut best: Vec<(Found, ProductIdx)> = Vec::new();
    let mut planned = 0;
    for (at, product) in network.products().iter().enumerate() {
        if planned >= MAX_SUGGESTING_PLANS {
            break;
        }
        let index = ProductIdx::new(at);
        let found = alike.entry(ways(product)).or_insert_with(|| {
            let ask = ResolvedAsk::new(network, &[(index, 1)], zone, When::Any, None, Shipments::Together, smallvec![]);
            if ask.lines[0].candidates.is_empty() {
                return None;
            }
            let mut board = Board::new(network, availability, vec![ask], &[], now);
            // One that can't keep as many as the last of those that are told needs no closer look.
            let least = if best.len() >= limit { best[limit - 1].0.orders } else { 1 };
            let found = most(&mut board, least, advertised, of_total);
            planned += board.planned;
            found
        });
        if let Some(found) = found {
            best.push((found.clone(), index));
            best.sort_by_key(|(found, index)| (Reverse(found.orders), Arc::clone(&network.product(*index).sku)));
            best.truncate(limit);
        }
    }
    let past = usize::try_from(first.0 - starts.0).unwrap_or(0);
    let told = best.into_iter().map(|(found, index)| {
        let mut orders_by_day = vec![0; past];
        orders_by_day.extend(spread(found.orders, days));
        let sku = Arc::clone(&network.product(index).sku);
        Suggested { sku, orders: found.orders, orders_by_day, bottleneck: found.bottleneck }
    });
    told.collect()
}

/// One source of a product.
type Way = (SiteIdx, Option<ResourceIdx>, Option<ProcessIdx>);

fn ways(product: &Product) -> Vec<Way> {
    product.sources.iter().map(|source| (source.site, source.stock, source.process)).collect()
}

#[derive(Clone, Debug)]
struct Found {
    orders: i64,
    bottleneck: Option<ResourceId>,
}

/// The largest total, if it is at least so much.
fn most(
    board: &mut Board<'_>,
    least: i64,
    advertised: Advertised,
    of_total: impl Fn(i64) -> Vec<Group>,
) -> Option<Found> {
    if !board.all_kept(&of_total(least), advertised) {
        return None;
    }
    // `low` can be kept, `high` can't.
    let (mut low, mut high) = (least, least);
    loop {
        if low >= MAX_OFFER_ORDERS {
            return Some(Found { orders: low, bottleneck: None });
        }
        high = high.saturating_mul(2).min(MAX_OFFER_ORDERS);
        if !board.all_kept(&of_total(high), advertised) {
            break;
        }
        low = high;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if board.all_kept(&of_total(middle), advertised) { low = middle } else { high = middle }
    }
    let refused = board.first_refused(&of_total(low + 1), advertised);
    let bottleneck = refused.and_then(|(state, group, verdict)| first_short(board, &state, &group, verdict));
    Some(Found { orders: low, bottleneck })
}
