//! The load generator against real servers, and against one that stalls and lies.

use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;

use surety::load::check::Findings;
use surety::load::measured::Outcome;
use surety::load::mix::{Kind, Mix};
use surety::load::plan::{Land, Pace, Plan};
use surety::load::run::{Driven, Run, Watch};
use surety::load::schedule::Arrivals;
use surety::load::skew::Skew;
use tokio_util::sync::CancellationToken;

use crate::meddling::Meddler;
use crate::process::surety;
use crate::support::*;

/// Nobody watches.
struct Unseen;

impl Watch for Unseen {
    fn begins(&self, _: &str, _: Duration) {}
}

/// A short closed loop of everything.
fn plan(address: SocketAddr) -> Plan {
    Plan {
        targets: vec![format!("http://{address}")],
        connections: 2,
        network: "load".to_owned(),
        land: Land::Made { products: 5, units: 1_000_000 },
        pace: Pace::Closed { in_flight: 8 },
        warm_up: Duration::from_millis(50),
        duration: Duration::from_millis(500),
        rounds: 1,
        mix: Mix::parse("quote=5,hold=5,confirm=2,release=2,dates=1").expect("a mix"),
        skew: Skew::Uniform,
        lines: 1,
        hold_for: Duration::from_secs(60),
        within_days: 13,
        timeout: Duration::from_secs(20),
        seed: 1,
        pid: None,
    }
}

fn open(rate: f64, outstanding: usize) -> Pace {
    Pace::Open { rate, arrivals: Arrivals::Even, outstanding }
}

