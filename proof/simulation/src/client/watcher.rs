//! Stored queries that are watched: each result is the query's answer at some
//! revision, later and later, and the last one is the newest.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Client, Failure};
use crate::workload;

const QUERIES: [(&str, &str); 6] = [
    ("rich", "accounts"),
    ("reds", "items"),
    ("everything", "items"),
    ("richest", "accounts"),
    ("colors", "items"),
    ("increments", "counters"),
];

/// How long a result may be stale while the connection lives.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);

/// One watched query.
struct Watched {
    query: &'static str,
    bucket: &'static str,
    subscription: String,
    /// The result is of this revision or a later one.
    since: u64,
    result: Value,
}

/// Slow ones watch all queries over one connection, and do not read for
/// seconds.
pub(super) async fn run(client: &mut Client) {
    let one = QUERIES[client.world.core.dice.below(QUERIES.len())];
    let queries = if client.slow { QUERIES.to_vec() } else { vec![one] };
    loop {
        let setbacks = client.world.core.history().setbacks();
        if let Some(mut watched) = subscribe(client, &queries).await
            && watch(client, &mut watched, setbacks).await
        {
            return;
        }
        client.hang_up();
        sleep(client.world.core.dice.millis(10, 200)).await;
    }
}

async fn subscribe(
    client: &mut Client,
    queries: &[(&'static str, &'static str)],
) -> Option<Vec<Watched>> {
    let mut all = Vec::new();
    for (query, bucket) in queries.iter().copied() {
        let since = client.world.core.history().newest();
        let answer = client.call("store.subscribe", json!({ "query": query })).await;
        let mut answer = answer.ok()?;
        let subscription = answer["subscriptionId"].as_str()?.to_owned();
        let mut watched = Watched { query, bucket, subscription, since, result: Value::Null };
        watched.take(client, answer["data"].take());
        client.happened("queries watched");
        all.push(watched);
    }
    Some(all)
}

/// Until the end (true) or until the subscriptions are over.
async fn watch(client: &mut Client, all: &mut [Watched], setbacks: usize) -> bool {
    let mut stale = Duration::ZERO;
    loop {
        if client.slow && client.world.core.dice.chance(20) && !client.world.is_over() {
            sleep(client.world.core.dice.millis(500, 4_500)).await;
        }
        let wait = Duration::from_millis(500);
        match client.connected().await.push(wait).await {
            Err(Failure::Lost | Failure::Refused(_)) => return false,
            // It had arrived before a power cut undid what it tells.
            Ok(Some(_)) if client.world.core.history().setbacks() != setbacks => return false,
            Ok(Some(push)) => {
                stale = Duration::ZERO;
                if push["data"]["event"] == "resync" {
                    client.happened("subscriptions cut");
                    return false;
                }
                pushed(client, all, push);
                client.world.tempt_fate();
            }
            Ok(None) => {
                if all.iter().all(|watched| watched.is_newest(client)) {
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
                if stale > LONGEST_SILENCE {
                    client.violation("a watched query stays stale");
                }
            }
        }
    }
}

fn pushed(client: &Client, all: &mut [Watched], mut push: Value) {
    let of = all.iter_mut().find(|watched| push["subscriptionId"] == watched.subscription[..]);
    match of {
        Some(watched) if !push["data"].is_object() => {
            watched.take(client, push["data"].take());
            client.happened("results pushed");
        }
        _ => client.violation(format!("an unexpected push {push}")),
    }
}

impl Watched {
    fn take(&mut self, client: &Client, result: Value) {
        let result = workload::query_normalised(self.query, result);
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

    fn is_newest(&self, client: &Client) -> bool {
        let newest = client.world.core.history().newest();
        self.answer_at(client, newest) == self.result
    }

    fn answer_at(&self, client: &Client, revision: u64) -> Value {
        let records = client.world.core.history().bucket_at(self.bucket, revision);
        let mut matching: Vec<Value> =
            records.into_values().map(|record| (*record).clone()).collect();
        // Numbers and texts do not mix in one bucket's keys here.
        matching.sort_by(|one, other| {
            let number = |record: &Value| record["id"].as_u64();
            let text = |record: &Value| record["id"].as_str().map(str::to_owned);
            number(one).cmp(&number(other)).then_with(|| text(one).cmp(&text(other)))
        });
        workload::query_answer(self.query, matching)
    }
}
