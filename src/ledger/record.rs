//! The stored form of what a ledger keeps: protobuf messages of the ledger's own, apart from the contract. Tags are never used
//! again for something else and unknown fields are passed over, so that two versions of the service can share a store.

mod form;
mod offer;
mod write;

use std::sync::Arc;

use prost::Message;

use crate::domain::answer::{Alternative, AlternativeKind, Answer, Bottleneck, Promise, Shipment, Verdict};
use crate::domain::ask::{Ask, Destination, Line, Shipments, When};
use crate::domain::bucket::{BucketLevel, ChannelLevel, PoolLevel, Shares};
use crate::domain::draw::{Draw, Pool};
use crate::domain::id::{ReservationId, ResourceId};
use crate::domain::reservation::{self, Amendment, Fingerprint, Reservation, State};
use crate::domain::share::Share;
use crate::domain::time::{Day, Moment};

pub use offer::{read_offer, write_offer};
use write::Out;

use super::feed::{Change, Entry};
use super::state::Adjustment;

/// A stored record that can't be read: the store is damaged or was written by something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored {what} can't be read: {why}")]
pub struct Unreadable {
    /// What it was to be.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: String,
}

/// What most reservations need.
const RESERVATION_BYTES: usize = 512;

type Read<T> = Result<T, Unreadable>;

fn wrong<T>(what: &'static str, why: impl Into<String>) -> Read<T> {
    Err(Unreadable { what, why: why.into() })
}

fn decode<M: Message + Default>(what: &'static str, bytes: &[u8]) -> Read<M> {
    M::decode(bytes).map_err(|e| Unreadable { what, why: e.to_string() })
}

fn needed<T>(what: &'static str, field: &str, value: Option<T>) -> Read<T> {
    value.ok_or_else(|| Unreadable { what, why: format!("it has no {field}") })
}

/// A network's place in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkHead {
    /// The version of its document; 0: none was applied yet.
    pub version: i64,
    /// Parts that the document was stored in.
    pub parts: u32,
    /// When it was applied.
    pub applied_at: Moment,
}

/// Writes a network's head.
pub fn write_head(head: NetworkHead) -> Vec<u8> {
    form::Head { version: head.version, parts: head.parts, applied_at: head.applied_at.0 }.encode_to_vec()
}

/// Reads a network's head.
pub fn read_head(bytes: &[u8]) -> Read<NetworkHead> {
    let form::Head { version, parts, applied_at } = decode("network", bytes)?;
    Ok(NetworkHead { version, parts, applied_at: Moment(applied_at) })
}

/// Writes a bucket.
pub fn write_bucket(level: &BucketLevel) -> Vec<u8> {
    let mut out = Out::with_room(32);
    write::bucket(&mut out, level);
    out.into_bytes()
}

/// Reads a bucket.
pub fn read_bucket(bytes: &[u8]) -> Read<BucketLevel> {
    bucket(decode("bucket", bytes)?)
}

/// Writes a bucket with its place, for where no key has it.
pub fn write_placed_bucket(resource: &ResourceId, index: i32, level: &BucketLevel) -> Vec<u8> {
    let mut out = Out::with_room(64);
    write::at(&mut out, resource, index, Some(level));
    out.into_bytes()
}

/// Reads a bucket with its place.
pub fn read_placed_bucket(bytes: &[u8]) -> Read<(ResourceId, i32, BucketLevel)> {
    let at: form::At = decode("bucket", bytes)?;
    Ok((resource(&at.resource), at.index, bucket(at.level.unwrap_or_default())?))
}

/// Writes a reservation.
pub fn write_reservation(r: &Reservation) -> Vec<u8> {
    append_reservation(Vec::with_capacity(RESERVATION_BYTES), r)
}

/// The same, behind what there is.
pub fn append_reservation(bytes: Vec<u8>, r: &Reservation) -> Vec<u8> {
    let mut out = Out::behind(bytes);
    write::reservation(&mut out, r);
    out.into_bytes()
}

/// Reads a reservation.
pub fn read_reservation(bytes: &[u8]) -> Read<Reservation> {
    reservation_of(decode("reservation", bytes)?)
}

