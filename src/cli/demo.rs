//! `surety demo`: the shop example, served and shown in the terminal.

mod story;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use self::story::Story;
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::serve::{DEFAULT_LISTEN, announce, listen, listen_address, shutdown_signal};
use super::values;
use crate::clock::SystemClock;
use crate::domain::faults::Faults;
use crate::domain::time::Moment;
use crate::files;
use crate::server::{Config, History, Ready, Store};
use crate::telemetry::Telemetry;

/// The shop of `examples/shop`.
const NETWORK: &str = include_str!("../../examples/shop/network.yaml");
/// Its plan.
const PLAN: &str = include_str!("../../examples/shop/plan.csv");
/// The shop's plan lies around this day: a Tuesday, 09:00 in Leipzig.
const CLOCK: &str = "2026-12-01T08:00:00Z";
/// Time to read a scene.
const PAUSE: Duration = Duration::from_millis(2_500);

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

/// Serves the example, plays the story, and stays up for the reader's own questions.
///
/// # Errors
/// What kept it from being played.
pub fn run(args: &DemoArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let options = args.check()?;
    let cannot = |error: String| Failure::wrong("the demonstration can't start", error);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| cannot(format!("no runtime: {error}")))?;
    let begin = CLOCK.parse().map_err(|error| cannot(format!("{CLOCK}: {error}")))?;
    let clock = Arc::new(SystemClock::beginning_at(Moment::from_timestamp(begin)));

    let network = files::network::read("network.yaml", NETWORK.as_bytes()).map_err(|e| cannot(e.to_string()))?.0;
    let plan = files::plan::read("plan.csv", PLAN.as_bytes(), |_| Ok(None)).map_err(|e| cannot(e.to_string()))?;
    let config = Config {
        store: Store::Memory,
        history: History::default(),
        clock: Arc::clone(&clock) as Arc<_>,
        telemetry: Telemetry::off(),
        max_requests: 1_000,
        max_streams: 100,
        max_unary: Duration::from_secs(30),
        stale_reads: Duration::from_secs(30),
        notice: Duration::ZERO,
        drain: Duration::from_secs(1),
        network: Some(network),
        supply: plan.into_iter().map(|line| line.supply).collect(),
    };
    let listener = runtime.block_on(listen(options.listen))?;
    let address = listener.local_addr().map_err(|error| cannot(error.to_string()))?;
    announce(&listener, console)?;
    let ready = runtime.block_on(Ready::open(config)).map_err(|error| cannot(error.to_string()))?;
    let (told, stop) = tokio::sync::oneshot::channel::<()>();
    let serving = runtime.spawn(ready.serve(listener, async {
        tokio::select! {
            // The story's end, or its failure, which drops the sender.
            _ = stop => {}
            () = shutdown_signal() => {}
        }
    }));

    let server = format!("http://{address}");
    // Countdowns are shown by the clock of the story.
    let (mut out, mut err) = (anstream::stdout(), anstream::stderr());
    let mut stage = Console::new(&mut out, &mut err, &*clock);
    let pause = if options.fast || !std::io::stdout().is_terminal() { Duration::ZERO } else { PAUSE };
    Story { server: &server, runtime: &runtime, pause, clock: &clock }.tell(&mut stage)?;

    // Dropping the sender tells the service to stop; kept, it stays up until the reader stops it.
    let kept = (!options.once).then_some(told);
    if kept.is_some() {
        stage.print(&story::invitation(&server))?;
    }
    let ended = runtime.block_on(serving).map_err(|error| cannot(error.to_string()))?;
    drop(kept);
    ended.map_err(|error| cannot(error.to_string()))?;
    Ok(Exit::Done)
}
