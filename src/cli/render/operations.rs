//! What operations set aside, and what became of promises at risk.

use std::fmt::Write;

use super::times::Times;
use super::{BAD, GOOD, Table, WARN, counted, counted_of, grouped, paint, plan};
use crate::proto::v1;

/// Part of a resource was set aside.
pub fn allocated(request: &v1::SetAllocationRequest, answer: &v1::SetAllocationResponse, times: &Times) -> String {
    let buckets = counted_of(i64::try_from(answer.buckets.len()).unwrap_or(0), "bucket", "buckets");
    // What is set aside, which is nothing of buckets of which it would have gone back already.
    let own = format!("channel/{}", request.channel);
    let pools = answer.buckets.iter().map(|bucket| bucket.pools.iter().find(|pool| pool.pool == own));
    let pools: Vec<_> = request.units.iter().zip(pools).filter_map(|(asked, pool)| Some((*asked, pool?))).collect();
    let set: i64 = pools.iter().map(|(asked, pool)| pool.units.min(*asked)).sum();
    let most = if request.max_units.is_empty() { "without a maximum" } else { "with a maximum" };
    let (resource, channel) = (&request.resource, &request.channel);
    let what = if set > 0 {
        let set = counted_of(set, "unit", "units");
        // Stock does not go back by itself.
        let back = if pools.iter().any(|(_, pool)| pool.release_at.is_some()) {
            let hours = counted_of(request.release_hours.into(), "hour", "hours");
            format!("; what is left goes back {hours} before a bucket begins")
        } else {
            String::new()
        };
        format!("{set} of {resource} are kept for {channel} in {buckets}, {most}{back}")
    } else {
        format!("nothing of {resource} is kept for {channel} in {buckets}, {most}")
    };
    let head = format!("{} {what}\n", paint(GOOD, "Done:"));
    format!("{head}{}{}\n", plan::shares(&answer.buckets, times), times.footer())
}

/// Reservations at risk were given new dates, or would be.
/// `others` are at risk, too, and were passed over.
pub fn repromised(answer: &v1::RepromiseResponse, others: &[v1::Reservation], dry_run: bool, times: &Times) -> String {
    if answer.repromised.is_empty() && answer.still_at_risk == 0 && others.is_empty() {
        return format!("{} no promise is at risk\n", paint(GOOD, "Nothing to do:"));
    }
    let mut table = Table::new(&["ID", "REFERENCE", "PROMISED", "NOW", ""]);
    for one in &answer.repromised {
        let (now, remark, style) = match one.new_date.as_str() {
            "" => (String::new(), "no date within the plan", Some(BAD)),
            date if date == one.old_date => (times.day(date), "kept", None),
            date => (times.day(date), "moved", Some(WARN)),
        };
        let cells = vec![one.id.clone(), one.reference.clone(), times.day(&one.old_date), now, remark.to_owned()];
        table.row(cells, style);
    }
    let mut text = if table.is_empty() { String::new() } else { table.text("") };
    let (kept, moved) = (grouped(answer.kept), grouped(answer.moved));
    let head = if dry_run { "Would be:" } else { "Done:" };
    let at_risk = answer.still_at_risk + i64::try_from(others.len()).unwrap_or(i64::MAX);
    let still = match at_risk {
        0 => "none stays at risk".to_owned(),
        1 => paint(BAD, "1 stays at risk"),
        n => paint(BAD, &format!("{} stay at risk", grouped(n))),
    };
    let style = if at_risk > 0 { WARN } else { GOOD };
    let _ = writeln!(text, "{} {kept} kept on their date, {moved} moved, {still}", paint(style, head));
    let fixed = others.iter().filter(|one| one.fixed).count() as u64;
    let beyond = others.len() as u64 - fixed;
    if fixed > 0 {
        let fixed = counted(fixed, "promise at risk is fixed", "promises at risk are fixed");
        let _ = writeln!(text, "{fixed}; `surety repromise ID` moves what is named");
    }
    if beyond > 0 {
        let beyond = counted(beyond, "promise at risk was", "promises at risk were");
        let _ = writeln!(text, "{beyond} not looked at; --limit says how many are");
    }
    if dry_run {
        text.push_str("Nothing was changed.\n");
    }
    text
}

/// A reservation's date was fixed, or no longer is.
pub fn fixed(reservation: &v1::Reservation, times: &Times) -> String {
    let date = reservation.promise.as_ref().map_or_else(String::new, |promise| times.day(&promise.date));
    let id = &reservation.id;
    if reservation.fixed {
        format!("{} {id} arrives {date}, and is not moved unless it is named\n", paint(GOOD, "Fixed:"))
    } else {
        format!("{} {id} arrives {date}, and may be moved when it is at risk\n", paint(GOOD, "Not fixed:"))
    }
}
