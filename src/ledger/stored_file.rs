//! The form of an exported network: a file that any ledger of this version or a later one can load.
//!
//! It begins with [`MAGIC`] and the version of the form, 4 bytes, little-endian as all numbers here. Then come records: a kind (1
//! byte), a length (4 bytes), so many bytes in the ledger's stored form (see [`super::record`]), and a check of these (4 bytes).
//! Kinds follow each other in the order of [`Kind`]; the last record counts the others and has a digest of all before it, so that
//! a file that was cut short or put together from two is told from a whole one.

use std::io::{self, Read, Write};
use std::sync::Arc;

use prost::Message;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::domain::bucket::BucketLevel;
use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::levels::Levels;
use crate::domain::offer::ApprovedOffer;
use crate::domain::time::Moment;

use super::feed::{Cursor, Entry, Snapshot};
use super::record;
use super::stewardship::{Entries, Holdings};
use super::tally::Tallies;

/// What a file begins with: bytes that no text has, so that it is not taken for one, and ends of lines that show a transfer
/// which changed them.
pub const MAGIC: [u8; 8] = *b"SURETY\x1a\n";
/// The version of the form that is written here; 1 had no offers and no tallies. A higher one is not read.
pub const FORM: u32 = 2;

/// Bytes of one part of a document.
const PART_BYTES: usize = 1 << 20;
/// Bytes of one record: an entry in which a thousand of the largest holds end has some 400 MB.
const MAX_RECORD_BYTES: u32 = 1 << 30;
/// Bytes of a record without what is in it.
const FRAME_BYTES: u64 = 9;

/// What a record is, in the order in which they come. (Not in that of their bytes, which stay what they were in form 1.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The network: its name, version and place. Once, at first.
    Head,
    /// A part of the network's document.
    Document,
    /// A bucket, ascending by resource and index.
    Bucket,
    /// A reservation, ascending by id.
    Reservation,
    /// An adjustment, ascending by request id.
    Adjustment,
    /// An offer, ascending by id. From form 2 on.
    Offer,
    /// A tally, ascending by name. From form 2 on.
    Tally,
    /// An entry of the feed, each one place after the one before, up to the head's.
    Entry,
    /// Counts and the digest. Once, at last.
    End,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Head,
        Kind::Document,
        Kind::Bucket,
        Kind::Reservation,
        Kind::Adjustment,
        Kind::Offer,
        Kind::Tally,
        Kind::Entry,
        Kind::End,
    ];

    fn byte(self) -> u8 {
        match self {
            Kind::Head => 1,
            Kind::Document => 2,
            Kind::Bucket => 3,
            Kind::Reservation => 4,
            Kind::Adjustment => 5,
            Kind::Entry => 6,
            Kind::End => 7,
            Kind::Offer => 8,
            Kind::Tally => 9,
        }
    }

    fn of(byte: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.byte() == byte)
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Head {
    #[prost(string, tag = "1")]
    network: String,
    #[prost(int64, tag = "2")]
    version: i64,
    #[prost(uint64, tag = "3")]
    seq: u64,
    #[prost(int64, tag = "4")]
    applied_at: i64,
    #[prost(int64, tag = "5")]
    now: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct End {
    #[prost(uint64, tag = "1")]
    buckets: u64,
    #[prost(uint64, tag = "2")]
    reservations: u64,
    #[prost(uint64, tag = "3")]
    adjustments: u64,
    #[prost(uint64, tag = "4")]
    entries: u64,
    #[prost(fixed64, tag = "5")]
    digest: u64,
    #[prost(uint64, tag = "6")]
    offers: u64,
    #[prost(uint64, tag = "7")]
    tallies: u64,
}

/// How much is in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Buckets.
    pub buckets: u64,
    /// Reservations, live and ended.
    pub reservations: u64,
    /// Adjustments.
    pub adjustments: u64,
    /// Offers, approved or closed.
    pub offers: u64,
    /// Tallies.
    pub tallies: u64,
    /// Entries of the feed.
    pub entries: u64,
}

/// Why a file can't be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// It is something else.
    #[error("it is no export: it begins otherwise than one")]
    Foreign,
    /// A later version wrote it.
    #[error(
        "it has form {found}, this version knows forms up to {known}; load it with the version that wrote it, or a newer one"
    )]
    Newer {
        /// Its form.
        found: u32,
        /// The last form that is known here.
        known: u32,
    },
    /// It ends before its end.
    #[error("it ends at byte {at}, in the midst of a record: it was cut short or is damaged; export or copy it again")]
    CutShort {
        /// Bytes that there are.
        at: u64,
    },
    /// What is in it is not what was written.
    #[error("it is damaged at byte {at}: {why}; export or copy it again")]
    Damaged {
        /// Where the damaged record begins, in bytes from the start of the file.
        at: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The file can't be read on.
    #[error("it can't be read at byte {at}: {why}")]
    Io {
        /// How far it was read, in bytes.
        at: u64,
        /// What the system said.
        why: String,
    },
}

