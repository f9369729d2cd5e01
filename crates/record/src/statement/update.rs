use bytes::Bytes;
use serde_json::Value;
use tandem_base::{Error, Result};
use tandem_transaction::Transaction;

use crate::catalog::Bucket;
use crate::derive::check_version;
use crate::filter::Filter;
use crate::key;
use crate::keys;
use crate::records::{Fields, Records, row_at};
use crate::row::{Metadata, Row};
use crate::statement::insert::{check_schema, no_issues};
use crate::statement::{Target, not_found, refuse_operators};
use crate::update::{Immutable, Occasion, Update};

/// What an update does to a record.
pub(crate) enum Changes<'a> {
    /// These fields are replaced.
    Merge(&'a Fields),
    /// An expression is applied; the filter is what selected the record.
    Expression(Update, Option<&'a Filter>),
}

impl<'a> Changes<'a> {
    /// An expression if a name begins with `$`, fields otherwise.
    pub(crate) fn parse(changes: &'a Fields, filter: Option<&'a Filter>) -> Result<Self> {
        if Update::is_expression(changes) {
            Ok(Self::Expression(Update::parse(changes)?, filter))
        } else {
            Ok(Self::Merge(changes))
        }
    }
}

impl Immutable for Bucket {
    fn is_key(&self, field: &str) -> bool {
        field == self.key_field
    }

    fn is_kept(&self, field: &str) -> bool {
        is_metadata(field) || field != self.key_field && self.schema.is_generated(field)
    }
}

impl Records {
    /// Merges `changes` into the record: listed fields are replaced, the others
    /// stay. Key, metadata and generated fields in `changes` are ignored. If
    /// names in them begin with `$`, they are an [update expression](Update).
    ///
    /// # Errors
    /// `NOT_FOUND`; `CONFLICT` when `expected_version` is not the record's;
    /// `VALIDATION_ERROR` for an expression that is malformed, or impossible
    /// on this record; otherwise as [`insert`](Self::insert).
    pub fn update(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        key: &Value,
        changes: &Fields,
        expected_version: Option<u64>,
    ) -> Result<Row> {
        let changes = Changes::parse(changes, None)?;
        tx.write_statement(|tx| {
            let target = self.target(tx, bucket)?;
            let primary_key = Bytes::from(key::encode_key(key)?);
            self.update_row(tx, &target, &primary_key, &changes, expected_version)?
                .ok_or_else(|| not_found(&target.bucket, key))
        })
    }

    /// Replaces the record's fields by `data`; key and metadata stay, generated
    /// fields stay unless `data` has them.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn replace(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        key: &Value,
        data: Fields,
        expected_version: Option<u64>,
    ) -> Result<Row> {
        tx.write_statement(|tx| {
            let target = self.target(tx, bucket)?;
            let primary_key = Bytes::from(key::encode_key(key)?);
            let newer = self.wait_for(tx, &target, &primary_key)?;
            let target = newer.unwrap_or(target);
            let Some(current) = self.current(tx, &target, &primary_key, expected_version)? else {
                return Err(not_found(&target.bucket, key));
            };
            refuse_operators(&data)?;
            let bucket = &*target.bucket;
            let now = self.environment().clock.now_ms();
            let mut old = current.fields()?;
            let mut fields = Fields::new();
            let own_key = old.get(&bucket.key_field).cloned().unwrap_or(Value::Null);
            fields.insert(bucket.key_field.clone(), own_key);
            for name in bucket.schema.generated_fields() {
                if let Some(value) = old.shift_remove(name) {
                    fields.insert(name.to_owned(), value);
                }
            }
            for (name, value) in data {
                if name != bucket.key_field && !is_metadata(&name) {
                    fields.insert(name, value);
                }
            }
            bucket.schema.fill(&mut fields, self.environment(), now, || {
                self.sequences().next(bucket.id, &**tx.view())
            })?;
            if let (false, Some(expiry)) =
                (fields.contains_key("_expiresAt"), old.shift_remove("_expiresAt"))
            {
                fields.insert("_expiresAt".to_owned(), expiry);
            }
            self.check_references(tx, &target, |name| fields.get(name).cloned(), |_| true)?;
            check_schema(bucket, &fields)?;
            let metadata = self.updated(tx, bucket, &primary_key, &current);
            let row = Row::encode(&fields, metadata)?;
            let current = Some(&current);
            self.write_row(tx, &target, &primary_key, current, Some(&row), expected_version)?;
            Ok(row)
        })
    }

    /// Inserts the record, or merges it into the one with its key.
    ///
    /// # Errors
    /// As [`insert`](Self::insert) and [`update`](Self::update).
    pub fn upsert(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        data: Fields,
        expected_version: Option<u64>,
    ) -> Result<Row> {
        refuse_operators(&data)?;
        tx.write_statement(|tx| {
            let target = self.target(tx, bucket)?;
            if let Some(key) = data.get(&target.bucket.key_field).filter(|key| !key.is_null()) {
                let primary_key = Bytes::from(key::encode_key(key)?);
                let updated = self.update_row(
                    tx,
                    &target,
                    &primary_key,
                    &Changes::Merge(&data),
                    expected_version,
                )?;
                if let Some(row) = updated {
                    return Ok(row);
                }
            }
            if let Some(expected) = expected_version {
                let key = data.get(&target.bucket.key_field).unwrap_or(&Value::Null);
                let primary_key = key::encode_key(key)?;
                check_version(&target.bucket, &primary_key, expected, None)?;
            }
            self.insert_inner(tx, &target, data)
        })
    }

    /// Changes the row; `None` if there is none.
    pub(crate) fn update_row(
        &self,
        tx: &mut Transaction,
        target: &Target,
        primary_key: &Bytes,
        changes: &Changes<'_>,
        expected_version: Option<u64>,
    ) -> Result<Option<Row>> {
        let newer = self.wait_for(tx, target, primary_key)?;
        let target = newer.as_ref().unwrap_or(target);
        let Some(current) = self.current(tx, target, primary_key, expected_version)? else {
            return Ok(None);
        };
        let bucket = &*target.bucket;
        let row = match changes {
            Changes::Merge(changes) => {
                let counts = |(name, _): &(&String, &Value)| {
                    !bucket.is_key(name.as_str()) && !bucket.is_kept(name.as_str())
                };
                let changed = changes.iter().filter(counts);
                let changed: Vec<_> = changed.map(|(name, value)| (name.as_str(), value)).collect();
                let change = |name: &str| changed.iter().find(|(changed, _)| *changed == name);
                check_expiry(change("_expiresAt").map(|(_, value)| *value))?;
                let value_of = |name: &str| match change(name) {
                    Some((_, value)) => Some((*value).clone()),
                    None => current.field(name),
                };
                self.check_references(tx, target, value_of, |name| change(name).is_some())?;
                no_issues(bucket, bucket.schema.validate_update(&current, &changed))?;
                current.merge(&changed, self.updated(tx, bucket, primary_key, &current))?
            }
            Changes::Expression(update, filter) => {
                let mut fields = current.fields()?;
                let now_ms = self.environment().clock.now_ms();
                let occasion = Occasion { now_ms, filter: *filter };
                let touched = update.apply(&mut fields, bucket, &occasion)?;
                let is_changed = |name: &str| touched.contains(&name);
                check_expiry(fields.get("_expiresAt").filter(|_| is_changed("_expiresAt")))?;
                self.check_references(tx, target, |name| fields.get(name).cloned(), is_changed)?;
                check_schema(bucket, &fields)?;
                Row::encode(&fields, self.updated(tx, bucket, primary_key, &current))?
            }
        };
        self.write_row(tx, target, primary_key, Some(&current), Some(&row), expected_version)?;
        Ok(Some(row))
    }

    /// Waits until nobody else has the row locked; see
    /// [`newer_target`](Self::newer_target) for what it gives.
    pub(crate) fn wait_for(
        &self,
        tx: &mut Transaction,
        target: &Target,
        primary_key: &Bytes,
    ) -> Result<Option<Target>> {
        if !tx.coordination().locks().is_empty() {
            tx.wait_for_lock(&keys::row(target.bucket.id, primary_key))?;
        }
        self.newer_target(tx, target)
    }

    /// The row to be written, checked against the version that the caller
    /// expects.
    pub(crate) fn current(
        &self,
        tx: &mut Transaction,
        target: &Target,
        primary_key: &Bytes,
        expected_version: Option<u64>,
    ) -> Result<Option<Row>> {
        let row_key = keys::row(target.bucket.id, primary_key);
        let Some(row) = row_at(tx, &row_key)? else {
            // The write would have been validated; its absence is a read.
            tx.track_point(&row_key);
            return Ok(None);
        };
        if let Some(expected) = expected_version {
            check_version(&target.bucket, primary_key, expected, Some(&row))?;
        }
        Ok(Some(row))
    }

    /// The metadata of a record that this transaction updates.
    pub(super) fn updated(
        &self,
        tx: &Transaction,
        bucket: &Bucket,
        primary_key: &[u8],
        current: &Row,
    ) -> Metadata {
        let written_before = tx.own_write(&keys::row(bucket.id, primary_key)).is_some();
        Metadata {
            // However often a transaction updates a record, it is one update.
            version: current.version() + u64::from(!written_before),
            created_at: current.created_at(),
            updated_at: self.environment().clock.now_ms(),
            position: current.position(),
        }
    }
}

/// Refuses a time of expiry that is none.
fn check_expiry(changed: Option<&Value>) -> Result<()> {
    match changed {
        Some(value) if !value.is_number() && !value.is_null() => {
            Err(Error::validation("Invalid \"_expiresAt\": expected number"))
        }
        _ => Ok(()),
    }
}

fn is_metadata(name: &str) -> bool {
    matches!(name, "_version" | "_createdAt" | "_updatedAt")
}
