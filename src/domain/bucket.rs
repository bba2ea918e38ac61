//! Buckets: how a resource's time is cut (rule 2), what a bucket holds (rule 3), and the levels the planner reads.

use std::ops::Deref;
use std::sync::Arc;

use super::calendar::Calendar;
use super::draw::Pool;
use super::levels::Levels;
use super::network::{Resource, ResourceIdx};
use super::time::{Day, MINUTE, Moment, TimeOfDay};

/// Minutes of a civil day on the wall clock.
const DAY_MINUTES: i32 = 1_440;

/// How a resource's days are cut: into `per_day` buckets of equal wall-clock length, from 00:00 on. A bucket's index is
/// its day times `per_day` plus its place in the day, so indexes follow each other without gaps, through changes of the
/// clock too (where a bucket may be left without length).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucketing {
    per_day: i32,
}

impl Bucketing {
    /// Day buckets.
    pub const DAYS: Bucketing = Bucketing { per_day: 1 };

    /// Buckets of so many minutes, which must divide a day.
    pub fn of_minutes(minutes: i64) -> Result<Bucketing, String> {
        match i32::try_from(minutes) {
            Ok(m @ 1..=DAY_MINUTES) if DAY_MINUTES % m == 0 => Ok(Bucketing { per_day: DAY_MINUTES / m }),
            _ => Err(format!("{minutes} minutes do not divide a day; 15, 30, 60, 240 or 1440 do")),
        }
    }

    /// Buckets a day.
    pub fn per_day(self) -> i32 {
        self.per_day
    }

    /// Whether a bucket is a civil day.
    pub fn is_days(self) -> bool {
        self.per_day == 1
    }

    /// Wall-clock minutes of one bucket.
    pub fn minutes(self) -> i32 {
        DAY_MINUTES / self.per_day
    }

    /// The first bucket of a day.
    pub fn first_of(self, day: Day) -> i32 {
        day.0 * self.per_day
    }

    /// The day on which a bucket begins by its name.
    pub fn day_of(self, index: i32) -> Day {
        Day(index.div_euclid(self.per_day))
    }

    /// The wall-clock time that names the bucket within its day.
    pub fn time_of(self, index: i32) -> TimeOfDay {
        TimeOfDay((index.rem_euclid(self.per_day) * self.minutes()) as u16)
    }

    /// The bucket that begins at this wall-clock time, if one does.
    pub fn named(self, day: Day, time: TimeOfDay) -> Option<i32> {
        let minutes = i32::from(time.0);
        (minutes % self.minutes() == 0).then(|| self.first_of(day) + minutes / self.minutes())
    }

    /// When the bucket begins (rule 2).
    pub fn start(self, calendar: &Calendar, index: i32) -> Moment {
        let day = self.day_of(index);
        match self.time_of(index) {
            TimeOfDay(0) => calendar.start_of(day),
            time => calendar.at(day, time),
        }
    }

    /// When the bucket ends: when the next begins.
    pub fn end(self, calendar: &Calendar, index: i32) -> Moment {
        self.start(calendar, index + 1)
    }

    /// Whether a change of the clock left the bucket no time (rule 2).
    pub fn is_void(self, calendar: &Calendar, index: i32) -> bool {
        !calendar.is_plain(self.day_of(index)) && self.start(calendar, index) >= self.end(calendar, index)
    }

    /// The bucket that contains the instant.
    pub fn containing(self, calendar: &Calendar, at: Moment) -> i32 {
        let day = calendar.day_of(at);
        let first = self.first_of(day);
        if self.is_days() {
            return first;
        }
        if calendar.is_plain(day) {
            let minutes = (at.0 - calendar.start_of(day).0) / MINUTE;
            return first + (minutes as i32) / self.minutes();
        }
        // The last that has begun: those without length begin with their successor.
        (first..first + self.per_day).rev().find(|&i| self.start(calendar, i) <= at).unwrap_or(first)
    }

    /// The first bucket that begins at or after the instant.
    pub fn from(self, calendar: &Calendar, at: Moment) -> i32 {
        let mut index = self.containing(calendar, at);
        // Several may begin at the same instant when all but one have no length; the first will do.
        while self.start(calendar, index) < at {
            index += 1;
        }
        index
    }
}

