use pbjson_types::{Duration, Timestamp};
use prost::Message;

use super::*;
use crate::app::request::{BucketsOf, Since, Start};
use crate::domain::ask::{Ask, Destination, Shipments, When};
use crate::edge::to_proto;
use crate::proto::v1;

fn line(sku: &str, quantity: i32) -> v1::Line {
    v1::Line { sku: sku.to_owned(), quantity }
}

fn to_zone(zone: &str) -> Option<v1::Destination> {
    Some(v1::Destination { to: Some(v1::destination::To::Zone(zone.to_owned())) })
}

fn good_ask() -> v1::Ask {
    v1::Ask { lines: vec![line("mug", 2)], destination: to_zone("de"), ..Default::default() }
}

fn at(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp { seconds, nanos }
}

fn length(seconds: i64, nanos: i32) -> Option<Duration> {
    Some(Duration { seconds, nanos })
}

fn good_quote() -> v1::QuoteRequest {
    v1::QuoteRequest {
        request_id: "7b0c5f8e".to_owned(),
        ask: Some(good_ask()),
        hold: length(900, 0),
        accept_later: true,
        reference: "cart-1".to_owned(),
    }
}

fn paths<T>(result: Result<T, Vec<Fault>>) -> Vec<String> {
    result.err().unwrap_or_default().into_iter().map(|f| f.path).collect()
}

fn parse(message: v1::Ask) -> Result<Ask, Vec<Fault>> {
    let mut faults = Faults::new();
    let ask = ask(Some(message), "ask", WhenOf::Read, &mut faults);
    finish(faults, ask)
}

#[test]
fn every_fault_of_an_ask_is_named_by_its_path() {
    let window = |from, to| Some(v1::ask::When::InWindow(v1::Window { from, to }));
    type Spoil = Box<dyn Fn(&mut v1::Ask)>;
    let table: Vec<(&str, Spoil)> = vec![
        ("ask.lines", Box::new(|a| a.lines.clear())),
        ("ask.lines", Box::new(|a| a.lines = vec![line("mug", 1); 101])),
        ("ask.lines[0].sku", Box::new(|a| a.lines[0].sku.clear())),
        ("ask.lines[1].sku", Box::new(|a| a.lines.push(line(" mug", 1)))),
        ("ask.lines[0].quantity", Box::new(|a| a.lines[0].quantity = 0)),
        ("ask.lines[0].quantity", Box::new(|a| a.lines[0].quantity = -1)),
        ("ask.lines[0].quantity", Box::new(|a| a.lines[0].quantity = 1_000_001)),
        ("ask.destination", Box::new(|a| a.destination = None)),
        ("ask.destination", Box::new(|a| a.destination = Some(v1::Destination { to: None }))),
        ("ask.destination.zone", Box::new(|a| a.destination = to_zone(""))),
        (
            "ask.destination.address.country",
            Box::new(|a| {
                let address = v1::Address { country: "DEU".to_owned(), postal_code: "80331".to_owned() };
                a.destination = Some(v1::Destination { to: Some(v1::destination::To::Address(address)) });
            }),
        ),
        ("ask.by_date", Box::new(|a| a.when = Some(v1::ask::When::ByDate("2026-02-30".to_owned())))),
        ("ask.by_date", Box::new(|a| a.when = Some(v1::ask::When::ByDate(String::new())))),
        ("ask.on_date", Box::new(|a| a.when = Some(v1::ask::When::OnDate("24.12.2026".to_owned())))),
        ("ask.by_time", Box::new(|a| a.when = Some(v1::ask::When::ByTime(at(0, 0))))),
        ("ask.by_time", Box::new(|a| a.when = Some(v1::ask::When::ByTime(at(i64::MAX, 0))))),
        ("ask.by_time", Box::new(|a| a.when = Some(v1::ask::When::ByTime(at(1_800_000_000, -1))))),
        ("ask.by_time", Box::new(|a| a.when = Some(v1::ask::When::ByTime(at(1_800_000_000, 1_000_000_000))))),
        ("ask.in_window.from", Box::new(move |a| a.when = window(None, Some(at(1_800_000_000, 0))))),
        ("ask.in_window.to", Box::new(move |a| a.when = window(Some(at(1_800_000_000, 0)), None))),
        ("ask.in_window", Box::new(move |a| a.when = window(Some(at(1_800_000_000, 0)), Some(at(1_800_000_000, 0))))),
        ("ask.service", Box::new(|a| a.service = "x".repeat(201))),
        ("ask.channel", Box::new(|a| a.channel = "a\nb".to_owned())),
        ("ask.offer", Box::new(|a| a.offer = " ".to_owned())),
        ("ask.shipments", Box::new(|a| a.shipments = 3)),
    ];
    for (i, (path, spoil)) in table.iter().enumerate() {
        let mut message = good_ask();
        spoil(&mut message);
        assert_eq!(paths(parse(message)), [*path], "row {i}");
    }
}

