//! The planner against the oracle on random cases. `SURETY_SEED` is the first seed, `SURETY_CASES` how many follow;
//! `SURETY_KEEP_GOING` shows every difference (up to 40) and not only the first; SPLIT, which
//! is slow, is only looked at on the first `SURETY_SPLIT_CASES` seeds.

use surety::domain::ask::Shipments;

use crate::compare::difference;
use crate::generate;
use crate::shrink::shrink;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn run(share: u64, shares: u64) {
    let (first, cases) = (number("SURETY_SEED", 0), number("SURETY_CASES", 600));
    let keep_going = std::env::var("SURETY_KEEP_GOING").is_ok();
    let split = number("SURETY_SPLIT_CASES", 100);
    let mut found = Vec::new();
    for seed in (first..first + cases).filter(|seed| seed % shares == share) {
        let case = generate::case(seed);
        if case.ask.shipments == Shipments::Split && seed >= first + split {
            continue;
        }
        if difference(&case).is_some() {
            let (small, text) = shrink(case, difference);
            let report = format!("--- SURETY_SEED={seed} SURETY_CASES=1\n{small}{text}");
            println!("{report}");
            found.push(seed);
            if !keep_going || found.len() >= 40 {
                break;
            }
        }
    }
    assert!(found.is_empty(), "the planner and the oracle differ on the seeds {found:?}");
}

#[test]
fn rules_02_to_18_planner_equals_oracle_on_even_seeds() {
    run(0, 2);
}

#[test]
fn rules_02_to_18_planner_equals_oracle_on_odd_seeds() {
    run(1, 2);
}
