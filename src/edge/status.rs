//! The one mapping of the service's errors to gRPC: a code, a reason for machines, and every detail that helps.

use tonic::{Code, Status};
use tracing::error;

use super::grpc_error::GrpcError;
use crate::app::AppError;
use crate::domain::faults::Fault;

/// What a caller is told. Names no host, key or script.
pub fn status(failed: AppError) -> Status {
    let message = failed.to_string();
    let retry_after = failed.retry_after();
    let told = |code: Code, reason: &'static str| GrpcError::new(code, reason, message.clone());
    let built = match failed {
        AppError::Invalid(faults) => return invalid(faults),
        AppError::Unknown(unknown) => {
            let mut error = told(Code::NotFound, "UNKNOWN_NAME");
            if let Some(first) = unknown.first() {
                let missing = format!("{}: there is no such {}", first.path, first.kind);
                error = error.resource(first.kind, first.name.clone(), missing).metadata("path", first.path.clone());
            }
            let each = unknown.into_iter().map(|u| (u.path, format!("there is no {} '{}'", u.kind, u.name)));
            error.violations(each)
        }
        AppError::UnknownNetwork(network) => {
            told(Code::NotFound, "UNKNOWN_NETWORK").resource("network", network.to_string(), "apply it first")
        }
        AppError::UnknownReservation(id) => told(Code::NotFound, "UNKNOWN_RESERVATION").resource(
            "reservation",
            id.to_string(),
            "it was never made, was undone, or ended more than 30 days ago",
        ),
        AppError::RequestIdTaken(id) => told(Code::AlreadyExists, "REQUEST_ID_TAKEN").resource(
            "reservation",
            id.to_string(),
            "another request made it; the same request would have got its answer again",
        ),
        AppError::WrongState { id, state, needed } => told(Code::FailedPrecondition, "WRONG_STATE")
            .metadata("state", state.name())
            .precondition("STATE", id.to_string(), needed),
        AppError::RetakeShort { id, resources } => {
            let mut error = told(Code::FailedPrecondition, "CAPACITY_TAKEN");
            for resource in resources {
                error = error.precondition("CAPACITY", resource.to_string(), "its capacity was taken by others");
            }
            error.metadata("id", id.to_string())
        }
        AppError::OrderByPassed(id) => told(Code::FailedPrecondition, "ORDER_BY_PASSED").precondition(
            "TIME",
            id.to_string(),
            "ask again for a new promise",
        ),
        AppError::TooManyAmendments { id, limit } => told(Code::FailedPrecondition, "TOO_MANY_AMENDMENTS")
            .metadata("limit", limit.to_string())
            .precondition("LIMIT", id.to_string(), "release it and make a new one"),
        AppError::StillCarries(resources) => {
            let mut error = told(Code::FailedPrecondition, "RESOURCE_CARRIES_RESERVATIONS");
            for resource in resources {
                let needed = "live reservations draw on it; release or amend them first, or keep it as it is";
                error = error.precondition("RESERVATIONS", resource.to_string(), needed);
            }
            error
        }
        AppError::Contended { attempts } => {
            told(Code::ResourceExhausted, "CONTENDED").metadata("attempts", attempts.to_string())
        }
        AppError::Overloaded => told(Code::ResourceExhausted, "OVERLOADED"),
        AppError::TooManyNetworks(limit) => {
            told(Code::FailedPrecondition, "TOO_MANY_NETWORKS").metadata("limit", limit.to_string())
        }
        AppError::DeadlineExceeded => told(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        AppError::Unavailable => told(Code::Unavailable, "STORE_UNAVAILABLE"),
        AppError::OutcomeUnknown => told(Code::Unavailable, "OUTCOME_UNKNOWN"),
        AppError::Internal(cause) => {
            error!(%cause, "a defect was met");
            GrpcError::new(Code::Internal, "DEFECT", "the service met a defect of its own; its log has the cause")
        }
    };
    match retry_after {
        Some(after) => built.retry_after(after).into_status(),
        None => built.into_status(),
    }
}

/// INVALID_ARGUMENT with every fault.
pub fn invalid(faults: Vec<Fault>) -> Status {
    let message = crate::domain::faults::summary(&faults);
    GrpcError::new(Code::InvalidArgument, "INVALID_REQUEST", message)
        .violations(faults.into_iter().map(|fault| (fault.path, fault.message)))
        .into_status()
}

/// What a later part of the contract brings.
pub fn not_yet(what: &'static str) -> Status {
    GrpcError::new(Code::Unimplemented, "NOT_IMPLEMENTED", format!("{what} is not served by this version"))
        .into_status()
}
