//! The audit: every bucket is worked out anew from the reservations that draw on it. Pure: what is read, and what is done about
//! it, is the business of [`super::stewardship`].

use std::collections::BTreeMap;
use std::fmt;

use rustc_hash::FxHashSet;

use crate::domain::bucket::{BucketLevel, PoolLevel};
use crate::domain::draw::Pool;
use crate::domain::id::ResourceId;
use crate::domain::reservation::{Reservation, State as Life};

use super::feed::Change;
use super::state::State;
use super::stewardship::Holdings;

/// A number of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Units drawn by reservations that may still expire.
    Held,
    /// Units drawn by confirmed reservations.
    Confirmed,
    /// Units drawn by fulfilled reservations.
    Fulfilled,
    /// Units left in a pool.
    Pool(Pool),
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Counter::Held => f.write_str("held"),
            Counter::Confirmed => f.write_str("confirmed"),
            Counter::Fulfilled => f.write_str("fulfilled"),
            Counter::Pool(Pool::Common) => f.write_str("left in common"),
            Counter::Pool(pool) => write!(f, "left in {pool}"),
        }
    }
}

/// A difference between a bucket and the reservations that draw on it: always a fault of the ledger, or of whoever wrote to its
/// store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which resource.
    pub resource: ResourceId,
    /// Which bucket.
    pub index: i32,
    /// Which of its numbers.
    pub counter: Counter,
    /// What it says, in units.
    pub has: i64,
    /// What it would say if it were right, in units.
    pub should: i64,
}

impl Drift {
    /// What mends it.
    pub fn repair(&self) -> Repair {
        let Drift { resource, index, counter, has, should } = self;
        Repair { resource: resource.clone(), index: *index, counter: counter.clone(), by: should.saturating_sub(*has) }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drift { resource, index, counter, has, should } = self;
        write!(f, "bucket {index} of {resource} has {has} {counter}, ")?;
        match counter {
            Counter::Pool(_) => write!(f, "which should be {should}"),
            Counter::Held | Counter::Confirmed | Counter::Fulfilled => write!(f, "its reservations draw {should}"),
        }
    }
}

/// What mends one number of one bucket. A difference, not a value: what was taken and given back since the audit was read has
/// changed bucket and reservations alike, so the difference is as right as it was. Made twice it is wrong: audit again first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Which resource.
    pub resource: ResourceId,
    /// Which bucket.
    pub index: i32,
    /// Which of its numbers.
    pub counter: Counter,
    /// Units to add, either sign.
    pub by: i64,
}

/// A bucket from which more is drawn or set aside than there is. No fault of the ledger: its supply was set below what had been
/// promised (rule 24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BelowZero {
    /// Which resource.
    pub resource: ResourceId,
    /// Which bucket.
    pub index: i32,
    /// Its supply, in units.
    pub supply: i64,
    /// What its reservations draw, in units.
    pub drawn: i64,
    /// What is left in its pools, in units.
    pub set_aside: i64,
}

impl BelowZero {
    /// What is left, in units: below zero.
    pub fn balance(&self) -> i64 {
        self.supply - self.drawn - self.set_aside
    }
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Numbers that are wrong, by resource and bucket; none: all is well.
    pub drifts: Vec<Drift>,
    /// Buckets that are short even if every number is right, by resource and bucket.
    pub below_zero: Vec<BelowZero>,
    /// Buckets that were worked out.
    pub buckets: usize,
    /// Reservations that draw on them.
    pub reservations: usize,
}

impl Audit {
    /// What mends all that is wrong.
    pub fn repairs(&self) -> Vec<Repair> {
        self.drifts.iter().map(Drift::repair).collect()
    }
}

