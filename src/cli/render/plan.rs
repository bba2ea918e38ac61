//! The network and the plan: what was loaded, and what there is.

use std::fmt::Write;
use std::time::Duration;

use super::times::Times;
use super::{BAD, GOOD, Table, WARN, counted, grouped, paint, percent};
use crate::proto::v1;

/// How big a network is.
pub fn sizes(network: &v1::Network) -> String {
    let parts = [
        (network.sites.len(), "site", "sites"),
        (network.zones.len(), "zone", "zones"),
        (network.resources.len(), "resource", "resources"),
        (network.processes.len(), "process", "processes"),
        (network.products.len(), "product", "products"),
        (network.lanes.len(), "lane", "lanes"),
        (network.channels.len(), "channel", "channels"),
    ];
    let parts = parts.into_iter().filter(|(n, _, _)| *n > 0).map(|(n, one, many)| counted(n as u64, one, many));
    let parts = parts.collect::<Vec<_>>();
    if parts.is_empty() { "nothing at all".to_owned() } else { parts.join(", ") }
}

/// A network was applied, or would be.
pub fn applied(network: &v1::Network, version: i64, dry_run: bool) -> String {
    let sizes = sizes(network);
    if dry_run {
        format!("{} {sizes}. Nothing was changed.\n", paint(GOOD, "The network is right:"))
    } else {
        format!("{} version {version}: {sizes}.\n", paint(GOOD, "Applied:"))
    }
}

/// A plan was loaded.
pub fn loaded(answer: &v1::SetSupplyResponse, numbers: usize, resources: usize, took: Duration) -> String {
    let (numbers, resources) =
        (counted(numbers as u64, "number", "numbers"), counted(resources as u64, "resource", "resources"));
    let buckets = counted(u64::try_from(answer.buckets_set).unwrap_or(0), "bucket", "buckets");
    let head = paint(GOOD, "Loaded:");
    let mut text = format!("{head} {numbers} for {resources}, {buckets} set, in {:.1} s.\n", took.as_secs_f64());
    if answer.reservations_at_risk > 0 {
        let at_risk =
            counted(u64::try_from(answer.reservations_at_risk).unwrap_or(0), "reservation is", "reservations are");
        let warning = format!("{at_risk} at risk by this plan; `surety reservations --at-risk` lists what is");
        let _ = writeln!(text, "{}", paint(WARN, &warning));
    }
    text
}

/// What there is of resources, and what is left.
pub fn buckets(answer: &v1::ListBucketsResponse, times: &Times) -> String {
    if answer.buckets.is_empty() {
        return "No buckets: nothing is planned for these days.\n".to_owned();
    }
    let mut table =
        Table::new(&["RESOURCE", "WHEN", ">SUPPLY", ">HELD", ">CONFIRMED", ">SET ASIDE", ">FREE", ">TAKEN"]);
    for bucket in &answer.buckets {
        let period = match (&bucket.from, &bucket.to) {
            (Some(from), Some(to)) => times.period(from, to),
            (Some(from), None) => format!("from {}", times.moment(from)),
            _ => String::new(),
        };
        let taken = bucket.held + bucket.confirmed;
        let style = match bucket.available {
            i64::MIN..=-1 => Some(BAD),
            0 if bucket.supply > 0 => Some(WARN),
            _ => None,
        };
        #[allow(clippy::cast_precision_loss)] // a percentage for people
        let share = if bucket.supply > 0 { percent(taken as f64 / bucket.supply as f64) } else { String::new() };
        let zero_is_silent = |n: i64| if n == 0 { String::new() } else { grouped(n) };
        table.row(
            vec![
                bucket.resource.clone(),
                period,
                grouped(bucket.supply),
                zero_is_silent(bucket.held),
                zero_is_silent(bucket.confirmed),
                zero_is_silent(bucket.allocated),
                grouped(bucket.available),
                share,
            ],
            style,
        );
    }
    format!("{}{}\n", table.text(""), times.footer())
}
