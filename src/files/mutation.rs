//! For tests: many inputs that are a little wrong, from a seed.

/// SplitMix64: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Calls the decoder with so many mutations of a good input. Prints the seed, which `SURETY_TEST_SEED` repeats.
pub fn try_many(what: &str, times: usize, good: &[u8], mut decode: impl FnMut(&[u8])) {
    let given = std::env::var("SURETY_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
    println!("mutated {what}: SURETY_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let spice: &[&[u8]] = &[
        b"\"",
        b"\n",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"-",
        b"- ",
        b"&a ",
        b"*a",
        b"\\u",
        b"\\ud800",
        b"null",
        b"~",
        b"\r\n",
        b"\xff",
        b"\xc3",
        b"\xef\xbb\xbf",
        b"9999999999999999999999",
        b"-9223372036854775808",
        b"1e999",
        b"--9s",
        b"#",
        b"|\n",
        b"? ",
        b"!!str ",
        b"<<: *a",
        b"---\n",
        b"\t",
        b"\0",
        b"'",
        b"9999-12-31T23:59",
        b"0000-00-00",
    ];
    for _ in 0..times {
        let mut bytes = good.to_vec();
        for _ in 0..=random.below(8) {
            let at = random.below(bytes.len() + 1);
            match random.below(6) {
                0 if at < bytes.len() => bytes[at] = random.next() as u8,
                1 => bytes.truncate(at.max(1)),
                2 => {
                    let word = spice[random.below(spice.len())];
                    bytes.splice(at..at, word.iter().copied());
                }
                3 => {
                    let end = (at + random.below(12)).min(bytes.len());
                    bytes.drain(at..end);
                }
                4 => {
                    let end = (at + random.below(40)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = random.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
                _ => bytes.insert(at, random.next() as u8),
            }
        }
        decode(&bytes);
    }
}
