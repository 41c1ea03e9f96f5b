//! Instants as the agent writes them: ISO 8601, such as `2026-03-23T00:46:03.782693Z`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// The instant in nanoseconds since the Unix epoch; one without an offset is taken as UTC.
///
/// None when the text is no instant, or one before 1970.
#[must_use]
pub fn unix_ns(text: &str) -> Option<u64> {
    let without_offset = || Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    let at = text.parse::<Timestamp>().ok().or_else(without_offset)?;
    u64::try_from(at.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_every_form_that_a_server_may_write() {
        const WANTED: u64 = 1_774_226_763_782_693_000;
        for text in [
            "2026-03-23T00:46:03.782693Z",
            "2026-03-23T00:46:03.782693+00:00",
            "2026-03-23T02:46:03.782693+02:00",
            "2026-03-23 00:46:03.782693Z",
            "2026-03-23T00:46:03.782693",
        ] {
            assert_eq!(unix_ns(text), Some(WANTED), "{text}");
        }
        assert_eq!(unix_ns("2026-03-23T00:46:03Z"), Some(1_774_226_763_000_000_000));
        for text in ["", "x", "1969-01-01T00:00:00Z", "1774226763", "2026-03-23T00:46:03.782693X"] {
            assert_eq!(unix_ns(text), None, "{text}");
        }
    }
}
