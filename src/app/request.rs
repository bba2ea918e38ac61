//! What the use cases are asked, in the words of the domain: every value was checked by who built the request.

use std::fmt;
use std::sync::Arc;

use crate::domain::ask::Ask;
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::network::Network;
use crate::domain::offer::Offer;
use crate::domain::reservation::{Fingerprint, State};
use crate::domain::share::Share;
use crate::domain::time::{Day, Moment, Span, TimeOfDay};

/// Can we promise it, and is it to be held?
#[derive(Clone, Debug, PartialEq)]
pub struct QuoteRequest {
    /// Names the reservation; always there when `hold` is.
    pub request_id: Option<ReservationId>,
    /// The digest of the whole request; 0 where nothing is to be held.
    pub fingerprint: Fingerprint,
    /// What is asked.
    pub ask: Ask,
    /// How long to keep the capacity, 1 s to 7 days; none: read only.
    pub hold: Option<Span>,
    /// Whether the earliest promise is held when it comes after Y.
    pub accept_later: bool,
    /// The caller's own; may be empty.
    pub reference: Arc<str>,
}

/// Which dates may a date picker offer?
#[derive(Clone, Debug, PartialEq)]
pub struct PromiseDatesRequest {
    /// What is asked; its `when` is `Any`.
    pub ask: Ask,
    /// The first day; none: today.
    pub from: Option<Day>,
    /// Days, 1 to `MAX_DATE_DAYS`.
    pub days: i32,
}

/// The answer now and each time it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchQuoteRequest {
    /// What is asked.
    pub ask: Ask,
}

/// The order was placed.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfirmRequest {
    /// Which.
    pub id: ReservationId,
    /// Replaces the reservation's, when set.
    pub reference: Option<Arc<str>>,
    /// Whether an expired hold's capacity is taken again if all of it is free.
    pub retake: bool,
}

/// All capacity goes back.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseRequest {
    /// Which.
    pub id: ReservationId,
    /// The caller's reason; may be empty.
    pub reason: Arc<str>,
}

/// More time to pay.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtendRequest {
    /// Which.
    pub id: ReservationId,
    /// How long from now, 1 s to 7 days.
    pub hold: Span,
}

/// Another quantity, date or zone.
#[derive(Clone, Debug, PartialEq)]
pub struct AmendRequest {
    /// Which.
    pub id: ReservationId,
    /// Makes the amendment itself safe to repeat.
    pub request_id: Option<ReservationId>,
    /// The digest of the whole request.
    pub fingerprint: Fingerprint,
    /// What is asked from now on.
    pub ask: Ask,
    /// Whether a promise after Y is taken too.
    pub accept_later: bool,
}

/// The network is replaced by this one.
#[derive(Debug)]
pub struct ApplyNetworkRequest {
    /// The document, as the ledger keeps it.
    pub document: Arc<[u8]>,
    /// What the document says, checked.
    pub network: Network,
    /// Only say whether it could be applied.
    pub validate_only: bool,
}

/// Where a run of buckets starts, in the civil time of the resource's site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// With the first bucket of a day.
    Date(Day),
    /// With the bucket that begins at this wall-clock time.
    DateTime(Day, TimeOfDay),
}

impl Start {
    /// Exactly `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM`.
    pub fn parse(text: &str) -> Result<Start, String> {
        match text.split_once('T') {
            None => Day::parse(text)
                .map(Start::Date)
                .map_err(|why| if why.ends_with("YYYY-MM-DD") { format!("{why} or YYYY-MM-DDTHH:MM") } else { why }),
            Some((day, time)) => Ok(Start::DateTime(Day::parse(day)?, TimeOfDay::parse(time)?)),
        }
    }

    /// The day that it lies on.
    pub fn day(self) -> Day {
        match self {
            Start::Date(day) | Start::DateTime(day, _) => day,
        }
    }

    /// The wall-clock time; 00:00 where only a day was said.
    pub fn time(self) -> TimeOfDay {
        match self {
            Start::Date(_) => TimeOfDay(0),
            Start::DateTime(_, time) => time,
        }
    }
}

impl fmt::Display for Start {
    /// The inverse of `parse`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Start::Date(day) => day.fmt(f),
            Start::DateTime(day, time) => write!(f, "{day}T{time}"),
        }
    }
}

/// Supply of one resource in consecutive buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct SupplyLine {
    /// Which resource.
    pub resource: ResourceId,
    /// The first bucket.
    pub start: Start,
    /// One number a bucket, at least one, each 0 to `MAX_UNITS`.
    pub units: Vec<i64>,
}

/// One message of a plan: applied whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct SetSupplyRequest {
    /// At most `MAX_SUPPLY_NUMBERS` numbers in all.
    pub lines: Vec<SupplyLine>,
}

/// Something happened to the supply of buckets in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct AdjustSupplyRequest {
    /// Makes the adjustment safe to repeat.
    pub request_id: Option<ReservationId>,
    /// The digest of the whole request.
    pub fingerprint: Fingerprint,
    /// Which resource.
    pub resource: ResourceId,
    /// The first bucket.
    pub start: Start,
    /// How many in a row, 1 to `MAX_ADJUSTED_BUCKETS`.
    pub buckets: i32,
    /// Units, either sign, at most `MAX_UNITS` in size.
    pub delta: i64,
    /// For people; may be empty.
    pub reason: Arc<str>,
}

/// Whose buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketsOf {
    /// Those of one resource.
    Resource(ResourceId),
    /// Those of all resources of a site.
    Site(Arc<str>),
}

