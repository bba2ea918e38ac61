//! `surety serve`: from words to [`ServeOptions`]; everything is checked, and all faults are told, before anything starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::history::HistoryArgs;
use super::input::{self, NetworkFile, PlanFile};
use super::redis::RedisArgs;
use super::store::StoreChoice;
use super::values;
use crate::app::AppError;
use crate::clock::SystemClock;
use crate::domain::faults::{Fault, Faults};
use crate::domain::time::Moment;
use crate::ledger::embedded::OpenError;
use crate::ledger::redis;
use crate::server::{Config, History, Ready, ServerError, Store};
use crate::telemetry::{self, LogFormat, TelemetryConfig};

/// Where the service listens when nothing else is said: this machine only, because it has no access control of its own.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7070";
/// What is logged when nothing else is said.
pub const DEFAULT_LOG_FILTER: &str = "surety=info,opentelemetry=warn";
/// Calls at once: at 100 microseconds a call, 10,000 calls a core and second never need as many.
pub const DEFAULT_MAX_IN_FLIGHT: &str = "4096";
/// Watches at once: each holds a task and its last answer, some 4 KiB.
pub const DEFAULT_MAX_STREAMS: &str = "10000";
/// How long running calls may take to end after a call for shutdown: below the 30 s after which Kubernetes kills.
pub const DEFAULT_DRAIN_TIMEOUT: &str = "20s";
/// How long to go on once told to stop: a second, in which whoever looks at health every few hundred milliseconds notices.
pub const DEFAULT_STOP_NOTICE: &str = "1s";
/// How long quotes go on without the store: long enough for it to be started again, and a shop had better show dates that
/// were right half a minute ago than none.
pub const DEFAULT_STALE_READS: &str = "30s";
/// The longest a unary call may take: loading the largest network takes tens of seconds.
const MAX_UNARY: Duration = Duration::from_secs(120);
/// Threads for blocking work, for each core and at least: twice what long reads of a ledger may have.
const BLOCKING_PER_CORE: usize = 4;
const BLOCKING_LEAST: usize = 16;
/// The standard OpenTelemetry variable, read when `--otlp-endpoint` is not given.
const OTEL_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Options of `surety serve`, as they were written.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free port, which the first line of stdout tells
    #[arg(long, env = "SURETY_LISTEN", value_name = "HOST:PORT", default_value = DEFAULT_LISTEN)]
    pub listen: String,
    /// Where to keep what has been taken: embedded:DIR; embedded: for a folder of your data directory; memory: for nowhere;
    /// redis://HOST:PORT, rediss:// for TLS, redis+sentinel://HOST:PORT,.../PRIMARY, redis+cluster://HOST:PORT,...
    #[arg(long, env = "SURETY_STORE", value_name = "STORE", default_value = "embedded:")]
    pub store: String,
    /// A network to apply at the start: YAML or JSON
    #[arg(long, env = "SURETY_NETWORK", value_name = "FILE")]
    pub network: Option<PathBuf>,
    /// A plan to load at the start: CSV with the columns resource,start,units
    #[arg(long, env = "SURETY_SUPPLY", value_name = "FILE")]
    pub supply: Option<PathBuf>,
    /// Begin the service's clock at this instant and run on from there: demonstrations, tests
    #[arg(long, env = "SURETY_CLOCK", value_name = "RFC3339")]
    pub clock: Option<String>,
    /// How many threads to work with; one a core if not given
    #[arg(long, env = "SURETY_THREADS", value_name = "N")]
    pub threads: Option<String>,
    /// How long to answer what takes nothing from what was last known while the store is away; 0s for not at all
    #[arg(long, env = "SURETY_STALE_READS", value_name = "DURATION", default_value = DEFAULT_STALE_READS)]
    pub stale_reads: String,

    /// How much of what is over is remembered.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// What to get into a Redis store with.
    #[command(flatten)]
    pub redis: RedisArgs,
    /// What an acknowledged change survives: memory, every-second (the default), fsync or replicas:N
    #[arg(long, env = "SURETY_DURABILITY", value_name = "DURABILITY", help_heading = "Redis stores")]
    pub durability: Option<String>,

    /// How many calls to work on at once; more are refused with the advice when to come again
    #[arg(long, env = "SURETY_MAX_IN_FLIGHT", value_name = "N", default_value = DEFAULT_MAX_IN_FLIGHT,
          help_heading = "Limits")]
    pub max_in_flight: String,
    /// How many watches to serve at once
    #[arg(long, env = "SURETY_MAX_STREAMS", value_name = "N", default_value = DEFAULT_MAX_STREAMS,
          help_heading = "Limits")]
    pub max_streams: String,
    /// How long running calls may take to end when the service is told to stop
    #[arg(long, env = "SURETY_DRAIN_TIMEOUT", value_name = "DURATION", default_value = DEFAULT_DRAIN_TIMEOUT,
          help_heading = "Limits")]
    pub drain_timeout: String,
    /// How long to go on serving once the service is told to stop and health says so, so that callers can turn away
    #[arg(long, env = "SURETY_STOP_NOTICE", value_name = "DURATION", default_value = DEFAULT_STOP_NOTICE,
          help_heading = "Limits")]
    pub stop_notice: String,

    /// How log lines look, on stderr: text or json
    #[arg(
        long,
        env = "SURETY_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Logs, metrics and traces"
    )]
    pub log_format: String,
    /// What is logged: directives like surety=debug, separated by commas
    #[arg(long, env = "SURETY_LOG_FILTER", value_name = "FILTER", default_value = DEFAULT_LOG_FILTER,
          help_heading = "Logs, metrics and traces")]
    pub log_filter: String,
    /// Where to send metrics and traces by OTLP over gRPC; OTEL_EXPORTER_OTLP_ENDPOINT, else nowhere, if not given
    #[arg(long, env = "SURETY_OTLP_ENDPOINT", value_name = "URL", help_heading = "Logs, metrics and traces")]
    pub otlp_endpoint: Option<String>,
    /// The share of calls to trace, 0 to 1, of those whose caller does not say
    #[arg(
        long,
        env = "SURETY_TRACE_SAMPLE_RATIO",
        value_name = "SHARE",
        default_value = "0.01",
        help_heading = "Logs, metrics and traces"
    )]
    pub trace_sample_ratio: String,
    /// How often to send metrics
    #[arg(
        long,
        env = "SURETY_METRIC_INTERVAL",
        value_name = "DURATION",
        default_value = "15s",
        help_heading = "Logs, metrics and traces"
    )]
    pub metric_interval: String,
}

