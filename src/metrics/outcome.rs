//! The closed list of ways in which a planned start ends; each has exactly one.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::agent::Status;

/// The phase in which a time limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Name look-up, TCP, TLS and the HTTP handshake.
    Connect,
    /// From the send to the response's headers.
    Headers,
    /// From the headers to the first complete event.
    FirstEvent,
    /// The whole invocation.
    Total,
}

/// How one planned start ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Own `task_finished` with status `completed`.
    Completed,
    /// Own `task_finished` with status `failed`.
    TaskFailed,
    /// Own `task_finished` with status `error` (or one that the contract does not know).
    TaskError,
    /// Own `task_finished` with status `stopped`.
    TaskStopped,
    /// The body ended before `task_finished`.
    Truncated,
    /// No byte came for the idle limit.
    Stalled,
    /// A time limit was reached in this phase.
    TimedOut(Phase),
    /// No connection: refused, unreachable, name not found.
    ConnectFailed,
    /// TCP stood, TLS did not.
    TlsFailed,
    /// The connection broke: reset, closed before the headers, or a protocol error.
    Reset,
    /// An answer other than 200, redirects too.
    HttpStatus(u16),
    /// Status 429.
    RateLimited,
    /// 200, but no `text/event-stream`.
    BadContentType,
    /// Not an event of the contract: not JSON, or JSON without an envelope.
    BadEvent,
    /// A line or an event over the limit.
    EventTooLarge,
    /// The profile's own check on the result said no.
    CheckFailed,
    /// The profile hung up on purpose.
    Abandoned,
    /// In flight when the run's drain ended.
    Cut,
    /// The in-flight limit was reached at its instant.
    Dropped,
    /// The run ended before its start.
    NotStarted,
}

/// A text that names no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not an outcome")]
pub struct UnknownOutcome(String);

impl Outcome {
    /// The outcome that a task's last status means, and what to say of it; a status outside the contract counts as an
    /// error.
    pub(super) fn of_status(status: &Status) -> (Self, Option<String>) {
        match status {
            Status::Completed => (Self::Completed, None),
            Status::Failed => (Self::TaskFailed, Some("the agent ended the task as failed".to_owned())),
            Status::Stopped => (Self::TaskStopped, Some("the agent ended the task as stopped".to_owned())),
            Status::Error => (Self::TaskError, Some("the agent ended the task with an error".to_owned())),
            Status::Unknown(word) if word.is_empty() => {
                (Self::TaskError, Some("task_finished came without the task's status".to_owned()))
            }
            other => (Self::TaskError, Some(format!("task_finished came with the task's status {:?}", other.word()))),
        }
    }

    /// The stable name in files and reports: `http_status` and `timed_out` carry their detail behind a colon.
    #[must_use]
    pub fn name(self) -> String {
        self.to_string()
    }

    /// The name without its detail: the row of the ledger and the tag of the histogram.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::TaskFailed => "task_failed",
            Self::TaskError => "task_error",
            Self::TaskStopped => "task_stopped",
            Self::Truncated => "truncated",
            Self::Stalled => "stalled",
            Self::TimedOut(_) => "timed_out",
            Self::ConnectFailed => "connect_failed",
            Self::TlsFailed => "tls_failed",
            Self::Reset => "reset",
            Self::HttpStatus(_) => "http_status",
            Self::RateLimited => "rate_limited",
            Self::BadContentType => "bad_content_type",
            Self::BadEvent => "bad_event",
            Self::EventTooLarge => "event_too_large",
            Self::CheckFailed => "check_failed",
            Self::Abandoned => "abandoned",
            Self::Cut => "cut",
            Self::Dropped => "dropped",
            Self::NotStarted => "not_started",
        }
    }

    /// Whether the agent ended the task well and every check on it held.
    #[must_use]
    pub fn is_completed(self) -> bool {
        self == Self::Completed
    }

    /// Whether the invocation was taken up at all.
    #[must_use]
    pub fn was_started(self) -> bool {
        !matches!(self, Self::Dropped | Self::NotStarted)
    }

    /// Whether an absent stamp is censored (it might still have come) rather than never to come.
    ///
    /// METRICS.md, "Two rows a metric": `cut`, `abandoned`, and from the intended start `not_started`.
    #[must_use]
    pub fn censors(self) -> bool {
        matches!(self, Self::Cut | Self::Abandoned | Self::NotStarted)
    }
}

