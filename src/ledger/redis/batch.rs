//! Batches: the steps that travel to Redis in one call, and what they come to. The form is that of `lua/commit.lua`.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::super::command::{AdjustSupply, SetSupply};
use super::super::feed::{Change, Cursor, Entry};
use super::super::record::{self, Unreadable};
use super::super::rules::Adjustment;
use super::super::state::{give_to, take_from};
use super::super::transition::{Side, Transition};
use super::keys;
use super::stored::{self, Token, UNNAMED};
use crate::domain::bucket::BucketLevel;
use crate::domain::draw::Pool;
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::limits::MAX_UNITS;
use crate::domain::reservation::{Fingerprint, Reservation, State};
use crate::domain::time::Moment;

/// A bucket's place.
pub type Place = (ResourceId, i32);

/// One step of a batch.
#[derive(Clone, Debug)]
pub enum Step {
    /// A reservation is made, changed or removed.
    Reserve(Box<Reserve>),
    /// A repeat is told what there is.
    Tell(ReservationId, Fingerprint),
    /// Supply is set.
    Set(SetSupply),
    /// Supply is changed.
    Adjust(Box<AdjustSupply>),
    /// Only what is due is given back.
    Tick,
}

/// What the reservation must be for the step to be made.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// There is none yet.
    New(Fingerprint),
    /// It is just this version.
    Known(Token),
}

/// See [`Step::Reserve`].
#[derive(Clone, Debug)]
pub struct Reserve {
    /// Which reservation.
    pub id: ReservationId,
    /// What it must be.
    pub expected: Expected,
    /// As in [`Transition`].
    pub not_after: Option<Moment>,
    /// As in [`Transition`].
    pub network_version: Option<i64>,
    give: Option<(Side, Vec<Want>)>,
    take: Option<(Side, Vec<Want>)>,
    tested: bool,
    /// The reservation after it, its instants not named yet; none: it is removed.
    pub after: Option<Reservation>,
    value: Vec<u8>,
    ending: Ending,
}

/// What becomes of the reservation's place in the order of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Same,
    After(i64),
    Never,
    Forgotten,
}

#[derive(Clone, Debug)]
struct Want {
    place: Place,
    pool: Pool,
    units: i64,
    standing: i64,
}

impl Reserve {
    /// The step of a transition that was worked out with [`UNNAMED`] for now.
    pub fn new(id: ReservationId, expected: Expected, transition: Transition<'_>) -> Reserve {
        let Transition { not_after, network_version, give, test, take, after, .. } = transition;
        let tested = !test.is_empty();
        let give = give.map(|(side, draws)| {
            let want = |d: &crate::domain::draw::Draw| Want {
                place: (d.resource.clone(), d.index),
                pool: d.pool.clone(),
                units: d.units,
                standing: 0,
            };
            (side, draws.iter().map(want).collect())
        });
        let take = take.zip(after.as_ref()).map(|(side, after)| {
            let mut wants: Vec<Want> = if tested {
                test.iter()
                    .map(|t| Want {
                        place: (t.draw.resource.clone(), t.draw.index),
                        pool: t.draw.pool.clone(),
                        units: t.draw.units,
                        standing: t.standing,
                    })
                    .collect()
            } else {
                let of_draw = |d: &crate::domain::draw::Draw| Want {
                    place: (d.resource.clone(), d.index),
                    pool: d.pool.clone(),
                    units: d.units,
                    standing: 0,
                };
                after.draws.iter().map(of_draw).collect()
            };
            // Rule 17: units that are needed twice are added up before they are compared.
            wants.sort_by(|a, b| (&a.place, &a.pool).cmp(&(&b.place, &b.pool)));
            wants.dedup_by(|next, sum| {
                let same = (&next.place, &next.pool) == (&sum.place, &sum.pool);
                if same {
                    sum.units = sum.units.saturating_add(next.units);
                    sum.standing = sum.standing.min(next.standing);
                }
                same
            });
            (side, wants)
        });
        let ending = match after.as_ref().map(|r| (r.state, r.expires_at)) {
            Some((State::Held, end)) if end.0 < UNNAMED.0 / 2 => Ending::After(end.0 - UNNAMED.0),
            Some((State::Held, _)) => Ending::Same,
            Some((State::Confirmed, _)) | None => Ending::Never,
            Some((State::Released | State::Expired | State::Fulfilled, _)) => Ending::Forgotten,
        };
        let value = after.as_ref().map(stored::write_reservation).unwrap_or_default();
        Reserve { id, expected, not_after, network_version, give, take, tested, after, value, ending }
    }
}

