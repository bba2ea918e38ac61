//! Requests of the OperationsService.

use super::offer::release_hours;
use super::{
    after_page, fingerprint, finish, keep, name, number_of, optional_day, optional_id, optional_name, reason,
    unknown_number,
};
use crate::app::request::{
    AdjustSupplyRequest, BucketsOf, BucketsRequest, ReservationsRequest, SetAllocationRequest, SetSupplyRequest, Since,
    Start, SupplyLine,
};
use crate::domain::faults::{Fault, Faults};
use crate::domain::id::ResourceId;
use crate::domain::limits::{
    DEFAULT_BUCKET_DAYS, DEFAULT_PAGE_SIZE, MAX_ADJUSTED_BUCKETS, MAX_BUCKET_DAYS, MAX_PAGE_SIZE, MAX_SUPPLY_NUMBERS,
    MAX_UNITS,
};
use crate::domain::reservation::State;
use crate::proto::v1;

/// One message of SetSupply.
pub fn set_supply(message: v1::SetSupplyRequest) -> Result<SetSupplyRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let numbers: usize = message.lines.iter().map(|line| line.units.len()).sum();
    if numbers > MAX_SUPPLY_NUMBERS {
        faults.add(
            "lines",
            format!("have {numbers} numbers in all; at most {MAX_SUPPLY_NUMBERS} are taken in one message"),
        );
        return Err(faults.into_vec());
    }
    if message.lines.len() > MAX_SUPPLY_NUMBERS {
        let seen = message.lines.len();
        faults.add("lines", format!("has {seen} lines; at most {MAX_SUPPLY_NUMBERS} are taken in one message"));
        return Err(faults.into_vec());
    }
    let mut lines = Vec::with_capacity(message.lines.len());
    for (i, line) in message.lines.into_iter().enumerate() {
        let resource = keep(&mut faults, ResourceId::new(&line.resource), || format!("lines[{i}].resource"));
        let start = keep(&mut faults, Start::parse(&line.start), || format!("lines[{i}].start"));
        if line.units.is_empty() {
            faults.add(format!("lines[{i}].units"), "is empty; one number a bucket is needed");
        }
        for (j, &units) in line.units.iter().enumerate() {
            if !(0..=MAX_UNITS).contains(&units) {
                faults.add(
                    format!("lines[{i}].units[{j}]"),
                    format!("is {units}; it must lie between 0 and {MAX_UNITS}"),
                );
            }
        }
        if let (Some(resource), Some(start)) = (resource, start) {
            lines.push(SupplyLine { resource, start, units: line.units });
        }
    }
    finish(faults, Some(SetSupplyRequest { lines }))
}

/// AdjustSupply.
pub fn adjust_supply(message: v1::AdjustSupplyRequest) -> Result<AdjustSupplyRequest, Vec<Fault>> {
    let fingerprint = fingerprint(&message);
    let mut faults = Faults::new();
    let request_id = keep(&mut faults, optional_id(&message.request_id), || "request_id".to_owned());
    let resource = keep(&mut faults, ResourceId::new(&message.resource), || "resource".to_owned());
    let start = keep(&mut faults, Start::parse(&message.start), || "start".to_owned());
    let most = i32::try_from(MAX_ADJUSTED_BUCKETS).unwrap_or(i32::MAX);
    let buckets = keep(&mut faults, number_of(message.buckets, 1, most), || "buckets".to_owned());
    let delta = message.delta;
    if !(-MAX_UNITS..=MAX_UNITS).contains(&delta) {
        faults.add("delta", format!("is {delta}; it must lie between -{MAX_UNITS} and {MAX_UNITS}"));
    }
    let reason = keep(&mut faults, reason(&message.reason), || "reason".to_owned());
    let request = (|| {
        Some(AdjustSupplyRequest {
            request_id: request_id?,
            fingerprint,
            resource: resource?,
            start: start?,
            buckets: buckets?,
            delta,
            reason: reason?,
        })
    })();
    finish(faults, request)
}

