//! What was measured: latencies from the intended start, counts of what came of the calls, and both over time.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use tonic::Code;

use super::mix::Kind;
use crate::edge::grpc_error::code_name;

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A quote or hold: yes.
    Promised,
    /// A quote or hold: not by the date asked for, but later.
    Later,
    /// A quote or hold: no. Of dates: none.
    Unavailable,
    /// Anything else that succeeded.
    Done,
    /// A failure, by its gRPC status.
    Failed(i32),
    /// An answer that is none: it can't be read, or says what no answer to this call says.
    Nonsense,
    /// It was due and could not be sent before the end, as too many calls waited for answers.
    Unsent,
}

impl Outcome {
    /// A failure.
    pub fn failed(code: Code) -> Self {
        Outcome::Failed(code as i32)
    }

    /// Its name: a word, or the status as google.rpc spells it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Promised => "promised",
            Outcome::Later => "later",
            Outcome::Unavailable => "unavailable",
            Outcome::Done => "done",
            Outcome::Failed(code) => code_name(Code::from_i32(code)),
            Outcome::Nonsense => "nonsense",
            Outcome::Unsent => "unsent",
        }
    }

    /// Whether it is an answer, yes or no.
    pub fn is_answer(self) -> bool {
        matches!(self, Outcome::Promised | Outcome::Later | Outcome::Unavailable | Outcome::Done)
    }

    /// Whether its time counts as a latency. That of a quick refusal would make a server look the faster the more it
    /// refuses; that of a call that was waited for in vain belongs to the worst there are.
    pub fn counts_as_latency(self) -> bool {
        self.is_answer() || matches!(self, Outcome::Unsent) || self == Outcome::failed(Code::DeadlineExceeded)
    }
}

/// A histogram of microseconds that grows with what it is shown: three digits hold everywhere.
pub type Latencies = Histogram<u64>;

/// The longest latency that is told apart from longer ones, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// An empty histogram with so many exact digits.
fn histogram(digits: u8) -> Latencies {
    // Digits above five are refused; no caller asks for as many.
    Histogram::new(digits.min(5)).unwrap_or_else(|_| unreachable!("between 0 and 5 digits"))
}

/// Records one value. (To record saturating would be to saturate at what the histogram has grown to so far.)
fn record(into: &mut Latencies, value: u64) {
    let recorded = into.record(value.min(LONGEST));
    debug_assert!(recorded.is_ok(), "{recorded:?}");
}

/// Microseconds of a length of time.
pub fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

/// What was measured of one kind of calls.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Microseconds from the intended start to the answer.
    pub latencies: Latencies,
    /// Answers, yes or no, that came within the measured time.
    pub answers: u64,
    /// What came of the calls that were due within the measured time.
    pub outcomes: BTreeMap<Outcome, u64>,
}

impl Default for Measured {
    fn default() -> Self {
        Self { latencies: histogram(3), answers: 0, outcomes: BTreeMap::new() }
    }
}

impl Measured {
    /// Calls that were due.
    pub fn calls(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Calls that got no answer.
    pub fn failures(&self) -> u64 {
        self.outcomes.iter().filter(|(outcome, _)| !outcome.is_answer()).map(|(_, calls)| calls).sum()
    }

    /// The latency that this share of the calls did not exceed, 0 to 1; zero without calls.
    pub fn at(&self, share: f64) -> Duration {
        Duration::from_micros(self.latencies.value_at_quantile(share))
    }

    /// The longest latency.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.latencies.max())
    }

    /// Adds what was measured elsewhere.
    pub fn add(&mut self, other: &Measured) {
        // Histograms that grow take any other's values in.
        let added = self.latencies.add(&other.latencies);
        debug_assert!(added.is_ok(), "{added:?}");
        self.answers += other.answers;
        for (outcome, calls) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += calls;
        }
    }
}

