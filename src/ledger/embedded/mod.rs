//! The embedded ledger: the rules applied in memory by one thread, made durable in a store of its own, many commands to one
//! write. Durable means: on disk, by fsync, before the answer.

mod core;
mod disk;
mod durable;
mod journal;
mod keys;
mod layer;
mod load;
mod log;
mod steward;
pub mod store;
mod tables;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{Semaphore, oneshot};

use crate::clock::Clock;
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::limits::REQUEST_ID_DAYS;
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::{Moment, Span};

use super::command::{Command, Outcome};
use super::feed::{Cursor, Entry, Subscriber};
use super::observe::{LedgerObserver, Unobserved};
use super::record::Unreadable;
use super::rules::{self, Drift};
use super::tally::Tallies;
use super::{Ledger, LedgerError, ReservationFilter};
use store::{Medium, MemoryStore, Store, StoreError};
use writer::{Execute, Message, Shared, Writer};

pub use self::core::{Core, Job, Stepped};

/// How long is remembered what is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Entries of a network's feed, at most. What WatchEvents can still read is bounded by it.
    pub entries: u64,
    /// How old an entry gets.
    pub entries_for: Span,
    /// How long a reservation that ended is remembered, and its request id with it (rule 20); an adjustment too.
    pub ended_for: Span,
}

impl Default for Retention {
    /// A week, so that a subscriber that was down over a long weekend goes on where it was; a million entries, some 1 GB.
    fn default() -> Self {
        Retention { entries: 1_000_000, entries_for: Span::days(7), ended_for: Span::days(REQUEST_ID_DAYS) }
    }
}

impl Retention {
    /// Of a ledger in memory, where a million entries would take a gigabyte.
    pub fn in_memory() -> Retention {
        Retention { entries: 100_000, ..Retention::default() }
    }
}

/// Long reads at once, for each core, and at least. Each takes a thread, which lives on for as long as others come and keeps some
/// megabytes; two a core leave one to read while another waits for the disk.
const READS_PER_CORE: usize = 2;
const READS_LEAST: usize = 4;

/// How an embedded ledger is set up.
pub struct EmbeddedConfig {
    /// The directory, which is made if there is none.
    pub dir: PathBuf,
    /// Commands that wait at most before more are turned away ([`LedgerError::Overloaded`]).
    pub queue: usize,
    /// Commands that share one write at most.
    pub batch: usize,
    /// Bytes of log after which what it holds is written to the store's tables. A start reads up to twice as much, memory holds it at
    /// some two bytes a byte.
    pub log_bytes: u64,
    /// How long is remembered what is over.
    pub retention: Retention,
    /// Is told what the ledger does.
    pub observer: Arc<dyn LedgerObserver>,
}

impl EmbeddedConfig {
    /// The defaults: 4,096 waiting commands, which is under a second of work; 256 a write, where a write's own cost is long
    /// shared out; 64 MiB of log, which a start reads in some 0.3 s.
    pub fn new(dir: impl Into<PathBuf>) -> EmbeddedConfig {
        EmbeddedConfig {
            dir: dir.into(),
            queue: 4_096,
            batch: 256,
            log_bytes: 64 << 20,
            retention: Retention::default(),
            observer: Arc::new(Unobserved),
        }
    }
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dir, queue, batch, log_bytes, retention, observer: _ } = self;
        write!(
            f,
            "EmbeddedConfig {{ dir: {dir:?}, queue: {queue}, batch: {batch}, log_bytes: {log_bytes}, retention: \
             {retention:?} }}"
        )
    }
}

/// Why a ledger can't be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another process; stop that one, or name another directory", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// It was written by a later version of the service.
    #[error(
        "the ledger has layout {found}, this version knows layouts up to {known}; start the version that wrote it, or a \
         newer one"
    )]
    Newer {
        /// Its layout.
        found: u32,
        /// The last layout that is known here.
        known: u32,
    },
    /// The directory holds something else.
    #[error("{} is no ledger, but has files in it ('{file}'); name an empty directory, or one that is not there yet", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One of them.
        file: String,
    },
    /// What is stored contradicts itself.
    #[error("the ledger is damaged: {0}; restore it from a backup, or begin with an empty directory")]
    Damaged(String),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The store refused.
    #[error("the store can't be opened: {0}")]
    Failed(String),
}

