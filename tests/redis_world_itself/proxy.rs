//! Each fault of the bad network, on a real server.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::redis_world::*;

const SHORT: Duration = Duration::from_millis(100);

/// A database on the shared server, and a proxy before the server.
struct Bad {
    database: Database,
    proxy: Proxy,
}

fn bad_network() -> Option<Bad> {
    let database = own_database(Flavour::Redis.or_skip()?);
    Some(Bad { proxy: Proxy::start(database.server().address()), database })
}

impl Bad {
    /// A client that comes by the proxy and has selected the database.
    fn client(&self) -> Client {
        let mut client = Client::connect(self.proxy.address()).expect("a connection");
        assert_eq!(client.call(&["SELECT", &self.database.number().to_string()]).expect("an answer").text(), "OK");
        client
    }

    fn counter(&self) -> i64 {
        match self.database.cli(&["GET", "n"]) {
            Value::Nil => 0,
            value => value.int(),
        }
    }
}

fn incr(client: &mut Client) -> std::io::Result<i64> {
    client.call(&["INCR", "n"]).map(|value| value.int())
}

#[test]
fn a_good_network_passes_everything_on() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    let long = "x".repeat(3_000_000);
    client.call(&["SET", "long", &long]).expect("an answer");
    assert_eq!(client.call(&["GET", "long"]).expect("an answer").text().len(), long.len());
    assert_eq!(client.call(&["EVAL", "return {1, {'a', false}, {}}", "0"]).expect("an answer").list().len(), 3);
    // Many at once, answered in their order.
    for _ in 0..1_000 {
        client.send(&["INCR", "n"]).expect("sent");
    }
    for n in 1..=1_000 {
        assert_eq!(client.receive().expect("an answer").int(), n);
    }
    let counts = bad.proxy.counts();
    assert_eq!((counts.connections, counts.requests, counts.faults()), (1, 1_004, 0));
}

#[test]
fn a_delay_is_paid_on_both_ways() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.delay(Duration::from_millis(30), Duration::from_millis(40));
    let begun = Instant::now();
    for _ in 0..20 {
        client.send(&["INCR", "n"]).expect("sent");
    }
    (0..20).for_each(|_| assert!(client.receive().is_ok()));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(60), "{took:?}");
    // They are under way together.
    assert!(took < Duration::from_millis(600), "{took:?}");
}

#[test]
fn a_request_whose_reply_is_dropped_has_run() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.drop_replies(1.0);
    assert_eq!(incr(&mut client).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(bad.counter(), 1);
    assert_eq!(bad.proxy.counts().replies_dropped, 1);
    bad.proxy.heal();
    assert_eq!(incr(&mut bad.client()).expect("an answer"), 2);
}

#[test]
fn a_request_that_is_dropped_has_not_run() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.drop_requests(1.0);
    assert!(incr(&mut client).is_err());
    assert_eq!(bad.counter(), 0);
    assert_eq!(bad.proxy.counts().requests_dropped, 1);
}

#[test]
fn a_duplicate_runs_twice_and_is_answered_once() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.duplicate(1.0);
    assert_eq!(incr(&mut client).expect("an answer"), 1);
    assert_eq!(incr(&mut client).expect("an answer"), 3);
    bad.proxy.duplicate(0.0);
    assert_eq!(incr(&mut client).expect("an answer"), 5);
    assert_eq!(bad.counter(), 5);
    assert_eq!(bad.proxy.counts().duplicated, 2);
}

#[test]
fn a_replay_is_answered_by_its_second_run() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.replay(1.0);
    assert_eq!(incr(&mut client).expect("an answer"), 2);
    assert_eq!(incr(&mut client).expect("an answer"), 4);
    assert_eq!(bad.proxy.counts().replayed, 2);
}

#[test]
fn an_echo_runs_again_between_later_requests() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.echo(0.0, SHORT);
    bad.proxy.next("incr", Fault::Echo);
    assert_eq!(incr(&mut client).expect("an answer"), 1);
    assert_eq!(client.call(&["INCRBY", "n", "10"]).expect("an answer").int(), 11);
    until("the echo has run", || (bad.counter() == 12).then_some(()));
    assert_eq!(incr(&mut client).expect("an answer"), 13);
    assert_eq!(bad.proxy.counts().echoed, 1);
}

