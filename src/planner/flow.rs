//! How many orders like one fit, without playing them one by one.
//!
//! An order of one line goes through its steps bucket by bucket, each draw whole in one bucket. All orders for one arrival
//! share their end, so the buckets that an order begun later can use are among those that one begun earlier can. Then taking
//! the first bucket with room never wastes any, and the number of orders that fit is found from the last step back: from a
//! bucket on, no more than from the next bucket on and its own room together, and no more than the next step can take from
//! there. Where this does not hold (divisible draws, draws of one resource by several steps, a step whose end depends on when
//! within a bucket it begins), there is no `Flow`, and orders are played.

use smallvec::SmallVec;

use super::lane::Target;
use super::overlay::{Leg, Part};
use super::search::Search;
use crate::domain::bucket::Availability;
use crate::domain::limits::MAX_REMAINING;
use crate::domain::network::Step;
use crate::domain::time::Moment;

/// One bucket of a step that has room.
#[derive(Clone, Copy, Debug)]
struct Room {
    index: i32,
    /// Orders that it can take.
    orders: i64,
    /// The earliest and the latest start in it, then, once filled, what they are done at.
    from: Moment,
    to: Moment,
    /// The place of the first room of the next step that what is done here can use.
    next: usize,
}

/// What a step can take from each of its rooms on, counted from the last that is usable back until it is as much as can be: so
/// the count for one day looks at the buckets that decide it, and not at all that come before.
#[derive(Default)]
struct Tail {
    /// Of the last usable room, the one before it, and so on.
    orders: SmallVec<[i64; 128]>,
    /// The number of rooms that are usable; from those behind on it can take nothing.
    end: usize,
}

impl Tail {
    /// From a usable room on; `most` where it was not looked at any more.
    fn from(&self, room: usize, most: i64) -> i64 {
        self.orders.get(self.end - 1 - room).copied().unwrap_or(most)
    }
}

