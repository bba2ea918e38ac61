//! What is answered while the ledger's store is away, or what is known of a network is void: the use cases on a ledger
//! that only says what it is told to, and views driven by hand.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::quote::Quoted;
use super::request::{
    AdjustSupplyRequest, AmendRequest, ApplyNetworkRequest, ApproveOfferRequest, BucketsOf, BucketsRequest,
    CheckOfferRequest, PromiseDatesRequest, QuoteRequest, ReservationsRequest, SetAllocationRequest, Since, Start,
    SuggestOffersRequest, SupplyLine,
};
use super::{App, AppError};
use crate::clock::ManualClock;
use crate::domain::answer::{Answer, Verdict};
use crate::domain::ask::{Ask, Destination, Line, Shipments, When};
use crate::domain::bucket::Bucketing;
use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::network::{
    ChannelSpec, Kind, LaneSpec, Network, NetworkSpec, ProcessSpec, ProductSpec, ResourceSpec, SiteSpec, SourceSpec,
    StepSpec, WeeklySpec, ZoneSpec,
};
use crate::domain::offer::{Advertised, Expected, Offer, ZoneShare};
use crate::domain::reservation::{Fingerprint, Reservation};
use crate::domain::share::Share;
use crate::domain::time::{Day, Moment, SECOND, Span};
use crate::ledger::command::{Command, Outcome, Refusal};
use crate::ledger::feed::{Change, Cursor, Entry, Snapshot, Subscriber};
use crate::ledger::tally::Tallies;
use crate::ledger::{Ledger, LedgerError, ReservationFilter};
use crate::telemetry::Metrics;
use crate::view::Views;
use tokio::sync::Semaphore;

/// A Tuesday morning.
const BEGIN: Moment = Moment(1_796_112_000 * SECOND);
const STALE: Span = Span::seconds(30);

/// A ledger without a store: it is away, or has nothing in it and refuses every command.
#[derive(Default)]
pub(super) struct Scripted {
    away: AtomicBool,
    /// This network alone is away.
    away_network: Option<NetworkId>,
    /// The networks in which something was to be counted once.
    pub(super) counted_once: Mutex<Vec<NetworkId>>,
    /// How often anything was asked of it.
    asked: AtomicUsize,
    /// What it refuses commands with.
    refusal: Mutex<Option<Refusal>>,
    entries: Mutex<Vec<Arc<Entry>>>,
    /// What was added to tallies. Whoever adds waits for `may_count` after.
    counted: Mutex<Vec<Tallies>>,
    may_count: Option<Semaphore>,
}

impl Scripted {
    /// One of which this network is away.
    pub(super) fn without(network: NetworkId) -> Scripted {
        Scripted { away_network: Some(network), ..Scripted::default() }
    }

    fn answer<T>(&self, answer: T) -> Result<T, LedgerError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(LedgerError::Unavailable(Arc::from("it is away")));
        }
        Ok(answer)
    }
}

#[async_trait]
impl Ledger for Scripted {
    async fn execute(&self, network: &NetworkId, command: Command, _: Option<Instant>) -> Result<Outcome, LedgerError> {
        if let Command::CountOnce { .. } = command {
            self.counted_once.lock().unwrap().push(network.clone());
        }
        if self.away_network.as_ref() == Some(network) {
            return Err(LedgerError::Unavailable(Arc::from("it is away")));
        }
        if let (Command::Count(tallies), Some(gate)) = (command, &self.may_count) {
            self.counted.lock().unwrap().push(tallies);
            drop(gate.acquire().await);
            return self.answer(Outcome::Done);
        }
        let refusal = self.refusal.lock().unwrap().clone().unwrap_or(Refusal::NotFound);
        self.answer(Outcome::Refused(refusal))
    }

    async fn reservation(&self, _: &NetworkId, _: &ReservationId) -> Result<Option<Arc<Reservation>>, LedgerError> {
        self.answer(None)
    }

