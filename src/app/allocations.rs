//! Part of a resource set aside for a channel, and how much of it the channel may draw at most.

use std::sync::Arc;
use std::time::Instant;

use super::error::faults_and_unknown;
use super::request::SetAllocationRequest;
use super::response::{BucketRow, LacksUnits};
use super::supply::{bucket_row, first_bucket, reaches};
use super::{App, AppError, unexpected};
use crate::domain::draw::Pool;
use crate::domain::faults::Faults;
use crate::domain::id::NetworkId;
use crate::domain::limits::MAX_REPLANS;
use crate::domain::network::{Kind, Network, Resource};
use crate::domain::time::{Moment, Span};
use crate::ledger::command::{Allocation, Command, Outcome, Refusal, SetAllocation, Shortage};
use crate::planner::Unknown;

impl App {
    /// Sets units of consecutive buckets aside for a channel, in all of them or in none, and shows the buckets as they then are.
    pub async fn set_allocation(
        &self,
        network: &NetworkId,
        request: &SetAllocationRequest,
        give_up_at: Option<Instant>,
    ) -> Result<Vec<BucketRow>, AppError> {
        for _ in 0..MAX_REPLANS {
            let now = self.clock.now();
            let view = self.view(network, now)?.view;
            let command = allocation(&view.network, view.version, request, now)?;
            let Some(index) = view.network.find_resource(command.resource.as_str()) else {
                return Err(AppError::invalid("resource", "is not known"));
            };
            let resource = view.network.resource(index);
            match self.execute(network, Command::SetAllocation(Box::new(command.clone())), give_up_at).await? {
                Outcome::SupplyAdjusted { first, levels } => {
                    let rows = levels.iter().zip(first..);
                    return Ok(rows
                        .map(|(level, index)| bucket_row(&view.network, resource, index, level.clone(), now))
                        .collect());
                }
                // The ledger gave back what was due before it looked, so there is nothing to wait for.
                Outcome::Refused(Refusal::Short(short)) => {
                    let lacks = short.iter().map(|s| lacks(resource, &command, s, now)).collect();
                    return Err(AppError::AllocationShort { resource: resource.id.clone(), short: lacks });
                }
                Outcome::Refused(Refusal::NetworkChanged { version }) => self.await_network(network, version).await?,
                Outcome::Refused(Refusal::AlreadyExists) => {
                    return Err(match &request.request_id {
                        Some(id) => AppError::RequestTaken(id.clone()),
                        None => {
                            AppError::Internal(Arc::from("an allocation without request_id was taken for a repeat"))
                        }
                    });
                }
                other => return Err(unexpected("SetAllocation", &other)),
            }
        }
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }
}

/// What the ledger is to set aside.
fn allocation(
    network: &Network,
    network_version: i64,
    request: &SetAllocationRequest,
    now: Moment,
) -> Result<SetAllocation, AppError> {
    let mut faults = Faults::new();
    let channel = network.find_channel(&request.channel);
    let at = |field: &str| field.to_owned();
    let found = first_bucket(network, request.resource.as_str(), request.start, at, &mut faults);
    if let Some((resource, first)) = found {
        reaches(network, network.resource(resource), first, request.units.len(), now, "start", &mut faults);
    }
    let Some(channel) = channel else {
        let unknown = Unknown { path: "channel".to_owned(), kind: "channel", name: request.channel.to_string() };
        return Err(faults_and_unknown(faults, vec![unknown]));
    };
    faults.into_result(()).map_err(AppError::Invalid)?;
    let Some((resource, first)) = found else {
        return Err(AppError::invalid("resource", "is not known"));
    };
    let resource = network.resource(resource);
    let today = network.calendar_of(resource).day_of(now);
    let buckets = (first..).zip(request.units.iter().enumerate()).map(|(index, (i, &units))| {
        let release_at = goes_back_at(network, resource, index, request.release_hours).unwrap_or(Moment::FAR);
        Allocation {
            standing: resource.standing(index, today),
            // Where it would have gone back already, only the maximum is set: units would be shown of which nothing is held. It
            // is no fault, as a repeat is to get its first answer then too (rule 20).
            units: if release_at <= now { 0 } else { units },
            release_at,
            most: request.most.as_ref().and_then(|most| most.get(i)).copied(),
        }
    });
    Ok(SetAllocation {
        request_id: request.request_id.clone(),
        fingerprint: request.fingerprint,
        network_version,
        channel: Arc::clone(&network.channel(channel).id),
        resource: resource.id.clone(),
        first,
        buckets: buckets.collect(),
    })
}

/// When what is set aside of a bucket goes back by itself: so many hours before it begins. None for stock: a receipt serves from
/// its start for ever (rule 4), so the hours before it begins mean nothing for it.
pub(super) fn goes_back_at(network: &Network, resource: &Resource, index: i32, release_hours: i32) -> Option<Moment> {
    match resource.kind {
        Kind::Stock => None,
        Kind::Capacity => {
            let begins = resource.bucketing.start(network.calendar_of(resource), index);
            Some(begins.minus(Span::hours(i64::from(release_hours))))
        }
    }
}

/// What a bucket lacks of what was to be set aside.
fn lacks(resource: &Resource, command: &SetAllocation, short: &Shortage, now: Moment) -> LacksUnits {
    let asked = usize::try_from(short.index - command.first).ok().and_then(|at| command.buckets.get(at));
    let (units, standing) = asked.map_or((0, 0), |a| (a.units, a.standing));
    let own = short.level.pool(&Pool::Channel(Arc::clone(&command.channel)));
    let (used, left) = own.map_or((0, 0), |p| (p.used, p.left(now)));
    LacksUnits {
        bucket: named(resource, short.index),
        free: short.level.balance(standing, now).max(0),
        wanted: (units - used).max(0) - left,
    }
}

/// A bucket's name as a plan writes it.
fn named(resource: &Resource, index: i32) -> String {
    let day = resource.bucketing.day_of(index);
    if resource.bucketing.is_days() { day.to_string() } else { format!("{day}T{}", resource.bucketing.time_of(index)) }
}
