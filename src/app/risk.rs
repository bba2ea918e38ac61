//! The risk keeper: sees to it that exactly those reservations carry the mark that rule 24 puts at risk.
//!
//! Nothing is read or followed while no bucket is over-committed and nothing is marked. Once a bucket is (the view tells), the live
//! reservations that draw on its resource are listed once, and the feed is followed until all is covered again and the last
//! mark has gone. Every server may run it: a mark is set for the version of the reservation that it was worked out for, and setting it
//! twice changes nothing. The server on which supply was changed sets marks at once; others wait a moment, and mostly find nothing to do.

mod book;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{App, AppError, unread};
pub(super) use book::Book;
use book::{Difference, Read};

use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::time::Span;
use crate::ledger::command::{Command, Outcome, Refusal};
use crate::ledger::feed::{Change, Cursor};
use crate::ledger::{LedgerError, ReservationFilter};

/// Entries of the feed that are read at a time.
const PAGE: usize = 500;
/// Pages of the feed that are looked through for what one change put at risk.
const MAX_PAGES: usize = 64;
/// Reservations that are listed at a time.
const LISTED: usize = 1_000;
/// Marks that are on their way to the ledger at a time: enough to share its writes, few enough to leave room for others.
const AT_ONCE: usize = 128;
/// How often networks that came to be followed, or failed, are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long the book is used before it is made anew: the standing plan reaches further as days go by.
const MADE_ANEW: Duration = Duration::from_secs(600);
/// Changes that come within this time of each other are worked out once.
const GATHER: Duration = Duration::from_millis(1);
/// The longest that a change of supply waits for the marks that follow from it.
const SETTLING: Duration = Duration::from_secs(5);
/// What a caller needs of its deadline to get its answer.
const RESERVE: Duration = Duration::from_millis(50);
/// How long servers wait that did not set the last marks: a part of it that differs from server to server and from time to time.
const JITTER: (u64, u64) = (20, 120);

/// What is known of the marks of all networks.
#[derive(Default)]
pub(super) struct Risk {
    /// Whether the keeper runs.
    kept: AtomicBool,
    desks: Mutex<FxHashMap<NetworkId, Arc<Desk>>>,
}

/// What is known of the marks of one network.
struct Desk {
    /// A follower is at work.
    busy: AtomicBool,
    /// Somebody waits: marks are to be set at once.
    urgent: AtomicBool,
    wake: Notify,
    /// This server set the last marks, so it sets the next ones without waiting for others.
    leads: AtomicBool,
    /// Everything up to here is worked out and marked.
    settled: watch::Sender<Cursor>,
    marked: AtomicUsize,
}

impl Default for Desk {
    fn default() -> Self {
        Desk {
            busy: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
            wake: Notify::new(),
            leads: AtomicBool::new(false),
            settled: watch::Sender::new(0),
            marked: AtomicUsize::new(0),
        }
    }
}

impl Risk {
    fn desk(&self, network: &NetworkId) -> Arc<Desk> {
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(desks.entry(network.clone()).or_default())
    }

    /// Reservations that are marked, in all networks, as far as this server knows.
    pub fn marked(&self) -> usize {
        let desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        desks.values().map(|desk| desk.marked.load(Ordering::Relaxed)).sum()
    }
}

impl Desk {
    fn settle(&self, cursor: Cursor) {
        self.settled.send_replace(cursor);
    }
}

/// A place in the feed, before something is changed that may put reservations at risk.
#[derive(Clone, Copy, Debug)]
pub struct Before(Cursor);

/// Why a follower ended before its work was done.
enum Ended {
    /// The service stops.
    Stopped,
    /// What is read is not known for certain at the moment, or the ledger could not be asked.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl From<LedgerError> for Ended {
    fn from(error: LedgerError) -> Self {
        Ended::Failed(Box::new(error))
    }
}

impl From<AppError> for Ended {
    fn from(error: AppError) -> Self {
        Ended::Failed(Box::new(error))
    }
}

