//! What a command makes of the reservation that it names, before anything is known of capacity: pure, so that every back end
//! decides it with the same code and only tests and writes.

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::draw::{Draw, Take};
use crate::domain::limits::{MAX_AMENDMENTS, MAX_DAYS_LATE};
use crate::domain::reservation::{self, Amendment, Fingerprint, Reservation, State};
use crate::domain::time::Moment;

use super::command::{Amend, Command, Confirm, Fulfil, Hold, Outcome, Refusal, Repromise};
use super::tally::{self, Counted, Tallies};

/// Where units stand that are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// They may still go back at `expires_at`.
    Held,
    /// They stay until the reservation is released.
    Confirmed,
    /// They are used up (rule 22).
    Fulfilled,
}

/// What a command comes to.
#[derive(Clone, Debug)]
pub enum Next<'c> {
    /// There is nothing to do: this is the answer.
    Answer(Outcome),
    /// The request is known: it gets what there is, and from now on somebody knows of it.
    Tell(Arc<Reservation>),
    /// This is to be done, whole or not at all.
    Do(Box<Transition<'c>>),
}

/// A step of one reservation. The conditions are looked at in their order here; the first that fails is the refusal.
#[derive(Clone, Debug)]
pub struct Transition<'c> {
    /// The last instant at which it may be done; after it: [`Refusal::OrderByPassed`].
    pub not_after: Option<Moment>,
    /// The version of the network that it rests on; another: [`Refusal::NetworkChanged`].
    pub network_version: Option<i64>,
    /// Draws that go back, and from where, before others are tested.
    pub give: Option<(Side, Arc<[Draw]>)>,
    /// The channel that had drawn what goes back.
    pub give_by: Option<Arc<str>>,
    /// What must be there to be taken (rule 19); empty: nothing is tested.
    pub test: Cow<'c, [Take]>,
    /// Where the draws of `after` then stand.
    pub take: Option<Side>,
    /// The channel that draws them. Where they are tested, they must also be within what it may draw; where nothing is tested, they
    /// only go to another side.
    pub take_by: Option<Arc<str>>,
    /// What is counted in the same step.
    pub tallies: Tallies,
    /// Whether the reservation joins those at risk, or leaves them; none: neither.
    pub risk: Option<bool>,
    /// The reservation from then on; none: it is removed without a trace.
    pub after: Option<Reservation>,
}

impl Transition<'_> {
    fn to(after: Reservation) -> Self {
        Transition {
            not_after: None,
            network_version: None,
            give: None,
            give_by: None,
            test: Cow::Borrowed(&[]),
            take: None,
            take_by: None,
            tallies: Vec::new(),
            risk: None,
            after: Some(after),
        }
    }

    /// Fills in what follows from what was there before: by whom draws go back and are taken, and the mark.
    fn since(mut self, before: Option<&Reservation>) -> Self {
        self.give_by = before.filter(|_| self.give.is_some()).and_then(|r| r.ask.channel.clone());
        self.take_by = self.after.as_ref().filter(|_| self.take.is_some()).and_then(|r| r.ask.channel.clone());
        let was = before.is_some_and(|r| r.at_risk);
        let is = self.after.as_ref().is_some_and(|r| r.at_risk);
        self.risk = (was != is).then_some(is);
        self
    }
}

