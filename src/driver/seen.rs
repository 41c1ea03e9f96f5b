//! Which places of the plan have ended: a bit each.

/// The places that have ended.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<u64>);

impl Seen {
    /// Notes a place; says whether it is new.
    pub(super) fn insert(&mut self, index: u64) -> bool {
        let (word, bit) = Self::place(index);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Whether a place has ended.
    pub(super) fn contains(&self, index: u64) -> bool {
        let (word, bit) = Self::place(index);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// How many places have ended.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }

    fn place(index: u64) -> (usize, u64) {
        (usize::try_from(index / 64).expect("a plan that is counted fits into memory"), 1 << (index % 64))
    }
}
