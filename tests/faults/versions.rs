//! A later version of the service on the same Redis: what it writes that this one does not know is no reason to stop, unless it
//! changed what everything rests on.

use std::time::{Duration, Instant};

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::{Code, Status};

use crate::clients::request;
use crate::pace::Paced;
use crate::redis_world::{Flavour, Options, Server, Value};
use crate::scenario::{Scenario, play};
use crate::service::{Service, end_of, run};
use crate::shop;
use crate::single::RECOVERY;

const PATIENCE: Duration = Duration::from_secs(5);
const HEAD: &str = "{surety:default}:head";
/// An element of the feed with what this version does not know, written as a script would write it.
const OF_A_LATER_VERSION: &str = "
    local head, feed = KEYS[1], KEYS[2]
    local seq = redis.call('HGET', head, 'seq') + 1
    local id = string.format('%.0f', seq) .. '-4711'
    redis.call('XADD', feed, id, 'a', redis.call('HGET', head, 'now'), 's', string.format('%.0f', seq), unpack(ARGV))
    redis.call('HSET', head, 'seq', string.format('%.0f', seq), 'last', id)
    return seq";
/// A kind of element that there is not, and a step that there is not in a call's plan.
const UNKNOWN: [&[&str]; 2] =
    [&["k", "z", "y", "new"], &["k", "c", "f", "", "o", "", "p", "*new", "c", "A", "l", "", "d", ""]];
/// A field that this version's records do not have, at the end of a stored reservation, where its record is.
const A_FIELD: &str = "
    local stored = redis.call('HGET', KEYS[1], ARGV[1])
    return redis.call('HSET', KEYS[1], ARGV[1], stored .. '\\242\\63\\3new')";

fn world(scenario: &mut Scenario, flavour: Flavour) -> (Server, Vec<Service>) {
    let redis = Server::start(flavour, Options::default());
    let durable = ["--durability", "memory"];
    let services: Vec<Service> =
        (0..2).map(|n| scenario.service(&format!("server-{n}"), &redis.url(), &durable)).collect();
    scenario.prepare(&services, &["default".to_owned()]);
    (redis, services)
}

async fn hold(service: &Service, id: &str) -> Result<Option<Reservation>, Status> {
    let asked = shop::hold(id, shop::roomy(), Duration::from_secs(60));
    let answer = service.promises().quote(request("default", PATIENCE, asked)).await?;
    Ok(answer.into_inner().reservation)
}

#[test]
fn what_a_later_version_writes_is_read_around() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play("a_later_version_writes", |scenario| {
        let (redis, services) = world(scenario, flavour);
        scenario.runtime.block_on(async {
            hold(&services[0], "before").await.expect("an answer").expect("there is room");
            for round in 0..4 {
                let element = UNKNOWN[round % UNKNOWN.len()];
                redis.cli(&[&["EVAL", OF_A_LATER_VERSION, "2", HEAD, "{surety:default}:feed"], element].concat());
                let written = Paced::now();
                for service in &services {
                    scenario.lives(service, "default", written, RECOVERY).await;
                    let asked = GetReservationRequest { id: "before".into() };
                    let found = service.promises().get_reservation(request("default", PATIENCE, asked)).await;
                    let found = found.expect("an answer").into_inner().reservation.expect("set");
                    assert_eq!(found.state(), State::Held, "round {round}");
                }
            }
            // Those who follow get all that this version knows of, and what comes after.
            let watch = WatchEventsRequest { cursor: "0".into() };
            let mut events = services[1].operations().watch_events(watch).await.expect("events").into_inner();
            hold(&services[0], "after").await.expect("an answer").expect("there is room");
            let mut told = Vec::new();
            while !told.contains(&"after".to_owned()) {
                let event = tokio::time::timeout(PATIENCE, events.message()).await.expect("in time").expect("an event");
                if let Some(watch_events_response::Event::ReservationChanged(r)) = event.and_then(|event| event.event) {
                    told.push(r.id);
                }
            }
            assert!(told.contains(&"before".to_owned()), "{told:?}");
        });
        for service in &services {
            let log = service.log();
            assert!(log.contains("a later version of the service"), "it says why: {}", end_of(&log));
        }
        let audit = run(&["audit", "--store", &redis.url()]);
        assert!(audit.status.success(), "{audit:?}");
        scenario.end(&services);
    });
}

#[test]
fn what_a_later_version_added_to_a_reservation_is_passed_over_and_lost_with_the_next_change() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play("a_later_version_adds", |scenario| {
        let (redis, services) = world(scenario, flavour);
        const RESERVATIONS: &str = "{surety:default}:reservations";
        let is_there = || {
            let stored = redis.cli(&["HGET", RESERVATIONS, "kept"]);
            let Value::Bulk(stored) = stored else { panic!("it is stored: {stored:?}") };
            stored.ends_with(b"\xf2\x3f\x03new")
        };
        scenario.runtime.block_on(async {
            let held = hold(&services[0], "kept").await.expect("an answer").expect("there is room");
            redis.cli(&["EVAL", A_FIELD, "1", RESERVATIONS, "kept"]);
            assert!(is_there());
            // Who made it knows it, and who did not reads it; the answer is the same.
            for service in &services {
                let again = hold(service, "kept").await.expect("an answer").expect("it was held");
                assert_eq!(again, held, "{}", service.name);
            }
            assert!(is_there(), "nobody changed it");
            let asked = ConfirmReservationRequest { id: "kept".into(), ..Default::default() };
            let answer = services[1].promises().confirm_reservation(request("default", PATIENCE, asked)).await;
            let confirmed = answer.expect("it is confirmed").into_inner().reservation.expect("set");
            assert_eq!((confirmed.state(), confirmed.version), (State::Confirmed, held.version + 1));
            // `docs/redis.md` says so to who adds a field, and to who upgrades.
            assert!(!is_there(), "a record is written anew from what is known of it");
        });
        let audit = run(&["audit", "--store", &redis.url()]);
        assert!(audit.status.success(), "{audit:?}");
        scenario.end(&services);
    });
}

#[test]
fn a_layout_of_another_version_is_refused() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play("another_layout", |scenario| {
        let (redis, services) = world(scenario, flavour);
        scenario.runtime.block_on(async {
            hold(&services[0], "before").await.expect("an answer").expect("there is room");
        });
        for (layout, says) in [("3", "newer"), ("1", "surety export")] {
            redis.cli(&["HSET", HEAD, "layout", layout]);
            let says = [format!("layout {layout}"), says.to_owned()];
            let log = scenario.runtime.block_on(async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                for service in &services {
                    let refused =
                        hold(service, "meanwhile").await.expect_err("nothing is written to what it does not know");
                    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
                }
                services[0].log()
            });
            assert!(says.iter().all(|part| log.contains(part)), "it says what is wrong: {}", end_of(&log));
            // One that starts says so and ends.
            let begun = Instant::now();
            let start = run(&["serve", "--listen", "127.0.0.1:0", "--store", &redis.url(), "--durability", "memory"]);
            let told = String::from_utf8_lossy(&start.stderr);
            assert_eq!(start.status.code(), Some(2), "{told}");
            assert!(says.iter().all(|part| told.contains(part)), "{told}");
            println!("another_layout: refused {:?} after the start: {}", begun.elapsed(), told.trim());

            redis.cli(&["HSET", HEAD, "layout", "2"]);
            let back = Paced::now();
            scenario.runtime.block_on(async {
                for service in &services {
                    scenario.lives(service, "default", back, RECOVERY).await;
                }
            });
        }
        scenario.end(&services);
    });
}
