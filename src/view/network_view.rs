//! One network's availability: a cell a resource, each replaced as a whole, so that readers never wait.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use rustc_hash::FxHashMap;

use crate::domain::bucket::{Availability, BucketLevel};
use crate::domain::id::ResourceId;
use crate::domain::levels::Levels;
use crate::domain::network::{Network, ResourceIdx};
use crate::domain::offer::ApprovedOffer;
use crate::domain::time::Moment;

/// What all resources share that nothing is known of yet.
static NOTHING: LazyLock<Arc<Levels>> = LazyLock::new(Arc::default);

/// A network with the levels of its resources as the feed last told them.
pub struct NetworkView {
    /// The network.
    pub network: Arc<Network>,
    /// Its version in the ledger; 0: none was applied yet.
    pub version: i64,
    /// Its document.
    pub document: Arc<[u8]>,
    /// The document is one that this version can't read: `network` is empty, and no levels are kept.
    pub unreadable: bool,
    cells: Box<[ArcSwap<Levels>]>,
    offers: ArcSwap<Offers>,
    over: OverCommitted,
}

/// A bucket: its resource and its number there.
pub type BucketAt = (ResourceIdx, i32);

/// The buckets from which more may be drawn than there is. Nearly always none, which costs those who write levels one look.
#[derive(Default)]
struct OverCommitted {
    any: AtomicBool,
    buckets: Mutex<BTreeSet<BucketAt>>,
}

impl OverCommitted {
    fn buckets(&self) -> MutexGuard<'_, BTreeSet<BucketAt>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether a bucket is one of them; whether that is news.
    fn note(&self, at: BucketAt, is_over: bool) -> bool {
        if !is_over && !self.any.load(Ordering::Acquire) {
            return false;
        }
        let mut buckets = self.buckets();
        let is_news = if is_over { buckets.insert(at) } else { buckets.remove(&at) };
        self.any.store(!buckets.is_empty(), Ordering::Release);
        is_news
    }
}

/// A network's offers, by id.
pub type Offers = BTreeMap<Arc<str>, Arc<ApprovedOffer>>;

impl NetworkView {
    /// Without a network: its document can't be read.
    pub(super) fn new(
        network: Option<Arc<Network>>,
        version: i64,
        document: Arc<[u8]>,
        buckets: Vec<(ResourceId, Levels)>,
        offers: Vec<Arc<ApprovedOffer>>,
        since: Moment,
    ) -> NetworkView {
        let unreadable = network.is_none();
        let network = network.unwrap_or_else(|| Arc::new(Network::empty()));
        let cells = network.resources().iter().map(|_| ArcSwap::new(Arc::clone(&NOTHING))).collect();
        let offers: Offers = offers.into_iter().map(|o| (Arc::clone(&o.offer.id), o)).collect();
        let offers = ArcSwap::from_pointee(offers);
        let view =
            NetworkView { network, version, document, unreadable, cells, offers, over: OverCommitted::default() };
        for (resource, levels) in buckets {
            if let Some(at) = view.network.find_resource(resource.as_str()) {
                view.cells[at.at()].store(Arc::new(levels));
            }
        }
        view.find_over(since);
        view
    }

    /// A network that was never applied.
    pub(super) fn nothing() -> NetworkView {
        NetworkView::new(Some(Arc::new(Network::empty())), 0, Arc::default(), Vec::new(), Vec::new(), Moment(0))
    }

    /// The same levels under another document: resources keep theirs by their names. Where the document before could not be
    /// read, there are no levels to keep, and the network stays unread until all of it comes again.
    pub(super) fn on_other_network(
        &self,
        network: Option<Arc<Network>>,
        version: i64,
        document: Arc<[u8]>,
        applied_at: Moment,
    ) -> NetworkView {
        let Some(network) = network.filter(|_| !self.unreadable) else {
            return NetworkView::new(None, version, document, Vec::new(), Vec::new(), applied_at);
        };
        let cells = network
            .resources()
            .iter()
            .map(|resource| match self.network.find_resource(resource.id.as_str()) {
                Some(at) => ArcSwap::new(self.cells[at.at()].load_full()),
                None => ArcSwap::new(Arc::clone(&NOTHING)),
            })
            .collect();
        let offers = ArcSwap::new(self.offers.load_full());
        let view = NetworkView {
            network,
            version,
            document,
            unreadable: false,
            cells,
            offers,
            over: OverCommitted::default(),
        };
        view.find_over(applied_at);
        view
    }

