//! Commands against a server that says what it is told to: what is sent, what is shown, and how the program ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anstream::adapter::strip_str;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};
use tower::Service;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::{call, parse};
use crate::clock::ManualClock;
use crate::domain::time::Moment;
use crate::proto::v1::operations_service_server::{OperationsService, OperationsServiceServer};
use crate::proto::v1::promise_service_server::{PromiseService, PromiseServiceServer};
use crate::proto::v1::{self, Verdict};

/// A server that answers by the SKU or id that it is asked about, and remembers what it was asked.
#[derive(Clone, Default)]
struct Fake {
    seen: Arc<Mutex<Vec<String>>>,
}

type Answers<T> = tokio_stream::Iter<std::vec::IntoIter<Result<T, Status>>>;

impl Fake {
    fn see<T>(&self, what: &str, request: &Request<T>) {
        let header = |key: &str| request.metadata().get(key).map_or("-", |v| v.to_str().unwrap()).to_owned();
        let deadline = if request.metadata().contains_key("grpc-timeout") { "deadline" } else { "no deadline" };
        self.seen.lock().unwrap().push(format!("{what} network={} {deadline}", header("surety-network")));
    }
}

/// The failures that a server can answer with, by name.
fn failure(name: &str) -> Option<Status> {
    let with = |code, message: &str, details| Status::with_error_details(code, message, details);
    Some(match name {
        "invalid" => {
            let mut details = ErrorDetails::new();
            details.set_error_info("INVALID_REQUEST", "surety", [("omitted".to_owned(), "0".to_owned())]);
            details.add_bad_request_violation("ask.lines[0].quantity", "must be at least 1, was 0");
            details.add_bad_request_violation("ask.by_date", "is not a date");
            with(Code::InvalidArgument, "2 faults in the request", details)
        }
        "unknown-sku" => {
            let mut details = ErrorDetails::new();
            details.set_error_info("UNKNOWN_SKU", "surety", [("sku".to_owned(), "unknown-sku".to_owned())]);
            details.set_resource_info("product", "unknown-sku", "", "is not in the network");
            with(Code::NotFound, "there is no such product", details)
        }
        "expired" => {
            let mut details = ErrorDetails::new();
            details.set_error_info("EXPIRED", "surety", [("id".to_owned(), "expired".to_owned())]);
            details.add_precondition_failure_violation("STATE", "expired", "the hold ended at 12:02");
            with(Code::FailedPrecondition, "the hold has expired", details)
        }
        "busy" => {
            let mut details = ErrorDetails::new();
            details.set_retry_info(Some(Duration::from_millis(250)));
            with(Code::ResourceExhausted, "the server is full", details)
        }
        "no-store" => Status::unavailable("the store can't be reached"),
        "late" => Status::deadline_exceeded("the deadline passed"),
        "broken" => Status::internal("a fault of the service"),
        "reused" => Status::already_exists("the request id was used with another request"),
        _ => return None,
    })
}

fn answer(sku: &str) -> Result<v1::QuoteResponse, Status> {
    if let Some(status) = failure(sku) {
        return Err(status);
    }
    let verdict = match sku {
        "later" => Verdict::Later,
        "never" => Verdict::Unavailable,
        _ => Verdict::Promised,
    };
    let promise =
        (verdict != Verdict::Unavailable).then(|| v1::Promise { date: "2026-12-03".to_owned(), ..Default::default() });
    Ok(v1::QuoteResponse { verdict: verdict.into(), promise, ..Default::default() })
}

fn first_sku(ask: Option<&v1::Ask>) -> String {
    ask.and_then(|ask| ask.lines.first()).map(|line| line.sku.clone()).unwrap_or_default()
}

fn reservation(id: &str, state: v1::reservation::State) -> Result<v1::Reservation, Status> {
    match failure(id) {
        Some(status) => Err(status),
        None => Ok(v1::Reservation { id: id.to_owned(), state: state.into(), ..Default::default() }),
    }
}

#[tonic::async_trait]
impl PromiseService for Fake {
    type WatchQuoteStream = Answers<v1::WatchQuoteResponse>;

    async fn quote(&self, request: Request<v1::QuoteRequest>) -> Result<Response<v1::QuoteResponse>, Status> {
        self.see("quote", &request);
        let request = request.into_inner();
        let sku = first_sku(request.ask.as_ref());
        if sku == "slow" {
            // Longer than any test waits: the caller's deadline ends it.
            std::future::pending::<()>().await;
        }
        let mut answer = answer(&sku)?;
        if request.hold.is_some() && answer.verdict() == Verdict::Promised {
            answer.reservation = Some(reservation(&request.request_id, v1::reservation::State::Held)?);
        }
        Ok(Response::new(answer))
    }

