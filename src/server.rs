//! The composition root: opens the ledger, lets the views follow it, puts the service and its layers on a listener, and
//! takes it all down again in order. Beside the command line the only place that names concrete stores.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tower::ServiceBuilder;
use tracing::{info, warn};

use crate::app::request::{ApplyNetworkRequest, SupplyLine};
use crate::app::{App, AppError};
use crate::clock::{Clock, SystemClock};
use crate::domain::id::NetworkId;
use crate::domain::time::{SECOND, Span};
use crate::edge::connections::{self, ConnectionLimits};
use crate::edge::from_proto;
use crate::edge::layers::deadline::DeadlineLayer;
use crate::edge::layers::direct::DirectLayer;
use crate::edge::layers::explain::ExplainLayer;
use crate::edge::layers::methods::Methods;
use crate::edge::layers::shed::{ShedLayer, ShedLimits};
use crate::edge::layers::stop::StopLayer;
use crate::edge::layers::trace::TraceLayer;
use crate::edge::offer_service::Offers;
use crate::edge::operations_service::Operations;
use crate::edge::promise_service::Promises;
use crate::ledger::embedded::{EmbeddedConfig, EmbeddedLedger, OpenError, Retention};
use crate::ledger::observe::LedgerObserver;
use crate::ledger::redis::{self, RedisConfig, RedisLedger, StoreClock};
use crate::ledger::{Ledger, LedgerError};
use crate::proto;
use crate::proto::v1::offer_service_server::{OfferServiceServer, SERVICE_NAME as OFFERS};
use crate::proto::v1::operations_service_server::{OperationsServiceServer, SERVICE_NAME as OPERATIONS};
use crate::proto::v1::promise_service_server::{PromiseServiceServer, SERVICE_NAME as PROMISES};
use crate::telemetry::{Metrics, Telemetry};
use crate::view::Views;

/// Bytes of one request of a checkout or of marketing: an ask of 100 lines has some 10 KiB.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Bytes of one request of operations: a network of a million products has some 150 MiB.
const MAX_DOCUMENT_BYTES: usize = 512 << 20;
/// Of each caller's connections.
const CONNECTION_LIMITS: ConnectionLimits = ConnectionLimits {
    max_streams: 2_048,
    keepalive_every: Duration::from_secs(30),
    keepalive_wait: Duration::from_secs(10),
    first_word: Duration::from_secs(30),
};
/// How long closing the store may take: a hung disk must not keep the process.
const CLOSING: Duration = Duration::from_secs(5);
/// How long request ids are to be remembered at least (rule 20).
const LEAST_MEMORY: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How often health is compared with the truth.
const HEALTH_EVERY: Duration = Duration::from_millis(50);
/// The name under which health says whether the ledger is followed; all others say whether calls are answered.
pub const LEDGER_HEALTH: &str = "surety.ledger";

/// Where capacity is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// Nowhere: what is held ends with the process.
    Memory,
    /// In a folder of this machine, durably.
    Embedded(PathBuf),
    /// In Redis or Valkey, shared by any number of servers.
    Redis(Box<RedisStore>),
}

/// A store in Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisStore {
    /// Where it is, and what it takes to get in.
    pub address: redis::Address,
    /// For encrypted connections.
    pub tls: redis::TlsFiles,
    /// What an acknowledged change survives.
    pub durability: redis::Durability,
}

impl RedisStore {
    /// A store at this address, with everything else by default.
    pub fn new(address: redis::Address) -> RedisStore {
        RedisStore { address, tls: redis::TlsFiles::default(), durability: redis::Durability::default() }
    }
}

/// How long is remembered what is over; where nothing is said, as the store has it by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Entries of a network's feed, at most.
    pub events: Option<u64>,
    /// How old an entry of the feed gets, in stores that look at it: embedded ones.
    pub events_for: Option<Duration>,
    /// How long a reservation that ended is remembered, and its request id with it.
    pub ended_for: Option<Duration>,
}

impl History {
    fn span(length: Option<Duration>, otherwise: Span) -> Span {
        length.map_or(otherwise, |length| Span(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)))
    }

    fn of_embedded(self, default: Retention) -> Retention {
        Retention {
            entries: self.events.unwrap_or(default.entries),
            entries_for: History::span(self.events_for, default.entries_for),
            ended_for: History::span(self.ended_for, default.ended_for),
        }
    }

    /// The same of a ledger in Redis, which counts entries only.
    pub fn of_redis(self, default: RedisConfig) -> RedisConfig {
        RedisConfig {
            entries: self.events.unwrap_or(default.entries),
            ended_for: History::span(self.ended_for, default.ended_for),
            ..default
        }
    }
}

