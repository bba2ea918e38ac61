//! The seam to the file formats: what the commands need to know of a file, whichever way it is read. `-` is stdin.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::exit::Failure;
use crate::app::request::SupplyLine;
use crate::app::{over, too_far};
use crate::domain::bucket::Bucketing;
use crate::domain::calendar::Calendar;
use crate::domain::faults::Fault;
use crate::domain::network::Network;
use crate::domain::time::Moment;
use crate::edge::from_proto;
use crate::files::FileFaults;
use crate::files::forms::Forms;
use crate::files::fulfilments::FulfilmentsRead;
use crate::files::network::Source;
use crate::files::offer::OfferFile;
use crate::files::plan::PlanLine;
use crate::proto::v1;

/// A network that was read from a file.
#[derive(Debug)]
pub struct NetworkFile {
    /// What it says.
    pub network: v1::Network,
    name: String,
    source: Source,
}

/// A plan that was read from a file.
#[derive(Debug)]
pub struct PlanFile {
    /// What it says, in the order of the file.
    pub lines: Vec<PlanLine>,
    name: String,
}

impl NetworkFile {
    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where paths of the network, `resources[3].weekly[0].units`, stand in the file: `network.yaml:41:14`. One pass over
    /// the file finds them all.
    pub fn places(&self, paths: &[&str]) -> Vec<Option<String>> {
        let numbered =
            paths.iter().enumerate().map(|(i, path)| Fault { path: (*path).to_owned(), message: i.to_string() });
        let found = self.source.locate(&numbered.collect::<Vec<_>>());
        let mut places = vec![None; paths.len()];
        for fault in found.faults {
            // The answer comes in the order of the file; the number at the end tells which path it is for.
            let number = fault.message.rsplit(' ').next().and_then(|number| number.parse::<usize>().ok());
            if let Some(place) = number.and_then(|number| places.get_mut(number)) {
                *place = Some(format!("{}:{}:{}", self.name, fault.line, fault.column));
            }
        }
        places
    }

    /// The network as the service would have it.
    ///
    /// # Errors
    /// Everything that is wrong with it, one fault a line: `network.yaml:41:14: resources[3].weekly[0].units: is -5; ...`.
    pub fn check(&self, now: Moment) -> Result<Network, Vec<String>> {
        from_proto::network(self.network.clone(), now).map_err(|faults| lines_of(&self.source.locate(&faults)))
    }
}

impl PlanFile {
    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its lines, without their places.
    pub fn supply(&self) -> Vec<SupplyLine> {
        self.lines.iter().map(|line| line.supply.clone()).collect()
    }

    /// How many numbers it has.
    pub fn numbers(&self) -> usize {
        self.lines.iter().map(|line| line.supply.units.len()).sum()
    }

    /// Where a path of the message that was made of the lines from `first` on, `lines[7].units[2]`, stands in the file.
    pub fn place(&self, first: usize, path: &str) -> Option<String> {
        let line = self.lines.get(first.checked_add(index_after(path, "lines[")?)?)?;
        let units = path.find("units[").and_then(|at| index_after(&path[at..], "units["));
        Some(format!("{}:{}", self.name, line.line + units.unwrap_or(0) as u64))
    }

    /// Where the last number before a line of the plan stands in the file: a line holds a run of them, each on a line of its own.
    pub fn last_before(&self, line: usize) -> Option<String> {
        let last = self.lines.get(line.checked_sub(1)?)?;
        Some(format!("{}:{}", self.name, last.line + last.supply.units.len().saturating_sub(1) as u64))
    }
}

/// The number in `lines[7].start` after `lines[`.
fn index_after(path: &str, head: &str) -> Option<usize> {
    path.strip_prefix(head)?.split(']').next()?.parse().ok()
}

/// Files from this size on show how far they are read: what is smaller is read before anybody could look.
const BIG_FILE_BYTES: u64 = 16 << 20;

