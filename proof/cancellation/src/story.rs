use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tandem::{
    BatchOptions, CommitOptions, Isolation, Operation, Result, Store, Transaction,
    TransactionOptions,
};

/// What a caller does: one commit, which touches rows of two buckets and every
/// kind of index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Begin, lock, savepoints, commit, under an idempotency key.
    Open(Isolation),
    /// The same in `store.transaction(|tx| …)`, without a key.
    Closure,
    /// As a batch under an idempotency key.
    Batch,
    /// One statement that commits by itself: several records.
    UpdateMany,
    /// One statement that commits by itself: one record.
    Insert,
}

/// Where a story keeps its open transaction, so that others can reach it.
pub type Slot = Mutex<Option<Arc<Transaction>>>;

const KEY: &[u8] = b"transfer 7";

impl Story {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Open(Isolation::Serializable),
        Self::Open(Isolation::Snapshot),
        Self::Open(Isolation::ReadCommitted),
        Self::Closure,
        Self::Batch,
        Self::UpdateMany,
        Self::Insert,
    ];

    /// The name of its commit.
    #[must_use]
    pub fn key(self) -> Option<&'static [u8]> {
        matches!(self, Self::Open(_) | Self::Batch).then_some(KEY)
    }

    /// Runs it to its commit, whose revision it answers.
    ///
    /// # Errors
    /// What the store answers.
    pub fn run(self, store: &Store, slot: &Slot) -> Result<u64> {
        match self {
            Self::Open(isolation) => {
                let options = TransactionOptions::new().isolation(isolation);
                let tx = Arc::new(store.begin_with(&options)?);
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(tx.clone());
                transfer(&tx)?;
                let receipt = tx.finish(CommitOptions::new().idempotency_key(KEY))?;
                Ok(receipt.revision)
            }
            Self::Closure => {
                store.transaction(transfer)?;
                store.revision()
            }
            Self::Batch => {
                let options = BatchOptions::new().idempotency_key(KEY);
                Ok(store.batch(&operations(), &options)?.revision)
            }
            Self::UpdateMany => {
                store.bucket("accounts").update_many(
                    json!({ "tags": "b" }),
                    json!({ "owner": "all", "tags": ["z"] }),
                )?;
                store.revision()
            }
            Self::Insert => {
                store.bucket("accounts").insert(account_4())?;
                store.revision()
            }
        }
    }

    /// Does the work once more under the same name, as one does who has not
    /// heard whether it happened.
    ///
    /// # Errors
    /// What the store answers last.
    pub fn repeat(self, store: &Store) -> Result<u64> {
        let Self::Open(isolation) = self else { return self.run(store, &Slot::default()) };
        let tx = store.begin_with(&TransactionOptions::new().isolation(isolation))?;
        // What is there already is refused; the commit tells.
        let _there_already = transfer(&tx);
        Ok(tx.finish(CommitOptions::new().idempotency_key(KEY))?.revision)
    }
}

fn account_4() -> serde_json::Value {
    json!({ "id": 4, "owner": "dan", "email": "dan@x", "balance": 5, "tags": ["a", "d"] })
}

fn transfer(tx: &Transaction) -> Result<()> {
    let accounts = tx.bucket("accounts");
    tx.lock("accounts", 1, None)?;
    let rich = accounts.find(json!({ "owner": "bob" })).records()?;
    let balance = rich.first().and_then(|bob| bob.get("balance")?.as_i64()).unwrap_or(100);
    tx.savepoint("try")?;
    accounts.insert(json!({ "id": 50, "owner": "nobody", "email": "n@x", "tags": ["q"] }))?;
    accounts.update(2, json!({ "tags": ["q", "r"] }))?;
    tx.rollback_to("try")?;
    accounts.update(1, json!({ "balance": 70, "owner": "eve", "tags": ["b", "e"] }))?;
    accounts.update(2, json!({ "balance": balance + 30 }))?;
    accounts.delete(3)?;
    accounts.insert(account_4())?;
    tx.bucket("journal").insert(json!({ "id": "j1", "account": 4 }))?;
    Ok(())
}

fn operations() -> Vec<Operation> {
    vec![
        Operation::get("accounts", 1),
        Operation::update("accounts", 1, json!({ "balance": 70, "owner": "eve" })),
        Operation::update("accounts", 2, json!({ "balance": 130 })),
        Operation::find("accounts", json!({ "owner": "eve" })),
        Operation::delete("accounts", 3),
        Operation::insert("accounts", account_4()),
        Operation::insert("journal", json!({ "id": "j1", "account": 4 })),
        Operation::count("accounts", None),
    ]
}
