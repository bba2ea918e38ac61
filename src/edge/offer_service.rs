//! What marketing and its tools call.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::call::{give_up_at, network};
use super::scorecard;
use super::status::{invalid, status};
use super::{from_proto, to_proto};
use crate::app::App;
use crate::proto::v1;
use crate::proto::v1::offer_service_server::OfferService;

/// The service over gRPC.
#[derive(Clone)]
pub struct Offers(pub Arc<App>);

#[tonic::async_trait]
impl OfferService for Offers {
    async fn check_offer(
        &self,
        request: Request<v1::CheckOfferRequest>,
    ) -> Result<Response<v1::CheckOfferResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::check_offer(request.into_inner()).map_err(invalid)?;
        let report = self.0.check_offer(&network, asked, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::CheckOfferResponse { report: Some(to_proto::offer_report(&report)) }))
    }

    async fn approve_offer(
        &self,
        request: Request<v1::ApproveOfferRequest>,
    ) -> Result<Response<v1::ApproveOfferResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::approve_offer(request.into_inner()).map_err(invalid)?;
        let approved = self.0.approve_offer(&network, asked, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::ApproveOfferResponse {
            offer: Some(to_proto::offer_state(&approved.row)),
            report: Some(to_proto::offer_report(&approved.report)),
        }))
    }

    async fn close_offer(
        &self,
        request: Request<v1::CloseOfferRequest>,
    ) -> Result<Response<v1::CloseOfferResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let id = from_proto::close_offer(request.get_ref()).map_err(invalid)?;
        let closed = self.0.close_offer(&network, id, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::CloseOfferResponse { offer: Some(to_proto::offer_state(&closed)) }))
    }

    async fn get_offer(&self, request: Request<v1::GetOfferRequest>) -> Result<Response<v1::GetOfferResponse>, Status> {
        let network = network(request.metadata())?;
        let id = from_proto::get_offer(request.get_ref()).map_err(invalid)?;
        let found = self.0.get_offer(&network, &id).await.map_err(status)?;
        Ok(Response::new(v1::GetOfferResponse { offer: Some(to_proto::offer_state(&found)) }))
    }

    async fn list_offers(
        &self,
        request: Request<v1::ListOffersRequest>,
    ) -> Result<Response<v1::ListOffersResponse>, Status> {
        let network = network(request.metadata())?;
        let asked = from_proto::list_offers(request.get_ref()).map_err(invalid)?;
        let (found, next) = self.0.list_offers(&network, &asked).await.map_err(status)?;
        Ok(Response::new(v1::ListOffersResponse {
            offers: found.iter().map(to_proto::offer_state).collect(),
            next_page_token: next.map(|last| from_proto::offers_page_token(&last)).unwrap_or_default(),
        }))
    }

    async fn suggest_offers(
        &self,
        request: Request<v1::SuggestOffersRequest>,
    ) -> Result<Response<v1::SuggestOffersResponse>, Status> {
        let (network, give_up_at) = (network(request.metadata())?, give_up_at(&request));
        let asked = from_proto::suggest_offers(request.get_ref()).map_err(invalid)?;
        let found = self.0.suggest_offers(&network, asked, give_up_at).await.map_err(status)?;
        Ok(Response::new(v1::SuggestOffersResponse { suggestions: found.iter().map(to_proto::suggestion).collect() }))
    }

    async fn get_scorecard(
        &self,
        request: Request<v1::GetScorecardRequest>,
    ) -> Result<Response<v1::GetScorecardResponse>, Status> {
        scorecard::get_scorecard(&self.0, request).await
    }
}
