//! The embedded ledger's thread over a store that is slow, full or broken.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use surety::clock::ManualClock;
use surety::domain::id::NetworkId;
use surety::domain::time::Span;
use surety::ledger::command::{Command, Outcome};
use surety::ledger::embedded::store::{Batch, Medium, MemoryStore, Space, Store, StoreError, Visit};
use surety::ledger::embedded::{EmbeddedConfig, EmbeddedLedger, OpenError, Retention};
use surety::ledger::{Ledger, LedgerError, ReservationFilter};
use tokio::task::JoinSet;

use crate::dice::setting;
use crate::support::*;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Commits wait.
    Stuck,
    /// Scans wait.
    Slow,
    /// A commit fails; it was written all the same.
    FailsAfter,
    /// Nothing is written.
    FailsBefore,
}

struct Disk {
    durable: MemoryStore,
    mood: Mutex<Mood>,
    changed: Condvar,
    begun: AtomicUsize,
    commits: AtomicUsize,
    /// Scans at work, and the most there ever were.
    scans: Mutex<(usize, usize)>,
    opens: AtomicBool,
}

impl Disk {
    fn new() -> Arc<Disk> {
        Arc::new(Disk {
            durable: MemoryStore::default(),
            mood: Mutex::new(Mood::Well),
            changed: Condvar::new(),
            begun: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
            scans: Mutex::default(),
            opens: AtomicBool::new(true),
        })
    }

    fn be(&self, mood: Mood) {
        *self.mood.lock().expect("no test panics with it") = mood;
        self.changed.notify_all();
    }
}

struct Plug(Arc<Disk>);

impl Medium for Plug {
    fn open(&mut self) -> Result<Arc<dyn Store>, OpenError> {
        if self.0.opens.load(Ordering::SeqCst) {
            Ok(self.0.clone())
        } else {
            Err(OpenError::Failed("unplugged".to_owned()))
        }
    }
}

impl Store for Disk {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.durable.get(space, key)
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let count = |by: isize| {
            let mut scans = self.scans.lock().expect("no test panics with it");
            scans.0 = scans.0.saturating_add_signed(by);
            scans.1 = scans.1.max(scans.0);
        };
        count(1);
        let mood = self.mood.lock().expect("no test panics with it");
        drop(self.changed.wait_while(mood, |m| *m == Mood::Slow).expect("no test panics with it"));
        let scanned = self.durable.scan(space, from, to, visit);
        count(-1);
        scanned
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.durable.last(space, from, to)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mood = self.mood.lock().expect("no test panics with it");
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mood = *self.changed.wait_while(mood, |m| *m == Mood::Stuck).expect("no test panics with it");
        self.commits.fetch_add(1, Ordering::SeqCst);
        match mood {
            Mood::FailsBefore => Err(StoreError::Unknown("no space left on device".to_owned())),
            Mood::FailsAfter => {
                self.durable.commit(batch)?;
                Err(StoreError::Unknown("input/output error".to_owned()))
            }
            Mood::Well | Mood::Stuck | Mood::Slow => self.durable.commit(batch),
        }
    }
}

struct Outage {
    disk: Arc<Disk>,
    clock: Arc<ManualClock>,
    ledger: Arc<EmbeddedLedger>,
    network: NetworkId,
}

impl Outage {
    async fn new(queue: usize) -> Outage {
        let (disk, clock) = (Disk::new(), Arc::new(ManualClock::at(BEGIN)));
        let retention = Retention { entries: 50, entries_for: Span::days(1), ..Retention::default() };
        let config = EmbeddedConfig { queue, retention, ..EmbeddedConfig::new("") };
        let ledger = EmbeddedLedger::on(Box::new(Plug(disk.clone())), config, clock.clone()).expect("it opens");
        let outage = Outage { disk, clock, ledger, network: NetworkId::default_network() };
        outage.execute(network(0, "one", &[])).await.expect("it is applied");
        outage.execute(supply("slot", 0, &[100])).await.expect("it is set");
        outage
    }

    async fn execute(&self, command: Command) -> Result<Outcome, LedgerError> {
        self.ledger.execute(&self.network, command, None).await
    }

