//! Offers: what can be kept of one, what it would take to keep it all, and what became of it.

use std::fmt::Write;

use super::times::Times;
use super::{BAD, FAINT, GOOD, STRONG, Table, WARN, counted_of, fact, grouped, lines, paint, percent, share_of};
use crate::proto::v1::{self, offer_state::State};

/// Characters of the longest bar.
const BAR: i64 = 30;

/// What the advertisement says.
fn promise(offer: &v1::Offer, times: &Times) -> String {
    use v1::offer::Promise;
    match &offer.promise {
        Some(Promise::WithinDays(0)) => "delivered on the day of the order".to_owned(),
        Some(Promise::WithinDays(n)) => {
            format!("delivered within {} of the order", counted_of((*n).into(), "day", "days"))
        }
        Some(Promise::Date(date)) => format!("delivered by {}", times.day(date)),
        None => "with no promise".to_owned(),
    }
}

fn period(from: &str, to: &str, times: &Times) -> String {
    if from == to {
        format!("on {}", times.day(from))
    } else {
        format!("from {} to {}", times.day(from), times.day(to))
    }
}

fn name(offer: &v1::Offer) -> String {
    if offer.display_name.is_empty() { offer.id.clone() } else { format!("{} ({})", offer.display_name, offer.id) }
}

/// A bar: what can be kept, and what is missing, of the most that any day asks.
fn bar(kept: i64, asked: i64, most: i64) -> String {
    if most <= 0 || asked <= 0 {
        return String::new();
    }
    // 128 bits, as numbers of orders go up to the billions.
    let part = |n: i64| {
        i64::try_from((i128::from(n) * i128::from(BAR) + i128::from(most) / 2) / i128::from(most)).unwrap_or(BAR)
    };
    let whole = part(asked).max(1 + i64::from(kept > 0 && kept < asked));
    // What is not nothing is seen, and so is what is missing.
    let full = part(kept).clamp(i64::from(kept > 0), whole - i64::from(kept < asked));
    let times = |n: i64| usize::try_from(n).unwrap_or(0);
    "█".repeat(times(full)) + &"░".repeat(times(whole - full))
}

/// The answer to: can operations deliver what this offer promises?
pub fn report(offer: &v1::Offer, suppose: &[v1::SupposedSupply], report: &v1::OfferReport, times: &Times) -> String {
    let (asked, kept) = (report.orders_asked, report.orders_deliverable);
    let orders = counted_of(asked, "order", "orders");
    let mut text =
        format!("{}: {orders} {}, {}\n", name(offer), period(&offer.starts, &offer.ends, times), promise(offer, times));
    for change in suppose {
        let sign = if change.delta >= 0 { "+" } else { "" };
        let buckets = counted_of(change.buckets.max(1).into(), "bucket", "buckets");
        let what = format!("{sign}{} of {}, {buckets} from {}", grouped(change.delta), change.resource, change.start);
        fact(&mut text, "Supposed", &what);
    }
    let share = percent(share_of(kept, asked));
    let _ = match report.verdict() {
        v1::Verdict::Promised => writeln!(text, "{} all of it can be kept", paint(GOOD, "Yes:")),
        v1::Verdict::Later => {
            writeln!(text, "{} {} of {orders} can be kept ({share})", paint(WARN, "Not all of it:"), grouped(kept))
        }
        v1::Verdict::Unavailable => writeln!(text, "{} nothing of it can be kept", paint(BAD, "No:")),
        v1::Verdict::Unspecified => {
            writeln!(text, "{} the server's verdict ({}) is not known to this version", paint(BAD, "?"), report.verdict)
        }
    };
    text.push_str(&days(report, times));
    text.push_str(&shortfalls(report, times));
    text.push_str(&instead(offer, report));
    text
}