    /// Notes a bucket's change of this instant in the draft, which is shown with the next `publish`. Tells whether the bucket became
    /// over-committed by it, or is no longer.
    pub(super) fn draft(
        &self,
        draft: &mut Draft,
        resource: &ResourceId,
        index: i32,
        level: &BucketLevel,
        now: Moment,
    ) -> bool {
        let Some(at) = self.network.find_resource(resource.as_str()) else { return false };
        let levels = draft.0.entry(at).or_insert_with(|| Levels::clone(&self.cells[at.at()].load()));
        levels.put(index, level.clone());
        self.over.note((at, index), self.uncovered(at, index, level, now) > 0)
    }

    /// Units that are drawn from a bucket beyond its supply (rule 24).
    fn uncovered(&self, at: ResourceIdx, index: i32, level: &BucketLevel, now: Moment) -> i64 {
        let resource = self.network.resource(at);
        resource.uncovered(index, level, || self.network.calendar_of(resource).day_of(now))
    }

    /// Looks at all buckets. The standing plan only reaches further as days go by, so what is over-committed later is so at `since`.
    fn find_over(&self, since: Moment) {
        for (i, cell) in self.cells.iter().enumerate() {
            let at = ResourceIdx::new(i);
            for (index, level) in cell.load().all() {
                self.over.note((at, *index), self.uncovered(at, *index, level, since) > 0);
            }
        }
    }

    /// The buckets from which more is drawn than there is at `now`, each with the units that are not covered (rule 24).
    pub fn over_committed(&self, now: Moment) -> Vec<(BucketAt, i64)> {
        if !self.over.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut over = Vec::new();
        let mut buckets = self.over.buckets();
        // Those that the standing plan has reached meanwhile are covered.
        buckets.retain(|&(at, index)| {
            let uncovered = self.levels(at).get(index).map_or(0, |level| self.uncovered(at, index, level, now));
            if uncovered > 0 {
                over.push(((at, index), uncovered));
            }
            uncovered > 0
        });
        self.over.any.store(!buckets.is_empty(), Ordering::Release);
        over
    }

    /// Shows what was drafted.
    pub(super) fn publish(&self, draft: &mut Draft) {
        for (at, levels) in draft.0.drain() {
            self.cells[at.at()].store(Arc::new(levels));
        }
    }

    /// The network's offers, closed ones included.
    pub fn offers(&self) -> Arc<Offers> {
        self.offers.load_full()
    }

    /// Whether an offer of this id was ever approved.
    pub fn has_offer(&self, id: &str) -> bool {
        self.offers.load().contains_key(id)
    }

    /// A resource's levels as they are now, to keep.
    pub(super) fn levels_now(&self, resource: ResourceIdx) -> Arc<Levels> {
        self.cells[resource.at()].load_full()
    }

    pub(super) fn offered(&self, offer: &Arc<ApprovedOffer>) {
        let mut offers = Offers::clone(&self.offers.load());
        offers.insert(Arc::clone(&offer.offer.id), Arc::clone(offer));
        self.offers.store(Arc::new(offers));
    }

    pub(super) fn forget(&self, resource: &ResourceId, before: i32) {
        if let Some(at) = self.network.find_resource(resource.as_str()) {
            let mut levels = Levels::clone(&self.cells[at.at()].load());
            levels.forget_before(before);
            self.cells[at.at()].store(Arc::new(levels));
            if self.over.any.load(Ordering::Acquire) {
                self.over.buckets().retain(|(resource, index)| *resource != at || *index >= before);
            }
        }
    }
}

/// Resources' levels as they are about to be shown. A batch's changes are gathered here first, so that the levels of a
/// resource are copied once a batch, however many draw on it.
#[derive(Default)]
pub(super) struct Draft(FxHashMap<ResourceIdx, Levels>);

/// A resource's levels, lent out.
pub struct LevelsGuard(Guard<Arc<Levels>>);

impl Deref for LevelsGuard {
    type Target = Levels;

    fn deref(&self) -> &Levels {
        &self.0
    }
}

impl Availability for NetworkView {
    type Levels<'a> = LevelsGuard;

    fn levels(&self, resource: ResourceIdx) -> LevelsGuard {
        LevelsGuard(self.cells[resource.at()].load())
    }
}
