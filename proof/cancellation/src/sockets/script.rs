use serde_json::{Value, json};
use tandem_server::Occupied;

use crate::rehearsal::Rehearsal;
use crate::sockets::stand::{Client, Served, Stand};
use crate::sockets::wire::text;

/// What a client sends: requests that come to one commit, with the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// A transaction that stays open between its requests, under a key.
    Transaction,
    /// The same in one request.
    Batch,
    /// One write that commits by itself.
    Insert,
    /// One write of several records.
    UpdateMany,
}

const KEY: &str = "request 4711";

impl Script {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Transaction, Self::Batch, Self::Insert, Self::UpdateMany];

    /// The name of its commit.
    #[must_use]
    pub fn key(self) -> Option<&'static [u8]> {
        matches!(self, Self::Transaction | Self::Batch).then_some(KEY.as_bytes())
    }

    /// The requests; `transaction` is the handle of the one that they begin.
    #[must_use]
    pub fn requests(self, transaction: &str) -> Vec<(&'static str, Value)> {
        let dan = json!({ "id": 4, "owner": "dan", "email": "dan@x", "tags": ["a", "d"] });
        let eve = json!({ "balance": 70, "owner": "eve", "tags": ["b", "e"] });
        match self {
            Self::Transaction => {
                let within = |mut fields: Value| {
                    fields["transaction"] = transaction.into();
                    fields
                };
                vec![
                    ("store.begin", json!({})),
                    ("store.lock", within(json!({ "bucket": "accounts", "key": 1 }))),
                    (
                        "store.update",
                        within(json!({ "bucket": "accounts", "key": 1, "data": eve })),
                    ),
                    ("store.insert", within(json!({ "bucket": "accounts", "data": dan }))),
                    ("store.delete", within(json!({ "bucket": "accounts", "key": 3 }))),
                    ("store.commit", within(json!({ "idempotencyKey": KEY }))),
                ]
            }
            Self::Batch => vec![(
                "store.transaction",
                json!({ "idempotencyKey": KEY, "operations": [
                    { "op": "update", "bucket": "accounts", "key": 1, "data": eve },
                    { "op": "insert", "bucket": "accounts", "data": dan },
                    { "op": "delete", "bucket": "accounts", "key": 3 },
                    { "op": "where", "bucket": "accounts", "filter": { "owner": "eve" } },
                ] }),
            )],
            Self::Insert => vec![("store.insert", json!({ "bucket": "accounts", "data": dan }))],
            Self::UpdateMany => vec![(
                "store.updateMany",
                json!({ "bucket": "accounts", "filter": { "tags": "b" },
                    "data": { "owner": "all", "tags": ["z"] } }),
            )],
        }
    }

    /// The bytes of each request, as the first client of a server sends them.
    #[must_use]
    pub fn bytes(self) -> Vec<Vec<u8>> {
        let requests = self.requests(FIRST).into_iter().enumerate();
        requests
            .map(|(index, (kind, mut fields))| {
                fields["id"] = (index + 1).into();
                fields["type"] = kind.into();
                text(&fields.to_string())
            })
            .collect()
    }

    /// Has a client of a new connection send it again, one request after the
    /// other; answers the last answer.
    ///
    /// # Panics
    /// If there is none.
    pub async fn repeat(self, stand: &Stand) -> Value {
        let (mut served, mut client) = stand.connect(1 << 16);
        let mut transaction = String::new();
        let mut last = Value::Null;
        for at in 0..self.requests("").len() {
            let (kind, fields) = self.requests(&transaction).swap_remove(at);
            let id = client.post(kind, &fields);
            stand.settle(&mut served, &mut client).await;
            last = client.answer(id).expect("an answer");
            if let Some(handle) = last["data"]["transaction"].as_str() {
                transaction = handle.to_owned();
            }
        }
        client.close();
        stand.settle(&mut served, &mut client).await;
        assert!(served.is_over());
        last
    }
}

/// The handle of the first transaction that a server begins.
const FIRST: &str = "tx-1";

