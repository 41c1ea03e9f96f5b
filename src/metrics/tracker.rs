//! One invocation in flight: what the client sees of it goes in, a [`Record`] comes out.
//!
//! A pure state machine: instants are arguments, nothing here waits. It also says until when the next thing must
//! happen ([`Tracker::deadline`]), so that the client needs one timer for all limits.

use std::sync::Arc;

use super::buffering::Watcher;
use super::check::{Answer, Checks};
use super::labeller::{Labeller, Step};
use super::outcome::Outcome;
use super::pulse::Pulse;
use super::record::Record;
pub use super::start::Start;
use super::tools::Pairing;
pub use super::watch::{Expiry, Watch};
use crate::agent::{Envelope, EventKind, Status, TaskResult, unix_ns};

/// One read that brought body bytes: its number on the connection and its stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Number of the read on its connection.
    pub read: u64,
    /// When the bytes arrived, in nanoseconds: exact for the last of them, the latest possible for the others.
    pub arrival_ns: u64,
    /// When the first of the bytes can have arrived at the earliest, in nanoseconds.
    pub earliest_ns: u64,
    /// When they were handled, in nanoseconds.
    pub handled_ns: u64,
    /// `arrival_ns` is the kernel's; else it was taken in user space, and is the latest possible for all bytes.
    pub kernel: bool,
    /// Bytes of another stream came behind these in the same read: the kernel's stamp is theirs, and the latest possible
    /// for these.
    pub followed: bool,
}

/// How the transport ended; the tracker turns it into the one outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The body ended in order.
    Eof,
    /// Something else ended it, with the cause in words.
    Failed(Outcome, String),
}

/// One invocation in flight.
#[derive(Debug)]
#[repr(C)] // What every event touches comes first, in the size of four cache lines.
pub struct Tracker {
    pulse: Pulse,
    stall_ns: u64,
    task_id: Option<String>,
    /// What the profile's checks look at; absent where there are none.
    answer: Option<Box<Answer>>,
    /// How the task ended.
    status: Option<Box<Status>>,
    labels: Labeller,
    buffering: Watcher,
    /// What is known besides; what the fields above know of is filled in at the end.
    record: Record,
    watch: Watch,
}

const _: () = assert!(std::mem::offset_of!(Tracker, labels) + Labeller::TOUCHED_BYTES <= 4 * 64, "as said above");

impl Tracker {
    /// An invocation that was just taken up; `gaps_ns` is an empty buffer to fill.
    #[must_use]
    pub fn new(mut start: Start, watch: Watch, gaps_ns: Vec<u64>) -> Self {
        let (started_ns, task_id) = (start.started_ns, start.task_id.take());
        Self {
            pulse: Pulse::new(started_ns, gaps_ns),
            stall_ns: watch.stall_ns,
            task_id,
            status: None,
            labels: Labeller::new(started_ns),
            buffering: Watcher::new(),
            record: start.record(),
            answer: None,
            watch,
        }
    }

    /// Holds the invocation's result against these checks.
    #[must_use]
    pub fn checked_by(mut self, checks: &Arc<Checks>) -> Self {
        self.answer = Some(Box::new(Answer::new(checks)));
        self
    }

    /// The phases of a new connection, in nanoseconds.
    pub fn connected(&mut self, connected_ns: Option<u64>, tls_done_ns: Option<u64>) {
        let stamps = &mut self.record.stamps;
        (stamps.connected_ns, stamps.tls_done_ns) = (connected_ns, tls_done_ns);
    }

    /// Whether the connection had served an invocation before.
    pub fn reused(&mut self, reused: bool) {
        self.record.reused = Some(reused);
    }

    /// The request went out.
    pub fn sent(&mut self, sent_ns: u64) {
        self.record.stamps.sent_ns = Some(sent_ns);
        self.labels.sent(Some(sent_ns));
    }

    /// The request never went out after all.
    pub fn unsent(&mut self) {
        self.record.stamps.sent_ns = None;
        self.labels.sent(None);
    }

    /// The response's headers came.
    pub fn headers(&mut self, arrival_ns: u64) {
        let at = self.in_order(arrival_ns);
        self.record.stamps.headers_ns = Some(at);
    }

    /// Body bytes came.
    pub fn bytes(&mut self, arrival: Arrival, bytes: usize) {
        let at = self.in_order(arrival.arrival_ns);
        if self.pulse.piece(at, arrival.read, bytes) {
            self.record.stamps.first_byte_ns = Some(at);
        }
    }

    /// The read of this number went on behind the last event that it completed.
    pub fn followed(&mut self, read: u64) {
        self.pulse.followed(read);
    }

    /// The end of the body came at this instant, in nanoseconds; where nobody knows, it did just before this was said.
    pub fn body_ended(&mut self, at_ns: Option<u64>) {
        self.record.stamps.eof_ns = at_ns;
    }

