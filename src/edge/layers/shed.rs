//! Load shedding: at most so many calls at once in the whole server; the rest is refused at once with
//! RESOURCE_EXHAUSTED and the advice when to come again.
//!
//! tonic's own limit counts per connection, and makes callers wait instead of telling them. Unary calls and streams have
//! limits of their own, so that shoppers with open pages cannot keep others from buying. Probes are never refused: a
//! server that is busy is not dead.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::edge::grpc_error::GrpcError;
use crate::edge::layers::methods::Methods;
use crate::telemetry::{Metrics, ShedKind};

/// How much is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShedLimits {
    /// The most unary calls at once, over all connections.
    pub max_requests: usize,
    /// The most streams open at once, over all connections.
    pub max_streams: usize,
    /// What refused callers are told to wait before they come again.
    pub retry_after: Duration,
}

/// What is being worked on at the moment, to be read at any time.
#[derive(Debug, Clone)]
pub struct Load(Arc<Gates>);

impl Load {
    /// Unary calls that were let in and are not answered to their last byte, or dropped.
    pub fn requests(&self) -> usize {
        self.0.requests.held.load(Ordering::Relaxed)
    }

    /// Streams that were let in and have not ended.
    pub fn streams(&self) -> usize {
        self.0.streams.held.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Gates {
    requests: Gate,
    streams: Gate,
}

/// One limit and how much of it is taken.
#[derive(Debug)]
struct Gate {
    held: AtomicUsize,
    max: usize,
}

impl Gate {
    fn new(max: usize) -> Self {
        Self { held: AtomicUsize::new(0), max }
    }

    /// Takes one place, if there is one. The count guards no other memory, so nothing has to be ordered by it.
    fn enter(&self) -> bool {
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held < self.max).then_some(held + 1))
            .is_ok()
    }
}

/// One place behind a gate, given back on drop.
#[derive(Debug)]
struct Permit {
    gates: Arc<Gates>,
    stream: bool,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let gate = if self.stream { &self.gates.streams } else { &self.gates.requests };
        let before = gate.held.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a place was given back that was never taken");
    }
}

/// The layer. See the module.
#[derive(Debug, Clone)]
pub struct ShedLayer(Arc<Shared>);

/// What all clones of a layer share. A layer is cloned for every call, so that it is one count to be kept, not one for each of these:
/// cores that count in the same place wait for each other.
#[derive(Debug)]
struct Shared {
    methods: Arc<Methods>,
    gates: Arc<Gates>,
    metrics: Metrics,
    // Refusing must stay cheap when there is much to refuse, so the two answers are made once.
    too_many_requests: Arc<Status>,
    too_many_streams: Arc<Status>,
}

impl ShedLayer {
    /// One layer is made for a server and all clones of it count together. `metrics` counts what is refused and observes
    /// the calls in flight.
    pub fn new(methods: Arc<Methods>, limits: ShedLimits, metrics: Metrics) -> Self {
        let gates =
            Arc::new(Gates { requests: Gate::new(limits.max_requests), streams: Gate::new(limits.max_streams) });
        let load = Load(gates.clone());
        metrics.observe_in_flight({
            let load = load.clone();
            move || load.requests() as u64
        });
        metrics.observe_open_streams(move || load.streams() as u64);
        let refusal = |reason, what: &str, max: usize| {
            let message = format!("the server is at its limit of {what}; try again after {:?}", limits.retry_after);
            let error = GrpcError::new(Code::ResourceExhausted, reason, message).metadata("limit", max.to_string());
            Arc::new(error.retry_after(limits.retry_after).into_status())
        };
        Self(Arc::new(Shared {
            methods,
            gates,
            metrics,
            too_many_requests: refusal("TOO_MANY_REQUESTS", "requests in flight", limits.max_requests),
            too_many_streams: refusal("TOO_MANY_STREAMS", "open streams", limits.max_streams),
        }))
    }

    /// What is being worked on, for health and for draining.
    pub fn load(&self) -> Load {
        Load(self.0.gates.clone())
    }