/// A script that was played to its end, undisturbed.
#[derive(Clone, Debug)]
pub struct Played {
    /// The script.
    pub script: Script,
    /// Everything stored, without and with its commit.
    pub rehearsal: Rehearsal,
    /// The bytes of its requests.
    pub requests: Vec<Vec<u8>>,
    /// How many steps it took.
    pub steps: u64,
    /// How many store calls had been asked for when the last request had begun.
    pub calls: usize,
    /// How many bytes the client heard.
    pub heard: usize,
    /// The answer to the last request.
    pub answer: Value,
    /// What the watcher was sent: of the changes, of the query.
    pub pushed: (Vec<Value>, Vec<Value>),
}

impl Played {
    /// Plays it.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn new(script: Script) -> Self {
        let stand = Stand::new();
        let mut watcher = stand.watch().await;
        let before = stand.stage.picture();
        let idle = stand.queue.begun();
        let (mut served, mut client) = stand.connect(1 << 16);
        let requests = script.bytes();
        client.outgoing = requests.concat();
        let steps = stand.run(&mut served, &mut client, |_, _, _| {}).await;
        let answers = client.frames();
        let answer = client.answer(requests.len() as u64).expect("an answer");
        assert!(answers.iter().all(|frame| frame["type"] != "error"), "{answers:?}");
        // One call for each request; what is pushed may need some more.
        let calls = idle + requests.len();
        let heard = client.heard.len();
        client.close();
        stand.settle(&mut served, &mut client).await;
        stand.listen(&mut watcher).await;
        let pushed = (watcher.pushes("changes"), watcher.pushes("subscription"));
        assert_eq!(pushed.0.len(), 1, "{pushed:?}");
        let commits = stand.stage.followed();
        let [commit] = commits[..] else { panic!("one commit, not {commits:?}") };
        let after = stand.stage.picture();
        let rehearsal = Rehearsal { before, after, points: 0, commit };
        Self { script, rehearsal, requests, steps, calls, heard, answer, pushed }
    }

    /// When the connection has gone: all or nothing, nothing left, the watcher
    /// got it whole; and then, if `again`, asking again gets the first answer and
    /// the next one can write. Answers whether it was committed.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub async fn audit(
        &self,
        stand: &Stand,
        watcher: Option<&mut Client>,
        again: bool,
    ) -> Result<bool, String> {
        let key = self.script.key();
        let committed = self.rehearsal.audit(&stand.stage, key)?;
        if let Some(watcher) = watcher {
            stand.listen(watcher).await;
            let pushed = (watcher.pushes("changes"), watcher.pushes("subscription"));
            let expected = if committed { self.pushed.clone() } else { (Vec::new(), Vec::new()) };
            if pushed != expected {
                return Err(format!("committed: {committed}, the watcher got {pushed:?}"));
            }
            let (left, watching) = (
                stand.server.occupied(),
                Occupied { connections: 1, subscriptions: 2, transactions: 0 },
            );
            if left != watching {
                return Err(format!("the server still holds {left:?}"));
            }
        }
        if !again {
            return Ok(committed);
        }
        let mut again = self.script.repeat(stand).await;
        again["id"] = self.answer["id"].clone();
        let refused = committed && self.script == Script::Insert;
        if refused {
            if again["code"] != "ALREADY_EXISTS" {
                return Err(format!("committed, and inserted once more: {again}"));
            }
        } else if again != self.answer && !(committed && key.is_none()) {
            return Err(format!(
                "committed: {committed}, asked again it answers {again}, at first {}",
                self.answer
            ));
        }
        if key.is_some() && !self.rehearsal.tell(&stand.stage.picture())? {
            return Err("asked again, it is not there".to_owned());
        }
        stand.stage.goes_on()?;
        Ok(committed)
    }
}

/// A connection that is taken away after each step in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its future is dropped.
    Future,
    /// The client closes without a word.
    Client,
    /// The server stops.
    Server,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Future, Self::Client, Self::Server];

    /// It happens.
    pub fn strike(self, stand: &Stand, served: &mut Served, client: &mut Client) {
        match self {
            Self::Future => served.drop_future(),
            Self::Client => client.close(),
            Self::Server => stand.server.stop(std::time::Duration::ZERO),
        }
    }
}
