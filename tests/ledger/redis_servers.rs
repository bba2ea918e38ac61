//! The Redis ledger and the servers that it meets: who lets it in, over what, and what several services see of each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use surety::clock::{Clock, ManualClock, SystemClock};
use surety::domain::id::NetworkId;
use surety::domain::reservation::State;
use surety::domain::time::{Moment, Span};
use surety::ledger::command::{Command, Outcome};
use surety::ledger::embedded::{EmbeddedLedger, Retention};
use surety::ledger::observe::Unobserved;
use surety::ledger::redis::{Address, Durability, OpenError, RedisConfig, RedisLedger, StoreClock, TlsFiles};
use surety::ledger::stewardship::Steward;
use surety::ledger::{Ledger, LedgerError, ReservationFilter};

use crate::redis_world::{Access, Aof, Flavour, Options, Server, Tls, own_database};
use crate::support::*;

/// The least that the service needs, as `docs/redis.md` has it.
fn documented_rules(flavour: Flavour) -> Vec<String> {
    let text = include_str!("../../docs/redis.md");
    let line = text.lines().find(|line| line.contains("ACL SETUSER surety")).expect("the rules are documented");
    let rules = line.trim().trim_start_matches("ACL SETUSER surety on >PASSWORD ");
    let knows = |rule: &&str| flavour != Flavour::Redis || *rule != "+waitaof";
    rules.split_whitespace().filter(knows).map(str::to_owned).collect()
}

async fn open(url: &str) -> Result<Arc<RedisLedger>, OpenError> {
    let address = Address::parse(url).expect("an address");
    RedisLedger::open(RedisConfig { durability: Durability::Memory, ..RedisConfig::new(address) }).await
}