/// Steps in the form in which they travel.
#[derive(Debug, Default)]
pub struct Batch {
    /// The buckets that it names.
    pub buckets: Vec<Place>,
    numbers: FxHashMap<Place, u32>,
    reservations: Vec<ReservationId>,
    known: FxHashMap<ReservationId, u16>,
    /// The pools that it names.
    pub pools: Vec<Pool>,
    /// The steps in binary.
    pub plan: Vec<u8>,
    texts: Vec<Vec<u8>>,
    /// How many steps it has.
    pub steps: usize,
}

impl Batch {
    /// Whether another step of a size fits in: what one script is to look at is bounded, as Redis does nothing else meanwhile.
    pub fn has_room(&self) -> bool {
        self.buckets.len() < MOST_BUCKETS
    }

    fn bucket(&mut self, place: &Place) {
        let next = self.buckets.len() as u32 + 1;
        let number = *self.numbers.entry(place.clone()).or_insert_with(|| {
            self.buckets.push(place.clone());
            next
        });
        self.plan.extend_from_slice(&number.to_be_bytes());
    }

    fn reservation(&mut self, id: &ReservationId) -> u16 {
        let next = self.reservations.len() as u16 + 1;
        *self.known.entry(id.clone()).or_insert_with(|| {
            self.reservations.push(id.clone());
            next
        })
    }

    fn pool(&mut self, pool: &Pool) {
        let number = match (pool, self.pools.iter().position(|p| p == pool)) {
            (Pool::Common, _) => 0,
            (_, Some(at)) => at + 1,
            (_, None) => {
                self.pools.push(pool.clone());
                self.pools.len()
            }
        };
        self.plan.extend_from_slice(&(number as u16).to_be_bytes());
    }

    fn long(&mut self, n: i64) {
        self.plan.extend_from_slice(&n.to_be_bytes());
    }

    /// Adds a step.
    pub fn push(&mut self, step: &Step) {
        self.steps += 1;
        match step {
            Step::Reserve(r) => self.push_reserve(r),
            Step::Tell(id, fingerprint) => {
                self.plan.push(2);
                let number = self.reservation(id);
                self.plan.extend_from_slice(&number.to_be_bytes());
                self.texts.push(fingerprint.0.to_be_bytes().to_vec());
            }
            Step::Set(c) => {
                self.plan.push(3);
                self.long(c.network_version);
                self.plan.push(u8::from(c.only_unset));
                let count: usize = c.runs.iter().map(|run| run.units.len()).sum();
                self.plan.extend_from_slice(&(count as u32).to_be_bytes());
                for run in &c.runs {
                    for (index, units) in (run.first..).zip(&run.units) {
                        self.bucket(&(run.resource.clone(), index));
                        self.long((*units).clamp(0, MAX_UNITS));
                    }
                }
            }
            Step::Adjust(c) => {
                self.plan.push(4);
                self.long(c.network_version);
                self.plan.push(u8::from(c.request_id.is_some()));
                self.plan.extend_from_slice(&(c.standing.len() as u32).to_be_bytes());
                // Supply stops at 0 and at MAX_UNITS, so a larger change does no more; and a double holds this one.
                self.long(c.delta.clamp(-MAX_UNITS - 1, MAX_UNITS + 1));
                for (index, standing) in (c.first..).zip(&c.standing) {
                    self.bucket(&(c.resource.clone(), index));
                    self.long(*standing);
                }
                if let Some(request_id) = &c.request_id {
                    self.texts.push(request_id.as_str().as_bytes().to_vec());
                    self.texts.push(c.fingerprint.0.to_be_bytes().to_vec());
                    let adjustment = Adjustment {
                        request_id: request_id.clone(),
                        fingerprint: c.fingerprint,
                        at: UNNAMED,
                        resource: c.resource.clone(),
                        first: c.first,
                        levels: Arc::from([]),
                        delta: c.delta,
                        reason: Arc::clone(&c.reason),
                    };
                    self.texts.push(record::write_adjustment(&adjustment));
                }
            }
            Step::Tick => self.plan.push(5),
        }
    }

