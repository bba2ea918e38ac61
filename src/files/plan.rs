//! Plans: CSV with the columns resource,start,units, one bucket a row.

use std::io::Read;

use super::csv::{Rows, whole_number};
use super::{Collected, FileFaults};
use crate::app::request::{Start, SupplyLine};
use crate::domain::bucket::Bucketing;
use crate::domain::id::ResourceId;
use crate::domain::limits::{MAX_SUPPLY_NUMBERS, MAX_UNITS};

const COLUMNS: [&str; 3] = ["resource", "start", "units"];
const RESOURCE: usize = 0;
const START: usize = 1;
const UNITS: usize = 2;

/// Supply of one resource in consecutive buckets, and where it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanLine {
    /// The file's line of the first bucket; the others are on the lines that follow it.
    pub line: u64,
    /// What it says.
    pub supply: SupplyLine,
}

/// Reads a plan: all of it, or all of its faults. Where two rows set one bucket, the later counts, as it does at the server.
///
/// `bucketing` is asked for each resource, and what it knows is used: `Err` is the row's fault ("there is no resource ..."),
/// `Ok(None)` leaves the question to the server, `Ok(Some)` has each start checked and lets rows of consecutive buckets
/// become one line of at most `MAX_SUPPLY_NUMBERS` numbers.
pub fn read(
    file: &str,
    input: impl Read,
    mut bucketing: impl FnMut(&str) -> Result<Option<Bucketing>, String>,
) -> Result<Vec<PlanLine>, FileFaults> {
    let mut rows = Rows::new(input, &COLUMNS, &[]).map_err(|faults| faults.into_faults(file))?;
    let mut faults = Collected::default();
    let mut lines: Vec<PlanLine> = Vec::new();
    // The resource of the row before, and what is known of it: most rows have the same.
    let mut known: Option<(ResourceId, Option<Bucketing>)> = None;
    // The file's line and the bucket that would continue the last of `lines`.
    let mut goes_on: Option<(u64, i32)> = None;
    while let Some(row) = rows.advance() {
        if let Err(fault) = row {
            faults.push(fault);
            continue;
        }
        let name = rows.cell(RESOURCE);
        let same = known.as_ref().is_some_and(|(id, _)| id.as_str() == name);
        if !same {
            goes_on = None;
            known = ResourceId::new(name)
                .and_then(|id| bucketing(name).map(|bucketing| (id, bucketing)))
                .map_err(|why| faults.push(rows.cell_fault(RESOURCE, why)))
                .ok();
        }
        let buckets = known.as_ref().and_then(|(_, bucketing)| *bucketing);
        let start = Start::parse(rows.cell(START)).and_then(|start| {
            let index = buckets.map(|b| b.named(start.day(), start.time()).ok_or_else(|| unnamed(b, start)));
            Ok((start, index.transpose()?))
        });
        let start = start.map_err(|why| faults.push(rows.cell_fault(START, why))).ok();
        let units = whole_number(rows.cell(UNITS)).and_then(|units| {
            let inside = (0..=MAX_UNITS).contains(&units);
            inside.then_some(units).ok_or_else(|| format!("is {units}; it must lie between 0 and {MAX_UNITS}"))
        });
        let units = units.map_err(|why| faults.push(rows.cell_fault(UNITS, why))).ok();
        // With faults nothing will be returned: the rest is only looked through.
        let (Some((resource, _)), Some((start, index)), Some(units), true) = (&known, start, units, faults.is_empty())
        else {
            continue;
        };
        let here = index.map(|index| (rows.line(), index));
        match lines.last_mut() {
            Some(last) if here.is_some() && here == goes_on && last.supply.units.len() < MAX_SUPPLY_NUMBERS => {
                last.supply.units.push(units);
            }
            _ => lines.push(PlanLine {
                line: rows.line(),
                supply: SupplyLine { resource: resource.clone(), start, units: vec![units] },
            }),
        }
        goes_on = here.map(|(line, index)| (line + 1, index + 1));
    }
    if faults.is_empty() { Ok(lines) } else { Err(faults.into_faults(file)) }
}

fn unnamed(bucketing: Bucketing, start: Start) -> String {
    if bucketing.is_days() {
        format!("'{start}' begins no bucket: the resource has day buckets; write the date alone")
    } else {
        format!("'{start}' begins no bucket: the resource has buckets of {} minutes from 00:00 on", bucketing.minutes())
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
