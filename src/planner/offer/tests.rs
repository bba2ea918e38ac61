//! Offers as text tables, and what shortfalls promise on random worlds.

use super::lend::lent;
use super::play::Board;
use super::spread::groups;
use super::*;
use crate::domain::ask::Line;
use crate::domain::limits::MAX_LENT_ROUNDS;
use crate::domain::offer::{Expected, ZoneShare};
use crate::planner::choose::Goal;
use crate::planner::search::Search;
use crate::planner::tests::random::{Dice, random_now, random_world};
use crate::planner::tests::world::{World, day, moment};

/// `mug 2 + cup 1 to north 3 + south 1 from 2026-12-01 orders 3 3 3 within 2 as vip svc std`; shares are parts of the sum of
/// all; `total 9 until 2026-12-03` in place of `orders`; `by 2026-12-24` in place of `within`.
fn offer(text: &str) -> Offer {
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = |word: &str| words.iter().position(|w| *w == word).unwrap_or(words.len());
    let after = |word: &str| words.get(at(word) + 1).copied();
    let pairs = |words: &[&str]| -> Vec<(String, u32)> {
        words.split(|w| *w == "+").map(|p| (p[0].to_owned(), p[1].parse().expect("a number"))).collect()
    };
    let lines = pairs(&words[..at("to")]);
    let zones = pairs(&words[at("to") + 1..at("from")]);
    let whole: u32 = zones.iter().map(|(_, part)| part).sum();
    let starts = day(after("from").expect("a day"));
    let orders: Vec<i64> = words.iter().skip(at("orders") + 1).map_while(|w| w.parse().ok()).collect();
    let (ends, orders) = match after("total") {
        Some(total) => (day(after("until").expect("a day")), Expected::Total(total.parse().expect("orders"))),
        None => (starts + orders.len() as i32 - 1, Expected::EachDay(orders)),
    };
    Offer {
        id: "o".into(),
        display_name: "".into(),
        lines: lines.into_iter().map(|(sku, n)| Line { sku: sku.into(), quantity: n as i32 }).collect(),
        zones: zones
            .into_iter()
            .map(|(zone, part)| ZoneShare { zone: zone.into(), billionths: part * (1_000_000_000 / whole) })
            .collect(),
        service: after("svc").map(Into::into),
        channel: after("as").map(Into::into),
        starts,
        ends,
        advertised: match after("by") {
            Some(by) => Advertised::By(day(by)),
            None => Advertised::WithinDays(after("within").expect("days").parse().expect("days")),
        },
        orders,
    }
}

fn told(checked: &Checked) -> String {
    let report = &checked.report;
    let mut text = format!("{:?} {} of {}\n", report.verdict, report.orders_deliverable, report.orders_asked);
    for d in &report.days {
        let last = d.last_arrival.map_or("-".to_owned(), |d| d.to_string());
        let short = d.bottleneck.as_ref().map_or(String::new(), |b| format!(" short of {b}"));
        text += &format!("{} {} of {} last {last}{short}\n", d.date, d.deliverable, d.asked);
    }
    for s in &report.shortfalls {
        text +=
            &format!("add {} {} from {} to {} peak {}\n", s.units, s.resource, s.first_date, s.last_date, s.peak_units);
    }
    let within = report.tightest_within_days.map_or("-".to_owned(), |n| n.to_string());
    text += &format!("within {within}, {} %\n", report.deliverable_percent);
    for Take { draw, standing } in &checked.envelope {
        text +=
            &format!("take {} {} {} of {standing}\n", draw.resource, draw.from.to_string().split_at(10).0, draw.units);
    }
    text
}

/// Two a day, a day on the way; now is Tuesday morning.
const WORLD: &str = "
    site s UTC
    zone z UTC
    zone y UTC
    channel vip
    channel web
    capacity c s weekly 1234567 2 horizon 20
    stock k s
    process p c 0+1
    product mug s - p
    product cup s k -
    lane l s z std days 1
    lane m s y std days 1
    supply k 2026-11-30 5
";
const NOW: &str = "2026-12-01T08:00Z";

