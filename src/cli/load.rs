//! `surety load`: drives servers, measures them beside an echo, and looks whether they promised too much.

mod echo;
mod progress;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use self::echo::EchoProcess;
use self::progress::Progress;
use super::client::{ClientArgs, Patience, endpoint};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::serve::shutdown_signal;
use super::{render, values};
use crate::domain::faults::Faults;
use crate::domain::limits::{MAX_BUCKET_DAYS, MAX_HOLD_SECONDS, MAX_LINES, MAX_UNITS, MIN_HOLD_SECONDS};
use crate::load::LoadError;
use crate::load::html::page;
use crate::load::machine::{Effort, Machine, spent};
use crate::load::mix::Mix;
use crate::load::plan::{Land, Pace, Plan};
use crate::load::report::{Checked, Report};
use crate::load::run::Run;
use crate::load::schedule::Arrivals;
use crate::load::skew::Skew;

pub use self::echo::{EchoArgs, serve as serve_echo};

/// The network that is made for runs.
const NETWORK: &str = "load";
/// How long a call may take when the user does not say: long enough that a server which stalls is seen to.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Callers of a closed loop when nothing is said: some 16 a connection.
const IN_FLIGHT: u64 = 64;
/// Calls a second that a search begins with: what any machine does.
const FIRST_RATE: f64 = 500.0;
/// Rounds when there is something to compare with: the least that have a middle one and a range.
const ROUNDS_BESIDE: u64 = 3;
/// Products of the network that is made, at most: the buckets of a day, three for each, must fit into one list of them.
const MAX_PRODUCTS: u64 = 50_000;

/// Options of `surety load`, as they were written.
#[derive(Clone, Debug, Default, Args)]
pub struct LoadArgs {
    /// A server to drive, http://HOST:PORT; can be given again for several servers of one store; --server if not given
    #[arg(long, env = "SURETY_TARGET", value_name = "URL", value_delimiter = ',')]
    pub target: Vec<String>,
    /// How many connections to each of them
    #[arg(long, env = "SURETY_CONNECTIONS", value_name = "N", default_value = "4")]
    pub connections: String,