/// Writes a file, record by record.
pub struct Exporter<W: Write> {
    out: W,
    digest: Xxh3,
    counts: Counts,
}

impl<W: Write> Exporter<W> {
    /// Begins a file with all that is held; the entries of the feed follow.
    ///
    /// # Errors
    /// What the output said.
    pub fn begin(out: W, network: &NetworkId, holdings: &Holdings) -> io::Result<Self> {
        let mut file = Exporter { out, digest: Xxh3::new(), counts: Counts::default() };
        file.put(&MAGIC)?;
        file.put(&FORM.to_le_bytes())?;
        let Holdings { snapshot, now, reservations, adjustments, tallies } = holdings;
        let Snapshot { seq, network_version, document, applied_at, buckets, offers } = snapshot;
        let head = Head {
            network: network.as_str().to_owned(),
            version: *network_version,
            seq: *seq,
            applied_at: applied_at.0,
            now: now.0,
        };
        file.record(Kind::Head, &head.encode_to_vec())?;
        for part in document.chunks(PART_BYTES) {
            file.record(Kind::Document, part)?;
        }
        for (resource, levels) in buckets {
            for (index, level) in levels {
                file.record(Kind::Bucket, &record::write_placed_bucket(resource, *index, level))?;
                file.counts.buckets += 1;
            }
        }
        for reservation in reservations {
            file.record(Kind::Reservation, &record::write_reservation(reservation))?;
            file.counts.reservations += 1;
        }
        for adjustment in adjustments {
            file.record(Kind::Adjustment, &record::write_adjustment(adjustment))?;
            file.counts.adjustments += 1;
        }
        for offer in offers {
            file.record(Kind::Offer, &record::write_offer(offer))?;
            file.counts.offers += 1;
        }
        for (name, number) in tallies {
            file.record(Kind::Tally, &record::write_tally(name, *number))?;
            file.counts.tallies += 1;
        }
        Ok(file)
    }

    /// The next entry of the feed.
    ///
    /// # Errors
    /// What the output said.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.counts.entries += 1;
        self.record(Kind::Entry, &record::write_entry(entry, |r| record::write_reservation(r)))
    }

    /// Ends the file. The output is flushed, not synced.
    ///
    /// # Errors
    /// What the output said.
    pub fn end(mut self) -> io::Result<(Counts, W)> {
        let Counts { buckets, reservations, adjustments, offers, tallies, entries } = self.counts;
        let digest = self.digest.digest();
        let end = End { buckets, reservations, adjustments, entries, digest, offers, tallies };
        self.record(Kind::End, &end.encode_to_vec())?;
        self.out.flush()?;
        Ok((self.counts, self.out))
    }

    fn record(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MAX_RECORD_BYTES);
        let Some(length) = length else {
            let why = format!("a record has {} bytes; at most {MAX_RECORD_BYTES} can be written", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        self.put(&[kind.byte()])?;
        self.put(&length.to_le_bytes())?;
        self.put(bytes)?;
        self.put(&check(kind, bytes).to_le_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.out.write_all(bytes)
    }
}

/// What a record is checked by.
fn check(kind: Kind, bytes: &[u8]) -> u32 {
    xxh3_64_with_seed(bytes, u64::from(kind.byte())) as u32
}

/// A file that was opened: what it holds, and its feed, which is still to be read.
pub struct Imported {
    /// The network's name where it was exported.
    pub network: NetworkId,
    /// All that was held.
    pub holdings: Holdings,
    /// The feed. The file's end, with its counts and digest, is looked at when the last entry was taken.
    pub entries: Entries,
}

/// Opens a file and reads all but the feed.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read(input: impl Read + Send + 'static) -> Result<Imported, FileFault> {
    let mut file = Importer::open(input)?;
    let (network, holdings) = file.holdings()?;
    let entries = Feed { file: Some(file), seq: holdings.snapshot.seq, last: None };
    Ok(Imported { network, holdings, entries: Box::new(entries) })
}

struct Importer<R: Read> {
    input: R,
    /// Bytes that were read.
    at: u64,
    digest: Xxh3,
    counts: Counts,
    /// A record that was read and not yet used.
    next: Option<Record>,
    last: Option<Kind>,
}

struct Record {
    kind: Kind,
    bytes: Vec<u8>,
    /// Where it begins.
    at: u64,
    /// The digest of all before it.
    digest: u64,
}

