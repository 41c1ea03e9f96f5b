//! What a server says back to us may hold our own secrets: they are masked before anything is kept of it.

use std::borrow::Cow;

use hyper::header::HeaderMap;
use memchr::memmem;
use serde_json::Value;

use crate::agent::Request;

/// What stands in a secret's place.
const MASKED: &str = "(hidden)";
/// The same where lengths have to stay: for each byte.
const BLOT: u8 = b'x';
/// Shorter values are too common in any text to be told from it, and too short to be secrets.
const SECRET_BYTES_MIN: usize = 6;
/// The part of a secret from which on its beginning is hidden, too, where a text was cut off.
const PREFIX_BYTES_MIN: usize = 4;
/// Headers of every request, which hold nothing of the user's.
const PUBLIC_HEADERS: [&str; 5] = ["host", "content-type", "accept", "cache-control", "user-agent"];

/// The secrets of a run's requests: the API key, the values of the user's own headers, what is free in the bodies.
#[derive(Clone, Default)]
pub(super) struct Mask(Vec<Vec<u8>>);

impl std::fmt::Debug for Mask {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Mask({})", self.0.len())
    }
}

impl Mask {
    /// The secrets of requests with these headers and one of these bodies.
    pub(super) fn new<'r>(headers: &HeaderMap, bodies: impl IntoIterator<Item = &'r Request>) -> Self {
        let own = headers.iter().filter(|(name, _)| !PUBLIC_HEADERS.contains(&name.as_str()));
        let mut secrets: Vec<Vec<u8>> = own.map(|(_, value)| value.as_bytes().to_vec()).collect();
        for request in bodies {
            secrets.extend(request.user_oidc_token.iter().map(|token| token.clone().into_bytes()));
            let free = [&request.user_tokens, &request.payload_extension].into_iter().flatten();
            let servers = request.mcp_servers.iter().flatten();
            let tables = free.chain(servers).chain([&request.extra]);
            tables.flat_map(serde_json::Map::values).for_each(|value| texts(value, &mut secrets));
        }
        secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
        // The longest one goes first; variants have most of theirs in common.
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self(secrets)
    }

    /// How much more of a text must be read so that no secret is cut at its end, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.0.first().map_or(0, Vec::len)
    }

    /// The text without the secrets; where it ends inside one, without its beginning. Those that overlap are one.
    pub(super) fn hide(&self, text: &[u8]) -> Vec<u8> {
        self.hide_by(text, hidden_at)
    }

    /// A text that nobody has cut off without the secrets; what is hidden already stays as it is.
    pub(super) fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.0.iter().any(|secret| memmem::find(text.as_bytes(), secret).is_some()) {
            return Cow::Borrowed(text);
        }
        let whole = |text: &[u8], secret: &[u8]| text.starts_with(secret).then_some(secret.len());
        let parts = text.split(MASKED).map(|part| self.hide_by(part.as_bytes(), whole));
        let parts: Vec<_> = parts.map(|part| String::from_utf8_lossy(&part).into_owned()).collect();
        Cow::Owned(parts.join(MASKED))
    }

    /// Makes the secrets illegible, byte for byte.
    pub(super) fn blot(&self, text: &mut [u8]) {
        let found =
            |secret: &Vec<u8>| memmem::find_iter(text, secret).map(|at| at..at + secret.len()).collect::<Vec<_>>();
        let found: Vec<_> = self.0.iter().flat_map(found).collect();
        found.into_iter().for_each(|range| text[range].fill(BLOT));
    }

    fn hide_by(&self, text: &[u8], hidden_at: impl Fn(&[u8], &[u8]) -> Option<usize>) -> Vec<u8> {
        let mut told = Vec::with_capacity(text.len());
        let mut hidden_until = 0;
        for (at, byte) in text.iter().enumerate() {
            let hidden = self.0.iter().filter_map(|secret| hidden_at(&text[at..], secret)).max();
            if let Some(length) = hidden {
                if at >= hidden_until {
                    told.extend_from_slice(MASKED.as_bytes());
                }
                hidden_until = hidden_until.max(at + length);
            }
            if at >= hidden_until {
                told.push(*byte);
            }
        }
        told
    }
}

