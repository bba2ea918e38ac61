//! The processes that are driven: a service, or a bare echo, each started by this same program in another role.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use surety::clock::SystemClock;
use surety::domain::time::Moment;
use surety::ledger::redis::Address;
use surety::load::echo;
use surety::proto;
use surety::server::{Config, History, Ready, RedisStore, Store};
use surety::telemetry::{Telemetry, TelemetryConfig};
use tokio::net::TcpListener;

use super::redis;

/// Which process this is: none is the generator.
const ROLE: &str = "SURETY_BENCH_ROLE";
const NOW: &str = "2026-12-01T08:00:00Z";
/// Products of the network; each has a process of three steps of its own, one day bucket each, over 90 days: each hold has three
/// draws. One product: every hold draws on the same three buckets; many: on ten thousand.
const PRODUCTS: &str = "SURETY_BENCH_PRODUCTS";
pub const MANY: usize = 3_334;

fn network(products: usize) -> proto::v1::Network {
    let mut resources = Vec::new();
    let mut processes = Vec::new();
    let mut skus = Vec::new();
    for i in 1..=products {
        for work in ["pick", "pack", "load"] {
            resources.push(serde_json::json!({
                "id": format!("{work}-{i}"), "site": "s", "kind": "KIND_CAPACITY",
                "weekly": [{"days": [1, 2, 3, 4, 5, 6, 7], "units": "1000000000"}],
            }));
        }
        processes.push(serde_json::json!({"id": format!("p-{i}"), "steps": [
            {"resource": format!("pick-{i}"), "perLine": "1", "perItem": "1", "cutoff": "14:00"},
            {"resource": format!("pack-{i}"), "perLine": "1", "perItem": "1"},
            {"resource": format!("load-{i}"), "perLine": "1"},
        ]}));
        skus.push(serde_json::json!({"sku": sku(i), "sources": [{"site": "s", "process": format!("p-{i}")}]}));
    }
    let document = serde_json::json!({
        "sites": [{"id": "s", "timeZone": "Europe/Berlin"}],
        "zones": [{"id": "z", "timeZone": "Europe/Berlin"}],
        "resources": resources, "processes": processes, "products": skus,
        "lanes": [{"id": "l", "site": "s", "zone": "z", "service": "standard", "departureTime": "17:30", "transitDays": 1}],
    });
    serde_json::from_value(document).expect("the network of this benchmark")
}

/// Names of one length, so that requests differ in their bytes alone.
pub fn sku(product: usize) -> String {
    format!("sku-{product:04}")
}

/// Serves, if this process was started to: whoever is to drive others goes on.
pub fn serve_if_told() -> bool {
    match std::env::var(ROLE).ok().as_deref() {
        None => return false,
        Some("echo") => run(async {
            let answer = std::env::var("SURETY_BENCH_ANSWER").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
            let listener = listen().await;
            echo::serve(listener, answer, std::future::pending()).await.expect("the echo serves");
        }),
        Some(role) => {
            let (store, telemetry) = surety_of(role);
            let products = std::env::var(PRODUCTS).ok().and_then(|n| n.parse().ok()).unwrap_or(1);
            run(async move {
                let begin = Moment::from_timestamp(NOW.parse().expect("an instant"));
                let config = Config {
                    store,
                    history: History::default(),
                    clock: Arc::new(SystemClock::beginning_at(begin)),
                    telemetry,
                    max_requests: 100_000,
                    max_streams: 1_000,
                    max_unary: Duration::from_secs(30),
                    stale_reads: Duration::from_secs(30),
                    notice: Duration::ZERO,
                    drain: Duration::from_secs(1),
                    network: Some(network(products)),
                    supply: Vec::new(),
                };
                let ready = Ready::open(config).await.expect("the service opens");
                ready.serve(listen().await, std::future::pending()).await.expect("the service serves");
            });
        }
    }
    true
}

/// `memory`, `embedded:DIR`, `redis:DURABILITY:ADDRESS`, each with `+traced` or without.
fn surety_of(role: &str) -> (Store, Telemetry) {
    let (store, traced) = role.strip_suffix("+traced").map_or((role, false), |store| (store, true));
    let store = match store.strip_prefix("embedded:") {
        Some(dir) => Store::Embedded(dir.into()),
        None => match store.strip_prefix("redis:").and_then(|rest| rest.split_once(':')) {
            Some((durability, address)) => {
                let mut store = RedisStore::new(Address::parse(address).expect("an address"));
                store.durability = durability.parse().expect("a durability");
                Store::Redis(Box::new(store))
            }
            None => Store::Memory,
        },
    };
    let telemetry = if traced {
        // Nobody listens there: spans are made, queued, and dropped when the queue is full.
        let config =
            TelemetryConfig { otlp_endpoint: Some("http://127.0.0.1:9".to_owned()), ..TelemetryConfig::default() };
        Telemetry::start(&config).expect("telemetry starts")
    } else {
        Telemetry::off()
    };
    (store, telemetry)
}

fn run(serving: impl Future<Output = ()>) {
    let workers = option("--workers", "2").parse().expect("a number of threads");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.expect("a runtime").block_on(serving);
}

async fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("an address"));
    std::io::stdout().flush().expect("stdout");
    listener
}

/// A service that runs until it is dropped.
pub struct Served {
    child: Child,
    pub address: String,
    /// Of its store, if that is a process of its own.
    pub store: Option<u32>,
    pub products: usize,
}

impl Served {
    pub fn start(role: &str, answer: usize) -> Served {
        Served::of_many(role, answer, 1)
    }

    pub fn on(redis: &redis::Server, durability: &str, products: usize) -> Served {
        let mut served = Served::of_many(&format!("redis:{durability}:{}", redis.url()), 0, products);
        served.store = Some(redis.pid());
        served
    }

    pub fn of_many(role: &str, answer: usize, products: usize) -> Served {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--workers", &option("--workers", "2")])
            .env(ROLE, role)
            .env("SURETY_BENCH_ANSWER", answer.to_string())
            .env(PRODUCTS, products.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the process starts");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut address).expect("its first line");
        Served { child, address: format!("http://{}", address.trim()), store: None, products }
    }
}

impl Served {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Processor time that a process has spent, user and system, in seconds.
pub fn spent(pid: u32) -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, which may have spaces, ends with the last parenthesis; utime and stime are the 12th and 13th after it.
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / TICKS_A_SECOND
}

/// The value of an option of the command line.
pub fn option(name: &str, default: &str) -> String {
    let args: Vec<String> = std::env::args().collect();
    args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned().unwrap_or_else(|| default.to_owned())
}
