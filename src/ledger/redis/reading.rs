//! Reads: single reservations, pages, the feed, and everything there is of a network as of one place in its feed.

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::{Cmd, Value};
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::feed::{Change, Cursor, Entry, Snapshot};
use super::super::record::Unreadable;
use super::super::tally::{self, Tallies};
use super::super::{LedgerError, ReservationFilter, rules};
use super::batch::Place;
use super::call::SLOT;
use super::entries::{self, Element};
use super::keys::{self, Keys};
use super::link::{Link, LinkError};
use super::{reply, scripts, stored};
use crate::domain::bucket::BucketLevel;
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::levels::Levels;
use crate::domain::offer::ApprovedOffer;
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::{Moment, Span};

/// Fields that one step of a scan looks at.
const SCANNED: usize = 1_000;
/// Elements of the feed that are read at a time.
const ELEMENTS: usize = 256;
/// Records that a page reads at a time.
const PAGE: usize = 256;
/// How often a full read begins anew because the network was replaced meanwhile.
const TRIES: usize = 20;

/// Why a read came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store can't be reached.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// What is stored contradicts itself, or is of a later version.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl From<ReadError> for LedgerError {
    fn from(e: ReadError) -> Self {
        LedgerError::Unavailable(Arc::from(e.to_string()))
    }
}

fn command(name: &str, key: &str) -> Cmd {
    let mut cmd = redis::cmd(name);
    cmd.arg(key);
    cmd
}

/// Where a network stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The newest entry.
    pub seq: Cursor,
    /// The newest element of the feed.
    pub last: String,
    /// The instant of the newest change.
    pub now: Moment,
    /// The network's version.
    pub version: i64,
    /// When it was applied.
    pub applied_at: Moment,
    /// The name of its document; empty: none.
    pub document: String,
    /// The digest of its document.
    pub digest: String,
}

/// Reads where a network stands.
pub async fn head(link: &mut Link, keys: &Keys) -> Result<Head, ReadError> {
    let mut cmd = command("HMGET", &keys.head);
    for field in ["seq", "last", "now", "version", "applied", "document", "digest"] {
        cmd.arg(field);
    }
    let mut parts = reply::list(link.send(&cmd).await?)?.into_iter();
    let mut text = || -> Result<String, Unreadable> {
        match reply::next(&mut parts)? {
            Value::Nil => Ok(String::new()),
            value => reply::text(value),
        }
    };
    fn number<N: std::str::FromStr + Default>(text: &str) -> Result<N, Unreadable> {
        if text.is_empty() { Ok(N::default()) } else { text.parse().map_err(|_| reply::unexpected("a number")) }
    }
    Ok(Head {
        seq: number(&text()?)?,
        last: text()?,
        now: Moment(number(&text()?)?),
        version: number(&text()?)?,
        applied_at: Moment(number(&text()?)?),
        document: text()?,
        digest: text()?,
    })
}

/// Drops slots of calls that are more than a day older than the newest change: no call is repeated for so long.
pub async fn drop_old_slots(link: &mut Link, keys: &Keys, own: &str) -> Result<(), ReadError> {
    let now = head(link, keys).await?.now;
    let limit = now.minus(Span::days(1));
    let mut old: Vec<String> = Vec::new();
    scan(link, &keys.head, |field, value| {
        let at = || {
            let instant = value.split(|b| *b == b' ').nth(1)?;
            std::str::from_utf8(instant).ok()?.parse().ok().map(Moment)
        };
        if let Some(slot) = String::from_utf8(field).ok().filter(|f| f.starts_with(SLOT) && f != own)
            && at().is_some_and(|at| at < limit)
        {
            old.push(slot);
        }
        Ok(())
    })
    .await?;
    if !old.is_empty() {
        let mut cmd = command("HDEL", &keys.head);
        for slot in old {
            cmd.arg(slot);
        }
        link.send(&cmd).await?;
    }
    Ok(())
}

/// The layout of a network's keys, if there is such a network.
pub async fn layout(link: &mut Link, keys: &Keys) -> Result<Option<String>, ReadError> {
    let mut cmd = command("HGET", &keys.head);
    cmd.arg("layout");
    match link.send(&cmd).await? {
        Value::Nil => Ok(None),
        value => Ok(Some(reply::text(value)?)),
    }
}

