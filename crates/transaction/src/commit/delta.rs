//! What one row differs by from another that is known.
//!
//! Two versions of a row have their beginning and their end in common, and most
//! of what lies between at the same place. So the difference is the length of
//! the common end, and what is between as pairs of *that many as in the known
//! row at the same place, then these*:
//!
//! ```text
//! known   aaaaaaaa bbb aaaaaaaa cc  aaaaaaaaaaaaaaa
//! row     aaaaaaaa ddd aaaaaaaa eee aaaaaaaaaaaaaaa
//!         └── 8 ──┘   └── 8 ──┘    └ common end: 15 ┘
//!
//! number row's length | number common end | (number same | number others | others)*
//! ```
//! Nothing is searched for, so this costs one comparison of the two.

use bytes::{Buf, Bytes};

/// A run of equal bytes that is shorter is cheaper to repeat.
const SHORTEST_SAME: usize = 3;

/// Appends what `row` differs by from `known`: at most [`longest`] and four
/// numbers, the two lengths and the first pair's.
pub(super) fn put(out: &mut Vec<u8>, known: &[u8], row: &[u8]) {
    let end = common_end(known, row);
    put_number(out, row.len());
    put_number(out, end);
    let stop = row.len() - end;
    let row = &row[..stop];
    let known = &known[..stop.min(known.len())];
    let mut at = 0;
    while at < stop {
        let start = at + common_start(known.get(at..).unwrap_or_default(), &row[at..]);
        put_number(out, start - at);
        at = start;
        while at < stop && !starts_same(known.get(at..).unwrap_or_default(), &row[at..]) {
            at += 1;
        }
        put_number(out, at - start);
        out.extend_from_slice(&row[start..at]);
    }
}

/// How long the difference of a row of so many bytes is at most, but for four
/// numbers. A pair is paid for by the bytes that are the same, unless the others
/// are so many that their number takes more than two bytes.
pub(super) const fn longest(row: usize) -> usize {
    row + (row >> 14)
}

fn starts_same(known: &[u8], row: &[u8]) -> bool {
    known.len() >= SHORTEST_SAME && row.starts_with(&known[..SHORTEST_SAME])
}

/// Reads what [`put`] wrote; `None` if it cannot have.
pub(super) fn take(bytes: &mut Bytes, known: &[u8]) -> Option<Bytes> {
    let length = take_number(bytes)?;
    let end = take_number(bytes)?;
    let stop = length.checked_sub(end)?;
    let end = known.get(known.len().checked_sub(end)?..)?;
    // What is not in `known` is in `bytes`.
    let mut row = Vec::with_capacity(length.min(known.len() + bytes.len()));
    while row.len() < stop {
        let same = take_number(bytes)?;
        let others = take_number(bytes)?;
        if same == 0 && others == 0 {
            return None;
        }
        let same_end = row.len().checked_add(same)?;
        row.extend_from_slice(known.get(row.len()..same_end)?);
        row.extend_from_slice(bytes.get(..others)?);
        bytes.advance(others);
    }
    if row.len() != stop {
        return None;
    }
    row.extend_from_slice(end);
    Some(row.into())
}

/// How many bytes are compared at once.
const STEP: usize = 16;

/// How long the common beginning is.
fn common_start(a: &[u8], b: &[u8]) -> usize {
    let steps = a.chunks_exact(STEP).zip(b.chunks_exact(STEP));
    let whole = STEP * steps.take_while(|(a, b)| a == b).count();
    let rest = a[whole..].iter().zip(&b[whole..]);
    whole + rest.take_while(|(a, b)| a == b).count()
}

/// How long the common end is.
fn common_end(a: &[u8], b: &[u8]) -> usize {
    let steps = a.rchunks_exact(STEP).zip(b.rchunks_exact(STEP));
    let whole = STEP * steps.take_while(|(a, b)| a == b).count();
    let rest = a[..a.len() - whole].iter().rev().zip(b[..b.len() - whole].iter().rev());
    whole + rest.take_while(|(a, b)| a == b).count()
}

/// Unsigned LEB128: seven bits per byte, the lowest first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits")]
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than 0x80")]
    out.push(number as u8);
}

