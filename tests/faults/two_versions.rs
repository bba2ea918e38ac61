//! An upgrade without a pause: servers of an earlier version and of this one serve one Redis at once. One takes the other's place server
//! by server, and gives it back, while customers of all kinds go on; and whatever one version wrote the other reads, answers and tells
//! as its own. `tests/two-versions` builds the earlier program and runs this.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tokio::task::JoinSet;
use tonic::{Code, Request, Response, Status};

use crate::checker::{Checker, patiently};
use crate::clients::request;
use crate::dice::Dice;
use crate::redis_world::{Flavour, Options, Server};
use crate::scenario::{Scenario, Stage, length, play};
use crate::service::{Program, Service, end_of};
use crate::shop::{self, DAYS, day, instant};
use crate::single::RECOVERY;
use crate::soak::season::{self, Counter, Customer, Season};

const PATIENCE: Duration = Duration::from_secs(20);
const SERVERS: usize = 3;
/// Customers of the network on which all is done that orders alone leave out.
const CUSTOMERS: u64 = 6;
/// From one order of a customer to the next, in milliseconds.
const PAUSE: u64 = 30;
/// Fewer than are made.
const KEPT_EVENTS: &str = "100";
/// From one campaign to the next.
const CAMPAIGN: Duration = Duration::from_secs(1);

#[test]
#[ignore = "needs the program of an earlier version: tests/two-versions builds one and runs this"]
fn two_versions_serve_one_redis() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let (earlier, this) = (Program::earlier(), Program::this());
    play("two_versions", |scenario| {
        let redis = Server::start(flavour, Options::default());
        let store = redis.url();
        // Options that both know.
        let durable = ["--durability", "memory"];
        let services: Vec<Service> = (0..SERVERS)
            .map(|n| {
                let program = if n + 1 < SERVERS { &earlier } else { &this };
                scenario.service_of(program.clone(), &format!("server-{n}"), &store, &durable)
            })
            .collect();
        let crowd = Crowd::come(scenario, &services);
        let networks = ["default".to_owned()];
        let stage = Stage {
            services: &services,
            networks: &networks,
            store: &store,
            recovery: RECOVERY,
            forgets_nothing: true,
        };
        scenario.under_load(&stage, |dice| change_places(&services, &earlier, &this, dice));
        crowd.go(scenario);

        let pair = |program: &Program| services.iter().find(|service| service.program() == *program);
        let (old, new) = (pair(&earlier).expect("one is left"), pair(&this).expect("one is new"));
        // An option that the earlier version does not have, which keeps 200,000: the fewest of all are kept.
        new.replace(&this.clone().serving_with(&["--keep-events", KEPT_EVENTS]));
        scenario.runtime.block_on(async {
            for (one, other) in [(old, new), (new, old)] {
                what_one_did_the_other_repeats(one, other).await;
            }
            for network in ["default", season::NETWORK] {
                all_tell_the_same(scenario, &services, network, &store).await;
            }
            few_are_kept(&redis, season::NETWORK);
        });
        for program in [&earlier, &this] {
            let audit = program.run(&["audit", "--store", &store]);
            assert!(audit.status.success(), "{program:?}: {audit:?}");
        }
        for service in &services {
            let log = service.log();
            let whole = log.lines().find(|line| line.contains("a later version of the service"));
            assert_eq!(whole, None, "{} does not understand what another wrote: {}", service.name, end_of(&log));
        }
        scenario.end(&services);
    });
}

/// An upgrade of all that are not upgraded, the way back, and the first step of another upgrade, so that both versions are there at
/// the end.
fn change_places(services: &[Service], earlier: &Program, this: &Program, dice: &mut Dice) {
    let while_both_serve = length() / 6;
    for (program, how_many) in [(this, SERVERS), (earlier, SERVERS), (this, 1)] {
        let first = dice.below(SERVERS as u64) as usize;
        let order = (0..SERVERS).map(|n| &services[(first + n) % SERVERS]);
        for service in order.filter(|service| service.program() != *program).take(how_many) {
            service.replace(program);
            std::thread::sleep(while_both_serve);
        }
    }
}

/// Who sells and plans on the other network all the while.
struct Crowd {
    season: Arc<Season>,
    people: JoinSet<()>,
}

impl Crowd {
    fn come(scenario: &mut Scenario, services: &[Service]) -> Crowd {
        scenario.prepare(services, &[season::NETWORK.to_owned()]);
        let season = Season::new(Arc::clone(&scenario.book), services, 0);
        let mut people = JoinSet::new();
        let _spawning = scenario.runtime.enter();
        people.spawn(season::market(Arc::clone(&season), Dice::seeded(scenario.dice.next()), CAMPAIGN));
        for _ in 0..CUSTOMERS {
            people.spawn(Customer::new(Arc::clone(&season), Dice::seeded(scenario.dice.next()), PAUSE).run());
        }
        Crowd { season, people }
    }

