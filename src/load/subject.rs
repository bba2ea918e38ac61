//! What is driven: the service, or the echo that it is compared with. A subject makes calls and tells what came of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use prost::Message;
use prost::bytes::Bytes;
use smallvec::SmallVec;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::LoadError;
use super::answer::{Judged, Listed, Quoted};
use super::book::{Book, Held, Micros, Taken};
use super::dice::Dice;
use super::echo::{Blob, PATH as ECHO_PATH};
use super::ground::{Ground, product_of};
use super::measured::{Outcome, micros};
use super::message::Parts;
use super::mix::{Kind, Mix};
use super::plan::Plan;
use super::raw::RawCodec;
use super::skew::Spread;
use crate::proto::v1::Verdict;

/// How long to wait for a connection: long enough for one lost packet on any network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a hold must still have to live for something to be done with it.
const ALIVE: Duration = Duration::from_millis(500);
/// The share of a hold's time that is certain, in hundredths: clocks of two machines do not run quite alike.
const CERTAIN_PERCENT: u32 = 99;

/// Something that is driven.
#[derive(Debug)]
pub struct Subject {
    /// "surety" or "echo".
    pub name: &'static str,
    channels: Vec<Channel>,
    calls: Calls,
    timeout: Duration,
    /// The process that serves it, if it runs on this machine.
    pub pid: Option<u32>,
    /// What the book's instants are counted from.
    begun: Instant,
}

#[derive(Debug)]
enum Calls {
    Service(Box<Service>),
    Echo { body: Bytes },
}

/// What the service's calls are made of, and what is remembered of them.
#[derive(Debug)]
struct Service {
    network: MetadataValue<Ascii>,
    parts: Parts,
    mix: Mix,
    spread: Spread,
    products: usize,
    zones: usize,
    lines: usize,
    made: bool,
    hold_for: Duration,
    number: AtomicU64,
    book: Book,
}

/// A call that is about to be made.
#[derive(Debug)]
pub struct Next {
    /// What it is.
    pub kind: Kind,
    /// Whether it is a hold in place of a confirmation or release that found none.
    pub replaces: bool,
    body: Bytes,
    /// The number of the hold that it makes, or that it is about, and its place in the book.
    number: u64,
    place: usize,
}

/// Opens connections to an address.
///
/// # Errors
/// [`LoadError::Unreachable`].
pub async fn connect(target: &str, connections: usize) -> Result<Vec<Channel>, LoadError> {
    let unreachable = |cause: &dyn std::error::Error| {
        let mut innermost = cause;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        LoadError::Unreachable { target: target.to_owned(), cause: innermost.to_string() }
    };
    let endpoint = Endpoint::from_shared(target.to_owned()).map_err(|error| unreachable(&error))?;
    let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
    let mut channels = Vec::new();
    for _ in 0..connections {
        channels.push(endpoint.connect().await.map_err(|error| unreachable(&error))?);
    }
    Ok(channels)
}

impl Subject {
    /// The service at these connections.
    ///
    /// # Errors
    /// A name of the network that can't be sent.
    pub fn service(plan: &Plan, ground: &Ground, parts: Parts, channels: Vec<Channel>) -> Result<Self, LoadError> {
        let network = plan.network.parse();
        let network = network.map_err(|_| LoadError::Impossible(format!("'{}' can't be sent", plan.network)))?;
        let service = Service {
            network,
            parts,
            mix: plan.mix.clone(),
            spread: plan.skew.over(ground.skus.len()),
            products: ground.skus.len(),
            zones: ground.zones.len(),
            lines: plan.lines.clamp(1, ground.skus.len()),
            made: ground.made,
            hold_for: plan.hold_for,
            number: AtomicU64::new(1),
            book: Book::default(),
        };
        Ok(Self::new("surety", channels, Calls::Service(Box::new(service)), plan.timeout, plan.pid))
    }

    /// An echo at these connections, which is sent what a quote would be.
    pub fn echo(plan: &Plan, ground: &Ground, parts: &Parts, channels: Vec<Channel>, pid: u32) -> Self {
        let products: Vec<usize> = (0..plan.lines.clamp(1, ground.skus.len())).collect();
        let body = Blob { body: parts.quote(&products, 0) }.encode_to_vec().into();
        Self::new("echo", channels, Calls::Echo { body }, plan.timeout, Some(pid))
    }

    fn new(name: &'static str, channels: Vec<Channel>, calls: Calls, timeout: Duration, pid: Option<u32>) -> Self {
        Self { name, channels, calls, timeout, pid, begun: Instant::now() }
    }

    /// What was acknowledged, and the present instant of the book.
    pub fn book(&self) -> Option<(&Book, Micros)> {
        match &self.calls {
            Calls::Service(service) => Some((&service.book, self.now())),
            Calls::Echo { .. } => None,
        }
    }

    /// Microseconds since the run began.
    pub fn now(&self) -> Micros {
        micros(self.begun.elapsed())
    }

    /// The next call, by chance.
    pub fn next(&self, dice: &mut Dice) -> Next {
        match &self.calls {
            Calls::Service(service) => service.next(dice, self.now()),
            Calls::Echo { body } => Next { kind: Kind::Echo, replaces: false, body: body.clone(), number: 0, place: 0 },
        }
    }

    /// The kind of a call that is due and can't be sent.
    pub fn kind(&self, dice: &mut Dice) -> Kind {
        match &self.calls {
            Calls::Service(service) => service.mix.pick(dice),
            Calls::Echo { .. } => Kind::Echo,
        }
    }

