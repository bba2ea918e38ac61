//! Was anything promised that there is not? Looked at when the calls are over, from three sides: the run's own book against the supply,
//! the servers' balances, and the reservations that were acknowledged, looked up one by one.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::LoadError;
use super::book::{Held, peaks, standing};
use super::dice::Dice;
use super::ground::{self, Ground, Office, last_resource};
use super::message::Parts;
use super::subject::Subject;
use crate::proto::v1;
use crate::proto::v1::reservation::State;

/// Reservations that are looked up, of those confirmed and of those held: enough that a loss of one in a hundred is hardly missed.
pub const SAMPLE: usize = 1_000;
/// Reservations that are looked up at once.
const AT_ONCE: usize = 32;
/// Violations that are told in words; the others are counted.
const TOLD: usize = 20;

/// A bucket and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The resource.
    pub resource: String,
    /// When the bucket begins, RFC 3339.
    pub from: String,
    /// Units.
    pub units: i64,
    /// Units that there are in all.
    pub supply: i64,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Each one sentence; the first of them.
    pub violations: Vec<String>,
    /// All that were found.
    pub violated: u64,
    /// Holds that were acknowledged.
    pub holds: u64,
    /// Of these, how many were confirmed.
    pub confirmed: u64,
    /// Buckets whose balance was looked at.
    pub buckets: u64,
    /// The lowest balance of any.
    pub lowest: Option<Level>,
    /// Buckets that were below zero before the run, as their supply had been cut.
    pub below_before: u64,
    /// Buckets of which the book knows what was taken; none of a network that was found.
    pub booked: u64,
    /// The one that was certainly taken to the largest share, at one instant.
    pub fullest: Option<Level>,
    /// Confirmed reservations that were looked up.
    pub confirmed_seen: u64,
    /// Held reservations that were looked up, and those that could have been.
    pub held_seen: (u64, u64),
}

impl Findings {
    fn violation(&mut self, what: String) {
        self.violated += 1;
        if self.violations.len() < TOLD {
            self.violations.push(what);
        }
    }
}

/// Balances below zero, by resource and beginning: what a supply that was cut leaves behind.
pub type Below = HashMap<(String, i64), i64>;

/// What is below zero before a run.
pub fn below(buckets: &[v1::Bucket]) -> Below {
    let name = |bucket: &v1::Bucket| {
        let (resource, from) = ground::key(bucket);
        (resource.to_owned(), from)
    };
    buckets.iter().filter(|bucket| bucket.available < 0).map(|bucket| (name(bucket), bucket.available)).collect()
}

