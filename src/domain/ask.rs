//! Asks: "can we promise these lines, there, by then?"

use std::sync::Arc;

use super::share::Share;
use super::time::{Day, Moment};

/// So many items of one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The product.
    pub sku: Arc<str>,
    /// Items, 1 to `MAX_QUANTITY`.
    pub quantity: i32,
}

/// Where the promise is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A zone, by its id.
    Zone(Arc<str>),
    /// An address, which a zone's postal prefixes map to it.
    Address {
        /// ISO 3166-1 alpha-2, as the caller wrote it.
        country: Arc<str>,
        /// As the caller wrote it.
        postal_code: Arc<str>,
    },
}

/// Y (rule 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as possible.
    Any,
    /// `date <= Y`.
    ByDate(Day),
    /// `arrives_by <= Y`.
    ByTime(Moment),
    /// `date = Y`, as late as it can be.
    OnDate(Day),
    /// The slot lies in the window; as late as it can be. `from < to`.
    InWindow {
        /// The window's beginning.
        from: Moment,
        /// The window's end.
        to: Moment,
    },
}

/// How lines may be parted (rule 16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shipments {
    /// One date for all lines.
    #[default]
    Together,
    /// Each line on its own, split over sources and dates where that helps.
    Split,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// 1 to `MAX_LINES` lines, in the caller's order.
    pub lines: Vec<Line>,
    /// Where to.
    pub destination: Destination,
    /// Y.
    pub when: When,
    /// A lane's level of service; none: any.
    pub service: Option<Arc<str>>,
    /// Who is asking; none: common capacity only.
    pub channel: Option<Arc<str>>,
    /// The offer that the order redeems.
    pub offer: Option<Arc<str>>,
    /// Together or split.
    pub shipments: Shipments,
    /// How sure the date must be: the share of comparable past promises that would have been kept with it.
    pub min_confidence: Option<Share>,
}
