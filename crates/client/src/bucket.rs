use serde_json::{Value, json};

use crate::client::Door;
use crate::error::{Error, Result};
use crate::find::Find;

/// The requests of one bucket, in a transaction or each one of its own. Records
/// are JSON objects, as the server stores them: with `_version`, `_createdAt`
/// and `_updatedAt`.
///
/// Each request answers what the server answers: the codes are listed in
/// `docs/protocol.md` beside its type; besides, any may fail with
/// [`CONNECTION_LOST`](crate::CONNECTION_LOST) or `CLOSED`.
#[derive(Clone, Debug)]
pub struct Bucket {
    door: Door,
    name: String,
}

impl Bucket {
    pub(crate) fn new(door: Door, name: String) -> Self {
        Self { door, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn request(&self, kind: &str, mut fields: Value) -> Result<Value> {
        fields["bucket"] = self.name.as_str().into();
        self.door.request(kind, fields).await
    }

    /// The record, if there is one.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub async fn get(&self, key: impl Into<Value>) -> Result<Option<Value>> {
        let record = self.request("store.get", json!({ "key": key.into() })).await?;
        Ok(Some(record).filter(|record| !record.is_null()))
    }

    /// Stores a new record; answers it as stored.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`, `VALIDATION_ERROR`, `REFERENCE_VIOLATION`.
    pub async fn insert(&self, data: Value) -> Result<Value> {
        self.request("store.insert", json!({ "data": data })).await
    }

    /// Stores new records, all or none.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn insert_many(&self, data: Vec<Value>) -> Result<Vec<Value>> {
        array(self.request("store.insertMany", json!({ "data": data })).await?)
    }

    /// Merges `data` into the record.
    ///
    /// # Errors
    /// `NOT_FOUND`, `ALREADY_EXISTS`, `VALIDATION_ERROR`, `CONFLICT`.
    pub async fn update(&self, key: impl Into<Value>, data: Value) -> Result<Value> {
        self.request("store.update", json!({ "key": key.into(), "data": data })).await
    }

    /// As [`update`](Self::update), if the record has this version.
    ///
    /// # Errors
    /// As there; a stale version is `CONFLICT`, not retryable.
    pub async fn update_if(
        &self,
        key: impl Into<Value>,
        data: Value,
        version: u64,
    ) -> Result<Value> {
        let fields = json!({ "key": key.into(), "data": data, "expectedVersion": version });
        self.request("store.update", fields).await
    }

    /// Merges `data` into every record that matches; answers how many.
    ///
    /// # Errors
    /// As [`update`](Self::update); nothing is changed then.
    pub async fn update_many(&self, filter: Value, data: Value) -> Result<u64> {
        number(&self.request("store.updateMany", json!({ "filter": filter, "data": data })).await?)
    }

    /// Replaces all fields but the key and generated ones.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn replace(&self, key: impl Into<Value>, data: Value) -> Result<Value> {
        self.request("store.replace", json!({ "key": key.into(), "data": data })).await
    }

    /// As [`replace`](Self::replace), if the record has this version.
    ///
    /// # Errors
    /// As [`update_if`](Self::update_if).
    pub async fn replace_if(
        &self,
        key: impl Into<Value>,
        data: Value,
        version: u64,
    ) -> Result<Value> {
        let fields = json!({ "key": key.into(), "data": data, "expectedVersion": version });
        self.request("store.replace", fields).await
    }

    /// Merges into the record with this key, or stores a new one.
    ///
    /// # Errors
    /// As [`insert`](Self::insert) and [`update`](Self::update).
    pub async fn upsert(&self, data: Value) -> Result<Value> {
        self.request("store.upsert", json!({ "data": data })).await
    }

    /// As [`upsert`](Self::upsert), if the record has this version.
    ///
    /// # Errors
    /// As [`update_if`](Self::update_if).
    pub async fn upsert_if(&self, data: Value, version: u64) -> Result<Value> {
        self.request("store.upsert", json!({ "data": data, "expectedVersion": version })).await
    }

    /// Deletes the record, if there is one.
    ///
    /// # Errors
    /// `REFERENCE_VIOLATION`, `CONFLICT`.
    pub async fn delete(&self, key: impl Into<Value>) -> Result<()> {
        self.request("store.delete", json!({ "key": key.into() })).await.map(drop)
    }

    /// As [`delete`](Self::delete), if the record has this version.
    ///
    /// # Errors
    /// As [`update_if`](Self::update_if).
    pub async fn delete_if(&self, key: impl Into<Value>, version: u64) -> Result<()> {
        let fields = json!({ "key": key.into(), "expectedVersion": version });
        self.request("store.delete", fields).await.map(drop)
    }

    /// Deletes every record that matches; answers how many.
    ///
    /// # Errors
    /// As [`delete`](Self::delete); nothing is deleted then.
    pub async fn delete_many(&self, filter: Value) -> Result<u64> {
        number(&self.request("store.deleteMany", json!({ "filter": filter })).await?)
    }

    /// Deletes every record.
    ///
    /// # Errors
    /// `REFERENCE_VIOLATION`.
    pub async fn clear(&self) -> Result<()> {
        self.request("store.clear", json!({})).await.map(drop)
    }

    /// The records that match: how they are ordered, how many, which fields.
    #[must_use]
    pub fn find(&self, filter: Value) -> Find {
        Find::new(self.clone(), filter)
    }

    /// The sum of a field over the records that match; 0 without any.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a wrong filter; the same for the next three.
    pub async fn sum(&self, field: &str, filter: Value) -> Result<Value> {
        self.aggregated("store.sum", field, filter).await
    }

    /// The average; 0 without any.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub async fn avg(&self, field: &str, filter: Value) -> Result<Value> {
        self.aggregated("store.avg", field, filter).await
    }

    /// The least number; null without any.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub async fn min(&self, field: &str, filter: Value) -> Result<Value> {
        self.aggregated("store.min", field, filter).await
    }

    /// The greatest number; null without any.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub async fn max(&self, field: &str, filter: Value) -> Result<Value> {
        self.aggregated("store.max", field, filter).await
    }

    async fn aggregated(&self, kind: &str, field: &str, filter: Value) -> Result<Value> {
        self.request(kind, json!({ "field": field, "filter": filter })).await
    }

    /// One `{key, value}` per group. `aggregate` is `{function, field?}`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, `LIMIT_EXCEEDED`.
    pub async fn group_by(
        &self,
        fields: &[&str],
        aggregate: Value,
        filter: Value,
    ) -> Result<Vec<Value>> {
        let fields = json!({ "field": fields, "aggregate": aggregate, "filter": filter });
        array(self.request("store.groupBy", fields).await?)
    }

    /// The result of a pipeline, as the server's version knows it.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, `LIMIT_EXCEEDED`; `UNKNOWN_OPERATION` from a server
    /// without pipelines.
    pub async fn aggregate(&self, pipeline: Value) -> Result<Value> {
        self.request("store.aggregate", json!({ "pipeline": pipeline })).await
    }
}

pub(crate) fn array(data: Value) -> Result<Vec<Value>> {
    match data {
        Value::Array(items) => Ok(items),
        _ => Err(Error::invalid_answer("An array was expected")),
    }
}

pub(crate) fn number(data: &Value) -> Result<u64> {
    data.as_u64().ok_or_else(|| Error::invalid_answer("A whole number was expected"))
}
