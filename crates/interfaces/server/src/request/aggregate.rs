use serde_json::Value;
use tandem_base::Result;

use super::{Fields, Scope, missing};
use crate::data::Data;

/// The fields of `sum`, `avg`, `min` and `max`.
fn read(fields: &mut Fields) -> Result<(String, String, Value)> {
    Ok((fields.string("bucket")?, fields.string("field")?, fields.filter()?))
}

/// `{bucket, field, filter?}` → the sum of the numbers, 0 without any.
pub(super) fn sum(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let (bucket, field, filter) = read(&mut fields)?;
    scope.bucket(&bucket).sum(&field, filter).map(Data::value)
}

/// `{bucket, field, filter?}` → the mean of the numbers, 0 without any.
pub(super) fn avg(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let (bucket, field, filter) = read(&mut fields)?;
    scope.bucket(&bucket).avg(&field, filter).map(Data::value)
}

/// `{bucket, field, filter?}` → the smallest number or null.
pub(super) fn min(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let (bucket, field, filter) = read(&mut fields)?;
    scope.bucket(&bucket).min(&field, filter).map(Data::value)
}

/// `{bucket, field, filter?}` → the largest number or null.
pub(super) fn max(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let (bucket, field, filter) = read(&mut fields)?;
    scope.bucket(&bucket).max(&field, filter).map(Data::value)
}

/// `{bucket, field, aggregate, filter?}` → `[{key, value}]`.
pub(super) fn group_by(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let field =
        fields.optional("field").ok_or_else(|| missing("field", "string or array of strings"))?;
    let aggregate = fields.object("aggregate")?;
    let filter = fields.filter()?;
    let groups = scope.bucket(&bucket).group_by(field, Value::Object(aggregate), filter)?;
    Ok(Data::value(groups))
}

/// `{bucket, pipeline}` → the documents that it makes.
pub(super) fn pipeline(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let pipeline = fields.optional("pipeline").ok_or_else(|| missing("pipeline", "array"))?;
    scope.bucket(&bucket).aggregate(pipeline).map(Data::value)
}
