//! Writes records straight from what the ledger keeps, field by field, without the messages of [`super::form`] in between: those
//! own their texts, and a hold has two dozen of them. What is written here is read by those messages, which holds both to each other.

use std::sync::Arc;

use prost::encoding::{WireType, encode_key, encode_varint};

use super::super::state::Adjustment;
use super::{state_number, verdict_number};
use crate::domain::answer::{Alternative, AlternativeKind, Answer, Bottleneck, Promise, Shipment};
use crate::domain::ask::{Ask, Destination, Line, Shipments, When};
use crate::domain::bucket::BucketLevel;
use crate::domain::draw::{Draw, Pool};
use crate::domain::id::ResourceId;
use crate::domain::reservation::{Amendment, Change, Reservation};

/// A message that is being written. Fields that are as they are when they are left out, are.
pub(super) struct Out(Vec<u8>);

impl Out {
    /// With room for so many bytes at first.
    pub fn with_room(bytes: usize) -> Out {
        Out(Vec::with_capacity(bytes))
    }

    /// Behind what there is.
    pub fn behind(bytes: Vec<u8>) -> Out {
        Out(bytes)
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, n: u64) {
        // Most numbers and all lengths of texts.
        if n < 0x80 { self.0.push(n as u8) } else { encode_varint(n, &mut self.0) }
    }

    fn key(&mut self, tag: u32, kind: WireType) {
        encode_key(tag, kind, &mut self.0);
    }

    fn number(&mut self, tag: u32, n: u64) {
        self.key(tag, WireType::Varint);
        self.varint(n);
    }

    pub fn int(&mut self, tag: u32, n: i64) {
        if n != 0 {
            self.number(tag, n as u64);
        }
    }

    pub fn uint(&mut self, tag: u32, n: u64) {
        if n != 0 {
            self.number(tag, n);
        }
    }

    fn int32(&mut self, tag: u32, n: i32) {
        self.int(tag, i64::from(n));
    }

    pub fn maybe_int(&mut self, tag: u32, n: Option<i64>) {
        if let Some(n) = n {
            self.number(tag, n as u64);
        }
    }

    fn zigzag(n: i32) -> u64 {
        u64::from(((n << 1) ^ (n >> 31)) as u32)
    }

    fn sint(&mut self, tag: u32, n: i32) {
        self.uint(tag, Self::zigzag(n));
    }

    fn maybe_sint(&mut self, tag: u32, n: Option<i32>) {
        if let Some(n) = n {
            self.number(tag, Self::zigzag(n));
        }
    }

    fn flag(&mut self, tag: u32, is_set: bool) {
        self.uint(tag, u64::from(is_set));
    }

    /// Also where it is empty.
    pub fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        self.key(tag, WireType::LengthDelimited);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, tag: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(tag, text.as_bytes());
        }
    }

    fn maybe_text(&mut self, tag: u32, text: Option<&str>) {
        if let Some(text) = text {
            self.bytes(tag, text.as_bytes());
        }
    }

    /// A message within.
    pub fn message(&mut self, tag: u32, write: impl FnOnce(&mut Out)) {
        self.key(tag, WireType::LengthDelimited);
        let at = self.0.len();
        self.0.push(0);
        write(self);
        let length = self.0.len() - at - 1;
        if length < 0x80 {
            self.0[at] = length as u8;
            return;
        }
        // It needs a longer length than there is room for: what follows moves on.
        let mut room = [0; 10];
        let mut left = &mut room[..];
        encode_varint(length as u64, &mut left);
        let used = 10 - left.len();
        self.0.splice(at..=at, room[..used].iter().copied());
    }
}

pub(super) fn line(out: &mut Out, line: &Line) {
    out.text(1, &line.sku);
    out.int32(2, line.quantity);
}

fn ask(out: &mut Out, ask: &Ask) {
    ask.lines.iter().for_each(|l| out.message(1, |out| line(out, l)));
    match &ask.destination {
        Destination::Zone(zone) => out.maybe_text(2, Some(zone)),
        Destination::Address { country, postal_code } => out.message(3, |out| {
            out.text(1, country);
            out.text(2, postal_code);
        }),
    }
    match ask.when {
        When::Any => {}
        When::ByDate(day) => out.maybe_sint(4, Some(day.0)),
        When::ByTime(at) => out.maybe_int(5, Some(at.0)),
        When::OnDate(day) => out.maybe_sint(6, Some(day.0)),
        When::InWindow { from, to } => out.message(7, |out| {
            out.int(1, from.0);
            out.int(2, to.0);
        }),
    }
    out.maybe_text(8, ask.service.as_deref());
    out.maybe_text(9, ask.channel.as_deref());
    out.maybe_text(10, ask.offer.as_deref());
    out.flag(11, ask.shipments == Shipments::Split);
    out.maybe_int(12, ask.min_confidence.map(|share| i64::from(share.millionths())));
}

fn shipment(out: &mut Out, s: &Shipment) {
    s.lines.iter().for_each(|l| out.message(1, |out| line(out, l)));
    out.text(2, &s.site);
    out.text(3, &s.lane);
    out.int(4, s.ships_at.0);
    out.int(5, s.arrives_by.0);
    out.sint(6, s.date.0);
}

fn promise(out: &mut Out, p: &Promise) {
    out.sint(1, p.date.0);
    out.int(2, p.arrives_from.0);
    out.int(3, p.arrives_by.0);
    out.int(4, p.ships_at.0);
    out.int(5, p.order_by.0);
    p.shipments.iter().for_each(|s| out.message(6, |out| shipment(out, s)));
    out.maybe_int(7, p.confidence.map(|share| i64::from(share.millionths())));
}

