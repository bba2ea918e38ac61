//! JSON as RFC 8259 has it, read event by event, each with its line and column.

use std::borrow::Cow;

use super::events::{Event, Events, Notation, Pos, Scalar};
use super::{FileFault, characters};
use crate::domain::limits::MAX_FILE_DEPTH;

enum Frame {
    List { first: bool },
    Map { first: bool, key_next: bool },
}

/// Reads one JSON document.
pub struct Json<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    /// A place on the present line whose column is known: bytes and column.
    known: (usize, u32),
    stack: Vec<Frame>,
    begun: bool,
}

impl<'t> Json<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, line: 1, known: (0, 1), stack: Vec::new(), begun: false }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn pos(&mut self) -> Pos {
        let (from, column) = self.known;
        let column = column + characters(&self.text.as_bytes()[from..self.at]) as u32;
        self.known = (self.at, column);
        Pos { line: self.line, column }
    }

    fn fault(&mut self, message: impl Into<String>) -> FileFault {
        self.pos().fault(message)
    }

    fn white_space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.known = (self.at, 1);
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                _ => break,
            }
        }
    }

    /// What is here, for a message.
    fn seen(&self) -> String {
        self.text[self.at..].chars().next().map_or("the file ends".to_owned(), |c| format!("{c:?} stands here"))
    }

    /// Passes over the comma between two entries. Whether the container ends here instead.
    fn between(&mut self, first: bool, close: u8) -> Result<bool, FileFault> {
        self.white_space();
        if self.peek() == Some(close) {
            return Ok(true);
        }
        if !first {
            if self.peek() != Some(b',') {
                let message = format!("{}; ',' or '{}' is needed", self.seen(), char::from(close));
                return Err(self.fault(message));
            }
            self.at += 1;
            self.white_space();
            if self.peek() == Some(close) {
                return Err(self.fault(format!("'{}' follows a comma; leave the comma out", char::from(close))));
            }
        }
        Ok(false)
    }

    fn value(&mut self) -> Result<(Event<'t>, Pos), FileFault> {
        self.white_space();
        let pos = self.pos();
        let event = match self.peek() {
            Some(b'{') => {
                self.open(Frame::Map { first: true, key_next: true })?;
                Event::Map
            }
            Some(b'[') => {
                self.open(Frame::List { first: true })?;
                Event::List
            }
            Some(b'"') => Event::Scalar(Scalar { text: self.string()?, notation: Notation::Quoted }),
            Some(b'-' | b'0'..=b'9') => Event::Scalar(self.number()?),
            _ => Event::Scalar(self.word()?),
        };
        Ok((event, pos))
    }

    fn open(&mut self, frame: Frame) -> Result<(), FileFault> {
        if self.stack.len() == MAX_FILE_DEPTH {
            return Err(self.fault(format!("lies more than {MAX_FILE_DEPTH} levels deep")));
        }
        self.at += 1;
        self.stack.push(frame);
        Ok(())
    }

    fn word(&mut self) -> Result<Scalar<'t>, FileFault> {
        let rest = &self.text[self.at..];
        for word in ["true", "false", "null"] {
            if rest.starts_with(word) && !rest[word.len()..].starts_with(|c: char| c.is_alphanumeric()) {
                self.at += word.len();
                return Ok(Scalar { text: Cow::Borrowed(word), notation: Notation::Literal });
            }
        }
        let message = format!("{}; a value is needed", self.seen());
        Err(self.fault(message))
    }

    fn number(&mut self) -> Result<Scalar<'t>, FileFault> {
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            let from = at;
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            (at, at > from)
        };
        let begin = self.at;
        let whole = begin + usize::from(bytes[begin] == b'-');
        let (mut end, mut good) = digits(whole);
        good &= !(bytes.get(whole) == Some(&b'0') && end > whole + 1);
        if bytes.get(end) == Some(&b'.') {
            let (at, any) = digits(end + 1);
            (end, good) = (at, good && any);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let (at, any) = digits(end + 1 + sign);
            (end, good) = (at, good && any);
        }
        if !good {
            return Err(self.fault(format!("'{}' is not a JSON number", &self.text[begin..end])));
        }
        self.at = end;
        Ok(Scalar { text: Cow::Borrowed(&self.text[begin..end]), notation: Notation::Literal })
    }

    fn string(&mut self) -> Result<Cow<'t, str>, FileFault> {
        let open = self.pos();
        self.at += 1;
        let mut begin = self.at;
        let mut owned = String::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    let tail = &self.text[begin..self.at];
                    self.at += 1;
                    return Ok(if owned.is_empty() { Cow::Borrowed(tail) } else { Cow::Owned(owned + tail) });
                }
                Some(b'\\') => {
                    owned.push_str(&self.text[begin..self.at]);
                    let escaped = self.escape()?;
                    owned.push(escaped);
                    begin = self.at;
                }
                Some(byte) if byte >= 0x20 => self.at += 1,
                Some(b'\n' | b'\r') => {
                    return Err(open.fault("begins a text that does not end on its line; close it with '\"'"));
                }
                Some(_) => return Err(self.fault("is a control character; write it as \\u00XX")),
                None => return Err(open.fault("begins a text that does not end; close it with '\"'")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, FileFault> {
        let wrong = "is not an escape of JSON; write \\\\ for a backslash";
        let simple = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = |at: usize| {
                    let hex = self.text.get(at..at + 4)?;
                    hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(hex, 16).ok())?
                };
                let Some(high) = unit(self.at + 2) else { return Err(self.fault(wrong)) };
                let pair = (0xd800..0xdc00).contains(&high) && self.text[self.at + 6..].starts_with("\\u");
                let low = if pair { unit(self.at + 8) } else { None };
                let decoded = char::decode_utf16([Some(high), low].into_iter().flatten()).next();
                let Some(Ok(c)) = decoded else {
                    return Err(self.fault("is half of a surrogate pair; both halves are needed"));
                };
                self.at += if c.len_utf16() == 2 { 12 } else { 6 };
                return Ok(c);
            }
            _ => return Err(self.fault(wrong)),
        };
        self.at += 2;
        Ok(simple)
    }
}

