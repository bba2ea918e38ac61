//! Random worlds: what the fast search finds must be what a slow one finds.

use std::fmt::Write;

use super::world::{World, instant, moment};
use crate::domain::answer::Verdict;
use crate::domain::kept::KeptRecord;
use crate::domain::time::{Day, MINUTE, Moment};
use crate::planner::choose::Goal;
use crate::planner::lane::Target;
use crate::planner::overlay::{Due, Leg, Overlay, Part};
use crate::planner::resolve::Candidate;
use crate::planner::search::Search;
use crate::planner::{Detail, ResolvedAsk, dates, quote};

/// A small generator of numbers, so that a seed is all it takes to see a failure again.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}

const STARTS: [&str; 4] = ["2026-10-23T00:00Z", "2027-03-26T00:00Z", "2026-12-01T00:00Z", "2027-04-02T00:00Z"];
const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "UTC", "America/Santiago"];

pub fn random_now(dice: &mut Dice) -> Moment {
    Moment(moment(dice.of(&STARTS)).0 + dice.below(3 * 96) as i64 * 15 * MINUTE)
}

/// A world of one or two sites; `plain` leaves out what makes draws depend on each other.
pub fn random_world(dice: &mut Dice, now: Moment) -> String {
    let today = Day((now.0 / 86_400_000_000) as i32);
    let mut text = String::new();
    let _ = writeln!(text, "zone z {}", dice.of(&ZONES));
    let sites = 1 + dice.below(2);
    let mut sources = Vec::new();
    for s in 0..sites {
        let _ = writeln!(text, "site s{s} {}", dice.of(&ZONES));
        let supply = |dice: &mut Dice, text: &mut String, id: &str, minutes: u64| {
            let runs = if minutes == 1_440 { 1 } else { 6 };
            for run in 0..runs {
                let start = today + run + dice.below(2) as i32 - 1;
                let from = if minutes == 1_440 { 0 } else { dice.below(12) * 60 / minutes * minutes };
                let _ = write!(text, "supply {id} {start}T{:02}:{:02}", from / 60, from % 60);
                for _ in 0..(if minutes == 1_440 { 9 } else { 4 }) {
                    let _ = write!(text, " {}", [0, 1, 2, 3, 5, 8][dice.below(6) as usize]);
                }
                let _ = writeln!(text);
            }
        };
        let stock = if dice.one_in(3) {
            let _ = writeln!(text, "stock stock{s} s{s}");
            supply(dice, &mut text, &format!("stock{s}"), 1_440);
            format!("stock{s}")
        } else {
            "-".to_owned()
        };
        let steps = 1 + dice.below(3);
        let mut process = format!("process p{s}");
        for i in 0..steps {
            let bar = if i > 0 { " |" } else { "" };
            if dice.one_in(6) {
                let _ = write!(process, "{bar} - lead {}h days {}", dice.below(30), dice.below(2));
                continue;
            }
            let id = format!("r{s}{i}");
            let minutes = [1_440, 1_440, 60, 240][dice.below(4) as usize];
            let at = if dice.one_in(5) { dice.below(sites.min(s + 1)) } else { s };
            let _ = write!(text, "capacity {id} s{at} every {minutes}m");
            if dice.one_in(3) {
                let _ = write!(text, " weekly 123456 {} horizon 8", 1 + dice.below(4));
            }
            let _ = writeln!(text);
            supply(dice, &mut text, &id, minutes);
            let _ = write!(process, "{bar} {id} {}+1", dice.below(2));
            if dice.one_in(3) {
                process.push_str(" divisible");
            }
            if dice.one_in(2) {
                let _ = write!(process, " cutoff {:02}:{:02}", dice.below(24), dice.below(4) * 15);
            }
            if dice.one_in(3) {
                let _ = write!(process, " lead {}h", dice.below(40));
            }
            if dice.one_in(3) {
                let _ = write!(process, " days {}", dice.below(3));
            }
        }
        let _ = writeln!(text, "{process}");
        for l in 0..1 + dice.below(2) {
            let mut lane = format!("lane l{s}{l} s{s} z {}", dice.of(&["std", "exp"]));
            if dice.one_in(2) {
                let _ = write!(lane, " departs {}", dice.of(&["12345", "135", "67", "1234567"]));
            }
            if dice.one_in(2) {
                let _ = write!(lane, " at {:02}:30", dice.below(24));
            }
            let by_time = dice.one_in(3);
            if by_time {
                let _ = write!(lane, " time {}h", dice.below(40));
            } else {
                let _ = write!(lane, " days {}", dice.below(3));
            }
            if dice.one_in(2) {
                let _ = write!(lane, " delivers {}", dice.of(&["12345", "246", "123456"]));
            }
            if dice.one_in(3) {
                let _ = write!(lane, " holiday {}", today + dice.below(6) as i32);
            }
            if dice.one_in(2) {
                let id = format!("v{s}{l}");
                let minutes =
                    if by_time { [120, 360][dice.below(2) as usize] } else { [1_440, 240][dice.below(2) as usize] };
                let _ =
                    writeln!(text, "capacity {id} s{s} every {minutes}m weekly 1234567 {} horizon 9", dice.below(5));
                supply(dice, &mut text, &id, minutes);
                let _ = write!(lane, " uses {id} {}+{}", dice.below(3), dice.below(2));
            }
            let _ = writeln!(text, "{lane}");
        }
        sources.push(format!("s{s} {stock} p{s}"));
    }
    let _ = writeln!(text, "product a {}", sources.join(" | "));
    sources.reverse();
    let _ = writeln!(text, "product b {}", sources.join(" | "));
    text
}

