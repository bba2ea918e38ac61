//! How far a run is, for who watches it in a terminal.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::load::run::Watch;

/// How often the bar moves: often enough for the eye, seldom enough to cost nothing.
const MOVES_EVERY: Duration = Duration::from_millis(200);

/// A bar for each part of the run.
pub struct Progress {
    bar: ProgressBar,
    begun: Arc<Mutex<Instant>>,
    moving: JoinHandle<()>,
}

impl Progress {
    /// Shows it, if there is somebody to see it.
    pub fn show() -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(1) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{msg:36} {bar:40} {percent} %");
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let begun = Arc::new(Mutex::new(Instant::now()));
        let moving = tokio::spawn({
            let (bar, begun) = (bar.clone(), Arc::clone(&begun));
            async move {
                while !bar.is_hidden() {
                    tokio::time::sleep(MOVES_EVERY).await;
                    let begun = *begun.lock().unwrap_or_else(PoisonError::into_inner);
                    bar.set_position(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
                }
            }
        });
        Self { bar, begun, moving }
    }

    /// The run is over, and what it took is looked at.
    pub fn check(&self) {
        self.begins("is anything oversold?", Duration::from_secs(1));
    }

    /// Nothing more is to come.
    pub fn end(self) {
        self.moving.abort();
        self.bar.finish_and_clear();
    }
}

impl Watch for Progress {
    fn begins(&self, what: &str, lasting: Duration) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.bar.set_length(u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX));
        self.bar.set_position(0);
        self.bar.set_message(what.to_owned());
    }
}
