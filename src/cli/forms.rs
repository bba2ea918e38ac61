//! How a CSV file is written, as a user tells it, and what is to become of its bad rows.

use clap::Args;

use super::exit::Failure;
use super::values;
use crate::domain::faults::Faults;
use crate::files::FileFaults;
use crate::files::forms::Forms;

/// Options of commands that read CSV as other programs write it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The file")]
pub struct FormArgs {
    /// Say what would change, and change nothing
    #[arg(long, visible_alias = "validate-only", env = "SURETY_DRY_RUN", value_parser = values::flag)]
    pub dry_run: bool,
    /// Take the good rows even if others are bad; the bad ones are listed, and the exit code is 1
    #[arg(long, env = "SURETY_SKIP_BAD", value_parser = values::flag)]
    pub skip_bad: bool,
    /// How dates are written: yyyy-mm-dd, yyyymmdd, dd.mm.yyyy, dd/mm/yyyy, mm/dd/yyyy ...; found out from the file as a
    /// whole if not given
    #[arg(long, env = "SURETY_DATES", value_name = "FORM")]
    pub dates: Option<String>,
    /// What stands before the decimals of numbers: comma or point, the other parts thousands; found out if not given
    #[arg(long, env = "SURETY_DECIMAL", value_name = "MARK")]
    pub decimal: Option<String>,
    /// utf-8, utf-16 or windows-1252; UTF-8, or UTF-16 where the file says so itself, if not given
    #[arg(long, env = "SURETY_ENCODING", value_name = "ENCODING")]
    pub encoding: Option<String>,
    /// Which of the file's columns is which, where their names don't tell: resource=Arbeitsplatz,units=Menge
    #[arg(long, env = "SURETY_COLUMNS", value_name = "NAME=COLUMN", value_delimiter = ',')]
    pub columns: Vec<String>,
}

impl FormArgs {
    /// What is told of the file; `columns` are those that it can have. All faults are noted.
    pub fn check(&self, columns: &[&str], faults: &mut Faults) -> Forms {
        fn told<T: std::str::FromStr<Err = String>>(
            name: &str,
            text: Option<&String>,
            faults: &mut Faults,
        ) -> Option<T> {
            match text.filter(|text| !text.is_empty())?.parse() {
                Ok(told) => Some(told),
                Err(why) => {
                    faults.add(name, why);
                    None
                }
            }
        }
        let mut forms = Forms {
            dates: told("--dates", self.dates.as_ref(), faults),
            decimal: told("--decimal", self.decimal.as_ref(), faults),
            encoding: told("--encoding", self.encoding.as_ref(), faults),
            columns: Vec::new(),
        };
        for text in self.columns.iter().filter(|text| !text.is_empty()) {
            match text.split_once('=') {
                Some((name, theirs)) if columns.contains(&name.trim()) && !theirs.trim().is_empty() => {
                    forms.columns.push((name.trim().to_owned(), theirs.trim().to_owned()));
                }
                _ => {
                    let known = columns.join(", ");
                    faults
                        .add("--columns", format!("'{text}' names no column; write NAME=COLUMN, NAME one of {known}"));
                }
            }
        }
        forms
    }

    /// What the file's bad rows come to: none of the file is taken, or all but them.
    ///
    /// # Errors
    /// All of them, unless they are to be skipped.
    pub fn judge(&self, name: &str, faults: &FileFaults) -> Result<Vec<String>, Failure> {
        if faults.faults.is_empty() {
            return Ok(Vec::new());
        }
        let faults: Vec<String> = faults.to_string().lines().map(str::to_owned).collect();
        if self.skip_bad {
            Ok(faults)
        } else {
            Err(Failure::Wrong { what: format!("{name} is wrong, and none of it was taken"), faults })
        }
    }
}
