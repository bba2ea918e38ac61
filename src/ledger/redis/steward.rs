//! Looking after a network in Redis: read whole while others go on, loaded under other names and put in its place at once, and mended by
//! differences.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use redis::Cmd;
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_128;

use super::super::audit::{Counter, Repair};
use super::super::command::Command;
use super::super::feed::{Change, Entry, Snapshot};
use super::super::record;
use super::super::rules::Adjustment;
use super::super::stewardship::{Entries, Holdings, LoadError, Steward};
use super::super::{Ledger, LedgerError};
use super::keys::{self, Keys};
use super::link::Link;
use super::partition::Message;
use super::reading::{self, Followed, ReadError};
use super::{RedisLedger, closed, entries, reply, scripts, stored};
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::limits::MAX_NETWORKS;
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::{Moment, Span};

/// How often a reading begins anew because the network was replaced meanwhile.
const TRIES: usize = 10;
/// Records that are sent at a time.
const SENT_AT_ONCE: usize = 500;
/// How long what was loaded is kept if it is never put in its place, in seconds: an interrupted load leaves nothing behind.
const UNFINISHED: u64 = 3_600;
/// Repairs of one call.
const REPAIRS_AT_ONCE: usize = 1_000;

#[async_trait]
impl Steward for RedisLedger {
    async fn read_all(&self, network: &NetworkId) -> Result<Option<Holdings>, LedgerError> {
        match self.execute(network, Command::Tick, None).await {
            Ok(_) => {}
            Err(LedgerError::UnknownNetwork) => return Ok(None),
            Err(e) => return Err(e),
        }
        let now = self.now(network);
        let (mut link, keys) = self.reads(network).await?;
        for _ in 0..TRIES {
            if let Some(holdings) = holdings(&mut link, &keys, now).await? {
                return Ok(Some(holdings));
            }
        }
        Err(LedgerError::Unavailable(Arc::from("the network changes faster than it can be read")))
    }

    async fn load_all(&self, network: &NetworkId, holdings: Holdings, entries: Entries) -> Result<(), LoadError> {
        let keys = Keys::of(network);
        let mut link = self.links.reads(&keys.head).await.map_err(|e| LoadError::Ledger(super::unavailable(e)))?;
        if let Some(refusal) = refuses(&mut link, &keys).await? {
            return Err(refusal);
        }
        let loading = Keys::of(network).loading(&uuid::Uuid::new_v4().simple().to_string());
        let document = uuid::Uuid::new_v4().simple().to_string();
        let loaded = async {
            let count = send(&mut link, &keys, &loading, &document, self.config.ended_for, holdings, entries).await?;
            // Before it is there, so that nobody finds a network that is not listed.
            let known = self.networks().await?;
            if known.len() >= MAX_NETWORKS && !known.contains(network) {
                return Err(LedgerError::TooManyNetworks(known.len()).into());
            }
            self.list(network).await?;
            let mut cmd = redis::cmd("EVAL");
            cmd.arg(scripts::SETTLE).arg(2 * keys::SHARED);
            for key in keys.of_scripts().into_iter().chain(loading.of_scripts()) {
                cmd.arg(key);
            }
            cmd.arg(count);
            let settled = link.send(&cmd).await.map_err(|e| LoadError::Ledger(super::unavailable(e)))?;
            let mut persist = redis::cmd("PERSIST");
            persist.arg(keys.document(&document));
            link.send(&persist).await.map_err(|e| LoadError::Ledger(super::unavailable(e)))?;
            Ok(reply::number::<i64>(settled).unwrap_or(0) == 1)
        };
        let loaded: Result<bool, LoadError> = loaded.await;
        if !matches!(loaded, Ok(true)) {
            // It would go by itself; sooner is better, and not necessary.
            let mut cmd = redis::cmd("UNLINK");
            for key in loading.of_scripts() {
                cmd.arg(key);
            }
            cmd.arg(keys.document(&document));
            let _gone_sooner_or_later = link.send(&cmd).await;
            if refuses(&mut link, &keys).await?.is_none() {
                self.unlist(network).await?;
            }
        }
        match loaded {
            Ok(true) => {
                let handle = self.take_up(network).await;
                if self.shared.subscriber().is_some() {
                    super::subscribed(&handle).await?;
                }
                Ok(())
            }
            Ok(false) => match refuses(&mut link, &keys).await? {
                Some(refusal) => Err(refusal),
                None => Err(LoadError::NotEmpty { version: 0, buckets: 0, reservations: 0 }),
            },
            Err(e) => Err(e),
        }
    }

