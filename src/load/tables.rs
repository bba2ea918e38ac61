//! A report in words: facts, tables and sentences, the same for the terminal and the page.

use std::time::Duration;

use super::check::{Findings, Level};
use super::measured::{Measured, Outcome};
use super::plan::{Land, Pace};
use super::report::{Checked, Range, Report, Row, SHARES};

/// A table in words. Columns whose head begins with '>' hold numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What it shows.
    pub title: String,
    /// Its columns.
    pub heads: Vec<&'static str>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

impl Words {
    /// Without the columns in which no row says anything.
    fn without_empty_columns(self) -> Self {
        let says = |at: &usize| self.rows.iter().any(|row| !matches!(row[*at].as_str(), "" | "-"));
        let kept: Vec<usize> = (0..self.heads.len()).filter(says).collect();
        let rows = self.rows.iter().map(|row| kept.iter().map(|at| row[*at].clone()).collect()).collect();
        Self { title: self.title, heads: kept.iter().map(|at| self.heads[*at]).collect(), rows }
    }
}

/// Milliseconds, with no more digits than tell something.
pub fn milliseconds(length: Duration) -> String {
    match length.as_secs_f64() * 1e3 {
        ms if ms >= 100.0 => grouped(ms),
        ms if ms >= 10.0 => format!("{ms:.1}"),
        ms => format!("{ms:.2}"),
    }
}

