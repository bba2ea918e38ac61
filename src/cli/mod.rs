//! The command line: reads words and files, calls a server or starts one, and shows what came of it.
//!
//! A command is three parts that know nothing of each other: its options are checked into a request (all faults at once,
//! before anything is sent), the request is sent ([`client`]), and the answer is turned into text by pure functions
//! ([`render`]). Only [`console`] writes. No rule of promising lives here.

pub mod adjust;
mod ask;
pub mod audit;
pub mod check;
pub mod client;
pub mod console;
pub mod demo;
pub mod events;
pub mod exit;
pub mod forms;
pub mod fulfil;
pub mod history;
pub mod input;
pub mod load;
pub mod marketing;
pub mod moving;
pub mod network;
pub mod offer;
pub mod operations;
pub mod plan_changes;
pub mod quote;
pub mod redis;
pub mod render;
pub mod replay;
pub mod reservation;
pub mod serve;
pub mod steward;
pub mod store;
pub mod supply;
pub mod values;

#[cfg(test)]
mod fake_tests;
#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod season_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod steward_tests;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::console::Console;
use self::exit::{Exit, Failure};
use crate::clock::{Clock, SystemClock};

/// Can we promise X by date Y? Answers over gRPC, and reserves the capacity as it answers.
#[derive(Debug, Parser)]
#[command(
    name = "surety",
    version,
    max_term_width = 110,
    after_help = "Every option can be given by the environment variable shown with it; the command line comes first.\n\
                  Exit codes: 0 done; 1 the answer is no, or the server or store refused;\n\
                  2 the command line or a file is wrong; 69 the server or store can't be reached."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service
    Serve(serve::ServeArgs),
    /// Serve the shop example and play a short story with it in the terminal
    Demo(demo::DemoArgs),
    /// Replace the network by a document: YAML or JSON, the proto-JSON form of Network
    Apply(network::ApplyArgs),
    /// Load the plan: CSV with the columns resource, start and units
    Supply(supply::SupplyArgs),
    /// Ask: can we promise these lines by this date? With --hold, take the capacity with the answer
    Quote(quote::QuoteArgs),
    /// List the dates that a date picker may offer
    Dates(quote::DatesArgs),
    /// Show the answer to a question now, and again each time it changes
    Watch(quote::WatchArgs),
    /// The order was placed: the reservation no longer expires
    Confirm(reservation::ConfirmArgs),
    /// The cart was abandoned or the order cancelled: give all capacity back
    Release(reservation::ReleaseArgs),
    /// Give a held reservation more time
    Extend(reservation::ExtendArgs),
    /// Show a reservation, what it takes, and its history
    Show(reservation::ShowArgs),
    /// List reservations
    Reservations(reservation::ReservationsArgs),
    /// Show what there is of resources, and what is left of it
    Buckets(supply::BucketsArgs),
    /// Set part of a resource aside for a channel, or bound what the channel may draw
    Allocate(operations::AllocateArgs),
    /// Something happened: a machine broke, a shift was added. Says which promises that puts at risk
    Adjust(adjust::AdjustArgs),
    /// Give reservations at risk new dates that can be kept
    Repromise(operations::RepromiseArgs),
    /// Fix a reservation's date: it is never moved unless asked for
    Fix(operations::FixArgs),
    /// Report what was shipped and delivered: CSV, or one reservation
    Fulfil(fulfil::FulfilArgs),
    /// Follow everything that happens
    Events(events::EventsArgs),
    /// Check, approve, close, show and list marketing's offers
    Offer(offer::OfferArgs),
    /// What could be offered? Products whose capacity would go unused
    Suggest(marketing::SuggestArgs),
    /// The figures that marketing and operations share
    Scorecard(marketing::ScorecardArgs),
    /// Check the options and files that `serve` would use, and say what they come to
    CheckConfig(check::CheckConfigArgs),
    /// Play an orders file in virtual time, without a server, and report what could be promised
    Replay(replay::ReplayArgs),
    /// Drive servers, measure them beside an echo, and look whether they promised too much
    Load(load::LoadArgs),
    /// Answer bytes to bytes: what `load --baseline echo` compares with
    #[command(hide = true)]
    LoadEcho(load::EchoArgs),
    /// Work every balance of a store out anew, say what differs and what mends it. With --repair, mend it
    Audit(audit::AuditArgs),
    /// Write a network with its plan, reservations and history to a file
    Export(moving::ExportArgs),
    /// Load what `export` wrote into an empty network of a store
    Import(moving::ImportArgs),
}

/// The whole program: reads the process's arguments and environment, writes to its output, returns its exit code.
pub fn main() -> ExitCode {
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with code 0. Nobody is left to tell if printing fails.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Wrong.code() } else { Exit::Done.code() });
        }
    };
    let clock = SystemClock::new();
    let mut out = anstream::stdout();
    let mut err = anstream::stderr();
    let mut console = Console::new(&mut out, &mut err, &clock);
    ExitCode::from(execute(cli, &mut console).code())
}

/// The command line's grammar. Help texts name the environment variables but not what they hold, which may be secret.
pub fn command() -> clap::Command {
    fn without_values(command: clap::Command) -> clap::Command {
        command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(without_values)
    }
    Cli::command().mut_subcommands(without_values)
}

/// Reads a command line; what stands on it comes before what the environment says.
///
/// # Errors
/// What clap found wrong, or a call for help.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let Some((_, matches)) = matches.subcommand() {
        cli.command.prefer_command_line(matches);
    }
    Ok(cli)
}