    async fn repair(&self, network: &NetworkId, repairs: &[Repair]) -> Result<usize, LedgerError> {
        let handle = self.partition(network, false).await?;
        let mut changed = 0;
        for repairs in repairs.chunks(REPAIRS_AT_ONCE) {
            let (done, answer) = oneshot::channel();
            handle.desk.waiting.fetch_add(1, Ordering::Relaxed);
            let message = Message::Repair(repairs.to_vec(), done);
            handle.queue.send(message).await.map_err(|_| closed())?;
            changed += answer.await.map_err(|_| closed())??;
        }
        Ok(changed)
    }
}

/// The arguments of `lua/repair.lua` from the ninth on.
pub fn write_repairs(repairs: &[Repair], cmd: &mut Cmd) {
    cmd.arg(repairs.len());
    for r in repairs {
        let (side, pool) = match &r.counter {
            Counter::Held => (2, String::new()),
            Counter::Confirmed => (3, String::new()),
            Counter::Fulfilled => (4, String::new()),
            Counter::Pool(pool) => (0, pool.to_string()),
            Counter::Channel(channel) => (1, channel.to_string()),
        };
        cmd.arg(keys::bucket(&r.resource, r.index)).arg(side).arg(pool).arg(r.by);
    }
}

/// One consistent picture; none: the network was replaced meanwhile, or what is read has a gap.
async fn holdings(link: &mut Link, keys: &Keys, now: Moment) -> Result<Option<Holdings>, ReadError> {
    let begin = reading::head(link, keys).await?;
    // Sums are not in the feed, only what was added to them: what was added since is told from what is in these by the place that
    // both are read as of. What is counted where nothing is taken is of no place, and may be in them or not.
    let (mut tallies, counted) = reading::all_tallies(link, keys).await?;
    let mut offers = reading::offers(link, keys).await?;
    let mut levels = reading::buckets(link, keys, |_| true).await?;
    let mut reservations: BTreeMap<ReservationId, Arc<Reservation>> = BTreeMap::new();
    reading::scan(link, &keys.reservations, |_, value| {
        let r = stored::read_reservation(&value)?.reservation;
        reservations.insert(r.id.clone(), r);
        Ok(())
    })
    .await?;
    let Some(document) = reading::document(link, keys, &begin.document).await? else { return Ok(None) };
    // What changed while it was read is in the feed since, with what each bucket and reservation then was.
    let (mut seq, mut last) = (begin.seq, begin.last.clone());
    let counted = entries::place(&counted);
    let followed = reading::follow(link, keys, &mut seq, &mut last, |element| {
        if entries::place(&element.id) > counted {
            for (name, by) in &element.tallies {
                let sum: &mut i64 = tallies.entry(Arc::clone(name)).or_default();
                *sum = sum.saturating_add(*by);
            }
        }
        for change in element.entries.iter().flat_map(|e| &e.changes) {
            reading::replay(&mut levels, change);
            reading::replay_offer(&mut offers, change);
            match change {
                Change::Reservation(r) => drop(reservations.insert(r.id.clone(), Arc::clone(r))),
                Change::Undone(r) => drop(reservations.remove(&r.id)),
                Change::Bucket { .. } | Change::Forgotten { .. } | Change::Network { .. } | Change::Offer(_) => {}
            }
        }
    })
    .await?;
    if followed != Followed::ToTheEnd {
        return Ok(None);
    }
    let mut adjustments: BTreeMap<ReservationId, Arc<Adjustment>> = BTreeMap::new();
    reading::scan(link, &keys.adjustments, |_, value| {
        let a = stored::read_adjustment(&value)?;
        adjustments.insert(a.request_id.clone(), Arc::new(a));
        Ok(())
    })
    .await?;
    let snapshot = Snapshot {
        seq,
        network_version: begin.version,
        document,
        applied_at: begin.applied_at,
        buckets: reading::by_resource(levels),
        offers: offers.into_values().collect(),
    };
    let tallies = tallies.into_iter().collect();
    let (reservations, adjustments) = (reservations.into_values().collect(), adjustments.into_values().collect());
    Ok(Some(Holdings { snapshot, now, reservations, adjustments, tallies }))
}