fn instant(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// Looks at everything.
///
/// # Errors
/// What a target refused.
pub async fn check(
    office: &Office,
    ground: &Ground,
    subject: &Subject,
    parts: &Parts,
    before: &Below,
    seed: u64,
) -> Result<Findings, LoadError> {
    let Some((book, begun)) = subject.book() else { return Ok(Findings::default()) };
    let buckets = ground::buckets(office, ground).await?;
    let ended = subject.now();
    let holds = book.all();
    let mut findings = Findings {
        holds: holds.len() as u64,
        confirmed: holds.iter().filter(|held| held.confirmed).count() as u64,
        buckets: buckets.len() as u64,
        below_before: before.len() as u64,
        ..Findings::default()
    };
    balances(&buckets, before, &mut findings);
    if ground.made {
        let supply: BTreeMap<(&str, i64), &v1::Bucket> = buckets.iter().map(|b| (ground::key(b), b)).collect();
        against_supply(&peaks(&holds), &supply, &mut findings);
        against_balances(&standing(&holds, begun, ended), &supply, &mut findings);
    }
    let mut dice = Dice::new(seed, u64::MAX);
    let confirmed = sample(holds.iter().filter(|held| held.confirmed && !held.released), &mut dice);
    let live = |held: &&Held| !held.confirmed && !held.released && held.until > ended;
    findings.held_seen.1 = holds.iter().filter(live).count() as u64;
    let live = sample(holds.iter().filter(live), &mut dice);
    let mut drawn = BTreeMap::new();
    for held in look_up(office, parts, confirmed).await? {
        findings.confirmed_seen += 1;
        stands(&held, &[State::Confirmed, State::Fulfilled], &mut findings);
        add_draws(&held, &mut drawn);
    }
    for held in look_up(office, parts, live).await? {
        // Who was looked up too late may have expired.
        if held.held.until > subject.now() {
            findings.held_seen.0 += 1;
            // One whose confirmation got no answer may be confirmed all the same.
            stands(&held, &[State::Held, State::Confirmed, State::Fulfilled], &mut findings);
        }
    }
    draws_are_counted(&drawn, &buckets, &mut findings);
    Ok(findings)
}

/// No balance is below zero, except where it was before; and there it has not sunk.
fn balances(buckets: &[v1::Bucket], before: &Below, findings: &mut Findings) {
    for bucket in buckets {
        let (resource, from) = ground::key(bucket);
        let units = bucket.available;
        let was = before.get(&(resource.to_owned(), from)).copied().unwrap_or(0);
        if units < was.min(0) {
            let taken = format!("{} held, {} confirmed, {} set aside", bucket.held, bucket.confirmed, bucket.allocated);
            let what = format!("{resource}, {}: {units} left of {} ({taken})", instant(from), bucket.supply);
            findings.violation(what);
        }
        // Where there never was anything, nothing left is no news.
        let telling = bucket.supply != 0 || units < 0;
        if telling && findings.lowest.as_ref().is_none_or(|lowest| units < lowest.units) {
            let resource = resource.to_owned();
            findings.lowest = Some(Level { resource, from: instant(from), units, supply: bucket.supply });
        }
    }
}

/// The beginning of the made network's bucket of a day.
fn beginning(day: Date) -> i64 {
    day.to_zoned(TimeZone::UTC).map_or(0, |midnight| midnight.timestamp().as_second())
}

/// What was certainly taken at one instant is no more than there is.
fn against_supply(
    peaks: &BTreeMap<(u32, Date), i64>,
    supply: &BTreeMap<(&str, i64), &v1::Bucket>,
    findings: &mut Findings,
) {
    for ((product, day), taken) in peaks {
        let (resource, from) = (last_resource(*product), beginning(*day));
        let Some(bucket) = supply.get(&(resource.as_str(), from)) else {
            findings.violation(format!("{resource}, {}: {taken} promised, and there is no such bucket", instant(from)));
            continue;
        };
        findings.booked += 1;
        if *taken > bucket.supply {
            let certain = format!("{taken} were acknowledged and alive at one instant");
            findings.violation(format!("{resource}, {}: oversold: {certain}, of {}", instant(from), bucket.supply));
        }
        let level = Level { resource: resource.clone(), from: instant(from), units: *taken, supply: bucket.supply };
        let fuller = |than: &Level| {
            i128::from(level.units) * i128::from(than.supply) > i128::from(than.units) * i128::from(level.supply)
        };
        if findings.fullest.as_ref().is_none_or(fuller) {
            findings.fullest = Some(level);
        }
    }
}

/// What is certainly taken is counted as taken.
fn against_balances(
    standing: &BTreeMap<(u32, Date), i64>,
    supply: &BTreeMap<(&str, i64), &v1::Bucket>,
    findings: &mut Findings,
) {
    for ((product, day), taken) in standing {
        let (resource, from) = (last_resource(*product), beginning(*day));
        let counted = supply.get(&(resource.as_str(), from)).map_or(0, |bucket| bucket.held + bucket.confirmed);
        if counted < *taken {
            let what = format!(
                "{resource}, {}: lost: {taken} are acknowledged and alive, {counted} are counted as taken",
                instant(from)
            );
            findings.violation(what);
        }
    }
}

/// So many of them, by chance.
fn sample<'a>(of: impl Iterator<Item = &'a Held>, dice: &mut Dice) -> Vec<Held> {
    let mut all: Vec<&Held> = of.collect();
    for at in 0..all.len().min(SAMPLE) {
        let other = at + dice.below(all.len() - at);
        all.swap(at, other);
    }
    all.truncate(SAMPLE);
    all.into_iter().cloned().collect()
}

/// A hold of the book, and what a server says about it.
struct Seen {
    held: Held,
    id: String,
    answer: Result<v1::GetReservationResponse, Status>,
}

async fn look_up(office: &Office, parts: &Parts, holds: Vec<Held>) -> Result<Vec<Seen>, LoadError> {
    let mut seen = Vec::with_capacity(holds.len());
    for some in holds.chunks(AT_ONCE) {
        let mut asked = JoinSet::new();
        for held in some {
            let (held, id, mut client) = (held.clone(), parts.id(held.number), office.promises());
            let request = office.ask(v1::GetReservationRequest { id: id.clone() })?;
            asked.spawn(async move {
                let answer = client.get_reservation(request).await.map(tonic::Response::into_inner);
                Seen { held, id, answer }
            });
        }
        seen.extend(asked.join_all().await);
    }
    // What could not be asked is no finding: the check was not made.
    let away = |status: &Status| !matches!(status.code(), Code::NotFound | Code::FailedPrecondition);
    if let Some(status) = seen.iter().filter_map(|seen| seen.answer.as_ref().err()).find(|status| away(status)) {
        return Err(office.failed(status.clone()));
    }
    Ok(seen)
}

