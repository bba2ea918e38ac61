//! Exact texts of what operations set aside, move and fix, without their styles.

use anstream::adapter::strip_str;
use jiff::tz::TimeZone;

use super::times::Times;
use super::{operations, plan, reservation};
use crate::cli::values::to_proto;
use crate::proto::v1::{self, reservation::State};

fn berlin() -> Times {
    Times::new(TimeZone::get("Europe/Berlin").unwrap(), "Europe/Berlin")
}

fn at(text: &str) -> Option<pbjson_types::Timestamp> {
    Some(to_proto(format!("{text}:00+01:00").parse().unwrap()))
}

#[track_caller]
fn check(got: &str, want: &str) {
    let got = strip_str(got).to_string();
    assert_eq!(got, want, "\n--- got\n{got}--- want\n{want}");
}

fn bucket() -> v1::Bucket {
    v1::Bucket {
        resource: "lej.pack".to_owned(),
        from: at("2026-12-01T00:00"),
        to: at("2026-12-02T00:00"),
        supply: 1_000,
        held: 30,
        confirmed: 300,
        allocated: 170,
        available: 500,
        pools: vec![
            v1::BucketPool { pool: "channel/vip".to_owned(), units: 100, left: 70, release_at: at("2026-11-30T00:00") },
            v1::BucketPool { pool: "offer/xmas".to_owned(), units: 100, left: 100, release_at: None },
        ],
        channels: vec![v1::BucketChannel { channel: "vip".to_owned(), drawn: 150, max_units: Some(150) }],
    }
}

#[test]
fn buckets_say_what_is_set_aside_and_for_whom() {
    check(
        &plan::buckets(&v1::ListBucketsResponse { buckets: vec![bucket()] }, &berlin()),
        "\
RESOURCE  WHEN            SUPPLY  HELD  CONFIRMED  SET ASIDE  FREE   TAKEN
lej.pack  Tue 1 Dec 2026   1,000    30        300        170   500  33.0 %
Set aside:
  RESOURCE  WHEN            FOR          SET ASIDE  LEFT  GOES BACK
  lej.pack  Tue 1 Dec 2026  channel/vip        100    70  Mon 30 Nov 2026 00:00
  lej.pack  Tue 1 Dec 2026  offer/xmas         100   100
Drawn by channels, set aside or not:
  RESOURCE  WHEN            CHANNEL  DRAWN  AT MOST
  lej.pack  Tue 1 Dec 2026  vip        150      150
Times are in Europe/Berlin.
",
    );
}

#[test]
fn a_change_of_the_plan_says_what_it_leaves_uncovered() {
    let request = v1::AdjustSupplyRequest {
        resource: "lej.pack".to_owned(),
        start: "2026-12-01".to_owned(),
        buckets: 1,
        delta: -1_000,
        reason: "line 2 down".to_owned(),
        ..Default::default()
    };
    let short =
        v1::Bucket { supply: 400, held: 0, available: -70, pools: Vec::new(), channels: Vec::new(), ..bucket() };
    let answer = v1::AdjustSupplyResponse { buckets: vec![short.clone()], reservations_at_risk: 0 };
    check(
        &plan::adjusted(&request, &answer, &berlin()),
        "\
Done: 1,000 units less of lej.pack in 1 bucket (line 2 down)
RESOURCE  WHEN            SUPPLY  CONFIRMED  SET ASIDE  FREE   TAKEN
lej.pack  Tue 1 Dec 2026     400        300        170   -70  75.0 %
Times are in Europe/Berlin.
70 units short of what is promised or set aside
",
    );
    let request = v1::AdjustSupplyRequest { delta: 1, reason: String::new(), ..request };
    let answer = v1::AdjustSupplyResponse { buckets: vec![short.clone(), short], reservations_at_risk: 1 };
    let text = strip_str(&plan::adjusted(&request, &answer, &berlin())).to_string();
    assert!(text.starts_with("Done: 1 unit more of lej.pack in each of 2 buckets\n"), "{text}");
    let end = "140 units short of what is promised or set aside\n\
               1 reservation is at risk by this; `surety repromise --dry-run` shows what can be done\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn an_allocation_shows_what_came_of_it() {
    let request = v1::SetAllocationRequest {
        channel: "vip".to_owned(),
        resource: "lej.pack".to_owned(),
        units: vec![100],
        release_hours: 24,
        max_units: vec![150],
        ..Default::default()
    };
    let answer = v1::SetAllocationResponse { buckets: vec![bucket()] };
    let text = strip_str(&operations::allocated(&request, &answer, &berlin())).to_string();
    let head = "Done: 100 units of lej.pack are kept for vip in 1 bucket, with a maximum; what is left goes back 24 hours before a \
                bucket begins\nSet aside:\n";
    assert!(text.starts_with(head), "{text}");
    let none = v1::SetAllocationRequest { units: vec![0], ..request.clone() };
    let text = operations::allocated(&none, &answer, &berlin());
    let head = "Done: nothing of lej.pack is kept for vip in 1 bucket, with a maximum\nSet aside:\n";
    assert!(strip_str(&text).to_string().starts_with(head), "{text}");
    // Of stock nothing goes back by itself; of a bucket that has begun nothing is set aside.
    let mut stock = answer.clone();
    stock.buckets[0].pools.iter_mut().for_each(|pool| pool.release_at = None);
    let text = strip_str(&operations::allocated(&request, &stock, &berlin())).to_string();
    assert!(text.starts_with("Done: 100 units of lej.pack are kept for vip in 1 bucket, with a maximum\n"), "{text}");
    let mut begun = answer;
    begun.buckets[0].pools.clear();
    let text = strip_str(&operations::allocated(&request, &begun, &berlin())).to_string();
    assert!(text.starts_with("Done: nothing of lej.pack is kept for vip in 1 bucket, with a maximum\n"), "{text}");
}

