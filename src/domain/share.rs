//! Shares of a whole, as integers, so that they compare exactly.

/// A share of a whole in millionths: 0 to 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// Nothing of it.
    pub const NONE: Share = Share(0);
    /// All of it.
    pub const ALL: Share = Share(1_000_000);

    /// From a number of 0 to 1, to the nearest millionth; none for any other number.
    pub fn new(share: f64) -> Option<Share> {
        (0.0..=1.0).contains(&share).then(|| Share((share * 1e6).round() as u32))
    }

    /// From millionths, at most all.
    pub fn from_millionths(n: u32) -> Share {
        Share(n.min(1_000_000))
    }

    /// Millionths.
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// So many of so many, rounded down: what is said is never more than what is so. None of none is nothing.
    pub fn of(part: i64, whole: i64) -> Share {
        if whole <= 0 {
            return Share::NONE;
        }
        Share((i128::from(part.clamp(0, whole)) * 1_000_000 / i128::from(whole)) as u32)
    }

    /// As a number of 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_zero_to_one() {
        for (number, share) in [(0.0, Some(Share::NONE)), (1.0, Some(Share::ALL)), (0.25, Some(Share(250_000)))] {
            assert_eq!(Share::new(number), share);
        }
        for number in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::new(number), None);
        }
    }

    #[test]
    fn a_share_is_never_told_as_more_than_it_is() {
        assert_eq!(Share::of(2, 3), Share(666_666));
        assert_eq!(Share::of(0, 0), Share::NONE);
        assert_eq!(Share::of(i64::MAX, i64::MAX), Share::ALL);
    }
}
