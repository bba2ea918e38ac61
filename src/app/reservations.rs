//! A reservation's life after it was made: confirmed, released, extended, shown, listed (rules 20 to 22).

use std::sync::Arc;
use std::time::Instant;

use super::request::ReservationsRequest;
use super::{App, AppError, unexpected};
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::limits::MAX_REPLANS;
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::Span;
use crate::ledger::ReservationFilter;
use crate::ledger::command::{Command, Confirm, Outcome, Refusal, Retake};

impl App {
    /// Makes a hold last. With `retake`, also one that expired, if all of its capacity is still free.
    pub async fn confirm(
        &self,
        network: &NetworkId,
        id: &ReservationId,
        reference: Option<Arc<str>>,
        retake: bool,
        give_up_at: Option<Instant>,
    ) -> Result<Arc<Reservation>, AppError> {
        let mut confirm = Confirm { id: id.clone(), reference, retake: None };
        for _ in 0..MAX_REPLANS {
            match self.execute(network, Command::Confirm(confirm.clone()), give_up_at).await? {
                Outcome::Reservation { reservation, repeated } => {
                    if !repeated {
                        self.metrics.confirmed();
                    }
                    return Ok(reservation);
                }
                Outcome::Refused(Refusal::WrongState { state: State::Expired })
                    if retake && confirm.retake.is_none() =>
                {
                    confirm.retake = Some(self.standing_of(network, id).await?);
                }
                Outcome::Refused(Refusal::WrongState { state }) => {
                    let needed = match state {
                        State::Expired => "ask again for a new promise, or confirm with retake",
                        _ => "only a held one can be confirmed",
                    };
                    return Err(AppError::WrongState { id: id.clone(), state, needed });
                }
                Outcome::Refused(Refusal::NetworkChanged { version }) => {
                    self.await_network(network, version).await?;
                    confirm.retake = Some(self.standing_of(network, id).await?);
                }
                Outcome::Refused(Refusal::Short(shortages)) => {
                    let resources = shortages.into_iter().map(|s| s.resource).collect();
                    return Err(AppError::RetakeShort { id: id.clone(), resources });
                }
                Outcome::Refused(Refusal::OrderByPassed) => return Err(AppError::OrderByPassed(id.clone())),
                Outcome::Refused(Refusal::NotFound) => return Err(AppError::UnknownReservation(id.clone())),
                other => return Err(unexpected("Confirm", &other)),
            }
        }
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }

    /// What the standing plan gives each bucket that a reservation drew on, for taking it again.
    async fn standing_of(&self, network: &NetworkId, id: &ReservationId) -> Result<Retake, AppError> {
        let now = self.clock.now();
        let view = self.view(network, now)?.view;
        let reservation = self.stored(network, id).await?.ok_or_else(|| AppError::UnknownReservation(id.clone()))?;
        let standing = reservation
            .draws
            .iter()
            .map(|draw| {
                view.network.find_resource(draw.resource.as_str()).map_or(0, |at| {
                    let resource = view.network.resource(at);
                    resource.standing(draw.index, view.network.calendar_of(resource).day_of(now))
                })
            })
            .collect();
        Ok(Retake { network_version: view.version, standing })
    }

    /// Gives all capacity of a reservation back.
    pub async fn release(
        &self,
        network: &NetworkId,
        id: &ReservationId,
        reason: Arc<str>,
        give_up_at: Option<Instant>,
    ) -> Result<Arc<Reservation>, AppError> {
        match self.execute(network, Command::Release { id: id.clone(), reason }, give_up_at).await? {
            Outcome::Reservation { reservation, repeated } => {
                if !repeated {
                    self.metrics.released();
                }
                Ok(reservation)
            }
            Outcome::Refused(Refusal::WrongState { state }) => {
                Err(AppError::WrongState { id: id.clone(), state, needed: "what was delivered can't be released" })
            }
            Outcome::Refused(Refusal::Shipped) => Err(AppError::Shipped(id.clone())),
            Outcome::Refused(Refusal::NotFound) => Err(AppError::UnknownReservation(id.clone())),
            other => Err(unexpected("Release", &other)),
        }
    }

    /// Sets a hold's end to so long from now.
    pub async fn extend(
        &self,
        network: &NetworkId,
        id: &ReservationId,
        hold: Span,
        give_up_at: Option<Instant>,
    ) -> Result<Arc<Reservation>, AppError> {
        match self.execute(network, Command::Extend { id: id.clone(), hold }, give_up_at).await? {
            Outcome::Reservation { reservation, .. } => Ok(reservation),
            Outcome::Refused(Refusal::WrongState { state }) => {
                let needed = match state {
                    State::Expired => "an expired hold is never revived; ask again for a new promise",
                    _ => "only a held one can be extended",
                };
                Err(AppError::WrongState { id: id.clone(), state, needed })
            }
            Outcome::Refused(Refusal::NotFound) => Err(AppError::UnknownReservation(id.clone())),
            other => Err(unexpected("Extend", &other)),
        }
    }

    /// One reservation with its evidence.
    pub async fn get_reservation(&self, network: &NetworkId, id: &ReservationId) -> Result<Arc<Reservation>, AppError> {
        self.exists(network)?;
        self.stored(network, id).await?.ok_or_else(|| AppError::UnknownReservation(id.clone()))
    }

    /// A page of reservations, by id, and where the next one begins.
    pub async fn list_reservations(
        &self,
        network: &NetworkId,
        request: &ReservationsRequest,
    ) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), AppError> {
        self.exists(network)?;
        let filter = ReservationFilter {
            at_risk: request.at_risk,
            resources: request.resource.iter().cloned().collect(),
            state: request.state,
            live: false,
            backlog: request.backlog.then(|| self.clock.now()),
        };
        if let Some(resource) = &request.resource
            && self.view(network, self.clock.now())?.view.network.find_resource(resource.as_str()).is_none()
        {
            return Err(AppError::unknown("resource", "resource", resource.as_str()));
        }
        self.ledger
            .reservations(network, &filter, request.after.as_ref(), request.limit)
            .await
            .map_err(|e| AppError::from_ledger(e, network))
    }
}
