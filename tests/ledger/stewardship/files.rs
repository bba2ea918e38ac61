//! Networks as files.

use super::*;

async fn a_file() -> (Holdings, Vec<u8>) {
    let house = House::memory().await.expect("it needs nothing");
    house.run(network(0, "a network", &[])).await;
    for (id, i) in [("a", 1), ("b", 2), ("c", 3)] {
        house.run(supply("slot", i, &[9])).await;
        house.run(hold(id, &[("slot", i, 2)])).await;
    }
    house.run(adjust("x", "slot", 1, &[0], 1)).await;
    for id in ["sale", "spring"] {
        house.run(approve(id, id, &[("slot", 1, 1)], BEGIN.plus(Span::hours(1)))).await;
    }
    house.run(count(&[("lost\tthis", 3)])).await;
    let holdings = house.holdings().await;
    let file = file_of(&house.network, &holdings, &house.feed().await);
    (holdings, file)
}

#[tokio::test]
async fn a_file_is_read_as_it_was_written() {
    let (holdings, file) = a_file().await;
    let (network, read, entries) = read_whole(&file).expect("it is whole");
    assert_eq!((network, &read), (name("house"), &holdings));
    assert_eq!(entries.len() as u64, holdings.snapshot.seq);
    assert_eq!(file_of(&name("house"), &read, &entries.into_iter().map(Arc::new).collect::<Vec<_>>()), file);
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused_wherever_it_was() {
    let (_, file) = a_file().await;
    for length in 0..file.len() {
        let refused = read_whole(&file[..length]).expect_err("it is not whole");
        let want = if length < 8 { FileFault::Foreign } else { FileFault::CutShort { at: length as u64 } };
        assert_eq!(refused, want);
    }
    let longer = [&file[..], b"x"].concat();
    let at = file.len() as u64;
    assert_eq!(read_whole(&longer), Err(FileFault::Damaged { at, why: "it goes on after its end".to_owned() }));
}

#[tokio::test]
async fn a_file_with_any_byte_changed_is_refused_where_it_was() {
    let (_, file) = a_file().await;
    let mut d = Dice::seeded(seed());
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << d.below(8);
        let refused = read_whole(&damaged).expect_err("it is damaged");
        match refused {
            FileFault::Foreign => assert!(at < 8),
            FileFault::Newer { .. } => assert!((8..12).contains(&at)),
            FileFault::Damaged { at: told, .. } => assert!(told <= at as u64, "{told} for {at}"),
            // A length that was made larger reaches beyond the end.
            FileFault::CutShort { .. } => assert!(at >= 12),
            FileFault::Io { .. } => panic!("{refused}"),
        }
    }
}

#[tokio::test]
async fn records_that_were_taken_out_or_swapped_are_missed() {
    let (_, file) = a_file().await;
    // The places of the records: a kind, a length, so many bytes, a check.
    let mut places = vec![12];
    while let Some(&at) = places.last().filter(|at| **at < file.len()) {
        let length = u32::from_le_bytes(file[at + 1..at + 5].try_into().unwrap()) as usize;
        places.push(at + 9 + length);
    }
    assert_eq!(places.last(), Some(&file.len()));
    for i in 0..places.len() - 2 {
        let without = [&file[..places[i]], &file[places[i + 1]..]].concat();
        assert!(matches!(read_whole(&without), Err(FileFault::Damaged { .. })), "record {i} is missed");
        let (a, b, c) = (places[i], places[i + 1], places[i + 2]);
        let swapped = [&file[..a], &file[b..c], &file[a..b], &file[c..]].concat();
        assert!(matches!(read_whole(&swapped), Err(FileFault::Damaged { .. })), "records {i} and the next");
    }
}

#[tokio::test]
async fn files_of_later_versions_and_other_things_are_refused() {
    let (_, mut file) = a_file().await;
    file[8..12].copy_from_slice(&9_u32.to_le_bytes());
    let newer = read_whole(&file).expect_err("it is newer");
    assert_eq!(newer, FileFault::Newer { found: 9, known: 2 });
    assert!(newer.to_string().contains("form 9, this version knows forms up to 2"), "{newer}");
    for other in ["", "SURETY", "sites:\n  - id: lej\n    time_zone: Europe/Berlin\n"] {
        assert_eq!(read_whole(other.as_bytes()), Err(FileFault::Foreign));
    }
}

#[tokio::test]
async fn a_file_of_form_1_is_read_which_had_no_offers_and_no_tallies() {
    use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};
    let house = House::memory().await.expect("it needs nothing");
    house.run(network(0, "a network", &[])).await;
    house.run(supply("slot", 1, &[9])).await;
    house.run(hold("a", &[("slot", 1, 2)])).await;
    let mut holdings = house.holdings().await;
    holdings.tallies.clear();
    let mut file = file_of(&house.network, &holdings, &house.feed().await);
    // The end: a kind, a length, what was counted and the digest of all before, a check.
    let end = file.windows(8).rposition(|at| at == xxh3_64(&file[..end_of(&file)]).to_le_bytes()).expect("it has one");
    file[8..12].copy_from_slice(&1_u32.to_le_bytes());
    let begin = end_of(&file);
    let digest = xxh3_64(&file[..begin]);
    file[end..end + 8].copy_from_slice(&digest.to_le_bytes());
    let length = file.len();
    let check = xxh3_64_with_seed(&file[begin + 5..length - 4], u64::from(file[begin])) as u32;
    file[length - 4..].copy_from_slice(&check.to_le_bytes());
    let (_, read, entries) = read_whole(&file).expect("it is older, and whole");
    assert_eq!((read, entries.len()), (holdings, 3));
    // The bytes of its kinds of records, which a later version must not give to others: an entry, the end.
    assert_eq!((file[begin], Kinds(&file).last_before(begin)), (7, 6));
}

/// Where the last record of a file begins.
fn end_of(file: &[u8]) -> usize {
    Kinds(file).places().last().expect("a file has records").0
}

/// The records of a file.
struct Kinds<'a>(&'a [u8]);

impl Kinds<'_> {
    /// Where each begins, and its kind.
    fn places(&self) -> Vec<(usize, u8)> {
        let (mut at, mut places) = (12, Vec::new());
        while at < self.0.len() {
            places.push((at, self.0[at]));
            at += 9 + u32::from_le_bytes(self.0[at + 1..at + 5].try_into().expect("four bytes")) as usize;
        }
        places
    }

    fn last_before(&self, end: usize) -> u8 {
        self.places().into_iter().rfind(|(at, _)| *at < end).expect("there is one").1
    }
}

#[tokio::test]
async fn a_reader_that_fails_is_told_with_its_place() {
    struct Failing(Mutex<Vec<u8>>);
    impl std::io::Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let mut left = self.0.lock().expect("no test panics with it");
            let n = into.len().min(left.len());
            if n == 0 {
                return Err(std::io::Error::other("the disk is gone"));
            }
            into[..n].copy_from_slice(&left[..n]);
            left.drain(..n);
            Ok(n)
        }
    }
    let (_, file) = a_file().await;
    let half = file.len() / 2;
    let read = stored_file::read(Failing(Mutex::new(file[..half].to_vec())));
    let refused = read.and_then(|i| i.entries.collect::<Result<Vec<_>, _>>()).expect_err("it fails midway");
    let FileFault::Io { at, why } = refused else { panic!("{refused}") };
    assert!(at as usize <= half, "{at} of {half}");
    assert_eq!(why, "the disk is gone");
}