    fn push_reserve(&mut self, r: &Reserve) {
        self.plan.push(1);
        let mut flags = 0;
        let set = |flags: &mut u8, flag: u8, when: bool| *flags |= if when { flag } else { 0 };
        set(&mut flags, NEW, matches!(r.expected, Expected::New(_)));
        set(&mut flags, LATEST, r.not_after.is_some());
        set(&mut flags, VERSION, r.network_version.is_some());
        set(&mut flags, REMOVES, r.after.is_none());
        set(&mut flags, TESTED, r.tested);
        let (ending, hold) = match r.ending {
            Ending::Same => (0, 0),
            Ending::After(span) => (1, span),
            Ending::Never => (2, 0),
            Ending::Forgotten => (3, 0),
        };
        let side = |of: &Option<(Side, Vec<Want>)>| of.as_ref().map_or(0, |(side, _)| number_of(*side));
        self.plan.extend_from_slice(&[flags, ending, side(&r.give), side(&r.take)]);
        let number = self.reservation(&r.id);
        self.plan.extend_from_slice(&number.to_be_bytes());
        self.long(r.network_version.unwrap_or_default());
        self.long(r.not_after.map_or(0, |at| at.0));
        self.long(hold);
        let count = |of: &Option<(Side, Vec<Want>)>| of.as_ref().map_or(0, |(_, wants)| wants.len() as u16);
        self.plan.extend_from_slice(&count(&r.give).to_be_bytes());
        self.plan.extend_from_slice(&count(&r.take).to_be_bytes());
        for want in r.give.iter().flat_map(|(_, wants)| wants) {
            self.bucket(&want.place);
            self.pool(&want.pool);
            self.long(want.units);
        }
        for want in r.take.iter().flat_map(|(_, wants)| wants) {
            self.bucket(&want.place);
            self.pool(&want.pool);
            // More than a double holds is more than any bucket has.
            self.long(want.units.min(MAX_UNITS + 1));
            self.long(want.standing);
        }
        self.texts.push(match r.expected {
            Expected::New(fingerprint) => fingerprint.0.to_be_bytes().to_vec(),
            Expected::Known(token) => token.0.to_vec(),
        });
        self.texts.push(r.value.clone());
    }

    /// The arguments from the ninth on.
    pub fn arguments(&self, cmd: &mut redis::Cmd) {
        cmd.arg(self.buckets.len()).arg(self.reservations.len()).arg(self.steps).arg(&self.plan);
        let pools: Vec<String> = self.pools.iter().map(ToString::to_string).collect();
        cmd.arg(pools.join("\n"));
        for (resource, index) in &self.buckets {
            cmd.arg(keys::bucket(resource, *index));
        }
        for id in &self.reservations {
            cmd.arg(id.as_str());
        }
        for text in &self.texts {
            cmd.arg(text);
        }
    }
}

/// Buckets of one batch, at most, before its last step.
const MOST_BUCKETS: usize = 2_000;

// Flags of a reservation's step.
const NEW: u8 = 1;
const LATEST: u8 = 2;
const VERSION: u8 = 4;
const REMOVES: u8 = 8;
const TESTED: u8 = 16;

fn number_of(side: Side) -> u8 {
    match side {
        Side::Held => 2,
        Side::Confirmed => 3,
        Side::Fulfilled => 4,
    }
}

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
    /// Its pools.
    pub pools: &'a [Pool],
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

impl Made<'_> {
    /// The entries of the steps that were made. `reservation` gives the reservations of those steps, in their order: as they are
    /// after the step, or where it removed them, before it.
    pub fn entries(
        mut self,
        mut reservation: impl FnMut() -> Result<Arc<Reservation>, Unreadable>,
    ) -> Result<Vec<Arc<Entry>>, Unreadable> {
        let mut plan = Plan(self.plan);
        let mut entries = Vec::new();
        for &code in self.codes {
            let made = code == b'A';
            let mut touched: Vec<usize> = Vec::new();
            let mut changes = Vec::new();
            match plan.byte()? {
                1 => {
                    let [flags, _, from, to] = plan.bytes()?;
                    plan.bytes::<26>()?;
                    let (gives, takes) = (plan.count()?, plan.count()?);
                    if made {
                        let r = reservation()?;
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
                        let pool = match pool {
                            0 => &Pool::Common,
                            n => self.pools.get(n - 1).ok_or_else(unnamed)?,
                        };
                        let level = self.levels.get_mut(bucket.wrapping_sub(1)).ok_or_else(unnamed)?;
                        let level = level.get_or_insert_default();
                        if takes {
                            take_from(level, pool, side_of(to), None, units);
                        } else {
                            give_to(level, pool, side_of(from), None, units);
                        }
                        touched.push(bucket - 1);
                    }
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
                _ => {}
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
        Ok(entries)
    }

    fn set(
        &mut self,
        bucket: usize,
        touched: &mut Vec<usize>,
        change: impl FnOnce(Option<i64>) -> Option<i64>,
    ) -> Result<(), Unreadable> {
        let level = self.levels.get_mut(bucket.wrapping_sub(1)).ok_or_else(unnamed)?;
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
