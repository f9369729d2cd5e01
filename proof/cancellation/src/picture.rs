use std::collections::BTreeMap;

use tandem_record::row::Row;
use tandem_storage::{Bytes, Direction, Entry, KeyRange, Storage};
use tandem_transaction::{Change, Commit, Read, View, keyspace};

/// Everything that a store holds, key by key, without what depends on the clock:
/// rows, index entries, counters, tombstones, the change log, first results.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture(BTreeMap<Bytes, Bytes>);

impl Picture {
    /// What the engine holds.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn of_engine(engine: &dyn Storage) -> Self {
        let snapshot = engine.snapshot().expect("the engine reads");
        Self::of(snapshot.scan(&KeyRange::prefix(&[]), Direction::Forward))
    }

    /// What readers see.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn of_view(view: &View) -> Self {
        Self::of(view.scan(&KeyRange::prefix(&[]), Direction::Forward))
    }

    fn of(entries: impl Iterator<Item = tandem_base::Result<Entry>>) -> Self {
        let describe = |entry: tandem_base::Result<Entry>| {
            let (key, value) = entry.expect("the engine reads");
            let shown = describe(&key, value);
            (key, shown)
        };
        Self(entries.map(describe).collect())
    }

    /// The keys whose values differ, for a person.
    #[must_use]
    pub fn differences(&self, other: &Self) -> String {
        let mut lines = Vec::new();
        for key in self.0.keys().chain(other.0.keys()) {
            let (here, there) = (self.0.get(key), other.0.get(key));
            if here != there {
                lines.push(format!("{key:?}: {here:?}, expected {there:?}"));
            }
        }
        lines.sort();
        lines.dedup();
        lines.join("\n")
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a picture of {} keys", self.0.len())
    }
}

fn describe(key: &[u8], value: Bytes) -> Bytes {
    match key.first() {
        Some(&keyspace::ROW) => timeless(value),
        Some(&keyspace::LOG) => {
            let revision = keyspace::log_revision(key).expect("a key of the log");
            let commit = Commit::decode(revision, value).expect("an entry of the log");
            let changes = commit.changes.into_iter().map(|change| Change {
                before: change.before.map(timeless),
                after: change.after.map(timeless),
                ..change
            });
            Commit { timestamp: 0, changes: changes.collect(), ..commit }.encode()
        }
        // Revision and number of changes; the payload has records in it.
        Some(&keyspace::IDEMPOTENCY) => value.slice(..16.min(value.len())),
        _ => value,
    }
}

/// A row without its times: its version and its fields.
fn timeless(stored: Bytes) -> Bytes {
    // Rows of the system's own buckets are no records.
    let Ok(row) = Row::from_stored(stored.clone()) else { return stored };
    [&row.version().to_be_bytes()[..], row.body()].concat().into()
}
