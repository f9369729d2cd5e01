//! Definitions: buckets and stored queries, on their own or as part of an open
//! transaction.

use serde_json::{Value, json};
use tandem::BucketConfig;
use tandem_base::Result;

use super::{Fields, Scope};
use crate::data::Data;

/// Calls the same method on the store or on the open transaction.
macro_rules! on {
    ($scope:expr, $method:ident($($argument:expr),*)) => {
        match $scope {
            Scope::Store(store) => store.$method($($argument),*),
            Scope::Transaction(transaction) => transaction.$method($($argument),*),
        }
    };
}
pub(super) use on;

/// `{}` → `{count, names}` in the order of definition.
pub(super) fn buckets(scope: &Scope, _: Fields) -> Result<Data> {
    let names = on!(scope, bucket_names())?;
    Ok(Data::value(json!({ "count": names.len(), "names": names })))
}

/// `{name, config}` → `{name, created: true}`.
pub(super) fn define_bucket(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let name = fields.string("name")?;
    let config = BucketConfig::from_json(Value::Object(fields.object("config")?))?;
    on!(scope, define_bucket(&name, config))?;
    Ok(Data::value(json!({ "name": name, "created": true })))
}

/// `{name}` → `{name, dropped: true}`.
pub(super) fn drop_bucket(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let name = fields.string("name")?;
    on!(scope, drop_bucket(&name))?;
    Ok(Data::value(json!({ "name": name, "dropped": true })))
}

/// `{name, updates}` → `{name, updated: true}`.
pub(super) fn update_bucket(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let name = fields.string("name")?;
    let updates = Value::Object(fields.object("updates")?);
    on!(scope, update_bucket(&name, &updates))?;
    Ok(Data::value(json!({ "name": name, "updated": true })))
}

/// `{name}` → `{name, config}`, later changes merged in.
pub(super) fn bucket_schema(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let name = fields.string("name")?;
    let config = on!(scope, bucket_config(&name))?;
    Ok(Data::value(json!({ "name": name, "config": config })))
}

/// `{name, config}` → `{name, defined: true}`.
pub(super) fn define_query(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let name = fields.string("name")?;
    let config = Value::Object(fields.object("config")?);
    on!(scope, define_query(&name, &config))?;
    Ok(Data::value(json!({ "name": name, "defined": true })))
}

/// `{name}` → `{name, undefined: true}`.
pub(super) fn undefine_query(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let name = fields.string("name")?;
    on!(scope, undefine_query(&name))?;
    Ok(Data::value(json!({ "name": name, "undefined": true })))
}
