//! Small random cases that look for corners: short horizons, scarce buckets, changes of the clock, instants that are equal.

use std::sync::Arc;

use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::bucket::Bucketing;
use surety::domain::draw::Pool;
use surety::domain::network::{
    ChannelSpec, Kind, LaneSpec, NetworkSpec, ProcessSpec, ProductSpec, ResourceSpec, SiteSpec, SourceSpec, WeeklySpec,
    ZoneSpec,
};
use surety::domain::time::{Day, Moment, Span};

use crate::civil::{at, begin_of, date_text, day_of, day_of_text, minutes_of};
use crate::notation::{Case, plain_lane, plain_step};
use crate::oracle::{Bucket, Supply};

/// SplitMix64: enough for tests, the same everywhere and for ever.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5u64)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From the first to the last, both included.
    pub fn between(&mut self, first: i64, last: i64) -> i64 {
        first + (self.roll() % (last - first + 1) as u64) as i64
    }

    /// So many times of a hundred.
    pub fn percent(&mut self, n: i64) -> bool {
        self.between(1, 100) <= n
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.between(0, of.len() as i64 - 1) as usize]
    }

    /// Each with so many percent; never none.
    fn some<T: Clone>(&mut self, of: &[T], percent: i64) -> Vec<T> {
        let some: Vec<T> = of.iter().filter(|_| self.percent(percent)).cloned().collect();
        if some.is_empty() { vec![self.pick(of).clone()] } else { some }
    }
}

/// A time zone and a day near which something happens there.
const PLACES: [(&str, &str); 9] = [
    ("UTC", "2026-11-20"),
    ("Europe/Berlin", "2026-11-20"),
    ("Europe/Berlin", "2027-03-25"),
    ("Europe/Berlin", "2026-10-22"),
    ("America/Santiago", "2026-09-03"),
    ("America/Santiago", "2026-04-02"),
    ("Asia/Kolkata", "2026-12-23"),
    ("America/New_York", "2027-03-11"),
    ("America/New_York", "2026-10-29"),
];

const TIMES: [&str; 9] = ["00:00", "02:00", "02:30", "08:00", "10:00", "12:00", "14:00", "17:30", "23:45"];

pub fn case(seed: u64) -> Case {
    let mut d = Dice::new(seed);
    let d = &mut d;
    let (home, date) = *d.pick(&PLACES);
    let first = day_of_text(date);
    let abroad = d.percent(30);
    let place = |d: &mut Dice| if abroad && d.percent(50) { d.pick(&PLACES).0 } else { home };

    let mut spec = NetworkSpec::default();
    for i in 0..d.between(1, 3) {
        let time_zone = place(d).to_owned();
        spec.sites.push(SiteSpec { id: format!("s{i}"), time_zone, ..SiteSpec::default() });
    }
    for i in 0..d.between(1, 2) {
        let time_zone = place(d).to_owned();
        spec.zones.push(ZoneSpec { id: format!("z{i}"), time_zone, ..ZoneSpec::default() });
    }
    spec.channels = ["web", "vip"].map(|id| ChannelSpec { id: id.into(), ..ChannelSpec::default() }).to_vec();

    let today = first + d.between(0, 3) as i32;
    let mut supply = Supply::new();
    let scarce = *d.pick(&[2, 5, 10]);
    for i in 0..d.between(1, 4) {
        let site = d.pick(&spec.sites).id.clone();
        let r = resource(d, format!("c{i}"), site, Kind::Capacity, today, scarce, &mut supply);
        spec.resources.push(r);
    }
    let sites: Vec<String> = spec.sites.iter().map(|s| s.id.clone()).collect();
    for i in 0..d.between(1, 3) {
        let steps = (0..d.between(0, 3)).map(|_| step(d, &spec.resources)).collect();
        spec.processes.push(ProcessSpec { id: format!("p{i}"), steps });
    }
    for i in 0..d.between(1, 3) {
        let mut sources = Vec::new();
        for j in 0..d.between(1, 3) {
            let site = d.pick(&sites).clone();
            let mut source = SourceSpec { site, stock: String::new(), process: String::new() };
            if d.percent(75) {
                source.process = d.pick(&spec.processes).id.clone();
            }
            if source.process.is_empty() || d.percent(50) {
                source.stock = format!("k{i}.{j}");
                let r = resource(d, source.stock.clone(), source.site.clone(), Kind::Stock, today, scarce, &mut supply);
                spec.resources.push(r);
            }
            sources.push(source);
        }
        spec.products.push(ProductSpec { sku: format!("sku{i}"), sources, ..ProductSpec::default() });
    }
    for (i, zone) in spec.zones.clone().iter().enumerate() {
        for (j, site) in sites.iter().enumerate() {
            for k in 0..*d.pick(&[0, 1, 1, 2, 2]) {
                let lane = lane(d, format!("l{i}{j}{k}"), site, &zone.id, &spec.resources, today);
                spec.lanes.push(lane);
            }
        }
        if spec.lanes.iter().all(|l| l.zone != zone.id) {
            let site = d.pick(&sites).clone();
            let lane = lane(d, format!("l{i}x"), &site, &zone.id, &spec.resources, today);
            spec.lanes.push(lane);
        }
    }
    let now = now(d, home, today, &spec);
    let ask = ask(d, &spec, home, now, scarce);
    let mut applied = None;
    if d.percent(35) {
        // Standing receipts of days that are over.
        applied = Some(Moment(now.0 - d.between(0, 12 * 24) * 3_600_000_000));
        let stocks = spec.resources.iter_mut().filter(|r| r.kind == Some(Kind::Stock));
        for r in stocks.filter(|r| r.weekly.is_empty()) {
            if d.percent(40) {
                let (days, units) = (d.some(&[0, 1, 2, 3, 4, 5, 6], 30), d.between(0, scarce));
                r.weekly.push(WeeklySpec { days, units, ..WeeklySpec::default() });
            }
            if d.percent(20) {
                r.closed.push(date_text(today - d.between(0, 5) as i32));
            }
        }
    }
    Case { spec, supply, now, applied, ask }
}

