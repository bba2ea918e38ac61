//! What an acknowledged change survives, checked against the configuration that the server really has. `docs/redis.md` says
//! for each setting just what it promises.

use std::fmt;
use std::str::FromStr;

use redis::Value;
use tracing::warn;

use super::call::Awaited;
use super::link::Link;
use super::reply;

/// Replicas that can be waited for, at most: more than anybody has.
const MOST_REPLICAS: u32 = 100;

/// What an acknowledged change survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of any server of this service; not that of Redis.
    Memory,
    /// The end of Redis, but for the last second or two.
    #[default]
    EverySecond,
    /// The end of Redis and of its machine: it is on disk before the answer.
    Fsync,
    /// The loss of the primary, if one of so many replicas takes over: they have it before the answer.
    Replicas(u32),
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Durability::Memory => f.write_str("memory"),
            Durability::EverySecond => f.write_str("every-second"),
            Durability::Fsync => f.write_str("fsync"),
            Durability::Replicas(n) => write!(f, "replicas:{n}"),
        }
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "memory" => Ok(Durability::Memory),
            "every-second" => Ok(Durability::EverySecond),
            "fsync" => Ok(Durability::Fsync),
            _ => text
                .strip_prefix("replicas:")
                .and_then(|n| n.parse().ok())
                .filter(|n| (1..=MOST_REPLICAS).contains(n))
                .map(Durability::Replicas)
                .ok_or_else(|| {
                    format!("'{text}' is not a durability; write memory, every-second, fsync or replicas:N, N from 1 to {MOST_REPLICAS}")
                }),
        }
    }
}

/// The durability that is asked for can't be had from the server as it is set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis can't give the durability '{asked}': {why}")]
pub struct DurabilityError {
    /// What is asked for.
    pub asked: Durability,
    /// What is in the way, and what would be right.
    pub why: String,
}

/// What the server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    /// Whether it writes an append-only file; none: it does not say.
    appends: Option<bool>,
    /// How often it syncs it: `always`, `everysec`, `no`; none: it does not say.
    syncs: Option<String>,
    /// Replicas that are connected to it.
    replicas: Option<u32>,
    /// What it does when its memory is full.
    full: Option<String>,
    /// Whether it knows WAITAOF.
    waits_for_file: bool,
}

/// Asks the server and says what has to be waited for with each call. What it does not say, as managed ones may not, is warned of.
pub async fn check(link: &mut Link, asked: Durability) -> Result<Awaited, DurabilityError> {
    let facts = ask(link).await;
    if let Some(policy) = facts.full.as_deref().filter(|policy| *policy != "noeviction") {
        warn!(
            policy,
            "Redis may drop keys when its memory is full, and with them promises; set maxmemory-policy noeviction"
        );
    }
    judge(&facts, asked)
}

fn judge(facts: &Facts, asked: Durability) -> Result<Awaited, DurabilityError> {
    let refused = |why: &str| Err(DurabilityError { asked, why: why.to_owned() });
    let nothing = Awaited::default();
    let unsaid = |what: &str| warn!(durability = %asked, "Redis does not tell {what}; whether it gives this durability is for its operators to know");
    match asked {
        Durability::Memory => Ok(nothing),
        Durability::EverySecond => match (facts.appends, facts.syncs.as_deref()) {
            (Some(false), _) => refused("it keeps no append-only file; set appendonly yes there, or ask for 'memory'"),
            (_, Some("no")) => {
                refused("it leaves syncing to the system; set appendfsync everysec there, or ask for 'memory'")
            }
            (Some(true), Some(_)) => Ok(nothing),
            (None, _) | (_, None) => {
                unsaid("whether it keeps an append-only file, and how often it syncs it");
                Ok(nothing)
            }
        },
        Durability::Fsync => match (facts.appends, facts.syncs.as_deref()) {
            (Some(false), _) => refused("it keeps no append-only file; set appendonly yes there, or ask for 'memory'"),
            (_, Some("always")) => Ok(nothing),
            // From 7.2 on, and in Valkey, it can be asked to sync before it answers.
            (Some(true) | None, _) if facts.waits_for_file => Ok(Awaited { replicas: 0, fsync: true }),
            (_, Some(_)) => refused(
                "it does not sync before it answers, and is too old to be asked to (WAITAOF); set appendfsync always there, or ask for \
                 'every-second'",
            ),
            (_, None) => refused("it does not tell how often it syncs, and is too old to be asked to sync (WAITAOF)"),
        },
        Durability::Replicas(wanted) => match facts.replicas {
            Some(has) if has < wanted => Err(DurabilityError {
                asked,
                why: format!(
                    "{has} replicas are connected to it, {wanted} are to have each change before it is answered"
                ),
            }),
            Some(_) => Ok(Awaited { replicas: wanted, fsync: false }),
            None => {
                unsaid("how many replicas it has");
                Ok(Awaited { replicas: wanted, fsync: false })
            }
        },
    }
}

