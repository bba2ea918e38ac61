//! The network as its author wrote it: unchecked words and numbers, in the contract's shape. [`super::Network::build`] checks it.

use crate::domain::bucket::Bucketing;
use crate::domain::time::Span;

/// A whole network, unchecked.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct NetworkSpec {
    pub sites: Vec<SiteSpec>,
    pub zones: Vec<ZoneSpec>,
    pub resources: Vec<ResourceSpec>,
    pub processes: Vec<ProcessSpec>,
    pub products: Vec<ProductSpec>,
    pub lanes: Vec<LaneSpec>,
    pub channels: Vec<ChannelSpec>,
}

/// See `Site` in the contract.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct SiteSpec {
    pub id: String,
    pub display_name: String,
    pub time_zone: String,
}

/// See `Zone` in the contract.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct ZoneSpec {
    pub id: String,
    pub display_name: String,
    pub time_zone: String,
    pub postal_prefixes: Vec<String>,
}

/// What becomes of units that are not used in their bucket (rule 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// They are gone.
    Capacity,
    /// They wait.
    Stock,
}

/// See `Resource` in the contract.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ResourceSpec {
    pub id: String,
    pub site: String,
    pub display_name: String,
    /// None: not said, which is a fault.
    pub kind: Option<Kind>,
    pub unit: String,
    /// The edge turns the duration into buckets, or into the fault that it is.
    pub bucket: Result<Bucketing, String>,
    pub weekly: Vec<WeeklySpec>,
    pub closed: Vec<String>,
    pub horizon_days: i32,
}

/// See `WeeklySupply` in the contract. Weekdays are 0 for Monday to 6 for Sunday.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct WeeklySpec {
    pub days: Vec<usize>,
    pub from: String,
    pub to: String,
    pub units: i64,
}

/// See `Process` in the contract.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct ProcessSpec {
    pub id: String,
    pub steps: Vec<StepSpec>,
}

/// See `Step` in the contract.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct StepSpec {
    pub resource: String,
    pub per_line: i64,
    pub per_item: i64,
    pub divisible: bool,
    pub cutoff: String,
    pub lead_time: Result<Span, String>,
    pub lead_days: i32,
}

/// See `Product` in the contract.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct ProductSpec {
    pub sku: String,
    pub display_name: String,
    pub sources: Vec<SourceSpec>,
    pub substitutes: Vec<String>,
}

/// See `Source` in the contract.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct SourceSpec {
    pub site: String,
    pub stock: String,
    pub process: String,
}

/// See `Lane` in the contract. Weekdays are 0 for Monday to 6 for Sunday.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct LaneSpec {
    pub id: String,
    pub site: String,
    pub zone: String,
    pub service: String,
    pub departure_days: Vec<usize>,
    pub departure_time: String,
    pub transit_days: i32,
    pub delivery_days: Vec<usize>,
    pub holidays: Vec<String>,
    pub resource: String,
    pub per_shipment: i64,
    pub per_item: i64,
    pub transit_time: Result<Option<Span>, String>,
}

/// See `Channel` in the contract.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct ChannelSpec {
    pub id: String,
    pub display_name: String,
    pub priority: i32,
}
