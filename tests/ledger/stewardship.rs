//! Looking after ledgers: moving house, audits and repairs. Plain functions over the trait, run against each back end, and
//! what only the embedded one can be asked.

use std::io::Cursor as Bytes;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use surety::clock::ManualClock;
use surety::domain::bucket::BucketLevel;
use surety::domain::id::NetworkId;
use surety::domain::limits::REFUSED_MINUTES;
use surety::domain::reservation::State;
use surety::domain::time::Span;
use surety::ledger::audit::{Audit, Counter, Drift, Repair, audit};
use surety::ledger::command::{Command, Outcome, Refusal};
use surety::ledger::embedded::store::{Batch, Medium, MemoryStore, Space, Store, StoreError, Visit};
use surety::ledger::embedded::{EmbeddedConfig, EmbeddedLedger, OpenError};
use surety::ledger::feed::{Change, Entry};
use surety::ledger::record;
use surety::ledger::redis::{Address, Durability, RedisConfig, RedisLedger, StoreClock};
use surety::ledger::stewardship::{Entries, Holdings, LoadError, Steward};
use surety::ledger::stored_file::{self, Exporter, FileFault, Imported};
use surety::ledger::{Ledger, LedgerError, ReservationFilter};
use tokio::task::JoinSet;

use crate::dice::{Dice, seed, setting};
use crate::redis_world::{Flavour, own_database};
use crate::support::*;

mod files;

/// A ledger under test, its clock, and a network in it.
struct House {
    steward: Arc<dyn Steward>,
    clock: Arc<ManualClock>,
    network: NetworkId,
    _dir: Option<tempfile::TempDir>,
}

impl House {
    async fn memory() -> Option<House> {
        let clock = Arc::new(ManualClock::at(BEGIN));
        Some(House { steward: EmbeddedLedger::memory(clock.clone()), clock, network: name("house"), _dir: None })
    }

    async fn redis() -> Option<House> {
        House::at(Flavour::Redis.or_skip()?).await
    }

    async fn valkey() -> Option<House> {
        House::at(Flavour::Valkey.or_skip()?).await
    }

    async fn at(flavour: Flavour) -> Option<House> {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let address = Address::parse(&own_database(flavour).url()).expect("an address");
        let config = RedisConfig {
            clock: StoreClock::Given(clock.clone()),
            durability: Durability::Memory,
            ..RedisConfig::new(address)
        };
        let steward = RedisLedger::open(config).await.expect("it opens");
        Some(House { steward, clock, network: name("house"), _dir: None })
    }

    async fn embedded() -> Option<House> {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let dir = tempfile::tempdir().expect("a directory for the test");
        let ledger = EmbeddedLedger::open(EmbeddedConfig::new(dir.path()), clock.clone()).expect("it opens");
        Some(House { steward: ledger, clock, network: name("house"), _dir: Some(dir) })
    }

    async fn run(&self, command: Command) -> Outcome {
        self.steward.execute(&self.network, command, None).await.expect("the ledger answers")
    }

    async fn holdings(&self) -> Holdings {
        self.steward.read_all(&self.network).await.expect("it can be read").expect("the network is there")
    }

    async fn feed(&self) -> Vec<Arc<Entry>> {
        self.steward.entries(&self.network, 0, usize::MAX).await.expect("the ledger answers")
    }

    async fn audit(&self) -> Audit {
        audit(&self.holdings().await, |_, _| Some(0))
    }

