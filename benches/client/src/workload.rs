//! What is streamed, and the bytes of it.

use std::time::Duration;

/// One workload.
#[derive(Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    /// Streams at a time.
    pub streams: usize,
    pub pace: Pace,
    /// How long until all streams stand; they are opened evenly within half of it.
    pub settle: Duration,
    /// How long is measured.
    pub measure: Duration,
}

/// When events are written.
#[derive(Clone, Copy)]
pub enum Pace {
    /// One write an event, this far apart, without end.
    Every(Duration),
    /// A whole response of so many chunks in one write, at once; over again on the same connection.
    AtOnce(usize),
    /// One event and then nothing.
    Idle,
}

const fn paced(name: &'static str, streams: usize, gap_ms: u64) -> Workload {
    let (settle, measure) = (Duration::from_secs(5), Duration::from_secs(5));
    Workload { name, streams, pace: Pace::Every(Duration::from_millis(gap_ms)), settle, measure }
}

pub const ALL: &[Workload] = &[
    paced("paced-1000", 1_000, 20),
    paced("paced-10000", 10_000, 250),
    // The same rate of events over more and more streams.
    paced("rate-100", 100, 5),
    paced("rate-1000", 1_000, 50),
    paced("rate-10000", 10_000, 500),
    Workload {
        name: "unpaced",
        streams: 64,
        pace: Pace::AtOnce(50),
        settle: Duration::from_secs(1),
        measure: Duration::from_secs(4),
    },
    Workload {
        name: "idle",
        streams: 5_000,
        pace: Pace::Idle,
        settle: Duration::from_secs(5),
        measure: Duration::from_secs(1),
    },
];

pub const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
    transfer-encoding: chunked\r\n\r\n";
pub const BODY: &str = r#"{"input":{"text":"Hello"}}"#;

/// The path that is asked for.
pub const PATH: &str = "/v1/agents/a1/invoke/stream";

impl Workload {
    pub fn named(name: &str) -> Self {
        let known = ALL.iter().find(|workload| workload.name == name).copied();
        known.or_else(|| Self::of_streams_and_gap(name)).unwrap_or_else(|| panic!("no workload {name}"))
    }

    /// `2000x100` is 2,000 streams with an event every 100 ms.
    fn of_streams_and_gap(name: &str) -> Option<Self> {
        let (streams, gap_ms) = name.split_once('x')?;
        Some(paced(name.to_owned().leak(), streams.parse().ok()?, gap_ms.parse().ok()?))
    }

    pub fn told(&self) -> String {
        let streams = self.streams;
        match self.pace {
            Pace::Every(gap) => format!("{streams} streams, an event every {gap:?}, a write each"),
            Pace::AtOnce(chunks) => format!("{streams} connections, {chunks} chunks a response in one write"),
            Pace::Idle => format!("{streams} streams that say nothing"),
        }
    }

    /// When the stream of this number is opened.
    pub fn opened_after(&self, number: usize) -> Duration {
        self.settle / 2 * u32::try_from(number).expect("few streams") / u32::try_from(self.streams).expect("few")
    }
}

/// Where in the gap a stream has its events: multiples of the golden ratio lie evenly, however many there are.
pub fn phase_ns(number: u64, gap_ns: u64) -> u64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let fraction = u128::from(number.wrapping_mul(GOLDEN));
    u64::try_from((fraction * u128::from(gap_ns)) >> 64).expect("less than the gap")
}

/// An event in a chunk of its own.
pub fn event(kind: &str, data: &str) -> String {
    let event = format!(
        "data: {{\"type\":\"{kind}\",\"task_id\":\"5b2f7c1e-9d1a-4c47-8a51-1f0a4f3f7c11\",\"organization_id\":\
         \"8f14e45f-ceea-467f-a0e6-d3c1f1b2a9d4\",\"time\":\"2026-01-01T00:00:00.000000Z\",\"data\":{data}}}\n\n"
    );
    format!("{:x}\r\n{event}\r\n", event.len())
}

pub fn chunk() -> String {
    event("chunk", "\"token \"")
}

/// A whole response.
pub fn response(chunks: usize) -> String {
    let mut text = HEAD.to_owned() + &event("task_created", r#"{"id":"5b2f7c1e","status":"pending"}"#);
    text.extend((0..chunks).map(|_| chunk()));
    text + &event("task_finished", r#"{"id":"5b2f7c1e","status":"completed","result":"done"}"#) + "0\r\n\r\n"
}
