//! SetSupply, AdjustSupply, ListBuckets, ListReservations.

use surety::domain::limits::MAX_UNITS;
use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::{Code, Status};

use crate::support::*;

const DAY: &str = "2026-11-24";

async fn adjust(
    server: &TestServer,
    id: &str,
    resource: &str,
    start: &str,
    buckets: i32,
    delta: i64,
) -> Result<Vec<Bucket>, Status> {
    let request = AdjustSupplyRequest {
        request_id: id.into(),
        resource: resource.into(),
        start: start.into(),
        buckets,
        delta,
        reason: "line 2 down".into(),
    };
    server.operations.clone().adjust_supply(request).await.map(|r| r.into_inner().buckets)
}

fn supply(buckets: &[Bucket]) -> Vec<i64> {
    buckets.iter().map(|b| b.supply).collect()
}

#[tokio::test]
async fn a_plan_streams_in_and_its_buckets_are_counted() {
    let server = TestServer::shop().await;
    let messages = vec![
        plan(&[("lej.van", DAY, &[1, 2]), ("lej.stock.cup", DAY, &[100])]),
        plan(&[]),
        plan(&[("lej.slot", "2026-11-24T08:00", &[5, 6]), ("lej.slot", DAY, &[9])]),
    ];
    let set = server.try_supply(messages).await.unwrap();
    assert_eq!((set.buckets_set, set.reservations_at_risk), (6, 0));
    assert_eq!(supply(&server.buckets("lej.van", DAY, 3).await), [1, 2, 10]);
    let slots = server.buckets("lej.slot", DAY, 1).await;
    assert_eq!((slots[0].supply, slots[8].supply, slots[9].supply, slots[10].supply), (9, 5, 6, 2));
    assert_eq!(server.try_supply(vec![]).await.unwrap().buckets_set, 0);
    // Set to nothing is set: the standing plan does not come back.
    server.supply("lej.van", DAY, &[0]).await;
    assert_eq!(server.bucket("lej.van", DAY).await.supply, 0);
}

#[tokio::test]
async fn a_message_is_applied_whole_or_not_and_those_before_it_stay() {
    let server = TestServer::shop().await;
    let messages = vec![
        plan(&[("lej.van", DAY, &[5])]),
        plan(&[("lej.van", "2026-11-25", &[6]), ("lej.train", DAY, &[6]), ("lej.van", "soon", &[-1])]),
        plan(&[("lej.van", "2026-11-26", &[7])]),
    ];
    faults(&server.try_supply(messages).await.unwrap_err());
    assert_eq!(supply(&server.buckets("lej.van", DAY, 3).await), [5, 10, 10]);
    // Names that only the network knows are looked at as one too.
    let message = plan(&[("lej.van", DAY, &[1]), ("lej.train", DAY, &[6]), ("lej.van", "2026-11-24T08:00", &[1])]);
    assert_eq!(faults(&server.try_supply(vec![message]).await.unwrap_err()), ["lines[1].resource", "lines[2].start"]);
    assert_eq!(server.bucket("lej.van", DAY).await.supply, 5);
}

#[tokio::test]
async fn wrong_numbers_and_dates_are_named_each() {
    let server = TestServer::shop().await;
    let message = plan(&[
        ("lej.van", "2026-02-30", &[1, -1, MAX_UNITS + 1]),
        ("", "2026-1-1", &[]),
        ("lej.slot", "2026-11-24T08:00:00", &[i64::MIN]),
        ("lej.slot", "2026-11-24 08:00", &[i64::MAX]),
    ]);
    let named = faults(&server.try_supply(vec![message]).await.unwrap_err());
    for expected in [
        "lines[0].start",
        "lines[0].units[1]",
        "lines[0].units[2]",
        "lines[1].resource",
        "lines[1].start",
        "lines[1].units",
        "lines[2].start",
        "lines[2].units[0]",
        "lines[3].start",
        "lines[3].units[0]",
    ] {
        assert!(named.iter().any(|n| n == expected), "{expected} is not among {named:?}");
    }
    let many = plan(&[("lej.van", DAY, &[1; 10_001])]);
    assert_eq!(faults(&server.try_supply(vec![many]).await.unwrap_err()), ["lines"]);
    let between = plan(&[("lej.slot", "2026-11-24T08:30", &[1])]);
    assert_eq!(faults(&server.try_supply(vec![between]).await.unwrap_err()), ["lines[0].start"]);
}

