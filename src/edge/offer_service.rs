//! What marketing and its tools call. Not served yet: every call says so.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::scorecard;
use super::status::not_yet;
use crate::app::App;
use crate::proto::v1;
use crate::proto::v1::offer_service_server::OfferService;

/// The service over gRPC.
#[derive(Clone)]
pub struct Offers(pub Arc<App>);

macro_rules! not_served_yet {
    ($($name:ident($request:ident) -> $response:ident as $call:literal;)*) => {
        #[tonic::async_trait]
        impl OfferService for Offers {$(
            async fn $name(&self, _request: Request<v1::$request>) -> Result<Response<v1::$response>, Status> {
                Err(not_yet($call))
            }
        )*

            async fn get_scorecard(
                &self,
                request: Request<v1::GetScorecardRequest>,
            ) -> Result<Response<v1::GetScorecardResponse>, Status> {
                scorecard::get_scorecard(&self.0, request).await
            }
        }
    };
}

not_served_yet! {
    check_offer(CheckOfferRequest) -> CheckOfferResponse as "CheckOffer";
    approve_offer(ApproveOfferRequest) -> ApproveOfferResponse as "ApproveOffer";
    close_offer(CloseOfferRequest) -> CloseOfferResponse as "CloseOffer";
    get_offer(GetOfferRequest) -> GetOfferResponse as "GetOffer";
    list_offers(ListOffersRequest) -> ListOffersResponse as "ListOffers";
    suggest_offers(SuggestOffersRequest) -> SuggestOffersResponse as "SuggestOffers";
}