/// One reservation.
pub async fn reservation(
    link: &mut Link,
    keys: &Keys,
    id: &ReservationId,
) -> Result<Option<stored::Stored>, ReadError> {
    let mut cmd = command("HGET", &keys.reservations);
    cmd.arg(id.as_str());
    match link.send(&cmd).await? {
        Value::Nil => Ok(None),
        value => Ok(Some(stored::read_reservation(&reply::bytes(value)?)?)),
    }
}

/// Values of several fields of a hash.
async fn values(link: &mut Link, key: &str, fields: &[String]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    let mut cmd = command("HMGET", key);
    for field in fields {
        cmd.arg(field);
    }
    Ok(reply::list(link.send(&cmd).await?)?.into_iter().map(reply::some_bytes).collect())
}

/// Reservations in the order of their ids, as the trait has it.
pub async fn page(
    link: &mut Link,
    keys: &Keys,
    filter: &ReservationFilter,
    after: Option<&ReservationId>,
    limit: usize,
    now: Moment,
) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), ReadError> {
    let ids = if filter.at_risk { &keys.risk } else { &keys.ids };
    let mut found: Vec<Arc<Reservation>> = Vec::new();
    let mut from = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
    loop {
        let mut cmd = command("ZRANGEBYLEX", ids);
        cmd.arg(&from).arg("+").arg("LIMIT").arg(0).arg(PAGE);
        let ids: Vec<String> =
            reply::list(link.send(&cmd).await?)?.into_iter().map(reply::text).collect::<Result<_, _>>()?;
        let Some(last) = ids.last() else { return Ok((found, None)) };
        from = format!("({last}");
        for value in values(link, &keys.reservations, &ids).await?.into_iter().flatten() {
            let r = as_of(stored::read_reservation(&value)?.reservation, now);
            if !filter.matches(&r) {
                continue;
            }
            if found.len() == limit {
                return Ok((found.clone(), found.last().map(|r| r.id.clone())));
            }
            found.push(r);
        }
    }
}

/// A stored reservation as the next tick will have it.
pub fn as_of(r: Arc<Reservation>, now: Moment) -> Arc<Reservation> {
    if r.state == State::Held && r.expires_at <= now { Arc::new(rules::expired(&r)) } else { r }
}

/// Elements of the feed from an id on, that one included; from the oldest that is kept, if there is none of it.
pub async fn elements(link: &mut Link, keys: &Keys, from: &str, count: usize) -> Result<Vec<Element>, ReadError> {
    let mut cmd = command("XRANGE", &keys.feed);
    cmd.arg(if from.is_empty() { "-" } else { from }).arg("+").arg("COUNT").arg(count);
    Ok(entries::read_all(link.send(&cmd).await?)?)
}

/// Entries of the feed after a cursor, at most `limit`.
pub async fn entries(link: &mut Link, keys: &Keys, after: Cursor, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
    let mut found = Vec::new();
    // The id of an element is the place of its last entry: the one that has `after + 1` comes first.
    let mut from = format!("{}-0", after.saturating_add(1));
    while found.len() < limit {
        let read = elements(link, keys, &from, ELEMENTS.min(limit - found.len())).await?;
        let Some(last) = read.last() else { break };
        from = format!("({}", last.id);
        found.extend(read.iter().flat_map(|e| &e.entries).filter(|e| e.seq > after).cloned());
    }
    found.truncate(limit);
    Ok(found)
}

/// A network's document.
pub async fn document(link: &mut Link, keys: &Keys, name: &str) -> Result<Option<Arc<[u8]>>, ReadError> {
    if name.is_empty() {
        return Ok(Some(Arc::from([])));
    }
    let value = link.send(&command("GET", &keys.document(name))).await?;
    Ok(reply::some_bytes(value).map(Arc::from))
}

/// All of a hash, a part at a time: what is there from the beginning to the end of it is given at least once.
pub async fn scan(
    link: &mut Link,
    key: &str,
    each: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), Unreadable>,
) -> Result<(), ReadError> {
    scan_matching(link, key, None, each).await
}

