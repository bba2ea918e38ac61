//! The program itself: what survives its death, and what it says when it can't start.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use surety::clock::{Clock, SystemClock};
use surety::proto::v1::operations_service_client::OperationsServiceClient;
use surety::proto::v1::promise_service_client::PromiseServiceClient;
use surety::proto::v1::reservation::State;
use surety::proto::v1::*;

use crate::support::*;

const DAY: &str = "2026-11-24";

/// `surety` with nothing of this machine's environment that means something to it.
pub fn surety(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_surety"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("SURETY_") || text.starts_with("OTEL_") {
            command.env_remove(&name);
        }
    }
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    surety(args).output().expect("the program runs")
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for word in words {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

/// A process that serves.
struct Served {
    child: Child,
    address: SocketAddr,
    stderr: std::thread::JoinHandle<String>,
}

impl Served {
    fn start(store: &str, clock: &str, more: &[&str]) -> Served {
        let args = ["serve", "--listen", "127.0.0.1:0", "--store", store, "--clock", clock];
        let mut child = surety(&[&args[..], more].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut errors = child.stderr.take().expect("piped");
        // Read all the time, so that a full pipe never stops it.
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _end = errors.read_to_string(&mut text);
            text
        });
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
        let Some(address) = first.trim_end().strip_prefix("listening on ") else {
            panic!("{first:?}, {}", stderr.join().expect("read"));
        };
        Served { address: address.parse().expect("an address"), child, stderr }
    }

    async fn promises(&self) -> Promises {
        PromiseServiceClient::new(channel(self.address).await)
    }

    async fn operations(&self) -> Operations {
        OperationsServiceClient::new(channel(self.address).await)
    }

    /// SIGKILL, as a crash would.
    fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it is gone");
        self.stderr.join().expect("read");
    }

    /// SIGTERM; its exit code and what it had logged.
    fn terminate(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        (status.code(), self.stderr.join().expect("read"))
    }
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("written");
    path.to_string_lossy().into_owned()
}

fn shop_file(dir: &Path) -> String {
    write(dir, "shop.json", &serde_json::to_string_pretty(&shop()).expect("JSON"))
}

async fn apply(served: &Served) {
    let mut operations = served.operations().await;
    operations.apply_network(ApplyNetworkRequest { network: Some(shop()), validate_only: false }).await.unwrap();
    let mugs = plan(&[("lej.stock.mug", "2026-11-23", &[50])]);
    operations.set_supply(tokio_stream::iter(vec![mugs])).await.unwrap();
}