#[tokio::test]
async fn past_capacity_is_refused_and_past_stock_is_stock_on_hand() {
    let server = TestServer::shop().await;
    let past = plan(&[("lej.van", "2026-11-22", &[5, 5])]);
    assert_eq!(faults(&server.try_supply(vec![past]).await.unwrap_err()), ["lines[0].start"]);
    let over = plan(&[("lej.slot", "2026-11-23T08:00", &[1])]);
    assert_eq!(faults(&server.try_supply(vec![over]).await.unwrap_err()), ["lines[0].start"], "ended at 9, it is 9");
    server.supply("lej.slot", "2026-11-23T09:00", &[1]).await;
    server.supply("lej.van", "2026-11-23", &[5]).await;
    server.supply("lej.stock.mug", "2026-01-31", &[50]).await;
    server.held("r1", by(DAY, ask("mug", 55))).await;
    // Rule 6: the latest of the receipts that have begun first.
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (5, 0));
    let all = server.buckets("lej.stock.mug", "2026-01-31", 1).await;
    assert_eq!((all[0].supply, all[0].held), (50, 50));
}

#[tokio::test]
async fn an_absurd_future_is_refused() {
    let server = TestServer::shop().await;
    for (resource, start) in [("lej.van", "2189-01-01"), ("lej.stock.mug", "2126-11-24"), ("lej.van", "9999-12-31")] {
        let message = plan(&[(resource, start, &[1])]);
        assert_eq!(faults(&server.try_supply(vec![message]).await.unwrap_err()), ["lines[0].start"], "{start}");
    }
    let long = plan(&[("lej.van", DAY, &[1; 9_999])]);
    faults(&server.try_supply(vec![long]).await.unwrap_err());
    assert_eq!(server.bucket("lej.van", DAY).await.supply, 10);
}

#[tokio::test]
async fn rule_24_supply_may_fall_below_what_is_promised_and_reservations_stand() {
    let server = TestServer::shop().await;
    for i in 0..4 {
        server.held(&format!("r{i}"), by(DAY, ask("card", 1))).await;
    }
    server.confirm("r0", "", false).await.unwrap();
    let adjusted = adjust(&server, "a1", "lej.van", DAY, 1, -100).await.unwrap();
    let [van] = &adjusted[..] else { panic!("{adjusted:?}") };
    assert_eq!(
        (van.supply, van.held, van.confirmed, van.available),
        (0, 3, 1, -4),
        "never below 0, but what is left is"
    );
    assert_eq!(server.bucket("lej.van", DAY).await, *van);
    assert_eq!(server.quote(read(by(DAY, ask("card", 1)))).await.unwrap().verdict(), Verdict::Later);
    assert_eq!(server.confirm("r1", "", false).await.unwrap().state(), State::Confirmed);
    for (id, left) in [("r0", -3), ("r2", -2), ("r1", -1), ("r3", 0)] {
        server.release(id, "").await.unwrap();
        assert_eq!(server.bucket("lej.van", DAY).await.available, left);
    }
    server.supply("lej.van", DAY, &[1]).await;
    server.held("r9", by(DAY, ask("card", 1))).await;
}

#[tokio::test]
async fn an_adjustment_is_made_once_however_often_it_is_sent() {
    let server = TestServer::shop().await;
    let first = adjust(&server, "a1", "lej.van", DAY, 3, -4).await.unwrap();
    assert_eq!(supply(&first), [6, 6, 6]);
    server.held("r1", by(DAY, ask("card", 1))).await;
    let again = adjust(&server, "a1", "lej.van", DAY, 3, -4).await.unwrap();
    assert_eq!(supply(&again), [6, 6, 6]);
    refusal(&adjust(&server, "a1", "lej.van", DAY, 3, -5).await.unwrap_err(), Code::AlreadyExists);
    assert_eq!(supply(&server.buckets("lej.van", DAY, 4).await), [6, 6, 6, 10]);
    // Without an id each counts; one bucket when unset.
    adjust(&server, "", "lej.van", DAY, 0, 1).await.unwrap();
    adjust(&server, "", "lej.van", DAY, 0, 1).await.unwrap();
    assert_eq!(supply(&server.buckets("lej.van", DAY, 2).await), [8, 6]);
    // A reservation's id is not an adjustment's.
    adjust(&server, "r1", "lej.van", DAY, 1, 1).await.unwrap();
}

