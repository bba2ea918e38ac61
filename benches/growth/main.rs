//! How costs grow: with resources, days and lines (in this process), with connections and with servers on one Redis (processes, as
//! `benches/served` drives them). Each curve is a table, and below it is said whether it grows as it should.
//!
//!     cargo bench --bench growth [-- resources days lines connections servers] [--rounds 7] [--seconds 2] [--most 1000000] [--no-redis]

#[path = "../../src/allocator.rs"]
mod allocator;
mod curve;
#[path = "../served/drive.rs"]
#[allow(dead_code, reason = "it has what benches/served shows, too")]
mod drive;
mod inside;
mod outside;
#[path = "../served/process.rs"]
#[allow(dead_code, reason = "it has what benches/served shows, too")]
mod process;
#[path = "../redis_server.rs"]
mod redis;
mod world;

use process::option;

const ALL: [&str; 5] = ["resources", "days", "lines", "connections", "servers"];

fn main() {
    if process::serve_if_told() {
        return;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&str> = ALL.into_iter().filter(|name| words.iter().any(|word| word == name)).collect();
    let chosen = if chosen.is_empty() { ALL.to_vec() } else { chosen };
    let rounds: usize = option("--rounds", "7").parse().expect("rounds");
    let seconds: f64 = option("--seconds", "2").parse().expect("seconds");
    let most: usize = option("--most", "1000000").parse().expect("a number of resources");
    let with_redis = !words.iter().any(|word| word == "--no-redis");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    println!("Microseconds a call, medians of {rounds} rounds; calls a second where it says so.");
    for name in chosen {
        match name {
            "resources" => inside::resources(&runtime, rounds, most, with_redis),
            "days" => inside::days(&runtime, rounds, with_redis),
            "lines" => inside::lines(&runtime, rounds, with_redis),
            "connections" => runtime.block_on(outside::connections(rounds, seconds)),
            _ if with_redis => runtime.block_on(outside::servers(rounds, seconds)),
            _ => {}
        }
    }
}
