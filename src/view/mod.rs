//! The view: availability in memory, for every network, kept current by the ledger's change feed. It proposes; the ledger
//! judges (rule 19). Reading never waits and never touches a store; publishing a change costs the same in a network of a
//! hundred resources and of a million.

mod network_view;
mod still;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tracing::{error, info, warn};

use network_view::Draft;
pub use network_view::{BucketAt, LevelsGuard, NetworkView, Offers};
pub use still::Still;

use crate::domain::faults::{Fault, summary};
use crate::domain::id::NetworkId;
use crate::domain::network::Network;
use crate::domain::time::{Moment, Span};
use crate::ledger::feed::{Change, Cursor, Entry, Snapshot, Subscriber};

/// Turns a stored document, and when it was applied, into a network; the edge knows its encoding, the composition root brings the two together.
pub type Decode = fn(&[u8], Moment) -> Result<Network, Vec<Fault>>;

/// One network, whatever document it has at the moment.
struct Slot {
    current: ArcSwap<NetworkView>,
    /// The newest entry that `current` shows; who waits for changes waits on it.
    newest: watch::Sender<Cursor>,
    /// How often it was declared void, plus how often that ended: odd while it is void.
    edition: AtomicU64,
    /// As in [`Views`], where the ledger tells it network by network.
    fresh_at: AtomicI64,
    followed: AtomicBool,
}

impl Slot {
    /// None while it is void.
    fn edition(&self) -> Option<Edition> {
        let edition = self.edition.load(Ordering::Acquire);
        edition.is_multiple_of(2).then_some(Edition(edition))
    }

    fn is_void(&self) -> bool {
        self.edition().is_none()
    }
}

/// A network that may be read, and the state that is read.
pub struct Reading {
    /// The network's view.
    pub view: Arc<NetworkView>,
    /// The view shows all that was acknowledged by this instant, which is never after the `now` of the reading.
    pub as_of: Moment,
}

/// Why a network can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReading {
    /// There is none of this name.
    Unknown,
    /// What is known of it is void, too old, or nothing yet.
    NotNow,
}

/// The state of a network that its view began with. Another one means that what was known in between was void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition(u64);

/// A checked network and the document it was made from.
type Prepared = (Arc<[u8]>, Arc<Network>);

/// The views of all networks.
pub struct Views {
    decode: Decode,
    slots: ArcSwap<FxHashMap<NetworkId, Arc<Slot>>>,
    /// A network that was checked already, and the document it was made from, so that it need not be made again when
    /// its entry comes by.
    prepared: ArcSwap<Option<Prepared>>,
    /// Of ledgers that tell it of all networks at once.
    fresh_at: AtomicI64,
    /// The ledger's feed comes; otherwise what is known stands still.
    followed: AtomicBool,
    /// Tells each time when somewhere a bucket became over-committed, or is no longer, or a network was read in full.
    covered: watch::Sender<()>,
}

impl Views {
    /// No view yet; they come with the ledger's subscription.
    pub fn new(decode: Decode) -> Arc<Views> {
        Arc::new(Views {
            decode,
            slots: ArcSwap::default(),
            prepared: ArcSwap::default(),
            fresh_at: AtomicI64::new(i64::MIN),
            followed: AtomicBool::new(false),
            covered: watch::Sender::new(()),
        })
    }

    /// What is known of the network, if there is one of this name: to show, also where it may be old or wrong. Who answers
    /// from it uses [`Views::read`].
    pub fn get(&self, network: &NetworkId) -> Option<Arc<NetworkView>> {
        self.slots.load().get(network).map(|slot| slot.current.load_full())
    }

    /// The network, for an answer at `now`: as it is while the ledger is followed, or, once its feed was cut, as it last was
    /// for as long as that is no more than `stale` ago (`Span::ZERO`: not at all).
    ///
    /// # Errors
    /// [`NoReading`]: a network that is void is never read.
    pub fn read(&self, network: &NetworkId, now: Moment, stale: Span) -> Result<Reading, NoReading> {
        let slots = self.slots.load();
        let Some(slot) = slots.get(network) else {
            // One that was applied elsewhere meanwhile would not be known here.
            return Err(if self.all_are_followed() { NoReading::Unknown } else { NoReading::NotNow });
        };
        // Before the view, so that what is read is as of then or later.
        let fresh_at = self.fresh_at_of(slot);
        let followed = self.is_followed(slot);
        let is_fresh_enough = || {
            let age = now.0.checked_sub(fresh_at.0);
            stale > Span::ZERO && age.is_some_and(|age| age <= stale.0)
        };
        if slot.is_void() || !(followed || is_fresh_enough()) {
            return Err(NoReading::NotNow);
        }
        Ok(Reading { view: slot.current.load_full(), as_of: fresh_at.min(now) })
    }

