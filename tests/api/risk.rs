//! Rule 24: who is at risk when supply falls below what is drawn, and who no longer when it returns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use surety::domain::id::{NetworkId, ReservationId};
use surety::ledger::Ledger;
use surety::ledger::command::{Command, SetSupply, SupplyRun};
use surety::ledger::embedded::EmbeddedLedger;
use surety::proto::v1::reservation::State;
use surety::proto::v1::watch_events_response::Event;
use surety::proto::v1::*;

use crate::dice::{Dice, seed};
use crate::outcome::*;
use crate::redis_world::{Flavour, Options, Server};
use crate::shared::Shared;
use crate::support::*;

const DAY: &str = "2026-11-24";
const VAN: &str = "lej.van";

async fn shop_of_channels() -> TestServer {
    TestServer::with(|config| config.network = Some(shop_with_channels())).await
}

#[tokio::test]
async fn rule_24_marks_come_as_supply_falls_and_go_as_it_returns() {
    let server = TestServer::shop().await;
    for i in 0..4 {
        server.confirmed(&format!("r{i}"), by(DAY, ask("card", 1))).await;
    }
    assert_eq!(server.adjusted(VAN, DAY, -6).await, 0, "four are left for four");
    assert_eq!(server.adjusted(VAN, DAY, -2).await, 2);
    assert_eq!(server.at_risk().await, ["r2", "r3"]);
    let r = server.reservation("r3").await;
    assert_eq!((r.at_risk, r.version, r.state()), (true, 3, State::Confirmed));
    assert_eq!(server.adjusted(VAN, DAY, 1).await, 0);
    assert_eq!(server.at_risk().await, ["r3"]);
    assert_eq!(server.adjusted(VAN, DAY, -100).await, 3, "r3 was at risk before");
    assert_eq!(server.at_risk().await, ["r0", "r1", "r2", "r3"]);
    let set = server.try_supply(vec![plan(&[(VAN, DAY, &[4])]), plan(&[(VAN, DAY, &[1])])]).await.unwrap();
    assert_eq!((set.buckets_set, set.reservations_at_risk), (2, 0));
    assert_eq!(server.at_risk().await, ["r1", "r2", "r3"]);
    let set = server.try_supply(vec![plan(&[(VAN, DAY, &[3])]), plan(&[(VAN, DAY, &[0])])]).await.unwrap();
    assert_eq!(set.reservations_at_risk, 1, "what was put at risk at the end, and was not before");
    server.supply(VAN, DAY, &[10]).await;
    assert_eq!(server.at_risk().await, [""; 0]);
    assert!(server.story("r2").await.ends_with(&["at risk".into(), "safe again".into()]));
}

#[tokio::test]
async fn rule_24_held_before_confirmed_then_the_lower_priority_then_the_younger() {
    let server = shop_of_channels().await;
    let card = |channel: &str| by(DAY, through(channel, ask("card", 1)));
    server.confirmed("c-vip", card("vip")).await;
    server.confirmed("c-web-old", card("web")).await;
    server.confirmed("c-web-young", card("web")).await;
    server.confirmed("c-none-old", card("")).await;
    server.confirmed("c-plain-young", card("plain")).await;
    server.confirmed("c-last", card("last")).await;
    for (id, channel) in [("h-vip", "vip"), ("h-web-old", "web"), ("h-web-young", "web"), ("h-none", "")] {
        server.turn(1);
        server.held(id, card(channel)).await;
    }
    // Least protected first. Who asks through no channel has the priority of one that says nothing: 0.
    let line = [
        "h-none",
        "h-web-young",
        "h-web-old",
        "h-vip",
        "c-last",
        "c-plain-young",
        "c-none-old",
        "c-web-young",
        "c-web-old",
        "c-vip",
    ];
    for marked in 1..=line.len() {
        assert_eq!(server.adjusted(VAN, DAY, -1).await, 1, "{marked}");
        let expected: BTreeSet<String> = line[..marked].iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(server.at_risk().await.into_iter().collect::<BTreeSet<_>>(), expected);
    }
    // A hold that is confirmed is protected better from then on.
    server.supply(VAN, DAY, &[7]).await;
    server.until_at_risk(&["h-none", "h-web-old", "h-web-young"]).await;
    server.confirm("h-web-old", "", false).await.unwrap();
    server.until_at_risk(&["h-none", "h-vip", "h-web-young"]).await;
}

