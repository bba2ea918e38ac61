//! The change feed: every change is recorded in the same atomic step as it happens, so feed and truth can't disagree.

use std::sync::Arc;

use crate::domain::bucket::BucketLevel;
use crate::domain::id::{NetworkId, ResourceId};
use crate::domain::levels::Levels;
use crate::domain::offer::ApprovedOffer;
use crate::domain::reservation::Reservation;
use crate::domain::time::Moment;

/// The place of an entry in its network's feed. 0: before the first.
pub type Cursor = u64;

/// What one command changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place; grows by one with each entry.
    pub seq: Cursor,
    /// The ledger's now of the command.
    pub at: Moment,
    /// What changed, in the order in which it did.
    pub changes: Vec<Change>,
}

/// One thing that changed, as it was right after.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A bucket.
    Bucket {
        /// Which resource.
        resource: ResourceId,
        /// Which bucket.
        index: i32,
        /// What it holds.
        level: BucketLevel,
    },
    /// All that was known of the resource's buckets before `index` is gone (`i32::MAX`: of all of them).
    Forgotten {
        /// Which resource.
        resource: ResourceId,
        /// The first that is kept.
        index: i32,
    },
    /// A reservation.
    Reservation(Arc<Reservation>),
    /// A reservation that nobody was told of was undone: it is as though it had never been.
    Undone(Arc<Reservation>),
    /// An offer was approved or closed.
    Offer(Arc<ApprovedOffer>),
    /// The network's document.
    Network {
        /// Its version.
        version: i64,
        /// The document, for subscribers; empty in entries read back later.
        document: Arc<[u8]>,
        /// When it was applied.
        applied_at: Moment,
    },
}

/// The full state of a network's capacity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The newest entry that it contains.
    pub seq: Cursor,
    /// The network's version; 0: none was applied yet.
    pub network_version: i64,
    /// The network's document.
    pub document: Arc<[u8]>,
    /// When it was applied.
    pub applied_at: Moment,
    /// Every bucket that something is known of.
    pub buckets: Vec<(ResourceId, Levels)>,
    /// Every offer.
    pub offers: Vec<Arc<ApprovedOffer>>,
}

/// Follows the feed: the view. Calls are short and never block; those about one network come from one task, in order.
///
/// What is known of a network is *followed* from the first [`Subscriber::fresh`] on, *old* from [`Subscriber::lost`] until the next
/// `fresh`, and *void* from [`Subscriber::void`] until its [`Subscriber::reset`].
pub trait Subscriber: Send + Sync + 'static {
    /// The network's full state, no older than the last `fresh`; what was known of it before no longer counts.
    fn reset(&self, network: &NetworkId, snapshot: Snapshot);

    /// The entries that follow what is known.
    fn changed(&self, network: &NetworkId, entries: &[Arc<Entry>]);

    /// At this instant of the ledger's clock everything acknowledged had been told, of this network, or of all (`None`) that are not
    /// void. If the feed was cut, it is followed again from here on: nothing of it was missed, or what was missed came as a reset.
    fn fresh(&self, network: Option<&NetworkId>, at: Moment);

    /// The feed of this network, or of all (`None`), is cut: what is known was true at the last `fresh`, and may be old from now on,
    /// until the next `fresh`. A `reset` alone does not end this.
    fn lost(&self, network: Option<&NetworkId>);

    /// What is known of this network may be wrong: the store lost writes, or the feed has a gap. Nothing may be read from it
    /// until its `reset` comes. May be said again, and of a network that was not heard of before.
    fn void(&self, network: &NetworkId);
}