/// What the service is to do: checked, complete, and the only configuration there is.
#[derive(Clone, Debug, PartialEq)]
pub struct ServeOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to keep what has been taken.
    pub store: StoreChoice,
    /// How long is remembered what is over.
    pub history: History,
    /// A network to apply at the start.
    pub network_file: Option<PathBuf>,
    /// A plan to load at the start.
    pub supply_file: Option<PathBuf>,
    /// Where the service's clock begins; None: the system's clock as it is.
    pub clock: Option<Moment>,
    /// Worker threads; None: one a core.
    pub threads: Option<usize>,
    /// How long what takes nothing is answered while the store is away; zero: not at all.
    pub stale_reads: Duration,
    /// Unary calls at once, over all connections.
    pub max_in_flight: usize,
    /// Streams at once, over all connections.
    pub max_streams: usize,
    /// How long running calls may take to end at shutdown.
    pub drain_timeout: Duration,
    /// How long to go on serving once health says that the service stops.
    pub stop_notice: Duration,
    /// Whether log lines are JSON.
    pub log_json: bool,
    /// What is logged, as `tracing` directives.
    pub log_filter: String,
    /// Where metrics and traces go: `http://HOST:PORT`.
    pub otlp_endpoint: Option<String>,
    /// The share of calls to trace, 0 to 1.
    pub trace_sample_ratio: f64,
    /// How often metrics are sent; more than zero.
    pub metric_interval: Duration,
}

