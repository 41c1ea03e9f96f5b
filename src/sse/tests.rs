//! The vectors at every split point, the parser against its naive twin, what it copies, and how much work it does.

use std::ops::Range;

use proptest::prelude::*;
use serde_json::Value;

use super::line_end::work;
use super::reference::{Interpreted, interpret};
use super::{Error, Limits, Parser};

/// Feeds the pieces and notes each event, up to a failure.
fn run_within<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Interpreted, Option<Error>) {
    let (mut parser, mut seen, mut failure) = (Parser::new(limits), Interpreted::default(), None);
    let mut fed = 0;
    for piece in pieces {
        fed += piece.len() as u64;
        let mut events = parser.feed(piece);
        loop {
            match events.next() {
                Ok(Some(event)) => {
                    assert!(event.end() <= fed, "an event is out before its last byte");
                    seen.due.push(event.end());
                    seen.events.push((event.event_type().to_vec(), event.data().to_vec(), event.id().to_vec()));
                }
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if failure.is_none() {
            assert_eq!(parser.counts().bytes, fed, "all that was fed is taken");
        }
    }
    let counts = parser.counts();
    assert_eq!(counts.events, seen.events.len() as u64);
    seen.last_id = parser.last_event_id().to_vec();
    (seen.comments, seen.unknown_fields) = (counts.comments, counts.unknown_fields);
    seen.retry_ms = parser.retry_ms();
    (seen, failure)
}

fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Interpreted {
    let (seen, failure) = run_within(Limits::default(), pieces);
    assert_eq!(failure, None, "far below the limits");
    seen
}

/// The stream in pieces, cut at these places.
fn cut_at(stream: &[u8], mut cuts: Vec<usize>) -> Vec<&[u8]> {
    cuts.iter_mut().for_each(|cut| *cut = (*cut).min(stream.len()));
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../tests/data/sse-vectors.json")).expect("JSON");
    file["vectors"].as_array().expect("a list").clone()
}

fn bytes_of(vector: &Value) -> Vec<Vec<u8>> {
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    };
    vector["chunks_hex"].as_array().expect("a list").iter().map(|chunk| unhex(chunk.as_str().expect("text"))).collect()
}

fn check(vector: &Value, seen: &Interpreted) {
    let id = &vector["id"];
    let expected = vector["expect"]["events"].as_array().expect("a list");
    assert_eq!(seen.events.len(), expected.len(), "{id}");
    for ((kind, data, last_id), event) in seen.events.iter().zip(expected) {
        let kind = if kind.is_empty() { b"message" } else { kind.as_slice() };
        assert_eq!(String::from_utf8_lossy(kind), event["type"].as_str().expect("text"), "{id}");
        assert_eq!(String::from_utf8_lossy(data), event["data"].as_str().expect("text"), "{id}");
        assert_eq!(String::from_utf8_lossy(last_id), event["id"].as_str().expect("text"), "{id}");
    }
    let due: Vec<_> = expected.iter().filter_map(|event| event["due_at"].as_u64()).collect();
    assert_eq!(seen.due, due, "{id}");
    assert_eq!(String::from_utf8_lossy(&seen.last_id), vector["expect"]["last"].as_str().unwrap_or_default(), "{id}");
}

#[test]
fn every_vector_holds_at_every_split_point_and_byte_by_byte() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 93, "all vectors were read");
    for vector in &vectors {
        let reads = bytes_of(vector);
        let whole: Vec<u8> = reads.concat();
        let seen = run(reads.iter().map(Vec::as_slice));
        check(vector, &seen);
        assert_eq!(interpret(&whole), seen, "{}: the naive twin", vector["id"]);
        assert_eq!(run(whole.chunks(1)), seen, "{}", vector["id"]);
        for split in 0..=whole.len() {
            let (head, tail) = whole.split_at(split);
            assert_eq!(run([head, tail]), seen, "{} split at {split}", vector["id"]);
        }
    }
}

/// Words of the grammar, and what is nearly one.
fn tokens() -> impl Strategy<Value = Vec<u8>> {
    let words = vec![
        &b"data"[..],
        b"event",
        b"id",
        b"retry",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"x",
        b"7",
        b"\0",
        b"\xEF\xBB\xBF",
        b"\xEF",
        b"\xFF",
        b"data: a",
        b"data: {\"type\":\"chunk\",\"data\":\"a text that is longer than any block that is looked at whole\"}",
    ];
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.concat())
}

/// A stream as an agent sends it, and the vectors one after the other; some bytes of it replaced by others.
fn mutated_streams() -> impl Strategy<Value = Vec<u8>> {
    const AGENT: &str = "data: {\"type\":\"task_created\",\"task_id\":\"t\",\"data\":{\"status\":\"pending\"}}\n\n\
        : ping\n\nevent: message\r\nid: 7\r\ndata: {\"type\":\"chunk\",\"data\":\"größer\"}\r\n\r\n\
        data: {\"type\":\"think\",\r\ndata:  \"data\":null}\n\nretry: 3000\ndata: {\"type\":\"task_finished\"}\r\r";
    let vectors: Vec<u8> = vectors().iter().flat_map(|vector| bytes_of(vector).concat()).collect();
    let mutation = (any::<prop::sample::Index>(), 0usize..12, tokens());
    (prop::sample::select(vec![AGENT.as_bytes().to_vec(), vectors]), prop::collection::vec(mutation, 0..6)).prop_map(
        |(mut stream, mutations)| {
            for (at, length, bytes) in mutations {
                let start = at.index(stream.len() + 1);
                let range: Range<usize> = start..(start + length).min(stream.len());
                stream.splice(range, bytes);
            }
            stream
        },
    )
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![prop::collection::vec(0usize..80, 0..6), prop::collection::vec(0usize..12_000, 0..300)]
}

