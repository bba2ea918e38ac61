//! Rules 8 to 12: lanes, slots, windows, order_by.

use super::world::check;

/// A shop whose goods are always there; `{}` are its lanes and what they use.
fn shop(more: &str) -> String {
    format!(
        "site lej Europe/Berlin
         zone de Europe/Berlin
         process p - lead 0m
         product mug lej - p
         product cup lej - p
         {more}"
    )
}

#[test]
fn rule_08_departures_are_days_times_and_no_holidays() {
    let world = shop("lane std lej de standard departs 12345 at 17:30 days 1 holiday 2026-12-07");
    // Exactly at the departure is in time; a minute later waits for Tuesday: Monday is a holiday.
    check(
        &world,
        "2026-12-04T16:30Z",
        "mug 1 to de",
        "yes 2026-12-05 2026-12-04T23:00Z..2026-12-05T23:00Z ships 2026-12-04T16:30Z order by 2026-12-04T16:30Z",
    );
    check(
        &world,
        "2026-12-04T16:31Z",
        "mug 1 to de",
        "yes 2026-12-09 2026-12-08T23:00Z..2026-12-09T23:00Z ships 2026-12-08T16:30Z order by 2026-12-08T16:30Z",
    );
}

#[test]
fn rule_08_without_a_time_it_leaves_as_soon_as_it_is_ready_on_a_departure_day() {
    let world = shop("lane std lej de standard departs 12345 days 1");
    check(
        &world,
        "2026-12-04T22:00Z",
        "mug 1 to de",
        "yes 2026-12-05 2026-12-04T23:00Z..2026-12-05T23:00Z ships 2026-12-04T22:00Z order by 2026-12-04T23:00Z",
    );
    check(
        &world,
        "2026-12-05T08:00Z",
        "mug 1 to de",
        "yes 2026-12-08 2026-12-07T23:00Z..2026-12-08T23:00Z ships 2026-12-06T23:00Z order by 2026-12-07T23:00Z",
    );
}

#[test]
fn rule_09_transit_counts_delivery_days_of_the_zone() {
    let world = shop("lane std lej de standard at 17:30 days 2 delivers 12345 holiday 2026-12-07");
    // Friday: Tuesday and Wednesday, as Monday is a holiday.
    check(
        &world,
        "2026-12-04T08:00Z",
        "mug 1 to de",
        "yes 2026-12-09 2026-12-08T23:00Z..2026-12-09T23:00Z ships 2026-12-04T16:30Z order by 2026-12-06T16:30Z",
    );
}

#[test]
fn rule_09_no_transit_days_arrive_the_same_day_or_the_next_that_delivers() {
    let world = shop("lane std lej de standard delivers 12345");
    check(
        &world,
        "2026-12-04T08:00Z",
        "mug 1 to de",
        "yes 2026-12-04 2026-12-03T23:00Z..2026-12-04T23:00Z ships 2026-12-04T08:00Z order by 2026-12-04T23:00Z",
    );
    check(
        &world,
        "2026-12-05T08:00Z",
        "mug 1 to de",
        "yes 2026-12-07 2026-12-06T23:00Z..2026-12-07T23:00Z ships 2026-12-05T08:00Z order by 2026-12-07T23:00Z",
    );
}

#[test]
fn rule_09_days_are_those_of_the_zone() {
    // 17:00 in Los Angeles is the next day in Tokyo already.
    let world = "site lax America/Los_Angeles
                 zone jp Asia/Tokyo
                 process p - lead 0m
                 product mug lax - p
                 lane air lax jp express at 17:00 days 1";
    check(
        world,
        "2026-12-01T18:00Z",
        "mug 1 to jp",
        "yes 2026-12-03 2026-12-02T15:00Z..2026-12-03T15:00Z ships 2026-12-02T01:00Z order by 2026-12-02T01:00Z",
    );
}

#[test]
fn rule_09_transit_time_arrives_that_long_after_departure() {
    let world = shop("lane bike lej de courier time 90m");
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 1 to de",
        "yes 2026-12-01 2026-12-01T08:00Z..2026-12-01T09:30Z ships 2026-12-01T08:00Z order by 2026-12-01T08:00Z",
    );
    let world = shop("lane bike lej de courier at 12:00 time 90m");
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 1 to de",
        "yes 2026-12-01 2026-12-01T11:00Z..2026-12-01T12:30Z ships 2026-12-01T11:00Z order by 2026-12-01T11:00Z",
    );
}

#[test]
fn rule_10_day_buckets_are_those_of_the_arrival_day() {
    let world = shop(
        "capacity van lej\n lane std lej de standard at 17:30 days 1 delivers 123456 uses van 5+1\n supply van 2026-12-05 6 9 6 9",
    );
    check(
        &world,
        "2026-12-04T08:00Z",
        "mug 1 to de",
        "yes 2026-12-05 2026-12-04T23:00Z..2026-12-05T23:00Z ships 2026-12-04T16:30Z order by 2026-12-04T16:30Z
         van 2026-12-05 6",
    );
    // Saturday can't, Sunday does not deliver, Monday can't: Tuesday. The latest departure for that is Monday's.
    check(
        &world,
        "2026-12-04T08:00Z",
        "mug 2 to de",
        "yes 2026-12-08 2026-12-07T23:00Z..2026-12-08T23:00Z ships 2026-12-04T16:30Z order by 2026-12-07T16:30Z
         van 2026-12-08 7",
    );
    check(&world, "2026-12-04T08:00Z", "mug 5 to de", "no");
}