impl<'t> Events<'t> for Json<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Pos), FileFault> {
        match self.stack.last_mut() {
            None if !self.begun => {
                self.begun = true;
                self.value()
            }
            None => {
                self.white_space();
                let pos = self.pos();
                if self.at < self.text.len() {
                    return Err(pos.fault("follows the end of the document; a file holds one"));
                }
                Ok((Event::Eof, pos))
            }
            Some(Frame::List { first }) => {
                let first = std::mem::replace(first, false);
                if self.between(first, b']')? {
                    let pos = self.pos();
                    self.at += 1;
                    self.stack.pop();
                    return Ok((Event::End, pos));
                }
                self.value()
            }
            Some(Frame::Map { first, key_next }) if *key_next => {
                *key_next = false;
                let first = std::mem::replace(first, false);
                if self.between(first, b'}')? {
                    let pos = self.pos();
                    self.at += 1;
                    self.stack.pop();
                    return Ok((Event::End, pos));
                }
                let pos = self.pos();
                if self.peek() != Some(b'"') {
                    let message = format!("{}; a key in double quotes is needed", self.seen());
                    return Err(self.fault(message));
                }
                let text = self.string()?;
                self.white_space();
                if self.peek() != Some(b':') {
                    let message = format!("{}; ':' is needed", self.seen());
                    return Err(self.fault(message));
                }
                self.at += 1;
                Ok((Event::Scalar(Scalar { text, notation: Notation::Quoted }), pos))
            }
            Some(Frame::Map { key_next, .. }) => {
                *key_next = true;
                self.value()
            }
        }
    }
}
