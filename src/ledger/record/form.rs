//! The messages of the stored form, with their tags. Fields may be added with new tags; none changes its meaning.

/// A network.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Head {
    #[prost(int64, tag = "1")]
    pub version: i64,
    #[prost(uint32, tag = "2")]
    pub parts: u32,
    #[prost(int64, tag = "3")]
    pub applied_at: i64,
}

/// What is set aside.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PoolLevel {
    #[prost(string, tag = "1")]
    pub pool: String,
    #[prost(int64, tag = "3")]
    pub set: i64,
    #[prost(int64, tag = "4")]
    pub used: i64,
    #[prost(int64, tag = "5")]
    pub release_at: i64,
}

/// What a channel has drawn, and may.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChannelLevel {
    #[prost(string, tag = "1")]
    pub channel: String,
    #[prost(int64, tag = "2")]
    pub drawn: i64,
    #[prost(int64, optional, tag = "3")]
    pub most: Option<i64>,
}

/// A bucket.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Bucket {
    #[prost(int64, optional, tag = "1")]
    pub set: Option<i64>,
    #[prost(int64, tag = "2")]
    pub held: i64,
    #[prost(int64, tag = "3")]
    pub confirmed: i64,
    #[prost(int64, tag = "4")]
    pub fulfilled: i64,
    #[prost(message, repeated, tag = "5")]
    pub pools: Vec<PoolLevel>,
    #[prost(message, repeated, tag = "6")]
    pub channels: Vec<ChannelLevel>,
}

/// A line of an ask.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Line {
    #[prost(string, tag = "1")]
    pub sku: String,
    #[prost(int32, tag = "2")]
    pub quantity: i32,
}

/// A destination by address.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Address {
    #[prost(string, tag = "1")]
    pub country: String,
    #[prost(string, tag = "2")]
    pub postal_code: String,
}

/// A window of time.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Window {
    #[prost(int64, tag = "1")]
    pub from: i64,
    #[prost(int64, tag = "2")]
    pub to: i64,
}

/// What was asked; at most one of the destinations and one of the whens is set.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Ask {
    #[prost(message, repeated, tag = "1")]
    pub lines: Vec<Line>,
    #[prost(string, optional, tag = "2")]
    pub zone: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub address: Option<Address>,
    #[prost(sint32, optional, tag = "4")]
    pub by_date: Option<i32>,
    #[prost(int64, optional, tag = "5")]
    pub by_time: Option<i64>,
    #[prost(sint32, optional, tag = "6")]
    pub on_date: Option<i32>,
    #[prost(message, optional, tag = "7")]
    pub in_window: Option<Window>,
    #[prost(string, optional, tag = "8")]
    pub service: Option<String>,
    #[prost(string, optional, tag = "9")]
    pub channel: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub offer: Option<String>,
    #[prost(bool, tag = "11")]
    pub split: bool,
    #[prost(uint32, optional, tag = "12")]
    pub min_confidence: Option<u32>,
}

/// A shipment.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Shipment {
    #[prost(message, repeated, tag = "1")]
    pub lines: Vec<Line>,
    #[prost(string, tag = "2")]
    pub site: String,
    #[prost(string, tag = "3")]
    pub lane: String,
    #[prost(int64, tag = "4")]
    pub ships_at: i64,
    #[prost(int64, tag = "5")]
    pub arrives_by: i64,
    #[prost(sint32, tag = "6")]
    pub date: i32,
}

/// A promise.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Promise {
    #[prost(sint32, tag = "1")]
    pub date: i32,
    #[prost(int64, tag = "2")]
    pub arrives_from: i64,
    #[prost(int64, tag = "3")]
    pub arrives_by: i64,
    #[prost(int64, tag = "4")]
    pub ships_at: i64,
    #[prost(int64, tag = "5")]
    pub order_by: i64,
    #[prost(message, repeated, tag = "6")]
    pub shipments: Vec<Shipment>,
    #[prost(uint32, optional, tag = "7")]
    pub confidence: Option<u32>,
}

/// A bottleneck.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Bottleneck {
    #[prost(string, optional, tag = "1")]
    pub resource: Option<String>,
    #[prost(string, tag = "2")]
    pub site: String,
    #[prost(int64, tag = "3")]
    pub from: i64,
    #[prost(int64, tag = "4")]
    pub to: i64,
    #[prost(int64, tag = "5")]
    pub wanted: i64,
    #[prost(int64, tag = "6")]
    pub available: i64,
    #[prost(string, tag = "7")]
    pub explanation: String,
}

