//! Batches that were made, as the feed has them: what each bucket held before, and the plan, from which follows what became of it.

use std::sync::Arc;

use super::super::feed::{Change, Cursor, Entry};
use super::super::record::Unreadable;
use super::super::state::{give_to, take_from};
use super::super::tally::Tallies;
use super::super::transition::Side;
use super::batch::{OFFER, Place, REMOVES};
use crate::domain::bucket::BucketLevel;
use crate::domain::draw::Pool;
use crate::domain::limits::MAX_UNITS;
use crate::domain::offer::ApprovedOffer;
use crate::domain::reservation::Reservation;
use crate::domain::time::Moment;

fn side_of(number: u8) -> Side {
    match number {
        4 => Side::Fulfilled,
        3 => Side::Confirmed,
        _ => Side::Held,
    }
}

/// Reads a plan.
struct Plan<'a>(&'a [u8]);

impl Plan<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let Some((bytes, rest)) = self.0.split_first_chunk::<N>() else {
            return Err(Unreadable { what: "plan of a batch", why: "it is cut short".to_owned() });
        };
        self.0 = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        Ok(self.bytes::<1>()?[0])
    }

    fn count(&mut self) -> Result<usize, Unreadable> {
        Ok(usize::from(u16::from_be_bytes(self.bytes()?)))
    }

    fn number(&mut self) -> Result<usize, Unreadable> {
        Ok(u32::from_be_bytes(self.bytes()?) as usize)
    }

    fn long(&mut self) -> Result<i64, Unreadable> {
        Ok(i64::from_be_bytes(self.bytes()?))
    }
}

/// A batch that was made, as the feed has it.
pub struct Made<'a> {
    /// Its buckets.
    pub buckets: &'a [Place],
    /// Names of pools, channels and tallies.
    pub names: &'a [Arc<str>],
    /// Its plan.
    pub plan: &'a [u8],
    /// A letter a step.
    pub codes: &'a [u8],
    /// What its buckets held before it.
    pub levels: Vec<Option<BucketLevel>>,
    /// When.
    pub at: Moment,
    /// Its first entry.
    pub first: Cursor,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The entries of the steps that were made.
    pub entries: Vec<Arc<Entry>>,
    /// What was counted; a name may come several times.
    pub tallies: Tallies,
}

/// What the steps of a batch wrote, in their order.
pub trait Written {
    /// The next reservation: as it is after its step, or where that removed it, before it.
    fn reservation(&mut self) -> Result<Arc<Reservation>, Unreadable>;

    /// The next offer.
    fn offer(&mut self) -> Result<Arc<ApprovedOffer>, Unreadable>;
}

