//! What is measured piece by piece, in one place: `benches/micro` says how long each piece takes, `benches/counts` how many instructions
//! and allocations. Inputs are fixed, and no piece looks at a clock, waits or has threads; so two runs do the very same.

#![allow(dead_code, reason = "each bench uses its part")]

mod codec;
pub mod offer;
mod planner;
mod redis;
mod request;
mod rules;
mod view;
pub mod workshop;

/// One turn of a piece; it is told which, from 0 on.
pub type Turn = Box<dyn FnMut(usize)>;

/// A piece of the service.
pub struct Scenario {
    /// Its part and what it does.
    pub name: &'static str,
    /// Turns that are enough to count instructions: what is left over at either end is shared by so many.
    pub turns: usize,
    /// Makes all that so many turns need, and gives the turn.
    pub prepare: fn(usize) -> Turn,
}

impl Scenario {
    const fn new(name: &'static str, turns: usize, prepare: fn(usize) -> Turn) -> Scenario {
        Scenario { name, turns, prepare }
    }
}

/// All of them, in the order in which a request meets them.
pub const ALL: [Scenario; 27] = [
    Scenario::new("request/quote", 200, request::quote),
    Scenario::new("codec/read_quote", 200, codec::read_quote),
    Scenario::new("codec/read_hold", 200, codec::read_hold),
    Scenario::new("codec/write_answer", 200, codec::write_answer),
    Scenario::new("codec/write_reservation", 200, codec::write_reservation),
    Scenario::new("view/read", 1_000, view::read),
    Scenario::new("view/publish", 200, view::publish),
    Scenario::new("planner/quote_free", 200, planner::quote_free),
    Scenario::new("planner/quote_60_days_full", 200, planner::quote_60_days_full),
    Scenario::new("planner/quote_later_with_reasons", 50, planner::quote_later),
    Scenario::new("planner/quote_unavailable_with_reasons", 50, planner::quote_unavailable),
    Scenario::new("planner/dates_30_days", 10, planner::dates_30_days),
    Scenario::new("planner/offer_check_90_days", 1, offer::check),
    Scenario::new("rules/hold", 500, rules::hold),
    Scenario::new("rules/hold_repeated", 500, rules::hold_repeated),
    Scenario::new("rules/hold_refused", 500, rules::hold_refused),
    Scenario::new("rules/confirm", 500, rules::confirm),
    Scenario::new("rules/release", 500, rules::release),
    Scenario::new("rules/expiry", 500, rules::expiry),
    Scenario::new("record/write_reservation", 200, codec::write_stored_reservation),
    Scenario::new("record/read_reservation", 200, codec::read_stored_reservation),
    Scenario::new("record/write_entry", 200, codec::write_entry),
    Scenario::new("record/read_entry", 200, codec::read_entry),
    Scenario::new("redis/write_batch_of_1", 100, redis::write_1),
    Scenario::new("redis/write_batch_of_32", 10, redis::write_32),
    Scenario::new("redis/read_answer_of_1", 100, redis::read_1),
    Scenario::new("redis/read_answer_of_32", 10, redis::read_32),
];