/// Checked options, and the files that they name, read and checked against each other.
#[derive(Debug)]
pub struct Prepared {
    /// The options.
    pub options: ServeOptions,
    /// The network to apply at the start.
    pub network: Option<NetworkFile>,
    /// The plan to load at the start.
    pub supply: Option<PlanFile>,
}

impl ServeArgs {
    /// Checks the words, not the files; all faults are noted. `environment` answers for a variable.
    pub fn check(&self, environment: impl Fn(&str) -> Option<String>, faults: &mut Faults) -> Option<ServeOptions> {
        let mut note = |name: &str, fault: String| faults.add(name, fault);
        let listen = listen_address(&self.listen).map_err(|fault| note("--listen", fault)).ok();
        let mut store = StoreChoice::parse(&self.store).map_err(|fault| note("--store", fault)).ok();
        let durability = self.durability.as_deref().filter(|text| !text.is_empty());
        match (durability, &mut store) {
            (Some(text), Some(StoreChoice::Redis(redis))) => match text.parse() {
                Ok(durability) => redis.durability = durability,
                Err(fault) => note("--durability", fault),
            },
            (Some(_), Some(other)) => note("--durability", format!("is for Redis stores; --store is {other}")),
            (Some(_), None) | (None, _) => {}
        }
        let clock = self.clock.as_deref().filter(|text| !text.is_empty());
        let clock = clock.and_then(|text| values::rfc3339(text).map_err(|fault| note("--clock", fault)).ok());
        let mut count = |name: &str, text: &str, to: u64| match values::number(text, 1, to) {
            Ok(n) => usize::try_from(n).unwrap_or(usize::MAX),
            Err(fault) => {
                note(name, fault);
                1
            }
        };
        let threads = self.threads.as_deref().map(|text| count("--threads", text, 1_024));
        let max_in_flight = count("--max-in-flight", &self.max_in_flight, 10_000_000);
        let max_streams = count("--max-streams", &self.max_streams, 10_000_000);
        let mut length = |name: &str, text: &str| match values::duration(text) {
            Ok(length) => length,
            Err(fault) => {
                note(name, fault);
                Duration::MAX
            }
        };
        let stale_reads = length("--stale-reads", &self.stale_reads);
        let drain_timeout = length("--drain-timeout", &self.drain_timeout);
        let stop_notice = length("--stop-notice", &self.stop_notice);
        let metric_interval = length("--metric-interval", &self.metric_interval);
        if metric_interval.is_zero() {
            note("--metric-interval", "is no time at all; write 15s".to_owned());
        }
        let log_json = match self.log_format.as_str() {
            "text" => false,
            "json" => true,
            other => {
                note("--log-format", format!("'{other}' is not a log format; write text or json"));
                false
            }
        };
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log_filter) {
            let filter = &self.log_filter;
            note("--log-filter", format!("'{filter}' is not a log filter ({error}); write surety=debug"));
        }
        let otlp_endpoint = self.otlp_endpoint.clone().or_else(|| environment(OTEL_ENDPOINT));
        let otlp_endpoint = otlp_endpoint.filter(|url| !url.is_empty());
        if let Some(url) = &otlp_endpoint
            && !is_otlp(url)
        {
            let shown = super::store::without_secrets(url);
            note("--otlp-endpoint", format!("'{shown}' is not the address of a collector; write http://HOST:4317"));
        }
        let share = values::share(&self.trace_sample_ratio);
        let share = share.map_err(|fault| note("--trace-sample-ratio", fault)).ok();
        if let Some(store) = &mut store {
            self.redis.complete(store, &environment, faults);
            store.check(faults);
        }
        let history = self.history.check(store.as_ref(), faults);
        Some(ServeOptions {
            listen: listen?,
            store: store?,
            history,
            network_file: self.network.clone(),
            supply_file: self.supply.clone(),
            clock: clock.map(Moment::from_timestamp),
            threads,
            stale_reads,
            max_in_flight,
            max_streams,
            drain_timeout,
            stop_notice,
            log_json,
            log_filter: self.log_filter.clone(),
            otlp_endpoint,
            trace_sample_ratio: share?,
            metric_interval,
        })
    }

    /// Checks the words and reads the files.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn prepare(&self, now: Moment, environment: impl Fn(&str) -> Option<String>) -> Result<Prepared, Failure> {
        let mut faults = Faults::new();
        let options = self.check(environment, &mut faults);
        let mut all: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
        let network = read(self.network.as_deref().map(input::network), &mut all);
        // The instant only places calendars.
        let checked = network.as_ref().and_then(|file| file.check(now).map_err(|faults| all.extend(faults)).ok());
        let supply = self.supply.as_deref().map(|path| input::plan(path, checked.as_ref()));
        let supply = read(supply, &mut all);
        match options {
            Some(options) if all.is_empty() => Ok(Prepared { options, network, supply }),
            _ => {
                Err(Failure::Wrong { what: "the configuration is wrong; nothing was started".to_owned(), faults: all })
            }
        }
    }
}

