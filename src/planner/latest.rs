//! The end of a span of instants that are early enough, as the backward pass hands it from the arrival to the order.

use crate::domain::calendar::Calendar;
use crate::domain::time::{Day, Moment, Span};

/// All instants before `at`, and `at` itself where the end is closed (a cutoff is in time, midnight is not).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latest {
    pub at: Moment,
    pub closed: bool,
}

impl Latest {
    /// Up to the instant, with it.
    pub fn until(at: Moment) -> Latest {
        Latest { at, closed: true }
    }

    /// Up to the instant, without it.
    pub fn before(at: Moment) -> Latest {
        Latest { at, closed: false }
    }

    /// Whether the instant is early enough.
    pub fn admits(self, at: Moment) -> bool {
        at < self.at || self.closed && at == self.at
    }

    /// The stricter of two.
    pub fn and(self, other: Latest) -> Latest {
        if other.at < self.at || other.at == self.at && !other.closed { other } else { self }
    }

    /// The same end, `span` earlier.
    pub fn minus(self, span: Span) -> Latest {
        Latest { at: self.at.minus(span), closed: self.closed }
    }

    /// The last instant that is early enough.
    pub fn last(self) -> Moment {
        if self.closed { self.at } else { Moment(self.at.0.saturating_sub(1)) }
    }

    /// The day of the last instant that is early enough.
    pub fn day(self, calendar: &Calendar) -> Day {
        calendar.day_of(self.last())
    }
}
