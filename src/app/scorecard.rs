//! The figures that marketing and operations share: sums of what the ledger counted, and the load of resources from the view.

use std::cmp::Reverse;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::request::ScorecardRequest;
use super::response::{LostDemand, ResourceUse, Scorecard};
use super::{App, AppError};
use crate::domain::bucket::Availability;
use crate::domain::id::{NetworkId, ResourceId};
use crate::domain::limits::MAX_SCORECARD_ROWS;
use crate::domain::network::{Kind, ResourceIdx};
use crate::domain::reservation::State;
use crate::domain::time::{Day, Moment};
use crate::ledger::ReservationFilter;
use crate::ledger::tally::{Counted, LOST, SCORE};
use crate::planner::Unknown;
use crate::view::NetworkView;

/// Reservations that are counted at a time.
const PAGE: usize = 1_000;

impl App {
    /// The scorecard of some days of promise.
    pub async fn scorecard(
        self: &Arc<Self>,
        network: &NetworkId,
        request: &ScorecardRequest,
    ) -> Result<Scorecard, AppError> {
        let now = self.clock.now();
        let view = self.view(network, now)?.view;
        let mut unknown = Vec::new();
        if let Some(name) = request.channel.as_deref().filter(|name| view.network.find_channel(name).is_none()) {
            unknown.push(Unknown { path: "channel".to_owned(), kind: "channel", name: name.to_owned() });
        }
        if let Some(name) = request.offer.as_deref().filter(|name| !view.has_offer(name)) {
            unknown.push(Unknown { path: "offer".to_owned(), kind: "offer", name: name.to_owned() });
        }
        if !unknown.is_empty() {
            return Err(AppError::Unknown(unknown));
        }
        self.add_up().await;
        // What ended by now is counted as ended.
        self.give_back_due(network, now, None).await?;
        let failed = |error| AppError::from_ledger(error, network);
        let days = shared_digits(request.from, request.to);
        let mut scorecard = Scorecard::default();
        for (name, number) in self.ledger.tallies(network, &format!("{SCORE}{days}")).await.map_err(failed)? {
            if let Some([counted]) = fields_of(&name, SCORE, request)
                && let Some(counted) = Counted::ALL.into_iter().find(|c| c.name() == counted)
            {
                scorecard.add(counted, number);
            }
        }
        let mut lost: FxHashMap<String, (i64, i64)> = FxHashMap::default();
        for (name, number) in self.ledger.tallies(network, &format!("{LOST}{days}")).await.map_err(failed)? {
            if let Some([what, resource]) = fields_of(&name, LOST, request) {
                let (quotes, units) = lost.entry(resource.to_owned()).or_default();
                *(if what == "units" { units } else { quotes }) += number;
            }
        }
        let mut lost: Vec<LostDemand> = lost
            .into_iter()
            .map(|(resource, (quotes, units))| LostDemand {
                resource: ResourceId::from(Arc::<str>::from(resource)),
                quotes,
                units,
            })
            .collect();
        lost.sort_by(|a, b| {
            (Reverse(a.quotes), Reverse(a.units), &a.resource).cmp(&(Reverse(b.quotes), Reverse(b.units), &b.resource))
        });
        lost.truncate(MAX_SCORECARD_ROWS);
        scorecard.lost = lost;
        let (from, to) = (request.from, request.to);
        // A large network takes a while, which no other request should wait for.
        scorecard.resources = self.apart(None, move || resources_used(&view, from, to, now)).await?;
        let at_risk = ReservationFilter { at_risk: true, ..ReservationFilter::default() };
        scorecard.at_risk = self.count_reservations(network, at_risk).await?;
        let backlog = ReservationFilter {
            backlog: Some(now),
            state: Some(State::Confirmed),
            live: true,
            ..ReservationFilter::default()
        };
        scorecard.backlog = self.count_reservations(network, backlog).await?;
        Ok(scorecard)
    }

    async fn count_reservations(&self, network: &NetworkId, filter: ReservationFilter) -> Result<i64, AppError> {
        let (mut count, mut after) = (0, None);
        loop {
            let page = self.ledger.reservations(network, &filter, after.as_ref(), PAGE).await;
            let (page, next) = page.map_err(|error| AppError::from_ledger(error, network))?;
            count += page.len() as i64;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(count),
            }
        }
    }
}

