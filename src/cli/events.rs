//! `surety events`: everything that happens, in order.

use std::time::Duration;

use clap::Args;
use tokio_stream::StreamExt;

use super::client::{Caller, ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::quote::count;
use super::{render, values};
use crate::domain::faults::Faults;
use crate::proto::v1;

/// How long to wait before a lost connection is tried again: at first, and at most. Servers that start anew take a second.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Options of `surety events`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct EventsArgs {
    /// Go on for good, for programs: one JSON object a line; a lost connection is taken up again where it broke off. Ends
    /// with SIGINT or SIGTERM
    #[arg(long, env = "SURETY_FOLLOW", value_parser = values::flag)]
    pub follow: bool,
    /// Go on after this event; from now on if not given, '0' from the oldest that is kept
    #[arg(long, visible_alias = "from", env = "SURETY_CURSOR", value_name = "CURSOR")]
    pub cursor: Option<String>,
    /// End after this many events; never if not given
    #[arg(long, env = "SURETY_COUNT", value_name = "N")]
    pub count: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Where the reader is.
struct Progress {
    cursor: String,
    left: usize,
    /// How long to wait before the next try.
    wait: Duration,
}

/// Follows the events.
///
/// # Errors
/// Whatever kept them away.
pub async fn follow(args: &EventsArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Unlimited, &mut faults);
    let count = count(args.count.as_deref(), &mut faults);
    let caller = checked(faults, caller)?;
    let json = args.follow || caller.json;
    let mut at = Progress { cursor: args.cursor.clone().unwrap_or_default(), left: count, wait: FIRST_WAIT };
    let read = async {
        // An address at which there is nothing is a mistake; one at which there was something comes back.
        let mut seen = false;
        loop {
            let broken = match once(&caller, json, &mut at, &mut seen, console).await {
                Ok(()) if at.left == 0 || !args.follow => return Ok(Exit::Done),
                Ok(()) => "the server ended the stream".to_owned(),
                Err(Failure::Unreachable { message, .. }) if args.follow && seen => message,
                Err(Failure::Refused(refusal)) if args.follow && seen && refusal.retry_after.is_some() => {
                    refusal.message
                }
                Err(other) => return Err(other),
            };
            let from = if at.cursor.is_empty() {
                "; what happens meanwhile is not seen, as no event was before"
            } else {
                "; going on where it broke off"
            };
            console.remark(&format!("surety: {broken}{from}"));
            tokio::time::sleep(at.wait).await;
            at.wait = (at.wait * 2).min(LONGEST_WAIT);
        }
    };
    let read = caller.within_timeout(read);
    if !args.follow {
        // A watch that ended because its time was up has done what was asked.
        return read.await.unwrap_or(Ok(Exit::Done));
    }
    tokio::select! {
        read = read => read.unwrap_or(Ok(Exit::Done)),
        () = told_to_stop() => Ok(Exit::Done),
    }
}

/// Follows until the stream ends or breaks.
async fn once(
    caller: &Caller,
    json: bool,
    at: &mut Progress,
    seen: &mut bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut client = caller.operations().await?;
    let request = caller.watch_request(v1::WatchEventsRequest { cursor: at.cursor.clone() });
    let stream = client.watch_events(request).await.map_err(|status| caller.failure(&status))?;
    *seen = true;
    let mut stream = stream.into_inner();
    while at.left > 0
        && let Some(event) = stream.next().await
    {
        let event = event.map_err(|status| caller.failure(&status))?;
        if json {
            console.print_json_line(&event)?;
        } else {
            console.print(&render::reservation::event(&event, &caller.times))?;
        }
        // Only what was written was seen.
        at.cursor = event.cursor;
        at.left -= 1;
        at.wait = FIRST_WAIT;
    }
    Ok(())
}

/// SIGINT, or where there is such a thing SIGTERM. Without a way to hear of them the process ends as it would without us.
async fn told_to_stop() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}
