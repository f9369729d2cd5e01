use serde_json::{Map, Value, json};

use crate::bucket::{Bucket, array, number};
use crate::error::Result;

/// A read that is being described; see [`Bucket::find`].
#[derive(Clone, Debug)]
pub struct Find {
    bucket: Bucket,
    fields: Map<String, Value>,
}

/// One page of records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// In the order that was asked for.
    pub records: Vec<Value>,
    /// Whether there are more after them.
    pub has_more: bool,
    /// What [`Find::page`] takes to go on after them.
    pub next_cursor: Option<Value>,
}

impl Find {
    pub(crate) fn new(bucket: Bucket, filter: Value) -> Self {
        let mut fields = Map::new();
        fields.insert("filter".to_owned(), filter);
        Self { bucket, fields }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Orders by these fields, with `-` before one that descends.
    #[must_use]
    pub fn sort(self, fields: &[&str]) -> Self {
        self.with("sort", json!(fields))
    }

    /// At most so many; 0 is no limit.
    #[must_use]
    pub fn limit(self, limit: u64) -> Self {
        self.with("limit", limit)
    }

    /// Without the first so many.
    #[must_use]
    pub fn offset(self, offset: u64) -> Self {
        self.with("offset", offset)
    }

    /// Only these fields of each record.
    #[must_use]
    pub fn fields(self, fields: &[&str]) -> Self {
        self.with("fields", json!(fields))
    }

    async fn request(self, kind: &str) -> Result<Value> {
        self.bucket.request(kind, Value::Object(self.fields)).await
    }

    /// The records.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, `LIMIT_EXCEEDED`; the same for the others.
    pub async fn records(self) -> Result<Vec<Value>> {
        array(self.request("store.where").await?)
    }

    /// The first one.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub async fn one(self) -> Result<Option<Value>> {
        let record = self.request("store.findOne").await?;
        Ok(Some(record).filter(|record| !record.is_null()))
    }

    /// How many there are.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub async fn count(self) -> Result<u64> {
        number(&self.request("store.count").await?)
    }

    /// The first `n`.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub async fn first(self, n: u64) -> Result<Vec<Value>> {
        array(self.with("n", n).request("store.first").await?)
    }

    /// The last `n`, the very last one last.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub async fn last(self, n: u64) -> Result<Vec<Value>> {
        array(self.with("n", n).request("store.last").await?)
    }

    /// At most `size` records after a cursor, or from the start.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub async fn page(self, size: u64, after: Option<&Value>) -> Result<Page> {
        let mut find = self.with("limit", size);
        if let Some(after) = after {
            find = find.with("after", after.clone());
        }
        let mut page = find.request("store.paginate").await?;
        Ok(Page {
            records: array(page["records"].take())?,
            has_more: page["hasMore"].as_bool().unwrap_or(false),
            next_cursor: page.get_mut("nextCursor").map(Value::take),
        })
    }

    /// How the records would be read: access, index, bounds, rows examined.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub async fn explain(self) -> Result<Value> {
        let mut request = self.fields;
        request.insert("type".to_owned(), "store.where".into());
        request.insert("bucket".to_owned(), self.bucket.name().into());
        self.bucket.request("store.explain", json!({ "request": request })).await
    }
}
