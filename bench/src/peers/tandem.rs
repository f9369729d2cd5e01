//! Tandem, embedded.
//!
//! The accounts lie in a bucket with default settings, so Tandem also keeps
//! their insertion order (one more index than the peers have), a version and
//! two times per record, a count per bucket and the change log. Transactions
//! are serializable and retried on conflict by `Store::transaction`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tandem::{BucketConfig, Field, Find, IndexConfig, Limits, Record, Store, Transaction};
use tandem_storage::{DiskOptions, Durability, MemoryStorage, Storage, WriteBatch};

use super::watched::{bytes_of, watched};
use crate::data::{Account, BUCKET, DataSet, Transfer};
use crate::peer::{Client, Form, Peer, Result};
use crate::random::Random;

pub struct Tandem {
    store: Store,
    durability: &'static str,
    directory: Option<PathBuf>,
}

impl Tandem {
    /// Over the disk engine with default settings.
    pub fn open(directory: &Path, data: &DataSet, durability: Durability) -> Result<Self> {
        let store =
            Store::builder().path(directory.join("tandem")).durability(durability).open()?;
        Self::load(store, data, survives(durability), Some(directory))
    }

    /// What is loaded already.
    pub fn reopen(directory: &Path, durability: Durability) -> Result<Self> {
        let builder = Store::builder().path(directory.join("tandem")).durability(durability);
        let directory = Some(directory.to_owned());
        Ok(Self { store: builder.open()?, durability: survives(durability), directory })
    }

    /// Over the disk engine with other sizes, and so many bytes of records and of ranges
    /// kept.
    pub fn with_sizes(
        directory: &Path,
        data: &DataSet,
        durability: Durability,
        sizes: DiskOptions,
        [records, ranges]: [usize; 2],
    ) -> Result<Self> {
        let mut limits = Limits::default();
        limits.transaction.record_cache_bytes = records;
        limits.transaction.range_cache_bytes = ranges;
        let builder = Store::builder().path(directory.join("tandem")).durability(durability);
        let store = builder.disk(sizes).limits(limits).open()?;
        Self::load(store, data, survives(durability), Some(directory))
    }

    /// Over the memory engine.
    pub fn memory(data: &DataSet) -> Result<Self> {
        Self::load(Store::memory()?, data, "nothing: memory", None)
    }

    /// Over a given engine.
    pub fn over(storage: Arc<dyn Storage>, data: &DataSet, durability: Durability) -> Result<Self> {
        let store = Store::builder().storage(storage).durability(durability).open()?;
        Self::load(store, data, survives(durability), None)
    }

    fn load(
        store: Store,
        data: &DataSet,
        durability: &'static str,
        directory: Option<&Path>,
    ) -> Result<Self> {
        let config = BucketConfig::new("id")
            .field("id", Field::string().required())
            .field("email", Field::string().required())
            .field("city", Field::string().required())
            .field("balance", Field::number().required())
            .field("note", Field::string())
            .index(IndexConfig::on("email").unique())
            .index(IndexConfig::on("city"))
            .index(IndexConfig::on("balance"));
        store.define_bucket(BUCKET, config)?;
        for accounts in data.chunks(1_000) {
            store.bucket(BUCKET).insert_many(accounts.iter().map(Account::to_value))?;
        }
        Ok(Self { store, durability, directory: directory.map(Path::to_owned) })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }
}

fn survives(durability: Durability) -> &'static str {
    match durability {
        Durability::Sync => "power cut: fdatasync",
        Durability::Buffered => "process kill",
    }
}

impl Peer for Tandem {
    fn durability(&self) -> &str {
        self.durability
    }

    fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(TandemClient { store: self.store.clone() }))
    }

    fn count(&self) -> Result<Option<u64>> {
        Ok(Some(self.store.bucket(BUCKET).count(json!({}))?))
    }
}

struct TandemClient {
    store: Store,
}

impl Client for TandemClient {
    fn transfer(&mut self, transfer: &Transfer) -> Result<u64> {
        self.write(|transaction| apply(transaction, transfer))
    }

    fn read(&mut self, id: &str, form: Form) -> Result<usize> {
        match self.store.bucket(BUCKET).get(id)? {
            Some(record) => hand_out(&record, form),
            None => Ok(0),
        }
    }

    fn read_city(&mut self, city: &str, limit: usize, form: Form) -> Result<usize> {
        let filter = json!({ "city": city });
        hand_out_all(self.store.bucket(BUCKET).find(filter).limit(limit), form)
    }

