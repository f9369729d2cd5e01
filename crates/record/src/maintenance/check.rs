//! Comparing every index with its rows, in both directions, online.
//!
//! Rows and entries are read from one view, so writers go on meanwhile. For
//! each row the derive function says which entries must exist; for each entry
//! the row that it points to must exist and derive it. What is wrong can be
//! repaired: each finding is looked at again in the commit section, against
//! the state as it is then, and only what is still wrong is written.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tandem_base::{Error, Result};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{CommitState, Coordination, Derived, Read};

use crate::catalog::{Bucket, Catalog, Index};
use crate::derive::read_count;
use crate::entries::{IndexEntry, entries, primary_key_of};
use crate::key;
use crate::keys;
use crate::maintenance::in_commit_section;
use crate::records::Records;
use crate::row::{Position, Row};

/// Problems are listed up to here, counted beyond.
const LISTED_PROBLEMS: usize = 100;
/// Findings repaired in one step of the commit section.
const REPAIRS_PER_STEP: usize = 1_000;

/// What a check compared and found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckReport {
    /// The revision that was checked.
    pub revision: u64,
    /// Buckets read.
    pub buckets: u64,
    /// Rows read.
    pub rows: u64,
    /// Index entries read, internal indexes included.
    pub entries: u64,
    /// Entries that should be there and are not, or point elsewhere.
    pub missing: u64,
    /// Entries that no row derives.
    pub dangling: u64,
    /// Record counters that disagree with the rows.
    pub wrong_counts: u64,
    /// Findings that a repair has mended.
    pub repaired: u64,
    /// The first findings.
    pub problems: Vec<CheckProblem>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckProblem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The bucket.
    pub bucket: String,
    /// The index, unless it is about the record counter.
    pub index: Option<String>,
    /// The record's key.
    pub key: Value,
}

/// Ways in which an index and its rows can disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// A row has no entry.
    Missing,
    /// An entry has no row.
    Dangling,
    /// The record counter is wrong.
    WrongCount,
}

impl CheckReport {
    /// Whether everything agrees.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.missing == 0 && self.dangling == 0 && self.wrong_counts == 0
    }

    /// As `store.check` answers it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let problems: Vec<_> = self
            .problems
            .iter()
            .map(|problem| {
                let kind = match problem.kind {
                    ProblemKind::Missing => "missing",
                    ProblemKind::Dangling => "dangling",
                    ProblemKind::WrongCount => "wrongCount",
                };
                json!({ "kind": kind, "bucket": problem.bucket, "index": problem.index, "key": problem.key })
            })
            .collect();
        json!({
            "revision": self.revision, "buckets": self.buckets, "rows": self.rows,
            "entries": self.entries, "missing": self.missing, "dangling": self.dangling,
            "wrongCounts": self.wrong_counts, "repaired": self.repaired, "problems": problems,
        })
    }

    fn note(&mut self, kind: ProblemKind, bucket: &Bucket, index: Option<&str>, key: Value) {
        match kind {
            ProblemKind::Missing => self.missing += 1,
            ProblemKind::Dangling => self.dangling += 1,
            ProblemKind::WrongCount => self.wrong_counts += 1,
        }
        if self.problems.len() < LISTED_PROBLEMS {
            let (bucket, index) = (bucket.name.to_string(), index.map(str::to_owned));
            self.problems.push(CheckProblem { kind, bucket, index, key });
        }
    }
}

/// What a repair has to look at again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Finding {
    /// The entries of this row.
    Row { bucket: u32, primary_key: Bytes },
    /// This entry.
    Entry { bucket: u32, index: u32, key: Bytes, value: Bytes },
    /// The record counter.
    Count { bucket: u32 },
}

