//! Offers (rules 25 and 27): what of an offer's orders can be kept, and what could be offered.
//!
//! `spread` says which orders are asked when, `play` answers them, `lend` finds what operations would have to add, `suggest`
//! asks the other way round.

mod lend;
mod play;
mod spread;
mod suggest;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use smallvec::SmallVec;

use play::{Board, State, take};
use spread::{Group, groups, scaled};
pub use suggest::{Suggested, suggest};

use super::resolve::{ResolvedAsk, Unknown};
use crate::domain::answer::Verdict;
use crate::domain::ask::{Shipments, When};
use crate::domain::bucket::Availability;
use crate::domain::draw::{Draw, Pool, Take};
use crate::domain::id::ResourceId;
use crate::domain::limits::{MAX_OFFER_PERCENT, MAX_OFFER_PLANS};
use crate::domain::network::{Network, ProductIdx, ResourceIdx, ZoneIdx};
use crate::domain::offer::{Advertised, Offer, OfferDay, OfferReport};
use crate::domain::time::{Day, Moment};

/// A change of supply that is only supposed. Supply never falls below nothing by it; several of one bucket add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supposed {
    /// Which resource.
    pub resource: ResourceIdx,
    /// The first bucket.
    pub first: i32,
    /// How many buckets.
    pub buckets: i32,
    /// Units that each of them has more, or fewer.
    pub delta: i64,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// For people.
    pub report: OfferReport,
    /// What the orders that got a yes draw from common capacity, each bucket once, with its standing units.
    pub envelope: Vec<Take>,
    /// How many orders that is.
    pub orders: i64,
}

/// Plays the offer's orders on the availability of the moment (rule 25): the standing plan reaches as far as it does at `now`,
/// and what is set aside now stays set aside, however late an order is asked.
///
/// # Errors
/// Every name that the network does not know, by its path below `offer`.
pub fn check_offer<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    offer: &Offer,
    supposed: &[Supposed],
    now: Moment,
) -> Result<Checked, Vec<Unknown>> {
    let (asks, zones) = resolve(network, offer)?;
    let mut board = Board::new(network, availability, asks, supposed, now);
    let by_day = offer.orders_by_day();
    let asked = groups(network, &zones, &offer.zones, offer.starts, &by_day, now);
    let first = zones.iter().map(|zone| network.zone(*zone).calendar.day_of(now)).min().unwrap_or(offer.starts);
    let played = play(&mut board, &asked, offer, first.max(offer.starts));
    let orders_asked = asked.iter().map(|group| group.orders).sum();
    let orders: i64 = played.days.iter().map(|day| day.deliverable).sum();
    let verdict = match orders {
        all if all == orders_asked => Verdict::Promised,
        0 => Verdict::Unavailable,
        _ => Verdict::Later,
    };
    let shortfalls =
        if verdict == Verdict::Promised { Vec::new() } else { lend::shortfalls(&mut board, &asked, offer) };
    let tightest_within_days = tightest(&mut board, &asked);
    let deliverable_percent = largest(&mut board, verdict == Verdict::Promised, offer.advertised, |percent| {
        let by_day: Vec<i64> = by_day.iter().map(|orders| scaled(*orders, percent)).collect();
        groups(network, &zones, &offer.zones, offer.starts, &by_day, now)
    });
    let envelope = envelope(&board, &played.state);
    let report = OfferReport {
        verdict,
        orders_asked,
        orders_deliverable: orders,
        days: played.days,
        shortfalls,
        tightest_within_days,
        deliverable_percent,
    };
    Ok(Checked { report, envelope, orders })
}

/// Every name of the offer that the network does not know, by its path below `offer`.
pub fn unknown_of_offer(network: &Network, offer: &Offer) -> Vec<Unknown> {
    resolve(network, offer).err().unwrap_or_default()
}

/// The ask of one order for each zone, without its deadline. The offer's own pool is not used: it is yet to be set aside.
fn resolve(network: &Network, offer: &Offer) -> Result<(Vec<ResolvedAsk>, Vec<ZoneIdx>), Vec<Unknown>> {
    let mut unknown = Vec::new();
    let mut miss = |path: String, kind, name: &str| unknown.push(Unknown { path, kind, name: name.to_owned() });
    let mut products: SmallVec<[(ProductIdx, i32); 2]> = SmallVec::new();
    for (i, line) in offer.lines.iter().enumerate() {
        match network.find_product(&line.sku) {
            Some(product) => products.push((product, line.quantity)),
            None => miss(format!("offer.lines[{i}].sku"), "product", &line.sku),
        }
    }
    let mut zones = Vec::with_capacity(offer.zones.len());
    for (i, share) in offer.zones.iter().enumerate() {
        match network.find_zone(&share.zone) {
            Some(zone) => zones.push(zone),
            None => miss(format!("offer.zones[{i}].zone"), "zone", &share.zone),
        }
    }
    let mut pools = SmallVec::new();
    if let Some(name) = &offer.channel {
        match network.find_channel(name) {
            Some(channel) => pools.push(Pool::Channel(Arc::clone(&network.channel(channel).id))),
            None => miss("offer.channel".to_owned(), "channel", name),
        }
    }
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let ask = |zone: &ZoneIdx| {
        let (service, pools) = (offer.service.clone(), pools.clone());
        ResolvedAsk::new(network, &products, *zone, When::Any, service, Shipments::Together, pools)
    };
    Ok((zones.iter().map(ask).collect(), zones))
}

/// What was played.
struct Played {
    days: Vec<OfferDay>,
    state: State,
}

