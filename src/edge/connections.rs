//! Callers' connections: accepts them, speaks HTTP/2 on each, and lets their calls finish when told to stop.
//!
//! Not by tonic's own server, which arms a timer from the `grpc-timeout` header around all layers and answers CANCELLED when it
//! is the first to see that a deadline passed; deadlines here are [`DeadlineLayer`]'s alone. tonic's services are the same either way.
//!
//! [`DeadlineLayer`]: crate::edge::layers::deadline::DeadlineLayer

use std::error::Error;
use std::future::Future;
use std::io;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::codegen::Bytes;
use tower::Service;
use tracing::{debug, warn};

use crate::edge::gathering::Gathering;

/// How long no connection is accepted after one could not be: with no file left the next try would fail as well.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What one connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Calls at a time; further ones wait on the caller's side.
    pub max_streams: u32,
    /// A connection on which nothing moves is asked for a sign of life after this long,
    pub keepalive_every: Duration,
    /// and closed when none comes within this.
    pub keepalive_wait: Duration,
    /// One on which nothing at all has come is closed after this long: signs of life are a part of HTTP/2, which it does not speak yet.
    pub first_word: Duration,
}

/// Serves `service` to all who call `listener`, until `shutdown` is ready: the port is closed then, callers are told to send no more,
/// and this is ready when the last call was answered. Dropping it leaves calls that are being answered to the runtime.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .keep_alive_interval(limits.keepalive_every)
        .keep_alive_timeout(limits.keepalive_wait);
    let service = TowerToHyperService::new(service);
    let (open, stop) = (GracefulShutdown::new(), CancellationToken::new());
    let accepting = async {
        loop {
            let caller = accept(&listener).await;
            let (http2, service) = (http2.clone(), service.clone());
            let (watcher, stop) = (open.watcher(), stop.clone());
            tokio::spawn(async move {
                if !speaks(&caller, limits.first_word, &stop).await {
                    return;
                }
                let connection = http2.serve_connection(TokioIo::new(Gathering::new(caller)), service);
                if let Err(error) = watcher.watch(connection).await {
                    debug!(error = &error as &dyn Error, "a connection broke");
                }
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown => {}
    }
    drop(listener);
    stop.cancel();
    open.shutdown().await;
}

/// Whether something comes from the caller in time. Until then there is no call that a stop would have to wait for.
async fn speaks(caller: &TcpStream, in_time: Duration, stop: &CancellationToken) -> bool {
    // Looked at and left there.
    let mut first = [0];
    tokio::select! {
        came = tokio::time::timeout(in_time, caller.peek(&mut first)) => matches!(came, Ok(Ok(1))),
        () = stop.cancelled() => false,
    }
}

/// The next caller.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        let error = match listener.accept().await {
            Ok((caller, _)) => match caller.set_nodelay(true) {
                Ok(()) => return caller,
                // It left.
                Err(error) => error,
            },
            Err(error) => error,
        };
        if is_the_callers(&error) {
            debug!(%error, "a caller left before it was accepted");
        } else {
            warn!(%error, again_in = ?ACCEPT_AGAIN, "no connection can be accepted");
            tokio::time::sleep(ACCEPT_AGAIN).await;
        }
    }
}

