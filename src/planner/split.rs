//! Rule 16, SPLIT: a line in parts, where that helps.

use super::choose::Goal;
use super::lane::Target;
use super::overlay::{Part, Tail};
use super::resolve::Candidate;
use super::search::Search;
use crate::domain::bucket::Availability;
use crate::domain::limits::MAX_PARTS;
use crate::domain::time::Moment;

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    /// Each line on its own, in parts as early as they can be; whether all parts meet the goal. None, and nothing placed: not
    /// all can be had.
    pub fn split_early(&mut self, goal: Goal) -> Option<bool> {
        let mark = self.overlay.mark();
        for line in 0..self.ask.lines.len() {
            if self.split_line(line, goal).is_none() {
                self.overlay.back_to(mark);
                return None;
            }
        }
        Some(self.overlay.legs_since(mark).iter().all(|leg| goal.is_met(leg)))
    }

    /// One line, in parts as early as they can be; whether all of them meet the goal. None, and nothing placed: not all can
    /// be had.
    pub fn split_line(&mut self, line: usize, goal: Goal) -> Option<bool> {
        let quantity = self.ask.lines[line].quantity;
        let mark = self.overlay.mark();
        if !self.split_in_parts(line, quantity, goal) {
            // Small parts can use up what the whole would have needed; the whole is better than nothing.
            self.overlay.back_to(mark);
            self.place_line(line, quantity, goal, None)?;
        }
        Some(self.overlay.legs_since(mark).iter().all(|leg| goal.is_met(leg)))
    }

    /// As many as can come by Y from each candidate in turn, then the rest as early as possible. False: not all of it could be
    /// placed.
    fn split_in_parts(&mut self, line: usize, quantity: i32, goal: Goal) -> bool {
        let mut left = quantity;
        let mut parts = 0;
        if goal.has_deadline() {
            left -= self.parts_by(line, left, &mut parts, |search, part| search.plan_meeting(part, goal));
        }
        while left > 0 && parts + 1 < MAX_PARTS {
            // The earliest arrival of one more item, and as many as can come by then.
            let Some(by) = self.earliest_of_one(line) else { return false };
            let taken =
                self.parts_by(line, left, &mut parts, |search, part| search.plan_meeting(part, Goal::ByTime(by)));
            if taken == 0 {
                return false;
            }
            left -= taken;
        }
        left == 0 || self.place_line(line, left, Goal::Earliest, None).is_some()
    }

    /// As many of the items as each candidate in turn can bring.
    pub fn parts_by(
        &mut self,
        line: usize,
        quantity: i32,
        parts: &mut usize,
        mut place: impl FnMut(&mut Self, Part) -> bool,
    ) -> i32 {
        let ask = self.ask;
        let mut left = quantity;
        for &candidate in &ask.lines[line].candidates {
            if left == 0 || *parts + 1 >= MAX_PARTS {
                break;
            }
            let taken = self.most(line, left, candidate, &mut place);
            left -= taken;
            *parts += usize::from(taken > 0);
        }
        quantity - left
    }

    /// The largest quantity that the candidate can place; places it.
    pub fn most(
        &mut self,
        line: usize,
        quantity: i32,
        candidate: Candidate,
        place: &mut impl FnMut(&mut Self, Part) -> bool,
    ) -> i32 {
        let part = |quantity| Part { line: line as u32, quantity, candidate };
        if place(self, part(quantity)) {
            return quantity;
        }
        let mark = self.overlay.mark();
        let (mut low, mut high) = (0, quantity);
        let mut best: Option<Tail> = None;
        while high - low > 1 {
            // One first: mostly it is nothing at all.
            let middle = if low == 0 && best.is_none() && high == quantity { 1 } else { low + (high - low) / 2 };
            if place(self, part(middle)) {
                best = Some(self.overlay.cut(mark));
                low = middle;
            } else if middle == 1 {
                return 0;
            } else {
                high = middle;
            }
        }
        if let Some(best) = best {
            self.overlay.paste(&best);
        }
        low
    }

    /// Plans the part and keeps it only if it meets the goal.
    pub fn plan_meeting(&mut self, part: Part, goal: Goal) -> bool {
        let mark = self.overlay.mark();
        if !self.plan(part, self.now) {
            return false;
        }
        let met = goal.is_met(&self.overlay.legs_since(mark)[0]);
        if !met {
            self.overlay.back_to(mark);
        }
        met
    }

    fn earliest_of_one(&mut self, line: usize) -> Option<Moment> {
        let ask = self.ask;
        let mark = self.overlay.mark();
        let mut earliest = None;
        for &candidate in &ask.lines[line].candidates {
            if self.plan(Part { line: line as u32, quantity: 1, candidate }, self.now) {
                let by = self.overlay.legs_since(mark)[0].due.by;
                earliest = Some(earliest.map_or(by, |e: Moment| e.min(by)));
                self.overlay.back_to(mark);
            }
        }
        earliest
    }

    /// Each line on its own, in parts that all hit the target.
    pub fn split_late(&mut self, target: Target) -> bool {
        (0..self.ask.lines.len()).all(|line| self.split_line_late(line, target))
    }

    /// One line, in parts that all hit the target. False, and nothing placed: not all of it can.
    pub fn split_line_late(&mut self, line: usize, target: Target) -> bool {
        let quantity = self.ask.lines[line].quantity;
        let mark = self.overlay.mark();
        if self.parts_until_none(line, quantity, |search, part| search.plan_late(part, target)) == quantity {
            return true;
        }
        self.overlay.back_to(mark);
        self.place_line_late(line, quantity, target, None)
    }

    /// As many of the items as each candidate in turn can bring, again and again on what is left, until a pass adds nothing.
    pub fn parts_until_none(
        &mut self,
        line: usize,
        quantity: i32,
        mut place: impl FnMut(&mut Self, Part) -> bool,
    ) -> i32 {
        let (mut left, mut parts) = (quantity, 0);
        while left > 0 {
            let taken = self.parts_by(line, left, &mut parts, &mut place);
            if taken == 0 {
                break;
            }
            left -= taken;
        }
        quantity - left
    }
}
