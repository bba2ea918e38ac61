//! Quote: read only, with a hold, repeated, refused, later, by address, in one of several networks.

use surety::proto::v1::alternative::Kind;
use surety::proto::v1::ask::When;
use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn a_read_only_quote_says_all_of_the_promise_and_takes_nothing() {
    let server = TestServer::shop().await;
    let answer = server.quote(read(by("2026-11-24", ask("mug", 3)))).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised);
    assert_eq!(answer.reservation, None);
    assert_eq!((answer.bottlenecks, answer.alternatives), (vec![], vec![]));
    let as_of = answer.as_of.unwrap();
    assert!(as_of.seconds <= stamp(BEGIN).unwrap().seconds, "never from the future: {as_of:?}");

    let promise = answer.promise.unwrap();
    assert_eq!(promise.date, "2026-11-24");
    assert_eq!(promise.arrives_from, stamp("2026-11-23T23:00:00Z"), "rule 11: the whole day in the zone");
    assert_eq!(promise.arrives_by, stamp("2026-11-24T23:00:00Z"));
    assert_eq!(promise.ships_at, stamp("2026-11-23T16:00:00Z"));
    assert_eq!(promise.order_by, stamp("2026-11-23T13:00:00Z"), "rule 12: the cutoff at 14:00");
    assert_eq!(promise.confidence, None);
    let [shipment] = &promise.shipments[..] else { panic!("{promise:?}") };
    assert_eq!((shipment.site.as_str(), shipment.lane.as_str()), ("lej", "standard"));
    assert_eq!(shipment.lines, ask("mug", 3).lines);
    assert_eq!((shipment.ships_at, shipment.arrives_by), (promise.ships_at, promise.arrives_by));
    assert_eq!(shipment.date, "2026-11-24");

    for (resource, day) in [("lej.stock.mug", "2026-11-23"), ("lej.pack", "2026-11-23"), ("lej.van", "2026-11-24")] {
        assert_eq!(server.taken(resource, day).await, (0, 0), "{resource}");
    }
    assert!(server.reservations(Default::default()).await.unwrap().reservations.is_empty());
}

#[tokio::test]
async fn order_by_is_true_to_the_microsecond() {
    let server = TestServer::shop().await;
    let asked = read(by("2026-11-24", ask("mug", 3)));
    server.clock.set(at("2026-11-23T13:00:00Z"));
    assert_eq!(server.quote(asked.clone()).await.unwrap().verdict(), Verdict::Promised);
    server.clock.set(at("2026-11-23T13:00:00.000001Z"));
    let late = server.quote(asked).await.unwrap();
    assert_eq!((late.verdict(), late.promise.unwrap().date.as_str()), (Verdict::Later, "2026-11-25"));
}

