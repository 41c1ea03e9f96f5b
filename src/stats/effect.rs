//! An effect of a change and what may be said of it: same, worse, better, or not decided yet.
//!
//! Effects add up, so that 0 is "no change": the logarithm of a ratio of latencies, a difference of shares. Every verdict
//! is of the whole interval; none is of the estimate alone.

use super::normal::{normal, student_t};
use super::rank::rank;

/// An estimated effect and how it scatters.
///
/// Its interval reaches as far from the estimate as the percentiles of its draws, times what Student's t of its degrees
/// of freedom asks over the normal: the percentiles bring the skewness that a quantile far out has, the factor what
/// ten blocks don't know about their own scatter. (A t interval on the draws' standard error holds a true p95 ratio
/// of 10 blocks of 50 only 92 % of the time; this 96 %.)
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    estimate: f64,
    /// In order; infinite where a draw does not reach the quantile.
    draws: Vec<f64>,
    freedom: f64,
}

/// Which sign of an effect is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worse {
    /// More is worse: a latency.
    Higher,
    /// Less is worse: a success rate.
    Lower,
}

/// What an interval says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// All of it lies within the margin.
    Same,
    /// All of it lies on the bad side of no change.
    Worse,
    /// All of it lies on the good side of no change.
    Better,
    /// None of these.
    Inconclusive {
        /// How many times as many blocks (or runs) would decide if the estimate stands; `None` when the error is
        /// unbounded.
        times: Option<f64>,
    },
}

impl Effect {
    /// An effect of this estimate, with draws that scatter about it as it scatters about the truth.
    ///
    /// # Panics
    /// There are no draws, or `freedom` is not positive.
    #[must_use]
    pub fn new(estimate: f64, mut draws: Vec<f64>, freedom: f64) -> Self {
        assert!(!draws.is_empty() && freedom > 0.0, "an effect has draws and at least one degree of freedom");
        // An arm out of reach on both sides bounds nothing.
        draws.iter_mut().filter(|draw| draw.is_nan()).for_each(|draw| *draw = f64::INFINITY);
        draws.sort_by(f64::total_cmp);
        Self { estimate, draws, freedom }
    }

    /// The estimate; 0 is no change.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// Degrees of freedom: independent blocks less those spent on the estimate.
    #[must_use]
    pub fn freedom(&self) -> f64 {
        self.freedom
    }

    /// The two-sided interval at level 1 − `alpha`; an end is infinite where nothing bounds it.
    ///
    /// # Panics
    /// `alpha` is not strictly within 0 and 1.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        assert!(0.0 < alpha && alpha < 1.0, "a level strictly within 0 and 1, not {alpha}");
        let widen = student_t(1.0 - alpha / 2.0, self.freedom) / normal(1.0 - alpha / 2.0);
        let n = self.draws.len() as u64;
        let beyond = rank(alpha / 2.0, n);
        let at = |rank: u64| {
            let draw = self.draws[usize::try_from(rank - 1).expect("a rank among the draws")];
            self.estimate + (draw - self.estimate) * widen
        };
        (at(beyond).min(self.estimate), at(n + 1 - beyond).max(self.estimate))
    }

    /// The two-sided p-value of "no change": the largest `alpha` whose interval still holds 0, to 10⁻⁹.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        let holds = |alpha: f64| {
            let (low, high) = self.interval(alpha);
            low <= 0.0 && 0.0 <= high
        };
        let (mut low, mut high) = (0.0, 1.0);
        while high - low > 1e-9 {
            let middle = f64::midpoint(low, high);
            if holds(middle) { low = middle } else { high = middle }
        }
        high
    }

    /// The verdict of the interval at level 1 − `alpha` against a margin: `same` first, so that a change too small to
    /// matter is no alarm however well it is measured.
    #[must_use]
    pub fn verdict(&self, alpha: f64, margin: f64, worse: Worse) -> Verdict {
        let (low, high) = self.interval(alpha);
        if -margin <= low && high <= margin {
            return Verdict::Same;
        }
        match (low > 0.0, high < 0.0, worse) {
            (true, _, Worse::Higher) | (_, true, Worse::Lower) => Verdict::Worse,
            (true, _, Worse::Lower) | (_, true, Worse::Higher) => Verdict::Better,
            _ => Verdict::Inconclusive { times: self.times_to_decide((high - low) / 2.0, margin) },
        }
    }

    /// The half-width falls as one over the root of the blocks; it decides once it is smaller than the way to 0, or
    /// than the way to the margin.
    fn times_to_decide(&self, half_width: f64, margin: f64) -> Option<f64> {
        let size = self.estimate.abs();
        let times = (half_width / size.max(margin - size)).powi(2).max(1.0);
        times.is_finite().then_some(times)
    }
}

