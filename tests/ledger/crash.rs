//! Crashes of a real process: a child works on a ledger in a directory and says what was acknowledged; the parent kills it
//! without warning, opens the directory again, and holds the ledger to every word. `ROUNDS=... SEED=...` for longer runs.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use surety::clock::{Clock, SystemClock};
use surety::domain::draw::Pool;
use surety::domain::id::NetworkId;
use surety::domain::reservation::{Reservation, State};
use surety::domain::time::Span;
use surety::ledger::command::{Command, Outcome, Refusal};
use surety::ledger::embedded::{EmbeddedConfig, EmbeddedLedger, OpenError};
use surety::ledger::{Ledger, LedgerError, ReservationFilter};

use crate::dice::{Dice, seed, setting};
use crate::support::*;

const DIR: &str = "SURETY_CRASH_TEST_DIR";
const RUN: &str = "SURETY_CRASH_TEST_RUN";
/// Set: the child goes on after errors, and ends by itself.
const PATIENT: &str = "SURETY_CRASH_TEST_PATIENT";

fn open(dir: &Path) -> Result<Arc<EmbeddedLedger>, OpenError> {
    // So little log that the tables follow it again and again while a child works; but a log that grows fills the disk.
    let log_bytes = if std::env::var(PATIENT).is_ok() { 64 << 20 } else { 100_000 };
    let config = EmbeddedConfig { log_bytes, ..EmbeddedConfig::new(dir) };
    EmbeddedLedger::open(config, Arc::new(SystemClock::new()))
}

fn default() -> NetworkId {
    NetworkId::default_network()
}

/// Capacity for some thousands; some buckets run dry.
async fn prepare(dir: &Path) {
    let ledger = open(dir).expect("a new directory opens");
    ledger.execute(&default(), network(0, "one", &[]), None).await.expect("it is applied");
    let units: Vec<i64> = (0..20).map(|i| if i % 5 == 0 { 30 } else { 1_000_000 }).collect();
    ledger.execute(&default(), supply("slot", 0, &units), None).await.expect("it is set");
    // Of each, some is set aside, for a time that outlasts the test.
    let until = BEGIN.plus(Span::hours(9));
    let aside = |i: i32| if i % 5 == 0 { 10 } else { 100_000 };
    let rows: Vec<_> = (0..20).map(|i| (aside(i), until, Some(900_000))).collect();
    ledger.execute(&default(), allocate("q", "vip", "slot", 0, &rows), None).await.expect("it is set aside");
    let envelope: Vec<_> = (0..20).map(|i| ("slot", i, aside(i))).collect();
    ledger.execute(&default(), approve("sale", "o", &envelope, until), None).await.expect("it is approved");
    ledger.close().await;
}

