//! Why not by Y: what stands between the ask and a yes.
//!
//! Each line is looked at in its order, on what those before it took. For each of its first candidates: with as much capacity
//! as one likes, would it be in time? If not, time itself is missing. Else each draw has a period in which it would have had
//! to be given: from the first bucket that it could use to the last that would still be in time; those that can't give it
//! there are the bottlenecks. If every draw by itself could be given, the first that comes too late in the real plan is one.

use std::sync::Arc;

use smallvec::SmallVec;

use super::choose::Goal;
use super::explain;
use super::lane::Target;
use super::latest::Latest;
use super::overlay::Part;
use super::search::Search;
use crate::domain::answer::{Bottleneck, Verdict};
use crate::domain::ask::Shipments;
use crate::domain::bucket::Availability;
use crate::domain::network::Kind;
use crate::domain::time::Moment;

/// Bottlenecks of one answer at most: beyond a few, nobody acts on them.
const MOST: usize = 10;
/// Candidates of one line that are looked at: the preferred ones.
const MOST_CANDIDATES: usize = 4;

/// How a draw may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// By one bucket, whole.
    Whole,
    /// By several buckets of the period.
    Shared,
    /// By receipts that have begun until the period's end.
    Stock,
}

/// One draw of a candidate, and the buckets of the period in which it would have to be given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub slot: usize,
    pub units: i64,
    pub given: Given,
    pub first: i32,
    pub last: i32,
}

