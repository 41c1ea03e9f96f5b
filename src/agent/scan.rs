//! Reads the envelope of a plain event, as almost every chunk is, without a JSON parser.
//!
//! Plain is one object of strings, `null`, `true` and `false`, compact or with single spaces. Whatever else comes, valid
//! or not, is left to the full parser; what is taken here, the full parser reads in the same way (property-tested).

use std::borrow::Cow;

use memchr::memchr2;

use super::event::{Envelope, EventKind};

/// The envelope of a plain event; none when it takes a full parser to tell.
pub(super) fn scan(payload: &str) -> Option<Envelope<'_>> {
    // A control character is either layout or an error.
    if payload.bytes().fold(u8::MAX, u8::min) < b' ' {
        return None;
    }
    let mut rest = Rest { text: payload, at: 0 };
    let (mut kind, mut task_id, mut time, mut data) = (None, None, None, None);
    rest.take(b'{')?;
    loop {
        let key = rest.string()?;
        rest.take(b':')?;
        let value = rest.value()?;
        match key {
            // A key that comes twice is an error.
            "type" if kind.is_none() => kind = Some(EventKind::of(value.plain_text()?)),
            "task_id" if task_id.is_none() => task_id = Some(value),
            "time" if time.is_none() => time = Some(value),
            "data" if data.is_none() => data = Some(value),
            "type" | "task_id" | "time" | "data" => return None,
            _ => {}
        }
        if rest.take(b',').is_none() {
            break;
        }
    }
    rest.take(b'}')?;
    if rest.at < payload.len() {
        return None;
    }
    let task_id = match task_id {
        Some(Value::Text { escaped: true, .. }) => return None,
        Some(value) => value.plain_text(),
        None => None,
    };
    Some(Envelope {
        kind: kind?,
        task_id: task_id.map(Cow::Borrowed),
        time: time.and_then(Value::plain_text),
        data: data.and_then(Value::raw),
    })
}

/// A value of a plain event.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    /// A string, its quotes included.
    Text {
        raw: &'a str,
        escaped: bool,
    },
    /// `true` or `false`.
    Boolean(&'a str),
    Null,
}

impl<'a> Value<'a> {
    /// The text of a string without escapes.
    fn plain_text(self) -> Option<&'a str> {
        match self {
            Self::Text { raw, escaped: false } => Some(&raw[1..raw.len() - 1]),
            _ => None,
        }
    }

    /// The JSON of it; none for `null`.
    fn raw(self) -> Option<&'a str> {
        match self {
            Self::Text { raw, .. } | Self::Boolean(raw) => Some(raw),
            Self::Null => None,
        }
    }
}

