//! A primary that is replaced.

use crate::redis_world::*;

fn set_and_wait(primary: &Server, value: &str) {
    let mut client = primary.client().expect("a connection");
    client.call(&["SET", "mug", value]).expect("an answer");
    assert_eq!(client.call(&["WAIT", "1", "10000"]).expect("an answer").int(), 1, "the replica has it");
}

#[test]
fn a_replica_stands_in_for_a_dead_primary() {
    for flavour in Flavour::ALL.into_iter().filter_map(Flavour::or_skip) {
        let access = Access::Password("sesame".into());
        let group = Sentinels::start(flavour, 1, Options { access, ..Options::default() });
        let first = group.primary();
        assert!(group.url().starts_with("redis+sentinel://:sesame@127.0.0.1:"), "{}", group.url());
        assert!(group.url().ends_with("/surety"), "{}", group.url());
        set_and_wait(first, "12");
        let second = group.kill_primary();
        assert_ne!(second.port(), first.port());
        assert_eq!(second.cli(&["GET", "mug"]).text(), "12");
        assert_eq!(group.primary().port(), second.port());
        first.restart();
        first.wait_until_in_sync();
    }
}

#[test]
fn a_failover_can_be_asked_for() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let group = Sentinels::start(flavour, 1, Options { tls: Tls::Server, ..Options::default() });
    assert!(group.url().starts_with("rediss+sentinel://127.0.0.1:"), "{}", group.url());
    let first = group.primary().port();
    set_and_wait(group.primary(), "12");
    let second = group.fail_over();
    assert_ne!(second.port(), first);
    assert_eq!(second.cli(&["GET", "mug"]).text(), "12");
}
