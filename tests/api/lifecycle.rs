//! Health, reflection, and how the service ends.

use std::time::{Duration, Instant};

use prost::Message;
use surety::proto::v1::*;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::raw::Client;
use crate::support::*;

const SERVICES: [&str; 4] = ["", "surety.v1.PromiseService", "surety.v1.OperationsService", "surety.v1.OfferService"];

fn probe(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

#[tokio::test]
async fn a_server_that_has_begun_is_serving_also_without_a_network() {
    let server = TestServer::empty().await;
    let mut health = server.health().await;
    for service in SERVICES {
        let answer = health.check(probe(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    assert_eq!(health.check(probe("no.such.Service")).await.unwrap_err().code(), Code::NotFound);
    // And what it says is true.
    server.apply(shop()).await.unwrap();
    server.stopped().await;
}

#[tokio::test]
async fn reflection_tells_what_is_served() {
    let server = TestServer::empty().await;
    let mut client = ServerReflectionClient::new(channel(server.address).await);
    let ask = |message_request| ServerReflectionRequest { host: String::new(), message_request: Some(message_request) };
    let asked = vec![
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("surety.v1.PromiseService".into())),
        ask(MessageRequest::FileContainingSymbol("surety.v1.Network".into())),
    ];
    let mut answers = client.server_reflection_info(tokio_stream::iter(asked)).await.unwrap().into_inner();
    let mut next = async || answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(listed) = next().await else { panic!("not a list") };
    let names: Vec<String> = listed.service.into_iter().map(|s| s.name).collect();
    for service in SERVICES[1..].iter().chain(&["grpc.health.v1.Health"]) {
        assert!(names.iter().any(|n| n == service), "{service} is not among {names:?}");
    }
    for _ in 0..2 {
        let MessageResponse::FileDescriptorResponse(files) = next().await else { panic!("not a file") };
        assert!(!files.file_descriptor_proto.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_says_so_answers_what_is_in_flight_ends_streams_and_closes_the_port() {
    let server = TestServer::shop().await;
    let mut watched = server.health().await.watch(probe("")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let request = WatchQuoteRequest { ask: Some(ask("card", 1)) };
    let mut quotes = server.promises.clone().watch_quote(request).await.unwrap().into_inner();
    assert!(quotes.message().await.unwrap().is_some());
    let request = WatchEventsRequest { cursor: String::new() };
    let mut events = server.operations.clone().watch_events(request).await.unwrap().into_inner();
    let mut slow = Client::connect(server.address).await;
    let hold_in_flight = slow.begin("/surety.v1.PromiseService/Quote", None).await;
    // The server has seen its headers once it has answered what came after them on the same connection.
    slow.call::<GetReservationResponse>(
        "/surety.v1.PromiseService/GetReservation",
        &GetReservationRequest { id: "none".into() },
        None,
    )
    .await
    .unwrap_err();

    server.stop.cancel();
    let told = tokio::time::timeout(PATIENCE, watched.message()).await.expect("told in time").unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::NotServing);
    for end in [
        tokio::time::timeout(PATIENCE, async { quotes.message().await.map(|m| m.is_some()) }).await,
        tokio::time::timeout(PATIENCE, async { events.message().await.map(|m| m.is_some()) }).await,
    ] {
        match end.expect("the stream ends") {
            Ok(more) => assert!(!more, "told something although nothing happened"),
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
    }
    assert!(!server.task.is_finished(), "a call is in flight");
    let answer = hold_in_flight.finish(&hold("r1", ask("card", 1), 60).encode_to_vec()).await.unwrap();
    assert_eq!(QuoteResponse::decode(answer).unwrap().verdict(), Verdict::Promised);
    drop((watched, quotes, events));
    let address = server.address;
    server.stopped().await;
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_watches_health_does_not_hold_up_the_end() {
    let server = TestServer::shop().await;
    let mut watched = server.health().await.watch(probe("")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let stopping = Instant::now();
    let stopped = tokio::spawn(server.stopped());
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    // The watcher stays: balancers do. The time to drain is 10 s here.
    stopped.await.unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(5), "{:?}", stopping.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_is_never_finished_does_not_hold_up_the_end() {
    let server = TestServer::shop().await;
    let (messages, stream) = tokio::sync::mpsc::channel(1);
    let mut operations = server.operations.clone();
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let loading = tokio::spawn(async move { operations.set_supply(stream).await });
    messages.send(plan(&[("lej.van", "2026-11-24", &[3])])).await.unwrap();
    until("the first message is in", async || server.bucket("lej.van", "2026-11-24").await.supply == 3).await;
    let stopping = Instant::now();
    server.stopped().await;
    assert!(stopping.elapsed() < Duration::from_secs(5), "{:?}", stopping.elapsed());
    let told = tokio::time::timeout(PATIENCE, loading).await.expect("an end").unwrap().unwrap_err();
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_in_flight_when_it_is_told_to_stop_is_done_or_was_never_begun() {
    let dir = tempfile::tempdir().unwrap();
    let store = surety::server::Store::Embedded(dir.path().join("ledger"));
    let server = TestServer::with(|config| {
        config.network = Some(shop());
        config.store = store.clone();
    })
    .await;
    server.supply("lej.van", "2026-11-24", &[10_000]).await;
    server.supply("lej.pack", "2026-11-23", &[10_000]).await;
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..300 {
        let mut promises = server.promises.clone();
        let id = format!("r{i}");
        calls.spawn(async move {
            let answer = promises.quote(hold(&id, by("2026-11-24", ask("card", 1)), 900)).await;
            (id, answer)
        });
    }
    let mut acknowledged = vec![];
    while let Some(call) = calls.join_next().await {
        let (id, answer) = call.unwrap();
        match answer {
            Ok(_) => acknowledged.push(id),
            // Their connection was being closed: they were never begun, or given back. What clients make of that differs.
            Err(status) => {
                assert!(
                    matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal)
                        && status.details().is_empty(),
                    "{status:?}"
                );
            }
        }
        server.stop.cancel();
    }
    server.stopped().await;
    assert!(!acknowledged.is_empty());

    let server = TestServer::with(|config| config.store = store).await;
    for id in &acknowledged {
        assert_eq!(server.state(id).await, reservation::State::Held, "{id}");
    }
    assert_eq!(server.taken("lej.van", "2026-11-24").await, (acknowledged.len() as i64, 0));
    server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_health_is_told_before_the_port_is_closed() {
    let server = TestServer::with(|config| {
        config.network = Some(shop());
        config.notice = Duration::from_secs(1);
    })
    .await;
    server.stop.cancel();
    until("health says not serving", async || {
        // On a connection of its own each time, as probes do.
        let answer = server.health().await.check(probe("surety.v1.PromiseService")).await.unwrap().into_inner();
        answer.status() == ServingStatus::NotServing
    })
    .await;
    let answer = server.quote(hold("r1", ask("card", 1), 60)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised, "who has not looked yet is served");
    server.stopped().await;
}
