//! Rules 8 to 11: on the way.

use surety::domain::network::LaneSpec;
use surety::domain::time::{Moment, Span};

use super::{Aim, Book, Oracle, Part};
use crate::civil::{at, begin_of, date_text, day_of, minutes_of, weekday};

impl Oracle<'_> {
    pub(super) fn leaves_on(lane: &LaneSpec, day: i32) -> bool {
        (lane.departure_days.is_empty() || lane.departure_days.contains(&weekday(day)))
            && (lane.holidays.is_empty() || !lane.holidays.contains(&date_text(day)))
    }

    pub(super) fn delivers_on(lane: &LaneSpec, day: i32) -> bool {
        (lane.delivery_days.is_empty() || lane.delivery_days.contains(&weekday(day)))
            && (lane.holidays.is_empty() || !lane.holidays.contains(&date_text(day)))
    }

    /// The departure of this day, for what is ready then.
    pub(super) fn departure(&self, lane: &LaneSpec, day: i32, ready: Moment) -> Option<Moment> {
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

    pub(super) fn departures(&self, lane: &LaneSpec, ready: Moment, days: i32) -> Vec<Moment> {
        let first = day_of(&self.site(&lane.site).time_zone, ready);
        (first..first + days).filter_map(|day| self.departure(lane, day, ready)).collect()
    }

    /// The n-th delivery day after this day.
    pub(super) fn delivery_day_after(lane: &LaneSpec, day: i32, n: i32) -> i32 {
        (day + 1..).filter(|&d| Self::delivers_on(lane, d)).nth(n as usize - 1).expect("weeks have delivery days")
    }

    /// When what departs then arrives: the day, the window, and the lane's bucket, which it takes.
    pub(super) fn arrive(&self, book: &mut Book, part: &mut Part, aim: Aim) -> Option<()> {
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
}
