//! The Redis ledger: one truth for any number of servers. Each network is a partition with a task of its own, which makes of the
//! commands that wait one call of a script; the scripts equal `ledger::rules`. Every server follows the feed.

mod address;
mod batch;
mod call;
mod durability;
mod entries;
mod following;
mod keys;
mod link;
mod made;
#[doc(hidden)]
pub mod measured;
mod outcome;
mod partition;
mod reading;
mod recent;
mod reply;
mod reshape;
mod scripts;
mod steward;
mod stored;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use tracing::warn;

pub use address::{Address, Secret, Topology};
pub use call::StoreClock;
pub use durability::{Durability, DurabilityError};
pub use link::{LinkConfig, LinkError, TlsFiles};

use super::command::{Command, Outcome};
use super::feed::{Cursor, Entry, Subscriber};
use super::observe::{LedgerObserver, Unobserved};
use super::tally::Tallies;
use super::{Ledger, LedgerError, ReservationFilter};
use crate::clock::SystemClock;
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::limits::{MAX_NETWORKS, REQUEST_ID_DAYS};
use crate::domain::reservation::Reservation;
use crate::domain::time::{Moment, Span};
use batch::Reserve;
use call::Caller;
use keys::Keys;
use link::{Links, Role};
use partition::{Desk, Execute, Message, Partition, Progress};

/// How often it is looked for networks that other servers made.
const DISCOVER: Duration = Duration::from_secs(1);

/// Between two tries to list a network, at first.
const LIST_AGAIN: Duration = Duration::from_millis(20);

/// How a Redis ledger is set up.
#[derive(Clone)]
pub struct RedisConfig {
    /// Where the store is.
    pub address: Address,
    /// For encrypted connections.
    pub tls: TlsFiles,
    /// What an acknowledged change survives.
    pub durability: Durability,
    /// Whose clock says when holds end.
    pub clock: StoreClock,
    /// Commands of one network that wait at most before more are turned away ([`LedgerError::Overloaded`]).
    pub queue: usize,
    /// Commands that share one call at most.
    pub batch: usize,
    /// Entries of the feed that are kept.
    pub entries: u64,
    /// How long a reservation that ended is remembered, and its request id with it (rule 20); an adjustment too.
    pub ended_for: Span,
    /// How long an answer of Redis may take.
    pub response: Duration,
    /// How long it is tried to find out whether a call was made whose answer did not come.
    pub patience: Duration,
    /// How often slots of servers that have gone are looked for.
    pub tidy: Duration,
    /// Is told what the ledger does.
    pub observer: Arc<dyn LedgerObserver>,
}

impl RedisConfig {
    /// The defaults: 4,096 waiting commands, which is under a second of work; 128 a call, which keeps Redis from others for a
    /// millisecond or two; 200,000 entries, some 200 MB; a second for an answer, and another to find out;
    /// an hour between two looks for old slots, of which each audit leaves one.
    pub fn new(address: Address) -> RedisConfig {
        RedisConfig {
            address,
            tls: TlsFiles::default(),
            durability: Durability::default(),
            clock: StoreClock::Store { shift: 0, service: Arc::new(SystemClock::new()) },
            queue: 4_096,
            batch: 128,
            entries: 200_000,
            ended_for: Span::days(REQUEST_ID_DAYS),
            response: Duration::from_secs(1),
            patience: Duration::from_secs(2),
            tidy: Duration::from_secs(3_600),
            observer: Arc::new(Unobserved),
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, durability, queue, batch, .. } = self;
        write!(
            f,
            "RedisConfig {{ address: {address}, durability: {durability:?}, queue: {queue}, batch: {batch}, .. }}"
        )
    }
}

