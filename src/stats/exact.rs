//! What buckets round, kept beside them: how many times there were, their sum, the smallest and the largest.

/// The exact totals of some times, in nanoseconds. Those of parts merge to those of the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exact {
    count: u64,
    /// Every `u64` as often as can be counted in one fits in it.
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

impl Exact {
    /// Totals as they were told; `None` when no times have them.
    #[must_use]
    pub fn told(count: u64, sum_ns: u128, min_ns: u64, max_ns: u64) -> Option<Self> {
        let all = |ns: u64| u128::from(ns) * u128::from(count);
        let possible = if count == 0 {
            (sum_ns, min_ns, max_ns) == (0, 0, 0)
        } else {
            min_ns <= max_ns && (all(min_ns)..=all(max_ns)).contains(&sum_ns)
        };
        possible.then_some(Self { count, sum_ns, min_ns, max_ns })
    }

    /// Counts one time `n` times, at least once.
    pub fn record(&mut self, ns: u64, n: u64) {
        self.min_ns = if self.count == 0 { ns } else { self.min_ns.min(ns) };
        self.max_ns = self.max_ns.max(ns);
        self.count += n;
        self.sum_ns += u128::from(ns) * u128::from(n);
    }

    /// Adds the totals of others. What would not fit any more stays at the most that does.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min_ns = if self.count == 0 { other.min_ns } else { self.min_ns.min(other.min_ns) };
        self.max_ns = self.max_ns.max(other.max_ns);
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    /// The smallest; absent when there are none.
    #[must_use]
    pub fn min_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min_ns)
    }

    /// The largest; absent when there are none.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max_ns)
    }

    /// The nearest time to this one that does not lie beyond them: a bucket's end may.
    #[must_use]
    pub fn nearest(&self, ns: u64) -> u64 {
        if self.count == 0 { ns } else { ns.clamp(self.min_ns, self.max_ns) }
    }

    /// Their mean, rounded down to a nanosecond; absent when there are none.
    #[must_use]
    pub fn mean_ns(&self) -> Option<u64> {
        let mean_ns = self.sum_ns.checked_div(u128::from(self.count))?;
        Some(u64::try_from(mean_ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Exact {
        let mut exact = Exact::default();
        values.iter().for_each(|ns| exact.record(*ns, 1));
        exact
    }

    #[test]
    fn the_largest_times_do_not_overflow_and_more_than_can_be_counted_stays_at_the_most() {
        let mut exact = Exact::default();
        exact.record(u64::MAX, u64::MAX);
        assert_eq!((exact.mean_ns(), exact.count()), (Some(u64::MAX), u64::MAX));
        let other = exact;
        (0..3).for_each(|_| exact.merge(&other));
        assert_eq!((exact.mean_ns(), exact.max_ns()), (Some(u64::MAX), Some(u64::MAX)));
    }

    #[test]
    fn totals_that_no_times_have_are_none() {
        assert_eq!(Exact::told(0, 0, 0, 0), Some(Exact::default()));
        assert_eq!(Exact::told(2, 7, 3, 4), Some(of(&[3, 4])));
        for (count, sum_ns, min_ns, max_ns) in [(0, 1, 0, 0), (2, 7, 4, 3), (2, 5, 3, 4), (2, 9, 3, 4)] {
            assert_eq!(Exact::told(count, sum_ns, min_ns, max_ns), None, "{count} {sum_ns} {min_ns} {max_ns}");
        }
    }

    proptest! {
        #[test]
        fn totals_are_those_of_the_plain_values_in_however_many_parts(
            values in prop::collection::vec(any::<u64>(), 0..40),
            cut in any::<prop::sample::Index>(),
        ) {
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let mut merged = of(left);
            merged.merge(&of(right));
            prop_assert_eq!(merged, of(&values));
            let sum_ns = values.iter().map(|ns| u128::from(*ns)).sum::<u128>();
            prop_assert_eq!((merged.count(), merged.sum_ns()), (values.len() as u64, sum_ns));
            prop_assert_eq!((merged.min_ns(), merged.max_ns()), (values.iter().copied().min(), values.iter().copied().max()));
            let mean_ns = sum_ns.checked_div(values.len() as u128).map(|ns| u64::try_from(ns).expect("no more than the largest"));
            prop_assert_eq!(merged.mean_ns(), mean_ns);
            let (min_ns, max_ns) = (merged.min_ns().unwrap_or(0), merged.max_ns().unwrap_or(0));
            prop_assert_eq!(Exact::told(merged.count(), sum_ns, min_ns, max_ns), Some(merged));
        }
    }
}
