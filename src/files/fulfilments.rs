//! What became of promises, as an ERP or a carrier exports it: CSV with the columns id, shipped and delivered.

use std::io::Read;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::csv::{Column, Rows};
use super::forms::{Dates, Forms, When};
use super::plan::bytes;
use super::{Collected, FileFaults, one};
use crate::domain::id;

const COLUMNS: [Column; 3] = [
    Column {
        name: "id",
        required: true,
        synonyms: &[
            "reservation",
            "reservationid",
            "requestid",
            "promise",
            "promiseid",
            "reservierung",
            "reservierungsid",
            "suretyid",
        ],
    },
    Column {
        name: "shipped",
        required: false,
        synonyms: &[
            "shippedat",
            "shippedon",
            "shipdate",
            "dispatched",
            "dispatchedat",
            "dispatchdate",
            "sent",
            "sentat",
            "goodsissue",
            "goodsissuedate",
            "versandt",
            "versandtam",
            "warenausgang",
            "warenausgangsdatum",
        ],
    },
    // Not `delivery date` and `Lieferdatum`: with many systems that is the date that was planned.
    Column {
        name: "delivered",
        required: false,
        synonyms: &[
            "deliveredat",
            "deliveredon",
            "actualdelivery",
            "actualdeliverydate",
            "arrived",
            "arrivedat",
            "arrivaldate",
            "zugestellt",
            "zugestelltam",
            "zustelldatum",
            "geliefert",
            "geliefertam",
        ],
    },
];
const ID: usize = 0;
const SHIPPED: usize = 1;
const DELIVERED: usize = 2;

/// What became of one reservation; at least one instant is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FulfilmentLine {
    /// The file's line.
    pub line: u64,
    /// The reservation.
    pub id: String,
    /// When it left.
    pub shipped: Option<Timestamp>,
    /// When it arrived.
    pub delivered: Option<Timestamp>,
}

/// What a report says, and what is wrong with the rest of it.
#[derive(Debug)]
pub struct FulfilmentsRead {
    /// The good rows.
    pub lines: Vec<FulfilmentLine>,
    /// Rows of what has neither left nor arrived yet, which are passed over.
    pub open: u64,
    /// The bad ones.
    pub faults: FileFaults,
}

/// Reads a report. Times without offset are those of `zone`. A date alone is read as noon of that day, so that it stays the same
/// day in the time zones around; or as `now`, where that is the same day and noon is still to come.
///
/// # Errors
/// What keeps the file from being read at all: a wrong header, or dates that can be read in two ways.
pub fn read(
    file: &str,
    input: impl Read,
    forms: &Forms,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<FulfilmentsRead, FileFaults> {
    let bytes = bytes(file, input, forms)?;
    let rows = || Rows::of_export(&*bytes, &COLUMNS, &forms.columns).map_err(|faults| faults.into_faults(file));
    let mut dates = Dates::new(forms.dates);
    let mut first = rows()?;
    if !first.has(SHIPPED) && !first.has(DELIVERED) {
        let why = "neither the column 'shipped' nor 'delivered' is there; say --columns shipped=..., delivered=... which they are";
        return Err(one(file, first.line(), 1, why));
    }
    while let Some(row) = first.advance() {
        if row.is_ok() {
            for column in [SHIPPED, DELIVERED] {
                dates.learn(first.line(), first.column(column), first.cell(column));
            }
        }
    }
    if let Some((line, column, why)) = dates.undecided() {
        return Err(one(file, line, column, why));
    }
    let mut rows = rows()?;
    let mut faults = Collected::default();
    let (mut lines, mut open) = (Vec::new(), 0);
    while let Some(row) = rows.advance() {
        if let Err(fault) = row {
            faults.push(fault);
            continue;
        }
        let id = rows.cell(ID).trim();
        let id = id::check(id).map(|()| id.to_owned()).map_err(|why| faults.push(rows.cell_fault(ID, why))).ok();
        let mut when = |column| match rows.cell(column).trim() {
            "" => Some(None),
            text => match dates.read(text) {
                Ok(when) => Some(Some(when)),
                Err(why) => {
                    faults.push(rows.cell_fault(column, why));
                    None
                }
            },
        };
        let (shipped, delivered) = (when(SHIPPED), when(DELIVERED));
        let (Some(id), Some(shipped), Some(delivered)) = (id, shipped, delivered) else { continue };
        let delivered_at = delivered.map(|when| instant(when, zone, now));
        let shipped_at = shipped.map(|when| {
            let at = instant(when, zone, now);
            // What arrived on the day on which it left was sent before.
            let same_day = when.time.is_none() && delivered.is_some_and(|delivered| delivered.date == when.date);
            if same_day { delivered_at.map_or(at, |delivered| at.min(delivered)) } else { at }
        });
        if shipped_at.is_none() && delivered_at.is_none() {
            open += 1;
            continue;
        }
        if let (Some(shipped), Some(delivered)) = (shipped_at, delivered_at)
            && delivered < shipped
        {
            faults.push(rows.cell_fault(DELIVERED, "arrived before it left; look at both".to_owned()));
            continue;
        }
        lines.push(FulfilmentLine { line: rows.line(), id, shipped: shipped_at, delivered: delivered_at });
    }
    Ok(FulfilmentsRead { lines, open, faults: faults.into_faults(file) })
}

fn instant(when: When, zone: &TimeZone, now: Timestamp) -> Timestamp {
    let local = when.date.to_datetime(when.time.unwrap_or(Time::constant(12, 0, 0, 0)));
    let at = match when.offset {
        Some(offset) => offset.to_timestamp(local).ok(),
        None => zone.to_zoned(local).ok().map(|zoned| zoned.timestamp()),
    };
    // Dates are within the calendar's years, so that each has its instant.
    let at = at.unwrap_or(now);
    let today = now.to_zoned(zone.clone()).date();
    if when.time.is_none() && when.date == today { at.min(now) } else { at }
}

#[cfg(test)]
#[path = "fulfilments_tests.rs"]
mod tests;
