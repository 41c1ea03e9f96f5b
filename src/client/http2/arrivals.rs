//! Which read completed which DATA frame of which stream: by the byte's place below the codec, so that it does not
//! matter when the codec or the stream gets to it.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use tokio::sync::Notify;

use super::frames::{Mark, Walker};
use crate::client::io::Read;

/// When a frame had come whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Completed {
    /// The read that completed it; `earliest_ns` is that of the read in which it began.
    pub read: Read,
    /// Something else came behind it in the same read, so that the kernel's stamp is of that: a frame that is not its
    /// stream's, or of which only a part came.
    pub followed: bool,
}

/// What has come of the streams of one connection and was not asked for yet.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    walker: Walker,
    streams: HashMap<u32, Stream>,
    /// The number of the read that came last, and the streams of which it completed a DATA frame.
    in_read: (u64, Vec<u32>),
    /// When the first byte of the frame under way can have come at the earliest.
    began_ns: u64,
    /// The server has said what it allows.
    settled: bool,
    /// The server takes no more streams.
    going_away: bool,
    /// Woken when there may be room for another stream, or never will be.
    changed: Rc<Notify>,
}

#[derive(Debug, Default)]
struct Stream {
    headers: Option<Read>,
    /// Body bytes that have come.
    bytes: u64,
    /// Behind how many body bytes each DATA frame ended, and when.
    frames: VecDeque<(u64, Completed)>,
    /// When its latest frame had come whole, in nanoseconds.
    latest_ns: Option<u64>,
}

impl Arrivals {
    /// Watches over a stream from now on.
    pub(super) fn open(&mut self, stream: u32) {
        self.streams.insert(stream, Stream::default());
    }

    /// Forgets a stream, and whatever still comes of it.
    pub(super) fn close(&mut self, stream: u32) {
        self.streams.remove(&stream);
        self.changed.notify_waiters();
    }

    /// How many streams are watched over.
    pub(super) fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Whether the server has said what it allows.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether the server takes no more streams.
    pub(super) fn is_going_away(&self) -> bool {
        self.going_away
    }

    /// Who is told of changes in all that.
    pub(super) fn changed(&self) -> Rc<Notify> {
        Rc::clone(&self.changed)
    }

    /// Notes bytes of the connection, and the read that brought them.
    pub(super) fn read(&mut self, bytes: &[u8], read: Read) {
        if self.in_read.0 != read.number {
            self.in_read.0 = read.number;
            self.in_read.1.clear();
        }
        let Self { walker, streams, in_read: (_, completed), began_ns, settled, going_away, changed } = self;
        walker.feed(bytes, |mark| match mark {
            Mark::Begins(stream) => {
                *began_ns = read.earliest_ns;
                for other in completed.iter().filter(|other| **other != stream) {
                    streams.get_mut(other).into_iter().for_each(|other| other.is_followed(read.number));
                }
            }
            Mark::Settings => {
                *settled = true;
                changed.notify_waiters();
            }
            Mark::GoAway => {
                *going_away = true;
                changed.notify_waiters();
            }
            Mark::DataEnds(id, bytes) => {
                let Some(stream) = streams.get_mut(&id) else { return };
                stream.bytes += bytes;
                stream.latest_ns = Some(read.stamp.arrival_ns);
                let read = Read { earliest_ns: *began_ns, ..read };
                // Without bytes there is nothing that could be asked for.
                if bytes > 0 {
                    stream.frames.push_back((stream.bytes, Completed { read, followed: false }));
                    completed.push(id);
                }
            }
            // Those of the answer; trailers come behind the body.
            Mark::HeadersEnd(id) => {
                let Some(stream) = streams.get_mut(&id) else { return };
                stream.latest_ns = Some(read.stamp.arrival_ns);
                if stream.bytes == 0 {
                    stream.headers = Some(read);
                }
            }
        });
        if walker.is_inside() || read.cut {
            for stream in completed.iter() {
                streams.get_mut(stream).into_iter().for_each(|stream| stream.is_followed(read.number));
            }
        }
    }

    /// The number of the last read.
    pub(super) fn last_read(&self) -> u64 {
        self.in_read.0
    }

    /// The read that completed the answer's headers.
    pub(super) fn headers(&self, stream: u32) -> Option<Read> {
        self.streams.get(&stream)?.headers
    }

    /// When the latest frame of a stream had come whole, in nanoseconds: behind the body's end, that was its end.
    pub(super) fn latest_ns(&self, stream: u32) -> Option<u64> {
        self.streams.get(&stream)?.latest_ns
    }

    /// When the frame had come whole that ends behind so many bytes of the body. What lies before it is forgotten.
    pub(super) fn take(&mut self, stream: u32, bytes: u64) -> Option<Completed> {
        let frames = &mut self.streams.get_mut(&stream)?.frames;
        while frames.front()?.0 < bytes {
            frames.pop_front();
        }
        frames.front().map(|(_, completed)| *completed)
    }
}

