//! An event's `type` from the bytes of its payload, without decoding the JSON.
//!
//! The vendor's serialiser puts `type` first, plain and without spaces. A payload of that shape is only searched for
//! what could make its `type` another one; every other shape goes through a real JSON parser. Never done here: saying
//! whether a plain payload is JSON to its end. Who needs that reads the [`Envelope`](super::Envelope).

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memchr2_iter;
use memchr::memmem::Finder;
use serde::Deserialize;

use super::event::EnvelopeError;

/// How a payload of the plain shape begins.
const PLAIN: &[u8] = br#"{"type":""#;

/// How nearly all of them do.
const CHUNK: &[u8] = br#"{"type":"chunk""#;

/// The key, which may stand in a plain payload only once: a second one may be nested, or a duplicate.
const KEY: &[u8] = br#""type""#;

/// What another spelling of the key needs: only `\u` can stand for a letter.
const ESCAPE: &[u8] = br"\u";

/// Up to this many bytes one search for two single bytes costs less than one for each of the texts.
const SHORT_BYTES: usize = 512;

static KEY_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(KEY));
static ESCAPE_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(ESCAPE));

#[derive(Deserialize)]
struct WireType<'a> {
    #[serde(borrow, rename = "type")]
    name: Cow<'a, str>,
}

/// The `type` of an event's payload. Malformed UTF-8 is read as U+FFFD.
///
/// It is what a JSON parser says wherever the payload is JSON. Where it is not, a plain beginning may still be given a
/// type, since what follows it is not parsed.
///
/// # Errors
/// The payload is not JSON, or no object with one `type` that is a string.
#[inline]
pub fn event_type(payload: &[u8]) -> Result<Cow<'_, str>, EnvelopeError> {
    match plain(payload) {
        Some(name) => Ok(Cow::Borrowed(name)),
        None => parse(payload),
    }
}

/// The `type` of a payload of the plain shape.
#[inline]
fn plain(payload: &[u8]) -> Option<&str> {
    let (name, rest) = match payload.strip_prefix(CHUNK) {
        Some(rest) => ("chunk", rest),
        None => plain_name(payload)?,
    };
    let is_whole = match rest {
        [b'}'] => true,
        [b',', .., b'}'] => !may_have_key(rest),
        _ => false,
    };
    is_whole.then_some(name)
}

/// A plain name, and what follows its closing quote.
fn plain_name(payload: &[u8]) -> Option<(&str, &[u8])> {
    let value = payload.strip_prefix(PLAIN)?;
    let bytes = value.iter().position(|byte| !(byte.is_ascii_lowercase() || *byte == b'_'))?;
    let name = std::str::from_utf8(&value[..bytes]).ok()?;
    Some((name, value[bytes..].strip_prefix(b"\"")?))
}

/// Whether the key may be in there, in whatever spelling.
#[inline]
fn may_have_key(rest: &[u8]) -> bool {
    if rest.len() > SHORT_BYTES {
        return KEY_FINDER.find(rest).is_some() || ESCAPE_FINDER.find(rest).is_some();
    }
    // The key's rarest letter: no other key of the envelope has it.
    const LETTER: usize = 3;
    memchr2_iter(KEY[LETTER], ESCAPE[0], rest).any(|at| {
        let key = at.checked_sub(LETTER).and_then(|start| rest.get(start..start + KEY.len()));
        key == Some(KEY) || rest[at..].starts_with(ESCAPE)
    })
}

