//! Surety over gRPC beside a bare tonic echo of like size, in one run: each is a process of its own, one generator drives them in
//! turn, closed loop, and only the ratios count. The generator sends bytes that were encoded before and looks into one answer of a
//! hundred, so that it does the same work for all of them.
//!
//!     cargo bench --bench served -- [--seconds 4] [--rounds 5] [--in-flight 64,256] [--connections 4] [--only redis] [--workers 2]

#[path = "../../src/allocator.rs"]
mod allocator;
mod drive;
mod process;
#[path = "../redis_server.rs"]
mod redis;

use std::time::Duration;

use prost::Message;
use surety::proto::v1;
use surety::proto::v1::operations_service_client::OperationsServiceClient;
use surety::proto::v1::promise_service_client::PromiseServiceClient;

use drive::{Call, Round, ask, drive, median};
use process::{MANY, Served, option, serve_if_told};

fn main() {
    if !serve_if_told() {
        generator();
    }
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
                    let done = drive(&[*served], *call, flight, connections, lasting).await;
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
