//! Words of the domain to messages. Nothing is decided here.

mod offer;
mod outcome;

use std::sync::Arc;

use pbjson_types::Timestamp;
use prost::Message;

use crate::app::request::SupplyLine;
use crate::app::response::{BucketRow, Event, EventRow};
use crate::domain::answer::{
    Alternative, AlternativeKind, Answer, Bottleneck, Promise, PromiseDate, Shipment, Verdict,
};
use crate::domain::ask::{Ask, Destination, Line, Shipments, When};
use crate::domain::draw::Draw;
use crate::domain::reservation::{Change, Reservation, State};
use crate::domain::share::Share;
use crate::domain::time::{Moment, SECOND};
use crate::proto::v1;

pub use offer::{offer, offer_report, offer_state, suggestion};
pub use outcome::{fulfilments, repromises, scorecard};

/// The last instant that a Timestamp may name, in microseconds: 9999-12-31T23:59:59.999999Z.
const LAST: i64 = 253_402_300_799_999_999;
/// The first: 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800_000_000;

/// The instant, to the microsecond. "Never" and "always" become the last and the first that a Timestamp may name.
pub fn timestamp(at: Moment) -> Timestamp {
    let at = at.0.clamp(FIRST, LAST);
    // The remainder is below a million, so its nanoseconds fit.
    Timestamp { seconds: at.div_euclid(SECOND), nanos: at.rem_euclid(SECOND) as i32 * 1_000 }
}

fn stamp(at: Moment) -> Option<Timestamp> {
    Some(timestamp(at))
}

/// The document as the ledger keeps it: the network's encoding with the fields in the order of their numbers.
pub fn network_document(network: &v1::Network) -> Arc<[u8]> {
    Arc::from(network.encode_to_vec())
}

/// The network that a document holds.
pub fn network(document: &[u8]) -> Result<v1::Network, prost::DecodeError> {
    v1::Network::decode(document)
}

/// A verdict.
pub fn verdict(verdict: Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Promised => v1::Verdict::Promised,
        Verdict::Later => v1::Verdict::Later,
        Verdict::Unavailable => v1::Verdict::Unavailable,
    }
}

/// A reservation's state.
pub fn state(state: State) -> v1::reservation::State {
    match state {
        State::Held => v1::reservation::State::Held,
        State::Confirmed => v1::reservation::State::Confirmed,
        State::Released => v1::reservation::State::Released,
        State::Expired => v1::reservation::State::Expired,
        State::Fulfilled => v1::reservation::State::Fulfilled,
    }
}

/// A quote's answer, with the reservation where capacity was held.
pub fn quote(answer: &Answer, held: Option<&Reservation>) -> v1::QuoteResponse {
    v1::QuoteResponse {
        verdict: verdict(answer.verdict).into(),
        promise: answer.promise.as_deref().map(promise),
        reservation: held.map(reservation),
        bottlenecks: answer.bottlenecks.iter().map(bottleneck).collect(),
        alternatives: answer.alternatives.iter().map(alternative).collect(),
        as_of: stamp(answer.as_of),
    }
}

/// An amendment's answer, with the reservation as it now is.
pub fn amendment(answer: Verdict, now: &Reservation, bottlenecks: &[Bottleneck]) -> v1::AmendReservationResponse {
    v1::AmendReservationResponse {
        verdict: verdict(answer).into(),
        reservation: Some(reservation(now)),
        bottlenecks: bottlenecks.iter().map(bottleneck).collect(),
    }
}

/// The reservation and its evidence.
pub fn evidence(of: &Reservation) -> v1::GetReservationResponse {
    v1::GetReservationResponse {
        reservation: Some(reservation(of)),
        draws: of.draws.iter().map(draw).collect(),
        history: of.history.iter().map(change).collect(),
    }
}

/// A reservation. `expires_at` is there only while it is held.
pub fn reservation(r: &Reservation) -> v1::Reservation {
    v1::Reservation {
        id: r.id.as_str().to_owned(),
        state: state(r.state).into(),
        ask: Some(ask(&r.ask)),
        promise: Some(promise(&r.promise)),
        created_at: stamp(r.created_at),
        expires_at: (r.state == State::Held).then(|| timestamp(r.expires_at)),
        reference: r.reference.to_string(),
        at_risk: r.at_risk,
        version: r.version,
        first_date: r.first_date.to_string(),
        fixed: r.fixed,
        shipped_at: r.shipped_at.map(timestamp),
        delivered_at: r.delivered_at.map(timestamp),
    }
}

/// A promise.
pub fn promise(p: &Promise) -> v1::Promise {
    v1::Promise {
        date: p.date.to_string(),
        arrives_from: stamp(p.arrives_from),
        arrives_by: stamp(p.arrives_by),
        ships_at: stamp(p.ships_at),
        order_by: stamp(p.order_by),
        shipments: p.shipments.iter().map(shipment).collect(),
        confidence: p.confidence.map(Share::as_f64),
    }
}

fn shipment(s: &Shipment) -> v1::Shipment {
    v1::Shipment {
        lines: lines(&s.lines),
        site: s.site.to_string(),
        lane: s.lane.to_string(),
        ships_at: stamp(s.ships_at),
        arrives_by: stamp(s.arrives_by),
        date: s.date.to_string(),
    }
}

