//! Curves of what happens in one process: a quote, a hold, a change that is published, a list of dates.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use surety::app::App;
use surety::app::request::{PromiseDatesRequest, QuoteRequest};
use surety::domain::answer::Verdict;
use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::bucket::BucketLevel;
use surety::domain::id::{NetworkId, ReservationId, ResourceId};
use surety::domain::limits::{MAX_DATE_DAYS, MAX_PLACES};
use surety::domain::reservation::Fingerprint;
use surety::domain::time::Span;
use surety::ledger::feed::{Change, Entry, Subscriber};
use tokio::runtime::Runtime;

use super::curve::{self, Column, Growth};
use super::world::{LATE, NOW, PLENTY, STEPS, Shape, World, resource, sku};

/// How long each cost is measured in a round.
const LASTING: Duration = Duration::from_millis(60);
/// Holds at a time.
const IN_FLIGHT: usize = 64;
/// Lines that are asked in turn, so that large worlds are not measured on the few resources that the processor's caches hold.
const VARIETY: usize = 4_096;
/// As few as those caches hold, to tell their part from the rest.
const FEW: usize = 16;
/// Resources up to which a world has a Redis, too.
const MOST_ON_REDIS: usize = 10_000;

/// One row of a curve.
struct Case {
    size: f64,
    world: Arc<World>,
    asks: Arc<[Ask]>,
    changes: Vec<Arc<Entry>>,
    dates: i32,
}

impl Case {
    fn new(size: usize, world: &Arc<World>, lines: usize, dates: i32) -> Case {
        let products = world.shape.products;
        // Far apart, one after the other; the lines of one ask are different products.
        let product = |ask: usize, line: usize| (ask * 2_654_435_761 + line) % products;
        let count = (VARIETY / lines).max(FEW);
        let ask_of = |i: usize| ask((0..lines).map(|line| sku(product(i, line))));
        let entry = |i: usize| {
            let of_line =
                |line| STEPS.map(|work| change(&resource(work, product(i, line)), world.shape.first_bucket(), i));
            Arc::new(Entry { seq: i as u64 + 1, at: NOW, changes: (0..lines).flat_map(of_line).collect() })
        };
        Case {
            size: size as f64,
            world: Arc::clone(world),
            asks: (0..count).map(ask_of).collect(),
            changes: (0..count).map(entry).collect(),
            dates,
        }
    }
}

fn ask(skus: impl Iterator<Item = String>) -> Ask {
    Ask {
        lines: skus.map(|sku| Line { sku: Arc::from(sku), quantity: 1 }).collect(),
        destination: Destination::Zone(Arc::from("z")),
        when: When::Any,
        service: None,
        channel: None,
        offer: None,
        shipments: Shipments::Together,
        min_confidence: None,
    }
}

fn change(resource: &str, index: i32, drawn: usize) -> Change {
    let level = BucketLevel { set: Some(PLENTY), held: drawn as i64, ..BucketLevel::default() };
    Change::Bucket { resource: ResourceId::new(resource).expect("a name"), index, level }
}

/// Does it again and again; microseconds each.
async fn each<F: Future<Output = ()>>(mut work: impl FnMut(usize) -> F) -> f64 {
    let begun = Instant::now();
    let mut done = 0;
    loop {
        work(done).await;
        done += 1;
        // The clock is not looked at more often than it has to be.
        if (done < 16 || done.is_multiple_of(16)) && begun.elapsed() >= LASTING {
            return begun.elapsed().as_secs_f64() * 1e6 / done as f64;
        }
    }
}

fn request(ask: Ask, held: Option<u64>) -> QuoteRequest {
    QuoteRequest {
        request_id: held.map(|number| ReservationId::new(&format!("{number:032x}")).expect("an id")),
        fingerprint: Fingerprint(u128::from(held.unwrap_or_default())),
        ask,
        hold: held.map(|_| Span::minutes(15)),
        accept_later: false,
        reference: Arc::from(""),
    }
}

async fn quotes(app: &App, asks: &[Ask]) -> f64 {
    let network = NetworkId::default_network();
    let network = &network;
    each(|turn| async move {
        let asked = request(asks[turn % asks.len()].clone(), None);
        let quoted = app.quote(network, asked, None).await.expect("an answer");
        assert_eq!(quoted.answer.verdict, Verdict::Promised);
    })
    .await
}

