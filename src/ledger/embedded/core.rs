//! The embedded ledger without its thread: applies commands to the states in memory and makes what changed durable, one batch
//! at a time. Stepped by the writer, and by simulations.

use std::ops::ControlFlow;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::domain::bucket::BucketLevel;
use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::limits::MAX_NETWORKS;
use crate::domain::offer::ApprovedOffer;
use crate::domain::reservation::{self, Reservation};
use crate::domain::time::Moment;

use super::super::LedgerError;
use super::super::command::{Command, Outcome};
use super::super::feed::{Change, Cursor, Entry, Snapshot};
use super::super::record::{self, NetworkHead};
use super::super::refused;
use super::super::rules::{self, Adjustment, Drift, RefusedChanges, State};
use super::keys::{self, Ended};
use super::store::{Batch, Space, Store, StoreError};
use super::{OpenError, Retention, load};

/// Holds that are given back in one batch: what ended while nobody looked comes back in steps that stay short.
const EXPIRED_AT_ONCE: usize = 1_000;
/// Records that one sweep drops at most, so that it delays no command for long.
const SWEPT_AT_ONCE: usize = 2_000;
/// Bytes of one part of a document: large enough to be few, small enough for any buffer.
pub(super) const PART_BYTES: usize = 1 << 20;

/// A command and the network it is for.
pub type Job = (NetworkId, Command);

/// What one step made durable.
#[derive(Debug, Default)]
pub struct Stepped {
    /// One a job, in their order.
    pub outcomes: Vec<Result<Outcome, LedgerError>>,
    /// What is to be told to the subscriber before the outcomes are, by network, in order.
    pub told: Vec<(NetworkId, Vec<Arc<Entry>>)>,
    /// Holds that ended by themselves.
    pub expired: usize,
}

/// The states of all networks over one store. After an error it must be dropped and opened again: memory may be ahead of
/// the store, or behind.
pub struct Core {
    pub(super) store: Arc<dyn Store>,
    pub(super) partitions: FxHashMap<NetworkId, Partition>,
    retention: Retention,
    now: Moment,
}

/// One network.
pub(super) struct Partition {
    pub(super) state: State,
    /// The oldest entry that is kept; where trimming begins.
    oldest: Cursor,
    /// Where the sweep of what ended goes on: what lies before was dropped, and would have to be passed over each time.
    swept: Vec<u8>,
    pending: Pending,
}

/// What was changed and not yet written.
#[derive(Default)]
struct Pending {
    entries: Vec<Arc<Entry>>,
    buckets: FxHashMap<(ResourceId, i32), Option<BucketLevel>>,
    reservations: FxHashMap<ReservationId, Option<Arc<Reservation>>>,
    adjustments: Vec<Arc<Adjustment>>,
    offers: FxHashMap<Arc<str>, Arc<ApprovedOffer>>,
    tallied: FxHashSet<Arc<str>>,
    /// Refused requests, each with whether it is remembered.
    refused: FxHashMap<(Moment, refused::Digest), bool>,
    network: bool,
    /// Brought to hand, to be let go of after.
    loaded: FxHashSet<ReservationId>,
    loaded_adjustments: Vec<ReservationId>,
}

impl Partition {
    pub(super) fn new(state: State, oldest: Cursor) -> Partition {
        Partition { state, oldest, swept: Vec::new(), pending: Pending::default() }
    }
}

impl Core {
    /// Reads what a start needs: documents, buckets and held reservations. Not the history, however long it is.
    pub fn open(store: Arc<dyn Store>, retention: Retention) -> Result<Core, OpenError> {
        let partitions = load::networks(&*store)?
            .into_iter()
            .map(|(network, (state, oldest))| (network, Partition::new(state, oldest)))
            .collect();
        Ok(Core { store, partitions, retention, now: Moment::MIN })
    }

    /// The ledger's now: the latest it was told.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// When the next hold ends, of all networks.
    pub fn next_due(&self) -> Option<Moment> {
        self.partitions.values().filter_map(|partition| partition.state.next_due()).min()
    }

    /// Gives back what is due everywhere, then makes each job's step, in order, and writes all of it at once.
    pub fn step(&mut self, now: Moment, jobs: &[Job]) -> Result<Stepped, StoreError> {
        // Clocks jump; what was once due stays so (rule 21).
        self.now = self.now.max(now);
        let mut stepped = Stepped::default();
        self.expire(&mut stepped)?;
        for (network, command) in jobs {
            let outcome = self.run(network, command);
            stepped.outcomes.push(outcome);
        }
        self.write(&mut stepped)?;
        Ok(stepped)
    }