/// The child. Not a test by itself: it is run by the others, in a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the crash tests, in a process of its own"]
async fn child() {
    let (Ok(dir), Ok(run)) = (std::env::var(DIR), std::env::var(RUN)) else { return };
    let patient = std::env::var(PATIENT).is_ok();
    let ledger = open(Path::new(&dir)).expect("it opens again");
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let (ledger, run) = (Arc::clone(&ledger), run.clone());
        tasks.spawn(async move {
            let mut dice = Dice::seeded(task);
            let mut failures = 0;
            for n in 0.. {
                let id = format!("run{run}-task{task}-{n}");
                let seconds = if dice.once_in(5) { 1 } else { 3_600 };
                let draws = [("slot", dice.below(20) as i32, 1), ("slot", dice.below(20) as i32, 2)];
                let (pool, by) = [
                    (Pool::Common, None),
                    (Pool::Common, Some("web")),
                    (channel("vip"), Some("vip")),
                    (of_offer("sale"), Some("web")),
                ][dice.below(4) as usize]
                    .clone();
                let Command::Hold(mut hold) = hold_from(&id, &pool, by, &draws) else { unreachable!("it is one") };
                hold.hold = Span::seconds(seconds);
                let mut commands = vec![("held", Command::Hold(hold))];
                match dice.below(8) {
                    0 => commands.push(("confirmed", confirm(&id))),
                    1 => commands.push(("released", release(&id))),
                    2 => commands.extend([("confirmed", confirm(&id)), ("released", release(&id))]),
                    3 => commands.extend([("marked", mark(&id, 1, true)), ("confirmed", confirm(&id))]),
                    4 => commands.extend([("confirmed", confirm(&id)), ("delivered", deliver(&id, 1))]),
                    5 => commands.push(("moved", repromise(&id, 1, 1, &draws[..1]))),
                    _ => {}
                }
                for (word, command) in commands {
                    match ledger.execute(&default(), command, None).await {
                        Ok(Outcome::Reservation { .. }) => println!("ACK {word} {id}"),
                        Ok(Outcome::Refused(Refusal::Short(_) | Refusal::WrongState { .. })) => break,
                        Ok(other) => panic!("{other:?}"),
                        Err(LedgerError::OutcomeUnknown(_) | LedgerError::Unavailable(_)) if patient => {
                            println!("FAILED {id}");
                            failures += 1;
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            break;
                        }
                        Err(e) => panic!("{e}"),
                    }
                }
                if failures > 20 {
                    return;
                }
            }
        });
    }
    tasks.join_all().await;
}

