//! A small language for tests: worlds, asks and answers as text, one thing a line.

use std::sync::Arc;

use crate::domain::answer::Verdict;
use crate::domain::ask::{Ask, Destination, Line, Shipments, When};
use crate::domain::bucket::{BucketLevel, Bucketing};
use crate::domain::draw::{Pool, Take};
use crate::domain::levels::Levels;
use crate::domain::network::*;
use crate::domain::time::{Day, Moment, Span, TimeOfDay};
use crate::planner::{Detail, Planned, ResolvedAsk, quote, resolve};

pub struct World {
    pub network: Network,
    pub levels: Vec<Levels>,
}

pub fn moment(text: &str) -> Moment {
    let full = if text.len() == 17 { format!("{}:00Z", &text[..16]) } else { text.to_owned() };
    Moment::from_timestamp(full.parse().unwrap_or_else(|_| panic!("instant {text}")))
}

pub fn day(text: &str) -> Day {
    Day::parse(text).expect("a date")
}

fn days(text: &str) -> Vec<usize> {
    text.bytes().map(|b| usize::from(b - b'1')).collect()
}

fn span(text: &str) -> Span {
    let (number, unit) = text.split_at(text.len() - 1);
    let n: i64 = number.parse().expect("a number and a unit");
    match unit {
        "m" => Span::minutes(n),
        "h" => Span::hours(n),
        "d" => Span::days(n),
        _ => panic!("span {text}"),
    }
}

fn pair(text: &str) -> (i64, i64) {
    let (a, b) = text.split_once('+').expect("per_line+per_item");
    (a.parse().expect("units"), b.parse().expect("units"))
}

impl World {
    /// See the tests for the words; an instant is `2026-12-01T08:00Z`, days of the week are digits, 1 for Monday.
    pub fn parse(text: &str, now: Moment) -> World {
        let mut spec = NetworkSpec::default();
        let mut later: Vec<Vec<&str>> = Vec::new();
        for words in text.lines().map(|l| l.split('#').next().unwrap_or("").split_whitespace().collect::<Vec<_>>()) {
            let Some(&verb) = words.first() else { continue };
            let mut rest = words[1..].iter().copied();
            let mut next = || rest.next().unwrap_or_else(|| panic!("too few words: {words:?}")).to_owned();
            match verb {
                "site" => spec.sites.push(SiteSpec { id: next(), time_zone: next(), ..Default::default() }),
                "zone" => spec.zones.push(ZoneSpec { id: next(), time_zone: next(), ..Default::default() }),
                "channel" => spec.channels.push(ChannelSpec { id: next(), ..Default::default() }),
                "capacity" | "stock" => {
                    let mut r = ResourceSpec {
                        id: next(),
                        site: next(),
                        display_name: String::new(),
                        kind: Some(if verb == "stock" { Kind::Stock } else { Kind::Capacity }),
                        unit: String::new(),
                        bucket: Ok(Bucketing::DAYS),
                        weekly: Vec::new(),
                        closed: Vec::new(),
                        horizon_days: 0,
                    };
                    while let Some(word) = rest.next() {
                        let mut value =
                            || rest.next().unwrap_or_else(|| panic!("{word} of what? {words:?}")).to_owned();
                        match word {
                            "every" => r.bucket = Bucketing::of_minutes(span(&value()).0 / 60_000_000),
                            "weekly" => {
                                let mut w = WeeklySpec { days: days(&value()), ..Default::default() };
                                let mut units = value();
                                if let Some((from, to)) = units.clone().split_once('-') {
                                    (w.from, w.to) = (from.to_owned(), to.to_owned());
                                    units = value();
                                }
                                w.units = units.parse().expect("units");
                                r.weekly.push(w);
                            }
                            "closed" => r.closed.push(value()),
                            "horizon" => r.horizon_days = value().parse().expect("days"),
                            "unit" => r.unit = value(),
                            "name" => r.display_name = value().replace('_', " "),
                            _ => panic!("{word}? {words:?}"),
                        }
                    }
                    spec.resources.push(r);
                }
                "process" => {
                    let id = next();
                    let steps = rest.collect::<Vec<_>>();
                    let steps = steps.split(|w| *w == "|").map(step).collect();
                    spec.processes.push(ProcessSpec { id, steps });
                }
                "product" => {
                    let sku = next();
                    let mut product = ProductSpec { sku, ..Default::default() };
                    let rest: Vec<&str> = rest.collect();
                    for part in rest.split(|w| *w == "|") {
                        if part[0] == "or" {
                            product.substitutes.extend(part[1..].iter().map(|s| (*s).to_owned()));
                            continue;
                        }
                        let or_none = |w: &str| if w == "-" { String::new() } else { w.to_owned() };
                        product.sources.push(SourceSpec {
                            site: part[0].to_owned(),
                            stock: or_none(part[1]),
                            process: or_none(part[2]),
                        });
                    }
                    spec.products.push(product);
                }
                "lane" => spec.lanes.push(lane(&words[1..])),
                _ => later.push(words),
            }
        }
        let network = Network::build(spec, now).unwrap_or_else(|faults| panic!("{faults:?}"));
        let levels = vec![Levels::default(); network.resources().len()];
        let mut world = World { network, levels };
        for words in later {
            world.change(&words);
        }
        world
    }

