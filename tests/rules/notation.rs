//! Cases as text: a network, what is known of its buckets, and an ask, one thing a line. Both ways, so that a difference
//! that a random case shows can be pasted into a test.
//!
//! ```text
//! now 2026-11-23T09:00Z
//! applied 2026-11-20T09:00Z
//! site lej Europe/Berlin
//! zone de Europe/Berlin
//! capacity pack lej every 30 horizon 10 closed 2026-11-26
//! stock mug.stock lej
//! weekly pack days mon,tue from 08:00 to 16:00 units 20
//! supply pack 2026-11-23T10:00 set 5 drawn 2 pool channel/vip 3 released offer/bf 2 most web 4
//! step work pack line 5 item 2 divisible cutoff 14:00 lead 120 days 1
//! step work - lead 60
//! source mug lej stock mug.stock process work
//! lane dhl lej de service std departs mon,tue at 17:30 transit 1 delivers mon,tue holidays 2026-12-25 draws van 1 2 takes 90
//! ask de by 2026-11-24 service std channel web offer bf split
//! line mug 2
//! ```
//! Weekdays are three letters; `lead` and `takes` (transit_time) are minutes; `draws` names resource, per_shipment and per_item.
//! Zones are made by `zone`, and instants are UTC.

use std::fmt::Write;
use std::sync::Arc;

use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::bucket::Bucketing;
use surety::domain::draw::Pool;
use surety::domain::network::{
    ChannelSpec, Kind, LaneSpec, NetworkSpec, ProcessSpec, ProductSpec, ResourceSpec, SiteSpec, SourceSpec, StepSpec,
    WeeklySpec, ZoneSpec,
};
use surety::domain::time::{Day, MINUTE, Moment, Span};

use crate::civil::{date_text, day_of_text, minutes_of};
use crate::oracle::{Bucket, Supply};

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// All that a question needs.
#[derive(Clone, Debug)]
pub struct Case {
    pub spec: NetworkSpec,
    pub supply: Supply,
    pub now: Moment,
    /// When the network was applied; none: now.
    pub applied: Option<Moment>,
    pub ask: Ask,
}

/// A step without anything.
pub fn plain_step() -> StepSpec {
    StepSpec {
        resource: String::new(),
        per_line: 0,
        per_item: 0,
        divisible: false,
        cutoff: String::new(),
        lead_time: Ok(Span::ZERO),
        lead_days: 0,
    }
}

/// A lane that leaves at once on any day and arrives the same day.
pub fn plain_lane(id: &str, site: &str, zone: &str) -> LaneSpec {
    LaneSpec {
        id: id.into(),
        site: site.into(),
        zone: zone.into(),
        service: String::new(),
        departure_days: vec![],
        departure_time: String::new(),
        transit_days: 0,
        delivery_days: vec![],
        holidays: vec![],
        resource: String::new(),
        per_shipment: 0,
        per_item: 0,
        transit_time: Ok(None),
    }
}

struct Words<'a>(std::vec::IntoIter<&'a str>);

impl<'a> Words<'a> {
    fn opt(&mut self) -> Option<&'a str> {
        self.0.next()
    }
    fn next(&mut self) -> &'a str {
        self.0.next().expect("another word on the line")
    }
    fn number<N: std::str::FromStr>(&mut self) -> N {
        let word = self.next();
        word.parse().unwrap_or_else(|_| panic!("'{word}' is not a number"))
    }
    fn moment(&mut self) -> Moment {
        moment(self.next())
    }
    fn days(&mut self) -> Vec<usize> {
        let known = |d: &str| WEEKDAYS.iter().position(|w| *w == d).unwrap_or_else(|| panic!("'{d}' is no weekday"));
        self.next().split(',').map(known).collect()
    }
    fn list(&mut self) -> Vec<String> {
        self.next().split(',').map(str::to_owned).collect()
    }
}

/// `2026-11-23T09:00Z`.
pub fn moment(text: &str) -> Moment {
    let text = match text.len() {
        17 => format!("{}:00Z", &text[..16]),
        _ => text.to_owned(),
    };
    Moment::from_timestamp(text.parse().unwrap_or_else(|e| panic!("'{text}': {e}")))
}

