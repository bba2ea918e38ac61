//! `surety supply` and `buckets`: the plan, in and out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::ask::date;
use super::client::{Caller, ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::forms::FormArgs;
use super::input::{PlanFile, Plants, Present};
use super::quote::days;
use super::values::from_proto;
use super::{input, plan_changes, render};
use crate::domain::faults::Faults;
use crate::domain::limits::{MAX_BUCKET_DAYS, MAX_SUPPLY_NUMBERS};
use crate::domain::time::Moment;
use crate::files::plan::PlanLine;
use crate::proto::v1;

/// Options of `surety supply`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct SupplyArgs {
    /// The plan: CSV with the columns resource, start and units, by these names or others; '-' is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub forms: FormArgs,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety buckets`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct BucketsArgs {
    /// Of this resource
    #[arg(long, env = "SURETY_RESOURCE", value_name = "RESOURCE")]
    pub resource: Option<String>,
    /// Of all resources of this site
    #[arg(long, env = "SURETY_SITE", value_name = "SITE")]
    pub site: Option<String>,
    /// The first day; today if not given
    #[arg(long, env = "SURETY_FROM", value_name = "DATE")]
    pub from: Option<String>,
    /// How many days: 1 to 400
    #[arg(long, env = "SURETY_DAYS", value_name = "N", default_value = "14")]
    pub days: String,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// The ErrorInfo metadata key by which the server says which message of the stream it refused, counted from 0.
const MESSAGE_KEY: &str = "message";

/// Loads a plan in messages of up to 10,000 numbers.
///
/// # Errors
/// Everything that is wrong with the file, as far as this side sees; else what the server found in one message, by line,
/// and how much was loaded before.
pub async fn load(args: &SupplyArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Unlimited, &mut faults);
    let forms = args.forms.check(&["resource", "start", "units"], &mut faults);
    let caller = checked(faults, caller)?;
    // Rows are held against the network and the clock that they are meant for, so that none is sent unless all are good.
    let plants = plants(&caller).await?;
    let against = match &plants {
        Some(plants) => Some((plants, present(&caller, plants, Moment::from_timestamp(console.now())).await?)),
        None => None,
    };
    let (file, faults) = input::exported_plan(&args.file, &forms, against)?;
    let skipped = args.forms.judge(file.name(), &faults)?;
    if args.forms.dry_run {
        return compared(&caller, &file, plants.as_ref(), &skipped, console).await;
    }
    let file = Arc::new(file);
    let messages = messages(&file.lines);
    let numbers = file.numbers();

    let mut client = caller.operations().await?;
    let began = Instant::now();
    let bar = progress(numbers, "numbers");
    let stream = {
        let (file, messages, bar) = (Arc::clone(&file), messages.clone(), bar.clone());
        // Each message is made when the transport has room for it.
        tokio_stream::iter(messages.into_iter().map(move |range| {
            let lines: Vec<_> = file.lines[range].iter().map(input::to_proto).collect();
            bar.inc(lines.iter().map(|line| line.units.len() as u64).sum());
            v1::SetSupplyRequest { lines }
        }))
    };
    let answer = client.set_supply(caller.request(stream)).await;
    bar.finish_and_clear();
    let answer = answer.map_err(|status| refused(caller.failure(&status), &file, &messages))?.into_inner();
    if caller.json {
        console.print_json(&answer)?;
    } else {
        let resources = file.lines.iter().map(|line| line.supply.resource.as_str());
        let resources = resources.collect::<std::collections::BTreeSet<_>>().len();
        console.print(&render::plan::loaded(&answer, numbers, resources, began.elapsed()))?;
    }
    Ok(left_out(&skipped, console))
}

/// Names the rows that were left out.
fn left_out(skipped: &[String], console: &mut Console<'_>) -> Exit {
    if skipped.is_empty() {
        return Exit::Done;
    }
    console.remark(render::plan::skipped(skipped).trim_end());
    Exit::No
}

/// What the server's network says of resources; nothing where there is no network yet.
async fn plants(caller: &Caller) -> Result<Option<Plants>, Failure> {
    let mut client = caller.operations().await?;
    match client.get_network(caller.request(v1::GetNetworkRequest {})).await {
        Ok(answer) => Ok(Some(Plants::of_network(&answer.into_inner().network.unwrap_or_default()))),
        Err(status) => match caller.failure(&status) {
            Failure::Refused(_) => Ok(None),
            other => Err(other),
        },
    }
}