    /// Makes a call and notes what was acknowledged. Its end is when the answer was here, before it was looked into.
    pub async fn call(&self, at: usize, next: Next) -> (Outcome, Instant) {
        let mut request = Request::new(next.body);
        let path = PathAndQuery::from_static(match next.kind {
            Kind::Quote | Kind::Hold => "/surety.v1.PromiseService/Quote",
            Kind::Confirm => "/surety.v1.PromiseService/ConfirmReservation",
            Kind::Release => "/surety.v1.PromiseService/ReleaseReservation",
            Kind::Dates => "/surety.v1.PromiseService/ListPromiseDates",
            Kind::Echo => ECHO_PATH,
        });
        if let Calls::Service(service) = &self.calls {
            request.metadata_mut().insert("surety-network", service.network.clone());
        }
        let sent = self.now();
        if let (Kind::Release, Calls::Service(service)) = (next.kind, &self.calls) {
            service.book.releasing(next.place, sent);
        }
        let mut client = tonic::client::Grpc::new(self.channels[at % self.channels.len()].clone());
        let asked = async {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            client.unary(request, path, RawCodec).await
        };
        let answer = tokio::time::timeout(self.timeout, asked).await;
        let over = Instant::now();
        let outcome = match answer {
            Err(_) => Outcome::failed(Code::DeadlineExceeded),
            Ok(Err(status)) => Outcome::failed(status.code()),
            Ok(Ok(answer)) => match &self.calls {
                Calls::Service(service) => {
                    let came = (sent, self.now());
                    service.came(next.kind, next.number, next.place, came, answer.into_inner())
                }
                Calls::Echo { .. } => Outcome::Done,
            },
        };
        (outcome, over)
    }
}

impl Service {
    fn next(&self, dice: &mut Dice, now: Micros) -> Next {
        let kind = self.mix.pick(dice);
        if let Kind::Confirm | Kind::Release = kind
            && let Some((place, number)) = self.book.take(now + micros(ALIVE), dice)
        {
            return Next { kind, replaces: false, body: self.parts.named(number), number, place };
        }
        let zone = dice.below(self.zones);
        let products = self.products(dice);
        let next = |kind, replaces, body, number| Next { kind, replaces, body, number, place: 0 };
        match kind {
            Kind::Quote | Kind::Echo => next(Kind::Quote, false, self.parts.quote(&products, zone), 0),
            Kind::Dates => next(kind, false, self.parts.dates(&products, zone), 0),
            Kind::Hold | Kind::Confirm | Kind::Release => {
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                next(Kind::Hold, kind != Kind::Hold, self.parts.hold(number, &products, zone), number)
            }
        }
    }

    /// Different products for the lines of an ask.
    fn products(&self, dice: &mut Dice) -> SmallVec<[usize; 4]> {
        let mut products = SmallVec::new();
        while products.len() < self.lines {
            let mut product = self.spread.pick(dice);
            // The next one that is not there yet: there are at least as many products as lines.
            while products.contains(&product) {
                product = (product + 1) % self.products;
            }
            products.push(product);
        }
        products
    }

    /// What an answer says. Only what says so in so many words is noted as acknowledged.
    fn came(&self, kind: Kind, number: u64, place: usize, came: (Micros, Micros), answer: Bytes) -> Outcome {
        match kind {
            Kind::Quote => match Judged::decode(answer) {
                Ok(judged) => outcome(judged.verdict(), judged.reservation.is_some(), false),
                Err(_) => Outcome::Nonsense,
            },
            Kind::Hold => match Quoted::decode(answer) {
                Ok(quoted) => self.held(number, came, &quoted),
                Err(_) => Outcome::Nonsense,
            },
            Kind::Confirm => {
                self.book.confirmed(place);
                Outcome::Done
            }
            Kind::Release | Kind::Echo => Outcome::Done,
            Kind::Dates => match Listed::decode(answer) {
                Ok(listed) if listed.dates.is_empty() => Outcome::Unavailable,
                Ok(_) => Outcome::Done,
                Err(_) => Outcome::Nonsense,
            },
        }
    }

    fn held(&self, number: u64, (sent, came): (Micros, Micros), quoted: &Quoted) -> Outcome {
        let outcome = outcome(quoted.verdict(), quoted.reservation.is_some(), true);
        if outcome == Outcome::Promised {
            let lines = if self.made { lines_of(quoted) } else { Some(SmallVec::new()) };
            let Some(lines) = lines else { return Outcome::Nonsense };
            let until = sent + micros(self.hold_for * CERTAIN_PERCENT / 100);
            self.book.note(Held { number, from: came, until, confirmed: false, released: false, lines });
        }
        outcome
    }
}

/// What an answer to a quote comes to. A yes to a hold takes, and nothing else does.
fn outcome(verdict: Verdict, taken: bool, hold: bool) -> Outcome {
    match verdict {
        Verdict::Promised if taken == hold => Outcome::Promised,
        Verdict::Later if !taken => Outcome::Later,
        Verdict::Unavailable if !taken => Outcome::Unavailable,
        Verdict::Unspecified | Verdict::Promised | Verdict::Later | Verdict::Unavailable => Outcome::Nonsense,
    }
}

/// What a promise in the made network takes: what arrives on a day was worked on the day before.
fn lines_of(quoted: &Quoted) -> Option<SmallVec<[Taken; 1]>> {
    let mut lines = SmallVec::new();
    for shipment in &quoted.promise.as_ref()?.shipments {
        let day = shipment.day()?.yesterday().ok()?;
        for part in &shipment.lines {
            lines.push(Taken { product: product_of(&part.sku)?, day, units: i64::from(part.quantity) });
        }
    }
    (!lines.is_empty()).then_some(lines)
}
