//! Exact texts of offers, suggestions and scorecards, without their styles.

use anstream::adapter::strip_str;
use jiff::tz::TimeZone;

use super::times::Times;
use super::{offer, scorecard};
use crate::cli::values::to_proto;
use crate::proto::v1;

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

fn black_friday() -> v1::Offer {
    v1::Offer {
        id: "black-friday".to_owned(),
        display_name: "Black Friday".to_owned(),
        lines: vec![v1::Line { sku: "mug-blue".to_owned(), quantity: 2 }],
        zones: vec![
            v1::ZoneShare { zone: "de-north".to_owned(), share: 0.4 },
            v1::ZoneShare { zone: "de-south".to_owned(), share: 0.6 },
        ],
        channel: "web".to_owned(),
        starts: "2026-11-27".to_owned(),
        ends: "2026-11-29".to_owned(),
        promise: Some(v1::offer::Promise::WithinDays(3)),
        orders: vec![1_000, 600, 10],
        ..Default::default()
    }
}

fn day(date: &str, asked: i64, deliverable: i64, last_arrival: &str, bottleneck: &str) -> v1::OfferDay {
    v1::OfferDay {
        date: date.to_owned(),
        asked,
        deliverable,
        last_arrival: last_arrival.to_owned(),
        bottleneck: bottleneck.to_owned(),
    }
}

fn short() -> v1::OfferReport {
    v1::OfferReport {
        verdict: v1::Verdict::Later.into(),
        orders_asked: 1_610,
        orders_deliverable: 1_205,
        days: vec![
            day("2026-11-27", 1_000, 1_000, "2026-11-30", ""),
            day("2026-11-28", 600, 205, "2026-12-03", "lej.pack"),
            day("2026-11-29", 10, 0, "", ""),
        ],
        shortfalls: vec![
            v1::Shortfall {
                resource: "lej.pack".to_owned(),
                first_date: "2026-11-28".to_owned(),
                last_date: "2026-11-30".to_owned(),
                units: 1_250,
                peak_units: 900,
            },
            v1::Shortfall {
                resource: "lej.van".to_owned(),
                first_date: "2026-11-30".to_owned(),
                last_date: "2026-11-30".to_owned(),
                units: 1,
                peak_units: 1,
            },
        ],
        tightest_within_days: 6,
        deliverable_scale: 0.74,
    }
}

#[test]
fn an_offer_that_can_be_kept_in_part() {
    let suppose = [v1::SupposedSupply {
        resource: "lej.pack".to_owned(),
        start: "2026-11-28".to_owned(),
        buckets: 2,
        delta: 200,
    }];
    check(
        &offer::report(&black_friday(), &suppose, &short(), &berlin()),
        "\
Black Friday (black-friday): 1,610 orders from Fri 27 Nov 2026 to Sun 29 Nov 2026, delivered within 3 days of the order
  Supposed      +200 of lej.pack, 2 buckets from 2026-11-28
Not all of it: 1,205 of 1,610 orders can be kept (74.8 %)
  ORDERED          ASKED   KEPT                                  LAST ARRIVAL     RAN OUT FIRST
  Fri 27 Nov 2026  1,000  1,000  ██████████████████████████████  Mon 30 Nov 2026
  Sat 28 Nov 2026    600    205  ██████░░░░░░░░░░░░              Thu 3 Dec 2026   lej.pack
  Sun 29 Nov 2026     10      0  ░                               beyond the plan  time
To keep all of it, operations would have to add:
  1,250 units of lej.pack from Sat 28 Nov 2026 to Mon 30 Nov 2026, 900 of them in the worst bucket
  1 unit of lej.van on Mon 30 Nov 2026
What could be advertised instead:
  for all of these orders, delivery within 6 days
  as it is advertised, 74 % of these orders
",
    );
}

