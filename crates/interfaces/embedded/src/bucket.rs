//! One handle type for a bucket, on its own or inside a transaction.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tandem_base::{Code, Error, Result};
use tandem_query as query;

use crate::find::Find;
use crate::key::Key;
use crate::record::Record;
use crate::session::Session;

/// A bucket as a store or a transaction sees it. Cheap to make and to copy;
/// nothing is looked up until it is used.
///
/// From [`Store::bucket`](crate::Store::bucket), each call is its own
/// serializable transaction: a write is durable when it returns, and is run
/// again when it conflicts with another. From
/// [`Transaction::bucket`](crate::Transaction::bucket), each call is a
/// statement of that transaction.
///
/// Calls that do not find the bucket answer `BUCKET_NOT_DEFINED`; all can
/// answer the errors of a transaction that is over, and `STORAGE_ERROR`.
///
/// ```
/// # fn main() -> tandem::Result<()> {
/// use serde_json::json;
/// use tandem::{BucketConfig, Field, Store};
///
/// let store = Store::memory()?;
/// store.define_bucket("books", BucketConfig::new("isbn").index("year"))?;
/// let books = store.bucket("books");
/// books.insert(json!({ "isbn": "978-0", "title": "Ninety-Three", "year": 1874 }))?;
/// books.update("978-0", json!({ "title": "Quatrevingt-treize" }))?;
///
/// for book in books.find(json!({ "year": { "$lt": 1900 } })).sort("-year").iter()? {
///     println!("{}", book?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bucket<'a> {
    session: Session<'a>,
    name: Cow<'a, str>,
}

impl<'a> Bucket<'a> {
    pub(crate) fn new(session: Session<'a>, name: Cow<'a, str>) -> Self {
        Self { session, name }
    }

