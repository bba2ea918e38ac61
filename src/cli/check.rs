//! `surety check-config`: the checks that `surety serve` makes before it starts, and what they come to.

use clap::Args;
use serde_json::json;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::serve::{Prepared, ServeArgs};
use super::{render, values};
use crate::domain::time::Moment;

/// Options of `surety check-config`: those of `serve`.
#[derive(Clone, Debug, Args)]
pub struct CheckConfigArgs {
    /// What `serve` would be started with.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Print what would be used as JSON
    #[arg(long, env = "SURETY_JSON", value_parser = values::flag)]
    pub json: bool,
}

/// Checks, and shows what would be used.
///
/// # Errors
/// Everything that is wrong.
pub fn run(args: &CheckConfigArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let prepared = args.serve.prepare(Moment::from_timestamp(console.now()), |name| std::env::var(name).ok())?;
    let facts = facts(&prepared);
    if args.json {
        let object: serde_json::Map<_, _> =
            facts.into_iter().map(|(name, fact)| (name.to_owned(), json!(fact))).collect();
        console.print_json(&object)?;
    } else {
        console.print(&render::checked(&facts))?;
    }
    Ok(Exit::Done)
}

/// What would be used, by the names of the options. Shows no password.
fn facts(prepared: &Prepared) -> Vec<(&'static str, String)> {
    let options = &prepared.options;
    let seconds = |length: std::time::Duration| match length.as_secs() {
        0 => format!("{} ms", length.as_millis()),
        seconds => render::times::length(seconds),
    };
    let none = |what: &str| what.to_owned();
    let network =
        prepared.network.as_ref().map(|file| format!("{} ({})", file.name(), render::plan::sizes(&file.network)));
    let supply = prepared
        .supply
        .as_ref()
        .map(|file| format!("{} ({})", file.name(), render::counted(file.numbers() as u64, "number", "numbers")));
    vec![
        ("listen", options.listen.to_string()),
        ("store", options.store.to_string()),
        ("keep-events", options.history.events.map_or_else(|| none("as many as the store does"), |n| n.to_string())),
        ("keep-events-for", options.history.events_for.map_or_else(|| none("as long as the store does"), seconds)),
        ("remember-for", options.history.ended_for.map_or_else(|| none("31 days"), seconds)),
        ("network", network.unwrap_or_else(|| none("none at the start"))),
        ("supply", supply.unwrap_or_else(|| none("none at the start"))),
        ("clock", options.clock.map_or_else(|| none("the system's"), |at| format!("begins at {at}"))),
        ("threads", options.threads.map_or_else(|| none("one a core"), |n| n.to_string())),
        ("stale-reads", seconds(options.stale_reads)),
        ("max-in-flight", options.max_in_flight.to_string()),
        ("max-streams", options.max_streams.to_string()),
        ("drain-timeout", seconds(options.drain_timeout)),
        ("stop notice", seconds(options.stop_notice)),
        ("log-format", none(if options.log_json { "json" } else { "text" })),
        ("log-filter", options.log_filter.clone()),
        ("otlp-endpoint", options.otlp_endpoint.as_deref().map_or_else(|| none("none"), super::store::without_secrets)),
        ("trace-sample-ratio", options.trace_sample_ratio.to_string()),
        ("metric-interval", seconds(options.metric_interval)),
    ]
}
