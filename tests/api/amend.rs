//! AmendReservation: the new promise replaces the old one in one step, or the old one stays.

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::{Code, Status};

use crate::support::*;

const DAY: &str = "2026-11-24";

fn amendment(request_id: &str, ask: Ask) -> AmendReservationRequest {
    AmendReservationRequest { id: "r1".into(), request_id: request_id.into(), ask: Some(ask), accept_later: false }
}

async fn amend(server: &TestServer, request: AmendReservationRequest) -> Result<AmendReservationResponse, Status> {
    server.promises.clone().amend_reservation(request).await.map(|r| r.into_inner())
}

async fn stock(server: &TestServer) -> (i64, i64) {
    server.taken("lej.stock.mug", "2026-11-23").await
}

#[tokio::test]
async fn its_own_capacity_counts_as_free() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 4))).await;
    server.turn(60);
    let answer = amend(&server, amendment("a1", by(DAY, ask("mug", 5)))).await.unwrap();
    assert_eq!((answer.verdict(), answer.bottlenecks), (Verdict::Promised, vec![]));
    let r = answer.reservation.unwrap();
    assert_eq!((r.state(), r.version, r.id.as_str()), (State::Held, 2, "r1"));
    assert_eq!(r.ask.unwrap().lines[0].quantity, 5);
    assert_eq!((r.created_at, r.expires_at), (stamp(BEGIN), stamp("2026-11-23T08:15:00Z")), "no more time than before");
    assert_eq!(stock(&server).await, (5, 0));
    assert_eq!(server.taken("lej.van", DAY).await, (1, 0));
    let evidence = server.evidence("r1").await.unwrap();
    let whats: Vec<&str> = evidence.history.iter().map(|c| c.what.as_str()).collect();
    assert_eq!(whats, ["held", "amended"]);
    assert_eq!(evidence.draws.iter().find(|d| d.resource == "lej.stock.mug").unwrap().units, 5);
}

#[tokio::test]
async fn fewer_items_give_the_rest_back() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 5))).await;
    let answer = amend(&server, amendment("a1", by(DAY, ask("mug", 2)))).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised);
    assert_eq!(stock(&server).await, (2, 0));
    server.held("r2", by(DAY, ask("mug", 3))).await;
}

#[tokio::test]
async fn another_date_and_another_zone() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 2))).await;
    let answer = amend(&server, amendment("a1", on("2026-11-27", ask("mug", 2)))).await.unwrap();
    let r = answer.reservation.unwrap();
    assert_eq!(r.promise.unwrap().date, "2026-11-27");
    assert_eq!(r.first_date, DAY, "the date first promised, however often it was moved");
    assert_eq!((server.taken("lej.van", DAY).await, server.taken("lej.van", "2026-11-27").await), ((0, 0), (1, 0)));

    let south = Ask { destination: zone("south"), ..ask("mug", 2) };
    let answer = amend(&server, amendment("a2", south)).await.unwrap();
    let r = answer.reservation.unwrap();
    assert_eq!((r.version, r.promise.unwrap().shipments[0].lane.as_str()), (3, "south"));
    assert_eq!(
        (server.taken("lej.van", "2026-11-25").await, server.taken("lej.van", "2026-11-27").await),
        ((1, 0), (0, 0))
    );
    assert_eq!(stock(&server).await, (2, 0));
}

#[tokio::test]
async fn a_refused_amendment_keeps_the_old_promise() {
    let server = TestServer::shop().await;
    let before = server.held("r1", by(DAY, ask("mug", 2))).await.reservation.unwrap();
    let answer = amend(&server, amendment("a1", by(DAY, ask("mug", 6)))).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Unavailable);
    assert_eq!(answer.bottlenecks[0].resource, "lej.stock.mug");
    assert_eq!((answer.bottlenecks[0].wanted, answer.bottlenecks[0].available), (6, 5));
    assert_eq!(answer.reservation.unwrap(), before);
    assert_eq!(stock(&server).await, (2, 0));
    // It left no trace: the same request is asked anew when there is more.
    server.supply("lej.stock.mug", "2026-11-23", &[6]).await;
    let answer = amend(&server, amendment("a1", by(DAY, ask("mug", 6)))).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised);
    assert_eq!(stock(&server).await, (6, 0));
}

#[tokio::test]
async fn later_replaces_the_promise_only_where_later_is_accepted() {
    let server = TestServer::shop().await;
    server.supply("lej.stock.mug", "2026-11-23", &[5, 5]).await;
    let before = server.held("r1", by(DAY, ask("mug", 2))).await.reservation.unwrap();
    let request = amendment("a1", by(DAY, ask("mug", 8)));
    let answer = amend(&server, request.clone()).await.unwrap();
    assert_eq!((answer.verdict(), answer.reservation), (Verdict::Later, Some(before)));
    assert!(!answer.bottlenecks.is_empty());
    let request = AmendReservationRequest { accept_later: true, ..request };
    let answer = amend(&server, request.clone()).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Later);
    assert_eq!(answer.reservation.as_ref().unwrap().promise.as_ref().unwrap().date, "2026-11-25");
    assert_eq!(amend(&server, request).await.unwrap(), answer, "repeated, with its bottlenecks");
}