/// Begins a child. `limit`: blocks of 512 bytes that no file of it may grow beyond.
fn begin(dir: &Path, run: u64, limit: Option<u64>) -> Child {
    let exe = std::env::current_exe().expect("tests are programs");
    let args = ["crash::child", "--exact", "--ignored", "--nocapture"];
    let mut process = match limit {
        None => {
            let mut process = Process::new(exe);
            process.args(args);
            process
        }
        Some(blocks) => {
            let mut process = Process::new("sh");
            process.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")).arg(exe).args(args);
            process.env(PATIENT, "1");
            process
        }
    };
    process.env(DIR, dir).env(RUN, run.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
    process.spawn().expect("a child can be begun")
}

/// All that pass the filter, by their ids.
async fn everything(ledger: &EmbeddedLedger, filter: &ReservationFilter) -> Vec<Arc<Reservation>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.reservations(&default(), filter, after.as_ref(), 500).await;
        let (page, next) = page.expect("it answers");
        all.extend(page);
        match next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

/// How far each reservation is known to have come.
#[derive(Default)]
struct Acknowledged(BTreeMap<String, &'static str>);

impl Acknowledged {
    fn note(&mut self, line: &str) -> bool {
        // A test harness may have written something before it on the line.
        let Some((_, said)) = line.split_once("ACK ") else { return false };
        let Some((word, id)) = said.split_once(' ') else { return false };
        let word = match word {
            "held" => "held",
            "confirmed" => "confirmed",
            "released" => "released",
            "marked" => "marked",
            "moved" => "moved",
            "delivered" => "delivered",
            _ => return false,
        };
        self.0.insert(id.to_owned(), word);
        true
    }

    /// Everything that was acknowledged is so, and nothing is out of balance.
    async fn hold_to_it(&self, dir: &Path) {
        let ledger = open(dir).expect("it opens on what was left");
        for (id, word) in &self.0 {
            let found = ledger.reservation(&default(), &rid(id)).await.expect("it answers");
            let (state, at_risk) = (found.as_ref().map(|r| r.state), found.as_ref().is_some_and(|r| r.at_risk));
            // What was asked next may have been made, though it was not acknowledged any more.
            let right = match (*word, state) {
                ("held", Some(_)) => true,
                ("moved", Some(_)) => found.as_ref().is_some_and(|r| r.promise.date > r.first_date),
                ("marked", Some(state)) => at_risk || state == State::Expired,
                ("delivered", Some(state)) => state == State::Fulfilled,
                ("confirmed", Some(state)) => matches!(state, State::Confirmed | State::Released | State::Fulfilled),
                ("released", Some(state)) => matches!(state, State::Released | State::Expired),
                _ => false,
            };
            assert!(right, "{id} was acknowledged as {word}, but is {state:?}");
        }
        // Holds go on ending while it is looked at: what is compared was read while none did, nor was due.
        let (all, tallies, listed) = loop {
            let ticked = SystemClock::new().now();
            ledger.execute(&default(), Command::Tick, None).await.expect("it answers");
            let all = everything(&ledger, &ReservationFilter::default()).await;
            let tallies = ledger.tallies(&default(), "").await.expect("it answers");
            let at_risk = ReservationFilter { at_risk: true, ..ReservationFilter::default() };
            let listed = everything(&ledger, &at_risk).await;
            let ended_since =
                all.iter().any(|r| r.state == State::Expired && r.ended_at.is_some_and(|at| at >= ticked));
            if !ended_since && everything(&ledger, &ReservationFilter::default()).await == all {
                break (all, tallies, listed);
            }
        };
        let tallies = summed(tallies.iter().map(|(name, sum)| (name, *sum)));
        assert_eq!(tallies, tallies_of(all.iter().map(|r| &**r)), "counted with what was made, and not without");
        let at_risk: Vec<_> = all.into_iter().filter(|r| r.at_risk).collect();
        assert_eq!(listed, at_risk);
        let drifts = ledger.audit(&default()).await.expect("it answers");
        assert!(drifts.is_empty(), "{drifts:#?}");
        let follower = Arc::new(Follower::default());
        ledger.subscribe(follower.clone()).await.expect("it answers");
        assert!(follower.of(&default()).offers.contains_key("sale"));
        for ((resource, index), level) in follower.of(&default()).buckets {
            assert!(level.balance(0, BEGIN) >= 0, "{resource} {index} is below zero: {level:?}");
        }
        ledger.close().await;
    }
}

/// The newest of the files in a directory that have numbers for names.
fn newest(dir: &Path, extension: &str) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .expect("it is there")
        .map(|file| file.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort_by_key(|path| path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u64>().ok()));
    files.pop().expect("there is one")
}

/// The newest file of the log.
fn log(dir: &Path) -> PathBuf {
    newest(&dir.join("log"), "log")
}

/// Where its last batch ends: a file that is used again has batches of before behind it.
fn end_of_log(log: &Path) -> (Vec<u8>, usize) {
    let bytes = fs::read(log).expect("it can be read");
    let number = |at: usize| bytes.get(at + 12..at + 20).map(|b| u64::from_le_bytes(b.try_into().expect("8 bytes")));
    let first = log.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u64>().ok()).expect("a number");
    let (mut end, mut next) = (0, first);
    while number(end) == Some(next) {
        let len = u32::from_le_bytes(bytes[end..end + 4].try_into().expect("4 bytes")) as usize;
        if end + 20 + len > bytes.len() {
            break; // torn by the kill itself
        }
        (end, next) = (end + 20 + len, next + 1);
    }
    (bytes, end)
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).expect("it can be written");
    file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes)).expect("it can be written");
}

/// Leaves behind the content what a write that was cut off might have.
fn tear(dir: &Path, dice: &mut Dice) {
    let log = log(dir);
    let (bytes, end) = end_of_log(&log);
    let mut torn: Vec<u8> = match dice.below(3) {
        0 => (0..dice.range(1, 400)).map(|_| dice.next() as u8).collect(),
        // The beginning of a batch that was true once.
        _ => bytes[..dice.range(1, 200.min(end as i64).max(2)) as usize % (bytes.len() + 1)].to_vec(),
    };
    if dice.once_in(2) && torn.len() > 20 {
        // A page in the middle of it never reached the disk.
        let middle = torn.len() / 2;
        torn[middle - 8..middle].fill(0);
    }
    write_at(&log, end as u64, &torn);
}

