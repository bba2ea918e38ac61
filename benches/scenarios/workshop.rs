//! The business that most pieces are measured on: a workshop that cuts, engraves and packs, with a courier who takes so many parcels
//! a day. 90 days of day buckets.

use std::sync::Arc;

use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::bucket::{BucketLevel, Bucketing};
use surety::domain::id::ReservationId;
use surety::domain::levels::Levels;
use surety::domain::network::*;
use surety::domain::reservation::Fingerprint;
use surety::domain::time::{Day, Moment, Span};
use surety::ledger::command::{Command, Hold};
use surety::ledger::rules::State;
use surety::planner::{Detail, Planned, quote, resolve};

/// 2026-12-01T08:00Z, a Tuesday.
pub const NOW: Moment = Moment(1_796_112_000_000_000);
/// Days that are planned.
pub const DAYS: i32 = 90;

fn capacity(id: &str, units: i64) -> ResourceSpec {
    ResourceSpec {
        id: id.to_owned(),
        site: "lej".to_owned(),
        display_name: String::new(),
        kind: Some(Kind::Capacity),
        unit: String::new(),
        bucket: Ok(Bucketing::DAYS),
        weekly: vec![WeeklySpec { days: vec![0, 1, 2, 3, 4], units, ..Default::default() }],
        closed: Vec::new(),
        horizon_days: DAYS,
    }
}

fn step(resource: &str, cutoff: &str, lead_days: i32) -> StepSpec {
    StepSpec {
        resource: resource.to_owned(),
        per_line: 1,
        per_item: 2,
        divisible: false,
        cutoff: cutoff.to_owned(),
        lead_time: Ok(Span::ZERO),
        lead_days,
    }
}

/// The network.
pub fn network() -> Network {
    let spec = NetworkSpec {
        sites: vec![SiteSpec { id: "lej".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..Default::default() }],
        zones: vec![ZoneSpec { id: "de".to_owned(), time_zone: "Europe/Berlin".to_owned(), ..Default::default() }],
        resources: vec![capacity("cut", 60), capacity("engrave", 45), capacity("pack", 80), capacity("courier", 30)],
        processes: vec![ProcessSpec {
            id: "make".to_owned(),
            steps: vec![step("cut", "12:00", 0), step("engrave", "", 1), step("pack", "15:00", 0)],
        }],
        products: vec![ProductSpec {
            sku: "mug".to_owned(),
            sources: vec![SourceSpec { site: "lej".to_owned(), process: "make".to_owned(), ..Default::default() }],
            ..Default::default()
        }],
        lanes: vec![LaneSpec {
            id: "std".to_owned(),
            site: "lej".to_owned(),
            zone: "de".to_owned(),
            service: "standard".to_owned(),
            departure_days: vec![0, 1, 2, 3, 4],
            departure_time: "17:30".to_owned(),
            transit_days: 1,
            delivery_days: vec![0, 1, 2, 3, 4, 5],
            holidays: vec!["2026-12-25".to_owned()],
            resource: "courier".to_owned(),
            per_shipment: 1,
            per_item: 0,
            transit_time: Ok(None),
        }],
        channels: Vec::new(),
    };
    Network::build(spec, NOW).expect("a sound network")
}

/// The day that lies so many days ahead.
pub fn day(ahead: i32) -> Day {
    Day((NOW.0 / 86_400_000_000) as i32 + ahead)
}

/// Every bucket of a resource with this supply, of which half is drawn; of the first `full` days all of it.
pub fn buckets(supply: i64, full: i32) -> Vec<(i32, BucketLevel)> {
    let level = |i: i32| BucketLevel {
        set: Some(supply),
        confirmed: if i < full { supply } else { supply / 2 },
        ..Default::default()
    };
    (0..DAYS).map(|i| (day(i).0, level(i))).collect()
}

/// All resources' levels, with little supply.
pub fn levels(network: &Network, full: i32) -> Vec<Levels> {
    network.resources().iter().map(|_| Levels::new(buckets(60, full))).collect()
}

/// Three mugs.
pub fn ask(when: When) -> Ask {
    Ask {
        lines: vec![Line { sku: Arc::from("mug"), quantity: 3 }],
        destination: Destination::Zone(Arc::from("de")),
        when,
        service: None,
        channel: None,
        offer: None,
        shipments: Shipments::Together,
        min_confidence: None,
    }
}

/// The answer to an ask on these levels.
pub fn planned(network: &Network, levels: &[Levels], ask: &Ask) -> Planned {
    let resolved = resolve(network, ask, |_| false).expect("all names known");
    quote(network, levels, &resolved, NOW, NOW, Detail::Full)
}

/// The request id of this number.
pub fn id(number: usize) -> ReservationId {
    ReservationId::new(&format!("{number:032x}")).expect("an id")
}

/// So many holds of three mugs, from this number on, each a minute longer than the one before.
pub fn holds(numbers: std::ops::Range<usize>) -> Vec<Command> {
    let network = network();
    let ask = Arc::new(ask(When::ByDate(day(30))));
    let Planned { answer, mut takes } = planned(&network, &levels(&network, 0), &ask);
    // Where nothing was set, as on a new Redis, there is no end of supply either.
    takes.iter_mut().for_each(|take| take.standing = 1 << 40);
    let answer = Arc::new(answer);
    let promise = answer.promise.clone().expect("a promise");
    let hold = |number: usize| {
        Command::Hold(Box::new(Hold {
            id: id(number),
            fingerprint: Fingerprint(number as u128),
            network_version: 0,
            ask: Arc::clone(&ask),
            answer: Arc::clone(&answer),
            promise: Arc::clone(&promise),
            takes: takes.clone(),
            hold: Span::minutes(number as i64 + 1),
            reference: Arc::from("order-4711"),
        }))
    };
    numbers.map(hold).collect()
}

/// What the ledger knows of the workshop, with this supply in each bucket.
pub fn state(supply: i64) -> State {
    let mut state = State::new();
    for resource in network().resources() {
        state.load_levels(resource.id.clone(), buckets(supply, 0));
    }
    state
}
