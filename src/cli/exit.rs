//! How the program ends: its exit codes, and everything that can go wrong with a command.

use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::domain::faults::{Fault, Faults};
use crate::edge::grpc_error::code_name;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The answer is no, or the server refused.
    No,
    /// The command line or a file is wrong.
    Wrong,
    /// The server or store can't be reached, or did not answer in time.
    Unreachable,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Wrong => 2,
            // EX_UNAVAILABLE of sysexits.h.
            Exit::Unreachable => 69,
        }
    }
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum Failure {
    /// The command line, a file or this machine is wrong. Nothing was sent.
    Wrong {
        /// What is wrong, without the details: "the command line is wrong".
        what: String,
        /// Everything that is, each one sentence that begins with its place.
        faults: Vec<String>,
    },
    /// The server understood and refused.
    Refused(Box<Refusal>),
    /// The store was opened, and the answer is no. Nothing was changed.
    Declined {
        /// What can't be done, and why.
        message: String,
    },
    /// No answer came; whether the request arrived is unknown.
    Unreachable {
        /// What could not be reached, and why.
        message: String,
        /// `UNAVAILABLE` or `DEADLINE_EXCEEDED`.
        code: &'static str,
        /// Whether the server itself said that nothing was applied.
        nothing_applied: bool,
        /// The request to send again, if it can be.
        request_id: Option<String>,
    },
    /// Nobody reads the output any more, which is no fault.
    OutputClosed,
}

/// What a server said when it refused: a gRPC status with its `google.rpc` details.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refusal {
    /// The status code, `INVALID_ARGUMENT`.
    pub code: &'static str,
    /// How the program ends.
    pub wrong: bool,
    /// ErrorInfo's reason, if it was sent.
    pub reason: String,
    /// The status message.
    pub message: String,
    /// BadRequest's violations.
    pub violations: Vec<Violation>,
    /// PreconditionFailure's violations: subject and description.
    pub preconditions: Vec<(String, String)>,
    /// ResourceInfo: kind, name and description of what was not found.
    pub resource: Option<(String, String, String)>,
    /// RetryInfo's delay.
    pub retry_after: Option<Duration>,
    /// ErrorInfo's metadata, by key.
    pub metadata: Vec<(String, String)>,
    /// What was done before the refusal, if something was.
    pub done_before: Option<String>,
}

/// One fault that a server found in a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Violation {
    /// The path into the request, `resources[3].weekly[0].units`.
    pub field: String,
    /// Where that was written, `network.yaml:41:14`, if the request came from a file.
    pub place: Option<String>,
    /// What is wrong and what would be right.
    pub description: String,
}

impl Failure {
    /// One thing is wrong here.
    pub fn wrong(what: impl Into<String>, fault: impl Into<String>) -> Self {
        Failure::Wrong { what: what.into(), faults: vec![fault.into()] }
    }

    /// The command line is wrong, in all these points.
    pub fn command_line(faults: Vec<Fault>) -> Self {
        Failure::Wrong {
            what: "the command line is wrong".to_owned(),
            faults: faults.iter().map(ToString::to_string).collect(),
        }
    }

