//! What the service promises whatever fails: servers and Redis are killed, paused and cut off under load from many clients, and
//! at the end a checker that knows every answer holds the store to it. No bucket is oversold, nothing acknowledged is lost,
//! nothing taken is leaked, no request takes twice, and once all is healed holds succeed again soon.
//!
//! Every scenario prints its seed. The dice of the faults and of the clients are thrown again with it, though the machine's own
//! timing is not. For long runs: `ROUNDS=... SECONDS_PER_SCENARIO=... SEED=... cargo test --test faults -- --nocapture`.
//!
//! `SURETY_TEST_PROGRAM` is the program that is run in place of the one that was built with the tests. `SURETY_TEST_EARLIER_PROGRAM` is
//! that of an earlier version, for `two_versions` alone: `tests/two-versions` builds one from the history and runs that scenario, with
//! the same variables.

mod away;
mod book;
mod checker;
mod clients;
mod cluster;
#[path = "../ledger/dice.rs"]
#[allow(dead_code, reason = "each crate of tests uses its part")]
mod dice;
mod durable;
mod expiry;
mod follower;
mod late;
mod pace;
mod scenario;
mod sentinel;
mod service;
mod shop;
mod single;
mod soak;
mod two_versions;
mod versions;

#[path = "../redis_world/mod.rs"]
mod redis_world;
