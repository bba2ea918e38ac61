//! What the log holds and the tables do not have yet: in memory and in order, each value with the number of the batch that wrote
//! it, so that readers see whole batches while the next one is put in.

use std::cmp::Reverse;
use std::ops::Bound;

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use crossbeam_skiplist::map::Entry;

use super::store::Space;

/// A value of a key as of a batch. The newest of a key comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The key.
    pub key: Bytes,
    /// The number of the batch that wrote it.
    since: Reverse<u64>,
}

impl Version {
    /// Comes before all versions of a key.
    fn before(key: &[u8]) -> Version {
        Version { key: Bytes::copy_from_slice(key), since: Reverse(u64::MAX) }
    }
}

/// A version's value; none deletes.
pub type Value = Option<Bytes>;

/// A write as it is kept: bytes of the frame of its batch in the log, so that a layer is a few large pieces of memory and not millions of
/// small ones, which take longer to let go of than to fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub space: Space,
    /// Which.
    pub key: Bytes,
    /// What; none deletes.
    pub value: Value,
}

/// See the module. One thread puts in; any may read meanwhile.
#[derive(Debug, Default)]
pub struct Layer {
    spaces: [SkipMap<Version, Value>; Space::ALL.len()],
}

impl Layer {
    /// Puts in one write of a batch, which readers see once they look as of the batch's number.
    pub fn put(&self, number: u64, Written { space, key, value }: Written) {
        // Of two writes of one key in one batch the later is what counts: `insert` replaces.
        self.spaces[space as usize].insert(Version { key, since: Reverse(number) }, value);
    }

    /// What the layer has of a key as of a batch: a value, or that it was deleted, or nothing.
    pub fn get(&self, space: Space, key: &[u8], as_of: u64) -> Option<Value> {
        let wanted = Version { key: Bytes::copy_from_slice(key), since: Reverse(as_of) };
        let found = self.spaces[space as usize].lower_bound(Bound::Included(&wanted))?;
        (found.key().key == key).then(|| found.value().clone())
    }

    /// The newest version of each key with `from <= key < to` as of a batch, ascending; deleted ones too.
    pub fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        as_of: u64,
    ) -> impl Iterator<Item = Entry<'_, Version, Value>> {
        newest(self.spaces[space as usize].range(Version::before(from)..Version::before(to)), as_of)
    }

    /// All of a space as of a batch, as [`Layer::range`] has it.
    pub fn all(&self, space: Space, as_of: u64) -> impl Iterator<Item = Entry<'_, Version, Value>> {
        newest(self.spaces[space as usize].iter(), as_of)
    }

    /// The last key with `from <= key < to` of which there is a version as of a batch, deleted or not.
    pub fn last(&self, space: Space, from: &[u8], to: &[u8], as_of: u64) -> Option<Bytes> {
        let range = self.spaces[space as usize].range(Version::before(from)..Version::before(to));
        range.rev().find(|entry| entry.key().since.0 <= as_of).map(|entry| entry.key().key.clone())
    }
}

fn newest<'a>(
    versions: impl Iterator<Item = Entry<'a, Version, Value>>,
    as_of: u64,
) -> impl Iterator<Item = Entry<'a, Version, Value>> {
    let mut last: Option<Entry<'a, Version, Value>> = None;
    versions.filter(move |entry| {
        let Version { key, since } = entry.key();
        if since.0 > as_of || last.as_ref().is_some_and(|last| last.key().key == *key) {
            return false;
        }
        last = Some(entry.clone());
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn put(layer: &Layer, number: u64, key: &str, value: Option<&str>) {
        layer.put(number, Written { space: Space::Meta, key: bytes(key), value: value.map(bytes) });
    }

    #[test]
    fn a_reader_sees_each_key_as_of_its_batch() {
        let layer = Layer::default();
        put(&layer, 1, "a", Some("a1"));
        put(&layer, 2, "ab", Some("ab2"));
        put(&layer, 3, "a", Some("a3"));
        put(&layer, 4, "ab", None);
        put(&layer, 5, "b", Some("b5"));
        let see = |as_of| -> Vec<(Bytes, Value)> {
            let entries = layer.range(Space::Meta, b"a", b"c", as_of);
            entries.map(|e| (e.key().key.clone(), e.value().clone())).collect()
        };
        let pair = |key: &str, value: Option<&str>| (bytes(key), value.map(bytes));
        assert_eq!(see(0), []);
        assert_eq!(see(2), [pair("a", Some("a1")), pair("ab", Some("ab2"))]);
        assert_eq!(see(3), [pair("a", Some("a3")), pair("ab", Some("ab2"))]);
        assert_eq!(see(9), [pair("a", Some("a3")), pair("ab", None), pair("b", Some("b5"))]);
        assert_eq!(layer.get(Space::Meta, b"a", 0), None);
        assert_eq!(layer.get(Space::Meta, b"a", 2), Some(Some(bytes("a1"))));
        assert_eq!(layer.get(Space::Meta, b"ab", 4), Some(None));
        assert_eq!(layer.get(Space::Held, b"a", 9), None);
        assert_eq!(layer.last(Space::Meta, b"a", b"b", 1), Some(bytes("a")));
        assert_eq!(layer.last(Space::Meta, b"a", b"c", 4), Some(bytes("ab")));
        assert_eq!(layer.last(Space::Meta, b"b", b"c", 4), None);
        assert_eq!(layer.range(Space::Meta, b"ab", b"b", 9).count(), 1);
        assert_eq!(layer.all(Space::Meta, 9).count(), 3);
    }

    #[test]
    fn of_two_writes_of_a_key_in_a_batch_the_later_counts() {
        let layer = Layer::default();
        put(&layer, 1, "k", Some("v"));
        put(&layer, 1, "k", None);
        assert_eq!(layer.get(Space::Meta, b"k", 1), Some(None));
    }
}
