//! Batches: the steps that travel to Redis in one call. The form is that of `lua/commit.lua`; `made` reads it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::super::command::{AdjustSupply, Allocation, ApproveOffer, Command, SetAllocation, SetSupply};
use super::super::record;
use super::super::refused;
use super::super::rules::Adjustment;
use super::super::tally::Tallies;
use super::super::transition::{self, Next, Side, Transition};
use super::keys;
use super::stored::{self, Token, UNNAMED};
use crate::domain::draw::{Draw, Pool, Take};
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::limits::MAX_UNITS;
use crate::domain::offer::{ApprovedOffer, OfferStage};
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
    /// Units are set aside for a channel.
    Allocate(Box<SetAllocation>),
    /// Units are set aside for an offer.
    Approve(Box<Approve>),
    /// An offer is closed.
    Close(Box<Close>),
    /// Something is counted.
    Count(Tallies),
    /// A refused request is counted, unless it was before.
    CountOnce(refused::Digest, Tallies),
    /// Only what is due is given back.
    Tick,
}

/// See [`Step::Approve`].
#[derive(Clone, Debug)]
pub struct Approve {
    /// What is to be set aside.
    pub command: ApproveOffer,
    /// The offer after it, its instants not named yet.
    pub after: ApprovedOffer,
}

impl Approve {
    /// The step of a command.
    pub fn new(command: &ApproveOffer) -> Approve {
        let mut after = ApprovedOffer::clone(&command.offer);
        (after.version, after.stage, after.approved_at) = (1, OfferStage::Approved, UNNAMED);
        Approve { command: command.clone(), after }
    }
}

/// See [`Step::Close`].
#[derive(Clone, Debug)]
pub struct Close {
    /// The version that it is worked out for.
    pub expected: Token,
    /// The offer after it, its instants not named yet.
    pub after: ApprovedOffer,
}

impl Close {
    /// The step that closes this offer.
    pub fn new(known: &ApprovedOffer, expected: Token) -> Close {
        let mut after = known.clone();
        (after.version, after.stage, after.closed_at) = (known.version + 1, OfferStage::Closed, Some(UNNAMED));
        Close { expected, after }
    }
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
    give_by: Option<Arc<str>>,
    take: Option<(Side, Vec<Want>)>,
    take_by: Option<Arc<str>>,
    tested: bool,
    tallies: Tallies,
    risk: Option<bool>,
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
    /// By its name; none: common.
    pool: Option<Arc<str>>,
    units: i64,
    standing: i64,
}

impl Want {
    fn of(draw: &Draw, standing: i64) -> Want {
        let pool = match &draw.pool {
            Pool::Common => None,
            pool @ (Pool::Channel(_) | Pool::Offer(_)) => Some(Arc::from(pool.to_string())),
        };
        Want { place: (draw.resource.clone(), draw.index), pool, units: draw.units, standing }
    }
}

/// Draws as the script tests them: those of a bucket follow each other, each pool once (rule 17: units that are needed twice are
/// added up before they are compared), with the least of the bucket's standing units.
fn to_test(takes: &[Take]) -> Vec<Want> {
    let mut each: Vec<Want> = takes.iter().map(|t| Want::of(&t.draw, t.standing)).collect();
    // Those of a bucket keep their order: entries of pools that come anew do so in it.
    each.sort_by(|a, b| a.place.cmp(&b.place));
    let mut wants: Vec<Want> = Vec::with_capacity(each.len());
    for next in each {
        let mut of_bucket = wants.iter_mut().rev().take_while(|want| want.place == next.place);
        match of_bucket.find(|want| want.pool == next.pool) {
            Some(sum) => {
                sum.units = sum.units.saturating_add(next.units);
                sum.standing = sum.standing.min(next.standing);
            }
            None => wants.push(next),
        }
    }
    for of_bucket in wants.chunk_by_mut(|a, b| a.place == b.place) {
        let standing = of_bucket.iter().map(|want| want.standing).min().unwrap_or_default();
        of_bucket.iter_mut().for_each(|want| want.standing = standing);
    }
    wants
}

impl Reserve {
    /// The step of a hold; none: the command is another.
    pub fn of_hold(command: &Command) -> Option<Reserve> {
        let Command::Hold(hold) = command else { return None };
        match transition::next(None, false, command, UNNAMED) {
            Some(Next::Do(t)) => Some(Reserve::new(hold.id.clone(), Expected::New(hold.fingerprint), *t)),
            Some(Next::Answer(_) | Next::Tell(_)) | None => None,
        }
    }