impl From<StoreError> for OpenError {
    fn from(e: StoreError) -> Self {
        OpenError::Failed(e.to_string())
    }
}

impl From<Unreadable> for OpenError {
    fn from(e: Unreadable) -> Self {
        OpenError::Damaged(e.to_string())
    }
}

/// See the module.
pub struct EmbeddedLedger {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Long reads that may begin.
    reads: Arc<Semaphore>,
}

impl EmbeddedLedger {
    /// Opens the ledger in its directory and gives back what came due while it was closed. Blocks until that is done.
    pub fn open(config: EmbeddedConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        let directory = disk::Directory::lock(&config.dir, config.log_bytes)?;
        Self::on(Box::new(directory), config, clock)
    }

    /// Whether there is a ledger in the directory, open or not. Makes nothing.
    pub fn is_in(dir: &Path) -> bool {
        disk::Directory::is_made(dir)
    }

    /// A ledger that keeps nothing beyond the process: `memory:`.
    pub fn memory(clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::memory_observed(clock, Arc::new(Unobserved))
    }

    /// The same, with somebody who looks.
    pub fn memory_observed(clock: Arc<dyn Clock>, observer: Arc<dyn LedgerObserver>) -> Arc<Self> {
        Self::memory_retaining(clock, observer, Retention::in_memory())
    }

    /// The same, with another memory of what is over.
    pub fn memory_retaining(
        clock: Arc<dyn Clock>,
        observer: Arc<dyn LedgerObserver>,
        retention: Retention,
    ) -> Arc<Self> {
        let config = EmbeddedConfig { retention, observer, ..EmbeddedConfig::new("") };
        let medium = Arc::new(MemoryStore::default());
        Self::on(Box::new(medium), config, clock).expect("an empty store in memory opens, and a thread can be begun")
    }

    /// A ledger on any store; the configuration's directory is not read.
    pub fn on(
        mut medium: Box<dyn Medium>,
        config: EmbeddedConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let EmbeddedConfig { dir, queue, batch, log_bytes: _, retention, observer } = config;
        let (store, core) = writer::reopen(&mut *medium, retention, &*clock)?;
        let shared = Arc::new(Shared::default());
        shared.show(Some(&store));
        drop(store);
        let (sender, receiver) = sync_channel(queue.max(1));
        let writer = Writer {
            queue: receiver,
            shared: Arc::clone(&shared),
            clock: Arc::clone(&clock),
            observer,
            medium,
            core,
            batch: batch.max(1),
            retention,
            subscriber: None,
        };
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Io { path: dir, source })?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let reads = Arc::new(Semaphore::new((cores * READS_PER_CORE).max(READS_LEAST)));
        Ok(Arc::new(EmbeddedLedger { queue: sender, shared, clock, thread: Mutex::new(Some(thread)), reads }))
    }

    /// Commands that wait to be made.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Compares every bucket of a network with all of its reservations; no drift: all is well. Reads the whole network, and
    /// commands wait meanwhile.
    pub async fn audit(&self, network: &NetworkId) -> Result<Vec<Drift>, LedgerError> {
        let (done, answer) = oneshot::channel();
        self.send(Message::Audit(network.clone(), done))?;
        answer.await.map_err(|_| closed())?
    }

    fn send(&self, message: Message) -> Result<(), LedgerError> {
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(closed());
        }
        // Counted before, as the thread may be faster.
        let waiting: &AtomicUsize = &self.shared.waiting;
        waiting.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(message).map_err(|e| {
            waiting.fetch_sub(1, Ordering::Relaxed);
            match e {
                TrySendError::Full(_) => LedgerError::Overloaded,
                TrySendError::Disconnected(_) => closed(),
            }
        })
    }

    fn store(&self) -> Result<Arc<dyn Store>, LedgerError> {
        let store = self.shared.store.load_full().ok_or_else(closed)?;
        Ok(Arc::clone(&store))
    }

    /// Reads in a thread that may block, when it is its turn.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store, Moment) -> Result<T, OpenError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let turn = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| closed())?;
        let (store, now) = (self.store()?, self.clock.now());
        let reading = tokio::task::spawn_blocking(move || {
            let found = read(&*store, now);
            // Only then, also where nobody waits any more.
            drop(turn);
            found
        });
        reading.await.map_err(|e| LedgerError::Unavailable(Arc::from(e.to_string())))?.map_err(unavailable)
    }
}

