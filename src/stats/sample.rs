//! One metric of one run: its quantiles, each with an interval that allows for dependence, or a refusal.

use std::fmt;

use super::effective::{effective_size, variance};
use super::incidence::{Incidence, Observation, Walk};
use super::order::{floor, level, ranks};
use super::ranking::End;

/// The observations of one metric, sorted once for many quantiles.
#[derive(Debug, Clone)]
pub struct Sample {
    incidence: Incidence,
    /// What the times that were seen are worth, as a share of their number.
    worth: f64,
}

/// A quantile, as far as the sample bears one.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The quantile in nanoseconds. `None` when it was refused, or when so large a share never saw the event.
    pub value: Option<u64>,
    /// The two-sided 95 % interval; `None` when the quantile was refused.
    pub interval: Option<Interval>,
    /// Why there is no number.
    pub refused: Option<Refusal>,
    /// How many independent observations the sample is worth for this quantile.
    pub effective: f64,
    /// The level, from 0 to 1, that the lower end of the interval stands at: a larger share of failures explains by
    /// itself that it is never reached.
    pub low_level: f64,
}

/// The ends of an interval in nanoseconds, both within it. An end that is `None` lies where the event never comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The lower end.
    pub low: Option<u64>,
    /// The upper end.
    pub high: Option<u64>,
}

/// There are too few observations for this quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refusal {
    /// How many independent observations the sample is worth.
    pub effective: f64,
    /// How many the quantile needs.
    pub needed: u64,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effective, needed } = self;
        write!(out, "needs {needed} independent observations, these are worth {effective:.0}")
    }
}

impl Sample {
    /// A sample of observations in order of intended start.
    #[must_use]
    pub fn new(observations: &[Observation]) -> Self {
        Self::of(observations.iter().copied())
    }

    /// A sample of observations in order of intended start that are made as they are asked for: a million of
    /// them written out would be a run's peak of memory.
    #[must_use]
    pub fn of(observations: impl Iterator<Item = Observation> + Clone) -> Self {
        Self { worth: worth(observations.clone()), incidence: Incidence::of(observations) }
    }

    /// The estimate that the quantiles are read from.
    #[must_use]
    pub fn incidence(&self) -> &Incidence {
        &self.incidence
    }

    /// Quantile `p`: the estimate, its interval and what it rests on.
    ///
    /// # Panics
    /// `p` is not strictly within 0 and 1.
    #[must_use]
    pub fn quantile(&self, p: f64) -> Estimate {
        let needed = floor(p);
        let value = self.incidence.quantile_ns(p);
        let effective = self.effective(value);
        if effective < needed as f64 {
            let refused = Some(Refusal { effective, needed });
            return Estimate { value: None, interval: None, refused, effective, low_level: 0.0 };
        }
        let (low, high) = ranks(effective, p).expect("the floor leaves room for both ranks");
        let [low_level, high_level] = [low, high].map(|rank| level(rank, effective, self.incidence.total() as u64));
        let [low, high] = [low_level, high_level].map(|level| self.incidence.quantile_ns(level));
        Estimate { value, interval: Some(Interval { low, high }), refused: None, effective, low_level }
    }

    /// The smaller of what the times are worth and what "by this time" is worth.
    fn effective(&self, value: Option<u64>) -> f64 {
        let n = self.incidence.total() as f64;
        let by = value.unwrap_or(u64::MAX);
        let share = self.incidence.at(by);
        let spread = share * (1.0 - share) * n / (n - 1.0).max(1.0);
        effective_size(&self.influences(by), spread).min(n * self.worth)
    }

    /// What each observation adds to the incidence at `by`, in order of start, so that their mean is the incidence and
    /// the uncertainty of their mean is its uncertainty (the influence function; for nothing cut off it is the
    /// indicator "seen by then").
    ///
    /// An event adds its weight. Who was cut off at `u`, with `y` still there, had the prospect F(by) − F(u), and adds
    /// it times n/y; all who were there at `u` pay for it in equal parts.
    fn influences(&self, by: u64) -> Vec<f64> {
        let n = self.incidence.total() as f64;
        let share = self.incidence.at(by);
        let mut influences = vec![0.0; self.incidence.total()];
        let mut walk = Walk::new(self.incidence.total() as u64);
        let mut paid = 0.0;
        for (at, one) in self.incidence.ranked().enumerate() {
            let mut influence = 0.0;
            if one.ns <= by {
                match one.end {
                    End::Seen => influence = n * walk.weight(),
                    End::Failed => {}
                    End::Censored => {
                        let there = n - at as f64;
                        influence = (share - walk.incidence()).max(0.0) * n / there;
                        paid += influence / there;
                    }
                }
                walk.step(one.end, 1);
            }
            influences[one.index as usize] = influence - paid;
        }
        influences
    }
}

