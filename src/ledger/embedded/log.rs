//! The log: batches in the order in which they were committed, each durable by one fsync before it is acknowledged. It is the
//! truth about what was committed; the tables follow it, and files of the log are deleted once the tables have all of it.
//!
//! A file is named by the number of its first batch. A batch is a frame: the length of its writes (u32), a checksum of its number
//! and its writes (u64), its number (u64), and its writes; all little-endian. One batch is under way at a time, so only the last
//! can be torn. A torn last batch was never acknowledged and is passed over; anything else is damage, and must not be opened as
//! though nothing had been lost.
//!
//! A file that is done with is used again for later batches: a write into bytes that a file has already is durable without the file
//! system's own journal, whose commits wait for whatever else is being written. What it held before lies behind the last batch and
//! is told by its lower numbers.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::layer::Written;
use super::store::{Batch, Space, StoreError, Write};

/// Bytes before a frame's writes: length, checksum, number.
const HEADER: usize = 4 + 8 + 8;
/// Bytes of a write beside its key and value: its space, and their lengths.
const WRITE: usize = 1 + 4 + 4;
/// Set in the byte that names the space of a write that deletes.
const DELETES: u8 = 0x80;
const EXTENSION: &str = "log";
/// A file to be used again.
const SPARE: &str = "spare";

/// A log, or a journal of an older layout, that can't be trusted.
#[derive(Debug)]
pub enum Fault {
    /// It could not be read or cut.
    Io(PathBuf, io::Error),
    /// Its content was damaged after it had been written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong.
        at: usize,
    },
    /// A file is not there that has to be.
    Missing {
        /// The directory.
        dir: PathBuf,
        /// The first batch that is missing.
        number: u64,
    },
}

/// The log of a store, open for more.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    file: File,
    /// The next batch's number.
    next: u64,
    /// Where it goes in the file.
    end: u64,
}

/// What was found when a log was opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of all batches.
    pub bytes: u64,
    /// Whether there was a torn last batch, which is passed over.
    pub torn: bool,
}

/// A batch that is durable.
#[derive(Debug)]
pub struct Appended {
    /// Its number.
    pub number: u64,
    /// Its bytes in the log.
    pub bytes: u64,
    /// Its writes.
    pub writes: Writes,
}

impl Log {
    /// Makes the log of a new store in a directory that is not there yet: whole, or not at all.
    pub fn make(dir: &Path) -> io::Result<()> {
        let aside = dir.with_extension("new");
        match fs::remove_dir_all(&aside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        fs::create_dir_all(&aside)?;
        begin(&aside, 1)?;
        fs::rename(&aside, dir)?;
        sync(dir.parent().unwrap_or(dir))
    }

    /// Opens the log behind a store whose tables have all batches up to `written`, and shows every write that it holds, with its
    /// batch's number.
    ///
    /// `rewrite`: the newest file is written again. After a failed fsync the system may hold pages that it never wrote and takes
    /// for written; what is read from them now would be gone after a power cut, and no later fsync would tell.
    pub fn open(
        dir: &Path,
        written: u64,
        rewrite: bool,
        show: &mut dyn FnMut(u64, Written),
    ) -> Result<(Log, Opened), Fault> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |e| Fault::Io(path, e)
        };
        let missing = |number| Fault::Missing { dir: dir.to_owned(), number };
        let files = files(dir).map_err(io(dir))?;
        let mut next = files.first().map_or(1, |(first, _)| *first);
        if files.is_empty() || next > written + 1 {
            return Err(missing(written + 1));
        }
        let mut opened = Opened::default();
        for (i, (first, path)) in files.iter().enumerate() {
            if *first != next {
                return Err(missing(next));
            }
            let bytes = Bytes::from(fs::read(path).map_err(io(path))?);
            let mut end = 0;
            while let Some(frame) = frame(&bytes[end..], next..=next) {
                let mut writes = Writes(bytes.slice_ref(frame));
                for write in &mut writes {
                    show(next, write);
                }
                if !writes.0.is_empty() {
                    return Err(Fault::Damaged { path: path.clone(), at: end });
                }
                end += HEADER + frame.len();
                next += 1;
            }
            opened.bytes += end as u64;
            if i + 1 < files.len() {
                // Before another file is begun, the one before is durable whole.
                if files[i + 1].0 != next && end < bytes.len() {
                    return Err(Fault::Damaged { path: path.clone(), at: end });
                }
                continue;
            }
            // A log that ends before what the tables have is another one, and its numbers would be given twice.
            if next <= written {
                return Err(missing(next));
            }
            let behind = &bytes[end..];
            // No more than fit: most of what was there before is told by that alone, and is not summed up.
            let later = next..=next + (behind.len() / HEADER) as u64;
            if (1..behind.len()).any(|at| frame(&behind[at..], later.clone()).is_some()) {
                return Err(Fault::Damaged { path: path.clone(), at: end });
            }
            // What was there before is a whole batch of a lower number, or the middle of one, or zeros.
            opened.torn = behind.get(12..HEADER).is_some_and(|number| number == next.to_le_bytes());
            let file = OpenOptions::new().write(true).open(path).map_err(io(path))?;
            if rewrite {
                file.write_all_at(&bytes[..end], 0).map_err(io(path))?;
            }
            // A process that was killed may have written what it did not come to make durable, and it is believed from here on.
            file.sync_all().map_err(io(path))?;
            let log = Log { dir: dir.to_owned(), file, next, end: end as u64 };
            return Ok((log, opened));
        }
        unreachable!("one of the files is the newest")
    }

    /// Makes a batch durable. After an error nothing more may be appended.
    pub fn append(&mut self, batch: &Batch) -> Result<Appended, StoreError> {
        let number = self.next;
        let frame = write_frame(number, batch).map_err(|why| StoreError::Nothing(why.to_owned()))?;
        // A frame that is not there whole is passed over when the log is opened again.
        let failed = |e: io::Error| StoreError::Nothing(format!("the log can't be written: {e}"));
        self.file.write_all_at(&frame, self.end).map_err(failed)?;
        self.file.sync_data().map_err(|e| StoreError::Unknown(format!("the log can't be made durable: {e}")))?;
        let bytes = frame.len() as u64;
        self.end += bytes;
        self.next += 1;
        Ok(Appended { number, bytes, writes: Writes(Bytes::from(frame).split_off(HEADER)) })
    }

    /// Begins a new file, for the batches from here on.
    pub fn begin_file(&mut self) -> io::Result<()> {
        self.file = begin(&self.dir, self.next)?;
        self.end = 0;
        Ok(())
    }

    /// The number of the last batch.
    pub fn last(&self) -> u64 {
        self.next - 1
    }
}

