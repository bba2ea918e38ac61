//! What every back end must do, written once and run against each: plain functions over the trait, with real races.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use surety::clock::ManualClock;
use surety::domain::bucket::BucketLevel;
use surety::domain::id::NetworkId;
use surety::domain::limits::REFUSED_MINUTES;
use surety::domain::offer::OfferStage;
use surety::domain::reservation::State;
use surety::domain::time::{Moment, Span};
use surety::ledger::command::{Command, Outcome, Refusal};
use surety::ledger::embedded::{EmbeddedConfig, EmbeddedLedger};
use surety::ledger::feed::Change;
use surety::ledger::redis::{Address, Durability, RedisConfig, RedisLedger, StoreClock};
use surety::ledger::tally::{self, Counted};
use surety::ledger::{Ledger, LedgerError, ReservationFilter};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

use crate::redis_world::{Cluster, Flavour, Options, Sentinels, Shape, own_database};
use crate::support::*;

mod fates;
mod shares;
mod taking;
mod world;

use fates::*;
use shares::*;
use taking::*;
use world::*;

/// A ledger under test, its clock, and a network of its own that has version 1.
struct Subject {
    ledger: Arc<dyn Ledger>,
    clock: Arc<ManualClock>,
    network: NetworkId,
    _dir: Option<tempfile::TempDir>,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Subject {
    async fn new(ledger: Arc<dyn Ledger>, clock: Arc<ManualClock>, dir: Option<tempfile::TempDir>) -> Subject {
        // Some stores are shared by tests, so each has networks of its own.
        let network = NetworkId::new(&unique("under-test")).expect("a name");
        let subject = Subject { ledger, clock, network, _dir: dir, _turn: None };
        subject.run(crate::support::network(0, "one", &[])).await;
        subject
    }

    async fn memory() -> Option<Subject> {
        let clock = Arc::new(ManualClock::at(BEGIN));
        Some(Subject::new(EmbeddedLedger::memory(clock.clone()), clock, None).await)
    }

    async fn embedded() -> Option<Subject> {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let dir = tempfile::tempdir().expect("a directory for the test");
        let ledger = EmbeddedLedger::open(EmbeddedConfig::new(dir.path()), clock.clone()).expect("it opens");
        Some(Subject::new(ledger, clock, Some(dir)).await)
    }

    async fn redis() -> Option<Subject> {
        let database = own_database(Flavour::Redis.or_skip()?);
        Some(Subject::at(&database.url(), Durability::Memory).await)
    }

    async fn valkey() -> Option<Subject> {
        let database = own_database(Flavour::Valkey.or_skip()?);
        Some(Subject::at(&database.url(), Durability::Memory).await)
    }

    /// A primary with a replica and three Sentinels; each change is on the replica before it is answered.
    async fn sentinel() -> Option<Subject> {
        static SENTINELS: OnceLock<Sentinels> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::const_new(());
        let flavour = Flavour::Redis.or_skip()?;
        let start = move || SENTINELS.get_or_init(|| Sentinels::start_patient(flavour, 1, Options::default())).url();
        Some(Subject::alone_at(start, &TURN, Durability::Replicas(1)).await)
    }

    /// Three primaries, one of which has the network.
    async fn cluster() -> Option<Subject> {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::const_new(());
        let flavour = Flavour::Redis.or_skip()?;
        let start = move || CLUSTER.get_or_init(|| Cluster::start(flavour, Shape::default())).url();
        Some(Subject::alone_at(start, &TURN, Durability::Memory).await)
    }

    /// On a store that tests share, one after the other: a ledger looks after all networks that are there, and by the clock of one
    /// test the holds of another would have ended.
    async fn alone_at(
        start: impl FnOnce() -> String + Send + 'static,
        turn: &'static Mutex<()>,
        durability: Durability,
    ) -> Subject {
        let turn = turn.lock().await;
        let url = tokio::task::spawn_blocking(start).await.expect("it starts");
        Subject { _turn: Some(turn), ..Subject::at(&url, durability).await }
    }

    async fn at(url: &str, durability: Durability) -> Subject {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let address = Address::parse(url).expect("an address");
        let config = RedisConfig { clock: StoreClock::Given(clock.clone()), durability, ..RedisConfig::new(address) };
        let ledger = RedisLedger::open(config).await.expect("it opens");
        Subject::new(ledger, clock, None).await
    }

    async fn run(&self, command: Command) -> Outcome {
        self.ledger.execute(&self.network, command, None).await.expect("the ledger answers")
    }

    async fn refused(&self, command: Command) -> Refusal {
        refusal(self.run(command).await)
    }

    async fn state(&self, id: &str) -> Option<State> {
        self.ledger.reservation(&self.network, &rid(id)).await.expect("the ledger answers").map(|r| r.state)
    }

    async fn follower(&self) -> Arc<Follower> {
        let follower = Arc::new(Follower::default());
        self.ledger.subscribe(follower.clone()).await.expect("the ledger answers");
        follower
    }

    /// What the bucket holds, by the feed.
    async fn level(&self, resource: &str, index: i32) -> BucketLevel {
        self.follower().await.of(&self.network).level(resource, index)
    }

    /// What is counted, without what is nothing.
    async fn tallies(&self) -> BTreeMap<String, i64> {
        let tallies = self.ledger.tallies(&self.network, "").await.expect("the ledger answers");
        summed(tallies.iter().map(|(name, sum)| (name, *sum)))
    }

    /// What is to be counted, by the reservations that there are.
    async fn counted(&self) -> BTreeMap<String, i64> {
        let all = self.ledger.reservations(&self.network, &ReservationFilter::default(), None, 1_000).await;
        tallies_of(all.expect("the ledger answers").0.iter().map(|r| &**r))
    }

    /// The ids of those that pass the filter, read in small pages.
    async fn listed(&self, filter: ReservationFilter) -> Vec<String> {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let page = self.ledger.reservations(&self.network, &filter, after.as_ref(), 2).await;
            let (page, next) = page.expect("the ledger answers");
            assert!(page.len() <= 2);
            ids.extend(page.iter().map(|r| r.id.to_string()));
            match next {
                Some(next) => after = Some(next),
                None => return ids,
            }
        }
    }

