//! When a run had settled: MSER-5 (White, Simulation 69 (1997) 323), with a check that the cut matters.
//!
//! Means over five neighbours; cut where the rest has the smallest squared standard error, Σ(y − ȳ)²/(n − d)². That
//! alone cuts somewhere in most series that were settled all along: whichever outlier comes early goes. So a cut counts
//! only when the mean of the whole lies outside the 95 % interval of what is kept.

use super::effective::mean;
use super::mean::mean_interval;

/// Neighbours that are averaged.
const BATCH: usize = 5;

/// The fewest batches in which a start can be told from a course.
const BATCHES_MIN: usize = 20;

/// What a series in order of intended start says about its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing speaks for a warm-up.
    FromTheStart,
    /// From the observation of this index on.
    From(usize),
    /// Not before half of it had passed.
    Never,
    /// It has fewer than 100 observations.
    TooShort,
}

/// When this series settled, in order of intended start.
#[must_use]
pub fn settled(series_ns: impl IntoIterator<Item = u64>) -> Settled {
    let series: Vec<f64> = series_ns.into_iter().map(|ns| ns as f64).collect();
    let batches: Vec<f64> = series.chunks_exact(BATCH).map(mean).collect();
    if batches.len() < BATCHES_MIN {
        return Settled::TooShort;
    }
    let half = batches.len() / 2;
    let cut = mser_cut(&batches, half);
    let kept = &series[cut * BATCH..];
    let matters = mean_interval(kept).is_some_and(|kept| {
        let whole = mean(&series);
        whole < kept.low || kept.high < whole
    });
    match cut {
        _ if !matters => Settled::FromTheStart,
        // The smallest error lies where the search ends: it would go on falling.
        cut if cut * 10 > half * 9 => Settled::Never,
        cut => Settled::From(cut * BATCH),
    }
}

/// How many batches to cut, at most `most`, for the smallest squared standard error of the rest. (Without a limit a few
/// at the end that happen to be alike would win.)
fn mser_cut(batches: &[f64], most: usize) -> usize {
    let (mut sum, mut squares) = (0.0, 0.0);
    let mut best = (f64::INFINITY, 0);
    // Values about the mean, so that the squares keep their digits.
    let centre = mean(batches);
    for (cut, batch) in batches.iter().map(|batch| batch - centre).enumerate().rev() {
        sum += batch;
        squares += batch * batch;
        let kept = (batches.len() - cut) as f64;
        let error = (squares - sum * sum / kept).max(0.0) / (kept * kept);
        if cut <= most && error <= best.0 {
            best = (error, cut);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use crate::stats::coverage::Scenario;
    use crate::stats::incidence::Observation;
    use proptest::prelude::*;

    fn mixture(n: u32, run: u64) -> Vec<u64> {
        let draws = Scenario::Mixture.draw(n, &mut Seed(9).stream("warmup", run));
        draws.iter().map(|one| if let Observation::Seen(ns) = one { *ns } else { 0 }).collect()
    }

    /// The first `n` slowed by `by`, falling to nothing.
    fn slow_start(mut series: Vec<u64>, n: usize, by: u64) -> Vec<u64> {
        for (at, ns) in series.iter_mut().take(n).enumerate() {
            *ns += by - by * at as u64 / n as u64;
        }
        series
    }

    #[test]
    fn a_run_that_was_settled_all_along_is_seldom_warned_of() {
        let warned = (0..200).filter(|run| settled(mixture(500, *run)) != Settled::FromTheStart).count();
        assert!(warned <= 14, "{warned} of 200");
    }

    #[test]
    fn a_slow_start_is_found_where_it_ends() {
        let mut found: Vec<usize> = (0..21)
            .map(|run| match settled(slow_start(mixture(1_000, run), 150, 30_000_000_000)) {
                Settled::From(index) => index,
                other => panic!("{run}: {other:?}"),
            })
            .collect();
        found.sort_unstable();
        // An outlier soon after it may take the cut along: that costs data, not truth.
        assert!((100..=200).contains(&found[10]) && found[0] >= 60, "{found:?}");
    }

    #[test]
    fn a_run_that_slows_down_throughout_never_settles() {
        let drifting: Vec<_> =
            mixture(1_000, 1).iter().zip(0..).map(|(ns, at): (_, u64)| ns + at * 20_000_000).collect();
        assert_eq!(settled(drifting), Settled::Never);
    }

    #[test]
    fn a_hundred_are_needed() {
        assert_eq!(settled(mixture(99, 1)), Settled::TooShort);
        assert_eq!(settled([7; 100]), Settled::FromTheStart);
    }

    proptest! {
        #[test]
        fn the_cut_is_that_of_the_definition(batches in prop::collection::vec(0.0_f64..100.0, 6..60)) {
            let error = |cut: usize| {
                let kept = &batches[cut..];
                let mean = mean(kept);
                kept.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (kept.len() as f64).powi(2)
            };
            let half = batches.len() / 2;
            let least = (0..=half).map(error).fold(f64::INFINITY, f64::min);
            let found = mser_cut(&batches, half);
            prop_assert!(found <= half && error(found) <= least + 1e-9);
        }
    }
}
