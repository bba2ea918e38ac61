//! Repromise: new dates for those at risk, in line, each in one step; and those that are never moved without being asked for.

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::Code;

use crate::dice::{Dice, seed};
use crate::outcome::*;
use crate::support::*;

const DAY: &str = "2026-11-24";
const VAN: &str = "lej.van";

async fn shop_of_channels() -> TestServer {
    TestServer::with(|config| config.network = Some(shop_with_channels())).await
}

fn rows(told: &RepromiseResponse) -> Vec<(&str, &str, &str)> {
    told.repromised.iter().map(|r| (&*r.id, &*r.old_date, &*r.new_date)).collect()
}

fn only(ids: &[&str]) -> RepromiseRequest {
    RepromiseRequest { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..Default::default() }
}

/// What it says that it would do, and then does: the same.
async fn played(server: &TestServer, request: RepromiseRequest) -> RepromiseResponse {
    let before = server.reservations(ListReservationsRequest::default()).await.unwrap();
    let dry = RepromiseRequest { validate_only: true, ..request.clone() };
    let shown = server.repromise(dry).await.expect("a plan");
    assert_eq!(server.reservations(ListReservationsRequest::default()).await.unwrap(), before, "it writes nothing");
    let done = server.repromise(request).await.expect("it is done");
    assert_eq!(shown, done);
    done
}

#[tokio::test]
async fn by_priority_then_age_each_finds_what_those_before_it_left() {
    let server = shop_of_channels().await;
    let card = |channel: &str| through(channel, ask("card", 1));
    for (id, channel) in
        [("plain", "plain"), ("web-old", "web"), ("last", "last"), ("web-young", "web"), ("vip", "vip")]
    {
        let made = server.confirmed(id, card(channel)).await;
        assert_eq!(made.promise.unwrap().date, DAY);
    }
    // Two places on Wednesday, one on Thursday, many on Friday.
    server.supply(VAN, DAY, &[0, 2, 1]).await;
    let done = played(&server, RepromiseRequest::default()).await;
    let expected = [
        ("vip", DAY, "2026-11-25"),
        ("web-old", DAY, "2026-11-25"),
        ("web-young", DAY, "2026-11-26"),
        ("plain", DAY, "2026-11-27"),
        ("last", DAY, "2026-11-27"),
    ];
    assert_eq!(rows(&done), expected);
    assert_eq!((done.kept, done.moved, done.still_at_risk), (0, 5, 0));
    assert_eq!(done.repromised[1].reference, "order of web-old");
    assert_eq!(server.at_risk().await, [""; 0]);
    let r = server.reservation("plain").await;
    assert_eq!((r.first_date.as_str(), r.promise.unwrap().date.as_str()), (DAY, "2026-11-27"), "both dates are kept");
    assert_eq!(server.story("plain").await, ["held", "confirmed", "at risk", "re-promised"]);
    assert_eq!(server.taken(VAN, DAY).await, (0, 0));
    assert_eq!(server.taken(VAN, "2026-11-25").await, (0, 2));
    // Nothing is left to be done.
    assert_eq!(played(&server, RepromiseRequest::default()).await, RepromiseResponse::default());
}

#[tokio::test]
async fn a_date_that_can_be_kept_otherwise_is_kept() {
    let server = TestServer::shop().await;
    // A mug of today's stock, to be there on Thursday: packed on Wednesday at the latest.
    server.confirmed("r0", on("2026-11-26", ask("mug", 1))).await;
    let packed = server.evidence("r0").await.unwrap().draws;
    let pack = packed.iter().find(|d| d.resource == "lej.pack").unwrap();
    assert_eq!(pack.from, stamp("2026-11-24T23:00:00Z"));
    server.supply("lej.pack", "2026-11-25", &[0]).await;
    assert_eq!(server.at_risk().await, ["r0"]);
    let done = played(&server, RepromiseRequest::default()).await;
    assert_eq!((done.kept, done.moved), (1, 0));
    assert_eq!(rows(&done), [("r0", "2026-11-26", "2026-11-26")]);
    assert_eq!(server.story("r0").await.last().unwrap(), "re-planned");
    let packed = server.evidence("r0").await.unwrap().draws;
    assert_eq!(packed.iter().find(|d| d.resource == "lej.pack").unwrap().from, stamp("2026-11-23T23:00:00Z"));
}

