//! The plan: how much of each resource there is in each bucket.

use std::sync::Arc;
use std::time::Instant;

use super::request::{AdjustSupplyRequest, Start, SupplyLine};
use super::response::BucketRow;
use super::{App, AppError, unexpected};
use crate::domain::bucket::{BucketLevel, Bucketing};
use crate::domain::calendar::Calendar;
use crate::domain::faults::Faults;
use crate::domain::id::NetworkId;
use crate::domain::limits::{MAX_HORIZON_DAYS, MAX_REPLANS, MAX_SUPPLY_NUMBERS};
use crate::domain::network::{Kind, Network, Resource, ResourceIdx};
use crate::domain::time::Moment;
use crate::ledger::command::{AdjustSupply, Command, Outcome, Refusal, SetSupply, SupplyRun};

impl App {
    /// Sets the supply of all lines, or of none: every fault is named by its path. Returns the number of buckets set.
    pub async fn set_supply(
        &self,
        network: &NetworkId,
        lines: &[SupplyLine],
        give_up_at: Option<Instant>,
    ) -> Result<i64, AppError> {
        for _ in 0..MAX_REPLANS {
            let now = self.clock.now();
            let view = self.view(network, now)?.view;
            let mut faults = Faults::new();
            let runs: Vec<SupplyRun> = lines
                .iter()
                .enumerate()
                .filter_map(|(i, line)| {
                    let at = |field: &str| format!("lines[{i}].{field}");
                    let (resource, first) =
                        first_bucket(&view.network, line.resource.as_str(), line.start, at, &mut faults)?;
                    let resource = view.network.resource(resource);
                    reaches(&view.network, resource, first, line.units.len(), now, &at("start"), &mut faults);
                    Some(SupplyRun { resource: resource.id.clone(), first, units: line.units.clone() })
                })
                .collect();
            faults.into_result(()).map_err(AppError::Invalid)?;
            let command = Command::SetSupply(SetSupply { network_version: view.version, runs, only_unset: false });
            match self.execute(network, command, give_up_at).await? {
                Outcome::SupplySet { buckets } => return Ok(buckets),
                Outcome::Refused(Refusal::NetworkChanged { version }) => self.await_network(network, version).await?,
                other => return Err(unexpected("SetSupply", &other)),
            }
        }
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }

    /// Sets the supply of any number of lines, in portions that are each applied whole or not at all; those before a faulty one
    /// stay applied.
    ///
    /// # Errors
    /// With the number of the line that is `lines[0]` in the error's paths.
    pub async fn load_plan(&self, network: &NetworkId, lines: &[SupplyLine]) -> Result<i64, (usize, AppError)> {
        let (mut first, mut buckets) = (0, 0);
        while first < lines.len() {
            let mut numbers = 0;
            let fits = lines[first..].iter().take_while(|line| {
                numbers += line.units.len();
                numbers <= MAX_SUPPLY_NUMBERS
            });
            let next = first + fits.count().max(1);
            buckets += self.set_supply(network, &lines[first..next], None).await.map_err(|error| (first, error))?;
            first = next;
        }
        Ok(buckets)
    }

    /// Changes the supply of consecutive buckets by a number, and shows them as they then are, with the number of reservations that
    /// were put at risk by it (rule 24).
    pub async fn adjust_supply(
        &self,
        network: &NetworkId,
        request: &AdjustSupplyRequest,
        give_up_at: Option<Instant>,
    ) -> Result<(Vec<BucketRow>, i64), AppError> {
        let before = self.before(network);
        let rows = self.adjust(network, request, give_up_at).await?;
        Ok((rows, self.put_at_risk(network, before, give_up_at).await))
    }

