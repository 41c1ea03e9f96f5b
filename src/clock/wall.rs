//! From the wall clock, which the kernel stamps with, to the run's clock.
//!
//! Pure: readings come in, instants come out. On Linux both clocks tick alike, so between two settings of the wall clock
//! their distance is constant, and every reading narrows it down. A reading that contradicts the ones before it shows
//! that the wall clock was set (a step), or that the clocks don't tick alike after all (drift): both are watched.

/// A change of the distance over this is a step, in nanoseconds; what is smaller is called drift.
const STEP_NS: i128 = 10_000;
/// Neither clock is read finer than to a nanosecond.
const ROUNDING_NS: i128 = 1;

/// One reading of the wall clock between two of the run's clock, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The run's clock just before.
    pub before_ns: u64,
    /// The wall clock, since the Unix epoch.
    pub wall_ns: u64,
    /// The run's clock just after.
    pub after_ns: u64,
}

/// What is known of the distance between the two clocks.
#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    /// The wall clock minus the run's clock lies between these.
    low_ns: i128,
    high_ns: i128,
    seen: Seen,
}

/// How the mapping has fared so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Readings taken.
    pub readings: u64,
    /// The largest error of any instant that was mapped so far, in nanoseconds, steps aside.
    pub error_ns_max: u64,
    /// How often the wall clock was set by more than 10 µs.
    pub steps: u64,
    /// The largest of those, either way, in nanoseconds.
    pub step_ns_max: u64,
    /// The sum of smaller changes, either way, in nanoseconds.
    pub drift_ns: u64,
}

impl Mapping {
    /// What one reading says.
    #[must_use]
    pub fn new(first: Reading) -> Self {
        let (low_ns, high_ns) = bounds(first);
        Self { low_ns, high_ns, seen: Seen { readings: 1, ..Seen::default() } }
    }

    /// Takes a further reading into account; says whether the wall clock has stepped since the one before it.
    pub fn observe(&mut self, reading: Reading) -> bool {
        let (low_ns, high_ns) = bounds(reading);
        self.seen.readings += 1;
        let apart_ns = (low_ns - self.high_ns).max(self.low_ns - high_ns);
        if apart_ns <= 0 {
            self.low_ns = self.low_ns.max(low_ns);
            self.high_ns = self.high_ns.min(high_ns);
            return false;
        }
        (self.low_ns, self.high_ns) = (low_ns, high_ns);
        let size_ns = u64::try_from(apart_ns).unwrap_or(u64::MAX);
        let is_step = apart_ns > STEP_NS;
        if is_step {
            self.seen.steps += 1;
            self.seen.step_ns_max = self.seen.step_ns_max.max(size_ns);
        } else {
            self.seen.drift_ns = self.seen.drift_ns.saturating_add(size_ns);
        }
        is_step
    }

    /// The run's clock when the wall clock showed `wall_ns`; what lies before the run's origin is set to it.
    pub fn map(&mut self, wall_ns: u64) -> u64 {
        self.seen.error_ns_max = self.seen.error_ns_max.max(self.error_ns());
        let offset_ns = self.low_ns + (self.high_ns - self.low_ns) / 2;
        u64::try_from((i128::from(wall_ns) - offset_ns).max(0)).unwrap_or(u64::MAX)
    }

    /// How far an instant that is mapped now can be off, in nanoseconds.
    #[must_use]
    pub fn error_ns(&self) -> u64 {
        u64::try_from((self.high_ns - self.low_ns + 1) / 2).unwrap_or(u64::MAX)
    }

    /// How the mapping has fared so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen
    }
}

/// Between which two values the distance lies according to one reading.
fn bounds(reading: Reading) -> (i128, i128) {
    let wall_ns = i128::from(reading.wall_ns);
    let (before_ns, after_ns) = (i128::from(reading.before_ns), i128::from(reading.after_ns));
    (wall_ns - after_ns.max(before_ns) - ROUNDING_NS, wall_ns - before_ns + ROUNDING_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EPOCH_NS: u64 = 1_800_000_000_000_000_000;

    fn reading(at_ns: u64, early_ns: u64, late_ns: u64, offset_ns: u64) -> Reading {
        Reading { before_ns: at_ns - early_ns, wall_ns: at_ns + offset_ns, after_ns: at_ns + late_ns }
    }

    proptest! {
        #[test]
        fn with_one_distance_an_instant_is_mapped_to_within_the_stated_error(
            readings in proptest::collection::vec((1_000u64..1_000_000_000, 0u64..500, 0u64..500_000), 1..50),
            at_ns in 0u64..2_000_000_000,
        ) {
            let all: Vec<_> = readings.iter().map(|&(at, early, late)| reading(at, early, late, EPOCH_NS)).collect();
            let mut mapping = Mapping::new(all[0]);
            for one in &all[1..] {
                prop_assert!(!mapping.observe(*one));
            }
            let error_ns = mapping.error_ns();
            prop_assert!(mapping.map(at_ns + EPOCH_NS).abs_diff(at_ns) <= error_ns + 1);
            let narrowest = all.iter().map(|one| one.after_ns - one.before_ns).min().unwrap_or(u64::MAX);
            prop_assert!(error_ns <= narrowest / 2 + 2, "as good as the best reading");
            let seen = mapping.seen();
            prop_assert_eq!((seen.steps, seen.drift_ns, seen.error_ns_max), (0, 0, error_ns));
        }
    }

    #[test]
    fn a_step_of_the_wall_clock_is_seen_and_followed_either_way() {
        let mut mapping = Mapping::new(reading(1_000, 20, 20, EPOCH_NS));
        let ahead = EPOCH_NS + 5_000_000_000;
        assert!(mapping.observe(reading(2_000, 20, 20, ahead)));
        assert!(mapping.map(ahead + 3_000).abs_diff(3_000) <= mapping.error_ns());
        assert!(mapping.observe(reading(4_000, 20, 20, EPOCH_NS)));
        assert!(mapping.map(EPOCH_NS + 5_000).abs_diff(5_000) <= mapping.error_ns());
        let seen = mapping.seen();
        assert_eq!((seen.readings, seen.steps, seen.drift_ns), (3, 2, 0));
        assert_eq!(seen.step_ns_max, 5_000_000_000 - 40 - 2, "as far as the readings prove it");
    }

    #[test]
    fn drift_is_followed_and_summed() {
        let mut mapping = Mapping::new(reading(1_000, 10, 10, EPOCH_NS));
        for second in 1..=10 {
            // 100 parts in a million, read once a millisecond: 100 ns each time.
            let offset_ns = EPOCH_NS + second * 100;
            assert!(!mapping.observe(reading(1_000 + second * 1_000_000, 10, 10, offset_ns)));
            assert!(mapping.map(offset_ns + 5_000).abs_diff(5_000) <= mapping.error_ns() + 100);
        }
        let seen = mapping.seen();
        assert_eq!(seen.steps, 0);
        assert!((700..=1_000).contains(&seen.drift_ns), "{seen:?}");
    }

    #[test]
    fn what_lies_before_the_origin_is_set_to_it() {
        let mut mapping = Mapping::new(reading(1_000, 10, 10, EPOCH_NS));
        assert_eq!(mapping.map(EPOCH_NS - 1_000_000_000), 0);
        assert_eq!(mapping.map(0), 0);
    }
}