async fn state(promises: &mut Promises, id: &str) -> State {
    let answer = promises.get_reservation(GetReservationRequest { id: id.into() }).await.unwrap().into_inner();
    answer.reservation.unwrap().state()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_23_all_that_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("embedded:{}", dir.path().join("data").display());
    let served = Served::start(&store, BEGIN, &[]);
    apply(&served).await;
    let mut promises = served.promises().await;
    let mut first = vec![];
    for id in ["held", "confirmed", "released", "short"] {
        let seconds = if id == "short" { 60 } else { 7_200 };
        let request = hold(id, by(DAY, ask("mug", 2)), seconds);
        first.push(promises.quote(request).await.unwrap().into_inner());
    }
    let confirm = ConfirmReservationRequest { id: "confirmed".into(), reference: "order 1".into(), retake: false };
    promises.confirm_reservation(confirm).await.unwrap();
    let release = ReleaseReservationRequest { id: "released".into(), reason: String::new() };
    promises.release_reservation(release).await.unwrap();
    served.kill();

    // Started again an hour later.
    let served = Served::start(&store, "2026-11-23T09:00:00Z", &[]);
    let mut promises = served.promises().await;
    assert_eq!(state(&mut promises, "held").await, State::Held);
    assert_eq!(state(&mut promises, "confirmed").await, State::Confirmed);
    assert_eq!(state(&mut promises, "released").await, State::Released);
    assert_eq!(state(&mut promises, "short").await, State::Expired, "its time was over meanwhile");
    let again = promises.quote(hold("held", by(DAY, ask("mug", 2)), 7_200)).await.unwrap().into_inner();
    assert_eq!(again, first[0], "the same request, the same answer");
    let mut operations = served.operations().await;
    let network = operations.get_network(GetNetworkRequest {}).await.unwrap().into_inner();
    assert_eq!(network, GetNetworkResponse { network: Some(shop()), version: 1 });
    let request = ListBucketsRequest { resource: "lej.stock.mug".into(), ..Default::default() };
    let mugs = operations.list_buckets(request).await.unwrap().into_inner().buckets;
    assert_eq!((mugs[0].supply, mugs[0].held, mugs[0].confirmed, mugs[0].available), (50, 2, 2, 46));
    let mut events = operations.watch_events(WatchEventsRequest { cursor: "0".into() }).await.unwrap().into_inner();
    assert!(events.message().await.unwrap().is_some(), "what happened before is told still");
    drop((events, operations, promises));

    let (code, logged) = served.terminate();
    assert_eq!(code, Some(0), "{logged}");
    assert!(!logged.contains("cut off"), "it drained in time: {logged}");
    // A third time, after an orderly end.
    let served = Served::start(&store, "2026-11-23T09:30:00Z", &[]);
    assert_eq!(state(&mut served.promises().await, "confirmed").await, State::Confirmed);
    served.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_23_killed_under_load_it_forgets_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("embedded:{}", dir.path().join("data").display());
    let served = Served::start(&store, BEGIN, &[]);
    apply(&served).await;
    let mut operations = served.operations().await;
    let room = plan(&[("lej.pack", "2026-11-23", &[100_000]), ("lej.van", DAY, &[100_000])]);
    operations.set_supply(tokio_stream::iter(vec![room])).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let mut promises = served.promises().await;
        tasks.spawn(async move {
            let mut told = vec![];
            for i in 0.. {
                let id = format!("w{worker}-{i}");
                if promises.quote(hold(&id, by(DAY, ask("card", 1)), 7_200)).await.is_err() {
                    break;
                }
                told.push(id);
            }
            told
        });
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    served.kill();
    let told: Vec<String> = tasks.join_all().await.concat();
    assert!(told.len() > 16, "{}", told.len());

    let served = Served::start(&store, "2026-11-23T08:10:00Z", &[]);
    let mut promises = served.promises().await;
    for id in &told {
        assert_eq!(state(&mut promises, id).await, State::Held, "{id}");
    }
    let request = ListBucketsRequest { resource: "lej.van".into(), from: DAY.into(), days: 1, ..Default::default() };
    let van = served.operations().await.list_buckets(request).await.unwrap().into_inner().buckets.remove(0);
    assert!(van.held >= told.len() as i64 && van.held <= told.len() as i64 + 16, "{} told, {van:?}", told.len());
    served.kill();
}

