//! The events of anyone's stream of byte chunks.
//!
//! For users of the parser as a library, with whatever HTTP client they have. The measured client does without: it
//! feeds the parser itself, because it stamps each chunk before.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use thiserror::Error;

use crate::sse::{self, Event, Parser};

/// The events of a stream of byte chunks, as a stream themselves.
///
/// It ends with the chunks, and after its first error. Like every event stream it drops what has no blank line behind
/// it at the end. A stream that can't be moved goes in as `Box::pin(chunks)`.
#[derive(Debug)]
pub struct EventStream<S> {
    chunks: S,
    parser: Parser,
    /// What is left of the chunk at hand.
    chunk: Bytes,
    failed: bool,
}

/// An event that stands for itself; what lies within a chunk shares its memory instead of copying it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedEvent {
    /// The event type; empty stands for `message`.
    pub event_type: Bytes,
    /// The data, its lines joined by LF, as the bytes that came.
    pub data: Bytes,
    /// The last event id at this event.
    pub id: Bytes,
    /// How many bytes of the stream had come when the event was due.
    pub end: u64,
}

/// Why a stream of events ended early.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error<E> {
    /// The chunks failed.
    #[error("receive the event stream: {0}")]
    Chunks(E),
    /// The chunks hold more than the limits let through.
    #[error(transparent)]
    Refused(#[from] sse::Error),
}

impl<S> EventStream<S> {
    /// The events of these chunks, within the default limits.
    pub fn new(chunks: S) -> Self {
        Self::within(sse::Limits::default(), chunks)
    }

    /// The events of these chunks, within these limits.
    pub fn within(limits: sse::Limits, chunks: S) -> Self {
        Self { chunks, parser: Parser::new(limits), chunk: Bytes::new(), failed: false }
    }

    /// The parser, for its counts, its last event id and its reconnection time.
    pub fn parser(&self) -> &Parser {
        &self.parser
    }

    /// The next event that lies in the chunk at hand, or ends there.
    fn next_of_chunk(&mut self) -> Result<Option<OwnedEvent>, sse::Error> {
        let mut rest = &self.chunk[..];
        let event = self.parser.next_event(&mut rest)?.map(|event| OwnedEvent::of(event, &self.chunk));
        let taken = self.chunk.len() - rest.len();
        self.chunk.advance(taken);
        Ok(event)
    }
}

impl OwnedEvent {
    fn of(event: Event<'_>, chunk: &Bytes) -> Self {
        let own = |bytes: &[u8]| {
            if chunk.as_ptr_range().contains(&bytes.as_ptr()) {
                chunk.slice_ref(bytes)
            } else {
                Bytes::copy_from_slice(bytes)
            }
        };
        Self { event_type: own(event.event_type()), data: own(event.data()), id: own(event.id()), end: event.end() }
    }
}

impl<S, B, E> Stream for EventStream<S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Into<Bytes>,
{
    type Item = Result<OwnedEvent, Error<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.failed {
            let ended = match this.next_of_chunk() {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                Ok(None) => match ready!(Pin::new(&mut this.chunks).poll_next(context)) {
                    Some(Ok(chunk)) => {
                        this.chunk = chunk.into();
                        continue;
                    }
                    Some(Err(error)) => Error::Chunks(error),
                    None => return Poll::Ready(None),
                },
                Err(error) => Error::Refused(error),
            };
            this.failed = true;
            return Poll::Ready(Some(Err(ended)));
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::future::poll_fn;

    /// Chunks that are not there at the first asking.
    struct Chunks(VecDeque<Result<&'static [u8], &'static str>>, bool);

    impl Stream for Chunks {
        type Item = Result<&'static [u8], &'static str>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.1 = !self.1;
            if self.1 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(self.0.pop_front())
        }
    }

    async fn all(
        limits: sse::Limits,
        chunks: impl IntoIterator<Item = Result<&'static [u8], &'static str>>,
    ) -> Vec<Result<OwnedEvent, Error<&'static str>>> {
        let mut events = EventStream::within(limits, Chunks(chunks.into_iter().collect(), false));
        let mut seen = Vec::new();
        while let Some(event) = poll_fn(|context| Pin::new(&mut events).poll_next(context)).await {
            seen.push(event);
        }
        assert!(poll_fn(|context| Pin::new(&mut events).poll_next(context)).await.is_none(), "it stays at its end");
        seen
    }

    #[tokio::test]
    async fn events_come_whole_however_the_chunks_are_cut() {
        let stream: &[u8] = b"data: a\n\nevent: e\nid: 7\ndata: b\ndata: c\n\ndata: d\r\n\r\ndata: cut off\n";
        let whole = all(sse::Limits::default(), [Ok(stream)]).await;
        let event = |kind: &'static str, data: &'static str, id: &'static str, end| {
            Ok(OwnedEvent { event_type: kind.into(), data: data.into(), id: id.into(), end })
        };
        assert_eq!(whole, [event("", "a", "", 9), event("e", "b\nc", "7", 41), event("", "d", "7", 51)]);
        for size in 1..stream.len() {
            assert_eq!(all(sse::Limits::default(), stream.chunks(size).map(Ok)).await, whole, "{size}");
        }
    }

    #[tokio::test]
    async fn data_within_a_chunk_shares_its_memory() {
        let chunk = Bytes::from_static(b"data: a\n\n");
        let mut parser = Parser::default();
        let event = parser.next_event(&mut &chunk[..]).expect("below the limits").expect("an event");
        assert_eq!(OwnedEvent::of(event, &chunk).data.as_ptr(), chunk[6..].as_ptr());
    }

    #[tokio::test]
    async fn a_failure_is_the_last_that_is_said() {
        let events = all(sse::Limits::default(), [Ok(&b"data: a\n\n"[..]), Err("reset"), Ok(b"data: b\n\n")]).await;
        assert_eq!(events[1..], [Err(Error::Chunks("reset"))]);
        insta::assert_snapshot!(events[1].as_ref().expect_err("reset"), @"receive the event stream: reset");
        let limits = sse::Limits { line_bytes: 8, ..sse::Limits::default() };
        let events = all(limits, [Ok(&b"data: a\n\ndata: too long\n\n"[..])]).await;
        assert_eq!(events[1..], [Err(Error::Refused(sse::Error::LineTooLong { limit: 8 }))]);
    }
}