/// Writes a tally, for where no key has its name.
pub fn write_tally(name: &str, number: i64) -> Vec<u8> {
    form::Tally { name: text(name), number }.encode_to_vec()
}

/// Reads a tally.
pub fn read_tally(bytes: &[u8]) -> Read<(Arc<str>, i64)> {
    let form::Tally { name, number } = decode("tally", bytes)?;
    Ok((name.into(), number))
}

/// Writes an entry of the feed. `reservation` gives a reservation's own record, where that was made already.
pub fn write_entry(entry: &Entry, mut reservation: impl FnMut(&Arc<Reservation>) -> Vec<u8>) -> Vec<u8> {
    let mut out = Out::with_room(2 * RESERVATION_BYTES);
    out.uint(1, entry.seq);
    out.int(2, entry.at.0);
    for change in &entry.changes {
        out.message(3, |out| match change {
            Change::Bucket { resource, index, level } => {
                out.message(1, |out| write::at(out, resource, *index, Some(level)));
            }
            Change::Forgotten { resource, index } => out.message(2, |out| write::at(out, resource, *index, None)),
            Change::Reservation(r) => out.bytes(3, &reservation(r)),
            Change::Undone(r) => out.bytes(4, &reservation(r)),
            Change::Network { version, applied_at, .. } => {
                out.maybe_int(5, Some(*version));
                out.maybe_int(6, Some(applied_at.0));
            }
            Change::Offer(o) => out.bytes(7, &write_offer(o)),
        });
    }
    out.into_bytes()
}

/// Reads an entry of the feed; documents of networks are empty in it.
pub fn read_entry(bytes: &[u8]) -> Read<Entry> {
    let f: form::Entry = decode("entry of the feed", bytes)?;
    let mut changes = Vec::with_capacity(f.changes.len());
    for c in f.changes {
        if let Some(at) = c.bucket {
            let level = bucket(at.level.unwrap_or_default())?;
            changes.push(Change::Bucket { resource: resource(&at.resource), index: at.index, level });
        } else if let Some(at) = c.forgotten {
            changes.push(Change::Forgotten { resource: resource(&at.resource), index: at.index });
        } else if let Some(bytes) = c.reservation {
            changes.push(Change::Reservation(Arc::new(read_reservation(&bytes)?)));
        } else if let Some(bytes) = c.undone {
            changes.push(Change::Undone(Arc::new(read_reservation(&bytes)?)));
        } else if let Some(o) = c.offer {
            changes.push(Change::Offer(Arc::new(offer::of_form(o)?)));
        } else if let Some(version) = c.network {
            changes.push(Change::Network {
                version,
                document: Arc::from([]),
                applied_at: Moment(c.applied_at.unwrap_or_default()),
            });
        }
        // Else a later version's kind of change, which this one has no word for.
    }
    Ok(Entry { seq: f.seq, at: Moment(f.at), changes })
}

/// The instant of a stored entry, without reading the rest of it.
pub fn read_entry_at(bytes: &[u8]) -> Read<Moment> {
    let f: form::EntryAt = decode("entry of the feed", bytes)?;
    Ok(Moment(f.at))
}

/// Writes an adjustment.
pub fn write_adjustment(a: &Adjustment) -> Vec<u8> {
    let mut out = Out::with_room(RESERVATION_BYTES);
    write::adjustment(&mut out, a);
    out.into_bytes()
}

/// Reads an adjustment.
pub fn read_adjustment(bytes: &[u8]) -> Read<Adjustment> {
    let f: form::Adjustment = decode("adjustment", bytes)?;
    Ok(Adjustment {
        request_id: id(&f.request_id),
        fingerprint: fingerprint(&f.fingerprint)?,
        at: Moment(f.at),
        resource: resource(&f.resource),
        first: f.first,
        levels: f.levels.into_iter().map(bucket).collect::<Read<Vec<_>>>()?.into(),
        delta: f.delta,
        reason: f.reason.into(),
    })
}

fn text(s: &str) -> String {
    s.to_owned()
}

fn id(s: &str) -> ReservationId {
    ReservationId::from(Arc::from(s))
}

