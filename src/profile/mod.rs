//! A workload: what is loaded, how, and why. A [`Profile`] is always valid once built.
//!
//! `wire` holds the TOML's shape and every check; `plan` makes the concrete schedule of it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::agent::Request;
use crate::metrics::Objective;
use crate::seed::Seed;

pub mod plan;
pub mod reference;
pub mod script;
pub mod wire;

pub use plan::{Plan, Planned};
pub use wire::{Fault, Origin, Override, Problem, Problems};

/// A valid workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The file's stem, or what `name` says.
    pub name: String,
    /// Why this workload exists; printed beside its results.
    pub why: String,
    /// Where every random choice comes from.
    pub seed: Seed,
    /// What is loaded.
    pub target: Target,
    /// How much, for how long.
    pub load: Load,
    /// The body that each invocation sends, before prompt and task id are put in.
    pub request: Request,
    /// The turns of one conversation; at least one.
    pub turns: Vec<Turn>,
    /// When to give up.
    pub limits: Limits,
    /// What the answers are expected to be like: for `check`, never for a measurement.
    pub expect: Expect,
    /// What must hold of a run; none when it is only to be measured.
    pub objectives: Vec<Objective>,
    /// A gap between chunks over this is a stall, in nanoseconds.
    pub stall_ns: u64,
    /// The embedded mock's script, used when the target is the mock.
    pub mock: script::Script,
    /// Every key as it holds, defaults included and secrets hidden, for the run bundle.
    pub resolved: Resolved,
}

/// Every key of a profile as it holds: nested as in the file, in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Resolved(pub serde_json::Value);

impl fmt::Debug for Resolved {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Resolved")
    }
}

/// What is loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Where it is.
    pub place: Place,
    /// `{agent_id}` of the path.
    pub agent_id: String,
    /// The query `version`; the latest deployed when absent.
    pub version: Option<String>,
    /// Which HTTP is spoken.
    pub http: Http,
    /// An extra certificate authority (PEM), beside the system's.
    pub cacert: Option<PathBuf>,
    /// Extra headers of each invocation, in order.
    pub headers: Vec<(String, String)>,
    /// Where the API key is read from.
    pub key: KeySource,
    /// Whether connections serve more than one invocation.
    pub connection: Connection,
    /// Puts the run id and plan index into `payload_extension`, so that a run is found in the agent's own logs.
    pub tag: bool,
}

/// Where the target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The embedded mock, in this process.
    Mock,
    /// A base URL such as `https://api.xpander.ai`, checked and without a trailing slash.
    Url(String),
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    /// What TLS agrees on by ALPN; HTTP/1.1 in the clear.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, in the clear by prior knowledge.
    Http2,
}

/// Whether connections serve more than one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// A connection is used again once its response ended.
    Reuse,
    /// Each invocation makes a connection of its own.
    New,
}

/// Where the API key is read from: never a flag, never the profile itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// An environment variable.
    Env(String),
    /// A file that holds nothing else.
    File(PathBuf),
}

/// Closed load: this many conversations at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Conversations at a time; at least 1.
    pub concurrency: u32,
    /// Stop after this many invocations; at least one of this and `duration_ns` is given.
    pub invocations: Option<u64>,
    /// Start nothing more after this long, in nanoseconds.
    pub duration_ns: Option<u64>,
    /// The first part, left out of the summary, in nanoseconds.
    pub warmup_ns: u64,
    /// Over how long the conversations begin, one after another, in nanoseconds.
    pub ramp_ns: u64,
    /// How long what is in flight at the end may go on, in nanoseconds; then it is cut.
    pub drain_ns: u64,
    /// Worker threads; as many as cores when absent.
    pub workers: Option<u32>,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What the user says.
    pub prompt: Arc<str>,
    /// How long the user thinks before saying it, in nanoseconds (before the first turn: after the slot became free).
    pub think_ns: u64,
}

/// When to give up; all in nanoseconds or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Name look-up, TCP, TLS, HTTP handshake together.
    pub connect_ns: u64,
    /// From the send to the headers.
    pub headers_ns: u64,
    /// From the headers to the first event.
    pub first_event_ns: u64,
    /// Without any byte.
    pub idle_ns: u64,
    /// The whole invocation.
    pub total_ns: u64,
    /// How long the body's end is awaited after `task_finished`, so that the connection can be used again.
    pub linger_ns: u64,
    /// One event of the stream, and one line of it.
    pub event_bytes: usize,
}

/// What the answers are expected to be like.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Expect {
    /// How long an invocation takes, in nanoseconds.
    pub finish_ns: Option<u64>,
    /// How many bytes a response has.
    pub response_bytes: Option<u64>,
    /// What one invocation costs, in any currency.
    pub cost_per_invocation: Option<f64>,
}
