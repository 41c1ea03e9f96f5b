//! The crates that people use, under one form.
//!
//! Each one is called the way its documentation shows; all get their reads as borrowed or static bytes, so that none
//! pays for a copy that another does not.

use std::convert::Infallible;
use std::hint::black_box;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_lite::{AsyncBufRead, AsyncRead, Stream, StreamExt};

use crate::subjects::{Tally, serde_full};

pub(crate) fn sse_core(reads: &[&'static [u8]]) -> Tally {
    let limit = NonZeroUsize::new(16 << 20).expect("not zero");
    let (mut decoder, mut tally) = (sse_core::SseDecoder::with_limit(limit), Tally::default());
    for read in reads {
        let mut rest = *read;
        while let Some(event) = decoder.next(&mut rest) {
            if let sse_core::SseEvent::Message(message) = event.expect("far below the limit") {
                tally.add(black_box(message.data).len());
            }
        }
    }
    tally
}

pub(crate) fn sse_parse(reads: &[&'static [u8]]) -> Tally {
    let (mut parser, mut tally) = (sse_parse::SseParser::new(), Tally::default());
    for read in reads {
        parser.feed(read);
        while let Some(event) = parser.next_event() {
            tally.add(black_box(event.data).len());
        }
    }
    tally
}

pub(crate) fn sse_stream(reads: &[&'static [u8]]) -> Tally {
    let reads = futures_lite::stream::iter(reads.iter().map(|read| Ok::<_, Infallible>(*read)));
    drain(sse_stream::SseByteStream::new(reads), |event| event.expect("a valid stream").data.map(String::into_bytes))
}

pub(crate) fn sseer(reads: &[&'static [u8]]) -> Tally {
    let reads = futures_lite::stream::iter(reads.iter().map(|read| Ok::<_, Infallible>(Bytes::from_static(read))));
    drain(sseer::EventStream::new(reads), |event| Some(event.expect("a valid stream").data.into_inner()))
}

pub(crate) fn async_sse(reads: &[&'static [u8]]) -> Tally {
    drain(async_sse::decode(Reads { rest: reads, read: &[] }), |event| match event.expect("a valid stream") {
        async_sse::Event::Message(message) => Some(message.into_bytes()),
        async_sse::Event::Retry(_) => None,
    })
}

pub(crate) fn eventsource_stream(reads: &[&'static [u8]]) -> Tally {
    let reads = futures_lite::stream::iter(reads.iter().map(|read| Ok::<_, Infallible>(*read)));
    drain(eventsource_stream::EventStream::new(reads), |event| Some(event.expect("a valid stream").data))
}

/// The whole of what most programs do today.
pub(crate) fn eventsource_stream_with_json(reads: &[&'static [u8]]) -> Tally {
    let reads = futures_lite::stream::iter(reads.iter().map(|read| Ok::<_, Infallible>(*read)));
    let mut tally = Tally::default();
    futures_lite::future::block_on(async {
        let mut events = eventsource_stream::EventStream::new(reads);
        while let Some(event) = events.next().await {
            tally.add(serde_full(event.expect("a valid stream").data.as_bytes()));
        }
    });
    tally
}

/// Takes all events of a stream that never waits.
fn drain<S: Stream, D: AsRef<[u8]>>(events: S, data: impl Fn(S::Item) -> Option<D>) -> Tally {
    let mut tally = Tally::default();
    futures_lite::future::block_on(async {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            if let Some(data) = data(event) {
                tally.add(black_box(data).as_ref().len());
            }
        }
    });
    tally
}

/// Reads as the buffer of a reader that is always ready.
struct Reads<'a> {
    rest: &'a [&'static [u8]],
    read: &'static [u8],
}

impl AsyncRead for Reads<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        unreachable!("the decoder takes what the buffer shows")
    }
}

impl AsyncBufRead for Reads<'_> {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let reads = self.get_mut();
        if reads.read.is_empty()
            && let Some((read, rest)) = reads.rest.split_first()
        {
            (reads.read, reads.rest) = (read, rest);
        }
        Poll::Ready(Ok(reads.read))
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        self.read = &self.read[bytes..];
    }
}
