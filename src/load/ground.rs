//! The ground that a run stands on: the network that is asked, made for it or found, and the days that are asked for.

use std::time::Duration;

use jiff::civil::Date;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::LoadError;
use super::plan::{Land, Plan};
use crate::domain::limits::{MAX_BUCKET_DAYS, MAX_LISTED_BUCKETS};
use crate::proto::v1;
use crate::proto::v1::operations_service_client::OperationsServiceClient;
use crate::proto::v1::promise_service_client::PromiseServiceClient;

/// The request metadata key that names a network (rule 28).
const NETWORK_KEY: &str = "surety-network";
/// The largest answer that is read: ListBuckets and GetNetwork can be much above tonic's 4 MiB.
const MAX_ANSWER_BYTES: usize = 512 << 20;
/// How long servers beside the first may take to learn of a network that was applied to it.
const SPREADS_WITHIN: Duration = Duration::from_secs(10);
/// How often to look whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The work that a product of the made network takes, each a resource of its own.
const WORK: [&str; 3] = ["pick", "pack", "load"];
/// The site of the made network.
const SITE: &str = "load-site";
/// The zone of the made network.
const ZONE: &str = "load-zone";

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Whether the network was made for the run, so that it is known what a promise draws on.
    pub made: bool,
    /// Products, by index.
    pub skus: Vec<String>,
    /// Zones.
    pub zones: Vec<String>,
    /// Sites with their resources' buckets a day, all together.
    pub sites: Vec<(String, usize)>,
    /// The network's version.
    pub version: i64,
    /// The server's day.
    pub today: Date,
    /// The last day of arrival that is asked for.
    pub by: Date,
    /// Bytes of a quote's answer.
    pub answer_bytes: usize,
}

/// Clients of a target, for what is done once.
#[derive(Clone, Debug)]
pub struct Office {
    /// Its address.
    pub target: String,
    channel: Channel,
    network: String,
    timeout: Duration,
}

impl Office {
    /// An office of a run at a target.
    pub fn new(target: &str, channel: Channel, plan: &Plan) -> Self {
        Self { target: target.to_owned(), channel, network: plan.network.clone(), timeout: plan.timeout }
    }

    /// Checkouts' calls.
    pub fn promises(&self) -> PromiseServiceClient<Channel> {
        PromiseServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// Operations' calls.
    pub fn operations(&self) -> OperationsServiceClient<Channel> {
        OperationsServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES)
            .max_encoding_message_size(MAX_ANSWER_BYTES)
    }

    /// A question to the run's network.
    ///
    /// # Errors
    /// A name of the network that can't be sent.
    pub fn ask<T>(&self, message: T) -> Result<Request<T>, LoadError> {
        let mut request = Request::new(message);
        address(&mut request, &self.network)?;
        request.set_timeout(self.timeout);
        Ok(request)
    }

    /// What a failed call to it means.
    pub fn failed(&self, status: Status) -> LoadError {
        LoadError::Refused { target: self.target.clone(), status: Box::new(status) }
    }
}

/// Addresses a request to a network.
///
/// # Errors
/// A name that can't be sent.
pub fn address<T>(request: &mut Request<T>, network: &str) -> Result<(), LoadError> {
    let name = network.parse().map_err(|_| LoadError::Impossible(format!("'{network}' can't be sent as a name")))?;
    request.metadata_mut().insert(NETWORK_KEY, name);
    Ok(())
}

/// The name of a product of the made network; all of one length, so that requests are too.
pub fn sku(product: usize) -> String {
    format!("sku-{product:07}")
}

/// A product of the made network by its name.
pub fn product_of(sku: &[u8]) -> Option<u32> {
    std::str::from_utf8(sku.strip_prefix(b"sku-")?).ok()?.parse().ok()
}

/// The resource of the made network that does a product's last work.
pub fn last_resource(product: u32) -> String {
    format!("{}-{product:07}", WORK[2])
}

