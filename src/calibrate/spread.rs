//! How errors spread: exact quantiles of signed nanoseconds.

use crate::stats::rank::rank;

/// A sample of errors, summed up. Nanoseconds; negative is before the truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many there are.
    pub count: u64,
    /// The smallest.
    pub min_ns: i64,
    /// The median.
    pub p50_ns: i64,
    /// The 99th percentile.
    pub p99_ns: i64,
    /// The 99.9th percentile.
    pub p999_ns: i64,
    /// The largest.
    pub max_ns: i64,
    /// How many are negative.
    pub before: u64,
}

impl Spread {
    /// Sums up these errors; all figures are 0 where there are none.
    #[must_use]
    pub fn of(mut errors_ns: Vec<i64>) -> Self {
        errors_ns.sort_unstable();
        let (Some(min_ns), Some(max_ns)) = (errors_ns.first(), errors_ns.last()) else { return Self::default() };
        let count = errors_ns.len() as u64;
        let at = |p: f64| errors_ns[usize::try_from(rank(p, count) - 1).expect("it is below the length")];
        Self {
            count,
            min_ns: *min_ns,
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: *max_ns,
            before: errors_ns.partition_point(|error| *error < 0) as u64,
        }
    }

    /// The same of errors either way: of a gap, whose error can be negative as well as positive.
    #[must_use]
    pub fn either_way(errors_ns: &[i64]) -> Self {
        let sizes = errors_ns.iter().map(|error| i64::try_from(error.unsigned_abs()).unwrap_or(i64::MAX));
        let signed = |negative: &&i64| **negative < 0;
        Self {
            min_ns: errors_ns.iter().copied().min().unwrap_or_default(),
            before: errors_ns.iter().filter(signed).count() as u64,
            ..Self::of(sizes.collect())
        }
    }

    /// Each figure's own median over several runs; counts are added up, and the smallest and the largest are those of
    /// all.
    #[must_use]
    pub fn median(runs: &[Self]) -> Self {
        let counted = || runs.iter().filter(|run| run.count > 0);
        let middle = |figure: fn(&Self) -> i64| {
            middle(counted().map(figure).collect()).map_or(0, |(low_ns, high_ns)| low_ns.midpoint(high_ns))
        };
        Self {
            count: runs.iter().map(|run| run.count).sum(),
            min_ns: counted().map(|run| run.min_ns).min().unwrap_or_default(),
            p50_ns: middle(|run| run.p50_ns),
            p99_ns: middle(|run| run.p99_ns),
            p999_ns: middle(|run| run.p999_ns),
            max_ns: counted().map(|run| run.max_ns).max().unwrap_or_default(),
            before: runs.iter().map(|run| run.before).sum(),
        }
    }
}

/// The middle two, which are one and the same of an odd number; none of nothing.
pub(super) fn middle<T: Copy + Ord>(mut figures: Vec<T>) -> Option<(T, T)> {
    figures.sort_unstable();
    let at = |index: usize| figures.get(index).copied();
    at(figures.len().saturating_sub(1) / 2).zip(at(figures.len() / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By counting, for each value, how many are not above it.
    fn naive_quantile(errors_ns: &[i64], per_mille: usize) -> i64 {
        let enough = |value: &i64| {
            let below = errors_ns.iter().filter(|other| *other <= value).count();
            below * 1_000 >= per_mille * errors_ns.len()
        };
        errors_ns.iter().copied().filter(enough).min().expect("the largest is enough")
    }

    proptest! {
        #[test]
        fn the_spread_is_what_counting_says(errors_ns in proptest::collection::vec(-50i64..2_000, 1..400)) {
            let spread = Spread::of(errors_ns.clone());
            for (figure, per_mille) in [(spread.p50_ns, 500), (spread.p99_ns, 990), (spread.p999_ns, 999)] {
                prop_assert_eq!(figure, naive_quantile(&errors_ns, per_mille));
            }
            prop_assert_eq!(spread.count, errors_ns.len() as u64);
            prop_assert_eq!(spread.before, errors_ns.iter().filter(|error| **error < 0).count() as u64);
            let ends = (errors_ns.iter().min().copied(), errors_ns.iter().max().copied());
            prop_assert_eq!((Some(spread.min_ns), Some(spread.max_ns)), ends);
        }
    }

    #[test]
    fn errors_either_way_keep_their_sign_where_it_matters() {
        let spread = Spread::either_way(&[-400, 100, -5, 0]);
        assert_eq!((spread.min_ns, spread.p50_ns, spread.max_ns, spread.before), (-400, 5, 400, 2));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    #[test]
    fn the_median_of_runs_is_each_figures_own_and_no_extreme_is_lost() {
        let run = |ns: i64| Spread {
            count: 10,
            min_ns: -ns,
            p50_ns: ns,
            p99_ns: 2 * ns,
            before: 1,
            max_ns: 9 * ns,
            ..Spread::default()
        };
        let median = Spread::median(&[run(30), run(10), run(20), Spread::default()]);
        assert_eq!((median.p50_ns, median.p99_ns), (20, 40));
        assert_eq!((median.min_ns, median.max_ns, median.count, median.before), (-30, 270, 30, 3));
        let of_two = Spread::median(&[run(30), run(10)]);
        assert_eq!((of_two.p50_ns, of_two.p99_ns), (20, 40), "the mean of the middle two");
    }
}
