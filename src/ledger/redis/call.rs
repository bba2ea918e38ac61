//! Calls of scripts: what every call brings along, what it comes back with, and what is done when no answer comes. A call that may
//! have been made is made again under the same number, which the script knows; so it is made once, whatever fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use super::super::feed::Cursor;
use super::super::record::Unreadable;
use super::entries::{self, Element};
use super::keys::{self, Keys};
use super::link::{Link, LinkError, Links, Role};
use super::reply;
use super::scripts::Script;
use crate::clock::Clock;
use crate::domain::time::{Moment, Span};

/// Elements of the feed that one call brings; `ENTRIES` in `lua/open.lua`.
pub const FEED_AT_ONCE: usize = 64;
/// What slots of calls begin with in a network's head.
pub const SLOT: &str = "call:";
/// How often one call tells a server its scripts anew before it gives up.
const FORGOTTEN: usize = 3;
/// Between two tries of one call, at first.
const RETRY: Duration = Duration::from_millis(20);

/// Whose clock says when holds end.
#[derive(Clone)]
pub enum StoreClock {
    /// The store's, and microseconds that are added to it (`--clock`).
    Store {
        /// Microseconds.
        shift: i64,
        /// The service's own clock, which says how fresh the views are.
        service: Arc<dyn Clock>,
    },
    /// One that every call brings along: tests, simulations.
    Given(Arc<dyn Clock>),
}

impl StoreClock {
    /// The store's instant, as far as it is known without asking: `told` is what the store last said.
    pub fn now(&self, told: Moment) -> Moment {
        match self {
            StoreClock::Store { .. } => told,
            StoreClock::Given(clock) => clock.now(),
        }
    }

    /// The service's instant.
    pub fn service(&self) -> Moment {
        match self {
            StoreClock::Store { service, .. } => service.now(),
            StoreClock::Given(clock) => clock.now(),
        }
    }
}

/// What must have happened to what was written before it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    /// So many replicas have it.
    pub replicas: u32,
    /// It is on the primary's disk, and this has to be asked for.
    pub fsync: bool,
}

/// What every call of one network brings along.
pub struct Caller {
    /// The network's keys.
    pub keys: Keys,
    /// Connections.
    pub links: Arc<Links>,
    /// Whose clock.
    pub clock: StoreClock,
    /// A name that no other server has.
    pub server: String,
    /// Entries of the feed that are kept.
    pub kept: u64,
    /// How long what ended is remembered.
    pub ended_for: Span,
    /// What is waited for.
    pub awaited: Awaited,
    /// How long an answer may take.
    pub response: Duration,
    /// Whether the network may be written to though it was never applied.
    pub unapplied: bool,
    /// The connection in use.
    pub link: Option<Link>,
    /// Counts calls; the number names a call in this server's slot.
    pub calls: u64,
}

/// The first eight arguments of every call.
pub struct Head<'a> {
    /// The instant; empty: the store's clock.
    pub now: &'a str,
    /// Microseconds to add to the store's clock.
    pub shift: i64,
    /// Where the caller's last call is remembered.
    pub slot: &'a str,
    /// The number of this one.
    pub number: u64,
    /// The newest element of the feed that is known; none: the feed is not followed.
    pub seen: Option<&'a str>,
    /// A number that no other call has.
    pub mark: u64,
    /// Entries of the feed that are kept.
    pub kept: u64,
    /// How long a request id is remembered after its end.
    pub ended_for: Span,
    /// Whether the network may be written to though it was never applied.
    pub unapplied: bool,
}

impl Head<'_> {
    /// Writes the keys and these arguments.
    pub fn write(&self, keys: &Keys, more_keys: &[String], cmd: &mut Cmd) {
        for key in keys.of_scripts() {
            cmd.arg(key);
        }
        for key in more_keys {
            cmd.arg(key);
        }
        cmd.arg(self.now).arg(self.shift).arg(self.slot).arg(self.number).arg(self.seen.unwrap_or("*"));
        cmd.arg(self.mark).arg(format!("{} {}", self.kept, self.ended_for.0)).arg(u8::from(self.unapplied));
    }
}

