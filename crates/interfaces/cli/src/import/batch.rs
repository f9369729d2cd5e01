//! Batches: which rows belong together, and their commits.

use tandem::{Code, CommitOptions, Error, Result, Store};
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
    /// How many batches came before.
    number: u64,
}

/// Rows that are committed together.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    bad: Vec<BadRow>,
    bytes: usize,
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
        Ok(Self { store, bucket, bucket_id: store.bucket_id(bucket)?, number: 0 })
    }

    /// Imports the rows, `size` at a time.
    ///
    /// # Errors
    /// When the store fails: the batches before stay imported.
    pub(super) fn import(
        &mut self,
        rows: impl Iterator<Item = Result<Row, BadRow>>,
        size: usize,
        report: &mut Report,
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
            if batch.rows.len() + batch.bad.len() >= size || batch.bytes >= MAX_BATCH_BYTES {
                self.finish(std::mem::take(&mut batch), report)?;
            }
        }
        self.finish(batch, report)
    }

    /// Commits the batch if all its rows are good; reports what became of it.
    fn finish(&mut self, Batch { rows, mut bad, .. }: Batch, report: &mut Report) -> Result<()> {
        if rows.is_empty() && bad.is_empty() {
            return Ok(());
        }
        match self.commit(&rows, bad.is_empty())? {
            Outcome::Imported => report.imported(rows.len()),
            Outcome::ImportedBefore => report.imported_before(rows.len()),
            Outcome::Refused(refused) => {
                report.left_out(rows.len() - refused.len());
                bad.extend(refused);
                bad.sort_by_key(|bad| bad.line);
                bad.iter().for_each(|bad| report.bad_row(bad));
            }
        }
        self.number += 1;
        Ok(())
    }

    fn commit(&self, rows: &[Row], complete: bool) -> Result<Outcome> {
        let name = self.name(rows)?;
        let mut tries = 1;
        loop {
            match self.try_commit(rows, complete, &name) {
                Err(error) if error.retryable() && tries < TRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }

    /// Inserts every row, so that all the bad ones are known at once, and
    /// commits unless there are any. A batch that is not `complete` is only
    /// tried.
    fn try_commit(&self, rows: &[Row], complete: bool, name: &[u8]) -> Result<Outcome> {
        if complete && self.store.committed(name)?.is_some() {
            return Ok(Outcome::ImportedBefore);
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
            transaction.commit_with(CommitOptions::new().idempotency_key(name))?;
            Ok(Outcome::Imported)
        } else {
            Ok(Outcome::Refused(refused))
        }
    }

    /// The same rows at the same place in a file for the same bucket have the
    /// same name. A bucket that was dropped and defined again is another one.
    fn name(&self, rows: &[Row]) -> Result<Vec<u8>> {
        let mut hash = Xxh3::new();
        for row in rows {
            let text = serde_json::to_vec(&row.fields).map_err(|error| {
                Error::internal("A row cannot be written as JSON").with("cause", error.to_string())
            })?;
            hash.update(&text);
        }
        let (bucket, number, hash) = (self.bucket_id, self.number, hash.digest128());
        Ok(format!("import:{bucket}:{number}:{hash:032x}").into_bytes())
    }
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
