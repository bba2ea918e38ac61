//! How the feed is followed: what others did, and what a call of this server did, taken in after what is known, or found not to go on
//! from it.

use std::sync::Arc;

use super::super::feed::{Change, Cursor, Entry};
use super::call::CallError;
use super::entries::{self, Element};
use super::link::LinkError;
use super::reading::ReadError;
use super::stored::Stored;
use crate::domain::id::ReservationId;

/// What the subscriber knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The newest entry.
    pub seq: Cursor,
    /// The newest element; empty: there was none.
    pub last: String,
}

/// Why the feed could not be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Astray {
    /// The store does not answer: what is known is old.
    Away(CallError),
    /// The feed does not go on from what is known, which may be wrong.
    Contradicted(String),
    /// It is to be read in full, though nothing is wrong.
    Behind,
}

impl From<LinkError> for Astray {
    fn from(e: LinkError) -> Self {
        Astray::Away(CallError::Refused(Arc::from(e.to_string())))
    }
}

impl From<ReadError> for Astray {
    fn from(e: ReadError) -> Self {
        match e {
            ReadError::Link(e) => Astray::from(e),
            ReadError::Unreadable(e) => Astray::Contradicted(e.to_string()),
        }
    }
}

/// A stretch of the feed that goes on from what was known.
#[derive(Debug)]
pub struct Followed {
    /// What is known with it.
    pub seen: Seen,
    /// Its entries; documents of networks are empty in them.
    pub entries: Vec<Arc<Entry>>,
    /// The name of the last document that was applied in it.
    pub document: Option<String>,
    /// Reservations that were removed in it.
    pub undone: Vec<ReservationId>,
    /// Reservations that others wrote in it.
    pub written: Vec<Stored>,
}

/// Takes in elements of the feed, of which the first is the one that is known (if any is), and then the entries that this server's own
/// call made. `last`: the newest element after that call; what was read apart from it may have come later, and is left.
///
/// # Errors
/// In what way they do not go on from what is known.
pub fn follow(seen: &Seen, elements: Vec<Element>, own: Vec<Arc<Entry>>, last: &str) -> Result<Followed, String> {
    if let Some(first) = elements.first()
        && !seen.last.is_empty()
        && first.id != seen.last
    {
        return Err(format!("the feed has no {} any more, it begins with {}", seen.last, first.id));
    }
    let (seen, entries) = (seen.clone(), Vec::new());
    let mut followed = Followed { seen, entries, document: None, undone: Vec::new(), written: Vec::new() };
    let Followed { seen, entries, document, undone, written } = &mut followed;
    let own_place = own.first().map(|entry| entry.seq);
    for element in elements {
        if entries::place(&element.id) > entries::place(last) {
            break;
        }
        if element.id == seen.last || own_place.is_some_and(|own| entries::place(&element.id) >= own) {
            continue;
        }
        if element.is_foreign {
            return Err("a later version of the service wrote what this one does not know".to_owned());
        }
        let first = element.entries.first().map(|e| e.seq);
        if first != Some(seen.seq + 1) {
            return Err(format!("entry {first:?} follows {}", seen.seq));
        }
        seen.seq = entries::place(&element.id);
        seen.last = element.id;
        for change in element.entries.iter().flat_map(|e| &e.changes) {
            if let Change::Undone(r) = change {
                undone.push(r.id.clone());
            }
        }
        written.extend(element.reservations);
        *document = element.document.or(document.take());
        entries.extend(element.entries);
    }
    if let Some(first) = own_place {
        if first != seen.seq + 1 {
            return Err(format!("entry {first} follows {}", seen.seq));
        }
        seen.seq = own.last().map_or(seen.seq, |entry| entry.seq);
        last.clone_into(&mut seen.last);
        entries.extend(own);
    }
    if seen.last != last {
        return Err(format!("the newest entry is {last}, but {} is known", seen.last));
    }
    Ok(followed)
}

/// An entry whose change of the network has its document.
pub fn with_document(entry: Arc<Entry>, document: &Arc<[u8]>) -> Arc<Entry> {
    if !entry.changes.iter().any(|change| matches!(change, Change::Network { .. })) {
        return entry;
    }
    let mut entry = Entry::clone(&entry);
    for change in &mut entry.changes {
        if let Change::Network { document: place, .. } = change {
            *place = Arc::clone(document);
        }
    }
    Arc::new(entry)
}
