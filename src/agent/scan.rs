//! Reads the envelope of a plain event, as almost every one is, without a JSON parser.
//!
//! Plain is one object, compact or with single spaces, whose keys have no escapes, whose strings have none but those of
//! two characters, and whose numbers have no exponents. Whatever else comes, valid or not, is left to the full parser;
//! what is taken here, the full parser reads in the same way (property-tested).

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::event::{Envelope, EventKind, ToolCall};

/// How deep the values of a plain event are nested at most.
const DEPTH_MAX: u32 = 32;

/// The envelope of a plain event; none when it takes a full parser to tell.
pub(super) fn scan(payload: &str) -> Option<Envelope<'_>> {
    // A control character is either layout or an error.
    if payload.bytes().fold(u8::MAX, u8::min) < b' ' {
        return None;
    }
    let mut rest = Rest { text: payload, at: 0 };
    let (mut kind, mut task_id, mut time, mut data) = (None, None, None, None);
    let mut members = None;
    rest.take(b'{')?;
    loop {
        let key = rest.key()?;
        let value = match key {
            "data" => rest.data(&mut members)?,
            _ => rest.value(DEPTH_MAX)?,
        };
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
        members,
    })
}

/// How many bytes a string of valid JSON has when it is decoded; none when it is no string, or takes a full parser.
pub(super) fn text_bytes(json: &str) -> Option<usize> {
    let text = json.strip_prefix('"')?.strip_suffix('"')?;
    let (mut bytes, mut rest) = (text.len(), text);
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        let (written, decoded) = match rest.as_bytes().get(at + 1)? {
            // Half of a surrogate pair is no character.
            b'u' => (6, char::from_u32(u32::from_str_radix(rest.get(at + 2..at + 6)?, 16).ok()?)?.len_utf8()),
            _ => (2, 1),
        };
        bytes -= written - decoded;
        rest = rest.get(at + written..)?;
    }
    Some(bytes)
}

/// What an event's `data` has of the members that somebody asks for.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    kind: Option<Value<'a>>,
    request_id: Option<Value<'a>>,
    tool_name: Option<Value<'a>>,
    operation_id: Option<Value<'a>>,
    is_error: Option<Value<'a>>,
}

impl<'a> Members<'a> {
    /// The tool call; none when it takes a full parser to tell.
    pub(super) fn tool_call(&self) -> Option<ToolCall<'a>> {
        let tool_name = self.tool_name.map_or(Some(None), Value::text_or_null)?;
        let operation_id = self.operation_id.map_or(Some(None), Value::text_or_null)?;
        let is_error = match self.is_error {
            None | Some(Value::Null) => false,
            Some(Value::Boolean(word)) => word == "true",
            Some(_) => return None,
        };
        let name = Cow::Borrowed(tool_name.or(operation_id).unwrap_or_default());
        Some(ToolCall { request_id: Cow::Borrowed(self.request_id?.plain_text()?), name, is_error })
    }

    /// Its `type`; none when there is none that is plain.
    pub(super) fn kind(&self) -> Option<&'a str> {
        self.kind?.plain_text()
    }

    /// Takes a member; none when it has come before.
    fn take(&mut self, key: &str, value: Value<'a>) -> Option<()> {
        let member = match key {
            "type" => &mut self.kind,
            "request_id" => &mut self.request_id,
            "tool_name" => &mut self.tool_name,
            "operation_id" => &mut self.operation_id,
            "is_error" => &mut self.is_error,
            _ => return Some(()),
        };
        member.replace(value).is_none().then_some(())
    }
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
    /// A number, an array or an object.
    Other(&'a str),
}

