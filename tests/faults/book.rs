//! What clients were told, and what is wrong with it: the memory that the checker holds the service to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;

use crate::shop::{instant, told};

/// A reservation as an acknowledged answer showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub state: State,
    pub version: i64,
    /// Microseconds; of a held one.
    pub expires_at: Option<i64>,
}

impl Seen {
    pub fn of(reservation: &Reservation) -> Seen {
        let expires_at = instant(&reservation.expires_at).filter(|_| reservation.state() == State::Held);
        Seen { state: reservation.state(), version: reservation.version, expires_at }
    }
}

/// What came of asking for a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// It was acknowledged.
    Yes,
    /// It was refused, or it was said that nothing was applied, and it was not asked for again.
    No,
    /// There was no definite answer.
    Unknown,
}

/// All that was told of one request id.
#[derive(Clone, Debug)]
pub struct Told {
    pub id: String,
    pub network: String,
    pub holding: Holding,
    /// An attempt to hold ended without a definite answer. Where a later one was refused, the first may still have arrived
    /// since: it then ends by itself.
    pub hold_in_doubt: bool,
    /// The same of an amendment that was refused in the end.
    pub amendment_in_doubt: bool,
    /// As each acknowledged answer showed it, in order.
    pub seen: Vec<Seen>,
    /// Attempts of each kind, repeats too: what can have happened to it at most.
    pub sent: BTreeMap<&'static str, usize>,
    /// What happened to it, for who reads of a violation.
    pub story: Vec<String>,
}

impl Told {
    pub fn new(id: String, network: String) -> Told {
        Told {
            id,
            network,
            holding: Holding::Unknown,
            hold_in_doubt: false,
            amendment_in_doubt: false,
            seen: Vec::new(),
            sent: BTreeMap::new(),
            story: Vec::new(),
        }
    }

    pub fn last(&self) -> Option<&Seen> {
        self.seen.last()
    }
}

/// A change of supply that was acknowledged.
#[derive(Clone, Debug)]
pub struct Adjusted {
    pub network: String,
    pub start: String,
    pub delta: i64,
}

/// Numbers that are printed, and some that tests look at.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub held: usize,
    pub refused: usize,
    pub confirmed: usize,
    pub released: usize,
    pub extended: usize,
    pub amended: usize,
    pub repeated: usize,
    pub adjusted: usize,
    /// Attempts that ended with "nothing was applied", with an unknown outcome, with load shed.
    pub nothing: usize,
    pub unknown: usize,
    pub shed: usize,
    /// How long the slowest attempt with a definite answer took, and the slowest "nothing was applied".
    pub slowest: Duration,
    pub slowest_nothing: Duration,
}

/// What all clients write in.
#[derive(Default)]
pub struct Book {
    pages: Mutex<Pages>,
}

#[derive(Default)]
pub struct Pages {
    pub told: Vec<Told>,
    pub adjusted: Vec<Adjusted>,
    pub counts: BTreeMap<String, Counts>,
    violations: Vec<String>,
}

impl Book {
    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what must not be.
    pub fn violation(&self, what: String) {
        let mut pages = self.pages();
        if pages.violations.len() < 10 {
            println!("VIOLATION at {}: {what}", told());
        }
        pages.violations.push(what);
    }

    /// Counts for a network.
    pub fn count(&self, network: &str, count: impl FnOnce(&mut Counts)) {
        count(self.pages().counts.entry(network.to_owned()).or_default());
    }

    pub fn counts(&self, network: &str) -> Counts {
        self.pages().counts.get(network).cloned().unwrap_or_default()
    }

    pub fn violations(&self) -> Vec<String> {
        self.pages().violations.clone()
    }
}
