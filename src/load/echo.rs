//! A bare tonic service that answers so many bytes to any bytes: what tonic itself can do on a machine, to compare with.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{Request, Response};
use prost::bytes::Bytes;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;
use tower::Service;

/// Any bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Blob {
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
}

/// The path of the one method.
pub const PATH: &str = "/surety.load.Echo/Echo";

/// The service.
#[derive(Clone, Debug)]
pub struct Echo {
    /// What it answers, whatever it is sent.
    pub answer: Bytes,
}

impl UnaryService<Blob> for Echo {
    type Response = Blob;
    type Future = Ready<Result<tonic::Response<Blob>, tonic::Status>>;

    fn call(&mut self, _request: tonic::Request<Blob>) -> Self::Future {
        ready(Ok(tonic::Response::new(Blob { body: self.answer.clone() })))
    }
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(echo, request).await) })
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "surety.load.Echo";
}

/// Serves answers of so many bytes until `stop` is done.
///
/// # Errors
/// What broke the listener.
pub async fn serve(
    listener: TcpListener,
    answer_bytes: usize,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let echo = Echo { answer: Bytes::from(vec![7u8; answer_bytes]) };
    Server::builder()
        .tcp_nodelay(true)
        .add_service(echo)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await
}
