//! `surety events`: everything that happens, in order.

use clap::Args;
use tokio_stream::StreamExt;

use super::client::{ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::quote::count;
use super::render;
use crate::domain::faults::Faults;
use crate::proto::v1;

/// Options of `surety events`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct EventsArgs {
    /// Go on after this event; from now on if not given, '0' from the oldest that is kept
    #[arg(long, env = "SURETY_CURSOR", value_name = "CURSOR")]
    pub cursor: Option<String>,
    /// End after this many events; never if not given
    #[arg(long, env = "SURETY_COUNT", value_name = "N")]
    pub count: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
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

    let mut client = caller.operations().await?;
    let request = v1::WatchEventsRequest { cursor: args.cursor.clone().unwrap_or_default() };
    let request = caller.watch_request(request);
    let follow = async {
        let stream = client.watch_events(request).await.map_err(|status| caller.failure(&status))?;
        let mut stream = stream.into_inner().take(count);
        while let Some(event) = stream.next().await {
            let event = event.map_err(|status| caller.failure(&status))?;
            if caller.json {
                console.print_json_line(&event)?;
            } else {
                console.print(&render::reservation::event(&event, &caller.times))?;
            }
        }
        Ok(Exit::Done)
    };
    // A watch that ended because its time was up has done what was asked.
    caller.within_timeout(follow).await.unwrap_or(Ok(Exit::Done))
}
