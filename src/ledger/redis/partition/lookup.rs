//! What a network's task reads before it works commands out: reservations that were not seen lately, and offers.

use super::super::super::command::Command;
use super::super::call::CallError;
use super::super::reply;
use super::super::stored::{self, Stored};
use super::{Partition, Work, ledger_error, needs_reservation};
use crate::domain::id::ReservationId;

impl Partition {
    /// Reads the offers that commands close.
    async fn look_up_offers(&mut self, works: Vec<Work>) -> Vec<Work> {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(&self.caller.keys.offers);
        let mut any = false;
        for work in &works {
            if let Command::CloseOffer { id } = &work.command {
                cmd.arg(&**id);
                any = true;
            }
        }
        if !any {
            return works;
        }
        let read = match self.caller.read(&cmd).await {
            Ok(answer) => reply::list(answer).map_err(CallError::from),
            Err(e) => Err(e),
        };
        let read = read.and_then(|values| {
            let read = |value| reply::some_bytes(value).map(|bytes| stored::read_offer(&bytes)).transpose();
            Ok(values.into_iter().map(read).collect::<Result<Vec<_>, _>>()?)
        });
        match read {
            Ok(found) => {
                let (mut works, mut found) = (works, found.into_iter());
                for work in works.iter_mut().filter(|work| matches!(work.command, Command::CloseOffer { .. })) {
                    work.offer = found.next().flatten();
                }
                works
            }
            Err(e) => {
                self.failed(&e);
                self.refuse_all(works, &ledger_error(&e));
                Vec::new()
            }
        }
    }

    /// Reads what is known of the reservations that commands name and that were not seen lately.
    pub(super) async fn look_up(&mut self, works: Vec<Work>) -> Vec<Work> {
        let works = self.look_up_offers(works).await;
        let unknown: Vec<ReservationId> = works
            .iter()
            .filter(|work| work.fresh.is_none() && needs_reservation(&work.command))
            .filter_map(|work| work.command.reservation_id())
            .filter(|id| self.state.recent.get(id).is_none())
            .cloned()
            .collect();
        if unknown.is_empty() {
            return works;
        }
        match self.read_reservations(&unknown).await {
            Ok(found) => {
                found.iter().flatten().for_each(|stored| self.state.recent.put(stored.clone()));
                let mut works = works;
                for work in &mut works {
                    if let Some(at) = work.command.reservation_id().and_then(|id| unknown.iter().position(|u| u == id))
                        && work.fresh.is_none()
                        && needs_reservation(&work.command)
                    {
                        work.fresh = Some(found[at].clone());
                    }
                }
                works
            }
            Err(e) => {
                self.failed(&e);
                self.refuse_all(works, &ledger_error(&e));
                Vec::new()
            }
        }
    }

    async fn read_reservations(&mut self, ids: &[ReservationId]) -> Result<Vec<Option<Stored>>, CallError> {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(&self.caller.keys.reservations);
        for id in ids {
            cmd.arg(id.as_str());
        }
        let answer = self.caller.read(&cmd).await?;
        let read = |value| match reply::some_bytes(value) {
            None => Ok(None),
            Some(bytes) => stored::read_reservation(&bytes).map(Some),
        };
        Ok(reply::list(answer)?.into_iter().map(read).collect::<Result<_, _>>()?)
    }
}
