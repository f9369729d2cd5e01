use serde_json::{Value, json};
use tandem_base::Result;

use super::{Fields, Scope};
use crate::data::Data;

/// `{bucket, data}` → the record as stored.
pub(super) fn insert(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let data = fields.object("data")?;
    Ok(Data::record(&scope.bucket(&bucket).insert(data)?))
}

/// `{bucket, data[]}` → the records; all or none.
pub(super) fn insert_many(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let data = fields.objects("data")?;
    Ok(Data::records(&scope.bucket(&bucket).insert_many(data)?))
}

/// `{bucket, key, data, expectedVersion?}` → the record.
pub(super) fn update(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let key = fields.key()?;
    let data = fields.object("data")?;
    let bucket = scope.bucket(&bucket);
    let record = match fields.expected_version()? {
        Some(version) => bucket.update_if(key, data, version)?,
        None => bucket.update(key, data)?,
    };
    Ok(Data::record(&record))
}

/// `{bucket, filter, data}` → how many.
pub(super) fn update_many(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let filter = fields.object("filter")?;
    let data = fields.object("data")?;
    Ok(Data::value(scope.bucket(&bucket).update_many(filter, data)?))
}

/// `{bucket, key, data, expectedVersion?}` → the record.
pub(super) fn replace(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let key = fields.key()?;
    let data = fields.object("data")?;
    let bucket = scope.bucket(&bucket);
    let record = match fields.expected_version()? {
        Some(version) => bucket.replace_if(key, data, version)?,
        None => bucket.replace(key, data)?,
    };
    Ok(Data::record(&record))
}

/// `{bucket, data, expectedVersion?}` → the record.
pub(super) fn upsert(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let data = fields.object("data")?;
    let bucket = scope.bucket(&bucket);
    let record = match fields.expected_version()? {
        Some(version) => bucket.upsert_if(data, version)?,
        None => bucket.upsert(data)?,
    };
    Ok(Data::record(&record))
}

/// `{bucket, key, expectedVersion?}` → `{deleted: true}`, also when there was
/// nothing.
pub(super) fn delete(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let key = fields.key()?;
    let bucket = scope.bucket(&bucket);
    match fields.expected_version()? {
        Some(version) => bucket.delete_if(key, version)?,
        None => bucket.delete(key)?,
    };
    Ok(Data::value(json!({ "deleted": true })))
}

/// `{bucket, filter}` → how many.
pub(super) fn delete_many(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let filter = fields.object("filter")?;
    Ok(Data::value(scope.bucket(&bucket).delete_many(Value::Object(filter))?))
}

/// `{bucket}` → `{cleared: true}`.
pub(super) fn clear(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    scope.bucket(&bucket).clear()?;
    Ok(Data::value(json!({ "cleared": true })))
}
