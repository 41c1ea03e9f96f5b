//! Instants on the wall clock, as the API writes them.

use std::fmt;

use serde::{Serialize, Serializer};

/// Microseconds since the Unix epoch; shown as `2026-03-23T00:46:03.782693Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(pub(super) u64);

const US_PER_S: u64 = 1_000_000;

impl Stamp {
    /// The instant, in whole seconds since the Unix epoch.
    pub(super) fn seconds(self) -> u64 {
        self.0 / US_PER_S
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = i64::try_from(self.0).unwrap_or(i64::MAX);
        // Beyond jiff's year 9999 there is nothing that a mock would say.
        let at = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
        write!(out, "{at:.6}")
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

/// A text of the present that is written again and again: of a new instant within the same second, only the
/// microseconds are made anew.
#[derive(Debug)]
pub(super) struct Ticker {
    second: u64,
    text: [u8; LEN],
}

const LEN: usize = "2026-03-23T00:46:03.782693Z".len();
const MICROS_AT: usize = "2026-03-23T00:46:03.".len();

impl Default for Ticker {
    fn default() -> Self {
        Self { second: u64::MAX, text: [b'0'; LEN] }
    }
}

impl Ticker {
    /// The text of an instant.
    pub(super) fn text(&mut self, at: Stamp) -> &[u8] {
        if self.second != at.seconds() {
            self.second = at.seconds();
            self.text.copy_from_slice(&at.to_string().as_bytes()[..LEN]);
        }
        let mut micros = at.0 % US_PER_S;
        for digit in self.text[MICROS_AT..MICROS_AT + 6].iter_mut().rev() {
            *digit = b'0' + u8::try_from(micros % 10).expect("one digit");
            micros /= 10;
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_instant_is_written_as_the_documents_have_it() {
        assert_eq!(Stamp(1_774_226_763_782_693).to_string(), "2026-03-23T00:46:03.782693Z");
        assert_eq!(Stamp(1_774_226_763_000_000).to_string(), "2026-03-23T00:46:03.000000Z");
    }

    proptest! {
        #[test]
        fn the_ticker_writes_what_the_instant_writes(
            start in 0_u64..200_000_000_000_000_000,
            steps in proptest::collection::vec(0_u64..700_000, 1..8),
        ) {
            let (mut ticker, mut at) = (Ticker::default(), start);
            for step in steps {
                at += step;
                let expected = Stamp(at).to_string();
                prop_assert_eq!(ticker.text(Stamp(at)), expected.as_bytes());
            }
        }
    }
}
