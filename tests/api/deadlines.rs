//! Callers that go away, and more callers than there is room for.

use std::time::Duration;

use prost::Message;
use surety::proto::v1::*;
use surety::server::Store;
use tokio::task::JoinSet;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;

use crate::raw::Client;
use crate::support::*;

const QUOTE: &str = "/surety.v1.PromiseService/Quote";
const DAY: &str = "2026-11-24";

fn request(i: usize) -> QuoteRequest {
    hold(&format!("r{i}"), by(DAY, ask("card", 1)), 900)
}

async fn roomy(store: Store) -> TestServer {
    let server = TestServer::with(|config| {
        config.network = Some(shop());
        config.store = store;
    })
    .await;
    server.supply("lej.pack", "2026-11-23", &[5_000]).await;
    server.supply("lej.van", DAY, &[5_000]).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_stays_taken_for_callers_whose_deadline_passed() {
    let dir = tempfile::tempdir().unwrap();
    let server = roomy(Store::Embedded(dir.path().join("ledger"))).await;
    let mut clients = vec![];
    for _ in 0..4 {
        clients.push(Client::connect(server.address).await);
    }
    let mut calls = JoinSet::new();
    for i in 0..400 {
        let mut client = clients[i % 4].clone();
        let timeout = ["1m", "3m", "10m", "400u"][i / 4 % 4];
        calls.spawn(async move { client.call::<QuoteResponse>(QUOTE, &request(i), Some(timeout)).await });
    }
    let (mut acknowledged, mut late) = (0, 0);
    for answer in calls.join_all().await {
        match answer {
            Ok(answer) => {
                assert_eq!(answer.verdict(), Verdict::Promised);
                acknowledged += 1;
            }
            Err(status) => {
                let details = refusal(&status, Code::DeadlineExceeded);
                assert_eq!(details.error_info().unwrap().reason, "DEADLINE_EXCEEDED");
                late += 1;
            }
        }
    }
    assert!(late > 0, "deadlines of a millisecond with 400 holds in flight are missed");
    // What was being written when the last of them was told is given back in the turn after, and both of these come behind it.
    let behind = server.quote(hold("behind", by(DAY, ask("card", 1)), 900)).await.unwrap().reservation.unwrap();
    server.release(&behind.id, "barrier").await.unwrap();
    // The clock stands still, so it is not their expiry that gives them back.
    assert_eq!(server.taken("lej.van", DAY).await, (acknowledged, 0));
    assert_eq!(server.taken("lej.pack", "2026-11-23").await, (acknowledged, 0));

    // The same requests sent again get it, each once.
    let mut calls = JoinSet::new();
    for i in 0..400 {
        let mut client = clients[i % 4].clone();
        calls.spawn(async move { client.call::<QuoteResponse>(QUOTE, &request(i), None).await });
    }
    for answer in calls.join_all().await {
        let answer = answer.unwrap();
        assert_eq!(answer.verdict(), Verdict::Promised);
        assert_eq!(answer.reservation.unwrap().state(), reservation::State::Held);
    }
    assert_eq!(server.taken("lej.van", DAY).await, (400, 0));
    server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_stays_taken_for_callers_whose_connection_broke() {
    let server = roomy(Store::Memory).await;
    for round in 0..10 {
        let mut calls = JoinSet::new();
        // Each its own connection, cut while the call is on its way.
        for i in 0..20 {
            let address = server.address;
            calls.spawn(async move {
                let channel = channel(address).await;
                let mut client = promise_service_client::PromiseServiceClient::new(channel);
                let call = client.quote(request(round * 100 + i));
                let patience = Duration::from_micros(50 * i as u64);
                tokio::time::timeout(patience, call).await.is_ok_and(|answer| answer.is_ok())
            });
        }
        calls.join_all().await;
    }
    // An answer may have been on its way when its caller left: those holds are known to the server as told. Asked again,
    // every request gets what it asked for, and all of them together what they are.
    for i in (0..1_000).filter(|i| i % 100 < 20) {
        let answer = server.quote(request(i)).await.unwrap();
        assert_eq!(answer.reservation.unwrap().state(), reservation::State::Held);
    }
    assert_eq!(server.taken("lej.van", DAY).await, (200, 0));
    assert_eq!(server.reservations(Default::default()).await.unwrap().reservations.len(), 100);
}

#[tokio::test]
async fn a_call_beyond_the_limit_is_refused_at_once_and_told_when_to_come_again() {
    let server = TestServer::with(|config| {
        config.network = Some(shop());
        config.max_requests = 1;
    })
    .await;
    let mut slow = Client::connect(server.address).await;
    let begun = slow.begin(QUOTE, None).await;
    until("the slow call is in", async || server.quote(read(ask("card", 1))).await.is_err()).await;
    let refused = server.quote(hold("r1", ask("card", 1), 60)).await.unwrap_err();
    let details = refusal(&refused, Code::ResourceExhausted);
    assert!(details.retry_info().unwrap().retry_delay.is_some_and(|d| !d.is_zero()));
    // Probes are exempt, and so are other limits.
    let mut health = server.health().await;
    let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status, 1);
    let mut watching =
        server.promises.clone().watch_quote(WatchQuoteRequest { ask: Some(ask("card", 1)) }).await.unwrap();
    assert!(watching.get_mut().message().await.unwrap().is_some());

    let answer = begun.finish(&hold("r0", ask("card", 1), 60).encode_to_vec()).await.unwrap();
    assert!(QuoteResponse::decode(answer).unwrap().reservation.is_some());
    until("there is room again", async || server.quote(read(ask("card", 1))).await.is_ok()).await;
    refusal(&server.evidence("r1").await.unwrap_err(), Code::NotFound);
    server.quote(hold("r1", ask("card", 1), 60)).await.unwrap();
}

#[tokio::test]
async fn streams_have_a_limit_of_their_own() {
    let server = TestServer::with(|config| {
        config.network = Some(shop());
        config.max_streams = 2;
    })
    .await;
    let open = async || {
        let request = WatchQuoteRequest { ask: Some(ask("card", 1)) };
        server.promises.clone().watch_quote(request).await.map(|r| r.into_inner())
    };
    let (first, _second) = (open().await.unwrap(), open().await.unwrap());
    let refused = open().await.unwrap_err();
    assert!(refusal(&refused, Code::ResourceExhausted).retry_info().is_some());
    assert_eq!(server.quote(read(ask("card", 1))).await.unwrap().verdict(), Verdict::Promised);
    drop(first);
    until("the place of the one that ended is free", async || open().await.is_ok()).await;
}

#[tokio::test]
async fn a_call_that_takes_longer_than_the_server_allows_is_ended() {
    let server = TestServer::with(|config| {
        config.network = Some(shop());
        config.max_unary = Duration::from_millis(50);
    })
    .await;
    let mut slow = Client::connect(server.address).await;
    // Its message never comes.
    let begun = slow.begin(QUOTE, Some("1H")).await;
    let refused = begun.headers_only().await;
    refusal(&refused, Code::DeadlineExceeded);
}
