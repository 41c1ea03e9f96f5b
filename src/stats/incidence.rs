//! The cumulative incidence of an event: how many had seen it by a time, when some were cut off before they could and
//! some failed, after which it never comes (Aalen and Johansen, Scandinavian Journal of Statistics 5 (1978) 141).
//!
//! **A failure keeps its time.** Its value is +∞, but who was cut off at `t` is known not to have failed before `t`, so
//! their share goes to those who saw the event *or failed after `t`*. Putting failures at +∞ outright would hand a
//! part of it to those who had failed already, and understate every quantile's incidence. Without anything cut off
//! the time of a failure changes nothing, and the estimate is the plain quantile of [`rank`](super::rank) with
//! failures at +∞.

use super::ranking::{End, Ranked, Ranking};

/// Once something was cut off, an incidence is a sum that rounds: a quantile is reached when this part of an event
/// is all that is missing.
const SLACK: f64 = 1e-6;

/// What is known of one planned start's stamp; times in nanoseconds from its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// It was taken.
    Seen(u64),
    /// It might have come later than this: nobody waited longer.
    Censored(u64),
    /// It never comes: that was known at this time (0 for a start that was dropped).
    Failed(u64),
}

/// The estimate, walked along the order of time.
///
/// An event weighs S/Y, with S the share that has neither seen it nor failed and Y the number still there. Both fall in
/// step at an event and at a failure; so the weight changes only where someone is cut off, and between two such places
/// the incidence is a count over a constant: whole numbers as long as nobody was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// How many are still there.
    there: u64,
    /// How many events make an incidence of 1 at the present weight: Y/S.
    per_whole: f64,
    /// The incidence when the weight last changed.
    reached: f64,
    /// Events since.
    events: u64,
}

impl Walk {
    pub(super) fn new(total: u64) -> Self {
        Self { there: total, per_whole: total as f64, reached: 0.0, events: 0 }
    }

    /// Takes the next in order of time, `count` times.
    pub(super) fn step(&mut self, end: End, count: u64) {
        match end {
            End::Seen => self.events += count,
            End::Failed => {}
            End::Censored if count > 0 => {
                self.reached = self.incidence();
                self.events = 0;
                // With nobody left the weight no longer matters.
                if self.there > count {
                    self.per_whole *= (self.there - count) as f64 / self.there as f64;
                }
            }
            End::Censored => {}
        }
        self.there -= count;
    }

    pub(super) fn incidence(&self) -> f64 {
        self.reached + self.events as f64 / self.per_whole
    }

    /// What an event weighs now.
    pub(super) fn weight(&self) -> f64 {
        1.0 / self.per_whole
    }

    /// How many events after the last change of weight bring the incidence to `p`, at the present weight.
    fn events_to(&self, p: f64) -> u64 {
        // What rounding can add to a quantile of n values (see `rank`) and, once something was cut off, to a sum.
        let slack = if self.reached > 0.0 { SLACK } else { 0.0 };
        let exact = (p - self.reached) * self.per_whole * (1.0 - 4.0 * f64::EPSILON) - slack;
        #[expect(clippy::cast_possible_truncation, reason = "saturates; an incidence is reached by at most n events")]
        (exact.max(0.0).ceil() as u64)
    }

    /// Whether the incidence has reached `p`.
    pub(super) fn has_reached(&self, p: f64) -> bool {
        self.events > 0 && self.events >= self.events_to(p)
    }
}

/// The estimate for a whole sample, for many quantiles.
#[derive(Debug, Clone, PartialEq)]
pub struct Incidence {
    ranking: Ranking,
    /// Who did not see it, in order of time.
    unseen: Vec<Unseen>,
    /// Where the weight of an event changes.
    stretches: Vec<Stretch>,
    /// The incidence behind the last event.
    highest: f64,
}

/// One that failed or was cut off.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Unseen {
    /// Its place in the order of time.
    place: u32,
    /// Those before it that saw the event.
    seen_before: u32,
}

/// Events of one weight.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    /// The first of its events.
    first: usize,
    per_whole: f64,
    reached: f64,
}

impl Incidence {
    /// The estimate for these observations, in any order.
    #[must_use]
    pub fn new(observations: &[Observation]) -> Self {
        Self::of(observations.iter().copied())
    }