/// As many at a time as a busy server has.
async fn holds(app: &Arc<App>, asks: &Arc<[Ask]>) -> f64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let (begun, made) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (app, asks, made) = (Arc::clone(app), Arc::clone(asks), Arc::clone(&made));
            tokio::spawn(async move {
                let network = NetworkId::default_network();
                while begun.elapsed() < LASTING {
                    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                    let asked = request(asks[number as usize % asks.len()].clone(), Some(number));
                    let quoted = app.quote(&network, asked, None).await.expect("an answer");
                    assert!(quoted.reservation.is_some());
                    made.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller");
    }
    begun.elapsed().as_secs_f64() * 1e6 / made.load(Ordering::Relaxed) as f64
}

async fn published(case: &Case) -> f64 {
    let network = NetworkId::default_network();
    let (views, changes, network) = (&case.world.views, &case.changes, &network);
    each(|turn| async move {
        let at = turn % changes.len();
        views.changed(network, &changes[at..=at]);
    })
    .await
}

async fn dates(case: &Case) -> f64 {
    let network = NetworkId::default_network();
    let network = &network;
    each(|turn| async move {
        let ask = case.asks[turn % case.asks.len()].clone();
        // From the first day that can be promised on: days that can't cost little, and a short list would have more of them.
        let asked = PromiseDatesRequest { ask, from: Some(case.world.shape.first_arrival()), days: case.dates };
        black_box(case.world.memory.list_promise_dates(network, &asked).expect("dates"));
    })
    .await
}

/// What is measured of a case.
#[derive(Clone, Copy)]
enum Cost {
    Quote,
    QuoteFew,
    QuoteLate,
    Hold,
    HoldOnRedis,
    Publish,
    Dates,
}

impl Cost {
    fn name(self) -> &'static str {
        match self {
            Cost::Quote => "a quote",
            Cost::QuoteFew => "a quote of few products",
            Cost::QuoteLate => "a quote, all but the last days full",
            Cost::Hold => "a hold, memory",
            Cost::HoldOnRedis => "a hold, Redis",
            Cost::Publish => "a change published",
            Cost::Dates => "a list of dates",
        }
    }

    async fn of(self, case: &Case) -> Option<f64> {
        match self {
            Cost::Quote => Some(quotes(&case.world.memory, &case.asks).await),
            Cost::QuoteFew => Some(quotes(&case.world.memory, &case.asks[..FEW]).await),
            Cost::QuoteLate => Some(quotes(&case.world.memory, &[ask([LATE.to_owned()].into_iter())]).await),
            Cost::Hold => Some(holds(&case.world.memory, &case.asks).await),
            Cost::HoldOnRedis => match &case.world.redis {
                Some(app) => Some(holds(app, &case.asks).await),
                None => None,
            },
            Cost::Publish => Some(published(case).await),
            Cost::Dates => Some(dates(case).await),
        }
    }
}

/// Measures all cases in turn, so that what else the machine does hits all alike, and prints the curve. One more round comes first, to
/// warm up.
fn show(runtime: &Runtime, rounds: usize, what: &str, cases: &[Case], costs: &[(Cost, Growth)]) {
    let mut seen = vec![vec![Vec::new(); cases.len()]; costs.len()];
    for round in 0..=rounds {
        for (row, case) in cases.iter().enumerate() {
            for (column, (cost, _)) in costs.iter().enumerate() {
                let took = runtime.block_on(cost.of(case));
                seen[column][row].extend(took.filter(|_| round > 0));
            }
        }
    }
    let sizes: Vec<f64> = cases.iter().map(|case| case.size).collect();
    let columns: Vec<Column> = costs
        .iter()
        .zip(seen)
        .map(|((cost, may_grow), seen)| Column {
            name: cost.name(),
            may_grow: Some(*may_grow),
            values: seen.into_iter().map(curve::median).collect(),
        })
        .collect();
    curve::print(what, &sizes, &columns);
}

/// Each product has a process of its own, of which a network has 100,000 at most: of a million resources, 300,000 are drawn on.
pub fn resources(runtime: &Runtime, rounds: usize, most: usize, with_redis: bool) {
    let sizes = (1..=6).map(|power| 10_usize.pow(power)).filter(|size| *size <= most);
    let case = |size: usize| {
        let with_redis = with_redis && size <= MOST_ON_REDIS;
        let products = (size / STEPS.len()).clamp(1, MAX_PLACES);
        let idle = size - products * STEPS.len();
        let shape = Shape { products, idle, days: 90, per_day: 1, planned: false, with_redis };
        Case::new(size, &Arc::new(runtime.block_on(World::open(shape))), 1, 30)
    };
    let cases: Vec<Case> = sizes.map(case).collect();
    let costs = [
        (Cost::QuoteFew, Growth::Flat),
        (Cost::Quote, Growth::Caches),
        (Cost::Hold, Growth::Flat),
        (Cost::HoldOnRedis, Growth::Flat),
        (Cost::Publish, Growth::Caches),
        (Cost::Dates, Growth::Flat),
    ];
    show(runtime, rounds, "resources", &cases, &costs);
}

pub fn days(runtime: &Runtime, rounds: usize, with_redis: bool) {
    println!("\nDates are listed for all days, 92 at most.");
    let costs = [
        (Cost::Quote, Growth::Flat),
        (Cost::QuoteLate, Growth::InStep),
        (Cost::Hold, Growth::Flat),
        (Cost::HoldOnRedis, Growth::Flat),
        (Cost::Publish, Growth::InStep),
        (Cost::Dates, Growth::InStepUpTo(f64::from(MAX_DATE_DAYS))),
    ];
    for (what, per_day, products) in [("days", 1, 100), ("days of quarter hours", 96, 1)] {
        let case = |days: i32| {
            let shape = Shape { products, idle: 0, days, per_day, planned: true, with_redis };
            Case::new(days as usize, &Arc::new(runtime.block_on(World::open(shape))), 1, days.min(MAX_DATE_DAYS))
        };
        let cases: Vec<Case> = [7, 14, 30, 90, 180, 365].into_iter().map(case).collect();
        show(runtime, rounds, what, &cases, &costs);
    }
}

pub fn lines(runtime: &Runtime, rounds: usize, with_redis: bool) {
    let shape = Shape { products: 1_000, idle: 0, days: 90, per_day: 1, planned: false, with_redis };
    let world = Arc::new(runtime.block_on(World::open(shape)));
    let cases: Vec<Case> =
        [1, 2, 5, 10, 20, 50, 100].into_iter().map(|lines| Case::new(lines, &world, lines, 30)).collect();
    let costs = [Cost::Quote, Cost::Hold, Cost::HoldOnRedis, Cost::Publish, Cost::Dates];
    show(runtime, rounds, "lines", &cases, &costs.map(|cost| (cost, Growth::InStep)));
}
