//! Rules 6 and 7, forward (when is it done, by which draws) and backward (how late may it be ready).

use super::latest::Latest;
use super::search::{Search, Slot};
use crate::domain::bucket::Availability;
use crate::domain::calendar::Calendar;
use crate::domain::limits::MAX_DRAWS;
use crate::domain::network::Step;
use crate::domain::time::Moment;

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    /// Rule 6: the earliest instant, not before `from`, at which the receipts that have begun hold the quantity; draws it,
    /// latest-begun first.
    pub fn take_stock(&mut self, slot: usize, quantity: i32, from: Moment) -> Option<Moment> {
        if self.unlimited {
            return Some(from);
        }
        let Search { slots, overlay, ask, notes, .. } = self;
        let (at, stock) = (slot as u32, &slots[slot]);
        let wanted = i64::from(quantity);
        let begun = stock.resource.bucketing.containing(stock.calendar, from);
        let mut left = wanted;
        let mut last = Some(begun);
        stock.down(begun, i32::MIN, &ask.pools, |index, free| {
            left -= (free - overlay.units(at, index)).max(0).min(left);
            left == 0
        });
        if left > 0 {
            // Not yet: wait for receipts until they hold it together.
            last = None;
            stock.up(begun + 1, &ask.pools, |index, free| {
                left -= (free - overlay.units(at, index)).max(0).min(left);
                if left == 0 {
                    last = Some(index);
                }
                left == 0
            });
        }
        let last = last?;
        left = wanted;
        stock.down(last, i32::MIN, &ask.pools, |index, free| {
            let free = free - overlay.units(at, index);
            let given = free.min(left);
            if given > 0 {
                overlay.take(at, index, given);
                if let Some(notes) = notes {
                    // A receipt that gave all it had: with less, others would give more. Whether those that have begun hold the
                    // quantity needs no note: where the last of them gives part of what it has, they do.
                    notes.slacks.push((at, index, free - given));
                }
                left -= given;
            }
            left == 0 || overlay.sums().len() > MAX_DRAWS
        });
        let ready = if last == begun { from } else { stock.start(last) };
        (overlay.sums().len() <= MAX_DRAWS).then_some(ready)
    }

    /// Rule 7: when the step is done that could begin at `ready`; draws what it needs. `site` is the source's.
    pub fn take_step(&mut self, step: &Step, quantity: i32, ready: Moment, site: &Calendar) -> Option<Moment> {
        let units = step.draw(quantity);
        let slot = step.resource.map(|r| self.slot(r));
        let start = match slot {
            Some(slot) if units > 0 => self.take_units(slot, step, units, ready)?,
            _ => ready,
        };
        self.finish(step, start, site)
    }

    /// When a step that begins at `start` is done: its lead time, then its lead days.
    pub fn finish(&self, step: &Step, start: Moment, site: &Calendar) -> Option<Moment> {
        let done = start.plus(step.lead_time);
        match (step.lead_days, step.resource) {
            (0, _) => Some(done),
            (days, None) => Some(site.start_of(site.day_of(done) + days)),
            (days, Some(resource)) => {
                let slot = &self.slots[self.slot(resource)];
                let day = slot.supplied_after(slot.calendar.day_of(done), days)?;
                Some(slot.calendar.start_of(day))
            }
        }
    }

    /// Draws the units in the first buckets that can give them; the later of ready and the beginning of the last of them.
    fn take_units(&mut self, slot: usize, step: &Step, units: i64, ready: Moment) -> Option<Moment> {
        let first = self.slots[slot].first_usable(step, ready);
        if self.unlimited {
            return Some(self.slots[slot].start(first).max(ready));
        }
        let Search { slots, overlay, ask, notes, .. } = self;
        let (at, resource) = (slot as u32, &slots[slot]);
        let noted = notes.as_ref().map_or(0, |notes| notes.slacks.len());
        let mut left = units;
        let mut last = None;
        resource.up(first, &ask.pools, |index, free| {
            let free = free - overlay.units(at, index);
            let given = if step.divisible || free >= units { free.min(left) } else { 0 };
            if given > 0 {
                overlay.take(at, index, given);
                if let Some(notes) = notes {
                    notes.slacks.push((at, index, free - given));
                }
                left -= given;
                last = Some(index);
            }
            left == 0 || overlay.sums().len() > MAX_DRAWS
        });
        match last {
            Some(last) if left == 0 && overlay.sums().len() <= MAX_DRAWS => Some(resource.start(last).max(ready)),
            _ => {
                // With less capacity it could not be given either, whatever gave some of it.
                if let Some(notes) = notes.as_mut().filter(|_| overlay.sums().len() <= MAX_DRAWS) {
                    notes.slacks.truncate(noted);
                }
                None
            }
        }
    }

    /// The latest ready with which the step is done early enough; none if there is none from now on. Judged on what the
    /// overlay leaves, without draws of its own.
    pub fn latest_ready(&self, step: &Step, quantity: i32, done: Latest, site: &Calendar) -> Option<Latest> {
        let start = self.latest_start(step, done, site)?;
        match (step.resource, step.draw(quantity)) {
            (Some(resource), units) if units > 0 => self.latest_units(self.slot(resource), step, units, start),
            _ => Some(start),
        }
    }

    /// The latest start with which the step is done early enough: its lead time and lead days back from there.
    pub fn latest_start(&self, step: &Step, done: Latest, site: &Calendar) -> Option<Latest> {
        let until = match (step.lead_days, step.resource) {
            (0, _) => done,
            (days, None) => Latest::before(site.start_of(done.day(site) - days + 1)),
            (days, Some(resource)) => {
                let slot = &self.slots[self.slot(resource)];
                let first = slot.supplied_until(done.day(slot.calendar), days)?;
                Latest::before(slot.calendar.start_of(first))
            }
        };
        Some(until.minus(step.lead_time))
    }

    fn latest_units(&self, slot: usize, step: &Step, units: i64, start: Latest) -> Option<Latest> {
        let (at, resource) = (slot as u32, &self.slots[slot]);
        let last = resource.last_begun(start);
        if self.unlimited {
            return Some(resource.latest_use(step, last).and(start));
        }
        let floor = resource.resource.bucketing.containing(resource.calendar, self.now);
        let mut left = units;
        let mut first = None;
        resource.down(last, floor, &self.ask.pools, |index, free| {
            let free = free - self.overlay.units(at, index);
            if step.divisible {
                left -= free.max(0).min(left);
            } else if free >= units {
                left = 0;
            }
            if left == 0 {
                first = Some(index);
            }
            left == 0
        });
        first.map(|first| resource.latest_use(step, first).and(start))
    }
}

