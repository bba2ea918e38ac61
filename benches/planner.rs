//! How long the planner takes: one quote of three steps over a 90-day horizon, the dates of 30 days, and the check of an offer of
//! 90 days and ten zones on the shop example. `cargo bench --bench planner`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::bucket::{BucketLevel, Bucketing, Levels};
use surety::domain::kept::KeptRecord;
use surety::domain::network::*;
use surety::domain::offer::{Advertised, Expected, Offer, ZoneShare};
use surety::domain::time::{Day, Moment, Span, TimeOfDay};
use surety::edge::from_proto;
use surety::planner::{Detail, check_offer, dates, quote, resolve, suggest};

/// 2026-12-01T08:00Z, a Tuesday.
const NOW: Moment = Moment(1_796_112_000_000_000);

fn capacity(id: &str, units: i64) -> ResourceSpec {
    ResourceSpec {
        id: id.to_owned(),
        site: "lej".to_owned(),
        display_name: String::new(),
        kind: Some(Kind::Capacity),
        unit: String::new(),
        bucket: Ok(Bucketing::DAYS),
        weekly: vec![WeeklySpec { days: vec![0, 1, 2, 3, 4], units, ..Default::default() }],
        closed: Vec::new(),
        horizon_days: 90,
    }
}

fn step(resource: &str, cutoff: &str, lead_days: i32) -> StepSpec {
    StepSpec {
        resource: resource.to_owned(),
        per_line: 1,
        per_item: 2,
        divisible: false,
        cutoff: cutoff.to_owned(),
        lead_time: Ok(Span::ZERO),
        lead_days,
    }
}

/// A workshop: cut, engrave, pack, then a courier with so many parcels a day.
fn workshop() -> Network {
    let spec = NetworkSpec {
        sites: vec![SiteSpec { id: "lej".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..Default::default() }],
        zones: vec![ZoneSpec { id: "de".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..Default::default() }],
        resources: vec![capacity("cut", 60), capacity("engrave", 45), capacity("pack", 80), capacity("courier", 30)],
        processes: vec![ProcessSpec {
            id: "make".to_owned(),
            steps: vec![step("cut", "12:00", 0), step("engrave", "", 1), step("pack", "15:00", 0)],
        }],
        products: vec![ProductSpec {
            sku: "mug".to_owned(),
            sources: vec![SourceSpec { site: "lej".to_owned(), process: "make".to_owned(), ..Default::default() }],
            ..Default::default()
        }],
        lanes: vec![LaneSpec {
            id: "std".to_owned(),
            site: "lej".to_owned(),
            zone: "de".to_owned(),
            service: "standard".to_owned(),
            departure_days: vec![0, 1, 2, 3, 4],
            departure_time: "17:30".to_owned(),
            transit_days: 1,
            delivery_days: vec![0, 1, 2, 3, 4, 5],
            holidays: vec!["2026-12-25".to_owned()],
            resource: "courier".to_owned(),
            per_shipment: 1,
            per_item: 0,
            transit_time: Ok(None),
        }],
        channels: Vec::new(),
    };
    Network::build(spec, NOW).expect("a sound network")
}

/// Every bucket known and partly drawn; the first `full` days have nothing left.
fn levels(network: &Network, full: i32) -> Vec<Levels> {
    let today = NOW.0 / 86_400_000_000;
    let level = |i: i32| BucketLevel { set: Some(60), confirmed: if i < full { 60 } else { 30 }, ..Default::default() };
    let buckets = || (0..90).map(|i| (today as i32 + i, level(i))).collect();
    network.resources().iter().map(|_| Levels::new(buckets())).collect()
}

fn ask(when: When) -> Ask {
    Ask {
        lines: vec![Line { sku: Arc::from("mug"), quantity: 3 }],
        destination: Destination::Zone(Arc::from("de")),
        when,
        service: None,
        channel: None,
        offer: None,
        shipments: Shipments::Together,
        min_confidence: None,
    }
}

fn planner(c: &mut Criterion) {
    let network = workshop();
    let day = |days: i32| Day((NOW.0 / 86_400_000_000) as i32 + days);
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

/// The example's network with its plan, at the day on which its tour begins.
fn shop() -> (Network, Vec<Levels>) {
    let read = |name: &str| std::fs::read_to_string(format!("examples/shop/{name}")).expect("the example");
    let (message, _) =
        surety::files::network::read("network.yaml", read("network.yaml").as_bytes()).expect("a network");
    let network = from_proto::network(message, NOW).expect("a sound network");
    let mut levels = vec![Levels::default(); network.resources().len()];
    for line in read("plan.csv").lines().skip(1) {
        let [resource, start, units] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let at = network.find_resource(resource).expect("a resource");
        let (date, time) = start.split_once('T').unwrap_or((start, "00:00"));
        let time = TimeOfDay::parse(time).expect("a time");
        let first = network.resource(at).bucketing.named(Day::parse(date).expect("a date"), time).expect("a bucket");
        let level = BucketLevel { set: Some(units.parse().expect("units")), ..Default::default() };
        levels[at.at()].put(first, level);
    }
    (network, levels)
}

/// 90 days, ten zones.
fn offer(sku: &str, orders: i64, service: Option<&str>, within_days: i32) -> Offer {
    let zones = [
        "de-berlin",
        "de-east",
        "de-north",
        "de-west",
        "de-central",
        "de-southwest",
        "de-south",
        "at",
        "ch",
        "benelux",
    ];
    let starts = Day((NOW.0 / 86_400_000_000) as i32);
    Offer {
        id: "season".into(),
        display_name: "".into(),
        lines: vec![Line { sku: sku.into(), quantity: 1 }],
        zones: zones.map(|zone| ZoneShare { zone: zone.into(), billionths: 100_000_000 }).to_vec(),
        service: service.map(Into::into),
        channel: None,
        starts,
        ends: starts + 89,
        advertised: Advertised::WithinDays(within_days),
        orders: Expected::Total(orders),
    }
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
    let starts = Day((NOW.0 / 86_400_000_000) as i32);
    c.bench_function("offer_suggest_30_days", |b| {
        b.iter(|| suggest(&network, &levels[..], starts, starts + 29, black_box(zone), 3, 20, NOW));
    });
}

criterion_group!(benches, planner, offers);
criterion_main!(benches);
