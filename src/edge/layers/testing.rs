//! What the tests of the layers share: bodies made of frames, handlers that tell when they are dropped, and exporters
//! that keep what they are given.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tonic::codegen::Bytes;

use crate::edge::layers::methods::Methods;
use crate::telemetry::metrics::seconds;
use crate::telemetry::{Metrics, RpcInstruments, names, sampler};

pub(super) const QUOTE: &str = "/surety.v1.PromiseService/Quote";
pub(super) const WATCH: &str = "/surety.v1.PromiseService/WatchQuote";
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// The contract's methods, with health as a probe.
pub(super) fn methods() -> Arc<Methods> {
    let methods = Methods::none().with_services(crate::proto::DESCRIPTORS);
    Arc::new(methods.and_then(|m| m.with_probes(tonic_health::pb::FILE_DESCRIPTOR_SET)).unwrap())
}

pub(super) fn request(path: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// Says whether what holds the other end has been dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct DropFlag(Arc<AtomicBool>);

impl DropFlag {
    pub(super) fn guard(&self) -> DropGuard {
        DropGuard(self.clone())
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
pub(super) struct DropGuard(DropFlag);

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

/// A body that gives its frames one by one, and then ends or waits for ever.
#[derive(Debug, Default)]
pub(super) struct Frames {
    frames: VecDeque<Frame<Bytes>>,
    endless: bool,
    _guard: Option<DropGuard>,
}

impl Frames {
    /// A message, and then trailers with `status`.
    pub(super) fn answer(status: &'static str) -> Self {
        Self::messages(1).with_status(status)
    }

    pub(super) fn messages(count: usize) -> Self {
        let frames = (0..count).map(|_| Frame::data(Bytes::from_static(b"\0\0\0\0\0"))).collect();
        Self { frames, ..Self::default() }
    }

    pub(super) fn with_status(mut self, status: &'static str) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        trailers.insert("grpc-message", "because".parse().unwrap());
        self.frames.push_back(Frame::trailers(trailers));
        self
    }

    pub(super) fn endless(mut self, flag: &DropFlag) -> Self {
        self.endless = true;
        self._guard = Some(flag.guard());
        self
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if self.endless => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

/// The next frame of a body.
pub(super) async fn next<B: Body + Unpin>(body: &mut B) -> Option<Frame<B::Data>> {
    let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
    frame.map(|frame| frame.ok().expect("test bodies have no errors"))
}

/// Reads a body to its end.
pub(super) async fn drain<B: Body>(response: Response<B>) {
    let mut body = Box::pin(response.into_body());
    while next(&mut body).await.is_some() {}
}

/// Exporters that keep what they are given.
pub(super) struct Seen {
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    tracer_provider: SdkTracerProvider,
    meter_provider: SdkMeterProvider,
}

impl Seen {
    pub(super) fn new(sample_ratio: f64) -> Self {
        let spans = InMemorySpanExporter::default();
        let metrics = InMemoryMetricExporter::default();
        let tracer_provider = SdkTracerProvider::builder()
            .with_sampler(sampler(sample_ratio))
            .with_simple_exporter(spans.clone())
            .build();
        let reader = PeriodicReader::builder(metrics.clone()).build();
        let meter_provider = SdkMeterProvider::builder().with_reader(reader).build();
        Self { spans, metrics, tracer_provider, meter_provider }
    }

    pub(super) fn instruments(&self) -> RpcInstruments {
        let meter = self.meter_provider.meter(names::SCOPE);
        RpcInstruments {
            tracer: Some(self.tracer_provider.tracer(names::SCOPE)),
            duration: Some(seconds(&meter, names::RPC_SERVER_CALL_DURATION)),
        }
    }

    pub(super) fn own_metrics(&self) -> Metrics {
        Metrics::on(&self.meter_provider.meter(names::SCOPE))
    }

    pub(super) fn spans(&self) -> Vec<SpanData> {
        self.spans.get_finished_spans().unwrap()
    }

    /// (method, status, count) of the calls that were measured.
    pub(super) fn calls(&self) -> Vec<(String, String, u64)> {
        let mut calls = Vec::new();
        self.each(names::RPC_SERVER_CALL_DURATION.name, |metric| {
            assert_eq!(metric.unit(), "s");
            let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else { panic!("{metric:?}") };
            for point in histogram.data_points() {
                let of = |key| {
                    let found = point.attributes().find(|attribute| attribute.key.as_str() == key);
                    found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
                };
                assert_eq!(of(names::RPC_SYSTEM_NAME), "grpc");
                calls.push((of(names::RPC_METHOD), of(names::RPC_RESPONSE_STATUS_CODE), point.count()));
            }
        });
        calls.sort();
        calls
    }

    /// The sum of a counter, or the value of a gauge, over all its attributes.
    pub(super) fn value(&self, name: &str) -> u64 {
        let mut value = 0;
        self.each(name, |metric| match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => value = sum.data_points().map(|point| point.value()).sum(),
            AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
                value = gauge.data_points().map(|point| point.value()).sum();
            }
            data => panic!("{name} is {data:?}"),
        });
        value
    }

    fn each(&self, name: &str, mut see: impl FnMut(&Metric)) {
        self.metrics.reset();
        self.meter_provider.force_flush().unwrap();
        let collected: Vec<ResourceMetrics> = self.metrics.get_finished_metrics().unwrap();
        let last = collected.last().expect("a flush exports");
        last.scope_metrics().flat_map(|scope| scope.metrics()).filter(|m| m.name() == name).for_each(&mut see);
    }
}
