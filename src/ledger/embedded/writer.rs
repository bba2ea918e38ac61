//! The one thread that writes: it drains the queue, makes what it found durable with one write, tells the subscriber, and only
//! then answers. When the store fails it opens it again and believes what it finds there.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::domain::id::NetworkId;

use super::super::LedgerError;
use super::super::command::Command;
use super::super::feed::Subscriber;
use super::super::observe::LedgerObserver;
use super::super::rules::Drift;
use super::super::told::{Told, Undos, Unheard};
use super::core::{Core, Job, Stepped};
use super::steward::Chore;
use super::store::{Medium, Store, StoreError};
use super::{OpenError, Retention};

/// How long the thread waits for commands before it looks at the clock: a fifth of what rule 21 gives readers.
const IDLE: Duration = Duration::from_millis(20);
/// How long between two looks for what need not be remembered any more, and between two of many.
const SWEEP: Duration = Duration::from_secs(1);
const SWEEP_ON: Duration = Duration::from_millis(50);
/// How long to wait before the store is opened again, at first and at most.
const RETRY: Duration = Duration::from_millis(20);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// What comes through the queue.
pub enum Message {
    /// A command.
    Execute(Box<Execute>),
    /// See `Ledger::subscribe`.
    Subscribe(Arc<dyn Subscriber>, oneshot::Sender<Result<(), LedgerError>>),
    /// See `EmbeddedLedger::audit`.
    Audit(NetworkId, oneshot::Sender<Result<Vec<Drift>, LedgerError>>),
    /// See `Steward`.
    Chore(Chore),
}

/// A command that waits.
pub struct Execute {
    pub network: NetworkId,
    pub command: Command,
    pub give_up_at: Option<Instant>,
    pub answer: oneshot::Sender<Told>,
}

/// What the ledger's handle and its thread share.
#[derive(Default)]
pub struct Shared {
    /// The store, for readers; none while it is broken or closed.
    pub store: ArcSwapOption<Arc<dyn Store>>,
    /// Holds whose answers reached nobody.
    undos: Arc<Undos>,
    /// Set once: the thread finishes what was begun and ends.
    pub closing: AtomicBool,
    /// Commands that wait.
    pub waiting: AtomicUsize,
    /// Who follows the feed, for the case that the thread dies.
    follower: Mutex<Option<Arc<dyn Subscriber>>>,
    /// Hands a batch's answers out from within the callers' runtime; there from the first command on.
    postman: OnceLock<mpsc::UnboundedSender<Vec<Answer>>>,
    /// When the next hold ends of which the subscriber does not know yet that it has, in microseconds.
    pub next_due: AtomicI64,
}

/// An answer and who waits for it.
type Answer = (oneshot::Sender<Told>, Told);

impl Shared {
    /// Sees to it that answers are handed out by a task of the caller's runtime. Waking a task from another thread costs a lock
    /// and often a system call; one such wake a batch, and the rest within the runtime, costs a fraction of it.
    pub fn employ_postman(&self) {
        self.postman.get_or_init(|| {
            let (post, mut batches) = mpsc::unbounded_channel::<Vec<Answer>>();
            tokio::spawn(async move {
                while let Some(batch) = batches.recv().await {
                    hand_out(batch);
                }
            });
            post
        });
    }

    /// Answers all who wait. If the runtime of the postman is gone, the thread does it itself.
    fn deliver(&self, batch: Vec<Answer>) {
        match self.postman.get() {
            Some(post) if batch.len() > 1 => {
                if let Err(returned) = post.send(batch) {
                    hand_out(returned.0);
                }
            }
            _ => hand_out(batch),
        }
    }

    /// Shows a store to readers, or takes it away from them.
    pub fn show(&self, store: Option<&Arc<dyn Store>>) {
        self.store.store(store.map(|s| Arc::new(Arc::clone(s))));
    }
}

/// Tells the follower when the thread dies.
struct Mourner(Arc<Shared>);

impl Drop for Mourner {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        tracing::error!("the ledger's thread has panicked; nothing can be taken until the service is started again");
        self.0.show(None);
        if let Some(follower) = &*self.0.follower.lock().unwrap_or_else(PoisonError::into_inner) {
            follower.lost(None);
        }
    }
}

fn hand_out(batch: Vec<Answer>) {
    for (to, told) in batch {
        // If nobody waits any more it comes back and is dropped here, and so a hold that it tells of is undone.
        drop(to.send(told));
    }
}