impl App {
    /// Runs until the service stops.
    pub async fn keep_marks(self: Arc<Self>) {
        self.risk.kept.store(true, Ordering::SeqCst);
        let mut coverage = self.views.coverage();
        let mut followers: JoinSet<(NetworkId, Result<(), Ended>)> = JoinSet::new();
        // Marks that a server left that is no more are looked for once.
        let mut looked_at: FxHashSet<NetworkId> = FxHashSet::default();
        // Those that failed are left alone until the next look.
        let mut failed: FxHashSet<NetworkId> = FxHashSet::default();
        loop {
            coverage.mark_unchanged();
            for (network, view) in self.views.followed() {
                let desk = self.risk.desk(&network);
                let is_needed = || !looked_at.contains(&network) || !view.over_committed(self.clock.now()).is_empty();
                if desk.busy.load(Ordering::SeqCst) || failed.contains(&network) || !is_needed() {
                    continue;
                }
                looked_at.insert(network.clone());
                desk.busy.store(true, Ordering::SeqCst);
                let app = Arc::clone(&self);
                followers.spawn(async move {
                    let ended = app.follow(&network, &desk).await;
                    desk.busy.store(false, Ordering::SeqCst);
                    (network, ended)
                });
            }
            tokio::select! {
                Some(ended) = followers.join_next() => match ended {
                    Ok((_, Ok(()) | Err(Ended::Stopped))) => {}
                    Ok((network, Err(Ended::Failed(error)))) => {
                        debug!(%network, %error, "what is at risk can't be kept up to date at the moment; tried again in a second");
                        looked_at.remove(&network);
                        failed.insert(network);
                    }
                    Err(error) => warn!(%error, "the risk keeper of a network did not end well"),
                },
                _ = coverage.changed() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => failed.clear(),
                () = self.stop.cancelled() => break,
            }
        }
        while followers.join_next().await.is_some() {}
        self.risk.kept.store(false, Ordering::SeqCst);
    }

    /// To be asked before supply is changed; then [`App::put_at_risk`] tells what came of it.
    pub fn before(&self, network: &NetworkId) -> Before {
        Before(self.views.changes(network).map_or(0, |newest| *newest.borrow()))
    }

    /// Waits until the marks are as what was changed since asks for, as long as the caller can wait, but no longer than some seconds.
    /// Tells how many reservations were put at risk since; 0 if the feed can't be read just then.
    pub async fn put_at_risk(
        &self,
        network: &NetworkId,
        Before(since): Before,
        give_up_at: Option<std::time::Instant>,
    ) -> i64 {
        let Some(newest) = self.views.changes(network).map(|newest| *newest.borrow()) else { return 0 };
        if !self.risk.kept.load(Ordering::SeqCst) {
            return 0;
        }
        let desk = self.risk.desk(network);
        let longest = Instant::now() + SETTLING;
        let until = give_up_at.and_then(|at| at.checked_sub(RESERVE)).map_or(longest, |at| longest.min(at.into()));
        let mut settled = desk.settled.subscribe();
        while *settled.borrow_and_update() < newest {
            let is_covered = || self.views.get(network).is_none_or(|v| v.over_committed(self.clock.now()).is_empty());
            if !desk.busy.load(Ordering::SeqCst) && is_covered() {
                break;
            }
            desk.urgent.store(true, Ordering::SeqCst);
            desk.wake.notify_one();
            tokio::select! {
                _ = settled.changed() => {}
                // The one at work may just have ended.
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
                () = tokio::time::sleep_until(until) => break,
                () = self.stop.cancelled() => break,
            }
        }
        // Another server may have set the marks before this one began to follow, so the feed is asked.
        match self.put_at_risk_since(network, since).await {
            Ok(count) => count,
            Err(error) => {
                debug!(%network, %error, "the feed can't be read, so nobody is told how many were put at risk");
                0
            }
        }
    }

