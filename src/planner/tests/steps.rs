//! Rules 5 to 7: stock and steps. 2026-12-01 is a Tuesday; Berlin is one hour ahead of UTC in winter.

use super::world::check;

/// Everything leaves at 17:00 local time and arrives the next day; `{}` are more lines.
fn shop(more: &str) -> String {
    format!(
        "site lej Europe/Berlin
         zone de Europe/Berlin
         lane std lej de standard at 17:00 days 1
         {more}"
    )
}

#[test]
fn rule_06_stock_on_hand_is_drawn_latest_begun_first() {
    let world = shop(
        "stock mugs lej
         product mug lej mugs -
         supply mugs 2026-11-01 5
         supply mugs 2026-11-20 5
         supply mugs 2026-12-04 5",
    );
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 3 to de",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T16:00Z
         mugs 2026-11-20 3",
    );
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 7 to de",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T16:00Z
         mugs 2026-11-01 2
         mugs 2026-11-20 5",
    );
    // A receipt serves from its start for ever: 11 wait for the third, which is the latest then.
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 11 to de",
        "yes 2026-12-05 2026-12-04T23:00Z..2026-12-05T23:00Z ships 2026-12-04T16:00Z order by 2026-12-04T16:00Z
         mugs 2026-11-01 1
         mugs 2026-11-20 5
         mugs 2026-12-04 5",
    );
    check(&world, "2026-12-01T08:00Z", "mug 16 to de", "no");
}

#[test]
fn rule_06_two_lines_share_one_stock() {
    let world =
        shop("stock mugs lej\n product mug lej mugs -\n product cup lej mugs -\n supply mugs 2026-11-01 5 0 0 1");
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 3 + cup 3 to de",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T16:00Z
         lej std 2026-12-02: mug 3, cup 3
         mugs 2026-11-01 5
         mugs 2026-11-04 1",
    );
    check(&world, "2026-12-01T08:00Z", "mug 4 + cup 3 to de", "no");
}

#[test]
fn rule_07_cutoff_is_inclusive() {
    let world = shop("capacity pack lej weekly 1234567 10\n process p pack 0+1 cutoff 12:00\n product mug lej - p");
    for now in ["2026-12-01T08:00Z", "2026-12-01T11:00Z"] {
        check(
            &world,
            now,
            "mug 3 to de",
            "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T11:00Z
             pack 2026-12-01 3",
        );
    }
    check(
        &world,
        "2026-12-01T11:00:00.000001Z",
        "mug 3 to de",
        "yes 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:00Z order by 2026-12-02T11:00Z
         pack 2026-12-02 3",
    );
}

#[test]
fn rule_07_without_cutoff_the_day_serves_until_its_end() {
    let world = shop("capacity pack lej weekly 1234567 10\n process p pack 0+1 days 1\n product mug lej - p");
    check(
        &world,
        "2026-12-01T22:59Z",
        "mug 3 to de",
        "yes 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:00Z order by 2026-12-01T23:00Z
         pack 2026-12-01 3",
    );
    check(
        &world,
        "2026-12-01T23:00Z",
        "mug 3 to de",
        "yes 2026-12-04 2026-12-03T23:00Z..2026-12-04T23:00Z ships 2026-12-03T16:00Z order by 2026-12-02T23:00Z
         pack 2026-12-02 3",
    );
}

#[test]
fn rule_07_a_draw_is_whole_unless_divisible() {
    let whole =
        shop("capacity kiln lej\n process p kiln 2+3\n product mug lej - p\n supply kiln 2026-12-01 7 0 7 8 20");
    check(
        &whole,
        "2026-12-01T08:00Z",
        "mug 2 to de",
        "yes 2026-12-05 2026-12-04T23:00Z..2026-12-05T23:00Z ships 2026-12-04T16:00Z order by 2026-12-04T16:00Z
         kiln 2026-12-04 8",
    );
    let divisible = shop(
        "capacity kiln lej\n process p kiln 2+3 divisible\n product mug lej - p\n supply kiln 2026-12-01 7 0 7 8 20",
    );
    check(
        &divisible,
        "2026-12-01T08:00Z",
        "mug 5 to de",
        "yes 2026-12-05 2026-12-04T23:00Z..2026-12-05T23:00Z ships 2026-12-04T16:00Z order by 2026-12-01T23:00Z
         kiln 2026-12-01 7
         kiln 2026-12-03 7
         kiln 2026-12-04 3",
    );
    check(&divisible, "2026-12-01T08:00Z", "mug 14 to de", "no");
}

#[test]
fn rule_07_shorter_buckets_begin_at_or_after_ready() {
    let world = shop(
        "capacity oven lej every 60m weekly 1234567 09:00-12:00 4\n process p oven 0+1 lead 2h\n product loaf lej - p",
    );
    check(
        &world,
        "2026-12-01T09:00Z",
        "loaf 4 to de",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T10:00Z
         oven 2026-12-01T10:00 4",
    );
    check(
        &world,
        "2026-12-01T09:01Z",
        "loaf 4 to de",
        "yes 2026-12-02 2026-12-01T23:00Z..2026-12-02T23:00Z ships 2026-12-01T16:00Z order by 2026-12-01T10:00Z
         oven 2026-12-01T11:00 4",
    );
    check(
        &world,
        "2026-12-01T10:01Z",
        "loaf 4 to de",
        "yes 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T16:00Z order by 2026-12-02T10:00Z
         oven 2026-12-02T09:00 4",
    );
}

