//! The interval of a share (success, stalls, goodput): Clopper and Pearson's, Biometrika 26 (1934) 404.
//!
//! Theirs holds the truth at least 95 % of the time whatever the share is. Wilson's is narrower and right on average,
//! but near 0 and 1, where success rates live, it falls short (Brown, Cai and DasGupta, Statistical Science 16 (2001)
//! 101), and an objective may not pass because of that.

use super::binomial::Binomial;
use super::effective::{effective_size, mean, variance};

/// A share and its two-sided 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proportion {
    /// The share.
    pub share: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The share of good ones in a series in order of intended start, on the number of independent ones that it is worth;
/// `None` for an empty series.
#[must_use]
pub fn proportion(good: &[bool]) -> Option<Proportion> {
    if good.is_empty() {
        return None;
    }
    let series: Vec<f64> = good.iter().map(|good| f64::from(u8::from(*good))).collect();
    let share = mean(&series);
    let effective = if good.len() < 2 { 1.0 } else { effective_size(&series, variance(&series)).floor().max(1.0) };
    // What the share comes to among so many is seldom whole: outwards on either side.
    let hits = share * effective;
    let slack = 1e-9 * effective;
    let (low, _) = clopper_pearson((hits + slack).floor(), effective);
    let (_, high) = clopper_pearson((hits - slack).ceil(), effective);
    Some(Proportion { share, low, high })
}

/// The interval for this many of so many independent ones, both whole numbers.
fn clopper_pearson(hits: f64, of: f64) -> (f64, f64) {
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers within [0, n]")]
    let (hits, of) = (hits.max(0.0) as u64, of as u64);
    let low = if hits == 0 { 0.0 } else { root(|p| 1.0 - Binomial::new(of, p).at_most(hits - 1) < 0.025) };
    let high = if hits == of { 1.0 } else { root(|p| Binomial::new(of, p).at_most(hits) > 0.025) };
    (low, high)
}

/// Where a condition that holds for small probabilities ceases to.
fn root(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while high - low > 1e-12 {
        let middle = f64::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many good ones among `n`, spread evenly.
    fn spread(good: usize, n: usize) -> Vec<bool> {
        (0..n).map(|at| (at + 1) * good / n > at * good / n).collect()
    }

    #[test]
    fn the_ends_are_the_published_ones() {
        // "Rule of three": none of n leaves up to 1 − 0.025^(1/n).
        let none = proportion(&spread(0, 100)).expect("a hundred");
        assert!(none.low.abs() < 1e-9 && (none.high - (1.0 - 0.025_f64.powf(0.01))).abs() < 1e-9, "{none:?}");
        let all = proportion(&spread(100, 100)).expect("a hundred");
        assert!((all.low - 0.025_f64.powf(0.01)).abs() < 1e-9 && (all.high - 1.0).abs() < 1e-9, "{all:?}");
        assert_eq!(proportion(&[]), None);
    }

    #[test]
    fn failures_in_a_row_widen_it() {
        let (spread, mut row) = (spread(900, 1_000), spread(1_000, 1_000));
        row[400..500].fill(false);
        let width = |good: &[bool]| proportion(good).map(|found| found.high - found.low).expect("a thousand");
        assert!(width(&row) > 2.0 * width(&spread), "{} against {}", width(&row), width(&spread));
    }
}
