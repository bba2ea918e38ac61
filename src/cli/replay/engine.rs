//! Plays orders in virtual time: the same use cases, planner and ledger as the service's, on a clock that is turned to each
//! order's time, and with somebody who looks at every bucket that changes.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::ReplayOptions;
use super::report::{Busy, Lowest, ReplayReport};
use crate::app::request::{AdjustSupplyRequest, QuoteRequest, Start};
use crate::app::{App, AppError};
use crate::cli::exit::Failure;
use crate::cli::input::{self, NetworkFile, PlanFile};
use crate::cli::serve::placed;
use crate::clock::ManualClock;
use crate::domain::answer::Verdict;
use crate::domain::ask::{Ask, Destination, Line, Shipments, When};
use crate::domain::bucket::Availability;
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::network::{Network, ResourceIdx};
use crate::domain::reservation::Fingerprint;
use crate::domain::time::{Moment, Span};
use crate::edge::from_proto;
use crate::files::orders::{self, Order, OrderTime};
use crate::ledger::Ledger;
use crate::ledger::embedded::EmbeddedLedger;
use crate::ledger::feed::{Change, Entry, Snapshot, Subscriber};
use crate::proto::v1;
use crate::telemetry::Metrics;
use crate::view::Views;

/// How long an order is held before it is confirmed; no time passes between the two.
const HOLD: Span = Span::hours(1);
/// Orders between two looks at the progress bar.
const SHOW_EVERY: u64 = 64;

/// Plays the orders.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn play(options: &ReplayOptions) -> Result<ReplayReport, Failure> {
    let network = input::network(&options.network_file)?;
    let plan = options.supply_file.as_deref().map(|file| input::plan(file, None)).transpose()?;
    let orders = read_orders(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| cannot(format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let replay = Replay::set_up(options, &network, plan.as_ref(), &orders).await?;
        let report = replay.play_all(&orders).await;
        replay.ledger.close().await;
        report
    })
}

fn read_orders(options: &ReplayOptions) -> Result<Vec<Order>, Failure> {
    let name = options.orders_file.display().to_string();
    let file = std::fs::File::open(&options.orders_file)
        .map_err(|error| Failure::wrong("the orders can't be read", format!("{name}: {error}")))?;
    orders::read_all(&name, file).map_err(|faults| Failure::Wrong {
        what: format!("{name} is no list of orders"),
        faults: faults.to_string().lines().map(str::to_owned).collect(),
    })
}

fn cannot(fault: impl Into<String>) -> Failure {
    Failure::wrong("the orders can't be played", fault)
}

struct Replay<'a> {
    options: &'a ReplayOptions,
    clock: Arc<ManualClock>,
    ledger: Arc<dyn Ledger>,
    app: Arc<App>,
    views: Arc<Views>,
    watched: Arc<Watched>,
    network: NetworkId,
    begin: Moment,
}

impl<'a> Replay<'a> {
    async fn set_up(
        options: &'a ReplayOptions,
        file: &NetworkFile,
        plan: Option<&PlanFile>,
        orders: &[Order],
    ) -> Result<Replay<'a>, Failure> {
        // Civil times need the zones' calendars, which need no clock to be right.
        let unplaced = file.check(Moment(0)).map_err(|faults| wrong(file, faults))?;
        let first = orders.iter().find_map(|order| time_of(order, &unplaced));
        let begin = options.clock.map(Moment::from_timestamp).or(first).ok_or_else(|| {
            cannot(format!("{}: no order goes to a zone of the network", options.orders_file.display()))
        })?;

