//! What `audit`, `export` and `import` have in common: they open the store themselves, as a service would.

use std::sync::Arc;

use clap::Args;

use super::exit::Failure;
use super::history::RememberArgs;
use super::redis::RedisArgs;
use super::store::StoreChoice;
use super::values;
use crate::clock::SystemClock;
use crate::domain::faults::Faults;
use crate::domain::id::NetworkId;
use crate::ledger::LedgerError;
use crate::ledger::embedded::{EmbeddedConfig, EmbeddedLedger, OpenError};
use crate::ledger::redis::{Durability, OpenError as RedisOpenError, RedisConfig, RedisLedger};
use crate::ledger::stewardship::{Holdings, Steward};
use crate::server::{History, RedisStore};

/// Options of every command that opens a store.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Store and output")]
pub struct StewardArgs {
    /// The store: embedded:DIR, or embedded: for a folder of your data directory, which no service may be using; or
    /// redis://HOST:PORT and its kin, which services may go on using
    #[arg(long, env = "SURETY_STORE", value_name = "STORE", default_value = "embedded:")]
    pub store: String,
    /// The network that is meant, of a store that holds several
    #[arg(long, env = "SURETY_IN_NETWORK", value_name = "NAME")]
    pub in_network: Option<String>,
    /// Print what came of it as JSON
    #[arg(long, env = "SURETY_JSON", value_parser = values::flag)]
    pub json: bool,
    /// Of Redis stores: as the services on it have it.
    #[command(flatten)]
    pub remember: RememberArgs,
    /// What to get into a Redis store with.
    #[command(flatten)]
    pub redis: RedisArgs,
}

/// The checked options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The store.
    pub store: StoreChoice,
    /// The network, if one was named.
    pub network: Option<NetworkId>,
    /// How long is remembered what is over.
    pub history: History,
}

/// What to do where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Make an empty one.
    Make,
    /// Say so.
    Refuse,
}

impl StewardArgs {
    /// Checks the options; all faults are noted.
    pub fn check(&self, faults: &mut Faults) -> Option<Chosen> {
        let mut store = StoreChoice::parse(&self.store).map_err(|fault| faults.add("--store", fault)).ok();
        if let Some(store) = &mut store {
            self.redis.complete(store, |name| std::env::var(name).ok(), faults);
        }
        match &store {
            Some(StoreChoice::Memory) => {
                faults.add("--store", "'memory:' holds nothing that another process could see; write embedded:DIR");
            }
            Some(store) => store.check(faults),
            None => {}
        }
        let network = self.in_network.as_deref().filter(|name| !name.is_empty()).map(NetworkId::new);
        let network = network.transpose().map_err(|fault| faults.add("--in-network", fault)).ok();
        let history = History { ended_for: self.remember.check(faults), ..History::default() };
        Some(Chosen { store: store?, network: network?, history })
    }
}

impl Chosen {
    /// The network that was named, or the one that is meant where none is.
    pub fn network(&self) -> NetworkId {
        self.network.clone().unwrap_or_else(NetworkId::default_network)
    }
}

/// Opens a store to look after it. It is to be closed in the end.
///
/// # Errors
/// It is not there, is in use, or holds something else.
pub async fn open_steward(chosen: &Chosen, absent: Absent) -> Result<Arc<dyn Steward>, Failure> {
    let Chosen { store, history, .. } = chosen;
    let clock = Arc::new(SystemClock::new());
    match store {
        StoreChoice::Memory => Ok(EmbeddedLedger::memory(clock)),
        StoreChoice::Embedded(dir) => {
            if absent == Absent::Refuse && !EmbeddedLedger::is_in(dir) {
                return Err(cannot_open(store, format!("there is no ledger in {}", dir.display())));
            }
            EmbeddedLedger::open(EmbeddedConfig::new(dir.clone()), clock).map(|ledger| ledger as _).map_err(|error| {
                match error {
                    // What lies in the folder is wrong, and trying again won't help.
                    wrong @ (OpenError::Newer { .. } | OpenError::Foreign { .. } | OpenError::Damaged(_)) => {
                        cannot_open(store, wrong.to_string())
                    }
                    away @ (OpenError::Locked { .. } | OpenError::Io { .. } | OpenError::Failed(_)) => {
                        away_for_now(&format!("{store} can't be opened: {away}"))
                    }
                }
            })
        }
        StoreChoice::Redis(redis) => {
            let RedisStore { address, tls, .. } = (**redis).clone();
            // Who mends or moves a network looks after its durability; a service checks it at its start.
            let config = RedisConfig { tls, durability: Durability::Memory, ..RedisConfig::new(address) };
            // It gives back what is due, as services do, and so has to remember it for as long as they do.
            let opened = RedisLedger::open(history.of_redis(config)).await;
            opened.map(|ledger| ledger as _).map_err(|error| match error {
                wrong @ RedisOpenError::Layout { .. } => cannot_open(store, wrong.to_string()),
                away @ (RedisOpenError::Away { .. } | RedisOpenError::Durability(_)) => away_for_now(&away.to_string()),
            })
        }
    }
}

fn cannot_open(store: &StoreChoice, fault: String) -> Failure {
    Failure::wrong(format!("{store} can't be opened"), fault)
}

fn away_for_now(message: &str) -> Failure {
    Failure::Unreachable { message: message.to_owned(), code: "UNAVAILABLE", nothing_applied: true, request_id: None }
}

/// What a ledger's failure means.
pub fn failed(store: &StoreChoice, error: &LedgerError) -> Failure {
    match error {
        LedgerError::Unavailable(_)
        | LedgerError::OutcomeUnknown(_)
        | LedgerError::Overloaded
        | LedgerError::DeadlinePassed => away_for_now(&format!("{store}: {error}")),
        LedgerError::UnknownNetwork | LedgerError::TooManyNetworks(_) => {
            Failure::Declined { message: format!("{store}: {error}") }
        }
    }
}

/// Reads all of a network that there is.
///
/// # Errors
/// There is no such network, or the store failed.
pub async fn read(steward: &dyn Steward, store: &StoreChoice, network: &NetworkId) -> Result<Holdings, Failure> {
    match steward.read_all(network).await.map_err(|e| failed(store, &e))? {
        Some(holdings) => Ok(holdings),
        None => {
            let there = steward.networks().await.map_err(|e| failed(store, &e))?;
            let there: Vec<String> = there.iter().map(|name| format!("'{name}'")).collect();
            let message = format!("there is no network '{network}' in {store}; there are: {}", there.join(", "));
            Err(Failure::Declined { message })
        }
    }
}
