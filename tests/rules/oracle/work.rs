//! Rules 6 and 7: when a line is ready to leave its site.

use std::collections::BTreeSet;

use surety::domain::network::{SourceSpec, StepSpec};
use surety::domain::time::Moment;

use super::shelf::{Shelf, Slot};
use super::{Book, Oracle};
use crate::civil::{at, begin_of, day_of, minutes_of};

impl Oracle<'_> {
    pub(super) fn make(&self, book: &mut Book, source: &SourceSpec, quantity: i32, now: Moment) -> Option<Moment> {
        let mut ready = now;
        if !source.stock.is_empty() {
            ready = self.pick(book, self.shelf(&source.stock), i64::from(quantity), now)?;
        }
        if !source.process.is_empty() {
            let process =
                self.spec.processes.iter().find(|p| p.id == source.process).expect("a process of the network");
            for step in &process.steps {
                ready = self.step(book, step, source, quantity, ready)?;
            }
        }
        Some(ready)
    }

    pub(super) fn pick(&self, book: &mut Book, shelf: &Shelf<'_>, quantity: i64, now: Moment) -> Option<Moment> {
        let later = shelf.slots.iter().map(|slot| slot.start).filter(|&t| t > now);
        for ready in std::iter::once(now).chain(later) {
            let begun: Vec<&Slot> = shelf.slots.iter().filter(|slot| slot.start <= ready).collect();
            if begun.iter().map(|slot| Self::left(book, shelf, slot)).sum::<i64>() >= quantity {
                let mut missing = quantity;
                for slot in begun.into_iter().rev() {
                    let part = missing.min(Self::left(book, shelf, slot));
                    Self::take(book, shelf, slot, part);
                    missing -= part;
                }
                return Some(ready);
            }
        }
        None
    }

    pub(super) fn step(
        &self,
        book: &mut Book,
        step: &StepSpec,
        source: &SourceSpec,
        quantity: i32,
        ready: Moment,
    ) -> Option<Moment> {
        let draw = step.per_line + step.per_item * i64::from(quantity);
        let mut start = ready;
        if !step.resource.is_empty() && draw > 0 {
            let shelf = self.shelf(&step.resource);
            let mut missing = draw;
            let mut last = ready;
            for slot in shelf.slots.iter().filter(|slot| Self::usable(shelf, slot, step, ready)) {
                let left = Self::left(book, shelf, slot);
                if left <= 0 || (!step.divisible && left < draw) {
                    continue;
                }
                let part = missing.min(left);
                Self::take(book, shelf, slot, part);
                missing -= part;
                last = slot.start;
                if missing == 0 {
                    break;
                }
            }
            if missing > 0 {
                return None;
            }
            start = ready.max(last);
        }
        let done = start.plus(*step.lead_time.as_ref().expect("a span"));
        if step.lead_days == 0 {
            return Some(done);
        }
        if step.resource.is_empty() {
            let clock = &self.site(&source.site).time_zone;
            return Some(begin_of(clock, day_of(clock, done) + step.lead_days));
        }
        let shelf = self.shelf(&step.resource);
        let worked = shelf.slots.iter().filter(|slot| slot.units > 0).map(|slot| slot.index.div_euclid(shelf.per_day));
        let days: BTreeSet<i32> = worked.filter(|&day| day > day_of(shelf.clock, done)).collect();
        let day = days.into_iter().nth(step.lead_days as usize - 1)?;
        Some(begin_of(shelf.clock, day))
    }

    pub(super) fn usable(shelf: &Shelf<'_>, slot: &Slot, step: &StepSpec, ready: Moment) -> bool {
        if slot.start >= ready {
            return true;
        }
        let contains = slot.start <= ready && ready < slot.end;
        let in_time = || step.cutoff.is_empty() || ready <= at(shelf.clock, slot.index, minutes_of(&step.cutoff));
        shelf.per_day == 1 && contains && in_time()
    }
}
