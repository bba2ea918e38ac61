//! A ledger that several servers of one test share: each follows it, and none closes it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use surety::domain::id::{NetworkId, ReservationId};
use surety::domain::reservation::Reservation;
use surety::domain::time::Moment;
use surety::ledger::command::{Command, Outcome};
use surety::ledger::embedded::EmbeddedLedger;
use surety::ledger::feed::{Cursor, Entry, Snapshot, Subscriber};
use surety::ledger::tally::Tallies;
use surety::ledger::{Ledger, LedgerError, ReservationFilter};

/// All who follow.
#[derive(Default)]
struct Followers(Mutex<Vec<Arc<dyn Subscriber>>>);

impl Followers {
    fn each(&self, tell: impl Fn(&dyn Subscriber)) {
        for follower in &*self.0.lock().unwrap() {
            tell(&**follower);
        }
    }
}

impl Subscriber for Followers {
    fn reset(&self, network: &NetworkId, snapshot: Snapshot) {
        self.each(|f| f.reset(network, snapshot.clone()));
    }

    fn changed(&self, network: &NetworkId, entries: &[Arc<Entry>]) {
        self.each(|f| f.changed(network, entries));
    }

    fn fresh(&self, network: Option<&NetworkId>, at: Moment) {
        self.each(|f| f.fresh(network, at));
    }

    fn lost(&self, network: Option<&NetworkId>) {
        self.each(|f| f.lost(network));
    }

    fn void(&self, network: &NetworkId) {
        self.each(|f| f.void(network));
    }
}

/// See the module.
pub struct Shared {
    pub ledger: Arc<EmbeddedLedger>,
    followers: Arc<Followers>,
}

impl Shared {
    pub fn new(ledger: Arc<EmbeddedLedger>) -> Arc<Shared> {
        Arc::new(Shared { ledger, followers: Arc::default() })
    }
}

#[async_trait]
impl Ledger for Shared {
    async fn execute(
        &self,
        network: &NetworkId,
        command: Command,
        give_up_at: Option<std::time::Instant>,
    ) -> Result<Outcome, LedgerError> {
        self.ledger.execute(network, command, give_up_at).await
    }

    async fn reservation(
        &self,
        network: &NetworkId,
        id: &ReservationId,
    ) -> Result<Option<Arc<Reservation>>, LedgerError> {
        self.ledger.reservation(network, id).await
    }

    async fn reservations(
        &self,
        network: &NetworkId,
        filter: &ReservationFilter,
        after: Option<&ReservationId>,
        limit: usize,
    ) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), LedgerError> {
        self.ledger.reservations(network, filter, after, limit).await
    }

    async fn tallies(&self, network: &NetworkId, prefix: &str) -> Result<Tallies, LedgerError> {
        self.ledger.tallies(network, prefix).await
    }

    async fn entries(&self, network: &NetworkId, after: Cursor, limit: usize) -> Result<Vec<Arc<Entry>>, LedgerError> {
        self.ledger.entries(network, after, limit).await
    }

    async fn newest(&self, network: &NetworkId) -> Result<Cursor, LedgerError> {
        self.ledger.newest(network).await
    }

    async fn networks(&self) -> Result<Vec<NetworkId>, LedgerError> {
        self.ledger.networks().await
    }

    fn has_due(&self, now: Moment) -> bool {
        self.ledger.has_due(now)
    }

    /// Each new follower has all of them told everything anew.
    async fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<(), LedgerError> {
        self.followers.0.lock().unwrap().push(subscriber);
        self.ledger.subscribe(Arc::clone(&self.followers) as Arc<_>).await
    }

    async fn close(&self) {}
}
