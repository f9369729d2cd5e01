//! A transaction's net effect per record, and the undo log over it.
//!
//! The write set keeps two ordered maps. `rows` has one entry per record key
//! with the row as it was first seen and as it is to be; `overlay` has the
//! same rows *and the index entries derived from them*, so that every scan of
//! the key space merges the own writes by nothing but key order.
//!
//! ```text
//! insert → update     one insert            before none, after new
//! insert → delete     nothing               (entry removed)
//! update → update     one update            before kept, after new
//! delete → insert     replace               before kept, after new
//! ```
//!
//! Each step pushes what it replaced onto the undo log. A savepoint is a
//! position in that log: rolling back pops to it and costs what is undone.

use std::collections::BTreeMap;

use bytes::Bytes;
use tandem_base::{Code, Error, Result};
use tandem_storage::KeyRange;

use crate::guard::{Guard, GuardCheck};

/// The net effect of a transaction on one record.
#[derive(Clone, Debug)]
pub struct RowWrite {
    /// The row when the transaction first wrote it; `None` = it did not exist.
    pub before: Option<Bytes>,
    /// The revision as of which `before` was read.
    pub seen_at: u64,
    /// The row to be; `None` = delete.
    pub after: Option<Bytes>,
    /// The version that the caller said the committed row must have.
    pub expected_version: Option<u64>,
    /// The place in the order in which the transaction first wrote records.
    pub ordinal: u32,
    /// What the statement has derived already, if it may be used again.
    pub derived: Option<DerivedEntries>,
}

/// The index entries that follow from one row's change, as the statement
/// derived them. The commit section calls the same function with the same
/// arguments, unless the row or the definitions have changed meanwhile; only
/// then it has to call it again.
#[derive(Clone, Debug)]
pub struct DerivedEntries {
    /// The catalog that they were derived by.
    pub schema_revision: u64,
    /// Entries that go.
    pub removes: Vec<Bytes>,
    /// Entries that come.
    pub puts: Vec<(Bytes, Bytes)>,
}

/// A position to which the write set can be rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    undo: usize,
    bytes: usize,
}

enum Undo {
    Row { key: Bytes, previous: Option<RowWrite> },
    Overlay { key: Bytes, previous: Option<Option<Bytes>> },
    Guard { condition: Condition },
}

/// Guards are kept once per condition.
type Condition = (GuardCheck, KeyRange);

/// Net effects, derived entries, guards and savepoints of one transaction.
#[derive(Default)]
pub struct WriteSet {
    rows: BTreeMap<Bytes, RowWrite>,
    overlay: BTreeMap<Bytes, Option<Bytes>>,
    guards: BTreeMap<Condition, Guard>,
    undo: Vec<Undo>,
    savepoints: Vec<(String, Mark)>,
    next_ordinal: u32,
    next_insert: u32,
    bytes: usize,
}

impl WriteSet {
    /// Whether committing would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of records with a net effect.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Approximate bytes held: new rows and entries, the rows that they
    /// replace, the undo log.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The net effect on the record at `key`.
    #[must_use]
    pub fn row(&self, key: &[u8]) -> Option<&RowWrite> {
        self.rows.get(key)
    }

    /// The net effects in key order.
    pub fn rows(&self) -> impl Iterator<Item = (&Bytes, &RowWrite)> {
        self.rows.iter()
    }

    /// The net effects on keys of `range`, in key order.
    pub fn rows_in(&self, range: &KeyRange) -> impl Iterator<Item = (&Bytes, &RowWrite)> {
        self.rows.range::<[u8], _>(bounds(range))
    }