    async fn list_promise_dates(
        &self,
        request: Request<v1::ListPromiseDatesRequest>,
    ) -> Result<Response<v1::ListPromiseDatesResponse>, Status> {
        self.see("dates", &request);
        Ok(Response::new(v1::ListPromiseDatesResponse::default()))
    }

    async fn watch_quote(
        &self,
        request: Request<v1::WatchQuoteRequest>,
    ) -> Result<Response<Self::WatchQuoteStream>, Status> {
        self.see("watch", &request);
        let answers = ["yes", "later", "never"];
        let answers = answers.map(|sku| Ok(v1::WatchQuoteResponse { quote: Some(answer(sku)?) }));
        Ok(Response::new(tokio_stream::iter(answers.into_iter().collect::<Vec<_>>())))
    }

    async fn confirm_reservation(
        &self,
        request: Request<v1::ConfirmReservationRequest>,
    ) -> Result<Response<v1::ConfirmReservationResponse>, Status> {
        self.see("confirm", &request);
        let reservation = reservation(&request.into_inner().id, v1::reservation::State::Confirmed)?;
        Ok(Response::new(v1::ConfirmReservationResponse { reservation: Some(reservation) }))
    }

    async fn release_reservation(
        &self,
        request: Request<v1::ReleaseReservationRequest>,
    ) -> Result<Response<v1::ReleaseReservationResponse>, Status> {
        self.see("release", &request);
        let reservation = reservation(&request.into_inner().id, v1::reservation::State::Released)?;
        Ok(Response::new(v1::ReleaseReservationResponse { reservation: Some(reservation) }))
    }

    async fn extend_reservation(
        &self,
        request: Request<v1::ExtendReservationRequest>,
    ) -> Result<Response<v1::ExtendReservationResponse>, Status> {
        self.see("extend", &request);
        let reservation = reservation(&request.into_inner().id, v1::reservation::State::Held)?;
        Ok(Response::new(v1::ExtendReservationResponse { reservation: Some(reservation) }))
    }

    async fn amend_reservation(
        &self,
        _: Request<v1::AmendReservationRequest>,
    ) -> Result<Response<v1::AmendReservationResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    async fn get_reservation(
        &self,
        request: Request<v1::GetReservationRequest>,
    ) -> Result<Response<v1::GetReservationResponse>, Status> {
        self.see("show", &request);
        let reservation = reservation(&request.into_inner().id, v1::reservation::State::Held)?;
        Ok(Response::new(v1::GetReservationResponse { reservation: Some(reservation), ..Default::default() }))
    }
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not in this version"))
}

#[tonic::async_trait]
impl OperationsService for Fake {
    type WatchEventsStream = Answers<v1::WatchEventsResponse>;

    async fn apply_network(
        &self,
        request: Request<v1::ApplyNetworkRequest>,
    ) -> Result<Response<v1::ApplyNetworkResponse>, Status> {
        self.see("apply", &request);
        let request = request.into_inner();
        if request.network.unwrap_or_default().sites.iter().any(|site| site.time_zone == "Mars") {
            let mut details = ErrorDetails::new();
            details.add_bad_request_violation("network.sites[1].time_zone", "'Mars' is not a time zone");
            return Err(Status::with_error_details(Code::InvalidArgument, "1 fault in the network", details));
        }
        Ok(Response::new(v1::ApplyNetworkResponse { version: if request.validate_only { 3 } else { 4 } }))
    }

    async fn get_network(&self, _: Request<v1::GetNetworkRequest>) -> Result<Response<v1::GetNetworkResponse>, Status> {
        not_here()
    }

    async fn set_supply(
        &self,
        request: Request<Streaming<v1::SetSupplyRequest>>,
    ) -> Result<Response<v1::SetSupplyResponse>, Status> {
        self.see("supply", &request);
        let mut stream = request.into_inner();
        let (mut buckets_set, mut message) = (0, 0);
        while let Some(portion) = stream.next().await {
            let lines = portion?.lines;
            if let Some(bad) = lines.iter().position(|line| line.resource == "unknown") {
                let mut details = ErrorDetails::new();
                details.set_error_info("INVALID_REQUEST", "surety", [("message".to_owned(), message.to_string())]);
                details.add_bad_request_violation(format!("lines[{bad}].resource"), "there is no resource 'unknown'");
                return Err(Status::with_error_details(Code::InvalidArgument, "1 fault in the plan", details));
            }
            buckets_set += lines.iter().map(|line| i64::try_from(line.units.len()).unwrap()).sum::<i64>();
            message += 1;
        }
        Ok(Response::new(v1::SetSupplyResponse { buckets_set, reservations_at_risk: 0 }))
    }

