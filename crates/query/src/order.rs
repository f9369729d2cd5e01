//! The order of a result: one total order over records, as bytes.
//!
//! Every read has an order in which no two records are equal: the values of the
//! sort, then the bucket's natural order (position of insertion, or the key).
//! An [`OrderKey`] spells it out so that comparing bytes compares records:
//!
//! ```text
//! <value of sort part> … <value of sort part> <position | primary key>
//! └──────────── tie_at bytes ───────────────┘
//! ```
//! Values are encoded as an index encodes them, a descending part with all bits
//! inverted, so that an index over the same parts is in the same order by
//! construction. Reading backwards inverts everything. Sorting, the top of a
//! sort, cursors and resuming are then all the same comparison.

use smallvec::SmallVec;
use tandem_record::catalog::Bucket;
use tandem_record::entries::indexed_value;
use tandem_record::key;
use tandem_record::row::Row;
use tandem_record::value::{Path, ValueRef};

/// One part of a sort.
#[derive(Clone, Debug, PartialEq)]
pub struct SortPart {
    /// Where the value is.
    pub path: Path,
    /// Whether larger values come first.
    pub descending: bool,
}

/// The order of records when no sort is asked for, and between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Natural {
    /// The order of insertion; own pending inserts come last.
    Position,
    /// The order of keys.
    Key,
}

impl Natural {
    pub(crate) fn of(bucket: &Bucket) -> Self {
        if bucket.ordered_by_key || bucket.order_index.is_none() {
            Self::Key
        } else {
            Self::Position
        }
    }
}

/// Those of a number and a position, or of a position alone, are short enough to take no
/// memory of their own: one allocation less for each row that is read.
pub(crate) type OrderBytes = SmallVec<[u8; 32]>;

/// The place of a record in an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OrderKey {
    pub(crate) bytes: OrderBytes,
    /// Where the sort values end and the natural order begins.
    pub(crate) tie_at: usize,
}

impl OrderKey {
    /// The bytes of the sort values.
    pub(crate) fn sort_bytes(&self) -> &[u8] {
        &self.bytes[..self.tie_at]
    }

    /// The bytes of the natural order.
    pub(crate) fn tie_bytes(&self) -> &[u8] {
        &self.bytes[self.tie_at..]
    }
}

/// The encoded sort values of a record, as some index has them.
#[derive(Clone, Copy, Default)]
pub(crate) struct SortValues<'a> {
    pub(crate) bytes: &'a [u8],
    /// Whether the index has the opposite direction of the sort.
    pub(crate) inverted: bool,
}

/// A total order over the records of a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The sort, with `reversed` already applied to its directions.
    pub(crate) parts: Vec<SortPart>,
    pub(crate) natural: Natural,
    pub(crate) reversed: bool,
}

impl Order {
    pub(crate) fn new(bucket: &Bucket, sort: &[SortPart], reversed: bool) -> Self {
        let directed = |part: &SortPart| SortPart {
            path: part.path.clone(),
            descending: part.descending != reversed,
        };
        Self { parts: sort.iter().map(directed).collect(), natural: Natural::of(bucket), reversed }
    }

    /// The place of `row` in this order.
    pub(crate) fn key(&self, row: &Row, primary_key: &[u8]) -> OrderKey {
        if self.parts.is_empty() {
            return self.key_of(SortValues::default(), row, primary_key);
        }
        let mut values = Vec::with_capacity(16 * self.parts.len());
        for SortPart { path, descending } in &self.parts {
            if path.is_single() {
                row.with_field(path.first(), |value| {
                    let value = value.unwrap_or(ValueRef::Null);
                    key::encode_part(value, *descending, &mut values);
                });
            } else {
                key::encode_part(&indexed_value(row, path), *descending, &mut values);
            }
        }
        self.key_of(SortValues { bytes: &values, inverted: false }, row, primary_key)
    }

    /// The place of `row`, whose sort values are known.
    pub(crate) fn key_of(&self, values: SortValues<'_>, row: &Row, primary_key: &[u8]) -> OrderKey {
        let mut bytes = OrderBytes::from_slice(values.bytes);
        if values.inverted {
            invert(&mut bytes);
        }
        let tie_at = bytes.len();
        match self.natural {
            Natural::Position => bytes.extend_from_slice(&row.position().to_bytes()),
            Natural::Key => bytes.extend_from_slice(primary_key),
        }
        if self.reversed {
            invert(&mut bytes[tie_at..]);
        }
        OrderKey { bytes, tie_at }
    }

    /// Whether `place` is of a record that was not committed when it was seen.
    pub(crate) fn is_pending(&self, place: &OrderKey) -> bool {
        let last = if self.reversed { 0 } else { 0xFF };
        self.natural == Natural::Position && place.tie_bytes().starts_with(&[last; 8])
    }
}

/// Inverts all bits, which reverses the order of self-delimiting encodings.
pub(crate) fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}
