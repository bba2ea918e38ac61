//! All that the orders of the checked network leave out, on a network of its own: offers and allocations, plans that are sent again,
//! supply that comes and goes, fulfilment, lists, scorecards. What it leaves behind is judged by the audit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use surety::proto::v1::offer_service_client::OfferServiceClient;
use surety::proto::v1::operations_service_client::OperationsServiceClient;
use surety::proto::v1::promise_service_client::PromiseServiceClient;
use surety::proto::v1::*;
use tonic::transport::Channel as Connection;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::book::Book;
use crate::clients::request;
use crate::dice::Dice;
use crate::service::Service;
use crate::shop::{self, DAYS, MUGS, SLOTS, VANS, day};

/// The network.
pub const NETWORK: &str = "season";

const PATIENCE: Duration = Duration::from_secs(4);
/// Reservations that one customer has at a time.
const KEPT: usize = 4;

/// The document: that of the shop with a channel, and a horizon of the spare supply by which two of them differ.
pub fn document(horizon: i32) -> Network {
    let mut network = shop::network();
    network.channels = vec![Channel { id: "vip".into(), priority: 1, ..Default::default() }];
    for resource in network.resources.iter_mut().filter(|resource| resource.id == "spare") {
        resource.horizon_days = horizon;
    }
    network
}

/// A server's three faces.
#[derive(Clone)]
pub struct Counter {
    pub promises: PromiseServiceClient<Connection>,
    pub operations: OperationsServiceClient<Connection>,
    pub offers: OfferServiceClient<Connection>,
}

impl Counter {
    pub fn of(service: &Service) -> Counter {
        Counter { promises: service.promises(), operations: service.operations(), offers: service.offers() }
    }
}

