//! Looks over the journals of a store of an older layout, which has no log, before it is opened. fjall ends reading a journal at the first thing it can't read and drops
//! the rest, or, where a page of the last write never reached the disk, does not open at all. Here is known what it can't
//! know: one batch is under way at a time, so only the last can be torn. A torn last batch was never acknowledged and is cut
//! off; anything else is damage, and must not be opened as though nothing had been lost.

use std::fs::{self, OpenOptions};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::log::Fault;

/// What closes a batch, behind its checksum.
const TRAILER: [u8; 4] = *b"FJL\x03";
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Checks all journals of a store and cuts a torn last batch off the newest. The bytes that were cut, if any.
pub fn check(dir: &Path) -> Result<u64, Fault> {
    let mut journals = Vec::new();
    let io = |e| Fault::Io(dir.to_owned(), e);
    for file in fs::read_dir(dir).map_err(io)? {
        let path = file.map_err(io)?.path();
        if path.extension().is_some_and(|e| e == "jnl") {
            let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u64>().ok());
            journals.push((number.unwrap_or(u64::MAX), path));
        }
    }
    journals.sort();
    let mut cut = 0;
    for (i, (_, path)) in journals.iter().enumerate() {
        let io = |e| Fault::Io(path.clone(), e);
        let newest = i + 1 == journals.len();
        let mut bytes = fs::read(path).map_err(io)?;
        bytes.truncate(content(&bytes));
        match look(&bytes) {
            Found::Whole => {}
            Found::Torn { at } if newest => {
                cut += (bytes.len() - at) as u64;
                bytes.truncate(at);
                let file = OpenOptions::new().write(true).open(path).map_err(io)?;
                file.set_len(at as u64).and_then(|()| file.sync_all()).map_err(io)?;
            }
            // Before another journal is begun, the one before is made durable whole.
            Found::Torn { at } | Found::Damaged { at } => return Err(Fault::Damaged { path: path.clone(), at }),
        }
    }
    Ok(cut)
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Whole batches, then nothing, or the zeros that the file was made with.
    Whole,
    /// Whole batches, then something that is none, and no batch after.
    Torn { at: usize },
    /// Something that is no batch, and batches after it.
    Damaged { at: usize },
}

/// Bytes before the zeros that the file was made with. A batch never ends with a zero.
fn content(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut end = bytes.len();
    for chunk in bytes.rchunks(ZEROS.len()) {
        if *chunk != ZEROS[..chunk.len()] {
            return end - chunk.iter().rev().take_while(|b| **b == 0).count();
        }
        end -= chunk.len();
    }
    0
}

fn look(bytes: &[u8]) -> Found {
    let mut at = 0;
    while let Some(end) = batch(bytes, at) {
        at = end;
    }
    if at >= content(bytes) {
        return Found::Whole;
    }
    let later = (at + 1..bytes.len()).any(|from| bytes[from] == START && batch(bytes, from).is_some());
    if later { Found::Damaged { at } } else { Found::Torn { at } }
}

/// The end of the whole batch that begins at `from`, if one does.
fn batch(bytes: &[u8], from: usize) -> Option<usize> {
    let mut rest = Rest { bytes, at: from };
    if rest.u8()? != START {
        return None;
    }
    let count = rest.u32()?;
    rest.skip(8)?; // the batch's number
    let first = rest.at;
    for _ in 0..count {
        match rest.u8()? {
            ITEM => {
                rest.skip(1)?; // what kind of write
                if rest.u8()? != 0 {
                    return None; // compressed: this store never is, in its journal
                }
                rest.skip(8)?; // the space
                let key = rest.u16()? as usize;
                let value = rest.u32()?;
                if rest.u32()? != value {
                    return None;
                }
                rest.skip(key)?;
                rest.skip(value as usize)?;
            }
            CLEAR => rest.skip(8)?,
            _ => return None,
        }
    }
    let last = rest.at;
    if rest.u8()? != END {
        return None;
    }
    let sum = rest.u64()?;
    let trailer = bytes.get(rest.at..rest.at + TRAILER.len())?;
    rest.skip(TRAILER.len())?;
    (trailer == TRAILER && sum == xxh3_64(&bytes[first..last])).then_some(rest.at)
}

struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let found = self.bytes.get(self.at..self.at.checked_add(N)?)?;
        self.at += N;
        found.try_into().ok()
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[b]| b)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_batch(values: &[&[u8]]) -> Vec<u8> {
        let mut items = Vec::new();
        for value in values {
            items.extend([ITEM, 0, 0]);
            items.extend(7u64.to_le_bytes());
            items.extend(3u16.to_le_bytes());
            items.extend((value.len() as u32).to_le_bytes());
            items.extend((value.len() as u32).to_le_bytes());
            items.extend(b"key");
            items.extend(*value);
        }
        let mut all = vec![START];
        all.extend((values.len() as u32).to_le_bytes());
        all.extend(1u64.to_le_bytes());
        all.extend(&items);
        all.push(END);
        all.extend(xxh3_64(&items).to_le_bytes());
        all.extend(TRAILER);
        all
    }

    #[test]
    fn a_torn_last_batch_is_told_from_damage_at_every_byte() {
        let (one, two) = (a_batch(&[b"a", b"bb"]), a_batch(&[b"second"]));
        let whole: Vec<u8> = [&one[..], &two, &[0; 64]].concat();
        assert_eq!(look(&whole), Found::Whole);
        assert_eq!(look(&[]), Found::Whole);
        for cut in 1..two.len() {
            // Cut off, and cut off with the zeros that the file was made with behind.
            assert_eq!(look(&whole[..one.len() + cut]), Found::Torn { at: one.len() });
            let mut zeros = whole.clone();
            zeros[one.len() + cut..].fill(0);
            assert_eq!(look(&zeros), Found::Torn { at: one.len() });
        }
        for at in 0..two.len() {
            let mut garbled = whole.clone();
            garbled[one.len() + at] ^= 0x55;
            let number = 5..13; // the batch's number is not part of its checksum
            if !number.contains(&at) {
                assert_eq!(look(&garbled), Found::Torn { at: one.len() }, "byte {at}");
            }
        }
        for at in (0..one.len()).filter(|at| !(5..13).contains(at)) {
            let mut garbled = whole.clone();
            garbled[at] ^= 0x55;
            assert_eq!(look(&garbled), Found::Damaged { at: 0 }, "byte {at}");
        }
    }
}
