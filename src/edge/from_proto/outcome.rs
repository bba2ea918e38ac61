//! Requests about what became of promises: Repromise, FixReservation, ReportFulfilment, GetScorecard.

use super::{finish, keep, moment, number_of, optional_name, reason, reservation_id};
use crate::app::request::{FixRequest, FulfilmentReport, RepromiseRequest, ScorecardRequest};
use crate::domain::faults::{Fault, Faults};
use crate::domain::limits::{MAX_FULFILMENTS, MAX_REPROMISED, MAX_SCORECARD_DAYS, MAX_SKEW_MINUTES};
use crate::domain::time::{Day, Moment, Span};
use crate::proto::v1;

/// Repromise. An id that is named twice is meant once.
pub fn repromise(message: v1::RepromiseRequest) -> Result<RepromiseRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let limit = keep(&mut faults, number_of(message.limit, MAX_REPROMISED, MAX_REPROMISED), || "limit".to_owned());
    let most = MAX_REPROMISED as usize;
    if message.ids.len() > most {
        faults.add("ids", format!("has {} ids; at most {most} are taken", message.ids.len()));
    }
    let mut ids = Vec::with_capacity(message.ids.len().min(most));
    for (i, id) in message.ids.iter().take(most).enumerate() {
        ids.extend(keep(&mut faults, reservation_id(id), || format!("ids[{i}]")));
    }
    let validate_only = message.validate_only;
    finish(faults, limit.map(|limit| RepromiseRequest { validate_only, limit: limit as usize, ids }))
}

/// FixReservation.
pub fn fix_reservation(message: v1::FixReservationRequest) -> Result<FixRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let id = keep(&mut faults, reservation_id(&message.id), || "id".to_owned());
    let reason = keep(&mut faults, reason(&message.reason), || "reason".to_owned());
    let fixed = message.fixed;
    let request = (|| Some(FixRequest { id: id?, fixed, reason: reason? }))();
    finish(faults, request)
}

/// ReportFulfilment: at least one instant each, none in the future beyond what clocks differ by, and nothing is delivered before it was
/// shipped.
pub fn report_fulfilment(
    message: v1::ReportFulfilmentRequest,
    now: Moment,
) -> Result<Vec<FulfilmentReport>, Vec<Fault>> {
    let mut faults = Faults::new();
    let seen = message.fulfilments.len();
    if seen > MAX_FULFILMENTS {
        faults.add("fulfilments", format!("has {seen} reports; at most {MAX_FULFILMENTS} are taken in one call"));
        return Err(faults.into_vec());
    }
    let latest = now.plus(Span::minutes(MAX_SKEW_MINUTES));
    let mut reports = Vec::with_capacity(seen);
    for (i, report) in message.fulfilments.iter().enumerate() {
        let at = |field: &str| format!("fulfilments[{i}].{field}");
        let mut instant = |stamp: Option<&pbjson_types::Timestamp>, field: &str| {
            let read = moment(stamp?).and_then(|moment| {
                let ahead = format!("is {moment}, which lies in the future; now is {now}");
                if moment > latest { Err(ahead) } else { Ok(moment) }
            });
            keep(&mut faults, read, || at(field))
        };
        let shipped_at = instant(report.shipped_at.as_ref(), "shipped_at");
        let delivered_at = instant(report.delivered_at.as_ref(), "delivered_at");
        if let (Some(shipped), Some(delivered)) = (shipped_at, delivered_at)
            && delivered < shipped
        {
            faults.add(at("delivered_at"), format!("is {delivered}, before shipped_at, which is {shipped}"));
        }
        if report.shipped_at.is_none() && report.delivered_at.is_none() {
            faults.add(at("shipped_at"), "is missing, and `delivered_at` too; report at least one of them");
        }
        let id = keep(&mut faults, reservation_id(&report.id), || at("id"));
        reports.extend(id.map(|id| FulfilmentReport { id, shipped_at, delivered_at }));
    }
    finish(faults, Some(reports))
}

/// GetScorecard: both days are needed.
pub fn get_scorecard(message: v1::GetScorecardRequest) -> Result<ScorecardRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let from = keep(&mut faults, Day::parse(&message.from), || "from".to_owned());
    let to = keep(&mut faults, Day::parse(&message.to), || "to".to_owned());
    if let (Some(from), Some(to)) = (from, to) {
        let days = i64::from(to.0) - i64::from(from.0) + 1;
        if days < 1 {
            faults.add("to", format!("is {to}, before `from`, which is {from}"));
        } else if days > i64::from(MAX_SCORECARD_DAYS) {
            faults.add("to", format!("is {days} days from `from` on; at most {MAX_SCORECARD_DAYS} are summed up"));
        }
    }
    let channel = keep(&mut faults, optional_name(&message.channel), || "channel".to_owned());
    let offer = keep(&mut faults, optional_name(&message.offer), || "offer".to_owned());
    let request = (|| Some(ScorecardRequest { from: from?, to: to?, channel: channel?, offer: offer? }))();
    finish(faults, request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths<T>(read: Result<T, Vec<Fault>>) -> Vec<String> {
        read.err().unwrap_or_default().into_iter().map(|fault| fault.path).collect()
    }

    fn stamp(seconds: i64) -> Option<pbjson_types::Timestamp> {
        Some(pbjson_types::Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn a_faulty_report_names_every_fault() {
        let now = 1_800_000_000;
        let of = |id: &str, shipped_at, delivered_at| v1::Fulfilment { id: id.into(), shipped_at, delivered_at };
        let fulfilments = vec![
            of("a", stamp(now), stamp(now)),
            of("b", None, None),
            of("", stamp(now + 301), stamp(now + 300)),
            of("d", stamp(now - 5), stamp(now - 6)),
            of("e", stamp(-9_000_000_000), None),
        ];
        let read = report_fulfilment(v1::ReportFulfilmentRequest { fulfilments }, Moment(now * 1_000_000));
        let expected = ["[1].shipped_at", "[2].shipped_at", "[2].id", "[3].delivered_at", "[4].shipped_at"];
        assert_eq!(paths(read), expected.map(|path| format!("fulfilments{path}")));
        let many = vec![of("a", stamp(now), None); MAX_FULFILMENTS + 1];
        let read = report_fulfilment(v1::ReportFulfilmentRequest { fulfilments: many }, Moment(now * 1_000_000));
        assert_eq!(paths(read), ["fulfilments"]);
    }

    #[test]
    fn a_faulty_scorecard_or_repromise_names_every_fault() {
        let request = |from: &str, to: &str, channel: &str| v1::GetScorecardRequest {
            from: from.into(),
            to: to.into(),
            channel: channel.into(),
            offer: " x".into(),
        };
        assert_eq!(paths(get_scorecard(request("", "2026-02-30", "\n"))), ["from", "to", "channel", "offer"]);
        assert_eq!(paths(get_scorecard(request("2026-02-02", "2026-02-01", ""))), ["to", "offer"]);
        assert_eq!(paths(get_scorecard(request("2000-01-01", "2026-02-01", ""))), ["to", "offer"]);
        let message = v1::RepromiseRequest { validate_only: true, limit: 1_001, ids: vec!["a".into(), String::new()] };
        assert_eq!(paths(repromise(message)), ["limit", "ids[1]"]);
        let message = v1::RepromiseRequest { ids: vec!["a".into(); 1_001], ..Default::default() };
        assert_eq!(paths(repromise(message)), ["ids"]);
        assert_eq!(repromise(v1::RepromiseRequest::default()).map(|r| r.limit), Ok(1_000));
    }
}
