//! What random sequences found, each in as few steps as show it.

use std::sync::Arc;
use std::time::Duration;

use surety::clock::ManualClock;
use surety::domain::bucket::BucketLevel;
use surety::domain::id::NetworkId;
use surety::domain::time::Span;
use surety::ledger::command::{Command, Outcome, Refusal};
use surety::ledger::redis::RedisLedger;
use surety::ledger::{Ledger, LedgerError};

use super::play::{Stage, Weather, open};
use super::sequence::Step;
use super::witness::Witness;
use crate::redis_world::{Fault, Flavour, Options, Proxy, Server, own_database};
use crate::support::*;

struct Two {
    servers: [Arc<RedisLedger>; 2],
    witnesses: [Arc<Witness>; 2],
    network: NetworkId,
}

impl Two {
    /// Two servers, each by its way to one store.
    async fn by(ways: [String; 2]) -> Two {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let network = NetworkId::default_network();
        let witnesses = [Witness::of(&network), Witness::of(&network)];
        let mut servers = Vec::new();
        for (url, witness) in ways.into_iter().zip(&witnesses) {
            let client = Box::new(|| unreachable!("the store is not looked into"));
            let stage = Stage { url, client, weather: Weather::Calm };
            servers.push(open(&stage, &clock, witness).await.expect("it opens"));
        }
        let servers = servers.try_into().expect("there are two ways");
        let two = Two { servers, witnesses, network };
        two.run(0, network_one()).await;
        two
    }

    async fn run(&self, server: usize, command: Command) -> Outcome {
        self.servers[server].execute(&self.network, command, None).await.expect("the ledger answers")
    }

    /// What the bucket holds, by the follower of a server that has just looked.
    async fn level(&self, server: usize, resource: &str, index: i32) -> BucketLevel {
        self.run(server, Command::Tick).await;
        self.witnesses[server].told().seen.expect("the network is known").level(resource, index)
    }
}

fn network_one() -> Command {
    network(0, "one", &[])
}

fn direct(flavour: Flavour) -> [String; 2] {
    let url = own_database(flavour).url();
    [url.clone(), url]
}

pub async fn a_network_whose_application_was_refused_is_not_there(flavour: Flavour) {
    let two = Two::by(direct(flavour)).await;
    let refused = NetworkId::new("refused").expect("a name");
    let ledger = &two.servers[0];
    let outcome = ledger.execute(&refused, network(3, "later", &[]), None).await.expect("it answers");
    assert_eq!(refusal(outcome), Refusal::NetworkChanged { version: 0 });
    for command in [release("x"), Command::Tick, hold("x", &[])] {
        let answer = ledger.execute(&refused, command, None).await;
        assert!(matches!(answer, Err(LedgerError::UnknownNetwork)), "{answer:?}");
    }
    assert_eq!(ledger.networks().await, Ok(vec![NetworkId::default_network()]));
}

pub async fn an_undo_of_what_the_server_never_saw_is_told_as_any_other(flavour: Flavour) {
    let two = Two::by(direct(flavour)).await;
    two.run(0, supply("slot", 0, &[5])).await;
    two.run(0, hold("x", &[("slot", 0, 2)])).await;
    // A follower that begins here has not been told of the hold.
    let late = Witness::of(&two.network);
    two.servers[1].subscribe(late.clone()).await.expect("it answers");
    two.run(1, undo("x")).await;
    let told = late.told();
    assert_eq!(told.seen.expect("it is known").level("slot", 0).held, 0);
    assert_eq!((told.resets, told.entries.len()), (1, 1), "an entry is told, and the network is not read again");
}

pub async fn a_reservation_that_was_made_again_at_the_same_instant_is_another(flavour: Flavour) {
    let two = Two::by(direct(flavour)).await;
    two.run(0, supply("slot", 0, &[5, 5])).await;
    two.run(0, hold("x", &[("slot", 0, 1)])).await;
    two.run(1, Command::Tick).await;
    // The clock stands still, as the store's does after a failover to a server whose clock is behind.
    two.run(0, undo("x")).await;
    two.run(0, hold("x", &[("slot", 1, 2)])).await;
    two.run(1, release("x")).await;
    for server in 0..2 {
        for index in 0..2 {
            assert_eq!(two.level(server, "slot", index).await.held, 0, "server {server}, bucket {index}");
        }
    }
}

