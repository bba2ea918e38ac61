//! ApplyNetwork and GetNetwork: the network as one document.

use serde_json::json;
use surety::proto::v1::*;
use tonic::{Code, Status};

use crate::support::*;

const DAY: &str = "2026-11-24";

async fn get(server: &TestServer) -> Result<GetNetworkResponse, Status> {
    server.operations.clone().get_network(GetNetworkRequest {}).await.map(|r| r.into_inner())
}

async fn validate(server: &TestServer, network: Network) -> Result<i64, Status> {
    let request = ApplyNetworkRequest { network: Some(network), validate_only: true };
    server.operations.clone().apply_network(request).await.map(|r| r.into_inner().version)
}

/// The shop with a change.
fn changed(change: impl FnOnce(&mut Network)) -> Network {
    let mut network = shop();
    change(&mut network);
    network
}

#[tokio::test]
async fn the_document_comes_back_as_it_was_applied() {
    let server = TestServer::empty().await;
    // The default network is always there.
    assert_eq!(get(&server).await.unwrap(), GetNetworkResponse { network: Some(Network::default()), version: 0 });
    assert_eq!(server.apply(shop()).await.unwrap(), 1);
    assert_eq!(get(&server).await.unwrap(), GetNetworkResponse { network: Some(shop()), version: 1 });
    let smaller = changed(|n| n.channels.clear());
    assert_eq!(server.apply(smaller.clone()).await.unwrap(), 2);
    assert_eq!(get(&server).await.unwrap(), GetNetworkResponse { network: Some(smaller), version: 2 });
}

#[tokio::test]
async fn every_fault_is_named_by_its_path_at_once_and_nothing_is_applied() {
    let server = TestServer::shop().await;
    let faulty = network(json!({
        "sites": [{ "id": "a", "time_zone": "Mars/Olympus" }, { "id": "a", "time_zone": "UTC" }, { "id": "" , "time_zone": "UTC"}],
        "zones": [
            { "id": "z", "time_zone": "UTC", "postal_prefixes": ["DE-1"] },
            { "id": "y", "time_zone": "UTC", "postal_prefixes": ["DE-1", "Germany"] },
        ],
        "resources": [
            { "id": "r", "site": "nowhere", "kind": "KIND_CAPACITY", "bucket": "420s" },
            { "id": "s", "site": "a", "closed": ["2026-02-30"], "horizon_days": -1 },
            { "id": "t", "site": "a", "kind": "KIND_CAPACITY",
              "weekly": [{ "days": [], "units": -5 }, { "days": ["WEEKDAY_MONDAY"], "from": "25:00", "units": 1 }] },
        ],
        "processes": [{ "id": "p", "steps": [
            { "resource": "missing", "per_item": -1, "cutoff": "2 pm", "lead_time": "-5s", "lead_days": -2 }] }],
        "products": [
            { "sku": "x", "sources": [{ "site": "a", "process": "q" }], "substitutes": ["w"] },
            { "sku": "w", "sources": [], "substitutes": ["x"] },
        ],
        "lanes": [
            { "id": "l", "site": "a", "zone": "z", "departure_time": "17:60", "transit_days": -1,
              "holidays": ["24.12.2026"], "resource": "s", "per_item": -4 },
        ],
    }));
    let faulty = Network {
        resources: {
            let mut resources = faulty.resources.clone();
            resources[1].kind = 7;
            resources[2].weekly[1].days = vec![9];
            resources
        },
        ..faulty
    };
    for validate_only in [true, false] {
        let request = ApplyNetworkRequest { network: Some(faulty.clone()), validate_only };
        let refused = server.operations.clone().apply_network(request).await.unwrap_err();
        let named = faults(&refused);
        for expected in [
            "network.sites[0].time_zone",
            "network.sites[1].id",
            "network.sites[2].id",
            "network.zones[1]",
            "network.zones[1].postal_prefixes[0]",
            "network.zones[1].postal_prefixes[1]",
            "network.resources[0].site",
            "network.resources[0].bucket",
            "network.resources[1].kind",
            "network.resources[1].closed[0]",
            "network.resources[1].horizon_days",
            "network.resources[2].weekly[0].units",
            "network.resources[2].weekly[1].days[0]",
            "network.resources[2].weekly[1].from",
            "network.processes[0].steps[0].resource",
            "network.processes[0].steps[0].per_item",
            "network.processes[0].steps[0].cutoff",
            "network.processes[0].steps[0].lead_time",
            "network.processes[0].steps[0].lead_days",
            "network.products[0].sources[0].process",
            "network.products[1].sources",
            "network.lanes[0].departure_time",
            "network.lanes[0].transit_days",
            "network.lanes[0].holidays[0]",
            "network.lanes[0].per_item",
        ] {
            assert!(named.iter().any(|n| n == expected), "{expected} is not among {named:#?}");
        }
    }
    assert_eq!(get(&server).await.unwrap().version, 1);
    assert_eq!(get(&server).await.unwrap().network, Some(shop()));
}

