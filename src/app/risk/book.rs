//! What the risk keeper knows of one network: the buckets from which more is drawn than there is, and who draws on their resources.
//! Pure: it is told, and says who is at risk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::domain::bucket::BucketLevel;
use crate::domain::draw::Draw;
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::network::{Network, ResourceIdx};
use crate::domain::reservation::Reservation;
use crate::domain::risk::{NO_PRIORITY, Protection, at_risk};
use crate::domain::time::Moment;
use crate::ledger::feed::{Change, Entry};
use crate::view::BucketAt;

/// A live reservation that draws on a resource that is looked at, or carries a mark.
struct Known {
    version: i64,
    at_risk: bool,
    /// None: it can't be put at risk any more.
    protection: Option<Protection>,
    /// Units by bucket, each once, of the resources that are looked at.
    claims: Vec<(BucketAt, i64)>,
}

/// A mark that is to be set or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose.
    pub id: ReservationId,
    /// The version that it was worked out for.
    pub version: i64,
    /// Whether it is at risk.
    pub at_risk: bool,
}

/// What an entry of the feed means beyond what it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Nothing.
    On,
    /// The network is another one: all is to be read anew.
    OtherNetwork,
}

/// See the module.
pub struct Book {
    network: Arc<Network>,
    /// Resources whose live reservations are all known, or about to be read.
    tracked: BTreeSet<ResourceIdx>,
    /// Those of them that were not read yet.
    unread: BTreeSet<ResourceIdx>,
    /// Buckets from which more is drawn than there is, with the units that are not covered.
    over: BTreeMap<BucketAt, i64>,
    known: FxHashMap<ReservationId, Known>,
    /// Who draws on a bucket, least protected first.
    claims: FxHashMap<BucketAt, BTreeMap<Protection, i64>>,
    marked: usize,
}

impl Book {
    /// A book in which no reservation is known yet. `over`: the buckets that are over-committed, with the units that are not covered.
    pub fn new(network: Arc<Network>, over: Vec<(BucketAt, i64)>) -> Book {
        let tracked: BTreeSet<ResourceIdx> = over.iter().map(|((resource, _), _)| *resource).collect();
        Book {
            network,
            unread: tracked.clone(),
            tracked,
            over: over.into_iter().collect(),
            known: FxHashMap::default(),
            claims: FxHashMap::default(),
            marked: 0,
        }
    }

    /// Takes the resources whose live reservations are to be read, which counts as done from then on.
    pub fn take_unread(&mut self) -> Vec<ResourceId> {
        std::mem::take(&mut self.unread).into_iter().map(|at| self.network.resource(at).id.clone()).collect()
    }

    /// Whether there are resources whose live reservations are to be read.
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Whether nothing is over-committed, and nothing marked.
    pub fn is_quiet(&self) -> bool {
        self.over.is_empty() && self.marked == 0
    }

    /// Reservations that carry a mark.
    pub fn marked(&self) -> usize {
        self.marked
    }

    /// Notes a reservation as it is, unless a later version of it is known.
    pub fn put(&mut self, r: &Reservation) {
        if self.known.get(&r.id).is_some_and(|known| known.version > r.version) {
            return;
        }
        self.forget(&r.id);
        if !r.state.is_live() {
            return;
        }
        let claims = self.claims_of(&r.draws);
        if claims.is_empty() && !r.at_risk {
            return;
        }
        let channel = r.ask.channel.as_deref().and_then(|name| self.network.find_channel(name));
        let priority = channel.map_or(NO_PRIORITY, |at| self.network.channel(at).priority);
        let protection = Protection::of(r, priority);
        if let Some(protection) = &protection {
            for (bucket, units) in &claims {
                self.claims.entry(*bucket).or_default().insert(protection.clone(), *units);
            }
        }
        self.marked += usize::from(r.at_risk);
        let known = Known { version: r.version, at_risk: r.at_risk, protection, claims };
        self.known.insert(r.id.clone(), known);
    }

    fn forget(&mut self, id: &ReservationId) {
        let Some(known) = self.known.remove(id) else { return };
        if let Some(protection) = &known.protection {
            for (bucket, _) in &known.claims {
                if let Some(claims) = self.claims.get_mut(bucket) {
                    claims.remove(protection);
                    if claims.is_empty() {
                        self.claims.remove(bucket);
                    }
                }
            }
        }
        self.marked -= usize::from(known.at_risk);
    }