    async fn adjust(
        &self,
        network: &NetworkId,
        request: &AdjustSupplyRequest,
        give_up_at: Option<Instant>,
    ) -> Result<Vec<BucketRow>, AppError> {
        for _ in 0..MAX_REPLANS {
            let now = self.clock.now();
            let view = self.view(network, now)?.view;
            let mut faults = Faults::new();
            let at = |field: &str| field.to_owned();
            let found = first_bucket(&view.network, request.resource.as_str(), request.start, at, &mut faults);
            if let Some((resource, first)) = found {
                let resource = view.network.resource(resource);
                reaches(&view.network, resource, first, request.buckets as usize, now, "start", &mut faults);
            }
            faults.into_result(()).map_err(AppError::Invalid)?;
            let Some((index, first)) = found else { return Err(AppError::invalid("resource", "is not known")) };
            let resource = view.network.resource(index);
            let today = view.network.calendar_of(resource).day_of(now);
            let standing: Vec<i64> = (0..request.buckets).map(|i| resource.standing(first + i, today)).collect();
            let command = Command::AdjustSupply(Box::new(AdjustSupply {
                request_id: request.request_id.clone(),
                fingerprint: request.fingerprint,
                network_version: view.version,
                resource: resource.id.clone(),
                first,
                standing: standing.clone(),
                delta: request.delta,
                reason: Arc::clone(&request.reason),
            }));
            match self.execute(network, command, give_up_at).await? {
                Outcome::SupplyAdjusted { first, levels } => {
                    return Ok(levels
                        .iter()
                        .zip(first..)
                        .map(|(level, index)| bucket_row(&view.network, resource, index, level.clone(), now))
                        .collect());
                }
                Outcome::Refused(Refusal::NetworkChanged { version }) => self.await_network(network, version).await?,
                Outcome::Refused(Refusal::AlreadyExists) => {
                    return Err(match &request.request_id {
                        Some(id) => AppError::RequestTaken(id.clone()),
                        None => {
                            AppError::Internal(Arc::from("an adjustment without request_id was taken for a repeat"))
                        }
                    });
                }
                other => return Err(unexpected("AdjustSupply", &other)),
            }
        }
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }
}

/// The bucket that a line of the plan begins with.
pub(super) fn first_bucket(
    network: &Network,
    resource: &str,
    start: Start,
    at: impl Fn(&str) -> String,
    faults: &mut Faults,
) -> Option<(ResourceIdx, i32)> {
    let Some(index) = network.find_resource(resource) else {
        faults.add(at("resource"), format!("there is no resource '{resource}' in this network"));
        return None;
    };
    let bucketing = network.resource(index).bucketing;
    let first = match start {
        Start::Date(day) => bucketing.first_of(day),
        Start::DateTime(day, time) => match bucketing.named(day, time) {
            Some(first) => first,
            None => {
                let message = if bucketing.is_days() {
                    format!("'{resource}' has day buckets; write the date alone, {day}")
                } else {
                    format!(
                        "no bucket of '{resource}' begins at {time}; they are {} minutes long from 00:00 on",
                        bucketing.minutes()
                    )
                };
                faults.add(at("start"), message);
                return None;
            }
        },
    };
    Some((index, first))
}

/// Notes a fault where buckets are over, or lie so far ahead that it must be a slip of the pen. A receipt of stock is never
/// over: what arrived in the past is stock on hand (rule 4).
pub(super) fn reaches(
    network: &Network,
    resource: &Resource,
    first: i32,
    buckets: usize,
    now: Moment,
    path: &str,
    faults: &mut Faults,
) {
    let calendar = network.calendar_of(resource);
    let last = i64::from(first) + buckets as i64 - 1;
    let too_far = too_far(resource.bucketing, calendar, last, now);
    let over = (resource.kind == Kind::Capacity)
        .then(|| over(resource.id.as_str(), resource.bucketing, calendar, first, now))
        .flatten();
    too_far.into_iter().chain(over).for_each(|message| faults.add(path, message));
}

/// What is wrong with a bucket that lies too far ahead.
pub(crate) fn too_far(bucketing: Bucketing, calendar: &Calendar, last: i64, now: Moment) -> Option<String> {
    let latest = i64::from(bucketing.first_of(calendar.day_of(now) + MAX_HORIZON_DAYS + 1)) - 1;
    (last > latest)
        .then(|| format!("reaches more than {MAX_HORIZON_DAYS} days ahead; supply is planned at most so far"))
}

/// What is wrong with a bucket of capacity that is over.
pub(crate) fn over(
    resource: &str,
    bucketing: Bucketing,
    calendar: &Calendar,
    first: i32,
    now: Moment,
) -> Option<String> {
    let end = bucketing.end(calendar, first);
    (end <= now).then(|| {
        let over = calendar.wall_clock(end);
        format!("lies in the past: the first bucket of '{resource}' ended at {over} local time")
    })
}

/// A bucket as people see it.
pub(super) fn bucket_row(
    network: &Network,
    resource: &Resource,
    index: i32,
    level: BucketLevel,
    now: Moment,
) -> BucketRow {
    let calendar = network.calendar_of(resource);
    BucketRow {
        resource: resource.id.clone(),
        from: resource.bucketing.start(calendar, index),
        to: resource.bucketing.end(calendar, index),
        supply: level.supply(resource.standing(index, calendar.day_of(now))),
        level,
        as_of: now,
    }
}