#[test]
fn all_faults_are_named_at_once() {
    let message = v1::QuoteRequest {
        request_id: String::new(),
        ask: Some(v1::Ask {
            lines: vec![line("", 0), line("mug", 1), line("cup", -3)],
            shipments: 9,
            ..Default::default()
        }),
        hold: length(0, 0),
        accept_later: false,
        reference: "x".repeat(201),
    };
    assert_eq!(
        paths(quote(message)),
        [
            "request_id",
            "ask.lines[0].sku",
            "ask.lines[0].quantity",
            "ask.lines[2].quantity",
            "ask.destination",
            "ask.shipments",
            "hold",
            "reference"
        ]
    );
    assert_eq!(paths(quote(v1::QuoteRequest::default())), ["ask"]);
}

#[test]
fn an_ask_survives_the_way_there_and_back() {
    let window = v1::Window { from: Some(at(1_800_000_000, 0)), to: Some(at(1_800_007_200, 123_000)) };
    let address = v1::Address { country: "DE".to_owned(), postal_code: "80 331".to_owned() };
    for when in [
        None,
        Some(v1::ask::When::ByDate("2026-12-24".to_owned())),
        Some(v1::ask::When::OnDate("2026-12-24".to_owned())),
        Some(v1::ask::When::ByTime(at(1_800_000_000, 999_999_000))),
        Some(v1::ask::When::InWindow(window)),
    ] {
        for to in [v1::destination::To::Zone("de".to_owned()), v1::destination::To::Address(address.clone())] {
            let message = v1::Ask {
                lines: vec![line("mug", 1), line("cup", 1_000_000)],
                destination: Some(v1::Destination { to: Some(to) }),
                when: when.clone(),
                service: "express".to_owned(),
                channel: String::new(),
                offer: "black-friday-26".to_owned(),
                shipments: v1::ask::Shipments::Split.into(),
                min_confidence: None,
            };
            let ask = parse(message.clone()).expect("a good ask");
            assert_eq!(to_proto::ask(&ask), message);
        }
    }
    let plain = parse(good_ask()).expect("a good ask");
    assert_eq!(plain.shipments, Shipments::Together);
    assert_eq!(plain.destination, Destination::Zone("de".into()));
    assert_eq!((plain.service, plain.channel, plain.offer), (None, None, None));
}

#[test]
fn instants_are_cut_so_that_the_answer_stays_the_same() {
    let with = |when| parse(v1::Ask { when: Some(when), ..good_ask() }).expect("a good ask").when;
    let second = 1_800_000_000;
    assert_eq!(with(v1::ask::When::ByTime(at(second, 1_999))), When::ByTime(Moment(second * SECOND + 1)));
    let window = v1::Window { from: Some(at(second, 1_001)), to: Some(at(second, 9_999)) };
    let (from, to) = (Moment(second * SECOND + 2), Moment(second * SECOND + 9));
    assert_eq!(with(v1::ask::When::InWindow(window)), When::InWindow { from, to });
}

#[test]
fn a_good_quote_is_understood() {
    let request = quote(good_quote()).expect("a good quote");
    assert_eq!(request.request_id.as_ref().map(ReservationId::as_str), Some("7b0c5f8e"));
    assert_eq!(request.hold, Some(Span::seconds(900)));
    assert!(request.accept_later);
    assert_eq!(&*request.reference, "cart-1");
    let read_only = v1::QuoteRequest { ask: Some(good_ask()), ..Default::default() };
    let request = quote(read_only).expect("a good quote");
    assert_eq!((request.request_id, request.hold), (None, None));
}

