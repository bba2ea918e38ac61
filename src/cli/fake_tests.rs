//! For tests: a server that says what it is told to, and commands that are run against it.

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
use super::exit::Exit;
use super::{call, parse};
use crate::clock::ManualClock;
use crate::domain::time::Moment;
use crate::proto::v1::offer_service_server::{OfferService, OfferServiceServer};
use crate::proto::v1::operations_service_server::{OperationsService, OperationsServiceServer};
use crate::proto::v1::promise_service_server::{PromiseService, PromiseServiceServer};
use crate::proto::v1::{self, Verdict};

/// A server that answers by the SKU or id that it is asked about, and remembers what it was asked.
#[derive(Clone, Default)]
pub(super) struct Fake {
    pub(super) seen: Arc<Mutex<Vec<String>>>,
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
        let id = request.into_inner().id;
        let state = match id.as_str() {
            "released" => v1::reservation::State::Released,
            id if id.starts_with("order") => v1::reservation::State::Confirmed,
            _ => v1::reservation::State::Held,
        };
        let reservation = reservation(&id, state)?;
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

    /// A site in Berlin with a day and an hour of work, and stock.
    async fn get_network(&self, _: Request<v1::GetNetworkRequest>) -> Result<Response<v1::GetNetworkResponse>, Status> {
        let site = v1::Site { id: "lej".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..Default::default() };
        let resource = |id: &str, hours: Option<i64>| v1::Resource {
            id: id.to_owned(),
            site: "lej".to_owned(),
            kind: if id == "lej.mugs" { v1::resource::Kind::Stock } else { v1::resource::Kind::Capacity }.into(),
            bucket: hours.map(|hours| pbjson_types::Duration { seconds: hours * 3_600, nanos: 0 }),
            ..Default::default()
        };
        // One more than the server that is asked to set it knows, as though the network had been replaced in between.
        let resources = vec![
            resource("lej.pack", None),
            resource("lej.hour", Some(1)),
            resource("lej.mugs", None),
            resource("unknown", None),
        ];
        let network = v1::Network { sites: vec![site], resources, ..Default::default() };
        Ok(Response::new(v1::GetNetworkResponse { network: Some(network), version: 3 }))
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

    /// Each day 100 units of 120 that are promised; from the first day asked for on, in Berlin's winter.
    async fn list_buckets(
        &self,
        request: Request<v1::ListBucketsRequest>,
    ) -> Result<Response<v1::ListBucketsResponse>, Status> {
        self.see(if request.get_ref().from.is_empty() { "today" } else { "buckets" }, &request);
        let mut request = request.into_inner();
        if request.from.is_empty() && !request.resource.is_empty() {
            TODAY.clone_into(&mut request.from);
        }
        let Ok(first) = format!("{}T00:00:00+01:00", request.from).parse::<jiff::Timestamp>() else {
            return Ok(Response::new(v1::ListBucketsResponse::default()));
        };
        let at = |day: i32| pbjson_types::Timestamp { seconds: first.as_second() + i64::from(day) * 86_400, nanos: 0 };
        let bucket = |day: i32| v1::Bucket {
            resource: request.resource.clone(),
            from: Some(at(day)),
            to: Some(at(day + 1)),
            supply: 100,
            confirmed: 120,
            ..Default::default()
        };
        Ok(Response::new(v1::ListBucketsResponse { buckets: (0..request.days).map(bucket).collect() }))
    }

    async fn set_allocation(
        &self,
        request: Request<v1::SetAllocationRequest>,
    ) -> Result<Response<v1::SetAllocationResponse>, Status> {
        self.see("allocation", &request);
        let request = request.into_inner();
        if request.channel == "unknown" {
            return Err(Status::not_found("there is no channel 'unknown'"));
        }
        let bucket = v1::Bucket { resource: request.resource, ..Default::default() };
        Ok(Response::new(v1::SetAllocationResponse { buckets: vec![bucket; request.units.len()] }))
    }

    async fn fix_reservation(
        &self,
        request: Request<v1::FixReservationRequest>,
    ) -> Result<Response<v1::FixReservationResponse>, Status> {
        self.see("fix", &request);
        let request = request.into_inner();
        let promise = Some(v1::Promise { date: "2026-12-03".to_owned(), ..Default::default() });
        let mut reservation = reservation(&request.id, v1::reservation::State::Confirmed)?;
        (reservation.fixed, reservation.promise) = (request.fixed, promise);
        Ok(Response::new(v1::FixReservationResponse { reservation: Some(reservation) }))
    }

    /// 250 reservations in pages of at most 100.
    async fn list_reservations(
        &self,
        request: Request<v1::ListReservationsRequest>,
    ) -> Result<Response<v1::ListReservationsResponse>, Status> {
        self.see("reservations", &request);
        let request = request.into_inner();
        let from: usize = request.page_token.parse().unwrap_or(0);
        // Nothing is at risk.
        let all = if request.at_risk { 0 } else { 250 };
        let to = (from + usize::try_from(request.page_size).unwrap().min(100)).min(all);
        let reservations = (from..to).map(|i| v1::Reservation { id: format!("r{i}"), ..Default::default() }).collect();
        let next_page_token = if to < all { to.to_string() } else { String::new() };
        Ok(Response::new(v1::ListReservationsResponse { reservations, next_page_token }))
    }

    /// Each that is named: the first is moved, the others stay as they are.
    async fn repromise(
        &self,
        request: Request<v1::RepromiseRequest>,
    ) -> Result<Response<v1::RepromiseResponse>, Status> {
        self.see("repromise", &request);
        let ids = request.into_inner().ids;
        let one = |(i, id): (usize, &String)| v1::Repromised {
            id: id.clone(),
            reference: String::new(),
            old_date: "2026-12-03".to_owned(),
            new_date: if i == 0 { "2026-12-04".to_owned() } else { String::new() },
        };
        let repromised: Vec<_> = ids.iter().enumerate().map(one).collect();
        let moved = repromised.len().min(1) as i64;
        let still_at_risk = repromised.len() as i64 - moved;
        Ok(Response::new(v1::RepromiseResponse { repromised, kept: 0, moved, still_at_risk }))
    }

    async fn report_fulfilment(
        &self,
        request: Request<v1::ReportFulfilmentRequest>,
    ) -> Result<Response<v1::ReportFulfilmentResponse>, Status> {
        self.see("fulfilment", &request);
        let mut answer = v1::ReportFulfilmentResponse::default();
        for one in request.into_inner().fulfilments {
            match one.id.as_str() {
                "unknown-sku" => answer.unknown_ids.push(one.id),
                "released" => answer.refused.push(v1::FulfilmentRefused {
                    id: one.id,
                    state: v1::reservation::State::Released.into(),
                    reason: "was released before".to_owned(),
                }),
                _ if one.delivered_at.is_some() => answer.fulfilled += 1,
                _ => answer.shipped += 1,
            }
        }
        Ok(Response::new(answer))
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
        // The network `torn` breaks off after two events, each time.
        let torn = request.metadata().get("surety-network").is_some_and(|name| name == "torn");
        let first = request.into_inner().cursor.parse::<i64>().unwrap_or(0) + 1;
        let mut events: Vec<_> = (first..=5).map(|i| Ok(event(i))).collect();
        if torn {
            events.truncate(2);
            events.push(Err(Status::unavailable("the server is stopping")));
        }
        Ok(Response::new(tokio_stream::iter(events)))
    }
}

fn offer_state(id: &str, state: v1::offer_state::State) -> v1::OfferState {
    let offer = v1::Offer {
        id: id.to_owned(),
        starts: "2026-11-27".to_owned(),
        ends: "2026-11-29".to_owned(),
        promise: Some(v1::offer::Promise::WithinDays(3)),
        ..Default::default()
    };
    v1::OfferState {
        offer: Some(offer),
        state: state.into(),
        orders_set_aside: 1_000,
        orders_held: 10,
        orders_confirmed: 200,
        ..Default::default()
    }
}

#[tonic::async_trait]
impl OfferService for Fake {
    /// An offer is kept by what it is called: `all`, `some`, `none`; or refused.
    async fn check_offer(
        &self,
        request: Request<v1::CheckOfferRequest>,
    ) -> Result<Response<v1::CheckOfferResponse>, Status> {
        self.see("check", &request);
        let request = request.into_inner();
        if request.suppose.iter().any(|change| change.resource == "unknown") {
            let mut details = ErrorDetails::new();
            details.add_bad_request_violation("suppose[0].resource", "there is no resource 'unknown'");
            details.add_bad_request_violation("offer.zones[0].share", "the shares add up to 0.9");
            return Err(Status::with_error_details(Code::InvalidArgument, "2 faults in the request", details));
        }
        let offer = request.offer.unwrap_or_default();
        let asked: i64 = offer.orders.iter().sum();
        let (verdict, kept) = match offer.id.as_str() {
            "all" => (Verdict::Promised, asked),
            "some" => (Verdict::Later, asked / 2),
            _ => (Verdict::Unavailable, 0),
        };
        let report = v1::OfferReport {
            verdict: verdict.into(),
            orders_asked: asked,
            orders_deliverable: kept,
            tightest_within_days: 3,
            deliverable_scale: 0.5,
            ..Default::default()
        };
        Ok(Response::new(v1::CheckOfferResponse { report: Some(report) }))
    }

