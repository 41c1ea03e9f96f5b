//! The only reader of time and the only sleeper.
//!
//! Time inside is `u64` nanoseconds since a run's origin. In real runs it is the system's monotonic clock, and sleepers
//! are woken by a timer much finer than tokio's millisecond (`sleeper`); where tokio's time is paused, as in tests, it
//! is tokio's, and virtual time stays exact. The origin is also placed on the wall clock and on the system's monotonic
//! clock, so that stamps can be held against another process's.

#[cfg(target_os = "linux")]
mod deadlines;
mod sleep;
#[cfg(target_os = "linux")]
mod sleeper;
mod timer;
mod turn;
pub mod wall;

pub use sleep::Sleep;
pub use timer::Timer;
pub use turn::watch_turns;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::units;

/// A run's origin; copies of it all count from the same instant.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    source: Source,
    wall_unix_ns: u64,
}

/// What a clock counts on.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// The system's monotonic clock, from this reading of it on.
    #[cfg(target_os = "linux")]
    Monotonic { origin_ns: u64 },
    /// tokio's clock, from this instant on: it can be paused.
    Tokio { origin: Instant },
}

impl Clock {
    /// Starts counting now.
    ///
    /// Whether time is virtual is decided here: in a runtime whose time is paused, all that this clock does follows
    /// the paused time.
    #[must_use]
    pub fn start() -> Self {
        #[cfg(target_os = "linux")]
        if !is_paused() {
            let before_ns = monotonic_ns();
            let wall_unix_ns = wall_unix_ns();
            // The middle of the two readings, so that both origins are the same instant to some ten nanoseconds.
            let origin_ns = before_ns.midpoint(monotonic_ns());
            return Self { source: Source::Monotonic { origin_ns }, wall_unix_ns };
        }
        Self { source: Source::Tokio { origin: Instant::now() }, wall_unix_ns: wall_unix_ns() }
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub fn now(&self) -> u64 {
        match self.source {
            #[cfg(target_os = "linux")]
            Source::Monotonic { origin_ns } => monotonic_ns() - origin_ns,
            Source::Tokio { origin } => units::ns(origin.elapsed()),
        }
    }

    /// The origin on the wall clock, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn wall_unix_ns(&self) -> u64 {
        self.wall_unix_ns
    }

    /// The origin on the system's monotonic clock (`CLOCK_MONOTONIC`), in nanoseconds; none where time is virtual or
    /// the platform does not share that clock between processes.
    #[must_use]
    pub fn monotonic_ns(&self) -> Option<u64> {
        match self.source {
            #[cfg(target_os = "linux")]
            Source::Monotonic { origin_ns } => Some(origin_ns),
            Source::Tokio { .. } => None,
        }
    }

    /// One reading of the wall clock between two of this one; none where time is virtual or the platform's wall clock
    /// is not what the kernel stamps with.
    #[must_use]
    pub fn reading(&self) -> Option<wall::Reading> {
        self.monotonic_ns()?;
        Some(wall::Reading { before_ns: self.now(), wall_ns: wall_unix_ns(), after_ns: self.now() })
    }

    /// The earliest at which something that the current turn of the worker's loop was woken for can have happened,
    /// in nanoseconds; none when the runtime's turns are not watched ([`watch_turns`]).
    #[must_use]
    pub fn turn_earliest_ns(&self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        if let Source::Monotonic { origin_ns } = self.source {
            return turn::earliest_ns().map(|at_ns| at_ns.saturating_sub(origin_ns));
        }
        None
    }

    /// Waits until the given nanosecond since the origin; returns at once when it has passed.
    pub fn sleep_until(&self, at_ns: u64) -> Sleep {
        match self.source {
            #[cfg(target_os = "linux")]
            Source::Monotonic { origin_ns } => Sleep::fine(origin_ns.saturating_add(at_ns)),
            Source::Tokio { origin } => Sleep::coarse(instant(origin, at_ns)),
        }
    }
}

/// The instant that lies `after_ns` after the given one.
fn instant(from: Instant, after_ns: u64) -> Instant {
    // A deadline that no clock can hold is one that never comes: thirty years is tokio's own "far future".
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    from + Duration::from_nanos(after_ns).min(FAR)
}

fn wall_unix_ns() -> u64 {
    units::ns(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The system's monotonic clock, in nanoseconds.
#[cfg(target_os = "linux")]
fn monotonic_ns() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    units::ns(Duration::from(now))
}

/// Whether tokio's time is paused here: a paused clock stands still, or was moved, and so lies outside two readings of
/// the clock that it is made of.
#[cfg(target_os = "linux")]
fn is_paused() -> bool {
    let before = std::time::Instant::now();
    let now = Instant::now().into_std();
    now < before || std::time::Instant::now() < now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_is_virtual_in_tests() {
        let clock = Clock::start();
        clock.sleep_until(250_000_000).await;
        assert_eq!(clock.now(), 250_000_000);
        tokio::time::advance(Duration::from_millis(20)).await;
        assert_eq!(clock.now(), 270_000_000);
        assert_eq!(clock.monotonic_ns(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_the_far_future_is_no_panic() {
        let now = Instant::now();
        assert!(instant(now, u64::MAX) > instant(now, 1));
    }
}