impl Case {
    /// When the network was applied.
    pub fn applied(&self) -> Moment {
        self.applied.unwrap_or(self.now)
    }

    pub fn parse(text: &str) -> Case {
        let when = When::Any;
        let destination = Destination::Zone(Arc::from(""));
        let (lines, shipments) = (vec![], Shipments::Together);
        let ask = Ask {
            lines,
            destination,
            when,
            service: None,
            channel: None,
            offer: None,
            shipments,
            min_confidence: None,
        };
        let mut case = Case { spec: NetworkSpec::default(), supply: Supply::new(), now: Moment(0), applied: None, ask };
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            case.read(Words(line.split_whitespace().collect::<Vec<_>>().into_iter()), line);
        }
        case
    }

    fn read(&mut self, mut w: Words<'_>, line: &str) {
        let unknown = |word: &str| -> ! { panic!("'{word}' is not understood in '{line}'") };
        match w.next() {
            "now" => self.now = w.moment(),
            "applied" => self.applied = Some(w.moment()),
            "site" => self.spec.sites.push(SiteSpec {
                id: w.next().into(),
                time_zone: w.next().into(),
                ..SiteSpec::default()
            }),
            "zone" => self.spec.zones.push(ZoneSpec {
                id: w.next().into(),
                time_zone: w.next().into(),
                ..ZoneSpec::default()
            }),
            "channel" => self.spec.channels.push(ChannelSpec { id: w.next().into(), ..ChannelSpec::default() }),
            kind @ ("capacity" | "stock") => {
                let mut r = ResourceSpec {
                    id: w.next().into(),
                    site: w.next().into(),
                    display_name: String::new(),
                    kind: Some(if kind == "stock" { Kind::Stock } else { Kind::Capacity }),
                    unit: String::new(),
                    bucket: Ok(Bucketing::DAYS),
                    weekly: vec![],
                    closed: vec![],
                    horizon_days: 0,
                };
                while let Some(word) = w.opt() {
                    match word {
                        "every" => r.bucket = Bucketing::of_minutes(w.number()),
                        "horizon" => r.horizon_days = w.number(),
                        "closed" => r.closed = w.list(),
                        other => unknown(other),
                    }
                }
                self.spec.resources.push(r);
            }
            "weekly" => {
                let id = w.next();
                let mut weekly = WeeklySpec::default();
                while let Some(word) = w.opt() {
                    match word {
                        "days" => weekly.days = w.days(),
                        "from" => weekly.from = w.next().into(),
                        "to" => weekly.to = w.next().into(),
                        "units" => weekly.units = w.number(),
                        other => unknown(other),
                    }
                }
                self.spec.resources.iter_mut().find(|r| r.id == id).expect("a resource above").weekly.push(weekly);
            }
            "supply" => {
                let id = w.next();
                let per_day = self
                    .spec
                    .resources
                    .iter()
                    .find(|r| r.id == id)
                    .expect("a resource above")
                    .bucket
                    .as_ref()
                    .expect("a length")
                    .per_day();
                let begins = w.next();
                let (date, time) = begins.split_once('T').unwrap_or((begins, "00:00"));
                let index = day_of_text(date) * per_day + minutes_of(time) * per_day / 1440;
                let bucket: &mut Bucket = self.supply.entry((id.to_owned(), index)).or_default();
                while let Some(word) = w.opt() {
                    match word {
                        "set" => bucket.set = Some(w.number()),
                        "drawn" => bucket.drawn = w.number(),
                        "pool" => bucket.pools.push((Pool::parse(w.next()).expect("a pool"), w.number())),
                        "released" => bucket.released.push((Pool::parse(w.next()).expect("a pool"), w.number())),
                        "most" => bucket.most.push((w.next().to_owned(), w.number())),
                        other => bucket.set = Some(other.parse().unwrap_or_else(|_| unknown(other))),
                    }
                }
            }
            "step" => {
                let id = w.next();
                let mut step = plain_step();
                step.resource = w.next().trim_matches('-').into();
                while let Some(word) = w.opt() {
                    match word {
                        "line" => step.per_line = w.number(),
                        "item" => step.per_item = w.number(),
                        "divisible" => step.divisible = true,
                        "cutoff" => step.cutoff = w.next().into(),
                        "lead" => step.lead_time = Ok(Span::minutes(w.number())),
                        "days" => step.lead_days = w.number(),
                        other => unknown(other),
                    }
                }
                match self.spec.processes.iter_mut().find(|p| p.id == id) {
                    Some(process) => process.steps.push(step),
                    None => self.spec.processes.push(ProcessSpec { id: id.into(), steps: vec![step] }),
                }
            }
            "source" => {
                let sku = w.next();
                let mut source = SourceSpec { site: w.next().into(), ..SourceSpec::default() };
                while let Some(word) = w.opt() {
                    match word {
                        "stock" => source.stock = w.next().into(),
                        "process" => source.process = w.next().into(),
                        other => unknown(other),
                    }
                }
                match self.spec.products.iter_mut().find(|p| p.sku == sku) {
                    Some(product) => product.sources.push(source),
                    None => {
                        let sources = vec![source];
                        self.spec.products.push(ProductSpec { sku: sku.into(), sources, ..ProductSpec::default() });
                    }
                }
            }
            "lane" => {
                let mut lane = plain_lane(w.next(), w.next(), w.next());
                while let Some(word) = w.opt() {
                    match word {
                        "service" => lane.service = w.next().into(),
                        "departs" => lane.departure_days = w.days(),
                        "at" => lane.departure_time = w.next().into(),
                        "transit" => lane.transit_days = w.number(),
                        "delivers" => lane.delivery_days = w.days(),
                        "holidays" => lane.holidays = w.list(),
                        "draws" => {
                            (lane.resource, lane.per_shipment, lane.per_item) =
                                (w.next().into(), w.number(), w.number())
                        }
                        "takes" => lane.transit_time = Ok(Some(Span::minutes(w.number()))),
                        other => unknown(other),
                    }
                }
                self.spec.lanes.push(lane);
            }
            "ask" => {
                self.ask.destination = Destination::Zone(w.next().into());
                while let Some(word) = w.opt() {
                    match word {
                        "by" => {
                            let y = w.next();
                            self.ask.when = if y.len() == 10 { When::ByDate(day(y)) } else { When::ByTime(moment(y)) };
                        }
                        "on" => self.ask.when = When::OnDate(day(w.next())),
                        "in" => self.ask.when = When::InWindow { from: w.moment(), to: w.moment() },
                        "service" => self.ask.service = Some(w.next().into()),
                        "channel" => self.ask.channel = Some(w.next().into()),
                        "offer" => self.ask.offer = Some(w.next().into()),
                        "split" => self.ask.shipments = Shipments::Split,
                        other => unknown(other),
                    }
                }
            }
            "line" => self.ask.lines.push(Line { sku: w.next().into(), quantity: w.number() }),
            other => unknown(other),
        }
    }
}

