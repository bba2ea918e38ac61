//! Requests that were refused and counted: which of them are remembered, so that one that is sent again, to whichever server,
//! is not counted as another. A refusal is stored nowhere else.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::domain::limits::{MAX_REFUSED, REFUSED_MINUTES};
use crate::domain::time::{Moment, Span};

/// The digest of a refused request's id.
pub type Digest = u64;

/// Those that are remembered, for [`REFUSED_MINUTES`] and [`MAX_REFUSED`] at most.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    at: FxHashMap<Digest, Moment>,
    order: BTreeSet<(Moment, Digest)>,
}

impl Refused {
    /// Remembers that this one was counted at this instant. None: it was counted before; else those that are forgotten for it.
    pub fn add(&mut self, digest: Digest, now: Moment) -> Option<Vec<(Moment, Digest)>> {
        let until = now.minus(Span::minutes(REFUSED_MINUTES));
        if self.at.get(&digest).is_some_and(|at| *at > until) {
            return None;
        }
        let mut forgotten = Vec::new();
        if let Some(before) = self.at.insert(digest, now) {
            self.order.remove(&(before, digest));
            forgotten.push((before, digest));
        }
        self.order.insert((now, digest));
        while let Some(&(at, oldest)) = self.order.first()
            && (at <= until || self.order.len() > MAX_REFUSED)
        {
            self.order.pop_first();
            self.at.remove(&oldest);
            forgotten.push((at, oldest));
        }
        Some(forgotten)
    }

    /// How a store fills it.
    pub fn load(&mut self, at: Moment, digest: Digest) {
        self.at.insert(digest, at);
        self.order.insert((at, digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_new_once_and_again_when_it_was_forgotten() {
        let mut refused = Refused::default();
        let later = |minutes| Moment(0).plus(Span::minutes(minutes));
        assert_eq!(refused.add(1, later(0)), Some(vec![]));
        assert_eq!(refused.add(2, later(1)), Some(vec![]));
        assert_eq!(refused.add(1, later(REFUSED_MINUTES - 1)), None);
        assert_eq!(refused.add(1, later(REFUSED_MINUTES)), Some(vec![(later(0), 1)]));
        assert_eq!(refused.add(3, later(REFUSED_MINUTES + 1)), Some(vec![(later(1), 2)]));
    }

    #[test]
    fn as_many_are_remembered_as_there_is_room_for_the_oldest_go_first() {
        let mut refused = Refused::default();
        for digest in 0..MAX_REFUSED as u64 {
            assert_eq!(refused.add(digest, Moment(digest as i64)), Some(vec![]));
        }
        let now = Moment(MAX_REFUSED as i64);
        assert_eq!(refused.add(u64::MAX, now), Some(vec![(Moment(0), 0)]));
        assert_eq!(refused.add(1, now), None);
        assert_eq!(refused.add(0, now), Some(vec![(Moment(1), 1)]));
        assert_eq!((refused.at.len(), refused.order.len()), (MAX_REFUSED, MAX_REFUSED));
    }
}