/// A file's name, for messages.
pub fn name(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

fn open(path: &Path) -> Result<(String, Box<dyn Read>), Failure> {
    let name = name(path);
    if path == Path::new("-") {
        return Ok((name, Box::new(std::io::stdin().lock())));
    }
    match File::open(path) {
        Ok(file) => match file.metadata().map_or(0, |metadata| metadata.len()) {
            size if size >= BIG_FILE_BYTES => {
                let style =
                    ProgressStyle::with_template("{bar:30} {binary_bytes} of {binary_total_bytes} read, {eta} left");
                let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
                Ok((name, Box::new(ProgressBar::new(size).with_style(style).wrap_read(BufReader::new(file)))))
            }
            _ => Ok((name, Box::new(BufReader::new(file)))),
        },
        Err(error) => Err(Failure::wrong("a file can't be read", format!("{name}: {error}"))),
    }
}

fn lines_of(faults: &FileFaults) -> Vec<String> {
    faults.to_string().lines().map(str::to_owned).collect()
}

fn wrong(name: &str, faults: &FileFaults) -> Failure {
    Failure::Wrong { what: format!("{name} is wrong"), faults: lines_of(faults) }
}

/// Reads a network: YAML or JSON.
///
/// # Errors
/// Everything that is wrong with the file's form, by line and column.
pub fn network(path: &Path) -> Result<NetworkFile, Failure> {
    let (name, input) = open(path)?;
    match crate::files::network::read(&name, input) {
        Ok((network, source)) => Ok(NetworkFile { network, name, source }),
        Err(faults) => Err(wrong(&name, &faults)),
    }
}

/// Reads a plan: CSV with the columns resource,start,units; against a network, if there is one at hand.
///
/// # Errors
/// Everything that is wrong with the file, by line and column.
pub fn plan(path: &Path, network: Option<&Network>) -> Result<PlanFile, Failure> {
    let (name, input) = open(path)?;
    let bucketing = |resource: &str| match network.map(|network| (network, network.find_resource(resource))) {
        None => Ok(None),
        Some((network, Some(found))) => Ok(Some(network.resource(found).bucketing)),
        Some((_, None)) => Err(format!("the network has no resource '{resource}'")),
    };
    match crate::files::plan::read(&name, input, bucketing) {
        Ok(lines) => Ok(PlanFile { lines, name }),
        Err(faults) => Err(wrong(&name, &faults)),
    }
}

/// What a server's network says of resources.
#[derive(Debug)]
pub struct Plants {
    resources: HashMap<String, Plant>,
}

/// What is known of a resource: how its buckets lie, in which time zone, and whether they are over some day.
#[derive(Debug)]
struct Plant {
    bucketing: Bucketing,
    zone: TimeZone,
    is_capacity: bool,
}

/// Between which instants the server's present one lies, as far as this side knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// No later than it.
    pub earliest: Moment,
    /// No earlier than it.
    pub latest: Moment,
}

impl Present {
    /// Of this side's clock, and of the server's days that are now, `(begin, end)`: where the clock contradicts them, they count,
    /// as a server may run on a clock of its own.
    pub fn new(clock: Moment, todays: &[(Moment, Moment)]) -> Self {
        if todays.iter().all(|(begin, end)| (*begin..*end).contains(&clock)) {
            return Self { earliest: clock, latest: clock };
        }
        let earliest = todays.iter().map(|(begin, _)| *begin).max().unwrap_or(clock);
        let latest = todays.iter().map(|(_, end)| Moment(end.0 - 1)).min().unwrap_or(clock);
        // The server's midnight may have passed between two answers.
        Self { earliest: earliest.min(latest), latest: latest.max(earliest) }
    }
}

impl Plants {
    /// Of a network that a server told, which is right.
    pub fn of_network(network: &v1::Network) -> Self {
        let zone = |site: &v1::Site| (site.id.clone(), TimeZone::get(&site.time_zone).unwrap_or(TimeZone::UTC));
        let zones: HashMap<_, _> = network.sites.iter().map(zone).collect();
        let resource = |resource: &v1::Resource| {
            let minutes = resource.bucket.as_ref().map(|bucket| bucket.seconds / 60);
            let bucketing = minutes.and_then(|minutes| Bucketing::of_minutes(minutes).ok()).unwrap_or(Bucketing::DAYS);
            let zone = zones.get(&resource.site).cloned().unwrap_or(TimeZone::UTC);
            let is_capacity = resource.kind() == v1::resource::Kind::Capacity;
            (resource.id.clone(), Plant { bucketing, zone, is_capacity })
        };
        Self { resources: network.resources.iter().map(resource).collect() }
    }

    /// What is known of a resource.
    pub fn of(&self, resource: &str) -> Option<(Bucketing, TimeZone)> {
        self.resources.get(resource).map(|plant| (plant.bucketing, plant.zone.clone()))
    }

