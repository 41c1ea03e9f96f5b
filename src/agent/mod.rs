//! The wire types of xpander's Invoke Agent (Stream): request body, event envelope, task.

pub mod event;
mod event_type;
pub mod recording;
pub mod request;
mod scan;
pub mod task;
mod time;

pub use event::{Envelope, EnvelopeError, EventKind, ToolCall};
pub use event_type::event_type;
pub use recording::Recording;
pub use request::{Input, OutputFormat, ReasoningEffort, Request, ThinkMode, User};
pub use task::{Status, Task, TaskResult, Times, Tokens};
pub use time::unix_ns;

/// The header that tells a mock which place in the plan an invocation has; it is sent to a mock only.
pub const PLAN_INDEX_HEADER: &str = "x-plimsoll-plan-index";
