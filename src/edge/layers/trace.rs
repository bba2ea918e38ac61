//! What is seen of every call from outside: the metric `rpc.server.call.duration`, and a SERVER span that continues the
//! caller's W3C trace context.
//!
//! Written against the OpenTelemetry API itself, since a `tracing` span for each request cost half of the throughput.
//! The cost is paid by those who ask for it: without an endpoint a call costs one branch more; a call that is not
//! sampled costs two clock reads, a lookup and the metric; only sampled ones collect attributes and make their span
//! current while they are polled.
//!
//! A gRPC call has ended when its status is known: in the headers (Trailers-Only), in the trailers, or, if neither came,
//! when it was dropped, which counts as CANCELLED.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status as SpanStatus, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::edge::grpc_error::code_name;
use crate::edge::layers::methods::{Methods, OTHER};
use crate::telemetry::{RpcInstruments, names};

/// The layer. See the module.
#[derive(Debug, Clone)]
pub struct TraceLayer {
    // None when nothing is exported.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    methods: Arc<Methods>,
    instruments: RpcInstruments,
    /// The metric's attributes by the method's position and the status code, made beforehand.
    attributes: Vec<Vec<Vec<KeyValue>>>,
    propagator: TraceContextPropagator,
}

impl TraceLayer {
    /// A layer that reports on `methods`; all others are reported as one.
    pub fn new(methods: Arc<Methods>, instruments: RpcInstruments) -> Self {
        if instruments.is_off() {
            return Self { shared: None };
        }
        let attributes = methods
            .all()
            .iter()
            .map(|method| CODES.iter().map(|&code| metric_attributes(method.name, code)).collect())
            .collect();
        let propagator = TraceContextPropagator::new();
        Self { shared: Some(Arc::new(Shared { methods, instruments, attributes, propagator })) }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = TraceService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TraceService { inner, layer: self.clone() }
    }
}

/// A service whose calls are measured and traced.
#[derive(Debug, Clone)]
pub struct TraceService<S> {
    inner: S,
    layer: TraceLayer,
}

impl<S, B, R> Service<Request<B>> for TraceService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<TraceBody<R>>;
    type Error = S::Error;
    type Future = TraceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = self.layer.shared.as_ref().map(|shared| Call::begin(shared, &request));
        // The span is current already while the handler is made: some services work before their first poll.
        let _current = call.as_ref().and_then(Call::enter);
        TraceFuture { inner: self.inner.call(request), call }
    }
}

/// One call that is being reported; reported when it is dropped.
struct Call {
    shared: Arc<Shared>,
    method: usize,
    begun: Instant,
    /// Holds the span, if the call is sampled.
    context: Option<Context>,
    /// CANCELLED until the call is known to have ended otherwise.
    code: Code,
    message: String,
}

impl Call {
    fn begin<B>(shared: &Arc<Shared>, request: &Request<B>) -> Self {
        let method = shared.methods.position(request.uri().path());
        Self {
            shared: shared.clone(),
            method,
            begun: Instant::now(),
            context: shared.start_span(method, request.headers()),
            code: Code::Cancelled,
            message: String::new(),
        }
    }

    fn enter(&self) -> Option<opentelemetry::ContextGuard> {
        self.context.clone().map(Context::attach)
    }

