//! Rules 8 to 11: departure, arrival and the lane's own capacity, forward and backward.

use super::latest::Latest;
use super::overlay::{Arrival, Leg, Part};
use super::search::Search;
use crate::domain::bucket::Availability;
use crate::domain::calendar::Calendar;
use crate::domain::network::{Lane, LaneIdx};
use crate::domain::time::{Day, Moment, Weekdays};

/// What an on_date or in_window plan must hit (rules 13 and 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Day(Day),
    Window(Moment, Moment),
}

impl Target {
    pub fn is_hit(self, arrival: &Arrival) -> bool {
        match self {
            Target::Day(day) => arrival.date == day,
            Target::Window(from, to) => from <= arrival.from && arrival.by <= to,
        }
    }
}

impl Lane {
    /// Rule 8: the first departure at or after ready. `site` is the calendar of the lane's site.
    pub(super) fn departure(&self, site: &Calendar, ready: Moment) -> Moment {
        let mut day = site.day_of(ready);
        match self.departure_time {
            Some(time) => loop {
                if self.departs_on(day) && site.at(day, time) >= ready {
                    return site.at(day, time);
                }
                day = day + 1;
            },
            None if self.departs_on(day) => ready,
            None => loop {
                day = day + 1;
                if self.departs_on(day) {
                    return site.start_of(day);
                }
            },
        }
    }

    /// The latest departure early enough for what is ready at this instant. Without a departure time there is one on each
    /// departure day: as soon as it is ready, or when the day begins.
    pub(super) fn latest_departure(&self, site: &Calendar, ready: Moment, until: Latest) -> Option<Moment> {
        let first = site.day_of(ready);
        let mut day = until.day(site);
        while day >= first {
            if self.departs_on(day) {
                let at = match self.departure_time {
                    Some(time) => site.at(day, time),
                    None => ready.max(site.start_of(day)),
                };
                if at >= ready && until.admits(at) {
                    return Some(at);
                }
            }
            day = day - 1;
        }
        None
    }

    /// The latest ready whose first departure is early enough; none if that would be before `floor`.
    pub(super) fn latest_ready(&self, site: &Calendar, floor: Moment, until: Latest) -> Option<Latest> {
        let first = site.day_of(floor);
        let mut day = until.day(site);
        let mut whole = false;
        while day >= first {
            if self.departs_on(day) {
                match self.departure_time {
                    Some(time) => {
                        let at = site.at(day, time);
                        if until.admits(at) {
                            return Some(Latest::until(at));
                        }
                    }
                    // What is ready after the last departure day waits for the next, which is too late.
                    None if whole => return Some(Latest::before(site.start_of(day + 1))),
                    None => return Some(until),
                }
            }
            whole = true;
            day = day - 1;
        }
        None
    }

    /// Whether a shipment draws anything on the lane's resource.
    pub(super) fn draws(&self) -> bool {
        self.resource.is_some() && (self.per_shipment > 0 || self.per_item > 0)
    }

    /// Whether an earlier departure may arrive later: hours may lead into a slot of a day on which nothing else arrives.
    pub(super) fn may_overtake(&self) -> bool {
        self.transit_time.is_some()
            && self.resource.is_some()
            && (self.delivery_days != Weekdays::ALL || !self.holidays.is_empty())
    }

    fn next_delivery_day(&self, from: Day) -> Day {
        let mut day = from;
        while !self.delivers_on(day) {
            day = day + 1;
        }
        day
    }

    /// Rule 9: the arrival day by transit_days of what departs on this day of the zone.
    pub(super) fn arrival_day(&self, departs: Day) -> Day {
        let mut day = if self.transit_days == 0 { departs } else { departs + 1 };
        day = self.next_delivery_day(day);
        for _ in 1..self.transit_days {
            day = self.next_delivery_day(day + 1);
        }
        day
    }

    /// The departures by transit_days that arrive on the delivery day or earlier.
    fn latest_for_day(&self, zone: &Calendar, arrival: Day) -> Latest {
        if self.transit_days == 0 {
            return Latest::before(zone.start_of(arrival + 1));
        }
        let mut day = arrival;
        let mut left = self.transit_days - 1;
        while left > 0 {
            day = day - 1;
            left -= i32::from(self.delivers_on(day));
        }
        Latest::before(zone.start_of(day))
    }

