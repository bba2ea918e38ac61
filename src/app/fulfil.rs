//! What became of the promises: shipped, delivered. And which of them are never moved without being asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tracing::debug;

use super::request::FulfilmentReport;
use super::response::{FulfilmentRefused, Fulfilments};
use super::{App, AppError, unexpected};
use crate::domain::ask::Destination;
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::limits::MAX_SKEW_MINUTES;
use crate::domain::network::Network;
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::{DAY, Day, Moment, Span};
use crate::ledger::command::{Command, Fulfil, Outcome, Refusal};

/// Reports that are on their way to the ledger at a time: enough to share its writes, few enough to leave room for others.
const AT_ONCE: usize = 64;

/// What came of one report.
enum Reported {
    Unknown,
    Refused { state: State, reason: String },
    Done { shipped: bool, fulfilled: bool },
}

impl App {
    /// Notes what left and what arrived, each by itself; several reports of one reservation in their order.
    pub async fn report_fulfilment(
        self: &Arc<Self>,
        network: &NetworkId,
        reports: Vec<FulfilmentReport>,
        give_up_at: Option<Instant>,
    ) -> Result<Fulfilments, AppError> {
        self.view(network, self.clock.now())?;
        let mut by_id: BTreeMap<ReservationId, Vec<(usize, FulfilmentReport)>> = BTreeMap::new();
        for (i, report) in reports.into_iter().enumerate() {
            by_id.entry(report.id.clone()).or_default().push((i, report));
        }
        let mut waiting = by_id.into_values();
        let mut working = JoinSet::new();
        let mut all: BTreeMap<usize, (ReservationId, Reported)> = BTreeMap::new();
        loop {
            while working.len() < AT_ONCE
                && let Some(reports) = waiting.next()
            {
                let (app, network) = (Arc::clone(self), network.clone());
                working.spawn(async move {
                    let mut done = Vec::with_capacity(reports.len());
                    for (i, report) in reports {
                        done.push((i, (report.id.clone(), app.report_one(&network, report, give_up_at).await?)));
                    }
                    Ok::<_, AppError>(done)
                });
            }
            match working.join_next().await {
                Some(Ok(done)) => all.extend(done?),
                Some(Err(error)) => return Err(AppError::Internal(Arc::from(error.to_string()))),
                None => break,
            }
        }
        let mut told = Fulfilments::default();
        for (id, reported) in all.into_values() {
            match reported {
                Reported::Unknown => told.unknown.push(id),
                Reported::Refused { state, reason } => told.refused.push(FulfilmentRefused { id, state, reason }),
                Reported::Done { shipped, fulfilled } => {
                    told.shipped += i64::from(shipped);
                    told.fulfilled += i64::from(fulfilled);
                }
            }
        }
        if told.fulfilled > 0
            && let Err(error) = self.read_record(network).await
        {
            debug!(%network, %error, "the record of kept promises could not be read; the next round reads it");
        }
        Ok(told)
    }

    async fn report_one(
        &self,
        network: &NetworkId,
        report: FulfilmentReport,
        give_up_at: Option<Instant>,
    ) -> Result<Reported, AppError> {
        let FulfilmentReport { id, shipped_at, delivered_at } = report;
        let Some(before) = self.stored(network, &id).await? else { return Ok(Reported::Unknown) };
        if let (Some(delivered), None, Some(shipped)) = (delivered_at, shipped_at, before.shipped_at)
            && delivered < shipped
            && before.state == State::Confirmed
        {
            let reason = format!("it was reported as shipped at {shipped}, after this delivery");
            return Ok(Reported::Refused { state: before.state, reason });
        }
        // Clocks differ a little; a year that slipped by counts for nobody's record.
        if let Some(early) =
            delivered_at.or(shipped_at).filter(|at| at.plus(Span::minutes(MAX_SKEW_MINUTES)) < before.created_at)
        {
            let reason = format!("it was made at {}, after {early}", before.created_at);
            return Ok(Reported::Refused { state: before.state, reason });
        }
        let view = self.view(network, self.clock.now())?.view;
        let delivered = delivered_at.map(|at| (at, day_in_zone(&view.network, &before, at)));
        let ways = if delivered.is_some() { ways(&view.network, &before) } else { Vec::new() };
        let fulfil = Fulfil { id, shipped_at, delivered, ways };
        match self.execute(network, Command::Fulfil(Box::new(fulfil)), give_up_at).await? {
            Outcome::Reservation { repeated: true, .. } => Ok(Reported::Done { shipped: false, fulfilled: false }),
            Outcome::Reservation { reservation, repeated: false } => Ok(Reported::Done {
                shipped: before.shipped_at.is_none() && reservation.shipped_at.is_some(),
                fulfilled: before.state != State::Fulfilled && reservation.state == State::Fulfilled,
            }),
            Outcome::Refused(Refusal::WrongState { state }) => {
                let reason = match state {
                    State::Held => "it is only held; confirm it first",
                    State::Released => "it was released, so nothing is to be delivered",
                    State::Expired => "its hold expired, so nothing is to be delivered",
                    State::Confirmed | State::Fulfilled => "its state forbids it",
                };
                Ok(Reported::Refused { state, reason: reason.to_owned() })
            }
            Outcome::Refused(Refusal::NotFound) => Ok(Reported::Unknown),
            other => Err(unexpected("Fulfil", &other)),
        }
    }

    /// Marks a reservation as one whose date is never moved without being asked for, or takes the mark away.
    pub async fn fix(
        &self,
        network: &NetworkId,
        id: &ReservationId,
        fixed: bool,
        reason: Arc<str>,
        give_up_at: Option<Instant>,
    ) -> Result<Arc<Reservation>, AppError> {
        self.exists(network)?;
        match self.execute(network, Command::Fix { id: id.clone(), fixed, reason }, give_up_at).await? {
            Outcome::Reservation { reservation, .. } => Ok(reservation),
            Outcome::Refused(Refusal::WrongState { state }) => {
                Err(AppError::WrongState { id: id.clone(), state, needed: "only a held or confirmed one can be fixed" })
            }
            Outcome::Refused(Refusal::NotFound) => Err(AppError::UnknownReservation(id.clone())),
            other => Err(unexpected("Fix", &other)),
        }
    }
}

/// The civil day of an instant where the reservation goes. Where the network no longer knows the zone, that of UTC.
fn day_in_zone(network: &Network, r: &Reservation, at: Moment) -> Day {
    let asked = match &r.ask.destination {
        Destination::Zone(name) => network.find_zone(name),
        Destination::Address { country, postal_code } => network.zone_of_address(country, postal_code),
    };
    let by_lane = || r.promise.shipments.iter().find_map(|s| Some(network.lane(network.find_lane(&s.lane)?).zone));
    match asked.or_else(by_lane) {
        Some(zone) => network.zone(zone).calendar.day_of(at),
        None => Day(at.0.div_euclid(DAY) as i32),
    }
}

/// The site, zone and service of each of its shipments, each once. Lanes that the network no longer knows say nothing of those it has.
fn ways(network: &Network, r: &Reservation) -> Vec<(Arc<str>, Arc<str>, Arc<str>)> {
    let mut ways = Vec::new();
    for shipment in &r.promise.shipments {
        let Some(lane) = network.find_lane(&shipment.lane).map(|at| network.lane(at)) else { continue };
        let zone = &network.zone(lane.zone).id;
        let way = (Arc::clone(&shipment.site), Arc::clone(zone), Arc::clone(&lane.service));
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}