    /// Reservations that were not marked at this cursor, and are now, by the feed.
    async fn put_at_risk_since(&self, network: &NetworkId, since: Cursor) -> Result<i64, LedgerError> {
        let mut cursor = since;
        let mut ends: FxHashMap<ReservationId, (bool, bool)> = FxHashMap::default();
        for _ in 0..MAX_PAGES {
            let entries = self.ledger.entries(network, cursor, PAGE).await?;
            for change in entries.iter().flat_map(|entry| &entry.changes) {
                let Change::Reservation(r) = change else { continue };
                let what = r.history.last().map_or("", |last| &*last.what);
                if what == "at risk" {
                    ends.entry(r.id.clone()).or_insert((true, true)).1 = true;
                } else if let Some(known) = ends.get_mut(&r.id) {
                    known.1 = r.at_risk;
                } else if r.at_risk || what == "safe again" {
                    // It was marked before.
                    ends.insert(r.id.clone(), (false, r.at_risk));
                }
            }
            match entries.last() {
                Some(last) if entries.len() == PAGE => cursor = last.seq,
                _ => break,
            }
        }
        Ok(ends.values().filter(|(first, last)| *first && *last).count() as i64)
    }

    /// Keeps the marks of one network until there is nothing to keep.
    async fn follow(&self, network: &NetworkId, desk: &Desk) -> Result<(), Ended> {
        loop {
            desk.settle(0);
            if self.follow_one(network, desk).await? == Read::On {
                return Ok(());
            }
            // The view may not show yet what the feed told.
            tokio::time::sleep(GATHER * 5).await;
        }
    }

    /// The book of a network as it is now, and where in the feed it is true.
    async fn book(&self, network: &NetworkId) -> Result<(Book, Cursor), AppError> {
        let edition = self.views.edition(network).map_err(|error| unread(error, network))?;
        let cursor = self.before(network).0;
        let now = self.clock.now();
        let view = self.views.read(network, now, Span::ZERO).map_err(|error| unread(error, network))?.view;
        let book = Book::new(Arc::clone(&view.network), view.over_committed(now));
        match self.views.edition(network) {
            Ok(same) if same == edition => Ok((book, cursor)),
            _ => Err(AppError::Unavailable),
        }
    }

    /// Reads the live reservations that draw on resources that the book does not know yet. It is true once the feed is read up to
    /// what is given back.
    async fn read_in(&self, network: &NetworkId, book: &mut Book) -> Result<Cursor, LedgerError> {
        let resources = book.take_unread();
        if !resources.is_empty() {
            self.list_into(network, book, false, resources).await?;
        }
        self.ledger.newest(network).await
    }

