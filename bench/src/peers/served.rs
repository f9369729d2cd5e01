//! Tandem behind its socket: `tandem serve` as a process of its own over the disk
//! engine, with default settings but for the accounts' bucket, and `tandem-client`
//! on the other side.
//!
//! A client is a thread with one socket and a runtime of its own, as a program
//! that uses the server would have; it may have several requests under way. A
//! transfer is one batch and thus one request: both accounts are read, both
//! updated by `$inc`, and the new one is inserted, in one serializable transaction
//! which the server runs again on a conflict.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tandem_client::Batch;
use tandem_storage::Durability;
use tokio::runtime::Runtime;

use crate::data::{Account, BUCKET, DataSet, Transfer};
use crate::measure::{Lap, Part};
use crate::peer::{Client, Form, Peer, Request, Result};
use crate::process::Serving;
use crate::random::Random;
use crate::relay::{Relay, Sizes};
use crate::workload::Requests;

/// A bucket of one record, whose `n` is updated for those who follow it.
pub const TICKS: &str = "ticks";

pub struct Served {
    serving: Serving,
    directory: PathBuf,
    durability: Durability,
    named: bool,
}

impl Served {
    /// Starts and loads a server; writes are answered when they survive a power
    /// cut.
    pub fn start(directory: &Path, data: &DataSet) -> Result<Self> {
        Self::start_with(directory, data, Durability::Sync, true)
    }

    /// Starts and loads a server whose writes are answered when they survive this, and
    /// whose clients name their transfers, so that they could send them again, or not.
    pub fn start_with(
        directory: &Path,
        data: &DataSet,
        durability: Durability,
        named: bool,
    ) -> Result<Self> {
        let file = directory.join("config.json");
        std::fs::write(&file, config(durability).to_string())?;
        let mut arguments = vec!["serve".into(), "--listen".into(), "127.0.0.1:0".into()];
        arguments.extend(["--data".into(), directory.join("tandem").into_os_string()]);
        arguments.extend(["--config".into(), file.into_os_string()]);
        let served = Self {
            serving: Serving::start(arguments)?,
            directory: directory.to_owned(),
            durability,
            named,
        };
        let SocketClient { runtime, client, .. } = served.client()?;
        runtime.block_on(async {
            for accounts in data.chunks(1_000) {
                let accounts = accounts.iter().map(Account::to_value).collect();
                client.bucket(BUCKET).insert_many(accounts).await?;
            }
            client.bucket(TICKS).insert(json!({ "id": 1, "n": 0 })).await
        })?;
        Ok(served)
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.serving.address())
    }

    fn client(&self) -> Result<SocketClient> {
        SocketClient::connect(&self.url(), self.named)
    }

    /// The bytes of these requests and their answers, on the wire. What is
    /// inserted meanwhile is deleted again.
    pub fn sizes(&self, requests: &Requests) -> Result<Sizes> {
        const COUNT: usize = 20;
        let relay = Relay::start(self.serving.address())?;
        let client = SocketClient::connect(&format!("ws://{}/", relay.address()), self.named)?;
        let mut random = Random::new(1);
        let random = RefCell::new(&mut random);
        let mut inserted = Vec::new();
        let sizes = relay.sizes(COUNT, || {
            client.runtime.block_on(async {
                for _ in 0..COUNT {
                    inserted.extend(client.make(requests, &random).await?);
                }
                Ok(())
            })
        })?;
        client.runtime.block_on(async {
            for id in inserted {
                client.client.bucket(BUCKET).delete(id).await?;
            }
            Ok(sizes)
        })
    }
}

fn config(durability: Durability) -> Value {
    let durability = if durability == Durability::Sync { "sync" } else { "buffered" };
    json!({ "store": { "durability": durability, "buckets": {
        BUCKET: {
            "key": "id",
            "schema": {
                "id": { "type": "string", "required": true },
                "email": { "type": "string", "required": true },
                "city": { "type": "string", "required": true },
                "balance": { "type": "number", "required": true },
            },
            "indexes": [{ "fields": ["email"], "unique": true }, "city", "balance"],
        },
        TICKS: { "key": "id", "schema": { "id": {} } },
    } } })
}

