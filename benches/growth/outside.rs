//! Curves of what happens between processes: connections to one server, and servers on one Redis. The generator is as busy as the
//! servers on a small machine, so it is the processor time a call that is judged, not the rate.

use std::time::Duration;

use super::curve::{self, Column, Growth};
use super::drive::{Call, Round, drive};
use super::process::Served;
use super::redis::Server;

/// Calls in flight, over all connections.
const IN_FLIGHT: usize = 64;

/// What is driven for one cell of a table, and how.
struct Drive<'a> {
    services: Vec<&'a Served>,
    call: Call,
    connections: usize,
}

/// Drives all in turn, so that what else the machine does hits all alike; a short round of each to warm up comes first.
async fn rounds_of(drives: &[Drive<'_>], rounds: usize, seconds: f64) -> Vec<Vec<Round>> {
    let mut seen: Vec<Vec<Round>> = drives.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        for (of, Drive { services, call, connections }) in drives.iter().enumerate() {
            let lasting = Duration::from_secs_f64(if round == 0 { seconds.min(0.5) } else { seconds });
            let done = drive(services, *call, IN_FLIGHT, *connections, lasting).await;
            if round > 0 {
                seen[of].push(done);
            }
        }
    }
    seen
}

/// A column of a table whose cells are every `every`th drive from `first` on.
fn column(
    name: &'static str,
    may_grow: Option<Growth>,
    seen: &[Vec<Round>],
    (first, every): (usize, usize),
    value: fn(&Round) -> f64,
) -> Column {
    let cells = seen.iter().skip(first).step_by(every);
    Column { name, may_grow, values: cells.map(|of| curve::median(of.iter().map(value).collect())).collect() }
}

pub async fn connections(rounds: usize, seconds: f64) {
    let (echo, memory) = (Served::start("echo", 108), Served::start("memory", 0));
    let sizes = [1, 2, 4, 8, 16, 32, 64];
    let of_size = |connections: usize| {
        [(&echo, Call::Echo), (&memory, Call::Quote), (&memory, Call::Hold)].map(|(served, call)| Drive {
            services: vec![served],
            call,
            connections,
        })
    };
    let drives: Vec<Drive<'_>> = sizes.into_iter().flat_map(of_size).collect();
    let seen = rounds_of(&drives, rounds, seconds).await;
    // What tonic itself costs on more connections is the bare echo's.
    let as_echo = Some(Growth::AsColumn(1));
    let columns = [
        column("bare echo, a second", None, &seen, (0, 3), |round| round.rate),
        column("server CPU an echo", None, &seen, (0, 3), |round| round.cpu),
        column("quotes a second", None, &seen, (1, 3), |round| round.rate),
        column("server CPU a quote", as_echo, &seen, (1, 3), |round| round.cpu),
        column("holds a second, memory", None, &seen, (2, 3), |round| round.rate),
        column("server CPU a hold", as_echo, &seen, (2, 3), |round| round.cpu),
    ];
    println!("\n{IN_FLIGHT} calls in flight, over all connections.");
    curve::print("connections", &sizes.map(|size| size as f64), &columns);
}

pub async fn servers(rounds: usize, seconds: f64) {
    let sizes = [1, 2, 4, 8];
    let mut groups = Vec::new();
    for size in sizes {
        // A Redis for each number of servers, so that only those that are meant follow its feed.
        let Some(server) = Server::start(false) else { return };
        let services: Vec<Served> = (0..size).map(|_| Served::on(&server, "memory", 1)).collect();
        groups.push((server, services));
    }
    let mut drives = Vec::new();
    for (_, services) in &groups {
        for call in [Call::Quote, Call::Hold] {
            drives.push(Drive { services: services.iter().collect(), call, connections: 8 });
        }
    }
    let seen = rounds_of(&drives, rounds, seconds).await;
    // Each server follows what all others do, so a hold costs each of them something.
    let columns = [
        column("quotes a second", None, &seen, (0, 2), |round| round.rate),
        column("CPU of all servers a quote", Some(Growth::Flat), &seen, (0, 2), |round| round.cpu),
        column("holds a second", None, &seen, (1, 2), |round| round.rate),
        column("CPU of all servers a hold", Some(Growth::InStep), &seen, (1, 2), |round| round.cpu),
        column("Redis CPU a hold", Some(Growth::InStep), &seen, (1, 2), |round| round.store),
    ];
    println!("\n{IN_FLIGHT} calls in flight over 8 connections, shared out evenly.");
    curve::print("servers on one Redis", &sizes.map(|size| size as f64), &columns);
}