    async fn reservations(
        &self,
        _: &NetworkId,
        _: &ReservationFilter,
        _: Option<&ReservationId>,
        _: usize,
    ) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), LedgerError> {
        self.answer((Vec::new(), None))
    }

    async fn tallies(&self, _: &NetworkId, _: &str) -> Result<Tallies, LedgerError> {
        self.answer(Vec::new())
    }

    async fn entries(&self, _: &NetworkId, after: Cursor, _: usize) -> Result<Vec<Arc<Entry>>, LedgerError> {
        let entries = self.entries.lock().unwrap().iter().filter(|entry| entry.seq > after).cloned().collect();
        self.answer(entries)
    }

    async fn newest(&self, _: &NetworkId) -> Result<Cursor, LedgerError> {
        self.answer(self.entries.lock().unwrap().last().map_or(0, |entry| entry.seq))
    }

    async fn networks(&self) -> Result<Vec<NetworkId>, LedgerError> {
        self.answer(Vec::new())
    }

    fn has_due(&self, _: Moment) -> bool {
        false
    }

    async fn subscribe(&self, _: Arc<dyn Subscriber>) -> Result<(), LedgerError> {
        self.answer(())
    }

    async fn close(&self) {}
}

/// A bench that sends cakes to the north, ten a day.
fn bakery() -> Network {
    let spec = NetworkSpec {
        sites: vec![SiteSpec { id: "bench".into(), time_zone: "UTC".into(), ..SiteSpec::default() }],
        zones: vec![ZoneSpec { id: "north".into(), time_zone: "UTC".into(), ..ZoneSpec::default() }],
        resources: vec![ResourceSpec {
            id: "bench.work".into(),
            site: "bench".into(),
            display_name: String::new(),
            kind: Some(Kind::Capacity),
            unit: String::new(),
            bucket: Ok(Bucketing::DAYS),
            weekly: vec![WeeklySpec { units: 10, ..WeeklySpec::default() }],
            closed: Vec::new(),
            horizon_days: 30,
        }],
        processes: vec![ProcessSpec {
            id: "bake".into(),
            steps: vec![StepSpec {
                resource: "bench.work".into(),
                per_line: 0,
                per_item: 1,
                divisible: false,
                cutoff: String::new(),
                lead_time: Ok(Span::ZERO),
                lead_days: 0,
            }],
        }],
        products: vec![ProductSpec {
            sku: "cake".into(),
            sources: vec![SourceSpec { site: "bench".into(), stock: String::new(), process: "bake".into() }],
            ..ProductSpec::default()
        }],
        lanes: vec![LaneSpec {
            id: "van".into(),
            site: "bench".into(),
            zone: "north".into(),
            service: "standard".into(),
            departure_days: Vec::new(),
            departure_time: String::new(),
            transit_days: 1,
            delivery_days: Vec::new(),
            holidays: Vec::new(),
            resource: String::new(),
            per_shipment: 0,
            per_item: 0,
            transit_time: Ok(None),
        }],
        channels: vec![ChannelSpec { id: "web".into(), ..ChannelSpec::default() }],
    };
    Network::build(spec, BEGIN).expect("a network without faults")
}

/// The bakery as the networks `default` and `other`, followed at [`BEGIN`].
struct World {
    ledger: Arc<Scripted>,
    views: Arc<Views>,
    clock: Arc<ManualClock>,
    app: Arc<App>,
}

impl World {
    fn new(stale_reads: Span) -> World {
        World::on(Scripted::default(), stale_reads)
    }

    fn on(ledger: Scripted, stale_reads: Span) -> World {
        let (ledger, clock) = (Arc::new(ledger), Arc::new(ManualClock::at(BEGIN)));
        let views = Views::new(|_, _| Ok(bakery()));
        let (seen, time) = (Arc::clone(&views), Arc::clone(&clock) as Arc<_>);
        let (metrics, stop) = (Metrics::off(), CancellationToken::new());
        let app = App::new(Arc::clone(&ledger) as Arc<_>, seen, time, metrics, stale_reads, stop);
        let world = World { ledger, views, clock, app };
        world.reset("default");
        world.reset("other");
        world.views.fresh(None, BEGIN);
        world
    }

    fn reset(&self, network: &str) {
        let document = Arc::from(*b"the bakery");
        self.views.reset(&named(network), Snapshot { seq: 1, network_version: 1, document, ..Snapshot::default() });
    }

    /// The store goes away, as ledgers tell it.
    fn goes_away(&self) {
        self.ledger.away.store(true, Ordering::SeqCst);
        self.views.lost(None);
    }

