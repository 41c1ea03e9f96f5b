//! A task as the agent shows it: read tolerantly, since the server may trim or extend it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::time::unix_ns;

/// Where a task is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Waiting to be taken up.
    Pending,
    /// Under way.
    Executing,
    /// Waiting for a person.
    Paused,
    /// Ended with an error.
    Error,
    /// Ended as failed.
    Failed,
    /// Ended well.
    Completed,
    /// Ended by request.
    Stopped,
    /// A word that the contract does not have, or none.
    Unknown(String),
}

/// The agent's own count of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt.
    pub prompt: Option<u64>,
    /// Of the completion.
    pub completion: Option<u64>,
    /// All.
    pub total: Option<u64>,
}

/// What is read of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: Option<String>,
    /// Where it is on its way.
    pub status: Status,
    /// Tokens, when the agent counts them.
    pub tokens: Option<Tokens>,
    /// The server's own account of when.
    pub times: Times,
}

/// What a task came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskResult<'a> {
    /// Its text, or the JSON of what is none; absent when it is `null`.
    pub text: Option<Cow<'a, str>>,
    /// The server has not cut it to make the event smaller (`_result_truncated`).
    pub whole: bool,
}

/// When a task was created, taken up and ended, by the server's clock: nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// `created_at`.
    pub created_unix_ns: Option<u64>,
    /// `started_at`.
    pub started_unix_ns: Option<u64>,
    /// `finished_at`.
    pub finished_unix_ns: Option<u64>,
}

#[derive(Deserialize)]
struct WireTask {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    tokens: Value,
    #[serde(default)]
    created_at: Value,
    #[serde(default)]
    started_at: Value,
    #[serde(default)]
    finished_at: Value,
}

#[derive(Deserialize)]
struct WireResult<'a> {
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default, rename = "_result_truncated")]
    truncated: Value,
}

impl Status {
    /// The status that a word means.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "pending" => Self::Pending,
            "executing" => Self::Executing,
            "paused" => Self::Paused,
            "error" => Self::Error,
            "failed" => Self::Failed,
            "completed" => Self::Completed,
            "stopped" => Self::Stopped,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// The word on the wire; empty when there was none.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Executing => "executing",
            Self::Paused => "paused",
            Self::Error => "error",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Unknown(word) => word,
        }
    }
}

impl Task {
    /// Reads a task from an event's `data`; none when that is no JSON object.
    #[must_use]
    pub fn read(data: &str) -> Option<Self> {
        let wire: WireTask = serde_json::from_str(data).ok()?;
        let count = |name: &str| wire.tokens.get(name).and_then(Value::as_u64);
        let tokens = wire.tokens.is_object().then(|| Tokens {
            prompt: count("prompt_tokens"),
            completion: count("completion_tokens"),
            total: count("total_tokens"),
        });
        let at = |value: &Value| value.as_str().and_then(unix_ns);
        let times = Times {
            created_unix_ns: at(&wire.created_at),
            started_unix_ns: at(&wire.started_at),
            finished_unix_ns: at(&wire.finished_at),
        };
        Some(Self {
            times,
            id: wire.id.as_str().map(str::to_owned),
            status: Status::of(wire.status.as_str().unwrap_or_default()),
            tokens,
        })
    }
}

impl<'a> TaskResult<'a> {
    /// Reads the result of a task from an event's `data`; there is none when that is no JSON object.
    #[must_use]
    pub fn read(data: &'a str) -> Self {
        let none = Self { text: None, whole: true };
        let Ok(wire) = serde_json::from_str::<WireResult<'a>>(data) else { return none };
        let text = wire.result.map(|result| match serde_json::from_str::<String>(result.get()) {
            Ok(text) => Cow::Owned(text),
            Err(_) => Cow::Borrowed(result.get()),
        });
        Self { text, whole: matches!(wire.truncated, Value::Null | Value::Bool(false)) }
    }
}
