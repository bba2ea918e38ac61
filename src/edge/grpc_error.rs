//! Building `tonic::Status` with google.rpc details, the one way in which this service refuses a call.
//!
//! Every refusal carries an `ErrorInfo` (so that programs branch on `reason` and never on the text), and the details
//! that suit it. What a caller reads here names no host, key or script: causes belong into the log.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

/// The `domain` of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "surety";

/// The most bytes of field and precondition violations in one answer, before base64.
///
/// Details travel in one trailer. Java clients accept 8 KiB of trailers and hyper's 16 KiB; a longer one loses the whole
/// answer. 5 KiB grow to 6.7 KiB in base64 and leave room for the message and the rest.
pub const MAX_VIOLATION_BYTES: usize = 5 * 1024;

/// The most bytes of the status message. It is percent-encoded on the wire, so it may grow threefold.
pub const MAX_MESSAGE_BYTES: usize = 512;

/// Bytes that a violation costs on the wire besides its strings: tags and lengths.
const VIOLATION_OVERHEAD: usize = 12;

/// One refusal in the making.
///
/// ```
/// use surety::edge::grpc_error::GrpcError;
/// use tonic::Code;
///
/// let status = GrpcError::new(Code::InvalidArgument, "INVALID_REQUEST", "2 faults in the request")
///     .violation("lines[0].quantity", "must be at least 1, was 0")
///     .violation("by_date", "must be a date as YYYY-MM-DD, was \"tomorrow\"")
///     .into_status();
/// assert_eq!(status.code(), Code::InvalidArgument);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a refusal does nothing until it is turned into a status"]
pub struct GrpcError {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
    violations: Vec<FieldViolation>,
    preconditions: Vec<PreconditionViolation>,
    retry_after: Option<Duration>,
    resource: Option<[String; 3]>,
}