#[tokio::test]
async fn rule_24_a_large_one_is_marked_whole_and_others_are_safe() {
    let server = TestServer::shop().await;
    server.supply("lej.stock.mug", "2026-11-23", &[100]).await;
    server.confirmed("old", by(DAY, ask("mug", 3))).await;
    server.confirmed("large", by(DAY, ask("mug", 20))).await;
    server.confirmed("young", by(DAY, ask("mug", 2))).await;
    assert_eq!(server.adjusted("lej.stock.mug", "2026-11-23", -77).await, 1, "23 are left for 25");
    assert_eq!(server.at_risk().await, ["young"]);
    assert_eq!(server.adjusted("lej.stock.mug", "2026-11-23", -1).await, 1);
    assert_eq!(server.at_risk().await, ["large", "young"], "22 are left: two more than the young one has are missing");
}

#[tokio::test]
async fn rule_24_any_bucket_of_it_puts_a_reservation_at_risk() {
    let server = TestServer::shop().await;
    server.confirmed("r0", by(DAY, ask("mug", 1))).await;
    server.confirmed("r1", by(DAY, ask("card", 1))).await;
    server.confirmed("r2", by(DAY, ask("mug", 1))).await;
    server.supply("lej.stock.mug", "2026-11-23", &[1]).await;
    assert_eq!(server.at_risk().await, ["r2"]);
    server.supply(VAN, DAY, &[1]).await;
    assert_eq!(server.at_risk().await, ["r1", "r2"]);
    server.supply("lej.stock.mug", "2026-11-23", &[5]).await;
    assert_eq!(server.at_risk().await, ["r1", "r2"], "the van is still too small for it");
    server.supply(VAN, DAY, &[2]).await;
    assert_eq!(server.at_risk().await, ["r2"]);
    server.supply("lej.pack", "2026-11-23", &[0]).await;
    assert_eq!(server.at_risk().await, ["r0", "r1", "r2"]);
}

#[tokio::test]
async fn rule_24_holds_that_end_take_marks_away() {
    let server = TestServer::shop().await;
    server.quote(hold("first", by(DAY, ask("card", 1)), 60)).await.unwrap();
    server.confirmed("order", by(DAY, ask("card", 1))).await;
    server.turn(1);
    server.held("second", by(DAY, ask("card", 1))).await;
    server.supply(VAN, DAY, &[2]).await;
    assert_eq!(server.at_risk().await, ["second"], "the youngest hold");
    // The first hold expires, and nobody calls.
    server.turn(60);
    server.until_at_risk(&[]).await;
    server.supply(VAN, DAY, &[0]).await;
    assert_eq!(server.at_risk().await, ["order", "second"]);
    server.release("order", "").await.unwrap();
    server.until_at_risk(&["second"]).await;
    server.release("second", "").await.unwrap();
    server.until_at_risk(&[]).await;
    assert!(!server.reservation("order").await.at_risk);
    // What was amended onto other capacity is safe.
    server.supply(VAN, DAY, &[2]).await;
    server.confirmed("moved", by(DAY, ask("card", 1))).await;
    server.supply(VAN, DAY, &[0]).await;
    assert_eq!(server.at_risk().await, ["moved"]);
    let request = AmendReservationRequest {
        id: "moved".into(),
        ask: Some(by("2026-11-26", ask("card", 1))),
        ..Default::default()
    };
    server.promises.clone().amend_reservation(request).await.unwrap();
    assert_eq!(server.at_risk().await, [""; 0]);
}

