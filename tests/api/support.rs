//! A server, a small business, and short ways to say what tests say often.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use surety::clock::ManualClock;
use surety::domain::time::{Moment, Span};
use surety::ledger::Ledger;
use surety::ledger::redis::{self, Durability};
use surety::proto::v1::ask::When;
use surety::proto::v1::offer_service_client::OfferServiceClient;
use surety::proto::v1::operations_service_client::OperationsServiceClient;
use surety::proto::v1::promise_service_client::PromiseServiceClient;
use surety::proto::v1::*;
use surety::server::{Config, History, Ready, RedisStore, ServerError, Store};
use surety::telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_types::{ErrorDetails, StatusExt};

use crate::redis_world::Server;

/// A Monday, 09:00 in Leipzig.
pub const BEGIN: &str = "2026-11-23T08:00:00Z";
/// The longest that anything is waited for: a machine that is busy with other things is no defect.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub type Promises = PromiseServiceClient<Channel>;
pub type Operations = OperationsServiceClient<Channel>;

/// A server in this process.
pub struct TestServer {
    pub address: SocketAddr,
    pub clock: Arc<ManualClock>,
    pub promises: Promises,
    pub operations: Operations,
    pub stop: CancellationToken,
    pub task: JoinHandle<Result<(), ServerError>>,
}

impl TestServer {
    /// With nothing in it.
    pub async fn empty() -> TestServer {
        Self::with(|_| {}).await
    }

    /// With [`shop`] and five mugs in stock.
    pub async fn shop() -> TestServer {
        let server = Self::with(|config| config.network = Some(shop())).await;
        server.supply("lej.stock.mug", "2026-11-23", &[5]).await;
        server
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> TestServer {
        let (clock, mut config) = Self::configured();
        change(&mut config);
        Self::serving(Ready::open(config).await.expect("it opens"), clock).await
    }

    /// With [`shop`], on a Redis that others may use, by whose clock holds end.
    pub async fn shop_on(server: &Server) -> TestServer {
        let mut store = RedisStore::new(redis::Address::parse(&server.url()).expect("an address"));
        store.durability = Durability::Memory;
        Self::with(|config| {
            config.network = Some(shop());
            config.store = Store::Redis(Box::new(store));
        })
        .await
    }

    /// With [`shop`], on a ledger of the test's own.
    pub async fn on(ledger: impl FnOnce(Arc<ManualClock>) -> Arc<dyn Ledger>) -> TestServer {
        let (clock, mut config) = Self::configured();
        config.network = Some(shop());
        let ledger = ledger(clock.clone());
        Self::serving(Ready::on(ledger, config).await.expect("it opens"), clock).await
    }

    /// With [`shop`], on a ledger that was opened with the test's own clock.
    pub async fn on_with(ledger: Arc<dyn Ledger>, clock: Arc<ManualClock>) -> TestServer {
        let (_, mut config) = Self::configured();
        (config.network, config.clock) = (Some(shop()), clock.clone());
        Self::serving(Ready::on(ledger, config).await.expect("it opens"), clock).await
    }

    fn configured() -> (Arc<ManualClock>, Config) {
        let clock = Arc::new(ManualClock::at(at(BEGIN)));
        let config = Config {
            store: Store::Memory,
            history: History::default(),
            clock: clock.clone(),
            telemetry: Telemetry::off(),
            max_requests: 4_096,
            max_streams: 1_000,
            max_unary: Duration::from_secs(60),
            stale_reads: Duration::from_secs(30),
            notice: Duration::ZERO,
            drain: Duration::from_secs(10),
            network: None,
            supply: vec![],
        };
        (clock, config)
    }

    async fn serving(ready: Ready, clock: Arc<ManualClock>) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let task = tokio::spawn(ready.serve(listener, stop.clone().cancelled_owned()));
        let channel = channel(address).await;
        TestServer {
            address,
            clock,
            promises: PromiseServiceClient::new(channel.clone()),
            operations: OperationsServiceClient::new(channel),
            stop,
            task,
        }
    }