/// A network in which each product has three steps of its own, one unit an item each, all in the bucket of one day; what is
/// done is sent at once and arrives on the next day. So the day of arrival tells which buckets a promise's last step draws on.
pub fn network(products: usize, units: i64) -> v1::Network {
    let all = (1..=7).collect::<Vec<_>>();
    let zone_of_all = || "UTC".to_owned();
    let resource = |work: &str, product: usize| v1::Resource {
        id: format!("{work}-{product:07}"),
        site: SITE.to_owned(),
        kind: v1::resource::Kind::Capacity.into(),
        weekly: vec![v1::WeeklySupply { days: all.clone(), units, ..Default::default() }],
        ..Default::default()
    };
    let step = |work: &str, product: usize| v1::Step {
        resource: format!("{work}-{product:07}"),
        per_item: 1,
        ..Default::default()
    };
    v1::Network {
        sites: vec![v1::Site { id: SITE.to_owned(), time_zone: zone_of_all(), ..Default::default() }],
        zones: vec![v1::Zone { id: ZONE.to_owned(), time_zone: zone_of_all(), ..Default::default() }],
        resources: (0..products).flat_map(|i| WORK.map(|work| resource(work, i))).collect(),
        processes: (0..products)
            .map(|i| v1::Process { id: format!("process-{i:07}"), steps: WORK.map(|work| step(work, i)).to_vec() })
            .collect(),
        products: (0..products)
            .map(|i| v1::Product {
                sku: sku(i),
                sources: vec![v1::Source {
                    site: SITE.to_owned(),
                    process: format!("process-{i:07}"),
                    ..Default::default()
                }],
                ..Default::default()
            })
            .collect(),
        lanes: vec![v1::Lane {
            id: "load-lane".to_owned(),
            site: SITE.to_owned(),
            zone: ZONE.to_owned(),
            service: "standard".to_owned(),
            transit_days: 1,
            ..Default::default()
        }],
        channels: Vec::new(),
    }
}

/// Lays the ground: applies the network, or reads the one that is there, waits until all targets know it, and asks once.
///
/// # Errors
/// What a target refused, or what the network lacks.
pub async fn lay(offices: &[Office], plan: &Plan) -> Result<Ground, LoadError> {
    let Some(first) = offices.first() else {
        return Err(LoadError::Impossible("there is no target".to_owned()));
    };
    if let Land::Made { products, units } = plan.land {
        let request = v1::ApplyNetworkRequest { network: Some(network(products, units)), validate_only: false };
        let mut request = first.ask(request)?;
        // Large networks take their time.
        request.set_timeout(plan.timeout.max(Duration::from_secs(60)));
        first.operations().apply_network(request).await.map_err(|status| first.failed(status))?;
    }
    let read = first.operations().get_network(first.ask(v1::GetNetworkRequest {})?).await;
    let read = read.map_err(|status| first.failed(status))?.into_inner();
    let found = read.network.unwrap_or_default();
    let ground = Ground {
        made: plan.land != Land::AsIs,
        skus: found.products.iter().map(|product| product.sku.clone()).collect(),
        zones: found.zones.iter().map(|zone| zone.id.clone()).collect(),
        sites: found.sites.iter().map(|site| (site.id.clone(), buckets_a_day(&found, &site.id))).collect(),
        version: read.version,
        today: Date::MIN,
        by: Date::MAX,
        answer_bytes: 0,
    };
    if ground.skus.is_empty() || ground.zones.is_empty() {
        let what = format!("the network '{}' has no products or no zones to ask for", plan.network);
        return Err(LoadError::Impossible(what));
    }
    for office in offices {
        known(office, ground.version).await?;
    }
    look_around(first, ground, plan).await
}

fn buckets_a_day(network: &v1::Network, site: &str) -> usize {
    let of = |resource: &v1::Resource| match resource.bucket.as_ref().map_or(0, |length| length.seconds) {
        seconds if seconds > 0 => usize::try_from(86_400 / seconds).unwrap_or(1).max(1),
        _ => 1,
    };
    network.resources.iter().filter(|resource| resource.site == site).map(of).sum()
}

/// Waits until a target has the network as the first one has.
async fn known(office: &Office, version: i64) -> Result<(), LoadError> {
    let since = std::time::Instant::now();
    loop {
        match office.operations().get_network(office.ask(v1::GetNetworkRequest {})?).await {
            Ok(answer) if answer.get_ref().version >= version => return Ok(()),
            Err(status) if status.code() != Code::NotFound => return Err(office.failed(status)),
            Ok(_) | Err(_) if since.elapsed() < SPREADS_WITHIN => tokio::time::sleep(LOOK_EVERY).await,
            Ok(_) | Err(_) => {
                let what = format!("{} does not serve the network that was applied to the first target", office.target);
                return Err(LoadError::Impossible(format!("{what}; several targets must be servers of one store")));
            }
        }
    }
}

