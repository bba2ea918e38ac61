//! CSV as RFC 4180 has it, one record a line, each cell with its column. An own reader, since ours must say in which column of
//! the file a cell begins, and must not guess at broken quotes. A byte order mark and CRLF are accepted; empty lines are
//! passed over. Cells are parted by commas or, as spreadsheets of many countries write them, by semicolons, tabs or bars:
//! whichever comes first in the header outside of quotes, or what a first line `sep=;` says.

use std::io::{BufRead, BufReader, Read};

use super::{Collected, FileFault, characters};
use crate::domain::limits::MAX_CSV_LINE_BYTES;

/// What may part cells.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// What to do about a file that is not UTF-8, where nobody can tell how it is written.
const SAVE_AS_UTF_8: &str = "save the file as UTF-8";
/// What to do where they can. Bytes that are not UTF-8 are mostly those of older programs.
const TELL_ENCODING: &str = "save the file as UTF-8, or say --encoding windows-1252 if an older program wrote it";

struct Cell {
    /// Where its text lies in `Rows::text`.
    text: std::ops::Range<usize>,
    /// In characters, from 1 on.
    column: u64,
}

/// The rows of a file with a header.
pub struct Rows<R> {
    input: BufReader<R>,
    buffer: Vec<u8>,
    text: String,
    cells: Vec<Cell>,
    line: u64,
    /// For each known column, the place of its cell in a row.
    places: Vec<Option<usize>>,
    /// Columns of the header; 0: it is still to be read.
    width: usize,
    /// One of [`DELIMITERS`].
    delimiter: char,
    /// Whether a line `sep=;` told it.
    told: bool,
    /// What is said of a line that is not UTF-8.
    not_utf_8: &'static str,
    ended: bool,
}

/// A column that a reader looks for.
pub struct Column {
    /// Its name here.
    pub name: &'static str,
    /// Whether a file without it can't be read.
    pub required: bool,
    /// What else files call it, in small letters and digits only.
    pub synonyms: &'static [&'static str],
}