    async fn adjust_supply(
        &self,
        _: Request<v1::AdjustSupplyRequest>,
    ) -> Result<Response<v1::AdjustSupplyResponse>, Status> {
        not_here()
    }

    async fn list_buckets(
        &self,
        _: Request<v1::ListBucketsRequest>,
    ) -> Result<Response<v1::ListBucketsResponse>, Status> {
        Ok(Response::new(v1::ListBucketsResponse::default()))
    }

    async fn set_allocation(
        &self,
        _: Request<v1::SetAllocationRequest>,
    ) -> Result<Response<v1::SetAllocationResponse>, Status> {
        not_here()
    }

    async fn fix_reservation(
        &self,
        _: Request<v1::FixReservationRequest>,
    ) -> Result<Response<v1::FixReservationResponse>, Status> {
        not_here()
    }

    /// 250 reservations in pages of at most 100.
    async fn list_reservations(
        &self,
        request: Request<v1::ListReservationsRequest>,
    ) -> Result<Response<v1::ListReservationsResponse>, Status> {
        self.see("reservations", &request);
        let request = request.into_inner();
        let from: usize = request.page_token.parse().unwrap_or(0);
        let to = (from + usize::try_from(request.page_size).unwrap().min(100)).min(250);
        let reservations = (from..to).map(|i| v1::Reservation { id: format!("r{i}"), ..Default::default() }).collect();
        let next_page_token = if to < 250 { to.to_string() } else { String::new() };
        Ok(Response::new(v1::ListReservationsResponse { reservations, next_page_token }))
    }

    async fn repromise(&self, _: Request<v1::RepromiseRequest>) -> Result<Response<v1::RepromiseResponse>, Status> {
        not_here()
    }

    async fn report_fulfilment(
        &self,
        _: Request<v1::ReportFulfilmentRequest>,
    ) -> Result<Response<v1::ReportFulfilmentResponse>, Status> {
        not_here()
    }

    async fn watch_events(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        self.see("events", &request);
        let event = |i: i64| v1::WatchEventsResponse {
            cursor: i.to_string(),
            at: None,
            event: Some(v1::watch_events_response::Event::NetworkVersion(i)),
        };
        Ok(Response::new(tokio_stream::iter((1..=5).map(|i| Ok(event(i))).collect::<Vec<_>>())))
    }
}

/// What a command came to.
struct Outcome {
    exit: Exit,
    out: String,
    err: String,
    seen: Vec<String>,
}

/// Runs a command against the server of this file.
async fn run(words: &str) -> Outcome {
    let fake = Fake::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (promises, operations) = (PromiseServiceServer::new(fake.clone()), OperationsServiceServer::new(fake.clone()));
    let by_path = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        let (mut promises, mut operations) = (promises.clone(), operations.clone());
        async move {
            if request.uri().path().starts_with("/surety.v1.PromiseService/") {
                promises.call(request).await
            } else {
                operations.call(request).await
            }
        }
    });
    let server = tonic::transport::Server::builder().serve_with_incoming(by_path, TcpListenerStream::new(listener));
    let server = tokio::spawn(server);
    let mut outcome = run_at(words, &format!("http://{address}")).await;
    server.abort();
    outcome.seen = fake.seen.lock().unwrap().clone();
    outcome
}

async fn run_at(words: &str, server: &str) -> Outcome {
    let words = format!("surety {words} --server {server} --time-zone UTC");
    let command = parse(words.split_whitespace()).unwrap().command;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let clock = ManualClock::at(Moment(0));
    let mut console = Console::new(&mut out, &mut err, &clock);
    let json = command.json();
    let exit = match call(command, &mut console).await {
        Ok(exit) => exit,
        Err(failure) => {
            console.complain(&failure, json);
            failure.exit()
        }
    };
    let text = |bytes: Vec<u8>| strip_str(&String::from_utf8(bytes).unwrap()).to_string();
    Outcome { exit, out: text(out), err: text(err), seen: Vec::new() }
}

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
    let rows = |bad: Option<usize>| {
        let row = |i: usize| format!("{},2026-12-01,{i}\n", if bad == Some(i) { "unknown" } else { "lej.pack" });
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
