//! What a replay found: counted exactly, shown for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::render::{BAD, FAINT, GOOD, STRONG, Table, counted, fact, grouped, paint, percent};

/// What became of the orders of a replay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayReport {
    /// Orders played, returns not counted.
    pub orders: u64,
    /// Their lines.
    pub lines: u64,
    /// Orders promised by their date, or as soon as possible where they named none.
    pub promised: u64,
    /// Orders that could be promised only after their date: taken, or not, as the options say.
    pub later: u64,
    /// Whether the later ones were taken.
    pub later_taken: bool,
    /// Orders that could not be promised at all.
    pub refused: u64,
    /// Orders passed over because they name what the network does not have, by what is missing: "unknown SKU".
    pub passed_over: BTreeMap<String, u64>,
    /// Lines that came back: their items are stock again.
    pub returned_lines: u64,
    /// Items that came back.
    pub returned_items: u64,
    /// Days from order to promised day, of all orders taken.
    pub days: DayCounts,
    /// What the refused and later orders lacked: resource, and how many orders it stood before. Most first.
    pub bottlenecks: Vec<(String, u64)>,
    /// The busiest resources: highest share first.
    pub busiest: Vec<Busy>,
    /// The lowest balance that any bucket ever had, and whose it was; None if nothing was drawn.
    pub lowest: Option<Lowest>,
    /// Buckets whose balance was below zero at any time: a broken promise of the program itself.
    pub overdrawn: Vec<Lowest>,
    /// Virtual time: the first and last order, RFC 3339.
    pub span: Option<(String, String)>,
    /// How long it took, the reading of files not counted.
    pub took: Duration,
}

/// How busy a resource was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Busy {
    /// The resource.
    pub resource: String,
    /// What its units are: "minutes".
    pub unit: String,
    /// Units drawn.
    pub drawn: i64,
    /// Units that there were in the buckets from the first to the last one drawn from.
    pub supply: i64,
}

/// A balance and the bucket that had it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lowest {
    /// The resource.
    pub resource: String,
    /// The bucket's beginning, as people say it.
    pub bucket: String,
    /// Units.
    pub balance: i64,
}

impl Busy {
    /// The share of the supply that was drawn; 0 where there was none.
    #[allow(clippy::cast_precision_loss)] // a share for people
    pub fn share(&self) -> f64 {
        if self.supply > 0 { self.drawn as f64 / self.supply as f64 } else { 0.0 }
    }
}

/// Orders by the days from order to promise: exact, in little memory, however many orders there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayCounts(BTreeMap<i32, u64>);

impl DayCounts {
    /// Counts one order that arrives that many days after the day it was placed on.
    pub fn add(&mut self, days: i32) {
        *self.0.entry(days).or_default() += 1;
    }

    /// Orders counted.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The least number of days within which at least `percent` per cent of the orders arrive (nearest rank); None
    /// without orders.
    pub fn percentile(&self, percent: u64) -> Option<i32> {
        let rank = (u128::from(self.total()) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|(&days, &orders)| {
            seen += u128::from(orders);
            (seen >= rank).then_some(days)
        })
    }

    /// Days and orders, in the order of days.
    pub fn iter(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.0.iter().map(|(&days, &orders)| (days, orders))
    }
}

impl ReplayReport {
    /// Orders a second.
    #[allow(clippy::cast_precision_loss)] // a rate for people
    pub fn orders_per_second(&self) -> f64 {
        let seconds = self.took.as_secs_f64();
        if seconds > 0.0 { self.orders as f64 / seconds } else { 0.0 }
    }

    /// Sorts the lists as they are shown, and cuts them to the first `top`.
    pub fn rank(&mut self, top: usize) {
        self.busiest.sort_by(|a, b| b.share().total_cmp(&a.share()).then_with(|| a.resource.cmp(&b.resource)));
        self.busiest.truncate(top);
        self.bottlenecks.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.bottlenecks.truncate(top);
    }