    fn go(self, scenario: &Scenario) {
        self.season.stop();
        scenario.runtime.block_on(self.people.join_all());
        self.season.told().iter().for_each(|line| println!("{}: {line}", scenario.name));
    }
}

fn of<T>(message: T) -> Request<T> {
    request(season::NETWORK, PATIENCE, message)
}

/// A request that one server answered is answered alike by another, of whichever version.
async fn what_one_did_the_other_repeats(one: &Service, other: &Service) {
    let id = |what: &str| format!("{what} of {}", one.name);
    let first = [one, other];
    let back = [other, one];

    let document = ApplyNetworkRequest { network: Some(season::document(50)), validate_only: false };
    alike(first, document, |mut at, m| async move { at.operations.apply_network(m).await }).await;
    soon_alike(back, GetNetworkRequest {}, |mut at, m| async move { at.operations.get_network(m).await }).await;

    let ask =
        |quantity| Ask { lines: vec![Line { sku: "air".into(), quantity }], channel: "vip".into(), ..shop::roomy() };
    let hold = |name: &str, ask| shop::hold(&id(name), ask, Duration::from_secs(600));
    for name in ["kept", "given back"] {
        let held = alike(first, hold(name, ask(1)), |mut at, m| async move { at.promises.quote(m).await }).await;
        assert_eq!(held.reservation.expect("there is room").state(), State::Held);
    }
    let another = other.promises().quote(of(hold("kept", ask(2)))).await.expect_err("the id is taken");
    assert_eq!(another.code(), Code::AlreadyExists, "{another:?}");
    let lines = vec![Line { sku: "card".into(), quantity: 1_000 }];
    let too_much = Ask { lines, when: Some(ask::When::ByDate(nobody_elses_day())), ..ask(1) };
    refused_by_both(first, hold("too much", too_much)).await;
    let amend =
        AmendReservationRequest { id: id("kept"), request_id: id("amended"), ask: Some(ask(3)), accept_later: false };
    alike(back, amend, |mut at, m| async move { at.promises.amend_reservation(m).await }).await;
    let confirm = ConfirmReservationRequest { id: id("kept"), ..Default::default() };
    alike(first, confirm, |mut at, m| async move { at.promises.confirm_reservation(m).await }).await;
    let release = ReleaseReservationRequest { id: id("given back"), reason: "too late".into() };
    alike(back, release, |mut at, m| async move { at.promises.release_reservation(m).await }).await;
    let fix = FixReservationRequest { id: id("kept"), fixed: true, reason: "a gift".into() };
    alike(first, fix, |mut at, m| async move { at.operations.fix_reservation(m).await }).await;

    let adjust = AdjustSupplyRequest {
        request_id: id("adjusted"),
        resource: "spare".into(),
        start: day(2),
        buckets: 3,
        delta: -2,
        reason: "line 2 down".into(),
    };
    alike(back, adjust, |mut at, m| async move { at.operations.adjust_supply(m).await }).await;
    let allocate = SetAllocationRequest {
        request_id: id("set aside"),
        channel: "vip".into(),
        resource: "room".into(),
        start: day(2),
        units: vec![5; DAYS as usize],
        release_hours: 1,
        max_units: vec![500; DAYS as usize],
    };
    alike(first, allocate, |mut at, m| async move { at.operations.set_allocation(m).await }).await;

    let offer = Offer {
        id: id("offer").replace(' ', "-"),
        lines: vec![Line { sku: "air".into(), quantity: 1 }],
        zones: vec![ZoneShare { zone: "de".into(), share: 1.0 }],
        service: "free".into(),
        starts: day(1),
        ends: day(3),
        promise: Some(offer::Promise::WithinDays(5)),
        orders: vec![20; 3],
        ..Default::default()
    };
    let named = offer.id.clone();
    let approve =
        ApproveOfferRequest { request_id: id("approved"), offer: Some(offer), min_share: 0.5, release_hours: 1 };
    alike(back, approve, |mut at, m| async move { at.offers.approve_offer(m).await }).await;
    let of_the_offer = Ask { offer: named.clone(), channel: String::new(), ..ask(1) };
    alike(first, hold("redeemed", of_the_offer), |mut at, m| async move { at.promises.quote(m).await }).await;
    alike(back, CloseOfferRequest { id: named.clone() }, |mut at, m| async move { at.offers.close_offer(m).await })
        .await;
    soon_alike(first, GetOfferRequest { id: named }, |mut at, m| async move { at.offers.get_offer(m).await }).await;

    // The second report of the same is told as nothing new, so the answers differ in that and in nothing else.
    let shipped = stamp(shop::now());
    let report = Fulfilment { id: id("kept"), shipped_at: Some(shipped), delivered_at: Some(shipped) };
    let report = ReportFulfilmentRequest { fulfilments: vec![report] };
    let told = other.operations().report_fulfilment(of(report.clone())).await.expect("it is reported").into_inner();
    assert_eq!((told.shipped, told.fulfilled), (1, 1), "{told:?}");
    let told = one.operations().report_fulfilment(of(report)).await.expect("it is reported").into_inner();
    assert_eq!(told, ReportFulfilmentResponse::default(), "it was reported before");
    for name in ["kept", "given back", "redeemed"] {
        let get = GetReservationRequest { id: id(name) };
        alike(first, get, |mut at, m| async move { at.promises.get_reservation(m).await }).await;
    }
}