fn resource(s: &str) -> ResourceId {
    ResourceId::from(Arc::from(s))
}

fn fingerprint(bytes: &[u8]) -> Read<Fingerprint> {
    match bytes.try_into() {
        Ok(bytes) => Ok(Fingerprint(u128::from_be_bytes(bytes))),
        Err(_) => wrong("fingerprint", format!("it has {} bytes, not 16", bytes.len())),
    }
}

fn pool(s: &str) -> Read<Pool> {
    match Pool::parse(s) {
        Some(pool) => Ok(pool),
        None => wrong("pool", format!("'{s}' names none")),
    }
}

fn bucket(f: form::Bucket) -> Read<BucketLevel> {
    let pools = (f.pools.iter())
        .map(|p| Ok(PoolLevel { pool: pool(&p.pool)?, set: p.set, used: p.used, release_at: Moment(p.release_at) }))
        .collect::<Read<Vec<PoolLevel>>>()?;
    let channels: Vec<ChannelLevel> = (f.channels.into_iter())
        .map(|c| ChannelLevel { channel: c.channel.into(), drawn: c.drawn, most: c.most })
        .collect();
    let any = !pools.is_empty() || !channels.is_empty();
    Ok(BucketLevel {
        set: f.set,
        held: f.held,
        confirmed: f.confirmed,
        fulfilled: f.fulfilled,
        shares: any.then(|| Box::new(Shares { pools, channels })),
    })
}

fn line_form(line: &Line) -> form::Line {
    form::Line { sku: text(&line.sku), quantity: line.quantity }
}

fn lines(f: Vec<form::Line>) -> Vec<Line> {
    f.into_iter().map(|l| Line { sku: l.sku.into(), quantity: l.quantity }).collect()
}

fn ask_of(f: form::Ask) -> Read<Ask> {
    let destination = match (f.zone, f.address) {
        (Some(zone), _) => Destination::Zone(zone.into()),
        (None, Some(a)) => Destination::Address { country: a.country.into(), postal_code: a.postal_code.into() },
        (None, None) => return wrong("ask", "it has no destination"),
    };
    let when = match (f.by_date, f.by_time, f.on_date, f.in_window) {
        (Some(day), ..) => When::ByDate(Day(day)),
        (_, Some(at), ..) => When::ByTime(Moment(at)),
        (_, _, Some(day), _) => When::OnDate(Day(day)),
        (.., Some(w)) => When::InWindow { from: Moment(w.from), to: Moment(w.to) },
        (None, None, None, None) => When::Any,
    };
    Ok(Ask {
        lines: lines(f.lines),
        destination,
        when,
        service: f.service.map(Arc::from),
        channel: f.channel.map(Arc::from),
        offer: f.offer.map(Arc::from),
        shipments: if f.split { Shipments::Split } else { Shipments::Together },
        min_confidence: f.min_confidence.map(Share::from_millionths),
    })
}

fn promise_of(f: form::Promise) -> Promise {
    let shipments = f.shipments.into_iter().map(|s| Shipment {
        lines: lines(s.lines),
        site: s.site.into(),
        lane: s.lane.into(),
        ships_at: Moment(s.ships_at),
        arrives_by: Moment(s.arrives_by),
        date: Day(s.date),
    });
    Promise {
        date: Day(f.date),
        arrives_from: Moment(f.arrives_from),
        arrives_by: Moment(f.arrives_by),
        ships_at: Moment(f.ships_at),
        order_by: Moment(f.order_by),
        shipments: shipments.collect(),
        confidence: f.confidence.map(Share::from_millionths),
    }
}

fn verdict_number(v: Verdict) -> u32 {
    match v {
        Verdict::Promised => 1,
        Verdict::Later => 2,
        Verdict::Unavailable => 3,
    }
}

fn verdict_of(n: u32) -> Read<Verdict> {
    match n {
        1 => Ok(Verdict::Promised),
        2 => Ok(Verdict::Later),
        3 => Ok(Verdict::Unavailable),
        _ => wrong("verdict", format!("{n} is none")),
    }
}

