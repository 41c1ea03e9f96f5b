//! The mean of a series with its interval, by batch means; and whether in-flight, rate and mean time agree.

use super::effective::{Batches, mean};
use super::normal::{NORMAL_975, student_t};

/// A mean and its two-sided 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The mean of a series in order of start; `None` for fewer than two values.
#[must_use]
pub fn mean_interval(series: &[f64]) -> Option<Mean> {
    if series.len() < 2 {
        return None;
    }
    let batches = Batches::of(series);
    // Batches allow for their small number themselves; of single observations it is done here.
    let times = if batches.length == 1 { student_t(0.975, series.len() as f64 - 1.0) } else { NORMAL_975 };
    let half = times * batches.variance_of_mean().sqrt();
    let mean = mean(series);
    Some(Mean { mean, low: mean - half, high: mean + half })
}

/// By how much Little's law fails, as a share: mean in flight over rate × mean time, less 1 (Little, Operations Research
/// 9 (1961) 383). 0 when nothing was in flight and nothing came; `None` when only one of the two is so.
///
/// Over a run that begins and ends with nothing in flight it is exact, whatever the load does in between.
#[must_use]
pub fn littles_law(in_flight_mean: f64, rate_per_s: f64, time_mean_s: f64) -> Option<f64> {
    let expected = rate_per_s * time_mean_s;
    match (in_flight_mean > 0.0, expected > 0.0) {
        (true, true) => Some(in_flight_mean / expected - 1.0),
        (false, false) => Some(0.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use crate::stats::coverage::Scenario;
    use crate::stats::incidence::Observation;
    use proptest::prelude::*;

    #[test]
    fn the_interval_is_that_of_the_textbook_where_values_are_independent() {
        // 2, 4, 4, 4, 5, 5, 7, 9 in an order without memory: mean 5, s² = 32/7, t(7) = 2.3646.
        let found = mean_interval(&[4.0, 7.0, 2.0, 5.0, 4.0, 9.0, 4.0, 5.0]).expect("eight values");
        let half = 2.364_624 * (32.0_f64 / 7.0 / 8.0).sqrt();
        assert!((found.mean - 5.0).abs() < 1e-9 && (found.high - found.mean - half).abs() < 1e-5, "{found:?}");
        assert_eq!(mean_interval(&[1.0]), None);
    }

    #[test]
    fn a_queue_holds_its_mean_within_most_intervals() {
        // Time in system of M/M/1 at 80 % of one a second: 5 s.
        let holds = |run| {
            let draws = Scenario::Queue.draw(10_000, &mut Seed(6).stream("mean", run));
            let seconds: Vec<f64> =
                draws.iter().map(|one| if let Observation::Seen(ns) = one { *ns as f64 / 1e9 } else { 0.0 }).collect();
            mean_interval(&seconds).is_some_and(|found| found.low <= 5.0 && 5.0 <= found.high)
        };
        let held = (0..100).filter(|run| holds(*run)).count();
        assert!(held >= 86, "{held} of 100");
    }

    proptest! {
        #[test]
        fn littles_law_is_exact_from_empty_to_empty(
            visits in prop::collection::vec((0_u64..1_000, 1_u64..500), 1..40),
        ) {
            // Starts and lengths; the mean in flight is counted instant by instant.
            let end = visits.iter().map(|(start, length)| start + length).max().expect("visits");
            let in_flight: usize =
                (0..end).map(|t| visits.iter().filter(|(start, length)| (*start..start + length).contains(&t)).count()).sum();
            let time_mean = visits.iter().map(|(_, length)| *length as f64).sum::<f64>() / visits.len() as f64;
            let found = littles_law(in_flight as f64 / end as f64, visits.len() as f64 / end as f64, time_mean);
            prop_assert!(found.is_some_and(|share| share.abs() < 1e-9), "{:?}", found);
        }
    }

    #[test]
    fn a_breach_of_littles_law_has_its_size() {
        assert!(littles_law(11.0, 5.0, 2.0).is_some_and(|share| (share - 0.1).abs() < 1e-9));
        assert_eq!(littles_law(0.0, 0.0, 0.0), Some(0.0));
        assert_eq!(littles_law(3.0, 0.0, 0.0), None);
    }
}
