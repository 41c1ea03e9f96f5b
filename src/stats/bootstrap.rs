//! Two arms side by side: how their quantiles or shares differ, and how uncertain that is, by drawing blocks again.
//!
//! What varies independently is the block (or the run), not the invocation: invocations of one block meet the same
//! minute of the server. So whole blocks are drawn with replacement (Davison and Hinkley, Bootstrap Methods and their
//! Application (1997), §3.8). Draws from `k` blocks scatter less than new blocks would, by (k − 1)/k; they are widened
//! about the estimate by the root of that, here, and for the few blocks' own uncertainty in [`Effect`].

use rand_core::Rng as _;

use super::effect::Effect;
use super::effective::variance;
use super::incidence::{Incidence, Observation, Walk};
use super::ranking::End;
use crate::seed::{Rng, Seed};

/// How often the blocks are drawn: five draws lie beyond either end of a 99 % interval.
const DRAWS: u64 = 1_000;

/// One arm: its observations by block, or by run.
#[derive(Debug, Clone)]
pub struct Arm {
    /// The block of each observation, in order of start.
    block: Vec<u32>,
    /// Observations in each block.
    sizes: Vec<u64>,
    incidence: Incidence,
}

/// Whether block `i` of one arm and block `i` of the other were taken side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Blocks of one interleaved run: they are drawn in pairs, so that what both arms met cancels out.
    Paired,
    /// Runs, or blocks of different runs.
    Independent,
}

impl Arm {
    /// An arm of these blocks.
    #[must_use]
    pub fn new(blocks: &[Vec<Observation>]) -> Self {
        let block = (0_u32..).zip(blocks).flat_map(|(at, block)| std::iter::repeat_n(at, block.len())).collect();
        let sizes = blocks.iter().map(|block| block.len() as u64).collect();
        Self { incidence: Incidence::of(blocks.iter().flatten().copied()), block, sizes }
    }

    /// The number of its blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.sizes.len()
    }

    /// The estimate over all its blocks.
    #[must_use]
    pub fn incidence(&self) -> &Incidence {
        &self.incidence
    }

    /// The logarithms of quantiles `ps` (in rising order) when each block counts so many times.
    fn redrawn(&self, counts: &[u64], ps: &[f64]) -> Vec<Option<f64>> {
        let mut walk = Walk::new(counts.iter().zip(&self.sizes).map(|(count, size)| count * size).sum());
        let mut found = Vec::with_capacity(ps.len());
        for one in self.incidence.ranked() {
            walk.step(one.end, counts[self.block[one.index as usize] as usize]);
            while one.end == End::Seen && found.len() < ps.len() && walk.has_reached(ps[found.len()]) {
                found.push(Some(ln(one.ns)));
            }
            if found.len() == ps.len() {
                break;
            }
        }
        found.resize(ps.len(), None);
        found
    }
}

/// For each quantile of `ps` (in rising order) the logarithm of candidate over base; `None` where one of the two does
/// not reach the quantile, or has fewer than two blocks.
///
/// # Panics
/// Paired arms have a different number of blocks, or `ps` is not in rising order.
#[must_use]
pub fn quantile_ratios(base: &Arm, candidate: &Arm, ps: &[f64], pairing: Pairing, seed: Seed) -> Vec<Option<Effect>> {
    assert!(ps.is_sorted(), "quantiles in rising order");
    let blocks = Blocks { base: base.blocks(), candidate: candidate.blocks(), pairing };
    let whole = |arm: &Arm| ps.iter().map(|p| arm.incidence.quantile_ns(*p).map(ln)).collect::<Vec<_>>();
    blocks.effects(
        &whole(base),
        &whole(candidate),
        |arm, counts| match arm {
            Side::Base => base.redrawn(counts, ps),
            Side::Candidate => candidate.redrawn(counts, ps),
        },
        seed,
    )
}

