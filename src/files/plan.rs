//! Plans: CSV with the columns resource,start,units, one bucket a row, as people and their systems write it.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use super::csv::{Column, Rows};
use super::forms::{Dates, Forms, Numbers, When, decoded};
use super::{Collected, FileFaults, one};
use crate::app::request::{Start, SupplyLine};
use crate::domain::bucket::Bucketing;
use crate::domain::id::ResourceId;
use crate::domain::limits::{MAX_CSV_FILE_BYTES, MAX_SUPPLY_NUMBERS, MAX_UNITS};
use crate::domain::time::{Day, TimeOfDay};

const COLUMNS: [Column; 3] = [
    Column {
        name: "resource",
        required: true,
        synonyms: &[
            "resourceid",
            "resourcename",
            "ressource",
            "ressourcenid",
            "item",
            "itemid",
            "itemno",
            "itemnumber",
            "material",
            "materialno",
            "materialnumber",
            "materialnummer",
            "article",
            "artikel",
            "artikelnummer",
            "sku",
            "workcenter",
            "workcentre",
            "machine",
            "maschine",
            "arbeitsplatz",
            "recurso",
            "risorsa",
        ],
    },
    Column {
        name: "start",
        required: true,
        synonyms: &[
            "starts",
            "startdate",
            "starttime",
            "startsat",
            "startdatum",
            "date",
            "datum",
            "day",
            "tag",
            "from",
            "von",
            "ab",
            "begin",
            "beginn",
            "bucket",
            "period",
            "periode",
            "datetime",
            "zeitpunkt",
            "termin",
            "fecha",
            "data",
        ],
    },
    Column {
        name: "units",
        required: true,
        synonyms: &[
            "quantity",
            "qty",
            "menge",
            "anzahl",
            "amount",
            "pieces",
            "capacity",
            "supply",
            "kapazität",
            "kapazitaet",
            "bestand",
            "stück",
            "stueck",
            "quantité",
            "quantite",
            "cantidad",
            "quantità",
        ],
    },
];
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

/// What a plan says, and what is wrong with the rest of it.
#[derive(Debug)]
pub struct PlanRead {
    /// The good rows.
    pub lines: Vec<PlanLine>,
    /// The bad ones.
    pub faults: FileFaults,
}

/// Reads a plan: all of it, or all of its faults. How it is written is found out.
///
/// # Errors
/// See [`read_export`]; a single bad row is one too.
pub fn read(
    file: &str,
    input: impl Read,
    bucketing: impl FnMut(&str) -> Result<Option<Bucketing>, String>,
) -> Result<Vec<PlanLine>, FileFaults> {
    let read = read_export(file, input, &Forms::default(), bucketing, |_, _| Ok(()))?;
    if read.faults.faults.is_empty() { Ok(read.lines) } else { Err(read.faults) }
}

