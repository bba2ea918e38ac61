//! Bottlenecks and alternatives: why not, and what instead.

use super::world::{World, day, instant, moment};
use crate::domain::answer::AlternativeKind;
use crate::domain::kept::KeptRecord;
use crate::planner::{GivenBack, dates, quote};

/// Asks and compares the reasons and the alternatives, a line each.
#[track_caller]
fn check(world: &str, now: &str, ask: &str, expected: &str) {
    let now = moment(now);
    let world = World::parse(world, now);
    let answer = world.quote(ask, now).answer;
    let mut seen = String::new();
    for b in &answer.bottlenecks {
        let resource = b.resource.as_ref().map_or("time", |r| r.as_str());
        let (from, to) = (instant(b.from), instant(b.to));
        seen += &format!("{resource} {from}..{to} {} of {}: {}\n", b.available, b.wanted, b.explanation);
    }
    for a in &answer.alternatives {
        let kind = match a.kind {
            AlternativeKind::Fewer => "fewer",
            AlternativeKind::Substitute => "substitute",
            AlternativeKind::Split => "split",
            AlternativeKind::Service => "service",
        };
        let lines: Vec<String> = a.lines.iter().map(|l| format!("{} {}", l.sku, l.quantity)).collect();
        seen += &format!("{kind} {} {} {}\n", lines.join(", "), a.service, a.promise.date);
    }
    let squeeze = |t: &str| t.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n");
    let squeezed =
        seen.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n");
    assert_eq!(squeezed, squeeze(expected), "\n{ask}, seen:\n{seen}");
}

const SHOP: &str = "site lej Europe/Berlin
     zone de Europe/Berlin
     capacity pack lej weekly 12345 60 unit minutes name Leipzig_packing_station
     stock mugs lej unit items name Blue_mugs
     stock cups lej unit items name Red_cups
     supply mugs 2026-11-20 8
     supply mugs 2026-12-10 50
     supply cups 2026-11-20 50
     process p pack 5+2 cutoff 14:00
     product mug lej mugs p | or cup
     product cup lej cups p
     lane std lej de standard at 17:00 days 2 delivers 123456
     lane exp lej de express at 17:00 days 1 delivers 123456";

