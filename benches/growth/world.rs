//! A business of a size: so many products, each made in three steps on resources of its own, over so many days; with the service's
//! use cases on a ledger in memory, and where asked for on a Redis of its own.

use std::sync::Arc;

use surety::app::App;
use surety::app::request::{Start, SupplyLine};
use surety::clock::ManualClock;
use surety::domain::bucket::BucketLevel;
use surety::domain::id::{NetworkId, ResourceId};
use surety::domain::levels::Levels;
use surety::domain::time::{Day, Moment, Span};
use surety::edge::from_proto;
use surety::ledger::Ledger;
use surety::ledger::embedded::EmbeddedLedger;
use surety::ledger::feed::{Snapshot, Subscriber};
use surety::ledger::redis::{Address, Durability, RedisConfig, RedisLedger, StoreClock};
use surety::proto::v1;
use surety::telemetry::Telemetry;
use surety::view::Views;
use tokio_util::sync::CancellationToken;

use super::redis::Server;

/// 2026-12-01T08:00Z, a Tuesday.
pub const NOW: Moment = Moment(1_796_112_000_000_000);
/// Supply that never ends here.
pub const PLENTY: i64 = 1 << 40;
/// The steps of each product.
pub const STEPS: [&str; 3] = ["pick", "pack", "load"];

/// What is to be measured on.
#[derive(Clone, Copy)]
pub struct Shape {
    pub products: usize,
    /// Resources that are there beside those of the products.
    pub idle: usize,
    pub days: i32,
    /// Buckets a day.
    pub per_day: i32,
    /// A plan with a number for each bucket is loaded; else there is a standing plan, and buckets are known once they are drawn on.
    pub planned: bool,
    pub with_redis: bool,
}

pub struct World {
    pub shape: Shape,
    pub memory: Arc<App>,
    pub redis: Option<Arc<App>>,
    /// A view that nobody else looks at, to publish to.
    pub views: Arc<Views>,
    _server: Option<Server>,
}

/// Names of one length.
pub fn sku(product: usize) -> String {
    format!("sku-{product:07}")
}

pub fn resource(step: &str, product: usize) -> String {
    format!("{step}-{product:07}")
}

/// The product of planned worlds that can only be made on the last three days.
pub const LATE: &str = "sku-late";

fn today() -> Day {
    Day((NOW.0 / 86_400_000_000) as i32)
}

impl Shape {
    /// The first that a plan has a number for: tomorrow's, as some of today's are over.
    pub fn first_bucket(&self) -> i32 {
        (today().0 + 1) * self.per_day
    }

    /// The first day on which what is made in the first bucket arrives.
    pub fn first_arrival(&self) -> Day {
        today() + 2
    }

    /// Each product's name and that of its resources' ends.
    fn products(&self) -> impl Iterator<Item = (String, String)> {
        let late = self.planned.then(|| (LATE.to_owned(), "late".to_owned()));
        (0..self.products).map(|i| (sku(i), format!("{i:07}"))).chain(late)
    }

    fn network(&self) -> v1::Network {
        let weekly = || v1::WeeklySupply { days: (1..=7).collect(), units: PLENTY, ..v1::WeeklySupply::default() };
        let capacity = |id: String| v1::Resource {
            id,
            site: "s".to_owned(),
            kind: v1::resource::Kind::Capacity.into(),
            bucket: Some(pbjson_types::Duration { seconds: i64::from(86_400 / self.per_day), nanos: 0 }),
            weekly: if self.planned { Vec::new() } else { vec![weekly()] },
            horizon_days: self.days,
            ..v1::Resource::default()
        };
        let step = |id: String| v1::Step { resource: id, per_line: 1, per_item: 1, ..v1::Step::default() };
        let mut network = v1::Network {
            sites: vec![v1::Site { id: "s".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..v1::Site::default() }],
            zones: vec![v1::Zone { id: "z".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..v1::Zone::default() }],
            lanes: vec![v1::Lane {
                id: "l".to_owned(),
                site: "s".to_owned(),
                zone: "z".to_owned(),
                service: "standard".to_owned(),
                departure_time: "17:30".to_owned(),
                transit_days: 1,
                ..v1::Lane::default()
            }],
            ..v1::Network::default()
        };
        network.resources.extend((0..self.idle).map(|i| capacity(format!("idle-{i:07}"))));
        for (sku, end) in self.products() {
            let ids = STEPS.map(|work| format!("{work}-{end}"));
            network.resources.extend(ids.iter().cloned().map(capacity));
            let process = format!("process-{end}");
            network.processes.push(v1::Process { id: process.clone(), steps: ids.map(step).to_vec() });
            let source = v1::Source { site: "s".to_owned(), process, ..v1::Source::default() };
            network.products.push(v1::Product { sku, sources: vec![source], ..v1::Product::default() });
        }
        network
    }