/// The share of the candidate less that of the base, from how many of how many were good in each block; `None` where an
/// arm has nothing or fewer than two blocks.
///
/// # Panics
/// Paired arms have a different number of blocks.
#[must_use]
pub fn share_difference(base: &[(u64, u64)], candidate: &[(u64, u64)], pairing: Pairing, seed: Seed) -> Option<Effect> {
    let share = |arm: &[(u64, u64)], counts: &[u64]| {
        let total = |of: fn(&(u64, u64)) -> u64| -> u64 {
            arm.iter().zip(counts).map(|(block, count)| of(block) * count).sum()
        };
        let (good, all) = (total(|block| block.0), total(|block| block.1));
        vec![(all > 0).then(|| good as f64 / all as f64)]
    };
    let blocks = Blocks { base: base.len(), candidate: candidate.len(), pairing };
    let whole = |arm: &[(u64, u64)]| share(arm, &vec![1; arm.len()]);
    let effects = blocks.effects(
        &whole(base),
        &whole(candidate),
        |side, counts| match side {
            Side::Base => share(base, counts),
            Side::Candidate => share(candidate, counts),
        },
        seed,
    );
    effects.into_iter().next().flatten()
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Base,
    Candidate,
}

/// What is drawn from.
#[derive(Debug, Clone, Copy)]
struct Blocks {
    base: usize,
    candidate: usize,
    pairing: Pairing,
}

impl Blocks {
    /// Candidate less base of each of several numbers: over all blocks, and redrawn.
    fn effects(
        self,
        base: &[Option<f64>],
        candidate: &[Option<f64>],
        redrawn: impl Fn(Side, &[u64]) -> Vec<Option<f64>>,
        seed: Seed,
    ) -> Vec<Option<Effect>> {
        if self.base < 2 || self.candidate < 2 {
            return vec![None; base.len()];
        }
        assert!(
            self.pairing == Pairing::Independent || self.base == self.candidate,
            "paired blocks are as many on either side"
        );
        let purposes = match self.pairing {
            Pairing::Paired => ["paired blocks"; 2],
            Pairing::Independent => ["base blocks", "candidate blocks"],
        };
        let draw = |side, blocks, purpose| -> Vec<_> {
            (0..DRAWS).map(|draw| redrawn(side, &counts(blocks, purpose, draw, seed))).collect()
        };
        let bases: Vec<_> = draw(Side::Base, self.base, purposes[0]);
        let candidates: Vec<_> = draw(Side::Candidate, self.candidate, purposes[1]);
        (0..base.len())
            .map(|at| {
                let base = Draws::new(base[at]?, self.base, bases.iter().map(|draw| draw[at]));
                let candidate = Draws::new(candidate[at]?, self.candidate, candidates.iter().map(|draw| draw[at]));
                Some(candidate.less(&base, self.pairing))
            })
            .collect()
    }
}

/// One arm's number over all its blocks and over each draw of them; what a draw does not reach is +∞.
struct Draws {
    whole: f64,
    drawn: Vec<f64>,
    freedom: f64,
}

impl Draws {
    fn new(whole: f64, blocks: usize, drawn: impl Iterator<Item = Option<f64>>) -> Self {
        let freedom = blocks as f64 - 1.0;
        let widen = (blocks as f64 / freedom).sqrt();
        let drawn = drawn.map(|one| one.map_or(f64::INFINITY, |one| whole + (one - whole) * widen)).collect();
        Self { whole, drawn, freedom }
    }

    fn less(&self, base: &Self, pairing: Pairing) -> Effect {
        let drawn = self.drawn.iter().zip(&base.drawn).map(|(candidate, base)| candidate - base);
        let freedom = match pairing {
            Pairing::Paired => self.freedom,
            Pairing::Independent => self.welch(base),
        };
        Effect::new(self.whole - base.whole, drawn.collect(), freedom)
    }

