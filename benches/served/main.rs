//! Surety over gRPC beside a bare tonic echo of like size, in one run: each is a process of its own, one generator drives them in
//! turn, closed loop, and only the ratios count. The generator sends bytes that were encoded before and looks into one answer of a
//! hundred, so that it does the same work for all of them.
//!
//!     cargo bench --bench served -- [--seconds 4] [--rounds 5] [--in-flight 64,256] [--connections 4] [--only redis] [--workers 2]

#[path = "../redis_server.rs"]
mod redis;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use prost::Message;
use prost::bytes::Bytes;
use surety::clock::SystemClock;
use surety::domain::time::Moment;
use surety::ledger::redis::Address;
use surety::load::{echo, raw};
use surety::proto::v1::operations_service_client::OperationsServiceClient;
use surety::proto::v1::promise_service_client::PromiseServiceClient;
use surety::proto::{self, v1};
use surety::server::{Config, History, Ready, RedisStore, Store};
use surety::telemetry::{Telemetry, TelemetryConfig};
use tokio::net::TcpListener;
use tonic::transport::Channel;

/// Which process this is: none is the generator.
const ROLE: &str = "SURETY_BENCH_ROLE";
const NOW: &str = "2026-12-01T08:00:00Z";
/// Products of the network; each has a process of three steps of its own, one day bucket each, over 90 days: each hold has three
/// draws. One product: every hold draws on the same three buckets; many: on ten thousand.
const PRODUCTS: &str = "SURETY_BENCH_PRODUCTS";
const MANY: usize = 3_334;

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
fn sku(product: usize) -> String {
    format!("sku-{product:04}")
}