    /// The estimate for observations that are made as they are asked for, in any order.
    #[must_use]
    pub fn of(observations: impl Iterator<Item = Observation> + Clone) -> Self {
        let ranking = Ranking::new(observations);
        let mut walk = Walk::new(ranking.len() as u64);
        let (mut seen, mut unseen) = (0, Vec::new());
        let mut stretches = vec![Stretch { first: 0, per_whole: walk.per_whole, reached: 0.0 }];
        for (place, one) in (0_u32..).zip(ranking.iter()) {
            walk.step(one.end, 1);
            if one.end == End::Seen {
                seen += 1;
                continue;
            }
            unseen.push(Unseen { place, seen_before: seen });
            if one.end == End::Censored {
                let first = seen as usize;
                if stretches.last().is_some_and(|last| last.first == first) {
                    stretches.pop();
                }
                stretches.push(Stretch { first, per_whole: walk.per_whole, reached: walk.reached });
            }
        }
        Self { unseen, stretches, highest: walk.incidence(), ranking }
    }

    /// How many observations there are.
    pub(super) fn total(&self) -> usize {
        self.ranking.len()
    }

    /// The observations in order of time.
    pub fn observations(&self) -> impl Iterator<Item = Observation> {
        self.ranking.iter().map(|one| match one.end {
            End::Seen => Observation::Seen(one.ns),
            End::Failed => Observation::Failed(one.ns),
            End::Censored => Observation::Censored(one.ns),
        })
    }

    /// The observations in order of time, with their places in the order of start.
    pub(super) fn ranked(&self) -> impl Iterator<Item = Ranked> {
        self.ranking.iter()
    }

    /// How many saw the event.
    fn seen(&self) -> usize {
        self.ranking.len() - self.unseen.len()
    }

    /// When the one of this place among those that saw the event did.
    fn seen_ns(&self, place: usize) -> u64 {
        let unseen_before = self.unseen.partition_point(|one| one.seen_before as usize <= place);
        self.ranking.ns(place + unseen_before)
    }

    /// The time by which a share `p` of all had seen it, in nanoseconds: the earliest seen time whose incidence is at
    /// least `p`. `None` when the incidence never reaches `p`.
    ///
    /// # Panics
    /// `p` is not within [0, 1].
    #[must_use]
    pub fn quantile_ns(&self, p: f64) -> Option<u64> {
        assert!((0.0..=1.0).contains(&p), "a quantile lies within [0, 1], not at {p}");
        // Rounding may have left the sum a little under a `p` that the stretch before reaches.
        let behind = self.stretches.partition_point(|stretch| stretch.reached + SLACK / stretch.per_whole < p);
        (behind.saturating_sub(1)..self.stretches.len()).find_map(|at| {
            let Stretch { first, per_whole, reached } = self.stretches[at];
            let end = self.stretches.get(at + 1).map_or(self.seen(), |next| next.first);
            let walk = Walk { there: 0, per_whole, reached, events: 0 };
            let needed = usize::try_from(walk.events_to(p).max(1)).unwrap_or(usize::MAX);
            (needed <= end - first).then(|| self.seen_ns(first + needed - 1))
        })
    }

    /// The share that had seen it by this time.
    #[must_use]
    pub fn at(&self, ns: u64) -> f64 {
        let until = self.ranking.until(ns);
        let seen = until - self.unseen.partition_point(|one| (one.place as usize) < until);
        let at = self.stretches.partition_point(|stretch| stretch.first < seen).saturating_sub(1);
        let Stretch { first, per_whole, reached } = self.stretches[at];
        reached + (seen - first) as f64 / per_whole
    }