/// Works out every bucket. `standing` tells the units that the standing plan gives a bucket, which no ledger knows; where it
/// can't tell, a bucket whose supply was never set is not looked at for [`BelowZero`].
pub fn audit(holdings: &Holdings, standing: impl Fn(&ResourceId, i32) -> Option<i64>) -> Audit {
    let reservations = || holdings.reservations.iter().map(|r| &**r);
    let levels = || holdings.snapshot.buckets.iter().map(|(resource, levels)| (resource, levels.as_slice()));
    let drawn = Drawn::by(reservations());
    let mut below_zero = Vec::new();
    for (resource, levels) in levels() {
        for (index, level) in levels {
            let sums = drawn.of(resource, *index);
            let Some(supply) = level.set.or_else(|| standing(resource, *index)) else { continue };
            let fulfilled = level.fulfilled.max(sums.fulfilled);
            let short = BelowZero {
                resource: resource.clone(),
                index: *index,
                supply,
                drawn: sums.held + sums.confirmed + fulfilled,
                set_aside: pools(level).into_iter().map(|(_, _, should)| should).sum(),
            };
            if short.balance() < 0 {
                below_zero.push(short);
            }
        }
    }
    let unknown = drawn.beyond(levels()).count();
    below_zero.sort_by(|a, b| (&a.resource, a.index).cmp(&(&b.resource, b.index)));
    Audit {
        drifts: drawn.compare(levels),
        below_zero,
        buckets: levels().map(|(_, levels)| levels.len()).sum::<usize>() + unknown,
        reservations: reservations().filter(|r| draws(r.state).is_some()).count(),
    }
}

/// Compares buckets with reservations, which must be all there are.
pub fn compare<'a, L>(levels: impl Fn() -> L, reservations: impl IntoIterator<Item = &'a Reservation>) -> Vec<Drift>
where
    L: Iterator<Item = (&'a ResourceId, &'a [(i32, BucketLevel)])>,
{
    Drawn::by(reservations).compare(levels)
}

/// Makes repairs, and tells the buckets that they changed. What would go below zero stops there; what is no longer known is not
/// made to have less than nothing.
pub fn mend(state: &mut State, repairs: &[Repair]) -> Vec<Change> {
    let mut order = Vec::new();
    let mut seen = FxHashSet::default();
    for Repair { resource, index, counter, by } in repairs {
        let known = state.level(resource, *index);
        if known.is_none() && *by <= 0 {
            continue;
        }
        let mut level = known.cloned().unwrap_or_default();
        let before = level.clone();
        match counter {
            Counter::Held => level.held = (level.held.saturating_add(*by)).max(0),
            Counter::Confirmed => level.confirmed = (level.confirmed.saturating_add(*by)).max(0),
            Counter::Fulfilled => level.fulfilled = (level.fulfilled.saturating_add(*by)).max(0),
            Counter::Pool(pool) => mend_pool(&mut level, pool, *by),
        }
        if level == before {
            continue;
        }
        state.put_level(resource, *index, level);
        if seen.insert((resource, *index)) {
            order.push((resource, *index));
        }
    }
    let changed = order.into_iter().filter_map(|(resource, index)| {
        let level = state.level(resource, index)?.clone();
        Some(Change::Bucket { resource: resource.clone(), index, level })
    });
    changed.collect()
}

/// Leaves one entry of the pool, with what all of them had and `by` more; none of common, which is no pool.
fn mend_pool(level: &mut BucketLevel, pool: &Pool, by: i64) {
    let mut pools: Vec<PoolLevel> = level.pools().to_vec();
    let at = pools.iter().position(|p| p.pool == *pool).unwrap_or(pools.len());
    let left: i64 = pools.iter().filter(|p| p.pool == *pool).map(|p| p.left).sum();
    let was_there = at < pools.len();
    pools.retain(|p| p.pool != *pool);
    let left = left.saturating_add(by).max(0);
    if *pool != Pool::Common && (was_there || left > 0) {
        pools.insert(at, PoolLevel { pool: pool.clone(), left });
    }
    level.pools = (!pools.is_empty()).then(|| Box::new(pools));
}

