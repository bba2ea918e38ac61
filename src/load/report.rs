//! What came of a run, worked out for its readers: rows, ratios, and the form for programs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::check::{Findings, Level};
use super::machine::Machine;
use super::measured::{Measured, Outcome, Round, Sheet};
use super::mix::Kind;
use super::plan::{Land, Pace, Plan};
use super::run::{Driven, Searched};

/// The shares of calls whose latencies are told, and their names.
pub const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// What came of the check.
#[derive(Clone, Debug, PartialEq)]
pub enum Checked {
    /// It was made.
    Made(Box<Findings>),
    /// It could not be made, and why.
    NotMade(String),
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was to be done.
    pub plan: Plan,
    /// When it began, RFC 3339.
    pub begun: String,
    /// The machine that the generator ran on.
    pub machine: Machine,
    /// Cores that the generator kept busy on average; None where it can't be told.
    pub generator: Option<f64>,
    /// Products and zones of the network, its version, and the last day that was asked for.
    pub network: (usize, usize, i64, String),
    /// The limit of a search for the highest rate.
    pub limit: Option<Duration>,
    /// The service, then the echo.
    pub driven: Vec<Driven>,
    /// The same, of a search.
    pub searched: Vec<Searched>,
    /// The check.
    pub checked: Checked,
    /// Whether it was stopped before its time.
    pub stopped: bool,
}

/// The middle of some numbers, with the least and the most of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The middle one; of an even number, the upper of the two.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Range {
    /// Of some numbers, of which those that are none are left out.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut all: Vec<f64> = numbers.into_iter().filter(|n| n.is_finite()).collect();
        all.sort_by(f64::total_cmp);
        Some(Self { median: *all.get(all.len() / 2)?, least: *all.first()?, most: *all.last()? })
    }

    fn json(&self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

/// What is told of one kind of calls, or of all together.
#[derive(Clone, Debug)]
pub struct Row {
    /// The kind; None for all.
    pub kind: Option<Kind>,
    /// All rounds together.
    pub measured: Measured,
    /// Answers a second, by round.
    pub rate: Range,
    /// Processor time of the server a call, in microseconds, by round; of all calls together only.
    pub spent: Option<Range>,
    /// Each figure of a round divided by that of the echo's round beside it: the rate, then each of [`SHARES`], the longest, and
    /// the processor time a call.
    pub of_echo: Option<Vec<Option<Range>>>,
}

impl Row {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.kind.map_or("all", Kind::name)
    }
}

fn of_round(round: &Round, kind: Option<Kind>) -> Measured {
    match kind {
        Some(kind) => round.sheet.kinds.get(&kind).cloned().unwrap_or_default(),
        None => round.sheet.total(),
    }
}

/// The figures of a round that ratios are made of.
fn figures(round: &Round, measured: &Measured, whole: bool) -> Vec<f64> {
    let latency = |length: Duration| if measured.latencies.is_empty() { f64::NAN } else { length.as_secs_f64() };
    let mut figures = vec![round.rate(measured)];
    figures.extend(SHARES.map(|(_, share)| latency(measured.at(share))));
    figures.push(latency(measured.max()));
    // Processor time can't be told apart by kinds of calls.
    figures.push(round.spent_a_call().filter(|_| whole).unwrap_or(f64::NAN));
    figures
}

