//! Exact texts, without their styles.

use anstream::adapter::strip_str;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::times::{Times, left, length};
use super::{grouped, plan, quote, reservation};
use crate::cli::values::to_proto;
use crate::proto::v1::{self, ask::When, reservation::State};

fn berlin() -> Times {
    Times::new(TimeZone::get("Europe/Berlin").unwrap(), "Europe/Berlin")
}

/// An instant by its local time in Berlin in winter.
fn at(text: &str) -> Option<pbjson_types::Timestamp> {
    Some(to_proto(format!("{text}:00+01:00").parse().unwrap()))
}

fn now() -> Timestamp {
    "2026-12-01T11:47:00+01:00".parse().unwrap()
}

#[track_caller]
fn check(got: &str, want: &str) {
    let got = strip_str(got).to_string();
    assert_eq!(got, want, "\n--- got\n{got}--- want\n{want}");
}

fn line(sku: &str, quantity: i32) -> v1::Line {
    v1::Line { sku: sku.to_owned(), quantity }
}

fn ask(when: Option<When>) -> v1::Ask {
    let zone = v1::destination::To::Zone("de-south".to_owned());
    v1::Ask {
        lines: vec![line("mug-blue", 2), line("card", 1)],
        destination: Some(v1::Destination { to: Some(zone) }),
        when,
        ..Default::default()
    }
}

fn promise() -> v1::Promise {
    v1::Promise {
        date: "2026-12-03".to_owned(),
        arrives_from: at("2026-12-03T00:00"),
        arrives_by: at("2026-12-04T00:00"),
        ships_at: at("2026-12-01T17:30"),
        order_by: at("2026-12-01T14:00"),
        shipments: vec![v1::Shipment {
            lines: vec![line("mug-blue", 2), line("card", 1)],
            site: "lej".to_owned(),
            lane: "lej-south".to_owned(),
            ships_at: at("2026-12-01T17:30"),
            arrives_by: at("2026-12-04T00:00"),
            date: "2026-12-03".to_owned(),
        }],
        confidence: None,
    }
}

fn held() -> v1::Reservation {
    v1::Reservation {
        id: "6f1c".to_owned(),
        state: State::Held.into(),
        ask: Some(ask(None)),
        promise: Some(promise()),
        created_at: at("2026-12-01T11:47"),
        expires_at: at("2026-12-01T12:02"),
        reference: "cart-7".to_owned(),
        ..Default::default()
    }
}

#[test]
fn a_yes_with_a_hold() {
    let answer = v1::QuoteResponse {
        verdict: v1::Verdict::Promised.into(),
        promise: Some(promise()),
        reservation: Some(held()),
        as_of: at("2026-12-01T11:47"),
        ..Default::default()
    };
    // The machine's clock is of no account: countdowns run from the state that was read.
    let elsewhere = "2031-01-01T00:00:00Z".parse().unwrap();
    check(
        &quote::answer(Some(&ask(None)), &answer, &berlin(), elsewhere),
        "\
Yes: arrives Thu 3 Dec 2026
  Order within  2 h 13 min, before Tue 1 Dec 2026 14:00
  Shipment      2 x mug-blue, 1 x card from lej by lej-south, leaves Tue 1 Dec 2026 17:30
  Held as       6f1c until Tue 1 Dec 2026 12:02 (15 min)
  Then          surety confirm 6f1c
Times are in Europe/Berlin.
",
    );
}

