//! Network files: the proto-JSON form of `Network`, as YAML or JSON; the reader serves offers too. Keys may be written in either of the two ways that
//! proto-JSON knows (`display_name`, `displayName`). An own reader takes them, not serde: it goes on after a fault, so that
//! an author learns of all of them at once, and knows the place of each.

use std::fmt::Write;
use std::io::Read;
use std::str::FromStr;

use pbjson_types::Duration;

use super::events::{Event, Events, Notation, Pos, Scalar};
use super::json::Json;
use super::locate::{locate, snake_case};
use super::schema::Fields;
use super::yaml::Yaml;
use super::{Collected, FileFault, FileFaults, one, text};
use crate::domain::faults::Fault;
use crate::domain::limits::MAX_NETWORK_FILE_BYTES;
use crate::proto::v1;

/// How a network file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON as RFC 8259 has it.
    Json,
    /// YAML 1.2.
    Yaml,
}

impl Format {
    /// By the file's ending; by how its text begins where that says nothing.
    pub fn of(file: &str, text: &str) -> Format {
        match file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("json") => Format::Json,
            Some("yaml" | "yml") => Format::Yaml,
            _ if text.trim_start().starts_with('{') => Format::Json,
            _ => Format::Yaml,
        }
    }
}

/// A file's text, kept to find the places of faults that are known by their paths only.
#[derive(Debug)]
pub struct Source {
    file: String,
    text: String,
    format: Format,
}

/// Reads a network file. `file` is its name, for messages and for its format.
pub fn read(file: &str, input: impl Read) -> Result<(v1::Network, Source), FileFaults> {
    let source = Source::of(file, input)?;
    Ok((source.document("a network", "sites, zones and resources")?, source))
}

impl Source {
    /// The places of faults that were found later, by the network's own checks or by a server: each path is looked up in the
    /// file; where it names what is not in the file, the nearest that contains it. Paths may begin with `network.`.
    pub fn locate(&self, faults: &[Fault]) -> FileFaults {
        let paths: Vec<&str> = faults.iter().map(|f| f.path.strip_prefix("network.").unwrap_or(&f.path)).collect();
        let places = locate(&mut *self.events(), &paths);
        let mut collected = Collected::default();
        for ((fault, path), place) in faults.iter().zip(&paths).zip(places) {
            let message = if path.is_empty() { fault.message.clone() } else { format!("{path}: {}", fault.message) };
            collected.push(place.fault(message));
        }
        collected.into_faults(&self.file)
    }

    /// Where values lie: line and column of each path, or of the nearest that contains it.
    pub(super) fn places(&self, paths: &[&str]) -> Vec<(u32, u32)> {
        locate(&mut *self.events(), paths).into_iter().map(|place| (place.line, place.column)).collect()
    }

    fn events(&self) -> Box<dyn Events<'_> + '_> {
        match self.format {
            Format::Json => Box::new(Json::new(&self.text)),
            Format::Yaml => Box::new(Yaml::new(&self.text)),
        }
    }

    /// The text of a file. `file` is its name, for messages and for its format.
    pub(super) fn of(file: &str, input: impl Read) -> Result<Self, FileFaults> {
        let text = text(file, input, MAX_NETWORK_FILE_BYTES)?;
        let format = Format::of(file, &text);
        Ok(Source { file: file.to_owned(), text, format })
    }

    /// The document as a message: what it is, and some of its keys, for messages.
    pub(super) fn document<M: Fields>(&self, what: &str, keys: &str) -> Result<M, FileFaults> {
        if self.text.trim().is_empty() {
            return Err(one(&self.file, 1, 1, format!("is empty; {what} is needed")));
        }
        let mut events = self.events();
        let mut reader = Reader { events: &mut *events, path: Vec::new(), faults: Collected::default() };
        let mut message = M::default();
        if let Err(Stop(fault)) = reader.document(&mut message, what, keys) {
            reader.faults.push(fault);
        }
        let faults = reader.faults;
        if faults.is_empty() { Ok(message) } else { Err(faults.into_faults(&self.file)) }
    }
}

/// A fault after which the rest of the file can't be read.
pub(super) struct Stop(FileFault);

impl From<FileFault> for Stop {
    fn from(fault: FileFault) -> Self {
        Stop(fault)
    }
}