    async fn quote(&self, network: &str, id: Option<&str>, hold: Option<Span>) -> Result<Quoted, AppError> {
        let request = QuoteRequest {
            request_id: id.map(rid),
            fingerprint: Fingerprint(1),
            ask: ask(When::Any),
            hold,
            accept_later: false,
            reference: Arc::from(""),
        };
        self.app.quote(&named(network), request, None).await
    }

    async fn check_offer(&self, network: &str, give_up_at: Option<Instant>) -> Result<(), AppError> {
        let request = CheckOfferRequest { offer: offer(), suppose: Vec::new() };
        self.app.check_offer(&named(network), request, give_up_at).await.map(|_| ())
    }

    /// Each call that takes nothing, and what it says.
    async fn reads(&self, network: &str) -> Vec<(&'static str, Result<(), AppError>)> {
        let id = &named(network);
        let dates = PromiseDatesRequest { ask: ask(When::Any), from: None, days: 3 };
        let of = BucketsOf::Resource(ResourceId::new("bench.work").expect("a name"));
        let buckets = BucketsRequest { of, from: None, days: 3 };
        vec![
            ("quote", self.quote(network, None, None).await.map(|_| ())),
            ("watch_quote", self.app.watch_quote(id.clone(), ask(When::Any)).map(|_| ())),
            ("list_promise_dates", self.app.list_promise_dates(id, &dates).map(|_| ())),
            ("list_buckets", self.app.list_buckets(id, &buckets).map(|_| ())),
            ("get_network", self.app.get_network(id).map(|_| ())),
            ("check_offer", self.check_offer(network, None).await),
            ("suggest_offers", self.app.suggest_offers(id, suggest(), None).await.map(|_| ())),
        ]
    }

    /// Each call that plans on the view in order to take, and what it says.
    async fn takes(&self, network: &str) -> Vec<(&'static str, Result<(), AppError>)> {
        let id = &named(network);
        let amend = AmendRequest {
            id: rid("r1"),
            request_id: None,
            fingerprint: Fingerprint(2),
            ask: ask(When::Any),
            accept_later: false,
        };
        let resource = ResourceId::new("bench.work").expect("a name");
        let start = Start::Date(Day::parse("2026-12-02").expect("a date"));
        let line = SupplyLine { resource: resource.clone(), start, units: vec![1] };
        let adjust = AdjustSupplyRequest {
            request_id: None,
            fingerprint: Fingerprint(3),
            resource,
            start,
            buckets: 1,
            delta: -1,
            reason: Arc::from(""),
        };
        let allot = SetAllocationRequest {
            request_id: None,
            fingerprint: Fingerprint(4),
            channel: Arc::from("web"),
            resource: ResourceId::new("bench.work").expect("a name"),
            start,
            units: vec![1],
            release_hours: 0,
            most: None,
        };
        let approve = ApproveOfferRequest {
            request_id: rid("a1"),
            fingerprint: Fingerprint(5),
            offer: offer(),
            min_share: Share::ALL,
            release_hours: 0,
        };
        let apply = ApplyNetworkRequest { document: Arc::from(*b"new"), network: bakery(), validate_only: false };
        vec![
            ("hold", self.quote(network, Some("r2"), Some(Span::minutes(15))).await.map(|_| ())),
            ("amend", self.app.amend(id, amend, None).await.map(|_| ())),
            ("set_supply", self.app.set_supply(id, &[line], None).await.map(|_| ())),
            ("adjust_supply", self.app.adjust_supply(id, &adjust, None).await.map(|_| ())),
            ("set_allocation", self.app.set_allocation(id, &allot, None).await.map(|_| ())),
            ("approve_offer", self.app.approve_offer(id, approve, None).await.map(|_| ())),
            ("apply_network", self.app.apply_network(id, apply, BEGIN, None).await.map(|_| ())),
        ]
    }
}

fn named(name: &str) -> NetworkId {
    NetworkId::new(name).expect("a name")
}

fn rid(name: &str) -> ReservationId {
    ReservationId::new(name).expect("a name")
}

fn ask(when: When) -> Ask {
    Ask {
        lines: vec![Line { sku: Arc::from("cake"), quantity: 1 }],
        destination: Destination::Zone(Arc::from("north")),
        when,
        service: None,
        channel: None,
        offer: None,
        shipments: Shipments::Together,
        min_confidence: None,
    }
}

