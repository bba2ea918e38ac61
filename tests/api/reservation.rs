//! A reservation's life: confirmed, released, extended, expired, taken again (rules 20 to 22).

use std::time::Instant;

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::Code;

use crate::support::*;

const DAY: &str = "2026-11-24";

async fn shop_with_hold(quantity: i32) -> TestServer {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", quantity))).await;
    server
}

fn happened(evidence: &GetReservationResponse) -> Vec<(&str, i64)> {
    evidence.history.iter().map(|c| (c.what.as_str(), c.version)).collect()
}

#[tokio::test]
async fn rule_21_a_confirmed_one_no_longer_expires_and_twice_changes_nothing() {
    let server = shop_with_hold(3).await;
    server.turn(60);
    let confirmed = server.confirm("r1", "order 4711", false).await.unwrap();
    assert_eq!((confirmed.state(), confirmed.version, confirmed.expires_at), (State::Confirmed, 2, None));
    assert_eq!(confirmed.reference, "order 4711", "replaces the reservation's");
    assert_eq!(server.confirm("r1", "", false).await.unwrap(), confirmed, "twice");
    assert_eq!(server.confirm("r1", "", true).await.unwrap(), confirmed, "also with retake");
    assert_eq!(server.taken("lej.van", DAY).await, (0, 1));
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (0, 3));
    server.turn(30 * 86_400);
    let evidence = server.evidence("r1").await.unwrap();
    assert_eq!(evidence.reservation.as_ref().unwrap().state(), State::Confirmed);
    assert_eq!(happened(&evidence), [("held", 1), ("confirmed", 2)]);
    assert_eq!(evidence.history[1].at, stamp("2026-11-23T08:01:00Z"));
    assert_eq!(evidence.draws.len(), 3);
}

#[tokio::test]
async fn a_confirmation_without_reference_keeps_the_holds() {
    let server = TestServer::shop().await;
    let request = QuoteRequest { reference: "cart 7".into(), ..hold("r1", ask("mug", 1), 60) };
    server.quote(request).await.unwrap();
    assert_eq!(server.confirm("r1", "", false).await.unwrap().reference, "cart 7");
}

#[tokio::test]
async fn rule_21_a_hold_is_never_given_up_before_its_end_and_never_kept_beyond() {
    let server = shop_with_hold(5).await;
    let other = hold("r2", by(DAY, ask("mug", 5)), 900);
    server.clock.set(at("2026-11-23T08:14:59.999999Z"));
    assert_eq!(server.state("r1").await, State::Held);
    assert_eq!(server.quote(other.clone()).await.unwrap().verdict(), Verdict::Unavailable);
    // At the very instant the capacity belongs to whoever takes it, however fast.
    server.clock.set(at("2026-11-23T08:15:00Z"));
    let taken = server.quote(hold("r3", ask("card", 100), 60)).await.unwrap();
    assert_eq!(taken.verdict(), Verdict::Promised);
    assert_eq!(server.state("r1").await, State::Expired);
    let evidence = server.evidence("r1").await.unwrap();
    assert_eq!(happened(&evidence), [("held", 1), ("expired", 2)]);
    assert_eq!(evidence.history[1].at, stamp("2026-11-23T08:15:00Z"), "it ended then, whenever that was noticed");
    assert_eq!(evidence.reservation.unwrap().expires_at, None);
}

#[tokio::test]
async fn rule_21_what_expires_is_free_at_once_to_takers() {
    for _ in 0..20 {
        let server = shop_with_hold(5).await;
        server.turn(900);
        // The first thing that happens after its end is that another wants it.
        let answer = server.quote(hold("r2", by(DAY, ask("mug", 5)), 60)).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Promised, "{answer:?}");
    }
}

#[tokio::test]
async fn rule_21_what_expires_is_free_to_readers_soon() {
    let server = shop_with_hold(5).await;
    server.turn(900);
    let turned = Instant::now();
    until("a reader sees the capacity again", async || {
        server.quote(read(by(DAY, ask("mug", 5)))).await.unwrap().verdict() == Verdict::Promised
    })
    .await;
    // The rule says 100 ms; a machine that builds five other things at a time may need some more.
    assert!(turned.elapsed().as_millis() < 1_000, "{:?}", turned.elapsed());
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (0, 0));
}

