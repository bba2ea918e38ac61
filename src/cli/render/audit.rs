//! What an audit found, for people.

use std::fmt::Write;

use super::{BAD, GOOD, Table, WARN, counted, grouped, paint};
use crate::cli::audit::{BelowZeroRow, DriftRow, Report};
use crate::domain::limits::MAX_SHOWN_FAULTS;

/// What was found, and done about it.
pub fn report(report: &Report) -> String {
    let looked = format!(
        "{} and {} of network '{}' as of {}",
        counted(report.buckets as u64, "bucket", "buckets"),
        counted(report.reservations as u64, "reservation", "reservations"),
        report.network,
        report.as_of,
    );
    let mut text = String::new();
    if !report.drifts.is_empty() {
        text.push_str(&drifts(&report.drifts));
    }
    if !report.below_zero.is_empty() {
        text.push_str("Below zero, because supply was set below what had been promised; the ledger is right:\n");
        text.push_str(&below_zero(&report.below_zero));
    }
    let found = counted(report.drifts.len() as u64, "number", "numbers");
    let _ = match (report.mended, report.left) {
        (None, _) if report.drifts.is_empty() => {
            writeln!(text, "{} {looked} agree.", paint(GOOD, "Nothing is wrong:"))
        }
        (None, _) => {
            let verb = if report.drifts.len() == 1 { "is" } else { "are" };
            writeln!(
                text,
                "{} in {looked}. `surety audit --repair` mends it.",
                paint(BAD, &format!("{found} {verb} wrong"))
            )
        }
        (Some(buckets), 0) => {
            let buckets = counted(buckets as u64, "bucket", "buckets");
            writeln!(text, "{} {found} in {looked}; {buckets} changed, and now all agree.", paint(GOOD, "Mended:"))
        }
        (Some(_), left) => {
            let left = counted(left as u64, "number is", "numbers are");
            writeln!(text, "{} {found} in {looked}; after that {left} wrong.", paint(WARN, "Mended, but not all:"))
        }
    };
    text
}

fn drifts(rows: &[DriftRow]) -> String {
    let mut table = Table::new(&["RESOURCE", "BUCKET", "NUMBER", ">HAS", ">SHOULD", ">MENDS BY"]);
    for row in rows.iter().take(MAX_SHOWN_FAULTS) {
        let sign = if row.mends_by > 0 { "+" } else { "" };
        table.row(
            vec![
                row.resource.clone(),
                bucket(row.start.as_ref(), row.index),
                row.counter.clone(),
                grouped(row.has),
                grouped(row.should),
                format!("{sign}{}", grouped(row.mends_by)),
            ],
            None,
        );
    }
    table.text("  ") + &more(rows.len())
}

fn below_zero(rows: &[BelowZeroRow]) -> String {
    let mut table = Table::new(&["RESOURCE", "BUCKET", ">SUPPLY", ">DRAWN", ">SET ASIDE", ">LEFT"]);
    for row in rows.iter().take(MAX_SHOWN_FAULTS) {
        let set_aside = if row.set_aside == 0 { String::new() } else { grouped(row.set_aside) };
        let bucket = bucket(row.start.as_ref(), row.index);
        let (supply, drawn, left) = (grouped(row.supply), grouped(row.drawn), grouped(row.balance));
        table.row(vec![row.resource.clone(), bucket, supply, drawn, set_aside, left], None);
    }
    table.text("  ") + &more(rows.len())
}

/// A bucket as a plan names it; by its number where nobody knows when it begins.
fn bucket(start: Option<&String>, index: i32) -> String {
    start.map_or_else(|| format!("number {index}"), Clone::clone)
}

fn more(rows: usize) -> String {
    match rows.saturating_sub(MAX_SHOWN_FAULTS) {
        0 => String::new(),
        more => format!("  and {} more; --json lists them all\n", grouped(i64::try_from(more).unwrap_or(i64::MAX))),
    }
}
