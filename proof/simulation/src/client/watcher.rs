//! Stored queries that are watched: each result is the query's answer at some
//! revision, later and later, and the last one is the newest.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Client, Failure};
use crate::workload;

struct Watcher {
    query: &'static str,
    bucket: &'static str,
    /// The last result is of this revision or a later one.
    since: u64,
    result: Value,
}

const QUERIES: [(&str, &str); 3] =
    [("rich", "accounts"), ("reds", "items"), ("everything", "items")];

pub(super) async fn run(client: &mut Client, slow: bool) {
    let (query, bucket) = QUERIES[client.world.core.dice.below(QUERIES.len())];
    let mut watcher = Watcher { query, bucket, since: 0, result: Value::Null };
    loop {
        watcher.since = client.world.core.history().newest();
        match client.call("store.subscribe", json!({ "query": query })).await {
            Ok(mut answer) => {
                watcher.take(client, answer["data"].take());
                client.happened("queries watched");
                if watcher.watch(client, slow).await {
                    return;
                }
                client.hang_up();
            }
            Err(_) => sleep(client.world.core.dice.millis(10, 200)).await,
        }
    }
}

impl Watcher {
    /// Until the end (true) or until the subscription is over.
    async fn watch(&mut self, client: &mut Client, slow: bool) -> bool {
        let mut stale = Duration::ZERO;
        loop {
            if slow && client.world.core.dice.chance(20) && !client.world.is_over() {
                sleep(client.world.core.dice.millis(500, 4_500)).await;
            }
            let wait = Duration::from_millis(500);
            match client.connected().await.push(wait).await {
                Err(Failure::Lost | Failure::Refused(_)) => return false,
                Ok(Some(mut push)) if push["data"].is_array() => {
                    self.take(client, push["data"].take());
                    client.happened("results pushed");
                    stale = Duration::ZERO;
                }
                Ok(Some(push)) if push["data"]["event"] == "resync" => {
                    client.happened("subscriptions cut");
                    return false;
                }
                Ok(Some(push)) => client.violation(format!("an unexpected push {push}")),
                Ok(None) => {
                    let newest = client.world.core.history().newest();
                    if self.answer_at(client, newest) == self.result {
                        stale = Duration::ZERO;
                        if client.world.is_quiet() {
                            return true;
                        }
                        continue;
                    }
                    stale += wait;
                    let heard = client.connected().await.heard();
                    if Instant::now() - heard > Duration::from_secs(9) {
                        return false;
                    }
                    if stale > Duration::from_secs(15) {
                        client.violation(format!("the watched query {} is stale", self.query));
                    }
                }
            }
        }
    }

    fn take(&mut self, client: &Client, result: Value) {
        let later: Vec<u64> = {
            let history = client.world.core.history();
            history.after(self.since).map(|(revision, _)| revision).collect()
        };
        let mut revisions = std::iter::once(self.since).chain(later);
        match revisions.find(|revision| self.answer_at(client, *revision) == result) {
            Some(revision) => self.since = revision,
            None => client.violation(format!(
                "the query {} answered {result} after revision {}: it never was so",
                self.query, self.since
            )),
        }
        self.result = result;
    }

    fn answer_at(&self, client: &Client, revision: u64) -> Value {
        let records = client.world.core.history().bucket_at(self.bucket, revision);
        let mut matching: Vec<Value> = records
            .into_values()
            .filter(|record| workload::query_matches(self.query, record))
            .map(|record| (*record).clone())
            .collect();
        // Numbers and texts do not mix in one bucket's keys here.
        matching.sort_by(|one, other| {
            let number = |record: &Value| record["id"].as_u64();
            let text = |record: &Value| record["id"].as_str().map(str::to_owned);
            number(one).cmp(&number(other)).then_with(|| text(one).cmp(&text(other)))
        });
        matching.into()
    }
}
