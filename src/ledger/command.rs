//! What a ledger is told and what it answers. Commands are complete in themselves: a ledger knows no network, no calendar
//! and no planner, it only tests and writes.

use std::sync::Arc;

use super::refused;
use super::tally::Tallies;
use crate::domain::answer::{Answer, Bottleneck, Promise, Verdict};
use crate::domain::ask::Ask;
use crate::domain::bucket::BucketLevel;
use crate::domain::draw::Take;
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::offer::ApprovedOffer;
use crate::domain::reservation::{Fingerprint, Reservation, State};
use crate::domain::time::{Day, Moment, Span};

/// One step that is made whole or not at all. Each begins by giving back what is due (rule 21).
#[derive(Clone, Debug)]
pub enum Command {
    /// Takes a promise's draws until the hold ends.
    Hold(Box<Hold>),
    /// Makes a hold last.
    Confirm(Confirm),
    /// Gives all draws back.
    Release {
        /// Which.
        id: ReservationId,
        /// The caller's reason; may be empty.
        reason: Arc<str>,
    },
    /// Sets a hold's end to `hold` from the ledger's now.
    Extend {
        /// Which.
        id: ReservationId,
        /// How long from now.
        hold: Span,
    },
    /// Replaces a reservation's draws, ask and promise by others, in one step.
    Amend(Box<Amend>),
    /// The answer to the `Hold` of this id never reached anybody: removes the reservation without a trace, if it is still
    /// as it was made and nobody was told of it since.
    Undo {
        /// Which.
        id: ReservationId,
    },
    /// Looks whether this request made a reservation before, and sees to it that an `Undo` on its way leaves it alone, since
    /// the caller is about to be told of it: `Reservation { repeated: true }`, `NotFound` or `AlreadyExists`.
    Recall {
        /// Which.
        id: ReservationId,
        /// The digest of the request.
        fingerprint: Fingerprint,
    },
    /// Sets the supply of buckets.
    SetSupply(SetSupply),
    /// Changes the supply of buckets by a number.
    AdjustSupply(Box<AdjustSupply>),
    /// Sets part of a resource aside for a channel, and says how much it may draw.
    SetAllocation(Box<SetAllocation>),
    /// Sets an offer's envelope aside (rule 26).
    ApproveOffer(Box<ApproveOffer>),
    /// Ends an offer: what was not drawn of its envelope goes back to common capacity.
    CloseOffer {
        /// Which.
        id: Arc<str>,
    },
    /// Marks a reservation as at risk, or takes the mark away (rule 24).
    Mark {
        /// Which.
        id: ReservationId,
        /// The version that this was worked out for; another: `Refusal::ReservationChanged`.
        version: i64,
        /// Whether it is at risk.
        at_risk: bool,
    },
    /// Gives a reservation other draws, and where it must be another date, in one step. Its mark goes.
    Repromise(Box<Repromise>),
    /// Marks a reservation as one whose date is never moved without being asked for, or takes that away.
    Fix {
        /// Which.
        id: ReservationId,
        /// Whether it is fixed.
        fixed: bool,
        /// The caller's reason; may be empty.
        reason: Arc<str>,
    },
    /// A reservation's goods left, or arrived (rule 22).
    Fulfil(Box<Fulfil>),
    /// Adds to tallies: what was counted where nothing was taken.
    Count(Tallies),
    /// Adds to tallies what a refused request is counted as, unless it was counted before.
    CountOnce {
        /// The digest of its request id.
        request: refused::Digest,
        /// What is added.
        tallies: Tallies,
    },
    /// Replaces the network's document.
    ApplyNetwork(ApplyNetwork),
    /// Drops what is known of past capacity buckets that no live reservation draws on.
    Forget {
        /// Resources, each with the first bucket that is kept.
        before: Vec<(ResourceId, i32)>,
    },
    /// Only gives back what is due.
    Tick,
}

/// See [`Command::Hold`].
#[derive(Clone, Debug)]
pub struct Hold {
    /// The request id; names the reservation.
    pub id: ReservationId,
    /// The digest of the request.
    pub fingerprint: Fingerprint,
    /// The version of the network that the plan was made on; another: `Refusal::NetworkChanged`.
    pub network_version: i64,
    /// What was asked.
    pub ask: Arc<Ask>,
    /// The answer whose promise is held, kept for repeats of the request.
    pub answer: Arc<Answer>,
    /// The promise.
    pub promise: Arc<Promise>,
    /// What it takes. Several draws may name one bucket; they are added up before they are compared (rule 17).
    pub takes: Vec<Take>,
    /// How long from the ledger's now.
    pub hold: Span,
    /// The caller's own.
    pub reference: Arc<str>,
}

/// See [`Command::Confirm`].
#[derive(Clone, Debug)]
pub struct Confirm {
    /// Which.
    pub id: ReservationId,
    /// Replaces the reservation's, when set.
    pub reference: Option<Arc<str>>,
    /// Whether an expired hold's draws may be taken again: the present standing units of each of its draws, in their order.
    pub retake: Option<Retake>,
}

