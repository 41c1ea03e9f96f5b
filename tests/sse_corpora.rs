//! Each corpus and feed of the benchmarks gives the right events.

#[expect(unreachable_pub, reason = "the benchmarks' library has these in its interface")]
#[path = "../benches/sse/src/corpus.rs"]
mod corpus;

use corpus::Feed;
use plimsoll::sse::Parser;

#[test]
fn every_corpus_and_feed_of_the_benchmarks_gives_the_right_events() {
    for corpus in corpus::all() {
        assert!(corpus.payloads.len() > 100, "{}", corpus.name);
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
