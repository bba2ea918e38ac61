//! Export to a collector that is played by the test, and what becomes of spans when it does not answer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};

use http::{Request, Response};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::UnaryService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::Service;

use super::export::{CountingProcessor, SpanCounts};
use super::*;

/// Counts the exports of either signal; what is in them it does not read.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<AtomicUsize>,
    metrics: Arc<AtomicUsize>,
}

/// Counts calls and answers with an empty message, which is what collectors say when all is well.
struct Count(Arc<AtomicUsize>);

impl UnaryService<()> for Count {
    type Response = ();
    type Future = std::future::Ready<Result<tonic::Response<()>, tonic::Status>>;

    fn call(&mut self, _: tonic::Request<()>) -> Self::Future {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(tonic::Response::new(())))
    }
}

impl Service<Request<Body>> for Collector {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let count = Count(match request.uri().path() {
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => self.spans.clone(),
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => self.metrics.clone(),
            path => panic!("no collector has {path}"),
        });
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        Box::pin(async move { Ok(tonic::server::Grpc::new(codec).unary(count, request).await) })
    }
}

fn config(endpoint: &str) -> TelemetryConfig {
    TelemetryConfig { otlp_endpoint: Some(endpoint.to_owned()), sample_ratio: 1.0, ..TelemetryConfig::default() }
}

/// The collector has a thread of its own; the runtime that shuts telemetry down has one thread, which waits.
#[test]
fn shutting_down_on_the_only_thread_of_a_runtime_sends_what_is_left() {
    let seen = Collector::default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    collector.spawn({
        let seen = seen.clone();
        async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            Server::builder().serve_with_incoming(seen, TcpIncoming::from(listener)).await
        }
    });

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let telemetry = Telemetry::start(&config(&endpoint)).unwrap();
        telemetry.metrics().hold_taken();
        drop(telemetry.rpc().tracer.unwrap().start("call"));
        telemetry.shutdown().unwrap();
    });
    assert_eq!((seen.spans.load(Ordering::SeqCst), seen.metrics.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_collector_that_is_not_there_is_no_reason_not_to_start() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let telemetry = Telemetry::start(&config(&endpoint)).unwrap();
    telemetry.metrics().hold_taken();
    assert!(matches!(telemetry.shutdown(), Err(TelemetryError::Flush(_))));
}

#[test]
fn all_faults_of_a_configuration_are_named_at_once() {
    assert_eq!(TelemetryConfig::default().faults(), Vec::<String>::new());
    assert!(config("http://[::1]:4317").faults().is_empty());
    let wrong = TelemetryConfig {
        otlp_endpoint: Some("https://collector:4317".to_owned()),
        sample_ratio: f64::NAN,
        metric_interval: Duration::ZERO,
        log_filter: "surety=loud".to_owned(),
        ..TelemetryConfig::default()
    };
    let Err(TelemetryError::Invalid(faults)) = Telemetry::start(&wrong) else { panic!("must be refused") };
    assert_eq!(faults.len(), 4, "{faults:?}");
    for (fault, word) in faults.iter().zip(["https://collector:4317", "NaN", "interval", "surety=loud"]) {
        assert!(fault.contains(word), "{fault}");
    }
    for endpoint in ["", "localhost:4317", "http://localhost", "/otlp"] {
        assert_eq!(config(endpoint).faults().len(), 1, "{endpoint:?}");
    }
}

/// What was collected, as "name value" lines.
fn collected(exporter: &InMemoryMetricExporter, provider: &SdkMeterProvider) -> Vec<String> {
    provider.force_flush().unwrap();
    let all = exporter.get_finished_metrics().unwrap();
    let mut lines = Vec::new();
    for metric in all.last().unwrap().scope_metrics().flat_map(|scope| scope.metrics()) {
        let named = names::ALL.iter().find(|name| name.name == metric.name()).expect("every name is in names.rs");
        assert_eq!((metric.unit(), metric.description()), (named.unit, named.description));
        let mut line = |value: String| lines.push(format!("{} {value}", metric.name()));
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => sum.data_points().for_each(|point| {
                let attributes: Vec<_> = point.attributes().map(|a| format!(" {}", a.value)).collect();
                line(format!("{}{}", point.value(), attributes.concat()));
            }),
            AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                sum.data_points().for_each(|point| line(point.value().to_string()));
            }
            AggregatedMetrics::U64(MetricData::Gauge(g)) => g.data_points().for_each(|p| line(p.value().to_string())),
            AggregatedMetrics::F64(MetricData::Gauge(g)) => g.data_points().for_each(|p| line(p.value().to_string())),
            AggregatedMetrics::U64(MetricData::Histogram(h)) => h.data_points().for_each(|p| line(p.sum().to_string())),
            AggregatedMetrics::F64(MetricData::Histogram(h)) => h.data_points().for_each(|p| line(p.sum().to_string())),
            data => panic!("{data:?}"),
        }
    }
    lines.sort();
    lines
}