/// How many bytes a number takes.
pub(super) const fn number_len(number: usize) -> usize {
    let bits = (usize::BITS - number.leading_zeros()) as usize;
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

/// Reads a number that fits.
pub(super) fn take_number(bytes: &mut Bytes) -> Option<usize> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let byte = usize::from(bytes.try_get_u8().ok()?);
        let bits = byte & 0x7F;
        if (bits << shift) >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(known: &[u8], row: &[u8]) -> usize {
        let mut out = Vec::new();
        put(&mut out, known, row);
        let size = out.len();
        let mut encoded = Bytes::from(out.clone());
        assert_eq!(take(&mut encoded, known).as_deref(), Some(row), "{known:?} → {row:?}");
        assert!(encoded.is_empty());
        for cut in 0..size {
            let mut encoded = Bytes::copy_from_slice(&out[..cut]);
            assert_eq!(take(&mut encoded, known), None, "{known:?} → {row:?}, cut at {cut}");
        }
        size
    }

    #[test]
    fn any_row_is_rebuilt_from_any_other() {
        // All pairs of texts of up to six letters out of two.
        let texts: Vec<Vec<u8>> = (0..7u32)
            .flat_map(|length| (0..1 << length).map(move |bits| (length, bits)))
            .map(|(length, bits)| (0..length).map(|at| b'a' + (bits >> at & 1) as u8).collect())
            .collect();
        for known in &texts {
            for row in &texts {
                there_and_back(known, row);
            }
        }
    }

    #[test]
    fn a_few_changed_bytes_take_a_few_bytes() {
        let known: Vec<u8> = (0..200).collect();
        let mut row = known.clone();
        assert_eq!(there_and_back(&known, &row), 4);
        row[10] = 255;
        row[100..104].copy_from_slice(&[0; 4]);
        assert!(there_and_back(&known, &row) < 16);
        row.splice(150..152, [1, 2, 3, 4]);
        assert!(there_and_back(&known, &row) < 24);
        assert!(there_and_back(&row, &known) < 24);
        assert!(there_and_back(b"", &row) < row.len() + 8);
        assert_eq!(there_and_back(&row, b""), 2);
    }

    #[test]
    fn one_changed_byte_takes_five_wherever_it_is() {
        for length in 1..70 {
            let known: Vec<u8> = (0..length).collect();
            for at in 0..known.len() {
                let mut row = known.clone();
                row[at] = 255;
                assert_eq!(there_and_back(&known, &row), 5, "byte {at} of {length}");
            }
        }
    }

    #[test]
    fn g10_a_difference_is_as_long_as_its_row_and_some_numbers_at_most() {
        assert_eq!([longest(0), longest(5_000), longest(3 << 14)], [0, 5_000, (3 << 14) + 3]);
        // What costs most: as few equal bytes as are a pair, and many others between.
        for others in [1, 100, 1 << 7, 1 << 14] {
            let row = |byte: u8| {
                let mut row = vec![byte; 1 << 18];
                row.chunks_mut(SHORTEST_SAME + others).for_each(|chunk| {
                    let same = chunk.len().min(SHORTEST_SAME);
                    chunk[..same].fill(3);
                });
                row
            };
            let mut out = Vec::new();
            put(&mut out, &row(1), &row(2));
            let most = longest(1 << 18) + 4 * number_len(usize::MAX);
            assert!(out.len() <= most, "{} of {most}, {others} others", out.len());
        }
    }

    #[test]
    fn what_cannot_have_been_written_is_no_difference() {
        let known = b"abcdef";
        let read = |bytes: &'static [u8]| take(&mut Bytes::from_static(bytes), known);
        assert_eq!(read(&[4, 1, 2, 1, b'x']).as_deref(), Some(&b"abxf"[..]));
        assert_eq!(read(&[4, 5]), None, "a longer end than the row");
        assert_eq!(read(&[8, 7]), None, "a longer end than the known row");
        assert_eq!(read(&[4, 1, 0, 0, 3, 0]), None, "a pair of nothing");
        assert_eq!(read(&[4, 1, 2, 2, b'x', b'y']), None, "more than the row's length");
        assert_eq!(read(&[9, 0, 9, 0]), None, "more than there is in the known row");
        assert_eq!(read(&[9, 0, 0, 9, b'x']), None, "more than there is");
    }

    #[test]
    fn numbers_of_every_length_are_read_back_and_nothing_larger() {
        for bits in 0..usize::BITS {
            for number in [1 << bits, (1 << bits) - 1, usize::MAX >> bits] {
                let mut out = Vec::new();
                put_number(&mut out, number);
                assert_eq!(out.len(), number_len(number));
                assert_eq!(take_number(&mut out.into()), Some(number));
            }
        }
        assert_eq!(take_number(&mut Bytes::from_static(&[0xFF; 11])), None);
        let mut too_large = vec![0xFF; 9];
        too_large.push(2);
        assert_eq!(take_number(&mut too_large.into()), None);
    }
}
