//! When the starts of an open load happen: a pure function of law, seed and index.
//!
//! Arrivals are made in operational time, in which one comes per unit on average, and are brought to the clock by the
//! inverse of the expected count Λ(t) = ∫ rate. A Poisson process stays a true one under any rate that way (time
//! rescaling; Çinlar 1975, ch. 4.7), and a constant law starts number i exactly when Λ reaches i. Nothing is rescaled
//! to a count, and no instant depends on when the one before it was really made.

use std::ops::RangeInclusive;
use std::sync::Arc;

use thiserror::Error;

use crate::seed::{Rng, Seed, normal, unit};
use crate::units::Rate;

/// How starts lie around their rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrival {
    /// Evenly.
    Constant,
    /// Independently of each other, as users come.
    Poisson,
    /// In gamma distributed gaps: clumped when `shape` is under 1, a Poisson process at 1, evener above.
    Gamma {
        /// The distribution's shape, within [`SHAPES`]; the squared coefficient of variation of the gaps is 1/shape.
        shape: f64,
    },
}

/// The shapes that gamma distributed gaps can have. Below, gaps vary by more than ten times their mean, so that nearly
/// all starts of a run would come at once; above, they are as even as constant ones to the last digit that counts.
pub const SHAPES: RangeInclusive<f64> = 0.01..=1e6;

/// A stretch of time in which the rate goes from one value to another in a straight line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The rate at its beginning.
    pub from: Rate,
    /// The rate at its end.
    pub to: Rate,
    /// Its length, in nanoseconds.
    pub length_ns: u64,
}

/// Where the instants come from.
#[derive(Debug, Clone, PartialEq)]
enum Law {
    /// One rate, without end.
    Steady(Rate, Arrival),
    /// A rate that changes, to its last stretch's end.
    Changing(Arc<[Stretch]>, Arrival),
    /// So many at once, every so often.
    Bursts { size: u64, every_ns: u64 },
    /// These very instants.
    Trace(Arc<[u64]>),
}

/// The law by which the starts of an open load come.
#[derive(Debug, Clone, PartialEq)]
pub struct Pacer {
    law: Law,
    seed: Seed,
}

/// Why there is no such load.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// A rate of 0.
    #[error("a rate of 0 never starts anything")]
    NoRate,
    /// A shape that is none.
    #[error("gamma distributed gaps need a shape from {} to {}", SHAPES.start(), SHAPES.end())]
    NoShape,
    /// No stretch has a length.
    #[error("it takes no time, so that it never starts anything")]
    NoLength,
    /// No rate in any stretch.
    #[error("its rate is 0 throughout, so that it never starts anything")]
    NeverStarts,
    /// Bursts of nothing, or without a distance.
    #[error("bursts need a size and a distance over 0")]
    NoBurst,
    /// A trace without instants.
    #[error("it has no instants")]
    EmptyTrace,
    /// An instant before the one before it.
    #[error("it goes back in time at instant {at} (counted from 1): {now_ns} ns after {before_ns} ns")]
    BackInTime {
        /// Which one, from 1.
        at: usize,
        /// It, in nanoseconds.
        now_ns: u64,
        /// The one before it, in nanoseconds.
        before_ns: u64,
    },
}

impl Pacer {
    /// One rate, without end.
    ///
    /// # Errors
    /// The rate is 0, or the arrival's shape is none.
    pub fn steady(rate: Rate, arrival: Arrival, seed: Seed) -> Result<Self, Error> {
        checked(arrival)?;
        if rate.is_zero() {
            return Err(Error::NoRate);
        }
        Ok(Self { law: Law::Steady(rate, arrival), seed })
    }

    /// A rate that changes, stretch by stretch; the load ends with the last one.
    ///
    /// # Errors
    /// No stretch has both a length and a rate, or the arrival's shape is none.
    pub fn changing(stretches: &[Stretch], arrival: Arrival, seed: Seed) -> Result<Self, Error> {
        checked(arrival)?;
        if stretches.iter().all(|stretch| stretch.length_ns == 0) {
            return Err(Error::NoLength);
        }
        if stretches.iter().all(|stretch| stretch.parts() == 0) {
            return Err(Error::NeverStarts);
        }
        Ok(Self { law: Law::Changing(stretches.into(), arrival), seed })
    }

    /// `size` starts at once, every `every_ns` nanoseconds, without end.
    ///
    /// # Errors
    /// One of the two is 0.
    pub fn bursts(size: u64, every_ns: u64) -> Result<Self, Error> {
        if size == 0 || every_ns == 0 {
            return Err(Error::NoBurst);
        }
        Ok(Self { law: Law::Bursts { size, every_ns }, seed: Seed(0) })
    }

