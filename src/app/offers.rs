//! Marketing's offers: checked, approved, closed, shown, and what could be offered at all (rules 25 to 27).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use super::allocations::goes_back_at;
use super::error::faults_and_unknown;
use super::request::{ApproveOfferRequest, CheckOfferRequest, OffersRequest, SuggestOffersRequest, SupposedLine};
use super::response::{Approved, OfferRow};
use super::supply::{first_bucket, reaches};
use super::{App, AppError, unexpected};
use crate::domain::draw::Take;
use crate::domain::faults::Faults;
use crate::domain::id::NetworkId;
use crate::domain::limits::{MAX_ENVELOPE, MAX_OFFERS, MAX_REPLANS};
use crate::domain::network::Network;
use crate::domain::offer::{ApprovedOffer, Envelope, Offer, OfferReport, OfferStage};
use crate::domain::share::Share;
use crate::domain::time::{Day, Moment};
use crate::ledger::command::{ApproveOffer, Command, Outcome, Refusal};
use crate::ledger::tally;
use crate::planner::{self, Checked, Suggested, Supposed};
use crate::view::{NetworkView, Offers, Still};

impl App {
    /// What of the offer could be kept, supposed supply included. Takes nothing.
    pub async fn check_offer(
        &self,
        network: &NetworkId,
        request: CheckOfferRequest,
        give_up_at: Option<Instant>,
    ) -> Result<OfferReport, AppError> {
        let now = self.clock.now();
        let view = self.view(network, now)?.view;
        let offer = Arc::new(request.offer);
        let supposed = supposed(&view.network, &request.suppose, now).map_err(|faults| {
            // What else is wrong is told along.
            faults_and_unknown(faults, planner::unknown_of_offer(&view.network, &offer))
        })?;
        is_not_over(&view.network, &zones_of(&offer), offer.ends, "offer.ends", now)?;
        Ok(self.play(&view, &offer, supposed, now, give_up_at).await?.report)
    }

    /// Checks the offer, and sets aside what its orders will need, all or nothing (rule 26). The same request gets its first
    /// answer again (rule 20).
    pub async fn approve_offer(
        &self,
        network: &NetworkId,
        request: ApproveOfferRequest,
        give_up_at: Option<Instant>,
    ) -> Result<Approved, AppError> {
        let now = self.clock.now();
        let offer = Arc::new(request.offer.clone());
        self.give_back_due(network, now, give_up_at).await?;
        for _ in 0..MAX_REPLANS {
            let view = self.view(network, now)?.view;
            if let Some(known) = approved_before(&view.offers(), &request)? {
                // What the view shows may not be durable yet; behind a command it is.
                self.execute(network, Command::Tick, give_up_at).await?;
                return self.approved(network, known).await;
            }
            let command = match self.plan_approval(&view, &request, &offer, now, give_up_at).await {
                Ok(command) => command,
                // Another server may have approved it just now. Behind a command the view shows it; a refusal can afford the look.
                Err(refused) => {
                    self.execute(network, Command::Tick, give_up_at).await?;
                    let view = self.view(network, self.clock.now())?.view;
                    return match approved_before(&view.offers(), &request)? {
                        Some(known) => self.approved(network, known).await,
                        None => Err(refused),
                    };
                }
            };
            match self.execute(network, Command::ApproveOffer(Box::new(command)), give_up_at).await? {
                Outcome::Offer { offer, repeated } => {
                    if !repeated {
                        self.metrics.offer_approved();
                    }
                    return self.approved(network, offer).await;
                }
                Outcome::Refused(Refusal::AlreadyExists) => return Err(AppError::OfferTaken(Arc::clone(&offer.id))),
                // Another was faster: the view has the true balances by now, and the offer is checked again on them, so that two
                // approvals never set aside the same units.
                Outcome::Refused(Refusal::Short(_)) => {}
                Outcome::Refused(Refusal::NetworkChanged { version }) => self.await_network(network, version).await?,
                Outcome::Refused(Refusal::TooManyOffers) => return Err(AppError::TooManyOffers(MAX_OFFERS)),
                other => return Err(unexpected("ApproveOffer", &other)),
            }
        }
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }

    /// Ends an offer: what it has not sold is everyone's. Closing it again changes nothing.
    pub async fn close_offer(
        &self,
        network: &NetworkId,
        id: Arc<str>,
        give_up_at: Option<Instant>,
    ) -> Result<OfferRow, AppError> {
        self.exists(network)?;
        match self.execute(network, Command::CloseOffer { id: Arc::clone(&id) }, give_up_at).await? {
            Outcome::Offer { offer, repeated } => {
                if !repeated {
                    self.metrics.offer_closed();
                }
                self.offer_row(network, offer).await
            }
            Outcome::Refused(Refusal::NotFound) => Err(AppError::UnknownOffer(id)),
            other => Err(unexpected("CloseOffer", &other)),
        }
    }

