//! Confidence, and dates as sure as the ask wants them.

use std::sync::Arc;

use super::random::Dice;
use super::world::{World, moment};
use crate::domain::answer::Verdict;
use crate::domain::ask::When;
use crate::domain::kept::KeptRecord;
use crate::domain::share::Share;
use crate::domain::time::{DAY, Day, MINUTE, Moment};
use crate::planner::{Detail, dates, quote_kept};

/// Four of five by standard are on time, the fifth a day late; express always is; slow is not on record often enough.
const WORLD: &str = "
    site s UTC
    zone z UTC
    zone far UTC
    capacity c s weekly 1234567 2 horizon 20
    process p c 0+1
    product mug s - p
    lane standard s z std days 1 delivers 12345
    lane express s z exp days 2
    lane slow s far std days 3
    lane hours s far van time 4h
";

fn record() -> KeptRecord {
    let mut record = KeptRecord::default();
    let text = |text: &str| -> Arc<str> { Arc::from(text) };
    for (zone, service, days, orders) in
        [("z", "std", 0, 80), ("z", "std", 1, 20), ("z", "exp", 0, 30), ("far", "std", 0, 29), ("far", "van", 2, 50)]
    {
        record.add(&text("s"), &text(zone), &text(service), days, orders);
    }
    record
}

fn told(now: &str, ask: &str, percent: Option<u32>, record: &KeptRecord) -> String {
    let now = moment(now);
    let world = World::parse(WORLD, now);
    let mut ask = world.ask(ask);
    ask.min_confidence = percent.map(|n| Share::from_millionths(n * 10_000));
    let planned = quote_kept(&world.network, &world.levels[..], &ask, now, now, Detail::Full, record);
    let why = planned.answer.bottlenecks.first().map_or(String::new(), |b| format!(" ({})", b.explanation));
    let verdict = match planned.answer.verdict {
        Verdict::Promised => "yes",
        Verdict::Later => "later",
        Verdict::Unavailable => return format!("no{why}"),
    };
    let promise = planned.answer.promise.expect("a promise");
    let sure = promise.confidence.map_or("unknown".to_owned(), |share| format!("{} %", share.millionths() / 10_000));
    assert_eq!(promise.date, promise.shipments[0].date);
    assert_eq!(promise.arrives_by, promise.shipments[0].arrives_by);
    assert!(!planned.takes.is_empty());
    let hour = promise.arrives_by.to_string();
    format!("{verdict} {} {} {} order by {}{why}", promise.date, promise.shipments[0].lane, sure, promise.order_by)
        + if hour.ends_with("T00:00:00Z") { "" } else { " by the hour" }
}

#[test]
fn a_promise_tells_how_many_like_it_were_kept() {
    let seen = |ask| told("2026-12-01T08:00Z", ask, None, &record());
    assert_eq!(seen("mug 1 to z"), "yes 2026-12-02 standard 80 % order by 2026-12-02T00:00:00Z");
    assert_eq!(seen("mug 1 to z svc exp"), "yes 2026-12-03 express 100 % order by 2026-12-02T00:00:00Z");
    assert_eq!(seen("mug 1 to far svc std"), "yes 2026-12-04 slow unknown order by 2026-12-02T00:00:00Z");
    let none = told("2026-12-01T08:00Z", "mug 1 to z", None, &KeptRecord::default());
    assert_eq!(none, "yes 2026-12-02 standard unknown order by 2026-12-02T00:00:00Z");
}

#[test]
fn the_date_moves_out_until_the_record_supports_it() {
    let seen = |ask| told("2026-12-01T08:00Z", ask, Some(90), &record());
    assert_eq!(seen("mug 1 to z svc std"), "yes 2026-12-03 standard 100 % order by 2026-12-02T00:00:00Z");
    let enough = told("2026-12-01T08:00Z", "mug 1 to z svc std", Some(80), &record());
    assert_eq!(enough, "yes 2026-12-02 standard 80 % order by 2026-12-02T00:00:00Z");
    // Made on Thursday, there on Friday; sure on the next day of delivery.
    let friday = told("2026-12-03T08:00Z", "mug 1 to z svc std", Some(90), &record());
    assert_eq!(friday, "yes 2026-12-07 standard 100 % order by 2026-12-04T00:00:00Z");
    let hours = told("2026-12-03T08:00Z", "mug 1 to far svc van", Some(90), &record());
    assert_eq!(hours, "yes 2026-12-05 hours 100 % order by 2026-12-03T08:00:00Z by the hour");
}

#[test]
fn y_is_met_by_the_date_that_is_sure() {
    let seen = |ask| told("2026-12-01T08:00Z", ask, Some(90), &record());
    // Both lanes are sure of the third only; the first of them is taken.
    assert_eq!(seen("mug 1 to z by 2026-12-03"), "yes 2026-12-03 standard 100 % order by 2026-12-02T00:00:00Z");
    assert_eq!(
        seen("mug 1 to z svc std by 2026-12-02"),
        "later 2026-12-03 standard 100 % order by 2026-12-02T00:00:00Z (By the record of standard, what is planned for \
         Wed 2026-12-02 is 90 % sure to be there on Thu 2026-12-03)"
    );
    // Made on Thursday: by standard it is sure on Monday, by express on Saturday.
    let friday = told("2026-12-03T08:00Z", "mug 1 to z by 2026-12-05", Some(90), &record());
    assert_eq!(friday, "yes 2026-12-05 express 100 % order by 2026-12-04T00:00:00Z");
}

