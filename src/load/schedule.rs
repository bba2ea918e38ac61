//! When calls of an open loop are due. The schedule is made before the first call and knows nothing of answers: that is what
//! keeps a slow server from slowing down the load that it is measured by.

use std::time::Duration;

use super::dice::Dice;

/// How calls of an open loop follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal distances.
    Even,
    /// Independently of each other, as customers come: distances are exponential, so there are bursts.
    Poisson,
}

impl Arrivals {
    /// Reads `even` or `poisson`.
    ///
    /// # Errors
    /// One sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "even" => Ok(Arrivals::Even),
            "poisson" => Ok(Arrivals::Poisson),
            _ => Err(format!("'{text}' is no way to arrive; write even or poisson")),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Arrivals::Even => "even",
            Arrivals::Poisson => "poisson",
        }
    }
}

/// The instants at which calls are due, from the beginning on, without end.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    /// Calls a second.
    rate: f64,
    dice: Dice,
    calls: u64,
    at: f64,
}

impl Schedule {
    /// So many calls a second, more than none.
    pub fn new(arrivals: Arrivals, rate: f64, dice: Dice) -> Self {
        Self { arrivals, rate, dice, calls: 0, at: 0.0 }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let seconds = match self.arrivals {
            // Reckoned from the beginning each time, so that nothing adds up to a drift.
            Arrivals::Even => self.calls as f64 / self.rate,
            Arrivals::Poisson => {
                let at = self.at;
                self.at -= (1.0 - self.dice.share()).ln() / self.rate;
                at
            }
        };
        self.calls += 1;
        Some(Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(arrivals: Arrivals, rate: f64) -> Schedule {
        Schedule::new(arrivals, rate, Dice::new(11, 0))
    }

    #[test]
    fn even_calls_do_not_drift() {
        let mut even = schedule(Arrivals::Even, 3.0);
        assert_eq!(even.next(), Some(Duration::ZERO));
        assert_eq!(even.nth(299_998), Some(Duration::from_secs_f64(299_999.0 / 3.0)));
    }

    #[test]
    fn poisson_calls_keep_the_rate_and_come_in_bursts() {
        let due: Vec<f64> = schedule(Arrivals::Poisson, 1_000.0).take(100_001).map(|at| at.as_secs_f64()).collect();
        assert!(due.is_sorted());
        assert!((due[100_000] - 100.0).abs() < 1.5, "{}", due[100_000]);
        let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Of exponential distances, 1 - 1/e are shorter than the mean.
        let short = gaps.iter().filter(|gap| **gap < 0.001).count();
        assert!((62_000..64_500).contains(&short), "{short}");
    }

    #[test]
    fn ways_to_arrive_are_read() {
        for arrivals in [Arrivals::Even, Arrivals::Poisson] {
            assert_eq!(Arrivals::parse(arrivals.name()), Ok(arrivals));
        }
        assert!(Arrivals::parse("late").is_err());
    }
}