#[test]
fn a_directory_serves_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("embedded:{}", dir.path().join("data").display());
    let served = Served::start(&store, BEGIN, &[]);
    let second = run(&["serve", "--listen", "127.0.0.1:0", "--store", &store]);
    assert!(matches!(second.status.code(), Some(2 | 69)), "{second:?}");
    refused(&second, second.status.code().unwrap(), &["in use by another process", "data"]);
    served.kill();
    // A lock does not outlive its holder.
    Served::start(&store, BEGIN, &[]).kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_moves_house_and_its_followers_and_callers_notice_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let (old, new) = (format!("embedded:{}", old.display()), format!("embedded:{}", new.display()));
    // The system's clock, by which the store is looked after.
    let now = SystemClock::new().now().to_timestamp().to_string();
    let served = Served::start(&old, &now, &[]);
    apply(&served).await;
    let mugs = plan(&[("lej.stock.mug", &now[..10], &[50])]);
    served.operations().await.set_supply(tokio_stream::iter(vec![mugs])).await.unwrap();
    let mut promises = served.promises().await;
    let held = promises.quote(hold("held", ask("mug", 2), 7_200)).await.unwrap().into_inner();
    assert_eq!(held.verdict(), Verdict::Promised);
    let mut operations = served.operations().await;
    let watch = |cursor: &str| WatchEventsRequest { cursor: cursor.into() };
    let mut events = operations.watch_events(watch("0")).await.unwrap().into_inner();
    let first = events.message().await.unwrap().expect("something happened");
    let second = events.message().await.unwrap().expect("more happened");
    refused(&run(&["audit", "--store", &old]), 69, &["in use by another process"]);
    drop((events, operations, promises));
    served.terminate();

    let mut export = surety(&["export", "--store", &old, "-"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let pipe = export.stdout.take().expect("piped");
    let import = surety(&["import", "--store", &new, "-"]).stdin(pipe).output().expect("it runs");
    assert!(export.wait().expect("it ends").success());
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
    let audit = run(&["audit", "--store", &new]);
    assert!(String::from_utf8_lossy(&audit.stdout).starts_with("Nothing is wrong: "), "{audit:?}");

    let served = Served::start(&new, &now, &[]);
    let mut promises = served.promises().await;
    let again = promises.quote(hold("held", ask("mug", 2), 7_200)).await.unwrap().into_inner();
    assert_eq!(again, held, "the same request, the same answer");
    let mut operations = served.operations().await;
    let mut events = operations.watch_events(watch(&first.cursor)).await.unwrap().into_inner();
    assert_eq!(events.message().await.unwrap(), Some(second), "a follower goes on where it was");
    drop((events, operations, promises));
    served.kill();
}

#[test]
fn a_taken_port_is_told() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let store = format!("embedded:{}", data.display());
    refused(&run(&["serve", "--listen", &address, "--store", &store]), 2, &[&address, "taken"]);
    assert!(!data.exists(), "the store was not touched");
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "thesis.txt", "important");
    let store = format!("embedded:{}", dir.path().display());
    refused(&run(&["serve", "--listen", "127.0.0.1:0", "--store", &store]), 2, &["thesis.txt"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_directory_of_a_newer_version_is_refused_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let store = format!("embedded:{}", data.display());
    Served::start(&store, BEGIN, &[]).terminate();
    {
        // As a later version would have left it.
        let database = fjall::Database::builder(data.join("store")).open().unwrap();
        let meta = database.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
        meta.insert("format", 1_000_u32.to_be_bytes()).unwrap();
        database.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    for _ in 0..2 {
        let output = run(&["serve", "--listen", "127.0.0.1:0", "--store", &store]);
        refused(&output, 2, &["layout 1000", "newer"]);
    }
}

#[test]
fn a_file_with_a_fault_is_named_with_line_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = "sites:\n  - id: lej\n    time_zone: Europe/Berlin\nzones:\n  - id: de\n    time_zone: Mars/Olympus\n";
    let network = write(dir.path(), "net.yaml", yaml);
    let broken = write(dir.path(), "broken.yaml", "sites:\n  - id: lej\n   time_zone: {\n");
    let unknown = write(dir.path(), "unknown.yaml", "sites:\n  - id: lej\n    timezone: UTC\n");
    let good = shop_file(dir.path());
    let csv = write(
        dir.path(),
        "plan.csv",
        "resource,start,units\nlej.van,2026-11-24,5\nlej.train,2026-11-24,5\nlej.van,2026-02-30,x\n",
    );
    for command in ["serve", "check-config"] {
        let with = |network: &str, more: &[&str]| {
            let args = [command, "--store", "memory:", "--listen", "127.0.0.1:0", "--network", network];
            run(&[&args[..], more].concat())
        };
        refused(&with(&network, &[]), 2, &["net.yaml:6:", "zones[0].time_zone"]);
        refused(&with(&broken, &[]), 2, &["broken.yaml:3:"]);
        refused(&with(&unknown, &[]), 2, &["unknown.yaml:3:", "timezone"]);
        refused(&with("no/such/file.yaml", &[]), 2, &["no/such/file.yaml"]);
        refused(&with(&good, &["--supply", &csv]), 2, &["plan.csv:3:", "lej.train", "plan.csv:4:", "2026-02-30"]);
        let all_wrong = with(&network, &["--clock", "noon", "--max-streams", "0", "--supply", &csv]);
        refused(&all_wrong, 2, &["net.yaml:6:", "--clock", "--max-streams", "plan.csv:4:"]);
    }
}

#[test]
fn check_config_says_what_would_be_used_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let store = format!("embedded:{}", data.display());
    let good = shop_file(dir.path());
    let csv = write(dir.path(), "plan.csv", "resource,start,units\nlej.van,2026-11-24,5\n");
    let args = ["check-config", "--store", &store, "--network", &good, "--supply", &csv, "--clock", BEGIN, "--json"];
    let output = run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(told["network"].as_str().unwrap().contains("shop.json"), "{told}");
    assert!(!data.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_loads_its_files_before_it_listens_and_the_environment_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let network = shop_file(dir.path());
    let csv = write(dir.path(), "plan.csv", "resource,start,units\nlej.stock.mug,2026-11-23,5\nlej.van,2026-11-24,3\n");
    let served = Served::start("memory:", BEGIN, &["--network", &network, "--supply", &csv, "--max-streams", "1"]);
    let mut promises = served.promises().await;
    let answer = promises.quote(hold("r1", by(DAY, ask("mug", 5)), 60)).await.unwrap().into_inner();
    assert_eq!(answer.verdict(), Verdict::Promised);
    let _watch = promises.watch_quote(WatchQuoteRequest { ask: Some(ask("mug", 1)) }).await.unwrap();
    let second = promises.watch_quote(WatchQuoteRequest { ask: Some(ask("mug", 1)) }).await;
    assert_eq!(second.err().map(|s| s.code()), Some(tonic::Code::ResourceExhausted));
    let (code, logged) = served.terminate();
    assert_eq!(code, Some(0), "{logged}");
    assert!(!logged.contains("cut off"), "the open stream was ended: {logged}");
}
