//! `surety fulfil`: what became of promises, one by one or from an export of the ERP or the carrier.

use std::path::Path;

use clap::Args;
use tokio_stream::StreamExt;
use tonic::Code;

use super::client::{Caller, ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::forms::FormArgs;
use super::{input, render, supply, values};
use crate::domain::faults::Faults;
use crate::domain::limits::MAX_FULFILMENTS;
use crate::files::fulfilments::FulfilmentLine;
use crate::proto::v1;

/// Look-ups that are under way at once: enough to fill the time of a round trip, few enough for a busy server.
const LOOK_UPS: usize = 64;

/// Options of `surety fulfil`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct FulfilArgs {
    /// A file: CSV with the columns id, shipped and delivered; '-' is stdin. Or, with --shipped or --delivered, one
    /// reservation
    #[arg(value_name = "FILE|ID")]
    pub what: String,
    /// When it was sent: 2026-12-24T18:00:00+01:00, or 2026-12-24T18:00 in --time-zone
    #[arg(long, env = "SURETY_SHIPPED", value_name = "INSTANT")]
    pub shipped: Option<String>,
    /// When it arrived
    #[arg(long, env = "SURETY_DELIVERED", value_name = "INSTANT")]
    pub delivered: Option<String>,
    #[command(flatten)]
    pub forms: FormArgs,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What was found out about reservations before anything was reported, or said by the server when it was.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the server says, of all messages.
    pub answer: v1::ReportFulfilmentResponse,
    /// Rows that were left out, each with its place.
    pub left_out: Vec<String>,
    /// Rows of what has neither left nor arrived.
    pub open: u64,
}

/// Reports what became of promises. The answer is no where something could not be reported.
///
/// # Errors
/// Everything that is wrong with the file; unknown reservations too, unless they are to be skipped.
pub async fn fulfil(args: &FulfilArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Unlimited, &mut faults);
    let forms = args.forms.check(&["id", "shipped", "delivered"], &mut faults);
    let times = args.client.times(&mut Faults::new());
    let instant = |name: &str, text: &Option<String>, faults: &mut Faults| {
        let text = text.as_deref().filter(|text| !text.is_empty())?;
        values::instant(text, times.zone()).map_err(|fault| faults.add(name, fault)).ok()
    };
    let shipped = instant("--shipped", &args.shipped, &mut faults);
    let delivered = instant("--delivered", &args.delivered, &mut faults);
    let one = args.shipped.is_some() || args.delivered.is_some();
    if one && let Err(fault) = crate::domain::id::check(&args.what) {
        faults.add("ID", fault);
    }
    let caller = checked(faults, caller)?;

    let (name, lines, mut outcome) = if one {
        let line = FulfilmentLine { line: 0, id: args.what.clone(), shipped, delivered };
        (String::new(), vec![line], Outcome::default())
    } else {
        let path = Path::new(&args.what);
        let (name, read) = input::fulfilments(path, &forms, times.zone(), console.now())?;
        let left_out = args.forms.judge(&name, &read.faults)?;
        (name, read.lines, Outcome { left_out, open: read.open, ..Outcome::default() })
    };
    let place = |line: &FulfilmentLine| if name.is_empty() { String::new() } else { format!("{name}:{}: ", line.line) };
    // Of a single one the server's answer says it all.
    let look_first = args.forms.dry_run || !(one || args.forms.skip_bad);
    if look_first {
        let wrong = look_up(&caller, &lines).await?;
        let bad_rows: std::collections::HashSet<usize> = wrong.iter().map(|(i, _)| *i).collect();
        let wrong: Vec<String> = wrong.into_iter().map(|(i, why)| format!("{}{why}", place(&lines[i]))).collect();
        if args.forms.dry_run {
            let bad = outcome.left_out.len() + wrong.len();
            outcome.left_out.extend(wrong);
            let good = lines.into_iter().enumerate().filter(|(i, _)| !bad_rows.contains(i));
            let lines: Vec<_> = good.map(|(_, line)| line).collect();
            let text = render::fulfilment::would(&lines, &outcome);
            if caller.json {
                console.print_json(&render::fulfilment::would_json(&lines, &outcome))?;
            } else {
                console.print(&text)?;
            }
            return Ok(if bad > 0 { Exit::No } else { Exit::Done });
        }
        if !wrong.is_empty() {
            let what = format!("{name} names what can't be reported, and none of it was");
            return Err(Failure::Wrong { what, faults: wrong });
        }
    }
    report(&caller, &lines, &mut outcome, &place).await?;
    if caller.json {
        console.print_json(&outcome.answer)?;
        outcome.left_out.iter().for_each(|row| console.remark(row));
    } else {
        console.print(&render::fulfilment::reported(&outcome))?;
    }
    let bad = !outcome.left_out.is_empty();
    Ok(if bad { Exit::No } else { Exit::Done })
}

