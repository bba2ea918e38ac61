//! Sentinel: the primary is killed, paused or told to step down under load, and its replica takes over.
//!
//! With `--durability replicas:1` an answer is given once one replica has what it tells of. WAIT does not say which one, and of
//! several replicas Sentinel might choose another that is behind. So there is one replica here, and nothing that was
//! acknowledged may be lost. Until the old primary is back as the new one's replica, nothing can be acknowledged.

use std::time::{Duration, Instant};

use crate::redis_world::{Flavour, Options, Sentinels, until};
use crate::scenario::{Stage, length, play};
use crate::service::Service;

/// Connections to the old primary and the map of the new ones have to be made anew, and the old one has to be in sync again.
const RECOVERY: Duration = Duration::from_secs(15);
const SERVERS: usize = 3;

#[test]
fn primaries_fail_over_under_load() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play("primaries_fail_over", |scenario| {
        let group = Sentinels::start(flavour, 1, Options::default());
        let url = group.url();
        let durable = ["--durability", "replicas:1"];
        let services: Vec<Service> =
            (0..SERVERS).map(|n| scenario.service(&format!("server-{n}"), &url, &durable)).collect();
        let networks = ["default".to_owned()];
        let stage = Stage { services: &services, networks: &networks, store: &url, recovery: RECOVERY };
        scenario.under_load(&stage, |dice| {
            std::thread::sleep(Duration::from_millis(dice.below(600) + 300));
            let old = group.primary_index();
            let begun = Instant::now();
            let what = match dice.below(3) {
                0 => {
                    group.kill_primary();
                    std::thread::sleep(Duration::from_millis(dice.below(500)));
                    group.servers[old].restart();
                    "killed"
                }
                1 => {
                    group.servers[old].stop();
                    group.wait_for_another(old);
                    std::thread::sleep(Duration::from_millis(dice.below(1_000)));
                    // It takes itself for the primary until a Sentinel tells it better.
                    group.servers[old].cont();
                    "paused"
                }
                _ => {
                    group.fail_over();
                    "told to step down"
                }
            };
            let over = begun.elapsed();
            until("the old primary follows the new one", || {
                let role = group.servers[old].try_cli(&["ROLE"]).ok()?;
                (role.list()[0].text() == "slave" && role.list()[3].text() == "connected").then_some(())
            });
            println!("primaries_fail_over: {what}; over after {over:?}, in sync after {:?}", begun.elapsed());
            if length() > Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(dice.below(2_000)));
            }
        });
    });
}
