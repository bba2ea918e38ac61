//! Time as it passes for those who get to run. On a machine that stands still for seconds, or has many times more to do than it can,
//! nobody can be held to seconds of the wall clock; so bounds of liveness count only what a thread of this process got.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(20);

static PASSED: AtomicU64 = AtomicU64::new(0);

static TICKER: LazyLock<()> = LazyLock::new(|| {
    let tick = || {
        let mut last = Instant::now();
        loop {
            std::thread::sleep(TICK);
            let passed = last.elapsed();
            last = Instant::now();
            // A tick that comes late counts as one that is a little late.
            let counted = u64::try_from(passed.min(TICK * 3 / 2).as_micros()).unwrap_or(u64::MAX);
            PASSED.fetch_add(counted, Ordering::SeqCst);
        }
    };
    std::thread::Builder::new().name("pace".into()).spawn(tick).expect("a thread");
});

/// A moment on this clock, which begins when it is first asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Paced(u64);

impl Paced {
    pub fn now() -> Paced {
        LazyLock::force(&TICKER);
        Paced(PASSED.load(Ordering::SeqCst))
    }

    pub fn elapsed(self) -> Duration {
        Duration::from_micros(Paced::now().0.saturating_sub(self.0))
    }
}
