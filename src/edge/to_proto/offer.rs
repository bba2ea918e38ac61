//! Offers, reports and suggestions to messages.

use super::{lines, stamp, timestamp, verdict};
use crate::app::response::{OfferRow, Suggested};
use crate::domain::offer::{Advertised, Expected, Offer, OfferReport, Shortfall};

use crate::proto::v1;

/// An offer, as marketing wrote it.
pub fn offer(o: &Offer) -> v1::Offer {
    let promise = match o.advertised {
        Advertised::WithinDays(days) => v1::offer::Promise::WithinDays(days),
        Advertised::By(day) => v1::offer::Promise::Date(day.to_string()),
    };
    let zones =
        o.zones.iter().map(|z| v1::ZoneShare { zone: z.zone.to_string(), share: f64::from(z.billionths) / 1e9 });
    v1::Offer {
        id: o.id.to_string(),
        display_name: o.display_name.to_string(),
        lines: lines(&o.lines),
        zones: zones.collect(),
        service: o.service.as_deref().unwrap_or_default().to_owned(),
        channel: o.channel.as_deref().unwrap_or_default().to_owned(),
        starts: o.starts.to_string(),
        ends: o.ends.to_string(),
        promise: Some(promise),
        orders: match &o.orders {
            Expected::Total(total) => vec![*total],
            Expected::EachDay(orders) => orders.clone(),
        },
    }
}

/// What of an offer can be kept.
pub fn offer_report(r: &OfferReport) -> v1::OfferReport {
    let days = r.days.iter().map(|day| v1::OfferDay {
        date: day.date.to_string(),
        asked: day.asked,
        deliverable: day.deliverable,
        last_arrival: day.last_arrival.map(|arrival| arrival.to_string()).unwrap_or_default(),
        bottleneck: day.bottleneck.as_ref().map(ToString::to_string).unwrap_or_default(),
    });
    v1::OfferReport {
        verdict: verdict(r.verdict).into(),
        orders_asked: r.orders_asked,
        orders_deliverable: r.orders_deliverable,
        days: days.collect(),
        shortfalls: r.shortfalls.iter().map(shortfall).collect(),
        tightest_within_days: r.tightest_within_days.unwrap_or(-1),
        deliverable_scale: r.deliverable_percent as f64 / 100.0,
    }
}

fn shortfall(s: &Shortfall) -> v1::Shortfall {
    v1::Shortfall {
        resource: s.resource.to_string(),
        first_date: s.first_date.to_string(),
        last_date: s.last_date.to_string(),
        units: s.units,
        peak_units: s.peak_units,
    }
}

/// An offer and what became of it. One that came to its end is closed, whether anybody closed it or not: nothing is set aside
/// for it any more.
pub fn offer_state(row: &OfferRow) -> v1::OfferState {
    let closed_at = row.closed_at();
    let state = if closed_at.is_some() { v1::offer_state::State::Closed } else { v1::offer_state::State::Approved };
    v1::OfferState {
        offer: Some(offer(&row.offer.offer)),
        state: state.into(),
        orders_set_aside: row.offer.orders_set_aside,
        orders_held: row.orders_held,
        orders_confirmed: row.orders_confirmed,
        approved_at: stamp(row.offer.approved_at),
        closed_at: closed_at.map(timestamp),
        release_hours: row.offer.release_hours,
    }
}

/// What could be offered.
pub fn suggestion(s: &Suggested) -> v1::Suggestion {
    v1::Suggestion {
        sku: s.sku.to_string(),
        orders: s.orders,
        orders_by_day: s.orders_by_day.clone(),
        bottleneck: s.bottleneck.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}
