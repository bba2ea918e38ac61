//! What a ledger holds of one network: the levels of its buckets, the reservations at hand, and when holds end.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::domain::bucket::BucketLevel;
use crate::domain::draw::{Draw, Pool};
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::levels::Levels;
use crate::domain::offer::ApprovedOffer;
use crate::domain::reservation::{self, Fingerprint, Reservation};
use crate::domain::time::{Moment, Span};

use super::audit::{self, Drift};
use super::feed::{Cursor, Snapshot};
use super::refused::{Digest, Refused};
use super::spread::Spread;
use super::transition::Side;

/// An adjustment of supply that was made, so that its request can be repeated safely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// The request id of the adjustment.
    pub request_id: ReservationId,
    /// The digest of its request.
    pub fingerprint: Fingerprint,
    /// The ledger's now of it.
    pub at: Moment,
    /// Which resource.
    pub resource: ResourceId,
    /// The first bucket.
    pub first: i32,
    /// The levels right after, one a bucket.
    pub levels: Arc<[BucketLevel]>,
    /// Units that were asked for, either sign.
    pub delta: i64,
    /// The caller's reason; may be empty.
    pub reason: Arc<str>,
}

/// A reservation at hand.
#[derive(Clone, Debug)]
struct Known {
    reservation: Arc<Reservation>,
    /// Whether somebody may rely on it beyond the call that made it: it was told to a repeat of its request, or it was
    /// read back from a store, when nobody knows any more who was told.
    told: bool,
}

/// One network's state. Levels and held reservations are always complete; of the others a back end may keep only those that
/// the command at hand names ([`State::load`], [`State::unload`]).
#[derive(Clone, Debug, Default)]
pub struct State {
    seq: Cursor,
    network_version: i64,
    document: Arc<[u8]>,
    /// When the document was applied.
    applied_at: Moment,
    levels: FxHashMap<ResourceId, Levels>,
    reservations: Spread<ReservationId, Known>,
    due: BTreeSet<(Moment, ReservationId)>,
    adjustments: FxHashMap<ReservationId, Arc<Adjustment>>,
    offers: FxHashMap<Arc<str>, Arc<ApprovedOffer>>,
    tallies: FxHashMap<Arc<str>, i64>,
    refused: Refused,
}

impl State {
    /// A network of which nothing is known yet.
    pub fn new() -> State {
        State::default()
    }

    /// As it was when it was last written: levels and reservations are loaded after.
    pub fn restored(seq: Cursor, network_version: i64, document: Arc<[u8]>, applied_at: Moment) -> State {
        State { seq, network_version, document, applied_at, ..State::default() }
    }

    /// The newest entry's place in the feed.
    pub fn seq(&self) -> Cursor {
        self.seq
    }

    /// The next entry's place, which is taken by asking for it.
    pub fn next_seq(&mut self) -> Cursor {
        self.seq += 1;
        self.seq
    }

    /// The network's version; 0: none was applied yet.
    pub fn network_version(&self) -> i64 {
        self.network_version
    }

    /// The network's document.
    pub fn document(&self) -> &Arc<[u8]> {
        &self.document
    }

    /// When the network's document was applied.
    pub fn applied_at(&self) -> Moment {
        self.applied_at
    }

    pub(super) fn set_document(&mut self, version: i64, document: Arc<[u8]>, applied_at: Moment) {
        self.network_version = version;
        self.applied_at = applied_at;
        self.document = document;
    }

    /// What is known of one bucket.
    pub fn level(&self, resource: &ResourceId, index: i32) -> Option<&BucketLevel> {
        self.levels.get(resource)?.get(index)
    }

    /// What is known of one resource's buckets.
    pub fn levels(&self, resource: &ResourceId) -> &Levels {
        self.levels.get(resource).unwrap_or(Levels::none())
    }

    /// Replaces what is known of one bucket.
    pub fn put_level(&mut self, resource: &ResourceId, index: i32, level: BucketLevel) {
        match self.levels.get_mut(resource) {
            Some(levels) => levels.put(index, level),
            None => {
                self.levels.insert(resource.clone(), Levels::new(vec![(index, level)]));
            }
        }
    }

    /// Replaces all that is known of one resource's buckets, ascending by index: how a store fills a state.
    pub fn load_levels(&mut self, resource: ResourceId, buckets: Vec<(i32, BucketLevel)>) {
        self.levels.insert(resource, Levels::new(buckets));
    }