async fn drive(plan: Plan) -> (Driven, Findings) {
    let run = Run::prepare(plan, 0x5eed).await.expect("a run");
    let driven = run.drive(&CancellationToken::new(), &Unseen).await.remove(0);
    (driven, run.check().await.expect("a check"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_of_all_kinds_is_answered_and_oversells_nothing() {
    let server = TestServer::empty().await;
    let duration = Duration::from_secs(1);
    let (driven, findings) = drive(Plan { duration, rounds: 2, lines: 2, ..plan(server.address) }).await;
    let sheet = driven.sheet();
    for kind in Kind::MIXED {
        let measured = &sheet.kinds[&kind];
        assert!(measured.answers > 0 && measured.failures() == 0, "{}: {:?}", kind.name(), measured.outcomes);
        assert!(measured.at(0.5) > Duration::ZERO && measured.max() >= measured.at(0.99));
    }
    assert_eq!(driven.rounds.len(), 2);
    assert_eq!(findings.violations, [""; 0]);
    assert!(findings.confirmed > 0 && findings.confirmed_seen > 0 && findings.held_seen.0 > 0, "{findings:?}");
    assert!(findings.booked > 0 && findings.buckets >= 15, "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_units_are_scarce_many_holds_are_refused_and_none_too_many_is_promised() {
    let server = TestServer::empty().await;
    let (driven, findings) = drive(Plan {
        land: Land::Made { products: 2, units: 3 },
        skew: Skew::Hot(0.9),
        mix: Mix::parse("hold=8,confirm=1,release=3").expect("a mix"),
        within_days: 1,
        // Two names of one server stand for two servers of one store.
        targets: vec![format!("http://{}", server.address), format!("http://localhost:{}", server.address.port())],
        ..plan(server.address)
    })
    .await;
    let holds = driven.sheet().kinds[&Kind::Hold].clone();
    let count = |outcome| holds.outcomes.get(&outcome).copied().unwrap_or(0);
    assert!(count(Outcome::Later) + count(Outcome::Unavailable) > 0, "{:?}", holds.outcomes);
    assert_eq!(holds.failures(), 0, "{:?}", holds.outcomes);
    assert_eq!(findings.violations, [""; 0]);
    assert!(findings.fullest.as_ref().is_some_and(|level| level.units <= 3 && level.supply == 3), "{findings:?}");
    assert!(findings.lowest.as_ref().is_some_and(|level| (0..=3).contains(&level.units)), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_network_that_is_there_is_asked_as_it_is() {
    let server = TestServer::shop().await;
    let (network, land) = ("default".to_owned(), Land::AsIs);
    let (driven, findings) = drive(Plan { network, land, ..plan(server.address) }).await;
    assert_eq!(driven.sheet().total().failures(), 0, "{:?}", driven.sheet().total().outcomes);
    assert_eq!(findings.violations, [""; 0]);
    assert_eq!(findings.booked, 0, "what a promise of it draws on is not known");
    let operations = server.operations.clone().get_network(surety::proto::v1::GetNetworkRequest {}).await;
    assert_eq!(operations.expect("a network").into_inner().version, 1, "it was not replaced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_says_yes_too_often_is_found_out() {
    let server = TestServer::empty().await;
    let (_meddler, liar) = Meddler::before(server.address, true).await;
    let mix = Mix::of(Kind::Hold);
    let land = Land::Made { products: 1, units: 3 };
    let (driven, findings) = drive(Plan { land, mix, within_days: 1, ..plan(liar) }).await;
    assert_eq!(driven.sheet().total().failures(), 0, "its answers look as they should");
    let found = |what: &str| findings.violations.iter().any(|violation| violation.contains(what));
    assert!(found("oversold: "), "{findings:#?}");
    assert!(found("lost: "), "{findings:#?}");
    assert!(found("acknowledged as held, found: "), "{findings:#?}");
}

/// The server stands still for 300 ms. Who calls by a schedule makes all calls that are due meanwhile wait; a generator that
/// waits for answers before it calls again would show a few slow calls only.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stall_is_in_the_latencies_of_all_calls_that_were_due_meanwhile() {
    let server = TestServer::empty().await;
    let (meddler, address) = Meddler::before(server.address, false).await;
    let plan = Plan {
        pace: open(200.0, 1_000),
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(2),
        mix: Mix::of(Kind::Quote),
        ..plan(address)
    };
    let run = Run::prepare(plan, 1).await.expect("a run");
    let stalls = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        meddler.stall(Duration::from_millis(300));
    };
    let stop = CancellationToken::new();
    let (driven, ()) = tokio::join!(run.drive(&stop, &Unseen), stalls);
    let total = driven[0].sheet().total();
    assert_eq!((total.calls(), total.failures()), (400, 0), "every call that was due was made");
    // 60 calls were due; those of its first 200 ms waited 100 ms and more.
    let waited = total.latencies.count_between(90_000, u64::MAX);
    assert!(waited >= 38, "{waited} calls waited");
    assert!(total.at(0.99) > Duration::from_millis(200), "{:?}", total.at(0.99));
    assert!(total.max() > Duration::from_millis(270), "{:?}", total.max());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_due_and_could_not_be_sent_is_counted() {
    let server = TestServer::empty().await;
    let (meddler, address) = Meddler::before(server.address, false).await;
    let (mix, warm_up) = (Mix::of(Kind::Quote), Duration::ZERO);
    let run = Run::prepare(Plan { pace: open(200.0, 5), mix, warm_up, ..plan(address) }, 1).await.expect("a run");
    meddler.stall(Duration::from_secs(2));
    let driven = run.drive(&CancellationToken::new(), &Unseen).await;
    let total = driven[0].sheet().total();
    assert_eq!(total.calls(), 100);
    assert_eq!(total.outcomes.get(&Outcome::Unsent), Some(&95), "{:?}", total.outcomes);
    assert_eq!((total.failures(), total.answers), (95, 0), "the five answers came after the end");
    assert!(total.at(0.5) > Duration::from_millis(200), "they count as having waited: {:?}", total.at(0.5));
}

async fn load(words: String) -> Output {
    let run = move || {
        let args: Vec<&str> = std::iter::once("load").chain(words.split_whitespace()).collect();
        surety(&args).output().expect("the program runs")
    };
    tokio::task::spawn_blocking(run).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn beside_the_echo_every_figure_is_a_ratio_and_the_page_has_its_plots() {
    let server = TestServer::empty().await;
    let dir = tempfile::tempdir().expect("a folder");
    let page = dir.path().join("report.html");
    let words = format!(
        "--target http://{} --products 4 --in-flight 4 --duration 300ms --warm-up 100ms --baseline echo --rounds 2 --json \
         --html-report {} --seed 5",
        server.address,
        page.display()
    );
    let output = load(words).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let subjects = report["subjects"].as_array().expect("subjects");
    assert_eq!(subjects.iter().map(|subject| &subject["name"]).collect::<Vec<_>>(), ["surety", "echo"]);
    for row in subjects[0]["calls"].as_array().expect("rows") {
        let ratio = row["ofEcho"]["answersPerSecond"]["median"].as_f64();
        // On a busy machine, a rare kind may not come up in so short a time.
        assert!(ratio.is_some_and(|ratio| ratio > 0.0 || row["kind"] != "all"), "{row}");
    }
    assert_eq!((&report["check"]["violated"], &report["plan"]["seed"]), (&0.into(), &5.into()));
    let page = std::fs::read_to_string(page).expect("a page");
    assert_eq!(page.matches("<svg").count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broken_promises_are_exit_code_1() {
    let server = TestServer::empty().await;
    let (_meddler, liar) = Meddler::before(server.address, true).await;
    let words = "--products 1 --units 2 --within-days 0 --mix hold=1 --duration 200ms --warm-up 0s --in-flight 4";
    let output = load(format!("--target http://{liar} {words}")).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("Promises were broken: ") && told.contains("oversold: "), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stopped_it_tells_what_was_measured_until_then() {
    let server = TestServer::empty().await;
    let target = format!("http://{}", server.address);
    let args =
        ["load", "--target", &target, "--duration", "10m", "--warm-up", "0s", "--rate", "100", "--products", "3"];
    let child = surety(&args).stdout(std::process::Stdio::piped()).spawn().expect("the program runs");
    let operations = server.operations.clone();
    until("its first holds are there", async || {
        let request = to("load", surety::proto::v1::ListReservationsRequest::default());
        let answer = operations.clone().list_reservations(request).await;
        answer.is_ok_and(|answer| !answer.get_ref().reservations.is_empty())
    })
    .await;
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.expect("no panic").expect("it ends");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("was stopped before its time") && told.contains("Nothing was oversold"), "{told}");
}

/// The server takes one call after the other, 20 ms each, so 50 a second at most on however quick a machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_search_ends_at_the_rate_that_the_server_can_do() {
    let server = TestServer::empty().await;
    let (meddler, address) = Meddler::before(server.address, false).await;
    meddler.slow_down(Duration::from_millis(20)).await;
    let words = "--find-rate --p99 100ms --rate 10 --products 1 --mix quote=1 --duration 400ms --warm-up 0s --json";
    let output = load(format!("--target http://{address} {words}")).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let search = &report["search"][0];
    let best = search["best"].as_f64().expect("a rate that passed");
    // In 400 ms and the 100 ms that the last calls may take it answers 25.
    assert!(best <= 25.0 / 0.4, "{search}");
    let steps = search["steps"].as_array().expect("steps");
    // One below it may have failed once, and passed when it was tried again.
    let failed = steps.iter().filter(|step| !step["fault"].is_null()).filter_map(|step| step["rate"].as_f64());
    let least = failed.filter(|rate| *rate > best).min_by(f64::total_cmp).expect("one above it that failed");
    assert!(least / best <= 1.05, "from {best} to {least}: {search}");
}
