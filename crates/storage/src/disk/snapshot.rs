use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use fjall::Readable;
use tandem_base::Result;

use super::Files;
use super::error::read_failed;
use crate::{Direction, Entries, Entry, KeyRange, MAX_KEY_BYTES, Snapshot};

/// A state of a [`DiskStorage`](crate::DiskStorage). The directory stays
/// locked while one is held.
pub(super) struct DiskSnapshot {
    // Dropped before the files that it reads.
    snapshot: fjall::Snapshot,
    files: Arc<Files>,
}

impl DiskSnapshot {
    pub(super) fn new(files: Arc<Files>) -> Self {
        Self { snapshot: files.database.snapshot(), files }
    }
}

impl Snapshot for DiskSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        get(&self.files, &self.snapshot, key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let Some(bounds) = bounds(range) else {
            return Box::new(std::iter::empty());
        };
        let within = |tree| self.snapshot.range::<&[u8], _>(tree, bounds);
        match (self.files.trees.over(range), direction) {
            ([tree], Direction::Forward) => Box::new(UntilError::new(within(tree))),
            ([tree], Direction::Reverse) => Box::new(UntilError::new(within(tree).rev())),
            (trees, Direction::Forward) => {
                let pieces: Vec<_> = trees.iter().map(within).collect();
                Box::new(UntilError::new(pieces.into_iter().flatten()))
            }
            (trees, Direction::Reverse) => {
                let pieces: Vec<_> = trees.iter().map(within).collect();
                Box::new(UntilError::new(pieces.into_iter().rev().flat_map(Iterator::rev)))
            }
        }
    }
}

pub(super) fn get(files: &Files, state: &fjall::Snapshot, key: &[u8]) -> Result<Option<Bytes>> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Ok(None); // Never written; the library asserts that nobody asks.
    }
    let value = state.get(files.trees.of(key), key).map_err(|cause| read_failed(&cause))?;
    Ok(value.map(Bytes::from))
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The range in the library's terms, which takes no bound longer than a key
/// can be. Between a longer bound and its first 65,535 bytes lies no possible
/// key but that cut itself, which sorts before the bound.
fn bounds(range: &KeyRange) -> Option<Bounds<'_>> {
    if range.is_empty() {
        return None;
    }
    let cut = |bound: &'_ Bytes| bound.len() > MAX_KEY_BYTES;
    let start = match &range.start {
        start if start.is_empty() => Bound::Unbounded,
        start if cut(start) => Bound::Excluded(&start[..MAX_KEY_BYTES]),
        start => Bound::Included(&start[..]),
    };
    let end = match &range.end {
        None => Bound::Unbounded,
        Some(end) if cut(end) => Bound::Included(&end[..MAX_KEY_BYTES]),
        Some(end) => Bound::Excluded(&end[..]),
    };
    // Both bounds beyond the same longest key: nothing lies between.
    match (start, end) {
        (Bound::Excluded(start), Bound::Included(end)) if start >= end => None,
        bounds => Some(bounds),
    }
}

/// Entries up to and including the first error.
struct UntilError<I> {
    entries: Option<I>,
}

impl<I> UntilError<I> {
    fn new(entries: I) -> Self {
        Self { entries: Some(entries) }
    }
}

impl<I: Iterator<Item = fjall::Guard>> Iterator for UntilError<I> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.entries.as_mut()?.next()?.into_inner() {
            Ok((key, value)) => Some(Ok((key.into(), value.into()))),
            Err(cause) => {
                self.entries = None;
                Some(Err(read_failed(&cause)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_longer_than_a_key_keep_their_meaning() {
        let longest = vec![b'k'; MAX_KEY_BYTES];
        let point = KeyRange::point(&longest);
        assert_eq!(
            bounds(&point),
            Some((Bound::Included(&longest[..]), Bound::Included(&longest[..])))
        );
        let beyond = |last: u8| [&longest[..], &[last]].concat();
        assert_eq!(bounds(&KeyRange::new(beyond(1), beyond(2))), None);
        let open = KeyRange { start: beyond(1).into(), end: None };
        assert_eq!(bounds(&open), Some((Bound::Excluded(&longest[..]), Bound::Unbounded)));
    }
}