/// What the command makes of the reservation that it names, which is `known` or is not there. `told`: somebody may rely on it
/// beyond the call that made it. None: the command names no reservation.
pub fn next<'c>(known: Option<&Arc<Reservation>>, told: bool, command: &'c Command, now: Moment) -> Option<Next<'c>> {
    let next = match command {
        Command::Hold(c) => match known {
            Some(known) => repeat(known, c.fingerprint),
            None => Ok(hold(c, now)),
        },
        Command::Recall { fingerprint, .. } => match known {
            Some(known) => repeat(known, *fingerprint),
            None => Err(Refusal::NotFound),
        },
        Command::Undo { .. } => Ok(undo(known, told)),
        Command::Confirm(c) => known.ok_or(Refusal::NotFound).and_then(|r| confirm(r, c, now)),
        Command::Release { reason, .. } => known.ok_or(Refusal::NotFound).and_then(|r| release(r, reason, now)),
        Command::Extend { hold, .. } => known.ok_or(Refusal::NotFound).and_then(|r| match r.state {
            State::Held => {
                let mut after = Reservation::clone(r);
                after.expires_at = now.plus(*hold);
                note(&mut after, now, "extended", "");
                Ok(Next::Do(Box::new(Transition::to(after))))
            }
            state @ (State::Confirmed | State::Released | State::Expired | State::Fulfilled) => {
                Err(Refusal::WrongState { state })
            }
        }),
        Command::Amend(c) => known.ok_or(Refusal::NotFound).and_then(|r| amend(r, c, now)),
        Command::Mark { version, at_risk, .. } => {
            known.ok_or(Refusal::NotFound).and_then(|r| mark(r, *version, *at_risk, now))
        }
        Command::Repromise(c) => known.ok_or(Refusal::NotFound).and_then(|r| repromise(r, c, now)),
        Command::Fix { fixed, reason, .. } => known.ok_or(Refusal::NotFound).and_then(|r| fix(r, *fixed, reason, now)),
        Command::Fulfil(c) => known.ok_or(Refusal::NotFound).and_then(|r| fulfil(r, c, now)),
        Command::SetSupply(_)
        | Command::AdjustSupply(_)
        | Command::SetAllocation(_)
        | Command::ApproveOffer(_)
        | Command::CloseOffer { .. }
        | Command::Count(_)
        | Command::CountOnce { .. }
        | Command::ApplyNetwork(_)
        | Command::Forget { .. }
        | Command::Tick => return None,
    };
    Some(match next {
        Ok(Next::Do(transition)) => Next::Do(Box::new(transition.since(known.map(|r| &**r)))),
        Ok(next) => next,
        Err(refusal) => Next::Answer(Outcome::Refused(refusal)),
    })
}

/// What the caller of a command is told once its transition was made; `after` as it then is.
pub fn outcome(command: &Command, after: Option<Arc<Reservation>>) -> Outcome {
    match (command, after) {
        (Command::Amend(c), Some(reservation)) => {
            Outcome::Amended { reservation, verdict: c.verdict, bottlenecks: c.bottlenecks.clone() }
        }
        (_, Some(reservation)) => Outcome::Reservation { reservation, repeated: false },
        (_, None) => Outcome::Done,
    }
}

/// The reservation as it is after its end, for a hold that is due.
pub fn expired(held: &Reservation) -> Reservation {
    // It ended then, however late somebody noticed (rule 21).
    let at = held.expires_at;
    let mut r = held.clone();
    r.state = State::Expired;
    r.at_risk = false;
    r.ended_at = Some(at);
    note(&mut r, at, "expired", "");
    r
}

/// The same request again gets what there is (rule 20).
fn repeat(known: &Arc<Reservation>, fingerprint: Fingerprint) -> Result<Next<'static>, Refusal> {
    if known.fingerprint == fingerprint { Ok(Next::Tell(Arc::clone(known))) } else { Err(Refusal::AlreadyExists) }
}

fn unchanged(r: &Arc<Reservation>) -> Result<Next<'static>, Refusal> {
    Ok(Next::Answer(Outcome::Reservation { reservation: Arc::clone(r), repeated: true }))
}

/// Rule 19: all draws or none.
fn hold(c: &Hold, now: Moment) -> Next<'_> {
    let mut after = Reservation {
        id: c.id.clone(),
        state: State::Held,
        ask: Arc::clone(&c.ask),
        promise: Arc::clone(&c.promise),
        draws: c.takes.iter().map(|t| t.draw.clone()).collect(),
        created_at: now,
        expires_at: now.plus(c.hold),
        ended_at: None,
        reference: Arc::clone(&c.reference),
        at_risk: false,
        fixed: false,
        shipped_at: None,
        delivered_at: None,
        version: 0,
        first_date: c.promise.date,
        fingerprint: c.fingerprint,
        first_answer: Arc::clone(&c.answer),
        amendments: Vec::new(),
        history: Vec::new(),
    };
    note(&mut after, now, "held", "");
    let mut tallies = vec![(tally::of(&after, tally::held(&after)), 1)];
    count_offer(&mut tallies, &after, Side::Held, 1);
    Next::Do(Box::new(Transition {
        network_version: Some(c.network_version),
        test: Cow::Borrowed(&c.takes),
        take: Some(Side::Held),
        tallies,
        ..Transition::to(after)
    }))
}

