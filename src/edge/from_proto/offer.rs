//! Requests of the OfferService.

use std::collections::HashSet;
use std::sync::Arc;

use super::{fingerprint, finish, keep, name, number_of, optional_id, optional_name, quantity, reason, text_of_token};
use crate::app::request::{
    ApproveOfferRequest, CheckOfferRequest, OffersRequest, Start, SuggestOffersRequest, SupposedLine,
};
use crate::domain::ask::Line;
use crate::domain::faults::{Fault, Faults};
use crate::domain::id::{self, ReservationId, ResourceId};
use crate::domain::limits::{
    DEFAULT_PAGE_SIZE, DEFAULT_SUGGESTIONS, MAX_ADJUSTED_BUCKETS, MAX_DAYS_AHEAD, MAX_ID_BYTES, MAX_LINES,
    MAX_OFFER_DAYS, MAX_OFFER_ORDERS, MAX_OFFER_ZONES, MAX_PAGE_SIZE, MAX_RELEASE_HOURS, MAX_SUGGESTIONS, MAX_SUPPOSED,
    MAX_SUPPOSED_BUCKETS, MAX_UNITS,
};
use crate::domain::offer::{Advertised, Expected, Offer, ZoneShare};
use crate::domain::share::Share;
use crate::domain::time::Day;
use crate::proto::v1;

/// One whole, in the billionths that shares are counted in.
const WHOLE: i64 = 1_000_000_000;
/// How far the shares of an offer may add up to more or less than one, in billionths: what people lose by rounding.
const ROUNDING: i64 = 1_000;

/// CheckOffer.
pub fn check_offer(message: v1::CheckOfferRequest) -> Result<CheckOfferRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let offer = offer(message.offer, "offer", &mut faults);
    let suppose = suppose(&message.suppose, &mut faults);
    finish(faults, (|| Some(CheckOfferRequest { offer: offer?, suppose }))())
}

/// ApproveOffer. Without a request id, the offer's own id stands for it: it names one approval anyway.
pub fn approve_offer(message: v1::ApproveOfferRequest) -> Result<ApproveOfferRequest, Vec<Fault>> {
    let fingerprint = fingerprint(&message);
    let mut faults = Faults::new();
    let request_id = keep(&mut faults, optional_id(&message.request_id), || "request_id".to_owned());
    let offer = offer(message.offer, "offer", &mut faults);
    let min_share = keep(&mut faults, min_share(message.min_share), || "min_share".to_owned());
    let release_hours = keep(&mut faults, release_hours(message.release_hours), || "release_hours".to_owned());
    let request = (|| {
        let offer = offer?;
        Some(ApproveOfferRequest {
            request_id: request_id?.unwrap_or_else(|| ReservationId::from(Arc::clone(&offer.id))),
            fingerprint,
            offer,
            min_share: min_share?,
            release_hours: release_hours?,
        })
    })();
    finish(faults, request)
}

/// CloseOffer: which.
pub fn close_offer(message: &v1::CloseOfferRequest) -> Result<Arc<str>, Vec<Fault>> {
    offer_id(&message.id)
}

/// GetOffer: which.
pub fn get_offer(message: &v1::GetOfferRequest) -> Result<Arc<str>, Vec<Fault>> {
    offer_id(&message.id)
}

fn offer_id(text: &str) -> Result<Arc<str>, Vec<Fault>> {
    let mut faults = Faults::new();
    let id = keep(&mut faults, name(text), || "id".to_owned());
    finish(faults, id)
}

/// ListOffers. A page size above the maximum is lowered to it.
pub fn list_offers(message: &v1::ListOffersRequest) -> Result<OffersRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let limit = number_of(message.page_size.min(MAX_PAGE_SIZE), DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
    let limit = keep(&mut faults, limit, || "page_size".to_owned()).and_then(|n| usize::try_from(n).ok());
    let after = match message.page_token.as_str() {
        "" => Some(None),
        token => {
            let id = text_of_token(token, MAX_ID_BYTES).and_then(|id| name(&id));
            keep(&mut faults, id, || "page_token".to_owned()).map(Some)
        }
    };
    finish(faults, (|| Some(OffersRequest { after: after?, limit: limit? }))())
}

