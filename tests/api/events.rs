//! WatchEvents: everything that happened, in order, from a cursor on, at least once.

use std::time::Duration;

use surety::proto::v1::reservation::State;
use surety::proto::v1::watch_events_response::Event;
use surety::proto::v1::*;
use tonic::Streaming;

use crate::support::*;

const DAY: &str = "2026-11-24";

async fn watch(server: &TestServer, cursor: &str) -> Streaming<WatchEventsResponse> {
    let request = WatchEventsRequest { cursor: cursor.into() };
    server.operations.clone().watch_events(request).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<WatchEventsResponse>) -> WatchEventsResponse {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an event in time");
    message.unwrap().expect("not the end")
}

/// All that comes until nothing does.
async fn drain(stream: &mut Streaming<WatchEventsResponse>) -> Vec<WatchEventsResponse> {
    let mut events = vec![];
    while let Ok(message) = tokio::time::timeout(Duration::from_millis(200), stream.message()).await {
        events.push(message.unwrap().expect("not the end"));
    }
    events
}

fn reservations(events: &[WatchEventsResponse]) -> Vec<(String, State, i64)> {
    let told = events.iter().filter_map(|e| match &e.event {
        Some(Event::ReservationChanged(r)) => Some((r.id.clone(), r.state(), r.version)),
        _ => None,
    });
    told.collect()
}

#[tokio::test]
async fn from_the_oldest_everything_is_told_in_order() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 2))).await;
    server.confirm("r1", "", false).await.unwrap();
    server.held("r2", by(DAY, ask("mug", 1))).await;
    server.turn(900);
    server.held("r3", by(DAY, ask("mug", 3))).await;
    server.release("r3", "").await.unwrap();
    server.apply(Network { channels: vec![], ..shop() }).await.unwrap();

    let events = drain(&mut watch(&server, "0").await).await;
    assert!(matches!(events[0].event, Some(Event::NetworkVersion(1))), "{:?}", events[0]);
    let applied = events.iter().position(|e| matches!(e.event, Some(Event::NetworkVersion(2)))).expect("told");
    assert!(events[applied..].iter().all(|e| !matches!(e.event, Some(Event::ReservationChanged(_)))));
    let expected = [
        ("r1", State::Held, 1),
        ("r1", State::Confirmed, 2),
        ("r2", State::Held, 1),
        ("r2", State::Expired, 2),
        ("r3", State::Held, 1),
        ("r3", State::Released, 2),
    ];
    assert_eq!(reservations(&events), expected.map(|(id, state, version)| (id.to_owned(), state, version)));
    let cursors: Vec<u64> = events.iter().map(|e| e.cursor.parse().expect("a number")).collect();
    assert!(cursors.is_sorted(), "{cursors:?}");
    let times: Vec<_> = events.iter().map(|e| e.at.unwrap().seconds).collect();
    assert!(times.is_sorted(), "{times:?}");
    let mug = events.iter().filter_map(|e| match &e.event {
        Some(Event::BucketChanged(b)) if b.resource == "lej.stock.mug" => {
            Some((b.supply, b.held, b.confirmed, b.available))
        }
        _ => None,
    });
    let mug: Vec<_> = mug.collect();
    assert_eq!(mug[0], (5, 0, 0, 5));
    assert_eq!(mug[1], (5, 2, 0, 3));
    assert_eq!(mug[2], (5, 0, 2, 3));
    assert_eq!(*mug.last().unwrap(), (5, 0, 2, 3));
}

#[tokio::test]
async fn from_now_on_only_what_comes_is_told() {
    let server = TestServer::shop().await;
    server.held("before", by(DAY, ask("mug", 1))).await;
    let mut stream = watch(&server, "").await;
    server.held("after", by(DAY, ask("mug", 1))).await;
    let events = drain(&mut stream).await;
    assert_eq!(reservations(&events), [("after".to_owned(), State::Held, 1)]);
}

#[tokio::test]
async fn who_goes_on_from_any_cursor_misses_nothing() {
    let server = TestServer::shop().await;
    for i in 0..5 {
        server.held(&format!("r{i}"), by(DAY, ask("mug", 1))).await;
    }
    let all = drain(&mut watch(&server, "0").await).await;
    for (i, event) in all.iter().enumerate() {
        let mut stream = watch(&server, &event.cursor).await;
        let rest = &all[i + 1..];
        let mut told = vec![];
        while told.len() < rest.len() {
            told.push(next(&mut stream).await);
        }
        // At least once: what comes may begin with what was seen already, but must end with all of the rest.
        loop {
            if told.ends_with(rest) {
                break;
            }
            told.push(next(&mut stream).await);
        }
        assert!(all.ends_with(&told), "in order, from event {i}");
    }
}

#[tokio::test]
async fn many_events_reach_a_follower_that_is_behind() {
    let server = TestServer::shop().await;
    server.supply("lej.stock.mug", "2026-11-23", &[5]).await;
    let mut stream = watch(&server, "").await;
    for i in 0..400 {
        server.held(&format!("r{i}"), by(DAY, ask("mug", 1))).await;
        server.release(&format!("r{i}"), "").await.unwrap();
    }
    let mut seen = vec![];
    while seen.len() < 800 {
        if let Some(Event::ReservationChanged(r)) = next(&mut stream).await.event {
            let state = r.state();
            seen.push((r.id, state));
        }
    }
    let expected = (0..400).flat_map(|i| [(format!("r{i}"), State::Held), (format!("r{i}"), State::Released)]);
    assert!(seen.into_iter().eq(expected));
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused() {
    let server = TestServer::shop().await;
    for cursor in ["-1", "latest", " 1", "99999999999999999999999", "1.5"] {
        let request = WatchEventsRequest { cursor: cursor.into() };
        let status = server.operations.clone().watch_events(request).await.unwrap_err();
        assert_eq!(faults(&status), ["cursor"], "{cursor}");
    }
}

#[tokio::test]
async fn networks_have_events_of_their_own() {
    let server = TestServer::shop().await;
    let applied = ApplyNetworkRequest { network: Some(shop()), validate_only: false };
    server.operations.clone().apply_network(to("b", applied)).await.unwrap();
    let mut stream = server
        .operations
        .clone()
        .watch_events(to("b", WatchEventsRequest { cursor: "0".into() }))
        .await
        .unwrap()
        .into_inner();
    server.held("r1", by(DAY, ask("mug", 1))).await;
    let events = drain(&mut stream).await;
    assert_eq!(events.len(), 1, "{events:?}");
}
