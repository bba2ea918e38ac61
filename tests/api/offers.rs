//! CheckOffer, ApproveOffer, CloseOffer, GetOffer, ListOffers, SuggestOffers (rules 25 to 27).

use surety::proto::v1::offer_service_client::OfferServiceClient;
use surety::proto::v1::offer_state::State;
use surety::proto::v1::*;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::support::*;

/// The first day of most offers here: tomorrow. What is ordered on it arrives on the 25th at best.
const FIRST: &str = "2026-11-24";
const NEXT: &str = "2026-11-25";

/// One card, within a day, by van: ten a day can be kept.
fn cards(id: &str, orders: &[i64]) -> Offer {
    let last = 23 + orders.len();
    Offer {
        id: id.into(),
        lines: vec![Line { sku: "card".into(), quantity: 1 }],
        zones: vec![ZoneShare { zone: "de".into(), share: 1.0 }],
        service: "standard".into(),
        starts: FIRST.into(),
        ends: format!("2026-11-{last}"),
        promise: Some(offer::Promise::WithinDays(1)),
        orders: orders.to_vec(),
        ..Default::default()
    }
}

fn approval(request_id: &str, offer: Offer) -> ApproveOfferRequest {
    ApproveOfferRequest { request_id: request_id.into(), offer: Some(offer), ..Default::default() }
}

async fn check(server: &TestServer, offer: Offer, suppose: &[(&str, &str, i32, i64)]) -> Result<OfferReport, Status> {
    let suppose = suppose.iter().map(|&(resource, start, buckets, delta)| SupposedSupply {
        resource: resource.into(),
        start: start.into(),
        buckets,
        delta,
    });
    let request = CheckOfferRequest { offer: Some(offer), suppose: suppose.collect() };
    Ok(server.offers().await.check_offer(request).await?.into_inner().report.expect("a report"))
}

async fn approve(server: &TestServer, request: ApproveOfferRequest) -> Result<ApproveOfferResponse, Status> {
    server.offers().await.approve_offer(request).await.map(|r| r.into_inner())
}

/// An approval that must succeed.
async fn approved(server: &TestServer, request: ApproveOfferRequest) -> OfferState {
    approve(server, request).await.expect("it is approved").offer.expect("an offer")
}

async fn state(server: &TestServer, id: &str) -> OfferState {
    let request = GetOfferRequest { id: id.into() };
    server.offers().await.get_offer(request).await.expect("an answer").into_inner().offer.expect("an offer")
}

async fn close(server: &TestServer, id: &str) -> Result<OfferState, Status> {
    let request = CloseOfferRequest { id: id.into() };
    Ok(server.offers().await.close_offer(request).await?.into_inner().offer.expect("an offer"))
}

/// What is set aside of a day's bucket, and what is everyone's.
async fn aside(server: &TestServer, resource: &str, day: &str) -> (i64, i64) {
    let bucket = server.bucket(resource, day).await;
    (bucket.allocated, bucket.available)
}

fn redeems(offer: &str, ask: Ask) -> Ask {
    Ask { offer: offer.into(), ..ask }
}

#[tokio::test]
async fn rule_25_a_check_says_what_can_be_kept_and_what_is_missing_and_takes_nothing() {
    let server = TestServer::shop().await;
    let report = check(&server, cards("c", &[12, 12, 12]), &[]).await.unwrap();
    assert_eq!((report.verdict(), report.orders_asked, report.orders_deliverable), (Verdict::Later, 36, 30));
    let days: Vec<_> = report.days.iter().map(|d| (&*d.date, d.asked, d.deliverable, &*d.bottleneck)).collect();
    assert_eq!(days, [(FIRST, 12, 10, "lej.van"), (NEXT, 12, 10, "lej.van"), ("2026-11-26", 12, 10, "lej.van")]);
    let [van] = &report.shortfalls[..] else { panic!("{:?}", report.shortfalls) };
    assert_eq!((&*van.resource, &*van.first_date, &*van.last_date), ("lej.van", NEXT, "2026-11-27"));
    assert_eq!((van.units, van.peak_units), (6, 2));
    assert_eq!(report.tightest_within_days, 2);
    // 9.96 orders a day are ten, 10.08 are eleven.
    assert!((report.deliverable_scale - 0.83).abs() < 1e-9, "{}", report.deliverable_scale);

    // What if there were a second tour?
    let report = check(&server, cards("c", &[12, 12, 12]), &[("lej.van", NEXT, 3, 2)]).await.unwrap();
    assert_eq!((report.verdict(), report.orders_deliverable), (Verdict::Promised, 36));
    assert!(report.shortfalls.is_empty());
    // And if there were none at all?
    let report = check(&server, cards("c", &[12, 12, 12]), &[("lej.van", FIRST, 5, -100)]).await.unwrap();
    assert_eq!((report.verdict(), report.orders_deliverable), (Verdict::Unavailable, 0));
    assert_eq!(aside(&server, "lej.van", NEXT).await, (0, 10));
    let request = GetOfferRequest { id: "c".into() };
    let unknown = server.offers().await.get_offer(request).await.unwrap_err();
    assert_eq!(refusal(&unknown, Code::NotFound).error_info().unwrap().reason, "UNKNOWN_OFFER");
}