#[tokio::test]
async fn an_amendment_is_safe_to_repeat() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 2))).await;
    let request = amendment("a1", by(DAY, ask("mug", 5)));
    let first = amend(&server, request.clone()).await.unwrap();
    assert_eq!(amend(&server, request.clone()).await.unwrap(), first);
    assert_eq!(server.evidence("r1").await.unwrap().history.len(), 2);
    let other = amend(&server, amendment("a1", by(DAY, ask("mug", 1)))).await.unwrap_err();
    refusal(&other, Code::AlreadyExists);
    assert_eq!(stock(&server).await, (5, 0));
    // A later amendment is not undone by a repeat of an earlier one.
    amend(&server, amendment("a2", by(DAY, ask("mug", 1)))).await.unwrap();
    let repeat = amend(&server, request.clone()).await.unwrap();
    assert_eq!((repeat.verdict(), repeat.reservation.unwrap().version), (Verdict::Promised, 3));
    assert_eq!(stock(&server).await, (1, 0));
    // Nor is it refused once the reservation has ended: it was made.
    server.release("r1", "").await.unwrap();
    let repeat = amend(&server, request).await.unwrap();
    assert_eq!((repeat.verdict(), repeat.reservation.unwrap().state()), (Verdict::Promised, State::Released));
}

#[tokio::test]
async fn the_quote_that_made_it_still_gets_its_first_answer() {
    let server = TestServer::shop().await;
    let request = hold("r1", by(DAY, ask("mug", 2)), 900);
    let first = server.quote(request.clone()).await.unwrap();
    amend(&server, amendment("a1", by(DAY, ask("mug", 5)))).await.unwrap();
    let again = server.quote(request).await.unwrap();
    assert_eq!((again.verdict(), &again.promise), (first.verdict(), &first.promise));
    assert_eq!(again.reservation.unwrap().version, 2, "its present state");
}

#[tokio::test]
async fn what_is_confirmed_stays_confirmed() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 2))).await;
    server.confirm("r1", "order 1", false).await.unwrap();
    let r = amend(&server, amendment("a1", by(DAY, ask("mug", 5)))).await.unwrap().reservation.unwrap();
    assert_eq!((r.state(), r.expires_at, r.reference.as_str()), (State::Confirmed, None, "order 1"));
    assert_eq!(stock(&server).await, (0, 5));
}

#[tokio::test]
async fn what_has_ended_is_not_amended() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 2))).await;
    server.turn(900);
    let refused = amend(&server, amendment("a1", by(DAY, ask("mug", 1)))).await.unwrap_err();
    assert_eq!(subjects(&refused), ["r1"]);
    server.quote(hold("r2", by(DAY, ask("mug", 2)), 60)).await.unwrap();
    server.release("r2", "").await.unwrap();
    let request = AmendReservationRequest { id: "r2".into(), ..amendment("", by(DAY, ask("mug", 1))) };
    assert_eq!(subjects(&amend(&server, request).await.unwrap_err()), ["r2"]);
    assert_eq!(stock(&server).await, (0, 0));
}

#[tokio::test]
async fn a_malformed_amendment_names_its_faults() {
    let server = TestServer::shop().await;
    let request = AmendReservationRequest {
        id: String::new(),
        request_id: "x".repeat(300),
        ask: Some(by("2026-02-30", ask("mug", 0))),
        accept_later: true,
    };
    let named = faults(&amend(&server, request).await.unwrap_err());
    assert_eq!(named, ["id", "request_id", "ask.lines[0].quantity", "ask.by_date"]);
    server.held("r1", ask("mug", 1)).await;
    let refused = amend(&server, amendment("", ask("nonsense", 1))).await.unwrap_err();
    refusal(&refused, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_19_two_amendments_at_once_leave_one_promise_and_no_unit_lost() {
    for round in 0..20 {
        let server = TestServer::shop().await;
        server.held("r1", by(DAY, ask("mug", 1))).await;
        let one = amend(&server, amendment("a1", by(DAY, ask("mug", 3))));
        let other = amend(&server, amendment("a2", by(DAY, ask("mug", 5))));
        let (one, other) = tokio::join!(one, other);
        assert_eq!((one.unwrap().verdict(), other.unwrap().verdict()), (Verdict::Promised, Verdict::Promised));
        let r = server.evidence("r1").await.unwrap();
        let quantity = r.reservation.as_ref().unwrap().ask.as_ref().unwrap().lines[0].quantity;
        assert_eq!(r.reservation.unwrap().version, 3, "round {round}");
        assert_eq!(stock(&server).await, (i64::from(quantity), 0));
        assert_eq!(server.taken("lej.pack", "2026-11-23").await, (i64::from(quantity), 0));
    }
}