fn lines(lines: &[Line]) -> Vec<v1::Line> {
    lines.iter().map(|line| v1::Line { sku: line.sku.to_string(), quantity: line.quantity }).collect()
}

/// What stands between the ask and a yes.
pub fn bottleneck(b: &Bottleneck) -> v1::Bottleneck {
    v1::Bottleneck {
        resource: b.resource.as_ref().map_or_else(String::new, |r| r.as_str().to_owned()),
        site: b.site.to_string(),
        from: stamp(b.from),
        to: stamp(b.to),
        wanted: b.wanted,
        available: b.available,
        explanation: b.explanation.clone(),
    }
}

fn alternative(a: &Alternative) -> v1::Alternative {
    let kind = match a.kind {
        AlternativeKind::Fewer => v1::alternative::Kind::Fewer,
        AlternativeKind::Substitute => v1::alternative::Kind::Substitute,
        AlternativeKind::Split => v1::alternative::Kind::Split,
        AlternativeKind::Service => v1::alternative::Kind::Service,
    };
    v1::Alternative {
        kind: kind.into(),
        lines: lines(&a.lines),
        service: a.service.to_string(),
        promise: Some(promise(&a.promise)),
    }
}

/// An ask, as it is kept with its reservation.
pub fn ask(a: &Ask) -> v1::Ask {
    let to = match &a.destination {
        Destination::Zone(zone) => v1::destination::To::Zone(zone.to_string()),
        Destination::Address { country, postal_code } => v1::destination::To::Address(v1::Address {
            country: country.to_string(),
            postal_code: postal_code.to_string(),
        }),
    };
    let when = match a.when {
        When::Any => None,
        When::ByDate(day) => Some(v1::ask::When::ByDate(day.to_string())),
        When::ByTime(at) => Some(v1::ask::When::ByTime(timestamp(at))),
        When::OnDate(day) => Some(v1::ask::When::OnDate(day.to_string())),
        When::InWindow { from, to } => Some(v1::ask::When::InWindow(v1::Window { from: stamp(from), to: stamp(to) })),
    };
    let shipments = match a.shipments {
        Shipments::Together => v1::ask::Shipments::Together,
        Shipments::Split => v1::ask::Shipments::Split,
    };
    let text = |name: &Option<Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
    v1::Ask {
        lines: lines(&a.lines),
        destination: Some(v1::Destination { to: Some(to) }),
        service: text(&a.service),
        channel: text(&a.channel),
        offer: text(&a.offer),
        shipments: shipments.into(),
        min_confidence: a.min_confidence.map(Share::as_f64),
        when,
    }
}

/// Units that a reservation takes.
pub fn draw(d: &Draw) -> v1::Draw {
    v1::Draw {
        resource: d.resource.as_str().to_owned(),
        from: stamp(d.from),
        to: stamp(d.to),
        units: d.units,
        pool: d.pool.to_string(),
    }
}

/// One entry of a reservation's history.
pub fn change(c: &Change) -> v1::Change {
    v1::Change {
        at: stamp(c.at),
        version: c.version,
        state: state(c.state).into(),
        date: c.date.to_string(),
        what: c.what.to_string(),
        reason: c.reason.to_string(),
    }
}

/// A date that a date picker may offer.
pub fn promise_date(d: &PromiseDate) -> v1::PromiseDate {
    v1::PromiseDate {
        date: d.date.to_string(),
        service: d.service.to_string(),
        arrives_from: stamp(d.arrives_from),
        arrives_by: stamp(d.arrives_by),
        order_by: stamp(d.order_by),
        remaining: d.remaining,
    }
}

/// A bucket. What fulfilled reservations used up counts as confirmed (rule 22), so that the numbers add up as the contract
/// says: available is supply less held, confirmed and allocated.
pub fn bucket(b: &BucketRow) -> v1::Bucket {
    let confirmed = b.level.confirmed + b.level.fulfilled;
    let allocated = b.level.set_aside(b.as_of);
    let pools = b.level.pools().iter().map(|p| v1::BucketPool {
        pool: p.pool.to_string(),
        units: p.set,
        left: p.left(b.as_of),
        // What was given up has no such instant any more, what is on hand never.
        release_at: (p.release_at > Moment(0) && p.release_at < Moment::FAR).then(|| timestamp(p.release_at)),
    });
    let channels = b.level.channels().iter().map(|c| v1::BucketChannel {
        channel: c.channel.to_string(),
        drawn: c.drawn,
        max_units: c.most,
    });
    v1::Bucket {
        resource: b.resource.as_str().to_owned(),
        from: stamp(b.from),
        to: stamp(b.to),
        supply: b.supply,
        held: b.level.held,
        confirmed,
        allocated,
        available: b.supply - b.level.held - confirmed - allocated,
        pools: pools.collect(),
        channels: channels.collect(),
    }
}

