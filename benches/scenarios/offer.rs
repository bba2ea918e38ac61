//! The check of an offer on the example of a shop: a million orders within 5 days, over 90 days and ten zones.

use std::hint::black_box;

use surety::domain::ask::Line;
use surety::domain::bucket::BucketLevel;
use surety::domain::levels::Levels;
use surety::domain::network::Network;
use surety::domain::offer::{Advertised, Expected, Offer, ZoneShare};
use surety::domain::time::{Day, TimeOfDay};
use surety::edge::from_proto;
use surety::planner::check_offer;

use super::Turn;
use super::workshop::{NOW, day};

const ZONES: [&str; 10] =
    ["de-berlin", "de-east", "de-north", "de-west", "de-central", "de-southwest", "de-south", "at", "ch", "benelux"];

/// The example's network with its plan, at the day on which its tour begins.
pub fn shop() -> (Network, Vec<Levels>) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shop");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).expect("the example");
    let (message, _) =
        surety::files::network::read("network.yaml", read("network.yaml").as_bytes()).expect("a network");
    let network = from_proto::network(message, NOW).expect("a sound network");
    let mut levels = vec![Levels::default(); network.resources().len()];
    for line in read("plan.csv").lines().skip(1) {
        let [resource, start, units] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let at = network.find_resource(resource).expect("a resource");
        let (date, time) = start.split_once('T').unwrap_or((start, "00:00"));
        let time = TimeOfDay::parse(time).expect("a time");
        let first = network.resource(at).bucketing.named(Day::parse(date).expect("a date"), time).expect("a bucket");
        let level = BucketLevel { set: Some(units.parse().expect("units")), ..Default::default() };
        levels[at.at()].put(first, level);
    }
    (network, levels)
}

/// An offer of one item, over 90 days from today, in equal parts to ten zones.
pub fn offer(sku: &str, orders: i64, service: Option<&str>, within_days: i32) -> Offer {
    Offer {
        id: "season".into(),
        display_name: "".into(),
        lines: vec![Line { sku: sku.into(), quantity: 1 }],
        zones: ZONES.map(|zone| ZoneShare { zone: zone.into(), billionths: 100_000_000 }).to_vec(),
        service: service.map(Into::into),
        channel: None,
        starts: day(0),
        ends: day(89),
        advertised: Advertised::WithinDays(within_days),
        orders: Expected::Total(orders),
    }
}

pub fn check(_: usize) -> Turn {
    let (network, levels) = shop();
    let offer = offer("mug-white", 1_000_000, None, 5);
    Box::new(move |_| {
        let checked = check_offer(&network, &levels[..], black_box(&offer), &[], NOW).expect("known names");
        assert!(checked.orders > 0);
    })
}
