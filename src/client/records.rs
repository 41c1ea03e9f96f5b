//! Where TLS records end (RFC 8446 §5.1). Pure: bytes in, and whether they stop between two records.
//!
//! What a record holds comes out only once all of it is there. A read that stops inside one brought bytes behind all that
//! it completed, and the kernel's stamp is theirs.

/// A record's type, version and length.
const HEADER_BYTES: usize = 5;

/// Follows the records of one connection.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Bytes of the header under way.
    header_bytes: usize,
    /// What its length field says so far.
    length: usize,
    /// Bytes of the body under way that are still to come.
    missing: usize,
}

impl Records {
    /// Takes what one read brought.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while let Some((first, after)) = bytes.split_first() {
            if self.missing > 0 {
                let here = self.missing.min(bytes.len());
                self.missing -= here;
                bytes = &bytes[here..];
                continue;
            }
            self.header_bytes += 1;
            // The length is the last two bytes of the five, the higher one first.
            self.length = (self.length << 8 | usize::from(*first)) & 0xFFFF;
            if self.header_bytes == HEADER_BYTES {
                self.missing = self.length;
                self.header_bytes = 0;
            }
            bytes = after;
        }
    }

    /// Whether what has come stops inside a record.
    pub(super) fn are_cut(&self) -> bool {
        self.header_bytes > 0 || self.missing > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(bodies: &[usize]) -> Vec<u8> {
        let record = |length: &usize| {
            let header =
                [23, 3, 3, u8::try_from(length >> 8).expect("two bytes"), u8::try_from(length & 0xFF).expect("one")];
            header.into_iter().chain(std::iter::repeat_n(0xFF, *length))
        };
        bodies.iter().flat_map(record).collect()
    }

    proptest! {
        #[test]
        fn records_are_cut_everywhere_but_at_their_ends(
            bodies in prop::collection::vec(prop_oneof![0usize..4, 250usize..260, Just(16_384)], 0..4),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let bytes = stream(&bodies);
            let ends: Vec<usize> = (0..=bodies.len()).map(|count| stream(&bodies[..count]).len()).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([bytes.len()]).collect();
            cuts.sort_unstable();
            let (mut records, mut from) = (Records::default(), 0);
            for to in cuts {
                records.take(&bytes[from..to]);
                prop_assert_eq!(records.are_cut(), !ends.contains(&to), "{} of {:?}", to, ends);
                from = to;
            }
        }
    }
}
