//! The end of streams: once the service is told to stop, streams that have nothing more to say end with UNAVAILABLE, so
//! that whoever watches (a page, a balancer that watches health, an unfinished plan) does not hold up the end. Unary
//! calls are left alone: they are answered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::edge::grpc_error::GrpcError;
use crate::edge::layers::methods::Methods;

/// The layer. See the module.
#[derive(Debug, Clone)]
pub struct StopLayer {
    methods: Arc<Methods>,
    stop: CancellationToken,
}

impl StopLayer {
    /// Streams, by `methods`, end when `stop` is cancelled.
    pub fn new(methods: Arc<Methods>, stop: CancellationToken) -> Self {
        Self { methods, stop }
    }
}

impl<S> Layer<S> for StopLayer {
    type Service = StopService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StopService { inner, layer: self.clone() }
    }
}

/// A service whose streams end with it.
#[derive(Debug, Clone)]
pub struct StopService<S> {
    inner: S,
    layer: StopLayer,
}

type Stopped = Pin<Box<WaitForCancellationFutureOwned>>;

impl<S, B, R> Service<Request<B>> for StopService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<StopBody<R>>;
    type Error = S::Error;
    type Future = StopFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let streaming = self.layer.methods.find(request.uri().path()).streaming;
        let stopped = streaming.then(|| Box::pin(self.layer.stop.clone().cancelled_owned()));
        StopFuture { call: self.inner.call(request), stopped }
    }
}

fn refusal() -> Status {
    GrpcError::new(Code::Unavailable, "STOPPING", "the server is stopping; begin the stream again with another").into()
}

pin_project! {
    /// A call that was begun.
    pub struct StopFuture<F> {
        #[pin]
        call: F,
        stopped: Option<Stopped>,
    }
}

impl<F, R, E> Future for StopFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<StopBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.call.poll(cx) {
            let stopped = this.stopped.take();
            return Poll::Ready(answer.map(|response| response.map(|body| StopBody { body: Some(body), stopped })));
        }
        let Some(stopped) = this.stopped else { return Poll::Pending };
        stopped.as_mut().poll(cx).map(|()| Ok(refusal().into_http()))
    }
}

pin_project! {
    /// A response body that ends, when it is a stream's, with the service.
    pub struct StopBody<R> {
        #[pin]
        body: Option<R>,
        stopped: Option<Stopped>,
    }
}

impl<R: Default> Default for StopBody<R> {
    fn default() -> Self {
        Self { body: Some(R::default()), stopped: None }
    }
}

impl<R: Body> Body for StopBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        // Asked first, so that the last thing it has to say (health: not serving) is heard.
        let frame = body.poll_frame(cx);
        let Some(stopped) = this.stopped else { return frame };
        if frame.is_ready() || stopped.as_mut().poll(cx).is_pending() {
            return frame;
        }
        this.body.set(None);
        let mut trailers = HeaderMap::new();
        // A status that cannot be written as headers leaves the stream without trailers, which callers read as an error.
        match refusal().add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