fn random_ask(dice: &mut Dice, now: Moment) -> String {
    let today = Day((now.0 / 86_400_000_000) as i32);
    let mut ask = format!("a {}", 1 + dice.below(4));
    if dice.one_in(3) {
        let _ = write!(ask, " + b {}", 1 + dice.below(3));
    }
    ask.push_str(" to z");
    match dice.below(5) {
        0 => {}
        1 => drop(write!(ask, " by {}", today + dice.below(9) as i32)),
        2 => drop(write!(ask, " by {}", instant(Moment(now.0 + dice.below(200) as i64 * 60 * MINUTE)))),
        3 => drop(write!(ask, " on {}", today + dice.below(9) as i32)),
        _ => {
            let from = now.0 + dice.below(200) as i64 * 60 * MINUTE;
            let to = from + (1 + dice.below(30)) as i64 * 60 * MINUTE;
            let _ = write!(ask, " in {}/{}", instant(Moment(from)), instant(Moment(to)));
        }
    }
    if dice.one_in(4) {
        ask.push_str(" split");
    }
    ask
}

/// Runs the property on so many seeds and names the seed and the world of a failure. `SURETY_SEED` runs one seed only,
/// `SURETY_MORE` so many times as many.
#[track_caller]
fn each(count: u64, property: impl Fn(&mut Dice, &str, Moment) + std::panic::RefUnwindSafe) {
    let one: Option<u64> = std::env::var("SURETY_SEED").ok().and_then(|s| s.parse().ok());
    let more: u64 = std::env::var("SURETY_MORE").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    for seed in one.map_or(0..count * more, |seed| seed..seed + 1) {
        let mut dice = Dice::new(seed + 1);
        let now = random_now(&mut dice);
        let world = random_world(&mut dice, now);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| property(&mut dice, &world, now)));
        if let Err(panic) = outcome {
            eprintln!("SURETY_SEED={seed} at {}\n{world}", instant(now));
            std::panic::resume_unwind(panic);
        }
    }
}

type Plain<'a> = Search<'a, [crate::domain::levels::Levels]>;

/// The same parts planned anew from `at`: do they all arrive no later?
fn holds(world: &World, ask: &ResolvedAsk, legs: &[Leg], goal: Goal, now: Moment, at: Moment) -> bool {
    // The standing plan's horizon is that of `now`: capacity stays as it is.
    let mut search: Plain<'_> = Search::new(&world.network, &world.levels[..], ask, now);
    search.now = at;
    legs.iter().all(|leg| {
        let mark = search.overlay.mark();
        let planned = match goal.target() {
            Some(target) => slow_late(&mut search, leg.part, target),
            None => search.plan(leg.part, at),
        };
        planned && search.overlay.legs_since(mark)[0].arrives_by <= leg.arrives_by
    })
}

