//! What is stored of a bucket and of a reservation: short forms that scripts can read, around records that they can't.

use std::sync::Arc;

use super::super::record::{self, Unreadable};
use super::super::rules::Adjustment;
use super::super::{tally, transition};
use super::keys;
use crate::domain::bucket::{BucketLevel, ChannelLevel, PoolLevel, Shares};
use crate::domain::draw::Pool;
use crate::domain::offer::{ApprovedOffer, OfferStage};
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::Moment;

/// "Now", in a reservation that is on its way: only the store knows when that is. A script stamps what it writes, and who reads
/// puts the stamp in the place of this, and of instants counted from this.
pub const UNNAMED: Moment = Moment(-(1 << 61));

/// Bytes that tell one version of a stored reservation from every other: stamp, mark, letter, version. The stamp alone would not do:
/// clocks stand still.
pub const TOKEN_BYTES: usize = 44;
const STAMP_BYTES: usize = 16;
const LETTER: usize = STAMP_BYTES + MARK_BYTES;
const VERSION_BYTES: usize = TOKEN_BYTES - LETTER - 1;
/// Digits of a mark: the number of the call that wrote it.
pub const MARK_BYTES: usize = 19;
const FINGERPRINT: std::ops::Range<usize> = TOKEN_BYTES..TOKEN_BYTES + 16;
const DRAWS: usize = FINGERPRINT.end;

/// Tells one version of a stored reservation from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub [u8; TOKEN_BYTES]);

/// A stored reservation.
#[derive(Clone, Debug)]
pub struct Stored {
    /// As it is.
    pub reservation: Arc<Reservation>,
    /// Its version in the store.
    pub token: Token,
    /// Whether somebody may rely on it beyond the call that made it.
    pub told: bool,
}

fn unreadable<T>(what: &'static str, why: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable { what, why: why.into() })
}

/// An instant that may be counted from [`UNNAMED`], named.
fn named(at: Moment, stamp: Moment) -> Moment {
    if at.0 < UNNAMED.0 / 2 { Moment(stamp.0 + (at.0 - UNNAMED.0)) } else { at }
}

/// Puts the instant of the store in the place of [`UNNAMED`].
pub fn name_instants(r: &mut Reservation, stamp: Moment) {
    r.created_at = named(r.created_at, stamp);
    r.expires_at = named(r.expires_at, stamp);
    r.ended_at = r.ended_at.map(|at| named(at, stamp));
    for change in &mut r.history {
        change.at = named(change.at, stamp);
    }
}

fn letter(state: State) -> u8 {
    match state {
        State::Held => b'H',
        State::Confirmed => b'C',
        State::Released => b'R',
        State::Expired => b'E',
        State::Fulfilled => b'F',
    }
}

/// What is stored of a reservation, but for the stamp that comes before it.
pub fn write_reservation(r: &Reservation) -> Vec<u8> {
    let mut out = Vec::with_capacity(768);
    out.push(letter(r.state));
    out.extend_from_slice(&version(r));
    out.extend_from_slice(&r.fingerprint.0.to_be_bytes());
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    if r.state == State::Held {
        write_end(&mut out, r);
    }
    let size = (out.len() - begin - 4) as u32;
    out[begin..begin + 4].copy_from_slice(&size.to_be_bytes());
    record::append_reservation(out, r)
}

/// A number in as many digits as there is room for; none: it takes more.
fn digits<const N: usize>(n: u64) -> Option<[u8; N]> {
    let mut rest = n;
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        // The remainder is below ten.
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    (rest == 0).then_some(digits)
}

/// What a script does when the hold ends: by which channel its draws go back, what is counted, and which draws those are.
fn write_end(out: &mut Vec<u8>, r: &Reservation) {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    };
    text(out, r.ask.channel.as_deref().unwrap_or_default());
    let tallies = tally::when_expired(r);
    debug_assert!(tallies.len() <= usize::from(u8::MAX), "an end counts a thing or two");
    out.push(tallies.len() as u8);
    for (name, by) in &tallies {
        text(out, name);
        out.extend_from_slice(&by.to_be_bytes());
    }
    for d in r.draws.iter() {
        text(out, &keys::bucket(&d.resource, d.index));
        match &d.pool {
            Pool::Common => out.push(0),
            pool @ (Pool::Channel(_) | Pool::Offer(_)) => text(out, &pool.to_string()),
        }
        out.extend_from_slice(&d.units.to_be_bytes());
    }
}

/// What is stored of a reservation from elsewhere, whole. Nobody knows who was told of it, so it counts as told.
pub fn write_settled(r: &Reservation, stamp: Moment, mark: u64) -> Vec<u8> {
    let mut out = format!("{:016}{mark:019}", stamp.0).into_bytes();
    out.extend_from_slice(&write_reservation(r));
    if r.state == State::Held {
        out[LETTER] = b'T';
    }
    out
}

