//! One network's task: it gathers commands, makes of them one call, tells the subscriber what came of it and of what others did, and
//! only then answers. While Redis is away it turns commands away at once, and tries again by itself.

mod desk;
mod lookup;
mod telling;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info};

use desk::refuse;
pub use desk::{Desk, Execute, Message};

use super::super::LedgerError;
use super::super::command::{Command, Outcome, Refusal};
use super::super::told::Told;
use super::super::transition::{self, Next};
use super::batch::{Approve, Batch, Close, Expected, Reserve, Step};
use super::call::{Awaited, CallError, Caller, Reply};
use super::entries::Element;
use super::following::Seen;
use super::outcome::{Came, Wrote, came};
use super::recent::Recent;
use super::scripts::Script;
use super::stored::{Stored, Token, UNNAMED};
use super::{Shared, reading, reply, reshape, steward};
use crate::domain::id::NetworkId;
use crate::domain::offer::{ApprovedOffer, OfferStage};
use crate::domain::reservation::State;
use crate::domain::time::Moment;

/// How often a network is looked at whose feed has moved lately, and one whose has not: both well within the 100 ms of rule 21.
const POLL_BUSY: Duration = Duration::from_millis(10);
const POLL_IDLE: Duration = Duration::from_millis(40);
/// How long after a change a network counts as busy.
const BUSY_FOR: Duration = Duration::from_secs(1);
/// Between two tries to reach Redis, at first and at most. Each is up to twice as long, by chance, so that servers do not come back
/// at once.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(2);
/// How often a command is worked out anew because its reservation was changed meanwhile.
const TRIES: usize = 32;

/// Tells when a network's task dies.
struct Mourner {
    network: NetworkId,
    shared: Arc<Shared>,
    desk: Arc<Desk>,
}

impl Drop for Mourner {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        error!(network = %self.network, "the network's task has panicked; nothing can be taken there until the service is started again");
        self.desk.away.store(true, Ordering::SeqCst);
        if let Some(subscriber) = self.shared.subscriber() {
            subscriber.void(&self.network);
        }
    }
}

/// A command at hand.
struct Work {
    command: Command,
    prepared: Option<Reserve>,
    give_up_at: Option<Instant>,
    /// Who waits; none: a hold is undone that nobody was told of.
    answer: Option<oneshot::Sender<Told>>,
    /// Of an undo: when the hold was made that is meant.
    made_at: Option<Moment>,
    /// What was just read of its reservation.
    fresh: Option<Option<Stored>>,
    /// The offer that it closes, as it was just read.
    offer: Option<(Arc<ApprovedOffer>, Token)>,
    tries: usize,
}

/// See the module.
pub struct Partition {
    pub network: NetworkId,
    pub caller: Caller,
    pub shared: Arc<Shared>,
    pub desk: Arc<Desk>,
    pub inbox: mpsc::Receiver<Message>,
    pub state: Progress,
}

/// What changes from turn to turn.
#[derive(Default)]
pub struct Progress {
    seen: Option<Seen>,
    recent: Recent,
    again: VecDeque<Work>,
    subscribed: bool,
    moved: Option<Instant>,
    retry: Option<(Instant, Duration)>,
}

impl Partition {
    /// Runs until the ledger is closed.
    pub async fn run(mut self) {
        // Should the task panic, the view must not go on as though it were followed.
        let _mourner =
            Mourner { network: self.network.clone(), shared: Arc::clone(&self.shared), desk: Arc::clone(&self.desk) };
        let mut look_at = Instant::now() + POLL_BUSY;
        let mut tidy_at = Instant::now() + self.shared.tidy;
        loop {
            let wait = async {
                if self.state.again.is_empty() {
                    tokio::time::timeout_at(look_at.into(), self.inbox.recv()).await
                } else {
                    Ok(self.inbox.try_recv().ok())
                }
            };
            let first = match wait.await {
                Ok(None) if self.state.again.is_empty() => break,
                Ok(message) => message,
                Err(_) => None,
            };
            let (works, others) = self.gather(first);
            self.turn(works).await;
            for other in others {
                self.other(other).await;
            }
            if self.state.subscribed && Instant::now() >= tidy_at {
                // A server may run for months, and each audit leaves a slot.
                tidy_at = Instant::now() + self.shared.tidy;
                self.tidy().await;
            }
            if self.shared.closing.load(Ordering::SeqCst) {
                break;
            }
            let busy = self.state.moved.is_some_and(|at| at.elapsed() < BUSY_FOR);
            look_at = match self.state.retry {
                Some((at, _)) => at,
                None => Instant::now() + if busy { POLL_BUSY } else { POLL_IDLE },
            };
        }
        self.inbox.close();
        while let Some(message) = self.inbox.recv().await {
            self.desk.waiting.fetch_sub(1, Ordering::Relaxed);
            refuse(message, &super::closed());
        }
        for work in std::mem::take(&mut self.state.again) {
            self.answer(work, Err(super::closed()));
        }
    }

