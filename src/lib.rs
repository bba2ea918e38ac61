//! Surety answers "can we promise X by date Y?" and reserves the capacity as it answers.

pub mod edge;
pub mod proto;
pub mod telemetry;
