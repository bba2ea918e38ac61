//! What the largest asks cost. Run by hand, with optimisation: `cargo test --lib planner::tests::cost -- --ignored --nocapture`.

use std::fmt::Write;
use std::time::Instant;

use super::world::{World, moment};
use crate::domain::kept::KeptRecord;
use crate::planner::{Detail, dates, quote};

/// A hundred products on three sites, all through the packing station and the vans of their site.
fn shop(van_minutes: u32, pack: u32) -> String {
    let mut text = String::from("zone de Europe/Berlin\n");
    for s in 0..3 {
        let _ = writeln!(text, "site s{s} Europe/Berlin");
        let _ = writeln!(text, "capacity pack{s} s{s} weekly 12345 {pack}");
        let _ = writeln!(text, "capacity van{s} s{s} every {van_minutes}m weekly 123456 40");
        let _ = writeln!(text, "process p{s} pack{s} 1+1 cutoff 14:00");
        let _ = writeln!(text, "lane std{s} s{s} de std at 17:00 days 1 delivers 123456 uses van{s} 1+0");
        let _ = writeln!(text, "lane exp{s} s{s} de exp at 18:00 days 1 delivers 123456");
    }
    for i in 0..100 {
        let mut sources = Vec::new();
        for s in 0..3 {
            let _ = writeln!(text, "stock k{i}s{s} s{s}");
            let _ = writeln!(text, "supply k{i}s{s} 2026-11-20 40");
            sources.push(format!("s{s} k{i}s{s} p{s}"));
        }
        let _ = writeln!(text, "product p{i} {}", sources.join(" | "));
    }
    text
}

#[test]
#[ignore = "a measurement"]
fn the_largest_asks() {
    let now = moment("2026-12-01T08:00Z");
    let lines = |n: usize, each: u32| (0..n).map(|i| format!("p{i} {each}")).collect::<Vec<_>>().join(" + ");
    let run = |what: &str, world: &World, ask: &str| {
        let began = Instant::now();
        let verdict = world.quote(ask, now).answer.verdict;
        println!("{:9.3} ms {what} {verdict:?}", began.elapsed().as_secs_f64() * 1e3);
    };
    for (van, pack) in [(1_440, 1_000), (1_440, 150), (60, 1_000), (15, 150)] {
        let world = World::parse(&shop(van, pack), now);
        println!("--- vans of {van} minutes, {pack} a day");
        for (n, each) in [(1, 5), (100, 1), (100, 5), (100, 45)] {
            for how in [
                "",
                " svc std split",
                " by 2026-12-05",
                " by 2026-12-05 split",
                " on 2026-12-09",
                " on 2026-12-06",
                " on 2026-12-06 split",
            ] {
                run(&format!("{n} lines of {each}{how}"), &world, &format!("{} to de{how}", lines(n, each)));
            }
            for how in ["", " split"] {
                let ask = world.ask(&format!("{} to de{how}", lines(n, each)));
                let began = Instant::now();
                let found = dates(&world.network, &world.levels[..], &ask, None, 92, now, &KeptRecord::default()).len();
                println!("{:9.3} ms dates of {n} lines of {each}{how}: {found}", began.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn three_years_of_standing_receipts() {
    for (days, every) in [("1", 1_440), ("1234567", 1_440), ("1", 15)] {
        let text = format!(
            "zone de Europe/Berlin
             site s Europe/Berlin
             stock k s every {every}m weekly {days} 5
             product mug s k -
             lane std s de std at 17:00 days 1"
        );
        let world = World::parse(&text, moment("2023-12-01T08:00Z"));
        for quantity in [1, 700, 700_000] {
            let ask = world.ask(&format!("mug {quantity} to de"));
            let began = Instant::now();
            let now = moment("2026-12-01T08:00Z");
            let planned = quote(&world.network, &world.levels[..], &ask, now, now, Detail::Full);
            let (ms, draws) = (began.elapsed().as_secs_f64() * 1e3, planned.takes.len());
            println!("{ms:9.3} ms {quantity} of {days} every {every} min: {:?}, {draws} draws", planned.answer.verdict);
        }
    }
}
