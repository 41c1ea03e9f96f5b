//! The wire types of xpander's Invoke Agent (Stream): request body, event envelope, task.

pub mod request;

pub use request::{Input, OutputFormat, ReasoningEffort, Request, ThinkMode, User};
