//! A second, naive implementation of rules 2 to 18, written straight from their text: linear searches, no indexes, no
//! calendar tables. It reads the plain document and a plain table of supply, so that it shares neither the builder nor
//! the planner with what it is compared to. Slow, and meant to be obviously right.

use std::collections::{BTreeMap, BTreeSet};

use surety::domain::answer::Verdict;
use surety::domain::ask::{Ask, Destination, Shipments, When};
use surety::domain::draw::Pool;
use surety::domain::limits::{MAX_DAYS_AHEAD, MAX_PARTS};
use surety::domain::network::{LaneSpec, NetworkSpec, ResourceSpec, SiteSpec, SourceSpec, StepSpec, WeeklySpec};
use surety::domain::time::{Moment, Span};

use crate::civil::{at, begin_of, date_text, day_of, minutes_of, weekday};

/// What is known of one bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    /// The supply that was set.
    pub set: Option<i64>,
    /// Units drawn before.
    pub drawn: i64,
    /// Set aside and not yet drawn.
    pub pools: Vec<(Pool, i64)>,
}

/// What is known, by resource and by bucket: its day times the buckets a day, plus its place in the day.
pub type Supply = BTreeMap<(String, i32), Bucket>;

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

/// A bucket that has some time.
#[derive(Debug)]
struct Slot {
    index: i32,
    start: Moment,
    end: Moment,
    /// The day of the zone on which it begins.
    zone_day: i32,
    /// Its supply.
    units: i64,
    /// What this ask could draw before it drew anything, from which pool first.
    room: Vec<(Pool, i64)>,
}

/// A resource with its buckets in their order, from the first to the last that can have supply.
#[derive(Debug)]
struct Shelf<'a> {
    spec: &'a ResourceSpec,
    place: usize,
    clock: &'a str,
    per_day: i32,
    slots: Vec<Slot>,
}

impl<'a> Shelf<'a> {
    fn new(spec: &'a NetworkSpec, place: usize, supply: &Supply, ask: &Ask, now: Moment, zone: &str) -> Self {
        let r = &spec.resources[place];
        let clock = &spec.sites.iter().find(|s| s.id == r.site).expect("a site of the network").time_zone;
        let per_day = r.bucket.as_ref().expect("a length of bucket").per_day();
        let mut shelf = Shelf { spec: r, place, clock, per_day, slots: Vec::new() };
        let today = day_of(clock, now);
        let set = supply.keys().filter(|(id, _)| *id == r.id).map(|(_, index)| *index);
        let standing = [today * per_day, (today + horizon(r)) * per_day];
        let all: Vec<i32> = set.chain(standing.into_iter().filter(|_| !r.weekly.is_empty())).collect();
        let (Some(first), Some(last)) = (all.iter().min(), all.iter().max()) else { return shelf };
        for index in *first..=*last {
            let (start, end) = (shelf.start(index), shelf.start(index + 1));
            let known = supply.get(&(r.id.clone(), index)).cloned().unwrap_or_default();
            let units = known.set.unwrap_or_else(|| shelf.standing(index, today));
            let aside: i64 = known.pools.iter().map(|(_, left)| left).sum();
            let balance = units - known.drawn - aside;
            let offer = ask.offer.clone().map(Pool::Offer);
            let channel = ask.channel.clone().map(Pool::Channel);
            let own = offer.into_iter().chain(channel).map(|pool| {
                let left = known.pools.iter().filter(|(p, _)| *p == pool).map(|(_, left)| *left).sum();
                (pool, left)
            });
            let mut room: Vec<(Pool, i64)> = own.chain([(Pool::Common, balance)]).collect();
            if balance < 0 {
                room.clear();
            }
            if start < end {
                shelf.slots.push(Slot { index, start, end, zone_day: day_of(zone, start), units, room });
            }
        }
        shelf
    }

    fn start(&self, index: i32) -> Moment {
        let minute = index.rem_euclid(self.per_day) * (1440 / self.per_day);
        at(self.clock, index.div_euclid(self.per_day), minute)
    }

