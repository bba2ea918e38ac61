//! The one place that reads the system's clock; everything else is told the time.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::time::{Moment, Span};

/// Tells the time (rule 5).
pub trait Clock: Send + Sync + 'static {
    /// The present instant. May jump, as clocks do; who needs order keeps it.
    fn now(&self) -> Moment;
}

/// The system's clock, shifted so that it begins where it was told to (`--clock`).
#[derive(Debug, Default)]
pub struct SystemClock {
    shift: i64,
}

impl SystemClock {
    /// The system's clock as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that shows `begin` now and runs on from there.
    pub fn beginning_at(begin: Moment) -> Self {
        Self { shift: begin.0 - system_now().0 }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment(system_now().0 + self.shift)
    }
}

#[allow(clippy::disallowed_methods)] // the one place
fn system_now() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A clock that is turned by hand: tests, simulations, replays in virtual time.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows this instant until it is turned.
    pub fn at(now: Moment) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Turns it to an instant.
    pub fn set(&self, now: Moment) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Turns it forward.
    pub fn advance(&self, by: Span) {
        self.0.fetch_add(by.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::SeqCst))
    }
}
