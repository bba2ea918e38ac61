//! All layers on real connections, called over a socket.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;
use tower::{Service, ServiceBuilder};

use crate::edge::connections::{self, ConnectionLimits};
use crate::edge::layers::deadline::{Deadline, DeadlineLayer};
use crate::edge::layers::shed::{Load, ShedLayer, ShedLimits};
use crate::edge::layers::testing::{QUOTE, Seen, methods};
use crate::edge::layers::trace::TraceLayer;

const LIMITS: ConnectionLimits = ConnectionLimits {
    max_streams: 1_000,
    keepalive_every: Duration::from_secs(30),
    keepalive_wait: Duration::from_secs(10),
    first_word: Duration::from_secs(30),
};

/// Health as it is, and in place of all other services one that never answers.
#[derive(Clone)]
struct Services<H>(H);

impl<H> Service<Request<Incoming>> for Services<H>
where
    H: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + NamedService,
    H::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if request.uri().path().strip_prefix('/').is_some_and(|path| path.starts_with(H::NAME)) {
            return Box::pin(self.0.call(request));
        }
        assert!(request.extensions().get::<Deadline>().is_some());
        Box::pin(pending())
    }
}

/// A server with all layers, on a free port.
async fn serve(seen: &Seen, max_unary: Duration, max_requests: usize) -> (SocketAddr, Load) {
    let limits = ShedLimits { max_requests, max_streams: 10, retry_after: Duration::from_millis(50) };
    let methods = methods();
    let shed = ShedLayer::new(Arc::clone(&methods), limits, seen.own_metrics());
    let load = shed.load();
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new(methods.clone(), seen.instruments()))
        .layer(shed)
        .layer(DeadlineLayer::new(methods, max_unary))
        .service(Services(health));
    tokio::spawn(connections::serve(listener, service, LIMITS, pending()));
    (address, load)
}

/// Calls a method with a client that does not look at deadlines itself, and returns the status it is told.
async fn call(send: &mut h2::client::SendRequest<tonic::codegen::Bytes>, timeout: Option<&str>) -> Status {
    let mut request = Request::post(format!("http://surety{QUOTE}")).header("content-type", "application/grpc");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let (response, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
    Status::from_header_map(response.await.unwrap().headers()).expect("a Trailers-Only answer")
}

async fn raw_client(address: SocketAddr) -> h2::client::SendRequest<tonic::codegen::Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    send.ready().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_passed_is_always_deadline_exceeded() {
    let seen = Seen::new(1.0);
    let (address, load) = serve(&seen, Duration::from_secs(60), 1000).await;
    let send = raw_client(address).await;
    let calls: Vec<_> = (0..200)
        .map(|i| {
            let mut send = send.clone();
            tokio::spawn(async move { call(&mut send, Some(&format!("{}u", 5_000 + i * 97))).await })
        })
        .collect();
    for answer in calls {
        let status = answer.await.unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert_eq!(status.get_details_error_info().unwrap().reason, "DEADLINE_EXCEEDED");
    }
    assert_eq!(load.requests(), 0);
    assert_eq!(seen.calls(), [(QUOTE[1..].to_owned(), "DEADLINE_EXCEEDED".to_owned(), 200)]);
    assert_eq!(seen.spans().len(), 200);
}

#[tokio::test]
async fn what_is_too_much_is_refused_over_all_connections() {
    let seen = Seen::new(0.0);
    let (address, load) = serve(&seen, Duration::from_millis(200), 1).await;
    let (mut one, mut other) = (raw_client(address).await, raw_client(address).await);
    let first = tokio::spawn(async move { call(&mut one, None).await });
    while load.requests() == 0 {
        tokio::task::yield_now().await;
    }
    let status = call(&mut other, None).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_millis(50)));
    let status = first.await.unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded, "the server's patience is over");
    assert_eq!(status.get_details_error_info().unwrap().metadata["setBy"], "server");
}

#[tokio::test]
async fn health_answers_through_all_layers_and_its_stream_keeps_the_callers_deadline() {
    let seen = Seen::new(1.0);
    let (address, load) = serve(&seen, Duration::from_secs(60), 0).await;
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let answer = client.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status, 1, "serving, although no call but a probe gets in");

    let mut watch = tonic::Request::new(HealthCheckRequest::default());
    watch.metadata_mut().insert("grpc-timeout", "40m".parse().unwrap());
    let mut stream = client.watch(watch).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().status, 1);
    let end = stream.message().await.unwrap_err();
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end:?}");

    let call = |method: &str, status: &str| (format!("grpc.health.v1.Health/{method}"), status.to_owned(), 1);
    assert_eq!(seen.calls(), [call("Check", "OK"), call("Watch", "DEADLINE_EXCEEDED")]);
    assert!(seen.spans().is_empty(), "probes are not traced");
    assert_eq!((load.requests(), load.streams()), (0, 0));
}