#[tokio::test]
async fn rule_24_a_smaller_standing_plan_puts_at_risk_too() {
    let server = TestServer::shop().await;
    for i in 0..3 {
        server.confirmed(&format!("r{i}"), by(DAY, ask("card", 1))).await;
    }
    let mut smaller = shop();
    smaller.resources[1].weekly[0].units = 1;
    assert_eq!(smaller.resources[1].id, VAN);
    server.apply(smaller).await.unwrap();
    server.until_at_risk(&["r1", "r2"]).await;
    server.apply(shop()).await.unwrap();
    server.until_at_risk(&[]).await;
    // What was done before the plan began is not judged by it.
    server.turn(3 * 24 * 3600);
    let mut other = shop();
    other.channels.clear();
    server.apply(other).await.unwrap();
    server.supply(VAN, "2026-11-30", &[0]).await;
    assert_eq!(server.at_risk().await, [""; 0]);
}

#[tokio::test]
async fn rule_24_what_left_or_arrived_is_never_marked_and_counts() {
    let server = TestServer::shop().await;
    for i in 0..4 {
        server.confirmed(&format!("r{i}"), by(DAY, ask("card", 1))).await;
    }
    server.turn(24 * 3600);
    let now = "2026-11-24T08:00:00Z";
    server.report(vec![delivered("r3", now), shipped("r2", now)]).await.unwrap();
    assert_eq!(server.adjusted(VAN, DAY, -7).await, 1, "three for four, of which two are gone");
    assert_eq!(server.at_risk().await, ["r1"]);
    assert_eq!(server.adjusted(VAN, DAY, -3).await, 1);
    assert_eq!(server.at_risk().await, ["r0", "r1"], "all that can be");
    // What is at risk and leaves all the same is kept: its mark goes, and nobody else gets one for it.
    server.report(vec![shipped("r1", now)]).await.unwrap();
    server.until_at_risk(&["r0"]).await;
}

#[tokio::test]
async fn marks_are_told_as_events() {
    let server = TestServer::shop().await;
    server.confirmed("r0", by(DAY, ask("card", 1))).await;
    let request = WatchEventsRequest::default();
    let mut events = server.operations.clone().watch_events(request).await.unwrap().into_inner();
    server.supply(VAN, DAY, &[0]).await;
    server.supply(VAN, DAY, &[9]).await;
    let mut marks = vec![];
    while marks.len() < 2 {
        let event = tokio::time::timeout(PATIENCE, events.message()).await.expect("in time").unwrap().expect("more");
        if let Some(Event::ReservationChanged(r)) = event.event {
            marks.push((r.id, r.version, r.at_risk));
        }
    }
    assert_eq!(marks, [("r0".to_owned(), 3, true), ("r0".to_owned(), 4, false)]);
}

/// Two servers on one ledger, and their clock.
async fn two() -> (Arc<Shared>, TestServer, TestServer) {
    let mut shared = None;
    let one = TestServer::on(|clock| {
        let ledger = Shared::new(EmbeddedLedger::memory(clock));
        shared = Some(Arc::clone(&ledger));
        ledger
    })
    .await;
    let shared = shared.expect("it was made");
    let other = TestServer::on(|_| Arc::clone(&shared) as Arc<_>).await;
    (shared, one, other)
}

