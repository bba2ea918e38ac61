//! Words of the command line and what they mean: lengths of time, instants, numbers, flags. Each says what would be right.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp};

use crate::domain::limits::MAX_QUANTITY;

/// A length of time: `90s`, `15m`, `2h`, `7d`, `1h 30m`, `PT15M`. Days are 24 hours; months and years are no length.
///
/// # Errors
/// One sentence that says what would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a length of time; write 90s, 15m, 2h or 7d");
    let span: jiff::Span = text.trim().parse().map_err(|_| wrong())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(length).map_err(|_| format!("'{text}' is negative; write 90s, 15m, 2h or 7d"))
}

/// An instant: RFC 3339, `2026-12-24T18:00:00+01:00`; or a local date and time of `zone`, `2026-12-24T18:00`.
///
/// # Errors
/// One sentence that says what would be right.
pub fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong = || {
        format!(
            "'{text}' is not an instant; write 2026-12-24T18:00:00+01:00, or 2026-12-24T18:00 in your own time zone"
        )
    };
    if !text.contains(['T', 't', ' ']) {
        return Err(wrong());
    }
    let local: jiff::civil::DateTime = text.parse().map_err(|_| wrong())?;
    zone.to_zoned(local).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

/// An instant with its offset, RFC 3339.
///
/// # Errors
/// One sentence that says what would be right.
pub fn rfc3339(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("'{text}' is not an instant; write it by RFC 3339, 2026-12-01T09:00:00Z"))
}

/// How many items: 1 to 1,000,000.
///
/// # Errors
/// One sentence that says what would be right.
pub fn quantity(text: &str) -> Result<i32, String> {
    match text.trim().parse::<i32>() {
        Ok(n) if (1..=MAX_QUANTITY).contains(&n) => Ok(n),
        _ => Err(format!("'{text}' is not a quantity; write a whole number from 1 to {MAX_QUANTITY}")),
    }
}

/// A whole number within bounds.
///
/// # Errors
/// One sentence that says what would be right.
pub fn number(text: &str, from: u64, to: u64) -> Result<u64, String> {
    match text.trim().parse::<u64>() {
        Ok(n) if (from..=to).contains(&n) => Ok(n),
        _ => Err(format!("'{text}' is not a whole number from {from} to {to}")),
    }
}

/// A share, 0 to 1.
///
/// # Errors
/// One sentence that says what would be right.
pub fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("'{text}' is not a number from 0 to 1")),
    }
}

/// What the environment says about a flag; what is empty says no.
///
/// # Errors
/// One sentence that says what would be right.
pub fn flag(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "on" | "t" => Ok(true),
        "" | "0" | "false" | "no" | "n" | "off" | "f" => Ok(false),
        _ => Err("is neither yes nor no; write true or false".to_owned()),
    }
}

/// A time zone by its IANA name.
///
/// # Errors
/// One sentence that says what would be right.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("'{name}' is not a time zone; write an IANA name, Europe/Berlin or UTC"))
}

/// As the contract has it.
pub(crate) fn to_proto(at: Timestamp) -> pbjson_types::Timestamp {
    // Nanoseconds of the contract are never negative, the date library's are before 1970.
    let (mut seconds, mut nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    pbjson_types::Timestamp { seconds, nanos }
}

/// From the contract; what lies outside the calendar is brought to its ends.
pub(crate) fn from_proto(at: &pbjson_types::Timestamp) -> Timestamp {
    Timestamp::new(at.seconds, at.nanos).unwrap_or(if at.seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_friendly() {
        let good = [
            ("90s", 90),
            ("15m", 900),
            ("2h", 7_200),
            ("7d", 604_800),
            ("1h 30m", 5_400),
            ("1 hour, 30 minutes", 5_400),
            ("PT15M", 900),
            ("0s", 0),
        ];
        for (text, seconds) in good {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "15", "soon", "1 month", "1y", "15 minutes ago", "-15m", "99999999999999d"] {
            assert!(duration(text).is_err(), "{text}: {:?}", duration(text));
        }
    }

    #[test]
    fn instants_have_an_offset_or_are_local() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let six: Timestamp = "2026-12-24T17:00:00Z".parse().unwrap();
        for text in ["2026-12-24T17:00:00Z", "2026-12-24T18:00:00+01:00", "2026-12-24T18:00", "2026-12-24 18:00:00"] {
            assert_eq!(instant(text, &berlin), Ok(six), "{text}");
        }
        for text in ["2026-12-24", "18:00", "tomorrow", "2026-02-30T10:00", ""] {
            assert!(instant(text, &berlin).is_err(), "{text}");
        }
        assert!(rfc3339("2026-12-24T18:00").is_err(), "the service's clock has no time zone of its own");
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        assert_eq!(quantity("1000000"), Ok(1_000_000));
        for text in ["0", "-1", "1000001", "1.5", "two", ""] {
            assert!(quantity(text).is_err(), "{text}");
        }
        assert_eq!(number("5", 1, 5), Ok(5));
        assert!(number("6", 1, 5).is_err());
        assert_eq!(share("0.01"), Ok(0.01));
        for text in ["1.01", "-0.1", "NaN", "1%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_of_the_environment_say_yes_or_no() {
        for (text, want) in [("1", true), ("Yes", true), ("true", true), ("", false), ("0", false), ("off", false)] {
            assert_eq!(flag(text), Ok(want), "{text}");
        }
        assert!(flag("maybe").is_err());
    }

    #[test]
    fn instants_before_1970_go_there_and_back() {
        for text in ["1969-12-31T23:59:59.5Z", "1970-01-01T00:00:00Z", "2026-12-24T17:00:00.25Z"] {
            let at: Timestamp = text.parse().unwrap();
            let proto = to_proto(at);
            assert!((0..1_000_000_000).contains(&proto.nanos));
            assert_eq!(from_proto(&proto), at);
        }
    }
}
