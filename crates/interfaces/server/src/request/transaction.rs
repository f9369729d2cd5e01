//! Transactions that stay open between requests.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tandem::layers::transaction::Errands;
use tandem::{BatchEnding, CommitOptions, Isolation, Operation, TransactionOptions};
use tandem_base::{Code, Error, Result};

use super::batch::{self, durability, isolation};
use super::{Fields, Scope};
use crate::data::Data;
use crate::peer::Peer;
use crate::workers::{Class, Reply};

/// How long a transaction may be open that says nothing about it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

impl Peer {
    /// The requests of this family; `None` for the type of another.
    pub(crate) async fn transaction_request(
        &mut self,
        kind: &str,
        fields: &mut Fields,
    ) -> Option<Result<Data>> {
        Some(match kind {
            "store.begin" => self.begin(fields).await,
            "store.savepoint" => self.savepoint(fields).await,
            "store.rollbackTo" => self.rollback_to(fields).await,
            "store.release" => self.release(fields).await,
            "store.commit" => self.commit(fields).await,
            "store.rollback" => self.rollback(fields).await,
            "store.lock" => self.lock(fields).await,
            "store.transaction" => self.batch(fields).await,
            _ => return None,
        })
    }

    async fn begin(&mut self, fields: &mut Fields) -> Result<Data> {
        let level = isolation(fields)?.unwrap_or(Isolation::Serializable);
        let read_only = fields.flag("readOnly")?;
        let timeout = fields.optional_milliseconds("timeoutMs", false)?;
        self.session.check_room()?;
        let mut options = TransactionOptions::new().isolation(level);
        if read_only {
            options = options.read_only();
        }
        let limits = self.store().limits().transaction.clone();
        let total = match timeout {
            None => DEFAULT_TIMEOUT.min(limits.total_time),
            Some(timeout) if timeout <= limits.total_time => timeout,
            Some(timeout) => {
                let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                return Err(Error::limit("timeoutMs", ms(limits.total_time), ms(timeout)));
            }
        };
        options = options.timeout(total);
        let store = self.store().clone();
        let workers = self.shared.workers.clone();
        let transaction =
            workers.run(Class::Read, move || store.begin_with(&options).map(Arc::new)).await?;
        let revision = transaction.revision();
        let handle = self.shared.next_transaction_handle();
        let held = self.shared.open_transactions.hold();
        self.session.keep(handle.clone(), transaction, total, limits.idle_time, held);
        let total_ms = u64::try_from(total.as_millis()).unwrap_or(u64::MAX);
        Ok(Data::value(json!({
            "transaction": handle,
            "isolation": level.as_str(),
            "revision": revision,
            "expiresAt": self.shared.now_ms().saturating_add(total_ms),
        })))
    }

    async fn savepoint(&mut self, fields: &mut Fields) -> Result<Data> {
        let handle = fields.string("transaction")?;
        let name = fields.string("name")?;
        let answer = json!({ "savepoint": name });
        self.in_transaction(Class::Read, &handle, move |tx| tx.savepoint(&name)).await?;
        Ok(Data::value(answer))
    }

    async fn rollback_to(&mut self, fields: &mut Fields) -> Result<Data> {
        let handle = fields.string("transaction")?;
        let name = fields.string("name")?;
        let answer = json!({ "rolledBackTo": name });
        self.in_transaction(Class::Read, &handle, move |tx| tx.rollback_to(&name)).await?;
        Ok(Data::value(answer))
    }

    async fn release(&mut self, fields: &mut Fields) -> Result<Data> {
        let handle = fields.string("transaction")?;
        let name = fields.string("name")?;
        let answer = json!({ "released": name });
        self.in_transaction(Class::Read, &handle, move |tx| tx.release(&name)).await?;
        Ok(Data::value(answer))
    }

    async fn commit(&mut self, fields: &mut Fields) -> Result<Data> {
        let handle = fields.string("transaction")?;
        let mut options = CommitOptions::new();
        if let Some(key) = fields.optional_string("idempotencyKey")? {
            options = options.idempotency_key(key);
        }
        if let Some(durability) = durability(fields)? {
            options = options.durability(durability);
        }
        // After a failed commit the handle stays, and answers only rollback.
        let receipt =
            self.in_transaction(Class::Write, &handle, move |tx| tx.finish(options)).await?;
        self.session.forget(&handle);
        Ok(Data::value(json!({
            "committed": true, "revision": receipt.revision, "changes": receipt.changes,
        })))
    }

    async fn rollback(&mut self, fields: &mut Fields) -> Result<Data> {
        let handle = fields.string("transaction")?;
        let rolled_back = self
            .in_transaction(Class::Read, &handle, |tx| {
                tx.cancel();
                Ok(())
            })
            .await;
        self.session.forget(&handle);
        rolled_back?;
        Ok(Data::value(json!({ "rolledBack": true })))
    }

    async fn lock(&mut self, fields: &mut Fields) -> Result<Data> {
        let handle = fields.string("transaction")?;
        let bucket = fields.string("bucket")?;
        let key = fields.key()?;
        let wait = fields.optional_milliseconds("waitMs", true)?;
        let record = self
            .in_transaction(Class::Write, &handle, move |tx| tx.lock(&bucket, key, wait))
            .await?;
        Ok(Data::optional_record(record.as_ref()))
    }

    async fn batch(&mut self, fields: &mut Fields) -> Result<Data> {
        if fields.optional("transaction").is_some() {
            return Err(Error::validation(
                "\"store.transaction\" is a transaction of its own: it takes no \"transaction\"",
            ));
        }
        let operations = batch::operations(fields)?;
        let options = batch::options(fields)?;
        let (store, workers) = (self.store().clone(), self.shared.workers.clone());
        let operations: Arc<[Operation]> = operations.into();
        if workers.commits_unattended() {
            let run = {
                let (store, operations, options) =
                    (store.clone(), operations.clone(), options.clone());
                move |errands: &Arc<dyn Errands>, reply: Reply<BatchEnding>| {
                    store.batch_then(&operations, &options, errands, |ending| reply.send(ending))
                }
            };
            match workers.commit(run).await?.finish(&store) {
                Ok(None) => {
                    let again = move || Ok(batch::text(&store.batch_again(&operations, &options)?));
                    return workers.run(Class::Write, again).await;
                }
                Ok(Some(answer)) => return Ok(batch::text(&answer)),
                Err(error) if options.is_named() => {
                    let before = move || store.batch_before(&options)?.ok_or(error);
                    return Ok(batch::text(&workers.run(Class::Read, before).await?));
                }
                Err(error) => return Err(error),
            }
        }
        let work = move || Ok(batch::text(&store.batch(&operations, &options)?));
        workers.run(Class::Write, work).await
    }

    async fn in_transaction<T: Send + 'static>(
        &mut self,
        class: Class,
        handle: &str,
        work: impl FnOnce(&tandem::Transaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.on_store(class, Some(handle), move |scope| match scope {
            Scope::Transaction(transaction) => work(transaction),
            Scope::Store(_) => Err(Error::new(Code::TransactionNotFound, "No transaction")),
        })
        .await
    }
}
