//! How many independent observations a series in order of start is worth, by batch means.
//!
//! Neighbouring invocations meet the same queue, so that a thousand may say no more than fifty would. Means over
//! batches that are long against that memory are as good as independent, and the variance of the whole mean is theirs
//! over their number.
//!
//! **How long a batch.** Always 20 batches is safe and wasteful: the variance of 20 means is known to a third, and
//! intervals that allow for it, by the worse of two such series, hold the truth 97.1 % to 97.7 % of the time where 95 %
//! was meant (4,000 runs of the independent mixtures of [`coverage`](super::coverage); with what follows 95.4 % to
//! 96.1 %). So batches double from one observation on, until the lag-1 correlation of their means no longer speaks
//! against independence at one-sided 25 % (Fishman, Management Science 24 (1978) 510; the level is this lax because a
//! dependence that goes unseen costs more than a batch too long), but there are never fewer than 20. Below 100
//! observations that would leave batches too short to show anything; there they keep five each.

use std::borrow::Cow;

use super::normal::{NORMAL_975, student_t};

/// The fewest batches that a series of so many is cut into.
fn fewest_batches(observations: usize) -> usize {
    (observations / 5).clamp(5, 20)
}

/// The upper quarter's quantile of the normal distribution: the lag-1 correlation of `g` independent means exceeds it,
/// over √g, once in four.
const LAG_1_LIMIT: f64 = 0.674_489_750_196_081_7;

/// Batches of a series that pass for independent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batches<'s> {
    /// Their means, in order.
    pub(super) means: Cow<'s, [f64]>,
    /// Observations in each; what is left over at the end is in none.
    pub(super) length: usize,
    /// The sample variance of their means.
    variance: f64,
}

impl<'s> Batches<'s> {
    /// The shortest batches whose means pass for independent.
    pub(super) fn of(series: &'s [f64]) -> Self {
        let (mut means, mut length) = (Cow::Borrowed(series), 1);
        let mut centre = mean(series);
        loop {
            let spread = Spread::about(centre, &means);
            if spread.lag_1() < LAG_1_LIMIT / (means.len() as f64).sqrt() {
                let variance = spread.whole / (means.len() as f64 - 1.0);
                return Self { means, length, variance };
            }
            if means.len() / 2 < fewest_batches(series.len()) {
                return Self::of_number(series, fewest_batches(series.len()));
            }
            let mut sum = 0.0;
            let halved = means.chunks_exact(2).map(|pair| f64::midpoint(pair[0], pair[1]));
            means = halved.inspect(|mean| sum += mean).collect();
            centre = sum / means.len() as f64;
            length *= 2;
        }
    }

    /// Exactly this many batches, or as many as there are observations.
    fn of_number(series: &'s [f64], number: usize) -> Self {
        let length = (series.len() / number).max(1);
        let means: Vec<_> = series.chunks_exact(length).take(number).map(mean).collect();
        Self { variance: variance(&means), means: Cow::Owned(means), length }
    }

    /// The variance of the mean of all, widened to what 1.96 standard errors must be multiplied by where Student's t
    /// of so few batches stands; of single observations, that pass for independent, it is not.
    pub(super) fn variance_of_mean(&self) -> f64 {
        let variance = self.variance / self.means.len() as f64;
        match self.length {
            1 => variance,
            _ => variance * (student_t(0.975, self.means.len() as f64 - 1.0) / NORMAL_975).powi(2),
        }
    }
}

/// How many independent observations of variance `variance` have a mean as uncertain as that of this series; at most
/// as many as it has, and all of them when nothing varies.
pub(super) fn effective_size(series: &[f64], variance: f64) -> f64 {
    let n = series.len() as f64;
    if series.len() < 2 || variance <= f64::EPSILON {
        return n;
    }
    let uncertain = Batches::of(series).variance_of_mean();
    if uncertain > 0.0 { (variance / uncertain).min(n) } else { n }
}