/// SuggestOffers.
pub fn suggest_offers(message: &v1::SuggestOffersRequest) -> Result<SuggestOffersRequest, Vec<Fault>> {
    let mut faults = Faults::new();
    let days = days(&message.starts, &message.ends, "", &mut faults);
    let zone = keep(&mut faults, name(&message.zone), || "zone".to_owned());
    let within_days = keep(&mut faults, within_days(message.within_days), || "within_days".to_owned());
    let limit = number_of(message.limit, DEFAULT_SUGGESTIONS, MAX_SUGGESTIONS);
    let limit = keep(&mut faults, limit, || "limit".to_owned()).and_then(|n| usize::try_from(n).ok());
    let request = (|| {
        let (starts, ends) = days?;
        Some(SuggestOffersRequest { starts, ends, zone: zone?, within_days: within_days?, limit: limit? })
    })();
    finish(faults, request)
}

/// An offer, to be used only if no fault was noted. `path` is the offer's own.
pub fn offer(message: Option<v1::Offer>, path: &str, faults: &mut Faults) -> Option<Offer> {
    let Some(message) = message else {
        faults.add(path, "is missing; say what is offered");
        return None;
    };
    let at = |field: &str| format!("{path}.{field}");
    let id = keep(faults, name(&message.id), || at("id"));
    let display_name = keep(faults, reason(&message.display_name), || at("display_name"));
    let lines = lines(&message.lines, path, faults);
    let zones = zones(&message.zones, path, faults);
    let service = keep(faults, optional_name(&message.service), || at("service"));
    let channel = keep(faults, optional_name(&message.channel), || at("channel"));
    let days = days(&message.starts, &message.ends, path, faults);
    let advertised = advertised(message.promise, days, path, faults);
    let orders = orders(message.orders, days, path, faults);
    let (starts, ends) = days?;
    Some(Offer {
        id: id?,
        display_name: display_name?,
        lines,
        zones,
        service: service?,
        channel: channel?,
        starts,
        ends,
        advertised: advertised?,
        orders: orders?,
    })
}

fn lines(messages: &[v1::Line], path: &str, faults: &mut Faults) -> Vec<Line> {
    match messages.len() {
        0 => faults.add(format!("{path}.lines"), format!("is empty; 1 to {MAX_LINES} lines are needed")),
        n if n > MAX_LINES => {
            faults.add(format!("{path}.lines"), format!("has {n} lines; at most {MAX_LINES} are taken"))
        }
        _ => {}
    }
    let mut lines = Vec::with_capacity(messages.len().min(MAX_LINES));
    for (i, line) in messages.iter().take(MAX_LINES).enumerate() {
        let sku = keep(faults, name(&line.sku), || format!("{path}.lines[{i}].sku"));
        let quantity = keep(faults, quantity(line.quantity), || format!("{path}.lines[{i}].quantity"));
        if let (Some(sku), Some(quantity)) = (sku, quantity) {
            lines.push(Line { sku, quantity });
        }
    }
    lines
}

