//! The frame of every scenario: a seed, a load, troubles for a while, and then the end, at which all must be right.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use surety::proto::v1::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::book::{Book, Holding, Seen, Told};
use crate::checker::Checker;
use crate::clients::{Load, request};
use crate::dice::{Dice, setting};
use crate::follower::follow;
use crate::pace::Paced;
use crate::service::{Program, Service, end_of};
use crate::shop;

/// Clients of all networks together.
const CLIENTS: usize = 24;

/// One round of a scenario.
pub struct Scenario {
    pub name: &'static str,
    pub seed: u64,
    pub dice: Dice,
    pub runtime: Runtime,
    pub book: Arc<Book>,
    pub dir: TempDir,
}

/// Plays a scenario `ROUNDS` times, each with a seed of its own, which is printed.
pub fn play(name: &'static str, round: impl Fn(&mut Scenario)) {
    let rounds = setting("ROUNDS", 1);
    // The first round has the seed that is given, so that any one can be had again.
    let mut seed = setting("SEED", RandomState::new().hash_one(name));
    for number in 1..=rounds {
        let begun = Instant::now();
        println!("{} {name}: round {number} of {rounds}, SEED={seed}", shop::told());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let mut scenario = Scenario {
            name,
            seed,
            dice: Dice::seeded(seed),
            runtime: runtime.expect("a runtime"),
            book: Arc::default(),
            dir: tempfile::Builder::new().prefix("surety-faults-").tempdir().expect("a folder"),
        };
        round(&mut scenario);
        println!("{name}: SEED={seed} took {:?}", begun.elapsed());
        seed = scenario.dice.next();
    }
}

/// How long the troubles of a scenario last.
pub fn length() -> Duration {
    Duration::from_secs(setting("SECONDS_PER_SCENARIO", 3))
}

/// The servers, the store, and what is expected of them.
pub struct Stage<'a> {
    pub services: &'a [Service],
    pub networks: &'a [String],
    /// The store's address without any proxy.
    pub store: &'a str,
    /// How long after the last fault everybody must be served again.
    pub recovery: Duration,
    /// Whether the store forgets nothing that anybody may have seen, acknowledged or not.
    pub forgets_nothing: bool,
}

impl Scenario {
    /// Starts a server of the service. `more`: further options.
    #[track_caller]
    pub fn service(&self, name: &str, store: &str, more: &[&str]) -> Service {
        self.service_of(Program::this(), name, store, more)
    }

    /// Starts a server of another program.
    #[track_caller]
    pub fn service_of(&self, program: Program, name: &str, store: &str, more: &[&str]) -> Service {
        let _channels = self.runtime.enter();
        Service::start(program, self.dir.path(), name, store, more)
    }