/// What the times that were seen are worth, as a share of their number.
fn worth(observations: impl Iterator<Item = Observation>) -> f64 {
    let seen: Vec<f64> =
        observations.filter_map(|one| if let Observation::Seen(ns) = one { Some(ns as f64) } else { None }).collect();
    match seen.len() {
        0 | 1 => 1.0,
        n => effective_size(&seen, variance(&seen)) / n as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::Observation::{Censored, Failed, Seen};
    use super::*;
    use crate::seed::Seed;
    use crate::stats::coverage::Scenario;
    use crate::stats::rank::rank;
    use proptest::prelude::*;

    #[test]
    fn a_quantile_that_too_few_bear_is_refused() {
        let sample = Sample::new(&(1..=100).map(|i| Seen(i * 37 % 101)).collect::<Vec<_>>());
        let estimate = sample.quantile(0.99);
        assert_eq!((estimate.value, estimate.interval), (None, None));
        insta::assert_snapshot!(
            estimate.refused.expect("refused"),
            @"needs 662 independent observations, these are worth 100"
        );
        assert!(sample.quantile(0.9).refused.is_none());
        assert!(Sample::new(&[]).quantile(0.5).refused.is_some());
    }

    #[test]
    fn what_never_comes_has_no_upper_end() {
        // 4.5 % fail, spread over the run: p95 is just reached, and may well not be in truth; p99 is not.
        let all: Vec<_> =
            (0..3_000_u64).map(|i| if i % 22 == 7 { Failed(5) } else { Seen(i * 7_919 % 3_001) }).collect();
        let sample = Sample::new(&all);
        let p95 = sample.quantile(0.95);
        assert!(p95.value.is_some());
        assert!(p95.interval.is_some_and(|interval| interval.low.is_some() && interval.high.is_none()), "{p95:?}");
        let p99 = sample.quantile(0.99);
        assert_eq!((p99.value, p99.interval), (None, Some(Interval { low: None, high: None })));
        assert_eq!(p99.refused, None);
    }

    #[test]
    fn a_run_in_two_moods_is_worth_little() {
        // Quick for half an hour, slow for another: 2,000 observations, but one change.
        let moods: Vec<_> = (0..2_000_u64).map(|i| Seen(i * 31 % 97 + if i < 1_000 { 0 } else { 1_000 })).collect();
        let estimate = Sample::new(&moods).quantile(0.5);
        assert!(estimate.effective < 20.0, "{estimate:?}");
        let Interval { low, high } = estimate.interval.expect("just enough for a median");
        assert!(low < Some(100) && high > Some(1_000), "it may have been either mood: {low:?} {high:?}");
    }

    proptest! {
        #[test]
        fn influences_have_the_incidence_as_their_mean(run in 0_u64..1_000, permille in 1_u32..1_000) {
            let mut rng = Seed(5).stream("influence", run);
            let sample = Sample::new(&Scenario::Abandoned.draw(60, &mut rng));
            let by = sample.incidence.quantile_ns(f64::from(permille) / 1_000.0).unwrap_or(u64::MAX);
            let influences = sample.influences(by);
            let mean = influences.iter().sum::<f64>() / 60.0;
            prop_assert!((mean - sample.incidence.at(by)).abs() < 1e-9, "{mean} against {}", sample.incidence.at(by));
        }

        #[test]
        fn an_influence_is_what_leaving_one_out_changes(run in 0_u64..1_000) {
            let mut rng = Seed(5).stream("influence", run);
            let all = Scenario::Abandoned.draw(100, &mut rng);
            let sample = Sample::new(&all);
            let by = sample.incidence.quantile_ns(0.8).unwrap_or(u64::MAX);
            let whole = sample.incidence.at(by);
            for (index, influence) in sample.influences(by).into_iter().enumerate() {
                let rest: Vec<_> =
                    all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, one)| *one).collect();
                let pseudo = 100.0 * whole - 99.0 * Incidence::new(&rest).at(by);
                // They differ by the curvature, which falls with n.
                prop_assert!((influence - pseudo).abs() < 0.2, "{index}: {influence} against {pseudo}");
            }
        }

        #[test]
        fn with_nothing_cut_off_the_ends_are_order_statistics(
            values in prop::collection::vec(0_u64..1_000_000, 200..400),
        ) {
            let estimate = Sample::new(&values.iter().map(|ns| Seen(*ns)).collect::<Vec<_>>()).quantile(0.9);
            let mut sorted = values.clone();
            sorted.sort_unstable();
            if estimate.refused.is_none() {
                let n = sorted.len() as u64;
                let (low, high) = ranks(estimate.effective, 0.9).expect("not refused");
                let at = |rank_of_effective: u64| {
                    let place = rank(level(rank_of_effective, estimate.effective, n), n);
                    sorted.get(usize::try_from(place).expect("small") - 1).copied()
                };
                prop_assert_eq!(estimate.interval, Some(Interval { low: at(low), high: at(high) }));
                prop_assert_eq!(estimate.value, sorted.get(usize::try_from(rank(0.9, n)).expect("small") - 1).copied());
            }
        }
    }

    #[test]
    fn a_cut_below_the_quantile_moves_it() {
        // Every second one was given up at 10, when it might have come later; those who stayed came at 20.
        let all: Vec<_> = (0..200_u64).map(|i| if i % 2 == 0 { Censored(10) } else { Seen(20) }).collect();
        assert_eq!(Sample::new(&all).quantile(0.9).value, Some(20));
    }
}