/// Whether `error` is of one connection, and says nothing of the next.
fn is_the_callers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset | NotConnected | InvalidInput)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use h2::client::SendRequest;
    use http::StatusCode;
    use tokio::io::AsyncReadExt;
    use tokio::sync::Semaphore;
    use tokio::task::JoinHandle;
    use tower::service_fn;

    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        max_streams: 2,
        keepalive_every: Duration::from_secs(30),
        keepalive_wait: Duration::from_secs(10),
        first_word: Duration::from_secs(3_600),
    };

    /// A server each of whose calls takes a permit to be answered.
    struct Gate {
        address: SocketAddr,
        permits: Arc<Semaphore>,
        /// Calls that have come in.
        begun: Arc<Semaphore>,
        stop: CancellationToken,
        serving: JoinHandle<()>,
    }

    async fn gate() -> Gate {
        gate_with(LIMITS).await
    }

    async fn gate_with(limits: ConnectionLimits) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (permits, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let stop = CancellationToken::new();
        let (wanted, counted, shutdown) = (Arc::clone(&permits), Arc::clone(&begun), stop.clone());
        let service = service_fn(move |_: Request<Incoming>| {
            counted.add_permits(1);
            let wanted = Arc::clone(&wanted);
            async move {
                wanted.acquire().await.expect("never closed").forget();
                Ok::<_, Infallible>(Response::new(tonic::body::Body::empty()))
            }
        });
        let serving = tokio::spawn(async move { serve(listener, service, limits, shutdown.cancelled_owned()).await });
        Gate { address, permits, begun, stop, serving }
    }

    async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
        let socket = TcpStream::connect(address).await.unwrap();
        let (send, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        send.ready().await.unwrap()
    }

    fn begin(send: &mut SendRequest<Bytes>, timeout: &str) -> h2::client::ResponseFuture {
        let request = Request::post("http://surety/a.B/C").header("grpc-timeout", timeout).body(()).unwrap();
        send.send_request(request, true).unwrap().0
    }

    #[tokio::test]
    async fn a_callers_deadline_is_left_to_the_layers() {
        let gate = gate().await;
        let mut send = connect(gate.address).await;
        let mut answer = begin(&mut send, "1m");
        // A timer of a millisecond has gone off by then, if there is one.
        let early = tokio::time::timeout(Duration::from_millis(20), &mut answer).await;
        assert!(early.is_err(), "{early:?}");
        gate.permits.add_permits(1);
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers().get("grpc-status").is_none(), "{answer:?}");
    }

    #[tokio::test]
    async fn told_to_stop_it_closes_the_port_and_answers_the_calls_it_has() {
        let gate = gate().await;
        let mut send = connect(gate.address).await;
        let answer = begin(&mut send, "1H");
        gate.begun.acquire().await.unwrap().forget();
        gate.stop.cancel();
        while TcpStream::connect(gate.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!gate.serving.is_finished(), "one call is not answered yet");
        gate.permits.add_permits(1);
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
        gate.serving.await.unwrap();
        assert!(send.ready().await.is_err(), "callers are told to go elsewhere");
    }

    #[tokio::test]
    async fn whoever_says_nothing_is_let_go() {
        let gate = gate_with(ConnectionLimits { first_word: Duration::from_millis(20), ..LIMITS }).await;
        let mut silent = TcpStream::connect(gate.address).await.unwrap();
        assert_eq!(silent.read(&mut [0; 64]).await.unwrap(), 0, "closed, without a word");
    }

    #[tokio::test]
    async fn whoever_says_nothing_does_not_hold_up_the_end() {
        let gate = gate().await;
        let mut silent = TcpStream::connect(gate.address).await.unwrap();
        // Accepted after the silent one, which so is there when all ends.
        let mut send = connect(gate.address).await;
        gate.permits.add_permits(1);
        assert_eq!(begin(&mut send, "1H").await.unwrap().status(), StatusCode::OK);
        gate.stop.cancel();
        gate.serving.await.unwrap();
        assert_eq!(silent.read(&mut [0; 64]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn callers_are_told_how_many_calls_a_connection_may_have() {
        let gate = gate().await;
        let mut send = connect(gate.address).await;
        gate.permits.add_permits(1);
        assert_eq!(begin(&mut send, "1H").await.unwrap().status(), StatusCode::OK);
        assert_eq!(send.current_max_send_streams(), LIMITS.max_streams as usize);
    }

    #[test]
    fn a_caller_that_left_says_nothing_of_the_next() {
        assert!(is_the_callers(&io::ErrorKind::ConnectionAborted.into()));
        assert!(!is_the_callers(&io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error())));
    }
}
