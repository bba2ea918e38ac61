//! While Redis is away: holds fail at once and say when to come again, what takes nothing goes on from what was known, for as
//! long as it is configured to, and everything recovers by itself, without a rush of connections.

use std::time::{Duration, Instant};

use surety::proto::v1::*;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::clients::request;
use crate::dice::Dice;
use crate::pace::Paced;
use crate::redis_world::{Flavour, Options, Port, Proxy, Server};
use crate::scenario::{Scenario, play};
use crate::service::Service;
use crate::shop::{self, SLOTS};
use crate::single::RECOVERY;

/// How long callers would wait.
const DEADLINE: Duration = Duration::from_secs(10);
const STALE_READS: Duration = Duration::from_secs(6);
/// How long Redis may leave a call without an answer before it counts as away: an answer's time, and that of finding out.
const NOTICED: Duration = Duration::from_millis(3_500);
/// How long a call may take that begins when it is known: a few milliseconds, unless the machine is busy with other things.
const AT_ONCE: Duration = Duration::from_millis(1_500);
const SERVERS: usize = 3;

struct World {
    _redis: Server,
    proxies: Vec<Proxy>,
    services: Vec<Service>,
}

fn world(scenario: &mut Scenario, flavour: Flavour) -> World {
    let redis = Server::start(flavour, Options::default());
    let stale = format!("{}s", STALE_READS.as_secs());
    let (mut proxies, mut services) = (Vec::new(), Vec::new());
    for number in 0..SERVERS {
        let proxy = Proxy::seeded(Port::reserve(), redis.address(), scenario.dice.next());
        let options = ["--durability", "memory", "--stale-reads", &stale];
        services.push(scenario.service(&format!("server-{number}"), &redis.url_at(proxy.address()), &options));
        proxies.push(proxy);
    }
    scenario.prepare(&services, &["default".to_owned()]);
    World { _redis: redis, proxies, services }
}

/// How one call went, and when it began, from the beginning of the outage on.
struct Call {
    kind: &'static str,
    began: Duration,
    took: Duration,
    failed: Option<Status>,
}