    /// Has the servers take up networks and their stock.
    pub fn prepare(&self, services: &[Service], networks: &[String]) {
        let patience = Duration::from_secs(20);
        self.runtime.block_on(async {
            let Some(service) = services.first() else { return };
            for network in networks {
                let document = ApplyNetworkRequest { network: Some(shop::network()), validate_only: false };
                let mut operations = service.operations();
                operations.apply_network(request(network, patience, document)).await.expect("it is applied");
                let plan = tokio_stream::iter(vec![shop::plan()]);
                operations.set_supply(request(network, patience, plan)).await.expect("it is set");
            }
            // The others learn of it from the feed.
            for (service, network) in services.iter().flat_map(|s| networks.iter().map(move |n| (s, n))) {
                let begun = Instant::now();
                let asked = ListBucketsRequest { resource: "mugs".into(), ..Default::default() };
                while service.operations().list_buckets(request(network, patience, asked.clone())).await.is_err() {
                    assert!(begun.elapsed() < patience, "{} does not learn of {network}", service.name);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }

    /// Troubles under load, and the end. `trouble` is called again and again until its time is over; when it returns, all is
    /// healed.
    pub fn under_load(&mut self, stage: &Stage<'_>, mut trouble: impl FnMut(&mut Dice)) {
        self.prepare(stage.services, stage.networks);
        let servers = stage.services.iter().map(|service| (service.promises(), service.operations()));
        let load = Load::new(Arc::clone(&self.book), servers.collect(), stage.recovery);
        let mut clients = JoinSet::new();
        {
            let _spawning = self.runtime.enter();
            for network in stage.networks {
                load.begin(&mut clients, network, CLIENTS / stage.networks.len(), &mut self.dice);
            }
        }
        let mut followers = Vec::new();
        for network in stage.networks.iter().filter(|_| stage.forgets_nothing) {
            let servers = stage.services.iter().map(Service::operations).collect();
            let (book, end, dice) =
                (Arc::clone(&self.book), Arc::<AtomicU64>::default(), Dice::seeded(self.dice.next()));
            let following = follow(book, servers, network.clone(), dice, Arc::clone(&end));
            followers.push((network, end, self.runtime.spawn(following)));
        }
        let begun = Instant::now();
        while begun.elapsed() < length() {
            trouble(&mut self.dice);
        }
        load.healed();
        let healed = Paced::now();
        self.runtime.block_on(async {
            for network in stage.networks {
                for service in stage.services {
                    self.lives(service, network, healed, stage.recovery).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            load.stop();
            clients.join_all().await;
        });
        // Networks have nothing to do with each other.
        let Scenario { book, runtime, .. } = &*self;
        let Stage { services, store, .. } = *stage;
        let name = self.name;
        let check = |network: &String| {
            let end = runtime.block_on(Checker { book, services, network, store }.check());
            println!("{name}: {network}: {:?}", book.counts(network));
            (network.clone(), end)
        };
        let ends: BTreeMap<String, u64> = std::thread::scope(|threads| {
            let checks: Vec<_> = stage.networks.iter().map(|network| threads.spawn(|| check(network))).collect();
            checks.into_iter().map(|check| check.join().expect("a checker does not panic")).collect()
        });
        for (network, end, follower) in followers {
            end.store(ends[network], Ordering::SeqCst);
            let followed = runtime.block_on(follower).expect("who follows does not panic");
            println!("{name}: {network} was followed to {} in {} visits", followed.cursor, followed.visits);
            runtime.block_on(Checker { book, services, network, store }.was_followed(&followed));
        }
        println!("{name}: all was looked at {:?} after it was healed", healed.elapsed());
        self.end(stage.services);
    }

    /// Liveness: a hold succeeds soon after all was healed.
    pub async fn lives(&self, service: &Service, network: &str, healed: Paced, recovery: Duration) {
        let mut told = Told::new(uuid::Uuid::new_v4().to_string(), network.to_owned());
        loop {
            let patience = Duration::from_secs(2);
            let hold = shop::hold(&told.id, shop::roomy(), Duration::from_secs(1));
            let mut promises = service.promises();
            let asked = promises.quote(request(network, patience, hold));
            let answer = tokio::time::timeout(patience + Duration::from_millis(200), asked).await;
            match answer {
                Ok(Ok(answer)) => {
                    let reservation = answer.into_inner().reservation.expect("there is room");
                    told.holding = Holding::Yes;
                    told.seen.push(Seen::of(&reservation));
                    told.sent.insert("held", 1);
                    break;
                }
                Ok(Err(status)) => told.story.push(format!("{} {}", status.code(), status.message())),
                Err(_) => told.story.push("no answer".to_owned()),
            }
            if healed.elapsed() > recovery {
                told.hold_in_doubt = true;
                let Service { name, .. } = service;
                self.book.violation(format!("NOT ALIVE: {network} at {name} after {recovery:?}: {:?}", told.story));
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("{}: {network} at {} lives {:?} after it was healed", self.name, service.name, healed.elapsed());
        self.book.pages().told.push(told);
    }

    /// Panics if anything was wrong, with all that helps to find out why.
    pub fn end(&self, services: &[Service]) {
        let mut violations = self.book.violations();
        for service in services {
            // A defect is logged where it is met; a panic of a task would be silent otherwise.
            let log = service.log();
            let defect = log.lines().find(|line| line.contains("panicked at") || line.contains("a defect was met"));
            violations.extend(defect.map(|line| format!("{}: {line}", service.name)));
        }
        if violations.is_empty() {
            return;
        }
        // What was logged stays for who looks into it.
        let kept = std::env::temp_dir().join(format!("surety-faults-failed-{}-{}", self.name, self.seed));
        let _kept = std::fs::create_dir_all(&kept);
        for service in services {
            let _kept = std::fs::write(kept.join(format!("{}.log", service.name)), service.log());
            println!("-- log of {}:\n{}", service.name, end_of(&service.log()));
        }
        let _kept = std::fs::write(kept.join("violations"), violations.join("\n"));
        let many = violations.len();
        violations.truncate(10);
        panic!("{} SEED={}: {many} violations, logs in {kept:?}:\n{}", self.name, self.seed, violations.join("\n"));
    }
}
