//! Copies that lie in one piece of memory together with their count of holders.
//!
//! `Bytes` made from a vector keeps its count elsewhere, in a piece of its own, and
//! a reader who takes a clone waits for both to come from memory. Records are read
//! at random, so waiting is most of what reading one costs: 1.3 instead of 1.6 µs
//! by key with this and with keys that lie in the entries (`tandem-bench point-read`).

use bytes::Bytes;

/// `bytes`, copied; short ones (up to a kilobyte) in one piece, which is up to 127 bytes
/// longer than they are.
pub(super) fn of(bytes: &[u8]) -> Bytes {
    match bytes.len() {
        0 => Bytes::new(),
        1..=64 => piece::<64>(bytes),
        65..=128 => piece::<128>(bytes),
        129..=192 => piece::<192>(bytes),
        193..=256 => piece::<256>(bytes),
        257..=320 => piece::<320>(bytes),
        321..=384 => piece::<384>(bytes),
        385..=448 => piece::<448>(bytes),
        449..=512 => piece::<512>(bytes),
        513..=640 => piece::<640>(bytes),
        641..=768 => piece::<768>(bytes),
        769..=896 => piece::<896>(bytes),
        897..=1_024 => piece::<1_024>(bytes),
        _ => Bytes::copy_from_slice(bytes),
    }
}

/// The beginning of an array.
struct Piece<const SIZE: usize> {
    length: usize,
    bytes: [u8; SIZE],
}

impl<const SIZE: usize> AsRef<[u8]> for Piece<SIZE> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn piece<const SIZE: usize>(from: &[u8]) -> Bytes {
    let mut piece = Piece { length: from.len(), bytes: [0; SIZE] };
    piece.bytes[..from.len()].copy_from_slice(from);
    Bytes::from_owner(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_any_length_is_what_it_was_made_of() {
        for length in 0..=1_100_usize {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let copy = of(&bytes);
            assert_eq!(copy, bytes);
            assert_eq!(copy.slice(length / 2..).clone(), bytes[length / 2..]);
        }
    }
}
