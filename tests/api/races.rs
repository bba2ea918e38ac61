//! Many at once, over several connections (rules 19 and 20).

use std::sync::Arc;

use surety::proto::v1::promise_service_client::PromiseServiceClient;
use surety::proto::v1::*;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::*;

const DAY: &str = "2026-11-24";

/// Sends all requests at the same moment, over so many connections.
async fn at_once(server: &TestServer, connections: usize, requests: Vec<QuoteRequest>) -> Vec<QuoteResponse> {
    let mut clients = vec![];
    for _ in 0..connections {
        clients.push(PromiseServiceClient::new(channel(server.address).await));
    }
    let start = Arc::new(Barrier::new(requests.len()));
    let mut tasks = JoinSet::new();
    for (i, request) in requests.into_iter().enumerate() {
        let (mut client, start) = (clients[i % connections].clone(), Arc::clone(&start));
        tasks.spawn(async move {
            start.wait().await;
            client.quote(request).await.expect("a verdict, not an error").into_inner()
        });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rule_19_two_hundred_callers_for_the_last_ten_slots() {
    let server = TestServer::shop().await;
    let requests = (0..200).map(|i| hold(&format!("r{i}"), by(DAY, ask("cup", 1)), 900)).collect();
    server.supply("lej.stock.cup", "2026-11-23", &[500]).await;
    server.supply("lej.pack", "2026-11-23", &[500]).await;
    let answers = at_once(&server, 8, requests).await;
    let promised = answers.iter().filter(|a| a.verdict() == Verdict::Promised).count();
    assert_eq!(promised, 10, "the van takes ten");
    assert!(answers.iter().all(|a| (a.verdict() == Verdict::Promised) == a.reservation.is_some()));
    for later in answers.iter().filter(|a| a.verdict() != Verdict::Promised) {
        assert_eq!(later.verdict(), Verdict::Later);
        assert_eq!(later.promise.as_ref().unwrap().date, "2026-11-25");
        assert_eq!((later.bottlenecks[0].resource.as_str(), later.bottlenecks[0].available), ("lej.van", 0));
    }
    let van = server.bucket("lej.van", DAY).await;
    assert_eq!((van.held, van.available), (10, 0));
    assert_eq!(server.taken("lej.stock.cup", "2026-11-23").await, (10, 0), "who got no slot took nothing else");
    assert_eq!(server.taken("lej.van", "2026-11-25").await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rule_19_who_is_beaten_is_planned_again_on_what_is_left() {
    let server = TestServer::shop().await;
    let asked = |i| QuoteRequest { accept_later: true, ..hold(&format!("r{i}"), by(DAY, ask("card", 1)), 900) };
    let answers = at_once(&server, 4, (0..55).map(asked).collect()).await;
    let mut dates: Vec<String> = answers.iter().map(|a| a.promise.as_ref().unwrap().date.clone()).collect();
    dates.sort();
    let count = |date: &str| dates.iter().filter(|d| *d == date).count();
    // Ten a day; what is packed on Friday arrives on Saturday, and what leaves on Saturday on Sunday.
    let counts: Vec<usize> = (24..=29).map(|day| count(&format!("2026-11-{day}"))).collect();
    assert_eq!(counts, [10, 10, 10, 10, 10, 5]);
    for answer in &answers {
        let reservation = answer.reservation.as_ref().unwrap();
        assert_eq!(reservation.promise, answer.promise, "what was answered is what was taken");
        assert_eq!(answer.verdict() == Verdict::Promised, answer.promise.as_ref().unwrap().date == DAY);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rule_20_twins_with_one_request_id_take_once_and_hear_the_same() {
    for round in 0..20 {
        let server = TestServer::shop().await;
        let twins = vec![hold("r1", by(DAY, ask("mug", 5)), 900); 16];
        let answers = at_once(&server, 4, twins).await;
        assert!(answers.iter().all(|a| *a == answers[0]), "round {round}: {answers:#?}");
        assert_eq!(answers[0].verdict(), Verdict::Promised);
        assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (5, 0));
        assert_eq!(server.evidence("r1").await.unwrap().history.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rule_19_two_shoppers_and_the_last_unit() {
    let server = TestServer::shop().await;
    for round in 0..50 {
        server.supply("lej.stock.mug", "2026-11-23", &[round + 1]).await;
        let shopper = |name: &str| hold(&format!("{name}{round}"), by(DAY, ask("mug", 1)), 900);
        let answers = at_once(&server, 2, vec![shopper("a"), shopper("b")]).await;
        let mut verdicts: Vec<Verdict> = answers.iter().map(|a| a.verdict()).collect();
        verdicts.sort();
        assert_eq!(verdicts, [Verdict::Promised, Verdict::Unavailable], "round {round}");
        // The day's van is not what they race for.
        server.supply("lej.van", DAY, &[100]).await;
    }
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (50, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rule_21_confirm_release_and_expiry_at_once_give_back_once() {
    for round in 0..30 {
        let server = TestServer::shop().await;
        server.held("r1", by(DAY, ask("mug", 2))).await;
        server.held("r2", by(DAY, ask("mug", 3))).await;
        let start = Barrier::new(4);
        let turn = async {
            start.wait().await;
            server.turn(900);
        };
        let confirm = async {
            start.wait().await;
            server.confirm("r1", "", false).await
        };
        let release = async {
            start.wait().await;
            server.release("r1", "").await.unwrap()
        };
        let extend = async {
            start.wait().await;
            server.extend("r2", 1_800).await
        };
        let ((), confirmed, released, extended) = tokio::join!(turn, confirm, release, extend);
        // Whatever came first: nothing is left of r1, all of r2 or nothing.
        let r2 = if extended.is_ok() { 3 } else { 0 };
        let state = server.state("r1").await;
        assert_eq!(state, released.state());
        if confirmed.is_ok() && state == reservation::State::Confirmed {
            panic!("round {round}: a release was lost");
        }
        until("what expired is given back", async || server.taken("lej.stock.mug", "2026-11-23").await == (r2, 0))
            .await;
        assert_eq!(server.taken("lej.pack", "2026-11-23").await, (r2, 0), "round {round}");
    }
}