#[test]
fn rule_07_lead_days_count_days_with_supply_drawn_or_not() {
    // Friday's supply is all drawn, Saturday and Sunday have none: two days after Thursday is Monday.
    let world = shop(
        "capacity dye lej
         process p dye 0+1 days 2
         product mug lej - p
         supply dye 2026-12-03 9 9 0 0 9 9
         drawn dye 2026-12-04 9",
    );
    check(
        &world,
        "2026-12-03T08:00Z",
        "mug 3 to de",
        "yes 2026-12-08 2026-12-07T23:00Z..2026-12-08T23:00Z ships 2026-12-07T16:00Z order by 2026-12-03T23:00Z
         dye 2026-12-03 3",
    );
    // Without a resource every day counts.
    let world = shop("process p - days 2\n product mug lej - p");
    check(
        &world,
        "2026-12-03T08:00Z",
        "mug 3 to de",
        "yes 2026-12-06 2026-12-05T23:00Z..2026-12-06T23:00Z ships 2026-12-05T16:00Z order by 2026-12-03T23:00Z",
    );
}

#[test]
fn rule_07_lead_time_runs_from_the_start_of_the_last_bucket() {
    let world =
        shop("capacity kiln lej\n process p kiln 0+1 lead 30h\n product mug lej - p\n supply kiln 2026-12-02 5");
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 3 to de",
        "yes 2026-12-04 2026-12-03T23:00Z..2026-12-04T23:00Z ships 2026-12-03T16:00Z order by 2026-12-02T10:00Z
         kiln 2026-12-02 3",
    );
    // In the bucket that has begun it runs from ready: 11:00 local time and 30 hours are 17:00, one minute later are too late.
    for (now, date) in [("2026-12-02T10:00Z", "2026-12-04"), ("2026-12-02T10:01Z", "2026-12-05")] {
        let seen = super::world::World::parse(&world, super::world::moment(now));
        let planned = seen.quote("mug 3 to de", super::world::moment(now));
        assert_eq!(planned.answer.promise.expect("a promise").date.to_string(), date, "{now}");
    }
}

#[test]
fn rule_07_steps_of_other_sites_keep_their_own_calendar() {
    // Day buckets in New York begin at 05:00Z; the cutoff there is 12:00 local, 17:00Z.
    let world = "site lej Europe/Berlin
                 site nyc America/New_York
                 zone de Europe/Berlin
                 lane std lej de standard days 1
                 capacity design nyc weekly 12345 10
                 process p design 0+1 cutoff 12:00 days 1
                 product mug lej - p";
    check(
        world,
        "2026-12-01T17:00Z",
        "mug 1 to de",
        "yes 2026-12-03 2026-12-02T23:00Z..2026-12-03T23:00Z ships 2026-12-02T05:00Z order by 2026-12-01T17:00Z
         design 2026-12-01 1",
    );
}

#[test]
fn rule_02_a_bucket_in_the_gap_of_spring_is_not_used() {
    // On 2027-03-28 02:00 becomes 03:00 in Berlin: 02:00 and 02:30 have no length, 01:30 ends at 01:00Z.
    let world = shop(
        "capacity oven lej every 30m
         process p oven 0+1
         product loaf lej - p
         supply oven 2027-03-28T02:00 9 9
         supply oven 2027-03-28T03:00 1 5",
    );
    check(
        &world,
        "2027-03-27T20:00Z",
        "loaf 5 to de",
        "yes 2027-03-29 2027-03-28T22:00Z..2027-03-29T22:00Z ships 2027-03-28T15:00Z order by 2027-03-28T01:30Z
         oven 2027-03-28T03:30 5",
    );
    check(&world, "2027-03-27T20:00Z", "loaf 6 to de", "no");
}

#[test]
fn rule_02_in_autumn_the_first_of_two_equal_times_counts() {
    // On 2026-10-25 03:00 becomes 02:00 in Berlin: the bucket 02:30 begins at 00:30Z and lasts until 02:00Z.
    let world = shop(
        "capacity oven lej every 30m\n process p oven 0+1 lead 0m\n product loaf lej - p\n supply oven 2026-10-25T02:30 5",
    );
    check(
        &world,
        "2026-10-25T00:30Z",
        "loaf 5 to de",
        "yes 2026-10-26 2026-10-25T23:00Z..2026-10-26T23:00Z ships 2026-10-25T16:00Z order by 2026-10-25T00:30Z
         oven 2026-10-25T02:30 5",
    );
    check(&world, "2026-10-25T00:31Z", "loaf 5 to de", "no");
}

#[test]
fn rule_18_nothing_rests_on_what_is_beyond_the_last_bucket() {
    let world = shop(
        "capacity pack lej weekly 1234567 10 horizon 3\n process p pack 0+1 days 1\n product mug lej - p\n drawn pack 2026-12-01 10 10",
    );
    // The horizon's last day can be drawn, but the day after it, on which the work would be done, does not exist.
    check(&world, "2026-12-01T08:00Z", "mug 3 to de", "no");
    let world = shop(
        "capacity pack lej weekly 1234567 10 horizon 4\n process p pack 0+1 days 1\n product mug lej - p\n drawn pack 2026-12-01 10 10",
    );
    check(
        &world,
        "2026-12-01T08:00Z",
        "mug 3 to de",
        "yes 2026-12-05 2026-12-04T23:00Z..2026-12-05T23:00Z ships 2026-12-04T16:00Z order by 2026-12-03T23:00Z
         pack 2026-12-03 3",
    );
}
