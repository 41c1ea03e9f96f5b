//! An event's type out of any payload: what a JSON parser says wherever the payload is JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::agent::event_type;
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Deserialize)]
struct TypeOnly {
    #[serde(rename = "type")]
    name: String,
}

fuzz_target!(|payload: &[u8]| {
    let found = event_type(payload).ok();
    let text = String::from_utf8_lossy(payload);
    // As an object of the vendor's too, so that the fuzzer need not find its beginning.
    let envelope = format!(r#"{{"type":"chunk",{}}}"#, text.trim_matches(['{', '}']));
    for (payload, found) in [(&*text, found), (&envelope, event_type(envelope.as_bytes()).ok())] {
        if serde_json::from_str::<IgnoredAny>(payload).is_ok() {
            let parsed = serde_json::from_str::<TypeOnly>(payload).ok().map(|wire| wire.name);
            assert_eq!(found.as_deref(), parsed.as_deref());
        }
    }
});
