//! What the mock agent does with an invocation: the `[mock]` table of a profile, or a script file.
//!
//! A script is a value: times, counts and sizes as distributions, effects of overrides and turns, a service with a
//! limit, and planted faults. What comes of it for one plan index is `mock`'s business.

use std::path::PathBuf;

pub mod capacity;
pub mod distribution;
pub mod fault;

pub use capacity::Capacity;
pub use distribution::Distribution;
pub use fault::{Fault, FaultKind};

/// A valid script of the mock agent. Times are in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Why it exists.
    pub why: Option<String>,
    /// From the request to the headers.
    pub headers: Distribution,
    /// From the headers to `task_created`.
    pub created: Distribution,
    /// From `task_created` until the task asks for a slot of the service; without a limit, to `executing`.
    pub queue: Distribution,
    /// How many `think` events come.
    pub think_steps: Distribution,
    /// From each `think` event to what follows it.
    pub think: Distribution,
    /// Tools that may be called, in this order.
    pub tools: Vec<Tool>,
    /// Sub-agents that may be triggered, in this order, after the tools.
    pub sub_agents: Vec<SubAgent>,
    /// From the last event before it to the first chunk.
    pub first_chunk: Distribution,
    /// How many chunks come.
    pub chunks: Distribution,
    /// How many characters a chunk has.
    pub chunk_chars: Distribution,
    /// Between neighbouring chunks.
    pub gap: Distribution,
    /// From the last chunk to `task_finished`.
    pub closing: Distribution,
    /// How many characters the task's result has; the answer's own text when absent.
    pub result_chars: Option<Distribution>,
    /// How events share writes.
    pub writes: Writes,
    /// A comment as a sign of life comes whenever nothing else came for this long.
    pub ping_ns: Option<u64>,
    /// Effects of overrides and turns on all that.
    pub effects: Vec<Effect>,
    /// Every further turn of a conversation takes longer by this share of the first.
    pub slower_per_turn: f64,
    /// The limit of the service.
    pub service: Service,
    /// Planted faults.
    pub faults: Vec<Fault>,
    /// The contract's open questions, each as a switch.
    pub shape: Shape,
    /// Who may ask.
    pub access: Access,
    /// Recordings that are replayed instead of all the above; by plan index, one after another.
    pub replay: Option<Replay>,
}

/// How events share writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Writes {
    /// Each event is a write of its own.
    #[default]
    Each,
    /// Events that are due at the same instant share a write.
    Together,
}

/// A tool that may be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Whether an invocation calls it at all.
    pub probability: f64,
    /// How often, then.
    pub calls: Distribution,
    /// From each request to its result.
    pub time: Distribution,
    /// How many characters the result has.
    pub result_chars: Distribution,
    /// How likely a call's result is an error.
    pub error_probability: f64,
}

/// A sub-agent that may be triggered.
#[derive(Debug, Clone, PartialEq)]
pub struct SubAgent {
    /// Its agent id.
    pub name: String,
    /// Whether an invocation triggers it.
    pub probability: f64,
    /// From the trigger to what follows it.
    pub time: Distribution,
}

/// What overrides and turns do to the times and counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effect {
    /// When it holds: all of these; each pair is a field of the request and its value.
    pub when: Vec<(String, String)>,
    /// From this turn on, counted from 0.
    pub from_turn: u64,
    /// The factors, each on what it is named for.
    pub scale: Scale,
}

/// Factors on times and counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// On every time.
    pub time: f64,
    /// On the queueing time.
    pub queue: f64,
    /// On the number of thinking steps.
    pub think_steps: f64,
    /// On the time of one.
    pub think: f64,
    /// On the time of tool calls.
    pub tool: f64,
    /// On the first chunk's time.
    pub first_chunk: f64,
    /// On the number of chunks.
    pub chunks: f64,
    /// On the gaps.
    pub gap: f64,
    /// On the time before the end.
    pub closing: f64,
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            time: 1.0,
            queue: 1.0,
            think_steps: 1.0,
            think: 1.0,
            tool: 1.0,
            first_chunk: 1.0,
            chunks: 1.0,
            gap: 1.0,
            closing: 1.0,
        }
    }
}

impl Scale {
    /// Both factors, one after the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            time: self.time * other.time,
            queue: self.queue * other.queue,
            think_steps: self.think_steps * other.think_steps,
            think: self.think * other.think,
            tool: self.tool * other.tool,
            first_chunk: self.first_chunk * other.first_chunk,
            chunks: self.chunks * other.chunks,
            gap: self.gap * other.gap,
            closing: self.closing * other.closing,
        }
    }
}

/// The limit of the service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// How many tasks execute at a time; no limit when absent.
    pub slots: Option<u32>,
    /// How many tasks may wait for a slot; further ones are refused.
    pub queue_max: Option<u64>,
    /// The status of a refusal: 429 or 503.
    pub overflow: u16,
    /// How much longer a task takes when all slots are busy; in between in proportion.
    pub stretch: f64,
    /// Requests a second that a token bucket lets through; no limit when absent.
    pub rate: Option<f64>,
    /// How many requests the bucket holds.
    pub burst: u64,
    /// What an execution takes longer on a slot that was not used lately.
    pub cold_start: Distribution,
    /// How long a slot stays warm, in nanoseconds.
    pub warm_ns: u64,
}

/// The contract's open questions, each as a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// A `connected` event comes first.
    pub connected: bool,
    /// `think` carries a text instead of an object.
    pub think_text: bool,
    /// Each event has an `identity`.
    pub identity: bool,
    /// The result in `task_finished` is cut and marked `_result_truncated`.
    pub trim_result: bool,
    /// The status for an unknown agent.
    pub unknown_agent: u16,
    /// What a second request on a task that is still executing gets.
    pub busy: Busy,
    /// The detail of a 429 lies three levels deep.
    pub nested_detail: bool,
    /// What the end of the connection does to the task.
    pub hang_up: HangUp,
}

/// What a second request on a task that is still executing gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// It runs beside the first.
    Interleave,
    /// 409.
    Refuse,
}

/// What the end of the connection does to the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// It goes on to its end.
    Continue,
    /// It is stopped.
    Stop,
}

/// Who may ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Keys that are taken; any, or none at all, when empty.
    pub accept: Vec<String>,
    /// Keys that are known but not allowed (403).
    pub forbid: Vec<String>,
    /// Agents that exist; any when empty.
    pub agents: Vec<String>,
}

/// Recordings that are replayed.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// The files, as `probe --record` writes them.
    pub files: Vec<PathBuf>,
    /// 2 replays in half the time.
    pub speed: f64,
}
