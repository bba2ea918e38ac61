//! The seam to the file formats: what a command needs to know of a file, whichever way it is read.

use std::io::Read;
use std::path::Path;

use super::exit::Failure;
use crate::proto::v1;

/// A network that was read from a file.
#[derive(Debug)]
pub struct NetworkFile {
    /// What it says.
    pub network: v1::Network,
    name: String,
}

/// A plan that was read from a file: one number a line.
#[derive(Debug)]
pub struct PlanFile {
    /// What it says, in the order of the file.
    pub lines: Vec<v1::SupplyLine>,
    name: String,
    places: Vec<u64>,
}

impl NetworkFile {
    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where a path of the network, `resources[3].weekly[0].units`, stands in the file.
    pub fn place(&self, path: &str) -> Option<String> {
        let _ = path;
        Some(self.name.clone())
    }
}

impl PlanFile {
    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where a path of the message that was made of the lines from `first` on, `lines[7].start`, stands in the file.
    pub fn place(&self, first: usize, path: &str) -> Option<String> {
        let index = path.strip_prefix("lines[")?.split(']').next()?.parse::<usize>().ok()?;
        Some(format!("{}:{}", self.name, self.places.get(first + index)?))
    }
}

/// The text of a file, or of stdin where the name is `-`.
fn text(path: &Path) -> Result<(String, String), Failure> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let unreadable = |error: std::io::Error| Failure::wrong(format!("{name} can't be read"), error.to_string());
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        bytes = std::fs::read(path).map_err(unreadable)?;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
            Err(Failure::wrong(format!("{name} can't be read"), format!("{name}:{line}: the text is not UTF-8")))
        }
    }
}

/// Reads a network: YAML or JSON.
///
/// # Errors
/// Everything that is wrong with the file, by line and column.
pub fn network(path: &Path) -> Result<NetworkFile, Failure> {
    let (name, text) = text(path)?;
    let network = serde_saphyr::from_str::<v1::Network>(&text)
        .map_err(|error| Failure::wrong(format!("{name} is no network"), error.to_string()))?;
    Ok(NetworkFile { network, name })
}

/// Reads a plan: CSV with the columns resource,start,units.
///
/// # Errors
/// Everything that is wrong with the file, by line.
pub fn plan(path: &Path) -> Result<PlanFile, Failure> {
    let (name, text) = text(path)?;
    let mut faults = Vec::new();
    let mut plan = PlanFile { lines: Vec::new(), name: name.clone(), places: Vec::new() };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    for record in reader.deserialize::<(String, String, i64)>() {
        match record {
            Ok((resource, start, units)) => {
                plan.lines.push(v1::SupplyLine { resource, start, units: vec![units] });
                plan.places.push(plan.lines.len() as u64 + 1);
            }
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    if faults.is_empty() { Ok(plan) } else { Err(Failure::Wrong { what: format!("{name} is no plan"), faults }) }
}

/// What is wrong with a network, as far as it can be seen without a server.
pub fn by_itself(network: &NetworkFile) -> Vec<String> {
    let _ = network;
    Vec::new()
}

/// What is wrong with a network, and with a plan for it.
pub fn against_each_other(network: &NetworkFile, plan: &PlanFile) -> Vec<String> {
    let mut faults = by_itself(network);
    let known: std::collections::HashSet<&str> = network.network.resources.iter().map(|r| r.id.as_str()).collect();
    for (i, line) in plan.lines.iter().enumerate() {
        let place = plan.place(i, "lines[0]").unwrap_or_default();
        if !known.contains(line.resource.as_str()) {
            faults.push(format!("{place}: the network has no resource '{}'", line.resource));
        }
    }
    faults
}
