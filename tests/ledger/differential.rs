//! The Redis ledger against the rules: random sequences of commands, in which outcomes, balances, reservations, the feed and expiry must be
//! those of `rules.rs`, also when scripts are forgotten and when calls run twice or their answers are lost.
//!
//! `SEED=... ROUNDS=1` plays one sequence again; `ROUNDS=5000` plays long, `LENGTH` sets the steps of each.

mod compare;
mod model;
mod play;
mod sequence;
mod shrink;
mod witness;

use std::time::Duration;

use play::{Stage, Tally, Weather, play};
use sequence::Plan;

use crate::dice::{seed, setting};
use crate::redis_world::{Client, Fault, Flavour, Options, Proxy, Server, own_database};

/// Plays as many sequences as there are rounds, each by a seed of its own, and tells of the first that differs.
async fn rounds(stage: &Stage, rounds: u64, length: u64) -> Tally {
    let first = seed();
    let mut sum = Tally::default();
    for round in 0..setting("ROUNDS", rounds) {
        let seed = first.wrapping_add(round);
        let plan = Plan::thrown(seed, setting("LENGTH", length));
        match play(stage, &plan).await {
            Ok(tally) => {
                sum.commands += tally.commands;
                sum.refused += tally.refused;
                sum.unknown += tally.unknown;
                sum.entries += tally.entries;
            }
            Err(why) => {
                println!("SEED={seed} ROUNDS=1: {why}");
                let shortest = shrink::shortest(stage, &plan, why).await;
                panic!("SEED={seed} ROUNDS=1 differs in {:?} weather; {shortest}", stage.weather);
            }
        }
    }
    println!("{:?}: {sum:?}", stage.weather);
    assert!(sum.entries > 0 && sum.refused > 0, "sequences in which nothing happens show nothing");
    sum
}

async fn calm(flavour: Flavour) {
    let database = own_database(flavour);
    let url = database.url();
    let stage = Stage { url, client: Box::new(move || database.client()), weather: Weather::Calm };
    rounds(&stage, 60, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_does_what_the_rules_say() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    calm(flavour).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_does_what_the_rules_say() {
    let Some(flavour) = Flavour::Valkey.or_skip() else { return };
    calm(flavour).await;
}
