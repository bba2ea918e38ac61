//! The audit: every bucket is worked out anew from the reservations that draw on it. Pure: what is read, and what is done about
//! it, is the business of [`super::stewardship`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::domain::bucket::BucketLevel;
use crate::domain::draw::Pool;
use crate::domain::id::ResourceId;
use crate::domain::levels::Levels;
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
    /// Units drawn of what is set aside for somebody.
    Pool(Pool),
    /// Units drawn by a channel.
    Channel(Arc<str>),
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Counter::Held => f.write_str("held"),
            Counter::Confirmed => f.write_str("confirmed"),
            Counter::Fulfilled => f.write_str("fulfilled"),
            Counter::Pool(pool) => write!(f, "drawn of {pool}"),
            Counter::Channel(channel) => write!(f, "drawn by channel {channel}"),
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
        write!(f, "bucket {index} of {resource} has {has} {counter}, its reservations draw {should}")
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
    let levels = || holdings.snapshot.buckets.iter().map(|(resource, levels)| (resource, levels));
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
                set_aside: level.set_aside(holdings.now),
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
        reservations: reservations().filter(|r| draws(r.state)).count(),
    }
}

/// Compares buckets with reservations, which must be all there are.
pub fn compare<'a, L>(levels: impl Fn() -> L, reservations: impl IntoIterator<Item = &'a Reservation>) -> Vec<Drift>
where
    L: Iterator<Item = (&'a ResourceId, &'a Levels)>,
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
            Counter::Pool(pool) => {
                let own = level.pool_mut(pool);
                own.used = own.used.saturating_add(*by).max(0);
            }
            Counter::Channel(channel) => {
                let own = level.channel_mut(channel);
                own.drawn = own.drawn.saturating_add(*by).max(0);
            }
        }
        level.tidy();
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

/// Units that reservations draw on one bucket.
#[derive(Clone, Default)]
struct Sums<'a> {
    held: i64,
    confirmed: i64,
    fulfilled: i64,
    /// Of each pool but common, in any state.
    pools: BTreeMap<&'a Pool, i64>,
    /// By each channel, in any state.
    channels: BTreeMap<&'a Arc<str>, i64>,
}

/// What reservations draw, by bucket.
struct Drawn<'a>(BTreeMap<(&'a ResourceId, i32), Sums<'a>>);

impl<'a> Drawn<'a> {
    fn by(reservations: impl IntoIterator<Item = &'a Reservation>) -> Drawn<'a> {
        let mut drawn: BTreeMap<(&ResourceId, i32), Sums<'_>> = BTreeMap::new();
        for r in reservations.into_iter().filter(|r| draws(r.state)) {
            for d in r.draws.iter() {
                let sums = drawn.entry((&d.resource, d.index)).or_default();
                *match r.state {
                    Life::Held => &mut sums.held,
                    Life::Confirmed => &mut sums.confirmed,
                    Life::Fulfilled | Life::Released | Life::Expired => &mut sums.fulfilled,
                } += d.units;
                if d.pool != Pool::Common {
                    *sums.pools.entry(&d.pool).or_default() += d.units;
                }
                if let Some(channel) = &r.ask.channel {
                    *sums.channels.entry(channel).or_default() += d.units;
                }
            }
        }
        Drawn(drawn)
    }

    fn of(&self, resource: &ResourceId, index: i32) -> Sums<'a> {
        self.0.get(&(resource, index)).cloned().unwrap_or_default()
    }

