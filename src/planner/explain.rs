//! Bottlenecks in words: one sentence for people, with the names, units and local dates that they know.

use super::bottleneck::Given;
use crate::domain::calendar::Calendar;
use crate::domain::network::{Lane, Resource};
use crate::domain::time::{Day, Moment};

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn date(day: Day) -> String {
    format!("{} {day}", WEEKDAYS[day.weekday()])
}

fn instant(calendar: &Calendar, at: Moment) -> String {
    let wall = calendar.wall_clock(at);
    format!("{} {:02}:{:02}", date(calendar.day_of(at)), wall.hour(), wall.minute())
}

/// A resource that can't give what is needed in a period.
pub(super) fn short(resource: &Resource, given: Given, first: i32, last: i32, wanted: i64, available: i64) -> String {
    let bucketing = resource.bucketing;
    let (name, unit) = (&resource.display_name, &resource.unit);
    let (from, to) = (bucketing.day_of(first), bucketing.day_of(last));
    let left = if available == 0 { "none".to_owned() } else { available.to_string() };
    match given {
        Given::Stock => format!("{name} is short: {wanted} {unit} are needed by {}, {left} can be had", date(to)),
        Given::Whole | Given::Shared => {
            let when = if !bucketing.is_days() && from == to {
                format!("on {} from {} to {}", date(from), bucketing.time_of(first), bucketing.time_of(last + 1))
            } else if from == to {
                format!("on {}", date(from))
            } else {
                format!("from {} to {}", date(from), date(to))
            };
            match given {
                Given::Shared => format!("{name} is full {when}: {wanted} {unit} are needed, {left} are left"),
                _ if from == to && bucketing.is_days() => {
                    format!("{name} is full {when}: {wanted} {unit} are needed, {left} are left")
                }
                _ => {
                    let one = match bucketing.minutes() {
                        1_440 => "day".to_owned(),
                        60 => "hour".to_owned(),
                        minutes => format!("period of {minutes} minutes"),
                    };
                    let most = if available == 0 { "none are".to_owned() } else { format!("at most {available} are") };
                    format!("{name} is full {when}: {wanted} {unit} are needed in one {one}, {most} left")
                }
            }
        }
    }
}

pub(super) fn no_lane(sku: &str, zone: &str, service: Option<&str>) -> String {
    match service {
        Some(service) => format!("No lane of the service {service} leads from where {sku} is to zone {zone}"),
        None => format!("No lane leads from where {sku} is to zone {zone}"),
    }
}

pub(super) fn no_delivery(lane: &Lane, day: Day) -> String {
    format!("Lane {} does not deliver on {}", lane.id, date(day))
}

pub(super) fn cutoff(resource: &Resource, calendar: &Calendar, closes: Moment) -> String {
    format!("The cutoff of {}, {}, has passed", resource.display_name, instant(calendar, closes))
}

pub(super) fn departure(lane: &Lane, site: &Calendar, departs: Moment, ready: Moment) -> String {
    format!(
        "The last departure of lane {} in time, {}, comes before the order can be ready, {}",
        lane.id,
        instant(site, departs),
        instant(site, ready)
    )
}

pub(super) fn transit(lane: &Lane, arrives: Day, by: Moment, zone: &Calendar) -> String {
    match lane.transit_time {
        Some(_) => format!("Lane {} arrives at {} at the earliest", lane.id, instant(zone, by)),
        None => format!("Lane {} arrives on {} at the earliest", lane.id, date(arrives)),
    }
}

pub(super) fn horizon(quantity: i32, sku: &str) -> String {
    format!("{quantity} of {sku} would not be done within the planned horizon")
}
