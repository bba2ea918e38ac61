//! Rules 13 to 18: which plan is taken.

use super::world::{World, ask, check, moment};
use crate::domain::answer::Verdict;
use crate::planner::{Unknown, resolve};

/// Two warehouses: Leipzig is preferred and slow, Berlin is quick; each packs so many a day.
fn two(more: &str) -> String {
    format!(
        "site lej Europe/Berlin
         site ber Europe/Berlin
         zone de Europe/Berlin
         capacity lej.pack lej weekly 12345 10
         capacity ber.pack ber weekly 12345 4
         process lej.p lej.pack 0+1 cutoff 14:00
         process ber.p ber.pack 0+1 cutoff 14:00
         product mug lej - lej.p | ber - ber.p
         product cup ber - ber.p | lej - lej.p
         lane lej.std lej de standard at 17:00 days 2 delivers 12345
         lane lej.exp lej de express at 17:00 days 1 delivers 12345
         lane ber.std ber de standard at 17:00 days 1 delivers 12345
         channel vip
         {more}"
    )
}

#[test]
fn rule_14_the_first_candidate_that_meets_the_deadline_is_taken() {
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 to de by 2026-12-03",
        "yes 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej.pack 2026-12-01 1",
    );
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 to de by 2026-12-02",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej.pack 2026-12-01 1",
    );
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 to de by 2026-12-02 svc standard",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         ber.pack 2026-12-01 1",
    );
}

#[test]
fn rule_14_without_one_the_earliest_is_taken_the_first_among_equals() {
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 to de",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej.pack 2026-12-01 1",
    );
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 to de by 2026-12-01",
        "later 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej.pack 2026-12-01 1",
    );
}

#[test]
fn rule_13_by_time_looks_at_the_windows_end() {
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 to de by 2026-12-02T23:00Z",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej.pack 2026-12-01 1",
    );
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 to de by 2026-12-02T22:59Z",
        "later 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej.pack 2026-12-01 1",
    );
}

#[test]
fn rule_15_on_date_works_as_late_as_it_can() {
    // For Thursday the 10th by standard: leave on Tuesday, pack on Tuesday.
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 to de on 2026-12-10 svc standard",
        "yes 2026-12-10 2026-12-09T23:00Z..2026-12-10T23:00Z ships 2026-12-08T16:00Z order by 2026-12-08T13:00Z
         lej.pack 2026-12-08 1",
    );
    // Tuesday is full: Monday.
    check(
        &two("drawn lej.pack 2026-12-08 10"),
        "2026-12-01T08:00Z",
        "mug 1 to de on 2026-12-10 svc standard",
        "yes 2026-12-10 2026-12-09T23:00Z..2026-12-10T23:00Z ships 2026-12-08T16:00Z order by 2026-12-07T13:00Z
         lej.pack 2026-12-07 1",
    );
    // Nothing arrives on a Sunday: the first day after it.
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 to de on 2026-12-06 svc express",
        "later 2026-12-07 2026-12-06T23:00Z..2026-12-07T23:00Z ships 2026-12-06T16:00Z order by 2026-12-04T13:00Z
         lej.pack 2026-12-04 1",
    );
    // Too soon: the first day on which it can be.
    check(
        &two(""),
        "2026-12-01T14:00Z",
        "mug 1 to de on 2026-12-02",
        "later 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:00Z order by 2026-12-02T13:00Z
         lej.pack 2026-12-02 1",
    );
}

#[test]
fn rule_15_beyond_the_horizon_there_is_nothing() {
    let world = two(
        "capacity van lej weekly 12345 5 horizon 20\n lane van lej de van at 17:00 days 1 delivers 12345 uses van 1+0",
    );
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 1 to de on 2026-12-18 svc van",
        "yes 2026-12-18 2026-12-17T23:00Z..2026-12-18T23:00Z ships 2026-12-17T16:00Z order by 2026-12-17T13:00Z
         lej.pack 2026-12-17 1
         van 2026-12-18 1",
    );
    check(&world, "2026-12-01T08:00Z", "mug 1 to de on 2026-12-21 svc van", "no");
}

const SLOTS: &str = "site bak Europe/Berlin
     zone de Europe/Berlin
     capacity oven bak every 60m weekly 1234567 04:00-12:00 6
     capacity slots bak every 120m weekly 123456 08:00-18:00 2
     process bake oven 0+1 lead 2h
     product loaf bak - bake
     lane home bak de home time 30m delivers 123456 uses slots 1+0";

#[test]
fn rule_15_in_window_looks_at_slots_in_the_window_only() {
    // Baked on the same day, at its beginning, delivered in the first slot of the window.
    check(
        SLOTS,
        "2026-12-01T08:00Z",
        "loaf 2 to de in 2026-12-03T11:00Z/2026-12-03T15:00Z",
        "yes 2026-12-03 2026-12-03T11:00Z..2026-12-03T13:00Z ships 2026-12-03T05:00Z order by 2026-12-03T08:00Z
         oven 2026-12-03T04:00 2
         slots 2026-12-03T12:00 1",
    );
    // The window's slots are taken: on its own day by another slot.
    check(
        &format!("{SLOTS}\n drawn slots 2026-12-03T12:00 2"),
        "2026-12-01T08:00Z",
        "loaf 2 to de in 2026-12-03T11:00Z/2026-12-03T13:00Z",
        "later 2026-12-03 2026-12-03T07:00Z..2026-12-03T09:00Z ships 2026-12-03T05:00Z order by 2026-12-03T04:00Z
         oven 2026-12-03T04:00 2
         slots 2026-12-03T08:00 1",
    );
}

