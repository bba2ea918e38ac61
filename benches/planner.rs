//! How long the planner takes: one quote of three steps over a 90-day horizon, the dates of 30 days, and the check of an offer of
//! 90 days and ten zones on the shop example. `cargo bench --bench planner`.

#[path = "../src/allocator.rs"]
mod allocator;

#[path = "scenarios/mod.rs"]
mod scenarios;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use surety::domain::ask::When;
use surety::domain::kept::KeptRecord;
use surety::planner::{Detail, check_offer, dates, quote, resolve, suggest};

use scenarios::offer::{offer, shop};
use scenarios::workshop::{self, NOW, ask, day, levels};

fn planner(c: &mut Criterion) {
    let network = workshop::network();
    let mut quotes = c.benchmark_group("quote_3_steps_90_days");
    for (name, full, when, detail) in [
        ("free", 0, When::Any, Detail::Full),
        ("by_date", 0, When::ByDate(day(5)), Detail::Full),
        ("10_days_full", 10, When::Any, Detail::Full),
        ("60_days_full", 60, When::Any, Detail::Full),
        ("on_date", 0, When::OnDate(day(30)), Detail::Full),
        ("later_plain", 10, When::ByDate(day(5)), Detail::Plain),
        ("later_with_reasons", 10, When::ByDate(day(5)), Detail::Full),
        ("unavailable_with_reasons", 90, When::ByDate(day(5)), Detail::Full),
    ] {
        let levels = levels(&network, full);
        let ask = ask(when);
        quotes.bench_function(name, |b| {
            b.iter(|| {
                let resolved = resolve(&network, black_box(&ask), |_| false).expect("all names known");
                quote(&network, &levels[..], &resolved, NOW, NOW, detail)
            });
        });
    }
    quotes.finish();
    let mut pickers = c.benchmark_group("dates_30_days");
    for (name, full) in [("free", 0), ("10_days_full", 10)] {
        let levels = levels(&network, full);
        let resolved = resolve(&network, &ask(When::Any), |_| false).expect("all names known");
        pickers.bench_function(name, |b| {
            b.iter(|| dates(&network, &levels[..], black_box(&resolved), None, 30, NOW, &KeptRecord::default()));
        });
    }
    pickers.finish();
}

fn offers(c: &mut Criterion) {
    let (network, levels) = shop();
    let mut checks = c.benchmark_group("offer_90_days_10_zones");
    for (name, offer) in [
        ("1m_orders_standard", offer("mug-white", 1_000_000, Some("standard"), 5)),
        ("1m_orders_any_service", offer("mug-white", 1_000_000, None, 5)),
        ("1m_orders_engraved", offer("mug-engraved", 1_000_000, None, 7)),
        ("200k_orders_any_service", offer("mug-white", 200_000, None, 5)),
        ("1m_orders_within_60_days", offer("mug-white", 1_000_000, None, 60)),
        ("1m_candle_sets", offer("candle-set", 1_000_000, None, 5)),
    ] {
        checks.bench_function(name, |b| {
            b.iter(|| check_offer(&network, &levels[..], black_box(&offer), &[], NOW).expect("known names"));
        });
        let checked = check_offer(&network, &levels[..], &offer, &[], NOW).expect("known names");
        let report = checked.report;
        println!(
            "{name}: {} of {} orders, tightest {:?}, {} %, short of {:?}",
            report.orders_deliverable,
            report.orders_asked,
            report.tightest_within_days,
            report.deliverable_percent,
            report.shortfalls
        );
    }
    checks.finish();
    let zone = network.find_zone("de-berlin").expect("a zone");
    let starts = day(0);
    c.bench_function("offer_suggest_30_days", |b| {
        b.iter(|| suggest(&network, &levels[..], starts, starts + 29, black_box(zone), 3, 20, NOW));
    });
}

criterion_group!(benches, planner, offers);
criterion_main!(benches);
