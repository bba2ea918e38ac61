//! A long, steady, mixed load with all that happens in a week: holds that end by themselves, supply that comes and goes, offers,
//! watchers, restarts of servers and of Redis. It measures what servers and stores have while it runs, and judges at the end: memory is
//! flat, tasks, files and threads are those of an idle server once all have gone, the store holds what is live and what it was told
//! to remember, no number has drifted, and nothing is oversold, lost or leaked.
//!
//! The short form is one of the tests. The long one, of the program that is released (`docs/running.md`):
//! `SOAK_MINUTES=60 SURETY_TEST_PROGRAM=target/release/surety cargo test --test faults soak -- --nocapture`

mod collector;
mod judge;
mod librarian;
mod samples;
pub mod season;
mod settings;
mod watchers;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use surety::proto::v1::reservation::State;
use tokio::task::JoinSet;

use crate::checker::Checker;
use crate::clients::Load;
use crate::dice::Dice;
use crate::pace::Paced;
use crate::redis_world::Flavour;
use crate::scenario::{Scenario, play};
use judge::Judge;
use librarian::Librarian;
use samples::Samples;
use season::{Counter, Customer, Season};
use settings::Settings;
use world::{Idle, World};

/// How long after the last restart everybody must be served again.
const RECOVERY: Duration = Duration::from_secs(8);
/// Clients of the checked network, customers of the other, and who watches.
const CLIENTS: u64 = 12;
const CUSTOMERS: u64 = 16;
const WATCHERS: u64 = 4;
/// Calls of one order of a client, about.
const CALLS_OF_AN_ORDER: u64 = 3;
/// How long a server may take to be idle: threads for blocking work live on for ten seconds.
const TO_REST: Duration = Duration::from_secs(30);
/// How long what is to be forgotten may still be there.
const TO_FORGET: Duration = Duration::from_secs(30);

const NETWORKS: [&str; 2] = ["default", season::NETWORK];

#[test]
fn soak_on_redis() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play("soak_on_redis", |scenario| soak(scenario, Some(flavour)));
}

#[test]
fn soak_of_the_embedded_store() {
    play("soak_of_the_embedded_store", |scenario| soak(scenario, None));
}

fn soak(scenario: &mut Scenario, flavour: Option<Flavour>) {
    let settings = Settings::read();
    let mut world = World::start(scenario, &settings, flavour);
    scenario.prepare(&world.services, &NETWORKS.map(str::to_owned));
    let (idle, offers) = idle(scenario, &world);

    let path = settings.folder.join(format!("{}-{}.csv", scenario.name, scenario.seed));
    println!(
        "{}: {:?} at some {} calls a second; samples are in {path:?}",
        scenario.name, settings.length, settings.rate
    );
    let mut samples = Samples::begin(path);
    let season = Season::new(Arc::clone(&scenario.book), &world.services, offers);
    let mut librarian = Librarian::new(settings.remember);
    let crowd = Crowd::come(scenario, &settings, &world, &season);
    go_on(scenario, &settings, &mut world, &mut samples, &mut librarian);

    // All is healed, and everybody goes.
    crowd.load.healed();
    let healed = Paced::now();
    scenario.runtime.block_on(async {
        for service in &world.services {
            scenario.lives(service, "default", healed, RECOVERY).await;
        }
    });
    crowd.go(scenario, &season);
    season.told().iter().for_each(|line| println!("{}: {line}", scenario.name));
    println!("{}: default: {:?}", scenario.name, scenario.book.counts("default"));
    look_at_the_end(scenario, &world, &mut librarian);
    rest(scenario, &settings, &mut world, &season, &mut samples, idle);
    println!("{}: samples are in {:?}\n{}", scenario.name, samples.path, samples.table(settings.length));
    scenario.end(&world.services);
}

/// What servers have that were asked everything once, and are left; and the offers that were approved by it.
fn idle(scenario: &mut Scenario, world: &World) -> (Vec<Idle>, u64) {
    let season = Season::new(Arc::clone(&scenario.book), &world.services, 0);
    for service in &world.services {
        let dice = Dice::seeded(scenario.dice.next());
        scenario.runtime.block_on(Customer::new(Arc::clone(&season), dice, 1).all_once(&Counter::of(service)));
    }
    let offers = season.offers();
    drop(season);
    let _channels = scenario.runtime.enter();
    world.services.iter().for_each(crate::service::Service::hang_up);
    // Two more reports of each.
    std::thread::sleep(Duration::from_millis(2_500));
    let levels = (0..world.services.len()).map(|at| {
        let level = crate::redis_world::until("a server tells its figures", || world.level(at));
        println!("{}: {} is idle with {level:?}", scenario.name, world.services[at].name);
        level
    });
    (levels.collect(), offers)
}

/// Everybody who calls.
struct Crowd {
    load: Arc<Load>,
    clients: JoinSet<()>,
}

impl Crowd {
    fn come(scenario: &mut Scenario, settings: &Settings, world: &World, season: &Arc<Season>) -> Crowd {
        // Half of the calls go to each network. Pauses are uniform, so the longest is twice the mean.
        let half = (settings.rate / 2).max(1);
        let orders = 2_000 * CLIENTS * CALLS_OF_AN_ORDER / half;
        let pause = 2_000 * CUSTOMERS / half;
        let servers = world.services.iter().map(|service| (service.promises(), service.operations())).collect();
        let load = Load::steady(Arc::clone(&scenario.book), servers, RECOVERY, orders);
        let mut clients = JoinSet::new();
        let _spawning = scenario.runtime.enter();
        let dice = &mut scenario.dice;
        load.begin(&mut clients, "default", CLIENTS as usize, dice);
        for _ in 0..CUSTOMERS {
            clients.spawn(Customer::new(Arc::clone(season), Dice::seeded(dice.next()), pause).run());
        }
        let addresses: Vec<_> = world.services.iter().map(crate::service::Service::address).collect();
        for _ in 0..WATCHERS {
            let (book, dice) = (Arc::clone(&scenario.book), Dice::seeded(dice.next()));
            clients.spawn(watchers::watch(book, Arc::clone(season), addresses.clone(), NETWORKS, dice));
        }
        clients.spawn(season::market(Arc::clone(season), Dice::seeded(dice.next()), settings.campaign_every));
        Crowd { load, clients }
    }