/// The reservation's version, in digits.
fn version(r: &Reservation) -> [u8; VERSION_BYTES] {
    u64::try_from(r.version).ok().and_then(digits).unwrap_or([b'9'; VERSION_BYTES])
}

/// The token of a reservation that the call `mark` wrote at `stamp`.
pub fn token(r: &Reservation, stamp: Moment, mark: u64) -> Token {
    let parts = || {
        let stamp = digits::<STAMP_BYTES>(u64::try_from(stamp.0).ok()?)?;
        let mark = digits::<MARK_BYTES>(mark)?;
        let mut token = [0; TOKEN_BYTES];
        let (head, rest) = token.split_at_mut(LETTER);
        head[..STAMP_BYTES].copy_from_slice(&stamp);
        head[STAMP_BYTES..].copy_from_slice(&mark);
        rest[0] = letter(r.state);
        rest[1..].copy_from_slice(&version(r));
        Some(token)
    };
    // That of no reservation that is stored.
    Token(parts().unwrap_or([0; TOKEN_BYTES]))
}

/// Reads a stored reservation.
pub fn read_reservation(value: &[u8]) -> Result<Stored, Unreadable> {
    const WHAT: &str = "reservation";
    let Some(head) = value.first_chunk::<TOKEN_BYTES>() else { return unreadable(WHAT, "it is cut short") };
    let stamp = std::str::from_utf8(&head[..STAMP_BYTES]).ok().and_then(|text| text.parse().ok()).map(Moment);
    let Some(stamp) = stamp else { return unreadable(WHAT, "it has no stamp") };
    let size = value.get(DRAWS..DRAWS + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let body = size.and_then(|size| value.get(DRAWS + 4 + size as usize..));
    let Some(body) = body else { return unreadable(WHAT, "its draws are cut short") };
    let mut reservation = record::read_reservation(body)?;
    name_instants(&mut reservation, stamp);
    let state = head[LETTER];
    // A script that gives back what is due writes the letter alone.
    if state == b'E' && reservation.state == State::Held {
        reservation = transition::expired(&reservation);
    }
    let told = state == b'T';
    let within = letter(reservation.state);
    if state != within && !(told && within == b'H') {
        let (state, within) = (char::from(state), char::from(within));
        return unreadable(WHAT, format!("its state is '{state}' without and '{within}' within"));
    }
    Ok(Stored { reservation: Arc::new(reservation), token: Token(*head), told })
}

/// What is stored of an offer, but for the stamp and the mark that come before it.
pub fn write_offer(offer: &ApprovedOffer) -> Vec<u8> {
    let stage = match offer.stage {
        OfferStage::Approved => 'A',
        OfferStage::Closed => 'C',
    };
    let mut out = format!("{stage}{:08}", offer.version).into_bytes();
    out.extend_from_slice(&record::write_offer(offer));
    out
}

/// What is stored of an offer from elsewhere, whole.
pub fn write_settled_offer(offer: &ApprovedOffer, stamp: Moment, mark: u64) -> Vec<u8> {
    let mut out = format!("{:016}{mark:019}", stamp.0).into_bytes();
    out.extend_from_slice(&write_offer(offer));
    out
}

/// Puts the instant of the store in the place of [`UNNAMED`].
pub fn name_instants_of_offer(offer: &mut ApprovedOffer, stamp: Moment) {
    offer.approved_at = named(offer.approved_at, stamp);
    offer.closed_at = offer.closed_at.map(|at| named(at, stamp));
}

/// Reads a stored offer, and its version in the store.
pub fn read_offer(value: &[u8]) -> Result<(Arc<ApprovedOffer>, Token), Unreadable> {
    const WHAT: &str = "offer";
    let Some((head, body)) = value.split_first_chunk::<TOKEN_BYTES>() else {
        return unreadable(WHAT, "it is cut short");
    };
    let stamp = std::str::from_utf8(&head[..STAMP_BYTES]).ok().and_then(|text| text.parse().ok()).map(Moment);
    let Some(stamp) = stamp else { return unreadable(WHAT, "it has no stamp") };
    let mut offer = record::read_offer(body)?;
    name_instants_of_offer(&mut offer, stamp);
    Ok((Arc::new(offer), Token(*head)))
}

/// Reads a stored adjustment: its stamp, its fingerprint, the levels that it made in a row, and its record.
pub fn read_adjustment(value: &[u8]) -> Result<Adjustment, Unreadable> {
    const WHAT: &str = "adjustment";
    let cut = || Unreadable { what: WHAT, why: "it is cut short".to_owned() };
    let stamp = value.get(..STAMP_BYTES).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let size = value.get(32..36).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).ok_or_else(cut)? as usize;
    let row = value.get(36..36 + size).ok_or_else(cut)?;
    let mut adjustment = record::read_adjustment(value.get(36 + size..).ok_or_else(cut)?)?;
    adjustment.at = Moment(stamp.ok_or_else(cut)?);
    adjustment.levels = read_row(row)?.into_iter().map(Option::unwrap_or_default).collect();
    Ok(adjustment)
}

