//! The push parser: where lines and blocks end, and what is held between two chunks.
//!
//! Almost every event of almost every stream has one shape, `data: …` and a blank line, and lies within a chunk. That
//! shape has a path of its own in [`Parser::next_event`], one search long; all else goes line by line through
//! [`Parser::next_in_full`], which also knows that shape and gives the same.

use super::event::Event;
use super::interpreter::{Interpreter, without_space};
use super::limits::{Error, Limits};
use super::line_end::{self, SHORT_BYTES};
use super::partial::Partial;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// How an event of the common shape begins.
const PLAIN: &[u8] = b"data: ";

/// What a parser has counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes taken.
    pub bytes: u64,
    /// Events given out.
    pub events: u64,
    /// Comment lines.
    pub comments: u64,
    /// Lines with a field that the specification does not know.
    pub unknown_fields: u64,
}

/// A push parser for one event stream.
#[derive(Debug)]
#[repr(C)] // What an event of the common shape touches comes first, so that many parsers need few cache lines.
pub struct Parser {
    place: Place,
    /// The longest data that an event of the common shape may have, in bytes: both limits in one.
    plain_bytes_max: usize,
    interpreter: Interpreter,
    limits: Limits,
    partial: Partial,
    /// How much of a byte-order mark has been seen; three when the start is decided.
    bom_seen: usize,
    /// The last byte was a CR: an LF right after it belongs to the same line end.
    skip_lf: bool,
    /// The event that was given out last borrows from the interpreter's buffers.
    lent: bool,
    failure: Option<Error>,
}

/// Where in the stream the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of a block, with nothing held.
    Block,
    /// There too, but the event before borrows from the interpreter's buffers.
    Lent,
    /// Within a `data` field, some of which is held.
    Data,
    /// Anywhere else in a block.
    Inside,
    /// Something must be looked after first: see [`Parser::settle`].
    Unsettled,
}

/// What the search for a block's end has found.
enum Found<'c> {
    /// More bytes are needed.
    Nothing,
    /// An event whose data lies in the chunk.
    InChunk(&'c [u8]),
    /// An event whose data the interpreter holds.
    Held,
}

/// The events of one chunk: a lending iterator over what is complete.
///
/// Take events until there is none: what is left of the chunk when this is dropped, the parser has never seen.
#[derive(Debug)]
pub struct Events<'p, 'c> {
    parser: &'p mut Parser,
    rest: &'c [u8],
}

