//! "Can we promise these lines by this date?", and where asked for, the capacity taken in the same step as the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::request::QuoteRequest;
use super::{App, AppError, unexpected, unread};
use crate::domain::answer::{Answer, Verdict};
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::limits::MAX_REPLANS;
use crate::domain::reservation::Reservation;
use crate::domain::time::Span;
use crate::ledger::command::{Command, Hold, Outcome, Refusal};
use crate::planner::{self, Detail};
use crate::telemetry::metrics::{QuoteKind, QuoteVerdict};
use crate::view::Reading;

/// How often who waits for the view makes sure that it is followed still.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// An answer, and what was taken with it.
#[derive(Clone, Debug)]
pub struct Quoted {
    /// The answer; of a repeated request, the first one.
    pub answer: Arc<Answer>,
    /// What was taken, as it now is.
    pub reservation: Option<Arc<Reservation>>,
}

impl App {
    /// Answers, and holds what it promises if the request says so (rules 5 to 20).
    pub async fn quote(
        &self,
        network: &NetworkId,
        request: QuoteRequest,
        give_up_at: Option<Instant>,
    ) -> Result<Quoted, AppError> {
        let held = request.hold.is_some();
        let quoted = match (request.hold, request.request_id.clone()) {
            (Some(hold), Some(id)) => self.quote_and_hold(network, request, id, hold, give_up_at).await?,
            (Some(_), None) => {
                return Err(AppError::invalid("request_id", "is needed to hold; choose a UUID and keep it"));
            }
            (None, Some(id)) => {
                // A question that takes nothing is never the request that made the reservation, so one that borrows its name is
                // refused (rule 20).
                if self.known(network, &id, request.fingerprint, give_up_at).await?.is_some() {
                    return Err(AppError::RequestIdTaken(id));
                }
                Quoted { answer: Arc::new(self.plan(network, Some(&id), &request)?), reservation: None }
            }
            (None, None) => Quoted { answer: Arc::new(self.plan(network, None, &request)?), reservation: None },
        };
        let kind = if held { QuoteKind::Hold } else { QuoteKind::Read };
        self.metrics.quote(counted(quoted.answer.verdict), kind);
        Ok(quoted)
    }

    /// Reads only.
    fn plan(
        &self,
        network: &NetworkId,
        id: Option<&ReservationId>,
        request: &QuoteRequest,
    ) -> Result<Answer, AppError> {
        let now = self.clock.now();
        let Reading { view, as_of } = self.view(network, now)?;
        let ask = planner::resolve(&view.network, &request.ask, |id| view.has_offer(id)).map_err(AppError::Unknown)?;
        let answer = self.records.with(network, |record| {
            planner::quote_kept(&view.network, &*view, &ask, now, as_of, Detail::Full, record).answer
        });
        let zone = &view.network.zone(ask.zone()).calendar;
        self.count(network, id, &request.ask, &answer, zone, now);
        Ok(answer)
    }

    async fn quote_and_hold(
        &self,
        network: &NetworkId,
        request: QuoteRequest,
        id: ReservationId,
        hold: Span,
        give_up_at: Option<Instant>,
    ) -> Result<Quoted, AppError> {
        let now = self.clock.now();
        let ask = Arc::new(request.ask);
        self.give_back_due(network, now, give_up_at).await?;
        for attempt in 1..=MAX_REPLANS {
            let Reading { view, as_of } = self.view(network, now)?;
            let resolved = match planner::resolve(&view.network, &ask, |id| view.has_offer(id)) {
                Ok(resolved) => resolved,
                // What was promised before stays promised, also when the network has moved on since.
                Err(unknown) => {
                    return match self.known(network, &id, request.fingerprint, give_up_at).await? {
                        Some(reservation) => Ok(first_answer(reservation)),
                        None => Err(AppError::Unknown(unknown)),
                    };
                }
            };
            let planned = self.records.with(network, |record| {
                planner::quote_kept(&view.network, &*view, &resolved, now, as_of, Detail::Full, record)
            });
            let wanted = match planned.answer.verdict {
                Verdict::Promised => true,
                Verdict::Later => request.accept_later,
                Verdict::Unavailable => false,
            };
            let answer = Arc::new(planned.answer);
            let Some(promise) = answer.promise.clone().filter(|_| wanted) else {
                // A known id is looked at before anything else (rule 20). Asking the ledger first would cost every hold a turn; a
                // refusal can afford the look.
                return Ok(match self.known(network, &id, request.fingerprint, give_up_at).await? {
                    Some(reservation) => first_answer(reservation),
                    None => {
                        let zone = &view.network.zone(resolved.zone()).calendar;
                        self.count(network, Some(&id), &ask, &answer, zone, now);
                        Quoted { answer, reservation: None }
                    }
                });
            };
            let command = Command::Hold(Box::new(Hold {
                id: id.clone(),
                fingerprint: request.fingerprint,
                network_version: view.version,
                ask: Arc::clone(&ask),
                answer: Arc::clone(&answer),
                promise,
                takes: planned.takes,
                hold,
                reference: Arc::clone(&request.reference),
            }));
            match self.execute(network, command, give_up_at).await? {
                Outcome::Reservation { reservation, repeated: true } => {
                    self.metrics.planned(attempt as u32);
                    return Ok(first_answer(reservation));
                }
                Outcome::Reservation { reservation, repeated: false } => {
                    self.metrics.planned(attempt as u32);
                    self.metrics.hold_taken();
                    return Ok(Quoted { answer, reservation: Some(reservation) });
                }
                Outcome::Refused(Refusal::AlreadyExists) => return Err(AppError::RequestIdTaken(id)),
                // Another was faster: the view has the true balances by now, and the ask is planned again on them (rule 19).
                Outcome::Refused(Refusal::Short(_)) => {}
                Outcome::Refused(Refusal::NetworkChanged { version }) => self.await_network(network, version).await?,
                other => return Err(unexpected("Hold", &other)),
            }
        }
        self.metrics.planned(MAX_REPLANS as u32);
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }

    /// Waits until the view shows this version of the network, or a later one. A feed that is cut meanwhile ends the wait.
    pub(super) async fn await_network(&self, network: &NetworkId, version: i64) -> Result<(), AppError> {
        let mut changes = self.views.changes(network).ok_or_else(|| AppError::UnknownNetwork(network.clone()))?;
        loop {
            let now = self.clock.now();
            let reading = self.views.read(network, now, Span::ZERO).map_err(|error| unread(error, network))?;
            if reading.view.version >= version {
                return Ok(());
            }
            // A feed that is cut tells no change.
            if let Ok(Err(_)) = tokio::time::timeout(LOOK_AGAIN, changes.changed()).await {
                return Err(AppError::Unavailable);
            }
        }
    }
}

/// What a repeated request gets: the first answer, with the reservation's present state (rule 20).
fn first_answer(reservation: Arc<Reservation>) -> Quoted {
    Quoted { answer: Arc::clone(&reservation.first_answer), reservation: Some(reservation) }
}

fn counted(verdict: Verdict) -> QuoteVerdict {
    match verdict {
        Verdict::Promised => QuoteVerdict::Promised,
        Verdict::Later => QuoteVerdict::Later,
        Verdict::Unavailable => QuoteVerdict::Unavailable,
    }
}
