//! How dense a plan is at its densest, against how densely its starts were made.

use serde::{Deserialize, Serialize};

use super::certificate::ERROR_FLOOR_NS;

/// Within so many nanoseconds starts count as due at once: a millisecond, the least start lag that spoils a run.
const AT_ONCE_NS: u64 = ERROR_FLOOR_NS;
/// So many times as many starts due at once as were ever made are more than could be made. Less may be chance.
const TOO_DENSE_TIMES: u64 = 2;

/// The most starts within a millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// That were due.
    pub due: u64,
    /// That were made.
    pub made: u64,
}

impl Burst {
    /// The most of these instants that were due, and of these at which starts were made; in nanoseconds.
    #[must_use]
    pub fn of(due_ns: Vec<u64>, made_ns: Vec<u64>) -> Self {
        Self { due: densest(due_ns), made: densest(made_ns) }
    }

    /// Whether more were due at once than could be made: what was late then is the plan's doing, however fast the
    /// client is otherwise.
    #[must_use]
    pub fn is_too_dense(self) -> bool {
        self.due > self.made.saturating_mul(TOO_DENSE_TIMES)
    }
}

/// The most of these instants that lie within [`AT_ONCE_NS`] of each other.
fn densest(mut instants_ns: Vec<u64>) -> u64 {
    instants_ns.sort_unstable();
    let mut first = 0;
    let within = instants_ns.iter().enumerate().map(|(at, ns)| {
        while ns - instants_ns[first] >= AT_ONCE_NS {
            first += 1;
        }
        at + 1 - first
    });
    within.max().unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::NS_PER_MS;
    use proptest::prelude::*;

    #[test]
    fn starts_that_come_too_thick_are_told_from_a_client_that_stood_still() {
        // A thousand within a millisecond, made one every 30 µs.
        let burst = Burst::of((0..1_000).map(|at| at * 1_000).collect(), (0..1_000).map(|at| at * 30_000).collect());
        assert_eq!((burst, burst.is_too_dense()), (Burst { due: 1_000, made: 34 }, true));
        // One each millisecond, of which thirty had to wait for a pause to end.
        let due = (0..1_000).map(|at| at * NS_PER_MS);
        let made = due.clone().map(|ns| if ns < 30 * NS_PER_MS { 30 * NS_PER_MS + ns / 1_000 } else { ns });
        let pause = Burst::of(due.collect(), made.collect());
        assert_eq!((pause, pause.is_too_dense()), (Burst { due: 1, made: 31 }, false));
        assert_eq!(Burst::of(Vec::new(), Vec::new()), Burst { due: 0, made: 0 });
    }

    proptest! {
        #[test]
        fn the_densest_stretch_is_what_counting_finds(instants in prop::collection::vec(0..5 * AT_ONCE_NS, 0..60)) {
            let behind = |from: u64| instants.iter().filter(|ns| (from..from + AT_ONCE_NS).contains(ns)).count() as u64;
            prop_assert_eq!(densest(instants.clone()), instants.iter().map(|ns| behind(*ns)).max().unwrap_or(0));
        }
    }
}
