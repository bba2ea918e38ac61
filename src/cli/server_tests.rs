//! Commands against a server that says what it is told to: what is sent, what is shown, and how the program ends.

use anstream::adapter::strip_str;
use tokio::net::TcpListener;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::fake_tests::{Outcome, run, run_at};
use crate::clock::ManualClock;
use crate::domain::time::Moment;

#[tokio::test]
async fn exit_codes_follow_the_answer_or_the_refusal() {
    let table = [
        ("quote --zone z --sku yes", 0),
        ("quote --zone z --sku later", 1),
        ("quote --zone z --sku later --accept-later", 0),
        ("quote --zone z --sku never", 1),
        ("quote --zone z --sku never --accept-later", 1),
        ("quote --zone z --sku invalid", 2),
        ("quote --zone z --sku unknown-sku", 1),
        ("quote --zone z --sku busy", 1),
        ("quote --zone z --sku broken", 1),
        ("quote --zone z --sku reused", 1),
        ("quote --zone z --sku no-store", 69),
        ("quote --zone z --sku late", 69),
        ("quote --zone z --sku slow --timeout 50ms", 69),
        ("quote --zone z --quantity 0 --sku yes", 2),
        ("dates --zone z --sku yes", 1),
        ("confirm r1", 0),
        ("confirm expired", 1),
        ("release r1", 0),
        ("extend r1 --hold 5m", 0),
        ("extend r1", 2),
        ("show r1", 0),
        ("show unknown-sku", 1),
        ("buckets --site lej", 0),
        ("buckets", 2),
        ("apply /no/such/file.yaml", 2),
        ("supply /no/such/file.csv", 2),
    ];
    for (words, code) in table {
        let outcome = run(words).await;
        assert_eq!(outcome.exit.code(), code, "{words}\n{}{}", outcome.out, outcome.err);
        assert_eq!(outcome.err.is_empty(), code < 2 && outcome.seen.len() == 1 && !outcome.out.is_empty() || code == 0);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_69() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let outcome = run_at("quote --zone z --sku a --hold 5m", &server).await;
    assert_eq!(outcome.exit.code(), 69);
    assert!(outcome.err.starts_with(&format!("surety: can't reach {server}: Connection refused")), "{}", outcome.err);
    assert!(!outcome.err.contains("--request-id"), "nothing was sent, so nothing can have been taken");
}

#[tokio::test]
async fn refusals_are_told_with_all_their_details() {
    let outcome = run("quote --zone z --sku invalid").await;
    assert_eq!(
        outcome.err,
        "\
surety: the server refused: 2 faults in the request
  ask.lines[0].quantity: must be at least 1, was 0
  ask.by_date: is not a date
  (INVALID_ARGUMENT, INVALID_REQUEST, omitted=0)
"
    );
    let outcome = run("quote --zone z --sku unknown-sku").await;
    assert_eq!(
        outcome.err,
        "\
surety: the server refused: there is no such product
  product 'unknown-sku': is not in the network
  (NOT_FOUND, UNKNOWN_SKU, sku=unknown-sku)
"
    );
    let outcome = run("confirm expired").await;
    assert_eq!(
        outcome.err,
        "\
surety: the server refused: the hold has expired
  expired: the hold ended at 12:02
  (FAILED_PRECONDITION, EXPIRED, id=expired)
"
    );
    let outcome = run("quote --zone z --sku busy").await;
    assert_eq!(
        outcome.err,
        "surety: the server refused: the server is full\n  Come again in 0.25 s.\n  (RESOURCE_EXHAUSTED)\n"
    );
}

#[tokio::test]
async fn refusals_are_json_for_programs() {
    let error = |outcome: Outcome| serde_json::from_str::<serde_json::Value>(&outcome.err).unwrap()["error"].clone();
    let invalid = error(run("quote --zone z --sku invalid --json").await);
    assert_eq!(
        invalid,
        serde_json::json!({
            "exit": 2,
            "code": "INVALID_ARGUMENT",
            "reason": "INVALID_REQUEST",
            "message": "2 faults in the request",
            "fieldViolations": [
                { "field": "ask.lines[0].quantity", "description": "must be at least 1, was 0" },
                { "field": "ask.by_date", "description": "is not a date" },
            ],
            "metadata": { "omitted": "0" },
        })
    );
    assert_eq!(error(run("quote --zone z --sku busy --json").await)["retryAfterSeconds"], 0.25);
    assert_eq!(error(run("confirm expired --json").await)["preconditions"][0]["subject"], "expired");
    assert_eq!(
        error(run("quote --zone z --sku a --hold 9d --json").await)["faults"][0],
        "--hold: '9d' is no length of a hold; write 1s to 7d"
    );
}

#[tokio::test]
async fn a_hold_whose_answer_got_lost_can_be_asked_for_again() {
    let outcome = run("quote --zone z --sku slow --hold 5m --timeout 50ms").await;
    let id = outcome.err.split("--request-id ").nth(1).map(str::trim).unwrap_or_default();
    assert!(uuid::Uuid::try_parse(id).is_ok(), "{}", outcome.err);
    let json = run("quote --zone z --sku no-store --hold 5m --json").await;
    let json: serde_json::Value = serde_json::from_str(&json.err).unwrap();
    assert!(json["error"]["requestId"].as_str().is_some_and(|id| uuid::Uuid::try_parse(id).is_ok()), "{json}");
}

#[tokio::test]
async fn calls_name_their_network_and_deadline() {
    let seen = run("quote --zone z --sku a --in-network eu").await.seen;
    assert_eq!(seen, ["quote network=eu deadline"]);
    let seen = run("watch --zone z --sku a --timeout 5s").await.seen;
    assert_eq!(seen, ["watch network=- no deadline"]);
}

#[tokio::test]
async fn answers_are_json_for_scripts() {
    let outcome =
        run("quote --zone z --sku yes --json --hold 5m --request-id 6f1c2a9e-3b54-4c0e-9d1f-0a7c52d0e8b1").await;
    let json: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(json["verdict"], "VERDICT_PROMISED");
    assert_eq!(json["reservation"]["id"], "6f1c2a9e-3b54-4c0e-9d1f-0a7c52d0e8b1");
    let outcome = run("events --json --count 3").await;
    assert_eq!(outcome.exit, Exit::Done);
    let lines: Vec<serde_json::Value> = outcome.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "one message a line, as many as asked for");
    assert_eq!(lines[2]["cursor"], "3");
}

