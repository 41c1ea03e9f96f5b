//! One seed of a run → named, independent streams of random numbers.
//!
//! Each purpose draws from a stream of its own, so that adding a draw for one does not shift the others, and
//! each index within a purpose has its own position, so that a value does not depend on the order of asking.
//! ChaCha8 is named rather than "the standard generator" because its output never changes between versions.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// The generator that all draws come from.
pub type Rng = ChaCha8Rng;

/// The seed of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of random numbers for one purpose and one index in it.
    #[must_use]
    pub fn stream(self, purpose: &str, index: u64) -> Rng {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&self.0.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(purpose.as_bytes()).to_le_bytes());
        key[16..24].copy_from_slice(&index.to_le_bytes());
        Rng::from_seed(key)
    }
}

/// FNV-1a, 64 bit: a fixed hash of short names (Fowler, Noll, Vo; draft-eastlake-fnv).
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng as _;

    #[test]
    fn the_same_seed_purpose_and_index_give_the_same_numbers() {
        let draw = |seed: u64, purpose: &str, index: u64| Seed(seed).stream(purpose, index).next_u64();
        assert_eq!(draw(1, "prompts", 7), draw(1, "prompts", 7));
        assert_ne!(draw(1, "prompts", 7), draw(1, "prompts", 8));
        assert_ne!(draw(1, "prompts", 7), draw(1, "think", 7));
        assert_ne!(draw(1, "prompts", 7), draw(2, "prompts", 7));
    }

    #[test]
    fn fnv_gives_its_published_values() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
