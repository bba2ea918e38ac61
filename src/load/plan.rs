//! What a run is to do, complete and checked.

use std::time::Duration;

use super::mix::Mix;
use super::schedule::Arrivals;
use super::skew::Skew;

/// What drives the calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many calls a second are due, whether or not those before have been answered.
    Open {
        /// Calls a second.
        rate: f64,
        /// How they follow each other.
        arrivals: Arrivals,
        /// The most calls that wait for an answer at once; what is due beyond it is sent late.
        outstanding: usize,
    },
    /// So many callers, each of whom calls again when it has been answered.
    Closed {
        /// Callers.
        in_flight: usize,
    },
}

/// The network that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Land {
    /// One that is made for the run, and replaces what is there under its name.
    Made {
        /// Products, each with three resources of its own.
        products: usize,
        /// Units in each day of each resource.
        units: i64,
    },
    /// What is there.
    AsIs,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Addresses of servers of one store, `http://HOST:PORT`; calls go to each in turn.
    pub targets: Vec<String>,
    /// Connections to each of them.
    pub connections: usize,
    /// The name of the network.
    pub network: String,
    /// The network.
    pub land: Land,
    /// What drives the calls.
    pub pace: Pace,
    /// Calls of each subject that are not measured, before its first round.
    pub warm_up: Duration,
    /// How long each round is measured.
    pub duration: Duration,
    /// Rounds of each subject, in turn.
    pub rounds: usize,
    /// What is called.
    pub mix: Mix,
    /// Which products are asked for.
    pub skew: Skew,
    /// Lines of each ask, of different products.
    pub lines: usize,
    /// How long holds live: 1 s to 7 days.
    pub hold_for: Duration,
    /// Days after the earliest possible date by which asks want to be promised.
    pub within_days: i32,
    /// How long a call may take.
    pub timeout: Duration,
    /// What all chance follows from.
    pub seed: u64,
    /// The process that serves the targets, if it runs on this machine and its processor time is to be told.
    pub pid: Option<u32>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A short run of everything at no target.
    pub fn plan() -> Plan {
        Plan {
            targets: Vec::new(),
            connections: 2,
            network: "load".to_owned(),
            land: Land::Made { products: 3, units: 1_000 },
            pace: Pace::Closed { in_flight: 4 },
            warm_up: Duration::ZERO,
            duration: Duration::from_millis(300),
            rounds: 1,
            mix: Mix::parse("quote=4,hold=4,confirm=1,release=1,dates=1").expect("a mix"),
            skew: Skew::Uniform,
            lines: 1,
            hold_for: Duration::from_secs(60),
            within_days: 13,
            timeout: Duration::from_secs(10),
            seed: 1,
            pid: None,
        }
    }
}
