//! Tallies: numbers by name that a ledger adds to in the same step as what they count, so that each thing is counted once,
//! whatever is retried and however many servers there are. The ledger only adds; what the names mean is said here.
//!
//! A name is fields with tabs between them, which no id has.

use std::sync::Arc;

use crate::domain::answer::Verdict;
use crate::domain::reservation::Reservation;
use crate::domain::time::Day;

/// Numbers to be added, by name. One name may come several times.
pub type Tallies = Vec<(Arc<str>, i64)>;

/// What is counted for the scorecard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// A quote that took nothing and was answered yes.
    Promised,
    /// A quote that took nothing and was answered later.
    Later,
    /// A quote that was answered no.
    Unavailable,
    /// A yes that was held: a quote answered yes, too.
    Held,
    /// A later that was held: a quote answered later, too.
    HeldLater,
    /// A hold was confirmed.
    Confirmed,
    /// A hold expired.
    Expired,
    /// A reservation was released.
    Released,
    /// A reservation was delivered by the day it is judged by.
    Kept,
    /// A reservation was delivered later.
    Late,
    /// A reservation was given another date.
    Repromised,
}

impl Counted {
    /// All of them.
    pub const ALL: [Counted; 11] = [
        Counted::Promised,
        Counted::Later,
        Counted::Unavailable,
        Counted::Held,
        Counted::HeldLater,
        Counted::Confirmed,
        Counted::Expired,
        Counted::Released,
        Counted::Kept,
        Counted::Late,
        Counted::Repromised,
    ];

    /// Its part of a name.
    pub fn name(self) -> &'static str {
        match self {
            Counted::Promised => "promised",
            Counted::Later => "later",
            Counted::Unavailable => "unavailable",
            Counted::Held => "held",
            Counted::HeldLater => "held-later",
            Counted::Confirmed => "confirmed",
            Counted::Expired => "expired",
            Counted::Released => "released",
            Counted::Kept => "kept",
            Counted::Late => "late",
            Counted::Repromised => "re-promised",
        }
    }
}

/// What all names of the scorecard begin with.
pub const SCORE: &str = "score\t";
/// What all names of lost demand begin with.
pub const LOST: &str = "lost\t";
/// What all names of the record of kept promises begin with.
pub const RECORD: &str = "record\t";
/// What all names of offers' live reservations begin with.
pub const OFFER: &str = "offer\t";

/// A name of these fields. Two are written for each hold, so it is done without the formatting of the library, which takes six times as
/// long.
fn name<const N: usize>(prefix: &str, fields: [&str; N]) -> Arc<str> {
    let mut name = String::with_capacity(prefix.len() + fields.iter().map(|field| field.len() + 1).sum::<usize>());
    name.push_str(prefix);
    for (i, field) in fields.into_iter().enumerate() {
        if i > 0 {
            name.push('\t');
        }
        name.push_str(field);
    }
    Arc::from(name)
}

/// `score`, the day of promise, the channel, the offer, what is counted.
pub fn score(date: Day, channel: Option<&str>, offer: Option<&str>, counted: Counted) -> Arc<str> {
    let (channel, offer) = (channel.unwrap_or_default(), offer.unwrap_or_default());
    name(SCORE, [itoa::Buffer::new().format(date.0), channel, offer, counted.name()])
}

/// `lost`, the day that was asked for, the channel, the offer, `quotes` or `units`, the resource that was missing.
pub fn lost(date: Day, channel: Option<&str>, offer: Option<&str>, units: bool, resource: &str) -> Arc<str> {
    let (channel, offer) = (channel.unwrap_or_default(), offer.unwrap_or_default());
    let what = if units { "units" } else { "quotes" };
    name(LOST, [itoa::Buffer::new().format(date.0), channel, offer, what, resource])
}

/// Days of one period of the record.
pub const PERIOD_DAYS: i32 = 30;

/// `record`, the site, the zone, the service, the period of the day it was judged by, days late (0: kept).
pub fn record(site: &str, zone: &str, service: &str, judged_by: Day, days_late: i32) -> Arc<str> {
    let (mut period, mut late) = (itoa::Buffer::new(), itoa::Buffer::new());
    name(RECORD, [site, zone, service, period.format(judged_by.0.div_euclid(PERIOD_DAYS)), late.format(days_late)])
}

/// `offer`, the offer, `held` or `confirmed`: its reservations in that state at the moment.
pub fn offer(offer: &str, held: bool) -> Arc<str> {
    name(OFFER, [offer, if held { "held" } else { "confirmed" }])
}

/// What the names of one offer's live reservations begin with.
pub fn of_offer(offer: &str) -> String {
    format!("{OFFER}{offer}\t")
}

/// What is counted of a reservation, for its day of promise, channel and offer.
pub fn of(r: &Reservation, counted: Counted) -> Arc<str> {
    score(r.first_date, r.ask.channel.as_deref(), r.ask.offer.as_deref(), counted)
}

/// What is counted when the reservation is made.
pub fn held(r: &Reservation) -> Counted {
    match r.first_answer.verdict {
        Verdict::Promised => Counted::Held,
        Verdict::Later | Verdict::Unavailable => Counted::HeldLater,
    }
}

/// What is counted when a hold of the reservation expires, wherever that is noticed.
pub fn when_expired(r: &Reservation) -> Tallies {
    let mut tallies = vec![(of(r, Counted::Expired), 1)];
    if let Some(id) = &r.ask.offer {
        tallies.push((offer(id, true), -1));
    }
    tallies
}