#[tokio::test]
async fn rule_23_what_was_acknowledged_survives_kill_9_at_any_instant() {
    let mut dice = Dice::seeded(seed());
    let dir = tempfile::tempdir().expect("a directory for the test");
    prepare(dir.path()).await;
    let mut acknowledged = Acknowledged::default();
    for run in 0..setting("ROUNDS", 6) {
        let mut child = begin(dir.path(), run, None);
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        // Begun once the first word came; then at any instant.
        while !acknowledged.note(&lines.next().expect("the child works").expect("it can be read")) {}
        let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        let until = Instant::now() + Duration::from_micros(dice.range(500, 400_000) as u64);
        while Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it is gone");
        for line in reader.join().expect("it reads to the end") {
            acknowledged.note(&line);
        }
        if run % 2 == 1 {
            tear(dir.path(), &mut dice);
        }
        acknowledged.hold_to_it(dir.path()).await;
    }
    println!("{} reservations were acknowledged", acknowledged.0.len());
    assert!(acknowledged.0.len() > 50);
}

#[tokio::test]
async fn rule_23_a_disk_that_takes_no_more_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    prepare(dir.path()).await;
    // No file can grow beyond 512 KiB; then writes fail, as on a full disk.
    let mut child = begin(dir.path(), 0, Some(1_024));
    let mut acknowledged = Acknowledged::default();
    let mut failed = 0;
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok) {
        failed += usize::from(line.contains("FAILED "));
        acknowledged.note(&line);
    }
    assert!(child.wait().expect("it ends").success(), "it goes on, and ends as it should");
    assert!(failed > 20, "the disk was not full: {failed} failures");
    assert!(acknowledged.0.len() > 20);
    acknowledged.hold_to_it(dir.path()).await;
}

#[tokio::test]
async fn rule_23_tables_that_can_not_be_written_lose_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    prepare(dir.path()).await;
    let ledger = open(dir.path()).expect("it opens");
    let keyspaces = dir.path().join("store").join("keyspaces");
    let tables: Vec<PathBuf> = fs::read_dir(&keyspaces)
        .expect("they are there")
        .map(|keyspace| keyspace.expect("it can be listed").path().join("tables"))
        .filter(|tables| tables.exists() && !tables.starts_with(keyspaces.join("0")))
        .collect();
    let aside = |path: &Path| path.with_extension("aside");
    for path in &tables {
        fs::rename(path, aside(path)).expect("it can be moved");
    }
    let (mut held, mut failed) = (Vec::new(), 0);
    let mut mended = false;
    // Goes on until the tables would have been written, is turned away then, and taken on again once they can be.
    for i in 0.. {
        assert!(i < 20_000, "{} were held, {failed} failed", held.len());
        let id = format!("r{i}");
        match ledger.execute(&default(), hold(&id, &[("slot", 1, 1)]), None).await {
            Ok(Outcome::Reservation { .. }) => held.push(id),
            Ok(other) => panic!("{other:?}"),
            Err(LedgerError::Unavailable(_) | LedgerError::OutcomeUnknown(_)) => {
                failed += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(e) => panic!("{e}"),
        }
        if failed == 20 && !mended {
            for path in &tables {
                if path.exists() {
                    fs::remove_dir_all(path).expect("what was made in its place can be deleted");
                }
                fs::rename(aside(path), path).expect("it can be moved");
            }
            mended = true;
        }
        if mended && held.len() > 500 {
            break;
        }
    }
    assert_eq!(ledger.audit(&default()).await.expect("it answers"), []);
    for id in &held {
        let found = ledger.reservation(&default(), &rid(id)).await.expect("it answers");
        assert!(found.is_some(), "{id} was acknowledged");
    }
    println!("{} were held, {failed} failed", held.len());
    ledger.close().await;
}

