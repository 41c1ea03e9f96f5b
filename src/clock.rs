//! The only reader of time and the only sleeper.
//!
//! Time inside is `u64` nanoseconds since a run's origin, on tokio's clock: monotonic in real runs, and
//! pausable in tests. The origin is also placed on the wall clock and on the system's monotonic clock, so that
//! stamps can be held against another process's.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

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