#[test]
fn promises_are_moved_or_kept_or_stay_at_risk() {
    let one = |id: &str, new: &str| v1::Repromised {
        id: id.to_owned(),
        reference: format!("order-{id}"),
        old_date: "2026-12-03".to_owned(),
        new_date: new.to_owned(),
    };
    let answer = v1::RepromiseResponse {
        repromised: vec![one("a", "2026-12-03"), one("b", "2026-12-07"), one("c", "")],
        kept: 1,
        moved: 1,
        still_at_risk: 1,
    };
    check(
        &operations::repromised(&answer, &[], true, &berlin()),
        "\
ID  REFERENCE  PROMISED        NOW
a   order-a    Thu 3 Dec 2026  Thu 3 Dec 2026  kept
b   order-b    Thu 3 Dec 2026  Mon 7 Dec 2026  moved
c   order-c    Thu 3 Dec 2026                  no date within the plan
Would be: 1 kept on their date, 1 moved, 1 stays at risk
Nothing was changed.
",
    );
    let none = v1::RepromiseResponse::default();
    check(&operations::repromised(&none, &[], false, &berlin()), "Nothing to do: no promise is at risk\n");
    let others = [true, true, false].map(|fixed| v1::Reservation { fixed, ..Default::default() });
    check(
        &operations::repromised(&none, &others, false, &berlin()),
        "\
Done: 0 kept on their date, 0 moved, 3 stay at risk
2 promises at risk are fixed; `surety repromise ID` moves what is named
1 promise at risk was not looked at; --limit says how many are
",
    );
}

#[test]
fn a_reservation_shows_what_became_of_it() {
    let fixed = v1::Reservation {
        id: "6f1c".to_owned(),
        state: State::Fulfilled.into(),
        promise: Some(v1::Promise { date: "2026-12-03".to_owned(), ..Default::default() }),
        first_date: "2026-12-02".to_owned(),
        fixed: true,
        shipped_at: at("2026-12-02T17:00"),
        delivered_at: at("2026-12-03T10:00"),
        ..Default::default()
    };
    check(
        &operations::fixed(&fixed, &berlin()),
        "Fixed: 6f1c arrives Thu 3 Dec 2026, and is not moved unless it is named\n",
    );
    let now = "2026-12-04T00:00:00Z".parse().unwrap();
    let answer = v1::GetReservationResponse { reservation: Some(fixed.clone()), ..Default::default() };
    check(
        &reservation::evidence(&answer, &berlin(), now),
        "\
6f1c is fulfilled
  Arrives       Thu 3 Dec 2026
  First date    Wed 2 Dec 2026; moved to Thu 3 Dec 2026
  Fixed         its date is not moved unless this reservation is named
  Shipped       Wed 2 Dec 2026 17:00
  Delivered     Thu 3 Dec 2026 10:00
Times are in Europe/Berlin.
",
    );
    let shipped = v1::Reservation { delivered_at: None, state: State::Confirmed.into(), at_risk: true, ..fixed };
    let list = v1::ListReservationsResponse { reservations: vec![shipped], next_page_token: String::new() };
    check(
        &reservation::list(&list, &berlin(), now),
        "\
ID    STATE      ARRIVES
6f1c  confirmed  Thu 3 Dec 2026  at risk, first promised for Wed 2 Dec 2026, fixed, shipped
Times are in Europe/Berlin.
",
    );
}