impl GrpcError {
    /// A refusal with `code`, a `reason` in UPPER_SNAKE_CASE (at most 63 characters, by AIP-193) and a message for
    /// people: what was wrong, where, what would be right.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(
            is_reason(reason),
            "an ErrorInfo reason is UPPER_SNAKE_CASE of at most 63 characters, not {reason:?}"
        );
        debug_assert!(code != Code::Ok, "OK is not a refusal");
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            violations: Vec::new(),
            preconditions: Vec::new(),
            retry_after: None,
            resource: None,
        }
    }

    /// Adds a pair to `ErrorInfo.metadata`: the values of the message, for programs. Keys are lowerCamelCase.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a `BadRequest` violation. `field` is the path as the request spells it, `lines[0].quantity`.
    pub fn violation(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.violations.push(FieldViolation::new(field, description));
        self
    }

    /// Adds all faults of a request, as (field, description).
    pub fn violations<F: Into<String>, D: Into<String>>(mut self, faults: impl IntoIterator<Item = (F, D)>) -> Self {
        self.violations.extend(faults.into_iter().map(|(field, description)| FieldViolation::new(field, description)));
        self
    }

    /// Adds a `PreconditionFailure` violation: `kind` in UPPER_SNAKE_CASE, the `subject` that failed, and what is wrong.
    pub fn precondition(
        mut self,
        kind: impl Into<String>,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.preconditions.push(PreconditionViolation::new(kind, subject, description));
        self
    }

    /// Adds `RetryInfo`: the caller may come again after `delay`, and should not before.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Adds `ResourceInfo`: what was looked for (`kind`, for example `zone`), its name as the caller gave it, and why it
    /// could not be had.
    pub fn resource(
        mut self,
        kind: impl Into<String>,
        name: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.resource = Some([kind.into(), name.into(), description.into()]);
        self
    }

    /// The finished status. Violations beyond [`MAX_VIOLATION_BYTES`] are left out and counted, in a last violation that
    /// says so and in the metadata key `omittedViolations`.
    pub fn into_status(mut self) -> Status {
        let mut details = ErrorDetails::new();
        let omitted = self.keep_what_fits();
        if omitted > 0 {
            self.metadata.insert("omittedViolations".to_owned(), omitted.to_string());
        }
        details.set_error_info(self.reason, ERROR_DOMAIN, self.metadata);
        if !self.violations.is_empty() {
            details.set_bad_request(self.violations);
        }
        if !self.preconditions.is_empty() {
            details.set_precondition_failure(self.preconditions);
        }
        if let Some(delay) = self.retry_after {
            details.set_retry_info(Some(delay));
        }
        if let Some([kind, name, description]) = self.resource {
            details.set_resource_info(kind, name, "", description);
        }
        Status::with_error_details(self.code, shortened(self.message, MAX_MESSAGE_BYTES), details)
    }

    /// Cuts both lists of violations down to the budget, the first ones staying; returns how many went.
    fn keep_what_fits(&mut self) -> usize {
        let mut left = MAX_VIOLATION_BYTES;
        let mut fits = |bytes: usize| {
            let cost = bytes + VIOLATION_OVERHEAD;
            let fits = cost <= left;
            // Once one is left out, so are all after it: the list stays a prefix.
            left = if fits { left - cost } else { 0 };
            fits
        };
        let fields = self.violations.iter().take_while(|v| fits(v.field.len() + v.description.len())).count();
        let preconditions = self
            .preconditions
            .iter()
            .take_while(|v| fits(v.r#type.len() + v.subject.len() + v.description.len()))
            .count();
        let omitted_fields = self.violations.len() - fields;
        let omitted_preconditions = self.preconditions.len() - preconditions;
        self.violations.truncate(fields);
        self.preconditions.truncate(preconditions);
        if omitted_fields > 0 {
            self.violations
                .push(FieldViolation::new("", format!("{omitted_fields} more faults do not fit into this answer")));
        }
        if omitted_preconditions > 0 {
            let description = format!("{omitted_preconditions} more do not fit into this answer");
            self.preconditions.push(PreconditionViolation::new("MORE", "", description));
        }
        omitted_fields + omitted_preconditions
    }
}

impl From<GrpcError> for Status {
    fn from(error: GrpcError) -> Self {
        error.into_status()
    }
}

/// Whether AIP-193 allows `reason`: `[A-Z][A-Z0-9_]+[A-Z0-9]`, at most 63 characters.
fn is_reason(reason: &str) -> bool {
    let bytes = reason.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes[0].is_ascii_uppercase()
        && bytes.last() != Some(&b'_')
        && bytes.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
}

/// `text`, cut at a character boundary to at most `max` bytes with an ellipsis if it was longer.
fn shortened(mut text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    let mut end = max - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push('…');
    text
}

/// The name of a status code, as google.rpc.Code spells it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detail_survives_the_way_to_the_caller() {
        let status = GrpcError::new(Code::FailedPrecondition, "HOLD_EXPIRED", "the hold ended at 12:00")
            .metadata("expiredAt", "2026-01-01T12:00:00Z")
            .violation("a", "wrong")
            .violations([("b", "also wrong".to_owned())])
            .precondition("STATE", "reservation", "EXPIRED, must be HELD")
            .retry_after(Duration::from_millis(250))
            .resource("reservation", "r-1", "expired")
            .into_status();
        let headers = status.into_http::<tonic::body::Body>();
        let back = Status::from_header_map(headers.headers()).unwrap();
        assert_eq!(back.code(), Code::FailedPrecondition);
        assert_eq!(back.message(), "the hold ended at 12:00");
        let details = back.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("HOLD_EXPIRED", "surety"));
        assert_eq!(info.metadata["expiredAt"], "2026-01-01T12:00:00Z");
        let fields: Vec<_> = details.bad_request().unwrap().field_violations.iter().map(|v| &v.field).collect();
        assert_eq!(fields, ["a", "b"]);
        assert_eq!(details.precondition_failure().unwrap().violations[0].r#type, "STATE");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_millis(250)));
        assert_eq!(details.resource_info().unwrap().resource_name, "r-1");
    }

    #[test]
    fn a_thousand_faults_still_fit_into_a_trailer_and_say_how_many_are_missing() {
        let status = GrpcError::new(Code::InvalidArgument, "INVALID_NETWORK", "x".repeat(9_000))
            .violations((0..1000).map(|i| (format!("sites[{i}].time_zone"), "is not a time zone")))
            .into_status();
        let headers = status.into_http::<tonic::body::Body>().into_parts().0.headers;
        let bytes: usize = headers.iter().map(|(k, v)| k.as_str().len() + v.len() + 32).sum();
        assert!(bytes < 8 * 1024, "{bytes} bytes of trailers");
        let back = Status::from_header_map(&headers).unwrap();
        let details = back.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        let omitted: usize = details.error_info().unwrap().metadata["omittedViolations"].parse().unwrap();
        assert_eq!(violations.len() - 1 + omitted, 1000);
        assert!(violations.last().unwrap().description.contains(&omitted.to_string()));
        assert!(back.message().ends_with('…') && back.message().len() <= MAX_MESSAGE_BYTES);
    }

    #[test]
    fn reasons_are_upper_snake_case() {
        for (reason, good) in [("OVERLOADED", true), ("A_2", true), ("lower", false), ("A", false), ("AB_", false)] {
            assert_eq!(is_reason(reason), good, "{reason}");
        }
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(shortened("ääää".to_owned(), 8), "ääää");
        assert_eq!(shortened("äääää".to_owned(), 8), "ää…");
    }
}
