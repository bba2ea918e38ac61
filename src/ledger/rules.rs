//! The reference semantics of every back end: what each command does to the state of one network, as one pure function.
//! No I/O, no clock, no planning; a back end that differs from this is wrong.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::domain::bucket::BucketLevel;
use crate::domain::draw::{Draw, Pool, Take};
use crate::domain::id::ResourceId;
use crate::domain::limits::{MAX_OFFERS, MAX_UNITS};
use crate::domain::offer::{ApprovedOffer, OfferStage};
use crate::domain::reservation::Reservation;
use crate::domain::time::Moment;

pub use super::audit::Drift;
use super::command::{
    AdjustSupply, ApplyNetwork, ApproveOffer, Command, Outcome, Refusal, SetAllocation, SetSupply, Shortage,
};
use super::feed::Change;
use super::refused;
pub use super::state::{Adjustment, State};
use super::tally;
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
    /// Tallies that were added to; a name may come several times. Their numbers are in the state.
    pub tallied: Vec<Arc<str>>,
    /// Refused requests that are remembered, or not any more.
    pub refused: RefusedChanges,
}

/// What became of the memory of refused requests.
#[derive(Clone, Debug, Default)]
pub struct RefusedChanges {
    /// Are remembered from now on.
    pub added: Vec<(Moment, refused::Digest)>,
    /// Are not any more.
    pub forgotten: Vec<(Moment, refused::Digest)>,
}

/// Makes one step: gives back all that is due (rule 21), then does what the command says or, where it can't, nothing more.
pub fn apply(state: &mut State, command: &Command, now: Moment) -> Applied {
    let mut step = Step::new(state, now);
    step.expire(usize::MAX);
    let outcome = match step.run(command) {
        Ok(outcome) => outcome,
        Err(refusal) => Outcome::Refused(refusal),
    };
    step.finish(outcome)
}

/// Gives back at most so many holds that are due (rule 21), those that ended first before others. For back ends that have more
/// to give back than one step should.
pub fn expire(state: &mut State, now: Moment, at_most: usize) -> Applied {
    let mut step = Step::new(state, now);
    step.expire(at_most);
    step.finish(Outcome::Done)
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

struct Step<'a> {
    state: &'a mut State,
    now: Moment,
    changes: Vec<Change>,
    touched: Touched,
    adjustment: Option<Arc<Adjustment>>,
    tallied: Vec<Arc<str>>,
    refused: RefusedChanges,
}

type Done = Result<Outcome, Refusal>;