async fn ask(link: &mut Link) -> Facts {
    let mut facts = Facts::default();
    if let Some(info) = info(link, "persistence").await {
        facts.appends = value(&info, "aof_enabled").map(|v| v == "1");
    }
    if let Some(info) = info(link, "replication").await {
        facts.replicas = value(&info, "connected_slaves").and_then(|v| v.parse().ok());
    }
    facts.syncs = config(link, "appendfsync").await;
    facts.full = config(link, "maxmemory-policy").await;
    let mut cmd = redis::cmd("COMMAND");
    cmd.arg("INFO").arg("WAITAOF");
    facts.waits_for_file = matches!(link.send(&cmd).await, Ok(Value::Array(found)) if found.iter().any(|one| matches!(one, Value::Array(_))));
    facts
}

async fn info(link: &mut Link, section: &str) -> Option<String> {
    let mut cmd = redis::cmd("INFO");
    cmd.arg(section);
    reply::text(link.send(&cmd).await.ok()?).ok()
}

/// Managed servers have no CONFIG.
async fn config(link: &mut Link, name: &str) -> Option<String> {
    let mut cmd = redis::cmd("CONFIG");
    cmd.arg("GET").arg(name);
    let mut parts = reply::list(link.send(&cmd).await.ok()?).ok()?.into_iter();
    parts.next()?;
    reply::text(parts.next()?).ok()
}

fn value<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(appends: bool, syncs: &str, replicas: u32, waits_for_file: bool) -> Facts {
        let (appends, syncs, replicas) = (Some(appends), Some(syncs.to_owned()), Some(replicas));
        Facts { appends, syncs, replicas, full: None, waits_for_file }
    }

    #[test]
    fn durability_is_read_and_shown() {
        for text in ["memory", "every-second", "fsync", "replicas:2"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        for wrong in ["", "disk", "replicas", "replicas:0", "replicas:101", "replicas:x"] {
            assert!(wrong.parse::<Durability>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_setting_that_can_not_be_honoured_is_refused() {
        let nothing = Awaited::default();
        for (facts, asked, expected) in [
            (facts(false, "everysec", 0, false), Durability::Memory, Some(nothing)),
            (facts(false, "everysec", 0, false), Durability::EverySecond, None),
            (facts(true, "no", 0, false), Durability::EverySecond, None),
            (facts(true, "everysec", 0, false), Durability::EverySecond, Some(nothing)),
            (facts(true, "everysec", 0, false), Durability::Fsync, None),
            (facts(true, "everysec", 0, true), Durability::Fsync, Some(Awaited { replicas: 0, fsync: true })),
            (facts(true, "always", 0, false), Durability::Fsync, Some(nothing)),
            (facts(false, "always", 0, true), Durability::Fsync, None),
            (facts(true, "always", 1, true), Durability::Replicas(2), None),
            (facts(true, "always", 2, true), Durability::Replicas(2), Some(Awaited { replicas: 2, fsync: false })),
            (Facts::default(), Durability::EverySecond, Some(nothing)),
            (Facts::default(), Durability::Fsync, None),
        ] {
            assert_eq!(judge(&facts, asked).ok(), expected, "{facts:?} {asked}");
        }
    }
}
