//! Turns the "Supply Chain Logistics Problem Dataset" (figshare 7558679) into a network, a plan and an orders file for
//! `surety replay`. The README beside this file says what is modelled, what is assumed and what is left out.
//!
//! `cargo run --release --example logistics -- DATA_DIR OUT_DIR`

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use surety::proto::v1::resource::Kind;
use surety::proto::v1::{Lane, Network, Process, Product, Resource, Site, Source, Step, Weekday, WeeklySupply, Zone};

/// The only destination in the data.
const DESTINATION: &str = "PORT09";
/// Freight that the customer refers to a carrier of its own: it is not in the freight rates.
const CUSTOMER_FREIGHT: &str = "CRF";
/// How far ahead the plants plan. The longest queue of the data is cleared in nine days.
const HORIZON_DAYS: i32 = 60;
/// The data name no places; one clock for all keeps the days of plants and customers the same.
const TIME_ZONE: &str = "Etc/UTC";

#[derive(Deserialize)]
struct Order {
    #[serde(rename = "Order ID")]
    id: String,
    #[serde(rename = "Order Date")]
    date: String,
    #[serde(rename = "TPT")]
    transit_days: i64,
    #[serde(rename = "Service Level")]
    service: String,
    #[serde(rename = "Ship ahead day count")]
    ahead_days: i64,
    #[serde(rename = "Ship Late Day count")]
    late_days: i64,
    #[serde(rename = "Customer")]
    customer: String,
    #[serde(rename = "Product ID")]
    product: String,
    #[serde(rename = "Plant Code")]
    plant: String,
    #[serde(rename = "Destination Port")]
    destination: String,
    #[serde(rename = "Unit quantity")]
    quantity: i64,
}

#[derive(Deserialize)]
struct Capacity {
    #[serde(rename = "Plant ID")]
    plant: String,
    #[serde(rename = "Daily Capacity")]
    orders_a_day: i64,
}

#[derive(Deserialize)]
struct Cost {
    #[serde(rename = "WH")]
    plant: String,
    #[serde(rename = "Cost/unit")]
    per_unit: f64,
}

#[derive(Deserialize)]
struct Supplies {
    #[serde(rename = "Plant Code")]
    plant: String,
    #[serde(rename = "Product ID")]
    product: String,
}

#[derive(Deserialize)]
struct VmiCustomer {
    #[serde(rename = "Plant Code")]
    plant: String,
    #[serde(rename = "Customers")]
    customer: String,
}

#[derive(Deserialize)]
struct PlantPort {
    #[serde(rename = "Plant Code")]
    plant: String,
    #[serde(rename = "Port")]
    port: String,
}

#[derive(Deserialize)]
struct FreightRate {
    orig_port_cd: String,
    dest_port_cd: String,
    svc_cd: String,
    #[serde(rename = "minimum cost")]
    minimum_cost: f64,
    tpt_day_cnt: i32,
}

/// The files of the data set, as they were read.
struct Data {
    orders: Vec<Order>,
    capacities: Vec<Capacity>,
    costs: BTreeMap<String, f64>,
    supplies: Vec<Supplies>,
    vmi: Vec<VmiCustomer>,
    ports: Vec<PlantPort>,
    rates: Vec<FreightRate>,
}

impl Data {
    fn read(dir: &Path) -> Result<Data, Box<dyn Error>> {
        Ok(Data {
            orders: rows(dir, "OrderList.csv")?,
            capacities: rows(dir, "WhCapacities.csv")?,
            costs: rows::<Cost>(dir, "WhCosts.csv")?.into_iter().map(|c| (c.plant, c.per_unit)).collect(),
            supplies: rows(dir, "ProductsPerPlant.csv")?,
            vmi: rows(dir, "VmiCustomers.csv")?,
            ports: rows(dir, "PlantPorts.csv")?,
            rates: rows(dir, "FreightRates.csv")?,
        })
    }

    /// The customers that the plant serves only, if it is one of those that serve listed customers only.
    fn vmi_customers(&self, plant: &str) -> Option<BTreeSet<&str>> {
        let listed: BTreeSet<&str> =
            self.vmi.iter().filter(|v| v.plant == plant).map(|v| v.customer.as_str()).collect();
        (!listed.is_empty()).then_some(listed)
    }

    /// Customers that some plant lists have a zone of their own, for only lanes can say who is served from where.
    fn listed_customers(&self) -> BTreeSet<&str> {
        self.vmi.iter().map(|v| v.customer.as_str()).collect()
    }
}

/// All rows of one file, by the names in its header.
fn rows<T: DeserializeOwned>(dir: &Path, file: &str) -> Result<Vec<T>, Box<dyn Error>> {
    let path = dir.join(file);
    // The header of WhCapacities.csv ends in a blank.
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(&path)
        .map_err(|e| format!("{}: {e}", path.display()))?;
    let rows: Result<Vec<T>, _> = reader.deserialize().collect();
    Ok(rows.map_err(|e| format!("{}: {e}", path.display()))?)
}

