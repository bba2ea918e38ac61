//! What checkouts call.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::call::{give_up_at, network};
use super::status::{invalid, status};
use super::{from_proto, to_proto};
use crate::app::App;
use crate::proto::v1;
use crate::proto::v1::promise_service_server::PromiseService;

/// The service over gRPC.
#[derive(Clone)]
pub struct Promises(pub Arc<App>);

#[tonic::async_trait]
impl PromiseService for Promises {
    async fn quote(&self, request: Request<v1::QuoteRequest>) -> Result<Response<v1::QuoteResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::quote(request.into_inner()).map_err(invalid)?;
        let quoted = self.0.quote(&network, asked, give_up_at).await.map_err(status)?;
        Ok(Response::new(to_proto::quote(&quoted.answer, quoted.reservation.as_deref())))
    }

    async fn list_promise_dates(
        &self,
        request: Request<v1::ListPromiseDatesRequest>,
    ) -> Result<Response<v1::ListPromiseDatesResponse>, Status> {
        let network = network(request.metadata())?;
        let asked = from_proto::list_promise_dates(request.into_inner()).map_err(invalid)?;
        let dates = self.0.list_promise_dates(&network, &asked).map_err(status)?;
        Ok(Response::new(v1::ListPromiseDatesResponse { dates: dates.iter().map(to_proto::promise_date).collect() }))
    }

    type WatchQuoteStream = Pin<Box<dyn Stream<Item = Result<v1::WatchQuoteResponse, Status>> + Send>>;

    async fn watch_quote(
        &self,
        request: Request<v1::WatchQuoteRequest>,
    ) -> Result<Response<Self::WatchQuoteStream>, Status> {
        let network = network(request.metadata())?;
        let asked = from_proto::watch_quote(request.into_inner()).map_err(invalid)?;
        let answers = self.0.watch_quote(network, asked.ask).map_err(status)?;
        let messages = ReceiverStream::new(answers).map(|answer| match answer {
            Ok(answer) => Ok(v1::WatchQuoteResponse { quote: Some(to_proto::quote(&answer, None)) }),
            Err(error) => Err(status(error)),
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn confirm_reservation(
        &self,
        request: Request<v1::ConfirmReservationRequest>,
    ) -> Result<Response<v1::ConfirmReservationResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::confirm_reservation(request.into_inner()).map_err(invalid)?;
        let confirmed =
            self.0.confirm(&network, &asked.id, asked.reference, asked.retake, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::ConfirmReservationResponse { reservation: Some(to_proto::reservation(&confirmed)) }))
    }

    async fn release_reservation(
        &self,
        request: Request<v1::ReleaseReservationRequest>,
    ) -> Result<Response<v1::ReleaseReservationResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::release_reservation(request.into_inner()).map_err(invalid)?;
        let released = self.0.release(&network, &asked.id, asked.reason, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::ReleaseReservationResponse { reservation: Some(to_proto::reservation(&released)) }))
    }

    async fn extend_reservation(
        &self,
        request: Request<v1::ExtendReservationRequest>,
    ) -> Result<Response<v1::ExtendReservationResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::extend_reservation(request.into_inner()).map_err(invalid)?;
        let extended = self.0.extend(&network, &asked.id, asked.hold, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::ExtendReservationResponse { reservation: Some(to_proto::reservation(&extended)) }))
    }

    async fn amend_reservation(
        &self,
        request: Request<v1::AmendReservationRequest>,
    ) -> Result<Response<v1::AmendReservationResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::amend_reservation(request.into_inner()).map_err(invalid)?;
        let amended = self.0.amend(&network, asked, give_up_at).await.map_err(status)?;
        Ok(Response::new(to_proto::amendment(amended.verdict, &amended.reservation, &amended.bottlenecks)))
    }

    async fn get_reservation(
        &self,
        request: Request<v1::GetReservationRequest>,
    ) -> Result<Response<v1::GetReservationResponse>, Status> {
        let network = network(request.metadata())?;
        let id = from_proto::get_reservation(request.into_inner()).map_err(invalid)?;
        let found = self.0.get_reservation(&network, &id).await.map_err(status)?;
        Ok(Response::new(to_proto::evidence(&found)))
    }
}
