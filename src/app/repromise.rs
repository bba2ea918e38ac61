//! New dates for reservations at risk: by channel priority, then age, each in one step. The first in line finds the most; who comes
//! later gets what is left, so nobody gets a better date at the expense of somebody more important.

use std::sync::Arc;
use std::time::Instant;

use super::request::RepromiseRequest;
use super::response::{Repromised, Repromises};
use super::risk::Book;
use super::{App, AppError, unexpected};
use crate::domain::answer::{Promise, Verdict};
use crate::domain::ask::{Ask, Shipments, When};
use crate::domain::bucket::Availability;
use crate::domain::draw::Draw;
use crate::domain::id::{NetworkId, ReservationId};
use crate::domain::kept::KeptRecord;
use crate::domain::limits::MAX_REPLANS;
use crate::domain::network::Network;
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::Moment;
use crate::ledger::command::{Command, Outcome, Refusal, Repromise};
use crate::planner::{self, Detail, GivenBack, Planned, Unknown};
use crate::view::Reading;

/// What is planned with: where, on what, when, and what is known of promises kept.
struct Ground<'a, A: Availability + ?Sized> {
    network: &'a Network,
    free: &'a A,
    now: Moment,
    as_of: Moment,
    record: &'a KeptRecord,
}

/// What became of one reservation in line.
enum Step {
    /// It is safe without doing anything.
    Safe,
    /// It takes these draws from now on, for this date.
    Moved(Arc<Promise>, Vec<Draw>),
    /// There is no date for it.
    NoDate,
    /// It ended, or its goods left, meanwhile.
    Gone,
}

impl App {
    /// Gives reservations at risk new dates that can be kept, or with `validate_only` says what would become of them.
    pub async fn repromise(
        &self,
        network: &NetworkId,
        request: &RepromiseRequest,
        give_up_at: Option<Instant>,
    ) -> Result<Repromises, AppError> {
        let now = self.clock.now();
        self.view(network, now)?;
        self.all_are_known(network, &request.ids).await?;
        self.give_back_due(network, now, give_up_at).await?;
        let before = self.before(network);
        let mut book = self.book_of_risk(network).await?;
        let mut line = Vec::new();
        for id in book.in_line() {
            if line.len() == request.limit {
                break;
            }
            let is_named = request.ids.contains(&id);
            if !request.ids.is_empty() && !is_named {
                continue;
            }
            let reservation = self.stored(network, &id).await?;
            line.extend(reservation.filter(|r| !r.fixed || is_named));
        }
        // What was read of the store is shown by the view behind a command.
        self.execute(network, Command::Tick, give_up_at).await?;
        let repromises = if request.validate_only {
            self.rehearse(network, &mut book, &line, now)?
        } else {
            let mut told = Repromises::default();
            for reservation in &line {
                let step = self.move_one(network, &book, reservation, give_up_at).await?;
                tell(&mut told, &mut book, reservation, step);
            }
            self.put_at_risk(network, before, give_up_at).await;
            told
        };
        Ok(repromises)
    }

    async fn all_are_known(&self, network: &NetworkId, ids: &[ReservationId]) -> Result<(), AppError> {
        let mut unknown = Vec::new();
        for (i, id) in ids.iter().enumerate() {
            if self.stored(network, id).await?.is_none() {
                unknown.push(Unknown { path: format!("ids[{i}]"), kind: "reservation", name: id.to_string() });
            }
        }
        if unknown.is_empty() { Ok(()) } else { Err(AppError::Unknown(unknown)) }
    }

    /// Plans all of them one after the other, each on what those before it would have left.
    fn rehearse(
        &self,
        network: &NetworkId,
        book: &mut Book,
        line: &[Arc<Reservation>],
        now: Moment,
    ) -> Result<Repromises, AppError> {
        let Reading { view, as_of } = self.view(network, now)?;
        let mut left = GivenBack::new(&view.network, &*view, &[], false, None);
        let mut told = Repromises::default();
        for r in line {
            let step = if book.is_at_risk(&r.id) {
                self.records.with(network, |record| {
                    let ground = Ground { network: &view.network, free: &left, now, as_of, record };
                    planned(&ground, r, |offer| view.has_offer(offer))
                })
            } else {
                Step::Safe
            };
            if let Step::Moved(_, draws) = &step {
                let held = r.state == State::Held;
                left.moved(&view.network, &r.draws, draws, held, r.ask.channel.as_ref());
            }
            tell(&mut told, book, r, step);
        }
        Ok(told)
    }

