//! A second, naive implementation of rules 2 to 18, written straight from their text: linear searches, no indexes, no
//! calendar tables. It reads the plain document and a plain table of supply, so that it shares neither the builder nor
//! the planner with what it is compared to. Slow, and meant to be obviously right.

mod answer;
mod lanes;
mod shelf;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use surety::domain::answer::Verdict;
use surety::domain::ask::{Ask, Destination, Shipments, When};
use surety::domain::draw::Pool;
use surety::domain::limits::{MAX_DAYS_AHEAD, MAX_PARTS};
use surety::domain::network::{NetworkSpec, SiteSpec, SourceSpec};
use surety::domain::time::Moment;

use crate::civil::{begin_of, day_of};
use crate::notation::Case;

pub use shelf::{Bucket, Supply};
use shelf::{Shelf, Slot};

/// What an answer takes: units by resource, bucket and pool.
pub type Taken = BTreeMap<(String, i32, Pool), i64>;

/// A shipment: the lines' SKUs and items, lane, departure, window and day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shipped {
    pub lane: String,
    pub site: String,
    pub ships_at: Moment,
    pub arrives_by: Moment,
    pub date: i32,
    pub items: BTreeMap<String, i32>,
}

/// The oracle's promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promised {
    pub date: i32,
    /// Where several shipments come last together, the beginnings of all their windows.
    pub arrives_from: BTreeSet<Moment>,
    pub arrives_by: Moment,
    pub ships_at: Moment,
    pub order_by: Moment,
    pub shipments: Vec<Shipped>,
}

/// The oracle's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub verdict: Verdict,
    pub promise: Option<Promised>,
    pub takes: Taken,
}

/// Some items of one line, from one source by one lane.
#[derive(Clone, Debug)]
struct Part {
    line: usize,
    quantity: i32,
    candidate: Candidate,
    departs: Moment,
    from: Moment,
    by: Moment,
    date: i32,
    bucket: Option<i32>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: usize,
    lane: usize,
}

/// What an ask has taken so far.
#[derive(Clone, Debug, Default)]
struct Book {
    /// Resource, bucket, pool and units; a bucket may be named twice.
    taken: Vec<(usize, i32, Pool, i64)>,
    /// Lanes and the buckets in which something arrives by them already: per_shipment is paid there.
    trips: BTreeSet<(usize, i32)>,
}

#[derive(Clone, Debug, Default)]
struct Plan {
    book: Book,
    parts: Vec<Part>,
}

/// How a plan is made: as early as it can be, or as late as it can be for a day or a window.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Aim {
    Early,
    Day(i32),
    Window(Moment, Moment),
}

pub struct Oracle<'a> {
    spec: &'a NetworkSpec,
    shelves: Vec<Shelf<'a>>,
    ask: &'a Ask,
    now: Moment,
}

impl<'a> Oracle<'a> {
    /// The case's network and clock, with this supply and ask.
    pub fn new(case: &'a Case, supply: &Supply, ask: &'a Ask) -> Self {
        let (spec, now) = (&case.spec, case.now);
        let mut oracle = Oracle { spec, shelves: Vec::new(), ask, now };
        let zone = oracle.zone_clock();
        oracle.shelves = (0..spec.resources.len()).map(|i| Shelf::new(case, i, supply, ask, zone)).collect();
        oracle
    }

    /// Asked at another instant, all capacity staying as it is.
    pub fn asked_at(mut self, now: Moment) -> Self {
        self.now = now;
        self
    }

    // --- Rules 2 to 4 and 17: what there is -----------------------------------------------------------------------