#[tokio::test]
async fn two_servers_set_each_mark_once() {
    let (_, one, other) = two().await;
    for i in 0..8 {
        one.confirmed(&format!("r{i}"), by(DAY, ask("card", 1))).await;
    }
    assert_eq!(other.adjusted(VAN, DAY, -5).await, 3);
    for server in [&one, &other] {
        assert_eq!(server.at_risk().await, ["r5", "r6", "r7"]);
    }
    // Each of them asks for more at the same time.
    let (a, b) = tokio::join!(one.adjusted(VAN, DAY, -1), other.adjusted("lej.pack", "2026-11-23", -99));
    assert!(a + b >= 4, "each is counted by who caused it, and at the same time by others: {a}, {b}");
    one.until_at_risk(&["r1", "r2", "r3", "r4", "r5", "r6", "r7"]).await;
    let (a, b) = tokio::join!(one.adjusted(VAN, DAY, 100), other.adjusted("lej.pack", "2026-11-23", 99));
    assert_eq!((a, b), (0, 0));
    other.until_at_risk(&[]).await;
    for (id, what) in [("r7", &["at risk", "safe again"][..]), ("r0", &[])] {
        assert_eq!(one.story(id).await[2..], *what, "once each: {id}");
    }
    // Whoever is left goes on.
    assert_eq!(other.adjusted(VAN, DAY, -99).await, 3);
    other.stopped().await;
    one.release("r0", "").await.unwrap();
    one.until_at_risk(&["r6", "r7"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_redis_agree_on_marks_and_share_the_scorecard() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let redis = Server::start(flavour, Options::default());
    let (one, other) = (TestServer::shop_on(&redis).await, TestServer::shop_on(&redis).await);
    for i in 0..6 {
        let server = [&one, &other][i % 2];
        let id = format!("r{i}");
        server.held(&id, by(DAY, ask("card", 1))).await;
        server.confirm(&id, "", false).await.unwrap();
    }
    assert_eq!(other.adjusted(VAN, DAY, -6).await, 2);
    assert_eq!(one.at_risk().await, ["r4", "r5"]);
    let (a, b) = tokio::join!(one.adjusted(VAN, DAY, -1), other.adjusted(VAN, DAY, -1));
    assert!(a + b >= 2, "{a}, {b}");
    for server in [&one, &other] {
        server.until_at_risk(&["r2", "r3", "r4", "r5"]).await;
    }
    one.release("r0", "").await.unwrap();
    other.until_at_risk(&["r3", "r4", "r5"]).await;
    let dry = RepromiseRequest { validate_only: true, ..Default::default() };
    let shown = one.repromise(dry).await.unwrap();
    assert_eq!(other.repromise(RepromiseRequest::default()).await.unwrap(), shown);
    assert_eq!((shown.moved, shown.still_at_risk), (3, 0));
    for server in [&one, &other] {
        assert_eq!(server.at_risk().await, [""; 0]);
    }
    assert_eq!(one.story("r5").await, ["held", "confirmed", "at risk", "re-promised"]);
    // Each server's own quotes are in, too, within a second or so.
    one.quote(read(by(DAY, ask("card", 1)))).await.unwrap();
    other.quote(read(by(DAY, ask("card", 1)))).await.unwrap();
    until("both have added up", async || one.card("", "").await.quotes == 8).await;
    let card = one.card("", "").await;
    assert_eq!((card.held, card.confirmed, card.released, card.repromised), (6, 6, 1, 3));
    one.stopped().await;
    other.stopped().await;
}

#[tokio::test]
async fn marks_that_a_server_left_behind_go_when_another_starts() {
    let (shared, one, other) = two().await;
    one.confirmed("r0", by(DAY, ask("card", 1))).await;
    one.supply(VAN, DAY, &[0]).await;
    assert_eq!(one.at_risk().await, ["r0"]);
    one.stopped().await;
    other.stopped().await;
    let day = surety::domain::time::Day::parse(DAY).unwrap();
    let run = SupplyRun { resource: surety::domain::id::ResourceId::new(VAN).unwrap(), first: day.0, units: vec![10] };
    let command = Command::SetSupply(SetSupply { network_version: 1, runs: vec![run], only_unset: false });
    let network = NetworkId::default_network();
    shared.execute(&network, command, None).await.unwrap();
    let r = shared.reservation(&network, &ReservationId::new("r0").unwrap()).await.unwrap().unwrap();
    assert!(r.at_risk, "nobody was there to see it");
    let third = TestServer::on(|_| Arc::clone(&shared) as Arc<_>).await;
    third.until_at_risk(&[]).await;
}

/// What rule 24 says of all that is live, worked out from what the service shows.
async fn expected_at_risk(server: &TestServer) -> BTreeSet<String> {
    let page = server.reservations(ListReservationsRequest { page_size: 1_000, ..Default::default() }).await.unwrap();
    let priorities = BTreeMap::from([("web", 1), ("vip", 9), ("plain", 0), ("last", -3), ("", 0)]);
    let (mut buckets, mut drawn) = (BTreeMap::new(), BTreeMap::<_, i64>::new());
    for r in &page.reservations {
        let is_live = matches!(r.state(), State::Held | State::Confirmed);
        if !is_live && r.state() != State::Fulfilled {
            continue;
        }
        for draw in server.evidence(&r.id).await.unwrap().draws {
            let bucket = (draw.resource, draw.from.unwrap().seconds);
            *drawn.entry(bucket.clone()).or_default() += draw.units;
            if is_live && r.shipped_at.is_none() {
                let at = r.created_at.as_ref().map(|at| (at.seconds, at.nanos)).unwrap();
                let channel = r.ask.as_ref().unwrap().channel.as_str();
                let key = (r.state() == State::Confirmed, priorities[channel], std::cmp::Reverse(at), r.id.clone());
                *buckets.entry(bucket).or_insert_with(BTreeMap::new).entry(key).or_insert(0) += draw.units;
            }
        }
    }
    let request = ListBucketsRequest { site: "lej".into(), from: "2026-11-20".into(), days: 30, ..Default::default() };
    let listed = server.operations.clone().list_buckets(request).await.unwrap().into_inner().buckets;
    let mut marked = BTreeSet::new();
    for b in listed {
        let bucket = (b.resource, b.from.unwrap().seconds);
        let mut rest = drawn.get(&bucket).copied().unwrap_or_default();
        assert_eq!(rest, b.held + b.confirmed, "{bucket:?}");
        for ((.., id), units) in buckets.remove(&bucket).unwrap_or_default() {
            if rest <= b.supply {
                break;
            }
            rest -= units;
            marked.insert(id);
        }
    }
    marked
}

#[tokio::test]
async fn whatever_happens_the_marks_are_those_of_the_rule() {
    let mut dice = Dice::seeded(seed());
    let server = shop_of_channels().await;
    server.supply("lej.stock.mug", "2026-11-23", &[60]).await;
    let days = ["2026-11-24", "2026-11-25", "2026-11-26"];
    let mut ids: Vec<String> = vec![];
    for step in 0..120 {
        server.turn(dice.range(0, 40));
        let any = |dice: &mut Dice, ids: &[String]| ids.get(dice.below(ids.len().max(1) as u64) as usize).cloned();
        match dice.below(10) {
            0..4 => {
                let channel = ["web", "vip", "plain", "last", ""][dice.below(5) as usize];
                let sku = ["card", "mug"][dice.below(2) as usize];
                let day = days[dice.below(3) as usize];
                let id = format!("r{step}");
                let asked = by(day, through(channel, ask(sku, dice.range(1, 5) as i32)));
                let answer = server.quote(hold(&id, asked, dice.range(10, 300))).await.unwrap();
                ids.extend(answer.reservation.map(|r| r.id));
            }
            4..6 => {
                if let Some(id) = any(&mut dice, &ids) {
                    // It may have expired, or have been released.
                    let _ = server.confirm(&id, "", false).await;
                }
            }
            6 => {
                if let Some(id) = any(&mut dice, &ids) {
                    let _ = server.release(&id, "").await;
                }
            }
            _ => {
                let (resource, day) =
                    [(VAN, days[dice.below(3) as usize]), ("lej.pack", "2026-11-23"), ("lej.stock.mug", "2026-11-23")]
                        [dice.below(3) as usize];
                let units = dice.range(0, 12);
                server.supply(resource, day, &[units]).await;
            }
        }
        let mut expected = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let what = format!("the marks of step {step} are right");
        until(&what, async || {
            expected = expected_at_risk(&server).await;
            seen = server.at_risk().await.into_iter().collect();
            expected == seen
        })
        .await;
    }
}