fn confirm(r: &Arc<Reservation>, c: &Confirm, now: Moment) -> Result<Next<'static>, Refusal> {
    let confirmed = |what| {
        let mut after = Reservation::clone(r);
        after.state = State::Confirmed;
        after.ended_at = None;
        if let Some(reference) = &c.reference {
            after.reference = Arc::clone(reference);
        }
        note(&mut after, now, what, "");
        after
    };
    match r.state {
        State::Held => Ok(Next::Do(Box::new(Transition {
            give: Some((Side::Held, Arc::clone(&r.draws))),
            take: Some(Side::Confirmed),
            tallies: {
                let mut tallies = vec![(tally::of(r, Counted::Confirmed), 1)];
                count_offer(&mut tallies, r, Side::Held, -1);
                count_offer(&mut tallies, r, Side::Confirmed, 1);
                tallies
            },
            ..Transition::to(confirmed("confirmed"))
        }))),
        // Rule 21: confirming twice is a success and changes nothing.
        State::Confirmed | State::Fulfilled => unchanged(r),
        State::Expired => {
            let Some(retake) = &c.retake else { return Err(Refusal::WrongState { state: r.state }) };
            if retake.standing.len() != r.draws.len() {
                // The caller looked at other draws than these.
                return Err(Refusal::ReservationChanged);
            }
            let takes = r.draws.iter().zip(&retake.standing);
            Ok(Next::Do(Box::new(Transition {
                not_after: Some(r.promise.order_by),
                network_version: Some(retake.network_version),
                test: takes.map(|(draw, &standing)| Take { draw: draw.clone(), standing }).collect(),
                take: Some(Side::Confirmed),
                tallies: {
                    let mut tallies = vec![(tally::of(r, Counted::Expired), -1), (tally::of(r, Counted::Confirmed), 1)];
                    count_offer(&mut tallies, r, Side::Confirmed, 1);
                    tallies
                },
                ..Transition::to(confirmed("retaken"))
            })))
        }
        state @ State::Released => Err(Refusal::WrongState { state }),
    }
}

fn release(r: &Arc<Reservation>, reason: &str, now: Moment) -> Result<Next<'static>, Refusal> {
    let side = match r.state {
        State::Held => Side::Held,
        State::Confirmed if r.shipped_at.is_some() => return Err(Refusal::Shipped),
        State::Confirmed => Side::Confirmed,
        // What the caller wants is so already (rule 21).
        State::Released | State::Expired => return unchanged(r),
        state @ State::Fulfilled => return Err(Refusal::WrongState { state }),
    };
    let mut after = Reservation::clone(r);
    after.state = State::Released;
    after.at_risk = false;
    after.ended_at = Some(now);
    note(&mut after, now, "released", reason);
    let mut tallies = vec![(tally::of(r, Counted::Released), 1)];
    count_offer(&mut tallies, r, side, -1);
    Ok(Next::Do(Box::new(Transition { give: Some((side, Arc::clone(&r.draws))), tallies, ..Transition::to(after) })))
}

