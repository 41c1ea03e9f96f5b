//! The encoder: events to the bytes of an event stream (HTML §9.2.5), as a server writes them.
//!
//! It writes into the caller's buffer and never fails: what the format can't carry is not written, which each method
//! says. Never done here: framing of HTTP, flushing.

use memchr::memchr2;

/// What ends a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LineEnd {
    /// U+000A.
    #[default]
    Lf,
    /// U+000D.
    Cr,
    /// Both.
    Crlf,
}

impl LineEnd {
    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::Cr => b"\r",
            Self::Crlf => b"\r\n",
        }
    }
}

/// What stands in an event beside its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The `event:` line.
    pub event_type: Option<&'a [u8]>,
    /// The `id:` line.
    pub id: Option<&'a [u8]>,
    /// The `retry:` line, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// Writes events with one kind of line end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encoder {
    line_end: LineEnd,
}

impl Encoder {
    /// An encoder with this line end.
    #[must_use]
    pub fn new(line_end: LineEnd) -> Self {
        Self { line_end }
    }

    /// Appends one event that has nothing but data; each of its lines, however it ends, becomes a `data:` line.
    pub fn data(&self, data: &[u8], out: &mut Vec<u8>) {
        self.event(Fields::default(), data, out);
    }

    /// Appends one event. Of a type or id only the first line is written, and an id with a NUL not at all.
    pub fn event(&self, fields: Fields<'_>, data: &[u8], out: &mut Vec<u8>) {
        if let Some(event_type) = fields.event_type {
            self.field(b"event: ", first_line(event_type), out);
        }
        if let Some(id) = fields.id.filter(|id| !id.contains(&0)) {
            self.field(b"id: ", first_line(id), out);
        }
        if let Some(retry_ms) = fields.retry_ms {
            self.field(b"retry: ", retry_ms.to_string().as_bytes(), out);
        }
        self.lines(b"data: ", data, out);
        out.extend_from_slice(self.line_end.bytes());
    }

    /// Appends a comment, which no client shows.
    pub fn comment(&self, text: &[u8], out: &mut Vec<u8>) {
        self.lines(b": ", text, out);
        out.extend_from_slice(self.line_end.bytes());
    }

    fn lines(&self, name: &[u8], mut text: &[u8], out: &mut Vec<u8>) {
        while let Some(end) = memchr2(b'\n', b'\r', text) {
            self.field(name, &text[..end], out);
            let width = if text[end..].starts_with(b"\r\n") { 2 } else { 1 };
            text = &text[end + width..];
        }
        self.field(name, text, out);
    }

    fn field(&self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(name);
        out.extend_from_slice(value);
        out.extend_from_slice(self.line_end.bytes());
    }
}

fn first_line(value: &[u8]) -> &[u8] {
    &value[..memchr2(b'\n', b'\r', value).unwrap_or(value.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::Parser;
    use proptest::prelude::*;

    /// Type, data and last id of an event.
    type Seen = (Vec<u8>, Vec<u8>, Vec<u8>);

    /// The events, comments and reconnection time of a stream, read back.
    fn read(stream: &[u8]) -> (Vec<Seen>, u64, Option<u64>) {
        let mut parser = Parser::default();
        let mut seen = Vec::new();
        let mut events = parser.feed(stream);
        while let Some(event) = events.next().expect("far below the limits") {
            seen.push((event.event_type().to_vec(), event.data().to_vec(), event.id().to_vec()));
        }
        (seen, parser.counts().comments, parser.retry_ms())
    }

    #[test]
    fn an_event_is_written_as_the_specification_has_it() {
        let fields = Fields { event_type: Some(b"chunk"), id: Some(b"7"), retry_ms: Some(3_000) };
        let mut out = Vec::new();
        Encoder::default().comment(b"ping", &mut out);
        Encoder::default().event(fields, b"two\nlines", &mut out);
        Encoder::new(LineEnd::Crlf).data(b"", &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            ": ping\n\nevent: chunk\nid: 7\nretry: 3000\ndata: two\ndata: lines\n\ndata: \r\n\r\n"
        );
    }

    fn line_end() -> impl Strategy<Value = LineEnd> {
        prop_oneof![Just(LineEnd::Lf), Just(LineEnd::Cr), Just(LineEnd::Crlf)]
    }

    /// Bytes in which what has a meaning in the format is frequent.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(0), any::<u8>()];
        proptest::collection::vec(byte, 0..24)
    }

    type Written = (Option<Vec<u8>>, Option<Vec<u8>>, Option<u64>, Vec<u8>, bool);

    fn events() -> impl Strategy<Value = Vec<Written>> {
        let one = (
            proptest::option::of(bytes()),
            proptest::option::of(bytes()),
            proptest::option::of(0_u64..1 << 40),
            bytes(),
            any::<bool>(),
        );
        proptest::collection::vec(one, 0..6)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(line_end in line_end(), events in events()) {
            let encoder = Encoder::new(line_end);
            let (mut out, mut expected, mut last_id, mut last_retry, mut comments) =
                (Vec::new(), Vec::new(), Vec::new(), None, 0);
            for (event_type, id, retry_ms, data, comment) in &events {
                if *comment {
                    encoder.comment(b"ping", &mut out);
                    comments += 1;
                }
                let fields = Fields { event_type: event_type.as_deref(), id: id.as_deref(), retry_ms: *retry_ms };
                encoder.event(fields, data, &mut out);
                if let Some(id) = id.as_deref().filter(|id| !id.contains(&0)) {
                    last_id = first_line(id).to_vec();
                }
                last_retry = retry_ms.or(last_retry);
                // Line ends of the data become LF: the format carries lines, not what ended them.
                let lines = data.iter().enumerate().filter_map(|(at, byte)| match byte {
                    b'\n' if at > 0 && data[at - 1] == b'\r' => None,
                    b'\r' => Some(b'\n'),
                    byte => Some(*byte),
                });
                let event_type = event_type.as_deref().map(first_line).unwrap_or_default().to_vec();
                expected.push((event_type, lines.collect::<Vec<_>>(), last_id.clone()));
            }
            prop_assert_eq!(read(&out), (expected, comments, last_retry));
        }
    }
}