impl Drop for EmbeddedLedger {
    /// Waits for the thread, so that the directory is free after; but not where something went wrong already.
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && !std::thread::panicking()
            && thread.join().is_err()
        {
            tracing::error!("the ledger's thread had panicked");
        }
    }
}

impl fmt::Debug for EmbeddedLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLedger").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

fn closed() -> LedgerError {
    LedgerError::Unavailable(Arc::from("the ledger is closed, or its store is being opened again"))
}

fn unavailable(e: OpenError) -> LedgerError {
    LedgerError::Unavailable(Arc::from(e.to_string()))
}

/// A stored reservation as the next tick will have it.
fn as_of(r: Reservation, now: Moment) -> Reservation {
    if r.state == State::Held && r.expires_at <= now { rules::expired(&r) } else { r }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn execute(
        &self,
        network: &NetworkId,
        command: Command,
        give_up_at: Option<std::time::Instant>,
    ) -> Result<Outcome, LedgerError> {
        self.shared.employ_postman();
        let (answer, told) = oneshot::channel();
        self.send(Message::Execute(Box::new(Execute { network: network.clone(), command, give_up_at, answer })))?;
        // The thread answers everything it takes up; if it does not, it is gone, and nobody knows how far it came.
        let gone = || LedgerError::OutcomeUnknown(Arc::from("the ledger ended while the command was made"));
        told.await.map_err(|_| gone())?.take()
    }

    async fn reservation(
        &self,
        network: &NetworkId,
        id: &ReservationId,
    ) -> Result<Option<Arc<Reservation>>, LedgerError> {
        // One read by key: mostly from memory, else a fraction of a millisecond, which is less than another thread costs.
        let (store, now) = (self.store()?, self.clock.now());
        let found = load::reservation(&*store, network, id).map_err(unavailable)?;
        Ok(found.map(|r| Arc::new(as_of(r, now))))
    }

    async fn reservations(
        &self,
        network: &NetworkId,
        filter: &ReservationFilter,
        after: Option<&ReservationId>,
        limit: usize,
    ) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), LedgerError> {
        let (network, filter, after) = (network.clone(), filter.clone(), after.cloned());
        self.read(move |store, now| load::page(store, &network, &filter, after.as_ref(), limit, |r| as_of(r, now)))
            .await
    }

    async fn tallies(&self, network: &NetworkId, prefix: &str) -> Result<Tallies, LedgerError> {
        let (network, prefix) = (network.clone(), prefix.to_owned());
        self.read(move |store, _| load::tallies(store, &network, &prefix)).await
    }

    async fn entries(&self, network: &NetworkId, after: Cursor, limit: usize) -> Result<Vec<Arc<Entry>>, LedgerError> {
        let network = network.clone();
        self.read(move |store, _| load::entries(store, &network, after, limit)).await
    }

    async fn newest(&self, network: &NetworkId) -> Result<Cursor, LedgerError> {
        load::newest(&*self.store()?, network).map_err(|e| unavailable(e.into()))
    }

    async fn networks(&self) -> Result<Vec<NetworkId>, LedgerError> {
        load::names(&*self.store()?).map_err(|e| unavailable(e.into()))
    }

    fn has_due(&self, now: Moment) -> bool {
        self.shared.next_due.load(Ordering::Acquire) <= now.0
    }

    async fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<(), LedgerError> {
        let (done, answer) = oneshot::channel();
        self.send(Message::Subscribe(subscriber, done))?;
        answer.await.map_err(|_| closed())?
    }

    async fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread still has to write what waits.
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }
}