    /// Degrees of freedom of a difference of two that are independent (Welch, Biometrika 34 (1947) 28); the smaller of
    /// the two where a scatter is nil or unbounded.
    fn welch(&self, other: &Self) -> f64 {
        let (left, right) = (variance(&self.drawn), variance(&other.drawn));
        let freedom = (left + right).powi(2) / (left.powi(2) / self.freedom + right.powi(2) / other.freedom);
        if freedom.is_finite() { freedom } else { self.freedom.min(other.freedom) }
    }
}

/// How many times each of `blocks` blocks comes in one draw of as many.
fn counts(blocks: usize, purpose: &str, draw: u64, seed: Seed) -> Vec<u64> {
    let mut rng = seed.stream(purpose, draw);
    let mut counts = vec![0; blocks];
    for _ in 0..blocks {
        counts[below(blocks, &mut rng)] += 1;
    }
    counts
}

/// A number below `n`, each as likely as the next but for `n` in 2⁶⁴.
fn below(n: usize, rng: &mut Rng) -> usize {
    let product = u128::from(rng.next_u64()) * n as u128;
    usize::try_from(product >> 64).expect("below n")
}

/// The logarithm of a time; one of 0 ns counts as 1 ns.
fn ln(ns: u64) -> f64 {
    (ns.max(1) as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::Observation::{Failed, Seen};
    use super::*;
    use crate::stats::coverage::{Scenario, ratio_coverage};
    use crate::stats::effect::{Verdict, Worse};
    use proptest::prelude::*;

    /// Blocks of the mixture, each time that of a block times so many thousandths.
    fn arm(blocks: u64, size: u32, millis: impl Fn(u64) -> u64, seed: u64) -> Arm {
        let block = |at| {
            let mut draws = Scenario::Mixture.draw(size, &mut Seed(seed).stream("arm", at));
            for one in &mut draws {
                if let Seen(ns) = one {
                    *ns = *ns / 1_000 * millis(at);
                }
            }
            draws
        };
        Arm::new(&(0..blocks).map(block).collect::<Vec<_>>())
    }

    fn median_ratio(base: &Arm, candidate: &Arm, pairing: Pairing) -> Effect {
        let [Some(ref effect)] = quantile_ratios(base, candidate, &[0.5], pairing, Seed(1))[..] else {
            panic!("both arms have a median");
        };
        effect.clone()
    }

    #[test]
    fn an_arm_against_itself_is_the_same_for_certain_when_paired() {
        let base = arm(10, 50, |_| 1_000, 1);
        let effect = median_ratio(&base, &base, Pairing::Paired);
        assert_eq!(effect.interval(0.05), (0.0, 0.0));
        assert_eq!(effect.verdict(0.05, 0.05_f64.ln_1p(), Worse::Higher), Verdict::Same);
    }

    #[test]
    fn a_slower_arm_is_worse_and_a_quicker_one_better() {
        let (base, slower) = (arm(20, 100, |_| 1_000, 1), arm(20, 100, |_| 1_500, 2));
        let (up, down) =
            (median_ratio(&base, &slower, Pairing::Independent), median_ratio(&slower, &base, Pairing::Independent));
        assert!((up.estimate() - 1.5_f64.ln()).abs() < 0.1, "{up:?}");
        assert_eq!(up.verdict(0.01, 0.05, Worse::Higher), Verdict::Worse);
        assert_eq!(down.verdict(0.01, 0.05, Worse::Higher), Verdict::Better);
    }

    #[test]
    fn pairs_cancel_what_both_arms_met() {
        // Moments that differ tenfold in speed hide 20 % from whoever ignores the pairs.
        let moment = |at: u64| if at.is_multiple_of(2) { 1_000 } else { 10_000 };
        let (base, slower) = (arm(20, 100, moment, 1), arm(20, 100, |at| moment(at) * 6 / 5, 2));
        let width = |pairing| {
            let (low, high) = median_ratio(&base, &slower, pairing).interval(0.05);
            high - low
        };
        assert!(width(Pairing::Paired) < 0.7 * width(Pairing::Independent));
    }

    #[test]
    fn what_an_arm_may_never_reach_is_not_bounded() {
        let failing = |share: usize| -> Vec<Vec<Observation>> {
            let one = |i: usize| if i % 100 < share { Failed(1) } else { Seen(1_000 + i as u64) };
            (0..10).map(|block| (0..50).map(|i| one(block * 50 + i)).collect()).collect()
        };
        let (base, candidate) = (Arm::new(&failing(0)), Arm::new(&failing(49)));
        let effect = median_ratio(&base, &candidate, Pairing::Independent);
        assert!(effect.interval(0.05).1.is_infinite(), "{:?}", effect.interval(0.05));
        let never = Arm::new(&failing(60));
        assert_eq!(quantile_ratios(&base, &never, &[0.5], Pairing::Independent, Seed(1)), [None]);
    }

    #[test]
    fn one_block_says_nothing() {
        let (one, ten) = (arm(1, 50, |_| 1_000, 1), arm(10, 50, |_| 1_000, 1));
        assert_eq!(quantile_ratios(&one, &ten, &[0.5, 0.9], Pairing::Independent, Seed(1)), [None, None]);
        assert_eq!(share_difference(&[(1, 2)], &[(1, 2)], Pairing::Paired, Seed(1)), None);
    }

    #[test]
    fn the_error_of_a_share_is_that_of_its_blocks() {
        // Blocks of 100 with 90 ± 3 good: the mean of 30 has the standard error of 30 means, in closed form.
        let blocks = |seed: u64| -> Vec<(u64, u64)> {
            let mut rng = Seed(seed).stream("share", 0);
            (0..30).map(|_| (84 + below(13, &mut rng) as u64, 100)).collect()
        };
        let (base, candidate) = (blocks(1), blocks(2));
        let shares = |arm: &[(u64, u64)]| arm.iter().map(|(good, all)| *good as f64 / *all as f64).collect::<Vec<_>>();
        let closed = ((variance(&shares(&base)) + variance(&shares(&candidate))) / 30.0).sqrt();
        let effect = share_difference(&base, &candidate, Pairing::Independent, Seed(3)).expect("blocks");
        let (low, high) = effect.interval(0.05);
        let expected = 2.0 * crate::stats::normal::student_t(0.975, 58.0) * closed;
        assert!(((high - low) / expected - 1.0).abs() < 0.1, "{} against {expected}", high - low);
    }

    #[test]
    fn a_tenth_of_the_table_of_ratios_stays_in_bounds() {
        for (scenario, blocks, size, p) in [(Scenario::Mixture, 10, 20, 0.5), (Scenario::CutAtTheEnd, 10, 20, 0.8)] {
            let coverage = ratio_coverage(scenario, blocks, size, p, 30, Seed(4));
            let share = coverage.share().expect("some run gives an interval");
            assert!(share >= 0.83, "{scenario:?} p{p}: {coverage:?}");
        }
    }

    proptest! {
        #[test]
        fn redrawing_is_estimating_from_the_blocks_written_out(
            blocks in prop::collection::vec(prop::collection::vec((0_u64..50, 0_u8..4), 1..8), 2..6),
            counts in prop::collection::vec(0_u64..3, 6),
        ) {
            let blocks: Vec<Vec<_>> = blocks
                .into_iter()
                .map(|block| {
                    block.into_iter().map(|(ns, end)| match end {
                        0 => Failed(ns),
                        1 => Observation::Censored(ns),
                        _ => Seen(ns),
                    }).collect()
                })
                .collect();
            let written: Vec<_> = blocks
                .iter()
                .zip(&counts)
                .flat_map(|(block, count)| (0..*count).flat_map(|_| block.iter().copied()))
                .collect();
            let ps = [0.1, 0.5, 0.5, 0.9];
            let incidence = Incidence::new(&written);
            let expected: Vec<_> = ps.iter().map(|p| incidence.quantile_ns(*p).map(ln)).collect();
            prop_assert_eq!(Arm::new(&blocks).redrawn(&counts[..blocks.len()], &ps), expected);
        }
    }
}