    /// A bit of everything: reservations in each state, an adjustment, an amendment, sets of supply.
    async fn live_in(&self) {
        self.run(network(0, "one", &[])).await;
        self.run(network(1, &"two ".repeat(700_000), &[])).await;
        for (resource, first) in [("slot", 0), ("oven", -3), ("slot", 40)] {
            self.run(second(supply(resource, first, &[9; 20]))).await;
        }
        // Some is set aside, for a channel and for two offers, of which one is over.
        let until = BEGIN.plus(Span::days(9));
        self.run(second(allocate("allocation", "vip", "slot", 6, &[(4, until, Some(7))]))).await;
        for id in ["sale", "spring"] {
            self.run(second(approve(id, id, &[("slot", 6, 2), ("slot", 7, 2)], until))).await;
        }
        for (id, pool, by) in [("of a channel", channel("vip"), "vip"), ("of an offer", of_offer("sale"), "web")] {
            let Command::Hold(mut c) = hold_from(id, &pool, Some(by), &[("slot", 6, 1)]) else { unreachable!("it is") };
            c.hold = Span::days(2);
            self.run(second(Command::Hold(c))).await;
        }
        self.run(close_offer("spring")).await;
        self.run(mark("of a channel", 1, true)).await;
        self.run(confirm("of an offer")).await;
        self.run(deliver("of an offer", 2)).await;
        self.run(count(&[("lost\tthis", 5)])).await;
        for (id, draws) in [
            ("held", &[("slot", 1, 2), ("oven", 2, 1)][..]),
            ("confirmed", &[("slot", 1, 3)]),
            ("released", &[("slot", 2, 3)]),
            ("expired", &[("slot", 3, 3)]),
            ("amended", &[("slot", 4, 1)]),
        ] {
            let hold = if id == "expired" { Span::minutes(1) } else { Span::days(2) };
            self.run(second(hold_for(id, draws, hold))).await;
        }
        self.run(confirm("confirmed")).await;
        self.run(release("released")).await;
        self.run(second(amend("amended", "amendment", 1, &[("oven", 5, 4)]))).await;
        self.run(second(adjust("adjustment", "oven", 7, &[0, 0], 5))).await;
        self.clock.advance(Span::minutes(2));
        self.run(Command::Tick).await;
    }
}

fn name(text: &str) -> NetworkId {
    NetworkId::new(text).expect("a name")
}

/// The same on the second version of the network.
fn second(command: Command) -> Command {
    at_version(command, 2)
}

fn hold_for(id: &str, draws: &[(&str, i32, i64)], hold: Span) -> Command {
    Command::Hold(Box::new(hold_of(id, takes(draws), hold)))
}

/// A network as a file.
fn file_of(network: &NetworkId, holdings: &Holdings, feed: &[Arc<Entry>]) -> Vec<u8> {
    let mut file = Exporter::begin(Vec::new(), network, holdings).expect("memory takes it");
    for entry in feed {
        file.entry(entry).expect("memory takes it");
    }
    file.end().expect("memory takes it").1
}

fn opened(file: &[u8]) -> Result<Imported, FileFault> {
    stored_file::read(Bytes::new(file.to_vec()))
}

/// Reads a file to its end.
fn read_whole(file: &[u8]) -> Result<(NetworkId, Holdings, Vec<Entry>), FileFault> {
    let Imported { network, holdings, entries } = opened(file)?;
    Ok((network, holdings, entries.collect::<Result<_, _>>()?))
}

async fn move_house(from: &House, to: &House) -> Result<(), LoadError> {
    let file = file_of(&from.network, &from.holdings().await, &from.feed().await);
    let Imported { network, holdings, entries } = opened(&file)?;
    assert_eq!(network, from.network);
    to.clock.set(holdings.now);
    to.steward.load_all(&to.network, holdings, entries).await
}