#[track_caller]
fn check_supposing(more: &str, text: &str, supposed: &[(&str, &str, i32, i64)], expected: &str) {
    let now = moment(NOW);
    let world = World::parse(&format!("{WORLD}{more}"), now);
    let supposed: Vec<Supposed> = supposed
        .iter()
        .map(|(resource, first, buckets, delta)| {
            let resource = world.network.find_resource(resource).expect("a resource");
            Supposed { resource, first: day(first).0, buckets: *buckets, delta: *delta }
        })
        .collect();
    let checked = check_offer(&world.network, &world.levels[..], &offer(text), &supposed, now).expect("known names");
    let lines = |text: &str| text.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect::<Vec<_>>();
    assert_eq!(lines(&told(&checked)), lines(expected), "\n{text}, seen:\n{}", told(&checked));
}

#[track_caller]
fn check(more: &str, text: &str, expected: &str) {
    check_supposing(more, text, &[], expected);
}

#[test]
fn rule_25_orders_are_played_day_by_day() {
    check(
        "",
        "mug 1 to z 1 from 2026-12-01 orders 3 3 3 within 1",
        "Later 6 of 9
         2026-12-01 2 of 3 last 2026-12-03 short of c
         2026-12-02 2 of 3 last 2026-12-04 short of c
         2026-12-03 2 of 3 last 2026-12-05 short of c
         add 3 c from 2026-12-01 to 2026-12-03 peak 1
         within 3, 66 %
         take c 2026-12-01 2 of 2
         take c 2026-12-02 2 of 2
         take c 2026-12-03 2 of 2",
    );
}

#[test]
fn rule_25_supposed_supply_counts() {
    check_supposing(
        "",
        "mug 1 to z 1 from 2026-12-01 orders 3 3 3 within 1",
        &[("c", "2026-12-01", 3, 2), ("c", "2026-12-01", 3, -1)],
        "Promised 9 of 9
         2026-12-01 3 of 3 last 2026-12-02
         2026-12-02 3 of 3 last 2026-12-03
         2026-12-03 3 of 3 last 2026-12-04
         within 1, 100 %
         take c 2026-12-01 3 of 2
         take c 2026-12-02 3 of 2
         take c 2026-12-03 3 of 2",
    );
}

#[test]
fn rule_25_days_that_are_over_are_passed_over_and_zones_come_in_the_offers_order() {
    check(
        "",
        "mug 1 to y 1 + z 1 from 2026-11-30 orders 5 3 within 1",
        "Later 2 of 3
         2026-12-01 2 of 3 last 2026-12-03 short of c
         add 1 c from 2026-12-01 to 2026-12-01 peak 1
         within 2, 66 %
         take c 2026-12-01 2 of 2",
    );
}

#[test]
fn rule_25_what_a_channel_has_set_aside_is_drawn_first_and_not_set_aside_again() {
    let aside = "aside c 2026-12-01 vip 1\n";
    check(
        aside,
        "mug 1 to z 1 from 2026-12-01 orders 2 within 1 as vip",
        "Promised 2 of 2
         2026-12-01 2 of 2 last 2026-12-02
         within 1, 100 %
         take c 2026-12-01 1 of 2",
    );
    check(
        aside,
        "mug 1 to z 1 from 2026-12-01 orders 2 within 1 as web",
        "Later 1 of 2
         2026-12-01 1 of 2 last 2026-12-03 short of c
         add 1 c from 2026-12-01 to 2026-12-01 peak 1
         within 2, 50 %
         take c 2026-12-01 1 of 2",
    );
}

#[test]
fn rule_27_where_time_itself_is_missing_nothing_is_to_be_added() {
    check(
        "",
        "mug 1 to z 1 from 2026-12-01 orders 1 within 0",
        "Unavailable 0 of 1
         2026-12-01 0 of 1 last 2026-12-02
         within 1, 0 %",
    );
}

#[test]
fn rule_27_with_a_date_the_tightest_within_days_is_looked_for_all_the_same() {
    check(
        "",
        "mug 1 to z 1 from 2026-12-01 orders 4 2 by 2026-12-04",
        "Promised 6 of 6
         2026-12-01 4 of 4 last 2026-12-03
         2026-12-02 2 of 2 last 2026-12-04
         within 2, 100 %
         take c 2026-12-01 2 of 2
         take c 2026-12-02 2 of 2
         take c 2026-12-03 2 of 2",
    );
}

