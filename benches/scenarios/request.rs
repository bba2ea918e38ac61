//! A question from the bytes that come in to the bytes that go out: all that the service does for it but for its transport.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use prost::Message;
use surety::app::App;
use surety::clock::ManualClock;
use surety::domain::id::{NetworkId, ReservationId};
use surety::domain::reservation::Reservation;
use surety::domain::time::{Moment, Span};
use surety::edge::{from_proto, to_proto};
use surety::ledger::command::{Command, Outcome};
use surety::ledger::feed::{Cursor, Entry, Subscriber};
use surety::ledger::tally::Tallies;
use surety::ledger::{Ledger, LedgerError, ReservationFilter};
use surety::proto::v1;
use surety::telemetry::Telemetry;
use tokio_util::sync::CancellationToken;

use super::workshop::NOW;
use super::{Turn, codec, view};

/// A ledger that is never asked: what takes nothing is answered from the view.
struct Unasked;

fn asked<T>() -> Result<T, LedgerError> {
    Err(LedgerError::Unavailable(Arc::from("nobody is to ask")))
}

#[async_trait]
impl Ledger for Unasked {
    async fn execute(&self, _: &NetworkId, _: Command, _: Option<std::time::Instant>) -> Result<Outcome, LedgerError> {
        asked()
    }

    async fn reservation(&self, _: &NetworkId, _: &ReservationId) -> Result<Option<Arc<Reservation>>, LedgerError> {
        asked()
    }

    async fn reservations(
        &self,
        _: &NetworkId,
        _: &ReservationFilter,
        _: Option<&ReservationId>,
        _: usize,
    ) -> Result<(Vec<Arc<Reservation>>, Option<ReservationId>), LedgerError> {
        asked()
    }

    async fn tallies(&self, _: &NetworkId, _: &str) -> Result<Tallies, LedgerError> {
        asked()
    }

    async fn entries(&self, _: &NetworkId, _: Cursor, _: usize) -> Result<Vec<Arc<Entry>>, LedgerError> {
        asked()
    }

    async fn newest(&self, _: &NetworkId) -> Result<Cursor, LedgerError> {
        asked()
    }

    async fn networks(&self) -> Result<Vec<NetworkId>, LedgerError> {
        asked()
    }

    fn has_due(&self, _: Moment) -> bool {
        false
    }

    async fn subscribe(&self, _: Arc<dyn Subscriber>) -> Result<(), LedgerError> {
        asked()
    }

    async fn close(&self) {}
}

/// What never waits.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("what takes nothing is answered at once"),
    }
}

pub fn quote(_: usize) -> Turn {
    let (metrics, clock) = (Telemetry::off().metrics(), Arc::new(ManualClock::at(NOW)));
    let app = App::new(Arc::new(Unasked), view::views(), clock, metrics, Span::ZERO, CancellationToken::new());
    let (bytes, network) = (codec::request(false), NetworkId::default_network());
    Box::new(move |_| {
        let message = v1::QuoteRequest::decode(black_box(&bytes[..])).expect("a message");
        let asked = from_proto::quote(message).expect("a request without faults");
        let quoted = at_once(app.quote(&network, asked, None)).expect("an answer");
        assert!(quoted.answer.promise.is_some());
        drop(black_box(to_proto::quote(&quoted.answer, quoted.reservation.as_deref()).encode_to_vec()));
    })
}