/// [`scan`], of the fields that match a pattern.
async fn scan_matching(
    link: &mut Link,
    key: &str,
    pattern: Option<&str>,
    mut each: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), Unreadable>,
) -> Result<(), ReadError> {
    let mut cursor = "0".to_owned();
    loop {
        let mut cmd = command("HSCAN", key);
        cmd.arg(&cursor).arg("COUNT").arg(SCANNED);
        if let Some(pattern) = pattern {
            cmd.arg("MATCH").arg(pattern);
        }
        let mut parts = reply::list(link.send(&cmd).await?)?.into_iter();
        cursor = reply::text(reply::next(&mut parts)?)?;
        let mut pairs = reply::list(reply::next(&mut parts)?)?.into_iter();
        while let Some(field) = pairs.next() {
            each(reply::bytes(field)?, reply::bytes(reply::next(&mut pairs)?)?)?;
        }
        if cursor == "0" {
            return Ok(());
        }
    }
}

/// Names of resources, each kept once however many buckets have it.
#[derive(Default)]
struct Names(FxHashSet<Arc<str>>);

impl Names {
    fn of(&mut self, name: &str) -> ResourceId {
        if let Some(known) = self.0.get(name) {
            return ResourceId::from(Arc::clone(known));
        }
        let name: Arc<str> = Arc::from(name);
        self.0.insert(Arc::clone(&name));
        ResourceId::from(name)
    }
}