    /// Lets a call of the method at `path` in, or says why not. Probes need no permit.
    fn admit(&self, path: &str) -> Result<Option<Permit>, Arc<Status>> {
        let Shared { methods, gates, metrics, too_many_requests, too_many_streams } = &*self.0;
        let method = methods.find(path);
        if method.probe {
            return Ok(None);
        }
        let (gate, kind, refusal) = if method.streaming {
            (&gates.streams, ShedKind::Stream, too_many_streams)
        } else {
            (&gates.requests, ShedKind::Request, too_many_requests)
        };
        if gate.enter() {
            return Ok(Some(Permit { gates: Arc::clone(gates), stream: method.streaming }));
        }
        metrics.shed(kind);
        Err(refusal.clone())
    }
}

impl<S> Layer<S> for ShedLayer {
    type Service = ShedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ShedService { inner, layer: self.clone() }
    }
}

/// A service that refuses what is too much.
#[derive(Debug, Clone)]
pub struct ShedService<S> {
    inner: S,
    layer: ShedLayer,
}

impl<S, B, R> Service<Request<B>> for ShedService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<ShedBody<R>>;
    type Error = S::Error;
    type Future = ShedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.layer.admit(request.uri().path()) {
            Ok(permit) => ShedFuture { call: Some(self.inner.call(request)), permit, refusal: None },
            Err(refusal) => ShedFuture { call: None, permit: None, refusal: Some(refusal) },
        }
    }
}

pin_project! {
    /// A call that was let in, or the refusal of one that was not.
    pub struct ShedFuture<F> {
        #[pin]
        call: Option<F>,
        permit: Option<Permit>,
        refusal: Option<Arc<Status>>,
    }
}

impl<F, R, E> Future for ShedFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<ShedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(call) = this.call.as_pin_mut() else {
            let refusal = this.refusal.take().expect("a refused call is answered once and not polled again");
            return Poll::Ready(Ok(Status::clone(&refusal).into_http()));
        };
        let answer = ready!(call.poll(cx));
        let permit = this.permit.take();
        Poll::Ready(answer.map(|response| response.map(|body| ShedBody { body, permit })))
    }
}

pin_project! {
    /// A response body that keeps its call's place until it has ended or is dropped.
    #[derive(Default)]
    pub struct ShedBody<R> {
        #[pin]
        body: R,
        permit: Option<Permit>,
    }
}

impl<R: Body> Body for ShedBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if frame.as_ref().is_none_or(|frame| frame.as_ref().map_or(true, Frame::is_trailers)) {
            this.permit.take();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tonic_types::StatusExt;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::edge::layers::testing::{CHECK, DropFlag, Frames, QUOTE, Seen, WATCH, drain, methods, next, request};
    use crate::telemetry::names;

    const LIMITS: ShedLimits = ShedLimits { max_requests: 2, max_streams: 1, retry_after: Duration::from_millis(300) };

    /// A service that answers at once with a body that has to be read, or never if the caller says so.
    fn service(
        layer: &ShedLayer,
    ) -> impl Service<Request<()>, Response = Response<ShedBody<Frames>>, Error = Infallible> + Clone + use<> {
        layer.layer(service_fn(|request: Request<()>| async move {
            if request.headers().contains_key("never") {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(Frames::answer("0")))
        }))
    }

    fn refusal<B>(response: &Response<B>) -> Option<Status> {
        Status::from_header_map(response.headers())
    }