/// The mean of at least one.
pub(super) fn mean(series: &[f64]) -> f64 {
    series.iter().sum::<f64>() / series.len() as f64
}

/// The sample variance of at least two.
pub(super) fn variance(series: &[f64]) -> f64 {
    let mean = mean(series);
    series.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (series.len() as f64 - 1.0)
}

/// How values lie about their mean.
struct Spread {
    /// The sum of the squares of their distances from it.
    whole: f64,
    /// The sum of the products of neighbours' distances.
    neighbours: f64,
}

impl Spread {
    fn about(mean: f64, series: &[f64]) -> Self {
        let (mut whole, mut neighbours, mut before) = (0.0, 0.0, 0.0);
        for value in series {
            let off = value - mean;
            whole += off * off;
            neighbours += before * off;
            before = off;
        }
        Self { whole, neighbours }
    }

    /// The correlation of neighbours; 0 when nothing varies.
    fn lag_1(&self) -> f64 {
        if self.whole > 0.0 { self.neighbours / self.whole } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use crate::stats::coverage::uniform;
    use crate::stats::normal::normal;

    /// Normal values whose correlation falls by `phi` a step: n of them are worth n·(1 − phi)/(1 + phi).
    fn autoregressive(n: usize, phi: f64, index: u64) -> Vec<f64> {
        let mut rng = Seed(7).stream("autoregressive", index);
        let mut last = normal(uniform(&mut rng)) / (1.0 - phi * phi).sqrt();
        (0..n)
            .map(|_| {
                last = phi * last + normal(uniform(&mut rng));
                last
            })
            .collect()
    }

    /// The mean over 60 series of what they are worth, as a share of their number.
    fn worth(n: usize, phi: f64) -> f64 {
        let size = |index| {
            let series = autoregressive(n, phi, index);
            effective_size(&series, variance(&series))
        };
        mean(&(0..60).map(size).collect::<Vec<_>>()) / n as f64
    }

    #[test]
    fn independent_values_are_worth_nearly_their_number() {
        let share = worth(500, 0.0);
        assert!((0.90..=1.0).contains(&share), "{share}");
    }

    #[test]
    fn dependent_values_are_worth_what_theory_says() {
        // A little less is meant: the few batches' own uncertainty is allowed for.
        for (phi, n, theory) in [(0.5, 2_000, 1.0 / 3.0), (0.9, 10_000, 1.0 / 19.0), (0.95, 20_000, 1.0 / 39.0)] {
            let share = worth(n, phi);
            assert!((0.75 * theory..1.15 * theory).contains(&share), "{phi}: {share} against {theory}");
        }
    }

    #[test]
    fn a_short_dependent_series_is_not_taken_for_independent() {
        // In truth a ninth, 3 of 30.
        let share = worth(30, 0.8);
        assert!(share < 0.35, "{share}");
    }

    #[test]
    fn what_does_not_vary_is_worth_its_number() {
        assert!((effective_size(&[5.0; 30], 0.0) - 30.0).abs() < 1e-9);
        assert!((effective_size(&[5.0], 0.0) - 1.0).abs() < 1e-9);
        assert!(effective_size(&[], 0.0).abs() < 1e-9);
    }

    #[test]
    fn batches_keep_the_mean_and_are_never_fewer_than_meant() {
        for (n, phi) in [(500, 0.0), (1_024, 0.5), (1_000, 0.999), (60, 0.99), (20, 0.9), (7, 0.9), (3, 0.9)] {
            let series = autoregressive(n, phi, 0);
            let batches = Batches::of(&series);
            assert!(batches.means.len() >= fewest_batches(n).min(n), "{n} {phi}: {}", batches.means.len());
            let inside = &series[..batches.means.len() * batches.length];
            assert!((mean(&batches.means) - mean(inside)).abs() < 1e-9);
        }
    }
}
