//! The search for the end of a line.
//!
//! `memchr2` is at its best from 32 bytes on. Network reads can be shorter, and most short ones hold no line end at
//! all: that answer is given here by comparing a few blocks of fixed size, whatever the length.

use memchr::memchr2;

/// Up to this many bytes, two blocks that may overlap are all of the slice.
pub(super) const SHORT_BYTES: usize = 64;

/// Where the first LF or CR is.
#[inline]
pub(super) fn find(bytes: &[u8]) -> Option<usize> {
    let end = memchr2(b'\n', b'\r', bytes);
    #[cfg(test)]
    work::add(end.map_or(bytes.len(), |end| end + 1));
    end
}

/// [`find`] right after a line, where most likely a blank one follows.
#[inline]
pub(super) fn find_near(bytes: &[u8]) -> Option<usize> {
    if is_line_end(*bytes.first()?) { Some(0) } else { find(bytes) }
}

/// Appends at most [`SHORT_BYTES`] that hold no line end; says whether it did.
///
/// Each length is two blocks of one fixed size, which overlap as far as it takes: looked through and copied without a
/// branch or a call that depends on the length. The second copy overwrites what both have in common.
#[inline(always)]
pub(super) fn append_short(held: &mut Vec<u8>, bytes: &[u8]) -> bool {
    #[cfg(test)]
    work::add(if bytes.len() <= SHORT_BYTES { bytes.len() } else { 0 });
    match bytes.len() {
        32..=SHORT_BYTES => append_blocks::<32>(held, bytes),
        16..32 => append_blocks::<16>(held, bytes),
        8..16 => append_blocks::<8>(held, bytes),
        4..8 => append_blocks::<4>(held, bytes),
        0..4 => {
            let has = bytes.iter().any(|byte| is_line_end(*byte));
            if !has {
                held.extend(bytes);
            }
            !has
        }
        _ => false,
    }
}

#[inline(always)]
fn append_blocks<const N: usize>(held: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else { return false };
    if block_has(first) | block_has(last) {
        return false;
    }
    held.reserve(2 * N);
    let end = held.len() + bytes.len();
    held.extend_from_slice(first);
    held.truncate(end - N);
    held.extend_from_slice(last);
    true
}

/// Without a branch for each byte, so that the compiler makes it a few vector instructions.
#[inline]
fn block_has<const N: usize>(block: &[u8; N]) -> bool {
    block.iter().fold(false, |has, byte| has | is_line_end(*byte))
}

#[inline]
fn is_line_end(byte: u8) -> bool {
    (byte == b'\n') | (byte == b'\r')
}

/// How many bytes were looked at, by which a test sees that time is linear in them.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local!(static BYTES: Cell<u64> = const { Cell::new(0) });

    pub(super) fn add(bytes: usize) {
        BYTES.set(BYTES.get() + bytes as u64);
    }

    /// What this thread has looked at so far.
    pub(in crate::sse) fn done() -> u64 {
        BYTES.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_bytes_are_appended_unless_a_line_end_is_anywhere_in_them() {
        for length in 0..=SHORT_BYTES {
            let mut bytes: Vec<u8> = (0..length).map(|at| b'a' + u8::try_from(at % 26).expect("a letter")).collect();
            let mut held = b"held".to_vec();
            assert!(append_short(&mut held, &bytes), "{length}");
            assert_eq!(held, [b"held", &bytes[..]].concat());
            for at in 0..length {
                let letter = bytes[at];
                for (line_end, neighbour) in [(b'\n', 0x0B), (b'\r', 0x0C)] {
                    bytes[at] = line_end;
                    let mut held = b"held".to_vec();
                    assert!(!append_short(&mut held, &bytes), "{length}, {at}");
                    assert_eq!(held, b"held");
                    bytes[at] = neighbour;
                    assert!(append_short(&mut held, &bytes), "{length}, {at}");
                }
                bytes[at] = letter;
            }
        }
        assert!(!append_short(&mut Vec::new(), &[b'x'; SHORT_BYTES + 1]), "too long");
    }
}
