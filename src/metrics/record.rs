//! One invocation: its stamps, its sizes and counts, and how it ended.

use std::sync::Arc;

use super::buffering::Buffered;
use super::outcome::Outcome;
use super::parts::PartTimes;
use super::tools::ToolTime;
use crate::agent::{Times, Tokens};

/// The instants of one invocation, in nanoseconds since the run's origin; what did not happen is absent.
///
/// METRICS.md, "Stamps of one invocation", says when each is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamps {
    /// When it should have started.
    pub intended_ns: u64,
    /// When the worker took it up; absent when it was never started.
    pub started_ns: Option<u64>,
    /// The name was resolved, where that was a part of the connection: a run looks it up once, before its load.
    pub dns_done_ns: Option<u64>,
    /// TCP stood (new connection only).
    pub connected_ns: Option<u64>,
    /// TLS stood (new TLS connection only).
    pub tls_done_ns: Option<u64>,
    /// Just before the write call that took the last byte of the request.
    pub sent_ns: Option<u64>,
    /// Status line and headers were read.
    pub headers_ns: Option<u64>,
    /// First byte of the body.
    pub first_byte_ns: Option<u64>,
    /// First complete event of any kind.
    pub first_event_ns: Option<u64>,
    /// `task_created`.
    pub task_created_ns: Option<u64>,
    /// First `task_updated` with status `executing`.
    pub executing_ns: Option<u64>,
    /// First think, analyze, tool, plan or sub-agent event.
    pub first_activity_ns: Option<u64>,
    /// First `chunk` with text.
    pub first_chunk_ns: Option<u64>,
    /// Last `chunk` with text.
    pub last_chunk_ns: Option<u64>,
    /// `task_finished` of the own task id.
    pub finished_ns: Option<u64>,
    /// End of the body.
    pub eof_ns: Option<u64>,
    /// The last instant at which this invocation was known to be going on: where an absent stamp is censored.
    pub last_known_ns: u64,
}

/// What was counted on one invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Complete events of any kind.
    pub events: u64,
    /// Events of type `chunk` with text.
    pub chunks: u64,
    /// UTF-8 bytes of text in those chunks.
    pub text_bytes: u64,
    /// Bytes of the body as the event stream carries them.
    pub body_bytes: u64,
    /// Reads that brought body bytes.
    pub reads: u64,
    /// Events that did not complete last in their read: their stamp is an upper bound.
    pub shared_reads: u64,
    /// Comment lines (heartbeats).
    pub comments: u64,
    /// Events whose type the contract does not know.
    pub unknown_events: u64,
    /// Events of another task id.
    pub foreign_events: u64,
    /// Events after the own `task_finished`.
    pub events_after_end: u64,
    /// Further own `task_finished` events.
    pub duplicate_finishes: u64,
    /// Further own `task_created` events.
    pub duplicate_creations: u64,
    /// Events whose SSE data was no valid UTF-8.
    pub invalid_utf8: u64,
    /// Tool calls asked for.
    pub tool_calls: u64,
    /// Tool results with `is_error`.
    pub tool_errors: u64,
    /// Tool requests without a result, and results without a request.
    pub tool_unpaired: u64,
    /// Paired calls over the number whose times are kept.
    pub tool_untimed: u64,
    /// Gaps over the profile's stall threshold.
    pub stalls: u64,
    /// Time in those gaps, in nanoseconds.
    pub stalled_ns: u64,
    /// Stamps that had to be moved to keep their order.
    pub stamps_moved: u64,
}

/// The longest waits of one invocation, in nanoseconds; absent when there were not two samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Longest {
    /// Between neighbouring chunks with text.
    pub gap_ns: Option<u64>,
    /// Between neighbouring body bytes.
    pub silence_ns: Option<u64>,
    /// Between neighbouring events: over the silence by what comments alone filled.
    pub event_silence_ns: Option<u64>,
    /// From the arrival of an event to its handling: the client's own lag.
    pub client_lag_ns: Option<u64>,
}

/// When events happened by the server's own clock: their `time`, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerStamps {
    /// Of `task_created`.
    pub created_unix_ns: Option<u64>,
    /// Of the first `task_updated` with status `executing`.
    pub executing_unix_ns: Option<u64>,
    /// Of the first `chunk` with text.
    pub first_chunk_unix_ns: Option<u64>,
    /// Of the own `task_finished`.
    pub finished_unix_ns: Option<u64>,
}

/// How the user of an invocation behaved, and what held them up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conduct {
    /// When the in-flight limit, the budget's rate or its brake let it in; absent when it did not have to wait.
    pub admitted_ns: Option<u64>,
    /// How long after its start the user meant to hang up, in nanoseconds.
    pub hang_up_ns: Option<u64>,
    /// How fast the user read the body, in bytes a second; absent when as fast as it came.
    pub read_bytes_per_s: Option<u64>,
    /// Whether it goes on with the task of a turn that did not complete.
    pub resumed: bool,
}

impl Conduct {
    /// Whether the lag and the stamps of its events say something about the client: what lies there because its user reads
    /// slowly does not.
    #[must_use]
    pub fn shows_the_client(&self) -> bool {
        self.read_bytes_per_s.is_none()
    }
}

