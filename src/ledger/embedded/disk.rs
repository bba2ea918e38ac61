//! The durable store: fjall in a directory that is ours alone. See `docs/decisions` for why fjall.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::OpenError;
use super::journal;
use super::store::{Batch, Medium, Space, Store, StoreError, Visit, Write};

/// Bytes of blocks kept in memory. Buckets and holds are in memory anyway; this serves reads of confirmed reservations and
/// of lists, which are few and mostly recent.
const CACHE_BYTES: u64 = 64 << 20;
/// Bytes of journals from which on the spaces that hold the oldest back are written out: the least that fjall takes, since a
/// start reads all journals, and nothing else that grows.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Bytes a space gathers in memory before it is written out: eleven spaces stay under 192 MiB.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// Threads that write out and compact: one may be at a long compaction while the other writes out.
const WORKERS: usize = 2;
/// Open files kept, well under the usual limit of 1,024 a process, which connections need too.
const OPEN_FILES: usize = 256;

/// What the lock's file says once a store was made, so that a store that is gone is not taken for a first start.
const MADE: &[u8] = b"made\n";
const LOCK: &str = "lock";
const STORE: &str = "store";
const UNFINISHED: &str = "store.new";

/// A directory with a store in it, locked against other processes while this lives.
#[derive(Debug)]
pub struct Directory {
    store: PathBuf,
    opened_before: bool,
    _lock: File,
}

impl Directory {
    /// Whether a store was made in the directory, or is being made.
    pub fn is_made(dir: &Path) -> bool {
        dir.join(LOCK).exists() || dir.join(STORE).exists()
    }

    /// Locks the directory, and makes it and the store in it if there is none.
    pub fn lock(dir: &Path) -> Result<Directory, OpenError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| OpenError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        let (lock, store) = (dir.join(LOCK), dir.join(STORE));
        if !lock.exists() && !store.exists() {
            refuse_foreign(dir)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(at(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path: lock, source }),
        }
        let made = fs::read(&lock).map_err(at(&lock))? == MADE;
        if made && !store.exists() {
            let gone = format!("{} is gone, and a ledger was kept there", store.display());
            return Err(OpenError::Damaged(gone));
        }
        if !store.exists() {
            // Made aside and moved whole into its place, so that a crash midway leaves no half of a store behind.
            let new = dir.join(UNFINISHED);
            if new.exists() {
                fs::remove_dir_all(&new).map_err(at(&new))?;
            }
            drop(FjallStore::open(&new)?);
            fs::rename(&new, &store).map_err(at(&store))?;
            File::open(dir).and_then(|d| d.sync_all()).map_err(at(dir))?;
        }
        if !made {
            (&file).write_all(MADE).and_then(|()| file.sync_all()).map_err(at(&lock))?;
        }
        Ok(Directory { store, opened_before: false, _lock: file })
    }
}

fn refuse_foreign(dir: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: dir.to_owned(), source };
    for file in fs::read_dir(dir).map_err(io)? {
        let name = file.map_err(io)?.file_name();
        let name = name.to_string_lossy();
        // Volumes come with these.
        if name != "lost+found" && !name.starts_with('.') {
            return Err(OpenError::Foreign { dir: dir.to_owned(), file: name.into_owned() });
        }
    }
    Ok(())
}

impl Medium for Directory {
    fn open(&mut self) -> Result<Arc<dyn Store>, OpenError> {
        // A reader may still have the store from before, which writes what it can as it goes: look at nothing until then.
        let inner = self.store.join(LOCK);
        let io = |source| OpenError::Io { path: inner.clone(), source };
        match File::options().write(true).open(&inner).map_err(io)?.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { dir: self.store.clone() }),
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        let rewrite = std::mem::replace(&mut self.opened_before, true);
        match journal::check(&self.store, rewrite) {
            Ok(0) => {}
            Ok(cut) => tracing::warn!(bytes = cut, "a last write that was never acknowledged was cut off"),
            Err(journal::Fault::Io(path, source)) => return Err(OpenError::Io { path, source }),
            Err(journal::Fault::Damaged { path, at }) => {
                let journal = path.display();
                return Err(OpenError::Damaged(format!("{journal} is damaged at byte {at}, with changes behind it")));
            }
        }
        Ok(Arc::new(FjallStore::open(&self.store)?))
    }
}

/// The store itself.
struct FjallStore {
    // Fields are dropped in their order: the database last, as it waits for its threads.
    spaces: [Keyspace; Space::ALL.len()],
    database: Database,
}

impl FjallStore {
    fn open(path: &Path) -> Result<FjallStore, OpenError> {
        let failed = |e| open_error(path, e);
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(WORKERS)
            .max_cached_files(Some(OPEN_FILES))
            // The look over the journal relies on it; documents are rare, all else is small.
            .journal_compression(CompressionType::None)
            .open()
            .map_err(failed)?;
        let mut spaces = Vec::with_capacity(Space::ALL.len());
        for space in Space::ALL {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            spaces.push(database.keyspace(space.name(), options).map_err(failed)?);
        }
        let spaces = spaces.try_into().unwrap_or_else(|_| unreachable!("one was opened for each of them"));
        Ok(FjallStore { spaces, database })
    }

    fn space(&self, space: Space) -> &Keyspace {
        &self.spaces[space as usize]
    }
}

fn open_error(path: &Path, e: fjall::Error) -> OpenError {
    match e {
        fjall::Error::Io(source) => OpenError::Io { path: path.to_owned(), source },
        fjall::Error::Locked => OpenError::Locked { dir: path.to_owned() },
        fjall::Error::InvalidVersion(_) => {
            OpenError::Damaged(format!("{} was written by another version of fjall: {e}", path.display()))
        }
        other => OpenError::Failed(format!("{}: {other}", path.display())),
    }
}

fn nothing(e: fjall::Error) -> StoreError {
    StoreError::Nothing(e.to_string())
}

impl Store for FjallStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.space(space).get(key).map_err(nothing)?.map(|value| value.to_vec()))
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        for pair in self.space(space).range(from..to) {
            let (key, value) = pair.into_inner().map_err(nothing)?;
            if let ControlFlow::Break(()) = visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.space(space).range(from..to).next_back() {
            Some(pair) => Ok(Some(pair.key().map_err(nothing)?.to_vec())),
            None => Ok(None),
        }
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut writes = self.database.batch().durability(Some(PersistMode::SyncAll));
        for Write { space, key, value } in batch.0 {
            match value {
                Some(value) => writes.insert(self.space(space), key, value),
                None => writes.remove(self.space(space), key),
            }
        }
        writes.commit().map_err(|e| match e {
            // Found out before anything was written.
            fjall::Error::Poisoned => StoreError::Nothing("an earlier write to the store failed".to_owned()),
            other => StoreError::Unknown(other.to_string()),
        })
    }
}