/// What is there, taken and left?
#[derive(Clone, Debug, PartialEq)]
pub struct BucketsRequest {
    /// Whose.
    pub of: BucketsOf,
    /// The first day; none: today.
    pub from: Option<Day>,
    /// Days, 1 to `MAX_BUCKET_DAYS`.
    pub days: i32,
}

/// One page of reservations.
#[derive(Clone, Debug, PartialEq)]
pub struct ReservationsRequest {
    /// The last of the page before; none: the first page.
    pub after: Option<ReservationId>,
    /// Reservations at most, 1 to `MAX_PAGE_SIZE`.
    pub limit: usize,
    /// Only those at risk.
    pub at_risk: bool,
    /// Only those that draw on this resource.
    pub resource: Option<ResourceId>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only confirmed work that should be over and was not reported as shipped or delivered.
    pub backlog: bool,
}

/// New dates for reservations at risk.
#[derive(Clone, Debug, PartialEq)]
pub struct RepromiseRequest {
    /// Only say what would be done.
    pub validate_only: bool,
    /// Reservations at most, 1 to `MAX_REPROMISED`.
    pub limit: usize,
    /// Only these, fixed ones too; empty: all at risk that are not fixed.
    pub ids: Vec<ReservationId>,
}

/// A mark that keeps a reservation's date.
#[derive(Clone, Debug, PartialEq)]
pub struct FixRequest {
    /// Which.
    pub id: ReservationId,
    /// Whether it is fixed.
    pub fixed: bool,
    /// The caller's reason; may be empty.
    pub reason: Arc<str>,
}

/// What became of one promise; at least one of the instants is there, and delivery does not come before shipment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FulfilmentReport {
    /// Which.
    pub id: ReservationId,
    /// When its last shipment left.
    pub shipped_at: Option<Moment>,
    /// When its last shipment arrived.
    pub delivered_at: Option<Moment>,
}

/// The figures of some days of promise.
#[derive(Clone, Debug, PartialEq)]
pub struct ScorecardRequest {
    /// The first day.
    pub from: Day,
    /// The last day, at most `MAX_SCORECARD_DAYS` from the first on.
    pub to: Day,
    /// Only of this channel.
    pub channel: Option<Arc<str>>,
    /// Only of this offer.
    pub offer: Option<Arc<str>>,
}

/// From where on events are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Only what happens from now on.
    Now,
    /// What came after this cursor; 0: from the oldest kept.
    Cursor(u64),
}

/// What of an offer could be kept?
#[derive(Clone, Debug, PartialEq)]
pub struct CheckOfferRequest {
    /// What is advertised and expected.
    pub offer: Offer,
    /// Supply that is only supposed; at most `MAX_SUPPOSED` lines.
    pub suppose: Vec<SupposedLine>,
}

/// "What if we add a shift?"
#[derive(Clone, Debug, PartialEq)]
pub struct SupposedLine {
    /// Which resource.
    pub resource: ResourceId,
    /// The first bucket.
    pub start: Start,
    /// How many in a row, 1 to `MAX_ADJUSTED_BUCKETS`.
    pub buckets: i32,
    /// Units, either sign, at most `MAX_UNITS` in size.
    pub delta: i64,
}

/// Capacity is set aside for an offer.
#[derive(Clone, Debug, PartialEq)]
pub struct ApproveOfferRequest {
    /// Makes the approval safe to repeat; the offer's own id where the caller gave none.
    pub request_id: ReservationId,
    /// The digest of the whole request.
    pub fingerprint: Fingerprint,
    /// What is advertised and expected.
    pub offer: Offer,
    /// The share of its orders that must be deliverable; never none.
    pub min_share: Share,
    /// Hours before a bucket begins when what is unsold goes back, 0 to `MAX_RELEASE_HOURS`.
    pub release_hours: i32,
}

/// One page of offers.
#[derive(Clone, Debug, PartialEq)]
pub struct OffersRequest {
    /// The last of the page before; none: the first page.
    pub after: Option<Arc<str>>,
    /// Offers at most, 1 to `MAX_PAGE_SIZE`.
    pub limit: usize,
}

/// What could be offered?
#[derive(Clone, Debug, PartialEq)]
pub struct SuggestOffersRequest {
    /// The first day.
    pub starts: Day,
    /// The last day, at most `MAX_OFFER_DAYS` from the first on.
    pub ends: Day,
    /// Where to.
    pub zone: Arc<str>,
    /// The promise: delivered within so many days, 0 to `MAX_DAYS_AHEAD`.
    pub within_days: i32,
    /// Suggestions at most, 1 to `MAX_SUGGESTIONS`.
    pub limit: usize,
}

/// Part of a resource is set aside for a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct SetAllocationRequest {
    /// Makes the call safe to repeat.
    pub request_id: Option<ReservationId>,
    /// The digest of the whole request.
    pub fingerprint: Fingerprint,
    /// For whom.
    pub channel: Arc<str>,
    /// Which resource.
    pub resource: ResourceId,
    /// The first bucket.
    pub start: Start,
    /// One number a bucket, 1 to `MAX_ADJUSTED_BUCKETS` of them, each 0 to `MAX_UNITS`.
    pub units: Vec<i64>,
    /// Hours before a bucket begins when what is left goes back, 0 to `MAX_RELEASE_HOURS`.
    pub release_hours: i32,
    /// The most that the channel may draw, one number a bucket, none below that bucket's units; none: no maximum.
    pub most: Option<Vec<i64>>,
}
