//! How often the intervals hold the truth: seeded samples of known distributions, each asked for a quantile.
//!
//! `cargo bench --bench coverage` makes the tables of 1,000 runs each; a test keeps a tenth of it in bounds.

use rand_core::Rng as _;

use super::binomial::Binomial;
use super::bootstrap::{Arm, Pairing, quantile_ratios};
use super::histogram::Histogram;
use super::incidence::Observation;
use super::jackknife::Groups;
use super::normal::{normal, normal_share};
use super::sample::{Estimate, Interval, Sample};
use crate::seed::{Rng, Seed};
use crate::units::NS_PER_S;

/// A distribution whose quantiles are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Independent: 70 % quick, 25 % slower and 5 % very slow answers, each log-normal.
    Mixture,
    /// The same, started at five a second; 3 % fail on the way, and the end of the run cuts off what is in flight.
    CutAtTheEnd,
    /// The same with its 3 % that fail; and whoever waits gives up after a time of their own, uniform up to 20 s.
    Abandoned,
    /// An M/M/1 queue at 80 % load: Poisson arrivals, exponential service of 1 s, from its stationary state.
    Queue,
}

/// How many runs were right.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coverage {
    /// Runs whose interval holds the true quantile.
    pub covered: u32,
    /// Runs whose interval lies wholly below it.
    pub below: u32,
    /// Runs whose interval lies wholly above it.
    pub above: u32,
    /// Runs that refused the quantile.
    pub refused: u32,
    /// The mean effective size of those that did not.
    pub effective: f64,
}

impl Coverage {
    /// The share of intervals that hold the truth; `None` without any.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let given = self.covered + self.below + self.above;
        (given > 0).then(|| f64::from(self.covered) / f64::from(given))
    }

    /// Whether so many of so many may come from a true share within these bounds; of 1,000 runs and more the share
    /// of the intervals given must itself lie within them. Less than one in 1,000 studies is called implausible by chance.
    #[must_use]
    pub fn is_plausible(&self, least: f64, most: f64) -> bool {
        const EXACT_FROM: u32 = 1_000;
        const TAIL: f64 = 0.001;
        let (given, Some(share)) = (self.covered + self.below + self.above, self.share()) else { return false };
        if given + self.refused >= EXACT_FROM {
            return (least..=most).contains(&share);
        }
        let (given, covered) = (u64::from(given), u64::from(self.covered));
        // A share of 1 bounds nothing.
        let is_too_many = most < 1.0 && covered >= Binomial::new(given, most).above(TAIL);
        covered >= Binomial::new(given, least).quantile(TAIL) && !is_too_many
    }

    fn count(&mut self, estimate: &Estimate, truth_ns: f64) {
        let Some(Interval { low, high }) = estimate.interval else {
            self.refused += 1;
            return;
        };
        self.effective += estimate.effective;
        if low.is_none_or(|low| low as f64 > truth_ns) {
            self.above += 1;
        } else if high.is_some_and(|high| (high as f64) < truth_ns) {
            self.below += 1;
        } else {
            self.covered += 1;
        }
    }

    /// Makes the sum of effective sizes their mean.
    fn finish(mut self) -> Self {
        self.effective /= f64::from((self.covered + self.below + self.above).max(1));
        self
    }
}

/// Weight, median in seconds and shape of the log-normal parts.
const PARTS: [(f64, f64, f64); 3] = [(0.70, 0.4, 0.4), (0.25, 2.0, 0.5), (0.05, 10.0, 0.3)];
/// The share that fails in the scenarios with failures.
const FAIL: f64 = 0.03;
/// Load of the queue, whose service rate is one a second.
const LOAD: f64 = 0.8;

/// Draws `runs` samples of `n` and asks each for quantile `p`.
#[must_use]
pub fn coverage(scenario: Scenario, n: u32, p: f64, runs: u32, seed: Seed) -> Coverage {
    let truth = scenario.truth_ns(p);
    let mut coverage = Coverage::default();
    for run in 0..runs {
        let mut rng = seed.stream("coverage", u64::from(run));
        let estimate = Sample::new(&scenario.draw(n, &mut rng)).quantile(p);
        coverage.count(&estimate, truth);
    }
    coverage.finish()
}