/// Rule 15 day by day and departure by departure.
fn slow_late(search: &mut Plain<'_>, part: Part, target: Target) -> bool {
    let site = &search.network.site(part.candidate.site).calendar;
    let zone = &search.network.zone(search.ask.zone).calendar;
    let lane = search.network.lane(part.candidate.lane);
    let end = match target {
        Target::Day(day) => zone.start_of(day + 1),
        Target::Window(_, to) => to,
    };
    let window = match target {
        Target::Day(_) => None,
        Target::Window(from, to) => Some((from, to)),
    };
    let today = site.day_of(search.now);
    let last = site.day_of(end);
    let mut day = last;
    while day >= today {
        let from = site.start_of(day).max(search.now);
        let mark = search.overlay.mark();
        if let Some(ready) = search.make(&part, from) {
            let mut departs_on = last;
            while departs_on >= site.day_of(ready) {
                let departs = match lane.departure_time {
                    Some(time) => site.at(departs_on, time),
                    None => site.start_of(departs_on).max(ready),
                };
                if lane.departs_on(departs_on) && departs >= ready {
                    let before = search.overlay.mark();
                    match search.arrive(&part, departs, window) {
                        Some(arrival) if target.is_hit(&arrival) => {
                            search.overlay.end_leg(mark, part, departs, arrival, Due::of(&arrival));
                            return true;
                        }
                        _ => search.overlay.back_to(before),
                    }
                }
                departs_on = departs_on - 1;
            }
        }
        search.overlay.back_to(mark);
        day = day - 1;
    }
    false
}

#[test]
fn rule_12_order_by_is_what_trying_finds() {
    each(300, |dice, text, now| {
        let world = World::parse(text, now);
        let ask_text = random_ask(dice, now);
        let ask = world.ask(&ask_text);
        let mut search: Plain<'_> = Search::new(&world.network, &world.levels[..], &ask, now);
        let (verdict, goal) = search.choose();
        if verdict == Verdict::Unavailable {
            return;
        }
        let by = search.order_by(goal);
        let legs = search.overlay.legs().to_vec();
        let try_at = |at: Moment| holds(&world, &ask, &legs, goal, now, at);
        assert!(by >= now);
        assert!(by == now || try_at(Moment(by.0 - 1)), "{ask_text}: lost before {}: {legs:#?} {goal:?}", instant(by));
        assert!(!try_at(Moment(by.0 + 1)), "{ask_text}: {} is too early", instant(by));
        // Where hours lead past days without room, an arrival may be lost and come back; the end is still an end.
        if !search.overlay.repeats() && !legs.iter().any(|leg| search.is_roundabout(leg)) {
            for _ in 0..5 {
                let at = Moment(now.0 + ((by.0 - now.0) as f64 * dice.below(1_000) as f64 / 1_000.0) as i64);
                assert!(at >= by || try_at(at), "{ask_text}: lost at {} before {}", instant(at), instant(by));
            }
        }
    });
}

#[test]
fn rule_15_late_plans_are_those_of_a_search_day_by_day() {
    each(300, |dice, text, now| {
        let world = World::parse(text, now);
        let ask = world.ask("a 2 to z");
        let zone = &world.network.zone(ask.zone).calendar;
        for _ in 0..4 {
            let target = if dice.one_in(2) {
                Target::Day(zone.day_of(now) + dice.below(9) as i32)
            } else {
                let from = now.0 + dice.below(800) as i64 * 15 * MINUTE;
                Target::Window(Moment(from), Moment(from + (1 + dice.below(120)) as i64 * 15 * MINUTE))
            };
            for &candidate in &ask.lines[0].candidates {
                let part = Part { line: 0, quantity: 1 + dice.below(4) as i32, candidate };
                let mut fast: Plain<'_> = Search::new(&world.network, &world.levels[..], &ask, now);
                let mut slow: Plain<'_> = Search::new(&world.network, &world.levels[..], &ask, now);
                let found = fast.plan_late(part, target);
                assert_eq!(found, slow_late(&mut slow, part, target), "{part:?} {target:?}");
                if found {
                    let (a, b) = (fast.overlay.legs()[0], slow.overlay.legs()[0]);
                    let of = |l: &Leg| (l.departs, l.arrives_from, l.arrives_by, l.date, l.bucket);
                    assert_eq!(of(&a), of(&b), "{part:?} {target:?}");
                    assert_eq!(fast.overlay.sums(), slow.overlay.sums(), "{part:?} {target:?}");
                }
            }
        }
    });
}