    fn expire(&mut self, stepped: &mut Stepped) -> Result<(), StoreError> {
        loop {
            let mut more = false;
            for partition in self.partitions.values_mut() {
                if partition.state.next_due().is_none_or(|due| due > self.now) {
                    continue;
                }
                let expired = rules::expire(&mut partition.state, self.now, EXPIRED_AT_ONCE);
                stepped.expired += expired.changes.iter().filter(|c| matches!(c, Change::Reservation(_))).count();
                partition.pending.tallied.extend(expired.tallied);
                partition.note(self.now, expired.changes, &[]);
                more |= partition.state.next_due().is_some_and(|due| due <= self.now);
            }
            if !more {
                return Ok(());
            }
            self.write(stepped)?;
        }
    }

    fn run(&mut self, network: &NetworkId, command: &Command) -> Result<Outcome, LedgerError> {
        let known = self.partitions.contains_key(network);
        if !known {
            if !matches!(command, Command::ApplyNetwork(_)) {
                return Err(LedgerError::UnknownNetwork);
            }
            if self.partitions.len() >= MAX_NETWORKS {
                return Err(LedgerError::TooManyNetworks(self.partitions.len()));
            }
            self.partitions.insert(network.clone(), Partition::new(State::new(), 1));
        }
        let partition = self.partitions.get_mut(network).expect("it is known, or was just made");
        let gone = partition.bring(network, command, &*self.store)?;
        let applied = rules::apply(&mut partition.state, command, self.now);
        if !known && applied.changes.is_empty() {
            self.partitions.remove(network);
            return Ok(applied.outcome);
        }
        partition.pending.tallied.extend(applied.tallied);
        let RefusedChanges { added, forgotten } = applied.refused;
        partition.pending.refused.extend(added.into_iter().map(|one| (one, true)));
        partition.pending.refused.extend(forgotten.into_iter().map(|one| (one, false)));
        partition.note(self.now, applied.changes, &gone);
        if let Some(adjustment) = applied.adjustment {
            partition.pending.loaded_adjustments.push(adjustment.request_id.clone());
            partition.pending.adjustments.push(adjustment);
        }
        Ok(applied.outcome)
    }

    /// Makes durable what is pending, and only then has it told.
    pub(super) fn write(&mut self, stepped: &mut Stepped) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (network, partition) in &self.partitions {
            partition.write(network, &*self.store, &mut batch)?;
        }
        if !batch.0.is_empty() {
            self.store.commit(batch)?;
        }
        for (network, partition) in &mut self.partitions {
            let Pending { entries, reservations, loaded, loaded_adjustments, .. } =
                std::mem::take(&mut partition.pending);
            for id in reservations.keys().chain(&loaded) {
                partition.state.unload(id);
            }
            for id in &loaded_adjustments {
                partition.state.unload_adjustment(id);
            }
            if entries.is_empty() {
                continue;
            }
            match stepped.told.iter_mut().find(|(n, _)| n == network) {
                Some((_, told)) => told.extend(entries),
                None => stepped.told.push((network.clone(), entries)),
            }
        }
        Ok(())
    }

    /// Drops what need not be remembered any more, at most a few thousand records a network. Tells whether there may be more.
    pub fn sweep(&mut self, now: Moment) -> Result<bool, StoreError> {
        self.now = self.now.max(now);
        let mut batch = Batch::default();
        let mut more = false;
        for (network, partition) in &mut self.partitions {
            more |= partition.sweep_ended(network, self.now, &self.retention, &*self.store, &mut batch)?;
            more |= partition.trim_feed(network, self.now, &self.retention, &*self.store, &mut batch)?;
        }
        if !batch.0.is_empty() {
            self.store.commit(batch)?;
        }
        Ok(more)
    }

    /// The full state of every network.
    pub fn snapshots(&self) -> impl Iterator<Item = (&NetworkId, Snapshot)> {
        self.partitions.iter().map(|(network, p)| (network, p.state.snapshot()))
    }

    /// Compares every bucket of a network, in memory and in the store, with all of its reservations; none: no such network. Reads
    /// the whole network.
    pub fn audit(&self, network: &NetworkId) -> Result<Option<Vec<Drift>>, OpenError> {
        let Some(partition) = self.partitions.get(network) else { return Ok(None) };
        let reservations = load::reservations(&*self.store, network)?;
        let mut drifts = partition.state.audit_against(&reservations);
        let (stored, _) = load::network(&*self.store, network)?;
        drifts.extend(stored.audit_against(&reservations));
        Ok(Some(drifts))
    }
}