    /// Ends the call with the status that `headers` say. A call that ended without any is UNKNOWN, as callers take it.
    fn end(mut self, headers: Option<&HeaderMap>) {
        self.code = Code::Unknown;
        let Some(headers) = headers else { return };
        if self.context.is_some() {
            if let Some(status) = Status::from_header_map(headers) {
                self.code = status.code();
                self.message = status.message().to_owned();
            }
        } else if let Some(code) = headers.get(GRPC_STATUS) {
            self.code = Code::from_bytes(code.as_bytes());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.code == Code::Cancelled && std::thread::panicking() {
            self.code = Code::Internal;
        }
        let code = self.code;
        if let Some(duration) = &self.shared.instruments.duration {
            let attributes = &self.shared.attributes[self.method][code as usize];
            duration.record(self.begun.elapsed().as_secs_f64(), attributes);
        }
        let Some(context) = &self.context else { return };
        let span = context.span();
        span.set_attribute(KeyValue::new(names::RPC_RESPONSE_STATUS_CODE, code_name(code)));
        if is_server_error(code) {
            span.set_attribute(KeyValue::new(names::ERROR_TYPE, code_name(code)));
            span.set_status(SpanStatus::error(std::mem::take(&mut self.message)));
        }
        span.end();
    }
}

impl Shared {
    /// The context with a new span, if tracing is on, the call is no probe, and the caller or the ratio says to sample.
    fn start_span(&self, method: usize, headers: &HeaderMap) -> Option<Context> {
        let tracer = self.instruments.tracer.as_ref()?;
        let method = self.methods.all()[method];
        if method.probe {
            return None;
        }
        let parent = if headers.contains_key(TRACEPARENT) {
            self.propagator.extract_with_context(&Context::new(), &Headers::new(headers))
        } else {
            Context::new()
        };
        let name = if method.name == OTHER { names::RPC_SYSTEM_GRPC } else { method.name };
        // No attributes yet: they are collected only for spans that are kept.
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
        let mut span = tracer.build_with_context(builder, &parent);
        if !span.is_recording() {
            return None;
        }
        span.set_attribute(KeyValue::new(names::RPC_SYSTEM_NAME, names::RPC_SYSTEM_GRPC));
        span.set_attribute(KeyValue::new(names::RPC_METHOD, method.name));
        Some(parent.with_span(span))
    }
}

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const GRPC_STATUS: &str = "grpc-status";

/// The request's headers as the propagator wants them. Several `tracestate` headers are one list.
struct Headers<'a> {
    headers: &'a HeaderMap,
    joined_state: Option<String>,
}

impl<'a> Headers<'a> {
    fn new(headers: &'a HeaderMap) -> Self {
        let mut states = headers.get_all(TRACESTATE).iter();
        let several = states.next().is_some() && states.next().is_some();
        let joined_state = several.then(|| {
            let states: Vec<_> = headers.get_all(TRACESTATE).iter().filter_map(|state| state.to_str().ok()).collect();
            states.join(",")
        });
        Self { headers, joined_state }
    }
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match &self.joined_state {
            Some(state) if key == TRACESTATE => Some(state),
            _ => self.headers.get(key)?.to_str().ok(),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.keys().map(http::HeaderName::as_str).collect()
    }
}

pin_project! {
    /// A call that is being reported.
    pub struct TraceFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, R, E> Future for TraceFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<TraceBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = {
            let _current = this.call.as_ref().and_then(Call::enter);
            ready!(this.inner.poll(cx))
        };
        let mut call = this.call.take();
        Poll::Ready(match answer {
            Ok(response) => {
                // With the status in the headers, no body is to come and none may be polled.
                if response.headers().contains_key(GRPC_STATUS)
                    && let Some(call) = call.take()
                {
                    call.end(Some(response.headers()));
                }
                Ok(response.map(|inner| TraceBody { inner, call }))
            }
            Err(error) => {
                if let Some(call) = call {
                    call.end(None);
                }
                Err(error)
            }
        })
    }
}

pin_project! {
    /// A response body whose trailers, or whose end, end the call's report.
    pub struct TraceBody<R> {
        #[pin]
        inner: R,
        call: Option<Call>,
    }
}

