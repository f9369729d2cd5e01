//! Reads of many records: what, in which order, how many.

use std::sync::Arc;

use serde_json::Value;
use tandem_base::Result;
use tandem_query::{self as query, After, Query};

use crate::bucket::Bucket;
use crate::iterate::Rows;
use crate::key::Key;
use crate::record::Record;

/// A read of the records of a bucket that match a filter; from
/// [`Bucket::find`] and [`Bucket::all`].
///
/// Nothing is read until one of the last calls: [`records`](Self::records),
/// [`iter`](Self::iter), [`page`](Self::page), [`first`](Self::first),
/// [`count`](Self::count). Without a sort, records come in the order of their
/// insertion, or of their keys if the bucket is ordered so. Which index serves
/// the read is chosen by cost; [`explain`](Self::explain) tells.
///
/// ```
/// # fn main() -> tandem::Result<()> {
/// use serde_json::json;
/// # let store = tandem::Store::memory()?;
/// # store.define_bucket("users", tandem::BucketConfig::new("id").index("age"))?;
/// # store.bucket("users").insert_many([json!({"id": 1, "age": 30}), json!({"id": 2, "age": 40})])?;
/// let users = store.bucket("users");
/// let adults = || users.find(json!({ "age": { "$gte": 18 } })).sort("-age");
///
/// let oldest = adults().first()?;
/// # assert_eq!(oldest.and_then(|user| user.get("id")), Some(json!(2)));
/// let page = adults().limit(1).page()?;
/// if let Some(cursor) = page.next_cursor {
///     let next = adults().limit(1).after(&cursor).page()?;
/// #   assert!(!next.has_more);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Find<'a> {
    bucket: Bucket<'a>,
    filter: Option<Value>,
    sort: Vec<Value>,
    limit: usize,
    offset: usize,
    fields: Option<Arc<[String]>>,
    after: Option<Value>,
}

/// Some records, and where to go on.
#[derive(Clone, Debug)]
pub struct Page {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Whether more come after them.
    pub has_more: bool,
    /// Where to go on, for [`Find::after`]; `None` for an empty page. It stays
    /// right whatever is written meanwhile.
    pub next_cursor: Option<String>,
}

impl<'a> Find<'a> {
    pub(crate) fn new(bucket: Bucket<'a>, filter: Option<Value>) -> Self {
        let (sort, fields, after) = (Vec::new(), None, None);
        Self { bucket, filter, sort, limit: 0, offset: 0, fields, after }
    }

    /// Orders by a field or dotted path, larger values first if it begins with
    /// `-`. Called again, it orders records that are equal so far.
    pub fn sort(mut self, field: &str) -> Self {
        self.sort.push(Value::from(field));
        self
    }

    /// At most `n` records; 0 is no limit.
    pub fn limit(mut self, n: usize) -> Self {
        self.limit = n;
        self
    }

    /// Leaves out the first `n`.
    pub fn offset(mut self, n: usize) -> Self {
        self.offset = n;
        self
    }

    /// Shows exactly these fields of each record.
    pub fn fields<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        self.fields = Some(fields.into_iter().map(Into::into).collect());
        self
    }

    /// Goes on after the place that [`Page::next_cursor`] told, or after the
    /// record with that key.
    pub fn after(mut self, cursor: impl Into<Key>) -> Self {
        self.after = Some(cursor.into().into_value());
        self
    }

    pub(crate) fn query(&self) -> Result<Query> {
        let mut query = Query::new(self.bucket.name())
            .sort_json(&Value::Array(self.sort.clone()))?
            .limit(self.limit)
            .offset(self.offset);
        if let Some(filter) = self.filter.as_ref().filter(|filter| !is_empty(filter)) {
            query = query.filter_json(filter)?;
        }
        if let Some(after) = &self.after {
            query = query.after(After::Text(after.clone()));
        }
        query.limits = self.bucket.session().store().limits().query;
        Ok(query)
    }

    /// All of them at once. For many, [`iter`](Self::iter) needs less memory.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a malformed filter, sort or cursor;
    /// `LIMIT_EXCEEDED` for too many; `BUCKET_NOT_DEFINED`.
    pub fn records(&self) -> Result<Vec<Record>> {
        let query = self.query()?;
        let rows = self.bucket.session().read(|records, tx| query::rows(records, tx, &query))?;
        Ok(rows.into_iter().map(|row| self.show(row)).collect())
    }

    /// As [`records`](Self::records), with the place to go on at.
    ///
    /// # Errors
    /// As there.
    pub fn page(&self) -> Result<Page> {
        let query = self.query()?;
        let page = self.bucket.session().read(|records, tx| query::run(records, tx, &query))?;
        Ok(Page {
            records: page.rows.into_iter().map(|row| self.show(row)).collect(),
            has_more: page.has_more,
            next_cursor: page.next_cursor.map(|cursor| cursor.to_string()),
        })
    }

    /// One after the other, holding a bounded number in memory. On its own, all
    /// are of one revision, which is kept readable while the iterator lives; in
    /// a transaction they show the writes made before they were fetched, some
    /// at a time.
    ///
    /// # Errors
    /// As [`records`](Self::records), now and from the iterator.
    pub fn iter(&self) -> Result<Rows<'a>> {
        Rows::new(self.bucket.session(), self.query()?, self.fields.clone())
    }

    /// The first one.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub fn first(&self) -> Result<Option<Record>> {
        let query = self.query()?;
        let row = self.bucket.session().read(|records, tx| query::find_one(records, tx, &query))?;
        Ok(row.map(|row| self.show(row)))
    }

    /// How many match; sort, limit, offset and cursor do not count.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub fn count(&self) -> Result<u64> {
        let query = self.query()?;
        self.bucket
            .session()
            .read(|records, tx| query::count(records, tx, &query.bucket, query.filter.as_ref()))
    }

    /// Runs the read and tells how: the access chosen, its bounds, how many
    /// rows were examined and how many answered.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub fn explain(&self) -> Result<Value> {
        let query = self.query()?;
        self.bucket.session().read(|records, tx| query::explain(records, tx, &query))
    }

    fn show(&self, row: tandem_record::row::Row) -> Record {
        Record::showing(row, self.fields.as_ref())
    }
}

/// `{}` matches everything, as no filter does.
fn is_empty(filter: &Value) -> bool {
    filter.as_object().is_some_and(serde_json::Map::is_empty)
}
