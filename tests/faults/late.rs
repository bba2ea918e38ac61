//! What arrives late: a request that the network delivers again, after others of the same server were made, must not be made again.

use std::time::Duration;

use surety::proto::v1::*;
use tonic::Code;

use crate::clients::request;
use crate::redis_world::{Flavour, Options, Port, Proxy, Server};
use crate::scenario::{Scenario, play};
use crate::service::Service;
use crate::shop::{self, day};

const PATIENCE: Duration = Duration::from_secs(10);

struct World {
    _redis: Server,
    /// Before the first of the servers.
    proxy: Proxy,
    services: Vec<Service>,
}

fn world(scenario: &mut Scenario, flavour: Flavour) -> World {
    let redis = Server::start(flavour, Options::default());
    let proxy = Proxy::seeded(Port::reserve(), redis.address(), scenario.dice.next());
    let first = scenario.service("server-0", &redis.url_at(proxy.address()), &["--durability", "memory"]);
    let second = scenario.service("server-1", &redis.url(), &["--durability", "memory"]);
    let services = vec![first, second];
    scenario.prepare(&services, &["default".to_owned()]);
    World { _redis: redis, proxy, services }
}

async fn supply(service: &Service, ahead: i64) -> i64 {
    let asked = ListBucketsRequest { resource: "spare".into(), from: day(ahead), days: 1, ..Default::default() };
    let answer = service.operations().list_buckets(request("default", PATIENCE, asked)).await;
    answer.expect("buckets").into_inner().buckets[0].supply
}

#[test]
fn an_adjustment_without_a_request_id_that_arrives_again_late_is_made_once() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play("adjustments_arrive_again_late", |scenario| {
        let world = world(scenario, flavour);
        world.proxy.only(&["EVALSHA"]);
        world.proxy.echo(1.0, Duration::from_millis(200));
        scenario.runtime.block_on(async {
            let before = supply(&world.services[0], 3).await;
            for _ in 0..10 {
                let resource = "spare".to_owned();
                let asked = AdjustSupplyRequest { resource, start: day(3), delta: 1, ..Default::default() };
                let mut operations = world.services[0].operations();
                operations.adjust_supply(request("default", PATIENCE, asked)).await.expect("it is adjusted");
            }
            tokio::time::sleep(Duration::from_millis(800)).await;
            let made = supply(&world.services[0], 3).await - before;
            assert!(world.proxy.counts().echoed >= 10, "{:?}", world.proxy.counts());
            assert_eq!(made, 10, "ten adjustments by one each");
        });
    });
}

#[test]
fn a_plan_that_arrives_again_late_does_not_undo_a_later_one() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play("plans_arrive_again_late", |scenario| {
        let world = world(scenario, flavour);
        world.proxy.only(&["EVALSHA"]);
        world.proxy.echo(1.0, Duration::from_millis(200));
        scenario.runtime.block_on(async {
            let mut operations = world.services[0].operations();
            let watch = WatchEventsRequest { cursor: "0".into() };
            let mut events = world.services[1].operations().watch_events(watch).await.expect("events").into_inner();
            for units in 1..=10 {
                let line = SupplyLine { resource: "spare".into(), start: day(3), units: vec![units] };
                let plan = tokio_stream::iter(vec![SetSupplyRequest { lines: vec![line] }]);
                operations.set_supply(request("default", PATIENCE, plan)).await.expect("it is set");
            }
            let mut told = Vec::new();
            while let Ok(next) = tokio::time::timeout(Duration::from_millis(800), events.message()).await {
                let event = next.expect("an event").and_then(|event| event.event);
                if let Some(watch_events_response::Event::BucketChanged(bucket)) = event
                    && bucket.resource == "spare"
                {
                    told.push(bucket.supply);
                }
            }
            assert_eq!(told, (1..=10).collect::<Vec<i64>>(), "each plan was set once, in its order");
        });
    });
}

#[test]
fn a_hold_that_was_refused_takes_nothing_when_it_arrives_again_late() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    play("refused_holds_arrive_again_late", |scenario| {
        let world = world(scenario, flavour);
        // The first server learns late of what the second does, so that it is the store that refuses.
        world.proxy.only(&["EVALSHA"]);
        world.proxy.delay(Duration::from_millis(100), Duration::from_millis(100));
        world.proxy.echo(1.0, Duration::from_millis(400));
        let ask = |ahead: i64| Ask {
            lines: vec![Line { sku: "card".into(), quantity: shop::SLOTS as i32 }],
            service: "free".into(),
            when: Some(ask::When::OnDate(day(ahead))),
            ..shop::roomy()
        };
        scenario.runtime.block_on(async {
            // All days before the last are full.
            let line = SupplyLine { resource: "slot".into(), start: day(0), units: vec![0; 9] };
            let plan = tokio_stream::iter(vec![SetSupplyRequest { lines: vec![line] }]);
            world.services[1].operations().set_supply(request("default", PATIENCE, plan)).await.expect("it is set");
            tokio::time::sleep(Duration::from_millis(700)).await;
            let minute = Duration::from_secs(60);
            let mut second = world.services[1].promises();
            let held = second.quote(request("default", PATIENCE, shop::hold("faster", ask(9), minute))).await;
            assert!(held.expect("an answer").into_inner().reservation.is_some());
            let mut first = world.services[0].promises();
            let refused = first.quote(request("default", PATIENCE, shop::hold("slower", ask(9), minute))).await;
            let refused = refused.expect("an answer").into_inner();
            assert_eq!(refused.reservation, None, "it is taken already");
            let release = ReleaseReservationRequest { id: "faster".into(), ..Default::default() };
            second.release_reservation(request("default", PATIENCE, release)).await.expect("it is released");
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            let asked = GetReservationRequest { id: "slower".into() };
            let found = second.get_reservation(request("default", PATIENCE, asked)).await;
            assert_eq!(found.expect_err("nobody holds it").code(), Code::NotFound);
        });
    });
}