#[tokio::test]
async fn asks_without_a_day_keep_their_date_and_are_not_served_better() {
    let server = TestServer::shop().await;
    // No van until Friday, so Friday it is; packed today.
    server.supply(VAN, DAY, &[0, 0, 0]).await;
    let made = server.confirmed("r0", ask("card", 1)).await;
    assert_eq!(made.promise.unwrap().date, "2026-11-27");
    // The van drives again, and today's packing is lost.
    server.supply(VAN, DAY, &[10, 10, 10]).await;
    server.supply("lej.pack", "2026-11-23", &[0]).await;
    let done = played(&server, RepromiseRequest::default()).await;
    assert_eq!(rows(&done), [("r0", "2026-11-27", "2026-11-27")]);
    // Where its day is lost, it is the earliest.
    server.supply(VAN, "2026-11-27", &[0]).await;
    let done = played(&server, RepromiseRequest::default()).await;
    assert_eq!(rows(&done), [("r0", "2026-11-27", "2026-11-25")]);
    assert_eq!(done.moved, 1);
}

#[tokio::test]
async fn what_was_asked_for_counts_first() {
    let server = TestServer::shop().await;
    server.confirmed("by", by("2026-11-26", ask("card", 1))).await;
    server.confirmed("on", on(DAY, ask("card", 1))).await;
    let until_noon = surety::proto::v1::ask::When::ByTime(stamp("2026-11-26T23:00:00Z").unwrap());
    server.confirmed("time", Ask { when: Some(until_noon), ..ask("card", 1) }).await;
    server.supply(VAN, DAY, &[0, 0, 5]).await;
    let done = played(&server, RepromiseRequest::default()).await;
    let expected = [("by", DAY, "2026-11-26"), ("on", DAY, "2026-11-26"), ("time", DAY, "2026-11-26")];
    assert_eq!(rows(&done), expected);
    // By Y no more: the earliest after it; on the day no more: the first day after.
    server.supply(VAN, "2026-11-26", &[0]).await;
    let done = played(&server, RepromiseRequest::default()).await;
    assert_eq!(done.repromised.iter().map(|r| &*r.new_date).collect::<Vec<_>>(), ["2026-11-27"; 3]);
    // When the day that was asked for is there again, nobody who is safe is moved.
    server.supply(VAN, DAY, &[10, 10, 10]).await;
    assert_eq!(played(&server, RepromiseRequest::default()).await, RepromiseResponse::default());
}

#[tokio::test]
async fn a_delivery_slot_is_kept_on_its_day_where_it_can_be() {
    let server = TestServer::shop().await;
    let slot = Window { from: stamp("2026-11-24T09:00:00Z"), to: stamp("2026-11-24T10:00:00Z") };
    let asked = Ask {
        destination: zone("city"),
        service: "slot".into(),
        when: Some(surety::proto::v1::ask::When::InWindow(slot)),
        ..ask("gift", 1)
    };
    server.confirmed("r0", asked).await;
    server.supply("lej.slot", "2026-11-24T10:00", &[0]).await;
    assert_eq!(server.at_risk().await, ["r0"]);
    let done = played(&server, RepromiseRequest::default()).await;
    assert_eq!(rows(&done), [("r0", DAY, DAY)], "another slot of the same day");
    let r = server.reservation("r0").await;
    assert_ne!(r.promise.unwrap().arrives_from, stamp("2026-11-24T09:00:00Z"));
}