    /// The commands of one turn. What comes in while one call is under way makes up the next.
    fn gather(&mut self, first: Option<Message>) -> (Vec<Work>, Vec<Message>) {
        let mut works: Vec<Work> = std::mem::take(&mut self.state.again).into();
        let mut others = Vec::new();
        for unheard in self.desk.undos.take() {
            self.shared.observer.undone();
            works.push(Work {
                command: Command::Undo { id: unheard.id },
                prepared: None,
                give_up_at: None,
                answer: None,
                made_at: Some(unheard.created_at),
                fresh: None,
                offer: None,
                tries: 0,
            });
        }
        let (mut next, mut taken) = (first, 0);
        while let Some(message) = next {
            taken += 1;
            match message {
                Message::Execute(e) => {
                    let Execute { command, prepared, give_up_at, answer } = *e;
                    let (answer, made_at, fresh, offer) = (Some(answer), None, None, None);
                    works.push(Work { command, prepared, give_up_at, answer, made_at, fresh, offer, tries: 0 });
                }
                other => others.push(other),
            }
            next = if works.len() < self.shared.batch { self.inbox.try_recv().ok() } else { None };
        }
        if taken > 0 {
            let waiting = self.desk.waiting.fetch_sub(taken, Ordering::Relaxed);
            self.shared.observer.waiting(waiting);
        }
        let now = Instant::now();
        let mut kept = Vec::with_capacity(works.len());
        for work in works {
            let gone = work.answer.as_ref().is_some_and(|answer| answer.is_closed());
            if gone {
                continue; // Nobody waits for it any more, and it was not begun.
            }
            if work.give_up_at.is_some_and(|at| now >= at) {
                self.answer(work, Err(LedgerError::DeadlinePassed));
                continue;
            }
            kept.push(work);
        }
        (kept, others)
    }

    async fn turn(&mut self, works: Vec<Work>) {
        if let Some((at, _)) = self.state.retry
            && Instant::now() < at
        {
            let why = Arc::from("Redis does not answer; it is tried again");
            self.refuse_all(works, &LedgerError::Unavailable(why));
            return;
        }
        let (mut steps, mut shapes) = (Vec::new(), Vec::new());
        for work in works {
            if matches!(work.command, Command::ApplyNetwork(_) | Command::Forget { .. }) {
                shapes.push(work);
            } else {
                steps.push(work);
            }
        }
        if !steps.is_empty() || shapes.is_empty() {
            self.commit(steps).await;
        }
        for work in shapes {
            self.reshape(work).await;
        }
    }

