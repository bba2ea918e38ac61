//! A directory with a durable store in it, which is ours alone.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OpenError;
use super::durable::DurableStore;
use super::journal;
use super::store::{Medium, Store};
use super::tables::Tables;

/// What the lock's file says once a store was made, so that a store that is gone is not taken for a first start.
const MADE: &[u8] = b"made\n";
/// What it says once there is a log beside the store, which is missed then as well.
const MADE_WITH_LOG: &[u8] = b"made\nlog\n";
const LOCK: &str = "lock";
const STORE: &str = "store";
const UNFINISHED: &str = "store.new";
const LOG: &str = "log";

/// A directory with a store in it, locked against other processes while this lives.
#[derive(Debug)]
pub struct Directory {
    store: PathBuf,
    log: PathBuf,
    /// Whether the lock's file says that there is a log.
    has_log: bool,
    log_bytes: u64,
    opened_before: bool,
    lock: File,
}

impl Directory {
    /// Whether a store was made in the directory, or is being made.
    pub fn is_made(dir: &Path) -> bool {
        dir.join(LOCK).exists() || dir.join(STORE).exists()
    }

    /// Locks the directory, and makes it and the store in it if there is none. `log_bytes`: as [`super::EmbeddedConfig`] has it.
    pub fn lock(dir: &Path, log_bytes: u64) -> Result<Directory, OpenError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| OpenError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        let (lock, store, log) = (dir.join(LOCK), dir.join(STORE), dir.join(LOG));
        if !lock.exists() && !store.exists() {
            refuse_foreign(dir)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(at(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path: lock, source }),
        }
        let said = fs::read(&lock).map_err(at(&lock))?;
        let has_log = said == MADE_WITH_LOG;
        let made = has_log || said == MADE;
        for (kept, path) in [(made, &store), (has_log, &log)] {
            if kept && !path.exists() {
                return Err(gone(path));
            }
        }
        if !store.exists() {
            // Made aside and moved whole into its place, so that a crash midway leaves no half of a store behind.
            let new = dir.join(UNFINISHED);
            if new.exists() {
                fs::remove_dir_all(&new).map_err(at(&new))?;
            }
            drop(Tables::open(&new)?);
            fs::rename(&new, &store).map_err(at(&store))?;
            File::open(dir).and_then(|d| d.sync_all()).map_err(at(dir))?;
        }
        if !made {
            (&file).write_all(MADE).and_then(|()| file.sync_all()).map_err(at(&lock))?;
        }
        Ok(Directory { store, log, has_log, log_bytes, opened_before: false, lock: file })
    }
}

fn gone(path: &Path) -> OpenError {
    OpenError::Damaged(format!("{} is gone, and a ledger was kept there", path.display()))
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
        let logged = self.log.exists();
        if self.has_log && !logged {
            return Err(gone(&self.log));
        }
        if !logged {
            // An older layout kept all in fjall, whose journal then is what has to be whole.
            let cut = journal::check(&self.store)?;
            if cut > 0 {
                tracing::warn!(bytes = cut, "a last write that was never acknowledged was cut off");
            }
        }
        let opened_before = std::mem::replace(&mut self.opened_before, true);
        let store = DurableStore::open(&self.store, &self.log, self.log_bytes, opened_before)?;
        if !self.has_log {
            use std::os::unix::fs::FileExt as _;
            let said = self.lock.write_all_at(MADE_WITH_LOG, 0).and_then(|()| self.lock.sync_all());
            said.map_err(|source| OpenError::Io { path: self.store.with_file_name(LOCK), source })?;
            self.has_log = true;
        }
        Ok(Arc::new(store))
    }
}
