//! Clients, a virtual clock, crashes and a store that fails, stepped in one thread against the rules as the model. Each run
//! prints its seed; `SEED=... STEPS=...` runs it again, or longer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use surety::domain::ask::Ask;
use surety::domain::draw::Take;
use surety::domain::id::{NetworkId, ReservationId, ResourceId};
use surety::domain::limits::REQUEST_ID_DAYS;
use surety::domain::reservation::Reservation;
use surety::domain::time::{Moment, SECOND, Span};
use surety::ledger::command::{Command, Confirm, Outcome, Retake};
use surety::ledger::embedded::store::{Batch, MemoryStore, Space, Store, StoreError, Visit};
use surety::ledger::embedded::{Core, Job, Retention};
use surety::ledger::feed::Snapshot;
use surety::ledger::rules::{self, State};

use crate::dice::{Dice, seed, setting};
use crate::support::*;

/// A disk that sometimes fails: before a batch, or after it, and nobody can tell which.
struct Disk {
    durable: MemoryStore,
    dice: Mutex<Dice>,
    /// One commit in so many fails.
    fails: u64,
}

impl Disk {
    fn throw(&self, n: u64) -> u64 {
        self.dice.lock().expect("no test panics with it").below(n)
    }
}

impl Store for Disk {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.durable.get(space, key)
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.durable.scan(space, from, to, visit)
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.durable.last(space, from, to)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if self.throw(self.fails) != 0 {
            return self.durable.commit(batch);
        }
        match self.throw(3) {
            0 => Err(StoreError::Nothing("injected, before".to_owned())),
            1 => Err(StoreError::Unknown("injected, not written".to_owned())),
            _ => {
                self.durable.commit(batch)?;
                Err(StoreError::Unknown("injected, written".to_owned()))
            }
        }
    }
}

/// What must be true of one network, by the rules alone.
#[derive(Clone, Default)]
struct Model {
    state: State,
    /// Buckets that were forgotten with units used up in them.
    forgotten: BTreeSet<(ResourceId, i32)>,
    seen: Seen,
}

impl Model {
    fn expire(&mut self, now: Moment) {
        if !rules::expire(&mut self.state, now, usize::MAX).changes.is_empty() {
            self.state.next_seq();
        }
    }

    fn apply(&mut self, command: &Command, now: Moment) -> Outcome {
        let forgets = matches!(command, Command::Forget { .. } | Command::ApplyNetwork(_));
        let before = forgets.then(|| self.state.clone());
        let applied = rules::apply(&mut self.state, command, now);
        if let Some(before) = before {
            self.forgotten.extend(forgotten_by(command, &before, &self.state));
        }
        if !applied.changes.is_empty() {
            self.state.next_seq();
        }
        applied.outcome
    }

    fn reservations(&self) -> BTreeMap<String, Arc<Reservation>> {
        self.state.reservations().map(|r| (r.id.to_string(), Arc::clone(r))).collect()
    }
}

struct World {
    dice: Dice,
    now: Moment,
    disk: Arc<Disk>,
    core: Core,
    models: BTreeMap<NetworkId, Model>,
    requests: u64,
    crashes: u64,
    holds: u64,
    /// Networks in the order in which a step's jobs met them.
    networks: [NetworkId; 2],
}