    /// Plans one of them and moves it, in one step.
    async fn move_one(
        &self,
        network: &NetworkId,
        book: &Book,
        reservation: &Arc<Reservation>,
        give_up_at: Option<Instant>,
    ) -> Result<Step, AppError> {
        let id = &reservation.id;
        if !book.is_at_risk(id) {
            return Ok(Step::Safe);
        }
        // Looked at again only where something changed: a mark that came or went is such a change too.
        let mut present = Arc::clone(reservation);
        for _ in 0..MAX_REPLANS {
            if !present.state.is_live() || present.shipped_at.is_some() {
                return Ok(Step::Gone);
            }
            // It was marked when the line was made. Supply came back since, or another call gave it a new date: nobody who is safe is
            // moved.
            if !present.at_risk {
                return Ok(Step::Safe);
            }
            let now = self.clock.now();
            let Reading { view, as_of } = self.view(network, now)?;
            let planned = self.records.with(network, |record| {
                let ground = Ground { network: &view.network, free: &*view, now, as_of, record };
                plan(&ground, &present, |offer| view.has_offer(offer))
            });
            let (promise, takes) = match planned {
                Some(Planned { answer, takes }) => match answer.promise {
                    Some(promise) => (promise, takes),
                    None => return Ok(Step::NoDate),
                },
                None => return Ok(Step::NoDate),
            };
            let draws: Vec<Draw> = takes.iter().map(|take| take.draw.clone()).collect();
            let command = Command::Repromise(Box::new(Repromise {
                id: id.clone(),
                version: present.version,
                network_version: view.version,
                promise: Arc::clone(&promise),
                takes,
            }));
            match self.execute(network, command, give_up_at).await? {
                Outcome::Reservation { .. } => return Ok(Step::Moved(promise, draws)),
                // Others were faster: the view has the true balances by now.
                Outcome::Refused(Refusal::Short(_) | Refusal::ReservationChanged) => {}
                Outcome::Refused(Refusal::NetworkChanged { version }) => self.await_network(network, version).await?,
                Outcome::Refused(Refusal::WrongState { .. } | Refusal::Shipped | Refusal::NotFound) => {
                    return Ok(Step::Gone);
                }
                other => return Err(unexpected("Repromise", &other)),
            }
            match self.stored(network, id).await? {
                Some(stored) => present = stored,
                None => return Ok(Step::Gone),
            }
        }
        Err(AppError::Contended { attempts: MAX_REPLANS })
    }
}

/// Notes what became of one.
fn tell(told: &mut Repromises, book: &mut Book, r: &Reservation, step: Step) {
    let old_date = r.promise.date;
    let new_date = match step {
        Step::Gone => {
            book.moved(&r.id, &[]);
            return;
        }
        Step::Safe => Some(old_date),
        Step::Moved(promise, draws) => {
            book.moved(&r.id, &draws);
            Some(promise.date)
        }
        Step::NoDate => None,
    };
    match new_date {
        Some(date) if date == old_date => told.kept += 1,
        Some(_) => told.moved += 1,
        None => told.still_at_risk += 1,
    }
    told.all.push(Repromised { id: r.id.clone(), reference: Arc::clone(&r.reference), old_date, new_date });
}

/// What would become of a reservation.
fn planned<A: Availability + ?Sized>(ground: &Ground<'_, A>, r: &Reservation, is_offer: impl Fn(&str) -> bool) -> Step {
    match plan(ground, r, is_offer) {
        Some(Planned { answer, takes }) => match answer.promise {
            Some(promise) => Step::Moved(promise, takes.into_iter().map(|take| take.draw).collect()),
            None => Step::NoDate,
        },
        None => Step::NoDate,
    }
}

/// The date that comes next to what is promised and asked, as though the reservation's own draws were free. None: the network no longer
/// knows what was asked for.
fn plan<A: Availability + ?Sized>(
    ground: &Ground<'_, A>,
    r: &Reservation,
    is_offer: impl Fn(&str) -> bool,
) -> Option<Planned> {
    let asked = planner::resolve(ground.network, &r.ask, is_offer).ok()?;
    let held = r.state == State::Held;
    let free = GivenBack::new(ground.network, ground.free, &r.draws, held, r.ask.channel.as_ref());
    let quote = |when| {
        let ask = asked.with_when(when);
        planner::quote_kept(ground.network, &free, &ask, ground.now, ground.as_of, Detail::Plain, ground.record)
    };
    if let Some(when) = as_promised(&r.ask, &r.promise) {
        let same = quote(when);
        if same.answer.verdict == Verdict::Promised {
            return Some(same);
        }
    }
    Some(quote(r.ask.when))
}

/// What keeps the present date, where the ask itself does not say it: who was promised a day counts on it, and is served neither better
/// nor worse while others lose theirs.
fn as_promised(ask: &Ask, promise: &Promise) -> Option<When> {
    let date = promise.date;
    match ask.when {
        // Of several shipments, the last has the date; the others keep coming as early as they can.
        When::Any if ask.shipments == Shipments::Split => Some(When::ByDate(date)),
        // A date that is surer than the plan has moved away from it, as one on a day never does.
        When::Any if ask.min_confidence.is_some() => Some(When::ByDate(date)),
        When::Any => Some(When::OnDate(date)),
        When::ByDate(y) => (date < y).then_some(When::ByDate(date)),
        When::ByTime(y) => (promise.arrives_by < y).then_some(When::ByTime(promise.arrives_by)),
        When::OnDate(y) => (date != y).then_some(When::OnDate(date)),
        When::InWindow { from, to } => {
            let keeps = promise.arrives_from >= from && promise.arrives_by <= to;
            (!keeps).then_some(When::OnDate(date))
        }
    }
}