#[test]
fn rule_27_no_days_are_enough_beyond_the_horizon() {
    check(
        "",
        "cup 2 to z 1 from 2026-12-01 total 3 until 2026-12-02 within 9",
        "Later 2 of 3
         2026-12-01 2 of 2 last 2026-12-02
         2026-12-02 0 of 1 last - short of k
         add 1 k from 2026-11-30 to 2026-11-30 peak 1
         within -, 50 %
         take k 2026-11-30 4 of 0",
    );
}

#[test]
fn names_that_are_not_known_are_all_told() {
    let world = World::parse(WORLD, moment(NOW));
    let text = "mug 1 + hat 1 to z 1 + nowhere 1 from 2026-12-01 orders 1 within 0 as nobody";
    let unknown = check_offer(&world.network, &world.levels[..], &offer(text), &[], moment(NOW)).expect_err("unknown");
    let paths: Vec<&str> = unknown.iter().map(|u| u.path.as_str()).collect();
    assert_eq!(paths, ["offer.lines[1].sku", "offer.zones[1].zone", "offer.channel"]);
}

#[test]
fn what_could_be_offered_is_the_largest_total_that_can_be_kept_most_first() {
    let now = moment(NOW);
    let world = World::parse(WORLD, now);
    let zone = world.network.find_zone("z").expect("a zone");
    let days = (day("2026-11-30"), day("2026-12-03"));
    let told = |limit| -> Vec<String> {
        let found = suggest(&world.network, &world.levels[..], days.0, days.1, zone, 1, limit, now);
        let text = |s: &Suggested| {
            format!(
                "{} {} {:?} {}",
                s.sku,
                s.orders,
                s.orders_by_day,
                s.bottleneck.as_ref().map_or("-", |b| b.as_str())
            )
        };
        found.iter().map(text).collect()
    };
    assert_eq!(told(20), ["mug 6 [0, 2, 2, 2] c", "cup 5 [0, 2, 2, 1] k"]);
    assert_eq!(told(1), ["mug 6 [0, 2, 2, 2] c"]);
}

/// Supposing exactly the shortfalls keeps every order, wherever time itself is not what is missing.
#[test]
fn rule_27_what_is_missing_is_enough() {
    let (mut lent_in, mut late_in, mut open) = (0, 0, Vec::new());
    for seed in 0..400 {
        let mut dice = Dice::new(seed + 1);
        let now = random_now(&mut dice);
        let world = World::parse(&random_world(&mut dice, now), now);
        let today = world.network.zones()[0].calendar.day_of(now);
        let orders: Vec<String> = (0..3).map(|_| dice.below(7).to_string()).collect();
        let second = if dice.one_in(3) { " + b 1" } else { "" };
        let text = format!(
            "a {}{second} to z 1 from {today} orders {} within {}",
            1 + dice.below(2),
            orders.join(" "),
            dice.below(6)
        );
        let offer = offer(&text);
        let (asks, zones) = resolve(&world.network, &offer).expect("known names");
        let mut board = Board::new(&world.network, &world.levels[..], asks, &[], now);
        let groups = groups(&world.network, &zones, &offer.zones, offer.starts, &offer.orders_by_day(), now);
        let (lent, _) = lent(&mut board, &groups, &offer);
        lent_in += usize::from(!lent.is_empty());
        let mut state = board.base.clone();
        for (&(place, index), &units) in &lent {
            assert!(units > 0);
            state.add(place, index, units);
        }
        for group in &groups {
            let mut left = group.orders;
            while left > 0 {
                let order = board.ask(&state, group, offer.advertised);
                if order.verdict == Verdict::Promised {
                    left -= take(&mut state, &order, left, |_| true);
                    continue;
                }
                late_in += 1;
                let mut search = Search::asked_at(&world.network, &state, &board.asks[0], group.asked_at, now);
                search.unlimited = true;
                if search.place_early(Goal::from(board.asks[0].when)) == Some(true) {
                    open.push(seed);
                }
                break;
            }
        }
    }
    println!("lent in {lent_in}, late {late_in} times, {MAX_LENT_ROUNDS} rounds");
    assert!(lent_in > 100, "too few worlds lack anything: {lent_in}");
    assert!(open.is_empty(), "orders that capacity could keep are still refused on the seeds {open:?}");
}