/// Whatever is counted of that day is of who asked for it here.
fn nobody_elses_day() -> String {
    day(DAYS + 5)
}

/// A refused hold that is sent again is counted once by each: the earlier version remembers for itself what it counted.
async fn refused_by_both(both: [&Service; 2], hold: QuoteRequest) {
    let counted = async || {
        let (from, to) = (nobody_elses_day(), nobody_elses_day());
        let card = GetScorecardRequest { from, to, ..Default::default() };
        let card = both[0].offers().get_scorecard(of(card)).await.expect("a scorecard").into_inner();
        (card.quotes_unavailable, card.quotes)
    };
    let (refused, quotes) = counted().await;
    for _ in 0..3 {
        for service in both {
            let answer = service.promises().quote(of(hold.clone())).await.expect("an answer").into_inner();
            assert_eq!((answer.verdict(), answer.reservation), (Verdict::Unavailable, None), "{}", service.name);
        }
    }
    // What comes behind them is counted behind them.
    let read = QuoteRequest { ask: hold.ask, ..Default::default() };
    for service in both {
        service.promises().quote(of(read.clone())).await.expect("an answer");
    }
    let begun = Instant::now();
    loop {
        let now = counted().await;
        if now == (refused + 4, quotes + 4) {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{refused} of {quotes} before, {now:?} after: one by each, and what was read"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Of all that was written what the newer version keeps is there; Redis trims whole nodes of a hundred.
fn few_are_kept(redis: &Server, network: &str) {
    let feed = format!("{{surety:{network}}}:feed");
    let (kept, asked) = (redis.cli(&["XLEN", &feed]).int(), KEPT_EVENTS.parse::<i64>().expect("a number"));
    let before = redis.cli(&["HGET", &format!("{{surety:{network}}}:head"), "seq"]).int();
    assert!(kept <= asked + 100 && before > 3 * asked, "{network}: {kept} elements are kept, of {before} entries");
    let oldest = redis.cli(&["XRANGE", &feed, "-", "+", "COUNT", "1"]);
    let oldest = oldest.list()[0].list()[0].text();
    let place: i64 = oldest.split('-').next().and_then(|seq| seq.parse().ok()).expect("a place");
    assert!(place > 100, "{network}: entry {place} is still there");
}

fn stamp(at: i64) -> pbjson_types::Timestamp {
    pbjson_types::Timestamp { seconds: at / 1_000_000, nanos: (at % 1_000_000 * 1_000) as i32 }
}

/// The same request to one server and then to another: the same answer.
async fn alike<M, T, F>([one, other]: [&Service; 2], message: M, ask: impl Fn(Counter, Request<M>) -> F) -> T
where
    M: Clone + Debug,
    T: PartialEq + Debug,
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut answers = Vec::new();
    for service in [one, other] {
        let answer = patiently(|| ask(Counter::of(service), of(message.clone()))).await;
        answers.push(answer.unwrap_or_else(|status| panic!("{} refuses {message:?}: {status:?}", service.name)));
    }
    let again = answers.pop().expect("two answers");
    let first = answers.pop().expect("two answers");
    assert_eq!(again, first, "{} after {} to {message:?}", other.name, one.name);
    first
}

/// The same of what is read: a server learns of what another did a moment later.
async fn soon_alike<M, T, F>([one, other]: [&Service; 2], message: M, ask: impl Fn(Counter, Request<M>) -> F)
where
    M: Clone + Debug,
    T: PartialEq + Debug,
    F: Future<Output = Result<Response<T>, Status>>,
{
    let begun = Instant::now();
    loop {
        let first = patiently(|| ask(Counter::of(one), of(message.clone()))).await;
        let again = patiently(|| ask(Counter::of(other), of(message.clone()))).await;
        match (first, again) {
            (Ok(first), Ok(again)) if first == again => return,
            (first, again) if begun.elapsed() > PATIENCE => {
                panic!("{} and {} to {message:?}: {first:?} and {again:?}", one.name, other.name)
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// All that a network is to a caller.
#[derive(Debug, PartialEq)]
struct Told {
    buckets: Vec<Bucket>,
    reservations: BTreeMap<String, GetReservationResponse>,
    offers: ListOffersResponse,
    scorecard: GetScorecardResponse,
    /// From the oldest that is kept on.
    events: Vec<WatchEventsResponse>,
}

/// Every server shows, counts and tells a network alike, and none is behind.
async fn all_tell_the_same(scenario: &Scenario, services: &[Service], network: &str, store: &str) {
    let begun = Instant::now();
    let since = shop::now();
    loop {
        let mut told = Vec::new();
        for service in services {
            told.push(tell(scenario, service, network, store).await);
        }
        let first = &told[0];
        let held = first.reservations.values().filter(|r| ends_soon(r)).count();
        let other = told.iter().position(|other| other != first);
        match other {
            // What ends by itself changes what is told meanwhile.
            None if held == 0 => {
                let (events, reservations) = (first.events.len(), first.reservations.len());
                println!("{}: {network}: all tell of {reservations} reservations in {events} events", scenario.name);
                break;
            }
            Some(other) if begun.elapsed() > PATIENCE => {
                panic!(
                    "{network}: {} and {} differ: {}",
                    services[0].name,
                    services[other].name,
                    difference(first, &told[other])
                );
            }
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    for service in services {
        loop {
            let quote = QuoteRequest { ask: Some(shop::roomy()), ..Default::default() };
            let answer = service.promises().quote(request(network, PATIENCE, quote)).await.expect("an answer");
            if instant(&answer.into_inner().as_of) > Some(since) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{network}: the view of {} stands still", service.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn ends_soon(found: &GetReservationResponse) -> bool {
    let Some(reservation) = &found.reservation else { return false };
    let soon = shop::now() + shop::micros(PATIENCE);
    reservation.state() == State::Held && instant(&reservation.expires_at) < Some(soon)
}

async fn tell(scenario: &Scenario, service: &Service, network: &str, store: &str) -> Told {
    let checker = Checker { book: &scenario.book, services: std::slice::from_ref(service), network, store };
    let found: HashMap<_, _> = checker.read_all(checker.list(State::Unspecified).await).await;
    let buckets = ListBucketsRequest { site: "lej".into(), from: day(0), days: 20, ..Default::default() };
    let buckets = service.operations().list_buckets(request(network, PATIENCE, buckets)).await;
    let offers = ListOffersRequest { page_size: 1_000, ..Default::default() };
    let offers = service.offers().list_offers(request(network, PATIENCE, offers)).await;
    let card = GetScorecardRequest { from: day(0), to: day(DAYS), ..Default::default() };
    let scorecard = service.offers().get_scorecard(request(network, PATIENCE, card)).await;
    Told {
        buckets: buckets.expect("buckets").into_inner().buckets,
        reservations: found.into_iter().map(|(id, (found, _))| (id, found)).collect(),
        offers: offers.expect("offers").into_inner(),
        scorecard: scorecard.expect("a scorecard").into_inner(),
        events: events(service, network).await,
    }
}

/// All events, until no more come for a while.
async fn events(service: &Service, network: &str) -> Vec<WatchEventsResponse> {
    let mut watch = Request::new(WatchEventsRequest { cursor: "0".into() });
    watch.metadata_mut().insert("surety-network", network.parse().expect("ASCII"));
    let mut stream = service.operations().watch_events(watch).await.expect("events").into_inner();
    let mut events = Vec::new();
    while let Ok(event) = tokio::time::timeout(Duration::from_millis(500), stream.message()).await {
        events.extend(event.expect("an event"));
    }
    events
}

/// Where they differ first.
fn difference(one: &Told, other: &Told) -> String {
    let buckets = one.buckets.iter().zip(&other.buckets).find(|(a, b)| a != b).map(|both| format!("{both:?}"));
    let reservations =
        || one.reservations.iter().map(|(id, found)| (Some(found), other.reservations.get(id))).find(|(a, b)| a != b);
    let events = || one.events.iter().zip(&other.events).find(|(a, b)| a != b);
    buckets
        .or_else(|| reservations().map(|both| format!("{both:?}")))
        .or_else(|| events().map(|both| format!("{both:?}")))
        .unwrap_or_else(|| {
            let lengths = |told: &Told| (told.buckets.len(), told.reservations.len(), told.events.len());
            let (lengths, offers) = ((lengths(one), lengths(other)), (&one.offers, &other.offers));
            format!("{lengths:?}; offers {offers:?}; scorecards {:?}", (&one.scorecard, &other.scorecard))
        })
}
