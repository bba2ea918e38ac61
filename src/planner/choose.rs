//! Rules 13 to 16: which of the plans is taken.

use super::lane::Target;
use super::overlay::{Leg, Mark, Part, Tail};
use super::resolve::Candidate;
use super::search::Search;
use crate::domain::answer::Verdict;
use crate::domain::ask::{Shipments, When};
use crate::domain::bucket::Availability;
use crate::domain::limits::{MAX_DAYS_AHEAD, MAX_DRAWS, MAX_LATER_TRIES};
use crate::domain::network::SiteIdx;
use crate::domain::time::{Day, Moment};

/// What a plan is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Earliest,
    ByDate(Day),
    ByTime(Moment),
    OnDate(Day),
    InWindow(Moment, Moment),
}

impl From<When> for Goal {
    fn from(when: When) -> Goal {
        match when {
            When::Any => Goal::Earliest,
            When::ByDate(day) => Goal::ByDate(day),
            When::ByTime(at) => Goal::ByTime(at),
            When::OnDate(day) => Goal::OnDate(day),
            When::InWindow { from, to } => Goal::InWindow(from, to),
        }
    }
}

impl Goal {
    /// Rule 13.
    pub fn is_met(self, leg: &Leg) -> bool {
        match self {
            Goal::Earliest => true,
            Goal::ByDate(day) => leg.due.date <= day,
            Goal::ByTime(at) => leg.due.by <= at,
            Goal::OnDate(day) => leg.date == day,
            Goal::InWindow(from, to) => from <= leg.arrives_from && leg.arrives_by <= to,
        }
    }

