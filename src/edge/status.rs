//! The one mapping of the service's errors to gRPC: a code, a reason for machines, and every detail that helps.

use tonic::{Code, Status};

use super::grpc_error::GrpcError;
use crate::app::AppError;
use crate::domain::faults::Fault;

/// What a caller is told. Names no host, key or script.
pub fn status(failed: AppError) -> Status {
    told(failed, None)
}

/// The same of one message of a stream: its number, from 0 on, is in the details as `message`.
pub fn status_of_message(failed: AppError, number: usize) -> Status {
    told(failed, Some(number))
}

fn told(failed: AppError, of_message: Option<usize>) -> Status {
    let message = failed.to_string();
    let retry_after = failed.retry_after();
    let error = |code: Code, reason: &'static str| GrpcError::new(code, reason, message.clone());
    let built = match failed {
        AppError::Invalid(faults) => {
            error(Code::InvalidArgument, "INVALID_REQUEST").violations(faults.into_iter().map(|f| (f.path, f.message)))
        }
        AppError::Unknown(unknown) => {
            let mut built = error(Code::NotFound, "UNKNOWN_NAME");
            if let Some(first) = unknown.first() {
                let missing = format!("{}: there is no such {}", first.path, first.kind);
                built = built.resource(first.kind, first.name.clone(), missing).metadata("path", first.path.clone());
            }
            let each = unknown.into_iter().map(|u| (u.path, format!("there is no {} '{}'", u.kind, u.name)));
            built.violations(each)
        }
        AppError::UnknownNetwork(network) => {
            error(Code::NotFound, "UNKNOWN_NETWORK").resource("network", network.to_string(), "apply it first")
        }
        AppError::UnknownReservation(id) => error(Code::NotFound, "UNKNOWN_RESERVATION").resource(
            "reservation",
            id.to_string(),
            "it was never made, was undone, or ended more than 30 days ago",
        ),
        AppError::RequestIdTaken(id) => error(Code::AlreadyExists, "REQUEST_ID_TAKEN").resource(
            "reservation",
            id.to_string(),
            "another request made it; the same request would have got its answer again",
        ),
        AppError::RequestTaken(id) => error(Code::AlreadyExists, "REQUEST_ID_TAKEN").resource(
            "request",
            id.to_string(),
            "it was used with another request; the same request would have got its answer again",
        ),
        AppError::WrongState { id, state, needed } => error(Code::FailedPrecondition, "WRONG_STATE")
            .metadata("state", state.name())
            .precondition("STATE", id.to_string(), needed),
        AppError::Shipped(id) => error(Code::FailedPrecondition, "ALREADY_SHIPPED").precondition(
            "SHIPPED",
            id.to_string(),
            "what has left is delivered or comes back; report its delivery, and reserve anew",
        ),
        AppError::RetakeShort { id, resources } => {
            let mut built = error(Code::FailedPrecondition, "CAPACITY_TAKEN");
            for resource in resources {
                built = built.precondition("CAPACITY", resource.to_string(), "its capacity was taken by others");
            }
            built.metadata("id", id.to_string())
        }
        AppError::OrderByPassed(id) => error(Code::FailedPrecondition, "ORDER_BY_PASSED").precondition(
            "TIME",
            id.to_string(),
            "ask again for a new promise",
        ),
        AppError::TooManyAmendments { id, limit } => error(Code::FailedPrecondition, "TOO_MANY_AMENDMENTS")
            .metadata("limit", limit.to_string())
            .precondition("LIMIT", id.to_string(), "release it and make a new one"),
        AppError::StillCarries(resources) => {
            let mut built = error(Code::FailedPrecondition, "RESOURCE_CARRIES_RESERVATIONS");
            for resource in resources {
                let needed = "live reservations draw on it; release or amend them first, or keep it as it is";
                built = built.precondition("RESERVATIONS", resource.to_string(), needed);
            }
            built
        }
        AppError::UnknownOffer(id) => {
            error(Code::NotFound, "UNKNOWN_OFFER").resource("offer", id.to_string(), "it was never approved")
        }
        AppError::OfferTaken(id) => error(Code::AlreadyExists, "OFFER_TAKEN").resource(
            "offer",
            id.to_string(),
            "another request approved it; the same request would have got its answer again",
        ),
        AppError::OfferShort { offer, min_share, report } => {
            let mut built = error(Code::FailedPrecondition, "OFFER_NOT_DELIVERABLE")
                .metadata("offer", offer.to_string())
                .metadata("ordersAsked", report.orders_asked.to_string())
                .metadata("ordersDeliverable", report.orders_deliverable.to_string())
                .metadata("minShare", min_share.as_f64().to_string())
                .metadata("tightestWithinDays", report.tightest_within_days.unwrap_or(-1).to_string())
                .metadata("deliverableScale", (report.deliverable_percent as f64 / 100.0).to_string());
            for s in &report.shortfalls {
                let lacks = format!(
                    "lacks {} units from {} to {}, {} in the worst bucket",
                    s.units, s.first_date, s.last_date, s.peak_units
                );
                built = built.precondition("CAPACITY", s.resource.to_string(), lacks);
            }
            if report.shortfalls.is_empty() {
                let needed = "time itself is missing; promise a later date or ask for fewer orders";
                built = built.precondition("TIME", offer.to_string(), needed);
            }
            built
        }
        AppError::EnvelopeTooLarge { offer, buckets, limit } => error(Code::FailedPrecondition, "OFFER_TOO_LARGE")
            .metadata("buckets", buckets.to_string())
            .metadata("limit", limit.to_string())
            .precondition("LIMIT", offer.to_string(), "make it shorter, or two of it"),
        AppError::TooManyOffers(limit) => {
            error(Code::FailedPrecondition, "TOO_MANY_OFFERS").metadata("limit", limit.to_string())
        }
        AppError::AllocationShort { resource, short } => {
            let mut built = error(Code::FailedPrecondition, "CAPACITY_TAKEN")
                .metadata("resource", resource.to_string())
                .metadata("buckets", short.len().to_string());
            for s in short {
                let lacks = format!("{} units are free, {} more are to be set aside", s.free, s.wanted);
                built = built.precondition("CAPACITY", format!("{resource} {}", s.bucket), lacks);
            }
            built
        }
        AppError::EventsGone { cursor, oldest } => {
            error(Code::FailedPrecondition, "EVENTS_GONE").metadata("oldest", oldest.to_string()).precondition(
                "CURSOR",
                cursor.to_string(),
                "list buckets and reservations, then follow from the oldest kept",
            )
        }
        AppError::Contended { attempts } => {
            error(Code::ResourceExhausted, "CONTENDED").metadata("attempts", attempts.to_string())
        }
        AppError::Overloaded => error(Code::ResourceExhausted, "OVERLOADED"),
        AppError::TooManyNetworks(limit) => {
            error(Code::FailedPrecondition, "TOO_MANY_NETWORKS").metadata("limit", limit.to_string())
        }
        AppError::DeadlineExceeded => error(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        AppError::Unavailable => error(Code::Unavailable, "STORE_UNAVAILABLE"),
        AppError::OutcomeUnknown => error(Code::Unavailable, "OUTCOME_UNKNOWN"),
        AppError::Internal(cause) => {
            tracing::error!(%cause, "a defect was met");
            GrpcError::new(Code::Internal, "DEFECT", "the service met a defect of its own; its log has the cause")
        }
    };
    let built = match of_message {
        Some(number) => built.metadata("message", number.to_string()),
        None => built,
    };
    match retry_after {
        Some(after) => built.retry_after(after).into_status(),
        None => built.into_status(),
    }
}

/// INVALID_ARGUMENT with every fault.
pub fn invalid(faults: Vec<Fault>) -> Status {
    status(AppError::Invalid(faults))
}
