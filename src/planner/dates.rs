//! The dates that a date picker may offer, each with what is left of it: every day is asked as on_date would be, every slot
//! as in_window would be (rule 15).

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::choose::Goal;
use super::confidence::only_sure;
use super::flow::Flow;
use super::lane::Target;
use super::overlay::{Entry, Overlay};
use super::resolve::ResolvedAsk;
use super::search::Search;
use crate::domain::answer::PromiseDate;
use crate::domain::bucket::Availability;
use crate::domain::kept::KeptRecord;
use crate::domain::limits::{MAX_DATE_TRIES, MAX_PLAYED_TRIES, MAX_REMAINING};
use crate::domain::network::{LaneIdx, Network};
use crate::domain::time::{Day, Moment};

/// The dates, windows and services on which the ask can be promised, of the `days` days from `from` on (today in the zone
/// where none is given), by date, then window, then service. `when` of the ask is not read. Days before today have none. Ends
/// with the day on which `MAX_DATE_TRIES` are used up; the first day is always told. With the ask's `min_confidence`, only those that
/// are so sure by the record: a date that is listed can't move out, so only lanes that are sure enough as they are will do.
pub fn dates<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    from: Option<Day>,
    days: i32,
    now: Moment,
    record: &KeptRecord,
) -> Vec<PromiseDate> {
    let ask = match ask.min_confidence {
        Some(min) => Cow::Owned(only_sure(network, ask, min, false, record)),
        None => Cow::Borrowed(ask),
    };
    if ask.lines.iter().any(|line| line.candidates.is_empty()) {
        return Vec::new();
    }
    let zone = &network.zone(ask.zone).calendar;
    let today = zone.day_of(now);
    let from = from.unwrap_or(today);
    let (first, end) = (from.max(today), Day(from.0.saturating_add(days)));
    let kinds = kinds(network, &ask);
    let mut searches: Vec<_> = Vec::with_capacity(kinds.len());
    for kind in &kinds {
        let mut search = Search::new(network, availability, &kind.ask, now);
        let flows = search.flows(zone.start_of(end + 1));
        searches.push((kind, search, flows));
    }
    let mut found = Vec::new();
    let mut tried = 0;
    for day in (first.0..end.0).map(Day) {
        if tried >= MAX_DATE_TRIES {
            break;
        }
        for (kind, search, flows) in &mut searches {
            search.tried = tried;
            if kind.slots {
                for (from, to) in search.windows(day) {
                    let date = search.promise_date(Goal::InWindow(from, to), &kind.service, flows.as_deref());
                    found.extend(date.filter(|d| (d.arrives_from, d.arrives_by) == (from, to)));
                }
            } else {
                found.extend(search.promise_date(Goal::OnDate(day), &kind.service, flows.as_deref()));
            }
            tried = search.tried;
        }
    }
    found.sort_by(|a, b| {
        (a.date, a.arrives_from, a.arrives_by, &a.service).cmp(&(b.date, b.arrives_from, b.arrives_by, &b.service))
    });
    found
}

/// What is asked day by day: the lanes of one service whose windows are alike.
struct Kind {
    service: Arc<str>,
    ask: ResolvedAsk,
    /// Each slot is a window of its own; else the day is.
    slots: bool,
}

/// Lanes with slots of one length share windows; those without slots share days. Where the lines of a service come in windows
/// of several kinds only, the day is what they have in common.
fn kinds(network: &Network, ask: &ResolvedAsk) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for service in services(network, ask) {
        let ask = ask.with_lanes(|lane| network.lane(lane).service == service);
        let before = kinds.len();
        for length in slot_lengths(network, &ask) {
            let only = ask.with_lanes(|lane| slot_length(network, lane) == length);
            if only.lines.iter().all(|l| !l.candidates.is_empty()) {
                kinds.push(Kind { service: Arc::clone(&service), ask: only, slots: length.is_some() });
            }
        }
        if kinds.len() == before {
            kinds.push(Kind { service, ask, slots: false });
        }
    }
    kinds
}

/// Minutes of the lane's slots; none: it arrives on days.
fn slot_length(network: &Network, lane: LaneIdx) -> Option<i32> {
    let bucketing = network.resource(network.lane(lane).resource?).bucketing;
    (!bucketing.is_days()).then(|| bucketing.minutes())
}