#[test]
fn rule_10_lines_in_one_bucket_are_one_shipment_and_pay_once() {
    let world =
        shop("capacity van lej\n lane std lej de standard at 17:30 days 1 uses van 5+1\n supply van 2026-12-05 8 20");
    check(
        &world,
        "2026-12-04T08:00Z",
        "mug 1 + cup 2 to de",
        "yes 2026-12-05 2026-12-04T23:00Z..2026-12-05T23:00Z ships 2026-12-04T16:30Z order by 2026-12-04T16:30Z
         lej std 2026-12-05: mug 1, cup 2
         van 2026-12-05 8",
    );
    check(
        &world,
        "2026-12-04T08:00Z",
        "mug 2 + cup 2 to de",
        "yes 2026-12-06 2026-12-05T23:00Z..2026-12-06T23:00Z ships 2026-12-04T16:30Z order by 2026-12-04T16:30Z
         lej std 2026-12-05: mug 2
         lej std 2026-12-06: cup 2
         van 2026-12-05 7
         van 2026-12-06 7",
    );
}

#[test]
fn rule_10_shorter_buckets_are_slots() {
    let world = shop(
        "capacity slots lej every 120m weekly 12345 08:00-12:00 1
         lane std lej de home time 1h delivers 12345 uses slots 1+0
         drawn slots 2026-12-04T10:00 1",
    );
    // 07:30 local time and an hour is too late for 08:00, 10:00 is taken: Monday.
    check(
        &world,
        "2026-12-04T06:30Z",
        "mug 1 to de",
        "yes 2026-12-07 2026-12-07T07:00Z..2026-12-07T09:00Z ships 2026-12-04T06:30Z order by 2026-12-07T06:00Z
         slots 2026-12-07T08:00 1",
    );
    check(
        &world,
        "2026-12-04T06:00Z",
        "mug 1 to de",
        "yes 2026-12-04 2026-12-04T07:00Z..2026-12-04T09:00Z ships 2026-12-04T06:00Z order by 2026-12-04T06:00Z
         slots 2026-12-04T08:00 1",
    );
}

#[test]
fn rule_10_slots_of_the_day_of_departure_begin_no_earlier() {
    let world =
        shop("capacity slots lej every 120m weekly 1234567 08:00-12:00 1\n lane std lej de home uses slots 1+0");
    check(
        &world,
        "2026-12-04T07:00Z",
        "mug 1 to de",
        "yes 2026-12-04 2026-12-04T07:00Z..2026-12-04T09:00Z ships 2026-12-04T07:00Z order by 2026-12-04T07:00Z
         slots 2026-12-04T08:00 1",
    );
    check(
        &world,
        "2026-12-04T07:01Z",
        "mug 1 to de",
        "yes 2026-12-04 2026-12-04T09:00Z..2026-12-04T11:00Z ships 2026-12-04T07:01Z order by 2026-12-04T09:00Z
         slots 2026-12-04T10:00 1",
    );
}

#[test]
fn rule_11_days_of_clock_changes_are_longer_or_shorter() {
    let world = shop("lane std lej de standard");
    check(
        &world,
        "2026-10-25T08:00Z",
        "mug 1 to de",
        "yes 2026-10-25 2026-10-24T22:00Z..2026-10-25T23:00Z ships 2026-10-25T08:00Z order by 2026-10-25T23:00Z",
    );
    check(
        &world,
        "2027-03-28T08:00Z",
        "mug 1 to de",
        "yes 2027-03-28 2027-03-27T23:00Z..2027-03-28T22:00Z ships 2027-03-28T08:00Z order by 2027-03-28T22:00Z",
    );
}

#[test]
fn rule_12_the_first_of_several_shipments_counts() {
    let world = "site lej Europe/Berlin
                 site ber Europe/Berlin
                 zone de Europe/Berlin
                 process p - lead 0m
                 product mug lej - p
                 product cup ber - p
                 lane a lej de standard at 17:30 days 1
                 lane b ber de standard at 15:00 days 1";
    check(
        world,
        "2026-12-01T08:00Z",
        "mug 1 + cup 1 to de",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:30Z order by 2026-12-01T14:00Z
         lej a 2026-12-02: mug 1
         ber b 2026-12-02: cup 1",
    );
}

#[test]
fn rule_12_draws_that_depend_on_each_other_are_planned_again() {
    // Both lines need the press; each alone could wait until Wednesday, together they can't.
    let world = shop(
        "lane std lej de standard at 17:30 days 1
         capacity press lej
         process q press 0+1 cutoff 12:00
         product poster lej - q
         product card lej - q
         supply press 2026-12-01 1 2 0",
    );
    check(
        &world,
        "2026-12-01T08:00Z",
        "poster 2 + card 1 to de",
        "yes 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:30Z order by 2026-12-01T11:00Z
         lej std 2026-12-03: poster 2
         lej std 2026-12-02: card 1
         press 2026-12-01 1
         press 2026-12-02 2",
    );
}