impl<'a> Value<'a> {
    /// The text of a string without escapes.
    fn plain_text(self) -> Option<&'a str> {
        match self {
            Self::Text { raw, escaped: false } => Some(&raw[1..raw.len() - 1]),
            _ => None,
        }
    }

    /// The text of a string without escapes, or nothing of `null`; none of anything else.
    fn text_or_null(self) -> Option<Option<&'a str>> {
        match self {
            Self::Null => Some(None),
            _ => self.plain_text().map(Some),
        }
    }

    /// The JSON of it; none for `null`.
    fn raw(self) -> Option<&'a str> {
        match self {
            Self::Text { raw, .. } | Self::Boolean(raw) | Self::Other(raw) => Some(raw),
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

    /// Takes a key without escapes, and its colon.
    fn key(&mut self) -> Option<&'a str> {
        let key = self.string()?.plain_text()?;
        self.take(b':')?;
        Some(key)
    }

    /// Takes the value of `data`; when it is an object, its members are noted.
    fn data(&mut self, members: &mut Option<Members<'a>>) -> Option<Value<'a>> {
        if self.text.as_bytes().get(self.at) != Some(&b'{') {
            return self.value(DEPTH_MAX);
        }
        let members = members.insert(Members::default());
        self.object(DEPTH_MAX, |key, value| members.take(key, value))
    }

    /// Takes a value that is nested no deeper than so.
    fn value(&mut self, depth: u32) -> Option<Value<'a>> {
        let rest = &self.text[self.at..];
        let value = match rest.as_bytes().first()? {
            b'"' => return self.string(),
            b'{' => return self.object(depth, |_, _| Some(())),
            b'[' => return self.array(depth),
            b'-' | b'0'..=b'9' => return self.number(),
            b'n' => ("null", Value::Null),
            b't' => ("true", Value::Boolean("true")),
            b'f' => ("false", Value::Boolean("false")),
            _ => return None,
        };
        self.at += value.0.len();
        rest.starts_with(value.0).then_some(value.1)
    }

    /// Takes an object and shows its members.
    fn object(&mut self, depth: u32, mut member: impl FnMut(&'a str, Value<'a>) -> Option<()>) -> Option<Value<'a>> {
        let (start, depth) = (self.at, depth.checked_sub(1)?);
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(self.since(start));
        }
        loop {
            let key = self.key()?;
            let value = self.value(depth)?;
            member(key, value)?;
            if self.take(b',').is_none() {
                break;
            }
        }
        self.take(b'}')?;
        Some(self.since(start))
    }

    fn array(&mut self, depth: u32) -> Option<Value<'a>> {
        let (start, depth) = (self.at, depth.checked_sub(1)?);
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(self.since(start));
        }
        loop {
            self.value(depth)?;
            if self.take(b',').is_none() {
                break;
            }
        }
        self.take(b']')?;
        Some(self.since(start))
    }

    /// Takes a number without an exponent.
    fn number(&mut self) -> Option<Value<'a>> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let first = start + usize::from(bytes[start] == b'-');
        let whole = digits(first);
        if whole == 0 || (whole > 1 && bytes[first] == b'0') {
            return None;
        }
        let mut end = first + whole;
        if bytes.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            end += 1 + fraction;
            (fraction > 0).then_some(())?;
        }
        self.at = end;
        Some(self.since(start))
    }

    /// Takes a string whose escapes are those of two characters.
    fn string(&mut self) -> Option<Value<'a>> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        if bytes.get(start) != Some(&b'"') {
            return None;
        }
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

    /// The value that was taken from here on, without the space after it.
    fn since(&self, start: usize) -> Value<'a> {
        let raw = &self.text[start..self.at];
        Value::Other(raw.strip_suffix(' ').unwrap_or(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What both ways to read an envelope are compared by.
    type Told<'a> = (EventKind, [Option<&'a str>; 3], Option<ToolCall<'a>>, bool);

    fn told<'a>(envelope: &'a Envelope<'_>) -> Told<'a> {
        // Its naive twin decodes the text.
        assert_eq!(envelope.chunk_text_bytes(), envelope.chunk_text().map(|text| text.len()));
        let texts = [envelope.task_id.as_deref(), envelope.time, envelope.data];
        (envelope.kind, texts, envelope.tool_call(), envelope.asks_for_login())
    }

    fn agrees(payload: &str) -> bool {
        let parsed = Envelope::parse_fully(payload).ok();
        let parsed = parsed.as_ref().map(told);
        scan(payload).is_none_or(|scanned| parsed == Some(told(&scanned)))
    }

    #[test]
    fn events_as_the_contract_shows_them_are_plain() {
        for payload in [
            r#"{"type":"chunk","task_id":"02843b37","organization_id":"91fb","time":"2026-11-23T14:30:51.182382Z","data":"Hel","identity":null}"#,
            r#"{"type": "chunk", "task_id": "t", "data": "a\nb\"c 👋"}"#,
            r#"{"type":"think","data":true}"#,
            r#"{"type":"think","data":[-0.5, 7, 10, {}, []] , "time":0}"#,
            r#"{"type":"tool_call_request","data":{"request_id":"r","operation_id":"op","tool_name":null,"payload":{"a":[1,"{\n"]}}}"#,
            r#"{"type":"tool_call_result","data":{"request_id":"r","tool_name":"search","result":{"is_error":7},"is_error":true},"identity":null}"#,
            r#"{"type":"auth_event","data":{"type":"login_required","data":{}}}"#,
        ] {
            assert!(scan(payload).is_some() && agrees(payload), "{payload}");
        }
    }

    #[test]
    fn what_takes_a_parser_is_left_to_it() {
        for payload in [
            r#"{"type":"chunk","data":"\u0041"}"#,
            r#"{"type":"chunk","data":"a","data":"b"}"#,
            r#"{"type":"chunk","data":7e3}"#,
            r#"{"type":"chunk","data":07}"#,
            r#"{"type":"chunk","data":-}"#,
            r#"{"type":"chunk","data":7.}"#,
            r#"{"type":"chunk","data":{"a":"b",}}"#,
            r#"{"type":"chunk","data":[1,]}"#,
            r#"{"type":"chunk","data":[1}]"#,
            r#"{"type":"tool_call_request","data":{"request_id":"a","request_id":"b"}}"#,
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
        let nested = |depth| format!(r#"{{"type":"chunk","data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let deepest = DEPTH_MAX as usize;
        assert!(scan(&nested(deepest)).is_some() && scan(&nested(deepest + 1)).is_none());
    }

    #[test]
    fn the_size_of_a_text_is_known_without_decoding_it() {
        for (json, bytes) in [
            (r#""""#, Some(0)),
            (r#""a\n\"b👋""#, Some(8)),
            (r#""\u0041\u00e9\u20AC""#, Some(6)),
            (r#""\ud83d\udc4b""#, None),
            ("7", None),
        ] {
            assert_eq!(text_bytes(json), bytes, "{json}");
        }
    }

    /// Payloads made of the pieces that envelopes are made of, in an order that is often right.
    fn payload() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec!["type", "task_id", "data", "time", "other", "ty\\u0070e", "da\\nta", ""]);
        let value = prop::sample::select(vec![
            "\"tool_call_result\"",
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
        let nested = nested(value.clone());
        object(key, prop_oneof![3 => value.prop_map(str::to_owned), 1 => nested])
    }

    /// What `data` is made of, with members that are sought at its top and mean nothing further below.
    fn nested(value: impl Strategy<Value = &'static str> + 'static) -> impl Strategy<Value = String> {
        let key = || prop::sample::select(vec!["request_id", "tool_name", "operation_id", "is_error", "type", "other"]);
        value.prop_map(str::to_owned).prop_recursive(3, 16, 4, move |inner| {
            let array = prop::collection::vec(inner.clone(), 0..3).prop_map(|values| format!("[{}]", values.join(",")));
            prop_oneof![1 => array, 3 => object(key(), inner)]
        })
    }

    fn object(
        key: impl Strategy<Value = &'static str>,
        value: impl Strategy<Value = String>,
    ) -> impl Strategy<Value = String> {
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
        fn a_damaged_tool_call_is_read_as_the_full_parser_reads_it(
            at in 0usize..140,
            by in any::<char>(),
            cut in 0usize..3,
        ) {
            let mut damaged: Vec<char> =
                r#"{"type":"tool_call_result","task_id":"t1","data":{"request_id":"r","tool_name":"s","result":[-1.5,{"a":null}],"is_error":true}}"#.chars().collect();
            let at = at.min(damaged.len());
            damaged.splice(at..(at + cut).min(damaged.len()), [by]);
            let damaged: String = damaged.into_iter().collect();
            prop_assert!(agrees(&damaged), "{damaged}");
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
