//! Short ways to say what tests of marks, re-promises, fulfilments and scorecards say often.

use surety::proto::v1::*;
use tonic::Status;

use crate::support::*;

/// The shop with channels of four priorities.
pub fn shop_with_channels() -> Network {
    let channel = |(id, priority): (&str, i32)| Channel { id: id.into(), priority, ..Default::default() };
    let channels = [("web", 1), ("vip", 9), ("plain", 0), ("last", -3)].map(channel);
    Network { channels: channels.to_vec(), ..shop() }
}

/// The same asked by a channel.
pub fn through(channel: &str, ask: Ask) -> Ask {
    Ask { channel: channel.into(), ..ask }
}

impl TestServer {
    /// A reservation that is confirmed, a second after the last, so that ages differ.
    pub async fn confirmed(&self, id: &str, ask: Ask) -> Reservation {
        self.turn(1);
        self.held(id, ask).await;
        self.confirm(id, &format!("order of {id}"), false).await.expect("it is confirmed")
    }

    /// The ids of those at risk.
    pub async fn at_risk(&self) -> Vec<String> {
        self.listed(ListReservationsRequest { at_risk: true, ..Default::default() }).await
    }

    /// The ids of a list.
    pub async fn listed(&self, request: ListReservationsRequest) -> Vec<String> {
        let page = self.reservations(request).await.expect("a page");
        page.reservations.into_iter().map(|r| r.id).collect()
    }

    /// Waits until exactly these are at risk.
    pub async fn until_at_risk(&self, expected: &[&str]) {
        let mut seen = vec![];
        let what = format!("{expected:?} are at risk");
        until(&what, async || {
            seen = self.at_risk().await;
            seen == expected
        })
        .await;
    }

    /// Changes the supply of a day; tells how many that put at risk.
    pub async fn adjusted(&self, resource: &str, day: &str, delta: i64) -> i64 {
        let request = AdjustSupplyRequest {
            resource: resource.into(),
            start: day.into(),
            delta,
            reason: "something happened".into(),
            ..Default::default()
        };
        self.operations.clone().adjust_supply(request).await.expect("it is noted").into_inner().reservations_at_risk
    }

    /// What happened to a reservation, in order.
    pub async fn story(&self, id: &str) -> Vec<String> {
        self.evidence(id).await.expect("a reservation").history.into_iter().map(|change| change.what).collect()
    }

    pub async fn reservation(&self, id: &str) -> Reservation {
        self.evidence(id).await.expect("a reservation").reservation.expect("set")
    }

    pub async fn repromise(&self, request: RepromiseRequest) -> Result<RepromiseResponse, Status> {
        self.operations.clone().repromise(request).await.map(|r| r.into_inner())
    }

    pub async fn fix(&self, id: &str, fixed: bool) -> Result<Reservation, Status> {
        let request = FixReservationRequest { id: id.into(), fixed, reason: "a wedding".into() };
        let answer = self.operations.clone().fix_reservation(request).await?.into_inner();
        Ok(answer.reservation.expect("a reservation"))
    }

    pub async fn report(&self, fulfilments: Vec<Fulfilment>) -> Result<ReportFulfilmentResponse, Status> {
        let request = ReportFulfilmentRequest { fulfilments };
        self.operations.clone().report_fulfilment(request).await.map(|r| r.into_inner())
    }

    /// The scorecard of the days of the tests.
    pub async fn card(&self, channel: &str, offer: &str) -> GetScorecardResponse {
        let request = GetScorecardRequest {
            from: "2026-11-20".into(),
            to: "2027-02-28".into(),
            channel: channel.into(),
            offer: offer.into(),
        };
        self.try_card(request).await.expect("a scorecard")
    }

    pub async fn try_card(&self, request: GetScorecardRequest) -> Result<GetScorecardResponse, Status> {
        self.offers().await.get_scorecard(request).await.map(|r| r.into_inner())
    }
}

/// That something left.
pub fn shipped(id: &str, at: &str) -> Fulfilment {
    Fulfilment { id: id.into(), shipped_at: stamp(at), delivered_at: None }
}

/// That something arrived.
pub fn delivered(id: &str, at: &str) -> Fulfilment {
    Fulfilment { id: id.into(), shipped_at: None, delivered_at: stamp(at) }
}