#[tokio::test]
async fn substitutes_that_go_in_circles_are_refused() {
    let server = TestServer::empty().await;
    let circle = changed(|n| n.products[1].substitutes = vec!["mug".into()]);
    let named = faults(&server.apply(circle).await.unwrap_err());
    assert!(named[0].contains("substitutes[0]"), "{named:?}");
    let own = changed(|n| n.products[1].substitutes = vec!["cup".into()]);
    faults(&server.apply(own).await.unwrap_err());
}

#[tokio::test]
async fn very_many_faults_still_reach_the_caller() {
    let server = TestServer::empty().await;
    let site = |i: usize| Site { id: format!("s{i}"), time_zone: "Nowhere/Land".into(), ..Default::default() };
    let faulty = Network { sites: (0..5_000).map(site).collect(), ..Default::default() };
    let refused = server.apply(faulty).await.unwrap_err();
    let named = faults(&refused);
    assert!(named.len() > 20, "{named:?}");
    assert_eq!(named[0], "network.sites[0].time_zone");
    let info = refusal(&refused, Code::InvalidArgument).error_info().unwrap().clone();
    let omitted: usize = info.metadata["omittedViolations"].parse().unwrap();
    assert_eq!(named.len() - 1 + omitted, 5_000);
}

#[tokio::test]
async fn validate_only_changes_nothing() {
    let server = TestServer::empty().await;
    validate(&server, shop()).await.unwrap();
    assert_eq!(get(&server).await.unwrap().version, 0);
    refusal(&server.quote(read(ask("card", 1))).await.unwrap_err(), Code::NotFound);
    server.apply(shop()).await.unwrap();
    assert_eq!(validate(&server, changed(|n| n.products.clear())).await.unwrap(), 1);
    assert_eq!(get(&server).await.unwrap().network, Some(shop()));
    assert_eq!(server.quote(read(ask("card", 1))).await.unwrap().verdict(), Verdict::Promised);
}

#[tokio::test]
async fn a_request_without_a_network_is_refused() {
    let server = TestServer::empty().await;
    let request = ApplyNetworkRequest { network: None, validate_only: false };
    assert_eq!(faults(&server.operations.clone().apply_network(request).await.unwrap_err()), ["network"]);
}

/// The shop without the van.
fn without_van() -> Network {
    changed(|n| {
        n.resources.retain(|r| r.id != "lej.van");
        for lane in n.lanes.iter_mut().filter(|l| l.resource == "lej.van") {
            (lane.resource, lane.per_shipment) = (String::new(), 0);
        }
    })
}

/// The shop with a van by half-days.
fn half_days() -> Network {
    changed(|n| n.resources[1].bucket = Some(duration(12 * 3_600)))
}

#[tokio::test]
async fn what_carries_live_reservations_stays_until_they_are_gone() {
    for other in [without_van(), half_days()] {
        let server = TestServer::shop().await;
        server.held("r1", by(DAY, ask("mug", 1))).await;
        server.held("r2", by(DAY, ask("mug", 1))).await;
        server.confirm("r2", "", false).await.unwrap();
        for end in ["r1", "r2"] {
            assert_eq!(subjects(&validate(&server, other.clone()).await.unwrap_err()), ["lej.van"]);
            assert_eq!(subjects(&server.apply(other.clone()).await.unwrap_err()), ["lej.van"]);
            assert_eq!(get(&server).await.unwrap().version, 1);
            server.release(end, "").await.unwrap();
        }
        validate(&server, other.clone()).await.unwrap();
        assert_eq!(server.apply(other).await.unwrap(), 2);
        let expected = ("2026-11-24", Verdict::Promised);
        let answer = server.quote(hold("r3", ask("mug", 1), 60)).await.unwrap();
        assert_eq!((answer.promise.as_ref().unwrap().date.as_str(), answer.verdict()), expected);
    }
}

#[tokio::test]
async fn what_carried_only_expired_holds_may_go() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 1))).await;
    server.turn(901);
    assert_eq!(server.apply(without_van()).await.unwrap(), 2);
}

#[tokio::test]
async fn another_kind_or_time_zone_cuts_a_resource_otherwise_too() {
    let server = TestServer::shop().await;
    server.held("r1", by(DAY, ask("mug", 1))).await;
    let elsewhere = changed(|n| n.sites[0].time_zone = "America/New_York".into());
    let mut named = subjects(&server.apply(elsewhere).await.unwrap_err());
    named.sort();
    assert_eq!(named, ["lej.pack", "lej.stock.mug", "lej.van"], "all that carry, at once");
}

