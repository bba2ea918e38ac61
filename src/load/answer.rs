//! Answers, read no further than the run needs: what is not named here is passed over without a copy.
//!
//! The fields are those of `surety/v1/promise.proto`; tests hold them equal to it.

use jiff::civil::Date;
use prost::Message;
use prost::bytes::Bytes;

/// Of a `QuoteResponse` that takes nothing.
#[derive(Clone, PartialEq, Message)]
pub struct Judged {
    /// Yes, later, or no.
    #[prost(enumeration = "crate::proto::v1::Verdict", tag = "1")]
    pub verdict: i32,
    /// A reservation, which there should be none of.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub reservation: Option<Bytes>,
}

/// Of a `QuoteResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Quoted {
    /// Yes, later, or no.
    #[prost(enumeration = "crate::proto::v1::Verdict", tag = "1")]
    pub verdict: i32,
    /// What was promised.
    #[prost(message, optional, tag = "2")]
    pub promise: Option<Promised>,
    /// The reservation, in the form in which it came.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub reservation: Option<Bytes>,
}

/// Of a `Promise`.
#[derive(Clone, PartialEq, Message)]
pub struct Promised {
    /// What arrives together.
    #[prost(message, repeated, tag = "6")]
    pub shipments: Vec<Shipped>,
}

/// Of a `Shipment`.
#[derive(Clone, PartialEq, Message)]
pub struct Shipped {
    /// What is in it.
    #[prost(message, repeated, tag = "1")]
    pub lines: Vec<Part>,
    /// The day of arrival.
    #[prost(string, tag = "6")]
    pub date: String,
}

/// Of a `Line`.
#[derive(Clone, PartialEq, Message)]
pub struct Part {
    /// The product.
    #[prost(bytes = "bytes", tag = "1")]
    pub sku: Bytes,
    /// Items.
    #[prost(int32, tag = "2")]
    pub quantity: i32,
}

/// Of a `ListPromiseDatesResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Listed {
    /// The dates, in the form in which they came.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub dates: Vec<Bytes>,
}

impl Shipped {
    /// The day of arrival, if it is one.
    pub fn day(&self) -> Option<Date> {
        self.date.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;

    #[test]
    fn the_fields_are_those_of_the_contract() {
        let line = v1::Line { sku: "sku-3".to_owned(), quantity: 2 };
        let shipment = v1::Shipment { lines: vec![line], date: "2026-12-02".to_owned(), ..Default::default() };
        let promise = v1::Promise { date: "2026-12-03".to_owned(), shipments: vec![shipment], ..Default::default() };
        let answer = v1::QuoteResponse {
            verdict: v1::Verdict::Later.into(),
            promise: Some(promise),
            reservation: Some(v1::Reservation { id: "r".to_owned(), ..Default::default() }),
            ..Default::default()
        };
        let read = Quoted::decode(answer.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read.verdict(), v1::Verdict::Later);
        assert!(read.reservation.is_some());
        let judged = Judged::decode(answer.encode_to_vec().as_slice()).unwrap();
        assert_eq!((judged.verdict(), judged.reservation.is_some()), (v1::Verdict::Later, true));
        let shipped = &read.promise.unwrap().shipments[0];
        assert_eq!(shipped.day(), Some(jiff::civil::date(2026, 12, 2)));
        assert_eq!((&shipped.lines[0].sku[..], shipped.lines[0].quantity), (&b"sku-3"[..], 2));
        let dates = v1::ListPromiseDatesResponse { dates: vec![v1::PromiseDate::default(); 3] };
        assert_eq!(Listed::decode(dates.encode_to_vec().as_slice()).unwrap().dates.len(), 3);
    }
}