/// A short stretch of the measured time.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Answers that came in it.
    pub answers: u64,
    /// Latencies of the calls that were due in it, in microseconds.
    pub latencies: Latencies,
}

impl Default for Slice {
    fn default() -> Self {
        Self { answers: 0, latencies: histogram(2) }
    }
}

/// The measured time of a round: since when calls count, and how finely the time is cut.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// When it begins, in microseconds of the round.
    pub from: u64,
    /// When it ends.
    pub to: u64,
    /// Microseconds of a slice.
    pub slice: u64,
}

impl Window {
    fn place(&self, at: u64) -> Option<usize> {
        (self.from..self.to).contains(&at).then(|| usize::try_from((at - self.from) / self.slice).unwrap_or(usize::MAX))
    }
}

/// A call that is over, in microseconds of the round.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// What it was.
    pub kind: Kind,
    /// When it was due.
    pub due: u64,
    /// When it was sent.
    pub sent: u64,
    /// When it was over.
    pub over: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What was measured in a round, or a part of it.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// By kind of call.
    pub kinds: BTreeMap<Kind, Measured>,
    /// Over time.
    pub slices: Vec<Slice>,
    /// How much later than due calls of an open loop were sent, in microseconds.
    pub lateness: Latencies,
    /// Confirmations and releases that found no hold, so that a hold was sent in their place.
    pub replaced: u64,
}

impl Default for Sheet {
    fn default() -> Self {
        Self { kinds: BTreeMap::new(), slices: Vec::new(), lateness: histogram(3), replaced: 0 }
    }
}

impl Sheet {
    fn slice(&mut self, at: usize) -> &mut Slice {
        if self.slices.len() <= at {
            self.slices.resize_with(at + 1, Slice::default);
        }
        &mut self.slices[at]
    }

    /// Notes a call. One that was due before the measured time counts only as an answer, if it came within it.
    pub fn note(&mut self, window: &Window, call: &Call) {
        let answered = call.outcome.is_answer().then(|| window.place(call.over)).flatten();
        let due = window.place(call.due);
        if answered.is_none() && due.is_none() {
            return;
        }
        let measured = self.kinds.entry(call.kind).or_default();
        measured.answers += u64::from(answered.is_some());
        let latency = call.over.saturating_sub(call.due);
        if due.is_some() {
            *measured.outcomes.entry(call.outcome).or_default() += 1;
            if call.outcome.counts_as_latency() {
                record(&mut measured.latencies, latency);
            }
            if call.outcome != Outcome::Unsent {
                record(&mut self.lateness, call.sent.saturating_sub(call.due));
            }
        }
        if let Some(at) = answered {
            self.slice(at).answers += 1;
        }
        if let Some(at) = due.filter(|_| call.outcome.counts_as_latency()) {
            record(&mut self.slice(at).latencies, latency);
        }
    }

    /// Adds what was measured elsewhere in the same time.
    pub fn add(&mut self, other: &Sheet) {
        for (kind, measured) in &other.kinds {
            self.kinds.entry(*kind).or_default().add(measured);
        }
        for (at, slice) in other.slices.iter().enumerate() {
            let mine = self.slice(at);
            mine.answers += slice.answers;
            let added = mine.latencies.add(&slice.latencies);
            debug_assert!(added.is_ok(), "{added:?}");
        }
        let added = self.lateness.add(&other.lateness);
        debug_assert!(added.is_ok(), "{added:?}");
        self.replaced += other.replaced;
    }

    /// All kinds together.
    pub fn total(&self) -> Measured {
        let mut total = Measured::default();
        self.kinds.values().for_each(|measured| total.add(measured));
        total
    }
}

/// A round of one subject.
#[derive(Clone, Debug)]
pub struct Round {
    /// How long it was measured.
    pub lasted: Duration,
    /// How long a slice of it is.
    pub slice: Duration,
    /// What was measured.
    pub sheet: Sheet,
    /// Calls that were made from its very beginning to its very end, and the processor time that the server spent meanwhile,
    /// where that can be told.
    pub made: u64,
    /// See there.
    pub spent: Option<Duration>,
}

