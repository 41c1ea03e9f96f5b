//! The limits on one invocation: until when the next thing must happen.

use super::outcome::{Outcome, Phase};
use super::record::Stamps;

/// The limits that a tracker watches, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// From the start to the connection.
    pub connect_ns: u64,
    /// From the send to the headers.
    pub headers_ns: u64,
    /// From the headers to the first event.
    pub first_event_ns: u64,
    /// Without any byte.
    pub idle_ns: u64,
    /// The whole invocation.
    pub total_ns: u64,
    /// From the own `task_finished` to the end of the body.
    pub linger_ns: u64,
    /// A gap over this is a stall.
    pub stall_ns: u64,
}

/// What the client must do when a deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// End the invocation with this outcome.
    End(Outcome),
    /// Stop waiting for the body's end; the invocation has ended already.
    LingerOver,
}

impl Watch {
    /// Until when the next thing must happen after these stamps and the last byte, and what it means if it does not.
    pub(super) fn deadline(&self, stamps: &Stamps, last_byte_ns: Option<u64>) -> (u64, Expiry) {
        if let Some(finished) = stamps.finished_ns {
            return (finished.saturating_add(self.linger_ns), Expiry::LingerOver);
        }
        let (started, total) = (Self::started_ns(stamps), self.limit(stamps));
        let next = match (stamps.sent_ns, stamps.headers_ns, stamps.first_event_ns) {
            (None, ..) => (started.saturating_add(self.connect_ns), Outcome::TimedOut(Phase::Connect)),
            (Some(sent), None, _) => (sent.saturating_add(self.headers_ns), Outcome::TimedOut(Phase::Headers)),
            (_, Some(headers), None) => {
                (headers.saturating_add(self.first_event_ns), Outcome::TimedOut(Phase::FirstEvent))
            }
            _ => total,
        };
        let idle = stamps
            .headers_ns
            .map(|headers| (last_byte_ns.unwrap_or(headers).saturating_add(self.idle_ns), Outcome::Stalled));
        let (at, outcome) = [Some(next), idle].into_iter().flatten().fold(total, |a, b| if b.0 < a.0 { b } else { a });
        (at, Expiry::End(outcome))
    }

    /// Until when the whole invocation must have ended, and how it ends else.
    pub(super) fn limit(&self, stamps: &Stamps) -> (u64, Outcome) {
        (Self::started_ns(stamps).saturating_add(self.total_ns), Outcome::TimedOut(Phase::Total))
    }

    fn started_ns(stamps: &Stamps) -> u64 {
        stamps.started_ns.unwrap_or(stamps.intended_ns)
    }
}
