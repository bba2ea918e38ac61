//! The dates of a date picker: `remaining` counts orders like this one, planned one after another, each taking its draws.

use surety::domain::ask::{Ask, Shipments, When};
use surety::domain::draw::Pool;
use surety::domain::kept::KeptRecord;
use surety::domain::network::NetworkSpec;
use surety::domain::time::{Day, Moment};
use surety::planner;

use crate::civil::{date_text, day_of};
use crate::compare::built;
use crate::generate;
use crate::notation::Case;
use crate::oracle::{Oracle, Promised, Supply, Taken};
use crate::shrink::shrink;

/// Counted up to here; more is as good as any number.
const MANY: i64 = 25;

/// One entry as text.
fn entry(date: i32, service: &str, from: Moment, by: Moment, order_by: Moment, remaining: i64) -> String {
    format!("{} {from} {by} {service} order_by {order_by} remaining {}", date_text(date), remaining.min(MANY))
}

/// Draws what an order of the channel takes.
pub fn use_up(supply: &mut Supply, taken: &Taken, channel: Option<&str>) {
    for ((resource, index, pool), units) in taken {
        let bucket = supply.entry((resource.clone(), *index)).or_default();
        bucket.drawn += units;
        for (_, most) in bucket.most.iter_mut().filter(|(of, _)| Some(&**of) == channel) {
            *most -= units;
        }
        if *pool != Pool::Common {
            bucket.pools.iter_mut().find(|(p, _)| p == pool).expect("a pool that was drawn from").1 -= units;
        }
    }
}

/// Orders one after another until there is no yes: the first promise, and how many.
fn orders(case: &Case, ask: &Ask, one: impl Fn(&Oracle<'_>) -> Option<(Promised, Taken)>) -> Option<(Promised, i64)> {
    let mut supply = case.supply.clone();
    let mut first = None;
    for n in 0..MANY {
        let Some((promise, taken)) = one(&Oracle::new(case, &supply, ask)) else {
            return first.map(|p| (p, n));
        };
        use_up(&mut supply, &taken, ask.channel.as_deref());
        first.get_or_insert(promise);
    }
    first.map(|p| (p, MANY))
}

fn services(spec: &NetworkSpec, ask: &Ask, zone: &str) -> Vec<String> {
    let mut services: Vec<String> = spec.lanes.iter().filter(|l| l.zone == zone).map(|l| l.service.clone()).collect();
    services.retain(|s| ask.service.as_ref().is_none_or(|asked| **asked == **s));
    services.sort();
    services.dedup();
    services
}

/// None where one service mixes lanes with slots and lanes without, or slots of several lengths: what a date picker should show
/// there, the rules do not say.
fn expected(case: &Case, days: i32) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let surety::domain::ask::Destination::Zone(zone) = &case.ask.destination else { return None };
    let clock = &case.spec.zones.iter().find(|z| *z.id == **zone).expect("a zone of the network").time_zone;
    let today = day_of(clock, case.now);
    for service in services(&case.spec, &case.ask, zone) {
        let lanes = case.spec.lanes.iter().filter(|l| *l.zone == **zone && l.service == service);
        let per_day = |id: &str| {
            let r = case.spec.resources.iter().find(|r| r.id == id);
            r.map_or(1, |r| r.bucket.as_ref().expect("a length").per_day())
        };
        let mut lengths: Vec<i32> = lanes.map(|l| per_day(&l.resource)).collect();
        lengths.dedup();
        let [per_day] = lengths[..] else { return None };
        let ask = Ask { service: Some(service.as_str().into()), when: When::Any, ..case.ask.clone() };
        for date in today..today + days {
            let windows = Oracle::new(case, &case.supply, &ask).slots_on(date, &service);
            if per_day == 1 {
                if let Some((p, n)) = orders(case, &ask, |o| o.on_day(date)) {
                    let from = p.arrives_from.first().copied().unwrap_or_default();
                    if p.arrives_from.len() > 1 {
                        return None;
                    }
                    all.push((date, from, p.arrives_by, entry(date, &service, from, p.arrives_by, p.order_by, n)));
                }
            } else {
                for (from, to) in windows {
                    if let Some((p, n)) = orders(case, &ask, |o| o.in_slot(from, to)) {
                        all.push((date, from, to, entry(date, &service, from, to, p.order_by, n)));
                    }
                }
            }
        }
    }
    all.sort();
    Some(all.into_iter().map(|(.., text)| text).collect())
}

