//! How long each piece of the service takes: rules, view, codec, records, batches, and the Redis script on a real Redis.
//! `benches/planner.rs` has more plans.
//!
//!     cargo bench --bench micro [-- rules/]

#[path = "../../src/allocator.rs"]
mod allocator;
#[path = "../redis_server.rs"]
#[allow(dead_code, reason = "each bench uses its part")]
mod redis;
#[path = "../scenarios/mod.rs"]
mod scenarios;
mod scripts;

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

/// Turns that one preparation serves: what they leave behind (reservations, say) stays little.
const TURNS: usize = 1_000;

fn pieces(c: &mut Criterion) {
    for scenario in scenarios::ALL {
        c.bench_function(scenario.name, |b| {
            b.iter_custom(|turns| {
                let (mut left, mut took) = (turns as usize, Duration::ZERO);
                while left > 0 {
                    let now = left.min(TURNS);
                    let mut turn = (scenario.prepare)(now);
                    let begun = Instant::now();
                    (0..now).for_each(&mut turn);
                    took += begun.elapsed();
                    left -= now;
                }
                took
            });
        });
    }
}

criterion_group!(benches, pieces, scripts::commits);
criterion_main!(benches);
