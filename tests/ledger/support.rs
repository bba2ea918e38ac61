//! Short ways to say what tests say often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use surety::domain::answer::{Answer, Promise, Verdict};
use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::bucket::BucketLevel;
use surety::domain::draw::{Draw, Pool, Take};
use surety::domain::id::{NetworkId, ReservationId, ResourceId};
use surety::domain::limits::MAX_DAYS_LATE;
use surety::domain::offer::{Advertised, ApprovedOffer, Envelope, Expected, Offer, OfferReport, OfferStage, ZoneShare};
use surety::domain::reservation::{Fingerprint, Reservation, State};
use surety::domain::time::{Day, Moment, SECOND, Span};
use surety::ledger::audit::Drift;
use surety::ledger::command::{
    AdjustSupply, Allocation, Amend, ApplyNetwork, ApproveOffer, Command, Confirm, Fulfil, Hold, Outcome, Refusal,
    Repromise, Retake, SetAllocation, SetSupply, SupplyRun,
};
use surety::ledger::feed::{Change, Cursor, Entry, Snapshot, Subscriber};
use surety::ledger::rules;
use surety::ledger::tally::{self, Counted};

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

/// The same hold, by a channel and for an offer; each of its draws from the pool.
pub fn hold_from(id: &str, pool: &Pool, by: Option<&str>, draws: &[(&str, i32, i64)]) -> Command {
    let mut hold = hold_of(id, takes(draws), Span::minutes(15));
    let offer = if let Pool::Offer(offer) = pool { Some(Arc::clone(offer)) } else { None };
    hold.ask = Arc::new(Ask { channel: by.map(Arc::from), offer, ..Ask::clone(&hold.ask) });
    hold.takes.iter_mut().for_each(|take| take.draw.pool = pool.clone());
    Command::Hold(Box::new(hold))
}

pub fn channel(id: &str) -> Pool {
    Pool::Channel(Arc::from(id))
}

pub fn of_offer(id: &str) -> Pool {
    Pool::Offer(Arc::from(id))
}

/// Sets aside for a channel, without a standing plan; one row a bucket: units, until when, the most.
pub fn allocate(request: &str, by: &str, resource: &str, first: i32, rows: &[(i64, Moment, Option<i64>)]) -> Command {
    let buckets = rows.iter().map(|(units, release_at, most)| Allocation {
        standing: 0,
        units: *units,
        release_at: *release_at,
        most: *most,
    });
    Command::SetAllocation(Box::new(SetAllocation {
        request_id: Some(rid(request)),
        fingerprint: digest(&format!("{request} {by} {rows:?}")),
        network_version: VERSION,
        channel: Arc::from(by),
        resource: res(resource),
        first,
        buckets: buckets.collect(),
    }))
}

/// An offer of 10 orders with this envelope, by a request of this name.
pub fn offer_of(id: &str, request: &str, envelope: &[(&str, i32, i64)]) -> ApprovedOffer {
    let envelope = envelope.iter().map(|(resource, index, units)| Envelope {
        resource: res(resource),
        index: *index,
        units: *units,
    });
    ApprovedOffer {
        offer: Offer {
            id: Arc::from(id),
            display_name: Arc::from("Ten cakes"),
            lines: vec![Line { sku: Arc::from("cake"), quantity: 1 }],
            zones: vec![ZoneShare { zone: Arc::from("north"), billionths: 1_000_000_000 }],
            service: None,
            channel: Some(Arc::from("web")),
            starts: Day(20_900),
            ends: Day(20_903),
            advertised: Advertised::WithinDays(2),
            orders: Expected::Total(10),
        },
        stage: OfferStage::Approved,
        version: 1,
        request_id: rid(request),
        fingerprint: digest(request),
        approved_at: Moment(0),
        closed_at: None,
        ends_at: BEGIN.plus(Span::days(9)),
        release_hours: 24,
        orders_set_aside: 10,
        envelope: envelope.collect(),
        report: Arc::new(OfferReport {
            verdict: Verdict::Promised,
            orders_asked: 10,
            orders_deliverable: 10,
            days: Vec::new(),
            shortfalls: Vec::new(),
            tightest_within_days: Some(1),
            deliverable_percent: 130,
        }),
    }
}

/// Approves an offer, without a standing plan, all of it until one instant.
pub fn approve(id: &str, request: &str, envelope: &[(&str, i32, i64)], until: Moment) -> Command {
    Command::ApproveOffer(Box::new(ApproveOffer {
        network_version: VERSION,
        offer: Arc::new(offer_of(id, request, envelope)),
        standing: vec![0; envelope.len()],
        release_at: vec![until; envelope.len()],
    }))
}

pub fn close_offer(id: &str) -> Command {
    Command::CloseOffer { id: Arc::from(id) }
}

pub fn mark(id: &str, version: i64, at_risk: bool) -> Command {
    Command::Mark { id: rid(id), version, at_risk }
}

/// So many days later than what tests promise at first.
pub fn repromise(id: &str, version: i64, days_later: i32, draws: &[(&str, i32, i64)]) -> Command {
    let first = promise(BEGIN.plus(Span::days(1)));
    Command::Repromise(Box::new(Repromise {
        id: rid(id),
        version,
        network_version: VERSION,
        promise: Arc::new(Promise { date: first.date + days_later, ..Promise::clone(&first) }),
        takes: takes(draws),
    }))
}

pub fn fix(id: &str, fixed: bool) -> Command {
    Command::Fix { id: rid(id), fixed, reason: Arc::from("a wedding") }
}

