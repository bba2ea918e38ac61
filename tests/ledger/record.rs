//! The stored form: what is written is what is read, and a later version's additions are passed over.

use std::sync::Arc;

use surety::domain::answer::{Alternative, AlternativeKind, Answer, Bottleneck, Promise, Shipment, Verdict};
use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::bucket::{BucketLevel, ChannelLevel, PoolLevel, Shares};
use surety::domain::draw::{Draw, Pool};
use surety::domain::offer::{
    Advertised, ApprovedOffer, Envelope, Expected, Offer, OfferDay, OfferReport, OfferStage, Shortfall, ZoneShare,
};
use surety::domain::reservation::{self, Amendment, Fingerprint, Reservation, State};
use surety::domain::share::Share;
use surety::domain::time::{Day, Moment};
use surety::ledger::feed::{Change, Entry};
use surety::ledger::record::*;
use surety::ledger::rules::Adjustment;

use crate::dice::{Dice, seed, setting};
use crate::support::{res, rid};

fn number(d: &mut Dice) -> i64 {
    match d.below(6) {
        0 => 0,
        1 => i64::MIN,
        2 => i64::MAX,
        3 => -d.range(0, 1000),
        _ => d.next() as i64 >> d.below(60),
    }
}

fn moment(d: &mut Dice) -> Moment {
    Moment(number(d))
}

fn day(d: &mut Dice) -> Day {
    Day(number(d) as i32)
}

fn text(d: &mut Dice) -> Arc<str> {
    let words = ["", "a", "north", "Käse & Brot", "日本", "x/y", "\u{1f382}"];
    Arc::from(words[d.below(words.len() as u64) as usize])
}

fn name(d: &mut Dice) -> String {
    format!("n{}{}", d.below(99), text(d))
}

fn pool(d: &mut Dice) -> Pool {
    match d.below(3) {
        0 => Pool::Common,
        1 => Pool::Channel(text(d)),
        _ => Pool::Offer(text(d)),
    }
}

fn level(d: &mut Dice) -> BucketLevel {
    let pools = d.some(2, |d| PoolLevel {
        pool: if d.once_in(2) { Pool::Channel(text(d)) } else { Pool::Offer(text(d)) },
        set: number(d),
        used: number(d),
        release_at: moment(d),
    });
    let channels = d.some(2, |d| ChannelLevel { channel: text(d), drawn: number(d), most: d.maybe(number) });
    let any = !pools.is_empty() || !channels.is_empty();
    BucketLevel {
        set: d.maybe(number),
        held: number(d),
        confirmed: number(d),
        fulfilled: number(d),
        shares: any.then(|| Box::new(Shares { pools, channels })),
    }
}

fn share(d: &mut Dice) -> Share {
    Share::from_millionths(d.below(1_000_001) as u32)
}

fn line(d: &mut Dice) -> Line {
    Line { sku: text(d), quantity: number(d) as i32 }
}

fn ask(d: &mut Dice) -> Ask {
    Ask {
        lines: d.some(3, line),
        destination: match d.below(2) {
            0 => Destination::Zone(text(d)),
            _ => Destination::Address { country: text(d), postal_code: text(d) },
        },
        when: match d.below(5) {
            0 => When::Any,
            1 => When::ByDate(day(d)),
            2 => When::ByTime(moment(d)),
            3 => When::OnDate(day(d)),
            _ => When::InWindow { from: moment(d), to: moment(d) },
        },
        service: d.maybe(text),
        channel: d.maybe(text),
        offer: d.maybe(text),
        shipments: if d.once_in(2) { Shipments::Split } else { Shipments::Together },
        min_confidence: d.maybe(share),
    }
}

fn promise(d: &mut Dice) -> Promise {
    Promise {
        date: day(d),
        arrives_from: moment(d),
        arrives_by: moment(d),
        ships_at: moment(d),
        order_by: moment(d),
        shipments: d.some(2, |d| Shipment {
            lines: d.some(2, line),
            site: text(d),
            lane: text(d),
            ships_at: moment(d),
            arrives_by: moment(d),
            date: day(d),
        }),
        confidence: d.maybe(share),
    }
}

fn verdict(d: &mut Dice) -> Verdict {
    [Verdict::Promised, Verdict::Later, Verdict::Unavailable][d.below(3) as usize]
}

