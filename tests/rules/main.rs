//! The rules of promising, held in two ways: cases worked out by hand from their text, and a second implementation that
//! the planner must equal on random networks.

mod by_hand;
mod civil;
mod compare;
mod dates;
mod differential;
mod generate;
mod notation;
mod offers;
mod oracle;
mod shrink;
