//! The promise in words, and rule 12: until when it can be had.

use std::collections::BTreeMap;

use surety::domain::time::{Moment, Span};

use super::{Aim, Oracle, Part, Plan, Promised, Shipped, last};

impl Oracle<'_> {
    pub(super) fn promise(&self, plan: &Plan, aim: Aim) -> Promised {
        let mut shipments: Vec<(Part, Shipped)> = Vec::new();
        for part in &plan.parts {
            let lane = &self.spec.lanes[part.candidate.lane];
            let same = shipments.iter_mut().find(|(p, _)| {
                p.candidate.lane == part.candidate.lane
                    && match part.bucket {
                        Some(_) => p.bucket == part.bucket,
                        None => p.departs == part.departs && p.by == part.by,
                    }
            });
            let sku = self.ask.lines[part.line].sku.to_string();
            match same {
                Some((_, shipped)) => {
                    *shipped.items.entry(sku).or_default() += part.quantity;
                    shipped.ships_at = shipped.ships_at.max(part.departs);
                }
                None => {
                    let shipped = Shipped {
                        lane: lane.id.clone(),
                        site: lane.site.clone(),
                        ships_at: part.departs,
                        arrives_by: part.by,
                        date: part.date,
                        items: BTreeMap::from([(sku, part.quantity)]),
                    };
                    shipments.push((part.clone(), shipped));
                }
            }
        }
        let mut shipments: Vec<Shipped> = shipments.into_iter().map(|(_, s)| s).collect();
        shipments.sort();
        let arrives_by = last(plan);
        Promised {
            date: plan.parts.iter().map(|p| p.date).max().expect("a plan has parts"),
            arrives_from: plan.parts.iter().filter(|p| p.by == arrives_by).map(|p| p.from).collect(),
            arrives_by,
            ships_at: plan.parts.iter().map(|p| p.departs).max().expect("a plan has parts"),
            order_by: self.order_by(plan, aim),
            shipments,
        }
    }

    /// Whether the same parts, by the same candidates, planned then, still arrive when they do: "this arrives_by" is still
    /// to be had where, oddly, waiting makes one of them come sooner.
    pub(super) fn still(&self, plan: &Plan, aim: Aim, then: Moment) -> bool {
        let mut again = Plan::default();
        for part in &plan.parts {
            match self.part(&again, part.line, part.quantity, part.candidate, aim, then) {
                Some(next) if next.parts.last().expect("it was just added").by <= part.by => again = next,
                _ => return false,
            }
        }
        true
    }

    /// The first instant that fails is looked for; every bound lies on a whole minute, so where that instant itself does,
    /// the bound is one that is not included (a day's end), and else it is the instant before.
    pub(super) fn order_by(&self, plan: &Plan, aim: Aim) -> Moment {
        let mut good = self.now;
        debug_assert!(self.still(plan, aim, good), "a plan can be made again at once");
        let mut bad = last(plan).plus(Span::minutes(1));
        if plan.parts.len() > 1 {
            // Lines that compete can make it come and go: the first that fails counts.
            let hour = Span::minutes(60);
            let mut then = Moment(good.0 / hour.0 * hour.0 + hour.0);
            while then < bad {
                if self.still(plan, aim, then) {
                    good = then;
                } else {
                    bad = then;
                }
                then = then.plus(hour);
            }
        }
        while bad.0 - good.0 > 1 {
            let middle = Moment(good.0 + (bad.0 - good.0) / 2);
            if self.still(plan, aim, middle) { good = middle } else { bad = middle }
        }
        if bad.0 % surety::domain::time::MINUTE == 0 { bad } else { good }
    }
}
