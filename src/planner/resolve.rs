//! From the names of an ask to the network's own indexes, with all candidates of rule 14 laid out.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::domain::ask::{Ask, Destination, Shipments, When};
use crate::domain::draw::Pool;
use crate::domain::kept::Kept;
use crate::domain::network::{LaneIdx, Network, ProductIdx, ResourceIdx, SiteIdx, Source, ZoneIdx};
use crate::domain::share::Share;

/// A name that the network does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Where it stands in the request: `ask.lines[2].sku`.
    pub path: String,
    /// "product", "zone", "channel" or "offer".
    pub kind: &'static str,
    /// The name.
    pub name: String,
}

/// One way to supply a line: a source of its product and a lane from there (rule 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The place in the product's list of sources.
    pub source: u32,
    pub site: SiteIdx,
    pub lane: LaneIdx,
    /// Whether it draws on one resource more than once, so that its parts can't be judged one by one.
    pub repeats: bool,
}

/// One line of the ask, by index.
#[derive(Clone, Debug)]
pub(super) struct ResolvedLine {
    pub product: ProductIdx,
    pub quantity: i32,
    /// In the order of rule 14.
    pub candidates: SmallVec<[Candidate; 4]>,
}

/// A lane whose record supports the ask's `min_confidence`.
#[derive(Clone, Debug)]
pub(super) struct Sure {
    pub lane: LaneIdx,
    /// Days later than planned from which on it does.
    pub days: i32,
    /// What is on record.
    pub kept: Kept,
}

/// An ask whose names are all known. It belongs to the network it was resolved in.
#[derive(Clone, Debug)]
pub struct ResolvedAsk {
    pub(super) lines: SmallVec<[ResolvedLine; 2]>,
    pub(super) zone: ZoneIdx,
    pub(super) when: When,
    pub(super) service: Option<Arc<str>>,
    pub(super) shipments: Shipments,
    /// What the ask may draw from before common capacity, in order (rule 17).
    pub(super) pools: SmallVec<[Pool; 2]>,
    /// All resources that a candidate may read, ascending.
    pub(super) resources: SmallVec<[ResourceIdx; 8]>,
    /// How sure the date must be; obeyed by `quote_kept`.
    pub(super) min_confidence: Option<Share>,
    /// What is on record of the lanes that may be taken, ascending, where the ask wants a sure date; none: any lane, any date.
    pub(super) sure: Option<Arc<[Sure]>>,
    /// Sites that are sources of every line, in the order of the first line's sources (rule 16); empty for one line.
    pub(super) common_sites: SmallVec<[SiteIdx; 2]>,
}

/// Finds every name of the ask in the network, or all that are unknown. `is_offer`: whether an offer of this name was ever approved.
///
/// # Errors
/// Every unknown SKU, zone (or address that no zone's prefixes match), channel and offer.
pub fn resolve(network: &Network, ask: &Ask, is_offer: impl FnOnce(&str) -> bool) -> Result<ResolvedAsk, Vec<Unknown>> {
    let mut unknown = Vec::new();
    let mut miss = |path: String, kind, name: &str| unknown.push(Unknown { path, kind, name: name.to_owned() });

    let mut products: SmallVec<[(ProductIdx, i32); 2]> = SmallVec::new();
    for (i, line) in ask.lines.iter().enumerate() {
        match network.find_product(&line.sku) {
            Some(product) => products.push((product, line.quantity)),
            None => miss(format!("ask.lines[{i}].sku"), "product", &line.sku),
        }
    }
    let zone = match &ask.destination {
        Destination::Zone(name) => network.find_zone(name).or_else(|| {
            miss("ask.destination.zone".to_owned(), "zone", name);
            None
        }),
        Destination::Address { country, postal_code } => network.zone_of_address(country, postal_code).or_else(|| {
            miss("ask.destination.address".to_owned(), "zone", &format!("{country}-{postal_code}"));
            None
        }),
    };
    let mut pools = SmallVec::new();
    // Rule 17: first what is set aside for the offer. One that is closed or over has nothing any more.
    if let Some(offer) = &ask.offer {
        if is_offer(offer) {
            pools.push(Pool::Offer(Arc::clone(offer)));
        } else {
            miss("ask.offer".to_owned(), "offer", offer);
        }
    }
    if let Some(name) = &ask.channel {
        match network.find_channel(name) {
            Some(channel) => pools.push(Pool::Channel(Arc::clone(&network.channel(channel).id))),
            None => miss("ask.channel".to_owned(), "channel", name),
        }
    }
    let Some(zone) = zone.filter(|_| unknown.is_empty()) else { return Err(unknown) };
    let mut resolved = ResolvedAsk::new(network, &products, zone, ask.when, ask.service.clone(), ask.shipments, pools);
    resolved.min_confidence = ask.min_confidence;
    Ok(resolved)
}

impl ResolvedAsk {
    pub(super) fn new(
        network: &Network,
        products: &[(ProductIdx, i32)],
        zone: ZoneIdx,
        when: When,
        service: Option<Arc<str>>,
        shipments: Shipments,
        pools: SmallVec<[Pool; 2]>,
    ) -> ResolvedAsk {
        let mut resources: SmallVec<[ResourceIdx; 8]> = SmallVec::new();
        let lines: SmallVec<[ResolvedLine; 2]> = products
            .iter()
            .map(|&(product, quantity)| {
                let candidates = candidates(network, product, zone, service.as_deref(), &mut resources);
                ResolvedLine { product, quantity, candidates }
            })
            .collect();
        resources.sort_unstable();
        resources.dedup();
        let common_sites = common_sites(network, &lines);
        let (min_confidence, sure) = (None, None);
        ResolvedAsk { lines, zone, when, service, shipments, pools, resources, common_sites, min_confidence, sure }
    }

