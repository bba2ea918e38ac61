//! GetScorecard, which the OfferService serves.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::call::network;
use super::status::{invalid, status};
use super::{from_proto, to_proto};
use crate::app::App;
use crate::proto::v1;

/// The figures that marketing and operations share.
pub async fn get_scorecard(
    app: &Arc<App>,
    request: Request<v1::GetScorecardRequest>,
) -> Result<Response<v1::GetScorecardResponse>, Status> {
    let network = network(request.metadata())?;
    let asked = from_proto::get_scorecard(request.into_inner()).map_err(invalid)?;
    let card = app.scorecard(&network, &asked).await.map_err(status)?;
    Ok(Response::new(to_proto::scorecard(&card)))
}