async fn all_is_as_it_was_after_moving_house(from: &House, to: &House) {
    from.live_in().await;
    let follower = Arc::new(Follower::default());
    to.steward.subscribe(follower.clone()).await.expect("the ledger answers");
    move_house(from, to).await.expect("it is empty");
    let before = from.holdings().await;
    assert_eq!(to.holdings().await, before);
    let states: Vec<(&str, State)> = before.reservations.iter().map(|r| (r.id.as_str(), r.state)).collect();
    let want = [
        ("amended", State::Held),
        ("confirmed", State::Confirmed),
        ("expired", State::Expired),
        ("held", State::Held),
        ("of a channel", State::Held),
        ("of an offer", State::Fulfilled),
        ("released", State::Released),
    ];
    assert_eq!(states, want);
    assert_eq!(before.adjustments.len(), 2);
    let mut counted = tallies_of(before.reservations.iter().map(|r| &**r));
    counted.insert("lost\tthis".to_owned(), 5);
    assert_eq!(summed(before.tallies.iter().map(|(name, sum)| (name, *sum))), counted);
    assert_eq!(before.snapshot.offers.len(), 2);
    let at_risk = ReservationFilter { at_risk: true, ..ReservationFilter::default() };
    let (at_risk, _) = to.steward.reservations(&to.network, &at_risk, None, 9).await.expect("the ledger answers");
    assert_eq!(at_risk.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["of a channel"]);
    // Those who followed the feed there go on here.
    assert_eq!(to.feed().await, from.feed().await);
    assert_eq!(to.steward.newest(&to.network).await, Ok(before.snapshot.seq));
    let seen = follower.of(&to.network);
    assert_eq!((seen.seq, seen.network_version), (before.snapshot.seq, 2));
    assert_eq!(seen.level("slot", 1), BucketLevel { set: Some(9), held: 2, confirmed: 3, ..BucketLevel::default() });
    // The same requests get the same answers.
    for id in ["held", "confirmed", "released", "expired", "amended"] {
        for house in [from, to] {
            let again = second(hold_for(id, &[("slot", 1, 1)], Span::minutes(1)));
            let Outcome::Reservation { reservation, repeated: true } = house.run(again).await else {
                panic!("{id} is known")
            };
            assert!(before.reservations.contains(&reservation), "{id} is as it was");
        }
    }
    let other = Command::Recall { id: rid("held"), fingerprint: digest("another request") };
    assert_eq!(refusal(to.run(other).await), Refusal::AlreadyExists);
    let twice = to.run(second(adjust("adjustment", "oven", 7, &[0, 0], 5))).await;
    let Outcome::SupplyAdjusted { levels, .. } = twice else { panic!("{twice:?}") };
    assert_eq!(levels[0].set, Some(14), "it was made once");
    let again = to.run(second(approve("sale", "sale", &[("slot", 6, 2), ("slot", 7, 2)], BEGIN))).await;
    assert!(matches!(again, Outcome::Offer { repeated: true, .. }), "{again:?}");
    // What is set aside is so here, too, and what a channel drew counts.
    let level = seen.level("slot", 6);
    assert_eq!((level.set_aside(BEGIN), level.room_of("vip"), level.balance(0, BEGIN)), (4, Some(6), 3));
    assert!(matches!(refusal(to.run(second(hold("more", &[("slot", 6, 4)]))).await), Refusal::Short(_)));
    assert!(matches!(to.run(amend("amended", "amendment", 1, &[])).await, Outcome::Amended { .. }));
    // Life goes on: what is held ends at its time, and entries follow those that were brought along.
    to.run(confirm("held")).await;
    to.clock.advance(Span::days(2));
    to.run(Command::Tick).await;
    follower.assert_nothing_wrong();
    assert_eq!(follower.of(&to.network).level("oven", 5).held, 0);
    assert_eq!(to.feed().await.len(), from.feed().await.len() + 2);
    assert_eq!(to.audit().await.drifts, []);
}

async fn nothing_is_loaded_over_something(from: &House, to: &House) {
    from.live_in().await;
    to.run(network(0, "mine", &[])).await;
    to.run(supply("slot", 0, &[7, 7])).await;
    to.run(hold("mine", &[("slot", 0, 1)])).await;
    let before = to.holdings().await;
    let want = LoadError::NotEmpty { version: 1, buckets: 2, reservations: 1 };
    assert_eq!(move_house(from, to).await, Err(want));
    let after = to.holdings().await;
    assert_eq!((after.snapshot, after.reservations.len()), (before.snapshot, 1));
}

async fn a_source_that_fails_midway_leaves_nothing_behind(from: &House, to: &House) {
    from.live_in().await;
    let (holdings, feed) = (from.holdings().await, from.feed().await);
    to.clock.set(holdings.now);
    let fault = FileFault::CutShort { at: 7 };
    for good in [0, 1, feed.len()] {
        let entries: Vec<_> = feed.iter().take(good).map(|e| Ok(Entry::clone(e))).chain([Err(fault.clone())]).collect();
        let entries: Entries = Box::new(entries.into_iter());
        let loaded = to.steward.load_all(&to.network, holdings.clone(), entries).await;
        assert_eq!(loaded, Err(LoadError::Source(fault.clone())));
        assert!(to.steward.read_all(&to.network).await.expect("it can be read").is_none_or(|h| h.is_empty()));
        assert_eq!(to.feed().await, []);
        assert_eq!(to.steward.reservation(&to.network, &rid("held")).await, Ok(None));
    }
    move_house(from, to).await.expect("the same can be tried again");
    assert_eq!(to.holdings().await, holdings);
}

