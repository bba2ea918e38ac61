//! One server, in each of its guises.

use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use crate::redis_world::*;

fn on_each(test: impl Fn(Flavour)) {
    Flavour::ALL.into_iter().filter_map(Flavour::or_skip).for_each(test);
}

fn with(aof: Aof) -> Options {
    Options { aof, ..Options::default() }
}

fn refusal(answer: &Value) -> &str {
    let Value::Error(refusal) = answer else { panic!("{answer:?} is no refusal") };
    refusal
}

#[test]
fn a_server_is_of_its_flavour() {
    on_each(|flavour| {
        let about = own_database(flavour).server().info("server");
        let version = match flavour {
            Flavour::Redis => &about["redis_version"],
            Flavour::Valkey => &about["valkey_version"],
        };
        let major: u32 = version.split('.').next().unwrap_or_default().parse().expect("a version");
        assert!(major >= if flavour == Flavour::Redis { 7 } else { 8 }, "{flavour:?} {version}");
    });
}

#[test]
fn what_an_append_only_file_has_survives_a_kill() {
    on_each(|flavour| {
        for aof in [Aof::Always, Aof::EverySecond] {
            let server = Server::start(flavour, with(aof));
            server.cli(&["SET", "mug", "12"]);
            let (port, pid) = (server.port(), server.pid());
            server.kill9();
            assert!(!server.is_running());
            assert_eq!(server.try_cli(&["PING"]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
            server.restart();
            assert_eq!((server.port(), server.cli(&["GET", "mug"]).text()), (port, "12".into()));
            assert_ne!(server.pid(), pid);
        }
    });
}

#[test]
fn without_an_append_only_file_a_restart_loses_all() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let server = Server::start(flavour, Options::default());
    server.cli(&["SET", "mug", "12"]);
    server.terminate();
    server.restart();
    assert_eq!(server.cli(&["GET", "mug"]), Value::Nil);
}

#[test]
fn a_stopped_server_answers_when_it_goes_on() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let server = Server::start(flavour, Options::default());
    let mut client = server.client().expect("a connection");
    client.wait_at_most(Duration::from_millis(100)).expect("a time");
    server.stop();
    client.send(&["PING"]).expect("sent");
    assert!(matches!(client.receive().unwrap_err().kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert!(server.is_running());
    server.cont();
    client.wait_at_most(Duration::from_secs(10)).expect("a time");
    assert_eq!(client.receive().expect("an answer").text(), "PONG");
}

#[test]
fn a_stopped_server_can_be_killed_and_dropped() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let server = Server::start(flavour, Options::default());
    server.stop();
    server.kill9();
    server.restart();
    server.stop();
    let (pid, dir) = (server.pid(), server.dir().to_owned());
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it was ended and reaped");
    assert!(!dir.exists(), "its folder is gone");
}

#[test]
fn a_password_is_asked_for() {
    on_each(|flavour| {
        let access = Access::Password("sesame".into());
        let server = Server::start(flavour, Options { access, ..Options::default() });
        assert_eq!(server.url(), format!("redis://:sesame@127.0.0.1:{}", server.port()));
        server.cli(&["SET", "mug", "12"]);
        let answer = Client::connect(server.address()).and_then(|mut client| client.call(&["GET", "mug"]));
        assert!(refusal(&answer.expect("an answer")).starts_with("NOAUTH"));
    });
}

#[test]
fn a_user_may_do_what_its_rules_say() {
    on_each(|flavour| {
        let rules = vec!["~{surety:*".into(), "+@read".into(), "+@write".into(), "+auth".into()];
        let access = Access::User { name: "surety".into(), password: "sesame".into(), rules };
        let server = Server::start(flavour, Options { access, ..Options::default() });
        assert_eq!(server.url(), format!("redis://surety:sesame@127.0.0.1:{}", server.port()));
        let mut client = Client::connect(server.address()).expect("a connection");
        let mut say = |words: &[&str]| client.call(words).expect("an answer");
        assert!(refusal(&say(&["AUTH", "surety", "wrong"])).starts_with("WRONGPASS"));
        assert_eq!(say(&["AUTH", "surety", "sesame"]).text(), "OK");
        assert_eq!(say(&["SET", "{surety:shop}a", "1"]).text(), "OK");
        assert!(refusal(&say(&["SET", "other", "1"])).starts_with("NOPERM"));
        assert!(refusal(&say(&["CONFIG", "GET", "*"])).starts_with("NOPERM"));
        assert_eq!(
            server.cli(&["GET", "{surety:shop}a"]).text(),
            "1",
            "the tests' own commands are an administrator's"
        );
    });
}

#[test]
fn with_tls_there_is_no_other_way_in() {
    on_each(|flavour| {
        for tls in [Tls::Server, Tls::Mutual] {
            let server = Server::start(flavour, Options { tls, ..Options::default() });
            assert!(server.url().starts_with("rediss://127.0.0.1:"), "{}", server.url());
            assert_eq!(server.cli(&["PING"]).text(), "PONG");
            let plain = Client::connect(server.address()).and_then(|mut client| client.call(&["PING"]));
            assert!(plain.is_err(), "{plain:?}");
            let files = server.certificates();
            assert!(files.ca.exists() && files.other_ca.exists() && files.client_key.exists());
        }
    });
}

#[test]
fn a_replica_follows() {
    on_each(|flavour| {
        for options in [
            Options { access: Access::Password("sesame".into()), ..Options::default() },
            Options { tls: Tls::Mutual, ..Options::default() },
        ] {
            let primary = Server::start(flavour, options.clone());
            let replica = Server::start(flavour, Options { replica_of: Some(primary.address()), ..options });
            replica.wait_until_in_sync();
            let mut client = primary.client().expect("a connection");
            client.call(&["SET", "mug", "12"]).expect("an answer");
            assert_eq!(client.call(&["WAIT", "1", "10000"]).expect("an answer").int(), 1);
            assert_eq!(replica.cli(&["GET", "mug"]).text(), "12");
        }
    });
}

#[test]
fn databases_of_a_shared_server_are_apart() {
    on_each(|flavour| {
        let (one, other) = (own_database(flavour), own_database(flavour));
        one.cli(&["SET", "mug", "12"]);
        assert_eq!(other.cli(&["GET", "mug"]), Value::Nil);
        assert_eq!(one.cli(&["GET", "mug"]).text(), "12");
        assert_eq!(one.server().pid(), other.server().pid());
        assert_eq!(one.url(), format!("redis://127.0.0.1:{}/{}", one.server().port(), one.number()));
    });
}

#[test]
fn what_is_wrong_with_a_configuration_is_told() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let lines = vec!["no-such-setting 1".to_owned()];
    let started = std::panic::catch_unwind(|| Server::start(flavour, Options { lines, ..Options::default() }));
    let told = started.map(|_| ()).expect_err("it can't start");
    let told = told.downcast_ref::<String>().expect("words");
    assert!(told.contains("no-such-setting"), "{told}");
}

