//! The planner's answer in the oracle's words, and where the two differ.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use surety::domain::bucket::BucketLevel;
use surety::domain::levels::Levels;
use surety::domain::network::Network;
use surety::domain::time::Moment;
use surety::planner::{self, Detail, Planned};

use crate::civil::at;
use crate::notation::{Case, bucket_name};
use crate::oracle::{Oracle, Promised, Shipped, Taken, Told};

pub fn told(case: &Case) -> Told {
    Oracle::new(case, &case.supply, &case.ask).quote()
}

/// The checked network and the levels of its resources, by their index.
pub fn built(case: &Case) -> Result<(Network, Vec<Levels>), String> {
    let network = Network::build(case.spec.clone(), case.applied()).map_err(|faults| format!("{faults:?}"))?;
    let levels = network.resources().iter().map(|r| {
        let known = case.supply.iter().filter(|((id, _), _)| *id == r.id.as_str()).map(|((_, index), b)| {
            let mut level = BucketLevel { set: b.set, held: b.drawn, ..BucketLevel::default() };
            for (pool, left) in &b.pools {
                let own = level.pool_mut(pool);
                (own.set, own.release_at) = (*left, Moment::MAX);
            }
            for (pool, units) in &b.released {
                let own = level.pool_mut(pool);
                // Exactly now is over.
                (own.set, own.release_at) = (*units, case.now);
            }
            for (channel, left) in &b.most {
                let own = level.channel_mut(&channel.as_str().into());
                (own.drawn, own.most) = (2, Some(left + 2));
            }
            level.tidy();
            (*index, level)
        });
        Levels::new(known.collect())
    });
    let levels = levels.collect();
    Ok((network, levels))
}

/// The planner's answer, or what is wrong with it as such.
pub fn planned(case: &Case, detail: Detail) -> Result<Told, String> {
    let (network, levels) = built(case)?;
    let resolved =
        planner::resolve(&network, &case.ask, |_| true).map_err(|_| "the planner does not know a name".to_owned())?;
    let quote = || planner::quote(&network, levels.as_slice(), &resolved, case.now, case.now, detail);
    let planned = catch_unwind(AssertUnwindSafe(quote)).map_err(|_| "the planner panicked".to_owned())?;
    in_words(case, &network, &planned)
}

fn in_words(case: &Case, network: &Network, planned: &Planned) -> Result<Told, String> {
    let mut takes = Taken::new();
    for take in &planned.takes {
        let draw = &take.draw;
        let r = network.resource(network.find_resource(draw.resource.as_str()).ok_or("a draw of no resource")?);
        let clock = &case.spec.sites[r.site.at()].time_zone;
        let minute =
            |i: i32| (i.div_euclid(r.bucketing.per_day()), i.rem_euclid(r.bucketing.per_day()) * r.bucketing.minutes());
        let start = |i: i32| at(clock, minute(i).0, minute(i).1);
        if draw.from != start(draw.index) || draw.to != start(draw.index + 1) || draw.units < 1 {
            return Err(format!("the draw {draw:?} does not fit its bucket"));
        }
        if takes.insert((draw.resource.to_string(), draw.index, draw.pool.clone()), draw.units).is_some() {
            return Err(format!("{} {} is taken twice from one pool", draw.resource, draw.index));
        }
    }
    let promise = planned.answer.promise.as_ref().map(|p| {
        let mut shipments: Vec<Shipped> = p
            .shipments
            .iter()
            .map(|s| {
                let mut items = BTreeMap::new();
                for line in &s.lines {
                    *items.entry(line.sku.to_string()).or_default() += line.quantity;
                }
                let (lane, site) = (s.lane.to_string(), s.site.to_string());
                Shipped { lane, site, ships_at: s.ships_at, arrives_by: s.arrives_by, date: s.date.0, items }
            })
            .collect();
        shipments.sort();
        Promised {
            date: p.date.0,
            arrives_from: [p.arrives_from].into(),
            arrives_by: p.arrives_by,
            ships_at: p.ships_at,
            order_by: p.order_by,
            shipments,
        }
    });
    Ok(Told { verdict: planned.answer.verdict, promise, takes })
}

/// An answer as text, one fact a line.
pub fn facts(case: &Case, told: &Told) -> Vec<String> {
    let mut facts = vec![format!("verdict {:?}", told.verdict)];
    if let Some(p) = &told.promise {
        let from: Vec<String> = p.arrives_from.iter().map(|m| short(&m.to_string())).collect();
        facts.push(format!("date {}", crate::civil::date_text(p.date)));
        facts.push(format!("from {}", from.join("|")));
        facts.push(format!("by {}", short(&p.arrives_by.to_string())));
        facts.push(format!("ships {}", short(&p.ships_at.to_string())));
        facts.push(format!("order_by {}", short(&p.order_by.to_string())));
        for s in &p.shipments {
            let items: String = s.items.iter().map(|(sku, n)| format!(" {n} {sku}")).collect();
            let (ships, by) = (short(&s.ships_at.to_string()), short(&s.arrives_by.to_string()));
            facts.push(format!("shipment {}{items} {ships} -> {by}", s.lane));
        }
    }
    for ((resource, index, pool), units) in &told.takes {
        let pool = pool.to_string();
        let pool = if pool.is_empty() { pool } else { format!(" {pool}") };
        facts.push(format!("take {resource} {} {units}{pool}", bucket_name(&case.spec, resource, *index)));
    }
    facts
}

/// `2026-11-23T09:00Z`, where there are no seconds.
fn short(text: &str) -> String {
    text.strip_suffix(":00Z").map_or(text.to_owned(), |t| format!("{t}Z"))
}

/// What differs, if anything does.
pub fn difference(case: &Case) -> Option<String> {
    let expected = told(case);
    let seen = match planned(case, Detail::Plain) {
        Ok(seen) => seen,
        Err(why) => return Some(why),
    };
    let same_window = match (&expected.promise, &seen.promise) {
        (Some(e), Some(s)) => s.arrives_from.is_subset(&e.arrives_from),
        _ => true,
    };
    let mut levelled = seen.clone();
    if let (Some(e), Some(l), true) = (&expected.promise, &mut levelled.promise, same_window) {
        l.arrives_from = e.arrives_from.clone();
    }
    if levelled == expected {
        return None;
    }
    let (expected, seen) = (facts(case, &expected), facts(case, &seen));
    let mut text = String::new();
    for line in expected.iter().filter(|l| !seen.contains(l)) {
        text += &format!("  oracle   {line}\n");
    }
    for line in seen.iter().filter(|l| !expected.contains(l)) {
        text += &format!("  planner  {line}\n");
    }
    text += &format!(
        "  both     {}\n",
        expected.iter().filter(|l| seen.contains(l)).cloned().collect::<Vec<_>>().join("; ")
    );
    Some(text)
}