impl Peer for Served {
    fn durability(&self) -> &str {
        match self.durability {
            Durability::Sync => "power cut: fdatasync",
            Durability::Buffered => "process kill",
        }
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }

    fn resident_bytes(&self) -> Option<u64> {
        self.serving.resident_bytes()
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(self.client()?))
    }

    fn count(&self) -> Result<Option<u64>> {
        let SocketClient { runtime, client, .. } = self.client()?;
        Ok(Some(runtime.block_on(client.bucket(BUCKET).find(json!({})).count())?))
    }

    fn processor_time(&self) -> Duration {
        self.serving.processor_time()
    }
}

struct SocketClient {
    runtime: Runtime,
    client: tandem_client::Client,
    named: bool,
}

impl SocketClient {
    fn connect(url: &str, named: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(tandem_client::Client::connect(url))?;
        Ok(Self { runtime, client, named })
    }

    /// Makes one request; answers the key of the record that it leaves behind.
    async fn make(
        &self,
        requests: &Requests,
        random: &RefCell<&mut Random>,
    ) -> Result<Option<String>> {
        let accounts = self.client.bucket(BUCKET);
        if requests.request == Request::Get {
            let id = DataSet::id(random.borrow_mut().below(requests.data.len()));
            return match accounts.get(id.as_str()).await? {
                Some(record) if record["id"] == id.as_str() => Ok(None),
                other => Err(format!("{id} was asked for and {other:?} came").into()),
            };
        }
        let Transfer { from, to, amount, opened } = requests.draw(&mut random.borrow_mut());
        if requests.request == Request::Insert {
            accounts.insert(opened.to_value()).await?;
        } else {
            let batch = Batch::new()
                .get(BUCKET, from)
                .update(BUCKET, to, adding(amount), None)
                .insert(BUCKET, opened.to_value());
            self.client.batch(batch).await?;
        }
        Ok(Some(opened.id))
    }
}

fn adding(amount: i64) -> Value {
    json!({ "$inc": { "balance": amount } })
}

impl Client for SocketClient {
    fn transfer(&mut self, transfer: &Transfer) -> Result<u64> {
        let Transfer { from, to, amount, opened } = transfer;
        let batch = Batch::new()
            .get(BUCKET, from.as_str())
            .get(BUCKET, to.as_str())
            .update(BUCKET, from.as_str(), adding(-amount), None)
            .update(BUCKET, to.as_str(), adding(*amount), None)
            .insert(BUCKET, opened.to_value())
            .named(self.named);
        self.runtime.block_on(self.client.batch(batch))?;
        Ok(0)
    }

    /// The client decodes what it gets, so there is no cheaper form.
    fn read(&mut self, id: &str, form: Form) -> Result<usize> {
        let Some(record) = self.runtime.block_on(self.client.bucket(BUCKET).get(id))? else {
            return Ok(0);
        };
        Ok(if form == Form::Text { record.to_string().len() } else { 1 })
    }

    fn requests(&mut self, requests: &Requests, part: &mut Part<'_>) -> Result<()> {
        let Part { random, round, tally } = part;
        let (random, tally) = (RefCell::new(random), RefCell::new(tally));
        let client = &*self;
        let one_by_one = async || -> Result<()> {
            let mut lap = Lap::begin(round);
            while !round.is_over() {
                client.make(requests, &random).await?;
                lap = lap.end(0, round, &mut tally.borrow_mut());
            }
            Ok(())
        };
        self.runtime.block_on(async {
            let mut all: FuturesUnordered<_> =
                (0..requests.in_flight).map(|_| one_by_one()).collect();
            while let Some(ended) = all.next().await {
                ended?;
            }
            Ok(())
        })
    }
}