fn bottleneck(d: &mut Dice) -> Bottleneck {
    Bottleneck {
        resource: d.maybe(|d| res(&name(d))),
        site: text(d),
        from: moment(d),
        to: moment(d),
        wanted: number(d),
        available: number(d),
        explanation: text(d).to_string(),
    }
}

fn answer(d: &mut Dice) -> Answer {
    let kinds = [AlternativeKind::Fewer, AlternativeKind::Substitute, AlternativeKind::Split, AlternativeKind::Service];
    Answer {
        verdict: verdict(d),
        promise: d.maybe(|d| Arc::new(promise(d))),
        bottlenecks: d.some(2, bottleneck),
        alternatives: d.some(2, |d| Alternative {
            kind: kinds[d.below(4) as usize],
            lines: d.some(2, line),
            service: text(d),
            promise: promise(d),
        }),
        as_of: moment(d),
    }
}

fn reservation(d: &mut Dice) -> Reservation {
    let states = [State::Held, State::Confirmed, State::Released, State::Expired, State::Fulfilled];
    let first_answer = Arc::new(answer(d));
    let promise = match &first_answer.promise {
        Some(first) if d.once_in(2) => Arc::clone(first),
        _ => Arc::new(promise(d)),
    };
    Reservation {
        id: rid(&name(d)),
        state: states[d.below(5) as usize],
        ask: Arc::new(ask(d)),
        promise,
        draws: d
            .some(4, |d| Draw {
                resource: res(&name(d)),
                index: number(d) as i32,
                from: moment(d),
                to: moment(d),
                pool: pool(d),
                units: number(d),
            })
            .into(),
        created_at: moment(d),
        expires_at: moment(d),
        ended_at: d.maybe(moment),
        reference: text(d),
        at_risk: d.once_in(2),
        fixed: d.once_in(2),
        shipped_at: d.maybe(moment),
        delivered_at: d.maybe(moment),
        version: number(d),
        first_date: day(d),
        fingerprint: Fingerprint(u128::from(d.next()) << 64 | u128::from(d.next())),
        first_answer,
        amendments: d.some(2, |d| Amendment {
            request_id: (d.next() % 4 > 0).then(|| rid(&name(d))),
            fingerprint: Fingerprint(u128::from(d.next())),
            verdict: verdict(d),
            bottlenecks: d.some(2, bottleneck),
        }),
        history: d.some(3, |d| reservation::Change {
            at: moment(d),
            version: number(d),
            state: states[d.below(5) as usize],
            date: day(d),
            what: text(d),
            reason: text(d),
        }),
    }
}

fn offer(d: &mut Dice) -> ApprovedOffer {
    let advertised = if d.once_in(2) { Advertised::By(day(d)) } else { Advertised::WithinDays(number(d) as i32) };
    let orders = if d.once_in(2) { Expected::Total(number(d)) } else { Expected::EachDay(d.some(3, number)) };
    let offer = Offer {
        id: text(d),
        display_name: text(d),
        lines: d.some(2, line),
        zones: d.some(2, |d| ZoneShare { zone: text(d), billionths: d.next() as u32 }),
        service: d.maybe(text),
        channel: d.maybe(text),
        starts: day(d),
        ends: day(d),
        advertised,
        orders,
    };
    let report = OfferReport {
        verdict: verdict(d),
        orders_asked: number(d),
        orders_deliverable: number(d),
        days: d.some(3, |d| OfferDay {
            date: day(d),
            asked: number(d),
            deliverable: number(d),
            last_arrival: d.maybe(day),
            bottleneck: d.maybe(|d| res(&name(d))),
        }),
        shortfalls: d.some(2, |d| Shortfall {
            resource: res(&name(d)),
            first_date: day(d),
            last_date: day(d),
            units: number(d),
            peak_units: number(d),
        }),
        tightest_within_days: d.maybe(|d| number(d) as i32),
        deliverable_percent: number(d),
    };
    ApprovedOffer {
        offer,
        stage: if d.once_in(2) { OfferStage::Approved } else { OfferStage::Closed },
        version: number(d),
        request_id: rid(&name(d)),
        fingerprint: Fingerprint(u128::from(d.next())),
        approved_at: moment(d),
        closed_at: d.maybe(moment),
        ends_at: moment(d),
        release_hours: number(d) as i32,
        orders_set_aside: number(d),
        envelope: d.some(3, |d| Envelope { resource: res(&name(d)), index: number(d) as i32, units: number(d) }),
        report: Arc::new(report),
    }
}

