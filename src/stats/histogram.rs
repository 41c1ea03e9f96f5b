//! A histogram of times: HdrHistogram with the range and the resolution of all of ours, and exact totals beside it.
//!
//! Recording and merging lose nothing but digits: merging parts gives the same histogram as recording the whole. A
//! value that does not fit is counted apart, never put at the edge.

use std::borrow::Cow;

use hdrhistogram::Histogram as Hdr;

use super::exact::Exact;
use super::rank::rank;

/// The lowest time that is told from 0, in nanoseconds.
pub const LOWEST_NS: u64 = 1_000;
/// The highest time that has a bucket, in nanoseconds: 24 hours.
pub const HIGHEST_NS: u64 = 24 * 3_600 * 1_000_000_000;
/// Significant decimal digits that a bucket keeps.
pub const DIGITS: u8 = 3;

/// As wide is the lowest bucket, in nanoseconds: of a time in it nothing more is known than that.
pub const LOWEST_BUCKET_NS: u64 = 1 << LOWEST_NS.ilog2();

/// So many values are kept as they are before they get buckets.
const FEW: usize = 512;

/// Times in nanoseconds, to three significant digits from 1 µs to 24 h; sixteen bytes a value for the first 512, and
/// 232 KiB from then on: a run has hundreds of histograms a second, and most of them are of few values.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    held: Held,
    exact: Exact,
    above_range: u64,
}

/// The values within range.
#[derive(Debug, Clone)]
enum Held {
    /// Each with how often it was recorded, as they came.
    Few(Vec<(u64, u64)>),
    /// In buckets.
    Many(Hdr<u64>),
}

impl Default for Held {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Held {
    fn record(&mut self, ns: u64, n: u64) {
        match self {
            Self::Many(hdr) => hdr.record_n(ns, n).expect("every time up to the highest has a bucket"),
            Self::Few(few) if few.len() < FEW => few.push((ns, n)),
            Self::Few(few) => {
                let mut hdr = in_buckets(few);
                hdr.record_n(ns, n).expect("every time up to the highest has a bucket");
                *self = Self::Many(hdr);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Few(few)) => few.iter().for_each(|(ns, n)| self.record(*ns, *n)),
            (Self::Many(hdr), Self::Many(other)) => hdr.add(other).expect("all our histograms have the same buckets"),
            (Self::Few(few), Self::Many(other)) => {
                let few = std::mem::take(few);
                *self = Self::Many(other.clone());
                few.into_iter().for_each(|(ns, n)| self.record(ns, n));
            }
        }
    }
}

impl PartialEq for Histogram {
    /// The same totals and the same buckets, in whatever way they are held.
    fn eq(&self, other: &Self) -> bool {
        (self.exact, self.above_range) == (other.exact, other.above_range) && self.counts().eq(other.counts())
    }
}

impl Histogram {
    /// An empty histogram with all its buckets: recording allocates nothing.
    #[must_use]
    pub fn of_many() -> Self {
        Self { held: Held::Many(in_buckets(&[])), ..Self::default() }
    }

    /// The histogram of these buckets and exact totals, as a log has them; `None` when they are not of the same times.
    #[must_use]
    pub fn logged(buckets: Hdr<u64>, exact: Exact) -> Option<Self> {
        let above_range = exact.count().checked_sub(buckets.len())?;
        let same = |one: u64, other: u64| buckets.equivalent(one, other);
        let smallest = buckets.is_empty() || exact.min_ns().is_some_and(|ns| same(ns, buckets.min()));
        let largest = match above_range {
            0 => buckets.is_empty() || exact.max_ns().is_some_and(|ns| same(ns, buckets.max())),
            _ => exact.max_ns() > Some(HIGHEST_NS),
        };
        (smallest && largest).then_some(Self { held: Held::Many(buckets), exact, above_range })
    }

    /// Counts one time.
    pub fn record(&mut self, ns: u64) {
        self.record_n(ns, 1);
    }

    /// Counts one time `n` times.
    pub fn record_n(&mut self, ns: u64, n: u64) {
        if n == 0 {
            return;
        }
        self.exact.record(ns, n);
        if ns > HIGHEST_NS {
            self.above_range += n;
            return;
        }
        self.held.record(ns, n);
    }