/// Which rows name a reservation that is unknown, or whose state forbids the report: asked for each, as a report would be
/// applied one by one.
async fn look_up(caller: &Caller, lines: &[FulfilmentLine]) -> Result<Vec<(usize, String)>, Failure> {
    let client = caller.promises().await?;
    let bar = supply::progress(lines.len(), "reservations");
    let mut wrong = Vec::new();
    for (chunk, first) in lines.chunks(LOOK_UPS).zip((0..).step_by(LOOK_UPS)) {
        let mut asked = tokio::task::JoinSet::new();
        for (i, line) in chunk.iter().enumerate() {
            let (mut client, request) =
                (client.clone(), caller.request(v1::GetReservationRequest { id: line.id.clone() }));
            asked.spawn(async move { (first + i, client.get_reservation(request).await) });
        }
        while let Some(answered) = asked.join_next().await {
            let (i, answer) = answered.map_err(|why| Failure::wrong("a look-up failed", why.to_string()))?;
            bar.inc(1);
            match answer {
                Ok(found) => {
                    let reservation = found.into_inner().reservation.unwrap_or_default();
                    if let Some(why) = render::fulfilment::forbidden(&reservation) {
                        wrong.push((i, why));
                    }
                }
                Err(status) if status.code() == Code::NotFound => {
                    wrong.push((i, format!("there is no reservation '{}'", lines[i].id)));
                }
                Err(status) => return Err(caller.failure(&status)),
            }
        }
    }
    bar.finish_and_clear();
    wrong.sort();
    Ok(wrong)
}

/// Reports in messages of as many as the server takes.
async fn report(
    caller: &Caller,
    lines: &[FulfilmentLine],
    outcome: &mut Outcome,
    place: &impl Fn(&FulfilmentLine) -> String,
) -> Result<(), Failure> {
    let mut client = caller.operations().await?;
    let bar = supply::progress(lines.len(), "fulfilments");
    let mut messages = tokio_stream::iter(lines.chunks(MAX_FULFILMENTS));
    while let Some(chunk) = messages.next().await {
        let fulfilments = chunk.iter().map(|line| v1::Fulfilment {
            id: line.id.clone(),
            shipped_at: line.shipped.map(values::to_proto),
            delivered_at: line.delivered.map(values::to_proto),
        });
        let request = v1::ReportFulfilmentRequest { fulfilments: fulfilments.collect() };
        let answer = client.report_fulfilment(caller.request(request)).await;
        let places = |paths: &[&str]| {
            let index = |path: &str| path.strip_prefix("fulfilments[")?.split(']').next()?.parse::<usize>().ok();
            let place = |path: &&str| Some(place(chunk.get(index(path)?)?).trim_end_matches(": ").to_owned());
            paths.iter().map(|path| place(path).filter(|place| !place.is_empty())).collect()
        };
        let done = outcome.answer.shipped + outcome.answer.fulfilled > 0;
        let answer = answer.map_err(|status| {
            let failure = caller.failure(&status).with_places(places);
            match failure {
                Failure::Refused(mut refusal) if done => {
                    refusal.done_before =
                        Some("What stands before was reported; report it all again when it is mended".to_owned());
                    Failure::Refused(refusal)
                }
                other => other,
            }
        })?;
        let answer = answer.into_inner();
        bar.inc(chunk.len() as u64);
        let at = |id: &str| chunk.iter().find(|line| line.id == id).map(place).unwrap_or_default();
        for id in &answer.unknown_ids {
            outcome.left_out.push(format!("{}there is no reservation '{id}'", at(id)));
        }
        for refused in &answer.refused {
            let why = if refused.reason.is_empty() { "its state forbids it" } else { &refused.reason };
            outcome.left_out.push(format!("{}{}: {why}", at(&refused.id), refused.id));
        }
        outcome.answer.shipped += answer.shipped;
        outcome.answer.fulfilled += answer.fulfilled;
        outcome.answer.unknown_ids.extend(answer.unknown_ids);
        outcome.answer.refused.extend(answer.refused);
    }
    bar.finish_and_clear();
    Ok(())
}