impl Driven {
    /// All rounds together.
    pub fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::default();
        self.rounds.iter().for_each(|round| sheet.add(&round.sheet));
        sheet
    }

    /// A row for each kind of calls, and one for all where there are several kinds.
    pub fn rows(&self, echo: Option<&Driven>) -> Vec<Row> {
        let sheet = self.sheet();
        let mut kinds: Vec<Option<Kind>> = sheet.kinds.keys().copied().map(Some).collect();
        if kinds.len() != 1 {
            kinds.push(None);
        }
        kinds.into_iter().map(|kind| self.row(kind, &sheet, echo)).collect()
    }

    fn row(&self, kind: Option<Kind>, sheet: &Sheet, echo: Option<&Driven>) -> Row {
        let measured = kind.map_or_else(|| sheet.total(), |kind| sheet.kinds.get(&kind).cloned().unwrap_or_default());
        let whole = kind.is_none() || sheet.kinds.len() == 1;
        let each: Vec<Vec<f64>> =
            self.rounds.iter().map(|round| figures(round, &of_round(round, kind), whole)).collect();
        let rate = Range::of(each.iter().map(|figures| figures[0]));
        let spent = Range::of(each.iter().map(|figures| figures[SHARES.len() + 2]));
        let of_echo = echo.filter(|echo| echo.name != self.name).map(|echo| {
            let beside: Vec<Vec<f64>> =
                echo.rounds.iter().map(|round| figures(round, &of_round(round, None), true)).collect();
            let ratio = |at: usize| Range::of(each.iter().zip(&beside).map(|(mine, its)| mine[at] / its[at]));
            (0..SHARES.len() + 3).map(ratio).collect()
        });
        Row { kind, measured, spent, rate: rate.unwrap_or(Range { median: 0.0, least: 0.0, most: 0.0 }), of_echo }
    }
}

fn milliseconds(length: Duration) -> f64 {
    length.as_secs_f64() * 1e3
}

fn measured_json(measured: &Measured) -> Map<String, Value> {
    let outcomes: Map<String, Value> =
        measured.outcomes.iter().map(|(outcome, calls)| (outcome.name().to_owned(), json!(calls))).collect();
    let mut latencies: Map<String, Value> =
        SHARES.iter().map(|(name, share)| ((*name).to_owned(), json!(milliseconds(measured.at(*share))))).collect();
    latencies.insert("max".to_owned(), json!(milliseconds(measured.max())));
    latencies.insert("mean".to_owned(), json!(measured.latencies.mean() / 1e3));
    let mut map = Map::new();
    map.insert("calls".to_owned(), json!(measured.calls()));
    map.insert("failures".to_owned(), json!(measured.failures()));
    map.insert("outcomes".to_owned(), Value::Object(outcomes));
    map.insert("latencyMilliseconds".to_owned(), Value::Object(latencies));
    map
}

fn row_json(row: &Row) -> Value {
    let mut map = measured_json(&row.measured);
    map.insert("kind".to_owned(), json!(row.name()));
    map.insert("answersPerSecond".to_owned(), row.rate.json());
    map.insert("serverMicrosecondsPerCall".to_owned(), row.spent.as_ref().map_or(Value::Null, Range::json));
    if let Some(ratios) = &row.of_echo {
        let names = std::iter::once("answersPerSecond")
            .chain(SHARES.map(|(name, _)| name))
            .chain(["max", "serverMicrosecondsPerCall"]);
        let of: Map<String, Value> = names
            .zip(ratios)
            .map(|(name, ratio)| (name.to_owned(), ratio.as_ref().map_or(Value::Null, Range::json)))
            .collect();
        map.insert("ofEcho".to_owned(), Value::Object(of));
    }
    Value::Object(map)
}

fn level_json(level: &Level) -> Value {
    json!({ "resource": level.resource, "from": level.from, "units": level.units, "supply": level.supply })
}

impl Report {
    /// The echo, if there was one.
    pub fn echo(&self) -> Option<&Driven> {
        self.driven.iter().find(|driven| driven.name == "echo")
    }

    /// Whether something was promised that there is not, or an acknowledged reservation is gone.
    pub fn violated(&self) -> bool {
        matches!(&self.checked, Checked::Made(findings) if findings.violated > 0)
    }

    /// Whether the service gave any answer at all.
    pub fn answered(&self) -> bool {
        let driven = self.driven.iter().filter(|driven| driven.name != "echo").flat_map(|driven| &driven.rounds);
        let mut rounds = driven.peekable();
        rounds.peek().is_none()
            || rounds.any(|round| round.sheet.total().outcomes.keys().any(|o: &Outcome| o.is_answer()))
    }