/// An alternative.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Alternative {
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(message, repeated, tag = "2")]
    pub lines: Vec<Line>,
    #[prost(string, tag = "3")]
    pub service: String,
    #[prost(message, optional, tag = "4")]
    pub promise: Option<Promise>,
}

/// An answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(uint32, tag = "1")]
    pub verdict: u32,
    #[prost(message, optional, tag = "2")]
    pub promise: Option<Promise>,
    #[prost(message, repeated, tag = "3")]
    pub bottlenecks: Vec<Bottleneck>,
    #[prost(message, repeated, tag = "4")]
    pub alternatives: Vec<Alternative>,
    #[prost(int64, tag = "5")]
    pub as_of: i64,
}

/// A draw.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Draw {
    #[prost(string, tag = "1")]
    pub resource: String,
    #[prost(sint32, tag = "2")]
    pub index: i32,
    #[prost(int64, tag = "3")]
    pub from: i64,
    #[prost(int64, tag = "4")]
    pub to: i64,
    #[prost(string, tag = "5")]
    pub pool: String,
    #[prost(int64, tag = "6")]
    pub units: i64,
}

/// An amendment that was made.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Amendment {
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub fingerprint: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub verdict: u32,
    #[prost(message, repeated, tag = "4")]
    pub bottlenecks: Vec<Bottleneck>,
}

/// An entry of a reservation's history.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct History {
    #[prost(int64, tag = "1")]
    pub at: i64,
    #[prost(int64, tag = "2")]
    pub version: i64,
    #[prost(uint32, tag = "3")]
    pub state: u32,
    #[prost(sint32, tag = "4")]
    pub date: i32,
    #[prost(string, tag = "5")]
    pub what: String,
    #[prost(string, tag = "6")]
    pub reason: String,
}

/// A reservation; a promise that is not set is that of the first answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Reservation {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(uint32, tag = "2")]
    pub state: u32,
    #[prost(message, optional, tag = "3")]
    pub ask: Option<Ask>,
    #[prost(message, optional, tag = "4")]
    pub promise: Option<Promise>,
    #[prost(message, repeated, tag = "5")]
    pub draws: Vec<Draw>,
    #[prost(int64, tag = "6")]
    pub created_at: i64,
    #[prost(int64, tag = "7")]
    pub expires_at: i64,
    #[prost(int64, optional, tag = "8")]
    pub ended_at: Option<i64>,
    #[prost(string, tag = "9")]
    pub reference: String,
    #[prost(bool, tag = "10")]
    pub at_risk: bool,
    #[prost(int64, tag = "11")]
    pub version: i64,
    #[prost(sint32, tag = "12")]
    pub first_date: i32,
    #[prost(bytes = "vec", tag = "13")]
    pub fingerprint: Vec<u8>,
    #[prost(message, optional, tag = "14")]
    pub first_answer: Option<Answer>,
    #[prost(message, repeated, tag = "15")]
    pub amendments: Vec<Amendment>,
    #[prost(message, repeated, tag = "16")]
    pub history: Vec<History>,
    #[prost(bool, tag = "17")]
    pub fixed: bool,
    #[prost(int64, optional, tag = "18")]
    pub shipped_at: Option<i64>,
    #[prost(int64, optional, tag = "19")]
    pub delivered_at: Option<i64>,
}

/// A zone's share of an offer.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ZoneShare {
    #[prost(string, tag = "1")]
    pub zone: String,
    #[prost(uint32, tag = "2")]
    pub billionths: u32,
}

/// A day of an offer's report.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OfferDay {
    #[prost(sint32, tag = "1")]
    pub date: i32,
    #[prost(int64, tag = "2")]
    pub asked: i64,
    #[prost(int64, tag = "3")]
    pub deliverable: i64,
    #[prost(sint32, optional, tag = "4")]
    pub last_arrival: Option<i32>,
    #[prost(string, optional, tag = "5")]
    pub bottleneck: Option<String>,
}

/// What operations would have to add.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Shortfall {
    #[prost(string, tag = "1")]
    pub resource: String,
    #[prost(sint32, tag = "2")]
    pub first_date: i32,
    #[prost(sint32, tag = "3")]
    pub last_date: i32,
    #[prost(int64, tag = "4")]
    pub units: i64,
    #[prost(int64, tag = "5")]
    pub peak_units: i64,
}