#[test]
fn a_no_with_its_reasons_and_what_can_be_had_instead() {
    let split = v1::Promise {
        shipments: vec![
            v1::Shipment { lines: vec![line("mug-blue", 1)], date: "2026-12-02".to_owned(), ..Default::default() },
            v1::Shipment { lines: vec![line("mug-blue", 1)], date: "2026-12-07".to_owned(), ..Default::default() },
        ],
        ..promise()
    };
    let early = v1::Promise {
        date: "2026-12-02".to_owned(),
        arrives_from: at("2026-12-02T10:00"),
        arrives_by: at("2026-12-02T12:00"),
        ..promise()
    };
    let answer = v1::QuoteResponse {
        verdict: v1::Verdict::Later.into(),
        promise: Some(promise()),
        bottlenecks: vec![
            v1::Bottleneck {
                resource: "lej.pack".to_owned(),
                site: "lej".to_owned(),
                from: at("2026-12-01T00:00"),
                to: at("2026-12-02T00:00"),
                wanted: 1_030,
                available: 12,
                explanation: "Packing in Leipzig is full on Tuesday.".to_owned(),
            },
            v1::Bottleneck {
                resource: "lej.vans".to_owned(),
                site: "lej".to_owned(),
                from: at("2026-12-02T10:00"),
                to: at("2026-12-02T12:00"),
                wanted: 1,
                available: 0,
                explanation: String::new(),
            },
        ],
        alternatives: vec![
            v1::Alternative {
                kind: v1::alternative::Kind::Fewer.into(),
                lines: vec![line("mug-blue", 1)],
                service: "standard".to_owned(),
                promise: Some(early),
            },
            v1::Alternative {
                kind: v1::alternative::Kind::Split.into(),
                lines: vec![line("mug-blue", 2)],
                service: String::new(),
                promise: Some(split),
            },
        ],
        as_of: at("2026-12-01T11:47"),
        ..Default::default()
    };
    let ask = ask(Some(When::ByDate("2026-12-02".to_owned())));
    check(
        &quote::answer(Some(&ask), &answer, &berlin(), now()),
        "\
Not by Wed 2 Dec 2026. The earliest is Thu 3 Dec 2026
  Order within  2 h 13 min, before Tue 1 Dec 2026 14:00
  Shipment      2 x mug-blue, 1 x card from lej by lej-south, leaves Tue 1 Dec 2026 17:30
Why not by Wed 2 Dec 2026, tightest first:
  1. Packing in Leipzig is full on Tuesday.
     lej.pack at lej, Tue 1 Dec 2026: 1,030 wanted, 12 free
  2. lej.vans at lej, Wed 2 Dec 2026, 10:00 to 12:00: 1 wanted, 0 free
What can be had by Wed 2 Dec 2026 instead:
            LINES         SERVICE   ARRIVES
  fewer     1 x mug-blue  standard  Wed 2 Dec 2026, 10:00 to 12:00
  in parts  2 x mug-blue            1 x mug-blue Wed 2 Dec 2026; 1 x mug-blue Mon 7 Dec 2026
Times are in Europe/Berlin.
",
    );
}

#[test]
fn nothing_at_all() {
    let no = v1::QuoteResponse { verdict: v1::Verdict::Unavailable.into(), ..Default::default() };
    check(
        &quote::answer(Some(&ask(None)), &no, &berlin(), now()),
        "No: it can't be promised within the planned horizon\n",
    );
    let on = ask(Some(When::OnDate("2026-12-24".to_owned())));
    check(
        &quote::answer(Some(&on), &no, &berlin(), now()),
        "No: it can't be promised on Thu 24 Dec 2026, nor later within the planned horizon\n",
    );
    let sure = v1::Ask { min_confidence: Some(0.9), ..ask(None) };
    check(
        &quote::answer(Some(&sure), &no, &berlin(), now()),
        "No: it can't be promised with a confidence of 90.0 % within the planned horizon\n",
    );
    let unknown = v1::QuoteResponse { verdict: 9, ..Default::default() };
    check(
        &quote::answer(None, &unknown, &berlin(), now()),
        "? the server's verdict (9) is not known to this version\n",
    );
}

#[test]
fn dates_of_a_date_picker() {
    let date = |date: &str, service: &str, remaining| v1::PromiseDate {
        date: date.to_owned(),
        service: service.to_owned(),
        arrives_from: at(&format!("{date}T00:00")),
        arrives_by: None,
        order_by: at("2026-12-01T14:00"),
        remaining,
    };
    let answer = v1::ListPromiseDatesResponse {
        dates: vec![date("2026-12-02", "express", 4), date("2026-12-03", "standard", 1_250)],
    };
    check(
        &quote::dates(Some(&ask(None)), &answer, 14, &berlin()),
        "\
2 x mug-blue, 1 x card can arrive:
  ARRIVES         SERVICE    LEFT  ORDER BEFORE
  Wed 2 Dec 2026  express       4  Tue 1 Dec 2026 14:00
  Thu 3 Dec 2026  standard  1,250  Tue 1 Dec 2026 14:00
Times are in Europe/Berlin.
",
    );
    check(
        &quote::dates(Some(&ask(None)), &v1::ListPromiseDatesResponse::default(), 14, &berlin()),
        "No: 2 x mug-blue, 1 x card can't be promised on any of these 14 days\n",
    );
}