pub async fn a_follower_is_not_void_because_others_went_on(flavour: Flavour) {
    let server = Server::start(flavour, Options::default());
    let proxy = Proxy::start(server.address());
    let two = Two::by([server.url_at(proxy.address()), server.url()]).await;
    two.run(0, supply("old", 0, &[1, 1, 1])).await;
    // What the first server hears is old: by then the second has gone on.
    proxy.delay(Duration::from_millis(10), Duration::from_millis(10));
    let forgetting = async {
        for index in 1..4 {
            two.run(0, Command::Forget { before: vec![(res("old"), index)] }).await;
        }
    };
    tokio::pin!(forgetting);
    for units in 0.. {
        tokio::select! {
            () = &mut forgetting => break,
            _outcome = two.run(1, supply("new", 0, &[units])) => {}
        }
    }
    for witness in &two.witnesses {
        let told = witness.told();
        assert_eq!((told.voids, told.resets, told.wrong), (0, 1, vec![]));
    }
}

pub async fn a_follower_is_not_void_because_an_answer_was_lost(flavour: Flavour) {
    let server = Server::start(flavour, Options::default());
    let proxy = Proxy::start(server.address());
    let two = Two::by([server.url_at(proxy.address()), server.url()]).await;
    // Of what it follows, the first server has to read the document by a call of its own.
    proxy.next("GET", Fault::DropReply);
    two.run(1, network(1, "two", &[])).await;
    let begun = std::time::Instant::now();
    let told = loop {
        let told = two.witnesses[0].told();
        if told.seen.as_ref().is_some_and(|seen| seen.network_version == 2) {
            break told;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not follow");
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert_eq!(proxy.counts().replies_dropped, 1);
    assert_eq!(told.voids, 0, "what it knew was old, and not wrong");
    assert_eq!(&*told.document, b"two");
}

pub async fn the_answer_of_a_second_run_is_that_of_the_first(flavour: Flavour) {
    let server = Server::start(flavour, Options::default());
    let proxy = Proxy::start(server.address());
    let two = Two::by([server.url_at(proxy.address()), server.url()]).await;
    two.run(0, supply("slot", 0, &[1, 1, 1])).await;
    proxy.only(&["EVALSHA"]);
    proxy.replay(1.0);
    let Command::SetSupply(mut c) = supply("slot", 0, &[2, 2, 2, 2]) else { unreachable!("it is one") };
    c.only_unset = true;
    let Outcome::SupplySet { buckets } = two.run(0, Command::SetSupply(c)).await else { panic!("supply is set") };
    assert_eq!(buckets, 1, "the other three were set before");
}

pub async fn a_call_that_arrives_late_changes_nothing(flavour: Flavour) {
    let server = Server::start(flavour, Options::default());
    let proxy = Proxy::start(server.address());
    let two = Two::by([server.url_at(proxy.address()), server.url()]).await;
    proxy.only(&["EVALSHA"]);
    proxy.echo(1.0, LATE);

    two.run(0, supply("slot", 0, &[5])).await;
    two.run(0, supply("slot", 0, &[7])).await;
    two.run(0, hold("undone", &[("slot", 0, 1)])).await;
    two.run(0, undo("undone")).await;
    let unnamed = |delta| {
        let Command::AdjustSupply(mut c) = adjust("none", "slot", 2, &[0], delta) else { unreachable!("it is one") };
        c.request_id = None;
        Command::AdjustSupply(c)
    };
    two.run(0, unnamed(3)).await;
    let newest = two.servers[1].newest(&two.network).await;
    until_all_arrived(&two, &proxy).await;
    let set = |units| BucketLevel { set: Some(units), ..BucketLevel::default() };
    assert_eq!([two.level(1, "slot", 0).await, two.level(1, "slot", 2).await], [set(7), set(3)]);
    let found = two.servers[1].reservation(&two.network, &rid("undone")).await;
    assert_eq!(found, Ok(None));
    assert_eq!(two.servers[1].newest(&two.network).await, newest);
}

pub async fn what_was_refused_is_not_made_by_a_call_that_arrives_late(flavour: Flavour) {
    let server = Server::start(flavour, Options::default());
    let proxy = Proxy::start(server.address());
    let two = Two::by([server.url_at(proxy.address()), server.url()]).await;
    proxy.only(&["EVALSHA"]);
    proxy.echo(1.0, LATE);
    let refused = refusal(two.run(0, hold("short", &[("slot", 0, 1)])).await);
    assert!(matches!(refused, Refusal::Short(_)), "{refused:?}");
    // By the time that it arrives again, what it asked for is there; but its caller was told that it is not.
    two.run(1, supply("slot", 0, &[1])).await;
    until_all_arrived(&two, &proxy).await;
    let found = two.servers[1].reservation(&two.network, &rid("short")).await;
    assert_eq!(found, Ok(None), "nobody knows of it, so nobody gives it back");
    assert_eq!(two.level(1, "slot", 0).await.held, 0);
}

/// How much later calls arrive again.
const LATE: Duration = Duration::from_millis(60);

/// Waits until no call is on its way any more. There is no clock of the network's to turn.
async fn until_all_arrived(two: &Two, proxy: &Proxy) {
    proxy.echo(0.0, LATE);
    let begun = std::time::Instant::now();
    while begun.elapsed() < 3 * LATE {
        tokio::time::sleep(LATE / 6).await;
        two.run(0, Command::Tick).await;
    }
}

pub async fn commands_of_the_largest_size_do_as_the_rules_say(flavour: Flavour) {
    use surety::domain::limits::{MAX_ADJUSTED_BUCKETS, MAX_DRAWS, MAX_SUPPLY_NUMBERS};
    let mut steps = vec![network_one(), supply("slot", 0, &vec![3; MAX_SUPPLY_NUMBERS])];
    let draws: Vec<(&str, i32, i64)> = (0..MAX_DRAWS as i32).map(|i| ("slot", i * 2, 1)).collect();
    let mut twice: Vec<(&str, i32, i64)> = draws.clone();
    twice.iter_mut().for_each(|draw| draw.1 /= 4);
    let mut large = hold_of("x", takes(&draws), Span::seconds(2));
    large.hold = Span::seconds(2);
    steps.push(Command::Hold(Box::new(large)));
    steps.push(hold("y", &twice));
    steps.push(amend("x", "a", 1, &draws[1..]));
    steps.push(confirm("x"));
    steps.push(adjust("s", "slot", 0, &vec![0; MAX_ADJUSTED_BUCKETS], -2));
    steps.push(adjust("s", "slot", 0, &vec![0; MAX_ADJUSTED_BUCKETS], -2));
    // More than any bucket has by now: all of them are short.
    steps.push(hold("z", &draws));
    steps.push(release("x"));
    steps.push(Command::Forget { before: vec![(res("slot"), 9_000)] });
    steps.push(network(1, &"a long document ".repeat(100_000), &["slot"]));
    let database = own_database(flavour);
    let stage = Stage { url: database.url(), client: Box::new(move || database.client()), weather: Weather::Calm };
    let plan = super::sequence::Plan::of(steps);
    if let Err(why) = super::play::play(&stage, &plan).await {
        panic!("{}", why.chars().take(4_000).collect::<String>());
    }
}

pub async fn rule_20_a_shipment_told_after_the_delivery_is_remembered_no_longer(flavour: Flavour) {
    let steps =
        vec![network_one(), supply("slot", 0, &[3]), hold("x", &[("slot", 0, 1)]), confirm("x"), deliver("x", 0)];
    let database = own_database(flavour);
    let stage = Stage { url: database.url(), client: Box::new(move || database.client()), weather: Weather::Calm };
    let mut plan = super::sequence::Plan::of(steps);
    plan.steps.push(Step::Turn { to: BEGIN.plus(Span::days(3)) });
    plan.steps.push(Step::Run { server: 0, command: ship("x", BEGIN) });
    plan.steps.push(Step::Check);
    if let Err(why) = super::play::play(&stage, &plan).await {
        panic!("{why}");
    }
}