/// One planned start and what became of it: a row of `invocations.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the plan.
    pub plan_index: u64,
    /// The name of its variant.
    pub variant: Arc<str>,
    /// The name of its scenario; empty where the profile has none.
    pub scenario: Arc<str>,
    /// Its conversation.
    pub conversation: u64,
    /// Its turn within the conversation, from 0.
    pub turn: u32,
    /// The worker that took it up.
    pub worker: Option<u32>,
    /// Intended before the warm-up's end: left out of the summary.
    pub warmup: bool,
    /// The task id that the agent gave it.
    pub task_id: Option<String>,
    /// The connection had served an invocation before; absent when none was had.
    pub reused: Option<bool>,
    /// How it ended.
    pub outcome: Outcome,
    /// The cause in words, when it did not complete.
    pub detail: Option<String>,
    /// When what happened.
    pub stamps: Stamps,
    /// How much.
    pub counts: Counts,
    /// Its reads of chunks that were sent apart.
    pub buffered: Buffered,
    /// The longest waits.
    pub longest: Longest,
    /// Every instant from its start to its end, by label.
    pub parts: PartTimes,
    /// The gaps that were stalls, by label.
    pub stalled: PartTimes,
    /// The part `tool` by the tool's name.
    pub tools: Vec<ToolTime>,
    /// Each tool call that was paired, from its request to its result, in order of results.
    pub calls: Vec<ToolTime>,
    /// The server's own account of when.
    pub server: ServerStamps,
    /// The task's own account of when.
    pub task: Times,
    /// The agent's own count of tokens.
    pub tokens: Tokens,
    /// How its user behaved.
    pub conduct: Conduct,
}

impl Record {
    /// A planned start that was never taken up.
    #[must_use]
    pub fn unstarted(plan_index: u64, variant: Arc<str>, intended_ns: u64, now_ns: u64, outcome: Outcome) -> Self {
        debug_assert!(!outcome.was_started(), "{outcome} is an outcome of started invocations");
        let stamps = Stamps { intended_ns, last_known_ns: now_ns.max(intended_ns), ..Stamps::default() };
        Self {
            plan_index,
            variant,
            scenario: Arc::default(),
            conversation: 0,
            turn: 0,
            worker: None,
            warmup: false,
            task_id: None,
            reused: None,
            outcome,
            detail: None,
            stamps,
            counts: Counts::default(),
            buffered: Buffered::default(),
            longest: Longest::default(),
            parts: PartTimes::default(),
            stalled: PartTimes::default(),
            tools: Vec::new(),
            calls: Vec::new(),
            server: ServerStamps::default(),
            task: Times::default(),
            tokens: Tokens::default(),
            conduct: Conduct::default(),
        }
    }

    /// The same start, as of one that could not be made after all: the client had nothing to make it with.
    #[must_use]
    pub fn unmade(self) -> Self {
        let Stamps { intended_ns, last_known_ns, .. } = self.stamps;
        let stamps = Stamps { intended_ns, last_known_ns, ..Stamps::default() };
        Self { stamps, reused: None, parts: PartTimes::default(), ..self }
    }

    /// From the start to `finished`, or to the last known instant when it did not finish, in nanoseconds; 0 when it
    /// was never started.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        let stamps = &self.stamps;
        let end_ns = stamps.finished_ns.unwrap_or(stamps.last_known_ns);
        stamps.started_ns.map_or(0, |started_ns| end_ns.saturating_sub(started_ns))
    }

    /// Whether no connection came about, or it broke before the answer's head: what a target does that is gone.
    #[must_use]
    pub fn got_no_answer(&self) -> bool {
        use Outcome::{ConnectFailed, NotStarted, Reset, TlsFailed};
        let broke = matches!(self.outcome, ConnectFailed | TlsFailed | Reset | NotStarted);
        broke && self.stamps.headers_ns.is_none()
    }

    /// Whether the parts add up to the whole, to the nanosecond, and the parts of the parts to theirs.
    #[must_use]
    pub fn parts_add_up(&self) -> bool {
        let tools_ns: u64 = self.tools.iter().map(|tool| tool.ns).sum();
        self.parts.sum_ns() == self.duration_ns()
            && tools_ns == self.parts.tool_ns
            && self.stalled.sum_ns() == self.counts.stalled_ns
    }

    /// When a new connection stood, TLS included.
    ///
    /// With TLS, TCP alone is not enough: a handshake that failed has left no connection.
    #[must_use]
    pub fn connected_ns(&self) -> Option<u64> {
        let tls_failed = self.outcome == Outcome::TlsFailed;
        self.stamps.tls_done_ns.or(self.stamps.connected_ns.filter(|_| !tls_failed))
    }

    /// The harness's own lateness: started − intended, or − when it was let in, where a limit held it up until then.
    #[must_use]
    pub fn start_lag_ns(&self) -> Option<u64> {
        let due_ns = self.conduct.admitted_ns.unwrap_or(0).max(self.stamps.intended_ns);
        self.stamps.started_ns.map(|started| started.saturating_sub(due_ns))
    }

    /// From the intended start to `stamp`.
    #[must_use]
    pub fn from_intended_ns(&self, stamp: Option<u64>) -> Option<u64> {
        stamp.map(|at| at.saturating_sub(self.stamps.intended_ns))
    }

    /// From the send to `stamp`; absent when the request was never sent whole.
    #[must_use]
    pub fn from_sent_ns(&self, stamp: Option<u64>) -> Option<u64> {
        Some(stamp?.saturating_sub(self.stamps.sent_ns?))
    }
}
