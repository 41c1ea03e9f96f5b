//! The event-stream parser on its own: pushed by hand, and over a stream of byte chunks.
//!
//! ```sh
//! cargo run --example sse
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use http_body_util::{BodyDataStream, Full};
use plimsoll::client::EventStream;
use plimsoll::sse::Parser;

/// What a server sends: an event, a heartbeat, and an event of two data lines in other line ends.
const STREAM: &[u8] = b"data: {\"type\":\"chunk\",\"data\":\"Hel\"}\n\n: ping\n\nevent: note\r\nid: 7\r\ndata: two\r\ndata: lines\r\n\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("pushed, in reads of 20 bytes:");
    let mut parser = Parser::default();
    for read in STREAM.chunks(20) {
        let mut events = parser.feed(read);
        while let Some(event) = events.next()? {
            println!("  {:>3} B: {:?}", event.end(), event.data_lossy());
        }
    }
    println!("  {:?}", parser.counts());

    println!("over a stream of chunks, here the body of a response:");
    let mut events = EventStream::new(BodyDataStream::new(Full::new(bytes::Bytes::from_static(STREAM))));
    while let Some(event) = poll_fn(|context| Pin::new(&mut events).poll_next(context)).await {
        let event = event?;
        println!("  {:>3} B: {:?} {:?}", event.end, event.event_type, event.data);
    }
    Ok(())
}