#[tokio::test]
async fn rule_26_all_is_set_aside_or_nothing_and_a_refusal_says_why() {
    let server = TestServer::shop().await;
    let refused = approve(&server, approval("a1", cards("c", &[12, 12, 12]))).await.unwrap_err();
    let details = refusal(&refused, Code::FailedPrecondition);
    let info = details.error_info().unwrap();
    assert_eq!(info.reason, "OFFER_NOT_DELIVERABLE");
    let told = |key: &str| info.metadata[key].as_str();
    assert_eq!((told("ordersAsked"), told("ordersDeliverable"), told("minShare")), ("36", "30", "1"));
    assert_eq!((told("tightestWithinDays"), told("deliverableScale")), ("2", "0.83"));
    assert_eq!(subjects(&refused), ["lej.van"]);
    assert!(refused.message().contains("30 of 36 orders"), "{}", refused.message());
    for day in [NEXT, "2026-11-26", "2026-11-27"] {
        assert_eq!(aside(&server, "lej.van", day).await, (0, 10), "{day}");
    }
    // What a request did not take leaves no trace: the same one may be sent again once there is enough.
    server.supply("lej.van", NEXT, &[12, 12, 12]).await;
    let offer = approved(&server, approval("a1", cards("c", &[12, 12, 12]))).await;
    assert_eq!((offer.state(), offer.orders_set_aside, offer.orders_held), (State::Approved, 36, 0));
    assert_eq!(offer.approved_at, stamp(BEGIN));
    assert_eq!(aside(&server, "lej.van", NEXT).await, (12, 0));
    assert_eq!(aside(&server, "lej.pack", FIRST).await, (12, 88));
    let van = server.bucket("lej.van", NEXT).await;
    let [pool] = &van.pools[..] else { panic!("{van:?}") };
    assert_eq!((&*pool.pool, pool.units, pool.left), ("offer/c", 12, 12));
    assert_eq!(pool.release_at, van.from, "at its beginning, where no hours are said");
}

#[tokio::test]
async fn rule_26_with_min_share_as_many_are_set_aside_as_can_be_kept() {
    let server = TestServer::shop().await;
    let with = |share| ApproveOfferRequest { min_share: share, ..approval("a1", cards("c", &[12, 12, 12])) };
    let refused = approve(&server, with(0.84)).await.unwrap_err();
    assert_eq!(refusal(&refused, Code::FailedPrecondition).error_info().unwrap().metadata["minShare"], "0.84");
    let offer = approved(&server, with(0.83)).await;
    assert_eq!(offer.orders_set_aside, 30);
    for day in [NEXT, "2026-11-26", "2026-11-27"] {
        assert_eq!(aside(&server, "lej.van", day).await, (10, 0), "{day}");
    }
    // None at all is never enough, whatever share would do.
    let none = ApproveOfferRequest { min_share: 1e-9, ..approval("a2", cards("d", &[5, 5, 5])) };
    refusal(&approve(&server, none).await.unwrap_err(), Code::FailedPrecondition);
}

