//! What is seen of the service from outside: logs, metrics and traces.
//!
//! Logs go to stderr ([`logs`]). Metrics and traces go by OTLP to a collector, if one is configured; if none is, nothing
//! of OpenTelemetry runs, and [`Metrics`] and [`RpcInstruments`] cost a branch. All names are in [`names`].

mod export;
pub mod logs;
pub mod metrics;
pub mod names;

#[cfg(test)]
mod tests;

use std::time::Duration;

use opentelemetry::metrics::Histogram;
use opentelemetry_sdk::trace::SdkTracer;

pub use self::export::MAX_QUEUED_SPANS;
#[cfg(test)]
pub(crate) use self::export::sampler;
pub use self::logs::{DEFAULT_LOG_FILTER, LogFormat};
pub use self::metrics::{Metrics, OpenWatch, QuoteKind, QuoteVerdict, ShedKind};

/// How much of the calls whose caller does not say is traced, by default: 1 %.
pub const DEFAULT_SAMPLE_RATIO: f64 = 0.01;

/// How often metrics are sent, by default.
pub const DEFAULT_METRIC_INTERVAL: Duration = Duration::from_secs(15);

/// What is to be seen, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// Where the collector listens for OTLP over gRPC, as `http://HOST:PORT`; nothing is exported without.
    pub otlp_endpoint: Option<String>,
    /// The share, 0 to 1, of the calls without a caller's decision that are traced. What a caller decided is followed.
    pub sample_ratio: f64,
    /// How often metrics are sent; more than zero.
    pub metric_interval: Duration,
    /// `service.instance.id`: unique to this run of the process.
    pub instance_id: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged, as `tracing` directives.
    pub log_filter: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            sample_ratio: DEFAULT_SAMPLE_RATIO,
            metric_interval: DEFAULT_METRIC_INTERVAL,
            instance_id: uuid::Uuid::new_v4().to_string(),
            log_format: LogFormat::default(),
            log_filter: DEFAULT_LOG_FILTER.to_owned(),
        }
    }
}

impl TelemetryConfig {
    /// All that is wrong with it; empty if nothing is.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(endpoint) = &self.otlp_endpoint
            && !is_endpoint(endpoint)
        {
            faults.push(format!("the OTLP endpoint must be http://HOST:PORT, was {endpoint:?}"));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            faults.push(format!("the sample ratio must be a number from 0 to 1, was {}", self.sample_ratio));
        }
        if self.metric_interval.is_zero() {
            faults.push("the interval of metrics must be more than zero".to_owned());
        }
        faults.extend(logs::parse_filter(&self.log_filter).err());
        faults
    }
}

/// Whether `endpoint` is one that the exporter can reach: it is built without TLS.
fn is_endpoint(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<http::Uri>() else { return false };
    uri.scheme_str() == Some("http") && uri.authority().is_some_and(|authority| authority.port_u16().is_some())
}

/// Why telemetry could not be set up or sent.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The configuration is wrong, in all these points.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    /// Logs were set up before; a process does it once.
    #[error("logs are set up already")]
    LogsAlreadySet,
    /// The exporter could not be built.
    #[error("the OTLP exporter can't be set up: {0}")]
    Exporter(String),
    /// What was left at the end could not be sent.
    #[error("the last telemetry could not be sent: {0}")]
    Flush(String),
}

/// What the trace layer reports with: nothing, by default.
#[derive(Debug, Clone, Default)]
pub struct RpcInstruments {
    pub(crate) tracer: Option<SdkTracer>,
    pub(crate) duration: Option<Histogram<f64>>,
}

impl RpcInstruments {
    /// Whether nothing is reported at all.
    pub fn is_off(&self) -> bool {
        self.tracer.is_none() && self.duration.is_none()
    }
}

/// Running telemetry. Whoever started it keeps it until the last call is answered, and then calls
/// [`Telemetry::shutdown`]; if it is dropped instead, it does the same and logs what went wrong.
#[derive(Debug, Default)]
#[must_use = "what is left is sent when this is shut down"]
pub struct Telemetry {
    metrics: Metrics,
    rpc: RpcInstruments,
    exporters: Option<export::Exporters>,
}

/// Sets up logs for the process, and starts the export if an endpoint is configured.
///
/// # Errors
/// [`TelemetryError::Invalid`] with all faults of `config`, before anything is started; else what could not be started.
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let faults = config.faults();
    if !faults.is_empty() {
        return Err(TelemetryError::Invalid(faults));
    }
    logs::init(config.log_format, &config.log_filter)?;
    Telemetry::start(config)
}

impl Telemetry {
    /// Telemetry that goes nowhere.
    pub fn off() -> Self {
        Self::default()
    }

    /// Starts the export if an endpoint is configured; leaves logs alone. A collector that can't be reached is no error:
    /// it may come up later.
    ///
    /// # Errors
    /// [`TelemetryError::Invalid`] with all faults of `config`; else what could not be started.
    pub fn start(config: &TelemetryConfig) -> Result<Self, TelemetryError> {
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(TelemetryError::Invalid(faults));
        }
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(Self::off()) };
        let (exporters, metrics, rpc) = export::Exporters::start(endpoint, config)?;
        Ok(Self { metrics, rpc, exporters: Some(exporters) })
    }

    /// The service's own metrics.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// What the trace layer reports with.
    pub fn rpc(&self) -> RpcInstruments {
        self.rpc.clone()
    }

    /// Sends what is left and stops. Blocks its thread for up to some 10 seconds if the collector does not answer; may be
    /// called from anywhere, also from the only thread of a runtime.
    ///
    /// # Errors
    /// [`TelemetryError::Flush`] if something could not be sent.
    pub fn shutdown(mut self) -> Result<(), TelemetryError> {
        self.exporters.take().map_or(Ok(()), export::Exporters::stop)
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(exporters) = self.exporters.take()
            && let Err(error) = exporters.stop()
        {
            tracing::warn!(%error, "telemetry was not shut down in order");
        }
    }
}
