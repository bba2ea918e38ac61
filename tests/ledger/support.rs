//! Short ways to say what tests say often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use surety::domain::answer::{Answer, Promise, Verdict};
use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::bucket::BucketLevel;
use surety::domain::draw::{Draw, Pool, Take};
use surety::domain::id::{NetworkId, ReservationId, ResourceId};
use surety::domain::offer::ApprovedOffer;
use surety::domain::reservation::{Fingerprint, Reservation};
use surety::domain::time::{Day, Moment, SECOND, Span};
use surety::ledger::command::{
    AdjustSupply, Amend, ApplyNetwork, Command, Confirm, Hold, Outcome, Refusal, Retake, SetSupply, SupplyRun,
};
use surety::ledger::feed::{Change, Cursor, Entry, Snapshot, Subscriber};

/// The instant at which tests begin.
pub const BEGIN: Moment = Moment(1_800_000_000 * SECOND);
/// The version of the network in tests that apply one.
pub const VERSION: i64 = 1;

pub fn res(name: &str) -> ResourceId {
    ResourceId::new(name).expect("a name")
}

pub fn rid(name: &str) -> ReservationId {
    ReservationId::new(name).expect("a name")
}

/// A digest that tells the texts of tests apart.
pub fn digest(text: &str) -> Fingerprint {
    Fingerprint(u128::from(text.bytes().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)))))
}

pub fn draw(resource: &str, index: i32, units: i64) -> Draw {
    let from = Moment(i64::from(index) * 86_400 * SECOND);
    Draw { resource: res(resource), index, from, to: from.plus(Span::days(1)), pool: Pool::Common, units }
}

/// Takes of common capacity, without a standing plan.
pub fn takes(draws: &[(&str, i32, i64)]) -> Vec<Take> {
    draws.iter().map(|(resource, index, units)| Take { draw: draw(resource, *index, *units), standing: 0 }).collect()
}

pub fn ask() -> Arc<Ask> {
    Arc::new(Ask {
        lines: vec![Line { sku: Arc::from("cake"), quantity: 1 }],
        destination: Destination::Zone(Arc::from("north")),
        when: When::Any,
        service: None,
        channel: None,
        offer: None,
        shipments: Shipments::Together,
        min_confidence: None,
    })
}

pub fn promise(order_by: Moment) -> Arc<Promise> {
    Arc::new(Promise {
        date: Day(20_900),
        arrives_from: order_by,
        arrives_by: order_by.plus(Span::days(1)),
        ships_at: order_by,
        order_by,
        shipments: Vec::new(),
        confidence: None,
    })
}

pub fn hold_of(id: &str, takes: Vec<Take>, hold: Span) -> Hold {
    let promise = promise(BEGIN.plus(Span::days(1)));
    Hold {
        id: rid(id),
        fingerprint: digest(id),
        network_version: VERSION,
        ask: ask(),
        answer: Arc::new(Answer {
            verdict: Verdict::Promised,
            promise: Some(Arc::clone(&promise)),
            bottlenecks: Vec::new(),
            alternatives: Vec::new(),
            as_of: BEGIN,
        }),
        promise,
        takes,
        hold,
        reference: Arc::from(""),
    }
}

/// A hold of 15 minutes.
pub fn hold(id: &str, draws: &[(&str, i32, i64)]) -> Command {
    Command::Hold(Box::new(hold_of(id, takes(draws), Span::minutes(15))))
}

pub fn confirm(id: &str) -> Command {
    Command::Confirm(Confirm { id: rid(id), reference: None, retake: None })
}

pub fn retake(id: &str, standing: &[i64]) -> Command {
    let retake = Some(Retake { network_version: VERSION, standing: standing.to_vec() });
    Command::Confirm(Confirm { id: rid(id), reference: None, retake })
}

pub fn release(id: &str) -> Command {
    Command::Release { id: rid(id), reason: Arc::from("") }
}

pub fn extend(id: &str, hold: Span) -> Command {
    Command::Extend { id: rid(id), hold }
}

pub fn undo(id: &str) -> Command {
    Command::Undo { id: rid(id) }
}

pub fn amend(id: &str, request: &str, version: i64, draws: &[(&str, i32, i64)]) -> Command {
    Command::Amend(Box::new(Amend {
        id: rid(id),
        request_id: Some(rid(request)),
        fingerprint: digest(request),
        version,
        network_version: VERSION,
        ask: ask(),
        promise: promise(BEGIN.plus(Span::days(2))),
        takes: takes(draws),
        verdict: Verdict::Later,
        bottlenecks: Vec::new(),
    }))
}

pub fn supply(resource: &str, first: i32, units: &[i64]) -> Command {
    let run = SupplyRun { resource: res(resource), first, units: units.to_vec() };
    Command::SetSupply(SetSupply { network_version: VERSION, runs: vec![run], only_unset: false })
}

pub fn adjust(request: &str, resource: &str, first: i32, standing: &[i64], delta: i64) -> Command {
    Command::AdjustSupply(Box::new(AdjustSupply {
        request_id: Some(rid(request)),
        fingerprint: digest(&format!("{request} {delta}")),
        network_version: VERSION,
        resource: res(resource),
        first,
        standing: standing.to_vec(),
        delta,
        reason: Arc::from("a test"),
    }))
}

