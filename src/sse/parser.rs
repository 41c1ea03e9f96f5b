//! The push parser.
//!
//! Adding a field: touch [`State::field`], the naive twin in `reference`, and the vectors.

use memchr::memchr2;
use thiserror::Error;

use super::event::Event;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// How much a parser holds back at most, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One line.
    pub line_bytes: usize,
    /// The data of one event.
    pub event_bytes: usize,
}

impl Default for Limits {
    /// 16 MiB each: the largest event of the public contract tests has 14 MB.
    fn default() -> Self {
        Self { line_bytes: 16 << 20, event_bytes: 16 << 20 }
    }
}

/// A stream that holds more than the limits let through; the parser is of no use after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// A line over the limit.
    #[error("read a line of the event stream: it is longer than the limit of {limit} bytes; raise limits.event_bytes")]
    LineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// An event over the limit.
    #[error(
        "read an event of the stream: its data is larger than the limit of {limit} bytes; raise limits.event_bytes"
    )]
    EventTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// What a parser has counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes fed.
    pub bytes: u64,
    /// Events given out.
    pub events: u64,
    /// Comment lines.
    pub comments: u64,
    /// Lines with a field that the specification does not know.
    pub unknown_fields: u64,
}

/// A push parser for one event stream.
#[derive(Debug, Default)]
pub struct Parser {
    limits: Limits,
    state: State,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    /// How much of a byte-order mark has been seen; three when the start is decided.
    bom_seen: usize,
    /// The last byte was a CR: an LF right after it belongs to the same line end.
    skip_lf: bool,
    failure: Option<Error>,
}

/// The buffers of HTML §9.2.6, and what is kept over events.
#[derive(Debug, Default)]
struct State {
    data: Vec<u8>,
    has_data: bool,
    event_type: Vec<u8>,
    id: Vec<u8>,
    last_id: Vec<u8>,
    retry_ms: Option<u64>,
    counts: Counts,
    dispatched: bool,
}

/// The events of one chunk: a lending iterator over what is complete.
#[derive(Debug)]
pub struct Events<'p, 'c> {
    parser: &'p mut Parser,
    rest: &'c [u8],
}

impl Parser {
    /// A parser with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes a chunk of the stream; the events are taken from what is returned, until there is none.
    pub fn feed<'p, 'c>(&'p mut self, chunk: &'c [u8]) -> Events<'p, 'c> {
        Events { parser: self, rest: chunk }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.counts
    }

    /// The last event id that a complete block has set.
    #[must_use]
    pub fn last_event_id(&self) -> &[u8] {
        &self.state.last_id
    }

    /// The reconnection time that the stream asked for, in milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.state.retry_ms
    }

    /// Whether part of an event is held: at the end of a stream, what is thrown away.
    #[must_use]
    pub fn pending(&self) -> bool {
        !self.line.is_empty() || self.state.has_data || !self.state.event_type.is_empty()
    }

    /// Takes the byte-order mark off the start of the stream, also when it is split; gives back what follows it.
    fn strip_bom<'c>(&mut self, mut chunk: &'c [u8]) -> &'c [u8] {
        while self.bom_seen < BOM.len()
            && let Some((first, rest)) = chunk.split_first()
        {
            if *first != BOM[self.bom_seen] {
                // No mark after all: the bytes that looked like one begin the first line.
                self.line.extend_from_slice(&BOM[..self.bom_seen]);
                self.bom_seen = BOM.len();
                return chunk;
            }
            self.bom_seen += 1;
            self.state.counts.bytes += 1;
            chunk = rest;
        }
        chunk
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), Error> {
        if self.line.len() + piece.len() > self.limits.line_bytes {
            let error = Error::LineTooLong { limit: self.limits.line_bytes };
            self.failure = Some(error);
            return Err(error);
        }
        self.line.extend_from_slice(piece);
        self.state.counts.bytes += piece.len() as u64;
        Ok(())
    }
}

