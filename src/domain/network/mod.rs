//! The network: who can do what, where, and how long it takes. Checked as a whole, then read by index.

mod build;
mod postal;
mod spec;

use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use spec::{
    ChannelSpec, Kind, LaneSpec, NetworkSpec, ProcessSpec, ProductSpec, ResourceSpec, SiteSpec, SourceSpec, StepSpec,
    WeeklySpec, ZoneSpec,
};

use super::bucket::Bucketing;
use super::calendar::Calendar;
use super::id::ResourceId;
use super::time::{Day, Moment, Span, TimeOfDay, Weekdays};

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The place in the network's list.
            pub fn new(at: usize) -> Self {
                Self(u32::try_from(at).expect("the limits on networks keep indexes small"))
            }

            /// The place in the network's list.
            pub fn at(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index!(
    /// A site, by its place in the network.
    SiteIdx,
    /// A zone, by its place in the network.
    ZoneIdx,
    /// A resource, by its place in the network.
    ResourceIdx,
    /// A process, by its place in the network.
    ProcessIdx,
    /// A product, by its place in the network.
    ProductIdx,
    /// A lane, by its place in the network.
    LaneIdx,
    /// A channel, by its place in the network.
    ChannelIdx,
);

/// A place where work is done or goods are kept.
#[derive(Debug)]
pub struct Site {
    /// Its name.
    pub id: Arc<str>,
    /// For people; the id where none was given.
    pub display_name: Arc<str>,
    /// The civil time of its work and departures.
    pub calendar: Arc<Calendar>,
}

/// Where a promise is kept.
#[derive(Debug)]
pub struct Zone {
    /// Its name.
    pub id: Arc<str>,
    /// The civil time of its deliveries.
    pub calendar: Arc<Calendar>,
}

/// Anything finite that a promise uses up.
#[derive(Debug)]
pub struct Resource {
    /// Its name, unique in the network.
    pub id: ResourceId,
    /// For people; the id where none was given.
    pub display_name: Arc<str>,
    /// Where it is.
    pub site: SiteIdx,
    /// Perishable or storable (rule 4).
    pub kind: Kind,
    /// What its units are, for people: "minutes"; "units" where none was given.
    pub unit: Arc<str>,
    /// How its time is cut (rule 2).
    pub bucketing: Bucketing,
    /// The standing plan: units by weekday (Monday first) and place in the day; none: nothing stands (rule 3).
    pub weekly: Option<Box<[i64]>>,
    /// Days without standing supply, ascending.
    pub closed: Box<[Day]>,
    /// How many days from today on the standing plan reaches.
    pub horizon_days: i32,
    /// The first day of the standing plan: the day, at its site, on which the network was applied.
    pub since: Day,
}

/// One step of a process (rule 7).
#[derive(Debug)]
pub struct Step {
    /// What it draws on; none: a wait.
    pub resource: Option<ResourceIdx>,
    /// Units a line.
    pub per_line: i64,
    /// Units an item.
    pub per_item: i64,
    /// Whether several buckets may give the draw together.
    pub divisible: bool,
    /// After which today's day bucket takes no new work; none: the day's end.
    pub cutoff: Option<TimeOfDay>,
    /// From its start until it is done.
    pub lead_time: Span,
    /// Then so many days with supply.
    pub lead_days: i32,
}

impl Step {
    /// The units that it draws for a line: `per_line + per_item x quantity` (rule 7).
    pub fn draw(&self, quantity: i32) -> i64 {
        self.per_line.saturating_add(self.per_item.saturating_mul(i64::from(quantity)))
    }
}

/// The ordered steps that make an order ready to leave.
#[derive(Debug)]
pub struct Process {
    /// Its name.
    pub id: Arc<str>,
    /// In order.
    pub steps: Box<[Step]>,
}

/// One way to supply a product.
#[derive(Debug)]
pub struct Source {
    /// Where.
    pub site: SiteIdx,
    /// One unit an item is drawn from it; none: made or served to order.
    pub stock: Option<ResourceIdx>,
    /// What is done with each line; none: nothing.
    pub process: Option<ProcessIdx>,
}

/// X in "can we promise X by date Y".
#[derive(Debug)]
pub struct Product {
    /// Its name.
    pub sku: Arc<str>,
    /// In order of preference, at least one.
    pub sources: Box<[Source]>,
    /// Offered when this one can't be promised.
    pub substitutes: Box<[ProductIdx]>,
}

/// How what is ready at a site reaches a zone (rules 8 to 11).
#[derive(Debug)]
pub struct Lane {
    /// Its name.
    pub id: Arc<str>,
    /// From where.
    pub site: SiteIdx,
    /// To where.
    pub zone: ZoneIdx,
    /// The level of service.
    pub service: Arc<str>,
    /// In the site's civil time.
    pub departure_days: Weekdays,
    /// In the site's civil time; none: leaves as soon as it is ready.
    pub departure_time: Option<TimeOfDay>,
    /// Delivery days from departure to arrival.
    pub transit_days: i32,
    /// In the zone's civil time.
    pub delivery_days: Weekdays,
    /// Neither departure nor delivery; ascending.
    pub holidays: Box<[Day]>,
    /// Finite transport; none: as much as one likes.
    pub resource: Option<ResourceIdx>,
    /// Units a shipment.
    pub per_shipment: i64,
    /// Units an item.
    pub per_item: i64,
    /// In place of `transit_days`.
    pub transit_time: Option<Span>,
}

impl Lane {
    /// Whether something can leave on this day of the site (rule 8).
    pub fn departs_on(&self, day: Day) -> bool {
        self.departure_days.contains(day) && self.holidays.binary_search(&day).is_err()
    }

    /// Whether something can arrive on this day of the zone (rule 9).
    pub fn delivers_on(&self, day: Day) -> bool {
        self.delivery_days.contains(day) && self.holidays.binary_search(&day).is_err()
    }
}

/// A demand class.
#[derive(Debug)]
pub struct Channel {
    /// Its name.
    pub id: Arc<str>,
    /// Higher keeps its date first.
    pub priority: i32,
}

/// A checked network.
#[derive(Debug)]
pub struct Network {
    sites: Vec<Site>,
    zones: Vec<Zone>,
    resources: Vec<Resource>,
    processes: Vec<Process>,
    products: Vec<Product>,
    lanes: Vec<Lane>,
    channels: Vec<Channel>,
    site_ids: FxHashMap<Arc<str>, SiteIdx>,
    zone_ids: FxHashMap<Arc<str>, ZoneIdx>,
    resource_ids: FxHashMap<ResourceId, ResourceIdx>,
    skus: FxHashMap<Arc<str>, ProductIdx>,
    lane_ids: FxHashMap<Arc<str>, LaneIdx>,
    channel_ids: FxHashMap<Arc<str>, ChannelIdx>,
    lanes_between: FxHashMap<(SiteIdx, ZoneIdx), Box<[LaneIdx]>>,
    postal: postal::PostalPrefixes,
}

macro_rules! lookups {
    ($($(#[$doc:meta])* $name:ident, $all:ident, $find:ident, $ids:ident: $idx:ident => $item:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self, at: $idx) -> &$item {
            &self.$all[at.at()]
        }

        /// All of them, in the order of the document.
        pub fn $all(&self) -> &[$item] {
            &self.$all
        }

        /// The one of this name, if there is one.
        pub fn $find(&self, name: &str) -> Option<$idx> {
            self.$ids.get(name).copied()
        }
    )*};
}

impl Network {
    /// Checks the document and makes it readable by index; else names every fault by its path. `applied_at` is where the standing
    /// plan begins and around which the tables of the calendars lie.
    pub fn build(spec: NetworkSpec, applied_at: Moment) -> Result<Network, Vec<super::faults::Fault>> {
        build::build(spec, applied_at)
    }

    /// A network of nothing.
    pub fn empty() -> Network {
        build::build(NetworkSpec::default(), Moment(0)).expect("nothing has no faults")
    }

    lookups! {
        /// A site.
        site, sites, find_site, site_ids: SiteIdx => Site;
        /// A zone.
        zone, zones, find_zone, zone_ids: ZoneIdx => Zone;
        /// A resource.
        resource, resources, find_resource, resource_ids: ResourceIdx => Resource;
        /// A product.
        product, products, find_product, skus: ProductIdx => Product;
        /// A lane.
        lane, lanes, find_lane, lane_ids: LaneIdx => Lane;
        /// A channel.
        channel, channels, find_channel, channel_ids: ChannelIdx => Channel;
    }

    /// A process.
    pub fn process(&self, at: ProcessIdx) -> &Process {
        &self.processes[at.at()]
    }

    /// The lanes from a site to a zone, in the order of the network (rule 14).
    pub fn lanes_between(&self, site: SiteIdx, zone: ZoneIdx) -> &[LaneIdx] {
        self.lanes_between.get(&(site, zone)).map_or(&[], |lanes| lanes)
    }

    /// The calendar of a resource's site.
    pub fn calendar_of(&self, resource: &Resource) -> &Calendar {
        &self.site(resource.site).calendar
    }

    /// The zone that an address lies in: of all zones' postal prefixes the longest that matches.
    pub fn zone_of_address(&self, country: &str, postal_code: &str) -> Option<ZoneIdx> {
        self.postal.find(country, postal_code)
    }
}
