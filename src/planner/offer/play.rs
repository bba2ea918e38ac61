//! Orders played one by one, many at once (rule 25).
//!
//! All orders of an offer draw from the same pools of the capacity as it is at one moment, so what they can draw of a bucket
//! is one number, which only falls while they are played: `State` keeps it, as supply and what is drawn of it. Orders of one
//! day and zone are the same ask at the same instant. One of them is planned, with a note of all that its plan hangs on
//! (`search::Notes`); as long as no bucket falls below what was noted, the next one would be planned alike, so those are
//! taken at once. One that is refused takes nothing, so all that follow of its group are refused alike.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::Supposed;
use super::spread::Group;
use crate::domain::answer::Verdict;
use crate::domain::ask::When;
use crate::domain::bucket::{Availability, BucketLevel};
use crate::domain::draw::Pool;
use crate::domain::levels::Levels;
use crate::domain::limits::{MAX_ADJUSTED_BUCKETS, MAX_DRAWS};
use crate::domain::network::{Network, ResourceIdx};
use crate::domain::offer::Advertised;
use crate::domain::time::{Day, Moment};
use crate::planner::resolve::ResolvedAsk;
use crate::planner::search::{Frame, Notes, Search};

/// As many units as one likes.
const PLENTY: i64 = 1 << 52;

/// Levels of a few resources, ascending; all others have nothing, and so has every bucket that is not there.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub resources: SmallVec<[ResourceIdx; 8]>,
    pub levels: Vec<Levels>,
    /// By place; empty as long as nothing was ever lent.
    lent: Vec<Lent>,
    /// How often a bucket became known, or came to have supply: as long as it stays, the same buckets have supply.
    pub grown: usize,
}

/// A resource's levels with plenty wherever it has supply. Kept beside the true ones once they were wanted, as lending and giving
/// back are many and draws are few.
#[derive(Clone, Debug, Default)]
struct Lent {
    levels: Option<Levels>,
    is_read: bool,
}

impl Availability for State {
    const IS_WHOLE: bool = true;

    type Levels<'a> = &'a Levels;

    fn levels(&self, resource: ResourceIdx) -> &Levels {
        let Ok(place) = self.resources.binary_search(&resource) else { return Levels::none() };
        match self.lent.get(place) {
            Some(Lent { levels: Some(lent), is_read: true }) => lent,
            _ => &self.levels[place],
        }
    }
}

/// The same resources as they are read at the moment: what the standing plan gives a bucket that is not there counts.
struct AtTheMoment<'s>(&'s State);

impl Availability for AtTheMoment<'_> {
    type Levels<'a>
        = &'a Levels
    where
        Self: 'a;

    fn levels(&self, resource: ResourceIdx) -> &Levels {
        self.0.levels(resource)
    }
}

/// A level with plenty, where there is supply: less drawn, not more supply, as which days have supply at all is another
/// matter (rule 7).
fn with_plenty(level: &BucketLevel) -> BucketLevel {
    let mut level = level.clone();
    if level.set.is_some_and(|supply| supply > 0) {
        level.confirmed -= PLENTY;
    }
    level
}

impl State {
    pub fn new(resources: SmallVec<[ResourceIdx; 8]>, levels: Vec<Levels>) -> Self {
        State { resources, levels, lent: Vec::new(), grown: 0 }
    }

    pub fn place(&self, resource: ResourceIdx) -> usize {
        self.resources.binary_search(&resource).expect("every resource of every ask is kept")
    }

    /// Changes a level, and what was lent of it with it.
    fn change(&mut self, place: usize, index: i32, change: impl FnOnce(&mut BucketLevel)) {
        let level = match self.levels[place].get_mut(index) {
            Some(level) => level,
            None => {
                self.grown += 1;
                self.levels[place].put(index, BucketLevel { set: Some(0), ..BucketLevel::default() });
                self.levels[place].get_mut(index).expect("just put")
            }
        };
        let had_supply = level.set > Some(0);
        change(level);
        self.grown += usize::from(level.set > Some(0) && !had_supply);
        if let Some(Lent { levels: Some(lent), .. }) = self.lent.get_mut(place) {
            let level = with_plenty(level);
            match lent.get_mut(index) {
                Some(lent) => *lent = level,
                None => lent.put(index, level),
            }
        }
    }