/// The digits with which the numbers of all these days begin.
fn shared_digits(from: Day, to: Day) -> String {
    let (from, to) = (from.0.to_string(), to.0.to_string());
    if from.len() != to.len() {
        return String::new();
    }
    from.chars().zip(to.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

/// What a tally's name says behind its day, channel and offer, if the request asks for those.
fn fields_of<'a, const N: usize>(name: &'a str, prefix: &str, request: &ScorecardRequest) -> Option<[&'a str; N]> {
    let mut fields = name.strip_prefix(prefix)?.split('\t');
    let day = fields.next()?.parse().ok().map(Day)?;
    let (channel, offer) = (fields.next()?, fields.next()?);
    let is_asked = (request.from..=request.to).contains(&day)
        && request.channel.as_deref().is_none_or(|wanted| wanted == channel)
        && request.offer.as_deref().is_none_or(|wanted| wanted == offer);
    let rest: Vec<&str> = fields.collect();
    rest.try_into().ok().filter(|_| is_asked)
}

/// The resources of which most is used, the most used first; those of which nothing is come last, as they stand in the network.
fn resources_used(view: &NetworkView, from: Day, to: Day, now: Moment) -> Vec<ResourceUse> {
    let network = &view.network;
    let committed = |at: ResourceIdx| -> i64 {
        let resource = network.resource(at);
        let (first, end) = (resource.bucketing.first_of(from), resource.bucketing.first_of(to + 1));
        let levels = view.levels(at);
        let of_range = match resource.kind {
            Kind::Capacity => levels.from(first),
            Kind::Stock => levels.all(),
        };
        of_range.take_while(|(index, _)| *index < end).map(|(_, level)| level.drawn()).sum()
    };
    let mut used: Vec<(ResourceIdx, i64)> =
        (0..network.resources().len()).map(ResourceIdx::new).map(|at| (at, committed(at))).collect();
    // Supply is only added up where it may be shown: all of what is used, and as much of the rest as there is room for.
    used.sort_by_key(|(_, committed)| *committed == 0);
    let in_use = used.iter().filter(|(_, committed)| *committed > 0).count();
    used.truncate(in_use.max(MAX_SCORECARD_ROWS));
    let mut all: Vec<ResourceUse> = used
        .into_iter()
        .map(|(at, committed)| ResourceUse {
            resource: network.resource(at).id.clone(),
            supply: supply(view, at, from, to, now),
            committed,
        })
        .collect();
    // A stable order: what is used alike stays as it stands in the network.
    all.sort_by(|a, b| b.utilisation().total_cmp(&a.utilisation()));
    all.truncate(MAX_SCORECARD_ROWS);
    all
}

/// The supply of a resource on some days of its site; of stock, all that has arrived by the last of them.
fn supply(view: &NetworkView, at: ResourceIdx, from: Day, to: Day, now: Moment) -> i64 {
    let resource = view.network.resource(at);
    let calendar = view.network.calendar_of(resource);
    let today = calendar.day_of(now);
    let levels = view.levels(at);
    let end = resource.bucketing.first_of(to + 1);
    let first = match resource.kind {
        Kind::Capacity => resource.bucketing.first_of(from),
        Kind::Stock => i32::MIN,
    };
    let set = levels.from(first).take_while(|(index, _)| *index < end);
    let set: i64 = set.filter_map(|(_, level)| level.set).sum();
    if resource.weekly.is_none() {
        return set;
    }
    // The standing plan has nothing before it began, nor behind its horizon.
    let standing = first.max(resource.bucketing.first_of(resource.since))
        ..end.min(resource.bucketing.first_of(today + resource.horizon_days));
    let is_set = |index| levels.get(index).is_some_and(|level| level.set.is_some());
    let stands = standing.filter(|&index| !is_set(index) && !resource.bucketing.is_void(calendar, index));
    set + stands.map(|index| resource.standing(index, today)).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_found_by_the_digits_they_share() {
        for (from, to, digits) in [(20_780, 20_789, "2078"), (20_780, 20_780, "20780"), (9_999, 10_001, ""), (0, 9, "")]
        {
            assert_eq!(shared_digits(Day(from), Day(to)), digits);
        }
    }

    #[test]
    fn only_what_is_asked_for_is_read() {
        let request = |channel: Option<&str>, offer: Option<&str>| ScorecardRequest {
            from: Day(5),
            to: Day(7),
            channel: channel.map(Arc::from),
            offer: offer.map(Arc::from),
        };
        let of = |name, request: &ScorecardRequest| fields_of::<1>(name, SCORE, request);
        assert_eq!(of("score\t6\tweb\t\theld", &request(None, None)), Some(["held"]));
        assert_eq!(of("score\t6\tweb\t\theld", &request(Some("web"), None)), Some(["held"]));
        for (name, request) in [
            ("score\t8\tweb\t\theld", request(None, None)),
            ("score\t6\tweb\t\theld", request(Some("shop"), None)),
            ("score\t6\tweb\t\theld", request(None, Some("x"))),
            ("lost\t6\tweb\t\theld", request(None, None)),
        ] {
            assert_eq!(of(name, &request), None, "{name}");
        }
    }
}