#[tokio::test]
async fn rule_20_the_same_approval_gets_its_first_answer_and_another_is_told_apart() {
    let server = TestServer::shop().await;
    let first = approve(&server, approval("a1", cards("c", &[5, 5]))).await.unwrap();
    assert_eq!(approve(&server, approval("a1", cards("c", &[5, 5]))).await.unwrap(), first);
    assert_eq!(aside(&server, "lej.van", NEXT).await, (5, 5), "set aside once");
    server.held("r1", by(NEXT, redeems("c", ask("card", 1)))).await;
    server.turn(1);
    let again = approve(&server, approval("a1", cards("c", &[5, 5]))).await.unwrap();
    assert_eq!(again.report, first.report);
    assert_eq!(again.offer.unwrap().orders_held, 1, "with its present state");

    let taken = |status: Status| refusal(&status, Code::AlreadyExists).error_info().unwrap().reason.clone();
    assert_eq!(taken(approve(&server, approval("a1", cards("c", &[6, 5]))).await.unwrap_err()), "OFFER_TAKEN");
    assert_eq!(taken(approve(&server, approval("a2", cards("c", &[5, 5]))).await.unwrap_err()), "OFFER_TAKEN");
    let used = approve(&server, approval("a1", cards("d", &[1]))).await.unwrap_err();
    assert_eq!(refusal(&used, Code::AlreadyExists).resource_info().unwrap().resource_type, "request");
    assert_eq!(taken(used), "REQUEST_ID_TAKEN");

    let closed = close(&server, "c").await.unwrap();
    let again = approve(&server, approval("a1", cards("c", &[5, 5]))).await.unwrap();
    assert_eq!((again.report, again.offer), (first.report, Some(closed)));
    // Without a request id, the offer's own id makes it safe to repeat.
    let plain = approve(&server, approval("", cards("e", &[1]))).await.unwrap();
    assert_eq!(approve(&server, approval("", cards("e", &[1]))).await.unwrap(), plain);
    assert_eq!(taken(approve(&server, approval("", cards("e", &[2]))).await.unwrap_err()), "OFFER_TAKEN");
}

#[tokio::test]
async fn rule_17_orders_that_redeem_the_offer_draw_from_it_first() {
    let server = TestServer::shop().await;
    approved(&server, approval("a1", cards("c", &[7]))).await;
    server.turn(86_400 - 9 * 3600);
    let web = |id: &str| hold(id, by(NEXT, ask("card", 1)), 900);
    for i in 0..3 {
        assert_eq!(server.quote(web(&format!("w{i}"))).await.unwrap().verdict(), Verdict::Promised);
    }
    let late = server.quote(web("w3")).await.unwrap();
    assert_eq!((late.verdict(), &*late.bottlenecks[0].resource), (Verdict::Later, "lej.van"));

    for i in 0..7 {
        server.held(&format!("o{i}"), by(NEXT, redeems("c", ask("card", 1)))).await;
    }
    let draws = server.evidence("o0").await.unwrap().draws;
    let pool = |resource: &str| draws.iter().find(|d| d.resource == resource).map(|d| d.pool.clone()).unwrap();
    assert_eq!(pool("lej.van"), "offer/c");
    let eighth = server.quote(hold("o7", by(NEXT, redeems("c", ask("card", 1))), 900)).await.unwrap();
    assert_eq!(eighth.verdict(), Verdict::Later);
    for i in 0..4 {
        server.confirm(&format!("o{i}"), "", false).await.unwrap();
    }
    server.release("o4", "").await.unwrap();
    let now = state(&server, "c").await;
    assert_eq!((now.orders_set_aside, now.orders_held, now.orders_confirmed), (7, 2, 4));
    // What was given back is the offer's again, not the web's.
    assert_eq!(aside(&server, "lej.van", NEXT).await, (1, 0));
    assert_eq!(server.quote(web("w4")).await.unwrap().verdict(), Verdict::Later);
    server.held("o8", by(NEXT, redeems("c", ask("card", 1)))).await;
    // Holds that nobody confirms end, and are counted no more.
    server.turn(900);
    let now = state(&server, "c").await;
    assert_eq!((now.orders_held, now.orders_confirmed), (0, 4));
}

#[tokio::test]
async fn rule_26_what_is_unsold_goes_back_in_time() {
    let server = TestServer::shop().await;
    let request = ApproveOfferRequest { release_hours: 24, ..approval("a1", cards("c", &[10, 10])) };
    assert_eq!(approved(&server, request).await.release_hours, 24);
    // The 26th begins on the 25th at 23:00 UTC, its release lies 24 hours before.
    server.turn(86_400 + 15 * 3600 - 1);
    assert_eq!(aside(&server, "lej.van", "2026-11-26").await, (10, 0));
    let web = || server.quote(read(by("2026-11-26", ask("card", 1))));
    assert_eq!(web().await.unwrap().verdict(), Verdict::Later);
    server.turn(1);
    assert_eq!(aside(&server, "lej.van", "2026-11-26").await, (0, 10));
    assert_eq!(web().await.unwrap().verdict(), Verdict::Promised);
    // Who redeems the offer is served like everybody else from then on.
    server.held("r1", by("2026-11-26", redeems("c", ask("card", 1)))).await;
    let draws = server.evidence("r1").await.unwrap().draws;
    assert!(draws.iter().all(|d| d.pool.is_empty()), "{draws:?}");
}

