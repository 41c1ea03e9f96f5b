//! Each corpus and feed of the benchmarks gives the right events.

#[expect(unreachable_pub, reason = "the benchmarks' library has these in its interface")]
#[path = "../benches/sse/src/corpus.rs"]
mod corpus;

use corpus::Feed;
use plimsoll::agent::event_type;
use plimsoll::sse::Parser;

#[test]
fn every_corpus_and_feed_of_the_benchmarks_gives_the_right_events() {
    for corpus in corpus::all() {
        assert!(corpus.payloads.len() > 100, "{}", corpus.name);
        let line_ends = corpus.stream.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
        assert_eq!(line_ends, corpus.payloads.len() * corpus.line_ends, "{}", corpus.name);
        let types = corpus.payloads.iter().filter_map(|payload| Some(event_type(payload.as_bytes()).ok()?.len()));
        assert_eq!(types.sum::<usize>(), corpus.type_bytes(), "{}", corpus.name);
        for feed in Feed::ALL {
            let reads = feed.cut(&corpus.stream);
            assert_eq!(reads.concat(), corpus.stream, "{}", feed.name());
            let (mut parser, mut expected) = (Parser::default(), corpus.payloads.iter());
            for read in reads {
                let mut events = parser.feed(read);
                while let Some(event) = events.next().expect("far below the limits") {
                    assert_eq!(Some(event.data()), expected.next().map(String::as_bytes), "{}", corpus.name);
                }
            }
            assert_eq!(expected.next(), None, "{}, {}", corpus.name, feed.name());
            assert!(!parser.pending());
        }
    }
}