    /// The exit code that it comes to.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Wrong { .. } => Exit::Wrong,
            Failure::Refused(refusal) if refusal.wrong => Exit::Wrong,
            Failure::Refused(_) | Failure::Declined { .. } => Exit::No,
            Failure::Unreachable { .. } => Exit::Unreachable,
            Failure::OutputClosed => Exit::Done,
        }
    }

    /// What a failed call means. `server` is its address as the user wrote it.
    pub fn from_status(status: &Status, server: &str) -> Self {
        let without = |code: Code, message: String| Failure::Unreachable {
            message,
            code: code_name(code),
            nothing_applied: status.get_details_error_info().is_some_and(|info| info.reason == "STORE_UNAVAILABLE"),
            request_id: None,
        };
        if let Some(cause) = transport_cause(status) {
            return without(Code::Unavailable, format!("the connection to {server} was lost: {cause}"));
        }
        // tonic's client says so when what answered speaks HTTP/2 but not gRPC.
        if status.message().starts_with("grpc-status header missing") {
            return without(
                Code::Unavailable,
                format!("what answers at {server} is no Surety server: {}", status.message()),
            );
        }
        match status.code() {
            Code::Unavailable => without(Code::Unavailable, format!("{server} can't serve now: {}", status.message())),
            Code::DeadlineExceeded => {
                without(Code::DeadlineExceeded, format!("no answer in time from {server}: {}", status.message()))
            }
            // tonic's client says so when the deadline that it was given passes.
            Code::Cancelled if status.message() == "Timeout expired" => {
                without(Code::DeadlineExceeded, format!("no answer in time from {server}; --timeout gives it more"))
            }
            _ => Failure::Refused(Box::new(Refusal::from_status(status))),
        }
    }

    /// With the request that can be sent again to learn what became of it.
    #[must_use]
    pub fn with_request_id(self, id: &str) -> Self {
        match self {
            Failure::Unreachable { message, code, nothing_applied: false, .. } if !id.is_empty() => {
                Failure::Unreachable { message, code, nothing_applied: false, request_id: Some(id.to_owned()) }
            }
            other => other,
        }
    }

    /// With the places in a file of what the server found wrong in the request made from it: one for each path.
    #[must_use]
    pub fn with_places(mut self, places: impl Fn(&[&str]) -> Vec<Option<String>>) -> Self {
        if let Failure::Refused(refusal) = &mut self {
            let paths: Vec<&str> = refusal.violations.iter().map(|violation| violation.field.as_str()).collect();
            let places = places(&paths);
            for (violation, place) in refusal.violations.iter_mut().zip(places) {
                violation.place = place;
            }
        }
        self
    }
}

impl Refusal {
    fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let mut metadata: Vec<_> =
            info.into_iter().flat_map(|info| &info.metadata).map(|(k, v)| (k.clone(), v.clone())).collect();
        metadata.sort();
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let preconditions = details.precondition_failure().map(|failed| failed.violations.clone()).unwrap_or_default();
        Refusal {
            code: code_name(status.code()),
            // What the server calls malformed came from the command line or a file.
            wrong: status.code() == Code::InvalidArgument,
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            violations: violations
                .into_iter()
                .map(|v| Violation { field: v.field, place: None, description: v.description })
                .collect(),
            preconditions: preconditions.into_iter().map(|v| (v.subject, v.description)).collect(),
            resource: details
                .resource_info()
                .map(|r| (r.resource_type.clone(), r.resource_name.clone(), r.description.clone())),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            metadata,
            done_before: None,
        }
    }
}

/// The value, if nothing was found wrong with the command line; else all that was.
pub(crate) fn checked<T>(faults: Faults, value: Option<T>) -> Result<T, Failure> {
    match value {
        Some(value) => faults.into_result(value).map_err(Failure::command_line),
        None => Err(Failure::command_line(faults.into_vec())),
    }
}

/// The innermost reason why a connection failed.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

/// What broke the connection, if the status was made on this side because of it.
fn transport_cause(status: &Status) -> Option<String> {
    let source = status.source().map(innermost);
    match status.code() {
        // Statuses that came over the wire have no source.
        Code::Unavailable | Code::Unknown | Code::Internal => {
            source.or_else(|| status.message().strip_prefix("Service was not ready: ").map(str::to_owned))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_an_exit_code() {
        let table = [
            (Code::InvalidArgument, Exit::Wrong),
            (Code::Unavailable, Exit::Unreachable),
            (Code::DeadlineExceeded, Exit::Unreachable),
            (Code::Cancelled, Exit::No),
            (Code::Unknown, Exit::No),
            (Code::NotFound, Exit::No),
            (Code::AlreadyExists, Exit::No),
            (Code::PermissionDenied, Exit::No),
            (Code::ResourceExhausted, Exit::No),
            (Code::FailedPrecondition, Exit::No),
            (Code::Aborted, Exit::No),
            (Code::OutOfRange, Exit::No),
            (Code::Unimplemented, Exit::No),
            (Code::Internal, Exit::No),
            (Code::DataLoss, Exit::No),
            (Code::Unauthenticated, Exit::No),
        ];
        for (code, exit) in table {
            assert_eq!(Failure::from_status(&Status::new(code, "why"), "http://s:1").exit(), exit, "{code:?}");
        }
        // Made on this side, whatever their code.
        let here = [
            Status::cancelled("Timeout expired"),
            Status::unknown("Service was not ready: transport error"),
            Status::unimplemented("grpc-status header missing, mapped from HTTP status code 404"),
        ];
        for status in here {
            assert_eq!(Failure::from_status(&status, "http://s:1").exit(), Exit::Unreachable, "{status}");
        }
    }
}
