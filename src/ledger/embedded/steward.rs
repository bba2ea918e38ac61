//! Looking after an embedded ledger: all of a network is read, loaded and mended by the thread that writes, between two batches,
//! so that nothing happens meanwhile.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::domain::id::NetworkId;
use crate::domain::limits::MAX_NETWORKS;
use crate::domain::reservation::State as Life;

use super::super::LedgerError;
use super::super::audit::{self, Repair};
use super::super::feed::{Entry, Snapshot, Subscriber};
use super::super::record::{self, NetworkHead};
use super::super::stewardship::{Entries, Holdings, LoadError, Steward};
use super::core::{Core, PART_BYTES, Partition, Stepped};
use super::keys::{self, Ended};
use super::store::{Batch, Space, Store, StoreError};
use super::writer::{Message, error_of};
use super::{EmbeddedLedger, closed, load};

/// Bytes of one write of a load: large enough that its fsync costs little beside it, small enough for memory and journals.
const WRITE_BYTES: usize = 4 << 20;
/// Keys that are dropped in one write.
const DROPPED_AT_ONCE: usize = 10_000;
/// Repairs in one entry of the feed: as many buckets as a plan's message may change, and some.
const REPAIRS_AT_ONCE: usize = 1_000;

type Answer<T, E = LedgerError> = oneshot::Sender<Result<T, E>>;

/// Something to be done about a network as a whole.
pub enum Chore {
    /// See [`Steward::read_all`].
    Read(NetworkId, Answer<Option<Holdings>>),
    /// See [`Steward::load_all`].
    Load(NetworkId, Box<(Holdings, Entries)>, Answer<(), LoadError>),
    /// See [`Steward::repair`].
    Repair(NetworkId, Vec<Repair>, Answer<usize>),
}

impl Chore {
    /// Does it, tells the subscriber, and answers. An error is the store's, which is then to be opened anew.
    pub fn carry_out(self, core: &mut Core, subscriber: Option<&Arc<dyn Subscriber>>) -> Result<(), StoreError> {
        match self {
            Chore::Read(network, done) => {
                let read = core.holdings(&network);
                let unavailable = |e: super::OpenError| LedgerError::Unavailable(Arc::from(e.to_string()));
                drop(done.send(read.map_err(unavailable)));
                Ok(())
            }
            Chore::Load(network, what, done) => {
                let (holdings, entries) = *what;
                let loaded = core.load(&network, holdings, entries);
                if let (Ok(Ok(snapshot)), Some(subscriber)) = (&loaded, subscriber) {
                    subscriber.reset(&network, snapshot.clone());
                }
                let (told, failed) = parted(loaded, |e| LoadError::Ledger(error_of(e)));
                drop(done.send(told.map(drop)));
                failed
            }
            Chore::Repair(network, repairs, done) => {
                let repaired = core.repair(&network, &repairs);
                if let (Ok(Some((_, stepped))), Some(subscriber)) = (&repaired, subscriber) {
                    stepped.told.iter().for_each(|(network, entries)| subscriber.changed(network, entries));
                }
                let repaired = repaired.map(|r| r.map(|(changed, _)| changed).ok_or(LedgerError::UnknownNetwork));
                let (told, failed) = parted(repaired, error_of);
                drop(done.send(told));
                failed
            }
        }
    }

    /// Tells that it was not begun.
    pub fn refuse(self, why: &LedgerError) {
        match self {
            Chore::Read(_, done) => drop(done.send(Err(why.clone()))),
            Chore::Load(_, _, done) => drop(done.send(Err(why.clone().into()))),
            Chore::Repair(_, _, done) => drop(done.send(Err(why.clone()))),
        }
    }
}

/// What the caller is told, and what the thread has to know.
fn parted<T, E>(
    done: Result<Result<T, E>, StoreError>,
    error: impl Fn(&StoreError) -> E,
) -> (Result<T, E>, Result<(), StoreError>) {
    match done {
        Ok(told) => (told, Ok(())),
        Err(failed) => (Err(error(&failed)), Err(failed)),
    }
}

impl Core {
    /// All that is held of a network; none: there is no such network.
    pub fn holdings(&self, network: &NetworkId) -> Result<Option<Holdings>, super::OpenError> {
        let Some(partition) = self.partitions.get(network) else { return Ok(None) };
        let mut snapshot = partition.state.snapshot();
        snapshot.buckets.sort_by(|(a, _), (b, _)| a.cmp(b));
        snapshot.offers.sort_by(|a, b| a.offer.id.cmp(&b.offer.id));
        // Keys lie in the order of names.
        let reservations = load::reservations(&*self.store, network)?.into_iter().map(Arc::new).collect();
        let adjustments = load::adjustments(&*self.store, network)?.into_iter().map(Arc::new).collect();
        let tallies = load::tallies(&*self.store, network, "")?;
        Ok(Some(Holdings { snapshot, now: self.now(), reservations, adjustments, tallies }))
    }