impl Records {
    /// Checks one bucket, or all. Cost: reads every row and entry, and looks
    /// each up on the other side; memory: the findings.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `CORRUPTED` when a row cannot be read;
    /// `STORAGE_ERROR`.
    pub fn check(
        self: &Arc<Self>,
        coordination: &dyn Coordination,
        bucket: Option<&str>,
        repair: bool,
    ) -> Result<CheckReport> {
        let view = coordination.view()?;
        let catalog = self.catalog_at(&*view)?;
        let buckets: Vec<Arc<Bucket>> = match bucket {
            Some(name) => vec![catalog.bucket(name)?.clone()],
            None => catalog.buckets().into_iter().cloned().collect(),
        };
        let mut report = CheckReport { revision: view.revision(), ..CheckReport::default() };
        let mut findings = HashSet::new();
        for bucket in &buckets {
            report.buckets += 1;
            check_rows(&*view, bucket, &mut report, &mut findings)?;
            for index in &bucket.indexes {
                check_entries(&*view, bucket, index, &mut report, &mut findings)?;
            }
            check_order(&*view, bucket, &mut report, &mut findings)?;
        }
        if repair {
            report.repaired = self.repair(coordination, findings)?;
        }
        Ok(report)
    }

    fn repair(
        self: &Arc<Self>,
        coordination: &dyn Coordination,
        findings: HashSet<Finding>,
    ) -> Result<u64> {
        let findings: Vec<_> = findings.into_iter().collect();
        let mut repaired = 0;
        for step in findings.chunks(REPAIRS_PER_STEP) {
            let (records, step) = (self.clone(), step.to_vec());
            repaired += in_commit_section(coordination, None, move |state, _| {
                let catalog = records.catalog_at(state)?;
                let mut derived = Derived::default();
                for finding in &step {
                    mend(state, &catalog, finding, &mut derived)?;
                }
                let mended = derived.writes.len() as u64;
                Ok((derived, mended))
            })?;
        }
        Ok(repaired)
    }
}

fn check_rows(
    view: &dyn Read,
    bucket: &Bucket,
    report: &mut CheckReport,
    findings: &mut HashSet<Finding>,
) -> Result<()> {
    let prefix = keys::row_prefix(bucket.id);
    let mut rows = 0;
    for entry in view.scan(&KeyRange::prefix(&prefix), Direction::Forward) {
        let (row_key, value) = entry?;
        rows += 1;
        let primary_key = row_key.slice(prefix.len()..);
        let row = Row::from_stored(value)?;
        for (index, entry) in expected_entries(bucket, &row, &primary_key)? {
            if view.get(&entry.key)?.as_ref() != Some(&entry.value) {
                let key = key::decode_key(&primary_key);
                report.note(ProblemKind::Missing, bucket, Some(&index), key);
                let primary_key = primary_key.clone();
                findings.insert(Finding::Row { bucket: bucket.id, primary_key });
            }
        }
    }
    report.rows += rows;
    if read_count(view.get(&keys::count(bucket.id))?.as_deref())? != rows {
        report.note(ProblemKind::WrongCount, bucket, None, Value::Null);
        findings.insert(Finding::Count { bucket: bucket.id });
    }
    Ok(())
}

/// The entries that must exist for a row: those of every ready index, and its
/// place in the order of insertion.
fn expected_entries(
    bucket: &Bucket,
    row: &Row,
    primary_key: &Bytes,
) -> Result<Vec<(String, IndexEntry)>> {
    let mut expected = Vec::new();
    for index in bucket.indexes.iter().filter(|index| index.is_ready()) {
        let mut found = Vec::new();
        entries(index, row, primary_key, &mut found)?;
        expected.extend(found.into_iter().map(|entry| (index.name.clone(), entry)));
    }
    if let Some(order_index) = bucket.order_index {
        let key = keys::order_entry(order_index, row.position());
        expected.push(("_order".to_owned(), IndexEntry { key, value: primary_key.clone() }));
    }
    Ok(expected)
}

fn check_entries(
    view: &dyn Read,
    bucket: &Bucket,
    index: &Index,
    report: &mut CheckReport,
    findings: &mut HashSet<Finding>,
) -> Result<()> {
    let range = KeyRange::prefix(&keys::index_prefix(index.id));
    for entry in view.scan(&range, Direction::Forward) {
        let (key, value) = entry?;
        report.entries += 1;
        if !is_derived(view, bucket, index, &key, &value)? {
            let primary_key = primary_key_of(index, &key, &value).unwrap_or_default();
            let shown = key::decode_key(&primary_key);
            report.note(ProblemKind::Dangling, bucket, Some(&index.name), shown);
            findings.insert(Finding::Entry { bucket: bucket.id, index: index.id, key, value });
        }
    }
    Ok(())
}