#[tokio::test]
async fn a_hold_is_one_reservation_with_all_of_its_draws() {
    let server = TestServer::shop().await;
    let asked = by("2026-11-24", ask("mug", 3));
    let request = QuoteRequest { reference: "cart 7".into(), ..hold("r1", asked.clone(), 900) };
    let answer = server.quote(request).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised);
    let held = answer.reservation.clone().unwrap();
    assert_eq!((held.id.as_str(), held.state(), held.version), ("r1", State::Held, 1));
    assert_eq!(held.reference, "cart 7");
    assert_eq!((held.created_at, held.expires_at), (stamp(BEGIN), stamp("2026-11-23T08:15:00Z")));
    assert_eq!(held.promise, answer.promise);
    assert_eq!((held.first_date.as_str(), held.at_risk), ("2026-11-24", false));
    let kept = held.ask.clone().unwrap();
    assert_eq!((&kept.lines, &kept.when, &kept.destination), (&asked.lines, &asked.when, &asked.destination));

    let evidence = server.evidence("r1").await.unwrap();
    assert_eq!(evidence.reservation, Some(held));
    let monday = (stamp("2026-11-22T23:00:00Z"), stamp("2026-11-23T23:00:00Z"));
    let tuesday = (stamp("2026-11-23T23:00:00Z"), stamp("2026-11-24T23:00:00Z"));
    let draw = |resource: &str, (from, to), units| Draw { resource: resource.into(), from, to, units, pool: "".into() };
    let mut draws = evidence.draws;
    draws.sort_by(|a, b| a.resource.cmp(&b.resource));
    let expected = [draw("lej.pack", monday, 3), draw("lej.stock.mug", monday, 3), draw("lej.van", tuesday, 1)];
    assert_eq!(draws, expected);
    let [change] = &evidence.history[..] else { panic!("{:?}", evidence.history) };
    assert_eq!((change.at, change.version, change.state()), (stamp(BEGIN), 1, State::Held));
    assert_eq!((change.date.as_str(), change.what.as_str()), ("2026-11-24", "held"));

    let van = server.bucket("lej.van", "2026-11-24").await;
    assert_eq!((van.from, van.to), tuesday);
    assert_eq!((van.supply, van.held, van.confirmed, van.allocated, van.available), (10, 1, 0, 0, 9));
    assert_eq!(server.taken("lej.pack", "2026-11-23").await, (3, 0));
    assert_eq!(server.bucket("lej.stock.mug", "2026-11-23").await.available, 2);
    assert_eq!(server.reservations(Default::default()).await.unwrap().reservations.len(), 1);
}

#[tokio::test]
async fn rule_20_the_same_request_gets_the_first_answer_with_the_present_state() {
    let server = TestServer::shop().await;
    let request = hold("r1", by("2026-11-24", ask("mug", 5)), 900);
    let first = server.quote(request.clone()).await.unwrap();
    // All of the stock is gone now, to nobody else than this very request.
    let again = server.quote(request.clone()).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (5, 0));

    server.turn(5 * 3_600);
    let expected = Some(State::Expired);
    let again = server.quote(request.clone()).await.unwrap();
    assert_eq!(again.reservation.as_ref().map(|r| r.state()), expected, "never revived by a repeat");
    assert_eq!((&again.promise, again.as_of), (&first.promise, first.as_of));
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (0, 0));
}

#[tokio::test]
async fn rule_20_also_after_it_was_confirmed_and_with_bottlenecks() {
    let server = TestServer::shop().await;
    server.supply("lej.van", "2026-11-24", &[0]).await;
    let request = QuoteRequest { accept_later: true, ..hold("r1", by("2026-11-24", ask("mug", 5)), 900) };
    let first = server.quote(request.clone()).await.unwrap();
    assert_eq!(first.verdict(), Verdict::Later);
    assert!(!first.bottlenecks.is_empty() && first.reservation.is_some());
    server.confirm("r1", "", false).await.unwrap();
    server.supply("lej.van", "2026-11-24", &[10]).await;
    let again = server.quote(request).await.unwrap();
    assert_eq!(again.verdict(), Verdict::Later, "the first answer, although it would now be a yes");
    assert_eq!((&again.promise, &again.bottlenecks), (&first.promise, &first.bottlenecks));
    assert_eq!(again.alternatives, first.alternatives);
    let now = again.reservation.unwrap();
    assert_eq!((now.state(), now.version, now.expires_at), (State::Confirmed, 2, None));
}

#[tokio::test]
async fn rule_20_another_request_with_the_same_id_is_refused() {
    let server = TestServer::shop().await;
    let good = hold("r1", by("2026-11-24", ask("mug", 3)), 900);
    server.quote(good.clone()).await.unwrap();
    let others = [
        ("quantity", QuoteRequest { ask: Some(by("2026-11-24", ask("mug", 2))), ..good.clone() }),
        ("would be refused", QuoteRequest { ask: Some(by("2026-11-24", ask("mug", 500))), ..good.clone() }),
        ("unknown SKU", QuoteRequest { ask: Some(ask("nonsense", 3)), ..good.clone() }),
        ("length of the hold", QuoteRequest { hold: Some(duration(901)), ..good.clone() }),
        ("reference", QuoteRequest { reference: "other".into(), ..good.clone() }),
        ("accept_later", QuoteRequest { accept_later: true, ..good.clone() }),
        ("without a hold", QuoteRequest { hold: None, ..good.clone() }),
    ];
    for (what, other) in others {
        let refused = server.quote(other).await.expect_err(what);
        refusal(&refused, Code::AlreadyExists);
    }
    let kept = server.quote(good).await.unwrap().reservation.unwrap();
    assert_eq!((kept.state(), kept.version), (State::Held, 1));
    assert_eq!(server.taken("lej.stock.mug", "2026-11-23").await, (3, 0));
}