proptest! {
    #[test]
    fn the_parser_agrees_with_its_naive_twin_on_the_words_of_the_grammar(stream in tokens(), cuts in cuts()) {
        prop_assert_eq!(run(cut_at(&stream, cuts)), interpret(&stream));
    }

    #[test]
    fn the_parser_agrees_with_its_naive_twin_on_random_bytes(
        stream in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n: dat"[..])], 0..400),
        cuts in cuts(),
    ) {
        prop_assert_eq!(run(cut_at(&stream, cuts)), interpret(&stream));
    }

    #[test]
    fn the_parser_agrees_with_its_naive_twin_on_mutated_streams(stream in mutated_streams(), cuts in cuts()) {
        prop_assert_eq!(run(cut_at(&stream, cuts)), interpret(&stream));
    }

    #[test]
    fn a_stream_is_refused_for_the_same_reason_however_it_is_cut(
        stream in tokens(),
        cuts in cuts(),
        line_bytes in 0usize..30,
        event_bytes in 0usize..30,
    ) {
        let limits = Limits { line_bytes, event_bytes };
        let whole = run_within(limits, [&stream[..]]);
        prop_assert_eq!(&run_within(limits, stream.chunks(1)), &whole);
        prop_assert_eq!(&run_within(limits, cut_at(&stream, cuts)), &whole);
    }
}

#[test]
fn a_limit_is_a_typed_error_that_stays() {
    let limits = Limits { line_bytes: 16, event_bytes: 16 };
    let mut parser = Parser::new(limits);
    let mut events = parser.feed(b"data: 0123456789abcdef");
    assert_eq!(events.next(), Err(Error::LineTooLong { limit: 16 }));
    assert_eq!(parser.feed(b"\n\n").next(), Err(Error::LineTooLong { limit: 16 }));
    insta::assert_snapshot!(Error::LineTooLong { limit: 16 }, @"read a line of the event stream: it is longer than the limit of 16 bytes; raise limits.event_bytes");
    let mut parser = Parser::new(limits);
    let mut events = parser.feed(b"data: 01234567\ndata: 89abcdef\n\n");
    let error = events.next().expect_err("16 bytes and a line end");
    insta::assert_snapshot!(error, @"read an event of the stream: its data is larger than the limit of 16 bytes; raise limits.event_bytes");
}

#[test]
fn what_is_just_within_the_limits_is_let_through() {
    let limits = Limits { line_bytes: 16, event_bytes: 10 };
    for stream in [&b"data: 0123456789\n\n"[..], b"data:0\ndata: 23456789\n\n", b":23456789abcdef\ndata: 0\n\n"] {
        for pieces in [stream.chunks(stream.len()), stream.chunks(1)] {
            let (seen, failure) = run_within(limits, pieces);
            assert_eq!((seen.events.len(), failure), (1, None), "{}", String::from_utf8_lossy(stream));
        }
    }
}

/// Whether an event's data lies in the chunk, and so was not copied.
fn is_borrowed(data: &[u8], chunk: &[u8]) -> bool {
    chunk.as_ptr_range().contains(&data.as_ptr())
}

#[test]
fn an_event_of_one_data_line_within_a_chunk_is_never_copied() {
    for shape in [
        "data: x\n\n",
        "data:x\r\n\r\n",
        "data: x\r\r",
        "event: e\nid: 7\ndata: x\n\n",
        "data: x\n: comment\nevent: e\n\n",
        "\u{FEFF}data: x\n\n",
    ] {
        let chunk = shape.repeat(3);
        let (mut parser, mut seen) = (Parser::default(), 0);
        let mut events = parser.feed(chunk.as_bytes());
        while let Some(event) = events.next().expect("far below the limits") {
            assert_eq!(event.data(), b"x", "{shape:?}");
            assert!(is_borrowed(event.data(), chunk.as_bytes()), "{shape:?}");
            seen += 1;
        }
        assert!(seen >= 1, "{shape:?}");
    }
}

#[test]
fn a_long_line_in_small_pieces_takes_work_in_proportion_to_its_bytes() {
    let work_of = |bytes: usize, piece: usize| {
        let stream = [b"data: ", &vec![b'x'; bytes][..], b"\n\n"].concat();
        let before = work::done();
        assert_eq!(run(stream.chunks(piece)).events.len(), 1);
        work::done() - before
    };
    for piece in [1, 7, 64, 65, 1400] {
        for bytes in [512 << 10, 1 << 20] {
            let work = work_of(bytes, piece);
            let bytes = bytes as u64;
            assert!((bytes..bytes + bytes / 8).contains(&work), "{work} bytes were looked at for {bytes} by {piece}");
        }
    }
}