#[tokio::test]
async fn rule_26_stock_on_hand_stays_set_aside_until_the_end_of_the_offer() {
    let server = TestServer::shop().await;
    let mugs = Offer { lines: vec![Line { sku: "mug".into(), quantity: 1 }], ..cards("m", &[2, 2]) };
    approved(&server, approval("a1", mugs)).await;
    assert_eq!(aside(&server, "lej.stock.mug", "2026-11-23").await, (4, 1));
    let two = || server.quote(read(Ask { service: "express".into(), ..ask("mug", 2) }));
    assert_eq!(two().await.unwrap().verdict(), Verdict::Unavailable);
    let redeemed = server.held("r1", redeems("m", ask("mug", 2))).await;
    assert_eq!(redeemed.verdict(), Verdict::Promised);
    let draws = server.evidence("r1").await.unwrap().draws;
    assert_eq!(draws.iter().find(|d| d.resource == "lej.stock.mug").map(|d| &*d.pool), Some("offer/m"));
    // The offer ends with the 25th, in the time of its zone.
    server.turn(2 * 86_400 + 15 * 3600 - 1);
    // Who only reads may see it a moment later (rule 21).
    until("the hold has expired", async || aside(&server, "lej.stock.mug", "2026-11-23").await.0 == 4).await;
    assert_eq!(state(&server, "m").await.state(), State::Approved);
    server.turn(1);
    assert_eq!(aside(&server, "lej.stock.mug", "2026-11-23").await, (0, 5));
    let ended = state(&server, "m").await;
    assert_eq!((ended.state(), ended.closed_at), (State::Closed, stamp("2026-11-25T23:00:00Z")));
    // Closing what has ended is no fault.
    assert_eq!(close(&server, "m").await.unwrap().closed_at, ended.closed_at);
    assert_eq!(two().await.unwrap().verdict(), Verdict::Promised);
}

#[tokio::test]
async fn rule_26_stock_to_come_stays_set_aside_until_the_end_of_the_offer() {
    let server = TestServer::shop().await;
    // Seven cups come on each Monday; the offer is sold of those of the 30th and the 7th.
    server.supply("lej.stock.cup", "2026-11-23", &[0]).await;
    let cups = Offer {
        lines: vec![Line { sku: "cup".into(), quantity: 1 }],
        starts: "2026-12-14".into(),
        ends: "2026-12-15".into(),
        promise: Some(offer::Promise::WithinDays(2)),
        ..cards("cups", &[8, 6])
    };
    server.supply("lej.stock.cup", "2026-12-14", &[0]).await;
    let request = ApproveOfferRequest { release_hours: 24, ..approval("a1", cups) };
    assert_eq!(approved(&server, request).await.orders_set_aside, 14);
    let arrived = async || {
        (aside(&server, "lej.stock.cup", "2026-11-30").await, aside(&server, "lej.stock.cup", "2026-12-07").await)
    };
    let kept = ((7, 0), (7, 0));
    assert_eq!(arrived().await, kept);
    let receipts = server.buckets("lej.stock.cup", "2026-12-07", 1).await;
    let pool = receipts.iter().flat_map(|b| &b.pools).next().unwrap();
    assert_eq!(pool.release_at, stamp("2026-12-15T23:00:00Z"), "the end of the offer");
    // The 6th at 23:00 UTC is when the second begins: 24 hours before, then, and on the eve of the offer.
    for (seconds, what) in [(12 * 86_400 + 15 * 3600, "hours before"), (86_400, "it begins"), (6 * 86_400, "the eve")] {
        server.turn(seconds);
        assert_eq!(arrived().await, kept, "{what}");
    }
    // The offer's first day, 09:00: its orders get what was kept for them.
    server.turn(86_400 + 9 * 3600);
    let by_then = |ask| by("2026-12-16", ask);
    assert_eq!(server.quote(read(by_then(ask("cup", 1)))).await.unwrap().verdict(), Verdict::Later, "on the 21st");
    server.held("r1", by_then(redeems("cups", ask("cup", 6)))).await;
    let draws = server.evidence("r1").await.unwrap().draws;
    assert!(draws.iter().filter(|d| d.resource == "lej.stock.cup").all(|d| d.pool == "offer/cups"), "{draws:?}");
}

