//! The feed as it lies in its stream: an element is a call of a script that changed something, and has one entry or several.

use std::sync::Arc;

use redis::Value;
use rustc_hash::FxHashMap;

use super::super::feed::{Change, Cursor, Entry};
use super::super::record::{self, Unreadable};
use super::super::state::give_to;
use super::super::tally::{self, Tallies};
use super::super::transition::Side;
use super::batch::Place;
use super::made::{Made, Written};
use super::reply;
use super::{keys, stored};
use crate::domain::bucket::BucketLevel;
use crate::domain::id::ResourceId;
use crate::domain::offer::ApprovedOffer;
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
    /// What was counted in it; a name may come several times.
    pub tallies: Tallies,
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
        tallies: Vec::new(),
        reservations: Vec::new(),
        is_expiry: kind == b"x",
        is_foreign: false,
    };
    match kind.as_slice() {
        b"c" => {
            let (names, plan, codes, data) = (names(&take("o"))?, take("p"), take("c"), take("d"));
            if levels.len() != buckets.len() {
                return Err(wrong("its buckets and their levels are not as many"));
            }
            let mut written = Data { values: values(&data)?.into_iter(), reservations: Vec::new() };
            let made = Made { buckets: &buckets, names: &names, plan: &plan, codes: &codes, levels, at, first };
            match made.entries(&mut written)? {
                Some(came) => (element.entries, element.tallies) = (came.entries, came.tallies),
                None => element.is_foreign = true,
            }
            element.reservations = written.reservations;
            // What was removed is not there any more.
            let undone = |r: &Reservation| {
                element.entries.iter().flat_map(|e| &e.changes).any(|c| matches!(c, Change::Undone(u) if u.id == r.id))
            };
            let kept: Vec<bool> = element.reservations.iter().map(|s| !undone(&s.reservation)).collect();
            let mut kept = kept.into_iter();
            element.reservations.retain(|_| kept.next().unwrap_or(false));
        }
        b"x" => {
            let data = take("d");
            let expired: Vec<_> =
                values(&data)?.into_iter().map(stored::read_reservation).collect::<Result<_, Unreadable>>()?;
            let numbers: FxHashMap<&Place, usize> = buckets.iter().enumerate().map(|(i, b)| (b, i)).collect();
            for r in expired.iter().map(|s| &s.reservation) {
                for d in r.draws.iter() {
                    let level = numbers.get(&(d.resource.clone(), d.index)).and_then(|at| levels.get_mut(*at));
                    let level = level.ok_or_else(|| wrong("it lacks a bucket"))?.get_or_insert_default();
                    give_to(level, &d.pool, Side::Held, r.ask.channel.as_ref(), d.units);
                }
                element.tallies.extend(tally::when_expired(r));
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

fn names(text: &[u8]) -> Result<Vec<Arc<str>>, Unreadable> {
    Ok(lines(text)?.map(Arc::from).collect())
}

/// Stored values, each after its length.
fn values(mut data: &[u8]) -> Result<Vec<&[u8]>, Unreadable> {
    let mut values = Vec::new();
    while let Some((size, rest)) = data.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        values.push(rest.get(..size).ok_or_else(|| wrong("what it wrote is cut short"))?);
        data = &rest[size..];
    }
    Ok(values)
}

/// What a batch wrote, read as its steps ask for it.
struct Data<'a> {
    values: std::vec::IntoIter<&'a [u8]>,
    reservations: Vec<stored::Stored>,
}

impl Written for Data<'_> {
    fn reservation(&mut self) -> Result<Arc<Reservation>, Unreadable> {
        let stored = stored::read_reservation(self.values.next().ok_or_else(|| wrong("it has too few reservations"))?)?;
        let reservation = Arc::clone(&stored.reservation);
        self.reservations.push(stored);
        Ok(reservation)
    }

    fn offer(&mut self) -> Result<Arc<ApprovedOffer>, Unreadable> {
        Ok(stored::read_offer(self.values.next().ok_or_else(|| wrong("it has too few offers"))?)?.0)
    }
}
