//! Files that people and their systems write: networks and offers (YAML, JSON), plans, fulfilments and orders (CSV). A file is
//! taken whole or not at all unless its user wants otherwise, and every fault is named by file, line and column, as compilers do.

mod csv;
mod events;
pub mod forms;
pub mod fulfilments;
mod json;
mod locate;
#[cfg(test)]
pub(crate) mod mutation;
pub mod network;
pub mod offer;
pub mod orders;
pub mod plan;
mod schema;
mod yaml;

use std::fmt;
use std::io::Read;

use crate::domain::limits::MAX_SHOWN_FAULTS;

/// One fault of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileFault {
    /// From 1 on; 0: the file as a whole.
    pub line: u64,
    /// In characters, from 1 on; 0: the line or file as a whole.
    pub column: u64,
    /// What is wrong and what would be right.
    pub message: String,
}

/// All that is wrong with a file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFaults {
    /// The file, as the caller named it.
    pub file: String,
    /// The first `MAX_SHOWN_FAULTS` faults.
    pub faults: Vec<FileFault>,
    /// Faults beyond those.
    pub left_out: usize,
}

impl fmt::Display for FileFaults {
    /// A line a fault: `network.yaml:4711:13: resources[3].weekly[0].units: is -5; ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{}:", self.file)?;
            if fault.line > 0 {
                write!(f, "{}:", fault.line)?;
            }
            if fault.column > 0 {
                write!(f, "{}:", fault.column)?;
            }
            write!(f, " {}", fault.message)?;
        }
        match self.left_out {
            0 => Ok(()),
            n => write!(f, "\n{}: and {n} more faults", self.file),
        }
    }
}

impl std::error::Error for FileFaults {}

/// Collects faults, the first of them in full and the number of the others.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    faults: Vec<FileFault>,
    left_out: usize,
}

impl Collected {
    pub(crate) fn add(&mut self, line: u64, column: u64, message: impl Into<String>) {
        self.push(FileFault { line, column, message: message.into() });
    }

    pub(crate) fn push(&mut self, fault: FileFault) {
        if self.faults.len() < MAX_SHOWN_FAULTS {
            self.faults.push(fault);
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn into_faults(mut self, file: &str) -> FileFaults {
        self.faults.sort();
        FileFaults { file: file.to_owned(), faults: self.faults, left_out: self.left_out }
    }
}

fn one(file: &str, line: u64, column: u64, message: impl Into<String>) -> FileFaults {
    FileFaults { file: file.to_owned(), faults: vec![FileFault { line, column, message: message.into() }], left_out: 0 }
}

/// The whole text of a file, without a byte order mark.
fn text(file: &str, input: impl Read, limit: u64) -> Result<String, FileFaults> {
    let mut bytes = Vec::new();
    input
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|why| one(file, 0, 0, format!("can't be read: {why}")))?;
    if bytes.len() as u64 > limit {
        return Err(one(file, 0, 0, format!("is larger than {limit} bytes, the most that is taken")));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|why| {
        let good = &why.as_bytes()[..why.utf8_error().valid_up_to()];
        let line = good.iter().filter(|b| **b == b'\n').count() as u64 + 1;
        let start = good.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        one(file, line, characters(&good[start..]) + 1, "is not UTF-8 here; save the file as UTF-8")
    })
}

/// Characters in valid UTF-8.
fn characters(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b & 0xc0 != 0x80).count() as u64
}
