//! Rules 2, 3 and 17: what there is in each bucket, and who may draw it.

use std::collections::BTreeMap;
use std::ops::Range;

use surety::domain::ask::Ask;
use surety::domain::draw::Pool;
use surety::domain::network::{Kind, ResourceSpec, WeeklySpec};
use surety::domain::time::Moment;

use crate::civil::{at, date_text, day_of, minutes_of, weekday};
use crate::notation::Case;

/// What is known of one bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    /// The supply that was set.
    pub set: Option<i64>,
    /// Units drawn before.
    pub drawn: i64,
    /// Set aside and not yet drawn.
    pub pools: Vec<(Pool, i64)>,
    /// Set aside until now: it was released, so it is everyone's.
    pub released: Vec<(Pool, i64)>,
    /// What a channel may still draw, from whatever pool.
    pub most: Vec<(String, i64)>,
}

/// What is known, by resource and by bucket: its day times the buckets a day, plus its place in the day.
pub type Supply = BTreeMap<(String, i32), Bucket>;

/// A bucket that has some time.
#[derive(Debug)]
pub struct Slot {
    pub index: i32,
    pub start: Moment,
    pub end: Moment,
    /// The day of the zone on which it begins.
    pub zone_day: i32,
    /// Its supply.
    pub units: i64,
    /// What this ask could draw before it drew anything, from which pool first.
    pub room: Vec<(Pool, i64)>,
    /// What its channel may draw in all; none: as much as it likes.
    pub most: Option<i64>,
}

/// A resource with its buckets in their order, from the first to the last that can have supply.
#[derive(Debug)]
pub struct Shelf<'a> {
    pub spec: &'a ResourceSpec,
    pub place: usize,
    pub clock: &'a str,
    pub per_day: i32,
    pub slots: Vec<Slot>,
}

impl<'a> Shelf<'a> {
    pub fn new(case: &'a Case, place: usize, supply: &Supply, ask: &Ask, zone: &str) -> Self {
        let spec = &case.spec;
        let r = &spec.resources[place];
        let clock = &spec.sites.iter().find(|s| s.id == r.site).expect("a site of the network").time_zone;
        let per_day = r.bucket.as_ref().expect("a length of bucket").per_day();
        let mut shelf = Shelf { spec: r, place, clock, per_day, slots: Vec::new() };
        let today = day_of(clock, case.now);
        // "A receipt serves from its start for ever": those of the weekly pattern stay from the day on which it was applied.
        let first = match r.kind {
            Some(Kind::Stock) => day_of(clock, case.applied()).min(today),
            _ => today,
        };
        let days = first..today + horizon(r);
        let set = supply.keys().filter(|(id, _)| *id == r.id).map(|(_, index)| *index);
        let standing = [days.start * per_day, days.end * per_day];
        let all: Vec<i32> = set.chain(standing.into_iter().filter(|_| !r.weekly.is_empty())).collect();
        let (Some(first), Some(last)) = (all.iter().min(), all.iter().max()) else { return shelf };
        for index in *first..=*last {
            let (start, end) = (shelf.start(index), shelf.start(index + 1));
            let known = supply.get(&(r.id.clone(), index)).cloned().unwrap_or_default();
            let units = known.set.unwrap_or_else(|| shelf.standing(index, &days));
            let aside: i64 = known.pools.iter().map(|(_, left)| left).sum();
            let balance = units - known.drawn - aside;
            let offer = ask.offer.clone().map(Pool::Offer);
            let channel = ask.channel.clone().map(Pool::Channel);
            let own = offer.into_iter().chain(channel).map(|pool| {
                let left = known.pools.iter().filter(|(p, _)| *p == pool).map(|(_, left)| *left).sum();
                (pool, left)
            });
            let mut room: Vec<(Pool, i64)> = own.chain([(Pool::Common, balance)]).collect();
            if balance < 0 {
                room.clear();
            }
            let most = ask.channel.as_ref().and_then(|channel| known.most.iter().find(|(of, _)| **of == **channel));
            let most = most.map(|(_, units)| *units);
            if start < end {
                shelf.slots.push(Slot { index, start, end, zone_day: day_of(zone, start), units, room, most });
            }
        }
        shelf
    }

    fn start(&self, index: i32) -> Moment {
        let minute = index.rem_euclid(self.per_day) * (1440 / self.per_day);
        at(self.clock, index.div_euclid(self.per_day), minute)
    }

    /// The weekly pattern, for horizon_days days, nothing on a closed date.
    fn standing(&self, index: i32, days: &Range<i32>) -> i64 {
        let day = index.div_euclid(self.per_day);
        let minute = index.rem_euclid(self.per_day) * (1440 / self.per_day);
        if !days.contains(&day) || self.spec.closed.contains(&date_text(day)) {
            return 0;
        }
        let fits = |w: &&WeeklySpec| {
            (w.days.is_empty() || w.days.contains(&weekday(day)))
                && minute >= if w.from.is_empty() { 0 } else { minutes_of(&w.from) }
                && minute < if w.to.is_empty() { 1440 } else { minutes_of(&w.to) }
        };
        self.spec.weekly.iter().filter(fits).map(|w| w.units).sum()
    }
}

fn horizon(r: &ResourceSpec) -> i32 {
    if r.horizon_days == 0 { 90 } else { r.horizon_days }
}
