//! Tails of the binomial distribution, exact to the last digits for any size: the ranks of order statistics and the
//! sizes below which a quantile is refused come from here.
//!
//! The terms are summed outwards from the largest by their ratios, so that nothing under- or overflows and no series
//! has to converge; a million trials take a few thousand terms. (Continued fractions for the incomplete beta function,
//! as libraries have them, stop short of converging near the middle at such sizes.)

/// A binomial distribution, where its probabilities are not negligible: down to 10⁻²⁰ of the largest.
#[derive(Debug, Clone)]
pub(super) struct Binomial {
    /// The number of successes of the first term.
    first: u64,
    /// P(X ≤ k) for `first`, `first + 1`, ….
    at_most: Vec<f64>,
}

impl Binomial {
    /// The distribution of successes in `n` trials of probability `p`, with 0 < `p` < 1.
    pub(super) fn new(n: u64, p: f64) -> Self {
        const NEGLIGIBLE: f64 = 1e-20;
        assert!(0.0 < p && p < 1.0, "a probability strictly within 0 and 1, not {p}");
        let odds = p / (1.0 - p);
        #[expect(clippy::cast_possible_truncation, reason = "within [0, n]")]
        let mode = (((n + 1) as f64 * p) as u64).min(n);
        // P(k) from P(k + 1), and P(k) from P(k − 1).
        let down = (0..mode).rev().scan(1.0, |term, k| {
            *term *= (k + 1) as f64 / ((n - k) as f64 * odds);
            (*term >= NEGLIGIBLE).then_some(*term)
        });
        let up = (mode + 1..=n).scan(1.0, |term, k| {
            *term *= (n - k + 1) as f64 * odds / k as f64;
            (*term >= NEGLIGIBLE).then_some(*term)
        });
        let mut at_most: Vec<f64> = down.collect();
        let first = mode - at_most.len() as u64;
        at_most.reverse();
        at_most.push(1.0);
        at_most.extend(up);
        let mut sum = 0.0;
        for term in &mut at_most {
            sum += *term;
            *term = sum;
        }
        at_most.iter_mut().for_each(|share| *share /= sum);
        Self { first, at_most }
    }

    /// P(X ≤ k).
    pub(super) fn at_most(&self, k: u64) -> f64 {
        let Some(at) = k.checked_sub(self.first) else { return 0.0 };
        usize::try_from(at).ok().and_then(|at| self.at_most.get(at)).copied().unwrap_or(1.0)
    }

    /// The smallest `k` with P(X ≤ k) over `tail`.
    pub(super) fn quantile(&self, tail: f64) -> u64 {
        self.first + self.at_most.partition_point(|share| *share <= tail) as u64
    }

    /// The smallest `k` with P(X ≥ k) ≤ `tail`; it may be one more than there are trials.
    pub(super) fn above(&self, tail: f64) -> u64 {
        match self.at_most.partition_point(|share| 1.0 - share > tail) as u64 {
            0 if tail >= 1.0 => self.first,
            within => self.first + within + 1,
        }
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
            prop_assert!((Binomial::new(n, p).at_most(k) - naive(n, p, k)).abs() < 1e-12);
        }

        #[test]
        fn ranks_are_the_first_beyond_the_tail(n in 1_u64..3_000, p in 0.001_f64..0.999, tail in 0.000_1_f64..0.4) {
            let binomial = Binomial::new(n, p);
            let (k, above) = (binomial.quantile(tail), binomial.above(tail));
            prop_assert!(binomial.at_most(k) > tail);
            prop_assert!(k == 0 || binomial.at_most(k - 1) <= tail);
            prop_assert!(above >= 1 && 1.0 - binomial.at_most(above - 1) <= tail);
            prop_assert!(above == 1 || 1.0 - binomial.at_most(above - 2) > tail);
        }
    }
}
