//! The event-stream parser on any bytes, cut anywhere, under any limits: it agrees with the specification transcribed
//! naively, and gives the same however the bytes are cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::sse::{Error, Limits, Parser};

#[path = "../../src/sse/reference.rs"]
mod reference;

use reference::{Interpreted, interpret};

fuzz_target!(|input: &[u8]| {
    let Some((&[first, second, line_bytes, event_bytes], stream)) = input.split_first_chunk() else { return };
    let sizes = [usize::from(first), usize::from(second)];
    let expected = (interpret(stream), None);
    for cut in [cut(stream, [stream.len(); 2]), cut(stream, sizes), cut(stream, [1, 1])] {
        assert_eq!(run(Limits::default(), cut), expected);
    }
    let limits = Limits { line_bytes: usize::from(line_bytes), event_bytes: usize::from(event_bytes) };
    let whole = run(limits, vec![stream]);
    assert_eq!(run(limits, cut(stream, sizes)), whole);
    assert_eq!(run(limits, cut(stream, [1, 1])), whole);
});

/// The stream in pieces of the two sizes in turn.
fn cut(mut stream: &[u8], sizes: [usize; 2]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    for size in sizes.into_iter().cycle() {
        if stream.is_empty() || sizes == [0, 0] {
            break;
        }
        let (piece, rest) = stream.split_at(size.min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces.push(stream);
    pieces
}

/// What the parser makes of the pieces, up to a failure, which must stay.
fn run(limits: Limits, pieces: Vec<&[u8]>) -> (Interpreted, Option<Error>) {
    let (mut parser, mut seen) = (Parser::new(limits), Interpreted::default());
    let mut failure = None;
    for piece in pieces {
        let mut events = parser.feed(piece);
        let ended = loop {
            match events.next() {
                Ok(Some(event)) => {
                    seen.events.push((event.event_type().into(), event.data().into(), event.id().into()));
                    seen.due.push(event.end());
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert!(failure.is_none() || failure == ended, "a failure stays");
        failure = ended;
    }
    let counts = parser.counts();
    (seen.comments, seen.unknown_fields) = (counts.comments, counts.unknown_fields);
    seen.last_id = parser.last_event_id().into();
    seen.retry_ms = parser.retry_ms();
    (seen, failure)
}