#[tokio::test]
async fn who_has_no_date_stays_at_risk_with_the_old_promise() {
    let server = TestServer::shop().await;
    server.confirmed("r0", by(DAY, ask("mug", 2))).await;
    server.supply("lej.stock.mug", "2026-11-23", &[1]).await;
    let done = played(&server, RepromiseRequest::default()).await;
    assert_eq!(rows(&done), [("r0", DAY, "")]);
    assert_eq!((done.kept, done.moved, done.still_at_risk), (0, 0, 1));
    let r = server.reservation("r0").await;
    assert_eq!((r.at_risk, r.promise.unwrap().date.as_str()), (true, DAY));
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (0, 2));
}

#[tokio::test]
async fn fixed_ones_are_passed_over_unless_they_are_named() {
    let server = TestServer::shop().await;
    for id in ["fixed", "free", "safe"] {
        server.confirmed(id, by("2026-11-30", ask("card", 1))).await;
    }
    let r = server.fix("fixed", true).await.unwrap();
    assert!(r.fixed);
    assert_eq!(server.fix("fixed", true).await.unwrap(), r, "twice changes nothing");
    server.release("safe", "").await.unwrap();
    server.confirmed("safe-2", on("2026-11-26", ask("card", 1))).await;
    server.supply(VAN, DAY, &[0]).await;
    assert_eq!(server.at_risk().await, ["fixed", "free"]);
    let done = played(&server, RepromiseRequest::default()).await;
    assert_eq!(rows(&done), [("free", DAY, "2026-11-25")]);
    assert_eq!(server.at_risk().await, ["fixed"]);
    // Named, it is moved; who is not at risk is not, and who is named twice is meant once.
    let done = played(&server, only(&["safe-2", "fixed", "safe", "fixed"])).await;
    assert_eq!(rows(&done), [("fixed", DAY, "2026-11-25")]);
    let r = server.fix("fixed", false).await.unwrap();
    assert!(!r.fixed);
    let whats = server.story("fixed").await;
    assert_eq!(whats[2..], ["fixed", "at risk", "re-promised", "not fixed"]);
    let evidence = server.evidence("fixed").await.unwrap();
    assert_eq!(evidence.history[2].reason, "a wedding");

    refusal(&server.fix("nobody", true).await.unwrap_err(), Code::NotFound);
    assert_eq!(subjects(&server.fix("safe", true).await.unwrap_err()), ["safe"]);
    assert_eq!(faults(&server.fix("", true).await.unwrap_err()), ["id"]);
}

#[tokio::test]
async fn unknown_ids_are_named_at_once_and_a_limit_takes_the_first_in_line() {
    let server = TestServer::shop().await;
    for i in 0..4 {
        server.confirmed(&format!("r{i}"), ask("card", 1)).await;
    }
    server.supply(VAN, DAY, &[0]).await;
    let refused = server.repromise(only(&["x", "r0", "y"])).await.unwrap_err();
    let details = refusal(&refused, Code::NotFound);
    let fields: Vec<_> = details.bad_request().unwrap().field_violations.iter().map(|v| v.field.clone()).collect();
    assert_eq!(fields, ["ids[0]", "ids[2]"]);
    let limited = RepromiseRequest { limit: 2, ..Default::default() };
    let done = played(&server, limited).await;
    assert_eq!(rows(&done).iter().map(|r| r.0).collect::<Vec<_>>(), ["r0", "r1"]);
    assert_eq!(server.at_risk().await, ["r2", "r3"]);
    let wrong = RepromiseRequest { limit: -1, ids: vec![String::new()], ..Default::default() };
    assert_eq!(faults(&server.repromise(wrong).await.unwrap_err()), ["limit", "ids[0]"]);
}

#[tokio::test]
async fn holds_are_moved_too_and_those_that_ended_are_not() {
    let server = TestServer::shop().await;
    server.held("h0", ask("card", 1)).await;
    server.quote(hold("h1", ask("card", 1), 60)).await.unwrap();
    server.supply(VAN, DAY, &[0]).await;
    assert_eq!(server.at_risk().await, ["h0", "h1"]);
    server.turn(61);
    let done = played(&server, RepromiseRequest::default()).await;
    assert_eq!(rows(&done), [("h0", DAY, "2026-11-25")]);
    assert_eq!(server.state("h0").await, State::Held);
    assert_eq!(server.taken(VAN, "2026-11-25").await, (1, 0));
}

