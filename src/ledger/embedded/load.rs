//! Reads the store: what a start needs, and what readers ask for.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::bucket::BucketLevel;
use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::reservation::Reservation;

use super::super::ReservationFilter;
use super::super::feed::{Cursor, Entry};
use super::super::record::{self, NetworkHead, Unreadable};
use super::super::rules::{Adjustment, State};
use super::super::tally::Tallies;
use super::OpenError;
use super::keys;
use super::steward;
use super::store::{Batch, Space, Store, StoreError, Write};

/// The layout that this version writes: 2 has offers, tallies, shares of buckets and the list of those at risk beside what 1 had, 3 a
/// log beside its tables. A store with a higher number is not opened.
pub const LAYOUT: u32 = 3;

/// Reservations that one page looks at, at most, so that a filter that nothing passes does not read for minutes.
const LOOKED_AT: usize = 50_000;

/// Checks the layout's version, or writes it into a store that is new or older.
fn check_layout(store: &dyn Store) -> Result<(), OpenError> {
    match check_known(store.get(Space::Meta, keys::FORMAT)?)? {
        Some(LAYOUT) => Ok(()),
        // What is there is read as it is; what is written from now on is beyond who only knows the older layout.
        _ => Ok(store.commit(Batch(layout().into()))?),
    }
}

/// The stored layout's version, if one is stored; an error if it is not known here.
pub fn check_known(stored: Option<Vec<u8>>) -> Result<Option<u32>, OpenError> {
    let Some(bytes) = stored else { return Ok(None) };
    match <[u8; 4]>::try_from(&bytes[..]).map(u32::from_be_bytes) {
        Ok(found) if found > LAYOUT => Err(OpenError::Newer { found, known: LAYOUT }),
        Ok(found) => Ok(Some(found)),
        Err(_) => Err(OpenError::Damaged(format!("its layout version has {} bytes, not 4", bytes.len()))),
    }
}

/// Says that a store has this version's layout.
pub fn layout() -> [Write; 1] {
    let value = Some(LAYOUT.to_be_bytes().to_vec());
    [Write { space: Space::Meta, key: keys::FORMAT.to_vec(), value }]
}

/// Every network's state and the oldest entry of its feed. `default` is always there.
pub fn networks(store: &dyn Store) -> Result<BTreeMap<NetworkId, (State, Cursor)>, OpenError> {
    check_layout(store)?;
    steward::discard_unfinished(store)?;
    names(store)?.into_iter().map(|id| network(store, &id).map(|loaded| (id, loaded))).collect()
}

/// The networks that there are.
pub fn names(store: &dyn Store) -> Result<Vec<NetworkId>, StoreError> {
    let (from, to) = keys::heads();
    let mut names = vec![NetworkId::default_network()];
    store.scan(Space::Meta, &from, &to, &mut |key, _| {
        names.extend(keys::network_of_head(key));
        ControlFlow::Continue(())
    })?;
    names.sort();
    names.dedup();
    Ok(names)
}

/// One network's state, without reservations that are not held, and the oldest entry of its feed.
pub fn network(store: &dyn Store, network: &NetworkId) -> Result<(State, Cursor), OpenError> {
    let NetworkHead { version, parts, applied_at } = match store.get(Space::Meta, &keys::head(network))? {
        Some(bytes) => record::read_head(&bytes)?,
        None => NetworkHead::default(),
    };
    let mut document = Vec::new();
    for part in 0..parts {
        match store.get(Space::Documents, &keys::part(network, version, part))? {
            Some(bytes) => document.extend(bytes),
            None => {
                let of = format!("part {part} of {parts} of the document of network {network}");
                return Err(OpenError::Damaged(format!("{of} is missing")));
            }
        }
    }
    let mut state = State::restored(newest(store, network)?, version, document.into(), applied_at);
    levels(store, network, &mut state)?;

    let prefix = keys::of(network);
    let mut held = Vec::new();
    store.scan(Space::Held, &prefix, &keys::behind(&prefix), &mut |key, _| {
        held.extend(keys::name_of(&key[prefix.len()..]));
        ControlFlow::Continue(())
    })?;
    for id in held {
        match store.get(Space::Reservations, &keys::named(network, &id))? {
            Some(bytes) => state.load(Arc::new(record::read_reservation(&bytes)?)),
            None => return Err(OpenError::Damaged(format!("held reservation {id} of network {network} is missing"))),
        }
    }

    for offer in all(store, Space::Offers, network, record::read_offer)? {
        state.put_offer(Arc::new(offer));
    }
    for (name, number) in tallies(store, network, "")? {
        state.tally(&name, number);
    }

    store.scan(Space::Refused, &prefix, &keys::behind(&prefix), &mut |key, _| {
        if let Some((at, request)) = keys::refused_of(&key[prefix.len()..]) {
            state.load_refused(at, request);
        }
        ControlFlow::Continue(())
    })?;

    let mut oldest = state.seq();
    store.scan(Space::Entries, &prefix, &keys::behind(&prefix), &mut |key, _| {
        oldest = keys::entry_of(&key[prefix.len()..]).unwrap_or(oldest);
        ControlFlow::Break(())
    })?;
    Ok((state, oldest))
}