impl Command {
    fn prefer_command_line(&mut self, matches: &ArgMatches) {
        match self {
            Command::Quote(args) => {
                args.ask.prefer_command_line(matches);
                args.when.prefer_command_line(matches);
            }
            Command::Watch(args) => {
                args.ask.prefer_command_line(matches);
                args.when.prefer_command_line(matches);
            }
            Command::Dates(args) => args.ask.prefer_command_line(matches),
            Command::Serve(_)
            | Command::Demo(_)
            | Command::Apply(_)
            | Command::Supply(_)
            | Command::Confirm(_)
            | Command::Release(_)
            | Command::Extend(_)
            | Command::Show(_)
            | Command::Reservations(_)
            | Command::Buckets(_)
            | Command::Adjust(_)
            | Command::Allocate(_)
            | Command::Repromise(_)
            | Command::Fix(_)
            | Command::Fulfil(_)
            | Command::Events(_)
            | Command::Offer(_)
            | Command::Suggest(_)
            | Command::Scorecard(_)
            | Command::CheckConfig(_)
            | Command::Replay(_)
            | Command::Load(_)
            | Command::LoadEcho(_)
            | Command::Audit(_)
            | Command::Export(_)
            | Command::Import(_) => {}
        }
    }

    /// Whether faults are wanted as JSON.
    fn json(&self) -> bool {
        match self {
            Command::Serve(_) | Command::Demo(_) | Command::LoadEcho(_) => false,
            Command::Apply(args) => args.client.json,
            Command::Supply(args) => args.client.json,
            Command::Quote(args) => args.client.json,
            Command::Dates(args) => args.client.json,
            Command::Watch(args) => args.client.json,
            Command::Confirm(args) => args.client.json,
            Command::Release(args) => args.client.json,
            Command::Extend(args) => args.client.json,
            Command::Show(args) => args.client.json,
            Command::Reservations(args) => args.client.json,
            Command::Buckets(args) => args.client.json,
            Command::Adjust(args) => args.client.json,
            Command::Allocate(args) => args.client.json,
            Command::Repromise(args) => args.client.json,
            Command::Fix(args) => args.client.json,
            Command::Fulfil(args) => args.client.json,
            Command::Events(args) => args.follow || args.client.json,
            Command::Offer(args) => args.json(),
            Command::Suggest(args) => args.client.json,
            Command::Scorecard(args) => args.client.json,
            Command::CheckConfig(args) => args.json,
            Command::Replay(args) => args.json,
            Command::Load(args) => args.client.json,
            Command::Audit(args) => args.steward.json,
            Command::Export(args) => args.steward.json,
            Command::Import(args) => args.steward.json,
        }
    }
}

/// Carries out a command and tells what went wrong, if something did.
pub fn execute(cli: Cli, console: &mut Console<'_>) -> Exit {
    let json = cli.command.json();
    match run(cli.command, console) {
        Ok(exit) => exit,
        Err(failure) => {
            console.complain(&failure, json);
            failure.exit()
        }
    }
}

fn run(command: Command, console: &mut Console<'_>) -> Result<Exit, Failure> {
    match command {
        // These need no runtime, or make their own.
        Command::Serve(args) => return serve::run(&args, console),
        Command::Demo(args) => return demo::run(&args, console),
        Command::CheckConfig(args) => return check::run(&args, console),
        Command::Replay(args) => return replay::run(&args, console),
        Command::Load(args) => return load::run(&args, console),
        Command::LoadEcho(args) => return load::serve_echo(&args, console),
        _ => {}
    }
    // One call at a time: a single thread does.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::wrong("the program can't start", format!("no runtime: {error}")))?;
    runtime.block_on(call(command, console))
}

/// Carries out a command that calls a server or looks after a store.
pub(crate) async fn call(command: Command, console: &mut Console<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Apply(args) => network::apply(&args, console).await,
        Command::Supply(args) => supply::load(&args, console).await,
        Command::Quote(args) => quote::quote(&args, console).await,
        Command::Dates(args) => quote::dates(&args, console).await,
        Command::Watch(args) => quote::watch(&args, console).await,
        Command::Confirm(args) => reservation::confirm(&args, console).await,
        Command::Release(args) => reservation::release(&args, console).await,
        Command::Extend(args) => reservation::extend(&args, console).await,
        Command::Show(args) => reservation::show(&args, console).await,
        Command::Reservations(args) => reservation::list(&args, console).await,
        Command::Buckets(args) => supply::buckets(&args, console).await,
        Command::Adjust(args) => adjust::run(&args, console).await,
        Command::Allocate(args) => operations::allocate(&args, console).await,
        Command::Repromise(args) => operations::repromise(&args, console).await,
        Command::Fix(args) => operations::fix(&args, console).await,
        Command::Fulfil(args) => fulfil::fulfil(&args, console).await,
        Command::Events(args) => events::follow(&args, console).await,
        Command::Offer(args) => offer::run(&args, console).await,
        Command::Suggest(args) => marketing::suggest(&args, console).await,
        Command::Scorecard(args) => marketing::scorecard(&args, console).await,
        Command::Audit(args) => audit::run(&args, console).await,
        Command::Export(args) => moving::export(&args, console).await,
        Command::Import(args) => moving::import(&args, console).await,
        Command::Load(args) => load::load(&args, console).await,
        Command::Serve(_) | Command::Demo(_) | Command::CheckConfig(_) | Command::Replay(_) | Command::LoadEcho(_) => {
            unreachable!("run() carries these out")
        }
    }
}

/// The present instant of a clock, as the date library has it.
pub(crate) fn present(clock: &dyn Clock) -> jiff::Timestamp {
    clock.now().to_timestamp()
}