/// A column's name as it is compared: small, without spaces, points and the like.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl<R: Read> Rows<R> {
    /// Reads the header. Its columns may stand in any order; `required` must be there, `optional` may, others are faults.
    /// `cell` and `column` take the place of a column in `required`, then `optional`.
    pub fn new(input: R, required: &[&str], optional: &[&str]) -> Result<Self, Collected> {
        let (mut rows, names) = Self::header(input, required, SAVE_AS_UTF_8)?;
        let mut faults = Collected::default();
        let known: Vec<&str> = required.iter().chain(optional).copied().collect();
        rows.places = vec![None; known.len()];
        for (i, (name, column)) in names.iter().enumerate() {
            match known.iter().position(|k| k == name) {
                None => faults.add(
                    rows.line,
                    *column,
                    format!("there is no column '{}'; there are {}", name.escape_debug(), known.join(",")),
                ),
                Some(k) if rows.places[k].is_some() => {
                    faults.add(rows.line, *column, format!("the column '{name}' is given twice"));
                }
                Some(k) => rows.places[k] = Some(i),
            }
        }
        for (k, name) in required.iter().enumerate() {
            if rows.places[k].is_none() {
                faults.add(rows.line, 1, format!("the column '{name}' is missing"));
            }
        }
        if faults.is_empty() { Ok(rows) } else { Err(faults) }
    }

    /// Reads the header of a file that another program wrote: columns go by many names, `told` says which is which where that
    /// is not enough, and columns that nobody looks for are passed over.
    pub fn of_export(input: R, columns: &[Column], told: &[(String, String)]) -> Result<Self, Collected> {
        let needed: Vec<&str> = columns.iter().filter(|c| c.required).map(|c| c.name).collect();
        let (mut rows, names) = Self::header(input, &needed, TELL_ENCODING)?;
        let mut faults = Collected::default();
        rows.places = vec![None; columns.len()];
        for (k, wanted) in columns.iter().enumerate() {
            let all = |is: &dyn Fn(&str) -> bool| (0..names.len()).filter(|&i| is(&names[i].0)).collect::<Vec<_>>();
            let told = told.iter().find(|(here, _)| here == wanted.name).map(|(_, theirs)| plain(theirs));
            let found = match &told {
                Some(theirs) => all(&|name| plain(name) == *theirs),
                // Our own name comes before all others.
                None => match all(&|name| plain(name) == wanted.name) {
                    exact if exact.is_empty() => all(&|name| wanted.synonyms.contains(&plain(name).as_str())),
                    exact => exact,
                },
            };
            match found.as_slice() {
                [one] => rows.places[k] = Some(*one),
                [] if wanted.required || told.is_some() => {
                    let seen = names.iter().map(|(name, _)| format!("'{}'", name.trim().escape_debug()));
                    let (seen, name) = (seen.collect::<Vec<_>>().join(", "), wanted.name);
                    let why = format!(
                        "the column '{}' is missing; there are {seen}; say --columns {name}=... which one it is",
                        told.as_deref().unwrap_or(name)
                    );
                    faults.add(rows.line, 1, why);
                }
                [] => {}
                [.., last] => {
                    let found = found.iter().map(|&i| format!("'{}'", names[i].0.trim())).collect::<Vec<_>>();
                    let (found, name) = (found.join(" and "), wanted.name);
                    let why =
                        format!("{found} can both be the column '{name}'; say --columns {name}=... which one it is");
                    faults.add(rows.line, names[*last].1, why);
                }
            }
        }
        if faults.is_empty() { Ok(rows) } else { Err(faults) }
    }

    /// Reads the line of names: each with its column in the file.
    fn header(input: R, required: &[&str], not_utf_8: &'static str) -> Result<(Self, Vec<(String, u64)>), Collected> {
        let mut rows = Rows {
            input: BufReader::with_capacity(1 << 16, input),
            buffer: Vec::new(),
            text: String::new(),
            cells: Vec::new(),
            line: 0,
            places: Vec::new(),
            width: 0,
            delimiter: ',',
            told: false,
            not_utf_8,
            ended: false,
        };
        let mut faults = Collected::default();
        match rows.record() {
            Some(Ok(())) => {}
            Some(Err(fault)) => faults.push(fault),
            None => faults.add(1, 1, format!("is empty; a header is needed: {}", required.join(","))),
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let names: Vec<(String, u64)> =
            rows.cells.iter().map(|c| (rows.text[c.text.clone()].to_owned(), c.column)).collect();
        if let [(only, column)] = names.as_slice()
            && required.len() > 1
            && !required.contains(&only.as_str())
        {
            let (only, needed) = (only.escape_debug(), required.join(","));
            let why =
                format!("'{only}' is its only column; needed are {needed}, parted by commas, semicolons, tabs or bars");
            faults.add(rows.line, *column, why);
            return Err(faults);
        }
        rows.width = names.len();
        Ok((rows, names))
    }

    /// Whether the file has a known column.
    pub fn has(&self, column: usize) -> bool {
        self.places[column].is_some()
    }

    /// The column in the file of the row's cell of a known column.
    pub fn column(&self, column: usize) -> u64 {
        self.places[column].map_or(1, |place| self.cells[place].column)
    }

    /// Goes to the next row. A fault concerns one row, the next may be good; after a fault of reading there are no more.
    pub fn advance(&mut self) -> Option<Result<(), FileFault>> {
        let width = self.width;
        Some(self.record()?.and_then(|()| {
            if self.cells.len() == width {
                return Ok(());
            }
            Err(self.fault(1, format!("has {} cells; the header has {width} columns", self.cells.len())))
        }))
    }

    /// The row's line, from 1 on.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The cell of a known column; empty where the file has no such column.
    pub fn cell(&self, column: usize) -> &str {
        self.places[column].map_or("", |place| &self.text[self.cells[place].text.clone()])
    }

    /// A fault of the cell of a known column.
    pub fn cell_fault(&self, column: usize, message: String) -> FileFault {
        self.fault(self.column(column), message)
    }

    fn fault(&self, column: u64, message: impl Into<String>) -> FileFault {
        FileFault { line: self.line, column, message: message.into() }
    }

    /// The next line that is not empty, cut into cells.
    fn record(&mut self) -> Option<Result<(), FileFault>> {
        loop {
            if self.ended {
                return None;
            }
            self.buffer.clear();
            self.line += 1;
            let limit = MAX_CSV_LINE_BYTES as u64 + 1;
            match (&mut self.input).take(limit).read_until(b'\n', &mut self.buffer) {
                Ok(0) => {
                    self.ended = true;
                    return None;
                }
                Ok(_) => {}
                Err(why) => {
                    self.ended = true;
                    return Some(Err(self.fault(1, format!("can't be read from here on: {why}"))));
                }
            }
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if self.buffer.last() == Some(&b'\n') {
                self.buffer.pop();
                if self.buffer.last() == Some(&b'\r') {
                    self.buffer.pop();
                }
            } else if self.buffer.len() > MAX_CSV_LINE_BYTES {
                self.ended = true;
                let message = format!("is longer than {MAX_CSV_LINE_BYTES} bytes, the most that a line may have");
                return Some(Err(self.fault(1, message)));
            }
            if self.width == 0 && self.line == 1 && self.tells_delimiter() {
                continue;
            }
            if !self.buffer.is_empty() {
                return Some(self.cut());
            }
        }
    }

    /// Whether the line is what a spreadsheet writes to say how cells are parted, and no part of the table.
    fn tells_delimiter(&mut self) -> bool {
        let told = match self.buffer.as_slice() {
            [b'"', told @ .., b'"'] => told.strip_prefix(b"sep="),
            told => told.strip_prefix(b"sep="),
        };
        let told = told.and_then(|told| DELIMITERS.into_iter().find(|d| told == [*d as u8]));
        self.delimiter = told.unwrap_or(self.delimiter);
        self.told = told.is_some();
        self.told
    }

    fn cut(&mut self) -> Result<(), FileFault> {
        self.cells.clear();
        self.text.clear();
        let line = match std::str::from_utf8(&self.buffer) {
            Ok(line) => line,
            Err(why) => {
                let column = characters(&self.buffer[..why.valid_up_to()]) + 1;
                return Err(self.fault(column, format!("is not UTF-8 here; {}", self.not_utf_8)));
            }
        };
        if self.width == 0 && !self.told {
            let mut quoted = false;
            let outside = line.chars().find(|c| {
                quoted ^= *c == '"';
                !quoted && DELIMITERS.contains(c)
            });
            self.delimiter = outside.unwrap_or(',');
        }
        let delimiter = self.delimiter;
        let fault =
            |column: u64, message: &str| Err(FileFault { line: self.line, column, message: message.to_owned() });
        let (mut rest, mut column) = (line, 1u64);
        loop {
            let begin = self.text.len();
            let first = column;
            if let Some(quoted) = rest.strip_prefix('"') {
                (rest, column) = (quoted, column + 1);
                loop {
                    let Some(close) = rest.find('"') else {
                        return fault(first, "opens a quoted cell that does not end on its line; close it with '\"'");
                    };
                    self.text.push_str(&rest[..close]);
                    column += characters(&rest.as_bytes()[..close]) + 1;
                    rest = &rest[close + 1..];
                    let Some(more) = rest.strip_prefix('"') else { break };
                    self.text.push('"');
                    (rest, column) = (more, column + 1);
                }
                if !(rest.is_empty() || rest.starts_with(delimiter)) {
                    let wanted = delimiter.escape_debug();
                    return fault(column, &format!("follows a quoted cell; '{wanted}' or the line's end is needed"));
                }
            } else {
                let end = rest.find(delimiter).unwrap_or(rest.len());
                let (cell, after) = rest.split_at(end);
                if let Some(at) = cell.find('"') {
                    let at = column + characters(&cell.as_bytes()[..at]);
                    return fault(at, "is a quote within a cell; quote the whole cell, and write \"\" for a quote");
                }
                self.text.push_str(cell);
                column += characters(cell.as_bytes());
                rest = after;
            }
            self.cells.push(Cell { text: begin..self.text.len(), column: first });
            match rest.strip_prefix(delimiter) {
                None => return Ok(()),
                Some(more) => (rest, column) = (more, column + 1),
            }
        }
    }
}

/// A whole number of a cell. Spreadsheets write some with a fraction of nothing, `12,00` or `12.0`: one or two zeros are passed
/// over. Three could be thousands, and are not guessed at.
pub fn whole_number(text: &str) -> Result<i64, String> {
    let whole = match text.split_once([',', '.']) {
        Some((whole, "0" | "00")) => whole,
        _ => text,
    };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("'{}' is not a whole number; write digits only", text.escape_debug()));
    }
    whole.parse().map_err(|_| format!("'{text}' is too large a number"))
}