    /// Drops what is known of a resource's buckets before `index` but for those that carry live reservations, and tells
    /// which are kept for that reason; none: there was nothing to drop.
    pub(super) fn forget(&mut self, resource: &ResourceId, index: i32) -> Option<Vec<i32>> {
        let levels = self.levels.get_mut(resource)?;
        let before = || levels.all().take_while(|(i, _)| *i < index);
        let kept: Vec<(i32, BucketLevel)> = before().filter(|(_, l)| l.carries_reservations()).cloned().collect();
        if kept.len() == before().count() {
            return None;
        }
        levels.forget_before(index);
        let indexes = kept.iter().map(|(i, _)| *i).collect();
        for (i, level) in kept {
            levels.put(i, level);
        }
        if levels.is_empty() {
            self.levels.remove(resource);
        }
        Some(indexes)
    }

    /// Whether live reservations draw on the resource.
    pub(super) fn carries(&self, resource: &ResourceId) -> bool {
        self.levels(resource).all().any(|(_, level)| level.carries_reservations())
    }

    /// The reservation, if it is at hand.
    pub fn reservation(&self, id: &ReservationId) -> Option<&Arc<Reservation>> {
        self.reservations.get(id).map(|known| &known.reservation)
    }

    /// All reservations at hand, in no order.
    pub fn reservations(&self) -> impl Iterator<Item = &Arc<Reservation>> {
        self.reservations.values().map(|known| &known.reservation)
    }

    /// Brings a reservation to hand that a store has.
    pub fn load(&mut self, reservation: Arc<Reservation>) {
        self.keep(reservation, true);
    }

    /// Lets go of a reservation that a store has. Held ones stay: their end is near.
    pub fn unload(&mut self, id: &ReservationId) {
        if self.reservations.get(id).is_some_and(|k| k.reservation.state != reservation::State::Held) {
            self.reservations.remove(id);
        }
    }

    /// Writes a reservation as it is from now on.
    pub(super) fn put(&mut self, reservation: Arc<Reservation>) {
        let told = self.reservations.get(&reservation.id).is_some_and(|k| k.told);
        self.keep(reservation, told);
    }

    fn keep(&mut self, reservation: Arc<Reservation>, told: bool) {
        self.not_due(&reservation.id);
        if reservation.state == reservation::State::Held {
            self.due.insert((reservation.expires_at, reservation.id.clone()));
        }
        self.reservations.insert(reservation.id.clone(), Known { reservation, told });
    }

    /// Removes a reservation without a trace.
    pub(super) fn remove(&mut self, id: &ReservationId) {
        self.not_due(id);
        self.reservations.remove(id);
    }

    fn not_due(&mut self, id: &ReservationId) {
        if let Some(known) = self.reservations.get(id)
            && known.reservation.state == reservation::State::Held
        {
            self.due.remove(&(known.reservation.expires_at, id.clone()));
        }
    }

    pub(super) fn mark_told(&mut self, id: &ReservationId) {
        if let Some(known) = self.reservations.get_mut(id) {
            known.told = true;
        }
    }

    pub(super) fn was_told(&self, id: &ReservationId) -> bool {
        self.reservations.get(id).is_some_and(|known| known.told)
    }

    /// The hold that ends first, if it is due.
    pub(super) fn first_due(&self, now: Moment) -> Option<Arc<Reservation>> {
        let (at, id) = self.due.first()?;
        if *at > now {
            return None;
        }
        self.reservation(id).cloned()
    }

    /// When the next hold ends.
    pub fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Holds that are due, counted up to `at_most`.
    pub fn count_due(&self, now: Moment, at_most: usize) -> usize {
        self.due.iter().take(at_most).take_while(|(at, _)| *at <= now).count()
    }

    /// An adjustment, if it is at hand.
    pub fn adjustment(&self, id: &ReservationId) -> Option<&Arc<Adjustment>> {
        self.adjustments.get(id)
    }

    /// Brings an adjustment to hand.
    pub fn load_adjustment(&mut self, adjustment: Arc<Adjustment>) {
        self.adjustments.insert(adjustment.request_id.clone(), adjustment);
    }

    /// Lets go of an adjustment.
    pub fn unload_adjustment(&mut self, id: &ReservationId) {
        self.adjustments.remove(id);
    }

    /// An offer, if there is one of this id.
    pub fn offer(&self, id: &str) -> Option<&Arc<ApprovedOffer>> {
        self.offers.get(id)
    }

    /// All offers, in no order.
    pub fn offers(&self) -> impl ExactSizeIterator<Item = &Arc<ApprovedOffer>> {
        self.offers.values()
    }

    /// Writes an offer as it is from now on: also how a store fills a state.
    pub fn put_offer(&mut self, offer: Arc<ApprovedOffer>) {
        self.offers.insert(Arc::clone(&offer.offer.id), offer);
    }

