//! What the mock writes down: the truth, event by event, and the requests.
//!
//! A log that can't be written any more is given up, and said so at the end; the mock goes on serving.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::{Mutex, PoisonError};

use super::time::Stamp;
use super::truth;
use crate::clock::Clock;

/// How much is collected before it is written, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Where the logs go; each is optional.
#[derive(Debug, Default)]
pub struct Logs {
    truth: Option<Log>,
    requests: Option<Log>,
}

struct Log(Mutex<Open>);

struct Open {
    out: BufWriter<Box<dyn Write + Send>>,
    failure: Option<io::Error>,
}

impl fmt::Debug for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Log")
    }
}

impl Log {
    fn new(out: Box<dyn Write + Send>) -> Self {
        Self(Mutex::new(Open { out: BufWriter::with_capacity(BUFFER_BYTES, out), failure: None }))
    }

    fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let open = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.failure.is_none() {
            open.failure = write(&mut open.out).err();
        }
    }

    fn finish(&self) -> io::Result<()> {
        let open = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.failure.take() {
            Some(error) => Err(error),
            None => open.out.flush(),
        }
    }
}

/// An event that waits to be handed to the socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) event_index: u64,
    pub(super) kind: &'static str,
    pub(super) bytes: usize,
    pub(super) due_ns: u64,
}

/// One request, as its log has it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Line<'a> {
    pub(super) time: Stamp,
    pub(super) method: &'a str,
    /// Without the query, which may hold anything.
    pub(super) path: &'a str,
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plan_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task_id: Option<&'a str>,
}

impl Logs {
    /// Writes down when each event was handed to the socket, as CSV.
    #[must_use]
    pub fn truth(mut self, out: Box<dyn Write + Send>) -> Self {
        let log = Log::new(out);
        log.write(|out| writeln!(out, "{}", truth::COLUMNS));
        self.truth = Some(log);
        self
    }

    /// Writes down each request, as a line of JSON. Keys and bodies are never in it.
    #[must_use]
    pub fn requests(mut self, out: Box<dyn Write + Send>) -> Self {
        self.requests = Some(Log::new(out));
        self
    }

    pub(super) fn has_truth(&self) -> bool {
        self.truth.is_some()
    }

    /// These events were handed to the socket by a write that began and ended at these instants; its end may be unknown.
    pub(super) fn handed(
        &self,
        plan_index: u64,
        events: &[Due],
        handed_ns: u64,
        written_ns: Option<u64>,
        clock: Clock,
    ) {
        let Some(log) = &self.truth else { return };
        let unix_ns = clock.wall_unix_ns().saturating_add(handed_ns);
        let monotonic = |at_ns: u64| clock.monotonic_ns().map(|origin_ns| origin_ns.saturating_add(at_ns));
        let row = |due: &Due| truth::Row {
            plan_index,
            event_index: due.event_index,
            kind: Cow::Borrowed(due.kind),
            bytes: due.bytes as u64,
            due_ns: due.due_ns,
            handed_ns,
            handed_unix_ns: unix_ns,
            handed_monotonic_ns: monotonic(handed_ns),
            written_monotonic_ns: written_ns.and_then(monotonic),
        };
        log.write(|out| events.iter().try_for_each(|due| row(due).write(out)));
    }

    pub(super) fn request(&self, line: impl FnOnce() -> Option<String>) {
        let Some(log) = &self.requests else { return };
        if let Some(line) = line() {
            log.write(|out| writeln!(out, "{line}"));
        }
    }

    /// Writes out what was collected.
    ///
    /// # Errors
    /// The first failure of a log, also an earlier one.
    pub fn finish(&self) -> io::Result<()> {
        [&self.truth, &self.requests].into_iter().flatten().try_for_each(Log::finish)
    }
}