fn days(report: &v1::OfferReport, times: &Times) -> String {
    let most = report.days.iter().map(|day| day.asked).max().unwrap_or(0);
    let mut table = Table::new(&["ORDERED", ">ASKED", ">KEPT", "", "LAST ARRIVAL", "RAN OUT FIRST"]);
    for day in &report.days {
        let last = match day.last_arrival.as_str() {
            "" if day.asked > 0 => "beyond the plan".to_owned(),
            "" => String::new(),
            date => times.day(date),
        };
        let style = if day.deliverable >= day.asked {
            None
        } else if day.deliverable == 0 {
            Some(BAD)
        } else {
            Some(WARN)
        };
        // No capacity is short, and yet it comes too late: what was missing is time.
        let ran_out = match day.bottleneck.as_str() {
            "" if day.deliverable < day.asked => "time".to_owned(),
            resource => resource.to_owned(),
        };
        table.row(
            vec![
                times.day(&day.date),
                grouped(day.asked),
                grouped(day.deliverable),
                bar(day.deliverable, day.asked, most),
                last,
                ran_out,
            ],
            style,
        );
    }
    if table.is_empty() { String::new() } else { table.text("  ") }
}

/// "For every marketing initiative an equal operations initiative."
fn shortfalls(report: &v1::OfferReport, times: &Times) -> String {
    if report.shortfalls.is_empty() {
        return String::new();
    }
    let mut text = "To keep all of it, operations would have to add:\n".to_owned();
    for short in &report.shortfalls {
        let units = counted_of(short.units, "unit", "units");
        let (first, last) = (times.day(&short.first_date), times.day(&short.last_date));
        let when = if first == last { format!("on {first}") } else { format!("from {first} to {last}") };
        let peak = match short.peak_units {
            peak if peak > 0 && peak < short.units => format!(", {} of them in the worst bucket", grouped(peak)),
            _ => String::new(),
        };
        let _ = writeln!(text, "  {} of {} {when}{peak}", paint(STRONG, &units), short.resource);
    }
    text
}

/// What could be advertised with what there is.
fn instead(offer: &v1::Offer, report: &v1::OfferReport) -> String {
    let all = report.verdict() == v1::Verdict::Promised;
    let asked_within = match &offer.promise {
        Some(v1::offer::Promise::WithinDays(n)) => Some(*n),
        Some(v1::offer::Promise::Date(_)) | None => None,
    };
    let mut text =
        if all { "What could be advertised at most:\n" } else { "What could be advertised instead:\n" }.to_owned();
    let tightest = match report.tightest_within_days {
        n if n < 0 => "for all of these orders, no \"within N days\" at all".to_owned(),
        0 => "for all of these orders, delivery on the day of the order".to_owned(),
        n => {
            let same = if asked_within == Some(n) { ", as it says" } else { "" };
            format!("for all of these orders, delivery within {}{same}", counted_of(n.into(), "day", "days"))
        }
    };
    let scale = match report.deliverable_scale {
        scale if scale <= 0.0 => "as it is advertised, not even 1 % of these orders".to_owned(),
        scale => format!("as it is advertised, {:.0} % of these orders", scale * 100.0),
    };
    let _ = writeln!(text, "  {tightest}\n  {scale}");
    text
}

/// A state in a word.
fn state(state: &v1::OfferState) -> String {
    match state.state() {
        State::Approved => paint(GOOD, "approved"),
        State::Closed => paint(FAINT, "closed"),
        State::Unspecified => paint(BAD, "in a state that this version does not know"),
    }
}

/// An offer was approved.
pub fn approved(answer: &v1::ApproveOfferResponse, times: &Times) -> String {
    let state = answer.offer.clone().unwrap_or_default();
    let offer = state.offer.clone().unwrap_or_default();
    let mut text = format!("{} {}, {}\n", paint(GOOD, "Approved:"), name(&offer), promise(&offer, times));
    let set = counted_of(state.orders_set_aside, "order", "orders");
    let asked = answer.report.as_ref().map_or(state.orders_set_aside, |report| report.orders_asked);
    let of = if asked > state.orders_set_aside { format!(" of {} asked", grouped(asked)) } else { String::new() };
    fact(&mut text, "Set aside", &format!("{}{of}", paint(STRONG, &set)));
    fact(&mut text, "Unsold", &unsold(state.release_hours));
    let redeem = format!("surety quote --offer {} ...", offer.id);
    fact(&mut text, "Redeem", &paint(FAINT, &redeem));
    if let Some(report) = answer.report.as_ref().filter(|report| report.orders_deliverable < report.orders_asked) {
        text.push_str(&days(report, times));
        text.push_str(&shortfalls(report, times));
    }
    text
}