/// What all customers share.
pub struct Season {
    book: Arc<Book>,
    counters: Vec<Counter>,
    stop: AtomicBool,
    /// The newest offer, by its number; 0: there is none yet.
    offer: AtomicU64,
    /// What was called, with how it was answered.
    said: Mutex<BTreeMap<(&'static str, String), u64>>,
}

impl Season {
    /// `offers`: so many there are already.
    pub fn new(book: Arc<Book>, services: &[Service], offers: u64) -> Arc<Season> {
        let counters = services.iter().map(Counter::of).collect();
        let (stop, offer, said) = (AtomicBool::new(false), AtomicU64::new(offers), Mutex::default());
        Arc::new(Season { book, counters, stop, offer, said })
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub fn has_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Offers that were approved, at most.
    pub fn offers(&self) -> u64 {
        self.offer.load(Ordering::SeqCst)
    }

    /// Notes an answer; one that nobody may get is a violation.
    pub fn note<T>(&self, what: &'static str, answer: Result<tonic::Response<T>, Status>) -> Option<T> {
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        *self.said.lock().unwrap_or_else(PoisonError::into_inner).entry((what, format!("{code:?}"))).or_default() += 1;
        match answer {
            Ok(answer) => return Some(answer.into_inner()),
            Err(status) => match code {
                // Servers and the store come and go, others are faster, and what was kept is forgotten.
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {}
                // How the client's library tells that a server closed the connection; one of the server's own has a reason.
                Code::Internal if status.get_error_details().error_info().is_none() => {}
                Code::FailedPrecondition | Code::ResourceExhausted | Code::NotFound => {}
                _ => self.book.violation(format!("{what} was answered {status:?}")),
            },
        }
        None
    }

    /// Calls that were made.
    pub fn calls(&self) -> u64 {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// How everything was answered, a line a call.
    pub fn told(&self) -> Vec<String> {
        let mut lines: BTreeMap<&str, String> = BTreeMap::new();
        for ((what, code), many) in &*self.said.lock().unwrap_or_else(PoisonError::into_inner) {
            let line = lines.entry(what).or_default();
            line.push_str(&format!(" {code} {many}"));
        }
        lines.into_iter().map(|(what, line)| format!("{what}:{line}")).collect()
    }

    fn counter(&self, dice: &mut Dice) -> Counter {
        self.counters[dice.below(self.counters.len() as u64) as usize].clone()
    }
}

fn of<T>(message: T) -> tonic::Request<T> {
    request(NETWORK, PATIENCE, message)
}

/// Somebody who asks, buys and looks without end.
pub struct Customer {
    season: Arc<Season>,
    dice: Dice,
    /// Milliseconds from one to the next thing that it does, at most.
    pause: u64,
    mine: Vec<String>,
}

impl Customer {
    pub fn new(season: Arc<Season>, dice: Dice, pause: u64) -> Customer {
        Customer { season, dice, pause, mine: Vec::new() }
    }

    pub async fn run(mut self) {
        while !self.season.has_stopped() {
            let counter = self.season.counter(&mut self.dice);
            let what = self.dice.below(100);
            self.once(counter, what).await;
            let pause = self.dice.below(self.pause);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Each thing once, so that a server that is measured as idle has opened all that it ever opens.
    pub async fn all_once(mut self, counter: &Counter) {
        let apply = ApplyNetworkRequest { network: Some(document(60)), validate_only: false };
        self.season.note("ApplyNetwork", counter.clone().operations.apply_network(of(apply)).await);
        for what in 0..100 {
            self.once(counter.clone(), what).await;
        }
        campaign(&self.season, &mut counter.clone(), &mut self.dice).await;
    }

    /// Scarce, and now and then by a channel or of an offer.
    fn ask(&mut self) -> Ask {
        let mut ask = shop::scarce(&mut self.dice);
        match self.dice.below(4) {
            0 => ask.channel = "vip".into(),
            1 if self.season.offers() > 0 => ask.offer = format!("offer-{}", self.season.offers()),
            _ => {}
        }
        ask
    }

    async fn once(&mut self, mut counter: Counter, what: u64) {
        let season = Arc::clone(&self.season);
        match what {
            0..32 => {
                let quote = QuoteRequest { ask: Some(self.ask()), ..Default::default() };
                season.note("Quote", counter.promises.quote(of(quote)).await);
            }
            32..42 => {
                let ask = Ask { when: None, ..self.ask() };
                let dates = ListPromiseDatesRequest { ask: Some(ask), days: 14, ..Default::default() };
                season.note("ListPromiseDates", counter.promises.list_promise_dates(of(dates)).await);
            }
            42..72 => self.order(counter).await,
            72..80 => self.finish(counter).await,
            80..84 => {
                let mut list = ListReservationsRequest { page_size: 50, ..Default::default() };
                match self.dice.below(4) {
                    0 => list.at_risk = true,
                    1 => list.backlog = true,
                    2 => list.resource = "slot".into(),
                    _ => list.set_state(reservation::State::Confirmed),
                }
                season.note("ListReservations", counter.operations.list_reservations(of(list)).await);
            }
            84..86 => {
                let list = ListBucketsRequest { site: "lej".into(), ..Default::default() };
                season.note("ListBuckets", counter.operations.list_buckets(of(list)).await);
            }
            86..88 => {
                let channel = if self.dice.once_in(2) { "vip" } else { "" };
                let card =
                    GetScorecardRequest { from: day(0), to: day(DAYS), channel: channel.into(), ..Default::default() };
                season.note("GetScorecard", counter.offers.get_scorecard(of(card)).await);
            }
            88..92 => self.adjust(counter).await,
            92..94 => self.replan(counter).await,
            94..96 => self.allocate(counter).await,
            96..98 => {
                let moved = RepromiseRequest { limit: 50, validate_only: self.dice.once_in(3), ..Default::default() };
                season.note("Repromise", counter.operations.repromise(of(moved)).await);
            }
            _ => {
                if let Some(id) = self.mine.first().cloned() {
                    let fixed = self.dice.once_in(2);
                    let fix = FixReservationRequest { id, fixed, reason: "a gift".into() };
                    season.note("FixReservation", counter.operations.fix_reservation(of(fix)).await);
                }
            }
        }
    }

    /// A hold of a few seconds, of which many end by themselves.
    async fn order(&mut self, mut counter: Counter) {
        let season = Arc::clone(&self.season);
        let (id, time) = (uuid::Uuid::new_v4().to_string(), Duration::from_secs(self.dice.range(1, 6) as u64));
        let hold = QuoteRequest { accept_later: self.dice.once_in(2), ..shop::hold(&id, self.ask(), time) };
        let answer = season.note("Quote with hold", counter.promises.quote(of(hold)).await);
        if answer.is_none_or(|answer| answer.reservation.is_none()) {
            return;
        }
        let next = self.dice.below(100);
        if next < 20 {
            let extend = ExtendReservationRequest { id: id.clone(), hold: Some(shop::duration(time)) };
            season.note("ExtendReservation", counter.promises.extend_reservation(of(extend)).await);
        } else if next < 40 {
            let amend = AmendReservationRequest {
                id: id.clone(),
                request_id: uuid::Uuid::new_v4().to_string(),
                ask: Some(self.ask()),
                accept_later: true,
            };
            season.note("AmendReservation", counter.promises.amend_reservation(of(amend)).await);
        }
        match self.dice.below(100) {
            0..45 => {
                let confirm = ConfirmReservationRequest { id: id.clone(), ..Default::default() };
                if season.note("ConfirmReservation", counter.promises.confirm_reservation(of(confirm)).await).is_some()
                {
                    self.mine.push(id);
                }
            }
            45..60 => {
                let release = ReleaseReservationRequest { id, reason: "changed my mind".into() };
                season.note("ReleaseReservation", counter.promises.release_reservation(of(release)).await);
            }
            _ => {}
        }
        while self.mine.len() > KEPT {
            self.finish(counter.clone()).await;
        }
    }

    /// The oldest that it has is delivered, or given back.
    async fn finish(&mut self, mut counter: Counter) {
        if self.mine.is_empty() {
            return;
        }
        let (season, id) = (Arc::clone(&self.season), self.mine.remove(0));
        if self.dice.once_in(3) {
            let at = shop::now();
            let stamp = pbjson_types::Timestamp {
                seconds: at.div_euclid(1_000_000),
                nanos: (at.rem_euclid(1_000_000) * 1_000) as i32,
            };
            let report = Fulfilment { id, shipped_at: Some(stamp), delivered_at: Some(stamp) };
            let report = ReportFulfilmentRequest { fulfilments: vec![report] };
            season.note("ReportFulfilment", counter.operations.report_fulfilment(of(report)).await);
        } else {
            let release = ReleaseReservationRequest { id, ..Default::default() };
            season.note("ReleaseReservation", counter.promises.release_reservation(of(release)).await);
        }
    }

    async fn adjust(&mut self, mut counter: Counter) {
        let resource = ["slot", "van"][self.dice.below(2) as usize];
        let adjust = AdjustSupplyRequest {
            request_id: uuid::Uuid::new_v4().to_string(),
            resource: resource.into(),
            start: day(self.dice.range(1, DAYS)),
            buckets: self.dice.range(1, 3) as i32,
            delta: self.dice.range(-3, 4),
            reason: "line 2".into(),
        };
        self.season.note("AdjustSupply", counter.operations.adjust_supply(of(adjust)).await);
    }

    /// The plan again: what is used up for good (rule 22), and on top of it what the first plan gave, so that there is always
    /// something to sell.
    async fn replan(&mut self, mut counter: Counter) {
        let list = ListBucketsRequest { site: "lej".into(), from: day(0), days: DAYS as i32 + 1, ..Default::default() };
        let Some(listed) = self.season.note("ListBuckets", counter.operations.list_buckets(of(list)).await) else {
            return;
        };
        let mut lines = Vec::new();
        for (resource, units) in [("slot", SLOTS), ("van", VANS), ("mugs", MUGS)] {
            for bucket in listed.buckets.iter().filter(|bucket| bucket.resource == resource) {
                let from = shop::instant(&bucket.from).expect("a beginning");
                let start = jiff::Timestamp::from_microsecond(from).expect("an instant").to_string()[..10].to_owned();
                let units = vec![units + bucket.confirmed];
                lines.push(SupplyLine { resource: resource.into(), start, units });
            }
        }
        let plan = tokio_stream::iter(vec![SetSupplyRequest { lines }]);
        self.season.note("SetSupply", counter.operations.set_supply(of(plan)).await);
    }

    async fn allocate(&mut self, mut counter: Counter) {
        let units = if self.dice.once_in(3) { 0 } else { self.dice.range(1, 3) };
        let allocate = SetAllocationRequest {
            request_id: uuid::Uuid::new_v4().to_string(),
            channel: "vip".into(),
            resource: "van".into(),
            start: day(1),
            units: vec![units; DAYS as usize - 1],
            release_hours: self.dice.range(0, 48) as i32,
            max_units: Vec::new(),
        };
        self.season.note("SetAllocation", counter.operations.set_allocation(of(allocate)).await);
    }
}

/// Marketing and planning: rarer, larger things. Offers are remembered for ever, up to 10,000, so there are few of them.
pub async fn market(season: Arc<Season>, mut dice: Dice, every: Duration) {
    while !season.has_stopped() {
        let mut counter = season.counter(&mut dice);
        campaign(&season, &mut counter, &mut dice).await;
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < every && !season.has_stopped() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// One offer, and what goes with it.
pub async fn campaign(season: &Season, counter: &mut Counter, dice: &mut Dice) {
    let network = Some(document(dice.range(30, 60) as i32));
    let apply = ApplyNetworkRequest { network, validate_only: dice.once_in(3) };
    season.note("ApplyNetwork", counter.operations.apply_network(of(apply)).await);
    season.note("GetNetwork", counter.operations.get_network(of(GetNetworkRequest {})).await);

    let last = season.offers();
    let days = dice.range(2, 5);
    let offer = Offer {
        id: format!("offer-{}", last + 1),
        lines: vec![Line { sku: "card".into(), quantity: 1 }],
        zones: vec![ZoneShare { zone: "de".into(), share: 1.0 }],
        service: "van".into(),
        starts: day(1),
        ends: day(days),
        promise: Some(offer::Promise::WithinDays(5)),
        orders: vec![1; days as usize],
        ..Default::default()
    };
    let check = CheckOfferRequest { offer: Some(offer.clone()), suppose: Vec::new() };
    season.note("CheckOffer", counter.offers.check_offer(of(check)).await);
    let suggest =
        SuggestOffersRequest { starts: day(1), ends: day(3), zone: "de".into(), within_days: 5, ..Default::default() };
    season.note("SuggestOffers", counter.offers.suggest_offers(of(suggest)).await);
    let approve = ApproveOfferRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        offer: Some(offer),
        min_share: 0.1,
        release_hours: 1,
    };
    if season.note("ApproveOffer", counter.offers.approve_offer(of(approve)).await).is_some() {
        season.offer.store(last + 1, Ordering::SeqCst);
        if last > 0 {
            let close = CloseOfferRequest { id: format!("offer-{last}") };
            season.note("CloseOffer", counter.offers.close_offer(of(close)).await);
        }
    }
    season.note("ListOffers", counter.offers.list_offers(of(ListOffersRequest::default())).await);
}