fn bottleneck_of(f: form::Bottleneck) -> Bottleneck {
    Bottleneck {
        resource: f.resource.as_deref().map(resource),
        site: f.site.into(),
        from: Moment(f.from),
        to: Moment(f.to),
        wanted: f.wanted,
        available: f.available,
        explanation: f.explanation,
    }
}

fn alternative_of(f: form::Alternative) -> Read<Alternative> {
    Ok(Alternative {
        kind: match f.kind {
            1 => AlternativeKind::Fewer,
            2 => AlternativeKind::Substitute,
            3 => AlternativeKind::Split,
            4 => AlternativeKind::Service,
            n => return wrong("alternative", format!("{n} is no kind")),
        },
        lines: lines(f.lines),
        service: f.service.into(),
        promise: promise_of(needed("alternative", "promise", f.promise)?),
    })
}

fn answer_of(f: form::Answer) -> Read<Answer> {
    Ok(Answer {
        verdict: verdict_of(f.verdict)?,
        promise: f.promise.map(|p| Arc::new(promise_of(p))),
        bottlenecks: f.bottlenecks.into_iter().map(bottleneck_of).collect(),
        alternatives: f.alternatives.into_iter().map(alternative_of).collect::<Read<_>>()?,
        as_of: Moment(f.as_of),
    })
}

fn state_number(s: State) -> u32 {
    match s {
        State::Held => 1,
        State::Confirmed => 2,
        State::Released => 3,
        State::Expired => 4,
        State::Fulfilled => 5,
    }
}

fn state_of(n: u32) -> Read<State> {
    match n {
        1 => Ok(State::Held),
        2 => Ok(State::Confirmed),
        3 => Ok(State::Released),
        4 => Ok(State::Expired),
        5 => Ok(State::Fulfilled),
        _ => wrong("state", format!("{n} is none")),
    }
}

fn draw_of(f: form::Draw) -> Read<Draw> {
    Ok(Draw {
        resource: resource(&f.resource),
        index: f.index,
        from: Moment(f.from),
        to: Moment(f.to),
        pool: pool(&f.pool)?,
        units: f.units,
    })
}

fn reservation_of(f: form::Reservation) -> Read<Reservation> {
    const WHAT: &str = "reservation";
    let first_answer = answer_of(needed(WHAT, "first answer", f.first_answer)?)?;
    let promise = match f.promise {
        Some(p) => Arc::new(promise_of(p)),
        None => needed(WHAT, "promise", first_answer.promise.clone())?,
    };
    let amendments = f.amendments.into_iter().map(|a| {
        Ok(Amendment {
            request_id: (!a.request_id.is_empty()).then(|| id(&a.request_id)),
            fingerprint: fingerprint(&a.fingerprint)?,
            verdict: verdict_of(a.verdict)?,
            bottlenecks: a.bottlenecks.into_iter().map(bottleneck_of).collect(),
        })
    });
    let history = f.history.into_iter().map(|h| {
        Ok(reservation::Change {
            at: Moment(h.at),
            version: h.version,
            state: state_of(h.state)?,
            date: Day(h.date),
            what: h.what.into(),
            reason: h.reason.into(),
        })
    });
    Ok(Reservation {
        id: id(&f.id),
        state: state_of(f.state)?,
        ask: Arc::new(ask_of(needed(WHAT, "ask", f.ask)?)?),
        promise,
        draws: f.draws.into_iter().map(draw_of).collect::<Read<Vec<Draw>>>()?.into(),
        created_at: Moment(f.created_at),
        expires_at: Moment(f.expires_at),
        ended_at: f.ended_at.map(Moment),
        reference: f.reference.into(),
        at_risk: f.at_risk,
        fixed: f.fixed,
        shipped_at: f.shipped_at.map(Moment),
        delivered_at: f.delivered_at.map(Moment),
        version: f.version,
        first_date: Day(f.first_date),
        fingerprint: fingerprint(&f.fingerprint)?,
        first_answer: Arc::new(first_answer),
        amendments: amendments.collect::<Read<_>>()?,
        history: history.collect::<Read<_>>()?,
    })
}