    fn plan(&self) -> Vec<SupplyLine> {
        if !self.planned {
            return Vec::new();
        }
        let line = |(sku, id): (String, String)| {
            let units = |bucket| if sku == LATE && bucket < (self.days - 3) * self.per_day { 0 } else { PLENTY };
            SupplyLine {
                resource: ResourceId::new(&id).expect("a name"),
                start: Start::Date(today() + 1),
                units: (0..self.days * self.per_day).map(units).collect(),
            }
        };
        let of_steps = |(sku, end): (String, String)| STEPS.map(|work| (sku.clone(), format!("{work}-{end}")));
        self.products().flat_map(of_steps).map(line).collect()
    }
}

impl World {
    pub async fn open(shape: Shape) -> World {
        let clock = Arc::new(ManualClock::at(NOW));
        let ledger = EmbeddedLedger::memory(Arc::clone(&clock) as Arc<_>);
        let (memory, views) = serve(ledger, Arc::clone(&clock), shape).await;
        let server = if shape.with_redis { Server::start(false) } else { None };
        let redis = match &server {
            Some(server) => {
                let address = Address::parse(&server.url()).expect("an address");
                let clock_of_store = StoreClock::Given(Arc::clone(&clock) as Arc<_>);
                let config =
                    RedisConfig { durability: Durability::Memory, clock: clock_of_store, ..RedisConfig::new(address) };
                let ledger = RedisLedger::open(config).await.expect("the ledger opens");
                Some(serve(ledger, clock, shape).await.0)
            }
            None => None,
        };
        World { shape, memory, redis, views: aside(&views, shape), _server: server }
    }
}

/// The use cases on a ledger, with the network and the plan in it.
async fn serve(ledger: Arc<dyn Ledger>, clock: Arc<ManualClock>, shape: Shape) -> (Arc<App>, Arc<Views>) {
    let views = Views::new(from_proto::network_document);
    ledger.subscribe(Arc::clone(&views) as Arc<_>).await.expect("it can be followed");
    let (metrics, stop) = (Telemetry::off().metrics(), CancellationToken::new());
    let app = App::new(ledger, Arc::clone(&views), clock, metrics, Span::ZERO, stop);
    let asked = v1::ApplyNetworkRequest { network: Some(shape.network()), validate_only: false };
    let asked = from_proto::apply_network(asked, NOW).expect("a sound network");
    let default = NetworkId::default_network();
    app.apply_network(&default, asked, NOW, None).await.expect("the network is applied");
    app.load_plan(&default, &shape.plan()).await.expect("the plan is loaded");
    (app, views)
}

/// Views of the same network and plan that no ledger tells anything.
fn aside(followed: &Views, shape: Shape) -> Arc<Views> {
    let id = NetworkId::default_network();
    let view = followed.get(&id).expect("the network is there");
    let levels = || {
        let level = |i| (shape.first_bucket() + i, BucketLevel { set: Some(PLENTY), ..BucketLevel::default() });
        Levels::new((0..shape.days * shape.per_day).map(level).collect())
    };
    let planned = if shape.planned { view.network.resources() } else { &[] };
    let buckets = planned.iter().map(|resource| (resource.id.clone(), levels())).collect();
    let views = Views::new(from_proto::network_document);
    views.prepare(Arc::clone(&view.document), Arc::clone(&view.network));
    let (document, network_version) = (Arc::clone(&view.document), view.version);
    views.reset(&id, Snapshot { network_version, document, applied_at: NOW, buckets, ..Snapshot::default() });
    views.fresh(None, NOW);
    views
}
