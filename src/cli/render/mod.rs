//! Answers as text for people: pure functions from messages to text.
//!
//! Texts carry ANSI styles, which the output strips where nobody sees them (no terminal, `NO_COLOR`).

pub mod audit;
pub mod failure;
pub mod fulfilment;
pub mod load;
pub mod moving;
pub mod offer;
pub mod operations;
pub mod plan;
pub mod quote;
pub mod reservation;
pub mod scorecard;
pub mod times;

#[cfg(test)]
mod offer_tests;
#[cfg(test)]
mod operations_tests;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::proto::v1;

/// A yes.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// A yes with a but.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// A no.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What one looks for.
pub(crate) const STRONG: Style = Style::new().bold();
/// What can be passed over.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A number with its thousands apart: 1,234,567.
pub(crate) fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        text.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and what it counts.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(i64::try_from(n).unwrap_or(i64::MAX)), if n == 1 { one } else { many })
}

/// The same of a number that a message carries; what is below zero counts as none.
pub(crate) fn counted_of(n: i64, one: &str, many: &str) -> String {
    counted(u64::try_from(n).unwrap_or(0), one, many)
}

/// A part of a whole; nothing of nothing is nothing.
pub(crate) fn share_of(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A share, 0 to 1, in percent with one decimal.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Lines of an order: "2 x mug-blue, 1 x card".
pub(crate) fn lines(lines: &[v1::Line]) -> String {
    let each = lines.iter().map(|line| format!("{} x {}", grouped(i64::from(line.quantity)), line.sku));
    each.collect::<Vec<_>>().join(", ")
}

/// A line of a list of facts: its name, and what it is, under the names before.
pub(crate) fn fact(text: &mut String, name: &str, value: &str) {
    let name = paint(FAINT, &format!("{name:<13}"));
    let _ = writeln!(text, "  {name} {value}");
}

/// What `check-config` found.
pub(crate) fn checked(facts: &[(&'static str, String)]) -> String {
    let mut text = format!("{} `surety serve` would use:\n", paint(GOOD, "The configuration is right."));
    for (name, value) in facts {
        let name = paint(FAINT, &format!("{name:<19}"));
        let _ = writeln!(text, "  {name} {value}");
    }
    text
}

/// An answer of a watch, with the instant at which it became true.
pub(crate) fn watched(at: &str, answer: &str) -> String {
    format!("{}\n{answer}\n", paint(FAINT, &format!("At {at}:")))
}

/// Rows of words in columns as wide as they need to be. Numbers stand to the right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    heads: Vec<(&'static str, bool)>,
    rows: Vec<(Vec<String>, Option<Style>)>,
}

impl Table {
    /// A table with these columns; those whose head begins with '>' hold numbers.
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        let heads = heads.iter().map(|head| match head.strip_prefix('>') {
            Some(number) => (number, true),
            None => (*head, false),
        });
        Self { heads: heads.collect(), rows: Vec::new() }
    }

    /// One row more, in a style if it is to stand out.
    pub(crate) fn row(&mut self, cells: Vec<String>, style: Option<Style>) {
        debug_assert_eq!(cells.len(), self.heads.len(), "a row fills its table");
        self.rows.push((cells, style));
    }

    /// Without rows there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table, each line indented. Columns in which no row says anything are left out.
    pub(crate) fn text(&self, indent: &str) -> String {
        let width = |i: usize| self.rows.iter().map(|(cells, _)| cells[i].chars().count()).max().unwrap_or(0);
        let shown: Vec<(usize, usize)> = (0..self.heads.len())
            .filter(|&i| width(i) > 0)
            .map(|i| (i, width(i).max(self.heads[i].0.chars().count())))
            .collect();
        let line = |cell: &dyn Fn(usize) -> String| {
            let mut line = String::new();
            for (place, &(i, width)) in shown.iter().enumerate() {
                let gap = if place == 0 { "" } else { "  " };
                let cell = cell(i);
                let _ = if self.heads[i].1 {
                    write!(line, "{gap}{cell:>width$}")
                } else {
                    write!(line, "{gap}{cell:<width$}")
                };
            }
            line.trim_end().to_owned()
        };
        let mut text = String::new();
        let _ = writeln!(text, "{indent}{}", paint(FAINT, &line(&|i| self.heads[i].0.to_owned())));
        for (cells, style) in &self.rows {
            let row = line(&|i| cells[i].clone());
            let row = style.map_or_else(|| row.clone(), |style| paint(style, &row));
            let _ = writeln!(text, "{indent}{row}");
        }
        text
    }
}
