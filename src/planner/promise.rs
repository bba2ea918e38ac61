//! From the plan in the overlay to the promise and the draws that the ledger is asked to take.

use std::sync::Arc;

use smallvec::SmallVec;

use super::choose::Goal;
use super::overlay::Leg;
use super::search::Search;
use crate::domain::answer::{Promise, Shipment};
use crate::domain::ask::Line;
use crate::domain::bucket::Availability;
use crate::domain::draw::{Draw, Pool, Take};

impl<'a, A: Availability + ?Sized + 'a> Search<'a, A> {
    /// The promise of the plan in the overlay, which has at least one leg.
    pub fn promise(&mut self, goal: Goal) -> Option<Promise> {
        let order_by = self.order_by(goal);
        let legs = self.overlay.legs();
        let last = legs.iter().max_by_key(|l| (l.due.by, l.due.from))?.due;
        Some(Promise {
            date: legs.iter().map(|l| l.due.date).max()?,
            arrives_from: last.from,
            arrives_by: last.by,
            ships_at: legs.iter().map(|l| l.departs).max()?,
            order_by,
            shipments: self.shipments(),
            confidence: self.confidence(),
        })
    }

    /// Legs by the same lane into the same bucket, or with the same departure and arrival, are one shipment (rule 10).
    fn shipments(&self) -> Vec<Shipment> {
        let legs = self.overlay.legs();
        let mut firsts: SmallVec<[&Leg; 2]> = SmallVec::new();
        let mut shipments: Vec<Shipment> = Vec::with_capacity(legs.len().min(4));
        let mut last_line: SmallVec<[u32; 2]> = SmallVec::new();
        for leg in legs {
            let line = Line { sku: self.sku(leg), quantity: leg.part.quantity };
            match firsts.iter().position(|first| same_shipment(first, leg)) {
                Some(at) => {
                    let shipment = &mut shipments[at];
                    shipment.ships_at = shipment.ships_at.max(leg.departs);
                    match shipment.lines.last_mut() {
                        Some(same) if last_line[at] == leg.part.line => same.quantity += leg.part.quantity,
                        _ => shipment.lines.push(line),
                    }
                    last_line[at] = leg.part.line;
                }
                None => {
                    firsts.push(leg);
                    last_line.push(leg.part.line);
                    let lane = self.network.lane(leg.part.candidate.lane);
                    shipments.push(Shipment {
                        lines: vec![line],
                        site: Arc::clone(&self.network.site(leg.part.candidate.site).id),
                        lane: Arc::clone(&lane.id),
                        ships_at: leg.departs,
                        arrives_by: leg.due.by,
                        date: leg.due.date,
                    });
                }
            }
        }
        shipments
    }

    fn sku(&self, leg: &Leg) -> Arc<str> {
        Arc::clone(&self.network.product(self.ask.lines[leg.part.line as usize].product).sku)
    }

    /// The plan's draws, each bucket's units shared over the ask's pools in order (rule 17).
    pub fn takes(&self) -> Vec<Take> {
        let mut takes = Vec::with_capacity(self.overlay.sums().len());
        for entry in self.overlay.sums() {
            let slot = &self.slots[entry.slot as usize];
            let resource = slot.resource;
            let standing = resource.standing(entry.index, slot.today);
            let (from, to) = (slot.start(entry.index), slot.bucket_end(entry.index));
            let mut take = |pool: &Pool, units: i64| {
                if units > 0 {
                    let pool = pool.clone();
                    let draw = Draw { resource: resource.id.clone(), index: entry.index, from, to, pool, units };
                    takes.push(Take { draw, standing });
                }
            };
            let mut left = entry.units;
            if let Some(level) = slot.levels().get(entry.index) {
                for pool in &self.ask.pools {
                    let units = level.available(standing, pool, self.now).min(left);
                    take(pool, units);
                    left -= units;
                }
            }
            take(&Pool::Common, left);
        }
        takes
    }
}

fn same_shipment(a: &Leg, b: &Leg) -> bool {
    a.part.candidate.lane == b.part.candidate.lane
        && a.arrives_by == b.arrives_by
        && match (a.bucket, b.bucket) {
            (Some(a), Some(b)) => a == b,
            _ => a.departs == b.departs,
        }
}
