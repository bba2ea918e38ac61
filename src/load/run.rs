//! A run from its beginning to its end: connections, ground, rounds in turn, the check.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::LoadError;
use super::check::{Below, Findings, below, check};
use super::drive::{Drive, round};
use super::ground::{Ground, Office, buckets, lay};
use super::measured::Round;
use super::message::Parts;
use super::plan::{Pace, Plan};
use super::search::{Found, Step, highest};
use super::subject::{Subject, connect};

/// What rounds after the first are given to get going again: the callers' first calls come all at once.
const RESUME: Duration = Duration::from_millis(200);

/// Told what is about to be done, and how long it takes.
pub trait Watch: Send + Sync {
    /// A part of the run begins.
    fn begins(&self, what: &str, lasting: Duration);
}

/// A subject and its rounds.
#[derive(Clone, Debug)]
pub struct Driven {
    /// "surety" or "echo".
    pub name: &'static str,
    /// In their order.
    pub rounds: Vec<Round>,
}

/// A subject and the highest rate that it was found to keep up with.
#[derive(Clone, Debug, PartialEq)]
pub struct Searched {
    /// "surety" or "echo".
    pub name: &'static str,
    /// What was found.
    pub found: Found,
}

/// A run that is ready to begin.
#[derive(Debug)]
pub struct Run {
    /// What is to be done.
    pub plan: Plan,
    /// What it stands on.
    pub ground: Ground,
    parts: Parts,
    office: Office,
    before: Below,
    /// The service; then the echo, if there is one.
    subjects: Vec<Arc<Subject>>,
}

impl Run {
    /// Connects to all targets and lays the ground. `run` is a number that no other run has.
    ///
    /// # Errors
    /// What can't be reached, or was refused.
    pub async fn prepare(plan: Plan, run: u64) -> Result<Self, LoadError> {
        let mut offices = Vec::new();
        let mut each: Vec<Vec<Channel>> = Vec::new();
        for target in &plan.targets {
            let channels = connect(target, plan.connections).await?;
            offices.extend(channels.first().map(|first| Office::new(target, first.clone(), &plan)));
            each.push(channels);
        }
        let ground = lay(&offices, &plan).await?;
        let office = offices.swap_remove(0);
        let before = below(&buckets(&office, &ground).await?);
        let parts = Parts::new(&plan, &ground, run);
        // The targets in turn, so that each gets as many callers as the others.
        let channels = (0..plan.connections).flat_map(|i| each.iter().map(move |of| of[i].clone())).collect();
        let service = Subject::service(&plan, &ground, parts.clone(), channels)?;
        Ok(Self { plan, ground, parts, office, before, subjects: vec![Arc::new(service)] })
    }

    /// With an echo at this address, served by this process, to compare with, over as many connections as all targets have.
    ///
    /// # Errors
    /// [`LoadError::Unreachable`].
    pub async fn beside(&mut self, echo: &str, pid: u32) -> Result<(), LoadError> {
        let channels = connect(echo, self.plan.connections * self.plan.targets.len()).await?;
        self.subjects.truncate(1);
        self.subjects.push(Arc::new(Subject::echo(&self.plan, &self.ground, &self.parts, channels, pid)));
        Ok(())
    }

    fn seed(&self, round: usize, subject: usize) -> u64 {
        self.plan.seed.wrapping_add((round * self.subjects.len() + subject) as u64).wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Drives all subjects in turn, round by round, so that what else the machine does hits all alike. Stopped, it ends early with
    /// what was measured.
    pub async fn drive(&self, stop: &CancellationToken, watch: &dyn Watch) -> Vec<Driven> {
        let mut driven: Vec<Driven> =
            self.subjects.iter().map(|subject| Driven { name: subject.name, rounds: Vec::new() }).collect();
        for number in 0..self.plan.rounds {
            let settle = if number == 0 { self.plan.warm_up } else { self.plan.warm_up.min(RESUME) };
            for (at, subject) in self.subjects.iter().enumerate() {
                if stop.is_cancelled() {
                    return driven;
                }
                let what = format!("round {} of {}: {}", number + 1, self.plan.rounds, subject.name);
                watch.begins(&what, settle + self.plan.duration);
                let drive =
                    Drive { pace: self.plan.pace, settle, lasting: self.plan.duration, seed: self.seed(number, at) };
                let done = round(subject, &drive, stop).await;
                // A round that was stopped while it warmed up has measured nothing.
                if !done.lasted.is_zero() {
                    driven[at].rounds.push(done);
                }
            }
        }
        driven
    }

    /// Searches the highest rate with p99 under a limit, of each subject, from a rate on.
    pub async fn search(
        &self,
        start: f64,
        limit: Duration,
        pace: Pace,
        stop: &CancellationToken,
        watch: &dyn Watch,
    ) -> Vec<Searched> {
        let mut searched = Vec::new();
        for (at, subject) in self.subjects.iter().enumerate() {
            let mut number = 0;
            let found = highest(start, limit, async |rate| {
                let (settle, lasting) = (self.plan.warm_up, self.plan.duration);
                watch.begins(&format!("{} at {rate:.0} a second", subject.name), settle + lasting);
                let drive = Drive { pace: pace.at(rate), settle, lasting, seed: self.seed(number, at) };
                number += 1;
                let done = round(subject, &drive, stop).await;
                let total = done.sheet.total();
                let (answered, p99, failures) = (done.rate(&total), total.at(0.99), total.failures());
                // Those of the last moments may still be on their way, for as long as each may take.
                let settled = 1.0 - limit.as_secs_f64() / lasting.as_secs_f64();
                let due = total.calls() as f64 / lasting.as_secs_f64() * settled.max(0.0);
                (!stop.is_cancelled()).then_some(Step { rate, due, answered, p99, failures })
            });
            searched.push(Searched { name: subject.name, found: found.await });
        }
        searched
    }

    /// Looks whether what was promised is there.
    ///
    /// # Errors
    /// What the first target refused.
    pub async fn check(&self) -> Result<Findings, LoadError> {
        check(&self.office, &self.ground, &self.subjects[0], &self.parts, &self.before, self.plan.seed).await
    }
}