    pub async fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(channel(self.address).await)
    }

    pub async fn offers(&self) -> OfferServiceClient<Channel> {
        OfferServiceClient::new(channel(self.address).await)
    }

    /// Tells it to stop and waits until it has.
    pub async fn stopped(self) {
        let TestServer { stop, task, promises, operations, .. } = self;
        drop((promises, operations));
        stop.cancel();
        tokio::time::timeout(PATIENCE, task).await.expect("it stops").expect("no panic").expect("it ends well");
    }

    pub fn turn(&self, seconds: i64) {
        self.clock.advance(Span::seconds(seconds));
    }

    pub async fn quote(&self, request: QuoteRequest) -> Result<QuoteResponse, Status> {
        self.promises.clone().quote(request).await.map(|r| r.into_inner())
    }

    /// A hold that must succeed.
    pub async fn held(&self, id: &str, ask: Ask) -> QuoteResponse {
        let answer = self.quote(hold(id, ask, 900)).await.expect("an answer");
        assert_eq!(answer.verdict(), Verdict::Promised, "{answer:?}");
        answer
    }

    pub async fn confirm(&self, id: &str, reference: &str, retake: bool) -> Result<Reservation, Status> {
        let request = ConfirmReservationRequest { id: id.into(), reference: reference.into(), retake };
        let answer = self.promises.clone().confirm_reservation(request).await?.into_inner();
        Ok(answer.reservation.expect("a reservation"))
    }

    pub async fn release(&self, id: &str, reason: &str) -> Result<Reservation, Status> {
        let request = ReleaseReservationRequest { id: id.into(), reason: reason.into() };
        let answer = self.promises.clone().release_reservation(request).await?.into_inner();
        Ok(answer.reservation.expect("a reservation"))
    }

    pub async fn extend(&self, id: &str, seconds: i64) -> Result<Reservation, Status> {
        let request = ExtendReservationRequest { id: id.into(), hold: Some(duration(seconds)) };
        let answer = self.promises.clone().extend_reservation(request).await?.into_inner();
        Ok(answer.reservation.expect("a reservation"))
    }

    pub async fn evidence(&self, id: &str) -> Result<GetReservationResponse, Status> {
        let request = GetReservationRequest { id: id.into() };
        self.promises.clone().get_reservation(request).await.map(|r| r.into_inner())
    }

    pub async fn state(&self, id: &str) -> reservation::State {
        self.evidence(id).await.expect("a reservation").reservation.expect("set").state()
    }

    pub async fn apply(&self, network: Network) -> Result<i64, Status> {
        let request = ApplyNetworkRequest { network: Some(network), validate_only: false };
        self.operations.clone().apply_network(request).await.map(|r| r.into_inner().version)
    }

    /// Sets supply, which must succeed.
    pub async fn supply(&self, resource: &str, start: &str, units: &[i64]) {
        self.try_supply(vec![plan(&[(resource, start, units)])]).await.expect("a good plan");
    }

    pub async fn try_supply(&self, messages: Vec<SetSupplyRequest>) -> Result<SetSupplyResponse, Status> {
        self.operations.clone().set_supply(tokio_stream::iter(messages)).await.map(|r| r.into_inner())
    }

    pub async fn buckets(&self, resource: &str, from: &str, days: i32) -> Vec<Bucket> {
        let request = ListBucketsRequest { resource: resource.into(), from: from.into(), days, ..Default::default() };
        self.operations.clone().list_buckets(request).await.expect("buckets").into_inner().buckets
    }

    /// The one bucket of a day.
    pub async fn bucket(&self, resource: &str, day: &str) -> Bucket {
        let mut buckets = self.buckets(resource, day, 1).await;
        // Stock on hand of days before is listed too.
        buckets.pop().unwrap_or_else(|| panic!("{resource} has no bucket on {day}"))
    }

    /// What is taken of it: (held, confirmed).
    pub async fn taken(&self, resource: &str, day: &str) -> (i64, i64) {
        let bucket = self.bucket(resource, day).await;
        (bucket.held, bucket.confirmed)
    }

    pub async fn reservations(&self, request: ListReservationsRequest) -> Result<ListReservationsResponse, Status> {
        self.operations.clone().list_reservations(request).await.map(|r| r.into_inner())
    }
}

pub async fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address").connect().await.expect("a connection")
}

/// Waits until it is so, and says what was waited for if it never is.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn at(rfc3339: &str) -> Moment {
    Moment::from_timestamp(rfc3339.parse().expect("an instant"))
}

