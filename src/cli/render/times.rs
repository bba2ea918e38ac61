//! Instants, days and lengths of time as people say them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{FAINT, paint};
use crate::cli::values::from_proto;

/// The time zone in which instants are shown and local times are read.
#[derive(Clone, Debug)]
pub struct Times {
    zone: TimeZone,
    name: String,
    /// Whether nobody named it.
    assumed: bool,
}

impl Times {
    /// A time zone that was named.
    pub fn new(zone: TimeZone, name: &str) -> Self {
        Self { zone, name: name.to_owned(), assumed: false }
    }

    /// This machine's time zone; UTC where it has none.
    pub fn of_this_machine() -> Self {
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        let name = zone.iana_name().unwrap_or("the zone of this machine").to_owned();
        Self { zone, name, assumed: true }
    }

    /// The time zone itself.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Which time zone the reader sees.
    pub fn footer(&self) -> String {
        let hint = if self.assumed { ", this machine's time zone; --time-zone shows them in another" } else { "" };
        paint(FAINT, &format!("Times are in {}{hint}.", self.name))
    }

    /// A civil date of the zone of the promise: "Thu 3 Dec 2026"; what is no date as it is.
    pub fn day(&self, date: &str) -> String {
        date.parse::<Date>().map_or_else(|_| date.to_owned(), day_text)
    }

    /// An instant: "Thu 3 Dec 2026 14:00".
    pub fn moment(&self, at: &pbjson_types::Timestamp) -> String {
        let local = from_proto(at).to_zoned(self.zone.clone());
        format!("{} {}", day_text(local.date()), time_text(&local))
    }

    /// A period: "Thu 3 Dec 2026" if it is that whole day, "Thu 3 Dec 2026, 10:00 to 12:00" within one, else both ends.
    pub fn period(&self, from: &pbjson_types::Timestamp, to: &pbjson_types::Timestamp) -> String {
        let begin = from_proto(from).to_zoned(self.zone.clone());
        let end = from_proto(to).to_zoned(self.zone.clone());
        let day = begin.date();
        let first = self.zone.to_zoned(day.to_datetime(jiff::civil::Time::midnight())).map(|z| z.timestamp());
        let next = day.tomorrow().and_then(|next| self.zone.to_zoned(next.to_datetime(jiff::civil::Time::midnight())));
        let next = next.map(|z| z.timestamp());
        let from_first = first.is_ok_and(|first| first == begin.timestamp());
        let to_last = next.is_ok_and(|next| next == end.timestamp());
        if from_first && to_last {
            day_text(day)
        } else if to_last {
            format!("{}, {} to 24:00", day_text(day), time_text(&begin))
        } else if end.date() == day {
            format!("{}, {} to {}", day_text(day), time_text(&begin), time_text(&end))
        } else {
            let (begin_day, end_day) = (day_text(day), day_text(end.date()));
            format!("{begin_day} {} to {end_day} {}", time_text(&begin), time_text(&end))
        }
    }

    /// When something arrives: the day of the promise, and the window if it is not that whole day.
    pub fn arrival(
        &self,
        date: &str,
        from: Option<&pbjson_types::Timestamp>,
        by: Option<&pbjson_types::Timestamp>,
    ) -> String {
        let day = self.day(date);
        let (Some(from), Some(by)) = (from, by) else { return day };
        let period = self.period(from, by);
        if period.starts_with(&day) && !period[day.len()..].starts_with(' ') {
            period
        } else {
            // The window crosses midnight, here or because the promise's zone has another time zone than the reader.
            format!("{day} ({period}, {} time)", self.short_name())
        }
    }

    fn short_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

/// "Thu 3 Dec 2026".
fn day_text(date: Date) -> String {
    date.strftime("%a %-d %b %Y").to_string()
}

/// "14:00", with seconds where there are any.
fn time_text(at: &jiff::Zoned) -> String {
    at.strftime(if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string()
}

/// How long until an instant, in its two largest units, rounded down: "2 h 13 min". None if it has passed.
pub fn left(now: Timestamp, until: &pbjson_types::Timestamp) -> Option<String> {
    let seconds = from_proto(until).duration_since(now).as_secs();
    (seconds > 0).then(|| length(u64::try_from(seconds).unwrap_or(0)))
}

/// A length of time in its two largest units, rounded down: "2 h 13 min".
pub fn length(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) if minutes < 10 && rest > 0 => format!("{minutes} min {rest} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        (_, _, _) => format!("{days} d {hours} h"),
    }
}