    /// Makes repairs, and tells how many buckets changed; none: there is no such network.
    pub fn repair(&mut self, network: &NetworkId, repairs: &[Repair]) -> Result<Option<(usize, Stepped)>, StoreError> {
        let now = self.now();
        let (mut changed, mut stepped) = (0, Stepped::default());
        for repairs in repairs.chunks(REPAIRS_AT_ONCE) {
            let Some(partition) = self.partitions.get_mut(network) else { return Ok(None) };
            let changes = audit::mend(&mut partition.state, repairs);
            changed += changes.len();
            partition.note(now, changes, &[]);
            self.write(&mut stepped)?;
        }
        Ok(self.partitions.contains_key(network).then_some((changed, stepped)))
    }

    /// Fills an empty network. It is marked until its last write, and what is found marked is dropped.
    pub fn load(
        &mut self,
        network: &NetworkId,
        holdings: Holdings,
        entries: Entries,
    ) -> Result<Result<Snapshot, LoadError>, StoreError> {
        if let Some(refusal) = self.refuses(network)? {
            return Ok(Err(refusal));
        }
        let mut mark = Batch::default();
        mark.put(Space::Meta, keys::unfinished(network), Vec::new());
        self.store.commit(mark)?;
        match fill(&*self.store, network, holdings, entries) {
            Ok(()) => {}
            Err(Broken::Store(e)) => return Err(e),
            Err(Broken::Source(e)) => {
                discard(&*self.store, network)?;
                return Ok(Err(e));
            }
        }
        let loaded = load::network(&*self.store, network).map_err(|e| StoreError::Unknown(e.to_string()));
        let (state, oldest) = loaded?;
        let snapshot = state.snapshot();
        self.partitions.insert(network.clone(), Partition::new(state, oldest));
        Ok(Ok(snapshot))
    }

    /// Why nothing can be loaded into the network.
    fn refuses(&self, network: &NetworkId) -> Result<Option<LoadError>, StoreError> {
        let Some(partition) = self.partitions.get(network) else {
            let full = self.partitions.len() >= MAX_NETWORKS;
            return Ok(full.then(|| LedgerError::TooManyNetworks(self.partitions.len()).into()));
        };
        let prefix = keys::of(network);
        let mut reservations = 0;
        self.store.scan(Space::Reservations, &prefix, &keys::behind(&prefix), &mut |_, _| {
            reservations += 1;
            ControlFlow::Continue(())
        })?;
        let Snapshot { seq, network_version: version, buckets, .. } = partition.state.snapshot();
        let buckets = buckets.iter().map(|(_, levels)| levels.len()).sum();
        // Tallies are the one thing that is written without an entry.
        let counted = partition.state.tallies().next().is_some();
        let empty = seq == 0 && version == 0 && buckets == 0 && reservations == 0 && !counted;
        Ok((!empty).then_some(LoadError::NotEmpty { version, buckets, reservations }))
    }
}

/// Why a load did not come to its end.
enum Broken {
    Store(StoreError),
    Source(LoadError),
}

impl From<StoreError> for Broken {
    fn from(e: StoreError) -> Self {
        Broken::Store(e)
    }
}

