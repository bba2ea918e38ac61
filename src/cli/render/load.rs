//! The report of a load as text for people.

use super::{BAD, FAINT, GOOD, STRONG, Table, WARN, fact, paint};
use crate::load::report::{Checked, Report};

/// The report.
pub(crate) fn report(report: &Report) -> String {
    let mut text = String::new();
    for (name, value) in report.facts() {
        fact(&mut text, name, &value);
    }
    for words in report.tables() {
        let mut table = Table::new(&words.heads);
        for row in words.rows {
            // What stands for all of a subject is what most readers look for.
            let style = (row.first().is_some_and(|name| name == "all")).then_some(STRONG);
            table.row(row, style);
        }
        text.push_str(&paint(FAINT, &format!("{}:\n", words.title)));
        text.push_str(&table.text("  "));
    }
    for remark in report.remarks() {
        text.push_str(&remark);
        text.push('\n');
    }
    let style = match &report.checked {
        Checked::Made(_) if report.violated() => BAD,
        Checked::Made(_) => GOOD,
        Checked::NotMade(_) => WARN,
    };
    for (at, sentence) in report.verdict().into_iter().enumerate() {
        let line = if at == 0 { paint(style, &sentence) } else { format!("  {sentence}") };
        text.push_str(&line);
        text.push('\n');
    }
    text
}