    /// The weekly pattern, from today for horizon_days days, nothing on a closed date.
    fn standing(&self, index: i32, today: i32) -> i64 {
        let day = index.div_euclid(self.per_day);
        let minute = index.rem_euclid(self.per_day) * (1440 / self.per_day);
        if day < today || day >= today + horizon(self.spec) || self.spec.closed.contains(&date_text(day)) {
            return 0;
        }
        let fits = |w: &&WeeklySpec| {
            (w.days.is_empty() || w.days.contains(&weekday(day)))
                && minute >= if w.from.is_empty() { 0 } else { minutes_of(&w.from) }
                && minute < if w.to.is_empty() { 1440 } else { minutes_of(&w.to) }
        };
        self.spec.weekly.iter().filter(fits).map(|w| w.units).sum()
    }
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
    pub fn new(spec: &'a NetworkSpec, supply: &Supply, ask: &'a Ask, now: Moment) -> Self {
        let mut oracle = Oracle { spec, shelves: Vec::new(), ask, now };
        let zone = oracle.zone_clock();
        oracle.shelves = (0..spec.resources.len()).map(|i| Shelf::new(spec, i, supply, ask, now, zone)).collect();
        oracle
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
        Self::room(book, shelf, slot).map(|(_, left)| left).sum()
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

    // --- Rules 6 and 7: ready to leave ----------------------------------------------------------------------------

    fn make(&self, book: &mut Book, source: &SourceSpec, quantity: i32, now: Moment) -> Option<Moment> {
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

    fn pick(&self, book: &mut Book, shelf: &Shelf<'_>, quantity: i64, now: Moment) -> Option<Moment> {
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

    fn step(
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

    fn usable(shelf: &Shelf<'_>, slot: &Slot, step: &StepSpec, ready: Moment) -> bool {
        if slot.start >= ready {
            return true;
        }
        let contains = slot.start <= ready && ready < slot.end;
        let in_time = || step.cutoff.is_empty() || ready <= at(shelf.clock, slot.index, minutes_of(&step.cutoff));
        shelf.per_day == 1 && contains && in_time()
    }

    // --- Rules 8 to 11: on the way --------------------------------------------------------------------------------

    fn leaves_on(lane: &LaneSpec, day: i32) -> bool {
        (lane.departure_days.is_empty() || lane.departure_days.contains(&weekday(day)))
            && (lane.holidays.is_empty() || !lane.holidays.contains(&date_text(day)))
    }

    fn delivers_on(lane: &LaneSpec, day: i32) -> bool {
        (lane.delivery_days.is_empty() || lane.delivery_days.contains(&weekday(day)))
            && (lane.holidays.is_empty() || !lane.holidays.contains(&date_text(day)))
    }

    /// The departure of this day, for what is ready then.
    fn departure(&self, lane: &LaneSpec, day: i32, ready: Moment) -> Option<Moment> {
        let clock = &self.site(&lane.site).time_zone;
        if !Self::leaves_on(lane, day) {
            return None;
        }
        let departs = if lane.departure_time.is_empty() {
            ready.max(begin_of(clock, day))
        } else {
            at(clock, day, minutes_of(&lane.departure_time))
        };
        (departs >= ready && day >= day_of(clock, ready)).then_some(departs)
    }

    fn departures(&self, lane: &LaneSpec, ready: Moment, days: i32) -> Vec<Moment> {
        let first = day_of(&self.site(&lane.site).time_zone, ready);
        (first..first + days).filter_map(|day| self.departure(lane, day, ready)).collect()
    }

    /// The n-th delivery day after this day.
    fn delivery_day_after(lane: &LaneSpec, day: i32, n: i32) -> i32 {
        (day + 1..).filter(|&d| Self::delivers_on(lane, d)).nth(n as usize - 1).expect("weeks have delivery days")
    }

    /// When what departs then arrives: the day, the window, and the lane's bucket, which it takes.
    fn arrive(&self, book: &mut Book, part: &mut Part, aim: Aim) -> Option<()> {
        let lane = &self.spec.lanes[part.candidate.lane];
        let clock = self.zone_clock();
        let transit_time = *lane.transit_time.as_ref().expect("a span");
        let earliest = part.departs.plus(transit_time.unwrap_or(Span::ZERO));
        let mut day = day_of(clock, earliest);
        if transit_time.is_none() {
            if lane.transit_days > 0 {
                day = Self::delivery_day_after(lane, day, lane.transit_days);
            } else if !Self::delivers_on(lane, day) {
                day = Self::delivery_day_after(lane, day, 1);
            }
        }
        if lane.resource.is_empty() {
            part.date = day;
            (part.from, part.by) = match transit_time {
                Some(_) => (part.departs, earliest),
                None => (begin_of(clock, day), begin_of(clock, day + 1)),
            };
            return Some(());
        }
        let shelf = self.shelf(&lane.resource);
        let last_day = shelf.slots.last()?.zone_day.max(shelf.slots.last()?.index / shelf.per_day);
        while day <= last_day {
            for slot in &shelf.slots {
                let there = if shelf.per_day == 1 {
                    slot.index == day && slot.end > self.now
                } else {
                    let within = match aim {
                        Aim::Window(from, to) => from <= slot.start && slot.end <= to,
                        _ => true,
                    };
                    slot.start >= earliest && within && slot.zone_day == day
                };
                let once = if book.trips.contains(&(part.candidate.lane, slot.index)) { 0 } else { lane.per_shipment };
                let draw = once + lane.per_item * i64::from(part.quantity);
                if there && Self::left(book, shelf, slot) >= draw {
                    Self::take(book, shelf, slot, draw);
                    book.trips.insert((part.candidate.lane, slot.index));
                    part.bucket = Some(slot.index);
                    part.date = day;
                    (part.from, part.by) = if shelf.per_day == 1 {
                        (begin_of(clock, day), begin_of(clock, day + 1))
                    } else {
                        (slot.start, slot.end)
                    };
                    return Some(());
                }
            }
            day = Self::delivery_day_after(lane, day, 1);
        }
        None
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
            let mut rest = line.quantity;
            let parts_before = plan.parts.len();
            if aim == Aim::Early {
                if self.has_deadline() {
                    self.as_many(&mut plan, i, &mut rest, aim, now, |part| self.in_time(part));
                }
                while rest > 0 {
                    if plan.parts.len() - parts_before >= MAX_PARTS {
                        plan = self.line(&plan, i, rest, aim, None, now)?;
                        break;
                    }
                    let one = |c| self.part(&plan, i, 1, c, aim, now).map(|p| p.parts.last().expect("it has one").by);
                    let earliest = self.candidates(i, None).into_iter().filter_map(one).min()?;
                    self.as_many(&mut plan, i, &mut rest, aim, now, |part| part.by <= earliest);
                }
            } else {
                while rest > 0 {
                    let before = rest;
                    self.as_many(&mut plan, i, &mut rest, aim, now, |_| true);
                    if rest == before {
                        return None;
                    }
                }
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

    fn promise(&self, plan: &Plan, aim: Aim) -> Promised {
        let mut shipments: Vec<(Part, Shipped)> = Vec::new();
        for part in &plan.parts {
            let lane = &self.spec.lanes[part.candidate.lane];
            let same = shipments.iter_mut().find(|(p, _)| {
                p.candidate.lane == part.candidate.lane
                    && match part.bucket {
                        Some(_) => p.bucket == part.bucket,
                        None => p.departs == part.departs && p.by == part.by,
                    }
            });
            let sku = self.ask.lines[part.line].sku.to_string();
            match same {
                Some((_, shipped)) => {
                    *shipped.items.entry(sku).or_default() += part.quantity;
                    shipped.ships_at = shipped.ships_at.max(part.departs);
                }
                None => {
                    let shipped = Shipped {
                        lane: lane.id.clone(),
                        site: lane.site.clone(),
                        ships_at: part.departs,
                        arrives_by: part.by,
                        date: part.date,
                        items: BTreeMap::from([(sku, part.quantity)]),
                    };
                    shipments.push((part.clone(), shipped));
                }
            }
        }
        let mut shipments: Vec<Shipped> = shipments.into_iter().map(|(_, s)| s).collect();
        shipments.sort();
        let arrives_by = last(plan);
        Promised {
            date: plan.parts.iter().map(|p| p.date).max().expect("a plan has parts"),
            arrives_from: plan.parts.iter().filter(|p| p.by == arrives_by).map(|p| p.from).collect(),
            arrives_by,
            ships_at: plan.parts.iter().map(|p| p.departs).max().expect("a plan has parts"),
            order_by: self.order_by(plan, aim),
            shipments,
        }
    }

    // --- Rule 12 --------------------------------------------------------------------------------------------------

    /// Whether the same parts, by the same candidates, planned then, still arrive when they do.
    fn still(&self, plan: &Plan, aim: Aim, then: Moment) -> bool {
        let mut again = Plan::default();
        for part in &plan.parts {
            match self.part(&again, part.line, part.quantity, part.candidate, aim, then) {
                Some(next) if next.parts.last().expect("it was just added").by == part.by => again = next,
                _ => return false,
            }
        }
        true
    }

    /// The first instant that fails is looked for; every bound lies on a whole minute, so where that instant itself does,
    /// the bound is one that is not included (a day's end), and else it is the instant before.
    fn order_by(&self, plan: &Plan, aim: Aim) -> Moment {
        let mut good = self.now;
        debug_assert!(self.still(plan, aim, good), "a plan can be made again at once");
        let mut bad = last(plan).plus(Span::minutes(1));
        if plan.parts.len() > 1 {
            // Lines that compete can make it come and go: the first that fails counts.
            let hour = Span::minutes(60);
            let mut then = Moment(good.0 / hour.0 * hour.0 + hour.0);
            while then < bad {
                if self.still(plan, aim, then) {
                    good = then;
                } else {
                    bad = then;
                }
                then = then.plus(hour);
            }
        }
        while bad.0 - good.0 > 1 {
            let middle = Moment(good.0 + (bad.0 - good.0) / 2);
            if self.still(plan, aim, middle) { good = middle } else { bad = middle }
        }
        if bad.0 % surety::domain::time::MINUTE == 0 { bad } else { good }
    }
}

fn last(plan: &Plan) -> Moment {
    plan.parts.iter().map(|p| p.by).max().expect("a plan has parts")
}

fn horizon(r: &ResourceSpec) -> i32 {
    if r.horizon_days == 0 { 90 } else { r.horizon_days }
}