/// What is set aside for one channel or offer in a bucket (rules 17 and 26).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLevel {
    /// Never `Common`.
    pub pool: Pool,
    /// Units set aside in all, drawn or not, at least 0. Nothing any more once the allocation or offer is over.
    pub set: i64,
    /// Units of it that are drawn, by reservations that are held, confirmed or fulfilled. More than `set` where less was set
    /// aside afterwards.
    pub used: i64,
    /// From this instant on, what is left of it is everyone's. 0 where nothing is set aside.
    pub release_at: Moment,
}

impl PoolLevel {
    /// Units left for those it was set aside for: set aside, not drawn, and not released yet.
    pub fn left(&self, now: Moment) -> i64 {
        if now < self.release_at { (self.set - self.used).max(0) } else { 0 }
    }

    /// Whether nothing is set aside and nothing drawn, so that it need not be kept.
    fn is_nothing(&self) -> bool {
        self.set == 0 && self.used == 0
    }
}

/// What a channel has drawn of a bucket, and may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelLevel {
    /// Which.
    pub channel: Arc<str>,
    /// Units drawn by its reservations, from whatever pool: held, confirmed or fulfilled.
    pub drawn: i64,
    /// The most that it may draw, set aside or common; none: no maximum.
    pub most: Option<i64>,
}

impl ChannelLevel {
    fn is_nothing(&self) -> bool {
        self.drawn == 0 && self.most.is_none()
    }
}

/// What a bucket knows of channels and offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// What is set aside, in the order in which it came.
    pub pools: Vec<PoolLevel>,
    /// What channels have drawn, in the order in which they came.
    pub channels: Vec<ChannelLevel>,
}

/// What the ledger knows of one bucket. A bucket it knows nothing of is `BucketLevel::default()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketLevel {
    /// The supply that was set, if any was; else the standing plan counts (rule 3).
    pub set: Option<i64>,
    /// Units drawn by reservations that may still expire.
    pub held: i64,
    /// Units drawn by confirmed reservations.
    pub confirmed: i64,
    /// Units drawn by fulfilled reservations: used up (rule 22).
    pub fulfilled: i64,
    /// Of channels and offers. Mostly nothing, so behind one pointer; never there and empty.
    pub shares: Option<Box<Shares>>,
}

impl BucketLevel {
    /// The bucket's supply, with what the standing plan gives it (rule 3).
    pub fn supply(&self, standing: i64) -> i64 {
        self.set.unwrap_or(standing)
    }

    /// All that is drawn.
    pub fn drawn(&self) -> i64 {
        self.held + self.confirmed + self.fulfilled
    }

    /// All that is set aside at `now` and not yet drawn.
    #[inline]
    pub fn set_aside(&self, now: Moment) -> i64 {
        match &self.shares {
            None => 0,
            Some(shares) => shares.pools.iter().map(|p| p.left(now)).sum(),
        }
    }

    /// What is set aside for channels and offers.
    pub fn pools(&self) -> &[PoolLevel] {
        self.shares.as_deref().map_or(&[], |s| s.pools.as_slice())
    }

    /// What is set aside for one of them.
    pub fn pool(&self, pool: &Pool) -> Option<&PoolLevel> {
        self.pools().iter().find(|p| p.pool == *pool)
    }

    /// What channels have drawn.
    pub fn channels(&self) -> &[ChannelLevel] {
        self.shares.as_deref().map_or(&[], |s| s.channels.as_slice())
    }

    /// The bucket's balance at `now`: supply less all that is drawn and all that is set aside (rule 3). Below zero: over-committed.
    #[inline]
    pub fn balance(&self, standing: i64, now: Moment) -> i64 {
        self.supply(standing) - self.drawn() - self.set_aside(now)
    }

    /// What can be drawn from one pool at `now`: what is left of it, or the common balance; nothing where the balance is below zero.
    pub fn available(&self, standing: i64, pool: &Pool, now: Moment) -> i64 {
        let balance = self.balance(standing, now);
        if balance < 0 {
            return 0;
        }
        match pool {
            Pool::Common => balance,
            own => self.pool(own).map_or(0, |p| p.left(now)),
        }
    }

    /// What the channel may still draw, whatever is there; none: as much as it likes.
    pub fn room_of(&self, channel: &str) -> Option<i64> {
        let own = self.channels().iter().find(|c| *c.channel == *channel)?;
        own.most.map(|most| (most - own.drawn).max(0))
    }