/// What all partitions of a ledger share.
pub struct Shared {
    closing: AtomicBool,
    subscriber: ArcSwapOption<Box<dyn Fn() -> Arc<dyn Subscriber> + Send + Sync>>,
    /// Is told what happens.
    pub observer: Arc<dyn LedgerObserver>,
    /// Commands that share one call at most.
    pub batch: usize,
    /// See [`RedisConfig::patience`].
    pub patience: Duration,
    /// See [`RedisConfig::tidy`].
    pub tidy: Duration,
}

impl Shared {
    /// Who follows the feed.
    pub fn subscriber(&self) -> Option<Arc<dyn Subscriber>> {
        self.subscriber.load().as_ref().map(|subscriber| subscriber())
    }
}

/// A partition from outside.
#[derive(Clone)]
struct Handle {
    queue: mpsc::Sender<Message>,
    desk: Arc<Desk>,
    keys: Arc<Keys>,
}

/// See the module.
pub struct RedisLedger {
    config: RedisConfig,
    links: Arc<Links>,
    shared: Arc<Shared>,
    server: String,
    awaited: call::Awaited,
    partitions: Arc<ArcSwap<FxHashMap<NetworkId, Handle>>>,
    opening: tokio::sync::Mutex<()>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Looks for networks; it has nothing to finish.
    discovery: OnceLock<AbortHandle>,
}

/// Why a Redis ledger can't be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Redis can't be reached, or does not let this service in.
    #[error("Redis at {address} can't be used: {why}")]
    Away {
        /// Where, without secrets.
        address: String,
        /// What it said.
        why: String,
    },
    /// A later or an earlier version of the service wrote what is there, in another layout.
    #[error("the network '{network}' in Redis at {address} can't be used: {}", link::other_layout(layout))]
    Layout {
        /// Which network.
        network: NetworkId,
        /// Where, without secrets.
        address: String,
        /// Its layout.
        layout: String,
    },
    /// The durability that is asked for can't be had there.
    #[error(transparent)]
    Durability(#[from] DurabilityError),
}

impl RedisLedger {
    /// Connects, checks that the store does what is asked of it, and takes up the networks that there are.
    pub async fn open(config: RedisConfig) -> Result<Arc<Self>, OpenError> {
        let link_config =
            LinkConfig { address: config.address.clone(), tls: config.tls.clone(), response: config.response };
        let links = Arc::new(Links::new(link_config));
        let away = |why: String| OpenError::Away { address: config.address.to_string(), why };
        let first = Keys::of(&NetworkId::default_network());
        let mut link = links.to(&first.head, Role::Reads).await.map_err(|e| away(e.to_string()))?;
        let awaited = durability::check(&mut link, config.durability).await?;
        let shared = Arc::new(Shared {
            closing: AtomicBool::new(false),
            subscriber: ArcSwapOption::empty(),
            observer: Arc::clone(&config.observer),
            batch: config.batch.clamp(1, 1_000),
            patience: config.patience,
            tidy: config.tidy,
        });
        let ledger = Arc::new(RedisLedger {
            links,
            shared,
            server: uuid::Uuid::new_v4().simple().to_string(),
            awaited,
            partitions: Arc::default(),
            opening: tokio::sync::Mutex::default(),
            tasks: Mutex::default(),
            discovery: OnceLock::new(),
            config,
        });
        for network in ledger
            .networks()
            .await
            .map_err(|e| OpenError::Away { address: ledger.config.address.to_string(), why: e.to_string() })?
        {
            ledger.refuse_other_layout(&network).await?;
            ledger.take_up(&network).await;
        }
        ledger.keep_discovering();
        Ok(ledger)
    }

    /// A network that can't be looked at right now is looked at by its task, again and again.
    async fn refuse_other_layout(&self, network: &NetworkId) -> Result<(), OpenError> {
        let keys = Keys::of(network);
        let Ok(mut link) = self.links.to(&keys.head, Role::Reads).await else { return Ok(()) };
        let Ok(Some(layout)) = reading::layout(&mut link, &keys).await else { return Ok(()) };
        if layout == keys::LAYOUT {
            return Ok(());
        }
        let address = self.config.address.to_string();
        Err(OpenError::Layout { network: network.clone(), address, layout })
    }

