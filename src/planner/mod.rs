//! The search for a promise (rules 5 to 18): from the network, the availability, the ask and the present instant to the
//! answer. Pure: no clock, no I/O, nothing remembered. Two runs on the same input give the same answer.
//!
//! The way of a plan: [`resolve`] lays out the candidates; `forward` plans one of them through `step` and `lane`, with what
//! the ask itself takes in `overlay`; `choose` and `split` decide which is taken; `order_by` walks back from the arrival;
//! `promise` writes it down. `bottleneck` and `alternative` say why not, and what instead.

mod alternative;
mod bottleneck;
mod choose;
mod confidence;
mod dates;
mod explain;
mod flow;
mod forward;
mod given_back;
mod lane;
mod latest;
mod offer;
mod order_by;
mod overlay;
mod promise;
mod resolve;
mod search;
mod split;
mod step;

use std::sync::Arc;

use crate::domain::answer::{Answer, Verdict};
use crate::domain::bucket::Availability;
use crate::domain::draw::Take;
use crate::domain::limits::MAX_DRAWS;
use crate::domain::network::Network;
use crate::domain::time::Moment;
pub use confidence::quote_kept;
pub use dates::dates;
pub use given_back::{GivenBack, GivenBackLevels};
pub use offer::{Checked, Suggested, Supposed, check_offer, suggest, unknown_of_offer};
pub use resolve::{ResolvedAsk, Unknown, resolve};
use search::Search;

/// An answer, and what its promise takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The answer.
    pub answer: Answer,
    /// The draws of `answer.promise`, each bucket and pool once; empty when the verdict is `Unavailable`.
    pub takes: Vec<Take>,
}

/// How much an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// With bottlenecks and alternatives, when it is not a yes.
    Full,
    /// The verdict and the promise only.
    Plain,
}

/// Answers an ask on the availability as it is at `now` (rules 5 to 18). `as_of` is passed on into the answer.
pub fn quote<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    now: Moment,
    as_of: Moment,
    detail: Detail,
) -> Planned {
    let mut search = Search::new(network, availability, ask, now);
    let (mut verdict, goal) = search.choose();
    let mut takes = if verdict == Verdict::Unavailable { Vec::new() } else { search.takes() };
    if takes.len() > MAX_DRAWS {
        // Too much for one step of the ledger: as good as not to be had.
        (verdict, takes) = (Verdict::Unavailable, Vec::new());
    }
    let promise = if verdict == Verdict::Unavailable { None } else { search.promise(goal).map(Arc::new) };
    let (bottlenecks, alternatives) = match (verdict, detail) {
        (Verdict::Promised, _) | (_, Detail::Plain) => (Vec::new(), Vec::new()),
        (Verdict::Later | Verdict::Unavailable, Detail::Full) => {
            let found = search.late_by_record(goal).unwrap_or_else(|| search.bottlenecks(verdict));
            let alternatives = alternative::alternatives(network, availability, ask, now, &found);
            (found.bottlenecks, alternatives)
        }
    };
    Planned { answer: Answer { verdict, promise, bottlenecks, alternatives, as_of }, takes }
}

#[cfg(test)]
mod tests;
