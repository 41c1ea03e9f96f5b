//! Server-sent events: the WHATWG event stream interpretation (HTML §9.2.5, §9.2.6) as a push parser.
//!
//! Bytes in, events out: no I/O, no clock, no async. The stream is cut into lines at LF, CR or CRLF in any mixture; a
//! CR ends its line at once and a following LF is swallowed, so no event waits for the next byte. Never done here:
//! reconnecting, and stopping at any sentinel in the data.

pub mod encoder;
pub mod event;
mod interpreter;
pub mod limits;
mod line_end;
pub mod parser;
mod partial;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use encoder::{Encoder, Fields, LineEnd};
pub use event::Event;
pub use limits::{Error, Limits};
pub use parser::{Counts, Events, Parser};