fn levels(store: &dyn Store, network: &NetworkId, state: &mut State) -> Result<(), OpenError> {
    let prefix = keys::of(network);
    let mut resource: Option<ResourceId> = None;
    let mut buckets: Vec<(i32, BucketLevel)> = Vec::new();
    let mut fault = None;
    store.scan(Space::Buckets, &prefix, &keys::behind(&prefix), &mut |key, value| {
        let read = keys::bucket_of(&key[prefix.len()..])
            .ok_or_else(|| Unreadable { what: "bucket", why: "its key has another form".to_owned() })
            .and_then(|(name, index)| Ok((name, index, record::read_bucket(value)?)));
        let (name, index, level) = match read {
            Ok(read) => read,
            Err(e) => {
                fault = Some(e);
                return ControlFlow::Break(());
            }
        };
        if resource.as_ref().is_none_or(|r| r.as_str() != name)
            && let Some(done) = resource.replace(ResourceId::from(Arc::from(name)))
        {
            state.load_levels(done, std::mem::take(&mut buckets));
        }
        buckets.push((index, level));
        ControlFlow::Continue(())
    })?;
    if let Some(done) = resource {
        state.load_levels(done, buckets);
    }
    fault.map_or(Ok(()), |e| Err(e.into()))
}

/// The cursor of the newest entry; 0: there is none.
pub fn newest(store: &dyn Store, network: &NetworkId) -> Result<Cursor, StoreError> {
    let prefix = keys::of(network);
    let last = store.last(Space::Entries, &prefix, &keys::behind(&prefix))?;
    Ok(last.and_then(|key| keys::entry_of(&key[prefix.len()..])).unwrap_or(0))
}

/// Tallies whose names begin with `prefix`, by their names.
pub fn tallies(store: &dyn Store, network: &NetworkId, prefix: &str) -> Result<Tallies, OpenError> {
    let (of, from) = (keys::of(network), keys::text(network, prefix));
    let (mut found, mut fault) = (Vec::new(), None);
    store.scan(Space::Tallies, &from, &keys::behind(&from), &mut |key, value| {
        let name = std::str::from_utf8(&key[of.len()..]).ok();
        match name.zip(<[u8; 8]>::try_from(value).ok()) {
            Some((name, number)) => {
                found.push((Arc::from(name), i64::from_be_bytes(number)));
                ControlFlow::Continue(())
            }
            None => {
                fault = Some(Unreadable { what: "tally", why: "its key or number has another form".to_owned() });
                ControlFlow::Break(())
            }
        }
    })?;
    fault.map_or(Ok(found), |e| Err(e.into()))
}

/// All reservations of a network, by their ids.
pub fn reservations(store: &dyn Store, network: &NetworkId) -> Result<Vec<Reservation>, OpenError> {
    all(store, Space::Reservations, network, record::read_reservation)
}

/// All adjustments of a network, by their request ids.
pub fn adjustments(store: &dyn Store, network: &NetworkId) -> Result<Vec<Adjustment>, OpenError> {
    all(store, Space::Adjustments, network, record::read_adjustment)
}

