//! Offers (rules 25 and 27): the check against orders that the oracle plays one by one. `SURETY_SEED` is the first seed,
//! `SURETY_OFFER_CASES` how many follow.

use std::collections::BTreeMap;

use surety::domain::answer::Verdict;
use surety::domain::ask::{Ask, Shipments, When};
use surety::domain::draw::Pool;
use surety::domain::network::{Kind, ResourceSpec};
use surety::domain::offer::{Advertised, Expected, Offer, ZoneShare};
use surety::domain::time::Day;
use surety::planner::{self, Checked, Supposed};

use crate::civil::{begin_of, date_text, day_of, weekday};
use crate::compare::built;
use crate::dates::use_up;
use crate::generate::{self, Dice};
use crate::notation::{Case, bucket_name};
use crate::oracle::{Oracle, Supply, Taken};
use crate::shrink::shrink;

/// What an offer has that a case has not. Its lines, service and channel are those of the case's ask, its zones all there are.
#[derive(Clone, Debug)]
struct Terms {
    starts: i32,
    ends: i32,
    shares: [u32; 2],
    advertised: Advertised,
    orders: Expected,
    /// Resource, first bucket, buckets, units.
    supposed: Vec<(String, i32, i32, i64)>,
}

fn terms(d: &mut Dice, case: &Case) -> Terms {
    let today = day_of(&case.spec.zones[0].time_zone, case.now);
    let starts = today + d.between(-1, 2) as i32;
    let days = d.between(1, 4) as i32;
    let orders = if d.percent(70) {
        Expected::EachDay((0..days).map(|_| *d.pick(&[0, 1, 2, 3, 5, 9])).collect())
    } else {
        Expected::Total(d.between(0, 14))
    };
    let advertised = match d.between(0, 3) {
        0 => Advertised::By(Day(starts + d.between(0, 8) as i32)),
        _ => Advertised::WithinDays(d.between(0, 6) as i32),
    };
    let one = *d.pick(&[500_000_000, 250_000_000, 1_000_000_000, 333_333_333]);
    let supposed = if d.percent(30) {
        let r = d.pick(&case.spec.resources).clone();
        let per_day = r.bucket.as_ref().expect("a length").per_day();
        vec![(r.id, (today + d.between(0, 2) as i32) * per_day, per_day * 2, d.between(-3, 6))]
    } else {
        Vec::new()
    };
    Terms { starts, ends: starts + days - 1, shares: [one, 1_000_000_000 - one], advertised, orders, supposed }
}

fn offer(case: &Case, terms: &Terms) -> Offer {
    let zones = case.spec.zones.iter().zip(terms.shares).filter(|(_, share)| *share > 0);
    Offer {
        id: "o".into(),
        display_name: "".into(),
        lines: case.ask.lines.clone(),
        zones: zones.map(|(z, billionths)| ZoneShare { zone: z.id.as_str().into(), billionths }).collect(),
        service: case.ask.service.clone(),
        channel: case.ask.channel.clone(),
        starts: Day(terms.starts),
        ends: Day(terms.ends),
        advertised: terms.advertised,
        orders: terms.orders.clone(),
    }
}

fn standing(case: &Case, r: &ResourceSpec, index: i32) -> i64 {
    let per_day = r.bucket.as_ref().expect("a length").per_day();
    let clock = &case.spec.sites.iter().find(|s| s.id == r.site).expect("a site").time_zone;
    let (day, minute) = (index.div_euclid(per_day), index.rem_euclid(per_day) * 1440 / per_day);
    let first = day_of(clock, case.applied()).min(day_of(clock, case.now));
    let first = if r.kind == Some(Kind::Stock) { first } else { day_of(clock, case.now) };
    let horizon = if r.horizon_days == 0 { 90 } else { r.horizon_days };
    if !(first..day_of(clock, case.now) + horizon).contains(&day) || r.closed.contains(&date_text(day)) {
        return 0;
    }
    let minutes = |text: &str, none| if text.is_empty() { none } else { crate::civil::minutes_of(text) };
    let fits = r.weekly.iter().filter(|w| {
        (w.days.is_empty() || w.days.contains(&weekday(day)))
            && (minutes(&w.from, 0)..minutes(&w.to, 1440)).contains(&minute)
    });
    fits.map(|w| w.units).sum()
}

