//! The network that all scenarios serve: small and scarce, so that clients contend for it and are often refused; and what is
//! asked of it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use surety::clock::{Clock, SystemClock};
use surety::proto::v1::ask::When;
use surety::proto::v1::*;

use crate::dice::Dice;

/// Days that are asked for, from tomorrow on.
pub const DAYS: i64 = 10;
/// Units of each day's buckets: a few holds fill one.
pub const SLOTS: i64 = 10;
pub const VANS: i64 = 6;
pub const MUGS: i64 = 40;
/// Capacity that nobody runs out of, by which it is seen whether holds succeed at all.
pub const ROOM: i64 = 1_000_000;
/// Supply that nobody draws on and many adjust.
pub const SPARE: i64 = 100_000;

/// Microseconds since 1970, by the clock that Redis on this machine has too.
pub fn now() -> i64 {
    SystemClock::new().now().0
}

/// The same, to be printed.
pub fn told() -> Timestamp {
    Timestamp::from_microsecond(now()).expect("an instant of this era")
}

pub fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).expect("not that long")
}

/// A day so many days from today.
pub fn day(ahead: i64) -> String {
    let today = told().to_zoned(jiff::tz::TimeZone::UTC).date();
    today.checked_add(jiff::Span::new().days(ahead)).expect("a day of this era").to_string()
}

pub fn network() -> Network {
    let all = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
    let all: Vec<String> = all.iter().map(|day| format!("WEEKDAY_{day}")).collect();
    let capacity = |id: &str, units: i64| {
        json!({ "id": id, "site": "lej", "kind": "KIND_CAPACITY", "horizon_days": 60,
                "weekly": [{ "days": all, "units": units }] })
    };
    let document = json!({
        "sites": [{ "id": "lej", "time_zone": "UTC" }],
        "zones": [{ "id": "de", "time_zone": "UTC" }],
        "resources": [
            capacity("slot", SLOTS), capacity("van", VANS), capacity("room", ROOM), capacity("spare", SPARE),
            { "id": "mugs", "site": "lej", "kind": "KIND_STOCK" },
        ],
        "processes": [
            { "id": "make", "steps": [{ "resource": "slot", "per_item": 1 }] },
            { "id": "roomy", "steps": [{ "resource": "room", "per_item": 1 }] },
        ],
        "products": [
            { "sku": "card", "sources": [{ "site": "lej", "process": "make" }] },
            { "sku": "mug", "sources": [{ "site": "lej", "stock": "mugs", "process": "make" }] },
            { "sku": "air", "sources": [{ "site": "lej", "process": "roomy" }] },
        ],
        "lanes": [
            { "id": "van", "site": "lej", "zone": "de", "service": "van", "resource": "van", "per_shipment": 1 },
            { "id": "free", "site": "lej", "zone": "de", "service": "free" },
        ],
    });
    serde_json::from_value(document).expect("a network")
}

/// The stock, in the form of a plan; all else is by the week.
pub fn plan() -> SetSupplyRequest {
    let line = SupplyLine { resource: "mugs".into(), start: day(0), units: vec![MUGS] };
    SetSupplyRequest { lines: vec![line] }
}

/// What a client asks for: two or three draws on scarce buckets.
pub fn scarce(dice: &mut Dice) -> Ask {
    let sku = if dice.once_in(3) { "mug" } else { "card" };
    let date = day(dice.range(1, DAYS + 1));
    let when = if dice.once_in(2) { When::OnDate(date) } else { When::ByDate(date) };
    Ask {
        lines: vec![Line { sku: sku.into(), quantity: dice.range(1, 4) as i32 }],
        destination: Some(Destination { to: Some(destination::To::Zone("de".into())) }),
        service: "van".into(),
        when: Some(when),
        ..Default::default()
    }
}

/// What can always be had.
pub fn roomy() -> Ask {
    Ask {
        lines: vec![Line { sku: "air".into(), quantity: 1 }],
        destination: Some(Destination { to: Some(destination::To::Zone("de".into())) }),
        service: "free".into(),
        when: Some(When::ByDate(day(DAYS))),
        ..Default::default()
    }
}

pub fn hold(id: &str, ask: Ask, time: Duration) -> QuoteRequest {
    QuoteRequest { request_id: id.into(), ask: Some(ask), hold: Some(duration(time)), ..Default::default() }
}

pub fn duration(time: Duration) -> pbjson_types::Duration {
    pbjson_types::Duration { seconds: time.as_secs() as i64, nanos: time.subsec_nanos() as i32 }
}

/// An instant of the contract in microseconds.
pub fn instant(stamp: &Option<pbjson_types::Timestamp>) -> Option<i64> {
    stamp.as_ref().map(|stamp| stamp.seconds * 1_000_000 + i64::from(stamp.nanos) / 1_000)
}
