//! Reservations: what was promised and taken, its states (rules 21 and 22), and its history.

use std::sync::Arc;

use super::answer::{Answer, Bottleneck, Promise, Verdict};
use super::ask::Ask;
use super::draw::Draw;
use super::id::ReservationId;
use super::time::{Day, Moment};

/// Where a reservation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Until `expires_at`.
    Held,
    /// Until released or fulfilled.
    Confirmed,
    /// Given back by the caller.
    Released,
    /// Given back at `expires_at`.
    Expired,
    /// Delivered; its draws are used up (rule 22).
    Fulfilled,
}

impl State {
    /// Whether its draws are taken and may still go back.
    pub fn is_live(self) -> bool {
        match self {
            State::Held | State::Confirmed => true,
            State::Released | State::Expired | State::Fulfilled => false,
        }
    }

    /// The state's name in the contract, without its prefix.
    pub fn name(self) -> &'static str {
        match self {
            State::Held => "HELD",
            State::Confirmed => "CONFIRMED",
            State::Released => "RELEASED",
            State::Expired => "EXPIRED",
            State::Fulfilled => "FULFILLED",
        }
    }
}

/// A digest of a whole request: two requests with one id are the same request if their fingerprints are (rule 20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u128);

/// One entry of a reservation's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Moment,
    /// The version that it made.
    pub version: i64,
    /// The state since then.
    pub state: State,
    /// The date promised since then.
    pub date: Day,
    /// "held", "confirmed", "released", "expired", "extended", "amended", "retaken", "at risk", "safe again", "re-promised" (another
    /// date), "re-planned" (other draws for the same date), "fixed", "not fixed", "shipped", "fulfilled".
    pub what: Arc<str>,
    /// The caller's reason, where one was given.
    pub reason: Arc<str>,
}

/// An amendment that was made, so that its request can be repeated safely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    /// The request id of the amendment; none where it was not given.
    pub request_id: Option<ReservationId>,
    /// The digest of its request.
    pub fingerprint: Fingerprint,
    /// Its answer.
    pub verdict: Verdict,
    /// Its answer.
    pub bottlenecks: Vec<Bottleneck>,
}

/// What was promised and taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The request id that made it.
    pub id: ReservationId,
    /// Where it is in its life.
    pub state: State,
    /// What was asked (and amended since).
    pub ask: Arc<Ask>,
    /// What is promised now.
    pub promise: Arc<Promise>,
    /// What it takes; after its end, what it took.
    pub draws: Arc<[Draw]>,
    /// When the ledger took it.
    pub created_at: Moment,
    /// When a hold ends; of later states, when it would have ended.
    pub expires_at: Moment,
    /// When it was released, expired or fulfilled; its request id is remembered from then on for a while.
    pub ended_at: Option<Moment>,
    /// The caller's own.
    pub reference: Arc<str>,
    /// Capacity behind it was lost after it was promised (rule 24).
    pub at_risk: bool,
    /// Its date is never moved without being asked for by name.
    pub fixed: bool,
    /// When its last shipment left, once that was reported: from then on it is neither released, amended nor re-promised.
    pub shipped_at: Option<Moment>,
    /// When its last shipment arrived, once that was reported.
    pub delivered_at: Option<Moment>,
    /// Grows by one at every change; 1 at first.
    pub version: i64,
    /// The date first promised.
    pub first_date: Day,
    /// The digest of the request that made it.
    pub fingerprint: Fingerprint,
    /// The first answer, which the same request gets again.
    pub first_answer: Arc<Answer>,
    /// Amendments made, oldest first, at most `MAX_AMENDMENTS`.
    pub amendments: Vec<Amendment>,
    /// All that became of it, oldest first.
    pub history: Vec<Change>,
}

impl Reservation {
    /// The day by which it is judged to be kept or late: the date first promised, or the one that its caller agreed to when it
    /// was last amended. Being re-promised does not change it.
    pub fn judged_by(&self) -> Day {
        let agreed = |change: &&Change| matches!(&*change.what, "held" | "amended" | "retaken");
        self.history.iter().rev().find(agreed).map_or(self.first_date, |change| change.date)
    }

    /// Whether it is confirmed work that should be over and was not reported as shipped or delivered.
    pub fn is_backlog(&self, now: Moment) -> bool {
        self.state == State::Confirmed
            && self.shipped_at.is_none()
            && self.promise.ships_at <= now
            && self.draws.iter().all(|draw| draw.to <= now)
    }
}
