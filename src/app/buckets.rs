//! The load: what each bucket has, what is taken of it, what is left.

use super::request::{BucketsOf, BucketsRequest};
use super::response::BucketRow;
use super::supply::bucket_row;
use super::{App, AppError};
use crate::domain::bucket::{Availability, BucketLevel};
use crate::domain::id::NetworkId;
use crate::domain::limits::MAX_LISTED_BUCKETS;
use crate::domain::network::{Kind, ResourceIdx};

impl App {
    /// What the ledger has already: the network's version, and whether any supply was ever set.
    pub fn what_is_kept(&self, network: &NetworkId) -> Result<(i64, bool), AppError> {
        let view = self.view(network, self.clock.now())?.view;
        let resources = (0..view.network.resources().len()).map(ResourceIdx::new);
        let planned = resources.into_iter().any(|at| view.levels(at).last_set().is_some());
        Ok((view.version, planned))
    }

    /// The buckets of one resource, or of all of a site, over some days. Receipts of stock that came earlier are listed too while
    /// something of them is left: they are the stock on hand.
    pub fn list_buckets(&self, network: &NetworkId, request: &BucketsRequest) -> Result<Vec<BucketRow>, AppError> {
        let now = self.clock.now();
        let view = self.view(network, now)?.view;
        let network = &view.network;
        let resources: Vec<ResourceIdx> = match &request.of {
            BucketsOf::Resource(id) => match network.find_resource(id.as_str()) {
                Some(resource) => vec![resource],
                None => return Err(AppError::unknown("resource", "resource", id.as_str())),
            },
            BucketsOf::Site(id) => match network.find_site(id) {
                Some(site) => (0..network.resources().len())
                    .map(ResourceIdx::new)
                    .filter(|at| network.resource(*at).site == site)
                    .collect(),
                None => return Err(AppError::unknown("site", "site", &**id)),
            },
        };
        let mut rows = Vec::new();
        for at in resources {
            let resource = network.resource(at);
            let calendar = network.calendar_of(resource);
            let today = calendar.day_of(now);
            let from = request.from.unwrap_or(today);
            let (first, end) = (resource.bucketing.first_of(from), resource.bucketing.first_of(from + request.days));
            let levels = view.levels(at);
            if resource.kind == Kind::Stock {
                // Only receipts count: days on which nothing arrives are not listed, earlier ones with something left are.
                let known = levels.all().take_while(|(index, _)| *index < end);
                let is_left = |index, level: &BucketLevel| level.balance(resource.standing(index, today), now) != 0;
                for (index, level) in known.filter(|(index, level)| *index >= first || is_left(*index, level)) {
                    rows.push(bucket_row(network, resource, *index, level.clone(), now));
                }
                let standing = resource.bucketing.first_of(resource.since).min(first)..end;
                for index in standing.filter(|i| levels.get(*i).is_none() && resource.standing(*i, today) > 0) {
                    rows.push(bucket_row(network, resource, index, Default::default(), now));
                }
            } else {
                let used = (first..end).filter(|index| !resource.bucketing.is_void(calendar, *index));
                for index in used.take(MAX_LISTED_BUCKETS + 1) {
                    rows.push(bucket_row(
                        network,
                        resource,
                        index,
                        levels.get(index).cloned().unwrap_or_default(),
                        now,
                    ));
                }
            }
            if rows.len() > MAX_LISTED_BUCKETS {
                let message = format!(
                    "there are more than {MAX_LISTED_BUCKETS} buckets in this answer; ask for fewer days or one resource"
                );
                return Err(AppError::invalid("days", message));
            }
        }
        rows.sort_by(|a, b| (&a.resource, a.from).cmp(&(&b.resource, b.from)));
        Ok(rows)
    }
}