/// Sends calls all the time for so long: holds that would get a yes, holds that would get a no, and looks at a reservation.
async fn knock(services: &[Service], time: Duration, dice: &mut Dice) -> Vec<Call> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..32_u64 {
        let mut promises = services[dice.below(services.len() as u64) as usize].promises();
        let pause = Duration::from_millis(dice.below(30) + 5);
        tasks.spawn(async move {
            let mut calls = Vec::new();
            while begun.elapsed() < time {
                let id = uuid::Uuid::new_v4().to_string();
                let began = begun.elapsed();
                let (kind, answer) = match number % 4 {
                    0 => {
                        // More than a day has.
                        let mut ask = shop::roomy();
                        ask.lines = vec![Line { sku: "card".into(), quantity: SLOTS as i32 + 1 }];
                        let asked = shop::hold(&id, ask, Duration::from_secs(1));
                        ("hold that gets a no", promises.quote(request("default", DEADLINE, asked)).await.err())
                    }
                    1 => {
                        let asked = GetReservationRequest { id: "known".into() };
                        ("look", promises.get_reservation(request("default", DEADLINE, asked)).await.err())
                    }
                    _ => {
                        let asked = shop::hold(&id, shop::roomy(), Duration::from_secs(1));
                        ("hold", promises.quote(request("default", DEADLINE, asked)).await.err())
                    }
                };
                calls.push(Call { kind, began, took: begun.elapsed() - began, failed: answer });
                tokio::time::sleep(pause).await;
            }
            calls
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

fn percentile(calls: &[&Call], share: f64) -> Duration {
    let mut took: Vec<Duration> = calls.iter().map(|call| call.took).collect();
    took.sort();
    took.get(((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// A question that takes nothing.
async fn quote(service: &Service) -> Result<i64, Status> {
    let asked = QuoteRequest { ask: Some(shop::roomy()), ..Default::default() };
    let answer = service.promises().quote(request("default", DEADLINE, asked)).await?.into_inner();
    Ok(shop::instant(&answer.as_of).expect("an instant"))
}

/// `noticed`: by then it has to be known that Redis is away.
fn redis_is_away(name: &'static str, go_away: impl Fn(&Proxy), noticed: Duration) {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play(name, |scenario| {
        let world = world(scenario, flavour);
        let World { proxies, services, .. } = &world;
        let mut dice = Dice::seeded(scenario.dice.next());
        scenario.runtime.block_on(async {
            let known = shop::hold("known", shop::roomy(), Duration::from_secs(600));
            let held = services[0].promises().quote(request("default", DEADLINE, known)).await;
            held.expect("an answer").into_inner().reservation.expect("there is room");
            // Every connection that there is, is there.
            knock(services, Duration::from_millis(300), &mut dice).await;
            let before: Vec<u64> = proxies.iter().map(|proxy| proxy.counts().connections).collect();

            let begun = Instant::now();
            proxies.iter().for_each(&go_away);
            let knocking = noticed + Duration::from_secs(1);
            let calls = knock(services, knocking, &mut dice).await;
            // Those that were under way when it went may still have got their answers.
            let settled = Duration::from_millis(20);
            for call in calls.iter().filter(|call| call.began > settled) {
                let Call { kind, began, took, failed } = call;
                let Some(status) = failed else { panic!("a {kind} was answered, {began:?} after Redis went") };
                assert_eq!(status.code(), Code::Unavailable, "{kind} {began:?}, {took:?}: {status:?}");
                let details = status.get_error_details();
                assert!(details.retry_info().is_some_and(|info| info.retry_delay.is_some()), "{kind}: {status:?}");
            }
            for kind in ["hold", "hold that gets a no", "look"] {
                let of = |from: Duration| -> Vec<&Call> {
                    calls.iter().filter(|call| call.kind == kind && call.began > from).collect()
                };
                let (all, late) = (of(settled), of(noticed));
                let told = |calls: &[&Call]| {
                    let p = |share| percentile(calls, share);
                    format!("{} calls, p50 {:?}, p99 {:?}, slowest {:?}", calls.len(), p(0.5), p(0.99), p(1.0))
                };
                println!("{name}: {kind}: {}; from {noticed:?} on: {}", told(&all), told(&late));
                assert!(percentile(&late, 0.99) < AT_ONCE, "{kind}: at once, once it is known");
                let all: Vec<&Call> = calls.iter().filter(|call| call.kind == kind).collect();
                assert!(percentile(&all, 1.0) < noticed + Duration::from_secs(1), "{kind}: well before the deadline");
            }

            // What takes nothing goes on, as of then.
            let last = quote(&services[0]).await.expect("quotes go on");
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(quote(&services[0]).await.expect("quotes go on"), last, "the view stands still");
            let mut ended = None;
            while begun.elapsed() < STALE_READS + Duration::from_secs(5) {
                if let Err(status) = quote(&services[0]).await {
                    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                    ended = Some(Duration::from_micros((shop::now() - last) as u64));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let ended = ended.expect("quotes end when what is known is too old");
            println!("{name}: quotes went on until the view was {ended:?} old");
            assert!(ended > STALE_READS && ended < STALE_READS + Duration::from_secs(1), "{ended:?}");

            // It comes back, to many callers.
            proxies.iter().for_each(Proxy::heal);
            let healed = Paced::now();
            let calls = knock(services, Duration::from_secs(2), &mut dice).await;
            for service in services {
                scenario.lives(service, "default", healed, RECOVERY).await;
                quote(service).await.expect("quotes go on");
            }
            let last = calls.iter().filter(|call| call.failed.is_some()).map(|call| call.began).max();
            let after: Vec<u64> = proxies.iter().map(|proxy| proxy.counts().connections).collect();
            let opened: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
            println!("{name}: the last call failed {last:?} after it was healed; connections opened: {opened:?}");
            // Two tries a second at most once it is away for long, two kinds of connection, and one look for networks a second.
            let most = 10 + 6 * begun.elapsed().as_secs();
            assert!(opened.iter().all(|opened| *opened <= most), "a rush of connections: {opened:?}, at most {most}");
        });
        scenario.end(services);
    });
}

#[test]
fn redis_refuses_connections() {
    // Nobody has to wait to see it.
    redis_is_away("redis_refuses", Proxy::refuse, Duration::from_millis(600));
}

#[test]
fn redis_is_behind_a_black_hole() {
    redis_is_away("redis_is_behind_a_black_hole", Proxy::cut, NOTICED);
}
