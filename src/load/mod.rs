//! The load generator: drives servers by a schedule or a number of callers, measures from the instant at which a call was due, and
//! looks whether what was promised is there.
//!
//! It knows the service by its contract alone. [`plan`] says what is to be done, [`run`] does it, [`report`] says what came of it. Clocks
//! here are monotonic: nothing is promised by them.

pub mod answer;
pub mod book;
pub mod check;
pub mod dice;
pub mod drive;
pub mod echo;
pub mod ground;
pub mod html;
pub mod machine;
pub mod measured;
pub mod message;
pub mod mix;
pub mod plan;
pub mod plot;
pub mod raw;
pub mod report;
pub mod run;
pub mod schedule;
pub mod search;
pub mod skew;
pub mod subject;
pub mod tables;

#[cfg(test)]
mod report_tests;

use tonic::Status;

/// What keeps a run from being made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A target can't be reached.
    #[error("can't reach {target}: {cause}")]
    Unreachable {
        /// Its address.
        target: String,
        /// Why not.
        cause: String,
    },
    /// A target refused what the run needs.
    #[error("{target}: {status}")]
    Refused {
        /// Its address.
        target: String,
        /// What it said.
        status: Box<Status>,
    },
    /// The run can't be made as it is asked for.
    #[error("{0}")]
    Impossible(String),
}