/// Holm's correction (Scandinavian Journal of Statistics 6 (1979) 65): for each p-value the level α at which its own
/// interval is to be made, so that of all gates together at most `alpha` raise a false alarm.
///
/// In order of p-value they are held against `alpha`/m, `alpha`/(m − 1), …; from the first that is not below on, the
/// level stays. An interval at its level leaves out "no change" exactly when Holm rejects it.
#[must_use]
pub fn holm(p_values: &[f64], alpha: f64) -> Vec<f64> {
    let mut order: Vec<_> = (0..p_values.len()).collect();
    order.sort_by(|left, right| p_values[*left].total_cmp(&p_values[*right]));
    let mut levels = vec![0.0; p_values.len()];
    let mut left = p_values.len();
    let mut stopped = false;
    for at in order {
        levels[at] = alpha / left as f64;
        stopped |= p_values[at] > levels[at];
        if !stopped {
            left -= 1;
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An effect whose draws are the percentiles of a normal distribution.
    fn effect(estimate: f64, error: f64, freedom: f64) -> Effect {
        let draw = |i: u32| estimate + error * normal((f64::from(i) + 0.5) / 1_000.0);
        Effect::new(estimate, (0..1_000).map(draw).collect(), freedom)
    }

    #[test]
    fn of_normal_draws_it_is_the_t_interval() {
        let (low, high) = effect(0.2, 0.1, 18.0).interval(0.05);
        let half = student_t(0.975, 18.0) * 0.1;
        assert!((low - (0.2 - half)).abs() < 2e-3 && (high - (0.2 + half)).abs() < 2e-3, "{low} {high}");
    }

    #[test]
    fn the_whole_interval_decides() {
        let margin = 0.05_f64.ln_1p();
        for (estimate, error, worse, expected) in [
            (0.0, 0.01, Worse::Higher, Verdict::Same),
            (0.02, 0.005, Worse::Higher, Verdict::Same),
            (0.2, 0.05, Worse::Higher, Verdict::Worse),
            (-0.2, 0.05, Worse::Higher, Verdict::Better),
            (0.2, 0.05, Worse::Lower, Verdict::Better),
            (-0.2, 0.05, Worse::Lower, Verdict::Worse),
        ] {
            assert_eq!(effect(estimate, error, 18.0).verdict(0.05, margin, worse), expected, "{estimate} ± {error}");
        }
    }

    #[test]
    fn what_is_not_decided_says_how_many_more_blocks_would() {
        let wide = effect(0.0, 0.1, 18.0);
        let Verdict::Inconclusive { times: Some(times) } = wide.verdict(0.05, 0.05, Worse::Higher) else {
            panic!("twice the margin on either side");
        };
        let enough = effect(0.0, 0.1 / (times * 1.01).sqrt(), 18.0);
        assert_eq!(enough.verdict(0.05, 0.05, Worse::Higher), Verdict::Same);
        let unbounded = Effect::new(0.0, vec![f64::NEG_INFINITY, 0.0, f64::INFINITY], 5.0);
        assert_eq!(unbounded.verdict(0.05, 0.05, Worse::Higher), Verdict::Inconclusive { times: None });
    }

    #[test]
    fn holm_gives_the_levels_of_its_definition() {
        // 0.01 ≤ 0.05/4; then 0.02 > 0.05/3 stops it.
        let levels = holm(&[0.02, 0.01, 0.04, 0.03], 0.05);
        for (level, expected) in levels.iter().zip([3.0, 4.0, 3.0, 3.0]) {
            assert!((level - 0.05 / expected).abs() < 1e-12, "{levels:?}");
        }
        assert!(holm(&[], 0.05).is_empty());
    }

    /// Holm from its adjusted p-values, as R's `p.adjust` has them: rejected where they are at most α.
    fn adjusted(p_values: &[f64]) -> Vec<f64> {
        let mut order: Vec<_> = (0..p_values.len()).collect();
        order.sort_by(|left, right| p_values[*left].total_cmp(&p_values[*right]));
        let mut adjusted = vec![0.0; p_values.len()];
        let mut most: f64 = 0.0;
        for (at, index) in order.into_iter().enumerate() {
            most = most.max(p_values[index] * (p_values.len() - at) as f64).min(1.0);
            adjusted[index] = most;
        }
        adjusted
    }

    proptest! {
        #[test]
        fn holm_rejects_what_its_adjusted_p_values_reject(p_values in prop::collection::vec(0.0_f64..0.1, 1..8)) {
            let levels = holm(&p_values, 0.05);
            for ((p, level), adjusted) in p_values.iter().zip(&levels).zip(adjusted(&p_values)) {
                prop_assert_eq!(p <= level, adjusted <= 0.05, "{} at {} adjusted {}", p, level, adjusted);
            }
        }

        #[test]
        fn an_interval_holds_no_change_exactly_when_its_p_value_is_over_alpha(
            estimate in -0.3_f64..0.3,
            freedom in 2.0_f64..40.0,
            alpha in 0.002_f64..0.5,
        ) {
            let effect = effect(estimate, 0.1, freedom);
            let (low, high) = effect.interval(alpha);
            let p = effect.p_value();
            prop_assume!((p - alpha).abs() > 1e-6);
            prop_assert_eq!(low <= 0.0 && 0.0 <= high, p > alpha, "{} {} {}", low, high, p);
        }
    }
}