    #[tokio::test]
    async fn one_call_too_many_is_refused_at_once_and_told_when_to_come_again() {
        let seen = Seen::new(0.0);
        let layer = ShedLayer::new(methods(), LIMITS, seen.own_metrics());
        let service = service(&layer);
        let first = service.clone().oneshot(request(QUOTE, &[])).await.unwrap();
        let second = service.clone().oneshot(request(QUOTE, &[])).await.unwrap();
        assert!(refusal(&first).is_none() && refusal(&second).is_none());
        assert_eq!(seen.value(names::REQUESTS_IN_FLIGHT.name), 2);

        let status = refusal(&service.clone().oneshot(request(QUOTE, &[])).await.unwrap()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(LIMITS.retry_after));
        assert_eq!(details.error_info().unwrap().reason, "TOO_MANY_REQUESTS");
        assert_eq!(details.error_info().unwrap().metadata["limit"], "2");
        assert_eq!(seen.value(names::SHED.name), 1);

        // One place comes back when a body has been read, although it is still there; the other when one is dropped.
        let mut body = Box::pin(first.into_body());
        assert!(next(&mut body).await.unwrap().is_data());
        assert_eq!(layer.load().requests(), 2);
        assert!(next(&mut body).await.unwrap().is_trailers());
        assert_eq!(layer.load().requests(), 1);
        drop(second);
        assert_eq!(layer.load().requests(), 0);
        drain(service.oneshot(request(QUOTE, &[])).await.unwrap()).await;
        assert_eq!(layer.load().requests(), 0);
        drop(body);
        assert_eq!(layer.load().requests(), 0, "a place comes back once");
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_gives_its_place_back() {
        let layer = ShedLayer::new(methods(), LIMITS, Metrics::off());
        let mut call = Box::pin(service(&layer).oneshot(request(QUOTE, &[("never", "1")])));
        assert!(std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
        assert_eq!(layer.load().requests(), 1);
        drop(call);
        assert_eq!(layer.load().requests(), 0);
    }

    #[tokio::test]
    async fn streams_have_a_limit_of_their_own_and_probes_none() {
        let layer = ShedLayer::new(methods(), LIMITS, Metrics::off());
        let service = service(&layer);
        let stream = service.clone().oneshot(request(WATCH, &[])).await.unwrap();
        assert_eq!((layer.load().streams(), layer.load().requests()), (1, 0));
        let status = refusal(&service.clone().oneshot(request(WATCH, &[])).await.unwrap()).unwrap();
        assert_eq!(status.get_details_error_info().unwrap().reason, "TOO_MANY_STREAMS");

        let mut held = Vec::new();
        for _ in 0..LIMITS.max_requests {
            held.push(service.clone().oneshot(request(QUOTE, &[])).await.unwrap());
        }
        assert!(refusal(&service.clone().oneshot(request(QUOTE, &[])).await.unwrap()).is_some());
        for _ in 0..10 {
            held.push(service.clone().oneshot(request(CHECK, &[])).await.unwrap());
            assert!(refusal(held.last().unwrap()).is_none(), "a busy server still answers probes");
        }
        drop(stream);
        assert!(refusal(&service.oneshot(request(WATCH, &[])).await.unwrap()).is_none());
    }

    #[tokio::test]
    async fn clones_of_the_layer_count_together() {
        let layer = ShedLayer::new(methods(), LIMITS, Metrics::off());
        let connections: Vec<_> = (0..3).map(|_| service(&layer.clone())).collect();
        let mut responses = Vec::new();
        for connection in connections {
            responses.push(connection.oneshot(request(QUOTE, &[])).await.unwrap());
        }
        let refused = responses.iter().filter(|response| refusal(response).is_some()).count();
        assert_eq!(refused, 1);
    }

    #[tokio::test]
    async fn an_endless_stream_keeps_its_place() {
        let flag = DropFlag::default();
        let layer = ShedLayer::new(methods(), LIMITS, Metrics::off());
        let service = layer.layer(service_fn(|_: Request<()>| {
            let body = Frames::messages(2).endless(&flag);
            async move { Ok::<_, Infallible>(Response::new(body)) }
        }));
        let mut body = Box::pin(service.oneshot(request(WATCH, &[])).await.unwrap().into_body());
        next(&mut body).await;
        next(&mut body).await;
        assert_eq!(layer.load().streams(), 1);
        drop(body);
        assert!(flag.is_set());
        assert_eq!(layer.load().streams(), 0);
    }
}