/// The new draws replace the old ones in one step, or the old ones stay.
fn amend<'c>(r: &Arc<Reservation>, c: &'c Amend, now: Moment) -> Result<Next<'c>, Refusal> {
    if let Some(made) = r.amendments.iter().find(|a| a.request_id.is_some() && a.request_id == c.request_id) {
        if made.fingerprint != c.fingerprint {
            return Err(Refusal::AlreadyExists);
        }
        let (verdict, bottlenecks) = (made.verdict, made.bottlenecks.clone());
        return Ok(Next::Answer(Outcome::Amended { reservation: Arc::clone(r), verdict, bottlenecks }));
    }
    let side = movable(r)?;
    if r.amendments.len() >= MAX_AMENDMENTS {
        return Err(Refusal::TooManyAmendments);
    }
    if r.version != c.version {
        return Err(Refusal::ReservationChanged);
    }
    let mut after = Reservation::clone(r);
    after.draws = c.takes.iter().map(|t| t.draw.clone()).collect();
    after.ask = Arc::clone(&c.ask);
    after.promise = Arc::clone(&c.promise);
    // What it takes from now on is tested, so it is there.
    after.at_risk = false;
    after.amendments.push(Amendment {
        request_id: c.request_id.clone(),
        fingerprint: c.fingerprint,
        verdict: c.verdict,
        bottlenecks: c.bottlenecks.clone(),
    });
    note(&mut after, now, "amended", "");
    let mut tallies = Vec::new();
    if (&r.ask.channel, &r.ask.offer) != (&after.ask.channel, &after.ask.offer) {
        // What was counted of it so far is its new channel's and offer's.
        for (of, by) in [(&**r, -1), (&after, 1)] {
            tallies.push((tally::of(of, tally::held(of)), by));
            if of.state == State::Confirmed {
                tallies.push((tally::of(of, Counted::Confirmed), by));
            }
            let moved = of.history.iter().filter(|change| *change.what == *"re-promised").count() as i64;
            if moved > 0 {
                tallies.push((tally::of(of, Counted::Repromised), by * moved));
            }
            count_offer(&mut tallies, of, side, by);
        }
    }
    Ok(Next::Do(Box::new(Transition {
        network_version: Some(c.network_version),
        give: Some((side, Arc::clone(&r.draws))),
        test: Cow::Borrowed(&c.takes),
        take: Some(side),
        tallies,
        ..Transition::to(after)
    })))
}

/// Where the draws of a reservation stand that may still be moved.
fn movable(r: &Reservation) -> Result<Side, Refusal> {
    match r.state {
        State::Held => Ok(Side::Held),
        State::Confirmed if r.shipped_at.is_some() => Err(Refusal::Shipped),
        State::Confirmed => Ok(Side::Confirmed),
        state @ (State::Released | State::Expired | State::Fulfilled) => Err(Refusal::WrongState { state }),
    }
}

/// An offer's live reservations, by state.
fn count_offer(tallies: &mut Tallies, r: &Reservation, side: Side, by: i64) {
    if let Some(id) = &r.ask.offer {
        tallies.push((tally::offer(id, side == Side::Held), by));
    }
}

/// Rule 24: the mark comes and goes; which reservations carry it is worked out elsewhere.
fn mark(r: &Arc<Reservation>, version: i64, at_risk: bool, now: Moment) -> Result<Next<'static>, Refusal> {
    if r.at_risk == at_risk {
        return unchanged(r);
    }
    if r.version != version {
        return Err(Refusal::ReservationChanged);
    }
    match r.state {
        State::Held | State::Confirmed => {}
        state @ (State::Released | State::Expired | State::Fulfilled) => return Err(Refusal::WrongState { state }),
    }
    let mut after = Reservation::clone(r);
    after.at_risk = at_risk;
    note(&mut after, now, if at_risk { "at risk" } else { "safe again" }, "");
    Ok(Next::Do(Box::new(Transition::to(after))))
}

fn fix(r: &Arc<Reservation>, fixed: bool, reason: &str, now: Moment) -> Result<Next<'static>, Refusal> {
    match r.state {
        State::Held | State::Confirmed => {}
        state @ (State::Released | State::Expired | State::Fulfilled) => return Err(Refusal::WrongState { state }),
    }
    if r.fixed == fixed {
        return unchanged(r);
    }
    let mut after = Reservation::clone(r);
    after.fixed = fixed;
    note(&mut after, now, if fixed { "fixed" } else { "not fixed" }, reason);
    Ok(Next::Do(Box::new(Transition::to(after))))
}

/// The date first promised stays; what it is judged by too.
fn repromise<'c>(r: &Arc<Reservation>, c: &'c Repromise, now: Moment) -> Result<Next<'c>, Refusal> {
    let side = movable(r)?;
    if r.version != c.version {
        return Err(Refusal::ReservationChanged);
    }
    let moved = r.promise.date != c.promise.date;
    let mut after = Reservation::clone(r);
    after.draws = c.takes.iter().map(|t| t.draw.clone()).collect();
    after.promise = Arc::clone(&c.promise);
    after.at_risk = false;
    note(&mut after, now, if moved { "re-promised" } else { "re-planned" }, "");
    Ok(Next::Do(Box::new(Transition {
        network_version: Some(c.network_version),
        give: Some((side, Arc::clone(&r.draws))),
        test: Cow::Borrowed(&c.takes),
        take: Some(side),
        tallies: if moved { vec![(tally::of(r, Counted::Repromised), 1)] } else { Vec::new() },
        ..Transition::to(after)
    })))
}