#[tokio::test]
async fn rule_21_an_expired_hold_is_not_confirmed() {
    let server = shop_with_hold(3).await;
    server.turn(900);
    let refused = server.confirm("r1", "late", false).await.unwrap_err();
    assert_eq!(subjects(&refused), ["r1"]);
    assert_eq!(refusal(&refused, Code::FailedPrecondition).error_info().unwrap().metadata["state"], "EXPIRED");
    assert_eq!(server.evidence("r1").await.unwrap().reservation.unwrap().reference, "");
}

#[tokio::test]
async fn a_late_payment_takes_the_same_capacity_again_if_it_is_free() {
    let server = shop_with_hold(3).await;
    let promise = server.evidence("r1").await.unwrap().reservation.unwrap().promise;
    server.turn(901);
    let taken = server.confirm("r1", "order 9", true).await.unwrap();
    assert_eq!((taken.state(), taken.reference.as_str()), (State::Confirmed, "order 9"));
    assert_eq!(taken.promise, promise);
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (0, 3));
    assert_eq!(server.taken("lej.van", DAY).await, (0, 1));
    let history = server.evidence("r1").await.unwrap().history;
    let versions: Vec<i64> = history.iter().map(|c| c.version).collect();
    assert_eq!(versions, [1, 2, 3], "grows by one at every change: {history:?}");
}

#[tokio::test]
async fn a_late_payment_is_refused_where_any_of_it_is_taken() {
    let server = shop_with_hold(3).await;
    server.turn(901);
    server.held("r2", by(DAY, ask("mug", 3))).await;
    let refused = server.confirm("r1", "", true).await.unwrap_err();
    assert_eq!(subjects(&refused), ["lej.stock.mug"]);
    assert_eq!(server.state("r1").await, State::Expired);
    assert_eq!(server.taken("lej.van", DAY).await, (1, 0), "nothing of it was taken");
    server.release("r2", "").await.unwrap();
    assert_eq!(server.confirm("r1", "", true).await.unwrap().state(), State::Confirmed);
}

#[tokio::test]
async fn a_promise_whose_order_by_has_passed_is_not_taken_again() {
    let server = shop_with_hold(3).await;
    server.clock.set(at("2026-11-23T13:00:01Z"));
    let refused = server.confirm("r1", "", true).await.unwrap_err();
    assert_eq!(subjects(&refused), ["r1"], "what was to be packed before the cutoff can't be any more");
}

#[tokio::test]
async fn rule_21_released_twice_is_released_once() {
    let server = shop_with_hold(3).await;
    let released = server.release("r1", "changed my mind").await.unwrap();
    assert_eq!((released.state(), released.version, released.expires_at), (State::Released, 2, None));
    assert_eq!(server.release("r1", "again").await.unwrap(), released);
    let evidence = server.evidence("r1").await.unwrap();
    assert_eq!(happened(&evidence), [("held", 1), ("released", 2)]);
    assert_eq!(evidence.history[1].reason, "changed my mind");
    for (resource, day) in [("lej.stock.mug", "2026-11-23"), ("lej.pack", "2026-11-23"), ("lej.van", DAY)] {
        assert_eq!(server.taken(resource, day).await, (0, 0), "{resource}");
    }
    for refused in [
        server.confirm("r1", "", false).await.unwrap_err(),
        server.confirm("r1", "", true).await.unwrap_err(),
        server.extend("r1", 60).await.unwrap_err(),
    ] {
        assert_eq!(subjects(&refused), ["r1"]);
    }
}

#[tokio::test]
async fn rule_22_what_was_confirmed_can_be_cancelled() {
    let server = shop_with_hold(5).await;
    server.confirm("r1", "", false).await.unwrap();
    assert_eq!(server.release("r1", "").await.unwrap().state(), State::Released);
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (0, 0));
    server.held("r2", by(DAY, ask("mug", 5))).await;
}

