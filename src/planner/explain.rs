//! Bottlenecks in words: one sentence for people, with the names, units and local dates that they know.

use super::bottleneck::Given;
use crate::domain::calendar::Calendar;
use crate::domain::kept::Kept;
use crate::domain::limits::{MAX_DAYS_LATE, MIN_COMPARABLE};
use crate::domain::network::{Lane, Resource};
use crate::domain::share::Share;
use crate::domain::time::{Day, Moment};

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn date(day: Day) -> String {
    format!("{} {day}", WEEKDAYS[day.weekday()])
}

fn instant(calendar: &Calendar, at: Moment) -> String {
    let wall = calendar.wall_clock(at);
    format!("{} {:02}:{:02}", date(calendar.day_of(at)), wall.hour(), wall.minute())
}

/// A resource that can't give what is needed in a period. The unit is whatever word the network has for it, in the plural
/// mostly, so it stands apart from the numbers: "1 needed, none left (minutes)".
pub(super) fn short(resource: &Resource, given: Given, first: i32, last: i32, wanted: i64, available: i64) -> String {
    let bucketing = resource.bucketing;
    let name = &resource.display_name;
    let unit = if resource.unit.is_empty() { String::new() } else { format!(" ({})", resource.unit) };
    let (from, to) = (bucketing.day_of(first), bucketing.day_of(last));
    let left = if available == 0 { "none".to_owned() } else { available.to_string() };
    if given == Given::Stock {
        return format!("Not enough {name} by {}: {wanted} needed, {left} left{unit}", date(to));
    }
    let when = if !bucketing.is_days() && from == to {
        let (begin, end) = (bucketing.time_of(first).to_string(), bucketing.time_of(last + 1).to_string());
        match (begin.as_str(), end.as_str()) {
            ("00:00", "00:00") => format!("on {}", date(from)),
            (begin, "00:00") => format!("on {} from {begin} to 24:00", date(from)),
            (begin, end) => format!("on {} from {begin} to {end}", date(from)),
        }
    } else if from == to {
        format!("on {}", date(from))
    } else {
        format!("from {} to {}", date(from), date(to))
    };
    let one = match bucketing.minutes() {
        1_440 => "day".to_owned(),
        60 => "hour".to_owned(),
        minutes => format!("period of {minutes} minutes"),
    };
    let state = match available {
        0 => "is full",
        some if some < wanted => "has too little left",
        // Another step or line of the order needs it as well.
        _ => "is not free when it is needed",
    };
    if given == Given::Whole && last > first {
        let most = if available == 0 { "none" } else { &format!("at most {left}") };
        format!("{name} {state} {when}: {wanted} needed in one {one}, {most} left{unit}")
    } else {
        format!("{name} {state} {when}: {wanted} needed, {left} left{unit}")
    }
}

pub(super) fn no_lane(sku: &str, zone: &str, service: Option<&str>) -> String {
    match service {
        Some(service) => {
            format!("No lane of the service {service} goes to zone {zone} from a site that supplies {sku}")
        }
        None => format!("No lane goes to zone {zone} from a site that supplies {sku}"),
    }
}

pub(super) fn no_delivery(lane: &Lane, day: Day) -> String {
    format!("Lane {} does not deliver on {}", lane.id, date(day))
}

pub(super) fn cutoff(resource: &Resource, calendar: &Calendar, closes: Moment, now: Moment) -> String {
    let (name, closes_at) = (&resource.display_name, instant(calendar, closes));
    if closes < now {
        format!("The cutoff of {name}, {closes_at}, has passed")
    } else {
        format!("The order can't be ready for {name} by its cutoff, {closes_at}")
    }
}

pub(super) fn departure(lane: &Lane, site: &Calendar, departs: Moment, ready: Moment) -> String {
    format!(
        "The order is ready at the earliest on {}, too late for the departure of lane {} on {}",
        instant(site, ready),
        lane.id,
        instant(site, departs)
    )
}

pub(super) fn transit(lane: &Lane, arrives: Day, by: Moment, zone: &Calendar) -> String {
    match lane.transit_time {
        Some(_) => format!("Lane {} arrives at {} at the earliest", lane.id, instant(zone, by)),
        None => format!("Lane {} arrives on {} at the earliest", lane.id, date(arrives)),
    }
}

pub(super) fn horizon(quantity: i32, sku: &str) -> String {
    format!("{quantity} of {sku} can't be promised within the days that are planned so far")
}

fn percent(share: Share) -> String {
    let percent = f64::from(share.millionths()) / 1e4;
    format!("{} %", (percent * 10.0).floor() / 10.0)
}

/// Why no date is as sure as it is asked for.
pub(super) fn no_honest_date(site: &str, zone: &str, service: &str, kept: &Kept, min: Share, moves: bool) -> String {
    let way = match service {
        "" => format!("from {site} to {zone}"),
        service => format!("from {site} to {zone} by {service}"),
    };
    let known = kept.known();
    if !kept.is_enough() {
        let known = match known {
            0 => format!("no promises {way} are on record yet"),
            1 => format!("1 promise {way} is on record"),
            n => format!("{n} promises {way} are on record"),
        };
        return format!("No honest date: {known}, {MIN_COMPARABLE} are needed to tell");
    }
    let days = if moves { MAX_DAYS_LATE - 1 } else { 0 };
    let share = percent(Share::of(kept.within(days), known));
    let came = if moves { format!("at most {days} days late") } else { "on time".to_owned() };
    format!("No honest date: of {known} promises {way} on record, {share} came {came}, {} are asked for", percent(min))
}

/// A date that capacity allows and the record does not.
pub(super) fn late_by_record(lane: &Lane, planned: Day, due: Day, min: Share) -> String {
    let (name, planned, due) = (&lane.id, date(planned), date(due));
    format!("By the record of {name}, what is planned for {planned} is {} sure to be there on {due}", percent(min))
}
