//! Batches of holds on their way to Redis, and its answers. No Redis is needed: what it would answer is made up.

use std::hint::black_box;

use surety::ledger::redis::measured::Holds;

use super::Turn;
use super::workshop::{NOW, holds};

/// As long as a digest is.
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

fn write(size: usize) -> Turn {
    let commands = holds(0..size);
    Box::new(move |turn| drop(black_box(Holds::of(black_box(&commands)).call(SHA, turn as u64 + 1))))
}

fn read(size: usize, turns: usize) -> Turn {
    let commands = holds(0..size);
    let batch = Holds::of(&commands);
    let mut answers = vec![batch.answer(NOW); turns];
    Box::new(move |turn| {
        let entries = batch.read(&commands, std::mem::take(&mut answers[turn])).expect("an answer");
        assert_eq!(entries.len(), size);
        drop(black_box(entries));
    })
}

pub fn write_1(_: usize) -> Turn {
    write(1)
}

pub fn write_32(_: usize) -> Turn {
    write(32)
}

pub fn read_1(turns: usize) -> Turn {
    read(1, turns)
}

pub fn read_32(turns: usize) -> Turn {
    read(32, turns)
}