impl Made<'_> {
    /// What the steps came to; none: there is one that this version does not know.
    pub fn entries(mut self, written: &mut impl Written) -> Result<Option<Replayed>, Unreadable> {
        let mut plan = Plan(self.plan);
        let (mut entries, mut tallies) = (Vec::new(), Vec::new());
        for &code in self.codes {
            let made = code == b'A';
            let mut touched: Vec<usize> = Vec::new();
            let mut changes = Vec::new();
            match plan.byte()? {
                1 => {
                    let [flags, _, from, to] = plan.bytes()?;
                    plan.bytes::<26>()?;
                    let (gives, takes) = (plan.count()?, plan.count()?);
                    let (giver, taker) = (self.name(plan.count()?)?, self.name(plan.count()?)?);
                    let counts = plan.count()?;
                    if made {
                        let r = written.reservation()?;
                        changes.push(if flags & REMOVES == 0 { Change::Reservation(r) } else { Change::Undone(r) });
                    }
                    for turn in 0..gives + takes {
                        let (bucket, pool, units) = (plan.number()?, plan.count()?, plan.long()?);
                        let takes = turn >= gives;
                        if takes {
                            plan.long()?;
                        }
                        if !made {
                            continue;
                        }
                        let pool = self.pool(pool)?;
                        let level = self.level(bucket)?.get_or_insert_default();
                        if takes {
                            take_from(level, &pool, side_of(to), taker.as_ref(), units);
                        } else {
                            give_to(level, &pool, side_of(from), giver.as_ref(), units);
                        }
                        touched.push(bucket - 1);
                    }
                    self.counted(&mut plan, counts, made.then_some(&mut tallies))?;
                }
                2 => {
                    plan.bytes::<2>()?;
                }
                3 => {
                    plan.long()?;
                    let (unset, count) = (plan.byte()?, plan.number()?);
                    for _ in 0..count {
                        let (bucket, units) = (plan.number()?, plan.long()?);
                        if made {
                            self.set(bucket, &mut touched, |set| {
                                if unset == 1 && set.is_some() { set } else { Some(units) }
                            })?;
                        }
                    }
                }
                4 => {
                    plan.long()?;
                    let (_, count, change) = (plan.byte()?, plan.number()?, plan.long()?);
                    for _ in 0..count {
                        let (bucket, standing) = (plan.number()?, plan.long()?);
                        let changed =
                            |set: Option<i64>| Some(set.unwrap_or(standing).saturating_add(change).clamp(0, MAX_UNITS));
                        if made {
                            self.set(bucket, &mut touched, changed)?;
                        }
                    }
                }
                6 => {
                    plan.long()?;
                    let (how, pool) = (plan.byte()?, self.pool_of(plan.count()?)?);
                    let (channel, count) = (self.name(plan.count()?)?, plan.number()?);
                    if made && how == OFFER {
                        changes.push(Change::Offer(written.offer()?));
                    }
                    for _ in 0..count {
                        let (bucket, _, units) = (plan.number()?, plan.long()?, plan.long()?);
                        let (until, most) = (Moment(plan.long()?), plan.long()?);
                        if made {
                            self.set_aside(bucket, &mut touched, |level| {
                                let own = level.pool_mut(&pool);
                                own.set = units.clamp(0, MAX_UNITS);
                                own.release_at = if own.set == 0 { Moment(0) } else { until };
                                if let Some(channel) = &channel {
                                    level.channel_mut(channel).most = (most >= 0).then_some(most);
                                }
                            })?;
                        }
                    }
                }
                7 => {
                    let (pool, count) = (self.pool_of(plan.count()?)?, plan.number()?);
                    if made {
                        changes.push(Change::Offer(written.offer()?));
                    }
                    for _ in 0..count {
                        let bucket = plan.number()?;
                        if made && self.level(bucket)?.as_ref().is_some_and(|l| l.pool(&pool).is_some()) {
                            self.set_aside(bucket, &mut touched, |level| {
                                let own = level.pool_mut(&pool);
                                (own.set, own.release_at) = (0, Moment(0));
                            })?;
                        }
                    }
                }
                8 => {
                    let count = plan.number()?;
                    self.counted(&mut plan, count, Some(&mut tallies))?;
                }
                9 => {
                    plan.bytes::<8>()?;
                    let count = plan.number()?;
                    self.counted(&mut plan, count, (code == b'C').then_some(&mut tallies))?;
                }
                5 => {}
                _ => return Ok(None),
            }
            if made {
                let mut seen = rustc_hash::FxHashSet::default();
                for at in touched.into_iter().filter(|at| seen.insert(*at)) {
                    let (resource, index) = self.buckets.get(at).cloned().ok_or_else(unnamed)?;
                    let level = self.levels[at].clone().unwrap_or_default();
                    changes.push(Change::Bucket { resource, index, level });
                }
                let seq = self.first + entries.len() as Cursor;
                entries.push(Arc::new(Entry { seq, at: self.at, changes }));
            }
        }
        Ok(Some(Replayed { entries, tallies }))
    }

    /// A name by its number; 0: none.
    fn name(&self, number: usize) -> Result<Option<Arc<str>>, Unreadable> {
        match number.checked_sub(1) {
            None => Ok(None),
            Some(at) => self.names.get(at).cloned().map(Some).ok_or_else(unnamed),
        }
    }

    /// A pool by the number of its name; 0: common.
    fn pool(&self, number: usize) -> Result<Pool, Unreadable> {
        if number == 0 { Ok(Pool::Common) } else { self.pool_of(number) }
    }

    fn pool_of(&self, number: usize) -> Result<Pool, Unreadable> {
        self.name(number)?.and_then(|name| Pool::parse(&name)).ok_or_else(unnamed)
    }

    fn counted(&self, plan: &mut Plan<'_>, count: usize, mut tallies: Option<&mut Tallies>) -> Result<(), Unreadable> {
        for _ in 0..count {
            let (name, by) = (plan.number()?, plan.long()?);
            if let Some(tallies) = tallies.as_deref_mut() {
                tallies.push((self.name(name)?.ok_or_else(unnamed)?, by));
            }
        }
        Ok(())
    }

    fn level(&mut self, bucket: usize) -> Result<&mut Option<BucketLevel>, Unreadable> {
        self.levels.get_mut(bucket.wrapping_sub(1)).ok_or_else(unnamed)
    }

    fn set_aside(
        &mut self,
        bucket: usize,
        touched: &mut Vec<usize>,
        change: impl FnOnce(&mut BucketLevel),
    ) -> Result<(), Unreadable> {
        let level = self.level(bucket)?;
        let before = level.clone().unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        after.tidy();
        if after != before {
            *level = Some(after);
            touched.push(bucket - 1);
        }
        Ok(())
    }

    fn set(
        &mut self,
        bucket: usize,
        touched: &mut Vec<usize>,
        change: impl FnOnce(Option<i64>) -> Option<i64>,
    ) -> Result<(), Unreadable> {
        let level = self.level(bucket)?;
        let before = level.as_ref().and_then(|l| l.set);
        let after = change(before);
        if after != before {
            level.get_or_insert_default().set = after;
            touched.push(bucket - 1);
        }
        Ok(())
    }
}

fn unnamed() -> Unreadable {
    Unreadable { what: "plan of a batch", why: "it names what the batch has not".to_owned() }
}
