//! Makes a case smaller as long as it still shows a difference.

use surety::domain::ask::{Destination, Shipments, When};
use surety::domain::time::{Moment, Span};

use crate::compare::built;
use crate::notation::{Case, plain_lane, plain_step};

/// The smallest case that was found, with its difference.
pub fn shrink(case: Case, difference: impl Fn(&Case) -> Option<String>) -> (Case, String) {
    let text = difference(&case).expect("a difference to begin with");
    let mut best = (case, text);
    let mut tries = 3_000;
    loop {
        let mut better = None;
        for smaller in smaller(&best.0) {
            tries -= 1;
            if tries == 0 {
                return best;
            }
            if smaller.ask.lines.is_empty() || built(&smaller).is_err() || !known(&smaller) {
                continue;
            }
            if let Some(text) = difference(&smaller) {
                better = Some((smaller, text));
                break;
            }
        }
        match better {
            Some(found) => best = found,
            None => return best,
        }
    }
}

/// Whether the oracle can be asked at all: the ask's names are there.
fn known(case: &Case) -> bool {
    let Destination::Zone(zone) = &case.ask.destination else { return false };
    case.spec.zones.iter().any(|z| *z.id == **zone)
        && case.ask.lines.iter().all(|l| case.spec.products.iter().any(|p| *p.sku == *l.sku))
}

fn smaller(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Case)| {
        let mut next = case.clone();
        change(&mut next);
        if next.to_string() != case.to_string() {
            all.push(next);
        }
    };
    with(&|c| c.applied = None);
    for i in 0..case.ask.lines.len() {
        with(&|c| drop(c.ask.lines.remove(i)));
    }
    for i in 0..case.spec.lanes.len() {
        with(&|c| drop(c.spec.lanes.remove(i)));
    }
    for i in 0..case.spec.products.len() {
        with(&|c| drop(c.spec.products.remove(i)));
        for j in 0..case.spec.products[i].sources.len() {
            with(&|c| drop(c.spec.products[i].sources.remove(j)));
            with(&|c| c.spec.products[i].sources[j].stock.clear());
            with(&|c| c.spec.products[i].sources[j].process.clear());
        }
    }
    for i in 0..case.spec.processes.len() {
        with(&|c| drop(c.spec.processes.remove(i)));
        for j in 0..case.spec.processes[i].steps.len() {
            with(&|c| drop(c.spec.processes[i].steps.remove(j)));
        }
    }
    for i in 0..case.spec.resources.len() {
        with(&|c| {
            let id = c.spec.resources.remove(i).id;
            c.supply.retain(|(of, _), _| *of != id);
        });
    }
    for i in 0..case.spec.zones.len() {
        with(&|c| drop(c.spec.zones.remove(i)));
    }
    for i in 0..case.spec.sites.len() {
        with(&|c| drop(c.spec.sites.remove(i)));
    }
    // The known buckets: by halves of a resource, then one by one.
    let keys: Vec<_> = case.supply.keys().cloned().collect();
    if keys.len() > 12 {
        for chunk in keys.chunks(keys.len() / 8) {
            with(&|c| c.supply.retain(|k, _| !chunk.contains(k)));
        }
    }
    for key in &keys {
        with(&|c| drop(c.supply.remove(key)));
        with(&|c| c.supply.get_mut(key).expect("a key").pools.clear());
        with(&|c| c.supply.get_mut(key).expect("a key").released.clear());
        with(&|c| c.supply.get_mut(key).expect("a key").most.clear());
        with(&|c| c.supply.get_mut(key).expect("a key").drawn = 0);
    }
    with(&|c| c.ask.channel = None);
    with(&|c| c.ask.offer = None);
    with(&|c| c.ask.service = None);
    with(&|c| c.ask.shipments = Shipments::Together);
    with(&|c| c.ask.when = When::Any);
    with(&|c| c.spec.channels.retain(|ch| c.ask.channel.as_deref() == Some(&ch.id)));
    for zone in ["UTC", "Europe/Berlin"] {
        with(&|c| c.spec.sites.iter_mut().for_each(|s| s.time_zone = zone.into()));
        with(&|c| c.spec.zones.iter_mut().for_each(|s| s.time_zone = zone.into()));
    }
    for i in 0..case.ask.lines.len() {
        with(&|c| c.ask.lines[i].quantity = 1);
        with(&|c| c.ask.lines[i].quantity = (c.ask.lines[i].quantity - 1).max(1));
    }
    for i in 0..case.spec.resources.len() {
        with(&|c| c.spec.resources[i].closed.clear());
        for j in 0..case.spec.resources[i].weekly.len() {
            with(&|c| drop(c.spec.resources[i].weekly.remove(j)));
            with(&|c| c.spec.resources[i].weekly[j].days.clear());
        }
    }
    for i in 0..case.spec.processes.len() {
        for j in 0..case.spec.processes[i].steps.len() {
            with(&|c| c.spec.processes[i].steps[j].lead_time = plain_step().lead_time);
            with(&|c| c.spec.processes[i].steps[j].lead_time = Ok(Span::minutes(60)));
            with(&|c| c.spec.processes[i].steps[j].lead_days = 0);
            with(&|c| c.spec.processes[i].steps[j].cutoff.clear());
            with(&|c| c.spec.processes[i].steps[j].divisible = false);
            with(&|c| c.spec.processes[i].steps[j].per_line = 0);
            with(&|c| c.spec.processes[i].steps[j].resource.clear());
        }
    }
    for i in 0..case.spec.lanes.len() {
        let lane = plain_lane("", "", "");
        with(&|c| c.spec.lanes[i].departure_days = lane.departure_days.clone());
        with(&|c| c.spec.lanes[i].departure_time = lane.departure_time.clone());
        with(&|c| c.spec.lanes[i].delivery_days = lane.delivery_days.clone());
        with(&|c| c.spec.lanes[i].holidays.clear());
        with(&|c| c.spec.lanes[i].resource.clear());
        with(&|c| c.spec.lanes[i].transit_days = 0);
        with(&|c| c.spec.lanes[i].transit_time = Ok(None));
    }
    let hour = Span::minutes(60).0;
    with(&|c| c.now = Moment(c.now.0 / hour * hour));
    all
}