        let clock = Arc::new(ManualClock::at(begin));
        let ledger: Arc<dyn Ledger> = EmbeddedLedger::memory(Arc::clone(&clock) as Arc<_>);
        let views = Views::new(from_proto::network_document);
        let watched = Arc::new(Watched { views: Arc::clone(&views), lowest: Mutex::default() });
        let failed = |error: &dyn std::fmt::Display| cannot(error.to_string());
        ledger.subscribe(Arc::clone(&watched) as Arc<_>).await.map_err(|e| failed(&e))?;
        let (metrics, stop) = (Metrics::off(), CancellationToken::new());
        let (ledgers, seen, time) = (Arc::clone(&ledger), Arc::clone(&views), Arc::clone(&clock) as Arc<_>);
        let app = App::new(ledgers, seen, time, metrics, Span::ZERO, stop);
        let network = NetworkId::default_network();

        let message = v1::ApplyNetworkRequest { network: Some(file.network.clone()), validate_only: false };
        let request =
            from_proto::apply_network(message, begin).map_err(|faults| wrong(file, placed(&faults, Vec::new())))?;
        app.apply_network(&network, request, begin, None).await.map_err(|e| failed(&e))?;
        if let Some(plan) = plan {
            load(&app, &network, plan).await?;
        }
        Ok(Replay { options, clock, ledger, app, views, watched, network, begin })
    }

    async fn play_all(&self, orders: &[Order]) -> Result<ReplayReport, Failure> {
        let mut report = ReplayReport { later_taken: self.options.accept_later, ..ReplayReport::default() };
        let mut lacking: BTreeMap<String, u64> = BTreeMap::new();
        let mut span: Option<(Moment, Moment)> = None;
        let bar = progress(orders.len() as u64);
        let view = self.views.get(&self.network).ok_or_else(|| cannot("the network is gone"))?;
        let began = Instant::now();
        for (number, order) in (0..).zip(orders) {
            if self.options.limit.is_some_and(|limit| report.orders >= limit) {
                break;
            }
            if number % SHOW_EVERY == 0 {
                bar.set_position(number);
            }
            let Some(time) = time_of(order, &view.network) else {
                *report.passed_over.entry("unknown zone".to_owned()).or_default() += 1;
                continue;
            };
            if time < self.begin {
                *report.passed_over.entry("before the clock's beginning".to_owned()).or_default() += 1;
                continue;
            }
            // The ledger's clock never runs backwards: an order that is a little late in the file comes when it comes.
            let now = span.map_or(time, |(_, latest)| time.max(latest));
            self.clock.set(now);
            span = Some(span.map_or((now, now), |(first, _)| (first, now)));

            self.take_back(order, &view.network, number, &mut report).await?;
            let lines: Vec<Line> = order
                .lines
                .iter()
                .filter(|line| line.quantity > 0)
                .map(|line| Line { sku: Arc::clone(&line.sku), quantity: line.quantity })
                .collect();
            if lines.is_empty() {
                continue;
            }
            let count = lines.len() as u64;
            match self.promise(order, lines, number).await {
                Ok((verdict, taken, days, lacked)) => {
                    report.orders += 1;
                    report.lines += count;
                    match verdict {
                        Verdict::Promised => report.promised += 1,
                        Verdict::Later => report.later += 1,
                        Verdict::Unavailable => report.refused += 1,
                    }
                    if let Some(resource) = lacked {
                        *lacking.entry(resource).or_default() += 1;
                    }
                    if let (true, Some(days)) = (taken, days) {
                        report.days.add(days);
                    }
                }
                Err(AppError::Unknown(unknown)) => {
                    let what = unknown.first().map_or("name", |u| u.kind);
                    *report.passed_over.entry(format!("unknown {what}")).or_default() += 1;
                }
                Err(error) => {
                    return Err(cannot(format!("{}:{}: {error}", self.options.orders_file.display(), order.line)));
                }
            }
        }
        report.took = began.elapsed();
        bar.finish_and_clear();
        report.span = span.map(|(first, last)| (first.to_string(), last.to_string()));
        report.bottlenecks = lacking.into_iter().collect();
        self.look_at_the_load(&mut report);
        report.rank(self.options.top);
        Ok(report)
    }

    /// Asks and holds in one step, then confirms: the verdict, whether it was taken, the days until it arrives, what was lacking.
    async fn promise(
        &self,
        order: &Order,
        lines: Vec<Line>,
        number: u64,
    ) -> Result<(Verdict, bool, Option<i32>, Option<String>), AppError> {
        let id = ReservationId::from(Arc::<str>::from(format!("replay-{number}")));
        let or = |of_the_order: &str, of_all: &str| -> Option<Arc<str>> {
            [of_the_order, of_all].into_iter().find(|text| !text.is_empty()).map(Arc::from)
        };
        let ask = Ask {
            lines,
            destination: Destination::Zone(Arc::clone(&order.zone)),
            when: order.by.map_or(When::Any, When::ByDate),
            service: or(order.service.as_deref().unwrap_or_default(), &self.options.service),
            channel: or(order.channel.as_deref().unwrap_or_default(), &self.options.channel),
            offer: None,
            shipments: if self.options.split { Shipments::Split } else { Shipments::Together },
            min_confidence: None,
        };
        let request = QuoteRequest {
            request_id: Some(id.clone()),
            fingerprint: Fingerprint(u128::from(number)),
            ask,
            hold: Some(HOLD),
            accept_later: self.options.accept_later,
            reference: Arc::clone(&order.reference),
        };
        let quoted = self.app.quote(&self.network, request, None).await?;
        let taken = quoted.reservation.is_some();
        if taken {
            self.app.confirm(&self.network, &id, None, false, None).await?;
        }
        let days = self.views.get(&self.network).and_then(|view| {
            let zone = view.network.zone(view.network.find_zone(&order.zone)?);
            let ordered = zone.calendar.day_of(self.app.now());
            quoted.answer.promise.as_ref().map(|promise| promise.date.0 - ordered.0)
        });
        let lacked = quoted.answer.bottlenecks.first().map(|b| {
            b.resource.as_ref().map_or_else(|| "time (cutoffs, departures, transit)".to_owned(), ToString::to_string)
        });
        Ok((quoted.answer.verdict, taken, days, lacked))
    }

    /// What came back is a receipt of the day, in the stock that the product is first sold from.
    async fn take_back(
        &self,
        order: &Order,
        network: &Network,
        number: u64,
        report: &mut ReplayReport,
    ) -> Result<(), Failure> {
        for (i, line) in order.lines.iter().enumerate().filter(|(_, line)| line.quantity < 0) {
            let items = i64::from(line.quantity).abs();
            let Some(product) = network.find_product(&line.sku) else {
                *report.passed_over.entry("unknown product".to_owned()).or_default() += 1;
                continue;
            };
            report.returned_lines += 1;
            report.returned_items += items.unsigned_abs();
            let Some(stock) = network.product(product).sources.iter().find_map(|source| source.stock) else {
                continue; // Made to order: nobody can sell it again.
            };
            let resource = network.resource(stock);
            let request = AdjustSupplyRequest {
                request_id: Some(ReservationId::from(Arc::<str>::from(format!("return-{number}-{i}")))),
                fingerprint: Fingerprint(u128::from(number) << 32 | i as u128),
                resource: resource.id.clone(),
                start: Start::Date(network.calendar_of(resource).day_of(self.app.now())),
                buckets: 1,
                delta: items,
                reason: Arc::from("came back"),
            };
            let adjusted = self.app.adjust_supply(&self.network, &request, None).await;
            adjusted.map_err(|e| cannot(format!("{}:{}: {e}", self.options.orders_file.display(), order.line)))?;
        }
        Ok(())
    }

    fn look_at_the_load(&self, report: &mut ReplayReport) {
        let Some(view) = self.views.get(&self.network) else { return };
        let network = &view.network;
        for at in (0..network.resources().len()).map(ResourceIdx::new) {
            let resource = network.resource(at);
            let levels = view.levels(at);
            let drawn = || levels.all().filter(|(_, level)| level.drawn() > 0);
            let (Some((first, _)), Some((last, _))) = (drawn().next(), drawn().next_back()) else { continue };
            let today = network.calendar_of(resource).day_of(self.app.now());
            let supply = (*first..=*last)
                .map(|index| {
                    let standing = resource.standing(index, today);
                    levels.get(index).map_or(standing, |level| level.supply(standing))
                })
                .sum();
            report.busiest.push(Busy {
                resource: resource.id.to_string(),
                unit: resource.unit.to_string(),
                drawn: drawn().map(|(_, level)| level.drawn()).sum(),
                supply,
            });
        }
        let seen = self.watched.lowest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        report.lowest = seen.lowest.clone();
        report.overdrawn = seen.overdrawn.values().cloned().collect();
    }
}