    /// Live draws on buckets that are not known at all. Buckets of the past are forgotten when nothing live draws on them, so
    /// what was fulfilled there is no fault.
    fn beyond<'l>(
        &self,
        levels: impl Iterator<Item = (&'l ResourceId, &'l Levels)>,
    ) -> impl Iterator<Item = (&'a ResourceId, i32, Sums<'a>)> {
        let known: FxHashSet<(&ResourceId, i32)> =
            levels.flat_map(|(resource, levels)| levels.all().map(move |(index, _)| (resource, *index))).collect();
        let beyond = self.0.iter().filter(|((resource, index), sums)| {
            (sums.held != 0 || sums.confirmed != 0) && !known.contains(&(*resource, *index))
        });
        beyond.map(|((resource, index), sums)| (*resource, *index, sums.clone())).collect::<Vec<_>>().into_iter()
    }

    fn compare<'l, L>(&self, levels: impl Fn() -> L) -> Vec<Drift>
    where
        L: Iterator<Item = (&'l ResourceId, &'l Levels)>,
    {
        let mut drifts = Vec::new();
        for (resource, levels) in levels() {
            for (index, level) in levels.all() {
                note(&mut drifts, resource, *index, level, &self.of(resource, *index));
            }
        }
        for (resource, index, sums) in self.beyond(levels()) {
            let live = Sums { fulfilled: 0, ..sums };
            note(&mut drifts, resource, index, &BucketLevel::default(), &live);
        }
        drifts.sort_by(|a, b| (&a.resource, a.index, &a.counter).cmp(&(&b.resource, b.index, &b.counter)));
        drifts
    }
}

/// Notes the numbers of a bucket that differ from what its reservations draw.
fn note(drifts: &mut Vec<Drift>, resource: &ResourceId, index: i32, level: &BucketLevel, sums: &Sums<'_>) {
    let mut compare = |counter: Counter, has: i64, should: i64| {
        if has != should {
            drifts.push(Drift { resource: resource.clone(), index, counter, has, should });
        }
    };
    compare(Counter::Held, level.held, sums.held);
    compare(Counter::Confirmed, level.confirmed, sums.confirmed);
    // What is used up stays so, long after its reservations are forgotten: there may be more, but not less.
    let fulfilled = level.fulfilled.max(sums.fulfilled);
    compare(Counter::Fulfilled, level.fulfilled, fulfilled);
    // Who drew what was forgotten is not known any more, so as much more may be counted for a pool or a channel.
    let forgotten = fulfilled - sums.fulfilled;
    let within = |has: i64, drawn: i64| has.clamp(drawn, drawn + forgotten);
    let pools = level.pools().iter().map(|p| &p.pool).chain(sums.pools.keys().copied());
    for pool in pools.collect::<BTreeSet<_>>() {
        let has = level.pool(pool).map_or(0, |p| p.used);
        compare(Counter::Pool(pool.clone()), has, within(has, sums.pools.get(pool).copied().unwrap_or_default()));
    }
    let channels = level.channels().iter().map(|c| &c.channel).chain(sums.channels.keys().copied());
    for channel in channels.collect::<BTreeSet<_>>() {
        let has = level.channels().iter().find(|c| c.channel == *channel).map_or(0, |c| c.drawn);
        let drawn = sums.channels.get(channel).copied().unwrap_or_default();
        compare(Counter::Channel(Arc::clone(channel)), has, within(has, drawn));
    }
}

/// Whether reservations in this state draw on buckets.
fn draws(state: Life) -> bool {
    match state {
        Life::Held | Life::Confirmed | Life::Fulfilled => true,
        Life::Released | Life::Expired => false,
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
    fn phantom_draws_of_pools_and_channels_go() {
        let mut level = BucketLevel { fulfilled: 1, ..BucketLevel::default() };
        level.pool_mut(&vip()).used = 3;
        level.channel_mut(&"vip".into()).drawn = 2;
        let (drifts, mended) = mended(level);
        let told: Vec<String> = drifts.iter().map(ToString::to_string).collect();
        // One of each may be of what was fulfilled and forgotten.
        assert_eq!(
            told,
            [
                "bucket 3 of oven has 3 drawn of channel/vip, its reservations draw 1",
                "bucket 3 of oven has 2 drawn by channel vip, its reservations draw 1",
            ]
        );
        assert_eq!((mended.pools()[0].used, mended.channels()[0].drawn), (1, 1));
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
