//! The durable store: a log that is written before the answer, tables that follow it, and between them in memory what the tables
//! do not have yet. A commit waits for its fsync and for nothing else: tables are written and compacted by other threads.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::OpenError;
use super::keys;
use super::layer::{Layer, Written};
use super::load;
use super::log::{self, Appended, Log};
use super::store::{Batch, Space, Store, StoreError, Visit};
use super::tables::{Tables, be_patient, nothing};

/// How many times that a layer may grow while the one before it is being written; then commits wait for it.
const BEHIND: u64 = 4;
/// How long after a layer was written it is looked at whether somebody still reads it.
const LET_GO: Duration = Duration::from_millis(20);

/// See the module.
pub struct DurableStore {
    shared: Arc<Shared>,
    log: Mutex<Appending>,
    /// Bytes of log after which what it holds is written to the tables.
    log_bytes: u64,
    /// Gives layers to the keeper; none: it is being closed.
    full: Option<SyncSender<Full>>,
    keeper: Option<JoinHandle<()>>,
}

/// What is committed and the tables may not have yet.
struct Layers {
    /// Takes what is committed.
    young: Arc<Layer>,
    /// Is being written to the tables.
    old: Option<Arc<Layer>>,
}

/// A layer to be written, and the number of its last batch.
struct Full {
    layer: Arc<Layer>,
    last: u64,
}

/// The log and how much of it is in the young layer.
struct Appending {
    log: Log,
    young_bytes: u64,
}

struct Shared {
    log_dir: PathBuf,
    tables: Tables,
    layers: ArcSwap<Layers>,
    /// The number of the last batch that readers see.
    visible: AtomicU64,
    /// Why nothing can be committed any more, until the store is opened again.
    failed: Mutex<Option<String>>,
    /// Is told when the old layer is gone, or when that failed.
    kept_up: Condvar,
    closing: AtomicBool,
}

impl DurableStore {
    /// Opens the store with its tables and its log. `log_bytes`: as [`super::EmbeddedConfig`] has it; `opened_before`: by this
    /// process, which may have failed to write it.
    pub fn open(tables: &Path, log_dir: &Path, log_bytes: u64, opened_before: bool) -> Result<DurableStore, OpenError> {
        let tables = Tables::open(tables)?;
        let io = |source| OpenError::Io { path: log_dir.to_owned(), source };
        if !log_dir.exists() {
            // A new store, or one of a layout that kept all in fjall.
            load::check_known(tables.get(Space::Meta, keys::FORMAT)?)?;
            tables.empty_journal()?;
            // Before there is a log: who does not know of it must not open the tables without it.
            let layout = Layer::default();
            let [format] = load::layout();
            layout
                .put(1, Written { space: format.space, key: format.key.into(), value: format.value.map(Bytes::from) });
            tables.write(Space::Meta, &layout, 1)?;
            Log::make(log_dir).map_err(io)?;
        }
        let written = tables.get(Space::Meta, keys::WRITTEN)?.and_then(|bytes| bytes.try_into().ok());
        let written = written.map_or(0, u64::from_be_bytes);
        let young = Arc::new(Layer::default());
        let (mut log, mut opened) =
            Log::open(log_dir, written, opened_before, &mut |number, write| young.put(number, write))?;
        if opened.torn {
            tracing::warn!("a last write that was never acknowledged is passed over");
        }
        let shared = Arc::new(Shared {
            log_dir: log_dir.to_owned(),
            tables,
            visible: AtomicU64::new(log.last()),
            layers: ArcSwap::from_pointee(Layers { young, old: None }),
            failed: Mutex::new(None),
            kept_up: Condvar::new(),
            closing: AtomicBool::new(false),
        });
        if opened.bytes >= log_bytes * BEHIND {
            // The tables have not followed for long. They have to, before more is taken.
            let last = log.last();
            log.begin_file().map_err(io)?;
            let layer = Arc::clone(&shared.layers.load().young);
            shared.layers.store(Arc::new(Layers { young: Arc::default(), old: Some(Arc::clone(&layer)) }));
            shared.write_out(&layer, last)?;
            opened.bytes = 0;
        }
        let (full, layers) = sync_channel(1);
        let keeper = std::thread::Builder::new().name("ledger-tables".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                be_patient();
                // Whoever waits for it must not do so for ever.
                let kept = catch_unwind(AssertUnwindSafe(|| shared.keep(&layers)));
                if kept.is_err() {
                    shared.fail("the thread that writes the store's tables has panicked");
                }
            }
        });
        Ok(DurableStore {
            shared,
            log: Mutex::new(Appending { log, young_bytes: opened.bytes }),
            log_bytes,
            full: Some(full),
            keeper: Some(keeper.map_err(io)?),
        })
    }
}