fn supposing(case: &Case, terms: &Terms) -> Supply {
    let mut supply = case.supply.clone();
    for (id, first, buckets, delta) in &terms.supposed {
        let Some(r) = case.spec.resources.iter().find(|r| r.id == *id) else { continue };
        for index in *first..first + buckets {
            let bucket = supply.entry((id.clone(), index)).or_default();
            bucket.set = Some((bucket.set.unwrap_or_else(|| standing(case, r, index)) + delta).max(0));
        }
    }
    supply
}

/// One day as the oracle plays it.
#[derive(Clone, Debug, PartialEq)]
struct Day1 {
    asked: i64,
    deliverable: i64,
    last: Option<i32>,
}

/// The orders of each day over the zones, worked out by handing them out one at a time to the zone furthest behind its share.
fn shared(orders: i64, shares: &[ZoneShare]) -> Vec<i64> {
    let whole: i128 = shares.iter().map(|s| i128::from(s.billionths)).sum();
    let mut given: Vec<i64> =
        shares.iter().map(|s| (i128::from(orders) * i128::from(s.billionths) / whole) as i64).collect();
    while given.iter().sum::<i64>() < orders {
        let behind = |i: usize| i128::from(orders) * i128::from(shares[i].billionths) - i128::from(given[i]) * whole;
        let most = (0..shares.len()).map(behind).max().expect("a zone");
        let at = (0..shares.len()).find(|&i| behind(i) == most).expect("a zone");
        given[at] += 1;
    }
    given
}

/// Rule 25, word by word. Until the first no, or to the end.
fn played(case: &Case, offer: &Offer, supply: &Supply, percent: i64, stop: bool) -> (BTreeMap<i32, Day1>, Taken, bool) {
    let (mut supply, mut taken, mut all) = (supply.clone(), Taken::new(), true);
    let mut days: BTreeMap<i32, Day1> = BTreeMap::new();
    for (day, orders) in (offer.starts.0..).zip(offer.orders_by_day()) {
        let orders = (orders * percent + 99) / 100;
        for (share, orders) in offer.zones.iter().zip(shared(orders, &offer.zones)) {
            let zone = case.spec.zones.iter().find(|z| *z.id == *share.zone).expect("a zone");
            let today = day_of(&zone.time_zone, case.now);
            if day < today {
                continue;
            }
            let entry = days.entry(day).or_insert(Day1 { asked: 0, deliverable: 0, last: Some(i32::MIN) });
            let by = match offer.advertised {
                Advertised::WithinDays(n) => Day(day + n),
                Advertised::By(by) => by,
            };
            let ask = Ask {
                lines: offer.lines.clone(),
                destination: surety::domain::ask::Destination::Zone(share.zone.clone()),
                when: When::ByDate(by),
                service: offer.service.clone(),
                channel: offer.channel.clone(),
                offer: None,
                shipments: Shipments::Together,
                min_confidence: None,
            };
            for _ in 0..orders {
                let now = if day == today { case.now } else { begin_of(&zone.time_zone, day) };
                let (verdict, date, takes) = Oracle::new(case, &supply, &ask).asked_at(now).order();
                entry.asked += 1;
                entry.last = entry.last.zip(date).map(|(a, b)| a.max(b));
                if verdict == Verdict::Promised {
                    entry.deliverable += 1;
                    use_up(&mut supply, &takes, offer.channel.as_deref());
                    for (of, units) in takes {
                        *taken.entry(of).or_default() += units;
                    }
                } else if stop {
                    return (days, taken, false);
                } else {
                    all = false;
                }
            }
        }
    }
    (days, taken, all)
}