/// A bit of everything that the service does.
async fn use_it(ledger: &RedisLedger) {
    let network = NetworkId::new("used").expect("a name");
    let run = async |command| ledger.execute(&network, command, None).await.expect("the ledger answers");
    ledger.subscribe(Arc::new(Follower::default())).await.expect("it can be followed");
    run(crate::support::network(0, "one", &[])).await;
    run(supply("slot", 0, &[5, 5])).await;
    run(hold("x", &[("slot", 0, 1)])).await;
    run(confirm("x")).await;
    run(adjust("d", "slot", 0, &[0], 1)).await;
    run(Command::Forget { before: vec![(res("slot"), 2)] }).await;
    assert_eq!(
        ledger.reservation(&network, &rid("x")).await.expect("it answers").map(|r| r.state),
        Some(State::Confirmed)
    );
    let (page, _) = ledger.reservations(&network, &Default::default(), None, 9).await.expect("it answers");
    assert_eq!(page.len(), 1);
    assert!(ledger.entries(&network, 0, 99).await.expect("it answers").len() > 4);
    let until = Moment(i64::MAX);
    run(supply("later", 4, &[5, 5])).await;
    run(allocate("a", "vip", "later", 4, &[(1, until, Some(3))])).await;
    run(approve("sale", "o", &[("later", 5, 1)], until)).await;
    run(close_offer("sale")).await;
    run(Command::Count(vec![("lost\tx".into(), 2)])).await;
    run(mark("x", 2, true)).await;
    let at_risk = ReservationFilter { at_risk: true, ..ReservationFilter::default() };
    let (page, _) = ledger.reservations(&network, &at_risk, None, 9).await.expect("it answers");
    assert_eq!(page.len(), 1);
    assert!(ledger.tallies(&network, "").await.expect("it answers").len() > 2);
    let all = ledger.read_all(&network).await.expect("it answers").expect("it is there");
    ledger
        .load_all(&NetworkId::new("moved").expect("a name"), all, Box::new(std::iter::empty()))
        .await
        .expect("loaded");
    run(release("x")).await;
    run(crate::support::network(1, "two", &["slot"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rules_of_access_are_enough_and_a_wrong_password_is_not_shown() {
    for flavour in Flavour::ALL.into_iter().filter_map(Flavour::or_skip) {
        let access =
            Access::User { name: "surety".into(), password: "hunter2".into(), rules: documented_rules(flavour) };
        let server = Server::start(flavour, Options { access, ..Options::default() });
        let ledger = open(&server.url()).await.expect("it lets the service in");
        use_it(&ledger).await;
        ledger.close().await;

        let wrong = format!("redis://surety:swordfish@{}", server.address());
        let refused = open(&wrong).await.expect_err("it does not").to_string();
        assert!(refused.contains("authentication failed") && !refused.contains("swordfish"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_19_where_a_right_is_missing_a_step_is_not_half_made() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    // The second came with refusals that are counted once: a user whose rights are those of an earlier version lacks it.
    for (right, command) in [("+hincrby", hold("x", &[("slot", 0, 1)])), ("+zscore", count_once(7, &[("lost\tx", 1)]))]
    {
        let mut rules = documented_rules(flavour);
        rules.retain(|rule| rule != right);
        let access = Access::User { name: "surety".into(), password: "hunter2".into(), rules };
        let server = Server::start(flavour, Options { access, ..Options::default() });
        let ledger = open(&server.url()).await.expect("it lets the service in");
        let network = NetworkId::new("used").expect("a name");
        for command in [crate::support::network(0, "one", &[]), supply("slot", 0, &[5, 5])] {
            ledger.execute(&network, command, None).await.expect("nothing is counted in it");
        }
        let refused = ledger.execute(&network, command, None).await.expect_err("it can't be counted");
        assert!(refused.to_string().contains("can't run this command"), "{refused}");
        server.cli(&["ACL", "SETUSER", "surety", right]);
        let begun = Instant::now();
        let again = loop {
            match ledger.execute(&network, Command::Tick, None).await {
                Err(LedgerError::Unavailable(_)) if begun.elapsed() < Duration::from_secs(10) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                other => break other,
            }
        };
        again.expect("it serves again");
        let all = ledger.read_all(&network).await.expect("it answers").expect("it is there");
        assert!(all.reservations.is_empty() && all.tallies.is_empty(), "{right}: {all:?}");
        let mut levels = all.snapshot.buckets.iter().flat_map(|(_, levels)| levels);
        assert!(levels.all(|(_, level)| level.drawn() == 0), "{right}: {all:?}");
        ledger.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_and_both_sides_known() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let server = Server::start(flavour, Options { tls: Tls::Mutual, ..Options::default() });
    let certificates = server.certificates();
    let read = |path: &std::path::Path| std::fs::read(path).expect("a certificate");
    let address = Address::parse(&server.url()).expect("an address");
    assert!(address.tls);
    let with = async |tls: TlsFiles| {
        let config = RedisConfig { tls, durability: Durability::Memory, ..RedisConfig::new(address.clone()) };
        RedisLedger::open(config).await
    };
    let client = Some((read(&certificates.client_cert), read(&certificates.client_key)));
    let known = TlsFiles { authorities: Some(read(&certificates.ca)), client: client.clone() };
    use_it(&with(known).await.expect("both know each other")).await;
    let stranger = TlsFiles { authorities: Some(read(&certificates.other_ca)), client };
    assert!(matches!(with(stranger).await, Err(OpenError::Away { .. })), "an authority that did not sign it");
    let unknown = TlsFiles { authorities: Some(read(&certificates.ca)), client: None };
    assert!(matches!(with(unknown).await, Err(OpenError::Away { .. })), "a client without a certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durability_that_can_not_be_had_is_refused_at_the_start() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let server = Server::start(flavour, Options { aof: Aof::Off, ..Options::default() });
    let address = Address::parse(&server.url()).expect("an address");
    for (durability, word) in [
        (Durability::EverySecond, "appendonly yes"),
        (Durability::Fsync, "appendonly yes"),
        (Durability::Replicas(1), "0 replicas are connected"),
    ] {
        let config = RedisConfig { durability, ..RedisConfig::new(address.clone()) };
        let refused = RedisLedger::open(config).await.expect_err("it can't be had").to_string();
        assert!(refused.contains(word) && refused.contains(&durability.to_string()), "{refused}");
    }
}

/// Rule 21: of several services all but one may be dead, and a hold ends all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_service_does_the_others_see_at_once() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let database = own_database(flavour);
    let clock = Arc::new(ManualClock::at(BEGIN));
    let network = NetworkId::default_network();
    let mut services = Vec::new();
    for _ in 0..3 {
        let address = Address::parse(&database.url()).expect("an address");
        let config = RedisConfig {
            clock: StoreClock::Given(clock.clone()),
            durability: Durability::Memory,
            ..RedisConfig::new(address)
        };
        let ledger = RedisLedger::open(config).await.expect("it opens");
        let follower = Arc::new(Follower::default());
        ledger.subscribe(follower.clone()).await.expect("it can be followed");
        services.push((ledger, follower));
    }
    let unversioned = |c: Command| match c {
        Command::Hold(mut hold) => {
            hold.network_version = 0;
            Command::Hold(hold)
        }
        Command::SetSupply(mut supply) => {
            supply.network_version = 0;
            Command::SetSupply(supply)
        }
        other => other,
    };
    let seen = async |held: i64, by: &[(Arc<RedisLedger>, Arc<Follower>)]| {
        let patience = Instant::now() + Duration::from_secs(5);
        for (_, follower) in by {
            while follower.of(&network).level("slot", 0).held != held {
                assert!(Instant::now() < patience, "{held} held are not seen");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    services[0].0.execute(&network, unversioned(supply("slot", 0, &[2])), None).await.expect("it answers");
    let taken = services[0].0.execute(&network, unversioned(hold("x", &[("slot", 0, 2)])), None).await;
    assert!(matches!(taken, Ok(Outcome::Reservation { repeated: false, .. })));
    seen(2, &services).await;
    // Another service is told of the first one's hold, and confirms what it never made.
    let again = services[1].0.execute(&network, unversioned(hold("x", &[("slot", 0, 2)])), None).await;
    assert!(matches!(again, Ok(Outcome::Reservation { repeated: true, .. })));
    let (ended, _) = services.split_at(2);
    for (ledger, _) in ended {
        ledger.close().await;
    }
    clock.advance(Span::minutes(15));
    seen(0, &services[2..]).await;
    let late = services[2].0.execute(&network, confirm("x"), None).await.expect("it answers");
    assert!(matches!(refusal(late), surety::ledger::command::Refusal::WrongState { state: State::Expired }));
    services[2].1.assert_nothing_wrong();
}

/// The store loses what it acknowledged: nothing of what was known before is served on, and all goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_lost_writes_is_noticed_and_read_anew() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let server = Server::start(flavour, Options { aof: Aof::Off, ..Options::default() });
    let ledger = open(&server.url()).await.expect("it opens");
    let follower = Arc::new(Follower::default());
    ledger.subscribe(follower.clone()).await.expect("it can be followed");
    let network = NetworkId::default_network();
    let set = |units: i64| match supply("slot", 0, &[units]) {
        Command::SetSupply(mut supply) => {
            supply.network_version = 0;
            Command::SetSupply(supply)
        }
        other => other,
    };
    for units in 1..=9 {
        ledger.execute(&network, set(units), None).await.expect("it answers");
    }
    server.kill9();
    let refused = ledger.execute(&network, set(10), None).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_) | LedgerError::OutcomeUnknown(_))), "{refused:?}");
    let begun = Instant::now();
    let refused = ledger.execute(&network, set(10), None).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_millis(500), "who comes while it is away is turned away at once");
    server.restart();
    let patience = Instant::now() + Duration::from_secs(10);
    while ledger.execute(&network, set(3), None).await.is_err() {
        assert!(Instant::now() < patience, "it does not come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(follower.of(&network).level("slot", 0).set, Some(3));
    assert_eq!(follower.of(&network).seq, 1, "the feed began anew");
    let void = follower.void.lock().expect("no test panics with it");
    assert_eq!((void.0.len(), void.1), (0, 1), "it was declared void, and came anew");
}

/// A feed that was trimmed further than a service had read: it reads in full and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gap_in_the_feed_leads_to_a_full_read() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let database = own_database(flavour);
    let ledger = open(&database.url()).await.expect("it opens");
    let follower = Arc::new(Follower::default());
    ledger.subscribe(follower.clone()).await.expect("it can be followed");
    use_it(&ledger).await;
    let network = NetworkId::new("used").expect("a name");
    let follower = Arc::new(Follower::default());
    ledger.subscribe(follower.clone()).await.expect("it can be followed");
    let feed = "{surety:used}:feed";
    database.cli(&["XADD", feed, "77-1", "a", "1800000000000000", "s", "77", "k", "r", "f", "", "l", ""]);
    database.cli(&["XTRIM", feed, "MAXLEN", "1"]);
    database.cli(&["HSET", "{surety:used}:head", "last", "77-1", "seq", "77"]);
    let outcome = ledger.execute(&network, Command::Tick, None).await.expect("it answers");
    assert!(matches!(outcome, Outcome::Done));
    assert_eq!(follower.of(&network).seq, 77);
    assert!(follower.void.lock().expect("no test panics with it").1 >= 1);
}

/// Servers of the first version that wrote this layout know of no step that counts a refusal once. They read a network in full, and
/// tell nobody what else happened beside it, where they meet what they do not know; so the feed has it as what they do know.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refusals_are_in_the_feed_as_what_earlier_servers_of_this_layout_read() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let database = own_database(flavour);
    let (one, other) = (open(&database.url()).await.expect("it opens"), open(&database.url()).await.expect("it opens"));
    let network = NetworkId::new("fed").expect("a name");
    let follower = Arc::new(Follower::default());
    other.subscribe(follower.clone()).await.expect("it can be followed");
    for command in [crate::support::network(0, "one", &[]), supply("slot", 0, &[1_000])] {
        one.execute(&network, command, None).await.expect("it answers");
    }
    const HOLDS: u64 = 40;
    let digest = |n: u64| u64::from_be_bytes(*b"refusal0") + n;
    let mut made = tokio::task::JoinSet::new();
    for n in 0..HOLDS {
        let tallies = [("score\tno", 1), ("lost\tvan", 3)];
        // Each is refused twice, among holds that are made, so that calls of Redis have both.
        let commands = [
            count_once(digest(n), &tallies),
            hold(&format!("x{n}"), &[("slot", 0, 1)]),
            count_once(digest(n), &tallies),
            Command::Count(vec![("score\tyes".into(), 1)]),
        ];
        for command in commands {
            let (one, network) = (Arc::clone(&one), network.clone());
            made.spawn(async move { one.execute(&network, command, None).await.expect("it answers") });
        }
    }
    made.join_all().await;
    let patience = Instant::now() + Duration::from_secs(10);
    while follower.of(&network).level("slot", 0).held != HOLDS as i64 {
        assert!(Instant::now() < patience, "what was held beside refusals is not followed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    follower.assert_nothing_wrong();
    let tallies = one.tallies(&network, "").await.expect("they are there");
    for (name, sum) in [("score\tno", 1), ("lost\tvan", 3), ("score\tyes", 1)] {
        let found = tallies.iter().find(|(found, _)| **found == *name).map(|(_, sum)| *sum);
        assert_eq!(found, Some(sum * HOLDS as i64), "{name}");
    }
    // The plan of a call is in the feed, and with it the digest of each refusal as it was sent.
    let mixed = "
        local plans, mixed = 0, 0
        for _, element in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
          for i = 1, #element[2], 2 do
            if element[2][i] == 'c' and string.find(element[2][i + 1], 'C') then mixed = mixed + 1 end
            if element[2][i] == 'p' and string.find(element[2][i + 1], 'refusal', 1, true) then plans = plans + 1 end
          end
        end
        return plans .. ' of ' .. (mixed > 0 and 'some' or 'none')";
    let found = database.cli(&["EVAL", mixed, "1", "{surety:fed}:feed"]);
    assert_eq!(
        found,
        crate::redis_world::Value::Bulk(b"0 of some".to_vec()),
        "plans with a digest, of calls that counted"
    );
    one.close().await;
    other.close().await;
}

/// What a reader of one service sees is known to be as of an instant of the service's own clock, however wrong the store's is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freshness_is_told_by_the_services_clock() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let address = Address::parse(&own_database(flavour).url()).expect("an address");
    let hour = Span::hours(1);
    let service = Arc::new(SystemClock::beginning_at(SystemClock::new().now().plus(hour)));
    let config = RedisConfig {
        clock: StoreClock::Store { shift: hour.0, service: service.clone() },
        durability: Durability::Memory,
        ..RedisConfig::new(address)
    };
    let ledger = RedisLedger::open(config).await.expect("it opens");
    let follower = Arc::new(Follower::default());
    let before = service.now();
    ledger.subscribe(follower.clone()).await.expect("it can be followed");
    let fresh: Option<Moment> = follower.fresh_of(&NetworkId::default_network());
    assert!(fresh.is_some_and(|at| at >= before && at <= service.now()), "{fresh:?}");
}

/// What ended is there for as long as it was said, and then gone, with its adjustments.
async fn remembers_for_an_hour(ledger: &dyn Ledger, clock: &ManualClock) {
    let network = NetworkId::default_network();
    let run = async |command| ledger.execute(&network, command, None).await.expect("the ledger answers");
    ledger.subscribe(Arc::new(Follower::default())).await.expect("it can be followed");
    run(crate::support::network(0, "one", &[])).await;
    run(supply("slot", 0, &[5])).await;
    run(adjust("d", "slot", 0, &[0], 1)).await;
    run(hold("released", &[("slot", 0, 1)])).await;
    run(release("released")).await;
    let set = |outcome: &Outcome| match outcome {
        Outcome::SupplyAdjusted { levels, .. } => levels[0].set,
        other => panic!("{other:?}"),
    };
    let is_there = async || ledger.reservation(&network, &rid("released")).await.expect("it answers").is_some();
    clock.advance(Span::minutes(59));
    run(Command::Tick).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(is_there().await, "an hour is not over");
    let repeated = run(adjust("d", "slot", 0, &[0], 1)).await;
    assert_eq!(set(&repeated), Some(6), "it was made once");
    clock.advance(Span::minutes(2));
    let begun = Instant::now();
    while is_there().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not forgotten");
        run(Command::Tick).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let anew = run(adjust("d", "slot", 0, &[0], 1)).await;
    assert_eq!(set(&anew), Some(7), "nobody remembers that it was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_is_remembered_for_as_long_as_is_said() {
    let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
    let retention = Retention { ended_for: Span::minutes(60), ..Retention::in_memory() };
    let ledger = EmbeddedLedger::memory_retaining(clock.clone(), Arc::new(Unobserved), retention);
    remembers_for_an_hour(&*ledger, &clock).await;
    ledger.close().await;
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let database = own_database(flavour);
    let address = Address::parse(&database.url()).expect("an address");
    let ledger = RedisLedger::open(RedisConfig {
        durability: Durability::Memory,
        clock: StoreClock::Given(clock.clone()),
        ended_for: Span::minutes(60),
        ..RedisConfig::new(address)
    });
    let ledger = ledger.await.expect("it opens");
    remembers_for_an_hour(&*ledger, &clock).await;
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_of_those_who_have_gone_are_dropped_while_a_server_goes_on() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let server = Server::start(flavour, Options::default());
    let address = Address::parse(&server.url()).expect("an address");
    let tidy = Duration::from_millis(100);
    let config = RedisConfig { durability: Durability::Memory, tidy, ..RedisConfig::new(address) };
    let ledger = RedisLedger::open(config).await.expect("it opens");
    ledger.subscribe(Arc::new(Follower::default())).await.expect("it can be followed");
    let network = NetworkId::default_network();
    ledger.execute(&network, crate::support::network(0, "one", &[]), None).await.expect("it is applied");
    // What audits left: of the day before yesterday, and of an hour ago.
    let now = SystemClock::new().now();
    let head = "{surety:default}:head";
    for (slot, ago) in [("call:long-ago", Span::days(2)), ("call:of-late", Span::minutes(60))] {
        server.cli(&["HSET", head, slot, &format!("1 {} 1 O", now.minus(ago).0)]);
    }
    let begun = Instant::now();
    while server.cli(&["HEXISTS", head, "call:long-ago"]).int() == 1 {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody looks for it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.cli(&["HEXISTS", head, "call:of-late"]).int(), 1, "a call may still be repeated");
    ledger.close().await;
}
