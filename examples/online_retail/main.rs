//! Turns the order stream of "Online Retail II" (UCI 502) into a network, a plan and an orders file for
//! `surety replay`. The README beside this file says what is modelled, what is assumed and what is left out.
//!
//! `cargo run --release --example online_retail -- DATA_DIR OUT_DIR`

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flate2::read::GzDecoder;
use jiff::civil::{Date, DateTime, Weekday as CivilWeekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use surety::proto::v1::resource::Kind;
use surety::proto::v1::{Lane, Network, Process, Product, Resource, Site, Source, Step, Weekday, WeeklySupply, Zone};

mod countries;
use countries::{COUNTRIES, Country};

const SITE: &str = "whs";
const SITE_TIME_ZONE: &str = "Europe/London";
/// Lines that can be picked on a working day, in per cent of the median day's lines.
const PICK_SHARE: i64 = 125;
/// Units that can be packed on a working day, in per cent of the median day's units.
const PACK_SHARE: i64 = 150;
/// Stock is bought for periods of this many days.
const PERIOD_DAYS: i64 = 28;
/// Every so many-th product is bought short ...
const SHORT_EVERY: usize = 20;
/// ... at this many per cent of what was sold; all others at 100.
const SHORT_SHARE: i64 = 90;
/// The most lines that one ask can have.
const MAX_LINES: usize = 100;
/// Days in England on which no carrier drives, between the first and the last order.
const HOLIDAYS: [&str; 8] =
    ["2009-12-25", "2009-12-28", "2010-01-01", "2010-04-02", "2010-04-05", "2010-05-03", "2010-05-31", "2010-08-30"];

#[derive(Deserialize)]
struct Row {
    time: String,
    invoice: String,
    stock_code: String,
    quantity: i64,
    country: String,
}

/// One invoice of one minute: what a customer ordered, or sent back (all quantities below 0).
struct Order {
    at: DateTime,
    invoice: String,
    country: &'static Country,
    lines: Vec<(String, i64)>,
}

/// What was read and what became of it; each row is counted once.
#[derive(Default)]
struct Tally {
    rows: usize,
    sales: usize,
    returns: usize,
    fees: usize,
    fee_codes: BTreeMap<String, usize>,
    write_offs: usize,
    write_off_units: i64,
    odd: usize,
    merged: usize,
    renamed: usize,
}

/// `lines.csv`, or `lines.csv.gz` where there is no plain one.
fn open(dir: &Path) -> Result<Box<dyn Read>, Box<dyn Error>> {
    let plain = dir.join("lines.csv");
    if plain.exists() {
        return Ok(Box::new(BufReader::new(File::open(plain)?)));
    }
    let packed = dir.join("lines.csv.gz");
    let file = File::open(&packed).map_err(|e| format!("{} (or lines.csv beside it): {e}", packed.display()))?;
    Ok(Box::new(GzDecoder::new(BufReader::new(file))))
}

/// Goods have a code of five digits, at times with letters behind, or are one of two families with codes of their own;
/// all other codes are postage, fees, discounts, vouchers, samples and tests.
fn is_goods(code: &str) -> bool {
    let digits = code.bytes().take_while(u8::is_ascii_digit).count();
    digits == 5 || code.starts_with("DCGS") || code == "PADS"
}

fn read(dir: &Path) -> Result<(Vec<Order>, Tally), Box<dyn Error>> {
    let mut tally = Tally::default();
    let mut orders: Vec<Order> = Vec::new();
    let mut reader = csv::Reader::from_reader(open(dir)?);
    for (index, row) in reader.deserialize().enumerate() {
        // The header is line 1.
        let line = index + 2;
        let row: Row = row.map_err(|e| format!("line {line}: {e}"))?;
        tally.rows += 1;
        let code = row.stock_code.trim().to_uppercase();
        if !is_goods(&code) {
            tally.fees += 1;
            *tally.fee_codes.entry(code).or_default() += 1;
            continue;
        }
        let cancels = row.invoice.starts_with('C');
        if row.quantity < 0 && !cancels {
            tally.write_offs += 1;
            tally.write_off_units += row.quantity;
            continue;
        }
        if row.quantity == 0 || (row.quantity > 0 && cancels) {
            tally.odd += 1;
            continue;
        }
        tally.renamed += usize::from(code != row.stock_code);
        let at: DateTime = row.time.parse().map_err(|e| format!("line {line}: time {:?}: {e}", row.time))?;
        let country = COUNTRIES
            .iter()
            .find(|c| c.name == row.country)
            .ok_or_else(|| format!("line {line}: country {:?} is not in countries.rs", row.country))?;
        let is_same = orders.last().is_some_and(|o| o.invoice == row.invoice && o.at == at);
        if !is_same {
            orders.push(Order { at, invoice: row.invoice, country, lines: Vec::new() });
        }
        if row.quantity < 0 {
            tally.returns += 1;
        } else {
            tally.sales += 1;
        }
        let order = orders.last_mut().expect("an order was pushed when there was none");
        match order.lines.iter_mut().find(|(sku, _)| *sku == code) {
            Some((_, quantity)) => {
                *quantity += row.quantity;
                tally.merged += 1;
            }
            None => order.lines.push((code, row.quantity)),
        }
    }
    Ok((orders, tally))
}

/// What was sold on each day: lines and units.
fn sold_by_day(orders: &[Order]) -> BTreeMap<Date, (i64, i64)> {
    let mut days: BTreeMap<Date, (i64, i64)> = BTreeMap::new();
    for order in orders {
        let (lines, units) = days.entry(order.at.date()).or_default();
        for (_, quantity) in order.lines.iter().filter(|(_, quantity)| *quantity > 0) {
            *lines += 1;
            *units += quantity;
        }
    }
    days.retain(|_, (lines, _)| *lines > 0);
    days
}

fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Days on which, as the data show, nobody worked, other than Saturdays.
fn closed_days(days: &BTreeMap<Date, (i64, i64)>) -> Vec<String> {
    let (Some((first, _)), Some((last, _))) = (days.first_key_value(), days.last_key_value()) else {
        return Vec::new();
    };
    first
        .series(1.day())
        .take_while(|day| day <= last)
        .filter(|day| day.weekday() != CivilWeekday::Saturday && !days.contains_key(day))
        .map(|day| day.to_string())
        .collect()
}

fn capacity(id: &str, display_name: &str, unit: &str, units: i64, closed: &[String]) -> Resource {
    let days =
        [Weekday::Sunday, Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    Resource {
        id: format!("{SITE}.{id}"),
        site: SITE.to_string(),
        display_name: display_name.to_string(),
        kind: Kind::Capacity as i32,
        unit: unit.to_string(),
        weekly: vec![WeeklySupply { days: days.map(|d| d as i32).to_vec(), units, ..Default::default() }],
        closed: closed.to_vec(),
        horizon_days: 120,
        ..Default::default()
    }
}

fn network(orders: &[Order], pick: i64, pack: i64, closed: &[String]) -> Network {
    let mut network = Network::default();
    network.sites.push(Site {
        id: SITE.to_string(),
        display_name: "Warehouse".to_string(),
        time_zone: SITE_TIME_ZONE.to_string(),
    });
    network.resources.push(capacity("pick", "Picking", "lines", pick, closed));
    network.resources.push(capacity("pack", "Packing", "units", pack, closed));
    network.processes.push(Process {
        id: format!("{SITE}.pick-and-pack"),
        steps: vec![
            Step {
                resource: format!("{SITE}.pick"),
                per_line: 1,
                cutoff: "14:00".to_string(),
                lead_time: Some(hours(2)),
                ..Default::default()
            },
            // The largest lines are more than a day's packing.
            Step {
                resource: format!("{SITE}.pack"),
                per_item: 1,
                divisible: true,
                lead_time: Some(hours(1)),
                ..Default::default()
            },
        ],
    });

    let skus: BTreeSet<&str> = orders.iter().flat_map(|o| o.lines.iter().map(|(sku, _)| sku.as_str())).collect();
    for sku in skus {
        network.resources.push(Resource {
            id: stock_of(sku),
            site: SITE.to_string(),
            display_name: format!("Stock of {sku}"),
            kind: Kind::Stock as i32,
            unit: "items".to_string(),
            ..Default::default()
        });
        network.products.push(Product {
            sku: sku.to_string(),
            display_name: sku.to_string(),
            sources: vec![Source {
                site: SITE.to_string(),
                stock: stock_of(sku),
                process: format!("{SITE}.pick-and-pack"),
            }],
            substitutes: Vec::new(),
        });
    }

    let working_days: Vec<i32> = (Weekday::Monday as i32..=Weekday::Friday as i32).collect();
    let seen: BTreeSet<&str> = orders.iter().map(|o| o.country.zone).collect();
    for country in COUNTRIES.iter().filter(|c| seen.contains(c.zone)) {
        network.zones.push(Zone {
            id: country.zone.to_string(),
            display_name: country.name.to_string(),
            time_zone: country.time_zone.to_string(),
            postal_prefixes: Vec::new(),
        });
        network.lanes.push(Lane {
            id: format!("standard.{}", country.zone),
            site: SITE.to_string(),
            zone: country.zone.to_string(),
            service: "standard".to_string(),
            departure_days: working_days.clone(),
            departure_time: "17:00".to_string(),
            transit_days: country.distance.transit_days(),
            delivery_days: working_days.clone(),
            holidays: HOLIDAYS.map(String::from).to_vec(),
            ..Default::default()
        });
    }
    network
}

fn hours(hours: i64) -> pbjson_types::Duration {
    pbjson_types::Duration { seconds: hours * 3600, nanos: 0 }
}

fn stock_of(sku: &str) -> String {
    format!("{SITE}.stock.{sku}")
}

/// Opening stock and receipts: what each period sold, times the product's share, rounded up. The first period's is on
/// hand when it begins; that of each later period comes in four equal parts, on the Mondays of the period before.
fn plan(orders: &[Order], first: Date) -> Result<BTreeMap<(String, Date), i64>, Box<dyn Error>> {
    let mut sold: BTreeMap<&str, BTreeMap<i64, i64>> = BTreeMap::new();
    for order in orders {
        let period = i64::from((order.at.date() - first).get_days()) / PERIOD_DAYS;
        for (sku, quantity) in &order.lines {
            // A product that only came back has no stock to begin with, but is numbered like all others.
            let periods = sold.entry(sku).or_default();
            if *quantity > 0 {
                *periods.entry(period).or_default() += quantity;
            }
        }
    }
    let to_monday = first.nth_weekday(1, CivilWeekday::Monday)? - first;
    let mut receipts = BTreeMap::new();
    for (number, (sku, periods)) in sold.into_iter().enumerate() {
        let share = if (number + 1) % SHORT_EVERY == 0 { SHORT_SHARE } else { 100 };
        for (period, units) in periods {
            let bought = (units * share + 99) / 100;
            if period == 0 {
                *receipts.entry((stock_of(sku), first)).or_default() += bought;
                continue;
            }
            let first_monday = first + ((period - 1) * PERIOD_DAYS).days() + to_monday;
            let weeks = PERIOD_DAYS / 7;
            for week in 0..weeks {
                let part = bought / weeks + i64::from(week < bought % weeks);
                if part > 0 {
                    *receipts.entry((stock_of(sku), first_monday + (week * 7).days())).or_default() += part;
                }
            }
        }
    }
    Ok(receipts)
}

/// (orders, lines, invoices split) written. An invoice of more lines than an ask can have becomes several orders, `-2`, `-3` ...
fn write_orders(orders: &[Order], path: &Path) -> Result<(usize, usize, usize), Box<dyn Error>> {
    let site = TimeZone::get(SITE_TIME_ZONE)?;
    let mut zones: HashMap<&str, TimeZone> = HashMap::new();
    let mut out = csv::Writer::from_path(path)?;
    out.write_record(["time", "reference", "sku", "quantity", "zone", "by", "service", "channel"])?;
    let (mut written, mut lines, mut split) = (0, 0, 0);
    for order in orders {
        let at: Timestamp = site.to_timestamp(order.at)?;
        let zone = match zones.get(order.country.zone) {
            Some(zone) => zone.clone(),
            None => {
                let zone = TimeZone::get(order.country.time_zone)?;
                zones.insert(order.country.zone, zone.clone());
                zone
            }
        };
        let by = at.to_zoned(zone).date() + order.country.distance.within_days().days();
        split += usize::from(order.lines.len() > MAX_LINES);
        for (part, chunk) in order.lines.chunks(MAX_LINES).enumerate() {
            let reference = if part == 0 { order.invoice.clone() } else { format!("{}-{}", order.invoice, part + 1) };
            written += 1;
            for (sku, quantity) in chunk {
                let by = if *quantity > 0 { by.to_string() } else { String::new() };
                out.write_record([
                    &at.to_string(),
                    &reference,
                    sku,
                    &quantity.to_string(),
                    order.country.zone,
                    &by,
                    "",
                    "",
                ])?;
                lines += 1;
            }
        }
    }
    out.flush()?;
    Ok((written, lines, split))
}

fn main() -> ExitCode {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [data_dir, out_dir] = args.as_slice() else {
        eprintln!("usage: online_retail DATA_DIR OUT_DIR");
        return ExitCode::from(2);
    };
    match convert(data_dir, out_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn convert(data_dir: &Path, out_dir: &Path) -> Result<(), Box<dyn Error>> {
    let (orders, tally) = read(data_dir)?;
    let days = sold_by_day(&orders);
    let first = *days.first_key_value().ok_or("no order in the data")?.0;
    let (median_lines, median_units) =
        (median(days.values().map(|d| d.0).collect()), median(days.values().map(|d| d.1).collect()));
    let (pick, pack) = (median_lines * PICK_SHARE / 100, median_units * PACK_SHARE / 100);
    let closed = closed_days(&days);
    let network = network(&orders, pick, pack, &closed);
    let receipts = plan(&orders, first)?;

    fs::create_dir_all(out_dir)?;
    let mut json = BufWriter::new(File::create(out_dir.join("network.json"))?);
    serde_json::to_writer(&mut json, &network)?;
    json.flush()?;
    let mut out = csv::Writer::from_path(out_dir.join("plan.csv"))?;
    out.write_record(["resource", "start", "units"])?;
    for ((resource, start), units) in &receipts {
        out.write_record([resource, &start.to_string(), &units.to_string()])?;
    }
    out.flush()?;
    let (written, lines, split) = write_orders(&orders, &out_dir.join("orders.csv"))?;

    let (all_lines, all_units) = days.values().fold((0, 0), |sum, day| (sum.0 + day.0, sum.1 + day.1));
    let open_days = i64::try_from(days.len())?;
    println!("read     {} rows", tally.rows);
    println!("         {:>7} sales", tally.sales);
    println!("         {:>7} returns (invoice C...)", tally.returns);
    println!("         {:>7} skipped: postage, fees, vouchers, tests: {}", tally.fees, list(&tally.fee_codes));
    println!(
        "         {:>7} skipped: stock write-offs (below 0, no customer, no invoice C...), {} units",
        tally.write_offs, tally.write_off_units
    );
    println!("         {:>7} skipped: a quantity of 0, or a cancellation above 0", tally.odd);
    println!("orders   {written} written with {lines} lines");
    println!("         {:>7} lines were merged into one of the same product on the same invoice", tally.merged);
    println!("         {split:>7} invoices of more than {MAX_LINES} lines were split");
    println!("         {:>7} lines with a code in small letters or with blanks", tally.renamed);
    println!(
        "network  {} products, {} zones, {} lanes, {} resources",
        network.products.len(),
        network.zones.len(),
        network.lanes.len(),
        network.resources.len()
    );
    println!(
        "capacity {pick} lines a day: {PICK_SHARE} % of the median {median_lines}, the mean is {}",
        all_lines / open_days
    );
    println!(
        "         {pack} units a day: {PACK_SHARE} % of the median {median_units}, the mean is {}",
        all_units / open_days
    );
    println!("         {open_days} days with sales; closed on Saturdays and {}", closed.join(" "));
    println!("plan     {} receipts, {} units for {all_units} sold", receipts.len(), receipts.values().sum::<i64>());
    Ok(())
}

fn list(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(key, count)| format!("{key} {count}")).collect::<Vec<_>>().join(", ")
}