#[test]
fn a_full_resource_is_named_with_its_days_and_units() {
    let world = format!("{SHOP}\n drawn pack 2026-12-01 50 55 60");
    check(&world, "2026-12-01T08:00Z", "mug 4 to de by 2026-12-05 svc standard",
        "pack 2026-11-30T23:00Z..2026-12-03T23:00Z 10 of 13: Leipzig packing station has too little left from Tue 2026-12-01 to Thu 2026-12-03: 13 needed in one day, at most 10 left (minutes)
         fewer mug 2 standard 2026-12-03
         split mug 4 standard 2026-12-07
         service mug 4 express 2026-12-05");
}

#[test]
fn stock_that_comes_too_late_is_named_and_a_substitute_offered() {
    check(SHOP, "2026-12-01T08:00Z", "mug 10 to de by 2026-12-04 svc standard",
        "mugs 2026-11-30T23:00Z..2026-12-02T23:00Z 8 of 10: Not enough Blue mugs by Wed 2026-12-02: 10 needed, 8 left (items)
         fewer mug 8 standard 2026-12-03
         substitute cup 10 standard 2026-12-03
         split mug 10 standard 2026-12-12");
}

#[test]
fn time_that_is_missing_is_told_as_a_cutoff_a_departure_or_transit() {
    check(
        SHOP,
        "2026-12-01T13:30Z",
        "mug 1 to de by 2026-12-02",
        "time 2026-12-01T13:30Z..2026-12-02T23:00Z 0 of 0: The cutoff of Leipzig packing station, Tue 2026-12-01 14:00, has passed",
    );
    check(
        SHOP,
        "2026-12-01T08:00Z",
        "mug 1 to de by 2026-12-02 svc standard",
        "time 2026-12-01T08:00Z..2026-12-02T23:00Z 0 of 0: Lane std arrives on Thu 2026-12-03 at the earliest
         service mug 1 express 2026-12-02",
    );
    check(
        SHOP,
        "2026-12-01T08:00Z",
        "mug 1 to de on 2026-12-06 svc express",
        "time 2026-12-01T08:00Z..2026-12-06T23:00Z 0 of 0: Lane exp does not deliver on Sun 2026-12-06",
    );
    check(SHOP, "2026-12-01T08:00Z", "mug 1 to de svc drone",
        "time 2026-12-01T08:00Z..2026-12-01T08:00Z 0 of 0: No lane of the service drone goes to zone de from a site that supplies mug
         service mug 1 standard 2026-12-03
         service mug 1 express 2026-12-02");
    let slow = SHOP.replace("process p pack", "process p - lead 30h | pack");
    check(
        &slow,
        "2026-12-01T08:00Z",
        "mug 1 to de by 2026-12-03 svc express",
        "time 2026-12-01T08:00Z..2026-12-03T23:00Z 0 of 0: The order can't be ready for Leipzig packing station by its cutoff, Wed 2026-12-02 14:00",
    );
    let slow = slow.replace("cutoff 14:00", "lead 20h");
    check(
        &slow,
        "2026-12-01T08:00Z",
        "mug 1 to de by 2026-12-03 svc express",
        "time 2026-12-01T08:00Z..2026-12-03T23:00Z 0 of 0: The order is ready at the earliest on Thu 2026-12-03 11:00, too late for the departure of lane exp on Wed 2026-12-02 17:00",
    );
}

#[test]
fn what_no_bucket_can_ever_give_is_looked_for_up_to_the_horizon() {
    check(SHOP, "2026-12-01T08:00Z", "cup 30 to de",
        "pack 2026-11-30T23:00Z..2027-02-28T23:00Z 60 of 65: Leipzig packing station has too little left from Tue 2026-12-01 to Sun 2027-02-28: 65 needed in one day, at most 60 left (minutes)
         fewer cup 27 2026-12-02
         split cup 30 2026-12-03");
}

#[test]
fn draws_that_can_be_given_each_but_not_in_turn_are_bottlenecks_too() {
    // Cutting is free on Thursday only, sewing on Wednesday only.
    let world = "site lej Europe/Berlin
         zone de Europe/Berlin
         capacity cut lej
         capacity sew lej
         supply cut 2026-12-01 0 0 5 5
         supply sew 2026-12-01 0 5 0 0 0 0 5
         process p cut 0+1 | sew 0+1
         product coat lej - p
         lane std lej de standard at 17:00 days 1";
    check(
        world,
        "2026-12-01T08:00Z",
        "coat 1 to de by 2026-12-05",
        "sew 2026-12-02T23:00Z..2026-12-04T23:00Z 0 of 1: sew is full from Thu 2026-12-03 to Fri 2026-12-04: 1 needed in one day, none left (units)",
    );
}

#[test]
fn lines_that_need_the_same_are_judged_on_what_is_left() {
    check(SHOP, "2026-12-01T08:00Z", "mug 8 + cup 20 to de by 2026-12-02",
        "pack 2026-11-30T23:00Z..2026-12-01T23:00Z 39 of 45: Leipzig packing station has too little left on Tue 2026-12-01: 45 needed, 39 left (minutes)
         fewer mug 8, cup 17 2026-12-02
         split mug 8, cup 20 2026-12-03");
}

#[test]
fn rule_15_dates_say_what_remains_and_until_when() {
    let now = moment("2026-12-01T12:00Z");
    let world = World::parse(&format!("{SHOP}\n drawn pack 2026-12-01 50 0 60"), now);
    let seen: Vec<String> =
        dates(&world.network, &world.levels[..], &world.ask("cup 5 to de"), None, 6, now, &KeptRecord::default())
            .iter()
            .map(|d| format!("{} {} {} {}", d.date, d.service, instant(d.order_by), d.remaining))
            .collect();
    assert_eq!(
        seen,
        [
            // Tuesday has 10 minutes left, an order takes 15: four on Wednesday, none on Thursday, four on Friday.
            "2026-12-03 express 2026-12-02T13:00Z 4",
            "2026-12-04 express 2026-12-02T13:00Z 4",
            "2026-12-04 standard 2026-12-02T13:00Z 4",
            "2026-12-05 express 2026-12-04T13:00Z 8",
            "2026-12-05 standard 2026-12-02T13:00Z 4",
        ]
    );
    let later = dates(
        &world.network,
        &world.levels[..],
        &world.ask("cup 5 to de"),
        Some(day("2026-11-01")),
        20,
        now,
        &KeptRecord::default(),
    );
    assert!(later.is_empty(), "days before today have no dates");
}

#[test]
fn an_amendment_may_take_its_own_draws_again() {
    let now = moment("2026-12-01T08:00Z");
    let mut world = World::parse(&format!("{SHOP}\n channel vip\n aside pack 2026-12-01 vip 20"), now);
    let ask = "cup 22 to de by 2026-12-02 as vip";
    let first = world.quote(ask, now);
    world.take(&first.takes);
    let again = |levels: &World| {
        quote(&levels.network, &levels.levels[..], &levels.ask(ask), now, now, crate::planner::Detail::Plain)
    };
    assert_ne!(again(&world).takes, first.takes);
    let draws: Vec<_> = first.takes.iter().map(|t| t.draw.clone()).collect();
    let back = GivenBack::new(&world.network, &world.levels[..], &draws, true, Some(&"vip".into()));
    let amended = quote(&world.network, &back, &world.ask(ask), now, now, crate::planner::Detail::Plain);
    assert_eq!(amended.takes, first.takes);
}