    /// The net effects in the order in which the records were first written.
    #[must_use]
    pub fn rows_in_order(&self) -> Vec<(&Bytes, &RowWrite)> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(_, write)| write.ordinal);
        rows
    }

    /// Conditions to be checked at commit at every isolation level.
    pub fn guards(&self) -> impl Iterator<Item = &Guard> {
        self.guards.values()
    }

    /// Own writes over the whole key space: rows and derived entries.
    pub(crate) fn overlay(&self) -> &BTreeMap<Bytes, Option<Bytes>> {
        &self.overlay
    }

    pub(crate) fn overlay_value(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.overlay.get(key)
    }

    /// Records the new state of a row. `current` is the row as the transaction
    /// saw it just now, at revision `seen_at`. Returns whether the transaction
    /// still has an effect on the record.
    pub(crate) fn write_row(
        &mut self,
        key: &Bytes,
        current: Option<&Bytes>,
        seen_at: u64,
        after: Option<Bytes>,
        expected_version: Option<u64>,
        derived: Option<DerivedEntries>,
    ) -> bool {
        let previous = self.rows.get(key).cloned();
        let next = match &previous {
            // The first expectation stands: it is about the committed row. What
            // was derived is about the own image, not about the committed row.
            Some(write) => RowWrite { after: after.clone(), derived: None, ..write.clone() },
            None => {
                let ordinal = self.next_ordinal;
                self.next_ordinal += 1;
                let before = current.cloned();
                self.bytes += before.as_ref().map_or(0, Bytes::len);
                let after = after.clone();
                RowWrite { before, seen_at, after, expected_version, ordinal, derived }
            }
        };
        self.bytes += 2 * key.len() + 96 + after.as_ref().map_or(0, Bytes::len);
        let has_effect = next.before.is_some() || next.after.is_some();
        if has_effect {
            self.rows.insert(key.clone(), next);
        } else {
            self.rows.remove(key);
        }
        self.undo.push(Undo::Row { key: key.clone(), previous });
        if has_effect {
            self.write_overlay(key.clone(), after);
        } else {
            self.uncover(key);
        }
        has_effect
    }

    /// Takes an own entry away without hiding what others commit under its key:
    /// for a record that was inserted and deleted again.
    pub(crate) fn uncover(&mut self, key: &Bytes) {
        if let Some(value) = self.overlay.remove(key) {
            self.undo.push(Undo::Overlay { key: key.clone(), previous: Some(value) });
        }
    }

    /// Records an own derived entry (`Some`) or hides a committed one (`None`).
    pub(crate) fn write_overlay(&mut self, key: Bytes, value: Option<Bytes>) {
        self.bytes += key.len() + 64 + value.as_ref().map_or(0, Bytes::len);
        let previous = self.overlay.insert(key.clone(), value);
        self.undo.push(Undo::Overlay { key, previous });
    }

    /// Adds a guard unless the same condition is guarded already, since an
    /// earlier revision then.
    pub(crate) fn add_guard(
        &mut self,
        check: GuardCheck,
        range: KeyRange,
        seen_at: u64,
        error: impl Fn() -> Error + Send + Sync + 'static,
    ) {
        let condition = (check, range);
        if self.guards.contains_key(&condition) {
            return;
        }
        let range = condition.1.clone();
        self.bytes += 2 * range.start.len() + 160;
        let guard = Guard { range, check, seen_at, error: Box::new(error) };
        self.guards.insert(condition.clone(), guard);
        self.undo.push(Undo::Guard { condition });
    }

    /// The place in the order of writes for the next inserted row.
    pub(crate) fn allocate_ordinal(&mut self) -> u32 {
        self.next_insert += 1;
        self.next_insert
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { undo: self.undo.len(), bytes: self.bytes }
    }

    /// Undoes everything after `mark`. Cost: what is undone.
    pub(crate) fn undo_to(&mut self, mark: Mark) {
        while self.undo.len() > mark.undo {
            match self.undo.pop() {
                Some(Undo::Row { key, previous: Some(write) }) => {
                    self.rows.insert(key, write);
                }
                Some(Undo::Row { key, previous: None }) => {
                    self.rows.remove(&key);
                }
                Some(Undo::Overlay { key, previous: Some(value) }) => {
                    self.overlay.insert(key, value);
                }
                Some(Undo::Overlay { key, previous: None }) => {
                    self.overlay.remove(&key);
                }
                Some(Undo::Guard { condition }) => {
                    self.guards.remove(&condition);
                }
                None => break,
            }
        }
        self.bytes = mark.bytes;
    }

    pub(crate) fn savepoint(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.mark()));
    }

    pub(crate) fn savepoint_count(&self) -> usize {
        self.savepoints.len()
    }

    /// Undoes everything after the innermost savepoint of that name, which
    /// stays open; savepoints opened after it are gone.
    pub(crate) fn rollback_to(&mut self, name: &str) -> Result<()> {
        let at = self.find_savepoint(name)?;
        let mark = self.savepoints[at].1;
        self.savepoints.truncate(at + 1);
        self.undo_to(mark);
        Ok(())
    }

    /// Forgets the innermost savepoint of that name and those after it; what
    /// was written stays.
    pub(crate) fn release(&mut self, name: &str) -> Result<()> {
        let at = self.find_savepoint(name)?;
        self.savepoints.truncate(at);
        Ok(())
    }

    fn find_savepoint(&self, name: &str) -> Result<usize> {
        self.savepoints.iter().rposition(|(open, _)| open == name).ok_or_else(|| {
            Error::new(Code::SavepointNotFound, format!("Savepoint \"{name}\" is not open"))
                .with("savepoint", name)
        })
    }
}