/// A number without decimals, its thousands apart.
pub fn grouped(n: f64) -> String {
    let digits = format!("{n:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn whole(n: u64) -> String {
    grouped(n as f64)
}

/// A rate, with its range where it differs.
fn rate(range: &Range) -> String {
    let number = |n: f64| if n >= 100.0 { grouped(n) } else { format!("{n:.1}") };
    let (median, least, most) = (number(range.median), number(range.least), number(range.most));
    if least == most { median } else { format!("{median} ({least}-{most})") }
}

/// A ratio, with its range where it differs.
fn ratio(range: Option<&Range>) -> String {
    let Some(range) = range else { return "-".to_owned() };
    let number = |n: f64| if n >= 100.0 { grouped(n) } else { format!("{n:.2}") };
    let (median, least, most) = (number(range.median), number(range.least), number(range.most));
    if least == most { median } else { format!("{median} ({least}-{most})") }
}

fn seconds(length: Duration) -> String {
    format!("{} s", (length.as_secs_f64() * 1e3).round() / 1e3)
}

fn latency(measured: &Measured, length: Duration) -> String {
    if measured.latencies.is_empty() { "-".to_owned() } else { milliseconds(length) }
}

impl Report {
    /// What was driven, how, and on what machine.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let plan = &self.plan;
        let mut facts =
            vec![("Targets", format!("{}, {} connections each", plan.targets.join(", "), plan.connections))];
        let (products, zones, version, by) = &self.network;
        let made = match plan.land {
            Land::Made { units, .. } => format!("made for the run, {} units a bucket", grouped(units as f64)),
            Land::AsIs => format!("as it was found, {zones} zones"),
        };
        let products = grouped(*products as f64);
        let network = format!("'{}' version {version}, {made}; {products} products; asked for by {by}", plan.network);
        facts.push(("Network", network));
        facts.push(("Load", self.load()));
        facts.push(("Mix", format!("{}; skew {}; lines {}; seed {}", plan.mix, plan.skew, plan.lines, plan.seed)));
        let (warm_up, duration) = (seconds(plan.warm_up), seconds(plan.duration));
        let each = match (self.searched.is_empty(), plan.rounds) {
            (false, _) => "a search in steps of",
            (true, 1) => "round of",
            (true, _) => "rounds of",
        };
        let many = if self.searched.is_empty() { format!("{} ", plan.rounds) } else { String::new() };
        facts.push(("Time", format!("{many}{each} {duration}, after {warm_up} of warm-up; begun {}", self.begun)));
        let machine = &self.machine;
        let load = if machine.load.is_empty() { String::new() } else { format!(", load before {}", machine.load) };
        facts.push(("Machine", format!("{} cores, {}, {}{load}", machine.cores, machine.processor, machine.system)));
        if let Some(cores) = self.generator {
            facts.push(("Generator", format!("surety {}, kept {cores:.2} cores busy", env!("CARGO_PKG_VERSION"))));
        }
        facts
    }

    fn load(&self) -> String {
        match self.plan.pace {
            _ if self.limit.is_some() => {
                let limit = self.limit.map(milliseconds).unwrap_or_default();
                format!("open loop, the highest rate with p99 within {limit} ms")
            }
            Pace::Open { rate, arrivals, outstanding } => {
                let rate = if rate < 100.0 { rate.to_string() } else { grouped(rate) };
                format!("open loop, {rate} calls a second, {}, at most {outstanding} waiting", arrivals.name())
            }
            Pace::Closed { in_flight } => format!("closed loop, {in_flight} in flight"),
        }
    }

    /// All tables that have something to show.
    pub fn tables(&self) -> Vec<Words> {
        let tables = [self.calls(), self.of_echo(), self.outcomes(), self.steps()];
        tables.into_iter().filter(|table| !table.rows.is_empty()).map(Words::without_empty_columns).collect()
    }

    fn all_rows(&self) -> Vec<Row> {
        self.driven.iter().filter(|of| !of.rounds.is_empty()).flat_map(|of| of.rows(self.echo())).collect()
    }

    fn calls(&self) -> Words {
        let cells = |row: Row| {
            let measured = &row.measured;
            let mut cells = vec![row.name().to_owned(), whole(measured.calls()), rate(&row.rate)];
            cells.extend(SHARES.map(|(_, share)| latency(measured, measured.at(share))));
            cells.push(latency(measured, measured.max()));
            cells.push(row.spent.as_ref().map_or_else(String::new, |spent| format!("{:.1} us", spent.median)));
            cells.push(if measured.failures() == 0 { String::new() } else { whole(measured.failures()) });
            cells
        };
        Words {
            title: "Calls, and milliseconds from when they were due to their answers".to_owned(),
            heads: vec![
                "",
                ">CALLS",
                ">ANSWERS A SECOND",
                ">P50",
                ">P90",
                ">P99",
                ">P99.9",
                ">MAX",
                ">CPU A CALL",
                ">FAILED",
            ],
            rows: self.all_rows().into_iter().map(cells).collect(),
        }
    }

    fn of_echo(&self) -> Words {
        let cells = |row: Row| {
            // A run that was stopped early may have no round of the echo.
            let ratios = row.of_echo.as_ref().filter(|ratios| ratios.iter().any(Option::is_some))?;
            Some(std::iter::once(row.name().to_owned()).chain(ratios.iter().map(|r| ratio(r.as_ref()))).collect())
        };
        Words {
            title: "The same as a multiple of the echo's: the median of the rounds' ratios (and their range)"
                .to_owned(),
            heads: vec!["", ">RATE", ">P50", ">P90", ">P99", ">P99.9", ">MAX", ">CPU A CALL"],
            rows: self.all_rows().into_iter().filter_map(cells).collect(),
        }
    }

    fn outcomes(&self) -> Words {
        let mut rows = Vec::new();
        for row in self.all_rows().into_iter().filter(|row| row.kind.is_some()) {
            let calls = row.measured.calls().max(1) as f64;
            for (outcome, n) in &row.measured.outcomes {
                // That an echo echoes is no news.
                if (row.name(), *outcome) != ("echo", Outcome::Done) {
                    let share = format!("{:.1} %", *n as f64 / calls * 100.0);
                    rows.push(vec![row.name().to_owned(), outcome.name().to_owned(), whole(*n), share]);
                }
            }
        }
        let heads = vec!["", "WHAT CAME OF IT", ">CALLS", ">SHARE"];
        Words { title: "What came of the calls".to_owned(), heads, rows }
    }

    fn steps(&self) -> Words {
        let mut rows = Vec::new();
        for searched in &self.searched {
            for step in &searched.found.steps {
                let fault = self.limit.and_then(|limit| step.fault(limit)).unwrap_or("passed");
                let (rate, answered) = (grouped(step.rate), grouped(step.answered));
                rows.push(vec![searched.name.to_owned(), rate, answered, milliseconds(step.p99), fault.to_owned()]);
            }
        }
        let heads = vec!["", ">CALLS A SECOND", ">ANSWERED", ">P99", ""];
        Words { title: "The steps of the search, p99 in milliseconds".to_owned(), heads, rows }
    }

    /// Sentences that a reader should know before figures are believed, and what a search found.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.stopped {
            remarks.push("The run was stopped before its time; this is what was measured until then.".to_owned());
        }
        remarks.extend(self.best());
        for driven in &self.driven {
            let sheet = driven.sheet();
            if !sheet.lateness.is_empty() {
                let late = |share| milliseconds(Duration::from_micros(sheet.lateness.value_at_quantile(share)));
                let (p50, p99, max) = (late(0.5), late(0.99), late(1.0));
                let times = format!("half within {p50} ms of when they were due, 99 % within {p99}, the latest {max}");
                remarks.push(format!("Calls of {} were sent: {times}; that is in their latencies.", driven.name));
            }
            let unsent = sheet.total().outcomes.get(&Outcome::Unsent).copied().unwrap_or(0);
            if unsent > 0 {
                let what = "were due and not sent, as too many waited for answers. They count as failed, and as having waited \
                            until the end: the true latencies are longer";
                remarks.push(format!("{} calls of {} {what}.", whole(unsent), driven.name));
            }
            if sheet.replaced > 0 {
                let n = whole(sheet.replaced);
                remarks.push(format!(
                    "{n} confirmations and releases found no hold of this run; a hold was sent in their place."
                ));
            }
        }
        if self.generator.is_some_and(|cores| cores > 0.5 * self.machine.cores as f64) {
            let what = "The generator itself kept more than half of this machine's cores busy";
            remarks.push(format!("{what}: where it shares them with what it measures, trust the ratios only."));
        }
        remarks
    }

    fn best(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for searched in &self.searched {
            sentences.push(match searched.found.best {
                Some(best) => format!("{} keeps up with {} calls a second.", searched.name, grouped(best)),
                None => format!("{} keeps up with none of the rates that were tried.", searched.name),
            });
        }
        let best = |name: &str| self.searched.iter().find(|of| of.name == name).and_then(|of| of.found.best);
        if let (Some(mine), Some(its)) = (best("surety"), best("echo")) {
            sentences.push(format!("That is {:.2} of the echo's rate.", mine / its));
        }
        sentences
    }

    /// Whether anything was oversold or lost: the verdict, then what was found or looked at.
    pub fn verdict(&self) -> Vec<String> {
        match &self.checked {
            Checked::NotMade(why) => vec![format!("It could not be checked whether anything was oversold: {why}")],
            Checked::Made(findings) if findings.violated == 0 => {
                let verdict = "Nothing was oversold, and nothing acknowledged is missing.".to_owned();
                std::iter::once(verdict).chain(looked_at(findings)).collect()
            }
            Checked::Made(findings) => {
                let mut told = vec![format!("Promises were broken: {} findings.", whole(findings.violated))];
                told.extend(findings.violations.iter().cloned());
                if findings.violated > findings.violations.len() as u64 {
                    told.push(format!("and {} more", whole(findings.violated - findings.violations.len() as u64)));
                }
                told.extend(looked_at(findings));
                told
            }
        }
    }
}