    /// Adds all that another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        if other.count() == 0 {
            return;
        }
        self.exact.merge(&other.exact);
        self.above_range = self.above_range.saturating_add(other.above_range);
        self.held.merge(&other.held);
    }

    /// Forgets every value and keeps the memory, for the next interval.
    pub fn clear(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        match &mut held {
            Held::Few(few) => few.clear(),
            Held::Many(hdr) => hdr.reset(),
        }
        *self = Self { held, ..Self::default() };
    }

    /// How many times were recorded, those over 24 h included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.exact.count()
    }

    /// How many were over 24 h: they are in no bucket, but in [`count`](Self::count) and in the exact totals.
    #[must_use]
    pub fn above_range(&self) -> u64 {
        self.above_range
    }

    /// What the buckets round. Times under 1 µs are in the lowest buckets, whose resolution is half a microsecond.
    #[must_use]
    pub fn exact(&self) -> Exact {
        self.exact
    }

    /// Quantile `p` in nanoseconds, as the upper end of its bucket (as HdrHistogram's own tools say it), or the largest
    /// time where that is less; `None` when nothing was recorded, or when it lies over 24 h.
    ///
    /// # Panics
    /// `p` is not within [0, 1].
    #[must_use]
    pub fn quantile_ns(&self, p: f64) -> Option<u64> {
        if self.count() == 0 {
            return None;
        }
        let mut missing = rank(p, self.count());
        for (ns, count) in self.counts() {
            if count >= missing {
                return Some(self.exact.nearest(ns));
            }
            missing -= count;
        }
        None
    }

    /// Every bucket that is not empty as (upper end in nanoseconds, count), in order of value.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        self.hdr().map_or_else(Vec::new, |hdr| counts(&hdr).collect()).into_iter()
    }

    /// The same, but none beyond the largest time.
    pub fn counts_within(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let exact = self.exact;
        self.counts().map(move |(ns, count)| (exact.nearest(ns), count))
    }

    /// The sums of the lowest and of the highest times that the buckets can hold, in nanoseconds: the exact sum of those
    /// within range lies between them.
    #[must_use]
    pub fn sum_bounds_ns(&self) -> (u128, u128) {
        let Some(hdr) = self.hdr() else { return (0, 0) };
        let add = |(low_ns, high_ns): (u128, u128), (ns, count): (u64, u64)| {
            let of = |ns: u64| u128::from(ns) * u128::from(count);
            (low_ns + of(hdr.lowest_equivalent(ns)), high_ns + of(ns))
        };
        counts(&hdr).fold((0, 0), add)
    }

    /// The buckets alone; `None` as long as nothing was recorded within range.
    #[must_use]
    pub fn hdr(&self) -> Option<Cow<'_, Hdr<u64>>> {
        match &self.held {
            Held::Few(few) if few.is_empty() => None,
            Held::Few(few) => Some(Cow::Owned(in_buckets(few))),
            Held::Many(hdr) => (!hdr.is_empty()).then_some(Cow::Borrowed(hdr)),
        }
    }

    /// The buckets to write into an interval log, whether or not anything is in them.
    #[must_use]
    pub fn buckets(&self) -> Cow<'_, Hdr<u64>> {
        self.hdr().unwrap_or_else(|| Cow::Owned(in_buckets(&[])))
    }
}

/// Every bucket that is not empty as (upper end, count), in order of value.
fn counts(inner: &Hdr<u64>) -> impl Iterator<Item = (u64, u64)> + '_ {
    inner.iter_recorded().map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
}

