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
    #[inline]
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

/// Bits of a coarse time behind its leading one.
const COARSE_BITS: u32 = 10;

/// Times by row, to three digits in two bytes each: of what most rows have, and quantiles alone are asked for.
#[derive(Debug, Default)]
pub(super) struct CoarseColumn(Vec<u16>);

impl CoarseColumn {
    /// Sets the time of a row, which is at or behind the last one that was set; rows between them have 0.
    pub(super) fn set(&mut self, row: usize, ns: u64) {
        self.0.resize(row + 1, 0);
        self.0[row] = coarse(ns);
    }

    /// The time of a row in nanoseconds, rounded up by less than a thousandth; 0 where none was set.
    pub(super) fn get(&self, row: usize) -> u64 {
        self.0.get(row).map_or(0, |word| fine(*word))
    }
}

/// Exact below 2,048; above that the leading eleven bits and by how many they are shifted, in one growing number.
fn coarse(ns: u64) -> u16 {
    let shift = (u64::BITS - ns.leading_zeros()).saturating_sub(COARSE_BITS + 1);
    u16::try_from((u64::from(shift) << COARSE_BITS) + (ns >> shift)).expect("53 shifts of 1,024 and eleven bits")
}

/// The largest time that becomes this word.
fn fine(word: u16) -> u64 {
    let shift = (word >> COARSE_BITS).saturating_sub(1);
    let top = u64::from(word - (shift << COARSE_BITS));
    (top << shift) + ((1 << shift) - 1)
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

    #[test]
    fn a_coarse_time_is_the_largest_of_its_word() {
        for ns in [0, 1, 999, 2_047, 2_048, 2_049, 4_096, 1_000_000_007, u64::MAX - 1, u64::MAX] {
            let held = fine(coarse(ns));
            assert!(held >= ns && held - ns <= ns / 1_024, "{ns} became {held}");
            assert_eq!(coarse(held), coarse(ns));
            assert!(held == u64::MAX || coarse(held + 1) == coarse(ns) + 1, "{ns}");
        }
        let mut column = CoarseColumn::default();
        column.set(2, 7);
        column.set(5, 9);
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|row| column.get(row)), [0, 0, 7, 0, 0, 9, 0]);
    }

    proptest! {
        #[test]
        fn coarse_times_keep_their_order_and_three_digits(one: u64, other: u64) {
            prop_assert_eq!(coarse(one) < coarse(other), fine(coarse(one)) < fine(coarse(other)));
            prop_assert!(one > other || coarse(one) <= coarse(other));
            prop_assert!(fine(coarse(one)) >= one && fine(coarse(one)) - one <= one / 1_024);
        }

        #[test]
        fn a_column_holds_what_was_put_in(all in prop::collection::vec(observations(), 0..40)) {
            let mut column = Column::default();
            all.iter().for_each(|one| column.push(*one));
            let held: Vec<_> = (0..all.len()).map(|row| column.get(row)).collect();
            prop_assert_eq!(held, all);
        }
    }
}
