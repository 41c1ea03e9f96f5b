//! Several runs of one workload: the interval across them, and whether they lie further apart than their own intervals
//! explain. The run is the unit.

use statrs::distribution::{ContinuousCDF, FisherSnedecor};

use super::effective::{mean, variance};
use super::mean::Mean;
use super::normal::{NORMAL_975, student_t};
use super::rank::rank;

/// What the values of several runs come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Across {
    /// Their mean, with Student's t interval.
    pub mean: Mean,
    /// Their median: the lower one of two in the middle.
    pub median: f64,
}

/// The mean of independent runs with its two-sided 95 % interval by Student's t (independent replications; Law,
/// Simulation Modeling and Analysis, 5th ed. (2015), section 9.4.1), and their median; `None` for fewer than two.
#[must_use]
pub fn across(values: &[f64]) -> Option<Across> {
    if values.len() < 2 {
        return None;
    }
    let runs = values.len() as f64;
    let half = student_t(0.975, runs - 1.0) * (variance(values) / runs).sqrt();
    let mean = mean(values);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[usize::try_from(rank(0.5, sorted.len() as u64)).expect("a rank among them") - 1];
    Some(Across { mean: Mean { mean, low: mean - half, high: mean + half }, median })
}

/// One run's estimate and the standard error that its own interval tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The estimate.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl Measured {
    /// An estimate with its own two-sided 95 % interval, of which only the width counts.
    #[must_use]
    pub fn of(value: f64, low: f64, high: f64) -> Self {
        Self { value, error: (high - low) / (2.0 * NORMAL_975) }
    }
}

/// How far runs lie apart, beside what their own intervals explain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The variance between the runs over what their own intervals explain: about 1 where nothing else is at work.
    pub ratio: f64,
    /// What differs from run to run beside that, as a standard deviation: 0 when nothing is left.
    pub between: f64,
    /// How likely runs that differ by chance alone lie as far apart.
    pub p_value: f64,
}

/// Compares the variance between runs with what their own standard errors explain; `None` for fewer than two runs, or
/// errors of nothing.
///
/// One-way random effects with runs of one size: the variance of the estimates over the mean of their squared errors,
/// which without any effect of the run follows F (Searle, Casella and McCulloch, Variance Components (1992), section
/// 3.6). Cochran's Q (Biometrics 10 (1954) 101) weighs each run by its own error instead; of errors that are themselves
/// estimated from one run, small ones by chance would weigh most, and it would alarm too often.
///
/// How often it alarms by chance, on logarithms of quantiles of 500 from the mixture of
/// [`coverage`](super::coverage), 1,000 series each (`cargo test --lib false_alarms -- --ignored --nocapture`): at 1 %,
/// the level that Holm's correction gives the first of five, p50 0.1 %, 0.4 % and 0.1 % of 2, 5 and 10 runs, p95 1.0 %,
/// 1.2 % and 1.8 %; at 5 %, p50 2.1 %, 3.0 % and 2.8 %, p95 5.7 %, 7.8 % and 10.7 %. Five runs that really differ, by
/// a standard deviation of 30 %, are found at 1 % by p50 in 99 %, by p95 in 38 %.
#[must_use]
pub fn spread(runs: &[Measured]) -> Option<Spread> {
    if runs.len() < 2 {
        return None;
    }
    let between = variance(&runs.iter().map(|run| run.value).collect::<Vec<_>>());
    let within = mean(&runs.iter().map(|run| run.error.powi(2)).collect::<Vec<_>>());
    if within <= 0.0 {
        return None;
    }
    let count = runs.len() as f64;
    let ratio = between / within;
    let chance = FisherSnedecor::new(count - 1.0, count * ERROR_FREEDOM).expect("degrees of freedom are positive");
    Some(Spread { ratio, between: (between - within).max(0.0).sqrt(), p_value: chance.sf(ratio) })
}

