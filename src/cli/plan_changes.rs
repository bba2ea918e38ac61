//! What a plan would change: compared, bucket by bucket, with what the server has.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::client::Caller;
use super::exit::Failure;
use super::input::{PlanFile, Plants};
use super::supply;
use super::values::from_proto;
use crate::app::request::Start;
use crate::domain::bucket::Bucketing;
use crate::domain::limits::MAX_BUCKET_DAYS;
use crate::domain::time::Day;
use crate::proto::v1;

/// One bucket that would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its start, in the civil time of its site.
    pub start: String,
    /// Its supply now.
    pub from: i64,
    /// Its supply by the plan.
    pub to: i64,
    /// Units that are promised or set aside and that the plan would not cover.
    #[serde(skip_serializing_if = "is_zero")]
    pub uncovered: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// What would change of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResourceChanges {
    /// Which.
    pub resource: String,
    /// Buckets that the plan names.
    pub buckets: u64,
    /// Those that would change, in their order.
    pub changed: Vec<Changed>,
}

/// A plan's numbers by resource and by the index of the bucket.
fn wanted(file: &PlanFile, plants: &Plants) -> BTreeMap<String, BTreeMap<i32, i64>> {
    let mut wanted: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::new();
    for line in &file.lines {
        let name = line.supply.resource.as_str();
        let bucketing = plants.of(name).map_or(Bucketing::DAYS, |(bucketing, _)| bucketing);
        let start = line.supply.start;
        let Some(first) = bucketing.named(start.day(), start.time()) else { continue };
        let buckets = wanted.entry(name.to_owned()).or_default();
        buckets.extend((first..).zip(line.supply.units.iter().copied()));
    }
    wanted
}

/// Compares a plan with the server's buckets: some calls a resource.
///
/// # Errors
/// Whatever kept an answer away.
pub async fn compare(caller: &Caller, file: &PlanFile, plants: &Plants) -> Result<Vec<ResourceChanges>, Failure> {
    let wanted = wanted(file, plants);
    let mut client = caller.operations().await?;
    let bar = supply::progress(wanted.len(), "resources");
    let mut all = Vec::with_capacity(wanted.len());
    for (resource, numbers) in wanted {
        let (bucketing, zone) = plants.of(&resource).unwrap_or((Bucketing::DAYS, TimeZone::UTC));
        let days = numbers.keys().next().zip(numbers.keys().next_back());
        let (mut from, last) = days.map_or((Day(0), Day(0)), |(a, b)| (bucketing.day_of(*a), bucketing.day_of(*b)));
        let mut there: BTreeMap<i32, v1::Bucket> = BTreeMap::new();
        while from <= last {
            let days = (last.0 - from.0 + 1).min(MAX_BUCKET_DAYS);
            let request = v1::ListBucketsRequest {
                resource: resource.clone(),
                site: String::new(),
                from: from.to_string(),
                days,
            };
            let answer = client.list_buckets(caller.request(request)).await;
            let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
            for bucket in answer.buckets {
                let at = bucket.from.as_ref().and_then(|at| index(bucketing, &zone, from_proto(at)));
                if let Some(at) = at {
                    there.insert(at, bucket);
                }
            }
            from = Day(from.0 + days);
        }
        let changed = numbers.iter().filter_map(|(&index, &to)| {
            let bucket = there.get(&index);
            let from = bucket.map_or(0, |bucket| bucket.supply);
            let taken = bucket.map_or(0, |bucket| bucket.held + bucket.confirmed + bucket.allocated);
            let start = match bucketing.is_days() {
                true => Start::Date(bucketing.day_of(index)),
                false => Start::DateTime(bucketing.day_of(index), bucketing.time_of(index)),
            };
            (from != to).then(|| Changed { start: start.to_string(), from, to, uncovered: (taken - to).max(0) })
        });
        let changed = changed.collect();
        all.push(ResourceChanges { resource, buckets: numbers.len() as u64, changed });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(all)
}

/// The bucket that begins at an instant.
fn index(bucketing: Bucketing, zone: &TimeZone, at: Timestamp) -> Option<i32> {
    let local = at.to_zoned(zone.clone());
    let (date, time): (Date, Time) = (local.date(), local.time());
    let minutes = u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs());
    bucketing.named(Day::from_date(date), crate::domain::time::TimeOfDay(minutes))
}