/// What the service is to be.
pub struct Config {
    /// Where capacity is kept.
    pub store: Store,
    /// How long is remembered what is over.
    pub history: History,
    /// What tells it the time.
    pub clock: Arc<dyn Clock>,
    /// Where it is seen from.
    pub telemetry: Telemetry,
    /// Requests in flight, over all connections; more are shed.
    pub max_requests: usize,
    /// Open streams (watches, plans being loaded), over all connections; more are shed.
    pub max_streams: usize,
    /// The longest that a unary call may take, also when its caller would wait longer.
    pub max_unary: Duration,
    /// How long what takes nothing is answered from what was last known when the store is away; zero: not at all.
    pub stale_reads: Duration,
    /// How long the service goes on once it is told to stop and health says so, for those who look at it from time to time.
    pub notice: Duration,
    /// How long calls in flight may take to finish once the service is told to stop.
    pub drain: Duration,
    /// A network to apply before serving, if the ledger has none.
    pub network: Option<proto::v1::Network>,
    /// A plan to load before serving, if the ledger has none.
    pub supply: Vec<SupplyLine>,
}

/// Why the service could not start, or ended otherwise than it was told.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The Redis store could not be opened.
    #[error(transparent)]
    Redis(#[from] redis::OpenError),
    /// The store failed before the service had started.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The network that it was to start with was refused.
    #[error("the network was refused: {0}")]
    Network(AppError),
    /// The plan that it was to start with was refused.
    #[error("the plan was refused: {error}")]
    Plan {
        /// The line of the plan that is `lines[0]` in the error's paths.
        first: usize,
        /// Why.
        error: AppError,
    },
    /// The descriptors of the contract are broken, which a build can't leave behind.
    #[error("the contract's descriptors can't be read: {0}")]
    Descriptors(String),
}

/// A service that has opened its store and loaded what it starts with, and is not serving yet.
pub struct Ready {
    app: Arc<App>,
    ledger: Arc<dyn Ledger>,
    stop: CancellationToken,
    config: Config,
}

impl Ready {
    /// Opens the store, reads what it left, applies the network and the plan.
    pub async fn open(config: Config) -> Result<Ready, ServerError> {
        let ledger = open_ledger(&config, &config.telemetry.metrics()).await?;
        Ready::on(ledger, config).await
    }

    /// The same on a ledger that was opened already; `config.store` is not looked at.
    pub async fn on(ledger: Arc<dyn Ledger>, mut config: Config) -> Result<Ready, ServerError> {
        let metrics = config.telemetry.metrics();
        let runtime = tokio::runtime::Handle::current().metrics();
        metrics.observe_tasks(move || runtime.num_alive_tasks() as u64);
        let views = Views::new(from_proto::network_document);
        ledger.subscribe(Arc::clone(&views) as Arc<_>).await?;
        let stop = CancellationToken::new();
        let clock = Arc::clone(&config.clock);
        let stale_reads = Span(i64::try_from(config.stale_reads.as_micros()).unwrap_or(i64::MAX));
        let app = App::new(
            Arc::clone(&ledger),
            Arc::clone(&views),
            Arc::clone(&clock),
            metrics.clone(),
            stale_reads,
            stop.clone(),
        );
        let followed = Arc::clone(&views);
        metrics.observe_view_current(move || followed.are_current());
        metrics.observe_view_age(move || {
            let age = clock.now().0.saturating_sub(views.fresh_at().0);
            u64::try_from(age).ok().map(Duration::from_micros)
        });

        let (network, supply) = (config.network.take(), std::mem::take(&mut config.supply));
        let ready = Ready { app, ledger, stop, config };
        if let Err(error) = ready.load(network, supply).await {
            ready.ledger.close().await;
            return Err(error);
        }
        Ok(ready)
    }

