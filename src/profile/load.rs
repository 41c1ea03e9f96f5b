//! How much is loaded, and for how long.

use crate::pacer::Pacer;

/// How much is loaded, and for how long; times in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Who decides when an invocation starts.
    pub model: Model,
    /// Stop after this many invocations.
    pub invocations: Option<u64>,
    /// Start nothing more after this long. This, `invocations` or the open load's own end is given.
    pub duration_ns: Option<u64>,
    /// The first part, left out of the summary.
    pub warmup_ns: u64,
    /// How long what is in flight at the end may go on; then it is cut.
    pub drain_ns: u64,
    /// Worker threads; as many as cores when absent.
    pub workers: Option<u32>,
}

/// Who decides when an invocation starts.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// The answers: so many conversations at a time, each new one when another has ended.
    Closed {
        /// Conversations at a time; at least 1.
        concurrency: u32,
        /// Over how long they begin, one after another, in nanoseconds.
        ramp_ns: u64,
        /// Over how long before `duration_ns` they end, one after another, in nanoseconds.
        ramp_down_ns: u64,
    },
    /// The clock: conversations begin at these instants, whatever the answers do.
    Open {
        /// The instants.
        pacer: Pacer,
        /// Conversations at a time at most; what the machine can hold when absent.
        in_flight: Option<u32>,
        /// What becomes of a start at whose instant there are as many.
        overflow: Overflow,
    },
}

/// What becomes of a start that the in-flight limit does not let in at its instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It waits, and is timed from its instant.
    Queue,
    /// It is dropped, and counted.
    Drop,
}

impl Load {
    /// Conversations at a time at most, where the profile says so.
    #[must_use]
    pub fn in_flight(&self) -> Option<u32> {
        match self.model {
            Model::Closed { concurrency, .. } => Some(concurrency),
            Model::Open { in_flight, .. } => in_flight,
        }
    }
}