impl<'a, A: Availability + ?Sized + 'a> Slot<'a, A> {
    /// The first bucket that a step ready at this instant can use (rule 7).
    pub fn first_usable(&self, step: &Step, ready: Moment) -> i32 {
        let bucketing = self.resource.bucketing;
        let mut index = if bucketing.is_days() {
            let day = bucketing.containing(self.calendar, ready);
            let late = step.cutoff.is_some_and(|cutoff| {
                ready > self.calendar.at(bucketing.day_of(day), cutoff) && ready > self.start(day)
            });
            day + i32::from(late)
        } else {
            bucketing.from(self.calendar, ready)
        };
        while self.is_void(index) {
            index += 1;
        }
        index
    }

    /// The latest ready that can still use the bucket.
    pub fn latest_use(&self, step: &Step, index: i32) -> Latest {
        let bucketing = self.resource.bucketing;
        if !bucketing.is_days() {
            return Latest::until(self.start(index));
        }
        match step.cutoff {
            Some(cutoff) => Latest::until(self.calendar.at(bucketing.day_of(index), cutoff)),
            None => Latest::before(self.bucket_end(index)),
        }
    }

    /// The last bucket that begins early enough.
    pub fn last_begun(&self, start: Latest) -> i32 {
        let mut index = self.resource.bucketing.containing(self.calendar, start.last());
        while self.is_void(index) {
            index -= 1;
        }
        index
    }
}