    fn shelf(&self, id: &str) -> &Shelf<'a> {
        self.shelves.iter().find(|s| s.spec.id == id).expect("a resource of the network")
    }

    fn site(&self, id: &str) -> &'a SiteSpec {
        self.spec.sites.iter().find(|s| s.id == id).expect("a site of the network")
    }

    /// What this ask can still draw from the bucket, from which pool first.
    fn room<'s>(book: &Book, shelf: &'s Shelf<'_>, slot: &'s Slot) -> impl Iterator<Item = (&'s Pool, i64)> {
        slot.room.iter().map(|(pool, there)| {
            let same = |t: &&(usize, i32, Pool, i64)| t.0 == shelf.place && t.1 == slot.index && t.2 == *pool;
            (pool, there - book.taken.iter().filter(same).map(|t| t.3).sum::<i64>())
        })
    }

    fn left(book: &Book, shelf: &Shelf<'_>, slot: &Slot) -> i64 {
        let left = Self::room(book, shelf, slot).map(|(_, left)| left).sum();
        let mine = book.taken.iter().filter(|t| t.0 == shelf.place && t.1 == slot.index).map(|t| t.3).sum::<i64>();
        slot.most.map_or(left, |most| left.min(most - mine))
    }

    fn take(book: &mut Book, shelf: &Shelf<'_>, slot: &Slot, units: i64) {
        let room: Vec<(Pool, i64)> = Self::room(book, shelf, slot).map(|(pool, left)| (pool.clone(), left)).collect();
        let mut missing = units;
        for (pool, left) in room {
            let part = missing.min(left);
            if part > 0 {
                book.taken.push((shelf.place, slot.index, pool, part));
                missing -= part;
            }
        }
        assert_eq!(missing, 0, "{} {} can't give {units}", shelf.spec.id, slot.index);
    }

    fn zone_id(&self) -> &str {
        match &self.ask.destination {
            Destination::Zone(zone) => zone,
            Destination::Address { .. } => panic!("the oracle takes zones only"),
        }
    }

    fn zone_clock(&self) -> &'a str {
        let id = self.zone_id();
        &self.spec.zones.iter().find(|z| z.id == id).expect("a zone of the network").time_zone
    }

    // --- Rules 13 to 15: one line, one candidate ------------------------------------------------------------------

    fn sources(&self, line: usize) -> &'a [SourceSpec] {
        let sku = &self.ask.lines[line].sku;
        &self.spec.products.iter().find(|p| *p.sku == **sku).expect("a product of the network").sources
    }

    fn candidates(&self, line: usize, only: Option<&str>) -> Vec<Candidate> {
        let mut all = Vec::new();
        for (source, s) in self.sources(line).iter().enumerate() {
            for (lane, l) in self.spec.lanes.iter().enumerate() {
                let served = self.ask.service.as_ref().is_none_or(|service| **service == *l.service);
                if l.site == s.site && l.zone == self.zone_id() && served && only.is_none_or(|site| site == s.site) {
                    all.push(Candidate { source, lane });
                }
            }
        }
        all
    }

    fn has_deadline(&self) -> bool {
        matches!(self.ask.when, When::ByDate(_) | When::ByTime(_))
    }

    fn in_time(&self, part: &Part) -> bool {
        match self.ask.when {
            When::Any => true,
            When::ByDate(y) => part.date <= y.0,
            When::ByTime(y) => part.by <= y,
            When::OnDate(_) | When::InWindow { .. } => unreachable!("these are aimed at, not waited for"),
        }
    }

    /// So many items of the line by this candidate, on top of what the plan has, as though `now` were then.
    fn part(
        &self,
        plan: &Plan,
        line: usize,
        quantity: i32,
        candidate: Candidate,
        aim: Aim,
        now: Moment,
    ) -> Option<Plan> {
        let source = &self.sources(line)[candidate.source];
        let lane = &self.spec.lanes[candidate.lane];
        let part = Part { line, quantity, candidate, departs: now, from: now, by: now, date: 0, bucket: None };
        if aim == Aim::Early {
            let mut next = plan.clone();
            let ready = self.make(&mut next.book, source, quantity, now)?;
            let departs = self.departures(lane, ready, 60).first().copied()?;
            let mut part = Part { departs, ..part };
            self.arrive(&mut next.book, &mut part, aim)?;
            next.parts.push(part);
            return Some(next);
        }
        let over = match aim {
            Aim::Day(day) => begin_of(self.zone_clock(), day + 1),
            Aim::Window(_, to) => to,
            Aim::Early => unreachable!(),
        };
        let clock = &self.site(&source.site).time_zone;
        for day in (day_of(clock, now)..=day_of(clock, over)).rev() {
            let mut made = plan.clone();
            let Some(ready) = self.make(&mut made.book, source, quantity, now.max(begin_of(clock, day))) else {
                continue;
            };
            if ready > over {
                continue;
            }
            let days = day_of(clock, over) - day_of(clock, ready) + 1;
            for departs in self.departures(lane, ready, days).into_iter().rev() {
                let mut next = made.clone();
                let mut part = Part { departs, ..part.clone() };
                let arrives = self.arrive(&mut next.book, &mut part, aim).is_some();
                let yes = match aim {
                    Aim::Day(day) => part.date == day,
                    // Where a lane has no slots, the window of arrival is what has to lie in the window that was asked for.
                    Aim::Window(from, to) => from <= part.from && part.by <= to,
                    Aim::Early => unreachable!(),
                };
                if arrives && yes {
                    next.parts.push(part);
                    return Some(next);
                }
            }
        }
        None
    }

    /// The line as a whole, by the candidate that the rules choose, and whether it comes by Y.
    fn line(&self, plan: &Plan, line: usize, quantity: i32, aim: Aim, only: Option<&str>, now: Moment) -> Option<Plan> {
        let mut best: Option<Plan> = None;
        for candidate in self.candidates(line, only) {
            let Some(next) = self.part(plan, line, quantity, candidate, aim, now) else { continue };
            let part = next.parts.last().expect("it was just added");
            if aim != Aim::Early || (self.has_deadline() && self.in_time(part)) {
                return Some(next);
            }
            let by = part.by;
            if best.as_ref().is_none_or(|b| by < b.parts.last().expect("it has one").by) {
                best = Some(next);
            }
        }
        best
    }

    // --- Rule 16: several lines -----------------------------------------------------------------------------------

    fn in_order(&self, aim: Aim, only: Option<&str>, now: Moment) -> Option<Plan> {
        let mut plan = Plan::default();
        for (i, line) in self.ask.lines.iter().enumerate() {
            plan = self.line(&plan, i, line.quantity, aim, only, now)?;
        }
        Some(plan)
    }

    fn together(&self, aim: Aim, now: Moment) -> Option<Plan> {
        let mut ways: Vec<Option<&str>> = Vec::new();
        if self.ask.lines.len() > 1 {
            for source in self.sources(0) {
                let of_all = (0..self.ask.lines.len()).all(|i| self.sources(i).iter().any(|s| s.site == source.site));
                if of_all && !ways.contains(&Some(&source.site)) {
                    ways.push(Some(&source.site));
                }
            }
        }
        ways.push(None);
        let mut best: Option<Plan> = None;
        for way in ways {
            let Some(plan) = self.in_order(aim, way, now) else { continue };
            if aim != Aim::Early || (self.has_deadline() && plan.parts.iter().all(|p| self.in_time(p))) {
                return Some(plan);
            }
            if best.as_ref().is_none_or(|b| last(&plan) < last(b)) {
                best = Some(plan);
            }
        }
        best
    }

    fn split(&self, aim: Aim, now: Moment) -> Option<Plan> {
        let mut plan = Plan::default();
        for (i, line) in self.ask.lines.iter().enumerate() {
            // Small parts can use up what the whole would have needed; the whole is better than nothing.
            let parted = match aim {
                Aim::Early => self.parted(&plan, i, line.quantity, now),
                _ => self.parted_late(&plan, i, line.quantity, aim, now),
            };
            plan = parted.or_else(|| self.line(&plan, i, line.quantity, aim, None, now))?;
        }
        Some(plan)
    }

    /// As many as can come by Y from each candidate in turn, the rest as early as possible, again and again.
    fn parted(&self, before: &Plan, line: usize, quantity: i32, now: Moment) -> Option<Plan> {
        let (mut plan, mut rest, aim) = (before.clone(), quantity, Aim::Early);
        if self.has_deadline() {
            self.as_many(&mut plan, line, &mut rest, aim, now, |part| self.in_time(part));
        }
        while rest > 0 {
            if plan.parts.len() - before.parts.len() >= MAX_PARTS {
                return self.line(&plan, line, rest, aim, None, now);
            }
            let one = |c| self.part(&plan, line, 1, c, aim, now).map(|p| p.parts.last().expect("it has one").by);
            let earliest = self.candidates(line, None).into_iter().filter_map(one).min()?;
            self.as_many(&mut plan, line, &mut rest, aim, now, |part| part.by <= earliest);
        }
        Some(plan)
    }

    /// As many as can come that day (or in that window) from each candidate in turn, until none adds anything.
    fn parted_late(&self, before: &Plan, line: usize, quantity: i32, aim: Aim, now: Moment) -> Option<Plan> {
        let (mut plan, mut rest) = (before.clone(), quantity);
        while rest > 0 {
            let last = rest;
            self.as_many(&mut plan, line, &mut rest, aim, now, |_| true);
            if rest == last {
                return None;
            }
        }
        Some(plan)
    }

    /// As many items as can come in time from each candidate in turn.
    fn as_many(
        &self,
        plan: &mut Plan,
        line: usize,
        rest: &mut i32,
        aim: Aim,
        now: Moment,
        in_time: impl Fn(&Part) -> bool,
    ) {
        for candidate in self.candidates(line, None) {
            // Where neither all nor one can come, none is taken: a few that come only because the day before has no room for so
            // many are not looked for.
            let comes = |quantity| {
                let next = self.part(plan, line, quantity, candidate, aim, now);
                next.is_some_and(|p| in_time(p.parts.last().expect("it was just added")))
            };
            if *rest == 0 || !comes(*rest) && !comes(1) {
                continue;
            }
            for quantity in (1..=*rest).rev() {
                let next = self.part(plan, line, quantity, candidate, aim, now);
                if let Some(next) = next.filter(|p| in_time(p.parts.last().expect("it was just added"))) {
                    *plan = next;
                    *rest -= quantity;
                    break;
                }
            }
        }
    }

    // --- The answer -----------------------------------------------------------------------------------------------

    fn plan(&self, aim: Aim) -> Option<Plan> {
        match self.ask.shipments {
            Shipments::Together => self.together(aim, self.now),
            Shipments::Split => self.split(aim, self.now),
        }
    }

    /// After this day of the zone no answer changes: all supply and all holidays lie before, and weeks repeat.
    fn quiet_after(&self) -> i32 {
        let clock = self.zone_clock();
        let ends = self.shelves.iter().filter_map(|s| s.slots.last()).map(|slot| day_of(clock, slot.end));
        let holidays = self.spec.lanes.iter().flat_map(|l| &l.holidays).map(|d| crate::civil::day_of_text(d));
        let work: i64 =
            self.spec.processes.iter().flat_map(|p| &p.steps).map(|s| s.lead_time.as_ref().expect("a span").0).sum();
        let days: i32 = self.spec.processes.iter().flat_map(|p| &p.steps).map(|s| s.lead_days).sum();
        ends.chain(holidays).chain([day_of(clock, self.now)]).max().unwrap_or(0)
            + days
            + (work / surety::domain::time::DAY) as i32
            + 35
    }

    pub fn quote(&self) -> Told {
        let (found, aim, verdict) = match self.ask.when {
            When::Any | When::ByDate(_) | When::ByTime(_) => {
                let plan = self.plan(Aim::Early);
                let yes = plan.as_ref().is_some_and(|p| p.parts.iter().all(|part| self.in_time(part)));
                (plan, Aim::Early, if yes { Verdict::Promised } else { Verdict::Later })
            }
            When::OnDate(y) => self.on_or_after(Aim::Day(y.0), y.0 + 1, y.0),
            When::InWindow { from, to } => {
                let day = day_of(self.zone_clock(), from);
                self.on_or_after(Aim::Window(from, to), day, day)
            }
        };
        match found {
            None => Told { verdict: Verdict::Unavailable, promise: None, takes: Taken::new() },
            Some(plan) => Told { verdict, promise: Some(self.promise(&plan, aim)), takes: self.taken(&plan) },
        }
    }

    /// The answer's verdict, day and draws only: for orders that are played one after another.
    pub fn order(&self) -> (Verdict, Option<i32>, Taken) {
        let Some(plan) = self.plan(Aim::Early) else { return (Verdict::Unavailable, None, Taken::new()) };
        let yes = plan.parts.iter().all(|part| self.in_time(part));
        let date = plan.parts.iter().map(|part| part.date).max();
        (if yes { Verdict::Promised } else { Verdict::Later }, date, self.taken(&plan))
    }

    /// The order for this day, as late as it can be, whatever the ask says; with what it takes.
    pub fn on_day(&self, day: i32) -> Option<(Promised, Taken)> {
        let plan = self.plan(Aim::Day(day))?;
        Some((self.promise(&plan, Aim::Day(day)), self.taken(&plan)))
    }

    /// The order for this slot, likewise.
    pub fn in_slot(&self, from: Moment, to: Moment) -> Option<(Promised, Taken)> {
        let plan = self.plan(Aim::Window(from, to))?;
        Some((self.promise(&plan, Aim::Window(from, to)), self.taken(&plan)))
    }

    /// The slots of the lanes to the zone of this service that begin on the day, each once.
    pub fn slots_on(&self, day: i32, service: &str) -> BTreeSet<(Moment, Moment)> {
        let lanes = self
            .spec
            .lanes
            .iter()
            .filter(|l| l.zone == self.zone_id() && l.service == service && !l.resource.is_empty());
        lanes
            .map(|l| self.shelf(&l.resource))
            .filter(|shelf| shelf.per_day > 1)
            .flat_map(|shelf| shelf.slots.iter().filter(|slot| slot.zone_day == day).map(|slot| (slot.start, slot.end)))
            .collect()
    }

    fn taken(&self, plan: &Plan) -> Taken {
        let mut taken = Taken::new();
        for (resource, index, pool, units) in &plan.book.taken {
            let id = self.spec.resources[*resource].id.clone();
            *taken.entry((id, *index, pool.clone())).or_default() += units;
        }
        taken
    }

    fn on_or_after(&self, aim: Aim, first: i32, y: i32) -> (Option<Plan>, Aim, Verdict) {
        if let Some(plan) = self.plan(aim) {
            return (Some(plan), aim, Verdict::Promised);
        }
        // No day before today can be had.
        let today = day_of(self.zone_clock(), self.now);
        let last = (y + MAX_DAYS_AHEAD).min(self.quiet_after());
        let later = (first.max(today)..=last).find_map(|d| Some((self.plan(Aim::Day(d))?, Aim::Day(d))));
        match later {
            Some((plan, aim)) => (Some(plan), aim, Verdict::Later),
            None => (None, aim, Verdict::Unavailable),
        }
    }
}

fn last(plan: &Plan) -> Moment {
    plan.parts.iter().map(|p| p.by).max().expect("a plan has parts")
}
