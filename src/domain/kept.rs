//! The record of kept promises: of those that were delivered, how many were how late. What confidence is told from.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::limits::{MAX_DAYS_LATE, MIN_COMPARABLE};
use super::share::Share;

/// Orders by days late, from 0 to `MAX_DAYS_LATE`; the last also counts those that were later still.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    orders: [i64; MAX_DAYS_LATE as usize + 1],
}

impl Kept {
    /// All orders on record.
    pub fn known(&self) -> i64 {
        self.orders.iter().sum()
    }

    /// Whether there are enough to be told from.
    pub fn is_enough(&self) -> bool {
        self.known() >= MIN_COMPARABLE
    }

    /// Orders at most so many days late. Those of the last number are never among them: some may have been later still.
    pub fn within(&self, days: i32) -> i64 {
        self.orders[..self.orders.len() - 1].iter().zip(0..=days).map(|(orders, _)| orders).sum()
    }

    /// The share of orders at most so many days late; none: too few are on record.
    pub fn share(&self, days: i32) -> Option<Share> {
        self.is_enough().then(|| Share::of(self.within(days), self.known()))
    }

    /// The least number of days, up to `MAX_DAYS_LATE`, within which at least this share came; none: no such number, or too
    /// few on record.
    pub fn days_for(&self, share: Share) -> Option<i32> {
        (0..=MAX_DAYS_LATE).find(|days| self.share(*days).is_some_and(|s| s >= share))
    }
}

/// A way: site, zone, service.
type Way = (Arc<str>, Arc<str>, Arc<str>);

/// The record of kept promises by way: comparable are those of the same site, zone and service.
#[derive(Clone, Debug, Default)]
pub struct KeptRecord {
    ways: FxHashMap<Way, Kept>,
}

impl KeptRecord {
    /// Adds orders that came so many days late: 0 or less is kept, more than `MAX_DAYS_LATE` counts as so many.
    pub fn add(&mut self, site: &Arc<str>, zone: &Arc<str>, service: &Arc<str>, days_late: i32, orders: i64) {
        let kept = self.ways.entry((Arc::clone(site), Arc::clone(zone), Arc::clone(service))).or_default();
        kept.orders[days_late.clamp(0, MAX_DAYS_LATE) as usize] += orders;
    }

    /// Whether nothing is on record.
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// What is on record of a way, if anything is.
    pub fn of(&self, site: &Arc<str>, zone: &Arc<str>, service: &Arc<str>) -> Option<&Kept> {
        self.ways.get(&(Arc::clone(site), Arc::clone(zone), Arc::clone(service)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(orders: &[(i32, i64)]) -> Kept {
        let way: Arc<str> = Arc::from("x");
        let mut record = KeptRecord::default();
        for (days, orders) in orders {
            record.add(&way, &way, &way, *days, *orders);
        }
        record.of(&way, &way, &way).cloned().unwrap_or_default()
    }

    #[test]
    fn with_too_few_on_record_nothing_is_told() {
        assert_eq!(kept(&[(0, MIN_COMPARABLE - 1)]).share(0), None);
        assert_eq!(kept(&[(-3, MIN_COMPARABLE)]).share(0), Some(Share::ALL));
    }

    #[test]
    fn a_date_is_as_sure_as_the_share_that_came_by_then() {
        let kept = kept(&[(0, 80), (1, 15), (3, 4), (40, 1)]);
        let share = |percent: u32| Share::from_millionths(percent * 10_000);
        assert_eq!(kept.days_for(share(80)), Some(0));
        assert_eq!(kept.days_for(share(81)), Some(1));
        assert_eq!(kept.days_for(share(96)), Some(3));
        assert_eq!(kept.days_for(share(100)), None, "how late the last one was, nobody knows");
    }
}
