//! The exporters: batches of spans and metrics, sent by OTLP over gRPC from a runtime of their own.
//!
//! Of their own, because the SDK's threads wait for the exporter, and shutting down waits for those threads: were the
//! exporter driven by the runtime that is shutting down (the only thread of a `current_thread` one), that would never
//! end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::metrics::{Counter, Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};

use crate::telemetry::metrics::{counter, seconds};
use crate::telemetry::{Metrics, RpcInstruments, TelemetryConfig, TelemetryError, names};

/// The most spans that wait for export; those beyond are lost, and counted. A span is about 500 bytes.
pub const MAX_QUEUED_SPANS: usize = 8_192;
/// The most spans in one export.
const MAX_EXPORT_BATCH: usize = 1_024;
/// How long finished spans wait for others before they are sent.
const SPAN_DELAY: Duration = Duration::from_secs(2);
/// How long one export may take. Shutting down waits for the last one.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long shutting down waits for the last export.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Running exporters.
#[derive(Debug)]
pub(super) struct Exporters {
    tracer_provider: SdkTracerProvider,
    meter_provider: SdkMeterProvider,
    lost: Arc<SpanCounts>,
    runtime: tokio::runtime::Runtime,
}

impl Exporters {
    pub(super) fn start(
        endpoint: &str,
        config: &TelemetryConfig,
    ) -> Result<(Self, Metrics, RpcInstruments), TelemetryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp-export")
            .enable_all()
            .build()
            .map_err(|error| TelemetryError::Exporter(format!("no thread for the exporter: {error}")))?;
        // Connections are driven by the runtime in which the exporters are built.
        let entered = runtime.enter();
        let failed = |error: opentelemetry_otlp::ExporterBuildError| TelemetryError::Exporter(error.to_string());
        let metric_exporter = opentelemetry_otlp::MetricExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(failed)?;
        let span_exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(failed)?;
        let resource = resource(config);
        let reader = PeriodicReader::builder(metric_exporter).with_interval(config.metric_interval).build();
        let meter_provider = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader).build();
        let meter = meter_provider.meter(names::SCOPE);
        let lost = Arc::new(SpanCounts::new(&meter));
        let tracer_provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(sampler(config.sample_ratio))
            .with_span_processor(CountingProcessor::new(span_exporter, MAX_QUEUED_SPANS, lost.clone()))
            .build();
        let instruments = RpcInstruments {
            tracer: Some(tracer_provider.tracer(names::SCOPE)),
            duration: Some(seconds(&meter, names::RPC_SERVER_CALL_DURATION)),
        };
        drop(entered);
        Ok((Self { tracer_provider, meter_provider, lost, runtime }, Metrics::on(&meter), instruments))
    }

    /// Sends what is left and stops. Blocks for at most some [`SHUTDOWN_TIMEOUT`].
    pub(super) fn stop(self) -> Result<(), TelemetryError> {
        let Self { tracer_provider, meter_provider, lost, runtime } = self;
        // Spans first, so that their counts are in the last metrics.
        let spans = tracer_provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        let metrics = meter_provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        // Not dropped: that may not happen inside of another runtime, and would wait for a collector that hangs.
        runtime.shutdown_background();
        let lost = lost.dropped.load(Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                spans = lost,
                queue = MAX_QUEUED_SPANS,
                "spans were lost because the collector was too slow"
            );
        }
        match (spans, metrics) {
            (Ok(()), Ok(())) => Ok(()),
            (spans, metrics) => {
                let faults: Vec<_> = [("spans", spans), ("metrics", metrics)]
                    .into_iter()
                    .filter_map(|(what, result)| Some(format!("{what}: {}", result.err()?)))
                    .collect();
                Err(TelemetryError::Flush(faults.join("; ")))
            }
        }
    }
}

/// As the caller decided; `ratio` of the calls whose caller did not. Whether a trace is in is a function of its id, so
/// that all services that use the same ratio agree.
pub(crate) fn sampler(ratio: f64) -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)))
}

/// Who is speaking. `OTEL_RESOURCE_ATTRIBUTES` adds to it.
fn resource(config: &TelemetryConfig) -> Resource {
    Resource::builder()
        .with_service_name("surety")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", config.instance_id.clone()),
        ])
        .build()
}

/// What became of the spans.
#[derive(Debug)]
pub(crate) struct SpanCounts {
    processed: Counter<u64>,
    exported: Counter<u64>,
    /// Spans lost to a full queue.
    dropped: AtomicUsize,
}

impl SpanCounts {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            processed: counter(meter, names::SPANS_PROCESSED),
            exported: counter(meter, names::SPANS_EXPORTED),
            dropped: AtomicUsize::new(0),
        }
    }
}

/// The SDK's batch processor drops spans when its queue is full and tells nobody how many. So this one keeps the count
/// of what is queued, stops at the same bound before the other would, and counts what it turns away.
#[derive(Debug)]
pub(crate) struct CountingProcessor {
    inner: BatchSpanProcessor,
    queued: Arc<AtomicUsize>,
    max_queued: usize,
    counts: Arc<SpanCounts>,
}

impl CountingProcessor {
    pub(crate) fn new<E: SpanExporter + 'static>(exporter: E, max_queued: usize, counts: Arc<SpanCounts>) -> Self {
        let queued = Arc::new(AtomicUsize::new(0));
        let exporter = CountingExporter { inner: exporter, queued: queued.clone(), counts: counts.clone() };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(max_queued)
            .with_max_export_batch_size(MAX_EXPORT_BATCH.min(max_queued))
            .with_scheduled_delay(SPAN_DELAY)
            .build();
        Self { inner: BatchSpanProcessor::new(exporter, config), queued, max_queued, counts }
    }
}

impl SpanProcessor for CountingProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.inner.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if self.queued.fetch_add(1, Ordering::Relaxed) < self.max_queued {
            self.inner.on_end(span);
            return;
        }
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.counts.processed.add(1, &[KeyValue::new(names::ERROR_TYPE, "queue_full")]);
        if self.counts.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                queue = self.max_queued,
                "the collector is too slow, spans are being lost; this is said once"
            );
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Takes spans off the count of those queued and says what became of them.
#[derive(Debug)]
struct CountingExporter<E> {
    inner: E,
    queued: Arc<AtomicUsize>,
    counts: Arc<SpanCounts>,
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.queued.fetch_sub(spans, Ordering::Relaxed);
        self.counts.processed.add(spans as u64, &[]);
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => self.counts.exported.add(spans as u64, &[]),
            Err(_) => self.counts.exported.add(spans as u64, &[KeyValue::new(names::ERROR_TYPE, "export_failed")]),
        }
        result
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.inner.shutdown()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
