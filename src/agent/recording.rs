//! A recorded stream: the bytes of its body as they were read, with the time of each read.
//!
//! As text it is one JSON object a line: a head, then a line for each read, so that it can be looked at, cut and put
//! together with any tool. Reading it back gives the same bytes at the same times.

use std::fmt::Write as _;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of the form that is written.
const VERSION: u32 = 1;

/// A recorded stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// The answer's status.
    pub status: u16,
    /// The answer's content type.
    pub content_type: String,
    /// What was read, in order.
    pub pieces: Vec<Piece>,
    /// The end of the body, in nanoseconds since the send; absent when it was not awaited.
    pub end_ns: Option<u64>,
}

/// One read of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// In nanoseconds since the send of the request.
    pub at_ns: u64,
    /// What was read.
    pub bytes: Vec<u8>,
}

/// Why a text is no recording.
#[derive(Debug, Error)]
#[error("read the recording, line {line}: {why}; it is made by plimsoll probe --record FILE")]
pub struct Error {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireHead {
    plimsoll_recording: u32,
    status: u16,
    content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end_ns: Option<u64>,
}

/// A read: as text where its bytes are text, else in base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePiece {
    at_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Recording {
    /// Reads a recording's text.
    ///
    /// # Errors
    /// A line is not what it should be.
    pub fn read(text: &str) -> Result<Self, Error> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (_, head) = lines.next().ok_or(Error { line: 1, why: "it is empty".into() })?;
        let head: WireHead = parse(0, head)?;
        if head.plimsoll_recording != VERSION {
            let why = format!("its version is {}, and this program reads version {VERSION}", head.plimsoll_recording);
            return Err(Error { line: 1, why });
        }
        let mut pieces: Vec<Piece> = Vec::new();
        for (at, line) in lines {
            let wire: WirePiece = parse(at, line)?;
            let refuse = |why: &str| Error { line: at + 1, why: why.into() };
            let bytes = match (wire.text, wire.base64) {
                (Some(text), None) => text.into_bytes(),
                (None, Some(text)) => BASE64.decode(text).map_err(|_| refuse("its base64 is broken"))?,
                _ => return Err(refuse("a read has either text or base64")),
            };
            if pieces.last().is_some_and(|before| before.at_ns > wire.at_ns) {
                return Err(refuse("it was read before the line above it"));
            }
            pieces.push(Piece { at_ns: wire.at_ns, bytes });
        }
        Ok(Self { status: head.status, content_type: head.content_type, pieces, end_ns: head.end_ns })
    }