    /// The step of a transition that was worked out with [`UNNAMED`] for now.
    pub fn new(id: ReservationId, expected: Expected, transition: Transition<'_>) -> Reserve {
        let Transition { not_after, network_version, give, give_by, test, take, take_by, tallies, risk, after } =
            transition;
        let tested = !test.is_empty();
        let give = give.map(|(side, draws)| (side, draws.iter().map(|d| Want::of(d, 0)).collect()));
        let take = take.zip(after.as_ref()).map(|(side, after)| {
            // What is not tested is taken draw by draw, as entries of pools that come anew do so in the order of the draws.
            let wants = if tested { to_test(&test) } else { after.draws.iter().map(|d| Want::of(d, 0)).collect() };
            (side, wants)
        });
        let ends_now = after.as_ref().and_then(|r| r.ended_at).is_some_and(|at| at.0 < UNNAMED.0 / 2);
        let ending = match after.as_ref().map(|r| (r.state, r.expires_at)) {
            Some((State::Held, end)) if end.0 < UNNAMED.0 / 2 => Ending::After(end.0 - UNNAMED.0),
            Some((State::Held, _)) => Ending::Same,
            Some((State::Confirmed, _)) | None => Ending::Never,
            Some((State::Released | State::Expired | State::Fulfilled, _)) if ends_now => Ending::Forgotten,
            // It ended before, and is remembered from then on (rule 20): that it was shipped may be told later.
            Some((State::Released | State::Expired | State::Fulfilled, _)) => Ending::Same,
        };
        let value = after.as_ref().map(stored::write_reservation).unwrap_or_default();
        Reserve {
            id,
            expected,
            not_after,
            network_version,
            give,
            give_by,
            take,
            take_by,
            tested,
            tallies,
            risk,
            after,
            value,
            ending,
        }
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
    /// Names of pools, channels and tallies.
    pub names: Vec<Arc<str>>,
    named: FxHashMap<Arc<str>, u32>,
    /// The steps in binary.
    pub plan: Vec<u8>,
    texts: Vec<Vec<u8>>,
    /// How many steps it has.
    pub steps: usize,
}

impl Batch {
    /// Whether another step of a size fits in: what one script is to look at is bounded, as Redis does nothing else meanwhile.
    pub fn has_room(&self) -> bool {
        self.buckets.len() < MOST_BUCKETS && self.names.len() < MOST_NAMES
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

    /// The number of a name.
    fn name(&mut self, name: &Arc<str>) -> u32 {
        if let Some(number) = self.named.get(name) {
            return *number;
        }
        self.names.push(Arc::clone(name));
        let number = self.names.len() as u32;
        self.named.insert(Arc::clone(name), number);
        number
    }

    /// Of a pool or a channel; 0: none. As it names few, it fits into two bytes, whatever was named before.
    fn share(&mut self, name: Option<&Arc<str>>) {
        let number = name.map_or(0, |name| self.name(name));
        debug_assert!(number <= u32::from(u16::MAX), "a batch has room for what a step names");
        self.plan.extend_from_slice(&(number as u16).to_be_bytes());
    }

    fn tallies(&mut self, tallies: &Tallies) {
        for (name, by) in tallies {
            let number = self.name(name);
            self.plan.extend_from_slice(&number.to_be_bytes());
            self.long(*by);
        }
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
                    self.push_adjustment(&adjustment);
                }
            }
            Step::Tick => self.plan.push(5),
            Step::Allocate(c) => self.push_allocation(c),
            Step::Approve(step) => self.push_approval(step),
            Step::Close(step) => self.push_close(step),
            Step::CountOnce(request, tallies) => {
                self.plan.push(9);
                self.plan.extend_from_slice(&request.to_be_bytes());
                self.plan.extend_from_slice(&(tallies.len() as u32).to_be_bytes());
                self.tallies(tallies);
            }
            Step::Count(tallies) => {
                self.plan.push(8);
                self.plan.extend_from_slice(&(tallies.len() as u32).to_be_bytes());
                self.tallies(tallies);
            }
        }
    }

    fn push_allocation(&mut self, c: &SetAllocation) {
        let pool = Pool::Channel(Arc::clone(&c.channel));
        let how = if c.request_id.is_some() { NAMED } else { UNREMEMBERED };
        self.begin_aside(c.network_version, how, &pool, Some(&c.channel), c.buckets.len());
        for (index, bucket) in (c.first..).zip(&c.buckets) {
            let Allocation { standing, units, release_at, most } = *bucket;
            self.aside(&(c.resource.clone(), index), standing, units, release_at, most);
        }
        if let Some(request_id) = &c.request_id {
            let adjustment = Adjustment {
                request_id: request_id.clone(),
                fingerprint: c.fingerprint,
                at: UNNAMED,
                resource: c.resource.clone(),
                first: c.first,
                levels: Arc::from([]),
                delta: 0,
                reason: Arc::from(pool.to_string()),
            };
            self.push_adjustment(&adjustment);
        }
    }

    fn push_approval(&mut self, Approve { command, after }: &Approve) {
        let pool = Pool::Offer(Arc::clone(&after.offer.id));
        let rows = after.envelope.iter().zip(&command.standing).zip(&command.release_at);
        self.begin_aside(command.network_version, OFFER, &pool, None, rows.len());
        for ((e, &standing), &until) in rows {
            self.aside(&(e.resource.clone(), e.index), standing, e.units, until, None);
        }
        self.texts.push(after.offer.id.as_bytes().to_vec());
        self.texts.push(stored::write_offer(after));
    }

    fn begin_aside(&mut self, version: i64, how: u8, pool: &Pool, channel: Option<&Arc<str>>, count: usize) {
        self.plan.push(6);
        self.long(version);
        self.plan.push(how);
        self.share(Some(&Arc::from(pool.to_string())));
        self.share(channel);
        self.plan.extend_from_slice(&(count as u32).to_be_bytes());
    }

    fn aside(&mut self, place: &Place, standing: i64, units: i64, until: Moment, most: Option<i64>) {
        self.bucket(place);
        self.long(standing);
        self.long(units.clamp(0, MAX_UNITS + 1));
        self.long(until.0);
        self.long(most.map_or(-1, |most| most.clamp(0, MAX_UNITS)));
    }

    fn push_close(&mut self, Close { expected, after }: &Close) {
        self.plan.push(7);
        self.share(Some(&Arc::from(Pool::Offer(Arc::clone(&after.offer.id)).to_string())));
        self.plan.extend_from_slice(&(after.envelope.len() as u32).to_be_bytes());
        for e in &after.envelope {
            self.bucket(&(e.resource.clone(), e.index));
        }
        self.texts.push(after.offer.id.as_bytes().to_vec());
        self.texts.push(expected.0.to_vec());
        self.texts.push(stored::write_offer(after));
    }

    fn push_adjustment(&mut self, adjustment: &Adjustment) {
        self.texts.push(adjustment.request_id.as_str().as_bytes().to_vec());
        self.texts.push(adjustment.fingerprint.0.to_be_bytes().to_vec());
        self.texts.push(record::write_adjustment(adjustment));
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
        set(&mut flags, JOINS, r.risk == Some(true));
        set(&mut flags, LEAVES, r.risk == Some(false));
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
        self.share(r.give_by.as_ref());
        self.share(r.take_by.as_ref());
        self.plan.extend_from_slice(&(r.tallies.len() as u16).to_be_bytes());
        for want in r.give.iter().flat_map(|(_, wants)| wants) {
            self.bucket(&want.place);
            self.share(want.pool.as_ref());
            self.long(want.units);
        }
        for want in r.take.iter().flat_map(|(_, wants)| wants) {
            self.bucket(&want.place);
            self.share(want.pool.as_ref());
            // More than a double holds is more than any bucket has.
            self.long(want.units.min(MAX_UNITS + 1));
            self.long(want.standing);
        }
        self.tallies(&r.tallies);
        self.texts.push(match r.expected {
            Expected::New(fingerprint) => fingerprint.0.to_be_bytes().to_vec(),
            Expected::Known(token) => token.0.to_vec(),
        });
        self.texts.push(r.value.clone());
    }

    /// The arguments from the ninth on.
    pub fn arguments(&self, cmd: &mut redis::Cmd) {
        cmd.arg(self.buckets.len()).arg(self.reservations.len()).arg(self.steps).arg(&self.plan);
        cmd.arg(self.names.join("\n"));
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
/// Names of one batch, at most, before its last step.
const MOST_NAMES: usize = 20_000;

// For whom units are set aside: a channel, by a call that is not remembered or one that is, or an offer.
const UNREMEMBERED: u8 = 0;
const NAMED: u8 = 1;
pub const OFFER: u8 = 2;

// Flags of a reservation's step.
const NEW: u8 = 1;
const LATEST: u8 = 2;
const VERSION: u8 = 4;
pub const REMOVES: u8 = 8;
const TESTED: u8 = 16;
const JOINS: u8 = 32;
const LEAVES: u8 = 64;

fn number_of(side: Side) -> u8 {
    match side {
        Side::Held => 2,
        Side::Confirmed => 3,
        Side::Fulfilled => 4,
    }
}
