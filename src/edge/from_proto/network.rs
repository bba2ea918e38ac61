//! Networks: the document's words as the domain checks them.

use std::sync::Arc;

use pbjson_types::Duration;
use prost::Message;

use super::{span, unknown_number};
use crate::app::request::ApplyNetworkRequest;
use crate::domain::bucket::Bucketing;
use crate::domain::faults::{Fault, Faults};
use crate::domain::network::{
    ChannelSpec, Kind, LaneSpec, Network, NetworkSpec, ProcessSpec, ProductSpec, ResourceSpec, SiteSpec, SourceSpec,
    StepSpec, WeeklySpec, ZoneSpec,
};
use crate::domain::time::{MINUTE, Moment, Span};
use crate::proto::v1;

/// A network to apply. Paths begin with `network.`, as the request has it. `now` only places calendars.
pub fn apply_network(message: v1::ApplyNetworkRequest, now: Moment) -> Result<ApplyNetworkRequest, Vec<Fault>> {
    let missing =
        || vec![Fault { path: "network".to_owned(), message: "is missing; the document is needed".to_owned() }];
    let document = message.network.ok_or_else(missing)?;
    let bytes: Arc<[u8]> = Arc::from(document.encode_to_vec());
    let network = network(document, now).map_err(|faults| {
        faults
            .into_iter()
            .map(|f| Fault { path: format!("network.{}", f.path), message: f.message })
            .collect::<Vec<_>>()
    })?;
    Ok(ApplyNetworkRequest { document: bytes, network, validate_only: message.validate_only })
}

/// A network as the ledger keeps it: the inverse of `to_proto::network_document`, then checked.
pub fn network_document(document: &[u8], now: Moment) -> Result<Network, Vec<Fault>> {
    let message = v1::Network::decode(document)
        .map_err(|why| vec![Fault { path: "network".to_owned(), message: format!("can't be decoded: {why}") }])?;
    network(message, now)
}

/// A checked network. Paths are those of the document: `resources[3].weekly[0].units`.
pub fn network(message: v1::Network, now: Moment) -> Result<Network, Vec<Fault>> {
    let (spec, mut faults) = network_spec(message);
    match Network::build(spec, now) {
        Ok(network) if faults.is_empty() => Ok(network),
        Ok(_) => Err(faults),
        Err(more) => {
            // What could not be read is missing to `build`, which is not another fault.
            let own = faults.len();
            for fault in more {
                if !faults[..own].iter().any(|f| f.path == fault.path) {
                    faults.push(fault);
                }
            }
            Err(faults)
        }
    }
}

/// The document's words, and the faults of those that the domain has no words for: enum values that are not known.
pub fn network_spec(message: v1::Network) -> (NetworkSpec, Vec<Fault>) {
    let mut faults = Faults::new();
    let spec = NetworkSpec {
        sites: message
            .sites
            .into_iter()
            .map(|s| SiteSpec { id: s.id, display_name: s.display_name, time_zone: s.time_zone })
            .collect(),
        zones: message
            .zones
            .into_iter()
            .map(|z| ZoneSpec {
                id: z.id,
                display_name: z.display_name,
                time_zone: z.time_zone,
                postal_prefixes: z.postal_prefixes,
            })
            .collect(),
        resources: message.resources.into_iter().enumerate().map(|(i, r)| resource(i, r, &mut faults)).collect(),
        processes: message.processes.into_iter().map(process).collect(),
        products: message.products.into_iter().map(product).collect(),
        lanes: message.lanes.into_iter().enumerate().map(|(i, l)| lane(i, l, &mut faults)).collect(),
        channels: message
            .channels
            .into_iter()
            .map(|c| ChannelSpec { id: c.id, display_name: c.display_name, priority: c.priority })
            .collect(),
    };
    (spec, faults.into_vec())
}

fn resource(i: usize, r: v1::Resource, faults: &mut Faults) -> ResourceSpec {
    let kind = match v1::resource::Kind::try_from(r.kind) {
        Ok(v1::resource::Kind::Unspecified) => None,
        Ok(v1::resource::Kind::Capacity) => Some(Kind::Capacity),
        Ok(v1::resource::Kind::Stock) => Some(Kind::Stock),
        Err(_) => {
            faults.add(format!("resources[{i}].kind"), unknown_number(r.kind));
            None
        }
    };
    let weekly = r
        .weekly
        .into_iter()
        .enumerate()
        .map(|(j, w)| WeeklySpec {
            days: weekdays(&w.days, faults, || format!("resources[{i}].weekly[{j}].days")),
            from: w.from,
            to: w.to,
            units: w.units,
        })
        .collect();
    ResourceSpec {
        id: r.id,
        site: r.site,
        display_name: r.display_name,
        kind,
        unit: r.unit,
        bucket: bucketing(r.bucket.as_ref()),
        weekly,
        closed: r.closed,
        horizon_days: r.horizon_days,
    }
}

fn bucketing(bucket: Option<&Duration>) -> Result<Bucketing, String> {
    let Some(bucket) = bucket else { return Ok(Bucketing::DAYS) };
    let span = span(bucket)?;
    if span.0 % MINUTE != 0 {
        return Err(format!("is {} s, which is not a whole number of minutes", span.0 as f64 / 1e6));
    }
    Bucketing::of_minutes(span.0 / MINUTE)
}

fn process(p: v1::Process) -> ProcessSpec {
    let steps = p
        .steps
        .into_iter()
        .map(|s| StepSpec {
            resource: s.resource,
            per_line: s.per_line,
            per_item: s.per_item,
            divisible: s.divisible,
            cutoff: s.cutoff,
            lead_time: s.lead_time.as_ref().map_or(Ok(Span::ZERO), span),
            lead_days: s.lead_days,
        })
        .collect();
    ProcessSpec { id: p.id, steps }
}

fn product(p: v1::Product) -> ProductSpec {
    let sources =
        p.sources.into_iter().map(|s| SourceSpec { site: s.site, stock: s.stock, process: s.process }).collect();
    ProductSpec { sku: p.sku, display_name: p.display_name, sources, substitutes: p.substitutes }
}

fn lane(i: usize, l: v1::Lane, faults: &mut Faults) -> LaneSpec {
    LaneSpec {
        departure_days: weekdays(&l.departure_days, faults, || format!("lanes[{i}].departure_days")),
        delivery_days: weekdays(&l.delivery_days, faults, || format!("lanes[{i}].delivery_days")),
        id: l.id,
        site: l.site,
        zone: l.zone,
        service: l.service,
        departure_time: l.departure_time,
        transit_days: l.transit_days,
        holidays: l.holidays,
        resource: l.resource,
        per_shipment: l.per_shipment,
        per_item: l.per_item,
        transit_time: l.transit_time.as_ref().map(span).transpose(),
    }
}

/// Weekdays, 0 for Monday.
fn weekdays(numbers: &[i32], faults: &mut Faults, path: impl Fn() -> String) -> Vec<usize> {
    let mut days = Vec::with_capacity(numbers.len());
    for (k, &number) in numbers.iter().enumerate() {
        match (v1::Weekday::try_from(number), usize::try_from(number)) {
            (Ok(v1::Weekday::Unspecified), _) => {
                faults.add(format!("{}[{k}]", path()), "is WEEKDAY_UNSPECIFIED; name a weekday, or none for all seven");
            }
            (Ok(_), Ok(number)) => days.push(number - 1),
            _ => faults.add(format!("{}[{k}]", path()), unknown_number(number)),
        }
    }
    days
}