/// The check itself, day by day from `first` on.
fn play(board: &mut Board<'_>, groups: &[Group], offer: &Offer, first: Day) -> Played {
    let mut state = board.base.clone();
    let mut days: Vec<OfferDay> = (first.0..=offer.ends.0)
        .map(|day| OfferDay { date: Day(day), asked: 0, deliverable: 0, last_arrival: None, bottleneck: None })
        .collect();
    for of_day in groups.chunk_by(|a, b| a.day == b.day) {
        let mut arrivals: Option<Option<Day>> = None;
        let mut refused = false;
        let (mut asked, mut deliverable, mut bottleneck) = (0, 0, None);
        for group in of_day {
            let mut left = group.orders;
            asked += group.orders;
            while left > 0 {
                let order = board.ask(&state, group, offer.advertised);
                // The latest so far; once one does not arrive, none.
                arrivals = Some(match arrivals {
                    None => order.date,
                    Some(before) => before.zip(order.date).map(|(a, b)| a.max(b)),
                });
                if order.verdict != Verdict::Promised {
                    if !refused {
                        bottleneck = first_short(board, &state, group, order.verdict);
                    }
                    refused = true;
                    break;
                }
                let taken = take(&mut state, &order, left, |_| true);
                left -= taken;
                deliverable += taken;
            }
        }
        let last_arrival = arrivals.flatten();
        if let Ok(at) = usize::try_from(of_day[0].day.0 - first.0)
            && let Some(day) = days.get_mut(at)
        {
            *day = OfferDay { date: day.date, asked, deliverable, last_arrival, bottleneck };
        }
    }
    Played { days, state }
}

/// The resource that stands first in the way of an order that was just refused.
fn first_short(board: &Board<'_>, state: &State, group: &Group, verdict: Verdict) -> Option<ResourceId> {
    bottlenecks(board, state, group, verdict).into_iter().next()
}

/// All resources that stand in the way of an order that was just refused, tightest first; none if time itself is missing.
fn bottlenecks(board: &Board<'_>, state: &State, group: &Group, verdict: Verdict) -> Vec<ResourceId> {
    let mut search = board.search(state, group);
    search.wordless = true;
    search.bottlenecks(verdict).bottlenecks.into_iter().filter_map(|b| b.resource).collect()
}

/// One answer of the play for the tightest promise, to go back to.
struct Answered {
    group: usize,
    /// Orders of the group that were still to be asked.
    left: i64,
    /// What was drawn before.
    drawn: usize,
    /// The least N, larger than the one it was asked with, with which it may be answered otherwise.
    next: Option<i32>,
}

/// The least N with which all orders get a yes (rule 27): checks from 0 up, each until its first no. A deadline counts only
/// where an arrival is compared with it, so those N are passed over with which all comparisons until that no come out as they
/// did, and the next check is played from the first order on that it may answer otherwise.
fn tightest(board: &mut Board<'_>, groups: &[Group]) -> Option<i32> {
    let mut days = 0;
    let enough = board.planned + MAX_OFFER_PLANS;
    let mut state = board.base.clone();
    let mut answered: Vec<Answered> = Vec::new();
    let mut drawn: Vec<(usize, i32, i64)> = Vec::new();
    let (mut at, mut left) = (0, groups.first().map_or(0, |group| group.orders));
    while let Some(group) = groups.get(at) {
        if board.planned >= enough {
            return None;
        }
        let order = board.ask(&state, group, Advertised::WithinDays(days));
        let next = order.late.map(|late| late.0 - group.day.0);
        answered.push(Answered { group: at, left, drawn: drawn.len(), next });
        if order.verdict == Verdict::Promised {
            let orders = take(&mut state, &order, left, |_| true);
            drawn.extend(order.parts.iter().map(|part| (part.place, part.index, part.units.saturating_mul(orders))));
            left -= orders;
            if left == 0 {
                at += 1;
                left = groups.get(at).map_or(0, |group| group.orders);
            }
            continue;
        }
        days = answered.iter().filter_map(|answer| answer.next).min()?;
        let from = answered.iter().position(|answer| answer.next == Some(days))?;
        let back = &answered[from];
        (at, left) = (back.group, back.left);
        for (place, index, units) in drawn.drain(back.drawn..) {
            state.draw(place, index, -units);
        }
        answered.truncate(from);
    }
    Some(days)
}

/// The largest scale in hundredths at which all orders get a yes, by doubling and halving.
fn largest(board: &mut Board<'_>, whole: bool, advertised: Advertised, groups: impl Fn(i64) -> Vec<Group>) -> i64 {
    let (mut low, mut high) = (0, 100);
    if whole {
        loop {
            low = high;
            if low >= MAX_OFFER_PERCENT {
                return MAX_OFFER_PERCENT;
            }
            high = (low * 2).min(MAX_OFFER_PERCENT);
            if !board.all_kept(&groups(high), advertised) {
                break;
            }
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if board.all_kept(&groups(middle), advertised) { low = middle } else { high = middle }
    }
    low
}

/// What was drawn of common capacity: all but what the channel has set aside, which is drawn first.
fn envelope(board: &Board<'_>, state: &State) -> Vec<Take> {
    let mut takes = Vec::new();
    for (place, levels) in state.levels.iter().enumerate() {
        let resource = board.network.resource(state.resources[place]);
        let calendar = board.network.calendar_of(resource);
        let today = calendar.day_of(board.moment);
        for &(index, _) in levels.all() {
            let drawn = board.drawn(state, place, index);
            let units = drawn - board.own(place, index).min(drawn);
            if units > 0 {
                let (from, to) = (resource.bucketing.start(calendar, index), resource.bucketing.end(calendar, index));
                let draw = Draw { resource: resource.id.clone(), index, from, to, pool: Pool::Common, units };
                takes.push(Take { draw, standing: resource.standing(index, today) });
            }
        }
    }
    takes
}
