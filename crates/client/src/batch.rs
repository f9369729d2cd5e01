use std::sync::Arc;

use serde_json::{Map, Value};

use crate::bucket::{array, number};
use crate::client::{Client, unique_name};
use crate::error::{Outcome, Result};
use crate::transaction::{Durability, Isolation};

/// Operations that are one request and one transaction: all or none.
#[derive(Clone, Debug)]
pub struct Batch {
    operations: Vec<Value>,
    isolation: Option<Isolation>,
    durability: Option<Durability>,
    named: bool,
    idempotency_key: Option<String>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            operations: Vec::new(),
            isolation: None,
            durability: None,
            named: true,
            idempotency_key: None,
        }
    }
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

    /// With an operation, whose values are moved and not copied, as `json!` would.
    fn with<const N: usize>(mut self, op: &str, bucket: &str, more: [(&str, Value); N]) -> Self {
        let mut operation = Map::with_capacity(N + 3);
        operation.insert("op".to_owned(), op.into());
        operation.insert("bucket".to_owned(), bucket.into());
        operation.extend(more.map(|(name, value)| (name.to_owned(), value)));
        self.operations.push(Value::Object(operation));
        self
    }

    /// The last operation is about this version.
    fn expecting(mut self, version: Option<u64>) -> Self {
        if let (Some(version), Some(operation)) = (version, self.operations.last_mut()) {
            operation["expectedVersion"] = version.into();
        }
        self
    }

    /// Reads a record.
    #[must_use]
    pub fn get(self, bucket: &str, key: impl Into<Value>) -> Self {
        self.with("get", bucket, [("key", key.into())])
    }

    /// Stores a new record.
    #[must_use]
    pub fn insert(self, bucket: &str, data: Value) -> Self {
        self.with("insert", bucket, [("data", data)])
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
        self.with("update", bucket, [("key", key.into()), ("data", data)]).expecting(version)
    }

    /// Deletes a record, which must have `version` if that is given.
    #[must_use]
    pub fn delete(self, bucket: &str, key: impl Into<Value>, version: Option<u64>) -> Self {
        self.with("delete", bucket, [("key", key.into())]).expecting(version)
    }

    /// Reads the records that match.
    #[must_use]
    pub fn find(self, bucket: &str, filter: Value) -> Self {
        self.with("where", bucket, [("filter", filter)])
    }

    /// Reads the first record that matches.
    #[must_use]
    pub fn find_one(self, bucket: &str, filter: Value) -> Self {
        self.with("findOne", bucket, [("filter", filter)])
    }

    /// Counts the records that match.
    #[must_use]
    pub fn count(self, bucket: &str, filter: Value) -> Self {
        self.with("count", bucket, [("filter", filter)])
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

    /// Whether it is named, so that it can be sent again after a lost connection.
    /// Named unless told; that costs the server the answer, kept for 24 hours. What
    /// became of an unnamed one is then not known.
    #[must_use]
    pub fn named(mut self, named: bool) -> Self {
        self.named = named;
        self
    }

    /// Under this name, which the caller keeps, instead of one made up for the
    /// request: the same name within 24 hours answers the first result. It is
    /// [`named`](Self::named) whatever else is said.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }
}

impl Client {
    /// Runs a batch. The server runs it again on a conflict; the client sends
    /// it again, under the same name, when the connection is lost before the
    /// answer: it is carried out once. One that is not [`named`](Batch::named) is
    /// sent once.
    ///
    /// # Errors
    /// As each operation, its index before the message; `CONFLICT` when a
    /// version is stale or the server's attempts are used up.
    pub async fn batch(&self, batch: Batch) -> Result<BatchReceipt> {
        let key = batch.idempotency_key.or_else(|| batch.named.then(unique_name));
        let attempts = if key.is_some() { self.options().retry.attempts } else { 1 };
        let mut fields = Map::new();
        fields.insert("operations".to_owned(), batch.operations.into());
        if let Some(key) = key {
            fields.insert("idempotencyKey".to_owned(), key.into());
        }
        if let Some(isolation) = batch.isolation {
            fields.insert("isolation".to_owned(), isolation.as_str().into());
        }
        if let Some(durability) = batch.durability {
            fields.insert("durability".to_owned(), durability.as_str().into());
        }
        let fields = Arc::new(fields);
        let mut sent = 1;
        let mut answer = loop {
            match self.call("store.transaction", fields.clone(), None).await {
                Err(error) if error.outcome() == Outcome::Unknown && sent < attempts => {
                    sent += 1;
                }
                answer => break answer?.data,
            }
        };
        let results = array(answer["results"].take())?;
        Ok(BatchReceipt {
            results: results.into_iter().map(|mut result| result["data"].take()).collect(),
            revision: number(&answer["revision"])?,
        })
    }
}
