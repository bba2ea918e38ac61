//! What the use cases answer, where the domain has no word of its own for it.

use std::sync::Arc;

use crate::domain::bucket::BucketLevel;
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::offer::{ApprovedOffer, OfferReport, OfferStage};
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::{Day, Moment};
use crate::ledger::tally::Counted;
pub use crate::planner::Suggested;

/// One bucket for people and planning systems.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketRow {
    /// Whose.
    pub resource: ResourceId,
    /// When it begins.
    pub from: Moment,
    /// When it ends.
    pub to: Moment,
    /// Its supply: what was set, else what the standing plan gives (rule 3).
    pub supply: i64,
    /// What is taken and set aside.
    pub level: BucketLevel,
    /// The instant that this is told for: what is set aside until then is everyone's from then on.
    pub as_of: Moment,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Where to go on after this event. Several events of one ledger entry: all but the last carry the cursor of the entry
    /// before, so that who goes on from one of them is told the entry again (at least once) and misses nothing.
    pub cursor: u64,
    /// The ledger's now.
    pub at: Moment,
    /// What happened.
    pub event: Event,
}

/// See [`EventRow`].
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A reservation, as it then was.
    Reservation(Arc<Reservation>),
    /// A bucket, as it then was.
    Bucket(BucketRow),
    /// An offer was approved or closed.
    Offer(Arc<str>),
    /// The network's version from then on.
    Network(i64),
}

/// An offer and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferRow {
    /// As the ledger keeps it.
    pub offer: Arc<ApprovedOffer>,
    /// Its orders that are held.
    pub orders_held: i64,
    /// Its orders that are confirmed, delivered ones included.
    pub orders_confirmed: i64,
    /// The instant that this is told for.
    pub as_of: Moment,
}

impl OfferRow {
    /// When it was closed, if it was: by its owner, or by itself at its end (rule 26).
    pub fn closed_at(&self) -> Option<Moment> {
        let ended = (self.offer.ends_at <= self.as_of).then_some(self.offer.ends_at);
        match (self.offer.stage, ended) {
            (OfferStage::Approved, ended) => ended,
            (OfferStage::Closed, None) => self.offer.closed_at,
            (OfferStage::Closed, Some(ended)) => Some(self.offer.closed_at.map_or(ended, |at| at.min(ended))),
        }
    }
}

/// An offer whose capacity is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// As it now is.
    pub row: OfferRow,
    /// The report on which it was approved; of a repeated request, the first one.
    pub report: Arc<OfferReport>,
}

/// A bucket in which common capacity has less than is to be set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LacksUnits {
    /// The bucket as a plan names it: a date, or a local date and time of its site.
    pub bucket: String,
    /// Units that are common.
    pub free: i64,
    /// Units to be set aside beyond what is set aside and left now.
    pub wanted: i64,
}

/// What became of reservations at risk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repromises {
    /// One each, in the order in which they were given dates.
    pub all: Vec<Repromised>,
    /// Whose date could be kept.
    pub kept: i64,
    /// Who has another date.
    pub moved: i64,
    /// For whom there is none.
    pub still_at_risk: i64,
}

/// What became of one reservation at risk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repromised {
    /// Which.
    pub id: ReservationId,
    /// The caller's own.
    pub reference: Arc<str>,
    /// What was promised before.
    pub old_date: Day,
    /// What is promised from now on; none: there is no date within the horizon, and the old promise stands.
    pub new_date: Option<Day>,
}

/// What came of a report of fulfilments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fulfilments {
    /// Reservations that are not known, in the order of the report.
    pub unknown: Vec<ReservationId>,
    /// Those whose state forbids it, in the order of the report.
    pub refused: Vec<FulfilmentRefused>,
    /// Newly reported as shipped.
    pub shipped: i64,
    /// Newly reported as delivered.
    pub fulfilled: i64,
}

/// A fulfilment that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FulfilmentRefused {
    /// Which.
    pub id: ReservationId,
    /// Its state.
    pub state: State,
    /// One sentence for people.
    pub reason: String,
}

/// The figures of some days of promise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scorecard {
    counts: [i64; Counted::ALL.len()],
    /// The resources of which most is used, the most used first.
    pub resources: Vec<ResourceUse>,
    /// What was asked and refused, by what was missing, most first.
    pub lost: Vec<LostDemand>,
    /// Promises at risk now, whatever their date.
    pub at_risk: i64,
    /// Confirmed work that should be over and was not reported, whatever its date.
    pub backlog: i64,
}

impl Scorecard {
    /// Adds what was counted.
    pub fn add(&mut self, counted: Counted, times: i64) {
        self.counts[counted as usize] += times;
    }

    fn sum<const N: usize>(&self, counted: [Counted; N]) -> i64 {
        counted.into_iter().map(|counted| self.counts[counted as usize]).sum()
    }

    /// All answers.
    pub fn quotes(&self) -> i64 {
        self.quotes_promised() + self.quotes_later() + self.quotes_unavailable()
    }

    /// Answered yes, whether it was held or not.
    pub fn quotes_promised(&self) -> i64 {
        self.sum([Counted::Promised, Counted::Held])
    }

    /// Answered later, whether it was held or not.
    pub fn quotes_later(&self) -> i64 {
        self.sum([Counted::Later, Counted::HeldLater])
    }

    /// Answered no.
    pub fn quotes_unavailable(&self) -> i64 {
        self.sum([Counted::Unavailable])
    }

    /// Holds that were taken.
    pub fn held(&self) -> i64 {
        self.sum([Counted::Held, Counted::HeldLater])
    }

    /// Holds that became orders.
    pub fn confirmed(&self) -> i64 {
        self.sum([Counted::Confirmed])
    }

    /// Holds that ended unconfirmed.
    pub fn expired(&self) -> i64 {
        self.sum([Counted::Expired])
    }

    /// Reservations that were released.
    pub fn released(&self) -> i64 {
        self.sum([Counted::Released])
    }

    /// Delivered by the day they are judged by.
    pub fn kept(&self) -> i64 {
        self.sum([Counted::Kept])
    }

    /// Delivered later.
    pub fn late(&self) -> i64 {
        self.sum([Counted::Late])
    }

    /// Given another date.
    pub fn repromised(&self) -> i64 {
        self.sum([Counted::Repromised])
    }
}

/// The use of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceUse {
    /// Which.
    pub resource: ResourceId,
    /// Units.
    pub supply: i64,
    /// Units held, confirmed and used up.
    pub committed: i64,
}

impl ResourceUse {
    /// The share of the supply that is committed: above 1 where more is drawn than there is, 1 where there is nothing of what is drawn.
    pub fn utilisation(&self) -> f64 {
        match (self.committed, self.supply) {
            (0, _) => 0.0,
            (_, 0) => 1.0,
            (committed, supply) => committed as f64 / supply as f64,
        }
    }
}

/// Demand that was lost for want of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostDemand {
    /// What was missing first.
    pub resource: ResourceId,
    /// Quotes that were refused for it.
    pub quotes: i64,
    /// Units that were missing.
    pub units: i64,
}