fn main() {
    match std::env::var(ROLE).ok().as_deref() {
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
        None => generator(),
    }
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

struct Served {
    child: Child,
    address: String,
    /// Of its store, if that is a process of its own.
    store: Option<u32>,
    products: usize,
}

impl Served {
    fn start(role: &str, answer: usize) -> Served {
        Served::of_many(role, answer, 1)
    }

    fn on(redis: &redis::Server, durability: &str, products: usize) -> Served {
        let mut served = Served::of_many(&format!("redis:{durability}:{}", redis.url()), 0, products);
        served.store = Some(redis.pid());
        served
    }

    fn of_many(role: &str, answer: usize, products: usize) -> Served {
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

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Call {
    Echo,
    Quote,
    Hold,
}

fn request_id(number: u64) -> String {
    format!("{:032x}", u128::from(number) | 1 << 96)
}

fn ask(hold: bool, number: u64) -> v1::QuoteRequest {
    v1::QuoteRequest {
        request_id: if hold { request_id(number) } else { String::new() },
        ask: Some(v1::Ask {
            lines: vec![v1::Line { sku: sku(1), quantity: 1 }],
            destination: Some(v1::Destination { to: Some(v1::destination::To::Zone("z".to_owned())) }),
            when: Some(v1::ask::When::ByDate("2026-12-24".to_owned())),
            service: "standard".to_owned(),
            ..v1::Ask::default()
        }),
        hold: hold.then_some(pbjson_types::Duration { seconds: 900, nanos: 0 }),
        ..v1::QuoteRequest::default()
    }
}

struct Round {
    rate: f64,
    /// Processor time that the served process spent a call, in microseconds.
    cpu: f64,
    /// The same of its store, where that is a process of its own.
    store: f64,
    p50: Duration,
    p99: Duration,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

async fn drive(served: &Served, call: Call, in_flight: usize, connections: usize, lasting: Duration) -> Round {
    let (address, products) = (&served.address, served.products as u64);
    let mut channels = Vec::new();
    for _ in 0..connections {
        let endpoint = Channel::from_shared(address.clone()).expect("an address").tcp_nodelay(true);
        channels.push(endpoint.connect().await.expect("a connection"));
    }
    let end = Instant::now() + lasting;
    let tasks: Vec<_> = (0..in_flight)
        .map(|i| {
            let channel = channels[i % connections].clone();
            tokio::spawn(async move {
                let mut seen = Histogram::<u64>::new_with_max(60_000_000, 3).expect("a histogram");
                let mut client = tonic::client::Grpc::new(channel);
                let path = http::uri::PathAndQuery::from_static(match call {
                    Call::Echo => echo::PATH,
                    Call::Quote | Call::Hold => "/surety.v1.PromiseService/Quote",
                });
                let encoded = match call {
                    Call::Echo => echo::Blob { body: Bytes::from(ask(false, 0).encode_to_vec()) }.encode_to_vec(),
                    Call::Quote | Call::Hold => ask(call == Call::Hold, 0).encode_to_vec(),
                };
                let name = sku(1);
                let place = encoded.windows(name.len()).position(|w| w == name.as_bytes()).filter(|_| products > 1);
                for turn in 0u64.. {
                    let begun = Instant::now();
                    if begun >= end {
                        break;
                    }
                    let mut body = encoded.clone();
                    if call == Call::Hold {
                        // The id is the first field: a tag, a length, 32 characters.
                        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                        body[2..34].copy_from_slice(request_id(number).as_bytes());
                        if let Some(at) = place {
                            // Far apart, one after the other.
                            let product = number.wrapping_mul(2_654_435_761) % products + 1;
                            body[at..at + 8].copy_from_slice(sku(product as usize).as_bytes());
                        }
                    }
                    client.ready().await.expect("a ready channel");
                    let request = tonic::Request::new(Bytes::from(body));
                    let answer =
                        client.unary(request, path.clone(), raw::RawCodec).await.expect("an answer").into_inner();
                    seen.saturating_record(begun.elapsed().as_micros() as u64);
                    if turn % 100 == 0 && call != Call::Echo {
                        let answer = v1::QuoteResponse::decode(answer).expect("a message of the contract");
                        assert_eq!(answer.verdict(), v1::Verdict::Promised);
                        assert_eq!(answer.reservation.is_some(), call == Call::Hold);
                    }
                }
                seen
            })
        })
        .collect();
    let begun = Instant::now();
    let mut all = Histogram::<u64>::new_with_max(60_000_000, 3).expect("a histogram");
    for task in tasks {
        all.add(task.await.expect("a caller")).expect("histograms of one kind");
    }
    let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
    let at = |q: f64| Duration::from_micros(all.value_at_quantile(q));
    Round { rate, cpu: 0.0, store: 0.0, p50: at(0.5), p99: at(0.99) }
}

/// Processor time that a process has spent, user and system, in seconds.
fn spent(pid: u32) -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, which may have spaces, ends with the last parenthesis; utime and stime are the 12th and 13th after it.
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / TICKS_A_SECOND
}

fn option(name: &str, default: &str) -> String {
    let args: Vec<String> = std::env::args().collect();
    args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned().unwrap_or_else(|| default.to_owned())
}

fn median(mut of: Vec<f64>) -> (f64, f64, f64) {
    of.sort_by(f64::total_cmp);
    (of[of.len() / 2], of[0], of[of.len() - 1])
}

fn generator() {
    let seconds: f64 = option("--seconds", "4").parse().expect("seconds");
    let rounds: usize = option("--rounds", "5").parse().expect("rounds");
    let connections: usize = option("--connections", "4").parse().expect("connections");
    let in_flight: Vec<usize> =
        option("--in-flight", "64,256").split(',').map(|n| n.parse().expect("a number")).collect();
    let dir = tempfile::tempdir().expect("a folder");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let memory = Served::start("memory", 0);
        let mut client = PromiseServiceClient::connect(memory.address.clone()).await.expect("a client");
        let sample = client.quote(ask(false, 0)).await.expect("an answer").into_inner();
        let (asked, answered) = (ask(false, 0).encoded_len(), sample.encoded_len());
        println!("a quote: {asked} bytes in, {answered} bytes out; the echo answers as many\n");
        let echo = Served::start("echo", answered);
        let traced = Served::start("memory+traced", 0);
        let embedded = Served::start(&format!("embedded:{}", dir.path().display()), 0);
        // Without redis-server the rest is measured all the same.
        let servers = redis::Server::start(false).zip(redis::Server::start(true)).zip(redis::Server::start(false));
        let on_redis = servers.as_ref().map(|((plain, synced), spread)| {
            [Served::on(plain, "memory", 1), Served::on(synced, "fsync", 1), Served::on(spread, "memory", MANY)]
        });
        let only = option("--only", "");
        let mut cases = vec![
            (&echo, Call::Echo, "bare echo"),
            (&memory, Call::Quote, "quote, reads only"),
            (&traced, Call::Quote, "quote, traced 1 %"),
            (&memory, Call::Hold, "hold, memory"),
            (&embedded, Call::Hold, "hold, embedded with fsync"),
        ];
        if let Some([plain, synced, spread]) = &on_redis {
            cases.push((plain, Call::Quote, "quote, on redis"));
            cases.push((plain, Call::Hold, "hold, redis"));
            cases.push((spread, Call::Hold, "hold, redis, 10,000 buckets"));
            cases.push((synced, Call::Hold, "hold, redis with fsync"));
        }
        // The echo is always there: what is measured is measured beside it.
        let cases: Vec<_> = cases.into_iter().filter(|(_, call, what)| *call == Call::Echo || what.contains(&only)).collect();
        println!("| in flight | call | a second (range) | of echo | server CPU a call | Redis CPU a call | p50 | p99 |");
        println!("|---|---|---|---|---|---|---|---|");
        for flight in in_flight {
            let mut seen: Vec<Vec<Round>> = cases.iter().map(|_| Vec::new()).collect();
            // One round of each to warm up, then rounds in turn, so that what else the machine does hits all alike.
            for round in 0..=rounds {
                for (i, (served, call, _)) in cases.iter().enumerate() {
                    let lasting = Duration::from_secs_f64(if round == 0 { 1.0 } else { seconds });
                    let spent_by = |pid: Option<u32>| pid.map_or(0.0, spent);
                    let before = (spent_by(Some(served.child.id())), spent_by(served.store));
                    let mut done = drive(served, *call, flight, connections, lasting).await;
                    let calls = done.rate * lasting.as_secs_f64();
                    done.cpu = (spent_by(Some(served.child.id())) - before.0) * 1e6 / calls;
                    done.store = (spent_by(served.store) - before.1) * 1e6 / calls;
                    if round > 0 {
                        seen[i].push(done);
                    }
                }
            }
            let echoed: Vec<f64> = seen[0].iter().map(|r| r.rate).collect();
            for (i, (served, _, what)) in cases.iter().enumerate() {
                let (rate, least, most) = median(seen[i].iter().map(|r| r.rate).collect());
                let (ratio, _, _) = median(seen[i].iter().zip(&echoed).map(|(r, e)| r.rate / e).collect());
                let (cpu, _, _) = median(seen[i].iter().map(|r| r.cpu).collect());
                let (p50, _, _) = median(seen[i].iter().map(|r| r.p50.as_secs_f64() * 1e3).collect());
                let (p99, _, _) = median(seen[i].iter().map(|r| r.p99.as_secs_f64() * 1e3).collect());
                let (store, _, _) = median(seen[i].iter().map(|r| r.store).collect());
                let store = if served.store.is_some() { format!("{store:.1} us") } else { "-".to_owned() };
                println!(
                    "| {flight} | {what} | {rate:.0} ({least:.0}-{most:.0}) | {ratio:.2} | {cpu:.1} us | {store} | {p50:.2} ms | {p99:.2} ms |"
                );
            }
        }
        for (served, call, what) in &cases {
            if *call != Call::Hold {
                continue;
            }
            let client = OperationsServiceClient::connect(served.address.clone()).await.expect("a client");
            let mut operations = client.max_decoding_message_size(1 << 30);
            let request = v1::ListBucketsRequest { site: "s".to_owned(), days: 3, ..v1::ListBucketsRequest::default() };
            let buckets = operations.list_buckets(request).await.expect("buckets").into_inner().buckets;
            let lowest = buckets.iter().map(|b| b.available).min().unwrap_or_default();
            assert!(lowest >= 0, "{what}: a bucket was drawn below zero: {lowest}");
            println!("{what}: lowest balance of {} buckets after all holds: {lowest}", buckets.len());
        }
    });
}
