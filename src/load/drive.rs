//! Drives a subject for a round: by a schedule that waits for nobody, or by callers who wait for their answers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dice::Dice;
use super::machine::spent;
use super::measured::{Call, Outcome, Round, Sheet, Window, micros};
use super::plan::Pace;
use super::schedule::{Arrivals, Schedule};
use super::subject::{Next, Subject};

/// Sheets that callers share: enough that they seldom wait for each other, few enough to be added up at once.
const SHEETS: usize = 8;
/// Slices of a round, at most; none is shorter than [`SHORTEST_SLICE`].
const SLICES: u32 = 100;
/// The shortest stretch that a point of a plot stands for.
const SHORTEST_SLICE: Duration = Duration::from_millis(100);
/// The longest sleep of the thread that sends: how late it notices that the run was stopped.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);
/// How often that thread looks whether an answer came, while too many calls wait for one.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// How a round is driven.
#[derive(Clone, Copy, Debug)]
pub struct Drive {
    /// What drives the calls.
    pub pace: Pace,
    /// Calls before this are not measured.
    pub settle: Duration,
    /// How long is measured.
    pub lasting: Duration,
    /// What the chance of this round follows from.
    pub seed: u64,
}

/// A round while it goes on.
struct Stage {
    subject: Arc<Subject>,
    begun: Instant,
    window: Window,
    /// When calls are no longer due, in microseconds: the window's end, or when the run was stopped.
    end: AtomicU64,
    waiting: AtomicUsize,
    made: AtomicU64,
    sheets: Vec<Mutex<Sheet>>,
}

impl Stage {
    fn now(&self) -> u64 {
        micros(self.begun.elapsed())
    }

    fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    fn note(&self, at: usize, call: &Call, replaces: bool) {
        let window = Window { to: self.end(), ..self.window };
        let mut sheet = self.sheets[at % SHEETS].lock().unwrap_or_else(PoisonError::into_inner);
        sheet.note(&window, call);
        sheet.replaced += u64::from(replaces && call.due >= window.from);
    }

    async fn call(&self, at: usize, due: u64, next: Next) {
        let (kind, replaces) = (next.kind, next.replaces);
        let sent = self.now();
        let (outcome, over) = self.subject.call(at, next).await;
        self.made.fetch_add(1, Ordering::Relaxed);
        let over = micros(over.saturating_duration_since(self.begun));
        self.note(at, &Call { kind, due, sent, over, outcome }, replaces);
    }

    /// Calls again and again, each time when the last call was answered.
    async fn keep_calling(self: Arc<Self>, at: usize, mut dice: Dice) {
        loop {
            let due = self.now();
            if due >= self.end() {
                return;
            }
            let next = self.subject.next(&mut dice);
            self.call(at, due, next).await;
        }
    }

    /// Sends what is due when it is due, on a thread of its own: the runtime's timers tick in whole milliseconds, which would be
    /// added to every latency.
    fn send_on_time(
        self: &Arc<Self>,
        schedule: Schedule,
        most: usize,
        mut dice: Dice,
        calls: &TaskTracker,
        on: &Handle,
    ) {
        for (at, due) in schedule.enumerate() {
            let due = micros(due);
            let mut now = self.now();
            while now < due.min(self.end()) {
                std::thread::sleep(Duration::from_micros(due - now).min(LONGEST_SLEEP));
                now = self.now();
            }
            if due >= self.end() {
                return;
            }
            while self.waiting.load(Ordering::Relaxed) >= most && self.now() < self.end() {
                std::thread::sleep(LOOK_EVERY);
            }
            if self.waiting.load(Ordering::Relaxed) >= most {
                // It was due and was not sent: it has waited at least until now.
                let (kind, over) = (self.subject.kind(&mut dice), self.now());
                self.note(at, &Call { kind, due, sent: over, over, outcome: Outcome::Unsent }, false);
                continue;
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let (stage, next) = (Arc::clone(self), self.subject.next(&mut dice));
            let call = async move {
                stage.call(at, due, next).await;
                stage.waiting.fetch_sub(1, Ordering::Relaxed);
            };
            calls.spawn_on(call, on);
        }
    }
}

/// Drives a round, until its time is over or the run is stopped; then waits for the answers that are due still.
pub async fn round(subject: &Arc<Subject>, drive: &Drive, stop: &CancellationToken) -> Round {
    let slice = (drive.lasting / SLICES).max(SHORTEST_SLICE);
    let (from, to) = (micros(drive.settle), micros(drive.settle + drive.lasting));
    let stage = Arc::new(Stage {
        subject: Arc::clone(subject),
        begun: Instant::now(),
        window: Window { from, to, slice: micros(slice) },
        end: AtomicU64::new(if stop.is_cancelled() { 0 } else { to }),
        waiting: AtomicUsize::new(0),
        made: AtomicU64::new(0),
        sheets: (0..SHEETS).map(|_| Mutex::default()).collect(),
    });
    let spent_so_far = || subject.pid.and_then(|pid| spent(&pid.to_string()));
    let before = spent_so_far();
    let calls = TaskTracker::new();
    match drive.pace {
        Pace::Closed { in_flight } => {
            for at in 0..in_flight {
                calls.spawn(Arc::clone(&stage).keep_calling(at, Dice::new(drive.seed, at as u64)));
            }
        }
        Pace::Open { rate, arrivals, outstanding } => {
            let schedule = Schedule::new(arrivals, rate, Dice::new(drive.seed, 0));
            let (stage, tracked, on) = (Arc::clone(&stage), calls.clone(), Handle::current());
            let dice = Dice::new(drive.seed, 1);
            let sending = move || stage.send_on_time(schedule, outstanding, dice, &tracked, &on);
            calls.spawn_blocking(sending);
        }
    }
    calls.close();
    let ended = async {
        tokio::select! {
            () = calls.wait() => return,
            () = stop.cancelled() => {}
        }
        stage.end.fetch_min(stage.now(), Ordering::Relaxed);
        calls.wait().await;
    };
    ended.await;
    let mut sheet = Sheet::default();
    for part in &stage.sheets {
        sheet.add(&part.lock().unwrap_or_else(PoisonError::into_inner));
    }
    if matches!(drive.pace, Pace::Closed { .. }) {
        // Callers of a closed loop are never late: each call is due when it is sent.
        sheet.lateness.reset();
    }
    let lasted = Duration::from_micros(stage.end().saturating_sub(from));
    let spent = spent_so_far().zip(before).and_then(|(now, before)| now.checked_sub(before));
    Round { lasted, slice, sheet, made: stage.made.load(Ordering::Relaxed), spent }
}

impl Pace {
    /// The same with another rate of an open loop; a closed loop becomes one.
    #[must_use]
    pub fn at(self, rate: f64) -> Pace {
        match self {
            Pace::Open { arrivals, outstanding, .. } => Pace::Open { rate, arrivals, outstanding },
            Pace::Closed { in_flight } => Pace::Open { rate, arrivals: Arrivals::Even, outstanding: in_flight },
        }
    }
}
