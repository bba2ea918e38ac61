//! Why a use case could not answer, free of transport. "No" is an answer, not an error.

use std::sync::Arc;
use std::time::Duration;

use super::response::LacksUnits;
use crate::domain::faults::{Fault, Faults, summary};
use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::offer::OfferReport;
use crate::domain::reservation::State;
use crate::domain::share::Share;
use crate::ledger::LedgerError;
use crate::planner::Unknown;

/// Why a use case could not answer. Unless it says otherwise, nothing was taken or changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AppError {
    /// The request is malformed.
    #[error("{}", summary(.0))]
    Invalid(Vec<Fault>),
    /// The request names things that do not exist.
    #[error("{}", unknown_summary(.0))]
    Unknown(Vec<Unknown>),
    /// No network of this name was applied.
    #[error("there is no network '{0}'; apply one first")]
    UnknownNetwork(NetworkId),
    /// There is no such reservation.
    #[error("there is no reservation '{0}'")]
    UnknownReservation(ReservationId),
    /// The request id names a reservation that another request made (rule 20).
    #[error("request_id '{0}' was used with another request; a new request needs a new id")]
    RequestIdTaken(ReservationId),
    /// The request id names another request that made no reservation (rule 20).
    #[error("request_id '{0}' was used with another request; a new request needs a new id")]
    RequestTaken(ReservationId),
    /// The reservation's state forbids the call.
    #[error("reservation '{id}' is {}; {needed}", state.name())]
    WrongState {
        /// Which.
        id: ReservationId,
        /// Its state.
        state: State,
        /// What would be right.
        needed: &'static str,
    },
    /// The reservation's goods have left.
    #[error("reservation '{0}' was shipped; from then on it is neither released, amended nor re-promised")]
    Shipped(ReservationId),
    /// A late confirmation found that the capacity is taken by others.
    #[error("reservation '{id}' expired and its capacity is no longer free: {}", names(.resources))]
    RetakeShort {
        /// Which.
        id: ReservationId,
        /// Where it is short.
        resources: Vec<ResourceId>,
    },
    /// A late confirmation came after the promise's `order_by`.
    #[error("reservation '{0}' expired and its promise had to be taken before its order_by, which has passed")]
    OrderByPassed(ReservationId),
    /// The reservation was amended as often as it may be.
    #[error("reservation '{id}' was amended {limit} times; release it and make a new one")]
    TooManyAmendments {
        /// Which.
        id: ReservationId,
        /// The limit.
        limit: usize,
    },
    /// Resources that are left out, or whose buckets would mean something else, still carry reservations.
    #[error("live reservations draw on {}; a resource that carries reservations can't be left out or cut differently", names(.0))]
    StillCarries(Vec<ResourceId>),
    /// There is no such offer.
    #[error("there is no offer '{0}'")]
    UnknownOffer(Arc<str>),
    /// The offer's id was approved by another request.
    #[error("offer '{0}' was approved by another request; another offer needs another id")]
    OfferTaken(Arc<str>),
    /// Less of an offer can be delivered than its approval asks for.
    #[error("{}", offer_short(.offer, .report, *.min_share))]
    OfferShort {
        /// Which.
        offer: Arc<str>,
        /// The share that was asked for.
        min_share: Share,
        /// What can be delivered.
        report: Arc<OfferReport>,
    },
    /// An approval would set units aside in too many buckets.
    #[error(
        "offer '{offer}' needs units of {buckets} buckets; at most {limit} are set aside for one offer: make it shorter or two of it"
    )]
    EnvelopeTooLarge {
        /// Which.
        offer: Arc<str>,
        /// Buckets.
        buckets: usize,
        /// The limit.
        limit: usize,
    },
    /// The network remembers as many offers as it may.
    #[error("there are {0} offers in this network already; no more are taken")]
    TooManyOffers(usize),
    /// Common capacity has less than is to be set aside for a channel; nothing was set aside.
    #[error("{}", allocation_short(.resource, .short))]
    AllocationShort {
        /// Which resource.
        resource: ResourceId,
        /// Every bucket that lacks units.
        short: Vec<LacksUnits>,
    },
    /// The events after the cursor are no longer kept.
    #[error(
        "the events after {cursor} are no longer kept, the oldest is {oldest}; read the present state, then follow from there"
    )]
    EventsGone {
        /// The last event that the caller saw.
        cursor: u64,
        /// The oldest that is kept.
        oldest: u64,
    },
    /// Others were faster, again and again.
    #[error("others took the capacity {attempts} times while this was planned; come back in a moment")]
    Contended {
        /// How often it was planned.
        attempts: usize,
    },
    /// Too much is going on.
    #[error("too many requests wait for the ledger; come back in a moment")]
    Overloaded,
    /// One service holds only so many networks.
    #[error("there are {0} networks already; no more are taken")]
    TooManyNetworks(usize),
    /// The caller's deadline passed.
    #[error("the deadline passed before the answer; nothing was taken")]
    DeadlineExceeded,
    /// The store can't be reached, or what it holds is not known for certain at the moment.
    #[error("the store can't be reached or is being read anew; nothing was applied")]
    Unavailable,
    /// The store failed while the change was made; the same request sent again finds out what came of it.
    #[error("the store failed midway; send the same request again to learn what came of it")]
    OutcomeUnknown,
    /// What was answered or stored makes no sense; a defect.
    #[error("internal: {0}")]
    Internal(Arc<str>),
}