const RETENTION: Retention =
    Retention { entries: 200, entries_for: Span::days(3), ended_for: Span::days(REQUEST_ID_DAYS) };

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::seeded(seed);
        let disk =
            Arc::new(Disk { durable: MemoryStore::default(), dice: Mutex::new(Dice::seeded(dice.next())), fails: 40 });
        let core = loop {
            if let Ok(core) = Core::open(disk.clone(), RETENTION) {
                break core;
            }
        };
        let networks = [NetworkId::default_network(), NetworkId::new("second").expect("a name")];
        let models = BTreeMap::from([(networks[0].clone(), Model::default())]);
        World { dice, now: BEGIN, disk, core, models, requests: 0, crashes: 0, holds: 0, networks }
    }

    fn command(&mut self, model: &Model) -> Command {
        let d = &mut self.dice;
        let version = model.state.network_version() - i64::from(d.once_in(30));
        let any = |d: &mut Dice, newest: u64| format!("r{}", newest.saturating_sub(d.below(40)));
        let takes: Vec<Take> = d.some(4, |d| {
            let mut draw = draw(["a", "b", "c"][d.below(3) as usize], d.range(0, 4) as i32, d.range(1, 4));
            let level = model.state.level(&draw.resource, draw.index);
            if let Some(own) = level.and_then(|l| l.pools().last()).filter(|_| d.once_in(2)) {
                draw.pool = own.pool.clone();
            }
            Take { draw, standing: 5 }
        });
        let asked = |d: &mut Dice| {
            let offer: Option<Arc<str>> = d.once_in(3).then(|| format!("o{}", d.below(12)).into());
            let channel: Option<Arc<str>> = d.maybe(|d| ["vip", "web"][d.below(2) as usize].into());
            Arc::new(Ask { offer, channel, ..Ask::clone(&ask()) })
        };
        let until = self.now.plus(Span::seconds(d.range(0, 200)));
        match d.below(32) {
            0..=7 => {
                // Now and then a request is sent again, and now and then by a client that confuses its ids.
                let id = if d.once_in(5) {
                    any(d, self.requests)
                } else {
                    self.requests += 1;
                    format!("r{}", self.requests)
                };
                let mut hold = hold_of(&id, takes, Span::seconds(d.range(1, 120)));
                if d.once_in(4) {
                    hold.fingerprint = digest("other");
                }
                (hold.network_version, hold.ask) = (version, asked(d));
                Command::Hold(Box::new(hold))
            }
            8..=10 => {
                let id = any(d, self.requests);
                let draws = model.state.reservation(&rid(&id)).map_or(0, |r| r.draws.len());
                let retake = d.maybe(|_| Retake { network_version: version, standing: vec![5; draws] });
                Command::Confirm(Confirm { id: rid(&id), reference: d.maybe(|_| "order".into()), retake })
            }
            11 | 12 => release(&any(d, self.requests)),
            13 => extend(&any(d, self.requests), Span::seconds(d.range(1, 120))),
            14 => {
                let id = any(d, self.requests);
                let present = model.state.reservation(&rid(&id)).map_or(1, |r| r.version);
                let Command::Amend(mut c) = amend(&id, &format!("a{}", d.below(3)), present, &[]) else {
                    unreachable!("an amendment is one")
                };
                (c.takes, c.network_version, c.ask) = (takes, version, asked(d));
                Command::Amend(c)
            }
            15 => undo(&any(d, self.requests)),
            16 | 17 => {
                let units = d.some(3, |d| d.range(0, 30));
                let Command::SetSupply(mut c) =
                    supply(["a", "b", "c"][d.below(3) as usize], d.range(0, 4) as i32, &units)
                else {
                    unreachable!("a supply is one")
                };
                c.network_version = version;
                Command::SetSupply(c)
            }
            18 => {
                let request = format!("s{}", d.below(1_000));
                let Command::AdjustSupply(mut c) = adjust(&request, "a", d.range(0, 4) as i32, &[5, 5], d.range(-9, 9))
                else {
                    unreachable!("an adjustment is one")
                };
                c.network_version = version;
                Command::AdjustSupply(c)
            }
            19 | 20 => {
                let rows = [0, 1].map(|_| (d.range(0, 9), until, d.maybe(|d| d.range(0, 12))));
                let by = ["vip", "web"][d.below(2) as usize];
                let resource = ["a", "b", "c"][d.below(3) as usize];
                at_version(
                    allocate(&format!("q{}", d.below(1_000)), by, resource, d.range(0, 4) as i32, &rows),
                    version,
                )
            }
            21 => {
                let id = format!("o{}", d.below(12));
                let envelope = [("a", d.range(0, 4) as i32, d.range(1, 4)), ("b", d.range(0, 4) as i32, d.range(1, 4))];
                at_version(approve(&id, &format!("{id}/{}", d.below(2)), &envelope, until), version)
            }
            22 if d.once_in(2) => close_offer(&format!("o{}", d.below(12))),
            22..=24 => {
                let id = any(d, self.requests);
                let present = model.state.reservation(&rid(&id)).map_or(1, |r| r.version);
                mark(&id, present - i64::from(d.once_in(20)), !d.once_in(3))
            }
            25 | 26 => {
                let id = any(d, self.requests);
                let present = model.state.reservation(&rid(&id)).map_or(1, |r| r.version);
                let Command::Repromise(mut c) = repromise(&id, present, d.range(0, 3) as i32, &[]) else {
                    unreachable!("it is one")
                };
                c.takes = takes;
                at_version(Command::Repromise(c), version)
            }
            27 => fix(&any(d, self.requests), !d.once_in(3)),
            28 if d.once_in(2) => ship(&any(d, self.requests), self.now),
            28 => deliver(&any(d, self.requests), d.range(-1, 20) as i32),
            29 | 30 => {
                let name = format!("lost\t{}", d.below(9));
                count(&[(&name, d.range(-2, 5)), ("lost\tall", 1)])
            }
            _ if d.once_in(2) => Command::Forget { before: vec![(res("b"), d.range(0, 4) as i32)] },
            _ => {
                let dropped: &[&str] = if d.once_in(2) { &["c"] } else { &[] };
                network(version, &format!("document {}", d.below(5)), dropped)
            }
        }
    }

    fn step(&mut self) {
        // Mostly moments, sometimes minutes, rarely months; and clocks jump back.
        self.now = match self.dice.below(400) {
            0 => self.now.plus(Span::days(REQUEST_ID_DAYS + 9)),
            1..=20 => self.now.plus(Span::minutes(5)),
            21..=30 => Moment(self.now.0 - 3 * SECOND),
            _ => self.now.plus(Span(self.dice.range(0, 3 * SECOND))),
        };
        let ledger_now = self.core.now().max(self.now);
        let mut after = self.models.clone();
        for model in after.values_mut() {
            model.expire(ledger_now);
        }
        let (mut jobs, mut expected): (Vec<Job>, Vec<String>) = (Vec::new(), Vec::new());
        for _ in 0..self.dice.below(9) {
            let network = self.networks[usize::from(self.dice.once_in(4))].clone();
            let known = after.contains_key(&network);
            let mut model = after.remove(&network).unwrap_or_default();
            let command = self.command(&model);
            let outcome = if !known && !matches!(command, Command::ApplyNetwork(_)) {
                "Err(UnknownNetwork)".to_owned()
            } else {
                format!("Ok({:?})", model.apply(&command, ledger_now))
            };
            if known || model.state.seq() > 0 {
                after.insert(network.clone(), model);
            }
            jobs.push((network, command));
            expected.push(outcome);
        }
        match self.core.step(self.now, &jobs) {
            Ok(stepped) => {
                for ((outcome, expected), job) in stepped.outcomes.iter().zip(&expected).zip(&jobs) {
                    assert_eq!(format!("{outcome:?}"), *expected, "{job:?}");
                    self.holds += u64::from(matches!(outcome, Ok(Outcome::Reservation { repeated: false, .. })));
                }
                for (network, entries) in stepped.told {
                    let model = after.get_mut(&network).expect("what is told of is known");
                    for entry in entries {
                        model.seen.follow(&entry).expect("the feed has no gap");
                    }
                }
                self.models = after;
            }
            // All of it, or none.
            Err(e) => {
                self.crash();
                let requests: Vec<(NetworkId, ReservationId)> =
                    jobs.iter().filter_map(|(n, c)| Some((n.clone(), adjustment_of(c)?))).collect();
                let written = self.written(&requests);
                let (none, all) = (signs(&self.models, &requests), signs(&after, &requests));
                if written == all {
                    self.models = after;
                } else {
                    assert_eq!(written, none, "a part of a batch was written: {e}");
                }
                self.settle();
            }
        }
        if self.dice.once_in(150) {
            self.crash();
            self.settle();
        }
        if self.dice.once_in(50) {
            self.sweep();
        }
        self.check();
    }

    fn written(&self, requests: &[(NetworkId, ReservationId)]) -> BTreeMap<NetworkId, Sign> {
        let sign = |(n, s): (&NetworkId, Snapshot)| {
            let stored: Vec<String> = self.stored(Space::Adjustments, n).into_iter().map(|(id, _)| id).collect();
            let remembered = of(requests, n).filter(|id| stored.iter().any(|s| s == id.as_str())).cloned().collect();
            (n.clone(), (s.seq, self.stored_tallies(n), remembered))
        };
        self.core.snapshots().map(sign).collect()
    }

    /// All keys and values of a network in one space of the disk.
    fn stored(&self, space: Space, network: &NetworkId) -> Vec<(String, Vec<u8>)> {
        let (from, to) = (format!("{network}\0"), format!("{network}\u{1}"));
        let mut found = Vec::new();
        let scanned = self.disk.durable.scan(space, from.as_bytes(), to.as_bytes(), &mut |key, value| {
            found.push((String::from_utf8_lossy(&key[from.len()..]).into_owned(), value.to_vec()));
            ControlFlow::Continue(())
        });
        scanned.expect("memory can be read");
        found
    }

    fn stored_tallies(&self, network: &NetworkId) -> BTreeMap<String, i64> {
        let number = |value: Vec<u8>| i64::from_be_bytes(value.try_into().expect("eight bytes"));
        let all = self.stored(Space::Tallies, network).into_iter().map(|(name, value)| (name, number(value)));
        all.filter(|(_, sum)| *sum != 0).collect()
    }

    /// The process dies and comes back on what the disk has.
    fn crash(&mut self) {
        self.crashes += 1;
        self.core = Core::open(self.disk.clone(), RETENTION).expect("what was written can be read");
    }

    /// After a crash nobody knows who was told of what; and followers begin anew.
    fn settle(&mut self) {
        for model in self.models.values_mut() {
            for r in model.reservations().into_values() {
                model.state.load(r);
            }
            model.seen = Seen::of(&model.state.snapshot());
        }
    }

    fn sweep(&mut self) {
        let now = self.core.now().max(self.now);
        loop {
            match self.core.sweep(self.now) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => {
                    self.crash();
                    self.settle();
                }
            }
        }
        for model in self.models.values_mut() {
            model.state.trim(now, Span::days(REQUEST_ID_DAYS));
        }
    }

    fn check(&mut self) {
        for (network, snapshot) in self.core.snapshots() {
            let model = &self.models[network];
            assert_eq!(Seen::of(&snapshot), Seen::of(&model.state.snapshot()), "{network}");
            assert_eq!(Seen::of(&snapshot), model.seen, "{network}: the feed tells it all");
        }
        if self.dice.once_in(20) {
            for (network, model) in &self.models {
                let drifts = self.core.audit(network).expect("the store can be read").expect("it is known");
                let drifts = but_for(drifts, &model.forgotten);
                assert!(drifts.is_empty(), "{network}: {drifts:#?}");
                assert_eq!(self.stored_tallies(network), summed(model.state.tallies()), "{network}: what is counted");
                let at_risk: BTreeSet<String> =
                    model.reservations().into_iter().filter(|(_, r)| r.at_risk).map(|(id, _)| id).collect();
                let listed = self.stored(Space::AtRisk, network).into_iter().map(|(id, _)| id).collect();
                assert_eq!(at_risk, listed, "{network}: those at risk");
                let drifts = but_for(model.state.audit(), &model.forgotten);
                assert!(drifts.is_empty(), "the model of {network}: {drifts:#?}");
            }
        }
    }
}