    /// What a command comes to: a step, or an answer at once. Answers rest on what was just read, never on what was once seen.
    fn step(&mut self, work: &mut Work) -> Result<Step, Option<Outcome>> {
        match &work.command {
            Command::Hold(_) => {
                let reserve = work.prepared.take().or_else(|| Reserve::of_hold(&work.command));
                Ok(reserve.map_or(Step::Tick, |reserve| Step::Reserve(Box::new(reserve))))
            }
            Command::Recall { id, fingerprint } => Ok(Step::Tell(id.clone(), *fingerprint)),
            Command::SetSupply(c) => Ok(Step::Set(c.clone())),
            Command::AdjustSupply(c) => Ok(Step::Adjust(c.clone())),
            Command::SetAllocation(c) => Ok(Step::Allocate(c.clone())),
            Command::ApproveOffer(c) => Ok(Step::Approve(Box::new(Approve::new(c)))),
            Command::CloseOffer { .. } => match work.offer.take() {
                Some((offer, token)) if offer.stage == OfferStage::Approved => {
                    Ok(Step::Close(Box::new(Close::new(&offer, token))))
                }
                Some((offer, _)) => Err(Some(Outcome::Offer { offer, repeated: true })),
                None => Err(Some(Outcome::Refused(Refusal::NotFound))),
            },
            Command::Count(tallies) => Ok(Step::Count(tallies.clone())),
            Command::CountOnce { request, tallies } => Ok(Step::CountOnce(*request, tallies.clone())),
            Command::Tick | Command::ApplyNetwork(_) | Command::Forget { .. } => Ok(Step::Tick),
            Command::Mark { .. }
            | Command::Repromise(_)
            | Command::Fix { .. }
            | Command::Fulfil(_)
            | Command::Confirm(_)
            | Command::Release { .. }
            | Command::Extend { .. }
            | Command::Amend(_)
            | Command::Undo { .. } => {
                let Some(id) = work.command.reservation_id().cloned() else { return Ok(Step::Tick) };
                let fresh = work.fresh.take();
                let is_fresh = fresh.is_some();
                let known = fresh.unwrap_or_else(|| self.state.recent.get(&id).cloned());
                if work.made_at.is_some_and(|at| known.as_ref().is_some_and(|k| k.reservation.created_at != at)) {
                    return Err(Some(Outcome::Done));
                }
                let (told, token) = known.as_ref().map_or((false, None), |k| (k.told, Some(k.token)));
                let now = self.caller.clock.now(self.desk.told());
                let reservation =
                    known.map(|k| if is_fresh { reading::as_of(k.reservation, now) } else { k.reservation });
                match (transition::next(reservation.as_ref(), told, &work.command, UNNAMED), token) {
                    (Some(Next::Do(t)), Some(token)) => {
                        Ok(Step::Reserve(Box::new(Reserve::new(id, Expected::Known(token), *t))))
                    }
                    (Some(Next::Answer(outcome)), _) if is_fresh => Err(Some(outcome)),
                    _ => Err(None),
                }
            }
        }
    }

    async fn commit(&mut self, works: Vec<Work>) {
        let works = self.look_up(works).await;
        let (mut batch, mut steps, mut at_hand) = (Batch::default(), Vec::new(), Vec::new());
        // Answers that were just read may be of what was only just written, by a call that nobody acknowledged for want of its
        // durability; they are given once that is there.
        let mut known = Vec::new();
        let waits = self.caller.awaited != Awaited::default();
        for mut work in works {
            if !batch.has_room() {
                self.state.again.push_back(work);
                continue;
            }
            match self.step(&mut work) {
                Ok(step) => {
                    batch.push(&step);
                    steps.push(step);
                    at_hand.push(work);
                }
                Err(Some(outcome)) if waits => {
                    batch.push(&Step::Tick);
                    steps.push(Step::Tick);
                    at_hand.push(work);
                    known.push((at_hand.len() - 1, outcome));
                }
                Err(Some(outcome)) => self.answer(work, Ok(outcome)),
                // What was seen of it does not do: it is read in the next turn.
                Err(None) => {
                    if let Some(id) = work.command.reservation_id() {
                        self.state.recent.remove(id);
                    }
                    self.carry(work, None);
                }
            }
        }
        let began = Instant::now();
        let seen = self.known();
        let acknowledges = batch.steps > 0;
        let called = self.call(Script::Commit, &[], seen, acknowledges, |cmd| batch.arguments(cmd)).await;
        let mut reply = match called {
            Ok(reply) => reply,
            Err(e) => {
                self.failed(&e);
                self.refuse_all(at_hand, &ledger_error(&e));
                return;
            }
        };
        self.recovered();
        if reply.expired > 0 {
            self.shared.observer.expired(reply.expired);
        }
        let before = reply.feed.take();
        let made = reply.codes.contains(&b'A');
        if made || before.is_some() {
            self.state.moved = Some(Instant::now());
        }
        if made && !reply.again {
            self.shared.observer.committed(at_hand.len(), began.elapsed());
        }
        let codes = std::mem::take(&mut reply.codes);
        let mut all = Vec::with_capacity(at_hand.len());
        for ((work, step), code) in at_hand.into_iter().zip(&steps).zip(&codes) {
            let came = came(&work.command, step, *code, &mut reply, &batch, &mut self.state.recent);
            let came = came.unwrap_or_else(|e| {
                let why = Arc::from(format!("the store's answer can't be read: {e}"));
                Came::Done { result: Err(LedgerError::OutcomeUnknown(why)), written: None }
            });
            all.push((work, came));
        }
        for (at, outcome) in known {
            if let Some((_, came)) = all.get_mut(at) {
                *came = Came::outcome(outcome);
            }
        }
        reply.codes = codes;
        // A hold that this call made may end before the one that was first before it.
        let ends = all.iter().filter_map(|(_, came)| match came {
            Came::Done { written: Some(Wrote::Reservation(r)), .. } if r.state == State::Held => Some(r.expires_at),
            Came::Done { .. } | Came::Again(_) => None,
        });
        reply.due = ends.chain(reply.due).min();
        let own = if made && !reply.again { self.entries_of(&batch, &all, &reply) } else { Ok(Vec::new()) };
        let own = own.unwrap_or_else(|e| {
            // What was made is in the store, whatever this server makes of it.
            error!(network = %self.network, error = %e, "what a batch came to can't be worked out; the network is read in full");
            self.state.seen = None;
            Vec::new()
        });
        self.tell(before, own, &reply).await;
        for (work, came) in all {
            match came {
                Came::Done { result, .. } => self.answer(work, result),
                Came::Again(fresh) => self.carry(work, fresh),
            }
        }
    }

