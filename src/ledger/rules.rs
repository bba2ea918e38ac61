//! The reference semantics of every back end: what each command does to the state of one network, as one pure function.
//! No I/O, no clock, no planning; a back end that differs from this is wrong.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::domain::bucket::BucketLevel;
use crate::domain::draw::{Draw, Pool, Take};
use crate::domain::id::ResourceId;
use crate::domain::limits::MAX_UNITS;
use crate::domain::reservation::Reservation;
use crate::domain::time::Moment;

pub use super::audit::Drift;
use super::command::{AdjustSupply, ApplyNetwork, Command, Outcome, Refusal, SetSupply, Shortage};
use super::feed::Change;
pub use super::state::{Adjustment, State};
pub use super::transition::expired;
use super::transition::{self, Next, Side, Transition};

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
            Command::Hold(_)
            | Command::Confirm(_)
            | Command::Release { .. }
            | Command::Extend { .. }
            | Command::Amend(_)
            | Command::Undo { .. }
            | Command::Recall { .. } => self.reserve(command),
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

    /// A command that names a reservation. Rule 20: the request id is looked at before anything else.
    fn reserve(&mut self, command: &Command) -> Done {
        let Some(id) = command.reservation_id() else { return Ok(Outcome::Done) };
        let known = self.state.reservation(id).cloned();
        let told = self.state.was_told(id);
        let Transition { not_after, network_version, give, test, take, after } =
            match transition::next(known.as_ref(), told, command, self.now) {
                Some(Next::Do(transition)) => *transition,
                Some(Next::Tell(reservation)) => {
                    self.state.mark_told(id);
                    return Ok(Outcome::Reservation { reservation, repeated: true });
                }
                Some(Next::Answer(outcome)) => return Ok(outcome),
                None => return Ok(Outcome::Done),
            };
        if not_after.is_some_and(|last| self.now > last) {
            return Err(Refusal::OrderByPassed);
        }
        if let Some(version) = network_version {
            self.same_network(version)?;
        }
        self.test_without(give.as_ref(), &test)?;
        if let Some((side, draws)) = &give {
            self.give_back(draws, *side);
        }
        let Some(after) = after else {
            if let Some(undone) = known {
                self.state.remove(id);
                self.changes.push(Change::Undone(undone));
            }
            return Ok(transition::outcome(command, None));
        };
        if let Some(side) = take {
            self.take(&after.draws, side);
        }
        let after = Arc::new(after);
        self.changed(Arc::clone(&after));
        Ok(transition::outcome(command, Some(after)))
    }

    /// Tests with some draws out of the way. Shortages tell what buckets really hold, those draws included.
    fn test_without(&mut self, give: Option<&(Side, Arc<[Draw]>)>, test: &[Take]) -> Result<(), Refusal> {
        let (Some((side, draws)), false) = (give, test.is_empty()) else { return self.test(test.iter()) };
        let before: Vec<Option<BucketLevel>> =
            draws.iter().map(|d| self.state.level(&d.resource, d.index).cloned()).collect();
        for draw in draws.iter() {
            self.state.give_back(draw, *side);
        }
        let tested = self.test(test.iter());
        for (draw, level) in draws.iter().zip(before) {
            self.state.put_level(&draw.resource, draw.index, level.unwrap_or_default());
        }
        tested.map_err(|refusal| match refusal {
            Refusal::Short(mut short) => {
                for s in &mut short {
                    s.level = self.state.level(&s.resource, s.index).cloned().unwrap_or_default();
                }
                Refusal::Short(short)
            }
            other => other,
        })
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
            self.changed(Arc::new(expired(&held)));
        }
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

    fn changed(&mut self, reservation: Arc<Reservation>) {
        self.state.put(Arc::clone(&reservation));
        self.changes.push(Change::Reservation(reservation));
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
