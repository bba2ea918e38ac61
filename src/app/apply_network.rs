//! The network as one document: checked whole, replaced whole.

use std::sync::Arc;
use std::time::Instant;

use super::{App, AppError, unexpected};
use crate::domain::bucket::Availability;
use crate::domain::id::{NetworkId, ResourceId};
use crate::domain::limits::MAX_REPLANS;
use crate::domain::network::{Network, NetworkSpec, ResourceIdx};
use crate::ledger::command::{ApplyNetwork, Command, Outcome, Refusal};
use crate::view::NetworkView;

impl App {
    /// Replaces the network, or with `validate_only` says whether it could be. Returns the version: the new one, or, where
    /// nothing was replaced, the present one.
    pub async fn apply_network(
        &self,
        network: &NetworkId,
        spec: NetworkSpec,
        document: Arc<[u8]>,
        validate_only: bool,
        give_up_at: Option<Instant>,
    ) -> Result<i64, AppError> {
        let now = self.clock.now();
        // A large one takes seconds, which no other request should wait for.
        let built = tokio::task::spawn_blocking(move || Network::build(spec, now)).await;
        let checked = match built {
            Ok(checked) => Arc::new(checked.map_err(AppError::Invalid)?),
            Err(panicked) => return Err(AppError::Internal(Arc::from(panicked.to_string()))),
        };
        for _ in 0..MAX_REPLANS {
            if !self.views.are_current() {
                return Err(AppError::Unavailable);
            }
            let present = self.views.get(network);
            let dropped = present.as_ref().map_or_else(Vec::new, |view| dropped(&view.network, &checked));
            let base_version = present.as_ref().map_or(0, |view| view.version);
            if validate_only {
                let carrying = present.map_or_else(Vec::new, |view| carrying(&view, dropped));
                return if carrying.is_empty() { Ok(base_version) } else { Err(AppError::StillCarries(carrying)) };
            }
            self.views.prepare(Arc::clone(&document), Arc::clone(&checked));
            let command = Command::ApplyNetwork(ApplyNetwork { base_version, document: Arc::clone(&document), dropped });
            match self.execute(network, command, give_up_at).await? {
                Outcome::NetworkApplied { version } => return Ok(version),
                Outcome::Refused(Refusal::StillCarries(resources)) => return Err(AppError::StillCarries(resources)),
                Outcome::Refused(Refusal::NetworkChanged { version }) => self.await_network(network, version).await?,
                other => return Err(unexpected("ApplyNetwork", &other)),
            }
        }
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }

    /// The network's document and version; of a network that was never applied, nothing and 0.
    pub fn get_network(&self, network: &NetworkId) -> Result<(Arc<[u8]>, i64), AppError> {
        let view = self.view(network)?;
        Ok((Arc::clone(&view.document), view.version))
    }
}

/// The resources that the new network leaves out, or whose buckets would mean something else in it.
fn dropped(old: &Network, new: &Network) -> Vec<ResourceId> {
    old.resources()
        .iter()
        .filter(|before| match new.find_resource(before.id.as_str()) {
            None => true,
            Some(at) => {
                let after = new.resource(at);
                after.bucketing != before.bucketing
                    || after.kind != before.kind
                    || new.calendar_of(after).name() != old.calendar_of(before).name()
            }
        })
        .map(|resource| resource.id.clone())
        .collect()
}

fn carrying(view: &NetworkView, mut dropped: Vec<ResourceId>) -> Vec<ResourceId> {
    dropped.retain(|id| {
        let carries = |at: ResourceIdx| view.levels(at).all().iter().any(|(_, level)| level.carries_reservations());
        view.network.find_resource(id.as_str()).is_some_and(carries)
    });
    dropped
}