    /// For programs. Latencies are in milliseconds.
    pub fn json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "begun": self.begun,
            "stopped": self.stopped,
            "plan": self.plan_json(),
            "machine": {
                "cores": self.machine.cores, "processor": self.machine.processor, "system": self.machine.system,
                "loadBefore": self.machine.load, "generatorCores": self.generator,
            },
            "network": {
                "name": self.plan.network, "products": self.network.0, "zones": self.network.1,
                "version": self.network.2, "byDate": self.network.3,
            },
            "subjects": self.driven.iter().map(|driven| self.driven_json(driven)).collect::<Vec<_>>(),
            "search": self.search_json(),
            "check": self.check_json(),
        })
    }

    fn plan_json(&self) -> Value {
        let plan = &self.plan;
        let pace = match plan.pace {
            Pace::Open { rate, arrivals, outstanding } => {
                json!({ "loop": "open", "rate": rate, "arrivals": arrivals.name(), "maxOutstanding": outstanding })
            }
            Pace::Closed { in_flight } => json!({ "loop": "closed", "inFlight": in_flight }),
        };
        json!({
            "targets": plan.targets, "connections": plan.connections, "pace": pace, "mix": plan.mix.to_string(),
            "skew": plan.skew.to_string(), "seed": plan.seed, "lines": plan.lines, "asIs": plan.land == Land::AsIs,
            "units": match plan.land { Land::Made { units, .. } => json!(units), Land::AsIs => Value::Null },
            "warmUpSeconds": plan.warm_up.as_secs_f64(), "durationSeconds": plan.duration.as_secs_f64(),
            "rounds": plan.rounds, "holdForSeconds": plan.hold_for.as_secs_f64(), "withinDays": plan.within_days,
            "timeoutSeconds": plan.timeout.as_secs_f64(),
            "p99LimitMilliseconds": self.limit.map(milliseconds),
        })
    }

    fn driven_json(&self, driven: &Driven) -> Value {
        let sheet = driven.sheet();
        let late = |share: f64| milliseconds(Duration::from_micros(sheet.lateness.value_at_quantile(share)));
        let lateness =
            (!sheet.lateness.is_empty()).then(|| json!({ "p50": late(0.5), "p99": late(0.99), "max": late(1.0) }));
        let rounds = driven.rounds.iter().map(|round| {
            let total = round.sheet.total();
            let mut map = measured_json(&total);
            map.insert("seconds".to_owned(), json!(round.lasted.as_secs_f64()));
            map.insert("answersPerSecond".to_owned(), json!(round.rate(&total)));
            Value::Object(map)
        });
        json!({
            "name": driven.name,
            "calls": driven.rows(self.echo()).iter().map(row_json).collect::<Vec<_>>(),
            "rounds": rounds.collect::<Vec<_>>(),
            "replacedByHolds": sheet.replaced,
            "sentLateMilliseconds": lateness,
        })
    }

    fn search_json(&self) -> Value {
        let steps = |searched: &Searched| {
            let step = |step: &super::search::Step| {
                json!({
                    "rate": step.rate, "answersPerSecond": step.answered, "p99Milliseconds": milliseconds(step.p99),
                    "failures": step.failures, "fault": self.limit.and_then(|limit| step.fault(limit)),
                })
            };
            let steps: Vec<Value> = searched.found.steps.iter().map(step).collect();
            json!({ "name": searched.name, "best": searched.found.best, "steps": steps })
        };
        if self.searched.is_empty() { Value::Null } else { self.searched.iter().map(steps).collect() }
    }

    fn check_json(&self) -> Value {
        match &self.checked {
            Checked::NotMade(why) => json!({ "made": false, "why": why }),
            Checked::Made(findings) => json!({
                "made": true, "violated": findings.violated, "violations": findings.violations,
                "holds": findings.holds, "confirmed": findings.confirmed, "buckets": findings.buckets,
                "belowZeroBefore": findings.below_before, "bucketsBooked": findings.booked,
                "lowestBalance": findings.lowest.as_ref().map(level_json),
                "fullest": findings.fullest.as_ref().map(level_json),
                "confirmedLookedUp": findings.confirmed_seen,
                "heldLookedUp": findings.held_seen.0, "heldAlive": findings.held_seen.1,
            }),
        }
    }
}
