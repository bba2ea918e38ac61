//! What can be promised instead, where the ask itself is no yes: fewer items, substitutes, parts, other services. Only what is
//! a yes by the ask's own Y is offered (with no Y: what can be had at all).

use std::sync::Arc;

use super::bottleneck::Found;
use super::choose::Goal;
use super::overlay::{Leg, Tail};
use super::resolve::ResolvedAsk;
use super::search::Search;
use crate::domain::answer::{Alternative, AlternativeKind, Verdict};
use crate::domain::ask::{Line, Shipments};
use crate::domain::bucket::Availability;
use crate::domain::network::Network;
use crate::domain::time::Moment;

/// Plans spent on substitutes and services for one answer: each costs as much as a quote.
const MOST_TRIES: usize = 20;

/// All alternatives, in the order fewer, substitutes, parts, services.
pub(super) fn alternatives<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    now: Moment,
    why: &Found,
) -> Vec<Alternative> {
    let mut found = Vec::new();
    if why.of_capacity {
        found.extend(fewer(network, availability, ask, now));
    }
    found.extend(substitutes(network, availability, ask, now, why));
    if why.of_capacity || ask.lines.len() > 1 {
        found.extend(parts(network, availability, ask, now));
    }
    found.extend(services(network, availability, ask, now));
    found
}

fn alternative<A: Availability + ?Sized>(
    search: &mut Search<'_, A>,
    kind: AlternativeKind,
    goal: Goal,
    service: Option<&Arc<str>>,
) -> Option<Alternative> {
    let lines = lines_of(search, search.overlay.legs());
    let promise = search.promise(goal)?;
    Some(Alternative { kind, lines, service: service.cloned().unwrap_or_default(), promise })
}

/// What the legs bring, by line.
fn lines_of<A: Availability + ?Sized>(search: &Search<'_, A>, legs: &[Leg]) -> Vec<Line> {
    let mut lines: Vec<(u32, Line)> = Vec::new();
    for leg in legs {
        match lines.iter_mut().find(|(at, _)| *at == leg.part.line) {
            Some((_, line)) => line.quantity += leg.part.quantity,
            None => {
                let product = search.ask.lines[leg.part.line as usize].product;
                let sku = Arc::clone(&search.network.product(product).sku);
                lines.push((leg.part.line, Line { sku, quantity: leg.part.quantity }));
            }
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// As many items as can be had by Y, line by line; lines of which there is none are left out.
fn fewer<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    now: Moment,
) -> Option<Alternative> {
    if ask.lines.iter().all(|l| l.quantity == 1) && ask.lines.len() == 1 {
        return None;
    }
    let goal = Goal::from(ask.when);
    let mut search = Search::new(network, availability, ask, now);
    let (mut had, mut asked) = (0i64, 0i64);
    for line in 0..ask.lines.len() {
        asked += i64::from(ask.lines[line].quantity);
        had += i64::from(search.place_most(line, goal));
    }
    if had == 0 || had >= asked {
        return None;
    }
    alternative(&mut search, AlternativeKind::Fewer, goal, ask.service.as_ref())
}

/// The lines that fail, each replaced by each of its substitutes.
fn substitutes<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    now: Moment,
    why: &Found,
) -> Vec<Alternative> {
    let mut found = Vec::new();
    let mut tries = 0;
    for &line in &why.failing {
        for &substitute in &network.product(ask.lines[line].product).substitutes {
            tries += 1;
            if tries > MOST_TRIES {
                return found;
            }
            let mut products = ask.products();
            products[line].0 = substitute;
            let other = ask.with_products(network, &products);
            found.extend(promised(
                network,
                availability,
                &other,
                now,
                AlternativeKind::Substitute,
                ask.service.as_ref(),
            ));
        }
    }
    found
}

/// The ask in parts, if at least some of it comes by Y.
fn parts<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    now: Moment,
) -> Option<Alternative> {
    if ask.shipments == Shipments::Split || ask.lines.len() == 1 && ask.lines[0].quantity == 1 {
        return None;
    }
    let other = ResolvedAsk { shipments: Shipments::Split, ..ask.clone() };
    let goal = Goal::from(ask.when);
    let mut search = Search::new(network, availability, &other, now);
    let placed = match goal.target() {
        Some(_) => search.place_late(goal),
        None => search.place_early(goal).is_some(),
    };
    if !placed || !search.overlay.legs().iter().any(|leg| goal.is_met(leg)) {
        return None;
    }
    alternative(&mut search, AlternativeKind::Split, goal, ask.service.as_ref())
}

/// The ask by each other service, where it named one.
fn services<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    now: Moment,
) -> Vec<Alternative> {
    let Some(asked) = &ask.service else { return Vec::new() };
    let any = ask.with_service(network, None);
    let mut services: Vec<&Arc<str>> = Vec::new();
    for candidate in any.lines.iter().flat_map(|l| &l.candidates) {
        let service = &network.lane(candidate.lane).service;
        if service != asked && !services.contains(&service) && services.len() < MOST_TRIES {
            services.push(service);
        }
    }
    let one = |service: &&Arc<str>| {
        let other = ask.with_service(network, Some(Arc::clone(service)));
        promised(network, availability, &other, now, AlternativeKind::Service, Some(service))
    };
    services.iter().filter_map(one).collect()
}

fn promised<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    now: Moment,
    kind: AlternativeKind,
    service: Option<&Arc<str>>,
) -> Option<Alternative> {
    let goal = Goal::from(ask.when);
    let mut search = Search::new(network, availability, ask, now);
    let yes = match goal.target() {
        Some(_) => search.place_late(goal),
        None => search.choose().0 == Verdict::Promised,
    };
    if yes { alternative(&mut search, kind, goal, service) } else { None }
}

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    /// The largest quantity of a line that can be had by Y; places it.
    fn place_most(&mut self, line: usize, goal: Goal) -> i32 {
        let ask = self.ask;
        let quantity = ask.lines[line].quantity;
        let mut place = |search: &mut Self, part| match goal.target() {
            Some(target) => search.plan_late(part, target),
            None => search.plan_meeting(part, goal),
        };
        if ask.shipments == Shipments::Split {
            return self.parts_until_none(line, quantity, place);
        }
        let mark = self.overlay.mark();
        let mut best: Option<(i32, Tail)> = None;
        for &candidate in &ask.lines[line].candidates {
            let most = self.most(line, quantity, candidate, &mut place);
            if most == quantity {
                return most;
            }
            let tail = self.overlay.cut(mark);
            // Of as many, the first that comes by Y; where there is none, the earliest.
            let better = best.as_ref().is_none_or(|(most_so_far, so_far)| {
                let earlier = most > 0 && !goal.has_deadline() && tail.legs[0].due.by < so_far.legs[0].due.by;
                most > *most_so_far || most == *most_so_far && earlier
            });
            if most > 0 && better {
                best = Some((most, tail));
            }
        }
        let Some((most, tail)) = best else { return 0 };
        self.overlay.paste(&tail);
        most
    }
}
