//! Chance that can be had again: everything random of a run follows from its seed.

/// SplitMix64: small, fast, and good enough to choose calls and products with.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way whenever seed and part are the same. Parts of a run have dice of their own.
    pub fn new(seed: u64, part: u64) -> Self {
        let mut dice = Self(seed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31));
        // Neighbouring seeds give streams that begin alike only in their state, not in what is drawn.
        dice.roll();
        dice
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `n`, each as likely; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // The high half of the product: no division, and a bias below 2^-32 for any n that is met here.
        usize::try_from((u128::from(self.roll()) * n as u128) >> 64).unwrap_or(0)
    }

    /// A share, from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        // The 53 bits that a double holds.
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again_and_parts_differ() {
        let drawn = |seed, part| {
            let mut dice = Dice::new(seed, part);
            (0..8).map(|_| dice.roll()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(7, 1), drawn(7, 1));
        assert_ne!(drawn(7, 1), drawn(7, 2));
        assert_ne!(drawn(7, 1), drawn(8, 1));
    }

    #[test]
    fn each_side_is_as_likely() {
        let mut dice = Dice::new(1, 0);
        let mut seen = [0_u32; 6];
        for _ in 0..60_000 {
            seen[dice.below(6)] += 1;
        }
        assert!(seen.iter().all(|n| (9_500..10_500).contains(n)), "{seen:?}");
        assert_eq!(dice.below(0), 0);
        assert!((0..10_000).all(|_| (0.0..1.0).contains(&dice.share())));
    }
}