#[test]
fn every_method_counts_under_its_name() {
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let metrics = Metrics::on(&provider.meter(names::SCOPE));
    let depth = Arc::new(AtomicU64::new(7));
    metrics.observe_queue_depth({
        let depth = depth.clone();
        move || depth.load(Ordering::SeqCst)
    });
    metrics.observe_view_age(|| Some(Duration::from_millis(250)));
    metrics.observe_view_current(|| true);
    metrics.observe_in_flight(|| 3);
    metrics.observe_open_streams(|| 4);
    metrics.observe_tasks(|| 12);
    metrics.quote(QuoteVerdict::Promised, QuoteKind::Hold);
    metrics.quote(QuoteVerdict::Promised, QuoteKind::Hold);
    metrics.quote(QuoteVerdict::Later, QuoteKind::Read);
    metrics.hold_taken();
    metrics.holds_expired(5);
    metrics.confirmed();
    metrics.released();
    metrics.planned(2);
    metrics.offer_approved();
    metrics.offer_closed();
    metrics.offer_checked(Duration::from_millis(125));
    metrics.committed(32, Duration::from_millis(500));
    metrics.shed(ShedKind::Stream);
    let watch = metrics.watch_opened();
    drop(metrics.watch_opened());
    assert_eq!(
        collected(&exporter, &provider),
        [
            "surety.confirmations 1",
            "surety.hold.plan_attempts 2",
            "surety.holds.expired 5",
            "surety.holds.taken 1",
            "surety.ledger.commit.batch_size 32",
            "surety.ledger.commit.duration 0.5",
            "surety.ledger.queue_depth 7",
            "surety.offer.check.duration 0.125",
            "surety.offers.approved 1",
            "surety.offers.closed 1",
            "surety.quotes 1 read later",
            "surety.quotes 2 hold promised",
            "surety.releases 1",
            "surety.requests.in_flight 3",
            "surety.runtime.tasks 12",
            "surety.shed 1 stream",
            "surety.streams.open 4",
            "surety.view.age 0.25",
            "surety.view.current 1",
            "surety.watches.open 1",
        ]
    );
    drop(watch);
    depth.store(0, Ordering::SeqCst);
    let lines = collected(&exporter, &provider);
    assert!(lines.contains(&"surety.watches.open 0".to_owned()));
    assert!(lines.contains(&"surety.ledger.queue_depth 0".to_owned()));
}

#[test]
fn metrics_that_are_off_take_everything() {
    let metrics = Metrics::off();
    metrics.quote(QuoteVerdict::Unavailable, QuoteKind::Read);
    metrics.committed(1, Duration::ZERO);
    metrics.observe_view_age(|| panic!("nobody asks"));
    drop(metrics.watch_opened());
    assert!(Telemetry::start(&TelemetryConfig::default()).unwrap().rpc().is_off());
}

/// A collector that hangs until it is let go.
#[derive(Debug, Clone, Default)]
struct Hanging(Arc<(Mutex<bool>, Condvar)>);

impl Hanging {
    fn let_go(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

impl SpanExporter for Hanging {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |gone| !*gone).unwrap());
        Ok(())
    }
}

#[test]
fn spans_that_find_the_queue_full_are_counted() {
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    let counts = Arc::new(SpanCounts::new(&meters.meter(names::SCOPE)));
    let hanging = Hanging::default();
    let spans =
        SdkTracerProvider::builder().with_span_processor(CountingProcessor::new(hanging.clone(), 10, counts)).build();
    let tracer = spans.tracer(names::SCOPE);
    for _ in 0..1000 {
        drop(tracer.start("call"));
    }
    hanging.let_go();
    spans.shutdown().unwrap();
    let lines = collected(&exporter, &meters);
    let number = |prefix: &str, suffix: &str| -> u64 {
        let line = lines.iter().find_map(|line| line.strip_prefix(prefix)?.strip_suffix(suffix)?.trim().parse().ok());
        line.unwrap_or_else(|| panic!("{prefix} {suffix}: {lines:?}"))
    };
    let lost = number("otel.sdk.processor.span.processed ", " queue_full");
    let processed = number("otel.sdk.processor.span.processed ", "");
    let exported = number("otel.sdk.exporter.span.exported ", "");
    assert_eq!(lost + processed, 1000);
    assert_eq!(processed, exported);
    // What the exporter took before it hung, and what fitted into the queue behind it.
    assert!((10..=20).contains(&exported), "{exported}");
}
