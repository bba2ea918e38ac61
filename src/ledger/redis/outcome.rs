//! What each step of a batch came to: from the letter that the script gave it, and what came with the letter.

use std::sync::Arc;

use super::super::LedgerError;
use super::super::command::{Command, Outcome, Refusal, Shortage};
use super::super::record::Unreadable;
use super::super::transition;
use super::batch::{Batch, Expected, Step};
use super::call::Reply;
use super::recent::Recent;
use super::reply;
use super::stored::{self, Stored};
use crate::domain::bucket::BucketLevel;
use crate::domain::offer::ApprovedOffer;
use crate::domain::reservation::{Fingerprint, Reservation};
use crate::domain::time::Moment;

/// What a step wrote.
#[derive(Clone, Debug)]
pub enum Wrote {
    /// A reservation, as it now is, or as it was before it was removed.
    Reservation(Arc<Reservation>),
    /// An offer, as it now is.
    Offer(Arc<ApprovedOffer>),
}

/// What a step came to.
pub enum Came {
    /// Its caller is told this.
    Done {
        result: Result<Outcome, LedgerError>,
        /// What it wrote or removed.
        written: Option<Wrote>,
    },
    /// It is worked out anew, on what was there instead if that is known.
    Again(Option<Option<Stored>>),
}

impl Came {
    /// The caller is told this, and nothing was written.
    pub fn outcome(outcome: Outcome) -> Came {
        Came::Done { result: Ok(outcome), written: None }
    }

    fn refused(refusal: Refusal) -> Came {
        Came::outcome(Outcome::Refused(refusal))
    }
}

/// What a step came to, by its letter.
pub fn came(
    command: &Command,
    step: &Step,
    code: u8,
    reply: &mut Reply,
    batch: &Batch,
    recent: &mut Recent,
) -> Result<Came, Unreadable> {
    let asked = match step {
        Step::Tell(_, fingerprint) => Some(*fingerprint),
        Step::Reserve(r) => match r.expected {
            Expected::New(fingerprint) => Some(fingerprint),
            Expected::Known(_) => None,
        },
        Step::Set(_)
        | Step::Adjust(_)
        | Step::Allocate(_)
        | Step::Approve(_)
        | Step::Close(_)
        | Step::Count(_)
        | Step::CountOnce(..)
        | Step::Tick => None,
    };
    Ok(match (code, step) {
        (b'A', Step::Reserve(r)) => {
            let after = r.after.clone().map(|mut after| {
                stored::name_instants(&mut after, reply.at);
                Arc::new(after)
            });
            let written = match &after {
                Some(after) => {
                    let token = stored::token(after, reply.at, reply.mark);
                    recent.put(Stored { token, reservation: Arc::clone(after), told: false });
                    Some(Arc::clone(after))
                }
                None => {
                    let removed = recent.get(&r.id).map(|known| Arc::clone(&known.reservation));
                    recent.remove(&r.id);
                    removed
                }
            };
            Came::Done { result: Ok(transition::outcome(command, after)), written: written.map(Wrote::Reservation) }
        }
        (b'A' | b'O', Step::Set(_)) => {
            let buckets = reply::number(reply::next(&mut reply.extras)?)?;
            Came::outcome(Outcome::SupplySet { buckets })
        }
        (b'A' | b'O', Step::Adjust(c)) => {
            let levels = adjusted(&reply::bytes(reply::next(&mut reply.extras)?)?)?;
            Came::outcome(Outcome::SupplyAdjusted { first: c.first, levels })
        }
        (b'A' | b'O', Step::Allocate(c)) => {
            let levels = adjusted(&reply::bytes(reply::next(&mut reply.extras)?)?)?;
            Came::outcome(Outcome::SupplyAdjusted { first: c.first, levels })
        }
        (b'A', Step::Approve(step)) => offered(&step.after, reply.at),
        (b'A', Step::Close(step)) => offered(&step.after, reply.at),
        (_, Step::Tick | Step::Count(_) | Step::CountOnce(..)) => Came::outcome(Outcome::Done),
        (b'P', Step::Adjust(c)) => made_before(c.fingerprint, reply)?,
        (b'P', Step::Allocate(c)) => made_before(c.fingerprint, reply)?,
        (b'P', Step::Approve(step)) => {
            let (known, _) = stored::read_offer(&reply::bytes(reply::next(&mut reply.extras)?)?)?;
            if (&known.request_id, known.fingerprint) == (&step.after.request_id, step.after.fingerprint) {
                Came::outcome(Outcome::Offer { offer: known, repeated: true })
            } else {
                Came::refused(Refusal::AlreadyExists)
            }
        }
        // It was changed since it was read, and is read again.
        (b'P' | b'N', Step::Close(_)) => Came::Again(None),
        (b'P', Step::Reserve(_) | Step::Tell(..)) => {
            let present = stored::read_reservation(&reply::bytes(reply::next(&mut reply.extras)?)?)?;
            recent.put(present.clone());
            match asked {
                Some(fingerprint) if fingerprint != present.reservation.fingerprint => {
                    Came::refused(Refusal::AlreadyExists)
                }
                Some(_) => Came::outcome(Outcome::Reservation { reservation: present.reservation, repeated: true }),
                None => Came::Again(Some(Some(present))),
            }
        }
        (b'N', Step::Tell(..)) => Came::refused(Refusal::NotFound),
        (b'N', Step::Reserve(r)) => {
            recent.remove(&r.id);
            Came::Again(Some(None))
        }
        (b'S', Step::Reserve(_) | Step::Allocate(_) | Step::Approve(_)) => {
            let count: usize = reply::number(reply::next(&mut reply.extras)?)?;
            let mut short = Vec::with_capacity(count);
            for _ in 0..count {
                let bucket: usize = reply::number(reply::next(&mut reply.extras)?)?;
                let level = stored::read_level(&reply::bytes(reply::next(&mut reply.extras)?)?)?;
                let place = batch.buckets.get(bucket.wrapping_sub(1));
                let (resource, index) = place.cloned().ok_or_else(|| reply::unexpected("a bucket of the batch"))?;
                short.push(Shortage { resource, index, level });
            }
            Came::refused(Refusal::Short(short))
        }
        (b'W', _) => Came::refused(Refusal::NetworkChanged { version: reply.version }),
        (b'M', _) => Came::refused(Refusal::TooManyOffers),
        (b'L', _) => Came::refused(Refusal::OrderByPassed),
        _ => return Err(reply::unexpected("a known letter")),
    })
}

/// A call that changes buckets and is remembered was made before.
fn made_before(fingerprint: Fingerprint, reply: &mut Reply) -> Result<Came, Unreadable> {
    let made = stored::read_adjustment(&reply::bytes(reply::next(&mut reply.extras)?)?)?;
    Ok(if made.fingerprint == fingerprint {
        Came::outcome(Outcome::SupplyAdjusted { first: made.first, levels: made.levels })
    } else {
        Came::refused(Refusal::AlreadyExists)
    })
}

/// An offer that a step wrote.
fn offered(after: &ApprovedOffer, at: Moment) -> Came {
    let mut offer = after.clone();
    stored::name_instants_of_offer(&mut offer, at);
    let offer = Arc::new(offer);
    let written = Some(Wrote::Offer(Arc::clone(&offer)));
    Came::Done { result: Ok(Outcome::Offer { offer, repeated: false }), written }
}

fn adjusted(row: &[u8]) -> Result<Arc<[BucketLevel]>, Unreadable> {
    Ok(stored::read_row(row)?.into_iter().map(Option::unwrap_or_default).collect())
}