/// What is stored of an adjustment, whole: for those that were made elsewhere.
pub fn write_adjustment(a: &Adjustment) -> Vec<u8> {
    let mut out = format!("{:016}", a.at.0).into_bytes();
    out.extend_from_slice(&a.fingerprint.0.to_be_bytes());
    let row = write_row(a.levels.iter());
    out.extend_from_slice(&(row.len() as u32).to_be_bytes());
    out.extend_from_slice(&row);
    out.extend_from_slice(&record::write_adjustment(&Adjustment { levels: Arc::from([]), ..a.clone() }));
    out
}

/// Levels in a row, as entries of the feed have them.
pub fn write_row<'a>(levels: impl Iterator<Item = &'a BucketLevel>) -> Vec<u8> {
    let mut out = Vec::new();
    for level in levels {
        let value = write_level(level);
        if value.len() == 32 {
            out.push(1);
        } else {
            out.push(2);
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        }
        out.extend_from_slice(&value);
    }
    out
}

/// What is stored of a bucket.
pub fn write_level(level: &BucketLevel) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    for n in [level.set.unwrap_or(-1), level.held, level.confirmed, level.fulfilled] {
        out.extend_from_slice(&n.to_be_bytes());
    }
    let mut share = |kind: u8, numbers: [i64; 3], name: &str| {
        out.push(kind);
        for n in numbers {
            out.extend_from_slice(&n.to_be_bytes());
        }
        out.extend_from_slice(name.as_bytes());
        out.push(0);
    };
    for p in level.pools() {
        share(POOL, [p.set, p.used, p.release_at.0], &p.pool.to_string());
    }
    for c in level.channels() {
        share(CHANNEL, [c.drawn, c.most.unwrap_or(-1), 0], &c.channel);
    }
    out
}

/// What comes after a bucket's own numbers: a byte for the kind, three numbers, a name that ends with a zero.
const POOL: u8 = 1;
const CHANNEL: u8 = 2;

/// Reads what is stored of a bucket.
pub fn read_level(value: &[u8]) -> Result<BucketLevel, Unreadable> {
    const WHAT: &str = "bucket";
    let number = |at: usize| value.get(at..at + 8).and_then(|b| b.try_into().ok()).map(i64::from_be_bytes);
    let (Some(set), Some(held), Some(confirmed), Some(fulfilled)) = (number(0), number(8), number(16), number(24))
    else {
        return unreadable(WHAT, format!("it has {} bytes", value.len()));
    };
    let mut shares = Shares::default();
    let mut at = 32;
    while at < value.len() {
        let name = value.get(at + 25..).and_then(|rest| rest.iter().position(|b| *b == 0).map(|end| &rest[..end]));
        let (Some(a), Some(b), Some(c), Some(name)) = (number(at + 1), number(at + 9), number(at + 17), name) else {
            return unreadable(WHAT, "a share is cut short");
        };
        at += 25 + name.len() + 1;
        let Ok(name) = std::str::from_utf8(name) else { return unreadable(WHAT, "a share has no name") };
        match (value[at - 26 - name.len()], Pool::parse(name)) {
            (POOL, Some(pool)) => shares.pools.push(PoolLevel { pool, set: a, used: b, release_at: Moment(c) }),
            (CHANNEL, _) => {
                shares.channels.push(ChannelLevel { channel: name.into(), drawn: a, most: (b >= 0).then_some(b) });
            }
            (kind, _) => return unreadable(WHAT, format!("'{name}' is no share of kind {kind}")),
        }
    }
    let any = !shares.pools.is_empty() || !shares.channels.is_empty();
    Ok(BucketLevel {
        set: (set >= 0).then_some(set),
        held,
        confirmed,
        fulfilled,
        shares: any.then(|| Box::new(shares)),
    })
}

/// Reads levels in a row, as entries of the feed have them; none: nothing was known of the bucket.
pub fn read_row(mut row: &[u8]) -> Result<Vec<Option<BucketLevel>>, Unreadable> {
    let mut levels = Vec::new();
    while let Some((kind, rest)) = row.split_first() {
        let size = match kind {
            0 => None,
            1 => Some((0, 32)),
            _ => Some((4, rest.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b) as usize))),
        };
        let Some((skip, size)) = size else {
            levels.push(None);
            row = rest;
            continue;
        };
        let Some(value) = rest.get(skip..skip + size) else { return unreadable("row of buckets", "it is cut short") };
        levels.push(Some(read_level(value)?));
        row = &rest[skip + size..];
    }
    Ok(levels)
}
