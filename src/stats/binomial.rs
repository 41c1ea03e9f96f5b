//! Tails of the binomial distribution, exact to the last digits for any size: the ranks of order statistics and the
//! sizes below which a quantile is refused come from here.
//!
//! The terms are summed outwards from the largest by their ratios, so that nothing under- or overflows and no series
//! has to converge; a million trials take a few thousand terms. (Continued fractions for the incomplete beta function,
//! as libraries have them, stop short of converging near the middle at such sizes.)

/// The probabilities of a binomial distribution that are not negligible: below 10⁻²⁰ of the largest.
#[derive(Debug, Clone)]
pub(super) struct Binomial {
    /// The number of successes of the first term.
    first: u64,
    /// Probabilities of `first`, `first + 1`, ….
    terms: Vec<f64>,
}

impl Binomial {
    /// The distribution of successes in `n` trials of probability `p`, with 0 < `p` < 1.
    pub(super) fn new(n: u64, p: f64) -> Self {
        const NEGLIGIBLE: f64 = 1e-20;
        assert!(0.0 < p && p < 1.0, "a probability strictly within 0 and 1, not {p}");
        let odds = p / (1.0 - p);
        #[expect(clippy::cast_possible_truncation, reason = "within [0, n]")]
        let mode = (((n + 1) as f64 * p) as u64).min(n);
        let mut below = Vec::new();
        let mut term = 1.0;
        for k in (0..mode).rev() {
            // P(k) from P(k + 1).
            term *= (k + 1) as f64 / ((n - k) as f64 * odds);
            if term < NEGLIGIBLE {
                break;
            }
            below.push(term);
        }
        let first = mode - below.len() as u64;
        let mut terms: Vec<f64> = below.into_iter().rev().collect();
        terms.push(1.0);
        term = 1.0;
        for k in mode + 1..=n {
            term *= (n - k + 1) as f64 * odds / k as f64;
            if term < NEGLIGIBLE {
                break;
            }
            terms.push(term);
        }
        let whole: f64 = terms.iter().sum();
        terms.iter_mut().for_each(|term| *term /= whole);
        Self { first, terms }
    }

    /// P(X ≤ k).
    pub(super) fn at_most(&self, k: u64) -> f64 {
        let count = usize::try_from((k + 1).saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.terms.len());
        self.terms[..count].iter().sum()
    }

    /// The largest `k` with P(X ≤ k) ≤ `tail`, if P(X ≤ 0) is not already more.
    pub(super) fn below(&self, tail: f64) -> Option<u64> {
        let mut sum = 0.0;
        let within = self.terms.iter().take_while(|term| {
            sum += **term;
            sum <= tail
        });
        (self.first + within.count() as u64).checked_sub(1)
    }

    /// The smallest `k` with P(X ≥ k) ≤ `tail`; it may be one more than there are trials.
    pub(super) fn above(&self, tail: f64) -> u64 {
        let mut sum = 0.0;
        let within = self.terms.iter().rev().take_while(|term| {
            sum += **term;
            sum <= tail
        });
        self.first + (self.terms.len() - within.count()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// P(X ≤ k) from the definition, for small sizes.
    fn naive(n: u64, p: f64, k: u64) -> f64 {
        let choose = |k: u64| (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64);
        (0..=k.min(n)).map(|k| choose(k) * p.powf(k as f64) * (1.0 - p).powf((n - k) as f64)).sum()
    }

    proptest! {
        #[test]
        fn tails_are_sums_of_the_definition(n in 1_u64..60, p in 0.001_f64..0.999, k in 0_u64..60) {
            let expected = naive(n, p, k);
            prop_assert!((Binomial::new(n, p).at_most(k) - expected).abs() < 1e-12);
        }

        #[test]
        fn ranks_are_the_last_within_the_tail(n in 1_u64..3_000, p in 0.001_f64..0.999, tail in 0.000_1_f64..0.4) {
            let binomial = Binomial::new(n, p);
            let (below, above) = (binomial.below(tail), binomial.above(tail));
            if let Some(k) = below {
                prop_assert!(binomial.at_most(k) <= tail);
            }
            let next = below.map_or(0, |k| k + 1);
            prop_assert!(binomial.at_most(next) > tail - 1e-12);
            prop_assert!(above == 0 || 1.0 - binomial.at_most(above - 1) <= tail + 1e-12);
            prop_assert!(above < 2 || 1.0 - binomial.at_most(above - 2) > tail - 1e-12);
        }
    }
}