    /// Writes the recording's text.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let head = WireHead {
            plimsoll_recording: VERSION,
            status: self.status,
            content_type: self.content_type.clone(),
            end_ns: self.end_ns,
        };
        let mut text = json(&head);
        for Piece { at_ns, bytes } in &self.pieces {
            let wire = match std::str::from_utf8(bytes) {
                Ok(text) => WirePiece { at_ns: *at_ns, text: Some(text.to_owned()), base64: None },
                Err(_) => WirePiece { at_ns: *at_ns, text: None, base64: Some(BASE64.encode(bytes)) },
            };
            write!(text, "\n{}", json(&wire)).expect("a string takes any text");
        }
        writeln!(out, "{text}")
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect()
    }

    /// Masks what may be personal or secret, byte for byte, so that sizes, cuts and times stay what they were; `blot` makes
    /// the recorder's own secrets illegible, wherever they stand.
    pub fn redact(&mut self, blot: impl Fn(&mut [u8])) {
        let mut content_type = std::mem::take(&mut self.content_type).into_bytes();
        blot(&mut content_type);
        self.content_type = String::from_utf8_lossy(&content_type).into_owned();
        let mut body = self.body();
        blot(&mut body);
        mask(&mut body);
        let mut rest = &body[..];
        for piece in &mut self.pieces {
            let (own, behind) = rest.split_at(piece.bytes.len());
            piece.bytes.copy_from_slice(own);
            rest = behind;
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it has a JSON form")
}

fn parse<'t, T: Deserialize<'t>>(at: usize, line: &'t str) -> Result<T, Error> {
    serde_json::from_str(line).map_err(|error| Error { line: at + 1, why: error.to_string() })
}

/// Keys whose values are masked whole, with everything in them.
const MASKED: [&str; 16] = [
    "user",
    "email",
    "first_name",
    "last_name",
    "display_name",
    "additional_attributes",
    "user_id",
    "user_oidc_token",
    "user_tokens",
    "access_token",
    "api_key",
    "token",
    "url",
    "payload_extension",
    "headers",
    "authorization",
];

/// What stands in place of a masked byte.
const MASK: u8 = b'x';

/// Masks the strings and numbers under [`MASKED`] in any JSON that the bytes hold.
fn mask(body: &mut [u8]) {
    let mut at = 0;
    while let Some(string) = next_string(body, at) {
        at = string.1 + 1;
        let is_masked = MASKED.iter().any(|key| body[string.0..string.1].eq_ignore_ascii_case(key.as_bytes()));
        if let Some(value) = value_after(body, at).filter(|_| is_masked) {
            at = mask_value(body, value);
        }
    }
}

/// The next string from `at` on: where its text begins, and its closing quote.
fn next_string(body: &[u8], at: usize) -> Option<(usize, usize)> {
    let open = at + body.get(at..)?.iter().position(|byte| *byte == b'"')?;
    Some((open + 1, closing(body, open + 1)?))
}

fn closing(body: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match body.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where the value of a key begins whose closing quote is right before `at`.
fn value_after(body: &[u8], at: usize) -> Option<usize> {
    let skip = |from: usize| from + body[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let colon = skip(at);
    (body.get(colon) == Some(&b':')).then(|| skip(colon + 1))
}

/// Masks a value, keys of objects within it excepted; returns where it ends.
fn mask_value(body: &mut [u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_u32);
    while let Some(byte) = body.get(at).copied() {
        match byte {
            b'"' => {
                let Some(close) = closing(body, at + 1) else { return body.len() };
                if value_after(body, close + 1).is_none() || depth == 0 {
                    body[at + 1..close].fill(MASK);
                }
                at = close;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'0'..=b'9' => body[at] = b'0',
            b'\n' | b'\r' => return at,
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(body.get(at), None | Some(b',' | b'}' | b']')) {
            return at;
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recording(pieces: &[(u64, &[u8])]) -> Recording {
        let pieces = pieces.iter().map(|(at_ns, bytes)| Piece { at_ns: *at_ns, bytes: bytes.to_vec() }).collect();
        Recording { status: 200, content_type: "text/event-stream".into(), pieces, end_ns: Some(9_000_000) }
    }

    fn text(recording: &Recording) -> String {
        let mut out = Vec::new();
        recording.write(&mut out).expect("a vector takes it");
        String::from_utf8(out).expect("text")
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(
            pieces in proptest::collection::vec((0_u64..1 << 40, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let mut at_ns = 0;
            let mut written = recording(&[]);
            for (after_ns, bytes) in pieces {
                at_ns += after_ns;
                written.pieces.push(Piece { at_ns, bytes });
            }
            prop_assert_eq!(Recording::read(&text(&written)).expect("a recording"), written);
        }

        #[test]
        fn masking_keeps_every_length(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut written = recording(&[(1, &bytes[..bytes.len() / 2]), (2, &bytes[bytes.len() / 2..])]);
            let lengths: Vec<_> = written.pieces.iter().map(|piece| piece.bytes.len()).collect();
            written.redact(|_| {});
            prop_assert_eq!(written.pieces.iter().map(|piece| piece.bytes.len()).collect::<Vec<_>>(), lengths);
        }
    }

    #[test]
    fn what_may_be_personal_is_masked_also_across_reads() {
        let mut written = recording(&[
            (1, br#"data: {"data":{"id":"t1","input":{"text":"Hi","user":{"id":"u-7","em"#),
            (2, br#"ail":"a\"@example.com","age":42,"tags":["p"]},"files":[]},"user_oidc_token":"secret","result":"ok of mine"}}"#),
        ]);
        written.content_type = "text/event-stream; mine".into();
        written.redact(|bytes| {
            let found: Vec<_> = memchr::memmem::find_iter(bytes, b"mine").collect();
            found.into_iter().for_each(|at| bytes[at..at + 4].fill(b'x'));
        });
        assert_eq!(written.content_type, "text/event-stream; xxxx");
        let body = String::from_utf8(written.body()).expect("text");
        insta::assert_snapshot!(body, @r#"data: {"data":{"id":"t1","input":{"text":"Hi","user":{"id":"xxx","email":"xxxxxxxxxxxxxxx","age":00,"tags":["x"]},"files":[]},"user_oidc_token":"xxxxxx","result":"ok of xxxx"}}"#);
    }

    #[test]
    fn a_text_that_is_no_recording_says_where_and_why() {
        let head = r#"{"plimsoll_recording":1,"status":200,"content_type":"text/event-stream"}"#;
        let told = [
            String::new(),
            "data: x".into(),
            head.replace(":1,", ":2,"),
            format!("{head}\n{{\"at_ns\":5}}"),
            format!("{head}\n{{\"at_ns\":5,\"text\":\"\"}}\n{{\"at_ns\":4,\"text\":\"\"}}"),
            format!("{head}\n{{\"at_ns\":5,\"base64\":\"?\"}}"),
        ]
        .map(|text| Recording::read(&text).expect_err("not a recording").to_string());
        insta::assert_snapshot!(told.join("\n"), @"
        read the recording, line 1: it is empty; it is made by plimsoll probe --record FILE
        read the recording, line 1: expected value at line 1 column 1; it is made by plimsoll probe --record FILE
        read the recording, line 1: its version is 2, and this program reads version 1; it is made by plimsoll probe --record FILE
        read the recording, line 2: a read has either text or base64; it is made by plimsoll probe --record FILE
        read the recording, line 3: it was read before the line above it; it is made by plimsoll probe --record FILE
        read the recording, line 2: its base64 is broken; it is made by plimsoll probe --record FILE
        ");
    }
}