    /// Calls, and turns away meanwhile who comes while Redis keeps everybody waiting.
    async fn call(
        &mut self,
        script: Script,
        more_keys: &[String],
        seen: Option<String>,
        acknowledges: bool,
        arguments: impl Fn(&mut redis::Cmd),
    ) -> Result<Reply, CallError> {
        let Partition { caller, inbox, desk, shared, .. } = self;
        // Once it is known to be away, nobody waits for it at all.
        let slow = if desk.away.load(Ordering::SeqCst) { Duration::ZERO } else { caller.response / 2 };
        let called = caller.call(script, more_keys, seen.as_deref(), acknowledges, shared.patience, arguments);
        tokio::pin!(called);
        if let Ok(answered) = tokio::time::timeout(slow, &mut called).await {
            return answered;
        }
        loop {
            tokio::select! {
                answered = &mut called => return answered,
                Some(message) = inbox.recv() => {
                    desk.waiting.fetch_sub(1, Ordering::Relaxed);
                    refuse(message, &LedgerError::Unavailable(Arc::from("Redis is slow to answer")));
                }
            }
        }
    }

    /// A call came to nothing.
    fn failed(&mut self, e: &CallError) {
        let why = match e {
            CallError::NoNetwork => return,
            CallError::Refused(why) | CallError::Unknown(why) | CallError::Unreadable(why) => why,
        };
        self.caller.link = None;
        let wait = self.state.retry.map_or(RETRY, |(_, wait)| (wait * 2).min(RETRY_MOST));
        // By chance, so that many servers do not come back at once.
        let chance = f64::from(uuid::Uuid::new_v4().as_u64_pair().0 as u32) / f64::from(u32::MAX);
        self.state.retry = Some((Instant::now() + wait.mul_f64(1.0 + chance), wait));
        if !self.desk.away.swap(true, Ordering::SeqCst) {
            error!(network = %self.network, why = &**why, "Redis does not serve; it is tried again");
            self.shared.observer.failed(why);
            if let Some(subscriber) = self.shared.subscriber() {
                subscriber.lost(Some(&self.network));
            }
        }
    }

    fn recovered(&mut self) {
        self.state.retry = None;
        if self.desk.away.swap(false, Ordering::SeqCst) {
            info!(network = %self.network, "Redis serves again");
            self.shared.observer.recovered();
        }
    }