/// One thing that happened.
pub fn event(row: &EventRow) -> v1::WatchEventsResponse {
    let event = match &row.event {
        Event::Reservation(r) => v1::watch_events_response::Event::ReservationChanged(reservation(r)),
        Event::Bucket(b) => v1::watch_events_response::Event::BucketChanged(bucket(b)),
        Event::Offer(id) => v1::watch_events_response::Event::OfferChanged(id.to_string()),
        Event::Network(version) => v1::watch_events_response::Event::NetworkVersion(*version),
    };
    v1::WatchEventsResponse { cursor: row.cursor.to_string(), at: stamp(row.at), event: Some(event) }
}

/// Supply of one resource, for those who send a plan.
pub fn supply_line(line: &SupplyLine) -> v1::SupplyLine {
    v1::SupplyLine {
        resource: line.resource.as_str().to_owned(),
        start: line.start.to_string(),
        units: line.units.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bucket::BucketLevel;
    use crate::domain::draw::Pool;
    use crate::domain::id::{ReservationId, ResourceId};
    use crate::domain::reservation::Fingerprint;
    use crate::domain::time::Day;

    fn held() -> Reservation {
        let promise = Promise {
            date: Day(20_811),
            arrives_from: Moment(1),
            arrives_by: Moment(2),
            ships_at: Moment(-1),
            order_by: Moment::MAX,
            shipments: vec![],
            confidence: None,
        };
        let ask = Ask {
            lines: vec![Line { sku: "mug".into(), quantity: 1 }],
            destination: Destination::Zone("de".into()),
            when: When::Any,
            service: None,
            channel: None,
            offer: None,
            shipments: Shipments::Together,
            min_confidence: None,
        };
        let promise = Arc::new(promise);
        let answer = Answer {
            verdict: Verdict::Promised,
            promise: Some(Arc::clone(&promise)),
            bottlenecks: vec![],
            alternatives: vec![],
            as_of: Moment(5),
        };
        Reservation {
            id: ReservationId::new("r1").expect("a good id"),
            state: State::Held,
            ask: Arc::new(ask),
            promise,
            draws: Arc::from([]),
            created_at: Moment(5),
            expires_at: Moment(905 * SECOND),
            ended_at: None,
            reference: "cart".into(),
            at_risk: false,
            fixed: false,
            shipped_at: None,
            delivered_at: None,
            version: 1,
            first_date: Day(20_811),
            fingerprint: Fingerprint(1),
            first_answer: Arc::new(answer),
            amendments: vec![],
            history: vec![],
        }
    }

    #[test]
    fn instants_lose_nothing() {
        for micros in [0, 1, -1, 999_999, 1_000_000, -1_000_000, -1_000_001, 1_800_000_000_123_456, FIRST, LAST] {
            let stamp = timestamp(Moment(micros));
            assert!((0..1_000_000_000).contains(&stamp.nanos), "{micros}");
            assert_eq!(stamp.seconds * SECOND + i64::from(stamp.nanos) / 1_000, micros);
        }
        assert_eq!(timestamp(Moment::MAX), timestamp(Moment(LAST)));
        assert_eq!(timestamp(Moment::MIN), timestamp(Moment(FIRST)));
        // Which is what proto-JSON can still print.
        let json = serde_json::to_string(&timestamp(Moment::MAX)).expect("printable");
        assert!(json.starts_with("\"9999-12-31T23:59:59.999999"), "{json}");
    }

    #[test]
    fn only_what_is_held_expires() {
        let mut r = held();
        assert_eq!(reservation(&r).expires_at, Some(Timestamp { seconds: 905, nanos: 0 }));
        for state in [State::Confirmed, State::Released, State::Expired, State::Fulfilled] {
            r.state = state;
            assert_eq!(reservation(&r).expires_at, None, "{state:?}");
        }
        let answer = quote(&r.first_answer, Some(&r));
        assert_eq!(answer.verdict(), v1::Verdict::Promised);
        assert_eq!(answer.reservation.map(|r| r.state()), Some(v1::reservation::State::Fulfilled));
    }

    #[test]
    fn a_buckets_numbers_add_up() {
        let mut level = BucketLevel { set: Some(10), held: 3, confirmed: 2, fulfilled: 5, shares: None };
        let pool = level.pool_mut(&Pool::Channel("vip".into()));
        (pool.set, pool.used, pool.release_at) = (6, 2, Moment(100));
        let resource = ResourceId::new("lej.pack").expect("a good id");
        let row = BucketRow { resource, from: Moment(0), to: Moment(1), supply: 10, level, as_of: Moment(99) };
        let b = bucket(&row);
        assert_eq!((b.supply, b.held, b.confirmed, b.allocated, b.available), (10, 3, 7, 4, -4));
        assert_eq!(b.available, row.level.balance(10, Moment(99)), "rule 3");
    }

    #[test]
    fn events_carry_their_cursor() {
        let row = EventRow { cursor: 17, at: Moment(1_000_000), event: Event::Reservation(Arc::new(held())) };
        let message = event(&row);
        assert_eq!((message.cursor.as_str(), message.at.map(|t| t.seconds)), ("17", Some(1)));
        assert!(matches!(message.event, Some(v1::watch_events_response::Event::ReservationChanged(_))));
    }
}
