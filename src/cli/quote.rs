//! `surety quote`, `dates` and `watch`: questions.

use clap::Args;
use tokio_stream::StreamExt;

use super::ask::{AskArgs, WhenArgs, date};
use super::client::{ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::{render, values};
use crate::domain::faults::Faults;
use crate::domain::limits::{MAX_DATE_DAYS, MAX_HOLD_SECONDS, MIN_HOLD_SECONDS};
use crate::proto::v1;

/// Options of `surety quote`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct QuoteArgs {
    #[command(flatten)]
    pub ask: AskArgs,
    #[command(flatten)]
    pub when: WhenArgs,
    #[command(flatten)]
    pub taking: TakingArgs,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What is to be taken with the answer.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Taking the capacity")]
pub struct TakingArgs {
    /// Take the capacity with the answer and keep it this long: 15m, 2h, 7d; nothing is taken if not given
    #[arg(long, env = "SURETY_HOLD", value_name = "DURATION")]
    pub hold: Option<String>,
    /// Hold the earliest promise also when it comes after the date asked for
    #[arg(long, env = "SURETY_ACCEPT_LATER", value_parser = values::flag)]
    pub accept_later: bool,
    /// The reservation's name, a UUID: the same request with the same name gets the same answer. Made and shown if not
    /// given
    #[arg(long, env = "SURETY_REQUEST_ID", value_name = "UUID")]
    pub request_id: Option<String>,
    /// Your own name for it: a cart or order number
    #[arg(long, env = "SURETY_REFERENCE", value_name = "TEXT")]
    pub reference: Option<String>,
}

/// Options of `surety dates`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct DatesArgs {
    #[command(flatten)]
    pub ask: AskArgs,
    /// The first day to look at; today if not given
    #[arg(long, env = "SURETY_FROM", value_name = "DATE")]
    pub from: Option<String>,
    /// How many days to look at: 1 to 92
    #[arg(long, env = "SURETY_DAYS", value_name = "N", default_value = "14")]
    pub days: String,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety watch`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct WatchArgs {
    #[command(flatten)]
    pub ask: AskArgs,
    #[command(flatten)]
    pub when: WhenArgs,
    /// End after this many answers; never if not given
    #[arg(long, env = "SURETY_COUNT", value_name = "N")]
    pub count: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// A length of a hold that the contract allows.
pub(super) fn hold(text: &str, faults: &mut Faults) -> Option<pbjson_types::Duration> {
    let shortest = u64::try_from(MIN_HOLD_SECONDS).unwrap_or(1);
    let longest = u64::try_from(MAX_HOLD_SECONDS).unwrap_or(u64::MAX);
    match values::duration(text) {
        Ok(hold) if (shortest..=longest).contains(&hold.as_secs()) => Some(hold.into()),
        Ok(_) => {
            faults.add("--hold", format!("'{text}' is no length of a hold; write 1s to 7d"));
            None
        }
        Err(fault) => {
            faults.add("--hold", fault);
            None
        }
    }
}

/// How many answers of a stream are wanted.
pub(super) fn count(text: Option<&str>, faults: &mut Faults) -> usize {
    let Some(text) = text else { return usize::MAX };
    match values::number(text, 1, u64::from(u32::MAX)) {
        Ok(count) => usize::try_from(count).unwrap_or(usize::MAX),
        Err(fault) => {
            faults.add("--count", fault);
            0
        }
    }
}

impl QuoteArgs {
    /// The request that these words mean, and how to send it; makes a request id if a hold needs one.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check(&self) -> Result<(v1::QuoteRequest, super::client::Caller), Failure> {
        let mut faults = Faults::new();
        let caller = self.client.check(Patience::Question, &mut faults);
        let times = self.client.times(&mut Faults::new());
        let when = self.when.check(&times, &mut faults);
        let ask = self.ask.check(when, &mut faults);
        let taking = &self.taking;
        let hold = taking.hold.as_deref().and_then(|text| hold(text, &mut faults));
        let request_id = match taking.request_id.as_deref() {
            Some(id) if uuid::Uuid::try_parse(id).is_err() => {
                let right = "6f1c2a9e-3b54-4c0e-9d1f-0a7c52d0e8b1";
                faults.add("--request-id", format!("'{id}' is not a UUID; write one like {right}, or leave it out"));
                String::new()
            }
            Some(id) => id.to_owned(),
            None if hold.is_some() => uuid::Uuid::new_v4().to_string(),
            None => String::new(),
        };
        let request = v1::QuoteRequest {
            request_id,
            ask: Some(ask),
            hold,
            accept_later: taking.accept_later,
            reference: taking.reference.clone().unwrap_or_default(),
        };
        checked(faults, caller.map(|caller| (request, caller)))
    }
}

/// Asks, and shows the answer.
///
/// # Errors
/// Whatever kept the answer away.
pub async fn quote(args: &QuoteArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (request, caller) = args.check()?;
    let sent_again = |failure: Failure| match &request.hold {
        Some(_) => failure.with_request_id(&request.request_id),
        None => failure,
    };
    let mut client = caller.promises().await?;
    let answer = client.quote(caller.request(request.clone())).await;
    let answer = answer.map_err(|status| sent_again(caller.failure(&status)))?.into_inner();
    console
        .answer(caller.json, &answer, |now| render::quote::answer(request.ask.as_ref(), &answer, &caller.times, now))?;
    Ok(exit(&answer, request.accept_later))
}

/// How the program ends on an answer: a later date is a no, unless it was to be accepted.
pub(super) fn exit(answer: &v1::QuoteResponse, accept_later: bool) -> Exit {
    match answer.verdict() {
        v1::Verdict::Promised => Exit::Done,
        v1::Verdict::Later if accept_later => Exit::Done,
        v1::Verdict::Later | v1::Verdict::Unavailable | v1::Verdict::Unspecified => Exit::No,
    }
}

/// Lists the dates of a date picker.
///
/// # Errors
/// Whatever kept the answer away.
pub async fn dates(args: &DatesArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let ask = args.ask.check(None, &mut faults);
    let from = args.from.as_deref().and_then(|from| date("--from", from, &mut faults)).unwrap_or_default();
    let days = days(&args.days, MAX_DATE_DAYS, &mut faults);
    let request = v1::ListPromiseDatesRequest { ask: Some(ask), from, days };
    let (request, caller) = checked(faults, caller.map(|caller| (request, caller)))?;

    let mut client = caller.promises().await?;
    let answer = client.list_promise_dates(caller.request(request.clone())).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console
        .answer(caller.json, &answer, |_| render::quote::dates(request.ask.as_ref(), &answer, days, &caller.times))?;
    Ok(if answer.dates.is_empty() { Exit::No } else { Exit::Done })
}

/// A number of days within the contract's bounds.
pub(super) fn days(text: &str, most: i32, faults: &mut Faults) -> i32 {
    match values::number(text, 1, u64::try_from(most).unwrap_or(1)) {
        Ok(days) => i32::try_from(days).unwrap_or(most),
        Err(fault) => {
            faults.add("--days", fault);
            1
        }
    }
}

/// Shows the answer each time it changes.
///
/// # Errors
/// Whatever kept the answers away.
pub async fn watch(args: &WatchArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Unlimited, &mut faults);
    let times = args.client.times(&mut Faults::new());
    let when = args.when.check(&times, &mut faults);
    let ask = args.ask.check(when, &mut faults);
    let count = count(args.count.as_deref(), &mut faults);
    let caller = checked(faults, caller)?;

    let mut client = caller.promises().await?;
    let request = caller.watch_request(v1::WatchQuoteRequest { ask: Some(ask.clone()) });
    let follow = async {
        let stream = client.watch_quote(request).await.map_err(|status| caller.failure(&status))?;
        let mut stream = stream.into_inner().take(count);
        let mut last = Exit::Done;
        while let Some(answer) = stream.next().await {
            let answer = answer.map_err(|status| caller.failure(&status))?;
            let quote = answer.quote.clone().unwrap_or_default();
            last = exit(&quote, false);
            if caller.json {
                console.print_json_line(&answer)?;
            } else {
                let at = caller.times.moment(&quote.as_of.unwrap_or_else(|| values::to_proto(console.now())));
                let text = render::quote::answer(Some(&ask), &quote, &caller.times, console.now());
                console.print(&render::watched(&at, &text))?;
            }
        }
        Ok(last)
    };
    // A watch that ended because its time was up has done what was asked.
    match caller.within_timeout(follow).await {
        Some(result) => result,
        None => Ok(Exit::Done),
    }
}
