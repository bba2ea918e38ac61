//! The ledger's tests: the rules, the stored form, every back end by one suite, crashes of a real process, and a simulation.

mod conformance;
mod crash;
mod dice;
mod differential;
mod outage;
mod record;
mod redis_servers;
mod rules;
mod simulation;
mod stewardship;
mod support;

#[path = "../redis_world/mod.rs"]
mod redis_world;
