//! Everything that is measured, as functions from reads to a tally, so that all are measured and checked alike.

use std::hint::black_box;

use plimsoll::agent::{Envelope, EventKind, event_type};
use plimsoll::sse::Parser;
use serde::Deserialize;

use crate::peers;

/// What was seen of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events with data.
    pub events: usize,
    /// Bytes of what was asked for: of the data, or of the types.
    pub bytes: usize,
}

/// Something under measurement.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// What it is called in the tables.
    pub name: &'static str,
    /// Its work on a stream that comes in these reads.
    pub run: fn(&[&'static [u8]]) -> Tally,
}

/// plimsoll's parser.
pub const OURS: Subject = Subject { name: "plimsoll", run: |reads| framing(reads, <[u8]>::len) };

/// The positions of all line ends: what a scanner of lines can't do without.
pub const FLOOR: Subject = Subject { name: "memchr2 positions", run: floor };

/// The crates that people use.
pub const PEERS: [Subject; 6] = [
    Subject { name: "sse-core", run: peers::sse_core },
    Subject { name: "sse-stream", run: peers::sse_stream },
    Subject { name: "sse-parse", run: peers::sse_parse },
    Subject { name: "sseer", run: peers::sseer },
    Subject { name: "async-sse", run: peers::async_sse },
    Subject { name: "eventsource-stream", run: peers::eventsource_stream },
];

/// The event's type out of its payload, by our scan.
pub const TYPE: Subject = Subject { name: "framing + type", run: |reads| framing(reads, scan) };

/// What else gives the type, and more of the payload, after our framing.
pub const PAYLOADS: [Subject; 6] = [
    Subject { name: "framing + sonic-rs get", run: |reads| framing(reads, sonic_get) },
    Subject { name: "framing + serde_json, type alone", run: |reads| framing(reads, serde_type) },
    Subject { name: "framing + plimsoll's envelope", run: |reads| framing(reads, envelope) },
    Subject { name: "framing + sonic-rs, full", run: |reads| framing(reads, sonic_full) },
    Subject { name: "framing + serde_json, full", run: |reads| framing(reads, serde_full) },
    Subject { name: "eventsource-stream + serde_json, full", run: peers::eventsource_stream_with_json },
];

#[derive(Deserialize)]
struct TypeOnly<'a> {
    #[serde(rename = "type")]
    name: &'a str,
}

impl Tally {
    /// Adds an event.
    pub fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes;
    }
}

/// Our parser, and what is made of each event's data.
#[inline(always)]
fn framing(reads: &[&'static [u8]], take: impl Fn(&[u8]) -> usize) -> Tally {
    let (mut parser, mut tally) = (Parser::default(), Tally::default());
    for read in reads {
        let mut events = parser.feed(read);
        while let Some(event) = events.next().expect("far below the limits") {
            tally.add(take(black_box(event.data())));
        }
    }
    tally
}

/// Counts line ends in place of events: two for each.
fn floor(reads: &[&'static [u8]]) -> Tally {
    let mut line_ends = 0;
    for read in reads {
        for end in memchr::memchr2_iter(b'\n', b'\r', read) {
            black_box(end);
            line_ends += 1;
        }
    }
    Tally { events: line_ends / 2, bytes: 0 }
}

fn scan(data: &[u8]) -> usize {
    let name = event_type(data).expect("an envelope");
    black_box(EventKind::of(&name));
    name.len()
}

fn sonic_get(data: &[u8]) -> usize {
    let value = sonic_rs::get_from_slice(data, ["type"]).expect("an envelope");
    let name = value.as_raw_str().trim_matches('"');
    black_box(EventKind::of(name));
    name.len()
}

fn serde_type(data: &[u8]) -> usize {
    let name = serde_json::from_slice::<TypeOnly<'_>>(data).expect("an envelope").name;
    black_box(EventKind::of(name));
    name.len()
}

fn envelope(data: &[u8]) -> usize {
    let text = std::str::from_utf8(data).expect("UTF-8");
    let envelope = Envelope::parse(text).expect("an envelope");
    black_box(&envelope);
    name_bytes(envelope.kind)
}

/// How long the name of a kind is, for those that the corpora have.
fn name_bytes(kind: EventKind) -> usize {
    match kind {
        EventKind::Chunk | EventKind::Think => 5,
        EventKind::TaskCreated | EventKind::TaskUpdated | EventKind::PlanUpdated => 12,
        EventKind::TaskFinished => 13,
        EventKind::ToolCallRequest => 17,
        EventKind::ToolCallResult => 16,
        other => unreachable!("{other:?} is in no corpus"),
    }
}

fn sonic_full(data: &[u8]) -> usize {
    use sonic_rs::{JsonContainerTrait, JsonValueTrait};
    let value: sonic_rs::Value = sonic_rs::from_slice(data).expect("JSON");
    value.as_object().and_then(|object| object.get(&"type")).and_then(|name| name.as_str()).expect("a type").len()
}

pub(crate) fn serde_full(data: &[u8]) -> usize {
    let value: serde_json::Value = serde_json::from_slice(data).expect("JSON");
    value["type"].as_str().expect("a type").len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{self, Feed};

    #[test]
    fn every_subject_gives_the_right_events_on_every_corpus_and_feed() {
        for corpus in corpus::all() {
            let events = corpus.payloads.len();
            let data = Tally { events, bytes: corpus.payloads.iter().map(String::len).sum() };
            let types = Tally { events, bytes: corpus.type_bytes() };
            let stream: &'static [u8] = corpus.stream.leak();
            for feed in Feed::ALL {
                let reads = feed.cut(stream);
                let place = |subject: &Subject| format!("{} on {}, {}", subject.name, corpus.name, feed.name());
                for subject in PEERS.iter().chain([&OURS]).filter(|subject| subject.can_bear(feed)) {
                    assert_eq!((subject.run)(&reads), data, "{}", place(subject));
                }
                assert_eq!(floor(&reads).events, events * corpus.line_ends / 2, "{}", place(&FLOOR));
                if types.bytes > 0 {
                    for subject in PAYLOADS.iter().chain([&TYPE]).filter(|subject| subject.can_bear(feed)) {
                        assert_eq!((subject.run)(&reads), types, "{}", place(subject));
                    }
                }
            }
        }
    }
}