fn difference(case: &Case, days: i32) -> Option<String> {
    let expected = expected(case, days)?;
    let (network, levels) = built(case).expect("a network without faults");
    let resolved = planner::resolve(&network, &case.ask, |_| true).unwrap_or_else(|_| panic!("known names"));
    let seen: Vec<String> =
        planner::dates(&network, levels.as_slice(), &resolved, None, days, case.now, &KeptRecord::default())
            .iter()
            .map(|d| entry(d.date.0, &d.service, d.arrives_from, d.arrives_by, d.order_by, d.remaining))
            .collect();
    if seen == expected {
        return None;
    }
    let mut text = String::new();
    for line in expected.iter().filter(|l| !seen.contains(l)) {
        text += &format!("  oracle   {line}\n");
    }
    for line in seen.iter().filter(|l| !expected.contains(l)) {
        text += &format!("  planner  {line}\n");
    }
    Some(if text.is_empty() { "  the same dates in another order\n".to_owned() } else { text })
}

#[test]
fn dates_equal_the_oracles() {
    let number = |name: &str, default| std::env::var(name).ok().map_or(default, |n| n.parse().expect("a number"));
    let (first, cases): (u64, u64) = (number("SURETY_SEED", 0), number("SURETY_DATE_CASES", 25));
    let split: u64 = number("SURETY_SPLIT_CASES", 100) / 10;
    let mut found = Vec::new();
    for seed in first..first + cases {
        let mut case = generate::case(seed);
        case.ask.when = When::Any;
        if case.ask.shipments == Shipments::Split && seed >= first + split {
            continue;
        }
        if difference(&case, 4).is_some() {
            let (small, text) = shrink(case, |case| difference(case, 4));
            println!("--- SURETY_SEED={seed} SURETY_DATE_CASES=1\n{small}{text}");
            found.push(seed);
        }
    }
    assert!(found.is_empty(), "the planner's dates and the oracle's differ on the seeds {found:?}");
}

/// Ten units a day, two an order, today and tomorrow.
#[test]
fn dates_count_orders_like_this_one_until_there_is_no_yes() {
    let case = Case::parse(
        "now 2026-11-23T09:00Z
         site s UTC
         zone z UTC
         capacity c s horizon 2
         weekly c units 10
         step p c item 2 cutoff 14:00
         source x s process p
         lane l s z service std at 17:30 transit 1
         ask z
         line x 1",
    );
    let (network, levels) = built(&case).expect("a network without faults");
    let resolved = planner::resolve(&network, &case.ask, |_| true).unwrap_or_else(|_| panic!("known names"));
    let dates = planner::dates(&network, levels.as_slice(), &resolved, None, 5, case.now, &KeptRecord::default());
    let seen: Vec<(String, i64, String)> =
        dates.iter().map(|d| (d.date.to_string(), d.remaining, d.order_by.to_string())).collect();
    // Monday's five for Tuesday. For Wednesday, and for every day after it, Tuesday's five and Monday's five.
    let expected = [
        ("2026-11-24", 5, "2026-11-23T14:00:00Z"),
        ("2026-11-25", 10, "2026-11-24T14:00:00Z"),
        ("2026-11-26", 10, "2026-11-24T14:00:00Z"),
        ("2026-11-27", 10, "2026-11-24T14:00:00Z"),
    ];
    assert_eq!(seen, expected.map(|(date, n, by)| (date.to_owned(), n, by.to_owned())));
    assert!(
        dates
            .iter()
            .all(|d| *d.service == *"std" && d.arrives_from.plus(surety::domain::time::Span::days(1)) == d.arrives_by)
    );
    assert_eq!(dates[0].date, Day::parse("2026-11-24").expect("a date"));
}