#[tokio::test]
async fn a_resource_that_came_back_has_no_memory_of_its_old_plan() {
    let server = TestServer::shop().await;
    server.supply("lej.van", DAY, &[3]).await;
    server.apply(without_van()).await.unwrap();
    server.apply(shop()).await.unwrap();
    let van = server.bucket("lej.van", DAY).await;
    assert_eq!((van.supply, van.held), (10, 0), "left out means gone, with all that was set for it");
    // What is listed and what can be taken are the same.
    let answer = server.quote(hold("r1", by(DAY, ask("card", 1)), 60)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised);
}

#[tokio::test]
async fn other_changes_of_the_network_keep_supply_and_reservations() {
    let server = TestServer::shop().await;
    server.supply("lej.van", DAY, &[3]).await;
    server.held("r1", by(DAY, ask("mug", 2))).await;
    let other = changed(|n| {
        n.resources.reverse();
        n.lanes[0].transit_days = 2;
        n.resources.iter_mut().find(|r| r.id == "lej.pack").unwrap().weekly[0].units = 50;
    });
    server.apply(other).await.unwrap();
    let van = server.bucket("lej.van", DAY).await;
    assert_eq!((van.supply, van.held, van.available), (3, 1, 2));
    let pack = server.bucket("lej.pack", "2026-11-23").await;
    assert_eq!((pack.supply, pack.held, pack.available), (50, 2, 48));
    assert_eq!(server.quote(read(ask("mug", 1))).await.unwrap().promise.unwrap().date, "2026-11-25");
}

#[tokio::test]
async fn the_standing_plan_is_extended_as_days_go_by() {
    let server = TestServer::shop().await;
    // 30 days from Monday, 23 November on: the last is 22 December.
    let supply = |buckets: Vec<Bucket>| buckets.iter().map(|b| b.supply).collect::<Vec<_>>();
    assert_eq!(supply(server.buckets("lej.van", "2026-12-21", 4).await), [10, 10, 0, 0]);
    let last = on("2026-12-23", ask("card", 1));
    assert_ne!(server.quote(read(last.clone())).await.unwrap().verdict(), Verdict::Promised, "rule 18");
    server.clock.set(at("2026-11-23T22:59:59Z"));
    assert_ne!(server.quote(read(last.clone())).await.unwrap().verdict(), Verdict::Promised);
    // Midnight in Leipzig.
    server.clock.set(at("2026-11-23T23:00:00Z"));
    assert_eq!(supply(server.buckets("lej.van", "2026-12-21", 4).await), [10, 10, 10, 0]);
    assert_eq!(server.quote(hold("r1", last, 60)).await.unwrap().verdict(), Verdict::Promised);
    assert_eq!(server.taken("lej.van", "2026-12-23").await, (1, 0));
    server.turn(60 * 86_400);
    assert_eq!(supply(server.buckets("lej.van", "2027-02-20", 2).await), [10, 10], "and so on");
}

#[tokio::test]
async fn rule_4_a_weekly_receipt_stays_when_its_day_is_over() {
    let server = TestServer::shop().await;
    // Monday's seven cups, on the Wednesday after.
    server.clock.set(at("2026-11-25T08:00:00Z"));
    let answer = server.quote(hold("r1", by("2026-11-26", ask("cup", 7)), 60)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised, "{:?}", answer.bottlenecks);
    assert_eq!(server.quote(read(by("2026-11-26", ask("cup", 1)))).await.unwrap().verdict(), Verdict::Later);
    server.release("r1", "").await.unwrap();
    // Also under another network, and a week on with the next Monday's.
    server.apply(shop()).await.unwrap();
    server.clock.set(at("2026-12-02T08:00:00Z"));
    let answer = server.quote(hold("r2", by("2026-12-03", ask("cup", 14)), 60)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised, "{:?}", answer.bottlenecks);
    let on_hand = server.buckets("lej.stock.cup", "2026-11-23", 14).await;
    assert_eq!(on_hand.iter().map(|b| b.held).sum::<i64>(), 14);
    // And under one that has no standing receipts any more: what came stays.
    server.release("r2", "").await.unwrap();
    server.apply(changed(|n| n.resources[4].weekly.clear())).await.unwrap();
    let answer = server.quote(hold("r3", by("2026-12-03", ask("cup", 14)), 60)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised, "{:?}", answer.bottlenecks);
}

#[tokio::test]
async fn stock_on_hand_is_listed_after_its_day() {
    let server = TestServer::shop().await;
    server.clock.set(at("2026-11-25T08:00:00Z"));
    let cups = server.buckets("lej.stock.cup", "", 14).await;
    let sums: Vec<(Option<pbjson_types::Timestamp>, i64)> = cups.iter().map(|b| (b.from, b.available)).collect();
    assert_eq!(
        sums,
        [(stamp("2026-11-22T23:00:00Z"), 7), (stamp("2026-11-29T23:00:00Z"), 7), (stamp("2026-12-06T23:00:00Z"), 7)],
        "Monday's cups are there still"
    );
}
