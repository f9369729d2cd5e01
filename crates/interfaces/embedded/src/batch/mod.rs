//! Batches: a list of operations, all or nothing.
//!
//! A batch is a transaction whose operations are known beforehand, so that it
//! can be sent in one request, run again on a conflict without asking anybody,
//! and named by an idempotency key. Operations run in order and see the effects
//! of those before them; unique values are checked at the end, so two records
//! may swap theirs.

mod operation;
mod result;
mod unattended;

use bytes::Bytes;
use serde_json::Value;
use tandem_base::{Error, Result};
use tandem_query::{self as query, Query, QueryLimits};
use tandem_record::Records;
use tandem_record::row::Row;
use tandem_storage::Durability;
use tandem_transaction::{Receipt, Transaction as Engine};

pub use operation::Operation;
pub use result::{BatchResult, OperationResult};
pub use unattended::BatchEnding;
pub(crate) use unattended::begin;

use crate::Isolation;
use crate::bucket::object;
use crate::record::Record;
use crate::retry::RetryPolicy;
use crate::store::Store;
use crate::transaction::{CommitOptions, Transaction, TransactionOptions};

/// How a batch is run.
#[derive(Clone, Debug, Default)]
pub struct BatchOptions {
    pub(crate) isolation: Isolation,
    pub(crate) commit: CommitOptions,
}

impl BatchOptions {
    /// Serializable, with the store's durability.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which anomalies the batch may meet.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// A name for this batch: run again under the same name, within the
    /// retention window, it answers the first result and changes nothing.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.commit = self.commit.idempotency_key(key);
        self
    }

    /// Whether it has an idempotency key.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.commit.idempotency_key.is_some()
    }

    /// What must be true before the batch is answered.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.commit = self.commit.durability(durability);
        self
    }
}

/// Runs a batch, again after conflicts.
pub(crate) fn run(
    store: &Store,
    operations: &[Operation],
    options: &BatchOptions,
) -> Result<BatchResult> {
    check_length(store, operations)?;
    if let Some(first) = first_result(store, options)? {
        return Ok(first);
    }
    run_as(store, operations, options, store.limits().retry)
}

/// As [`run`], after one attempt that met a conflict.
pub(crate) fn run_again(
    store: &Store,
    operations: &[Operation],
    options: &BatchOptions,
) -> Result<BatchResult> {
    let rest = store.limits().retry.after_one(store.environment());
    run_as(store, operations, options, rest)
}

fn run_as(
    store: &Store,
    operations: &[Operation],
    options: &BatchOptions,
    retry: RetryPolicy,
) -> Result<BatchResult> {
    let outcome = retry.run(
        store.environment(),
        || store.count_retry(),
        || attempt(store, operations, options),
    );
    // The first may have committed between the look above and the begin: then
    // what failed is its repetition, on the state that the first has left.
    match outcome {
        Err(error) => first_result(store, options)?.ok_or(error),
        done => done,
    }
}

fn check_length(store: &Store, operations: &[Operation]) -> Result<()> {
    if operations.is_empty() {
        return Err(Error::validation("\"operations\" must contain at least one operation"));
    }
    let (max, actual) = (store.limits().batch_operations, operations.len());
    if actual > max {
        return Err(Error::limit("batchOperations", max as u64, actual as u64));
    }
    Ok(())
}

/// What the batch has answered before under its idempotency key.
pub(crate) fn first_result(store: &Store, options: &BatchOptions) -> Result<Option<BatchResult>> {
    let Some(key) = &options.commit.idempotency_key else { return Ok(None) };
    let first = store.coordination()?.replay(key)?;
    first
        .map(|first| result::decode(first.replayed.unwrap_or_default(), first.revision))
        .transpose()
}

fn attempt(store: &Store, operations: &[Operation], options: &BatchOptions) -> Result<BatchResult> {
    let (transaction, results) = up_to_commit(store, operations, options)?;
    let payload = payload(&options.commit, &results);
    answer(transaction.commit_keeping(options.commit.clone(), payload)?, results)
}

