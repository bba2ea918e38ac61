//! Answers on their way to their callers. One that reaches nobody is noticed, so that a hold that nobody was told of can be undone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::LedgerError;
use super::command::{Command, Outcome};
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::time::Moment;

/// A hold that nobody was told of.
#[derive(Clone, Debug)]
pub struct Unheard {
    /// Its network.
    pub network: NetworkId,
    /// Its id.
    pub id: ReservationId,
    /// When it was made: another of this id is not meant.
    pub created_at: Moment,
}

/// Holds whose answers reached nobody.
#[derive(Debug, Default)]
pub struct Undos(Mutex<VecDeque<Unheard>>);

impl Undos {
    fn add(&self, unheard: Unheard) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(unheard);
    }

    /// Takes all that there are.
    pub fn take(&self) -> VecDeque<Unheard> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An answer on its way. If it is dropped before anybody took it, a hold that it tells of is undone.
#[derive(Debug)]
pub struct Told {
    result: Option<Result<Outcome, LedgerError>>,
    undo: Option<Unheard>,
    undos: Arc<Undos>,
}

impl Told {
    /// The answer to a command; `undos` is where it goes if nobody hears it.
    pub fn new(
        network: &NetworkId,
        command: &Command,
        result: Result<Outcome, LedgerError>,
        undos: &Arc<Undos>,
    ) -> Told {
        let undo = match (command, &result) {
            (Command::Hold(hold), Ok(Outcome::Reservation { reservation, repeated: false })) => {
                Some(Unheard { network: network.clone(), id: hold.id.clone(), created_at: reservation.created_at })
            }
            _ => None,
        };
        Told { result: Some(result), undo, undos: Arc::clone(undos) }
    }

    /// That a command was not made, or that nobody knows.
    pub fn failed(why: LedgerError) -> Told {
        Told { result: Some(Err(why)), undo: None, undos: Arc::default() }
    }

    /// Hears it.
    pub fn take(mut self) -> Result<Outcome, LedgerError> {
        self.undo = None;
        self.result.take().expect("an answer is taken once")
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(undo) = self.undo.take() {
            self.undos.add(undo);
        }
    }
}
