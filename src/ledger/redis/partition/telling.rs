//! How a network's task keeps the subscriber up with the feed: what others did, what its own calls did, and a full read where the one
//! does not go on from the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::{debug, warn};

use super::super::super::feed::Entry;
use super::super::super::record::Unreadable;
use super::super::batch::Batch;
use super::super::call::{CallError, FEED_AT_ONCE, Reply};
use super::super::entries::{self, Element};
use super::super::following::{self, Astray, Seen};
use super::super::made::{Made, Written};
use super::super::outcome::{Came, Wrote};
use super::super::{reading, reply, stored};
use super::{Partition, Work};
use crate::domain::offer::ApprovedOffer;
use crate::domain::reservation::Reservation;

/// What the steps of this server's own call wrote.
struct Own<I>(I);

impl<'a, I: Iterator<Item = &'a Wrote>> Written for Own<I> {
    fn reservation(&mut self) -> Result<Arc<Reservation>, Unreadable> {
        match self.0.next() {
            Some(Wrote::Reservation(reservation)) => Ok(Arc::clone(reservation)),
            Some(Wrote::Offer(_)) | None => Err(reply::unexpected("a reservation")),
        }
    }

    fn offer(&mut self) -> Result<Arc<ApprovedOffer>, Unreadable> {
        match self.0.next() {
            Some(Wrote::Offer(offer)) => Ok(Arc::clone(offer)),
            Some(Wrote::Reservation(_)) | None => Err(reply::unexpected("an offer")),
        }
    }
}

impl Partition {
    /// The newest element that is known, for a call to bring what came after it.
    pub(super) fn known(&self) -> Option<String> {
        if !self.state.subscribed {
            return None;
        }
        self.state.seen.as_ref().map(|seen| seen.last.clone())
    }

    /// The entries of what this very call made.
    pub(super) fn entries_of(
        &self,
        batch: &Batch,
        came: &[(Work, Came)],
        reply: &Reply,
    ) -> Result<Vec<Arc<Entry>>, Unreadable> {
        if !self.state.subscribed {
            return Ok(Vec::new());
        }
        let levels = stored::read_row(&reply.before)?;
        let Batch { buckets, names, plan, .. } = batch;
        let made = Made { buckets, names, plan, codes: &reply.codes, levels, at: reply.at, first: reply.first };
        let written = came.iter().filter_map(|(_, came)| match came {
            Came::Done { written: Some(written), .. } => Some(written),
            Came::Done { written: None, .. } | Came::Again(_) => None,
        });
        let came = made.entries(&mut Own(written))?;
        came.map(|came| came.entries).ok_or_else(|| reply::unexpected("a known step"))
    }

    /// Tells the subscriber what others did before this call, what it did, and how fresh all that is.
    pub(super) async fn tell(&mut self, before: Option<Vec<Element>>, own: Vec<Arc<Entry>>, reply: &Reply) {
        if self.state.subscribed {
            match self.follow(before, own, reply).await {
                Ok(()) => {}
                // What is known is old from now on, and right: the next call brings what came since.
                Err(Astray::Away(e)) => return self.failed(&e),
                Err(Astray::Contradicted(why)) => {
                    self.contradicted(&why);
                    return self.read_in_full().await;
                }
                Err(Astray::Behind) => return self.read_in_full().await,
            }
        }
        self.fresh(reply);
    }

    async fn follow(
        &mut self,
        before: Option<Vec<Element>>,
        own: Vec<Arc<Entry>>,
        reply: &Reply,
    ) -> Result<(), Astray> {
        let keys = self.caller.keys.clone();
        let Some(seen) = self.state.seen.clone() else { return Err(Astray::Behind) };
        let mut elements = before.unwrap_or_default();
        // One call brings only so many; the rest is fetched, up to what this call made.
        let target = own.first().map_or_else(|| entries::place(&reply.last), |entry| entry.seq - 1);
        loop {
            let last = elements.last().map_or(&seen.last, |element| &element.id).clone();
            if entries::place(&last) >= target {
                break;
            }
            let link = self.caller.connected().await.map_err(Astray::from)?;
            let more = reading::elements(link, &keys, &last, FEED_AT_ONCE).await.map_err(Astray::from)?;
            if more.len() <= usize::from(!last.is_empty()) {
                return Err(Astray::Contradicted(format!("the feed does not go on from {last}")));
            }
            // The first is the one that is known already, if any is.
            let known = elements.pop().is_some();
            debug_assert!(known || elements.is_empty());
            elements.extend(more);
        }
        let followed = following::follow(&seen, elements, own, &reply.last).map_err(Astray::Contradicted)?;
        let mut told = followed.entries;
        if let Some(name) = followed.document {
            let link = self.caller.connected().await.map_err(Astray::from)?;
            let read = reading::document(link, &keys, &name).await.map_err(Astray::from)?;
            // It was replaced again already: what it was is nobody's business any more.
            let Some(document) = read else { return Err(Astray::Behind) };
            told = told.into_iter().map(|entry| following::with_document(entry, &document)).collect();
        }
        followed.undone.iter().for_each(|id| self.state.recent.remove(id));
        followed.written.into_iter().for_each(|written| self.state.recent.put(written));
        self.state.seen = Some(followed.seen);
        if !told.is_empty()
            && let Some(subscriber) = self.shared.subscriber()
        {
            subscriber.changed(&self.network, &told);
        }
        Ok(())
    }

    fn contradicted(&mut self, why: &str) {
        warn!(network = %self.network, why, "the feed does not go on from what is known; the network is read in full");
        self.state.seen = None;
        self.state.recent.clear();
        if let Some(subscriber) = self.shared.subscriber() {
            subscriber.void(&self.network);
        }
    }

    /// Reads everything and gives it to the subscriber.
    async fn read_in_full(&mut self) {
        if let Err(e) = self.reset().await {
            self.failed(&e);
        }
    }

    pub(super) async fn reset(&mut self) -> Result<(), CallError> {
        self.state.seen = None;
        self.state.recent.clear();
        let refused = |e: reading::ReadError| match e {
            reading::ReadError::Link(e) => CallError::Refused(Arc::from(e.to_string())),
            reading::ReadError::Unreadable(e) => CallError::from(e),
        };
        let link = self.caller.links.reads(&self.caller.keys.head).await;
        let mut link = link.map_err(|e| CallError::Refused(Arc::from(e.to_string())))?;
        let (snapshot, last) = reading::snapshot(&mut link, &self.caller.keys).await.map_err(refused)?;
        debug!(network = %self.network, seq = snapshot.seq, "read in full");
        // A network that is listed but was never applied is none that anybody could follow.
        let nothing = snapshot.seq == 0 && snapshot.network_version == 0 && snapshot.buckets.is_empty();
        let nothing = nothing && !self.caller.unapplied;
        self.state.seen = Some(Seen { seq: snapshot.seq, last });
        if !nothing && let Some(subscriber) = self.shared.subscriber() {
            subscriber.reset(&self.network, snapshot);
        }
        Ok(())
    }

    fn fresh(&self, reply: &Reply) {
        self.desk.next_due.store(reply.due.map_or(i64::MAX, |due| due.0), Ordering::Release);
        self.desk.told_at.store(reply.at.0, Ordering::Release);
        if let Some(subscriber) = self.shared.subscriber()
            && self.state.seen.is_some()
        {
            subscriber.fresh(Some(&self.network), reply.sent);
        }
    }
}
