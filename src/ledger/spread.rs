//! A hash table that grows in small steps.

use std::hash::{BuildHasher, Hash};

use rustc_hash::{FxBuildHasher, FxHashMap};

/// Tables that one is spread over: a power of two.
const TABLES: usize = 64;

/// A hash table in pieces. A table that is full moves all it has into one of twice the size; with a few hundred thousand reservations
/// that takes a network's only writer some ten milliseconds, in which all callers wait. Pieces do the same work each at a time of
/// its own.
#[derive(Clone, Debug)]
pub struct Spread<K, V>(Box<[FxHashMap<K, V>]>);

impl<K, V> Default for Spread<K, V> {
    fn default() -> Spread<K, V> {
        Spread((0..TABLES).map(|_| FxHashMap::default()).collect())
    }
}

impl<K: Hash + Eq, V> Spread<K, V> {
    /// Which piece has a key. Neither the highest bits nor the lowest: each piece tells its own keys apart by those.
    fn piece(key: &K) -> usize {
        (FxBuildHasher.hash_one(key) >> 40) as usize % TABLES
    }

    /// What is there under the key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0[Self::piece(key)].get(key)
    }

    /// What is there under the key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0[Self::piece(key)].get_mut(key)
    }

    /// Puts it there, in place of what was.
    pub fn insert(&mut self, key: K, value: V) {
        self.0[Self::piece(&key)].insert(key, value);
    }

    /// Takes away what is there.
    pub fn remove(&mut self, key: &K) {
        self.0[Self::piece(key)].remove(key);
    }

    /// All of them, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().flat_map(FxHashMap::values)
    }

    /// Keeps what is to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.iter_mut().for_each(|piece| piece.retain(&mut keep));
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    /// Keys that are alike (numbers written out, as ids are) come into all pieces, so that none grows as one table would.
    #[test]
    fn keys_are_spread_over_all_pieces() {
        let mut spread = Spread::default();
        (0..64_000).for_each(|i| spread.insert(format!("order-{i}"), i));
        let sizes: Vec<usize> = spread.0.iter().map(|piece| piece.len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 64_000);
        assert!(sizes.iter().all(|size| (700..1_400).contains(size)), "{sizes:?}");
        assert_eq!(spread.get(&"order-63999".to_owned()), Some(&63_999));
    }
}
