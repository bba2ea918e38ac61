//! Another quantity, date or zone: the new promise replaces the old one in one step, or the old one stays.

use std::sync::Arc;
use std::time::Instant;

use super::request::AmendRequest;
use super::{App, AppError, unexpected};
use crate::domain::answer::{Bottleneck, Verdict};
use crate::domain::id::NetworkId;
use crate::domain::limits::{MAX_AMENDMENTS, MAX_REPLANS};
use crate::domain::reservation::{Reservation, State};
use crate::ledger::command::{Amend, Command, Outcome, Refusal};
use crate::planner::{self, Detail, GivenBack};
use crate::view::Reading;

/// What came of an amendment.
#[derive(Clone, Debug)]
pub struct Amended {
    /// The answer to the new ask.
    pub verdict: Verdict,
    /// The reservation as it now is, amended or not.
    pub reservation: Arc<Reservation>,
    /// Why not by Y.
    pub bottlenecks: Vec<Bottleneck>,
}

impl App {
    /// Plans the new ask as though the reservation's own draws were free, and swaps them for the new ones.
    pub async fn amend(
        &self,
        network: &NetworkId,
        request: AmendRequest,
        give_up_at: Option<Instant>,
    ) -> Result<Amended, AppError> {
        let now = self.clock.now();
        let id = &request.id;
        let ask = Arc::new(request.ask);
        self.give_back_due(network, now, give_up_at).await?;
        // The version for which the view is known to show all that was stored.
        let mut shown = None;
        for _ in 0..MAX_REPLANS {
            let Reading { view, as_of } = self.view(network, now)?;
            let old = self.stored(network, id).await?.ok_or_else(|| AppError::UnknownReservation(id.clone()))?;
            if let Some(done) =
                old.amendments.iter().find(|a| a.request_id.is_some() && a.request_id == request.request_id)
            {
                if done.fingerprint != request.fingerprint {
                    return Err(AppError::RequestTaken(done.request_id.clone().unwrap_or_else(|| id.clone())));
                }
                let (verdict, bottlenecks) = (done.verdict, done.bottlenecks.clone());
                // What a read shows may not be durable yet; behind a command it is.
                self.execute(network, Command::Tick, give_up_at).await?;
                return Ok(Amended { verdict, bottlenecks, reservation: old });
            }
            let held = match old.state {
                State::Held => true,
                State::Confirmed if old.shipped_at.is_some() => return Err(AppError::Shipped(id.clone())),
                State::Confirmed => false,
                state @ (State::Released | State::Expired | State::Fulfilled) => {
                    return Err(AppError::WrongState {
                        id: id.clone(),
                        state,
                        needed: "only a held or confirmed one can be amended",
                    });
                }
            };
            let resolved = planner::resolve(&view.network, &ask, |id| view.has_offer(id)).map_err(AppError::Unknown)?;
            let free = GivenBack::new(&view.network, &*view, &old.draws, held, old.ask.channel.as_ref());
            let planned = self.records.with(network, |record| {
                planner::quote_kept(&view.network, &free, &resolved, now, as_of, Detail::Full, record)
            });
            let answer = planned.answer;
            let wanted = match answer.verdict {
                Verdict::Promised => true,
                Verdict::Later => request.accept_later,
                Verdict::Unavailable => false,
            };
            let Some(promise) = answer.promise.filter(|_| wanted) else {
                // Its own draws are looked up in the store and all others in the view. Where another change of it came between
                // the two, its draws were counted wrongly, so a no counts only if none did.
                if shown != Some(old.version) {
                    self.execute(network, Command::Tick, give_up_at).await?;
                    shown = Some(old.version);
                    continue;
                }
                if self.stored(network, id).await?.is_none_or(|now| now.version != old.version) {
                    continue;
                }
                return Ok(Amended { verdict: answer.verdict, reservation: old, bottlenecks: answer.bottlenecks });
            };
            let command = Command::Amend(Box::new(Amend {
                id: id.clone(),
                request_id: request.request_id.clone(),
                fingerprint: request.fingerprint,
                version: old.version,
                network_version: view.version,
                ask: Arc::clone(&ask),
                promise,
                takes: planned.takes,
                verdict: answer.verdict,
                bottlenecks: answer.bottlenecks,
            }));
            match self.execute(network, command, give_up_at).await? {
                Outcome::Amended { reservation, verdict, bottlenecks } => {
                    return Ok(Amended { verdict, reservation, bottlenecks });
                }
                Outcome::Refused(Refusal::Short(_) | Refusal::ReservationChanged | Refusal::WrongState { .. }) => {}
                Outcome::Refused(Refusal::Shipped) => return Err(AppError::Shipped(id.clone())),
                Outcome::Refused(Refusal::NetworkChanged { version }) => self.await_network(network, version).await?,
                Outcome::Refused(Refusal::AlreadyExists) => {
                    return Err(AppError::RequestTaken(request.request_id.clone().unwrap_or_else(|| id.clone())));
                }
                Outcome::Refused(Refusal::NotFound) => return Err(AppError::UnknownReservation(id.clone())),
                Outcome::Refused(Refusal::TooManyAmendments) => {
                    return Err(AppError::TooManyAmendments { id: id.clone(), limit: MAX_AMENDMENTS });
                }
                other => return Err(unexpected("Amend", &other)),
            }
        }
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }
}