async fn drifts_are_found_and_mended_and_the_view_follows(house: &House) {
    house.live_in().await;
    let follower = Arc::new(Follower::default());
    house.steward.subscribe(follower.clone()).await.expect("the ledger answers");
    let found = house.audit().await;
    assert_eq!((found.drifts.as_slice(), found.below_zero.as_slice()), (&[][..], &[][..]));
    assert_eq!((found.buckets, found.reservations), (60, 5));
    // A repair of what is right makes it wrong.
    let planted = [
        ("slot", 1, Counter::Held, 5),
        ("slot", 1, Counter::Confirmed, -2),
        ("slot", 2, Counter::Held, 1),
        ("slot", 6, Counter::Pool(of_offer("sale")), 2),
        ("slot", 6, Counter::Channel("vip".into()), -1),
        ("slot", 8, Counter::Channel("vip".into()), 3),
        ("oven", 300, Counter::Held, 4),
    ];
    let repairs =
        planted.clone().map(|(resource, index, counter, by)| Repair { resource: res(resource), index, counter, by });
    assert_eq!(house.steward.repair(&house.network, &repairs).await, Ok(5), "five buckets");
    let drifts = house.audit().await.drifts;
    let drift = |resource, index, counter, has, should| Drift { resource: res(resource), index, counter, has, should };
    let want = [
        drift("oven", 300, Counter::Held, 4, 0),
        drift("slot", 1, Counter::Held, 7, 2),
        drift("slot", 1, Counter::Confirmed, 1, 3),
        drift("slot", 2, Counter::Held, 1, 0),
        drift("slot", 6, Counter::Pool(of_offer("sale")), 3, 1),
        drift("slot", 6, Counter::Channel("vip".into()), 0, 1),
        drift("slot", 8, Counter::Channel("vip".into()), 3, 0),
    ];
    assert_eq!(drifts, want);
    // What happens between the reading and the repair does not spoil it.
    let repairs: Vec<Repair> = drifts.iter().map(Drift::repair).collect();
    house.run(release("held")).await;
    house.run(second(hold("another", &[("slot", 2, 4)]))).await;
    let place = house.holdings().await.snapshot.seq;
    assert_eq!(house.steward.repair(&house.network, &repairs).await, Ok(5));
    assert_eq!(house.audit().await.drifts, []);
    let entries = house.steward.entries(&house.network, place, 10).await.expect("the ledger answers");
    let changed = entries.iter().flat_map(|e| &e.changes).filter(|c| matches!(c, Change::Bucket { .. })).count();
    assert_eq!(changed, 5, "a repair is a change like others");
    follower.assert_nothing_wrong();
    let seen = follower.of(&house.network);
    assert_eq!(seen.level("slot", 1), BucketLevel { set: Some(9), confirmed: 3, ..BucketLevel::default() });
    assert_eq!(seen.level("slot", 2), BucketLevel { set: Some(9), held: 4, ..BucketLevel::default() });
    assert_eq!(house.steward.repair(&house.network, &[]).await, Ok(0));
    let nowhere = house.steward.repair(&name("nowhere"), &repairs).await;
    assert_eq!(nowhere, Err(LedgerError::UnknownNetwork));
    assert_eq!(house.steward.read_all(&name("nowhere")).await, Ok(None));
}

async fn a_cut_of_supply_is_no_drift(house: &House) {
    house.live_in().await;
    house.run(second(supply("slot", 1, &[4]))).await;
    let found = house.audit().await;
    assert_eq!(found.drifts, []);
    let [short] = found.below_zero.as_slice() else { panic!("{found:?}") };
    assert_eq!((short.resource.as_str(), short.index, short.supply, short.drawn), ("slot", 1, 4, 5));
    assert_eq!((short.set_aside, short.balance()), (0, -1));
}

async fn an_audit_of_a_live_ledger_finds_nothing_wrong(house: &House) {
    house.run(network(0, "one", &[])).await;
    house.run(supply("slot", 0, &[1_000; 4])).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for worker in 0..4 {
        let (steward, network, stop) = (Arc::clone(&house.steward), house.network.clone(), Arc::clone(&stop));
        tasks.spawn(async move {
            let mut i = 0;
            while !stop.load(Ordering::Relaxed) {
                let id = format!("w{worker}-{i}");
                let draws = [("slot", i % 4, 1), ("slot", (i + 1) % 4, 2)];
                for command in [hold(&id, &draws), if i % 3 == 0 { confirm(&id) } else { release(&id) }] {
                    steward.execute(&network, command, None).await.expect("the ledger answers");
                }
                i += 1;
            }
        });
    }
    let mut last = 0;
    for _ in 0..setting("AUDITS", 30) {
        let holdings = house.holdings().await;
        assert_eq!(audit(&holdings, |_, _| Some(0)).drifts, []);
        assert!(holdings.snapshot.seq >= last, "readings follow each other");
        last = holdings.snapshot.seq;
    }
    stop.store(true, Ordering::Relaxed);
    tasks.join_all().await;
}