    /// Open loop: so many calls a second are due, however slowly they are answered. Of --find-rate: the first rate to try
    #[arg(long, env = "SURETY_RATE", value_name = "N", help_heading = "Load")]
    pub rate: Option<String>,
    /// How calls of an open loop follow each other: even or poisson
    #[arg(long, env = "SURETY_ARRIVALS", value_name = "HOW", default_value = "even", help_heading = "Load")]
    pub arrivals: String,
    /// How many calls of an open loop may wait for answers; what is due beyond it is sent late
    #[arg(long, env = "SURETY_MAX_OUTSTANDING", value_name = "N", default_value = "4096", help_heading = "Load")]
    pub max_outstanding: String,
    /// Closed loop: so many callers, each of whom calls again when answered; 64 if neither this nor --rate is given
    #[arg(long, env = "SURETY_IN_FLIGHT", value_name = "N", help_heading = "Load")]
    pub in_flight: Option<String>,
    /// How long a round is measured
    #[arg(long, env = "SURETY_DURATION", value_name = "DURATION", default_value = "10s", help_heading = "Load")]
    pub duration: String,
    /// How long to drive before it is measured
    #[arg(long, env = "SURETY_WARM_UP", value_name = "DURATION", default_value = "2s", help_heading = "Load")]
    pub warm_up: String,
    /// How many rounds; 1 if not given, 3 with --baseline
    #[arg(long, env = "SURETY_ROUNDS", value_name = "N", help_heading = "Load")]
    pub rounds: Option<String>,
    /// What to call, by weight: any of quote, hold, confirm, release, dates. Confirmations and releases are of holds of this run;
    /// where there is none, a hold is sent in their place
    #[arg(
        long,
        env = "SURETY_MIX",
        value_name = "KIND=WEIGHT,...",
        help_heading = "Load",
        default_value = "quote=80,hold=15,confirm=3,release=2"
    )]
    pub mix: String,
    /// Which products to ask for: uniform, zipf:S, or hot:SHARE for one that has this share of all asks
    #[arg(long, env = "SURETY_SKEW", value_name = "SKEW", default_value = "uniform", help_heading = "Load")]
    pub skew: String,
    /// How long holds live that are neither confirmed nor released
    #[arg(long, env = "SURETY_HOLD_FOR", value_name = "DURATION", default_value = "60s", help_heading = "Load")]
    pub hold_for: String,
    /// Ask for dates up to so many days after the earliest that there is
    #[arg(long, env = "SURETY_WITHIN_DAYS", value_name = "N", default_value = "13", help_heading = "Load")]
    pub within_days: String,
    /// How many products each ask has
    #[arg(long, env = "SURETY_LINES", value_name = "N", default_value = "1", help_heading = "Load")]
    pub lines: String,
    /// What all chance follows from; drawn and shown if not given
    #[arg(long, env = "SURETY_SEED", value_name = "N", help_heading = "Load")]
    pub seed: Option<String>,
    /// How many threads to drive with; one a core if not given
    #[arg(long, env = "SURETY_THREADS", value_name = "N", help_heading = "Load")]
    pub threads: Option<String>,

    /// Ask the network that is there; without it, one is made for the run and replaces what is called 'load'
    #[arg(long, env = "SURETY_AS_IS", value_parser = values::flag, help_heading = "Network")]
    pub as_is: bool,
    /// Replace the network that --in-network names even if its name does not begin with 'load'
    #[arg(long, env = "SURETY_REPLACE", value_parser = values::flag, help_heading = "Network")]
    pub replace: bool,
    /// How many products the network has that is made, each with three resources of its own
    #[arg(long, env = "SURETY_PRODUCTS", value_name = "N", default_value = "100", help_heading = "Network")]
    pub products: String,
    /// How many units each of its resources has a day; few of them make holds scarce
    #[arg(long, env = "SURETY_UNITS", value_name = "N", default_value = "1000000000", help_heading = "Network")]
    pub units: String,

    /// What to drive beside, in turn, so that every figure comes as a ratio: echo, a bare gRPC service
    #[arg(long, env = "SURETY_BASELINE", value_name = "WHAT", help_heading = "Comparison and search")]
    pub baseline: Option<String>,
    /// Search the highest rate that keeps p99 within --p99
    #[arg(long, env = "SURETY_FIND_RATE", value_parser = values::flag, help_heading = "Comparison and search")]
    pub find_rate: bool,
    /// The latency that 99 of 100 calls may take, of --find-rate
    #[arg(
        long,
        env = "SURETY_P99",
        value_name = "DURATION",
        default_value = "20ms",
        help_heading = "Comparison and search"
    )]
    pub p99: String,

    /// The process id of the server, if it runs on this machine: its processor time a call is told, and as a ratio
    #[arg(long, env = "SURETY_TARGET_PID", value_name = "PID", help_heading = "Comparison and search")]
    pub target_pid: Option<String>,

    /// Write the report as JSON to this file too
    #[arg(long, env = "SURETY_JSON_REPORT", value_name = "FILE", help_heading = "Server and output")]
    pub json_report: Option<PathBuf>,
    /// Write the report as a page with plots to this file too
    #[arg(long, env = "SURETY_HTML_REPORT", value_name = "FILE", help_heading = "Server and output")]
    pub html_report: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client: ClientArgs,
}

/// What is to be done, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// The run.
    pub plan: Plan,
    /// Whether it is compared with an echo.
    pub beside_echo: bool,
    /// The limit of p99 and the first rate, of a search for the highest one.
    pub search: Option<(Duration, f64)>,
    /// Threads to drive with; None: one a core.
    pub threads: Option<usize>,
}

/// Words on their way to options: all faults are noted, and something is taken in their place.
struct Reading<'a>(&'a mut Faults);