impl Default for Parser {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Parser {
    /// A parser with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            plain_bytes_max: limits.line_bytes.saturating_sub(PLAIN.len()).min(limits.event_bytes),
            place: Place::Unsettled,
            interpreter: Interpreter::default(),
            partial: Partial::default(),
            bom_seen: 0,
            skip_lf: false,
            lent: false,
            failure: None,
        }
    }

    /// Takes a chunk of the stream; the events are taken from what is returned, until there is none.
    #[inline]
    pub fn feed<'p, 'c>(&'p mut self, chunk: &'c [u8]) -> Events<'p, 'c> {
        Events { parser: self, rest: chunk }
    }

    /// Takes bytes off the front of a chunk up to the end of the next event; none when all are taken and more are
    /// needed.
    ///
    /// This is [`Parser::feed`] for a caller who keeps the place in the chunk.
    ///
    /// # Errors
    /// A limit was passed; every later call says so again.
    #[inline]
    pub fn next_event<'a, 'c: 'a>(&'a mut self, rest: &mut &'c [u8]) -> Result<Option<Event<'a>>, Error> {
        if self.place == Place::Lent {
            self.reclaim();
            self.place = Place::Block;
        }
        if self.place == Place::Data {
            return self.next_in_data(rest);
        }
        if self.place == Place::Block && rest.is_empty() {
            return Ok(None);
        }
        let mut looked = 0;
        if self.place == Place::Block
            && let Some(value) = rest.strip_prefix(PLAIN)
        {
            if value.len() <= SHORT_BYTES && self.begin_short(value) {
                *rest = &[];
                return Ok(None);
            }
            match line_end::find(value) {
                Some(end) if value[end..].starts_with(b"\n\n") && end <= self.plain_bytes_max => {
                    let (data, ending) = value.split_at(end);
                    *rest = &ending[2..];
                    let counts = &mut self.interpreter.counts;
                    counts.bytes += (PLAIN.len() + end + 2) as u64;
                    counts.events += 1;
                    return Ok(Some(Event { event_type: &[], data, id: &self.interpreter.last_id, end: counts.bytes }));
                }
                Some(end) => looked = PLAIN.len() + end,
                None if value.len() <= self.plain_bytes_max => {
                    self.interpreter.data.extend_from_slice(value);
                    self.begun(value.len());
                    *rest = &[];
                    return Ok(None);
                }
                None => looked = rest.len(),
            }
        }
        self.next_in_full(rest, looked)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.interpreter.counts
    }

    /// The last event id that a complete block has set.
    #[must_use]
    pub fn last_event_id(&self) -> &[u8] {
        &self.interpreter.last_id
    }

    /// The reconnection time that the stream asked for, in milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.interpreter.retry_ms
    }

    /// Whether part of an event is held: at the end of a stream, what is thrown away.
    #[must_use]
    pub fn pending(&self) -> bool {
        self.partial.bytes > 0 || !self.lent && !self.interpreter.is_empty()
    }

    /// Holds the start of an event of the common shape, when few bytes of it are there and its end is not; says
    /// whether that was so.
    fn begin_short(&mut self, value: &[u8]) -> bool {
        let begun = value.len() <= self.plain_bytes_max && line_end::append_short(&mut self.interpreter.data, value);
        if begun {
            self.begun(value.len());
        }
        begun
    }

    /// Notes that so many bytes of a `data` field's value are held, and nothing else.
    fn begun(&mut self, value_bytes: usize) {
        self.place = Place::Data;
        self.partial.begin_data(PLAIN.len() + value_bytes);
        self.interpreter.has_data = true;
        self.interpreter.counts.bytes += self.partial.bytes as u64;
    }

    /// [`Parser::next_event`] in the middle of a `data` field: most likely the read has no line end, or this one ends the
    /// event.
    fn next_in_data<'a, 'c: 'a>(&'a mut self, rest: &mut &'c [u8]) -> Result<Option<Event<'a>>, Error> {
        if self.partial.bytes.max(self.interpreter.data.len()) + rest.len() > self.plain_bytes_max {
            return self.next_in_full(rest, 0);
        }
        if line_end::append_short(&mut self.interpreter.data, rest) {
            self.partial.bytes += rest.len();
            self.interpreter.counts.bytes += rest.len() as u64;
            *rest = &[];
            return Ok(None);
        }
        let end = line_end::find(rest).unwrap_or(rest.len());
        let (value, ending) = rest.split_at(end);
        let Some(tail) = ending.strip_prefix(b"\n\n") else { return self.next_in_full(rest, end) };
        *rest = tail;
        self.partial.end_data();
        (self.lent, self.place) = (true, Place::Lent);
        self.interpreter.data.extend_from_slice(value);
        self.interpreter.commit_id();
        self.interpreter.counts.bytes += (end + 2) as u64;
        self.interpreter.counts.events += 1;
        Ok(Some(self.event(&self.interpreter.data)))
    }

    /// The event that the interpreter's buffers describe, with this data.
    #[inline]
    fn event<'a>(&'a self, data: &'a [u8]) -> Event<'a> {
        let Interpreter { event_type, last_id, counts, .. } = &self.interpreter;
        Event { event_type, data, id: last_id, end: counts.bytes }
    }

    /// [`Parser::next_event`] for any shape of event. The first `looked` bytes are known to hold no line end.
    #[inline(never)]
    fn next_in_full<'a, 'c: 'a>(&'a mut self, rest: &mut &'c [u8], looked: usize) -> Result<Option<Event<'a>>, Error> {
        let before = rest.len();
        let found = self.settle(rest).and_then(|()| self.take_block(rest, looked));
        self.interpreter.counts.bytes += (before - rest.len()) as u64;
        let found = found.inspect_err(|error| self.refuse(*error))?;
        self.lent = !matches!(found, Found::Nothing);
        self.interpreter.counts.events += u64::from(self.lent);
        self.place = self.place_now();
        let data = match found {
            Found::Nothing => return Ok(None),
            Found::InChunk(data) => data,
            Found::Held => &self.interpreter.data,
        };
        Ok(Some(self.event(data)))
    }

    #[cold]
    fn refuse(&mut self, error: Error) {
        self.failure = Some(error);
        self.place = Place::Unsettled;
    }

    fn place_now(&self) -> Place {
        if self.skip_lf || self.bom_seen < BOM.len() {
            Place::Unsettled
        } else if self.lent {
            Place::Lent
        } else if self.partial.bytes == 0 && self.interpreter.is_empty() {
            Place::Block
        } else if self.partial.is_data() {
            Place::Data
        } else {
            Place::Inside
        }
    }

    /// Looks after what the next byte must not meet: an earlier failure, buffers that were lent, the start of the
    /// stream, the second half of a CRLF.
    fn settle(&mut self, rest: &mut &[u8]) -> Result<(), Error> {
        if self.place != Place::Unsettled {
            return Ok(());
        }
        if let Some(error) = self.failure {
            return Err(error);
        }
        if self.lent {
            self.reclaim();
        }
        self.strip_lf(rest);
        self.strip_bom(rest)
    }

    /// Clears the buffers that the event before had borrowed.
    #[inline]
    fn reclaim(&mut self) {
        self.lent = false;
        self.interpreter.clear();
    }

    /// Takes the byte-order mark off the start of the stream, also when it is split.
    fn strip_bom(&mut self, rest: &mut &[u8]) -> Result<(), Error> {
        while self.bom_seen < BOM.len()
            && let Some((first, tail)) = rest.split_first()
        {
            if *first != BOM[self.bom_seen] {
                // No mark after all: the bytes that looked like one begin the first line.
                let seen = std::mem::replace(&mut self.bom_seen, BOM.len());
                return self.partial.hold(&BOM[..seen], &mut self.interpreter, self.limits);
            }
            self.bom_seen += 1;
            *rest = tail;
        }
        Ok(())
    }

    fn strip_lf(&mut self, rest: &mut &[u8]) {
        if self.skip_lf
            && let Some((first, tail)) = rest.split_first()
        {
            self.skip_lf = false;
            if *first == b'\n' {
                *rest = tail;
            }
        }
    }

    /// Takes lines until a blank one dispatches an event.
    fn take_block<'c>(&mut self, rest: &mut &'c [u8], mut looked: usize) -> Result<Found<'c>, Error> {
        // The block's data, as long as it is a single field that lies whole in the chunk.
        let mut single = None;
        loop {
            let Some(end) = line_end::find_near(&rest[looked..]) else {
                self.copy(single);
                self.partial.hold(std::mem::take(rest), &mut self.interpreter, self.limits)?;
                return Ok(Found::Nothing);
            };
            let (line, ending) = rest.split_at(looked + end);
            looked = 0;
            *rest = &ending[1..];
            self.skip_lf = ending[0] == b'\r';
            if self.partial.bytes > 0 {
                self.partial.hold(line, &mut self.interpreter, self.limits)?;
                self.partial.finish(&mut self.interpreter, self.limits)?;
            } else if !line.is_empty() {
                self.whole_line(line, &mut single)?;
            } else {
                self.interpreter.commit_id();
                if let Some(data) = single {
                    return Ok(Found::InChunk(data));
                }
                if self.interpreter.has_data {
                    return Ok(Found::Held);
                }
                self.interpreter.clear();
            }
            self.strip_lf(rest);
        }
    }

    /// A line that lies whole in the chunk.
    fn whole_line<'c>(&mut self, line: &'c [u8], single: &mut Option<&'c [u8]>) -> Result<(), Error> {
        if line.starts_with(b"data") {
            if !self.interpreter.has_data
                && single.is_none()
                && let Some(value) = line.strip_prefix(b"data:").map(without_space)
            {
                self.limits.check(line.len(), value.len())?;
                *single = Some(value);
                return Ok(());
            }
            self.copy(single.take());
        }
        self.interpreter.line(line, self.limits)
    }

    /// Copies the block's only `data` field so far, because the event can't borrow it from the chunk after all.
    fn copy(&mut self, single: Option<&[u8]>) {
        if let Some(value) = single {
            self.interpreter.start_data();
            self.interpreter.data.extend_from_slice(value);
        }
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
    #[inline]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Error> {
        self.parser.next_event(&mut self.rest)
    }
}
