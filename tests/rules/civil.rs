//! Civil time for the oracle, asked of the date library each time anew (and remembered, as tests want to end).

use std::cell::RefCell;
use std::collections::HashMap;

use jiff::ToSpan;
use jiff::civil::{Date, Time, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
use surety::domain::time::Moment;

/// By day and minutes after 00:00.
type Instants = HashMap<(i32, i32), Moment>;

thread_local! {
    static ZONES: RefCell<HashMap<String, TimeZone>> = RefCell::default();
    static SEEN: RefCell<HashMap<String, Instants>> = RefCell::default();
}

fn zone(name: &str) -> TimeZone {
    ZONES.with_borrow_mut(|zones| {
        if !zones.contains_key(name) {
            zones.insert(name.to_owned(), TimeZone::get(name).expect("an IANA time zone"));
        }
        zones[name].clone()
    })
}

fn date_of(day: i32) -> Date {
    date(1970, 1, 1).checked_add(day.days()).expect("a day of the calendar")
}

/// When the wall clock shows so many minutes after 00:00 on this day; in a gap, at its end; of two, the first (rule 2).
pub fn at(name: &str, day: i32, minute: i32) -> Moment {
    let seen = SEEN.with_borrow(|seen| seen.get(name).and_then(|of| of.get(&(day, minute)).copied()));
    if let Some(moment) = seen {
        return moment;
    }
    let mut wall = date_of(day).to_datetime(Time::midnight()).checked_add(minute.minutes()).expect("a time");
    let moment = loop {
        match zone(name).to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                break Moment(offset.to_timestamp(wall).expect("an instant").as_microsecond());
            }
            AmbiguousOffset::Gap { .. } => wall = wall.checked_add(1.minute()).expect("a time"),
        }
    };
    SEEN.with_borrow_mut(|seen| seen.entry(name.to_owned()).or_default().insert((day, minute), moment));
    moment
}

/// When the civil day begins.
pub fn begin_of(name: &str, day: i32) -> Moment {
    at(name, day, 0)
}

/// The civil day, counted from 1970-01-01.
pub fn day_of(name: &str, moment: Moment) -> i32 {
    let at = jiff::Timestamp::from_microsecond(moment.0).expect("an instant");
    let civil = zone(name).to_datetime(at).date();
    (civil - date(1970, 1, 1)).get_days()
}

/// 0 for Monday to 6 for Sunday.
pub fn weekday(day: i32) -> usize {
    // 1970-01-01 was a Thursday.
    (day + 3).rem_euclid(7) as usize
}

/// `YYYY-MM-DD`.
pub fn date_text(day: i32) -> String {
    date_of(day).to_string()
}

/// The day of `YYYY-MM-DD`.
pub fn day_of_text(text: &str) -> i32 {
    let civil: Date = text.parse().expect("a date");
    (civil - date(1970, 1, 1)).get_days()
}

/// The minutes after 00:00 of `HH:MM`.
pub fn minutes_of(text: &str) -> i32 {
    let (hours, minutes) = text.split_once(':').expect("HH:MM");
    hours.parse::<i32>().expect("hours") * 60 + minutes.parse::<i32>().expect("minutes")
}
