//! Batches: which rows belong together, and their commits.
//!
//! A batch is *built*, its rows inserted in a transaction, while the one before it is
//! committed by another thread:
//!
//! ```text
//! reading thread      build 1 │ build 2  │ build 3  │ …
//! committing thread           │ commit 1 │ commit 2 │ …
//! ```
//! Batches are committed in the order of the file. What was built before its
//! predecessor was committed is a guess: if it conflicts, or if a row is refused (it
//! may refer to a record of the batch before), it is dropped and the batch is built
//! once more, alone, and only that counts.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use tandem::{Code, CommitOptions, Error, Result, Store, Transaction};
use xxhash_rust::xxh3::Xxh3;

use crate::import::report::Report;
use crate::import::row::{BadRow, Row};
use crate::message;

/// A batch ends with the row that brings its text to this length, whatever its
/// number of rows: what bounds the memory.
const MAX_BATCH_BYTES: usize = 32 << 20;

/// How often a batch is tried when the store's own background work, such as the
/// expiry of records that it refers to, gets in its way.
const TRIES: u32 = 16;

/// Where the batches of one file go.
pub(super) struct Batches<'a> {
    store: &'a Store,
    bucket: &'a str,
    bucket_id: u32,
}

/// Rows that are committed together.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    bad: Vec<BadRow>,
    bytes: usize,
}

/// A batch that is ready to be committed.
struct Built {
    batch: Batch,
    name: Vec<u8>,
    /// What it came to before its time.
    ahead: Option<Attempt>,
}

/// A batch, tried.
enum Attempt {
    Inserted(Box<Transaction>),
    ImportedBefore,
    Refused(Vec<BadRow>),
}

/// What became of a batch.
enum Outcome {
    Imported,
    ImportedBefore,
    Refused(Vec<BadRow>),
}

impl<'a> Batches<'a> {
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub(super) fn new(store: &'a Store, bucket: &'a str) -> Result<Self> {
        Ok(Self { store, bucket, bucket_id: store.bucket_id(bucket)? })
    }

    /// Imports the rows, `size` at a time.
    ///
    /// # Errors
    /// When the store fails: the batches before stay imported.
    pub(super) fn import(
        &self,
        rows: impl Iterator<Item = Result<Row, BadRow>>,
        size: usize,
        report: &mut Report,
    ) -> Result<()> {
        // Nothing lies between the two: what is built waits to be taken.
        let (hand_over, built) = sync_channel(0);
        thread::scope(|scope| {
            let committing = thread::Builder::new().name("import-commit".to_owned());
            let committing = committing
                .spawn_scoped(scope, move || self.commit_all(&built, report))
                .map_err(|error| {
                    Error::internal("A thread cannot be started").with("cause", error.to_string())
                })?;
            let mut number = 0;
            let read = divided(rows, size, |batch| {
                let built = self.build(batch, number)?;
                number += 1;
                // Nobody takes any more: what failed there is told below.
                Ok(hand_over.send(built).is_ok())
            });
            drop(hand_over);
            let committed = committing
                .join()
                .unwrap_or_else(|_| Err(Error::internal("The import panicked and was ended")));
            committed.and(read)
        })
    }

    /// Inserts the rows while the batches before may not be committed yet.
    fn build(&self, batch: Batch, number: u64) -> Result<Built> {
        let name = self.name(&batch.rows, number)?;
        // What fails now is found again, or is not there, when the batch is alone.
        let ahead = self.attempt(&batch, &name).ok();
        Ok(Built { batch, name, ahead })
    }

    fn commit_all(&self, built: &Receiver<Built>, report: &mut Report) -> Result<()> {
        built.iter().try_for_each(|built| self.finish(built, report))
    }

    /// Commits the batch if all its rows are good; reports what became of it. All
    /// batches before are committed.
    fn finish(&self, Built { batch, name, ahead }: Built, report: &mut Report) -> Result<()> {
        let ahead = match ahead {
            Some(Attempt::Inserted(transaction)) => {
                commit(*transaction, &name).ok().map(|()| Outcome::Imported)
            }
            Some(Attempt::ImportedBefore) => Some(Outcome::ImportedBefore),
            Some(Attempt::Refused(_)) | None => None,
        };
        let outcome = match ahead {
            Some(outcome) => outcome,
            None => self.commit_alone(&batch, &name)?,
        };
        let Batch { rows, mut bad, .. } = batch;
        match outcome {
            Outcome::Imported => report.imported(rows.len()),
            Outcome::ImportedBefore => report.imported_before(rows.len()),
            Outcome::Refused(refused) => {
                report.left_out(rows.len() - refused.len());
                bad.extend(refused);
                bad.sort_by_key(|bad| bad.line);
                bad.iter().for_each(|bad| report.bad_row(bad));
            }
        }
        Ok(())
    }

