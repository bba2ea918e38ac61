//! What operations would have to add, so that every order of an offer could be kept: "for every marketing initiative an equal
//! operations initiative".
//!
//! The offer is played again; an order that is refused is planned once more with the resource lent that stands first in its
//! way, and with the next as well, until it gets a yes. What it then draws beyond what a bucket has is noted as missing, and is
//! there for the rest of the play. Lent is first where there is some supply (a longer shift, a fuller delivery), and only if that
//! does not help where there is none. An order that would be late with all the capacity in the world is left out.
//!
//! With more supply, orders before may choose other buckets, so the play is repeated with what was lent as supply until nothing
//! more is lent: then supposing exactly the shortfalls keeps every order that capacity can keep.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::bottlenecks;
use super::play::{Board, Order, Part, State, due, take};
use super::spread::Group;
use crate::domain::answer::Verdict;
use crate::domain::levels::Levels;
use crate::domain::limits::{MAX_LENT_DAYS, MAX_LENT_ROUNDS, MAX_OFFER_PLANS};
use crate::domain::network::Kind;
use crate::domain::offer::{Offer, Shortfall};
use crate::domain::time::Day;

/// What is missing of one bucket.
pub(super) type Lent = BTreeMap<(usize, i32), i64>;

/// What is missing, and how many orders lack it, by resource.
pub(super) fn lent(board: &mut Board<'_>, groups: &[Group], offer: &Offer) -> (Lent, BTreeMap<usize, i64>) {
    let mut lent = Lent::new();
    let mut lacking: BTreeMap<usize, i64> = BTreeMap::new();
    let mut late = Late { of: vec![None; groups.len()], is_noted: board.keeps_its_order() };
    let enough = board.planned + MAX_OFFER_PLANS;
    for _ in 0..MAX_LENT_ROUNDS {
        let mut state = board.base.clone();
        for (&(place, index), &units) in &lent {
            state.add(place, index, units);
        }
        if !lend_once(board, &mut state, groups, offer, &mut lent, &mut lacking, &mut late, enough) {
            break;
        }
    }
    (lent, lacking)
}

/// By resource, the one that most orders lack first.
pub(super) fn shortfalls(board: &mut Board<'_>, groups: &[Group], offer: &Offer) -> Vec<Shortfall> {
    let (lent, lacking) = lent(board, groups, offer);
    let mut found: Vec<(i64, Shortfall)> = Vec::new();
    for (&place, &orders) in &lacking {
        let resource = board.network.resource(board.base.resources[place]);
        let mine = || lent.range((place, i32::MIN)..=(place, i32::MAX));
        if let (Some(((_, first), _)), Some(((_, last), _))) = (mine().next(), mine().next_back()) {
            found.push((
                orders,
                Shortfall {
                    resource: resource.id.clone(),
                    first_date: resource.bucketing.day_of(*first),
                    last_date: resource.bucketing.day_of(*last),
                    units: mine().map(|(_, units)| units).sum(),
                    peak_units: mine().map(|(_, units)| *units).max().unwrap_or(0),
                },
            ));
        }
    }
    found.sort_by(|(a, x), (b, y)| b.cmp(a).then(y.units.cmp(&x.units)).then(x.resource.cmp(&y.resource)));
    found.into_iter().map(|(_, shortfall)| shortfall).collect()
}

/// Groups whose orders would be late with all the capacity in the world. With plenty of everything each step begins as early as
/// the days allow that have supply, so that they are late on any capacity with supply on the same days, unless a lane may
/// carry what is ready later faster.
struct Late {
    /// By group: how far the supply had grown when it was found.
    of: Vec<Option<usize>>,
    is_noted: bool,
}