    pub(crate) fn session(&self) -> Session<'a> {
        self.session
    }

    /// The bucket's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    // ---------------------------------------------------------------- writes

    /// Inserts a record: generated fields and defaults are filled in, the whole
    /// is checked against the schema. Returns it as stored.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the list of issues; `ALREADY_EXISTS` for the key
    /// or a unique value; `REFERENCE_VIOLATION`.
    pub fn insert(&self, data: impl Into<Value>) -> Result<Record> {
        let data = object(data.into())?;
        let row =
            self.session.write(data, |records, tx, data| records.insert(tx, &self.name, data))?;
        Ok(Record::new(row))
    }

    /// Inserts all records or none.
    ///
    /// # Errors
    /// As [`insert`](Self::insert), the message preceded by `data[i]: `.
    pub fn insert_many<V: Into<Value>>(
        &self,
        data: impl IntoIterator<Item = V>,
    ) -> Result<Vec<Record>> {
        let data = data
            .into_iter()
            .enumerate()
            .map(|(at, item)| {
                object(item.into()).map_err(|error| error.prefixed(&format!("data[{at}]: ")))
            })
            .collect::<Result<Vec<_>>>()?;
        let rows = self
            .session
            .write(data, |records, tx, data| records.insert_many(tx, &self.name, data))?;
        Ok(rows.into_iter().map(Record::new).collect())
    }

    /// Merges `changes` into the record: listed fields are replaced, the others
    /// stay. Key, metadata and generated fields in `changes` are ignored.
    ///
    /// Changes whose names begin with `$` are an update expression with
    /// MongoDB's meaning: `$set $unset $inc $mul $min $max $rename $push
    /// $addToSet $pull $pullAll $pop $currentDate`, with dotted paths, `$[]`,
    /// and in [`update_many`](Self::update_many) the positional `$`.
    ///
    /// ```
    /// # fn main() -> tandem::Result<()> {
    /// use serde_json::json;
    /// # let store = tandem::Store::memory()?;
    /// # store.define_bucket("articles", tandem::BucketConfig::new("id"))?;
    /// let articles = store.bucket("articles");
    /// articles.insert(json!({ "id": 1, "stock": 5, "tags": ["new"] }))?;
    /// let sale = json!({ "$inc": { "stock": -1 }, "$addToSet": { "tags": "sold" } });
    /// let article = articles.update(1, sale)?;
    /// assert_eq!(article.get("stock"), Some(json!(4)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NOT_FOUND`; `VALIDATION_ERROR` for an expression that is malformed, or
    /// impossible on this record; otherwise as [`insert`](Self::insert).
    pub fn update(&self, key: impl Into<Key>, changes: impl Into<Value>) -> Result<Record> {
        self.update_expecting(key.into(), changes.into(), None)
    }

    /// As [`update`](Self::update), if the committed record still has that
    /// version when the transaction commits; enforced at every isolation level.
    ///
    /// # Errors
    /// `CONFLICT` with `expectedVersion` and `actualVersion` in its details;
    /// otherwise as [`update`](Self::update).
    pub fn update_if(
        &self,
        key: impl Into<Key>,
        changes: impl Into<Value>,
        expected_version: u64,
    ) -> Result<Record> {
        self.update_expecting(key.into(), changes.into(), Some(expected_version))
    }

    fn update_expecting(
        &self,
        key: Key,
        changes: Value,
        expected_version: Option<u64>,
    ) -> Result<Record> {
        let (key, changes) = (key.into_value(), object(changes)?);
        let row = self.session.write((), |records, tx, ()| {
            records.update(tx, &self.name, &key, &changes, expected_version)
        })?;
        Ok(Record::new(row))
    }

    /// Replaces all fields of the record but its key and metadata.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn replace(&self, key: impl Into<Key>, data: impl Into<Value>) -> Result<Record> {
        self.replace_expecting(key.into(), data.into(), None)
    }

    /// As [`replace`](Self::replace), if the record still has that version.
    ///
    /// # Errors
    /// As [`update_if`](Self::update_if).
    pub fn replace_if(
        &self,
        key: impl Into<Key>,
        data: impl Into<Value>,
        expected_version: u64,
    ) -> Result<Record> {
        self.replace_expecting(key.into(), data.into(), Some(expected_version))
    }

    fn replace_expecting(
        &self,
        key: Key,
        data: Value,
        expected_version: Option<u64>,
    ) -> Result<Record> {
        let (key, data) = (key.into_value(), object(data)?);
        let row = self.session.write(data, |records, tx, data| {
            records.replace(tx, &self.name, &key, data, expected_version)
        })?;
        Ok(Record::new(row))
    }

    /// Inserts the record, or merges it into the one that has its key.
    ///
    /// # Errors
    /// As [`insert`](Self::insert) and [`update`](Self::update).
    pub fn upsert(&self, data: impl Into<Value>) -> Result<Record> {
        self.upsert_expecting(data.into(), None)
    }

    /// As [`upsert`](Self::upsert), if the record exists in that version.
    ///
    /// # Errors
    /// As [`update_if`](Self::update_if).
    pub fn upsert_if(&self, data: impl Into<Value>, expected_version: u64) -> Result<Record> {
        self.upsert_expecting(data.into(), Some(expected_version))
    }

    fn upsert_expecting(&self, data: Value, expected_version: Option<u64>) -> Result<Record> {
        let row = self.session.write(object(data)?, |records, tx, data| {
            records.upsert(tx, &self.name, data, expected_version)
        })?;
        Ok(Record::new(row))
    }

    /// Deletes the record; says whether there was one. Records that refer to
    /// it are treated as their field's `onDelete` says.
    ///
    /// # Errors
    /// `REFERENCE_VIOLATION` when a referrer forbids it.
    pub fn delete(&self, key: impl Into<Key>) -> Result<bool> {
        self.delete_expecting(key.into(), None)
    }

    /// As [`delete`](Self::delete), if the record still has that version.
    ///
    /// # Errors
    /// As [`update_if`](Self::update_if), also when there is no record.
    pub fn delete_if(&self, key: impl Into<Key>, expected_version: u64) -> Result<bool> {
        self.delete_expecting(key.into(), Some(expected_version))
    }

    fn delete_expecting(&self, key: Key, expected_version: Option<u64>) -> Result<bool> {
        let key = key.into_value();
        self.session
            .write((), |records, tx, ()| records.delete(tx, &self.name, &key, expected_version))
    }

    /// [Updates](Self::update) every record that matches `filter`, all or none.
    /// Returns how many there were. In the paths of an expression, `$` is the
    /// array element that the filter matched.
    ///
    /// # Errors
    /// As [`update`](Self::update); `VALIDATION_ERROR` for a malformed filter.
    pub fn update_many(&self, filter: impl Into<Value>, changes: impl Into<Value>) -> Result<u64> {
        let (query, changes) = (self.find(filter).query()?, object(changes.into())?);
        self.session.write((), |records, tx, ()| {
            let filter = query.filter.as_ref();
            records.update_selected(tx, &self.name, &changes, filter, |tx| {
                query::keys_inner(records, tx, &query)
            })
        })
    }

    /// Deletes every record that matches `filter`, all or none. Returns how
    /// many there were.
    ///
    /// # Errors
    /// As [`delete`](Self::delete); `VALIDATION_ERROR` for a malformed filter.
    pub fn delete_many(&self, filter: impl Into<Value>) -> Result<u64> {
        let query = self.find(filter).query()?;
        self.session.write((), |records, tx, ()| {
            records.delete_selected(tx, &self.name, |tx| query::keys_inner(records, tx, &query))
        })
    }

    /// Deletes every record. Returns how many there were.
    ///
    /// # Errors
    /// As [`delete`](Self::delete); `LIMIT_EXCEEDED` when they are too many for
    /// one transaction (dropping and defining the bucket anew has no bound).
    pub fn clear(&self) -> Result<u64> {
        self.delete_many(Value::Object(Map::new()))
    }

    // ----------------------------------------------------------------- reads

    /// The record with that key.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for what cannot be a key.
    pub fn get(&self, key: impl Into<Key>) -> Result<Option<Record>> {
        let key = key.into().into_value();
        let row = self.session.read(|records, tx| records.get(tx, &self.name, &key))?;
        Ok(row.map(Record::new))
    }

    /// As [`get`](Self::get), for where a thread must not wait, such as in an
    /// asynchronous task: answers from memory, or `None` when only the disk can
    /// tell. Then ask `get` on a thread that may wait.
    ///
    /// Always `None` in a transaction, for records of more than 64 KiB, and for the
    /// first call after definitions have changed.
    ///
    /// ```
    /// # fn main() -> tandem::Result<()> {
    /// use serde_json::json;
    /// # let store = tandem::Store::memory()?;
    /// # store.define_bucket("books", tandem::BucketConfig::new("isbn"))?;
    /// let books = store.bucket("books");
    /// books.insert(json!({ "isbn": "978-0", "year": 1874 }))?;
    /// let book = match books.get_at_hand("978-0") {
    ///     Some(answer) => answer?,
    ///     None => books.get("978-0")?, // elsewhere
    /// };
    /// assert_eq!(book.and_then(|book| book.get("year")), Some(json!(1874)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_at_hand(&self, key: impl Into<Key>) -> Option<Result<Option<Record>>> {
        let key = key.into().into_value();
        let row = self.session.read_at_hand(|records, tx| records.get(tx, &self.name, &key))?;
        Some(row.map(|row| row.map(Record::new)))
    }

    /// The record with that key, which the caller cannot do without.
    ///
    /// # Errors
    /// `NOT_FOUND`; otherwise as [`get`](Self::get).
    pub fn require(&self, key: impl Into<Key>) -> Result<Record> {
        let key = key.into();
        self.get(&key)?.ok_or_else(|| {
            let text =
                format!("Record with key {} not found in bucket \"{}\"", key.as_value(), self.name);
            Error::new(Code::NotFound, text)
                .with("bucket", &*self.name)
                .with("key", key.into_value())
        })
    }

    /// A read of the records that match `filter`; see [`Find`].
    pub fn find(&self, filter: impl Into<Value>) -> Find<'a> {
        Find::new(self.clone(), Some(filter.into()))
    }

    /// A read of all records; see [`Find`].
    pub fn all(&self) -> Find<'a> {
        Find::new(self.clone(), None)
    }

    /// The first record that matches.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a malformed filter.
    pub fn find_one(&self, filter: impl Into<Value>) -> Result<Option<Record>> {
        self.find(filter).first()
    }

    /// How many records match; `json!({})` counts all, at next to no cost.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a malformed filter.
    pub fn count(&self, filter: impl Into<Value>) -> Result<u64> {
        self.find(filter).count()
    }

    /// The first `n` records in the bucket's order.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn first(&self, n: usize) -> Result<Vec<Record>> {
        let query = self.all().query()?;
        let rows = self.session.read(|records, tx| query::first(records, tx, &query, n))?;
        Ok(rows.into_iter().map(Record::new).collect())
    }

    /// The last `n` records in the bucket's order, the very last one last.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn last(&self, n: usize) -> Result<Vec<Record>> {
        let query = self.all().query()?;
        let rows = self.session.read(|records, tx| query::last(records, tx, &query, n))?;
        Ok(rows.into_iter().map(Record::new).collect())
    }
}

/// The fields of a record, or an error for what is no object.
pub(crate) fn object(value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(Error::validation("Invalid record: expected object").with("value", other)),
    }
}

impl std::fmt::Debug for Bucket<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Bucket").field(&self.name).finish()
    }
}
