use std::time::Duration;

use serde_json::{Map, Value, json};
use tandem_base::Result;
use tandem_transaction::{StatisticsSnapshot, Timings};

use crate::session::Session;
use crate::store::Store;

/// What a store holds and what it has done since it was opened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoreStatistics {
    /// The newest revision.
    pub revision: u64,
    /// Every bucket in the order of definition.
    pub buckets: Vec<BucketStatistics>,
    /// How many queries are stored.
    pub queries: usize,
    /// Transactions that are open now.
    pub open_transactions: usize,
    /// Transactions that wait for a locked record now.
    pub lock_waiters: usize,
    /// How long the transaction that holds the oldest snapshot has been open.
    pub oldest_transaction: Option<Duration>,
    /// Counters of the commit pipeline.
    pub commits: StatisticsSnapshot,
    /// How long transactions, commits and writes took, and how large the groups
    /// of commits were.
    pub timings: Timings,
    /// Indexes that are being built now.
    pub index_builds: usize,
    /// The engine's name; `None` when the store runs over another coordination.
    pub engine: Option<&'static str>,
    /// Roughly how many bytes the data takes.
    pub bytes: Option<u64>,
}

/// The size of one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketStatistics {
    /// Its name.
    pub name: String,
    /// How many records it holds.
    pub records: u64,
    /// How many indexes it has, those of unique fields included.
    pub indexes: usize,
}

impl StoreStatistics {
    pub(crate) fn read(store: &Store) -> Result<Self> {
        let coordination = store.coordination()?;
        let (buckets, index_builds, queries, revision) =
            Session::Autocommit(store).read(|records, tx| {
                let catalog = records.catalog(tx)?;
                let buckets = catalog
                    .buckets()
                    .into_iter()
                    .map(|bucket| {
                        Ok(BucketStatistics {
                            name: bucket.name.to_string(),
                            records: records.count_inner(tx, bucket)?,
                            indexes: bucket.indexes.iter().filter(|index| !index.internal).count(),
                        })
                    })
                    .collect::<Result<Vec<_>>>()?;
                let indexes = catalog.buckets().into_iter().flat_map(|bucket| &bucket.indexes);
                let index_builds = indexes.filter(|index| !index.is_ready()).count();
                let revision = tandem_transaction::Read::revision(&**tx.view());
                Ok((buckets, index_builds, catalog.queries().count(), revision))
            })?;
        let storage = store.inner().storage.as_ref();
        let oldest = coordination.registry().oldest_begun();
        let now = store.environment().clock.monotonic();
        Ok(Self {
            revision,
            buckets,
            queries,
            open_transactions: coordination.registry().len(),
            lock_waiters: coordination.locks().waiters(),
            oldest_transaction: oldest.map(|begun| now.saturating_sub(begun)),
            commits: coordination.statistics().snapshot(),
            timings: coordination.statistics().timings(),
            index_builds,
            engine: storage.map(|storage| storage.name()),
            bytes: storage.map(|storage| storage.approximate_size()).transpose()?,
        })
    }

    /// The figures for a person or a dashboard.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let per_bucket = |figure: fn(&BucketStatistics) -> Value| -> Map<String, Value> {
            self.buckets.iter().map(|bucket| (bucket.name.clone(), figure(bucket))).collect()
        };
        let commits = &self.commits;
        json!({
            "revision": self.revision,
            "records": per_bucket(|bucket| json!(bucket.records)),
            "indexes": per_bucket(|bucket| json!(bucket.indexes)),
            "queries": self.queries,
            "openTransactions": self.open_transactions,
            "lockWaiters": self.lock_waiters,
            "oldestTransactionMs": self.oldest_transaction.map(|age| age.as_millis()),
            "indexBuilds": self.index_builds,
            "engine": self.engine,
            "bytes": self.bytes,
            "begun": commits.begun,
            "commits": commits.commits,
            "groups": commits.groups,
            "writeConflicts": commits.write_conflicts,
            "readConflicts": commits.read_conflicts,
            "constraintConflicts": commits.constraint_conflicts,
            "tooOld": commits.too_old,
            "expired": commits.expired,
            "lockWaits": commits.lock_waits,
            "lockTimeouts": commits.lock_timeouts,
            "deadlocks": commits.deadlocks,
            "retries": commits.retries,
        })
    }
}