impl From<log::Fault> for OpenError {
    fn from(fault: log::Fault) -> Self {
        match fault {
            log::Fault::Io(path, source) => OpenError::Io { path, source },
            log::Fault::Damaged { path, at } => {
                OpenError::Damaged(format!("{} is damaged at byte {at}, with changes behind it", path.display()))
            }
            log::Fault::Missing { dir, number } => {
                OpenError::Damaged(format!("{} has no file with batch {number}, which its store lacks", dir.display()))
            }
        }
    }
}

impl Drop for DurableStore {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.full = None;
        if let Some(keeper) = self.keeper.take() {
            // Should it have panicked, that was told when it was found.
            drop(keeper.join());
        }
    }
}

impl Shared {
    /// Writes layers to the tables as they fill.
    fn keep(&self, layers: &Receiver<Full>) {
        // Letting go of a layer takes tens of milliseconds, so nobody else is left to be the last that has it.
        let mut written: Vec<Arc<Layer>> = Vec::new();
        loop {
            let next = if written.is_empty() {
                layers.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                layers.recv_timeout(LET_GO)
            };
            match next {
                Ok(Full { layer, last }) => {
                    let began = Instant::now();
                    match self.write_out(&layer, last) {
                        Ok(true) => {
                            let cached = self.tables.cached();
                            tracing::debug!(batch = last, took = ?began.elapsed(), cached, "the tables follow the log");
                        }
                        Ok(false) => return,
                        Err(e) => return self.fail(&format!("the tables can't follow the log: {e}")),
                    }
                    written.push(layer);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            written.retain(|layer| Arc::strong_count(layer) > 1);
        }
    }

    /// Writes a layer to the tables, and lets go of it and of its part of the log. False: it was begun for nothing, as the store
    /// is closed; the log still has it.
    fn write_out(&self, layer: &Layer, last: u64) -> Result<bool, StoreError> {
        // At last Meta, with the mark of how far the tables have come.
        for space in Space::ALL.into_iter().rev() {
            if self.closing.load(Ordering::Relaxed) {
                return Ok(false);
            }
            if space == Space::Meta {
                layer.put(last, written(last));
            }
            self.tables.write(space, layer, last)?;
        }
        let young = Arc::clone(&self.layers.load().young);
        self.layers.store(Arc::new(Layers { young, old: None }));
        {
            // Whoever looked before and found it behind waits by now.
            let _failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            self.kept_up.notify_all();
        }
        log::give_back(&self.log_dir, last).map_err(|e| StoreError::Nothing(e.to_string()))?;
        Ok(true)
    }

    fn fail(&self, why: &str) {
        tracing::error!(why, "nothing can be written until the store is opened again");
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert_with(|| why.to_owned());
        self.kept_up.notify_all();
    }

    /// Waits until the old layer was written.
    fn wait(&self) -> Result<(), StoreError> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(why) = &*failed {
                return Err(StoreError::Nothing(why.clone()));
            }
            if self.layers.load().old.is_none() {
                return Ok(());
            }
            failed = self.kept_up.wait(failed).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl DurableStore {
    /// Sees to it that the young layer has room for a batch: a full one is given to the keeper.
    fn make_room(&self, appending: &mut Appending) -> Result<(), StoreError> {
        if appending.young_bytes < self.log_bytes {
            return Ok(());
        }
        if self.shared.layers.load().old.is_some() {
            if appending.young_bytes < self.log_bytes * BEHIND {
                return Ok(());
            }
            self.shared.wait()?;
        }
        let last = appending.log.last();
        let begun = appending.log.begin_file();
        begun.map_err(|e| StoreError::Nothing(format!("the log's next file can't be begun: {e}")))?;
        appending.young_bytes = 0;
        let layer = Arc::clone(&self.shared.layers.load().young);
        self.shared.layers.store(Arc::new(Layers { young: Arc::default(), old: Some(Arc::clone(&layer)) }));
        let given = self.full.as_ref().is_some_and(|full| full.send(Full { layer, last }).is_ok());
        if given { Ok(()) } else { Err(StoreError::Nothing("nobody writes the store's tables".to_owned())) }
    }

    /// Layers, a snapshot of the tables that has all that is not in them, and the batch as of which they are read.
    fn view(&self) -> (Arc<Layers>, fjall::Snapshot, u64) {
        loop {
            let layers = self.shared.layers.load_full();
            let as_of = self.shared.visible.load(Ordering::Acquire);
            let snapshot = self.shared.tables.snapshot();
            // A layer that went into the tables meanwhile is in one or both; one that came may have batches up to this one.
            if Arc::ptr_eq(&layers, &self.shared.layers.load()) {
                return (layers, snapshot, as_of);
            }
        }
    }
}

impl Layers {
    /// The layers, newest first.
    fn newest_first(&self) -> impl Iterator<Item = &Layer> {
        [Some(&self.young), self.old.as_ref()].into_iter().flatten().map(|layer| &**layer)
    }
}

impl Store for DurableStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let layers = self.shared.layers.load();
        let as_of = self.shared.visible.load(Ordering::Acquire);
        match layers.newest_first().find_map(|layer| layer.get(space, key, as_of)) {
            Some(value) => Ok(value.map(|v| v.to_vec())),
            None => self.shared.tables.get(space, key),
        }
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let (layers, snapshot, as_of) = self.view();
        let mut layered: Vec<_> =
            layers.newest_first().map(|layer| layer.range(space, from, to, as_of).peekable()).collect();
        let mut tabled = self.shared.tables.range(&snapshot, space, from, to);
        let mut next_tabled = || tabled.next().map(|pair| pair.into_inner().map_err(nothing)).transpose();
        let mut in_tables = next_tabled()?;
        loop {
            let in_layers = layered.iter_mut().filter_map(|entries| entries.peek().map(|e| e.key().key.clone())).min();
            let visited = match (&in_tables, in_layers) {
                (None, None) => return Ok(()),
                (Some((key, value)), least) if least.as_ref().is_none_or(|least| key[..] < least[..]) => {
                    let visited = visit(key, value);
                    in_tables = next_tabled()?;
                    visited
                }
                (tabled, Some(least)) => {
                    if tabled.as_ref().is_some_and(|(key, _)| key[..] == least[..]) {
                        in_tables = next_tabled()?;
                    }
                    // The first that has it is the newest.
                    let mut newest = None;
                    for entries in &mut layered {
                        if let Some(entry) = entries.next_if(|entry| entry.key().key == least) {
                            newest.get_or_insert(entry);
                        }
                    }
                    match newest.as_ref().and_then(|entry| entry.value().as_deref()) {
                        Some(value) => visit(&least, value),
                        None => ControlFlow::Continue(()),
                    }
                }
                (Some(_), None) => unreachable!("it is before all layers, of which none has more"),
            };
            if visited.is_break() {
                return Ok(());
            }
        }
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let (layers, snapshot, as_of) = self.view();
        let mut to = to.to_vec();
        while from < &to[..] {
            let in_layers = layers.newest_first().filter_map(|layer| layer.last(space, from, &to, as_of)).max();
            let in_layers = in_layers.map(|key| key.to_vec());
            let in_tables = match self.shared.tables.range(&snapshot, space, from, &to).next_back() {
                Some(pair) => Some(pair.key().map_err(nothing)?.to_vec()),
                None => None,
            };
            if in_tables > in_layers {
                return Ok(in_tables);
            }
            let Some(key) = in_layers else { return Ok(None) };
            match layers.newest_first().find_map(|layer| layer.get(space, &key, as_of)) {
                Some(None) => to = key,
                _ => return Ok(Some(key)),
            }
        }
        Ok(None)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut appending = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &*self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(StoreError::Nothing(why.clone()));
        }
        let appended = self.make_room(&mut appending).and_then(|()| appending.log.append(&batch));
        let Appended { number, bytes, writes } = appended.inspect_err(|e| self.shared.fail(&e.to_string()))?;
        appending.young_bytes += bytes;
        let layers = self.shared.layers.load();
        writes.for_each(|write| layers.young.put(number, write));
        self.shared.visible.store(number, Ordering::Release);
        Ok(())
    }
}