pub fn stamp(rfc3339: &str) -> Option<pbjson_types::Timestamp> {
    let at: jiff::Timestamp = rfc3339.parse().expect("an instant");
    Some(pbjson_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

pub fn duration(seconds: i64) -> pbjson_types::Duration {
    pbjson_types::Duration { seconds, nanos: 0 }
}

/// A warehouse in Leipzig: packing, a van, two kinds of stock, hourly slots in the city.
pub fn shop() -> Network {
    let week = ["WEEKDAY_MONDAY", "WEEKDAY_TUESDAY", "WEEKDAY_WEDNESDAY", "WEEKDAY_THURSDAY", "WEEKDAY_FRIDAY"];
    let all = [&week[..], &["WEEKDAY_SATURDAY", "WEEKDAY_SUNDAY"]].concat();
    network(json!({
        "sites": [{ "id": "lej", "display_name": "Leipzig", "time_zone": "Europe/Berlin" }],
        "zones": [
            { "id": "de", "time_zone": "Europe/Berlin", "postal_prefixes": ["DE-"] },
            { "id": "south", "time_zone": "Europe/Berlin", "postal_prefixes": ["DE-8", "DE-9"] },
            { "id": "city", "time_zone": "Europe/Berlin", "postal_prefixes": ["DE-04"] },
        ],
        "resources": [
            { "id": "lej.pack", "site": "lej", "kind": "KIND_CAPACITY", "unit": "minutes", "horizon_days": 30,
              "weekly": [{ "days": week, "units": 100 }] },
            { "id": "lej.van", "site": "lej", "kind": "KIND_CAPACITY", "unit": "parcels", "horizon_days": 30,
              "weekly": [{ "days": all, "units": 10 }], "closed": ["2026-12-06"] },
            { "id": "lej.slot", "site": "lej", "kind": "KIND_CAPACITY", "unit": "stops", "horizon_days": 10,
              "bucket": "3600s", "weekly": [{ "days": all, "from": "08:00", "to": "18:00", "units": 2 }] },
            { "id": "lej.stock.mug", "site": "lej", "kind": "KIND_STOCK", "unit": "items" },
            { "id": "lej.stock.cup", "site": "lej", "kind": "KIND_STOCK", "unit": "items", "horizon_days": 30,
              "weekly": [{ "days": ["WEEKDAY_MONDAY"], "units": 7 }] },
        ],
        "processes": [
            { "id": "pack", "steps": [
                { "resource": "lej.pack", "per_item": 1, "cutoff": "14:00", "lead_time": "3600s" }] },
            { "id": "fetch", "steps": [{ "lead_time": "600s" }] },
        ],
        "products": [
            { "sku": "mug", "sources": [{ "site": "lej", "stock": "lej.stock.mug", "process": "pack" }],
              "substitutes": ["cup"] },
            { "sku": "cup", "sources": [{ "site": "lej", "stock": "lej.stock.cup", "process": "pack" }] },
            { "sku": "card", "sources": [{ "site": "lej", "process": "pack" }] },
            { "sku": "gift", "sources": [{ "site": "lej", "process": "fetch" }] },
        ],
        "lanes": [
            { "id": "standard", "site": "lej", "zone": "de", "service": "standard", "departure_time": "17:00",
              "transit_days": 1, "resource": "lej.van", "per_shipment": 1 },
            { "id": "express", "site": "lej", "zone": "de", "service": "express", "departure_time": "17:00",
              "transit_days": 1 },
            { "id": "south", "site": "lej", "zone": "south", "service": "standard", "departure_time": "17:00",
              "transit_days": 2, "resource": "lej.van", "per_shipment": 1 },
            { "id": "slots", "site": "lej", "zone": "city", "service": "slot", "resource": "lej.slot",
              "per_shipment": 1 },
        ],
        "channels": [{ "id": "web", "priority": 1 }],
    }))
}

pub fn network(document: serde_json::Value) -> Network {
    serde_json::from_value(document).expect("a network")
}

/// By standard service to Germany, as soon as can be.
pub fn ask(sku: &str, quantity: i32) -> Ask {
    Ask {
        lines: vec![Line { sku: sku.into(), quantity }],
        destination: zone("de"),
        service: "standard".into(),
        ..Default::default()
    }
}

pub fn zone(id: &str) -> Option<Destination> {
    Some(Destination { to: Some(destination::To::Zone(id.into())) })
}

pub fn address(country: &str, postal_code: &str) -> Option<Destination> {
    let address = Address { country: country.into(), postal_code: postal_code.into() };
    Some(Destination { to: Some(destination::To::Address(address)) })
}

/// The same by a day.
pub fn by(day: &str, ask: Ask) -> Ask {
    Ask { when: Some(When::ByDate(day.into())), ..ask }
}

/// The same on a day.
pub fn on(day: &str, ask: Ask) -> Ask {
    Ask { when: Some(When::OnDate(day.into())), ..ask }
}

/// A read-only question.
pub fn read(ask: Ask) -> QuoteRequest {
    QuoteRequest { ask: Some(ask), ..Default::default() }
}

/// A question with a hold.
pub fn hold(id: &str, ask: Ask, seconds: i64) -> QuoteRequest {
    QuoteRequest { request_id: id.into(), hold: Some(duration(seconds)), ..read(ask) }
}

pub fn plan(lines: &[(&str, &str, &[i64])]) -> SetSupplyRequest {
    let line = |(resource, start, units): &(&str, &str, &[i64])| SupplyLine {
        resource: (*resource).into(),
        start: (*start).into(),
        units: units.to_vec(),
    };
    SetSupplyRequest { lines: lines.iter().map(line).collect() }
}

/// A request to one of the networks.
pub fn to<T>(network: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("surety-network", network.parse().expect("ASCII"));
    request
}

/// The details of a refusal with this code; every one says who refused and why.
#[track_caller]
pub fn refusal(status: &Status, code: Code) -> ErrorDetails {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("without ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "surety");
    assert!(!status.message().is_empty());
    details
}

/// The fields that BadRequest names.
#[track_caller]
pub fn faults(status: &Status) -> Vec<String> {
    let details = refusal(status, Code::InvalidArgument);
    let bad = details.bad_request().unwrap_or_else(|| panic!("without BadRequest: {status:?}"));
    assert!(bad.field_violations.iter().all(|v| !v.description.is_empty()));
    bad.field_violations.iter().map(|v| v.field.clone()).collect()
}

/// The subjects that PreconditionFailure names.
#[track_caller]
pub fn subjects(status: &Status) -> Vec<String> {
    let details = refusal(status, Code::FailedPrecondition);
    let failed = details.precondition_failure().unwrap_or_else(|| panic!("without PreconditionFailure: {status:?}"));
    failed.violations.iter().map(|v| v.subject.clone()).collect()
}
