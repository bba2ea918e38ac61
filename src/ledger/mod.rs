//! The ledger: what has been taken. One trait, one reference semantics (`rules`), one conformance suite for all back ends.
//!
//! A ledger must not plan, know calendars or the contract, or loop over time: a draw is already chosen when it comes here.

pub mod audit;
pub mod command;
pub mod embedded;
pub mod feed;
pub mod observe;
pub mod record;
pub mod redis;
pub mod refused;
pub mod rules;
mod spread;
pub mod state;
pub mod stewardship;
pub mod stored_file;
pub mod tally;
mod told;
pub mod transition;

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::Moment;
use command::{Command, Outcome};
use feed::{Cursor, Entry, Subscriber};
use tally::Tallies;

/// Keeps what was taken. All calls may be made from any task; a dropped call never cuts a command in half.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Makes the step and answers when it is as durable as the ledger promises. `give_up_at`: a real-time instant from
    /// which on the command is not begun any more ([`LedgerError::DeadlinePassed`]).
    ///
    /// When the caller goes away while a `Hold` is made, so that its outcome reaches nobody, the ledger undoes it
    /// ([`Command::Undo`]).
    async fn execute(
        &self,
        network: &NetworkId,
        command: Command,
        give_up_at: Option<std::time::Instant>,
    ) -> Result<Outcome, LedgerError>;

    /// One reservation, as last acknowledged (and, if it is due, as the next tick will have it).
    async fn reservation(
        &self,
        network: &NetworkId,
        id: &ReservationId,
    ) -> Result<Option<Arc<Reservation>>, LedgerError>;

    /// Reservations in the order of their ids, after `after`, that pass the filter; at most `limit`. The second of the pair is
    /// where to go on; none: there are no more.
    async fn reservations(
        &self,
        network: &NetworkId,
        filter: &ReservationFilter,
        after: Option<&ReservationId>,
        limit: usize,
    ) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), LedgerError>;

    /// The tallies whose names begin with `prefix`, in no order, as last acknowledged. A tally that was never added to is not there.
    async fn tallies(&self, network: &NetworkId, prefix: &str) -> Result<Tallies, LedgerError>;

    /// Entries of the change feed after the cursor, oldest first, at most `limit`; fewer, down to none, when there are
    /// no more. A cursor older than the oldest kept entry goes on at the oldest.
    async fn entries(&self, network: &NetworkId, after: Cursor, limit: usize) -> Result<Vec<Arc<Entry>>, LedgerError>;

    /// The cursor of the newest entry.
    async fn newest(&self, network: &NetworkId) -> Result<Cursor, LedgerError>;

    /// The networks that there are.
    async fn networks(&self) -> Result<Vec<NetworkId>, LedgerError>;

    /// Whether a hold may have ended by `now` whose draws the subscriber has not been told to be free again. Who plans in
    /// order to take makes a [`Command::Tick`] first then: its capacity is free at once to whoever takes (rule 21). Cheap
    /// enough to ask each time.
    fn has_due(&self, now: Moment) -> bool;

    /// From now on the subscriber gets every network's full state once and then every change, in order, before the change
    /// is acknowledged to who made it. One subscriber a ledger.
    async fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<(), LedgerError>;

    /// Finishes what was begun and closes the store; later calls are `Unavailable`.
    async fn close(&self);
}

/// Which reservations are listed; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct ReservationFilter {
    /// Only those at risk. Back ends find them without looking at all others.
    pub at_risk: bool,
    /// Only those that draw (or drew) on one of these resources; empty: on any.
    pub resources: Vec<ResourceId>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those that are held or confirmed.
    pub live: bool,
    /// Only confirmed work that should be over by this instant and was not reported as shipped or delivered.
    pub backlog: Option<Moment>,
}

impl ReservationFilter {
    /// Whether the reservation is one of those that are listed.
    pub fn matches(&self, reservation: &Reservation) -> bool {
        (!self.at_risk || reservation.at_risk)
            && self.state.is_none_or(|state| reservation.state == state)
            && (!self.live || reservation.state.is_live())
            && self.backlog.is_none_or(|now| reservation.is_backlog(now))
            && (self.resources.is_empty() || reservation.draws.iter().any(|d| self.resources.contains(&d.resource)))
    }
}

/// Why a ledger could not answer. Refusals are answers, not errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The store can't be reached or written; the command was not applied.
    #[error("the store is not available, nothing was applied: {0}")]
    Unavailable(Arc<str>),
    /// The store failed while the command was made: it may or may not have been applied. The same request sent again
    /// finds out.
    #[error("the store failed midway, the outcome is unknown: {0}")]
    OutcomeUnknown(Arc<str>),
    /// Too many commands wait already; the command was not applied.
    #[error("too many commands wait for the ledger")]
    Overloaded,
    /// The caller's deadline passed before the command was begun; it was not applied.
    #[error("the deadline passed before the ledger began")]
    DeadlinePassed,
    /// There is no such network, and the command does not make one.
    #[error("there is no network of this name")]
    UnknownNetwork,
    /// One service holds only so many networks (`MAX_NETWORKS`).
    #[error("there are {0} networks already; no more are taken")]
    TooManyNetworks(usize),
}