/// A bucket's pools, each once, with what its entries have and what they should: a pool is listed once, is never common and
/// never below zero.
fn pools(level: &BucketLevel) -> Vec<(&Pool, i64, i64)> {
    let mut sums: Vec<(&Pool, i64, i64)> = Vec::new();
    for p in level.pools() {
        match sums.iter_mut().find(|(pool, ..)| **pool == p.pool) {
            // Only the first entry of a pool is ever drawn from.
            Some((_, has, _)) => *has += p.left,
            None => sums.push((&p.pool, p.left, if p.pool == Pool::Common { 0 } else { p.left.max(0) })),
        }
    }
    sums
}

/// Which number of a bucket the draws of a reservation in this state are in.
fn draws(state: Life) -> Option<Counter> {
    match state {
        Life::Held => Some(Counter::Held),
        Life::Confirmed => Some(Counter::Confirmed),
        Life::Fulfilled => Some(Counter::Fulfilled),
        Life::Released | Life::Expired => None,
    }
}

/// Units that reservations draw on one bucket.
#[derive(Clone, Copy, Default)]
struct Sums {
    held: i64,
    confirmed: i64,
    fulfilled: i64,
}

/// What reservations draw, by bucket.
struct Drawn<'a>(BTreeMap<(&'a ResourceId, i32), Sums>);

impl<'a> Drawn<'a> {
    fn by(reservations: impl IntoIterator<Item = &'a Reservation>) -> Drawn<'a> {
        let mut drawn: BTreeMap<(&ResourceId, i32), Sums> = BTreeMap::new();
        for r in reservations {
            let Some(counter) = draws(r.state) else { continue };
            for d in r.draws.iter() {
                let sums = drawn.entry((&d.resource, d.index)).or_default();
                match counter {
                    Counter::Held => sums.held += d.units,
                    Counter::Confirmed => sums.confirmed += d.units,
                    Counter::Fulfilled | Counter::Pool(_) => sums.fulfilled += d.units,
                }
            }
        }
        Drawn(drawn)
    }

    fn of(&self, resource: &ResourceId, index: i32) -> Sums {
        self.0.get(&(resource, index)).copied().unwrap_or_default()
    }

    /// Live draws on buckets that are not known at all. Buckets of the past are forgotten when nothing live draws on them, so
    /// what was fulfilled there is no fault.
    fn beyond<'l>(
        &self,
        levels: impl Iterator<Item = (&'l ResourceId, &'l [(i32, BucketLevel)])>,
    ) -> impl Iterator<Item = (&'a ResourceId, i32, Sums)> {
        let known: FxHashSet<(&ResourceId, i32)> =
            levels.flat_map(|(resource, levels)| levels.iter().map(move |(index, _)| (resource, *index))).collect();
        let beyond = self.0.iter().filter(|((resource, index), sums)| {
            (sums.held != 0 || sums.confirmed != 0) && !known.contains(&(*resource, *index))
        });
        beyond.map(|((resource, index), sums)| (*resource, *index, *sums)).collect::<Vec<_>>().into_iter()
    }