/// Says how far the tables have come.
fn written(last: u64) -> Written {
    let value = Some(Bytes::copy_from_slice(&last.to_be_bytes()));
    Written { space: Space::Meta, key: Bytes::from_static(keys::WRITTEN), value }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::super::store::{MemoryStore, Write};
    use super::*;

    fn open(dir: &Path, log_bytes: u64) -> DurableStore {
        DurableStore::open(&dir.join("store"), &dir.join("log"), log_bytes, false).expect("it opens")
    }

    /// A few keys, so that they are written and deleted again and again.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        vec(b'a'..=b'd', 1..4)
    }

    fn space() -> impl Strategy<Value = Space> {
        prop_oneof![Just(Space::Meta), Just(Space::Entries)]
    }

    #[derive(Clone, Debug)]
    enum Step {
        Commit(Vec<(Space, Vec<u8>, Option<Vec<u8>>)>),
        Read(Space, Vec<u8>, [Vec<u8>; 2], usize),
        /// With that many bytes of log a layer.
        Reopen(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let write = (space(), key(), option::weighted(0.7, vec(any::<u8>(), 0..40)));
        let at_most = prop_oneof![Just(usize::MAX), 1..6_usize];
        prop_oneof![
            40 => vec(write, 0..6).prop_map(Step::Commit),
            40 => (space(), key(), [key(), key()], at_most).prop_map(|(space, key, mut ends, at_most)| {
                ends.sort();
                Step::Read(space, key, ends, at_most)
            }),
            1 => prop_oneof![Just(200), Just(5_000)].prop_map(Step::Reopen),
        ]
    }

    fn pairs(store: &dyn Store, space: Space, from: &[u8], to: &[u8], at_most: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs = Vec::new();
        store
            .scan(space, from, to, &mut |key, value| {
                pairs.push((key.to_vec(), value.to_vec()));
                if pairs.len() < at_most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .expect("it answers");
        pairs
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

        #[test]
        fn it_reads_as_a_map_would_however_far_the_tables_have_come(steps in vec(step(), 300..600)) {
            let dir = tempfile::tempdir().expect("a directory for the test");
            let model = MemoryStore::default();
            // Some batches fill a layer each, some layers take many.
            let mut store = open(dir.path(), 200);
            for step in steps {
                match step {
                    Step::Commit(writes) => {
                        let writes = writes.into_iter().map(|(space, key, value)| Write { space, key, value });
                        let batch = Batch(writes.collect());
                        model.commit(batch.clone()).expect("it takes it");
                        store.commit(batch).expect("it takes it");
                    }
                    Step::Read(space, key, [from, to], at_most) => {
                        prop_assert_eq!(store.get(space, &key), model.get(space, &key));
                        let read = pairs(&store, space, &from, &to, at_most);
                        prop_assert_eq!(read, pairs(&model, space, &from, &to, at_most));
                        prop_assert_eq!(store.last(space, &from, &to), model.last(space, &from, &to));
                    }
                    Step::Reopen(log_bytes) => {
                        drop(store);
                        store = open(dir.path(), log_bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn what_the_tables_have_is_taken_off_the_log() {
        let dir = tempfile::tempdir().expect("a directory for the test");
        let store = open(dir.path(), 500);
        for n in 0..200_u8 {
            let mut batch = Batch::default();
            batch.put(Space::Entries, vec![n], vec![n; 100]);
            store.commit(batch).expect("it takes it");
        }
        store.shared.wait().expect("the tables are written");
        let written = store.shared.tables.get(Space::Meta, keys::WRITTEN).expect("it answers").expect("it is there");
        assert!(u64::from_be_bytes(written.try_into().expect("a number")) > 150, "the tables follow");
        drop(store);
        let files = std::fs::read_dir(dir.path().join("log")).expect("it is there").count();
        assert!(files <= 4, "{files} files");
        let store = open(dir.path(), 500);
        assert_eq!(pairs(&store, Space::Entries, &[0], &[200], usize::MAX).len(), 200);
    }

    #[test]
    fn a_reader_sees_whole_batches_while_layers_come_and_go() {
        let dir = tempfile::tempdir().expect("a directory for the test");
        let store = open(dir.path(), 2_000);
        let keys: Vec<Vec<u8>> = (0..50_u8).map(|i| vec![i]).collect();
        let done = AtomicBool::new(false);
        let mut read = 0;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 1..=2_000_u32 {
                    let mut batch = Batch::default();
                    // In every third batch the half of them is deleted; the rest tells the batch.
                    for (i, key) in keys.iter().enumerate() {
                        match n % 3 == 0 && i % 2 == 1 {
                            true => batch.delete(Space::Entries, key.clone()),
                            false => batch.put(Space::Entries, key.clone(), n.to_be_bytes().to_vec()),
                        }
                    }
                    store.commit(batch).expect("it takes it");
                }
                done.store(true, Ordering::Release);
            });
            let mut newest = 0;
            while !done.load(Ordering::Acquire) {
                let seen: BTreeMap<_, _> = pairs(&store, Space::Entries, &[0], &[50], usize::MAX).into_iter().collect();
                let Some(n) = seen.get(&keys[0]) else { continue };
                let number = u32::from_be_bytes(n[..].try_into().expect("a number"));
                assert!(number >= newest, "{number} after {newest}");
                newest = number;
                assert_eq!(seen.len(), if number % 3 == 0 { 25 } else { 50 }, "batch {number}");
                assert!(seen.values().all(|value| value == n), "batch {number}: {seen:?}");
                let last = if number % 3 == 0 { 48 } else { 49 };
                let found = store.last(Space::Entries, &[0], &[50]).expect("it answers").expect("it is there");
                assert!(found == [last] || found[0] == 97 - last, "another batch may be there by now");
                read += 1;
            }
            writer.join().expect("it writes to the end");
        });
        assert!(read > 10, "{read} reads");
    }

    #[test]
    fn what_failed_is_told_and_nothing_is_taken_after() {
        let dir = tempfile::tempdir().expect("a directory for the test");
        let store = open(dir.path(), 100);
        let put = |value: &[u8]| {
            let mut batch = Batch::default();
            batch.put(Space::Entries, b"k".to_vec(), value.to_vec());
            store.commit(batch)
        };
        put(&[1; 200]).expect("it takes it");
        store.shared.fail("the disk is gone");
        assert_eq!(put(&[2; 200]), Err(StoreError::Nothing("the disk is gone".to_owned())));
        assert_eq!(store.shared.wait(), Err(StoreError::Nothing("the disk is gone".to_owned())));
        drop(store);
        let store = open(dir.path(), 100);
        assert_eq!(store.get(Space::Entries, b"k"), Ok(Some(vec![1; 200])));
    }
}
