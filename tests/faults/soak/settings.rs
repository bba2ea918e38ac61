//! How long and how hard: the short form is for every run of the tests, the long one for who wants to know.

use std::path::PathBuf;
use std::time::Duration;

use crate::dice::setting;

/// From this length on what is flat can be told from what is not.
const JUDGED_FROM: Duration = Duration::from_secs(180);

pub struct Settings {
    /// Of the load.
    pub length: Duration,
    /// Calls a second, about.
    pub rate: u64,
    pub sample_every: Duration,
    pub restart_every: Duration,
    /// From one offer to the next.
    pub campaign_every: Duration,
    /// How long what ended is remembered (`--remember-for`).
    pub remember: Duration,
    /// Entries of the feed that are kept (`--keep-events`).
    pub events: u64,
    /// Where the samples are written.
    pub folder: PathBuf,
}

impl Settings {
    /// `SOAK_MINUTES` or `SOAK_SECONDS`, `SOAK_RATE`, `SOAK_DIR`.
    pub fn read() -> Settings {
        let seconds = setting("SOAK_MINUTES", 0) * 60;
        let seconds = if seconds > 0 { seconds } else { setting("SOAK_SECONDS", 12).max(6) };
        let is_long = Duration::from_secs(seconds) >= JUDGED_FROM;
        Settings {
            length: Duration::from_secs(seconds),
            rate: setting("SOAK_RATE", 300).max(10),
            sample_every: Duration::from_secs(if is_long { 10 } else { 1 }),
            restart_every: Duration::from_secs(if is_long { setting("SOAK_RESTART_SECONDS", 30) } else { 2 }),
            campaign_every: Duration::from_secs(if is_long { 20 } else { 2 }),
            // A third of the run has to be long enough for all that it begins with to be forgotten.
            remember: Duration::from_secs((seconds / 20).clamp(8, 60)),
            events: if is_long { 5_000 } else { 500 },
            folder: std::env::var_os("SOAK_DIR").map_or_else(std::env::temp_dir, PathBuf::from),
        }
    }

    /// Whether it goes on for long enough to say what is flat.
    pub fn is_long(&self) -> bool {
        self.length >= JUDGED_FROM
    }
}
