//! `surety demo`: the shop example, served and shown in the terminal.

use std::net::SocketAddr;

use clap::Args;

use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::serve::{DEFAULT_LISTEN, listen_address};
use super::values;
use crate::domain::faults::Faults;

/// Options of `surety demo`, as they were written.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Where to listen; port 0 takes a free port, which the first line of stdout tells
    #[arg(long, env = "SURETY_LISTEN", value_name = "HOST:PORT", default_value = DEFAULT_LISTEN)]
    pub listen: String,
    /// Tell the story without pauses
    #[arg(long, env = "SURETY_FAST", value_parser = values::flag)]
    pub fast: bool,
    /// End after the story; without it, the service stays up for your own questions
    #[arg(long, env = "SURETY_ONCE", value_parser = values::flag)]
    pub once: bool,
}

/// What the demonstration is to do, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whether to leave out the pauses.
    pub fast: bool,
    /// Whether to end after the story.
    pub once: bool,
}

impl DemoArgs {
    /// Checks the words.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check(&self) -> Result<DemoOptions, Failure> {
        let mut faults = Faults::new();
        let listen = listen_address(&self.listen).map_err(|fault| faults.add("--listen", fault)).ok();
        checked(faults, listen.map(|listen| DemoOptions { listen, fast: self.fast, once: self.once }))
    }
}

/// Plays the story.
///
/// # Errors
/// What kept it from being played.
pub fn run(args: &DemoArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let options = args.check()?;
    start(&options, console)
}

/// Serves the example and plays the story.
///
/// # Errors
/// What kept it from being played.
pub fn start(options: &DemoOptions, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let _ = (options, console);
    Err(Failure::wrong("the demonstration can't start", "it is not wired to the command line"))
}