#[tokio::test]
async fn a_second_process_is_kept_out_of_the_directory() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    prepare(dir.path()).await;
    let mut child = begin(dir.path(), 0, None);
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("ACK ")));
    let refused = open(dir.path()).expect_err("it is in use").to_string();
    child.kill().expect("it can be killed");
    child.wait().expect("it is gone");
    assert_eq!(
        refused,
        format!("{} is in use by another process; stop that one, or name another directory", dir.path().display())
    );
    open(dir.path()).expect("and is free with the process gone");
}

#[tokio::test]
async fn a_damaged_log_is_not_opened_as_though_nothing_were_lost() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    prepare(dir.path()).await;
    let ledger = open(dir.path()).expect("it opens");
    for i in 0..20 {
        ledger.execute(&default(), hold(&format!("r{i}"), &[("slot", 1, 1)]), None).await.expect("it is held");
    }
    ledger.close().await;
    drop(ledger);
    let log = log(dir.path());
    let (whole, end) = end_of_log(&log);
    write_at(&log, (end / 2) as u64, &[!whole[end / 2]]);
    let damaged = || match open(dir.path()) {
        Err(OpenError::Damaged(what)) => what,
        other => panic!("{other:?}"),
    };
    let what = damaged();
    assert!(what.contains("is damaged at byte"), "{what}");
    write_at(&log, (end / 2) as u64, &[whole[end / 2]]);
    open(dir.path()).expect("as it was").close().await;
    let (folder, aside) = (dir.path().join("log"), dir.path().join("aside"));
    fs::rename(&folder, &aside).expect("it can be moved");
    let what = damaged();
    assert!(what.contains("log is gone, and a ledger was kept there"), "{what}");
    fs::rename(&aside, &folder).expect("it can be moved");
    open(dir.path()).expect("as it was");
}

/// Lays a ledger's store out as versions did that had no log: all of it in fjall, the newest in its journal.
async fn older(dir: &Path, holds: usize) {
    use fjall::{CompressionType, Database, KeyspaceCreateOptions, PersistMode};
    use surety::ledger::embedded::store::{MemoryStore, Space, Store};
    let memory = Arc::new(MemoryStore::default());
    let on = Box::new(Arc::clone(&memory));
    let ledger = EmbeddedLedger::on(on, EmbeddedConfig::new(""), Arc::new(SystemClock::new())).expect("it opens");
    ledger.execute(&default(), network(0, "one", &[]), None).await.expect("it is applied");
    ledger.execute(&default(), supply("slot", 0, &[1_000, 1_000]), None).await.expect("it is set");
    for i in 0..holds {
        ledger.execute(&default(), hold(&format!("r{i}"), &[("slot", 1, 1)]), None).await.expect("it is held");
    }
    ledger.close().await;
    let store = Database::builder(dir.join("store")).journal_compression(CompressionType::None);
    let store = store.open().expect("it opens");
    for space in Space::ALL {
        let keys = store.keyspace(space.name(), KeyspaceCreateOptions::default).expect("it is made");
        let mut pairs = Vec::new();
        let all = memory.scan(space, &[], &[u8::MAX], &mut |key, value| {
            pairs.push((key.to_vec(), value.to_vec()));
            std::ops::ControlFlow::Continue(())
        });
        all.expect("it answers");
        for (i, (key, mut value)) in pairs.into_iter().enumerate() {
            if key == b"format" {
                value = 2u32.to_be_bytes().to_vec();
            }
            let mut batch = store.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(&keys, key, value);
            batch.commit().expect("it is written");
            if space == Space::Reservations && i == holds / 2 {
                // Some of it is in tables already.
                keys.rotate_memtable_and_wait().expect("it is written");
            }
        }
    }
    fs::write(dir.join("lock"), b"made\n").expect("it can be written");
}

/// The journal of such a store, and where what is in it ends.
fn journal(dir: &Path) -> (PathBuf, Vec<u8>) {
    let journal = newest(&dir.join("store"), "jnl");
    let mut bytes = fs::read(&journal).expect("it can be read");
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    (journal, bytes)
}

