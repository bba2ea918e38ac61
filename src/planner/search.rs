//! The state of one search: the resources that the ask may read, each with its levels as of the answer's beginning, and what
//! the ask has taken of them so far.

use smallvec::SmallVec;

use super::overlay::Overlay;
use super::resolve::ResolvedAsk;
use crate::domain::bucket::{Availability, BucketLevel};
use crate::domain::calendar::Calendar;
use crate::domain::draw::Pool;
use crate::domain::levels::Levels;
use crate::domain::network::{Kind, Network, Resource, ResourceIdx};
use crate::domain::time::{Day, Moment};

/// See the module.
pub(super) struct Search<'a, A: Availability + ?Sized + 'a> {
    pub network: &'a Network,
    pub ask: &'a ResolvedAsk,
    pub now: Moment,
    /// As though every bucket, with supply or without, held as much as one likes: what time alone allows.
    pub unlimited: bool,
    pub slots: SmallVec<[Slot<'a, A>; 8]>,
    pub overlay: Overlay,
    /// Late plans tried so far: what bounds the work of one ask.
    pub tried: usize,
    /// Kept only where the same ask is planned many times: what the plan hangs on.
    pub notes: Option<Box<Notes>>,
    /// Bottlenecks are told without words: nobody will read them.
    pub wordless: bool,
}

/// What an early plan of whole lines hangs on, noted while it is made: every comparison with what a bucket can give that came
/// out as yes. Capacity that only falls leaves every no a no, so the same ask at the same instant gets the same plan as long
/// as no bucket loses more than its least slack.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Slot, bucket, and how much less the bucket could give without another outcome.
    pub slacks: Vec<(u32, i32, i64)>,
    /// The earliest day of a line that came too late for the deadline: with that deadline, the choice may be another.
    pub late: Option<Day>,
}

/// One resource as the search reads it.
pub(super) struct Slot<'a, A: Availability + ?Sized + 'a> {
    pub resource: &'a Resource,
    pub calendar: &'a Calendar,
    levels: A::Levels<'a>,
    /// When its levels are read: what was released by then is everyone's.
    moment: Moment,
    /// The civil day of its site on which that moment lies.
    pub today: Day,
    /// The standing plan gives nothing before this bucket: receipts of stock stay from the day on which the plan began,
    /// capacity is over with its day (rules 3 and 4).
    since: i32,
    /// Weekdays with standing units, one bit each, so that a walk over years of receipts steps from week to week.
    standing_days: u8,
    /// No bucket from this one on can have supply (rule 18).
    pub end: i32,
}

/// What a search knows of a resource before it reads its levels: the same for all asks of one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    resource: &'a Resource,
    calendar: &'a Calendar,
    moment: Moment,
    today: Day,
    since: i32,
    standing_days: u8,
    /// The end of the standing plan.
    end: i32,
}

impl<'a> Frame<'a> {
    pub fn new(network: &'a Network, at: ResourceIdx, moment: Moment) -> Self {
        let resource = network.resource(at);
        let calendar = network.calendar_of(resource);
        let today = calendar.day_of(moment);
        let end = match resource.weekly {
            Some(_) => resource.bucketing.first_of(today + resource.horizon_days),
            None => i32::MIN,
        };
        let since = match resource.kind {
            Kind::Stock => resource.since.min(today),
            Kind::Capacity => today,
        };
        let since = resource.bucketing.first_of(since);
        Frame { resource, calendar, moment, today, since, standing_days: standing_days(resource), end }
    }
}

