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
pub type Recent = Kept<Stored>;

/// See [`Recent`]; of anything that has a reservation's id.
pub struct Kept<T> {
    known: FxHashMap<ReservationId, (u64, T)>,
    /// Which was seen when, oldest first; one that was seen again since has a later place too.
    seen: VecDeque<(u64, ReservationId)>,
    next: u64,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept { known: FxHashMap::default(), seen: VecDeque::new(), next: 0 }
    }
}

impl Recent {
    /// This was seen.
    pub fn put(&mut self, stored: Stored) {
        self.keep(stored.reservation.id.clone(), stored);
    }
}

impl<T> Kept<T> {
    /// What was last seen of it.
    pub fn get(&self, id: &ReservationId) -> Option<&T> {
        self.known.get(id).map(|(_, stored)| stored)
    }

    fn keep(&mut self, id: ReservationId, what: T) {
        self.next += 1;
        self.seen.push_back((self.next, id.clone()));
        self.known.insert(id, (self.next, what));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> ReservationId {
        ReservationId::new(&format!("r{n}")).expect("an id")
    }

    #[test]
    fn the_last_are_kept_and_each_that_comes_in_lets_go_of_one() {
        let mut kept = Kept::default();
        for n in 0..MOST + 100 {
            let before = kept.known.len();
            kept.keep(id(n), n);
            assert!(kept.known.len() + 1 >= before, "one at most went");
            assert!(kept.known.len() <= MOST && kept.seen.len() <= MOST);
        }
        assert_eq!(kept.get(&id(99)), None);
        assert_eq!(kept.get(&id(100)), Some(&100));
        assert_eq!(kept.get(&id(MOST + 99)), Some(&(MOST + 99)));
    }

    #[test]
    fn what_is_seen_again_is_kept_as_it_was_last_seen_and_as_long_as_from_then() {
        let mut kept = Kept::default();
        kept.keep(id(0), 0);
        for n in 1..MOST {
            kept.keep(id(n), n);
        }
        kept.keep(id(0), 7);
        assert_eq!(kept.get(&id(0)), Some(&7));
        assert_eq!(kept.get(&id(1)), Some(&1));
        for n in MOST..2 * MOST - 2 {
            kept.keep(id(n), n);
        }
        assert_eq!(kept.get(&id(0)), Some(&7), "its first place is gone, its second is not");
        kept.keep(id(2 * MOST), 0);
        kept.keep(id(2 * MOST + 1), 0);
        assert_eq!(kept.get(&id(0)), None);
    }

    #[test]
    fn one_that_is_seen_again_and_again_pushes_nothing_out_but_places() {
        let mut kept = Kept::default();
        for n in 0..3 * MOST {
            kept.keep(id(1), n);
            assert!(kept.seen.len() <= MOST);
        }
        assert_eq!((kept.get(&id(1)), kept.known.len()), (Some(&(3 * MOST - 1)), 1));
    }

    #[test]
    fn what_is_gone_is_forgotten_and_may_come_again() {
        let mut kept = Kept::default();
        kept.keep(id(1), 1);
        kept.remove(&id(1));
        assert_eq!(kept.get(&id(1)), None);
        kept.keep(id(1), 2);
        assert_eq!(kept.get(&id(1)), Some(&2));
        kept.clear();
        assert_eq!((kept.get(&id(1)), kept.seen.len()), (None, 0));
    }
}
