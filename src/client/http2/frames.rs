//! Where the frames of an inbound byte stream begin and end (RFC 9113 §4.1); what they hold is the codec's business.

/// The bytes of a frame's head.
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// What was passed on the way through the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A frame of this stream begins; 0 is the connection itself.
    Begins(u32),
    /// A DATA frame of this stream has ended, with so many bytes of the body.
    DataEnds(u32, u64),
    /// The headers of this stream have ended.
    HeadersEnd(u32),
    /// The server's settings have come.
    Settings,
    /// The server takes no more streams.
    GoAway,
}

/// Walks over the frames of one connection, however they are cut.
#[derive(Debug, Default)]
pub(super) struct Walker {
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that have come.
    head_bytes: usize,
    /// Bytes of the payload that have not.
    left: usize,
    /// Bytes of the payload that are body, once it is known how much padding there is.
    body_bytes: u64,
    /// The next byte says how much padding there is.
    padding_next: bool,
}

impl Walker {
    /// Takes the next bytes, and tells what begins and ends in them.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Mark)) {
        while !bytes.is_empty() {
            if self.head_bytes < HEAD_BYTES {
                let taken = bytes.len().min(HEAD_BYTES - self.head_bytes);
                self.head[self.head_bytes..self.head_bytes + taken].copy_from_slice(&bytes[..taken]);
                self.head_bytes += taken;
                bytes = &bytes[taken..];
                if self.head_bytes < HEAD_BYTES {
                    return;
                }
                self.begin(&mut tell);
            } else {
                if std::mem::take(&mut self.padding_next) {
                    self.body_bytes = self.body_bytes.saturating_sub(1 + u64::from(bytes[0]));
                }
                let taken = bytes.len().min(self.left);
                self.left -= taken;
                bytes = &bytes[taken..];
            }
            if self.left == 0 {
                self.end(&mut tell);
            }
        }
    }

    fn begin(&mut self, tell: &mut impl FnMut(Mark)) {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.body_bytes = self.left as u64;
        self.padding_next = kind == DATA && flags & PADDED != 0 && self.left > 0;
        tell(Mark::Begins(self.stream()));
    }

    /// Whether a frame has begun that has not ended.
    pub(super) fn is_inside(&self) -> bool {
        self.head_bytes > 0
    }

    fn end(&mut self, tell: &mut impl FnMut(Mark)) {
        self.head_bytes = 0;
        match (self.head[3], self.head[4]) {
            (DATA, _) => tell(Mark::DataEnds(self.stream(), self.body_bytes)),
            (HEADERS | CONTINUATION, flags) if flags & END_HEADERS != 0 => tell(Mark::HeadersEnd(self.stream())),
            (SETTINGS, flags) if flags & ACK == 0 => tell(Mark::Settings),
            (GO_AWAY, _) => tell(Mark::GoAway),
            _ => {}
        }
    }

    fn stream(&self) -> u32 {
        let [.., a, b, c, d] = self.head;
        // The highest bit is reserved.
        u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame on the wire.
    pub(in crate::client) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    fn walk<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> Vec<Mark> {
        let (mut walker, mut marks) = (Walker::default(), Vec::new());
        pieces.into_iter().for_each(|piece| walker.feed(piece, |mark| marks.push(mark)));
        marks
    }

    #[test]
    fn frames_end_where_they_say() {
        let bytes = [
            frame(4, 0, 0, &[0; 12]),
            frame(HEADERS, 0, 1, b"abc"),
            frame(CONTINUATION, END_HEADERS, 1, b"d"),
            frame(DATA, 0, 1, b"0123456789"),
            frame(DATA, PADDED, 0x8000_0003, b"\x02abc\0\0"),
            frame(8, 0, 1, &[0; 4]),
            frame(DATA, 1, 1, b""),
            frame(SETTINGS, ACK, 0, b""),
            frame(GO_AWAY, 0, 0, &[0; 8]),
        ]
        .concat();
        let marks = walk([&bytes[..]]);
        assert_eq!(
            marks,
            [
                Mark::Begins(0),
                Mark::Settings,
                Mark::Begins(1),
                Mark::Begins(1),
                Mark::HeadersEnd(1),
                Mark::Begins(1),
                Mark::DataEnds(1, 10),
                Mark::Begins(3),
                Mark::DataEnds(3, 3),
                Mark::Begins(1),
                Mark::Begins(1),
                Mark::DataEnds(1, 0),
                Mark::Begins(0),
                Mark::Begins(0),
                Mark::GoAway,
            ]
        );
        assert_eq!(walk(bytes.chunks(1)), marks);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            frames in prop::collection::vec((0u8..10, any::<u8>(), 0u32..5, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            cuts in prop::collection::vec(1usize..30, 1..40),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, flags, stream, data)| frame(*kind, *flags, *stream, data)).collect();
            let mut rest = &bytes[..];
            let pieces = cuts.iter().cycle().map_while(|cut| {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                rest = behind;
                (!piece.is_empty()).then_some(piece)
            });
            prop_assert_eq!(walk(pieces), walk([&bytes[..]]));
        }
    }
}
