//! Records as values of a Rust type, through `serde`.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_base::{Error, Result};

use crate::bucket::Bucket;
use crate::find::Find;
use crate::iterate::Rows;
use crate::key::Key;
use crate::record::Record;

/// A bucket whose records are read and written as `T`.
///
/// What `T` serialises to must be an object. A field that the store generates
/// is best left out when it is `None`, because an explicit null counts as a
/// value; metadata can be read by its name:
///
/// ```
/// # fn main() -> tandem::Result<()> {
/// use serde::{Deserialize, Serialize};
/// use tandem::{BucketConfig, Field, Store};
///
/// #[derive(Serialize, Deserialize)]
/// struct User {
///     #[serde(skip_serializing_if = "Option::is_none")]
///     id: Option<String>,
///     name: String,
///     #[serde(rename = "_version", skip_serializing)]
///     version: Option<u64>,
/// }
///
/// let store = Store::memory()?;
/// let config = BucketConfig::new("id").field("id", Field::string().generated_uuid());
/// store.define_bucket("users", config)?;
/// let users = store.typed::<User>("users");
/// let alice = users.insert(&User { id: None, name: "Alice".into(), version: None })?;
/// assert_eq!(alice.version, Some(1));
/// assert!(alice.id.is_some());
/// # Ok(())
/// # }
/// ```
pub struct TypedBucket<'a, T> {
    bucket: Bucket<'a>,
    values: PhantomData<fn() -> T>,
}

impl<'a, T> TypedBucket<'a, T> {
    pub(crate) fn new(bucket: Bucket<'a>) -> Self {
        Self { bucket, values: PhantomData }
    }

    /// The same bucket, over JSON records.
    #[must_use]
    pub fn untyped(&self) -> &Bucket<'a> {
        &self.bucket
    }

    /// As [`Bucket::delete`].
    ///
    /// # Errors
    /// As there.
    pub fn delete(&self, key: impl Into<Key>) -> Result<bool> {
        self.bucket.delete(key)
    }

    /// As [`Bucket::delete_if`].
    ///
    /// # Errors
    /// As there.
    pub fn delete_if(&self, key: impl Into<Key>, expected_version: u64) -> Result<bool> {
        self.bucket.delete_if(key, expected_version)
    }

    /// As [`Bucket::count`].
    ///
    /// # Errors
    /// As there.
    pub fn count(&self, filter: impl Into<Value>) -> Result<u64> {
        self.bucket.count(filter)
    }
}

impl<'a, T: DeserializeOwned> TypedBucket<'a, T> {
    /// As [`Bucket::get`].
    ///
    /// # Errors
    /// As there; `VALIDATION_ERROR` when the record is no `T`.
    pub fn get(&self, key: impl Into<Key>) -> Result<Option<T>> {
        self.bucket.get(key)?.map(|record| record.deserialize()).transpose()
    }

    /// As [`Bucket::require`].
    ///
    /// # Errors
    /// As there; `VALIDATION_ERROR` when the record is no `T`.
    pub fn require(&self, key: impl Into<Key>) -> Result<T> {
        self.bucket.require(key)?.deserialize()
    }

    /// As [`Bucket::update`]: `changes` are some fields as JSON.
    ///
    /// # Errors
    /// As there.
    pub fn update(&self, key: impl Into<Key>, changes: impl Into<Value>) -> Result<T> {
        self.bucket.update(key, changes)?.deserialize()
    }

    /// As [`Bucket::update_if`].
    ///
    /// # Errors
    /// As there.
    pub fn update_if(
        &self,
        key: impl Into<Key>,
        changes: impl Into<Value>,
        expected_version: u64,
    ) -> Result<T> {
        self.bucket.update_if(key, changes, expected_version)?.deserialize()
    }

    /// As [`Bucket::find`].
    pub fn find(&self, filter: impl Into<Value>) -> TypedFind<'a, T> {
        TypedFind { find: self.bucket.find(filter), values: PhantomData }
    }

    /// As [`Bucket::all`].
    #[must_use]
    pub fn all(&self) -> TypedFind<'a, T> {
        TypedFind { find: self.bucket.all(), values: PhantomData }
    }

    /// As [`Bucket::find_one`].
    ///
    /// # Errors
    /// As there; `VALIDATION_ERROR` when the record is no `T`.
    pub fn find_one(&self, filter: impl Into<Value>) -> Result<Option<T>> {
        self.find(filter).first()
    }
}

