//! What one partition carries on one Redis: the ledger without its service. Each driver is a process of its own, as a server would be,
//! with so many holds of three draws in flight. Redis' own processor time a hold is what counts: by it follows how many holds a second
//! one core of it gives. And how long a change takes to another server that only follows.
//!
//!     cargo bench --bench partition -- [--seconds 4] [--drivers 1,2,3] [--in-flight 256] [--batches 1,8,32,128]

#[path = "../../src/allocator.rs"]
mod allocator;
#[path = "../redis_server.rs"]
mod redis;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use surety::domain::answer::{Answer, Promise, Verdict};
use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::draw::{Draw, Pool, Take};
use surety::domain::id::{NetworkId, ReservationId, ResourceId};
use surety::domain::reservation::Fingerprint;
use surety::domain::time::{Day, Moment, SECOND, Span};
use surety::ledger::Ledger;
use surety::ledger::command::{Command, Hold, Outcome, SetSupply, SupplyRun};
use surety::ledger::feed::{Entry, Snapshot, Subscriber};
use surety::ledger::redis::{Address, Durability, RedisConfig, RedisLedger};

/// Tells a process that it is a driver, and of what.
const ROLE: &str = "SURETY_BENCH_DRIVE";
const UNITS: i64 = 1 << 50;

fn option(name: &str, default: &str) -> String {
    let args: Vec<String> = std::env::args().collect();
    args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned().unwrap_or_else(|| default.to_owned())
}

fn numbers(name: &str, default: &str) -> Vec<usize> {
    option(name, default).split(',').map(|n| n.parse().expect("a number")).collect()
}

fn hold(id: String, spread: i32, number: u64) -> Command {
    let at = Moment(1_800_000_000 * SECOND);
    let promise = Arc::new(Promise {
        date: Day(20_900),
        arrives_from: at,
        arrives_by: at.plus(Span::days(1)),
        ships_at: at,
        order_by: at,
        shipments: Vec::new(),
        confidence: None,
    });
    let takes = ["pick", "pack", "load"].map(|work| {
        let index = (number.wrapping_mul(2_654_435_761) % spread as u64) as i32;
        let resource = ResourceId::new(work).expect("a name");
        let draw = Draw { resource, index, from: at, to: at.plus(Span::days(1)), pool: Pool::Common, units: 1 };
        Take { draw, standing: UNITS }
    });
    Command::Hold(Box::new(Hold {
        id: ReservationId::new(&id).expect("an id"),
        fingerprint: Fingerprint(u128::from(number)),
        network_version: 0,
        ask: Arc::new(Ask {
            lines: vec![Line { sku: Arc::from("sku-0001"), quantity: 1 }],
            destination: Destination::Zone(Arc::from("z")),
            when: When::ByDate(Day(20_900)),
            service: None,
            channel: None,
            offer: None,
            shipments: Shipments::Together,
            min_confidence: None,
        }),
        answer: Arc::new(Answer {
            verdict: Verdict::Promised,
            promise: Some(Arc::clone(&promise)),
            bottlenecks: Vec::new(),
            alternatives: Vec::new(),
            as_of: at,
        }),
        promise,
        takes: takes.to_vec(),
        hold: Span::minutes(15),
        reference: Arc::from(""),
    }))
}

async fn open(url: &str, batch: usize) -> Arc<RedisLedger> {
    let address = Address::parse(url).expect("an address");
    let config = RedisConfig { durability: Durability::Memory, batch, queue: 100_000, ..RedisConfig::new(address) };
    RedisLedger::open(config).await.expect("the ledger opens")
}

/// Holds in a closed loop; tells how many were made.
async fn drive(ledger: Arc<RedisLedger>, in_flight: usize, spread: i32, lasting: Duration) -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let network = NetworkId::default_network();
    let end = Instant::now() + lasting;
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (ledger, network) = (Arc::clone(&ledger), network.clone());
            tokio::spawn(async move {
                let mut made = 0;
                while Instant::now() < end {
                    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                    let id = format!("{:016x}{number:016x}", u64::from(std::process::id()) << 32);
                    let outcome = ledger.execute(&network, hold(id, spread, number), None).await.expect("an outcome");
                    assert!(matches!(outcome, Outcome::Reservation { repeated: false, .. }));
                    made += 1;
                }
                made
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        made += task.await.expect("a caller");
    }
    made
}

/// Notes when it was told of each entry.
#[derive(Default)]
struct Watcher(Mutex<Vec<(u64, Instant)>>);

impl Subscriber for Watcher {
    fn reset(&self, _: &NetworkId, _: Snapshot) {}

