//! From constraints to the key ranges of an index.
//!
//! Leading parts with an equality (or a list of values) extend a set of byte
//! prefixes; the first part with a range ends it; what follows is left to the
//! filter.
//!
//! ```text
//! index (a, b, c)    a = 1, b in [2, 3], c > 4
//! ranges             20 id │1│2│(4 .. numbers   20 id │1│3│(4 .. numbers
//! ```
//! A condition on a record with an array holds if it holds for an element, but
//! an index that is not multi-valued stores the array whole. So wherever such
//! an index may hold arrays, the range of all arrays of that part is read too.
//! A multi-valued index stores the elements; there, two bounds of one range
//! may be met by two different elements, so only one of them narrows the scan.

use std::ops::Bound as End;

use bytes::Bytes;
use serde_json::{Value, json};
use tandem_record::catalog::{Index, IndexPart};
use tandem_record::key;
use tandem_record::keys;
use tandem_storage::KeyRange;

use crate::order::invert;
use crate::plan::constraint::{Constraint, Constraints, Interval};

/// More combinations of listed values than this are left to the filter.
const MAX_PREFIXES: usize = 1_024;

/// How many bytes end an encoded string.
const STRING_TERMINATOR: usize = 2;

/// What narrows one part of an access, for a person.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// The part's path.
    pub(crate) path: String,
    /// The condition.
    pub(crate) condition: Constraint,
    /// Whether all records with an array there are read as well.
    pub(crate) arrays: bool,
}

impl Bound {
    pub(crate) fn to_json(&self) -> Value {
        let mut bound = json!({ "field": self.path, "condition": self.condition.to_json() });
        if self.arrays {
            bound["arrays"] = json!(true);
        }
        bound
    }
}

/// Where to look in an index.
pub(crate) struct IndexBounds {
    /// Ascending, not overlapping.
    pub(crate) ranges: Vec<KeyRange>,
    /// The narrowing parts.
    pub(crate) bounds: Vec<Bound>,
    /// How many leading parts have exactly one value.
    pub(crate) fixed_parts: usize,
    /// What all entries begin with when the first `fixed_parts` are fixed.
    pub(crate) fixed_prefix: Vec<u8>,
    /// The part of the index that is read, as far as one can guess.
    pub(crate) selectivity: f64,
    /// Whether at most one record is there.
    pub(crate) one_record: bool,
    /// Where the primary key begins in the entries that carry it, if all parts are fixed.
    pub(crate) key_at: Option<usize>,
    /// Whether a record is there exactly if the filter holds for it, whose facts these are.
    pub(crate) decides_filter: bool,
}

impl IndexBounds {
    /// The bounds of `index` under `constraints`, or `None` if the index may
    /// lack a matching record.
    pub(crate) fn of(index: &Index, constraints: &Constraints) -> Option<Self> {
        if index.multi && !has_every_match(index, constraints) {
            return None;
        }
        let id_prefix = keys::index_prefix(index.id).to_vec();
        let mut out = Self {
            ranges: Vec::new(),
            bounds: Vec::new(),
            fixed_parts: 0,
            fixed_prefix: id_prefix.clone(),
            selectivity: 1.0,
            one_record: false,
            key_at: None,
            decides_filter: false,
        };
        let mut decided = 0;
        let mut prefixes = vec![id_prefix];
        let mut single_values = 0;
        for part in &index.parts {
            let Some(constraint) = constraints.best(&part.path, index.multi) else { break };
            let arrays = !index.multi && !part.scalar;
            if !index.multi && !arrays {
                decided += constraints.decided_by(&part.path, &constraint);
            }
            match &constraint {
                Constraint::AnyOf(values) => {
                    let values: Vec<_> = values.iter().filter(|value| !value.is_array()).collect();
                    if prefixes.len().saturating_mul(values.len()) > MAX_PREFIXES {
                        break;
                    }
                    out.add_arrays(arrays, part, &prefixes);
                    prefixes = extended(part, &prefixes, &values);
                    let single = values.len() == 1 && !arrays;
                    if single && out.fixed_parts == out.bounds.len() {
                        out.fixed_parts += 1;
                        out.fixed_prefix.clone_from(&prefixes[0]);
                    }
                    single_values += usize::from(values.len() == 1 && !values[0].is_null());
                    out.note(part, constraint, arrays);
                }
                Constraint::Within(interval) => {
                    out.add_arrays(arrays, part, &prefixes);
                    for prefix in std::mem::take(&mut prefixes) {
                        out.ranges.push(value_range(&prefix, interval, part.descending));
                    }
                    out.note(part, constraint, arrays);
                    break;
                }
            }
        }
        out.decides_filter = constraints.are_all(decided);
        out.key_at = (out.fixed_parts == index.parts.len()).then_some(out.fixed_prefix.len());
        out.one_record = index.unique && single_values == index.parts.len();
        out.ranges.extend(prefixes.iter().map(|prefix| KeyRange::prefix(prefix)));
        out.ranges.retain(|range| !range.is_empty());
        out.ranges.sort_unstable();
        out.ranges.dedup();
        Some(out)
    }

