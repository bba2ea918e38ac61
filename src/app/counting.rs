//! Quotes that took nothing, counted for the scorecard. They never get to the ledger, so each server counts its own and adds them up
//! every second. What was held is counted by the ledger, in the step in which it is.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use smallvec::SmallVec;
use tokio::task::JoinSet;
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::App;
use crate::domain::answer::{Answer, Verdict};
use crate::domain::ask::{Ask, When};
use crate::domain::calendar::Calendar;
use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::limits::{MAX_COUNTED, MAX_HORIZON_DAYS, MAX_REFUSED_WAITING, MAX_TALLIES};
use crate::domain::time::{Day, Moment};
use crate::ledger::command::{Command, Outcome};
use crate::ledger::refused::Digest;
use crate::ledger::tally::{self, Counted, Tallies};
use crate::ledger::{Ledger, LedgerError};

/// Counters, so that threads do not wait for each other.
const SHARDS: usize = 16;
/// How often what was counted is added up.
const EVERY: Duration = Duration::from_secs(1);
/// Refusals that are sent to the ledger together.
const REFUSED_AT_ONCE: usize = 200;

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum What {
    /// An answer.
    Answer(Verdict),
    /// Demand that was lost for want of this.
    Lost(ResourceId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    network: NetworkId,
    what: What,
    date: Day,
    channel: Option<Arc<str>>,
    offer: Option<Arc<str>>,
}

/// As [`Key`], of what is about to be counted.
struct Seen<'a> {
    network: &'a NetworkId,
    what: WhatSeen<'a>,
    date: Day,
    ask: &'a Ask,
}

#[derive(Clone, Copy)]
enum WhatSeen<'a> {
    Answer(Verdict),
    Lost(&'a ResourceId),
}

impl Seen<'_> {
    fn digest(&self) -> u64 {
        let mut hasher = FxHasher::default();
        self.network.as_str().hash(&mut hasher);
        match self.what {
            WhatSeen::Answer(verdict) => verdict.hash(&mut hasher),
            WhatSeen::Lost(resource) => resource.hash(&mut hasher),
        }
        (self.date, &self.ask.channel, &self.ask.offer).hash(&mut hasher);
        hasher.finish()
    }

    fn is(&self, key: &Key) -> bool {
        let same = match (self.what, &key.what) {
            (WhatSeen::Answer(a), What::Answer(b)) => a == *b,
            (WhatSeen::Lost(a), What::Lost(b)) => a == b,
            (WhatSeen::Answer(_), What::Lost(_)) | (WhatSeen::Lost(_), What::Answer(_)) => false,
        };
        same && self.date == key.date
            && self.ask.channel == key.channel
            && self.ask.offer == key.offer
            && *self.network == key.network
    }

    fn key(&self) -> Key {
        Key {
            network: self.network.clone(),
            what: match self.what {
                WhatSeen::Answer(verdict) => What::Answer(verdict),
                WhatSeen::Lost(resource) => What::Lost(resource.clone()),
            },
            date: self.date,
            channel: self.ask.channel.clone(),
            offer: self.ask.offer.clone(),
        }
    }
}

/// One number.
struct Count {
    key: Key,
    quotes: i64,
    units: i64,
}

/// A hold that was refused.
#[derive(Clone, Debug)]
struct Refused {
    network: NetworkId,
    request: Digest,
    tallies: SmallVec<[(Arc<str>, i64); 3]>,
}

/// By digest; nearly always one for each.
type Shard = FxHashMap<u64, SmallVec<[Count; 1]>>;

/// What was counted and is not added up yet.
#[derive(Default)]
struct Waiting {
    /// Tallies by network.
    numbers: FxHashMap<NetworkId, FxHashMap<Arc<str>, i64>>,
    refused: Vec<Refused>,
}

/// What this server counted and has not added up yet.
pub(super) struct Counting {
    shards: [Mutex<Shard>; SHARDS],
    /// Holds that were refused. Each is counted by the ledger once, whichever servers it is sent to.
    refused: Mutex<Vec<Refused>>,
    /// Quotes for which there was no room.
    beyond: AtomicU64,
    /// What could not be added up yet. One adds up at a time, so that who waits for it knows that all is in.
    waiting: tokio::sync::Mutex<Waiting>,
}

