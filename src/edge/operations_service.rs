//! What operations and their systems call.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::call::{give_up_at, network};
use super::status::{invalid, status, status_of_message};
use super::{from_proto, to_proto};
use crate::app::{App, AppError};
use crate::proto::v1;
use crate::proto::v1::operations_service_server::OperationsService;

/// The service over gRPC.
#[derive(Clone)]
pub struct Operations(pub Arc<App>);

#[tonic::async_trait]
impl OperationsService for Operations {
    async fn apply_network(
        &self,
        request: Request<v1::ApplyNetworkRequest>,
    ) -> Result<Response<v1::ApplyNetworkResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let message = request.into_inner();
        let now = self.0.now();
        // A large network takes seconds to check, which no other request should wait for.
        let checked = tokio::task::spawn_blocking(move || from_proto::apply_network(message, now)).await;
        let asked =
            checked.map_err(|panic| status(AppError::Internal(Arc::from(panic.to_string()))))?.map_err(invalid)?;
        let version = self.0.apply_network(&network, asked, now, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::ApplyNetworkResponse { version }))
    }

    async fn get_network(
        &self,
        request: Request<v1::GetNetworkRequest>,
    ) -> Result<Response<v1::GetNetworkResponse>, Status> {
        let network = network(request.metadata())?;
        let (document, version) = self.0.get_network(&network).map_err(status)?;
        let document = to_proto::network(&document).map_err(|error| {
            status(AppError::Internal(Arc::from(format!("the stored network can't be read: {error}"))))
        })?;
        Ok(Response::new(v1::GetNetworkResponse { network: Some(document), version }))
    }

    async fn set_supply(
        &self,
        request: Request<Streaming<v1::SetSupplyRequest>>,
    ) -> Result<Response<v1::SetSupplyResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let mut messages = request.into_inner();
        let before = self.0.before(&network);
        let mut buckets_set = 0;
        // Each message is applied whole or not at all; those before a faulty one stay applied.
        let mut number = 0;
        while let Some(message) = messages.message().await? {
            let refused = |error| status_of_message(error, number);
            let asked = from_proto::set_supply(message).map_err(|faults| refused(AppError::Invalid(faults)))?;
            buckets_set += self.0.set_supply(&network, &asked.lines, give_up_at).await.map_err(refused)?;
            number += 1;
        }
        let reservations_at_risk = self.0.put_at_risk(&network, before, give_up_at).await;
        Ok(Response::new(v1::SetSupplyResponse { buckets_set, reservations_at_risk }))
    }

    async fn adjust_supply(
        &self,
        request: Request<v1::AdjustSupplyRequest>,
    ) -> Result<Response<v1::AdjustSupplyResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::adjust_supply(request.into_inner()).map_err(invalid)?;
        let (rows, reservations_at_risk) = self.0.adjust_supply(&network, &asked, give_up_at).await.map_err(status)?;
        let buckets = rows.iter().map(to_proto::bucket).collect();
        Ok(Response::new(v1::AdjustSupplyResponse { buckets, reservations_at_risk }))
    }

    async fn list_buckets(
        &self,
        request: Request<v1::ListBucketsRequest>,
    ) -> Result<Response<v1::ListBucketsResponse>, Status> {
        let network = network(request.metadata())?;
        let asked = from_proto::list_buckets(request.into_inner()).map_err(invalid)?;
        let rows = self.0.list_buckets(&network, &asked).map_err(status)?;
        Ok(Response::new(v1::ListBucketsResponse { buckets: rows.iter().map(to_proto::bucket).collect() }))
    }

    async fn set_allocation(
        &self,
        request: Request<v1::SetAllocationRequest>,
    ) -> Result<Response<v1::SetAllocationResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::set_allocation(request.into_inner()).map_err(invalid)?;
        let rows = self.0.set_allocation(&network, &asked, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::SetAllocationResponse { buckets: rows.iter().map(to_proto::bucket).collect() }))
    }

    async fn list_reservations(
        &self,
        request: Request<v1::ListReservationsRequest>,
    ) -> Result<Response<v1::ListReservationsResponse>, Status> {
        let network = network(request.metadata())?;
        let asked = from_proto::list_reservations(request.into_inner()).map_err(invalid)?;
        let (found, next) = self.0.list_reservations(&network, &asked).await.map_err(status)?;
        Ok(Response::new(v1::ListReservationsResponse {
            reservations: found.iter().map(|reservation| to_proto::reservation(reservation)).collect(),
            next_page_token: next.map(|last| from_proto::page_token(&last)).unwrap_or_default(),
        }))
    }

    async fn repromise(
        &self,
        request: Request<v1::RepromiseRequest>,
    ) -> Result<Response<v1::RepromiseResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::repromise(request.into_inner()).map_err(invalid)?;
        let told = self.0.repromise(&network, &asked, give_up_at).await.map_err(status)?;
        Ok(Response::new(to_proto::repromises(&told)))
    }

    async fn fix_reservation(
        &self,
        request: Request<v1::FixReservationRequest>,
    ) -> Result<Response<v1::FixReservationResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::fix_reservation(request.into_inner()).map_err(invalid)?;
        let fixed = self.0.fix(&network, &asked.id, asked.fixed, asked.reason, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::FixReservationResponse { reservation: Some(to_proto::reservation(&fixed)) }))
    }

    async fn report_fulfilment(
        &self,
        request: Request<v1::ReportFulfilmentRequest>,
    ) -> Result<Response<v1::ReportFulfilmentResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let reports = from_proto::report_fulfilment(request.into_inner(), self.0.now()).map_err(invalid)?;
        let told = self.0.report_fulfilment(&network, reports, give_up_at).await.map_err(status)?;
        Ok(Response::new(to_proto::fulfilments(&told)))
    }

    type WatchEventsStream = Pin<Box<dyn Stream<Item = Result<v1::WatchEventsResponse, Status>> + Send>>;

    async fn watch_events(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let network = network(request.metadata())?;
        let since = from_proto::watch_events(request.into_inner()).map_err(invalid)?;
        let events = self.0.watch_events(network, since).await.map_err(status)?;
        let messages = ReceiverStream::new(events).map(|event| event.map(|e| to_proto::event(&e)).map_err(status));
        Ok(Response::new(Box::pin(messages)))
    }
}
