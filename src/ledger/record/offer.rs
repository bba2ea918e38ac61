//! The stored form of offers.

use std::sync::Arc;

use prost::Message as _;

use super::{
    Read, decode, fingerprint, form, id, line_form, lines, needed, resource, text, verdict_number, verdict_of, wrong,
};
use crate::domain::offer::{
    Advertised, ApprovedOffer, Envelope, Expected, Offer, OfferDay, OfferReport, OfferStage, Shortfall, ZoneShare,
};
use crate::domain::time::{Day, Moment};

/// Writes an offer.
pub fn write_offer(offer: &ApprovedOffer) -> Vec<u8> {
    form_of(offer).encode_to_vec()
}

/// Reads an offer.
pub fn read_offer(bytes: &[u8]) -> Read<ApprovedOffer> {
    of_form(decode("offer", bytes)?)
}

pub(super) fn form_of(o: &ApprovedOffer) -> form::ApprovedOffer {
    let Offer { id, display_name, lines, zones, service, channel, starts, ends, advertised, orders } = &o.offer;
    let (within_days, by) = match advertised {
        Advertised::WithinDays(days) => (Some(*days), None),
        Advertised::By(day) => (None, Some(day.0)),
    };
    let (total, orders) = match orders {
        Expected::Total(total) => (Some(*total), Vec::new()),
        Expected::EachDay(orders) => (None, orders.clone()),
    };
    let zones = zones.iter().map(|z| form::ZoneShare { zone: text(&z.zone), billionths: z.billionths });
    let envelope = o.envelope.iter().map(|e| form::Envelope {
        resource: text(e.resource.as_str()),
        index: e.index,
        units: e.units,
    });
    form::ApprovedOffer {
        id: text(id),
        display_name: text(display_name),
        lines: lines.iter().map(line_form).collect(),
        zones: zones.collect(),
        service: service.as_deref().map(text),
        channel: channel.as_deref().map(text),
        starts: starts.0,
        ends: ends.0,
        within_days,
        by,
        total,
        orders,
        closed: o.stage == OfferStage::Closed,
        version: o.version,
        request_id: text(o.request_id.as_str()),
        fingerprint: o.fingerprint.0.to_be_bytes().to_vec(),
        approved_at: o.approved_at.0,
        closed_at: o.closed_at.map(|m| m.0),
        ends_at: o.ends_at.0,
        release_hours: o.release_hours,
        orders_set_aside: o.orders_set_aside,
        envelope: envelope.collect(),
        report: Some(report_form(&o.report)),
    }
}

pub(super) fn of_form(f: form::ApprovedOffer) -> Read<ApprovedOffer> {
    const WHAT: &str = "offer";
    let advertised = match (f.within_days, f.by) {
        (Some(days), _) => Advertised::WithinDays(days),
        (None, Some(day)) => Advertised::By(Day(day)),
        (None, None) => return wrong(WHAT, "it advertises nothing"),
    };
    let zones = f.zones.into_iter().map(|z| ZoneShare { zone: z.zone.into(), billionths: z.billionths });
    let envelope =
        f.envelope.into_iter().map(|e| Envelope { resource: resource(&e.resource), index: e.index, units: e.units });
    Ok(ApprovedOffer {
        offer: Offer {
            id: f.id.into(),
            display_name: f.display_name.into(),
            lines: lines(f.lines),
            zones: zones.collect(),
            service: f.service.map(Arc::from),
            channel: f.channel.map(Arc::from),
            starts: Day(f.starts),
            ends: Day(f.ends),
            advertised,
            orders: f.total.map_or(Expected::EachDay(f.orders), Expected::Total),
        },
        stage: if f.closed { OfferStage::Closed } else { OfferStage::Approved },
        version: f.version,
        request_id: id(&f.request_id),
        fingerprint: fingerprint(&f.fingerprint)?,
        approved_at: Moment(f.approved_at),
        closed_at: f.closed_at.map(Moment),
        ends_at: Moment(f.ends_at),
        release_hours: f.release_hours,
        orders_set_aside: f.orders_set_aside,
        envelope: envelope.collect(),
        report: Arc::new(report_of(needed(WHAT, "report", f.report)?)?),
    })
}

fn report_form(r: &OfferReport) -> form::OfferReport {
    let days = r.days.iter().map(|d| form::OfferDay {
        date: d.date.0,
        asked: d.asked,
        deliverable: d.deliverable,
        last_arrival: d.last_arrival.map(|day| day.0),
        bottleneck: d.bottleneck.as_ref().map(|r| text(r.as_str())),
    });
    let shortfalls = r.shortfalls.iter().map(|s| form::Shortfall {
        resource: text(s.resource.as_str()),
        first_date: s.first_date.0,
        last_date: s.last_date.0,
        units: s.units,
        peak_units: s.peak_units,
    });
    form::OfferReport {
        verdict: verdict_number(r.verdict),
        orders_asked: r.orders_asked,
        orders_deliverable: r.orders_deliverable,
        days: days.collect(),
        shortfalls: shortfalls.collect(),
        tightest_within_days: r.tightest_within_days,
        deliverable_percent: r.deliverable_percent,
    }
}

fn report_of(f: form::OfferReport) -> Read<OfferReport> {
    let days = f.days.into_iter().map(|d| OfferDay {
        date: Day(d.date),
        asked: d.asked,
        deliverable: d.deliverable,
        last_arrival: d.last_arrival.map(Day),
        bottleneck: d.bottleneck.as_deref().map(resource),
    });
    let shortfalls = f.shortfalls.into_iter().map(|s| Shortfall {
        resource: resource(&s.resource),
        first_date: Day(s.first_date),
        last_date: Day(s.last_date),
        units: s.units,
        peak_units: s.peak_units,
    });
    Ok(OfferReport {
        verdict: verdict_of(f.verdict)?,
        orders_asked: f.orders_asked,
        orders_deliverable: f.orders_deliverable,
        days: days.collect(),
        shortfalls: shortfalls.collect(),
        tightest_within_days: f.tightest_within_days,
        deliverable_percent: f.deliverable_percent,
    })
}
