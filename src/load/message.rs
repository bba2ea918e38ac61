//! Requests, put together from parts that were encoded before the run: a message's fields are bytes in a row, so an ask of any
//! product costs a few copies. What the generator does for a call must be little beside what the server does.

use prost::Message;
use prost::bytes::{Bytes, BytesMut};
use prost::encoding::encode_varint;

use super::ground::Ground;
use super::plan::{Land, Plan};
use crate::proto::v1;

/// Wire tags: field number and type "length-delimited".
const fn tag(field: u8) -> u8 {
    field << 3 | 2
}

/// `QuoteRequest.request_id`, and `id` of confirmations and releases.
const ID: u8 = tag(1);
/// `QuoteRequest.ask`.
const QUOTE_ASK: u8 = tag(2);
/// `ListPromiseDatesRequest.ask`.
const DATES_ASK: u8 = tag(1);

/// The parts of requests.
#[derive(Clone, Debug)]
pub struct Parts {
    /// `Ask.lines` of each product, with one item.
    lines: Vec<Bytes>,
    /// The rest of an ask to each zone.
    rests: Vec<Bytes>,
    /// The rest of a request for a hold.
    hold: Bytes,
    /// The high half of all ids of this run.
    run: u64,
}

impl Parts {
    /// The parts of a run, whose ids all begin with `run`.
    pub fn new(plan: &Plan, ground: &Ground, run: u64) -> Self {
        let line =
            |sku: &String| v1::Ask { lines: vec![v1::Line { sku: sku.clone(), quantity: 1 }], ..Default::default() };
        let rest = |zone: &String| v1::Ask {
            destination: Some(v1::Destination { to: Some(v1::destination::To::Zone(zone.clone())) }),
            when: Some(v1::ask::When::ByDate(ground.by.to_string())),
            service: if plan.land == Land::AsIs { String::new() } else { "standard".to_owned() },
            ..Default::default()
        };
        let seconds = i64::try_from(plan.hold_for.as_secs()).unwrap_or(i64::MAX);
        let nanos = i32::try_from(plan.hold_for.subsec_nanos()).unwrap_or(0);
        let hold = Some(pbjson_types::Duration { seconds, nanos });
        let encoded = |message: v1::Ask| Bytes::from(message.encode_to_vec());
        Self {
            lines: ground.skus.iter().map(|sku| encoded(line(sku))).collect(),
            rests: ground.zones.iter().map(|zone| encoded(rest(zone))).collect(),
            hold: v1::QuoteRequest { hold, ..Default::default() }.encode_to_vec().into(),
            run,
        }
    }

    /// The id of the hold with this number: a UUID.
    pub fn id(&self, number: u64) -> String {
        uuid::Uuid::from_u64_pair(self.run, number).to_string()
    }

    fn put_id(&self, into: &mut BytesMut, number: u64) {
        let id = uuid::Uuid::from_u64_pair(self.run, number);
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        put(into, ID, id.hyphenated().encode_lower(&mut text).as_bytes());
    }

    fn put_ask(&self, into: &mut BytesMut, field: u8, products: &[usize], zone: usize) {
        let rest = &self.rests[zone];
        let length: usize = products.iter().map(|product| self.lines[*product].len()).sum::<usize>() + rest.len();
        into.extend_from_slice(&[field]);
        encode_varint(length as u64, into);
        products.iter().for_each(|product| into.extend_from_slice(&self.lines[*product]));
        into.extend_from_slice(rest);
    }

    /// A quote that takes nothing.
    pub fn quote(&self, products: &[usize], zone: usize) -> Bytes {
        let mut into = BytesMut::with_capacity(128);
        self.put_ask(&mut into, QUOTE_ASK, products, zone);
        into.freeze()
    }

    /// A hold with this number.
    pub fn hold(&self, number: u64, products: &[usize], zone: usize) -> Bytes {
        let mut into = BytesMut::with_capacity(160);
        self.put_id(&mut into, number);
        self.put_ask(&mut into, QUOTE_ASK, products, zone);
        into.extend_from_slice(&self.hold);
        into.freeze()
    }

    /// A list of dates.
    pub fn dates(&self, products: &[usize], zone: usize) -> Bytes {
        let mut into = BytesMut::with_capacity(128);
        self.put_ask(&mut into, DATES_ASK, products, zone);
        into.freeze()
    }

    /// A confirmation or release of the hold with this number.
    pub fn named(&self, number: u64) -> Bytes {
        let mut into = BytesMut::with_capacity(40);
        self.put_id(&mut into, number);
        into.freeze()
    }
}

fn put(into: &mut BytesMut, field: u8, bytes: &[u8]) {
    into.extend_from_slice(&[field]);
    encode_varint(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::load::ground;
    use crate::load::plan::tests::plan;

    #[test]
    fn parts_put_together_are_the_messages_of_the_contract() {
        let ground = Ground {
            made: true,
            skus: vec![ground::sku(0), ground::sku(1)],
            zones: vec!["a".to_owned(), "b".to_owned()],
            sites: Vec::new(),
            version: 1,
            today: date(2026, 12, 1),
            by: date(2026, 12, 14),
            answer_bytes: 0,
        };
        let parts = Parts::new(&plan(), &ground, 7);
        let hold = v1::QuoteRequest::decode(parts.hold(9, &[1, 0], 1)).unwrap();
        assert_eq!(hold.request_id, parts.id(9));
        assert_eq!(hold.request_id, "00000000-0000-0007-0000-000000000009");
        assert_eq!(hold.hold, Some(pbjson_types::Duration { seconds: 60, nanos: 0 }));
        let ask = hold.ask.unwrap();
        let skus: Vec<_> = ask.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
        assert_eq!(skus, [("sku-0000001", 1), ("sku-0000000", 1)]);
        assert_eq!(ask.when, Some(v1::ask::When::ByDate("2026-12-14".to_owned())));
        assert_eq!(ask.destination.as_ref().unwrap().to, Some(v1::destination::To::Zone("b".to_owned())));
        let quote = v1::QuoteRequest::decode(parts.quote(&[1, 0], 1)).unwrap();
        assert_eq!(quote, v1::QuoteRequest { ask: Some(ask.clone()), ..Default::default() });
        let dates = v1::ListPromiseDatesRequest::decode(parts.dates(&[1, 0], 1)).unwrap();
        assert_eq!(dates.ask, Some(ask));
        let confirm = v1::ConfirmReservationRequest::decode(parts.named(9)).unwrap();
        assert_eq!(confirm, v1::ConfirmReservationRequest { id: parts.id(9), ..Default::default() });
        assert_eq!(v1::ReleaseReservationRequest::decode(parts.named(9)).unwrap().id, parts.id(9));
    }
}
