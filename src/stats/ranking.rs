//! Observations in order of time, in eight bytes each.

use super::incidence::Observation;

/// In order of what counts as first at one instant: who is cut off at `t` was still there when others saw it at `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Seen,
    Failed,
    Censored,
}

/// One observation in order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked {
    pub(super) ns: u64,
    pub(super) end: End,
    /// Its place in the order of start.
    pub(super) index: u32,
}

/// Observations in order of time.
///
/// Time, end and place share a word, which compares as they do one after the other. Times that leave no room for the
/// two (over an hour in a million observations) stand behind all those that do, written out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ranking {
    /// Bits of a place within a word; the two above it are the end, the others the time.
    index_bits: u32,
    words: Vec<u64>,
    long: Vec<Ranked>,
}

/// Bits of an end within a word.
const END_BITS: u32 = 2;

impl Ranking {
    /// Ranks observations in order of start.
    pub(super) fn new(observations: impl Iterator<Item = Observation> + Clone) -> Self {
        // Where nobody says how many they can be at most, they are counted.
        let count = observations.size_hint().1.unwrap_or_else(|| observations.clone().count());
        let index_bits = usize::BITS - count.leading_zeros();
        let long_from_ns = 1 << (u64::BITS - END_BITS - index_bits);
        let (mut words, mut long) = (Vec::with_capacity(count), Vec::new());
        for one in (0_u32..).zip(observations).map(Ranked::of) {
            match one.ns < long_from_ns {
                true => words.push((one.ns << END_BITS | one.end as u64) << index_bits | u64::from(one.index)),
                false => long.push(one),
            }
        }
        words.sort_unstable();
        long.sort_unstable();
        Self { index_bits, words, long }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len() + self.long.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Ranked> {
        self.words.iter().map(|word| self.unpacked(*word)).chain(self.long.iter().copied())
    }

    /// The time at a place in the order of time.
    pub(super) fn ns(&self, place: usize) -> u64 {
        match self.words.get(place) {
            Some(word) => self.time_of(*word),
            None => self.long[place - self.words.len()].ns,
        }
    }

    /// How many have this time or an earlier one.
    pub(super) fn until(&self, ns: u64) -> usize {
        let short = self.words.partition_point(|word| self.time_of(*word) <= ns);
        short + self.long.partition_point(|one| one.ns <= ns)
    }

    fn time_of(&self, word: u64) -> u64 {
        word >> (END_BITS + self.index_bits)
    }

    fn unpacked(&self, word: u64) -> Ranked {
        let end = match word >> self.index_bits & 0b11 {
            0 => End::Seen,
            1 => End::Failed,
            _ => End::Censored,
        };
        let index = u32::try_from(word & !(u64::MAX << self.index_bits)).expect("places are counted in 32 bits");
        Ranked { ns: self.time_of(word), end, index }
    }
}

impl Ranked {
    fn of((index, observation): (u32, Observation)) -> Self {
        let (ns, end) = match observation {
            Observation::Seen(ns) => (ns, End::Seen),
            Observation::Failed(ns) => (ns, End::Failed),
            Observation::Censored(ns) => (ns, End::Censored),
        };
        Self { ns, end, index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn observations() -> impl Strategy<Value = Vec<Observation>> {
        let ns = prop_oneof![0_u64..9, (1_u64 << 55)..(1 << 63), any::<u64>()];
        let one = (0_u8..3, ns).prop_map(|(end, ns)| match end {
            0 => Observation::Seen(ns),
            1 => Observation::Failed(ns),
            _ => Observation::Censored(ns),
        });
        prop::collection::vec(one, 0..70)
    }

    proptest! {
        #[test]
        fn a_ranking_is_the_observations_sorted(all in observations(), ns: u64) {
            let mut sorted: Vec<_> = (0..).zip(all.iter().copied()).map(Ranked::of).collect();
            sorted.sort();
            let ranking = Ranking::new(all.iter().copied());
            prop_assert_eq!(ranking.iter().collect::<Vec<_>>(), sorted.clone());
            prop_assert_eq!(ranking.len(), all.len());
            prop_assert!(sorted.iter().enumerate().all(|(place, one)| ranking.ns(place) == one.ns));
            for ns in sorted.iter().map(|one| one.ns).chain([ns]) {
                prop_assert_eq!(ranking.until(ns), sorted.iter().filter(|one| one.ns <= ns).count());
            }
        }
    }
}
