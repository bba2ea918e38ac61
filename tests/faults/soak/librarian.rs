//! Holds the store to what clients were told while it runs: what ended is soon forgotten, and would be lost on who looks at the end
//! only.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;

use crate::book::{Seen, Told};
use crate::checker::{Checker, judged, patiently};
use crate::clients::request;
use crate::shop::now;

/// How long after a reservation was forgotten one may still come to light that was asked for.
const SLACK: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Librarian {
    /// How long what ended is remembered.
    remember: Duration,
    looked: Instant,
    /// What clients are done with, and the store is not.
    live: Vec<Told>,
    /// What ended, and when that was seen.
    ended: VecDeque<(Instant, String)>,
    /// Reservations that were held to what was told of them.
    pub judged: usize,
    /// Those that were looked at too late to know.
    pub missed: usize,
}

impl Librarian {
    pub fn new(remember: Duration) -> Librarian {
        let (live, ended) = (Vec::new(), VecDeque::new());
        Librarian { remember, looked: Instant::now(), live, ended, judged: 0, missed: 0 }
    }

    /// Looks at everything that clients are done with.
    pub async fn look(&mut self, checker: &Checker<'_>) {
        let late = self.looked.elapsed() > self.remember / 2;
        self.looked = Instant::now();
        {
            let mut pages = checker.book.pages();
            let (ours, others) =
                std::mem::take(&mut pages.told).into_iter().partition(|told| told.network == checker.network);
            pages.told = others;
            self.live.extend::<Vec<Told>>(ours);
        }
        let is_over = |told: &Told| told.last().and_then(|seen| seen.expires_at).is_none_or(|end| end <= now());
        let (ripe, live): (Vec<Told>, Vec<Told>) = std::mem::take(&mut self.live).into_iter().partition(is_over);
        self.live = live;
        let found = checker.read_all(ripe.iter().map(|told| told.id.clone()).collect()).await;
        for told in ripe {
            let found = found.get(&told.id);
            if let Some(fault) = judged(&told, found, now()) {
                if found.is_none() && late {
                    self.missed += 1;
                } else {
                    let story = told.story.join("; ");
                    checker.violation(format!("{}: {fault}; told {story}; found {found:?}", told.id));
                }
            }
            let state = found.and_then(|(found, _)| found.reservation.as_ref()).map(Reservation::state);
            match state {
                Some(State::Held) => self.live.push(told),
                Some(State::Confirmed) => {
                    let told = give_back(checker, told).await;
                    self.live.push(told);
                }
                _ => {
                    self.judged += 1;
                    self.ended.push_back((Instant::now(), told.id));
                }
            }
        }
        while self.ended.front().is_some_and(|(at, _)| at.elapsed() > self.remember + SLACK) {
            self.ended.pop_front();
        }
    }

    /// Nothing is there that nobody asked for.
    pub fn knows_all(&self, checker: &Checker<'_>, there: &[String]) {
        let known: BTreeSet<&str> =
            self.live.iter().map(|told| told.id.as_str()).chain(self.ended.iter().map(|(_, id)| id.as_str())).collect();
        for id in there.iter().filter(|id| !known.contains(id.as_str())) {
            checker.violation(format!("there is a reservation {id} that nobody asked for"));
        }
    }
}

/// What a client confirmed and gave up releasing, as nobody answered, would take its capacity for ever.
async fn give_back(checker: &Checker<'_>, mut told: Told) -> Told {
    *told.sent.entry("released").or_default() += 1;
    let message = ReleaseReservationRequest { id: told.id.clone(), ..Default::default() };
    let answer = patiently(|| {
        let (mut promises, message) =
            (checker.services[0].promises(), request(checker.network, PATIENCE, message.clone()));
        async move { promises.release_reservation(message).await }
    });
    match answer.await {
        Ok(answer) => told.seen.push(Seen::of(&answer.reservation.unwrap_or_default())),
        Err(status) => checker.violation(format!("{}: it can't be released: {status:?}", told.id)),
    }
    told
}