/// One play; whether anything was lent.
#[allow(clippy::too_many_arguments)] // what the rounds share
fn lend_once(
    board: &mut Board<'_>,
    state: &mut State,
    groups: &[Group],
    offer: &Offer,
    lent: &mut Lent,
    lacking: &mut BTreeMap<usize, i64>,
    late: &mut Late,
    enough: usize,
) -> bool {
    let mut any = false;
    // What helped the last one that was refused, which mostly helps the next as well.
    let mut last: SmallVec<[usize; 4]> = SmallVec::new();
    for (group, late_at) in groups.iter().zip(&mut late.of) {
        if *late_at == Some(state.grown) {
            continue;
        }
        let mut left = group.orders;
        while left > 0 && board.planned < enough {
            let order = board.ask(state, group, offer.advertised);
            if order.verdict == Verdict::Promised {
                left -= take(state, &order, left, |_| true);
                continue;
            }
            let Some((order, of)) = with_lent(board, state, group, offer, order.verdict, &last) else {
                *late_at = late.is_noted.then_some(state.grown);
                break;
            };
            let is_lent = |part: &Part| of.contains(&part.place);
            let orders = order.repeats(|part| !is_lent(part)).clamp(1, left);
            for part in &order.parts {
                let wanted = part.units.saturating_mul(orders);
                let missing = wanted - state.free(part.place, part.index).max(0);
                if is_lent(part) && missing > 0 {
                    state.add(part.place, part.index, missing);
                    *lent.entry((part.place, part.index)).or_default() += missing;
                    *lacking.entry(part.place).or_default() += orders;
                }
                state.draw(part.place, part.index, wanted);
            }
            any = true;
            left -= orders;
            last = of;
        }
    }
    any
}

/// The order with as much lent as it takes, and the resources that are lent; none if time itself is missing.
fn with_lent(
    board: &mut Board<'_>,
    state: &mut State,
    group: &Group,
    offer: &Offer,
    verdict: Verdict,
    last: &[usize],
) -> Option<(Order, SmallVec<[usize; 4]>)> {
    if !last.is_empty() {
        let order = ask_with(board, state, group, offer, last, false);
        if order.verdict == Verdict::Promised {
            // Only what is needed.
            let is_short =
                |place: &usize| order.parts.iter().any(|p| p.place == *place && p.units > state.free(p.place, p.index));
            let needed: SmallVec<[usize; 4]> = last.iter().copied().filter(is_short).collect();
            if needed.len() < last.len() && !needed.is_empty() {
                let fewer = ask_with(board, state, group, offer, &needed, false);
                if fewer.verdict == Verdict::Promised {
                    return Some((fewer, needed));
                }
            }
            return Some((order, SmallVec::from_slice(last)));
        }
    }
    let mut of: SmallVec<[usize; 4]> = SmallVec::new();
    let mut verdict = verdict;
    loop {
        // What stands in the way although all of `of` is lent.
        let kept = lend(board, state, group, offer, &of, false);
        let short = bottlenecks(board, state, group, verdict);
        give_back(state, kept);
        let places = short.iter().filter_map(|id| board.network.find_resource(id.as_str()));
        let next = places.map(|resource| state.place(resource)).find(|place| !of.contains(place));
        let Some(next) = next else { break };
        of.push(next);
        let order = ask_with(board, state, group, offer, &of, false);
        if order.verdict == Verdict::Promised {
            return Some((order, of));
        }
        verdict = order.verdict;
    }
    // Where the reasons don't lead to a yes, everything, and if need be where there is no supply yet.
    let all: SmallVec<[usize; 4]> =
        board.asks[group.zone].resources.iter().map(|resource| state.place(*resource)).collect();
    for (of, anywhere) in [(&of, true), (&all, false), (&all, true)] {
        if of.is_empty() {
            continue;
        }
        let order = ask_with(board, state, group, offer, of, anywhere);
        if order.verdict == Verdict::Promised {
            return Some((order, of.clone()));
        }
    }
    None
}

fn ask_with(
    board: &mut Board<'_>,
    state: &mut State,
    group: &Group,
    offer: &Offer,
    of: &[usize],
    anywhere: bool,
) -> Order {
    let kept = lend(board, state, group, offer, of, anywhere);
    let order = board.ask(state, group, offer.advertised);
    give_back(state, kept);
    order
}

/// Levels as they were, where supply was lent that there is none of.
type Before = SmallVec<[(usize, Levels); 4]>;

/// Lends plenty of some resources: where they have supply, or anywhere from the order's day on.
fn lend(board: &Board<'_>, state: &mut State, group: &Group, offer: &Offer, of: &[usize], anywhere: bool) -> Before {
    let mut before = Before::new();
    for &place in of {
        if !anywhere {
            state.lend(place);
            continue;
        }
        let resource = board.network.resource(state.resources[place]);
        let first = resource.bucketing.first_of(group.day - i32::from(resource.kind == Kind::Capacity));
        let last = due(group, offer.advertised).0.min(group.day.0 + MAX_LENT_DAYS);
        let end = resource.bucketing.first_of(Day(last) + 2);
        before.push((place, state.lend_anywhere(place, first..end)));
    }
    before
}

fn give_back(state: &mut State, before: Before) {
    state.give_back();
    for (place, levels) in before {
        state.levels[place] = levels;
    }
}
