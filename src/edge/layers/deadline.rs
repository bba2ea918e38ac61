//! Deadlines: DEADLINE_EXCEEDED when the caller's time, or the server's patience, is over.
//!
//! Nothing else on the way looks at the `grpc-timeout` header: tonic's own server would, and answer CANCELLED, which is
//! one reason why [`connections`](crate::edge::connections) serves in its place. The header is taken away so that nothing further
//! inside reckons with it again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::edge::grpc_error::GrpcError;
use crate::edge::layers::methods::Methods;

/// The header in which the caller says how long it will wait.
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The instant by which a call must be answered; found in the extensions of its request, if it has one.
///
/// Handlers hand it on to what they wait for, so that work nobody waits for any more is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline at `instant`.
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// How long there is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        Instant::now() >= self.0
    }
}

/// The layer. See the module.
#[derive(Debug, Clone)]
pub struct DeadlineLayer {
    methods: Arc<Methods>,
    max_unary: Duration,
}

impl DeadlineLayer {
    /// Unary calls get at most `max_unary`, whatever the caller grants; so do those that grant no limit. Streams (by
    /// `methods`) end when their caller's deadline passes and have none of the server's.
    pub fn new(methods: Arc<Methods>, max_unary: Duration) -> Self {
        Self { methods, max_unary }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService { inner, layer: self.clone() }
    }
}

/// A service whose calls have deadlines.
#[derive(Debug, Clone)]
pub struct DeadlineService<S> {
    inner: S,
    layer: DeadlineLayer,
}

impl<S, B, R> Service<Request<B>> for DeadlineService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<DeadlineBody<R>>;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let asked = match take_timeout(request.headers_mut()) {
            Ok(asked) => asked,
            Err(malformed) => return DeadlineFuture::refused(malformed.into_status()),
        };
        let streaming = self.layer.methods.find(request.uri().path()).streaming;
        let Some(expiry) = Expiry::of(asked, (!streaming).then_some(self.layer.max_unary)) else {
            return DeadlineFuture::running(self.inner.call(request), None, streaming);
        };
        if expiry.timeout.is_zero() {
            // Too late on arrival: nothing is begun.
            return DeadlineFuture::refused(expiry.status());
        }
        request.extensions_mut().insert(Deadline(expiry.at));
        DeadlineFuture::running(self.inner.call(request), Some(expiry), streaming)
    }
}

/// When a call ends, and who said so.
#[derive(Debug, Clone, Copy)]
struct Expiry {
    at: Instant,
    timeout: Duration,
    by_caller: bool,
}

impl Expiry {
    /// The earlier of the caller's and the server's; `None` if neither sets one, or it lies beyond what a clock can say.
    fn of(asked: Option<Duration>, server: Option<Duration>) -> Option<Self> {
        let (timeout, by_caller) = match (asked, server) {
            (None, None) => return None,
            (Some(asked), None) => (asked, true),
            (None, Some(server)) => (server, false),
            (Some(asked), Some(server)) => (asked.min(server), asked <= server),
        };
        Some(Self { at: Instant::now().checked_add(timeout)?, timeout, by_caller })
    }

    fn status(self) -> Status {
        let whose = if self.by_caller { "the caller set" } else { "the server allows" };
        GrpcError::new(
            Code::DeadlineExceeded,
            "DEADLINE_EXCEEDED",
            format!("not done within the {:?} that {whose}", self.timeout),
        )
        .metadata("setBy", if self.by_caller { "caller" } else { "server" })
        .metadata("timeout", format!("{}s", self.timeout.as_secs_f64()))
        .into_status()
    }
}

pin_project! {
    /// A call that is running towards its deadline, or was refused.
    pub struct DeadlineFuture<F> {
        #[pin]
        call: Option<F>,
        // Made when the call first has to wait: most calls never do, and a timer has its cost.
        #[pin]
        timer: Option<Sleep>,
        expiry: Option<Expiry>,
        streaming: bool,
        refusal: Option<Box<Status>>,
    }
}

impl<F> DeadlineFuture<F> {
    fn running(call: F, expiry: Option<Expiry>, streaming: bool) -> Self {
        Self { call: Some(call), timer: None, expiry, streaming, refusal: None }
    }

    fn refused(status: Status) -> Self {
        Self { call: None, timer: None, expiry: None, streaming: false, refusal: Some(Box::new(status)) }
    }
}

impl<F, R, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<DeadlineBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(call) = this.call.as_mut().as_pin_mut() else {
            let status = this.refusal.take().expect("a refused call is answered once and not polled again");
            return Poll::Ready(Ok(status.into_http()));
        };
        if let Poll::Ready(answer) = call.poll(cx) {
            let expiry = this.expiry.filter(|_| *this.streaming);
            return Poll::Ready(answer.map(|response| response.map(|body| DeadlineBody::new(body, expiry))));
        }
        let Some(expiry) = *this.expiry else { return Poll::Pending };
        if !has_expired(this.timer, expiry, cx) {
            return Poll::Pending;
        }
        // Dropping the handler before answering: what the caller is told has ended has ended.
        this.call.set(None);
        Poll::Ready(Ok(expiry.status().into_http()))
    }
}

