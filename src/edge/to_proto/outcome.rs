//! What became of promises, as messages.

use super::state;
use crate::app::response::{Fulfilments, Repromises, Scorecard};
use crate::proto::v1;

/// What became of reservations at risk.
pub fn repromises(told: &Repromises) -> v1::RepromiseResponse {
    let repromised = told.all.iter().map(|one| v1::Repromised {
        id: one.id.to_string(),
        reference: one.reference.to_string(),
        old_date: one.old_date.to_string(),
        new_date: one.new_date.map(|date| date.to_string()).unwrap_or_default(),
    });
    v1::RepromiseResponse {
        repromised: repromised.collect(),
        kept: told.kept,
        moved: told.moved,
        still_at_risk: told.still_at_risk,
    }
}

/// What came of a report of fulfilments.
pub fn fulfilments(told: &Fulfilments) -> v1::ReportFulfilmentResponse {
    let refused = told.refused.iter().map(|one| v1::FulfilmentRefused {
        id: one.id.to_string(),
        state: state(one.state).into(),
        reason: one.reason.clone(),
    });
    v1::ReportFulfilmentResponse {
        unknown_ids: told.unknown.iter().map(ToString::to_string).collect(),
        refused: refused.collect(),
        shipped: told.shipped,
        fulfilled: told.fulfilled,
    }
}

/// The figures that marketing and operations share. What was held was answered, too, so it is among the quotes.
pub fn scorecard(card: &Scorecard) -> v1::GetScorecardResponse {
    let resources = card.resources.iter().map(|used| v1::ResourceUse {
        resource: used.resource.to_string(),
        supply: used.supply,
        committed: used.committed,
        utilisation: used.utilisation(),
    });
    let lost = card.lost.iter().map(|lost| v1::LostDemand {
        resource: lost.resource.to_string(),
        quotes: lost.quotes,
        units: lost.units,
    });
    v1::GetScorecardResponse {
        quotes: card.quotes(),
        quotes_promised: card.quotes_promised(),
        quotes_later: card.quotes_later(),
        quotes_unavailable: card.quotes_unavailable(),
        held: card.held(),
        confirmed: card.confirmed(),
        expired: card.expired(),
        released: card.released(),
        fulfilled: card.kept() + card.late(),
        kept: card.kept(),
        late: card.late(),
        repromised: card.repromised(),
        kept_share: share(card.kept(), card.kept() + card.late()),
        resources: resources.collect(),
        lost: lost.collect(),
        at_risk: card.at_risk,
        backlog: card.backlog,
        conversion: share(card.confirmed(), card.held()),
    }
}

/// So many of so many; none of none is nothing.
fn share(part: i64, whole: i64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}
