//! The log says which request it speaks of, and which requests were slow.

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use support::{Client, http_get, items, serve_json};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let text = self.0.lock().expect("not poisoned").clone();
        String::from_utf8(text).expect("text").lines().map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

// Alone in its binary: what a thread without a log meets first would be silent
// for all of them.
#[tokio::test]
async fn a_slow_request_is_logged_with_its_type_and_outcome_and_counted() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = serve_json(json!({
        "slowRequestMs": 40, "store": { "data": null, "buckets": { "items": items() } },
    }))
    .await;
    let mut holder = Client::connect(&server).await;
    let mut waiter = Client::connect(&server).await;
    let lock = |transaction: &serde_json::Value| json!({ "transaction": transaction, "bucket": "items", "key": 1, "waitMs": 40 });
    let held = holder.ok("store.begin", json!({})).await["transaction"].clone();
    holder.ok("store.lock", lock(&held)).await;
    let waiting = waiter.ok("store.begin", json!({})).await["transaction"].clone();
    waiter.err("store.lock", lock(&waiting), "LOCK_TIMEOUT").await;

    let lines = log.lines();
    let slow: Vec<&String> = lines.iter().filter(|line| line.contains(" slow ")).collect();
    let all = lines.join("\n");
    // Of this one it is known; on a loaded machine any other may be slow as well.
    let lock =
        slow.iter().find(|line| line.contains("LOCK_TIMEOUT")).unwrap_or_else(|| panic!("{all}"));
    assert!(lock.contains("WARN") && lock.contains("store.lock"), "{lock}");
    assert!(lock.contains("connection=2"), "{lock}");
    let answered = lines.iter().any(|line| {
        line.contains("DEBUG") && line.contains("store.begin") && line.contains("outcome=\"ok\"")
    });
    assert!(answered, "{all}");
    let page = http_get(&server, "/metrics").await;
    let counted = format!("tandem_slow_requests_total {}", slow.len());
    assert!(page.lines().any(|line| line == counted), "{page}");

    // With 0, no request is slow.
    let server = serve_json(json!({ "slowRequestMs": 0 })).await;
    let mut client = Client::connect(&server).await;
    client.ok("store.buckets", json!({})).await;
    let page = http_get(&server, "/metrics").await;
    assert!(page.lines().any(|line| line == "tandem_slow_requests_total 0"), "{page}");
}