    /// Commands that wait to be made.
    pub fn waiting(&self) -> usize {
        self.partitions.load().values().map(|handle| handle.desk.waiting.load(Ordering::Relaxed)).sum()
    }

    /// Takes up networks that other servers made.
    fn keep_discovering(self: &Arc<Self>) {
        let ledger = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(DISCOVER).await;
                let Some(ledger) = ledger.upgrade() else { return };
                if ledger.shared.closing.load(Ordering::SeqCst) {
                    return;
                }
                // While Redis is away, the partitions say so.
                let Ok(networks) = ledger.networks().await else { continue };
                for network in networks {
                    if ledger.partitions.load().contains_key(&network) {
                        continue;
                    }
                    let handle = ledger.take_up(&network).await;
                    if ledger.shared.subscriber().is_some()
                        && let Err(e) = subscribed(&handle).await
                    {
                        warn!(%network, error = %e, "a network that another server made can't be read yet");
                    }
                }
            }
        });
        // It is begun once, as the ledger is opened.
        let _first = self.discovery.set(task.abort_handle());
    }

    /// Begins a network's task, if it has none.
    async fn take_up(&self, network: &NetworkId) -> Handle {
        let _one_at_a_time = self.opening.lock().await;
        if let Some(handle) = self.partitions.load().get(network) {
            return handle.clone();
        }
        let (queue, inbox) = mpsc::channel(self.config.queue.max(1));
        let desk = Arc::new(Desk::new());
        let keys = Keys::of(network);
        let caller = Caller {
            keys: keys.clone(),
            links: Arc::clone(&self.links),
            clock: self.config.clock.clone(),
            server: self.server.clone(),
            kept: self.config.entries,
            ended_for: self.config.ended_for,
            awaited: self.awaited,
            response: self.config.response,
            unapplied: *network == NetworkId::default_network(),
            link: None,
            calls: 0,
        };
        let partition = Partition {
            network: network.clone(),
            caller,
            shared: Arc::clone(&self.shared),
            desk: Arc::clone(&desk),
            inbox,
            state: Progress::default(),
        };
        let task = tokio::spawn(partition.run());
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of networks that came to nothing have ended.
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
        drop(tasks);
        let handle = Handle { queue, desk, keys: Arc::new(keys) };
        self.partitions.rcu(|partitions| {
            let mut partitions = FxHashMap::clone(partitions);
            partitions.insert(network.clone(), handle.clone());
            partitions
        });
        handle
    }

    /// The network's partition, if there is such a network; one that is to be applied is made.
    async fn partition(&self, network: &NetworkId, apply: bool) -> Result<Handle, LedgerError> {
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(closed());
        }
        if let Some(handle) = self.partitions.load().get(network) {
            return Ok(handle.clone());
        }
        let known = self.networks().await?;
        if !known.contains(network) {
            if !apply {
                return Err(LedgerError::UnknownNetwork);
            }
            if known.len() >= MAX_NETWORKS {
                return Err(LedgerError::TooManyNetworks(known.len()));
            }
        }
        let handle = self.take_up(network).await;
        if self.shared.subscriber().is_some() {
            subscribed(&handle).await?;
        }
        Ok(handle)
    }

    /// Lists a network, so that every server finds it. It is tried again for as long as calls are: listed twice is as listed once.
    async fn list(&self, network: &NetworkId) -> Result<(), LedgerError> {
        let mut cmd = redis::cmd("SADD");
        cmd.arg(keys::NETWORKS).arg(network.to_string());
        let (begun, mut wait) = (Instant::now(), LIST_AGAIN);
        loop {
            let listed = async { self.links.to(keys::NETWORKS, Role::Commands).await?.send(&cmd).await };
            match listed.await {
                Ok(_) => return Ok(()),
                Err(e) if begun.elapsed() + wait > self.config.patience => return Err(unavailable(e)),
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
    }

    /// Takes a network from the list that is not there after all.
    async fn unlist(&self, network: &NetworkId) -> Result<(), LedgerError> {
        let mut link = self.links.to(keys::NETWORKS, Role::Commands).await.map_err(unavailable)?;
        let mut cmd = redis::cmd("SREM");
        cmd.arg(keys::NETWORKS).arg(network.to_string());
        link.send(&cmd).await.map_err(unavailable)?;
        Ok(())
    }

    /// After an application: a network that is there now is listed, and one that is still not is not looked at any more. (Should this
    /// process die in between, who applies it again has it listed.)
    async fn settle(&self, network: &NetworkId, outcome: &Outcome) -> Result<(), LedgerError> {
        if matches!(outcome, Outcome::NetworkApplied { .. }) {
            // It is applied, whatever becomes of the list.
            let unlisted =
                |e: LedgerError| LedgerError::OutcomeUnknown(Arc::from(format!("applied, but not listed: {e}")));
            return self.list(network).await.map_err(unlisted);
        }
        if !self.networks().await?.contains(network) {
            self.partitions.rcu(|partitions| {
                let mut partitions = FxHashMap::clone(partitions);
                partitions.remove(network);
                partitions
            });
        }
        Ok(())
    }

    /// A connection for one short read.
    async fn lookup(&self, network: &NetworkId) -> Result<(link::Link, Arc<Keys>), LedgerError> {
        let keys = self.readable(network)?;
        let link = self.links.lookups(&keys.head).await.map_err(unavailable)?;
        Ok((link, keys))
    }

    /// A connection for long reads.
    async fn reads(&self, network: &NetworkId) -> Result<(link::Link, Arc<Keys>), LedgerError> {
        let keys = self.readable(network)?;
        let link = self.links.reads(&keys.head).await.map_err(unavailable)?;
        Ok((link, keys))
    }

    fn readable(&self, network: &NetworkId) -> Result<Arc<Keys>, LedgerError> {
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(closed());
        }
        match self.partitions.load().get(network) {
            // While it is known to be away, nobody waits for it.
            Some(handle) if handle.desk.away.load(Ordering::SeqCst) => {
                Err(LedgerError::Unavailable(Arc::from("Redis does not answer; it is tried again")))
            }
            Some(handle) => Ok(Arc::clone(&handle.keys)),
            None => Ok(Arc::new(Keys::of(network))),
        }
    }

    fn now(&self, network: &NetworkId) -> Moment {
        let told = self.partitions.load().get(network).map_or(Moment::MIN, |handle| handle.desk.told());
        self.config.clock.now(told)
    }
}