#[test]
fn reservations_after_a_change() {
    let confirmed = v1::Reservation { state: State::Confirmed.into(), at_risk: true, ..held() };
    check(
        &reservation::changed(&confirmed, &berlin(), now()),
        "\
Confirmed: 6f1c arrives Thu 3 Dec 2026
  Reference     cart-7
  At risk: capacity behind it was lost after it was promised
Times are in Europe/Berlin.
",
    );
    let extended = v1::Reservation { reference: String::new(), ..held() };
    check(
        &reservation::changed(&extended, &berlin(), now()),
        "Held: 6f1c until Tue 1 Dec 2026 12:02 (15 min); arrives Thu 3 Dec 2026\nTimes are in Europe/Berlin.\n",
    );
    // A service with a clock of its own: a countdown by this machine's would mislead.
    let before = "2026-11-22T00:00:00Z".parse().unwrap();
    check(
        &reservation::changed(&extended, &berlin(), before),
        "Held: 6f1c until Tue 1 Dec 2026 12:02; arrives Thu 3 Dec 2026\nTimes are in Europe/Berlin.\n",
    );
    let released = v1::Reservation { state: State::Released.into(), reference: String::new(), ..held() };
    check(&reservation::changed(&released, &berlin(), now()), "Released: 6f1c; its capacity is free again\n");
}

#[test]
fn a_reservation_with_its_evidence() {
    let answer = v1::GetReservationResponse {
        reservation: Some(v1::Reservation { first_date: "2026-12-02".to_owned(), ..held() }),
        draws: vec![
            v1::Draw {
                resource: "lej.stock.mug-blue".to_owned(),
                from: at("2026-11-30T00:00"),
                to: None,
                units: 2,
                pool: String::new(),
            },
            v1::Draw {
                resource: "lej.pack".to_owned(),
                from: at("2026-12-01T00:00"),
                to: at("2026-12-02T00:00"),
                units: 7,
                pool: "channel/vip".to_owned(),
            },
        ],
        history: vec![v1::Change {
            at: at("2026-12-01T11:47"),
            version: 1,
            state: State::Held.into(),
            date: "2026-12-03".to_owned(),
            what: "held".to_owned(),
            reason: String::new(),
        }],
    };
    check(
        &reservation::evidence(&answer, &berlin(), now()),
        "\
6f1c is held until Tue 1 Dec 2026 12:02 (15 min)
  Order         2 x mug-blue, 1 x card to de-south
  Reference     cart-7
  Arrives       Thu 3 Dec 2026
  First date    Wed 2 Dec 2026; moved to Thu 3 Dec 2026
  Shipment      2 x mug-blue, 1 x card from lej by lej-south, leaves Tue 1 Dec 2026 17:30
  TAKES               FROM                             UNITS  POOL
  lej.stock.mug-blue  what came Mon 30 Nov 2026 00:00      2
  lej.pack            Tue 1 Dec 2026                       7  channel/vip
  WHEN                  WHAT  ARRIVES
  Tue 1 Dec 2026 11:47  held  Thu 3 Dec 2026
Times are in Europe/Berlin.
",
    );
}

#[test]
fn reservations_and_buckets_in_lists() {
    let list = v1::ListReservationsResponse {
        reservations: vec![
            held(),
            v1::Reservation { id: "77aa".to_owned(), state: State::Confirmed.into(), at_risk: true, ..held() },
        ],
        next_page_token: "77aa".to_owned(),
    };
    check(
        &reservation::list(&list, &berlin(), now()),
        "\
ID    STATE      ARRIVES         ZONE      LINES                   REFERENCE
6f1c  held       Thu 3 Dec 2026  de-south  2 x mug-blue, 1 x card  cart-7     until Tue 1 Dec 2026 12:02 (15 min)
77aa  confirmed  Thu 3 Dec 2026  de-south  2 x mug-blue, 1 x card  cart-7     at risk
There are more: --page-token 77aa
Times are in Europe/Berlin.
",
    );
    check(&reservation::list(&v1::ListReservationsResponse::default(), &berlin(), now()), "No reservations.\n");
    let bucket = |from: &str, to: &str, supply, held, confirmed| v1::Bucket {
        resource: "lej.pack".to_owned(),
        from: at(from),
        to: at(to),
        supply,
        held,
        confirmed,
        allocated: 0,
        available: supply - held - confirmed,
        ..v1::Bucket::default()
    };
    let buckets = v1::ListBucketsResponse {
        buckets: vec![
            bucket("2026-12-01T00:00", "2026-12-02T00:00", 1_200, 30, 300),
            bucket("2026-12-02T00:00", "2026-12-03T00:00", 100, 0, 120),
            bucket("2026-12-03T22:00", "2026-12-04T00:00", 0, 0, 0),
        ],
    };
    check(
        &plan::buckets(&buckets, &berlin()),
        "\
RESOURCE  WHEN                            SUPPLY  HELD  CONFIRMED  FREE    TAKEN
lej.pack  Tue 1 Dec 2026                   1,200    30        300   870   27.5 %
lej.pack  Wed 2 Dec 2026                     100              120   -20  120.0 %
lej.pack  Thu 3 Dec 2026, 22:00 to 24:00       0                      0
Times are in Europe/Berlin.
",
    );
}

