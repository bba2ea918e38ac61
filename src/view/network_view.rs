//! One network's availability: a cell a resource, each replaced as a whole, so that readers never wait.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use arc_swap::{ArcSwap, Guard};
use rustc_hash::FxHashMap;

use crate::domain::bucket::{Availability, BucketLevel, Levels};
use crate::domain::id::ResourceId;
use crate::domain::network::{Network, ResourceIdx};

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
    cells: Box<[ArcSwap<Levels>]>,
}

impl NetworkView {
    pub(super) fn new(
        network: Arc<Network>,
        version: i64,
        document: Arc<[u8]>,
        buckets: Vec<(ResourceId, Vec<(i32, BucketLevel)>)>,
    ) -> NetworkView {
        let cells = network.resources().iter().map(|_| ArcSwap::new(Arc::clone(&NOTHING))).collect();
        let view = NetworkView { network, version, document, cells };
        for (resource, levels) in buckets {
            if let Some(at) = view.network.find_resource(resource.as_str()) {
                view.cells[at.at()].store(Arc::new(Levels::new(levels)));
            }
        }
        view
    }

    /// The same levels under another document: resources keep theirs by their names.
    pub(super) fn on_other_network(&self, network: Arc<Network>, version: i64, document: Arc<[u8]>) -> NetworkView {
        let cells = network
            .resources()
            .iter()
            .map(|resource| match self.network.find_resource(resource.id.as_str()) {
                Some(at) => ArcSwap::new(self.cells[at.at()].load_full()),
                None => ArcSwap::new(Arc::clone(&NOTHING)),
            })
            .collect();
        NetworkView { network, version, document, cells }
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

#[cfg(test)]
mod tests {
    use super::super::Views;
    use crate::domain::bucket::{Availability, BucketLevel};
    use crate::domain::id::{NetworkId, ResourceId};
    use crate::domain::network::{Kind, Network, NetworkSpec, ResourceSpec, SiteSpec};
    use crate::domain::time::Moment;
    use crate::ledger::feed::{Change, Entry, Snapshot, Subscriber};
    use std::sync::Arc;

    fn network(resources: &[&str]) -> Arc<Network> {
        let spec = NetworkSpec {
            sites: vec![SiteSpec { id: "s".into(), time_zone: "UTC".into(), ..SiteSpec::default() }],
            resources: resources
                .iter()
                .map(|id| ResourceSpec {
                    id: (*id).into(),
                    site: "s".into(),
                    display_name: String::new(),
                    kind: Some(Kind::Stock),
                    unit: String::new(),
                    bucket: Ok(crate::domain::bucket::Bucketing::DAYS),
                    weekly: Vec::new(),
                    closed: Vec::new(),
                    horizon_days: 0,
                })
                .collect(),
            ..NetworkSpec::default()
        };
        Arc::new(Network::build(spec, Moment(0)).expect("a network without faults"))
    }

    fn bucket(resource: &str, held: i64) -> Change {
        let level = BucketLevel { set: Some(10), held, ..BucketLevel::default() };
        Change::Bucket { resource: ResourceId::new(resource).expect("a name"), index: 7, level }
    }

    #[test]
    fn a_view_shows_what_the_feed_told_and_keeps_it_under_another_document() {
        let views = Views::new(|_, _| unreachable!("every network here is prepared"));
        let id = NetworkId::default_network();
        let (first, second): (Arc<[u8]>, Arc<[u8]>) = (Arc::from(*b"1"), Arc::from(*b"2"));
        views.prepare(Arc::clone(&first), network(&["a", "b"]));
        views.reset(&id, Snapshot { seq: 4, network_version: 1, document: first, ..Snapshot::default() });
        assert!(views.are_current());
        let mut changes = views.changes(&id).expect("there is a view");
        views.changed(
            &id,
            &[Arc::new(Entry { seq: 5, at: Moment(0), changes: vec![bucket("a", 1), bucket("a", 2), bucket("b", 3)] })],
        );
        assert!(changes.has_changed().expect("the view lives"));
        assert_eq!(*changes.borrow_and_update(), 5);

        views.prepare(Arc::clone(&second), network(&["b", "c"]));
        let change = Change::Network { version: 2, document: second, applied_at: Moment(0) };
        views.changed(&id, &[Arc::new(Entry { seq: 6, at: Moment(0), changes: vec![change, bucket("c", 4)] })]);
        let view = views.get(&id).expect("there is a view");
        assert_eq!(view.version, 2);
        let held = |name: &str| {
            let at = view.network.find_resource(name).expect("a resource");
            view.levels(at).get(7).map(|level| level.held)
        };
        assert_eq!((held("b"), held("c")), (Some(3), Some(4)));
    }
}