fn time_of(order: &Order, network: &Network) -> Option<Moment> {
    let zone = network.zone(network.find_zone(&order.zone)?);
    Some(match order.time {
        OrderTime::Instant(at) => at,
        OrderTime::Civil(day, time) => zone.calendar.at(day, time),
    })
}

fn wrong(file: &NetworkFile, faults: Vec<String>) -> Failure {
    Failure::Wrong { what: format!("{} is no network", file.name()), faults }
}

async fn load(app: &App, network: &NetworkId, plan: &PlanFile) -> Result<(), Failure> {
    let Err((first, error)) = app.load_plan(network, &plan.supply()).await else { return Ok(()) };
    let faults = match error {
        AppError::Invalid(faults) => {
            let places = faults.iter().map(|fault| plan.place(first, &fault.path)).collect();
            placed(&faults, places)
        }
        other => vec![other.to_string()],
    };
    Err(Failure::Wrong { what: format!("{} can't be loaded", plan.name()), faults })
}

fn progress(orders: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} orders, {eta} left");
    ProgressBar::new(orders).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Follows the feed like a view, and looks at the balance of every bucket that changes.
struct Watched {
    views: Arc<Views>,
    lowest: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    lowest: Option<Lowest>,
    overdrawn: BTreeMap<(String, String), Lowest>,
}