/// Run by the test below in a process that it kills.
#[test]
#[ignore = "waits to be killed"]
fn waits_to_be_killed() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let own = Server::start(flavour, Options::default());
    own.stop();
    println!("{}", own.pid());
    println!("{}", own_database(flavour).server().pid());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn no_server_outlives_a_test_that_is_killed() {
    use std::io::{BufRead, BufReader};
    let Some(_) = Flavour::Redis.or_skip() else { return };
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "--nocapture", "server::waits_to_be_killed"]);
    // What it can't clean up any more.
    let left = tempfile::tempdir().expect("a folder");
    command.env("TMPDIR", left.path());
    let mut test = command.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(test.stdout.take().expect("piped")).lines().map(|line| line.expect("a line"));
    let pids: Vec<u32> = lines.filter_map(|line| line.trim().parse().ok()).take(2).collect();
    test.kill().expect("it was running");
    test.wait().expect("it is gone");
    assert_eq!(pids.len(), 2, "{pids:?}");
    for pid in pids {
        until("the server is gone", || is_gone(pid).then_some(()));
    }
}

/// A process that has ended, reaped by whoever inherited it or not yet.
fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_err()
        || stat.is_ok_and(|text| text.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

#[test]
fn servers_that_tests_share_end_with_them() {
    let Some(_) = Flavour::Redis.or_skip() else { return };
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "--nocapture", "server::shares_a_server"]);
    let output = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let value = |name: &str| told.lines().find_map(|line| line.split_once(name)).map(|(_, value)| value.to_owned());
    let dir = value("its folder: ").unwrap_or_else(|| panic!("{told}"));
    let pid: u32 = value("its pid: ").and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{told}"));
    assert!(!std::path::Path::new(&dir).exists(), "{dir} is gone");
    assert!(is_gone(pid));
}

/// Run by the test above in a process of its own.
#[test]
#[ignore = "looked at by another test"]
fn shares_a_server() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let database = own_database(flavour);
    println!("its pid: {}\nits folder: {}", database.server().pid(), database.server().dir().display());
}