/// The candidate's drawing steps, each with its buckets that have room, ascending.
pub(super) struct Flow {
    part: Part,
    stages: SmallVec<[Vec<Room>; 4]>,
    /// Receipts of the candidate's stock by day, ascending, with their units.
    receipts: Option<Vec<(i32, i64)>>,
}

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    /// The flows of all candidates of an ask of one line, for arrivals before `end`; none where they have to be played.
    pub fn flows(&mut self, end: Moment) -> Option<Vec<Flow>> {
        let ask = self.ask;
        let [line] = &ask.lines[..] else { return None };
        if ask.shipments == crate::domain::ask::Shipments::Split && line.quantity > 1 {
            return None;
        }
        let mut used: Vec<usize> = Vec::new();
        let mut flows = Vec::new();
        for &candidate in &line.candidates {
            let part = Part { line: 0, quantity: line.quantity, candidate };
            let source = self.source(&part);
            let drawn = self.steps(&part).iter().filter_map(|s| s.resource);
            let lane = self.network.lane(candidate.lane).resource;
            let mut own: Vec<usize> = source.stock.into_iter().chain(drawn).chain(lane).map(|r| self.slot(r)).collect();
            if candidate.repeats || own.iter().any(|slot| used.contains(slot)) {
                return None;
            }
            used.append(&mut own);
            flows.push(self.flow(part, end)?);
        }
        Some(flows)
    }

    fn flow(&mut self, part: Part, end: Moment) -> Option<Flow> {
        let source = self.source(&part);
        let site = &self.network.site(source.site).calendar;
        let steps = self.steps(&part);
        let draws = |step: &Step| step.resource.is_some() && step.draw(part.quantity) > 0;
        let receipts = match source.stock {
            None => None,
            Some(stock) => {
                let slot = &self.slots[self.slot(stock)];
                // Receipts are told apart by the days on which work begins: those of the same calendar, and of the first step.
                let first = steps.first()?;
                let same_site = first.resource.is_some_and(|r| self.network.resource(r).site == source.site);
                if !slot.resource.bucketing.is_days()
                    || slot.resource.site != source.site
                    || !same_site
                    || !draws(first)
                {
                    return None;
                }
                let mut receipts = Vec::new();
                slot.down(i32::MAX, i32::MIN, &self.ask.pools, |index, free| {
                    receipts.push((index, free));
                    false
                });
                receipts.reverse();
                Some(receipts)
            }
        };
        let mut stages: SmallVec<[Vec<Room>; 4]> = SmallVec::new();
        let mut ready = self.now;
        let mut at = 0;
        while at < steps.len() {
            let step = &steps[at];
            at += 1;
            if !draws(step) {
                // Waits before the first draw; those after one are part of its end.
                ready = self.take_step(step, part.quantity, ready, site)?;
                continue;
            }
            if step.divisible {
                return None;
            }
            let slot = self.slot(step.resource?);
            let resource = &self.slots[slot];
            let units = step.draw(part.quantity);
            if stages.is_empty() && resource.calendar.name() != site.name() {
                // Orders begin when days begin at the source's site: within a bucket of another calendar.
                return None;
            }
            let mut rooms: Vec<Room> = Vec::new();
            resource.up(resource.first_usable(step, ready), &self.ask.pools, |index, free| {
                let start = resource.start(index);
                // Nothing that is begun then arrives in time, however far the plan reaches.
                if start >= end {
                    return true;
                }
                if free >= units {
                    let from = start.max(self.now);
                    rooms.push(Room { index, orders: (free / units).min(MAX_REMAINING), from, to: from, next: 0 });
                }
                false
            });
            // What comes from the step before within a bucket begins there, later than the bucket.
            if let Some(before) = stages.last_mut() {
                for room in before.iter_mut() {
                    let (from, to) = (resource.first_usable(step, room.from), resource.first_usable(step, room.to));
                    room.next = rooms.partition_point(|r| r.index < from);
                    if room.next != rooms.partition_point(|r| r.index < to) {
                        return None;
                    }
                    if let Some(next) = rooms.get_mut(room.next).filter(|next| next.index == to) {
                        next.to = next.to.max(room.to);
                    }
                }
            } else {
                for room in &mut rooms {
                    room.to = room.to.max(if resource.start(room.index) <= ready { ready } else { room.from });
                }
            }
            let waits = steps[at..].iter().take_while(|s| !draws(s)).count();
            let mut ends = rooms.len();
            let finish = |start: Moment| {
                let done = self.finish(step, start, site);
                steps[at..at + waits].iter().fold(done, |done, wait| self.finish(wait, done?, site))
            };
            for (i, room) in rooms.iter_mut().enumerate() {
                match (finish(room.from), finish(room.to)) {
                    (Some(from), Some(to)) => (room.from, room.to) = (from, to),
                    // Done beyond the last bucket, however early it begins.
                    (None, _) => {
                        ends = i;
                        break;
                    }
                    (Some(_), None) => return None,
                }
            }
            rooms.truncate(ends);
            at += waits;
            stages.push(rooms);
        }
        Some(Flow { part, stages, receipts })
    }

    /// How many orders the candidates can bring together to the target, from nothing taken; none: they have to be played.
    pub fn count(&mut self, flows: &[Flow], target: Target) -> Option<i64> {
        let mut count = 0i64;
        for flow in flows {
            let mark = self.overlay.mark();
            if !self.plan_late(flow.part, target) {
                continue;
            }
            let leg = self.overlay.legs_since(mark)[0];
            self.overlay.back_to(mark);
            count += self.count_one(flow, &leg, target)?;
        }
        Some(count.min(MAX_REMAINING))
    }

    fn count_one(&self, flow: &Flow, leg: &Leg, target: Target) -> Option<i64> {
        let part = &flow.part;
        let lane = self.network.lane(part.candidate.lane);
        // Hours from departure to a slot: what departs earlier reaches the same slot only on a day of delivery.
        let by_hours = lane.transit_time.is_some();
        if by_hours && (lane.resource.is_none() || self.is_roundabout(leg) || !lane.delivers_on(leg.date)) {
            return None;
        }
        let units = lane.per_shipment.saturating_add(lane.per_item.saturating_mul(i64::from(part.quantity)));
        let limit = match (lane.resource, leg.bucket) {
            (Some(resource), Some(bucket)) if units > 0 => self.free(self.slot(resource), bucket) / units,
            _ => MAX_REMAINING,
        };
        let site = &self.network.site(part.candidate.site).calendar;
        let departures = match leg.bucket {
            // Of several slots only the leg's counts: others are for other windows, or for when this one is full.
            Some(_)
                if matches!(target, Target::Day(_)) && leg.arrives_from != self.zone_calendar().start_of(leg.date) =>
            {
                return None;
            }
            _ => self.latest_for(part, target)?,
        };
        if lane.departure_time.is_none() {
            // What is ready earlier leaves when the last departure day begins: on another day of the zone, maybe.
            let departs = lane.latest_departure(self.lane_calendar(part.candidate.lane), self.now, departures)?;
            let zone = self.zone_calendar();
            if !by_hours && lane.arrival_day(zone.day_of(departs)) != lane.arrival_day(zone.day_of(leg.departs)) {
                return None;
            }
        }
        let until = lane.latest_ready(site, self.now, departures)?;
        let Some(last) = flow.stages.last() else {
            return if flow.receipts.is_none() { Some(limit.min(MAX_REMAINING)) } else { None };
        };
        let mut usable = last.partition_point(|room| until.admits(room.to));
        if usable != last.partition_point(|room| until.admits(room.from)) {
            return None;
        }
        // No step takes more than comes to this.
        let most = limit.min(MAX_REMAINING);
        let mut after = Tail::default();
        let mut here = Tail::default();
        for (i, stage) in flow.stages.iter().enumerate().rev() {
            let is_last = i + 1 == flow.stages.len();
            if !is_last {
                std::mem::swap(&mut after, &mut here);
                usable = stage.partition_point(|room| room.next < after.end);
            }
            let can = |room: &Room| if is_last { limit } else { after.from(room.next, most) };
            if i == 0
                && let Some(receipts) = &flow.receipts
            {
                let of_day = |index| self.first_stage_day(part, index);
                return Some(with_receipts(&stage[..usable], receipts, i64::from(part.quantity), can, of_day));
            }
            here.orders.clear();
            here.end = usable;
            let mut sum = 0i64;
            for room in stage[..usable].iter().rev() {
                sum = (sum + room.orders).min(can(room)).min(MAX_REMAINING);
                here.orders.push(sum);
                // From an earlier room on it is no less, and it can't be more.
                if sum >= most {
                    break;
                }
            }
        }
        Some(if here.end == 0 { 0 } else { here.from(0, most) })
    }

    fn first_stage_day(&self, part: &Part, index: i32) -> i32 {
        let resource = self.steps(part).first().and_then(|s| s.resource);
        resource.map_or(index, |r| self.network.resource(r).bucketing.day_of(index).0)
    }
}

/// The first step's orders also need receipts that have begun: latest day first, each from the latest receipts it can have.
fn with_receipts(
    rooms: &[Room],
    receipts: &[(i32, i64)],
    quantity: i64,
    can: impl Fn(&Room) -> i64,
    day_of: impl Fn(i32) -> i32,
) -> i64 {
    let mut left: SmallVec<[i64; 16]> = receipts.iter().map(|(_, units)| *units).collect();
    let mut count = 0i64;
    for room in rooms.iter().rev() {
        let wanted = room.orders.min(can(room) - count);
        if wanted <= 0 {
            continue;
        }
        let day = day_of(room.index);
        let begun = receipts.partition_point(|(index, _)| *index <= day);
        let units = left[..begun].iter().fold(0i64, |sum, units| sum.saturating_add(*units));
        let given = wanted.min(units / quantity);
        let mut taken = given * quantity;
        for units in left[..begun].iter_mut().rev() {
            let part = taken.min(*units);
            *units -= part;
            taken -= part;
        }
        count += given;
    }
    count.min(MAX_REMAINING)
}
