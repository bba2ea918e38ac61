//! From the document to the network: every fault is found, and named by its path.

use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::postal::{PostalPrefixes, Taken};
use super::*;
use crate::domain::faults::{Fault, Faults};
use crate::domain::id;
use crate::domain::limits::*;
use crate::domain::time::Moment;

pub fn build(spec: NetworkSpec, now: Moment) -> Result<Network, Vec<Fault>> {
    let mut b = Builder { now, faults: Faults::new(), calendars: FxHashMap::default(), words: FxHashSet::default() };
    b.limit("sites", spec.sites.len(), MAX_PLACES);
    b.limit("zones", spec.zones.len(), MAX_PLACES);
    b.limit("resources", spec.resources.len(), MAX_RESOURCES);
    b.limit("processes", spec.processes.len(), MAX_PLACES);
    b.limit("products", spec.products.len(), MAX_RESOURCES);
    b.limit("lanes", spec.lanes.len(), MAX_LANES);
    b.limit("channels", spec.channels.len(), MAX_PLACES);
    if !b.faults.is_empty() {
        return Err(b.faults.into_vec());
    }

    // Names first, so that references can point forward.
    let site_ids = b.names("sites", "id", spec.sites.iter().map(|s| s.id.as_str()), SiteIdx::new);
    let zone_ids = b.names("zones", "id", spec.zones.iter().map(|z| z.id.as_str()), ZoneIdx::new);
    let resource_names = b.names("resources", "id", spec.resources.iter().map(|r| r.id.as_str()), ResourceIdx::new);
    let process_ids = b.names("processes", "id", spec.processes.iter().map(|p| p.id.as_str()), ProcessIdx::new);
    let skus = b.names("products", "sku", spec.products.iter().map(|p| p.sku.as_str()), ProductIdx::new);
    let lane_ids = b.names("lanes", "id", spec.lanes.iter().map(|l| l.id.as_str()), LaneIdx::new);
    let channel_ids = b.names("channels", "id", spec.channels.iter().map(|c| c.id.as_str()), ChannelIdx::new);

    let sites: Vec<Site> = (0..).zip(&spec.sites).map(|(i, s)| b.site(i, s, &site_ids)).collect();
    let mut postal = PostalPrefixes::default();
    let zones: Vec<Zone> =
        (0..).zip(&spec.zones).map(|(i, z)| b.zone(i, z, &zone_ids, &spec.zones, &mut postal)).collect();
    let resources: Vec<Resource> =
        (0..).zip(&spec.resources).map(|(i, r)| b.resource(i, r, &resource_names, &site_ids)).collect();
    let refs = Refs { sites: &site_ids, zones: &zone_ids, resources: &resource_names, processes: &process_ids };
    let processes: Vec<Process> =
        (0..).zip(&spec.processes).map(|(i, p)| b.process(i, p, &refs, &spec.resources)).collect();
    let products: Vec<Product> =
        (0..).zip(&spec.products).map(|(i, p)| b.product(i, p, &refs, &skus, &spec.resources)).collect();
    let lanes: Vec<Lane> = (0..).zip(&spec.lanes).map(|(i, l)| b.lane(i, l, &refs, &spec.resources)).collect();
    let channels: Vec<Channel> = (0..)
        .zip(&spec.channels)
        .map(|(i, c)| {
            b.text(&format!("channels[{i}].display_name"), &c.display_name);
            Channel { id: b.word(&c.id), priority: c.priority }
        })
        .collect();

    b.cycles_of_substitutes(&products);
    let mut between: FxHashMap<(SiteIdx, ZoneIdx), Vec<LaneIdx>> = FxHashMap::default();
    let mut reached = vec![false; zones.len()];
    for (i, lane) in lanes.iter().enumerate() {
        between.entry((lane.site, lane.zone)).or_default().push(LaneIdx::new(i));
        if let Some(seen) = reached.get_mut(lane.zone.at()) {
            *seen = true;
        }
    }
    for (i, _) in reached.iter().enumerate().filter(|(_, seen)| !**seen) {
        b.faults.add(
            format!("zones[{i}]"),
            format!("no lane reaches zone '{}'; add one, or leave the zone out", zones[i].id),
        );
    }
    for ((site, zone), parallel) in &between {
        if parallel.len() > MAX_PARALLEL_LANES {
            b.faults.add(
                format!("lanes[{}]", parallel[MAX_PARALLEL_LANES].at()),
                format!(
                    "{} lanes lead from site '{}' to zone '{}'; at most {MAX_PARALLEL_LANES} may",
                    parallel.len(),
                    sites[site.at()].id,
                    zones[zone.at()].id
                ),
            );
        }
    }

    b.faults.into_result(())?;
    Ok(Network {
        sites,
        zones,
        resource_ids: resource_names.into_iter().map(|(name, at)| (ResourceId::from(name), at)).collect(),
        resources,
        processes,
        products,
        lanes,
        channels,
        site_ids,
        zone_ids,
        skus,
        lane_ids,
        channel_ids,
        lanes_between: between.into_iter().map(|(key, lanes)| (key, lanes.into_boxed_slice())).collect(),
        postal,
    })
}