    async fn load(&self, network: Option<proto::v1::Network>, supply: Vec<SupplyLine>) -> Result<(), ServerError> {
        let default = NetworkId::default_network();
        let now = self.app.now();
        // What operations changed since the first start must not be undone by the next one.
        let (version, planned) = self.app.what_is_kept(&default).map_err(ServerError::Network)?;
        if version > 0 && network.is_some() {
            info!(version, "the ledger has a network; the file was not applied: `surety apply` replaces it");
        }
        if planned && !supply.is_empty() {
            info!("the ledger has a plan; the file was not loaded: `surety supply` loads it");
        }
        let supply = if planned { Vec::new() } else { supply };
        if let Some(document) = network.filter(|_| version == 0) {
            let message = proto::v1::ApplyNetworkRequest { network: Some(document), validate_only: false };
            let refused = ServerError::Network;
            let asked: ApplyNetworkRequest =
                from_proto::apply_network(message, now).map_err(|faults| refused(AppError::Invalid(faults)))?;
            let version = self.app.apply_network(&default, asked, now, None).await.map_err(refused)?;
            info!(version, "network applied");
        }
        let loaded = self.app.load_plan(&default, &supply).await;
        loaded.map_err(|(first, error)| ServerError::Plan { first, error })?;
        Ok(())
    }

    /// The use cases, for those who call them without a network between.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves on the listener until `shutdown`, then drains: health says so first, streams end, calls in flight finish.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let Ready { app, ledger, stop, config } = self;
        let broken = |error: &dyn std::fmt::Display| ServerError::Descriptors(error.to_string());
        let methods = Methods::none()
            .with_services(proto::DESCRIPTORS)
            .and_then(|m| m.with_probes(tonic_health::pb::FILE_DESCRIPTOR_SET))
            .and_then(|m| m.with_probes(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET))
            .and_then(|m| m.with_probes(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET))
            .map_err(|e| broken(&e))?;
        let methods = Arc::new(methods);
        let limits = ShedLimits {
            max_requests: config.max_requests,
            max_streams: config.max_streams,
            retry_after: Duration::from_millis(100),
        };
        let shed = ShedLayer::new(Arc::clone(&methods), limits, config.telemetry.metrics());
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let (health, health_service) = tonic_health::server::health_reporter();
        let report = |status: Status| {
            let health = health.clone();
            async move {
                for service in ["", PROMISES, OPERATIONS, OFFERS] {
                    health.set_service_status(service, serving(status.answers)).await;
                }
                health.set_service_status(LEDGER_HEALTH, serving(status.follows)).await;
            }
        };
        report(Status::of(&app)).await;

        let promises =
            PromiseServiceServer::new(Promises(Arc::clone(&app))).max_decoding_message_size(MAX_REQUEST_BYTES);
        let mut routes = Routes::builder();
        routes
            .add_service(health_service)
            .add_service(reflection().build_v1().map_err(|e| broken(&e))?)
            .add_service(reflection().build_v1alpha().map_err(|e| broken(&e))?)
            .add_service(promises.clone())
            .add_service(
                OperationsServiceServer::new(Operations(Arc::clone(&app)))
                    .max_decoding_message_size(MAX_DOCUMENT_BYTES)
                    .max_encoding_message_size(MAX_DOCUMENT_BYTES),
            )
            .add_service(
                OfferServiceServer::new(Offers(Arc::clone(&app))).max_decoding_message_size(MAX_REQUEST_BYTES),
            );
        // The first is the outermost.
        let service = ServiceBuilder::new()
            .layer(TraceLayer::new(Arc::clone(&methods), config.telemetry.rpc()))
            .layer(shed)
            .layer(DeadlineLayer::new(Arc::clone(&methods), config.max_unary))
            .layer(StopLayer::new(methods, stop.clone()))
            .layer(ExplainLayer)
            .layer(DirectLayer(promises))
            .service(routes.routes().prepare());

        let housekeeping = tokio::spawn(Arc::clone(&app).keep());
        let drained = CancellationToken::new();
        let serving = connections::serve(listener, service, CONNECTION_LIMITS, drained.cancelled());
        let watching = async {
            let mut told = Status::of(&app);
            loop {
                tokio::time::sleep(HEALTH_EVERY).await;
                let now = Status::of(&app);
                if now != told {
                    info!(serving = now.answers, ledger = now.follows, "health changed");
                    report(now).await;
                    told = now;
                }
            }
        };
        let stopping = async {
            tokio::select! {
                () = shutdown => {}
                () = watching => {}
            }
            info!("told to stop; health says so, then calls in flight finish");
            report(Status::STOPPING).await;
            // Those who ask health send their next calls elsewhere before the port is closed; till then all are answered.
            tokio::time::sleep(config.notice).await;
            stop.cancel();
            drained.cancel();
            tokio::time::sleep(config.drain).await;
        };
        tokio::select! {
            () = serving => {}
            () = stopping => warn!(waited = ?config.drain, "calls in flight did not finish in time and are cut off"),
        }
        finish(housekeeping, &app, ledger).await;
        Ok(())
    }
}