#[test]
fn a_transaction_runs_once() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.duplicate(1.0);
    assert_eq!(client.call(&["MULTI"]).expect("an answer").text(), "OK");
    assert_eq!(client.call(&["INCR", "n"]).expect("an answer").text(), "QUEUED");
    assert_eq!(client.call(&["EXEC"]).expect("an answer").list(), [Value::Int(1)]);
    assert_eq!(incr(&mut client).expect("an answer"), 2);
    assert_eq!(bad.counter(), 3);
}

#[test]
fn faults_keep_to_the_commands_they_are_for() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.only(&["incrby"]);
    bad.proxy.duplicate(1.0);
    assert_eq!(incr(&mut client).expect("an answer"), 1);
    client.call(&["INCRBY", "n", "10"]).expect("an answer");
    assert_eq!(bad.counter(), 21);
    bad.proxy.next("INCR", Fault::DropReply);
    client.call(&["INCRBY", "n", "10"]).expect("an answer");
    assert!(incr(&mut client).is_err());
    assert_eq!(bad.counter(), 42);
}

#[test]
fn the_same_seed_throws_the_same_faults() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let lost = || {
        let database = own_database(flavour);
        let proxy = Proxy::seeded(Port::reserve(), database.server().address(), 42);
        let bad = Bad { database, proxy };
        let mut client = bad.client();
        bad.proxy.duplicate(0.3);
        bad.proxy.replay(0.3);
        (0..50).map(|_| incr(&mut client).expect("an answer")).collect::<Vec<_>>()
    };
    let (once, again) = (lost(), lost());
    assert_eq!(once, again);
    assert!(once.last() > Some(&50), "{once:?}");
}

#[test]
fn what_a_cut_holds_up_arrives_when_it_heals() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.cut();
    client.wait_at_most(SHORT).expect("a time");
    client.send(&["INCR", "n"]).expect("sent");
    assert!(matches!(client.receive().unwrap_err().kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert_eq!(bad.counter(), 0);
    // A connection can be made, and nothing comes of it either.
    let mut late = Client::connect(bad.proxy.address()).expect("a connection");
    late.send(&["PING"]).expect("sent");
    bad.proxy.heal();
    client.wait_at_most(Duration::from_secs(10)).expect("a time");
    assert_eq!(client.receive().expect("an answer").int(), 1);
    assert_eq!(late.receive().expect("an answer").text(), "PONG");
}

#[test]
fn a_refusal_closes_all_and_lets_nobody_in() {
    let Some(bad) = bad_network() else { return };
    let mut client = bad.client();
    bad.proxy.refuse();
    assert!(incr(&mut client).is_err());
    let refused = Client::connect(bad.proxy.address()).map(|_| ());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    bad.proxy.heal();
    assert_eq!(incr(&mut bad.client()).expect("an answer"), 1);
    bad.proxy.hang_up();
    let mut client = bad.client();
    assert_eq!(incr(&mut client).expect("an answer"), 2);
}

#[test]
fn subscribers_and_tls_pass_unseen() {
    let Some(bad) = bad_network() else { return };
    bad.proxy.only(&["NOTHING"]);
    bad.proxy.duplicate(1.0);
    let mut client = bad.client();
    client.call(&["SUBSCRIBE", "a", "b"]).expect("the first");
    assert_eq!(client.receive().expect("the second").list()[1].text(), "b");
    bad.database.cli(&["PUBLISH", "b", "hello"]);
    assert_eq!(client.receive().expect("a message").list()[2].text(), "hello");

    let secure = Server::start(bad.database.server().flavour(), Options { tls: Tls::Server, ..Options::default() });
    let proxy = Proxy::start(secure.address());
    proxy.duplicate(1.0);
    let mut client = Client::connect_tls(proxy.address()).expect("a connection");
    assert_eq!(client.call(&["INCR", "n"]).expect("an answer").int(), 1);
    assert_eq!(client.call(&["INCR", "n"]).expect("an answer").int(), 2);
    proxy.cut();
    client.wait_at_most(SHORT).expect("a time");
    client.call(&["INCR", "n"]).expect_err("nothing passes");
}