fn read<T>(file: Option<Result<T, Failure>>, all: &mut Vec<String>) -> Option<T> {
    match file? {
        Ok(file) => Some(file),
        Err(Failure::Wrong { faults, .. }) => {
            all.extend(faults);
            None
        }
        Err(other) => {
            all.push(super::render::failure::text(&other).trim_end().to_owned());
            None
        }
    }
}

/// An address to listen on: `HOST:PORT` with a numeric host, or `localhost`.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| format!("'{text}' is not an address to listen on; write 127.0.0.1:7070 or [::]:7070"))
}

fn is_otlp(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    // The exporter is built without TLS.
    uri.scheme_str() == Some("http") && uri.authority().is_some_and(|authority| authority.port_u16().is_some())
}

/// Serves until told to stop.
///
/// # Errors
/// What kept the service from starting, or ended it.
pub fn run(args: &ServeArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let prepared = args.prepare(Moment::from_timestamp(console.now()), |name| std::env::var(name).ok())?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // As many as there ever were at work at once stay, since they are used in turns, and each keeps some megabytes.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    runtime.max_blocking_threads((cores * BLOCKING_PER_CORE).max(BLOCKING_LEAST));
    if let Some(threads) = prepared.options.threads {
        runtime.worker_threads(threads);
    }
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| Failure::wrong("the service can't start", format!("no runtime: {error}")))?;
    runtime.block_on(start(prepared, console))
}

/// Takes the port, tells it, and runs the service until it is told to stop.
///
/// # Errors
/// What kept the service from starting, or ended it.
pub async fn start(prepared: Prepared, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let Prepared { options, network, supply } = prepared;
    let logs = TelemetryConfig {
        otlp_endpoint: options.otlp_endpoint.clone(),
        sample_ratio: options.trace_sample_ratio,
        metric_interval: options.metric_interval,
        log_format: if options.log_json { LogFormat::Json } else { LogFormat::Text },
        log_filter: options.log_filter.clone(),
        ..TelemetryConfig::default()
    };
    let telemetry = telemetry::init(&logs).map_err(|error| cannot_start(error.to_string()))?;
    // The port first: another instance on it is the likeliest fault, and the store is not to be touched then.
    let listener = listen(options.listen).await?;
    let config = Config {
        store: match &options.store {
            StoreChoice::Memory => Store::Memory,
            StoreChoice::Embedded(dir) => Store::Embedded(dir.clone()),
            StoreChoice::Redis(redis) => Store::Redis(redis.clone()),
        },
        history: options.history,
        clock: Arc::new(options.clock.map_or_else(SystemClock::new, SystemClock::beginning_at)),
        telemetry,
        max_requests: options.max_in_flight,
        max_streams: options.max_streams,
        max_unary: MAX_UNARY,
        stale_reads: options.stale_reads,
        notice: options.stop_notice,
        drain: options.drain_timeout,
        network: network.as_ref().map(|file| file.network.clone()),
        supply: supply.as_ref().map(PlanFile::supply).unwrap_or_default(),
    };
    let ready = Ready::open(config).await.map_err(|error| refused(error, network.as_ref(), supply.as_ref()))?;
    drop((network, supply));
    announce(&listener, console)?;
    ready.serve(listener, shutdown_signal()).await.map_err(|error| cannot_start(error.to_string()))?;
    Ok(Exit::Done)
}

