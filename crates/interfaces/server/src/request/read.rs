use std::collections::VecDeque;

use serde_json::{Map, Value, json};
use tandem::{Find, QueryLimits, Record, Store};
use tandem_base::{Error, Result};

use super::{Fields, Scope, invalid, missing};
use crate::data::{Data, write_records, write_value};

/// What reads have in common: which records, in which order, how many, and
/// what of them.
struct Read {
    bucket: String,
    filter: Value,
    sort: Vec<String>,
    limit: usize,
    offset: usize,
    fields: Option<Vec<String>>,
}

impl Read {
    /// The common fields of a request; the filter may be absent.
    fn of(bucket: String, fields: &mut Fields) -> Result<Self> {
        let filter = fields.filter()?;
        Self::with(bucket, filter, fields)
    }

    /// As [`of`](Self::of), for requests that need a filter.
    fn filtered(bucket: String, fields: &mut Fields) -> Result<Self> {
        let filter = Value::Object(fields.object("filter")?);
        Self::with(bucket, filter, fields)
    }

    fn with(bucket: String, filter: Value, fields: &mut Fields) -> Result<Self> {
        let sort = fields.optional("sort");
        Ok(Self {
            bucket,
            filter,
            sort: sort.as_ref().map_or_else(|| Ok(Vec::new()), sort_order)?,
            limit: fields.optional_count("limit")?.unwrap_or(0),
            offset: fields.optional_count("offset")?.unwrap_or(0),
            fields: fields.optional_strings("fields")?,
        })
    }

    fn find<'a>(&'a self, scope: &'a Scope) -> Find<'a> {
        let mut find = scope.bucket(&self.bucket).find(self.filter.clone());
        for field in &self.sort {
            find = find.sort(field);
        }
        find = find.limit(self.limit).offset(self.offset);
        match &self.fields {
            Some(fields) => find.fields(fields),
            None => find,
        }
    }
}

/// A sort as field names, `-` before those that descend: from
/// `{"age": "desc"}`, `["-age", "name"]` or `"-age"`.
pub(crate) fn sort_order(sort: &Value) -> Result<Vec<String>> {
    match sort {
        Value::Null => Ok(Vec::new()),
        Value::String(field) => Ok(vec![field.clone()]),
        Value::Array(fields) => fields
            .iter()
            .map(|field| match field {
                Value::String(field) => Ok(field.clone()),
                _ => Err(invalid("sort", "object or array of field names")),
            })
            .collect(),
        Value::Object(fields) => {
            fields.iter().map(|(field, direction)| sort_part(field, direction)).collect()
        }
        _ => Err(invalid("sort", "object or array of field names")),
    }
}

fn sort_part(field: &str, direction: &Value) -> Result<String> {
    let is = |text: &str, number: f64| {
        direction.as_str() == Some(text) || direction.as_f64() == Some(number)
    };
    if is("asc", 1.0) {
        Ok(field.to_owned())
    } else if is("desc", -1.0) {
        Ok(format!("-{field}"))
    } else {
        Err(Error::validation(format!(
            "Invalid \"sort\": direction of \"{field}\" must be one of: asc, desc, 1, -1"
        )))
    }
}

/// `{bucket, key}` → the record or null.
pub(super) fn get(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let key = fields.key()?;
    Ok(Data::optional_record(scope.bucket(&bucket).get(key)?.as_ref()))
}

/// As [`get`], if the record is in memory.
pub(super) fn get_at_hand(store: &Store, fields: &Fields) -> Option<Result<Data>> {
    // What is wrong with a request is said by who carries it out.
    let bucket = fields.0.get("bucket")?.as_str().filter(|bucket| !bucket.is_empty())?;
    let key = fields.0.get("key").filter(|key| !key.is_null())?;
    let record = store.bucket(bucket).get_at_hand(key)?;
    Some(record.map(|record| Data::optional_record(record.as_ref())))
}

/// `{bucket, filter?, sort?, limit?, offset?, fields?}` → records.
pub(super) fn all(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    Ok(Data::records(&Read::of(bucket, &mut fields)?.find(scope).records()?))
}

/// `{bucket, filter, sort?, limit?, offset?, fields?}` → records.
pub(super) fn where_(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    Ok(Data::records(&Read::filtered(bucket, &mut fields)?.find(scope).records()?))
}

/// `{bucket, filter, sort?, offset?, fields?}` → the first record or null.
pub(super) fn find_one(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let record = Read::filtered(bucket, &mut fields)?.find(scope).first()?;
    Ok(Data::optional_record(record.as_ref()))
}

/// `{bucket, filter?}` → how many.
pub(super) fn count(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let filter = fields.filter()?;
    Ok(Data::value(scope.bucket(&bucket).count(filter)?))
}

