//! Orders for replays: CSV with the columns time,reference,sku,quantity,zone,by and, if one likes, service and channel. One line
//! of an order a row, sorted by time.

use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::sync::Arc;

use super::csv::{Rows, whole_number};
use super::{Collected, FileFault, FileFaults};
use crate::domain::id;
use crate::domain::limits::{MAX_ID_BYTES, MAX_LINES, MAX_QUANTITY};
use crate::domain::time::{Day, Moment, TimeOfDay};

const REQUIRED: [&str; 6] = ["time", "reference", "sku", "quantity", "zone", "by"];
const OPTIONAL: [&str; 2] = ["service", "channel"];
const TIME: usize = 0;
const REFERENCE: usize = 1;
const SKU: usize = 2;
const QUANTITY: usize = 3;
const ZONE: usize = 4;
const BY: usize = 5;
const SERVICE: usize = 6;
const CHANNEL: usize = 7;

/// When an order came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderTime {
    /// At an instant.
    Instant(Moment),
    /// At a wall-clock time of the order's zone, which only a network can place.
    Civil(Day, TimeOfDay),
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// The product.
    pub sku: Arc<str>,
    /// Items, 1 to `MAX_QUANTITY`; below zero: as many came back.
    pub quantity: i32,
}

/// An order: rows that follow each other with the same time and the same reference (a row without reference is an order of
/// its own).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The file's line of its first row.
    pub line: u64,
    /// When it came in.
    pub time: OrderTime,
    /// The shop's own; may be empty.
    pub reference: Arc<str>,
    /// 1 to `MAX_LINES` of them.
    pub lines: Vec<OrderLine>,
    /// Where to.
    pub zone: Arc<str>,
    /// Y; none: as soon as possible.
    pub by: Option<Day>,
    /// A lane's level of service; none: any.
    pub service: Option<Arc<str>>,
    /// Who asked; none: common capacity only.
    pub channel: Option<Arc<str>>,
}

/// Reads orders one by one: each an order, or a fault. Faults do not end the reading, so that all can be found.
pub struct Orders<R> {
    rows: Rows<R>,
    gathering: Option<Order>,
    /// What is to be told before reading on.
    ready: VecDeque<Result<Order, FileFault>>,
    /// The latest instant so far, with its line.
    latest: Option<(Moment, u64)>,
    /// The latest wall-clock time so far, by zone, with its line.
    latest_civil: HashMap<Arc<str>, ((Day, TimeOfDay), u64)>,
    /// Names that occur over and over, shared.
    names: HashMap<Arc<str>, Arc<str>>,
}