#[tokio::test]
async fn rule_20_a_refusal_leaves_no_trace_and_is_asked_anew() {
    let server = TestServer::shop().await;
    let request = hold("r1", by("2026-11-24", ask("mug", 6)), 900);
    let no = server.quote(request.clone()).await.unwrap();
    assert_eq!((no.verdict(), no.promise, no.reservation), (Verdict::Unavailable, None, None));
    let bottleneck = &no.bottlenecks[0];
    assert_eq!((bottleneck.resource.as_str(), bottleneck.site.as_str()), ("lej.stock.mug", "lej"));
    assert_eq!((bottleneck.wanted, bottleneck.available), (6, 5));
    assert!(bottleneck.explanation.len() > 20, "in words: {bottleneck:?}");
    let kinds: Vec<Kind> = no.alternatives.iter().map(|a| a.kind()).collect();
    assert!(kinds.contains(&Kind::Fewer) && kinds.contains(&Kind::Substitute), "{:?}", no.alternatives);
    let fewer = no.alternatives.iter().find(|a| a.kind() == Kind::Fewer).unwrap();
    assert_eq!(fewer.lines, ask("mug", 5).lines);
    assert_eq!(fewer.promise.as_ref().unwrap().date, "2026-11-24");
    refusal(&server.evidence("r1").await.unwrap_err(), Code::NotFound);
    assert!(server.reservations(Default::default()).await.unwrap().reservations.is_empty());

    server.supply("lej.stock.mug", "2026-11-23", &[6]).await;
    let yes = server.quote(request).await.unwrap();
    assert_eq!(yes.verdict(), Verdict::Promised);
    assert_eq!(yes.reservation.unwrap().version, 1);
}

#[tokio::test]
async fn later_is_held_only_where_later_is_accepted() {
    let server = TestServer::shop().await;
    server.supply("lej.van", "2026-11-24", &[0]).await;
    let request = hold("r1", by("2026-11-24", ask("mug", 1)), 900);
    let later = server.quote(request.clone()).await.unwrap();
    assert_eq!((later.verdict(), later.reservation), (Verdict::Later, None));
    assert_eq!(later.promise.unwrap().date, "2026-11-25");
    let bottleneck = &later.bottlenecks[0];
    assert_eq!((bottleneck.resource.as_str(), bottleneck.wanted, bottleneck.available), ("lej.van", 1, 0));
    assert_eq!(bottleneck.from, stamp("2026-11-23T23:00:00Z"));
    let express = later.alternatives.iter().find(|a| a.kind() == Kind::Service).expect("another service");
    assert_eq!(express.service, "express");
    assert_eq!(express.promise.as_ref().unwrap().date, "2026-11-24");

    // It took nothing, so the same id may ask otherwise.
    let answer = server.quote(QuoteRequest { accept_later: true, ..request }).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Later);
    assert_eq!(answer.reservation.unwrap().promise.unwrap().date, "2026-11-25");
    assert_eq!(server.taken("lej.van", "2026-11-25").await, (1, 0));
}