impl<R: Read> Importer<R> {
    fn open(input: R) -> Result<Self, FileFault> {
        let mut file =
            Importer { input, at: 0, digest: Xxh3::new(), counts: Counts::default(), next: None, last: None };
        let magic = match file.exactly::<8>() {
            Err(FileFault::CutShort { .. }) => return Err(FileFault::Foreign),
            read => read?,
        };
        if magic != MAGIC {
            return Err(FileFault::Foreign);
        }
        match u32::from_le_bytes(file.exactly()?) {
            0 => Err(damaged(8, "its form is 0, which there never was")),
            found @ 1..=FORM => {
                debug_assert!(found <= FORM);
                Ok(file)
            }
            found => Err(FileFault::Newer { found, known: FORM }),
        }
    }

    /// All records before those of the feed.
    fn holdings(&mut self) -> Result<(NetworkId, Holdings), FileFault> {
        let Some(first) = self.take(Kind::Head)? else {
            return Err(damaged(self.at, "it does not begin with the network"));
        };
        let Head { network, version, seq, applied_at, now } = decoded(&first)?;
        let network = NetworkId::new(&network).map_err(|why| damaged(first.at, format!("the network's name {why}")))?;
        let mut document = Vec::new();
        while let Some(part) = self.take(Kind::Document)? {
            document.extend_from_slice(&part.bytes);
        }
        let mut buckets: Vec<(ResourceId, Vec<(i32, BucketLevel)>)> = Vec::new();
        while let Some(r) = self.take(Kind::Bucket)? {
            let (resource, index, level) = record::read_placed_bucket(&r.bytes).map_err(|e| damaged(r.at, e))?;
            self.counts.buckets += 1;
            match buckets.last_mut() {
                Some((last, levels)) if *last == resource => {
                    in_order(&r, levels.last().map(|(index, _)| index), &index)?;
                    levels.push((index, level));
                }
                last => {
                    in_order(&r, last.map(|(resource, _)| &*resource), &resource)?;
                    buckets.push((resource, vec![(index, level)]));
                }
            }
        }
        let mut reservations = Vec::new();
        let mut last: Option<ReservationId> = None;
        while let Some(r) = self.take(Kind::Reservation)? {
            let reservation = record::read_reservation(&r.bytes).map_err(|e| damaged(r.at, e))?;
            self.counts.reservations += 1;
            in_order(&r, last.as_ref(), &reservation.id)?;
            last = Some(reservation.id.clone());
            reservations.push(Arc::new(reservation));
        }
        let mut adjustments = Vec::new();
        let mut last: Option<ReservationId> = None;
        while let Some(r) = self.take(Kind::Adjustment)? {
            let adjustment = record::read_adjustment(&r.bytes).map_err(|e| damaged(r.at, e))?;
            self.counts.adjustments += 1;
            in_order(&r, last.as_ref(), &adjustment.request_id)?;
            last = Some(adjustment.request_id.clone());
            adjustments.push(Arc::new(adjustment));
        }
        let mut offers: Vec<Arc<ApprovedOffer>> = Vec::new();
        while let Some(r) = self.take(Kind::Offer)? {
            let offer = record::read_offer(&r.bytes).map_err(|e| damaged(r.at, e))?;
            self.counts.offers += 1;
            in_order(&r, offers.last().map(|o| &o.offer.id), &offer.offer.id)?;
            offers.push(Arc::new(offer));
        }
        let mut tallies: Tallies = Vec::new();
        while let Some(r) = self.take(Kind::Tally)? {
            let (name, number) = record::read_tally(&r.bytes).map_err(|e| damaged(r.at, e))?;
            self.counts.tallies += 1;
            in_order(&r, tallies.last().map(|(name, _)| name), &name)?;
            tallies.push((name, number));
        }
        let snapshot = Snapshot {
            seq,
            network_version: version,
            document: document.into(),
            applied_at: Moment(applied_at),
            buckets: buckets.into_iter().map(|(resource, levels)| (resource, Levels::new(levels))).collect(),
            offers,
        };
        Ok((network, Holdings { snapshot, now: Moment(now), reservations, adjustments, tallies }))
    }

