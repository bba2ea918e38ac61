//! What the ask itself has taken so far: its own draws, added up by bucket (rule 17), and the legs they belong to. Can be
//! taken back step by step while candidates are tried.

use smallvec::SmallVec;

use super::resolve::Candidate;
use crate::domain::time::{Day, Moment};

/// Units of one bucket: the place of the resource in the search, the bucket, how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub slot: u32,
    pub index: i32,
    pub units: i64,
}

/// What one candidate is to bring: so many items of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub line: u32,
    pub quantity: i32,
    pub candidate: Candidate,
}

/// A part with its way through time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub part: Part,
    pub departs: Moment,
    pub arrives_from: Moment,
    pub arrives_by: Moment,
    pub date: Day,
    /// The bucket of the lane's resource, where it has one.
    pub bucket: Option<i32>,
    /// What may be promised of it.
    pub due: Due,
    /// Where its draws begin and end in the log.
    draws: (u32, u32),
}

/// The arrival as it may be promised: that of the plan, or some days later where the ask wants a surer date.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub from: Moment,
    pub by: Moment,
    pub date: Day,
    /// Days later than the plan.
    pub days: i32,
}

/// A point to go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    log: usize,
    legs: usize,
}

/// What was taken since a mark, kept to be compared and put back.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub legs: SmallVec<[Leg; 2]>,
    log: SmallVec<[Entry; 8]>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    /// By slot and index, ascending.
    sums: SmallVec<[Entry; 8]>,
    log: SmallVec<[Entry; 8]>,
    legs: SmallVec<[Leg; 2]>,
}

impl Overlay {
    fn find(&self, slot: u32, index: i32) -> Result<usize, usize> {
        self.sums.binary_search_by(|e| (e.slot, e.index).cmp(&(slot, index)))
    }

    /// Units taken of one bucket.
    pub fn units(&self, slot: u32, index: i32) -> i64 {
        if self.sums.is_empty() {
            return 0;
        }
        self.find(slot, index).map_or(0, |at| self.sums[at].units)
    }

    pub fn take(&mut self, slot: u32, index: i32, units: i64) {
        let entry = Entry { slot, index, units };
        self.log.push(entry);
        self.add(entry);
    }

    fn add(&mut self, entry: Entry) {
        match self.find(entry.slot, entry.index) {
            Ok(at) => self.sums[at].units += entry.units,
            Err(at) => self.sums.insert(at, entry),
        }
    }

    /// Draws so far, each bucket once, by resource and bucket.
    pub fn sums(&self) -> &[Entry] {
        &self.sums
    }

    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }

    pub fn mark(&self) -> Mark {
        Mark { log: self.log.len(), legs: self.legs.len() }
    }

    /// Ends the leg whose draws began at the mark.
    pub fn end_leg(&mut self, since: Mark, part: Part, departs: Moment, arrival: Arrival, due: Due) {
        let Arrival { from, by, date, bucket } = arrival;
        self.legs.push(Leg {
            part,
            departs,
            arrives_from: from,
            arrives_by: by,
            date,
            bucket,
            due,
            draws: (since.log as u32, self.log.len() as u32),
        });
    }

    /// Keeps the draws as those of another order: what comes now is not one shipment with them.
    #[cfg(test)]
    pub fn forget_legs(&mut self) {
        self.legs.clear();
    }

    pub fn legs_since(&self, mark: Mark) -> &[Leg] {
        &self.legs[mark.legs..]
    }

    /// What was taken since the mark, one entry for each time.
    pub fn taken_since(&self, mark: Mark) -> &[Entry] {
        &self.log[mark.log..]
    }

    /// Gives back all that was taken since the mark.
    pub fn back_to(&mut self, mark: Mark) {
        self.legs.truncate(mark.legs);
        while self.log.len() > mark.log {
            if let Some(Entry { slot, index, units }) = self.log.pop() {
                self.give(slot, index, units);
            }
        }
    }

    fn give(&mut self, slot: u32, index: i32, units: i64) {
        if let Ok(at) = self.find(slot, index) {
            self.sums[at].units -= units;
            if self.sums[at].units == 0 {
                self.sums.remove(at);
            }
        }
    }

    /// Gives back all that was taken since the mark, and keeps a note of it.
    pub fn cut(&mut self, mark: Mark) -> Tail {
        let tail = Tail {
            legs: SmallVec::from_slice(&self.legs[mark.legs..]),
            log: SmallVec::from_slice(&self.log[mark.log..]),
        };
        self.back_to(mark);
        tail
    }

    /// Takes again what was cut at this very point.
    pub fn paste(&mut self, tail: &Tail) {
        for e in &tail.log {
            self.take(e.slot, e.index, e.units);
        }
        self.legs.extend_from_slice(&tail.legs);
    }

    /// Gives back the draws of one leg for a moment; `lay_back` takes them again. The leg itself stays noted.
    pub fn lift(&mut self, leg: &Leg) {
        for at in leg.draws.0..leg.draws.1 {
            let Entry { slot, index, units } = self.log[at as usize];
            self.give(slot, index, units);
        }
    }

    /// Takes again what was lifted.
    pub fn lay_back(&mut self, leg: &Leg) {
        for at in leg.draws.0..leg.draws.1 {
            self.add(self.log[at as usize]);
        }
    }

    /// Whether some resource was drawn on at two times, by two steps or two legs, so that they depend on each other.
    pub fn repeats(&self) -> bool {
        let legs = &self.legs;
        if legs.iter().any(|l| l.part.candidate.repeats) {
            return true;
        }
        legs.iter().enumerate().any(|(i, a)| {
            legs[i + 1..].iter().any(|b| {
                let (mine, other) = (self.draws_of(a), self.draws_of(b));
                mine.iter().any(|e| other.iter().any(|o| o.slot == e.slot))
                    || a.part.candidate.lane == b.part.candidate.lane && a.bucket.is_some()
            })
        })
    }

    fn draws_of(&self, leg: &Leg) -> &[Entry] {
        &self.log[leg.draws.0 as usize..leg.draws.1 as usize]
    }
}

/// When a shipment arrives (rules 9 to 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub from: Moment,
    pub by: Moment,
    pub date: Day,
    pub bucket: Option<i32>,
}