impl<'a> Step<'a> {
    fn new(state: &'a mut State, now: Moment) -> Step<'a> {
        let (changes, touched, tallied) = (Vec::new(), Touched::default(), Vec::new());
        Step { state, now, changes, touched, adjustment: None, tallied, refused: RefusedChanges::default() }
    }

    fn run(&mut self, command: &Command) -> Done {
        match command {
            Command::Hold(_)
            | Command::Confirm(_)
            | Command::Release { .. }
            | Command::Extend { .. }
            | Command::Amend(_)
            | Command::Undo { .. }
            | Command::Recall { .. }
            | Command::Mark { .. }
            | Command::Repromise(_)
            | Command::Fix { .. }
            | Command::Fulfil(_) => self.reserve(command),
            Command::SetSupply(c) => self.set_supply(c),
            Command::AdjustSupply(c) => self.adjust_supply(c),
            Command::SetAllocation(c) => self.set_allocation(c),
            Command::ApproveOffer(c) => self.approve_offer(c),
            Command::CloseOffer { id } => self.close_offer(id),
            Command::Count(tallies) => {
                self.count(tallies);
                Ok(Outcome::Done)
            }
            Command::CountOnce { request, tallies } => {
                if let Some(forgotten) = self.state.refused(*request, self.now) {
                    self.refused.added.push((self.now, *request));
                    self.refused.forgotten.extend(forgotten);
                    self.count(tallies);
                }
                Ok(Outcome::Done)
            }
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
        let Transition { not_after, network_version, give, give_by, test, take, take_by, tallies, after, .. } =
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
        self.test_without(give.as_ref(), give_by.as_ref(), &test, take_by.as_ref())?;
        self.count(&tallies);
        if let Some((side, draws)) = &give {
            self.give_back(draws, *side, give_by.as_ref());
        }
        let Some(after) = after else {
            if let Some(undone) = known {
                self.state.remove(id);
                self.changes.push(Change::Undone(undone));
            }
            return Ok(transition::outcome(command, None));
        };
        if let Some(side) = take {
            self.take(&after.draws, side, take_by.as_ref());
        }
        let after = Arc::new(after);
        self.changed(Arc::clone(&after));
        Ok(transition::outcome(command, Some(after)))
    }

    /// Tests with some draws out of the way. Shortages tell what buckets really hold, those draws included.
    fn test_without(
        &mut self,
        give: Option<&(Side, Arc<[Draw]>)>,
        give_by: Option<&Arc<str>>,
        test: &[Take],
        by: Option<&Arc<str>>,
    ) -> Result<(), Refusal> {
        let (Some((side, draws)), false) = (give, test.is_empty()) else { return self.test(test, by) };
        let before: Vec<Option<BucketLevel>> =
            draws.iter().map(|d| self.state.level(&d.resource, d.index).cloned()).collect();
        for draw in draws.iter() {
            self.state.give_back(draw, *side, give_by);
        }
        let tested = self.test(test, by);
        // The first look at a bucket that several draws name is the true one, so it is put back last.
        for (draw, level) in draws.iter().zip(before).rev() {
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
        self.remember(Adjustment {
            request_id: request_id.clone(),
            fingerprint: c.fingerprint,
            at: self.now,
            resource: c.resource.clone(),
            first: c.first,
            levels: Arc::clone(&levels),
            delta: c.delta,
            reason: Arc::clone(&c.reason),
        });
        Ok(Outcome::SupplyAdjusted { first: c.first, levels })
    }

    /// What is set aside more than now must be there in common; all of it or nothing.
    fn set_allocation(&mut self, c: &SetAllocation) -> Done {
        if let Some(made) = c.request_id.as_ref().and_then(|id| self.state.adjustment(id)) {
            if made.fingerprint != c.fingerprint {
                return Err(Refusal::AlreadyExists);
            }
            return Ok(Outcome::SupplyAdjusted { first: made.first, levels: Arc::clone(&made.levels) });
        }
        self.same_network(c.network_version)?;
        let pool = Pool::Channel(Arc::clone(&c.channel));
        let asides =
            (c.first..).zip(&c.buckets).map(|(index, b)| (&c.resource, index, b.standing, b.units, b.release_at));
        self.covers(&pool, asides)?;
        let mut levels = Vec::with_capacity(c.buckets.len());
        for (index, bucket) in (c.first..).zip(&c.buckets) {
            self.set_aside(&c.resource, index, &pool, bucket.units, bucket.release_at, |level| {
                level.channel_mut(&c.channel).most = bucket.most.map(|most| most.clamp(0, MAX_UNITS));
            });
            levels.push(self.state.level(&c.resource, index).cloned().unwrap_or_default());
        }
        let levels: Arc<[BucketLevel]> = levels.into();
        if let Some(request_id) = &c.request_id {
            self.remember(Adjustment {
                request_id: request_id.clone(),
                fingerprint: c.fingerprint,
                at: self.now,
                resource: c.resource.clone(),
                first: c.first,
                levels: Arc::clone(&levels),
                delta: 0,
                reason: Arc::from(pool.to_string()),
            });
        }
        Ok(Outcome::SupplyAdjusted { first: c.first, levels })
    }

    /// Rule 26: all or nothing, from common capacity.
    fn approve_offer(&mut self, c: &ApproveOffer) -> Done {
        let offer = &c.offer;
        if let Some(known) = self.state.offer(&offer.offer.id) {
            if (&known.request_id, known.fingerprint) != (&offer.request_id, offer.fingerprint) {
                return Err(Refusal::AlreadyExists);
            }
            return Ok(Outcome::Offer { offer: Arc::clone(known), repeated: true });
        }
        self.same_network(c.network_version)?;
        if self.state.offers().len() >= MAX_OFFERS {
            return Err(Refusal::TooManyOffers);
        }
        let (buckets, pool) = (offer.envelope.len(), Pool::Offer(Arc::clone(&offer.offer.id)));
        debug_assert!(c.standing.len() == buckets && c.release_at.len() == buckets, "one of each for every bucket");
        let rows = offer.envelope.iter().zip(&c.standing).zip(&c.release_at);
        let asides = rows.clone().map(|((e, &standing), &until)| (&e.resource, e.index, standing, e.units, until));
        self.covers(&pool, asides)?;
        for ((e, _), &until) in rows {
            self.set_aside(&e.resource, e.index, &pool, e.units, until, |_| {});
        }
        let mut approved = ApprovedOffer::clone(offer);
        (approved.version, approved.stage, approved.approved_at) = (1, OfferStage::Approved, self.now);
        Ok(Outcome::Offer { offer: self.offered(approved), repeated: false })
    }

    fn close_offer(&mut self, id: &str) -> Done {
        let known = Arc::clone(self.state.offer(id).ok_or(Refusal::NotFound)?);
        if known.stage == OfferStage::Closed {
            return Ok(Outcome::Offer { offer: known, repeated: true });
        }
        let pool = Pool::Offer(Arc::clone(&known.offer.id));
        for e in &known.envelope {
            if self.state.level(&e.resource, e.index).is_some_and(|l| l.pool(&pool).is_some()) {
                self.set_aside(&e.resource, e.index, &pool, 0, Moment(0), |_| {});
            }
        }
        let mut closed = ApprovedOffer::clone(&known);
        (closed.version, closed.stage, closed.closed_at) = (known.version + 1, OfferStage::Closed, Some(self.now));
        Ok(Outcome::Offer { offer: self.offered(closed), repeated: false })
    }

    fn offered(&mut self, offer: ApprovedOffer) -> Arc<ApprovedOffer> {
        let offer = Arc::new(offer);
        self.state.put_offer(Arc::clone(&offer));
        self.changes.push(Change::Offer(Arc::clone(&offer)));
        offer
    }

    /// Whether common capacity has what is to be set aside beyond what is left of the pool now; if not, every bucket that has not.
    /// Each is named once: (resource, bucket, standing units, units, until when).
    fn covers<'t>(
        &self,
        pool: &Pool,
        asides: impl Iterator<Item = (&'t ResourceId, i32, i64, i64, Moment)>,
    ) -> Result<(), Refusal> {
        let unknown = BucketLevel::default();
        let mut short = Vec::new();
        for (resource, index, standing, units, until) in asides {
            let level = self.state.level(resource, index).unwrap_or(&unknown);
            let known = level.pool(pool);
            let left = if self.now < until { (units - known.map_or(0, |p| p.used)).max(0) } else { 0 };
            let more = left - known.map_or(0, |p| p.left(self.now));
            if more > 0 && more > level.balance(standing, self.now) {
                short.push(Shortage { resource: resource.clone(), index, level: level.clone() });
            }
        }
        if short.is_empty() { Ok(()) } else { Err(Refusal::Short(short)) }
    }

    fn set_aside(
        &mut self,
        resource: &ResourceId,
        index: i32,
        pool: &Pool,
        units: i64,
        until: Moment,
        and: impl FnOnce(&mut BucketLevel),
    ) {
        let before = self.state.level(resource, index).cloned().unwrap_or_default();
        let mut level = before.clone();
        let units = units.clamp(0, MAX_UNITS);
        let own = level.pool_mut(pool);
        // Nothing set aside is one thing, whether the pool is still known for what was drawn of it or not.
        (own.set, own.release_at) = (units, if units == 0 { Moment(0) } else { until });
        and(&mut level);
        level.tidy();
        if level != before {
            self.state.put_level(resource, index, level);
            self.touched.add(resource, index);
        }
    }

    fn remember(&mut self, adjustment: Adjustment) {
        let adjustment = Arc::new(adjustment);
        self.state.load_adjustment(Arc::clone(&adjustment));
        self.adjustment = Some(adjustment);
    }

    fn count(&mut self, tallies: &[(Arc<str>, i64)]) {
        for (name, by) in tallies {
            self.state.tally(name, *by);
            self.tallied.push(Arc::clone(name));
        }
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
            self.give_back(&held.draws, Side::Held, held.ask.channel.as_ref());
            self.count(&tally::when_expired(&held));
            self.changed(Arc::new(expired(&held)));
        }
    }

    fn same_network(&self, version: i64) -> Result<(), Refusal> {
        let present = self.state.network_version();
        if version == present { Ok(()) } else { Err(Refusal::NetworkChanged { version: present }) }
    }

    /// Whether every pool can give what is wanted of it in all (rules 17 and 19), and the channel may draw it; if not, every
    /// bucket that fails.
    fn test(&self, takes: &[Take], by: Option<&Arc<str>>) -> Result<(), Refusal> {
        let mut wants: SmallVec<[&Take; 8]> = takes.iter().collect();
        wants.sort_by(|a, b| (&a.draw.resource, a.draw.index).cmp(&(&b.draw.resource, b.draw.index)));
        let unknown = BucketLevel::default();
        let mut short: Vec<Shortage> = Vec::new();
        for of_bucket in wants.chunk_by(|a, b| (&a.draw.resource, a.draw.index) == (&b.draw.resource, b.draw.index)) {
            let Draw { resource, index, .. } = &of_bucket[0].draw;
            let level = self.state.level(resource, *index).unwrap_or(&unknown);
            if !can_give(level, of_bucket, by, self.now) {
                short.push(Shortage { resource: resource.clone(), index: *index, level: level.clone() });
            }
        }
        if short.is_empty() { Ok(()) } else { Err(Refusal::Short(short)) }
    }

    fn take(&mut self, draws: &[Draw], side: Side, by: Option<&Arc<str>>) {
        for draw in draws {
            self.state.take(draw, side, by);
            self.touched.add(&draw.resource, draw.index);
        }
    }

    fn give_back(&mut self, draws: &[Draw], side: Side, by: Option<&Arc<str>>) {
        for draw in draws {
            self.state.give_back(draw, side, by);
            self.touched.add(&draw.resource, draw.index);
        }
    }

    fn changed(&mut self, reservation: Arc<Reservation>) {
        self.state.put(Arc::clone(&reservation));
        self.changes.push(Change::Reservation(reservation));
    }

    fn finish(self, outcome: Outcome) -> Applied {
        let Step { state, mut changes, touched, adjustment, tallied, refused, .. } = self;
        for (resource, index) in touched.order {
            // What was forgotten after it was touched has no level any more.
            if let Some(level) = state.level(&resource, index).cloned() {
                changes.push(Change::Bucket { resource, index, level });
            }
        }
        Applied { outcome, changes, adjustment, tallied, refused }
    }
}

/// Whether a bucket can give all that is wanted of it. What was set aside for a pool that was released, closed or never there is
/// common, so who planned on the pool just before, or drew on it once (`retake`), is served from there.
fn can_give(level: &BucketLevel, wants: &[&Take], by: Option<&Arc<str>>, now: Moment) -> bool {
    let standing = wants.iter().map(|t| t.standing).min().unwrap_or_default();
    let balance = level.balance(standing, now);
    let mut common: i64 = 0;
    let mut all: i64 = 0;
    for (i, Take { draw: Draw { pool, units, .. }, .. }) in wants.iter().enumerate() {
        debug_assert!(*units >= 1, "a draw takes something");
        all = all.saturating_add(*units);
        let Some(own) = level.pool(pool).filter(|own| now < own.release_at) else {
            common = common.saturating_add(*units);
            continue;
        };
        // Each pool is looked at once, with all that is wanted of it.
        if wants[..i].iter().any(|t| t.draw.pool == *pool) {
            continue;
        }
        let of_pool = wants.iter().filter(|t| t.draw.pool == *pool);
        if of_pool.fold(0_i64, |sum, t| sum.saturating_add(t.draw.units)) > own.left(now) {
            return false;
        }
    }
    let room = by.and_then(|channel| level.room_of(channel));
    balance >= 0 && common <= balance && room.is_none_or(|room| all <= room)
}