/// See `Slot::standing_days`. Only walks over receipts need to be short: a capacity's walk ends at its first bucket with room.
fn standing_days(resource: &Resource) -> u8 {
    match (&resource.weekly, resource.kind) {
        (None, _) => 0,
        (Some(_), Kind::Capacity) => u8::MAX,
        (Some(weekly), Kind::Stock) => {
            let per_day = resource.bucketing.per_day() as usize;
            let given = |day: usize| weekly[day * per_day..(day + 1) * per_day].iter().any(|units| *units > 0);
            (0..7).filter(|day| given(*day)).map(|day| 1 << day).sum()
        }
    }
}

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    pub fn new(network: &'a Network, availability: &'a A, ask: &'a ResolvedAsk, now: Moment) -> Self {
        Search::asked_at(network, availability, ask, now, now)
    }

    /// A search for an ask that comes at `now`, on the availability as it is at another `moment`: its standing plan, and what
    /// is set aside then.
    pub fn asked_at(
        network: &'a Network,
        availability: &'a A,
        ask: &'a ResolvedAsk,
        now: Moment,
        moment: Moment,
    ) -> Self {
        let frames = ask.resources.iter().map(|&at| Frame::new(network, at, moment));
        Search::framed(network, availability, ask, now, frames)
    }

    /// The same with the frames of the ask's resources at hand.
    pub fn framed(
        network: &'a Network,
        availability: &'a A,
        ask: &'a ResolvedAsk,
        now: Moment,
        frames: impl Iterator<Item = Frame<'a>>,
    ) -> Self {
        let slot = |(&at, frame): (&ResourceIdx, Frame<'a>)| {
            let Frame { resource, calendar, moment, today, since, standing_days, end } = frame;
            let levels = availability.levels(at);
            // A known bucket without supply gives nothing, so an upper bound of the last bucket will do.
            let known = levels.last().map_or(i32::MIN, |index| index + 1);
            // Never before the day of the ask, so that the days near it can be counted.
            let end = known.max(end).max(resource.bucketing.first_of(calendar.day_of(now)));
            // Where the levels say all there is, walks go from one to the next.
            let standing_days = if A::IS_WHOLE { 0 } else { standing_days };
            Slot { resource, calendar, levels, moment, today, since, standing_days, end }
        };
        let slots = ask.resources.iter().zip(frames).map(slot).collect();
        let overlay = Overlay::default();
        Search { network, ask, now, unlimited: false, slots, overlay, tried: 0, notes: None, wordless: false }
    }

    /// The place of a resource in `slots`.
    pub fn slot(&self, resource: ResourceIdx) -> usize {
        let all = &self.ask.resources;
        let found =
            if all.len() <= 8 { all.iter().position(|&r| r == resource) } else { all.binary_search(&resource).ok() };
        found.expect("resolving noted every resource of every candidate")
    }

    /// What the ask may still draw from a bucket, its own draws so far counted (rule 17).
    pub fn free(&self, slot: usize, index: i32) -> i64 {
        if self.unlimited {
            return i64::MAX;
        }
        self.slots[slot].free(index, &self.ask.pools) - self.overlay.units(slot as u32, index)
    }
}