#[test]
fn holds_last_one_second_to_seven_days() {
    for (hold, good) in [
        (length(1, 0), true),
        (length(604_800, 0), true),
        (length(1, 500_000_000), true),
        (length(0, 999_999_000), false),
        (length(604_800, 1_000), false),
        (length(-1, 0), false),
        (length(1, 1), false),
        (length(1, -1), false),
        (length(1, i32::MAX), false),
        (length(i64::MAX, 0), false),
        (length(i64::MIN, i32::MIN), false),
    ] {
        let result = quote(v1::QuoteRequest { hold, ..good_quote() });
        assert_eq!(paths(result), if good { vec![] } else { vec!["hold"] }, "{hold:?}");
    }
}

#[test]
fn rule_20_the_fingerprint_covers_the_whole_request() {
    let first = quote(good_quote()).expect("a good quote").fingerprint;
    assert_eq!(quote(good_quote()).expect("a good quote").fingerprint, first);
    let mut other = good_quote();
    other.reference = "cart-2".to_owned();
    assert_ne!(quote(other).expect("a good quote").fingerprint, first);
    let mut other = good_quote();
    other.accept_later = false;
    assert_ne!(quote(other).expect("a good quote").fingerprint, first);
    let mut other = good_quote();
    other.ask.as_mut().expect("an ask").lines[0].quantity = 3;
    assert_ne!(quote(other).expect("a good quote").fingerprint, first);
}

#[test]
fn promise_dates_do_not_read_when() {
    let nonsense = v1::Ask { when: Some(v1::ask::When::ByDate("soon".to_owned())), ..good_ask() };
    let message = v1::ListPromiseDatesRequest { ask: Some(nonsense), from: String::new(), days: 0 };
    let request = list_promise_dates(message).expect("a good request");
    assert_eq!((request.ask.when, request.from, request.days), (When::Any, None, 14));
    for (days, good) in [(1, true), (92, true), (93, false), (-1, false)] {
        let message = v1::ListPromiseDatesRequest { ask: Some(good_ask()), from: "2026-12-01".to_owned(), days };
        assert_eq!(list_promise_dates(message).is_ok(), good, "{days}");
    }
    let message = v1::ListPromiseDatesRequest { ask: None, from: "today".to_owned(), days: 99 };
    assert_eq!(paths(list_promise_dates(message)), ["ask", "from", "days"]);
}

#[test]
fn changes_of_a_reservation_need_its_id() {
    assert_eq!(paths(confirm_reservation(v1::ConfirmReservationRequest::default())), ["id"]);
    assert_eq!(paths(release_reservation(v1::ReleaseReservationRequest::default())), ["id"]);
    assert_eq!(paths(extend_reservation(v1::ExtendReservationRequest::default())), ["id", "hold"]);
    assert_eq!(paths(amend_reservation(v1::AmendReservationRequest::default())), ["id", "ask"]);
    assert_eq!(paths(get_reservation(v1::GetReservationRequest { id: "x".repeat(129) })), ["id"]);
    assert!(get_reservation(v1::GetReservationRequest { id: "x".repeat(128) }).is_ok());
    let kept = confirm_reservation(v1::ConfirmReservationRequest { id: "r".to_owned(), ..Default::default() });
    assert_eq!(kept.expect("a good request").reference, None);
    let long = v1::ReleaseReservationRequest { id: "r".to_owned(), reason: "x".repeat(1_001) };
    assert_eq!(paths(release_reservation(long)), ["reason"]);
}

