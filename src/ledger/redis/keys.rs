//! The names of everything in Redis. All keys of one network have one hash tag, so that they live on one primary of a Cluster and
//! a script may touch them together (rule 28).

use crate::domain::id::{NetworkId, ResourceId};

/// The set of the networks' names. It has a place of its own in a Cluster.
pub const NETWORKS: &str = "{surety}:networks";

/// The layout of a network's keys that this version writes, as `lua/open.lua` has it.
pub const LAYOUT: &str = "2";

/// How many keys every script has.
pub const SHARED: usize = 11;

/// The keys of one network, and how its buckets are named in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// A hash: layout, seq, last, now, version, digest, document, applied, and a slot a server for its last calls.
    pub head: String,
    /// A hash: bucket to level.
    pub buckets: String,
    /// A hash: request id to reservation.
    pub reservations: String,
    /// A sorted set of all reservations' ids, by name.
    pub ids: String,
    /// A sorted set by instant: when a hold ends, and when a request id is forgotten. Members begin with `r` for a reservation,
    /// `a` for an adjustment.
    pub when: String,
    /// The change feed, a stream.
    pub feed: String,
    /// A hash: request id to adjustment of supply, or allocation.
    pub adjustments: String,
    /// A hash: id to offer.
    pub offers: String,
    /// A hash: name to number.
    pub tallies: String,
    /// A sorted set of the ids of reservations at risk, by name.
    pub risk: String,
    /// A sorted set by instant: digests of refused requests that were counted.
    pub refused: String,
    prefix: String,
}

impl Keys {
    /// The keys of a network.
    pub fn of(network: &NetworkId) -> Keys {
        Keys::at(format!("{{surety:{network}}}"))
    }

    /// The same keys under names of their own, for a network that is being loaded.
    pub fn loading(&self, name: &str) -> Keys {
        Keys::at(format!("{}:loading:{name}", self.prefix))
    }

    fn at(prefix: String) -> Keys {
        let key = |name: &str| format!("{prefix}:{name}");
        Keys {
            head: key("head"),
            buckets: key("buckets"),
            reservations: key("reservations"),
            ids: key("ids"),
            when: key("when"),
            feed: key("feed"),
            adjustments: key("adjustments"),
            offers: key("offers"),
            tallies: key("tallies"),
            risk: key("risk"),
            refused: key("refused"),
            prefix,
        }
    }

    /// The key of a document of this name.
    pub fn document(&self, name: &str) -> String {
        format!("{}:document:{name}", self.prefix)
    }

    /// The keys that every script has, in their order.
    pub fn of_scripts(&self) -> [&str; SHARED] {
        let Keys {
            head,
            buckets,
            reservations,
            ids,
            when,
            feed,
            adjustments,
            offers,
            tallies,
            risk,
            refused,
            prefix: _,
        } = self;
        [head, buckets, reservations, ids, when, feed, adjustments, offers, tallies, risk, refused]
    }
}

/// A bucket's name in its hash.
pub fn bucket(resource: &ResourceId, index: i32) -> String {
    let mut number = itoa::Buffer::new();
    let (resource, index) = (resource.as_str(), number.format(index));
    let mut name = String::with_capacity(resource.len() + 1 + index.len());
    name.push_str(resource);
    name.push(':');
    name.push_str(index);
    name
}

/// The resource and the index of a bucket's name.
pub fn bucket_of(name: &str) -> Option<(&str, i32)> {
    let (resource, index) = name.rsplit_once(':')?;
    Some((resource, index.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_28_networks_share_no_key_whatever_they_are_called() {
        let names = ["default", "a", "a}", "a}:head", "}", "a}:document:1"];
        let mut all = std::collections::BTreeSet::new();
        for name in names {
            let keys = Keys::of(&NetworkId::new(name).unwrap());
            for key in keys.of_scripts() {
                assert!(all.insert(key.to_owned()), "{key}");
            }
            assert!(all.insert(keys.document("1")), "{name}");
        }
    }

    #[test]
    fn buckets_are_named_and_read_back() {
        for (resource, index) in [("pick", 20_423), ("a:b", -7), ("x:", 0)] {
            let name = bucket(&ResourceId::new(resource).unwrap(), index);
            assert_eq!(bucket_of(&name), Some((resource, index)));
        }
        assert_eq!(bucket_of("nothing"), None);
        assert_eq!(bucket_of("a:b"), None);
    }
}