/// By what one state of a network is told from the next: where its feed stands, and what is counted and which requests are remembered,
/// which may be all that changes.
type Sign = (u64, BTreeMap<String, i64>, BTreeSet<ReservationId>);

fn signs(models: &BTreeMap<NetworkId, Model>, requests: &[(NetworkId, ReservationId)]) -> BTreeMap<NetworkId, Sign> {
    let sign = |(n, m): (&NetworkId, &Model)| {
        let remembered = of(requests, n).filter(|id| m.state.adjustment(id).is_some()).cloned().collect();
        (n.clone(), (m.state.seq(), summed(m.state.tallies()), remembered))
    };
    models.iter().map(sign).collect()
}

/// Those of one network.
fn of<'a>(
    requests: &'a [(NetworkId, ReservationId)],
    network: &'a NetworkId,
) -> impl Iterator<Item = &'a ReservationId> {
    requests.iter().filter(move |(n, _)| n == network).map(|(_, id)| id)
}

/// The request id under which an adjustment is remembered.
fn adjustment_of(command: &Command) -> Option<ReservationId> {
    match command {
        Command::AdjustSupply(c) => c.request_id.clone(),
        Command::SetAllocation(c) => c.request_id.clone(),
        _ => None,
    }
}

#[test]
fn the_embedded_ledger_is_the_rules_whatever_fails() {
    let mut world = World::new(seed());
    let steps = setting("STEPS", 4_000);
    for _ in 0..steps {
        world.step();
    }
    println!("{steps} steps, {} holds, {} crashes", world.holds, world.crashes);
    assert!(world.holds > steps / 20 && world.crashes > 0, "a simulation that nothing happens in shows nothing");
}
