//! Answers: a verdict, the promise, and where it is no, why and what can be had instead.

use std::sync::Arc;

use super::ask::Line;
use super::id::ResourceId;
use super::share::Share;
use super::time::{Day, Moment};

/// Yes, later, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Yes, by Y.
    Promised,
    /// Not by Y; the promise is the earliest that can be kept.
    Later,
    /// Not within the planned horizon.
    Unavailable,
}

/// What leaves one site by one lane together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// What is in it.
    pub lines: Vec<Line>,
    /// Where it leaves.
    pub site: Arc<str>,
    /// How it travels.
    pub lane: Arc<str>,
    /// When it leaves.
    pub ships_at: Moment,
    /// The end of its arrival window.
    pub arrives_by: Moment,
    /// The day of arrival in the zone.
    pub date: Day,
}

/// A date that can be kept, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The day of arrival in the zone; of several shipments, the latest (rule 16).
    pub date: Day,
    /// The beginning of the arrival window of the shipment that comes last.
    pub arrives_from: Moment,
    /// The end of that window.
    pub arrives_by: Moment,
    /// The last shipment's departure.
    pub ships_at: Moment,
    /// The last instant at which the same ask would still get this (rule 12).
    pub order_by: Moment,
    /// What leaves from where.
    pub shipments: Vec<Shipment>,
    /// The share of comparable past promises that were kept; none until enough of them are known.
    pub confidence: Option<Share>,
}

/// The resource and period that stands between the ask and a yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// The resource; none where time itself is missing (a cutoff, a departure, transit).
    pub resource: Option<ResourceId>,
    /// Where.
    pub site: Arc<str>,
    /// The period's beginning.
    pub from: Moment,
    /// The period's end.
    pub to: Moment,
    /// Units that the ask needs there.
    pub wanted: i64,
    /// Units that it could have.
    pub available: i64,
    /// One sentence for people.
    pub explanation: String,
}

/// How an alternative differs from what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlternativeKind {
    /// Fewer items by Y.
    Fewer,
    /// Another SKU by Y.
    Substitute,
    /// Some by Y, the rest later.
    Split,
    /// Another level of service by Y.
    Service,
}

/// What can be promised instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// How it differs.
    pub kind: AlternativeKind,
    /// What it is a promise of.
    pub lines: Vec<Line>,
    /// The level of service it is for; empty: any.
    pub service: Arc<str>,
    /// Its promise.
    pub promise: Promise,
}

/// The answer to an ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Yes, later or not at all.
    pub verdict: Verdict,
    /// There unless the verdict is `Unavailable`.
    pub promise: Option<Arc<Promise>>,
    /// Why not by Y, tightest first; empty when promised.
    pub bottlenecks: Vec<Bottleneck>,
    /// What can be promised by Y instead.
    pub alternatives: Vec<Alternative>,
    /// The state of the capacity that was read.
    pub as_of: Moment,
}

/// A date that a date picker may offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromiseDate {
    /// The day of arrival in the zone.
    pub date: Day,
    /// The level of service.
    pub service: Arc<str>,
    /// The beginning of the arrival window.
    pub arrives_from: Moment,
    /// The end of the arrival window.
    pub arrives_by: Moment,
    /// The last instant at which it could still be had (rule 12).
    pub order_by: Moment,
    /// How many orders like this one could be promised for this date and window, one after the other, up to
    /// `MAX_REMAINING`.
    pub remaining: i64,
}
