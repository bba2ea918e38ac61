//! What the use cases answer, where the domain has no word of its own for it.

use std::sync::Arc;

use crate::domain::bucket::BucketLevel;
use crate::domain::id::ResourceId;
use crate::domain::reservation::Reservation;
use crate::domain::time::Moment;

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
