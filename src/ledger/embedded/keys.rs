//! The keys of the embedded store. Each begins with its network, so that a network is one range of each space; numbers are
//! written so that keys sort as they do.

use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::time::Moment;

use super::super::feed::Cursor;

/// The version of the layout, under which it is found in [`super::store::Space::Meta`].
pub const FORMAT: &[u8] = b"format";
/// The number of the last batch that the tables have whole, there as well.
pub const WRITTEN: &[u8] = b"written";
const NETWORK: &[u8] = b"network/";
const UNFINISHED: &[u8] = b"unfinished/";

/// Names have no control characters, so this ends one wherever more follows.
const END: u8 = 0;

/// What is remembered for a while after it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A reservation.
    Reservation,
    /// An adjustment of supply.
    Adjustment,
}

/// All keys of a network.
pub fn of(network: &NetworkId) -> Vec<u8> {
    let name = network.as_str().as_bytes();
    let mut key = Vec::with_capacity(name.len() + 40);
    key.extend_from_slice(name);
    key.push(END);
    key
}

/// The first key behind all those that begin with `prefix`.
pub fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            return key;
        }
    }
    unreachable!("a prefix is never all of 0xff: it begins with a name")
}

/// A network's head.
pub fn head(network: &NetworkId) -> Vec<u8> {
    [NETWORK, network.as_str().as_bytes()].concat()
}

/// All networks' heads.
pub fn heads() -> (Vec<u8>, Vec<u8>) {
    (NETWORK.to_vec(), behind(NETWORK))
}

/// The network whose head has this key.
pub fn network_of_head(key: &[u8]) -> Option<NetworkId> {
    let name = std::str::from_utf8(key.strip_prefix(NETWORK)?).ok()?;
    NetworkId::new(name).ok()
}

/// The mark of a network whose load has not come to its end.
pub fn unfinished(network: &NetworkId) -> Vec<u8> {
    [UNFINISHED, network.as_str().as_bytes()].concat()
}

/// All marks of [`unfinished`] networks.
pub fn all_unfinished() -> (Vec<u8>, Vec<u8>) {
    (UNFINISHED.to_vec(), behind(UNFINISHED))
}

/// The network that has this mark.
pub fn network_of_unfinished(key: &[u8]) -> Option<NetworkId> {
    let name = std::str::from_utf8(key.strip_prefix(UNFINISHED)?).ok()?;
    NetworkId::new(name).ok()
}

/// A resource's buckets.
pub fn resource(network: &NetworkId, resource: &ResourceId) -> Vec<u8> {
    let mut key = of(network);
    key.extend_from_slice(resource.as_str().as_bytes());
    key.push(END);
    key
}

/// A bucket.
pub fn bucket(network: &NetworkId, r: &ResourceId, index: i32) -> Vec<u8> {
    let mut key = resource(network, r);
    // The sign turned, so that those before 1970 come first.
    key.extend_from_slice(&(index as u32 ^ 1 << 31).to_be_bytes());
    key
}

/// The resource's name and the index of a bucket's key without its network.
pub fn bucket_of(rest: &[u8]) -> Option<(&str, i32)> {
    let (name, index) = rest.split_at_checked(rest.len().checked_sub(4)?)?;
    let name = std::str::from_utf8(name.strip_suffix(&[END])?).ok()?;
    let index = u32::from_be_bytes(index.try_into().ok()?) ^ 1 << 31;
    Some((name, index as i32))
}

/// A reservation, an adjustment, or a mark for one.
pub fn named(network: &NetworkId, id: &ReservationId) -> Vec<u8> {
    let mut key = of(network);
    key.extend_from_slice(id.as_str().as_bytes());
    key
}

/// A refused request.
pub fn refused(network: &NetworkId, at: Moment, request: u64) -> Vec<u8> {
    let mut key = ended_before(network, at);
    key.extend_from_slice(&request.to_be_bytes());
    key
}

