//! Reservations that were lately seen: who confirms or releases them mostly need not be asked for first. A step names the version that
//! it was worked out for, so what is old here costs another turn and nothing else.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::stored::Stored;
use crate::domain::id::ReservationId;

/// How many are kept at most: some 60 MB, as a soak has them (small orders, amended now and then).
const MOST: usize = 16_384;

/// The last ones that were seen. Each that comes in lets go of at most one: to drop thousands at once would keep a batch, and all
/// who wait for it, for milliseconds.
#[derive(Default)]
pub struct Recent {
    known: FxHashMap<ReservationId, (u64, Stored)>,
    /// Which was seen when, oldest first; one that was seen again since has a later place too.
    seen: VecDeque<(u64, ReservationId)>,
    next: u64,
}

impl Recent {
    /// What was last seen of it.
    pub fn get(&self, id: &ReservationId) -> Option<&Stored> {
        self.known.get(id).map(|(_, stored)| stored)
    }

    /// This was seen.
    pub fn put(&mut self, stored: Stored) {
        self.next += 1;
        self.seen.push_back((self.next, stored.reservation.id.clone()));
        self.known.insert(stored.reservation.id.clone(), (self.next, stored));
        if self.seen.len() > MOST
            && let Some((place, id)) = self.seen.pop_front()
            && self.known.get(&id).is_some_and(|(last, _)| *last == place)
        {
            self.known.remove(&id);
        }
    }

    /// It is not there any more.
    pub fn remove(&mut self, id: &ReservationId) {
        self.known.remove(id);
    }

    /// Nothing that was seen counts any more.
    pub fn clear(&mut self) {
        self.known.clear();
        self.seen.clear();
    }
}
