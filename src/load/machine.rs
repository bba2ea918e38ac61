//! What a reader must know of the machine that a run was made on, and how busy the generator itself was.

use std::time::{Duration, Instant};

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Threads that can run at once.
    pub cores: usize,
    /// The processor's name; empty where it can't be told.
    pub processor: String,
    /// System and architecture: "linux x86_64".
    pub system: String,
    /// Tasks that ran or wanted to, on average over the minute before; empty where it can't be told.
    pub load: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo");
        let name = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: name.map_or_else(String::new, |(_, name)| name.trim().to_owned()),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            load: load.split_whitespace().next().unwrap_or_default().to_owned(),
        }
    }
}

/// Ticks of `/proc`'s processor times: 100 a second on every Linux that there is.
const TICKS_A_SECOND: f64 = 100.0;

/// Processor time that a process has spent, user and system; None where it can't be told. `self` is this one.
pub fn spent(process: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, which may have spaces, ends with the last parenthesis; utime and stime are the 12th and 13th after it.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS_A_SECOND))
}

/// Watches how busy this process is.
#[derive(Debug)]
pub struct Effort {
    since: Instant,
    spent: Option<Duration>,
}

impl Effort {
    /// From now on.
    pub fn begin() -> Self {
        Self { since: Instant::now(), spent: spent("self") }
    }

    /// Cores that this process has kept busy since, on average.
    pub fn cores(&self) -> Option<f64> {
        let spent = spent("self")?.checked_sub(self.spent?)?;
        Some(spent.as_secs_f64() / self.since.elapsed().as_secs_f64().max(1e-3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_time_is_spent() {
        assert!(Machine::this().cores >= 1);
        let effort = Effort::begin();
        if cfg!(target_os = "linux") {
            assert!(spent("self").is_some() && effort.cores().is_some_and(|cores| cores >= 0.0));
            assert_eq!(spent("no-such-process"), None);
        }
    }
}