/// A cake a day for three days.
fn offer() -> Offer {
    let starts = Day::parse("2026-12-02").expect("a date");
    Offer {
        id: Arc::from("cakes"),
        display_name: Arc::from(""),
        lines: ask(When::Any).lines,
        zones: vec![ZoneShare { zone: Arc::from("north"), billionths: 1_000_000_000 }],
        service: None,
        channel: None,
        starts,
        ends: starts + 2,
        advertised: Advertised::WithinDays(2),
        orders: Expected::Total(3),
    }
}

fn suggest() -> SuggestOffersRequest {
    let Offer { starts, ends, .. } = offer();
    SuggestOffersRequest { starts, ends, zone: Arc::from("north"), within_days: 2, limit: 20 }
}

#[track_caller]
fn all_answered(calls: Vec<(&str, Result<(), AppError>)>) {
    for (call, answer) in calls {
        assert_eq!(answer, Ok(()), "{call}");
    }
}

#[track_caller]
fn all_unavailable(calls: Vec<(&str, Result<(), AppError>)>) {
    for (call, answer) in calls {
        assert_eq!(answer, Err(AppError::Unavailable), "{call}");
        assert!(AppError::Unavailable.retry_after().is_some(), "the caller is told when to come again");
    }
}

/// The next message of a stream, which must come. Time that is waited for passes at once in these tests.
async fn next<T>(stream: &mut mpsc::Receiver<T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(60), stream.recv()).await.expect("in time").expect("a message")
}

#[tokio::test]
async fn reads_go_on_for_stale_reads_after_the_feed_was_cut_and_say_how_old_they_are() {
    let world = World::new(STALE);
    world.views.fresh(None, BEGIN.plus(Span::seconds(1)));
    world.clock.set(BEGIN.plus(Span::seconds(2)));
    world.goes_away();
    all_answered(world.reads("default").await);
    world.clock.set(BEGIN.plus(Span::seconds(31)));
    all_answered(world.reads("default").await);
    let quoted = world.quote("default", None, None).await.expect("an answer");
    assert_eq!(quoted.answer.verdict, Verdict::Promised);
    assert_eq!(quoted.answer.as_of, BEGIN.plus(Span::seconds(1)));
    let mut watched = world.app.watch_quote(named("default"), ask(When::Any)).expect("an answer");
    let first: Answer = next(&mut watched).await.expect("an answer");
    assert_eq!(first.as_of, BEGIN.plus(Span::seconds(1)));
    assert_eq!(world.ledger.asked.load(Ordering::SeqCst), 0, "what takes nothing asks nothing of the ledger");

    world.clock.advance(Span(1));
    all_unavailable(world.reads("default").await);
    world.views.fresh(None, world.app.now());
    all_answered(world.reads("default").await);
    let quoted = world.quote("default", None, None).await.expect("an answer");
    assert_eq!(quoted.answer.as_of, world.app.now());
}

#[tokio::test]
async fn stale_reads_of_zero_is_no_read_at_all() {
    let world = World::new(Span::ZERO);
    all_answered(world.reads("default").await);
    world.goes_away();
    all_unavailable(world.reads("default").await);
    assert!(!world.app.can_read());
}

#[tokio::test]
async fn what_takes_is_the_ledgers_to_refuse_while_reads_go_on() {
    let world = World::new(STALE);
    world.goes_away();
    all_unavailable(world.takes("default").await);
    // A network can't be replaced by who does not know the present one.
    let asked_for = ["hold", "amend", "set_supply", "adjust_supply", "set_allocation", "approve_offer"];
    assert_eq!(world.ledger.asked.load(Ordering::SeqCst), asked_for.len());
    let named_quote = world.quote("default", Some("r1"), None).await.map(|_| ());
    assert_eq!(named_quote, Err(AppError::Unavailable), "whether its id is taken, only the store can tell");
    all_answered(world.reads("default").await);
}