/// What a call comes back with.
#[derive(Debug)]
pub struct Reply {
    /// It was made before: all is as it was then, and its entries are in the feed.
    pub again: bool,
    /// The instant of the store.
    pub at: Moment,
    /// The service's instant before it was sent: all that was acknowledged by then is known with it.
    pub sent: Moment,
    /// Its mark on what it wrote.
    pub mark: u64,
    /// The first entry that it made.
    pub first: Cursor,
    /// The newest element of the feed after it.
    pub last: String,
    /// The network's version.
    pub version: i64,
    /// When the next hold ends, as of before it.
    pub due: Option<Moment>,
    /// A letter a step.
    pub codes: Vec<u8>,
    /// What its buckets held before it, in a row.
    pub before: Vec<u8>,
    /// What some letters come with.
    pub extras: std::vec::IntoIter<Value>,
    /// What the caller had not seen of the feed, beginning with what it had; none: it had seen all.
    pub feed: Option<Vec<Element>>,
    /// Holds that ended in it.
    pub expired: usize,
}

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Nothing was done.
    Refused(Arc<str>),
    /// Nobody knows whether it was done.
    Unknown(Arc<str>),
    /// There is no such network.
    NoNetwork,
    /// The store holds what this version can't read.
    Unreadable(Arc<str>),
}

impl From<Unreadable> for CallError {
    fn from(e: Unreadable) -> Self {
        CallError::Unreadable(Arc::from(e.to_string()))
    }
}

impl Caller {
    /// Makes a connection if there is none.
    pub async fn connected(&mut self) -> Result<&mut Link, LinkError> {
        if self.link.is_none() {
            self.link = Some(self.links.to(&self.keys.head, Role::Commands).await?);
        }
        self.link.as_mut().ok_or_else(|| LinkError::Refused("there is no connection".to_owned()))
    }

    /// Where this server's last call is remembered.
    pub fn slot(&self) -> String {
        format!("{SLOT}{}", self.server)
    }

    /// Sends one command that changes nothing.
    pub async fn read(&mut self, cmd: &Cmd) -> Result<Value, CallError> {
        let sent = match self.connected().await {
            Ok(link) => link.send(cmd).await,
            Err(e) => Err(e),
        };
        sent.map_err(|e| {
            self.link = None;
            CallError::Refused(Arc::from(e.to_string()))
        })
    }