    fn spawn(&self, tasks: &mut JoinSet<Result<Outcome, LedgerError>>, command: Command, give_up_at: Option<Instant>) {
        let (ledger, network) = (Arc::clone(&self.ledger), self.network.clone());
        tasks.spawn(async move { ledger.execute(&network, command, give_up_at).await });
    }

    /// Sends until the ledger works again, as clients do.
    async fn retry(&self, command: Command) -> Outcome {
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            match self.execute(command.clone()).await {
                Ok(outcome) => return outcome,
                Err(e) => assert!(Instant::now() < patience, "it does not come back: {e}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// From now on commits wait; one is begun for this command.
    async fn stick(&self, tasks: &mut JoinSet<Result<Outcome, LedgerError>>, command: Command) {
        self.disk.be(Mood::Stuck);
        let before = self.disk.begun.load(Ordering::SeqCst);
        self.spawn(tasks, command, None);
        self.until("its write is begun", async || self.disk.begun.load(Ordering::SeqCst) > before).await;
    }

    async fn until(&self, what: &str, mut so: impl AsyncFnMut() -> bool) {
        let patience = Instant::now() + Duration::from_secs(20);
        while !so().await {
            assert!(Instant::now() < patience, "it does not happen that {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn repeated(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Reservation { repeated, .. } => repeated,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_23_a_store_that_fails_is_opened_again_and_believed() {
    let o = Outage::new(64).await;
    let follower = Arc::new(Follower::default());
    o.ledger.subscribe(follower.clone()).await.expect("it answers");
    o.execute(hold("before", &[("slot", 0, 1)])).await.expect("it is held");
    assert!(repeated(o.execute(hold("before", &[("slot", 0, 1)])).await.expect("it is held")), "and told to another");

    o.disk.opens.store(false, Ordering::SeqCst);
    o.disk.be(Mood::FailsBefore);
    let failed = o.execute(hold("lost", &[("slot", 0, 1)])).await;
    assert!(matches!(failed, Err(LedgerError::OutcomeUnknown(_))), "{failed:?}");
    assert_eq!(follower.of(&o.network).level("slot", 0).held, 1, "nothing was published");
    let down = o.execute(hold("down", &[("slot", 0, 1)])).await;
    assert!(matches!(down, Err(LedgerError::Unavailable(_))), "{down:?}");
    assert!(matches!(o.ledger.newest(&o.network).await, Err(LedgerError::Unavailable(_))));
    assert_eq!(*follower.lost.lock().expect("no panics"), 1);

    o.disk.be(Mood::Well);
    o.disk.opens.store(true, Ordering::SeqCst);
    assert!(!repeated(o.retry(hold("lost", &[("slot", 0, 1)])).await), "it had not been made");

    // And now one that was made, though nobody could tell.
    o.disk.be(Mood::FailsAfter);
    let failed = o.execute(hold("made", &[("slot", 0, 1)])).await;
    assert!(matches!(failed, Err(LedgerError::OutcomeUnknown(_))), "{failed:?}");
    o.disk.be(Mood::Well);
    assert!(repeated(o.retry(hold("made", &[("slot", 0, 1)])).await), "the same request finds it (rule 20)");
    // Whoever an answer did not reach must not take it away from who was told, also where that was before the store failed.
    o.execute(undo("made")).await.expect("it answers");
    o.execute(undo("before")).await.expect("it answers");
    assert_eq!(follower.of(&o.network).level("slot", 0).held, 3);
    follower.assert_nothing_wrong();
    assert_eq!(o.ledger.audit(&o.network).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_write_serves_all_who_wait_and_more_are_turned_away() {
    let o = Outage::new(32).await;
    let mut tasks = JoinSet::new();
    o.stick(&mut tasks, hold("first", &[("slot", 0, 1)])).await;
    for i in 0..32 {
        o.spawn(&mut tasks, hold(&format!("r{i}"), &[("slot", 0, 1)]), None);
    }
    o.until("the queue is full", async || o.ledger.waiting() == 32).await;
    assert_eq!(o.execute(Command::Tick).await.err(), Some(LedgerError::Overloaded));
    let before = o.disk.commits.load(Ordering::SeqCst);
    o.disk.be(Mood::Well);
    assert!(tasks.join_all().await.into_iter().all(|answer| answer.is_ok()));
    assert!(o.disk.commits.load(Ordering::SeqCst) - before <= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gave_up_waiting_takes_nothing() {
    let o = Outage::new(32).await;
    let mut tasks = JoinSet::new();
    // Under way when its caller goes: undone. In the queue: never begun. Late: told so.
    o.stick(&mut tasks, hold("under way", &[("slot", 0, 1)])).await;
    o.spawn(&mut tasks, hold("in the queue", &[("slot", 0, 1)]), None);
    o.until("the second waits", async || o.ledger.waiting() == 1).await;
    tasks.shutdown().await;
    let mut late = JoinSet::new();
    o.spawn(&mut late, hold("late", &[("slot", 0, 1)]), Some(Instant::now()));
    o.until("the third waits", async || o.ledger.waiting() == 2).await;
    o.disk.be(Mood::Well);
    let late = late.join_all().await.pop().expect("there is one");
    assert_eq!(late.err(), Some(LedgerError::DeadlinePassed));
    o.until("nothing is held", async || {
        let all = o.ledger.reservations(&o.network, &ReservationFilter::default(), None, 10).await;
        all.expect("it answers").0.is_empty()
    })
    .await;
    assert_eq!(o.ledger.audit(&o.network).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_20_what_ended_is_forgotten_in_time_and_the_feed_is_trimmed() {
    let o = Outage::new(64).await;
    for i in 0..100 {
        o.execute(hold(&format!("r{i}"), &[("slot", 0, 1)])).await.expect("it is held");
        if i % 2 == 0 {
            o.execute(release(&format!("r{i}"))).await.expect("it is released");
        } else if i < 50 {
            o.execute(confirm(&format!("r{i}"))).await.expect("it is confirmed");
        }
    }
    o.execute(adjust("a", "slot", 0, &[0], 1)).await.expect("it is made");
    let count = async || {
        let page = o.ledger.reservations(&o.network, &ReservationFilter::default(), None, 1_000).await;
        page.expect("it answers").0.len()
    };
    // 30 days after it ended, a request id is still known.
    o.clock.advance(Span::days(30));
    o.until("the feed is trimmed", async || {
        o.ledger.entries(&o.network, 0, 1_000).await.expect("it answers").len() <= 2
    })
    .await;
    assert_eq!(count().await, 100);
    assert!(repeated(o.execute(hold("r0", &[("slot", 0, 1)])).await.expect("it answers")));
    o.clock.advance(Span::days(2));
    o.until("what ended is forgotten", async || count().await == 25).await;
    let adjusted = o.execute(adjust("a", "slot", 0, &[0], 3)).await.expect("it answers");
    assert!(matches!(adjusted, Outcome::SupplyAdjusted { .. }), "its id means something new: {adjusted:?}");
    // The feed goes on where it was, also when next to nothing is left of it and the ledger begins again.
    let newest = o.ledger.newest(&o.network).await.expect("it answers");
    o.ledger.close().await;
    let config = EmbeddedConfig::new("");
    let again = EmbeddedLedger::on(Box::new(Plug(o.disk.clone())), config, o.clock.clone()).expect("it opens");
    let follower = Arc::new(Follower::default());
    again.subscribe(follower.clone()).await.expect("it answers");
    assert_eq!(follower.of(&o.network).seq, newest);
    assert_eq!(again.audit(&o.network).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_while_nobody_looked_comes_back_in_short_steps() {
    let o = Outage::new(4_096).await;
    o.execute(supply("slot", 0, &[10_000])).await.expect("it is set");
    let mut tasks = JoinSet::new();
    for i in 0..2_500 {
        o.spawn(&mut tasks, hold(&format!("r{i}"), &[("slot", 0, 1)]), None);
    }
    tasks.join_all().await;
    o.ledger.close().await;
    o.clock.advance(Span::days(1));
    let before = o.disk.commits.load(Ordering::SeqCst);
    let config = EmbeddedConfig::new("");
    let again = EmbeddedLedger::on(Box::new(Plug(o.disk.clone())), config, o.clock.clone()).expect("it opens");
    assert_eq!(o.disk.commits.load(Ordering::SeqCst) - before, 3, "1,000 at a time");
    let follower = Arc::new(Follower::default());
    again.subscribe(follower.clone()).await.expect("it answers");
    assert_eq!(follower.of(&o.network).level("slot", 0).held, 0);
}

/// Months of traffic in virtual time on a real directory: neither disk nor start grow with it. Says what it measures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; DAYS and ORDERS set how many"]
async fn months_of_traffic_neither_fill_the_disk_nor_slow_the_start() {
    let (days, orders) = (setting("DAYS", 90), setting("ORDERS", 1_000));
    let dir = tempfile::tempdir().expect("a directory for the test");
    let clock = Arc::new(ManualClock::at(BEGIN));
    let network_id = NetworkId::default_network();
    let mut after_first_weeks = None;
    for day in 0..days {
        let begun = Instant::now();
        let ledger = EmbeddedLedger::open(EmbeddedConfig::new(dir.path()), clock.clone()).expect("it opens");
        let started = begun.elapsed();
        if day == 0 {
            ledger.execute(&network_id, network(0, "one", &[]), None).await.expect("it is applied");
        }
        ledger.execute(&network_id, supply("slot", day as i32, &[1 << 40]), None).await.expect("it is set");
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for task in 0..256u64 {
            let (ledger, id) = (Arc::clone(&ledger), network_id.clone());
            tasks.spawn(async move {
                for n in (task..orders).step_by(256) {
                    let name = format!("day{day}-order{n}");
                    let draws: Vec<_> = (0..3).map(|i| ("slot", day as i32 - i, 1)).filter(|d| d.1 >= 0).collect();
                    ledger.execute(&id, hold(&name, &draws), None).await.expect("it is held");
                    ledger.execute(&id, confirm(&name), None).await.expect("it is confirmed");
                    ledger.execute(&id, release(&name), None).await.expect("it is released");
                }
            });
        }
        tasks.join_all().await;
        let took = begun.elapsed();
        clock.advance(Span::days(1));
        // Let it sweep what the day before made old.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        ledger.close().await;
        let bytes = size(dir.path());
        if day % 10 == 9 {
            let rate = (orders * 3) as f64 / took.as_secs_f64();
            println!("day {day}: started in {started:?}, {:.0} MB on disk, {rate:.0} commands/s", bytes as f64 / 1e6);
        }
        if day == 40 {
            after_first_weeks = Some(bytes);
        }
    }
    let first = after_first_weeks.expect("DAYS is more than 40");
    assert!(size(dir.path()) < first + (300 << 20), "the disk fills");
}

/// Bytes that the files take on disk, without holes.
fn size(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).expect("it is there");
    if meta.is_dir() {
        let files = std::fs::read_dir(path).expect("it can be listed");
        files.map(|file| size(&file.expect("it can be listed").path())).sum()
    } else {
        meta.blocks() * 512
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_reads_wait_for_their_turn_and_all_are_served() {
    let outage = Outage::new(100).await;
    let at_once = (2 * std::thread::available_parallelism().expect("it is known").get()).max(4);
    outage.disk.be(Mood::Slow);
    *outage.disk.scans.lock().expect("no test panics with it") = (0, 0);
    let mut readers = JoinSet::new();
    let came = Arc::new(AtomicUsize::new(0));
    for _ in 0..10 * at_once {
        let (ledger, network, came) = (Arc::clone(&outage.ledger), outage.network.clone(), Arc::clone(&came));
        readers.spawn(async move {
            came.fetch_add(1, Ordering::SeqCst);
            ledger.reservations(&network, &ReservationFilter::default(), None, 10).await
        });
    }
    // Some of those who wait go away; their turns are not lost.
    let gone = {
        let (ledger, network) = (Arc::clone(&outage.ledger), outage.network.clone());
        tokio::spawn(async move { ledger.reservations(&network, &ReservationFilter::default(), None, 10).await })
    };
    tokio::time::timeout(Duration::from_secs(60), async {
        let reading = || outage.disk.scans.lock().expect("no test panics with it").0;
        while came.load(Ordering::SeqCst) < 10 * at_once || reading() < at_once {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("as many read as may");
    gone.abort();
    outage.disk.be(Mood::Well);
    while let Some(read) = readers.join_next().await {
        read.expect("it does not panic").expect("it is served");
    }
    assert_eq!(*outage.disk.scans.lock().expect("no test panics with it"), (0, at_once));
}
