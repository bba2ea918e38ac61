//! Offer files: the proto-JSON form of `Offer`, or of `CheckOfferRequest` where something is supposed too, as YAML or JSON. An offer's
//! own fields may stand at the top beside `suppose`.

use std::io::Read;

use super::network::Source;
use super::schema::OfferDocument;
use super::{FileFaults, one};
use crate::proto::v1;

/// What an offer file says, and where.
#[derive(Debug)]
pub struct OfferFile {
    /// The offer.
    pub offer: v1::Offer,
    /// Changes of supply that are only supposed.
    pub suppose: Vec<v1::SupposedSupply>,
    source: Source,
    /// Whether the offer's fields stand at the top.
    at_top: bool,
}

/// Reads an offer file. `file` is its name, for messages and for its format.
///
/// # Errors
/// Everything that is wrong with the file's form, by line and column.
pub fn read(file: &str, input: impl Read) -> Result<OfferFile, FileFaults> {
    let source = Source::of(file, input)?;
    let document: OfferDocument = source.document("an offer", "id, lines, zones and orders")?;
    let (offer, at_top) = match (document.has_top, document.offer) {
        (true, None) => (document.top, true),
        (false, Some(offer)) => (offer, false),
        (true, Some(_)) => {
            let (line, column) = source.places(&["offer"])[0];
            let why = "offer: is given beside fields of an offer; write them all under it, or none";
            return Err(one(file, line.into(), column.into(), why));
        }
        (false, None) => {
            return Err(one(file, 1, 1, "has no offer; write its fields, such as id, lines, zones and orders"));
        }
    };
    Ok(OfferFile { offer, suppose: document.suppose, source, at_top })
}

impl OfferFile {
    /// Where paths of a request that was made of the file, `offer.zones[1].share` or `suppose[0].resource`, lie in it: line and
    /// column. None for what is no part of the file.
    pub fn places(&self, paths: &[&str]) -> Vec<Option<(u32, u32)>> {
        let here = paths.iter().map(|path| match path.strip_prefix("offer") {
            Some(rest) if self.at_top && (rest.is_empty() || rest.starts_with('.')) => rest.trim_start_matches('.'),
            _ => path,
        });
        let here: Vec<&str> = here.collect();
        let places = self.source.places(&here);
        let known = |path: &str| {
            let supposed = path.strip_prefix("suppose[").and_then(|rest| rest.split(']').next()?.parse::<usize>().ok());
            match supposed {
                Some(i) => i < self.suppose.len(),
                None => path.starts_with("offer"),
            }
        };
        paths.iter().zip(places).map(|(path, place)| known(path).then_some(place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::mutation::try_many;

    const OFFER: &str = "\
id: black-friday
displayName: Black Friday
lines:
  - sku: mug-blue
    quantity: 1
zones:
  - zone: de-north
    share: 0.4
  - {zone: de-south, share: 0.6}
channel: web
starts: 2026-11-27
ends: \"2026-11-29\"
withinDays: 3
orders: [400, 300, \"300\"]
";

    fn said(text: &str) -> String {
        read("offer.yaml", text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn an_offer_is_read_from_yaml_and_json() {
        let file = read("offer.yaml", OFFER.as_bytes()).expect("good");
        let offer = &file.offer;
        assert_eq!((offer.id.as_str(), offer.display_name.as_str()), ("black-friday", "Black Friday"));
        assert_eq!(offer.lines, [v1::Line { sku: "mug-blue".to_owned(), quantity: 1 }]);
        assert_eq!(offer.zones[1], v1::ZoneShare { zone: "de-south".to_owned(), share: 0.6 });
        assert_eq!((offer.starts.as_str(), offer.ends.as_str()), ("2026-11-27", "2026-11-29"));
        assert_eq!(offer.promise, Some(v1::offer::Promise::WithinDays(3)));
        assert_eq!(offer.orders, [400, 300, 300]);
        let request = v1::CheckOfferRequest {
            offer: Some(offer.clone()),
            suppose: vec![v1::SupposedSupply {
                resource: "lej.pack".to_owned(),
                start: "2026-11-27".to_owned(),
                buckets: 2,
                delta: -5,
            }],
        };
        for json in [serde_json::to_string(&request), serde_json::to_string_pretty(&request)] {
            let file = read("offer.json", json.expect("JSON").as_bytes()).expect("good");
            assert_eq!((&file.offer, &file.suppose), (offer, &request.suppose));
        }
        // One number is the total.
        let total = read("o.yaml", OFFER.replace("[400, 300, \"300\"]", "1000").as_bytes()).expect("good");
        assert_eq!(total.offer.orders, [1_000]);
    }

    #[test]
    fn all_faults_of_an_offer_are_named() {
        assert_eq!(
            said(
                "id: [a]\nzones:\n  - zone: z\n    share: half\ncolour: red\nwithin_days: 3\ndate: 2026-12-24\norders: [1, x]\nlines: 5\n"
            ),
            "offer.yaml:1:5: id: is a list; a text is needed\n\
             offer.yaml:4:12: zones[0].share: 'half' is not a number; write 0.25\n\
             offer.yaml:5:1: there is no field 'colour'; there are id, display_name, lines, zones, service, channel, starts, ends, \
             within_days, date, orders, offer, suppose\n\
             offer.yaml:7:7: date: is given beside the other of within_days and date; an offer promises one of them\n\
             offer.yaml:8:13: orders[1]: 'x' is not a whole number; write digits only\n\
             offer.yaml:9:8: lines: is '5'; a list is needed"
        );
        assert_eq!(said(""), "offer.yaml:1:1: is empty; an offer is needed");
        assert_eq!(
            said("- id: a\n"),
            "offer.yaml:1:1: is a list; an offer, with keys such as id, lines, zones and orders, is needed"
        );
        assert_eq!(
            said("suppose: []\n"),
            "offer.yaml:1:1: has no offer; write its fields, such as id, lines, zones and orders"
        );
        assert_eq!(
            said("id: a\noffer:\n  id: b\n"),
            "offer.yaml:2:1: offer: is given beside fields of an offer; write them all under it, or none"
        );
    }

    #[test]
    fn paths_of_the_server_are_found_in_either_form() {
        let top = read("o.yaml", format!("{OFFER}suppose:\n  - resource: lej.pack\n").as_bytes()).expect("good");
        let paths = [
            "offer.zones[1].share",
            "suppose[0].resource",
            "suppose[1].resource",
            "offer.orders",
            "min_share",
            "offer",
        ];
        assert_eq!(top.places(&paths), [Some((9, 29)), Some((16, 15)), None, Some((14, 1)), None, Some((1, 1))]);
        let under = format!("offer:\n  {}", OFFER.trim_end().replace('\n', "\n  "));
        let under = read("o.yaml", under.as_bytes()).expect("good");
        assert_eq!(under.places(&paths[..1]), [Some((10, 31))]);
    }

    #[test]
    fn mutated_offers_never_panic() {
        try_many("offers", 2_000, OFFER.as_bytes(), |bytes| {
            if let Ok(file) = read("offer.yaml", bytes) {
                file.places(&["offer.zones[0].share"]);
            }
        });
    }
}