/// Reads a plan. Rows that set one bucket to different numbers are faulty, all of them, as nothing tells which is meant; of
/// rows that set it to the same number one is taken.
///
/// `bucketing` is asked for each resource, and what it knows is used: `Err` is the row's fault ("there is no resource ..."),
/// `Ok(None)` leaves the question to the server, `Ok(Some)` has each start checked and lets rows of consecutive buckets
/// become one line of at most `MAX_SUPPLY_NUMBERS` numbers. `within` is asked for each bucket of those by its index; `Err` is
/// the row's fault.
///
/// # Errors
/// What keeps the file from being read at all: a wrong header, or dates that can be read in two ways.
pub fn read_export(
    file: &str,
    input: impl Read,
    forms: &Forms,
    mut bucketing: impl FnMut(&str) -> Result<Option<Bucketing>, String>,
    mut within: impl FnMut(&str, i32) -> Result<(), String>,
) -> Result<PlanRead, FileFaults> {
    let bytes = bytes(file, input, forms)?;
    let rows = || Rows::of_export(&*bytes, &COLUMNS, &forms.columns).map_err(|faults| faults.into_faults(file));
    let (mut dates, mut numbers) = (Dates::new(forms.dates), Numbers::new(forms.decimal));
    let mut first = rows()?;
    while let Some(row) = first.advance() {
        if row.is_ok() {
            dates.learn(first.line(), first.column(START), first.cell(START));
            numbers.learn(first.cell(UNITS));
        }
    }
    if let Some((line, column, why)) = dates.undecided() {
        return Err(one(file, line, column, why));
    }
    let mut rows = rows()?;
    let mut faults = Collected::default();
    let mut lines: Vec<PlanLine> = Vec::new();
    // How the buckets of each of `lines` lie, and the first of them.
    let mut firsts: Vec<First> = Vec::new();
    // The resource of the row before, and what is known of it: most rows have the same.
    let mut known: Option<(ResourceId, Option<Bucketing>)> = None;
    // The file's line and the bucket that would continue the last of `lines`.
    let mut goes_on: Option<(u64, i32)> = None;
    while let Some(row) = rows.advance() {
        if let Err(fault) = row {
            faults.push(fault);
            continue;
        }
        let name = rows.cell(RESOURCE).trim();
        let same = known.as_ref().is_some_and(|(id, _)| id.as_str() == name);
        if !same {
            goes_on = None;
            known = ResourceId::new(name)
                .and_then(|id| bucketing(name).map(|bucketing| (id, bucketing)))
                .map_err(|why| faults.push(rows.cell_fault(RESOURCE, why)))
                .ok();
        }
        let buckets = known.as_ref().and_then(|(_, bucketing)| *bucketing);
        let start = dates.read(rows.cell(START)).and_then(start).and_then(|start| {
            let index = buckets.map(|b| b.named(start.day(), start.time()).ok_or_else(|| unnamed(b, start)));
            let index = index.transpose()?;
            index.map_or(Ok(()), |index| within(name, index))?;
            Ok((start, index))
        });
        let start = start.map_err(|why| faults.push(rows.cell_fault(START, why))).ok();
        let units = numbers.read(rows.cell(UNITS)).and_then(|units| {
            let inside = (0..=MAX_UNITS).contains(&units);
            inside.then_some(units).ok_or_else(|| format!("is {units}; it must lie between 0 and {MAX_UNITS}"))
        });
        let units = units.map_err(|why| faults.push(rows.cell_fault(UNITS, why))).ok();
        let (Some((resource, _)), Some((start, index)), Some(units)) = (&known, start, units) else { continue };
        let here = index.map(|index| (rows.line(), index));
        match lines.last_mut() {
            Some(last) if here.is_some() && here == goes_on && last.supply.units.len() < MAX_SUPPLY_NUMBERS => {
                last.supply.units.push(units);
            }
            _ => {
                lines.push(PlanLine {
                    line: rows.line(),
                    supply: SupplyLine { resource: resource.clone(), start, units: vec![units] },
                });
                firsts.push(buckets.zip(index));
            }
        }
        goes_on = here.map(|(line, index)| (line + 1, index + 1));
    }
    let lines = once_each(lines, &firsts, &mut faults);
    Ok(PlanRead { lines, faults: faults.into_faults(file) })
}

/// How the buckets of a line lie, and the index of the first; none where nobody knows.
type First = Option<(Bucketing, i32)>;