    fn go(self, scenario: &Scenario, season: &Season) {
        self.load.stop();
        season.stop();
        scenario.runtime.block_on(self.clients.join_all());
    }
}

/// Samples, restarts and the checks between, until the time is over.
fn go_on(
    scenario: &mut Scenario,
    settings: &Settings,
    world: &mut World,
    samples: &mut Samples,
    librarian: &mut Librarian,
) {
    let begun = Instant::now();
    let (mut sample_at, mut look_at, mut restart_at) = (begun, begun, begun + settings.restart_every);
    let mut is_audited = false;
    while begun.elapsed() < settings.length {
        std::thread::sleep(Duration::from_millis(50));
        let now = Instant::now();
        if now >= sample_at {
            sample_at = now + settings.sample_every;
            sample(samples, world);
        }
        if now >= look_at {
            look_at = now + settings.remember / 8;
            scenario.runtime.block_on(librarian.look(&checker(scenario, world, "default")));
        }
        // A server of its own must live from the second third on, so that its memory can be compared.
        let may_restart = world.services.len() > 1 || begun.elapsed() < settings.length / 3;
        if now >= restart_at && may_restart {
            restart_at = now + settings.restart_every;
            let what = world.restart(&mut scenario.dice);
            println!("{}: {:>6.0?} {what}", scenario.name, begun.elapsed());
        }
        if !is_audited && begun.elapsed() >= settings.length / 3 {
            is_audited = true;
            audit(scenario, world);
            println!("{}: {:>6.0?} audited", scenario.name, begun.elapsed());
        }
    }
    sample(samples, world);
}

fn sample(samples: &mut Samples, world: &World) {
    for (service, collector) in world.services.iter().zip(&world.collectors) {
        samples.server(service, collector, world.folder.as_deref());
    }
    if let Some(redis) = &world.redis {
        samples.redis(redis);
    }
    if let Some(folder) = &world.folder {
        samples.folder(folder);
    }
    samples.flush();
}

fn checker<'a>(scenario: &'a Scenario, world: &'a World, network: &'a str) -> Checker<'a> {
    Checker { book: &scenario.book, services: &world.services, network, store: &world.store }
}

/// An audit of both networks. On Redis the load goes on meanwhile.
fn audit(scenario: &Scenario, world: &mut World) {
    if world.folder.is_some() {
        world.end(0);
    }
    for network in NETWORKS {
        if let Err(found) = world.audit(network) {
            scenario.book.violation(found);
        }
    }
    if world.folder.is_some() {
        world.begin(0);
    }
}

/// Nobody calls any more: what was told is there, what is drawn is what is live, and all of it goes back.
fn look_at_the_end(scenario: &Scenario, world: &World, librarian: &mut Librarian) {
    scenario.runtime.block_on(async {
        let checker = checker(scenario, world, "default");
        let there = checker.list(State::Unspecified).await;
        librarian.look(&checker).await;
        librarian.knows_all(&checker, &there);
        checker.sums_are_right().await;
        checker.adjustments_are_made_once().await;
        checker.all_goes_back().await;
    });
    let Librarian { judged, missed, .. } = librarian;
    println!(
        "{}: {judged} reservations were held to what was told of them, {missed} were looked at too late",
        scenario.name
    );
    scenario.runtime.block_on(self::checker(scenario, world, season::NETWORK).release_all());
}

/// All is over. Servers come to rest, and the store forgets.
fn rest(
    scenario: &Scenario,
    settings: &Settings,
    world: &mut World,
    season: &Season,
    samples: &mut Samples,
    idle: Vec<Idle>,
) {
    let over = Instant::now();
    scenario.runtime.block_on(async {
        for network in NETWORKS {
            let checker = checker(scenario, world, network);
            while !checker.list(State::Unspecified).await.is_empty() {
                if over.elapsed() > settings.remember + TO_FORGET {
                    checker.violation("what ended is not forgotten".to_owned());
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    });
    println!("{}: all was forgotten {:?} after it was over", scenario.name, over.elapsed());
    {
        let _channels = scenario.runtime.enter();
        world.services.iter().for_each(crate::service::Service::hang_up);
    }
    let levels: Vec<Idle> = (0..world.services.len())
        .map(|at| {
            let begun = Instant::now();
            loop {
                let level = crate::redis_world::until("a server tells its figures", || world.level(at));
                if Judge::is_as_idle(idle[at], level) || begun.elapsed() > TO_REST {
                    return level;
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        })
        .collect();
    sample(samples, world);
    let judge = Judge { scenario, settings, samples, world };
    judge.is_flat(season);
    for (at, level) in levels.into_iter().enumerate() {
        judge.is_idle(at, idle[at], level);
    }
    if world.redis.is_some() {
        judge.feed_is_trimmed();
    }
    (0..world.services.len()).for_each(|at| world.end(at));
    for network in NETWORKS {
        if let Err(found) = world.audit(network) {
            scenario.book.violation(found);
        }
        judge.export_is_bounded(network);
    }
    judge.keys_are_bounded(season);
}