/// What is kept for a repetition.
fn payload(options: &CommitOptions, results: &[OperationResult]) -> Bytes {
    match options.idempotency_key {
        Some(_) => result::encode(results),
        None => Bytes::new(),
    }
}

fn answer(receipt: Receipt, results: Vec<OperationResult>) -> Result<BatchResult> {
    match receipt.replayed {
        Some(payload) => result::decode(payload, receipt.revision),
        None => Ok(BatchResult { results, revision: receipt.revision, replayed: false }),
    }
}

fn up_to_commit(
    store: &Store,
    operations: &[Operation],
    options: &BatchOptions,
) -> Result<(Transaction, Vec<OperationResult>)> {
    let begin = TransactionOptions::new().isolation(options.isolation);
    let transaction = Transaction::begin(store, &begin)?;
    let results = transaction
        .with(|records, tx| run_operations(records, tx, operations, store.limits().query))?;
    Ok((transaction, results))
}

fn run_operations(
    records: &Records,
    tx: &mut Engine,
    operations: &[Operation],
    limits: QueryLimits,
) -> Result<Vec<OperationResult>> {
    tx.defer_constraints();
    let mut bytes = 0;
    let mut run = |operation| {
        let result = run_one(records, tx, operation, limits)?;
        bytes += result.stored_bytes();
        if bytes > limits.result_bytes {
            return Err(Error::limit("resultBytes", limits.result_bytes as u64, bytes as u64));
        }
        Ok(result)
    };
    let results = operations
        .iter()
        .enumerate()
        .map(|(at, operation)| {
            run(operation).map_err(|error| error.prefixed(&format!("operations[{at}]: ")))
        })
        .collect::<Result<_>>()?;
    records.check_deferred(tx)?;
    Ok(results)
}

fn run_one(
    records: &Records,
    tx: &mut Engine,
    operation: &Operation,
    limits: QueryLimits,
) -> Result<OperationResult> {
    let record = |row: Row| OperationResult::Record(Some(Record::new(row)));
    let bucket = operation.bucket();
    Ok(match operation {
        Operation::Get { key, .. } => {
            OperationResult::Record(records.get(tx, bucket, key.as_value())?.map(Record::new))
        }
        Operation::Insert { data, .. } => {
            record(records.insert(tx, bucket, object(data.clone())?)?)
        }
        Operation::Update { key, data, expected_version, .. } => record(records.update(
            tx,
            bucket,
            key.as_value(),
            &object(data.clone())?,
            *expected_version,
        )?),
        Operation::Replace { key, data, expected_version, .. } => record(records.replace(
            tx,
            bucket,
            key.as_value(),
            object(data.clone())?,
            *expected_version,
        )?),
        Operation::Upsert { data, expected_version, .. } => {
            record(records.upsert(tx, bucket, object(data.clone())?, *expected_version)?)
        }
        Operation::Delete { key, expected_version, .. } => OperationResult::Deleted(
            records.delete(tx, bucket, key.as_value(), *expected_version)?,
        ),
        Operation::Where { filter, .. } => {
            let rows = query::rows(records, tx, &query_of(bucket, Some(filter), limits)?)?;
            OperationResult::Records(rows.into_iter().map(Record::new).collect())
        }
        Operation::FindOne { filter, .. } => {
            let query = query_of(bucket, Some(filter), limits)?;
            OperationResult::Record(query::find_one(records, tx, &query)?.map(Record::new))
        }
        Operation::Count { filter, .. } => {
            let query = query_of(bucket, filter.as_ref(), limits)?;
            OperationResult::Count(query::count(records, tx, bucket, query.filter.as_ref())?)
        }
    })
}

fn query_of(bucket: &str, filter: Option<&Value>, limits: QueryLimits) -> Result<Query> {
    let query = Query { limits, ..Query::new(bucket) };
    match filter {
        None => Ok(query),
        Some(filter) => query.filter_json(filter),
    }
}
