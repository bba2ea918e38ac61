//! Clients that hold, confirm, release, extend, amend and adjust without end, repeat what they did not hear the answer of until
//! they do, and write down every answer. What an answer by itself shows to be wrong they note at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use surety::proto::v1::operations_service_client::OperationsServiceClient;
use surety::proto::v1::promise_service_client::PromiseServiceClient;
use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::book::{Adjusted, Book, Holding, Seen, Told};
use crate::dice::Dice;
use crate::pace::Paced;
use crate::shop::{self, DAYS, day, duration, instant, micros, now, scarce};

type Promises = PromiseServiceClient<Channel>;
type Operations = OperationsServiceClient<Channel>;

/// How long a client waits for one answer, unless it is one of the impatient.
const PATIENCE: Duration = Duration::from_secs(6);
/// How much later than told a client may hear of something, and how much later it may have happened than is told.
const SLACK: i64 = 20_000;

/// What the clients of a scenario share.
pub struct Load {
    pub book: Arc<Book>,
    pub servers: Vec<(Promises, Operations)>,
    stop: AtomicBool,
    /// When the last fault was over; before that no client has to be answered.
    healed_at: OnceLock<Paced>,
    /// How long after that a client may still be without a definite answer.
    recovery: Duration,
    /// Milliseconds from one order of a client to its next, at most.
    pause: u64,
    /// All that is confirmed is released in time, so that the load can go on for ever.
    steady: bool,
}

impl Load {
    pub fn new(book: Arc<Book>, servers: Vec<(Promises, Operations)>, recovery: Duration) -> Arc<Load> {
        let (stop, healed_at) = (AtomicBool::new(false), OnceLock::new());
        Arc::new(Load { book, servers, stop, healed_at, recovery, pause: 8, steady: false })
    }

    /// One that can go on for ever, at a rate that the pauses set.
    pub fn steady(book: Arc<Book>, servers: Vec<(Promises, Operations)>, recovery: Duration, pause: u64) -> Arc<Load> {
        let (stop, healed_at) = (AtomicBool::new(false), OnceLock::new());
        Arc::new(Load { book, servers, stop, healed_at, recovery, pause, steady: true })
    }

    /// Begins clients of a network.
    pub fn begin(self: &Arc<Load>, clients: &mut JoinSet<()>, network: &str, many: usize, dice: &mut Dice) {
        for _ in 0..many {
            let (load, network, dice) = (Arc::clone(self), network.to_owned(), Dice::seeded(dice.next()));
            clients.spawn(async move { Client { load, network, dice, kept: Vec::new() }.run().await });
        }
    }

    /// From now on everybody has to be answered soon.
    pub fn healed(&self) {
        self.healed_at.get_or_init(Paced::now);
    }

    /// No new requests; those under way are seen to their answers.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn is_overdue(&self, begun: Paced) -> bool {
        self.healed_at.get().is_some_and(|healed| begun.max(*healed).elapsed() > self.recovery)
    }
}

/// What came of asking until there was an answer.
enum Came<T> {
    Answer(T),
    /// A refusal that is an answer.
    Refused(Status),
    /// Nothing was applied, and it is not asked again.
    Nothing,
    /// There was no answer, though there should have been.
    Overdue,
}

struct Asked<T> {
    came: Came<T>,
    /// When the first attempt began, in microseconds.
    first_sent: i64,
    /// One of the attempts may have been applied beside the one that was answered.
    in_doubt: bool,
}

struct Client {
    load: Arc<Load>,
    network: String,
    dice: Dice,
    /// What it confirmed and still has.
    kept: Vec<Told>,
}

