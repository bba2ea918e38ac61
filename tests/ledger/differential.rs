//! The Redis ledger against the rules: random sequences of commands, in which outcomes, balances, reservations, the feed and expiry must be
//! those of `rules.rs`, also when scripts are forgotten and when calls run twice or their answers are lost.
//!
//! `SEED=... ROUNDS=1` plays one sequence again; `ROUNDS=5000` plays long, `LENGTH` sets the steps of each, `CROWDS` how many crowds there
//! are. What a sequence found is shrunk to few steps, and gets a test of its own in `found.rs`.

mod compare;
mod crowd;
mod found;
mod model;
mod play;
mod sequence;
mod shrink;
mod witness;

use std::time::Duration;

use surety::domain::id::NetworkId;

use found::*;
use play::{Stage, Tally, Weather, play};
use sequence::Plan;

use crate::dice::{seed, setting};
use crate::redis_world::{Flavour, Options, Proxy, Server, own_database};

/// Plays as many sequences as there are rounds, each by a seed of its own, and tells of the first that differs.
async fn rounds(stage: &Stage, rounds: u64, length: u64) {
    let first = seed();
    let mut sum = Tally::default();
    for round in 0..setting("ROUNDS", rounds) {
        let seed = first.wrapping_add(round);
        let mut plan = Plan::thrown(seed, setting("LENGTH", length));
        if stage.weather == Weather::Lossy {
            // Networks share connections. With one network alone, what is lost with a connection is the answer to the call at hand.
            plan.network = NetworkId::default_network();
        }
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
    assert!(sum.entries > 0 || setting("ROUNDS", rounds) < 4, "sequences in which nothing happens show nothing");
}

/// On a database of its own.
async fn does_what_the_rules_say(flavour: Flavour) {
    let database = own_database(flavour);
    let url = database.url();
    let stage = Stage { url, client: Box::new(move || database.client()), weather: Weather::Calm };
    rounds(&stage, 60, 60).await;
}

/// On a server of its own behind a proxy that treats calls of scripts as it is told to.
async fn behind(flavour: Flavour, weather: Weather, few: u64, faults: impl FnOnce(&Proxy)) {
    let server = Server::start(flavour, Options::default());
    let proxy = Proxy::start(server.address());
    proxy.only(&["EVALSHA"]);
    faults(&proxy);
    let url = server.url_at(proxy.address());
    let stage = Stage { url, client: Box::new(move || server.client().expect("the server runs")), weather };
    rounds(&stage, few, 50).await;
    println!("{:?}", proxy.counts());
    assert!(weather == Weather::Forgetful || proxy.counts().faults() > 0, "nothing failed");
}

/// Scripts are thrown away while they are needed.
async fn scripts_are_forgotten(flavour: Flavour) {
    behind(flavour, Weather::Forgetful, 6, |_| {}).await;
}

/// Every call runs twice; the ledger is told the first outcome.
async fn calls_run_twice(flavour: Flavour) {
    behind(flavour, Weather::Calm, 12, |proxy| proxy.duplicate(1.0)).await;
}

/// Every call runs twice; the ledger is told the second outcome, as it is when a library sends again by itself.
async fn calls_are_answered_by_their_second_run(flavour: Flavour) {
    behind(flavour, Weather::Repeating, 12, |proxy| proxy.replay(1.0)).await;
}

/// Every call runs again after others, as one does that was long under way.
async fn calls_run_again_later(flavour: Flavour) {
    behind(flavour, Weather::Calm, 12, |proxy| proxy.echo(1.0, Duration::from_millis(3))).await;
}

/// Answers are lost and asked for again.
async fn answers_are_lost(flavour: Flavour) {
    behind(flavour, Weather::Leaky, 6, |proxy| proxy.drop_replies(0.1)).await;
}

/// Answers are lost for good.
async fn outcomes_stay_unknown(flavour: Flavour) {
    behind(flavour, Weather::Lossy, 4, |proxy| proxy.drop_replies(0.05)).await;
}

/// Two servers, many at once.
async fn crowds_are_served_one_by_one(flavour: Flavour) {
    let database = own_database(flavour);
    let url = database.url();
    let stage = Stage { url, client: Box::new(move || database.client()), weather: Weather::Calm };
    crowds(&stage).await;
}

/// The same where calls run twice, and their answers are lost.
async fn crowds_are_served_one_by_one_whatever_is_lost(flavour: Flavour) {
    let server = Server::start(flavour, Options::default());
    let proxy = Proxy::start(server.address());
    proxy.only(&["EVALSHA"]);
    proxy.duplicate(0.1);
    proxy.replay(0.1);
    proxy.drop_replies(0.03);
    let url = server.url_at(proxy.address());
    let stage = Stage { url, client: Box::new(move || server.client().expect("it runs")), weather: Weather::Leaky };
    crowds(&stage).await;
    println!("{:?}", proxy.counts());
}

async fn crowds(stage: &Stage) {
    let first = seed();
    for round in 0..setting("CROWDS", 4) {
        let seed = first.wrapping_add(round);
        match crowd::crowd(stage, seed, 24, setting("LENGTH", 40)).await {
            Ok(entries) => println!("{entries} entries"),
            Err(why) => panic!("SEED={seed} CROWDS=1 (others were faster or slower then): {why}"),
        }
    }
}

macro_rules! on_both {
    ($($name:ident,)*) => {
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(flavour) = super::Flavour::Redis.or_skip() else { return };
                super::$name(flavour).await;
            })*
        }
        mod valkey {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(flavour) = super::Flavour::Valkey.or_skip() else { return };
                super::$name(flavour).await;
            })*
        }
    };
}

on_both! {
    does_what_the_rules_say,
    scripts_are_forgotten,
    calls_run_twice,
    calls_are_answered_by_their_second_run,
    calls_run_again_later,
    answers_are_lost,
    outcomes_stay_unknown,
    crowds_are_served_one_by_one,
    crowds_are_served_one_by_one_whatever_is_lost,
    commands_of_the_largest_size_do_as_the_rules_say,
    a_network_whose_application_was_refused_is_not_there,
    an_undo_of_what_the_server_never_saw_is_told_as_any_other,
    a_reservation_that_was_made_again_at_the_same_instant_is_another,
    a_follower_is_not_void_because_others_went_on,
    a_follower_is_not_void_because_an_answer_was_lost,
    the_answer_of_a_second_run_is_that_of_the_first,
    a_call_that_arrives_late_changes_nothing,
    what_was_refused_is_not_made_by_a_call_that_arrives_late,
    rule_20_a_shipment_told_after_the_delivery_is_remembered_no_longer,
}
