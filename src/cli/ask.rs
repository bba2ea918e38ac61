//! What is asked: lines, destination and date, from words to the contract's Ask.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::render::times::Times;
use super::values;
use crate::domain::faults::Faults;
use crate::domain::limits::MAX_LINES;
use crate::domain::time::Day;
use crate::proto::v1;

/// What is wanted, and where.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What is asked")]
pub struct AskArgs {
    /// A product; can be given again, each with its own --quantity
    #[arg(long, env = "SURETY_SKU", value_name = "SKU")]
    pub sku: Vec<String>,
    /// How many of the --sku of the same place in the order; 1 of each if not given at all
    #[arg(long, env = "SURETY_QUANTITY", value_name = "N", allow_hyphen_values = true)]
    pub quantity: Vec<String>,
    /// A product and how many, in one word; can be given again. These lines come after those of --sku
    #[arg(long, env = "SURETY_LINE", value_name = "SKU=N")]
    pub line: Vec<String>,
    /// The zone where the promise is to be kept
    #[arg(long, env = "SURETY_ZONE", value_name = "ZONE")]
    pub zone: Option<String>,
    /// In place of a zone: the country of the address, ISO 3166-1 alpha-2 (DE)
    #[arg(long, env = "SURETY_COUNTRY", value_name = "CC")]
    pub country: Option<String>,
    /// The postal code of the address; with --country
    #[arg(long, env = "SURETY_POSTAL_CODE", value_name = "CODE")]
    pub postal_code: Option<String>,
    /// The level of service: standard, express, pickup ...; any if not given
    #[arg(long, env = "SURETY_SERVICE", value_name = "SERVICE")]
    pub service: Option<String>,
    /// Who is asking: a channel of the network; common capacity only if not given
    #[arg(long, env = "SURETY_CHANNEL", value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// The approved marketing offer that this order redeems
    #[arg(long, env = "SURETY_OFFER", value_name = "OFFER")]
    pub offer: Option<String>,
    /// Send each line as early as it can, split over sources where that helps; one date for all lines if not given
    #[arg(long, env = "SURETY_SPLIT", value_parser = values::flag)]
    pub split: bool,
    /// How sure the date must be, 0 to 1: the share of comparable past promises that such a date would have kept; the earliest
    /// that capacity allows if not given
    #[arg(long, env = "SURETY_MIN_CONFIDENCE", value_name = "SHARE")]
    pub min_confidence: Option<String>,
}

/// When it is wanted: at most one of these; as soon as possible if none is given.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "When")]
pub struct WhenArgs {
    /// The last acceptable day, in the zone's time zone
    #[arg(long, env = "SURETY_BY", value_name = "DATE")]
    pub by: Option<String>,
    /// The last acceptable instant: 2026-12-24T18:00:00+01:00, or 2026-12-24T18:00 in --time-zone
    #[arg(long, env = "SURETY_BY_TIME", value_name = "INSTANT")]
    pub by_time: Option<String>,
    /// That day and no other
    #[arg(long, env = "SURETY_ON", value_name = "DATE")]
    pub on: Option<String>,
    /// The beginning of a delivery slot; with --to: that slot and no other
    #[arg(long, env = "SURETY_FROM", value_name = "INSTANT")]
    pub from: Option<String>,
    /// The end of the delivery slot
    #[arg(long, env = "SURETY_TO", value_name = "INSTANT")]
    pub to: Option<String>,
}