fn bottleneck(out: &mut Out, b: &Bottleneck) {
    out.maybe_text(1, b.resource.as_ref().map(ResourceId::as_str));
    out.text(2, &b.site);
    out.int(3, b.from.0);
    out.int(4, b.to.0);
    out.int(5, b.wanted);
    out.int(6, b.available);
    out.text(7, &b.explanation);
}

fn alternative(out: &mut Out, a: &Alternative) {
    let kind = match a.kind {
        AlternativeKind::Fewer => 1,
        AlternativeKind::Substitute => 2,
        AlternativeKind::Split => 3,
        AlternativeKind::Service => 4,
    };
    out.uint(1, kind);
    a.lines.iter().for_each(|l| out.message(2, |out| line(out, l)));
    out.text(3, &a.service);
    out.message(4, |out| promise(out, &a.promise));
}

fn answer(out: &mut Out, a: &Answer) {
    out.uint(1, u64::from(verdict_number(a.verdict)));
    if let Some(p) = &a.promise {
        out.message(2, |out| promise(out, p));
    }
    a.bottlenecks.iter().for_each(|b| out.message(3, |out| bottleneck(out, b)));
    a.alternatives.iter().for_each(|a| out.message(4, |out| alternative(out, a)));
    out.int(5, a.as_of.0);
}

fn pool(out: &mut Out, tag: u32, pool: &Pool) {
    match pool {
        Pool::Common => {}
        Pool::Channel(_) | Pool::Offer(_) => out.text(tag, &pool.to_string()),
    }
}

fn draw(out: &mut Out, d: &Draw) {
    out.text(1, d.resource.as_str());
    out.sint(2, d.index);
    out.int(3, d.from.0);
    out.int(4, d.to.0);
    pool(out, 5, &d.pool);
    out.int(6, d.units);
}

fn amendment(out: &mut Out, a: &Amendment) {
    out.text(1, a.request_id.as_ref().map_or("", |id| id.as_str()));
    out.bytes(2, &a.fingerprint.0.to_be_bytes());
    out.uint(3, u64::from(verdict_number(a.verdict)));
    a.bottlenecks.iter().for_each(|b| out.message(4, |out| bottleneck(out, b)));
}

fn history(out: &mut Out, h: &Change) {
    out.int(1, h.at.0);
    out.int(2, h.version);
    out.uint(3, u64::from(state_number(h.state)));
    out.sint(4, h.date.0);
    out.text(5, &h.what);
    out.text(6, &h.reason);
}

/// A reservation.
pub(super) fn reservation(out: &mut Out, r: &Reservation) {
    out.text(1, r.id.as_str());
    out.uint(2, u64::from(state_number(r.state)));
    out.message(3, |out| ask(out, &r.ask));
    // Until it is amended, the promise is that of the first answer; it need not be written twice.
    let first = r.first_answer.promise.as_ref();
    if !first.is_some_and(|p| Arc::ptr_eq(p, &r.promise) || **p == *r.promise) {
        out.message(4, |out| promise(out, &r.promise));
    }
    r.draws.iter().for_each(|d| out.message(5, |out| draw(out, d)));
    out.int(6, r.created_at.0);
    out.int(7, r.expires_at.0);
    out.maybe_int(8, r.ended_at.map(|at| at.0));
    out.text(9, &r.reference);
    out.flag(10, r.at_risk);
    out.int(11, r.version);
    out.sint(12, r.first_date.0);
    out.bytes(13, &r.fingerprint.0.to_be_bytes());
    out.message(14, |out| answer(out, &r.first_answer));
    r.amendments.iter().for_each(|a| out.message(15, |out| amendment(out, a)));
    r.history.iter().for_each(|h| out.message(16, |out| history(out, h)));
    out.flag(17, r.fixed);
    out.maybe_int(18, r.shipped_at.map(|at| at.0));
    out.maybe_int(19, r.delivered_at.map(|at| at.0));
}

/// A bucket.
pub(super) fn bucket(out: &mut Out, level: &BucketLevel) {
    out.maybe_int(1, level.set);
    out.int(2, level.held);
    out.int(3, level.confirmed);
    out.int(4, level.fulfilled);
    for p in level.pools() {
        out.message(5, |out| {
            pool(out, 1, &p.pool);
            out.int(3, p.set);
            out.int(4, p.used);
            out.int(5, p.release_at.0);
        });
    }
    for c in level.channels() {
        out.message(6, |out| {
            out.text(1, &c.channel);
            out.int(2, c.drawn);
            out.maybe_int(3, c.most);
        });
    }
}

/// A bucket's place, and what it holds.
pub(super) fn at(out: &mut Out, resource: &ResourceId, index: i32, level: Option<&BucketLevel>) {
    out.text(1, resource.as_str());
    out.sint(2, index);
    if let Some(level) = level {
        out.message(3, |out| bucket(out, level));
    }
}

/// An adjustment of supply.
pub(super) fn adjustment(out: &mut Out, a: &Adjustment) {
    out.text(1, a.request_id.as_str());
    out.bytes(2, &a.fingerprint.0.to_be_bytes());
    out.int(3, a.at.0);
    out.text(4, a.resource.as_str());
    out.sint(5, a.first);
    a.levels.iter().for_each(|level| out.message(6, |out| bucket(out, level)));
    out.int(7, a.delta);
    out.text(8, &a.reason);
}