async fn subscribed(handle: &Handle) -> Result<(), LedgerError> {
    let (done, answer) = oneshot::channel();
    handle.desk.waiting.fetch_add(1, Ordering::Relaxed);
    handle.queue.send(Message::Subscribed(done)).await.map_err(|_| closed())?;
    answer.await.map_err(|_| closed())?
}

fn closed() -> LedgerError {
    LedgerError::Unavailable(Arc::from("the ledger is closed"))
}

fn unavailable(e: LinkError) -> LedgerError {
    LedgerError::Unavailable(Arc::from(e.to_string()))
}

impl fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLedger").field("config", &self.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl Ledger for RedisLedger {
    async fn execute(
        &self,
        network: &NetworkId,
        command: Command,
        give_up_at: Option<Instant>,
    ) -> Result<Outcome, LedgerError> {
        let applies = matches!(command, Command::ApplyNetwork(_));
        let handle = self.partition(network, applies).await?;
        // Written out here, where every caller has a thread, and not in the partition's one task.
        let prepared = Reserve::of_hold(&command);
        let (answer, told) = oneshot::channel();
        let message = Message::Execute(Box::new(Execute { command, prepared, give_up_at, answer }));
        // Counted before, as the task may be faster.
        handle.desk.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(e) = handle.queue.try_send(message) {
            handle.desk.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(match e {
                mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => closed(),
            });
        }
        // The task answers everything it takes up; if it does not, it is gone, and nobody knows how far it came.
        let gone = || LedgerError::OutcomeUnknown(Arc::from("the ledger ended while the command was made"));
        let outcome = told.await.map_err(|_| gone())?.take()?;
        if applies {
            self.settle(network, &outcome).await?;
        }
        Ok(outcome)
    }

    async fn reservation(
        &self,
        network: &NetworkId,
        id: &ReservationId,
    ) -> Result<Option<Arc<Reservation>>, LedgerError> {
        let (mut link, keys) = self.lookup(network).await?;
        let now = self.now(network);
        let found = reading::reservation(&mut link, &keys, id).await?;
        Ok(found.map(|stored| reading::as_of(stored.reservation, now)))
    }

    async fn tallies(&self, network: &NetworkId, prefix: &str) -> Result<Tallies, LedgerError> {
        let (mut link, keys) = self.reads(network).await?;
        Ok(reading::tallies(&mut link, &keys, prefix).await?)
    }

    async fn reservations(
        &self,
        network: &NetworkId,
        filter: &ReservationFilter,
        after: Option<&ReservationId>,
        limit: usize,
    ) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), LedgerError> {
        let (mut link, keys) = self.reads(network).await?;
        Ok(reading::page(&mut link, &keys, filter, after, limit, self.now(network)).await?)
    }

    async fn entries(&self, network: &NetworkId, after: Cursor, limit: usize) -> Result<Vec<Arc<Entry>>, LedgerError> {
        let (mut link, keys) = self.reads(network).await?;
        Ok(reading::entries(&mut link, &keys, after, limit).await?)
    }

    async fn newest(&self, network: &NetworkId) -> Result<Cursor, LedgerError> {
        let (mut link, keys) = self.lookup(network).await?;
        Ok(reading::head(&mut link, &keys).await?.seq)
    }

    async fn networks(&self) -> Result<Vec<NetworkId>, LedgerError> {
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let mut link = self.links.lookups(keys::NETWORKS).await.map_err(unavailable)?;
        let mut cmd = redis::cmd("SMEMBERS");
        cmd.arg(keys::NETWORKS);
        let names = link.send(&cmd).await.map_err(unavailable)?;
        let unreadable = |e: super::record::Unreadable| LedgerError::Unavailable(Arc::from(e.to_string()));
        let mut networks = vec![NetworkId::default_network()];
        for name in reply::list(names).map_err(unreadable)? {
            let name = reply::text(name).map_err(unreadable)?;
            networks.push(NetworkId::from(Arc::from(name)));
        }
        networks.sort();
        networks.dedup();
        Ok(networks)
    }

    fn has_due(&self, now: Moment) -> bool {
        self.partitions.load().values().any(|handle| handle.desk.next_due.load(Ordering::Acquire) <= now.0)
    }

    async fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<(), LedgerError> {
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let who: Box<dyn Fn() -> Arc<dyn Subscriber> + Send + Sync> = Box::new(move || Arc::clone(&subscriber));
        self.shared.subscriber.store(Some(Arc::new(who)));
        for handle in self.partitions.load_full().values() {
            subscribed(handle).await?;
        }
        Ok(())
    }

    async fn close(&self) {
        if self.shared.closing.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(discovery) = self.discovery.get() {
            discovery.abort();
        }
        // A task whose queue has no sender left finishes what is in it.
        self.partitions.store(Arc::default());
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if tokio::time::timeout(self.config.patience, task).await.is_err() {
                warn!("a task of the ledger does not end");
            }
        }
        if let Some(subscriber) = self.shared.subscriber() {
            subscriber.lost(None);
        }
    }
}