#[tokio::test]
async fn rule_26_nothing_is_set_aside_of_a_bucket_whose_hour_is_over() {
    let server = TestServer::shop().await;
    // Ordered on the 24th, packed on the 24th, by van on the 25th; approved on the 24th at 09:00.
    server.turn(86_400);
    let request = |id: &str, hours| ApproveOfferRequest { release_hours: hours, ..approval(id, cards(id, &[4])) };
    let state = approved(&server, request("begun", 0)).await;
    assert_eq!(state.orders_set_aside, 4, "all that got a yes");
    let pools = async |resource: &str, day: &str| server.bucket(resource, day).await.pools.len();
    assert_eq!((pools("lej.pack", FIRST).await, pools("lej.van", NEXT).await), (0, 1));
    assert_eq!(aside(&server, "lej.van", NEXT).await, (4, 6));
    // The 25th begins in 15 hours: with 14 it is held, with 15 it is over.
    approved(&server, request("near", 15)).await;
    assert_eq!(aside(&server, "lej.van", NEXT).await, (4, 6));
    assert_eq!((pools("lej.pack", FIRST).await, pools("lej.van", NEXT).await), (0, 1));
    approved(&server, request("far", 14)).await;
    assert_eq!(aside(&server, "lej.van", NEXT).await, (8, 2));
    // Their orders rest on what is common.
    server.held("r1", by(NEXT, redeems("near", ask("card", 1)))).await;
    assert!(server.evidence("r1").await.unwrap().draws.iter().all(|d| d.pool.is_empty()));
    assert_eq!(close(&server, "near").await.unwrap().state(), State::Closed);
}

#[tokio::test]
async fn closing_gives_back_what_is_unsold_and_keeps_what_is_sold() {
    let server = TestServer::shop().await;
    approved(&server, approval("a1", cards("c", &[10]))).await;
    server.turn(86_400 - 9 * 3600);
    server.held("r1", by(NEXT, redeems("c", ask("card", 3)))).await;
    assert_eq!(aside(&server, "lej.van", NEXT).await, (9, 0));
    let closed = close(&server, "c").await.unwrap();
    assert_eq!((closed.state(), closed.orders_held), (State::Closed, 1));
    assert_eq!(closed.closed_at, stamp("2026-11-23T23:00:00Z"));
    assert_eq!(aside(&server, "lej.van", NEXT).await, (0, 9));
    assert_eq!(server.taken("lej.van", NEXT).await, (1, 0));
    server.confirm("r1", "", false).await.unwrap();
    server.turn(60);
    let again = close(&server, "c").await.unwrap();
    assert_eq!((again.closed_at, again.orders_confirmed), (closed.closed_at, 1), "closing twice changes nothing");

    // An ask that names a closed offer is answered as though it had none.
    server.held("r2", by(NEXT, redeems("c", ask("card", 1)))).await;
    assert!(server.evidence("r2").await.unwrap().draws.iter().all(|d| d.pool.is_empty()));
    // One that was never approved is a name that nobody knows.
    let unknown = server.quote(read(redeems("x", ask("card", 1)))).await.unwrap_err();
    assert_eq!(refusal(&unknown, Code::NotFound).resource_info().unwrap().resource_type, "offer");
    refusal(&close(&server, "x").await.unwrap_err(), Code::NotFound);
}

#[tokio::test]
async fn an_offer_is_set_aside_in_so_many_buckets_and_no_more() {
    let mut network = shop();
    let slot = network.resources.iter_mut().find(|r| r.id == "lej.slot").expect("slots");
    (slot.bucket, slot.horizon_days) = (Some(duration(900)), 120);
    (slot.weekly[0].from, slot.weekly[0].to) = (String::new(), String::new());
    slot.weekly[0].units = 1;
    let server = TestServer::with(|config| config.network = Some(network)).await;
    let gifts = |days: usize| Offer {
        lines: vec![Line { sku: "gift".into(), quantity: 1 }],
        zones: vec![ZoneShare { zone: "city".into(), share: 1.0 }],
        service: "slot".into(),
        ends: (jiff::civil::date(2026, 11, 23) + jiff::Span::new().days(days as i64)).to_string(),
        promise: Some(offer::Promise::WithinDays(0)),
        orders: vec![95; days],
        ..cards("g", &[1])
    };
    let refused = approve(&server, approval("a1", gifts(106))).await.unwrap_err();
    let details = refusal(&refused, Code::FailedPrecondition);
    let info = details.error_info().unwrap();
    assert_eq!(
        (&*info.reason, &*info.metadata["buckets"], &*info.metadata["limit"]),
        ("OFFER_TOO_LARGE", "10070", "10000")
    );
    assert_eq!(subjects(&refused), ["g"]);
    assert!(server.buckets("lej.slot", FIRST, 1).await.iter().all(|b| b.allocated == 0));
    assert_eq!(approved(&server, approval("a1", gifts(105))).await.orders_set_aside, 9_975);
    assert_eq!(server.buckets("lej.slot", FIRST, 1).await.iter().map(|b| b.allocated).sum::<i64>(), 95);
}