/// Where several ways to say a thing exclude each other, one on the command line silences those that only the
/// environment knows: the ids of the options to forget.
fn silenced<'a>(matches: &ArgMatches, ways: &[&'a [&'a str]]) -> Vec<&'a str> {
    let is_from = |id: &str, source| matches.value_source(id) == Some(source);
    let spoken = |way: &&[&str]| way.iter().any(|id| is_from(id, ValueSource::CommandLine));
    if !ways.iter().any(spoken) {
        return Vec::new();
    }
    let others = ways.iter().filter(|way| !spoken(way));
    others.flat_map(|way| way.iter().copied()).filter(|id| is_from(id, ValueSource::EnvVariable)).collect()
}

impl AskArgs {
    pub(super) fn prefer_command_line(&mut self, matches: &ArgMatches) {
        let lines = silenced(matches, &[&["sku", "quantity"], &["line"]]);
        let places = silenced(matches, &[&["zone"], &["country", "postal_code"]]);
        for id in lines.into_iter().chain(places) {
            match id {
                "sku" => self.sku.clear(),
                "quantity" => self.quantity.clear(),
                "line" => self.line.clear(),
                "zone" => self.zone = None,
                "country" => self.country = None,
                "postal_code" => self.postal_code = None,
                _ => {}
            }
        }
    }

    /// The question, with or without faults; all faults are noted.
    pub fn check(&self, when: Option<v1::ask::When>, faults: &mut Faults) -> v1::Ask {
        let shipments = if self.split { v1::ask::Shipments::Split } else { v1::ask::Shipments::Unspecified };
        let min_confidence = self.min_confidence.as_deref().filter(|text| !text.is_empty());
        let min_confidence = min_confidence
            .and_then(|text| values::share(text).map_err(|fault| faults.add("--min-confidence", fault)).ok());
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        v1::Ask {
            lines: self.lines(faults),
            destination: self.destination(faults),
            service: text(&self.service),
            channel: text(&self.channel),
            offer: text(&self.offer),
            shipments: shipments.into(),
            min_confidence,
            when,
        }
    }

    fn lines(&self, faults: &mut Faults) -> Vec<v1::Line> {
        let mut lines = Vec::new();
        if !self.quantity.is_empty() && self.quantity.len() != self.sku.len() {
            let (skus, quantities) = (self.sku.len(), self.quantity.len());
            faults.add("--quantity", format!("{quantities} given for {skus} --sku; give one for each, or none at all"));
        }
        for (i, sku) in self.sku.iter().enumerate() {
            if sku.is_empty() {
                faults.add("--sku", "is empty; a SKU is needed");
            }
            let quantity = self.quantity.get(i).map_or(Ok(1), |text| values::quantity(text));
            let quantity = quantity.unwrap_or_else(|fault| {
                faults.add("--quantity", fault);
                0
            });
            lines.push(v1::Line { sku: sku.clone(), quantity });
        }
        for text in &self.line {
            // SKUs may have '=' in them, quantities have none.
            match text.rsplit_once('=') {
                Some((sku, quantity)) if !sku.is_empty() => match values::quantity(quantity) {
                    Ok(quantity) => lines.push(v1::Line { sku: sku.to_owned(), quantity }),
                    Err(fault) => faults.add("--line", fault),
                },
                _ => faults.add("--line", format!("'{text}' is not a line; write SKU=N")),
            }
        }
        if self.sku.is_empty() && self.line.is_empty() {
            faults.add("--sku", "is missing; say what is wanted with --sku SKU --quantity N, or --line SKU=N");
        } else if self.sku.len() + self.line.len() > MAX_LINES {
            let given = self.sku.len() + self.line.len();
            faults.add("--line", format!("{given} lines are asked for; at most {MAX_LINES} are taken"));
        }
        lines
    }

    fn destination(&self, faults: &mut Faults) -> Option<v1::Destination> {
        use v1::destination::To;
        let to = match (&self.zone, &self.country, &self.postal_code) {
            (Some(zone), None, None) => Some(To::Zone(zone.clone())),
            (None, Some(country), postal_code) => {
                if country.len() != 2 || !country.bytes().all(|c| c.is_ascii_alphabetic()) {
                    faults.add("--country", format!("'{country}' is not a country; write two letters, DE"));
                }
                let postal_code = postal_code.clone().unwrap_or_default();
                Some(To::Address(v1::Address { country: country.to_ascii_uppercase(), postal_code }))
            }
            (None, None, Some(_)) => {
                faults.add("--country", "is missing; a postal code means nothing without");
                None
            }
            (None, None, None) => {
                faults.add("--zone", "is missing; say where with --zone, or --country and --postal-code");
                None
            }
            (Some(_), _, _) => {
                faults.add("--zone", "is given with an address; give one of the two");
                None
            }
        };
        to.map(|to| v1::Destination { to: Some(to) })
    }
}

impl WhenArgs {
    pub(super) fn prefer_command_line(&mut self, matches: &ArgMatches) {
        for id in silenced(matches, &[&["by"], &["by_time"], &["on"], &["from", "to"]]) {
            match id {
                "by" => self.by = None,
                "by_time" => self.by_time = None,
                "on" => self.on = None,
                "from" => self.from = None,
                "to" => self.to = None,
                _ => {}
            }
        }
    }

    /// Y, if one is given and right; all faults are noted. Local times are those of `times`.
    pub fn check(&self, times: &Times, faults: &mut Faults) -> Option<v1::ask::When> {
        use v1::ask::When;
        let window = self.from.is_some() || self.to.is_some();
        let given = [("--by", self.by.is_some()), ("--by-time", self.by_time.is_some()), ("--on", self.on.is_some())]
            .into_iter()
            .chain([("--from/--to", window)])
            .filter_map(|(name, given)| given.then_some(name))
            .collect::<Vec<_>>();
        if given.len() > 1 {
            faults.add(given[0], format!("is given with {}; give one of them", given[1..].join(" and ")));
        }
        let instant = |name: &str, text: &str, faults: &mut Faults| match values::instant(text, times.zone()) {
            Ok(at) => Some(at),
            Err(fault) => {
                faults.add(name, fault);
                None
            }
        };
        // All of them are looked at, so that all faults are known.
        let mut when = None;
        if let Some(by) = &self.by {
            when = date("--by", by, faults).map(When::ByDate);
        }
        if let Some(text) = &self.by_time {
            when = instant("--by-time", text, faults).map(|at| When::ByTime(values::to_proto(at)));
        }
        if let Some(on) = &self.on {
            when = date("--on", on, faults).map(When::OnDate);
        }
        match (&self.from, &self.to) {
            (None, None) => {}
            (Some(from), Some(to)) => {
                if let (Some(from), Some(to)) = (instant("--from", from, faults), instant("--to", to, faults)) {
                    if from >= to {
                        faults.add("--to", "is not after --from; a slot has a length");
                    }
                    let (from, to) = (Some(values::to_proto(from)), Some(values::to_proto(to)));
                    when = Some(When::InWindow(v1::Window { from, to }));
                }
            }
            (Some(_), None) => faults.add("--to", "is missing; a slot has a beginning and an end"),
            (None, Some(_)) => faults.add("--from", "is missing; a slot has a beginning and an end"),
        }
        when
    }
}

/// A date of the calendar, `YYYY-MM-DD`.
pub(super) fn date(name: &str, text: &str, faults: &mut Faults) -> Option<String> {
    match Day::parse(text) {
        Ok(_) => Some(text.to_owned()),
        Err(fault) => {
            faults.add(name, fault);
            None
        }
    }
}