    /// For each time zone with capacity, a resource whose buckets of today tell when the server's day begins and ends there: the
    /// one that has the fewest.
    pub fn clocks(&self) -> Vec<&str> {
        let mut clocks: BTreeMap<&str, (i32, &str)> = BTreeMap::new();
        for (id, plant) in self.resources.iter().filter(|(_, plant)| plant.is_capacity) {
            let this = (plant.bucketing.per_day(), id.as_str());
            let clock = clocks.entry(zone_name(&plant.zone)).or_insert(this);
            *clock = this.min(*clock);
        }
        clocks.into_values().map(|(_, id)| id).collect()
    }
}

fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// What keeps buckets from being set, as the server judges it: that they are over or too far ahead.
struct Reach<'a> {
    plants: &'a Plants,
    present: Present,
    calendars: HashMap<String, Calendar>,
}

impl Reach<'_> {
    fn check(&mut self, resource: &str, index: i32) -> Result<(), String> {
        let Some(plant) = self.plants.resources.get(resource) else { return Ok(()) };
        let (Present { earliest, latest }, zone) = (self.present, zone_name(&plant.zone));
        if !self.calendars.contains_key(zone) {
            self.calendars.insert(zone.to_owned(), Calendar::new(zone, earliest)?);
        }
        let calendar = &self.calendars[zone];
        // What may still be right by the server's clock is left to it.
        let too_far = too_far(plant.bucketing, calendar, index.into(), latest);
        let over = || plant.is_capacity.then(|| over(resource, plant.bucketing, calendar, index, earliest)).flatten();
        too_far.or_else(over).map_or(Ok(()), Err)
    }
}

/// Reads a plan as another program wrote it; against the server's network and clock, if it has a network. The good rows, and what
/// is wrong with the others.
///
/// # Errors
/// What keeps the file from being read at all.
pub fn exported_plan(
    path: &Path,
    forms: &Forms,
    plants: Option<(&Plants, Present)>,
) -> Result<(PlanFile, FileFaults), Failure> {
    let (name, input) = open(path)?;
    let bucketing = |resource: &str| match plants {
        None => Ok(None),
        Some((plants, _)) => match plants.resources.get(resource) {
            Some(plant) => Ok(Some(plant.bucketing)),
            None => Err(format!("the network has no resource '{resource}'")),
        },
    };
    let mut reach = plants.map(|(plants, present)| Reach { plants, present, calendars: HashMap::new() });
    let within = |resource: &str, index| reach.as_mut().map_or(Ok(()), |reach| reach.check(resource, index));
    match crate::files::plan::read_export(&name, input, forms, bucketing, within) {
        Ok(read) => Ok((PlanFile { lines: read.lines, name }, read.faults)),
        Err(faults) => Err(wrong(&name, &faults)),
    }
}