    /// Units by bucket of the resources that are looked at.
    fn claims_of(&self, draws: &[Draw]) -> Vec<(BucketAt, i64)> {
        let mut claims: Vec<(BucketAt, i64)> = Vec::new();
        for draw in draws {
            let found = self.network.find_resource(draw.resource.as_str());
            let Some(at) = found.filter(|at| self.tracked.contains(at)) else { continue };
            match claims.iter_mut().find(|(bucket, _)| *bucket == (at, draw.index)) {
                Some((_, units)) => *units += draw.units,
                None => claims.push(((at, draw.index), draw.units)),
            }
        }
        claims
    }

    /// Notes what an entry of the feed changed.
    pub fn apply(&mut self, entry: &Entry) -> Read {
        for change in &entry.changes {
            match change {
                Change::Reservation(r) => self.put(r),
                Change::Undone(r) => self.forget(&r.id),
                Change::Bucket { resource, index, level } => self.level(resource, *index, level, entry.at),
                Change::Forgotten { resource, index } => {
                    if let Some(at) = self.network.find_resource(resource.as_str()) {
                        self.over.retain(|(of, bucket), _| *of != at || bucket >= index);
                    }
                }
                Change::Network { .. } => return Read::OtherNetwork,
                Change::Offer(_) => {}
            }
        }
        Read::On
    }

    fn level(&mut self, resource: &ResourceId, index: i32, level: &BucketLevel, now: Moment) {
        let Some(at) = self.network.find_resource(resource.as_str()) else { return };
        let resource = self.network.resource(at);
        let uncovered = resource.uncovered(index, level, || self.network.calendar_of(resource).day_of(now));
        if uncovered == 0 {
            self.over.remove(&(at, index));
            return;
        }
        self.over.insert((at, index), uncovered);
        if self.tracked.insert(at) {
            self.unread.insert(at);
        }
    }

    /// Who is at risk (rule 24).
    pub fn at_risk(&self) -> FxHashSet<&ReservationId> {
        self.over.keys().flat_map(|bucket| self.hit(bucket)).map(Protection::id).collect()
    }

    /// Those at risk, in the order in which they are given new dates.
    pub fn in_line(&self) -> Vec<ReservationId> {
        let mut line: Vec<&Protection> = self.over.keys().flat_map(|bucket| self.hit(bucket)).collect();
        line.sort_by(|a, b| a.before_in_line(b));
        line.dedup_by(|a, b| a.id() == b.id());
        line.into_iter().map(|protection| protection.id().clone()).collect()
    }

    /// Whether one of them is at risk.
    pub fn is_at_risk(&self, id: &ReservationId) -> bool {
        let Some(known) = self.known.get(id) else { return false };
        known.claims.iter().any(|(bucket, _)| self.hit(bucket).any(|protection| protection.id() == id))
    }

    fn hit(&self, bucket: &BucketAt) -> impl Iterator<Item = &Protection> {
        let uncovered = self.over.get(bucket).copied().unwrap_or_default();
        let claims = self.claims.get(bucket).into_iter().flatten();
        at_risk(claims.map(|(protection, units)| (protection, *units)), uncovered)
    }

    /// Marks that are missing, or there without reason.
    pub fn differences(&self) -> Vec<Difference> {
        let at_risk = self.at_risk();
        let difference =
            |id: &ReservationId, known: &Known, at_risk| Difference { id: id.clone(), version: known.version, at_risk };
        let missing = at_risk.iter().filter_map(|id| {
            let known = self.known.get(*id).filter(|known| !known.at_risk)?;
            Some(difference(id, known, true))
        });
        let mut all: Vec<Difference> = missing.collect();
        if self.marked + all.len() > at_risk.len() {
            let needless = self.known.iter().filter(|(id, known)| known.at_risk && !at_risk.contains(*id));
            all.extend(needless.map(|(id, known)| difference(id, known, false)));
        }
        all
    }

    /// Notes that a reservation draws on other buckets from now on, or is to; buckets that it draws on now can give it.
    pub fn moved(&mut self, id: &ReservationId, draws: &[Draw]) {
        let claims = self.claims_of(draws);
        let Some(known) = self.known.get_mut(id) else { return };
        let before = std::mem::replace(&mut known.claims, claims.clone());
        for (bucket, units, by) in (before.iter().map(|(b, u)| (b, u, -1))).chain(claims.iter().map(|(b, u)| (b, u, 1)))
        {
            if let Some(uncovered) = self.over.get_mut(bucket) {
                *uncovered += by * units;
            }
        }
        self.over.retain(|_, uncovered| *uncovered > 0);
        let Some(protection) = known.protection.clone() else { return };
        for (bucket, _) in &before {
            if let Some(of_bucket) = self.claims.get_mut(bucket) {
                of_bucket.remove(&protection);
            }
        }
        for (bucket, units) in claims {
            self.claims.entry(bucket).or_default().insert(protection.clone(), units);
        }
    }
}