/// SetAllocation.
pub fn set_allocation(message: v1::SetAllocationRequest) -> Result<SetAllocationRequest, Vec<Fault>> {
    let fingerprint = fingerprint(&message);
    let mut faults = Faults::new();
    let request_id = keep(&mut faults, optional_id(&message.request_id), || "request_id".to_owned());
    let channel = keep(&mut faults, name(&message.channel), || "channel".to_owned());
    let resource = keep(&mut faults, ResourceId::new(&message.resource), || "resource".to_owned());
    let start = keep(&mut faults, Start::parse(&message.start), || "start".to_owned());
    let units = numbers(&message.units, "units", &mut faults);
    let release_hours = keep(&mut faults, release_hours(message.release_hours), || "release_hours".to_owned());
    let most = if message.max_units.is_empty() {
        Some(None)
    } else {
        let seen = message.max_units.len();
        if seen != message.units.len() {
            let wanted = message.units.len();
            faults
                .add("max_units", format!("has {seen} numbers and `units` {wanted}; none or one a bucket are needed"));
        }
        numbers(&message.max_units, "max_units", &mut faults).map(Some)
    };
    for (i, (&most, &units)) in message.max_units.iter().zip(&message.units).enumerate() {
        if (0..units).contains(&most) {
            faults.add(format!("max_units[{i}]"), format!("is {most}, less than the {units} that are set aside"));
        }
    }
    if message.units.is_empty() {
        faults.add("units", "is empty; one number a bucket is needed");
    }
    let request = (|| {
        Some(SetAllocationRequest {
            request_id: request_id?,
            fingerprint,
            channel: channel?,
            resource: resource?,
            start: start?,
            units: units?,
            release_hours: release_hours?,
            most: most?,
        })
    })();
    finish(faults, request)
}

/// One number a bucket.
fn numbers(units: &[i64], path: &str, faults: &mut Faults) -> Option<Vec<i64>> {
    let seen = units.len();
    if seen > MAX_ADJUSTED_BUCKETS {
        faults.add(path, format!("has {seen} numbers; at most {MAX_ADJUSTED_BUCKETS} are taken"));
        return None;
    }
    for (i, &units) in units.iter().enumerate().filter(|(_, units)| !(0..=MAX_UNITS).contains(*units)) {
        faults.add(format!("{path}[{i}]"), format!("is {units}; it must lie between 0 and {MAX_UNITS}"));
    }
    Some(units.to_vec())
}

/// ListBuckets: of one resource, or of all of a site.
pub fn list_buckets(message: v1::ListBucketsRequest) -> Result<BucketsRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let of = match (message.resource.as_str(), message.site.as_str()) {
        ("", "") => {
            faults.add("resource", "is empty, and `site` too; name one of them");
            None
        }
        (resource, "") => {
            keep(&mut faults, ResourceId::new(resource), || "resource".to_owned()).map(BucketsOf::Resource)
        }
        ("", site) => keep(&mut faults, name(site), || "site".to_owned()).map(BucketsOf::Site),
        _ => {
            faults.add("site", "is named beside `resource`; name one of them");
            None
        }
    };
    let from = keep(&mut faults, optional_day(&message.from), || "from".to_owned());
    let days = keep(&mut faults, number_of(message.days, DEFAULT_BUCKET_DAYS, MAX_BUCKET_DAYS), || "days".to_owned());
    let request = (|| Some(BucketsRequest { of: of?, from: from?, days: days? }))();
    finish(faults, request)
}

/// ListReservations. A page size above the maximum is lowered to it.
pub fn list_reservations(message: v1::ListReservationsRequest) -> Result<ReservationsRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let limit = number_of(message.page_size.min(MAX_PAGE_SIZE), DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
    let limit = keep(&mut faults, limit, || "page_size".to_owned()).and_then(|n| usize::try_from(n).ok());
    let after = match message.page_token.as_str() {
        "" => Some(None),
        token => keep(&mut faults, after_page(token), || "page_token".to_owned()).map(Some),
    };
    let resource = keep(&mut faults, optional_name(&message.resource), || "resource".to_owned());
    let state = keep(&mut faults, state(message.state), || "state".to_owned());
    let (at_risk, backlog) = (message.at_risk, message.backlog);
    let request = (|| {
        Some(ReservationsRequest {
            after: after?,
            limit: limit?,
            at_risk,
            resource: resource?.map(ResourceId::from),
            state: state?,
            backlog,
        })
    })();
    finish(faults, request)
}

fn state(number: i32) -> Result<Option<State>, String> {
    match v1::reservation::State::try_from(number) {
        Ok(v1::reservation::State::Unspecified) => Ok(None),
        Ok(v1::reservation::State::Held) => Ok(Some(State::Held)),
        Ok(v1::reservation::State::Confirmed) => Ok(Some(State::Confirmed)),
        Ok(v1::reservation::State::Released) => Ok(Some(State::Released)),
        Ok(v1::reservation::State::Expired) => Ok(Some(State::Expired)),
        Ok(v1::reservation::State::Fulfilled) => Ok(Some(State::Fulfilled)),
        Err(_) => Err(unknown_number(number)),
    }
}

/// WatchEvents: from where on.
pub fn watch_events(message: v1::WatchEventsRequest) -> Result<Since, Vec<Fault>> {
    let mut faults = Faults::new();
    let since = match message.cursor.as_str() {
        "" => Some(Since::Now),
        text => {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let cursor = digits.then(|| text.parse().ok()).flatten();
            let wrong = || "is not a cursor of an event; leave it empty, or send \"0\"".to_owned();
            keep(&mut faults, cursor.ok_or_else(wrong), || "cursor".to_owned()).map(Since::Cursor)
        }
    };
    finish(faults, since)
}