/// Why nothing can be loaded into the network.
async fn refuses(link: &mut Link, keys: &Keys) -> Result<Option<LoadError>, LoadError> {
    let ledger = |e: LedgerError| LoadError::Ledger(e);
    let head = reading::head(link, keys).await.map_err(|e| ledger(e.into()))?;
    let mut sizes = [0; 2];
    for (size, key) in sizes.iter_mut().zip([&keys.buckets, &keys.reservations]) {
        let mut cmd = redis::cmd("HLEN");
        cmd.arg(key);
        let answer = link.send(&cmd).await.map_err(|e| ledger(super::unavailable(e)))?;
        *size = reply::number(answer).map_err(|e| ledger(ReadError::from(e).into()))?;
    }
    let [buckets, reservations] = sizes;
    let empty = head.seq == 0 && head.version == 0 && buckets == 0 && reservations == 0;
    Ok((!empty).then_some(LoadError::NotEmpty { version: head.version, buckets, reservations }))
}

/// Commands on their way, many to one answer.
struct Sender<'a> {
    link: &'a mut Link,
    pipeline: redis::Pipeline,
    count: usize,
}

impl Sender<'_> {
    async fn add(&mut self, cmd: Cmd) -> Result<(), LoadError> {
        self.pipeline.add_command(cmd);
        self.count += 1;
        if self.count >= SENT_AT_ONCE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), LoadError> {
        if self.count == 0 {
            return Ok(());
        }
        let pipeline = std::mem::take(&mut self.pipeline);
        let answers = self.link.send_all(&pipeline, std::mem::take(&mut self.count)).await;
        let failed = |e| LoadError::Ledger(super::unavailable(e));
        for answer in answers.map_err(failed)? {
            answer.extract_error().map_err(|e| failed(super::LinkError::of(&e)))?;
        }
        Ok(())
    }
}