    async fn approve_offer(
        &self,
        request: Request<v1::ApproveOfferRequest>,
    ) -> Result<Response<v1::ApproveOfferResponse>, Status> {
        self.see("approve", &request);
        let request = request.into_inner();
        let offer = request.offer.clone().unwrap_or_default();
        if offer.id == "some" && request.min_share == 0.0 {
            return Err(Status::failed_precondition("500 of 1,000 orders can be kept"));
        }
        let mut state = offer_state(&offer.id, v1::offer_state::State::Approved);
        (state.offer, state.release_hours) = (request.offer, request.release_hours);
        Ok(Response::new(v1::ApproveOfferResponse { offer: Some(state), report: None }))
    }

    async fn close_offer(
        &self,
        request: Request<v1::CloseOfferRequest>,
    ) -> Result<Response<v1::CloseOfferResponse>, Status> {
        self.see("close", &request);
        let offer = offer_state(&request.into_inner().id, v1::offer_state::State::Closed);
        Ok(Response::new(v1::CloseOfferResponse { offer: Some(offer) }))
    }

    async fn get_offer(&self, request: Request<v1::GetOfferRequest>) -> Result<Response<v1::GetOfferResponse>, Status> {
        self.see("offer", &request);
        let id = request.into_inner().id;
        if id == "unknown" {
            return Err(Status::not_found("there is no offer 'unknown'"));
        }
        let offer = offer_state(&id, v1::offer_state::State::Approved);
        Ok(Response::new(v1::GetOfferResponse { offer: Some(offer) }))
    }