    /// All resources that the answer may depend on, ascending: those of every candidate, of substitutes, and of other
    /// services, which alternatives read.
    pub fn touches(&self, network: &Network) -> Vec<ResourceIdx> {
        let mut resources = self.resources.clone();
        for line in &self.lines {
            let product = network.product(line.product);
            for &p in std::iter::once(&line.product).chain(product.substitutes.iter()) {
                candidates(network, p, self.zone, None, &mut resources);
            }
        }
        resources.sort_unstable();
        resources.dedup();
        resources.into_vec()
    }

    /// The same ask with another Y.
    #[must_use]
    pub fn with_when(&self, when: When) -> ResolvedAsk {
        ResolvedAsk { when, ..self.clone() }
    }

    /// Y.
    pub fn when(&self) -> When {
        self.when
    }

    /// The zone in which the promise is to be kept.
    pub fn zone(&self) -> ZoneIdx {
        self.zone
    }

    /// The same ask for other goods.
    pub(super) fn with_products(&self, network: &Network, products: &[(ProductIdx, i32)]) -> ResolvedAsk {
        let service = self.service.clone();
        let ask =
            ResolvedAsk::new(network, products, self.zone, self.when, service, self.shipments, self.pools.clone());
        ask.with_record_of(self)
    }

    /// The same ask by a service; none: by any.
    pub(super) fn with_service(&self, network: &Network, service: Option<Arc<str>>) -> ResolvedAsk {
        let products = self.products();
        let ask =
            ResolvedAsk::new(network, &products, self.zone, self.when, service, self.shipments, self.pools.clone());
        ask.with_record_of(self)
    }

    /// By the same record as another ask to the same zone.
    fn with_record_of(mut self, other: &ResolvedAsk) -> ResolvedAsk {
        self.min_confidence = other.min_confidence;
        match &other.sure {
            Some(sure) => self.with_record(Arc::clone(sure)),
            None => self,
        }
    }

    /// The same ask by those lanes only whose record supports it.
    pub(super) fn with_record(&self, sure: Arc<[Sure]>) -> ResolvedAsk {
        let is_sure = |lane: LaneIdx| sure.binary_search_by_key(&lane, |s| s.lane).is_ok();
        let ask = self.with_lanes(is_sure);
        ResolvedAsk { sure: Some(sure), ..ask }
    }

    /// All lanes that the answer may come to: of the ask's products and their substitutes, by any service; ascending.
    pub(super) fn lanes(&self, network: &Network) -> Vec<LaneIdx> {
        let mut lanes = Vec::new();
        for line in &self.lines {
            let product = network.product(line.product);
            for &p in std::iter::once(&line.product).chain(product.substitutes.iter()) {
                for source in &network.product(p).sources {
                    lanes.extend_from_slice(network.lanes_between(source.site, self.zone));
                }
            }
        }
        lanes.sort_unstable();
        lanes.dedup();
        lanes
    }

    /// The same ask with only those candidates whose lane passes.
    pub(super) fn with_lanes(&self, passes: impl Fn(LaneIdx) -> bool) -> ResolvedAsk {
        let mut ask = self.clone();
        for line in &mut ask.lines {
            line.candidates.retain(|c| passes(c.lane));
        }
        ask
    }

    pub(super) fn products(&self) -> SmallVec<[(ProductIdx, i32); 2]> {
        self.lines.iter().map(|l| (l.product, l.quantity)).collect()
    }
}

/// The resources that a source and a lane read, one entry for each place where they are read.
fn reads<'a>(network: &'a Network, source: &'a Source, lane: LaneIdx) -> impl Iterator<Item = ResourceIdx> + 'a {
    let steps = source.process.map_or(&[][..], |p| &network.process(p).steps);
    source.stock.into_iter().chain(steps.iter().filter_map(|s| s.resource)).chain(network.lane(lane).resource)
}

/// Rule 14: the product's sources in their order, and for each the lanes of the service in the order of the network.
fn candidates(
    network: &Network,
    product: ProductIdx,
    zone: ZoneIdx,
    service: Option<&str>,
    resources: &mut SmallVec<[ResourceIdx; 8]>,
) -> SmallVec<[Candidate; 4]> {
    let mut found = SmallVec::new();
    for (at, source) in (0..).zip(&network.product(product).sources) {
        for &lane in network.lanes_between(source.site, zone) {
            if service.is_some_and(|s| *s != *network.lane(lane).service) {
                continue;
            }
            let mut read: SmallVec<[ResourceIdx; 8]> = reads(network, source, lane).collect();
            resources.extend_from_slice(&read);
            read.sort_unstable();
            let repeats = read.windows(2).any(|w| w[0] == w[1]);
            found.push(Candidate { source: at, site: source.site, lane, repeats });
        }
    }
    found
}

fn common_sites(network: &Network, lines: &[ResolvedLine]) -> SmallVec<[SiteIdx; 2]> {
    let mut common: SmallVec<[SiteIdx; 2]> = SmallVec::new();
    let [first, rest @ ..] = lines else { return common };
    if rest.is_empty() {
        return common;
    }
    for source in &network.product(first.product).sources {
        let everywhere = rest.iter().all(|l| network.product(l.product).sources.iter().any(|s| s.site == source.site));
        if everywhere && !common.contains(&source.site) {
            common.push(source.site);
        }
    }
    common
}
