//! Verdicts, dates, why not, and what can be had instead.

use std::fmt::Write;

use jiff::Timestamp;

use super::times::{Times, left};
use super::{BAD, FAINT, GOOD, STRONG, Table, WARN, counted, fact, grouped, lines, paint, percent};
use crate::cli::values::from_proto;
use crate::proto::v1;

/// Y in words: "by Wed 2 Dec 2026"; None where none was given.
fn asked(ask: Option<&v1::Ask>, times: &Times) -> Option<String> {
    use v1::ask::When;
    match ask?.when.as_ref()? {
        When::ByDate(date) => Some(format!("by {}", times.day(date))),
        When::ByTime(at) => Some(format!("by {}", times.moment(at))),
        When::OnDate(date) => Some(format!("on {}", times.day(date))),
        When::InWindow(window) => match (&window.from, &window.to) {
            (Some(from), Some(to)) => Some(format!("in the slot {}", times.period(from, to))),
            _ => Some("in the slot".to_owned()),
        },
    }
}

/// The answer to a question. Countdowns run from the state that was read, as the service's clock has it.
pub fn answer(ask: Option<&v1::Ask>, answer: &v1::QuoteResponse, times: &Times, now: Timestamp) -> String {
    let now = answer.as_of.as_ref().map_or(now, from_proto);
    let asked = asked(ask, times);
    let promise = answer.promise.as_ref();
    let arrival = promise.map(|p| times.arrival(&p.date, p.arrives_from.as_ref(), p.arrives_by.as_ref()));
    let arrival = paint(STRONG, arrival.as_deref().unwrap_or("on a date that was not told"));
    let mut text = String::new();
    let _ = match answer.verdict() {
        v1::Verdict::Promised => writeln!(text, "{} arrives {arrival}", paint(GOOD, "Yes:")),
        v1::Verdict::Later => match &asked {
            Some(asked) => writeln!(text, "{} {asked}. The earliest is {arrival}", paint(WARN, "Not")),
            None => writeln!(text, "{} arrives {arrival}", paint(WARN, "Later:")),
        },
        v1::Verdict::Unavailable => {
            let no = paint(BAD, "No:");
            // Capacity there may be: how sure it must be is asked, too.
            let sure = match ask.and_then(|ask| ask.min_confidence) {
                Some(share) => format!(" with a confidence of {}", percent(share)),
                None => String::new(),
            };
            match &asked {
                Some(asked) => {
                    writeln!(text, "{no} it can't be promised {asked}{sure}, nor later within the planned horizon")
                }
                None => writeln!(text, "{no} it can't be promised{sure} within the planned horizon"),
            }
        }
        v1::Verdict::Unspecified => {
            writeln!(text, "{} the server's verdict ({}) is not known to this version", paint(BAD, "?"), answer.verdict)
        }
    };
    if let Some(promise) = promise {
        text.push_str(&promised(promise, times, now));
    }
    if let Some(reservation) = &answer.reservation {
        text.push_str(&taken(reservation, times, now));
    }
    if !answer.bottlenecks.is_empty() {
        text.push_str(&why_not(&answer.bottlenecks, asked.as_deref(), times));
    }
    if !answer.alternatives.is_empty() {
        text.push_str(&instead(&answer.alternatives, asked.as_deref(), times));
    }
    if promise.is_some() || !answer.bottlenecks.is_empty() {
        let _ = writeln!(text, "{}", times.footer());
    }
    text
}

/// How a promise is kept.
pub(super) fn promised(promise: &v1::Promise, times: &Times, now: Timestamp) -> String {
    let mut text = String::new();
    if let Some(order_by) = &promise.order_by {
        let within = left(now, order_by).map_or_else(|| "now".to_owned(), |left| paint(STRONG, &left));
        fact(&mut text, "Order within", &format!("{within}, before {}", times.moment(order_by)));
    }
    for shipment in &promise.shipments {
        let mut way = lines(&shipment.lines);
        let _ = write!(way, " from {} by {}", shipment.site, shipment.lane);
        if let Some(ships_at) = &shipment.ships_at {
            let _ = write!(way, ", leaves {}", times.moment(ships_at));
        }
        if promise.shipments.len() > 1 && !shipment.date.is_empty() {
            let _ = write!(way, ", arrives {}", times.day(&shipment.date));
        }
        fact(&mut text, "Shipment", &way);
    }
    if let Some(confidence) = promise.confidence {
        fact(&mut text, "Confidence", &format!("{} of promises like this one were kept", percent(confidence)));
    }
    text
}

/// What was taken with the answer, and what to do with it.
fn taken(reservation: &v1::Reservation, times: &Times, now: Timestamp) -> String {
    use v1::reservation::State;
    let mut text = String::new();
    let id = &reservation.id;
    if reservation.state() == State::Held {
        let until = reservation.expires_at.as_ref().map_or_else(String::new, |at| {
            let left = left(now, at).map_or_else(String::new, |left| format!(" ({left})"));
            format!(" until {}{left}", times.moment(at))
        });
        fact(&mut text, "Held as", &format!("{}{until}", paint(STRONG, id)));
        fact(&mut text, "Then", &paint(FAINT, &format!("surety confirm {id}")));
    } else {
        // The same request was sent before, and its reservation has moved on.
        let (word, _) = super::reservation::state(reservation.state());
        fact(&mut text, "Reservation", &format!("{} is {word} by now", paint(STRONG, id)));
    }
    text
}