    /// What can be drawn of a bucket.
    pub fn free(&self, place: usize, index: i32) -> i64 {
        self.levels[place].get(index).map_or(0, |level| level.set.unwrap_or(0) - level.confirmed)
    }

    pub fn draw(&mut self, place: usize, index: i32, units: i64) {
        self.change(place, index, |level| level.confirmed = level.confirmed.saturating_add(units));
    }

    /// More supply.
    pub fn add(&mut self, place: usize, index: i32, units: i64) {
        self.change(place, index, |level| level.set = Some(level.set.unwrap_or(0).saturating_add(units)));
    }

    /// Lends plenty of a resource wherever it has supply, until it is given back.
    pub fn lend(&mut self, place: usize) {
        self.lent.resize_with(self.levels.len(), Lent::default);
        let lent = &mut self.lent[place];
        lent.is_read = true;
        lent.levels.get_or_insert_with(|| {
            let all = self.levels[place].all();
            Levels::new(all.map(|(index, level)| (*index, with_plenty(level))).collect())
        });
    }

    /// Lends plenty of a resource in these buckets too, and wherever it is known of; the levels as they were, to be put back.
    pub fn lend_anywhere(&mut self, place: usize, buckets: std::ops::Range<i32>) -> Levels {
        let before = &self.levels[place];
        let missing = buckets.filter(|index| before.get(*index).is_none()).map(|at| (at, BucketLevel::default()));
        let mut levels = Levels::new(before.all().cloned().chain(missing).collect());
        for (_, level) in levels.all_mut() {
            level.confirmed -= PLENTY;
        }
        std::mem::replace(&mut self.levels[place], levels)
    }

    /// All that was lent of resources with supply is given back.
    pub fn give_back(&mut self) {
        for lent in &mut self.lent {
            lent.is_read = false;
        }
    }
}

/// Units that one order draws of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub place: usize,
    pub index: i32,
    pub units: i64,
    /// How much less the bucket could give, and the plan would be the same.
    pub slack: i64,
}

/// How one order is answered.
pub(super) struct Order {
    pub verdict: Verdict,
    /// The day of its arrival, however late; none: beyond the horizon.
    pub date: Option<Day>,
    /// What it draws, each bucket once.
    pub parts: SmallVec<[Part; 8]>,
    /// The earliest day, later than the deadline, with which as deadline its plan may be another.
    pub late: Option<Day>,
}

impl Order {
    /// How many orders in a row, itself the first, would be planned alike, as far as these buckets go.
    pub fn repeats(&self, counts: impl Fn(&Part) -> bool) -> i64 {
        let of = |part: &Part| if part.units > 0 { 1 + part.slack / part.units } else { i64::MAX };
        self.parts.iter().filter(|part| counts(part)).map(of).min().unwrap_or(i64::MAX)
    }
}

/// The offer on the capacity of the moment.
pub(super) struct Board<'n> {
    pub network: &'n Network,
    pub moment: Moment,
    /// One for each zone of the offer.
    pub asks: Vec<ResolvedAsk>,
    /// Those of each ask's resources.
    frames: Vec<Vec<Frame<'n>>>,
    /// Levels of the moment with what is supposed, pools and all.
    pub source: State,
    /// What the asks can draw of them.
    pub base: State,
    /// The pool of the offer's channel.
    channel: Option<Pool>,
    notes: Option<Box<Notes>>,
    /// Orders planned so far: what bounds the work.
    pub planned: usize,
}

