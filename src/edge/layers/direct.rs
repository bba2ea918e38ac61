//! The short way to one service: calls of it do not pass the router, which takes a path apart, notes what it found in the request, and
//! puts the call into one more box. All other calls go on to what is inside.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Request;
use pin_project_lite::pin_project;
use tonic::server::NamedService;
use tower::{Layer, Service};

/// The layer. See the module.
#[derive(Debug, Clone)]
pub struct DirectLayer<A>(pub A);

impl<A: Clone, S> Layer<S> for DirectLayer<A> {
    type Service = DirectService<A, S>;

    fn layer(&self, inner: S) -> Self::Service {
        DirectService { direct: self.0.clone(), inner }
    }
}

/// A service, and another that is called where that is named.
#[derive(Debug, Clone)]
pub struct DirectService<A, S> {
    direct: A,
    inner: S,
}

/// Whether a path (`/package.Service/Method`) is one of the service's.
fn is_of<A: NamedService>(path: &str) -> bool {
    path.strip_prefix('/').and_then(|rest| rest.strip_prefix(A::NAME)).is_some_and(|rest| rest.starts_with('/'))
}

impl<A, S, B> Service<Request<B>> for DirectService<A, S>
where
    A: Service<Request<B>> + NamedService,
    S: Service<Request<B>, Response = A::Response, Error = A::Error>,
{
    type Response = A::Response;
    type Error = A::Error;
    type Future = DirectFuture<A::Future, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Services of gRPC are always ready, so only the router is asked.
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if is_of::<A>(request.uri().path()) {
            DirectFuture { direct: Some(self.direct.call(request)), routed: None }
        } else {
            DirectFuture { direct: None, routed: Some(self.inner.call(request)) }
        }
    }
}

pin_project! {
    /// A call on one of the two ways.
    pub struct DirectFuture<D, R> {
        #[pin]
        direct: Option<D>,
        #[pin]
        routed: Option<R>,
    }
}

impl<D, R> Future for DirectFuture<D, R>
where
    D: Future,
    R: Future<Output = D::Output>,
{
    type Output = D::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match (this.direct.as_pin_mut(), this.routed.as_pin_mut()) {
            (Some(direct), _) => direct.poll(cx),
            (None, Some(routed)) => routed.poll(cx),
            (None, None) => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};

    use tower::{ServiceExt, service_fn};

    use super::*;

    #[derive(Clone)]
    struct Quotes;

    impl NamedService for Quotes {
        const NAME: &'static str = "surety.v1.PromiseService";
    }

    impl Service<Request<()>> for Quotes {
        type Response = &'static str;
        type Error = Infallible;
        type Future = Ready<Result<&'static str, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            ready(Ok("direct"))
        }
    }

    #[tokio::test]
    async fn only_the_services_own_methods_take_the_short_way() {
        let service = DirectLayer(Quotes).layer(service_fn(async |_: Request<()>| Ok("routed")));
        for (path, way) in [
            ("/surety.v1.PromiseService/Quote", "direct"),
            ("/surety.v1.PromiseService/", "direct"),
            ("/surety.v1.PromiseService", "routed"),
            ("/surety.v1.PromiseServiceMore/Quote", "routed"),
            ("/surety.v1.OfferService/CheckOffer", "routed"),
            ("/grpc.health.v1.Health/Check", "routed"),
            ("/", "routed"),
        ] {
            let request = Request::builder().uri(path).body(()).unwrap();
            assert_eq!(service.clone().oneshot(request).await, Ok(way), "{path}");
        }
    }
}