type Names<I> = FxHashMap<Arc<str>, I>;

/// What references are looked up in.
struct Refs<'a> {
    sites: &'a Names<SiteIdx>,
    zones: &'a Names<ZoneIdx>,
    resources: &'a Names<ResourceIdx>,
    processes: &'a Names<ProcessIdx>,
}

struct Builder {
    now: Moment,
    faults: Faults,
    calendars: FxHashMap<String, Arc<Calendar>>,
    /// Words that occur over and over (units, services), shared.
    words: FxHashSet<Arc<str>>,
}

impl Builder {
    fn limit(&mut self, path: &str, seen: usize, limit: usize) {
        if seen > limit {
            self.faults.add(path, format!("has {seen} entries; at most {limit} are taken"));
        }
    }

    fn names<'a, I: Copy + Hash>(
        &mut self,
        list: &str,
        field: &str,
        ids: impl Iterator<Item = &'a str>,
        index: impl Fn(usize) -> I,
    ) -> Names<I> {
        let mut names: Names<I> = FxHashMap::default();
        let mut places: FxHashMap<Arc<str>, usize> = FxHashMap::default();
        for (i, text) in ids.enumerate() {
            if let Err(why) = id::check(text) {
                self.faults.add(format!("{list}[{i}].{field}"), why);
                continue;
            }
            let name: Arc<str> = Arc::from(text);
            if let Some(first) = places.insert(Arc::clone(&name), i) {
                self.faults.add(
                    format!("{list}[{i}].{field}"),
                    format!("'{text}' is taken by {list}[{first}]; names are unique"),
                );
                continue;
            }
            names.insert(name, index(i));
        }
        names
    }

    fn word(&mut self, text: &str) -> Arc<str> {
        if let Some(word) = self.words.get(text) {
            return Arc::clone(word);
        }
        let word: Arc<str> = Arc::from(text);
        self.words.insert(Arc::clone(&word));
        word
    }

    /// The name that a list's index holds, or the text itself when it was refused there.
    fn own<I>(names: &Names<I>, text: &str) -> Arc<str> {
        names.get_key_value(text).map_or_else(|| Arc::from(text), |(name, _)| Arc::clone(name))
    }

    fn text(&mut self, path: &str, text: &str) {
        if text.len() > MAX_TEXT_BYTES {
            self.faults.add(path, format!("has {} bytes; at most {MAX_TEXT_BYTES} are taken", text.len()));
        }
    }

    fn reference<I: Copy>(&mut self, path: String, what: &str, text: &str, names: &Names<I>) -> Option<I> {
        let found = names.get(text).copied();
        if found.is_none() {
            let message = if text.is_empty() {
                format!("names no {what}; one is needed")
            } else {
                format!("there is no {what} '{text}' in this network")
            };
            self.faults.add(path, message);
        }
        found
    }

    fn optional_reference<I: Copy>(&mut self, path: String, what: &str, text: &str, names: &Names<I>) -> Option<I> {
        if text.is_empty() { None } else { self.reference(path, what, text, names) }
    }

    fn calendar(&mut self, path: String, zone: &str) -> Arc<Calendar> {
        if let Some(calendar) = self.calendars.get(zone) {
            return Arc::clone(calendar);
        }
        match Calendar::new(zone, self.now) {
            Ok(calendar) => {
                let calendar = Arc::new(calendar);
                self.calendars.insert(zone.to_owned(), Arc::clone(&calendar));
                calendar
            }
            Err(why) => {
                self.faults.add(path, why);
                Arc::new(Calendar::new("UTC", self.now).expect("UTC is built in"))
            }
        }
    }

    fn date(&mut self, path: String, text: &str) -> Option<Day> {
        Day::parse(text).map_err(|why| self.faults.add(path, why)).ok()
    }

    fn dates(&mut self, path: &str, texts: &[String]) -> Box<[Day]> {
        let mut days: Vec<Day> =
            texts.iter().enumerate().filter_map(|(i, text)| self.date(format!("{path}[{i}]"), text)).collect();
        days.sort_unstable();
        days.dedup();
        days.into_boxed_slice()
    }

    fn time(&mut self, path: String, text: &str) -> Option<TimeOfDay> {
        if text.is_empty() {
            return None;
        }
        TimeOfDay::parse(text).map_err(|why| self.faults.add(path, why)).ok()
    }

    fn units(&mut self, path: String, units: i64) -> i64 {
        if !(0..=MAX_UNITS).contains(&units) {
            self.faults.add(path, format!("is {units}; it must lie between 0 and {MAX_UNITS}"));
        }
        units
    }

    fn count(&mut self, path: String, number: i32, limit: i32) -> i32 {
        if !(0..=limit).contains(&number) {
            self.faults.add(path, format!("is {number}; it must lie between 0 and {limit}"));
        }
        number
    }

    fn span(&mut self, path: String, span: &Result<Span, String>) -> Span {
        match span {
            Ok(span) if *span <= Span::days(i64::from(MAX_LEAD_DAYS)) => *span,
            Ok(_) => {
                self.faults.add(path, format!("is longer than {MAX_LEAD_DAYS} days"));
                Span::ZERO
            }
            Err(why) => {
                self.faults.add(path, why.clone());
                Span::ZERO
            }
        }
    }

    fn weekdays(days: &[usize]) -> Weekdays {
        if days.is_empty() { Weekdays::ALL } else { days.iter().fold(Weekdays(0), |set, &day| set.with(day)) }
    }

    fn site(&mut self, i: usize, s: &SiteSpec, names: &Names<SiteIdx>) -> Site {
        self.text(&format!("sites[{i}].display_name"), &s.display_name);
        let id = Self::own(names, &s.id);
        Site {
            display_name: if s.display_name.is_empty() { Arc::clone(&id) } else { Arc::from(s.display_name.as_str()) },
            calendar: self.calendar(format!("sites[{i}].time_zone"), &s.time_zone),
            id,
        }
    }

    fn zone(
        &mut self,
        i: usize,
        z: &ZoneSpec,
        names: &Names<ZoneIdx>,
        all: &[ZoneSpec],
        postal: &mut PostalPrefixes,
    ) -> Zone {
        self.text(&format!("zones[{i}].display_name"), &z.display_name);
        for (j, prefix) in z.postal_prefixes.iter().enumerate() {
            let path = format!("zones[{i}].postal_prefixes[{j}]");
            match postal.add(prefix, ZoneIdx::new(i)) {
                Ok(()) => {}
                Err(Taken::Malformed) => self.faults.add(
                    path,
                    format!(
                        "'{prefix}' is not a country, a hyphen and the beginning of a postal code, such as DE-80 or DE-"
                    ),
                ),
                Err(Taken::By(other)) => {
                    self.faults.add(
                        path,
                        format!("'{prefix}' is taken by zone '{}'; an address lies in one zone", all[other.at()].id),
                    );
                }
            }
        }
        Zone { id: Self::own(names, &z.id), calendar: self.calendar(format!("zones[{i}].time_zone"), &z.time_zone) }
    }

    fn resource(&mut self, i: usize, r: &ResourceSpec, names: &Names<ResourceIdx>, sites: &Names<SiteIdx>) -> Resource {
        let at = |field: &str| format!("resources[{i}].{field}");
        if r.kind.is_none() {
            self.faults.add(at("kind"), "is not said; KIND_CAPACITY or KIND_STOCK is needed");
        }
        self.text(&at("display_name"), &r.display_name);
        self.text(&at("unit"), &r.unit);
        let bucketing = match &r.bucket {
            Ok(bucketing) => *bucketing,
            Err(why) => {
                self.faults.add(at("bucket"), why.clone());
                Bucketing::DAYS
            }
        };
        let id = Self::own(names, &r.id);
        let unit = if r.unit.is_empty() { "units" } else { &r.unit };
        Resource {
            display_name: if r.display_name.is_empty() { Arc::clone(&id) } else { Arc::from(r.display_name.as_str()) },
            id: ResourceId::from(id),
            site: self.reference(at("site"), "site", &r.site, sites).unwrap_or(SiteIdx::new(0)),
            kind: r.kind.unwrap_or(Kind::Capacity),
            unit: self.word(unit),
            bucketing,
            weekly: self.weekly(i, &r.weekly, bucketing),
            closed: self.dates(&at("closed"), &r.closed),
            horizon_days: match self.count(at("horizon_days"), r.horizon_days, MAX_HORIZON_DAYS) {
                0 => DEFAULT_HORIZON_DAYS,
                days => days,
            },
        }
    }

    fn weekly(&mut self, i: usize, weekly: &[WeeklySpec], bucketing: Bucketing) -> Option<Box<[i64]>> {
        if weekly.is_empty() {
            return None;
        }
        let per_day = bucketing.per_day() as usize;
        let mut pattern = vec![0i64; 7 * per_day];
        for (j, w) in weekly.iter().enumerate() {
            let at = |field: &str| format!("resources[{i}].weekly[{j}].{field}");
            let from = self.time(at("from"), &w.from).map_or(0, |t| i32::from(t.0));
            let to = self.time(at("to"), &w.to).map_or(1_440, |t| i32::from(t.0));
            let units = self.units(at("units"), w.units);
            let begins: Vec<usize> =
                (0..per_day).filter(|&k| (from..to).contains(&(k as i32 * bucketing.minutes()))).collect();
            if begins.is_empty() {
                let message = if bucketing.is_days() {
                    format!(
                        "no bucket begins from '{}' to '{}': a day bucket begins at 00:00; leave both empty",
                        w.from, w.to
                    )
                } else {
                    format!("no bucket of {} minutes begins from '{}' to '{}'", bucketing.minutes(), w.from, w.to)
                };
                self.faults.add(format!("resources[{i}].weekly[{j}]"), message);
            }
            for weekday in (0..7).filter(|&d| Self::weekdays(&w.days).0 >> d & 1 == 1) {
                for &k in &begins {
                    let sum = &mut pattern[weekday * per_day + k];
                    *sum = sum.saturating_add(units);
                }
            }
        }
        if pattern.iter().any(|&units| units > MAX_UNITS) {
            self.faults.add(format!("resources[{i}].weekly"), format!("adds up to more than {MAX_UNITS} in a bucket"));
        }
        Some(pattern.into_boxed_slice())
    }

    /// A reference to a resource of one kind.
    fn resource_of_kind(
        &mut self,
        path: String,
        text: &str,
        kind: Kind,
        refs: &Refs<'_>,
        all: &[ResourceSpec],
    ) -> Option<ResourceIdx> {
        let found = self.optional_reference(path.clone(), "resource", text, refs.resources)?;
        if all[found.at()].kind.is_some_and(|k| k != kind) {
            let wanted = match kind {
                Kind::Capacity => "KIND_CAPACITY is needed; '{}' is KIND_STOCK",
                Kind::Stock => "KIND_STOCK is needed; '{}' is KIND_CAPACITY",
            };
            self.faults.add(path, wanted.replace("{}", text));
        }
        Some(found)
    }

    fn process(&mut self, i: usize, p: &ProcessSpec, refs: &Refs<'_>, all: &[ResourceSpec]) -> Process {
        self.limit(&format!("processes[{i}].steps"), p.steps.len(), MAX_STEPS);
        let steps = p
            .steps
            .iter()
            .enumerate()
            .map(|(j, s)| {
                let at = |field: &str| format!("processes[{i}].steps[{j}].{field}");
                Step {
                    resource: self.resource_of_kind(at("resource"), &s.resource, Kind::Capacity, refs, all),
                    per_line: self.units(at("per_line"), s.per_line),
                    per_item: self.units(at("per_item"), s.per_item),
                    divisible: s.divisible,
                    cutoff: self.time(at("cutoff"), &s.cutoff),
                    lead_time: self.span(at("lead_time"), &s.lead_time),
                    lead_days: self.count(at("lead_days"), s.lead_days, MAX_LEAD_DAYS),
                }
            })
            .collect();
        Process { id: Self::own(refs.processes, &p.id), steps }
    }

    fn product(
        &mut self,
        i: usize,
        p: &ProductSpec,
        refs: &Refs<'_>,
        skus: &Names<ProductIdx>,
        all: &[ResourceSpec],
    ) -> Product {
        self.limit(&format!("products[{i}].sources"), p.sources.len(), MAX_SOURCES);
        self.limit(&format!("products[{i}].substitutes"), p.substitutes.len(), MAX_SUBSTITUTES);
        if p.display_name.len() > MAX_TEXT_BYTES {
            self.text(&format!("products[{i}].display_name"), &p.display_name);
        }
        if p.sources.is_empty() {
            self.faults.add(
                format!("products[{i}].sources"),
                format!("is empty: '{}' could never be promised; name a source", p.sku),
            );
        }
        let sources = p
            .sources
            .iter()
            .enumerate()
            .map(|(j, s)| {
                let at = |field: &str| format!("products[{i}].sources[{j}].{field}");
                let site = self.reference(at("site"), "site", &s.site, refs.sites).unwrap_or(SiteIdx::new(0));
                let stock = self.resource_of_kind(at("stock"), &s.stock, Kind::Stock, refs, all);
                let process = self.optional_reference(at("process"), "process", &s.process, refs.processes);
                if s.stock.is_empty() && s.process.is_empty() {
                    self.faults
                        .add(format!("products[{i}].sources[{j}]"), "has neither stock nor process; one is needed");
                }
                Source { site, stock, process }
            })
            .collect();
        let substitutes = p
            .substitutes
            .iter()
            .enumerate()
            .filter_map(|(j, s)| self.reference(format!("products[{i}].substitutes[{j}]"), "product", s, skus))
            .collect();
        Product { sku: Self::own(skus, &p.sku), sources, substitutes }
    }

    fn lane(&mut self, i: usize, l: &LaneSpec, refs: &Refs<'_>, all: &[ResourceSpec]) -> Lane {
        let at = |field: &str| format!("lanes[{i}].{field}");
        if l.service.len() > MAX_ID_BYTES {
            self.faults.add(at("service"), format!("has {} bytes; at most {MAX_ID_BYTES} are taken", l.service.len()));
        }
        let transit_time = match &l.transit_time {
            Ok(None) => None,
            Ok(Some(span)) => Some(self.span(at("transit_time"), &Ok(*span))),
            Err(why) => {
                self.faults.add(at("transit_time"), why.clone());
                None
            }
        };
        if transit_time.is_some() && l.transit_days != 0 {
            self.faults.add(at("transit_time"), "stands in place of transit_days; set one of the two");
        }
        let resource = self.resource_of_kind(at("resource"), &l.resource, Kind::Capacity, refs, all);
        let of_days = resource.is_some_and(|r| all[r.at()].bucket.as_ref().is_ok_and(|b| b.is_days()));
        if transit_time.is_some() && of_days {
            self.faults.add(
                at("resource"),
                format!(
                    "'{}' has day buckets, which a lane with transit_time can't draw on (rule 10); use shorter ones",
                    l.resource
                ),
            );
        }
        Lane {
            id: self.word(&l.id),
            site: self.reference(at("site"), "site", &l.site, refs.sites).unwrap_or(SiteIdx::new(0)),
            zone: self.reference(at("zone"), "zone", &l.zone, refs.zones).unwrap_or(ZoneIdx::new(0)),
            service: self.word(&l.service),
            departure_days: Self::weekdays(&l.departure_days),
            departure_time: self.time(at("departure_time"), &l.departure_time),
            transit_days: self.count(at("transit_days"), l.transit_days, MAX_LEAD_DAYS),
            delivery_days: Self::weekdays(&l.delivery_days),
            holidays: self.dates(&at("holidays"), &l.holidays),
            resource,
            per_shipment: self.units(at("per_shipment"), l.per_shipment),
            per_item: self.units(at("per_item"), l.per_item),
            transit_time,
        }
    }

    /// A walk that comes back to where it began would offer a product in place of itself.
    fn cycles_of_substitutes(&mut self, products: &[Product]) {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            OnPath,
            Done,
        }
        let mut marks = vec![Mark::New; products.len()];
        for root in 0..products.len() {
            if marks[root] != Mark::New {
                continue;
            }
            marks[root] = Mark::OnPath;
            // An explicit stack of (product, next substitute): chains may be as long as the list of products.
            let mut path: Vec<(usize, usize)> = vec![(root, 0)];
            while let Some((product, next)) = path.last_mut() {
                let (here, j) = (*product, *next);
                let Some(substitute) = products[here].substitutes.get(j).map(|s| s.at()) else {
                    marks[here] = Mark::Done;
                    path.pop();
                    continue;
                };
                *next += 1;
                match marks[substitute] {
                    Mark::New => {
                        marks[substitute] = Mark::OnPath;
                        path.push((substitute, 0));
                    }
                    Mark::OnPath => {
                        let from = path.iter().position(|(p, _)| *p == substitute).unwrap_or(0);
                        let mut round: Vec<&str> = path[from..].iter().map(|(p, _)| &*products[*p].sku).collect();
                        round.push(&products[substitute].sku);
                        self.faults.add(
                            format!("products[{here}].substitutes[{j}]"),
                            format!("substitutes go round in a circle: {}", round.join(" -> ")),
                        );
                    }
                    Mark::Done => {}
                }
            }
        }
    }
}