/// What has not been looked at.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    /// Takes this byte, and a space after it.
    fn take(&mut self, byte: u8) -> Option<()> {
        let bytes = self.text.as_bytes();
        if *bytes.get(self.at)? != byte {
            return None;
        }
        self.at += 1 + usize::from(bytes.get(self.at + 1) == Some(&b' '));
        Some(())
    }

    /// Takes a string without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.value()?.plain_text()
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let rest = &self.text[self.at..];
        let value = match rest.as_bytes().first()? {
            b'"' => return self.text(),
            b'n' => ("null", Value::Null),
            b't' => ("true", Value::Boolean("true")),
            b'f' => ("false", Value::Boolean("false")),
            _ => return None,
        };
        self.at += value.0.len();
        rest.starts_with(value.0).then_some(value.1)
    }

    /// Takes a string whose escapes are those of two characters.
    fn text(&mut self) -> Option<Value<'a>> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let (mut end, mut escaped) = (start + 1, false);
        loop {
            end += memchr2(b'"', b'\\', &bytes[end..])?;
            if bytes[end] == b'"' {
                break;
            }
            escaped = true;
            if !matches!(bytes.get(end + 1)?, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') {
                return None;
            }
            end += 2;
        }
        self.at = end + 1;
        Some(Value::Text { raw: &self.text[start..=end], escaped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What both ways to read an envelope are compared by.
    fn told<'a>(envelope: &'a Envelope<'_>) -> (EventKind, [Option<&'a str>; 3]) {
        (envelope.kind, [envelope.task_id.as_deref(), envelope.time, envelope.data])
    }

    fn agrees(payload: &str) -> bool {
        let parsed = Envelope::parse_fully(payload);
        scan(payload).is_none_or(|scanned| parsed.is_ok_and(|parsed| told(&scanned) == told(&parsed)))
    }

    #[test]
    fn a_chunk_as_the_contract_shows_it_is_plain() {
        for payload in [
            r#"{"type":"chunk","task_id":"02843b37","organization_id":"91fb","time":"2026-11-23T14:30:51.182382Z","data":"Hel","identity":null}"#,
            r#"{"type": "chunk", "task_id": "t", "data": "a\nb\"c 👋"}"#,
            r#"{"type":"think","data":true}"#,
        ] {
            assert!(scan(payload).is_some() && agrees(payload), "{payload}");
        }
    }

    #[test]
    fn what_takes_a_parser_is_left_to_it() {
        for payload in [
            r#"{"type":"chunk","data":{"a":"b"}}"#,
            r#"{"type":"chunk","data":"\u0041"}"#,
            r#"{"type":"chunk","data":"a","data":"b"}"#,
            r#"{"type":"chunk","data":7}"#,
            r#"{"type":null,"data":"a"}"#,
            r#"{"data":"a"}"#,
            r#"{"type":"chunk"}x"#,
            r#"{"type":"chunk","data":"a\"#,
            r#"{"type":"chunk","data":"a\x"}"#,
            r#"{"type":"chunk",}"#,
            r#"{"type":"chunk""data":"a"}"#,
            r#"{"type":"ch\tunk"}"#,
            r#"{"type":"chunk","task_id":"a\nb"}"#,
            "{\"type\":\"chunk\",\"data\":\"a\nb\"}",
            "{}",
            "",
        ] {
            assert!(scan(payload).is_none(), "{payload}");
        }
    }

    /// Payloads made of the pieces that envelopes are made of, in an order that is often right.
    fn payload() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec!["type", "task_id", "data", "time", "other", "ty\\u0070e", "da\\nta", ""]);
        let value = prop::sample::select(vec![
            "\"chunk\"",
            "\"think\"",
            "\"a\\nb\"",
            "\"\\u00e9\"",
            "\"\\ud800\"",
            "\"👋\"",
            "\"\"",
            "null",
            "true",
            "false",
            "nul",
            "7",
            "-0.5e3",
            "{}",
            "[1,\"a\"]",
            "\"a\\x\"",
            "\"a\u{1}\"",
            "\"open",
            " \"a\"",
        ]);
        let colon = prop::sample::select(vec![":", ":", ":", ": ", " :", ":  "]);
        let member = (key, colon, value).prop_map(|(key, colon, value)| format!("\"{key}\"{colon}{value}"));
        let comma = prop::sample::select(vec![",", ",", ",", ", ", ",  ", ",,"]);
        let ends = prop::sample::select(vec![
            ("{", "}"),
            ("{", "}"),
            ("{", "}"),
            ("{ ", " }"),
            ("", ""),
            ("{", "} "),
            ("{", "}}"),
            ("{", ",}"),
        ]);
        (prop::collection::vec(member, 0..6), comma, ends)
            .prop_map(|(members, comma, (open, close))| format!("{open}{}{close}", members.join(comma)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn what_is_taken_is_read_as_the_full_parser_reads_it(payload in payload()) {
            prop_assert!(agrees(&payload), "{payload}: {:?}", scan(&payload));
        }

        #[test]
        fn a_damaged_chunk_is_read_as_the_full_parser_reads_it(at in 0usize..90, by in any::<char>(), cut in 0usize..3) {
            let mut damaged: Vec<char> =
                r#"{"type":"chunk","task_id":"t1","organization_id":"o","time":"x","data":"Hel\nlo \\"}"#.chars().collect();
            let at = at.min(damaged.len());
            damaged.splice(at..(at + cut).min(damaged.len()), [by]);
            let damaged: String = damaged.into_iter().collect();
            prop_assert!(agrees(&damaged), "{damaged}");
        }
    }
}
