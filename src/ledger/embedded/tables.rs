//! The tables: fjall, as a store of sorted tables alone. What it is given is on disk when it has it, table by table; its own journal
//! is not written to. See `docs/decisions/0006-embedded-store.md`.

use std::path::Path;

use fjall::{CompressionType, Database, Iter, Keyspace, KeyspaceCreateOptions, Readable as _, Snapshot};

use super::OpenError;
use super::layer::Layer;
use super::store::{Space, StoreError};

/// Bytes of blocks kept in memory. Buckets and holds are in memory anyway; this serves reads of confirmed reservations and
/// of lists, which are few and mostly recent.
const CACHE_BYTES: u64 = 64 << 20;
/// Threads that compact. Nothing else is left to them.
const WORKERS: usize = 1;
/// Open files kept, well under the usual limit of 1,024 a process, which connections need too.
const OPEN_FILES: usize = 256;

/// See the module.
pub struct Tables {
    // Fields are dropped in their order: the database last, as it waits for its threads.
    spaces: [Keyspace; Space::ALL.len()],
    database: Database,
}

impl Tables {
    /// Opens the tables in a directory, or makes them there.
    pub fn open(path: &Path) -> Result<Tables, OpenError> {
        let failed = |e| open_error(path, e);
        let builder = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .worker_threads(WORKERS)
            .max_cached_files(Some(OPEN_FILES))
            // The look over the journal of an older layout relies on it.
            .journal_compression(CompressionType::None);
        // Its threads are as patient as the one that begins them.
        let opened = std::thread::scope(|scope| {
            let opener = scope.spawn(|| {
                be_patient();
                builder.open()
            });
            opener.join()
        });
        let database = opened.map_err(|_| OpenError::Failed("fjall panicked".to_owned()))?.map_err(failed)?;
        let mut spaces = Vec::with_capacity(Space::ALL.len());
        for space in Space::ALL {
            spaces.push(database.keyspace(space.name(), KeyspaceCreateOptions::default).map_err(failed)?);
        }
        let spaces = spaces.try_into().unwrap_or_else(|_| unreachable!("one was opened for each of them"));
        Ok(Tables { spaces, database })
    }

    fn space(&self, space: Space) -> &Keyspace {
        &self.spaces[space as usize]
    }

    /// One value.
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.space(space).get(key).map_err(nothing)?.map(|value| value.to_vec()))
    }

    /// Bytes of blocks that are kept in memory now.
    pub fn cached(&self) -> u64 {
        self.database.cache_size()
    }

    /// What is read through it stays as it is.
    pub fn snapshot(&self) -> Snapshot {
        self.database.snapshot()
    }

    /// All pairs with `from <= key < to` as of a snapshot, ascending.
    pub fn range(&self, snapshot: &Snapshot, space: Space, from: &[u8], to: &[u8]) -> Iter {
        snapshot.range(self.space(space), from..to)
    }

    /// Makes what a layer has of a space as of a batch durable in the tables. What is there of it already is written again.
    pub fn write(&self, space: Space, layer: &Layer, as_of: u64) -> Result<(), StoreError> {
        let mut entries = layer.all(space, as_of).peekable();
        if entries.peek().is_none() {
            return Ok(());
        }
        let mut ingestion = self.space(space).start_ingestion().map_err(nothing)?;
        for entry in entries {
            let key = &entry.key().key[..];
            match entry.value() {
                Some(value) => ingestion.write(key, &value[..]),
                None => ingestion.write_tombstone(key),
            }
            .map_err(nothing)?;
        }
        ingestion.finish().map_err(nothing)
    }

    /// Makes everything durable in tables that an older layout has in the journal.
    pub fn empty_journal(&self) -> Result<(), StoreError> {
        self.spaces.iter().try_for_each(|space| space.rotate_memtable_and_wait()).map_err(nothing)
    }
}

/// Has this thread step back behind those that callers wait for; where threads have no priority of their own, it does not.
pub fn be_patient() {
    #[cfg(target_os = "linux")]
    const PATIENCE: i32 = 10;
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), PATIENCE) {
        tracing::warn!(error = %e, "the threads that write tables are as urgent as all others");
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

/// Of any failure here: what is committed is in the log, and stays so.
pub fn nothing(e: fjall::Error) -> StoreError {
    StoreError::Nothing(e.to_string())
}