    /// Three offers, one a page.
    async fn list_offers(
        &self,
        request: Request<v1::ListOffersRequest>,
    ) -> Result<Response<v1::ListOffersResponse>, Status> {
        self.see("offers", &request);
        let at: usize = request.into_inner().page_token.parse().unwrap_or(0);
        let offers = vec![offer_state(&format!("o{at}"), v1::offer_state::State::Approved)];
        let next_page_token = if at < 2 { (at + 1).to_string() } else { String::new() };
        Ok(Response::new(v1::ListOffersResponse { offers, next_page_token }))
    }

    async fn suggest_offers(
        &self,
        request: Request<v1::SuggestOffersRequest>,
    ) -> Result<Response<v1::SuggestOffersResponse>, Status> {
        self.see("suggest", &request);
        let one = v1::Suggestion { sku: "mug".to_owned(), orders: 10, ..Default::default() };
        let suggestions = if request.into_inner().zone == "nowhere" { Vec::new() } else { vec![one] };
        Ok(Response::new(v1::SuggestOffersResponse { suggestions }))
    }

    async fn get_scorecard(
        &self,
        request: Request<v1::GetScorecardRequest>,
    ) -> Result<Response<v1::GetScorecardResponse>, Status> {
        self.see("scorecard", &request);
        Ok(Response::new(v1::GetScorecardResponse { quotes: 7, ..Default::default() }))
    }
}

/// The day that it is for the server, whose clock is not that of the commands that are run.
const TODAY: &str = "2026-11-30";

/// What a command came to.
pub(super) struct Outcome {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
    pub(super) seen: Vec<String>,
}

/// Runs a command against the server of this file.
pub(super) async fn run(words: &str) -> Outcome {
    let fake = Fake::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (promises, operations) = (PromiseServiceServer::new(fake.clone()), OperationsServiceServer::new(fake.clone()));
    let offers = OfferServiceServer::new(fake.clone());
    let by_path = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        let (mut promises, mut operations, mut offers) = (promises.clone(), operations.clone(), offers.clone());
        async move {
            match request.uri().path().split('/').nth(1) {
                Some("surety.v1.PromiseService") => promises.call(request).await,
                Some("surety.v1.OfferService") => offers.call(request).await,
                _ => operations.call(request).await,
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

pub(super) async fn run_at(words: &str, server: &str) -> Outcome {
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