pub struct Writer {
    pub queue: Receiver<Message>,
    pub shared: Arc<Shared>,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn LedgerObserver>,
    pub medium: Box<dyn Medium>,
    pub core: Core,
    pub batch: usize,
    pub retention: Retention,
    pub subscriber: Option<Arc<dyn Subscriber>>,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Close,
}

impl Writer {
    /// Runs until the ledger is closed, or its handle is gone.
    pub fn run(self) {
        // Should the thread panic, the views must not go on as though they were followed.
        let mourner = Mourner(self.shared.clone());
        self.work();
        drop(mourner);
    }

    fn work(mut self) {
        let mut next_sweep = Instant::now() + SWEEP;
        loop {
            let (messages, go) = self.gather();
            let served = self.serve(messages).and_then(|()| {
                if Instant::now() >= next_sweep {
                    let more = self.core.sweep(self.clock.now())?;
                    next_sweep = Instant::now() + if more { SWEEP_ON } else { SWEEP };
                }
                Ok(())
            });
            if go == Go::Close {
                break;
            }
            if let Err(e) = served {
                match self.recover(&e.to_string()) {
                    Some(recovered) => self = recovered,
                    None => return,
                }
            }
        }
        self.shared.show(None);
        if let Some(subscriber) = &self.subscriber {
            subscriber.lost(None);
        }
        // Who came too late is told that nothing was done.
        for message in self.queue.try_iter() {
            refuse(message, &LedgerError::Unavailable(Arc::from("the ledger is closed")));
        }
    }