/// Sends all approvals at the same moment.
async fn approve_at_once(server: &TestServer, requests: Vec<ApproveOfferRequest>) -> Vec<Result<OfferState, Status>> {
    let mut tasks = JoinSet::new();
    for request in requests {
        let mut offers = OfferServiceClient::new(channel(server.address).await);
        tasks
            .spawn(async move { offers.approve_offer(request).await.map(|r| r.into_inner().offer.expect("an offer")) });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rule_26_two_approvals_at_once_never_set_aside_the_same_units() {
    for round in 0..8 {
        let server = TestServer::shop().await;
        let requests = (0..4).map(|i| approval(&format!("a{i}"), cards(&format!("c{i}"), &[4, 4, 4]))).collect();
        let answers = approve_at_once(&server, requests).await;
        assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 2, "round {round}: ten a day are two times four");
        for refused in answers.iter().filter_map(|a| a.as_ref().err()) {
            assert_eq!(
                refusal(refused, Code::FailedPrecondition).error_info().unwrap().metadata["ordersDeliverable"],
                "6"
            );
        }
        for day in [NEXT, "2026-11-26", "2026-11-27"] {
            assert_eq!(aside(&server, "lej.van", day).await, (8, 2), "round {round}");
        }
        // Of the same request sent many times at once, one sets aside and all hear the same.
        let twins = approve_at_once(&server, vec![approval("t", cards("t", &[2, 2])); 4]).await;
        let first = twins[0].as_ref().expect("approved");
        assert!(twins.iter().all(|t| t.as_ref().ok() == Some(first)), "round {round}: {twins:?}");
        assert_eq!(aside(&server, "lej.van", NEXT).await, (10, 0), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rule_19_an_approval_and_the_web_never_take_the_same_units() {
    for round in 0..8 {
        let server = TestServer::shop().await;
        let mut shoppers = JoinSet::new();
        for i in 0..20 {
            let mut promises = server.promises.clone();
            let request = hold(&format!("w{i}"), on(NEXT, ask("card", 1)), 900);
            shoppers.spawn(async move { promises.quote(request).await.expect("a verdict").into_inner().verdict() });
        }
        let (answers, sold) =
            tokio::join!(approve_at_once(&server, vec![approval("a1", cards("c", &[6]))]), shoppers.join_all());
        let sold = sold.into_iter().filter(|v| *v == Verdict::Promised).count() as i64;
        let van = server.bucket("lej.van", NEXT).await;
        assert_eq!((van.held, van.held + van.allocated + van.available), (sold, 10), "round {round}");
        match &answers[0] {
            Ok(offer) => assert_eq!((offer.orders_set_aside, van.allocated, sold), (6, 6, 4), "round {round}"),
            Err(refused) => {
                refusal(refused, Code::FailedPrecondition);
                assert_eq!((van.allocated, sold), (0, 10), "round {round}");
            }
        }
    }
}

#[tokio::test]
async fn every_fault_of_an_offer_is_named() {
    let server = TestServer::shop().await;
    let share = |zone: &str, share| ZoneShare { zone: zone.into(), share };
    let wrong = Offer {
        id: " c".into(),
        display_name: "x".repeat(1_001),
        lines: vec![Line { sku: String::new(), quantity: 0 }, Line { sku: "card".into(), quantity: -1 }],
        zones: vec![share("", f64::NAN), share("de", 0.5), share("de", 1.5), share("south", -0.1)],
        service: "s".repeat(1_000),
        channel: "\n".into(),
        starts: "24.11.2026".into(),
        ends: "2026-02-30".into(),
        promise: None,
        orders: vec![],
    };
    let request = ApproveOfferRequest {
        request_id: "r".repeat(129),
        offer: Some(wrong.clone()),
        min_share: 1.01,
        release_hours: -1,
    };
    let of_offer = [
        "offer.id",
        "offer.display_name",
        "offer.lines[0].sku",
        "offer.lines[0].quantity",
        "offer.lines[1].quantity",
        "offer.zones[0].zone",
        "offer.zones[0].share",
        "offer.zones[2].zone",
        "offer.zones[2].share",
        "offer.zones[3].share",
        "offer.service",
        "offer.channel",
        "offer.starts",
        "offer.ends",
        "offer.promise",
        "offer.orders",
    ];
    let named = faults(&approve(&server, request).await.unwrap_err());
    assert_eq!(named, [&["request_id"], &of_offer[..], &["min_share", "release_hours"]].concat());
    let suppose = [("", "soon", -1, i64::MAX), ("lej.van", FIRST, 10_001, 0)];
    let named = faults(&check(&server, wrong, &suppose).await.unwrap_err());
    let of_suppose =
        ["suppose[0].resource", "suppose[0].start", "suppose[0].buckets", "suppose[0].delta", "suppose[1].buckets"];
    assert_eq!(named, [&of_offer[..], &of_suppose[..]].concat());
    let none = server.offers().await.check_offer(CheckOfferRequest::default()).await.unwrap_err();
    assert_eq!(faults(&none), ["offer"]);
}

#[tokio::test]
async fn faults_of_an_offer_one_by_one() {
    let server = TestServer::shop().await;
    type Spoil = fn(&mut Offer);
    let share = |zone: &str, share| ZoneShare { zone: zone.into(), share };
    let table: &[(&[&str], Spoil)] = &[
        (&["offer.lines"], |o| o.lines.clear()),
        (&["offer.lines"], |o| o.lines = vec![o.lines[0].clone(); 101]),
        (&["offer.zones"], |o| o.zones.clear()),
        (&["offer.zones"], |o| o.zones[0].share = 0.99),
        (&["offer.zones"], |o| o.zones = (0..1_001).map(|i| ZoneShare { zone: i.to_string(), share: 0.0 }).collect()),
        (&["offer.ends"], |o| o.ends = "2026-11-23".into()),
        (&["offer.ends"], |o| o.ends = "2027-12-29".into()),
        (&["offer.within_days"], |o| o.promise = Some(offer::Promise::WithinDays(-1))),
        (&["offer.within_days"], |o| o.promise = Some(offer::Promise::WithinDays(401))),
        (&["offer.date"], |o| o.promise = Some(offer::Promise::Date("Christmas".into()))),
        (&["offer.date"], |o| o.promise = Some(offer::Promise::Date("2026-11-23".into()))),
        (&["offer.orders"], |o| o.orders = vec![1, 2]),
        (&["offer.orders"], |o| o.orders = vec![0, 0, 0]),
        (&["offer.orders[1]"], |o| o.orders[1] = -1),
        (&["offer.orders[0]", "offer.orders[2]"], |o| o.orders = vec![i64::MAX, 0, i64::MIN]),
        (&["offer.orders"], |o| o.orders = vec![1_000_000_000, 1, 0]),
    ];
    for (i, (paths, spoil)) in table.iter().enumerate() {
        let mut offer = cards("c", &[1, 1, 1]);
        spoil(&mut offer);
        assert_eq!(faults(&check(&server, offer, &[]).await.unwrap_err()), *paths, "row {i}");
    }
    // What people lose by rounding is no fault.
    let thirds = vec![share("de", 0.333_333), share("south", 0.333_333), share("city", 0.333_334)];
    check(&server, Offer { zones: thirds, service: String::new(), ..cards("c", &[3]) }, &[]).await.unwrap();
    for (min_share, release_hours, expected) in
        [(f64::NAN, 0, vec!["min_share"]), (-0.5, 0, vec!["min_share"]), (0.0, 8_785, vec!["release_hours"])]
    {
        let request = ApproveOfferRequest { min_share, release_hours, ..approval("a1", cards("c", &[1])) };
        assert_eq!(faults(&approve(&server, request).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn what_only_the_network_knows_is_looked_at_too() {
    let server = TestServer::shop().await;
    let mut unknown = cards("c", &[1]);
    unknown.lines[0].sku = "vase".into();
    unknown.zones[0].zone = "fr".into();
    unknown.channel = "fax".into();
    let refused = check(&server, unknown.clone(), &[]).await.unwrap_err();
    let details = refusal(&refused, Code::NotFound);
    let named: Vec<&str> = details.bad_request().unwrap().field_violations.iter().map(|v| &*v.field).collect();
    assert_eq!(named, ["offer.lines[0].sku", "offer.zones[0].zone", "offer.channel"]);
    refusal(&approve(&server, approval("a1", unknown)).await.unwrap_err(), Code::NotFound);

    let suppose = [("lej.train", FIRST, 1, 1), ("lej.van", "2026-11-22", 1, 1), ("lej.van", "2026-11-24T08:00", 1, 1)];
    let named = faults(&check(&server, cards("c", &[1]), &suppose).await.unwrap_err());
    assert_eq!(named, ["suppose[0].resource", "suppose[1].start", "suppose[2].start"]);

    // All at once, by the offer's names first.
    let mut both = cards("c", &[1]);
    (both.lines[0].sku, both.zones[0].zone, both.channel) = ("vase".into(), "fr".into(), "fax".into());
    let named = faults(&check(&server, both, &suppose[..1]).await.unwrap_err());
    assert_eq!(named, ["offer.lines[0].sku", "offer.zones[0].zone", "offer.channel", "suppose[0].resource"]);

    // Days that are over are passed over; an offer of which nothing else is left is a slip of the pen.
    let begun = Offer { starts: "2026-11-22".into(), ..cards("c", &[9]) };
    let report = check(&server, begun, &[]).await.unwrap();
    assert_eq!((report.orders_asked, &*report.days[0].date), (6, "2026-11-23"), "three a day, the first is over");
    let over = Offer { starts: "2026-11-20".into(), ends: "2026-11-22".into(), ..cards("c", &[9]) };
    assert_eq!(faults(&check(&server, over.clone(), &[]).await.unwrap_err()), ["offer.ends"]);
    assert_eq!(faults(&approve(&server, approval("a1", over)).await.unwrap_err()), ["offer.ends"]);
    let sold_out = Offer { starts: "2026-11-22".into(), ..cards("c", &[9]) };
    let sold_out = Offer { orders: vec![9, 0, 0], ..sold_out };
    assert_eq!(faults(&approve(&server, approval("a1", sold_out)).await.unwrap_err()), ["offer.orders"]);
}

#[tokio::test]
async fn offers_are_listed_page_by_page_and_shown_as_they_were_written() {
    let server = TestServer::shop().await;
    let mut written = Offer {
        display_name: "Cards for all".into(),
        channel: "web".into(),
        promise: Some(offer::Promise::Date("2026-11-30".into())),
        ..cards("long", &[3, 4])
    };
    written.id = "ü".repeat(100);
    approved(&server, approval("a0", written.clone())).await;
    assert_eq!(state(&server, &written.id).await.offer, Some(written.clone()));
    for i in 0..4 {
        approved(&server, approval(&format!("r{i}"), cards(&format!("o{i}"), &[1]))).await;
    }
    close(&server, "o2").await.unwrap();
    let mut offers = server.offers().await;
    let (mut seen, mut token) = (vec![], String::new());
    loop {
        let request = ListOffersRequest { page_size: 2, page_token: token };
        let page = offers.list_offers(request).await.unwrap().into_inner();
        assert!(page.offers.len() <= 2);
        seen.extend(page.offers.into_iter().map(|o| (o.offer.as_ref().unwrap().id.clone(), o.state())));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let ids = ["o0", "o1", "o2", "o3", &written.id];
    let states = [State::Approved, State::Approved, State::Closed, State::Approved, State::Approved];
    assert_eq!(seen, ids.map(str::to_owned).into_iter().zip(states).collect::<Vec<_>>());
    let wrong = ListOffersRequest { page_size: -1, page_token: "17".into() };
    assert_eq!(faults(&offers.list_offers(wrong).await.unwrap_err()), ["page_size", "page_token"]);
    assert_eq!(faults(&offers.get_offer(GetOfferRequest::default()).await.unwrap_err()), ["id"]);
    assert_eq!(faults(&offers.close_offer(CloseOfferRequest::default()).await.unwrap_err()), ["id"]);
}

#[tokio::test]
async fn what_could_be_offered_is_suggested() {
    let server = TestServer::shop().await;
    let mut offers = server.offers().await;
    let asked = SuggestOffersRequest {
        starts: FIRST.into(),
        ends: "2026-11-26".into(),
        zone: "de".into(),
        within_days: 1,
        limit: 0,
    };
    let found = offers.suggest_offers(asked.clone()).await.unwrap().into_inner().suggestions;
    assert!(!found.is_empty());
    assert!(found.windows(2).all(|w| w[0].orders >= w[1].orders), "most orders first: {found:?}");
    for suggestion in &found {
        assert_eq!(suggestion.orders_by_day.len(), 3);
        assert_eq!(suggestion.orders_by_day.iter().sum::<i64>(), suggestion.orders);
    }
    let one = SuggestOffersRequest { limit: 1, ..asked.clone() };
    assert_eq!(offers.suggest_offers(one).await.unwrap().into_inner().suggestions, found[..1]);
    assert_eq!(aside(&server, "lej.van", NEXT).await, (0, 10), "it takes nothing");

    let unknown = SuggestOffersRequest { zone: "fr".into(), ..asked.clone() };
    refusal(&offers.suggest_offers(unknown).await.unwrap_err(), Code::NotFound);
    let over = SuggestOffersRequest { starts: "2026-11-01".into(), ends: "2026-11-22".into(), ..asked };
    assert_eq!(faults(&offers.suggest_offers(over).await.unwrap_err()), ["ends"]);
    let wrong = SuggestOffersRequest { within_days: 401, limit: 1_001, ..Default::default() };
    let named = faults(&offers.suggest_offers(wrong).await.unwrap_err());
    assert_eq!(named, ["starts", "ends", "zone", "within_days", "limit"]);
}
