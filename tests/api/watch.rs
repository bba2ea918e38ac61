//! WatchQuote: the answer now, and again each time it changes, and not otherwise.

use std::time::Duration;

use surety::proto::v1::*;
use tonic::{Code, Streaming};

use crate::support::*;

const DAY: &str = "2026-11-24";
/// Longer than any change needs to be told of, on a busy machine too.
const SILENCE: Duration = Duration::from_millis(300);

async fn watch(server: &TestServer, ask: Ask) -> Streaming<WatchQuoteResponse> {
    server.promises.clone().watch_quote(WatchQuoteRequest { ask: Some(ask) }).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<WatchQuoteResponse>) -> QuoteResponse {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an answer in time");
    message.unwrap().expect("not the end").quote.unwrap()
}

async fn silent(stream: &mut Streaming<WatchQuoteResponse>) {
    let message = tokio::time::timeout(SILENCE, stream.message()).await;
    assert!(message.is_err(), "told although nothing changed: {message:?}");
}

#[tokio::test]
async fn it_answers_at_once_again_when_another_takes_it_and_not_otherwise() {
    let server = TestServer::shop().await;
    let mut stream = watch(&server, by(DAY, ask("mug", 3))).await;
    let first = next(&mut stream).await;
    assert_eq!((first.verdict(), first.reservation), (Verdict::Promised, None));
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (0, 0), "it takes nothing");

    // What others take of it without changing this answer is no news.
    server.held("r1", by(DAY, ask("mug", 1))).await;
    server.supply("lej.stock.cup", "2026-12-01", &[50]).await;
    server.turn(1);
    silent(&mut stream).await;

    server.held("r2", by(DAY, ask("mug", 2))).await;
    let second = next(&mut stream).await;
    assert_eq!(second.verdict(), Verdict::Unavailable);
    assert_eq!((second.bottlenecks[0].wanted, second.bottlenecks[0].available), (3, 2));
    silent(&mut stream).await;

    server.release("r2", "").await.unwrap();
    assert_eq!(next(&mut stream).await.verdict(), Verdict::Promised);
    silent(&mut stream).await;
}

#[tokio::test]
async fn it_answers_again_when_a_hold_expires_and_when_the_cutoff_passes() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 5))).await;
    let mut stream = watch(&server, by(DAY, ask("mug", 3))).await;
    assert_eq!(next(&mut stream).await.verdict(), Verdict::Unavailable);
    server.turn(900);
    assert_eq!(next(&mut stream).await.verdict(), Verdict::Promised);
    server.clock.set(at("2026-11-23T13:00:01Z"));
    let late = next(&mut stream).await;
    assert_eq!((late.verdict(), late.promise.unwrap().date.as_str()), (Verdict::Later, "2026-11-25"));
}

#[tokio::test]
async fn it_answers_again_when_the_network_changes_and_ends_when_there_is_no_answer_any_more() {
    let server = TestServer::shop().await;
    let mut stream = watch(&server, ask("card", 1)).await;
    assert_eq!(next(&mut stream).await.promise.unwrap().date, DAY);
    let mut slower = shop();
    slower.lanes[0].transit_days = 3;
    server.apply(slower.clone()).await.unwrap();
    assert_eq!(next(&mut stream).await.promise.unwrap().date, "2026-11-26");
    slower.products.retain(|p| p.sku != "card");
    server.apply(slower).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an end in time").unwrap_err();
    refusal(&end, Code::NotFound);
}

#[tokio::test]
async fn what_is_wrong_with_the_ask_is_said_at_once() {
    let server = TestServer::shop().await;
    let mut promises = server.promises.clone();
    let wrong = WatchQuoteRequest { ask: Some(by("2026-02-30", ask("mug", 0))) };
    let named = faults(&promises.watch_quote(wrong).await.unwrap_err());
    assert_eq!(named, ["ask.lines[0].quantity", "ask.by_date"]);
    let unknown = WatchQuoteRequest { ask: Some(ask("nothing", 1)) };
    refusal(&promises.watch_quote(unknown).await.unwrap_err(), Code::NotFound);
}

#[tokio::test]
async fn a_slow_reader_gets_the_newest_answer_and_holds_nobody_up() {
    let server = TestServer::shop().await;
    let mut stream = watch(&server, by(DAY, ask("mug", 5))).await;
    for i in 0..200 {
        server.held(&format!("r{i}"), by(DAY, ask("mug", 1))).await;
        server.release(&format!("r{i}"), "").await.unwrap();
    }
    server.held("last", by(DAY, ask("mug", 1))).await;
    // Every answer counts, also one that comes in what was taken for silence: two that say no in turn may differ in their reasons.
    let (mut told, mut newest, begun) = (0, None, std::time::Instant::now());
    loop {
        match tokio::time::timeout(SILENCE, next(&mut stream)).await {
            Ok(answer) => (told, newest) = (told + 1, Some(answer.verdict())),
            Err(_) if newest == Some(Verdict::Unavailable) => break,
            Err(_) => assert!(begun.elapsed() < PATIENCE, "the newest answer that came is {newest:?}"),
        }
    }
    assert!(told < 400, "{told}");
}