    /// The share that ever sees it: the quantiles above have no number.
    #[must_use]
    pub fn highest(&self) -> f64 {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::Observation::{Censored, Failed, Seen};
    use super::*;
    use crate::stats::rank::weighted_quantile;
    use proptest::prelude::*;

    /// Efron's redistribution to the right: each starts with 1/n; who is cut off leaves its share to all who are still
    /// there. For two or more fates it is the same estimate, and it holds no formula in common with the walk.
    fn redistributed(observations: &[Observation]) -> Vec<(u64, f64)> {
        let ranked: Vec<_> = Ranking::new(observations.iter().copied()).iter().collect();
        let mut shares = vec![1.0 / ranked.len() as f64; ranked.len()];
        let mut incidence = Vec::new();
        let mut reached = 0.0;
        for (at, one) in ranked.iter().enumerate() {
            match one.end {
                End::Seen => {
                    reached += shares[at];
                    incidence.push((one.ns, reached));
                }
                End::Failed => {}
                End::Censored => {
                    let heirs = ranked.len() - at - 1;
                    let left = shares[at] / heirs as f64;
                    shares[at + 1..].iter_mut().for_each(|share| *share += left);
                }
            }
        }
        incidence
    }

    #[test]
    fn nothing_observed_reaches_nothing() {
        let nothing = Incidence::new(&[]);
        assert_eq!(nothing.quantile_ns(0.5), None);
        assert_eq!(Incidence::new(&[Failed(3), Censored(2)]).quantile_ns(0.0), None);
    }

    #[test]
    fn a_quantile_is_reached_by_a_sum_that_is_equal_to_it_but_for_rounding() {
        // 2/18 at 0; then 14/18 over 12 still there at 25, of whom 6 see it: a half in all.
        let twice =
            [Seen(0), Failed(0), Censored(25), Seen(26), Failed(26), Seen(27), Seen(27), Failed(27), Censored(27)];
        assert_eq!(Incidence::new(&[twice, twice].concat()).quantile_ns(0.5), Some(27));
    }

    #[test]
    fn failures_are_never_reached() {
        let incidence = Incidence::new(&[Seen(10), Failed(1), Seen(20), Failed(99)]);
        assert_eq!(incidence.quantile_ns(0.25), Some(10));
        assert_eq!(incidence.quantile_ns(0.5), Some(20));
        assert_eq!(incidence.quantile_ns(0.51), None);
        assert!((incidence.highest() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn who_was_cut_off_is_shared_out_among_those_still_there_and_not_among_those_who_had_failed() {
        // Cut off at 2, when only two others were left, and both saw it: so would this one have.
        let incidence = Incidence::new(&[Failed(1), Censored(2), Seen(3), Seen(4)]);
        assert!((incidence.at(3) - 0.375).abs() < 1e-12);
        assert!((incidence.highest() - 0.75).abs() < 1e-12, "with the failure at +∞ it would be 2/3");
        // Had it failed later, it would have been there to share.
        let later = Incidence::new(&[Failed(9), Censored(2), Seen(3), Seen(4)]);
        assert!((later.highest() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn who_is_cut_off_at_an_instant_was_there_for_what_happened_at_it() {
        let incidence = Incidence::new(&[Censored(5), Seen(5), Seen(6), Failed(5)]);
        assert!((incidence.at(5) - 0.25).abs() < 1e-12);
        assert!((incidence.highest() - 0.75).abs() < 1e-12);
    }

    fn observations(censored: u32) -> impl Strategy<Value = Vec<Observation>> {
        let one = prop_oneof![
            4 => (0_u64..40).prop_map(Seen),
            1 => (0_u64..40).prop_map(Failed),
            censored => (0_u64..40).prop_map(Censored),
        ];
        prop::collection::vec(one, 1..60)
    }

    proptest! {
        #[test]
        fn without_anything_cut_off_it_is_the_plain_quantile(all in observations(0), permille in 0_u32..=1_000) {
            let mut counts: Vec<_> =
                all.iter().map(|one| (if let Seen(ns) = one { *ns } else { u64::MAX }, 1)).collect();
            counts.sort_unstable();
            let p = f64::from(permille) / 1_000.0;
            let plain = weighted_quantile(&counts, p).filter(|ns| *ns < u64::MAX);
            prop_assert_eq!(Incidence::new(&all).quantile_ns(p), plain);
        }

        #[test]
        fn it_is_what_redistribution_to_the_right_gives(all in observations(2), permille in 1_u32..1_000) {
            let (incidence, naive) = (Incidence::new(&all), redistributed(&all));
            for ns in 0..=40 {
                let expected = naive.iter().rev().find(|(seen, _)| *seen <= ns).map_or(0.0, |(_, share)| *share);
                prop_assert!((incidence.at(ns) - expected).abs() < 1e-12, "{} against {expected}", incidence.at(ns));
            }
            let p = f64::from(permille) / 1_000.0;
            let expected = naive.iter().find(|(_, share)| *share >= p - 1e-9).map(|(ns, _)| *ns);
            prop_assert_eq!(incidence.quantile_ns(p), expected);
        }

        #[test]
        fn walking_with_counts_is_walking_the_observations_written_out(
            all in prop::collection::vec((observations(2).prop_map(|all| all[0]), 0_u64..4), 1..40),
            permille in 1_u32..1_000,
        ) {
            let p = f64::from(permille) / 1_000.0;
            let written: Vec<_> = all.iter().flat_map(|(one, count)| (0..*count).map(|_| *one)).collect();
            let mut walk = Walk::new(written.len() as u64);
            let reached = Ranking::new(all.iter().map(|(one, _)| *one)).iter().find(|one| {
                walk.step(one.end, all[one.index as usize].1);
                one.end == End::Seen && walk.has_reached(p)
            });
            prop_assert_eq!(reached.map(|one| one.ns), Incidence::new(&written).quantile_ns(p));
        }
    }
}
