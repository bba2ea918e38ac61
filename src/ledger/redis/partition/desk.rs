//! What a network's handle and its task share: the messages between them, and what either tells the other in passing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;

use super::super::super::LedgerError;
use super::super::super::audit::Repair;
use super::super::super::command::Command;
use super::super::super::told::{Told, Undos};
use super::super::batch::Reserve;
use crate::domain::time::Moment;

/// What comes through a network's queue.
pub enum Message {
    /// A command.
    Execute(Box<Execute>),
    /// The subscriber is there: it is to get the full state.
    Subscribed(oneshot::Sender<Result<(), LedgerError>>),
    /// Buckets are to be mended.
    Repair(Vec<Repair>, oneshot::Sender<Result<usize, LedgerError>>),
}

/// A command that waits.
pub struct Execute {
    /// What is to be done.
    pub command: Command,
    /// A hold that was worked out by its caller.
    pub prepared: Option<Reserve>,
    /// See `Ledger::execute`.
    pub give_up_at: Option<Instant>,
    /// Who waits.
    pub answer: oneshot::Sender<Told>,
}

/// What a network's handle and its task share.
pub struct Desk {
    /// Holds whose answers reached nobody.
    pub undos: Arc<Undos>,
    /// When the next hold ends of which the subscriber does not know yet that it has, in microseconds.
    pub next_due: AtomicI64,
    /// The instant that the store last told, in microseconds.
    pub told_at: AtomicI64,
    /// Commands that wait.
    pub waiting: AtomicUsize,
    /// Redis does not answer.
    pub away: AtomicBool,
}

impl Desk {
    /// Nothing known yet.
    pub fn new() -> Desk {
        Desk {
            undos: Arc::default(),
            next_due: AtomicI64::new(i64::MAX),
            told_at: AtomicI64::new(i64::MIN),
            waiting: AtomicUsize::new(0),
            away: AtomicBool::new(false),
        }
    }

    /// The instant that the store last told.
    pub fn told(&self) -> Moment {
        Moment(self.told_at.load(Ordering::Acquire))
    }
}

/// Tells that a message was not served.
pub(super) fn refuse(message: Message, why: &LedgerError) {
    match message {
        Message::Execute(e) => drop(e.answer.send(Told::failed(why.clone()))),
        Message::Subscribed(done) => drop(done.send(Err(why.clone()))),
        Message::Repair(_, done) => drop(done.send(Err(why.clone()))),
    }
}