/// Leaves out rows that set buckets which others set too: all of them, as faults, where they differ, else all but the first.
fn once_each(lines: Vec<PlanLine>, firsts: &[First], faults: &mut Collected) -> Vec<PlanLine> {
    // What orders the buckets of a resource; lines whose buckets nobody knows have one each, named by its time.
    let first_of = |i: usize| {
        let start = lines[i].supply.start;
        firsts[i].map_or(i64::from(start.day().0) * 1_440 + i64::from(start.time().0), |(_, index)| i64::from(index))
    };
    let end_of = |i: usize| first_of(i) + lines[i].supply.units.len() as i64;
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_unstable_by(|&a, &b| {
        (&lines[a].supply.resource, first_of(a), a).cmp(&(&lines[b].supply.resource, first_of(b), b))
    });
    let mut out: HashSet<u64> = HashSet::new();
    let mut at = 0;
    while at < order.len() {
        // The lines from here on that have buckets in common, one with the next.
        let (mut next, mut end) = (at + 1, end_of(order[at]));
        let resource = &lines[order[at]].supply.resource;
        while next < order.len() && lines[order[next]].supply.resource == *resource && first_of(order[next]) < end {
            end = end.max(end_of(order[next]));
            next += 1;
        }
        if next - at > 1 {
            let mut rows: BTreeMap<i64, Vec<(u64, i64)>> = BTreeMap::new();
            for &i in &order[at..next] {
                let numbers = (first_of(i)..).zip(lines[i].line..).zip(&lines[i].supply.units);
                numbers.for_each(|((bucket, line), units)| rows.entry(bucket).or_default().push((line, *units)));
            }
            for rows in rows.values_mut().filter(|rows| rows.len() > 1) {
                rows.sort_unstable();
                let (first_line, first_units) = rows[0];
                let Some((other_line, other_units)) = rows.iter().find(|(_, units)| *units != first_units).copied()
                else {
                    out.extend(rows[1..].iter().map(|(line, _)| line));
                    continue;
                };
                for &(line, units) in &*rows {
                    let (line_there, there) =
                        if units == first_units { (other_line, other_units) } else { (first_line, first_units) };
                    let why = format!(
                        "sets its bucket to {units}, and line {line_there} sets the same bucket to {there}; leave one row for it"
                    );
                    faults.add(line, 0, why);
                    out.insert(line);
                }
            }
        }
        at = next;
    }
    if out.is_empty() { lines } else { without(lines, firsts, &out) }
}

/// The lines without some of the file's rows; what was one run may become several.
fn without(lines: Vec<PlanLine>, firsts: &[First], out: &HashSet<u64>) -> Vec<PlanLine> {
    let mut kept: Vec<PlanLine> = Vec::with_capacity(lines.len());
    for (line, first) in lines.into_iter().zip(firsts) {
        let rows = line.line..line.line + line.supply.units.len() as u64;
        if !rows.clone().any(|row| out.contains(&row)) {
            kept.push(line);
            continue;
        }
        // The row that would go on with the last of `kept`.
        let mut goes_on = None;
        for (place, (row, &units)) in rows.zip(&line.supply.units).enumerate() {
            if out.contains(&row) {
                continue;
            }
            match kept.last_mut().filter(|_| goes_on == Some(row)) {
                Some(last) => last.supply.units.push(units),
                None => {
                    let start = match first {
                        Some((bucketing, first)) if place > 0 => named(*bucketing, first + place as i32),
                        _ => line.supply.start,
                    };
                    let supply = SupplyLine { resource: line.supply.resource.clone(), start, units: vec![units] };
                    kept.push(PlanLine { line: row, supply });
                }
            }
            goes_on = Some(row + 1);
        }
    }
    kept
}

/// How a bucket is named.
fn named(bucketing: Bucketing, index: i32) -> Start {
    let day = bucketing.day_of(index);
    if bucketing.is_days() { Start::Date(day) } else { Start::DateTime(day, bucketing.time_of(index)) }
}

/// The file's bytes as UTF-8.
pub(super) fn bytes(file: &str, input: impl Read, forms: &Forms) -> Result<Vec<u8>, FileFaults> {
    let mut bytes = Vec::new();
    input
        .take(MAX_CSV_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| one(file, 0, 0, format!("can't be read: {why}")))?;
    if bytes.len() as u64 > MAX_CSV_FILE_BYTES {
        return Err(one(file, 0, 0, format!("is larger than {MAX_CSV_FILE_BYTES} bytes, the most that is taken")));
    }
    decoded(bytes, forms.encoding).map_err(|why| one(file, 0, 0, why))
}

/// Where a bucket starts: in the civil time of the resource's site, by the minute.
fn start(when: When) -> Result<Start, String> {
    if when.offset.is_some() {
        return Err("has an offset; write the local time of the resource's site without one".to_owned());
    }
    let day = Day::from_date(when.date);
    match when.time {
        None => Ok(Start::Date(day)),
        Some(time) if time.second() == 0 && time.subsec_nanosecond() == 0 => {
            // Of the calendar's times, so neither is below zero.
            let minutes = u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs());
            Ok(Start::DateTime(day, TimeOfDay(minutes)))
        }
        Some(time) => Err(format!("'{time}' begins no bucket; buckets begin with a minute")),
    }
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
