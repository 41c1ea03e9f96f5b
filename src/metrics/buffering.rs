//! Chunks that were held back on their way: several came in one read although the server had sent them apart.
//!
//! The evidence is the server's own `time` of each chunk. Within a read all chunks arrive at one instant; what lies
//! between their times was squeezed into it. The rule is our own.

use super::warning::Warning;
use crate::agent::unix_ns;

/// Chunks of one read that lie closer together than this by the server's clock may have been written together, in
/// nanoseconds.
const APART_NS: u64 = 5_000_000;
/// The longest `time` that is kept, in bytes: ISO 8601 to the nanosecond with an offset has 35.
const TIME_BYTES_MAX: usize = 40;
/// As few buffered reads as come about by chance.
const READS_MIN: u64 = 20;
/// The share of chunks in buffered reads from which on a stream is called buffered.
const SHARE_MIN: f64 = 0.5;
/// The client's own delay explains a read when it is more than this part of what was squeezed into it.
const OWN_DELAY_DIVISOR: u64 = 10;

/// Reads that brought chunks which the server had sent at least 5 ms apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Buffered {
    /// How many.
    pub reads: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Bytes of the body in them, up to the last chunk.
    pub bytes: u64,
    /// The sum of the times between the first and the last chunk of each by the server's clock, in nanoseconds; those without
    /// a time left out.
    pub squeezed_ns: u64,
}

impl Buffered {
    /// Adds those of another invocation.
    pub fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.chunks += other.chunks;
        self.bytes += other.bytes;
        self.squeezed_ns += other.squeezed_ns;
    }

    /// Whether these are the sign of something on the way that holds back, among so many `chunks`.
    ///
    /// `own_delay_ns` is the most that the client itself let things lie, in nanoseconds: its lag and that of its starts.
    #[must_use]
    pub fn judge(&self, chunks: u64, own_delay_ns: u64) -> Option<Warning> {
        if self.reads < READS_MIN {
            return None;
        }
        let share = self.chunks as f64 / chunks.max(1) as f64;
        let is_own = own_delay_ns > self.squeezed_ns / self.reads / OWN_DELAY_DIVISOR;
        let Self { reads, chunks, bytes, squeezed_ns } = *self;
        (share > SHARE_MIN && !is_own).then_some(Warning::Buffered { share, reads, chunks, bytes, squeezed_ns })
    }
}

/// Watches the chunks of one stream.
///
/// A chunk costs a copy of its `time`. Of those that shared a read only the first and the last that were told are parsed,
/// once that read is over: a server's clock goes on between them.
#[derive(Debug)]
pub(super) struct Watcher {
    /// The read's chunks so far, and its bytes up to the last of them.
    chunks: u64,
    bytes: u64,
    first: Time,
    last: Time,
    found: Buffered,
}

/// The `time` of a chunk as it was told; empty when there was none that could be one.
#[derive(Debug, Clone, Copy)]
struct Time {
    length: usize,
    text: [u8; TIME_BYTES_MAX],
}

impl Watcher {
    pub(super) fn new() -> Self {
        Self { chunks: 0, bytes: 0, first: Time::NONE, last: Time::NONE, found: Buffered::default() }
    }

    /// The first chunk of a read.
    pub(super) fn first(&mut self, time: Option<&str>) {
        self.close();
        self.chunks = 1;
        self.last.length = 0;
        self.first.set(time);
    }

    /// A further chunk of the same read, which has brought so many bytes by now.
    pub(super) fn further(&mut self, time: Option<&str>, read_bytes: u64) {
        self.chunks += 1;
        self.bytes = read_bytes;
        if self.first.length == 0 {
            self.first.set(time);
        } else if time.is_some() {
            self.last.set(time);
        }
    }

    /// What was found in all that came.
    pub(super) fn found(mut self) -> Buffered {
        self.close();
        self.found
    }