impl<'a, A: Availability + ?Sized + 'a> Slot<'a, A> {
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The units that the standing plan gives a bucket (rules 3 and 4).
    fn standing(&self, index: i32) -> i64 {
        if A::IS_WHOLE || index < self.since { 0 } else { self.resource.standing(index, self.today) }
    }

    fn free_in(&self, index: i32, level: Option<&BucketLevel>, pools: &[Pool]) -> i64 {
        let Some(level) = level else { return self.standing(index) };
        let standing = if level.set.is_some() { 0 } else { self.standing(index) };
        let balance = level.balance(standing, self.moment);
        if balance < 0 || pools.is_empty() || level.shares.is_none() {
            return balance.max(0);
        }
        let free = pools.iter().map(|pool| level.available(standing, pool, self.moment)).sum::<i64>() + balance;
        let room = |pool: &Pool| match pool {
            Pool::Channel(channel) => level.room_of(channel),
            Pool::Common | Pool::Offer(_) => None,
        };
        pools.iter().filter_map(room).fold(free, i64::min)
    }

    /// The bucket's supply (rule 3).
    pub fn supply(&self, index: i32) -> i64 {
        let set = self.levels.get(index).and_then(|level| level.set);
        set.unwrap_or_else(|| self.standing(index))
    }

    /// The buckets that can have supply or that something is known of, from the first to before the last.
    pub fn range(&self) -> std::ops::Range<i32> {
        let known = self.levels.first().unwrap_or(i32::MAX);
        let standing = if self.resource.weekly.is_some() { self.since } else { i32::MAX };
        known.min(standing).min(self.end)..self.end
    }

    /// What the pools can give together, before any draw of this ask.
    pub fn free(&self, index: i32, pools: &[Pool]) -> i64 {
        if index >= self.end {
            return 0;
        }
        self.free_in(index, self.levels.get(index), pools)
    }

    /// Whether a bucket has no length, so that it is not used (rule 2).
    pub fn is_void(&self, index: i32) -> bool {
        self.resource.bucketing.is_void(self.calendar, index)
    }

    pub fn start(&self, index: i32) -> Moment {
        self.resource.bucketing.start(self.calendar, index)
    }

    pub fn bucket_end(&self, index: i32) -> Moment {
        self.resource.bucketing.end(self.calendar, index)
    }

    /// Visits the buckets from `from` on that can give something, until `done` says so. Those without length are passed over.
    pub fn up(&self, from: i32, pools: &[Pool], mut done: impl FnMut(i32, i64) -> bool) {
        let mut known = self.levels.from(from);
        if A::IS_WHOLE || self.resource.weekly.is_none() {
            for (index, level) in known {
                let free = self.free_in(*index, Some(level), pools);
                if free > 0 && !self.is_void(*index) && done(*index, free) {
                    return;
                }
            }
            return;
        }
        let mut next = known.next();
        for index in from..self.end {
            let level = match next {
                Some((at, level)) if *at == index => {
                    next = known.next();
                    Some(level)
                }
                _ => None,
            };
            let free = self.free_in(index, level, pools);
            if free > 0 && !self.is_void(index) && done(index, free) {
                return;
            }
        }
    }

    /// Visits the buckets from `from` down to `floor` that can give something, until `done` says so.
    pub fn down(&self, from: i32, floor: i32, pools: &[Pool], mut done: impl FnMut(i32, i64) -> bool) {
        let from = from.min(self.end.saturating_sub(1));
        let mut known = self.levels.up_to(from).rev().take_while(|(i, _)| *i >= floor).peekable();
        if self.standing_days != 0 {
            let bucketing = self.resource.bucketing;
            let since = self.since.max(floor);
            let mut index = from;
            while index >= since {
                let day = bucketing.day_of(index);
                let first = bucketing.first_of(day).max(since);
                if self.standing_days & (1 << day.weekday()) == 0 && known.peek().is_none_or(|(at, _)| *at < first) {
                    index = first - 1;
                    continue;
                }
                let level = known.next_if(|(at, _)| *at == index).map(|(_, level)| level);
                let free = self.free_in(index, level, pools);
                if free > 0 && !self.is_void(index) && done(index, free) {
                    return;
                }
                index -= 1;
            }
        }
        for (index, level) in known {
            let free = self.free_in(*index, Some(level), pools);
            if free > 0 && !self.is_void(*index) && done(*index, free) {
                return;
            }
        }
    }

    /// Whether the day has any supply, drawn or not (rule 7).
    fn has_supply(&self, day: Day) -> bool {
        let bucketing = self.resource.bucketing;
        (bucketing.first_of(day)..bucketing.first_of(day + 1))
            .any(|index| self.supply(index) > 0 && !self.is_void(index))
    }

    /// The n-th day after this one that has supply; none beyond the last bucket (rule 18).
    pub fn supplied_after(&self, day: Day, n: i32) -> Option<Day> {
        let (mut day, mut left) = (day, n);
        while left > 0 {
            day = day + 1;
            if self.resource.bucketing.first_of(day) >= self.end {
                return None;
            }
            left -= i32::from(self.has_supply(day));
        }
        Some(day)
    }

    /// The earliest day such that it and those after it, up to `last`, have n days with supply; none before today.
    pub fn supplied_until(&self, last: Day, n: i32) -> Option<Day> {
        let (mut day, mut left) = (last.min(self.resource.bucketing.day_of(self.end.saturating_sub(1))), n);
        loop {
            if day < self.today {
                return None;
            }
            left -= i32::from(self.has_supply(day));
            if left == 0 {
                return Some(day);
            }
            day = day - 1;
        }
    }
}
