//! Many at once, by two servers on one store, so that commands travel in batches and race. Nobody knows beforehand what comes of it; so the
//! feed says in which order it was, and the rules say whether each of its entries is what one of the commands does there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use surety::clock::{Clock, ManualClock};
use surety::domain::ask::Ask;
use surety::domain::bucket::BucketLevel;
use surety::domain::draw::Pool;
use surety::domain::id::{NetworkId, ReservationId, ResourceId};
use surety::domain::reservation::{self, Reservation};
use surety::domain::time::{Moment, SECOND, Span};
use surety::ledger::command::{Command, Confirm, Outcome, Refusal, Retake};
use surety::ledger::feed::{Change, Entry};
use surety::ledger::redis::RedisLedger;
use surety::ledger::rules::{self, State};
use surety::ledger::{Ledger, LedgerError, ReservationFilter};
use tokio::task::JoinSet;

use super::compare::{Normal, same, same_entries, same_outcome};
use super::play::{Stage, empty, open};
use super::witness::Witness;
use crate::dice::Dice;
use crate::support::*;

const RESOURCES: [&str; 3] = ["a", "b", "never set"];
/// What the standing plan gives where no supply was set; and no command sets less, so that no balance is ever below zero.
const STANDING: i64 = 5;
const BUCKETS: i64 = 3;

/// Far more than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command that somebody gave, and what came of it.
struct Issued {
    command: Command,
    outcome: Result<Outcome, LedgerError>,
}

/// What all who take part share.
struct Square {
    servers: Vec<Arc<RedisLedger>>,
    network: NetworkId,
    clock: Arc<ManualClock>,
    version: AtomicI64,
    /// The reservations as they were last seen.
    seen: Mutex<BTreeMap<ReservationId, Arc<Reservation>>>,
    numbers: AtomicUsize,
}