fn zones(messages: &[v1::ZoneShare], path: &str, faults: &mut Faults) -> Vec<ZoneShare> {
    let all = format!("{path}.zones");
    match messages.len() {
        0 => faults.add(&all, format!("is empty; 1 to {MAX_OFFER_ZONES} zones are needed, whose shares add up to 1")),
        n if n > MAX_OFFER_ZONES => faults.add(&all, format!("has {n} zones; at most {MAX_OFFER_ZONES} are taken")),
        _ => {}
    }
    let mut zones = Vec::with_capacity(messages.len().min(MAX_OFFER_ZONES));
    let mut seen = HashSet::new();
    for (i, share) in messages.iter().take(MAX_OFFER_ZONES).enumerate() {
        let zone = keep(faults, name(&share.zone), || format!("{all}[{i}].zone"));
        if zone.is_some() && !seen.insert(share.zone.as_str()) {
            faults.add(format!("{all}[{i}].zone"), format!("'{}' is named twice; add its shares up", share.zone));
        }
        let billionths = keep(faults, billionths(share.share), || format!("{all}[{i}].share"));
        if let (Some(zone), Some(billionths)) = (zone, billionths) {
            zones.push(ZoneShare { zone, billionths });
        }
    }
    let sum: i64 = zones.iter().map(|z| i64::from(z.billionths)).sum();
    // A sum says nothing where some of it is missing.
    if !messages.is_empty() && zones.len() == messages.len() && (sum - WHOLE).abs() > ROUNDING {
        faults.add(&all, format!("have shares that add up to {}; they must add up to 1", sum as f64 / WHOLE as f64));
    }
    zones
}

fn billionths(share: f64) -> Result<u32, String> {
    if (0.0..=1.0).contains(&share) {
        // At most a billion.
        Ok((share * WHOLE as f64).round() as u32)
    } else {
        Err(format!("is {share}; it must lie between 0 and 1"))
    }
}

/// The first and the last day. `path` is what they are fields of; empty: the request itself.
fn days(starts: &str, ends: &str, path: &str, faults: &mut Faults) -> Option<(Day, Day)> {
    let at = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    let starts = keep(faults, Day::parse(starts), || at("starts"));
    let ends = keep(faults, Day::parse(ends), || at("ends"));
    let (starts, ends) = (starts?, ends?);
    if ends < starts {
        faults.add(at("ends"), format!("is {ends}, before `starts`, {starts}; it must be that day or later"));
        return None;
    }
    let days = ends.0 - starts.0 + 1;
    if days > MAX_OFFER_DAYS {
        faults.add(at("ends"), format!("is day {days} from `starts` on; at most {MAX_OFFER_DAYS} days are taken"));
        return None;
    }
    Some((starts, ends))
}

fn advertised(
    message: Option<v1::offer::Promise>,
    days: Option<(Day, Day)>,
    path: &str,
    faults: &mut Faults,
) -> Option<Advertised> {
    match message {
        None => {
            faults.add(format!("{path}.promise"), "is missing; say `within_days` or `date`");
            None
        }
        Some(v1::offer::Promise::WithinDays(days)) => {
            keep(faults, within_days(days), || format!("{path}.within_days")).map(Advertised::WithinDays)
        }
        Some(v1::offer::Promise::Date(date)) => {
            let date = keep(faults, Day::parse(&date), || format!("{path}.date"))?;
            if let Some((starts, _)) = days.filter(|(starts, _)| date < *starts) {
                faults.add(
                    format!("{path}.date"),
                    format!("is {date}, before `starts`, {starts}; no order could come by it"),
                );
                return None;
            }
            Some(Advertised::By(date))
        }
    }
}

fn within_days(days: i32) -> Result<i32, String> {
    if (0..=MAX_DAYS_AHEAD).contains(&days) {
        Ok(days)
    } else {
        Err(format!("is {days}; it must lie between 0 and {MAX_DAYS_AHEAD}"))
    }
}

