//! Order statistics: between which two of the sorted values a quantile lies, and how many values it takes to say so.
//!
//! Nothing is assumed of the distribution: how many of `m` independent values lie below its quantile `p` is binomial.

use super::binomial::Binomial;

/// The level of the intervals.
const LEVEL: f64 = 0.95;

/// Coverages nearer than this are equal but for rounding: the higher ranks are taken.
const TIE: f64 = 1e-12;

/// The smallest number of independent observations that bear quantile `p`: so many that a one-sided 99 % bound by the
/// second largest exists (by the second smallest below the median), P(fewer than two lie beyond the quantile) ≤ 1 %.
///
/// The largest alone would do from 459 on for p99; that bound is a single request.
///
/// # Panics
/// `p` is not strictly within 0 and 1.
#[must_use]
pub fn floor(p: f64) -> u64 {
    assert!(0.0 < p && p < 1.0, "a quantile lies strictly within 0 and 1, not at {p}");
    let p = p.max(1.0 - p);
    let fewer_than_two = |n: u64| {
        let all = p.powf(n as f64);
        all + n as f64 * (1.0 - p) * all / p
    };
    let mut high = 2;
    while fewer_than_two(high) > 0.01 {
        high *= 2;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if fewer_than_two(middle) > 0.01 { low = middle } else { high = middle }
    }
    high
}

/// The ranks (from 1) of the two-sided 95 % order-statistic interval for quantile `p` among ⌊`effective`⌋ independent
/// observations; `None` when they are too few.
///
/// Of the pairs (l, u) with P(l ≤ X < u) ≥ 95 % for a binomial X, the one nearest together, and of those the one that
/// covers most: equal tails cover up to 97.6 % where the quantile is far out, this 96 % (David and Nagaraja, Order
/// Statistics, 3rd ed., §7.1).
#[must_use]
pub fn ranks(effective: f64, p: f64) -> Option<(u64, u64)> {
    #[expect(clippy::cast_possible_truncation, reason = "a number of observations, rounded down on purpose")]
    let m = effective as u64;
    if m == 0 {
        return None;
    }
    let binomial = Binomial::new(m, p);
    let mut best: Option<(u64, u64, f64)> = None;
    // The highest lower rank leaves nothing for the upper tail; from there downwards the two come nearer, then part.
    for low in (1..=binomial.quantile(1.0 - LEVEL)).rev() {
        let left = 1.0 - LEVEL - binomial.at_most(low - 1);
        let high = binomial.above(left);
        if best.is_some_and(|(l, u, _)| high - low > u - l + 1) {
            break;
        }
        let covered = binomial.at_most(high - 1) - binomial.at_most(low - 1);
        let better =
            best.is_none_or(|(l, u, most)| high - low < u - l || (high - low == u - l && covered > most + TIE));
        if high <= m && better {
            best = Some((low, high, covered));
        }
    }
    best.map(|(low, high, _)| (low, high))
}

/// The level in a sample of `n` of a rank among the ⌊`effective`⌋ that it is worth.
///
/// The k-th of m stands for the stretch from (k−1)/m to k/m, and its middle keeps its place. Where all are effective it
/// is the rank itself.
#[must_use]
pub fn level(rank: u64, effective: f64, n: u64) -> f64 {
    let stretched = ((rank as f64 - 0.5) / effective.floor() * n as f64 + 0.5).round();
    (stretched / n as f64).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_floors_are_those_of_the_definition() {
        for (p, expected) in [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662), (0.999, 6_636), (0.05, 130), (0.1, 64)] {
            assert_eq!(floor(p), expected, "p{p}");
            // The rule itself, from the distribution: fewer than two beyond the quantile at most once in a hundred.
            let beyond = |n: u64| Binomial::new(n, 1.0 - f64::max(p, 1.0 - p)).at_most(1);
            assert!(beyond(expected) <= 0.01 && beyond(expected - 1) > 0.01, "p{p}");
        }
    }

    #[test]
    fn ranks_are_the_published_ones() {
        // The sign test's table: 6 values hold the median between their extremes at 96.9 %, 20 from the 6th to the 15th
        // at 95.9 %. For 100 it has 40 to 61; 41 to 61 still holds 95.4 %.
        assert_eq!(ranks(6.0, 0.5), Some((1, 6)));
        assert_eq!(ranks(20.0, 0.5), Some((6, 15)));
        assert_eq!(ranks(100.9, 0.5), Some((41, 61)));
        assert_eq!(ranks(5.0, 0.5), None, "even the extremes hold the median only 93.75 % of the time");
    }

    #[test]
    fn at_the_floor_both_ranks_exist() {
        for p in (1..1_000).map(|permille| f64::from(permille) / 1_000.0) {
            assert!(ranks(floor(p) as f64, p).is_some(), "p{p}");
        }
    }

    #[test]
    fn a_million_has_ranks_too() {
        // scipy: binom(1_000_000, 0.5).interval(0.95) is (499020, 500980); tests/reference checks more.
        let (low, high) = ranks(1e6, 0.5).expect("plenty");
        assert!(low.abs_diff(499_021) <= 1 && high.abs_diff(500_981) <= 1, "{low} {high}");
    }

    #[test]
    fn with_all_effective_a_rank_keeps_its_place() {
        for n in [11, 130, 5_000] {
            for rank in 1..=n {
                assert_eq!(super::super::rank::rank(level(rank, n as f64, n), n), rank);
            }
        }
        // The middle of the first tenth, and of the last.
        assert!((level(1, 10.0, 100) - 0.06).abs() < 1e-12 && (level(10, 10.0, 100) - 0.96).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn no_other_pair_of_ranks_is_nearer_together(m in 1_u64..60, permille in 1_u32..1_000) {
            let p = f64::from(permille) / 1_000.0;
            let binomial = Binomial::new(m, p);
            let covered = |low: u64, high: u64| binomial.at_most(high - 1) - binomial.at_most(low - 1);
            let nearest = (1..=m)
                .flat_map(|low| (low + 1..=m).map(move |high| (low, high)))
                .filter(|(low, high)| covered(*low, *high) >= LEVEL - 1e-12)
                .map(|(low, high)| high - low)
                .min();
            let found = ranks(m as f64, p);
            prop_assert_eq!(found.map(|(low, high)| high - low), nearest);
            if let Some((low, high)) = found {
                prop_assert!(covered(low, high) >= LEVEL - 1e-12);
            }
        }
    }
}