/// How much of the text's beginning is this secret, or as much of it as the text has.
fn hidden_at(text: &[u8], secret: &[u8]) -> Option<usize> {
    let cut_off = || text.len() >= PREFIX_BYTES_MIN && secret.starts_with(text);
    if text.starts_with(secret) { Some(secret.len()) } else { cut_off().then_some(text.len()) }
}

/// Every text within a JSON value.
fn texts(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => found.push(text.clone().into_bytes()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn mask() -> Mask {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("api.example"));
        headers.insert("x-api-key", HeaderValue::from_static("sk-canary-123"));
        headers.insert("x-team", HeaderValue::from_static("red"));
        let request = Request { user_oidc_token: Some("token-canary".into()), ..Request::default() };
        Mask::new(&headers, [&request])
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let told =
            mask().hide(b"POST host: api.example x-api-key: sk-canary-123 x-team: red; token-canary, sk-canary-123");
        insta::assert_snapshot!(
            String::from_utf8_lossy(&told),
            @"POST host: api.example x-api-key: (hidden) x-team: red; (hidden), (hidden)"
        );
    }

    #[test]
    fn a_secret_that_is_cut_off_is_hidden_too() {
        for cut in PREFIX_BYTES_MIN..13 {
            let text = [b"key: ", &b"sk-canary-123"[..cut]].concat();
            assert_eq!(mask().hide(&text), b"key: (hidden)", "{cut}");
        }
        assert_eq!(mask().hide(b"all is well"), b"all is well");
    }

    #[test]
    fn a_secret_that_is_part_of_what_stands_in_its_place_is_hidden_once() {
        let mut headers = HeaderMap::new();
        headers.insert("x-own", HeaderValue::from_static("hidden"));
        headers.insert("x-other", HeaderValue::from_static("(hidden)"));
        let mask = Mask::new(&headers, []);
        assert_eq!(mask.hide(b"a hidden (hidden) hidd"), b"a (hidden) (hidden) (hidden)");
    }

    #[test]
    fn secrets_that_overlap_leave_nothing_of_either() {
        let mut headers = HeaderMap::new();
        headers.insert("x-own", HeaderValue::from_static("abcdef"));
        headers.insert("x-other", HeaderValue::from_static("defghi"));
        assert_eq!(Mask::new(&headers, []).hide(b"<abcdefghi> <abcdefabcdef>"), b"<(hidden)> <(hidden)(hidden)>");
    }

    #[test]
    fn a_text_that_nobody_cut_off_keeps_its_end() {
        let clean = |text: &str| mask().clean(text).into_owned();
        assert_eq!(clean("sk-canary-123 and sk-canary"), "(hidden) and sk-canary");
        let mut headers = HeaderMap::new();
        headers.insert("x-own", HeaderValue::from_static("hidden"));
        assert_eq!(Mask::new(&headers, []).clean("a (hidden) that is hidden"), "a (hidden) that is (hidden)");
    }

    #[test]
    fn what_is_made_illegible_keeps_its_length() {
        let mut text = *b"<sk-canary-123token-canary> sk-canary-12";
        mask().blot(&mut text);
        assert_eq!(String::from_utf8_lossy(&text), "<xxxxxxxxxxxxxxxxxxxxxxxxx> sk-canary-12");
    }

    #[test]
    fn free_fields_of_every_body_are_hidden() {
        let with = |value: &str| Request {
            extra: serde_json::Map::from_iter([("deep".to_owned(), serde_json::json!({ "token": [value] }))]),
            ..Request::default()
        };
        let mask = Mask::new(&HeaderMap::new(), [&with("canary-one"), &with("canary-two")]);
        assert_eq!(mask.hide(b"canary-one, canary-two, canary-three"), b"(hidden), (hidden), canary-three");
    }
}