enum Step {
    Field(&'static str),
    Index(usize),
}

/// Reads values of the kinds that the schema names; notes what is wrong with them, and goes on.
pub(super) struct Reader<'e, 't> {
    events: &'e mut (dyn Events<'t> + 'e),
    path: Vec<Step>,
    faults: Collected,
}

impl<'t> Reader<'_, 't> {
    fn document<M: Fields>(&mut self, message: &mut M, what: &str, keys: &str) -> Result<(), Stop> {
        let (event, pos) = self.events.next()?;
        match event {
            Event::Map => self.fields(message)?,
            Event::Eof => self.fault(pos, format!("is empty; {what} is needed")),
            Event::Scalar(scalar) if scalar.is_null() => self.fault(pos, format!("is empty; {what} is needed")),
            other => self.unfit(&other, pos, &format!("{what}, with keys such as {keys},"))?,
        }
        match self.events.next()? {
            (Event::Eof, _) => Ok(()),
            (_, pos) => Err(pos.fault("follows the end of the document; a file holds one").into()),
        }
    }

    /// Notes a fault of the value that is read.
    pub fn fault(&mut self, pos: Pos, message: impl AsRef<str>) {
        let mut text = String::new();
        for step in &self.path {
            // Writing to a string can't fail.
            let _ = match step {
                Step::Field(name) if text.is_empty() => write!(text, "{name}"),
                Step::Field(name) => write!(text, ".{name}"),
                Step::Index(i) => write!(text, "[{i}]"),
            };
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(message.as_ref());
        self.faults.push(pos.fault(text));
    }

    /// Notes that something else is needed here, and passes over what there is.
    fn unfit(&mut self, event: &Event<'_>, pos: Pos, needed: &str) -> Result<(), Stop> {
        let seen = match event {
            Event::Map => "is a map".to_owned(),
            Event::List => "is a list".to_owned(),
            Event::Scalar(s) if s.is_null() => "is null".to_owned(),
            Event::Scalar(s) => format!("is {}", short(&s.text)),
            Event::End | Event::Eof => "ends".to_owned(),
        };
        self.fault(pos, format!("{seen}; {needed} is needed"));
        self.pass_over(event)
    }

    /// Passes over the rest of the value that began with this event.
    fn pass_over(&mut self, begun: &Event<'_>) -> Result<(), Stop> {
        let mut open = usize::from(matches!(begun, Event::Map | Event::List));
        while open > 0 {
            match self.events.next()?.0 {
                Event::Map | Event::List => open += 1,
                Event::End => open -= 1,
                Event::Scalar(_) => {}
                Event::Eof => break,
            }
        }
        Ok(())
    }

    /// The fields of a message whose map has begun.
    fn fields<M: Fields>(&mut self, message: &mut M) -> Result<(), Stop> {
        // The lines of the fields that were seen.
        const { assert!(M::NAMES.len() <= 16) };
        let mut seen = [0u32; 16];
        loop {
            let (event, pos) = self.events.next()?;
            let key = match event {
                Event::End | Event::Eof => return Ok(()),
                Event::Scalar(key) => key,
                other => {
                    self.unfit(&other, pos, "a key")?;
                    self.skip_value()?;
                    continue;
                }
            };
            let name = snake_case(&key.text);
            let Some(field) = M::NAMES.iter().position(|known| *known == name) else {
                let known = M::NAMES.join(", ");
                let message = if key.text == "<<" {
                    "merge keys (<<) are not taken; alias whole values instead".to_owned()
                } else {
                    format!("there is no field {}; there are {known}", short(&key.text))
                };
                self.fault(pos, message);
                self.skip_value()?;
                continue;
            };
            self.path.push(Step::Field(M::NAMES[field]));
            if seen[field] != 0 {
                self.fault(pos, format!("is given twice; first on line {}", seen[field]));
                self.skip_value()?;
            } else {
                seen[field] = pos.line;
                message.read(field, self)?;
            }
            self.path.pop();
        }
    }

    fn skip_value(&mut self) -> Result<(), Stop> {
        let (event, _) = self.events.next()?;
        self.pass_over(&event)
    }

    /// The entries of a list, each read by `entry` from its first event on; nothing is an empty list.
    fn list<T>(
        &mut self,
        needed: &str,
        entry: impl FnMut(&mut Self, Event<'t>, Pos) -> Result<T, Stop>,
    ) -> Result<Vec<T>, Stop> {
        let (event, pos) = self.events.next()?;
        self.list_from(event, pos, needed, entry)
    }

    /// The same, of a list whose first event was read.
    fn list_from<T>(
        &mut self,
        event: Event<'t>,
        pos: Pos,
        needed: &str,
        mut entry: impl FnMut(&mut Self, Event<'t>, Pos) -> Result<T, Stop>,
    ) -> Result<Vec<T>, Stop> {
        let mut entries = Vec::new();
        match event {
            Event::List => loop {
                let (event, pos) = self.events.next()?;
                if matches!(event, Event::End | Event::Eof) {
                    break;
                }
                self.path.push(Step::Index(entries.len()));
                let value = entry(self, event, pos)?;
                entries.push(value);
                self.path.pop();
            },
            Event::Scalar(scalar) if scalar.is_null() => {}
            other => self.unfit(&other, pos, needed)?,
        }
        Ok(entries)
    }

    /// One message.
    pub fn message<M: Fields>(&mut self) -> Result<Option<M>, Stop> {
        let mut message = M::default();
        let (event, pos) = self.events.next()?;
        match event {
            Event::Map => self.fields(&mut message)?,
            Event::Scalar(scalar) if scalar.is_null() => return Ok(None),
            other => {
                let needed = format!("a map with keys such as {}", M::NAMES[0]);
                self.unfit(&other, pos, &needed)?;
            }
        }
        Ok(Some(message))
    }

    /// A list of messages.
    pub fn messages<M: Fields>(&mut self) -> Result<Vec<M>, Stop> {
        self.list("a list", |reader, event, pos| {
            let mut message = M::default();
            match event {
                Event::Map => reader.fields(&mut message)?,
                other => {
                    let needed = format!("a map with keys such as {}", M::NAMES[0]);
                    reader.unfit(&other, pos, &needed)?;
                }
            }
            Ok(message)
        })
    }

    /// A list of texts.
    pub fn texts(&mut self) -> Result<Vec<String>, Stop> {
        self.list("a list of texts", |reader, event, pos| reader.scalar(event, pos, "a text", as_text))
    }

    /// A list of whole numbers; a single one stands for a list of one.
    pub fn numbers(&mut self) -> Result<Vec<i64>, Stop> {
        let (event, pos) = self.events.next()?;
        if let Event::Scalar(scalar) = &event
            && !scalar.is_null()
        {
            return self.scalar(event, pos, "a whole number", as_number).map(|number| vec![number]);
        }
        self.list_from(event, pos, "a list of whole numbers", |reader, event, pos| {
            reader.scalar(event, pos, "a whole number", as_number)
        })
    }

    /// A text that is known to be there or not, with its place.
    pub fn placed_text(&mut self) -> Result<Option<(String, Pos)>, Stop> {
        let (event, pos) = self.events.next()?;
        match event {
            Event::Scalar(scalar) if scalar.is_null() => Ok(None),
            event => self.scalar(event, pos, "a text", as_text).map(|text| Some((text, pos))),
        }
    }

    /// A whole number that is known to be there or not, with its place.
    pub fn placed_number(&mut self) -> Result<Option<(i32, Pos)>, Stop> {
        let (event, pos) = self.events.next()?;
        match event {
            Event::Scalar(scalar) if scalar.is_null() => Ok(None),
            event => self.scalar(event, pos, "a whole number", as_number).map(|number| Some((number, pos))),
        }
    }

    /// A number with decimals, also in quotes.
    pub fn decimal(&mut self) -> Result<f64, Stop> {
        self.value("a number", |s| match s.text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(format!("{} is not a number; write 0.25", short(&s.text))),
        })
    }

    /// A list of weekdays.
    pub fn weekdays(&mut self) -> Result<Vec<i32>, Stop> {
        self.list("a list of weekdays", |reader, event, pos| {
            reader.scalar(event, pos, "a weekday", |s| {
                as_enum(
                    s,
                    "WEEKDAY_MONDAY to WEEKDAY_SUNDAY",
                    |name| v1::Weekday::from_str_name(name).map(Into::into),
                    |n| v1::Weekday::try_from(n).is_ok(),
                )
            })
        })
    }

    /// A resource's kind.
    pub fn kind(&mut self) -> Result<i32, Stop> {
        self.value("a kind", |s| {
            let by_name = |name: &str| v1::resource::Kind::from_str_name(name).map(Into::into);
            as_enum(s, "KIND_CAPACITY or KIND_STOCK", by_name, |n| v1::resource::Kind::try_from(n).is_ok())
        })
    }

    /// A text.
    pub fn text(&mut self) -> Result<String, Stop> {
        self.value("a text", as_text)
    }

    /// A whole number, also in quotes, as proto-JSON has 64-bit numbers.
    pub fn number<N: FromStr + Default>(&mut self) -> Result<N, Stop> {
        self.value("a whole number", as_number)
    }

    /// True or false.
    pub fn truth(&mut self) -> Result<bool, Stop> {
        self.value("true or false", |s| match (&*s.text, s.notation) {
            ("true" | "True" | "TRUE", Notation::Plain) | ("true", Notation::Literal) => Ok(true),
            ("false" | "False" | "FALSE", Notation::Plain) | ("false", Notation::Literal) => Ok(false),
            (other, _) => Err(format!("{} is neither true nor false", short(other))),
        })
    }

    /// A length of time in seconds, `900s` or `0.25s`.
    pub fn duration(&mut self) -> Result<Option<Duration>, Stop> {
        self.value("a duration", |s| {
            let wrong = || format!("{} is not a duration; write seconds, such as 900s", short(&s.text));
            as_duration(&s.text).map(Some).ok_or_else(wrong)
        })
    }

    fn value<T: Default>(&mut self, needed: &str, read: impl Fn(&Scalar<'t>) -> Result<T, String>) -> Result<T, Stop> {
        let (event, pos) = self.events.next()?;
        match event {
            // As proto-JSON has it: null is what is not set.
            Event::Scalar(scalar) if scalar.is_null() => Ok(T::default()),
            event => self.scalar(event, pos, needed, read),
        }
    }

    fn scalar<T: Default>(
        &mut self,
        event: Event<'t>,
        pos: Pos,
        needed: &str,
        read: impl Fn(&Scalar<'t>) -> Result<T, String>,
    ) -> Result<T, Stop> {
        match event {
            Event::Scalar(scalar) if !scalar.is_null() => Ok(read(&scalar).unwrap_or_else(|why| {
                self.fault(pos, why);
                T::default()
            })),
            other => self.unfit(&other, pos, needed).map(|()| T::default()),
        }
    }
}

/// A text from the file in a message: quoted, and cut where it is long.
fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => format!("'{}'", text.escape_debug()),
        Some((at, _)) => format!("'{}...'", text[..at].escape_debug()),
    }
}

fn as_number<N: FromStr>(scalar: &Scalar<'_>) -> Result<N, String> {
    let digits = scalar.text.strip_prefix('-').unwrap_or(&scalar.text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{} is not a whole number; write digits only", short(&scalar.text)));
    }
    scalar.text.parse().map_err(|_| format!("{} is too large a number", short(&scalar.text)))
}

fn as_text(scalar: &Scalar<'_>) -> Result<String, String> {
    match scalar.notation {
        // A plain YAML scalar is the text that stands there, 08:00 and 4711 too.
        Notation::Quoted | Notation::Plain => Ok(scalar.text.to_string()),
        Notation::Literal => Err(format!("is {}; a text in double quotes is needed", scalar.text)),
    }
}

fn as_enum(
    scalar: &Scalar<'_>,
    names: &str,
    by_name: impl Fn(&str) -> Option<i32>,
    is_known: impl Fn(i32) -> bool,
) -> Result<i32, String> {
    let by_number = || scalar.text.parse().ok().filter(|n| scalar.notation != Notation::Quoted && is_known(*n));
    by_name(&scalar.text)
        .or_else(by_number)
        .ok_or_else(|| format!("{} is not known; {names} is right", short(&scalar.text)))
}

/// As proto-JSON has it: seconds with up to nine decimal places, then `s`.
fn as_duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (sign, number) = number.strip_prefix('-').map_or((1, number), |rest| (-1, rest));
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let nanos: i32 = format!("{decimals:0<9}").parse().ok()?;
    Some(Duration { seconds: sign * whole.parse::<i64>().ok()?, nanos: sign as i32 * nanos })
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
