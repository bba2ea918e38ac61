//! What a back end tells about its work, for metrics. The composition root adapts it; nothing here decides anything.

use std::time::Duration;

/// Is told what a back end does. Calls come from the thread that writes, so they must be short and never block.
pub trait LedgerObserver: Send + Sync + 'static {
    /// So many commands were made durable together, and how long the store took for it.
    fn committed(&self, commands: usize, took: Duration) {
        let _ = (commands, took);
    }

    /// So many holds ended unconfirmed (rule 21).
    fn expired(&self, holds: usize) {
        let _ = holds;
    }

    /// So many commands waited when a batch was begun.
    fn waiting(&self, commands: usize) {
        let _ = commands;
    }

    /// A hold was undone because its caller had gone.
    fn undone(&self) {}

    /// The store failed and is opened again; nothing is taken until [`LedgerObserver::recovered`].
    fn failed(&self, why: &str) {
        let _ = why;
    }

    /// The store works again.
    fn recovered(&self) {}
}

/// Nobody looks.
#[derive(Debug, Default)]
pub struct Unobserved;

impl LedgerObserver for Unobserved {}