/// All orders of a file, or all of its faults.
pub fn read_all(file: &str, input: impl Read) -> Result<Vec<Order>, FileFaults> {
    let mut faults = Collected::default();
    let mut orders = Vec::new();
    for order in Orders::new(file, input)? {
        match order {
            Ok(order) if faults.is_empty() => orders.push(order),
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(orders) } else { Err(faults.into_faults(file)) }
}

impl<R: Read> Orders<R> {
    /// Reads the header. `file` is the file's name for messages.
    pub fn new(file: &str, input: R) -> Result<Self, FileFaults> {
        let rows = Rows::new(input, &REQUIRED, &OPTIONAL).map_err(|faults| faults.into_faults(file))?;
        Ok(Self {
            rows,
            gathering: None,
            ready: VecDeque::new(),
            latest: None,
            latest_civil: HashMap::new(),
            names: HashMap::new(),
        })
    }

    fn fault(&mut self, column: usize, why: String) {
        let fault = self.rows.cell_fault(column, why);
        self.ready.push_back(Err(fault));
    }

    fn read<T>(&mut self, column: usize, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match read(self.rows.cell(column)) {
            Ok(value) => Some(value),
            Err(why) => {
                self.fault(column, why);
                None
            }
        }
    }

    fn name(&mut self, column: usize) -> Option<Arc<str>> {
        if let Some(name) = self.names.get(self.rows.cell(column)) {
            return Some(Arc::clone(name));
        }
        let name: Arc<str> = self.read(column, |text| id::check(text).map(|()| Arc::from(text)))?;
        self.names.insert(Arc::clone(&name), Arc::clone(&name));
        Some(name)
    }

    fn optional_name(&mut self, column: usize) -> Option<Option<Arc<str>>> {
        if self.rows.cell(column).is_empty() { Some(None) } else { self.name(column).map(Some) }
    }

    /// Takes the row in: it goes on with the order that is gathered, or begins the next.
    fn take_row(&mut self) {
        let time = self.read(TIME, order_time);
        let reference: Option<Arc<str>> = self.read(REFERENCE, |text| {
            let fits = text.len() <= MAX_ID_BYTES;
            let too_long = || format!("has {} bytes; at most {MAX_ID_BYTES} are taken", text.len());
            fits.then(|| Arc::from(text)).ok_or_else(too_long)
        });
        let sku = self.name(SKU);
        let quantity = self.read(QUANTITY, quantity);
        let zone = self.name(ZONE);
        let by = self.read(BY, |text| if text.is_empty() { Ok(None) } else { Day::parse(text).map(Some) });
        let service = self.optional_name(SERVICE);
        let channel = self.optional_name(CHANNEL);
        if let (Some(time), Some(zone)) = (time, &zone) {
            self.check_sequence(time, zone);
        }
        let line = self.rows.line();
        let order = (|| {
            Some(Order {
                line,
                time: time?,
                reference: reference?,
                lines: vec![OrderLine { sku: sku?, quantity: quantity? }],
                zone: zone?,
                by: by?,
                service: service?,
                channel: channel?,
            })
        })();
        let Some(order) = order else { return };
        match self.gathering.take() {
            Some(mut first) if goes_on(&first, &order) => {
                let here = self.ready.len();
                for (column, differs) in [
                    (ZONE, first.zone != order.zone),
                    (BY, first.by != order.by),
                    (SERVICE, first.service != order.service),
                    (CHANNEL, first.channel != order.channel),
                ] {
                    if differs {
                        self.fault(column, format!("differs from line {} of the same order", first.line));
                    }
                }
                if first.lines.len() == MAX_LINES {
                    self.fault(REFERENCE, format!("has more than {MAX_LINES} lines; part the order"));
                }
                if self.ready.len() == here {
                    first.lines.extend(order.lines);
                }
                self.gathering = Some(first);
            }
            before => {
                // Faults of this row wait behind the order before it.
                if let Some(before) = before {
                    self.ready.push_front(Ok(before));
                }
                self.gathering = Some(order);
            }
        }
    }

    /// Instants are compared with instants, wall-clock times with those of the same zone: the rest is up to who has the
    /// zones' time zones.
    fn check_sequence(&mut self, time: OrderTime, zone: &Arc<str>) {
        let line = self.rows.line();
        let later = match time {
            OrderTime::Instant(at) => match self.latest {
                Some((latest, line)) if at < latest => Some(line),
                _ => {
                    self.latest = Some((at, line));
                    None
                }
            },
            OrderTime::Civil(day, time) => match self.latest_civil.get(zone) {
                Some((latest, line)) if (day, time) < *latest => Some(*line),
                _ => {
                    self.latest_civil.insert(Arc::clone(zone), ((day, time), line));
                    None
                }
            },
        };
        if let Some(later) = later {
            self.fault(TIME, format!("comes before the time on line {later}; sort the file by time"));
        }
    }
}

impl<R: Read> Iterator for Orders<R> {
    type Item = Result<Order, FileFault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            match self.rows.advance() {
                None => return self.gathering.take().map(Ok),
                Some(Err(fault)) => return Some(Err(fault)),
                Some(Ok(())) => self.take_row(),
            }
        }
    }
}

fn goes_on(order: &Order, next: &Order) -> bool {
    !next.reference.is_empty() && order.reference == next.reference && order.time == next.time
}

fn quantity(text: &str) -> Result<i32, String> {
    let quantity = whole_number(text)?;
    match i32::try_from(quantity) {
        Ok(0) => Err("is 0; order at least 1, or write what came back below zero".to_owned()),
        Ok(n) if (-MAX_QUANTITY..=MAX_QUANTITY).contains(&n) => Ok(n),
        _ => Err(format!("is {quantity}; it must lie between -{MAX_QUANTITY} and {MAX_QUANTITY}")),
    }
}

/// RFC 3339, or exactly `YYYY-MM-DDTHH:MM` for civil time.
fn order_time(text: &str) -> Result<OrderTime, String> {
    let wrong = || {
        let text = text.escape_debug();
        format!("'{text}' is not a time; write 2026-12-24T08:00:00Z, or 2026-12-24T08:00 for the zone's own time")
    };
    let (date, time) = text.split_once('T').ok_or_else(wrong)?;
    let day = Day::parse(date)?;
    if time.len() == 5 {
        return Ok(OrderTime::Civil(day, TimeOfDay::parse(time)?));
    }
    // RFC 3339 has seconds and an offset of hours and minutes, or Z; the library takes more than that.
    let clock = time.as_bytes();
    let offset = &time[time.find(['Z', '+', '-']).ok_or_else(wrong)?..];
    let is_offset = offset == "Z" || (offset.len() == 6 && offset.as_bytes()[3] == b':');
    if clock.len() < 9 || clock[2] != b':' || clock[5] != b':' || !is_offset {
        return Err(wrong());
    }
    let stamp: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(OrderTime::Instant(Moment::from_timestamp(stamp)))
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