#[tokio::test]
async fn rule_23_a_ledger_from_before_there_was_a_log_is_opened_with_all_that_it_has() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    older(dir.path(), 40).await;
    // A write that was under way when the older version ended.
    let (path, bytes) = journal(dir.path());
    write_at(&path, bytes.len() as u64, &bytes[..30]);
    for _ in 0..3 {
        let ledger = open(dir.path()).expect("it opens, and again");
        assert_eq!(everything(&ledger, &ReservationFilter::default()).await.len(), 40);
        assert_eq!(ledger.audit(&default()).await.expect("it answers"), []);
        let held = ledger.execute(&default(), hold("r7", &[("slot", 1, 1)]), None).await.expect("it answers");
        assert!(matches!(held, Outcome::Reservation { .. }), "{held:?}");
        ledger.close().await;
    }
    assert_eq!(fs::read(dir.path().join("lock")).expect("it can be read"), b"made\nlog\n");
}

#[tokio::test]
async fn a_damaged_journal_from_before_there_was_a_log_is_not_opened() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    older(dir.path(), 20).await;
    let (path, bytes) = journal(dir.path());
    let middle = bytes.len() / 2;
    write_at(&path, middle as u64, &[!bytes[middle]]);
    match open(dir.path()) {
        Err(OpenError::Damaged(what)) => assert!(what.contains("is damaged at byte"), "{what}"),
        other => panic!("{other:?}"),
    }
    write_at(&path, middle as u64, &[bytes[middle]]);
    let ledger = open(dir.path()).expect("as it was");
    assert_eq!(everything(&ledger, &ReservationFilter::default()).await.len(), 20);
    ledger.close().await;
}

#[tokio::test]
async fn a_start_cut_short_and_foreign_directories() {
    // A crash while the very first start made the store.
    let dir = tempfile::tempdir().expect("a directory for the test");
    let half = dir.path().join("store.new");
    fs::create_dir_all(&half).expect("it can be made");
    fs::write(half.join("0.jnl"), b"half").expect("it can be written");
    fs::write(dir.path().join("lock"), b"").expect("it can be written");
    prepare(dir.path()).await;
    assert!(!half.exists());

    let dir = tempfile::tempdir().expect("a directory for the test");
    fs::write(dir.path().join("letters.txt"), b"dear").expect("it can be written");
    let refused = open(dir.path()).expect_err("it is something else").to_string();
    assert!(refused.contains("is no ledger, but has files in it ('letters.txt')"), "{refused}");
    let file = dir.path().join("letters.txt");
    assert!(matches!(open(&file), Err(OpenError::Io { .. })));
}

#[tokio::test]
async fn a_ledger_of_an_older_layout_is_opened_and_kept_from_who_only_knows_that() {
    use surety::ledger::embedded::store::{Batch, MemoryStore, Space, Store};
    let store = Arc::new(MemoryStore::default());
    let mut batch = Batch::default();
    batch.put(Space::Meta, b"format".to_vec(), 1u32.to_be_bytes().to_vec());
    store.commit(batch).expect("it is written");
    let opened = EmbeddedLedger::on(Box::new(store.clone()), EmbeddedConfig::new(""), Arc::new(SystemClock::new()));
    opened.expect("it is older").close().await;
    assert_eq!(store.get(Space::Meta, b"format"), Ok(Some(3u32.to_be_bytes().to_vec())));
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_not_opened() {
    use surety::ledger::embedded::store::{Batch, MemoryStore, Space, Store};
    let store = Arc::new(MemoryStore::default());
    let mut batch = Batch::default();
    batch.put(Space::Meta, b"format".to_vec(), 7u32.to_be_bytes().to_vec());
    store.commit(batch).expect("it is written");
    let opened = EmbeddedLedger::on(Box::new(store), EmbeddedConfig::new(""), Arc::new(SystemClock::new()));
    let refused = opened.expect_err("it is newer").to_string();
    assert!(refused.contains("has layout 7, this version knows layouts up to 3"), "{refused}");
}
