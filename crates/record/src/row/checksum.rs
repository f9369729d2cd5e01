//! A fast hash of 64 bits by folded multiplication: it finds damage, it does
//! not resist an attacker. Part of the stored format, so it never changes.

const FIRST: u64 = 0x9E37_79B9_7F4A_7C15;
const SECOND: u64 = 0xD1B5_4A32_D192_ED03;

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    let low = product as u64;
    low ^ (product >> 64) as u64
}

fn halves(block: [u8; 16]) -> (u64, u64) {
    let block = u128::from_le_bytes(block);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    let low = block as u64;
    (low, (block >> 64) as u64)
}

pub(super) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ FIRST.wrapping_mul(bytes.len() as u64 + 1);
    let (blocks, rest) = bytes.as_chunks::<16>();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    for block in blocks.iter().chain(std::iter::once(&last)) {
        let (low, high) = halves(*block);
        hash = fold(low ^ hash ^ FIRST, high ^ SECOND) ^ hash.rotate_left(29);
    }
    fold(hash ^ SECOND, FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_known_bytes_never_changes() {
        let bytes: Vec<u8> = (0..=99).collect();
        assert_eq!(hash(1, b""), EMPTY);
        assert_eq!(hash(1, &bytes), HUNDRED);
    }

    const EMPTY: u64 = 0;
    const HUNDRED: u64 = 0;

    #[test]
    fn every_single_bit_counts() {
        let bytes: Vec<u8> = (0..60).collect();
        let original = hash(0, &bytes);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(hash(0, &changed) & 0xFFFF_FFFF, original & 0xFFFF_FFFF, "bit {bit}");
        }
    }
}
