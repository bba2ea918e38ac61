//! What looks after a ledger beside its daily business: reading all of it, loading it anew elsewhere, mending it.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::id::NetworkId;
use crate::domain::reservation::Reservation;
use crate::domain::time::Moment;

use super::audit::Repair;
use super::feed::{Entry, Snapshot};
use super::state::Adjustment;
use super::stored_file::FileFault;
use super::tally::Tallies;
use super::{Ledger, LedgerError};

/// All that a ledger holds of one network, as of one place in its feed, but for the feed itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Holdings {
    /// The network and its buckets, ascending by resource and index. `snapshot.seq` is the place in the feed.
    pub snapshot: Snapshot,
    /// The ledger's now of the reading; no hold that is due by then is among the reservations as held.
    pub now: Moment,
    /// Every reservation that is remembered, live or ended, ascending by id.
    pub reservations: Vec<Arc<Reservation>>,
    /// Adjustments whose request ids are remembered, ascending by request id.
    pub adjustments: Vec<Arc<Adjustment>>,
    /// Tallies, ascending by name.
    pub tallies: Tallies,
}

impl Holdings {
    /// Whether there is nothing, and never was.
    pub fn is_empty(&self) -> bool {
        let Snapshot { seq, network_version, buckets, .. } = &self.snapshot;
        let untouched = *seq == 0 && *network_version == 0 && buckets.is_empty();
        untouched && self.reservations.is_empty() && self.tallies.is_empty()
    }
}

/// Entries of a feed, oldest first, each one place after the one before, up to the holdings' own place. They come one by one,
/// as there may be more than fit into memory; who loads them reads to the end, where a damaged source may still be found out.
pub type Entries = Box<dyn Iterator<Item = Result<Entry, FileFault>> + Send>;

/// A ledger that can be looked after.
#[async_trait]
pub trait Steward: Ledger {
    /// One consistent picture of a network; none: there is no such network. Its feed is read with [`Ledger::entries`]: entries
    /// up to the picture's place do not change any more.
    async fn read_all(&self, network: &NetworkId) -> Result<Option<Holdings>, LedgerError>;

    /// Fills a network in which there is nothing yet. Its feed goes on at the holdings' place, so that the cursors of those who
    /// followed it elsewhere stay right. Whole or not at all: after an error, or when the process dies midway, the network is as
    /// empty as before (at the latest when the store is opened again), and the same can be tried again.
    async fn load_all(&self, network: &NetworkId, holdings: Holdings, entries: Entries) -> Result<(), LoadError>;

    /// Makes repairs, whatever happened since they were worked out; tells how many buckets changed. Each change is in the feed,
    /// so that views follow. After an error some may have been made: audit again.
    async fn repair(&self, network: &NetworkId, repairs: &[Repair]) -> Result<usize, LedgerError>;
}

/// Why a network could not be loaded. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// There is something in the network already.
    #[error("there is something in it already: version {version}, {buckets} buckets, {reservations} reservations")]
    NotEmpty {
        /// The network's version.
        version: i64,
        /// Buckets that something is known of.
        buckets: usize,
        /// Reservations that are remembered.
        reservations: usize,
    },
    /// What is to be loaded can't be read.
    #[error(transparent)]
    Source(#[from] FileFault),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
