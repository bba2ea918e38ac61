//! What a large network costs: a million stock resources with a product each and a thousand capacity resources over 90 days, all
//! with supply set, in the service as it is served (ledger and view).
//!
//!     cargo bench --bench memory -- [embedded]

#[path = "../src/allocator.rs"]
mod allocator;

use std::sync::Arc;
use std::time::{Duration, Instant};

use surety::app::request::{QuoteRequest, Start, SupplyLine};
use surety::clock::ManualClock;
use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::id::{NetworkId, ResourceId};
use surety::domain::reservation::Fingerprint;
use surety::domain::time::{Day, Moment};
use surety::proto::v1;
use surety::server::{Config, History, Ready, Store};
use surety::telemetry::Telemetry;

const STOCKS: usize = 1_000_000;
const CAPACITIES: usize = 1_000;
const DAYS: usize = 90;

fn network() -> v1::Network {
    let stock = |i: usize| v1::Resource {
        id: format!("site.stock.sku-{i:07}"),
        site: "site".to_owned(),
        kind: v1::resource::Kind::Stock.into(),
        unit: "items".to_owned(),
        ..v1::Resource::default()
    };
    let capacity = |i: usize| v1::Resource {
        id: format!("site.station-{i:04}"),
        site: "site".to_owned(),
        kind: v1::resource::Kind::Capacity.into(),
        unit: "minutes".to_owned(),
        horizon_days: DAYS as i32,
        ..v1::Resource::default()
    };
    let process = |i: usize| v1::Process {
        id: format!("process-{i:04}"),
        steps: vec![v1::Step { resource: format!("site.station-{i:04}"), per_item: 1, ..v1::Step::default() }],
    };
    let product = |i: usize| v1::Product {
        sku: format!("sku-{i:07}"),
        sources: vec![v1::Source {
            site: "site".to_owned(),
            stock: format!("site.stock.sku-{i:07}"),
            process: format!("process-{:04}", i % CAPACITIES),
        }],
        ..v1::Product::default()
    };
    v1::Network {
        sites: vec![v1::Site { id: "site".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..v1::Site::default() }],
        zones: vec![v1::Zone { id: "zone".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..v1::Zone::default() }],
        resources: (0..STOCKS).map(stock).chain((0..CAPACITIES).map(capacity)).collect(),
        processes: (0..CAPACITIES).map(process).collect(),
        products: (0..STOCKS).map(product).collect(),
        lanes: vec![v1::Lane {
            id: "lane".to_owned(),
            site: "site".to_owned(),
            zone: "zone".to_owned(),
            transit_days: 1,
            ..v1::Lane::default()
        }],
        channels: Vec::new(),
    }
}

fn plan(today: Day) -> Vec<SupplyLine> {
    let line = |id: String, units: Vec<i64>| SupplyLine {
        resource: ResourceId::new(&id).expect("a name"),
        start: Start::Date(today),
        units,
    };
    let stocks = (0..STOCKS).map(|i| line(format!("site.stock.sku-{i:07}"), vec![100]));
    let capacities = (0..CAPACITIES).map(|i| line(format!("site.station-{i:04}"), vec![480; DAYS]));
    stocks.chain(capacities).collect()
}

/// A line of /proc/self/status, in MiB.
fn memory(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

fn show(what: &str, since: Instant) {
    let (now, most) = (memory("VmRSS:").unwrap_or(f64::NAN), memory("VmHWM:").unwrap_or(f64::NAN));
    println!("| {what} | {:.1} s | {now:.0} MiB | {most:.0} MiB |", since.elapsed().as_secs_f64());
}

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let embedded = std::env::args().any(|arg| arg == "embedded");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        println!("| after | took | resident | highest so far |\n|---|---|---|---|");
        let now = Moment::from_timestamp("2026-12-01T08:00:00Z".parse().expect("an instant"));
        let today = Day::parse("2026-12-01").expect("a date");
        let begun = Instant::now();
        let config = Config {
            history: History::default(),
            store: if embedded { Store::Embedded(dir.path().join("ledger")) } else { Store::Memory },
            clock: Arc::new(ManualClock::at(now)),
            telemetry: Telemetry::off(),
            max_requests: 1_000,
            max_streams: 100,
            max_unary: Duration::from_secs(30),
            stale_reads: Duration::from_secs(30),
            notice: Duration::ZERO,
            drain: Duration::from_secs(1),
            network: Some(network()),
            supply: Vec::new(),
        };
        let ready = Ready::open(config).await.expect("the service opens");
        show("the network was applied", begun);
        let begun = Instant::now();
        let buckets = ready.app().load_plan(&NetworkId::default_network(), &plan(today)).await.expect("a plan");
        assert_eq!(buckets as usize, STOCKS + CAPACITIES * DAYS);
        show("the plan was loaded", begun);
        let begun = Instant::now();
        for i in (0..STOCKS).step_by(97) {
            let ask = Ask {
                lines: vec![Line { sku: Arc::from(format!("sku-{i:07}")), quantity: 1 }],
                destination: Destination::Zone(Arc::from("zone")),
                when: When::Any,
                service: None,
                channel: None,
                offer: None,
                shipments: Shipments::Together,
                min_confidence: None,
            };
            let request = QuoteRequest {
                request_id: None,
                fingerprint: Fingerprint(0),
                ask,
                hold: None,
                accept_later: false,
                reference: Arc::from(""),
            };
            let quoted = ready.app().quote(&NetworkId::default_network(), request, None).await.expect("an answer");
            assert!(quoted.answer.promise.is_some());
        }
        show("10,310 quotes", begun);
    });
}
