//! What the embedded ledger needs of a store: ordered spaces of keys, and batches that are durable whole or not at all.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, PoisonError, RwLock};

use super::OpenError;

/// The spaces of a store; keys of different spaces have nothing to do with each other. Logs know them by their place: new ones come
/// last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The layout's version and the networks.
    Meta,
    /// What each bucket holds.
    Buckets,
    /// Reservations by id.
    Reservations,
    /// The ids of held reservations, so that a start reads no others.
    Held,
    /// What ended, by instant, so that it is forgotten in time.
    Ended,
    /// The feed.
    Entries,
    /// Adjustments of supply by request id.
    Adjustments,
    /// Networks' documents, in parts.
    Documents,
    /// Offers by id.
    Offers,
    /// Tallies by name.
    Tallies,
    /// The ids of reservations at risk, so that they are found without reading all others.
    AtRisk,
    /// Refused requests that were counted, by instant.
    Refused,
}

impl Space {
    /// All of them.
    pub const ALL: [Space; 12] = [
        Space::Meta,
        Space::Buckets,
        Space::Reservations,
        Space::Held,
        Space::Ended,
        Space::Entries,
        Space::Adjustments,
        Space::Documents,
        Space::Offers,
        Space::Tallies,
        Space::AtRisk,
        Space::Refused,
    ];

    /// Its name on disk, which stays.
    pub fn name(self) -> &'static str {
        match self {
            Space::Meta => "meta",
            Space::Buckets => "buckets",
            Space::Reservations => "reservations",
            Space::Held => "held",
            Space::Ended => "ended",
            Space::Entries => "entries",
            Space::Adjustments => "adjustments",
            Space::Documents => "documents",
            Space::Offers => "offers",
            Space::Tallies => "tallies",
            Space::AtRisk => "at_risk",
            Space::Refused => "refused",
        }
    }
}

/// One write: a value, or none to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub space: Space,
    /// Which.
    pub key: Vec<u8>,
    /// What; none deletes.
    pub value: Option<Vec<u8>>,
}

/// Writes that become durable together, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub Vec<Write>);

impl Batch {
    /// Writes a value.
    pub fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.0.push(Write { space, key, value: Some(value) });
    }

    /// Deletes a key, if it is there.
    pub fn delete(&mut self, space: Space, key: Vec<u8>) {
        self.0.push(Write { space, key, value: None });
    }
}

/// A store that failed. Who sees it opens the store anew and believes what is found there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written.
    #[error("{0}")]
    Nothing(String),
    /// A batch may or may not have been written.
    #[error("{0}")]
    Unknown(String),
}

/// Is told each pair of a scan, until it breaks off.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// A store. Reads see whole batches only, and may be made from any thread while one thread writes.
pub trait Store: Send + Sync + 'static {
    /// One value.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// All pairs with `from <= key < to`, ascending.
    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;

    /// The last key with `from <= key < to`.
    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes the batch; it is as durable as the store gets when this returns.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;
}

/// Where a store is opened, again and again if it fails.
pub trait Medium: Send + 'static {
    /// Opens the store with what the last one left.
    fn open(&mut self) -> Result<Arc<dyn Store>, OpenError>;
}

/// A store in memory: keeps nothing beyond the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    spaces: RwLock<[BTreeMap<Vec<u8>, Vec<u8>>; Space::ALL.len()]>,
}

impl Store for MemoryStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        Ok(spaces[space as usize].get(key).cloned())
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        if from < to {
            let range = (Bound::Included(from), Bound::Excluded(to));
            for (key, value) in spaces[space as usize].range::<[u8], _>(range) {
                if visit(key, value).is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        let range = (Bound::Included(from), Bound::Excluded(to));
        Ok(spaces[space as usize].range::<[u8], _>(range).next_back().map(|(key, _)| key.clone()))
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        for Write { space, key, value } in batch.0 {
            match value {
                Some(value) => spaces[space as usize].insert(key, value),
                None => spaces[space as usize].remove(&key),
            };
        }
        Ok(())
    }
}

/// A store in memory that is opened again as it was.
impl Medium for Arc<MemoryStore> {
    fn open(&mut self) -> Result<Arc<dyn Store>, OpenError> {
        Ok(Arc::clone(self) as Arc<dyn Store>)
    }
}