fn day(text: &str) -> Day {
    Day(day_of_text(text))
}

/// The name of a bucket: its day, and its time where it is shorter.
pub fn bucket_name(spec: &NetworkSpec, resource: &str, index: i32) -> String {
    let r = spec.resources.iter().find(|r| r.id == resource).expect("a resource of the network");
    let per_day = r.bucket.as_ref().expect("a length").per_day();
    let (day, minute) = (date_text(index.div_euclid(per_day)), index.rem_euclid(per_day) * 1440 / per_day);
    if per_day == 1 { day } else { format!("{day}T{:02}:{:02}", minute / 60, minute % 60) }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl Case {
    fn text(&self) -> String {
        let mut t = String::new();
        let spec = &self.spec;
        let days = |word: &str, days: &[usize]| match days {
            [] => String::new(),
            some => format!(" {word} {}", some.iter().map(|&d| WEEKDAYS[d]).collect::<Vec<_>>().join(",")),
        };
        let word = |word: &str, text: &str| if text.is_empty() { String::new() } else { format!(" {word} {text}") };
        let number = |word: &str, n: i64| if n == 0 { String::new() } else { format!(" {word} {n}") };
        let minutes = |span: &Span| span.0 / MINUTE;
        let _ = writeln!(t, "now {}", self.now);
        if let Some(applied) = self.applied {
            let _ = writeln!(t, "applied {applied}");
        }
        for s in &spec.sites {
            let _ = writeln!(t, "site {} {}", s.id, s.time_zone);
        }
        for z in &spec.zones {
            let _ = writeln!(t, "zone {} {}", z.id, z.time_zone);
        }
        for c in &spec.channels {
            let _ = writeln!(t, "channel {}", c.id);
        }
        for r in &spec.resources {
            let kind = if r.kind == Some(Kind::Stock) { "stock" } else { "capacity" };
            let every = match r.bucket.as_ref().map_or(1440, |b| b.minutes()) {
                1440 => 0,
                short => i64::from(short),
            };
            let (every, horizon) = (number("every", every), number("horizon", r.horizon_days.into()));
            let _ = writeln!(t, "{kind} {} {}{every}{horizon}{}", r.id, r.site, word("closed", &r.closed.join(",")));
            for w in &r.weekly {
                let times = word("from", &w.from) + &word("to", &w.to);
                let _ = writeln!(t, "weekly {}{}{times} units {}", r.id, days("days", &w.days), w.units);
            }
        }
        for ((id, index), b) in &self.supply {
            let set = b.set.map_or(String::new(), |n| format!(" set {n}"));
            let mut pools: String = b.pools.iter().map(|(p, n)| format!(" pool {p} {n}")).collect();
            pools.extend(b.released.iter().map(|(p, n)| format!(" released {p} {n}")));
            pools.extend(b.most.iter().map(|(channel, n)| format!(" most {channel} {n}")));
            let _ =
                writeln!(t, "supply {id} {}{set}{}{pools}", bucket_name(spec, id, *index), number("drawn", b.drawn));
        }
        for p in &spec.processes {
            for s in &p.steps {
                let resource = if s.resource.is_empty() { "-" } else { &s.resource };
                let draw = number("line", s.per_line) + &number("item", s.per_item);
                let how = word("cutoff", &s.cutoff) + if s.divisible { " divisible" } else { "" };
                let lead =
                    number("lead", s.lead_time.as_ref().map_or(0, minutes)) + &number("days", s.lead_days.into());
                let _ = writeln!(t, "step {} {resource}{draw}{how}{lead}", p.id);
            }
        }
        for p in &spec.products {
            for s in &p.sources {
                let _ = writeln!(
                    t,
                    "source {} {}{}{}",
                    p.sku,
                    s.site,
                    word("stock", &s.stock),
                    word("process", &s.process)
                );
            }
        }
        for l in &spec.lanes {
            let _ = write!(
                t,
                "lane {} {} {}{}{}",
                l.id,
                l.site,
                l.zone,
                word("service", &l.service),
                days("departs", &l.departure_days)
            );
            let _ = write!(t, "{}{}", word("at", &l.departure_time), number("transit", l.transit_days.into()));
            let _ = write!(t, "{}{}", days("delivers", &l.delivery_days), word("holidays", &l.holidays.join(",")));
            if !l.resource.is_empty() {
                let _ = write!(t, " draws {} {} {}", l.resource, l.per_shipment, l.per_item);
            }
            if let Ok(Some(span)) = &l.transit_time {
                let _ = write!(t, " takes {}", minutes(span));
            }
            let _ = writeln!(t);
        }
        let Destination::Zone(zone) = &self.ask.destination else { panic!("cases name zones") };
        let when = match self.ask.when {
            When::Any => String::new(),
            When::ByDate(y) => format!(" by {y}"),
            When::ByTime(y) => format!(" by {y}"),
            When::OnDate(y) => format!(" on {y}"),
            When::InWindow { from, to } => format!(" in {from} {to}"),
        };
        let optional = |w: &str, text: &Option<Arc<str>>| word(w, text.as_deref().unwrap_or(""));
        let _ = write!(t, "ask {zone}{when}{}", optional("service", &self.ask.service));
        let _ = write!(t, "{}{}", optional("channel", &self.ask.channel), optional("offer", &self.ask.offer));
        let _ = writeln!(t, "{}", if self.ask.shipments == Shipments::Split { " split" } else { "" });
        for line in &self.ask.lines {
            let _ = writeln!(t, "line {} {}", line.sku, line.quantity);
        }
        t
    }
}
