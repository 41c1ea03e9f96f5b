//! The capacity that follows from a script's own figures, so that a measured load line can be held against a known one.
//!
//! Pure arithmetic. Times are in nanoseconds, as floats, since they are means. The wait in front of the slots is that
//! of the M/G/c queue (Poisson arrivals, general service times, c slots) by Lee and Longton's approximation (1959):
//! the exact wait of M/M/c (Erlang C) times (1 + C²)/2, with C the coefficient of variation of the service time.

use super::{Distribution, Scale, Script};
use crate::units::NS_PER_S;

/// A mean and a variance.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    /// The mean, in nanoseconds.
    pub mean_ns: f64,
    /// The variance, in nanoseconds squared.
    pub variance: f64,
}

impl Moments {
    fn of(distribution: &Distribution, factor: f64) -> Self {
        Self { mean_ns: distribution.mean() * factor, variance: distribution.variance() * factor * factor }
    }

    /// The sum of two that don't depend on each other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { mean_ns: self.mean_ns + other.mean_ns, variance: self.variance + other.variance }
    }

    /// The sum of a random number of these: its mean is E[N]·E[X], its variance E[N]·Var[X] + Var[N]·E[X]².
    fn summed(self, count_mean: f64, count_variance: f64) -> Self {
        Self {
            mean_ns: count_mean * self.mean_ns,
            variance: count_mean * self.variance + count_variance * self.mean_ns * self.mean_ns,
        }
    }

    /// The standard deviation, in nanoseconds.
    #[must_use]
    pub fn deviation_ns(self) -> f64 {
        self.variance.sqrt()
    }

    /// The squared coefficient of variation.
    #[must_use]
    pub fn variation_squared(self) -> f64 {
        if self.mean_ns > 0.0 { self.variance / (self.mean_ns * self.mean_ns) } else { 0.0 }
    }
}

/// What a script's figures come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// From the request to `executing`, without any wait for a slot.
    pub before: Moments,
    /// On a slot, from `executing` to the first chunk.
    pub to_first_chunk: Moments,
    /// On a slot, from `executing` to `task_finished`, when nobody else is there.
    pub service: Moments,
    /// How many tasks execute at a time; no limit when absent.
    pub slots: Option<u32>,
    /// By what share a task takes longer when all slots are busy.
    pub stretch: f64,
}

impl Capacity {
    /// The figures of a script under these factors.
    #[must_use]
    pub fn of(script: &Script, scale: Scale) -> Self {
        let time = |distribution: &Distribution, factor: f64| Moments::of(distribution, factor * scale.time);
        let before =
            Moments::of(&script.headers, 1.0).and(time(&script.created, 1.0)).and(time(&script.queue, scale.queue));
        let steps = Moments::of(&script.think_steps, scale.think_steps);
        let mut to_first_chunk = time(&script.think, scale.think).summed(steps.mean_ns, steps.variance);
        for tool in &script.tools {
            let calls = &tool.calls;
            // The number of calls is B·N, with B one or nothing: its second moment is p·E[N²].
            let mean = tool.probability * calls.mean();
            let square = tool.probability * (calls.variance() + calls.mean() * calls.mean());
            to_first_chunk = to_first_chunk.and(time(&tool.time, scale.tool).summed(mean, square - mean * mean));
        }
        for agent in &script.sub_agents {
            let p = agent.probability;
            to_first_chunk = to_first_chunk.and(time(&agent.time, 1.0).summed(p, p * (1.0 - p)));
        }
        let chunks = Moments::of(&script.chunks, scale.chunks);
        if chunks.mean_ns > 0.0 {
            to_first_chunk = to_first_chunk.and(time(&script.first_chunk, scale.first_chunk));
        }
        let gaps = time(&script.gap, scale.gap).summed((chunks.mean_ns - 1.0).max(0.0), chunks.variance);
        let service = to_first_chunk.and(gaps).and(time(&script.closing, scale.closing));
        Self { before, to_first_chunk, service, slots: script.service.slots, stretch: script.service.stretch }
    }

    /// Invocations a second that the slots take at most, all of them busy; none without a limit.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        let busy_ns = self.service.mean_ns * (1.0 + self.stretch);
        self.slots.filter(|_| busy_ns > 0.0).map(|slots| f64::from(slots) * NS_PER_S as f64 / busy_ns)
    }

    /// The mean wait for a slot at this share of the capacity (0 to 1), in nanoseconds; none without a limit, and none
    /// where the service stretches with its load, for which the formula does not hold.
    #[must_use]
    pub fn wait_ns(&self, utilisation: f64) -> Option<f64> {
        let slots = self.slots.filter(|_| self.stretch <= 0.0)?;
        let queued = erlang_c(slots, utilisation) / (f64::from(slots) * (1.0 - utilisation));
        Some(queued * self.service.mean_ns * f64::midpoint(1.0, self.service.variation_squared()))
    }
}

/// The probability that an arrival of M/M/c has to wait (Erlang 1917), by the recursion of Erlang B, which does not
/// overflow.
fn erlang_c(slots: u32, utilisation: f64) -> f64 {
    let load = f64::from(slots) * utilisation;
    let blocked = (1..=slots).fold(1.0, |blocked, slot| load * blocked / (f64::from(slot) + load * blocked));
    blocked / (1.0 - utilisation * (1.0 - blocked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(text: &str) -> Capacity {
        let script = Script::parse("x.toml", &format!("why = \"a test\"\n{text}")).expect("a valid script");
        Capacity::of(&script, Scale::default())
    }

    #[test]
    fn the_wait_of_known_queues_comes_out() {
        // M/M/1: E[W] = ρ/(1 − ρ)·E[S].
        let exponential = capacity("first_chunk = { exponential = \"1s\" }\nchunks = 1\nservice = { slots = 1 }");
        assert!((exponential.wait_ns(0.8).expect("a limit") / 4e9 - 1.0).abs() < 1e-9);
        // M/D/1: half of that (Pollaczek–Khinchine).
        let constant = capacity("first_chunk = \"1s\"\nchunks = 1\nservice = { slots = 1 }");
        assert!((constant.wait_ns(0.8).expect("a limit") / 2e9 - 1.0).abs() < 1e-9);
        // M/M/2 at ρ = 0.75: the probability to wait is 9/14.
        assert!((erlang_c(2, 0.75) - 9.0 / 14.0).abs() < 1e-12);
        assert!(erlang_c(10_000, 0.99).is_finite());
    }

    #[test]
    fn the_capacity_is_slots_by_the_mean_service_time() {
        let plain = capacity("chunks = 36\nservice = { slots = 8 }");
        assert!((plain.service.mean_ns - 950e6).abs() < 1.0 && plain.service.deviation_ns() < 1e-3);
        assert!((plain.per_second().expect("a limit") - 8.0 / 0.95).abs() < 1e-9);
        let stretched = capacity("chunks = 36\nservice = { slots = 8, stretch = 1.0 }");
        assert!((stretched.per_second().expect("a limit") - 4.0 / 0.95).abs() < 1e-9);
        assert_eq!((stretched.wait_ns(0.5), capacity("").per_second()), (None, None));
    }

    #[test]
    fn sums_of_a_random_number_have_their_mean_and_variance() {
        // Half of all invocations call a tool twice, one second each: 1 s in the mean, 1 s² of variance.
        let tools = capacity("chunks = 0\ntool = [{ name = \"t\", probability = 0.5, calls = 2, time = \"1s\" }]");
        assert!((tools.service.mean_ns - 1e9).abs() < 1.0);
        assert!((tools.service.variance / 1e18 - 1.0).abs() < 1e-9);
    }
}
