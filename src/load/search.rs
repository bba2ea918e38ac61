//! The search for the highest rate at which the service still answers in time: doubling until a step fails, then halving the
//! distance between the best rate that passed and the least that failed.

use std::time::Duration;

/// Steps of doubling, or of halving where even the first rate is too much: a thousandfold and more either way.
const WIDE_STEPS: usize = 14;
/// How often a rate is tried until it has failed: what else the machine did for a moment decides nothing.
const TRIES: usize = 2;
/// The search ends when the rates that passed and failed are this near: below it, most machines' noise decides.
const NEAR: f64 = 1.05;
/// The share of what was due that must be answered within the time: on a busy machine some calls are late.
const REACHED: f64 = 0.97;

/// What was measured at one rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Calls a second that were asked for.
    pub rate: f64,
    /// Calls a second of those that were due early enough to be answered within the time, had each taken as long as it may.
    pub due: f64,
    /// Answers a second.
    pub answered: f64,
    /// The latency that 99 of 100 calls did not exceed.
    pub p99: Duration,
    /// Calls without an answer.
    pub failures: u64,
}

impl Step {
    /// Why it is no rate to live with, if it is not.
    pub fn fault(&self, limit: Duration) -> Option<&'static str> {
        if self.failures > 0 {
            Some("calls failed")
        } else if self.answered < self.due * REACHED {
            Some("the rate was not reached")
        } else if self.p99 > limit {
            Some("p99 above the limit")
        } else {
            None
        }
    }
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// The highest rate that passed, in calls a second.
    pub best: Option<f64>,
}

/// Searches from a rate on; `measure` drives it, or answers None when the run was stopped.
pub async fn highest(start: f64, limit: Duration, mut measure: impl AsyncFnMut(f64) -> Option<Step>) -> Found {
    let mut found = Found::default();
    let mut failed: Option<f64> = None;
    let mut rate = start;
    for number in 1..WIDE_STEPS * 2 {
        let mut passed = false;
        for _ in 0..TRIES {
            let Some(step) = measure(rate).await else { return found };
            passed = step.fault(limit).is_none();
            found.steps.push(step);
            if passed {
                break;
            }
        }
        if passed {
            found.best = Some(found.best.map_or(rate, |best| best.max(rate)));
        } else {
            failed = Some(failed.map_or(rate, |failed| failed.min(rate)));
        }
        let wide = number < WIDE_STEPS;
        rate = match (found.best, failed) {
            (Some(best), Some(failed)) if failed / best > NEAR => f64::midpoint(best, failed),
            (Some(_), Some(_)) => break,
            (Some(best), None) if wide => best * 2.0,
            (None, Some(failed)) if wide => failed / 2.0,
            _ => break,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);

    /// A service that is quick up to some rate, then slow, and answers no more than some rate.
    async fn search(start: f64, quick: f64, most: f64) -> Found {
        let measure = async |rate: f64| {
            let p99 = if rate <= quick { Duration::from_millis(5) } else { Duration::from_millis(50) };
            Some(Step { rate, due: rate, answered: rate.min(most), p99, failures: 0 })
        };
        highest(start, LIMIT, measure).await
    }

    #[tokio::test]
    async fn it_finds_the_rate_from_below_and_from_above() {
        for (start, quick) in
            [(100.0, 5_300.0), (100.0, 100.0), (50_000.0, 5_300.0), (5_300.0, 5_300.0), (1.0, 5_300.0)]
        {
            let found = search(start, quick, f64::MAX).await;
            let best = found.best.unwrap();
            assert!(best <= quick && best > quick / NEAR, "from {start}: {best} of {quick}: {:?}", found.steps);
            assert!(found.steps.len() <= 30, "{}", found.steps.len());
        }
    }

    #[tokio::test]
    async fn a_rate_that_is_not_reached_does_not_pass() {
        let found = search(100.0, f64::MAX, 1_000.0).await;
        let best = found.best.unwrap();
        assert!((980.0..=1_031.0).contains(&best), "{best}");
        assert_eq!(found.steps.iter().filter_map(|step| step.fault(LIMIT)).next(), Some("the rate was not reached"));
    }

    #[tokio::test]
    async fn one_bad_moment_does_not_end_it() {
        let mut bad = true;
        let measure = async |rate: f64| {
            let failures = u64::from(rate > 3_000.0 || rate > 500.0 && std::mem::take(&mut bad));
            Some(Step { rate, due: rate, answered: rate, p99: Duration::ZERO, failures })
        };
        let best = highest(100.0, LIMIT, measure).await.best.unwrap();
        assert!(best > 3_000.0 / NEAR && best <= 3_000.0, "{best}");
    }

    #[tokio::test]
    async fn nothing_passes_where_calls_fail_and_a_stopped_search_ends() {
        let failing =
            async |rate: f64| Some(Step { rate, due: rate, answered: rate, p99: Duration::ZERO, failures: 1 });
        let found = highest(1_000.0, LIMIT, failing).await;
        assert_eq!((found.best, found.steps.len()), (None, WIDE_STEPS * TRIES));
        let mut left = 3;
        let stopped = highest(1.0, LIMIT, async |rate: f64| {
            left -= 1;
            (left >= 0).then_some(Step { rate, due: rate, answered: rate, p99: Duration::ZERO, failures: 0 })
        })
        .await;
        assert_eq!((stopped.best, stopped.steps.len()), (Some(4.0), 3));
    }
}