#[test]
fn rule_19_draws_are_covered_and_more_supply_is_never_worse() {
    each(150, |dice, text, now| {
        let mut world = World::parse(text, now);
        for _ in 0..6 {
            let ask_text = random_ask(dice, now);
            let ask = world.ask(&ask_text);
            let planned = quote(&world.network, &world.levels[..], &ask, now, now, Detail::Full);
            let answer = &planned.answer;
            assert_eq!(answer.promise.is_some(), answer.verdict != Verdict::Unavailable);
            assert_eq!(answer.verdict == Verdict::Promised, answer.bottlenecks.is_empty(), "{ask_text}: {answer:?}");
            // `take` asserts that every balance covers its draw.
            world.take(&planned.takes);
        }
    });
    each(150, |dice, text, now| {
        // By hours into slots, an earlier departure may reach a day whose slots are over, and roll to a later one.
        if text.lines().any(|l| l.contains(" time ") && l.contains(" uses ")) {
            return;
        }
        let world = World::parse(text, now);
        let ask = world.ask("a 2 to z");
        let by = |world: &World| {
            let planned = quote(&world.network, &world.levels[..], &ask, now, now, Detail::Plain);
            planned.answer.promise.map_or(Moment::MAX, |p| p.arrives_by)
        };
        let before = by(&world);
        let mut more = World::parse(text, now);
        for levels in &mut more.levels {
            for (index, mut level) in levels.all().cloned().collect::<Vec<_>>() {
                // Where there was none, more supply would also make lead days shorter: never worse either.
                level.set = level.set.map(|set| set + dice.below(3) as i64);
                levels.put(index, level);
            }
        }
        assert!(by(&more) <= before);
    });
}

#[test]
fn remaining_is_what_playing_orders_one_by_one_gives() {
    each(150, |dice, text, now| {
        let world = World::parse(text, now);
        let quantity = 1 + dice.below(3);
        let ask = world.ask(&format!("a {quantity} to z"));
        for date in dates(&world.network, &world.levels[..], &ask, None, 9, now, &KeptRecord::default()) {
            // The same ask for the same window, by lanes of the same kind.
            let zone = &world.network.zone(ask.zone).calendar;
            let whole = (zone.start_of(date.date), zone.start_of(date.date + 1));
            let minutes = ((date.arrives_by.0 - date.arrives_from.0) / MINUTE) as i32;
            let slotted = (date.arrives_from, date.arrives_by) != whole;
            let goal =
                if slotted { Goal::InWindow(date.arrives_from, date.arrives_by) } else { Goal::OnDate(date.date) };
            let length = |lane| {
                let resource = world.network.lane(lane).resource.map(|r| world.network.resource(r).bucketing);
                resource.filter(|b| !b.is_days()).map(|b| b.minutes())
            };
            let only = ask.with_lanes(|lane| {
                let length = length(lane);
                world.network.lane(lane).service == date.service && length == slotted.then_some(minutes)
            });
            let by_time = |c: &Candidate| world.network.lane(c.lane).transit_time.is_some();
            let any = ask.with_lanes(|lane| world.network.lane(lane).service == date.service && length(lane).is_none());
            if any.lines[0].candidates.iter().any(by_time) || only.lines[0].candidates.is_empty() {
                // A window of its own, or a slot that a change of the clock made longer or shorter.
                continue;
            }
            let mut search: Plain<'_> = Search::new(&world.network, &world.levels[..], &only, now);
            let mut count = 0;
            search.overlay = Overlay::default();
            while count < 200 && search.place_late(goal) {
                count += 1;
                search.overlay.forget_legs();
            }
            assert_eq!(date.remaining.min(200), count, "{date:?} of {quantity}");
        }
    });
}

#[test]
fn the_ends_of_time_and_quantity_are_answered_too() {
    each(6, |_, text, now| {
        let world = World::parse(text, now);
        for goods in ["a 1000000", "a 1 + b 1000000"] {
            for when in [
                "by 1990-01-01",
                "by 2190-12-31",
                "by 1990-01-01T00:00Z",
                "by 2190-12-31T00:00Z",
                "on 1990-01-01",
                "on 2190-12-31",
                "in 1990-01-01T00:00Z/2190-12-31T00:00Z",
                "in 2190-12-30T00:00Z/2190-12-31T00:00Z",
            ] {
                for how in ["", "split"] {
                    world.quote(&format!("{goods} to z {when} {how}"), now);
                }
            }
        }
        let ask = world.ask("a 1 to z");
        let far = crate::domain::limits::MAX_DATE_DAYS;
        dates(
            &world.network,
            &world.levels[..],
            &ask,
            Some(super::world::day("2190-12-31")),
            far,
            now,
            &KeptRecord::default(),
        );
    });
}