#[test]
fn supply_is_checked_number_by_number() {
    let supply = |resource: &str, start: &str, units: Vec<i64>| v1::SupplyLine {
        resource: resource.to_owned(),
        start: start.to_owned(),
        units,
    };
    let message = v1::SetSupplyRequest {
        lines: vec![
            supply("lej.pack", "2026-12-24", vec![1, -5, 0]),
            supply("", "2026-12-24T8:00", vec![]),
            supply("lej.pack", "2026-12-24T08:00:00Z", vec![(1 << 53) - 1, 1 << 53]),
        ],
    };
    assert_eq!(
        paths(set_supply(message)),
        [
            "lines[0].units[1]",
            "lines[1].resource",
            "lines[1].start",
            "lines[1].units",
            "lines[2].start",
            "lines[2].units[1]"
        ]
    );
    let full = |n| v1::SetSupplyRequest { lines: vec![supply("r", "2026-12-24", vec![0; n])] };
    assert!(set_supply(full(10_000)).is_ok());
    assert_eq!(paths(set_supply(full(10_001))), ["lines"]);
    for (text, start) in [
        ("2026-12-24", Some(Start::Date(Day(20_811)))),
        ("2026-12-24T08:15", Some(Start::DateTime(Day(20_811), crate::domain::time::TimeOfDay(495)))),
        ("2026-12-24T24:00", None),
        ("2026-12-24 08:15", None),
        ("2026-12-24T", None),
        ("", None),
    ] {
        assert_eq!(Start::parse(text).ok(), start, "{text}");
        if let Some(start) = start {
            assert_eq!(start.to_string(), text);
        }
    }
}

#[test]
fn adjustments_are_checked() {
    let good = v1::AdjustSupplyRequest {
        request_id: "a1".to_owned(),
        resource: "lej.pack".to_owned(),
        start: "2026-12-24".to_owned(),
        buckets: 0,
        delta: -60,
        reason: "line 2 down".to_owned(),
    };
    assert_eq!(adjust_supply(good.clone()).expect("a good request").buckets, 1);
    let wrong = v1::AdjustSupplyRequest { buckets: -1, delta: i64::MIN, ..Default::default() };
    assert_eq!(paths(adjust_supply(wrong)), ["resource", "start", "buckets", "delta"]);
    assert_eq!(paths(adjust_supply(v1::AdjustSupplyRequest { buckets: 10_001, ..good })), ["buckets"]);
}

fn good_offer() -> v1::Offer {
    v1::Offer {
        id: "black-friday-26".to_owned(),
        display_name: "Cups \u{2013} half price".to_owned(),
        lines: vec![line("mug", 2), line("cup", 1)],
        zones: vec![
            v1::ZoneShare { zone: "de".to_owned(), share: 0.7 },
            v1::ZoneShare { zone: "south".to_owned(), share: 0.3 },
        ],
        service: "express".to_owned(),
        channel: "web".to_owned(),
        starts: "2026-11-27".to_owned(),
        ends: "2026-11-29".to_owned(),
        promise: Some(v1::offer::Promise::WithinDays(0)),
        orders: vec![10, 0, 5],
    }
}

#[test]
fn an_offer_survives_the_way_there_and_back() {
    for (promise, orders) in [
        (v1::offer::Promise::WithinDays(400), vec![0, 0, 1]),
        (v1::offer::Promise::Date("2026-11-27".to_owned()), vec![1_000_000_000]),
    ] {
        let message = v1::Offer { promise: Some(promise), orders, ..good_offer() };
        let request = v1::CheckOfferRequest { offer: Some(message.clone()), suppose: vec![] };
        assert_eq!(to_proto::offer(&check_offer(request).expect("a good offer").offer), message);
    }
    let of = |orders| {
        let offer = v1::Offer { orders, ..good_offer() };
        check_offer(v1::CheckOfferRequest { offer: Some(offer), suppose: vec![] }).expect("a good offer").offer
    };
    assert_eq!(of(vec![8]).orders_by_day(), [3, 3, 2], "rule 25");
    assert_eq!(of(vec![1, 0, 0]).orders_by_day(), [1, 0, 0]);
}

#[test]
fn an_approval_without_a_request_id_is_named_by_its_offer_and_shares_are_never_none() {
    let request = |request_id: &str, min_share| v1::ApproveOfferRequest {
        request_id: request_id.to_owned(),
        offer: Some(good_offer()),
        min_share,
        release_hours: 8_784,
    };
    assert_eq!(approve_offer(request("", 0.0)).expect("good").request_id.as_str(), "black-friday-26");
    assert_eq!(approve_offer(request("a1", 0.0)).expect("good").request_id.as_str(), "a1");
    for (min_share, millionths) in [(0.0, 1_000_000), (1.0, 1_000_000), (0.25, 250_000), (1e-300, 1)] {
        assert_eq!(approve_offer(request("a1", min_share)).expect("good").min_share.millionths(), millionths);
    }
    let one = approve_offer(request("a1", 0.5)).expect("good").fingerprint;
    assert_ne!(approve_offer(request("a1", 0.6)).expect("good").fingerprint, one, "rule 20");
}

