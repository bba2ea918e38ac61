//! Dice for the faults of the proxy, which can be thrown again with their seed.

use std::hash::{BuildHasher, RandomState};

/// SplitMix64: small, and good enough for tests.
pub struct Dice(u64);

impl Dice {
    pub fn seeded(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A uniform number from 0 up to, not including, 1.
    pub fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability; never with 0, always with 1.
    pub fn comes_up(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }
}

/// `SEED` from the environment, or a new one each time; printed, which a failed test shows.
pub fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("SEED={seed} throws the proxy's dice again");
    seed
}