    /// Which edition of the network its view shows.
    ///
    /// # Errors
    /// [`NoReading`]: there is none, or it is void.
    pub fn edition(&self, network: &NetworkId) -> Result<Edition, NoReading> {
        match self.slots.load().get(network) {
            Some(slot) => slot.edition().ok_or(NoReading::NotNow),
            None if self.all_are_followed() => Err(NoReading::Unknown),
            None => Err(NoReading::NotNow),
        }
    }

    /// Tells each time the network changed or became void, with the newest cursor; none if there is no such network.
    pub fn changes(&self, network: &NetworkId) -> Option<watch::Receiver<Cursor>> {
        self.slots.load().get(network).map(|slot| slot.newest.subscribe())
    }

    /// Tells each time when in some network a bucket became over-committed, or is no longer, or a network was read in full.
    pub fn coverage(&self) -> watch::Receiver<()> {
        self.covered.subscribe()
    }

    /// At this instant everything acknowledged was in the views, of all networks.
    pub fn fresh_at(&self) -> Moment {
        let oldest = self.slots.load().values().map(|slot| self.fresh_at_of(slot)).min();
        oldest.unwrap_or(Moment(self.fresh_at.load(Ordering::Acquire)))
    }

    fn fresh_at_of(&self, slot: &Slot) -> Moment {
        Moment(self.fresh_at.load(Ordering::Acquire).max(slot.fresh_at.load(Ordering::Acquire)))
    }

    fn is_followed(&self, slot: &Slot) -> bool {
        self.followed.load(Ordering::Acquire) || slot.followed.load(Ordering::Acquire)
    }

    fn all_are_followed(&self) -> bool {
        let slots = self.slots.load();
        self.followed.load(Ordering::Acquire)
            || (!slots.is_empty() && slots.values().all(|slot| self.is_followed(slot)))
    }

    /// Whether the views have caught up with the ledger and follow it, all of them.
    pub fn are_current(&self) -> bool {
        let is_sound = |slot: &Arc<Slot>| !slot.is_void() && !slot.current.load().unreadable;
        self.all_are_followed() && self.slots.load().values().all(is_sound)
    }

    /// The names and views of all networks that are followed at the moment.
    pub fn followed(&self) -> Vec<(NetworkId, Arc<NetworkView>)> {
        let slots = self.slots.load();
        let sound = slots.iter().filter(|(_, slot)| self.is_followed(slot) && !slot.is_void());
        sound.map(|(id, slot)| (id.clone(), slot.current.load_full())).collect()
    }

    /// Remembers a checked network for the moment its document comes by in the feed: building a large one would hold up the feed.
    pub fn prepare(&self, document: Arc<[u8]>, network: Arc<Network>) {
        self.prepared.store(Arc::new(Some((document, network))));
    }

    /// None: the document can't be read.
    fn network_of(&self, document: &Arc<[u8]>, applied_at: Moment) -> Option<Arc<Network>> {
        if let Some((prepared, network)) = self.prepared.load().as_ref()
            && prepared == document
        {
            return Some(Arc::clone(network));
        }
        if document.is_empty() {
            return Some(Arc::new(Network::empty()));
        }
        match (self.decode)(document, applied_at) {
            Ok(network) => Some(Arc::new(network)),
            Err(faults) => {
                // It was checked before it was stored, so this is a newer version's document: nothing can be promised on it.
                error!(faults = %summary(&faults), "the stored network can't be read; nothing is promised on it");
                None
            }
        }
    }

    fn slot(&self, network: &NetworkId) -> Option<Arc<Slot>> {
        self.slots.load().get(network).map(Arc::clone)
    }