/// One number is a total; else there is one a day.
fn orders(numbers: Vec<i64>, days: Option<(Day, Day)>, path: &str, faults: &mut Faults) -> Option<Expected> {
    let all = format!("{path}.orders");
    let seen = numbers.len();
    let most = usize::try_from(MAX_OFFER_DAYS).unwrap_or_default();
    let wanted = days.map(|(starts, ends)| usize::try_from(ends.0 - starts.0 + 1).unwrap_or_default());
    if seen == 0 {
        faults.add(all, "is empty; their total is needed, or one number a day");
        return None;
    }
    if seen > 1 && wanted.map_or(seen > most, |wanted| seen != wanted) {
        let wanted = wanted.unwrap_or(most);
        faults.add(all, format!("has {seen} numbers; one is right, the total, or one a day, {wanted}"));
        return None;
    }
    let wrong: Vec<usize> = (0..seen).filter(|&i| !(0..=MAX_OFFER_ORDERS).contains(&numbers[i])).collect();
    for &i in &wrong {
        let number = numbers[i];
        faults.add(format!("{all}[{i}]"), format!("is {number}; it must lie between 0 and {MAX_OFFER_ORDERS}"));
    }
    if !wrong.is_empty() {
        return None;
    }
    match numbers.iter().sum::<i64>() {
        0 => faults.add(all, "add up to nothing; an offer needs some orders"),
        sum if sum > MAX_OFFER_ORDERS => {
            faults.add(all, format!("add up to {sum}; at most {MAX_OFFER_ORDERS} are taken"));
        }
        _ => {
            return Some(match numbers[..] {
                [total] => Expected::Total(total),
                _ => Expected::EachDay(numbers),
            });
        }
    }
    None
}

fn suppose(messages: &[v1::SupposedSupply], faults: &mut Faults) -> Vec<SupposedLine> {
    if messages.len() > MAX_SUPPOSED {
        faults.add("suppose", format!("has {} lines; at most {MAX_SUPPOSED} are taken", messages.len()));
    }
    let most = i32::try_from(MAX_ADJUSTED_BUCKETS).unwrap_or(i32::MAX);
    let mut lines = Vec::with_capacity(messages.len().min(MAX_SUPPOSED));
    for (i, message) in messages.iter().take(MAX_SUPPOSED).enumerate() {
        let at = |field: &str| format!("suppose[{i}].{field}");
        let resource = keep(faults, ResourceId::new(&message.resource), || at("resource"));
        let start = keep(faults, Start::parse(&message.start), || at("start"));
        let buckets = keep(faults, number_of(message.buckets, 1, most), || at("buckets"));
        let delta = message.delta;
        if !(-MAX_UNITS..=MAX_UNITS).contains(&delta) {
            faults.add(at("delta"), format!("is {delta}; it must lie between -{MAX_UNITS} and {MAX_UNITS}"));
        }
        if let (Some(resource), Some(start), Some(buckets)) = (resource, start, buckets) {
            lines.push(SupposedLine { resource, start, buckets, delta });
        }
    }
    let buckets: usize = lines.iter().map(|line| usize::try_from(line.buckets).unwrap_or_default()).sum();
    if buckets > MAX_SUPPOSED_BUCKETS {
        faults.add("suppose", format!("has {buckets} buckets in all; at most {MAX_SUPPOSED_BUCKETS} are taken"));
    }
    lines
}

/// All of it where unset. A share too small to be told from nothing is the least that can be.
fn min_share(share: f64) -> Result<Share, String> {
    if share == 0.0 {
        return Ok(Share::ALL);
    }
    let least = Share::from_millionths(1);
    match Share::new(share) {
        Some(known) if share > 0.0 => Ok(known.max(least)),
        Some(_) | None => {
            Err(format!("is {share}; it must lie above 0 and not above 1, which is meant when it is unset"))
        }
    }
}

/// Hours before a bucket begins.
pub(super) fn release_hours(hours: i32) -> Result<i32, String> {
    if (0..=MAX_RELEASE_HOURS).contains(&hours) {
        Ok(hours)
    } else {
        Err(format!("is {hours}; it must lie between 0 and {MAX_RELEASE_HOURS}"))
    }
}

/// Where the next page of offers begins.
pub fn offers_page_token(last: &str) -> String {
    debug_assert!(id::check(last).is_ok(), "an offer's id is a good name");
    super::token_of(last)
}
