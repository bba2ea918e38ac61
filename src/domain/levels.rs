//! What is known of one resource's buckets, in parts that copies share until they are changed.

use std::slice;
use std::sync::Arc;

use smallvec::SmallVec;

use super::bucket::BucketLevel;

/// Buckets of one part at most. A change copies one part and the list of parts, so that it costs the same whether a week of days is known
/// or a year of quarters of an hour.
const PART: usize = 128;

/// A bucket by its index, with what is known of it.
type Known = (i32, BucketLevel);
type Part = Arc<[Known]>;

/// What the ledger knows of one resource's buckets, by index, ascending. Buckets that are missing are as the standing
/// plan has them. A copy is cheap, however many there are.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    /// Ascending, none of them empty.
    parts: SmallVec<[Part; 1]>,
}

impl Levels {
    /// No bucket known.
    pub fn none() -> &'static Levels {
        static NONE: Levels = Levels { parts: SmallVec::new_const() };
        &NONE
    }

    /// From buckets in any order.
    pub fn new(mut buckets: Vec<Known>) -> Levels {
        buckets.sort_by_key(|(index, _)| *index);
        if buckets.len() <= PART {
            let part = (!buckets.is_empty()).then(|| Part::from(buckets));
            return Levels { parts: part.into_iter().collect() };
        }
        let mut parts = SmallVec::with_capacity(buckets.len().div_ceil(PART));
        let mut left = buckets.into_iter();
        while left.len() > 0 {
            parts.push(left.by_ref().take(PART).collect());
        }
        Levels { parts }
    }

    /// The part that has a bucket, if any has: the first that does not end before it.
    #[inline]
    fn part_of(&self, index: i32) -> usize {
        self.parts.partition_point(|part| part[part.len() - 1].0 < index)
    }

    /// One bucket, if anything is known of it.
    #[inline]
    pub fn get(&self, index: i32) -> Option<&BucketLevel> {
        let part = self.parts.get(self.part_of(index))?;
        find(part, index).ok().map(|at| &part[at].1)
    }

    /// One bucket, to be changed, if anything is known of it.
    pub fn get_mut(&mut self, index: i32) -> Option<&mut BucketLevel> {
        let part = self.part_of(index);
        let part = self.parts.get_mut(part)?;
        let at = find(part, index).ok()?;
        Some(&mut Arc::make_mut(part)[at].1)
    }

    /// All that are known, to be changed.
    pub fn all_mut(&mut self) -> impl Iterator<Item = (i32, &mut BucketLevel)> {
        self.parts.iter_mut().flat_map(|part| Arc::make_mut(part).iter_mut()).map(|(index, level)| (*index, level))
    }

    /// Replaces what is known of one bucket.
    pub fn put(&mut self, index: i32, level: BucketLevel) {
        let at = self.part_of(index);
        let Some(part) = self.parts.get_mut(at) else {
            // Behind all that are known.
            return self.insert(self.parts.len().saturating_sub(1), usize::MAX, (index, level));
        };
        match find(part, index) {
            Ok(place) => Arc::make_mut(part)[place].1 = level,
            Err(place) => self.insert(at, place, (index, level)),
        }
    }

    /// Puts a bucket into a part, or behind its last.
    fn insert(&mut self, at: usize, place: usize, known: Known) {
        let Some(part) = self.parts.get_mut(at) else {
            return self.parts.push(Arc::new([known]));
        };
        let (before, after) = part.split_at(place.min(part.len()));
        if part.len() < PART {
            *part = before.iter().cloned().chain([known]).chain(after.iter().cloned()).collect();
        } else if after.is_empty() {
            // Days are mostly added at the end: the part stays full.
            self.parts.insert(at + 1, Arc::new([known]));
        } else {
            let mut all = before.iter().cloned().chain([known]).chain(after.iter().cloned());
            let first = all.by_ref().take(PART / 2).collect();
            let second = all.collect();
            *part = first;
            self.parts.insert(at + 1, second);
        }
    }

    /// Forgets the buckets before this one.
    pub fn forget_before(&mut self, index: i32) {
        let gone = self.part_of(index);
        self.parts.drain(..gone);
        if let Some(part) = self.parts.first_mut() {
            let gone = part.partition_point(|(i, _)| *i < index);
            if gone > 0 {
                *part = part[gone..].into();
            }
        }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The first bucket that is known.
    pub fn first(&self) -> Option<i32> {
        self.parts.first().and_then(|part| part.first()).map(|(index, _)| *index)
    }

    /// The last bucket that is known.
    pub fn last(&self) -> Option<i32> {
        self.parts.last().and_then(|part| part.last()).map(|(index, _)| *index)
    }

    /// All that are known, ascending.
    pub fn all(&self) -> Walk<'_> {
        Walk { front: [].iter(), between: self.parts.iter(), back: [].iter() }
    }

    /// Those that are known from this index on, ascending.
    pub fn from(&self, index: i32) -> Walk<'_> {
        let at = self.part_of(index);
        let (front, between) = match self.parts.get(at) {
            Some(part) => (&part[part.partition_point(|(i, _)| *i < index)..], &self.parts[at + 1..]),
            None => (&[][..], &[][..]),
        };
        Walk { front: front.iter(), between: between.iter(), back: [].iter() }
    }

    /// Those that are known up to this index, ascending.
    pub fn up_to(&self, index: i32) -> Walk<'_> {
        let at = self.part_of(index);
        let back = self.parts.get(at).map_or(&[][..], |part| &part[..part.partition_point(|(i, _)| *i <= index)]);
        Walk { front: [].iter(), between: self.parts[..at].iter(), back: back.iter() }
    }

    /// The last bucket whose supply was set, if any was.
    pub fn last_set(&self) -> Option<i32> {
        self.all().rev().find(|(_, level)| level.set.is_some()).map(|(index, _)| *index)
    }
}

