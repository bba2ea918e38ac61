//! Batches without a ledger around them, for benchmarks: how holds are written out as one call, and how its answer is read. The
//! service has no use for it.

use std::sync::Arc;

use redis::Value;

use super::super::command::Command;
use super::super::feed::Entry;
use super::super::record::Unreadable;
use super::batch::{Batch, Reserve, Step};
use super::call::{self, Answer, Head};
use super::keys::{self, Keys};
use super::made::{Made, Written};
use super::outcome::{Came, Wrote, came};
use super::recent::Recent;
use super::{reply, stored};
use crate::domain::id::NetworkId;
use crate::domain::limits::REQUEST_ID_DAYS;
use crate::domain::offer::ApprovedOffer;
use crate::domain::reservation::Reservation;
use crate::domain::time::{Moment, Span};

/// The script that makes batches.
pub use super::scripts::COMMIT;

/// The first number of 19 digits, from which calls are told apart here.
const MARK: u64 = 1_000_000_000_000_000_000;

/// Holds in the form in which they travel.
pub struct Holds {
    steps: Vec<Step>,
    batch: Batch,
}

impl Holds {
    /// Works the holds out, and writes them as one batch. Commands of another kind are left out.
    pub fn of(commands: &[Command]) -> Holds {
        let reserves = commands.iter().filter_map(Reserve::of_hold);
        let steps: Vec<Step> = reserves.map(|reserve| Step::Reserve(Box::new(reserve))).collect();
        let mut batch = Batch::default();
        steps.iter().for_each(|step| batch.push(step));
        Holds { steps, batch }
    }

    /// The call of the script that has this digest, in bytes. Calls are made in the order of their numbers.
    pub fn call(&self, sha: &str, number: u64) -> Vec<u8> {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(sha).arg(keys::SHARED);
        let (slot, mark) = ("call:measured", MARK + number);
        let head = Head {
            now: "",
            shift: 0,
            slot,
            number,
            seen: None,
            mark,
            kept: 10_000,
            ended_for: Span::days(REQUEST_ID_DAYS),
            unapplied: true,
        };
        head.write(&Keys::of(&NetworkId::default_network()), &[], &mut cmd);
        self.batch.arguments(&mut cmd);
        cmd.get_packed_command()
    }

    /// What the script answers when all of them are made, and nothing was drawn from their buckets before.
    pub fn answer(&self, at: Moment) -> Value {
        let text = |text: String| Value::BulkString(text.into_bytes());
        let row = self.batch.buckets.iter().flat_map(|_| {
            let level = [-1_i64, 0, 0, 0].into_iter().flat_map(i64::to_be_bytes);
            [1].into_iter().chain(level)
        });
        let last = self.steps.len();
        Value::Array(vec![
            text("done".to_owned()),
            text(at.0.to_string()),
            Value::Int(1),
            text(format!("{last}-{MARK}")),
            Value::Int(0),
            text(String::new()),
            Value::BulkString(vec![b'A'; self.steps.len()]),
            Value::BulkString(row.collect()),
            Value::Array(Vec::new()),
            Value::Nil,
        ])
    }

    /// Reads an answer: what each command came to, and from that the entries for the view.
    ///
    /// # Errors
    /// The answer is of another form.
    pub fn read(&self, commands: &[Command], answer: Value) -> Result<Vec<Arc<Entry>>, Unreadable> {
        let Answer::Reply(mut reply) = call::read(answer, MARK, Moment(0))? else {
            return Err(reply::unexpected("what became of the steps"));
        };
        let (codes, mut recent) = (std::mem::take(&mut reply.codes), Recent::default());
        let mut written = Vec::with_capacity(codes.len());
        for ((command, step), code) in commands.iter().zip(&self.steps).zip(&codes) {
            if let Came::Done { written: Some(wrote), .. } =
                came(command, step, *code, &mut reply, &self.batch, &mut recent)?
            {
                written.push(wrote);
            }
        }
        let Batch { buckets, names, plan, .. } = &self.batch;
        let levels = stored::read_row(&reply.before)?;
        let made = Made { buckets, names, plan, codes: &codes, levels, at: reply.at, first: reply.first };
        let replayed = made.entries(&mut InOrder(written.into_iter()))?;
        replayed.map(|replayed| replayed.entries).ok_or_else(|| reply::unexpected("a known step"))
    }
}

/// What the steps wrote, one after the other.
struct InOrder(std::vec::IntoIter<Wrote>);

impl Written for InOrder {
    fn reservation(&mut self) -> Result<Arc<Reservation>, Unreadable> {
        match self.0.next() {
            Some(Wrote::Reservation(reservation)) => Ok(reservation),
            Some(Wrote::Offer(_)) | None => Err(reply::unexpected("a reservation")),
        }
    }

    fn offer(&mut self) -> Result<Arc<ApprovedOffer>, Unreadable> {
        Err(reply::unexpected("a reservation"))
    }
}