#[test]
fn what_is_supposed_is_bounded() {
    let suppose = |lines, buckets| {
        let line =
            v1::SupposedSupply { resource: "lej.pack".to_owned(), start: "2026-11-27".to_owned(), buckets, delta: -1 };
        check_offer(v1::CheckOfferRequest { offer: Some(good_offer()), suppose: vec![line; lines] })
    };
    assert_eq!(suppose(1_000, 0).expect("good").suppose[999].buckets, 1);
    assert!(suppose(10, 10_000).is_ok());
    assert_eq!(paths(suppose(1_001, 1)), ["suppose"]);
    assert_eq!(paths(suppose(11, 10_000)), ["suppose"]);
}

#[test]
fn lists_are_of_one_thing() {
    let buckets = |resource: &str, site: &str, days| {
        let (resource, site) = (resource.to_owned(), site.to_owned());
        list_buckets(v1::ListBucketsRequest { resource, site, from: String::new(), days })
    };
    assert_eq!(paths(buckets("", "", 0)), ["resource"]);
    assert_eq!(paths(buckets("a", "b", 401)), ["site", "days"]);
    let request = buckets("", "lej", 0).expect("a good request");
    assert_eq!((request.of, request.days), (BucketsOf::Site("lej".into()), 14));

    let list = |page_size, token: &str, state| {
        let page_token = token.to_owned();
        list_reservations(v1::ListReservationsRequest { page_size, page_token, state, ..Default::default() })
    };
    assert_eq!(list(0, "", 0).map(|r| r.limit), Ok(100));
    assert_eq!(list(5_000, "", 0).map(|r| r.limit), Ok(1_000));
    assert_eq!(paths(list(-1, "17", 6)), ["page_size", "page_token", "state"]);

    for id in ["r", "0f8fad5b-d9cb-469f-a165-70867728950e", "bestellung/17 ü"] {
        let id = ReservationId::new(id).expect("a good id");
        assert_eq!(list(0, &page_token(&id), 1).map(|r| r.after), Ok(Some(id)));
    }
    let token = page_token(&ReservationId::new("r1").expect("a good id"));
    for wrong in [&token[1..], &token[..9], "00000000", "é", &token.to_uppercase().replace('0', "Z"), &"0".repeat(999)]
    {
        assert_eq!(paths(list(0, wrong, 0)), ["page_token"], "{wrong}");
    }
}

#[test]
fn cursors_are_numbers_or_nothing() {
    let watch = |cursor: &str| watch_events(v1::WatchEventsRequest { cursor: cursor.to_owned() });
    assert_eq!(watch(""), Ok(Since::Now));
    assert_eq!(watch("0"), Ok(Since::Cursor(0)));
    assert_eq!(watch("18446744073709551615"), Ok(Since::Cursor(u64::MAX)));
    for wrong in ["-1", "+1", "1.5", "x", "18446744073709551616"] {
        assert_eq!(paths(watch(wrong)), ["cursor"], "{wrong}");
    }
}