    /// The departures that can still reach a slot that begins at this instant of this day of the zone.
    fn latest_for_slot(&self, zone: &Calendar, begins: Moment) -> Latest {
        match self.transit_time {
            Some(span) => Latest::until(begins.minus(span)),
            None => self.latest_for_day(zone, zone.day_of(begins)).and(Latest::until(begins)),
        }
    }
}

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    pub fn zone_calendar(&self) -> &'a Calendar {
        &self.network.zone(self.ask.zone).calendar
    }

    pub fn lane_calendar(&self, lane: LaneIdx) -> &'a Calendar {
        &self.network.site(self.network.lane(lane).site).calendar
    }

    /// What the shipment draws in a bucket: `per_shipment` only where no line before pays it (rule 10).
    fn lane_units(&self, at: LaneIdx, lane: &Lane, quantity: i32, bucket: i32) -> i64 {
        let shared = self.overlay.legs().iter().any(|l| l.part.candidate.lane == at && l.bucket == Some(bucket));
        let items = lane.per_item.saturating_mul(i64::from(quantity));
        if shared { items } else { items.saturating_add(lane.per_shipment) }
    }

    fn lane_can(&self, at: LaneIdx, lane: &Lane, slot: usize, quantity: i32, bucket: i32) -> bool {
        let units = self.lane_units(at, lane, quantity, bucket);
        units == 0 || self.free(slot, bucket) >= units
    }

    /// Rules 9 to 11 for what departs at this instant; draws the lane's capacity. With a window, only slots in it are looked at.
    pub fn arrive(&mut self, part: &Part, departs: Moment, window: Option<(Moment, Moment)>) -> Option<Arrival> {
        let (at, quantity) = (part.candidate.lane, part.quantity);
        let lane = self.network.lane(at);
        let zone = self.zone_calendar();
        let (mut day, earliest) = match lane.transit_time {
            Some(span) => (zone.day_of(departs.plus(span)), departs.plus(span)),
            None => (lane.arrival_day(zone.day_of(departs)), departs),
        };
        let Some(resource) = lane.resource else {
            return Some(match lane.transit_time {
                Some(_) => Arrival { from: departs, by: earliest, date: day, bucket: None },
                None => Arrival { from: zone.start_of(day), by: zone.start_of(day + 1), date: day, bucket: None },
            });
        };
        let slot = self.slot(resource);
        let bucketing = self.slots[slot].resource.bucketing;
        loop {
            let found = if bucketing.is_days() {
                if day.0 >= self.slots[slot].end && !self.lane_can(at, lane, slot, quantity, day.0) {
                    return None;
                }
                (self.lane_can(at, lane, slot, quantity, day.0)).then_some(day.0)
            } else {
                let begins = zone.start_of(day).max(earliest);
                if window.is_some_and(|(_, to)| begins >= to) {
                    return None;
                }
                let resource = &self.slots[slot];
                let mut index = bucketing.from(resource.calendar, begins);
                let ends = zone.start_of(day + 1);
                let in_time = |start: Moment| start < ends && window.is_none_or(|(_, to)| start < to);
                let mut found = None;
                while in_time(self.slots[slot].start(index)) {
                    let fits = window.is_none_or(|(from, to)| {
                        from <= self.slots[slot].start(index) && self.slots[slot].bucket_end(index) <= to
                    });
                    if fits && !self.slots[slot].is_void(index) && self.lane_can(at, lane, slot, quantity, index) {
                        found = Some(index);
                        break;
                    }
                    index += 1;
                }
                if found.is_none() && index >= self.slots[slot].end && !self.lane_can(at, lane, slot, quantity, index) {
                    return None;
                }
                found
            };
            if let Some(bucket) = found {
                let units = self.lane_units(at, lane, quantity, bucket);
                if units > 0 && !self.unlimited {
                    let slack = if self.notes.is_some() { self.free(slot, bucket) - units } else { 0 };
                    if let Some(notes) = &mut self.notes {
                        notes.slacks.push((slot as u32, bucket, slack));
                    }
                    self.overlay.take(slot as u32, bucket, units);
                }
                let (from, by) = if bucketing.is_days() {
                    (zone.start_of(day), zone.start_of(day + 1))
                } else {
                    (self.slots[slot].start(bucket), self.slots[slot].bucket_end(bucket))
                };
                return Some(Arrival { from, by, date: day, bucket: Some(bucket) });
            }
            day = lane.next_delivery_day(day + 1);
        }
    }

    /// The departures that come in time for the target: for the last day or slot of it that can take the shipment.
    pub fn latest_for(&self, part: &Part, target: Target) -> Option<Latest> {
        let (at, quantity) = (part.candidate.lane, part.quantity);
        let lane = self.network.lane(at);
        let zone = self.zone_calendar();
        let (from, to) = match target {
            Target::Day(day) => (zone.start_of(day), zone.start_of(day + 1)),
            Target::Window(from, to) => (from, to),
        };
        let slot = lane.resource.map(|r| self.slot(r));
        if let Some(slot) = slot.filter(|&s| !self.slots[s].resource.bucketing.is_days()) {
            return self.latest_slot(at, lane, slot, quantity, target, from, to);
        }
        if let Some(span) = lane.transit_time {
            let last = match target {
                Target::Day(_) => Latest::before(to),
                Target::Window(..) => Latest::until(to),
            };
            return Some(last.minus(span));
        }
        let mut day = match target {
            Target::Day(day) => day,
            Target::Window(..) => zone.day_of(to) - 1,
        };
        // Nothing arrives before today, and a lane that draws can't beyond its supply.
        let from = from.max(zone.start_of(zone.day_of(self.now)));
        if let Some(slot) = slot.filter(|_| lane.draws() && !self.unlimited) {
            day = Day(day.0.min(self.slots[slot].end));
        }
        while zone.start_of(day) >= from {
            if lane.delivers_on(day) && slot.is_none_or(|s| self.lane_can(at, lane, s, quantity, day.0)) {
                return Some(lane.latest_for_day(zone, day));
            }
            day = day - 1;
        }
        None
    }

    #[allow(clippy::too_many_arguments)] // one question about one lane, split off for its length only
    fn latest_slot(
        &self,
        at: LaneIdx,
        lane: &Lane,
        slot: usize,
        quantity: i32,
        target: Target,
        from: Moment,
        to: Moment,
    ) -> Option<Latest> {
        let zone = self.zone_calendar();
        let resource = &self.slots[slot];
        let mut index = resource.resource.bucketing.containing(resource.calendar, Moment(to.0 - 1));
        if lane.draws() && !self.unlimited {
            index = index.min(resource.end);
        }
        let from = from.max(self.now);
        while resource.start(index) >= from {
            let inside = matches!(target, Target::Day(_)) || resource.bucket_end(index) <= to;
            if inside && !resource.is_void(index) && self.lane_can(at, lane, slot, quantity, index) {
                let begins = resource.start(index);
                if lane.transit_time.is_some() || lane.delivers_on(zone.day_of(begins)) {
                    return Some(lane.latest_for_slot(zone, begins));
                }
            }
            index -= 1;
        }
        None
    }

    /// The departures that would still arrive as this leg does (rule 12).
    pub fn latest_for_leg(&self, leg: &Leg) -> Latest {
        let lane = self.network.lane(leg.part.candidate.lane);
        let zone = self.zone_calendar();
        let slot = lane.resource.map(|r| &self.slots[self.slot(r)]).filter(|s| !s.resource.bucketing.is_days());
        match (slot, leg.bucket, lane.transit_time) {
            (Some(_), Some(_), _) => {
                // The slot may begin on a day to which others without room led; the arrival day is the day it begins on.
                lane.latest_for_slot(zone, leg.arrives_from)
            }
            (_, _, Some(span)) => Latest::until(leg.arrives_by.minus(span)),
            _ => lane.latest_for_day(zone, leg.date),
        }
    }
}
