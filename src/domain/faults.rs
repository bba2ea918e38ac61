//! What is wrong with an input: every fault, each with its place and what would be right.

use std::fmt;

/// One fault of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: a path into the input as the contract names it, `resources[3].weekly[0].units`.
    pub path: String,
    /// What is wrong and what would be right, one sentence without a full stop.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Collects faults, so that an input's author learns of all of them at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// No faults yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes one fault.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { path: path.into(), message: message.into() });
    }

    /// Whether nothing was found so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, if nothing is wrong with it; else all that is.
    pub fn into_result<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }

    /// All faults found.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }

    /// Adds the faults of a part.
    pub fn extend(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.0.extend(faults);
    }
}

/// All faults in one sentence, for a message.
pub fn summary(faults: &[Fault]) -> String {
    match faults {
        [] => "no fault".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}