    fn begin(&self, network: &NetworkId, view: NetworkView, newest: Cursor, edition: u64) -> Arc<Slot> {
        let slot = Arc::new(Slot {
            current: ArcSwap::from_pointee(view),
            newest: watch::Sender::new(newest),
            edition: AtomicU64::new(edition),
            fresh_at: AtomicI64::new(i64::MIN),
            followed: AtomicBool::new(false),
        });
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
        let resources = checked.as_ref().map_or(0, |network| network.resources().len());
        info!(%network, version = snapshot.network_version, resources, "view read in full");
        let Snapshot { seq, network_version, document, applied_at, buckets, offers } = snapshot;
        let view = NetworkView::new(checked, network_version, document, buckets, offers, applied_at);
        let Some(slot) = self.slot(network) else {
            self.begin(network, view, seq, 0);
            self.covered.send_replace(());
            return;
        };
        slot.current.store(Arc::new(view));
        if slot.is_void() {
            slot.edition.fetch_add(1, Ordering::AcqRel);
        }
        slot.newest.send_replace(seq);
        self.covered.send_replace(());
    }

    fn changed(&self, network: &NetworkId, entries: &[Arc<Entry>]) {
        let slot = match self.slot(network) {
            Some(slot) => slot,
            // It was applied just now, so there is nothing of before to read.
            None => self.begin(network, NetworkView::nothing(), 0, 0),
        };
        let mut view = slot.current.load_full();
        let mut draft = Draft::default();
        let mut covered = false;
        for (at, change) in entries.iter().flat_map(|entry| entry.changes.iter().map(|change| (entry.at, change))) {
            match change {
                Change::Bucket { resource, index, level } => {
                    covered |= view.draft(&mut draft, resource, *index, level, at);
                }
                Change::Network { version, document, applied_at } => {
                    view.publish(&mut draft);
                    let checked = self.network_of(document, *applied_at);
                    view = Arc::new(view.on_other_network(checked, *version, Arc::clone(document), *applied_at));
                    covered = true;
                    slot.current.store(Arc::clone(&view));
                }
                Change::Forgotten { resource, index } => {
                    view.publish(&mut draft);
                    view.forget(resource, *index);
                }
                Change::Offer(offer) => {
                    view.publish(&mut draft);
                    view.offered(offer);
                }
                Change::Reservation(_) | Change::Undone(_) => {}
            }
        }
        view.publish(&mut draft);
        if let Some(last) = entries.last() {
            slot.newest.send_replace(last.seq);
        }
        if covered {
            self.covered.send_replace(());
        }
    }

    fn fresh(&self, network: Option<&NetworkId>, at: Moment) {
        let slot = network.map(|network| self.slot(network));
        let (fresh_at, followed) = match &slot {
            None => (&self.fresh_at, &self.followed),
            Some(Some(slot)) => (&slot.fresh_at, &slot.followed),
            // Of a network that has not come yet, there is nothing to be fresh.
            Some(None) => return,
        };
        fresh_at.store(at.0, Ordering::Release);
        if !followed.swap(true, Ordering::AcqRel) {
            info!(network = named(network), "the ledger's feed is followed");
        }
    }

    fn lost(&self, network: Option<&NetworkId>) {
        let slot = network.map(|network| self.slot(network));
        let followed = match &slot {
            None => &self.followed,
            Some(Some(slot)) => &slot.followed,
            Some(None) => return,
        };
        if followed.swap(false, Ordering::AcqRel) {
            warn!(
                network = named(network),
                "the ledger's feed is cut; the view stands still until it is followed again"
            );
        }
    }

    fn void(&self, network: &NetworkId) {
        match self.slot(network) {
            Some(slot) if slot.is_void() => return,
            Some(slot) => {
                slot.edition.fetch_add(1, Ordering::AcqRel);
                // Who waits for changes is to look again.
                slot.newest.send_modify(|_| {});
            }
            None => drop(self.begin(network, NetworkView::nothing(), 0, 1)),
        }
        warn!(%network, "what is known of the network may be wrong; nothing is read from it until it came in full");
    }
}

fn named(network: Option<&NetworkId>) -> &str {
    network.map_or("all", NetworkId::as_str)
}
