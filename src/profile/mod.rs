//! A workload: what is loaded, how, and why. A [`Profile`] is always valid once built.
//!
//! `wire` holds the TOML's shape and every check; `plan` makes the concrete schedule of it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::agent::Request;
use crate::metrics::{Checks, Objective};
use crate::seed::Seed;

pub mod budget;
pub mod conversation;
pub mod load;
pub mod network;
pub mod plan;
pub mod reference;
pub mod repeat;
pub mod script;
pub mod wire;

pub use budget::Budget;
pub use conversation::{Feed, HangUp, Order, Prompt, Scenario, Slow, Turn, User};
pub use load::{Load, Model, Overflow};
pub use network::{Connection, Proxy, Resolve};
pub use plan::{Conversation, Plan, Planned};
pub use repeat::Repeat;
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
    /// What the run may cost at most; with repeats, what all runs together may.
    pub budget: Budget,
    /// How often it is run.
    pub repeat: Repeat,
    /// The body that each invocation sends, before its variant, prompt and task id are put in.
    pub request: Request,
    /// What is compared within the run; at least one.
    pub variants: Vec<Variant>,
    /// What conversations are about; at least one, and one without a name where the profile has none.
    pub scenarios: Vec<Scenario>,
    /// The rows that the prompts are filled from, where a scenario has none of its own.
    pub feed: Option<Feed>,
    /// How people behave.
    pub user: User,
    /// The plan that is replayed instead of making one.
    pub replay: Option<plan::Replay>,
    /// When to give up.
    pub limits: Limits,
    /// What the answers are expected to be like: for `check`, never for a measurement.
    pub expect: Expect,
    /// What must hold of each result for its invocation to have completed; absent when nothing is asked.
    pub checks: Option<Arc<Checks>>,
    /// What must hold of a run; none when it is only to be measured.
    pub objectives: Vec<Objective>,
    /// A gap between chunks over this is a stall, in nanoseconds.
    pub stall_ns: u64,
    /// The embedded mock's script, used when the target is the mock.
    pub mock: script::Script,
    /// Every key as it holds, defaults included and secrets hidden, for the run bundle.
    pub resolved: Resolved,
}

/// A named set of overrides; a profile without any has one, named [`BASE_VARIANT`].
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// What tables and files call it.
    pub name: Arc<str>,
    /// The body that its invocations send, before prompt and task id are put in.
    pub request: Request,
    /// The agent that it asks.
    pub agent_id: String,
    /// The agent's version; the latest deployed when absent.
    pub version: Option<String>,
}

/// The variant of a profile that has none.
pub const BASE_VARIANT: &str = "base";

/// Whether a host (a name, or an address without brackets) is this machine.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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
    /// How many invocations a connection serves.
    pub connection: Connection,
    /// Over HTTP/2: how many streams share a connection at most.
    pub streams: u32,
    /// Addresses that stand for names, in place of looking them up.
    pub resolve: Vec<Resolve>,
    /// The addresses of this machine that connections come from, in turn; the system's choice when there are none.
    pub sources: Vec<IpAddr>,
    /// What connections are tunnelled through.
    pub proxy: Option<Proxy>,
    /// Whether tasks that the run leaves behind are stopped.
    pub stop_tasks: bool,
    /// Puts the run id and plan index into `payload_extension`, so that a run is found in the agent's own logs.
    pub tag: bool,
}

impl Target {
    /// Whether the target is this machine, and nothing on the way to it is another one.
    #[must_use]
    pub fn is_here(&self) -> bool {
        let here = match &self.place {
            Place::Mock => true,
            Place::Url(url) => wire::is_here(url),
        };
        let addresses = self.resolve.iter().flat_map(|resolve| &resolve.addresses);
        here && self.proxy.as_ref().is_none_or(Proxy::is_here) && addresses.into_iter().all(IpAddr::is_loopback)
    }
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

/// Where the API key is read from: never a flag, never the profile itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// An environment variable.
    Env(String),
    /// A file that holds nothing else.
    File(PathBuf),
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