/// Whether `expiry` has come; if not, `cx` is woken when it does. Timers are rounded up to milliseconds.
fn has_expired(mut timer: Pin<&mut Option<Sleep>>, expiry: Expiry, cx: &mut Context<'_>) -> bool {
    if timer.is_none() {
        timer.set(Some(tokio::time::sleep_until(expiry.at)));
    }
    timer.as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready())
}

pin_project! {
    /// A response body that ends with DEADLINE_EXCEEDED when a stream's deadline passes.
    pub struct DeadlineBody<R> {
        #[pin]
        body: Option<R>,
        #[pin]
        timer: Option<Sleep>,
        expiry: Option<Expiry>,
    }
}

impl<R> DeadlineBody<R> {
    fn new(body: R, expiry: Option<Expiry>) -> Self {
        Self { body: Some(body), timer: None, expiry }
    }
}

impl<R: Default> Default for DeadlineBody<R> {
    fn default() -> Self {
        Self::new(R::default(), None)
    }
}

impl<R: Body> Body for DeadlineBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Some(expiry) = *this.expiry else { return body.poll_frame(cx) };
        // Asked before the stream: one that always has something to say must end too.
        if has_expired(this.timer, expiry, cx) {
            this.body.set(None);
            let mut trailers = HeaderMap::new();
            // A status that cannot be written as headers leaves the stream without trailers, which callers read as an error.
            return match expiry.status().add_header(&mut trailers) {
                Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Err(_) => Poll::Ready(None),
            };
        }
        body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A `grpc-timeout` that says no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedTimeout(String);

impl fmt::Display for MalformedTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grpc-timeout must be 1 to 8 digits and one of H, M, S, m, u, n, once; was {}", self.0)
    }
}

impl std::error::Error for MalformedTimeout {}

impl MalformedTimeout {
    fn into_status(self) -> Status {
        let message = self.to_string();
        GrpcError::new(Code::InvalidArgument, "INVALID_TIMEOUT", message.clone())
            .violation(GRPC_TIMEOUT, message)
            .into_status()
    }
}

/// Takes `grpc-timeout` out of `headers` and reads it.
fn take_timeout(headers: &mut HeaderMap) -> Result<Option<Duration>, MalformedTimeout> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(MalformedTimeout("given more than once".to_owned()));
    }
    let timeout = parse_timeout(first)?;
    headers.remove(GRPC_TIMEOUT);
    Ok(Some(timeout))
}