    /// The sentence that says whether every promise was covered.
    pub fn verdict(&self) -> String {
        let name = |low: &Lowest| format!("{}, {}: {}", low.resource, low.bucket, grouped(low.balance));
        match (self.overdrawn.as_slice(), &self.lowest) {
            ([], None) => "no bucket was drawn below zero; nothing was drawn".to_owned(),
            ([], Some(low)) => format!("no bucket was drawn below zero; the lowest balance was {}", name(low)),
            (overdrawn, _) => {
                let buckets = counted(overdrawn.len() as u64, "bucket was", "buckets were");
                let names = overdrawn.iter().take(10).map(name).collect::<Vec<_>>().join("; ");
                let more = if overdrawn.len() > 10 { "; ..." } else { "" };
                format!("{buckets} drawn below zero: {names}{more}")
            }
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        #[allow(clippy::cast_precision_loss)] // shares for people
        let share = |n: u64| if self.orders > 0 { percent(n as f64 / self.orders as f64) } else { percent(0.0) };
        let number = |n: u64| grouped(i64::try_from(n).unwrap_or(i64::MAX));
        let orders = counted(self.orders, "order", "orders");
        let head = format!("{orders} with {} played", counted(self.lines, "line", "lines"));
        let mut text = paint(STRONG, &head);
        if let Some((first, last)) = &self.span {
            let _ = write!(text, ", {first} to {last}");
        }
        text.push('\n');
        let mut verdicts = Table::new(&["", ">ORDERS", ">SHARE"]);
        let later = if self.later_taken { "only later, and taken" } else { "only later, not taken" };
        verdicts
            .row(vec!["promised by their date".to_owned(), number(self.promised), share(self.promised)], Some(GOOD));
        verdicts.row(vec![later.to_owned(), number(self.later), share(self.later)], None);
        verdicts.row(vec!["refused".to_owned(), number(self.refused), share(self.refused)], None);
        for (why, n) in &self.passed_over {
            verdicts.row(vec![format!("passed over: {why}"), number(*n), share(*n)], Some(FAINT));
        }
        text.push_str(&verdicts.text("  "));
        if let (Some(median), Some(p95)) = (self.days.percentile(50), self.days.percentile(95)) {
            let days = |n: i32| format!("{} {}", grouped(i64::from(n)), if n == 1 { "day" } else { "days" });
            let value = format!("median {}, 95 % within {}", days(median), days(p95));
            fact(&mut text, "To promise", &value);
        }
        if self.returned_lines > 0 {
            let (lines, items) =
                (counted(self.returned_lines, "line", "lines"), counted(self.returned_items, "item", "items"));
            fact(&mut text, "Returns", &format!("{lines} with {items}, in stock again"));
        }
        if !self.bottlenecks.is_empty() {
            let mut table = Table::new(&["WHAT WAS MISSING", ">ORDERS"]);
            for (resource, orders) in &self.bottlenecks {
                table.row(vec![resource.clone(), number(*orders)], None);
            }
            text.push_str(&table.text("  "));
        }
        if !self.busiest.is_empty() {
            let mut table = Table::new(&["BUSIEST", ">DRAWN", ">OF", "UNIT", ">SHARE"]);
            for busy in &self.busiest {
                let (drawn, supply) = (grouped(busy.drawn), grouped(busy.supply));
                table.row(vec![busy.resource.clone(), drawn, supply, busy.unit.clone(), percent(busy.share())], None);
            }
            text.push_str(&table.text("  "));
        }
        #[allow(clippy::cast_possible_truncation)] // a rate for people
        let rate = grouped(self.orders_per_second().round() as i64);
        fact(&mut text, "Took", &format!("{:.2} s, {rate} orders/s", self.took.as_secs_f64()));
        let style = if self.overdrawn.is_empty() { GOOD } else { BAD };
        fact(&mut text, "Audit", &paint(style, &self.verdict()));
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let low = |low: &Lowest| json!({ "resource": low.resource, "bucket": low.bucket, "balance": low.balance });
        json!({
            "orders": self.orders,
            "lines": self.lines,
            "promised": self.promised,
            "later": self.later,
            "laterTaken": self.later_taken,
            "refused": self.refused,
            "passedOver": self.passed_over,
            "returnedLines": self.returned_lines,
            "returnedItems": self.returned_items,
            "firstOrder": self.span.as_ref().map(|(first, _)| first),
            "lastOrder": self.span.as_ref().map(|(_, last)| last),
            "daysToPromise": {
                "median": self.days.percentile(50),
                "p95": self.days.percentile(95),
                "orders": self.days.iter().map(|(days, orders)| json!({ "days": days, "orders": orders })).collect::<Vec<_>>(),
            },
            "bottlenecks": self.bottlenecks.iter()
                .map(|(resource, orders)| json!({ "resource": resource, "orders": orders })).collect::<Vec<_>>(),
            "busiest": self.busiest.iter().map(|busy| json!({
                "resource": busy.resource, "unit": busy.unit, "drawn": busy.drawn, "supply": busy.supply,
                "utilisation": busy.share(),
            })).collect::<Vec<_>>(),
            "lowestBalance": self.lowest.as_ref().map(low),
            "overdrawn": self.overdrawn.iter().map(low).collect::<Vec<_>>(),
            "audit": self.verdict(),
            "seconds": self.took.as_secs_f64(),
            "ordersPerSecond": self.orders_per_second(),
        })
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