/// The parts of a key of [`refused`] without its network.
pub fn refused_of(rest: &[u8]) -> Option<(Moment, u64)> {
    let (at, request) = rest.split_first_chunk::<8>()?;
    Some((Moment((u64::from_be_bytes(*at) ^ 1 << 63) as i64), u64::from_be_bytes(request.try_into().ok()?)))
}

/// An offer or a tally.
pub fn text(network: &NetworkId, name: &str) -> Vec<u8> {
    let mut key = of(network);
    key.extend_from_slice(name.as_bytes());
    key
}

/// The name in a key of [`named`] without its network.
pub fn name_of(rest: &[u8]) -> Option<ReservationId> {
    std::str::from_utf8(rest).ok().map(|name| ReservationId::from(std::sync::Arc::from(name)))
}

/// What ended at an instant.
pub fn ended(network: &NetworkId, at: Moment, what: Ended, id: &ReservationId) -> Vec<u8> {
    let mut key = ended_before(network, at);
    key.push(match what {
        Ended::Reservation => 0,
        Ended::Adjustment => 1,
    });
    key.extend_from_slice(id.as_str().as_bytes());
    key
}

/// Behind all that ended before an instant.
pub fn ended_before(network: &NetworkId, at: Moment) -> Vec<u8> {
    let mut key = of(network);
    key.extend_from_slice(&(at.0 as u64 ^ 1 << 63).to_be_bytes());
    key
}

/// The parts of a key of [`ended`] without its network.
pub fn ended_of(rest: &[u8]) -> Option<(Moment, Ended, ReservationId)> {
    let (at, rest) = rest.split_at_checked(8)?;
    let at = u64::from_be_bytes(at.try_into().ok()?) ^ 1 << 63;
    let (what, name) = rest.split_first()?;
    let what = match what {
        0 => Ended::Reservation,
        1 => Ended::Adjustment,
        _ => return None,
    };
    Some((Moment(at as i64), what, name_of(name)?))
}

/// An entry of the feed.
pub fn entry(network: &NetworkId, seq: Cursor) -> Vec<u8> {
    let mut key = of(network);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// The place in a key of [`entry`] without its network.
pub fn entry_of(rest: &[u8]) -> Option<Cursor> {
    Some(Cursor::from_be_bytes(rest.try_into().ok()?))
}

/// A part of a network's document.
pub fn part(network: &NetworkId, version: i64, part: u32) -> Vec<u8> {
    let mut key = of(network);
    key.extend_from_slice(&version.to_be_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_parts_do_and_are_read_back() {
        let n = NetworkId::default_network();
        let r = ResourceId::new("oven").expect("a name");
        let prefix = of(&n);
        let mut last = Vec::new();
        for index in [i32::MIN, -7, -1, 0, 1, 20_000, i32::MAX] {
            let key = bucket(&n, &r, index);
            assert!(key > last);
            assert_eq!(bucket_of(&key[prefix.len()..]), Some(("oven", index)));
            last = key;
        }
        let id = ReservationId::new("a/b").expect("a name");
        let mut last = Vec::new();
        for at in [i64::MIN, -1, 0, 1, i64::MAX] {
            let key = ended(&n, Moment(at), Ended::Adjustment, &id);
            assert!(key > last);
            assert_eq!(ended_of(&key[prefix.len()..]), Some((Moment(at), Ended::Adjustment, id.clone())));
            last = key;
        }
    }

    #[test]
    fn no_network_reaches_into_another() {
        let (a, ab) = (NetworkId::new("a").expect("a name"), NetworkId::new("ab").expect("a name"));
        let id = ReservationId::new("x").expect("a name");
        let (from, to) = (of(&a), behind(&of(&a)));
        assert!((from.clone()..to.clone()).contains(&named(&a, &id)));
        assert!(!(from..to).contains(&named(&ab, &id)));
        assert_eq!(network_of_head(&head(&ab)), Some(ab));
    }
}