/// Rule 22: what was delivered keeps its draws, which are used up.
fn fulfil(r: &Arc<Reservation>, c: &Fulfil, now: Moment) -> Result<Next<'static>, Refusal> {
    match r.state {
        State::Confirmed => {}
        // Reports come in any order: when it left may be told after its arrival.
        State::Fulfilled if r.shipped_at.is_none() && c.shipped_at.is_some_and(|at| r.delivered_at >= Some(at)) => {
            let mut after = Reservation::clone(r);
            after.shipped_at = c.shipped_at;
            note(&mut after, now, "shipped", "");
            return Ok(Next::Do(Box::new(Transition::to(after))));
        }
        // It was reported before.
        State::Fulfilled => return unchanged(r),
        state @ (State::Held | State::Released | State::Expired) => return Err(Refusal::WrongState { state }),
    }
    let mut after = Reservation::clone(r);
    after.at_risk = false;
    if c.shipped_at.is_some() {
        after.shipped_at = c.shipped_at;
    }
    let Some((delivered_at, day)) = c.delivered else {
        if r.shipped_at == after.shipped_at {
            return unchanged(r);
        }
        note(&mut after, now, "shipped", "");
        return Ok(Next::Do(Box::new(Transition::to(after))));
    };
    after.state = State::Fulfilled;
    after.delivered_at = Some(delivered_at);
    after.ended_at = Some(now);
    note(&mut after, now, "fulfilled", "");
    let judged_by = r.judged_by();
    let late = (day.0 - judged_by.0).clamp(0, MAX_DAYS_LATE);
    let mut tallies = vec![(tally::of(r, if late == 0 { Counted::Kept } else { Counted::Late }), 1)];
    for (site, zone, service) in &c.ways {
        tallies.push((tally::record(site, zone, service, judged_by, late), 1));
    }
    Ok(Next::Do(Box::new(Transition {
        give: Some((Side::Confirmed, Arc::clone(&r.draws))),
        take: Some(Side::Fulfilled),
        tallies,
        ..Transition::to(after)
    })))
}

/// Only a hold that nobody but its lost caller could know of is undone.
fn undo(known: Option<&Arc<Reservation>>, told: bool) -> Next<'static> {
    match known {
        Some(r) if r.state == State::Held && r.version == 1 && !told => Next::Do(Box::new(Transition {
            not_after: None,
            network_version: None,
            give: Some((Side::Held, Arc::clone(&r.draws))),
            give_by: None,
            test: Cow::Borrowed(&[]),
            take: None,
            take_by: None,
            tallies: {
                let mut tallies = vec![(tally::of(r, tally::held(r)), -1)];
                count_offer(&mut tallies, r, Side::Held, -1);
                tallies
            },
            risk: None,
            after: None,
        })),
        Some(_) | None => Next::Answer(Outcome::Done),
    }
}

/// Counts the version up and writes the history. Extensions that follow each other are one entry, so that a cart that is kept
/// open for days does not grow; of marks that follow each other the first and the latest are kept, so that supply that comes and
/// goes all day does no harm either.
fn note(r: &mut Reservation, at: Moment, what: &'static str, reason: &str) {
    r.version += 1;
    let entry = reservation::Change {
        at,
        version: r.version,
        state: r.state,
        date: r.promise.date,
        what: Arc::from(what),
        reason: Arc::from(reason),
    };
    let follows = |n: usize, kind: &dyn Fn(&str) -> bool| {
        r.history.len() >= n && r.history.iter().rev().take(n).all(|change| kind(&change.what))
    };
    let replaces = match what {
        "extended" => follows(1, &|what| what == "extended"),
        _ => is_mark(what) && follows(2, &is_mark),
    };
    if replaces {
        r.history.pop();
    }
    r.history.push(entry);
}

fn is_mark(what: &str) -> bool {
    matches!(what, "at risk" | "safe again")
}
