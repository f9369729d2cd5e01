//! Indexes of buckets in use.

use serde_json::{Value, json};
use tandem::{CheckOptions, IndexConfig};
use tandem_base::{Error, Result};

use super::admin::on;
use super::{Fields, Scope, missing};
use crate::data::Data;

/// `{bucket, index, background?}` → `{name, state}`.
pub(super) fn create(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let index = fields.optional("index").ok_or_else(|| missing("index", "string or object"))?;
    let index = IndexConfig::from_json(index)?;
    let background = fields.flag("background")?;
    let name = match scope {
        Scope::Store(store) if background => {
            let name = store.create_index_in_background(&bucket, index)?;
            return Ok(Data::value(json!({ "name": name, "state": "building" })));
        }
        Scope::Transaction(_) if background => {
            return Err(Error::validation(
                "\"background\" cannot be combined with \"transaction\"",
            ));
        }
        Scope::Store(store) => store.create_index(&bucket, index)?,
        Scope::Transaction(transaction) => transaction.create_index(&bucket, index)?,
    };
    Ok(Data::value(json!({ "name": name, "state": "ready" })))
}

/// `{bucket, name}` → `{name, dropped: true}`.
pub(super) fn drop(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let name = fields.string("name")?;
    on!(scope, drop_index(&bucket, &name))?;
    Ok(Data::value(json!({ "name": name, "dropped": true })))
}

/// `{bucket}` → the indexes with their state and size.
pub(super) fn list(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let indexes = on!(scope, indexes(&bucket))?;
    Ok(Data::value(indexes.iter().map(|index| index.to_json()).collect::<Value>()))
}

/// `{bucket?, repair?}` → what was compared and what was found.
pub(super) fn check(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let Scope::Store(store) = scope else {
        return Err(Error::validation("\"store.check\" takes no \"transaction\""));
    };
    let mut options = CheckOptions::new();
    if let Some(bucket) = fields.optional_string("bucket")? {
        options = options.bucket(bucket);
    }
    if fields.flag("repair")? {
        options = options.repair();
    }
    let report = store.check(&options)?;
    Ok(Data::value(report.to_json()))
}