/// When it is for the server: by this side's clock, unless that does not lie in what the server calls today.
async fn present(caller: &Caller, plants: &Plants, clock: Moment) -> Result<Present, Failure> {
    let mut client = caller.operations().await?;
    let mut todays = Vec::new();
    for resource in plants.clocks() {
        let request = v1::ListBucketsRequest { resource: resource.to_owned(), days: 1, ..Default::default() };
        let buckets = match client.list_buckets(caller.request(request)).await {
            Ok(answer) => answer.into_inner().buckets,
            Err(status) => match caller.failure(&status) {
                // The network may just have been replaced; the server judges in the end.
                Failure::Refused(_) => continue,
                other => return Err(other),
            },
        };
        let moment = |at: Option<&_>| at.map(|at| Moment::from_timestamp(from_proto(at)));
        let begin = buckets.iter().filter_map(|bucket| moment(bucket.from.as_ref())).min();
        let end = buckets.iter().filter_map(|bucket| moment(bucket.to.as_ref())).max();
        todays.extend(begin.zip(end));
    }
    Ok(Present::new(clock, &todays))
}

/// Says what a plan would change.
async fn compared(
    caller: &Caller,
    file: &PlanFile,
    plants: Option<&Plants>,
    skipped: &[String],
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let Some(plants) = plants else {
        return Err(Failure::Declined {
            message: "the server has no network yet, so that a plan changes nothing".to_owned(),
        });
    };
    let changes = plan_changes::compare(caller, file, plants).await?;
    if caller.json {
        console.print_json(&serde_json::json!({ "resources": changes, "skipped": skipped }))?;
    } else {
        console.print(&render::plan::changes(&changes))?;
    }
    Ok(left_out(skipped, console))
}

/// Cuts lines into messages of at most 10,000 numbers each. Without a network at hand, lines of a file
/// hold one number each.
fn messages(lines: &[PlanLine]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let (mut first, mut numbers) = (0, 0);
    for (i, line) in lines.iter().enumerate() {
        if numbers + line.supply.units.len() > MAX_SUPPLY_NUMBERS && i > first {
            ranges.push(first..i);
            (first, numbers) = (i, 0);
        }
        numbers += line.supply.units.len();
    }
    if first < lines.len() {
        ranges.push(first..lines.len());
    }
    ranges
}

/// Tells which lines of the file the server means, and how many were loaded before.
fn refused(failure: Failure, file: &PlanFile, messages: &[std::ops::Range<usize>]) -> Failure {
    let Failure::Refused(mut refusal) = failure else { return failure };
    let message = refusal.metadata.iter().find(|(key, _)| key == MESSAGE_KEY).and_then(|(_, value)| value.parse().ok());
    // With one message there is no doubt which one was refused.
    let message: Option<usize> = if messages.len() == 1 { Some(0) } else { message };
    let Some(range) = message.and_then(|i| messages.get(i)) else {
        refusal.done_before = Some("How much of the plan was loaded before is not known; load it again".to_owned());
        return Failure::Refused(refusal);
    };
    if let Some(before) = file.last_before(range.start) {
        refusal.done_before = Some(format!("Everything up to {before} was loaded; the rest was not"));
    } else {
        refusal.done_before = Some("Nothing was loaded".to_owned());
    }
    Failure::Refused(refusal).with_places(|paths| paths.iter().map(|path| file.place(range.start, path)).collect())
}

/// Shows how far something is, if somebody looks at stderr.
pub(super) fn progress(many: usize, what: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{human_pos}} of {{human_len}} {what}, {{per_sec}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template);
    ProgressBar::new(many as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Shows buckets.
///
/// # Errors
/// Whatever kept the answer away.
pub async fn buckets(args: &BucketsArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let from = args.from.as_deref().and_then(|from| date("--from", from, &mut faults)).unwrap_or_default();
    let days = days(&args.days, MAX_BUCKET_DAYS, &mut faults);
    match (&args.resource, &args.site) {
        (None, None) => faults.add("--resource", "is missing; name a --resource, or a --site for all that it has"),
        (Some(_), Some(_)) => faults.add("--resource", "is given with --site; give one of the two"),
        _ => {}
    }
    let request = v1::ListBucketsRequest {
        resource: args.resource.clone().unwrap_or_default(),
        site: args.site.clone().unwrap_or_default(),
        from,
        days,
    };
    let caller = checked(faults, caller)?;
    let mut client = caller.operations().await?;
    let answer = client.list_buckets(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |_| render::plan::buckets(&answer, &caller.times))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(numbers: usize) -> PlanLine {
        let text = "resource,start,units\nr,2026-12-01,1\n";
        let mut lines = crate::files::plan::read("plan.csv", text.as_bytes(), |_| Ok(None)).unwrap();
        lines[0].supply.units = vec![1; numbers];
        lines.remove(0)
    }

    #[test]
    fn messages_hold_at_most_ten_thousand_numbers() {
        assert!(messages(&[]).is_empty());
        assert_eq!(messages(&vec![line(1); 10_000]), vec![0..10_000]);
        assert_eq!(messages(&vec![line(1); 25_000]), vec![0..10_000, 10_000..20_000, 20_000..25_000]);
        assert_eq!(messages(&[line(6_000), line(4_000), line(1)]), vec![0..2, 2..3]);
        // What is too long for any message is left to the server to refuse.
        assert_eq!(messages(&[line(1), line(10_001), line(1)]), vec![0..1, 1..2, 2..3]);
    }
}
