//! What the event-stream parser allocates: nothing in steady state, and never more than its limits allow.

use allocation_counter::{AllocationInfo, measure};
use plimsoll::sse::{Error, Limits, Parser};

const LIMIT: usize = 1 << 20;
const LIMITS: Limits = Limits { line_bytes: LIMIT, event_bytes: LIMIT };

/// A buffer doubles as it grows, both halves exist while it is moved, and there are two: the data, and the line that
/// is not finished, which a type or an id is copied from.
const BYTES_MAX: u64 = 7 * LIMIT as u64;

fn take_all(parser: &mut Parser, chunk: &[u8]) -> Result<u64, Error> {
    let (mut events, mut seen) = (parser.feed(chunk), 0);
    while events.next()?.is_some() {
        seen += 1;
    }
    Ok(seen)
}

/// Feeds the same chunk over and over: what comes of it, and what was allocated for it.
fn feed(head: &[u8], chunk: &[u8], times: u64) -> (Result<(), Error>, Parser, AllocationInfo) {
    let mut parser = Parser::new(LIMITS);
    let mut result = take_all(&mut parser, head).map(drop);
    let info = measure(|| {
        for _ in 0..times {
            result = result.and_then(|()| take_all(&mut parser, chunk).map(drop));
        }
    });
    (result, parser, info)
}

#[test]
fn nothing_is_allocated_for_events_that_lie_within_a_chunk() {
    let chunk =
        "data: {\"type\":\"chunk\",\"data\":\"text\"}\n\n: comment\nevent: e\nid: 7\ndata: x\r\n\r\n".repeat(50);
    let mut parser = Parser::default();
    let first = measure(|| assert_eq!(take_all(&mut parser, chunk.as_bytes()), Ok(100)));
    assert!(first.bytes_max < 100, "a type and an id, and no data: {first:?}");
    let steady = measure(|| {
        for _ in 0..100 {
            assert_eq!(take_all(&mut parser, chunk.as_bytes()), Ok(100));
        }
    });
    assert_eq!(steady.count_total, 0, "{steady:?}");
}

#[test]
fn nothing_is_allocated_for_events_that_span_chunks_once_the_buffer_has_grown() {
    let stream = "data: {\"type\":\"chunk\",\"data\":\"text\"}\n\n".repeat(100);
    let mut parser = Parser::default();
    let mut round = || stream.as_bytes().chunks(25).map(|chunk| take_all(&mut parser, chunk)).sum::<Result<u64, _>>();
    assert_eq!(round(), Ok(100));
    let info = measure(|| assert_eq!(round(), Ok(100)));
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn a_long_event_in_single_bytes_is_moved_a_bounded_number_of_times() {
    let stream = [b"data: ", &vec![b'x'; LIMIT - 6][..], b"\n\n"].concat();
    let mut parser = Parser::new(LIMITS);
    let info = measure(|| {
        let seen = stream.chunks(1).map(|byte| take_all(&mut parser, byte)).sum::<Result<u64, _>>();
        assert_eq!(seen, Ok(1));
    });
    assert!(info.bytes_total < 4 * LIMIT as u64, "doubling sums up to twice the size: {info:?}");
}

#[test]
fn an_endless_line_of_any_kind_is_refused_within_the_limit() {
    for head in ["data: ", "data", "event: ", "id: ", "retry: 1", ": ", "unknown: ", "unknown"] {
        let (result, parser, info) = feed(head.as_bytes(), &[b'x'; 4096], 2 * LIMIT as u64 / 4096);
        assert_eq!(result, Err(Error::LineTooLong { limit: LIMIT }), "{head}");
        assert!(info.bytes_max < BYTES_MAX, "{head}: {info:?}");
        assert_eq!(parser.counts().events, 0);
    }
    let (result, ..) = feed(b"", &[0; 4096], 2 * LIMIT as u64 / 4096);
    assert_eq!(result, Err(Error::LineTooLong { limit: LIMIT }), "NULs");
}

#[test]
fn an_endless_event_is_refused_within_the_limit() {
    for lines in ["data: some text\n", "data\n", "data:\r", "data: x\r\n: and a comment\n"] {
        let chunk = lines.repeat(1000);
        let (result, _, info) = feed(b"", chunk.as_bytes(), 2 * LIMIT as u64 / 1000);
        assert_eq!(result, Err(Error::EventTooLarge { limit: LIMIT }), "{lines:?}");
        assert!(info.bytes_max < BYTES_MAX, "{lines:?}: {info:?}");
    }
}

#[test]
fn a_long_type_and_a_long_id_are_held_within_the_limit() {
    let long = "x".repeat(LIMIT - 10);
    let stream = format!("event: {long}\nid: {long}\ndata: {long}\n\n").repeat(2);
    let mut parser = Parser::new(LIMITS);
    let info = measure(|| {
        let seen = stream.as_bytes().chunks(1000).map(|chunk| take_all(&mut parser, chunk)).sum::<Result<u64, _>>();
        assert_eq!(seen, Ok(2));
    });
    assert!(info.bytes_max < BYTES_MAX, "{info:?}");
}

/// Feeds so many bytes of comments, blank lines, unknown fields and lone CRs.
fn feed_what_means_nothing(bytes: u64) {
    let comment = [b":", &[b'x'; 65_000][..], b"\n"].concat();
    let chunk = [&comment[..], b"event: never\n\nunknown\n", &[b'\r'; 500]].concat();
    let times = bytes / chunk.len() as u64 + 1;
    let (result, parser, info) = feed(b"", &chunk, times);
    let counts = parser.counts();
    assert_eq!(result, Ok(()));
    assert!(counts.bytes > bytes);
    assert_eq!((counts.comments, counts.unknown_fields, counts.events), (times, times, 0));
    assert!(info.bytes_max < 100, "{info:?}");
    assert!(!parser.pending());
}

#[test]
fn what_means_nothing_costs_no_memory() {
    feed_what_means_nothing(64 << 20);
}

#[test]
#[ignore = "needs a release build to end soon"]
fn four_gib_of_what_means_nothing_cost_no_memory() {
    feed_what_means_nothing(4 << 30);
}

#[test]
fn bytes_after_the_last_event_change_nothing_of_it() {
    let mut parser = Parser::new(LIMITS);
    assert_eq!(take_all(&mut parser, b"data: {\"type\":\"task_finished\"}\n\n"), Ok(1));
    assert_eq!(take_all(&mut parser, b"\0\xFF trailing"), Ok(0));
    assert!(parser.pending(), "what is thrown away at the end is said");
}
