//! `surety replay`: an orders file played in virtual time through the same planner and ledger as the service's.

mod engine;
pub mod report;

use std::path::PathBuf;

use clap::Args;

use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::values;
use crate::domain::faults::Faults;

/// Options of `surety replay`, as they were written.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// The network: YAML or JSON
    #[arg(long, env = "SURETY_NETWORK", value_name = "FILE")]
    pub network: PathBuf,
    /// The plan: CSV with the columns resource,start,units; only what the network plans by the week if not given
    #[arg(long, env = "SURETY_SUPPLY", value_name = "FILE")]
    pub supply: Option<PathBuf>,
    /// The orders: CSV with the columns time,reference,sku,quantity,zone,by. Times without an offset are those of the zone
    #[arg(long, env = "SURETY_ORDERS", value_name = "FILE")]
    pub orders: PathBuf,
    /// Refuse orders that can't be promised by their date, in place of giving them a later one
    #[arg(long, env = "SURETY_REFUSE_LATER", value_parser = values::flag)]
    pub refuse_later: bool,
    /// Send each line of an order as early as it can; one date for all lines if not given
    #[arg(long, env = "SURETY_SPLIT", value_parser = values::flag)]
    pub split: bool,
    /// The level of service of the orders that name none; any if not given
    #[arg(long, env = "SURETY_SERVICE", value_name = "SERVICE")]
    pub service: Option<String>,
    /// The channel of the orders that name none
    #[arg(long, env = "SURETY_CHANNEL", value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Begin the clock at this instant, so that orders before it are passed over; at the first order if not given
    #[arg(long, env = "SURETY_CLOCK", value_name = "RFC3339")]
    pub clock: Option<String>,
    /// Play this many orders at most
    #[arg(long, env = "SURETY_LIMIT", value_name = "N")]
    pub limit: Option<String>,
    /// How many of the busiest resources to show
    #[arg(long, env = "SURETY_TOP", value_name = "N", default_value = "10")]
    pub top: String,
    /// Print the report as JSON
    #[arg(long, env = "SURETY_JSON", value_parser = values::flag)]
    pub json: bool,
}

/// What is to be played, checked.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The network's file.
    pub network_file: PathBuf,
    /// The plan's file.
    pub supply_file: Option<PathBuf>,
    /// The orders' file.
    pub orders_file: PathBuf,
    /// Whether an order that can't be promised by its date takes the earliest one.
    pub accept_later: bool,
    /// Whether lines are sent on their own.
    pub split: bool,
    /// The level of service of orders that name none; empty: any.
    pub service: String,
    /// The channel of orders that name none; empty: common capacity only.
    pub channel: String,
    /// Where the clock begins.
    pub clock: Option<jiff::Timestamp>,
    /// Orders at most.
    pub limit: Option<u64>,
    /// How many busiest resources to report.
    pub top: usize,
}

impl ReplayArgs {
    /// Checks the words, not the files.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check(&self) -> Result<ReplayOptions, Failure> {
        let mut faults = Faults::new();
        let clock = self.clock.as_deref().filter(|text| !text.is_empty());
        let clock = clock.and_then(|text| values::rfc3339(text).map_err(|fault| faults.add("--clock", fault)).ok());
        let limit = self
            .limit
            .as_deref()
            .and_then(|text| values::number(text, 1, 1_000_000_000).map_err(|fault| faults.add("--limit", fault)).ok());
        let top = values::number(&self.top, 0, 1_000).map_err(|fault| faults.add("--top", fault)).ok();
        let options = top.map(|top| ReplayOptions {
            network_file: self.network.clone(),
            supply_file: self.supply.clone(),
            orders_file: self.orders.clone(),
            accept_later: !self.refuse_later,
            split: self.split,
            service: self.service.clone().unwrap_or_default(),
            channel: self.channel.clone().unwrap_or_default(),
            clock,
            limit,
            top: usize::try_from(top).unwrap_or(usize::MAX),
        });
        checked(faults, options)
    }
}

/// Plays the orders and shows the report.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn run(args: &ReplayArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let options = args.check()?;
    let report = engine::play(&options)?;
    if args.json {
        console.print_json(&report.json())?;
    } else {
        console.print(&report.text())?;
    }
    // A bucket below zero would be a broken promise of the program itself.
    Ok(if report.overdrawn.is_empty() { Exit::Done } else { Exit::No })
}