/// Draws `runs` pairs of arms, each of `blocks` blocks of `size`, that differ by nothing, and asks each pair for the ratio
/// of their quantiles `p`: how often its 95 % interval holds 1.
///
/// Blocks of the queue each start anew, as runs do; the effective size is the mean number of degrees of freedom.
#[must_use]
pub fn ratio_coverage(scenario: Scenario, blocks: u32, size: u32, p: f64, runs: u32, seed: Seed) -> Coverage {
    let mut coverage = Coverage::default();
    for run in 0..runs {
        let mut rng = seed.stream("ratio coverage", u64::from(run));
        let mut arm = || Arm::new(&(0..blocks).map(|_| scenario.draw(size, &mut rng)).collect::<Vec<_>>());
        let (base, candidate) = (arm(), arm());
        let redraws = Seed(rng.next_u64());
        let [Some(ref effect)] = quantile_ratios(&base, &candidate, &[p], Pairing::Independent, redraws)[..] else {
            coverage.refused += 1;
            continue;
        };
        coverage.effective += effect.freedom();
        match effect.interval(0.05) {
            (low, _) if low > 0.0 => coverage.above += 1,
            (_, high) if high < 0.0 => coverage.below += 1,
            _ => coverage.covered += 1,
        }
    }
    coverage.finish()
}

/// Draws `runs` runs of `streams` streams with `gaps` gaps each and asks for quantile `p` of the gaps: log-normal about
/// 20 ms, within a stream by 0.5, and streams about each other by 0.3.
#[must_use]
pub fn gap_coverage(streams: u64, gaps: u32, p: f64, runs: u32, seed: Seed) -> Coverage {
    let (median, within, between) = (20e6, 0.5_f64, 0.3_f64);
    let truth = median * (normal(p) * within.hypot(between)).exp();
    let mut coverage = Coverage::default();
    for run in 0..runs {
        let mut rng = seed.stream("gap coverage", u64::from(run));
        let mut groups = vec![Histogram::default(); 32];
        for (_, group) in (0..streams).zip((0..groups.len()).cycle()) {
            let pace = median * (between * normal(uniform(&mut rng))).exp();
            for _ in 0..gaps {
                groups[group].record(ns(pace * (within * normal(uniform(&mut rng))).exp() / NS_PER_S as f64));
            }
        }
        let estimate = Groups::new(groups.iter().map(|group| group.counts().collect()).collect()).quantile(p);
        coverage.count(&estimate, truth);
    }
    coverage.finish()
}

impl Scenario {
    /// The true quantile, in nanoseconds.
    #[must_use]
    pub fn truth_ns(self, p: f64) -> f64 {
        let seconds = match self {
            Self::Queue => -(1.0 - p).ln() / (1.0 - LOAD),
            Self::Mixture => mixture_quantile(p),
            Self::CutAtTheEnd | Self::Abandoned => mixture_quantile(p / (1.0 - FAIL)),
        };
        seconds * NS_PER_S as f64
    }

    /// One sample, in order of start.
    #[must_use]
    pub fn draw(self, n: u32, rng: &mut Rng) -> Vec<Observation> {
        if self == Self::Queue {
            return queue(n, rng);
        }
        (0..n)
            .map(|index| {
                let seen = mixture(rng);
                let (failed, cut) = match self {
                    Self::Mixture | Self::Queue => (None, f64::INFINITY),
                    Self::CutAtTheEnd => (failure(seen, rng), f64::from(n - index) / 5.0),
                    Self::Abandoned => (failure(seen, rng), 20.0 * uniform(rng)),
                };
                match failed {
                    _ if failed.unwrap_or(seen) > cut => Observation::Censored(ns(cut)),
                    Some(failed) => Observation::Failed(ns(failed)),
                    None => Observation::Seen(ns(seen)),
                }
            })
            .collect()
    }
}

fn failure(seen: f64, rng: &mut Rng) -> Option<f64> {
    let at = seen * uniform(rng);
    (uniform(rng) < FAIL).then_some(at)
}

fn mixture(rng: &mut Rng) -> f64 {
    let mut part = uniform(rng);
    let z = normal(uniform(rng));
    let mut value = 0.0;
    for (weight, median, shape) in PARTS {
        value = median * (shape * z).exp();
        part -= weight;
        if part < 0.0 {
            break;
        }
    }
    value
}