#[test]
fn a_day_that_is_asked_for_does_not_move() {
    let seen = |ask, percent| told("2026-12-01T08:00Z", ask, Some(percent), &record());
    assert!(seen("mug 1 to z on 2026-12-03", 80).starts_with("yes 2026-12-03 standard 80 %"));
    assert!(seen("mug 1 to z on 2026-12-03", 90).starts_with("yes 2026-12-03 express 100 %"));
    assert_eq!(
        seen("mug 1 to z svc std on 2026-12-03", 90),
        "no (No honest date: of 100 promises from s to z by std on record, 80 % came on time, 90 % are asked for)"
    );
}

#[test]
fn with_too_few_on_record_there_is_no_honest_date() {
    let seen = |ask| told("2026-12-01T08:00Z", ask, Some(50), &record());
    assert_eq!(
        seen("mug 1 to far svc std"),
        "no (No honest date: 29 promises from s to far by std are on record, 30 are needed to tell)"
    );
    assert_eq!(seen("mug 1 to far"), "yes 2026-12-03 hours 100 % order by 2026-12-01T08:00:00Z by the hour");
}

/// As the other, with days that are sold out and lanes by the hour.
const PICKED: &str = "
    site s UTC
    zone z UTC
    capacity c s weekly 12345 2 horizon 20
    capacity slot s every 4h weekly 123456 08:00-20:00 1 horizon 20
    process p c 0+1
    product mug s - p
    product box s - p
    lane standard s z std days 1 delivers 12345
    lane express s z exp days 2
    lane again s z exp days 4
    lane slots s z slot uses slot 1+0
    lane hours s z van time 4h
";

#[test]
fn the_dates_that_are_listed_are_those_that_are_promised_on_their_day() {
    let (mut some, mut fewer) = (0, 0);
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let now = Moment(moment("2026-12-01T00:00Z").0 + dice.below(7 * 96) as i64 * 15 * MINUTE);
        let mut text = PICKED.to_owned();
        for _ in 0..dice.below(6) {
            text += &format!("drawn c 2026-12-{:02} {}\n", 1 + dice.below(20), 1 + dice.below(2));
        }
        let world = World::parse(&text, now);
        let mut record = KeptRecord::default();
        for service in ["std", "exp", "slot", "van"] {
            for days in 0..=dice.below(4) as i32 {
                record.add(&"s".into(), &"z".into(), &service.into(), days, dice.below(60) as i64);
            }
        }
        let service = dice.of(&["", " svc std", " svc exp", " svc slot", " svc van"]);
        let lines = dice.of(&["mug 1", "mug 2", "mug 1 + box 1"]);
        let mut ask = world.ask(&format!("{lines} to z{service}"));
        let any = dates(&world.network, &world.levels[..], &ask, None, 14, now, &record).len();
        ask.min_confidence = Some(Share::from_millionths(dice.below(101) as u32 * 10_000));
        let listed = dates(&world.network, &world.levels[..], &ask, None, 14, now, &record);
        let today = Day(now.0.div_euclid(DAY) as i32);
        for day in (0..14).map(|n| today + n) {
            let on = ask.with_when(When::OnDate(day));
            let quoted = quote_kept(&world.network, &world.levels[..], &on, now, now, Detail::Full, &record).answer;
            let of_day: Vec<_> = listed.iter().filter(|date| date.date == day).collect();
            assert_eq!(
                quoted.verdict == Verdict::Promised,
                !of_day.is_empty(),
                "seed {seed} on {day}: {quoted:?} {of_day:?}"
            );
            // Each service by itself too.
            for date in of_day {
                let on = on.with_service(&world.network, Some(Arc::clone(&date.service)));
                let quoted = quote_kept(&world.network, &world.levels[..], &on, now, now, Detail::Full, &record).answer;
                assert_eq!(quoted.verdict, Verdict::Promised, "seed {seed} on {day}: {date:?}");
                let confidence = quoted.promise.and_then(|promise| promise.confidence);
                assert!(confidence >= ask.min_confidence, "seed {seed} on {day}: {confidence:?}");
            }
        }
        assert!(listed.iter().all(|date| date.date < today + 14));
        some += usize::from(!listed.is_empty());
        fewer += usize::from(listed.len() < any);
    }
    assert!(some > 50 && fewer > 50, "{some} {fewer}");
}

#[test]
fn no_date_is_listed_of_which_too_little_is_on_record() {
    let now = moment("2026-12-01T08:00Z");
    let world = World::parse(WORLD, now);
    let listed = |ask: &str, percent: Option<u32>| -> Vec<String> {
        let mut ask = world.ask(ask);
        ask.min_confidence = percent.map(|n| Share::from_millionths(n * 10_000));
        let found = dates(&world.network, &world.levels[..], &ask, None, 4, now, &record());
        found.iter().map(|date| format!("{} {}", date.date, date.service)).collect()
    };
    assert_eq!(listed("mug 1 to far svc std", None), ["2026-12-04 std"]);
    assert!(listed("mug 1 to far svc std", Some(1)).is_empty());
    assert_eq!(listed("mug 1 to z", Some(90)), ["2026-12-03 exp", "2026-12-04 exp"]);
    let all = ["2026-12-02 std", "2026-12-03 exp", "2026-12-03 std", "2026-12-04 exp", "2026-12-04 std"];
    assert_eq!(listed("mug 1 to z", Some(80)), all);
}