/// The reservation is there, in one of these states.
fn stands(seen: &Seen, states: &[State], findings: &mut Findings) {
    let state = match &seen.answer {
        Ok(answer) => answer.reservation.as_ref().map(v1::Reservation::state),
        Err(_) => None,
    };
    if state.is_some_and(|state| states.contains(&state)) {
        return;
    }
    let word = |state: State| state.as_str_name().trim_start_matches("STATE_").to_ascii_lowercase();
    let found = match (&seen.answer, state) {
        (Err(status), _) => status.message().to_owned(),
        (Ok(_), Some(state)) => word(state),
        (Ok(_), None) => "empty".to_owned(),
    };
    findings.violation(format!("reservation {}: acknowledged as {}, found: {found}", seen.id, word(states[0])));
}

fn add_draws(seen: &Seen, drawn: &mut BTreeMap<(String, i64), i64>) {
    for draw in seen.answer.iter().flat_map(|answer| &answer.draws) {
        let from = draw.from.as_ref().map_or(0, |from| from.seconds);
        *drawn.entry((draw.resource.clone(), from)).or_insert(0) += draw.units;
    }
}

/// What the confirmed reservations that were looked up draw is counted as taken.
fn draws_are_counted(drawn: &BTreeMap<(String, i64), i64>, buckets: &[v1::Bucket], findings: &mut Findings) {
    for bucket in buckets {
        let (resource, from) = ground::key(bucket);
        let Some(units) = drawn.get(&(resource.to_owned(), from)) else { continue };
        if *units > bucket.held + bucket.confirmed {
            let counted = bucket.held + bucket.confirmed;
            findings
                .violation(format!("{resource}, {}: reservations draw {units}, {counted} are counted", instant(from)));
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn bucket(resource: &str, day: Date, supply: i64, held: i64) -> v1::Bucket {
        let from = Some(pbjson_types::Timestamp { seconds: beginning(day), nanos: 0 });
        v1::Bucket { resource: resource.to_owned(), from, supply, held, available: supply - held, ..Default::default() }
    }

    #[test]
    fn balances_below_zero_are_found_and_old_ones_are_not() {
        let day = date(2026, 12, 1);
        let buckets = [bucket("a", day, 5, 5), bucket("b", day, 5, 6), bucket("c", day, 5, 9)];
        let mut findings = Findings::default();
        balances(&buckets, &below(&buckets[1..2]), &mut findings);
        let told = "c, 2026-12-01T00:00:00Z: -4 left of 5 (9 held, 0 confirmed, 0 set aside)";
        assert_eq!(findings.violations, [told]);
        assert_eq!(findings.lowest.unwrap().units, -4);
        let mut findings = Findings::default();
        balances(&[bucket("b", day, 5, 7)], &below(&buckets[1..2]), &mut findings);
        assert_eq!(findings.violated, 1, "it has sunk");
    }

    #[test]
    fn what_is_certain_is_held_against_what_there_is() {
        let day = date(2026, 12, 1);
        let (first, second) = (last_resource(0), last_resource(1));
        let buckets = [bucket(&first, day, 5, 5), bucket(&second, day, 5, 1)];
        let supply = buckets.iter().map(|b| (ground::key(b), b)).collect();
        let mut findings = Findings::default();
        against_supply(&BTreeMap::from([((0, day), 5), ((1, day), 6)]), &supply, &mut findings);
        assert_eq!((findings.violated, findings.booked), (1, 2));
        assert!(findings.violations[0].contains("oversold: 6 were acknowledged"), "{:?}", findings.violations);
        assert_eq!(findings.fullest.as_ref().map(|level| level.units), Some(6));
        against_supply(&BTreeMap::from([((7, day), 1)]), &supply, &mut findings);
        assert_eq!(findings.violated, 2, "no such bucket");
        let mut findings = Findings::default();
        against_balances(&BTreeMap::from([((0, day), 5), ((1, day), 2)]), &supply, &mut findings);
        assert!(findings.violations[0].contains("lost: 2 are"), "{:?}", findings.violations);
        assert_eq!(findings.violated, 1);
    }

    #[test]
    fn many_violations_are_counted_and_the_first_told() {
        let mut findings = Findings::default();
        (0..50).for_each(|n| findings.violation(n.to_string()));
        assert_eq!((findings.violated, findings.violations.len()), (50, TOLD));
    }
}