fn resource(
    d: &mut Dice,
    id: String,
    site: String,
    kind: Kind,
    today: i32,
    scarce: i64,
    supply: &mut Supply,
) -> ResourceSpec {
    let minutes = match kind {
        Kind::Stock if d.percent(80) => 1440,
        _ => *d.pick(&[1440, 1440, 1440, 1440, 60, 30, 240, 120, 15]),
    };
    let bucket = Bucketing::of_minutes(minutes);
    let per_day = (1440 / minutes) as i32;
    let horizon = d.between(4, 11) as i32;
    let mut r = ResourceSpec {
        id,
        site,
        display_name: String::new(),
        kind: Some(kind),
        unit: String::new(),
        bucket,
        weekly: vec![],
        closed: vec![],
        horizon_days: horizon,
    };
    let short = per_day > 1;
    if kind == Kind::Capacity && d.percent(40) || kind == Kind::Stock && d.percent(10) {
        for _ in 0..d.between(1, 2) {
            let days = if d.percent(30) { vec![] } else { d.some(&[0, 1, 2, 3, 4, 5, 6], 60) };
            let (from, to) = match (short, d.between(0, 3)) {
                (false, _) | (_, 0) => ("", ""),
                (_, 1) => ("00:00", "04:00"),
                (_, 2) => ("08:00", "16:00"),
                _ => ("16:00", ""),
            };
            r.weekly.push(WeeklySpec { days, from: from.into(), to: to.into(), units: d.between(0, scarce * 2) });
        }
        if d.percent(30) {
            r.closed.push(date_text(today + d.between(0, 5) as i32));
        }
    }
    let chance = if r.weekly.is_empty() { 60 } else { 15 };
    // What lies before today is stock on hand, or capacity that is over.
    for day in today - 2..today + horizon {
        let (from, to) = *d.pick(&[(0, 4), (8, 12), (8, 18), (14, 16), (0, 24)]);
        for i in day * per_day..(day + 1) * per_day {
            let hour = i.rem_euclid(per_day) * 24 / per_day;
            if short && !(from..to).contains(&hour) || !d.percent(chance) {
                continue;
            }
            let mut bucket = Bucket { set: Some(d.between(0, scarce * 2)), ..Bucket::default() };
            if d.percent(15) {
                bucket.set = None;
            }
            if d.percent(20) {
                bucket.drawn = d.between(0, scarce);
            }
            for pool in ["channel/web", "channel/vip", "offer/bf"] {
                if d.percent(12) {
                    bucket.pools.push((Pool::parse(pool).expect("a pool"), d.between(0, scarce)));
                } else if d.percent(6) {
                    bucket.released.push((Pool::parse(pool).expect("a pool"), d.between(1, scarce)));
                }
            }
            for channel in ["web", "vip"] {
                if d.percent(8) {
                    bucket.most.push((channel.to_owned(), d.between(0, scarce)));
                }
            }
            supply.insert((r.id.clone(), i), bucket);
        }
    }
    r
}

fn step(d: &mut Dice, resources: &[ResourceSpec]) -> surety::domain::network::StepSpec {
    let mut step = plain_step();
    if d.percent(80) {
        let r = d.pick(resources);
        step.resource = r.id.clone();
        (step.per_line, step.per_item) = *d.pick(&[(0, 1), (1, 0), (1, 1), (2, 1), (0, 2), (3, 0), (0, 0)]);
        step.divisible = d.percent(45);
        if d.percent(50) {
            step.cutoff = (*d.pick(&TIMES)).into();
        }
    }
    if d.percent(45) {
        step.lead_time = Ok(Span::minutes(*d.pick(&[15, 60, 90, 240, 1440, 2000])));
    }
    if d.percent(25) {
        step.lead_days = d.between(1, 2) as i32;
    }
    step
}