macro_rules! in_houses {
    ($($house:ident: $($test:ident($($argument:ident),+);)+;)+) => {$(
        mod $house {
            use super::House;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                // None: a loud word was said that a server to test with is missing.
                $(let Some($argument) = House::$house().await else { return };)+
                super::$test($(&$argument),+).await;
            })+
        }
    )+};
}

macro_rules! every_house {
    ($($test:ident($($argument:ident),+);)+) => {
        in_houses! {
            memory: $($test($($argument),+);)+;
            embedded: $($test($($argument),+);)+;
            redis: $($test($($argument),+);)+;
            valkey: $($test($($argument),+);)+;
        }
    };
}

every_house! {
    all_is_as_it_was_after_moving_house(from, to);
    nothing_is_loaded_over_something(from, to);
    a_source_that_fails_midway_leaves_nothing_behind(from, to);
    drifts_are_found_and_mended_and_the_view_follows(house);
    a_cut_of_supply_is_no_drift(house);
    an_audit_of_a_live_ledger_finds_nothing_wrong(house);
}

/// A store in memory of which so many commits succeed.
struct Mortal {
    store: MemoryStore,
    left: AtomicUsize,
}

struct Grave(Arc<Mortal>);

impl Medium for Grave {
    fn open(&mut self) -> Result<Arc<dyn Store>, OpenError> {
        Ok(self.0.clone())
    }
}

