//! `--durability replicas:1`: nothing is acknowledged that only the primary has, whoever asks and however often.

use std::time::{Duration, Instant};

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::{Code, Status};

use crate::clients::request;
use crate::pace::Paced;
use crate::redis_world::{Flavour, Options, Server};
use crate::scenario::play;
use crate::service::Service;
use crate::shop;
use crate::single::RECOVERY;

const PATIENCE: Duration = Duration::from_secs(5);

async fn confirm(service: &Service, id: &str) -> Result<State, Status> {
    let asked = ConfirmReservationRequest { id: id.into(), ..Default::default() };
    let answer = service.promises().confirm_reservation(request("default", PATIENCE, asked)).await?;
    Ok(answer.into_inner().reservation.expect("set").state())
}

async fn hold(service: &Service, id: &str) -> Result<QuoteResponse, Status> {
    let asked = shop::hold(id, shop::roomy(), Duration::from_secs(600));
    service.promises().quote(request("default", PATIENCE, asked)).await.map(tonic::Response::into_inner)
}

fn what_no_replica_has_is_not_acknowledged(name: &'static str, flavour: Flavour) {
    let Some(flavour) = flavour.or_skip() else { return };
    play(name, |scenario| {
        let primary = Server::start(flavour, Options::default());
        let replica_of = Some(primary.address());
        let replica = Server::start(flavour, Options { replica_of, ..Options::default() });
        replica.wait_until_in_sync();
        let durable = ["--durability", "replicas:1"];
        let services: Vec<Service> =
            (0..2).map(|n| scenario.service(&format!("server-{n}"), &primary.url(), &durable)).collect();
        scenario.prepare(&services, &["default".to_owned()]);
        scenario.runtime.block_on(async {
            hold(&services[0], "first").await.expect("an answer").reservation.expect("there is room");
            replica.stop();
            // Time for the first attempts, the repeats, and more; the replica counts as connected all the while.
            let begun = Instant::now();
            let mut turn = 0;
            while begun.elapsed() < Duration::from_secs(6) {
                let service = &services[turn % 2];
                turn += 1;
                let confirmed = confirm(service, "first").await;
                let held = hold(service, "second").await;
                let answers = [confirmed.map(|state| format!("{state:?}")), held.map(|held| format!("{held:?}"))];
                for answer in answers {
                    match answer {
                        Ok(answer) => panic!("acknowledged, and only the primary has it (turn {turn}): {answer}"),
                        Err(status) => assert!(
                            matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded),
                            "turn {turn}: {status:?}"
                        ),
                    }
                }
                // What takes nothing goes on.
                let read = QuoteRequest { ask: Some(shop::roomy()), ..Default::default() };
                let answer = service.promises().quote(request("default", PATIENCE, read)).await;
                let as_of = answer.expect("quotes go on").into_inner().as_of;
                let age = shop::now() - shop::instant(&as_of).expect("an instant");
                println!("{name}: turn {turn}, {:?}: the view is {age} us old", begun.elapsed());
            }
            replica.cont();
            let healed = Paced::now();
            loop {
                let (confirmed, held) = (confirm(&services[1], "first").await, hold(&services[1], "second").await);
                if confirmed.is_ok_and(|state| state == State::Confirmed)
                    && held.is_ok_and(|held| held.reservation.is_some())
                {
                    break;
                }
                assert!(healed.elapsed() < RECOVERY, "the replica is back");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            println!("{name}: acknowledged {:?} after the replica was back", healed.elapsed());
        });
    });
}

#[test]
fn what_no_replica_has_is_not_acknowledged_on_redis() {
    what_no_replica_has_is_not_acknowledged("replicas_of_redis_are_paused", Flavour::Redis);
}

#[test]
fn what_no_replica_has_is_not_acknowledged_on_valkey() {
    what_no_replica_has_is_not_acknowledged("replicas_of_valkey_are_paused", Flavour::Valkey);
}