    /// The messages of one batch. What comes in while one batch is written makes up the next: the slower the store, the more
    /// commands share its write.
    fn gather(&self) -> (Vec<Message>, Go) {
        let mut messages = Vec::new();
        match self.queue.recv_timeout(IDLE) {
            Ok(first) => messages.push(first),
            Err(RecvTimeoutError::Timeout) if self.shared.closing.load(Ordering::SeqCst) => {
                return (messages, Go::Close);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return (messages, Go::Close),
        }
        while !messages.is_empty() && messages.len() < self.batch {
            match self.queue.try_recv() {
                Ok(next) => messages.push(next),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let before = self.shared.waiting.fetch_sub(messages.len(), Ordering::Relaxed);
        if !messages.is_empty() {
            self.observer.waiting(before);
        }
        (messages, Go::On)
    }

    fn serve(&mut self, messages: Vec<Message>) -> Result<(), StoreError> {
        let mut jobs: Vec<Job> = Vec::new();
        for Unheard { network, id, .. } in self.shared.undos.take() {
            self.observer.undone();
            jobs.push((network, Command::Undo { id }));
        }
        let undone = jobs.len();
        let (mut answers, mut others) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        for message in messages {
            match message {
                Message::Execute(e) => {
                    let Execute { network, command, give_up_at, answer } = *e;
                    if answer.is_closed() {
                        continue; // Nobody waits for it any more, and it was not begun.
                    }
                    if give_up_at.is_some_and(|at| begun >= at) {
                        self.refuse_one(answer, LedgerError::DeadlinePassed);
                        continue;
                    }
                    answers.push(answer);
                    jobs.push((network, command));
                }
                other => others.push(other),
            }
        }
        // Read after the commands were taken from the queue, so that none is judged by a time before it was made.
        let now = self.clock.now();
        let began = Instant::now();
        let Stepped { outcomes, told, expired } = match self.core.step(now, &jobs) {
            Ok(stepped) => stepped,
            Err(e) => {
                for answer in answers {
                    self.refuse_one(answer, error_of(&e));
                }
                for other in others {
                    refuse(other, &error_of(&e));
                }
                return Err(e);
            }
        };
        if !told.is_empty() {
            self.observer.committed(answers.len(), began.elapsed());
        }
        if expired > 0 {
            self.observer.expired(expired);
        }
        if let Some(subscriber) = &self.subscriber {
            for (network, entries) in &told {
                subscriber.changed(network, entries);
            }
            subscriber.fresh(None, self.core.now());
        }
        self.show_next_due();
        let told =
            outcomes.into_iter().zip(jobs).skip(undone).zip(answers).map(|((result, (network, command)), to)| {
                (to, Told::new(&network, &command, result, &self.shared.undos))
            });
        self.shared.deliver(told.collect());
        let mut others = others.into_iter();
        for other in others.by_ref() {
            if let Err(e) = self.other(other) {
                others.for_each(|other| refuse(other, &error_of(&e)));
                return Err(e);
            }
        }
        Ok(())
    }

    fn refuse_one(&self, to: oneshot::Sender<Told>, why: LedgerError) {
        hand_out(vec![(to, Told::failed(why))]);
    }

    fn other(&mut self, message: Message) -> Result<(), StoreError> {
        match message {
            Message::Execute(_) => unreachable!("commands were made before"),
            Message::Subscribe(subscriber, done) => {
                *self.shared.follower.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&subscriber));
                self.subscriber = Some(subscriber);
                self.reset();
                drop(done.send(Ok(())));
            }
            Message::Audit(network, done) => {
                let drifts = match self.core.audit(&network) {
                    Ok(Some(drifts)) => Ok(drifts),
                    Ok(None) => Err(LedgerError::UnknownNetwork),
                    Err(e) => Err(LedgerError::Unavailable(Arc::from(e.to_string()))),
                };
                drop(done.send(drifts));
            }
            Message::Chore(chore) => {
                chore.carry_out(&mut self.core, self.subscriber.as_ref())?;
                self.show_next_due();
            }
        }
        Ok(())
    }

    /// Shows when the next hold ends, once all that ended before has been told.
    fn show_next_due(&self) {
        self.shared.next_due.store(self.core.next_due().map_or(i64::MAX, |due| due.0), Ordering::Release);
    }

    fn reset(&self) {
        if let Some(subscriber) = &self.subscriber {
            for (network, snapshot) in self.core.snapshots() {
                subscriber.reset(network, snapshot);
            }
            subscriber.fresh(None, self.core.now());
        }
        self.show_next_due();
    }

    /// Opens the store again until that works, and turns commands away meanwhile. None: the ledger was closed.
    fn recover(self, why: &str) -> Option<Writer> {
        tracing::error!(why, "the store failed; it is opened again");
        self.observer.failed(why);
        if let Some(subscriber) = &self.subscriber {
            subscriber.lost(None);
        }
        self.shared.show(None);
        let Writer { queue, shared, clock, observer, mut medium, core, batch, retention, subscriber } = self;
        // What is in memory may be ahead of the store. And as long as it is, the store stays locked.
        drop(core);
        let mut wait = RETRY;
        let mut reason: Arc<str> = Arc::from(why);
        loop {
            let until = Instant::now() + wait;
            loop {
                match queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(message) => {
                        shared.waiting.fetch_sub(1, Ordering::Relaxed);
                        refuse(message, &LedgerError::Unavailable(Arc::clone(&reason)));
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return None,
                }
            }
            if shared.closing.load(Ordering::SeqCst) {
                return None;
            }
            match reopen(&mut *medium, retention, &*clock) {
                Ok((store, core)) => {
                    // Nobody knows any more who was told of what, so nothing of before is undone.
                    drop(shared.undos.take());
                    shared.show(Some(&store));
                    observer.recovered();
                    tracing::info!("the store works again");
                    let writer = Writer { queue, shared, clock, observer, medium, core, batch, retention, subscriber };
                    writer.reset();
                    return Some(writer);
                }
                Err(e) => {
                    tracing::error!(error = %e, retry_in = ?wait, "the store can't be opened");
                    reason = Arc::from(e.to_string());
                    wait = (wait * 2).min(RETRY_MOST);
                }
            }
        }
    }
}

/// Opens the store and gives back what came due meanwhile.
pub fn reopen(
    medium: &mut dyn Medium,
    retention: Retention,
    clock: &dyn Clock,
) -> Result<(Arc<dyn Store>, Core), OpenError> {
    let store = medium.open()?;
    let mut core = Core::open(Arc::clone(&store), retention)?;
    core.step(clock.now(), &[])?;
    Ok((store, core))
}

/// What a failure of the store means to those who wait.
pub fn error_of(e: &StoreError) -> LedgerError {
    let why = Arc::from(e.to_string());
    match e {
        StoreError::Nothing(_) => LedgerError::Unavailable(why),
        StoreError::Unknown(_) => LedgerError::OutcomeUnknown(why),
    }
}

/// Tells that a message was not served.
fn refuse(message: Message, why: &LedgerError) {
    match message {
        Message::Execute(e) => {
            let Execute { answer, .. } = *e;
            drop(answer.send(Told::failed(why.clone())));
        }
        Message::Subscribe(_, done) => drop(done.send(Err(why.clone()))),
        Message::Audit(_, done) => drop(done.send(Err(why.clone()))),
        Message::Chore(chore) => chore.refuse(why),
    }
}
