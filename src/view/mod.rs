//! The view: availability in memory, for every network, kept current by the ledger's change feed. It proposes; the ledger
//! judges (rule 19). Reading never waits and never touches a store; publishing a change costs the same in a network of a
//! hundred resources and of a million.

mod network_view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tracing::{error, info, warn};

use network_view::Draft;
pub use network_view::{LevelsGuard, NetworkView};

use crate::domain::faults::{Fault, summary};
use crate::domain::id::NetworkId;
use crate::domain::network::Network;
use crate::domain::time::Moment;
use crate::ledger::feed::{Change, Cursor, Entry, Snapshot, Subscriber};

/// Turns a stored document, and when it was applied, into a network; the edge knows its encoding, the composition root brings the two together.
pub type Decode = fn(&[u8], Moment) -> Result<Network, Vec<Fault>>;

/// One network, whatever document it has at the moment.
struct Slot {
    current: ArcSwap<NetworkView>,
    /// The newest entry that `current` shows; who waits for changes waits on it.
    newest: watch::Sender<Cursor>,
}

/// A checked network and the document it was made from.
type Prepared = (Arc<[u8]>, Arc<Network>);

/// The views of all networks.
pub struct Views {
    decode: Decode,
    slots: ArcSwap<FxHashMap<NetworkId, Arc<Slot>>>,
    /// A network that was checked already, and the document it was made from, so that it need not be made again when
    /// its entry comes by.
    prepared: ArcSwap<Option<Prepared>>,
    fresh_at: AtomicI64,
    current: AtomicBool,
    /// The last network that came by could not be read.
    unreadable: AtomicBool,
}

impl Views {
    /// No view yet; they come with the ledger's subscription.
    pub fn new(decode: Decode) -> Arc<Views> {
        Arc::new(Views {
            decode,
            slots: ArcSwap::default(),
            prepared: ArcSwap::default(),
            fresh_at: AtomicI64::new(i64::MIN),
            current: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
        })
    }

    /// The network as it is now, if there is one of this name.
    pub fn get(&self, network: &NetworkId) -> Option<Arc<NetworkView>> {
        self.slots.load().get(network).map(|slot| slot.current.load_full())
    }

    /// Tells each time the network changed, with the newest cursor; none if there is no such network.
    pub fn changes(&self, network: &NetworkId) -> Option<watch::Receiver<Cursor>> {
        self.slots.load().get(network).map(|slot| slot.newest.subscribe())
    }

    /// At this instant everything acknowledged was in the views.
    pub fn fresh_at(&self) -> Moment {
        Moment(self.fresh_at.load(Ordering::Acquire))
    }

    /// Whether the views have caught up with the ledger and follow it.
    pub fn are_current(&self) -> bool {
        self.current.load(Ordering::Acquire) && !self.unreadable.load(Ordering::Acquire)
    }

    /// All networks' names and views.
    pub fn all(&self) -> Vec<(NetworkId, Arc<NetworkView>)> {
        self.slots.load().iter().map(|(id, slot)| (id.clone(), slot.current.load_full())).collect()
    }

    /// Remembers a checked network for the moment its document comes by in the feed: building a large one would hold up the feed.
    pub fn prepare(&self, document: Arc<[u8]>, network: Arc<Network>) {
        self.prepared.store(Arc::new(Some((document, network))));
    }

    fn network_of(&self, document: &Arc<[u8]>, applied_at: Moment) -> Arc<Network> {
        if let Some((prepared, network)) = self.prepared.load().as_ref()
            && prepared == document
        {
            return Arc::clone(network);
        }
        if document.is_empty() {
            return Arc::new(Network::empty());
        }
        self.unreadable.store(false, Ordering::Release);
        match (self.decode)(document, applied_at) {
            Ok(network) => Arc::new(network),
            Err(faults) => {
                // It was checked before it was stored, so this is a newer version's document: nothing can be promised on it.
                error!(faults = %summary(&faults), "the stored network can't be read; nothing is promised on it");
                self.unreadable.store(true, Ordering::Release);
                Arc::new(Network::empty())
            }
        }
    }

    fn slot(&self, network: &NetworkId) -> Option<Arc<Slot>> {
        self.slots.load().get(network).map(Arc::clone)
    }

    fn show(&self, network: &NetworkId, view: NetworkView, newest: Cursor) -> Arc<Slot> {
        let view = Arc::new(view);
        if let Some(slot) = self.slot(network) {
            slot.current.store(view);
            slot.newest.send_replace(newest);
            return slot;
        }
        let slot = Arc::new(Slot { current: ArcSwap::new(view), newest: watch::Sender::new(newest) });
        self.slots.rcu(|slots| {
            let mut slots = FxHashMap::clone(slots);
            slots.insert(network.clone(), Arc::clone(&slot));
            slots
        });
        slot
    }
}

impl Subscriber for Views {
    fn reset(&self, network: &NetworkId, snapshot: Snapshot) {
        let checked = self.network_of(&snapshot.document, snapshot.applied_at);
        info!(%network, version = snapshot.network_version, resources = checked.resources().len(), "view read in full");
        let view = NetworkView::new(checked, snapshot.network_version, snapshot.document, snapshot.buckets);
        self.show(network, view, snapshot.seq);
        self.current.store(true, Ordering::Release);
    }

    fn changed(&self, network: &NetworkId, entries: &[Arc<Entry>]) {
        let slot = match self.slot(network) {
            Some(slot) => slot,
            // The first that is heard of it: it was applied just now, so there is nothing of before to read.
            None => {
                let nothing = NetworkView::new(Arc::new(Network::empty()), 0, Arc::default(), Vec::new());
                self.show(network, nothing, 0)
            }
        };
        let mut view = slot.current.load_full();
        let mut draft = Draft::default();
        for change in entries.iter().flat_map(|entry| &entry.changes) {
            match change {
                Change::Bucket { resource, index, level } => view.draft(&mut draft, resource, *index, level),
                Change::Network { version, document, applied_at } => {
                    view.publish(&mut draft);
                    let checked = self.network_of(document, *applied_at);
                    view = Arc::new(view.on_other_network(checked, *version, Arc::clone(document)));
                    slot.current.store(Arc::clone(&view));
                }
                Change::Forgotten { resource, index } => {
                    view.publish(&mut draft);
                    view.forget(resource, *index);
                }
                Change::Reservation(_) | Change::Undone(_) => {}
            }
        }
        view.publish(&mut draft);
        if let Some(last) = entries.last() {
            slot.newest.send_replace(last.seq);
        }
    }

    fn fresh(&self, at: Moment) {
        self.fresh_at.store(at.0, Ordering::Release);
    }

    fn lost(&self) {
        warn!("the ledger's feed is cut; the views stand still until they are read in full again");
        self.current.store(false, Ordering::Release);
    }
}
