//! Instants, civil days, times of day and spans: integers, so that the planner compares and adds without thinking.

use std::fmt;
use std::ops::{Add, Sub};

use super::limits::{MAX_YEAR, MIN_YEAR};

/// Microseconds of one second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of one minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds of one hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds of 24 hours, which is not always a civil day.
pub const DAY: i64 = 24 * HOUR;

/// An instant: microseconds since 1970-01-01T00:00Z (rule 1: all instants are UTC inside).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

impl Moment {
    /// Before every other.
    pub const MIN: Moment = Moment(i64::MIN);
    /// After every other.
    pub const MAX: Moment = Moment(i64::MAX);
    /// After every date that can be said, in the year 2255: for what has no end but is kept in a store, where numbers are doubles.
    pub const FAR: Moment = Moment((1 << 53) - 1);

    /// This, `span` later; stays within what can be said.
    pub fn plus(self, span: Span) -> Moment {
        Moment(self.0.saturating_add(span.0))
    }

    /// This, `span` earlier; stays within what can be said.
    pub fn minus(self, span: Span) -> Moment {
        Moment(self.0.saturating_sub(span.0))
    }

    /// As the date library has it; far instants are brought to its limits.
    pub fn to_timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }

    /// From the date library, cut to whole microseconds.
    pub fn from_timestamp(t: jiff::Timestamp) -> Moment {
        Moment(t.as_microsecond())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_timestamp().fmt(f)
    }
}

/// A length of time in microseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// That many seconds.
    pub const fn seconds(n: i64) -> Span {
        Span(n * SECOND)
    }

    /// That many minutes.
    pub const fn minutes(n: i64) -> Span {
        Span(n * MINUTE)
    }

    /// That many hours.
    pub const fn hours(n: i64) -> Span {
        Span(n * HOUR)
    }

    /// That many times 24 hours.
    pub const fn days(n: i64) -> Span {
        Span(n * DAY)
    }
}

/// A civil day, counted from 1970-01-01. Which instants it spans depends on a time zone: see `Calendar`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The day of an ISO 8601 date, exactly `YYYY-MM-DD`, that exists and lies between [`MIN_YEAR`] and [`MAX_YEAR`].
    pub fn parse(text: &str) -> Result<Day, String> {
        let b = text.as_bytes();
        let shaped = b.len() == 10
            && b.iter().enumerate().all(|(i, c)| if i == 4 || i == 7 { *c == b'-' } else { c.is_ascii_digit() });
        if !shaped {
            return Err(format!("'{text}' is not a date; write YYYY-MM-DD"));
        }
        let number = |r: std::ops::Range<usize>| text[r].parse::<i16>().unwrap_or(0);
        let (year, month, day) = (number(0..4), number(5..7) as i8, number(8..10) as i8);
        let date =
            jiff::civil::Date::new(year, month, day).map_err(|_| format!("'{text}' is not a day of the calendar"))?;
        if !(MIN_YEAR..=MAX_YEAR).contains(&year) {
            return Err(format!("'{text}' lies outside the years {MIN_YEAR} to {MAX_YEAR}"));
        }
        Ok(Day::from_date(date))
    }

    /// From the date library.
    pub fn from_date(date: jiff::civil::Date) -> Day {
        Day((jiff::civil::DateTime::from_parts(date, jiff::civil::Time::midnight())
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map_or(0, |z| z.timestamp().as_second())
            / 86_400) as i32)
    }

    /// As the date library has it; far days are brought to its limits.
    pub fn date(self) -> jiff::civil::Date {
        // By way of an instant: adding a span to a date takes four times as long, and answers have some six dates.
        let at = jiff::Timestamp::from_second(i64::from(self.0) * 86_400);
        at.map(|at| jiff::tz::Offset::UTC.to_datetime(at).date()).unwrap_or(if self.0 < 0 {
            jiff::civil::Date::MIN
        } else {
            jiff::civil::Date::MAX
        })
    }

    /// 0 for Monday to 6 for Sunday.
    pub fn weekday(self) -> usize {
        // 1970-01-01 was a Thursday.
        (self.0 + 3).rem_euclid(7) as usize
    }
}

