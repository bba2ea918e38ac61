//! The reference semantics of every back end: what each command does to the state of one network, as one pure function.
//! No I/O, no clock, no planning; a back end that differs from this is wrong.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::domain::bucket::BucketLevel;
use crate::domain::draw::{Draw, Pool, Take};
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::limits::{MAX_AMENDMENTS, MAX_UNITS};
use crate::domain::reservation::{self, Amendment, Fingerprint, Reservation};
use crate::domain::time::Moment;

pub use super::audit::Drift;
use super::command::{
    AdjustSupply, Amend, ApplyNetwork, Command, Confirm, Hold, Outcome, Refusal, SetSupply, Shortage,
};
use super::feed::Change;
use super::state::Side;
pub use super::state::{Adjustment, State};

/// What a command did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What its caller is told.
    pub outcome: Outcome,
    /// What changed; empty: nothing did. Holds that were due come first, the levels of buckets last, each once.
    pub changes: Vec<Change>,
    /// An adjustment that is to be remembered for [`crate::domain::limits::REQUEST_ID_DAYS`].
    pub adjustment: Option<Arc<Adjustment>>,
}

/// Makes one step: gives back all that is due (rule 21), then does what the command says or, where it can't, nothing more.
pub fn apply(state: &mut State, command: &Command, now: Moment) -> Applied {
    let mut step = Step { state, now, changes: Vec::new(), touched: Touched::default(), adjustment: None };
    step.expire(usize::MAX);
    let outcome = match step.run(command) {
        Ok(outcome) => outcome,
        Err(refusal) => Outcome::Refused(refusal),
    };
    let (changes, adjustment) = step.finish();
    Applied { outcome, changes, adjustment }
}

/// Gives back at most so many holds that are due (rule 21), those that ended first before others. For back ends that have more
/// to give back than one step should.
pub fn expire(state: &mut State, now: Moment, at_most: usize) -> Vec<Change> {
    let mut step = Step { state, now, changes: Vec::new(), touched: Touched::default(), adjustment: None };
    step.expire(at_most);
    step.finish().0
}

/// The reservation as it is after its end, for a hold that is due.
pub fn expired(held: &Reservation) -> Reservation {
    // It ended then, however late somebody noticed (rule 21).
    let at = held.expires_at;
    let mut r = held.clone();
    r.state = reservation::State::Expired;
    r.ended_at = Some(at);
    note(&mut r, at, "expired", "");
    r
}

/// Buckets that a step wrote, in the order in which it first did.
#[derive(Default)]
struct Touched {
    seen: FxHashSet<(ResourceId, i32)>,
    order: Vec<(ResourceId, i32)>,
}

impl Touched {
    fn add(&mut self, resource: &ResourceId, index: i32) {
        // Most steps touch a handful: a look along the list is cheaper than a table.
        const FEW: usize = 8;
        let key = (resource, index);
        if self.seen.is_empty() && self.order.iter().any(|(r, i)| (r, *i) == key) {
            return;
        }
        if self.order.len() >= FEW {
            if self.seen.is_empty() {
                self.seen.extend(self.order.iter().cloned());
            }
            if !self.seen.insert((resource.clone(), index)) {
                return;
            }
        }
        self.order.push((resource.clone(), index));
    }
}

/// A sum of units wanted from one pool of one bucket (rule 17).
struct Want<'a> {
    resource: &'a ResourceId,
    index: i32,
    pool: &'a Pool,
    units: i64,
    standing: i64,
}

struct Step<'a> {
    state: &'a mut State,
    now: Moment,
    changes: Vec<Change>,
    touched: Touched,
    adjustment: Option<Arc<Adjustment>>,
}

type Done = Result<Outcome, Refusal>;