#[tokio::test]
async fn watches_show_every_answer_and_end_with_the_last() {
    let outcome = run("watch --zone z --sku a").await;
    assert_eq!(outcome.out.matches("At Thu 1 Jan 1970 00:00:").count(), 3, "{}", outcome.out);
    assert_eq!(outcome.exit, Exit::No, "the last answer was no");
    let outcome = run("watch --zone z --sku a --count 1").await;
    assert_eq!(outcome.exit, Exit::Done);
}

#[tokio::test]
async fn lists_follow_their_pages_up_to_the_limit() {
    let outcome = run("reservations --limit 230").await;
    assert_eq!(outcome.seen.len(), 3);
    assert!(outcome.out.contains("\nr229 ") && !outcome.out.contains("\nr230 "), "{}", outcome.out);
    assert!(outcome.out.contains("There are more: --page-token 230"));
    let outcome = run("reservations --page-token 240").await;
    assert!(!outcome.out.contains("There are more"));
    assert_eq!(outcome.seen.len(), 1);
}

#[tokio::test]
async fn faults_of_a_network_are_shown_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.yaml");
    let text = "sites:\n  - id: a\n    timeZone: UTC\n  - id: b\n    timeZone: Mars\n";
    std::fs::write(&path, text).unwrap();
    let path = path.display();
    let outcome = run(&format!("apply {path}")).await;
    assert_eq!(outcome.exit, Exit::Wrong);
    let want = format!("  {path}:5:15: network.sites[1].time_zone: 'Mars' is not a time zone\n");
    assert!(outcome.err.contains(&want), "{}", outcome.err);
    std::fs::write(path.to_string(), text.replace("Mars", "UTC")).unwrap();
    let outcome = run(&format!("apply {path}")).await;
    assert_eq!(outcome.out, "Applied: version 4: 2 sites.\n");
    let outcome = run(&format!("apply {path} --validate-only")).await;
    assert_eq!(outcome.out, "The network is right: 2 sites. Nothing was changed.\n");
}

#[tokio::test]
async fn a_plan_goes_in_messages_and_its_faults_are_shown_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.csv");
    let first = crate::domain::time::Day::parse("2026-12-01").unwrap();
    let rows = |bad: Option<usize>| {
        let row = |i: usize| match bad {
            Some(bad) if bad == i => format!("unknown,2026-12-01,{i}\n"),
            // Hour by hour, so that a message is one run of rows.
            _ => format!("lej.hour,{}T{:02}:00,{i}\n", first + (i / 24) as i32, i % 24),
        };
        "resource,start,units\n".to_owned() + &(0..25_000).map(row).collect::<String>()
    };
    std::fs::write(&path, rows(None)).unwrap();
    let words = format!("supply {}", path.display());
    let outcome = run(&words).await;
    let want = "Loaded: 25,000 numbers for 1 resource, 25,000 buckets set, in ";
    assert!(outcome.out.starts_with(want), "{}{}", outcome.out, outcome.err);
    // The fault is in line 20,002 of the file, in the third message.
    std::fs::write(&path, rows(Some(20_000))).unwrap();
    let outcome = run(&words).await;
    assert_eq!(outcome.exit, Exit::Wrong);
    let path = path.display();
    let want = format!(
        "\
surety: the server refused: 1 fault in the plan
  {path}:20002: lines[0].resource: there is no resource 'unknown'
  Everything up to {path}:20001 was loaded; the rest was not.
  (INVALID_ARGUMENT, INVALID_REQUEST, message=2)
"
    );
    assert_eq!(outcome.err, want);
}

#[test]
fn who_stops_reading_is_no_fault() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (mut out, mut err) = (Closed, Vec::new());
    let clock = ManualClock::at(Moment(0));
    let mut console = Console::new(&mut out, &mut err, &clock);
    let failure = console.print("hello").unwrap_err();
    assert!(matches!(failure, Failure::OutputClosed));
    console.complain(&failure, false);
    assert_eq!(failure.exit(), Exit::Done);
    assert!(err.is_empty());
}

#[tokio::test]
async fn a_taken_port_is_told_plainly() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let failure = super::serve::listen(address).await.unwrap_err();
    assert_eq!(failure.exit().code(), 2);
    let text = strip_str(&super::render::failure::text(&failure)).to_string();
    let want =
        format!("  --listen: {address} is taken by another program; choose another port, or 0 for any free one\n");
    assert!(text.ends_with(&want), "{text}");
}