fn zone_of(customer: &str, listed: &BTreeSet<&str>) -> String {
    if listed.contains(customer) { format!("{DESTINATION}.{customer}") } else { DESTINATION.to_string() }
}

fn network(data: &Data) -> Network {
    let mut network = Network::default();
    for capacity in &data.capacities {
        let plant = &capacity.plant;
        network.sites.push(Site { id: plant.clone(), display_name: plant.clone(), time_zone: TIME_ZONE.to_string() });
        network.resources.push(Resource {
            id: format!("{plant}.orders"),
            site: plant.clone(),
            display_name: format!("Orders a day of {plant}"),
            kind: Kind::Capacity as i32,
            unit: "orders".to_string(),
            // The orders of the data are of a Sunday, so the plants work on all days.
            weekly: vec![WeeklySupply { days: all_days(), units: capacity.orders_a_day, ..Default::default() }],
            horizon_days: HORIZON_DAYS,
            ..Default::default()
        });
        network.processes.push(Process {
            id: format!("{plant}.fulfil"),
            steps: vec![Step { resource: format!("{plant}.orders"), per_line: 1, ..Default::default() }],
        });
    }

    let listed = data.listed_customers();
    network.zones.push(zone(DESTINATION.to_string(), DESTINATION.to_string()));
    for customer in &listed {
        network.zones.push(zone(zone_of(customer, &listed), format!("{customer} at {DESTINATION}")));
    }

    let mut sources: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for pair in &data.supplies {
        sources.entry(&pair.product).or_default().push(&pair.plant);
    }
    for (product, mut plants) in sources {
        plants.sort_by(|a, b| cost(data, a).total_cmp(&cost(data, b)).then(a.cmp(b)));
        plants.dedup();
        network.products.push(Product {
            sku: product.to_string(),
            display_name: format!("Product {product}"),
            sources: plants
                .iter()
                .map(|plant| Source {
                    site: plant.to_string(),
                    stock: String::new(),
                    process: format!("{plant}.fulfil"),
                })
                .collect(),
            substitutes: Vec::new(),
        });
    }

    network.lanes = lanes(data);
    network
}

fn cost(data: &Data, plant: &str) -> f64 {
    data.costs.get(plant).copied().unwrap_or(f64::INFINITY)
}

fn zone(id: String, display_name: String) -> Zone {
    Zone { id, display_name, time_zone: TIME_ZONE.to_string(), postal_prefixes: Vec::new() }
}

/// One lane for each plant, port, service and number of transit days, cheapest first: with a deadline the planner takes
/// the first lane that meets it.
fn lanes(data: &Data) -> Vec<Lane> {
    let listed = data.listed_customers();
    let mut lanes = Vec::new();
    for capacity in &data.capacities {
        let plant = &capacity.plant;
        let zones: Vec<String> = match data.vmi_customers(plant) {
            Some(customers) => customers.iter().map(|customer| zone_of(customer, &listed)).collect(),
            None => std::iter::once(DESTINATION.to_string())
                .chain(listed.iter().map(|customer| zone_of(customer, &listed)))
                .collect(),
        };
        let ways = ways_out(data, plant);
        for zone in zones {
            for (port, service, days) in &ways {
                let customer = zone.strip_prefix(DESTINATION).unwrap_or_default();
                lanes.push(Lane {
                    id: format!("{plant}.{port}.{service}.{days}d{customer}"),
                    site: plant.clone(),
                    zone: zone.clone(),
                    service: service.clone(),
                    transit_days: *days,
                    ..Default::default()
                });
            }
        }
    }
    lanes
}

/// (port, service, transit days) of a plant, by what the smallest shipment costs on average over the carriers.
fn ways_out(data: &Data, plant: &str) -> Vec<(String, String, i32)> {
    let mut ways = Vec::new();
    for port in data.ports.iter().filter(|p| p.plant == plant).map(|p| p.port.as_str()) {
        let mut charges: BTreeMap<(&str, i32), (f64, f64)> = BTreeMap::new();
        for rate in data.rates.iter().filter(|r| r.orig_port_cd == port && r.dest_port_cd == DESTINATION) {
            let (sum, count) = charges.entry((&rate.svc_cd, rate.tpt_day_cnt)).or_default();
            *sum += rate.minimum_cost;
            *count += 1.0;
        }
        for ((service, days), (sum, count)) in charges {
            ways.push((sum / count, port.to_string(), service.to_string(), days));
        }
    }
    ways.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ways: Vec<_> = ways.into_iter().map(|(_, port, service, days)| (port, service, days)).collect();
    // The customer's own carrier collects at the plant: the promise is the day on which the goods stand ready.
    ways.push(("gate".to_string(), CUSTOMER_FREIGHT.to_string(), 0));
    ways
}