    fn add_arrays(&mut self, arrays: bool, part: &IndexPart, prefixes: &[Vec<u8>]) {
        if arrays {
            self.ranges.extend(
                prefixes.iter().map(|prefix| tag_range(part, prefix, key::first_byte(&json!([])))),
            );
        }
    }

    fn note(&mut self, part: &IndexPart, condition: Constraint, arrays: bool) {
        self.selectivity *= condition.selectivity();
        self.bounds.push(Bound { path: part.path.as_str().to_owned(), condition, arrays });
    }
}

/// A record with an empty array in a part has no entry in a multi-valued
/// index; the index is complete only for filters that refuse such records.
fn has_every_match(index: &Index, constraints: &Constraints) -> bool {
    index.parts.iter().all(|part| part.scalar || constraints.best(&part.path, true).is_some())
}

fn extended(part: &IndexPart, prefixes: &[Vec<u8>], values: &[&Value]) -> Vec<Vec<u8>> {
    let mut all = Vec::with_capacity(prefixes.len() * values.len());
    for prefix in prefixes {
        for value in values {
            let mut longer = Vec::with_capacity(prefix.len() + 40);
            longer.extend_from_slice(prefix);
            key::encode_part(*value, part.descending, &mut longer);
            all.push(longer);
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The entries under `prefix` whose next part has a value of the type.
fn tag_range(part: &IndexPart, prefix: &[u8], tag: u8) -> KeyRange {
    let mut start = prefix.to_vec();
    start.push(if part.descending { !tag } else { tag });
    KeyRange::prefix(&start)
}

/// The keys under `prefix` that go on with a value in `interval`.
pub(crate) fn value_range(prefix: &[u8], interval: &Interval, descending: bool) -> KeyRange {
    let under = |value: &[u8]| {
        let mut bytes = [prefix, value].concat();
        if descending {
            invert(&mut bytes[prefix.len()..]);
        }
        KeyRange::prefix(&bytes)
    };
    if let Some(text) = &interval.starts_with {
        let mut bytes = Vec::new();
        key::encode_part(&json!(text), false, &mut bytes);
        // Without the terminator, longer strings go on here.
        bytes.truncate(bytes.len() - STRING_TERMINATOR);
        return under(&bytes);
    }
    let all = under(&[interval.tag()]);
    let encoded = |value: &Value| {
        let mut bytes = Vec::with_capacity(24);
        key::encode_part(value, false, &mut bytes);
        under(&bytes)
    };
    let (mut start, mut end) = (all.start, all.end);
    let (first, last) = if descending {
        (&interval.upper, &interval.lower)
    } else {
        (&interval.lower, &interval.upper)
    };
    match first {
        End::Included(value) => start = encoded(value).start,
        End::Excluded(value) => start = encoded(value).end.unwrap_or_else(Bytes::new),
        End::Unbounded => {}
    }
    match last {
        End::Included(value) => end = encoded(value).end,
        End::Excluded(value) => end = Some(encoded(value).start),
        End::Unbounded => {}
    }
    KeyRange { start, end }
}
