//! ReportFulfilment: what became of the promises; backlog; and how sure the next ones are.

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::Code;

use crate::outcome::*;
use crate::support::*;

const DAY: &str = "2026-11-24";
const SHIPPED: &str = "2026-11-23T16:00:00Z";
const ARRIVED: &str = "2026-11-24T11:00:00Z";

/// Late on the day of arrival.
async fn after_arrival() -> TestServer {
    let server = TestServer::shop().await;
    for i in 0..4 {
        server.confirmed(&format!("r{i}"), by(DAY, ask("card", 1))).await;
    }
    server.held("held", ask("card", 1)).await;
    server.turn(30 * 3600);
    server
}

#[tokio::test]
async fn rule_22_what_was_delivered_keeps_its_draws_and_counts_once() {
    let server = after_arrival().await;
    let told = server.report(vec![shipped("r0", SHIPPED), delivered("r1", ARRIVED)]).await.unwrap();
    assert_eq!((told.shipped, told.fulfilled, told.unknown_ids.len(), told.refused.len()), (1, 1, 0, 0));
    let r = server.reservation("r0").await;
    assert_eq!((r.state(), r.shipped_at, r.delivered_at), (State::Confirmed, stamp(SHIPPED), None));
    let r = server.reservation("r1").await;
    assert_eq!((r.state(), r.shipped_at, r.delivered_at), (State::Fulfilled, None, stamp(ARRIVED)));
    let van = server.bucket("lej.van", DAY).await;
    assert_eq!((van.confirmed, van.available), (4, 6), "used up");
    let both = Fulfilment { shipped_at: stamp(SHIPPED), ..delivered("r2", ARRIVED) };
    let told = server.report(vec![both.clone(), delivered("r0", ARRIVED), both, shipped("r0", SHIPPED)]).await.unwrap();
    assert_eq!((told.shipped, told.fulfilled), (1, 2), "each once; r0 had left before");
    // Shipped, then delivered, in one report.
    let told = server.report(vec![shipped("r3", SHIPPED), delivered("r3", ARRIVED)]).await.unwrap();
    assert_eq!((told.shipped, told.fulfilled), (1, 1));
    assert_eq!(server.story("r3").await, ["held", "confirmed", "shipped", "fulfilled"]);
    // Reports come in any order: when r1 left is told after its arrival.
    let told = server.report(vec![shipped("r1", SHIPPED)]).await.unwrap();
    assert_eq!((told.shipped, told.fulfilled), (1, 0));
    let r = server.reservation("r1").await;
    assert_eq!((r.state(), r.shipped_at), (State::Fulfilled, stamp(SHIPPED)));
    let card = server.card("", "").await;
    assert_eq!((card.fulfilled, card.kept, card.late, card.backlog), (4, 4, 0, 0));
    // Confirming or fulfilling again is a success and changes nothing.
    assert_eq!(server.confirm("r3", "", false).await.unwrap().state(), State::Fulfilled);
}

#[tokio::test]
async fn what_can_t_be_is_told_each_with_its_reason_and_the_rest_is_done() {
    let server = after_arrival().await;
    server.release("r0", "").await.unwrap();
    let told = server
        .report(vec![
            delivered("nobody", ARRIVED),
            delivered("r0", ARRIVED),
            delivered("held", ARRIVED),
            delivered("r1", ARRIVED),
            shipped("nobody-2", ARRIVED),
        ])
        .await
        .unwrap();
    assert_eq!(told.unknown_ids, ["nobody", "nobody-2"]);
    let refused: Vec<_> = told.refused.iter().map(|r| (&*r.id, r.state())).collect();
    assert_eq!(refused, [("r0", State::Released), ("held", State::Expired)]);
    assert!(told.refused.iter().all(|r| !r.reason.is_empty()));
    assert_eq!(told.fulfilled, 1);
    // Delivered before it was shipped, by an earlier report.
    server.report(vec![shipped("r2", ARRIVED)]).await.unwrap();
    let told = server.report(vec![delivered("r2", SHIPPED)]).await.unwrap();
    assert_eq!((told.refused[0].state(), told.fulfilled), (State::Confirmed, 0));
}

