//! The ledger's tests: the rules, every back end by one suite, crashes of a real process, and a simulation.

mod conformance;
mod support;
