//! Where output goes: the one place of the command line that writes.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use super::exit::Failure;
use super::render;
use crate::clock::Clock;

/// The two outputs of a program and the clock that countdowns are shown by.
pub struct Console<'a> {
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
    clock: &'a dyn Clock,
}

impl<'a> Console<'a> {
    /// Writes what was asked for to `out` and what went wrong to `err`.
    pub fn new(out: &'a mut (dyn Write + Send), err: &'a mut (dyn Write + Send), clock: &'a dyn Clock) -> Self {
        Self { out, err, clock }
    }

    /// The present instant.
    pub fn now(&self) -> jiff::Timestamp {
        super::present(self.clock)
    }

    /// Prints what was asked for.
    ///
    /// # Errors
    /// [`Failure::OutputClosed`] when nobody reads any more, as with `surety events | head -1`.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        write!(self.out, "{text}{end}").and_then(|()| self.out.flush()).map_err(|error| closed(&error))
    }

    /// Prints a message as JSON over several lines.
    ///
    /// # Errors
    /// See [`Console::print`].
    pub fn print_json(&mut self, message: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(message).map_err(|error| unprintable(&error))?;
        self.print(&text)
    }

    /// Prints an answer: as JSON with `json`, else as the text that it comes to, at the present instant.
    ///
    /// # Errors
    /// See [`Console::print`].
    pub fn answer(
        &mut self,
        json: bool,
        message: &impl Serialize,
        text: impl FnOnce(jiff::Timestamp) -> String,
    ) -> Result<(), Failure> {
        if json { self.print_json(message) } else { self.print(&text(self.now())) }
    }

    /// Prints a message of a stream as JSON on one line.
    ///
    /// # Errors
    /// See [`Console::print`].
    pub fn print_json_line(&mut self, message: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(message).map_err(|error| unprintable(&error))?;
        self.print(&text)
    }

    /// Says something that is no part of the answer, on stderr.
    pub fn remark(&mut self, text: &str) {
        // If stderr is closed, nobody is left to tell.
        let _ = writeln!(self.err, "{text}").and_then(|()| self.err.flush());
    }

    /// Says what went wrong, on stderr: for people or, with `json`, as one JSON object.
    pub fn complain(&mut self, failure: &Failure, json: bool) {
        match failure {
            Failure::OutputClosed => {}
            failure if json => self.remark(&render::failure::json(failure).to_string()),
            failure => self.remark(render::failure::text(failure).trim_end()),
        }
    }
}

fn closed(error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::wrong("the output can't be written", error.to_string()),
    }
}

fn unprintable(error: &serde_json::Error) -> Failure {
    Failure::wrong("the answer has no JSON form", error.to_string())
}
