//! The generator: drives services in a closed loop over some connections. It sends bytes that were encoded before and looks into one
//! answer of a hundred, so that it does the same work for all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use prost::Message;
use prost::bytes::Bytes;
use surety::proto::v1;
use tonic::transport::Channel;

use super::process::{Served, sku, spent};
use surety::load::{echo, raw};

/// What is called.
#[derive(Clone, Copy, PartialEq)]
pub enum Call {
    Echo,
    Quote,
    Hold,
}

/// The request id of this number.
fn request_id(number: u64) -> String {
    format!("{:032x}", u128::from(number) | 1 << 96)
}

/// The question, or the same with a hold.
pub fn ask(hold: bool, number: u64) -> v1::QuoteRequest {
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

/// What one round came to.
pub struct Round {
    /// Calls a second.
    pub rate: f64,
    /// Processor time that the served process spent a call, in microseconds.
    pub cpu: f64,
    /// The same of its store, where that is a process of its own.
    pub store: f64,
    pub p50: Duration,
    pub p99: Duration,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Drives services that are alike, closed loop: so many calls in flight and so many connections in all, shared out evenly. What the
/// processes spent is told a call: that of the services in all, and that of the store of the first.
pub async fn drive(services: &[&Served], call: Call, in_flight: usize, connections: usize, lasting: Duration) -> Round {
    let store = services[0].store;
    let spent_by_all = || services.iter().map(|served| spent(served.pid())).sum::<f64>();
    let before = (spent_by_all(), store.map_or(0.0, spent));
    let mut round = closed_loop(services, call, in_flight, connections, lasting).await;
    let calls = round.rate * lasting.as_secs_f64();
    round.cpu = (spent_by_all() - before.0) * 1e6 / calls;
    round.store = (store.map_or(0.0, spent) - before.1) * 1e6 / calls;
    round
}

async fn closed_loop(
    services: &[&Served],
    call: Call,
    in_flight: usize,
    connections: usize,
    lasting: Duration,
) -> Round {
    let products = services[0].products as u64;
    let mut channels = Vec::new();
    for i in 0..connections {
        let address = services[i % services.len()].address.clone();
        let endpoint = Channel::from_shared(address).expect("an address").tcp_nodelay(true);
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

/// The median, the least and the most.
pub fn median(mut of: Vec<f64>) -> (f64, f64, f64) {
    of.sort_by(f64::total_cmp);
    (of[of.len() / 2], of[0], of[of.len() - 1])
}