fn in_buckets(few: &[(u64, u64)]) -> Hdr<u64> {
    let mut hdr = Hdr::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS).expect("the constants are valid bounds");
    few.iter().for_each(|(ns, n)| hdr.record_n(*ns, *n).expect("every time up to the highest has a bucket"));
    hdr
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rank::weighted_quantile;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|ns| histogram.record(*ns));
        histogram
    }

    #[test]
    fn nothing_recorded_has_no_numbers_and_no_memory() {
        let nothing = Histogram::default();
        assert_eq!((nothing.count(), nothing.exact()), (0, Exact::default()));
        assert_eq!(nothing.quantile_ns(0.5), None);
        assert!(nothing.hdr().is_none());
    }

    #[test]
    fn many_take_232_kib() {
        let one = of(&[1]);
        assert_eq!(one.hdr().expect("recorded").distinct_values() * size_of::<u64>(), 232 * 1_024);
    }

    #[test]
    fn out_of_range_is_counted_and_has_no_bucket() {
        let histogram = of(&[0, 999, 1_000, HIGHEST_NS, HIGHEST_NS + 1, u64::MAX]);
        assert_eq!((histogram.count(), histogram.above_range()), (6, 2));
        let exact = histogram.exact();
        assert_eq!((exact.min_ns(), exact.max_ns()), (Some(0), Some(u64::MAX)));
        assert_eq!(exact.sum_ns(), 1_999 + 2 * u128::from(HIGHEST_NS) + 1 + u128::from(u64::MAX));
        assert_eq!(histogram.counts().map(|(_, count)| count).sum::<u64>(), 4);
        assert!(histogram.quantile_ns(4.0 / 6.0).expect("within range") >= HIGHEST_NS);
        assert_eq!(histogram.quantile_ns(0.99), None, "its rank is among those over 24 h");
        assert!(histogram.quantile_ns(0.1).expect("within range") < 1_000);
    }

    #[test]
    fn clearing_keeps_only_the_memory() {
        let mut histogram = of(&[5_000, u64::MAX]);
        histogram.clear();
        assert!(histogram.hdr().is_none());
        assert_eq!((histogram.above_range(), histogram.exact()), (0, Exact::default()));
        histogram.record(7_000);
        assert_eq!((histogram.exact().min_ns(), histogram.exact().max_ns()), (Some(7_000), Some(7_000)));
    }

    #[test]
    fn no_quantile_lies_beyond_the_largest_or_the_smallest_time() {
        let of_one = |ns: u64| of(&[ns; 3]).quantile_ns(0.5);
        assert_eq!(
            [0, 21, LOWEST_BUCKET_NS - 1, LOWEST_BUCKET_NS, 3_000_001].map(of_one),
            [Some(0), Some(21), Some(511), Some(512), Some(3_000_001)]
        );
        let two = of(&[3, 70_000]);
        assert_eq!((two.quantile_ns(0.5), two.quantile_ns(1.0)), (Some(LOWEST_BUCKET_NS - 1), Some(70_000)));
        assert!(two.counts_within().eq([(LOWEST_BUCKET_NS - 1, 1), (70_000, 1)]));
    }

    /// Times over the whole range, as many small as large, and some beyond it.
    fn times() -> impl Strategy<Value = u64> {
        (0_u32..48, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
    }

    #[test]
    fn totals_of_other_times_do_not_go_with_the_buckets() {
        let one = of(&[5_000, 70_000, 70_000]);
        let told = |values: &[u64]| Histogram::logged(one.buckets().into_owned(), of(values).exact());
        assert_eq!(told(&[5_000, 70_000, 70_000]).as_ref(), Some(&one));
        for other in
            [&[5_000, 70_000][..], &[9_000, 70_000, 70_000], &[5_000, 70_000, 90_000], &[5_000, 70_000, 70_000, 1]]
        {
            assert_eq!(told(other), None, "{other:?}");
        }
        assert!(told(&[5_000, 70_000, 70_000, u64::MAX]).is_some_and(|more| more.above_range() == 1));
    }

    proptest! {
        #[test]
        fn few_values_and_many_are_what_buckets_alone_would_hold(
            seed in times(),
            lengths in prop::collection::vec(prop_oneof![0_usize..4, FEW - 2..FEW + 3, 0..2 * FEW], 1..4),
        ) {
            let mut naive = in_buckets(&[]);
            let mut merged = Histogram::default();
            for (part, length) in (1_u64..).zip(lengths) {
                let values: Vec<_> = (0..length as u64).map(|at| seed.wrapping_mul(at * part) % HIGHEST_NS).collect();
                values.iter().for_each(|ns| naive.record(*ns).expect("within range"));
                merged.merge(&of(&values));
            }
            prop_assert!(merged.counts().eq(counts(&naive)));
        }

        #[test]
        fn merging_parts_is_recording_the_whole(
            values in prop::collection::vec(times(), 0..50),
            cut in any::<prop::sample::Index>(),
        ) {
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let mut merged = of(left);
            merged.merge(&of(right));
            prop_assert_eq!(merged, of(&values));
        }

        #[test]
        fn totals_are_exact_and_quantiles_keep_three_digits(
            mut values in prop::collection::vec(times(), 1..50),
            percent in 0_u32..=100,
        ) {
            let histogram = of(&values);
            let exact = histogram.exact();
            prop_assert_eq!(exact.sum_ns(), values.iter().map(|ns| u128::from(*ns)).sum::<u128>());
            prop_assert_eq!((exact.min_ns(), exact.max_ns()), (values.iter().copied().min(), values.iter().copied().max()));
            let within = values.iter().filter(|ns| **ns <= HIGHEST_NS).map(|ns| u128::from(*ns)).sum::<u128>();
            let (low_ns, high_ns) = histogram.sum_bounds_ns();
            prop_assert!((low_ns..=high_ns).contains(&within));
            let logged = Histogram::logged(histogram.buckets().into_owned(), exact);
            prop_assert_eq!(logged, Some(histogram.clone()));
            values.sort_unstable();
            let p = f64::from(percent) / 100.0;
            let plain = weighted_quantile(&values.iter().map(|ns| (*ns, 1)).collect::<Vec<_>>(), p).expect("values");
            match histogram.quantile_ns(p) {
                Some(ns) => prop_assert!((exact.min_ns()..=exact.max_ns()).contains(&Some(ns)) && ns >= plain && (ns - plain) as f64 <= 512.0_f64.max(plain as f64 / 1_000.0)),
                None => prop_assert!(plain > HIGHEST_NS),
            }
            if values.iter().all(|ns| *ns <= HIGHEST_NS) {
                // Half a rank lower, where rounding cannot lift HdrHistogram's own over the next rank.
                let n = values.len() as u64;
                let within = (rank(p, n) as f64 - 0.5) / n as f64;
                let hdrs_own = histogram.hdr().expect("recorded").value_at_quantile(within);
                prop_assert_eq!(histogram.quantile_ns(p), Some(exact.nearest(hdrs_own)));
            }
        }
    }
}
