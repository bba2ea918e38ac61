//! Surety answers "can we promise X by date Y?" and reserves the capacity as it answers.
//!
//! The modules, in the order in which a request meets them: `edge` (gRPC) turns messages into the words of `domain`, `app`
//! carries out the use case: it reads the `view`, lets the `planner` find a promise, and has the `ledger` take it. See
//! ARCHITECTURE.md.

pub mod app;
pub mod cli;
pub mod clock;
pub mod domain;
pub mod edge;
pub mod files;
pub mod ledger;
pub mod load;
pub mod planner;
pub mod proto;
pub mod server;
pub mod telemetry;
pub mod view;