    /// `supply R START UNITS...`, `drawn R START UNITS...`, `aside R START CHANNEL UNITS`.
    pub fn change(&mut self, words: &[&str]) {
        let at = self.network.find_resource(words[1]).unwrap_or_else(|| panic!("{words:?}"));
        let bucketing = self.network.resource(at).bucketing;
        let (date, time) = words[2].split_once('T').unwrap_or((words[2], "00:00"));
        let first = bucketing.named(day(date), TimeOfDay::parse(time).expect("a time")).expect("a bucket");
        let levels = &mut self.levels[at.at()];
        match words[0] {
            "aside" => {
                let mut level = levels.get(first).cloned().unwrap_or_default();
                let pool = level.pool_mut(&Pool::Channel(words[3].into()));
                (pool.set, pool.release_at) = (words[4].parse().expect("units"), Moment::MAX);
                levels.put(first, level);
            }
            verb => {
                for (i, units) in (0..).zip(&words[3..]) {
                    let units: i64 = units.parse().unwrap_or_else(|_| panic!("{words:?}"));
                    let mut level = levels.get(first + i).cloned().unwrap_or_default();
                    match verb {
                        "supply" => level.set = Some(units),
                        "drawn" => level.confirmed = units,
                        _ => panic!("{verb}?"),
                    }
                    levels.put(first + i, level);
                }
            }
        }
    }

    /// Takes what a plan takes, as the ledger would.
    pub fn take(&mut self, takes: &[Take]) {
        for Take { draw, standing } in takes {
            let at = self.network.find_resource(draw.resource.as_str()).expect("a resource");
            let mut level: BucketLevel = self.levels[at.at()].get(draw.index).cloned().unwrap_or_default();
            assert!(
                level.available(*standing, &draw.pool, Moment::MIN) >= draw.units,
                "{draw:?} is more than {level:?} has"
            );
            if draw.pool != Pool::Common {
                level.pool_mut(&draw.pool).used += draw.units;
            }
            level.held += draw.units;
            self.levels[at.at()].put(draw.index, level);
        }
    }

    /// `mug 3 + cup 2 to south by 2026-12-03 svc express as vip split`.
    pub fn ask(&self, text: &str) -> ResolvedAsk {
        resolve(&self.network, &ask(text), |_| false).unwrap_or_else(|unknown| panic!("{unknown:?}"))
    }

    pub fn quote(&self, text: &str, now: Moment) -> Planned {
        quote(&self.network, &self.levels[..], &self.ask(text), now, now, Detail::Full)
    }
}

fn step(words: &[&str]) -> StepSpec {
    let (per_line, per_item) = if words[0] == "-" { (0, 0) } else { pair(words[1]) };
    let mut step = StepSpec {
        resource: if words[0] == "-" { String::new() } else { words[0].to_owned() },
        per_line,
        per_item,
        divisible: false,
        cutoff: String::new(),
        lead_time: Ok(Span::ZERO),
        lead_days: 0,
    };
    let mut rest = words[if words[0] == "-" { 1 } else { 2 }..].iter();
    while let Some(&word) = rest.next() {
        let mut value = || *rest.next().expect("a value");
        match word {
            "divisible" => step.divisible = true,
            "cutoff" => step.cutoff = value().to_owned(),
            "lead" => step.lead_time = Ok(span(value())),
            "days" => step.lead_days = value().parse().expect("days"),
            _ => panic!("{word}?"),
        }
    }
    step
}