impl<'n> Board<'n> {
    /// The asks all draw from the same pools.
    pub fn new<A: Availability + ?Sized>(
        network: &'n Network,
        availability: &A,
        asks: Vec<ResolvedAsk>,
        supposed: &[Supposed],
        moment: Moment,
    ) -> Self {
        let mut all = asks[0].clone();
        all.resources = asks.iter().flat_map(|ask| ask.resources.iter().copied()).collect();
        all.resources.sort_unstable();
        all.resources.dedup();
        let levels = all.resources.iter().map(|&r| availability.levels(r).clone()).collect();
        let mut source = State::new(all.resources.clone(), levels);
        suppose(network, &mut source, supposed, moment);
        let at_the_moment = AtTheMoment(&source);
        let search = Search::new(network, &at_the_moment, &all, moment);
        let levels = search.slots.iter().map(|slot| {
            let mut known = slot.levels().all().peekable();
            let mut buckets = Vec::new();
            for index in slot.range() {
                let is_known = known.next_if(|(at, _)| *at == index).is_some();
                let supply = slot.supply(index);
                if is_known || supply > 0 {
                    let free = slot.free(index, &all.pools);
                    let level = BucketLevel { set: Some(supply), confirmed: supply - free, ..BucketLevel::default() };
                    buckets.push((index, level));
                }
            }
            Levels::new(buckets)
        });
        let levels = levels.collect();
        drop(search);
        let base = State::new(all.resources.clone(), levels);
        let channel = all.pools.iter().find(|pool| matches!(pool, Pool::Channel(_))).cloned();
        let notes = Some(Box::default());
        let frames_of = |ask: &ResolvedAsk| ask.resources.iter().map(|&r| Frame::new(network, r, moment)).collect();
        let frames = asks.iter().map(frames_of).collect();
        let mut board = Board { network, moment, asks, frames, source, base, channel, notes, planned: 0 };
        for ask in &mut board.asks {
            // What they may draw of each pool is in the base already.
            ask.pools.clear();
        }
        board
    }

    /// Asks one order of the group on what is left.
    pub fn ask(&mut self, state: &State, group: &Group, advertised: Advertised) -> Order {
        self.planned += 1;
        let ask = &mut self.asks[group.zone];
        ask.when = When::ByDate(due(group, advertised));
        let ask = &self.asks[group.zone];
        let mut notes = self.notes.take().unwrap_or_default();
        let mut search = self.search(state, group);
        notes.slacks.clear();
        notes.late = None;
        search.notes = Some(notes);
        let (mut verdict, _) = search.choose();
        let notes = search.notes.take().unwrap_or_default();
        let mut order = Order { verdict, date: None, parts: SmallVec::new(), late: notes.late };
        if verdict != Verdict::Unavailable {
            order.date = search.overlay.legs().iter().map(|leg| leg.date).max();
            for entry in search.overlay.sums() {
                let noted = notes.slacks.iter().filter(|(slot, index, _)| (*slot, *index) == (entry.slot, entry.index));
                order.parts.push(Part {
                    place: state.place(ask.resources[entry.slot as usize]),
                    index: entry.index,
                    units: entry.units,
                    slack: noted.map(|(.., slack)| *slack).min().unwrap_or(0),
                });
            }
        }
        drop(search);
        self.notes = Some(notes);
        if order.parts.len() * 2 > MAX_DRAWS && self.draws(state, &order.parts) > MAX_DRAWS {
            // As `quote` has it: too much for one step of the ledger.
            verdict = Verdict::Unavailable;
            order = Order { verdict, date: None, parts: SmallVec::new(), late: None };
        }
        order
    }

    /// The search for one order of the group on what is left.
    pub fn search<'s>(&'s self, state: &'s State, group: &Group) -> Search<'s, State> {
        let frames = self.frames[group.zone].iter().copied();
        Search::framed(self.network, state, &self.asks[group.zone], group.asked_at, frames)
    }

    /// Whether what is ready earlier never arrives later.
    pub fn keeps_its_order(&self) -> bool {
        let mut candidates = self.asks.iter().flat_map(|ask| &ask.lines).flat_map(|line| &line.candidates);
        candidates.all(|candidate| !self.network.lane(candidate.lane).may_overtake())
    }

