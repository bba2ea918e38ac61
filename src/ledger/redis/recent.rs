//! Reservations that were lately seen: who confirms or releases them mostly need not be asked for first. A step names the version that
//! it was worked out for, so what is old here costs another turn and nothing else.

use rustc_hash::FxHashMap;

use super::stored::Stored;
use crate::domain::id::ReservationId;

/// Reservations of one of the two generations: some 30 MB, as a soak has it (small orders, amended now and then).
const MOST: usize = 8_192;

/// Two generations: when the younger is full, the older is dropped.
#[derive(Default)]
pub struct Recent {
    younger: FxHashMap<ReservationId, Stored>,
    older: FxHashMap<ReservationId, Stored>,
}

impl Recent {
    /// What was last seen of it.
    pub fn get(&self, id: &ReservationId) -> Option<&Stored> {
        self.younger.get(id).or_else(|| self.older.get(id))
    }

    /// This was seen.
    pub fn put(&mut self, stored: Stored) {
        if self.younger.len() >= MOST {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(stored.reservation.id.clone(), stored);
    }

    /// It is not there any more.
    pub fn remove(&mut self, id: &ReservationId) {
        self.younger.remove(id);
        self.older.remove(id);
    }

    /// Nothing that was seen counts any more.
    pub fn clear(&mut self) {
        self.younger.clear();
        self.older.clear();
    }
}
