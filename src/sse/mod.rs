//! Server-sent events: the WHATWG event stream interpretation (HTML §9.2.5, §9.2.6) as a push parser.
//!
//! Bytes in, events out: no I/O, no clock, no async. The stream is cut into lines at LF, CR or CRLF in any mixture; a
//! CR ends its line at once and a following LF is swallowed, so no event waits for the next byte. Never done here:
//! reconnecting, and stopping at any sentinel in the data.
//!
//! ```
//! # fn main() -> Result<(), plimsoll::sse::Error> {
//! let mut parser = plimsoll::sse::Parser::default();
//! for read in [&b"data: {\"type\":\"chu"[..], b"nk\"}\n\ndata: [DO", b"NE]\n\n"] {
//!     let mut events = parser.feed(read);
//!     while let Some(event) = events.next()? {
//!         println!("{} at byte {}", event.data_lossy(), event.end());
//!     }
//! }
//! assert_eq!(parser.counts().events, 2);
//! # Ok(())
//! # }
//! ```
//!
//! An event of one `data` line that lies within a chunk borrows from the chunk; one that spans chunks was copied once,
//! into a buffer that is used again. [`EventStream`](crate::client::EventStream) does the same for anyone's stream of
//! chunks, and `cargo run --example sse` shows both.

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
