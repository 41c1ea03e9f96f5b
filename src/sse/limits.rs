//! How much a parser takes in before it refuses the stream.

use thiserror::Error;

/// The largest line and the largest event that a parser takes, in bytes.
///
/// Both hold for what is in one chunk too, so that a stream is refused at the same byte however it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One line, its field name included and its end not.
    pub line_bytes: usize,
    /// The data of one event, its lines joined by LF.
    pub event_bytes: usize,
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

impl Default for Limits {
    /// 16 MiB each: the largest event of the public contract tests has 14 MB.
    fn default() -> Self {
        Self { line_bytes: 16 << 20, event_bytes: 16 << 20 }
    }
}

impl Limits {
    /// Whether a line and an event that have grown to these sizes are let through.
    ///
    /// Where both limits are passed, the one with the larger excess was passed at the earlier byte: that one is named,
    /// so that the error doesn't depend on how the stream was cut.
    pub(super) fn check(self, line_bytes: usize, event_bytes: usize) -> Result<(), Error> {
        let line_excess = line_bytes.saturating_sub(self.line_bytes);
        let event_excess = event_bytes.saturating_sub(self.event_bytes);
        if event_excess > line_excess {
            return Err(Error::EventTooLarge { limit: self.event_bytes });
        }
        if line_excess > 0 {
            return Err(Error::LineTooLong { limit: self.line_bytes });
        }
        Ok(())
    }
}
