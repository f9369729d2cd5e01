//! The served process: started, measured, stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A process that does not answer in this time hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Settings that make every limit reachable.
fn config() -> Value {
    let plain = json!({ "key": "id", "schema": { "id": {} } });
    json!({
        "maxPayloadBytes": 65_536,
        "heartbeat": { "intervalMs": 3_000, "timeoutMs": 3_000 },
        "backpressure": { "maxBufferedBytes": 131_072, "highWaterMark": 0.5 },
        "connectionLimits": { "maxSubscriptionsPerConnection": 8, "maxTransactionsPerConnection": 4 },
        "store": {
            "ttlCheckIntervalMs": 500,
            "buckets": {
                "accounts": { "key": "id", "schema": { "id": {}, "balance": { "type": "number", "min": 0 } } },
                "counters": plain,
                "items": { "key": "id", "schema": { "id": {}, "group": {} }, "indexes": ["group"] },
                "sessions": { "key": "id", "ttl": 1_000,
                    "schema": { "id": { "type": "string", "generated": "uuid" } } },
            },
            "queries": {
                "rich": { "bucket": "accounts", "filter": { "balance": { "$gte": "{{ params.least }}" } } },
                "sizes": { "bucket": "items", "aggregate": { "function": "count", "groupBy": "group" } },
                "some": { "bucket": "items", "filter": { "group": "{{ params.group }}" }, "sort": "-n", "limit": 20 },
            },
        },
    })
}

/// A running server.
#[derive(Debug)]
pub struct Served {
    child: Child,
    pub address: SocketAddr,
}

impl Served {
    /// Starts `program serve` on an empty directory and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start(program: &Path, directory: &Path) -> Self {
        let file = directory.join("config.json");
        std::fs::write(&file, config().to_string()).expect("the config is written");
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(directory.join("data"))
            .arg("--config")
            .arg(&file)
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server is started");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("ready in time");
        let line = line.expect("a line").expect("the server says that it is ready");
        let ready: Value = serde_json::from_str(&line).expect("the ready line is JSON");
        let address = ready["listen"].as_str().and_then(|text| text.parse().ok());
        Self { child, address: address.expect("an address") }
    }

    fn id(&self) -> u32 {
        self.child.id().expect("the server runs")
    }

    /// Resident memory, in KiB.
    ///
    /// # Panics
    /// When the process has ended.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(path).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("VmRSS")
    }

    /// Open file descriptors.
    ///
    /// # Panics
    /// When the process has ended.
    #[must_use]
    pub fn open_files(&self) -> u64 {
        let path = format!("/proc/{}/fd", self.id());
        std::fs::read_dir(path).expect("the server runs").count() as u64
    }

    /// The page at `/metrics`.
    ///
    /// # Panics
    /// When there is none.
    pub async fn metrics(&self) -> String {
        let get = async {
            let mut socket = TcpStream::connect(self.address).await?;
            let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            socket.write_all(request).await?;
            let mut page = String::new();
            socket.read_to_string(&mut page).await?;
            Ok::<_, std::io::Error>(page)
        };
        timeout(PATIENCE, get).await.expect("the metrics in time").expect("the metrics")
    }

    /// Asks it to stop, as an operator does; whether it ended well.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(mut self) -> bool {
        let kill = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().await;
        assert!(kill.expect("kill runs").success(), "the server runs");
        let ended = timeout(PATIENCE, self.child.wait()).await.expect("it ends in time");
        ended.expect("an exit code").success()
    }
}
