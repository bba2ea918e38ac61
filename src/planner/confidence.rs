//! How sure a promise is, by the record of those that were kept, and dates as sure as the ask wants them.
//!
//! An ask with `min_confidence` is planned by those lanes only whose record supports it, and what arrives by one of them is
//! promised some days later than it is planned: the fewest with which enough comparable promises would have been kept, on a
//! day on which the lane delivers. Candidates are compared by what can be promised, so the rules of choosing (13 to 16) hold as they
//! are. Draws stay where they are. A day or window that is asked for can't move: there, only lanes whose promises are
//! kept often enough as they are will do.

use std::sync::Arc;

use super::bottleneck::Found;
use super::choose::Goal;
use super::explain;
use super::overlay::{Arrival, Due, Leg};
use super::resolve::{ResolvedAsk, Sure};
use super::search::Search;
use super::{Detail, Planned, quote};
use crate::domain::answer::{Answer, Bottleneck, Promise, Verdict};
use crate::domain::ask::When;
use crate::domain::bucket::Availability;
use crate::domain::calendar::Calendar;
use crate::domain::kept::{Kept, KeptRecord};
use crate::domain::limits::MAX_DAYS_LATE;
use crate::domain::network::{LaneIdx, Network};
use crate::domain::share::Share;
use crate::domain::time::{Day, MINUTE, Moment, TimeOfDay};

/// As [`quote`], with the confidence of its promises, and with the ask's `min_confidence` obeyed: the date moves out until the
/// record supports it; where no date is supported, or too few promises are on record, the answer is `Unavailable`.
pub fn quote_kept<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    now: Moment,
    as_of: Moment,
    detail: Detail,
    record: &KeptRecord,
) -> Planned {
    let Some(min) = ask.min_confidence else {
        let mut planned = quote(network, availability, ask, now, as_of, detail);
        if !record.is_empty() {
            tell(network, record, &mut planned.answer);
        }
        return planned;
    };
    let moves = match ask.when {
        When::Any | When::ByDate(_) | When::ByTime(_) => true,
        When::OnDate(_) | When::InWindow { .. } => false,
    };
    let only = only_sure(network, ask, min, moves, record);
    // A line that no lane reaches at all is told of as ever.
    let unsure =
        only.lines.iter().zip(&ask.lines).position(|(o, a)| o.candidates.is_empty() && !a.candidates.is_empty());
    let Some(line) = unsure else { return quote(network, availability, &only, now, as_of, detail) };
    let bottlenecks = match detail {
        Detail::Plain => Vec::new(),
        Detail::Full => vec![no_honest_date(network, ask, line, now, min, moves, record)],
    };
    let answer = Answer { verdict: Verdict::Unavailable, promise: None, bottlenecks, alternatives: Vec::new(), as_of };
    Planned { answer, takes: Vec::new() }
}

/// The ask by those lanes only whose record supports the confidence: where its dates can't move, as they are.
pub(super) fn only_sure(
    network: &Network,
    ask: &ResolvedAsk,
    min: Share,
    moves: bool,
    record: &KeptRecord,
) -> ResolvedAsk {
    let sure = ask.lanes(network).into_iter().filter_map(|lane| {
        let kept = of_lane(network, record, lane)?;
        let days = kept.days_for(min).filter(|days| moves || *days == 0)?;
        Some(Sure { lane, days, kept: kept.clone() })
    });
    ask.with_record(sure.collect())
}

fn of_lane<'r>(network: &Network, record: &'r KeptRecord, lane: LaneIdx) -> Option<&'r Kept> {
    let lane = network.lane(lane);
    record.of(&network.site(lane.site).id, &network.zone(lane.zone).id, &lane.service)
}

/// Writes down how sure each promise is: as its least sure shipment of those with enough on record.
fn tell(network: &Network, record: &KeptRecord, answer: &mut Answer) {
    let confidence = |promise: &Promise| {
        let of = |lane: &Arc<str>| of_lane(network, record, network.find_lane(lane)?)?.share(0);
        promise.shipments.iter().filter_map(|shipment| of(&shipment.lane)).min()
    };
    if let Some(promise) = &mut answer.promise {
        let told = confidence(promise);
        if told.is_some() {
            Arc::make_mut(promise).confidence = told;
        }
    }
    for alternative in &mut answer.alternatives {
        alternative.promise.confidence = confidence(&alternative.promise);
    }
}