fn all_days() -> Vec<i32> {
    (Weekday::Monday as i32..=Weekday::Sunday as i32).collect()
}

/// What the summary counts about the orders.
#[derive(Default)]
struct Tally {
    written: usize,
    by_service: BTreeMap<String, usize>,
    by_slack: BTreeMap<i64, usize>,
    by_plant_then: BTreeMap<String, usize>,
    only_source: BTreeMap<String, usize>,
    no_way: Vec<String>,
}

fn write_orders(data: &Data, network: &Network, path: &Path) -> Result<Tally, Box<dyn Error>> {
    let listed = data.listed_customers();
    let lanes: BTreeSet<(&str, &str, &str)> =
        network.lanes.iter().map(|l| (l.site.as_str(), l.zone.as_str(), l.service.as_str())).collect();
    let products: BTreeMap<&str, &Product> = network.products.iter().map(|p| (p.sku.as_str(), p)).collect();

    let mut out = csv::Writer::from_path(path)?;
    out.write_record(["time", "reference", "sku", "quantity", "zone", "by", "service", "channel"])?;
    let mut tally = Tally::default();
    for order in &data.orders {
        if order.destination != DESTINATION {
            return Err(format!("order {}: destination {} is not {DESTINATION}", order.id, order.destination).into());
        }
        let day: Date = order
            .date
            .get(..10)
            .unwrap_or(&order.date)
            .parse()
            .map_err(|e| format!("order {}: order date {:?}: {e}", order.id, order.date))?;
        // The customer's carrier comes to the gate, so its days on the road are no part of the promise.
        let transit = if order.service == CUSTOMER_FREIGHT { 0 } else { order.transit_days };
        let slack = order.ahead_days + order.late_days;
        let by = day.checked_add((slack + transit).days())?;
        let zone = zone_of(&order.customer, &listed);
        out.write_record([
            &format!("{day}T00:00:00Z"),
            &order.id,
            &order.product,
            &order.quantity.to_string(),
            &zone,
            &by.to_string(),
            &order.service,
            "",
        ])?;

        tally.written += 1;
        *tally.by_service.entry(order.service.clone()).or_default() += 1;
        *tally.by_slack.entry(slack).or_default() += 1;
        *tally.by_plant_then.entry(order.plant.clone()).or_default() += 1;
        let able: Vec<&str> = products
            .get(order.product.as_str())
            .map(|p| p.sources.iter().map(|s| s.site.as_str()).collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .filter(|site| lanes.contains(&(*site, zone.as_str(), order.service.as_str())))
            .collect();
        match able.as_slice() {
            [] => tally.no_way.push(order.id.clone()),
            [only] => *tally.only_source.entry(only.to_string()).or_default() += 1,
            _ => {}
        }
    }
    out.flush()?;
    Ok(tally)
}

fn main() -> ExitCode {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [data_dir, out_dir] = args.as_slice() else {
        eprintln!("usage: logistics DATA_DIR OUT_DIR");
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
    let data = Data::read(data_dir)?;
    let network = network(&data);
    fs::create_dir_all(out_dir)?;
    fs::write(out_dir.join("network.yaml"), serde_saphyr::to_string(&network)?)?;
    // No stock in the data, and the plants' capacity is the same each day: it stands in the network.
    fs::write(out_dir.join("plan.csv"), "resource,start,units\n")?;
    let tally = write_orders(&data, &network, &out_dir.join("orders.csv"))?;

    println!(
        "read     {} orders, {} plants, {} products in {} pairs, {} freight rates, {} VMI pairs",
        data.orders.len(),
        data.capacities.len(),
        network.products.len(),
        data.supplies.len(),
        data.rates.len(),
        data.vmi.len()
    );
    println!(
        "network  {} sites, {} zones, {} resources, {} products, {} lanes",
        network.sites.len(),
        network.zones.len(),
        network.resources.len(),
        network.products.len(),
        network.lanes.len()
    );
    println!("orders   {} written, {} skipped", tally.written, data.orders.len() - tally.written);
    println!("         by service          {}", list(&tally.by_service));
    println!("         by days of slack    {}", list(&tally.by_slack));
    println!("         by plant, in fact   {}", list(&tally.by_plant_then));
    println!("         only one plant can  {}", list(&tally.only_source));
    println!("         no plant can        {}", tally.no_way.len());
    for id in tally.no_way.iter().take(10) {
        println!("           order {id}");
    }
    println!("capacity {} orders a day in all", data.capacities.iter().map(|c| c.orders_a_day).sum::<i64>());
    Ok(())
}

fn list<K: std::fmt::Display>(counts: &BTreeMap<K, usize>) -> String {
    counts.iter().map(|(key, count)| format!("{key}: {count}")).collect::<Vec<_>>().join(", ")
}