impl Store for Mortal {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(space, key)
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(space, from, to, visit)
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.last(space, from, to)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => self.store.commit(batch),
            Err(_) => Err(StoreError::Unknown("no space left on device".to_owned())),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_dies_midway_leaves_an_empty_network() {
    let from = House::memory().await.expect("it needs nothing");
    from.live_in().await;
    // Large enough for several writes.
    from.run(network(2, &"a big document ".repeat(1 << 20), &[])).await;
    let (holdings, feed) = (from.holdings().await, from.feed().await);
    let mut finished = false;
    for commits in 0..20 {
        let store = Arc::new(Mortal { store: MemoryStore::default(), left: AtomicUsize::new(usize::MAX) });
        let open = || {
            let clock = Arc::new(ManualClock::at(BEGIN));
            EmbeddedLedger::on(Box::new(Grave(store.clone())), EmbeddedConfig::new(""), clock).expect("it opens")
        };
        let entries = || -> Entries { Box::new(feed.clone().into_iter().map(|e| Ok(Entry::clone(&e)))) };
        let ledger = open();
        store.left.store(commits, Ordering::SeqCst);
        let loaded = ledger.load_all(&from.network, holdings.clone(), entries()).await;
        // The process dies here.
        store.left.store(usize::MAX, Ordering::SeqCst);
        drop(ledger);
        let ledger = open();
        let there = ledger.read_all(&from.network).await.expect("it can be read");
        if loaded.is_ok() {
            assert_eq!(there.expect("it was loaded").snapshot, holdings.snapshot);
            assert!(commits > 3, "it took several writes, {commits}");
            finished = true;
            break;
        }
        assert!(matches!(loaded, Err(LoadError::Ledger(LedgerError::OutcomeUnknown(_)))), "{loaded:?}");
        assert_eq!(there, None, "after {commits} commits");
        assert_eq!(ledger.networks().await, Ok(vec![NetworkId::default_network()]));
        assert_eq!(ledger.load_all(&from.network, holdings.clone(), entries()).await, Ok(()));
        assert_eq!(ledger.entries(&from.network, 0, usize::MAX).await, Ok(feed.clone()));
    }
    assert!(finished, "it is loaded in the end");
}

#[tokio::test]
async fn a_bucket_that_was_written_wrong_in_the_store_is_mended_there() {
    let store = Arc::new(MemoryStore::default());
    let open = || {
        let clock = Arc::new(ManualClock::at(BEGIN));
        EmbeddedLedger::on(Box::new(store.clone()), EmbeddedConfig::new(""), clock).expect("it opens")
    };
    let default = NetworkId::default_network();
    let ledger = open();
    for command in [network(0, "one", &[]), supply("slot", 3, &[9]), hold("r", &[("slot", 3, 2)])] {
        ledger.execute(&default, command, None).await.expect("the ledger answers");
    }
    drop(ledger);
    let key = [b"default\0slot\0".as_slice(), &(3_u32 ^ 1 << 31).to_be_bytes()].concat();
    let right = BucketLevel { set: Some(9), held: 2, ..BucketLevel::default() };
    let stored = store.get(Space::Buckets, &key).expect("it can be read").expect("it is there");
    assert_eq!(record::read_bucket(&stored), Ok(right.clone()));
    let mut wrong = Batch::default();
    wrong.put(Space::Buckets, key.clone(), record::write_bucket(&BucketLevel { held: 3, ..right.clone() }));
    store.commit(wrong).expect("it is written");
    let ledger = open();
    let found = audit(&ledger.read_all(&default).await.unwrap().expect("it is there"), |_, _| None);
    assert_eq!(found.drifts.len(), 1);
    assert_eq!(found.drifts[0].to_string(), "bucket 3 of slot has 3 held, its reservations draw 2");
    assert_eq!(ledger.repair(&default, &found.repairs()).await, Ok(1));
    assert_eq!(ledger.audit(&default).await, Ok(vec![]), "in memory and in the store");
    let stored = store.get(Space::Buckets, &key).expect("it can be read").expect("it is there");
    assert_eq!(record::read_bucket(&stored), Ok(right));
}

#[tokio::test]
async fn a_feed_without_entries_goes_on_at_its_place_all_the_same() {
    let from = House::memory().await.expect("it needs nothing");
    let to = House::memory().await.expect("it needs nothing");
    from.live_in().await;
    let holdings = from.holdings().await;
    to.clock.set(holdings.now);
    to.steward.load_all(&to.network, holdings.clone(), Box::new(std::iter::empty())).await.expect("it is empty");
    assert_eq!(to.holdings().await, holdings);
    to.run(confirm("held")).await;
    assert_eq!(to.steward.newest(&to.network).await, Ok(holdings.snapshot.seq + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_many_writes_is_there_when_the_store_is_opened_again() {
    let from = House::memory().await.expect("it needs nothing");
    from.run(network(0, &"a big document ".repeat(1 << 20), &[])).await;
    from.run(supply("slot", 0, &[100_000])).await;
    let count = setting("RESERVATIONS", 2_000);
    for first in (0..count).step_by(500) {
        let mut tasks = JoinSet::new();
        for i in first..(first + 500).min(count) {
            let (steward, network) = (Arc::clone(&from.steward), from.network.clone());
            tasks
                .spawn(async move { steward.execute(&network, hold(&format!("r{i}"), &[("slot", 0, 1)]), None).await });
        }
        tasks.join_all().await;
    }
    let holdings = from.holdings().await;
    assert_eq!(holdings.reservations.len() as u64, count);
    let to = House::embedded().await.expect("it needs nothing");
    move_house(&from, &to).await.expect("it is empty");
    to.steward.close().await;
    let House { steward, clock, network, _dir } = to;
    drop(steward);
    let dir = _dir.as_ref().expect("it has a directory").path();
    let again = EmbeddedLedger::open(EmbeddedConfig::new(dir), clock).expect("it opens");
    assert_eq!(again.read_all(&network).await.expect("it can be read").as_ref(), Some(&holdings));
    assert_eq!(again.entries(&network, 0, usize::MAX).await, Ok(from.feed().await));
    assert_eq!(again.audit(&network).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_known_when_the_store_is_opened_again() {
    let house = House::embedded().await.expect("it needs nothing");
    house.run(network(0, "a document", &[])).await;
    let House { steward, clock, network, _dir } = house;
    let refused = |request| count_once(request, &[("score\tno", 1)]);
    for request in [1, 2, 1] {
        steward.execute(&network, refused(request), None).await.expect("it answers");
    }
    steward.close().await;
    drop(steward);
    let dir = _dir.as_ref().expect("it has a directory").path();
    let again = EmbeddedLedger::open(EmbeddedConfig::new(dir), clock.clone()).expect("it opens");
    for request in [2, 3, 1] {
        again.execute(&network, refused(request), None).await.expect("it answers");
    }
    assert_eq!(again.tallies(&network, "score").await, Ok(vec![("score\tno".into(), 3)]));
    clock.advance(Span::minutes(REFUSED_MINUTES));
    again.execute(&network, refused(3), None).await.expect("it answers");
    assert_eq!(again.tallies(&network, "score").await, Ok(vec![("score\tno".into(), 4)]));
}