    /// Draws that an order would be written down as: two where a bucket gives from a pool and from what is common.
    fn draws(&self, state: &State, parts: &[Part]) -> usize {
        let of = |part: &Part| {
            let own = self.own(part.place, part.index) - self.drawn(state, part.place, part.index);
            1 + usize::from(0 < own && own < part.units)
        };
        parts.iter().map(of).sum()
    }

    /// What is drawn of a bucket by what was played.
    pub fn drawn(&self, state: &State, place: usize, index: i32) -> i64 {
        let before = self.base.levels[place].get(index).map_or(0, |level| level.confirmed);
        state.levels[place].get(index).map_or(0, |level| level.confirmed) - before
    }

    /// What is set aside for the offer's channel in a bucket; that is drawn first.
    pub fn own(&self, place: usize, index: i32) -> i64 {
        let Some(channel) = &self.channel else { return 0 };
        let resource = self.network.resource(self.base.resources[place]);
        let today = self.network.calendar_of(resource).day_of(self.moment);
        let level = self.source.levels[place].get(index);
        level.map_or(0, |level| level.available(resource.standing(index, today), channel, self.moment))
    }

    /// Whether all orders of these groups get a yes.
    pub fn all_kept(&mut self, groups: &[Group], advertised: Advertised) -> bool {
        self.first_refused(groups, advertised).is_none()
    }

    /// Plays groups until an order is refused: what was left then, the order's group, and its answer.
    pub fn first_refused(&mut self, groups: &[Group], advertised: Advertised) -> Option<(State, Group, Verdict)> {
        let mut state = self.base.clone();
        for group in groups {
            let mut left = group.orders;
            while left > 0 {
                let order = self.ask(&state, group, advertised);
                if order.verdict != Verdict::Promised {
                    return Some((state, *group, order.verdict));
                }
                left -= take(&mut state, &order, left, |_| true);
            }
        }
        None
    }
}

/// Takes as many orders like this one as are planned alike, up to so many; how many.
pub(super) fn take(state: &mut State, order: &Order, left: i64, counts: impl Fn(&Part) -> bool) -> i64 {
    let orders = order.repeats(counts).clamp(1, left);
    for part in &order.parts {
        state.draw(part.place, part.index, part.units.saturating_mul(orders));
    }
    orders
}

/// The last day on which an order of the group may arrive.
pub(super) fn due(group: &Group, advertised: Advertised) -> Day {
    match advertised {
        Advertised::WithinDays(days) => group.day + days,
        Advertised::By(day) => day,
    }
}

/// Supply as supposed; several changes of one bucket add up before it is seen that nothing falls below nothing.
fn suppose(network: &Network, state: &mut State, supposed: &[Supposed], moment: Moment) {
    let mut deltas: Vec<(usize, i32, i64)> = Vec::new();
    for one in supposed {
        if let Ok(place) = state.resources.binary_search(&one.resource) {
            let buckets = one.buckets.min(MAX_ADJUSTED_BUCKETS as i32);
            deltas.extend((one.first..one.first.saturating_add(buckets)).map(|index| (place, index, one.delta)));
        }
    }
    deltas.sort_by_key(|(place, index, _)| (*place, *index));
    for of_resource in deltas.chunk_by(|a, b| a.0 == b.0) {
        let place = of_resource[0].0;
        let resource = network.resource(state.resources[place]);
        let today = network.calendar_of(resource).day_of(moment);
        let mut levels: BTreeMap<i32, BucketLevel> = state.levels[place].all().cloned().collect();
        for same in of_resource.chunk_by(|a, b| a.1 == b.1) {
            let index = same[0].1;
            let delta = same.iter().fold(0i64, |sum, (.., delta)| sum.saturating_add(*delta));
            let level = levels.entry(index).or_default();
            level.set = Some(level.supply(resource.standing(index, today)).saturating_add(delta).max(0));
        }
        state.levels[place] = Levels::new(levels.into_iter().collect());
    }
}