#[tokio::test]
async fn wrong_reports_name_every_fault_and_do_nothing() {
    let server = after_arrival().await;
    let wrong = vec![
        delivered("r0", ARRIVED),
        Fulfilment { id: "r1".into(), ..Default::default() },
        delivered("r2", "2027-01-01T00:00:00Z"),
        Fulfilment { shipped_at: stamp(ARRIVED), ..delivered("", SHIPPED) },
    ];
    let named = faults(&server.report(wrong).await.unwrap_err());
    let expected = ["[1].shipped_at", "[2].delivered_at", "[3].delivered_at", "[3].id"];
    assert_eq!(named, expected.map(|path| format!("fulfilments{path}")));
    assert_eq!(server.state("r0").await, State::Confirmed);
    assert_eq!(server.report(vec![]).await.unwrap(), ReportFulfilmentResponse::default());
    let many = vec![delivered("r0", ARRIVED); 1_001];
    assert_eq!(faults(&server.report(many).await.unwrap_err()), ["fulfilments"]);
}

#[tokio::test]
async fn what_has_left_is_neither_released_amended_nor_re_promised() {
    let server = after_arrival().await;
    server.report(vec![shipped("r0", SHIPPED)]).await.unwrap();
    let released = server.release("r0", "").await.unwrap_err();
    assert_eq!(subjects(&released), ["r0"]);
    assert_eq!(refusal(&released, Code::FailedPrecondition).error_info().unwrap().reason, "ALREADY_SHIPPED");
    let request = AmendReservationRequest { id: "r0".into(), ask: Some(ask("card", 2)), ..Default::default() };
    let amended = server.promises.clone().amend_reservation(request).await.unwrap_err();
    assert_eq!(refusal(&amended, Code::FailedPrecondition).error_info().unwrap().reason, "ALREADY_SHIPPED");
    server.supply("lej.van", DAY, &[0]).await;
    assert_eq!(server.at_risk().await, ["r1", "r2", "r3"]);
    let request = RepromiseRequest { ids: vec!["r0".into()], ..Default::default() };
    assert_eq!(server.repromise(request).await.unwrap(), RepromiseResponse::default());
}

#[tokio::test]
async fn confirmed_work_whose_time_has_passed_is_backlog_until_it_is_reported() {
    let server = TestServer::shop().await;
    server.confirmed("today", by(DAY, ask("card", 1))).await;
    server.confirmed("later", on("2026-11-27", ask("card", 1))).await;
    server.held("cart", by(DAY, ask("card", 1))).await;
    let backlog = || ListReservationsRequest { backlog: true, ..Default::default() };
    assert_eq!(server.listed(backlog()).await, [""; 0]);
    // The van's day ends at midnight in Leipzig.
    server.clock.set(at("2026-11-24T22:59:59Z"));
    assert_eq!(server.listed(backlog()).await, [""; 0]);
    server.clock.set(at("2026-11-24T23:00:00Z"));
    assert_eq!(server.listed(backlog()).await, ["today"]);
    assert_eq!(server.card("", "").await.backlog, 1);
    server.clock.set(at("2026-11-28T23:00:00Z"));
    assert_eq!(server.listed(backlog()).await, ["later", "today"]);
    server.report(vec![shipped("today", SHIPPED)]).await.unwrap();
    assert_eq!(server.listed(backlog()).await, ["later"]);
    server.report(vec![delivered("later", "2026-11-27T12:00:00Z")]).await.unwrap();
    assert_eq!(server.listed(backlog()).await, [""; 0]);
    assert_eq!(server.card("", "").await.backlog, 0);
}