/// The `type` of a payload of any shape.
#[cold]
fn parse(payload: &[u8]) -> Result<Cow<'_, str>, EnvelopeError> {
    match String::from_utf8_lossy(payload) {
        Cow::Borrowed(text) => Ok(serde_json::from_str::<WireType<'_>>(text)?.name),
        Cow::Owned(text) => Ok(Cow::Owned(serde_json::from_str::<WireType<'_>>(&text)?.name.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::EventKind;
    use proptest::prelude::*;

    const CHUNK: &str = r#"{"type":"chunk","task_id":"t","time":"x","data":"Hel\nlo","identity":null}"#;

    /// What serde_json makes of it.
    fn parsed(payload: &str) -> Option<String> {
        serde_json::from_str::<WireType<'_>>(payload).ok().map(|wire| wire.name.into_owned())
    }

    #[test]
    fn the_vendors_shape_is_read_without_a_parser() {
        assert_eq!(plain(CHUNK.as_bytes()), Some("chunk"));
        assert_eq!(plain(br#"{"type":"task_finished"}"#), Some("task_finished"));
        assert_eq!(EventKind::of(&event_type(CHUNK.as_bytes()).expect("a type")), EventKind::Chunk);
    }

    #[test]
    fn every_other_shape_goes_to_the_parser_which_says_the_same_as_ever() {
        for (payload, expected) in [
            (r#" {"type":"chunk"}"#, Some("chunk")),
            (r#"{ "type" : "chunk" }"#, Some("chunk")),
            (r#"{"task_id":"t","type":"chunk"}"#, Some("chunk")),
            (r#"{"type":"ch\u0075nk"}"#, Some("chunk")),
            (r#"{"type":"Chunk-2"}"#, Some("Chunk-2")),
            (r#"{"type":"größer"}"#, Some("größer")),
            (r#"{"type":"auth_event","data":{"type":"login_required"}}"#, Some("auth_event")),
            (r#"{"type":"chunk","data":"type"}"#, Some("chunk")),
            (r#"{"type":"chunk","data":"C:\\users"}"#, Some("chunk")),
            (r#"{"type":"chunk","type":"think"}"#, None),
            (r#"{"type":"chunk","\u0074ype":"think"}"#, None),
            (r#"{"type":null}"#, None),
            (r#"{"type":["chunk"]}"#, None),
            (r#"["type","chunk"]"#, None),
            ("", None),
        ] {
            assert_eq!(plain(payload.as_bytes()), None, "{payload}");
            assert_eq!(event_type(payload.as_bytes()).ok().as_deref(), expected, "{payload}");
            assert_eq!(parsed(payload).as_deref(), expected, "{payload}");
        }
    }

    #[test]
    fn what_has_no_type_says_why() {
        let error = |payload: &[u8]| event_type(payload).expect_err("no type").to_string();
        insta::assert_snapshot!(error(b"{}"), @"find the event's type: missing field `type` at line 1 column 2");
        insta::assert_snapshot!(error(b"{\"type\":\"chunk\","), @"read the event as JSON: EOF while parsing a value at line 1 column 16");
        insta::assert_snapshot!(error(br#"{"type":"chunk","type":"think"}"#), @"find the event's type: duplicate field `type` at line 1 column 22");
    }

    #[test]
    fn malformed_utf_8_is_read_as_the_event_stream_has_it() {
        assert_eq!(event_type(b"{\"type\":\"chunk\",\"data\":\"\xFF\"}").expect("a type"), "chunk");
        assert_eq!(event_type(b"{\"type\":\"\xFF\"}").expect("a type"), "\u{FFFD}");
    }

    /// JSON values as texts, with keys and strings that look like the one that is sought.
    fn values() -> impl Strategy<Value = String> {
        let texts =
            vec![r#""type""#, r#""\u0074ype""#, r#""typ\u0065""#, r#""chunk""#, r#""a\\\"type\"b""#, r#""größer""#];
        let leaf = prop_oneof![
            prop::sample::select(texts).prop_map(str::to_owned),
            prop::sample::select(vec!["null", "true", "-1.5e3", r#""""#, "[]", "{}"]).prop_map(str::to_owned),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                objects(inner),
            ]
        })
    }

    fn objects(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec![r#""type""#, r#""\u0074ype""#, r#""data""#, r#""task_id""#, r#""Type""#]);
        let space = prop::sample::select(vec!["", "", "", " ", "\n"]);
        prop::collection::vec((key, space, value), 0..5).prop_map(|members| {
            let members: Vec<_> =
                members.iter().map(|(key, space, value)| format!("{key}{space}:{space}{value}")).collect();
            format!("{{{}}}", members.join(","))
        })
    }

    /// Objects that begin like the vendor's.
    fn envelopes() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["chunk", "task_finished", "", "ch\\u0075nk", "Chunk", "a b"]);
        let padding = prop::sample::select(vec![0, SHORT_BYTES]);
        (name, padding, objects(values())).prop_map(|(name, padding, rest)| match (padding, rest.as_str()) {
            (0, "{}") => format!(r#"{{"type":"{name}"}}"#),
            (0, _) => format!(r#"{{"type":"{name}",{}"#, &rest[1..]),
            _ => format!(r#"{{"type":"{name}","pad":"{:padding$}","rest":{rest},{}"#, "", &with_member(&rest)[1..]),
        })
    }

    /// An object with at least one member.
    fn with_member(object: &str) -> String {
        if object == "{}" { r#"{"last":0}"#.to_owned() } else { object.to_owned() }
    }

    proptest! {
        #[test]
        fn the_scan_agrees_with_serde_json_on_any_json(payload in prop_oneof![values(), envelopes()]) {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&payload).is_ok(), "{} is JSON", payload);
            prop_assert_eq!(event_type(payload.as_bytes()).ok().map(Cow::into_owned), parsed(&payload));
        }

        #[test]
        fn the_scan_agrees_with_serde_json_on_mutated_events_that_are_still_json(
            at in 0..CHUNK.len(),
            length in 0usize..8,
            bytes in "[ -~]{0,8}",
        ) {
            let payload = format!("{}{bytes}{}", &CHUNK[..at], &CHUNK[(at + length).min(CHUNK.len())..]);
            if serde_json::from_str::<serde::de::IgnoredAny>(&payload).is_ok() {
                prop_assert_eq!(event_type(payload.as_bytes()).ok().map(Cow::into_owned), parsed(&payload));
            }
        }
    }
}
