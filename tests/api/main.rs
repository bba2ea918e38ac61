//! The service as its clients see it: a real server on a port of its own, generated clients, nothing reached into.
//!
//! Time is turned by hand where the server runs in this process; where the life and death of a process is what matters,
//! the program itself is started (`process`).

#[path = "../ledger/dice.rs"]
#[allow(dead_code, reason = "each crate of tests uses its part")]
mod dice;
#[path = "../redis_world/mod.rs"]
mod redis_world;

mod allocations;
mod amend;
mod dates;
mod deadlines;
mod events;
mod fulfilment;
mod invalid;
mod lifecycle;
mod load;
mod meddling;
mod network;
mod offers;
mod outage;
mod outcome;
mod process;
mod quote;
mod races;
mod raw;
mod repromise;
mod reservation;
mod risk;
mod scorecard;
mod season;
mod shared;
mod supply;
mod support;
mod watch;