/// Its shipments, each once: what it counts for in the record.
fn ways() -> Vec<(Arc<str>, Arc<str>, Arc<str>)> {
    vec![("leipzig".into(), "north".into(), "standard".into()), ("halle".into(), "north".into(), "express".into())]
}

pub fn ship(id: &str, at: Moment) -> Command {
    Command::Fulfil(Box::new(Fulfil { id: rid(id), shipped_at: Some(at), delivered: None, ways: ways() }))
}

/// Delivered so many days after what tests promise at first, which is as many days after they begin.
pub fn deliver(id: &str, days_late: i32) -> Command {
    let at = BEGIN.plus(Span::days(i64::from(days_late)));
    let delivered = Some((at, promise(BEGIN).date + days_late));
    Command::Fulfil(Box::new(Fulfil { id: rid(id), shipped_at: None, delivered, ways: ways() }))
}

pub fn count(tallies: &[(&str, i64)]) -> Command {
    Command::Count(tallies.iter().map(|(name, by)| (Arc::from(*name), *by)).collect())
}

pub fn count_once(request: u64, tallies: &[(&str, i64)]) -> Command {
    let Command::Count(tallies) = count(tallies) else { unreachable!("see above") };
    Command::CountOnce { request, tallies }
}

/// The tallies that these reservations, which must be all that ever were, add up to, worked out from their histories alone; without
/// those that are nothing, as those of a ledger are to be compared.
pub fn tallies_of<'a>(reservations: impl IntoIterator<Item = &'a Reservation>) -> BTreeMap<String, i64> {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for r in reservations {
        let mut add = |name: Arc<str>, by: i64| *sums.entry(name.to_string()).or_default() += by;
        let times = |what: &str| r.history.iter().filter(|change| *change.what == *what).count() as i64;
        add(tally::of(r, tally::held(r)), 1);
        add(tally::of(r, Counted::Confirmed), times("confirmed") + times("retaken"));
        add(tally::of(r, Counted::Expired), times("expired") - times("retaken"));
        add(tally::of(r, Counted::Released), times("released"));
        add(tally::of(r, Counted::Repromised), times("re-promised"));
        if r.state == State::Fulfilled {
            let days = r.delivered_at.map_or(0, |at| (at.0 - BEGIN.0) / Span::days(1).0) as i32;
            let late = (promise(BEGIN).date.0 + days - r.judged_by().0).clamp(0, MAX_DAYS_LATE);
            add(tally::of(r, if late == 0 { Counted::Kept } else { Counted::Late }), 1);
            for (site, zone, service) in ways() {
                add(tally::record(&site, &zone, &service, r.judged_by(), late), 1);
            }
        }
        if let Some(offer) = &r.ask.offer {
            add(tally::offer(offer, true), i64::from(r.state == State::Held));
            add(tally::offer(offer, false), i64::from(matches!(r.state, State::Confirmed | State::Fulfilled)));
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// Buckets that the command, which made one state of the other, forgot with units used up in them.
pub fn forgotten_by(command: &Command, before: &rules::State, after: &rules::State) -> BTreeSet<(ResourceId, i32)> {
    if !matches!(command, Command::Forget { .. } | Command::ApplyNetwork(_)) {
        return BTreeSet::new();
    }
    let buckets = Seen::of(&before.snapshot()).buckets;
    let used_up = buckets.into_iter().filter(|(_, level)| level.fulfilled > 0).map(|(at, _)| at);
    used_up.filter(|(resource, index)| after.level(resource, *index).is_none_or(|level| level.fulfilled == 0)).collect()
}

/// Drifts but for those of buckets that were forgotten with units used up in them, and drawn on again: only tests do that, which
/// forget any bucket at any time.
pub fn but_for(drifts: Vec<Drift>, forgotten: &BTreeSet<(ResourceId, i32)>) -> Vec<Drift> {
    drifts.into_iter().filter(|drift| !forgotten.contains(&(drift.resource.clone(), drift.index))).collect()
}

/// Tallies as [`tallies_of`] has them.
pub fn summed<'a>(tallies: impl IntoIterator<Item = (&'a Arc<str>, i64)>) -> BTreeMap<String, i64> {
    tallies.into_iter().filter(|(_, sum)| *sum != 0).map(|(name, sum)| (name.to_string(), sum)).collect()
}

/// The same on another version of the network.
pub fn at_version(mut command: Command, version: i64) -> Command {
    match &mut command {
        Command::Hold(c) => c.network_version = version,
        Command::Amend(c) => c.network_version = version,
        Command::Repromise(c) => c.network_version = version,
        Command::SetSupply(c) => c.network_version = version,
        Command::AdjustSupply(c) => c.network_version = version,
        Command::SetAllocation(c) => c.network_version = version,
        Command::ApproveOffer(c) => c.network_version = version,
        Command::ApplyNetwork(c) => c.base_version = version,
        Command::Confirm(c) => {
            if let Some(retake) = &mut c.retake {
                retake.network_version = version;
            }
        }
        Command::Release { .. }
        | Command::Extend { .. }
        | Command::Undo { .. }
        | Command::Recall { .. }
        | Command::CloseOffer { .. }
        | Command::Mark { .. }
        | Command::Fix { .. }
        | Command::Fulfil(_)
        | Command::Count(_)
        | Command::CountOnce { .. }
        | Command::Forget { .. }
        | Command::Tick => {}
    }
    command
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
            levels.all().map(|(index, level)| ((resource.clone(), *index), level.clone()))
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
