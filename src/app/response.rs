//! What the use cases answer, where the domain has no word of its own for it.

use std::sync::Arc;

use crate::domain::bucket::BucketLevel;
use crate::domain::id::ResourceId;
use crate::domain::offer::{ApprovedOffer, OfferReport, OfferStage};
use crate::domain::reservation::Reservation;
use crate::domain::time::Moment;
pub use crate::planner::Suggested;

/// One bucket for people and planning systems.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketRow {
    /// Whose.
    pub resource: ResourceId,
    /// When it begins.
    pub from: Moment,
    /// When it ends.
    pub to: Moment,
    /// Its supply: what was set, else what the standing plan gives (rule 3).
    pub supply: i64,
    /// What is taken and set aside.
    pub level: BucketLevel,
    /// The instant that this is told for: what is set aside until then is everyone's from then on.
    pub as_of: Moment,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Where to go on after this event. Several events of one ledger entry: all but the last carry the cursor of the entry
    /// before, so that who goes on from one of them is told the entry again (at least once) and misses nothing.
    pub cursor: u64,
    /// The ledger's now.
    pub at: Moment,
    /// What happened.
    pub event: Event,
}

/// See [`EventRow`].
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A reservation, as it then was.
    Reservation(Arc<Reservation>),
    /// A bucket, as it then was.
    Bucket(BucketRow),
    /// An offer was approved or closed.
    Offer(Arc<str>),
    /// The network's version from then on.
    Network(i64),
}

/// An offer and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferRow {
    /// As the ledger keeps it.
    pub offer: Arc<ApprovedOffer>,
    /// Its orders that are held.
    pub orders_held: i64,
    /// Its orders that are confirmed, delivered ones included.
    pub orders_confirmed: i64,
    /// The instant that this is told for.
    pub as_of: Moment,
}

impl OfferRow {
    /// When it was closed, if it was: by its owner, or by itself at its end (rule 26).
    pub fn closed_at(&self) -> Option<Moment> {
        let ended = (self.offer.ends_at <= self.as_of).then_some(self.offer.ends_at);
        match (self.offer.stage, ended) {
            (OfferStage::Approved, ended) => ended,
            (OfferStage::Closed, None) => self.offer.closed_at,
            (OfferStage::Closed, Some(ended)) => Some(self.offer.closed_at.map_or(ended, |at| at.min(ended))),
        }
    }
}

/// An offer whose capacity is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// As it now is.
    pub row: OfferRow,
    /// The report on which it was approved; of a repeated request, the first one.
    pub report: Arc<OfferReport>,
}

/// A bucket in which common capacity has less than is to be set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LacksUnits {
    /// The bucket as a plan names it: a date, or a local date and time of its site.
    pub bucket: String,
    /// Units that are common.
    pub free: i64,
    /// Units to be set aside beyond what is set aside and left now.
    pub wanted: i64,
}