fn facts_expected(case: &Case, offer: &Offer, supply: &Supply) -> Vec<String> {
    let (days, taken, all) = played(case, offer, supply, 100, false);
    let asked: i64 = days.values().map(|d| d.asked).sum();
    let kept: i64 = days.values().map(|d| d.deliverable).sum();
    let verdict = if all {
        Verdict::Promised
    } else if kept == 0 {
        Verdict::Unavailable
    } else {
        Verdict::Later
    };
    let mut facts = vec![format!("{verdict:?} {kept} of {asked}")];
    for (day, d) in &days {
        let last = d.last.filter(|last| *last > i32::MIN).map_or("-".to_owned(), date_text);
        facts.push(format!("day {} {} of {} last {last}", date_text(*day), d.deliverable, d.asked));
    }
    for ((resource, index, pool), units) in &taken {
        if *pool == Pool::Common {
            facts.push(format!("take {resource} {} {units}", bucket_name(&case.spec, resource, *index)));
        }
    }
    // Rule 27: from 0 up, and by doubling and halving.
    let within = |n| Offer { advertised: Advertised::WithinDays(n), ..offer.clone() };
    let tightest = (0..=30).find(|n| played(case, &within(*n), supply, 100, true).2);
    facts.push(format!("tightest {tightest:?}"));
    let keeps = |percent| played(case, offer, supply, percent, true).2;
    let (mut low, mut high) = (0, 100);
    if asked > 0 {
        if all {
            while low < high && high < 3_000 {
                (low, high) = (high, high * 2);
                if !keeps(high) {
                    break;
                }
            }
        }
        while high - low > 1 && low < 1_600 {
            let middle = low + (high - low) / 2;
            if keeps(middle) { low = middle } else { high = middle }
        }
        facts.push(format!("percent {}", low.min(1_600)));
    }
    facts
}

fn facts_seen(case: &Case, checked: &Checked) -> Vec<String> {
    let report = &checked.report;
    assert_eq!(checked.orders, report.orders_deliverable);
    let mut facts = vec![format!("{:?} {} of {}", report.verdict, report.orders_deliverable, report.orders_asked)];
    for d in &report.days {
        let last = d.last_arrival.map_or("-".to_owned(), |d| date_text(d.0));
        facts.push(format!("day {} {} of {} last {last}", d.date, d.deliverable, d.asked));
    }
    for take in &checked.envelope {
        let draw = &take.draw;
        assert_eq!(draw.pool, Pool::Common);
        let name = bucket_name(&case.spec, draw.resource.as_str(), draw.index);
        facts.push(format!("take {} {name} {}", draw.resource, draw.units));
    }
    facts.push(format!("tightest {:?}", report.tightest_within_days));
    if report.orders_asked > 0 {
        facts.push(format!("percent {}", report.deliverable_percent.min(1_600)));
    }
    facts
}

fn difference(case: &Case, terms: &Terms) -> Option<String> {
    let (network, levels) = built(case).expect("a network without faults");
    let offer = offer(case, terms);
    let supply = supposing(case, terms);
    let supposed: Vec<Supposed> = terms
        .supposed
        .iter()
        .filter_map(|(id, first, buckets, delta)| {
            let resource = network.find_resource(id)?;
            Some(Supposed { resource, first: *first, buckets: *buckets, delta: *delta })
        })
        .collect();
    let checked = planner::check_offer(&network, levels.as_slice(), &offer, &supposed, case.now).expect("known names");
    let mut expected = facts_expected(case, &offer, &supply);
    let mut seen = facts_seen(case, &checked);
    expected.sort();
    seen.sort();
    if expected == seen {
        return None;
    }
    let mut text = format!("{terms:?}\n");
    for line in expected.iter().filter(|l| !seen.contains(l)) {
        text += &format!("  oracle   {line}\n");
    }
    for line in seen.iter().filter(|l| !expected.contains(l)) {
        text += &format!("  planner  {line}\n");
    }
    Some(text)
}

fn run(share: u64, shares: u64) {
    let number = |name: &str, default| std::env::var(name).ok().map_or(default, |n| n.parse().expect("a number"));
    let (first, cases): (u64, u64) = (number("SURETY_SEED", 0), number("SURETY_OFFER_CASES", 60));
    let keep_going = std::env::var("SURETY_KEEP_GOING").is_ok();
    let mut found = Vec::new();
    for seed in (first..first + cases).filter(|seed| seed % shares == share) {
        let case = generate::case(seed);
        let terms = terms(&mut Dice::new(seed ^ 0x0ffe), &case);
        if difference(&case, &terms).is_some() {
            let (small, text) = shrink(case, |case| difference(case, &terms));
            println!("--- SURETY_SEED={seed} SURETY_OFFER_CASES=1\n{small}{text}");
            found.push(seed);
            if !keep_going {
                break;
            }
        }
    }
    assert!(found.is_empty(), "the check and the orders played one by one differ on the seeds {found:?}");
}

#[test]
fn rules_25_and_27_a_check_equals_orders_played_one_by_one_on_even_seeds() {
    run(0, 2);
}

#[test]
fn rules_25_and_27_a_check_equals_orders_played_one_by_one_on_odd_seeds() {
    run(1, 2);
}