#[tokio::test]
async fn wrong_adjustments_name_their_faults() {
    let server = TestServer::shop().await;
    let named = faults(&adjust(&server, "", "", "2026-11-31", -1, i64::MIN).await.unwrap_err());
    assert_eq!(named, ["resource", "start", "buckets", "delta"]);
    faults(&adjust(&server, "", "lej.van", DAY, i32::MAX, 1).await.unwrap_err());
    assert_eq!(faults(&adjust(&server, "", "lej.van", "2026-11-20", 1, 1).await.unwrap_err()), ["start"]);
    let unknown = adjust(&server, "", "lej.train", DAY, 1, 1).await.unwrap_err();
    assert!(matches!(unknown.code(), Code::NotFound | Code::InvalidArgument), "{unknown:?}");
    // As much as there can be, twice.
    adjust(&server, "", "lej.van", DAY, 1, MAX_UNITS).await.unwrap();
    let most = adjust(&server, "", "lej.van", DAY, 1, MAX_UNITS).await;
    let bucket = server.bucket("lej.van", DAY).await;
    assert!(bucket.supply <= MAX_UNITS, "{most:?}");
}

#[tokio::test]
async fn buckets_are_listed_by_resource_by_site_and_by_days() {
    let server = TestServer::shop().await;
    let fortnight = server.buckets("lej.van", "", 0).await;
    assert_eq!(fortnight.len(), 14);
    assert_eq!(fortnight[0].from, stamp("2026-11-22T23:00:00Z"), "today, when empty");
    assert!(fortnight.windows(2).all(|w| w[0].to == w[1].from));
    assert_eq!(fortnight[13].supply, 0, "closed");
    let request = ListBucketsRequest { site: "lej".into(), days: 2, ..Default::default() };
    let all = server.operations.clone().list_buckets(request).await.unwrap().into_inner().buckets;
    let count = |id: &str| all.iter().filter(|b| b.resource == id).count();
    assert_eq!((count("lej.pack"), count("lej.van"), count("lej.slot")), (2, 2, 48));
    assert_eq!((count("lej.stock.mug"), count("lej.stock.cup")), (1, 1), "receipts");
    for bucket in &all {
        assert_eq!(bucket.available, bucket.supply - bucket.held - bucket.confirmed - bucket.allocated);
    }
}

#[tokio::test]
async fn rule_2_hours_on_the_days_on_which_clocks_change() {
    let server = TestServer::shop().await;
    let hours = |buckets: &[Bucket]| -> Vec<i64> {
        buckets.iter().map(|b| (b.to.unwrap().seconds - b.from.unwrap().seconds) / 3_600).collect()
    };
    let autumn = server.buckets("lej.slot", "2027-10-31", 1).await;
    assert_eq!(autumn.len(), 24);
    assert_eq!(hours(&autumn).iter().sum::<i64>(), 25);
    assert_eq!(hours(&autumn)[2], 2, "the hour that comes twice belongs to the first");
    let spring = server.buckets("lej.slot", "2027-03-28", 1).await;
    assert_eq!(spring.len(), 23, "the one that begins in the gap has no length and is not used");
    assert_eq!(hours(&spring), [1; 23]);
    assert!(spring.windows(2).all(|w| w[0].to == w[1].from));

    // The plan names buckets by the wall clock, on such days too.
    server.clock.set(at("2027-03-27T08:00:00Z"));
    server.supply("lej.slot", "2027-03-28T01:00", &[3, 4, 5]).await;
    let spring = server.buckets("lej.slot", "2027-03-28", 1).await;
    let at_clock = |from: &str| spring.iter().find(|b| b.from == stamp(from)).unwrap().supply;
    assert_eq!((at_clock("2027-03-28T00:00:00Z"), at_clock("2027-03-28T01:00:00Z")), (3, 5), "01:00 and 03:00");
    assert_eq!(at_clock("2027-03-28T06:00:00Z"), 2, "08:00 summer time, from the standing plan");
    assert_eq!(at_clock("2027-03-28T05:00:00Z"), 0);
}

#[tokio::test]
async fn wrong_questions_for_buckets() {
    let server = TestServer::shop().await;
    let mut operations = server.operations.clone();
    let both = ListBucketsRequest { resource: "lej.van".into(), site: "lej".into(), from: "x".into(), days: 401 };
    assert_eq!(faults(&operations.list_buckets(both).await.unwrap_err()), ["site", "from", "days"]);
    faults(&operations.list_buckets(ListBucketsRequest::default()).await.unwrap_err());
    for unknown in [
        ListBucketsRequest { resource: "lej.train".into(), ..Default::default() },
        ListBucketsRequest { site: "ber".into(), ..Default::default() },
    ] {
        refusal(&operations.list_buckets(unknown).await.unwrap_err(), Code::NotFound);
    }
}

