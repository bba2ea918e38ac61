//! Civil time of one time zone: which day an instant lies on, when days and wall-clock times begin (rules 1 and 2).

use std::sync::Arc;

use jiff::tz::{AmbiguousOffset, TimeZone};

use super::time::{DAY, Day, MINUTE, Moment, TimeOfDay};

/// Days before the day of making that the table covers.
const BEFORE: i32 = 40;
/// Days that the table covers: two years and some, so that a server restarted once a year never leaves it.
const COVERED: usize = 1_200;

/// The civil time of one time zone. A table of day beginnings answers for the days around the day it was made; outside
/// it the date library is asked, with the same answers.
#[derive(Debug)]
pub struct Calendar {
    name: Arc<str>,
    zone: TimeZone,
    first: Day,
    /// The beginnings of `COVERED + 1` days from `first` on, in microseconds.
    starts: Box<[i64]>,
    /// Whether the day has 24 hours without a change of the clock, so that times of day are plain additions.
    plain: Box<[bool]>,
}

impl Calendar {
    /// The calendar of an IANA time zone, with its table around `now`.
    pub fn new(name: &str, now: Moment) -> Result<Calendar, String> {
        // The library also takes "local" forms and offsets; the contract knows IANA names only.
        let zone =
            TimeZone::get(name).map_err(|_| format!("'{name}' is not an IANA time zone, such as Europe/Berlin"))?;
        let first = civil_day(&zone, now) - BEFORE;
        let starts: Box<[i64]> = (0..=COVERED as i32).map(|i| start_of(&zone, first + i).0).collect();
        let plain = starts
            .windows(2)
            .map(|w| {
                let offset = |at: i64| zone.to_offset(Moment(at).to_timestamp());
                w[1] - w[0] == DAY && offset(w[0]) == offset(w[1] - 1)
            })
            .collect();
        Ok(Calendar { name: Arc::from(name), zone, first, starts, plain })
    }

    /// The IANA name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The civil day that the instant lies on.
    pub fn day_of(&self, at: Moment) -> Day {
        let last = self.starts.len() - 1;
        if at.0 < self.starts[0] || at.0 >= self.starts[last] {
            return civil_day(&self.zone, at);
        }
        // Days are some 24 hours long, so the guess is off by one at most for each change of the clock on the way.
        let mut i = (((at.0 - self.starts[0]) / DAY) as usize).min(last - 1);
        while self.starts[i] > at.0 {
            i -= 1;
        }
        while self.starts[i + 1] <= at.0 {
            i += 1;
        }
        self.first + i as i32
    }

    /// When the civil day begins: its 00:00, or the end of a gap that swallows it.
    pub fn start_of(&self, day: Day) -> Moment {
        match self.row(day) {
            Some(i) => Moment(self.starts[i]),
            None => start_of(&self.zone, day),
        }
    }

    /// When the wall clock shows this time on this day; in a gap, the gap's end; of two equal times, the first (rule 2).
    pub fn at(&self, day: Day, time: TimeOfDay) -> Moment {
        match self.row(day) {
            Some(i) if self.plain.get(i) == Some(&true) => Moment(self.starts[i] + i64::from(time.0) * MINUTE),
            _ => at(&self.zone, day, time),
        }
    }

    /// Whether the day has 24 hours and no change of the clock.
    pub fn is_plain(&self, day: Day) -> bool {
        self.row(day).and_then(|i| self.plain.get(i)).copied().unwrap_or(false)
    }

    /// The wall-clock date and time, for people.
    pub fn wall_clock(&self, at: Moment) -> jiff::civil::DateTime {
        self.zone.to_datetime(at.to_timestamp())
    }

    fn row(&self, day: Day) -> Option<usize> {
        let i = usize::try_from(i64::from(day.0) - i64::from(self.first.0)).ok()?;
        (i < self.starts.len()).then_some(i)
    }
}

fn civil_day(zone: &TimeZone, at: Moment) -> Day {
    Day::from_date(zone.to_datetime(at.to_timestamp()).date())
}

fn start_of(zone: &TimeZone, day: Day) -> Moment {
    at(zone, day, TimeOfDay(0))
}

fn at(zone: &TimeZone, day: Day, time: TimeOfDay) -> Moment {
    let wall = day.date().at((time.0 / 60) as i8, (time.0 % 60) as i8, 0, 0);
    let ambiguous = zone.to_ambiguous_timestamp(wall);
    let stamp = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall),
        // Read with the offset that holds after the gap, the time lies before the change: the next change is the gap's end.
        AmbiguousOffset::Gap { after, .. } => after
            .to_timestamp(wall)
            .map(|before_gap| zone.following(before_gap).next().map_or(before_gap, |change| change.timestamp())),
    };
    stamp.map_or(Moment::MAX, Moment::from_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        Moment::from_timestamp(text.parse().expect("an instant"))
    }

    fn calendar(zone: &str) -> Calendar {
        Calendar::new(zone, moment("2026-11-22T12:00:00Z")).expect("a known zone")
    }

    fn day(text: &str) -> Day {
        Day::parse(text).expect("a date")
    }

    #[test]
    fn rule_02_in_a_gap_the_gaps_end_counts() {
        let berlin = calendar("Europe/Berlin");
        // On 2027-03-28 the clock jumps from 02:00 to 03:00.
        for time in [120, 135, 179, 180] {
            assert_eq!(berlin.at(day("2027-03-28"), TimeOfDay(time)), moment("2027-03-28T01:00:00Z"), "{time}");
        }
        assert_eq!(berlin.at(day("2027-03-28"), TimeOfDay(181)), moment("2027-03-28T01:01:00Z"));
        // In Santiago the gap swallows midnight.
        let santiago = calendar("America/Santiago");
        assert_eq!(santiago.start_of(day("2027-09-05")), moment("2027-09-05T04:00:00Z"));
    }

    #[test]
    fn rule_02_of_two_equal_times_the_first_counts() {
        let berlin = calendar("Europe/Berlin");
        assert_eq!(berlin.at(day("2027-10-31"), TimeOfDay(150)), moment("2027-10-31T00:30:00Z"));
        assert_eq!(berlin.at(day("2027-10-31"), TimeOfDay(180)), moment("2027-10-31T02:00:00Z"));
    }

    #[test]
    fn the_table_agrees_with_the_date_library() {
        for zone in [
            "Europe/Berlin",
            "America/Santiago",
            "America/New_York",
            "Asia/Kolkata",
            "Africa/Cairo",
            "Australia/Lord_Howe",
        ] {
            let calendar = calendar(zone);
            for i in -60..1_300 {
                let d = day("2026-11-22") + i;
                assert_eq!(calendar.start_of(d), start_of(&calendar.zone, d), "{zone} {d}");
                for minute in [0, 60, 120, 150, 840, 1_410] {
                    let at_time = calendar.at(d, TimeOfDay(minute));
                    assert_eq!(at_time, at(&calendar.zone, d, TimeOfDay(minute)), "{zone} {d} {minute}");
                    assert_eq!(calendar.day_of(at_time), civil_day(&calendar.zone, at_time), "{zone} {d} {minute}");
                }
                assert_eq!(calendar.day_of(Moment(calendar.start_of(d).0 - 1)), d - 1, "{zone} {d}");
            }
        }
    }
}
