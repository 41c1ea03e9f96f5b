//! One timer for a deadline that moves.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Clock, Sleep};

/// One timer for a deadline that mostly moves away: it is armed again only when it has rung too early, or when the
/// deadline has come closer, so that an event costs no timer operation.
#[derive(Debug)]
#[repr(C)] // What is asked whenever its owner is polled comes first.
pub struct Timer {
    sleep: Sleep,
    armed_ns: u64,
    clock: Clock,
}

impl Timer {
    /// A timer for this instant, in nanoseconds since the clock's origin.
    #[must_use]
    pub fn new(clock: Clock, at_ns: u64) -> Self {
        Self { clock, sleep: clock.sleep_until(at_ns), armed_ns: at_ns }
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
        self.sleep = self.clock.sleep_until(at_ns);
    }

    /// Whether it rings; whoever asks is woken when it does.
    pub fn poll_ring(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.sleep).poll(cx)
    }
}
