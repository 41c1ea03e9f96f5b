//! The observations of one series, a row each, packed so that a million rows of every series fit.

use std::collections::BTreeMap;

use crate::stats::Observation;

/// Bits of a time within a word; the two above it say what it is.
const NS_BITS: u32 = 38;
/// A time that takes more than the bits there are (4 min 34 s and over): it stands in the map.
const LONG: u64 = (1 << NS_BITS) - 1;

/// Observations by row, in five bytes each; times of minutes take more.
#[derive(Debug, Default)]
pub(super) struct Column {
    words: Vec<[u8; 5]>,
    long_ns: BTreeMap<usize, u64>,
}

impl Column {
    /// One more row.
    pub(super) fn push(&mut self, observation: Option<Observation>) {
        let (kind, ns) = match observation {
            None => (0, 0),
            Some(Observation::Seen(ns)) => (1, ns),
            Some(Observation::Censored(ns)) => (2, ns),
            Some(Observation::Failed(ns)) => (3, ns),
        };
        if ns >= LONG {
            self.long_ns.insert(self.words.len(), ns);
        }
        let [a, b, c, d, e, ..] = (kind << NS_BITS | ns.min(LONG)).to_le_bytes();
        self.words.push([a, b, c, d, e]);
    }

    /// What a row says.
    pub(super) fn get(&self, row: usize) -> Option<Observation> {
        let [a, b, c, d, e] = self.words[row];
        let word = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
        let ns = match word & LONG {
            LONG => self.long_ns[&row],
            ns => ns,
        };
        match word >> NS_BITS {
            0 => None,
            1 => Some(Observation::Seen(ns)),
            2 => Some(Observation::Censored(ns)),
            _ => Some(Observation::Failed(ns)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn observations() -> impl Strategy<Value = Option<Observation>> {
        let near = (0_u64..4).prop_map(|off| LONG - 2 + off);
        let ns = prop_oneof![any::<u64>(), 0_u64..1 << 40, near];
        (0_u8..4, ns).prop_map(|(kind, ns)| match kind {
            0 => None,
            1 => Some(Observation::Seen(ns)),
            2 => Some(Observation::Censored(ns)),
            _ => Some(Observation::Failed(ns)),
        })
    }

    proptest! {
        #[test]
        fn a_column_holds_what_was_put_in(all in prop::collection::vec(observations(), 0..40)) {
            let mut column = Column::default();
            all.iter().for_each(|one| column.push(*one));
            let held: Vec<_> = (0..all.len()).map(|row| column.get(row)).collect();
            prop_assert_eq!(held, all);
        }
    }
}