impl std::fmt::Debug for WriteSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteSet").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The bounds of a range, for `BTreeMap::range` over `[u8]`.
pub(crate) fn bounds(range: &KeyRange) -> (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>) {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    if range.is_empty() {
        // `BTreeMap::range` panics on reversed bounds; this one is empty.
        return (Included(&range.start[..]), Excluded(&range.start[..]));
    }
    let end = range.end.as_ref().map_or(Unbounded, |end| Excluded(&end[..]));
    (Included(&range.start[..]), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Bytes {
        Bytes::copy_from_slice(name.as_bytes())
    }

    fn write(set: &mut WriteSet, name: &str, current: Option<&str>, after: Option<&str>) {
        let current = current.map(key);
        set.write_row(&key(name), current.as_ref(), 1, after.map(key), None, None);
    }

    #[test]
    fn insert_then_update_is_one_insert() {
        let mut set = WriteSet::default();
        write(&mut set, "k", None, Some("a"));
        write(&mut set, "k", Some("a"), Some("b"));
        let row = set.row(b"k").unwrap();
        assert_eq!((row.before.clone(), row.after.clone()), (None, Some(key("b"))));
    }

    #[test]
    fn insert_then_delete_is_nothing() {
        let mut set = WriteSet::default();
        write(&mut set, "k", None, Some("a"));
        write(&mut set, "k", Some("a"), None);
        assert!(set.is_empty());
        assert_eq!(set.overlay_value(b"k"), None, "what others commit shows");
    }

    #[test]
    fn update_then_update_keeps_the_first_before_and_expectation() {
        let mut set = WriteSet::default();
        let old = key("old");
        set.write_row(&key("k"), Some(&old), 5, Some(key("a")), Some(3), None);
        set.write_row(&key("k"), Some(&key("a")), 9, Some(key("b")), None, None);
        let row = set.row(b"k").unwrap();
        assert_eq!(row.before, Some(old));
        assert_eq!((row.seen_at, row.expected_version), (5, Some(3)));
    }

    #[test]
    fn delete_then_insert_is_a_replace() {
        let mut set = WriteSet::default();
        write(&mut set, "k", Some("old"), None);
        write(&mut set, "k", None, Some("new"));
        let row = set.row(b"k").unwrap();
        assert_eq!((row.before.clone(), row.after.clone()), (Some(key("old")), Some(key("new"))));
    }

    #[test]
    fn rolling_back_to_a_savepoint_keeps_it_open_and_undoes_only_what_follows() {
        let mut set = WriteSet::default();
        write(&mut set, "a", None, Some("1"));
        set.savepoint("outer");
        write(&mut set, "a", Some("1"), Some("2"));
        set.savepoint("inner");
        write(&mut set, "a", Some("2"), None);
        write(&mut set, "b", None, Some("1"));
        set.rollback_to("outer").unwrap();
        assert_eq!(set.row(b"a").unwrap().after, Some(key("1")));
        assert!(set.row(b"b").is_none());
        assert_eq!(set.overlay_value(b"b"), None);
        assert!(set.rollback_to("inner").is_err(), "nested savepoints are gone");
        write(&mut set, "c", None, Some("1"));
        set.rollback_to("outer").unwrap();
        assert!(set.row(b"c").is_none());
        set.release("outer").unwrap();
        assert_eq!(set.release("outer").unwrap_err().code(), Code::SavepointNotFound);
    }

    #[test]
    fn g4_what_a_savepoint_undoes_covers_nothing_and_guards_nothing_any_more() {
        let mut set = WriteSet::default();
        let guarded = || Error::new(Code::Conflict, "guarded");
        set.write_overlay(key("kept"), Some(key("1")));
        set.savepoint("s");
        set.write_overlay(key("kept"), None);
        set.write_overlay(key("hidden"), None);
        set.add_guard(GuardCheck::Exists, KeyRange::point(b"g"), 1, guarded);
        set.rollback_to("s").unwrap();
        assert_eq!(set.overlay_value(b"kept"), Some(&Some(key("1"))));
        assert_eq!(set.overlay_value(b"hidden"), None, "the committed entry shows again");
        assert_eq!(set.guards().count(), 0);
    }

    #[test]
    fn the_innermost_savepoint_of_a_name_is_meant() {
        let mut set = WriteSet::default();
        set.savepoint("s");
        write(&mut set, "a", None, Some("1"));
        set.savepoint("s");
        write(&mut set, "b", None, Some("1"));
        set.rollback_to("s").unwrap();
        assert!(set.row(b"a").is_some() && set.row(b"b").is_none());
        set.release("s").unwrap();
        set.rollback_to("s").unwrap();
        assert!(set.row(b"a").is_none());
    }

    #[test]
    fn g10_bytes_count_each_copy_that_is_held() {
        let held = |key: usize, before: usize, after: usize| {
            let mut set = WriteSet::default();
            let (key, before) = (Bytes::from(vec![1; key]), Bytes::from(vec![2; before]));
            let after = Bytes::from(vec![3; after]);
            set.write_row(&key, Some(&before), 1, Some(after), None, None);
            set.bytes()
        };
        let base = held(1, 1, 1);
        assert!((160..400).contains(&base), "two nodes of a map and two steps back: {base}");
        assert_eq!(held(1_001, 1, 1) - base, 3_000, "row, overlay and the way back");
        assert_eq!(held(1, 1_001, 1) - base, 1_000, "the row before");
        assert_eq!(held(1, 1, 1_001) - base, 2_000, "the row after, and in the overlay");

        let entry = |key: usize, value: usize| {
            let mut set = WriteSet::default();
            set.write_overlay(vec![1; key].into(), Some(vec![2; value].into()));
            set.bytes()
        };
        assert!((64..200).contains(&entry(1, 1)));
        assert_eq!((entry(1_001, 1) - entry(1, 1), entry(1, 1_001) - entry(1, 1)), (1_000, 1_000));

        let guard = |key: usize| {
            let mut set = WriteSet::default();
            let range = KeyRange::point(&vec![1; key]);
            for _ in 0..2 {
                let error = || Error::new(Code::Conflict, "guarded");
                set.add_guard(GuardCheck::Exists, range.clone(), 1, error);
            }
            set.bytes()
        };
        assert!((160..400).contains(&guard(1)), "one condition is held once");
        assert_eq!(guard(1_001) - guard(1), 2_000);
    }

    #[test]
    fn g10_what_is_undone_is_held_no_more() {
        let mut set = WriteSet::default();
        write(&mut set, "a", None, Some("1"));
        let held = set.bytes();
        set.savepoint("s");
        write(&mut set, "a", Some("1"), Some("2"));
        write(&mut set, "b", Some("0"), None);
        assert!(set.bytes() > held);
        set.rollback_to("s").unwrap();
        assert_eq!(set.bytes(), held);
    }

    #[test]
    fn g7_records_are_in_the_order_in_which_they_were_first_written() {
        let mut set = WriteSet::default();
        for name in ["c", "a", "b", "c"] {
            write(&mut set, name, Some("0"), Some("1"));
        }
        let names = |rows: Vec<(&Bytes, &RowWrite)>| -> Vec<_> {
            rows.into_iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(set.rows_in_order()), ["c", "a", "b"]);
        assert_eq!(names(set.rows().collect()), ["a", "b", "c"]);
        assert_eq!(set.len(), 3);
        let range = |start: &str, end: &str| KeyRange::new(key(start), key(end));
        assert_eq!(names(set.rows_in(&range("a", "c")).collect()), ["a", "b"]);
        assert_eq!(names(set.rows_in(&range("b", "a")).collect()), [""; 0]);
        let after_a = KeyRange { start: key("b"), end: None };
        assert_eq!(names(set.rows_in(&after_a).collect()), ["b", "c"]);
        assert!(set.row(b"a").is_some() && set.row(b"d").is_none());
    }

    #[test]
    fn g3_rows_and_what_is_derived_from_them_cover_what_is_committed_in_one_order() {
        let mut set = WriteSet::default();
        assert!(set.overlay().is_empty());
        write(&mut set, "c", Some("0"), Some("1"));
        write(&mut set, "a", Some("0"), None);
        set.write_overlay(key("b"), Some(key("entry")));
        set.write_overlay(key("d"), None);
        let covered: Vec<_> = set.overlay().clone().into_iter().collect();
        let expected = [("a", None), ("b", Some("entry")), ("c", Some("1")), ("d", None)];
        assert_eq!(covered, expected.map(|(name, value)| (key(name), value.map(key))));
    }

    #[test]
    fn inserted_rows_are_numbered_as_they_come() {
        let mut set = WriteSet::default();
        let numbers: Vec<_> = (0..3).map(|_| set.allocate_ordinal()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }

    #[test]
    fn what_a_statement_derived_holds_for_the_first_write_of_a_record_only() {
        let mut set = WriteSet::default();
        let derived =
            || Some(DerivedEntries { schema_revision: 1, removes: Vec::new(), puts: Vec::new() });
        set.write_row(&key("k"), None, 1, Some(key("a")), None, derived());
        assert!(set.row(b"k").unwrap().derived.is_some());
        set.write_row(&key("k"), Some(&key("a")), 1, Some(key("b")), None, derived());
        assert!(set.row(b"k").unwrap().derived.is_none(), "it was derived from the own image");
    }

    #[test]
    fn savepoints_are_counted_while_they_are_open() {
        let mut set = WriteSet::default();
        for count in 0..3 {
            assert_eq!(set.savepoint_count(), count);
            set.savepoint("s");
        }
        set.release("s").unwrap();
        assert_eq!(set.savepoint_count(), 2);
    }
}
