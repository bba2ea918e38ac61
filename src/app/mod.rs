//! The use cases, one file each. They know the rules' words, the planner, the ledger's trait and the view, and nothing of
//! transports or stores.

mod amend;
mod apply_network;
mod buckets;
mod dates;
mod error;
mod events;
mod housekeeping;
mod quote;
pub mod request;
mod reservations;
pub mod response;
mod supply;
mod watch_quote;

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

pub use error::AppError;

use crate::clock::Clock;
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::reservation::{Fingerprint, Reservation};
use crate::domain::time::Moment;
use crate::ledger::Ledger;
use crate::ledger::command::{Command, Outcome, Refusal};
use crate::telemetry::Metrics;
use crate::view::{NetworkView, Views};

/// The service without its transport.
pub struct App {
    ledger: Arc<dyn Ledger>,
    views: Arc<Views>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    /// Ends what runs by itself: streams, housekeeping.
    stop: CancellationToken,
}

impl App {
    /// The service on a ledger whose feed the views follow.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        views: Arc<Views>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Arc<App> {
        Arc::new(App { ledger, views, clock, metrics, stop })
    }

    /// Whether answers rest on the ledger's present state.
    pub fn is_current(&self) -> bool {
        self.views.are_current()
    }

    /// The service's clock (rule 5).
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    fn view(&self, network: &NetworkId) -> Result<Arc<NetworkView>, AppError> {
        if let Some(view) = self.views.get(network) {
            return Ok(view);
        }
        // Before the first full read, nothing is known of any network.
        Err(if self.views.are_current() { AppError::UnknownNetwork(network.clone()) } else { AppError::Unavailable })
    }

    /// The state that a plan made at `now` reads: never from the future.
    fn as_of(&self, now: Moment) -> Moment {
        self.views.fresh_at().min(now)
    }

    async fn execute(
        &self,
        network: &NetworkId,
        command: Command,
        give_up_at: Option<Instant>,
    ) -> Result<Outcome, AppError> {
        self.ledger.execute(network, command, give_up_at).await.map_err(|e| AppError::from_ledger(e, network))
    }

    /// Has what ended by `now` given back, so that a plan made after it sees it free (rule 21). Nearly always there is nothing
    /// to wait for.
    async fn give_back_due(
        &self,
        network: &NetworkId,
        now: Moment,
        give_up_at: Option<Instant>,
    ) -> Result<(), AppError> {
        if self.ledger.has_due(now) {
            self.execute(network, Command::Tick, give_up_at).await?;
        }
        Ok(())
    }

    async fn stored(&self, network: &NetworkId, id: &ReservationId) -> Result<Option<Arc<Reservation>>, AppError> {
        self.ledger.reservation(network, id).await.map_err(|e| AppError::from_ledger(e, network))
    }

    /// The reservation that this request made before, if it did (rule 20). Nearly always there is none, which a read tells
    /// without waiting for the ledger's turn; only the ledger itself can say that there is one and that it stays.
    async fn known(
        &self,
        network: &NetworkId,
        id: &ReservationId,
        fingerprint: Fingerprint,
        give_up_at: Option<Instant>,
    ) -> Result<Option<Arc<Reservation>>, AppError> {
        if self.stored(network, id).await?.is_none() {
            return Ok(None);
        }
        match self.execute(network, Command::Recall { id: id.clone(), fingerprint }, give_up_at).await? {
            Outcome::Reservation { reservation, .. } => Ok(Some(reservation)),
            Outcome::Refused(Refusal::NotFound) => Ok(None),
            Outcome::Refused(Refusal::AlreadyExists) => Err(AppError::RequestIdTaken(id.clone())),
            other => Err(unexpected("Recall", &other)),
        }
    }
}

/// An outcome that a command can't have.
fn unexpected(command: &str, outcome: &Outcome) -> AppError {
    AppError::Internal(Arc::from(format!("{command} came back with {outcome:?}")))
}