impl AppError {
    /// When to come back, for errors that pass by themselves.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            AppError::Contended { .. } => Some(Duration::from_millis(20)),
            AppError::Overloaded => Some(Duration::from_millis(100)),
            AppError::Unavailable | AppError::OutcomeUnknown => Some(Duration::from_secs(1)),
            AppError::Invalid(_)
            | AppError::Unknown(_)
            | AppError::UnknownNetwork(_)
            | AppError::UnknownReservation(_)
            | AppError::RequestIdTaken(_)
            | AppError::RequestTaken(_)
            | AppError::WrongState { .. }
            | AppError::Shipped(_)
            | AppError::RetakeShort { .. }
            | AppError::OrderByPassed(_)
            | AppError::TooManyAmendments { .. }
            | AppError::StillCarries(_)
            | AppError::UnknownOffer(_)
            | AppError::OfferTaken(_)
            | AppError::OfferShort { .. }
            | AppError::EnvelopeTooLarge { .. }
            | AppError::TooManyOffers(_)
            | AppError::AllocationShort { .. }
            | AppError::EventsGone { .. }
            | AppError::TooManyNetworks(_)
            | AppError::DeadlineExceeded
            | AppError::Internal(_) => None,
        }
    }

    /// A request with one fault.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> AppError {
        AppError::Invalid(vec![Fault { path: path.into(), message: message.into() }])
    }

    /// A request that names one thing that does not exist.
    pub fn unknown(path: impl Into<String>, kind: &'static str, name: impl Into<String>) -> AppError {
        AppError::Unknown(vec![Unknown { path: path.into(), kind, name: name.into() }])
    }

    /// What a ledger's error means to who asked about this network.
    pub(super) fn from_ledger(error: LedgerError, network: &NetworkId) -> AppError {
        match error {
            // Logged where it happened; the caller learns no hosts, keys or paths.
            LedgerError::Unavailable(_) => AppError::Unavailable,
            LedgerError::OutcomeUnknown(_) => AppError::OutcomeUnknown,
            LedgerError::Overloaded => AppError::Overloaded,
            LedgerError::DeadlinePassed => AppError::DeadlineExceeded,
            LedgerError::UnknownNetwork => AppError::UnknownNetwork(network.clone()),
            LedgerError::TooManyNetworks(limit) => AppError::TooManyNetworks(limit),
        }
    }
}

/// What a request is told that has faults, names what does not exist, or both: all of it at once. Names alone are not found; with
/// other faults among them, the request is invalid.
pub(super) fn faults_and_unknown(faults: Faults, unknown: Vec<Unknown>) -> AppError {
    if faults.is_empty() {
        return AppError::Unknown(unknown);
    }
    let mut all = Faults::new();
    for u in unknown {
        all.add(u.path, format!("there is no {} '{}' in this network", u.kind, u.name));
    }
    all.extend(faults.into_vec());
    AppError::Invalid(all.into_vec())
}

fn unknown_summary(unknown: &[Unknown]) -> String {
    let each: Vec<String> =
        unknown.iter().map(|u| format!("{}: there is no {} '{}'", u.path, u.kind, u.name)).collect();
    each.join("; ")
}

/// The gist of the report: how many of how many, what would do, and what is missing most.
fn offer_short(offer: &str, report: &OfferReport, min_share: Share) -> String {
    let (deliverable, asked) = (report.orders_deliverable, report.orders_asked);
    let needed = if min_share == Share::ALL { "all".to_owned() } else { format!("{} of them", min_share.as_f64()) };
    let tightest = match report.tightest_within_days {
        Some(days) => format!("all could be kept within {days} days"),
        None => "no promise within days could be kept for all".to_owned(),
    };
    let missing = match report.shortfalls.first() {
        Some(worst) => format!(
            "; '{}' lacks {} units from {} to {}",
            worst.resource, worst.units, worst.first_date, worst.last_date
        ),
        None => String::new(),
    };
    let scale = report.deliverable_percent;
    format!(
        "offer '{offer}': {deliverable} of {asked} orders can be delivered, {needed} must be; {tightest}, {scale} % of them as \
         asked{missing}"
    )
}

fn allocation_short(resource: &ResourceId, short: &[LacksUnits]) -> String {
    let each: Vec<String> =
        short.iter().take(10).map(|s| format!("{}: {} free, {} more wanted", s.bucket, s.free, s.wanted)).collect();
    let more = match short.len().saturating_sub(each.len()) {
        0 => String::new(),
        more => format!("; and {more} more buckets"),
    };
    format!("common capacity of '{resource}' has not enough, nothing was set aside: {}{more}", each.join("; "))
}

fn names(resources: &[ResourceId]) -> String {
    let quoted: Vec<String> = resources.iter().take(10).map(|r| format!("'{r}'")).collect();
    match resources.len().saturating_sub(quoted.len()) {
        0 => quoted.join(", "),
        more => format!("{} and {more} more", quoted.join(", ")),
    }
}