impl Partition {
    /// Brings what the command names to hand, and lists the stored buckets that it would drop.
    fn bring(
        &mut self,
        network: &NetworkId,
        command: &Command,
        store: &dyn Store,
    ) -> Result<Vec<(ResourceId, i32)>, LedgerError> {
        if let Some(id) = command.reservation_id()
            && self.state.reservation(id).is_none()
            && !self.pending.reservations.contains_key(id)
        {
            if let Some(bytes) = store.get(Space::Reservations, &keys::named(network, id)).map_err(unavailable)? {
                self.state.load(Arc::new(record::read_reservation(&bytes).map_err(unavailable)?));
            }
            self.pending.loaded.insert(id.clone());
        }
        let adjusts = match command {
            Command::AdjustSupply(c) => c.request_id.as_ref(),
            Command::SetAllocation(c) => c.request_id.as_ref(),
            _ => None,
        };
        if let Some(request_id) = adjusts
            && self.state.adjustment(request_id).is_none()
        {
            let key = keys::named(network, request_id);
            if let Some(bytes) = store.get(Space::Adjustments, &key).map_err(unavailable)? {
                self.state.load_adjustment(Arc::new(record::read_adjustment(&bytes).map_err(unavailable)?));
                self.pending.loaded_adjustments.push(request_id.clone());
            }
        }
        let mut dropped = Vec::new();
        let mut list = |resource: &ResourceId, before: i32| {
            let known = self.state.levels(resource).all();
            dropped.extend(known.take_while(|(i, _)| *i < before).map(|(i, _)| (resource.clone(), *i)));
        };
        match command {
            Command::Forget { before } => before.iter().for_each(|(resource, index)| list(resource, *index)),
            Command::ApplyNetwork(c) => c.dropped.iter().for_each(|resource| list(resource, i32::MAX)),
            _ => {}
        }
        Ok(dropped)
    }

    /// Notes what changed, to be written. `gone`: buckets that are dropped if the changes say so.
    pub(super) fn note(&mut self, now: Moment, changes: Vec<Change>, gone: &[(ResourceId, i32)]) {
        if changes.is_empty() {
            return;
        }
        let pending = &mut self.pending;
        for change in &changes {
            match change {
                Change::Bucket { resource, index, level } => {
                    pending.buckets.insert((resource.clone(), *index), Some(level.clone()));
                }
                Change::Forgotten { resource, index } => {
                    for bucket in gone.iter().filter(|(r, i)| r == resource && i < index) {
                        pending.buckets.insert(bucket.clone(), None);
                    }
                }
                Change::Reservation(r) => {
                    pending.reservations.insert(r.id.clone(), Some(Arc::clone(r)));
                }
                Change::Undone(r) => {
                    pending.reservations.insert(r.id.clone(), None);
                }
                Change::Offer(offer) => {
                    pending.offers.insert(Arc::clone(&offer.offer.id), Arc::clone(offer));
                }
                Change::Network { .. } => pending.network = true,
            }
        }
        let seq = self.state.next_seq();
        pending.entries.push(Arc::new(Entry { seq, at: now, changes }));
    }

    /// Each changed bucket and reservation once, as it is last; every entry.
    fn write(&self, network: &NetworkId, store: &dyn Store, batch: &mut Batch) -> Result<(), StoreError> {
        let pending = &self.pending;
        for ((resource, index), level) in &pending.buckets {
            let key = keys::bucket(network, resource, *index);
            match level {
                Some(level) => batch.put(Space::Buckets, key, record::write_bucket(level)),
                None => batch.delete(Space::Buckets, key),
            }
        }
        let mut written: FxHashMap<*const Reservation, Vec<u8>> = FxHashMap::default();
        for (id, reservation) in &pending.reservations {
            let key = keys::named(network, id);
            let Some(r) = reservation else {
                batch.delete(Space::Reservations, key.clone());
                batch.delete(Space::Held, key);
                continue;
            };
            if r.at_risk {
                batch.put(Space::AtRisk, key.clone(), Vec::new());
            } else if r.history.iter().any(|h| *h.what == *"at risk") {
                // Only what was marked once can have been listed.
                batch.delete(Space::AtRisk, key.clone());
            }
            if r.state == reservation::State::Held {
                batch.put(Space::Held, key.clone(), Vec::new());
            } else {
                batch.delete(Space::Held, key.clone());
            }
            if let Some(at) = r.ended_at {
                batch.put(Space::Ended, keys::ended(network, at, Ended::Reservation, id), Vec::new());
            }
            let bytes = record::write_reservation(r);
            written.insert(Arc::as_ptr(r), bytes.clone());
            batch.put(Space::Reservations, key, bytes);
        }
        for entry in &pending.entries {
            let bytes = record::write_entry(entry, |r| match written.remove(&Arc::as_ptr(r)) {
                Some(bytes) => bytes,
                None => record::write_reservation(r),
            });
            batch.put(Space::Entries, keys::entry(network, entry.seq), bytes);
        }
        for (id, offer) in &pending.offers {
            batch.put(Space::Offers, keys::text(network, id), record::write_offer(offer));
        }
        for name in &pending.tallied {
            let number = self.state.tallied(name);
            batch.put(Space::Tallies, keys::text(network, name), number.to_be_bytes().to_vec());
        }
        for ((at, request), remembered) in &pending.refused {
            let key = keys::refused(network, *at, *request);
            if *remembered {
                batch.put(Space::Refused, key, Vec::new());
            } else {
                batch.delete(Space::Refused, key);
            }
        }
        for a in &pending.adjustments {
            batch.put(Space::Adjustments, keys::named(network, &a.request_id), record::write_adjustment(a));
            batch.put(Space::Ended, keys::ended(network, a.at, Ended::Adjustment, &a.request_id), Vec::new());
        }
        if pending.network {
            let (from, to) = (keys::of(network), keys::behind(&keys::of(network)));
            store.scan(Space::Documents, &from, &to, &mut |key, _| {
                batch.delete(Space::Documents, key.to_vec());
                ControlFlow::Continue(())
            })?;
            let version = self.state.network_version();
            let mut parts = 0;
            for part in self.state.document().chunks(PART_BYTES) {
                batch.put(Space::Documents, keys::part(network, version, parts), part.to_vec());
                parts += 1;
            }
            batch.put(
                Space::Meta,
                keys::head(network),
                record::write_head(NetworkHead { version, parts, applied_at: self.state.applied_at() }),
            );
        }
        Ok(())
    }