impl Subscriber for Watched {
    fn reset(&self, network: &NetworkId, snapshot: Snapshot) {
        self.views.reset(network, snapshot);
    }

    fn changed(&self, network: &NetworkId, entries: &[Arc<Entry>]) {
        self.views.changed(network, entries);
        let Some(view) = self.views.get(network) else { return };
        let mut seen = self.lowest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for entry in entries {
            for change in &entry.changes {
                let Change::Bucket { resource, index, level } = change else { continue };
                if level.drawn() == 0 {
                    continue;
                }
                let Some(at) = view.network.find_resource(resource.as_str()) else { continue };
                let of = view.network.resource(at);
                let calendar = view.network.calendar_of(of);
                let balance = level.balance(of.standing(*index, calendar.day_of(entry.at)), entry.at);
                if balance >= 0 && seen.lowest.as_ref().is_some_and(|lowest| lowest.balance <= balance) {
                    continue;
                }
                let bucket = calendar.wall_clock(of.bucketing.start(calendar, *index)).to_string();
                let found = Lowest { resource: resource.to_string(), bucket: bucket.clone(), balance };
                if balance < 0 {
                    seen.overdrawn.insert((resource.to_string(), bucket), found.clone());
                }
                if seen.lowest.as_ref().is_none_or(|lowest| balance < lowest.balance) {
                    seen.lowest = Some(found);
                }
            }
        }
    }

    fn fresh(&self, network: Option<&NetworkId>, at: Moment) {
        self.views.fresh(network, at);
    }

    fn lost(&self, network: Option<&NetworkId>) {
        self.views.lost(network);
    }

    fn void(&self, network: &NetworkId) {
        self.views.void(network);
    }
}