/// Writes all of a network, the mark's end with the last of it.
fn fill(store: &dyn Store, network: &NetworkId, holdings: Holdings, entries: Entries) -> Result<(), Broken> {
    let mut out = Filler { store, batch: Batch::default(), bytes: 0 };
    let Holdings { snapshot, now, reservations, adjustments, tallies } = holdings;
    let Snapshot { seq, network_version: version, document, applied_at, buckets, offers } = snapshot;
    for (resource, levels) in &buckets {
        for (index, level) in levels {
            let key = keys::bucket(network, resource, *index);
            out.put(Space::Buckets, key, record::write_bucket(level))?;
        }
    }
    for r in &reservations {
        let key = keys::named(network, &r.id);
        if r.state == Life::Held {
            out.put(Space::Held, key.clone(), Vec::new())?;
        }
        if r.at_risk {
            out.put(Space::AtRisk, key.clone(), Vec::new())?;
        }
        if let Some(at) = r.ended_at {
            out.put(Space::Ended, keys::ended(network, at, Ended::Reservation, &r.id), Vec::new())?;
        }
        out.put(Space::Reservations, key, record::write_reservation(r))?;
    }
    for a in &adjustments {
        out.put(Space::Adjustments, keys::named(network, &a.request_id), record::write_adjustment(a))?;
        out.put(Space::Ended, keys::ended(network, a.at, Ended::Adjustment, &a.request_id), Vec::new())?;
    }
    for offer in &offers {
        out.put(Space::Offers, keys::text(network, &offer.offer.id), record::write_offer(offer))?;
    }
    for (name, number) in &tallies {
        out.put(Space::Tallies, keys::text(network, name), number.to_be_bytes().to_vec())?;
    }
    drop((buckets, reservations, adjustments, offers, tallies));
    let mut parts = 0;
    for part in document.chunks(PART_BYTES) {
        out.put(Space::Documents, keys::part(network, version, parts), part.to_vec())?;
        parts += 1;
    }
    let mut last = 0;
    for entry in entries {
        let entry = entry.map_err(|e| Broken::Source(e.into()))?;
        last = entry.seq;
        out.entry(network, &entry)?;
    }
    if last < seq {
        // The newest entry says where the feed stands, so one that tells nothing takes the place of one that was not kept.
        out.entry(network, &Entry { seq, at: now, changes: Vec::new() })?;
    }
    let head = record::write_head(NetworkHead { version, parts, applied_at });
    out.put(Space::Meta, keys::head(network), head)?;
    out.batch.delete(Space::Meta, keys::unfinished(network));
    out.write()?;
    Ok(())
}

/// Gathers writes into batches of some size.
struct Filler<'a> {
    store: &'a dyn Store,
    batch: Batch,
    bytes: usize,
}

impl Filler<'_> {
    fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        if self.bytes >= WRITE_BYTES {
            self.write()?;
        }
        self.bytes += key.len() + value.len();
        self.batch.put(space, key, value);
        Ok(())
    }

    fn entry(&mut self, network: &NetworkId, entry: &Entry) -> Result<(), StoreError> {
        let bytes = record::write_entry(entry, |r| record::write_reservation(r));
        self.put(Space::Entries, keys::entry(network, entry.seq), bytes)
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        self.store.commit(std::mem::take(&mut self.batch))
    }
}

/// Drops what loads left that did not come to their end, so that their networks are as empty as before.
pub fn discard_unfinished(store: &dyn Store) -> Result<(), StoreError> {
    let (from, to) = keys::all_unfinished();
    let mut networks = Vec::new();
    store.scan(Space::Meta, &from, &to, &mut |key, _| {
        networks.extend(keys::network_of_unfinished(key));
        ControlFlow::Continue(())
    })?;
    for network in networks {
        tracing::warn!(%network, "a load of this network did not come to its end; what there is of it is dropped");
        discard(store, &network)?;
    }
    Ok(())
}

/// Drops all of a network, its mark at last.
fn discard(store: &dyn Store, network: &NetworkId) -> Result<(), StoreError> {
    let (from, to) = (keys::of(network), keys::behind(&keys::of(network)));
    for space in Space::ALL.into_iter().filter(|space| *space != Space::Meta) {
        loop {
            let mut batch = Batch::default();
            store.scan(space, &from, &to, &mut |key, _| {
                batch.delete(space, key.to_vec());
                if batch.0.len() < DROPPED_AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            if batch.0.is_empty() {
                break;
            }
            store.commit(batch)?;
        }
    }
    let mut batch = Batch::default();
    batch.delete(Space::Meta, keys::unfinished(network));
    store.commit(batch)
}

#[async_trait]
impl Steward for EmbeddedLedger {
    async fn read_all(&self, network: &NetworkId) -> Result<Option<Holdings>, LedgerError> {
        let (done, answer) = oneshot::channel();
        self.send(Message::Chore(Chore::Read(network.clone(), done)))?;
        answer.await.map_err(|_| closed())?
    }

    async fn load_all(&self, network: &NetworkId, holdings: Holdings, entries: Entries) -> Result<(), LoadError> {
        let (done, answer) = oneshot::channel();
        self.send(Message::Chore(Chore::Load(network.clone(), Box::new((holdings, entries)), done)))?;
        answer.await.map_err(|_| closed())?
    }

    async fn repair(&self, network: &NetworkId, repairs: &[Repair]) -> Result<usize, LedgerError> {
        let (done, answer) = oneshot::channel();
        self.send(Message::Chore(Chore::Repair(network.clone(), repairs.to_vec(), done)))?;
        answer.await.map_err(|_| closed())?
    }
}
