//! The words of `surety load`: what they come to, what is refused, and what it says when nothing answers.

use std::time::Duration;

use super::exit::Failure;
use super::fake_tests::run_at;
use super::load::LoadOptions;
use super::{Command, parse};
use crate::load::plan::{Land, Pace};
use crate::load::schedule::Arrivals;
use crate::load::skew::Skew;

fn options(words: &str) -> Result<LoadOptions, Vec<String>> {
    let command =
        parse(format!("surety load {words}").split_whitespace()).unwrap_or_else(|error| panic!("{error}")).command;
    let Command::Load(args) = command else { panic!() };
    match args.check(7) {
        Ok(options) => Ok(options),
        Err(Failure::Wrong { faults, .. }) => Err(faults),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn without_a_word_it_is_a_closed_loop_on_a_network_of_its_own() {
    let options = options("").unwrap();
    assert_eq!(options.plan.targets, ["http://127.0.0.1:7070"]);
    assert_eq!((options.plan.network.as_str(), options.plan.pace), ("load", Pace::Closed { in_flight: 64 }));
    assert_eq!(options.plan.land, Land::Made { products: 100, units: 1_000_000_000 });
    assert_eq!((options.plan.rounds, options.plan.seed, options.beside_echo, options.search), (1, 7, false, None));
    assert_eq!(options.plan.mix.to_string(), "quote=80,hold=15,confirm=3,release=2");
    assert_eq!(options.plan.timeout, Duration::from_secs(10));
}

#[test]
fn words_come_to_what_they_say() {
    let words = "--target http://a:1 --target http://b:2 --rate 250.5 --arrivals poisson --max-outstanding 9 --as-is \
                 --skew hot:1 --baseline echo --seed 3 --hold-for 2m --in-network shop --timeout 3s";
    let options = options(words).unwrap();
    assert_eq!(options.plan.targets, ["http://a:1", "http://b:2"]);
    assert_eq!(options.plan.pace, Pace::Open { rate: 250.5, arrivals: Arrivals::Poisson, outstanding: 9 });
    assert_eq!((options.plan.land, options.plan.network.as_str()), (Land::AsIs, "shop"));
    assert_eq!((options.plan.skew, options.plan.rounds, options.plan.seed), (Skew::Hot(1.0), 3, 3));
    assert_eq!((options.plan.hold_for, options.plan.timeout), (Duration::from_secs(120), Duration::from_secs(3)));
    assert!(options.beside_echo);
    assert_eq!(super::load_tests::options("--as-is").unwrap().plan.network, "default");
    let search = super::load_tests::options("--find-rate --p99 5ms --rate 1000").unwrap();
    assert_eq!(search.search, Some((Duration::from_millis(5), 1_000.0)));
}

#[test]
fn a_network_that_is_not_called_load_is_replaced_only_if_the_user_says_so() {
    for name in ["default", "shop", "loading", "loads"] {
        let faults = options(&format!("--in-network {name}")).unwrap_err();
        assert!(faults[0].starts_with("--in-network: ") && faults[0].contains("would be replaced"), "{faults:?}");
        assert!(options(&format!("--in-network {name} --replace")).is_ok());
        assert!(options(&format!("--in-network {name} --as-is")).is_ok());
    }
    for name in ["load", "load-2", "load.eu"] {
        assert_eq!(options(&format!("--in-network {name}")).unwrap().plan.network, name);
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let words = "--target ftp://x --connections 0 --rate 5 --in-flight 5 --mix buy=1 --skew odd --hold-for 9d --baseline b \
                 --duration 1ms --p99 x --lines 3 --products 2 --within-days 5000 --arrivals late --units x --timeout 0s --threads 0 \
                 --target-pid 4294967295";
    let faults = options(words).unwrap_err();
    let names: Vec<&str> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
    for name in [
        "--target",
        "--connections",
        "--in-flight",
        "--mix",
        "--skew",
        "--hold-for",
        "--baseline",
        "--duration",
        "--p99",
        "--lines",
        "--within-days",
        "--arrivals",
        "--units",
        "--timeout",
        "--threads",
        "--target-pid",
    ] {
        assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{name}: {faults:#?}");
    }
    for words in ["--rate 0", "--rate x", "--find-rate --in-flight 3", "--rounds 0", "--seed -1"] {
        let words = words.replace("-1", "minus");
        assert!(options(&words).is_err(), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_not_there_is_69() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let outcome = run_at("load --duration 200ms --warm-up 0s", &server).await;
    assert_eq!(outcome.exit.code(), 69, "{}", outcome.err);
    assert!(outcome.err.starts_with(&format!("surety: can't reach {server}: Connection refused")), "{}", outcome.err);
}