impl Phase {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Connect, "connect"),
        (Self::Headers, "headers"),
        (Self::FirstEvent, "first_event"),
        (Self::Total, "total"),
    ];

    /// The stable name in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(phase, _)| *phase == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(phase) => write!(out, "timed_out:{}", phase.name()),
            Self::HttpStatus(status) => write!(out, "http_status:{status}"),
            other => out.write_str(other.kind()),
        }
    }
}

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        const PLAIN: [Outcome; 18] = [
            Outcome::Completed,
            Outcome::TaskFailed,
            Outcome::TaskError,
            Outcome::TaskStopped,
            Outcome::Truncated,
            Outcome::Stalled,
            Outcome::ConnectFailed,
            Outcome::TlsFailed,
            Outcome::Reset,
            Outcome::RateLimited,
            Outcome::BadContentType,
            Outcome::BadEvent,
            Outcome::EventTooLarge,
            Outcome::CheckFailed,
            Outcome::Abandoned,
            Outcome::Cut,
            Outcome::Dropped,
            Outcome::NotStarted,
        ];
        let refuse = || UnknownOutcome(text.to_owned());
        if let Some(status) = text.strip_prefix("http_status:") {
            return status.parse().map(Self::HttpStatus).map_err(|_| refuse());
        }
        if let Some(name) = text.strip_prefix("timed_out:") {
            let phase = Phase::ALL.iter().find(|(_, known)| *known == name);
            return phase.map(|(phase, _)| Self::TimedOut(*phase)).ok_or_else(refuse);
        }
        PLAIN.into_iter().find(|outcome| outcome.kind() == text).ok_or_else(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_status_that_ends_nothing_is_an_error_that_names_it() {
        let told = |word: &str| {
            let status = Status::of(word);
            assert_eq!(status.word(), word);
            let (outcome, detail) = Outcome::of_status(&status);
            format!("{outcome}: {}", detail.unwrap_or_default())
        };
        insta::assert_snapshot!(["completed", "failed", "stopped", "error", "executing", "frozen", ""].map(told).join("\n"), @r#"
        completed: 
        task_failed: the agent ended the task as failed
        task_stopped: the agent ended the task as stopped
        task_error: the agent ended the task with an error
        task_error: task_finished came with the task's status "executing"
        task_error: task_finished came with the task's status "frozen"
        task_error: task_finished came without the task's status
        "#);
    }

    #[test]
    fn every_outcome_is_read_back_from_its_name() {
        let all = [
            Outcome::Completed,
            Outcome::TaskFailed,
            Outcome::TaskError,
            Outcome::TaskStopped,
            Outcome::Truncated,
            Outcome::Stalled,
            Outcome::TimedOut(Phase::Connect),
            Outcome::TimedOut(Phase::Headers),
            Outcome::TimedOut(Phase::FirstEvent),
            Outcome::TimedOut(Phase::Total),
            Outcome::ConnectFailed,
            Outcome::TlsFailed,
            Outcome::Reset,
            Outcome::HttpStatus(503),
            Outcome::RateLimited,
            Outcome::BadContentType,
            Outcome::BadEvent,
            Outcome::EventTooLarge,
            Outcome::CheckFailed,
            Outcome::Abandoned,
            Outcome::Cut,
            Outcome::Dropped,
            Outcome::NotStarted,
        ];
        for outcome in all {
            assert_eq!(outcome.name().parse(), Ok(outcome));
            assert!(outcome.name().starts_with(outcome.kind()));
        }
        assert!("timed_out".parse::<Outcome>().is_err());
        assert!("success".parse::<Outcome>().is_err());
    }
}