/// Ends what runs beside the connections' side.
async fn finish(housekeeping: JoinHandle<()>, app: &Arc<App>, ledger: Arc<dyn Ledger>) {
    if let Err(error) = housekeeping.await {
        warn!(%error, "housekeeping did not end well");
    }
    // Of the calls that were answered last, too.
    if tokio::time::timeout(CLOSING, app.add_up()).await.is_err() {
        warn!(waited = ?CLOSING, "what was counted of late could not be added up");
    }
    if tokio::time::timeout(CLOSING, ledger.close()).await.is_err() {
        warn!(waited = ?CLOSING, "the store does not close; what was acknowledged is in it");
    }
    info!("stopped");
}

/// What health says.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Status {
    /// What takes nothing is answered.
    answers: bool,
    /// The ledger is followed, in every network.
    follows: bool,
}

impl Status {
    const STOPPING: Status = Status { answers: false, follows: false };

    fn of(app: &App) -> Status {
        Status { answers: app.can_read(), follows: app.is_current() }
    }
}

fn serving(yes: bool) -> ServingStatus {
    if yes { ServingStatus::Serving } else { ServingStatus::NotServing }
}

async fn open_ledger(config: &Config, metrics: &Metrics) -> Result<Arc<dyn Ledger>, ServerError> {
    if config.history.ended_for.is_some_and(|kept| kept < LEAST_MEMORY) {
        warn!(
            remember_for = ?config.history.ended_for,
            "request ids are remembered for less than 30 days: a request that is repeated later is made once more"
        );
    }
    let observer: Arc<dyn LedgerObserver> = Arc::new(Observed(metrics.clone()));
    let clock = Arc::clone(&config.clock);
    let ledger: Arc<EmbeddedLedger> = match &config.store {
        Store::Memory => {
            let retention = config.history.of_embedded(Retention::in_memory());
            EmbeddedLedger::memory_retaining(clock, observer, retention)
        }
        Store::Embedded(dir) => {
            let retention = config.history.of_embedded(Retention::default());
            let settings = EmbeddedConfig { observer, retention, ..EmbeddedConfig::new(dir.clone()) };
            // Reading what was left may take a while; the runtime has other things to do.
            let opened = tokio::task::spawn_blocking(move || EmbeddedLedger::open(settings, clock)).await;
            opened.map_err(|panic| LedgerError::Unavailable(Arc::from(panic.to_string())))??
        }
        Store::Redis(store) => {
            let ledger = RedisLedger::open(config.history.of_redis(redis_config(store, clock, observer))).await?;
            let depth = Arc::clone(&ledger);
            metrics.observe_queue_depth(move || depth.waiting() as u64);
            return Ok(ledger);
        }
    };
    let depth = Arc::clone(&ledger);
    metrics.observe_queue_depth(move || depth.waiting() as u64);
    Ok(ledger)
}

/// The ledger's end of `--clock`: the store's clock goes on, as far ahead or behind as this process's.
fn redis_config(store: &RedisStore, clock: Arc<dyn Clock>, observer: Arc<dyn LedgerObserver>) -> RedisConfig {
    let RedisStore { address, tls, durability } = store.clone();
    let shift = clock.now().0 - SystemClock::new().now().0;
    // Two looks at one clock differ by some microseconds, which are no shift.
    let shift = if shift.abs() < SECOND { 0 } else { shift };
    let clock = StoreClock::Store { shift, service: clock };
    RedisConfig { tls, durability, clock, observer, ..RedisConfig::new(address) }
}

/// The ledger's own figures, as metrics.
struct Observed(Metrics);

impl LedgerObserver for Observed {
    fn committed(&self, commands: usize, took: Duration) {
        self.0.committed(commands, took);
    }

    fn expired(&self, holds: usize) {
        self.0.holds_expired(holds as u64);
    }
}
