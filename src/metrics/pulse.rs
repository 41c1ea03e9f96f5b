//! What every event of a stream changes, kept together: ten thousand streams then cost an event hardly more than a
//! hundred, because an event touches few of the machine's cache lines.

use super::record::{Longest, Record};

/// The latest instants, the sizes and the gaps of an invocation in flight, in nanoseconds and bytes.
///
/// What is not there yet is 0; the counts beside it tell whether it is.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Pieces of the body, events, and chunks with text.
    pieces: u64,
    events: u64,
    chunks: u64,
    /// When the last one of each came.
    piece_ns: u64,
    event_ns: u64,
    chunk_ns: u64,
    /// The last instant of anything.
    known_ns: u64,
    body_bytes: u64,
    text_bytes: u64,
    /// The number of the last read, and whether it has completed an event.
    read: u64,
    event_in_read: bool,
    /// Whether it has brought a chunk with text, and its bytes so far.
    chunk_in_read: bool,
    read_bytes: u64,
    reads: u64,
    shared_reads: u64,
    longest_silence_ns: u64,
    longest_event_silence_ns: u64,
    longest_gap_ns: u64,
    longest_lag_ns: u64,
    gaps_ns: Vec<u64>,
}

impl Pulse {
    /// Of a stream that has not begun; `gaps_ns` is an empty buffer to fill.
    pub(super) fn new(started_ns: u64, gaps_ns: Vec<u64>) -> Self {
        debug_assert!(gaps_ns.is_empty(), "a gap buffer is handed on empty");
        Self {
            pieces: 0,
            events: 0,
            chunks: 0,
            piece_ns: 0,
            event_ns: 0,
            chunk_ns: 0,
            known_ns: started_ns,
            body_bytes: 0,
            text_bytes: 0,
            read: 0,
            event_in_read: false,
            chunk_in_read: false,
            read_bytes: 0,
            reads: 0,
            shared_reads: 0,
            longest_silence_ns: 0,
            longest_event_silence_ns: 0,
            longest_gap_ns: 0,
            longest_lag_ns: 0,
            gaps_ns,
        }
    }

    /// When the last bytes of the body came.
    pub(super) fn byte_ns(&self) -> Option<u64> {
        (self.pieces > 0).then_some(self.piece_ns)
    }

    /// Bytes of the body so far.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Whether the last read has brought a chunk with text already, and its bytes so far.
    pub(super) fn chunk_in_read(&self) -> Option<u64> {
        self.chunk_in_read.then_some(self.read_bytes)
    }

    /// Something is known of this instant.
    pub(super) fn known(&mut self, at_ns: u64) {
        self.known_ns = self.known_ns.max(at_ns);
    }

    /// A piece of the body came by this read; says whether it is the first.
    pub(super) fn piece(&mut self, at_ns: u64, read: u64, bytes: usize) -> bool {
        let is_first = self.pieces == 0;
        if !is_first {
            self.longest_silence_ns = self.longest_silence_ns.max(at_ns - self.piece_ns);
        }
        if is_first || self.read != read {
            self.reads += 1;
            self.event_in_read = false;
            self.chunk_in_read = false;
            self.read_bytes = 0;
        }
        self.read = read;
        self.piece_ns = at_ns;
        self.pieces += 1;
        self.body_bytes += bytes as u64;
        self.read_bytes += bytes as u64;
        is_first
    }

    /// An event was completed, and handled so long after; `followed` says that its read went on with another stream's
    /// bytes. Says whether it is the first.
    pub(super) fn event(&mut self, at_ns: u64, lag_ns: u64, followed: bool) -> bool {
        let is_first = self.events == 0;
        if !is_first {
            self.longest_event_silence_ns = self.longest_event_silence_ns.max(at_ns - self.event_ns);
        }
        self.longest_lag_ns = self.longest_lag_ns.max(lag_ns);
        // The event before this one in the same read was not the last of it.
        self.shared_reads += u64::from(self.event_in_read) + u64::from(followed);
        self.event_in_read = !followed;
        self.event_ns = at_ns;
        self.events += 1;
        is_first
    }

    /// This read went on behind the last event that it completed.
    pub(super) fn followed(&mut self, read: u64) {
        if self.read == read && std::mem::take(&mut self.event_in_read) {
            self.shared_reads += 1;
        }
    }

    /// A chunk with so much text came; gives the gap since the one before.
    pub(super) fn chunk(&mut self, at_ns: u64, text_bytes: usize) -> Option<u64> {
        let gap_ns = (self.chunks > 0).then(|| at_ns - self.chunk_ns);
        if let Some(gap_ns) = gap_ns {
            self.longest_gap_ns = self.longest_gap_ns.max(gap_ns);
            self.gaps_ns.push(gap_ns);
        }
        self.chunk_ns = at_ns;
        self.chunk_in_read = true;
        self.chunks += 1;
        self.text_bytes += text_bytes as u64;
        gap_ns
    }

    /// Writes all this into the record of the invocation that has ended, and gives the gaps between its chunks.
    pub(super) fn end(self, record: &mut Record) -> Vec<u64> {
        let counts = &mut record.counts;
        (counts.events, counts.chunks, counts.text_bytes) = (self.events, self.chunks, self.text_bytes);
        (counts.body_bytes, counts.reads, counts.shared_reads) = (self.body_bytes, self.reads, self.shared_reads);
        record.stamps.last_chunk_ns = (self.chunks > 0).then_some(self.chunk_ns);
        record.stamps.last_known_ns = self.known_ns;
        record.longest = Longest {
            gap_ns: (self.chunks > 1).then_some(self.longest_gap_ns),
            silence_ns: (self.pieces > 1).then_some(self.longest_silence_ns),
            event_silence_ns: (self.events > 1).then_some(self.longest_event_silence_ns),
            client_lag_ns: (self.events > 0).then_some(self.longest_lag_ns),
        };
        self.gaps_ns
    }
}