fn mixture_quantile(p: f64) -> f64 {
    let share = |seconds: f64| -> f64 {
        PARTS.iter().map(|(weight, median, shape)| weight * normal_share((seconds / median).ln() / shape)).sum()
    };
    let (mut low, mut high) = (1e-3, 1e3);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if share(middle) < p { low = middle } else { high = middle }
    }
    high
}

/// Times in the system by Lindley's recursion.
fn queue(n: u32, rng: &mut Rng) -> Vec<Observation> {
    let mut waits = if uniform(rng) < LOAD { exponential(1.0 - LOAD, rng) } else { 0.0 };
    (0..n)
        .map(|_| {
            let stays = waits + exponential(1.0, rng);
            waits = (stays - exponential(LOAD, rng)).max(0.0);
            Observation::Seen(ns(stays))
        })
        .collect()
}

fn exponential(rate: f64, rng: &mut Rng) -> f64 {
    -uniform(rng).ln() / rate
}

/// Strictly within 0 and 1, in steps of 2⁻⁵³.
pub(super) fn uniform(rng: &mut Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn ns(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    {
        (seconds * NS_PER_S as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_table_stays_in_bounds() {
        // Bounds for 100 runs: 1,000 must lie within 93 % to 97 % (queue: at least 92 %), and 100 scatter by 2.2 % more.
        for (scenario, n, p, least, most) in [
            (Scenario::Mixture, 500, 0.5, 0.89, 0.99),
            (Scenario::Mixture, 500, 0.95, 0.89, 0.99),
            (Scenario::Mixture, 2_000, 0.99, 0.89, 0.99),
            (Scenario::CutAtTheEnd, 500, 0.95, 0.89, 0.99),
            (Scenario::Abandoned, 500, 0.9, 0.89, 0.99),
            (Scenario::Queue, 10_000, 0.5, 0.88, 1.0),
            (Scenario::Queue, 10_000, 0.9, 0.88, 1.0),
        ] {
            let coverage = coverage(scenario, n, p, 100, Seed(2));
            let share = coverage.share().expect("some run gives an interval");
            assert!((least..=most).contains(&share), "{scenario:?} p{p} of {n}: {coverage:?}");
            assert!(coverage.refused < 10, "{scenario:?} p{p} of {n}: {coverage:?}");
        }
    }

    #[test]
    fn few_runs_are_given_the_scatter_of_few() {
        let of = |covered: u32, given: u32| Coverage { covered, below: given - covered, ..Coverage::default() };
        // Of 100 runs at 93 % fewer than 84, at 97 % all but none, come less than once in 1,000.
        let told: Vec<_> = [83, 84, 95, 100].map(|covered| of(covered, 100).is_plausible(0.93, 0.97)).into();
        assert_eq!(told, [false, true, true, true]);
        let exact: Vec<_> = [929, 930, 970, 971].map(|covered| of(covered, 1_000).is_plausible(0.93, 0.97)).into();
        assert_eq!(exact, [false, true, true, false]);
        let refused = |covered: u32| Coverage { refused: 400, ..of(covered, 600) };
        assert_eq!([551, 552].map(|covered| refused(covered).is_plausible(0.92, 1.0)), [false, true]);
        assert!(of(1_000, 1_000).is_plausible(0.92, 1.0) && !Coverage::default().is_plausible(0.0, 1.0));
        assert!(!of(300, 300).is_plausible(0.93, 0.97), "0.97³⁰⁰ is one in ten thousand");
    }

    #[test]
    fn the_truth_is_where_the_draws_say() {
        for scenario in [Scenario::Mixture, Scenario::Queue] {
            let truth = scenario.truth_ns(0.9);
            let below = |run| {
                let draws = scenario.draw(20, &mut Seed(3).stream("truth", run));
                draws.iter().filter(|one| matches!(one, Observation::Seen(ns) if (*ns as f64) < truth)).count()
            };
            // 10,000 independent runs: even if each were a single observation, 1 % is more than three standard errors.
            let share = (0..10_000).map(below).sum::<usize>() as f64 / 200_000.0;
            assert!((share - 0.9).abs() < 0.01, "{scenario:?}: {share}");
        }
    }
}