impl Stream {
    fn is_followed(&mut self, read: u64) {
        let of_read = self.frames.iter_mut().rev().take_while(|(_, completed)| completed.read.number == read);
        of_read.for_each(|(_, completed)| completed.followed = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::http2::frames::tests::frame;
    use crate::client::stamper::Stamp;

    fn read(number: u64) -> Read {
        let stamp = Stamp { arrival_ns: number * 1_000, kernel: true };
        Read { number, stamp, earliest_ns: number * 1_000 - 300, ..Read::default() }
    }

    fn data(stream: u32, bytes: &str) -> Vec<u8> {
        frame(0, 0, stream, bytes.as_bytes())
    }

    #[test]
    fn each_frame_has_the_stamp_of_the_read_that_completed_it_however_late_it_is_asked_for() {
        let mut arrivals = Arrivals::default();
        arrivals.open(1);
        arrivals.open(3);
        arrivals.read(&[frame(1, 4, 1, b"h"), frame(1, 4, 3, b"h")].concat(), read(1));
        arrivals.read(&data(1, "aaaa"), read(2));
        let long = data(3, "bbbbbbbbbb");
        arrivals.read(&long[..12], read(3));
        arrivals.read(&[&long[12..], &data(1, "cc")].concat(), read(4));
        assert_eq!(
            (arrivals.headers(1), arrivals.headers(3), arrivals.headers(5)),
            (Some(read(1)), Some(read(1)), None)
        );
        assert_eq!(arrivals.take(1, 4), Some(Completed { read: read(2), followed: false }));
        assert_eq!(arrivals.take(1, 6), Some(Completed { read: read(4), followed: false }));
        let began = Read { earliest_ns: read(3).earliest_ns, ..read(4) };
        assert_eq!(arrivals.take(3, 10), Some(Completed { read: began, followed: true }), "stream 1 came behind it");
        assert_eq!(arrivals.take(3, 11), None);
    }

    #[test]
    fn a_body_ends_with_the_latest_frame_whether_or_not_that_has_bytes() {
        let mut arrivals = Arrivals::default();
        arrivals.open(1);
        assert_eq!(arrivals.latest_ns(1), None);
        arrivals.read(&data(1, "a"), read(1));
        arrivals.read(&data(3, "a"), read(2));
        assert_eq!(arrivals.latest_ns(1), Some(1_000));
        arrivals.read(&data(1, ""), read(3));
        assert_eq!(arrivals.latest_ns(1), Some(3_000));
        arrivals.read(&frame(1, 4, 1, b"t"), read(4));
        assert_eq!(arrivals.latest_ns(1), Some(4_000), "trailers");
        assert_eq!(arrivals.take(1, 1).map(|completed| completed.read.number), Some(1));
    }

    #[test]
    fn what_shares_a_read_with_its_own_stream_is_not_followed_and_closed_streams_hold_nothing() {
        let mut arrivals = Arrivals::default();
        arrivals.open(1);
        arrivals.read(&[data(1, "a"), data(1, ""), data(1, "b"), data(7, "never opened")].concat(), read(1));
        assert_eq!(arrivals.take(1, 1).map(|completed| completed.followed), Some(true), "7 came behind both");
        arrivals.read(&[data(1, "c"), data(1, "d")].concat(), read(2));
        assert_eq!(arrivals.take(1, 3).map(|completed| completed.followed), Some(false));
        arrivals.close(1);
        arrivals.read(&data(1, "late"), read(3));
        assert!(arrivals.streams.is_empty());
    }

    #[test]
    fn whatever_begins_behind_a_frame_in_its_read_moves_the_reads_stamp() {
        let (ping, update, long) = (frame(6, 0, 0, &[0; 8]), frame(8, 0, 3, &[0; 4]), data(1, "bbbb"));
        let headers = frame(1, 4, 3, b"h");
        for (behind, followed) in [
            (&ping[..], true),
            (&update, true),
            (&headers, true),
            (&long[..3], true),
            (&long[..11], true),
            (&long, false),
        ] {
            let mut arrivals = Arrivals::default();
            arrivals.open(1);
            arrivals.read(&[&data(1, "a"), behind].concat(), read(1));
            assert_eq!(arrivals.take(1, 1).map(|completed| completed.followed), Some(followed), "{behind:?}");
        }
    }

    #[test]
    fn a_part_of_a_frame_that_came_before_follows_nothing() {
        let mut arrivals = Arrivals::default();
        arrivals.open(1);
        let next = data(1, "bbbb");
        arrivals.read(&next[..5], read(1));
        arrivals.read(&next[5..], read(2));
        assert_eq!(arrivals.take(1, 4).map(|completed| completed.followed), Some(false));
    }
}