impl Reading<'_> {
    fn or<T>(&mut self, name: &str, read: Result<T, String>, otherwise: T) -> T {
        read.unwrap_or_else(|fault| {
            self.0.add(name, fault);
            otherwise
        })
    }

    fn number(&mut self, name: &str, text: &str, from: u64, to: u64) -> u64 {
        self.or(name, values::number(text, from, to), from)
    }

    fn count(&mut self, name: &str, text: &str, from: u64, to: u64) -> usize {
        usize::try_from(self.number(name, text, from, to)).unwrap_or(usize::MAX)
    }

    fn length(&mut self, name: &str, text: &str, least: Duration) -> Duration {
        let read = values::duration(text).and_then(|length| match length {
            length if length >= least => Ok(length),
            _ => Err(format!("'{text}' is too short; write {} ms or more", least.as_millis())),
        });
        self.or(name, read, least.max(Duration::from_secs(1)))
    }

    fn process(&mut self, text: &str) -> u32 {
        let seen = values::number(text, 1, u32::MAX.into()).and_then(|pid| match spent(&pid.to_string()) {
            Some(_) => Ok(u32::try_from(pid).unwrap_or(0)),
            None => Err(format!("there is no process {pid} on this machine, or its times can't be read")),
        });
        self.or("--target-pid", seen, 0)
    }

    fn rate(&mut self, text: &str) -> f64 {
        let rate = text.trim().parse().ok().filter(|rate| (0.1..=10_000_000.0).contains(rate));
        self.or(
            "--rate",
            rate.ok_or_else(|| format!("'{text}' is no rate; write calls a second, 0.1 to 10000000")),
            1.0,
        )
    }
}

/// What was written, if anything was: an empty variable is none.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

