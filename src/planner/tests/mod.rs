//! The rules as tables: each test is named by the rule that it holds.

mod choosing;
mod cost;
mod random;
mod reasons;
mod steps;
mod transport;
pub(super) mod world;
