//! Marketing's offers: what is advertised, what of it can be kept, and what was set aside for it (rules 25 to 27).

use std::sync::Arc;

use super::answer::Verdict;
use super::ask::Line;
use super::id::{ReservationId, ResourceId};
use super::reservation::Fingerprint;
use super::time::{Day, Moment};

/// What the advertisement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// "Delivered within N days of the order."
    WithinDays(i32),
    /// "Delivered by."
    By(Day),
}

/// How many orders are expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// So many on each day from `starts` to `ends`.
    EachDay(Vec<i64>),
    /// So many in all, spread over the days alike (rule 25).
    Total(i64),
}

/// The share of the orders that goes to a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneShare {
    /// Which zone.
    pub zone: Arc<str>,
    /// Which share, in billionths; those of an offer add up to one billion, but for what rounding left.
    pub billionths: u32,
}

/// An offer as marketing writes it. One that exists is well formed; whether the network knows its names is another matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Chosen by marketing.
    pub id: Arc<str>,
    /// For people; may be empty.
    pub display_name: Arc<str>,
    /// One typical order, 1 to `MAX_LINES` lines.
    pub lines: Vec<Line>,
    /// Where its orders go; 1 to `MAX_OFFER_ZONES`, each once.
    pub zones: Vec<ZoneShare>,
    /// A lane's level of service; none: any.
    pub service: Option<Arc<str>>,
    /// Who is asking; none: common capacity only.
    pub channel: Option<Arc<str>>,
    /// The first day.
    pub starts: Day,
    /// The last day, at most `MAX_OFFER_DAYS` from the first on.
    pub ends: Day,
    /// What is advertised.
    pub advertised: Advertised,
    /// What is expected.
    pub orders: Expected,
}

impl Offer {
    /// Expected orders of each day, from `starts` to `ends` (rule 25).
    pub fn orders_by_day(&self) -> Vec<i64> {
        let days = i64::from(self.ends.0 - self.starts.0) + 1;
        match &self.orders {
            Expected::EachDay(orders) => orders.clone(),
            Expected::Total(total) => spread(*total, days),
        }
    }
}

/// A total spread over so many days, at least 1: the same whole number each day, one more on the first (rule 25).
pub fn spread(total: i64, days: i64) -> Vec<i64> {
    (0..days).map(|day| total / days + i64::from(day < total % days)).collect()
}

/// What of an offer can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferReport {
    /// All, some or none of the orders.
    pub verdict: Verdict,
    /// Orders of the days from today on.
    pub orders_asked: i64,
    /// Those of them that can be kept within what is advertised.
    pub orders_deliverable: i64,
    /// Day by day, from `starts` or today on.
    pub days: Vec<OfferDay>,
    /// What operations would have to add, worst first.
    pub shortfalls: Vec<Shortfall>,
    /// The least N with which "within N days" could be kept for all orders (rule 27); none: no N could.
    pub tightest_within_days: Option<i32>,
    /// The largest scale of the orders, in hundredths, at which all can be kept (rule 27).
    pub deliverable_percent: i64,
}

/// One day of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferDay {
    /// Which.
    pub date: Day,
    /// Orders expected.
    pub asked: i64,
    /// Orders that can be kept.
    pub deliverable: i64,
    /// When the last of all its orders would arrive, however late; none: beyond the horizon.
    pub last_arrival: Option<Day>,
    /// The resource that ran out first; none: none did, or time itself is missing.
    pub bottleneck: Option<ResourceId>,
}

/// What operations would have to add of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Which resource.
    pub resource: ResourceId,
    /// The civil day, at its site, of the first bucket that lacks units.
    pub first_date: Day,
    /// The civil day of the last.
    pub last_date: Day,
    /// Units missing in all.
    pub units: i64,
    /// Units missing in the worst bucket.
    pub peak_units: i64,
}

/// Whether an offer's capacity is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OfferStage {
    /// It is.
    Approved,
    /// What was not sold went back to everyone.
    Closed,
}

/// Units set aside in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Which resource.
    pub resource: ResourceId,
    /// Which bucket.
    pub index: i32,
    /// How many.
    pub units: i64,
}

/// An offer that was approved, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedOffer {
    /// What was approved.
    pub offer: Offer,
    /// Approved, or closed since.
    pub stage: OfferStage,
    /// Grows by one at every change; 1 at first.
    pub version: i64,
    /// The request that approved it.
    pub request_id: ReservationId,
    /// The digest of that request.
    pub fingerprint: Fingerprint,
    /// When it was approved.
    pub approved_at: Moment,
    /// When it was closed.
    pub closed_at: Option<Moment>,
    /// When what is unsold is everyone's, whatever bucket it is in: the end of its last day.
    pub ends_at: Moment,
    /// Hours before a bucket begins when what is unsold of it is everyone's.
    pub release_hours: i32,
    /// Orders that capacity was set aside for.
    pub orders_set_aside: i64,
    /// What was set aside, each bucket once.
    pub envelope: Vec<Envelope>,
    /// The report on which it was approved, which the same request gets again.
    pub report: Arc<OfferReport>,
}
