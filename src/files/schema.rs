//! The shapes of network and offer documents: every message's fields by their names in the contract, and what each is read as.

use super::network::{Reader, Stop};
use crate::proto::v1;

/// A message that is read field by field.
pub(super) trait Fields: Default {
    /// The fields' names, as the contract has them.
    const NAMES: &'static [&'static str];

    /// Reads the value of the field of this place in `NAMES`.
    fn read(&mut self, field: usize, reader: &mut Reader<'_, '_>) -> Result<(), Stop>;
}

macro_rules! fields {
    ($($message:ty { $($field:ident: $how:ident),* $(,)? })*) => {$(
        impl Fields for $message {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            fn read(&mut self, field: usize, reader: &mut Reader<'_, '_>) -> Result<(), Stop> {
                match Self::NAMES[field] {
                    $(stringify!($field) => self.$field = reader.$how()?,)*
                    _ => unreachable!("the reader takes fields from NAMES"),
                }
                Ok(())
            }
        }
    )*};
}

fields! {
    v1::Network {
        sites: messages, zones: messages, resources: messages, processes: messages, products: messages, lanes: messages,
        channels: messages,
    }
    v1::Site { id: text, display_name: text, time_zone: text }
    v1::Zone { id: text, display_name: text, time_zone: text, postal_prefixes: texts }
    v1::Resource {
        id: text, site: text, display_name: text, kind: kind, unit: text, bucket: duration, weekly: messages, closed: texts,
        horizon_days: number,
    }
    v1::WeeklySupply { days: weekdays, from: text, to: text, units: number }
    v1::Process { id: text, steps: messages }
    v1::Step {
        resource: text, per_line: number, per_item: number, divisible: truth, cutoff: text, lead_time: duration,
        lead_days: number,
    }
    v1::Product { sku: text, display_name: text, sources: messages, substitutes: texts }
    v1::Source { site: text, stock: text, process: text }
    v1::Lane {
        id: text, site: text, zone: text, service: text, departure_days: weekdays, departure_time: text, transit_days: number,
        delivery_days: weekdays, holidays: texts, resource: text, per_shipment: number, per_item: number,
        transit_time: duration,
    }
    v1::Channel { id: text, display_name: text, priority: number }
    v1::Line { sku: text, quantity: number }
    v1::ZoneShare { zone: text, share: decimal }
    v1::SupposedSupply { resource: text, start: text, buckets: number, delta: number }
}

impl Fields for v1::Offer {
    const NAMES: &'static [&'static str] = &[
        "id",
        "display_name",
        "lines",
        "zones",
        "service",
        "channel",
        "starts",
        "ends",
        "within_days",
        "date",
        "orders",
    ];

    fn read(&mut self, field: usize, reader: &mut Reader<'_, '_>) -> Result<(), Stop> {
        use v1::offer::Promise;
        match Self::NAMES[field] {
            "id" => self.id = reader.text()?,
            "display_name" => self.display_name = reader.text()?,
            "lines" => self.lines = reader.messages()?,
            "zones" => self.zones = reader.messages()?,
            "service" => self.service = reader.text()?,
            "channel" => self.channel = reader.text()?,
            "starts" => self.starts = reader.text()?,
            "ends" => self.ends = reader.text()?,
            one @ ("within_days" | "date") => {
                let given = match one {
                    "date" => reader.placed_text()?.map(|(date, pos)| (Promise::Date(date), pos)),
                    _ => reader.placed_number()?.map(|(days, pos)| (Promise::WithinDays(days), pos)),
                };
                if let Some((promise, pos)) = given
                    && self.promise.replace(promise).is_some()
                {
                    reader
                        .fault(pos, "is given beside the other of within_days and date; an offer promises one of them");
                }
            }
            "orders" => self.orders = reader.numbers()?,
            _ => unreachable!("the reader takes fields from NAMES"),
        }
        Ok(())
    }
}

/// What an offer file may hold: an offer, or an offer and what is supposed.
#[derive(Default)]
pub(super) struct OfferDocument {
    /// The offer whose fields stand at the top.
    pub top: v1::Offer,
    /// Whether some of them do.
    pub has_top: bool,
    /// The offer that stands under `offer`.
    pub offer: Option<v1::Offer>,
    /// Changes of supply that are only supposed.
    pub suppose: Vec<v1::SupposedSupply>,
}

impl Fields for OfferDocument {
    // Those of the offer first, in its order.
    const NAMES: &'static [&'static str] = &[
        "id",
        "display_name",
        "lines",
        "zones",
        "service",
        "channel",
        "starts",
        "ends",
        "within_days",
        "date",
        "orders",
        "offer",
        "suppose",
    ];

    fn read(&mut self, field: usize, reader: &mut Reader<'_, '_>) -> Result<(), Stop> {
        match Self::NAMES[field] {
            "offer" => self.offer = reader.message()?,
            "suppose" => self.suppose = reader.messages()?,
            _ => {
                self.has_top = true;
                self.top.read(field, reader)?;
            }
        }
        Ok(())
    }
}