pub fn network(base_version: i64, document: &str, dropped: &[&str]) -> Command {
    Command::ApplyNetwork(ApplyNetwork {
        base_version,
        applied_at: Moment(0),
        document: Arc::from(document.as_bytes()),
        dropped: dropped.iter().map(|r| res(r)).collect(),
    })
}

pub fn reservation(outcome: Outcome) -> Arc<Reservation> {
    match outcome {
        Outcome::Reservation { reservation, .. } | Outcome::Amended { reservation, .. } => reservation,
        other => panic!("no reservation, but {other:?}"),
    }
}

pub fn refusal(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("no refusal, but {other:?}"),
    }
}

/// Follows a feed as the view does, and remembers what was wrong with it.
#[derive(Default)]
pub struct Follower {
    pub seen: Mutex<BTreeMap<NetworkId, Seen>>,
    /// By network; none: of all at once.
    pub fresh: Mutex<BTreeMap<Option<NetworkId>, Moment>>,
    pub lost: Mutex<usize>,
    /// Networks that are void, and how often one became so.
    pub void: Mutex<(BTreeSet<NetworkId>, usize)>,
    pub wrong: Mutex<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub seq: Cursor,
    pub network_version: i64,
    pub buckets: BTreeMap<(ResourceId, i32), BucketLevel>,
    pub offers: BTreeMap<Arc<str>, Arc<ApprovedOffer>>,
}

impl Seen {
    pub fn of(snapshot: &Snapshot) -> Seen {
        let buckets = snapshot.buckets.iter().flat_map(|(resource, levels)| {
            levels.iter().map(|(index, level)| ((resource.clone(), *index), level.clone()))
        });
        let offers = snapshot.offers.iter().map(|o| (Arc::clone(&o.offer.id), Arc::clone(o))).collect();
        Seen { seq: snapshot.seq, network_version: snapshot.network_version, buckets: buckets.collect(), offers }
    }

    /// Takes an entry in, as every follower must; tells what is wrong with it.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.seq != self.seq + 1 {
            return Err(format!("entry {} follows {}", entry.seq, self.seq));
        }
        self.seq = entry.seq;
        if entry.changes.is_empty() {
            return Err(format!("entry {} is empty", entry.seq));
        }
        for change in &entry.changes {
            match change {
                Change::Bucket { resource, index, level } => {
                    self.buckets.insert((resource.clone(), *index), level.clone());
                }
                Change::Forgotten { resource, index } => {
                    self.buckets.retain(|(r, i), _| r != resource || i >= index);
                }
                Change::Network { version, .. } => self.network_version = *version,
                Change::Offer(offer) => {
                    self.offers.insert(Arc::clone(&offer.offer.id), Arc::clone(offer));
                }
                Change::Reservation(_) | Change::Undone(_) => {}
            }
        }
        Ok(())
    }

    pub fn level(&self, resource: &str, index: i32) -> BucketLevel {
        self.buckets.get(&(res(resource), index)).cloned().unwrap_or_default()
    }
}

impl Follower {
    pub fn of(&self, network: &NetworkId) -> Seen {
        self.seen.lock().expect("no test panics with it").get(network).cloned().unwrap_or_default()
    }

    /// When everything of the network had been told.
    pub fn fresh_of(&self, network: &NetworkId) -> Option<Moment> {
        let fresh = self.fresh.lock().expect("no test panics with it");
        fresh.get(&None).max(fresh.get(&Some(network.clone()))).copied()
    }

    pub fn assert_nothing_wrong(&self) {
        let wrong = self.wrong.lock().expect("no test panics with it");
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

impl Subscriber for Follower {
    fn reset(&self, network: &NetworkId, snapshot: Snapshot) {
        self.void.lock().expect("no test panics with it").0.remove(network);
        self.seen.lock().expect("no test panics with it").insert(network.clone(), Seen::of(&snapshot));
    }

    fn changed(&self, network: &NetworkId, entries: &[Arc<Entry>]) {
        let mut seen = self.seen.lock().expect("no test panics with it");
        let seen = seen.entry(network.clone()).or_default();
        for entry in entries {
            if let Err(wrong) = seen.follow(entry) {
                self.wrong.lock().expect("no test panics with it").push(format!("{network}: {wrong}"));
            }
        }
    }

    fn fresh(&self, network: Option<&NetworkId>, at: Moment) {
        let before = self.fresh.lock().expect("no test panics with it").insert(network.cloned(), at);
        if before.is_some_and(|before| before > at) {
            self.wrong.lock().expect("no test panics with it").push(format!("time went back to {at}"));
        }
    }

    fn lost(&self, _network: Option<&NetworkId>) {
        *self.lost.lock().expect("no test panics with it") += 1;
    }

    fn void(&self, network: &NetworkId) {
        let mut void = self.void.lock().expect("no test panics with it");
        if void.0.insert(network.clone()) {
            void.1 += 1;
        }
    }
}
