//! What is called, and how often: weights of the kinds of calls.

use std::fmt;

use super::dice::Dice;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A quote that takes nothing.
    Quote,
    /// A quote that takes its capacity.
    Hold,
    /// The confirmation of a hold that this run made.
    Confirm,
    /// The release of a hold that this run made.
    Release,
    /// A list of the dates that can be promised.
    Dates,
    /// A call of the echo that the others are compared with.
    Echo,
}

impl Kind {
    /// The kinds that a mix may name.
    pub const MIXED: [Kind; 5] = [Kind::Quote, Kind::Hold, Kind::Confirm, Kind::Release, Kind::Dates];

    /// Its name, as a mix and a report have it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Quote => "quote",
            Kind::Hold => "hold",
            Kind::Confirm => "confirm",
            Kind::Release => "release",
            Kind::Dates => "dates",
            Kind::Echo => "echo",
        }
    }
}

/// Weights of the kinds of calls: `quote=80,hold=15,confirm=3,release=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(Vec<(Kind, u32)>);

/// The largest weight: a mix finer than one in a million is none that a run can show.
const MAX_WEIGHT: u32 = 1_000_000;

impl Mix {
    /// A mix of one kind.
    pub fn of(kind: Kind) -> Self {
        Self(vec![(kind, 1)])
    }

    /// Reads a mix.
    ///
    /// # Errors
    /// One sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut mix: Vec<(Kind, u32)> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || format!("'{part}' is no part of a mix; write quote=80,hold=15,confirm=3,release=2,dates=1");
            let (name, weight) = part.split_once('=').ok_or_else(wrong)?;
            let kind = Kind::MIXED.into_iter().find(|kind| kind.name() == name.trim()).ok_or_else(wrong)?;
            let weight = weight.trim().parse().ok().filter(|w| *w <= MAX_WEIGHT).ok_or_else(wrong)?;
            if mix.iter().any(|(known, _)| *known == kind) {
                return Err(format!("'{text}' names {} twice", kind.name()));
            }
            mix.push((kind, weight));
        }
        mix.retain(|(_, weight)| *weight > 0);
        if mix.is_empty() {
            return Err(format!("'{text}' has no calls in it; write quote=80,hold=15,confirm=3,release=2,dates=1"));
        }
        Ok(Self(mix))
    }

    /// One kind by chance, as likely as its weight says.
    pub fn pick(&self, dice: &mut Dice) -> Kind {
        let all: u32 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut at = u32::try_from(dice.below(all as usize)).unwrap_or(0);
        for (kind, weight) in &self.0 {
            if at < *weight {
                return *kind;
            }
            at -= weight;
        }
        Kind::Quote
    }

    /// Whether it has calls that take or change something.
    pub fn takes(&self) -> bool {
        self.0.iter().any(|(kind, _)| matches!(kind, Kind::Hold | Kind::Confirm | Kind::Release))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (kind, weight)) in self.0.iter().enumerate() {
            write!(f, "{}{}={weight}", if i == 0 { "" } else { "," }, kind.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_as_often_as_their_weight_says() {
        let mix = Mix::parse("quote=80, hold=15,confirm=3,release=2,dates=0").unwrap();
        assert_eq!(mix.to_string(), "quote=80,hold=15,confirm=3,release=2");
        let mut dice = Dice::new(3, 0);
        let mut seen = std::collections::BTreeMap::<Kind, u32>::new();
        for _ in 0..100_000 {
            *seen.entry(mix.pick(&mut dice)).or_default() += 1;
        }
        for (kind, want) in
            [(Kind::Quote, 80_000), (Kind::Hold, 15_000), (Kind::Confirm, 3_000), (Kind::Release, 2_000)]
        {
            let got = seen[&kind];
            assert!(got.abs_diff(want) < 600, "{}: {got}, not {want}", kind.name());
        }
        assert!(!seen.contains_key(&Kind::Dates));
        assert!(mix.takes());
        assert!(!Mix::parse("quote=1,dates=1").unwrap().takes());
    }

    #[test]
    fn what_is_no_mix_is_refused() {
        for text in
            ["", "quote", "quote=", "quote=-1", "buy=1", "quote=1,quote=2", "quote=0", "echo=1", "quote=2000000"]
        {
            assert!(Mix::parse(text).is_err(), "{text}");
        }
    }
}