    /// One offer and what became of it.
    pub async fn get_offer(&self, network: &NetworkId, id: &Arc<str>) -> Result<OfferRow, AppError> {
        let offers = self.view(network, self.clock.now())?.view.offers();
        let offer = offers.get(id).ok_or_else(|| AppError::UnknownOffer(Arc::clone(id)))?;
        self.offer_row(network, Arc::clone(offer)).await
    }

    /// A page of offers, closed ones included, by id, and where the next one begins.
    pub async fn list_offers(
        &self,
        network: &NetworkId,
        request: &OffersRequest,
    ) -> Result<(Vec<OfferRow>, Option<Arc<str>>), AppError> {
        let offers = self.view(network, self.clock.now())?.view.offers();
        let after = request.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut page: Vec<Arc<ApprovedOffer>> =
            offers.range::<str, _>((after, Bound::Unbounded)).take(request.limit + 1).map(|(_, o)| o.clone()).collect();
        let more = page.len() > request.limit;
        page.truncate(request.limit);
        let next = page.last().filter(|_| more).map(|last| Arc::clone(&last.offer.id));
        Ok((self.offer_rows(network, page).await?, next))
    }

    /// Products whose capacity would go unused, with how many orders a day could be promised. Takes nothing.
    pub async fn suggest_offers(
        &self,
        network: &NetworkId,
        request: SuggestOffersRequest,
        give_up_at: Option<Instant>,
    ) -> Result<Vec<Suggested>, AppError> {
        let now = self.clock.now();
        let view = self.view(network, now)?.view;
        let SuggestOffersRequest { starts, ends, zone, within_days, limit } = request;
        let Some(at) = view.network.find_zone(&zone) else {
            return Err(AppError::unknown("zone", "zone", &*zone));
        };
        is_not_over(&view.network, &[zone], ends, "ends", now)?;
        self.apart(give_up_at, move || {
            let still = Still::new(Arc::clone(&view));
            planner::suggest(&view.network, &still, starts, ends, at, within_days, limit, now)
        })
        .await
    }

    async fn play(
        &self,
        view: &Arc<NetworkView>,
        offer: &Arc<Offer>,
        supposed: Vec<Supposed>,
        now: Moment,
        give_up_at: Option<Instant>,
    ) -> Result<Checked, AppError> {
        let (view, offer, metrics) = (Arc::clone(view), Arc::clone(offer), self.metrics.clone());
        let checked = self.apart(give_up_at, move || {
            let begun = Instant::now();
            let still = Still::new(Arc::clone(&view));
            let checked = planner::check_offer(&view.network, &still, &offer, &supposed, now);
            metrics.offer_checked(begun.elapsed());
            checked
        });
        checked.await?.map_err(AppError::Unknown)
    }

    /// What the ledger is to set aside, if enough can be delivered.
    async fn plan_approval(
        &self,
        view: &Arc<NetworkView>,
        request: &ApproveOfferRequest,
        offer: &Arc<Offer>,
        now: Moment,
        give_up_at: Option<Instant>,
    ) -> Result<ApproveOffer, AppError> {
        let network = &view.network;
        is_not_over(network, &zones_of(offer), offer.ends, "offer.ends", now)?;
        let Checked { report, mut envelope, orders } = self.play(view, offer, Vec::new(), now, give_up_at).await?;
        let report = Arc::new(report);
        if report.orders_asked == 0 {
            return Err(AppError::invalid("offer.orders", "has no orders from today on; an offer needs some"));
        }
        if !is_enough(&report, request.min_share) {
            let offer = Arc::clone(&offer.id);
            return Err(AppError::OfferShort { offer, min_share: request.min_share, report });
        }
        let goes_back_at = |take: &Take| {
            let resource = network.resource(network.find_resource(take.draw.resource.as_str())?);
            goes_back_at(network, resource, take.draw.index, request.release_hours)
        };
        // What would have gone back already is not set aside: its orders rest on what is common.
        envelope.retain(|take| goes_back_at(take).is_none_or(|at| at > now));
        if envelope.len() > MAX_ENVELOPE {
            let (offer, buckets) = (Arc::clone(&offer.id), envelope.len());
            return Err(AppError::EnvelopeTooLarge { offer, buckets, limit: MAX_ENVELOPE });
        }
        let ends_at = end_of(network, &zones_of(offer), offer.ends).unwrap_or(Moment::MIN);
        let release_at = |take: &Take| goes_back_at(take).map_or(ends_at, |at| at.min(ends_at));
        let set_aside = |take: &Take| Envelope {
            resource: take.draw.resource.clone(),
            index: take.draw.index,
            units: take.draw.units,
        };
        let approved = ApprovedOffer {
            offer: Offer::clone(offer),
            stage: OfferStage::Approved,
            version: 1,
            request_id: request.request_id.clone(),
            fingerprint: request.fingerprint,
            approved_at: now,
            closed_at: None,
            ends_at,
            release_hours: request.release_hours,
            orders_set_aside: orders,
            envelope: envelope.iter().map(set_aside).collect(),
            report,
        };
        Ok(ApproveOffer {
            network_version: view.version,
            offer: Arc::new(approved),
            standing: envelope.iter().map(|take| take.standing).collect(),
            release_at: envelope.iter().map(release_at).collect(),
        })
    }