/// Sends everything under names of its own; tells how many keys that made.
async fn send(
    link: &mut Link,
    keys: &Keys,
    loading: &Keys,
    document: &str,
    ended_for: Span,
    holdings: Holdings,
    entries: Entries,
) -> Result<usize, LoadError> {
    let Holdings { snapshot, now, reservations, adjustments, tallies } = holdings;
    let Snapshot { seq, network_version, document: text, applied_at, buckets, offers } = snapshot;
    let upload = super::reshape::send(link, &keys.document(document), &text).await;
    upload.map_err(|e| LoadError::Ledger(super::unavailable(e)))?;
    let command = |name: &str, key: &str| {
        let mut cmd = redis::cmd(name);
        cmd.arg(key);
        cmd
    };
    let mut there = vec![&loading.head, &loading.feed];
    let mut out = Sender { link, pipeline: redis::pipe(), count: 0 };
    for (resource, levels) in &buckets {
        for (index, level) in levels {
            let mut cmd = command("HSET", &loading.buckets);
            cmd.arg(keys::bucket(resource, *index)).arg(stored::write_level(level));
            out.add(cmd).await?;
        }
    }
    let mark = super::call::mark();
    let forgotten = |at: Moment| at.plus(ended_for);
    for r in &reservations {
        let mut cmd = command("HSET", &loading.reservations);
        cmd.arg(r.id.as_str()).arg(stored::write_settled(r, now, mark));
        out.add(cmd).await?;
        let mut cmd = command("ZADD", &loading.ids);
        cmd.arg(0).arg(r.id.as_str());
        out.add(cmd).await?;
        if r.at_risk {
            let mut cmd = command("ZADD", &loading.risk);
            cmd.arg(0).arg(r.id.as_str());
            out.add(cmd).await?;
        }
        let when = match r.state {
            State::Held => Some(r.expires_at),
            State::Confirmed => None,
            State::Released | State::Expired | State::Fulfilled => r.ended_at.map(forgotten),
        };
        if let Some(when) = when {
            let mut cmd = command("ZADD", &loading.when);
            cmd.arg(when.0).arg(format!("r{}", r.id));
            out.add(cmd).await?;
        }
    }
    for a in &adjustments {
        let mut cmd = command("HSET", &loading.adjustments);
        cmd.arg(a.request_id.as_str()).arg(stored::write_adjustment(a));
        out.add(cmd).await?;
        let mut cmd = command("ZADD", &loading.when);
        cmd.arg(forgotten(a.at).0).arg(format!("a{}", a.request_id));
        out.add(cmd).await?;
    }
    for offer in &offers {
        let mut cmd = command("HSET", &loading.offers);
        cmd.arg(&*offer.offer.id).arg(stored::write_settled_offer(offer, now, mark));
        out.add(cmd).await?;
    }
    for (name, number) in &tallies {
        let mut cmd = command("HSET", &loading.tallies);
        cmd.arg(&**name).arg(*number);
        out.add(cmd).await?;
    }
    let mut newest = 0;
    for entry in entries {
        let entry = entry?;
        newest = entry.seq;
        out.add(element(&loading.feed, &entry)).await?;
    }
    if newest < seq || seq == 0 {
        // The newest entry was trimmed: its place is kept, so that cursors stay right.
        out.add(element(&loading.feed, &Entry { seq, at: now, changes: Vec::new() })).await?;
    }
    let mut cmd = command("HSET", &loading.head);
    cmd.arg("layout").arg(keys::LAYOUT).arg("seq").arg(seq).arg("last").arg(format!("{seq}-1"));
    cmd.arg("version").arg(network_version).arg("applied").arg(applied_at.0);
    cmd.arg("document").arg(document).arg("digest").arg(digest(&text));
    out.add(cmd).await?;
    for (key, any) in [
        (&loading.buckets, !buckets.is_empty()),
        (&loading.reservations, !reservations.is_empty()),
        (&loading.ids, !reservations.is_empty()),
        (&loading.when, reservations.iter().any(|r| r.state != State::Confirmed) || !adjustments.is_empty()),
        (&loading.adjustments, !adjustments.is_empty()),
        (&loading.offers, !offers.is_empty()),
        (&loading.tallies, !tallies.is_empty()),
        (&loading.risk, reservations.iter().any(|r| r.at_risk)),
    ] {
        if any {
            there.push(key);
        }
    }
    for key in &there {
        let mut cmd = command("EXPIRE", key);
        cmd.arg(UNFINISHED);
        out.add(cmd).await?;
    }
    out.flush().await?;
    Ok(there.len())
}

/// An element of the feed that has one entry from elsewhere.
fn element(feed: &str, entry: &Entry) -> Cmd {
    let mut cmd = redis::cmd("XADD");
    // A place must not be 0-0; an empty network's feed begins with 0-1.
    cmd.arg(feed).arg(format!("{}-1", entry.seq)).arg("a").arg(entry.at.0).arg("s").arg(entry.seq).arg("k").arg("e");
    cmd.arg("d").arg(record::write_entry(entry, |r| record::write_reservation(r)));
    cmd
}

/// What tells documents apart.
pub fn digest(document: &[u8]) -> String {
    format!("{:032x}-{}", xxh3_128(document), document.len())
}