fn unsold(release_hours: i32) -> String {
    match release_hours {
        0 => "goes back to everyone when its work begins".to_owned(),
        n => format!("goes back to everyone {} before its work begins", counted_of(n.into(), "hour", "hours")),
    }
}

/// An offer was closed.
pub fn closed(state: &v1::OfferState) -> String {
    let offer = state.offer.clone().unwrap_or_default();
    let sold = counted_of(state.orders_confirmed, "order", "orders");
    let held = match state.orders_held {
        0 => String::new(),
        n => format!(", {} still held", grouped(n)),
    };
    let left = counted_of(left(state), "order", "orders");
    format!(
        "{} {}: {sold} confirmed of {} set aside{held}; what {left} would have needed is everyone's\n",
        paint(GOOD, "Closed:"),
        name(&offer),
        grouped(state.orders_set_aside)
    )
}

/// Orders that were set aside and not drawn. Orders beyond the envelope drew what is everyone's.
fn left(state: &v1::OfferState) -> i64 {
    (state.orders_set_aside - state.orders_held - state.orders_confirmed).max(0)
}

/// An offer and what became of it.
pub fn shown(offer_state: &v1::OfferState, times: &Times) -> String {
    let offer = offer_state.offer.clone().unwrap_or_default();
    let mut text = format!("{} is {}\n", name(&offer), state(offer_state));
    fact(&mut text, "Runs", &format!("{}, {}", period(&offer.starts, &offer.ends, times), promise(&offer, times)));
    let service = if offer.service.is_empty() { String::new() } else { format!(", {}", offer.service) };
    let channel = if offer.channel.is_empty() { String::new() } else { format!(", by {}", offer.channel) };
    fact(&mut text, "One order", &format!("{}{service}{channel}", lines(&offer.lines)));
    let zones = offer.zones.iter().map(|zone| format!("{} to {}", percent(zone.share), zone.zone));
    fact(&mut text, "Goes", &zones.collect::<Vec<_>>().join(", "));
    fact(&mut text, "Set aside", &counted_of(offer_state.orders_set_aside, "order", "orders"));
    fact(
        &mut text,
        "Sold",
        &format!("{} confirmed, {} held", grouped(offer_state.orders_confirmed), grouped(offer_state.orders_held)),
    );
    if offer_state.state() == State::Approved {
        fact(&mut text, "Left", &counted_of(left(offer_state), "order", "orders"));
        fact(&mut text, "Unsold", &unsold(offer_state.release_hours));
    }
    if let Some(at) = &offer_state.approved_at {
        fact(&mut text, "Approved", &times.moment(at));
    }
    if let Some(at) = &offer_state.closed_at {
        fact(&mut text, "Closed", &times.moment(at));
    }
    let _ = writeln!(text, "{}", times.footer());
    text
}

/// Many offers.
pub fn list(list: &v1::ListOffersResponse, times: &Times) -> String {
    if list.offers.is_empty() {
        return "No offers.\n".to_owned();
    }
    let mut table =
        Table::new(&["ID", "STATE", "FROM", "TO", "PROMISE", ">SET ASIDE", ">HELD", ">CONFIRMED", ">LEFT", "NAME"]);
    for one in &list.offers {
        let offer = one.offer.clone().unwrap_or_default();
        let (word, style, left) = match one.state() {
            State::Approved => ("approved", None, grouped(left(one))),
            State::Closed => ("closed", Some(FAINT), String::new()),
            State::Unspecified => ("?", Some(BAD), String::new()),
        };
        table.row(
            vec![
                offer.id.clone(),
                word.to_owned(),
                times.day(&offer.starts),
                times.day(&offer.ends),
                promise(&offer, times),
                grouped(one.orders_set_aside),
                grouped(one.orders_held),
                grouped(one.orders_confirmed),
                left,
                offer.display_name.clone(),
            ],
            style,
        );
    }
    let mut text = table.text("");
    if !list.next_page_token.is_empty() {
        let more = format!("There are more: --page-token {}", list.next_page_token);
        let _ = writeln!(text, "{}", paint(FAINT, &more));
    }
    text
}
