//! The names of all metrics, spans and attributes, with their units: what dashboards and alerts are written against.
//!
//! The OpenTelemetry semantic conventions (1.40) are followed where they say something. An attribute of a metric takes
//! few values, known beforehand: never a SKU, an id, an address or a customer's text.

/// A metric: its name, its unit (UCUM) and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricName {
    /// The name it is exported under.
    pub name: &'static str,
    /// The unit, in UCUM; a noun in braces counts things.
    pub unit: &'static str,
    /// One sentence for people.
    pub description: &'static str,
}

const fn metric(name: &'static str, unit: &'static str, description: &'static str) -> MetricName {
    MetricName { name, unit, description }
}

/// The instrumentation scope of all spans and metrics.
pub const SCOPE: &str = "surety";

// --- by the semantic conventions ---

/// Attribute: the RPC system, always [`RPC_SYSTEM_GRPC`].
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
/// The value of [`RPC_SYSTEM_NAME`].
pub const RPC_SYSTEM_GRPC: &str = "grpc";
/// Attribute: `package.Service/Method`, or `_OTHER` for methods that are not served.
pub const RPC_METHOD: &str = "rpc.method";
/// Attribute: the status code's name, `DEADLINE_EXCEEDED`.
pub const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";
/// Attribute: what kind of failure it was, where it was one of the server.
pub const ERROR_TYPE: &str = "error.type";

/// Histogram, by method and status code.
pub const RPC_SERVER_CALL_DURATION: MetricName =
    metric("rpc.server.call.duration", "s", "Measures the duration of inbound remote procedure calls (RPC).");

/// Counter, by [`ERROR_TYPE`]: `queue_full`; without one, spans handed to the exporter.
pub const SPANS_PROCESSED: MetricName = metric(
    "otel.sdk.processor.span.processed",
    "{span}",
    "The number of spans for which the processing has finished, either successful or failed.",
);
/// Counter, by [`ERROR_TYPE`]: `export_failed`; without one, spans that the collector has.
pub const SPANS_EXPORTED: MetricName = metric(
    "otel.sdk.exporter.span.exported",
    "{span}",
    "The number of spans for which the export has finished, either successful or failed.",
);

// --- the service's own ---

/// Attribute: what the answer was (`promised`, `later`, `unavailable`).
pub const VERDICT: &str = "surety.verdict";
/// Attribute: whether a quote was to take what it promises (`read`, `hold`).
pub const QUOTE_KIND: &str = "surety.quote.kind";
/// Attribute: what was refused to shed load (`request`, `stream`).
pub const SHED_KIND: &str = "surety.shed.kind";

/// Counter, by [`VERDICT`] and [`QUOTE_KIND`].
pub const QUOTES: MetricName = metric("surety.quotes", "{quote}", "Quotes answered.");
/// Counter.
pub const HOLDS_TAKEN: MetricName = metric("surety.holds.taken", "{hold}", "Holds that were taken.");
/// Counter.
pub const HOLDS_EXPIRED: MetricName =
    metric("surety.holds.expired", "{hold}", "Holds that ended because nobody confirmed them in time.");
/// Counter.
pub const CONFIRMATIONS: MetricName =
    metric("surety.confirmations", "{reservation}", "Reservations that were confirmed.");
/// Counter.
pub const RELEASES: MetricName = metric("surety.releases", "{reservation}", "Reservations that were released.");
/// Histogram.
pub const PLAN_ATTEMPTS: MetricName = metric(
    "surety.hold.plan_attempts",
    "{attempt}",
    "Plans made for one hold; more than 1 when others were faster (rule 19).",
);
/// Counter.
pub const OFFERS_APPROVED: MetricName = metric("surety.offers.approved", "{offer}", "Offers that were approved.");
/// Counter.
pub const OFFERS_CLOSED: MetricName =
    metric("surety.offers.closed", "{offer}", "Offers that were closed before their end.");
/// Histogram.
pub const OFFER_CHECK_DURATION: MetricName =
    metric("surety.offer.check.duration", "s", "Time to play the orders of one offer, for a check or an approval.");
/// Histogram.
pub const COMMIT_BATCH_SIZE: MetricName =
    metric("surety.ledger.commit.batch_size", "{command}", "Commands that the ledger wrote in one batch.");
/// Histogram.
pub const COMMIT_DURATION: MetricName =
    metric("surety.ledger.commit.duration", "s", "Time from the begin of a batch's write until it was durable.");
/// Gauge.
pub const LEDGER_QUEUE_DEPTH: MetricName =
    metric("surety.ledger.queue_depth", "{command}", "Commands that wait for a batch.");
/// Gauge.
pub const VIEW_AGE: MetricName =
    metric("surety.view.age", "s", "How far availability in memory is behind the ledger; the worst of all networks.");
/// Gauge.
pub const VIEW_CURRENT: MetricName = metric(
    "surety.view.current",
    "{ledger}",
    "Ledgers that availability in memory follows: 1, or 0 while the store is away or a network is read anew.",
);
/// Gauge.
pub const REQUESTS_IN_FLIGHT: MetricName =
    metric("surety.requests.in_flight", "{request}", "Unary calls being worked on, probes not counted.");
/// Gauge.
pub const OPEN_STREAMS: MetricName = metric("surety.streams.open", "{stream}", "Streams that are open.");
/// Up-down counter.
pub const OPEN_WATCHES: MetricName =
    metric("surety.watches.open", "{stream}", "WatchQuote and WatchEvents streams that are being fed.");
/// Gauge.
pub const AT_RISK: MetricName = metric(
    "surety.reservations.at_risk",
    "{reservation}",
    "Reservations whose capacity was lost after it was promised (rule 24), in all networks.",
);
/// Gauge.
pub const RUNTIME_TASKS: MetricName =
    metric("surety.runtime.tasks", "{task}", "Tasks of the asynchronous runtime that are alive.");
/// Counter, by [`SHED_KIND`].
pub const SHED: MetricName = metric("surety.shed", "{call}", "Calls refused because the server was at its limit.");

/// Every metric, for documentation and for tests.
pub const ALL: [MetricName; 23] = [
    RPC_SERVER_CALL_DURATION,
    SPANS_PROCESSED,
    SPANS_EXPORTED,
    QUOTES,
    HOLDS_TAKEN,
    HOLDS_EXPIRED,
    CONFIRMATIONS,
    RELEASES,
    PLAN_ATTEMPTS,
    OFFERS_APPROVED,
    OFFERS_CLOSED,
    OFFER_CHECK_DURATION,
    COMMIT_BATCH_SIZE,
    COMMIT_DURATION,
    LEDGER_QUEUE_DEPTH,
    VIEW_AGE,
    VIEW_CURRENT,
    REQUESTS_IN_FLIGHT,
    OPEN_STREAMS,
    OPEN_WATCHES,
    AT_RISK,
    RUNTIME_TASKS,
    SHED,
];

/// Bounds of duration histograms, in seconds: those that the conventions ask for, continued down to 100 µs, since most
/// quotes are answered in less than their lowest bound of 5 ms.
pub const DURATION_BOUNDS: [f64; 19] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
    10.0,
];
/// Bounds of [`COMMIT_BATCH_SIZE`].
pub const BATCH_BOUNDS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// Bounds of [`PLAN_ATTEMPTS`].
pub const ATTEMPT_BOUNDS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0];
