//! Buckets, indexes and queries, and what a server says about itself. Configs
//! are JSON, as `docs/protocol.md` has them.

use serde_json::{Value, json};

use crate::bucket::{Bucket, array};
use crate::client::Client;
use crate::error::Result;

impl Client {
    /// Defines a bucket: `{key, schema, indexes?, ttl?, maxSize?}`.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`, `VALIDATION_ERROR`.
    pub async fn define_bucket(&self, name: &str, config: Value) -> Result<()> {
        let fields = json!({ "name": name, "config": config });
        self.request("store.defineBucket", fields).await.map(drop)
    }

    /// Adds to a bucket: `{addFields?, addIndexes?, ttl?}`.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`, `ALREADY_EXISTS`, `VALIDATION_ERROR`.
    pub async fn update_bucket(&self, name: &str, updates: Value) -> Result<()> {
        let fields = json!({ "name": name, "updates": updates });
        self.request("store.updateBucket", fields).await.map(drop)
    }

    /// Drops a bucket with its records.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`, `REFERENCE_VIOLATION`.
    pub async fn drop_bucket(&self, name: &str) -> Result<()> {
        self.request("store.dropBucket", json!({ "name": name })).await.map(drop)
    }

    /// The names of the buckets, in the order of their definition.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn bucket_names(&self) -> Result<Vec<String>> {
        let mut buckets = self.request("store.buckets", json!({})).await?;
        let names = array(buckets["names"].take())?;
        Ok(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }

    /// Defines a query: `{bucket, filter?, sort?, limit?, aggregate?, …}`.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`, `BUCKET_NOT_DEFINED`, `VALIDATION_ERROR`.
    pub async fn define_query(&self, name: &str, config: Value) -> Result<()> {
        let fields = json!({ "name": name, "config": config });
        self.request("store.defineQuery", fields).await.map(drop)
    }

    /// Removes a query.
    ///
    /// # Errors
    /// `QUERY_NOT_DEFINED`.
    pub async fn undefine_query(&self, name: &str) -> Result<()> {
        self.request("store.undefineQuery", json!({ "name": name })).await.map(drop)
    }

    /// Compares every index with its rows, of one bucket or of all.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`, `STORAGE_ERROR`.
    pub async fn check(&self, bucket: Option<&str>, repair: bool) -> Result<Value> {
        self.request("store.check", json!({ "bucket": bucket, "repair": repair })).await
    }

    /// What `server.stats` says.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn server_stats(&self) -> Result<Value> {
        self.request("server.stats", json!({})).await
    }
}

impl Bucket {
    /// Its definition, with what was added later.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub async fn config(&self) -> Result<Value> {
        let mut answer = self.by_name("store.getBucketSchema").await?;
        Ok(answer["config"].take())
    }

    async fn by_name(&self, kind: &str) -> Result<Value> {
        self.request(kind, json!({ "name": self.name() })).await
    }

    /// Builds an index, and answers its name when it is ready.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`: the name, or two records with the same unique value;
    /// `VALIDATION_ERROR`.
    pub async fn create_index(&self, index: Value) -> Result<String> {
        let answer = self.request("store.createIndex", json!({ "index": index })).await?;
        Ok(answer["name"].as_str().unwrap_or_default().to_owned())
    }

    /// Drops an index.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub async fn drop_index(&self, name: &str) -> Result<()> {
        self.request("store.dropIndex", json!({ "name": name })).await.map(drop)
    }

    /// Its indexes, with their state.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub async fn indexes(&self) -> Result<Vec<Value>> {
        array(self.request("store.indexes", json!({})).await?)
    }
}