    /// These instants, in nanoseconds since the load's start.
    ///
    /// # Errors
    /// There is none, or one lies before the one before it.
    pub fn trace(instants_ns: &[u64]) -> Result<Self, Error> {
        if instants_ns.is_empty() {
            return Err(Error::EmptyTrace);
        }
        match instants_ns.windows(2).position(|pair| pair[1] < pair[0]) {
            Some(at) => Err(Error::BackInTime { at: at + 2, now_ns: instants_ns[at + 1], before_ns: instants_ns[at] }),
            None => Ok(Self { law: Law::Trace(instants_ns.into()), seed: Seed(0) }),
        }
    }

    /// The same law, its random gaps drawn from another seed.
    #[must_use]
    pub fn seeded(&self, seed: Seed) -> Self {
        match self.law {
            Law::Steady(..) | Law::Changing(..) => Self { law: self.law.clone(), seed },
            Law::Bursts { .. } | Law::Trace(_) => self.clone(),
        }
    }

    /// When the law itself ends, in nanoseconds since the load's start; none when it goes on without end.
    #[must_use]
    pub fn end_ns(&self) -> Option<u64> {
        match &self.law {
            Law::Steady(..) | Law::Bursts { .. } => None,
            Law::Changing(stretches, _) => Some(stretches.iter().map(|stretch| stretch.length_ns).sum()),
            // The last instant is a start of its own.
            Law::Trace(instants) => instants.last().map(|last| last.saturating_add(1)),
        }
    }

    /// How many starts are expected before `until_ns` (nanoseconds since the load's start).
    #[must_use]
    pub fn expected(&self, until_ns: u64) -> f64 {
        match &self.law {
            Law::Steady(rate, _) => rate.per_ns() * until_ns as f64,
            Law::Changing(stretches, _) => {
                let mut left_ns = until_ns;
                let within = |stretch: &Stretch| {
                    let part_ns = left_ns.min(stretch.length_ns);
                    left_ns -= part_ns;
                    stretch.expected_until(part_ns as f64)
                };
                stretches.iter().map(within).sum()
            }
            Law::Bursts { size, every_ns } => *size as f64 * until_ns.div_ceil(*every_ns) as f64,
            Law::Trace(instants) => instants.partition_point(|at| *at < until_ns) as f64,
        }
    }

    /// What the law is, as numbers that tell laws apart: the same in every version.
    #[must_use]
    pub fn facts(&self) -> Vec<u64> {
        let arrival = |arrival: Arrival| match arrival {
            Arrival::Constant => [0, 0],
            Arrival::Poisson => [1, 0],
            Arrival::Gamma { shape } => [2, shape.to_bits()],
        };
        match &self.law {
            Law::Steady(rate, way) => [&[0, self.seed.0][..], &arrival(*way), &rate.parts()].concat(),
            Law::Changing(stretches, way) => {
                let parts = stretches.iter().flat_map(|stretch| {
                    [stretch.from.parts(), stretch.to.parts()].concat().into_iter().chain([stretch.length_ns])
                });
                [1, self.seed.0].into_iter().chain(arrival(*way)).chain(parts).collect()
            }
            Law::Bursts { size, every_ns } => vec![2, *size, *every_ns],
            Law::Trace(instants) => [&[3][..], instants].concat(),
        }
    }

    /// The instants in order, in nanoseconds since the load's start. The same pacer gives the same ones each time.
    #[must_use]
    pub fn starts(&self) -> Starts {
        Starts {
            law: self.law.clone(),
            rng: self.seed.stream("arrivals", 0),
            index: 0,
            operational: 0.0,
            at: 0,
            before: Before::default(),
        }
    }
}

fn checked(arrival: Arrival) -> Result<(), Error> {
    match arrival {
        Arrival::Gamma { shape } if !SHAPES.contains(&shape) => Err(Error::NoShape),
        _ => Ok(()),
    }
}

/// The parts that one start is counted in: so fine that any stretch of any rate has a whole number of them. With floats
/// for a count, the sum over many stretches would be off by a little, and a start that is due at the very end, which
/// belongs to the load no more, would come just before it.
const PARTS: u128 = 2 * DAY_S * 1_000_000_000_000_000_000;

/// A multiple of every time that a rate can be given over, in seconds.
const DAY_S: u128 = 86_400;

impl Stretch {
    /// How many starts it has on average, in [`PARTS`]; no run has as many as where it saturates, which is 10¹⁵.
    fn parts(&self) -> u128 {
        // A rate is so many thousand-millionths in so many seconds; half the sum of two is the mean of a straight line.
        let in_a_day = |rate: Rate| {
            let [nano, per_s] = rate.parts().map(u128::from);
            nano * (DAY_S / per_s)
        };
        (in_a_day(self.from) + in_a_day(self.to)).saturating_mul(u128::from(self.length_ns))
    }