fn all<T>(
    store: &dyn Store,
    space: Space,
    network: &NetworkId,
    read: impl Fn(&[u8]) -> Result<T, Unreadable>,
) -> Result<Vec<T>, OpenError> {
    let prefix = keys::of(network);
    let (mut all, mut fault) = (Vec::new(), None);
    store.scan(space, &prefix, &keys::behind(&prefix), &mut |_, value| match read(value) {
        Ok(one) => {
            all.push(one);
            ControlFlow::Continue(())
        }
        Err(e) => {
            fault = Some(e);
            ControlFlow::Break(())
        }
    })?;
    fault.map_or(Ok(all), |e| Err(e.into()))
}

/// One reservation.
pub fn reservation(
    store: &dyn Store,
    network: &NetworkId,
    id: &ReservationId,
) -> Result<Option<Reservation>, OpenError> {
    match store.get(Space::Reservations, &keys::named(network, id))? {
        Some(bytes) => Ok(Some(record::read_reservation(&bytes)?)),
        None => Ok(None),
    }
}

/// A page of reservations, and where to go on. `shown` makes of a stored reservation what is to be seen of it.
pub fn page(
    store: &dyn Store,
    network: &NetworkId,
    filter: &ReservationFilter,
    after: Option<&ReservationId>,
    limit: usize,
    shown: impl Fn(Reservation) -> Reservation,
) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), OpenError> {
    let prefix = keys::of(network);
    let from = after.map_or(prefix.clone(), |id| {
        let mut key = keys::named(network, id);
        key.push(0);
        key
    });
    if filter.at_risk {
        return page_at_risk(store, network, filter, &from, limit, shown);
    }
    let (mut page, mut last, mut looked, mut more, mut fault) = (Vec::new(), None, 0, false, None);
    store.scan(Space::Reservations, &from, &keys::behind(&prefix), &mut |_, value| {
        if page.len() == limit || looked == LOOKED_AT {
            more = true;
            return ControlFlow::Break(());
        }
        looked += 1;
        match record::read_reservation(value) {
            Ok(r) => {
                last = Some(r.id.clone());
                let r = shown(r);
                if filter.matches(&r) {
                    page.push(Arc::new(r));
                }
                ControlFlow::Continue(())
            }
            Err(e) => {
                fault = Some(e);
                ControlFlow::Break(())
            }
        }
    })?;
    match fault {
        Some(e) => Err(e.into()),
        None => Ok((page, last.filter(|_| more))),
    }
}

/// As [`page`], by the list of those at risk.
fn page_at_risk(
    store: &dyn Store,
    network: &NetworkId,
    filter: &ReservationFilter,
    from: &[u8],
    limit: usize,
    shown: impl Fn(Reservation) -> Reservation,
) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), OpenError> {
    let prefix = keys::of(network);
    let mut ids = Vec::new();
    store.scan(Space::AtRisk, from, &keys::behind(&prefix), &mut |key, _| {
        ids.extend(keys::name_of(&key[prefix.len()..]));
        if ids.len() <= LOOKED_AT { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let (mut page, mut last) = (Vec::new(), None);
    for (looked, id) in ids.into_iter().enumerate() {
        if page.len() == limit || looked == LOOKED_AT {
            return Ok((page, last));
        }
        page.extend(reservation(store, network, &id)?.map(&shown).filter(|r| filter.matches(r)).map(Arc::new));
        last = Some(id);
    }
    Ok((page, None))
}

/// Entries after a cursor.
pub fn entries(
    store: &dyn Store,
    network: &NetworkId,
    after: Cursor,
    limit: usize,
) -> Result<Vec<Arc<Entry>>, OpenError> {
    let (from, to) = (keys::entry(network, after.saturating_add(1)), keys::behind(&keys::of(network)));
    let mut found = Vec::new();
    if limit > 0 && after < Cursor::MAX {
        store.scan(Space::Entries, &from, &to, &mut |_, value| {
            found.push(record::read_entry(value));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
    }
    Ok(found.into_iter().map(|e| e.map(Arc::new)).collect::<Result<_, _>>()?)
}
