//! One Redis, a few servers, each behind a bad network of its own.

use std::time::Duration;

use crate::dice::Dice;
use crate::redis_world::{Aof, Flavour, Options, Port, Proxy, Server};
use crate::scenario::{Scenario, Stage, length, play};
use crate::service::Service;

/// How long after the last fault everybody must be served again: above what one call is waited for and the longest pause between
/// two tries, on a machine that is busy.
pub const RECOVERY: Duration = Duration::from_secs(8);

const SERVERS: usize = 3;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    KillServer,
    PauseServer,
    KillRedis,
    PauseRedis,
    Delay,
    DropReplies,
    DropRequests,
    Duplicate,
    Replay,
    Echo,
    Cut,
    Refuse,
    HangUp,
    /// All at once that can happen to single requests.
    Storm,
    FlushScripts,
    KillClients,
}

use Trouble::*;

struct World {
    redis: Server,
    proxies: Vec<Proxy>,
    services: Vec<Service>,
}

impl World {
    fn start(scenario: &mut Scenario, flavour: Flavour, options: Options, durability: &str) -> World {
        let redis = Server::start(flavour, options);
        let (mut proxies, mut services) = (Vec::new(), Vec::new());
        for number in 0..SERVERS {
            let proxy = Proxy::seeded(Port::reserve(), redis.address(), scenario.dice.next());
            let store = redis.url_at(proxy.address());
            services.push(scenario.service(&format!("server-{number}"), &store, &["--durability", durability]));
            proxies.push(proxy);
        }
        World { redis, proxies, services }
    }

    /// Something happens for a while, and is over.
    fn suffer(&self, trouble: Trouble, dice: &mut Dice) {
        let at = dice.below(SERVERS as u64) as usize;
        let (service, proxy) = (&self.services[at], &self.proxies[at]);
        let mut wait = |from: u64, to: u64| {
            let time = Duration::from_millis(dice.range(from as i64, to as i64) as u64);
            std::thread::sleep(time);
        };
        let single = [Delay, DropReplies, DropRequests, Duplicate, Replay, Echo, Storm];
        match trouble {
            KillServer => {
                service.kill9();
                wait(0, 500);
                service.restart();
                wait(100, 500);
            }
            PauseServer => {
                service.stop();
                wait(200, 2_500);
                service.cont();
                wait(100, 400);
            }
            KillRedis => {
                self.redis.kill9();
                wait(0, 1_000);
                self.redis.restart();
                wait(300, 900);
            }
            PauseRedis => {
                self.redis.stop();
                let most = if length() > Duration::from_secs(20) { 5_000 } else { 2_500 };
                wait(200, most);
                self.redis.cont();
                wait(300, 900);
            }
            Cut => {
                proxy.cut();
                wait(100, 4_000);
                proxy.heal();
            }
            Refuse => {
                proxy.refuse();
                wait(50, 1_500);
                proxy.heal();
            }
            HangUp => {
                proxy.hang_up();
                wait(20, 200);
            }
            FlushScripts => {
                self.redis.cli(&["SCRIPT", "FLUSH"]);
                wait(20, 200);
            }
            KillClients => {
                self.redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
                wait(20, 200);
            }
            Delay | DropReplies | DropRequests | Duplicate | Replay | Echo | Storm => {
                let odds = [0.02, 0.1, 0.4][dice.below(3) as usize];
                let later = Duration::from_millis(dice.below(300));
                let longest = Duration::from_millis(dice.below(120));
                // One server suffers, or all do.
                let all = dice.once_in(2);
                let suffering = self.proxies.iter().enumerate().filter(|(number, _)| all || *number == at);
                for (_, proxy) in suffering {
                    for one in single.into_iter().filter(|one| *one == trouble || trouble == Storm) {
                        let odds = if trouble == Storm { 0.05 } else { odds };
                        match one {
                            Delay => proxy.delay(Duration::ZERO, longest),
                            DropReplies => proxy.drop_replies(odds),
                            DropRequests => proxy.drop_requests(odds),
                            Duplicate => proxy.duplicate(odds),
                            Replay => proxy.replay(odds),
                            Echo => proxy.echo(odds, later),
                            _ => {}
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(dice.below(1_000) + 300));
                self.proxies.iter().for_each(Proxy::heal);
            }
        }
    }
}

fn scenario(name: &'static str, flavour: Flavour, options: &Options, durability: &str, troubles: &[Trouble]) {
    let Some(flavour) = flavour.or_skip() else { return };
    play(name, |scenario| {
        let world = World::start(scenario, flavour, options.clone(), durability);
        let url = world.redis.url();
        let networks = ["default".to_owned()];
        let stage = Stage { services: &world.services, networks: &networks, store: &url, recovery: RECOVERY };
        scenario.under_load(&stage, |dice| {
            let trouble = troubles[dice.below(troubles.len() as u64) as usize];
            world.suffer(trouble, dice);
        });
        let faults: Vec<u64> = world.proxies.iter().map(|proxy| proxy.counts().faults()).collect();
        let connections: Vec<u64> = world.proxies.iter().map(|proxy| proxy.counts().connections).collect();
        println!("{name}: faults of requests {faults:?}, connections {connections:?}");
    });
}

/// Nothing that is answered is in memory only, so that Redis may be killed and nothing acknowledged is lost.
fn on_disk() -> Options {
    Options { aof: Aof::Always, ..Options::default() }
}

#[test]
fn servers_are_killed() {
    scenario("servers_are_killed", Flavour::Redis, &Options::default(), "memory", &[KillServer]);
}

#[test]
fn redis_is_killed() {
    scenario("redis_is_killed", Flavour::Redis, &on_disk(), "fsync", &[KillRedis]);
}

#[test]
fn redis_and_servers_are_paused() {
    let troubles = [PauseRedis, PauseServer];
    scenario("redis_and_servers_are_paused", Flavour::Redis, &Options::default(), "memory", &troubles);
}

#[test]
fn requests_and_answers_are_lost_late_and_twice() {
    let troubles = [Delay, DropReplies, DropRequests, Duplicate, Replay, Echo, Storm];
    scenario("requests_and_answers_are_lost", Flavour::Redis, &Options::default(), "memory", &troubles);
}

#[test]
fn servers_are_cut_off() {
    let troubles = [Cut, Refuse, HangUp, KillClients, FlushScripts];
    scenario("servers_are_cut_off", Flavour::Redis, &Options::default(), "memory", &troubles);
}

/// On Valkey, which keeps its word on disk by being asked to before each answer (WAITAOF).
#[test]
fn everything_happens() {
    let troubles = [
        KillServer,
        PauseServer,
        KillRedis,
        PauseRedis,
        Delay,
        DropReplies,
        DropRequests,
        Duplicate,
        Replay,
        Echo,
        Cut,
        Refuse,
        HangUp,
        Storm,
        FlushScripts,
        KillClients,
    ];
    let options = Options { aof: Aof::EverySecond, ..Options::default() };
    scenario("everything_happens", Flavour::Valkey, &options, "fsync", &troubles);
}