/// What a check looked at.
fn looked_at(findings: &Findings) -> Vec<String> {
    let level = |level: &Level| {
        let (units, supply) = (grouped(level.units as f64), grouped(level.supply as f64));
        format!("{units} of {supply} units in {} on {}", level.resource, level.from.get(..10).unwrap_or(&level.from))
    };
    let mut told = Vec::new();
    let before = match findings.below_before {
        0 => String::new(),
        n => format!("; {} were below zero before the run and have not sunk", whole(n)),
    };
    let lowest = findings.lowest.as_ref().map_or_else(String::new, |lowest| format!("; the lowest: {}", level(lowest)));
    told.push(format!("balances of {} buckets were read{lowest}{before}", whole(findings.buckets)));
    if let Some(fullest) = &findings.fullest {
        let booked =
            if findings.booked == 1 { "1 bucket".to_owned() } else { format!("{} buckets", whole(findings.booked)) };
        told.push(format!("the run's own book has {booked}; the fullest: {} taken at one instant", level(fullest)));
    }
    let seen = |seen: u64, of: u64| match (seen, of) {
        (_, 0) => "none".to_owned(),
        (seen, of) if seen == of => format!("all {}", whole(of)),
        (seen, of) => format!("{} of {}", whole(seen), whole(of)),
    };
    let (confirmed, held) =
        (seen(findings.confirmed_seen, findings.confirmed), seen(findings.held_seen.0, findings.held_seen.1));
    let holds = whole(findings.holds);
    told.push(format!(
        "of {holds} acknowledged holds, {confirmed} confirmed and {held} still alive were looked up one by one"
    ));
    told
}
