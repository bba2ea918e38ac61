//! What every back end must do, written once and run against each: plain functions over the trait, with real races.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use surety::clock::ManualClock;
use surety::domain::bucket::BucketLevel;
use surety::domain::id::NetworkId;
use surety::domain::reservation::State;
use surety::domain::time::{Moment, Span};
use surety::ledger::command::{Command, Outcome, Refusal};
use surety::ledger::embedded::{EmbeddedConfig, EmbeddedLedger};
use surety::ledger::feed::Change;
use surety::ledger::redis::{Address, Durability, RedisConfig, RedisLedger, StoreClock};
use surety::ledger::{Ledger, LedgerError, ReservationFilter};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

use crate::redis_world::{Cluster, Flavour, Options, Sentinels, Shape, own_database};
use crate::support::*;

/// A ledger under test, its clock, and a network of its own that has version 1.
struct Subject {
    ledger: Arc<dyn Ledger>,
    clock: Arc<ManualClock>,
    network: NetworkId,
    _dir: Option<tempfile::TempDir>,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Subject {
    async fn new(ledger: Arc<dyn Ledger>, clock: Arc<ManualClock>, dir: Option<tempfile::TempDir>) -> Subject {
        // Some stores are shared by tests, so each has networks of its own.
        let network = NetworkId::new(&unique("under-test")).expect("a name");
        let subject = Subject { ledger, clock, network, _dir: dir, _turn: None };
        subject.run(crate::support::network(0, "one", &[])).await;
        subject
    }

    async fn memory() -> Option<Subject> {
        let clock = Arc::new(ManualClock::at(BEGIN));
        Some(Subject::new(EmbeddedLedger::memory(clock.clone()), clock, None).await)
    }

    async fn embedded() -> Option<Subject> {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let dir = tempfile::tempdir().expect("a directory for the test");
        let ledger = EmbeddedLedger::open(EmbeddedConfig::new(dir.path()), clock.clone()).expect("it opens");
        Some(Subject::new(ledger, clock, Some(dir)).await)
    }

    async fn redis() -> Option<Subject> {
        let database = own_database(Flavour::Redis.or_skip()?);
        Some(Subject::at(&database.url(), Durability::Memory).await)
    }

    async fn valkey() -> Option<Subject> {
        let database = own_database(Flavour::Valkey.or_skip()?);
        Some(Subject::at(&database.url(), Durability::Memory).await)
    }

    /// A primary with a replica and three Sentinels; each change is on the replica before it is answered.
    async fn sentinel() -> Option<Subject> {
        static SENTINELS: OnceLock<Sentinels> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::const_new(());
        let flavour = Flavour::Redis.or_skip()?;
        let start = move || SENTINELS.get_or_init(|| Sentinels::start_patient(flavour, 1, Options::default())).url();
        Some(Subject::alone_at(start, &TURN, Durability::Replicas(1)).await)
    }

    /// Three primaries, one of which has the network.
    async fn cluster() -> Option<Subject> {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::const_new(());
        let flavour = Flavour::Redis.or_skip()?;
        let start = move || CLUSTER.get_or_init(|| Cluster::start(flavour, Shape::default())).url();
        Some(Subject::alone_at(start, &TURN, Durability::Memory).await)
    }

    /// On a store that tests share, one after the other: a ledger looks after all networks that are there, and by the clock of one
    /// test the holds of another would have ended.
    async fn alone_at(
        start: impl FnOnce() -> String + Send + 'static,
        turn: &'static Mutex<()>,
        durability: Durability,
    ) -> Subject {
        let turn = turn.lock().await;
        let url = tokio::task::spawn_blocking(start).await.expect("it starts");
        Subject { _turn: Some(turn), ..Subject::at(&url, durability).await }
    }

    async fn at(url: &str, durability: Durability) -> Subject {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let address = Address::parse(url).expect("an address");
        let config = RedisConfig { clock: StoreClock::Given(clock.clone()), durability, ..RedisConfig::new(address) };
        let ledger = RedisLedger::open(config).await.expect("it opens");
        Subject::new(ledger, clock, None).await
    }

    async fn run(&self, command: Command) -> Outcome {
        self.ledger.execute(&self.network, command, None).await.expect("the ledger answers")
    }

    async fn refused(&self, command: Command) -> Refusal {
        refusal(self.run(command).await)
    }

    async fn state(&self, id: &str) -> Option<State> {
        self.ledger.reservation(&self.network, &rid(id)).await.expect("the ledger answers").map(|r| r.state)
    }

    async fn follower(&self) -> Arc<Follower> {
        let follower = Arc::new(Follower::default());
        self.ledger.subscribe(follower.clone()).await.expect("the ledger answers");
        follower
    }

    /// What the bucket holds, by the feed.
    async fn level(&self, resource: &str, index: i32) -> BucketLevel {
        self.follower().await.of(&self.network).level(resource, index)
    }

    async fn execute_all(&self, commands: impl IntoIterator<Item = Command>) -> Vec<Outcome> {
        let mut tasks = JoinSet::new();
        for command in commands {
            let (ledger, network) = (Arc::clone(&self.ledger), self.network.clone());
            tasks.spawn(async move { ledger.execute(&network, command, None).await.expect("the ledger answers") });
        }
        tasks.join_all().await
    }
}

/// A name that no other test of this run has.
fn unique(name: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

async fn rule_19_the_last_unit_is_taken_by_exactly_one(s: &Subject) {
    s.run(supply("slot", 5, &[1])).await;
    let outcomes = s.execute_all((0..200).map(|i| hold(&format!("r{i}"), &[("slot", 5, 1)]))).await;
    let won = outcomes.iter().filter(|o| matches!(o, Outcome::Reservation { repeated: false, .. })).count();
    assert_eq!(won, 1);
    for outcome in outcomes {
        if let Outcome::Refused(refusal) = outcome {
            let Refusal::Short(short) = refusal else { panic!("{refusal:?}") };
            assert_eq!(short.len(), 1);
            assert_eq!(short[0].level, BucketLevel { set: Some(1), held: 1, ..BucketLevel::default() });
        }
    }
}

async fn rule_19_sums_hold_however_many_ask_at_once(s: &Subject) {
    s.run(supply("a", 0, &[50, 70])).await;
    s.run(supply("b", 0, &[60])).await;
    let follower = s.follower().await;
    let outcomes = s
        .execute_all((0..300).map(|i| match i % 3 {
            0 => hold(&format!("r{i}"), &[("a", 0, 1), ("b", 0, 1)]),
            1 => hold(&format!("r{i}"), &[("a", 1, 2), ("a", 0, 1)]),
            _ => hold(&format!("r{i}"), &[("b", 0, 1), ("a", 1, 1), ("b", 0, 1)]),
        }))
        .await;
    let mut sums = [0i64; 3];
    for outcome in outcomes {
        if let Outcome::Reservation { reservation, .. } = outcome {
            for d in reservation.draws.iter() {
                sums[if d.resource == res("b") { 2 } else { d.index as usize }] += d.units;
            }
        }
    }
    let seen = follower.of(&s.network);
    let mut left = Vec::new();
    for (at, (resource, index, supply)) in [("a", 0, 50), ("a", 1, 70), ("b", 0, 60)].into_iter().enumerate() {
        let level = seen.level(resource, index);
        assert_eq!(level.held, sums[at], "{resource} {index}");
        left.push(supply - level.held);
    }
    assert!(left.iter().all(|left| *left >= 0), "{left:?}");
    assert!(left.iter().any(|left| *left <= 1), "somebody was refused for no reason: {left:?}");
    follower.assert_nothing_wrong();
}

async fn rule_19_all_or_nothing_and_every_shortage_is_told(s: &Subject) {
    s.run(supply("a", 0, &[5, 0])).await;
    s.run(supply("b", 0, &[1])).await;
    let Refusal::Short(mut short) = s.refused(hold("x", &[("a", 0, 5), ("a", 1, 1), ("b", 0, 1), ("b", 0, 1)])).await
    else {
        panic!("it is short");
    };
    short.sort_by(|a, b| (&a.resource, a.index).cmp(&(&b.resource, b.index)));
    let told: Vec<_> = short.iter().map(|s| (s.resource.as_str(), s.index, s.level.set)).collect();
    assert_eq!(told, [("a", 1, Some(0)), ("b", 0, Some(1))]);
    assert_eq!(s.level("a", 0).await.held, 0);
    assert_eq!(s.state("x").await, None, "a request that took nothing leaves no trace (rule 20)");
    // Asked anew once there is enough.
    s.run(supply("a", 1, &[1])).await;
    s.run(supply("b", 0, &[2])).await;
    reservation(s.run(hold("x", &[("a", 0, 5), ("a", 1, 1), ("b", 0, 1), ("b", 0, 1)])).await);
    assert_eq!(s.level("b", 0).await.held, 2, "units of one ask are added up (rule 17)");
}

async fn rule_20_twins_of_one_request_make_one_reservation(s: &Subject) {
    s.run(supply("slot", 0, &[1000])).await;
    let outcomes = s.execute_all((0..100).map(|_| hold("same", &[("slot", 0, 7)]))).await;
    let first = outcomes.iter().filter(|o| matches!(o, Outcome::Reservation { repeated: false, .. })).count();
    assert_eq!(first, 1);
    let ids: BTreeSet<_> = outcomes.into_iter().map(|o| reservation(o).version).collect();
    assert_eq!(ids, BTreeSet::from([1]));
    assert_eq!(s.level("slot", 0).await.held, 7);

    let mut other = hold_of("same", takes(&[("slot", 0, 7)]), Span::minutes(15));
    other.fingerprint = digest("another request");
    assert_eq!(s.refused(Command::Hold(Box::new(other))).await, Refusal::AlreadyExists);

    // A repeat gets the present state, also long after, also when the network has changed since.
    s.run(confirm("same")).await;
    s.run(crate::support::network(1, "two", &[])).await;
    let Outcome::Reservation { reservation, repeated } = s.run(hold("same", &[("slot", 0, 7)])).await else { panic!() };
    assert!(repeated);
    assert_eq!(reservation.state, State::Confirmed);
    let newcomer = s.refused(hold("new", &[("slot", 0, 7)])).await;
    assert_eq!(newcomer, Refusal::NetworkChanged { version: 2 });
}

async fn rule_21_a_hold_ends_at_its_very_instant(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    let held = reservation(s.run(hold("first", &[("slot", 0, 1)])).await);
    assert_eq!(held.expires_at, BEGIN.plus(Span::minutes(15)));
    s.clock.set(Moment(held.expires_at.0 - 1));
    assert!(matches!(s.refused(hold("second", &[("slot", 0, 1)])).await, Refusal::Short(_)), "a microsecond early");
    assert_eq!(s.state("first").await, Some(State::Held));
    s.clock.set(held.expires_at);
    assert_eq!(s.state("first").await, Some(State::Expired), "for readers too");
    reservation(s.run(hold("second", &[("slot", 0, 1)])).await);
    assert_eq!(s.refused(confirm("first")).await, Refusal::WrongState { state: State::Expired });
    let expired = reservation(s.run(release("first")).await);
    assert_eq!((expired.state, expired.ended_at), (State::Expired, Some(held.expires_at)));
    assert_eq!(s.level("slot", 0).await.held, 1);
}

async fn rule_21_expiry_needs_no_caller(s: &Subject) {
    s.run(supply("slot", 0, &[2])).await;
    let follower = s.follower().await;
    reservation(s.run(hold("x", &[("slot", 0, 2)])).await);
    assert_eq!(follower.of(&s.network).level("slot", 0).held, 2);
    s.clock.advance(Span::minutes(15));
    let patience = Instant::now() + Duration::from_secs(10);
    while follower.of(&s.network).level("slot", 0).held > 0 {
        assert!(Instant::now() < patience, "nobody gave it back");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    follower.assert_nothing_wrong();
}

async fn rule_21_confirming_and_releasing_twice_changes_nothing(s: &Subject) {
    s.run(supply("slot", 0, &[10])).await;
    s.run(hold("x", &[("slot", 0, 3)])).await;
    let once = reservation(s.run(confirm("x")).await);
    let cursor = s.ledger.newest(&s.network).await.expect("it answers");
    let twice = reservation(s.run(confirm("x")).await);
    assert_eq!(once, twice);
    assert_eq!(s.ledger.newest(&s.network).await, Ok(cursor));
    s.clock.advance(Span::days(3));
    assert_eq!(s.state("x").await, Some(State::Confirmed), "it does not expire any more (rule 22)");
    assert_eq!(s.level("slot", 0).await.confirmed, 3);
    let once = reservation(s.run(release("x")).await);
    assert_eq!(once, reservation(s.run(release("x")).await));
    assert_eq!(s.level("slot", 0).await, BucketLevel { set: Some(10), ..BucketLevel::default() });
    assert_eq!(s.refused(confirm("x")).await, Refusal::WrongState { state: State::Released });
    assert_eq!(s.refused(confirm("nobody")).await, Refusal::NotFound);
}

async fn rule_21_releases_at_once_give_back_once(s: &Subject) {
    s.run(supply("slot", 0, &[10])).await;
    s.run(hold("x", &[("slot", 0, 3)])).await;
    s.run(hold("y", &[("slot", 0, 4)])).await;
    s.execute_all((0..50).flat_map(|_| [release("x"), confirm("y")])).await;
    assert_eq!(s.level("slot", 0).await, BucketLevel { set: Some(10), confirmed: 4, ..BucketLevel::default() });
}

async fn late_payment_takes_the_same_capacity_again_if_it_is_free(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    s.run(hold("x", &[("slot", 0, 1)])).await;
    s.clock.advance(Span::minutes(20));
    s.run(hold("y", &[("slot", 0, 1)])).await;
    assert!(matches!(s.refused(retake("x", &[0])).await, Refusal::Short(_)));
    s.run(release("y")).await;
    assert_eq!(s.refused(retake("x", &[0, 0])).await, Refusal::ReservationChanged);
    let again = reservation(s.run(retake("x", &[0])).await);
    assert_eq!((again.state, again.ended_at), (State::Confirmed, None));
    assert_eq!(s.level("slot", 0).await.confirmed, 1);

    s.run(supply("slot", 0, &[2])).await;
    s.run(hold("late", &[("slot", 0, 1)])).await;
    s.clock.set(BEGIN.plus(Span(Span::days(1).0 + 1)));
    assert_eq!(s.refused(retake("late", &[0])).await, Refusal::OrderByPassed);
}

async fn extending_moves_the_end_and_keeps_the_history_short(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    s.run(hold("x", &[("slot", 0, 1)])).await;
    for _ in 0..5 {
        s.clock.advance(Span::minutes(10));
        s.run(extend("x", Span::minutes(15))).await;
    }
    let r = reservation(s.run(extend("x", Span::minutes(15))).await);
    assert_eq!((r.version, r.history.len()), (7, 2));
    assert_eq!(r.expires_at, BEGIN.plus(Span::minutes(65)));
    assert_eq!(s.state("x").await, Some(State::Held));
    s.run(confirm("x")).await;
    assert_eq!(s.refused(extend("x", Span::minutes(15))).await, Refusal::WrongState { state: State::Confirmed });
}

async fn amending_replaces_all_draws_or_none(s: &Subject) {
    s.run(supply("slot", 0, &[5, 5, 5])).await;
    s.run(hold("x", &[("slot", 0, 5), ("slot", 1, 2)])).await;
    s.run(hold("y", &[("slot", 1, 2)])).await;

    assert_eq!(s.refused(amend("x", "a0", 7, &[("slot", 0, 1)])).await, Refusal::ReservationChanged);
    let Refusal::Short(short) = s.refused(amend("x", "a1", 1, &[("slot", 1, 4), ("slot", 2, 1)])).await else {
        panic!("it is short");
    };
    assert_eq!((short.len(), short[0].index, short[0].level.held), (1, 1, 4), "the true level, its own draws included");
    assert_eq!(s.level("slot", 0).await.held, 5);
    assert_eq!(s.level("slot", 2).await.held, 0);

    // What it has itself counts as free for it.
    let amended = s.run(amend("x", "a2", 1, &[("slot", 1, 3), ("slot", 2, 5)])).await;
    let r = reservation(amended.clone());
    assert_eq!((r.version, r.draws.len(), r.amendments.len()), (2, 2, 1));
    assert_ne!(r.promise.order_by, BEGIN.plus(Span::days(1)));
    for (index, held) in [(0, 0), (1, 5), (2, 5)] {
        assert_eq!(s.level("slot", index).await.held, held);
    }
    // Again: the same answer, nothing more is taken.
    let Outcome::Amended { reservation: again, verdict, .. } =
        s.run(amend("x", "a2", 1, &[("slot", 1, 3), ("slot", 2, 5)])).await
    else {
        panic!("an amendment's answer");
    };
    assert_eq!((again, verdict), (r, surety::domain::answer::Verdict::Later));
    let Command::Amend(mut other) = amend("x", "a2", 2, &[]) else { unreachable!() };
    other.fingerprint = digest("something else");
    assert_eq!(s.refused(Command::Amend(other)).await, Refusal::AlreadyExists);

    s.run(confirm("x")).await;
    let r = reservation(s.run(amend("x", "a3", 3, &[("slot", 0, 1)])).await);
    assert_eq!(r.state, State::Confirmed);
    assert_eq!(s.level("slot", 0).await.confirmed, 1);
    assert_eq!(s.level("slot", 1).await, BucketLevel { set: Some(5), held: 2, ..BucketLevel::default() });
    s.run(release("x")).await;
    assert_eq!(s.refused(amend("x", "a4", 5, &[("slot", 0, 1)])).await, Refusal::WrongState { state: State::Released });
}

async fn undo_leaves_no_trace_unless_somebody_was_told(s: &Subject) {
    s.run(supply("slot", 0, &[5])).await;
    s.run(hold("x", &[("slot", 0, 5)])).await;
    assert!(matches!(s.run(undo("x")).await, Outcome::Done));
    assert_eq!(s.state("x").await, None);
    assert_eq!(s.level("slot", 0).await.held, 0);

    s.run(hold("x", &[("slot", 0, 5)])).await;
    s.run(hold("x", &[("slot", 0, 5)])).await;
    s.run(undo("x")).await;
    assert_eq!(s.state("x").await, Some(State::Held), "a repeat was told of it");

    s.run(supply("slot", 0, &[10])).await;
    s.run(hold("y", &[("slot", 0, 5)])).await;
    s.run(extend("y", Span::minutes(30))).await;
    s.run(undo("y")).await;
    assert_eq!(s.state("y").await, Some(State::Held), "it was changed since");
    s.run(undo("nobody")).await;
}

async fn a_hold_whose_caller_went_away_is_undone(s: &Subject) {
    s.run(supply("slot", 0, &[1_000])).await;
    let mut tasks = JoinSet::new();
    for i in 0..200 {
        let (ledger, network) = (Arc::clone(&s.ledger), s.network.clone());
        tasks.spawn(async move {
            let hold = hold(&format!("r{i}"), &[("slot", 0, 1)]);
            let patience = Duration::from_micros(i * 20);
            tokio::time::timeout(patience, ledger.execute(&network, hold, None)).await.is_ok()
        });
    }
    let told = tasks.join_all().await.into_iter().filter(|told| *told).count() as i64;
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let held = s.level("slot", 0).await.held;
        if held == told {
            break;
        }
        assert!(held > told, "{held} are held, but {told} were told");
        assert!(Instant::now() < patience, "{held} are held, {told} were told");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (all, _) = s.ledger.reservations(&s.network, &ReservationFilter::default(), None, 1_000).await.expect("a page");
    assert_eq!(all.len() as i64, told, "no trace is left");
}

async fn a_deadline_that_passed_takes_nothing(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    let late = s.ledger.execute(&s.network, hold("x", &[("slot", 0, 1)]), Some(Instant::now())).await;
    assert!(matches!(late, Err(LedgerError::DeadlinePassed)));
    assert_eq!(s.state("x").await, None);
}

async fn rule_24_supply_may_fall_below_what_is_drawn(s: &Subject) {
    s.run(supply("slot", 0, &[5])).await;
    s.run(hold("x", &[("slot", 0, 4)])).await;
    let Outcome::SupplySet { buckets: 3 } = s.run(supply("slot", 0, &[1, 2, 3])).await else { panic!() };
    assert_eq!(s.level("slot", 0).await.balance(0, BEGIN), -3);
    assert!(matches!(s.refused(hold("y", &[("slot", 0, 1)])).await, Refusal::Short(_)));
    // What is drawn stays so, and goes back as ever.
    s.run(confirm("x")).await;
    s.run(release("x")).await;
    assert_eq!(s.level("slot", 0).await.balance(0, BEGIN), 1);
}

async fn adjusting_supply_starts_from_the_standing_plan_and_repeats_safely(s: &Subject) {
    s.run(supply("slot", 1, &[10])).await;
    let Outcome::SupplyAdjusted { first: 0, levels } = s.run(adjust("d", "slot", 0, &[4, 7, 0], -6)).await else {
        panic!()
    };
    assert_eq!(levels.iter().map(|l| l.set).collect::<Vec<_>>(), [Some(0), Some(4), Some(0)]);
    s.run(supply("slot", 0, &[100])).await;
    let Outcome::SupplyAdjusted { levels: again, .. } = s.run(adjust("d", "slot", 0, &[4, 7, 0], -6)).await else {
        panic!()
    };
    assert_eq!(levels, again, "as they were then");
    assert_eq!(s.level("slot", 0).await.set, Some(100), "and nothing is adjusted twice");
    assert_eq!(s.refused(adjust("d", "slot", 0, &[4], 6)).await, Refusal::AlreadyExists);
    let Outcome::SupplyAdjusted { levels, .. } = s.run(adjust("e", "slot", 0, &[0], i64::MAX)).await else { panic!() };
    assert_eq!(levels[0].set, Some(surety::domain::limits::MAX_UNITS));
}

async fn networks_are_replaced_whole_and_kept_apart(s: &Subject) {
    let Outcome::NetworkApplied { version: 1 } = s.run(crate::support::network(0, "one", &[])).await else {
        panic!("the same document is no change")
    };
    s.run(supply("old", 0, &[5, 5])).await;
    s.run(hold("x", &[("old", 0, 1)])).await;
    let refused = s.refused(crate::support::network(1, "two", &["old", "gone"])).await;
    assert_eq!(refused, Refusal::StillCarries(vec![res("old")]));
    s.run(release("x")).await;
    assert_eq!(s.refused(crate::support::network(0, "two", &[])).await, Refusal::NetworkChanged { version: 1 });
    let follower = s.follower().await;
    let Outcome::NetworkApplied { version: 2 } = s.run(crate::support::network(1, "two", &["old"])).await else {
        panic!()
    };
    let seen = follower.of(&s.network);
    assert_eq!((seen.network_version, seen.buckets.len()), (2, 0));

    let other = NetworkId::new(&unique("elsewhere")).expect("a name");
    let nothing = s.ledger.execute(&other, hold("x", &[]), None).await;
    assert!(matches!(nothing, Err(LedgerError::UnknownNetwork)));
    s.ledger.execute(&other, crate::support::network(0, "one", &[]), None).await.expect("it is made");
    s.ledger.execute(&other, supply("old", 0, &[9]), None).await.expect("it is known");
    assert_eq!(s.level("old", 0).await, BucketLevel::default());
    let names = s.ledger.networks().await.expect("it answers");
    assert!(names.contains(&other) && names.contains(&NetworkId::default_network()));
    // `default` needs no document to be asked.
    let default = NetworkId::default_network();
    let mut unversioned = hold_of("x", takes(&[("any", 0, 1)]), Span::minutes(1));
    unversioned.network_version = 0;
    let outcome = s.ledger.execute(&default, Command::Hold(Box::new(unversioned)), None).await.expect("it answers");
    assert!(matches!(refusal(outcome), Refusal::Short(_)));
}

async fn forgetting_spares_what_carries_reservations(s: &Subject) {
    s.run(supply("slot", 0, &[5, 5, 5, 5])).await;
    s.run(hold("x", &[("slot", 1, 1)])).await;
    let follower = s.follower().await;
    s.run(Command::Forget { before: vec![(res("slot"), 3), (res("nobody"), 3)] }).await;
    let known = |seen: Seen| seen.buckets.keys().map(|(_, i)| *i).collect::<Vec<_>>();
    assert_eq!(known(follower.of(&s.network)), [1, 3]);
    assert_eq!(follower.of(&s.network), s.follower().await.of(&s.network));
    s.run(release("x")).await;
    s.run(Command::Forget { before: vec![(res("slot"), 3)] }).await;
    let cursor = s.ledger.newest(&s.network).await.expect("it answers");
    s.run(Command::Forget { before: vec![(res("slot"), 3)] }).await;
    assert_eq!(s.ledger.newest(&s.network).await, Ok(cursor), "nothing to forget is no change");
    assert_eq!(known(s.follower().await.of(&s.network)), [3]);
}

async fn the_feed_tells_everything_in_order(s: &Subject) {
    let follower = s.follower().await;
    s.run(supply("slot", 0, &[40, 40])).await;
    s.execute_all((0..60).map(|i| hold(&format!("r{i:02}"), &[("slot", i % 2, 1), ("slot", 0, 1)]))).await;
    s.execute_all((0..30).flat_map(|i| [confirm(&format!("r{i:02}")), release(&format!("r{:02}", i + 15))])).await;
    s.run(undo("r59")).await;
    s.clock.advance(Span::minutes(15));
    s.run(Command::Tick).await;

    follower.assert_nothing_wrong();
    let told = follower.of(&s.network);
    let late = s.follower().await.of(&s.network);
    assert_eq!(told, late, "who followed knows what who comes new is given");
    assert_eq!(follower.fresh_of(&s.network), Some(BEGIN.plus(Span::minutes(15))));

    // And once more from what is kept, in pages.
    let (mut seen, mut cursor) = (Seen::default(), 0);
    loop {
        let page = s.ledger.entries(&s.network, cursor, 7).await.expect("it answers");
        assert!(page.len() <= 7);
        for entry in &page {
            seen.follow(entry).expect("no gap");
        }
        match page.last() {
            Some(last) => cursor = last.seq,
            None => break,
        }
    }
    assert_eq!(seen, late);
    assert_eq!(s.ledger.newest(&s.network).await, Ok(cursor));
    assert_eq!(s.ledger.entries(&s.network, cursor + 100, 7).await, Ok(vec![]));
    let first = &s.ledger.entries(&s.network, 0, 1).await.expect("it answers")[0];
    assert!(matches!(&first.changes[..], [Change::Network { version: 1, document, .. }] if document.is_empty()));
}

async fn reservations_are_listed_in_pages(s: &Subject) {
    s.run(supply("a", 0, &[100])).await;
    s.run(supply("b", 0, &[100])).await;
    for i in 0..25 {
        s.run(hold(&format!("r{i:02}"), &[(if i % 2 == 0 { "a" } else { "b" }, 0, 1)])).await;
        if i % 5 == 0 {
            s.run(confirm(&format!("r{i:02}"))).await;
        }
    }
    for (filter, expected) in [
        (ReservationFilter::default(), 25),
        (ReservationFilter { resources: vec![res("a")], ..Default::default() }, 13),
        (ReservationFilter { state: Some(State::Confirmed), ..Default::default() }, 5),
        (ReservationFilter { resources: vec![res("b")], state: Some(State::Confirmed), ..Default::default() }, 2),
        (ReservationFilter { at_risk: true, ..Default::default() }, 0),
    ] {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = s.ledger.reservations(&s.network, &filter, after.as_ref(), 4).await.expect("a page");
            assert!(page.len() <= 4);
            ids.extend(page.iter().map(|r| r.id.clone()));
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(ids.len(), expected, "{filter:?}");
        assert!(ids.is_sorted());
    }
}

async fn a_closed_ledger_is_unavailable(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    s.ledger.close().await;
    let after = s.ledger.execute(&s.network, hold("x", &[("slot", 0, 1)]), None).await;
    assert!(matches!(after, Err(LedgerError::Unavailable(_))));
    assert!(matches!(s.ledger.newest(&s.network).await, Err(LedgerError::Unavailable(_))));
    s.ledger.close().await;
}

macro_rules! conformance {
    ($($backend:ident: $($name:ident,)*;)*) => {$(
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() {
                    // None: a loud word was said that a server to test with is missing.
                    let Some(subject) = super::Subject::$backend().await else { return };
                    super::$name(&subject).await;
                    // Before the next one has its turn.
                    subject.ledger.close().await;
                }
            )*
        }
    )*};
}

macro_rules! for_every_back_end {
    ($($name:ident,)*) => {
        conformance! {
            memory: $($name,)*;
            embedded: $($name,)*;
            redis: $($name,)*;
            valkey: $($name,)*;
            sentinel: $($name,)*;
            cluster: $($name,)*;
        }
    };
}

for_every_back_end! {
    rule_19_the_last_unit_is_taken_by_exactly_one,
    rule_19_sums_hold_however_many_ask_at_once,
    rule_19_all_or_nothing_and_every_shortage_is_told,
    rule_20_twins_of_one_request_make_one_reservation,
    rule_21_a_hold_ends_at_its_very_instant,
    rule_21_expiry_needs_no_caller,
    rule_21_confirming_and_releasing_twice_changes_nothing,
    rule_21_releases_at_once_give_back_once,
    late_payment_takes_the_same_capacity_again_if_it_is_free,
    extending_moves_the_end_and_keeps_the_history_short,
    amending_replaces_all_draws_or_none,
    undo_leaves_no_trace_unless_somebody_was_told,
    a_hold_whose_caller_went_away_is_undone,
    a_deadline_that_passed_takes_nothing,
    rule_24_supply_may_fall_below_what_is_drawn,
    adjusting_supply_starts_from_the_standing_plan_and_repeats_safely,
    networks_are_replaced_whole_and_kept_apart,
    forgetting_spares_what_carries_reservations,
    the_feed_tells_everything_in_order,
    reservations_are_listed_in_pages,
    a_closed_ledger_is_unavailable,
}
