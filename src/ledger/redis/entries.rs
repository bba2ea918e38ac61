//! The feed as it lies in its stream: an element is a call of a script that changed something, and has one entry or several.

use std::sync::Arc;

use redis::Value;
use rustc_hash::FxHashMap;

use super::super::feed::{Change, Cursor, Entry};
use super::super::record::{self, Unreadable};
use super::super::state::give_to;
use super::super::transition::Side;
use super::batch::{Made, Place};
use super::reply;
use super::{keys, stored};
use crate::domain::bucket::BucketLevel;
use crate::domain::draw::Pool;
use crate::domain::id::ResourceId;
use crate::domain::reservation::Reservation;
use crate::domain::time::Moment;

/// An element of the stream, read.
#[derive(Debug)]
pub struct Element {
    /// Its id: the place of its last entry, and a number that no other element has.
    pub id: String,
    /// Its entries; documents of networks are empty in them.
    pub entries: Vec<Arc<Entry>>,
    /// The name of the document that it applied.
    pub document: Option<String>,
    /// The reservations that it wrote, each with its version in the store.
    pub reservations: Vec<stored::Stored>,
    /// Holds ended by themselves in it.
    pub is_expiry: bool,
    /// A later version wrote it, and what it changed has no word here.
    pub is_foreign: bool,
}

/// The place of a stream id's last entry; 0: there is none.
pub fn place(id: &str) -> Cursor {
    id.split('-').next().and_then(|seq| seq.parse().ok()).unwrap_or(0)
}

fn wrong(why: &'static str) -> Unreadable {
    Unreadable { what: "entry of the feed", why: why.to_owned() }
}

/// Reads the answer of XRANGE.
pub fn read_all(value: Value) -> Result<Vec<Element>, Unreadable> {
    reply::list(value)?.into_iter().map(read).collect()
}

fn read(value: Value) -> Result<Element, Unreadable> {
    let mut parts = reply::list(value)?.into_iter();
    let id = reply::text(reply::next(&mut parts)?)?;
    let mut fields: FxHashMap<Vec<u8>, Vec<u8>> = FxHashMap::default();
    let mut pairs = reply::list(reply::next(&mut parts)?)?.into_iter();
    while let Some(name) = pairs.next() {
        fields.insert(reply::bytes(name)?, reply::bytes(reply::next(&mut pairs)?)?);
    }
    let mut take = |name: &str| fields.remove(name.as_bytes()).unwrap_or_default();
    let number = |bytes: Vec<u8>| std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<i64>().ok());
    let at = Moment(number(take("a")).ok_or_else(|| wrong("it has no instant"))?);
    let first = number(take("s")).ok_or_else(|| wrong("it has no place"))? as Cursor;
    let kind = take("k");
    let buckets = places(&take("f"))?;
    let mut levels = stored::read_row(&take("l"))?;
    let one = |changes: Vec<Change>| vec![Arc::new(Entry { seq: first, at, changes })];
    let mut element = Element {
        id,
        entries: Vec::new(),
        document: None,
        reservations: Vec::new(),
        is_expiry: kind == b"x",
        is_foreign: false,
    };
    match kind.as_slice() {
        b"c" => {
            let (pools, plan, codes, data) = (pools(&take("o"))?, take("p"), take("c"), take("d"));
            if levels.len() != buckets.len() {
                return Err(wrong("its buckets and their levels are not as many"));
            }
            element.reservations = records(&data)?;
            let mut next = element.reservations.iter().map(|s| Arc::clone(&s.reservation));
            let made = Made { buckets: &buckets, pools: &pools, plan: &plan, codes: &codes, levels, at, first };
            element.entries = made.entries(|| next.next().ok_or_else(|| wrong("it has too few reservations")))?;
            // What was removed is not there any more.
            let undone = |r: &Reservation| {
                element.entries.iter().flat_map(|e| &e.changes).any(|c| matches!(c, Change::Undone(u) if u.id == r.id))
            };
            let kept: Vec<bool> = element.reservations.iter().map(|s| !undone(&s.reservation)).collect();
            let mut kept = kept.into_iter();
            element.reservations.retain(|_| kept.next().unwrap_or(false));
        }
        b"x" => {
            let expired = records(&take("d"))?;
            let numbers: FxHashMap<&Place, usize> = buckets.iter().enumerate().map(|(i, b)| (b, i)).collect();
            for d in expired.iter().flat_map(|s| s.reservation.draws.iter()) {
                let level = numbers.get(&(d.resource.clone(), d.index)).and_then(|at| levels.get_mut(*at));
                give_to(
                    level.ok_or_else(|| wrong("it lacks a bucket"))?.get_or_insert_default(),
                    &d.pool,
                    Side::Held,
                    None,
                    d.units,
                );
            }
            let changes = expired.iter().map(|s| Change::Reservation(Arc::clone(&s.reservation)));
            element.entries = one(changes.chain(changed(&buckets, levels)).collect());
            element.reservations = expired;
        }
        b"n" | b"f" => {
            let mut changes = Vec::new();
            for line in lines(&take("r"))? {
                let (resource, index) = line.split_once('\t').ok_or_else(|| wrong("a resource has no first bucket"))?;
                let index = index.parse().map_err(|_| wrong("a resource's first bucket is no number"))?;
                changes.push(Change::Forgotten { resource: ResourceId::from(Arc::from(resource)), index });
            }
            if kind == b"n" {
                let version = number(take("v")).ok_or_else(|| wrong("it has no version"))?;
                let applied_at = Moment(number(take("t")).ok_or_else(|| wrong("it has no instant of application"))?);
                changes.push(Change::Network { version, document: Arc::from([]), applied_at });
                element.document = Some(String::from_utf8(take("u")).map_err(|_| wrong("its document has no name"))?);
            }
            changes.extend(changed(&buckets, levels));
            element.entries = one(changes);
        }
        // From another ledger, in the form in which exports have it.
        b"e" => element.entries = vec![Arc::new(record::read_entry(&take("d"))?)],
        b"r" => element.entries = one(changed(&buckets, levels).collect()),
        _ => element.is_foreign = true,
    }
    Ok(element)
}

fn changed(buckets: &[Place], levels: Vec<Option<BucketLevel>>) -> impl Iterator<Item = Change> {
    buckets.iter().zip(levels).map(|((resource, index), level)| Change::Bucket {
        resource: resource.clone(),
        index: *index,
        level: level.unwrap_or_default(),
    })
}

fn lines(text: &[u8]) -> Result<impl Iterator<Item = &str>, Unreadable> {
    let text = std::str::from_utf8(text).map_err(|_| wrong("a name is no text"))?;
    Ok(text.split('\n').filter(|line| !line.is_empty()))
}

fn places(text: &[u8]) -> Result<Vec<Place>, Unreadable> {
    lines(text)?
        .map(|name| {
            let (resource, index) = keys::bucket_of(name).ok_or_else(|| wrong("a bucket's name can't be read"))?;
            Ok((ResourceId::from(Arc::from(resource)), index))
        })
        .collect()
}

fn pools(text: &[u8]) -> Result<Vec<Pool>, Unreadable> {
    lines(text)?.map(|name| Pool::parse(name).ok_or_else(|| wrong("a pool's name can't be read"))).collect()
}

fn records(mut data: &[u8]) -> Result<Vec<stored::Stored>, Unreadable> {
    let mut records = Vec::new();
    while let Some((size, rest)) = data.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        let value = rest.get(..size).ok_or_else(|| wrong("a reservation is cut short"))?;
        records.push(stored::read_reservation(value)?);
        data = &rest[size..];
    }
    Ok(records)
}
