//! What is there before each case: three buckets, six records, one query.

use serde_json::{Value, json};
use tandem::{ChangeLogOptions, Limits, Store};
use tandem_server::{Config, RunningServer, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::script::{Before, Case};
use crate::support::{Client, listening};

/// A server of its own, and two sockets.
pub struct World {
    pub server: RunningServer,
    pub a: Client,
    pub b: Client,
    expose_details: bool,
}

impl World {
    pub async fn new(case: &Case) -> Self {
        let mut config = json!({
            "store": {
                "data": null,
                "buckets": {
                    "items": { "key": "id", "schema": { "id": {}, "n": {}, "text": {} }, "indexes": ["n"] },
                    "teams": { "key": "id", "schema": { "id": {} } },
                    "members": { "key": "id", "schema": {
                        "id": {}, "email": { "type": "string", "unique": true }, "team": { "ref": "teams" } } },
                },
                "queries": { "all": { "bucket": "items" } },
            },
        });
        for (key, value) in case.config.iter().flat_map(|config| config.as_object()).flatten() {
            config[key] = value.clone();
        }
        let config = Config::from_json(&config).expect("the config is valid");
        let expose_details = config.expose_error_details;
        let mut builder = Store::builder().memory().limits(limits(case.limits.as_ref()));
        if case.trim {
            // The clock of the entries has to pass it, so every entry is too old.
            builder = builder
                .change_log(ChangeLogOptions { max_bytes: 1, ..ChangeLogOptions::default() });
        }
        let store = builder.open().expect("a store");
        let options = listening(config).admin_listen("127.0.0.1:0").store(store);
        let server = Server::start(options).await.expect("the server starts");
        let a = Client::connect(&server).await;
        let b = Client::connect(&server).await;
        let mut world = Self { server, a, b, expose_details };
        world.fill().await;
        if case.trim {
            world.server.store().maintain().expect("the log is trimmed");
        }
        world
    }

    async fn fill(&mut self) {
        for (bucket, data) in [
            ("items", json!({ "id": 1, "n": 10, "text": "a" })),
            ("items", json!({ "id": 2, "n": 20, "text": "b" })),
            ("items", json!({ "id": 3, "n": 30, "text": "c" })),
            ("teams", json!({ "id": "t" })),
            ("members", json!({ "id": 1, "email": "ada@x", "team": "t" })),
            ("members", json!({ "id": 2, "email": "bob@x" })),
        ] {
            self.a.ok("store.insert", json!({ "bucket": bucket, "data": data })).await;
        }
    }

    /// What comes before the case's request.
    pub async fn prepare(&mut self, case: &Case) {
        for before in &case.before {
            match before.clone() {
                Before::Same(kind, fields) => drop(self.a.ok(&kind, fields).await),
                Before::Other(kind, fields) => drop(self.b.ok(&kind, fields).await),
                Before::OtherMeanwhile(kind, fields) => drop(self.b.post(&kind, fields).await),
            }
        }
    }

    /// The case's request, with `fields` in place of its own.
    pub async fn ask(&mut self, case: &Case, fields: Value) -> Value {
        if case.administrators {
            return self.post(&case.kind, fields).await;
        }
        loop {
            let answer = self.a.request(&case.kind, fields.clone()).await;
            if case.repeat.as_deref().is_none_or(|code| answer["code"] != code) {
                return answer;
            }
        }
    }

    async fn post(&self, kind: &str, mut fields: Value) -> Value {
        fields["id"] = 1.into();
        fields["type"] = kind.into();
        let body = fields.to_string();
        let address = self.server.admin_address().expect("an address");
        let mut socket = TcpStream::connect(address).await.expect("the server accepts");
        let head = format!(
            "POST /rpc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all((head + &body).as_bytes()).await.expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }

    pub fn exposes_details(&self) -> bool {
        self.expose_details
    }
}

fn limits(given: Option<&Value>) -> Limits {
    let mut limits = Limits::default();
    for (name, value) in given.and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_u64().and_then(|n| usize::try_from(n).ok()).expect("a number");
        let setting = match name.as_str() {
            "resultRows" => &mut limits.query.result_rows,
            "resultBytes" => &mut limits.query.result_bytes,
            "sortRows" => &mut limits.query.sort_rows,
            "sortBytes" => &mut limits.query.sort_bytes,
            "groups" => &mut limits.query.groups,
            "pipelineBytes" => &mut limits.query.pipeline_bytes,
            "batchOperations" => &mut limits.batch_operations,
            "transactionBytes" => &mut limits.transaction.write_set_bytes,
            "savepoints" => &mut limits.transaction.savepoints,
            "locksPerTransaction" => &mut limits.transaction.locks_per_transaction,
            "openTransactions" => &mut limits.transaction.open_transactions,
            _ => panic!("unknown limit {name}"),
        };
        *setting = value;
    }
    limits
}
