//! A line whose end has not come yet.
//!
//! Its first bytes tell what becomes of the rest: the value of a `data` field is copied to where the event will borrow
//! it, other fields are held, and what means nothing is only counted.

use super::interpreter::{HEAD_BYTES, Head, Interpreter};
use super::limits::{Error, Limits};

/// A line of which some bytes were seen.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// How many bytes it has so far; none when the next byte starts a line.
    pub(super) bytes: usize,
    /// What it is; not known before [`HEAD_BYTES`] are there.
    head: Option<Head>,
    /// What is held of it.
    line: Vec<u8>,
}

impl Partial {
    /// Whether it is a `data` field, whose value is with the interpreter.
    pub(super) fn is_data(&self) -> bool {
        matches!(self.head, Some(Head::Data(_)))
    }

    /// Notes a `data` field of so many bytes, its name included.
    pub(super) fn begin_data(&mut self, bytes: usize) {
        self.bytes = bytes;
        self.head = Some(Head::Data(HEAD_BYTES));
    }

    /// Ends a `data` field.
    pub(super) fn end_data(&mut self) {
        self.bytes = 0;
        self.head = None;
    }

    /// Adds a piece.
    pub(super) fn hold(&mut self, mut piece: &[u8], to: &mut Interpreter, limits: Limits) -> Result<(), Error> {
        self.bytes += piece.len();
        if self.head.is_none() {
            self.take_head(&mut piece, to);
        }
        if self.is_data() {
            limits.check(self.bytes, to.data.len() + piece.len())?;
            to.data.extend_from_slice(piece);
            return Ok(());
        }
        limits.check(self.bytes, 0)?;
        if matches!(self.head, None | Some(Head::Field)) {
            self.line.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Interprets it, now that its end has come.
    pub(super) fn finish(&mut self, to: &mut Interpreter, limits: Limits) -> Result<(), Error> {
        self.bytes = 0;
        match self.head.take() {
            Some(Head::Data(_)) => {}
            Some(Head::Comment) => to.counts.comments += 1,
            Some(Head::Unknown) => to.counts.unknown_fields += 1,
            None | Some(Head::Field) => {
                to.line(&self.line, limits)?;
                self.line.clear();
            }
        }
        Ok(())
    }

    /// Takes what is missing of the head off the piece, if it is there.
    fn take_head(&mut self, piece: &mut &[u8], to: &mut Interpreter) {
        let Some((missing, tail)) = piece.split_at_checked(HEAD_BYTES - self.line.len()) else { return };
        self.line.extend_from_slice(missing);
        let head = Head::of(self.line[..].try_into().expect("the line was filled up to the size of a head"));
        self.head = Some(head);
        *piece = tail;
        if let Head::Data(value) = head {
            to.start_data();
            to.data.extend_from_slice(&self.line[value..]);
        }
        if head != Head::Field {
            self.line.clear();
        }
    }
}
