//! What every event of a stream changes, kept together: ten thousand streams then cost an event hardly more than a
//! hundred, because an event touches few of the machine's cache lines.

use super::record::{Longest, Record};

/// The latest instants, the sizes and the gaps of an invocation in flight; instants in nanoseconds.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Of body bytes.
    pub(super) byte_ns: Option<u64>,
    /// Of a complete event.
    pub(super) event_ns: Option<u64>,
    /// Of a chunk with text.
    pub(super) chunk_ns: Option<u64>,
    /// Of anything.
    pub(super) known_ns: u64,
    /// The number of the read.
    read: Option<u64>,
    /// That read has completed an event.
    event_in_read: bool,
    reads: u64,
    body_bytes: u64,
    events: u64,
    shared_reads: u64,
    chunks: u64,
    text_bytes: u64,
    stall_ns: u64,
    longest: Longest,
    gaps_ns: Vec<u64>,
}

impl Pulse {
    /// Of a stream that has not begun. A gap over `stall_ns` is a stall; `gaps_ns` is an empty buffer to fill.
    pub(super) fn new(started_ns: u64, stall_ns: u64, gaps_ns: Vec<u64>) -> Self {
        debug_assert!(gaps_ns.is_empty(), "a gap buffer is handed on empty");
        Self {
            byte_ns: None,
            event_ns: None,
            chunk_ns: None,
            known_ns: started_ns,
            read: None,
            event_in_read: false,
            reads: 0,
            body_bytes: 0,
            events: 0,
            shared_reads: 0,
            chunks: 0,
            text_bytes: 0,
            stall_ns,
            longest: Longest::default(),
            gaps_ns,
        }
    }

    /// Body bytes came by this read; says whether they are the first.
    pub(super) fn bytes(&mut self, at_ns: u64, read: u64, bytes: usize) -> bool {
        let before = self.byte_ns.replace(at_ns);
        if let Some(before_ns) = before {
            widen(&mut self.longest.silence_ns, at_ns - before_ns);
        }
        if self.read.replace(read) != Some(read) {
            self.reads += 1;
            self.event_in_read = false;
        }
        self.body_bytes += bytes as u64;
        before.is_none()
    }

    /// An event was completed, and handled so long after; says whether it is the first.
    pub(super) fn event(&mut self, at_ns: u64, lag_ns: u64) -> bool {
        self.events += 1;
        // The event before this one in the same read was not the last of it.
        self.shared_reads += u64::from(self.event_in_read);
        self.event_in_read = true;
        widen(&mut self.longest.client_lag_ns, lag_ns);
        let before = self.event_ns.replace(at_ns);
        if let Some(before_ns) = before {
            widen(&mut self.longest.event_silence_ns, at_ns - before_ns);
        }
        before.is_none()
    }

    /// A chunk with so much text came; gives the gap since the one before.
    pub(super) fn chunk(&mut self, at_ns: u64, text_bytes: usize) -> Option<u64> {
        self.chunks += 1;
        self.text_bytes += text_bytes as u64;
        let gap_ns = at_ns - self.chunk_ns.replace(at_ns)?;
        self.gaps_ns.push(gap_ns);
        widen(&mut self.longest.gap_ns, gap_ns);
        Some(gap_ns)
    }

    /// Whether a gap is a stall.
    pub(super) fn is_stall(&self, gap_ns: u64) -> bool {
        gap_ns > self.stall_ns
    }

    /// Writes all this into the record of the invocation that has ended, and gives the gaps between its chunks.
    pub(super) fn end(self, record: &mut Record) -> Vec<u64> {
        let counts = &mut record.counts;
        (counts.events, counts.chunks, counts.text_bytes) = (self.events, self.chunks, self.text_bytes);
        (counts.body_bytes, counts.reads, counts.shared_reads) = (self.body_bytes, self.reads, self.shared_reads);
        (record.stamps.last_chunk_ns, record.stamps.last_known_ns) = (self.chunk_ns, self.known_ns);
        record.longest = self.longest;
        self.gaps_ns
    }
}

fn widen(longest: &mut Option<u64>, sample: u64) {
    *longest = Some(longest.map_or(sample, |known| known.max(sample)));
}
