//! Which product is asked for: alike, by Zipf's law, or one much more than all others.

use std::fmt;

use super::dice::Dice;

/// How unevenly products are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skew {
    /// All alike.
    Uniform,
    /// The n-th product in proportion to 1 / n^S.
    Zipf(f64),
    /// The first product has this share of all asks, the others share the rest alike.
    Hot(f64),
}

/// The steepest Zipf: beyond it, nearly all asks are for the first product, for which there is `hot`.
const MAX_EXPONENT: f64 = 10.0;

impl Skew {
    /// Reads a skew: `uniform`, `zipf:1.1`, `hot:0.9`.
    ///
    /// # Errors
    /// One sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no skew; write uniform, zipf:1.1 (0 to 10) or hot:0.9 (0 to 1)");
        let number = |text: &str, most: f64| {
            text.trim().parse::<f64>().ok().filter(|n| (0.0..=most).contains(n)).ok_or_else(wrong)
        };
        match text.trim().split_once(':') {
            None if text.trim() == "uniform" => Ok(Skew::Uniform),
            Some(("zipf", exponent)) => Ok(Skew::Zipf(number(exponent, MAX_EXPONENT)?)),
            Some(("hot", share)) => Ok(Skew::Hot(number(share, 1.0)?)),
            _ => Err(wrong()),
        }
    }

    /// The skew over so many products.
    pub fn over(self, products: usize) -> Spread {
        let products = products.max(1);
        let upto = match self {
            Skew::Zipf(exponent) => {
                let mut sum = 0.0;
                let mut upto: Vec<f64> = (1..=products)
                    .map(|n| {
                        sum += (n as f64).powf(-exponent);
                        sum
                    })
                    .collect();
                upto.iter_mut().for_each(|share| *share /= sum);
                upto
            }
            Skew::Uniform | Skew::Hot(_) => Vec::new(),
        };
        Spread { skew: self, products, upto }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skew::Uniform => f.write_str("uniform"),
            Skew::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Skew::Hot(share) => write!(f, "hot:{share}"),
        }
    }
}

/// A skew over a number of products.
#[derive(Clone, Debug)]
pub struct Spread {
    skew: Skew,
    products: usize,
    /// Of Zipf: the share of each product and all before it.
    upto: Vec<f64>,
}

impl Spread {
    /// The index of one product by chance.
    pub fn pick(&self, dice: &mut Dice) -> usize {
        match self.skew {
            Skew::Uniform => dice.below(self.products),
            Skew::Zipf(_) => {
                let at = dice.share();
                self.upto.partition_point(|upto| *upto <= at).min(self.products - 1)
            }
            Skew::Hot(share) if self.products == 1 || dice.share() < share => 0,
            Skew::Hot(_) => 1 + dice.below(self.products - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(skew: &str, products: usize) -> Vec<u32> {
        let spread = Skew::parse(skew).unwrap().over(products);
        let mut dice = Dice::new(5, 0);
        let mut seen = vec![0; products];
        for _ in 0..100_000 {
            seen[spread.pick(&mut dice)] += 1;
        }
        seen
    }

    fn near(got: u32, want: f64) {
        assert!((f64::from(got) - want).abs() < 600.0, "{got}, not {want}");
    }

    #[test]
    fn products_are_asked_for_as_the_skew_says() {
        seen("uniform", 10).into_iter().for_each(|n| near(n, 10_000.0));
        seen("zipf:0", 10).into_iter().for_each(|n| near(n, 10_000.0));
        let harmonic: f64 = (1..=10).map(|n| 1.0 / f64::from(n)).sum();
        for (i, n) in seen("zipf:1", 10).into_iter().enumerate() {
            near(n, 100_000.0 / harmonic / (i + 1) as f64);
        }
        let hot = seen("hot:0.9", 11);
        near(hot[0], 90_000.0);
        hot[1..].iter().for_each(|n| near(*n, 1_000.0));
        assert_eq!(seen("hot:1", 5), [100_000, 0, 0, 0, 0]);
        assert_eq!(seen("hot:0", 1), [100_000]);
        assert_eq!(seen("zipf:2", 1), [100_000]);
    }

    #[test]
    fn what_is_no_skew_is_refused() {
        for text in ["", "even", "zipf", "zipf:-1", "zipf:11", "hot:1.1", "hot:x", "uniform:1", "zipf:NaN"] {
            assert!(Skew::parse(text).is_err(), "{text}");
        }
        for text in ["uniform", "zipf:1.1", "hot:0.9"] {
            assert_eq!(Skew::parse(text).unwrap().to_string(), text);
        }
    }
}
