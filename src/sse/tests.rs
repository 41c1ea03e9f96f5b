//! The vectors at every split point, and the parser against its naive twin.

use proptest::prelude::*;
use serde_json::Value;

use super::reference::{Interpreted, interpret};
use super::{Error, Limits, Parser};

/// Feeds the pieces and notes each event, with the bytes fed when it came.
fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Interpreted, Vec<u64>) {
    let (mut parser, mut seen, mut due) = (Parser::default(), Interpreted::default(), Vec::new());
    let mut fed = 0;
    for piece in pieces {
        fed += piece.len() as u64;
        let mut events = parser.feed(piece);
        while let Some(event) = events.next().expect("far below the limits") {
            assert!(event.end() <= fed, "an event is out before its last byte");
            due.push(event.end());
            seen.events.push((event.event_type().to_vec(), event.data().to_vec(), event.id().to_vec()));
        }
    }
    seen.last_id = parser.last_event_id().to_vec();
    seen.comments = parser.counts().comments;
    seen.retry_ms = parser.retry_ms();
    (seen, due)
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

fn check(vector: &Value, seen: &Interpreted, due: &[u64]) {
    let id = &vector["id"];
    let expected = vector["expect"]["events"].as_array().expect("a list");
    assert_eq!(seen.events.len(), expected.len(), "{id}");
    for ((kind, data, last_id), event) in seen.events.iter().zip(expected) {
        let kind = if kind.is_empty() { b"message" } else { kind.as_slice() };
        assert_eq!(String::from_utf8_lossy(kind), event["type"].as_str().expect("text"), "{id}");
        assert_eq!(String::from_utf8_lossy(data), event["data"].as_str().expect("text"), "{id}");
        assert_eq!(String::from_utf8_lossy(last_id), event["id"].as_str().expect("text"), "{id}");
    }
    let expected_due: Vec<_> = expected.iter().filter_map(|event| event["due_at"].as_u64()).collect();
    assert_eq!(due, expected_due, "{id}");
    assert_eq!(String::from_utf8_lossy(&seen.last_id), vector["expect"]["last"].as_str().unwrap_or_default(), "{id}");
}

#[test]
fn every_vector_holds_at_every_split_point_and_byte_by_byte() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 93, "all vectors were read");
    for vector in &vectors {
        let reads = bytes_of(vector);
        let whole: Vec<u8> = reads.concat();
        let (seen, due) = run(reads.iter().map(Vec::as_slice));
        check(vector, &seen, &due);
        assert_eq!(run(whole.chunks(1)), (interpret(&whole), due.clone()), "{}", vector["id"]);
        for split in 0..=whole.len() {
            let (head, tail) = whole.split_at(split);
            assert_eq!(run([head, tail]).1, due, "{} split at {split}", vector["id"]);
            assert_eq!(run([head, tail]).0, interpret(&whole), "{} split at {split}", vector["id"]);
        }
    }
}

proptest! {
    #[test]
    fn the_parser_agrees_with_its_naive_twin(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                &b"data"[..], b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"x", b"7", b"\0",
                b"\xEF\xBB\xBF", b"\xEF", b"\xFF", b"data: a",
            ]),
            0..40,
        ),
        cuts in prop::collection::vec(0usize..80, 0..6),
    ) {
        let stream = tokens.concat();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(stream.len())).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(run(pieces).0, interpret(&stream));
    }
}

#[test]
fn a_limit_is_a_typed_error_that_stays() {
    let limits = Limits { line_bytes: 16, event_bytes: 16 };
    let mut parser = Parser::new(limits);
    let mut events = parser.feed(b"data: 0123456789abcdef");
    assert_eq!(events.next(), Err(Error::LineTooLong { limit: 16 }));
    assert_eq!(parser.feed(b"\n\n").next(), Err(Error::LineTooLong { limit: 16 }));
    let mut parser = Parser::new(limits);
    let mut events = parser.feed(b"data: 01234567\ndata: 89abcdef\n\n");
    let error = events.next().expect_err("16 bytes and a line end");
    insta::assert_snapshot!(error, @"read an event of the stream: its data is larger than the limit of 16 bytes; raise limits.event_bytes");
}