impl Step<'_> {
    fn run(&mut self, command: &Command) -> Done {
        match command {
            Command::Hold(c) => self.hold(c),
            Command::Confirm(c) => self.confirm(c),
            Command::Release { id, reason } => self.release(id, reason),
            Command::Extend { id, hold } => {
                let mut r = self.known(id)?;
                match r.state {
                    reservation::State::Held => {
                        r.expires_at = self.now.plus(*hold);
                        note(&mut r, self.now, "extended", "");
                        Ok(self.changed(r))
                    }
                    state @ (reservation::State::Confirmed
                    | reservation::State::Released
                    | reservation::State::Expired
                    | reservation::State::Fulfilled) => Err(Refusal::WrongState { state }),
                }
            }
            Command::Amend(c) => self.amend(c),
            Command::Undo { id } => {
                self.undo(id);
                Ok(Outcome::Done)
            }
            Command::Recall { id, fingerprint } => {
                let known = self.state.reservation(id).cloned().ok_or(Refusal::NotFound)?;
                self.repeat(known, *fingerprint)
            }
            Command::SetSupply(c) => self.set_supply(c),
            Command::AdjustSupply(c) => self.adjust_supply(c),
            Command::ApplyNetwork(c) => self.apply_network(c),
            Command::Forget { before } => {
                for (resource, index) in before {
                    self.forget(resource, *index);
                }
                Ok(Outcome::Done)
            }
            Command::Tick => Ok(Outcome::Done),
        }
    }

    /// Rule 19: all draws or none. Rule 20: the request id is looked at before anything else.
    fn hold(&mut self, c: &Hold) -> Done {
        if let Some(known) = self.state.reservation(&c.id).cloned() {
            return self.repeat(known, c.fingerprint);
        }
        self.same_network(c.network_version)?;
        self.test(c.takes.iter())?;
        let draws: Arc<[Draw]> = c.takes.iter().map(|t| t.draw.clone()).collect();
        self.take(&draws, Side::Held);
        let mut r = Reservation {
            id: c.id.clone(),
            state: reservation::State::Held,
            ask: Arc::clone(&c.ask),
            promise: Arc::clone(&c.promise),
            draws,
            created_at: self.now,
            expires_at: self.now.plus(c.hold),
            ended_at: None,
            reference: Arc::clone(&c.reference),
            at_risk: false,
            version: 0,
            first_date: c.promise.date,
            fingerprint: c.fingerprint,
            first_answer: Arc::clone(&c.answer),
            amendments: Vec::new(),
            history: Vec::new(),
        };
        note(&mut r, self.now, "held", "");
        Ok(self.changed(r))
    }

    /// The same request again gets what there is; from now on somebody knows of it, and it is not undone any more.
    fn repeat(&mut self, known: Arc<Reservation>, fingerprint: Fingerprint) -> Done {
        if known.fingerprint != fingerprint {
            return Err(Refusal::AlreadyExists);
        }
        self.state.mark_told(&known.id);
        Ok(Outcome::Reservation { reservation: known, repeated: true })
    }

    fn confirm(&mut self, c: &Confirm) -> Done {
        let mut r = self.known(&c.id)?;
        match r.state {
            reservation::State::Held => {
                self.give_back(&r.draws, Side::Held);
                self.take(&r.draws, Side::Confirmed);
                r.state = reservation::State::Confirmed;
                replace(&mut r.reference, &c.reference);
                note(&mut r, self.now, "confirmed", "");
                Ok(self.changed(r))
            }
            // Rule 21: confirming twice is a success and changes nothing.
            reservation::State::Confirmed | reservation::State::Fulfilled => Ok(unchanged(r)),
            reservation::State::Expired => {
                let Some(retake) = &c.retake else {
                    return Err(Refusal::WrongState { state: r.state });
                };
                if self.now > r.promise.order_by {
                    return Err(Refusal::OrderByPassed);
                }
                self.same_network(retake.network_version)?;
                if retake.standing.len() != r.draws.len() {
                    // The caller looked at other draws than these.
                    return Err(Refusal::ReservationChanged);
                }
                let takes: Vec<Take> = (r.draws.iter().zip(&retake.standing))
                    .map(|(draw, &standing)| Take { draw: draw.clone(), standing })
                    .collect();
                self.test(takes.iter())?;
                self.take(&r.draws, Side::Confirmed);
                r.state = reservation::State::Confirmed;
                r.ended_at = None;
                replace(&mut r.reference, &c.reference);
                note(&mut r, self.now, "retaken", "");
                Ok(self.changed(r))
            }
            state @ reservation::State::Released => Err(Refusal::WrongState { state }),
        }
    }

    fn release(&mut self, id: &ReservationId, reason: &Arc<str>) -> Done {
        let mut r = self.known(id)?;
        let side = match r.state {
            reservation::State::Held => Side::Held,
            reservation::State::Confirmed => Side::Confirmed,
            // What the caller wants is so already (rule 21).
            reservation::State::Released | reservation::State::Expired => return Ok(unchanged(r)),
            state @ reservation::State::Fulfilled => return Err(Refusal::WrongState { state }),
        };
        self.give_back(&r.draws, side);
        r.state = reservation::State::Released;
        r.ended_at = Some(self.now);
        note(&mut r, self.now, "released", reason);
        Ok(self.changed(r))
    }

    /// The new draws replace the old ones in one step, or the old ones stay.
    fn amend(&mut self, c: &Amend) -> Done {
        let mut r = self.known(&c.id)?;
        if let Some(made) = r.amendments.iter().find(|a| a.request_id.is_some() && a.request_id == c.request_id) {
            if made.fingerprint != c.fingerprint {
                return Err(Refusal::AlreadyExists);
            }
            let (verdict, bottlenecks) = (made.verdict, made.bottlenecks.clone());
            return Ok(Outcome::Amended { reservation: Arc::new(r), verdict, bottlenecks });
        }
        let side = match r.state {
            reservation::State::Held => Side::Held,
            reservation::State::Confirmed => Side::Confirmed,
            state @ (reservation::State::Released | reservation::State::Expired | reservation::State::Fulfilled) => {
                return Err(Refusal::WrongState { state });
            }
        };
        if r.amendments.len() >= MAX_AMENDMENTS {
            return Err(Refusal::TooManyAmendments);
        }
        if r.version != c.version {
            return Err(Refusal::ReservationChanged);
        }
        self.same_network(c.network_version)?;

        // The old draws are out of the way while the new ones are tested; a copy of the levels puts them back exactly.
        let before: Vec<(usize, Option<BucketLevel>)> =
            r.draws.iter().enumerate().map(|(i, d)| (i, self.state.level(&d.resource, d.index).cloned())).collect();
        for draw in r.draws.iter() {
            self.state.give_back(draw, side);
        }
        if let Err(refusal) = self.test(c.takes.iter()) {
            for (i, level) in before {
                let draw = &r.draws[i];
                self.state.put_level(&draw.resource, draw.index, level.unwrap_or_default());
            }
            // Shortages tell what buckets really hold, the old draws included.
            return Err(match refusal {
                Refusal::Short(mut short) => {
                    for s in &mut short {
                        s.level = self.state.level(&s.resource, s.index).cloned().unwrap_or_default();
                    }
                    Refusal::Short(short)
                }
                other => other,
            });
        }
        for draw in r.draws.iter() {
            self.touched.add(&draw.resource, draw.index);
        }
        r.draws = c.takes.iter().map(|t| t.draw.clone()).collect();
        self.take(&r.draws, side);
        r.ask = Arc::clone(&c.ask);
        r.promise = Arc::clone(&c.promise);
        r.amendments.push(Amendment {
            request_id: c.request_id.clone(),
            fingerprint: c.fingerprint,
            verdict: c.verdict,
            bottlenecks: c.bottlenecks.clone(),
        });
        note(&mut r, self.now, "amended", "");
        let reservation = Arc::new(r);
        self.state.put(Arc::clone(&reservation));
        self.changes.push(Change::Reservation(Arc::clone(&reservation)));
        Ok(Outcome::Amended { reservation, verdict: c.verdict, bottlenecks: c.bottlenecks.clone() })
    }

    /// Only a hold that nobody but its lost caller could know of is undone.
    fn undo(&mut self, id: &ReservationId) {
        let Some(r) = self.state.reservation(id).cloned() else { return };
        match r.state {
            reservation::State::Held if r.version == 1 && !self.state.was_told(id) => {
                self.give_back(&r.draws, Side::Held);
                self.state.remove(id);
                self.changes.push(Change::Undone(r));
            }
            reservation::State::Held
            | reservation::State::Confirmed
            | reservation::State::Released
            | reservation::State::Expired
            | reservation::State::Fulfilled => {}
        }
    }

    /// Supply may fall below what is drawn (rule 24).
    fn set_supply(&mut self, c: &SetSupply) -> Done {
        self.same_network(c.network_version)?;
        let mut buckets = 0;
        for run in &c.runs {
            for (index, &units) in (run.first..).zip(&run.units) {
                if c.only_unset && self.state.level(&run.resource, index).is_some_and(|l| l.set.is_some()) {
                    continue;
                }
                self.set(&run.resource, index, units);
                buckets += 1;
            }
        }
        Ok(Outcome::SupplySet { buckets })
    }

    fn adjust_supply(&mut self, c: &AdjustSupply) -> Done {
        if let Some(made) = c.request_id.as_ref().and_then(|id| self.state.adjustment(id)) {
            if made.fingerprint != c.fingerprint {
                return Err(Refusal::AlreadyExists);
            }
            return Ok(Outcome::SupplyAdjusted { first: made.first, levels: Arc::clone(&made.levels) });
        }
        self.same_network(c.network_version)?;
        let mut levels = Vec::with_capacity(c.standing.len());
        for (index, &standing) in (c.first..).zip(&c.standing) {
            let supply = self.state.level(&c.resource, index).map_or(standing, |l| l.supply(standing));
            self.set(&c.resource, index, supply.saturating_add(c.delta));
            levels.push(self.state.level(&c.resource, index).cloned().unwrap_or_default());
        }
        let levels: Arc<[BucketLevel]> = levels.into();
        let Some(request_id) = &c.request_id else {
            return Ok(Outcome::SupplyAdjusted { first: c.first, levels });
        };
        let adjustment = Arc::new(Adjustment {
            request_id: request_id.clone(),
            fingerprint: c.fingerprint,
            at: self.now,
            resource: c.resource.clone(),
            first: c.first,
            levels: Arc::clone(&levels),
            delta: c.delta,
            reason: Arc::clone(&c.reason),
        });
        self.state.load_adjustment(Arc::clone(&adjustment));
        self.adjustment = Some(Arc::clone(&adjustment));
        Ok(Outcome::SupplyAdjusted { first: c.first, levels })
    }

    fn set(&mut self, resource: &ResourceId, index: i32, units: i64) {
        let units = Some(units.clamp(0, MAX_UNITS));
        let mut level = self.state.level(resource, index).cloned().unwrap_or_default();
        if level.set != units {
            level.set = units;
            self.state.put_level(resource, index, level);
            self.touched.add(resource, index);
        }
    }

    fn apply_network(&mut self, c: &ApplyNetwork) -> Done {
        let version = self.state.network_version();
        // The same document again is what the caller wants already, also where the first answer got lost.
        if version > 0 && **self.state.document() == *c.document {
            return Ok(Outcome::NetworkApplied { version });
        }
        self.same_network(c.base_version)?;
        let carrying: Vec<ResourceId> = c.dropped.iter().filter(|r| self.state.carries(r)).cloned().collect();
        if !carrying.is_empty() {
            return Err(Refusal::StillCarries(carrying));
        }
        for resource in &c.dropped {
            self.forget(resource, i32::MAX);
        }
        let version = version + 1;
        self.state.set_document(version, Arc::clone(&c.document), c.applied_at);
        let (document, applied_at) = (Arc::clone(&c.document), c.applied_at);
        self.changes.push(Change::Network { version, document, applied_at });
        Ok(Outcome::NetworkApplied { version })
    }

    fn forget(&mut self, resource: &ResourceId, index: i32) {
        if let Some(kept) = self.state.forget(resource, index) {
            self.changes.push(Change::Forgotten { resource: resource.clone(), index });
            for index in kept {
                self.touched.add(resource, index);
            }
        }
    }

    fn expire(&mut self, at_most: usize) {
        for _ in 0..at_most {
            let Some(held) = self.state.first_due(self.now) else { break };
            self.give_back(&held.draws, Side::Held);
            self.changed(expired(&held));
        }
    }

    fn known(&self, id: &ReservationId) -> Result<Reservation, Refusal> {
        self.state.reservation(id).map(|r| Reservation::clone(r)).ok_or(Refusal::NotFound)
    }

    fn same_network(&self, version: i64) -> Result<(), Refusal> {
        let present = self.state.network_version();
        if version == present { Ok(()) } else { Err(Refusal::NetworkChanged { version: present }) }
    }

    /// Whether every pool can give what is wanted of it in all (rules 17 and 19); if not, every bucket that can't.
    fn test<'t>(&self, takes: impl Iterator<Item = &'t Take>) -> Result<(), Refusal> {
        let mut wants: SmallVec<[Want<'t>; 8]> = takes
            .map(|Take { draw, standing }| {
                debug_assert!(draw.units >= 1, "a draw takes something");
                let Draw { resource, index, pool, units, .. } = draw;
                Want { resource, index: *index, pool, units: *units, standing: *standing }
            })
            .collect();
        wants.sort_by(|a, b| (a.resource, a.index, a.pool).cmp(&(b.resource, b.index, b.pool)));
        wants.dedup_by(|next, sum| {
            let same = (next.resource, next.index, next.pool) == (sum.resource, sum.index, sum.pool);
            if same {
                sum.units = sum.units.saturating_add(next.units);
                sum.standing = sum.standing.min(next.standing);
            }
            same
        });
        let mut short: Vec<Shortage> = Vec::new();
        for want in &wants {
            let unknown = BucketLevel::default();
            let level = self.state.level(want.resource, want.index).unwrap_or(&unknown);
            let reported = short.last().is_some_and(|s| (&s.resource, s.index) == (want.resource, want.index));
            if want.units > level.available(want.standing, want.pool) && !reported {
                short.push(Shortage { resource: want.resource.clone(), index: want.index, level: level.clone() });
            }
        }
        if short.is_empty() { Ok(()) } else { Err(Refusal::Short(short)) }
    }

    fn take(&mut self, draws: &[Draw], side: Side) {
        for draw in draws {
            self.state.take(draw, side);
            self.touched.add(&draw.resource, draw.index);
        }
    }

    fn give_back(&mut self, draws: &[Draw], side: Side) {
        for draw in draws {
            self.state.give_back(draw, side);
            self.touched.add(&draw.resource, draw.index);
        }
    }

    fn changed(&mut self, r: Reservation) -> Outcome {
        let reservation = Arc::new(r);
        self.state.put(Arc::clone(&reservation));
        self.changes.push(Change::Reservation(Arc::clone(&reservation)));
        Outcome::Reservation { reservation, repeated: false }
    }

    fn finish(self) -> (Vec<Change>, Option<Arc<Adjustment>>) {
        let Step { state, mut changes, touched, adjustment, .. } = self;
        for (resource, index) in touched.order {
            // What was forgotten after it was touched has no level any more.
            if let Some(level) = state.level(&resource, index).cloned() {
                changes.push(Change::Bucket { resource, index, level });
            }
        }
        (changes, adjustment)
    }
}

fn unchanged(r: Reservation) -> Outcome {
    Outcome::Reservation { reservation: Arc::new(r), repeated: true }
}

fn replace(reference: &mut Arc<str>, by: &Option<Arc<str>>) {
    if let Some(by) = by {
        *reference = Arc::clone(by);
    }
}

/// Counts the version up and writes the history. Extensions that follow each other are one entry, so that a cart that is kept
/// open for days does not grow.
fn note(r: &mut Reservation, at: Moment, what: &'static str, reason: &str) {
    r.version += 1;
    let entry = reservation::Change {
        at,
        version: r.version,
        state: r.state,
        date: r.promise.date,
        what: Arc::from(what),
        reason: Arc::from(reason),
    };
    match r.history.last_mut() {
        Some(last) if what == "extended" && *last.what == *what => *last = entry,
        _ => r.history.push(entry),
    }
}
