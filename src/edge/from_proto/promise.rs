//! Requests of the PromiseService.

use super::{
    WhenOf, ask, fingerprint, finish, hold, keep, number_of, optional_day, optional_id, reason, reservation_id, words,
};
use crate::app::request::{
    AmendRequest, ConfirmRequest, ExtendRequest, PromiseDatesRequest, QuoteRequest, ReleaseRequest, WatchQuoteRequest,
};
use crate::domain::faults::{Fault, Faults};
use crate::domain::id::ReservationId;
use crate::domain::limits::{DEFAULT_DATE_DAYS, MAX_DATE_DAYS, MAX_ID_BYTES};
use crate::domain::reservation::Fingerprint;
use crate::proto::v1;

/// Quote. A request id without a hold names nothing, but is kept: it may name what an earlier hold made.
pub fn quote(message: v1::QuoteRequest) -> Result<QuoteRequest, Vec<Fault>> {
    // Only what may be held is ever compared with a repeat; a digest costs as much as decoding.
    let fingerprint = if message.hold.is_some() { fingerprint(&message) } else { Fingerprint(0) };
    let mut faults = Faults::new();
    let request_id = match (message.request_id.as_str(), &message.hold) {
        ("", None) => Some(None),
        ("", Some(_)) => {
            faults.add("request_id", "is empty; with `hold` it is needed, a UUID");
            None
        }
        (text, _) => keep(&mut faults, reservation_id(text), || "request_id".to_owned()).map(Some),
    };
    let ask = ask(message.ask, "ask", WhenOf::Read, &mut faults);
    let hold = keep(&mut faults, message.hold.as_ref().map(hold).transpose(), || "hold".to_owned());
    let reference = keep(&mut faults, words(&message.reference, MAX_ID_BYTES), || "reference".to_owned());
    let accept_later = message.accept_later;
    let request = (|| {
        Some(QuoteRequest {
            request_id: request_id?,
            fingerprint,
            ask: ask?,
            hold: hold?,
            accept_later,
            reference: reference?,
        })
    })();
    finish(faults, request)
}

/// ListPromiseDates. The ask's `when` is not read.
pub fn list_promise_dates(message: v1::ListPromiseDatesRequest) -> Result<PromiseDatesRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let ask = ask(message.ask, "ask", WhenOf::Ignored, &mut faults);
    let from = keep(&mut faults, optional_day(&message.from), || "from".to_owned());
    let days = keep(&mut faults, number_of(message.days, DEFAULT_DATE_DAYS, MAX_DATE_DAYS), || "days".to_owned());
    let request = (|| Some(PromiseDatesRequest { ask: ask?, from: from?, days: days? }))();
    finish(faults, request)
}

/// WatchQuote.
pub fn watch_quote(message: v1::WatchQuoteRequest) -> Result<WatchQuoteRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let ask = ask(message.ask, "ask", WhenOf::Read, &mut faults);
    finish(faults, ask.map(|ask| WatchQuoteRequest { ask }))
}

/// ConfirmReservation.
pub fn confirm_reservation(message: v1::ConfirmReservationRequest) -> Result<ConfirmRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let id = keep(&mut faults, reservation_id(&message.id), || "id".to_owned());
    let reference = keep(&mut faults, words(&message.reference, MAX_ID_BYTES), || "reference".to_owned());
    let retake = message.retake;
    let request = (|| {
        let reference = reference?;
        Some(ConfirmRequest { id: id?, reference: (!reference.is_empty()).then_some(reference), retake })
    })();
    finish(faults, request)
}

/// ReleaseReservation.
pub fn release_reservation(message: v1::ReleaseReservationRequest) -> Result<ReleaseRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let id = keep(&mut faults, reservation_id(&message.id), || "id".to_owned());
    let reason = keep(&mut faults, reason(&message.reason), || "reason".to_owned());
    let request = (|| Some(ReleaseRequest { id: id?, reason: reason? }))();
    finish(faults, request)
}

/// ExtendReservation.
pub fn extend_reservation(message: v1::ExtendReservationRequest) -> Result<ExtendRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let id = keep(&mut faults, reservation_id(&message.id), || "id".to_owned());
    let missing = || "is missing; 1 s to 7 days are needed".to_owned();
    let hold = keep(&mut faults, message.hold.as_ref().ok_or_else(missing).and_then(hold), || "hold".to_owned());
    let request = (|| Some(ExtendRequest { id: id?, hold: hold? }))();
    finish(faults, request)
}

/// AmendReservation.
pub fn amend_reservation(message: v1::AmendReservationRequest) -> Result<AmendRequest, Vec<Fault>> {
    let fingerprint = fingerprint(&message);
    let mut faults = Faults::new();
    let id = keep(&mut faults, reservation_id(&message.id), || "id".to_owned());
    let request_id = keep(&mut faults, optional_id(&message.request_id), || "request_id".to_owned());
    let ask = ask(message.ask, "ask", WhenOf::Read, &mut faults);
    let accept_later = message.accept_later;
    let request = (|| Some(AmendRequest { id: id?, request_id: request_id?, fingerprint, ask: ask?, accept_later }))();
    finish(faults, request)
}

/// GetReservation: the reservation's id.
pub fn get_reservation(message: v1::GetReservationRequest) -> Result<ReservationId, Vec<Fault>> {
    let mut faults = Faults::new();
    let id = keep(&mut faults, reservation_id(&message.id), || "id".to_owned());
    finish(faults, id)
}