#[tokio::test]
async fn reservations_are_listed_by_pages_that_miss_none_and_repeat_none() {
    let server = TestServer::shop().await;
    let mut expected: Vec<String> = (0..25).map(|i| format!("r{}", i * 37 % 25)).collect();
    for id in &expected {
        server.quote(hold(id, ask("card", 1), 900)).await.unwrap();
    }
    expected.sort();
    let (mut seen, mut sizes, mut token) = (vec![], vec![], String::new());
    loop {
        let request = ListReservationsRequest { page_size: 10, page_token: token, ..Default::default() };
        let page = server.reservations(request).await.unwrap();
        sizes.push(page.reservations.len());
        seen.extend(page.reservations.into_iter().map(|r| r.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        // One that comes in between is no reason to miss another.
        server.quote(hold(&format!("zz{}", seen.len()), ask("card", 1), 1)).await.unwrap();
    }
    assert_eq!(sizes[..2], [10, 10]);
    seen.retain(|id| !id.starts_with("zz"));
    seen.sort();
    assert_eq!(seen, expected);
    let page = server.reservations(ListReservationsRequest { page_size: 5_000, ..Default::default() }).await.unwrap();
    assert_eq!(page.next_page_token, "", "lowered to the maximum, not refused");
    assert!(page.reservations.len() >= 25);

    for token in ["garbage", "00000000", "ffffffff7231", "é"] {
        let request = ListReservationsRequest { page_token: token.into(), ..Default::default() };
        assert_eq!(faults(&server.reservations(request).await.unwrap_err()), ["page_token"], "{token}");
    }
    let request = ListReservationsRequest { page_size: -1, state: 9, ..Default::default() };
    assert_eq!(faults(&server.reservations(request).await.unwrap_err()), ["page_size", "state"]);
}

#[tokio::test]
async fn more_than_a_thousand_reservations_need_a_second_page() {
    let server = TestServer::shop().await;
    server.supply("lej.pack", "2026-11-23", &[2_000]).await;
    server.supply("lej.van", DAY, &[2_000]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..1_003 {
        let mut promises = server.promises.clone();
        tasks.spawn(async move { promises.quote(hold(&format!("r{i}"), ask("card", 1), 900)).await.unwrap() });
    }
    tasks.join_all().await;
    let page = server.reservations(ListReservationsRequest { page_size: 5_000, ..Default::default() }).await.unwrap();
    assert_eq!(page.reservations.len(), 1_000);
    let request = ListReservationsRequest { page_token: page.next_page_token, ..Default::default() };
    assert_eq!(server.reservations(request).await.unwrap().reservations.len(), 3);
}

#[tokio::test]
async fn reservations_are_listed_by_state_and_by_resource() {
    let server = TestServer::shop().await;
    server.held("held", by(DAY, ask("mug", 1))).await;
    server.held("confirmed", by(DAY, ask("mug", 1))).await;
    server.confirm("confirmed", "", false).await.unwrap();
    server.held("released", by(DAY, ask("card", 1))).await;
    server.release("released", "").await.unwrap();
    server.quote(hold("expired", by(DAY, ask("card", 1)), 1)).await.unwrap();
    server.turn(2);
    let ids = async |request: ListReservationsRequest| {
        let page = server.reservations(request).await.unwrap();
        page.reservations.into_iter().map(|r| r.id).collect::<Vec<_>>()
    };
    for (state, id) in [
        (State::Held, "held"),
        (State::Confirmed, "confirmed"),
        (State::Released, "released"),
        (State::Expired, "expired"),
    ] {
        let request = ListReservationsRequest { state: state.into(), ..Default::default() };
        assert_eq!(ids(request).await, [id]);
    }
    let mugs = ListReservationsRequest { resource: "lej.stock.mug".into(), ..Default::default() };
    assert_eq!(ids(mugs).await, ["confirmed", "held"]);
    let request =
        ListReservationsRequest { resource: "lej.van".into(), state: State::Held.into(), ..Default::default() };
    assert_eq!(ids(request).await, ["held"]);
    let risk = ListReservationsRequest { at_risk: true, ..Default::default() };
    assert!(ids(risk).await.is_empty());
    let unknown = ListReservationsRequest { resource: "lej.train".into(), ..Default::default() };
    refusal(&server.reservations(unknown).await.unwrap_err(), Code::NotFound);
}
