//! Reservations: one with its evidence, many in a list, and as events tell of them.

use std::fmt::Write;

use anstyle::Style;
use jiff::Timestamp;

use super::quote::promised;
use super::times::{Times, left};
use super::{BAD, FAINT, GOOD, STRONG, Table, WARN, fact, grouped, lines, paint};
use crate::cli::values::from_proto;
use crate::proto::v1::{self, reservation::State};

/// A state in a word, and how it looks.
pub(super) fn state(state: State) -> (&'static str, Style) {
    match state {
        State::Held => ("held", WARN),
        State::Confirmed => ("confirmed", GOOD),
        State::Released => ("released", FAINT),
        State::Expired => ("expired", BAD),
        State::Fulfilled => ("fulfilled", GOOD),
        State::Unspecified => ("in a state that this version does not know", BAD),
    }
}

/// Until when a hold lasts. The countdown is shown only where this machine's clock can be the service's: within the life
/// of the hold.
fn until(reservation: &v1::Reservation, times: &Times, now: Timestamp) -> Option<String> {
    let expires_at = reservation.expires_at.as_ref().filter(|_| reservation.state() == State::Held)?;
    let alive = reservation.created_at.as_ref().is_some_and(|created| from_proto(created) <= now);
    let left = left(now, expires_at).filter(|_| alive).map_or_else(String::new, |left| format!(" ({left})"));
    Some(format!("until {}{left}", times.moment(expires_at)))
}

fn arrival(reservation: &v1::Reservation, times: &Times) -> Option<String> {
    let promise = reservation.promise.as_ref()?;
    Some(times.arrival(&promise.date, promise.arrives_from.as_ref(), promise.arrives_by.as_ref()))
}

fn zone(ask: Option<&v1::Ask>) -> String {
    use v1::destination::To;
    match ask.and_then(|ask| ask.destination.as_ref()).and_then(|destination| destination.to.as_ref()) {
        Some(To::Zone(zone)) => zone.clone(),
        Some(To::Address(address)) => format!("{} {}", address.country, address.postal_code).trim_end().to_owned(),
        None => String::new(),
    }
}

/// A reservation after a change: what it is now, and what that means.
pub fn changed(reservation: &v1::Reservation, times: &Times, now: Timestamp) -> String {
    let (word, style) = state(reservation.state());
    let id = &reservation.id;
    let arrives = arrival(reservation, times).unwrap_or_else(|| "on a date that was not told".to_owned());
    let head = match reservation.state() {
        State::Confirmed => format!("{} {id} arrives {}", paint(style, "Confirmed:"), paint(STRONG, &arrives)),
        State::Held => {
            let until = until(reservation, times, now).unwrap_or_default();
            format!("{} {id} {until}; arrives {}", paint(style, "Held:"), paint(STRONG, &arrives))
        }
        State::Released => format!("{} {id}; its capacity is free again", paint(style, "Released:")),
        State::Expired | State::Fulfilled | State::Unspecified => format!("{id} is {}", paint(style, word)),
    };
    let mut text = format!("{head}\n");
    if !reservation.reference.is_empty() {
        fact(&mut text, "Reference", &reservation.reference);
    }
    text.push_str(&risk(reservation));
    if matches!(reservation.state(), State::Confirmed | State::Held) {
        let _ = writeln!(text, "{}", times.footer());
    }
    text
}

fn risk(reservation: &v1::Reservation) -> String {
    if !reservation.at_risk {
        return String::new();
    }
    format!("  {}\n", paint(BAD, "At risk: capacity behind it was lost after it was promised"))
}