#[inline]
fn find(part: &[Known], index: i32) -> Result<usize, usize> {
    part.binary_search_by_key(&index, |(i, _)| *i)
}

/// However they are kept in parts.
impl PartialEq for Levels {
    fn eq(&self, other: &Levels) -> bool {
        self.all().eq(other.all())
    }
}

impl Eq for Levels {}

impl<'a> IntoIterator for &'a Levels {
    type Item = &'a Known;
    type IntoIter = Walk<'a>;

    fn into_iter(self) -> Walk<'a> {
        self.all()
    }
}

/// Buckets in their order, from either end.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    front: slice::Iter<'a, Known>,
    between: slice::Iter<'a, Part>,
    back: slice::Iter<'a, Known>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Known;

    #[inline]
    fn next(&mut self) -> Option<&'a Known> {
        loop {
            if let Some(known) = self.front.next() {
                return Some(known);
            }
            match self.between.next() {
                Some(part) => self.front = part.iter(),
                None => return self.back.next(),
            }
        }
    }
}

impl<'a> DoubleEndedIterator for Walk<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<&'a Known> {
        loop {
            if let Some(known) = self.back.next_back() {
                return Some(known);
            }
            match self.between.next_back() {
                Some(part) => self.back = part.iter(),
                None => return self.front.next_back(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn level(units: i64) -> BucketLevel {
        BucketLevel { set: Some(units), ..BucketLevel::default() }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Put(i32, i64),
        Change(i32, i64),
        Forget(i32),
        Append(i64),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let index = -300..300i32;
        let op = prop_oneof![
            60 => (index.clone(), 0..9i64).prop_map(|(at, units)| Op::Put(at, units)),
            10 => (index.clone(), 0..9i64).prop_map(|(at, units)| Op::Change(at, units)),
            1 => index.prop_map(Op::Forget),
            30 => (0..9i64).prop_map(Op::Append),
        ];
        proptest::collection::vec(op, 0..900)
    }

    proptest! {
        /// They are what an ordered map is, and a copy stays as it was.
        #[test]
        fn levels_are_an_ordered_map(begun in 0..400i32, ops in ops(), from in -320..700i32) {
            let mut model: BTreeMap<i32, BucketLevel> = (0..begun).map(|at| (at * 2, level(1))).collect();
            let mut levels = Levels::new(model.clone().into_iter().rev().collect());
            let (copy, as_it_was) = (levels.clone(), model.clone());
            for op in ops {
                match op {
                    Op::Put(at, units) => {
                        levels.put(at, level(units));
                        model.insert(at, level(units));
                    }
                    Op::Change(at, units) => {
                        let (ours, theirs) = (levels.get_mut(at), model.get_mut(&at));
                        prop_assert_eq!(ours.is_some(), theirs.is_some());
                        if let (Some(ours), Some(theirs)) = (ours, theirs) {
                            (ours.held, theirs.held) = (units, units);
                        }
                    }
                    Op::Forget(before) => {
                        levels.forget_before(before);
                        model = model.split_off(&before);
                    }
                    Op::Append(units) => {
                        let at = model.last_key_value().map_or(0, |(at, _)| at + 1);
                        levels.put(at, level(units));
                        model.insert(at, level(units));
                    }
                }
            }
            let known = |walk: Walk<'_>| walk.cloned().collect::<Vec<_>>();
            let of = |range: BTreeMap<i32, BucketLevel>| range.into_iter().collect::<Vec<_>>();
            prop_assert_eq!(known(levels.all()), of(model.clone()));
            prop_assert_eq!(known(copy.all()), of(as_it_was));
            prop_assert_eq!(known(levels.from(from)), of(model.clone().split_off(&from)));
            let up_to: BTreeMap<_, _> = model.range(..=from).map(|(at, known)| (*at, known.clone())).collect();
            prop_assert_eq!(known(levels.up_to(from)), of(up_to.clone()));
            let back: Vec<i32> = levels.up_to(from).rev().map(|(at, _)| *at).collect();
            prop_assert_eq!(back, up_to.into_keys().rev().collect::<Vec<_>>());
            prop_assert_eq!(levels.get(from), model.get(&from));
            prop_assert_eq!((levels.first(), levels.last()), (model.keys().next().copied(), model.keys().last().copied()));
            prop_assert_eq!(levels.is_empty(), model.is_empty());
            prop_assert!(levels.parts.iter().all(|part| (1..=PART).contains(&part.len())));
            prop_assert_eq!(&levels, &Levels::new(of(model)));
        }
    }

    /// From both ends at once, each is met once.
    #[test]
    fn a_walk_from_both_ends_meets_each_once() {
        let levels = Levels::new((0..500).map(|at| (at, level(1))).collect());
        let mut walk = levels.from(3);
        let mut met = Vec::new();
        while let Some((first, _)) = walk.next() {
            met.push(*first);
            met.extend(walk.next_back().map(|(last, _)| *last));
        }
        met.sort_unstable();
        assert_eq!(met, (3..500).collect::<Vec<_>>());
    }
}