    fn changed(&self, _: &NetworkId, entries: &[Arc<Entry>]) {
        let now = Instant::now();
        self.0.lock().expect("no panics").extend(entries.iter().map(|entry| (entry.seq, now)));
    }

    fn fresh(&self, _: Option<&NetworkId>, _: Moment) {}

    fn lost(&self, _: Option<&NetworkId>) {}

    fn void(&self, _: &NetworkId) {}
}

struct Driver(Child);

impl Driver {
    fn start(url: &str, batch: usize, in_flight: usize, spread: i32, lasting: Duration) -> Driver {
        let role = format!("{batch} {in_flight} {spread} {} {url}", lasting.as_secs_f64());
        let this = std::env::current_exe().expect("this program");
        Driver(Process::new(this).env(ROLE, role).stdout(Stdio::piped()).spawn().expect("a driver"))
    }

    fn made(mut self) -> f64 {
        let mut line = String::new();
        let stdout = self.0.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("its line");
        self.0.wait().expect("its end");
        line.trim().parse().expect("a rate")
    }
}

/// Processor time that a process has spent, in seconds.
fn spent(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / 100.0
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn main() {
    if let Ok(role) = std::env::var(ROLE) {
        let words: Vec<&str> = role.split(' ').collect();
        let number = |i: usize| words[i].parse::<f64>().expect("a number");
        let lasting = Duration::from_secs_f64(number(3));
        let rate = runtime().block_on(async {
            let ledger = open(words[4], number(0) as usize).await;
            let begun = Instant::now();
            let made = drive(ledger, number(1) as usize, number(2) as i32, lasting).await;
            made as f64 / begun.elapsed().as_secs_f64()
        });
        println!("{rate}");
        std::io::stdout().flush().expect("stdout");
        return;
    }
    let lasting = Duration::from_secs_f64(option("--seconds", "4").parse().expect("seconds"));
    let in_flight: usize = option("--in-flight", "256").parse().expect("a number");
    let Some(server) = redis::Server::start(false) else { return };
    println!(
        "| drivers | in flight each | batch at most | buckets | holds a second | Redis busy | Redis CPU a hold | one core of it |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let row = |drivers: usize, batch: usize, spread: i32| {
        let (before, begun) = (spent(server.pid()), Instant::now());
        let all: Vec<Driver> =
            (0..drivers).map(|_| Driver::start(&server.url(), batch, in_flight, spread, lasting)).collect();
        let rate: f64 = all.into_iter().map(Driver::made).sum();
        let (busy, took) = (spent(server.pid()) - before, begun.elapsed().as_secs_f64());
        let a_hold = busy * 1e6 / (rate * lasting.as_secs_f64());
        println!(
            "| {drivers} | {in_flight} | {batch} | {} | {rate:.0} | {:.0} % | {a_hold:.1} us | {:.0} a second |",
            spread * 3,
            busy / took * 100.0,
            1e6 / a_hold,
        );
    };
    for batch in numbers("--batches", "1,8,32,128") {
        row(1, batch, 1);
    }
    for drivers in numbers("--drivers", "1,2,3") {
        row(drivers, 128, 3_334);
    }
    println!("\nA change on its way to a server that only follows, while another makes holds:");
    runtime().block_on(async {
        let (busy, idle) = (open(&server.url(), 128).await, open(&server.url(), 128).await);
        let (made, seen) = (Arc::new(Watcher::default()), Arc::new(Watcher::default()));
        busy.subscribe(made.clone()).await.expect("it can be followed");
        idle.subscribe(seen.clone()).await.expect("it can be followed");
        let supply = SupplyRun { resource: ResourceId::new("pick").expect("a name"), first: 0, units: vec![UNITS] };
        let set = SetSupply { network_version: 0, runs: vec![supply], only_unset: false };
        busy.execute(&NetworkId::default_network(), Command::SetSupply(set), None).await.expect("an outcome");
        drive(busy, 64, 3_334, lasting).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut took = Histogram::<u64>::new_with_max(10_000_000, 3).expect("a histogram");
        let at: rustc_hash::FxHashMap<u64, Instant> = seen.0.lock().expect("no panics").iter().copied().collect();
        for (seq, told) in made.0.lock().expect("no panics").iter() {
            let later = at.get(seq).expect("each entry is told to both");
            took.saturating_record(later.saturating_duration_since(*told).as_micros() as u64);
        }
        let ms = |q: f64| took.value_at_quantile(q) as f64 / 1e3;
        println!("{} entries: median {:.1} ms, p99 {:.1} ms, most {:.1} ms", took.len(), ms(0.5), ms(0.99), ms(1.0));
    });
}
