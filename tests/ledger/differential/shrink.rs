//! Finds a short sequence that still shows a difference.

use std::time::{Duration, Instant};

use super::play::{Stage, play};
use super::sequence::{Plan, Step, show};

/// How long a difference is made smaller.
const PATIENCE: Duration = Duration::from_secs(60);

/// Leaves out as much as can be left out while the sequence still differs, and tells what is left of it.
pub async fn shortest(stage: &Stage, plan: &Plan, why: String) -> String {
    let begun = Instant::now();
    let (mut best, mut last) = (plan.clone(), why);
    let mut size = best.steps.len().div_ceil(2);
    while size > 0 && begun.elapsed() < PATIENCE {
        let mut smaller = false;
        let mut from = 0;
        while from < best.steps.len() && begun.elapsed() < PATIENCE {
            let mut without = best.clone();
            let to = best.steps.len().min(from + size);
            without.steps.drain(from..to);
            match play(stage, &without).await {
                Err(why) => (best, last, smaller) = (without, why, true),
                Ok(_) => from += size,
            }
        }
        if !smaller {
            size /= 2;
        }
    }
    let runs = best.steps.iter().filter(|step| matches!(step, Step::Run { .. })).count();
    format!("{runs} commands of {} still differ:\n{}{last}", plan.steps.len(), show(&best))
}
