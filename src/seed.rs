//! One seed of a run → named, independent streams of random numbers.
//!
//! Each purpose draws from a stream of its own, so that adding a draw for one does not shift the others, and
//! each index within a purpose has its own position, so that a value does not depend on the order of asking.
//! ChaCha8 is named rather than "the standard generator" because its output never changes between versions.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};

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

/// A number in [0, 1), from the 53 bits that a float has.
pub fn unit(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// An index below `count`, which is over 0.
///
/// # Panics
/// Never: the index fits what it is below.
pub fn below(rng: &mut Rng, count: usize) -> usize {
    // The high half of the product (Lemire 2019), without the rejection: its bias is below 2⁻³² for our lists.
    let product = u128::from(rng.next_u64()) * count as u128;
    usize::try_from(product >> 64).expect("it is below the count")
}

/// A standard normal number (Box & Muller 1958, one of the pair).
pub fn normal(rng: &mut Rng) -> f64 {
    let (radius, angle) = (1.0 - unit(rng), unit(rng));
    (-2.0 * libm::log(radius)).sqrt() * libm::cos(std::f64::consts::TAU * angle)
}

/// Puts a list into random order (Fisher & Yates).
pub fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last + 1));
    }
}

/// Where `index` goes in an order of `count` things that these random numbers draw, without making the whole order.
///
/// A Feistel network of four rounds (Luby & Rackoff 1988) over the next power of four, walked until it falls below
/// `count` (Black & Rogaway 2002): each index below `count` goes to another place below it.
#[must_use]
pub fn place(index: u64, count: u64, rng: &mut Rng) -> u64 {
    let half = (64 - count.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1_u64 << half) - 1;
    let keys: [u64; 4] = std::array::from_fn(|_| rng.next_u64());
    let mut at = index;
    loop {
        let (mut left, mut right) = (at >> half, at & mask);
        for key in keys {
            let mixed = (right ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (left, right) = (right, left ^ (mixed >> 32) & mask);
        }
        at = left << half | right;
        if at < count {
            return at;
        }
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

    #[test]
    fn the_same_seed_purpose_and_index_give_the_same_numbers() {
        let draw = |seed: u64, purpose: &str, index: u64| Seed(seed).stream(purpose, index).next_u64();
        assert_eq!(draw(1, "prompts", 7), draw(1, "prompts", 7));
        assert_ne!(draw(1, "prompts", 7), draw(1, "prompts", 8));
        assert_ne!(draw(1, "prompts", 7), draw(1, "think", 7));
        assert_ne!(draw(1, "prompts", 7), draw(2, "prompts", 7));
    }

    #[test]
    fn each_index_goes_to_a_place_of_its_own() {
        for count in [1, 2, 5, 16, 17, 1_000] {
            let mut places: Vec<_> = (0..count).map(|at| place(at, count, &mut Seed(1).stream("order", 0))).collect();
            let other = (0..count).map(|at| place(at, count, &mut Seed(1).stream("order", 1)));
            assert!(count < 16 || !other.eq(places.iter().copied()), "another stream, another order");
            assert!(count < 16 || !places.is_sorted());
            places.sort_unstable();
            assert!(places.into_iter().eq(0..count));
        }
    }

    #[test]
    fn fnv_gives_its_published_values() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