    fn compare<'l, L>(&self, levels: impl Fn() -> L) -> Vec<Drift>
    where
        L: Iterator<Item = (&'l ResourceId, &'l [(i32, BucketLevel)])>,
    {
        let mut drifts = Vec::new();
        let mut note = |resource: &ResourceId, index: i32, counter: Counter, has: i64, should: i64| {
            if has != should {
                drifts.push(Drift { resource: resource.clone(), index, counter, has, should });
            }
        };
        for (resource, levels) in levels() {
            for (index, level) in levels {
                let sums = self.of(resource, *index);
                note(resource, *index, Counter::Held, level.held, sums.held);
                note(resource, *index, Counter::Confirmed, level.confirmed, sums.confirmed);
                // What is used up stays so, long after its reservations are forgotten: there may be more, but not less.
                let fulfilled = level.fulfilled.max(sums.fulfilled);
                note(resource, *index, Counter::Fulfilled, level.fulfilled, fulfilled);
                for (pool, has, should) in pools(level) {
                    note(resource, *index, Counter::Pool(pool.clone()), has, should);
                }
            }
        }
        for (resource, index, sums) in self.beyond(levels()) {
            note(resource, index, Counter::Held, 0, sums.held);
            note(resource, index, Counter::Confirmed, 0, sums.confirmed);
        }
        drifts.sort_by(|a, b| (&a.resource, a.index, &a.counter).cmp(&(&b.resource, b.index, &b.counter)));
        drifts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource() -> ResourceId {
        ResourceId::new("oven").expect("a name")
    }

    fn vip() -> Pool {
        Pool::Channel("vip".into())
    }

    fn with_pools(pools: &[(Pool, i64)]) -> BucketLevel {
        let pools = pools.iter().map(|(pool, left)| PoolLevel { pool: pool.clone(), left: *left });
        BucketLevel { pools: Some(Box::new(pools.collect())), ..BucketLevel::default() }
    }

    fn mended(level: BucketLevel) -> (Vec<Drift>, BucketLevel) {
        let mut state = State::new();
        state.put_level(&resource(), 3, level);
        let drifts = state.audit();
        let repairs: Vec<Repair> = drifts.iter().map(Drift::repair).collect();
        mend(&mut state, &repairs);
        assert_eq!(state.audit(), []);
        (drifts, state.level(&resource(), 3).cloned().expect("it is known"))
    }

    #[test]
    fn phantom_draws_go() {
        let level = BucketLevel { set: Some(5), held: 2, confirmed: 3, ..BucketLevel::default() };
        let (drifts, mended) = mended(level);
        let told: Vec<String> = drifts.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "bucket 3 of oven has 2 held, its reservations draw 0",
                "bucket 3 of oven has 3 confirmed, its reservations draw 0",
            ]
        );
        assert_eq!(mended, BucketLevel { set: Some(5), ..BucketLevel::default() });
    }

    #[test]
    fn pools_are_listed_once_are_not_common_and_not_below_zero() {
        let (drifts, level) = mended(with_pools(&[(vip(), -2)]));
        assert_eq!(drifts[0].to_string(), "bucket 3 of oven has -2 left in channel/vip, which should be 0");
        assert_eq!(level, with_pools(&[(vip(), 0)]));
        let (_, level) = mended(with_pools(&[(vip(), 4), (Pool::Offer("o".into()), 1), (vip(), 7)]));
        assert_eq!(level, with_pools(&[(vip(), 4), (Pool::Offer("o".into()), 1)]));
        let (_, level) = mended(with_pools(&[(Pool::Common, 4)]));
        assert_eq!(level.pools, None);
    }

    #[test]
    fn what_was_fulfilled_and_forgotten_is_no_drift() {
        let mut state = State::new();
        state.put_level(&resource(), 3, BucketLevel { fulfilled: 9, ..BucketLevel::default() });
        assert_eq!(state.audit(), []);
    }

    #[test]
    fn a_repair_follows_what_happened_since_the_reading() {
        let mut state = State::new();
        state.put_level(&resource(), 3, BucketLevel { set: Some(9), held: 4, ..BucketLevel::default() });
        let repairs: Vec<Repair> = state.audit().iter().map(Drift::repair).collect();
        // Two more are taken between the reading and the repair.
        state.put_level(&resource(), 3, BucketLevel { set: Some(9), held: 6, ..BucketLevel::default() });
        let changes = mend(&mut state, &repairs);
        let level = BucketLevel { set: Some(9), held: 2, ..BucketLevel::default() };
        assert_eq!(changes, [Change::Bucket { resource: resource(), index: 3, level }]);
        // A bucket that was forgotten meanwhile stays so.
        assert_eq!(mend(&mut State::new(), &repairs), []);
    }
}
