//! Follows one network as a view does, and remembers every word that it was told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use surety::domain::id::NetworkId;
use surety::domain::time::Moment;
use surety::ledger::feed::{Change, Entry, Snapshot, Subscriber};

use crate::support::Seen;

pub struct Witness {
    network: NetworkId,
    told: Mutex<Told>,
}

/// What a witness was told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// None: nothing was ever heard of the network, or it is void.
    pub seen: Option<Seen>,
    pub document: Arc<[u8]>,
    pub applied_at: Moment,
    /// Since the last reset.
    pub entries: Vec<Arc<Entry>>,
    pub resets: usize,
    pub lost: usize,
    pub voids: usize,
    pub wrong: Vec<String>,
}

impl Witness {
    pub fn of(network: &NetworkId) -> Arc<Witness> {
        Arc::new(Witness { network: network.clone(), told: Mutex::default() })
    }

    pub fn told(&self) -> Told {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Witness {
    fn reset(&self, network: &NetworkId, snapshot: Snapshot) {
        if *network == self.network {
            let mut told = self.lock();
            told.resets += 1;
            told.seen = Some(Seen::of(&snapshot));
            told.entries.clear();
            (told.document, told.applied_at) = (snapshot.document, snapshot.applied_at);
        }
    }

    fn changed(&self, network: &NetworkId, entries: &[Arc<Entry>]) {
        if *network != self.network {
            return;
        }
        let mut told = self.lock();
        let Told { seen, document, applied_at, wrong, resets, .. } = &mut *told;
        // A network that is applied just now has nothing of before to be read: it begins with its first entry.
        if seen.is_none() && *resets == 0 && entries.first().is_some_and(|e| e.seq == 1) {
            *seen = Some(Seen::default());
        }
        let Some(seen) = seen else {
            wrong.push(format!("told of entry {:?} of a network that is not followed", entries.first().map(|e| e.seq)));
            return;
        };
        for entry in entries {
            if let Err(why) = seen.follow(entry) {
                wrong.push(why);
            }
            for change in &entry.changes {
                if let Change::Network { document: new, applied_at: at, .. } = change {
                    (*document, *applied_at) = (Arc::clone(new), *at);
                }
            }
        }
        told.entries.extend(entries.iter().cloned());
    }

    fn fresh(&self, _network: Option<&NetworkId>, _at: Moment) {}

    fn lost(&self, network: Option<&NetworkId>) {
        if network.is_none_or(|network| *network == self.network) {
            self.lock().lost += 1;
        }
    }

    fn void(&self, network: &NetworkId) {
        if *network == self.network {
            let mut told = self.lock();
            told.voids += 1;
            told.seen = None;
        }
    }
}