#[test]
fn an_offer_that_can_be_kept_or_not_at_all() {
    let good = v1::OfferReport {
        verdict: v1::Verdict::Promised.into(),
        orders_asked: 1,
        orders_deliverable: 1,
        days: vec![day("2026-11-27", 1, 1, "2026-11-28", "")],
        shortfalls: Vec::new(),
        tightest_within_days: 1,
        deliverable_scale: 12.5,
    };
    let by = v1::Offer {
        ends: "2026-11-27".to_owned(),
        display_name: String::new(),
        promise: Some(v1::offer::Promise::Date("2026-12-24".to_owned())),
        ..black_friday()
    };
    check(
        &offer::report(&by, &[], &good, &berlin()),
        "\
black-friday: 1 order on Fri 27 Nov 2026, delivered by Thu 24 Dec 2026
Yes: all of it can be kept
  ORDERED          ASKED  KEPT                                  LAST ARRIVAL
  Fri 27 Nov 2026      1     1  ██████████████████████████████  Sat 28 Nov 2026
What could be advertised at most:
  for all of these orders, delivery within 1 day
  as it is advertised, 1250 % of these orders
",
    );
    let none = v1::OfferReport {
        verdict: v1::Verdict::Unavailable.into(),
        orders_asked: 5,
        tightest_within_days: -1,
        ..Default::default()
    };
    check(
        &offer::report(&by, &[], &none, &berlin()),
        "\
black-friday: 5 orders on Fri 27 Nov 2026, delivered by Thu 24 Dec 2026
No: nothing of it can be kept
What could be advertised instead:
  for all of these orders, no \"within N days\" at all
  as it is advertised, not even 1 % of these orders
",
    );
}

fn state(state: v1::offer_state::State) -> v1::OfferState {
    v1::OfferState {
        offer: Some(black_friday()),
        state: state.into(),
        orders_set_aside: 1_205,
        orders_held: 5,
        orders_confirmed: 300,
        approved_at: at("2026-11-20T09:00"),
        closed_at: None,
        release_hours: 24,
    }
}

#[test]
fn an_offer_from_approval_to_its_end() {
    use v1::offer_state::State;
    let answer = v1::ApproveOfferResponse { offer: Some(state(State::Approved)), report: Some(short()) };
    let text = strip_str(&offer::approved(&answer, &berlin())).to_string();
    let head = "\
Approved: Black Friday (black-friday), delivered within 3 days of the order
  Set aside     1,205 orders of 1,610 asked
  Unsold        goes back to everyone 24 hours before its work begins
  Redeem        surety quote --offer black-friday ...
  ORDERED ";
    assert!(text.starts_with(head), "{text}");
    check(
        &offer::shown(&state(State::Approved), &berlin()),
        "\
Black Friday (black-friday) is approved
  Runs          from Fri 27 Nov 2026 to Sun 29 Nov 2026, delivered within 3 days of the order
  One order     2 x mug-blue, by web
  Goes          40.0 % to de-north, 60.0 % to de-south
  Set aside     1,205 orders
  Sold          300 confirmed, 5 held
  Left          900 orders
  Unsold        goes back to everyone 24 hours before its work begins
  Approved      Fri 20 Nov 2026 09:00
Times are in Europe/Berlin.
",
    );
    check(
        &offer::closed(&state(State::Closed)),
        "Closed: Black Friday (black-friday): 300 orders confirmed of 1,205 set aside, 5 still held; what 900 orders would have \
         needed is everyone's\n",
    );
    let list = v1::ListOffersResponse {
        offers: vec![state(State::Approved), state(State::Closed)],
        next_page_token: "x".to_owned(),
    };
    check(
        &offer::list(&list, &berlin()),
        "\
ID            STATE     FROM             TO               PROMISE                               SET ASIDE  HELD  CONFIRMED  LEFT  NAME
black-friday  approved  Fri 27 Nov 2026  Sun 29 Nov 2026  delivered within 3 days of the order      1,205     5        300   900  Black Friday
black-friday  closed    Fri 27 Nov 2026  Sun 29 Nov 2026  delivered within 3 days of the order      1,205     5        300        Black Friday
There are more: --page-token x
",
    );
    check(&offer::list(&v1::ListOffersResponse::default(), &berlin()), "No offers.\n");
}