    /// The entry of a pool, made where there is none.
    pub fn pool_mut(&mut self, pool: &Pool) -> &mut PoolLevel {
        let pools = &mut self.shares.get_or_insert_default().pools;
        let at = pools.iter().position(|p| p.pool == *pool).unwrap_or_else(|| {
            pools.push(PoolLevel { pool: pool.clone(), set: 0, used: 0, release_at: Moment(0) });
            pools.len() - 1
        });
        &mut pools[at]
    }

    /// The entry of a channel, made where there is none.
    pub fn channel_mut(&mut self, channel: &Arc<str>) -> &mut ChannelLevel {
        let channels = &mut self.shares.get_or_insert_default().channels;
        let at = channels.iter().position(|c| c.channel == *channel).unwrap_or_else(|| {
            channels.push(ChannelLevel { channel: Arc::clone(channel), drawn: 0, most: None });
            channels.len() - 1
        });
        &mut channels[at]
    }

    /// Drops entries that say nothing: to be called after `pool_mut` and `channel_mut`, so that equal levels are equal.
    pub fn tidy(&mut self) {
        if let Some(shares) = self.shares.as_deref_mut() {
            shares.pools.retain(|p| !p.is_nothing());
            shares.channels.retain(|c| !c.is_nothing());
            if shares.pools.is_empty() && shares.channels.is_empty() {
                self.shares = None;
            }
        }
    }

    /// Whether live reservations draw on it.
    pub fn carries_reservations(&self) -> bool {
        self.held > 0 || self.confirmed > 0
    }

    /// Units that are drawn beyond the supply: what rule 24 puts at risk.
    pub fn uncovered(&self, standing: i64) -> i64 {
        (self.drawn() - self.supply(standing)).max(0)
    }
}

/// The capacity as the planner reads it: a snapshot, or a view that moves on while it is read (the ledger judges, rule 19).
pub trait Availability {
    /// Whether the levels say all there is: a bucket that is not known has nothing, whatever the standing plan would give it.
    const IS_WHOLE: bool = false;

    /// How one resource's levels are lent out.
    type Levels<'a>: Deref<Target = Levels>
    where
        Self: 'a;

    /// The levels of one resource.
    fn levels(&self, resource: ResourceIdx) -> Self::Levels<'_>;
}

/// A snapshot in a plain list, by resource: for tests, replays and what-ifs.
impl Availability for [Levels] {
    type Levels<'a> = &'a Levels;

    fn levels(&self, resource: ResourceIdx) -> &Levels {
        self.get(resource.at()).unwrap_or(Levels::none())
    }
}

impl Resource {
    /// The units that the standing plan gives a bucket: what the weekly pattern has for it, nothing on closed dates, nothing
    /// from `horizon_days` after today on (rule 3). A standing bucket that has begun keeps what it was given: a receipt of stock
    /// serves from its start for ever (rule 4), also when its day is over.
    pub fn standing(&self, index: i32, today: Day) -> i64 {
        let Some(weekly) = &self.weekly else { return 0 };
        let day = self.bucketing.day_of(index);
        if day < self.since || day >= today + self.horizon_days || self.closed.binary_search(&day).is_ok() {
            return 0;
        }
        let per_day = self.bucketing.per_day();
        weekly[day.weekday() * per_day as usize + index.rem_euclid(per_day) as usize]
    }

    /// Units drawn from a bucket beyond its supply: what rule 24 puts at risk. Of a bucket of days before the standing plan began, whose
    /// supply was never set, nobody knows any more what there was, so it puts nothing at risk.
    pub fn uncovered(&self, index: i32, level: &BucketLevel, today: impl FnOnce() -> Day) -> i64 {
        if level.set.is_some() || level.drawn() == 0 {
            return level.uncovered(0);
        }
        if self.bucketing.day_of(index) < self.since { 0 } else { level.uncovered(self.standing(index, today())) }
    }

    /// The last bucket that can have supply (rule 18): none if nothing was set and nothing stands.
    pub fn last_bucket(&self, levels: &Levels, today: Day) -> Option<i32> {
        let standing = self.weekly.is_some().then(|| self.bucketing.first_of(today + self.horizon_days) - 1);
        standing.max(levels.last_set())
    }
}