    fn commit_alone(&self, batch: &Batch, name: &[u8]) -> Result<Outcome> {
        let mut tries = 1;
        loop {
            let outcome = self.attempt(batch, name).and_then(|attempt| match attempt {
                Attempt::Inserted(transaction) => {
                    commit(*transaction, name).map(|()| Outcome::Imported)
                }
                Attempt::ImportedBefore => Ok(Outcome::ImportedBefore),
                Attempt::Refused(refused) => Ok(Outcome::Refused(refused)),
            });
            match outcome {
                Err(error) if error.retryable() && tries < TRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }

    /// Inserts every row, so that all the bad ones are known at once. A batch with
    /// rows that could not be read is only tried.
    fn attempt(&self, Batch { rows, bad, .. }: &Batch, name: &[u8]) -> Result<Attempt> {
        let complete = bad.is_empty();
        if complete && self.store.committed(name)?.is_some() {
            return Ok(Attempt::ImportedBefore);
        }
        let transaction = self.store.begin()?;
        let records = transaction.bucket(self.bucket);
        let mut refused = Vec::new();
        for row in rows {
            match records.insert(row.fields.clone()) {
                Ok(_) => {}
                Err(error) if blames_the_row(&error) => {
                    refused.push(BadRow::new(row.line, message::of(&error)));
                }
                Err(error) => return Err(error),
            }
        }
        if complete && refused.is_empty() {
            Ok(Attempt::Inserted(Box::new(transaction)))
        } else {
            Ok(Attempt::Refused(refused))
        }
    }

    /// The same rows at the same place in a file for the same bucket have the
    /// same name. A bucket that was dropped and defined again is another one.
    fn name(&self, rows: &[Row], number: u64) -> Result<Vec<u8>> {
        let (mut hash, mut text) = (Xxh3::new(), Vec::new());
        for row in rows {
            text.clear();
            serde_json::to_writer(&mut text, &row.fields).map_err(|error| {
                Error::internal("A row cannot be written as JSON").with("cause", error.to_string())
            })?;
            hash.update(&text);
        }
        let (bucket, hash) = (self.bucket_id, hash.digest128());
        Ok(format!("import:{bucket}:{number}:{hash:032x}").into_bytes())
    }
}

/// Divides the rows into batches, until `each` wants no more.
fn divided(
    rows: impl Iterator<Item = Result<Row, BadRow>>,
    size: usize,
    mut each: impl FnMut(Batch) -> Result<bool>,
) -> Result<()> {
    let mut batch = Batch::default();
    for row in rows {
        match row {
            Ok(row) => {
                batch.bytes += row.bytes;
                batch.rows.push(row);
            }
            Err(bad) => {
                let fatal = bad.fatal;
                batch.bad.push(bad);
                if fatal {
                    break;
                }
            }
        }
        // Bad rows count too: mending them must not move the later batches.
        let is_full = batch.rows.len() + batch.bad.len() >= size || batch.bytes >= MAX_BATCH_BYTES;
        if is_full && !each(std::mem::take(&mut batch))? {
            return Ok(());
        }
    }
    if !batch.rows.is_empty() || !batch.bad.is_empty() {
        each(batch)?;
    }
    Ok(())
}

fn commit(transaction: Transaction, name: &[u8]) -> Result<()> {
    transaction.commit_with(CommitOptions::new().idempotency_key(name)).map(drop)
}

fn blames_the_row(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::ValidationError
            | Code::AlreadyExists
            | Code::ReferenceViolation
            | Code::ConstraintViolation
            | Code::LimitExceeded
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tandem::BucketConfig;

    use super::*;
    use crate::import::report::Summary;

    fn store(config: Value) -> Store {
        let store = Store::builder().memory().background(false).open().expect("memory opens");
        let config = BucketConfig::from_json(config).expect("an object");
        store.define_bucket("nodes", config).expect("well defined");
        store
    }

    /// What becomes of batches that are all built before the first is committed, each
    /// of rows that follow one another in the file.
    fn built_ahead(store: &Store, batches: Value) -> (Summary, u64) {
        let to = Batches::new(store, "nodes").expect("it is there");
        let mut lines = 1..;
        let mut row = |fields: Value| {
            let line = lines.next().expect("there is no last one");
            Row::from_json(fields.to_string().as_bytes(), line).expect("an object")
        };
        let batches: Vec<Vec<Value>> = serde_json::from_value(batches).expect("lists of rows");
        let built: Vec<_> = (0..)
            .zip(batches)
            .map(|(number, rows)| {
                let rows = rows.into_iter().map(&mut row).collect();
                to.build(Batch { rows, ..Batch::default() }, number).expect("it has a name")
            })
            .collect();
        let mut report = Report::silent();
        let before = conflicts(store);
        built.into_iter().for_each(|built| to.finish(built, &mut report).expect("it is tried"));
        assert!(store.check(&tandem::CheckOptions::new()).expect("it is checked").is_clean());
        (report.summary(), conflicts(store) - before)
    }

    fn conflicts(store: &Store) -> u64 {
        let commits = store.statistics().expect("figures").commits;
        commits.read_conflicts + commits.write_conflicts + commits.constraint_conflicts
    }

    fn ids(store: &Store) -> Vec<Value> {
        let found =
            store.bucket("nodes").find(json!({})).sort("count").records().expect("they are read");
        found.iter().map(|record| record.to_json()["id"].clone()).collect()
    }

    #[test]
    fn a_batch_that_was_built_ahead_is_committed_as_it_is() {
        let store = store(json!({
            "key": "id", "indexes": ["group"],
            "schema": { "id": { "type": "number" }, "group": { "type": "number" } },
        }));
        let batches = json!([
            [{ "id": 9, "count": 1, "group": 1 }, { "id": 8, "count": 2 }],
            [{ "id": 7, "count": 3, "group": 1 }],
            [{ "id": 6, "count": 4, "group": 1 }],
        ]);
        let (summary, conflicts) = built_ahead(&store, batches.clone());
        assert_eq!(summary, Summary { imported: 4, ..Summary::default() });
        assert_eq!(conflicts, 0, "they would be built twice");
        assert_eq!(ids(&store), [9, 8, 7, 6]);
        let (summary, _) = built_ahead(&store, batches);
        assert_eq!(summary, Summary { imported_before: 4, ..Summary::default() });
    }

    #[test]
    fn a_row_may_refer_to_a_record_of_the_batch_before() {
        let store = store(json!({
            "key": "id",
            "schema": {
                "id": { "type": "number" }, "count": { "type": "number" },
                "parent": { "type": "number", "ref": "nodes", "onDelete": "restrict" },
            },
        }));
        let (summary, _) = built_ahead(
            &store,
            json!([
                [{ "id": 1, "count": 1 }],
                [{ "id": 2, "count": 2, "parent": 1 }],
                [{ "id": 3, "count": 3, "parent": 2 }, { "id": 4, "count": 4, "parent": 5 }],
                [{ "id": 5, "count": 5, "parent": 1 }],
            ]),
        );
        // The third batch refers to a record that comes after it.
        assert_eq!(summary, Summary { imported: 3, left_out: 1, bad: 1, ..Summary::default() });
        assert_eq!(ids(&store), [1, 2, 5]);
    }

    #[test]
    fn g5_what_the_batch_before_has_taken_is_refused() {
        let store = store(json!({
            "key": "id", "schema": { "id": { "type": "number" }, "mail": { "type": "string", "unique": true } },
        }));
        let (summary, _) = built_ahead(
            &store,
            json!([
                [{ "id": 1, "count": 1, "mail": "a" }],
                [{ "id": 1, "count": 2, "mail": "b" }],
                [{ "id": 2, "count": 3, "mail": "a" }, { "id": 3, "count": 4, "mail": "c" }],
                [{ "id": 4, "count": 5, "mail": "b" }],
            ]),
        );
        assert_eq!(summary, Summary { imported: 2, left_out: 1, bad: 2, ..Summary::default() });
        assert_eq!(ids(&store), [1, 4]);
    }
}
