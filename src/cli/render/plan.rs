//! The network and the plan: what was loaded, and what there is.

use std::fmt::Write;
use std::time::Duration;

use super::times::Times;
use super::{BAD, FAINT, GOOD, Table, WARN, counted, counted_of, grouped, paint, percent};
use crate::cli::plan_changes::ResourceChanges;
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

/// Rows that were left out of a load.
pub fn skipped(rows: &[String]) -> String {
    let many = counted(rows.len() as u64, "row was", "rows were");
    let mut text = format!("{} {many} left out:\n", paint(WARN, "Not all of it:"));
    for row in rows {
        let _ = writeln!(text, "  {row}");
    }
    text
}

/// Buckets that are shown of what would change; --json has them all.
const SHOWN_CHANGES: usize = 50;

/// What a plan would change: by resource, then bucket by bucket.
pub fn changes(changes: &[ResourceChanges]) -> String {
    let changed: Vec<_> =
        changes.iter().flat_map(|all| all.changed.iter().map(|one| (all.resource.as_str(), one))).collect();
    let buckets: u64 = changes.iter().map(|all| all.buckets).sum();
    let of = format!(
        "{} of {}",
        counted(buckets, "bucket", "buckets"),
        counted(changes.len() as u64, "resource", "resources")
    );
    if changed.is_empty() {
        return format!(
            "{} the server has the same supply for all {of}. Nothing was changed.\n",
            paint(GOOD, "No changes:")
        );
    }
    let mut sums = Table::new(&["RESOURCE", ">IN THE PLAN", ">CHANGE", ">UNITS MORE", ">UNITS LESS", ">NOT COVERED"]);
    let silent = |n: i64| if n == 0 { String::new() } else { grouped(n) };
    for all in changes.iter().filter(|all| !all.changed.is_empty()) {
        let more: i64 = all.changed.iter().map(|one| (one.to - one.from).max(0)).sum();
        let less: i64 = all.changed.iter().map(|one| (one.from - one.to).max(0)).sum();
        let uncovered: i64 = all.changed.iter().map(|one| one.uncovered).sum();
        sums.row(
            vec![
                all.resource.clone(),
                grouped(i64::try_from(all.buckets).unwrap_or(i64::MAX)),
                grouped(all.changed.len() as i64),
                silent(more),
                silent(less),
                silent(uncovered),
            ],
            (uncovered > 0).then_some(BAD),
        );
    }
    let mut each = Table::new(&["RESOURCE", "FROM", ">IS", ">WOULD BE", ">CHANGE", ""]);
    for (resource, one) in changed.iter().take(SHOWN_CHANGES) {
        let change = one.to - one.from;
        let sign = if change > 0 { "+" } else { "" };
        let remark = match one.uncovered {
            0 => String::new(),
            n => format!("{} short of what is promised or set aside", grouped(n)),
        };
        let cells = vec![
            (*resource).to_owned(),
            one.start.clone(),
            grouped(one.from),
            grouped(one.to),
            format!("{sign}{}", grouped(change)),
            remark,
        ];
        each.row(cells, (one.uncovered > 0).then_some(BAD));
    }
    let would = paint(WARN, &format!("{} would change", counted(changed.len() as u64, "bucket", "buckets")));
    let mut text = format!("{would}, of {of} in the plan:\n{}{}", sums.text("  "), each.text("  "));
    if changed.len() > SHOWN_CHANGES {
        let more = format!("  and {} more; --json has them all", grouped((changed.len() - SHOWN_CHANGES) as i64));
        let _ = writeln!(text, "{}", paint(FAINT, &more));
    }
    text.push_str("Nothing was changed.\n");
    text
}

/// What is set aside and for whom, and what channels drew.
pub(super) fn shares(buckets: &[v1::Bucket], times: &Times) -> String {
    let mut pools = Table::new(&["RESOURCE", "WHEN", "FOR", ">SET ASIDE", ">LEFT", "GOES BACK"]);
    let mut channels = Table::new(&["RESOURCE", "WHEN", "CHANNEL", ">DRAWN", ">AT MOST"]);
    for bucket in buckets {
        let when = period(bucket, times);
        // Pools that gave everything back say nothing.
        for pool in bucket.pools.iter().filter(|pool| pool.units != 0 || pool.left != 0) {
            let back = pool.release_at.as_ref().map_or_else(String::new, |at| times.moment(at));
            let cells = vec![
                bucket.resource.clone(),
                when.clone(),
                pool.pool.clone(),
                grouped(pool.units),
                grouped(pool.left),
                back,
            ];
            pools.row(cells, None);
        }
        for channel in &bucket.channels {
            let most = channel.max_units.map_or_else(String::new, grouped);
            let full = channel.max_units.is_some_and(|most| channel.drawn >= most);
            let cells =
                vec![bucket.resource.clone(), when.clone(), channel.channel.clone(), grouped(channel.drawn), most];
            channels.row(cells, full.then_some(WARN));
        }
    }
    let mut text = String::new();
    if !pools.is_empty() {
        let _ = write!(text, "Set aside:\n{}", pools.text("  "));
    }
    if !channels.is_empty() {
        let _ = write!(text, "Drawn by channels, set aside or not:\n{}", channels.text("  "));
    }
    text
}

fn period(bucket: &v1::Bucket, times: &Times) -> String {
    match (&bucket.from, &bucket.to) {
        (Some(from), Some(to)) => times.period(from, to),
        (Some(from), None) => format!("from {}", times.moment(from)),
        _ => String::new(),
    }
}

/// The plan was changed.
pub fn adjusted(request: &v1::AdjustSupplyRequest, answer: &v1::AdjustSupplyResponse, times: &Times) -> String {
    let more = if request.delta < 0 { "less" } else { "more" };
    let units = i64::try_from(request.delta.unsigned_abs()).unwrap_or(i64::MAX);
    let each = if answer.buckets.len() > 1 { "each of " } else { "" };
    let reason = if request.reason.is_empty() { String::new() } else { format!(" ({})", request.reason) };
    let mut text = format!(
        "{} {} {more} of {} in {each}{}{reason}\n",
        paint(GOOD, "Done:"),
        counted_of(units, "unit", "units"),
        request.resource,
        counted(answer.buckets.len() as u64, "bucket", "buckets")
    );
    text.push_str(&buckets(&v1::ListBucketsResponse { buckets: answer.buckets.clone() }, times));
    let short: i64 = answer.buckets.iter().map(|bucket| bucket.available.min(0).saturating_neg()).sum();
    if short > 0 {
        let warning = format!("{} short of what is promised or set aside", counted_of(short, "unit", "units"));
        let _ = writeln!(text, "{}", paint(WARN, &warning));
    }
    if answer.reservations_at_risk > 0 {
        let at_risk =
            counted(u64::try_from(answer.reservations_at_risk).unwrap_or(0), "reservation is", "reservations are");
        let warning = format!("{at_risk} at risk by this; `surety repromise --dry-run` shows what can be done");
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
        let period = period(bucket, times);
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
    format!("{}{}{}\n", table.text(""), shares(&answer.buckets, times), times.footer())
}