    /// Looks whether the file ends as it was ended.
    fn end(&mut self) -> Result<(), FileFault> {
        let Some(r) = self.take(Kind::End)? else {
            let at = self.next.as_ref().map_or(self.at, |r| r.at);
            return Err(damaged(at, "a record is out of its order"));
        };
        let End { buckets, reservations, adjustments, entries, digest, offers, tallies } = decoded(&r)?;
        let counts = Counts { buckets, reservations, adjustments, offers, tallies, entries };
        if counts != self.counts {
            return Err(damaged(r.at, format!("{counts:?} were written, {:?} were read", self.counts)));
        }
        if digest != r.digest {
            return Err(damaged(r.at, "the digest of all before differs from what was written"));
        }
        let end = self.at;
        match self.exactly::<1>() {
            Err(FileFault::CutShort { at }) if at == end => Ok(()),
            Ok(_) => Err(damaged(end, "it goes on after its end")),
            Err(e) => Err(e),
        }
    }

    /// The next record, if it is of this kind.
    fn take(&mut self, kind: Kind) -> Result<Option<Record>, FileFault> {
        if self.next.is_none() {
            self.next = Some(self.record()?);
        }
        Ok(self.next.take_if(|next| next.kind == kind))
    }

    fn record(&mut self) -> Result<Record, FileFault> {
        let (at, digest) = (self.at, self.digest.digest());
        let [kind] = self.exactly()?;
        let kind = Kind::of(kind).ok_or_else(|| damaged(at, format!("there is no record of kind {kind}")))?;
        if self.last.is_some_and(|last| kind < last || kind == last && [Kind::Head, Kind::End].contains(&kind)) {
            return Err(damaged(at, "a record is out of its order"));
        }
        self.last = Some(kind);
        let length = u32::from_le_bytes(self.exactly()?);
        if length > MAX_RECORD_BYTES {
            return Err(damaged(at, format!("a record of {length} bytes is longer than any")));
        }
        // Grows with what is really there: a damaged length is not believed.
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(u64::from(length)).read_to_end(&mut bytes);
        self.at += bytes.len() as u64;
        self.digest.update(&bytes);
        read.map_err(|e| self.failed(&e))?;
        if bytes.len() < length as usize {
            return Err(FileFault::CutShort { at: self.at });
        }
        if u32::from_le_bytes(self.exactly()?) != check(kind, &bytes) {
            return Err(damaged(at, "the check of a record differs from what was written"));
        }
        debug_assert_eq!(self.at, at + FRAME_BYTES + u64::from(length));
        Ok(Record { kind, bytes, at, digest })
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], FileFault> {
        let mut bytes = [0; N];
        let mut have = 0;
        while have < N {
            match self.input.read(&mut bytes[have..]) {
                Ok(0) => return Err(FileFault::CutShort { at: self.at + have as u64 }),
                Ok(more) => have += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(&e)),
            }
        }
        self.at += N as u64;
        self.digest.update(&bytes);
        Ok(bytes)
    }

    fn failed(&self, e: &io::Error) -> FileFault {
        FileFault::Io { at: self.at, why: e.to_string() }
    }
}

/// Reads the feed of a file, and then its end.
struct Feed<R: Read> {
    /// None once it was read to its end, or failed.
    file: Option<Importer<R>>,
    /// Where the feed ends.
    seq: Cursor,
    last: Option<Cursor>,
}

impl<R: Read> Feed<R> {
    fn entry(&mut self, file: &mut Importer<R>) -> Result<Option<Entry>, FileFault> {
        let Some(r) = file.take(Kind::Entry)? else {
            file.end()?;
            return match self.last {
                Some(last) if last != self.seq => {
                    Err(damaged(file.at, format!("its feed ends at {last}, what it holds is as of {}", self.seq)))
                }
                _ => Ok(None),
            };
        };
        let entry = record::read_entry(&r.bytes).map_err(|e| damaged(r.at, e))?;
        file.counts.entries += 1;
        if self.last.is_some_and(|last| entry.seq != last + 1) || !(1..=self.seq).contains(&entry.seq) {
            return Err(damaged(r.at, format!("entry {} of the feed is out of its order", entry.seq)));
        }
        self.last = Some(entry.seq);
        Ok(Some(entry))
    }
}

impl<R: Read> Iterator for Feed<R> {
    type Item = Result<Entry, FileFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut file = self.file.take()?;
        let next = self.entry(&mut file).transpose()?;
        if next.is_ok() {
            self.file = Some(file);
        }
        Some(next)
    }
}

fn damaged(at: u64, why: impl ToString) -> FileFault {
    FileFault::Damaged { at, why: why.to_string() }
}

fn decoded<M: Message + Default>(record: &Record) -> Result<M, FileFault> {
    M::decode(record.bytes.as_slice()).map_err(|e| damaged(record.at, e))
}

fn in_order<T: Ord + std::fmt::Display>(record: &Record, last: Option<&T>, next: &T) -> Result<(), FileFault> {
    match last {
        Some(last) if last >= next => Err(damaged(record.at, format!("{next} comes after {last}"))),
        _ => Ok(()),
    }
}
