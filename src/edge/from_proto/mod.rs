//! Messages to words of the domain. Every fault of a message is found, and named by its path in the request; a request that
//! comes out of here needs no more looking at but for the names that only the network knows.

mod ask;
mod network;
mod offer;
mod operations;
mod outcome;
mod promise;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use pbjson_types::{Duration, Timestamp};
use prost::Message;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::domain::faults::{Fault, Faults};
use crate::domain::id::{self, ReservationId};
use crate::domain::limits::{
    MAX_HOLD_SECONDS, MAX_REQUEST_ID_BYTES, MAX_TEXT_BYTES, MAX_YEAR, MIN_HOLD_SECONDS, MIN_YEAR,
};
use crate::domain::reservation::Fingerprint;
use crate::domain::time::{Day, Moment, SECOND, Span};

use ask::quantity;
pub use ask::{WhenOf, ask};
pub use network::{apply_network, network, network_document, network_spec};
pub use offer::{
    approve_offer, check_offer, close_offer, get_offer, list_offers, offer, offers_page_token, suggest_offers,
};
pub use operations::{adjust_supply, list_buckets, list_reservations, set_allocation, set_supply, watch_events};
pub use outcome::{fix_reservation, get_scorecard, report_fulfilment, repromise};
pub use promise::{
    amend_reservation, confirm_reservation, extend_reservation, get_reservation, list_promise_dates, quote,
    release_reservation, watch_quote,
};

/// Seconds of the longest duration that protobuf knows: some 10,000 years.
const MAX_DURATION_SECONDS: i64 = 315_576_000_000;

/// The digest of a whole request, over its encoding with the fields in the order of their numbers (rule 20). Fields that this
/// version does not know are not part of it.
pub fn fingerprint(request: &impl Message) -> Fingerprint {
    Fingerprint(xxh3_128(&request.encode_to_vec()))
}

/// An id that may be left out, since the call is only safe to repeat with it, not wrong without.
pub fn optional_id(text: &str) -> Result<Option<ReservationId>, String> {
    if text.is_empty() { Ok(None) } else { reservation_id(text).map(Some) }
}

/// The instant, cut to the microsecond before it. Refuses what lies outside the years that dates may have.
pub fn moment(stamp: &Timestamp) -> Result<Moment, String> {
    if !(0..1_000_000_000).contains(&stamp.nanos) {
        return Err(format!("has {} nanos; 0 to 999999999 are right", stamp.nanos));
    }
    let first = i64::from(Day::from_date(jiff::civil::date(MIN_YEAR, 1, 1)).0) * 86_400;
    let end = i64::from(Day::from_date(jiff::civil::date(MAX_YEAR + 1, 1, 1)).0) * 86_400;
    if !(first..end).contains(&stamp.seconds) {
        return Err(format!("lies outside the years {MIN_YEAR} to {MAX_YEAR}"));
    }
    Ok(Moment(stamp.seconds * SECOND + i64::from(stamp.nanos) / 1_000))
}

/// The instant, or the first whole microsecond after it.
pub fn moment_rounded_up(stamp: &Timestamp) -> Result<Moment, String> {
    moment(stamp).map(|at| if stamp.nanos % 1_000 == 0 { at } else { Moment(at.0 + 1) })
}

/// A length of time: not negative, whole microseconds.
pub fn span(duration: &Duration) -> Result<Span, String> {
    let Duration { seconds, nanos } = *duration;
    if seconds < 0 || nanos < 0 {
        Err("is negative".to_owned())
    } else if nanos > 999_999_999 {
        Err(format!("has {nanos} nanos; 0 to 999999999 are right"))
    } else if seconds > MAX_DURATION_SECONDS {
        Err(format!("is {seconds} s; at most {MAX_DURATION_SECONDS} are taken"))
    } else if nanos % 1_000 != 0 {
        Err("is not a whole number of microseconds".to_owned())
    } else {
        Ok(Span(seconds * SECOND + i64::from(nanos) / 1_000))
    }
}