/// Why no date can be promised of a line: the candidate with the most on record.
fn no_honest_date(
    network: &Network,
    ask: &ResolvedAsk,
    line: usize,
    now: Moment,
    min: Share,
    moves: bool,
    record: &KeptRecord,
) -> Bottleneck {
    let none = Kept::default();
    let candidates = ask.lines[line].candidates.iter();
    let best = candidates.map(|c| (c.lane, of_lane(network, record, c.lane).unwrap_or(&none)));
    // Of equals the first, which is preferred.
    let best = best.reduce(|a, b| if b.1.known() > a.1.known() { b } else { a });
    let (lane, kept) = best.map_or((None, &none), |(lane, kept)| (Some(network.lane(lane)), kept));
    let site = lane.map_or_else(|| Arc::from(""), |lane| Arc::clone(&network.site(lane.site).id));
    let explanation = lane.map_or_else(String::new, |lane| {
        explain::no_honest_date(&site, &network.zone(ask.zone).id, &lane.service, kept, min, moves)
    });
    Bottleneck { resource: None, site, from: now, to: now, wanted: 0, available: 0, explanation }
}

impl Due {
    /// What is planned.
    pub fn of(arrival: &Arrival) -> Due {
        Due { from: arrival.from, by: arrival.by, date: arrival.date, days: 0 }
    }
}

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    fn sure(&self, lane: LaneIdx) -> Option<&Sure> {
        let sure = self.ask.sure.as_ref()?;
        sure.binary_search_by_key(&lane, |s| s.lane).ok().map(|at| &sure[at])
    }

    /// What can be promised of an arrival by the lane; none: no date that is sure enough.
    pub fn due(&self, at: LaneIdx, arrival: &Arrival) -> Option<Due> {
        if self.ask.sure.is_none() {
            return Some(Due::of(arrival));
        }
        let first = self.sure(at)?.days;
        let lane = self.network.lane(at);
        let zone = self.zone_calendar();
        if first == 0 {
            return Some(Due::of(arrival));
        }
        let days = (first..=MAX_DAYS_LATE).find(|days| lane.delivers_on(arrival.date + *days))?;
        let moved = |instant: Moment| later(zone, instant, days);
        Some(Due { from: moved(arrival.from), by: moved(arrival.by), date: arrival.date + days, days })
    }

    /// How sure the plan in the overlay is, where the ask wants to know: as its least sure leg.
    pub fn confidence(&self) -> Option<Share> {
        let of = |leg: &Leg| self.sure(leg.part.candidate.lane)?.kept.share(leg.due.days);
        self.ask.sure.as_ref()?;
        self.overlay.legs().iter().filter_map(of).min()
    }

    /// Where the plan itself is in time, and only the record of its lanes makes it late: that.
    pub fn late_by_record(&self, goal: Goal) -> Option<Found> {
        self.ask.sure.as_ref()?;
        let min = self.ask.min_confidence?;
        let legs = self.overlay.legs();
        let as_planned = |leg: &Leg| {
            let arrival = Arrival { from: leg.arrives_from, by: leg.arrives_by, date: leg.date, bucket: leg.bucket };
            let mut planned = *leg;
            planned.due = Due::of(&arrival);
            goal.is_met(&planned)
        };
        let late = legs.iter().filter(|leg| !goal.is_met(leg)).max_by_key(|leg| leg.due.by)?;
        if !legs.iter().all(as_planned) {
            return None;
        }
        let bottleneck = Bottleneck {
            resource: None,
            site: Arc::clone(&self.network.site(late.part.candidate.site).id),
            from: late.arrives_by,
            to: late.due.by,
            wanted: 0,
            available: 0,
            explanation: explain::late_by_record(
                self.network.lane(late.part.candidate.lane),
                late.date,
                late.due.date,
                min,
            ),
        };
        let failing = legs.iter().filter(|leg| !goal.is_met(leg)).map(|leg| leg.part.line as usize).collect();
        Some(Found { bottlenecks: vec![bottleneck], failing, of_capacity: false })
    }
}

/// The same wall-clock time so many days later.
fn later(calendar: &Calendar, at: Moment, days: i32) -> Moment {
    let day: Day = calendar.day_of(at);
    if at == calendar.start_of(day) {
        return calendar.start_of(day + days);
    }
    let wall = calendar.wall_clock(at);
    let time = TimeOfDay(wall.hour() as u16 * 60 + wall.minute() as u16);
    // Seconds and less, of lanes that take so and so long.
    let rest = at.0.rem_euclid(MINUTE);
    Moment(calendar.at(day + days, time).0 + rest)
}
