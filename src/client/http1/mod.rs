//! HTTP/1.1 as an invocation needs it: one request, one streamed answer, on a byte stream that we own.
//!
//! hyper's connection allocates three buffers a stream (25 KiB, 15 of them resident while nothing happens), and hands a
//! body over chunk by chunk through a channel; neither is what a harness with ten thousand streams and a small chunk an
//! event can afford. Here the body is read into one buffer that all streams of a worker share, and events borrow from it.
//! The head is parsed by hyper's own parser (`httparse`), and what comes out is tested against hyper itself. Never done
//! here: pooling, resending, following, decompressing.

pub mod body;
pub mod connection;
pub mod head;

#[cfg(test)]
mod tests;

pub use body::{Decoder, Step};
pub use connection::Http1;
pub use head::Head;

use std::io;

use thiserror::Error;

/// Why an exchange over HTTP/1.1 broke.
#[derive(Debug, Error)]
pub enum Error {
    /// The byte stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The byte stream ended first.
    #[error("the connection closed before the answer's head was complete")]
    ClosedInHead,
    /// The byte stream ended first.
    #[error("the connection closed inside the body")]
    ClosedInBody,
    /// What came is no head of HTTP/1.
    #[error("the answer's head is not HTTP: {0}")]
    Head(String),
    /// The head is longer than we take.
    #[error("the answer's head is longer than {limit} bytes")]
    HeadTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body is not framed as the head says.
    #[error("the body's chunks are not as HTTP has them: {0}")]
    Chunk(&'static str),
}
