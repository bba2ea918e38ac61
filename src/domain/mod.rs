//! The words and rules of promising: no I/O, no clock, no transport.

pub mod answer;
pub mod ask;
pub mod bucket;
pub mod calendar;
pub mod draw;
pub mod faults;
pub mod id;
pub mod kept;
pub mod levels;
pub mod limits;
pub mod network;
pub mod offer;
pub mod reservation;
pub mod risk;
pub mod share;
pub mod time;
