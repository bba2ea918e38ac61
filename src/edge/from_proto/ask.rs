//! Asks.

use std::sync::Arc;

use super::{keep, moment, moment_rounded_up, name, optional_name, unknown_number, words};
use crate::domain::ask::{Ask, Destination, Line, Shipments, When};
use crate::domain::faults::Faults;
use crate::domain::limits::{MAX_ID_BYTES, MAX_LINES, MAX_QUANTITY};
use crate::domain::share::Share;
use crate::domain::time::Day;
use crate::proto::v1;

/// Whether an ask's `when` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenOf {
    /// It does.
    Read,
    /// It is not read, whatever it says (ListPromiseDates).
    Ignored,
}

/// An ask, to be used only if no fault was noted. `path` is the ask's own.
pub fn ask(message: Option<v1::Ask>, path: &str, when_of: WhenOf, faults: &mut Faults) -> Option<Ask> {
    let Some(message) = message else {
        faults.add(path, "is missing; say what is asked");
        return None;
    };
    let at = |field: &str| format!("{path}.{field}");
    if message.lines.is_empty() {
        faults.add(at("lines"), format!("is empty; 1 to {MAX_LINES} lines are needed"));
    } else if message.lines.len() > MAX_LINES {
        faults.add(at("lines"), format!("has {} lines; at most {MAX_LINES} are taken", message.lines.len()));
    }
    let mut lines = Vec::with_capacity(message.lines.len().min(MAX_LINES));
    // Those beyond the limit are not looked at: one fault says it all.
    for (i, line) in message.lines.iter().take(MAX_LINES).enumerate() {
        let sku = keep(faults, name(&line.sku), || at(&format!("lines[{i}].sku")));
        let quantity = keep(faults, quantity(line.quantity), || at(&format!("lines[{i}].quantity")));
        if let (Some(sku), Some(quantity)) = (sku, quantity) {
            lines.push(Line { sku, quantity });
        }
    }
    let destination = destination(message.destination, path, faults);
    let when = match when_of {
        WhenOf::Read => when(message.when, path, faults),
        WhenOf::Ignored => Some(When::Any),
    };
    let service = keep(faults, optional_name(&message.service), || at("service"));
    let channel = keep(faults, optional_name(&message.channel), || at("channel"));
    let offer = keep(faults, optional_name(&message.offer), || at("offer"));
    let shipments = keep(faults, shipments(message.shipments), || at("shipments"));
    let min_confidence = keep(faults, confidence(message.min_confidence), || at("min_confidence"));
    Some(Ask {
        lines,
        destination: destination?,
        when: when?,
        service: service?,
        channel: channel?,
        offer: offer?,
        shipments: shipments?,
        min_confidence: min_confidence?,
    })
}

fn confidence(share: Option<f64>) -> Result<Option<Share>, String> {
    match share {
        None => Ok(None),
        Some(share) => {
            let wrong = || format!("is {share}; it must lie between 0 and 1, such as 0.95");
            Share::new(share).map(Some).ok_or_else(wrong)
        }
    }
}

pub(super) fn quantity(quantity: i32) -> Result<i32, String> {
    if (1..=MAX_QUANTITY).contains(&quantity) {
        Ok(quantity)
    } else {
        Err(format!("is {quantity}; it must lie between 1 and {MAX_QUANTITY}"))
    }
}

fn destination(message: Option<v1::Destination>, path: &str, faults: &mut Faults) -> Option<Destination> {
    match message.and_then(|d| d.to) {
        None => {
            faults.add(format!("{path}.destination"), "is missing; name a zone or an address");
            None
        }
        Some(v1::destination::To::Zone(zone)) => {
            keep(faults, name(&zone), || format!("{path}.destination.zone")).map(Destination::Zone)
        }
        Some(v1::destination::To::Address(address)) => {
            let country = keep(faults, country(&address.country), || format!("{path}.destination.address.country"));
            let postal_code = keep(faults, words(&address.postal_code, MAX_ID_BYTES), || {
                format!("{path}.destination.address.postal_code")
            });
            Some(Destination::Address { country: country?, postal_code: postal_code? })
        }
    }
}

fn country(text: &str) -> Result<Arc<str>, String> {
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
        Ok(Arc::from(text))
    } else {
        Err(format!("{text:?} is not a country of ISO 3166-1 alpha-2, such as DE"))
    }
}

fn when(message: Option<v1::ask::When>, path: &str, faults: &mut Faults) -> Option<When> {
    match message {
        None => Some(When::Any),
        Some(v1::ask::When::ByDate(day)) => {
            keep(faults, Day::parse(&day), || format!("{path}.by_date")).map(When::ByDate)
        }
        Some(v1::ask::When::OnDate(day)) => {
            keep(faults, Day::parse(&day), || format!("{path}.on_date")).map(When::OnDate)
        }
        // What arrives in whole microseconds by the microsecond before Y arrives by Y, and the other way round.
        Some(v1::ask::When::ByTime(at)) => keep(faults, moment(&at), || format!("{path}.by_time")).map(When::ByTime),
        Some(v1::ask::When::InWindow(window)) => {
            let missing = || "is missing; both ends of the window are needed".to_owned();
            let from = window.from.as_ref().ok_or_else(missing).and_then(moment_rounded_up);
            let to = window.to.as_ref().ok_or_else(missing).and_then(moment);
            let from = keep(faults, from, || format!("{path}.in_window.from"));
            let to = keep(faults, to, || format!("{path}.in_window.to"));
            let (from, to) = (from?, to?);
            if from >= to {
                faults.add(format!("{path}.in_window"), "ends before it has begun; `from` must lie before `to`");
                return None;
            }
            Some(When::InWindow { from, to })
        }
    }
}

fn shipments(number: i32) -> Result<Shipments, String> {
    match v1::ask::Shipments::try_from(number) {
        Ok(v1::ask::Shipments::Unspecified | v1::ask::Shipments::Together) => Ok(Shipments::Together),
        Ok(v1::ask::Shipments::Split) => Ok(Shipments::Split),
        Err(_) => Err(unknown_number(number)),
    }
}