    /// All tallies, in no order.
    pub fn tallies(&self) -> impl Iterator<Item = (&Arc<str>, i64)> {
        self.tallies.iter().map(|(name, n)| (name, *n))
    }

    /// One tally; 0 if it was never added to.
    pub fn tallied(&self, name: &str) -> i64 {
        self.tallies.get(name).copied().unwrap_or_default()
    }

    /// See [`Refused::add`].
    pub(super) fn refused(&mut self, request: Digest, now: Moment) -> Option<Vec<(Moment, Digest)>> {
        self.refused.add(request, now)
    }

    /// A refused request that is remembered: how a store fills a state.
    pub fn load_refused(&mut self, at: Moment, request: Digest) {
        self.refused.load(at, request);
    }

    /// Adds to a tally: also how a store fills a state.
    pub fn tally(&mut self, name: &Arc<str>, by: i64) {
        let sum = self.tallies.entry(Arc::clone(name)).or_default();
        *sum = sum.saturating_add(by);
    }

    /// Forgets what ended, and adjustments that were made, more than `keep` ago (rule 20): for states that live in memory
    /// only.
    pub fn trim(&mut self, now: Moment, keep: Span) {
        let limit = now.minus(keep);
        self.adjustments.retain(|_, a| a.at >= limit);
        self.reservations.retain(|_, k| k.reservation.ended_at.is_none_or(|ended| ended >= limit));
    }

    /// Draws units: from an own pool's rest, or from common.
    pub(super) fn take(&mut self, draw: &Draw, side: Side, by: Option<&Arc<str>>) {
        let mut level = self.level(&draw.resource, draw.index).cloned().unwrap_or_default();
        take_from(&mut level, &draw.pool, side, by, draw.units);
        self.put_level(&draw.resource, draw.index, level);
    }

    /// Gives units back to where they came from.
    pub(super) fn give_back(&mut self, draw: &Draw, side: Side, by: Option<&Arc<str>>) {
        let Some(mut level) = self.level(&draw.resource, draw.index).cloned() else {
            debug_assert!(false, "buckets that carry reservations are never forgotten");
            return;
        };
        give_to(&mut level, &draw.pool, side, by, draw.units);
        self.put_level(&draw.resource, draw.index, level);
    }

    /// The full state, for a subscriber.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            seq: self.seq,
            network_version: self.network_version,
            document: Arc::clone(&self.document),
            applied_at: self.applied_at,
            buckets: self.levels.iter().map(|(resource, levels)| (resource.clone(), levels.clone())).collect(),
            offers: self.offers.values().cloned().collect(),
        }
    }

    /// Compares every bucket with the reservations at hand, which must be all there are. No drift: all is well.
    pub fn audit(&self) -> Vec<Drift> {
        self.audit_against(self.reservations().map(|r| &**r))
    }

    /// Compares every bucket with these reservations, which must be all there are. Fulfilled units are compared only where the
    /// bucket is still known, and there may be more of them than reservations are remembered.
    pub fn audit_against<'a>(&'a self, reservations: impl IntoIterator<Item = &'a Reservation>) -> Vec<Drift> {
        audit::compare(|| self.levels.iter(), reservations)
    }
}

/// Draws units from a bucket, of a pool of it, by a channel.
pub(super) fn take_from(level: &mut BucketLevel, pool: &Pool, side: Side, by: Option<&Arc<str>>, units: i64) {
    *side_of(level, side) += units;
    if *pool != Pool::Common {
        level.pool_mut(pool).used += units;
    }
    if let Some(channel) = by {
        level.channel_mut(channel).drawn += units;
    }
}

/// Gives units back to a bucket, that a channel had drawn of a pool of it. Of a pool of which less is set aside by now, they are
/// everyone's.
pub(super) fn give_to(level: &mut BucketLevel, pool: &Pool, side: Side, by: Option<&Arc<str>>, units: i64) {
    let less = |n: &mut i64| {
        debug_assert!(*n >= units, "draws go back once (rule 21)");
        *n = (*n - units).max(0);
    };
    less(side_of(level, side));
    if *pool != Pool::Common {
        less(&mut level.pool_mut(pool).used);
    }
    if let Some(channel) = by {
        less(&mut level.channel_mut(channel).drawn);
    }
    level.tidy();
}

fn side_of(level: &mut BucketLevel, side: Side) -> &mut i64 {
    match side {
        Side::Held => &mut level.held,
        Side::Confirmed => &mut level.confirmed,
        Side::Fulfilled => &mut level.fulfilled,
    }
}