#[tokio::test]
async fn releasing_what_expired_is_a_success_and_gives_nothing_back_twice() {
    let server = shop_with_hold(3).await;
    server.turn(901);
    server.held("r2", by(DAY, ask("mug", 5))).await;
    let released = server.release("r1", "").await.unwrap();
    assert_eq!((released.state(), released.version), (State::Expired, 2));
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (5, 0));
}

#[tokio::test]
async fn more_time_counts_from_now() {
    let server = shop_with_hold(3).await;
    server.turn(600);
    let extended = server.extend("r1", 900).await.unwrap();
    assert_eq!((extended.version, extended.expires_at), (2, stamp("2026-11-23T08:25:00Z")));
    server.turn(899);
    assert_eq!(server.state("r1").await, State::Held);
    server.turn(1);
    assert_eq!(server.state("r1").await, State::Expired);
    let refused = server.extend("r1", 900).await.unwrap_err();
    assert_eq!(subjects(&refused), ["r1"]);
    assert_eq!(server.state("r1").await, State::Expired);

    server.held("r2", by(DAY, ask("mug", 1))).await;
    server.confirm("r2", "", false).await.unwrap();
    assert_eq!(subjects(&server.extend("r2", 900).await.unwrap_err()), ["r2"], "it does not expire");
}

#[tokio::test]
async fn a_hold_lasts_a_second_at_least_and_seven_days_at_most() {
    let server = TestServer::shop().await;
    for (id, seconds) in [("a", 1), ("b", 7 * 86_400)] {
        let held = server.quote(hold(id, ask("card", 1), seconds)).await.unwrap().reservation.unwrap();
        assert_eq!(held.expires_at.unwrap().seconds - held.created_at.unwrap().seconds, seconds);
    }
    for seconds in [0, -1, 7 * 86_400 + 1, i64::MAX] {
        assert_eq!(faults(&server.quote(hold("c", ask("card", 1), seconds)).await.unwrap_err()), ["hold"]);
        assert_eq!(faults(&server.extend("a", seconds).await.unwrap_err()), ["hold"]);
    }
    let missing = ExtendReservationRequest { id: "a".into(), hold: None };
    assert_eq!(faults(&server.promises.clone().extend_reservation(missing).await.unwrap_err()), ["hold"]);
}

#[tokio::test]
async fn a_reservation_that_never_was_is_not_found() {
    let server = TestServer::shop().await;
    let amend = AmendReservationRequest { id: "r9".into(), ask: Some(ask("mug", 1)), ..Default::default() };
    for missing in [
        server.confirm("r9", "", false).await.unwrap_err(),
        server.confirm("r9", "", true).await.unwrap_err(),
        server.release("r9", "").await.unwrap_err(),
        server.extend("r9", 60).await.unwrap_err(),
        server.evidence("r9").await.unwrap_err(),
        server.promises.clone().amend_reservation(amend).await.unwrap_err(),
    ] {
        let details = refusal(&missing, Code::NotFound);
        assert_eq!(details.resource_info().unwrap().resource_name, "r9");
    }
}

#[tokio::test]
async fn rule_23_reservations_outlive_a_change_of_the_network() {
    let server = shop_with_hold(3).await;
    let mut smaller = shop();
    smaller.products.retain(|p| p.sku != "mug" && p.sku != "gift");
    server.apply(smaller).await.unwrap();
    // The product is gone, the promise is not: also the same request gets its answer.
    let again = server.quote(hold("r1", by(DAY, ask("mug", 3)), 900)).await.unwrap();
    assert_eq!(again.verdict(), Verdict::Promised);
    let other = server.quote(hold("r1", by(DAY, ask("mug", 4)), 900)).await.unwrap_err();
    refusal(&other, Code::AlreadyExists);
    assert_eq!(server.confirm("r1", "", false).await.unwrap().state(), State::Confirmed);
    assert_eq!(server.taken("lej.van", DAY).await, (0, 1));
}