/// What was found, with its tightness.
pub(super) struct Found {
    pub bottlenecks: Vec<Bottleneck>,
    /// Lines that could not be placed as asked.
    pub failing: SmallVec<[usize; 4]>,
    /// Whether capacity could change the answer; if not, fewer or parted items can't either.
    pub of_capacity: bool,
}

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    /// See the module. Leaves the overlay empty.
    pub fn bottlenecks(&mut self, verdict: Verdict) -> Found {
        let goal = Goal::from(self.ask.when);
        let mut found = Found { bottlenecks: Vec::new(), failing: SmallVec::new(), of_capacity: false };
        self.overlay = Default::default();
        for line in 0..self.ask.lines.len() {
            let mark = self.overlay.mark();
            let quantity = self.ask.lines[line].quantity;
            let placed = match (goal.target(), self.ask.shipments) {
                (Some(target), Shipments::Together) => self.place_line_late(line, quantity, target, None),
                (Some(target), Shipments::Split) => self.split_line_late(line, target),
                (None, Shipments::Together) => self.place_line(line, quantity, goal, None) == Some(true),
                (None, Shipments::Split) => self.split_line(line, goal) == Some(true),
            };
            if placed {
                continue;
            }
            found.failing.push(line);
            self.overlay.back_to(mark);
            if found.bottlenecks.len() < 4 * MOST {
                self.line_bottlenecks(line, goal, verdict, &mut found);
            }
            // Lines after it are judged on what this one takes where it can be had.
            if goal.target().is_none() {
                self.place_line(line, quantity, goal, None);
            }
        }
        self.overlay = Default::default();
        let ratio = |b: &Bottleneck| match b.resource {
            Some(_) => b.available as f64 / b.wanted.max(1) as f64,
            None => f64::INFINITY,
        };
        found.bottlenecks.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let mut seen: Vec<Bottleneck> = Vec::new();
        for b in found.bottlenecks.drain(..) {
            let same = |s: &Bottleneck| match &b.resource {
                Some(_) => s.resource == b.resource,
                None => s.explanation == b.explanation,
            };
            if seen.len() < MOST && !seen.iter().any(same) {
                seen.push(b);
            }
        }
        found.bottlenecks = seen;
        found
    }

    fn line_bottlenecks(&mut self, line: usize, goal: Goal, verdict: Verdict, found: &mut Found) {
        let ask = self.ask;
        let quantity = ask.lines[line].quantity;
        if ask.lines[line].candidates.is_empty() {
            found.bottlenecks.push(self.no_candidate(line));
        }
        let before = found.bottlenecks.len();
        let candidates = ask.lines[line].candidates.iter().take(MOST_CANDIDATES);
        let parts: SmallVec<[Part; MOST_CANDIDATES]> =
            candidates.map(|&candidate| Part { line: line as u32, quantity, candidate }).collect();
        for part in &parts {
            self.candidate_bottlenecks(part, goal, verdict, found);
        }
        // Where capacity would help, what takes too long is no reason.
        if found.bottlenecks[before..].iter().any(|b| b.resource.is_some()) {
            let mut at = 0;
            found.bottlenecks.retain(|b| {
                at += 1;
                at <= before || b.resource.is_some()
            });
        }
        if found.bottlenecks.len() > before || parts.is_empty() {
            return;
        }
        // Up to the horizon all could be given, so it is Y that stands in the way.
        for part in &parts {
            self.candidate_bottlenecks(part, goal, Verdict::Later, found);
        }
        if found.bottlenecks.len() == before {
            let late = self.late(&parts[0], goal);
            found.bottlenecks.push(late);
        }
    }

    /// Runs with as much capacity as one likes; what it takes meanwhile is given back.
    fn without_limits<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let mark = self.overlay.mark();
        self.unlimited = true;
        let result = run(self);
        self.unlimited = false;
        self.overlay.back_to(mark);
        result
    }

    fn candidate_bottlenecks(&mut self, part: &Part, goal: Goal, verdict: Verdict, found: &mut Found) {
        let Some(needs) = self.without_limits(|search| search.needs(part, goal, verdict)) else {
            let late = self.late(part, goal);
            found.bottlenecks.push(late);
            return;
        };
        found.of_capacity = true;
        let before = found.bottlenecks.len();
        for need in &needs {
            let available = self.available(need);
            if available < need.units {
                found.bottlenecks.push(self.short(need, available));
            }
        }
        if found.bottlenecks.len() == before
            && let Some(need) = self.first_late(part, &needs)
        {
            let available = self.available(&need);
            found.bottlenecks.push(self.short(&need, available));
        }
    }

    /// Every draw of the candidate with its period; none if it would be late with all the capacity in the world.
    fn needs(&mut self, part: &Part, goal: Goal, verdict: Verdict) -> Option<SmallVec<[Need; 8]>> {
        let to_the_horizon = verdict == Verdict::Unavailable;
        let lane = self.network.lane(part.candidate.lane);
        let site = &self.network.site(part.candidate.site).calendar;
        let mut needs: SmallVec<[Need; 8]> = SmallVec::new();
        if let Some(stock) = self.source(part).stock {
            let (slot, units) = (self.slot(stock), i64::from(part.quantity));
            needs.push(Need { slot, units, given: Given::Stock, first: i32::MIN, last: i32::MAX });
        }
        // Forward: the first bucket of each.
        let mut ready = self.now;
        for step in self.steps(part) {
            let units = step.draw(part.quantity);
            if let Some(resource) = step.resource.filter(|_| units > 0) {
                let slot = self.slot(resource);
                let given = if step.divisible { Given::Shared } else { Given::Whole };
                needs.push(Need {
                    slot,
                    units,
                    given,
                    first: self.slots[slot].first_usable(step, ready),
                    last: i32::MAX,
                });
            }
            ready = self.take_step(step, part.quantity, ready, site)?;
        }
        let departs = lane.departure(self.lane_calendar(part.candidate.lane), ready);
        let arrival = self.arrive(part, departs, None)?;
        let units = lane.per_shipment.saturating_add(lane.per_item.saturating_mul(i64::from(part.quantity)));
        let lane_need = lane.resource.filter(|_| units > 0).map(|resource| {
            let slot = self.slot(resource);
            Need { slot, units, given: Given::Whole, first: arrival.bucket.unwrap_or(i32::MIN), last: i32::MAX }
        });
        if to_the_horizon {
            needs.extend(lane_need);
            for need in &mut needs {
                need.last = self.slots[need.slot].end.saturating_sub(1);
            }
            return Some(needs);
        }
        // Backward: the last bucket of each.
        let target = self.target_of(goal)?;
        let departures = self.latest_for(part, target)?;
        let mut until = lane.latest_ready(site, self.now, departures)?;
        let mut at = needs.len();
        for step in self.steps(part).iter().rev() {
            let start = self.latest_start(step, until, site)?;
            if step.resource.is_some() && step.draw(part.quantity) > 0 {
                at -= 1;
                let need = &mut needs[at];
                need.last = self.slots[need.slot].last_begun(start);
                if need.last < need.first {
                    return None;
                }
            }
            until = self.latest_ready(step, part.quantity, until, site)?;
        }
        if !until.admits(self.now) {
            return None;
        }
        if let Some(stock) = needs.first_mut().filter(|n| n.given == Given::Stock) {
            stock.last = self.slots[stock.slot].last_begun(until);
        }
        if let Some(mut need) = lane_need {
            let slot = &self.slots[need.slot];
            let zone = self.zone_calendar();
            let (from, to) = match target {
                Target::Day(day) => (zone.start_of(day), zone.start_of(day + 1)),
                Target::Window(from, to) => (from, to),
            };
            if slot.resource.bucketing.is_days() {
                need.first = need.first.max(zone.day_of(from).0);
                need.last = zone.day_of(to).0 - 1;
            } else {
                need.first = need.first.max(slot.resource.bucketing.from(slot.calendar, from));
                need.last = slot.last_begun(Latest::before(to));
            }
            if need.last < need.first {
                return None;
            }
            needs.push(need);
        }
        Some(needs)
    }

    /// The arrivals that would be a yes.
    fn target_of(&self, goal: Goal) -> Option<Target> {
        let zone = self.zone_calendar();
        let today = zone.start_of(zone.day_of(self.now));
        match goal {
            Goal::Earliest => None,
            Goal::ByDate(day) => Some(Target::Window(today, zone.start_of(day + 1))),
            Goal::ByTime(at) => Some(Target::Window(today, at)),
            Goal::OnDate(day) => Some(Target::Day(day)),
            Goal::InWindow(from, to) => Some(Target::Window(from, to)),
        }
        .filter(|target| !matches!(target, Target::Window(from, to) if to <= from))
    }

    /// What could be given in the need's period.
    fn available(&self, need: &Need) -> i64 {
        let slot = &self.slots[need.slot];
        let mut available: i64 = 0;
        let mut count = |index: i32, free: i64| {
            let free = (free - self.overlay.units(need.slot as u32, index)).max(0);
            available = match need.given {
                Given::Whole => available.max(free),
                Given::Shared | Given::Stock => available.saturating_add(free),
            };
            false
        };
        match need.given {
            Given::Stock => slot.down(need.last, i32::MIN, &self.ask.pools, count),
            Given::Whole | Given::Shared => {
                slot.up(need.first, &self.ask.pools, |index, free| index > need.last || count(index, free));
            }
        }
        available
    }

    /// In the real plan, the first draw that is given after its period, or not at all; its period begins when it is ready.
    fn first_late(&mut self, part: &Part, needs: &[Need]) -> Option<Need> {
        let mark = self.overlay.mark();
        let late = self.find_late(part, needs);
        self.overlay.back_to(mark);
        late
    }

    fn find_late(&mut self, part: &Part, needs: &[Need]) -> Option<Need> {
        let site = &self.network.site(part.candidate.site).calendar;
        let mut ready = self.now;
        let mut needs = needs.iter();
        if let Some(stock) = self.source(part).stock {
            let need = needs.next()?;
            match self.take_stock(self.slot(stock), part.quantity, ready) {
                Some(at) => ready = at,
                None => return Some(*need),
            }
        }
        for step in self.steps(part) {
            let drawn = step.resource.is_some() && step.draw(part.quantity) > 0;
            let need = if drawn { needs.next() } else { None };
            let first = need.map(|n| self.slots[n.slot].first_usable(step, ready));
            let mark = self.overlay.mark();
            let done = self.take_step(step, part.quantity, ready, site);
            if let (Some(need), Some(first)) = (need, first) {
                let last = self.overlay.taken_since(mark).iter().map(|e| e.index).max();
                if done.is_none() || last.is_none_or(|last| last > need.last) {
                    return Some(Need { first: first.min(need.last), ..*need });
                }
            }
            ready = done?;
        }
        needs.next().copied()
    }

    fn short(&self, need: &Need, available: i64) -> Bottleneck {
        let slot = &self.slots[need.slot];
        let resource = slot.resource;
        let first = if resource.kind == Kind::Stock { resource.bucketing.first_of(slot.today) } else { need.first };
        let last = need.last.min(slot.end.saturating_sub(1)).max(first);
        Bottleneck {
            resource: Some(resource.id.clone()),
            site: Arc::clone(&self.network.site(resource.site).id),
            from: slot.start(first),
            to: slot.bucket_end(last),
            wanted: need.units,
            available,
            explanation: match self.wordless {
                true => String::new(),
                false => explain::short(resource, need.given, first, last, need.units, available),
            },
        }
    }

    fn no_candidate(&self, line: usize) -> Bottleneck {
        let product = self.network.product(self.ask.lines[line].product);
        let site = &self.network.site(product.sources[0].site);
        let zone = self.network.zone(self.ask.zone);
        Bottleneck {
            resource: None,
            site: Arc::clone(&site.id),
            from: self.now,
            to: self.now,
            wanted: 0,
            available: 0,
            explanation: explain::no_lane(&product.sku, &zone.id, self.ask.service.as_deref()),
        }
    }

    /// Not capacity but time is missing.
    fn late(&mut self, part: &Part, goal: Goal) -> Bottleneck {
        if !self.wordless {
            return self.without_limits(|search| search.time_bottleneck(part, goal));
        }
        Bottleneck {
            resource: None,
            site: Arc::clone(&self.network.site(part.candidate.site).id),
            from: self.now,
            to: self.now,
            wanted: 0,
            available: 0,
            explanation: String::new(),
        }
    }

    /// Runs unlimited: what is it that takes too long?
    fn time_bottleneck(&mut self, part: &Part, goal: Goal) -> Bottleneck {
        let lane = self.network.lane(part.candidate.lane);
        let site = self.network.site(part.candidate.site);
        let zone = self.zone_calendar();
        let mut missed = None;
        let mut ready = Some(self.now);
        for step in self.steps(part) {
            let Some(at) = ready else { break };
            if let (Some(resource), Some(cutoff)) = (step.resource, step.cutoff) {
                let slot = &self.slots[self.slot(resource)];
                let closes = slot.calendar.at(slot.calendar.day_of(at), cutoff);
                if slot.resource.bucketing.is_days() && step.draw(part.quantity) > 0 && at > closes && missed.is_none()
                {
                    missed = Some((slot.resource, slot.calendar, closes));
                }
            }
            ready = self.take_step(step, part.quantity, at, &site.calendar);
        }
        let departs = ready.map(|ready| lane.departure(self.lane_calendar(part.candidate.lane), ready));
        let arrival = departs.and_then(|departs| self.arrive(part, departs, None));
        let target = self.target_of(goal);
        let in_time = target.and_then(|target| self.latest_for(part, target));
        let departure =
            in_time.and_then(|until| lane.latest_departure(self.lane_calendar(part.candidate.lane), self.now, until));
        let explanation = match (target, in_time, missed, departure, arrival) {
            (Some(Target::Day(day)), None, ..) if !lane.delivers_on(day) => explain::no_delivery(lane, day),
            (.., Some((resource, calendar, closes)), _, _) => explain::cutoff(resource, calendar, closes, self.now),
            (.., Some(departure), Some(_)) if ready.is_some_and(|ready| ready > departure) => {
                let calendar = self.lane_calendar(part.candidate.lane);
                explain::departure(lane, calendar, departure, ready.unwrap_or(departure))
            }
            (.., Some(arrival)) => explain::transit(lane, arrival.date, arrival.by, zone),
            (.., None) => {
                explain::horizon(part.quantity, &self.network.product(self.ask.lines[part.line as usize].product).sku)
            }
        };
        let to = match target {
            Some(Target::Day(day)) => zone.start_of(day + 1),
            Some(Target::Window(_, to)) => to,
            None => arrival.map_or(self.now, |a| a.by),
        };
        Bottleneck {
            resource: None,
            site: Arc::clone(&site.id),
            from: self.now,
            to: Moment(to.0.max(self.now.0)),
            wanted: 0,
            available: 0,
            explanation,
        }
    }
}
