//! Between words and bytes: the contract's messages, and the ledger's records.

use std::hint::black_box;
use std::sync::Arc;

use prost::Message;
use surety::domain::answer::Answer;
use surety::domain::ask::When;
use surety::domain::reservation::Reservation;
use surety::edge::{from_proto, to_proto};
use surety::ledger::command::Outcome;
use surety::ledger::record;
use surety::ledger::rules::apply;
use surety::proto::v1;

use super::Turn;
use super::workshop::{self, NOW, ask, day, holds, levels, network, planned};

/// A question as a checkout asks it, or the same with a hold.
pub fn request(hold: bool) -> Vec<u8> {
    v1::QuoteRequest {
        request_id: if hold { workshop::id(4711).to_string() } else { String::new() },
        ask: Some(v1::Ask {
            lines: vec![v1::Line { sku: "mug".to_owned(), quantity: 3 }],
            destination: Some(v1::Destination { to: Some(v1::destination::To::Zone("de".to_owned())) }),
            when: Some(v1::ask::When::ByDate("2026-12-24".to_owned())),
            service: "standard".to_owned(),
            ..v1::Ask::default()
        }),
        hold: hold.then_some(pbjson_types::Duration { seconds: 900, nanos: 0 }),
        reference: "order-4711".to_owned(),
        ..v1::QuoteRequest::default()
    }
    .encode_to_vec()
}

fn answer() -> Answer {
    let network = network();
    planned(&network, &levels(&network, 0), &ask(When::ByDate(day(30)))).answer
}

fn reservation() -> Arc<Reservation> {
    let applied = apply(&mut workshop::state(1 << 40), &holds(0..1)[0], NOW);
    let Outcome::Reservation { reservation, .. } = applied.outcome else { panic!("the hold is made") };
    reservation
}

fn read(bytes: Vec<u8>) -> Turn {
    Box::new(move |_| {
        let message = v1::QuoteRequest::decode(black_box(&bytes[..])).expect("a message");
        drop(black_box(from_proto::quote(message).expect("a request without faults")));
    })
}

pub fn read_quote(_: usize) -> Turn {
    read(request(false))
}

pub fn read_hold(_: usize) -> Turn {
    read(request(true))
}

pub fn write_answer(_: usize) -> Turn {
    let answer = answer();
    Box::new(move |_| drop(black_box(to_proto::quote(black_box(&answer), None).encode_to_vec())))
}

pub fn write_reservation(_: usize) -> Turn {
    let (answer, held) = (answer(), reservation());
    Box::new(move |_| drop(black_box(to_proto::quote(black_box(&answer), Some(&held)).encode_to_vec())))
}

pub fn write_stored_reservation(_: usize) -> Turn {
    let held = reservation();
    Box::new(move |_| drop(black_box(record::write_reservation(black_box(&held)))))
}

pub fn read_stored_reservation(_: usize) -> Turn {
    let bytes = record::write_reservation(&reservation());
    Box::new(move |_| drop(black_box(record::read_reservation(black_box(&bytes)).expect("a record"))))
}

pub fn write_entry(_: usize) -> Turn {
    let entry = super::view::entries(1).remove(0);
    Box::new(move |_| drop(black_box(record::write_entry(black_box(&entry), |r| record::write_reservation(r)))))
}

pub fn read_entry(_: usize) -> Turn {
    let entry = super::view::entries(1).remove(0);
    let bytes = record::write_entry(&entry, |r| record::write_reservation(r));
    Box::new(move |_| drop(black_box(record::read_entry(black_box(&bytes)).expect("a record"))))
}