impl LoadArgs {
    /// Checks the words. `seed` is taken if none is given.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check(&self, seed: u64) -> Result<LoadOptions, Failure> {
        let mut faults = Faults::new();
        let targets = self.targets(&mut faults);
        let network = self.network(&mut faults);
        // Its words are those of all commands; the calls are made elsewhere.
        self.client.check(Patience::Question, &mut faults);
        let mut read = Reading(&mut faults);
        let land = self.land(&mut read);
        let pace = self.pace(&mut read);
        let beside_echo = match given(self.baseline.as_ref()) {
            None => false,
            Some("echo") => true,
            Some(other) => {
                read.or("--baseline", Err(format!("'{other}' is nothing to compare with; write echo")), false)
            }
        };
        let rounds = match given(self.rounds.as_ref()) {
            None if beside_echo => ROUNDS_BESIDE,
            None => 1,
            Some(text) => read.number("--rounds", text, 1, 1_000),
        };
        let (longest, shortest) = (MAX_HOLD_SECONDS.unsigned_abs(), MIN_HOLD_SECONDS.unsigned_abs());
        let hold_for = read.length("--hold-for", &self.hold_for, Duration::from_secs(shortest));
        if hold_for > Duration::from_secs(longest) {
            read.0.add("--hold-for", "is longer than 7 days, the longest that there is");
        }
        let timeout = self.client.timeout.as_deref().and_then(|text| values::duration(text).ok());
        let most_days = MAX_BUCKET_DAYS.unsigned_abs().into();
        let plan = Plan {
            targets,
            connections: read.count("--connections", &self.connections, 1, 10_000),
            network,
            land,
            pace,
            warm_up: read.length("--warm-up", &self.warm_up, Duration::ZERO),
            duration: read.length("--duration", &self.duration, Duration::from_millis(100)),
            rounds: usize::try_from(rounds).unwrap_or(usize::MAX),
            mix: read.or("--mix", Mix::parse(&self.mix), Mix::of(crate::load::mix::Kind::Quote)),
            skew: read.or("--skew", Skew::parse(&self.skew), Skew::Uniform),
            lines: read.count("--lines", &self.lines, 1, MAX_LINES as u64),
            hold_for,
            within_days: i32::try_from(read.number("--within-days", &self.within_days, 0, most_days)).unwrap_or(0),
            timeout: timeout.unwrap_or(TIMEOUT),
            pid: given(self.target_pid.as_ref()).map(|text| read.process(text)),
            seed: given(self.seed.as_ref()).map_or(seed, |text| read.number("--seed", text, 0, u64::MAX)),
        };
        if let Land::Made { products, .. } = plan.land
            && plan.lines > products
        {
            read.0.add("--lines", format!("an ask can't have {} products of {products}", plan.lines));
        }
        let search = self.search(&mut read);
        let threads = given(self.threads.as_ref()).map(|text| read.count("--threads", text, 1, 1_024));
        checked(faults, Some(LoadOptions { plan, beside_echo, search, threads }))
    }

    fn targets(&self, faults: &mut Faults) -> Vec<String> {
        let given: Vec<String> = self.target.iter().filter(|target| !target.is_empty()).cloned().collect();
        for target in &given {
            if let Err(fault) = endpoint(target) {
                faults.add("--target", fault);
            }
        }
        if given.is_empty() { vec![self.client.server.clone()] } else { given }
    }

    /// The network's name. What may be replaced is called 'load', or the user says so.
    fn network(&self, faults: &mut Faults) -> String {
        let named = self.client.in_network.as_deref();
        let name = named.unwrap_or(if self.as_is { "default" } else { NETWORK });
        let ours = name.strip_prefix(NETWORK).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        if !self.as_is && !self.replace && !ours {
            let fault = format!(
                "the network '{name}' would be replaced by one made for the run; ask what is there with --as-is, name one \
                 'load' or 'load-...', or say --replace"
            );
            faults.add("--in-network", fault);
        }
        name.to_owned()
    }

    fn land(&self, read: &mut Reading<'_>) -> Land {
        let products = read.count("--products", &self.products, 1, MAX_PRODUCTS);
        let units = read.number("--units", &self.units, 0, MAX_UNITS.unsigned_abs());
        if self.as_is { Land::AsIs } else { Land::Made { products, units: i64::try_from(units).unwrap_or(MAX_UNITS) } }
    }

    fn pace(&self, read: &mut Reading<'_>) -> Pace {
        let arrivals = read.or("--arrivals", Arrivals::parse(&self.arrivals), Arrivals::Even);
        let outstanding = read.count("--max-outstanding", &self.max_outstanding, 1, 1_000_000);
        let (rate, in_flight) = (given(self.rate.as_ref()), given(self.in_flight.as_ref()));
        if rate.is_some() && in_flight.is_some() {
            read.0.add("--in-flight", "is a closed loop, and --rate an open one; give one of them");
        }
        if self.find_rate && in_flight.is_some() {
            read.0.add("--in-flight", "is a closed loop, which has no rate to find; leave it out with --find-rate");
        }
        match (rate, in_flight) {
            (Some(text), _) => Pace::Open { rate: read.rate(text), arrivals, outstanding },
            (None, _) if self.find_rate => Pace::Open { rate: FIRST_RATE, arrivals, outstanding },
            (None, Some(text)) => Pace::Closed { in_flight: read.count("--in-flight", text, 1, 1_000_000) },
            (None, None) => Pace::Closed { in_flight: usize::try_from(IN_FLIGHT).unwrap_or(1) },
        }
    }

    fn search(&self, read: &mut Reading<'_>) -> Option<(Duration, f64)> {
        let limit = read.length("--p99", &self.p99, Duration::from_micros(100));
        let first = given(self.rate.as_ref()).map_or(FIRST_RATE, |text| read.rate(text));
        self.find_rate.then_some((limit, first))
    }
}

/// What keeps a run from being made, as the user is told it.
fn failure(error: LoadError) -> Failure {
    match error {
        LoadError::Unreachable { target, cause } => Failure::Unreachable {
            message: format!("can't reach {target}: {cause}"),
            code: "UNAVAILABLE",
            nothing_applied: true,
            request_id: None,
        },
        LoadError::Refused { target, status } => Failure::from_status(&status, &target),
        LoadError::Impossible(what) => Failure::Declined { message: what },
    }
}

