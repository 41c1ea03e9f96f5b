//! The wire types of xpander's Invoke Agent (Stream): request body, event envelope, task.

pub mod event;
pub mod request;
pub mod task;

pub use event::{Envelope, EnvelopeError, EventKind, ToolCall};
pub use request::{Input, OutputFormat, ReasoningEffort, Request, ThinkMode, User};
pub use task::{Status, Task, Tokens};