impl<R: Body> Body for TraceBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = {
            let _current = this.call.as_ref().and_then(Call::enter);
            ready!(this.inner.poll_frame(cx))
        };
        let trailers = match &frame {
            Some(Ok(frame)) if !frame.is_trailers() => None,
            Some(Ok(frame)) => Some(frame.trailers_ref()),
            Some(Err(_)) | None => Some(None),
        };
        if let Some(trailers) = trailers
            && let Some(call) = this.call.take()
        {
            call.end(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// All status codes, each at the position of its number.
const CODES: [Code; 17] = [
    Code::Ok,
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

/// Whether the semantic conventions for gRPC count `code` as a failure of the server rather than an answer of it.
fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn metric_attributes(method: &'static str, code: Code) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(names::RPC_SYSTEM_NAME, names::RPC_SYSTEM_GRPC),
        KeyValue::new(names::RPC_METHOD, method),
        KeyValue::new(names::RPC_RESPONSE_STATUS_CODE, code_name(code)),
    ];
    if is_server_error(code) {
        attributes.push(KeyValue::new(names::ERROR_TYPE, code_name(code)));
    }
    // Sorted, since the aggregation sorts them otherwise whenever it meets them in another order.
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    attributes
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use opentelemetry::trace::{SpanId, TraceId, get_active_span};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::edge::layers::testing::{CHECK, DropFlag, Frames, QUOTE, Seen, WATCH, drain, methods, next, request};

    const SAMPLED: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    const NOT_SAMPLED: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");

    /// A service under the layer, whose answers end with the status in the caller's `want` header: in trailers, or in
    /// headers alone if `want-early` says so.
    fn service(
        seen: &Seen,
    ) -> impl Service<Request<()>, Response = Response<TraceBody<Frames>>, Error = Infallible> + Clone {
        let layer = TraceLayer::new(methods(), seen.instruments());
        layer.layer(service_fn(|request: Request<()>| async move {
            let want = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            if let Some(status) = want("want-early") {
                return Ok(Response::builder().header("grpc-status", status).body(Frames::default()).unwrap());
            }
            Ok(Response::new(match want("want") {
                Some(status) => Frames::answer(String::leak(status)),
                None => Frames::messages(1),
            }))
        }))
    }

    fn attribute(span: &opentelemetry_sdk::trace::SpanData, key: &str) -> String {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
        found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn the_callers_trace_goes_on() {
        let seen = Seen::new(0.0);
        let headers = [SAMPLED, ("tracestate", "a=1"), ("tracestate", "b=2"), ("want", "0")];
        let response = service(&seen).oneshot(request(QUOTE, &headers)).await.unwrap();
        assert!(seen.spans().is_empty(), "the call has not ended before its trailers");
        drain(response).await;
        let [span] = &seen.spans()[..] else { panic!("{:?}", seen.spans()) };
        assert_eq!(span.span_context.trace_id(), TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap());
        assert_eq!(span.parent_span_id, SpanId::from_hex("00f067aa0ba902b7").unwrap());
        assert!(span.parent_span_is_remote);
        assert_eq!(span.span_context.trace_state().header(), "a=1,b=2");
        assert_eq!(span.span_kind, SpanKind::Server);
        assert_eq!(span.name, "surety.v1.PromiseService/Quote");
        assert_eq!(attribute(span, "rpc.system.name"), "grpc");
        assert_eq!(attribute(span, "rpc.method"), "surety.v1.PromiseService/Quote");
        assert_eq!(attribute(span, "rpc.response.status_code"), "OK");
        assert_eq!(span.status, SpanStatus::Unset);
    }

    #[tokio::test]
    async fn the_caller_decides_whether_and_the_ratio_decides_for_those_who_do_not() {
        for (ratio, header, sampled) in [
            (1.0, None, true),
            (0.0, None, false),
            (1.0, Some(NOT_SAMPLED), false),
            (0.0, Some(SAMPLED), true),
            (1.0, Some(("traceparent", "rubbish")), true),
        ] {
            let seen = Seen::new(ratio);
            let headers: Vec<_> = header.into_iter().chain([("want", "0")]).collect();
            drain(service(&seen).oneshot(request(QUOTE, &headers)).await.unwrap()).await;
            assert_eq!(seen.spans().len(), usize::from(sampled), "{ratio} {header:?}");
            assert_eq!(seen.calls().len(), 1, "the metric counts every call");
        }
    }

    #[tokio::test]
    async fn the_status_is_found_wherever_it_is() {
        let seen = Seen::new(1.0);
        for headers in [&[("want", "5")][..], &[("want-early", "3")], &[("want", "13")], &[("want", "99")], &[]] {
            drain(service(&seen).oneshot(request(QUOTE, headers)).await.unwrap()).await;
        }
        let quote = |status: &str, count| (QUOTE[1..].to_owned(), status.to_owned(), count);
        let expected = [quote("INTERNAL", 1), quote("INVALID_ARGUMENT", 1), quote("NOT_FOUND", 1), quote("UNKNOWN", 2)];
        assert_eq!(seen.calls(), expected);
        let errors: Vec<_> = seen
            .spans()
            .iter()
            .map(|span| (attribute(span, "rpc.response.status_code"), attribute(span, "error.type")))
            .collect();
        let pair = |status: &str, error: &str| (status.to_owned(), error.to_owned());
        assert_eq!(errors[..3], [pair("NOT_FOUND", ""), pair("INVALID_ARGUMENT", ""), pair("INTERNAL", "INTERNAL")]);
        assert_eq!(seen.spans()[0].status, SpanStatus::Unset, "a caller's mistake is not the server's error");
        assert_eq!(seen.spans()[2].status, SpanStatus::error("because"));
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_is_cancelled() {
        let seen = Seen::new(1.0);
        let layer = TraceLayer::new(methods(), seen.instruments());
        let never = layer.layer(service_fn(|_: Request<()>| async {
            std::future::pending::<Result<Response<Frames>, Infallible>>().await
        }));
        let mut call = Box::pin(never.oneshot(request(QUOTE, &[])));
        assert!(std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
        assert!(seen.spans().is_empty());
        drop(call);

        let flag = DropFlag::default();
        let endless = layer.layer(service_fn(|_: Request<()>| {
            let body = Frames::messages(1).endless(&flag);
            async move { Ok::<_, Infallible>(Response::new(body)) }
        }));
        let mut body = Box::pin(endless.oneshot(request(WATCH, &[])).await.unwrap().into_body());
        assert!(next(&mut body).await.unwrap().is_data());
        drop(body);

        let cancelled = |path: &str| (path[1..].to_owned(), "CANCELLED".to_owned(), 1);
        assert_eq!(seen.calls(), [cancelled(QUOTE), cancelled(WATCH)]);
        assert!(seen.spans().iter().all(|span| attribute(span, "rpc.response.status_code") == "CANCELLED"));
        assert_eq!(seen.spans().len(), 2);
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_an_internal_error() {
        let seen = Seen::new(1.0);
        let layer = TraceLayer::new(methods(), seen.instruments());
        let panics = layer.layer(service_fn(|_: Request<()>| async {
            if true {
                panic!("on purpose");
            }
            Ok::<_, Infallible>(Response::new(Frames::default()))
        }));
        let ended = tokio::spawn(panics.oneshot(request(QUOTE, &[]))).await;
        assert!(ended.is_err_and(|error| error.is_panic()));
        assert_eq!(seen.calls(), [(QUOTE[1..].to_owned(), "INTERNAL".to_owned(), 1)]);
    }

    #[tokio::test]
    async fn unknown_methods_are_one_and_probes_leave_no_spans() {
        let seen = Seen::new(1.0);
        for path in ["/a.B/C", "/surety.v1.PromiseService/42", "/"] {
            drain(service(&seen).oneshot(request(path, &[("want", "12")])).await.unwrap()).await;
        }
        drain(service(&seen).oneshot(request(CHECK, &[("want", "0")])).await.unwrap()).await;
        let other = (OTHER.to_owned(), "UNIMPLEMENTED".to_owned(), 3);
        assert_eq!(seen.calls(), [other, (CHECK[1..].to_owned(), "OK".to_owned(), 1)]);
        let names: Vec<_> = seen.spans().iter().map(|span| span.name.to_string()).collect();
        assert_eq!(names, ["grpc"; 3]);
    }

    #[tokio::test]
    async fn the_span_is_current_in_the_handler_and_nowhere_else() {
        let seen = Seen::new(1.0);
        let current = || get_active_span(|span| span.span_context().span_id());
        let service =
            TraceLayer::new(methods(), seen.instruments()).layer(service_fn(move |_: Request<()>| async move {
                tokio::task::yield_now().await;
                let id = current().to_string();
                Ok::<_, Infallible>(Response::builder().header("id", id).body(Frames::answer("0")).unwrap())
            }));
        let response = service.oneshot(request(QUOTE, &[])).await.unwrap();
        let inside = response.headers()["id"].to_str().unwrap().to_owned();
        drain(response).await;
        assert_eq!(inside, seen.spans()[0].span_context.span_id().to_string());
        assert_eq!(current(), SpanId::INVALID);
    }

    #[tokio::test]
    async fn without_an_endpoint_nothing_is_kept() {
        let layer = TraceLayer::new(methods(), RpcInstruments::default());
        assert!(layer.shared.is_none());
        let service =
            layer.layer(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Frames::answer("0"))) }));
        let response = service.oneshot(request(QUOTE, &[SAMPLED])).await.unwrap();
        assert!(response.body().call.is_none());
        drain(response).await;
    }

    #[test]
    fn codes_stand_at_their_numbers() {
        for (number, code) in CODES.into_iter().enumerate() {
            assert_eq!(code as usize, number);
            assert_eq!(Code::from_bytes(number.to_string().as_bytes()), code);
        }
    }
}