    /// Comment lines were seen in the bytes that came last.
    pub fn comments(&mut self, count: u64) {
        if count > 0 {
            self.record.counts.comments += count;
        }
    }

    /// An event of the stream. `invalid_utf8` says that its data had to be repaired.
    pub fn event(&mut self, envelope: &Envelope<'_>, arrival: Arrival, invalid_utf8: bool) {
        let at = self.in_order(arrival.arrival_ns);
        if self.pulse.event(at, arrival.handled_ns.saturating_sub(at), arrival.followed) {
            self.record.stamps.first_event_ns = Some(at);
        }
        if invalid_utf8 {
            self.record.counts.invalid_utf8 += 1;
        }
        if self.is_foreign(envelope) {
            self.record.counts.foreign_events += 1;
            return;
        }
        if self.status.is_some() {
            self.record.counts.events_after_end += 1;
            self.record.counts.duplicate_finishes += u64::from(envelope.kind == EventKind::TaskFinished);
            return;
        }
        if envelope.kind.is_activity() {
            self.record.stamps.first_activity_ns.get_or_insert(at);
        }
        match envelope.kind {
            EventKind::Chunk => self.chunk(envelope, at),
            EventKind::TaskCreated => self.task_created(envelope, at),
            EventKind::TaskUpdated => self.task_updated(envelope, at),
            EventKind::TaskFinished => self.task_finished(envelope, at),
            EventKind::ToolCallRequest => self.tool_request(envelope, at),
            EventKind::ToolCallResult => self.tool_result(envelope, at),
            EventKind::Think | EventKind::Analyze | EventKind::PlanUpdated => self.labels.event(at, Step::Thinking),
            EventKind::SubAgentTrigger => self.labels.event(at, Step::SubAgent),
            EventKind::AuthEvent => self.labels.event(at, Step::Auth { open: envelope.asks_for_login() }),
            EventKind::Unknown => self.record.counts.unknown_events += 1,
            EventKind::Connected | EventKind::Other => {}
        }
    }

    /// Until when the next thing must happen, and what it means if it does not.
    #[must_use]
    pub fn deadline(&self) -> (u64, Expiry) {
        self.watch.deadline(&self.record.stamps, self.pulse.byte_ns())
    }

    /// Until when the whole must have ended, in nanoseconds, and how it ends else. Nothing limits what has finished.
    #[must_use]
    pub fn limit(&self) -> (u64, Outcome) {
        let (limit_ns, outcome) = self.watch.limit(&self.record.stamps);
        (if self.is_finished() { u64::MAX } else { limit_ns }, outcome)
    }

    /// Its place in the plan.
    #[must_use]
    pub fn plan_index(&self) -> u64 {
        self.record.plan_index
    }