/// Reads what became of promises as another program wrote it, with the file's name.
///
/// # Errors
/// What keeps the file from being read at all.
pub fn fulfilments(
    path: &Path,
    forms: &Forms,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<(String, FulfilmentsRead), Failure> {
    let (name, input) = open(path)?;
    match crate::files::fulfilments::read(&name, input, forms, zone, now) {
        Ok(read) => Ok((name, read)),
        Err(faults) => Err(wrong(&name, &faults)),
    }
}

/// Reads an offer: YAML or JSON.
///
/// # Errors
/// Everything that is wrong with the file's form, by line and column.
pub fn offer(path: &Path) -> Result<OfferFile, Failure> {
    let (name, input) = open(path)?;
    crate::files::offer::read(&name, input).map_err(|faults| wrong(&name, &faults))
}

/// A line of a plan as the contract has it.
pub fn to_proto(line: &PlanLine) -> v1::SupplyLine {
    v1::SupplyLine {
        resource: line.supply.resource.to_string(),
        start: line.supply.start.to_string(),
        units: line.supply.units.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    const NETWORK: &str = "\
sites:
  - id: lej
    timeZone: Europe/Berlin
resources:
  - id: lej.pack
    site: lej
    kind: KIND_CAPACITY
    weekly:
      - days: [WEEKDAY_MONDAY]
        units: 5
";

    #[test]
    fn paths_of_the_server_are_shown_as_lines_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "network.yaml", NETWORK);
        let network = network(&path).unwrap();
        let places = network.places(&["network.resources[0].weekly[0].units", "sites[0].time_zone"]);
        let name = path.display();
        assert_eq!(places, [Some(format!("{name}:10:16")), Some(format!("{name}:3:15"))]);
    }

    #[test]
    fn paths_of_a_plan_are_shown_as_lines_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = "resource,start,units\na,2026-12-01,1\na,2026-12-02,2\nb,2026-12-01,3\n";
        let plan = plan(&file(&folder, "plan.csv", text), None).unwrap();
        let line = |place: Option<String>| place.map(|place| place.rsplit(':').next().unwrap().to_owned());
        assert_eq!(plan.numbers(), 3);
        assert_eq!(line(plan.place(0, "lines[0].start")), Some("2".to_owned()));
        assert_eq!(line(plan.place(1, "lines[1].units[0]")), Some("4".to_owned()));
        assert_eq!(plan.place(2, "lines[1].start"), None);
        assert_eq!(plan.place(0, "request_id"), None);
        assert_eq!((line(plan.last_before(1)), plan.last_before(0)), (Some("2".to_owned()), None));
    }

    #[test]
    fn a_plan_is_checked_against_the_network_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let network = network(&file(&folder, "network.yaml", NETWORK)).unwrap().check(Moment(0)).unwrap();
        let text = "resource,start,units\nlej.pack,2026-12-01,1\nlej.pack,2026-12-02,2\n";
        let good = plan(&file(&folder, "plan.csv", text), Some(&network)).unwrap();
        assert_eq!((good.lines.len(), good.numbers()), (1, 2), "consecutive buckets are one line");
        let last = good.last_before(1).unwrap();
        assert!(last.ends_with("plan.csv:3"), "the last of its numbers, not the first: {last}");
        let text = "resource,start,units\nlej.park,2026-12-01,1\nlej.pack,2026-12-01T08:00,2\nlej.pack,2026-12-01,-1\n";
        let Err(Failure::Wrong { faults, .. }) = plan(&file(&folder, "bad.csv", text), Some(&network)) else {
            panic!()
        };
        assert_eq!(faults.len(), 3, "{faults:#?}");
        assert!(faults[0].contains("bad.csv:2:1: ") && faults[0].contains("lej.park"), "{}", faults[0]);
    }

    #[test]
    fn the_servers_day_counts_where_clocks_differ() {
        let present = |clock, todays: &[(i64, i64)]| {
            let todays: Vec<_> = todays.iter().map(|(begin, end)| (Moment(*begin), Moment(*end))).collect();
            let Present { earliest, latest } = Present::new(Moment(clock), &todays);
            (earliest.0, latest.0)
        };
        for (clock, todays, wanted) in [
            (50, &[][..], (50, 50)),
            (50, &[(0, 100)], (50, 50)),
            (0, &[(0, 100)], (0, 0)),
            (100, &[(0, 100)], (0, 99)),
            (-1, &[(0, 100)], (0, 99)),
            // Two zones' days tell more than one's.
            (50, &[(0, 100), (60, 160)], (60, 99)),
            (70, &[(0, 100), (60, 160)], (70, 70)),
            // Midnight between two answers.
            (0, &[(500, 600), (600, 700)], (599, 600)),
        ] {
            assert_eq!(present(clock, todays), wanted, "{clock} {todays:?}");
        }
    }

    #[test]
    fn a_clock_is_asked_for_in_each_time_zone_with_capacity() {
        use v1::resource::Kind;
        let site = |id: &str, zone: &str| v1::Site { id: id.into(), time_zone: zone.into(), ..Default::default() };
        let resource = |id: &str, site: &str, kind: Kind, hours: i64| v1::Resource {
            id: id.into(),
            site: site.into(),
            kind: kind.into(),
            bucket: Some(pbjson_types::Duration { seconds: hours * 3_600, nanos: 0 }),
            ..Default::default()
        };
        let sites = vec![site("a", "Europe/Berlin"), site("b", "Asia/Tokyo"), site("c", "UTC")];
        let resources = vec![
            resource("a.hours", "a", Kind::Capacity, 1),
            resource("a.pack", "a", Kind::Capacity, 24),
            resource("b.hours", "b", Kind::Capacity, 1),
            resource("c.stock", "c", Kind::Stock, 24),
        ];
        let plants = Plants::of_network(&v1::Network { sites, resources, ..Default::default() });
        assert_eq!(plants.clocks(), ["b.hours", "a.pack"]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let Err(failure) = network(Path::new("/no/such/network.yaml")) else { panic!() };
        let text = crate::cli::render::failure::text(&failure);
        assert!(text.contains("/no/such/network.yaml: No such file"), "{text}");
        assert_eq!(failure.exit().code(), 2);
    }
}
