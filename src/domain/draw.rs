//! Draws: which units of which bucket a promise takes, and from which pool of it (rules 17 and 19).

use std::fmt;
use std::sync::Arc;

use super::id::ResourceId;
use super::time::Moment;

/// Whose units of a bucket they are (rule 17).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// What is set aside for nobody.
    #[default]
    Common,
    /// Set aside for a channel.
    Channel(Arc<str>),
    /// Set aside for an offer.
    Offer(Arc<str>),
}

impl fmt::Display for Pool {
    /// As the contract writes it: `channel/vip`, `offer/black-friday-26`, nothing for common capacity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pool::Common => Ok(()),
            Pool::Channel(id) => write!(f, "channel/{id}"),
            Pool::Offer(id) => write!(f, "offer/{id}"),
        }
    }
}

impl Pool {
    /// The inverse of `Display`.
    pub fn parse(text: &str) -> Option<Pool> {
        match text.split_once('/') {
            None if text.is_empty() => Some(Pool::Common),
            Some(("channel", id)) => Some(Pool::Channel(Arc::from(id))),
            Some(("offer", id)) => Some(Pool::Offer(Arc::from(id))),
            _ => None,
        }
    }
}

/// Units of one pool of one bucket, already chosen. The planner searches; the ledger only tests and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The resource.
    pub resource: ResourceId,
    /// The bucket: its number on the resource (see `bucket`).
    pub index: i32,
    /// When the bucket begins, kept as evidence, whatever becomes of the network.
    pub from: Moment,
    /// When the bucket ends.
    pub to: Moment,
    /// Whose units.
    pub pool: Pool,
    /// How many, at least 1.
    pub units: i64,
}

/// A draw that the ledger is asked to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// What to take.
    pub draw: Draw,
    /// The units that the standing plan gives the bucket: its supply where none was set (rule 3). The ledger knows no
    /// calendars, so it is told; it is true for the network version that the command names.
    pub standing: i64,
}
