//! What is swept: so many streams with an event every so often, over one transport.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::units::{self, ExactTime, NS_PER_S};

/// So many streams at a time, each with an event every `gap_ns` nanoseconds; written `1000x20ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Streams at a time.
    pub streams: u32,
    /// From event to event of a stream, in nanoseconds.
    pub gap_ns: u64,
}

/// A text that is no load.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a load: write streams and gap, such as 1000x20ms; from 1 to {STREAMS_MAX} streams, and a gap from 1ms to 10s"
)]
pub struct NotALoad(String);

/// A text that is no time for all streams to stand.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotADuration {
    /// It is no duration at all.
    #[error(transparent)]
    Unreadable(#[from] units::Error),
    /// It is too long.
    #[error(
        "{0:?} is too long: all streams of a load stand for at most 1h, since every event is kept until it is joined"
    )]
    TooLong(String),
}

/// How the streams are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP/1.1 in the clear.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    H2,
}

/// A text that is no transport.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a transport: write plain, tls or h2")]
pub struct NotATransport(String);

/// The most streams of a load: each takes a port, and all go from one address to one other, which 65,535 can at most.
const STREAMS_MAX: u32 = 50_000;

/// The longest that all streams stand together, in nanoseconds.
const DURATION_NS_MAX: u64 = 3_600 * NS_PER_S;

/// Reads how long all streams of a load stand together, in nanoseconds.
///
/// # Errors
/// It is no duration, or too long.
pub fn parse_duration_ns(text: &str) -> Result<u64, NotADuration> {
    let duration_ns = units::parse_duration_ns(text)?;
    if duration_ns > DURATION_NS_MAX { Err(NotADuration::TooLong(text.to_owned())) } else { Ok(duration_ns) }
}

/// The shortest and the longest gap, in nanoseconds.
const GAPS_NS: std::ops::RangeInclusive<u64> = 1_000_000..=10 * NS_PER_S;

impl Load {
    /// Events that are due in a second once all streams stand.
    #[must_use]
    pub fn events_per_s(self) -> u64 {
        u64::from(self.streams) * NS_PER_S / self.gap_ns
    }

    /// Chunks that a stream of so many nanoseconds has; at least two, so that there is a gap.
    #[must_use]
    pub fn chunks(self, duration_ns: u64) -> u64 {
        (duration_ns / self.gap_ns + 1).max(2)
    }
}

impl FromStr for Load {
    type Err = NotALoad;

    fn from_str(text: &str) -> Result<Self, NotALoad> {
        let refuse = || NotALoad(text.to_owned());
        let (streams, gap) = text.split_once(['x', '×']).ok_or_else(refuse)?;
        let streams =
            streams.trim().parse().ok().filter(|streams| (1..=STREAMS_MAX).contains(streams)).ok_or_else(refuse)?;
        let gap_ns = units::parse_duration_ns(gap).ok().filter(|ns| GAPS_NS.contains(ns)).ok_or_else(refuse)?;
        Ok(Self { streams, gap_ns })
    }
}

impl fmt::Display for Load {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&format!("{}x{}", self.streams, ExactTime(self.gap_ns)))
    }
}

impl Transport {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::H2];

    /// As the command line has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::H2 => "h2",
        }
    }

    /// As people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Plain => "HTTP/1.1 in the clear",
            Self::Tls => "HTTP/1.1 over TLS",
            Self::H2 => "HTTP/2 over TLS",
        }
    }
}

impl FromStr for Transport {
    type Err = NotATransport;

    fn from_str(text: &str) -> Result<Self, NotATransport> {
        Self::ALL.into_iter().find(|one| one.word() == text).ok_or_else(|| NotATransport(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_written_as_it_is_read() {
        for text in ["1000x20ms", "1x1ms", "5000x60ms", "10x2s"] {
            let load: Load = text.parse().expect("a load");
            assert_eq!(load.to_string(), text);
        }
        let load: Load = "1000 × 20ms".parse().expect("a load");
        assert_eq!((load.events_per_s(), load.chunks(NS_PER_S), load.chunks(0)), (50_000, 51, 2));
    }

    #[test]
    fn what_is_no_load_and_no_transport_is_told_with_the_form() {
        let told: Vec<_> = ["", "20ms", "0x20ms", "50001x20ms", "10x20", "10x10us", "10x1m"]
            .map(|text| text.parse::<Load>().expect_err(text).to_string())
            .into_iter()
            .chain(["4", "61m", "300000h"].map(|text| parse_duration_ns(text).expect_err(text).to_string()))
            .chain(["http3".parse::<Transport>().expect_err("http3").to_string()])
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        "" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
        "20ms" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
        "0x20ms" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
        "50001x20ms" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
        "10x20" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
        "10x10us" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
        "10x1m" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
        "4" is not a duration: write a number with its unit, such as 250ms, 10s or 1m30s
        "61m" is too long: all streams of a load stand for at most 1h, since every event is kept until it is joined
        "300000h" is too long: all streams of a load stand for at most 1h, since every event is kept until it is joined
        "http3" is not a transport: write plain, tls or h2
        "#);
    }
}
