//! The network as one document: checked whole, replaced whole.

use std::sync::Arc;
use std::time::Instant;

use super::request::ApplyNetworkRequest;
use super::{App, AppError, unexpected};
use crate::domain::bucket::Availability;
use crate::domain::id::{NetworkId, ResourceId};
use crate::domain::limits::MAX_REPLANS;
use crate::domain::network::{Kind, Network, ResourceIdx};
use crate::domain::time::{Moment, Span};
use crate::ledger::command::{ApplyNetwork, Command, Outcome, Refusal, SetSupply, SupplyRun};
use crate::view::{NetworkView, NoReading};

impl App {
    /// Replaces the network, or with `validate_only` says whether it could be. Returns the version: the new one, or, where
    /// nothing was replaced, the present one. `applied_at` is the instant that the network was built for.
    pub async fn apply_network(
        &self,
        network: &NetworkId,
        request: ApplyNetworkRequest,
        applied_at: Moment,
        give_up_at: Option<Instant>,
    ) -> Result<i64, AppError> {
        let ApplyNetworkRequest { document, network: checked, validate_only } = request;
        let checked = Arc::new(checked);
        for _ in 0..MAX_REPLANS {
            let present = match self.views.read(network, self.clock.now(), Span::ZERO) {
                Ok(reading) => Some(reading.view),
                Err(NoReading::Unknown) => None,
                Err(NoReading::NotNow) => return Err(AppError::Unavailable),
            };
            // Which resources a network drops can't be told where the one before can't be read.
            if present.as_ref().is_some_and(|view| view.unreadable) {
                return Err(AppError::Unavailable);
            }
            let dropped = present.as_ref().map_or_else(Vec::new, |view| dropped(&view.network, &checked));
            let base_version = present.as_ref().map_or(0, |view| view.version);
            if validate_only {
                let carrying = present.map_or_else(Vec::new, |view| carrying(&view, dropped));
                return if carrying.is_empty() { Ok(base_version) } else { Err(AppError::StillCarries(carrying)) };
            }
            if let Some(view) = &present {
                self.keep_receipts(network, view, applied_at, give_up_at).await?;
            }
            self.views.prepare(Arc::clone(&document), Arc::clone(&checked));
            let command = Command::ApplyNetwork(ApplyNetwork {
                base_version,
                document: Arc::clone(&document),
                applied_at,
                dropped,
            });
            match self.execute(network, command, give_up_at).await? {
                Outcome::NetworkApplied { version } => return Ok(version),
                Outcome::Refused(Refusal::StillCarries(resources)) => return Err(AppError::StillCarries(resources)),
                Outcome::Refused(Refusal::NetworkChanged { version }) => self.await_network(network, version).await?,
                other => return Err(unexpected("ApplyNetwork", &other)),
            }
        }
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }

    /// Writes down the standing receipts of stock of days that are over: they have arrived, whatever the next network's
    /// standing plan says (rule 4).
    async fn keep_receipts(
        &self,
        network: &NetworkId,
        view: &NetworkView,
        now: Moment,
        give_up_at: Option<Instant>,
    ) -> Result<(), AppError> {
        let mut runs = Vec::new();
        for (i, resource) in view.network.resources().iter().enumerate() {
            if resource.kind != Kind::Stock || resource.weekly.is_none() {
                continue;
            }
            let today = view.network.calendar_of(resource).day_of(now);
            let levels = view.levels(ResourceIdx::new(i));
            let over = resource.bucketing.first_of(resource.since)..resource.bucketing.first_of(today);
            for index in over.filter(|index| levels.get(*index).is_none_or(|level| level.set.is_none())) {
                let units = resource.standing(index, today);
                if units > 0 {
                    runs.push(SupplyRun { resource: resource.id.clone(), first: index, units: vec![units] });
                }
            }
        }
        if runs.is_empty() {
            return Ok(());
        }
        let command = Command::SetSupply(SetSupply { network_version: view.version, runs, only_unset: true });
        match self.execute(network, command, give_up_at).await? {
            // Another network came between: its own application has written them down.
            Outcome::SupplySet { .. } | Outcome::Refused(Refusal::NetworkChanged { .. }) => Ok(()),
            other => Err(unexpected("SetSupply", &other)),
        }
    }

    /// The network's document and version; of a network that was never applied, nothing and 0.
    pub fn get_network(&self, network: &NetworkId) -> Result<(Arc<[u8]>, i64), AppError> {
        let view = self.view(network, self.clock.now())?.view;
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
        let carries = |at: ResourceIdx| view.levels(at).all().any(|(_, level)| level.carries_reservations());
        view.network.find_resource(id.as_str()).is_some_and(carries)
    });
    dropped
}