fn lane(words: &[&str]) -> LaneSpec {
    let mut lane = LaneSpec {
        id: words[0].to_owned(),
        site: words[1].to_owned(),
        zone: words[2].to_owned(),
        service: words[3].to_owned(),
        departure_days: Vec::new(),
        departure_time: String::new(),
        transit_days: 0,
        delivery_days: Vec::new(),
        holidays: Vec::new(),
        resource: String::new(),
        per_shipment: 0,
        per_item: 0,
        transit_time: Ok(None),
    };
    let mut rest = words[4..].iter();
    while let Some(&word) = rest.next() {
        let mut value = || *rest.next().expect("a value");
        match word {
            "departs" => lane.departure_days = days(value()),
            "at" => lane.departure_time = value().to_owned(),
            "days" => lane.transit_days = value().parse().expect("days"),
            "time" => lane.transit_time = Ok(Some(span(value()))),
            "delivers" => lane.delivery_days = days(value()),
            "holiday" => lane.holidays.push(value().to_owned()),
            "uses" => {
                lane.resource = value().to_owned();
                (lane.per_shipment, lane.per_item) = pair(value());
            }
            _ => panic!("{word}?"),
        }
    }
    lane
}

pub fn ask(text: &str) -> Ask {
    let mut words = text.split_whitespace();
    let mut lines = Vec::new();
    loop {
        let sku = Arc::from(words.next().expect("a sku"));
        lines.push(Line { sku, quantity: words.next().expect("a quantity").parse().expect("a quantity") });
        match words.next() {
            Some("+") => {}
            Some("to") => break,
            other => panic!("{other:?}?"),
        }
    }
    let destination = Destination::Zone(Arc::from(words.next().expect("a zone")));
    let mut ask = Ask {
        lines,
        destination,
        when: When::Any,
        service: None,
        channel: None,
        offer: None,
        shipments: Shipments::Together,
        min_confidence: None,
    };
    while let Some(word) = words.next() {
        if word == "split" {
            ask.shipments = Shipments::Split;
            continue;
        }
        let value = words.next().expect("a value");
        match word {
            "by" if value.contains('T') => ask.when = When::ByTime(moment(value)),
            "by" => ask.when = When::ByDate(day(value)),
            "on" => ask.when = When::OnDate(day(value)),
            "in" => {
                let (from, to) = value.split_once('/').expect("from/to");
                ask.when = When::InWindow { from: moment(from), to: moment(to) };
            }
            "svc" => ask.service = Some(Arc::from(value)),
            "as" => ask.channel = Some(Arc::from(value)),
            "redeems" => ask.offer = Some(Arc::from(value)),
            _ => panic!("{word}?"),
        }
    }
    ask
}

pub fn instant(at: Moment) -> String {
    let text = at.to_string();
    text.strip_suffix(":00Z").map_or(text.clone(), |minutes| format!("{minutes}Z"))
}

/// The answer's core as text: verdict, date and window's end, order_by; then shipments; then draws.
pub fn render(world: &World, planned: &Planned) -> String {
    let answer = &planned.answer;
    let verdict = match answer.verdict {
        Verdict::Promised => "yes",
        Verdict::Later => "later",
        Verdict::Unavailable => return "no".to_owned(),
    };
    let promise = answer.promise.as_ref().expect("a promise");
    let mut text = format!(
        "{verdict} {} {}..{} ships {} order by {}",
        promise.date,
        instant(promise.arrives_from),
        instant(promise.arrives_by),
        instant(promise.ships_at),
        instant(promise.order_by)
    );
    if promise.shipments.len() > 1 || promise.shipments[0].lines.len() > 1 {
        for s in &promise.shipments {
            let lines: Vec<String> = s.lines.iter().map(|l| format!("{} {}", l.sku, l.quantity)).collect();
            text += &format!("\n  {} {} {}: {}", s.site, s.lane, s.date, lines.join(", "));
        }
    }
    for Take { draw, .. } in &planned.takes {
        let bucketing = world.network.resource(world.network.find_resource(draw.resource.as_str()).unwrap()).bucketing;
        let when = if bucketing.is_days() {
            bucketing.day_of(draw.index).to_string()
        } else {
            format!("{}T{}", bucketing.day_of(draw.index), bucketing.time_of(draw.index))
        };
        text += &format!("\n  {} {when} {}", draw.resource, draw.units);
        if draw.pool != Pool::Common {
            text += &format!(" of {}", draw.pool);
        }
    }
    text
}

fn squeeze(text: &str) -> Vec<String> {
    text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|l| !l.is_empty()).collect()
}

/// Asks in a world at an instant and compares the whole answer.
#[track_caller]
pub fn check(world: &str, now: &str, ask: &str, expected: &str) {
    let now = moment(now);
    let world = World::parse(world, now);
    let seen = render(&world, &world.quote(ask, now));
    assert_eq!(squeeze(&seen), squeeze(expected), "\n{ask} at {}, seen:\n{seen}\n", instant(now));
}