/// How long capacity is kept: 1 s to 7 days.
pub fn hold(duration: &Duration) -> Result<Span, String> {
    let span = span(duration)?;
    if (Span::seconds(MIN_HOLD_SECONDS)..=Span::seconds(MAX_HOLD_SECONDS)).contains(&span) {
        Ok(span)
    } else {
        Err(format!("is {} s; it must lie between {MIN_HOLD_SECONDS} s and {MAX_HOLD_SECONDS} s", span.0 as f64 / 1e6))
    }
}

/// A request id: any name of at most [`MAX_REQUEST_ID_BYTES`]; a UUID is what callers should send.
pub fn reservation_id(text: &str) -> Result<ReservationId, String> {
    if text.is_empty() {
        return Err("is empty; a UUID is needed".to_owned());
    }
    if text.len() > MAX_REQUEST_ID_BYTES {
        return Err(format!("has {} bytes; at most {MAX_REQUEST_ID_BYTES} are taken", text.len()));
    }
    ReservationId::new(text)
}

/// Where the next page begins, as callers pass it on without reading it: four bytes that tell a made-up token from one of
/// ours, then the id of the last reservation, both in hexadecimal.
pub fn page_token(last: &ReservationId) -> String {
    token_of(last.as_str())
}

/// See [`page_token`].
fn token_of(last: &str) -> String {
    use std::fmt::Write;
    let bytes = last.as_bytes();
    bytes.iter().fold(format!("{:08x}", xxh3_64(bytes) as u32), |mut token, byte| {
        // Writing to a string can't fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}

/// The inverse of [`page_token`].
pub fn after_page(token: &str) -> Result<ReservationId, String> {
    reservation_id(&text_of_token(token, MAX_REQUEST_ID_BYTES)?)
}

/// The inverse of [`token_of`], for ids of at most so many bytes.
fn text_of_token(token: &str, longest: usize) -> Result<String, String> {
    let wrong = || "is not a token of this list; begin again without one".to_owned();
    if token.len() > 8 + 2 * longest || !token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(wrong());
    }
    let (sum, hex) = token.split_at_checked(8).ok_or_else(wrong)?;
    if hex.len() % 2 != 0 {
        return Err(wrong());
    }
    let bytes: Vec<u8> =
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap_or_default()).collect();
    if u32::from_str_radix(sum, 16) != Ok(xxh3_64(&bytes) as u32) {
        return Err(wrong());
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// The value, or none and its fault noted. The path is only spelled out when it is needed.
fn keep<T>(faults: &mut Faults, read: Result<T, String>, path: impl FnOnce() -> String) -> Option<T> {
    read.map_err(|why| faults.add(path(), why)).ok()
}

/// All values, or all faults. A value is none only where its fault was noted.
fn finish<T>(faults: Faults, value: Option<T>) -> Result<T, Vec<Fault>> {
    match value {
        Some(value) if faults.is_empty() => Ok(value),
        _ => Err(faults.into_vec()),
    }
}

/// A checked name.
fn name(text: &str) -> Result<Arc<str>, String> {
    id::check(text).map(|()| Arc::from(text))
}

/// A checked name; none where it is empty.
fn optional_name(text: &str) -> Result<Option<Arc<str>>, String> {
    if text.is_empty() { Ok(None) } else { name(text).map(Some) }
}

/// The caller's own words, at most so many bytes of them.
fn words(text: &str, limit: usize) -> Result<Arc<str>, String> {
    if text.len() > limit {
        Err(format!("has {} bytes; at most {limit} are taken", text.len()))
    } else {
        Ok(Arc::from(text))
    }
}

/// A reason for people.
fn reason(text: &str) -> Result<Arc<str>, String> {
    words(text, MAX_TEXT_BYTES)
}

/// A date; none where it is empty.
fn optional_day(text: &str) -> Result<Option<Day>, String> {
    if text.is_empty() { Ok(None) } else { Day::parse(text).map(Some) }
}

/// A number from 1 to `limit`; the default where it is unset.
fn number_of(number: i32, default: i32, limit: i32) -> Result<i32, String> {
    match number {
        0 => Ok(default),
        n if (1..=limit).contains(&n) => Ok(n),
        n => Err(format!("is {n}; it must lie between 1 and {limit}")),
    }
}

/// What is said of an enum's number that has no name here.
fn unknown_number(number: i32) -> String {
    format!("is {number}, a value that is not known here")
}