/// What a late confirmation needs to take the same draws again.
#[derive(Clone, Debug)]
pub struct Retake {
    /// The version of the network that `standing` is true for.
    pub network_version: i64,
    /// One number a draw of the reservation, in their order.
    pub standing: Vec<i64>,
}

/// See [`Command::Amend`].
#[derive(Clone, Debug)]
pub struct Amend {
    /// Which.
    pub id: ReservationId,
    /// Makes the amendment itself safe to repeat; none: each command counts.
    pub request_id: Option<ReservationId>,
    /// The digest of the amendment's request.
    pub fingerprint: Fingerprint,
    /// The version of the reservation that the plan was made on; another: `Refusal::ReservationChanged`.
    pub version: i64,
    /// As in [`Hold`].
    pub network_version: i64,
    /// What is asked now.
    pub ask: Arc<Ask>,
    /// What is promised now.
    pub promise: Arc<Promise>,
    /// What it takes in place of the present draws.
    pub takes: Vec<Take>,
    /// The amendment's answer, kept for repeats.
    pub verdict: Verdict,
    /// The amendment's answer, kept for repeats.
    pub bottlenecks: Vec<Bottleneck>,
}

/// See [`Command::SetSupply`].
#[derive(Clone, Debug)]
pub struct SetSupply {
    /// The version of the network that the bucket numbers are true for.
    pub network_version: i64,
    /// Runs of consecutive buckets.
    pub runs: Vec<SupplyRun>,
    /// Only buckets whose supply was never set: writes down what the standing plan gave, before the plan changes.
    pub only_unset: bool,
}

/// The supply of one resource in consecutive buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupplyRun {
    /// Which resource.
    pub resource: ResourceId,
    /// The first bucket.
    pub first: i32,
    /// One number a bucket, 0 to `MAX_UNITS`.
    pub units: Vec<i64>,
}

/// See [`Command::AdjustSupply`].
#[derive(Clone, Debug)]
pub struct AdjustSupply {
    /// Makes the adjustment safe to repeat; none: each command counts.
    pub request_id: Option<ReservationId>,
    /// The digest of the request.
    pub fingerprint: Fingerprint,
    /// The version of the network that the bucket numbers and standing units are true for.
    pub network_version: i64,
    /// Which resource.
    pub resource: ResourceId,
    /// The first bucket.
    pub first: i32,
    /// The standing units of each bucket that is adjusted: the supply where none was set.
    pub standing: Vec<i64>,
    /// Units, either sign. Supply stops at 0 and at `MAX_UNITS`.
    pub delta: i64,
    /// The caller's reason; may be empty.
    pub reason: Arc<str>,
}

/// See [`Command::SetAllocation`].
#[derive(Clone, Debug)]
pub struct SetAllocation {
    /// Makes the call safe to repeat; none: each command counts.
    pub request_id: Option<ReservationId>,
    /// The digest of the request.
    pub fingerprint: Fingerprint,
    /// The version of the network that the bucket numbers and standing units are true for.
    pub network_version: i64,
    /// The channel.
    pub channel: Arc<str>,
    /// Which resource.
    pub resource: ResourceId,
    /// The first bucket.
    pub first: i32,
    /// One a bucket, from the first on.
    pub buckets: Vec<Allocation>,
}

/// What a channel is allotted of one bucket, in place of what it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The standing units of the bucket: its supply where none was set.
    pub standing: i64,
    /// Units set aside in all: what the channel drew of them before counts. What is set aside beyond what is left of it now must be
    /// there in common (rule 26's "from common capacity").
    pub units: i64,
    /// When what is left of it is everyone's.
    pub release_at: Moment,
    /// The most that the channel may draw, set aside or common, what it drew before counted; none: no maximum.
    pub most: Option<i64>,
}

/// See [`Command::ApproveOffer`].
#[derive(Clone, Debug)]
pub struct ApproveOffer {
    /// The version of the network that the bucket numbers and standing units are true for.
    pub network_version: i64,
    /// The offer; its version is 1, its stage approved, `approved_at` is set by the ledger. If there is one of this id: the same if it
    /// came of the same request (rule 20), else `Refusal::AlreadyExists`.
    pub offer: Arc<ApprovedOffer>,
    /// For each bucket of its envelope, in their order: the standing units.
    pub standing: Vec<i64>,
    /// For each bucket of its envelope, in their order: when what is left there is everyone's.
    pub release_at: Vec<Moment>,
}

/// See [`Command::Repromise`].
#[derive(Clone, Debug)]
pub struct Repromise {
    /// Which.
    pub id: ReservationId,
    /// The version of the reservation that the plan was made on; another: `Refusal::ReservationChanged`.
    pub version: i64,
    /// As in [`Hold`].
    pub network_version: i64,
    /// What is promised from now on.
    pub promise: Arc<Promise>,
    /// What it takes in place of the present draws.
    pub takes: Vec<Take>,
}