/// Whether the row that the entry points to exists and derives it.
fn is_derived(
    state: &dyn Read,
    bucket: &Bucket,
    index: &Index,
    key: &Bytes,
    value: &Bytes,
) -> Result<bool> {
    let Ok(primary_key) = primary_key_of(index, key, value) else { return Ok(false) };
    let Some(row) = state.get(&keys::row(bucket.id, &primary_key))? else { return Ok(false) };
    let mut found = Vec::new();
    entries(index, &Row::from_stored(row)?, &primary_key, &mut found)?;
    Ok(found.iter().any(|entry| entry.key == *key && entry.value == *value))
}

fn check_order(
    view: &dyn Read,
    bucket: &Bucket,
    report: &mut CheckReport,
    findings: &mut HashSet<Finding>,
) -> Result<()> {
    let Some(order_index) = bucket.order_index else { return Ok(()) };
    for entry in view.scan(&KeyRange::prefix(&keys::index_prefix(order_index)), Direction::Forward)
    {
        let (key, primary_key) = entry?;
        report.entries += 1;
        if !is_in_order(view, bucket, &key, &primary_key)? {
            let shown = key::decode_key(&primary_key);
            report.note(ProblemKind::Dangling, bucket, Some("_order"), shown);
            let (bucket, value) = (bucket.id, primary_key);
            findings.insert(Finding::Entry { bucket, index: order_index, key, value });
        }
    }
    Ok(())
}

fn is_in_order(state: &dyn Read, bucket: &Bucket, key: &[u8], primary_key: &[u8]) -> Result<bool> {
    let position = keys::split_index_entry(key)
        .and_then(|(_, rest)| rest.try_into().ok())
        .map(Position::from_bytes);
    match state.get(&keys::row(bucket.id, primary_key))? {
        Some(row) => Ok(Some(Row::from_stored(row)?.position()) == position),
        None => Ok(false),
    }
}

/// Writes what makes the finding right, if it is still wrong.
fn mend(
    state: &dyn CommitState,
    catalog: &Catalog,
    finding: &Finding,
    derived: &mut Derived,
) -> Result<()> {
    let (Finding::Row { bucket, .. } | Finding::Entry { bucket, .. } | Finding::Count { bucket }) =
        finding;
    let Some(bucket) = catalog.bucket_by_id(*bucket) else { return Ok(()) };
    match finding {
        Finding::Row { primary_key, .. } => {
            let Some(row) = state.get(&keys::row(bucket.id, primary_key))? else { return Ok(()) };
            for (_, entry) in expected_entries(bucket, &Row::from_stored(row)?, primary_key)? {
                match state.get(&entry.key)? {
                    Some(value) if value == entry.value => {}
                    Some(other) if entry.is_exclusive() && is_row(state, bucket, &other)? => {
                        return Err(Error::corrupted(
                            "Two records hold one unique value; one of them has to be changed",
                        ));
                    }
                    _ => derived.writes.push((entry.key, Some(entry.value))),
                }
            }
        }
        Finding::Entry { index, key, value, .. } => {
            let holds = match bucket.indexes.iter().find(|known| known.id == *index) {
                Some(index) => is_derived(state, bucket, index, key, value)?,
                None if bucket.order_index == Some(*index) => {
                    is_in_order(state, bucket, key, value)?
                }
                None => true,
            };
            if !holds && state.get(key)?.as_ref() == Some(value) {
                derived.writes.push((key.clone(), None));
            }
        }
        Finding::Count { .. } => {
            let rows = KeyRange::prefix(&keys::row_prefix(bucket.id));
            let mut count = 0u64;
            for entry in state.scan(&rows, Direction::Forward) {
                entry?;
                count += 1;
            }
            let key = keys::count(bucket.id);
            if read_count(state.get(&key)?.as_deref())? != count {
                derived.writes.push((key, Some(Bytes::copy_from_slice(&count.to_be_bytes()))));
            }
        }
    }
    Ok(())
}

fn is_row(state: &dyn Read, bucket: &Bucket, primary_key: &[u8]) -> Result<bool> {
    Ok(state.get(&keys::row(bucket.id, primary_key))?.is_some())
}