/// Why not by Y: the server's order is tightest first.
fn why_not(bottlenecks: &[v1::Bottleneck], asked: Option<&str>, times: &Times) -> String {
    let mut text = match asked {
        Some(asked) => format!("Why not {asked}, tightest first:\n"),
        None => "Why not, tightest first:\n".to_owned(),
    };
    for (i, b) in bottlenecks.iter().enumerate() {
        let period = match (&b.from, &b.to) {
            (Some(from), Some(to)) => format!(", {}", times.period(from, to)),
            (Some(from), None) => format!(", from {}", times.moment(from)),
            _ => String::new(),
        };
        let site = if b.site.is_empty() { String::new() } else { format!(" at {}", b.site) };
        let what = if b.resource.is_empty() {
            String::new()
        } else {
            let (wanted, available) = (grouped(b.wanted), grouped(b.available));
            format!("{}{site}{period}: {wanted} wanted, {available} free", b.resource)
        };
        let (head, detail) = if b.explanation.is_empty() { (&what, None) } else { (&b.explanation, Some(&what)) };
        let _ = writeln!(text, "  {}. {head}", i + 1);
        if let Some(detail) = detail.filter(|detail| !detail.is_empty()) {
            let _ = writeln!(text, "     {}", paint(FAINT, detail));
        }
    }
    text
}

/// What comes on the same day, added up.
fn by_day(shipments: &[v1::Shipment]) -> Vec<(&str, Vec<v1::Line>)> {
    let mut days: Vec<(&str, Vec<v1::Line>)> = Vec::new();
    for shipment in shipments {
        let at = days.iter().position(|(date, _)| *date == shipment.date).unwrap_or_else(|| {
            days.push((&shipment.date, Vec::new()));
            days.len() - 1
        });
        let of_day = &mut days[at].1;
        for line in &shipment.lines {
            match of_day.iter_mut().find(|before| before.sku == line.sku) {
                Some(before) => before.quantity = before.quantity.saturating_add(line.quantity),
                None => of_day.push(line.clone()),
            }
        }
    }
    days
}

/// What can be had instead.
fn instead(alternatives: &[v1::Alternative], asked: Option<&str>, times: &Times) -> String {
    use v1::alternative::Kind;
    let mut table = Table::new(&["", "LINES", "SERVICE", "ARRIVES"]);
    for alternative in alternatives {
        let kind = match alternative.kind() {
            Kind::Fewer => "fewer",
            Kind::Substitute => "another product",
            Kind::Split => "in parts",
            Kind::Service => "another service",
            Kind::Unspecified => "other",
        };
        let promise = alternative.promise.as_ref();
        let arrives = promise.map(|p| times.arrival(&p.date, p.arrives_from.as_ref(), p.arrives_by.as_ref()));
        let mut arrives = arrives.unwrap_or_default();
        if alternative.kind() == Kind::Split
            && let Some(promise) = promise
        {
            let parts = by_day(&promise.shipments);
            let parts = parts.iter().map(|(date, of_day)| format!("{} {}", lines(of_day), times.day(date)));
            arrives = parts.collect::<Vec<_>>().join("; ");
        }
        table.row(vec![kind.to_owned(), lines(&alternative.lines), alternative.service.clone(), arrives], None);
    }
    let head = match asked {
        Some(asked) => format!("What can be had {asked} instead:\n"),
        None => "What can be had instead:\n".to_owned(),
    };
    head + &table.text("  ")
}

/// The dates of a date picker.
pub fn dates(ask: Option<&v1::Ask>, answer: &v1::ListPromiseDatesResponse, days: i32, times: &Times) -> String {
    let what = ask.map_or_else(String::new, |ask| lines(&ask.lines));
    if answer.dates.is_empty() {
        let days = counted(u64::try_from(days).unwrap_or(0), "day", "days");
        return format!("{} {what} can't be promised on any of these {days}\n", paint(BAD, "No:"));
    }
    let mut table = Table::new(&["ARRIVES", "SERVICE", ">LEFT", "ORDER BEFORE"]);
    for date in &answer.dates {
        let order_by = date.order_by.as_ref();
        table.row(
            vec![
                times.arrival(&date.date, date.arrives_from.as_ref(), date.arrives_by.as_ref()),
                date.service.clone(),
                grouped(date.remaining),
                order_by.map_or_else(String::new, |at| times.moment(at)),
            ],
            None,
        );
    }
    let head = paint(STRONG, &format!("{what} can arrive:"));
    format!("{head}\n{}{}\n", table.text("  "), times.footer())
}