    /// Calls a script until it answers, or until `patience` is over. `more_keys` follow those that every script has; `arguments` adds the arguments from
    /// the ninth on. `seen`: the newest element of the feed that is known; none: the feed is not followed. `acknowledges`: somebody is
    /// told what came of it, so it must be as durable as it has to be before it is answered.
    pub async fn call(
        &mut self,
        script: Script,
        more_keys: &[String],
        seen: Option<&str>,
        acknowledges: bool,
        patience: Duration,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Reply, CallError> {
        self.calls += 1;
        let mark = mark();
        let (begun, mut wait) = (Instant::now(), RETRY);
        let mut maybe_done = false;
        let mut seen = seen.map(str::to_owned);
        let mut brought: Option<Vec<Element>> = None;
        let mut expired = 0;
        loop {
            match self.once(script, more_keys, seen.as_deref(), mark, acknowledges, &arguments).await {
                Ok(Answer::Reply(mut reply)) => {
                    reply.expired += expired;
                    reply.feed = joined(brought, reply.feed);
                    return Ok(*reply);
                }
                Ok(Answer::MoreIsDue { feed, ended }) => {
                    expired += ended;
                    let newest = feed.as_ref().and_then(|feed| feed.last()).map(|element| element.id.clone());
                    if seen.is_some() && newest.is_some() {
                        seen = newest;
                    }
                    brought = joined(brought, feed);
                }
                Ok(Answer::NoNetwork) => return Err(CallError::NoNetwork),
                Err(CallError::Unreadable(why)) => return Err(CallError::Unreadable(why)),
                Err(CallError::NoNetwork) => return Err(CallError::NoNetwork),
                Err(CallError::Refused(why)) if !maybe_done => return Err(CallError::Refused(why)),
                Err(CallError::Refused(why) | CallError::Unknown(why)) => {
                    maybe_done = true;
                    if begun.elapsed() + wait > patience {
                        return Err(CallError::Unknown(why));
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(self.response);
                }
            }
        }
    }

    async fn once(
        &mut self,
        script: Script,
        more_keys: &[String],
        seen: Option<&str>,
        mark: u64,
        acknowledges: bool,
        arguments: &impl Fn(&mut Cmd),
    ) -> Result<Answer, CallError> {
        let (now, shift) = match &self.clock {
            StoreClock::Store { shift, .. } => (String::new(), *shift),
            StoreClock::Given(clock) => (clock.now().0.to_string(), 0),
        };
        let awaited = if acknowledges { self.awaited } else { Awaited::default() };
        for attempt in 0.. {
            let sent_at = self.clock.service();
            let (slot, number, unapplied) = (self.slot(), self.calls, self.unapplied);
            let (own, kept, ended_for, response) = (self.keys.clone(), self.kept, self.ended_for, self.response);
            let link = self.connected().await.map_err(|e| CallError::Refused(Arc::from(e.to_string())))?;
            let mut cmd = link.shas.call(script, keys::SHARED + more_keys.len());
            let head = Head { now: &now, shift, slot: &slot, number, seen, mark, kept, ended_for, unapplied };
            head.write(&own, more_keys, &mut cmd);
            arguments(&mut cmd);
            let sent = if awaited == Awaited::default() {
                link.send(&cmd).await
            } else {
                wait_for(link, cmd, awaited, response).await
            };
            match sent {
                Ok(value) => return read(value, mark, sent_at).map_err(CallError::from),
                // Somebody emptied the server's cache, perhaps again meanwhile: it is told the scripts anew, and nothing was done yet.
                Err(LinkError::NoScript) if attempt < FORGOTTEN => {
                    link.give_up();
                    self.link = None;
                }
                Err(e) => {
                    self.link = None;
                    let why = Arc::from(e.to_string());
                    return Err(match e {
                        LinkError::Unknown(_) => CallError::Unknown(why),
                        LinkError::Refused(_) | LinkError::NoScript => CallError::Refused(why),
                    });
                }
            }
        }
        Err(CallError::Refused(Arc::from("the server forgets its scripts")))
    }
}

/// A number of 19 digits that no other call has, by the odds of some 60 random bits.
pub fn mark() -> u64 {
    const LEAST: u64 = 10_u64.pow(18);
    LEAST + uuid::Uuid::new_v4().as_u64_pair().0 % (9 * LEAST)
}

/// Sends a call and, behind it, what waits until it is as durable as it has to be.
async fn wait_for(link: &mut Link, call: Cmd, awaited: Awaited, response: Duration) -> Result<Value, LinkError> {
    let mut pipeline = redis::pipe();
    pipeline.add_command(call);
    let patience = response.as_millis().saturating_sub(100).max(50) as u64;
    if awaited.fsync {
        pipeline.cmd("WAITAOF").arg(1).arg(awaited.replicas).arg(patience);
    } else {
        pipeline.cmd("WAIT").arg(awaited.replicas).arg(patience);
    }
    let mut answers = link.send_all(&pipeline, 2).await?.into_iter();
    let error = |e: redis::RedisError| LinkError::of(&e);
    let answer = answers.next().unwrap_or_default().extract_error().map_err(error)?;
    let waited = answers.next().unwrap_or_default().extract_error();
    let nothing_written = matches!(&answer, Value::Array(parts) if parts.len() < 2);
    let missing = |what: &str| LinkError::Unknown(format!("written, but not {what} in time"));
    let unreadable = |_| LinkError::Unknown("the answer to waiting can't be read".to_owned());
    let waited = waited.map_err(|e| LinkError::Unknown(LinkError::of(&e).to_string()))?;
    let (local, replicas) = if awaited.fsync {
        let mut parts = reply::list(waited).map_err(unreadable)?.into_iter();
        let local: u32 = reply::number(parts.next().unwrap_or_default()).map_err(unreadable)?;
        (local, reply::number(parts.next().unwrap_or_default()).map_err(unreadable)?)
    } else {
        (1, reply::number::<u32>(waited).map_err(unreadable)?)
    };
    if !nothing_written && (local < 1 || replicas < awaited.replicas) {
        return Err(missing(if local < 1 { "on disk" } else { "on enough replicas" }));
    }
    Ok(answer)
}

/// What a script answers.
pub enum Answer {
    /// It did what it was called for.
    Reply(Box<Reply>),
    /// It gave back what one call gives back, and did nothing else.
    MoreIsDue { feed: Option<Vec<Element>>, ended: usize },
    /// There is no such network.
    NoNetwork,
}

/// Reads what a script answered.
pub fn read(value: Value, mark: u64, sent: Moment) -> Result<Answer, Unreadable> {
    let mut parts = reply::list(value)?.into_iter();
    let status = reply::text(reply::next(&mut parts)?)?;
    match status.as_str() {
        "unknown" => Ok(Answer::NoNetwork),
        "due" => {
            let feed = feed(parts.nth(3))?;
            let ended = ended(feed.as_deref(), mark);
            Ok(Answer::MoreIsDue { feed, ended })
        }
        "done" | "again" => {
            let again = status == "again";
            let at = Moment(reply::number(reply::next(&mut parts)?)?);
            let first = reply::number(reply::next(&mut parts)?)?;
            let last = reply::text(reply::next(&mut parts)?)?;
            let version = reply::number(reply::next(&mut parts)?)?;
            let due = reply::text(reply::next(&mut parts)?)?;
            let codes = reply::bytes(reply::next(&mut parts)?)?;
            let before = reply::bytes(reply::next(&mut parts)?)?;
            let extras = reply::list(reply::next(&mut parts)?)?.into_iter();
            let feed = feed(parts.next())?;
            let expired = ended(feed.as_deref(), mark);
            // Scores are doubles; whole microseconds of this era come back as they were.
            let due = due.parse::<f64>().ok().map(|due| Moment(due as i64));
            Ok(Answer::Reply(Box::new(Reply {
                again,
                at,
                sent,
                mark,
                first,
                last,
                version,
                due,
                codes,
                before,
                extras,
                feed,
                expired,
            })))
        }
        _ => Err(reply::unexpected("a known status")),
    }
}

fn feed(value: Option<Value>) -> Result<Option<Vec<Element>>, Unreadable> {
    match value {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => entries::read_all(value).map(Some),
    }
}

/// Holds that this very call gave back.
fn ended(feed: Option<&[Element]>, mark: u64) -> usize {
    let suffix = format!("-{mark}");
    let own = feed.unwrap_or_default().iter().filter(|element| element.is_expiry && element.id.ends_with(&suffix));
    own.map(|element| element.reservations.len()).sum()
}

/// Two stretches of the feed, of which the second begins with the last element of the first.
fn joined(first: Option<Vec<Element>>, second: Option<Vec<Element>>) -> Option<Vec<Element>> {
    match (first, second) {
        (None, other) | (other, None) => other,
        (Some(mut first), Some(second)) => {
            let overlap = usize::from(first.last().map(|e| &e.id) == second.first().map(|e| &e.id));
            first.extend(second.into_iter().skip(overlap));
            Some(first)
        }
    }
}
