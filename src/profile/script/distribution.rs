//! A distribution that times, sizes and counts are drawn from, with the moments that queueing theory asks for.
//!
//! Values are in the unit of their key: nanoseconds, bytes, or a plain count. A draw is a pure function of the random
//! stream that is handed in; the formulas are fixed here, so that a script gives the same draws in every version.

use serde_json::{Value, json};

use crate::seed::{Rng, normal};
pub use crate::seed::{below, unit};

/// Where a value is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// Always this.
    Constant(f64),
    /// Anything between the two, alike.
    Uniform {
        /// The least.
        low: f64,
        /// The most.
        high: f64,
    },
    /// Exponential with this mean: what comes independently of what came before.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// Lognormal: what most answer times look like.
    Lognormal {
        /// The median.
        median: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// One of several distributions, by weight.
    Mixture(Vec<(f64, Self)>),
    /// One of these values, each alike.
    Empirical(Vec<f64>),
}

/// The 0.99 quantile of the standard normal distribution (Abramowitz & Stegun, table 26.1).
const NORMAL_P99: f64 = 2.326_347_874_040_841;

impl Default for Distribution {
    fn default() -> Self {
        Self::Constant(0.0)
    }
}

impl Distribution {
    /// The lognormal distribution with this median and this 0.99 quantile, which is at least the median.
    #[must_use]
    pub fn lognormal(median: f64, p99: f64) -> Self {
        Self::Lognormal { median, sigma: (p99 / median).ln() / NORMAL_P99 }
    }

    /// Draws a value: whole, and never negative.
    #[must_use]
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        whole(self.draw_real(rng))
    }

    /// The value, when it is always the same one.
    #[must_use]
    pub fn constant(&self) -> Option<u64> {
        match self {
            Self::Constant(value) => Some(whole(*value)),
            _ => None,
        }
    }

    /// What it is, as JSON; times in nanoseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Constant(value) => json!(value),
            Self::Uniform { low, high } => json!({"uniform": [low, high]}),
            Self::Exponential { mean } => json!({"exponential": mean}),
            Self::Lognormal { median, sigma } => json!({"lognormal": [median, sigma]}),
            Self::Mixture(parts) => {
                json!({"mixture": parts.iter().map(|(weight, of)| json!([weight, of.to_json()])).collect::<Vec<_>>()})
            }
            Self::Empirical(values) => json!({"list": values}),
        }
    }

    fn draw_real(&self, rng: &mut Rng) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform { low, high } => low + (high - low) * unit(rng),
            Self::Exponential { mean } => -mean * libm::log(1.0 - unit(rng)),
            Self::Lognormal { median, sigma } => median * libm::exp(sigma * normal(rng)),
            Self::Mixture(parts) => {
                let mut at = unit(rng) * parts.iter().map(|(weight, _)| weight).sum::<f64>();
                let chosen = parts.iter().find(|(weight, _)| {
                    at -= weight;
                    at < 0.0
                });
                // Rounding may leave a hair behind the last part.
                chosen.or(parts.last()).map_or(0.0, |(_, part)| part.draw_real(rng))
            }
            Self::Empirical(values) => values[below(rng, values.len())],
        }
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform { low, high } => f64::midpoint(*low, *high),
            Self::Exponential { mean } => *mean,
            Self::Lognormal { median, sigma } => median * (sigma * sigma / 2.0).exp(),
            Self::Mixture(parts) => weighted(parts, Self::mean),
            Self::Empirical(values) => values.iter().sum::<f64>() / values.len() as f64,
        }
    }

    /// The variance.
    #[must_use]
    pub fn variance(&self) -> f64 {
        match self {
            Self::Constant(_) => 0.0,
            Self::Uniform { low, high } => (high - low).powi(2) / 12.0,
            Self::Exponential { mean } => mean * mean,
            Self::Lognormal { sigma, .. } => self.mean().powi(2) * ((sigma * sigma).exp() - 1.0),
            Self::Mixture(parts) => weighted(parts, |part| part.variance() + part.mean().powi(2)) - self.mean().powi(2),
            Self::Empirical(values) => {
                let mean = self.mean();
                values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
            }
        }
    }
}

fn weighted(parts: &[(f64, Distribution)], of: impl Fn(&Distribution) -> f64) -> f64 {
    let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
    parts.iter().map(|(weight, part)| weight * of(part)).sum::<f64>() / total
}

/// The nearest whole number; what no `u64` holds becomes its end.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates, which is meant")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn all() -> Vec<Distribution> {
        vec![
            Distribution::Constant(250.0),
            Distribution::Uniform { low: 100.0, high: 300.0 },
            Distribution::Exponential { mean: 200.0 },
            Distribution::lognormal(200.0, 800.0),
            Distribution::Empirical(vec![10.0, 20.0, 600.0]),
            Distribution::Mixture(vec![
                (9.0, Distribution::Constant(20.0)),
                (1.0, Distribution::Uniform { low: 1_000.0, high: 2_000.0 }),
            ]),
        ]
    }

    #[test]
    fn draws_have_the_moments_that_are_computed() {
        const DRAWS: u32 = 200_000;
        for distribution in all() {
            let mut rng = Seed(7).stream("draws", 0);
            let values: Vec<_> = (0..DRAWS).map(|_| distribution.draw_real(&mut rng)).collect();
            let mean = values.iter().sum::<f64>() / f64::from(DRAWS);
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / f64::from(DRAWS);
            let expected = distribution.variance();
            let error = (expected / f64::from(DRAWS)).sqrt();
            assert!((mean - distribution.mean()).abs() <= 4.0 * error, "{distribution:?}: mean {mean}");
            assert!((variance - expected).abs() <= 0.05 * expected, "{distribution:?}: variance {variance}");
        }
    }

    #[test]
    fn a_lognormal_is_said_by_its_median_and_p99() {
        let distribution = Distribution::lognormal(200.0, 800.0);
        let mut rng = Seed(1).stream("draws", 0);
        let mut values: Vec<_> = (0..100_000).map(|_| distribution.draw(&mut rng)).collect();
        values.sort_unstable();
        assert!(values[50_000].abs_diff(200) <= 3, "{}", values[50_000]);
        assert!(values[99_000].abs_diff(800) <= 25, "{}", values[99_000]);
    }

    #[test]
    fn the_same_stream_gives_the_same_draws() {
        for distribution in all() {
            let draw = |index| {
                let mut rng = Seed(3).stream("draws", index);
                (0..10).map(|_| distribution.draw(&mut rng)).collect::<Vec<_>>()
            };
            assert_eq!(draw(4), draw(4));
            assert!(distribution.constant().is_some() || draw(4) != draw(5), "{distribution:?}");
        }
    }
}