/// See [`Command::Fulfil`].
#[derive(Clone, Debug)]
pub struct Fulfil {
    /// Which.
    pub id: ReservationId,
    /// When its last shipment left, if that is reported.
    pub shipped_at: Option<Moment>,
    /// When its last shipment arrived, and the civil day of that in the zone, if that is reported: it is fulfilled then.
    pub delivered: Option<(Moment, Day)>,
    /// The site, zone and service of each of its shipments, each once: what it counts for in the record (`tally::record`).
    pub ways: Vec<(Arc<str>, Arc<str>, Arc<str>)>,
}

/// See [`Command::ApplyNetwork`].
#[derive(Clone, Debug)]
pub struct ApplyNetwork {
    /// The version that `dropped` was worked out against; another: `Refusal::NetworkChanged`.
    pub base_version: i64,
    /// The document, opaque to the ledger.
    pub document: Arc<[u8]>,
    /// When it was applied: where its standing plan begins. Kept with the document.
    pub applied_at: Moment,
    /// Resources that are left out, or whose buckets mean something else from now on (another length, kind or time zone).
    /// If live reservations draw on any of them: `Refusal::StillCarries`; else what is known of their buckets is dropped, with what
    /// is set aside there. (An offer keeps its envelope as evidence of what was approved.)
    pub dropped: Vec<ResourceId>,
}

/// What came of a command.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The reservation as it now is, changed by this command or by an earlier one like it.
    Reservation {
        /// As it now is.
        reservation: Arc<Reservation>,
        /// Whether an earlier command with the same request id had done it (rule 20).
        repeated: bool,
    },
    /// An amendment's answer.
    Amended {
        /// The reservation as it now is.
        reservation: Arc<Reservation>,
        /// The answer that the amendment got when it was made.
        verdict: Verdict,
        /// The answer that the amendment got when it was made.
        bottlenecks: Vec<Bottleneck>,
    },
    /// The supply of so many buckets was set.
    SupplySet {
        /// Buckets.
        buckets: i64,
    },
    /// The buckets as they now are, in the order of the command, after an adjustment or an allocation; of a repeat, as they were then.
    SupplyAdjusted {
        /// The first bucket.
        first: i32,
        /// One level a bucket.
        levels: Arc<[BucketLevel]>,
    },
    /// An offer as it now is, changed by this command or by an earlier one like it.
    Offer {
        /// As it now is.
        offer: Arc<ApprovedOffer>,
        /// Whether an earlier command had done it.
        repeated: bool,
    },
    /// The network's version from now on.
    NetworkApplied {
        /// Grows by one with every document that differs from the one before.
        version: i64,
    },
    /// Nothing to tell.
    Done,
    /// The command changed nothing.
    Refused(Refusal),
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// There is no reservation, or no offer, of this id.
    NotFound,
    /// The request id names another request (rule 20).
    AlreadyExists,
    /// The reservation's state forbids the command.
    WrongState {
        /// Its state.
        state: State,
    },
    /// A late confirmation came after the promise's `order_by`: the date could no longer be kept.
    OrderByPassed,
    /// Buckets that can't give what is to be drawn, each with what it really holds: plan again on that (rule 19).
    Short(Vec<Shortage>),
    /// The plan was made on another version of the network.
    NetworkChanged {
        /// The present version.
        version: i64,
    },
    /// The amendment was planned on another version of the reservation.
    ReservationChanged,
    /// The reservation's goods have left: it is neither released, amended nor re-promised.
    Shipped,
    /// The network has `MAX_OFFERS` offers.
    TooManyOffers,
    /// The reservation has been amended `MAX_AMENDMENTS` times.
    TooManyAmendments,
    /// Live reservations draw on these resources, so they can't be dropped.
    StillCarries(Vec<ResourceId>),
}

/// A bucket that can't give what is to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortage {
    /// Which resource.
    pub resource: ResourceId,
    /// Which bucket.
    pub index: i32,
    /// What it really holds.
    pub level: BucketLevel,
}

impl Command {
    /// The reservations that the command reads or writes, beside those that are due.
    pub fn reservation_id(&self) -> Option<&ReservationId> {
        match self {
            Command::Hold(c) => Some(&c.id),
            Command::Confirm(c) => Some(&c.id),
            Command::Release { id, .. }
            | Command::Extend { id, .. }
            | Command::Undo { id }
            | Command::Recall { id, .. } => Some(id),
            Command::Amend(c) => Some(&c.id),
            Command::Mark { id, .. } | Command::Fix { id, .. } => Some(id),
            Command::Repromise(c) => Some(&c.id),
            Command::Fulfil(c) => Some(&c.id),
            Command::SetSupply(_)
            | Command::AdjustSupply(_)
            | Command::SetAllocation(_)
            | Command::ApproveOffer(_)
            | Command::CloseOffer { .. }
            | Command::Count(_)
            | Command::CountOnce { .. }
            | Command::ApplyNetwork(_)
            | Command::Forget { .. }
            | Command::Tick => None,
        }
    }
}