#[tokio::test]
async fn the_day_of_delivery_is_that_of_the_zone_and_is_held_against_the_first_date() {
    let server = TestServer::shop().await;
    for id in ["kept", "late", "address", "moved", "amended"] {
        let asked = by("2026-11-30", ask("card", 1));
        let asked = if id == "address" { Ask { destination: address("DE", "10115"), ..asked } } else { asked };
        server.confirmed(id, asked).await;
    }
    // Moved by us: judged by what was first promised. Amended by its customer: by what was agreed then.
    let request = AmendReservationRequest {
        id: "amended".into(),
        ask: Some(on("2026-11-26", ask("card", 1))),
        ..Default::default()
    };
    server.promises.clone().amend_reservation(request).await.unwrap();
    server.supply("lej.van", DAY, &[3]).await;
    assert_eq!(server.at_risk().await, ["moved"]);
    assert_eq!(server.repromise(RepromiseRequest::default()).await.unwrap().moved, 1);
    server.clock.set(at("2026-11-27T12:00:00Z"));
    server
        .report(vec![
            // A second before midnight in Berlin, and midnight.
            delivered("kept", "2026-11-24T22:59:59Z"),
            delivered("late", "2026-11-24T23:00:00Z"),
            delivered("address", "2026-11-24T22:59:59Z"),
            delivered("moved", "2026-11-25T12:00:00Z"),
            delivered("amended", "2026-11-26T12:00:00Z"),
        ])
        .await
        .unwrap();
    let card = server.card("", "").await;
    assert_eq!((card.fulfilled, card.kept, card.late, card.repromised), (5, 3, 2, 1));
    assert!((card.kept_share - 0.6).abs() < 1e-9);
}

/// Delivers forty cards of a day, so many of them so many days late.
pub async fn deliver(server: &TestServer, late: &[(usize, i64)]) {
    server.supply("lej.van", DAY, &[100]).await;
    let mut fulfilments = vec![];
    for i in 0..40 {
        let id = format!("d{i:02}");
        server.confirmed(&id, by(DAY, ask("card", 1))).await;
        let mut first = 0;
        let days = late.iter().find_map(|(n, days)| {
            first += n;
            (i < first).then_some(*days)
        });
        let arrived = format!("2026-11-{}T11:00:00Z", 24 + days.unwrap_or(0));
        fulfilments.push(delivered(&id, &arrived));
    }
    server.clock.set(at("2026-12-01T08:00:00Z"));
    let (some, rest) = fulfilments.split_at(29);
    server.report(some.to_vec()).await.unwrap();
    let quoted = server.quote(read(ask("card", 1))).await.unwrap();
    assert_eq!(quoted.promise.unwrap().confidence, None, "too few are known");
    server.report(rest.to_vec()).await.unwrap();
}

#[tokio::test]
async fn a_promise_is_as_sure_as_those_before_it_were_kept() {
    let server = TestServer::shop().await;
    deliver(&server, &[(4, 1), (2, 3)]).await;
    // 34 of 40 came on their day, 38 a day later, all within three.
    let quoted = server.quote(read(ask("card", 1))).await.unwrap();
    let promise = quoted.promise.unwrap();
    assert_eq!((promise.date.as_str(), promise.confidence), ("2026-12-02", Some(0.85)));
    let express = Ask { service: "express".into(), ..ask("card", 1) };
    assert_eq!(server.quote(read(express)).await.unwrap().promise.unwrap().confidence, None, "another service");

    let sure = |share: f64, ask: Ask| Ask { min_confidence: Some(share), ..ask };
    for (share, date) in [(0.8, "2026-12-02"), (0.95, "2026-12-03"), (1.0, "2026-12-05")] {
        let quoted = server.quote(read(sure(share, ask("card", 1)))).await.unwrap();
        let promise = quoted.promise.unwrap_or_else(|| panic!("{share}"));
        assert_eq!(promise.date, date, "{share}");
        assert!(promise.confidence.unwrap() >= share);
    }
    // By a day that is only so sure.
    let quoted = server.quote(read(sure(0.9, by("2026-12-02", ask("card", 1))))).await.unwrap();
    assert_eq!(quoted.verdict(), Verdict::Later);
    let express = Ask { service: "express".into(), ..ask("card", 1) };
    let quoted = server.quote(read(sure(0.5, express))).await.unwrap();
    assert_eq!((quoted.verdict(), quoted.promise), (Verdict::Unavailable, None), "no honest date");
    // What is held carries it.
    let held = server.held("sure", sure(0.95, ask("card", 1))).await;
    assert_eq!(held.reservation.unwrap().promise.unwrap().date, "2026-12-03");
    let wrong = server.quote(read(sure(1.5, ask("card", 1)))).await.unwrap_err();
    assert_eq!(faults(&wrong), ["ask.min_confidence"]);
}
