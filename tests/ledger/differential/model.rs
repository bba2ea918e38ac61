//! What must be true of one network, by the rules alone, driven as the embedded ledger drives them: expiry first and as an entry of its
//! own, then the command.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use surety::domain::id::{ReservationId, ResourceId};
use surety::domain::limits::REQUEST_ID_DAYS;
use surety::domain::reservation::Reservation;
use surety::domain::time::{Moment, Span};
use surety::ledger::LedgerError;
use surety::ledger::command::{Command, Outcome};
use surety::ledger::feed::{Change, Entry};
use surety::ledger::rules::{self, Adjustment, State};

use crate::support::forgotten_by;

/// How long the store remembers a request id after its end. Rule 20 asks for 30 days; both sides keep this, to the microsecond.
pub const KEEP: Span = Span::days(REQUEST_ID_DAYS);

#[derive(Clone, Debug)]
pub struct Model {
    pub state: State,
    /// Whether there is such a network: before it is applied, only `default` is there.
    pub known: bool,
    /// What the clock shows.
    clock: Moment,
    /// When something last changed: the store never goes back behind it, whatever the clock shows.
    last: Moment,
    /// All that ever changed.
    pub log: Vec<Entry>,
    /// The newest command made what was due at once: its hold is of no length.
    pub is_due: bool,
    /// Buckets that were forgotten with units used up in them.
    pub forgotten: BTreeSet<(ResourceId, i32)>,
    /// The request ids of all adjustments, kept or forgotten.
    adjusted: BTreeMap<ReservationId, ()>,
}

impl Model {
    pub fn new(known: bool, begin: Moment) -> Model {
        Model {
            state: State::new(),
            known,
            clock: begin,
            last: Moment::MIN,
            log: Vec::new(),
            is_due: false,
            forgotten: BTreeSet::new(),
            adjusted: BTreeMap::new(),
        }
    }

    pub fn clock(&self) -> Moment {
        self.clock
    }

    /// The store's now.
    pub fn now(&self) -> Moment {
        self.clock.max(self.last)
    }

    /// Turns the clock, and gives back what is then due.
    pub fn turn(&mut self, to: Moment) {
        self.clock = to;
        self.settle();
    }

    /// Makes a command. What it made due by itself is given back too, as the next look at the store would.
    pub fn apply(&mut self, command: &Command) -> Result<Outcome, LedgerError> {
        if !self.known && !matches!(command, Command::ApplyNetwork(_)) {
            return Err(LedgerError::UnknownNetwork);
        }
        self.settle();
        let (now, before) = (self.now(), self.state.clone());
        let applied = rules::apply(&mut self.state, command, now);
        self.forgotten.extend(forgotten_by(command, &before, &self.state));
        self.known |= !applied.changes.is_empty();
        if let Some(adjustment) = &applied.adjustment {
            self.adjusted.insert(adjustment.request_id.clone(), ());
        }
        self.note(applied.changes);
        self.is_due = self.state.next_due().is_some_and(|due| due <= now);
        self.settle();
        Ok(applied.outcome)
    }

    /// Gives back what is due and forgets what ended long enough ago.
    fn settle(&mut self) {
        let now = self.now();
        let expired = rules::expire(&mut self.state, now, usize::MAX);
        self.note(expired.changes);
        // The store forgets at the very instant, a state in memory just after it.
        self.state.trim(now, Span(KEEP.0 - 1));
    }

    fn note(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.last = self.now();
            self.log.push(Entry { seq: self.state.next_seq(), at: self.last, changes });
        }
    }

    pub fn reservations(&self) -> BTreeMap<ReservationId, Arc<Reservation>> {
        self.state.reservations().map(|r| (r.id.clone(), Arc::clone(r))).collect()
    }

    /// Adjustments that are remembered.
    pub fn adjustments(&self) -> impl Iterator<Item = &Arc<Adjustment>> {
        self.adjusted.keys().filter_map(|id| self.state.adjustment(id))
    }
}