impl Add<i32> for Day {
    type Output = Day;
    fn add(self, days: i32) -> Day {
        Day(self.0 + days)
    }
}

impl Sub<i32> for Day {
    type Output = Day;
    fn sub(self, days: i32) -> Day {
        Day(self.0 - days)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date();
        let Ok(year @ 0..=9_999) = u16::try_from(date.year()) else { return date.fmt(f) };
        let [month, day] = [date.month(), date.day()].map(|n| u16::from(n.unsigned_abs()));
        let digit = |n: u16| b'0' + (n % 10) as u8;
        let text = [
            digit(year / 1_000),
            digit(year / 100),
            digit(year / 10),
            digit(year),
            b'-',
            digit(month / 10),
            digit(month),
            b'-',
            digit(day / 10),
            digit(day),
        ];
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// A wall-clock time of day in whole minutes after 00:00, 0 to 1,439.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(pub u16);

impl TimeOfDay {
    /// Exactly `HH:MM`, 00:00 to 23:59.
    pub fn parse(text: &str) -> Result<TimeOfDay, String> {
        let b = text.as_bytes();
        let wrong = || format!("'{text}' is not a time of day; write HH:MM, 00:00 to 23:59");
        if b.len() != 5 || b[2] != b':' || ![0, 1, 3, 4].iter().all(|&i| b[i].is_ascii_digit()) {
            return Err(wrong());
        }
        let digit = |i: usize| u16::from(b[i] - b'0');
        let (hour, minute) = (digit(0) * 10 + digit(1), digit(3) * 10 + digit(4));
        if hour > 23 || minute > 59 {
            return Err(wrong());
        }
        Ok(TimeOfDay(hour * 60 + minute))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A set of weekdays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekdays(pub u8);

impl Weekdays {
    /// All seven.
    pub const ALL: Weekdays = Weekdays(0x7f);

    /// Whether the day's weekday is one of them.
    pub fn contains(self, day: Day) -> bool {
        self.0 >> day.weekday() & 1 == 1
    }

    /// With this weekday too, 0 for Monday to 6 for Sunday.
    #[must_use]
    pub fn with(self, weekday: usize) -> Weekdays {
        Weekdays(self.0 | 1 << weekday)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_is_written_as_the_date_library_writes_it() {
        let mut date = jiff::civil::date(1969, 12, 1);
        for day in -31..90_000 {
            assert_eq!((Day(day).date(), Day(day).to_string()), (date, date.to_string()));
            date = date.tomorrow().unwrap();
        }
        assert_eq!(Day(i32::MAX).to_string(), jiff::civil::Date::MAX.to_string());
        assert_eq!(Day(i32::MIN).to_string(), jiff::civil::Date::MIN.to_string());
    }

    #[test]
    fn dates_are_exactly_year_month_day_and_exist() {
        assert_eq!(Day::from_date(jiff::civil::date(1970, 1, 1)), Day(0));
        assert_eq!(Day::parse("2026-12-24").map(|d| d.to_string()), Ok("2026-12-24".to_owned()));
        for wrong in
            ["", "2026-2-03", "2026-02-30", "2026-13-01", "20260203", "2026-02-03 ", "0001-01-01", "2026-02-0x"]
        {
            assert!(Day::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Day::parse("2026-11-22").map(Day::weekday), Ok(6), "a Sunday");
    }

    #[test]
    fn times_of_day_are_exactly_hours_and_minutes() {
        assert_eq!(TimeOfDay::parse("14:05"), Ok(TimeOfDay(845)));
        for wrong in ["24:00", "9:00", "09:60", "09-00", "+9:00", "", "09:00:00"] {
            assert!(TimeOfDay::parse(wrong).is_err(), "{wrong}");
        }
    }
}
