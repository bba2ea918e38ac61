//! Details for the refusals that are not the service's own: tonic's for what it can't decode and does not route to, and
//! those of health. Every error has an `ErrorInfo`, and what is malformed is INVALID_ARGUMENT.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::edge::grpc_error::GrpcError;

/// The header in which details travel.
const DETAILS: &str = "grpc-status-details-bin";

/// The layer. See the module.
#[derive(Debug, Clone, Copy)]
pub struct ExplainLayer;

impl<S> Layer<S> for ExplainLayer {
    type Service = ExplainService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ExplainService(inner)
    }
}

/// A service whose refusals all have details.
#[derive(Debug, Clone)]
pub struct ExplainService<S>(S);

impl<S, B, R> Service<Request<B>> for ExplainService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ExplainFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ExplainFuture { call: self.0.call(request) }
    }
}

pin_project! {
    /// A call that was begun.
    pub struct ExplainFuture<F> {
        #[pin]
        call: F,
    }
}

impl<F, R, E> Future for ExplainFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(self.project().call.poll(cx));
        if let Ok(response) = &mut answer {
            explain(response.headers_mut());
        }
        Poll::Ready(answer)
    }
}

/// Writes details into the headers of a refusal that has none. A refusal before the first message has its status there.
fn explain(headers: &mut HeaderMap<HeaderValue>) {
    if !headers.contains_key(Status::GRPC_STATUS) || headers.contains_key(DETAILS) {
        return;
    }
    let Some(refused) = Status::from_header_map(headers) else { return };
    let told = match (refused.code(), refused.message()) {
        (Code::Ok, _) => return,
        // What tonic says of messages that are too large, and of bytes that are no message.
        (Code::OutOfRange, text) => malformed("MESSAGE_TOO_LARGE", text),
        (Code::Internal, text) => malformed("MALFORMED_MESSAGE", text),
        (Code::Unimplemented, "") => GrpcError::new(Code::Unimplemented, "UNKNOWN_METHOD", "there is no such method"),
        (code, text) => GrpcError::new(code, "REFUSED", text),
    };
    // A status that can't be written stays as it was.
    let _unwritten = told.into_status().add_header(headers);
}

fn malformed(reason: &'static str, text: &str) -> GrpcError {
    GrpcError::new(Code::InvalidArgument, reason, text).violation("", text)
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn explained(status: Status) -> Status {
        let mut headers = status.into_http::<tonic::body::Body>().headers().clone();
        explain(&mut headers);
        Status::from_header_map(&headers).expect("a status")
    }

    #[test]
    fn what_others_refuse_gets_details_and_what_is_malformed_its_code() {
        for (status, code, reason) in [
            (Status::out_of_range("too large"), Code::InvalidArgument, "MESSAGE_TOO_LARGE"),
            (Status::internal("invalid varint"), Code::InvalidArgument, "MALFORMED_MESSAGE"),
            (Status::unimplemented(""), Code::Unimplemented, "UNKNOWN_METHOD"),
            (Status::not_found("service not registered"), Code::NotFound, "REFUSED"),
        ] {
            let told = explained(status);
            assert_eq!(told.code(), code);
            assert_eq!(told.get_details_error_info().expect("details").reason, reason);
        }
    }

    #[test]
    fn what_the_service_says_itself_stays() {
        let own = GrpcError::new(Code::Internal, "DEFECT", "its own").into_status();
        let told = explained(own.clone());
        assert_eq!((told.code(), told.details()), (own.code(), own.details()));
        let fine = Response::new(());
        let mut headers = fine.headers().clone();
        explain(&mut headers);
        assert!(headers.is_empty());
    }
}
