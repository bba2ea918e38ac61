//! The rules as tables: each test is named by the rule that it holds.

mod choosing;
mod confidence;
mod cost;
pub(super) mod random;
mod reasons;
mod steps;
mod transport;
pub(super) mod world;