#[tokio::test]
async fn every_kind_of_when_is_served() {
    let server = TestServer::shop().await;
    let cards = |when| Ask { when, ..ask("card", 1) };
    let asked = |ask| async { server.quote(read(ask)).await.unwrap() };
    let date = |answer: &QuoteResponse| answer.promise.as_ref().map(|p| p.date.clone()).unwrap_or_default();

    let answer = asked(cards(None)).await;
    assert_eq!((answer.verdict(), date(&answer).as_str()), (Verdict::Promised, "2026-11-24"));
    let answer = asked(cards(Some(When::ByTime(stamp("2026-11-24T23:00:00Z").unwrap())))).await;
    assert_eq!((answer.verdict(), date(&answer).as_str()), (Verdict::Promised, "2026-11-24"));
    let answer = asked(cards(Some(When::ByTime(stamp("2026-11-24T22:59:59Z").unwrap())))).await;
    assert_eq!(answer.verdict(), Verdict::Later, "rule 13: arrives_by <= Y");
    let answer = asked(on("2026-11-27", ask("card", 1))).await;
    assert_eq!((answer.verdict(), date(&answer).as_str()), (Verdict::Promised, "2026-11-27"));
    let promise = answer.promise.unwrap();
    assert_eq!(promise.ships_at, stamp("2026-11-26T16:00:00Z"), "rule 15: as late as it can be");
    assert_eq!(promise.order_by, stamp("2026-11-26T13:00:00Z"));

    let slot = |from, to| Ask {
        lines: vec![Line { sku: "gift".into(), quantity: 1 }],
        destination: zone("city"),
        when: Some(When::InWindow(Window { from: stamp(from), to: stamp(to) })),
        ..Default::default()
    };
    let answer = asked(slot("2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z")).await;
    assert_eq!((answer.verdict(), date(&answer).as_str()), (Verdict::Promised, "2026-11-24"));
    let promise = answer.promise.unwrap();
    assert_eq!(promise.arrives_from, stamp("2026-11-24T09:00:00Z"), "rule 11: the slot");
    assert_eq!(promise.arrives_by, stamp("2026-11-24T10:00:00Z"));
    let answer = asked(slot("2026-11-24T20:00:00Z", "2026-11-24T21:00:00Z")).await;
    assert_eq!(
        (answer.verdict(), date(&answer).as_str()),
        (Verdict::Later, "2026-11-24"),
        "rule 15: on its own day first"
    );
}

#[tokio::test]
async fn several_lines_come_together_or_split() {
    let server = TestServer::shop().await;
    server.supply("lej.stock.mug", "2026-11-23", &[1, 0, 9]).await;
    let lines = [("mug", 3), ("card", 2)].map(|(sku, quantity)| Line { sku: sku.into(), quantity }).to_vec();
    let both = Ask { lines, ..ask("mug", 1) };
    let together = server.quote(hold("t", both.clone(), 60)).await.unwrap();
    let promise = together.promise.unwrap();
    assert_eq!(promise.date, "2026-11-26", "rule 16: the latest of its lines'");
    server.release("t", "").await.unwrap();
    let split = Ask { shipments: ask::Shipments::Split.into(), ..both };
    let answer = server.quote(hold("s", split, 60)).await.unwrap();
    let promise = answer.promise.unwrap();
    assert_eq!(promise.date, "2026-11-26");
    let dates: Vec<&str> = promise.shipments.iter().map(|s| s.date.as_str()).collect();
    assert!(dates.contains(&"2026-11-24") && dates.contains(&"2026-11-26"), "{dates:?}");
    let shipped: i32 = promise.shipments.iter().flat_map(|s| &s.lines).map(|l| l.quantity).sum();
    assert_eq!(shipped, 5);
}

#[tokio::test]
async fn an_address_is_mapped_by_the_longest_postal_prefix() {
    let server = TestServer::shop().await;
    let to_address = |country: &str, code: &str| Ask {
        destination: address(country, code),
        service: String::new(),
        ..ask("card", 1)
    };
    for (code, lane) in [("80331", "south"), ("97070", "south"), ("10115", "standard"), ("", "standard")] {
        let answer = server.quote(read(to_address("DE", code))).await.unwrap();
        assert_eq!(answer.promise.unwrap().shipments[0].lane, lane, "{code}");
    }
    let answer = server.quote(read(to_address("DE", "04109"))).await.unwrap();
    assert_eq!(answer.promise.unwrap().shipments[0].lane, "slots");
    let held = server.quote(hold("r1", to_address("DE", "80331"), 60)).await.unwrap().reservation.unwrap();
    assert_eq!(held.ask.unwrap().destination, address("DE", "80331"), "the ask is kept as it was asked");

    let nowhere = server.quote(read(to_address("FR", "75001"))).await.unwrap_err();
    refusal(&nowhere, Code::NotFound);
    assert_eq!(
        faults(&server.quote(read(to_address("Germany", "1"))).await.unwrap_err()),
        ["ask.destination.address.country"]
    );
}

