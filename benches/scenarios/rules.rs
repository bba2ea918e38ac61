//! The rules on a state with 360 buckets in which a thousand others hold already.

use std::hint::black_box;
use std::sync::Arc;

use surety::domain::time::{MINUTE, Moment};
use surety::ledger::command::{Command, Confirm, Outcome, Refusal};
use surety::ledger::rules::{State, apply};

use super::Turn;
use super::workshop::{NOW, holds, id, state};

/// Supply that never ends here.
const PLENTY: i64 = 1 << 40;
/// Others' holds, which end after all that are measured.
const OTHERS: std::ops::Range<usize> = 1_000_000..1_001_000;

/// A state, others' holds in it, and those of so many turns.
fn held(turns: usize) -> State {
    let mut state = state(PLENTY);
    for command in holds(OTHERS).iter().chain(&holds(0..turns)) {
        let applied = apply(&mut state, command, NOW);
        assert!(matches!(applied.outcome, Outcome::Reservation { .. }));
    }
    state
}

/// Each turn makes a command of its own; looks that they come to what they should.
fn applied(mut state: State, commands: Vec<Command>, expected: fn(&Outcome) -> bool) -> Turn {
    Box::new(move |turn| {
        let applied = apply(&mut state, &commands[turn], NOW);
        assert!(expected(&applied.outcome));
        drop(black_box(applied));
    })
}

pub fn hold(turns: usize) -> Turn {
    applied(held(0), holds(0..turns), |outcome| matches!(outcome, Outcome::Reservation { repeated: false, .. }))
}

pub fn hold_repeated(turns: usize) -> Turn {
    applied(held(turns), holds(0..turns), |outcome| matches!(outcome, Outcome::Reservation { repeated: true, .. }))
}

pub fn hold_refused(turns: usize) -> Turn {
    applied(state(1), holds(0..turns), |outcome| matches!(outcome, Outcome::Refused(Refusal::Short(_))))
}

pub fn confirm(turns: usize) -> Turn {
    let confirm = |turn: usize| Command::Confirm(Confirm { id: id(turn), reference: None, retake: None });
    applied(held(turns), (0..turns).map(confirm).collect(), |outcome| {
        matches!(outcome, Outcome::Reservation { repeated: false, .. })
    })
}

pub fn release(turns: usize) -> Turn {
    let release = |turn: usize| Command::Release { id: id(turn), reason: Arc::from("changed my mind") };
    applied(held(turns), (0..turns).map(release).collect(), |outcome| {
        matches!(outcome, Outcome::Reservation { repeated: false, .. })
    })
}

/// One hold ends each minute.
pub fn expiry(turns: usize) -> Turn {
    let mut state = held(turns);
    Box::new(move |turn| {
        let applied = apply(&mut state, &Command::Tick, Moment(NOW.0 + (turn as i64 + 1) * MINUTE));
        assert!(!applied.changes.is_empty());
        drop(black_box(applied));
    })
}
