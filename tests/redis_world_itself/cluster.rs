//! Slots, their primaries, and what happens when one dies.

use std::time::Duration;

use crate::redis_world::*;

#[test]
fn three_primaries_share_the_slots_and_hand_them_on() {
    for flavour in Flavour::ALL.into_iter().filter_map(Flavour::or_skip) {
        let cluster = Cluster::start(flavour, Shape::default());
        assert_eq!(cluster.nodes.len(), 3);
        assert_eq!(cluster.url().matches("127.0.0.1:").count(), 3, "{}", cluster.url());
        for (slot, node) in [(0, 0), (5_460, 0), (5_461, 1), (10_922, 2), (16_383, 2)] {
            assert_eq!(cluster.node_of_slot(slot), node, "slot {slot}");
        }
        let key = "{surety:shop}mug";
        let (slot, from) = (cluster.slot_of(key), cluster.node_of(key));
        let to = (from + 1) % 3;
        cluster.nodes[from].cli(&["SET", key, "12"]);
        cluster.begin_move(slot, to);
        let answer = cluster.nodes[from].try_cli(&["GET", "{surety:shop}other"]).expect("an answer");
        assert!(matches!(&answer, Value::Error(told) if told.starts_with("ASK ")), "{answer:?}");
        cluster.move_slot(slot, to);
        assert_eq!(cluster.node_of(key), to);
        assert_eq!(cluster.nodes[to].cli(&["GET", key]).text(), "12");
        let answer = cluster.nodes[from].try_cli(&["GET", key]).expect("an answer");
        assert!(matches!(&answer, Value::Error(told) if told.starts_with("MOVED ")), "{answer:?}");
    }
}

#[test]
fn a_replica_stands_in_for_a_dead_primary_of_a_cluster() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let access = Access::Password("sesame".into());
    let options = Options { access, ..Options::default() };
    let cluster = Cluster::start(flavour, Shape { replicas: 1, options, ..Shape::default() });
    let key = "{surety:shop}mug";
    let mut client = cluster.nodes[cluster.node_of(key)].client().expect("a connection");
    client.call(&["SET", key, "12"]).expect("an answer");
    assert_eq!(client.call(&["WAIT", "1", "10000"]).expect("an answer").int(), 1, "the replica has it");
    let (dead, heir) = cluster.kill_primary_of(key);
    assert_eq!(heir, dead + 3, "the replica of node {dead}");
    assert_eq!(cluster.nodes[heir].cli(&["GET", key]).text(), "12");
    cluster.nodes[dead].restart();
    cluster.nodes[dead].wait_until_in_sync();
    assert_eq!(cluster.node_of(key), heir);
}

#[test]
fn clients_of_a_cluster_behind_proxies_are_sent_to_proxies() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let cluster = Cluster::start(flavour, Shape { proxied: true, replicas: 1, ..Shape::default() });
    let key = "{surety:shop}mug";
    let owner = cluster.node_of(key);
    let other = (owner + 1) % 3;
    let mut client = Client::connect(cluster.proxies[other].address()).expect("a connection");
    let answer = client.call(&["SET", key, "12"]).expect("an answer");
    let proxy = cluster.proxies[owner].address();
    assert!(matches!(&answer, Value::Error(told) if told.ends_with(&proxy.to_string())), "{answer:?}, not {proxy}");
    let mut client = Client::connect(proxy).expect("a connection");
    assert_eq!(client.call(&["SET", key, "12"]).expect("an answer").text(), "OK");
    assert_eq!(client.call(&["WAIT", "1", "10000"]).expect("an answer").int(), 1, "the replica comes by the proxy too");
    cluster.proxies[owner].cut();
    client.wait_at_most(Duration::from_millis(100)).expect("a time");
    client.call(&["GET", key]).expect_err("no answer");
    cluster.wait_until_ok();
}