#[test]
fn rule_16_together_tries_one_site_for_all_first() {
    // Both would be had on the 2nd from their first sources, but Leipzig can send both by itself.
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 1 + cup 1 to de by 2026-12-02",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej lej.exp 2026-12-02: mug 1, cup 1
         lej.pack 2026-12-01 2",
    );
    // 8 and 8 do not fit into one site's day: from two.
    check(
        &two("supply ber.pack 2026-12-01 8"),
        "2026-12-01T08:00Z",
        "mug 8 + cup 8 to de by 2026-12-02",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej lej.exp 2026-12-02: mug 8
         ber ber.std 2026-12-02: cup 8
         lej.pack 2026-12-01 8
         ber.pack 2026-12-01 8",
    );
    // Not by then: the earliest of all, whose date is the latest of its lines'.
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 8 + cup 8 to de by 2026-12-02",
        "later 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:00Z order by 2026-12-01T13:00Z
         lej lej.exp 2026-12-02: mug 8
         lej lej.exp 2026-12-03: cup 8
         lej.pack 2026-12-01 8
         lej.pack 2026-12-02 8",
    );
}

#[test]
fn rule_16_split_brings_as_many_as_can_come_by_then_from_each() {
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 14 to de by 2026-12-02 split",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej lej.exp 2026-12-02: mug 10
         ber ber.std 2026-12-02: mug 4
         lej.pack 2026-12-01 10
         ber.pack 2026-12-01 4",
    );
    check(
        &two(""),
        "2026-12-01T08:00Z",
        "mug 16 to de by 2026-12-02 split",
        "later 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:00Z order by 2026-12-01T13:00Z
         lej lej.exp 2026-12-02: mug 10
         ber ber.std 2026-12-02: mug 4
         lej lej.exp 2026-12-03: mug 2
         lej.pack 2026-12-01 10
         lej.pack 2026-12-02 2
         ber.pack 2026-12-01 4",
    );
}

#[test]
fn rule_17_pools_in_their_order_and_never_those_of_others() {
    let world = two("supply lej.pack 2026-12-01 10\n aside lej.pack 2026-12-01 vip 6\n drawn lej.pack 2026-12-01 1");
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 8 to de svc express as vip",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T13:00Z
         lej.pack 2026-12-01 6 of channel/vip
         lej.pack 2026-12-01 2",
    );
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 4 to de svc express",
        "yes 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:00Z order by 2026-12-02T13:00Z
         lej.pack 2026-12-02 4",
    );
    // Below zero nobody draws, not even from a pool.
    let world = two("supply lej.pack 2026-12-01 5\n aside lej.pack 2026-12-01 vip 6");
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 1 to de svc express as vip",
        "yes 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:00Z order by 2026-12-02T13:00Z
         lej.pack 2026-12-02 1",
    );
}

#[test]
fn rule_17_units_needed_twice_are_added_up() {
    let world =
        two("process twice lej.pack 0+1 | lej.pack 0+1\n product pair lej - twice\n supply lej.pack 2026-12-01 10 7");
    check(
        &world,
        "2026-12-01T08:00Z",
        "pair 5 to de",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T16:00Z
         lej.pack 2026-12-01 10",
    );
    check(
        &world,
        "2026-12-01T08:00Z",
        "pair 6 to de svc express",
        "yes 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:00Z order by 2026-12-01T23:00Z
         lej.pack 2026-12-01 6
         lej.pack 2026-12-02 6",
    );
}

#[test]
fn every_unknown_name_is_told_at_once() {
    let world = World::parse(&two(""), moment("2026-12-01T08:00Z"));
    let unknown = resolve(&world.network, &ask("mug 1 + mig 2 + cap 1 to dk as vap redeems xmas"), |_| false)
        .expect_err("unknown");
    let named = |path: &str, kind, name: &str| Unknown { path: path.to_owned(), kind, name: name.to_owned() };
    assert_eq!(
        unknown,
        [
            named("ask.lines[1].sku", "product", "mig"),
            named("ask.lines[2].sku", "product", "cap"),
            named("ask.destination.zone", "zone", "dk"),
            named("ask.offer", "offer", "xmas"),
            named("ask.channel", "channel", "vap"),
        ]
    );
}

#[test]
fn an_unknown_service_is_no_error_but_a_no() {
    let world = World::parse(&two(""), moment("2026-12-01T08:00Z"));
    let planned = world.quote("mug 1 to de svc drone", moment("2026-12-01T08:00Z"));
    assert_eq!(planned.answer.verdict, Verdict::Unavailable);
    assert!(planned.takes.is_empty());
}