    fn read_balances(&mut self, from: i64, limit: usize, form: Form) -> Result<usize> {
        let filter = json!({ "balance": { "$gte": from } });
        hand_out_all(self.store.bucket(BUCKET).find(filter).sort("balance").limit(limit), form)
    }

    fn scan(&mut self, id: &str, limit: usize) -> Result<usize> {
        let filter = json!({ "id": { "$gte": id } });
        hand_out_all(self.store.bucket(BUCKET).find(filter).sort("id").limit(limit), Form::Text)
    }

    fn insert(&mut self, account: &Account) -> Result<u64> {
        self.write(|transaction| {
            transaction.bucket(BUCKET).insert(account.to_value())?;
            Ok(())
        })
    }

    fn update(&mut self, id: &str, balance: i64) -> Result<u64> {
        self.write(|transaction| {
            transaction.bucket(BUCKET).update(id, json!({ "balance": balance }))?;
            Ok(())
        })
    }

    fn update_all(&mut self, updates: &[(String, i64)]) -> Result<()> {
        self.write(|transaction| {
            let accounts = transaction.bucket(BUCKET);
            for (id, balance) in updates {
                accounts.update(id.as_str(), json!({ "balance": balance }))?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn modify(&mut self, id: &str, amount: i64) -> Result<u64> {
        self.write(|transaction| {
            let accounts = transaction.bucket(BUCKET);
            let balance = balance(accounts.get(id)?);
            accounts.update(id, json!({ "balance": balance + amount }))?;
            Ok(())
        })
    }
}

impl TandemClient {
    /// In one transaction; how often it had to be run again.
    fn write(&self, work: impl Fn(&Transaction) -> tandem_base::Result<()>) -> Result<u64> {
        let mut attempts = 0;
        self.store.transaction(|transaction| {
            attempts += 1;
            work(transaction)
        })?;
        Ok(attempts - 1)
    }
}

fn hand_out_all(find: Find<'_>, form: Form) -> Result<usize> {
    let records = find.records()?;
    for record in &records {
        hand_out(record, form)?;
    }
    Ok(records.len())
}

fn apply(transaction: &Transaction, transfer: &Transfer) -> tandem_base::Result<()> {
    let accounts = transaction.bucket(BUCKET);
    let from = balance(accounts.get(transfer.from.as_str())?);
    let to = balance(accounts.get(transfer.to.as_str())?);
    accounts.update(transfer.from.as_str(), json!({ "balance": from - transfer.amount }))?;
    accounts.update(transfer.to.as_str(), json!({ "balance": to + transfer.amount }))?;
    accounts.insert(transfer.opened.to_value())?;
    Ok(())
}

pub fn balance(record: Option<Record>) -> i64 {
    let balance = record.and_then(|record| record.get("balance"));
    balance.as_ref().and_then(Value::as_i64).expect("every loaded account has a balance")
}

fn hand_out(record: &Record, form: Form) -> Result<usize> {
    Ok(match form {
        Form::Text => {
            let mut text = Vec::with_capacity(512);
            record.write_json(&mut text);
            std::hint::black_box(text).len()
        }
        Form::Value => {
            std::hint::black_box(record.to_json());
            1
        }
    })
}

/// The batches that Tandem's commit section makes out of transfers.
pub struct Recorded {
    pub batches: Vec<WriteBatch>,
}

impl Recorded {
    /// Keys and values of a batch, in bytes.
    pub fn bytes_per_transfer(&self) -> usize {
        self.batches.iter().map(bytes_of).sum::<usize>() / self.batches.len().max(1)
    }

    pub fn operations_per_transfer(&self) -> f64 {
        let operations: usize = self.batches.iter().map(WriteBatch::len).sum();
        operations as f64 / self.batches.len().max(1) as f64
    }
}

/// Runs `count` transfers by one client over the memory engine.
pub fn record_transfers(data: &DataSet, count: usize) -> Result<Recorded> {
    let (storage, watch) = watched(Arc::new(MemoryStorage::new()));
    let tandem = Tandem::over(storage, data, Durability::Buffered)?;
    watch.keep_batches(count);
    let (mut client, mut random) = (tandem.connect()?, Random::new(2));
    for serial in 0..count {
        client.transfer(&Transfer::new(data, serial as u64, &mut random))?;
    }
    Ok(Recorded { batches: watch.take_batches() })
}
