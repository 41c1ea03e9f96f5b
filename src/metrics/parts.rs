//! The parts that an invocation's time is made of, and how long each was (METRICS.md, "Decomposition").

use serde::{Deserialize, Serialize};

/// The label of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Until the request was sent.
    Connect,
    /// Until the task was created.
    Wait,
    /// Until it was executed.
    Queue,
    /// A tool call was open.
    Tool,
    /// A sub-agent had been triggered, and nothing else had come since.
    SubAgent,
    /// The last event was of thinking.
    Thinking,
    /// Between two chunks with nothing between them.
    Answer,
    /// The user's login was waited for.
    Auth,
    /// After the last chunk.
    Closing,
    /// No event says what the agent did.
    Model,
}

/// The time of each part of an invocation, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PartTimes {
    /// [`Part::Connect`].
    pub connect_ns: u64,
    /// [`Part::Wait`].
    pub wait_ns: u64,
    /// [`Part::Queue`].
    pub queue_ns: u64,
    /// [`Part::Tool`].
    pub tool_ns: u64,
    /// [`Part::SubAgent`].
    pub sub_agent_ns: u64,
    /// [`Part::Thinking`].
    pub thinking_ns: u64,
    /// [`Part::Answer`].
    pub answer_ns: u64,
    /// [`Part::Auth`].
    pub auth_ns: u64,
    /// [`Part::Closing`].
    pub closing_ns: u64,
    /// [`Part::Model`].
    pub model_ns: u64,
}

impl Part {
    /// Every part, in the order of reports: as an invocation meets them.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Wait,
        Self::Queue,
        Self::Model,
        Self::Thinking,
        Self::Tool,
        Self::SubAgent,
        Self::Auth,
        Self::Answer,
        Self::Closing,
    ];

    /// The stable name in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Wait => "wait",
            Self::Queue => "queue",
            Self::Tool => "tool",
            Self::SubAgent => "sub_agent",
            Self::Thinking => "thinking",
            Self::Answer => "answer",
            Self::Auth => "auth",
            Self::Closing => "closing",
            Self::Model => "model",
        }
    }

    /// The part of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// The definition, as reports print it.
    #[must_use]
    pub fn definition(self) -> &'static str {
        match self {
            Self::Connect => "taken up → request sent",
            Self::Wait => "request sent → task_created, or the first event that tells anything",
            Self::Queue => "task_created → executing, or the first event that is of no task",
            Self::Tool => "a tool call is open; its time goes to the one opened last",
            Self::SubAgent => "a sub-agent was triggered and nothing else has come since",
            Self::Thinking => "the last event was think, analyze or plan",
            Self::Answer => "between two chunks with no other event between them",
            Self::Auth => "a login is waited for",
            Self::Closing => "after the last chunk",
            Self::Model => "no event says what the agent does: most often the model at work",
        }
    }
}

impl PartTimes {
    /// The time of one part, in nanoseconds.
    #[must_use]
    pub fn of(&self, part: Part) -> u64 {
        match part {
            Part::Connect => self.connect_ns,
            Part::Wait => self.wait_ns,
            Part::Queue => self.queue_ns,
            Part::Tool => self.tool_ns,
            Part::SubAgent => self.sub_agent_ns,
            Part::Thinking => self.thinking_ns,
            Part::Answer => self.answer_ns,
            Part::Auth => self.auth_ns,
            Part::Closing => self.closing_ns,
            Part::Model => self.model_ns,
        }
    }

    /// The time of one part, to change it.
    pub fn of_mut(&mut self, part: Part) -> &mut u64 {
        match part {
            Part::Connect => &mut self.connect_ns,
            Part::Wait => &mut self.wait_ns,
            Part::Queue => &mut self.queue_ns,
            Part::Tool => &mut self.tool_ns,
            Part::SubAgent => &mut self.sub_agent_ns,
            Part::Thinking => &mut self.thinking_ns,
            Part::Answer => &mut self.answer_ns,
            Part::Auth => &mut self.auth_ns,
            Part::Closing => &mut self.closing_ns,
            Part::Model => &mut self.model_ns,
        }
    }

    /// All parts together, in nanoseconds.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        Part::ALL.into_iter().map(|part| self.of(part)).sum()
    }

    /// The parts with any time, in the order of reports.
    pub fn each(&self) -> impl Iterator<Item = (Part, u64)> + '_ {
        Part::ALL.into_iter().map(|part| (part, self.of(part))).filter(|(_, ns)| *ns > 0)
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.add_between(&Self::default(), other);
        self
    }

    /// Adds what passed between two readings of the same clockwork.
    pub(super) fn add_between(&mut self, before: &Self, after: &Self) {
        for part in Part::ALL {
            *self.of_mut(part) += after.of(part) - before.of(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_once() {
        assert!(Part::ALL.iter().all(|part| Part::of(part.name()) == Some(*part)));
    }
}