#[test]
fn events_take_one_line_each() {
    use v1::watch_events_response::Event;
    let event = |event| v1::WatchEventsResponse { cursor: "17".to_owned(), at: at("2026-12-01T11:47"), event };
    let text = |e| reservation::event(&event(e), &berlin());
    check(
        &text(Some(Event::ReservationChanged(held()))),
        "Tue 1 Dec 2026 11:47  reservation 6f1c is held, arrives Thu 3 Dec 2026  [17]\n",
    );
    check(&text(Some(Event::NetworkVersion(4))), "Tue 1 Dec 2026 11:47  the network has version 4  [17]\n");
    check(&text(None), "Tue 1 Dec 2026 11:47  something that this version does not know  [17]\n");
}

#[test]
fn loads_are_summed_up() {
    let network =
        v1::Network { sites: vec![v1::Site::default()], zones: vec![v1::Zone::default(); 2], ..Default::default() };
    check(&plan::applied(&network, 4, false), "Applied: version 4: 1 site, 2 zones.\n");
    check(&plan::applied(&network, 0, true), "The network is right: 1 site, 2 zones. Nothing was changed.\n");
    let answer = v1::SetSupplyResponse { buckets_set: 12_345, reservations_at_risk: 2 };
    check(
        &plan::loaded(&answer, 12_345, 3, std::time::Duration::from_millis(1_240)),
        "\
Loaded: 12,345 numbers for 3 resources, 12,345 buckets set, in 1.2 s.
2 reservations are at risk by this plan; `surety reservations --at-risk` lists what is
",
    );
}

#[test]
fn windows_are_told_in_the_readers_time_zone() {
    let arrival = |times: &Times, from: &str, by: &str| times.arrival("2026-12-03", at(from).as_ref(), at(by).as_ref());
    let utc = Times::new(TimeZone::UTC, "UTC");
    let table = [
        ("2026-12-03T00:00", "2026-12-04T00:00", "Thu 3 Dec 2026"),
        ("2026-12-03T10:00", "2026-12-03T12:00", "Thu 3 Dec 2026, 10:00 to 12:00"),
        ("2026-12-03T22:00", "2026-12-04T00:00", "Thu 3 Dec 2026, 22:00 to 24:00"),
        (
            "2026-12-02T17:30",
            "2026-12-03T09:30",
            "Thu 3 Dec 2026 (Wed 2 Dec 2026 17:30 to Thu 3 Dec 2026 09:30, Berlin time)",
        ),
    ];
    for (from, by, want) in table {
        assert_eq!(arrival(&berlin(), from, by), want);
    }
    assert_eq!(
        arrival(&utc, "2026-12-03T00:00", "2026-12-04T00:00"),
        "Thu 3 Dec 2026 (Wed 2 Dec 2026 23:00 to Thu 3 Dec 2026 23:00, UTC time)"
    );
    // A day on which the clock goes back has 25 hours, and is a whole day all the same.
    let day = |text: &str| to_proto(text.parse().unwrap());
    let (from, to) = (day("2026-10-25T00:00:00+02:00"), day("2026-10-26T00:00:00+01:00"));
    assert_eq!(berlin().period(&from, &to), "Sun 25 Oct 2026");
    assert_eq!(berlin().day("soon"), "soon");
}

#[test]
fn lengths_of_time_have_two_units() {
    let table = [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (899, "14 min"),
        (3_600, "1 h"),
        (7_980, "2 h 13 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d"),
        (100_000, "1 d 3 h"),
    ];
    for (seconds, want) in table {
        assert_eq!(length(seconds), want);
    }
    assert_eq!(left(now(), &to_proto(now())), None, "what is now has passed");
}

#[test]
fn thousands_stand_apart() {
    let table = [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (-1_234_567, "-1,234,567"),
        (i64::MIN, "-9,223,372,036,854,775,808"),
    ];
    for (n, want) in table {
        assert_eq!(grouped(n), want);
    }
}
