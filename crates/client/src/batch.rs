use serde_json::{Value, json};

use crate::bucket::{array, number};
use crate::client::{Client, Door, unique_name};
use crate::error::{Outcome, Result};
use crate::transaction::{Durability, Isolation};

/// Operations that are one request and one transaction: all or none.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    operations: Vec<Value>,
    isolation: Option<Isolation>,
    durability: Option<Durability>,
    idempotency_key: Option<String>,
}

/// What a batch answered.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchReceipt {
    /// The `data` of each operation, in their order.
    pub results: Vec<Value>,
    /// The commit's number.
    pub revision: u64,
}

impl Batch {
    /// Without an operation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, operation: Value) -> Self {
        self.operations.push(operation);
        self
    }

    /// Reads a record.
    #[must_use]
    pub fn get(self, bucket: &str, key: impl Into<Value>) -> Self {
        self.with(json!({ "op": "get", "bucket": bucket, "key": key.into() }))
    }

    /// Stores a new record.
    #[must_use]
    pub fn insert(self, bucket: &str, data: Value) -> Self {
        self.with(json!({ "op": "insert", "bucket": bucket, "data": data }))
    }

    /// Merges into a record, which must have `version` if that is given.
    #[must_use]
    pub fn update(
        self,
        bucket: &str,
        key: impl Into<Value>,
        data: Value,
        version: Option<u64>,
    ) -> Self {
        let operation =
            json!({ "op": "update", "bucket": bucket, "key": key.into(), "data": data });
        self.with(expecting(operation, version))
    }

    /// Deletes a record, which must have `version` if that is given.
    #[must_use]
    pub fn delete(self, bucket: &str, key: impl Into<Value>, version: Option<u64>) -> Self {
        let operation = json!({ "op": "delete", "bucket": bucket, "key": key.into() });
        self.with(expecting(operation, version))
    }

    /// Reads the records that match.
    #[must_use]
    pub fn find(self, bucket: &str, filter: Value) -> Self {
        self.with(json!({ "op": "where", "bucket": bucket, "filter": filter }))
    }

    /// Reads the first record that matches.
    #[must_use]
    pub fn find_one(self, bucket: &str, filter: Value) -> Self {
        self.with(json!({ "op": "findOne", "bucket": bucket, "filter": filter }))
    }

    /// Counts the records that match.
    #[must_use]
    pub fn count(self, bucket: &str, filter: Value) -> Self {
        self.with(json!({ "op": "count", "bucket": bucket, "filter": filter }))
    }

    /// At this level instead of serializable.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Answered when it is this durable, instead of what the config says.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Under this name, which the caller keeps, instead of one made up for the
    /// request: the same name within 24 hours answers the first result.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }
}

fn expecting(mut operation: Value, version: Option<u64>) -> Value {
    if let Some(version) = version {
        operation["expectedVersion"] = version.into();
    }
    operation
}

impl Client {
    /// Runs a batch. The server runs it again on a conflict; the client sends
    /// it again, under the same name, when the connection is lost before the
    /// answer: it is carried out once.
    ///
    /// # Errors
    /// As each operation, its index before the message; `CONFLICT` when a
    /// version is stale or the server's attempts are used up.
    pub async fn batch(&self, batch: Batch) -> Result<BatchReceipt> {
        let key = batch.idempotency_key.unwrap_or_else(unique_name);
        let mut fields = json!({ "operations": batch.operations, "idempotencyKey": key });
        if let Some(isolation) = batch.isolation {
            fields["isolation"] = isolation.as_str().into();
        }
        if let Some(durability) = batch.durability {
            fields["durability"] = durability.as_str().into();
        }
        let door = Door::of(self.clone());
        let mut sent = 1;
        let mut answer = loop {
            match door.request("store.transaction", fields.clone()).await {
                Err(error)
                    if error.outcome() == Outcome::Unknown
                        && sent < self.options().retry.attempts =>
                {
                    sent += 1;
                }
                answer => break answer?,
            }
        };
        let results = array(answer["results"].take())?;
        Ok(BatchReceipt {
            results: results.into_iter().map(|mut result| result["data"].take()).collect(),
            revision: number(&answer["revision"])?,
        })
    }
}