/// A reservation, what it takes, and its history.
pub fn evidence(answer: &v1::GetReservationResponse, times: &Times, now: Timestamp) -> String {
    let reservation = answer.reservation.clone().unwrap_or_default();
    let (word, style) = state(reservation.state());
    let until = until(&reservation, times, now).map_or_else(String::new, |until| format!(" {until}"));
    let mut text = format!("{} is {}{until}\n", reservation.id, paint(style, word));
    text.push_str(&risk(&reservation));
    if let Some(ask) = &reservation.ask {
        let service = if ask.service.is_empty() { String::new() } else { format!(", {}", ask.service) };
        let channel = if ask.channel.is_empty() { String::new() } else { format!(", by {}", ask.channel) };
        let offer = if ask.offer.is_empty() { String::new() } else { format!(", offer {}", ask.offer) };
        fact(&mut text, "Order", &format!("{} to {}{service}{channel}{offer}", lines(&ask.lines), zone(Some(ask))));
    }
    if !reservation.reference.is_empty() {
        fact(&mut text, "Reference", &reservation.reference);
    }
    if let Some(arrives) = arrival(&reservation, times) {
        fact(&mut text, "Arrives", &paint(STRONG, &arrives));
    }
    let date = reservation.promise.as_ref().map_or("", |promise| &promise.date);
    if !reservation.first_date.is_empty() && reservation.first_date != date {
        let now = if date.is_empty() { String::new() } else { format!("; moved to {}", times.day(date)) };
        fact(&mut text, "First date", &format!("{}{now}", times.day(&reservation.first_date)));
    }
    if reservation.fixed {
        fact(&mut text, "Fixed", "its date is not moved unless this reservation is named");
    }
    if let Some(at) = &reservation.shipped_at {
        fact(&mut text, "Shipped", &times.moment(at));
    }
    if let Some(at) = &reservation.delivered_at {
        fact(&mut text, "Delivered", &times.moment(at));
    }
    if let Some(promise) = &reservation.promise {
        // What was told when it was asked is history; the countdown is over.
        let promise = v1::Promise { order_by: None, ..promise.clone() };
        text.push_str(&promised(&promise, times, now));
    }
    let mut draws = Table::new(&["TAKES", "FROM", ">UNITS", "POOL"]);
    for draw in &answer.draws {
        let period = match (&draw.from, &draw.to) {
            (Some(from), Some(to)) => times.period(from, to),
            (Some(from), None) => format!("what came {}", times.moment(from)),
            _ => String::new(),
        };
        draws.row(vec![draw.resource.clone(), period, grouped(draw.units), draw.pool.clone()], None);
    }
    if !draws.is_empty() {
        text.push_str(&draws.text("  "));
    }
    let mut history = Table::new(&["WHEN", "WHAT", "ARRIVES", "REASON"]);
    for change in &answer.history {
        let at = change.at.as_ref().map_or_else(String::new, |at| times.moment(at));
        let date = if change.date.is_empty() { String::new() } else { times.day(&change.date) };
        history.row(vec![at, change.what.clone(), date, change.reason.clone()], None);
    }
    if !history.is_empty() {
        text.push_str(&history.text("  "));
    }
    let _ = writeln!(text, "{}", times.footer());
    text
}

/// Many reservations.
pub fn list(list: &v1::ListReservationsResponse, times: &Times, now: Timestamp) -> String {
    if list.reservations.is_empty() {
        return "No reservations.\n".to_owned();
    }
    let mut table = Table::new(&["ID", "STATE", "ARRIVES", "ZONE", "LINES", "REFERENCE", ""]);
    for reservation in &list.reservations {
        let (word, _) = state(reservation.state());
        let date = reservation.promise.as_ref().map_or("", |promise| &promise.date);
        let moved = !reservation.first_date.is_empty() && reservation.first_date != date;
        let remarks = [
            reservation.at_risk.then(|| "at risk".to_owned()),
            until(reservation, times, now),
            moved.then(|| format!("first promised for {}", times.day(&reservation.first_date))),
            reservation.fixed.then(|| "fixed".to_owned()),
            (reservation.shipped_at.is_some() && reservation.delivered_at.is_none()).then(|| "shipped".to_owned()),
        ];
        let remark = remarks.into_iter().flatten().collect::<Vec<_>>().join(", ");
        table.row(
            vec![
                reservation.id.clone(),
                word.to_owned(),
                arrival(reservation, times).unwrap_or_default(),
                zone(reservation.ask.as_ref()),
                lines(reservation.ask.as_ref().map_or(&[], |ask| &ask.lines)),
                reservation.reference.clone(),
                remark,
            ],
            reservation.at_risk.then_some(BAD),
        );
    }
    let mut text = table.text("");
    if !list.next_page_token.is_empty() {
        let more = format!("There are more: --page-token {}", list.next_page_token);
        let _ = writeln!(text, "{}", paint(FAINT, &more));
    }
    let _ = writeln!(text, "{}", times.footer());
    text
}

/// One event on one line.
pub fn event(event: &v1::WatchEventsResponse, times: &Times) -> String {
    use v1::watch_events_response::Event;
    let what = match &event.event {
        Some(Event::ReservationChanged(reservation)) => {
            let (word, style) = state(reservation.state());
            let arrives =
                arrival(reservation, times).map_or_else(String::new, |arrives| format!(", arrives {arrives}"));
            let risk = if reservation.at_risk { paint(BAD, ", at risk") } else { String::new() };
            format!("reservation {} is {}{arrives}{risk}", reservation.id, paint(style, word))
        }
        Some(Event::BucketChanged(bucket)) => {
            let period = match (&bucket.from, &bucket.to) {
                (Some(from), Some(to)) => format!(", {}", times.period(from, to)),
                (Some(from), None) => format!(", {}", times.moment(from)),
                _ => String::new(),
            };
            let (available, supply) = (grouped(bucket.available), grouped(bucket.supply));
            format!("{}{period}: {available} of {supply} free", bucket.resource)
        }
        Some(Event::NetworkVersion(version)) => format!("the network has version {version}"),
        Some(Event::OfferChanged(offer)) => format!("the offer {offer} changed"),
        None => "something that this version does not know".to_owned(),
    };
    let at = event.at.as_ref().map_or_else(String::new, |at| times.moment(at));
    let cursor = paint(FAINT, &format!("[{}]", event.cursor));
    format!("{}  {what}  {cursor}\n", paint(FAINT, &at))
}