fn slot_lengths(network: &Network, ask: &ResolvedAsk) -> SmallVec<[Option<i32>; 4]> {
    let mut lengths: SmallVec<[Option<i32>; 4]> =
        ask.lines.iter().flat_map(|l| &l.candidates).map(|c| slot_length(network, c.lane)).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// The services of the ask's lanes, each once.
fn services(network: &Network, ask: &ResolvedAsk) -> SmallVec<[Arc<str>; 4]> {
    let mut services: SmallVec<[Arc<str>; 4]> = SmallVec::new();
    for candidate in ask.lines.iter().flat_map(|l| &l.candidates) {
        let service = &network.lane(candidate.lane).service;
        if !services.contains(service) {
            services.push(Arc::clone(service));
        }
    }
    services
}

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    /// The slots of the first line's lanes that begin on the day of the zone and have anything free, each window once.
    fn windows(&self, day: Day) -> SmallVec<[(Moment, Moment); 16]> {
        let zone = self.zone_calendar();
        let (begins, ends) = (zone.start_of(day), zone.start_of(day + 1));
        let mut windows = SmallVec::new();
        let mut seen: SmallVec<[usize; 4]> = SmallVec::new();
        for candidate in self.ask.lines.iter().flat_map(|l| &l.candidates) {
            let Some(slot) = self.network.lane(candidate.lane).resource.map(|r| self.slot(r)) else { continue };
            if seen.contains(&slot) {
                continue;
            }
            seen.push(slot);
            let resource = &self.slots[slot];
            resource.up(resource.resource.bucketing.from(resource.calendar, begins), &self.ask.pools, |index, _| {
                let window = (resource.start(index), resource.bucket_end(index));
                if window.0 < ends && !windows.contains(&window) {
                    windows.push(window);
                }
                window.0 >= ends
            });
        }
        windows
    }

    fn promise_date(&mut self, goal: Goal, service: &Arc<str>, flows: Option<&[Flow]>) -> Option<PromiseDate> {
        if !self.place_late(goal) {
            return None;
        }
        let promise = self.promise(goal)?;
        let remaining = match flows.zip(goal.target()).and_then(|(flows, target)| self.count_alone(flows, target)) {
            Some(count) => count,
            None => self.play(goal),
        };
        Some(PromiseDate {
            date: promise.date,
            service: Arc::clone(service),
            arrives_from: promise.arrives_from,
            arrives_by: promise.arrives_by,
            order_by: promise.order_by,
            remaining,
        })
    }

    /// As `count`, with the overlay's plan put aside; forgets it if the count is known.
    fn count_alone(&mut self, flows: &[Flow], target: Target) -> Option<i64> {
        let plan = std::mem::take(&mut self.overlay);
        let count = self.count(flows, target);
        if count.is_none() {
            self.overlay = plan;
        }
        count
    }

    /// How many orders like the one in the overlay could be taken one after the other: as many as its draws fit, then
    /// planned again on what is left, until there is no yes, or until enough was tried. Leaves the overlay empty.
    fn play(&mut self, goal: Goal) -> i64 {
        let mut count: i64 = 0;
        let enough = (self.tried + MAX_PLAYED_TRIES).min(MAX_DATE_TRIES / 2);
        let mut plan: SmallVec<[Entry; 8]> = SmallVec::from_slice(self.overlay.sums());
        self.overlay = Overlay::default();
        loop {
            let fit = plan.iter().map(|e| self.free(e.slot as usize, e.index) / e.units).min().unwrap_or(MAX_REMAINING);
            let copies = fit.min(MAX_REMAINING - count);
            count += copies;
            for e in &plan {
                self.overlay.take(e.slot, e.index, e.units.saturating_mul(copies));
            }
            let mark = self.overlay.mark();
            if count >= MAX_REMAINING || copies == 0 || self.tried >= enough || !self.place_late(goal) {
                break;
            }
            plan.clear();
            for e in self.overlay.taken_since(mark) {
                match plan.iter_mut().find(|p| (p.slot, p.index) == (e.slot, e.index)) {
                    Some(same) => same.units += e.units,
                    None => plan.push(*e),
                }
            }
            self.overlay.back_to(mark);
        }
        self.overlay = Overlay::default();
        count
    }
}