/// `{bucket, n, filter?, sort?, fields?}` → the first n records.
pub(super) fn first(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let n = fields.positive("n")?;
    let read = Read { limit: n, ..Read::of(bucket, &mut fields)? };
    Ok(Data::records(&read.find(scope).records()?))
}

/// `{bucket, n, filter?, sort?, fields?}` → the last n records, the very last
/// one last.
pub(super) fn last(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let n = fields.positive("n")?;
    let read = Read { limit: 0, ..Read::of(bucket, &mut fields)? };
    if read.is_plain() {
        return Ok(Data::records(&scope.bucket(&read.bucket).last(n)?));
    }
    // One pass that holds no more than n records.
    let QueryLimits { result_rows, result_bytes, .. } = scope.store().limits().query;
    let mut newest: VecDeque<Record> = VecDeque::new();
    let mut bytes = 0;
    for record in read.find(scope).iter()? {
        let record = record?;
        if newest.len() == n
            && let Some(oldest) = newest.pop_front()
        {
            bytes -= oldest.stored_bytes();
        }
        bytes += record.stored_bytes();
        newest.push_back(record);
        if newest.len() > result_rows {
            return Err(Error::limit("resultRows", result_rows as u64, newest.len() as u64));
        }
        if bytes > result_bytes {
            return Err(Error::limit("resultBytes", result_bytes as u64, bytes as u64));
        }
    }
    Ok(Data::records(newest.make_contiguous()))
}

impl Read {
    /// Whether it asks for nothing but the bucket.
    fn is_plain(&self) -> bool {
        let no_filter = self.filter.as_object().is_none_or(Map::is_empty);
        no_filter && self.sort.is_empty() && self.offset == 0 && self.fields.is_none()
    }
}

/// `{bucket, limit, after?, filter?, sort?, fields?}` →
/// `{records, hasMore, nextCursor?}`.
pub(super) fn paginate(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let bucket = fields.string("bucket")?;
    let limit = fields.positive("limit")?;
    fields.0.shift_remove("limit");
    let after = fields.0.shift_remove("after");
    let read = Read { limit, ..Read::of(bucket, &mut fields)? };
    let mut find = read.find(scope);
    if let Some(after) = after {
        if after.is_null() {
            // No record has that key: an empty page, of a bucket that exists.
            find.limit(1).first()?;
            return Ok(Data::value(json!({ "records": [], "hasMore": false })));
        }
        find = find.after(after);
    }
    let page = find.page()?;
    let mut text = b"{\"records\":".to_vec();
    write_records(&mut text, &page.records);
    text.extend_from_slice(format!(",\"hasMore\":{}", page.has_more).as_bytes());
    if let Some(cursor) = page.next_cursor {
        text.extend_from_slice(b",\"nextCursor\":");
        write_value(&mut text, &cursor.into());
    }
    text.push(b'}');
    Ok(Data::raw(text))
}

/// `{request}` → how that read would be (and was) served.
pub(super) fn explain(scope: &Scope, mut fields: Fields) -> Result<Data> {
    let mut request = Fields(fields.object("request")?);
    let kind = request.string("type")?;
    let bucket = request.string("bucket")?;
    let read = match kind.as_str() {
        "store.aggregate" => {
            let pipeline =
                request.optional("pipeline").ok_or_else(|| missing("pipeline", "array"))?;
            return scope.bucket(&bucket).explain_aggregate(pipeline).map(Data::value);
        }
        // How the records are found that would be written; nothing is.
        "store.updateMany" | "store.deleteMany" => {
            Read::with(bucket, Value::Object(request.object("filter")?), &mut Fields(Map::new()))?
        }
        "store.where" => Read::filtered(bucket, &mut request)?,
        "store.findOne" => Read { limit: 1, ..Read::filtered(bucket, &mut request)? },
        "store.all" | "store.count" | "store.paginate" => Read::of(bucket, &mut request)?,
        "store.first" => {
            let limit = request.positive("n")?;
            Read { limit, ..Read::of(bucket, &mut request)? }
        }
        _ => {
            return Err(Error::validation(
                "Invalid \"request\": expected one of store.where, store.findOne, store.all, \
                 store.count, store.first, store.paginate, store.aggregate, store.updateMany, \
                 store.deleteMany",
            ));
        }
    };
    Ok(Data::value(read.find(scope).explain()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_is_read_in_all_its_forms() {
        let both = vec!["-age".to_owned(), "name".to_owned()];
        assert_eq!(sort_order(&json!({ "age": "desc", "name": "asc" })).unwrap(), both);
        assert_eq!(sort_order(&json!({ "age": -1, "name": 1 })).unwrap(), both);
        assert_eq!(sort_order(&json!(["-age", "name"])).unwrap(), both);
        assert_eq!(sort_order(&json!("-age")).unwrap(), both[..1]);
        assert!(sort_order(&json!({ "age": "down" })).is_err());
        assert!(sort_order(&json!(3)).is_err());
    }
}
