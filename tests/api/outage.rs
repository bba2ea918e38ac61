//! The store is away, or what is known of a network is void: what goes on, for how long, and what callers and health see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use surety::clock::ManualClock;
use surety::domain::id::{NetworkId, ReservationId};
use surety::domain::reservation::Reservation as Kept;
use surety::domain::time::Moment;
use surety::ledger::command::{Command, Outcome};
use surety::ledger::embedded::store::{Batch, Medium, MemoryStore, Space, Store, StoreError, Visit};
use surety::ledger::embedded::{EmbeddedConfig, EmbeddedLedger, OpenError};
use surety::ledger::feed::{Cursor, Entry, Subscriber};
use surety::ledger::tally::Tallies;
use surety::ledger::{Ledger, LedgerError, ReservationFilter};
use surety::proto::v1::*;
use surety::server::LEDGER_HEALTH;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::*;

/// A disk that can be pulled out.
#[derive(Default)]
struct Disk {
    durable: MemoryStore,
    is_out: AtomicBool,
}

impl Store for Disk {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.durable.get(space, key)
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.durable.scan(space, from, to, visit)
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.durable.last(space, from, to)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if self.is_out.load(Ordering::SeqCst) {
            return Err(StoreError::Nothing("it is out".to_owned()));
        }
        self.durable.commit(batch)
    }
}

struct Drive(Arc<Disk>);

impl Medium for Drive {
    fn open(&mut self) -> Result<Arc<dyn Store>, OpenError> {
        if self.0.is_out.load(Ordering::SeqCst) {
            return Err(OpenError::Failed("it is out".to_owned()));
        }
        Ok(self.0.clone())
    }
}

/// The embedded ledger, and who follows it, so that a test can say what a store across a network would.
struct Doubtful {
    ledger: Arc<EmbeddedLedger>,
    follower: Mutex<Option<Arc<dyn Subscriber>>>,
}

impl Doubtful {
    fn follower(&self) -> Arc<dyn Subscriber> {
        self.follower.lock().unwrap().clone().expect("the service follows")
    }
}

#[async_trait]
impl Ledger for Doubtful {
    async fn execute(
        &self,
        network: &NetworkId,
        command: Command,
        give_up_at: Option<std::time::Instant>,
    ) -> Result<Outcome, LedgerError> {
        self.ledger.execute(network, command, give_up_at).await
    }

    async fn reservation(&self, network: &NetworkId, id: &ReservationId) -> Result<Option<Arc<Kept>>, LedgerError> {
        self.ledger.reservation(network, id).await
    }