#[tokio::test]
async fn those_whom_others_make_safe_are_kept_as_they_are() {
    let server = shop_of_channels().await;
    server.supply("lej.stock.mug", "2026-11-23", &[50, 0, 0, 50]).await;
    // The small one is at risk first, and the large one too, since the small one alone does not do.
    server.confirmed("large", through("vip", by("2026-12-04", ask("mug", 30)))).await;
    server.confirmed("small", through("web", by("2026-12-04", ask("mug", 1)))).await;
    server.supply("lej.stock.mug", "2026-11-23", &[20]).await;
    assert_eq!(server.at_risk().await, ["large", "small"]);
    let done = played(&server, RepromiseRequest::default()).await;
    let dates: Vec<_> = done.repromised.iter().map(|r| (&*r.id, r.old_date == r.new_date)).collect();
    assert_eq!(dates, [("large", false), ("small", true)]);
    assert_eq!(server.at_risk().await, [""; 0]);
    let story = server.story("small").await;
    assert!(!story.contains(&"re-promised".to_owned()) && !story.contains(&"re-planned".to_owned()), "{story:?}");
}

#[tokio::test]
async fn whatever_is_lost_what_is_shown_is_what_is_done() {
    let mut dice = Dice::seeded(seed());
    for round in 0..6 {
        let server = shop_of_channels().await;
        server.supply("lej.stock.mug", "2026-11-23", &[40, 10, 10, 40]).await;
        for i in 0..25 {
            let channel = ["web", "vip", "plain", "last", ""][dice.below(5) as usize];
            let sku = ["card", "mug"][dice.below(2) as usize];
            let asked = through(channel, ask(sku, dice.range(1, 4) as i32));
            let day = format!("2026-11-{}", dice.range(24, 31));
            let asked = match dice.below(3) {
                0 => by(&day, asked),
                1 => on(&day, asked),
                _ => asked,
            };
            let id = format!("r{i:02}");
            server.turn(1);
            let request = QuoteRequest { accept_later: true, ..hold(&id, asked, 3_000) };
            if server.quote(request).await.unwrap().reservation.is_some() && dice.below(3) > 0 {
                server.confirm(&id, "", false).await.unwrap();
            }
        }
        for _ in 0..4 {
            let day = format!("2026-11-{}", dice.range(24, 30));
            server.supply(VAN, &day, &[dice.range(0, 5)]).await;
        }
        server.supply("lej.pack", "2026-11-23", &[dice.range(0, 20)]).await;
        server.supply("lej.stock.mug", "2026-11-23", &[dice.range(0, 30)]).await;
        let at_risk = server.at_risk().await;
        let done = played(&server, RepromiseRequest::default()).await;
        let mut named: Vec<&str> = done.repromised.iter().map(|r| &*r.id).collect();
        named.sort_unstable();
        assert_eq!(named, at_risk, "round {round}");
        let left = done.repromised.iter().filter(|r| r.new_date.is_empty()).count();
        assert_eq!(done.still_at_risk as usize, left);
        let still = server.at_risk().await;
        assert!(still.len() <= left, "{still:?}: who has a date is safe");
        for b in server.buckets(VAN, DAY, 10).await {
            assert!(b.available >= 0 || left > 0, "{b:?}");
        }
    }
}

#[tokio::test]
async fn of_two_calls_at_once_each_promise_is_moved_by_one() {
    let server = shop_of_channels().await;
    for n in 0..8 {
        server.confirmed(&format!("r{n}"), ask("card", 1)).await;
    }
    server.supply(VAN, DAY, &[0, 3, 3, 3]).await;
    let both =
        tokio::join!(server.repromise(RepromiseRequest::default()), server.repromise(RepromiseRequest::default()));
    both.0.expect("it is done");
    both.1.expect("it is done");
    assert_eq!(server.at_risk().await, [""; 0]);
    for n in 0..8 {
        assert_eq!(server.story(&format!("r{n}")).await, ["held", "confirmed", "at risk", "re-promised"]);
    }
}