/// Has so many people give so many commands each, and says what was wrong with what came of it; else how many entries there were.
pub async fn crowd(stage: &Stage, seed: u64, people: u64, each: u64) -> Result<usize, String> {
    empty(stage).await;
    let clock = Arc::new(ManualClock::at(BEGIN));
    let network = NetworkId::default_network();
    let witnesses = [Witness::of(&network), Witness::of(&network)];
    let mut servers = Vec::new();
    for witness in &witnesses {
        servers.push(open(stage, &clock, witness).await?);
    }
    let square = Arc::new(Square {
        servers,
        network,
        clock,
        version: AtomicI64::new(0),
        seen: Mutex::default(),
        numbers: AtomicUsize::new(0),
    });
    let mut issued = Vec::new();
    issued.push(square.give(0, super::sequence::first_network()).await?);
    for resource in &RESOURCES[..2] {
        issued.push(square.give(0, at_version(supply(resource, 0, &[60, 30, 90]), 1)).await?);
    }
    let mut tasks = JoinSet::new();
    for person in 0..people {
        let square = Arc::clone(&square);
        let mut dice = Dice::seeded(seed ^ (person + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        tasks.spawn(async move {
            let mut issued = Vec::new();
            for _ in 0..each {
                if dice.once_in(20) {
                    square.clock.advance(Span(dice.range(0, SECOND)));
                }
                let command = square.command(&mut dice);
                issued.push(square.give(dice.below(2) as usize, command).await?);
            }
            Ok::<_, String>(issued)
        });
    }
    for of_one in tasks.join_all().await {
        issued.extend(of_one?);
    }
    square.judge(stage, &witnesses, issued).await
}

/// What is counted without a reservation.
const COUNTED: &str = "lost\tthis";

fn pool(d: &mut Dice) -> Pool {
    match d.below(8) {
        0 => channel("vip"),
        1 => channel("web"),
        2 => of_offer(&format!("o{}", d.below(20))),
        _ => Pool::Common,
    }
}

fn asked(d: &mut Dice) -> Arc<Ask> {
    let offer = d.once_in(3).then(|| format!("o{}", d.below(20)).into());
    let channel = d.maybe(|d| ["vip", "web"][d.below(2) as usize].into());
    Arc::new(Ask { offer, channel, ..Ask::clone(&ask()) })
}

impl Square {
    /// Gives a command and waits for what comes of it; one that is turned away is given again.
    async fn give(&self, server: usize, command: Command) -> Result<Issued, String> {
        let begun = Instant::now();
        loop {
            let answer = self.servers[server].execute(&self.network, command.clone(), None);
            let answer = tokio::time::timeout(PATIENCE, answer).await;
            let outcome = answer.map_err(|_| format!("there is no answer to {command:?}"))?;
            match &outcome {
                Ok(Outcome::Reservation { reservation, .. } | Outcome::Amended { reservation, .. }) => {
                    let mut seen = self.seen.lock().expect("no task panics with it");
                    seen.insert(reservation.id.clone(), Arc::clone(reservation));
                }
                Ok(Outcome::NetworkApplied { version }) | Ok(Outcome::Refused(Refusal::NetworkChanged { version })) => {
                    self.version.fetch_max(*version, Ordering::SeqCst);
                }
                Err(LedgerError::Unavailable(why)) => {
                    if begun.elapsed() > PATIENCE {
                        return Err(format!("{command:?} is turned away all the time: {why}"));
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    continue;
                }
                Ok(_) | Err(_) => {}
            }
            return Ok(Issued { command, outcome });
        }
    }

    fn command(&self, d: &mut Dice) -> Command {
        let version = self.version.load(Ordering::SeqCst);
        // By this every reservation that was ever made can be told from every other.
        let number = self.numbers.fetch_add(1, Ordering::SeqCst);
        // Most commands are about the latest of many requests: what once ended is of no more use.
        let name = format!("r{}", (number as u64 / 6).saturating_sub(d.below(8)));
        let known = self.seen.lock().expect("no task panics with it").get(&rid(&name)).cloned();
        let takes = d.some(3, |d| {
            let mut take = takes(&[(RESOURCES[d.below(3) as usize], d.below(BUCKETS as u64) as i32, d.range(1, 4))]);
            take[0].standing = STANDING;
            take[0].draw.pool = pool(d);
            take.remove(0)
        });
        let (present, at_risk) = known.as_ref().map_or((1, false), |r| (r.version, r.at_risk));
        match d.below(112) {
            0..=30 => {
                let mut hold = hold_of(&name, takes, Span(d.range(1, 8 * SECOND)));
                hold.reference = format!("made by command {number}").into();
                hold.ask = asked(d);
                hold.promise = promise(self.clock.now().plus(Span(d.range(0, 10 * SECOND))));
                at_version(Command::Hold(Box::new(hold)), version)
            }
            31..=41 => {
                let draws = known.map_or(1, |r| r.draws.len());
                let retake = d.maybe(|_| Retake { network_version: version, standing: vec![STANDING; draws] });
                Command::Confirm(Confirm { id: rid(&name), reference: None, retake })
            }
            42..=50 => release(&name),
            51..=55 => extend(&name, Span(d.range(1, 8 * SECOND))),
            56..=65 => {
                let request = format!("a{}", d.below(4));
                let Command::Amend(mut c) = amend(&name, &request, present, &[]) else { unreachable!("it is one") };
                (c.takes, c.ask) = (takes, asked(d));
                at_version(Command::Amend(c), version)
            }
            66..=69 => undo(&name),
            70 | 71 => Command::Recall { id: rid(&name), fingerprint: digest(&name) },
            72..=74 => {
                let resource = RESOURCES[d.below(2) as usize];
                let standing = [STANDING; 2];
                let request = format!("s{}", d.below(10));
                at_version(adjust(&request, resource, d.below(2) as i32, &standing, d.range(1, 4)), version)
            }
            75 | 76 => {
                let Command::SetSupply(mut c) = supply(RESOURCES[d.below(2) as usize], 0, &[60, 30, 90]) else {
                    unreachable!("it is one")
                };
                c.only_unset = true;
                at_version(Command::SetSupply(c), version)
            }
            77 | 78 => Command::Forget { before: vec![(res(RESOURCES[d.below(3) as usize]), d.below(4) as i32)] },
            80..=84 => {
                let until = self.clock.now().plus(Span(d.range(-SECOND, 9 * SECOND)));
                let rows = [0, 1].map(|_| (d.range(0, 5), until, d.once_in(3).then(|| d.range(5, 40))));
                let by = ["vip", "web"][d.below(2) as usize];
                let mut command =
                    allocate(&format!("q{number}"), by, RESOURCES[d.below(3) as usize], d.below(2) as i32, &rows);
                if let Command::SetAllocation(c) = &mut command {
                    c.buckets.iter_mut().for_each(|b| b.standing = STANDING);
                }
                at_version(command, version)
            }
            85..=87 => {
                let until = self.clock.now().plus(Span(d.range(-SECOND, 9 * SECOND)));
                let id = format!("o{}", d.below(20));
                let (a, b) = (d.below(BUCKETS as u64) as i32, d.below(BUCKETS as u64) as i32);
                let envelope =
                    [(RESOURCES[0], a, d.range(1, 4)), (RESOURCES[1 + d.below(2) as usize], b, d.range(1, 4))];
                let mut command = approve(&id, &format!("{id} {}", d.below(2)), &envelope, until);
                if let Command::ApproveOffer(c) = &mut command {
                    c.standing.fill(STANDING);
                }
                at_version(command, version)
            }
            88 => close_offer(&format!("o{}", d.below(20))),
            89..=94 => mark(&name, present, !at_risk),
            95..=101 => {
                let Command::Repromise(mut c) = repromise(&name, present, d.range(0, 3) as i32, &[]) else {
                    unreachable!("it is one")
                };
                c.takes = takes;
                at_version(Command::Repromise(c), version)
            }
            102 => fix(&name, !d.once_in(3)),
            103 => ship(&name, BEGIN),
            104..=106 => deliver(&name, d.range(-1, 4) as i32),
            107..=109 => count(&[(COUNTED, d.range(1, 4))]),
            _ => {
                let dropped: &[&str] = if d.once_in(3) { &["never set"] } else { &[] };
                network(version, &format!("document {}", d.below(6)), dropped)
            }
        }
    }

    async fn judge(&self, stage: &Stage, witnesses: &[Arc<Witness>; 2], issued: Vec<Issued>) -> Result<usize, String> {
        for server in 0..2 {
            self.give(server, Command::Tick).await?;
        }
        let feed = self.feed().await?;
        let history = History::of(&feed, &issued, self.clock.now())?;
        for (place, issued) in issued.iter().enumerate() {
            history.allows(place, issued)?;
        }

        // Followers and who comes new know the same, and it is what the commands come to.
        let fresh = Witness::of(&self.network);
        let third = open(stage, &self.clock, &fresh).await?;
        let by_rules = Seen::of(&history.state.snapshot());
        let told = fresh.told();
        same("the full state", &Some(&by_rules), &told.seen.as_ref())?;
        same("the document", history.state.document(), &told.document)?;
        for (server, witness) in witnesses.iter().enumerate() {
            self.give(server, Command::Tick).await?;
            let told = witness.told();
            let what = format!("the follower of server {server}");
            same(&what, &Some(&by_rules), &told.seen.as_ref())?;
            same(&format!("{what}: what was wrong"), &Vec::<String>::new(), &told.wrong)?;
            same(&format!("{what}: how often it was void"), &0, &told.voids)?;
            let since: Vec<Entry> = feed[feed.len() - told.entries.len()..].iter().map(|e| Entry::clone(e)).collect();
            same_entries(&what, &since, &told.entries)?;
        }

        let found = self.reservations(&third).await?;
        let by_rules: BTreeMap<_, _> = history.state.reservations().map(|r| (r.id.clone(), Arc::clone(r))).collect();
        same("the reservations", &by_rules.into_values().collect::<Vec<_>>(), &found)?;
        let drifts = history.state.audit_against(found.iter().map(|r| &**r));
        same("drifts", &Vec::new(), &but_for(drifts, &history.forgotten))?;

        let mut tallies = self.tallies(&third).await?;
        let counted = tallies.remove(COUNTED).unwrap_or_default();
        same("what is counted", &summed(history.state.tallies()), &tallies)?;
        let (told, unknown) =
            issued.iter().fold((0, 0), |(told, unknown), issued| match (&issued.command, &issued.outcome) {
                (Command::Count(c), Ok(_)) => (told + c[0].1, unknown),
                (Command::Count(c), Err(LedgerError::OutcomeUnknown(_))) => (told, unknown + c[0].1),
                _ => (told, unknown),
            });
        if !(told..=told + unknown).contains(&counted) {
            return Err(format!("{counted} were counted, {told} were told to be, of {unknown} nobody knows"));
        }
        Ok(feed.len())
    }

    async fn feed(&self) -> Result<Vec<Arc<Entry>>, String> {
        let (mut feed, mut after) = (Vec::new(), 0);
        loop {
            let page = self.servers[1].entries(&self.network, after, 50).await;
            let page = match page {
                Ok(page) => page,
                Err(LedgerError::Unavailable(_)) => {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    continue;
                }
                Err(e) => return Err(e.to_string()),
            };
            let Some(last) = page.last() else { return Ok(feed) };
            after = last.seq;
            feed.extend(page);
        }
    }

    async fn tallies(&self, ledger: &RedisLedger) -> Result<BTreeMap<String, i64>, String> {
        let begun = Instant::now();
        loop {
            match ledger.tallies(&self.network, "").await {
                Ok(tallies) => return Ok(summed(tallies.iter().map(|(name, sum)| (name, *sum)))),
                Err(LedgerError::Unavailable(_)) if begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    async fn reservations(&self, ledger: &RedisLedger) -> Result<Vec<Arc<Reservation>>, String> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = ledger.reservations(&self.network, &ReservationFilter::default(), after.as_ref(), 7).await;
            let (page, next) = page.map_err(|e| e.to_string())?;
            found.extend(page);
            match next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }
}

/// What the feed says, made by the rules from the commands that were given.
struct History {
    state: State,
    /// What each bucket ever held.
    levels: BTreeMap<(ResourceId, i32), Vec<BucketLevel>>,
    /// Each reservation as it ever was.
    reservations: BTreeMap<ReservationId, Vec<Arc<Reservation>>>,
    /// Those that were undone.
    undone: Vec<Arc<Reservation>>,
    versions: BTreeSet<i64>,
    /// What the clock shows at the end.
    clock: Moment,
    /// Buckets that were forgotten with units used up in them.
    forgotten: BTreeSet<(ResourceId, i32)>,
    /// The places of the commands, as they were given, that an entry tells of.
    made: BTreeSet<usize>,
}

impl History {
    fn of(feed: &[Arc<Entry>], issued: &[Issued], clock: Moment) -> Result<History, String> {
        let mut history = History {
            state: State::new(),
            levels: BTreeMap::new(),
            reservations: BTreeMap::new(),
            undone: Vec::new(),
            versions: BTreeSet::from([0]),
            clock,
            forgotten: BTreeSet::new(),
            made: BTreeSet::new(),
        };
        let mut last = Moment::MIN;
        for entry in feed {
            let about = |why: String| format!("entry {}: {why}\n  {entry:?}", entry.seq);
            if entry.at < last {
                return Err(about(format!("it is of {}, the one before of {last}", entry.at)));
            }
            last = entry.at;
            history.take(entry, issued).map_err(about)?;
            same("the place", &history.state.next_seq(), &entry.seq).map_err(about)?;
            history.note(entry).map_err(about)?;
        }
        Ok(history)
    }

    /// Takes the step that the entry tells of.
    fn take(&mut self, entry: &Entry, issued: &[Issued]) -> Result<(), String> {
        let found = Normal::of(entry)?;
        let normal = |changes: Vec<Change>| Normal::of(&Entry { seq: entry.seq, at: entry.at, changes });
        let is_expiry =
            entry.changes.iter().any(|c| matches!(c, Change::Reservation(r) if r.state == reservation::State::Expired));
        if is_expiry {
            let expired = rules::expire(&mut self.state, entry.at, usize::MAX);
            return same("what ends by itself", &normal(expired.changes)?, &found);
        }
        if self.state.next_due().is_some_and(|due| due <= entry.at) {
            return Err("what was due was not given back before".to_owned());
        }
        for (place, issued) in issued.iter().enumerate() {
            if self.made.contains(&place) || !issued.may_be(&found) {
                continue;
            }
            let mut after = self.state.clone();
            let applied = rules::apply(&mut after, &issued.command, entry.at);
            let same_outcome = match &issued.outcome {
                Ok(outcome) => same_outcome(&applied.outcome, outcome),
                Err(_) => true,
            };
            if same_outcome && normal(applied.changes)? == found {
                self.made.insert(place);
                self.forgotten.extend(forgotten_by(&issued.command, &self.state, &after));
                self.state = after;
                return Ok(());
            }
        }
        Err(format!("no command does this here{}", self.past_of(&found)))
    }

    /// What became before of the reservation that the entry is about.
    fn past_of(&self, entry: &Normal) -> String {
        let Some(Change::Reservation(r) | Change::Undone(r)) = entry.changes.first() else { return String::new() };
        let short = |what: &str, r: &Reservation| {
            let draws: Vec<String> =
                r.draws.iter().map(|d| format!("{}x {}:{}", d.units, d.resource, d.index)).collect();
            format!("\n  {what} version {} {:?}, {}, [{}]", r.version, r.state, r.reference, draws.join(", "))
        };
        let was = self.reservations.get(&r.id).into_iter().flatten().map(|r| short("was", r));
        let undone = self.undone.iter().filter(|u| u.id == r.id).map(|r| short("undone", r));
        was.chain(undone).chain([short("is to be", r)]).collect()
    }

    fn note(&mut self, entry: &Entry) -> Result<(), String> {
        for change in &entry.changes {
            match change {
                Change::Bucket { resource, index, level } => {
                    if level.balance(STANDING, entry.at) < 0 {
                        return Err(format!(
                            "the balance of {resource}:{index} is {}",
                            level.balance(STANDING, entry.at)
                        ));
                    }
                    self.levels.entry((resource.clone(), *index)).or_default().push(level.clone());
                }
                Change::Reservation(r) => self.reservations.entry(r.id.clone()).or_default().push(Arc::clone(r)),
                Change::Undone(r) => self.undone.push(Arc::clone(r)),
                Change::Network { version, .. } => drop(self.versions.insert(*version)),
                Change::Offer(_) | Change::Forgotten { .. } => {}
            }
        }
        Ok(())
    }

    /// Whether the reservation was so at some time, or would have ended so. (This clock may be turned between a server's look at it and the
    /// server's call. So one server may see a hold's end, and another still change the hold after that.)
    fn ever_was(&self, r: &Arc<Reservation>) -> bool {
        let ended = |was: &Arc<Reservation>| {
            was.state == reservation::State::Held && was.expires_at <= self.clock && rules::expired(was) == **r
        };
        self.reservations.get(&r.id).into_iter().flatten().any(|was| was == r || ended(was))
    }

    /// Whether somebody can have been told this.
    fn allows(&self, place: usize, issued: &Issued) -> Result<(), String> {
        let Issued { command, outcome } = issued;
        let about = |why: &str| Err(format!("{why}: {command:?} was told {outcome:?}"));
        match outcome {
            Ok(Outcome::Reservation { reservation: r, repeated }) => {
                if !*repeated && !self.made.contains(&place) {
                    return about("what was told to be made is not in the feed");
                }
                if !self.ever_was(r) {
                    return about("it never was so");
                }
                // Who finds that a thing is so already has had a look, and no more; a repeat of the request relies on it.
                let relies = matches!(command, Command::Hold(_) | Command::Recall { .. });
                if relies && *repeated && r.version == 1 && self.undone.contains(r) {
                    return about("it was undone though somebody was told of it");
                }
            }
            Ok(Outcome::Amended { reservation: r, .. }) => {
                if !self.ever_was(r) {
                    return about("it never was so");
                }
            }
            Ok(Outcome::Refused(Refusal::Short(short))) => {
                for s in short {
                    let ever = self.levels.get(&(s.resource.clone(), s.index));
                    if s.level != BucketLevel::default() && !ever.is_some_and(|ever| ever.contains(&s.level)) {
                        return about("a bucket never held that");
                    }
                }
            }
            Ok(Outcome::Refused(Refusal::WrongState { state })) => {
                let id = command.reservation_id().expect("it names one");
                let ended = |r: &Reservation| *state == reservation::State::Expired && r.expires_at <= self.clock;
                let ever = |r: &Arc<Reservation>| r.state == *state || ended(r);
                if !self.reservations.get(id).is_some_and(|all| all.iter().any(ever)) {
                    return about("it never was in that state");
                }
            }
            Ok(Outcome::Refused(Refusal::NetworkChanged { version }) | Outcome::NetworkApplied { version }) => {
                if !self.versions.contains(version) {
                    return about("there never was such a version");
                }
            }
            Ok(_) | Err(LedgerError::OutcomeUnknown(_) | LedgerError::Overloaded) => {}
            Err(_) => return about("it is no answer"),
        }
        Ok(())
    }
}

impl Issued {
    /// Whether the entry may be this command's, by a look that costs little.
    fn may_be(&self, entry: &Normal) -> bool {
        match &self.outcome {
            Ok(Outcome::Refused(_) | Outcome::Reservation { repeated: true, .. }) => return false,
            Ok(_) | Err(LedgerError::OutcomeUnknown(_)) => {}
            Err(_) => return false,
        }
        match (self.command.reservation_id(), entry.changes.first()) {
            (Some(id), Some(Change::Reservation(r) | Change::Undone(r))) => *id == r.id,
            (None, Some(Change::Reservation(_) | Change::Undone(_))) | (Some(_), _) => false,
            (None, Some(_) | None) => true,
        }
    }
}
