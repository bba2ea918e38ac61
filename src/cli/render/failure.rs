//! What went wrong, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{BAD, FAINT, paint};
use crate::cli::exit::{Failure, Refusal};

/// What went wrong, for people: what, where, and what would be right.
pub fn text(failure: &Failure) -> String {
    match failure {
        Failure::Wrong { what, faults } => match faults.as_slice() {
            [] => format!("{} {what}\n", paint(BAD, "surety:")),
            faults => {
                let mut text = format!("{} {what}:\n", paint(BAD, "surety:"));
                for fault in faults {
                    let _ = writeln!(text, "  {fault}");
                }
                text
            }
        },
        Failure::Refused(refusal) => refused(refusal),
        Failure::Declined { message } => format!("{} {message}\n", paint(BAD, "surety:")),
        Failure::Unreachable { message, request_id, .. } => {
            let mut text = format!("{} {message}\n", paint(BAD, "surety:"));
            if let Some(id) = request_id {
                let advice =
                    "  Whether it was taken is not known. Send the same again to learn it, and to have it once:";
                let _ = writeln!(text, "{advice} --request-id {id}");
            }
            text
        }
        Failure::OutputClosed => String::new(),
    }
}

fn refused(refusal: &Refusal) -> String {
    let mut text = format!("{} {}", paint(BAD, "surety: the server refused:"), refusal.message);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for violation in &refusal.violations {
        let field = if violation.field.is_empty() { String::new() } else { format!("{}: ", violation.field) };
        let place = violation.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
        let _ = writeln!(text, "  {place}{field}{}", violation.description);
    }
    for (subject, description) in &refusal.preconditions {
        let _ = writeln!(text, "  {subject}: {description}");
    }
    // Where each name has its own line already, the first need not be told again.
    if let Some((kind, name, description)) = refusal.resource.as_ref().filter(|_| refusal.violations.is_empty()) {
        let description = if description.is_empty() { String::new() } else { format!(": {description}") };
        let _ = writeln!(text, "  {kind} '{name}'{description}");
    }
    if let Some(done) = &refusal.done_before {
        let _ = writeln!(text, "  {done}.");
    }
    if let Some(delay) = refusal.retry_after {
        let _ = writeln!(text, "  Come again in {} s.", seconds(delay));
    }
    let mut codes = refusal.code.to_owned();
    if !refusal.reason.is_empty() {
        let _ = write!(codes, ", {}", refusal.reason);
    }
    for (key, value) in &refusal.metadata {
        let _ = write!(codes, ", {key}={value}");
    }
    let _ = writeln!(text, "  {}", paint(FAINT, &format!("({codes})")));
    text
}

fn seconds(delay: std::time::Duration) -> f64 {
    (delay.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// What went wrong, for programs: one object with the member `error`.
pub fn json(failure: &Failure) -> Value {
    let exit = failure.exit().code();
    let error = match failure {
        Failure::Wrong { what, faults } => json!({ "exit": exit, "message": what, "faults": faults }),
        Failure::Unreachable { message, code, request_id, .. } => {
            let mut error = json!({ "exit": exit, "code": code, "message": message });
            if let Some(id) = request_id {
                error["requestId"] = json!(id);
            }
            error
        }
        Failure::Refused(refusal) => refused_json(refusal, exit),
        Failure::Declined { message } => json!({ "exit": exit, "message": message }),
        Failure::OutputClosed => json!({ "exit": exit, "message": "nobody reads the output" }),
    };
    json!({ "error": error })
}

fn refused_json(refusal: &Refusal, exit: u8) -> Value {
    let mut error = json!({ "exit": exit, "code": refusal.code, "message": refusal.message });
    if !refusal.reason.is_empty() {
        error["reason"] = json!(refusal.reason);
    }
    if !refusal.violations.is_empty() {
        let violations = refusal.violations.iter().map(|violation| {
            let mut v = json!({ "field": violation.field, "description": violation.description });
            if let Some(place) = &violation.place {
                v["place"] = json!(place);
            }
            v
        });
        error["fieldViolations"] = violations.collect();
    }
    if !refusal.preconditions.is_empty() {
        let failed = refusal.preconditions.iter().map(|(subject, d)| json!({ "subject": subject, "description": d }));
        error["preconditions"] = failed.collect();
    }
    // Where each name has its own line already, the first need not be told again.
    if let Some((kind, name, description)) = refusal.resource.as_ref().filter(|_| refusal.violations.is_empty()) {
        error["resource"] = json!({ "type": kind, "name": name, "description": description });
    }
    if let Some(delay) = refusal.retry_after {
        error["retryAfterSeconds"] = json!(seconds(delay));
    }
    if let Some(done) = &refusal.done_before {
        error["doneBefore"] = json!(done);
    }
    if !refusal.metadata.is_empty() {
        error["metadata"] = refusal.metadata.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    }
    error
}
