//! Cases worked out by hand from the text of the rules. 2026-11-23 is a Monday.

use std::collections::BTreeSet;

use surety::planner::Detail;

use crate::compare::{facts, planned, told};
use crate::notation::Case;

/// Of the kinds of facts that are expected, the answers have exactly those that are expected.
#[track_caller]
fn check(case: &str, expected: &str) {
    let case = Case::parse(case);
    let lines =
        |text: &str| text.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect::<BTreeSet<_>>();
    let expected = lines(expected);
    let kinds: BTreeSet<&str> = expected.iter().filter_map(|l| l.split(' ').next()).collect();
    let of_kinds = |facts: Vec<String>| {
        facts
            .into_iter()
            .filter(|l| l.split(' ').next().is_some_and(|kind| kinds.contains(kind)))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(of_kinds(facts(&case, &told(&case))), expected, "the oracle, left, errs");

    if case.ask.offer.is_some() {
        // Offers can't be redeemed yet; the oracle knows how it will be.
        return;
    }
    for detail in [Detail::Plain, Detail::Full] {
        let answer = planned(&case, detail).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(of_kinds(facts(&case, &answer)), expected, "the planner, left, errs");
    }
}

/// A made-to-order thing with one step, which leaves when it is ready and arrives at once: `ships` is when it is ready.
fn made(zone: &str, resource: &str, step: &str, now: &str) -> String {
    format!(
        "now {now}
         site s {zone}
         zone z {zone}
         {resource}
         step p c {step}
         source x s process p
         lane l s z takes 0
         ask z
         line x 1"
    )
}

// --- Rule 2 -----------------------------------------------------------------------------------------------------------

#[test]
fn rule_02_buckets_of_30_minutes_in_the_gap_have_no_length() {
    // On 2027-03-28 the clock in Berlin jumps from 02:00 to 03:00, at 01:00Z. Buckets 02:00 and 02:30 begin at 03:00 and
    // end there: they are not used, whatever was set for them.
    let c = "capacity c s every 30
             supply c 2027-03-28T02:00 5
             supply c 2027-03-28T02:30 5
             supply c 2027-03-28T03:00 5";
    check(
        &made("Europe/Berlin", c, "line 1", "2027-03-28T00:30Z"),
        "take c 2027-03-28T03:00 1
         ships 2027-03-28T01:00Z",
    );
}

#[test]
fn rule_02_a_bucket_of_120_minutes_that_begins_in_the_gap_begins_at_its_end() {
    // Bucket 02:00 lasts from 03:00 to 04:00 of the wall clock, 01:00Z to 02:00Z.
    let c = "capacity c s every 120
             supply c 2027-03-28T02:00 5
             supply c 2027-03-28T04:00 5";
    check(
        &made("Europe/Berlin", c, "line 1", "2027-03-28T01:00:00Z"),
        "take c 2027-03-28T02:00 1
         ships 2027-03-28T01:00Z",
    );
    check(
        &made("Europe/Berlin", c, "line 1", "2027-03-28T01:00:01Z"),
        "take c 2027-03-28T04:00 1
         ships 2027-03-28T02:00Z",
    );
}

#[test]
fn rule_02_of_two_equal_wall_clock_times_the_first_counts() {
    // On 2027-10-31 the clock in Berlin goes back from 03:00 to 02:00, at 01:00Z. The first 02:30 is 00:30Z; 03:00 is 02:00Z.
    let c = "capacity c s every 30
             supply c 2027-10-31T02:30 5
             supply c 2027-10-31T03:00 5";
    check(
        &made("Europe/Berlin", c, "line 1", "2027-10-31T00:30Z"),
        "take c 2027-10-31T02:30 1
         ships 2027-10-31T00:30Z",
    );
    check(
        &made("Europe/Berlin", c, "line 1", "2027-10-31T00:31Z"),
        "take c 2027-10-31T03:00 1
         ships 2027-10-31T02:00Z",
    );
    // Of 120 minutes, 02:00 begins at 00:00Z and lasts three hours, so 04:00 begins at 03:00Z.
    let c = "capacity c s every 120
             supply c 2027-10-31T02:00 5
             supply c 2027-10-31T04:00 5";
    check(&made("Europe/Berlin", c, "line 1", "2027-10-31T00:00Z"), "ships 2027-10-31T00:00Z");
    check(&made("Europe/Berlin", c, "line 1", "2027-10-31T00:01Z"), "ships 2027-10-31T03:00Z");
}

#[test]
fn rule_02_a_day_whose_midnight_is_skipped_begins_at_one() {
    // In Santiago, 2026-09-06 begins at 01:00, 04:00Z.
    let c = "capacity c s
             supply c 2026-09-06 5";
    check(
        &made("America/Santiago", c, "line 1", "2026-09-05T12:00Z"),
        "take c 2026-09-06 1
         ships 2026-09-06T04:00Z",
    );
}

// --- Rules 3 and 4 ----------------------------------------------------------------------------------------------------

#[test]
fn rule_03_a_balance_is_supply_less_drawn_less_set_aside() {
    // Monday is drawn, of Tuesday's standing 5 three are drawn and two set aside for others; Wednesday is closed, but 1 was set.
    let c = "capacity c s horizon 5 closed 2026-11-25,2026-11-26
             weekly c units 5
             supply c 2026-11-23 5 drawn 5
             supply c 2026-11-24 drawn 3 pool channel/vip 2
             supply c 2026-11-25 set 1";
    check(&made("UTC", c, "line 1", "2026-11-23T09:00Z"), "take c 2026-11-25 1");
    // Two need Friday: Thursday is closed.
    check(&made("UTC", c, "line 2", "2026-11-23T09:00Z"), "take c 2026-11-27 2");
}

#[test]
fn rule_03_the_standing_plan_reaches_from_today_for_horizon_days() {
    let c = |days: i32| {
        format!(
            "capacity c s horizon {days}
             weekly c days wed units 5"
        )
    };
    check(&made("UTC", &c(3), "line 1", "2026-11-23T09:00Z"), "take c 2026-11-25 1");
    check(&made("UTC", &c(2), "line 1", "2026-11-23T09:00Z"), "verdict Unavailable");
}

#[test]
fn rule_03_nothing_can_be_drawn_from_a_negative_balance() {
    // 5 supplied, 4 drawn, 3 set aside for web: the balance is -2, and web can't draw either.
    let c = "channel web
             capacity c s
             supply c 2026-11-23 5 drawn 4 pool channel/web 3
             supply c 2026-11-24 5";
    let case = made("UTC", c, "line 1", "2026-11-23T09:00Z").replace("ask z", "ask z channel web");
    check(&case, "take c 2026-11-24 1");
}

// --- Rule 6 -----------------------------------------------------------------------------------------------------------

fn stocked(quantity: i32) -> String {
    format!(
        "now 2026-11-23T09:00Z
         site s UTC
         zone z UTC
         stock k s
         supply k 2026-11-20 4
         supply k 2026-11-22 3
         supply k 2026-11-25 10
         source x s stock k
         lane l s z takes 0
         ask z
         line x {quantity}"
    )
}

#[test]
fn rule_06_units_come_from_the_latest_begun_receipt_first() {
    check(
        &stocked(5),
        "ships 2026-11-23T09:00Z
         take k 2026-11-20 2
         take k 2026-11-22 3",
    );
}

#[test]
fn rule_06_ready_is_when_the_receipts_together_hold_the_quantity() {
    check(
        &stocked(8),
        "ships 2026-11-25T00:00Z
         take k 2026-11-25 8",
    );
    check(
        &stocked(12),
        "ships 2026-11-25T00:00Z
         take k 2026-11-22 2
         take k 2026-11-25 10",
    );
    check(&stocked(18), "verdict Unavailable");
}

/// Mondays' receipts of a network that was applied on Tuesday the 3rd: those of the 9th, 16th (set, and drawn on) and 23rd
/// have begun, the 2nd was before its time, and the 30th is the last within ten days.
fn standing_stock(quantity: i32) -> String {
    format!(
        "now 2026-11-23T09:00Z
         applied 2026-11-03T09:00Z
         site s UTC
         zone z UTC
         stock k s horizon 10
         weekly k days mon units 5
         supply k 2026-11-16 set 4 drawn 1
         source x s stock k
         lane l s z service std transit 1
         ask z
         line x {quantity}"
    )
}

#[test]
fn rule_04_standing_receipts_serve_for_ever_from_the_day_the_network_was_applied() {
    check(
        &standing_stock(12),
        "verdict Promised
         ships 2026-11-23T09:00Z
         take k 2026-11-09 4
         take k 2026-11-16 3
         take k 2026-11-23 5",
    );
    check(
        &standing_stock(15),
        "ships 2026-11-30T00:00Z
         take k 2026-11-09 2
         take k 2026-11-16 3
         take k 2026-11-23 5
         take k 2026-11-30 5",
    );
    check(&standing_stock(19), "verdict Unavailable");
}

// --- Rule 7 -----------------------------------------------------------------------------------------------------------

const WEEK: &str = "capacity c s
                    weekly c units 5";

#[test]
fn rule_07_cutoff_is_inclusive() {
    check(
        &made("UTC", WEEK, "line 1 cutoff 14:00", "2026-11-23T14:00:00Z"),
        "take c 2026-11-23 1
         ships 2026-11-23T14:00Z",
    );
    check(
        &made("UTC", WEEK, "line 1 cutoff 14:00", "2026-11-23T14:00:01Z"),
        "take c 2026-11-24 1
         ships 2026-11-24T00:00Z",
    );
}

#[test]
fn rule_07_a_shorter_bucket_that_has_begun_is_not_used() {
    let c = "capacity c s every 60
             weekly c from 08:00 to 10:00 units 5";
    check(&made("UTC", c, "line 1", "2026-11-23T09:00:00Z"), "take c 2026-11-23T09:00 1");
    check(&made("UTC", c, "line 1", "2026-11-23T09:00:01Z"), "take c 2026-11-24T08:00 1");
}

const SCARCE: &str = "capacity c s
                      supply c 2026-11-23 2
                      supply c 2026-11-24 0
                      supply c 2026-11-25 3
                      supply c 2026-11-26 9";

#[test]
fn rule_07_not_divisible_takes_the_first_bucket_that_gives_the_whole() {
    check(&made("UTC", SCARCE, "line 1 item 2", "2026-11-23T09:00Z"), "take c 2026-11-25 3");
    check(&made("UTC", SCARCE, "line 4", "2026-11-23T09:00Z"), "take c 2026-11-26 4");
}

#[test]
fn rule_07_divisible_passes_over_the_empty_ones() {
    check(
        &made("UTC", SCARCE, "line 5 divisible", "2026-11-23T09:00Z"),
        "take c 2026-11-23 2
         take c 2026-11-25 3
         ships 2026-11-25T00:00Z",
    );
}

#[test]
fn rule_07_done_is_lead_time_after_the_start() {
    // Today's bucket: from now on. Another day's: from its beginning on.
    check(&made("UTC", SCARCE, "line 2 lead 120", "2026-11-23T09:00Z"), "ships 2026-11-23T11:00Z");
    check(&made("UTC", SCARCE, "line 3 lead 120", "2026-11-23T09:00Z"), "ships 2026-11-25T02:00Z");
}

#[test]
fn rule_07_lead_days_count_days_with_supply_drawn_or_not() {
    // Done in Monday's bucket; Tuesday has none; Wednesday is the first day after, Thursday the second.
    check(&made("UTC", SCARCE, "line 2 days 1", "2026-11-23T09:00Z"), "ships 2026-11-25T00:00Z");
    check(&made("UTC", SCARCE, "line 2 days 2", "2026-11-23T09:00Z"), "ships 2026-11-26T00:00Z");
    let drawn = SCARCE.replace("2026-11-25 3", "2026-11-25 3 drawn 3");
    check(&made("UTC", &drawn, "line 2 days 1", "2026-11-23T09:00Z"), "ships 2026-11-25T00:00Z");
    // 20 hours after the start it is Tuesday; the day after is still Wednesday.
    check(&made("UTC", SCARCE, "line 2 lead 1200 days 1", "2026-11-23T09:00Z"), "ships 2026-11-25T00:00Z");
}

#[test]
fn rule_07_a_step_that_draws_nothing_starts_when_it_is_ready() {
    // Without a resource every day counts; with one and a draw of 0, the days with supply.
    let wait = made("UTC", WEEK, "", "2026-11-23T09:00Z").replace("step p c", "step p - lead 60 days 2");
    check(&wait, "ships 2026-11-25T00:00Z");
    check(&made("UTC", SCARCE, "lead 60", "2026-11-24T09:00Z"), "ships 2026-11-24T10:00Z");
    check(&made("UTC", SCARCE, "days 1", "2026-11-23T09:00Z"), "ships 2026-11-25T00:00Z");
}

#[test]
fn rule_07_steps_follow_each_other() {
    // Cut on Monday at 13:00, then pressed in the 60-minute bucket that begins at 14:00 or later, then packed that day.
    let case = "now 2026-11-23T09:00Z
        site s UTC
        zone z UTC
        capacity cut s
        weekly cut units 5
        capacity press s every 60
        weekly press from 08:00 to 18:00 units 1
        supply press 2026-11-23T13:00 0
        step p cut item 1 lead 240
        step p press line 1
        step p cut item 1
        source x s process p
        lane l s z takes 0
        ask z
        line x 2";
    check(
        case,
        "ships 2026-11-23T14:00Z
         take cut 2026-11-23 4
         take press 2026-11-23T14:00 1",
    );
}

// --- Rules 8, 9 and 11 ------------------------------------------------------------------------------------------------

/// Something that is ready at once, on this lane.
fn sent(zone: &str, lane: &str, now: &str) -> String {
    format!(
        "now {now}
         site s UTC
         zone z {zone}
         step p - 
         source x s process p
         lane l s z {lane}
         ask z
         line x 1"
    )
}

#[test]
fn rule_08_it_leaves_at_the_first_departure_at_or_after_ready() {
    check(&sent("UTC", "departs mon,wed at 17:30", "2026-11-23T17:30:00Z"), "ships 2026-11-23T17:30Z");
    check(&sent("UTC", "departs mon,wed at 17:30", "2026-11-23T17:30:01Z"), "ships 2026-11-25T17:30Z");
    let holiday = "departs mon,wed at 17:30 holidays 2026-11-25";
    check(&sent("UTC", holiday, "2026-11-23T18:00Z"), "ships 2026-11-30T17:30Z");
}

#[test]
fn rule_08_without_departure_time_it_leaves_when_ready_or_as_the_next_departure_day_begins() {
    check(&sent("UTC", "departs wed", "2026-11-25T09:00Z"), "ships 2026-11-25T09:00Z");
    check(&sent("UTC", "departs wed", "2026-11-23T09:00Z"), "ships 2026-11-25T00:00Z");
}

#[test]
fn rule_09_transit_counts_delivery_days_over_weekend_and_holiday() {
    let friday = "2026-11-27T09:00Z";
    check(&sent("UTC", "transit 1", friday), "date 2026-11-28");
    check(&sent("UTC", "transit 1 delivers mon,tue,wed,thu,fri", friday), "date 2026-11-30");
    check(&sent("UTC", "transit 2 delivers mon,tue,wed,thu,fri", friday), "date 2026-12-01");
    check(&sent("UTC", "transit 1 delivers mon,tue,wed,thu,fri holidays 2026-11-30", friday), "date 2026-12-01");
}

#[test]
fn rule_09_transit_of_no_days_arrives_on_the_day_or_the_next_delivery_day() {
    check(&sent("UTC", "delivers fri,mon", "2026-11-27T09:00Z"), "date 2026-11-27");
    check(&sent("UTC", "delivers mon,tue,wed,thu,fri", "2026-11-28T09:00Z"), "date 2026-11-30");
}

#[test]
fn rule_09_the_day_of_departure_is_the_zones() {
    // 23:30Z is half past midnight in Berlin.
    check(
        &sent("Europe/Berlin", "at 23:30 transit 1", "2026-11-23T09:00Z"),
        "ships 2026-11-23T23:30Z
         date 2026-11-25
         from 2026-11-24T23:00Z
         by 2026-11-25T23:00Z",
    );
}

#[test]
fn rule_11_the_window_is_the_day_or_from_departure_to_arrival() {
    check(
        &sent("UTC", "at 17:30 transit 1", "2026-11-23T09:00Z"),
        "from 2026-11-24T00:00Z
         by 2026-11-25T00:00Z",
    );
    check(
        &sent("UTC", "at 17:30 takes 600", "2026-11-23T09:00Z"),
        "date 2026-11-24
         from 2026-11-23T17:30Z
         by 2026-11-24T03:30Z",
    );
}

// --- Rule 10 ----------------------------------------------------------------------------------------------------------

/// Two lines of 2 and 3 items by one lane with vans.
fn vans(van: &str, lane: &str) -> String {
    format!(
        "now 2026-11-23T09:00Z
         site s UTC
         zone z UTC
         {van}
         step p -
         source x s process p
         source y s process p
         lane l s z {lane}
         ask z
         line x 2
         line y 3"
    )
}

#[test]
fn rule_10_lines_of_one_shipment_pay_per_shipment_once() {
    let exactly = "capacity van s
                   supply van 2026-11-24 7
                   supply van 2026-11-25 9";
    check(
        &vans(exactly, "transit 1 draws van 2 1"),
        "date 2026-11-24
         shipment l 2 x 3 y 2026-11-23T09:00Z -> 2026-11-25T00:00Z
         take van 2026-11-24 7",
    );
}

#[test]
fn rule_10_a_shipment_that_does_not_fit_comes_on_the_next_delivery_day() {
    // One unit less: the second line comes the day after next, as Wednesday is no delivery day, and pays again.
    let less = "capacity van s
                supply van 2026-11-24 6
                supply van 2026-11-25 9
                supply van 2026-11-26 9";
    check(
        &vans(less, "transit 1 delivers mon,tue,thu draws van 2 1"),
        "date 2026-11-26
         shipment l 2 x 2026-11-23T09:00Z -> 2026-11-25T00:00Z
         shipment l 3 y 2026-11-23T09:00Z -> 2026-11-27T00:00Z
         take van 2026-11-24 4
         take van 2026-11-26 5",
    );
}

#[test]
fn rule_10_and_11_the_first_slot_of_the_arrival_day_that_can_give_it() {
    let slots = "capacity van s every 120
                 supply van 2026-11-24T08:00 6
                 supply van 2026-11-24T10:00 7
                 supply van 2026-11-24T12:00 7";
    check(
        &vans(slots, "transit 1 draws van 7 0"),
        "date 2026-11-24
         from 2026-11-24T10:00Z
         by 2026-11-24T12:00Z
         take van 2026-11-24T10:00 7",
    );
}

#[test]
fn rule_10_slots_begin_at_or_after_departure_plus_transit_time() {
    let slots = "capacity van s every 60
                 supply van 2026-11-23T11:00 9
                 supply van 2026-11-23T12:00 9
                 supply van 2026-11-24T08:00 9";
    check(&vans(slots, "at 10:00 takes 90 draws van 1 0"), "from 2026-11-23T12:00Z");
    check(&vans(slots, "at 10:30 takes 90 draws van 1 0"), "from 2026-11-23T12:00Z");
    // None is left on the day, so the next delivery day's first.
    check(&vans(slots, "at 10:31 takes 90 draws van 1 0"), "from 2026-11-24T08:00Z");
    // transit_days 0: not before it departs.
    check(&vans(slots, "at 11:30 draws van 1 0"), "from 2026-11-23T12:00Z");
}

// --- Rule 12 ----------------------------------------------------------------------------------------------------------

fn ordered(step: &str, lane: &str, now: &str) -> String {
    format!(
        "now {now}
         site s UTC
         zone z UTC
         capacity c s
         weekly c units 5
         step p {step}
         source x s process p
         lane l s z {lane}
         ask z
         line x 1"
    )
}

#[test]
fn rule_12_order_by_is_the_cutoff_or_the_departure_that_comes_first() {
    let monday = "2026-11-23T09:00Z";
    check(&ordered("c line 1 cutoff 14:00", "at 17:30 transit 1", monday), "order_by 2026-11-23T14:00Z");
    // Four hours of work before 17:30 must begin at 13:30.
    check(&ordered("c line 1 cutoff 14:00 lead 240", "at 17:30 transit 1", monday), "order_by 2026-11-23T13:30Z");
    check(&ordered("c line 1", "at 17:30 transit 1", monday), "order_by 2026-11-23T17:30Z");
}

#[test]
fn rule_12_a_cutoff_that_moves_nothing_does_not_count() {
    // What leaves on Friday, Saturday or Sunday arrives on Monday; so Sunday's cutoff is the one.
    check(
        &ordered("c line 1 cutoff 14:00", "at 17:30 transit 1 delivers mon,tue,wed,thu,fri", "2026-11-27T09:00Z"),
        "date 2026-11-30
         order_by 2026-11-29T14:00Z",
    );
}

#[test]
fn rule_12_without_cutoff_and_departure_time_it_is_the_days_end() {
    check(
        &ordered("c line 1", "transit 1", "2026-11-23T09:00Z"),
        "date 2026-11-24
         order_by 2026-11-24T00:00Z",
    );
}

#[test]
fn rule_12_a_bucket_start_counts() {
    let c = "capacity c s every 30
             supply c 2026-11-23T12:00 5
             supply c 2026-11-23T20:00 5";
    let case = made("UTC", c, "line 1", "2026-11-23T09:00Z").replace("takes 0", "at 17:30 transit 1");
    check(&case, "order_by 2026-11-23T12:00Z");
}

#[test]
fn rule_12_what_arrives_so_long_after_now_is_ordered_now() {
    check(&sent("UTC", "takes 600", "2026-11-23T09:00Z"), "order_by 2026-11-23T09:00Z");
}

#[test]
fn rule_12_of_several_shipments_the_first_to_come() {
    // x leaves at 12:00 for Tuesday, y at 17:30 for Tuesday.
    let case = "now 2026-11-23T09:00Z
        site a UTC
        site b UTC
        zone z UTC
        step p -
        source x a process p
        source y b process p
        lane la a z at 12:00 transit 1
        lane lb b z at 17:30 transit 1
        ask z
        line x 1
        line y 1";
    check(
        case,
        "date 2026-11-24
         ships 2026-11-23T17:30Z
         order_by 2026-11-23T12:00Z",
    );
}

#[test]
fn rule_12_a_promise_for_a_later_day_waits_for_that_days_cutoff() {
    // For Saturday it is made on Friday: until 14:00 on Friday it can be had.
    let case = ordered("c line 1 cutoff 14:00", "at 17:30 transit 1", "2026-11-23T09:00Z")
        .replace("ask z", "ask z on 2026-11-28");
    check(
        &case,
        "verdict Promised
         order_by 2026-11-27T14:00Z",
    );
}

// --- Rules 13 and 14 --------------------------------------------------------------------------------------------------

#[test]
fn rule_13_dates_and_instants_may_be_met_exactly() {
    let lane = "at 17:30 takes 600";
    let ask = |when: &str| sent("UTC", lane, "2026-11-23T09:00Z").replace("ask z", &format!("ask z {when}"));
    check(&ask("by 2026-11-24"), "verdict Promised");
    check(&ask("by 2026-11-23"), "verdict Later\ndate 2026-11-24");
    check(&ask("by 2026-11-24T03:30Z"), "verdict Promised");
    check(&ask("by 2026-11-24T03:29Z"), "verdict Later");
}

fn two_sites(ask: &str) -> String {
    format!(
        "now 2026-11-23T09:00Z
         site a UTC
         site b UTC
         zone z UTC
         step p -
         source x a process p
         source x b process p
         lane slow a z service std transit 3
         lane fast a z service exp transit 2
         lane near b z service std transit 1
         lane other b z service exp transit 1
         ask z {ask}
         line x 1"
    )
}

#[test]
fn rule_14_with_a_deadline_the_first_candidate_that_meets_it() {
    check(&two_sites("by 2026-11-26"), "shipment slow 1 x 2026-11-23T09:00Z -> 2026-11-27T00:00Z");
    check(&two_sites("by 2026-11-25"), "shipment fast 1 x 2026-11-23T09:00Z -> 2026-11-26T00:00Z");
    check(&two_sites("by 2026-11-25 service std"), "shipment near 1 x 2026-11-23T09:00Z -> 2026-11-25T00:00Z");
}

#[test]
fn rule_14_without_or_too_late_the_earliest_the_first_among_equals() {
    check(&two_sites(""), "shipment near 1 x 2026-11-23T09:00Z -> 2026-11-25T00:00Z");
    check(
        &two_sites("by 2026-11-23"),
        "verdict Later
         shipment near 1 x 2026-11-23T09:00Z -> 2026-11-25T00:00Z",
    );
    check(&two_sites("service none"), "verdict Unavailable");
}

// --- Rule 15 ----------------------------------------------------------------------------------------------------------

fn late(supply: &str, when: &str, now: &str) -> String {
    format!(
        "now {now}
         site s UTC
         zone z UTC
         capacity c s
         weekly c units 5
         {supply}
         step p c line 1 cutoff 14:00
         source x s process p
         lane l s z departs mon,tue,wed,thu,fri at 17:30 transit 1 delivers mon,tue,wed,thu,fri,sat
         ask z {when}
         line x 1"
    )
}

#[test]
fn rule_15_the_work_is_done_as_late_as_it_can_be() {
    let monday = "2026-11-23T09:00Z";
    check(
        &late("", "on 2026-11-28", monday),
        "verdict Promised
         date 2026-11-28
         ships 2026-11-27T17:30Z
         take c 2026-11-27 1
         order_by 2026-11-27T14:00Z",
    );
    // Friday is full: made on Thursday, but it still leaves on Friday.
    check(
        &late("supply c 2026-11-27 0", "on 2026-11-28", monday),
        "verdict Promised
         ships 2026-11-27T17:30Z
         take c 2026-11-26 1
         order_by 2026-11-26T14:00Z",
    );
}

#[test]
fn rule_15_today_is_planned_from_now() {
    // For Tuesday it must be made and leave on Monday.
    check(&late("", "on 2026-11-24", "2026-11-23T14:00Z"), "verdict Promised");
    check(&late("", "on 2026-11-24", "2026-11-23T14:01Z"), "verdict Later\ndate 2026-11-25");
}

#[test]
fn rule_15_later_is_the_first_day_after_y_on_which_on_date_would() {
    // Nothing arrives on a Sunday; nor on a Monday, as nothing leaves on Saturday and Sunday, and Friday's is there on Saturday.
    check(
        &late("", "on 2026-11-29", "2026-11-23T09:00Z"),
        "verdict Later
         date 2026-12-01
         ships 2026-11-30T17:30Z
         take c 2026-11-30 1",
    );
    // A day that is over: the first day after it.
    check(&late("", "on 2026-11-20", "2026-11-23T09:00Z"), "verdict Later\ndate 2026-11-24");
}

#[test]
fn rule_15_of_the_candidates_the_first_that_gets_a_yes() {
    check(&two_sites("on 2026-11-26"), "shipment slow 1 x 2026-11-23T09:00Z -> 2026-11-27T00:00Z");
    check(&two_sites("on 2026-11-25"), "shipment fast 1 x 2026-11-23T09:00Z -> 2026-11-26T00:00Z");
    check(&two_sites("on 2026-11-24"), "shipment near 1 x 2026-11-23T09:00Z -> 2026-11-25T00:00Z");
}

fn slots(when: &str) -> String {
    format!(
        "now 2026-11-23T09:00Z
         site s UTC
         zone z UTC
         capacity van s every 120
         supply van 2026-11-24T08:00 5
         supply van 2026-11-24T10:00 0
         supply van 2026-11-24T12:00 5
         supply van 2026-11-25T16:00 5
         step p -
         source x s process p
         lane l s z at 06:00 draws van 1 0
         ask z {when}
         line x 1"
    )
}

#[test]
fn rule_15_a_slot_in_the_window_and_no_other() {
    check(
        &slots("in 2026-11-24T10:00Z 2026-11-24T14:00Z"),
        "verdict Promised
         from 2026-11-24T12:00Z
         by 2026-11-24T14:00Z
         ships 2026-11-24T06:00Z",
    );
    check(&slots("in 2026-11-24T08:00Z 2026-11-24T14:00Z"), "from 2026-11-24T08:00Z");
}

#[test]
fn rule_15_where_the_window_is_full_its_own_day_is_looked_at_first() {
    check(
        &slots("in 2026-11-24T10:00Z 2026-11-24T12:00Z"),
        "verdict Later
         from 2026-11-24T08:00Z",
    );
    check(
        &slots("in 2026-11-25T08:00Z 2026-11-25T12:00Z"),
        "verdict Later
         from 2026-11-25T16:00Z",
    );
    check(&slots("in 2026-11-26T08:00Z 2026-11-26T12:00Z"), "verdict Unavailable");
}

// --- Rule 16 ----------------------------------------------------------------------------------------------------------

fn lines(supply: &str, ask: &str) -> String {
    format!(
        "now 2026-11-23T09:00Z
         site a UTC
         site b UTC
         zone z UTC
         stock ax a
         stock bx b
         stock by b
         {supply}
         source x a stock ax
         source x b stock bx
         source y b stock by
         lane la a z transit 1
         lane lb b z transit 2
         ask z {ask}"
    )
}

#[test]
fn rule_16_together_tries_one_site_for_all_first() {
    let supply = "supply ax 2026-11-20 9
                  supply bx 2026-11-20 9
                  supply by 2026-11-20 9";
    // Site b can send both by Wednesday, so x comes from there although its first source is a.
    check(
        &(lines(supply, "by 2026-11-25") + "\nline x 1\nline y 1"),
        "verdict Promised
         shipment lb 1 x 1 y 2026-11-23T09:00Z -> 2026-11-26T00:00Z",
    );
    // Without x at b, line by line.
    check(
        &(lines(&supply.replace("supply bx 2026-11-20 9", ""), "by 2026-11-25") + "\nline x 1\nline y 1"),
        "verdict Promised
         date 2026-11-25
         shipment la 1 x 2026-11-23T09:00Z -> 2026-11-25T00:00Z
         shipment lb 1 y 2026-11-23T09:00Z -> 2026-11-26T00:00Z",
    );
    // Alone, x comes from a.
    check(&(lines(supply, "by 2026-11-25") + "\nline x 1"), "date 2026-11-24");
}

#[test]
fn rule_16_together_takes_the_earliest_where_none_meets_y() {
    // b as the one site: x on Thursday the 26th + 2 days; line by line the latest is y's Wednesday.
    let supply = "supply ax 2026-11-20 9
                  supply bx 2026-11-26 9
                  supply by 2026-11-20 9";
    check(
        &(lines(supply, "by 2026-11-24") + "\nline x 1\nline y 1"),
        "verdict Later
         date 2026-11-25
         take ax 2026-11-20 1
         take by 2026-11-20 1",
    );
}

#[test]
fn rule_16_split_takes_as_many_as_can_come_by_y_from_each_candidate_in_turn() {
    let supply = "supply ax 2026-11-20 3
                  supply bx 2026-11-20 9";
    check(
        &(lines(supply, "by 2026-11-25 split") + "\nline x 5"),
        "verdict Promised
         date 2026-11-25
         shipment la 3 x 2026-11-23T09:00Z -> 2026-11-25T00:00Z
         shipment lb 2 x 2026-11-23T09:00Z -> 2026-11-26T00:00Z",
    );
    // The rest as early as possible: b's receipt of the 24th is there on the 26th, a's of the 26th on the 27th.
    let later = "supply ax 2026-11-20 3
                 supply ax 2026-11-26 9
                 supply bx 2026-11-24 1";
    check(
        &(lines(later, "by 2026-11-25 split") + "\nline x 5"),
        "verdict Later
         date 2026-11-27
         take ax 2026-11-20 3
         take ax 2026-11-26 1
         take bx 2026-11-24 1",
    );
    // Together, one source has to give all of it.
    check(&(lines(later, "") + "\nline x 5"), "date 2026-11-27\ntake ax 2026-11-26 5");
}

#[test]
fn rule_16_split_without_y_is_as_early_as_possible_from_the_start() {
    let supply = "supply ax 2026-11-20 3
                  supply bx 2026-11-20 9";
    check(
        &(lines(supply, "split") + "\nline x 5"),
        "verdict Promised
         shipment la 3 x 2026-11-23T09:00Z -> 2026-11-25T00:00Z
         shipment lb 2 x 2026-11-23T09:00Z -> 2026-11-26T00:00Z",
    );
}

// --- Rules 17 and 18 --------------------------------------------------------------------------------------------------

fn pools(ask: &str, quantity: i32) -> String {
    let c = "channel vip
             channel web
             capacity c s
             supply c 2026-11-23 10 pool channel/vip 2 pool offer/bf 1 pool channel/web 4
             supply c 2026-11-24 99";
    made("UTC", c, "item 1", "2026-11-23T09:00Z")
        .replace("ask z", &format!("ask z {ask}"))
        .replace("line x 1", &format!("line x {quantity}"))
}

#[test]
fn rule_17_first_the_offers_then_the_channels_then_common() {
    // 10 less 7 set aside leave 3 in common.
    check(
        &pools("channel vip offer bf", 6),
        "take c 2026-11-23 1 offer/bf
         take c 2026-11-23 2 channel/vip
         take c 2026-11-23 3",
    );
    check(&pools("channel vip", 1), "take c 2026-11-23 1 channel/vip");
    check(&pools("", 3), "take c 2026-11-23 3");
    // Never from what is set aside for others.
    check(&pools("", 4), "take c 2026-11-24 4");
    check(&pools("channel vip offer bf", 7), "take c 2026-11-24 7");
}

#[test]
fn rule_17_units_needed_twice_from_a_bucket_are_added_up() {
    let c = "capacity c s
             supply c 2026-11-23 5
             supply c 2026-11-24 5";
    let case = made("UTC", c, "item 1", "2026-11-23T09:00Z");
    check(&case.replace("line x 1", "line x 2\nline x 3"), "take c 2026-11-23 5");
    check(&case.replace("line x 1", "line x 3\nline x 3"), "take c 2026-11-23 3\ntake c 2026-11-24 3");
}

#[test]
fn rule_18_no_promise_rests_on_what_lies_beyond_the_last_bucket() {
    let c = "capacity c s
             supply c 2026-11-23 5
             supply c 2026-11-24 5";
    check(&made("UTC", c, "line 6", "2026-11-23T09:00Z"), "verdict Unavailable");
    check(&made("UTC", c, "line 1", "2026-11-25T09:00Z"), "verdict Unavailable");
    // The second day after Monday with supply does not exist.
    check(&made("UTC", c, "line 1 days 1", "2026-11-23T09:00Z"), "ships 2026-11-24T00:00Z");
    check(&made("UTC", c, "line 1 days 2", "2026-11-23T09:00Z"), "verdict Unavailable");
    let van = "capacity van s
               supply van 2026-11-24 5";
    check(&vans(van, "transit 1 draws van 1 0"), "verdict Promised");
    check(&vans(van, "transit 2 draws van 1 0"), "verdict Unavailable");
}
