//! The use cases, one file each. They know the rules' words, the planner, the ledger's trait and the view, and nothing of
//! transports or stores.

mod allocations;
mod amend;
mod apply_network;
mod buckets;
mod counting;
mod dates;
mod error;
mod events;
mod fulfil;
mod housekeeping;
mod kept_record;
mod offers;
mod quote;
mod repromise;
pub mod request;
mod reservations;
pub mod response;
mod risk;
mod scorecard;
mod supply;
#[cfg(test)]
mod tests;
mod watch_quote;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use error::AppError;
pub use risk::Before;
pub(crate) use supply::{over, too_far};

use crate::clock::Clock;
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::limits::CORES_PER_CHECK;
use crate::domain::reservation::{Fingerprint, Reservation};
use crate::domain::time::{Moment, Span};
use crate::ledger::Ledger;
use crate::ledger::command::{Command, Outcome, Refusal};
use crate::telemetry::Metrics;
use crate::view::{NoReading, Reading, Views};

/// The service without its transport.
pub struct App {
    ledger: Arc<dyn Ledger>,
    views: Arc<Views>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    /// How long answers that take nothing rest on what was known when the ledger's feed was cut; zero: not at all.
    stale_reads: Span,
    /// Turns of what keeps a core busy for long: see [`CORES_PER_CHECK`].
    checks: Arc<Semaphore>,
    /// Ends what runs by itself: streams, housekeeping.
    stop: CancellationToken,
    /// Who is at risk, as far as it is worked out.
    risk: Arc<risk::Risk>,
    /// Quotes that took nothing and are not added up yet.
    counting: counting::Counting,
    /// What confidence is told from.
    records: kept_record::Records,
}

impl App {
    /// The service on a ledger whose feed the views follow. `stale_reads`: how long answers that take nothing rest on what was
    /// known when the feed was cut; zero: not at all.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        views: Arc<Views>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        stale_reads: Span,
        stop: CancellationToken,
    ) -> Arc<App> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let checks = Arc::new(Semaphore::new((cores / CORES_PER_CHECK).max(1)));
        let risk = Arc::new(risk::Risk::default());
        let known = Arc::clone(&risk);
        metrics.observe_at_risk(move || known.marked() as u64);
        let (counting, records) = (counting::Counting::default(), kept_record::Records::default());
        Arc::new(App { ledger, views, clock, metrics, stale_reads, checks, stop, risk, counting, records })
    }

    /// Does what has to be done beside the calls, until the service stops.
    pub async fn keep(self: Arc<Self>) {
        tokio::join!(
            Arc::clone(&self).keep_house(),
            Arc::clone(&self).keep_marks(),
            Arc::clone(&self).keep_count(),
            self.keep_records(),
        );
    }

    /// Whether answers rest on the ledger's present state, in every network.
    pub fn is_current(&self) -> bool {
        self.views.are_current()
    }

    /// Whether what takes nothing is answered at the moment. The network `default` speaks for all: a void one of many is no
    /// reason to send the callers of all others away.
    pub fn can_read(&self) -> bool {
        match self.view(&NetworkId::default_network(), self.clock.now()) {
            Ok(reading) => !reading.view.unreadable,
            // "There is no such network" is an answer.
            Err(error) => matches!(error, AppError::UnknownNetwork(_)),
        }
    }

    /// The service's clock (rule 5).
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The network, for an answer at `now`. What takes nothing is answered from it while it is followed, and for `stale_reads`
    /// after. What is to be taken is planned on it by the same rule: a yes is the ledger's to judge (rule 19), a no rests on
    /// the view alone.
    fn view(&self, network: &NetworkId, now: Moment) -> Result<Reading, AppError> {
        self.views.read(network, now, self.stale_reads).map_err(|error| unread(error, network))
    }

    /// For calls that the ledger answers: whether there is such a network, as far as is known.
    fn exists(&self, network: &NetworkId) -> Result<(), AppError> {
        match self.views.edition(network) {
            Ok(_) | Err(NoReading::NotNow) => Ok(()),
            Err(error @ NoReading::Unknown) => Err(unread(error, network)),
        }
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

    /// Does what keeps a core busy for long beside the runtime's workers, when it is its turn. Once begun it is not stopped; who
    /// has gone away by then only leaves its answer behind.
    async fn apart<T: Send + 'static>(
        &self,
        give_up_at: Option<Instant>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let turn = Arc::clone(&self.checks).acquire_owned();
        let turn = match give_up_at {
            Some(at) => tokio::time::timeout_at(at.into(), turn).await.map_err(|_| AppError::DeadlineExceeded)?,
            None => turn.await,
        };
        let turn = turn.map_err(|closed| AppError::Internal(Arc::from(closed.to_string())))?;
        let worked = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        worked.await.map_err(|panic| AppError::Internal(Arc::from(panic.to_string())))
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

fn unread(error: NoReading, network: &NetworkId) -> AppError {
    match error {
        NoReading::Unknown => AppError::UnknownNetwork(network.clone()),
        NoReading::NotNow => AppError::Unavailable,
    }
}

/// An outcome that a command can't have.
fn unexpected(command: &str, outcome: &Outcome) -> AppError {
    AppError::Internal(Arc::from(format!("{command} came back with {outcome:?}")))
}