/// Asks without a date: the server's day, the earliest day of arrival, and how long an answer is.
async fn look_around(office: &Office, ground: Ground, plan: &Plan) -> Result<Ground, LoadError> {
    let mut earliest = None;
    let mut seen = None;
    // Of a network that was found, some products may not go to some zones.
    let tries = ground.skus.iter().flat_map(|sku| ground.zones.iter().map(move |zone| (sku, zone))).take(100);
    for (sku, zone) in tries {
        let ask = v1::Ask {
            lines: vec![v1::Line { sku: sku.clone(), quantity: 1 }],
            destination: Some(v1::Destination { to: Some(v1::destination::To::Zone(zone.clone())) }),
            ..Default::default()
        };
        let request = v1::QuoteRequest { ask: Some(ask), ..Default::default() };
        let answer = office.promises().quote(office.ask(request)?).await.map_err(|s| office.failed(s))?.into_inner();
        let date = answer.promise.as_ref().and_then(|promise| promise.date.parse::<Date>().ok());
        seen = Some(answer);
        if date.is_some() {
            earliest = date;
            break;
        }
    }
    let seen = seen.unwrap_or_default();
    let as_of = seen.as_of.as_ref().map_or(0, |at| at.seconds);
    let today = jiff::Timestamp::from_second(as_of).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
    // Where nothing can be promised now, tomorrow is asked for: the answers are no, which is a load too.
    let earliest = earliest.unwrap_or_else(|| today.saturating_add(jiff::Span::new().days(1)));
    let by = earliest.saturating_add(jiff::Span::new().days(plan.within_days));
    Ok(Ground { today, by, answer_bytes: seen.encoded_len(), ..ground })
}

/// All buckets from the day before today, which elsewhere may not be over, until those of the last day that is asked for.
///
/// # Errors
/// What the target refused.
pub async fn buckets(office: &Office, ground: &Ground) -> Result<Vec<v1::Bucket>, LoadError> {
    let mut all = Vec::new();
    let last = ground.by.saturating_add(jiff::Span::new().days(1));
    let first = ground.today.saturating_sub(jiff::Span::new().days(1));
    let wanted = first.until(last).map_or(1, |span| span.get_days() + 1);
    for (site, buckets_a_day) in ground.sites.iter().filter(|(_, buckets)| *buckets > 0) {
        let most = i32::try_from(MAX_LISTED_BUCKETS / buckets_a_day.max(&1)).unwrap_or(i32::MAX);
        let days = most.min(wanted).clamp(1, MAX_BUCKET_DAYS);
        let mut from = first;
        while from <= last {
            let request =
                v1::ListBucketsRequest { site: site.clone(), from: from.to_string(), days, ..Default::default() };
            let answer = office.operations().list_buckets(office.ask(request)?).await;
            all.extend(answer.map_err(|status| office.failed(status))?.into_inner().buckets);
            from = from.saturating_add(jiff::Span::new().days(days));
        }
    }
    // Stock on hand is listed with every stretch of days.
    all.sort_by(|a, b| key(a).cmp(&key(b)));
    all.dedup_by(|a, b| key(a) == key(b));
    Ok(all)
}

/// What names a bucket: its resource and its beginning.
pub fn key(bucket: &v1::Bucket) -> (&str, i64) {
    (&bucket.resource, bucket.from.as_ref().map_or(0, |from| from.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Moment;
    use crate::edge::from_proto;

    #[test]
    fn the_made_network_is_valid_and_its_names_go_there_and_back() {
        let made = network(3, 5);
        let checked = from_proto::network(made.clone(), Moment(0)).expect("a valid network");
        assert_eq!(checked.resources().len(), 9);
        assert_eq!(product_of(sku(41).as_bytes()), Some(41));
        assert_eq!(product_of(b"mug"), None);
        assert!(made.resources.iter().any(|resource| resource.id == last_resource(2)));
        assert_eq!(buckets_a_day(&made, SITE), 9);
    }
}