impl Client {
    async fn run(mut self) {
        while !self.load.stop.load(Ordering::SeqCst) {
            if self.dice.once_in(12) {
                self.adjust().await;
            } else {
                self.order().await;
            }
            let pause = self.dice.below(self.load.pause);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.load.book.pages().told.append(&mut self.kept);
    }

    fn violation(&self, told: &Told, what: &str) {
        let Told { id, network, story, .. } = told;
        self.load.book.violation(format!("{network} {id}: {what}; {}", story.join("; ")));
    }

    /// A hold, and what becomes of it.
    async fn order(&mut self) {
        let mut told = Told::new(uuid::Uuid::new_v4().to_string(), self.network.clone());
        // What is scarce and held for long is refused to all others, which is no load to speak of.
        let long = if self.load.steady { 4..15 } else { 30..90 };
        let seconds = if self.dice.once_in(2) { self.dice.range(1, 3) } else { self.dice.range(long.start, long.end) };
        let request = shop::hold(&told.id, scarce(&mut self.dice), Duration::from_secs(seconds as u64));
        let Some(first) = self.hold(&mut told, &request).await else {
            self.load.book.pages().told.push(told);
            return;
        };
        if self.dice.once_in(5) {
            self.repeat(&mut told, &request, &first).await;
        }
        let next = self.dice.below(100);
        if next < 15 {
            self.extend(&mut told).await;
        } else if next < 30 {
            self.amend(&mut told).await;
        }
        match self.dice.below(100) {
            0..40 => self.confirm(&mut told).await,
            40..75 => self.release(&mut told).await,
            _ => {}
        }
        if told.last().is_some_and(|seen| seen.state == State::Confirmed) {
            self.kept.push(told);
            if self.kept.len() > 1 {
                let at = self.dice.below(self.kept.len() as u64) as usize;
                let mut old = self.kept.swap_remove(at);
                // A few are never released, so that the end has some.
                let stays = self.dice.once_in(100) && !self.load.steady;
                if !stays {
                    self.release(&mut old).await;
                }
                self.load.book.pages().told.push(old);
            }
        } else {
            self.load.book.pages().told.push(told);
        }
    }

    async fn hold(&mut self, told: &mut Told, request: &QuoteRequest) -> Option<QuoteResponse> {
        let asked = self.ask(told, "held", true, |(mut promises, _), call: Call| {
            let request = call.request(request.clone());
            async move { promises.quote(request).await }
        });
        let asked = asked.await;
        told.hold_in_doubt = asked.in_doubt;
        let answer = match asked.came {
            Came::Answer(answer) => answer,
            Came::Nothing => {
                told.holding = Holding::No;
                return None;
            }
            Came::Refused(status) => {
                self.violation(told, &format!("a hold was refused: {status:?}"));
                return None;
            }
            Came::Overdue => return None,
        };
        let Some(reservation) = &answer.reservation else {
            told.holding = Holding::No;
            if answer.verdict() == Verdict::Promised {
                self.violation(told, "promised, and nothing was held");
            }
            self.load.book.count(&self.network, |counts| counts.refused += 1);
            return None;
        };
        told.holding = Holding::Yes;
        let made = instant(&reservation.created_at).unwrap_or_default();
        if made + SLACK < asked.first_sent || made > now() + SLACK {
            self.violation(told, &format!("made at {made}, not between {} and now", asked.first_sent));
        }
        self.load.book.count(&self.network, |counts| counts.held += 1);
        self.note(told, reservation, &[State::Held, State::Expired]);
        Some(answer)
    }

    /// The same request again is told the same; another with its id is refused (rule 20).
    async fn repeat(&mut self, told: &mut Told, request: &QuoteRequest, first: &QuoteResponse) {
        let other = self.dice.once_in(4);
        let mut request = request.clone();
        if other {
            request.reference = "another".into();
        }
        let asked = self.ask(told, "repeated", false, |(mut promises, _), call: Call| {
            let request = call.request(request.clone());
            async move { promises.quote(request).await }
        });
        match (asked.await.came, other) {
            (Came::Answer(answer), false) => {
                let made = |answer: &QuoteResponse| answer.reservation.as_ref().and_then(|r| instant(&r.created_at));
                if (answer.verdict, &answer.promise, made(&answer)) != (first.verdict, &first.promise, made(first)) {
                    self.violation(told, &format!("two answers to one request: {first:?} and {answer:?}"));
                }
                if let Some(reservation) = &answer.reservation {
                    self.note(told, reservation, &[State::Held, State::Expired]);
                }
                self.load.book.count(&self.network, |counts| counts.repeated += 1);
            }
            (Came::Refused(status), true) if status.code() == Code::AlreadyExists => {}
            (Came::Answer(answer), true) => {
                self.violation(told, &format!("another request of this id got {answer:?}"));
            }
            (Came::Refused(status), _) => self.violation(told, &format!("a repeat was refused: {status:?}")),
            (Came::Nothing | Came::Overdue, _) => {}
        }
    }

    async fn confirm(&mut self, told: &mut Told) {
        let request = ConfirmReservationRequest { id: told.id.clone(), ..Default::default() };
        let asked = self.ask(told, "confirmed", true, |(mut promises, _), call: Call| {
            let request = call.request(request.clone());
            async move { promises.confirm_reservation(request).await }
        });
        let asked = asked.await;
        match asked.came {
            Came::Answer(answer) => {
                self.not_after_its_end(told, asked.first_sent, "confirmed");
                let reservation = answer.reservation.unwrap_or_default();
                self.note(told, &reservation, &[State::Confirmed]);
                self.load.book.count(&self.network, |counts| counts.confirmed += 1);
            }
            Came::Refused(status) => self.ended(told, &status),
            Came::Nothing | Came::Overdue => {}
        }
    }

    async fn release(&mut self, told: &mut Told) {
        let request = ReleaseReservationRequest { id: told.id.clone(), ..Default::default() };
        let asked = self.ask(told, "released", true, |(mut promises, _), call: Call| {
            let request = call.request(request.clone());
            async move { promises.release_reservation(request).await }
        });
        match asked.await.came {
            Came::Answer(answer) => {
                let reservation = answer.reservation.unwrap_or_default();
                if reservation.state() == State::Expired {
                    self.not_before_its_end(told);
                }
                self.note(told, &reservation, &[State::Released, State::Expired]);
                self.load.book.count(&self.network, |counts| counts.released += 1);
            }
            Came::Refused(status) => self.violation(told, &format!("a release was refused: {status:?}")),
            Came::Nothing | Came::Overdue => {}
        }
    }

    async fn extend(&mut self, told: &mut Told) {
        let time = Duration::from_secs(self.dice.range(1, 20) as u64);
        let request = ExtendReservationRequest { id: told.id.clone(), hold: Some(duration(time)) };
        let asked = self.ask(told, "extended", true, |(mut promises, _), call: Call| {
            let request = call.request(request.clone());
            async move { promises.extend_reservation(request).await }
        });
        let asked = asked.await;
        match asked.came {
            Came::Answer(answer) => {
                let reservation = answer.reservation.unwrap_or_default();
                self.note(told, &reservation, &[State::Held]);
                let end = instant(&reservation.expires_at).unwrap_or_default();
                let from = end - micros(time);
                if from + SLACK < asked.first_sent || from > now() + SLACK {
                    self.violation(told, &format!("extended from {from}, not between {} and now", asked.first_sent));
                }
                self.load.book.count(&self.network, |counts| counts.extended += 1);
            }
            Came::Refused(status) => self.ended(told, &status),
            Came::Nothing | Came::Overdue => {}
        }
    }

    async fn amend(&mut self, told: &mut Told) {
        let request = AmendReservationRequest {
            id: told.id.clone(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ask: Some(scarce(&mut self.dice)),
            accept_later: false,
        };
        let asked = self.ask(told, "amended", true, |(mut promises, _), call: Call| {
            let request = call.request(request.clone());
            async move { promises.amend_reservation(request).await }
        });
        let asked = asked.await;
        match asked.came {
            Came::Answer(answer) => {
                if answer.verdict() != Verdict::Promised {
                    told.amendment_in_doubt |= asked.in_doubt;
                }
                let reservation = answer.reservation.clone().unwrap_or_default();
                self.note(told, &reservation, &[State::Held, State::Expired]);
                self.load.book.count(&self.network, |counts| counts.amended += 1);
            }
            Came::Refused(status) => self.ended(told, &status),
            Came::Nothing | Came::Overdue => {}
        }
    }

    /// A change of supply, which is made once however often it is sent.
    async fn adjust(&mut self) {
        let mut told = Told::new(uuid::Uuid::new_v4().to_string(), self.network.clone());
        let request = AdjustSupplyRequest {
            request_id: told.id.clone(),
            resource: "spare".into(),
            start: day(self.dice.range(1, DAYS + 1)),
            buckets: 1,
            delta: self.dice.range(-3, 6),
            reason: String::new(),
        };
        let asked = self.ask(&mut told, "adjusted", true, |(_, mut operations), call: Call| {
            let request = call.request(request.clone());
            async move { operations.adjust_supply(request).await }
        });
        match asked.await.came {
            Came::Answer(_) => {
                let AdjustSupplyRequest { start, delta, .. } = request;
                let network = self.network.clone();
                self.load.book.pages().adjusted.push(Adjusted { network, start, delta });
                self.load.book.count(&self.network, |counts| counts.adjusted += 1);
            }
            Came::Refused(status) => self.violation(&told, &format!("an adjustment was refused: {status:?}")),
            Came::Nothing | Came::Overdue => {}
        }
    }

    /// Takes down what an answer showed.
    fn note(&self, told: &mut Told, reservation: &Reservation, expected: &[State]) {
        let seen = Seen::of(reservation);
        told.story.push(format!("{} {:?}", now(), seen));
        if !expected.contains(&seen.state) {
            self.violation(told, &format!("the answer shows it as {seen:?}, not as one of {expected:?}"));
        }
        if told.last().is_some_and(|last| seen.version < last.version) {
            self.violation(told, &format!("an older version was told after {:?}", told.last()));
        }
        if seen.state == State::Expired {
            self.not_before_its_end(told);
        }
        told.seen.push(seen);
    }

    /// A refusal because of its state: its time must be over.
    fn ended(&self, told: &mut Told, status: &Status) {
        let details = status.get_error_details();
        let state = details.error_info().and_then(|info| info.metadata.get("state").cloned());
        if status.code() != Code::FailedPrecondition || state.as_deref() != Some("EXPIRED") {
            self.violation(told, &format!("refused: {status:?}"));
            return;
        }
        self.not_before_its_end(told);
        let version = told.last().map_or(0, |last| last.version);
        told.seen.push(Seen { state: State::Expired, version, expires_at: None });
        told.story.push(format!("{} refused as expired", now()));
    }

    /// Rule 21: a hold is never given up before its end.
    fn not_before_its_end(&self, told: &Told) {
        let end = told.seen.iter().rev().find_map(|seen| seen.expires_at);
        if end.is_some_and(|end| now() < end) {
            self.violation(told, "it is called expired before its end");
        }
    }

    /// Rule 21: an expired hold is not confirmed.
    fn not_after_its_end(&self, told: &Told, sent: i64, what: &str) {
        if let Some(Seen { state: State::Held, expires_at: Some(end), .. }) = told.last()
            && sent > *end
        {
            self.violation(told, &format!("it was {what} after its end, {end}; the request was sent at {sent}"));
        }
    }

    /// Sends a request until there is a definite answer, to one server or another.
    async fn ask<T, F>(
        &mut self,
        told: &mut Told,
        kind: &'static str,
        may_give_up: bool,
        send: impl Fn((Promises, Operations), Call) -> F,
    ) -> Asked<T>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let (first_sent, asked) = (now(), Paced::now());
        let mut in_doubt = false;
        loop {
            let at = self.dice.below(self.load.servers.len() as u64) as usize;
            let patience = match self.dice.once_in(12) {
                true => Duration::from_millis(self.dice.below(150) + 1),
                false => PATIENCE,
            };
            *told.sent.entry(kind).or_default() += 1;
            let call = Call { network: self.network.clone(), patience };
            let begun = Instant::now();
            let sent = send(self.load.servers[at].clone(), call);
            let answer = tokio::time::timeout(patience + Duration::from_millis(200), sent).await;
            let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("by the client's own clock")));
            let took = begun.elapsed();
            let status = match answer {
                Ok(answer) => {
                    self.load.book.count(&self.network, |counts| counts.slowest = counts.slowest.max(took));
                    let came = Came::Answer(answer.into_inner());
                    return Asked { came, first_sent, in_doubt };
                }
                Err(status) => status,
            };
            let details = status.get_error_details();
            let reason = details.error_info().map_or("", |info| info.reason.as_str());
            told.story.push(format!("{} {kind} at {at}: {:?} {reason}", now(), status.code()));
            match (status.code(), reason) {
                (Code::Unavailable, "STORE_UNAVAILABLE") => {
                    if details.retry_info().is_none() {
                        self.violation(told, "UNAVAILABLE without RetryInfo");
                    }
                    self.load.book.count(&self.network, |counts| {
                        counts.nothing += 1;
                        counts.slowest_nothing = counts.slowest_nothing.max(took);
                    });
                    if may_give_up && !in_doubt && self.dice.once_in(4) {
                        return Asked { came: Came::Nothing, first_sent, in_doubt };
                    }
                }
                (Code::ResourceExhausted, _) => self.load.book.count(&self.network, |counts| counts.shed += 1),
                (Code::FailedPrecondition | Code::AlreadyExists, _) => {
                    return Asked { came: Came::Refused(status), first_sent, in_doubt };
                }
                (Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown, _) => {
                    in_doubt = true;
                    self.load.book.count(&self.network, |counts| counts.unknown += 1);
                }
                // The connection of a server that ends, as the client's library tells it; one of the server's own has a reason.
                (Code::Internal, "") => {
                    in_doubt = true;
                    self.load.book.count(&self.network, |counts| counts.unknown += 1);
                }
                // What was acknowledged is not unknown, and there is nothing wrong with what is asked.
                _ => return Asked { came: Came::Refused(status), first_sent, in_doubt },
            }
            if self.load.is_overdue(asked) {
                let story = format!("no answer for {:?} after all was healed", self.load.recovery);
                self.violation(told, &story);
                return Asked { came: Came::Overdue, first_sent, in_doubt };
            }
            let pause = self.dice.range(10, 150) as u64;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

/// Where a request goes and how long it may take.
struct Call {
    network: String,
    patience: Duration,
}

impl Call {
    fn request<T>(&self, message: T) -> tonic::Request<T> {
        request(&self.network, self.patience, message)
    }
}

/// A request to one of the networks with a deadline.
pub fn request<T>(network: &str, patience: Duration, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(patience);
    request.metadata_mut().insert("surety-network", network.parse().expect("ASCII"));
    request
}
