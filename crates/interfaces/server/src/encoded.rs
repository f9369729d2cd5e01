//! Commits as the wire has them, each change encoded once for everybody.
//!
//! Subscriptions differ in which changes of a commit they get, not in how a
//! change reads. So the texts of changes are kept for a while, and put together
//! for each. A subscription that gets all changes of a commit gets a text that
//! is shared whole.
//!
//! Only the newest commits are kept: who reads far behind encodes for itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tandem_base::Result;
use tandem_change::ChangeKind;
use tandem_record::key::decode_key;
use tandem_record::row::Row;
use tandem_transaction::{Change, Commit};

use crate::data::write_value;
use crate::live::Counters;

/// Bytes of texts that are kept; the commits of the lowest revisions go first.
const ENCODED_BYTES: usize = 4 << 20;

/// Commits whose texts are kept.
const ENCODED_COMMITS: usize = 4_096;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct EncodedCommits(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    commits: BTreeMap<u64, (Arc<Mutex<Encoded>>, usize)>,
    bytes: usize,
}

/// The texts of one commit.
#[derive(Debug, Default)]
struct Encoded {
    /// By bucket and key, which name a change of a commit.
    changes: HashMap<(Arc<str>, Bytes), Bytes>,
    /// Of the commit, or of the largest part of it that was asked for.
    whole: Option<(Arc<Commit>, Bytes)>,
}

impl EncodedCommits {
    /// What a subscription is told of a commit, or of the part of it that it
    /// asked for: `{revision, changes}`. The changes at the places in `left`, in
    /// ascending order, say that their record has left the filter.
    ///
    /// # Errors
    /// `CORRUPTED`.
    pub(crate) fn text(
        &self,
        commit: &Arc<Commit>,
        left: &[usize],
        counters: &Counters,
    ) -> Result<Bytes> {
        let encoded = self.state().commits.entry(commit.revision).or_default().0.clone();
        let mut encoded = encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if left.is_empty()
            && let Some((of, text)) = &encoded.whole
            && Arc::ptr_eq(of, commit)
        {
            return Ok(text.clone());
        }
        let mut more = 0;
        let mut out = format!("{{\"revision\":{},\"changes\":[", commit.revision).into_bytes();
        for (index, change) in commit.changes.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let name = (change.bucket.clone(), change.key.clone());
            let text = match encoded.changes.get(&name) {
                Some(text) => text,
                None => {
                    counters.changes_encoded.add(1);
                    let text = Bytes::from(encode(change)?);
                    more += text.len() + change.key.len();
                    encoded.changes.entry(name).or_insert(text)
                }
            };
            out.extend_from_slice(text);
            if left.binary_search(&index).is_ok() {
                out.pop();
                out.extend_from_slice(b",\"left\":true}");
            }
        }
        out.extend_from_slice(b"]}");
        let text = Bytes::from(out);
        let known = encoded.whole.as_ref().map_or(0, |(of, _)| of.changes.len());
        // What has left whose filter is not for everybody.
        if left.is_empty() && commit.changes.len() > known {
            // The commit itself is held with it, and is about as large.
            more += 2 * text.len();
            encoded.whole = Some((commit.clone(), text.clone()));
        }
        drop(encoded);
        self.state().grew(commit.revision, more);
        Ok(text)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn grew(&mut self, revision: u64, more: usize) {
        let Some((_, bytes)) = self.commits.get_mut(&revision) else { return };
        *bytes += more;
        self.bytes += more;
        while self.bytes > ENCODED_BYTES || self.commits.len() > ENCODED_COMMITS {
            let Some((_, (_, bytes))) = self.commits.pop_first() else { return };
            self.bytes -= bytes;
        }
    }
}

fn encode(change: &Change) -> Result<Vec<u8>> {
    let kind = match ChangeKind::of(change) {
        ChangeKind::Inserted => "insert",
        ChangeKind::Updated => "update",
        ChangeKind::Deleted => "delete",
    };
    let mut out = start(kind, &change.bucket, &decode_key(&change.key));
    for (name, row) in [("before", &change.before), ("after", &change.after)] {
        if let Some(row) = row {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            Row::from_stored(row.clone())?.write_json(&mut out);
        }
    }
    out.push(b'}');
    Ok(out)
}

/// Records that were there before, as the inserts that they would take.
pub(crate) fn initial_text(revision: u64, inserts: &[tandem::Change], last: bool) -> Bytes {
    let mut out = format!("{{\"initial\":true,\"revision\":{revision},\"changes\":[").into_bytes();
    for (index, change) in inserts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend(start("insert", &change.bucket, &change.key));
        if let Some(record) = &change.after {
            out.extend_from_slice(b",\"after\":");
            record.write_json(&mut out);
        }
        out.push(b'}');
    }
    out.extend_from_slice(format!("],\"last\":{last}}}").as_bytes());
    out.into()
}

fn start(kind: &str, bucket: &str, key: &Value) -> Vec<u8> {
    let mut out = format!("{{\"type\":\"{kind}\",\"bucket\":").into_bytes();
    write_value(&mut out, &bucket.into());
    out.extend_from_slice(b",\"key\":");
    write_value(&mut out, key);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(revision: u64, keys: &[&'static [u8]]) -> Arc<Commit> {
        let change = |key: &&'static [u8]| Change {
            bucket: "b".into(),
            key: Bytes::from_static(key),
            before: None,
            after: None,
        };
        Arc::new(Commit { revision, timestamp: 0, changes: keys.iter().map(change).collect() })
    }

    #[test]
    fn each_change_is_encoded_once_whoever_gets_it_with_which_others() {
        let (encoded, counters) = (EncodedCommits::default(), Counters::default());
        let whole = commit(7, &[b"1", b"2"]);
        let text = encoded.text(&whole, &[], &counters).expect("it is encoded");
        assert_eq!(counters.changes_encoded.value(), 2);
        let again = encoded.text(&whole, &[], &counters).expect("it is encoded");
        assert!(text.as_ptr() == again.as_ptr(), "one text for all");
        let part = encoded.text(&commit(7, &[b"2"]), &[], &counters).expect("it is encoded");
        assert!(part.len() < text.len() && text.starts_with(b"{\"revision\":7,\"changes\":["));
        assert_eq!(counters.changes_encoded.value(), 2);
        // For whom a record has left, and for whom it has not.
        let gone = encoded.text(&whole, &[1], &counters).expect("it is encoded");
        let gone: Value = serde_json::from_slice(&gone).expect("JSON");
        assert_eq!(
            (&gone["changes"][0]["left"], &gone["changes"][1]["left"]),
            (&Value::Null, &Value::Bool(true))
        );
        let again = encoded.text(&whole, &[], &counters).expect("it is encoded");
        assert!(text.as_ptr() == again.as_ptr());
        assert_eq!(counters.changes_encoded.value(), 2);
    }

    #[test]
    fn g10_only_the_newest_commits_are_kept() {
        let (encoded, counters) = (EncodedCommits::default(), Counters::default());
        for revision in 1..=ENCODED_COMMITS as u64 + 10 {
            encoded.text(&commit(revision, &[b"1"]), &[], &counters).expect("it is encoded");
        }
        let state = encoded.state();
        assert_eq!(state.commits.len(), ENCODED_COMMITS);
        assert!(!state.commits.contains_key(&10) && state.commits.contains_key(&11));
    }
}