    /// Whether there is a Y to be met, so that the first candidate that meets it is taken.
    pub fn has_deadline(self) -> bool {
        self != Goal::Earliest
    }
}

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    /// Finds the ask's plan and leaves it in the overlay. The goal is the one that the plan was made for: another than the
    /// ask's where an on_date or in_window ask can only be kept on a later day.
    pub fn choose(&mut self) -> (Verdict, Goal) {
        let goal = Goal::from(self.ask.when);
        let mark = self.overlay.mark();
        match goal {
            Goal::Earliest | Goal::ByDate(_) | Goal::ByTime(_) => {
                let verdict = match self.place_early(goal) {
                    Some(true) => Verdict::Promised,
                    Some(false) => Verdict::Later,
                    None => Verdict::Unavailable,
                };
                if self.overlay.sums().len() > MAX_DRAWS {
                    self.overlay.back_to(mark);
                    return (Verdict::Unavailable, goal);
                }
                (verdict, goal)
            }
            Goal::OnDate(day) => {
                if self.place_late(goal) {
                    return (Verdict::Promised, goal);
                }
                self.choose_later_day(day + 1, day + MAX_DAYS_AHEAD, goal)
            }
            Goal::InWindow(from, _) => {
                if self.place_late(goal) {
                    return (Verdict::Promised, goal);
                }
                let day = self.zone_calendar().day_of(from);
                self.choose_later_day(day, day + MAX_DAYS_AHEAD, goal)
            }
        }
    }

    /// Rule 15: the first of these days on which on_date would get a yes. Given up after `MAX_LATER_TRIES`.
    fn choose_later_day(&mut self, first: Day, last: Day, asked: Goal) -> (Verdict, Goal) {
        let Some((from, to)) = self.days_in_reach() else { return (Verdict::Unavailable, asked) };
        let mut day = first.max(from);
        let enough = self.tried + MAX_LATER_TRIES;
        while day <= last.min(to) && self.tried < enough {
            let goal = Goal::OnDate(day);
            if self.place_late(goal) {
                return (Verdict::Later, goal);
            }
            day = day + 1;
        }
        (Verdict::Unavailable, asked)
    }

    /// Days outside of which no plan can hit: a line comes no earlier than its earliest plan, and no later than its
    /// lanes' supply reaches. None: some line can't be had at all.
    fn days_in_reach(&mut self) -> Option<(Day, Day)> {
        let ask = self.ask;
        let (mut first, mut last) = (Day(i32::MIN), Day(i32::MAX));
        let whole = ask.shipments == Shipments::Together;
        for (at, line) in (0..).zip(&ask.lines) {
            let (mut line_first, mut line_last) = (Day(i32::MAX), Day(i32::MIN));
            for &candidate in &line.candidates {
                let part = Part { line: at, quantity: if whole { line.quantity } else { 1 }, candidate };
                if let Some(earliest) = self.earliest_day(part) {
                    line_first = line_first.min(earliest);
                    line_last = line_last.max(self.last_day(candidate));
                }
            }
            first = first.max(line_first);
            last = last.min(line_last);
        }
        (first <= last).then_some((first, last))
    }

    /// A day before which the part can't arrive, close to the first on which it can; none: it can't be had at all.
    fn earliest_day(&mut self, part: Part) -> Option<Day> {
        let mark = self.overlay.mark();
        let lane = self.network.lane(part.candidate.lane);
        let earliest = match lane.transit_time {
            // What departs first may find no slot on the day its hours lead to, and roll beyond days (or the last supply) that
            // a later departure reaches by its own hours: those hours are all that is certain.
            Some(span) if lane.may_overtake() => self.make(&part, self.now).map(|ready| {
                let departs = lane.departure(self.lane_calendar(part.candidate.lane), ready);
                self.zone_calendar().day_of(departs.plus(span))
            }),
            _ if self.plan(part, self.now) => Some(self.overlay.legs_since(mark)[0].date),
            _ => None,
        };
        self.overlay.back_to(mark);
        earliest
    }

    /// The last day on which the candidate's lane can have supply.
    fn last_day(&self, candidate: Candidate) -> Day {
        let lane = self.network.lane(candidate.lane);
        match lane.resource {
            Some(resource) if lane.draws() => {
                let slot = &self.slots[self.slot(resource)];
                // The zone's days and the site's may differ by one.
                slot.resource.bucketing.day_of(slot.end.saturating_sub(1)) + 1
            }
            _ => Day(i32::MAX),
        }
    }

    /// All lines as early as they can be; whether they meet the goal. None: not all can be had.
    pub fn place_early(&mut self, goal: Goal) -> Option<bool> {
        match self.ask.shipments {
            Shipments::Split => self.split_early(goal),
            Shipments::Together => self.place_together(goal),
        }
    }

    /// All lines so that they hit the goal, as late as they can be.
    pub fn place_late(&mut self, goal: Goal) -> bool {
        let Some(target) = goal.target() else { return false };
        let mark = self.overlay.mark();
        let placed = match self.ask.shipments {
            Shipments::Split => self.split_late(target),
            Shipments::Together => self.place_together_late(target),
        };
        if placed && self.overlay.sums().len() <= MAX_DRAWS {
            return true;
        }
        self.overlay.back_to(mark);
        false
    }

    /// Rule 16, TOGETHER.
    fn place_together(&mut self, goal: Goal) -> Option<bool> {
        let mark = self.overlay.mark();
        let mut best: Option<(Moment, Tail)> = None;
        for i in 0..=self.ask.common_sites.len() {
            let site = self.ask.common_sites.get(i).copied();
            let Some(met) = self.place_lines(goal, site) else { continue };
            if met && goal.has_deadline() {
                return Some(true);
            }
            let comes = self.comes_by(mark);
            let tail = self.overlay.cut(mark);
            if best.as_ref().is_none_or(|(by, _)| comes < *by) {
                best = Some((comes, tail));
            }
        }
        let (_, tail) = best?;
        self.overlay.paste(&tail);
        Some(!goal.has_deadline())
    }

    /// The end of the last arrival of what was planned since the mark.
    pub fn comes_by(&self, mark: Mark) -> Moment {
        self.overlay.legs_since(mark).iter().map(|l| l.due.by).max().unwrap_or(Moment::MIN)
    }

    /// Every line in its order, from one site or from any. None, and nothing placed: not all can be had.
    fn place_lines(&mut self, goal: Goal, site: Option<SiteIdx>) -> Option<bool> {
        let mark = self.overlay.mark();
        let mut met = true;
        for line in 0..self.ask.lines.len() {
            let quantity = self.ask.lines[line].quantity;
            match self.place_line(line, quantity, goal, site) {
                Some(this) => met &= this,
                None => {
                    self.overlay.back_to(mark);
                    return None;
                }
            }
        }
        Some(met)
    }

    /// Rule 14: one line, whole, by the first candidate that meets the deadline, else by the earliest.
    pub fn place_line(&mut self, line: usize, quantity: i32, goal: Goal, site: Option<SiteIdx>) -> Option<bool> {
        let ask = self.ask;
        let mark = self.overlay.mark();
        let mut best: Option<Tail> = None;
        let candidates = &ask.lines[line].candidates;
        for (i, &candidate) in candidates.iter().enumerate() {
            if site.is_some_and(|s| s != candidate.site) {
                continue;
            }
            if !self.plan(Part { line: line as u32, quantity, candidate }, self.now) {
                continue;
            }
            let leg = self.overlay.legs_since(mark)[0];
            if goal.has_deadline() {
                if goal.is_met(&leg) {
                    return Some(true);
                }
                if let Some(notes) = &mut self.notes {
                    notes.late = Some(notes.late.map_or(leg.due.date, |late| late.min(leg.due.date)));
                }
            }
            // The last candidate need not be put aside to be compared with nothing.
            if best.is_none() && i + 1 == candidates.len() {
                return Some(!goal.has_deadline());
            }
            if best.as_ref().is_none_or(|b| leg.due.by < b.legs[0].due.by) {
                best = Some(self.overlay.cut(mark));
            } else {
                self.overlay.back_to(mark);
            }
        }
        self.overlay.paste(&best?);
        Some(!goal.has_deadline())
    }

    fn place_together_late(&mut self, target: Target) -> bool {
        let mark = self.overlay.mark();
        for i in 0..=self.ask.common_sites.len() {
            let site = self.ask.common_sites.get(i).copied();
            let placed = (0..self.ask.lines.len()).all(|line| {
                let quantity = self.ask.lines[line].quantity;
                self.place_line_late(line, quantity, target, site)
            });
            if placed {
                return true;
            }
            self.overlay.back_to(mark);
        }
        false
    }

    /// One line, whole, by the first candidate that hits the target (rule 15).
    pub fn place_line_late(&mut self, line: usize, quantity: i32, target: Target, site: Option<SiteIdx>) -> bool {
        let ask = self.ask;
        ask.lines[line]
            .candidates
            .iter()
            .filter(|c| site.is_none_or(|s| s == c.site))
            .any(|&candidate| self.plan_late(Part { line: line as u32, quantity, candidate }, target))
    }
}