impl<T: Serialize + DeserializeOwned> TypedBucket<'_, T> {
    /// As [`Bucket::insert`]. Returns the value as stored, with what the store
    /// generated.
    ///
    /// # Errors
    /// As there; `VALIDATION_ERROR` when the value is no JSON object.
    pub fn insert(&self, value: &T) -> Result<T> {
        self.bucket.insert(to_json(value)?)?.deserialize()
    }

    /// As [`Bucket::insert_many`].
    ///
    /// # Errors
    /// As there.
    pub fn insert_many<'v>(&self, values: impl IntoIterator<Item = &'v T>) -> Result<Vec<T>>
    where
        T: 'v,
    {
        let data = values.into_iter().map(to_json).collect::<Result<Vec<_>>>()?;
        self.bucket.insert_many(data)?.iter().map(Record::deserialize).collect()
    }

    /// As [`Bucket::replace`].
    ///
    /// # Errors
    /// As there.
    pub fn replace(&self, key: impl Into<Key>, value: &T) -> Result<T> {
        self.bucket.replace(key, to_json(value)?)?.deserialize()
    }

    /// As [`Bucket::replace_if`].
    ///
    /// # Errors
    /// As there.
    pub fn replace_if(&self, key: impl Into<Key>, value: &T, expected_version: u64) -> Result<T> {
        self.bucket.replace_if(key, to_json(value)?, expected_version)?.deserialize()
    }

    /// As [`Bucket::upsert`].
    ///
    /// # Errors
    /// As there.
    pub fn upsert(&self, value: &T) -> Result<T> {
        self.bucket.upsert(to_json(value)?)?.deserialize()
    }
}

/// As [`Find`], over values of `T`.
pub struct TypedFind<'a, T> {
    find: Find<'a>,
    values: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned> TypedFind<'a, T> {
    /// As [`Find::sort`].
    #[must_use]
    pub fn sort(self, field: &str) -> Self {
        Self { find: self.find.sort(field), ..self }
    }

    /// As [`Find::limit`].
    #[must_use]
    pub fn limit(self, n: usize) -> Self {
        Self { find: self.find.limit(n), ..self }
    }

    /// As [`Find::offset`].
    #[must_use]
    pub fn offset(self, n: usize) -> Self {
        Self { find: self.find.offset(n), ..self }
    }

    /// All of them.
    ///
    /// # Errors
    /// As [`Find::records`]; `VALIDATION_ERROR` when a record is no `T`.
    pub fn values(self) -> Result<Vec<T>> {
        self.find.records()?.iter().map(Record::deserialize).collect()
    }

    /// One after the other, in bounded memory.
    ///
    /// # Errors
    /// As [`Find::iter`].
    pub fn iter(self) -> Result<Values<'a, T>> {
        Ok(Values { rows: self.find.iter()?, values: PhantomData })
    }

    /// The first.
    ///
    /// # Errors
    /// As [`Find::first`]; `VALIDATION_ERROR` when the record is no `T`.
    pub fn first(self) -> Result<Option<T>> {
        self.find.first()?.map(|record| record.deserialize()).transpose()
    }

    /// How many there are.
    ///
    /// # Errors
    /// As [`Find::count`].
    pub fn count(self) -> Result<u64> {
        self.find.count()
    }
}

/// Values of `T`, one after the other; see [`TypedFind::iter`].
pub struct Values<'a, T> {
    rows: Rows<'a>,
    values: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Iterator for Values<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.rows.next()?.and_then(|record| record.deserialize()))
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| {
        Error::validation("The value cannot be written as JSON").with("cause", error.to_string())
    })
}

macro_rules! debug_as_bucket {
    ($($type:ident . $field:ident),*) => {
        $(impl<T> std::fmt::Debug for $type<'_, T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($type)).field(&self.$field).finish()
            }
        })*
    };
}

debug_as_bucket!(TypedBucket.bucket, TypedFind.find, Values.rows);
