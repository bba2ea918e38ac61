//! The figures that marketing and operations share, and what could be offered.

use std::fmt::Write;

use super::times::Times;
use super::{BAD, STRONG, Table, WARN, counted, counted_of, fact, grouped, paint, percent, share_of};
use crate::proto::v1;

/// The figures of a period.
pub fn scorecard(request: &v1::GetScorecardRequest, card: &v1::GetScorecardResponse, times: &Times) -> String {
    let (from, to) = (times.day(&request.from), times.day(&request.to));
    let period = if from == to { from } else { format!("{from} to {to}") };
    let of = |what: &str, name: &str| if name.is_empty() { String::new() } else { format!(", {what} {name}") };
    let (channel, offer) = (of("channel", &request.channel), of("offer", &request.offer));
    let mut text = format!("{}{channel}{offer}\n", paint(STRONG, &format!("What was promised for {period}")));
    let quotes = counted_of(card.quotes, "time", "times");
    let yes = percent(share_of(card.quotes_promised, card.quotes));
    // Of nothing, nothing more is said.
    let some = |n: i64, all: String, none: String| if n == 0 { none } else { all };
    let answers = format!(
        "{quotes}: {} yes ({yes}), {} later, {} no",
        grouped(card.quotes_promised),
        grouped(card.quotes_later),
        grouped(card.quotes_unavailable)
    );
    fact(&mut text, "Asked", &some(card.quotes, answers, quotes));
    let held = counted_of(card.held, "time", "times");
    let became = if card.confirmed == 1 { "became an order" } else { "became orders" };
    let taken = format!(
        "{held}; {} {became} ({} of them), {} expired, {} released",
        grouped(card.confirmed),
        percent(card.conversion),
        grouped(card.expired),
        grouped(card.released)
    );
    let ended = card.confirmed + card.expired + card.released;
    fact(&mut text, "Held", &some(card.held + ended, taken, held));
    let delivered = counted_of(card.fulfilled, "order", "orders");
    let kept = format!(
        "{delivered}: {} by the date first promised ({}), {} late",
        grouped(card.kept),
        percent(card.kept_share),
        grouped(card.late)
    );
    fact(&mut text, "Delivered", &some(card.fulfilled, kept, delivered));
    fact(&mut text, "Re-promised", &counted_of(card.repromised, "time", "times"));
    let now = format!(
        "{} at risk, {} in the backlog, whatever their date",
        counted_of(card.at_risk, "promise", "promises"),
        grouped(card.backlog)
    );
    let now = if card.at_risk + card.backlog > 0 { paint(WARN, &now) } else { now };
    fact(&mut text, "Now", &now);
    let mut resources = Table::new(&["RESOURCE", ">SUPPLY", ">COMMITTED", ">USED"]);
    // What nothing draws on says nothing; --json has it.
    for one in card.resources.iter().filter(|one| one.committed != 0) {
        let style = (one.committed > one.supply).then_some(BAD);
        let cells = vec![one.resource.clone(), grouped(one.supply), grouped(one.committed), percent(one.utilisation)];
        resources.row(cells, style);
    }
    if !resources.is_empty() {
        text.push_str(&resources.text("  "));
    }
    match card.resources.iter().filter(|one| one.committed == 0).count() {
        0 => {}
        n => {
            let n = counted(n as u64, "resource", "resources");
            let _ = writeln!(text, "  and {n} of which nothing is committed");
        }
    }
    let mut lost = Table::new(&["MISSING", ">TIMES ASKED", ">UNITS"]);
    for one in &card.lost {
        lost.row(vec![one.resource.clone(), grouped(one.quotes), grouped(one.units)], None);
    }
    if !lost.is_empty() {
        let _ = write!(text, "What was asked and refused, by what was missing:\n{}", lost.text("  "));
    }
    text
}

/// What could be offered.
pub fn suggestions(request: &v1::SuggestOffersRequest, answer: &v1::SuggestOffersResponse, times: &Times) -> String {
    let (from, to) = (times.day(&request.starts), times.day(&request.ends));
    let within = match request.within_days {
        0 => "on the day of the order".to_owned(),
        n => format!("within {}", counted_of(n.into(), "day", "days")),
    };
    let what = format!("to {} {within}, ordered from {from} to {to}", request.zone);
    if answer.suggestions.is_empty() {
        // One order is the first day's: that it can't be kept is all that an empty answer says.
        return format!(
            "{} of no product could an order of the first day be kept, {what}\nAn offer has orders on each of its days: begin on \
             another day, or allow more days for the delivery.\n",
            paint(BAD, "No:")
        );
    }
    let mut table = Table::new(&["SKU", ">ORDERS", ">A DAY, AT LEAST", ">AT MOST", "LIMITED BY"]);
    let mut by_time = false;
    for one in &answer.suggestions {
        // Days that are over have no orders, and come first.
        let of_days = one.orders_by_day.iter().skip_while(|&&orders| orders == 0);
        let (least, most) = (of_days.clone().min(), of_days.max());
        let number = |n: Option<&i64>| n.map_or_else(String::new, |n| grouped(*n));
        let limit = if one.bottleneck.is_empty() { too_late(request, one, times) } else { None };
        by_time |= limit.is_some();
        let limit = limit.unwrap_or_else(|| one.bottleneck.clone());
        table.row(vec![one.sku.clone(), grouped(one.orders), number(least), number(most), limit], None);
    }
    let head = paint(STRONG, &format!("Orders of one item that could all be kept {what}:"));
    let mut text = format!("{head}\n{}Each by itself: products share what they are made with.\n", table.text("  "));
    if by_time {
        text.push_str("Orders are spread evenly over the days: one whose orders come too late bounds them all.\n");
    }
    text
}

/// The day of whose orders none arrives in time, where that bounds the total: with one order more it would have its first.
fn too_late(request: &v1::SuggestOffersRequest, one: &v1::Suggestion, times: &Times) -> Option<String> {
    // Days that are over have no orders either.
    let first = one.orders_by_day.iter().position(|&orders| orders > 0)?;
    let day = first + one.orders_by_day[first..].iter().position(|&orders| orders == 0)?;
    let starts = request.starts.parse::<jiff::civil::Date>().ok()?;
    let day = starts.checked_add(jiff::Span::new().try_days(i64::try_from(day).ok()?).ok()?).ok()?;
    Some(format!("time, on {}", times.day(&day.to_string())))
}
