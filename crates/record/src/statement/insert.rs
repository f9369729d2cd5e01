use bytes::Bytes;
use serde_json::{Value, json};
use tandem_base::{Code, Error, Result};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::Transaction;

use crate::catalog::Bucket;
use crate::key;
use crate::keys;
use crate::records::{Fields, Records};
use crate::row::{Metadata, Position, Row};
use crate::schema::{Generated, Issue, validation_error};
use crate::sequence::LARGEST_NUMBER;
use crate::statement::{Target, refuse_operators};
use crate::tombstone::Tombstone;

impl Records {
    /// Inserts a record: missing generated fields and defaults are filled in,
    /// the whole is checked against the schema. Returns it as stored.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the list of issues; `ALREADY_EXISTS` for the key
    /// or a unique value; `REFERENCE_VIOLATION`; `BUCKET_NOT_DEFINED`.
    pub fn insert(&self, tx: &mut Transaction, bucket: &str, data: Fields) -> Result<Row> {
        tx.write_statement(|tx| {
            let target = self.target(tx, bucket)?;
            self.insert_inner(tx, &target, data)
        })
    }

    pub(crate) fn insert_inner(
        &self,
        tx: &mut Transaction,
        target: &Target,
        mut data: Fields,
    ) -> Result<Row> {
        let bucket = &*target.bucket;
        refuse_operators(&data)?;
        for name in ["_version", "_createdAt", "_updatedAt"] {
            data.shift_remove(name);
        }
        let drawn = drawn_with_the_key(bucket, &data);
        let now = self.environment().clock.now_ms();
        bucket.schema.fill(&mut data, self.environment(), now, || {
            self.sequences().next(bucket.id, &**tx.view())
        })?;
        self.set_expiry(bucket, &mut data, now)?;
        let own_key = data.get(&bucket.key_field).cloned().unwrap_or(Value::Null);
        let all = |_: &str| true;
        self.check_references(tx, target, |name| data.get(name).cloned(), all)?;
        check_schema(bucket, &data)?;
        let primary_key = Bytes::from(key::encode_key(&own_key)?);

        let row_key = keys::row(bucket.id, &primary_key);
        tx.wait_for_lock(&row_key)?;
        if let Some(target) = self.newer_target(tx, target)? {
            return self.insert_inner(tx, &target, data);
        }
        if tx.get_untracked(&row_key)?.is_some() {
            if !drawn.is_empty() {
                // Records that came with their own numbers are in the way.
                self.sequences().pass(bucket.id, last_in_a_row(tx, bucket, &own_key)?);
                for field in drawn {
                    data.shift_remove(&field);
                }
                return self.insert_inner(tx, target, data);
            }
            tx.track_point(&row_key);
            return Err(key_taken(bucket, &own_key));
        }
        if self.make_room(tx, target)? {
            if let Some(target) = self.newer_target(tx, target)? {
                return self.insert_inner(tx, &target, data);
            }
            // What made room may have been what the record refers to.
            self.check_references(tx, target, |name| data.get(name).cloned(), all)?;
        }
        let version = match tx.own_write(&row_key).and_then(|write| write.before.clone()) {
            // Deleted by this transaction: for everybody else it is an update.
            Some(replaced) => Row::from_whole(replaced)?.version() + 1,
            None => {
                let tombstone = tx.get_untracked(&keys::tombstone(bucket.id, &primary_key))?;
                Tombstone::version_after(tombstone.as_deref())?
            }
        };
        let position = Position::pending(tx.allocate_ordinal());
        let metadata = Metadata { version, created_at: now, updated_at: now, position };
        let row = Row::encode(&data, metadata)?;
        self.write_row(tx, target, &primary_key, None, Some(&row), None)?;
        Ok(row)
    }

    fn set_expiry(&self, bucket: &Bucket, data: &mut Fields, now: u64) -> Result<()> {
        match data.get("_expiresAt") {
            Some(Value::Number(_)) => {}
            Some(Value::Null) | None => {
                data.shift_remove("_expiresAt");
                if let Some(ttl) = bucket.ttl_ms {
                    data.insert("_expiresAt".to_owned(), json!(now.saturating_add(ttl)));
                }
            }
            Some(_) => return Err(Error::validation("Invalid \"_expiresAt\": expected number")),
        }
        Ok(())
    }

    /// Deletes the oldest records of a full bucket, as many as make room for
    /// one. Concurrent inserts into the bucket conflict, so that the bound is
    /// exact at every isolation level. Says whether any were deleted.
    fn make_room(&self, tx: &mut Transaction, target: &Target) -> Result<bool> {
        let bucket = &*target.bucket;
        let (Some(max_size), Some(order_index)) = (bucket.max_size, bucket.order_index) else {
            return Ok(false);
        };
        let name = bucket.name.clone();
        tx.guard_unchanged(KeyRange::point(&keys::count(bucket.id)), move || {
            Error::new(Code::Conflict, "Another transaction changed a bucket of limited size")
                .with("bucket", &*name)
        });
        let mut count = self.count_inner(tx, bucket)?;
        let is_full = count >= max_size;
        while count >= max_size {
            let order = KeyRange::prefix(&keys::index_prefix(order_index));
            let Some(oldest) = tx.scan(&order, Direction::Forward).next().transpose()? else {
                return Err(Error::internal("A full bucket has no oldest record"));
            };
            self.delete_row(tx, target, &oldest.value, None)?;
            // A cascade may have deleted more than one.
            count = self.count_inner(tx, bucket)?;
        }
        Ok(is_full)
    }
}

/// The fields that get the bucket's next number, if its key is one of them.
fn drawn_with_the_key(bucket: &Bucket, data: &Fields) -> Vec<String> {
    let drawn = |field: &str| {
        let definition = bucket.schema.field(field);
        definition.is_some_and(|field| field.generated == Some(Generated::Autoincrement))
            && !data.contains_key(field)
    };
    if !drawn(&bucket.key_field) {
        return Vec::new();
    }
    let fields = bucket.schema.generated_fields().filter(|field| drawn(field));
    fields.map(str::to_owned).collect()
}

/// The end of the run of records whose keys are `first` and the whole numbers
/// after it, one by one. Reads each of them.
fn last_in_a_row(tx: &Transaction, bucket: &Bucket, first: &Value) -> Result<u64> {
    let at = |key: &Value| -> Result<Bytes> { Ok(keys::row(bucket.id, &key::encode_key(key)?)) };
    let mut last = first.as_u64().unwrap_or(0);
    let range = KeyRange::new(at(first)?, at(&json!(LARGEST_NUMBER + 1))?);
    for entry in tx.scan_untracked(&range, Direction::Forward) {
        let key = key::decode_key(&entry?.key[keys::row_prefix(bucket.id).len()..]);
        match key.as_u64() {
            Some(number) if number > last + 1 => break,
            Some(number) => last = number,
            // A fraction between two whole numbers.
            None => {}
        }
    }
    Ok(last)
}

pub(super) fn check_schema(bucket: &Bucket, data: &Fields) -> Result<()> {
    no_issues(bucket, bucket.schema.validate(data))
}

pub(super) fn no_issues(bucket: &Bucket, issues: Vec<Issue>) -> Result<()> {
    if issues.is_empty() { Ok(()) } else { Err(validation_error(&bucket.name, &issues)) }
}

fn key_taken(bucket: &Bucket, key: &Value) -> Error {
    let shown = key::display(key);
    Error::new(
        Code::AlreadyExists,
        format!("Record with key \"{shown}\" already exists in bucket \"{}\"", bucket.name),
    )
    .with("bucket", &*bucket.name)
    .with("key", key.clone())
}