    /// How many it has in its first `ns` nanoseconds.
    fn expected_until(&self, ns: f64) -> f64 {
        let (from, to) = (self.from.per_ns(), self.to.per_ns());
        if self.length_ns == 0 {
            return 0.0;
        }
        ns * (from + (to - from) * ns / (2.0 * self.length_ns as f64))
    }

    /// The last instant at which it has had `count` starts, in nanoseconds from its beginning.
    fn reaches(&self, count: f64) -> f64 {
        let (from, to) = (self.from.per_ns(), self.to.per_ns());
        // The root of the parabola in the form that loses no digits when the ramp is flat.
        let root = (from * from + 2.0 * count * (to - from) / self.length_ns as f64).max(0.0).sqrt();
        let at = if from + root > 0.0 { 2.0 * count / (from + root) } else { 0.0 };
        at.min(self.length_ns as f64)
    }
}

/// What lies before the stretch at hand.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    ns: u64,
    parts: u128,
}

/// The instants of a pacer, in order.
#[derive(Debug, Clone)]
pub struct Starts {
    law: Law,
    rng: Rng,
    index: u64,
    operational: f64,
    /// The stretch at hand.
    at: usize,
    before: Before,
}

impl Iterator for Starts {
    /// Nanoseconds since the load's start.
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let index = self.index;
        self.index += 1;
        match &self.law {
            Law::Steady(rate, Arrival::Constant) => Some(rate.instant_ns(index)),
            Law::Bursts { size, every_ns } => (index / size).checked_mul(*every_ns),
            Law::Trace(instants) => instants.get(usize::try_from(index).ok()?).copied(),
            Law::Steady(rate, arrival) => {
                let (rate, arrival) = (*rate, *arrival);
                self.advance(arrival, index);
                Some(whole(self.operational / rate.per_ns()))
            }
            Law::Changing(stretches, arrival) => {
                let (stretches, arrival) = (Arc::clone(stretches), *arrival);
                self.advance(arrival, index);
                let wanted = match arrival {
                    Arrival::Constant => u128::from(index).saturating_mul(PARTS),
                    Arrival::Poisson | Arrival::Gamma { .. } => whole_parts(self.operational * PARTS as f64),
                };
                self.on_the_clock(wanted, &stretches)
            }
        }
    }
}

impl Starts {
    /// On to arrival number `index` in operational time.
    fn advance(&mut self, arrival: Arrival, index: u64) {
        match arrival {
            Arrival::Constant => self.operational = index as f64,
            Arrival::Poisson => self.operational += exponential(&mut self.rng),
            Arrival::Gamma { shape } => self.operational += gamma(shape, &mut self.rng),
        }
    }

    /// The latest instant by which no more than `wanted` parts of starts were expected.
    fn on_the_clock(&mut self, wanted: u128, stretches: &[Stretch]) -> Option<u64> {
        loop {
            let stretch = stretches.get(self.at)?;
            let (parts, within) = (stretch.parts(), wanted.saturating_sub(self.before.parts));
            if within < parts {
                return Some(self.before.ns + whole(stretch.reaches(within as f64 / PARTS as f64)));
            }
            self.before.ns += stretch.length_ns;
            self.before.parts = self.before.parts.saturating_add(parts);
            self.at += 1;
        }
    }
}

/// The nearest nanosecond; what no `u64` holds becomes its end.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates, which is meant")]
fn whole(ns: f64) -> u64 {
    ns.round() as u64
}

/// The nearest whole number of parts; what is too large becomes the largest.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates, which is meant")]
fn whole_parts(parts: f64) -> u128 {
    parts.round() as u128
}

/// An exponentially distributed number of mean 1, by inversion.
fn exponential(rng: &mut Rng) -> f64 {
    -libm::log(1.0 - unit(rng))
}

/// A gamma distributed number of mean 1 (Marsaglia & Tsang 2000, with their boost for a shape under 1).
fn gamma(shape: f64, rng: &mut Rng) -> f64 {
    if shape < 1.0 {
        let boost = libm::pow(1.0 - unit(rng), 1.0 / shape);
        return gamma_from_one(shape + 1.0, rng) * boost / shape;
    }
    gamma_from_one(shape, rng) / shape
}

/// A gamma distributed number of scale 1 and a shape of at least 1.
fn gamma_from_one(shape: f64, rng: &mut Rng) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let root = 1.0 + c * x;
        let v = root * root * root;
        if v > 0.0 && libm::log(1.0 - unit(rng)) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests;
