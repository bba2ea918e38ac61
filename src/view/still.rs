//! Availability that stands still while it is read, for answers that look at it more than once.

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::NetworkView;
use crate::domain::bucket::Availability;
use crate::domain::levels::Levels;
use crate::domain::network::ResourceIdx;

/// A network's availability in which each resource stays as it was when it was first looked at, so that several passes over it
/// (an offer is checked, then at other scales) find the same. What was looked at earlier may be older than the rest by the time
/// between; the ledger judges what is taken (rule 19).
pub struct Still {
    view: Arc<NetworkView>,
    seen: RefCell<FxHashMap<ResourceIdx, Arc<Levels>>>,
}

impl Still {
    /// Nothing looked at yet.
    pub fn new(view: Arc<NetworkView>) -> Still {
        Still { view, seen: RefCell::default() }
    }
}

impl Availability for Still {
    type Levels<'a> = Arc<Levels>;

    fn levels(&self, resource: ResourceIdx) -> Arc<Levels> {
        let mut seen = self.seen.borrow_mut();
        Arc::clone(seen.entry(resource).or_insert_with(|| self.view.levels_now(resource)))
    }
}
