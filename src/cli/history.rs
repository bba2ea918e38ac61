//! How long is remembered what is over: options of the service.

use std::time::Duration;

use clap::Args;

use super::store::StoreChoice;
use super::values;
use crate::domain::faults::Faults;
use crate::server::History;

/// Options of history.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "History")]
pub struct HistoryArgs {
    /// How many entries of the event feed to keep of each network; 1000000 in an embedded store, 200000 in Redis, 100000 in
    /// memory, if not given
    #[arg(long, env = "SURETY_KEEP_EVENTS", value_name = "N")]
    pub keep_events: Option<String>,
    /// How old events get in an embedded store; 7d if not given
    #[arg(long, env = "SURETY_KEEP_EVENTS_FOR", value_name = "DURATION")]
    pub keep_events_for: Option<String>,
    /// Memory of ended reservations.
    #[command(flatten)]
    pub remember: RememberArgs,
}

/// The option that commands on a store have too: who opens a Redis store gives back what is due there, and stamps it.
#[derive(Clone, Debug, Default, Args)]
pub struct RememberArgs {
    /// How long to remember reservations that ended, and request ids with them; 31d if not given, and less is for tests, as
    /// callers may repeat a request for 30 days
    #[arg(long, env = "SURETY_REMEMBER_FOR", value_name = "DURATION")]
    pub remember_for: Option<String>,
}

impl HistoryArgs {
    /// Checks the options; all faults are noted.
    pub fn check(&self, store: Option<&StoreChoice>, faults: &mut Faults) -> History {
        let events = given(&self.keep_events).and_then(|text| {
            let number = values::number(text, 1, 1_000_000_000);
            number.map_err(|fault| faults.add("--keep-events", fault)).ok()
        });
        let events_for = length("--keep-events-for", &self.keep_events_for, faults);
        if let Some(StoreChoice::Redis(_)) = store
            && events_for.is_some()
        {
            faults.add(
                "--keep-events-for",
                "is not for Redis stores, which count events; write --keep-events".to_owned(),
            );
        }
        History { events, events_for, ended_for: self.remember.check(faults) }
    }
}

impl RememberArgs {
    /// Checks the option; its fault is noted.
    pub fn check(&self, faults: &mut Faults) -> Option<Duration> {
        length("--remember-for", &self.remember_for, faults)
    }
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn length(name: &str, text: &Option<String>, faults: &mut Faults) -> Option<Duration> {
    match values::duration(given(text)?) {
        Ok(length) if length < Duration::from_secs(1) => {
            faults.add(name, "is less than a second; write 31d".to_owned());
            None
        }
        Ok(length) => Some(length),
        Err(fault) => {
            faults.add(name, fault);
            None
        }
    }
}
