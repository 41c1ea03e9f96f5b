//! The plain quantile, defined once: the `⌈p·n⌉`-th smallest of `n` values (the inverse of the empirical distribution
//! function; type 1 of Hyndman and Fan, The American Statistician 50 (1996) 361).
//!
//! It is always a value that was measured, nothing is interpolated, and it is what HdrHistogram computes as well (its
//! Java version to the rank; its Rust version is one rank too high where p·n comes out a little over a whole number).

/// The rank (from 1) of quantile `p` among `n` values in order of size; 1 for `p` = 0.
///
/// `p` is decimal to people and binary in here: 0.07 × 100 comes out a little over 7. A relative 2⁻⁵⁰, four times what
/// rounding can add, is taken off before rounding up.
///
/// Exact for `n` up to 2⁴⁸.
///
/// # Panics
/// `p` is not within [0, 1], or `n` is 0.
#[must_use]
pub fn rank(p: f64, n: u64) -> u64 {
    assert!((0.0..=1.0).contains(&p), "a quantile lies within [0, 1], not at {p}");
    assert!(n > 0, "a quantile is of at least one value");
    let exact = (p * n as f64) * (1.0 - 4.0 * f64::EPSILON);
    #[expect(clippy::cast_possible_truncation, reason = "within [0, n], checked above")]
    (exact.ceil() as u64).clamp(1, n)
}

/// Quantile `p` of values given as (value, count) in order of value; `None` when all counts are 0.
#[must_use]
pub fn weighted_quantile(counts: &[(u64, u64)], p: f64) -> Option<u64> {
    let n: u64 = counts.iter().map(|(_, count)| count).sum();
    if n == 0 {
        return None;
    }
    let mut missing = rank(p, n);
    for (value, count) in counts {
        if *count >= missing {
            return Some(*value);
        }
        missing -= count;
    }
    unreachable!("the rank is at most the sum of the counts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimal_quantiles_of_round_counts_hit_their_rank() {
        for n in (100..=100_000).step_by(100) {
            for percent in 1..=100 {
                assert_eq!(rank(percent as f64 / 100.0, n), percent * n / 100, "p{percent} of {n}");
            }
            if n % 1_000 == 0 {
                assert_eq!(rank(0.999, n), 999 * n / 1_000, "p99.9 of {n}");
            }
        }
    }

    #[test]
    fn the_ends_and_the_first_step_behind_a_rank() {
        for (p, n, expected) in [
            (0.0, 5, 1),
            (1.0, 5, 5),
            (0.5, 4, 2),
            (0.5, 5, 3),
            (0.500_001, 4, 3),
            (0.99, 1, 1),
            (1.0, 1 << 48, 1 << 48),
        ] {
            assert_eq!(rank(p, n), expected, "{p} of {n}");
        }
    }

    proptest! {
        #[test]
        fn a_weighted_quantile_is_the_quantile_of_the_values_written_out(
            counts in prop::collection::btree_map(0_u64..1_000, 0_usize..5, 1..20),
            percent in 0_u32..=100,
        ) {
            let p = f64::from(percent) / 100.0;
            let written: Vec<_> =
                counts.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count)).collect();
            // The smallest value with at least a share p at or below it, in integers.
            let naive = written.iter().copied().find(|value| {
                let at_or_below = written.iter().filter(|other| *other <= value).count();
                at_or_below * 100 >= percent as usize * written.len()
            });
            let counts: Vec<_> = counts.into_iter().map(|(value, count)| (value, count as u64)).collect();
            prop_assert_eq!(weighted_quantile(&counts, p), naive);
        }
    }
}