fn lane(d: &mut Dice, id: String, site: &str, zone: &str, resources: &[ResourceSpec], today: i32) -> LaneSpec {
    let mut lane = plain_lane(&id, site, zone);
    lane.service = (*d.pick(&["std", "exp"])).into();
    let week = [0, 1, 2, 3, 4, 5, 6];
    if d.percent(50) {
        lane.departure_days = if d.percent(50) { vec![0, 1, 2, 3, 4] } else { d.some(&week, 60) };
    }
    if d.percent(60) {
        lane.departure_time = (*d.pick(&TIMES)).into();
    }
    if d.percent(50) {
        lane.delivery_days = if d.percent(50) { vec![0, 1, 2, 3, 4, 5] } else { d.some(&week, 60) };
    }
    if d.percent(30) {
        lane.holidays = (0..d.between(1, 2)).map(|_| date_text(today + d.between(0, 6) as i32)).collect();
    }
    let capacity: Vec<&ResourceSpec> = resources.iter().filter(|r| r.kind == Some(Kind::Capacity)).collect();
    let mut short = true;
    if d.percent(45) {
        let r = d.pick(&capacity);
        short = r.bucket.as_ref().is_ok_and(|b| !b.is_days());
        lane.resource = r.id.clone();
        (lane.per_shipment, lane.per_item) = *d.pick(&[(1, 0), (1, 1), (0, 1), (2, 1), (3, 0)]);
    }
    if short && d.percent(35) {
        lane.transit_time = Ok(Some(Span::minutes(*d.pick(&[0, 45, 180, 600, 2880]))));
    } else {
        lane.transit_days = d.between(0, 3) as i32;
    }
    lane
}

/// Often exactly a cutoff, a departure or a day's beginning, or just beside.
fn now(d: &mut Dice, home: &str, today: i32, spec: &NetworkSpec) -> Moment {
    let mut times: Vec<(String, i32)> = TIMES.iter().map(|t| (home.to_owned(), minutes_of(t))).collect();
    for step in spec.processes.iter().flat_map(|p| &p.steps).filter(|s| !s.cutoff.is_empty()) {
        times.push((home.to_owned(), minutes_of(&step.cutoff)));
    }
    for lane in spec.lanes.iter().filter(|l| !l.departure_time.is_empty()) {
        let site = spec.sites.iter().find(|s| s.id == lane.site).expect("a site of the network");
        times.push((site.time_zone.clone(), minutes_of(&lane.departure_time)));
    }
    let (zone, minute) = d.pick(&times).clone();
    let exact = at(&zone, today, minute);
    Moment(exact.0 + *d.pick(&[0, 0, 0, 1_000_000, -7_000_000, 37 * 60_000_000, 3 * 3_600_000_000]))
}

fn ask(d: &mut Dice, spec: &NetworkSpec, home: &str, now: Moment, scarce: i64) -> Ask {
    let zone = d.pick(&spec.zones).clone();
    let lines = (0..*d.pick(&[1, 1, 1, 2, 2, 3]))
        .map(|_| Line { sku: d.pick(&spec.products).sku.as_str().into(), quantity: d.between(1, scarce) as i32 })
        .collect();
    let day = Day(day_of(&zone.time_zone, now) + d.between(-1, 8) as i32);
    let soon = begin_of(home, day.0);
    let when = match d.between(0, 9) {
        0 | 1 => When::Any,
        2 | 3 => When::ByDate(day),
        4 => When::ByTime(Moment(soon.0 + d.between(0, 24) * 3_600_000_000)),
        5..=7 => When::OnDate(day),
        _ => {
            let from = Moment(soon.0 + d.between(0, 20) * 3_600_000_000);
            When::InWindow { from, to: Moment(from.0 + *d.pick(&[1, 2, 4, 12, 24, 48]) * 3_600_000_000) }
        }
    };
    let maybe = |d: &mut Dice, percent: i64, of: &[&str]| -> Option<Arc<str>> {
        d.percent(percent).then(|| Arc::from(*d.pick(of)))
    };
    Ask {
        lines,
        destination: Destination::Zone(zone.id.as_str().into()),
        when,
        service: maybe(d, 20, &["std", "exp"]),
        channel: maybe(d, 45, &["web", "vip"]),
        offer: maybe(d, 30, &["bf", "over"]),
        shipments: if d.percent(35) { Shipments::Split } else { Shipments::Together },
        min_confidence: None,
    }
}