#[tokio::test]
async fn a_no_to_a_hold_rests_on_a_view_that_may_be_read() {
    let world = World::new(STALE);
    // The feed is cut, the store is not.
    world.views.lost(None);
    let past = When::ByTime(BEGIN);
    let request = || QuoteRequest {
        request_id: Some(rid("r1")),
        fingerprint: Fingerprint(1),
        ask: ask(past),
        hold: Some(Span::minutes(15)),
        accept_later: false,
        reference: Arc::from(""),
    };
    let no = world.app.quote(&named("default"), request(), None).await.expect("an answer");
    assert_eq!((no.answer.verdict, no.answer.as_of), (Verdict::Later, BEGIN));
    world.clock.set(BEGIN.plus(Span::seconds(31)));
    let later = world.app.quote(&named("default"), request(), None).await.map(|_| ());
    assert_eq!(later, Err(AppError::Unavailable));
}

#[tokio::test]
async fn a_check_waits_for_its_turn_no_longer_than_its_caller_does() {
    let world = World::new(STALE);
    let turns = u32::try_from(world.app.checks.available_permits()).expect("few");
    assert!(turns >= 1);
    let busy = Arc::clone(&world.app.checks).acquire_many_owned(turns).await.expect("all turns");
    let soon = Instant::now() + std::time::Duration::from_millis(20);
    assert_eq!(world.check_offer("default", Some(soon)).await, Err(AppError::DeadlineExceeded));
    assert!(world.quote("default", None, None).await.is_ok(), "quotes wait for no check");
    drop(busy);
    assert_eq!(world.check_offer("default", None).await, Ok(()));
}

#[tokio::test]
async fn a_void_network_is_neither_read_nor_planned_on_and_the_others_are() {
    let world = World::new(STALE);
    world.views.void(&named("default"));
    all_unavailable(world.reads("default").await);
    all_unavailable(world.takes("default").await);
    assert_eq!(world.ledger.asked.load(Ordering::SeqCst), 0, "nothing was planned that the ledger could have taken");
    all_answered(world.reads("other").await);
    world.reset("default");
    all_answered(world.reads("default").await);
}

#[tokio::test]
async fn what_the_store_itself_answers_is_asked_of_it_whatever_the_view_is() {
    let world = World::new(STALE);
    world.views.void(&named("default"));
    let got = world.app.get_reservation(&named("default"), &rid("r1")).await;
    assert_eq!(got, Err(AppError::UnknownReservation(rid("r1"))));
    let list = |resource| ReservationsRequest {
        at_risk: false,
        backlog: false,
        resource,
        state: None,
        after: None,
        limit: 10,
    };
    let listed = world.app.list_reservations(&named("default"), &list(None)).await;
    assert!(listed.is_ok());
    let resource = ResourceId::new("bench.work").ok();
    let listed = world.app.list_reservations(&named("default"), &list(resource)).await;
    assert_eq!(listed, Err(AppError::Unavailable), "whether there is such a resource is not known");
    let got = world.app.get_reservation(&named("none"), &rid("r1")).await;
    assert_eq!(got, Err(AppError::UnknownNetwork(named("none"))));
}

#[tokio::test]
async fn health_tells_reading_from_following_and_default_speaks_for_all() {
    let world = World::new(STALE);
    let health = || (world.app.can_read(), world.app.is_current());
    assert_eq!(health(), (true, true));
    world.views.lost(None);
    assert_eq!(health(), (true, false));
    world.clock.advance(Span::seconds(31));
    assert_eq!(health(), (false, false));
    world.views.fresh(None, world.app.now());
    assert_eq!(health(), (true, true));
    world.views.void(&named("other"));
    assert_eq!(health(), (true, false));
    world.views.void(&named("default"));
    assert_eq!(health(), (false, false));
    world.reset("default");
    assert_eq!(health(), (true, false));
    world.reset("other");
    assert_eq!(health(), (true, true));
}