    /// Bytes of the body so far.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.pulse.body_bytes()
    }

    /// Whether the own `task_finished` was seen.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.status.is_some()
    }

    /// The task id that the agent gave, for the next turn.
    #[must_use]
    pub fn task_id(&self) -> Option<&str> {
        self.task_id.as_deref()
    }

    /// Ends the invocation: its record, and the gaps between its chunks in nanoseconds.
    #[must_use]
    pub fn end(mut self, end: End, now_ns: u64) -> (Record, Vec<u64>) {
        let (record, last_byte_ns) = (&mut self.record, self.pulse.byte_ns());
        let gaps_ns = self.pulse.end(record);
        record.buffered = self.buffering.found();
        record.task_id = self.task_id;
        record.counts.tool_unpaired += self.labels.open_calls();
        record.stamps.last_known_ns = now_ns.max(record.stamps.last_known_ns);
        if end == End::Eof {
            let ended_ns = record.stamps.eof_ns.unwrap_or(now_ns);
            record.stamps.eof_ns = Some(last_byte_ns.map_or(ended_ns, |at| ended_ns.max(at)));
        }
        let failed_check = self.answer.and_then(|answer| answer.into_failure());
        (record.outcome, record.detail) = match (&self.status, end) {
            // Whatever the transport does after the task has finished can't change how the task went.
            (Some(_), _) if failed_check.is_some() => (Outcome::CheckFailed, failed_check),
            (Some(status), _) => Outcome::of_status(status),
            (None, End::Eof) => (Outcome::Truncated, Some("the body ended before task_finished".to_owned())),
            (None, End::Failed(outcome, detail)) => (outcome, Some(detail)),
        };
        let labelled = self.labels.end(record.stamps.finished_ns.unwrap_or(record.stamps.last_known_ns));
        (record.parts, record.stalled) = (labelled.times, labelled.stalled);
        (record.tools, record.calls) = (labelled.tools, labelled.calls);
        (self.record, gaps_ns)
    }

    /// Keeps stamps in order: one before an earlier stamp is set to that and counted (METRICS.md).
    fn in_order(&mut self, at_ns: u64) -> u64 {
        let stamps = &self.record.stamps;
        let floor = self.pulse.byte_ns().or_else(|| stamps.headers_ns.or(stamps.sent_ns)).unwrap_or(0);
        if at_ns < floor {
            self.record.counts.stamps_moved += 1;
        }
        let at = at_ns.max(floor);
        self.pulse.known(at);
        at
    }

    /// Whether an event belongs to another task. The own id is that of the first `task_created`; before it, the
    /// one that was continued, or the first one seen.
    fn is_foreign(&mut self, envelope: &Envelope<'_>) -> bool {
        let Some(id) = envelope.task_id.as_deref() else { return false };
        let names_the_task = envelope.kind == EventKind::TaskCreated && self.record.stamps.task_created_ns.is_none();
        match &self.task_id {
            Some(own) if own == id => false,
            Some(_) if !names_the_task => envelope.kind != EventKind::Connected,
            None if envelope.kind == EventKind::Connected => false,
            _ => {
                self.task_id = Some(id.to_owned());
                false
            }
        }
    }

    fn chunk(&mut self, envelope: &Envelope<'_>, at: u64) {
        let Some(text_bytes) = envelope.chunk_text_bytes().filter(|bytes| *bytes > 0) else {
            return self.labels.event(at, Step::Sign);
        };
        if let Some(answer) = &mut self.answer {
            answer.chunk(|| envelope.chunk_text().unwrap_or_default());
        }
        match self.pulse.chunk_in_read() {
            Some(read_bytes) => self.buffering.further(envelope.time, read_bytes),
            None => self.buffering.first(envelope.time),
        }
        let mut stalled = false;
        if let Some(gap_ns) = self.pulse.chunk(at, text_bytes) {
            stalled = gap_ns > self.stall_ns;
            if stalled {
                self.record.counts.stalls += 1;
                self.record.counts.stalled_ns += gap_ns;
            }
        } else {
            self.record.stamps.first_chunk_ns = Some(at);
            self.record.server.first_chunk_unix_ns = envelope.time.and_then(unix_ns);
        }
        self.labels.event(at, Step::Chunk { stalled });
    }

    fn task_created(&mut self, envelope: &Envelope<'_>, at: u64) {
        if self.record.stamps.task_created_ns.is_some() {
            self.record.counts.duplicate_creations += 1;
        } else {
            self.record.stamps.task_created_ns = Some(at);
            self.record.server.created_unix_ns = envelope.time.and_then(unix_ns);
        }
        self.labels.event(at, Step::Task { executing: false });
    }

    fn task_updated(&mut self, envelope: &Envelope<'_>, at: u64) {
        let executing = self.record.stamps.executing_ns.is_none()
            && envelope.task().is_some_and(|task| task.status == Status::Executing);
        if executing {
            self.record.stamps.executing_ns = Some(at);
            self.record.server.executing_unix_ns = envelope.time.and_then(unix_ns);
        }
        self.labels.event(at, Step::Task { executing });
    }

    fn task_finished(&mut self, envelope: &Envelope<'_>, at: u64) {
        self.record.stamps.finished_ns = Some(at);
        self.record.server.finished_unix_ns = envelope.time.and_then(unix_ns);
        let task = envelope.task();
        if let Some(task) = &task {
            self.record.tokens = task.tokens.unwrap_or_default();
            self.record.task = task.times;
        }
        let status = task.map_or(Status::Unknown(String::new()), |task| task.status);
        if let Some(answer) = self.answer.as_mut().filter(|_| status == Status::Completed) {
            let result = TaskResult::read(envelope.data.unwrap_or_default());
            answer.judge(&result, self.record.counts.tool_errors);
        }
        self.status = Some(Box::new(status));
    }

    fn tool_request(&mut self, envelope: &Envelope<'_>, at: u64) {
        self.record.counts.tool_calls += 1;
        let Some(call) = envelope.tool_call() else {
            self.record.counts.tool_unpaired += 1;
            return self.labels.event(at, Step::Tool);
        };
        let paired = self.labels.tool_request(at, &call.request_id, &call.name);
        self.record.counts.tool_unpaired += u64::from(!paired);
    }

    fn tool_result(&mut self, envelope: &Envelope<'_>, at: u64) {
        let counts = &mut self.record.counts;
        let Some(call) = envelope.tool_call() else {
            counts.tool_unpaired += 1;
            return self.labels.event(at, Step::Tool);
        };
        counts.tool_errors += u64::from(call.is_error);
        match self.labels.tool_result(at, &call.request_id) {
            Pairing::Paired => {}
            Pairing::Untimed => counts.tool_untimed += 1,
            Pairing::Unpaired => counts.tool_unpaired += 1,
        }
    }
}
