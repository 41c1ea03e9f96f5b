//! What complete lines mean: the fields and buffers of HTML §9.2.6.
//!
//! Adding a field: touch [`Interpreter::field`] and [`Head::of`], the naive twin in `reference`, and the vectors.

use super::limits::{Error, Limits};
use super::parser::Counts;

/// As many bytes of a line as tell what it is: those of `event:` and `retry:`, and of `data:` with its space.
pub(super) const HEAD_BYTES: usize = 6;

/// What the first bytes of a line say of all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// A `data` field, whose value starts this far into the line.
    Data(usize),
    /// A field that is interpreted when its line is complete.
    Field,
    /// A comment.
    Comment,
    /// A field that the specification does not know.
    Unknown,
}

/// The buffers of one block of lines, and what outlives it.
#[derive(Debug, Default)]
#[repr(C)] // What an event of the common shape touches comes first.
pub(super) struct Interpreter {
    pub(super) counts: Counts,
    pub(super) last_id: Vec<u8>,
    /// The values of the `data` fields, joined by LF: the specification's data buffer without its last LF.
    pub(super) data: Vec<u8>,
    /// Whether a `data` field was seen, since its value may be empty.
    pub(super) has_data: bool,
    pub(super) event_type: Vec<u8>,
    /// The "last event ID buffer"; it takes effect when its block ends.
    id: Vec<u8>,
    /// Whether that is still to come.
    has_id: bool,
    pub(super) retry_ms: Option<u64>,
}

impl Head {
    /// What a line is that starts with these bytes.
    pub(super) fn of(head: [u8; HEAD_BYTES]) -> Self {
        match &head {
            [b':', ..] => Self::Comment,
            b"data: " => Self::Data(6),
            [b'd', b'a', b't', b'a', b':', _] => Self::Data(5),
            b"event:" | b"retry:" | [b'i', b'd', b':', ..] => Self::Field,
            _ => Self::Unknown,
        }
    }
}

impl Interpreter {
    /// Whether the block has nothing yet that its end gives effect to.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_data && !self.has_id && self.event_type.is_empty()
    }

    /// Starts a further `data` field; its value is appended to `data`.
    pub(super) fn start_data(&mut self) {
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
    }

    /// A complete line that is not blank.
    pub(super) fn line(&mut self, line: &[u8], limits: Limits) -> Result<(), Error> {
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], without_space(&line[colon + 1..])),
            None => (line, &[][..]),
        };
        if name == b"data" {
            limits.check(line.len(), self.data.len() + usize::from(self.has_data) + value.len())?;
            self.start_data();
            self.data.extend_from_slice(value);
        } else {
            limits.check(line.len(), 0)?;
            self.field(name, value);
        }
        Ok(())
    }

    /// A field other than `data`, or a comment: a field with an empty name (§9.2.6, "process the field").
    fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"" => self.counts.comments += 1,
            b"event" => {
                self.event_type.clear();
                self.event_type.extend_from_slice(value);
            }
            // "If the field value does not contain U+0000 NULL", else the field is ignored.
            b"id" if memchr::memchr(0, value).is_none() => {
                self.id.clear();
                self.id.extend_from_slice(value);
                self.has_id = true;
            }
            // "If the field value consists of only ASCII digits": at least one; too large a number saturates.
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = value.iter().map(|digit| u64::from(digit - b'0'));
                self.retry_ms = Some(digits.fold(0, |number, digit| number.saturating_mul(10).saturating_add(digit)));
            }
            b"id" | b"retry" => {}
            _ => self.counts.unknown_fields += 1,
        }
    }

    /// The id takes effect at the blank line, whether or not there is an event (§9.2.6, "dispatch the event").
    pub(super) fn commit_id(&mut self) {
        if std::mem::take(&mut self.has_id) {
            self.last_id.clone_from(&self.id);
        }
    }

    /// Forgets what belonged to one block alone.
    pub(super) fn clear(&mut self) {
        self.data.clear();
        self.has_data = false;
        self.event_type.clear();
    }
}

/// "If value starts with a U+0020 SPACE character, remove it": one, and no other white space.
pub(super) fn without_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}