#[tokio::test(start_paused = true)]
async fn a_watched_quote_ends_when_its_answer_gets_too_old() {
    let world = World::new(STALE);
    let mut watched = world.app.watch_quote(named("default"), ask(When::Any)).expect("an answer");
    next(&mut watched).await.expect("the first answer");
    world.goes_away();
    world.clock.advance(Span::seconds(31));
    assert_eq!(next(&mut watched).await, Err(AppError::Unavailable));
    assert!(watched.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn watches_end_when_their_network_becomes_void_and_begin_again_on_what_is_then_known() {
    let world = World::new(STALE);
    let told = |seq| Arc::new(Entry { seq, at: BEGIN, changes: vec![network_applied(seq as i64)] });
    *world.ledger.entries.lock().unwrap() = vec![told(1)];
    let (default, other) = (named("default"), named("other"));
    let mut quotes = world.app.watch_quote(default.clone(), ask(When::Any)).expect("an answer");
    next(&mut quotes).await.expect("the first answer");
    let mut events = world.app.watch_events(default.clone(), Since::Now).await.expect("a stream");
    let mut others = world.app.watch_events(other.clone(), Since::Cursor(0)).await.expect("a stream");
    assert_eq!(next(&mut others).await.expect("an event").cursor, 1);

    world.views.void(&default);
    assert_eq!(next(&mut quotes).await, Err(AppError::Unavailable));
    assert_eq!(next(&mut events).await, Err(AppError::Unavailable));
    assert_eq!(world.app.watch_events(default.clone(), Since::Now).await.map(|_| ()), Err(AppError::Unavailable));
    *world.ledger.entries.lock().unwrap() = vec![told(1), told(2)];
    world.views.changed(&other, &[told(2)]);
    assert_eq!(next(&mut others).await.expect("an event").cursor, 2, "the others go on");
    world.reset("default");
    let mut events = world.app.watch_events(default, Since::Cursor(1)).await.expect("a stream");
    assert_eq!(next(&mut events).await.expect("an event").cursor, 2);
}

#[tokio::test(start_paused = true)]
async fn events_are_not_followed_over_a_network_that_was_void_in_between() {
    let world = World::new(STALE);
    let mut events = world.app.watch_events(named("default"), Since::Now).await.expect("a stream");
    // Void and read anew before the stream looked: the store may have lost what it told, and counts anew.
    world.views.void(&named("default"));
    world.reset("default");
    assert_eq!(next(&mut events).await, Err(AppError::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn who_reads_events_so_slowly_that_they_are_trimmed_before_it_is_told() {
    let world = World::new(STALE);
    let default = named("default");
    let told = |seq| Arc::new(Entry { seq, at: BEGIN, changes: vec![network_applied(seq as i64)] });
    *world.ledger.entries.lock().unwrap() = vec![told(4), told(5)];
    let mut events = world.app.watch_events(default.clone(), Since::Cursor(0)).await.expect("a stream");
    // The first that is kept, whichever it is.
    assert_eq!(next(&mut events).await.expect("an event").cursor, 4);
    assert_eq!(next(&mut events).await.expect("an event").cursor, 5);
    *world.ledger.entries.lock().unwrap() = vec![told(8), told(9)];
    world.views.changed(&default, &[told(8), told(9)]);
    assert_eq!(next(&mut events).await, Err(AppError::EventsGone { cursor: 5, oldest: 8 }));
    assert!(events.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_network_that_was_applied_elsewhere_is_sent_away_when_the_feed_is_cut() {
    let world = World::new(STALE);
    *world.ledger.refusal.lock().unwrap() = Some(Refusal::NetworkChanged { version: 2 });
    let (views, app) = (Arc::clone(&world.views), Arc::clone(&world.app));
    let cut = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        views.lost(None);
        app.now()
    });
    let held = world.quote("default", Some("r1"), Some(Span::minutes(15))).await.map(|_| ());
    assert_eq!(held, Err(AppError::Unavailable));
    assert!(cut.is_finished(), "it waited as long as the feed could have told");
}

fn network_applied(version: i64) -> Change {
    Change::Network { version, document: Arc::default(), applied_at: BEGIN }
}

#[tokio::test]
async fn a_caller_who_goes_away_while_quotes_are_added_up_has_none_counted_twice() {
    let world = World::on(Scripted { may_count: Some(Semaphore::new(0)), ..Scripted::default() }, STALE);
    world.quote("default", None, None).await.expect("an answer");
    let sent = || world.ledger.counted.lock().unwrap().len();
    tokio::select! {
        () = world.app.add_up() => panic!("the ledger has not answered"),
        () = async { while sent() == 0 { tokio::task::yield_now().await } } => {}
    }
    world.ledger.may_count.as_ref().expect("a gate").add_permits(100);
    world.app.add_up().await;
    world.app.add_up().await;
    assert_eq!(sent(), 1, "what the ledger has taken is not sent again");
}
