//! Postal prefixes: which zone an address lies in. `DE-8` is country, hyphen, beginning of the postal code.

use rustc_hash::FxHashMap;

use super::ZoneIdx;

/// Prefixes of all zones, normalised: the country's two letters, then the code without spaces and hyphens, in capitals.
#[derive(Debug, Default)]
pub struct PostalPrefixes {
    zones: FxHashMap<String, ZoneIdx>,
    longest: usize,
}

impl PostalPrefixes {
    /// Notes a zone's prefix. Says what is wrong with it, or which zone has it already.
    pub fn add(&mut self, prefix: &str, zone: ZoneIdx) -> Result<(), Taken> {
        let (country, code) = prefix.split_once('-').ok_or(Taken::Malformed)?;
        if !is_country(country) || !code.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == '-') {
            return Err(Taken::Malformed);
        }
        let key = key(country, code);
        self.longest = self.longest.max(key.len());
        match self.zones.insert(key, zone) {
            Some(other) if other != zone => Err(Taken::By(other)),
            _ => Ok(()),
        }
    }

    /// The zone with the longest prefix that the address begins with.
    pub fn find(&self, country: &str, postal_code: &str) -> Option<ZoneIdx> {
        if !is_country(country) {
            return None;
        }
        let key = key(country, postal_code);
        let longest = self.longest.min(key.len());
        (2..=longest).rev().filter_map(|n| key.get(..n)).find_map(|prefix| self.zones.get(prefix).copied())
    }
}

/// Why a prefix could not be noted.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is not a country, a hyphen and the beginning of a code.
    Malformed,
    /// Another zone has it.
    By(ZoneIdx),
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic())
}

fn key(country: &str, code: &str) -> String {
    let code = code.chars().filter(|c| !c.is_whitespace() && *c != '-');
    country.chars().chain(code).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_over_all_zones_wins() {
        let mut prefixes = PostalPrefixes::default();
        let (all, south, city) = (ZoneIdx::new(0), ZoneIdx::new(1), ZoneIdx::new(2));
        for (prefix, zone) in [("DE-", all), ("DE-8", south), ("DE-80", city), ("GB-SW1", city)] {
            assert_eq!(prefixes.add(prefix, zone), Ok(()), "{prefix}");
        }
        for (country, code, zone) in [
            ("DE", "80331", Some(city)),
            ("de", "86 150", Some(south)),
            ("DE", "10115", Some(all)),
            ("DE", "", Some(all)),
            ("AT", "8010", None),
            ("GB", "sw1a 1aa", Some(city)),
            ("GBR", "SW1A", None),
        ] {
            assert_eq!(prefixes.find(country, code), zone, "{country} {code}");
        }
        assert_eq!(prefixes.add("DE-80", all), Err(Taken::By(city)));
        assert_eq!(prefixes.add("80331", all), Err(Taken::Malformed));
    }
}