/// Degrees of freedom that the squared error of one run counts for: the width of an order-statistic interval that spans
/// m observations is as well known as m/2 squares, and p95 of 500 spans about 20.
const ERROR_FREEDOM: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, normal};
    use crate::stats::coverage::Scenario;
    use crate::stats::sample::Sample;

    #[test]
    fn the_interval_across_runs_is_students() {
        // t(4) at 97.5 % is 2.776445; the mean of 1 to 5 has the standard error √(2.5/5).
        let found = across(&[3.0, 1.0, 2.0, 5.0, 4.0]).expect("five");
        assert!((found.mean.high - 3.0 - 2.776_445 * 0.5_f64.sqrt()).abs() < 1e-5, "{found:?}");
        assert!((found.median - 3.0).abs() < 1e-12 && (found.mean.mean - 3.0).abs() < 1e-12);
        assert_eq!(across(&[1.0]), None);
    }

    #[test]
    fn the_spread_is_that_of_its_definition() {
        let run = |value| Measured { value, error: 1.0 };
        let found = spread(&[run(0.0), run(2.0), run(4.0)]).expect("three");
        // The variance is 4; of F(2, 30) the share (1 + 4·2/30)^−15 lies beyond 4.
        assert!((found.ratio - 4.0).abs() < 1e-12 && (found.between - 3.0_f64.sqrt()).abs() < 1e-12, "{found:?}");
        assert!((found.p_value - (1.0 + 8.0 / 30.0_f64).powi(-15)).abs() < 1e-9, "{found:?}");
        assert_eq!(spread(&[run(1.0)]), None);
        assert_eq!(spread(&[Measured { value: 1.0, error: 0.0 }; 2]), None);
    }

    /// Of so many series of runs, in how many p50 and p95 are found to differ at this level; runs differ by a factor
    /// whose logarithm has the standard deviation `between`.
    fn alarms(runs: u64, between: f64, level: f64, series: u64) -> [u64; 2] {
        let mut alarms = [0; 2];
        for one in 0..series {
            let run = |run| {
                let mut rng = Seed(one).stream("repeats", run);
                let factor = between * normal(&mut rng);
                (factor, Sample::new(&Scenario::Mixture.draw(500, &mut rng)))
            };
            let runs: Vec<_> = (0..runs).map(run).collect();
            for (p, alarms) in [0.5, 0.95].into_iter().zip(&mut alarms) {
                let measured = |(factor, sample): &(f64, Sample)| {
                    let estimate = sample.quantile(p);
                    let interval = estimate.interval?;
                    let ln = |ns: Option<u64>| Some((ns? as f64).ln() + factor);
                    Some(Measured::of(ln(estimate.value)?, ln(interval.low)?, ln(interval.high)?))
                };
                let measured: Option<Vec<_>> = runs.iter().map(measured).collect();
                *alarms += u64::from(spread(&measured.expect("500 bear both")).expect("several").p_value < level);
            }
        }
        alarms
    }

    #[test]
    fn chance_alone_is_seldom_an_alarm_and_a_difference_is_one() {
        let series = 120;
        for runs in [2, 5] {
            // The level that Holm's correction gives the first of five: 2 or 3 of them are to be expected.
            let [p50, p95] = alarms(runs, 0.0, 0.01, series);
            assert!(p50 <= 6 && p95 <= 6, "{runs} runs: {p50} and {p95} of {series}");
        }
        let [p50, p95] = alarms(5, 0.3, 0.01, 40);
        assert!(p50 >= 36 && p95 >= 6, "{p50} and {p95} of 40");
    }

    /// The table in the description of [`spread`]: `cargo test --release --lib false_alarms -- --ignored --nocapture`.
    #[test]
    #[ignore = "a table, not a test"]
    #[expect(clippy::print_stdout, reason = "it is what the table is for")]
    fn false_alarms() {
        for runs in [2, 3, 5, 10] {
            let [five, one] = [0.05, 0.01].map(|level| alarms(runs, 0.0, level, 1_000));
            let missed = alarms(runs, 0.3, 0.01, 200);
            println!("{runs} runs: {five:?} of 1000 at 5 %, {one:?} at 1 %; 30 % apart: {missed:?} of 200");
        }
    }
}