    async fn at_risk(&self) -> Vec<String> {
        self.listed(ReservationFilter { at_risk: true, ..ReservationFilter::default() }).await
    }

    async fn execute_all(&self, commands: impl IntoIterator<Item = Command>) -> Vec<Outcome> {
        let mut tasks = JoinSet::new();
        for command in commands {
            let (ledger, network) = (Arc::clone(&self.ledger), self.network.clone());
            tasks.spawn(async move { ledger.execute(&network, command, None).await.expect("the ledger answers") });
        }
        tasks.join_all().await
    }
}

/// A name that no other test of this run has.
fn unique(name: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

macro_rules! conformance {
    ($($backend:ident: $($name:ident,)*;)*) => {$(
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() {
                    // None: a loud word was said that a server to test with is missing.
                    let Some(subject) = super::Subject::$backend().await else { return };
                    super::$name(&subject).await;
                    // Before the next one has its turn.
                    subject.ledger.close().await;
                }
            )*
        }
    )*};
}

macro_rules! for_every_back_end {
    ($($name:ident,)*) => {
        conformance! {
            memory: $($name,)*;
            embedded: $($name,)*;
            redis: $($name,)*;
            valkey: $($name,)*;
            sentinel: $($name,)*;
            cluster: $($name,)*;
        }
    };
}

for_every_back_end! {
    rule_19_the_last_unit_is_taken_by_exactly_one,
    rule_19_sums_hold_however_many_ask_at_once,
    rule_19_all_or_nothing_and_every_shortage_is_told,
    rule_20_twins_of_one_request_make_one_reservation,
    rule_21_a_hold_ends_at_its_very_instant,
    rule_21_expiry_needs_no_caller,
    rule_21_confirming_and_releasing_twice_changes_nothing,
    rule_21_releases_at_once_give_back_once,
    late_payment_takes_the_same_capacity_again_if_it_is_free,
    extending_moves_the_end_and_keeps_the_history_short,
    amending_replaces_all_draws_or_none,
    undo_leaves_no_trace_unless_somebody_was_told,
    a_hold_whose_caller_went_away_is_undone,
    a_deadline_that_passed_takes_nothing,
    rule_24_supply_may_fall_below_what_is_drawn,
    adjusting_supply_starts_from_the_standing_plan_and_repeats_safely,
    networks_are_replaced_whole_and_kept_apart,
    forgetting_spares_what_carries_reservations,
    the_feed_tells_everything_in_order,
    reservations_are_listed_in_pages,
    a_closed_ledger_is_unavailable,
    rule_17_a_guaranteed_minimum_is_its_channels_until_its_instant,
    rule_17_who_planned_on_a_pool_that_was_just_released_is_served_from_common,
    rule_17_a_channel_draws_no_more_than_it_may_from_whatever_pool,
    what_is_set_aside_may_be_less_than_what_is_drawn_of_it,
    an_allocation_is_made_whole_or_not_and_every_short_bucket_is_told,
    rule_20_an_allocation_repeats_safely,
    rule_26_nothing_is_set_aside_or_drawn_twice_however_many_ask_at_once,
    rule_26_an_approval_sets_its_envelope_aside_whole_or_not,
    rule_26_two_approvals_at_once_never_set_aside_the_same_units,
    rule_26_what_was_not_drawn_goes_back_when_an_offer_is_closed,
    rule_26_each_bucket_of_an_envelope_goes_back_in_its_own_time,
    amending_moves_what_is_counted_to_the_new_channel_and_pool,
    rule_24_marks_come_and_go_and_are_listed,
    rule_24_a_promise_is_moved_in_one_step_or_not,
    rule_24_promises_moved_at_once_never_draw_the_same_unit,
    a_promise_is_fixed_until_it_is_not,
    rule_22_what_was_shipped_stays_and_what_was_delivered_is_used_up,
    deliveries_are_judged_by_the_date_that_was_agreed,
    backlog_is_what_should_be_over_and_was_not_reported,
    a_refused_request_is_counted_once_however_often_and_wherever_it_is_sent,
    tallies_add_up_however_many_count_at_once,
    each_thing_is_counted_once_whatever_is_repeated_undone_or_ends_by_itself,
}
