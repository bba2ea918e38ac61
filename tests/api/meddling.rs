//! A server between callers and the real one, which can stall, be slow, and say yes where the real one says no.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Request, Response};
use prost::Message;
use prost::bytes::Bytes;
use surety::load::raw::RawCodec;
use surety::proto::v1::*;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tower::Service;

use crate::support::channel;

#[derive(Clone)]
pub struct Meddler {
    to: Channel,
    /// Until when nothing of what comes goes on.
    stalled: Arc<Mutex<Option<Instant>>>,
    /// Whether holds that are refused are promised all the same.
    lies: bool,
    /// How long each call takes, one after the other.
    slow: Arc<tokio::sync::Mutex<Duration>>,
}

impl Meddler {
    /// Stands before a server; its own address.
    pub async fn before(server: SocketAddr, lies: bool) -> (Meddler, SocketAddr) {
        let meddler = Meddler { to: channel(server).await, stalled: Arc::default(), lies, slow: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (promises, operations) = (Promises(meddler.clone()), Operations(meddler.clone()));
        let server = Server::builder().add_service(promises).add_service(operations);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (meddler, address)
    }

    /// Lets nothing through for a while.
    pub fn stall(&self, lasting: Duration) {
        *self.stalled.lock().expect("no panic") = Some(Instant::now() + lasting);
    }

    /// Takes calls one after the other from now on, and so long for each.
    pub async fn slow_down(&self, each: Duration) {
        *self.slow.lock().await = each;
    }

    async fn answer(
        self,
        path: PathAndQuery,
        request: tonic::Request<Bytes>,
    ) -> Result<tonic::Response<Bytes>, Status> {
        let stalled = *self.stalled.lock().expect("no panic");
        if let Some(until) = stalled {
            tokio::time::sleep_until(until).await;
        }
        let turn = self.slow.lock().await;
        if !turn.is_zero() {
            tokio::time::sleep(*turn).await;
        }
        drop(turn);
        let (lies, asked) = (self.lies && path.path().ends_with("/Quote"), request.get_ref().clone());
        let mut client = tonic::client::Grpc::new(self.to).max_decoding_message_size(1 << 28);
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = client.unary(request, path, RawCodec).await?;
        if lies {
            let (told, asked) = (QuoteResponse::decode(answer.get_ref().clone()), QuoteRequest::decode(asked));
            let (told, asked) = (told.expect("an answer"), asked.expect("a request"));
            return Ok(tonic::Response::new(yes(&asked, told).encode_to_vec().into()));
        }
        Ok(answer)
    }
}

/// A yes by the day that was asked for, where a hold was refused.
fn yes(asked: &QuoteRequest, told: QuoteResponse) -> QuoteResponse {
    let ask = asked.ask.clone().unwrap_or_default();
    let Some(ask::When::ByDate(date)) = ask.when else { return told };
    if asked.hold.is_none() || told.reservation.is_some() {
        return told;
    }
    let shipment = Shipment { lines: ask.lines, date: date.clone(), ..Default::default() };
    QuoteResponse {
        verdict: Verdict::Promised.into(),
        promise: Some(Promise { date, shipments: vec![shipment], ..Default::default() }),
        reservation: Some(Reservation { id: asked.request_id.clone(), ..Default::default() }),
        ..told
    }
}

/// One call on its way.
struct Call(Meddler, PathAndQuery);

impl UnaryService<Bytes> for Call {
    type Response = Bytes;
    type Future = BoxFuture<tonic::Response<Bytes>, Status>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        Box::pin(self.0.clone().answer(self.1.clone(), request))
    }
}

macro_rules! service {
    ($name:ident, $path:literal) => {
        #[derive(Clone)]
        struct $name(Meddler);

        impl NamedService for $name {
            const NAME: &'static str = $path;
        }

        impl Service<Request<Body>> for $name {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = BoxFuture<Self::Response, Infallible>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Self::Future {
                let path = request.uri().path_and_query().cloned().expect("a path");
                let call = Call(self.0.clone(), path);
                Box::pin(async move { Ok(Grpc::new(RawCodec).unary(call, request).await) })
            }
        }
    };
}

service!(Promises, "surety.v1.PromiseService");
service!(Operations, "surety.v1.OperationsService");