/// Reads the value of a `grpc-timeout` header: 1 to 8 digits and a unit, of hours `H`, minutes `M`, seconds `S`,
/// milliseconds `m`, microseconds `u` and nanoseconds `n`.
///
/// # Errors
/// If it is anything else.
pub fn parse_timeout(value: &HeaderValue) -> Result<Duration, MalformedTimeout> {
    let malformed = || MalformedTimeout(format!("{value:?}"));
    let (unit, digits) = value.as_bytes().split_last().ok_or_else(malformed)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed());
    }
    let count = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(count * 3600)),
        b'M' => Ok(Duration::from_secs(count * 60)),
        b'S' => Ok(Duration::from_secs(count)),
        b'm' => Ok(Duration::from_millis(count)),
        b'u' => Ok(Duration::from_micros(count)),
        b'n' => Ok(Duration::from_nanos(count)),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;

    use tonic_types::StatusExt;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::edge::layers::testing::{DropFlag, Frames, QUOTE, WATCH, methods, next, request};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn layer() -> DeadlineLayer {
        DeadlineLayer::new(methods(), PATIENCE)
    }

    /// Calls a handler that never answers, and returns what the caller is told, how long it took, and whether the
    /// handler was dropped by then.
    async fn call_without_answer(path: &str, headers: &[(&'static str, &str)]) -> (Status, Duration, bool) {
        let flag = DropFlag::default();
        let handler = service_fn(|_: Request<()>| {
            let guard = flag.guard();
            async move {
                let _guard = guard;
                pending::<Result<Response<Frames>, Infallible>>().await
            }
        });
        let begun = Instant::now();
        let mut call = Box::pin(layer().layer(handler).oneshot(request(path, headers)));
        let response = (&mut call).await.unwrap();
        (Status::from_header_map(response.headers()).unwrap(), begun.elapsed(), flag.is_set())
    }

    #[tokio::test(start_paused = true)]
    async fn the_callers_deadline_ends_the_handler_with_deadline_exceeded() {
        let (status, took, dropped) = call_without_answer(QUOTE, &[("grpc-timeout", "250m")]).await;
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().contains("250ms that the caller set"), "{}", status.message());
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["setBy"].as_str()), ("DEADLINE_EXCEEDED", "caller"));
        assert!(took >= Duration::from_millis(250) && took < Duration::from_millis(260), "{took:?}");
        assert!(dropped, "the handler must be gone when the caller is told");
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_patience_bounds_unary_calls() {
        for headers in [&[][..], &[("grpc-timeout", "1H")], &[("grpc-timeout", "99999999H")]] {
            let (status, took, dropped) = call_without_answer(QUOTE, headers).await;
            assert_eq!(status.code(), Code::DeadlineExceeded);
            assert_eq!(status.get_details_error_info().unwrap().metadata["setBy"], "server");
            assert!(took >= PATIENCE && dropped, "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_at_all_begins_nothing() {
        let handler = service_fn(|_: Request<()>| async {
            panic!("must not be called");
            #[allow(unreachable_code)]
            Ok::<Response<Frames>, Infallible>(Response::default())
        });
        for (timeout, code) in [("0S", Code::DeadlineExceeded), ("soon", Code::InvalidArgument)] {
            let response = layer().layer(handler).oneshot(request(QUOTE, &[("grpc-timeout", timeout)])).await.unwrap();
            let status = Status::from_header_map(response.headers()).unwrap();
            assert_eq!(status.code(), code, "{timeout}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_malformed_timeout_names_the_header() {
        let twice = request(QUOTE, &[("grpc-timeout", "1S"), ("grpc-timeout", "2S")]);
        for request in [request(QUOTE, &[("grpc-timeout", "+5S")]), twice] {
            let handler = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Frames::default())) });
            let response = layer().layer(handler).oneshot(request).await.unwrap();
            let status = Status::from_header_map(response.headers()).unwrap();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "grpc-timeout");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_handler_is_told_its_deadline_and_not_the_header() {
        let handler = service_fn(|request: Request<()>| async move {
            assert!(!request.headers().contains_key(GRPC_TIMEOUT));
            let deadline = request.extensions().get::<Deadline>().copied();
            let streaming = request.uri().path() == WATCH;
            assert_eq!(deadline.map(Deadline::remaining), (!streaming).then_some(Duration::from_secs(2)));
            Ok::<_, Infallible>(Response::new(Frames::answer("0")))
        });
        let service = layer().layer(handler);
        let response = service.clone().oneshot(request(QUOTE, &[("grpc-timeout", "2S")])).await.unwrap();
        assert!(next(&mut Box::pin(response.into_body())).await.unwrap().is_data());
        service.oneshot(request(WATCH, &[])).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_lasts_until_its_callers_deadline_and_no_longer() {
        let flag = DropFlag::default();
        let handler = service_fn(|_: Request<()>| {
            let body = Frames::messages(1).endless(&flag);
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        let service = layer().layer(handler);

        let response = service.clone().oneshot(request(WATCH, &[("grpc-timeout", "1H")])).await.unwrap();
        let mut body = Box::pin(response.into_body());
        assert!(next(&mut body).await.unwrap().is_data());
        let begun = Instant::now();
        let trailers = next(&mut body).await.unwrap().into_trailers().unwrap();
        assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::DeadlineExceeded);
        assert!(begun.elapsed() >= Duration::from_secs(3599));
        assert!(flag.is_set() && body.is_end_stream());
        assert!(next(&mut body).await.is_none());

        let response = service.oneshot(request(WATCH, &[])).await.unwrap();
        let mut body = Box::pin(response.into_body());
        assert!(next(&mut body).await.unwrap().is_data());
        let more = tokio::time::timeout(Duration::from_secs(86_400), next(&mut body)).await;
        assert!(more.is_err(), "a stream without a caller's deadline has none");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_always_has_something_to_say_ends_too() {
        let handler = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Frames::messages(100))) });
        let response = layer().layer(handler).oneshot(request(WATCH, &[("grpc-timeout", "10m")])).await.unwrap();
        let mut body = Box::pin(response.into_body());
        assert!(next(&mut body).await.unwrap().is_data());
        tokio::time::advance(Duration::from_millis(11)).await;
        assert!(next(&mut body).await.unwrap().is_trailers());
    }

    #[test]
    fn timeouts_are_read_by_the_letter_of_the_protocol() {
        let good = [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("42S", Duration::from_secs(42)),
            ("100m", Duration::from_millis(100)),
            ("7u", Duration::from_micros(7)),
            ("82n", Duration::from_nanos(82)),
            ("00000001S", Duration::from_secs(1)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
            ("0n", Duration::ZERO),
        ];
        for (text, expected) in good {
            assert_eq!(parse_timeout(&HeaderValue::from_static(text)), Ok(expected), "{text}");
        }
        for text in ["", "S", "5", "5s", "5h", "-1S", "+1S", " 1S", "1 S", "1.5S", "123456789S", "1SS", "oneS"] {
            let error = parse_timeout(&HeaderValue::from_static(text)).expect_err(text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
        assert!(parse_timeout(&HeaderValue::from_bytes(b"1\xff").unwrap()).is_err());
    }
}