    async fn reservations(
        &self,
        network: &NetworkId,
        filter: &ReservationFilter,
        after: Option<&ReservationId>,
        limit: usize,
    ) -> Result<(Vec<Arc<Kept>>, Option<ReservationId>), LedgerError> {
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

    async fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<(), LedgerError> {
        *self.follower.lock().unwrap() = Some(Arc::clone(&subscriber));
        self.ledger.subscribe(subscriber).await
    }

    async fn close(&self) {
        self.ledger.close().await;
    }
}

/// A shop on a disk that can be pulled out.
async fn shop_on(disk: &Arc<Disk>) -> TestServer {
    let drive = Box::new(Drive(disk.clone()));
    TestServer::on(|clock: Arc<ManualClock>| {
        EmbeddedLedger::on(drive, EmbeddedConfig::new(""), clock).expect("it opens") as Arc<_>
    })
    .await
}

/// What health says: of answers (all services alike), and of the ledger.
async fn health(server: &TestServer) -> (ServingStatus, ServingStatus) {
    let mut health = server.health().await;
    let mut said = Vec::new();
    for service in
        ["", "surety.v1.PromiseService", "surety.v1.OperationsService", "surety.v1.OfferService", LEDGER_HEALTH]
    {
        let probe = HealthCheckRequest { service: service.into() };
        said.push(health.check(probe).await.expect("an answer").into_inner().status());
    }
    let ledger = said.pop().expect("the ledger's");
    if said.iter().any(|status| *status != said[0]) {
        // It was asked while it changed.
        return (ServingStatus::Unknown, ledger);
    }
    (said[0], ledger)
}

async fn until_health_is(server: &TestServer, answers: ServingStatus, ledger: ServingStatus) {
    until("health says so", async || health(server).await == (answers, ledger)).await;
}

/// UNAVAILABLE, and when to come again.
#[track_caller]
fn come_again(refused: Status) {
    let details = refusal(&refused, Code::Unavailable);
    assert_eq!(details.error_info().expect("checked").reason, "STORE_UNAVAILABLE");
    let retry = details.retry_info().unwrap_or_else(|| panic!("without RetryInfo: {refused:?}"));
    assert_eq!(retry.retry_delay, Some(Duration::from_secs(1)));
}

/// Each call that takes nothing; all are answered or none.
async fn reads(server: &TestServer) -> Result<QuoteResponse, Status> {
    let dates = ListPromiseDatesRequest { ask: Some(ask("card", 1)), days: 3, ..Default::default() };
    let buckets = ListBucketsRequest { resource: "lej.van".into(), days: 1, ..Default::default() };
    let (mut promises, mut operations) = (server.promises.clone(), server.operations.clone());
    let answers = [
        promises.list_promise_dates(dates).await.map(drop),
        promises.watch_quote(WatchQuoteRequest { ask: Some(ask("card", 1)) }).await.map(drop),
        operations.list_buckets(buckets).await.map(drop),
        operations.get_network(GetNetworkRequest::default()).await.map(drop),
    ];
    let quote = server.quote(read(ask("card", 1))).await;
    for answer in answers {
        assert_eq!(answer.is_ok(), quote.is_ok(), "{answer:?} beside {quote:?}");
        if let Err(refused) = answer {
            come_again(refused);
        }
    }
    quote
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_quotes_go_on_for_stale_reads_then_all_is_unavailable_and_it_recovers_by_itself() {
    use ServingStatus::{NotServing, Serving};
    let disk = Arc::new(Disk::default());
    let server = shop_on(&disk).await;
    server.held("r1", ask("card", 1)).await;
    assert_eq!(health(&server).await, (Serving, Serving));

    disk.is_out.store(true, Ordering::SeqCst);
    come_again(server.quote(hold("r2", ask("card", 1), 900)).await.unwrap_err());
    until_health_is(&server, Serving, NotServing).await;
    // The clock stands at the last instant at which the ledger told that all was known.
    server.turn(30);
    let answer = reads(&server).await.expect("an answer");
    assert_eq!((answer.verdict(), answer.as_of), (Verdict::Promised, stamp(BEGIN)));
    come_again(server.quote(hold("r2", ask("card", 1), 900)).await.unwrap_err());
    come_again(server.quote(QuoteRequest { request_id: "r3".into(), ..read(ask("card", 1)) }).await.unwrap_err());
    come_again(server.confirm("r1", "order", false).await.unwrap_err());
    come_again(server.apply(shop()).await.unwrap_err());
    assert_eq!(health(&server).await, (Serving, NotServing));

    server.turn(1);
    come_again(reads(&server).await.unwrap_err());
    until_health_is(&server, NotServing, NotServing).await;

    disk.is_out.store(false, Ordering::SeqCst);
    until_health_is(&server, Serving, Serving).await;
    let answer = reads(&server).await.expect("an answer");
    assert_eq!(answer.as_of, stamp("2026-11-23T08:00:31Z"));
    server.confirm("r1", "order", false).await.expect("it was kept");
    server.held("r2", ask("card", 1)).await;
    server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_quote_goes_on_while_the_store_is_away_and_ends_with_the_reason_when_its_answer_is_too_old() {
    let disk = Arc::new(Disk::default());
    let server = shop_on(&disk).await;
    let request = WatchQuoteRequest { ask: Some(ask("card", 1)) };
    let mut quotes = server.promises.clone().watch_quote(request).await.unwrap().into_inner();
    assert!(quotes.message().await.unwrap().is_some());
    disk.is_out.store(true, Ordering::SeqCst);
    come_again(server.quote(hold("r1", ask("card", 1), 900)).await.unwrap_err());
    server.turn(31);
    let told = tokio::time::timeout(PATIENCE, quotes.message()).await.expect("told in time");
    come_again(told.unwrap_err());
    disk.is_out.store(false, Ordering::SeqCst);
    server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_of_a_void_network_until_it_is_read_anew_and_health_says_so() {
    use ServingStatus::{NotServing, Serving};
    let mut doubtful = None;
    let server = TestServer::on(|clock| {
        let ledger = Arc::new(Doubtful { ledger: EmbeddedLedger::memory(clock), follower: Mutex::default() });
        doubtful = Some(Arc::clone(&ledger));
        ledger
    })
    .await;
    let ledger = doubtful.expect("made");
    let other: tonic::Request<_> = to("other", ApplyNetworkRequest { network: Some(shop()), validate_only: false });
    server.operations.clone().apply_network(other).await.expect("a second network");
    server.held("r1", ask("card", 1)).await;
    let other_quote = async || server.promises.clone().quote(to("other", read(ask("card", 1)))).await;

    ledger.follower().void(&NetworkId::default_network());
    come_again(reads(&server).await.unwrap_err());
    let held = hold("r2", ask("card", 1), 900);
    come_again(server.quote(held).await.unwrap_err());
    assert_eq!(server.state("r1").await, reservation::State::Held, "the store itself is asked");
    other_quote().await.expect("the others are followed");
    until_health_is(&server, NotServing, NotServing).await;

    // The full read that ends it.
    ledger.ledger.subscribe(ledger.follower()).await.expect("it is told anew");
    reads(&server).await.expect("an answer");
    until_health_is(&server, Serving, Serving).await;
    server.held("r2", ask("card", 1)).await;

    ledger.follower().void(&NetworkId::new("other").unwrap());
    come_again(other_quote().await.unwrap_err());
    until_health_is(&server, Serving, NotServing).await;
    reads(&server).await.expect("the network that speaks for all is followed");
    server.stopped().await;
}
