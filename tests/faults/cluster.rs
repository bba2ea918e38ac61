//! Cluster: several networks over three primaries. One primary dies; the networks of the others go on as though nothing had
//! happened, and its own come back once its replica has taken over. As in `sentinel`, each primary has one replica, which has
//! what was acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::book::Counts;
use crate::redis_world::{Cluster, Flavour, Options, Shape, until};
use crate::scenario::{Stage, play};
use crate::service::Service;

const RECOVERY: Duration = Duration::from_secs(15);
const SERVERS: usize = 2;
const NETWORKS: usize = 6;

fn key(network: &str) -> String {
    format!("{{surety:{network}}}:head")
}

/// Networks of which every primary has two, the default one among them.
fn networks(cluster: &Cluster) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut of_node = [0; 3];
    for name in std::iter::once("default".to_owned()).chain((0..).map(|n| format!("shop-{n}"))) {
        let node = cluster.node_of(&key(&name));
        if of_node[node] < NETWORKS / 3 {
            of_node[node] += 1;
            found.push(name);
        }
        if found.len() == NETWORKS {
            break;
        }
    }
    found
}

#[test]
fn one_primary_of_a_cluster_dies_under_load() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play("a_primary_of_a_cluster_dies", |scenario| {
        let lines = vec!["cluster-require-full-coverage no".to_owned()];
        let options = Options { lines, ..Options::default() };
        let cluster = Cluster::start(flavour, Shape { replicas: 1, options, ..Shape::default() });
        let networks = networks(&cluster);
        let url = cluster.url();
        let durable = ["--durability", "replicas:1"];
        let services: Vec<Service> =
            (0..SERVERS).map(|n| scenario.service(&format!("server-{n}"), &url, &durable)).collect();
        let stage =
            Stage { services: &services, networks: &networks, store: &url, recovery: RECOVERY, forgets_nothing: false };
        let book = Arc::clone(&scenario.book);
        scenario.under_load(&stage, |dice| {
            std::thread::sleep(Duration::from_millis(dice.below(1_000) + 500));
            let unlucky = &networks[dice.below(networks.len() as u64) as usize];
            let node = cluster.node_of(&key(unlucky));
            let others: Vec<&String> = networks.iter().filter(|name| cluster.node_of(&key(name)) != node).collect();
            let before: Vec<Counts> = others.iter().map(|name| book.counts(name)).collect();
            let begun = Instant::now();
            let (dead, _) = cluster.kill_primary_of(&key(unlucky));
            println!("a_primary_of_a_cluster_dies: that of {unlucky}; failed over after {:?}", begun.elapsed());
            for (name, before) in others.iter().zip(&before) {
                let after = book.counts(name);
                // On a machine that is busy an answer is slow now and then; without its primary a network has none at all.
                if after.nothing - before.nothing >= after.held - before.held {
                    book.violation(format!("{name} was disturbed: {before:?} before, {after:?} after"));
                }
            }
            std::thread::sleep(Duration::from_millis(dice.below(500)));
            cluster.nodes[dead].restart();
            until("the dead one is back as a replica", || {
                let role = cluster.nodes[dead].try_cli(&["ROLE"]).ok()?;
                (role.list()[0].text() == "slave" && role.list()[3].text() == "connected").then_some(())
            });
            cluster.wait_until_ok();
            // Each server comes back to its networks after a pause of its own; the next one dies when all are served.
            until("all networks are served everywhere", || {
                let refusals = || networks.iter().map(|name| book.counts(name).nothing).sum::<usize>();
                let before = refusals();
                std::thread::sleep(Duration::from_millis(700));
                (refusals() == before).then_some(())
            });
            println!("a_primary_of_a_cluster_dies: all is served after {:?}", begun.elapsed());
        });
    });
}