    async fn approved(&self, network: &NetworkId, offer: Arc<ApprovedOffer>) -> Result<Approved, AppError> {
        let report = Arc::clone(&offer.report);
        Ok(Approved { row: self.offer_row(network, offer).await?, report })
    }

    async fn offer_row(&self, network: &NetworkId, offer: Arc<ApprovedOffer>) -> Result<OfferRow, AppError> {
        let prefix = tally::of_offer(&offer.offer.id);
        let counted = self.counted_of_offers(network, &prefix).await?;
        Ok(row(offer, &counted, self.clock.now()))
    }

    async fn offer_rows(
        &self,
        network: &NetworkId,
        offers: Vec<Arc<ApprovedOffer>>,
    ) -> Result<Vec<OfferRow>, AppError> {
        let counted = self.counted_of_offers(network, tally::OFFER).await?;
        let now = self.clock.now();
        Ok(offers.into_iter().map(|offer| row(offer, &counted, now)).collect())
    }

    /// How many orders of offers are held and confirmed, by the tallies' names. What ended by now is given back first, so that no
    /// hold is counted that is over.
    async fn counted_of_offers(&self, network: &NetworkId, prefix: &str) -> Result<BTreeMap<Arc<str>, i64>, AppError> {
        self.give_back_due(network, self.clock.now(), None).await?;
        let tallies = self.ledger.tallies(network, prefix).await.map_err(|e| AppError::from_ledger(e, network))?;
        Ok(tallies.into_iter().collect())
    }
}

fn row(offer: Arc<ApprovedOffer>, counted: &BTreeMap<Arc<str>, i64>, as_of: Moment) -> OfferRow {
    let orders = |held| counted.get(&tally::offer(&offer.offer.id, held)).copied().unwrap_or_default();
    let (orders_held, orders_confirmed) = (orders(true), orders(false));
    OfferRow { offer, orders_held, orders_confirmed, as_of }
}

/// The offer that this request approved before, if it did.
///
/// # Errors
/// Its id was approved by another request, or its request id approved another offer (rule 20).
fn approved_before(offers: &Offers, request: &ApproveOfferRequest) -> Result<Option<Arc<ApprovedOffer>>, AppError> {
    let id = &request.offer.id;
    if let Some(known) = offers.get(id) {
        let same = known.request_id == request.request_id && known.fingerprint == request.fingerprint;
        return if same { Ok(Some(Arc::clone(known))) } else { Err(AppError::OfferTaken(Arc::clone(id))) };
    }
    // Where the caller gave no request id, it is the offer's own.
    let is_given = request.request_id.as_str() != &**id;
    match offers.values().find(|other| is_given && other.request_id == request.request_id) {
        Some(_) => Err(AppError::RequestTaken(request.request_id.clone())),
        None => Ok(None),
    }
}

/// Whether the share of the orders that must be deliverable is; none at all never is.
fn is_enough(report: &OfferReport, min_share: Share) -> bool {
    let wanted = i128::from(report.orders_asked) * i128::from(min_share.millionths());
    report.orders_deliverable > 0
        && i128::from(report.orders_deliverable) * i128::from(Share::ALL.millionths()) >= wanted
}

fn zones_of(offer: &Offer) -> Vec<Arc<str>> {
    offer.zones.iter().map(|share| Arc::clone(&share.zone)).collect()
}

/// The end of the day, in the latest of the zones' time zones; none where none of them is known.
fn end_of(network: &Network, zones: &[Arc<str>], day: Day) -> Option<Moment> {
    let known = zones.iter().filter_map(|zone| network.find_zone(zone));
    known.map(|zone| network.zone(zone).calendar.start_of(day + 1)).max()
}

/// Refuses what lies in the past as a whole: nothing of it can be asked any more.
fn is_not_over(network: &Network, zones: &[Arc<str>], ends: Day, path: &str, now: Moment) -> Result<(), AppError> {
    match end_of(network, zones, ends) {
        Some(end) if end <= now => {
            Err(AppError::invalid(path, format!("is {ends}, which is over; at least one day must be today or later")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Supposed supply by the network's own indexes.
fn supposed(network: &Network, lines: &[SupposedLine], now: Moment) -> Result<Vec<Supposed>, Faults> {
    let mut faults = Faults::new();
    let supposed = lines
        .iter()
        .enumerate()
        .filter_map(|(i, line)| {
            let at = |field: &str| format!("suppose[{i}].{field}");
            let (resource, first) = first_bucket(network, line.resource.as_str(), line.start, at, &mut faults)?;
            let buckets = usize::try_from(line.buckets).unwrap_or_default();
            reaches(network, network.resource(resource), first, buckets, now, &at("start"), &mut faults);
            Some(Supposed { resource, first, buckets: line.buckets, delta: line.delta })
        })
        .collect();
    if faults.is_empty() { Ok(supposed) } else { Err(faults) }
}