    async fn other(&mut self, message: Message) {
        match message {
            Message::Execute(_) => {}
            Message::Subscribed(done) => {
                self.state.subscribed = true;
                let read = self.reset().await;
                self.tidy().await;
                if let Err(e) = &read {
                    self.failed(e);
                }
                // How fresh it is, is found out by looking once more.
                self.commit(Vec::new()).await;
                // Who asks may be gone; then nobody needs to know.
                let _gone = done.send(read.map_err(|e| ledger_error(&e)));
            }
            Message::Repair(repairs, done) => {
                let seen = self.known();
                let called =
                    self.call(Script::Repair, &[], seen, false, |cmd| steward::write_repairs(&repairs, cmd)).await;
                let answer = match called {
                    Ok(mut reply) => {
                        let before = reply.feed.take();
                        self.caught_up(before, &reply).await;
                        let changed = reply.extras.next().and_then(|n| reply::number(n).ok());
                        Ok(changed.unwrap_or(0))
                    }
                    Err(e) => {
                        self.failed(&e);
                        Err(ledger_error(&e))
                    }
                };
                let _gone = done.send(answer);
            }
        }
    }

    /// Drops the slots of servers that have long gone, so that their starts leave nothing behind.
    async fn tidy(&mut self) {
        let keys = self.caller.keys.clone();
        let tidied = async {
            let mut link = self.caller.links.reads(&keys.head).await.map_err(reading::ReadError::Link)?;
            reading::drop_old_slots(&mut link, &keys, &self.caller.slot()).await
        };
        if let Err(e) = tidied.await {
            debug!(network = %self.network, error = %e, "slots of servers that have gone could not be looked at");
        }
    }

    /// A call whose own entries are read from the feed like those of others: rare ones.
    async fn caught_up(&mut self, before: Option<Vec<Element>>, reply: &Reply) {
        self.recovered();
        self.state.moved = Some(Instant::now());
        self.tell(before, Vec::new(), reply).await;
    }

    async fn reshape(&mut self, work: Work) {
        let result = reshape::run(self, &work.command).await;
        self.answer(work, result);
    }

    /// Calls `lua/reshape.lua`, and follows what came of it.
    pub(super) async fn call_reshape(
        &mut self,
        keys: &[String],
        arguments: impl Fn(&mut redis::Cmd),
    ) -> Result<Reply, CallError> {
        let seen = self.known();
        match self.call(Script::Reshape, keys, seen, true, arguments).await {
            Ok(mut reply) => {
                let before = reply.feed.take();
                self.caught_up(before, &reply).await;
                Ok(reply)
            }
            Err(e) => {
                self.failed(&e);
                Err(e)
            }
        }
    }

    fn carry(&mut self, mut work: Work, fresh: Option<Option<Stored>>) {
        work.tries += 1;
        work.fresh = fresh;
        if work.tries > TRIES {
            self.answer(work, Err(LedgerError::Overloaded));
        } else {
            self.state.again.push_back(work);
        }
    }

    fn answer(&self, work: Work, result: Result<Outcome, LedgerError>) {
        let Work { command, answer: Some(answer), .. } = work else { return };
        // If nobody waits any more it comes back and is dropped here, and so a hold that it tells of is undone.
        drop(answer.send(Told::new(&self.network, &command, result, &self.desk.undos)));
    }

    fn refuse_all(&self, works: Vec<Work>, why: &LedgerError) {
        for work in works {
            self.answer(work, Err(why.clone()));
        }
    }
}

/// Whether a command is worked out on what is known of its reservation.
fn needs_reservation(command: &Command) -> bool {
    match command {
        Command::Confirm(_)
        | Command::Release { .. }
        | Command::Extend { .. }
        | Command::Amend(_)
        | Command::Mark { .. }
        | Command::Repromise(_)
        | Command::Fix { .. }
        | Command::Fulfil(_)
        | Command::Undo { .. } => true,
        Command::Hold(_)
        | Command::Recall { .. }
        | Command::SetSupply(_)
        | Command::AdjustSupply(_)
        | Command::SetAllocation(_)
        | Command::ApproveOffer(_)
        | Command::CloseOffer { .. }
        | Command::Count(_)
        | Command::CountOnce { .. }
        | Command::ApplyNetwork(_)
        | Command::Forget { .. }
        | Command::Tick => false,
    }
}

/// What callers are told of a call that came to nothing.
pub fn ledger_error(e: &CallError) -> LedgerError {
    match e {
        CallError::Refused(why) => LedgerError::Unavailable(Arc::clone(why)),
        CallError::Unknown(why) | CallError::Unreadable(why) => LedgerError::OutcomeUnknown(Arc::clone(why)),
        CallError::NoNetwork => LedgerError::UnknownNetwork,
    }
}
