//! A season from end to end, as marketing and operations live it: the plan is loaded, an offer is checked and refused, a shift is added,
//! the offer is approved, orders redeem it while the web sells on, a van breaks down, promises at risk are re-promised, deliveries
//! are reported, and the scorecard adds up to what was played. On the memory ledger and on Redis.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use surety::clock::ManualClock;
use surety::ledger::redis::{Address, Durability, RedisConfig, RedisLedger, StoreClock};
use surety::proto::v1::offer_service_client::OfferServiceClient;
use surety::proto::v1::reservation::State;
use surety::proto::v1::watch_events_response::Event;
use surety::proto::v1::*;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Channel;

use crate::redis_world::{Flavour, Options, Server};
use crate::support::*;

const OFFER: &str = "advent-26";
/// The offer's days, Monday to Friday; what is ordered on one of them arrives on the next day at best.
const DAYS: [&str; 5] = ["2026-11-30", "2026-12-01", "2026-12-02", "2026-12-03", "2026-12-04"];

#[tokio::test]
async fn a_season_on_the_embedded_ledger() {
    play(TestServer::with(|config| config.network = Some(shop())).await).await;
}

#[tokio::test]
async fn a_season_on_redis() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let redis = Server::start(flavour, Options::default());
    // The store's time is turned by hand, as the service's is.
    let clock = Arc::new(ManualClock::at(at(BEGIN)));
    let address = Address::parse(&redis.url()).expect("an address");
    let ledger = RedisLedger::open(RedisConfig {
        clock: StoreClock::Given(clock.clone()),
        durability: Durability::Memory,
        ..RedisConfig::new(address)
    });
    play(TestServer::on_with(ledger.await.expect("it opens"), clock).await).await;
}

/// One mug, delivered within two days.
fn offer() -> Offer {
    Offer {
        id: OFFER.into(),
        display_name: "A mug in two days".into(),
        lines: vec![Line { sku: "mug".into(), quantity: 1 }],
        zones: vec![ZoneShare { zone: "de".into(), share: 1.0 }],
        service: "standard".into(),
        channel: "web".into(),
        starts: DAYS[0].into(),
        ends: DAYS[4].into(),
        promise: Some(offer::Promise::WithinDays(2)),
        orders: vec![15; 5],
    }
}

async fn check(offers: &mut OfferServiceClient<Channel>) -> OfferReport {
    let request = CheckOfferRequest { offer: Some(offer()), suppose: Vec::new() };
    offers.check_offer(request).await.expect("a check").into_inner().report.expect("a report")
}

async fn offer_state(offers: &mut OfferServiceClient<Channel>) -> OfferState {
    let request = GetOfferRequest { id: OFFER.into() };
    offers.get_offer(request).await.expect("an answer").into_inner().offer.expect("an offer")
}

async fn card(offers: &mut OfferServiceClient<Channel>, offer: &str) -> GetScorecardResponse {
    let request = GetScorecardRequest {
        from: "2026-11-23".into(),
        to: "2026-12-31".into(),
        channel: String::new(),
        offer: offer.into(),
    };
    offers.get_scorecard(request).await.expect("a scorecard").into_inner()
}

/// An order that redeems the offer on a day, by the day that is advertised.
fn redeemed(by_date: &str) -> Ask {
    Ask { channel: "web".into(), offer: OFFER.into(), ..by(by_date, ask("mug", 1)) }
}