#[test]
fn the_figures_that_are_shared() {
    let request = v1::GetScorecardRequest {
        from: "2026-11-27".to_owned(),
        to: "2026-12-24".to_owned(),
        channel: "web".to_owned(),
        offer: "black-friday".to_owned(),
    };
    let card = v1::GetScorecardResponse {
        quotes: 1_000,
        quotes_promised: 900,
        quotes_later: 60,
        quotes_unavailable: 40,
        held: 500,
        confirmed: 450,
        expired: 30,
        released: 20,
        fulfilled: 400,
        kept: 390,
        late: 10,
        repromised: 12,
        kept_share: 0.975,
        resources: vec![
            v1::ResourceUse { resource: "lej.pack".to_owned(), supply: 12_000, committed: 9_000, utilisation: 0.75 },
            v1::ResourceUse { resource: "lej.van".to_owned(), supply: 5, committed: 0, utilisation: 0.0 },
        ],
        lost: vec![v1::LostDemand { resource: "lej.stock.mug-blue".to_owned(), quotes: 55, units: 120 }],
        at_risk: 1,
        backlog: 2,
        conversion: 0.9,
    };
    check(
        &scorecard::scorecard(&request, &card, &berlin()),
        "\
What was promised for Fri 27 Nov 2026 to Thu 24 Dec 2026, channel web, offer black-friday
  Asked         1,000 times: 900 yes (90.0 %), 60 later, 40 no
  Held          500 times; 450 became orders (90.0 % of them), 30 expired, 20 released
  Delivered     400 orders: 390 by the date first promised (97.5 %), 10 late
  Re-promised   12 times
  Now           1 promise at risk, 2 in the backlog, whatever their date
  RESOURCE  SUPPLY  COMMITTED    USED
  lej.pack  12,000      9,000  75.0 %
  and 1 resource of which nothing is committed
What was asked and refused, by what was missing:
  MISSING             TIMES ASKED  UNITS
  lej.stock.mug-blue           55    120
",
    );
}

#[test]
fn of_nothing_nothing_is_said() {
    let request = v1::GetScorecardRequest {
        from: "2026-11-27".to_owned(),
        to: "2026-11-27".to_owned(),
        channel: String::new(),
        offer: String::new(),
    };
    check(
        &scorecard::scorecard(&request, &v1::GetScorecardResponse::default(), &berlin()),
        "\
What was promised for Fri 27 Nov 2026
  Asked         0 times
  Held          0 times
  Delivered     0 orders
  Re-promised   0 times
  Now           0 promises at risk, 0 in the backlog, whatever their date
",
    );
}

#[test]
fn what_could_be_offered() {
    let request = v1::SuggestOffersRequest {
        starts: "2026-11-27".to_owned(),
        ends: "2026-11-29".to_owned(),
        zone: "de-south".to_owned(),
        within_days: 3,
        limit: 20,
    };
    let one = v1::Suggestion {
        sku: "mug-blue".to_owned(),
        orders: 1_250,
        orders_by_day: vec![500, 400, 350],
        bottleneck: "lej.pack".to_owned(),
    };
    check(
        &scorecard::suggestions(&request, &v1::SuggestOffersResponse { suggestions: vec![one] }, &berlin()),
        "\
Orders of one item that could all be kept to de-south within 3 days, ordered from Fri 27 Nov 2026 to Sun 29 Nov 2026:
  SKU       ORDERS  A DAY, AT LEAST  AT MOST  LIMITED BY
  mug-blue   1,250              350      500  lej.pack
Each by itself: products share what they are made with.
",
    );
    check(
        &scorecard::suggestions(&request, &v1::SuggestOffersResponse::default(), &berlin()),
        "\
No: of no product could an order of the first day be kept, to de-south within 3 days, ordered from Fri 27 Nov 2026 to Sun 29 Nov 2026
An offer has orders on each of its days: begin on another day, or allow more days for the delivery.
",
    );
    // Nothing ordered on Sunday arrives in time; Thursday is over.
    let request = v1::SuggestOffersRequest { starts: "2026-11-26".to_owned(), ..request };
    let bounded = v1::Suggestion {
        sku: "mug-engraved".to_owned(),
        orders: 2,
        orders_by_day: vec![0, 1, 1, 0],
        bottleneck: String::new(),
    };
    check(
        &scorecard::suggestions(&request, &v1::SuggestOffersResponse { suggestions: vec![bounded] }, &berlin()),
        "\
Orders of one item that could all be kept to de-south within 3 days, ordered from Thu 26 Nov 2026 to Sun 29 Nov 2026:
  SKU           ORDERS  A DAY, AT LEAST  AT MOST  LIMITED BY
  mug-engraved       2                0        1  time, on Sun 29 Nov 2026
Each by itself: products share what they are made with.
Orders are spread evenly over the days: one whose orders come too late bounds them all.
",
    );
}