/// The buckets of a network whose resources are `wanted`.
pub async fn buckets(
    link: &mut Link,
    keys: &Keys,
    wanted: impl Fn(&str) -> bool,
) -> Result<FxHashMap<Place, BucketLevel>, ReadError> {
    let mut names = Names::default();
    let mut found = FxHashMap::default();
    scan(link, &keys.buckets, |field, value| {
        let field = String::from_utf8(field).map_err(|_| reply::unexpected("a bucket's name"))?;
        let (resource, index) = keys::bucket_of(&field).ok_or_else(|| reply::unexpected("a bucket's name"))?;
        if wanted(resource) {
            found.insert((names.of(resource), index), stored::read_level(&value)?);
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// Offers by id.
pub type Offers = BTreeMap<Arc<str>, Arc<ApprovedOffer>>;

/// All offers of a network.
pub async fn offers(link: &mut Link, keys: &Keys) -> Result<Offers, ReadError> {
    let mut found = Offers::new();
    scan(link, &keys.offers, |_, value| {
        let (offer, _) = stored::read_offer(&value)?;
        found.insert(Arc::clone(&offer.offer.id), offer);
        Ok(())
    })
    .await?;
    Ok(found)
}

/// Takes in what a change says of offers.
pub fn replay_offer(offers: &mut Offers, change: &Change) {
    match change {
        Change::Offer(offer) => drop(offers.insert(Arc::clone(&offer.offer.id), Arc::clone(offer))),
        Change::Bucket { .. }
        | Change::Forgotten { .. }
        | Change::Reservation(_)
        | Change::Undone(_)
        | Change::Network { .. } => {}
    }
}

fn tally(name: Value, number: Value) -> Result<(Arc<str>, i64), Unreadable> {
    Ok((Arc::from(reply::text(name)?), reply::number(number)?))
}

/// Tallies whose names begin with the prefix. Those of one offer are looked up; all others are found by looking at all that there
/// are.
pub async fn tallies(link: &mut Link, keys: &Keys, prefix: &str) -> Result<Tallies, ReadError> {
    if let Some(offer) = prefix.strip_prefix(tally::OFFER).and_then(|rest| rest.strip_suffix('\t')) {
        let names = [tally::offer(offer, true), tally::offer(offer, false)];
        let mut cmd = command("HMGET", &keys.tallies);
        cmd.arg(&*names[0]).arg(&*names[1]);
        let numbers = reply::list(link.send(&cmd).await?)?;
        let known = names.into_iter().zip(numbers).filter(|(_, number)| *number != Value::Nil);
        return Ok(known
            .map(|(name, number)| Ok((name, reply::number(number)?)))
            .collect::<Result<Tallies, Unreadable>>()?);
    }
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('*');
    // A step of a scan may give a name again, with what its number is by then.
    let mut found: FxHashMap<Arc<str>, i64> = FxHashMap::default();
    scan_matching(link, &keys.tallies, Some(&pattern), |name, number| {
        let (name, number) = tally(Value::BulkString(name), Value::BulkString(number))?;
        found.insert(name, number);
        Ok(())
    })
    .await?;
    Ok(found.into_iter().collect())
}

/// All tallies, and the place in the feed and the element of it up to which they count.
pub async fn all_tallies(link: &mut Link, keys: &Keys) -> Result<(BTreeMap<Arc<str>, i64>, String), ReadError> {
    let mut cmd = redis::cmd("EVAL");
    cmd.arg(scripts::TALLIES).arg(2).arg(&keys.head).arg(&keys.tallies);
    let mut parts = reply::list(link.send(&cmd).await?)?.into_iter();
    let last = reply::some_bytes(reply::next(&mut parts)?).unwrap_or_default();
    let last = String::from_utf8(last).map_err(|_| reply::unexpected("an element's id"))?;
    let mut pairs = reply::list(reply::next(&mut parts)?)?.into_iter();
    let mut found = BTreeMap::new();
    while let Some(name) = pairs.next() {
        let (name, number) = tally(name, reply::next(&mut pairs)?)?;
        found.insert(name, number);
    }
    Ok((found, last))
}

/// The full state of a network's capacity, and the element of the feed that it is as of. While it is read, others go on: what they
/// changed is in the feed since, with what each bucket then held.
pub async fn snapshot(link: &mut Link, keys: &Keys) -> Result<(Snapshot, String), ReadError> {
    for _ in 0..TRIES {
        let begin = head(link, keys).await?;
        let mut levels = buckets(link, keys, |_| true).await?;
        let mut offers = offers(link, keys).await?;
        let Some(document) = document(link, keys, &begin.document).await? else { continue };
        let (mut seq, mut last) = (begin.seq, begin.last.clone());
        match follow(link, keys, &mut seq, &mut last, |element| {
            for change in element.entries.iter().flat_map(|e| &e.changes) {
                replay(&mut levels, change);
                replay_offer(&mut offers, change);
            }
        })
        .await?
        {
            Followed::ToTheEnd => {}
            Followed::OtherNetwork | Followed::Gap => continue,
        }
        let buckets = by_resource(levels);
        let snapshot = Snapshot {
            seq,
            network_version: begin.version,
            document,
            applied_at: begin.applied_at,
            buckets,
            offers: offers.into_values().collect(),
        };
        return Ok((snapshot, last));
    }
    Err(ReadError::Link(LinkError::Refused("the network changes faster than it can be read".to_owned())))
}

/// Levels in the order of resources and indexes.
pub fn by_resource(levels: FxHashMap<Place, BucketLevel>) -> Vec<(ResourceId, Levels)> {
    let mut by_resource: BTreeMap<ResourceId, Vec<(i32, BucketLevel)>> = BTreeMap::new();
    for ((resource, index), level) in levels {
        by_resource.entry(resource).or_default().push((index, level));
    }
    by_resource.into_iter().map(|(resource, levels)| (resource, Levels::new(levels))).collect()
}

/// What following the feed came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// There is no more.
    ToTheEnd,
    /// The network was replaced.
    OtherNetwork,
    /// Something is missing, or can't be understood.
    Gap,
}

/// Follows the feed from an element that is known to its end. An empty `last` is the beginning of everything.
pub async fn follow(
    link: &mut Link,
    keys: &Keys,
    seq: &mut Cursor,
    last: &mut String,
    mut each: impl FnMut(&Element),
) -> Result<Followed, ReadError> {
    loop {
        let read = elements(link, keys, last, ELEMENTS).await?;
        let full = read.len() == ELEMENTS;
        let mut elements = read.into_iter();
        if !last.is_empty() && elements.next().is_none_or(|e| e.id != *last) {
            return Ok(Followed::Gap);
        }
        for element in elements {
            if element.is_foreign || element.entries.first().is_some_and(|e| e.seq != *seq + 1) {
                return Ok(Followed::Gap);
            }
            if element.document.is_some() {
                return Ok(Followed::OtherNetwork);
            }
            each(&element);
            *seq = entries::place(&element.id);
            last.clone_from(&element.id);
        }
        if !full {
            return Ok(Followed::ToTheEnd);
        }
    }
}

/// Takes in what a change says of buckets.
pub fn replay(levels: &mut FxHashMap<Place, BucketLevel>, change: &Change) {
    match change {
        Change::Bucket { resource, index, level } => {
            levels.insert((resource.clone(), *index), level.clone());
        }
        Change::Forgotten { resource, index } => levels.retain(|(r, i), _| r != resource || i >= index),
        Change::Reservation(_) | Change::Undone(_) | Change::Network { .. } | Change::Offer(_) => {}
    }
}