/// What of an offer can be kept.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OfferReport {
    #[prost(uint32, tag = "1")]
    pub verdict: u32,
    #[prost(int64, tag = "2")]
    pub orders_asked: i64,
    #[prost(int64, tag = "3")]
    pub orders_deliverable: i64,
    #[prost(message, repeated, tag = "4")]
    pub days: Vec<OfferDay>,
    #[prost(message, repeated, tag = "5")]
    pub shortfalls: Vec<Shortfall>,
    #[prost(sint32, optional, tag = "6")]
    pub tightest_within_days: Option<i32>,
    #[prost(int64, tag = "7")]
    pub deliverable_percent: i64,
}

/// Units set aside in a bucket.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Envelope {
    #[prost(string, tag = "1")]
    pub resource: String,
    #[prost(sint32, tag = "2")]
    pub index: i32,
    #[prost(int64, tag = "3")]
    pub units: i64,
}

/// An offer that was approved; one of the two advertised is set, and `total` or else `orders`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ApprovedOffer {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub display_name: String,
    #[prost(message, repeated, tag = "3")]
    pub lines: Vec<Line>,
    #[prost(message, repeated, tag = "4")]
    pub zones: Vec<ZoneShare>,
    #[prost(string, optional, tag = "5")]
    pub service: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub channel: Option<String>,
    #[prost(sint32, tag = "7")]
    pub starts: i32,
    #[prost(sint32, tag = "8")]
    pub ends: i32,
    #[prost(sint32, optional, tag = "9")]
    pub within_days: Option<i32>,
    #[prost(sint32, optional, tag = "10")]
    pub by: Option<i32>,
    #[prost(int64, optional, tag = "11")]
    pub total: Option<i64>,
    #[prost(int64, repeated, tag = "12")]
    pub orders: Vec<i64>,
    #[prost(bool, tag = "13")]
    pub closed: bool,
    #[prost(int64, tag = "14")]
    pub version: i64,
    #[prost(string, tag = "15")]
    pub request_id: String,
    #[prost(bytes = "vec", tag = "16")]
    pub fingerprint: Vec<u8>,
    #[prost(int64, tag = "17")]
    pub approved_at: i64,
    #[prost(int64, optional, tag = "18")]
    pub closed_at: Option<i64>,
    #[prost(int64, tag = "19")]
    pub ends_at: i64,
    #[prost(int32, tag = "20")]
    pub release_hours: i32,
    #[prost(int64, tag = "21")]
    pub orders_set_aside: i64,
    #[prost(message, repeated, tag = "22")]
    pub envelope: Vec<Envelope>,
    #[prost(message, optional, tag = "23")]
    pub report: Option<OfferReport>,
}

/// A bucket's place, and what it holds.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct At {
    #[prost(string, tag = "1")]
    pub resource: String,
    #[prost(sint32, tag = "2")]
    pub index: i32,
    #[prost(message, optional, tag = "3")]
    pub level: Option<Bucket>,
}

/// A change; one of its fields is set, and none where a later version wrote a kind that is unknown here. Reservations
/// are records of their own, as bytes: they are made once for their row and their entry.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Change {
    #[prost(message, optional, tag = "1")]
    pub bucket: Option<At>,
    #[prost(message, optional, tag = "2")]
    pub forgotten: Option<At>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub reservation: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub undone: Option<Vec<u8>>,
    #[prost(int64, optional, tag = "5")]
    pub network: Option<i64>,
    #[prost(int64, optional, tag = "6")]
    pub applied_at: Option<i64>,
    #[prost(message, optional, tag = "7")]
    pub offer: Option<ApprovedOffer>,
}

/// A tally.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Tally {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, tag = "2")]
    pub number: i64,
}

/// An entry of the feed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Entry {
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    #[prost(int64, tag = "2")]
    pub at: i64,
    #[prost(message, repeated, tag = "3")]
    pub changes: Vec<Change>,
}

/// An adjustment of supply.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Adjustment {
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub fingerprint: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub at: i64,
    #[prost(string, tag = "4")]
    pub resource: String,
    #[prost(sint32, tag = "5")]
    pub first: i32,
    #[prost(message, repeated, tag = "6")]
    pub levels: Vec<Bucket>,
    #[prost(int64, tag = "7")]
    pub delta: i64,
    #[prost(string, tag = "8")]
    pub reason: String,
}

/// The instant of an entry of the feed, without the rest of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EntryAt {
    #[prost(int64, tag = "2")]
    pub at: i64,
}