async fn play(server: TestServer) {
    let mut offers = server.offers().await;
    let mut operations = server.operations.clone();
    // A CRM that follows all along: the feed keeps a week, and the season is longer.
    let from_the_start = WatchEventsRequest { cursor: "0".into() };
    let mut events = operations.watch_events(from_the_start).await.expect("events").into_inner();
    let heard: Arc<Mutex<Vec<Event>>> = Arc::default();
    let crm = tokio::spawn({
        let heard = Arc::clone(&heard);
        async move {
            while let Some(event) = events.next().await {
                let Ok(event) = event else { return };
                heard.lock().expect("no panic").extend(event.event);
            }
        }
    });

    // Monday, a week before: the plan is loaded. 100 minutes of packing on working days and ten parcels a day stand in the network.
    server.supply("lej.stock.mug", "2026-11-23", &[200]).await;

    // Marketing asks for fifteen orders a day. The van takes ten parcels, and none on the Sunday after.
    let report = check(&mut offers).await;
    assert_eq!(report.verdict(), Verdict::Later);
    assert_eq!((report.orders_asked, report.orders_deliverable), (75, 50));
    let kept: Vec<i64> = report.days.iter().map(|day| day.deliverable).collect();
    assert_eq!(kept, [15, 15, 10, 10, 0]);
    assert_eq!(report.shortfalls.len(), 1, "{:?}", report.shortfalls);
    let missing = &report.shortfalls[0];
    assert_eq!((missing.resource.as_str(), missing.units), ("lej.van", 25));
    let approve = |request_id: &str| ApproveOfferRequest {
        request_id: request_id.into(),
        offer: Some(offer()),
        ..Default::default()
    };
    let refused = offers.approve_offer(approve("approve-1")).await.expect_err("it can't be kept");
    refusal(&refused, Code::FailedPrecondition);

    // Operations add a second tour: five parcels more on each of the days on which the offer arrives.
    let shift = AdjustSupplyRequest {
        request_id: "second-tour".into(),
        resource: "lej.van".into(),
        start: DAYS[1].into(),
        buckets: 5,
        delta: 5,
        reason: "a second tour".into(),
    };
    operations.adjust_supply(shift).await.expect("it is added");
    let report = check(&mut offers).await;
    assert_eq!((report.verdict(), report.orders_deliverable), (Verdict::Promised, 75));
    assert_eq!(report.tightest_within_days, 1);
    assert!(report.shortfalls.is_empty());

    // Now it is approved, once, however often the request is sent.
    let approved = offers.approve_offer(approve("approve-2")).await.expect("it is approved").into_inner();
    let again = offers.approve_offer(approve("approve-2")).await.expect("the same").into_inner();
    assert_eq!(approved.report, again.report);
    assert_eq!(approved.offer.as_ref().map(|o| o.orders_set_aside), Some(75));
    let van = server.bucket("lej.van", DAYS[1]).await;
    assert_eq!((van.allocated, van.available), (15, 0));
    assert_eq!(van.pools[0].pool, format!("offer/{OFFER}"));

    // Monday of the offer, ten in the morning. The web sells on, from what is everyone's: nothing arrives this week.
    server.turn(7 * 24 * 3600);
    let web = Ask { channel: "web".into(), ..ask("mug", 1) };
    let late = server.quote(read(by(DAYS[1], web.clone()))).await.expect("an answer");
    assert_eq!(late.verdict(), Verdict::Later);
    assert_eq!(late.bottlenecks[0].resource, "lej.van");
    let sold = server.held("web-1", web).await;
    assert_eq!(sold.promise.expect("a promise").date, "2026-12-07");
    server.confirm("web-1", "", false).await.expect("confirmed");

    // Ten redeem the offer: eight buy, one cancels, one forgets to pay.
    for n in 0..10 {
        let id = format!("monday-{n}");
        let held = server.held(&id, redeemed(DAYS[2])).await;
        assert_eq!(held.promise.expect("a promise").date, DAYS[1]);
        // A repeat is the same order, and counts once.
        server.held(&id, redeemed(DAYS[2])).await;
    }
    let draws = server.evidence("monday-0").await.expect("evidence").draws;
    let of_van = draws.iter().find(|draw| draw.resource == "lej.van").expect("a parcel");
    assert_eq!(of_van.pool, format!("offer/{OFFER}"));
    for n in 0..8 {
        server.confirm(&format!("monday-{n}"), "", false).await.expect("confirmed");
    }
    server.release("monday-8", "changed my mind").await.expect("released");
    let state = offer_state(&mut offers).await;
    assert_eq!((state.orders_held, state.orders_confirmed), (1, 8));
    server.turn(900);
    until("the hold has expired", async || server.state("monday-9").await == State::Expired).await;
    let state = offer_state(&mut offers).await;
    assert_eq!((state.orders_held, state.orders_confirmed), (0, 8));

    // Tuesday: twelve more buy. Then the second van breaks down, and a third of the first tour is lost too.
    server.turn(24 * 3600 - 900);
    for n in 0..12 {
        let id = format!("tuesday-{n:02}");
        let held = server.held(&id, redeemed(DAYS[3])).await;
        assert_eq!(held.promise.expect("a promise").date, DAYS[2]);
        server.confirm(&id, "", false).await.expect("confirmed");
        server.turn(1);
    }
    let broken = AdjustSupplyRequest {
        request_id: "van-broke".into(),
        resource: "lej.van".into(),
        start: DAYS[2].into(),
        buckets: 1,
        delta: -10,
        reason: "both vans in the ditch".into(),
    };
    let adjusted = operations.adjust_supply(broken).await.expect("it is noted").into_inner();
    // Five parcels are left for twelve promises; the youngest are at risk (rule 24).
    assert_eq!(adjusted.reservations_at_risk, 7);
    let listed = server.reservations(ListReservationsRequest { at_risk: true, ..Default::default() }).await.unwrap();
    let at_risk: Vec<&str> = listed.reservations.iter().map(|r| r.id.as_str()).collect();
    let youngest: Vec<String> = (5..12).map(|n| format!("tuesday-{n:02}")).collect();
    assert_eq!(at_risk, youngest);

    // What Repromise would do, and then does: they come a day later, from what the offer still has for that day.
    let dry = RepromiseRequest { validate_only: true, ..Default::default() };
    let shown = operations.repromise(dry).await.expect("a plan").into_inner();
    assert_eq!(
        server.reservations(ListReservationsRequest { at_risk: true, ..Default::default() }).await.unwrap(),
        listed
    );
    let done = operations.repromise(RepromiseRequest::default()).await.expect("it is done").into_inner();
    assert_eq!(shown, done);
    assert_eq!((done.kept, done.moved, done.still_at_risk), (0, 7, 0));
    assert!(done.repromised.iter().all(|r| (&*r.old_date, &*r.new_date) == (DAYS[2], DAYS[3])), "{done:?}");
    let moved = server.evidence("tuesday-11").await.expect("evidence");
    let reservation = moved.reservation.expect("a reservation");
    assert!(!reservation.at_risk);
    assert_eq!((&*reservation.first_date, &*reservation.promise.expect("set").date), (DAYS[2], DAYS[3]));
    let story: Vec<&str> = moved.history.iter().map(|change| &*change.what).collect();
    assert_eq!(story, ["held", "confirmed", "at risk", "re-promised"]);

    // Friday: everything has arrived, and operations say so. What was first promised for Wednesday and came on Thursday is late.
    server.turn(3 * 24 * 3600);
    let backlog = ListReservationsRequest { backlog: true, ..Default::default() };
    assert_eq!(server.reservations(backlog.clone()).await.unwrap().reservations.len(), 20);
    let delivered =
        |id: String, day: &str| Fulfilment { id, shipped_at: None, delivered_at: stamp(&format!("{day}T11:00:00Z")) };
    let mut fulfilments: Vec<Fulfilment> = (0..8).map(|n| delivered(format!("monday-{n}"), DAYS[1])).collect();
    fulfilments.extend((0..5).map(|n| delivered(format!("tuesday-{n:02}"), DAYS[2])));
    fulfilments.extend((5..12).map(|n| delivered(format!("tuesday-{n:02}"), DAYS[3])));
    fulfilments.push(delivered("nobody".into(), DAYS[3]));
    let request = ReportFulfilmentRequest { fulfilments };
    let told = operations.report_fulfilment(request.clone()).await.expect("it is noted").into_inner();
    assert_eq!((told.fulfilled, told.unknown_ids.as_slice()), (20, &["nobody".to_owned()][..]));
    // Once more, as systems do: nothing is counted twice.
    let told = operations.report_fulfilment(request).await.expect("it is noted").into_inner();
    assert_eq!(told.fulfilled, 0);
    assert_eq!(server.reservations(backlog).await.unwrap().reservations, []);

    // Marketing closes the offer: what was not sold is everyone's.
    let closed = CloseOfferRequest { id: OFFER.into() };
    let closed = offers.close_offer(closed).await.expect("it is closed").into_inner().offer.expect("an offer");
    assert_eq!(closed.state(), offer_state::State::Closed);
    assert_eq!(closed.orders_confirmed, 20);
    assert_eq!(server.bucket("lej.van", "2026-12-05").await.allocated, 0);

    // The scorecard says what was played.
    let of_offer = card(&mut offers, OFFER).await;
    assert_eq!(of_offer.held, 22);
    assert_eq!((of_offer.confirmed, of_offer.released, of_offer.expired), (20, 1, 1));
    assert_eq!((of_offer.quotes, of_offer.quotes_promised), (22, 22));
    assert_eq!((of_offer.fulfilled, of_offer.kept, of_offer.late, of_offer.repromised), (20, 13, 7, 7));
    assert!((of_offer.kept_share - 0.65).abs() < 1e-9, "{of_offer:?}");
    assert_eq!((of_offer.at_risk, of_offer.backlog), (0, 0));
    let all = card(&mut offers, "").await;
    assert_eq!((all.quotes, all.quotes_promised, all.quotes_later), (24, 23, 1));
    assert_eq!((all.held, all.confirmed), (23, 21));
    assert_eq!(all.lost.iter().map(|l| (&*l.resource, l.quotes)).collect::<Vec<_>>(), [("lej.van", 1)]);
    let used = all.resources.iter().find(|r| r.resource == "lej.stock.mug").expect("mugs were used");
    assert_eq!((used.supply, used.committed), (200, 21));

    // All of it was told, in order.
    server.held("last", ask("card", 1)).await;
    let is_last = |event: &Event| matches!(event, Event::ReservationChanged(r) if r.id == "last");
    until("the last event was told", async || heard.lock().expect("no panic").iter().any(is_last)).await;
    crm.abort();
    let mut offer_changes = 0;
    let mut last_version: BTreeMap<String, i64> = BTreeMap::new();
    for event in heard.lock().expect("no panic").iter() {
        match event {
            Event::OfferChanged(id) => {
                assert_eq!(id, OFFER);
                offer_changes += 1;
            }
            Event::ReservationChanged(r) => {
                let before = last_version.insert(r.id.clone(), r.version).unwrap_or_default();
                assert_eq!(r.version, before + 1, "{} skips a version", r.id);
            }
            Event::BucketChanged(_) | Event::NetworkVersion(_) => {}
        }
    }
    assert_eq!(offer_changes, 2);
    // Held, confirmed, at risk, re-promised, fulfilled.
    assert_eq!(last_version["tuesday-11"], 5);
    drop((offers, operations));
    server.stopped().await;
}
