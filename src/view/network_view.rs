//! One network's availability: a cell a resource, each replaced as a whole, so that readers never wait.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use arc_swap::{ArcSwap, Guard};
use rustc_hash::FxHashMap;

use crate::domain::bucket::{Availability, BucketLevel, Levels};
use crate::domain::id::ResourceId;
use crate::domain::network::{Network, ResourceIdx};
use crate::domain::offer::ApprovedOffer;

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
}

/// A network's offers, by id.
pub type Offers = BTreeMap<Arc<str>, Arc<ApprovedOffer>>;

impl NetworkView {
    /// Without a network: its document can't be read.
    pub(super) fn new(
        network: Option<Arc<Network>>,
        version: i64,
        document: Arc<[u8]>,
        buckets: Vec<(ResourceId, Vec<(i32, BucketLevel)>)>,
        offers: Vec<Arc<ApprovedOffer>>,
    ) -> NetworkView {
        let unreadable = network.is_none();
        let network = network.unwrap_or_else(|| Arc::new(Network::empty()));
        let cells = network.resources().iter().map(|_| ArcSwap::new(Arc::clone(&NOTHING))).collect();
        let offers: Offers = offers.into_iter().map(|o| (Arc::clone(&o.offer.id), o)).collect();
        let offers = ArcSwap::from_pointee(offers);
        let view = NetworkView { network, version, document, unreadable, cells, offers };
        for (resource, levels) in buckets {
            if let Some(at) = view.network.find_resource(resource.as_str()) {
                view.cells[at.at()].store(Arc::new(Levels::new(levels)));
            }
        }
        view
    }

    /// A network that was never applied.
    pub(super) fn nothing() -> NetworkView {
        NetworkView::new(Some(Arc::new(Network::empty())), 0, Arc::default(), Vec::new(), Vec::new())
    }

    /// The same levels under another document: resources keep theirs by their names. Where the document before could not be
    /// read, there are no levels to keep, and the network stays unread until all of it comes again.
    pub(super) fn on_other_network(
        &self,
        network: Option<Arc<Network>>,
        version: i64,
        document: Arc<[u8]>,
    ) -> NetworkView {
        let Some(network) = network.filter(|_| !self.unreadable) else {
            return NetworkView::new(None, version, document, Vec::new(), Vec::new());
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
        NetworkView { network, version, document, unreadable: false, cells, offers }
    }

    /// Notes a bucket's change in the draft, which is shown with the next `publish`.
    pub(super) fn draft(&self, draft: &mut Draft, resource: &ResourceId, index: i32, level: &BucketLevel) {
        if let Some(at) = self.network.find_resource(resource.as_str()) {
            let levels = draft.0.entry(at).or_insert_with(|| Levels::clone(&self.cells[at.at()].load()));
            levels.put(index, level.clone());
        }
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
