//! Quantiles of what comes in streams (gaps between chunks): values of one stream depend on each other, streams do not.
//!
//! Streams are dealt into groups, each with its own counts. How much the share at or below the quantile changes when a
//! group is left out gives the uncertainty of that share (the delete-a-group jackknife: Kott, Journal of Official
//! Statistics 17 (2001) 521), and so the number of independent values that all of them are worth. The ends are then
//! order statistics as in [`Sample`](super::Sample) (Woodruff, Journal of the American Statistical Association 47
//! (1952) 635): the jackknife of the quantile itself is not consistent, that of the share is.

use std::collections::BTreeMap;

use super::normal::{NORMAL_975, student_t};
use super::order::{floor, level, ranks};
use super::rank::weighted_quantile;
use super::sample::{Estimate, Interval, Refusal};

/// Values as (value, count), in order of value.
pub type Counts = Vec<(u64, u64)>;

/// The pooled values of groups of streams.
#[derive(Debug, Clone)]
pub struct Groups {
    groups: Vec<Counts>,
    pooled: Counts,
    count: u64,
}

impl Groups {
    /// Groups of streams, each with the counts of its values in order of value; empty ones don't count.
    #[must_use]
    pub fn new(groups: Vec<Counts>) -> Self {
        let groups: Vec<Counts> = groups.into_iter().filter(|group| total(group) > 0).collect();
        let pooled = pooled(groups.iter());
        Self { count: total(&pooled), groups, pooled }
    }

    /// Whether no group has any value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Quantile `p` of all values, its interval and what it rests on.
    ///
    /// # Panics
    /// `p` is not strictly within 0 and 1.
    #[must_use]
    pub fn quantile(&self, p: f64) -> Estimate {
        let needed = floor(p);
        let value = weighted_quantile(&self.pooled, p);
        let effective = value.map_or(0.0, |value| self.effective(value));
        if effective < needed as f64 {
            let refused = Some(Refusal { effective, needed });
            return Estimate { value: None, interval: None, refused, effective, low_level: 0.0 };
        }
        let (low, high) = ranks(effective, p).expect("the floor leaves room for both ranks");
        let at = |rank| weighted_quantile(&self.pooled, level(rank, effective, self.count));
        Estimate {
            value,
            interval: Some(Interval { low: at(low), high: at(high) }),
            refused: None,
            effective,
            low_level: 0.0,
        }
    }

    /// How many independent values have a share at or below `value` as uncertain as these.
    fn effective(&self, value: u64) -> f64 {
        let number = self.groups.len() as f64;
        if self.groups.len() < 2 {
            return number;
        }
        let below: Vec<_> = self.groups.iter().map(|group| (at_or_below(group, value), total(group))).collect();
        let all = below.iter().map(|(below, _)| below).sum::<u64>();
        let share = all as f64 / self.count as f64;
        let left_out: Vec<_> =
            below.iter().map(|(below, total)| (all - below) as f64 / (self.count - total) as f64).collect();
        let mean = left_out.iter().sum::<f64>() / number;
        let squares: f64 = left_out.iter().map(|one| (one - mean).powi(2)).sum();
        let widen = student_t(0.975, number - 1.0) / NORMAL_975;
        let uncertain = squares * (number - 1.0) / number * widen.powi(2);
        let independent = share * (1.0 - share);
        if uncertain > 0.0 { (independent / uncertain).min(self.count as f64) } else { self.count as f64 }
    }
}

/// All of these together.
#[must_use]
pub fn pooled<'c>(several: impl Iterator<Item = &'c Counts>) -> Counts {
    let mut pooled = BTreeMap::new();
    for (value, count) in several.flatten() {
        *pooled.entry(*value).or_insert(0) += count;
    }
    pooled.into_iter().collect()
}

fn total(counts: &[(u64, u64)]) -> u64 {
    counts.iter().map(|(_, count)| count).sum()
}

fn at_or_below(counts: &[(u64, u64)], value: u64) -> u64 {
    total(&counts[..counts.partition_point(|(one, _)| *one <= value)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use crate::stats::coverage::gap_coverage;
    use proptest::prelude::*;

    #[test]
    fn a_single_group_bears_nothing() {
        let one = Groups::new(vec![vec![(1, 1_000), (2, 1_000)], vec![]]);
        assert_eq!(one.quantile(0.5).refused, Some(Refusal { effective: 1.0, needed: 11 }));
        assert!(Groups::new(vec![]).quantile(0.5).refused.is_some());
    }

    #[test]
    fn streams_that_are_all_quick_or_all_slow_are_worth_their_number() {
        // Half of 32 groups has only 1s, half only 9s: 16,000 gaps, but 32 coins.
        let groups = (0..32).map(|group| vec![(if group % 2 == 0 { 1 } else { 9 }, 500)]).collect();
        let estimate = Groups::new(groups).quantile(0.5);
        assert!((20.0..40.0).contains(&estimate.effective), "{estimate:?}");
        assert_eq!(estimate.interval, Some(Interval { low: Some(1), high: Some(9) }));
    }

    #[test]
    fn intervals_hold_the_truth_where_streams_differ() {
        for p in [0.5, 0.9] {
            let coverage = gap_coverage(64, 20, p, 100, Seed(5));
            assert!(coverage.share().is_some_and(|share| share >= 0.89), "p{p}: {coverage:?}");
        }
    }

    proptest! {
        #[test]
        fn the_share_left_out_is_that_of_the_other_groups_pooled(
            groups in prop::collection::vec(prop::collection::vec(0_u64..20, 1..6), 2..8),
            value in 0_u64..20,
        ) {
            // The naive twin: leave a group out, pool the rest, count.
            let k = groups.len() as f64;
            let shares: Vec<f64> = (0..groups.len()).map(|out| {
                let rest: Vec<_> = groups.iter().enumerate().filter(|(at, _)| *at != out).flat_map(|(_, g)| g).collect();
                rest.iter().filter(|one| ***one <= value).count() as f64 / rest.len() as f64
            }).collect();
            let mean = shares.iter().sum::<f64>() / k;
            let error = (shares.iter().map(|one| (one - mean).powi(2)).sum::<f64>() * (k - 1.0) / k).sqrt();
            let all: Vec<u64> = groups.concat();
            let share = all.iter().filter(|one| **one <= value).count() as f64 / all.len() as f64;
            let expected = share * (1.0 - share) / (error * student_t(0.975, k - 1.0) / NORMAL_975).powi(2);
            let n = all.len() as f64;
            let expected = if error > 0.0 { expected.min(n) } else { n };
            let counted = groups.iter().map(|group| {
                let mut group = group.clone();
                group.sort_unstable();
                group.into_iter().map(|value| (value, 1)).collect()
            });
            let found = Groups::new(counted.collect()).effective(value);
            prop_assert!((found - expected).abs() <= 1e-6 * expected, "{} against {}", found, expected);
        }
    }
}
