//! The run's own book: what servers acknowledged to it, and from when until when it is certain to have been taken.
//!
//! Certainty is the point. A hold counts from the instant at which its answer was here until its time is over, reckoned from before
//! it was asked for; a released one until the release was sent. So if the book ever shows more than there is, a server has promised too
//! much, whatever the network did to the messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;
use smallvec::SmallVec;

use super::dice::Dice;

/// An instant of the run, in microseconds since it began.
pub type Micros = u64;

/// What a hold takes of the network that was made for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taken {
    /// The product, by its index.
    pub product: u32,
    /// The day of whose buckets it draws.
    pub day: Date,
    /// Units in each.
    pub units: i64,
}

/// A hold that was acknowledged.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its number in this run, of which its id is made.
    pub number: u64,
    /// Certain from here on,
    pub from: Micros,
    /// until here.
    pub until: Micros,
    /// Whether its confirmation was acknowledged.
    pub confirmed: bool,
    /// Whether its release was sent.
    pub released: bool,
    /// What it takes; empty if that is not known.
    pub lines: SmallVec<[Taken; 1]>,
}

/// The book.
#[derive(Debug, Default)]
pub struct Book(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    holds: Vec<Held>,
    /// Holds that nothing was done with yet, by index, roughly the oldest first.
    ready: VecDeque<usize>,
}

/// Tries to find a hold that is not about to end: where most of the waiting ones are, there is little sense in more.
const TRIES: usize = 16;

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        // A panic elsewhere leaves whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a hold that was acknowledged.
    pub fn note(&self, held: Held) {
        let mut pages = self.pages();
        let at = pages.holds.len();
        pages.holds.push(held);
        pages.ready.push_back(at);
    }

    /// Takes out a hold by chance of those that live at least until `until`; its place in the book and its number.
    pub fn take(&self, until: Micros, dice: &mut Dice) -> Option<(usize, u64)> {
        let mut pages = self.pages();
        let pages = &mut *pages;
        while pages.ready.front().is_some_and(|at| pages.holds[*at].until < until) {
            pages.ready.pop_front();
        }
        for _ in 0..TRIES {
            let at = pages.ready.swap_remove_back(dice.below(pages.ready.len()))?;
            let held = &pages.holds[at];
            if held.until >= until {
                return Some((at, held.number));
            }
        }
        None
    }

    /// Its confirmation was acknowledged: it stays until it is released, which this run does not do.
    pub fn confirmed(&self, at: usize) {
        let mut pages = self.pages();
        pages.holds[at].confirmed = true;
        pages.holds[at].until = Micros::MAX;
    }

    /// Its release is about to be sent: from now on nothing about it is certain.
    pub fn releasing(&self, at: usize, now: Micros) {
        let held = &mut self.pages().holds[at];
        held.released = true;
        held.until = held.until.min(now);
    }

    /// All that was noted.
    pub fn all(&self) -> Vec<Held> {
        self.pages().holds.clone()
    }
}

/// The most units that were certainly taken at one instant, by product and day.
pub fn peaks(holds: &[Held]) -> BTreeMap<(u32, Date), i64> {
    let mut changes: Vec<(u32, Date, Micros, i64)> = Vec::new();
    for held in holds.iter().filter(|held| held.until > held.from) {
        for taken in &held.lines {
            changes.push((taken.product, taken.day, held.from, taken.units));
            changes.push((taken.product, taken.day, held.until, -taken.units));
        }
    }
    // At the same instant, what ends goes before what begins: both at once is not certain.
    changes.sort_unstable();
    let mut peaks = BTreeMap::new();
    let mut level = 0;
    let mut of = None;
    for (product, day, _, units) in changes {
        if of.replace((product, day)) != Some((product, day)) {
            level = 0;
        }
        level += units;
        let peak = peaks.entry((product, day)).or_insert(0);
        *peak = level.max(*peak);
    }
    peaks
}

/// Units that are certainly taken all the time from `from` until `to`, by product and day.
pub fn standing(holds: &[Held], from: Micros, to: Micros) -> BTreeMap<(u32, Date), i64> {
    let mut standing = BTreeMap::new();
    for taken in holds.iter().filter(|held| held.from <= from && held.until > to).flat_map(|held| &held.lines) {
        *standing.entry((taken.product, taken.day)).or_insert(0) += taken.units;
    }
    standing
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn held(number: u64, from: Micros, until: Micros, units: i64) -> Held {
        let taken = Taken { product: 0, day: date(2026, 12, 1), units };
        Held { number, from, until, confirmed: false, released: false, lines: SmallVec::from_elem(taken, 1) }
    }

    #[test]
    fn a_peak_is_what_was_certain_at_one_instant() {
        let key = (0, date(2026, 12, 1));
        let peak = |holds: &[Held]| peaks(holds).get(&key).copied();
        assert_eq!(peak(&[]), None);
        assert_eq!(peak(&[held(1, 0, 10, 2), held(2, 10, 20, 3)]), Some(3), "one ends as the other begins");
        assert_eq!(peak(&[held(1, 0, 11, 2), held(2, 10, 20, 3)]), Some(5));
        assert_eq!(peak(&[held(1, 5, 5, 2)]), None, "released before it was acknowledged");
        let mut other = held(3, 0, 20, 7);
        other.lines[0].day = date(2026, 12, 2);
        let peaks = peaks(&[held(1, 0, 20, 2), other]);
        assert_eq!(peaks.into_values().collect::<Vec<_>>(), [2, 7], "each bucket by itself");
    }

    #[test]
    fn holds_are_taken_out_once_and_alive() {
        let book = Book::default();
        let mut dice = Dice::new(1, 0);
        assert_eq!(book.take(0, &mut dice), None);
        for (number, until) in [(1, 10), (2, 90), (3, 20), (4, 80)] {
            book.note(held(number, 0, until, 1));
        }
        let mut taken = Vec::new();
        while let Some((at, number)) = book.take(50, &mut dice) {
            taken.push(number);
            match number {
                2 => book.confirmed(at),
                _ => book.releasing(at, 60),
            }
        }
        taken.sort_unstable();
        assert_eq!(taken, [2, 4]);
        assert_eq!(standing(&book.all(), 55, 70).into_values().collect::<Vec<_>>(), [1], "the confirmed one");
        assert!(book.all()[1].confirmed && book.all()[3].released);
    }
}