impl Events<'_, '_> {
    /// The next complete event; none when more bytes are needed.
    ///
    /// # Errors
    /// A limit was passed; every later call says so again.
    #[expect(
        clippy::should_implement_trait,
        reason = "the event borrows from the iterator, which `Iterator` can't say"
    )]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Error> {
        if let Some(error) = self.parser.failure {
            return Err(error);
        }
        self.rest = self.parser.strip_bom(self.rest);
        while let Some(first) = self.rest.first() {
            if std::mem::take(&mut self.parser.skip_lf) && *first == b'\n' {
                self.rest = &self.rest[1..];
                self.parser.state.counts.bytes += 1;
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', self.rest) else {
                let piece = std::mem::take(&mut self.rest);
                self.parser.keep(piece)?;
                return Ok(None);
            };
            if self.line(end)? {
                return Ok(Some(self.parser.state.event()));
            }
        }
        Ok(None)
    }

    /// Interprets the line that ends at `end` of the rest; says whether it dispatched an event.
    fn line(&mut self, end: usize) -> Result<bool, Error> {
        let parser = &mut *self.parser;
        let (piece, ending) = self.rest.split_at(end);
        self.rest = &ending[1..];
        parser.skip_lf = ending[0] == b'\r';
        let limits = parser.limits;
        let done = if parser.line.is_empty() && piece.len() <= limits.line_bytes {
            parser.state.counts.bytes += piece.len() as u64 + 1;
            parser.state.line(piece, limits)
        } else {
            parser.keep(piece)?;
            parser.state.counts.bytes += 1;
            let done = parser.state.line(&parser.line, limits);
            parser.line.clear();
            done
        };
        if let Err(error) = done {
            parser.failure = Some(error);
        }
        done
    }
}

impl State {
    fn event(&self) -> Event<'_> {
        let data = self.data.strip_suffix(b"\n").unwrap_or(&self.data);
        Event { event_type: &self.event_type, data, id: &self.last_id, end: self.counts.bytes }
    }

    /// One line, without its end (§9.2.6, "once the end of the line is reached").
    fn line(&mut self, line: &[u8], limits: Limits) -> Result<bool, Error> {
        if std::mem::take(&mut self.dispatched) {
            self.clear();
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        if line[0] == b':' {
            self.counts.comments += 1;
            return Ok(false);
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        // "If value starts with a U+0020 SPACE character, remove it": one, and no other white space.
        self.field(name, value.strip_prefix(b" ").unwrap_or(value), limits)?;
        Ok(false)
    }

    fn field(&mut self, name: &[u8], value: &[u8], limits: Limits) -> Result<(), Error> {
        match name {
            b"data" => {
                if self.data.len() + value.len() > limits.event_bytes {
                    return Err(Error::EventTooLarge { limit: limits.event_bytes });
                }
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
                self.has_data = true;
            }
            b"event" => {
                self.event_type.clear();
                self.event_type.extend_from_slice(value);
            }
            // "If the field value does not contain U+0000 NULL", else the field is ignored.
            b"id" if !value.contains(&0) => {
                self.id.clear();
                self.id.extend_from_slice(value);
            }
            // "If the field value consists of only ASCII digits": at least one; too large a number saturates.
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = value.iter().map(|digit| u64::from(digit - b'0'));
                self.retry_ms = Some(digits.fold(0, |number, digit| number.saturating_mul(10).saturating_add(digit)));
            }
            b"id" | b"retry" => {}
            _ => self.counts.unknown_fields += 1,
        }
        Ok(())
    }

    /// The end of a block (§9.2.6, "dispatch the event"); says whether there is an event.
    fn dispatch(&mut self) -> bool {
        if self.last_id != self.id {
            self.last_id.clone_from(&self.id);
        }
        if !self.has_data {
            self.event_type.clear();
            return false;
        }
        self.has_data = false;
        self.dispatched = true;
        self.counts.events += 1;
        true
    }

    /// Clears what an event that was given out had borrowed.
    fn clear(&mut self) {
        self.data.clear();
        self.event_type.clear();
    }
}