fn cannot_start(fault: String) -> Failure {
    Failure::wrong("the service can't start", fault)
}

/// What kept the service from starting, with the place in the file where a fault has one.
fn refused(error: ServerError, network: Option<&NetworkFile>, supply: Option<&PlanFile>) -> Failure {
    let faults = match error {
        // The service knows the document as the request's field `network`.
        ServerError::Network(AppError::Invalid(faults)) => match network {
            Some(file) => {
                let paths: Vec<&str> = faults.iter().map(|f| f.path.trim_start_matches("network.")).collect();
                placed(&faults, file.places(&paths))
            }
            None => placed(&faults, Vec::new()),
        },
        ServerError::Plan { first, error: AppError::Invalid(faults) } => {
            let places = faults.iter().map(|fault| supply?.place(first, &fault.path)).collect();
            placed(&faults, places)
        }
        // What lies in the folder is wrong, and trying again won't help.
        ServerError::Store(wrong @ (OpenError::Newer { .. } | OpenError::Foreign { .. } | OpenError::Damaged(_))) => {
            vec![wrong.to_string()]
        }
        ServerError::Redis(wrong @ redis::OpenError::Layout { .. }) => vec![wrong.to_string()],
        ServerError::Redis(redis::OpenError::Durability(wrong)) => vec![format!("--durability: {wrong}")],
        other @ (ServerError::Store(OpenError::Locked { .. } | OpenError::Io { .. } | OpenError::Failed(_))
        | ServerError::Redis(redis::OpenError::Away { .. })
        | ServerError::Ledger(_)) => {
            let message = format!("the service can't start: {other}");
            return Failure::Unreachable { message, code: "UNAVAILABLE", nothing_applied: true, request_id: None };
        }
        other @ (ServerError::Network(_) | ServerError::Plan { .. } | ServerError::Descriptors(_)) => {
            vec![other.to_string()]
        }
    };
    Failure::Wrong { what: "the service can't start".to_owned(), faults }
}

/// Faults, each behind its place where it has one.
pub(super) fn placed(faults: &[Fault], places: Vec<Option<String>>) -> Vec<String> {
    let places = places.into_iter().chain(std::iter::repeat(None));
    let one = |(fault, place): (&Fault, Option<String>)| match place {
        Some(place) => format!("{place}: {fault}"),
        None => fault.to_string(),
    };
    faults.iter().zip(places).map(one).collect()
}

/// Takes the port.
///
/// # Errors
/// The port is taken, or not this machine's to take.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let fault = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("--listen: {address} is taken by another program; choose another port, or 0 for any free one")
            }
            _ => format!("--listen: {address} can't be listened on: {error}"),
        };
        Failure::wrong("the service can't start", fault)
    })
}

/// Tells the address that was taken: the first line of stdout, which scripts wait for.
///
/// # Errors
/// The address is unknown or stdout is closed.
pub fn announce(listener: &TcpListener, console: &mut Console<'_>) -> Result<(), Failure> {
    let address =
        listener.local_addr().map_err(|error| Failure::wrong("the service can't start", error.to_string()))?;
    console.print(&format!("listening on {address}"))
}

/// Ends when the process is asked to stop: Ctrl-C, or SIGTERM.
pub async fn shutdown_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler nothing can be waited for; the other signal remains.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