    /// Judges the read that is over.
    fn close(&mut self) {
        if self.chunks < 2 {
            return;
        }
        let (first, last) = (self.first.unix_ns(), self.last.unix_ns());
        let squeezed_ns = first.zip(last).map_or(0, |(first, last)| last.saturating_sub(first));
        if squeezed_ns >= APART_NS {
            self.found.add(&Buffered { reads: 1, chunks: self.chunks, bytes: self.bytes, squeezed_ns });
        }
    }
}

impl Time {
    const NONE: Self = Self { length: 0, text: [0; TIME_BYTES_MAX] };

    fn set(&mut self, time: Option<&str>) {
        let text = time.map(str::as_bytes).filter(|text| text.len() <= TIME_BYTES_MAX).unwrap_or_default();
        self.text[..text.len()].copy_from_slice(text);
        self.length = text.len();
    }

    fn unix_ns(&self) -> Option<u64> {
        std::str::from_utf8(&self.text[..self.length]).ok().and_then(unix_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(reads: &[&[&str]]) -> Buffered {
        let mut watcher = Watcher::new();
        for read in reads {
            watcher.first(read.first().copied());
            for (before, time) in read.iter().enumerate().skip(1) {
                watcher.further(Some(time), (before as u64 + 1) * 100);
            }
        }
        watcher.found()
    }

    #[test]
    fn what_the_server_sent_apart_and_came_together_is_counted() {
        let together = ["2026-03-23T00:46:03.10Z", "2026-03-23T00:46:03.12Z", "2026-03-23T00:46:03.15Z"];
        let found = Buffered { reads: 1, chunks: 3, bytes: 300, squeezed_ns: 50_000_000 };
        assert_eq!(watched(&[&together]), found);
        let alone = ["2026-03-23T00:46:03.2Z"];
        assert_eq!(watched(&[&alone, &together, &alone]), found);
        let unread = [together[0], "today", together[2]];
        assert_eq!(watched(&[&unread]), found, "what lies between does not matter");
        let mut watcher = Watcher::new();
        watcher.first(None);
        let times = [Some(together[0]), None, Some(together[2]), None];
        times.into_iter().for_each(|time| watcher.further(time, 300));
        assert_eq!(watcher.found(), Buffered { chunks: 5, ..found }, "nor do those without a time");
        let twice = Buffered { reads: 2, chunks: 6, bytes: 600, squeezed_ns: 100_000_000 };
        assert_eq!(watched(&[&together, &together]), twice);
    }

    #[test]
    fn chunks_alone_written_together_in_disorder_or_without_a_time_are_no_sign() {
        let long = "2026-03-23T00:46:03.1000000000000000000000000000000Z";
        for read in [
            &["2026-03-23T00:46:03.1Z"][..],
            &["2026-03-23T00:46:03.100Z", "2026-03-23T00:46:03.104Z"],
            &["yesterday", "2026-03-23T00:46:03.4Z", "2026-03-23T00:46:03.5Z"],
            &["2026-03-23T00:46:03.1Z", "2026-03-23T00:46:03.5Z", "today"],
            &["2026-03-23T00:46:03.5Z", "2026-03-23T00:46:03.1Z"],
            &[long, "2026-03-23T00:46:03.5Z"],
        ] {
            assert_eq!(watched(&[read]), Buffered::default(), "{read:?}");
        }
    }

    #[test]
    fn it_takes_many_reads_most_chunks_and_a_client_that_kept_up() {
        let found = Buffered { reads: 20, chunks: 200, bytes: 60_000, squeezed_ns: 20 * 180_000_000 };
        let Buffered { reads, chunks, bytes, squeezed_ns } = found;
        let warning = Warning::Buffered { share: 0.8, reads, chunks, bytes, squeezed_ns };
        assert_eq!(found.judge(250, 18_000_000), Some(warning));
        assert_eq!(found.judge(250, 18_000_001), None, "the client was late itself");
        assert_eq!(found.judge(400, 0), None, "half of all chunks came one by one");
        assert_eq!(Buffered { reads: 19, ..found }.judge(250, 0), None, "too few to say");
        assert_eq!(Buffered::default().judge(0, 0), None);
    }
}
