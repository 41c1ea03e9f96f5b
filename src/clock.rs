//! The only reader of time and the only sleeper.
//!
//! Time inside is `u64` nanoseconds since a run's origin, on tokio's clock: monotonic in real runs, and
//! pausable in tests. The origin is also placed on the wall clock and on the system's monotonic clock, so that
//! stamps can be held against another process's.

use std::pin::Pin;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, Sleep};

use crate::units;

/// A run's origin; copies of it all count from the same instant.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    wall_unix_ns: u64,
}

impl Clock {
    /// Starts counting now.
    #[must_use]
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), wall_unix_ns: units::ns(wall) }
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub fn now(&self) -> u64 {
        units::ns(self.origin.elapsed())
    }

    /// The origin on the wall clock, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn wall_unix_ns(&self) -> u64 {
        self.wall_unix_ns
    }

    /// Waits until the given nanosecond since the origin; returns at once when it has passed.
    pub async fn sleep_until(&self, at_ns: u64) {
        tokio::time::sleep_until(self.instant(at_ns)).await;
    }

    /// The instant that lies `at_ns` after the origin, for timers.
    #[must_use]
    pub fn instant(&self, at_ns: u64) -> Instant {
        // A deadline that no clock can hold is one that never comes: thirty years is tokio's own "far future".
        const FAR: std::time::Duration = std::time::Duration::from_secs(86_400 * 365 * 30);
        let after = std::time::Duration::from_nanos(at_ns).min(FAR);
        self.origin + after
    }
}

/// One timer for a deadline that mostly moves away: it is armed again only when it has rung too early, or when the
/// deadline has come closer, so that an event costs no timer operation.
#[derive(Debug)]
pub struct Timer {
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
    armed_ns: u64,
}

impl Timer {
    /// A timer for this instant, in nanoseconds since the clock's origin.
    #[must_use]
    pub fn new(clock: Clock, at_ns: u64) -> Self {
        Self { clock, sleep: Box::pin(tokio::time::sleep_until(clock.instant(at_ns))), armed_ns: at_ns }
    }

    /// Makes sure that the timer rings no later than `at_ns`.
    pub fn no_later_than(&mut self, at_ns: u64) {
        if at_ns < self.armed_ns {
            self.arm(at_ns);
        }
    }

    /// Sets the timer to this instant.
    pub fn arm(&mut self, at_ns: u64) {
        self.armed_ns = at_ns;
        self.sleep.as_mut().reset(self.clock.instant(at_ns));
    }

    /// Waits until it rings.
    pub async fn ring(&mut self) {
        self.sleep.as_mut().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn time_is_virtual_in_tests() {
        let clock = Clock::start();
        clock.sleep_until(250_000_000).await;
        assert_eq!(clock.now(), 250_000_000);
        tokio::time::advance(Duration::from_millis(20)).await;
        assert_eq!(clock.now(), 270_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_the_far_future_is_no_panic() {
        let clock = Clock::start();
        assert!(clock.instant(u64::MAX) > clock.instant(1));
    }
}
