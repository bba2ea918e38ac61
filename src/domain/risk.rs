//! Which reservations are at risk where more is drawn from a bucket than there is (rule 24). Pure: from what is drawn to whom it
//! hits.

use std::cmp::Reverse;

use super::id::ReservationId;
use super::reservation::{Reservation, State};
use super::time::Moment;

/// The priority of asks without a channel, and of channels that the network no longer knows: that of a channel that says nothing.
pub const NO_PRIORITY: i32 = 0;

/// How well a reservation keeps its date when capacity is lost; the least protected come first. Of two made at the same instant, the
/// ids decide, so that there is one answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protection {
    confirmed: bool,
    priority: i32,
    made: Reverse<Moment>,
    id: ReservationId,
}

impl Protection {
    /// That of a reservation whose channel has this priority; none: it can't be put at risk, since it has ended, or its goods have left.
    pub fn of(r: &Reservation, priority: i32) -> Option<Protection> {
        let confirmed = match r.state {
            State::Held => false,
            State::Confirmed if r.shipped_at.is_some() => return None,
            State::Confirmed => true,
            State::Released | State::Expired | State::Fulfilled => return None,
        };
        Some(Protection { confirmed, priority, made: Reverse(r.created_at), id: r.id.clone() })
    }

    /// Whose it is.
    pub fn id(&self) -> &ReservationId {
        &self.id
    }

    /// The order in which new dates are given: by priority, the highest first, then the oldest first.
    pub fn before_in_line(&self, other: &Protection) -> std::cmp::Ordering {
        let place = |p: &Protection| (Reverse(p.priority), p.made.0);
        place(self).cmp(&place(other)).then_with(|| self.id.cmp(&other.id))
    }
}

/// Those that a bucket puts at risk: from the least protected on, as many as it takes until the rest is covered. `claims`: the units that each
/// reservation draws from it, least protected first, those left out that can't be put at risk. `uncovered`: units drawn beyond the
/// supply, by whomever.
pub fn at_risk<'a>(
    claims: impl IntoIterator<Item = (&'a Protection, i64)>,
    uncovered: i64,
) -> impl Iterator<Item = &'a Protection> {
    let mut left = uncovered;
    claims.into_iter().map_while(move |(protection, units)| {
        let is_needed = left > 0;
        left = left.saturating_sub(units);
        is_needed.then_some(protection)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// One draw as the test makes it up: what rule 24 looks at.
    #[derive(Clone, Debug)]
    struct Claim {
        confirmed: bool,
        priority: i32,
        made: i64,
        /// None: it can't be marked.
        id: Option<u32>,
        units: i64,
    }

    fn protection(c: &Claim) -> Option<Protection> {
        let id = ReservationId::new(&format!("r{:04}", c.id?)).ok()?;
        let made = Reverse(Moment(c.made));
        Some(Protection { confirmed: c.confirmed, priority: c.priority, made, id })
    }

    /// The rule's own words: mark one after the other, until what is not marked is covered.
    fn naive(supply: i64, claims: &[Claim]) -> BTreeSet<u32> {
        let mut marked = BTreeSet::new();
        loop {
            let rest: i64 =
                claims.iter().filter(|c| !c.id.is_some_and(|id| marked.contains(&id))).map(|c| c.units).sum();
            if rest <= supply {
                return marked;
            }
            let next = claims.iter().filter(|c| c.id.is_some_and(|id| !marked.contains(&id))).min_by(|a, b| {
                (a.confirmed.cmp(&b.confirmed))
                    .then(a.priority.cmp(&b.priority))
                    .then(b.made.cmp(&a.made))
                    .then(a.id.cmp(&b.id))
            });
            match next.and_then(|c| c.id) {
                Some(id) => marked.insert(id),
                None => return marked,
            };
        }
    }

    fn claims() -> impl Strategy<Value = Vec<Claim>> {
        let claim = (any::<bool>(), -2..3_i32, 0..5_i64, any::<bool>(), 1..9_i64);
        prop::collection::vec(claim, 0..30).prop_map(|all| {
            let number = |(i, (confirmed, priority, made, stays, units)): (u32, (_, _, _, bool, _))| Claim {
                confirmed,
                priority,
                made,
                id: (!stays).then_some(i),
                units,
            };
            (0..).zip(all).map(number).collect()
        })
    }

    fn marked(supply: i64, claims: &[Claim]) -> BTreeSet<u32> {
        let drawn: i64 = claims.iter().map(|c| c.units).sum();
        let sorted: BTreeMap<Protection, i64> = claims.iter().filter_map(|c| Some((protection(c)?, c.units))).collect();
        at_risk(sorted.iter().map(|(p, units)| (p, *units)), drawn - supply)
            .map(|p| p.id().as_str()[1..].parse().expect("a number"))
            .collect()
    }

    proptest! {
        #[test]
        fn rule_24_marks_are_what_the_rule_says(supply in 0..120_i64, claims in claims()) {
            prop_assert_eq!(marked(supply, &claims), naive(supply, &claims));
        }

        #[test]
        fn rule_24_more_supply_never_puts_more_at_risk(supply in 0..120_i64, more in 0..20_i64, claims in claims()) {
            prop_assert!(marked(supply + more, &claims).is_subset(&marked(supply, &claims)));
        }
    }

    #[test]
    fn new_dates_go_to_the_highest_priority_first_then_to_the_oldest() {
        let of = |priority, made, id| {
            protection(&Claim { confirmed: false, priority, made, id: Some(id), units: 1 }).expect("can be marked")
        };
        let mut line = [of(0, 5, 1), of(2, 9, 2), of(0, 4, 3), of(2, 8, 4), of(0, 4, 0)];
        line.sort_by(Protection::before_in_line);
        let ids: Vec<&str> = line.iter().map(|p| p.id().as_str()).collect();
        assert_eq!(ids, ["r0004", "r0002", "r0000", "r0003", "r0001"]);
    }
}