    /// Forgets what ended long enough ago that its request id may mean something new (rule 20).
    fn sweep_ended(
        &mut self,
        network: &NetworkId,
        now: Moment,
        retention: &Retention,
        store: &dyn Store,
        batch: &mut Batch,
    ) -> Result<bool, StoreError> {
        let prefix = keys::of(network);
        let from = if self.swept.is_empty() { prefix.clone() } else { self.swept.clone() };
        let to = keys::ended_before(network, now.minus(retention.ended_for));
        let mut found = Vec::new();
        store.scan(Space::Ended, &from, &to, &mut |key, _| {
            found.push(key.to_vec());
            if found.len() < SWEPT_AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        for key in &found {
            if let Some((at, what, id)) = keys::ended_of(&key[prefix.len()..]) {
                let named = keys::named(network, &id);
                match what {
                    Ended::Adjustment => batch.delete(Space::Adjustments, named),
                    Ended::Reservation => {
                        // One that was taken again since, or ended again later, has another mark, or none yet.
                        let stored = store.get(Space::Reservations, &named)?;
                        let same = |bytes: &[u8]| record::read_reservation(bytes).is_ok_and(|r| r.ended_at == Some(at));
                        if stored.is_some_and(|bytes| same(&bytes)) {
                            batch.delete(Space::Reservations, named);
                        }
                    }
                }
            }
            batch.delete(Space::Ended, key.clone());
        }
        if let Some(last) = found.last() {
            self.swept = last.clone();
        }
        Ok(found.len() == SWEPT_AT_ONCE)
    }

    /// Drops entries that are too old or too many; never the newest, whose place says where the feed stands.
    fn trim_feed(
        &mut self,
        network: &NetworkId,
        now: Moment,
        retention: &Retention,
        store: &dyn Store,
        batch: &mut Batch,
    ) -> Result<bool, StoreError> {
        let newest = self.state.seq();
        let enough = newest.saturating_sub(retention.entries);
        let limit = now.minus(retention.entries_for);
        let prefix = keys::of(network);
        let mut dropped = Vec::new();
        let mut oldest = self.oldest;
        store.scan(
            Space::Entries,
            &keys::entry(network, oldest),
            &keys::entry(network, newest),
            &mut |key, value| {
                let seq = keys::entry_of(&key[prefix.len()..]).unwrap_or(newest);
                let old = seq <= enough || record::read_entry_at(value).is_ok_and(|at| at < limit);
                if !old || dropped.len() == SWEPT_AT_ONCE {
                    return ControlFlow::Break(());
                }
                oldest = seq + 1;
                dropped.push(key.to_vec());
                ControlFlow::Continue(())
            },
        )?;
        self.oldest = oldest;
        let more = dropped.len() == SWEPT_AT_ONCE;
        dropped.into_iter().for_each(|key| batch.delete(Space::Entries, key));
        Ok(more)
    }
}

fn unavailable(e: impl std::fmt::Display) -> LedgerError {
    LedgerError::Unavailable(Arc::from(e.to_string()))
}