#[tokio::test]
async fn what_is_unknown_is_not_found_and_all_of_it_is_named() {
    let server = TestServer::shop().await;
    let lines = ["tea", "mug", "pot"].map(|sku| Line { sku: sku.into(), quantity: 1 }).to_vec();
    let asked = Ask { lines, destination: zone("mars"), channel: "smoke".into(), ..Default::default() };
    let refused = server.quote(read(asked.clone())).await.unwrap_err();
    let details = refusal(&refused, Code::NotFound);
    let named: Vec<&str> = details.bad_request().unwrap().field_violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(named, ["ask.lines[0].sku", "ask.lines[2].sku", "ask.destination.zone", "ask.channel"]);
    let resource = details.resource_info().unwrap();
    assert_eq!((resource.resource_type.as_str(), resource.resource_name.as_str()), ("product", "tea"));
    refusal(&server.quote(hold("r1", asked, 60)).await.unwrap_err(), Code::NotFound);

    for unknown in
        [Ask { offer: "black-friday".into(), ..ask("mug", 1) }, Ask { service: "rocket".into(), ..ask("mug", 1) }]
    {
        let answer = server.quote(read(unknown.clone())).await;
        match answer {
            Err(status) => drop(refusal(&status, Code::NotFound)),
            // An unknown service is no fault of form: no lane offers it.
            Ok(answer) => {
                assert!(unknown.offer.is_empty() && answer.verdict() == Verdict::Unavailable, "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn rule_28_networks_are_wholly_apart() {
    let server = TestServer::shop().await;
    let mut promises = server.promises.clone();
    let mut operations = server.operations.clone();
    let request = hold("r1", by("2026-11-24", ask("cup", 7)), 900);
    let unknown = promises.quote(to("b", request.clone())).await.unwrap_err();
    refusal(&unknown, Code::NotFound);

    let applied = ApplyNetworkRequest { network: Some(shop()), validate_only: false };
    operations.apply_network(to("b", applied)).await.unwrap();
    // The same id, the same units, in each of them.
    let here = server.quote(request.clone()).await.unwrap();
    let there = promises.quote(to("b", request.clone())).await.unwrap().into_inner();
    assert_eq!((here.verdict(), there.verdict()), (Verdict::Promised, Verdict::Promised));
    promises
        .release_reservation(to("b", ReleaseReservationRequest { id: "r1".into(), ..Default::default() }))
        .await
        .unwrap();
    assert_eq!(server.state("r1").await, State::Held);
    let default = promises.quote(to("default", request)).await.unwrap().into_inner();
    assert_eq!(default, here, "`default` is meant where none is named");
    let buckets = ListBucketsRequest { resource: "lej.stock.mug".into(), ..Default::default() };
    let mugs = operations.list_buckets(to("b", buckets)).await.unwrap().into_inner().buckets;
    assert!(mugs.is_empty(), "the plan is of one network too: {mugs:?}");
}

#[tokio::test]
async fn rule_28_no_call_works_on_a_network_that_is_not_there() {
    let server = TestServer::shop().await;
    let (mut p, mut o) = (server.promises.clone(), server.operations.clone());
    let id = || "r1".to_owned();
    let missing = [
        p.quote(to("x", read(ask("mug", 1)))).await.err(),
        p.quote(to("x", hold("r1", ask("mug", 1), 60))).await.err(),
        p.list_promise_dates(to("x", ListPromiseDatesRequest { ask: Some(ask("mug", 1)), ..Default::default() }))
            .await
            .err(),
        p.watch_quote(to("x", WatchQuoteRequest { ask: Some(ask("mug", 1)) })).await.err(),
        p.confirm_reservation(to("x", ConfirmReservationRequest { id: id(), ..Default::default() })).await.err(),
        p.confirm_reservation(to("x", ConfirmReservationRequest { id: id(), retake: true, ..Default::default() }))
            .await
            .err(),
        p.release_reservation(to("x", ReleaseReservationRequest { id: id(), ..Default::default() })).await.err(),
        p.extend_reservation(to("x", ExtendReservationRequest { id: id(), hold: Some(duration(60)) })).await.err(),
        p.amend_reservation(to(
            "x",
            AmendReservationRequest { id: id(), ask: Some(ask("mug", 1)), ..Default::default() },
        ))
        .await
        .err(),
        p.get_reservation(to("x", GetReservationRequest { id: id() })).await.err(),
        o.get_network(to("x", GetNetworkRequest {})).await.err(),
        o.set_supply(to("x", tokio_stream::iter(vec![plan(&[("lej.van", "2026-11-24", &[1])])]))).await.err(),
        o.adjust_supply(to(
            "x",
            AdjustSupplyRequest {
                resource: "lej.van".into(),
                start: "2026-11-24".into(),
                delta: 1,
                ..Default::default()
            },
        ))
        .await
        .err(),
        o.list_buckets(to("x", ListBucketsRequest { site: "lej".into(), ..Default::default() })).await.err(),
        o.list_reservations(to("x", ListReservationsRequest::default())).await.err(),
        o.watch_events(to("x", WatchEventsRequest::default())).await.err(),
    ];
    for (i, status) in missing.into_iter().enumerate() {
        let status = status.unwrap_or_else(|| panic!("call {i} was served"));
        let details = refusal(&status, Code::NotFound);
        assert_eq!(details.error_info().unwrap().reason, "UNKNOWN_NETWORK", "call {i}");
    }
    let wrong = p.get_reservation(to("no such name!", GetReservationRequest { id: id() })).await.unwrap_err();
    refusal(&wrong, Code::NotFound);
    let wrong = p.get_reservation(to("", GetReservationRequest { id: id() })).await.unwrap_err();
    assert_eq!(faults(&wrong), ["metadata.surety-network"]);
}

#[tokio::test]
async fn rule_18_what_has_no_supply_at_all_is_a_no_and_no_crash() {
    let server = TestServer::empty().await;
    let mut bare = shop();
    for resource in &mut bare.resources {
        resource.weekly.clear();
    }
    server.apply(bare).await.unwrap();
    let slot = Window { from: stamp("2026-11-24T09:00:00Z"), to: stamp("2026-11-24T10:00:00Z") };
    let whens = [
        None,
        Some(When::ByDate("2026-11-24".into())),
        Some(When::ByTime(stamp("2026-11-24T09:00:00Z").unwrap())),
        Some(When::OnDate("2026-11-24".into())),
        Some(When::InWindow(slot)),
    ];
    for (sku, to) in [("gift", "city"), ("gift", "de"), ("card", "de"), ("cup", "city"), ("mug", "south")] {
        for when in &whens {
            for shipments in [ask::Shipments::Together, ask::Shipments::Split] {
                let asked =
                    Ask { destination: zone(to), when: when.clone(), shipments: shipments.into(), ..ask(sku, 2) };
                let asked = Ask { service: String::new(), ..asked };
                let answer = server.quote(read(asked.clone())).await.unwrap();
                // Express to Germany needs none.
                if (sku, to) != ("gift", "de") {
                    assert_eq!(answer.verdict(), Verdict::Unavailable, "{asked:?}");
                    assert!(!answer.bottlenecks.is_empty(), "{asked:?}");
                }
                let request = ListPromiseDatesRequest { ask: Some(asked), ..Default::default() };
                server.promises.clone().list_promise_dates(request).await.unwrap();
            }
        }
    }
}