impl Default for Counting {
    fn default() -> Self {
        Counting {
            shards: std::array::from_fn(|_| Mutex::default()),
            refused: Mutex::default(),
            beyond: AtomicU64::new(0),
            waiting: tokio::sync::Mutex::default(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This thread's counter.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        own.get()
    })
}

impl Counting {
    /// Counts an answer that took nothing, and the demand that it lost. `id`: the request's, whose refusal is counted once.
    pub fn count(&self, network: &NetworkId, id: Option<&ReservationId>, ask: &Ask, date: Day, answer: &Answer) {
        let answered = (Seen { network, what: WhatSeen::Answer(answer.verdict), date, ask }, 1, 0);
        let lost = lost(answer).map(|(resource, units)| {
            let what = WhatSeen::Lost(resource);
            (Seen { network, what, date, ask }, 1, units)
        });
        let counts = std::iter::once(answered).chain(lost);
        if let Some(id) = id {
            let tallies = counts.flat_map(|(seen, quotes, units)| named(&seen.key(), quotes, units)).collect();
            let mut refused = locked(&self.refused);
            if refused.len() < MAX_REFUSED_WAITING {
                let request = xxh3_64(id.as_str().as_bytes());
                refused.push(Refused { network: network.clone(), request, tallies });
            } else {
                self.beyond.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let mut shard = locked(&self.shards[own_shard()]);
        for (seen, quotes, units) in counts {
            self.add(&mut shard, &seen, quotes, units);
        }
    }

    fn add(&self, shard: &mut Shard, seen: &Seen<'_>, quotes: i64, units: i64) {
        let digest = seen.digest();
        if shard.len() >= MAX_COUNTED && !shard.contains_key(&digest) {
            self.beyond.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let of_digest = shard.entry(digest).or_default();
        match of_digest.iter_mut().find(|count| seen.is(&count.key)) {
            Some(count) => {
                count.quotes += quotes;
                count.units = count.units.saturating_add(units);
            }
            None => of_digest.push(Count { key: seen.key(), quotes, units }),
        }
    }

    /// Takes all that was counted since the last time.
    fn take(&self, waiting: &mut Waiting) {
        for shard in &self.shards {
            let shard = std::mem::take(&mut *locked(shard));
            for Count { key, quotes, units } in shard.into_values().flatten() {
                let of_network = waiting.numbers.entry(key.network.clone()).or_default();
                for (name, number) in named(&key, quotes, units) {
                    if of_network.len() < MAX_COUNTED * SHARDS || of_network.contains_key(&name) {
                        *of_network.entry(name).or_default() += number;
                    } else {
                        self.beyond.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        let mut refused = std::mem::take(&mut *locked(&self.refused));
        let room = MAX_REFUSED_WAITING.saturating_sub(waiting.refused.len());
        self.beyond.fetch_add(refused.len().saturating_sub(room) as u64, Ordering::Relaxed);
        refused.truncate(room);
        waiting.refused.append(&mut refused);
        let beyond = self.beyond.swap(0, Ordering::Relaxed);
        if beyond > 0 {
            warn!(
                numbers = beyond,
                "more is counted than can be kept while the store is away; some quotes are missing"
            );
        }
    }
}

/// The demand that an answer lost, by the resource that was missing first.
fn lost(answer: &Answer) -> Option<(&ResourceId, i64)> {
    let first = answer.bottlenecks.first().filter(|_| answer.verdict != Verdict::Promised)?;
    Some((first.resource.as_ref()?, first.wanted.saturating_sub(first.available).max(0)))
}

/// The tallies of one number.
fn named(key: &Key, quotes: i64, units: i64) -> SmallVec<[(Arc<str>, i64); 2]> {
    let (channel, offer) = (key.channel.as_deref(), key.offer.as_deref());
    match &key.what {
        What::Answer(verdict) => {
            let counted = match verdict {
                Verdict::Promised => Counted::Promised,
                Verdict::Later => Counted::Later,
                Verdict::Unavailable => Counted::Unavailable,
            };
            smallvec::smallvec![(tally::score(key.date, channel, offer, counted), quotes)]
        }
        What::Lost(resource) => {
            let lost = |units| tally::lost(key.date, channel, offer, units, resource.as_str());
            smallvec::smallvec![(lost(false), quotes), (lost(true), units)]
        }
    }
}

/// The day that a quote counts for: the promised one, if it is a yes; else the one that was asked for; else the promised one, or
/// today, in the zone.
pub(super) fn day_of(answer: &Answer, ask: &Ask, zone: &Calendar, now: Moment) -> Day {
    let promised = answer.promise.as_ref().map(|promise| promise.date);
    let asked = match ask.when {
        When::Any => None,
        When::ByDate(day) | When::OnDate(day) => Some(day),
        When::ByTime(at) => Some(zone.day_of(at)),
        When::InWindow { from, .. } => Some(zone.day_of(from)),
    };
    let of_yes = promised.filter(|_| answer.verdict == Verdict::Promised);
    let today = zone.day_of(now);
    // No plan reaches further: whatever callers ask for, the days that are counted are bounded.
    let asked = asked.map(|day| day.clamp(today, today + MAX_HORIZON_DAYS));
    of_yes.or(asked).or(promised).unwrap_or(today)
}

impl App {
    /// Adds up what was counted, every second until the service stops.
    pub async fn keep_count(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stop.cancelled() => return,
            }
            self.add_up().await;
        }
    }

    /// Counts an answer that took nothing.
    pub(super) fn count(
        &self,
        network: &NetworkId,
        id: Option<&ReservationId>,
        ask: &Ask,
        answer: &Answer,
        zone: &Calendar,
        now: Moment,
    ) {
        self.counting.count(network, id, ask, day_of(answer, ask, zone, now), answer);
    }

    /// Adds up what this server has counted so far. What can't be added now is kept for the next time. A caller who goes away
    /// meanwhile cuts nothing in half: what the ledger has taken is not sent again.
    pub async fn add_up(self: &Arc<Self>) {
        let app = Arc::clone(self);
        if tokio::spawn(async move { app.add_all_up().await }).await.is_err() {
            warn!("adding up what was counted came to an unexpected end");
        }
    }

    async fn add_all_up(&self) {
        let mut waiting = self.counting.waiting.lock().await;
        self.counting.take(&mut waiting);
        waiting.refused = add_refused(&self.ledger, std::mem::take(&mut waiting.refused)).await;
        for (network, numbers) in waiting.numbers.iter_mut() {
            while !numbers.is_empty() {
                let some: Tallies = numbers.iter().take(MAX_TALLIES).map(|(name, n)| (Arc::clone(name), *n)).collect();
                let names: Vec<Arc<str>> = some.iter().map(|(name, _)| Arc::clone(name)).collect();
                let give_up_at = Some(Instant::now() + EVERY);
                match self.ledger.execute(network, Command::Count(some), give_up_at).await {
                    Ok(Outcome::Done) => {}
                    Ok(other) => warn!(%network, ?other, "what was counted was not taken"),
                    // It may be in already, and nothing is counted twice.
                    Err(LedgerError::OutcomeUnknown(why)) => {
                        let numbers = names.len();
                        warn!(%network, %why, numbers, "nobody knows whether quotes were counted; they are not counted again");
                    }
                    Err(
                        LedgerError::Unavailable(_)
                        | LedgerError::Overloaded
                        | LedgerError::DeadlinePassed
                        | LedgerError::UnknownNetwork
                        | LedgerError::TooManyNetworks(_),
                    ) => break,
                }
                for name in names {
                    numbers.remove(&name);
                }
            }
        }
        waiting.numbers.retain(|_, numbers| !numbers.is_empty());
    }
}

/// Has refusals counted, those of the last first. Tells which could not be; where nobody knows, it is tried again, as none is counted
/// twice. A network that can't be reached is asked once, so that it does not hold up all others.
async fn add_refused(ledger: &Arc<dyn Ledger>, mut refused: Vec<Refused>) -> Vec<Refused> {
    let (mut left, mut away) = (Vec::new(), FxHashSet::default());
    while !refused.is_empty() {
        let some = refused.split_off(refused.len().saturating_sub(REFUSED_AT_ONCE));
        let mut adding = JoinSet::new();
        for one in some {
            if away.contains(&one.network) {
                left.push(one);
                continue;
            }
            let ledger = Arc::clone(ledger);
            adding.spawn(async move {
                let command = Command::CountOnce { request: one.request, tallies: one.tallies.to_vec() };
                let added = ledger.execute(&one.network, command, Some(Instant::now() + EVERY)).await;
                added.is_err().then_some(one)
            });
        }
        for one in adding.join_all().await.into_iter().flatten() {
            away.insert(one.network.clone());
            left.push(one);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::Scripted;
    use crate::domain::answer::Bottleneck;
    use crate::domain::ask::{Destination, Line, Shipments};

    #[tokio::test]
    async fn refusals_of_a_network_that_is_away_do_not_hold_up_others() {
        let [near, away] = ["near", "away"].map(|name| NetworkId::new(name).expect("a name"));
        let scripted = Arc::new(Scripted::without(away.clone()));
        let ledger: Arc<dyn Ledger> = Arc::clone(&scripted) as _;
        let of = |network: &NetworkId, count: usize| {
            let one = Refused { network: network.clone(), request: Digest::default(), tallies: SmallVec::new() };
            std::iter::repeat_n(one, count)
        };
        let many = 5 * REFUSED_AT_ONCE;
        let refused: Vec<Refused> = of(&near, 7).chain(of(&away, many)).chain(of(&near, 3)).collect();
        let left = add_refused(&ledger, refused).await;
        assert_eq!(left.len(), many, "all of those that are away are kept");
        assert!(left.iter().all(|one| one.network == away));
        let asked = scripted.counted_once.lock().unwrap().clone();
        assert_eq!(asked.iter().filter(|network| **network == near).count(), 10, "all others are counted, each once");
        let in_vain = asked.iter().filter(|network| **network == away).count();
        assert!((1..=REFUSED_AT_ONCE).contains(&in_vain), "{in_vain}: it is asked together with others, once");
    }

    fn ask(channel: Option<&str>) -> Ask {
        Ask {
            lines: vec![Line { sku: "mug".into(), quantity: 1 }],
            destination: Destination::Zone("de".into()),
            when: When::Any,
            service: None,
            channel: channel.map(Arc::from),
            offer: None,
            shipments: Shipments::Together,
            min_confidence: None,
        }
    }

    fn answer(verdict: Verdict) -> Answer {
        let bottleneck = Bottleneck {
            resource: ResourceId::new("lej.van").ok(),
            site: "lej".into(),
            from: Moment(0),
            to: Moment(1),
            wanted: 5,
            available: 2,
            explanation: String::new(),
        };
        let bottlenecks = if verdict == Verdict::Promised { vec![] } else { vec![bottleneck] };
        Answer { verdict, promise: None, bottlenecks, alternatives: vec![], as_of: Moment(0) }
    }

    fn sums(counting: &Counting) -> Vec<(String, i64)> {
        let mut waiting = Waiting::default();
        counting.take(&mut waiting);
        let mut sums: Vec<(String, i64)> =
            waiting.numbers.into_values().flatten().map(|(name, n)| (name.replace('\t', " "), n)).collect();
        sums.sort();
        sums
    }

    #[test]
    fn numbers_add_up_over_threads_and_are_taken_once() {
        let counting = Counting::default();
        let network = NetworkId::default_network();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        counting.count(&network, None, &ask(Some("web")), Day(7), &answer(Verdict::Promised));
                        counting.count(&network, None, &ask(None), Day(7), &answer(Verdict::Later));
                    }
                });
            }
        });
        let expected = [
            ("lost 7   quotes lej.van", 4_000),
            ("lost 7   units lej.van", 12_000),
            ("score 7   later", 4_000),
            ("score 7 web  promised", 4_000),
        ];
        assert_eq!(sums(&counting), expected.map(|(name, n)| (name.to_owned(), n)));
        assert_eq!(sums(&counting), []);
    }

    #[test]
    fn what_waits_stays_bounded() {
        let counting = Counting::default();
        let network = NetworkId::default_network();
        let id = |i: usize| ReservationId::new(&format!("r{i}")).expect("an id");
        for i in 0..MAX_REFUSED_WAITING + 10 {
            counting.count(&network, Some(&id(i)), &ask(None), Day(7), &answer(Verdict::Unavailable));
        }
        let mut waiting = Waiting::default();
        counting.take(&mut waiting);
        assert_eq!(waiting.refused.len(), MAX_REFUSED_WAITING);
        let names: Vec<_> = waiting.refused[0].tallies.iter().map(|(name, n)| (name.replace('\t', " "), *n)).collect();
        let expected = [("score 7   unavailable", 1), ("lost 7   quotes lej.van", 1), ("lost 7   units lej.van", 3)];
        assert_eq!(names, expected.map(|(name, n)| (name.to_owned(), n)));
        counting.count(&network, Some(&id(0)), &ask(None), Day(7), &answer(Verdict::Unavailable));
        counting.take(&mut waiting);
        assert_eq!(waiting.refused.len(), MAX_REFUSED_WAITING);

        for i in 0..MAX_COUNTED + 10 {
            counting.count(&network, None, &ask(None), Day(i as i32), &answer(Verdict::Promised));
        }
        assert_eq!(sums(&counting).len(), MAX_COUNTED);
    }

    /// What it costs a quote. Run with `--ignored --nocapture`, in release.
    #[test]
    #[ignore = "a measurement"]
    fn counting_costs_little() {
        let counting = Counting::default();
        let network = NetworkId::default_network();
        let (ask, answer) = (ask(Some("web")), answer(Verdict::Promised));
        let begun = Instant::now();
        for i in 0..1_000_000 {
            counting.count(&network, None, &ask, Day(i % 20), &answer);
        }
        println!("{:?} for a million quotes", begun.elapsed());
    }
}
