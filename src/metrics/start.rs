//! The beginning of an invocation: what its driver knows of it when it takes it up.

use std::sync::Arc;

use super::outcome::Outcome;
use super::record::{Record, Stamps};

/// What is known of an invocation before it starts.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its place in the plan.
    pub plan_index: u64,
    /// The name of its variant.
    pub variant: Arc<str>,
    /// Its conversation.
    pub conversation: u64,
    /// Its turn within the conversation, from 0.
    pub turn: u32,
    /// The worker that takes it up.
    pub worker: u32,
    /// Whether it belongs to the warm-up.
    pub warmup: bool,
    /// The task that it continues.
    pub task_id: Option<String>,
    /// When it should start, in nanoseconds.
    pub intended_ns: u64,
    /// When it was taken up, in nanoseconds.
    pub started_ns: u64,
}

impl Start {
    /// Its record as long as nothing more is known of it.
    #[must_use]
    pub fn record(self) -> Record {
        let stamps = Stamps {
            intended_ns: self.intended_ns,
            started_ns: Some(self.started_ns),
            last_known_ns: self.started_ns,
            ..Stamps::default()
        };
        Record {
            conversation: self.conversation,
            turn: self.turn,
            worker: Some(self.worker),
            warmup: self.warmup,
            task_id: self.task_id,
            outcome: Outcome::Truncated,
            stamps,
            ..Record::unstarted(self.plan_index, self.variant, self.intended_ns, 0, Outcome::NotStarted)
        }
    }
}
