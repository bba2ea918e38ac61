//! The shape of a network document: every message's fields by their names in the contract, and what each is read as.

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
}
