//! Rule 12: until when the same ask would still get the same arrival. Found backward from each leg's arrival; where legs
//! depend on each other, tried forward and, if need be, searched.

use super::choose::Goal;
use super::lane::Target;
use super::overlay::{Leg, Overlay};
use super::search::Search;
use crate::domain::bucket::Availability;
use crate::domain::time::{Moment, SECOND};

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    /// The instant up to which every leg of the plan would still arrive as it does; `now` where it moves with `now`.
    pub fn order_by(&mut self, goal: Goal) -> Moment {
        let plan = std::mem::take(&mut self.overlay);
        let repeats = plan.repeats();
        let roundabout = plan.legs().iter().any(|leg| self.is_roundabout(leg));
        let mut bound: Option<Moment> = None;
        if repeats {
            self.overlay = plan.clone();
        }
        for leg in plan.legs() {
            // Judged on what the others leave.
            if repeats {
                self.overlay.lift(leg);
            }
            let departures = self.latest_for_leg(leg);
            let until = self.latest_begin(&leg.part, departures).map_or(self.now, |until| until.at.max(self.now));
            if repeats {
                self.overlay.lay_back(leg);
            }
            bound = Some(bound.map_or(until, |b| b.min(until)));
        }
        let mut until = bound.unwrap_or(self.now);
        self.overlay = Overlay::default();
        if repeats || roundabout {
            until = self.search_order_by(plan.legs(), goal, until);
        }
        self.overlay = plan;
        until
    }

    /// Whether a leg by transit_time arrives on another day than its hours lead to, because no slot there could take it.
    pub fn is_roundabout(&self, leg: &Leg) -> bool {
        let lane = self.network.lane(leg.part.candidate.lane);
        match (lane.transit_time, leg.bucket) {
            (Some(span), Some(_)) => self.zone_calendar().day_of(leg.departs.plus(span)) != leg.date,
            _ => false,
        }
    }

    /// The same, where draws depend on each other: the bound is right if the plan holds until there and not beyond; else the
    /// first instant at which it is lost is searched for.
    fn search_order_by(&mut self, legs: &[Leg], goal: Goal, bound: Moment) -> Moment {
        let now = self.now;
        let holds = |search: &mut Self, at: Moment| at <= now || search.holds_at(legs, goal, at);
        let just_before = Moment(bound.0 - 1);
        if holds(self, just_before) && !holds(self, Moment(bound.0 + 1)) {
            return bound;
        }
        // `low` holds, `high` does not.
        let (mut low, mut high) =
            if holds(self, just_before) { (just_before, legs_end(legs)) } else { (now, just_before) };
        while high.0 - low.0 > 1 {
            let middle = Moment(low.0 + (high.0 - low.0) / 2);
            if holds(self, middle) { low = middle } else { high = middle }
        }
        // An end that is not itself in time (midnight) is a whole second, the last instant before it is not.
        if high.0 % SECOND == 0 { high } else { low }
    }

    /// Whether the same parts, planned anew from `at`, arrive no later than these legs.
    fn holds_at(&mut self, legs: &[Leg], goal: Goal, at: Moment) -> bool {
        let now = std::mem::replace(&mut self.now, at);
        self.overlay = Overlay::default();
        let holds = legs.iter().enumerate().all(|(i, leg)| {
            let planned = match goal.target() {
                Some(target) => self.plan_late(leg.part, target),
                None => self.plan(leg.part, at),
            };
            planned && self.overlay.legs()[i].arrives_by <= leg.arrives_by
        });
        self.now = now;
        holds
    }
}

/// No plan begun after the last departure arrives in time.
fn legs_end(legs: &[Leg]) -> Moment {
    legs.iter().map(|l| Moment(l.arrives_by.max(l.departs).0 + 1)).max().unwrap_or(Moment(0))
}

impl Goal {
    /// What a late plan must hit.
    pub fn target(self) -> Option<Target> {
        match self {
            Goal::OnDate(day) => Some(Target::Day(day)),
            Goal::InWindow(from, to) => Some(Target::Window(from, to)),
            Goal::Earliest | Goal::ByDate(_) | Goal::ByTime(_) => None,
        }
    }
}