fn change(d: &mut Dice) -> Change {
    match d.below(6) {
        4 => Change::Offer(Arc::new(offer(d))),
        0 => Change::Bucket { resource: res(&name(d)), index: number(d) as i32, level: level(d) },
        1 => Change::Forgotten { resource: res(&name(d)), index: number(d) as i32 },
        2 => Change::Reservation(Arc::new(reservation(d))),
        3 => Change::Undone(Arc::new(reservation(d))),
        // A document is not kept in an entry.
        _ => Change::Network { version: number(d), document: Arc::from([]), applied_at: Moment(number(d)) },
    }
}

/// A field that this version does not know, as a later one would add it.
fn with_an_addition(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend([0xf2, 0x3f, 3, b'n', b'e', b'w']); // field 1022, three bytes
    bytes
}

#[test]
fn what_is_written_is_what_is_read() {
    let mut d = Dice::seeded(seed());
    for _ in 0..setting("ROUNDS", 500) {
        let (l, r) = (level(&mut d), reservation(&mut d));
        assert_eq!(read_bucket(&write_bucket(&l)).as_ref(), Ok(&l));
        assert_eq!(read_bucket(&with_an_addition(write_bucket(&l))), Ok(l.clone()));
        let (place, index) = (res(&name(&mut d)), number(&mut d) as i32);
        let placed = with_an_addition(write_placed_bucket(&place, index, &l));
        assert_eq!(read_placed_bucket(&placed), Ok((place, index, l.clone())));
        assert_eq!(read_reservation(&write_reservation(&r)).as_ref(), Ok(&r));
        assert_eq!(read_reservation(&with_an_addition(write_reservation(&r))), Ok(r));
        let o = offer(&mut d);
        assert_eq!(read_offer(&write_offer(&o)).as_ref(), Ok(&o));
        assert_eq!(read_offer(&with_an_addition(write_offer(&o))), Ok(o));
        let (tally, sum) = (text(&mut d), number(&mut d));
        assert_eq!(read_tally(&with_an_addition(write_tally(&tally, sum))), Ok((tally, sum)));
        let entry = Entry { seq: d.next(), at: moment(&mut d), changes: d.some(5, change) };
        let bytes = write_entry(&entry, |r| write_reservation(r));
        assert_eq!(read_entry_at(&bytes), Ok(entry.at));
        assert_eq!(read_entry(&with_an_addition(bytes)), Ok(entry));
        let adjustment = Adjustment {
            request_id: rid(&name(&mut d)),
            fingerprint: Fingerprint(u128::from(d.next())),
            at: moment(&mut d),
            resource: res(&name(&mut d)),
            first: number(&mut d) as i32,
            levels: d.some(3, level).into(),
            delta: number(&mut d),
            reason: text(&mut d),
        };
        assert_eq!(read_adjustment(&write_adjustment(&adjustment)), Ok(adjustment));
        let head = NetworkHead { version: number(&mut d), parts: d.next() as u32, applied_at: Moment(number(&mut d)) };
        assert_eq!(read_head(&write_head(head)), Ok(head));
    }
}

#[test]
fn what_was_not_written_here_is_told_and_never_panics() {
    let mut d = Dice::seeded(seed());
    for _ in 0..setting("ROUNDS", 500) {
        let mut bytes = write_reservation(&reservation(&mut d));
        for _ in 0..3 {
            let at = d.below(bytes.len() as u64) as usize;
            bytes[at] = d.next() as u8;
        }
        bytes.truncate(d.range(0, bytes.len() as i64 + 1) as usize);
        // Some of it still reads; all that matters is that nothing worse comes of it.
        let _ = (read_reservation(&bytes), read_entry(&bytes), read_bucket(&bytes), read_adjustment(&bytes));
    }
    let told = read_reservation(&[]).expect_err("an empty record is none").to_string();
    assert_eq!(told, "a stored reservation can't be read: it has no first answer");
}