    async fn list_into(
        &self,
        network: &NetworkId,
        book: &mut Book,
        at_risk: bool,
        resources: Vec<ResourceId>,
    ) -> Result<(), LedgerError> {
        let filter = ReservationFilter { at_risk, resources, live: true, ..ReservationFilter::default() };
        let mut after = None;
        loop {
            let (page, next) = self.ledger.reservations(network, &filter, after.as_ref(), LISTED).await?;
            for reservation in &page {
                book.put(reservation);
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Reads the feed on until the book is true as of `until` or later.
    async fn read_on(
        &self,
        network: &NetworkId,
        book: &mut Book,
        cursor: &mut Cursor,
        until: Cursor,
    ) -> Result<Read, LedgerError> {
        let mut until = until;
        loop {
            let entries = self.ledger.entries(network, *cursor, PAGE).await?;
            // What the feed no longer has, the book can't know.
            if entries.first().is_some_and(|entry| entry.seq > *cursor + 1) {
                return Ok(Read::OtherNetwork);
            }
            for entry in &entries {
                if book.apply(entry) == Read::OtherNetwork {
                    return Ok(Read::OtherNetwork);
                }
                *cursor = entry.seq;
            }
            if entries.len() == PAGE {
                continue;
            }
            if book.has_unread() {
                until = until.max(self.read_in(network, book).await?);
            }
            if *cursor >= until {
                return Ok(Read::On);
            }
            if entries.is_empty() {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    /// [`Read::OtherNetwork`]: all is to be read anew.
    async fn follow_one(&self, network: &NetworkId, desk: &Desk) -> Result<Read, Ended> {
        let edition = self.views.edition(network).map_err(|error| unread(error, network))?;
        let mut changes = self.views.changes(network).ok_or(AppError::Unavailable)?;
        let (mut book, mut cursor) = self.book(network).await?;
        self.list_into(network, &mut book, true, Vec::new()).await?;
        let mut until = self.read_in(network, &mut book).await?;
        let made_anew = Instant::now() + MADE_ANEW;
        let mut act_at: Option<Instant> = None;
        loop {
            changes.mark_unchanged();
            if self.views.edition(network) != Ok(edition) {
                return Err(AppError::Unavailable.into());
            }
            if self.read_on(network, &mut book, &mut cursor, until).await? == Read::OtherNetwork {
                return Ok(Read::OtherNetwork);
            }
            desk.marked.store(book.marked(), Ordering::Relaxed);
            let differences = book.differences();
            if differences.is_empty() {
                desk.settle(cursor);
                if act_at.take().is_some() {
                    // Another server did it, and goes on doing it.
                    desk.leads.store(false, Ordering::SeqCst);
                }
                if book.is_quiet() {
                    return Ok(Read::On);
                }
            } else if desk.urgent.swap(false, Ordering::SeqCst)
                || desk.leads.load(Ordering::SeqCst)
                || act_at.is_some_and(|at| at <= Instant::now())
            {
                act_at = None;
                let set = self.mark(network, differences).await?;
                desk.leads.store(set > 0, Ordering::SeqCst);
                if set == 0 {
                    tokio::time::sleep(GATHER * 10).await;
                }
                until = self.ledger.newest(network).await?;
                continue;
            } else if act_at.is_none() {
                act_at = Some(Instant::now() + jitter());
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Err(AppError::Unavailable.into()) },
                () = desk.wake.notified() => {}
                () = tokio::time::sleep_until(act_at.unwrap_or(made_anew)) => {}
                () = self.stop.cancelled() => return Err(Ended::Stopped),
            }
            if Instant::now() >= made_anew {
                return Ok(Read::OtherNetwork);
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Sets marks and takes them away; tells how many.
    async fn mark(&self, network: &NetworkId, differences: Vec<Difference>) -> Result<usize, LedgerError> {
        let mut set = 0;
        let mut on_their_way: JoinSet<Result<Outcome, LedgerError>> = JoinSet::new();
        let mut left = differences.into_iter();
        loop {
            while on_their_way.len() < AT_ONCE
                && let Some(Difference { id, version, at_risk }) = left.next()
            {
                let (ledger, network) = (Arc::clone(&self.ledger), network.clone());
                let command = Command::Mark { id, version, at_risk };
                on_their_way.spawn(async move { ledger.execute(&network, command, None).await });
            }
            let Some(marked) = on_their_way.join_next().await else { return Ok(set) };
            match marked {
                Ok(Ok(Outcome::Reservation { repeated, .. })) => set += usize::from(!repeated),
                // It changed meanwhile; the feed tells how.
                Ok(Ok(Outcome::Refused(
                    Refusal::ReservationChanged | Refusal::WrongState { .. } | Refusal::NotFound,
                ))) => {}
                Ok(Ok(other)) => warn!(%network, ?other, "a mark came back with what it can't come back with"),
                // What was not done is seen again when the feed is read.
                Ok(Err(LedgerError::Overloaded | LedgerError::DeadlinePassed)) => {}
                Ok(Err(error)) => return Err(error),
                Err(error) => warn!(%network, %error, "setting a mark did not end well"),
            }
        }
    }
}

impl App {
    /// A book of the network, true as of now, for who plans by it.
    pub(super) async fn book_of_risk(&self, network: &NetworkId) -> Result<Book, AppError> {
        let failed = |error| AppError::from_ledger(error, network);
        loop {
            let (mut book, mut cursor) = self.book(network).await?;
            let until = self.read_in(network, &mut book).await.map_err(failed)?;
            let read = self.read_on(network, &mut book, &mut cursor, until).await.map_err(failed)?;
            if read == Read::On {
                return Ok(book);
            }
            tokio::time::sleep(GATHER * 5).await;
        }
    }
}

/// A time that differs from server to server and from time to time.
fn jitter() -> Duration {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut state = CALLS.fetch_add(1, Ordering::Relaxed) ^ (u64::from(std::process::id()) << 32);
    // The finalizer of SplitMix64.
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let (least, most) = JITTER;
    Duration::from_millis(least + (state ^ (state >> 31)) % (most - least))
}
