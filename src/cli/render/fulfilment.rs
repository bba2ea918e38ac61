//! Reports of what became of promises.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{BAD, GOOD, WARN, counted, counted_of, grouped, paint};
use crate::cli::fulfil::Outcome;
use crate::files::fulfilments::FulfilmentLine;
use crate::proto::v1::{self, reservation::State};

/// Why nothing can be reported of a reservation, if so.
pub fn forbidden(reservation: &v1::Reservation) -> Option<String> {
    let id = &reservation.id;
    match reservation.state() {
        State::Confirmed | State::Fulfilled => None,
        State::Held => Some(format!("{id} is held and was not confirmed; confirm it first")),
        State::Released => Some(format!("{id} was released; nothing was promised any more")),
        State::Expired => Some(format!("{id} has expired; nothing was promised any more")),
        State::Unspecified => Some(format!("{id} is in a state that this version does not know")),
    }
}

/// How many are reported as shipped, and how many as delivered: a row may say both.
fn numbers(lines: &[FulfilmentLine]) -> (u64, u64) {
    let shipped = lines.iter().filter(|line| line.shipped.is_some()).count() as u64;
    let delivered = lines.iter().filter(|line| line.delivered.is_some()).count() as u64;
    (shipped, delivered)
}

fn remarks(text: &mut String, outcome: &Outcome) {
    if outcome.open > 0 {
        let rows = counted(outcome.open, "row has", "rows have");
        let _ = writeln!(text, "{rows} neither been shipped nor delivered yet.");
    }
    if !outcome.left_out.is_empty() {
        let many = counted(outcome.left_out.len() as u64, "row", "rows");
        let _ = writeln!(text, "{} {many} can't be reported:", paint(BAD, "Not all of it:"));
        for row in &outcome.left_out {
            let _ = writeln!(text, "  {row}");
        }
    }
}

/// What a report would do.
pub fn would(lines: &[FulfilmentLine], outcome: &Outcome) -> String {
    let (shipped, delivered) = numbers(lines);
    let mut text = format!(
        "{} {} as delivered, {} as shipped.\n",
        paint(WARN, "Would report:"),
        grouped(i64::try_from(delivered).unwrap_or(i64::MAX)),
        grouped(i64::try_from(shipped).unwrap_or(i64::MAX))
    );
    remarks(&mut text, outcome);
    text.push_str("Nothing was changed.\n");
    text
}

/// The same for programs.
pub fn would_json(lines: &[FulfilmentLine], outcome: &Outcome) -> Value {
    let (shipped, delivered) = numbers(lines);
    json!({ "shipped": shipped, "delivered": delivered, "open": outcome.open, "wrong": outcome.left_out })
}

/// What a report did.
pub fn reported(outcome: &Outcome) -> String {
    let answer = &outcome.answer;
    let mut text = format!(
        "{} {} delivered, {} shipped that were not known before.\n",
        paint(GOOD, "Reported:"),
        counted_of(answer.fulfilled, "order", "orders"),
        grouped(answer.shipped)
    );
    remarks(&mut text, outcome);
    text
}