impl Round {
    /// Processor time of the server, in microseconds a call.
    pub fn spent_a_call(&self) -> Option<f64> {
        (self.made > 0).then(|| self.spent.map(|spent| spent.as_secs_f64() * 1e6 / self.made as f64)).flatten()
    }

    /// Answers a second of some of its calls.
    pub fn rate(&self, of: &Measured) -> f64 {
        if self.lasted.is_zero() { 0.0 } else { of.answers as f64 / self.lasted.as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { from: 1_000, to: 3_000, slice: 500 };

    fn call(due: u64, over: u64, outcome: Outcome) -> Call {
        Call { kind: Kind::Quote, due, sent: due + 10, over, outcome }
    }

    #[test]
    fn calls_count_by_when_they_were_due_and_answers_by_when_they_came() {
        let mut sheet = Sheet::default();
        sheet.note(&WINDOW, &call(100, 900, Outcome::Promised));
        sheet.note(&WINDOW, &call(900, 1_100, Outcome::Promised));
        sheet.note(&WINDOW, &call(1_200, 1_600, Outcome::Later));
        sheet.note(&WINDOW, &call(2_900, 3_400, Outcome::Promised));
        sheet.note(&WINDOW, &call(3_000, 3_001, Outcome::Promised));
        let quotes = &sheet.kinds[&Kind::Quote];
        assert_eq!((quotes.calls(), quotes.answers, quotes.failures()), (2, 2, 0));
        assert_eq!((quotes.at(0.5), quotes.max()), (Duration::from_micros(400), Duration::from_micros(500)));
        assert_eq!(sheet.slices.iter().map(|slice| slice.answers).collect::<Vec<_>>(), [1, 1, 0, 0]);
        assert_eq!(sheet.slices.iter().map(|slice| slice.latencies.len()).collect::<Vec<_>>(), [1, 0, 0, 1]);
        assert_eq!(sheet.lateness.max(), 10);
    }

    #[test]
    fn quick_refusals_are_no_latencies_and_waiting_in_vain_is() {
        let mut sheet = Sheet::default();
        sheet.note(&WINDOW, &call(1_000, 1_001, Outcome::failed(Code::ResourceExhausted)));
        assert_eq!(sheet.total().latencies.len(), 0);
        sheet.note(&WINDOW, &call(1_000, 9_000, Outcome::failed(Code::DeadlineExceeded)));
        sheet.note(&WINDOW, &call(1_000, 9_000, Outcome::Unsent));
        let total = sheet.total();
        assert_eq!((total.latencies.len(), total.failures(), total.answers), (2, 3, 0));
        assert!(total.max() >= Duration::from_millis(8), "three digits hold");
        assert_eq!(Outcome::failed(Code::ResourceExhausted).name(), "RESOURCE_EXHAUSTED");
    }

    #[test]
    fn sheets_add_up() {
        let mut one = Sheet::default();
        one.note(&WINDOW, &call(1_000, 2_000, Outcome::Promised));
        let mut other = Sheet { replaced: 2, ..Sheet::default() };
        other.note(&WINDOW, &call(1_000, 90_000, Outcome::Promised));
        one.add(&other);
        assert_eq!((one.total().calls(), one.replaced, one.slices.len()), (2, 2, 3));
        let round =
            Round { lasted: Duration::from_secs(2), slice: Duration::from_secs(1), sheet: one, made: 4, spent: None };
        assert_eq!(round.spent_a_call(), None);
        let spent = Some(Duration::from_micros(100));
        assert_eq!(Round { spent, ..round.clone() }.spent_a_call(), Some(25.0));
        assert!((round.rate(&round.sheet.total()) - 0.5).abs() < 1e-9);
    }
}