fn small_network() -> v1::Network {
    v1::Network {
        sites: vec![v1::Site { id: "lej".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..Default::default() }],
        zones: vec![v1::Zone { id: "de".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..Default::default() }],
        resources: vec![v1::Resource {
            id: "lej.pack".to_owned(),
            site: "lej".to_owned(),
            kind: v1::resource::Kind::Capacity.into(),
            weekly: vec![v1::WeeklySupply { days: vec![1, 7], units: 5, ..Default::default() }],
            ..Default::default()
        }],
        lanes: vec![v1::Lane {
            id: "std".to_owned(),
            site: "lej".to_owned(),
            zone: "de".to_owned(),
            service: "standard".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

const NOW: Moment = Moment(1_800_000_000 * SECOND);

#[test]
fn every_fault_of_a_network_is_named_by_its_path() {
    type Spoil = fn(&mut v1::Network);
    let table: &[(&str, Spoil)] = &[
        ("resources[0].kind", |n| n.resources[0].kind = 7),
        ("resources[0].kind", |n| n.resources[0].kind = 0),
        ("resources[0].bucket", |n| n.resources[0].bucket = length(-3_600, 0)),
        ("resources[0].bucket", |n| n.resources[0].bucket = length(90, 0)),
        ("resources[0].bucket", |n| n.resources[0].bucket = length(60, 1)),
        ("resources[0].bucket", |n| n.resources[0].bucket = length(420, 0)),
        ("resources[0].bucket", |n| n.resources[0].bucket = length(0, 0)),
        ("resources[0].bucket", |n| n.resources[0].bucket = length(i64::MAX, i32::MAX)),
        ("resources[0].weekly[0].days[1]", |n| n.resources[0].weekly[0].days[1] = 8),
        ("resources[0].weekly[0].days[0]", |n| n.resources[0].weekly[0].days[0] = 0),
        ("resources[0].weekly[0].units", |n| n.resources[0].weekly[0].units = -5),
        ("lanes[0].departure_days[0]", |n| n.lanes[0].departure_days = vec![-1]),
        ("lanes[0].delivery_days[2]", |n| n.lanes[0].delivery_days = vec![1, 2, 0]),
        ("lanes[0].transit_time", |n| n.lanes[0].transit_time = length(0, -1)),
        ("processes[0].steps[0].lead_time", |n| {
            let step = v1::Step { lead_time: length(1, 500), ..Default::default() };
            n.processes = vec![v1::Process { id: "p".to_owned(), steps: vec![step] }];
        }),
    ];
    for (i, (path, spoil)) in table.iter().enumerate() {
        let mut message = small_network();
        spoil(&mut message);
        assert_eq!(paths(network(message.clone(), NOW).map(|_| ())), [*path], "row {i}");
        let request = v1::ApplyNetworkRequest { network: Some(message), validate_only: true };
        assert_eq!(paths(apply_network(request, NOW).map(|_| ())), [format!("network.{path}")], "row {i}");
    }
    assert_eq!(paths(apply_network(v1::ApplyNetworkRequest::default(), NOW).map(|_| ())), ["network"]);
}

#[test]
fn faults_of_the_edge_and_of_the_network_come_together() {
    let mut message = small_network();
    message.resources[0].kind = 7;
    message.resources[0].site = "muc".to_owned();
    assert_eq!(paths(network(message, NOW).map(|_| ())), ["resources[0].kind", "resources[0].site"]);
}

#[test]
fn a_network_is_kept_as_its_document() {
    let request = v1::ApplyNetworkRequest { network: Some(small_network()), validate_only: false };
    let request = apply_network(request, NOW).expect("a good network");
    assert_eq!(request.document, to_proto::network_document(&small_network()));
    assert_eq!(to_proto::network(&request.document), Ok(small_network()));
    let again = network_document(&request.document, NOW).expect("a good network");
    assert_eq!(again.resources().len(), 1);
    assert_eq!(again.resources()[0].bucketing, crate::domain::bucket::Bucketing::DAYS);
    assert_eq!(paths(network_document(&[0xff], NOW).map(|_| ())), ["network"]);
}

#[test]
fn random_bytes_never_panic() {
    crate::files::mutation::try_many("requests", 4_000, &good_quote().encode_to_vec(), |bytes| {
        if let Ok(message) = v1::QuoteRequest::decode(bytes) {
            let _ = quote(message);
        }
        if let Ok(message) = v1::SetSupplyRequest::decode(bytes) {
            let _ = set_supply(message);
        }
    });
    let approval = v1::ApproveOfferRequest { offer: Some(good_offer()), min_share: 0.5, ..Default::default() };
    crate::files::mutation::try_many("offers", 4_000, &approval.encode_to_vec(), |bytes| {
        if let Ok(message) = v1::ApproveOfferRequest::decode(bytes) {
            let _ = approve_offer(message);
        }
        if let Ok(message) = v1::SetAllocationRequest::decode(bytes) {
            let _ = set_allocation(message);
        }
    });
    crate::files::mutation::try_many("networks", 4_000, &small_network().encode_to_vec(), |bytes| {
        let _ = network_document(bytes, NOW);
    });
}
