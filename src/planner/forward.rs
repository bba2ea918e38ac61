//! One part planned through time: forward from an instant (rules 6 to 11), or so that it hits a target, as late as it can be
//! (rule 15).

use super::lane::Target;
use super::latest::Latest;
use super::overlay::{Due, Part};
use super::search::Search;
use crate::domain::bucket::Availability;
use crate::domain::network::{Source, Step};
use crate::domain::time::{Day, Moment};

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    pub fn source(&self, part: &Part) -> &'a Source {
        let product = self.ask.lines[part.line as usize].product;
        &self.network.product(product).sources[part.candidate.source as usize]
    }

    pub fn steps(&self, part: &Part) -> &'a [Step] {
        self.source(part).process.map_or(&[], |p| &self.network.process(p).steps)
    }

    /// When the goods are ready to leave, begun at `from`.
    pub fn make(&mut self, part: &Part, from: Moment) -> Option<Moment> {
        let source = self.source(part);
        let site = &self.network.site(source.site).calendar;
        let mut ready = from;
        if let Some(stock) = source.stock {
            ready = self.take_stock(self.slot(stock), part.quantity, ready)?;
        }
        for step in self.steps(part) {
            ready = self.take_step(step, part.quantity, ready, site)?;
        }
        Some(ready)
    }

    /// Rules 6 to 11: plans the part from an instant on, as early as it can be. Adds its leg, or nothing.
    pub fn plan(&mut self, part: Part, from: Moment) -> bool {
        let mark = self.overlay.mark();
        let lane = self.network.lane(part.candidate.lane);
        let planned = self.make(&part, from).and_then(|ready| {
            let departs = lane.departure(self.lane_calendar(part.candidate.lane), ready);
            let arrival = self.arrive(&part, departs, None)?;
            // What could not be promised as surely as it is asked for, not even later, is as good as not to be had.
            Some((departs, arrival, self.due(part.candidate.lane, &arrival)?))
        });
        match planned {
            Some((departs, arrival, due)) => self.overlay.end_leg(mark, part, departs, arrival, due),
            None => self.overlay.back_to(mark),
        }
        planned.is_some()
    }

    /// The latest instant from which all that is done at the site comes in time for these departures.
    pub fn latest_begin(&self, part: &Part, departures: Latest) -> Option<Latest> {
        let lane = self.network.lane(part.candidate.lane);
        let site = &self.network.site(part.candidate.site).calendar;
        let mut until = lane.latest_ready(site, self.now, departures)?;
        for step in self.steps(part).iter().rev() {
            until = self.latest_ready(step, part.quantity, until, site)?;
        }
        Some(until)
    }

    /// Rule 15: plans the part so that it hits the target, as though `now` were the beginning of the latest day, not before
    /// today, from which it does, by the latest departure. Adds its leg, or nothing.
    pub fn plan_late(&mut self, part: Part, target: Target) -> bool {
        self.tried += 1;
        let Some(departures) = self.latest_for(&part, target) else { return false };
        let Some(begin) = self.latest_begin(&part, departures) else { return false };
        if !begin.admits(self.now) {
            return false;
        }
        let site = &self.network.site(part.candidate.site).calendar;
        let today = site.day_of(self.now);
        let mut day = begin.day(site).max(today);
        if self.plan_from_day(part, target, day, departures) {
            return true;
        }
        // The backward pass looks at one draw at a time and at the last slot of the target. Where draws of one resource
        // depend on each other, or where a departure may come too early for its target, earlier days are tried as well.
        let lane = self.network.lane(part.candidate.lane);
        if !part.candidate.repeats && !lane.may_overtake() {
            return false;
        }
        while day > today {
            day = day - 1;
            self.tried += 1;
            if self.plan_from_day(part, target, day, departures) {
                return true;
            }
        }
        false
    }

    fn plan_from_day(&mut self, part: Part, target: Target, day: Day, departures: Latest) -> bool {
        let mark = self.overlay.mark();
        let at = part.candidate.lane;
        let lane = self.network.lane(at);
        let calendar = self.lane_calendar(at);
        let from = self.network.site(part.candidate.site).calendar.start_of(day).max(self.now);
        let window = match target {
            Target::Day(_) => None,
            Target::Window(from, to) => Some((from, to)),
        };
        let planned = self.make(&part, from).and_then(|ready| {
            let mut departures = if part.candidate.repeats { self.latest_for(&part, target)? } else { departures };
            loop {
                let departs = lane.latest_departure(calendar, ready, departures)?;
                let made = self.overlay.mark();
                let arrival = self.arrive(&part, departs, window);
                if let Some(arrival) = arrival.filter(|a| target.is_hit(a)) {
                    return Some((departs, arrival));
                }
                // What departs earlier arrives no later, except where hours lead to a day on which nothing else arrives.
                if !lane.may_overtake() {
                    return None;
                }
                self.overlay.back_to(made);
                departures = Latest::before(departs);
            }
        });
        match planned {
            // A day or window that was asked for never moves.
            Some((departs, arrival)) => self.overlay.end_leg(mark, part, departs, arrival, Due::of(&arrival)),
            None => self.overlay.back_to(mark),
        }
        planned.is_some()
    }
}