/// Takes away the files that hold nothing but batches up to `written`, oldest first, so that what is left has no gap. One is kept to be
/// used again.
pub fn give_back(dir: &Path, written: u64) -> io::Result<()> {
    let files = files(dir)?;
    for pair in files.windows(2) {
        let ((_, path), (behind, _)) = (&pair[0], &pair[1]);
        if *behind > written + 1 {
            break;
        }
        // Replaces one that was kept before.
        fs::rename(path, dir.join(SPARE))?;
    }
    Ok(())
}

/// The log's files by the number of their first batch, ascending.
fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if path.extension().is_some_and(|e| e == EXTENSION)
            && let Some(first) = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok())
        {
            files.push((first, path));
        }
    }
    files.sort();
    Ok(files)
}

fn begin(dir: &Path, first: u64) -> io::Result<File> {
    let path = dir.join(format!("{first:020}.{EXTENSION}"));
    match fs::rename(dir.join(SPARE), &path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    // One may be left of an attempt that failed; there was nothing in it.
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.sync_all()?;
    sync(dir)?;
    Ok(file)
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn write_frame(number: u64, batch: &Batch) -> Result<Vec<u8>, &'static str> {
    const TOO_LONG: &str = "more than 4 GiB can't be written at once";
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| TOO_LONG);
    let bytes: usize = batch.0.iter().map(|w| WRITE + w.key.len() + w.value.as_ref().map_or(0, Vec::len)).sum();
    let mut out = Vec::with_capacity(HEADER + bytes);
    out.extend_from_slice(&u32::try_from(bytes).map_err(|_| TOO_LONG)?.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&number.to_le_bytes());
    for Write { space, key, value } in &batch.0 {
        out.push(*space as u8 | if value.is_none() { DELETES } else { 0 });
        let value = value.as_deref().unwrap_or_default();
        out.extend_from_slice(&len(key)?.to_le_bytes());
        out.extend_from_slice(&len(value)?.to_le_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
    let sum = xxh3_64(&out[HEADER - 8..]);
    out[4..12].copy_from_slice(&sum.to_le_bytes());
    Ok(out)
}

/// The writes of the whole frame that begins here, if one does and its number is one of these.
fn frame(bytes: &[u8], numbers: std::ops::RangeInclusive<u64>) -> Option<&[u8]> {
    let mut rest = Rest(bytes);
    let len = rest.u32()? as usize;
    let sum = rest.u64()?;
    let summed = rest.0;
    if !numbers.contains(&rest.u64()?) {
        return None;
    }
    let writes = rest.take(len)?;
    // What is no frame seldom looks like writes for long, and is found out before all of it is summed up.
    (are_writes(writes) && xxh3_64(&summed[..8 + len]) == sum).then_some(writes)
}

/// Whether these are the bytes of whole writes, of any space.
fn are_writes(bytes: &[u8]) -> bool {
    let mut rest = Rest(bytes);
    let mut skip = || {
        rest.take(1)?;
        let (key, value) = (rest.u32()? as usize, rest.u32()? as usize);
        rest.take(key)?;
        rest.take(value)?;
        Some(rest.0.is_empty())
    };
    loop {
        match skip() {
            Some(true) => return true,
            Some(false) => {}
            None => return bytes.is_empty(),
        }
    }
}

/// A frame's writes, one by one. What is left in the end was not written by this version.
#[derive(Debug)]
pub struct Writes(Bytes);

impl Iterator for Writes {
    type Item = Written;

    fn next(&mut self) -> Option<Written> {
        let mut rest = Rest(&self.0);
        let kind = rest.take(1)?[0];
        let space = *Space::ALL.get(usize::from(kind & !DELETES))?;
        let (key, value) = (rest.u32()? as usize, rest.u32()? as usize);
        rest.take(key)?;
        rest.take(value)?;
        let mut write = self.0.split_to(WRITE + key + value);
        let value = write.split_off(WRITE + key);
        Some(Written { space, key: write.split_off(WRITE), value: (kind & DELETES == 0).then_some(value) })
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some writes that differ with their number.
    fn batch(number: u64) -> Batch {
        let mut batch = Batch::default();
        for i in 0..=number % 3 {
            batch.put(Space::Entries, vec![i as u8; 3], vec![number as u8; (number * 7 % 50) as usize]);
        }
        batch.delete(Space::Refused, number.to_be_bytes().to_vec());
        batch
    }

    fn path(dir: &Path, first: u64) -> PathBuf {
        dir.join(format!("{first:020}.log"))
    }

    /// Batches with their numbers.
    type Shown = Vec<(u64, Batch)>;

    /// All that the log shows, batch by batch.
    fn read(dir: &Path, written: u64) -> Result<(Log, Opened, Shown), Fault> {
        let mut shown = Shown::new();
        let (log, opened) = Log::open(dir, written, false, &mut |number, write| {
            let Written { space, key, value } = write;
            let write = Write { space, key: key.to_vec(), value: value.map(|v| v.to_vec()) };
            match shown.last_mut() {
                Some((last, batch)) if *last == number => batch.0.push(write),
                _ => shown.push((number, Batch(vec![write]))),
            }
        })?;
        Ok((log, opened, shown))
    }

    fn append(log: &mut Log, number: u64) {
        let appended = log.append(&batch(number)).expect("it is appended");
        assert_eq!(appended.number, number);
        let writes = batch(number).0.into_iter();
        let written =
            writes.map(|Write { space, key, value }| Written { space, key: key.into(), value: value.map(Bytes::from) });
        assert_eq!(appended.writes.collect::<Vec<_>>(), written.collect::<Vec<_>>());
    }

    fn expected(numbers: std::ops::RangeInclusive<u64>) -> Vec<(u64, Batch)> {
        numbers.map(|number| (number, batch(number))).collect()
    }

    /// A log of the batches 1 to 9, with files that begin at 1, 4 and 8.
    fn nine() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().expect("a directory for the test");
        let dir = parent.path().join("log");
        Log::make(&dir).expect("it is made");
        let (mut log, _, shown) = read(&dir, 0).expect("it opens");
        assert_eq!(shown, []);
        for number in 1..=9 {
            if number == 4 || number == 8 {
                log.begin_file().expect("it is begun");
            }
            append(&mut log, number);
        }
        (parent, dir)
    }

    #[test]
    fn what_was_appended_is_shown_in_order_and_appending_goes_on_behind_it() {
        let (_parent, dir) = nine();
        let (mut log, opened, shown) = read(&dir, 0).expect("it opens");
        assert_eq!((opened.torn, shown), (false, expected(1..=9)));
        append(&mut log, 10);
        let (log, opened, shown) = read(&dir, 0).expect("it opens");
        assert_eq!((opened.torn, shown, log.last()), (false, expected(1..=10), 10));
        let sizes: u64 =
            [1, 4, 8].map(|first| fs::metadata(path(&dir, first)).expect("it is there").len()).iter().sum();
        assert_eq!(opened.bytes, sizes);
    }

    #[test]
    fn rule_23_a_torn_last_batch_is_passed_over_wherever_it_is_torn() {
        let (_parent, dir) = nine();
        let all = read(&dir, 0).expect("it opens").1.bytes;
        let newest = path(&dir, 8);
        let whole = fs::read(&newest).expect("it can be read");
        let eight = HEADER + frame(&whole, 8..=8).expect("it is whole").len();
        for cut in 1..whole.len() - eight {
            // Cut off; with a page that never reached the disk; with what lay on the disk before.
            let mut zeros = whole.clone();
            zeros[eight + cut..].fill(0);
            let mut garbled = whole.clone();
            garbled[eight + cut - 1] ^= 0x55;
            for torn in [&whole[..eight + cut], &zeros, &garbled] {
                if torn == whole {
                    continue;
                }
                fs::write(&newest, torn).expect("it can be written");
                let (mut log, opened, shown) = read(&dir, 0).expect("it opens");
                assert_eq!((shown, opened.bytes), (expected(1..=8), all - (whole.len() - eight) as u64));
                if torn.len() >= eight + HEADER && torn[eight + 12..eight + HEADER] == 9u64.to_le_bytes() {
                    assert!(opened.torn);
                }
                append(&mut log, 9);
                assert_eq!(read(&dir, 0).expect("it opens").2, expected(1..=9), "as though it had never been");
            }
        }
    }

    #[test]
    fn rule_23_damage_is_not_taken_for_the_end() {
        let (_parent, dir) = nine();
        for (first, last) in [(1, 3), (4, 7), (8, 8)] {
            let path = path(&dir, first);
            let whole = fs::read(&path).expect("it can be read");
            let mut end = 0;
            for number in first..=last {
                let begin = end;
                end += HEADER + frame(&whole[begin..], number..=number).expect("it is whole").len();
                for at in begin..end {
                    let mut garbled = whole.clone();
                    garbled[at] ^= 0x55;
                    fs::write(&path, &garbled).expect("it can be written");
                    match read(&dir, 0) {
                        Err(Fault::Damaged { path: p, at: a }) => assert_eq!((p, a), (path.clone(), begin)),
                        other => panic!("byte {at} of {first}: {other:?}"),
                    }
                }
            }
            fs::write(&path, &whole).expect("it can be written");
        }
        assert_eq!(read(&dir, 0).expect("it opens").2, expected(1..=9), "as it was");
    }

    #[test]
    fn rule_23_a_file_that_is_gone_is_missed() {
        let missing = |dir: &Path, written| match read(dir, written) {
            Err(Fault::Missing { number, .. }) => number,
            other => panic!("{other:?}"),
        };
        let (_parent, dir) = nine();
        fs::remove_file(path(&dir, 4)).expect("it can be deleted");
        assert_eq!(missing(&dir, 0), 4);
        fs::remove_file(path(&dir, 1)).expect("it can be deleted");
        assert_eq!(missing(&dir, 6), 7, "the tables have up to 6");
        assert_eq!(read(&dir, 7).expect("the tables have what was in it").2, expected(8..=9));
        assert_eq!(missing(&dir, 12), 10, "the tables have more than there is");
        fs::remove_file(path(&dir, 8)).expect("it can be deleted");
        assert_eq!(missing(&dir, 9), 10);
    }

    #[test]
    fn a_file_is_used_again_once_the_tables_have_all_of_it() {
        let left = |dir: &Path| -> Vec<u64> { files(dir).expect("they are listed").iter().map(|(n, _)| *n).collect() };
        let (_parent, dir) = nine();
        give_back(&dir, 2).expect("it is done");
        assert_eq!(left(&dir), [1, 4, 8], "3 is only there");
        give_back(&dir, 3).expect("it is done");
        assert_eq!((left(&dir), dir.join(SPARE).exists()), (vec![4, 8], true));
        give_back(&dir, 9).expect("it is done");
        assert_eq!(left(&dir), [8], "the newest stays");
        let (mut log, _, shown) = read(&dir, 9).expect("it opens");
        assert_eq!(shown, expected(8..=9));
        let spare = fs::metadata(dir.join(SPARE)).expect("it is there").len();
        log.begin_file().expect("it is begun");
        assert_eq!((left(&dir), dir.join(SPARE).exists()), (vec![8, 10], false));
        // Batch by batch over what it held, of which something is left behind each time.
        for number in 10..=16 {
            assert_eq!(read(&dir, 9).expect("it opens").2, expected(8..=number - 1));
            append(&mut log, number);
        }
        let (_, opened, shown) = read(&dir, 9).expect("it opens");
        assert_eq!((opened.torn, shown), (false, expected(8..=16)));
        assert!(fs::metadata(path(&dir, 10)).expect("it is there").len() >= spare);
        // Torn now: there are whole batches behind it, of lower numbers.
        let used = fs::read(path(&dir, 10)).expect("it can be read");
        let mut end = 0;
        while let Some(frame) = frame(&used[end..], 10..=15) {
            end += HEADER + frame.len();
        }
        for torn in end..end + HEADER + 3 {
            let mut garbled = used.clone();
            garbled[torn] ^= 0x55;
            fs::write(path(&dir, 10), &garbled).expect("it can be written");
            assert_eq!(read(&dir, 9).expect("it opens").2, expected(8..=15));
        }
    }
}