/// Drives on a runtime of its own.
///
/// # Errors
/// See [`load`].
pub fn run(args: &LoadArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.check(0)?.threads {
        runtime.worker_threads(threads);
    }
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(|error| Failure::wrong("the load can't start", format!("no runtime: {error}")))?;
    runtime.block_on(load(args, console))
}

/// Drives, checks, and shows the report.
///
/// # Errors
/// Whatever kept it from being driven.
pub async fn load(args: &LoadArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (run_id, chance) = uuid::Uuid::new_v4().as_u64_pair();
    // Short enough to be typed again.
    let options = args.check(chance & 0xffff_ffff)?;
    let begun = console.now().round(jiff::Unit::Second).unwrap_or_else(|_| console.now());
    let machine = Machine::this();
    let mut run = Run::prepare(options.plan.clone(), run_id).await.map_err(failure)?;
    let echo = options.beside_echo.then(|| EchoProcess::start(run.ground.answer_bytes)).transpose()?;
    if let Some(echo) = &echo {
        run.beside(&echo.address, echo.pid()).await.map_err(failure)?;
    }
    let stop = CancellationToken::new();
    let told = tokio::spawn({
        let stop = stop.clone();
        async move {
            shutdown_signal().await;
            stop.cancel();
        }
    });
    let (progress, effort) = (Progress::show(), Effort::begin());
    let (mut driven, mut searched) = (Vec::new(), Vec::new());
    match options.search {
        Some((limit, first)) => searched = run.search(first, limit, options.plan.pace, &stop, &progress).await,
        None => driven = run.drive(&stop, &progress).await,
    }
    let generator = effort.cores();
    told.abort();
    progress.check();
    let (checked, away) = look(&run).await;
    progress.end();
    drop(echo);
    let ground = &run.ground;
    let report = Report {
        plan: options.plan,
        begun: begun.to_string(),
        machine,
        generator,
        network: (ground.skus.len(), ground.zones.len(), ground.version, ground.by.to_string()),
        limit: options.search.map(|(limit, _)| limit),
        driven,
        searched,
        checked,
        stopped: stop.is_cancelled(),
    };
    show(args, &report, console)?;
    Ok(exit(&report, away))
}

/// The check, and whether the server was away. Told to stop now, it is left out.
async fn look(run: &Run) -> (Checked, bool) {
    let checked = tokio::select! {
        checked = run.check() => checked,
        () = shutdown_signal() => return (Checked::NotMade("the run was stopped".to_owned()), false),
    };
    match checked {
        Ok(findings) => (Checked::Made(Box::new(findings)), false),
        Err(error) => {
            let away = match &error {
                LoadError::Refused { status, .. } => {
                    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled)
                }
                LoadError::Unreachable { .. } => true,
                LoadError::Impossible(_) => false,
            };
            (Checked::NotMade(error.to_string()), away)
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::wrong("the report can't be written", format!("{}: {error}", file.display())))
}

/// Files first: who follows the output may read them as soon as it ends.
fn show(args: &LoadArgs, report: &Report, console: &mut Console<'_>) -> Result<(), Failure> {
    if let Some(file) = &args.json_report {
        write(file, &format!("{:#}\n", report.json()))?;
    }
    if let Some(file) = &args.html_report {
        write(file, &page(report))?;
    }
    if args.client.json { console.print_json(&report.json()) } else { console.print(&render::load::report(report)) }
}

fn exit(report: &Report, away: bool) -> Exit {
    let searched = report.searched.iter().find(|searched| searched.name != "echo");
    let found = searched.is_none_or(|searched| searched.found.best.is_some() || report.stopped);
    match report.checked {
        Checked::NotMade(_) if away => Exit::Unreachable,
        _ if report.violated() || !report.answered() || !found => Exit::No,
        Checked::NotMade(_) if !report.stopped => Exit::No,
        Checked::Made(_) | Checked::NotMade(_) => Exit::Done,
    }
}
