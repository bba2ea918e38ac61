//! What YAML and JSON have in common: a document is a stream of events, each with its place in the file.

use std::borrow::Cow;

use super::FileFault;

/// A place in a file: line and column in characters, both from 1 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pos {
    pub line: u32,
    pub column: u32,
}

impl Pos {
    pub fn fault(self, message: impl Into<String>) -> FileFault {
        FileFault { line: self.line.into(), column: self.column.into(), message: message.into() }
    }
}

/// A value without parts, or a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar<'t> {
    pub text: Cow<'t, str>,
    pub notation: Notation,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// In quotes, or as a block of text.
    Quoted,
    /// A plain YAML scalar: what it is depends on what is needed.
    Plain,
    /// A JSON number, true, false or null.
    Literal,
}

impl Scalar<'_> {
    /// Nothing: `null`, and in YAML `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        match self.notation {
            Notation::Quoted => false,
            Notation::Plain => matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL"),
            Notation::Literal => self.text == "null",
        }
    }
}

/// One event. In a map, keys and values take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'t> {
    Map,
    List,
    /// The end of the innermost map or list.
    End,
    Scalar(Scalar<'t>),
    /// The end of the document, and of all events.
    Eof,
}

/// A document's events. After an error, or the end, no more are asked for.
pub trait Events<'t> {
    /// The next event; a fault that makes the rest of the file unreadable.
    fn next(&mut self) -> Result<(Event<'t>, Pos), FileFault>;
}
