//! Following the changes, over any number of connections and restarts: every
//! commit after a revision once, in order, whole, or a typed resync.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Client, Failure};
use crate::history::Told;
use crate::workload;

/// How long a subscription may say nothing while there is something to say and
/// the connection lives.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);

struct Follower {
    /// Everything up to here was delivered; `None` = to be chosen anew.
    position: Option<u64>,
    /// `None` = every bucket.
    buckets: Option<Vec<&'static str>>,
    /// The records that are handed over before the commits, so far.
    handover: Option<Handover>,
    silent: Duration,
    /// The setbacks of the history when the position was learned.
    setbacks: usize,
}

/// Records that are handed over: by bucket and key, all of one revision.
struct Handover {
    revision: u64,
    records: BTreeMap<(String, String), Value>,
}

/// What became of a subscription.
enum Over {
    Lost,
    Resync,
    Finished,
}

pub(super) async fn run(client: &mut Client) {
    let dice = &client.world.core.dice;
    let buckets = match dice.below(3) {
        0 => None,
        1 => Some(vec!["accounts"]),
        _ => Some(vec!["items", "claims", "sessions"]),
    };
    let position = dice.chance(70).then_some(0);
    let mut follower =
        Follower { position, buckets, handover: None, silent: Duration::ZERO, setbacks: 0 };
    while let Some(id) = follower.subscribe(client).await {
        match follower.follow(client, &id).await {
            Over::Finished => return,
            Over::Lost => {
                if follower.handover.take().is_some() {
                    // A part of the records is of no use.
                    client.happened("handovers cut short");
                    follower.position = None;
                }
                client.hang_up();
            }
            Over::Resync => {
                client.happened("resyncs");
                (follower.position, follower.handover) = (None, None);
            }
        }
    }
}

impl Follower {
    async fn subscribe(&mut self, client: &mut Client) -> Option<String> {
        loop {
            let mut fields = json!({});
            if let Some(buckets) = &self.buckets {
                fields["buckets"] = json!(buckets);
            }
            let mut with_initial = false;
            if let Some(position) = self.position {
                fields["from"] = position.into();
            } else if client.world.core.dice.chance(50) {
                fields["includeInitial"] = true.into();
                with_initial = true;
            }
            client.world.tempt_fate();
            let answer = client.call("store.subscribeChanges", fields).await;
            let lost = self.is_lost(client);
            match answer {
                Ok(answer) => {
                    if lost {
                        client.violation(format!(
                            "G8: subscribed from {:?}, which a power cut has undone",
                            self.position
                        ));
                    }
                    let revision = answer["revision"].as_u64();
                    if self.position.is_some() && self.position != revision {
                        client.violation(format!(
                            "G8: subscribed from {:?}, answered {answer}",
                            self.position
                        ));
                    }
                    self.learn(client, revision);
                    self.handover = revision.filter(|_| with_initial).map(|revision| {
                        client.happened("handovers");
                        Handover { revision, records: BTreeMap::new() }
                    });
                    self.silent = Duration::ZERO;
                    client.happened("subscriptions");
                    return answer["subscriptionId"].as_str().map(str::to_owned);
                }
                Err(Failure::Refused(refusal)) if refusal.code == "RESYNC_REQUIRED" => {
                    let oldest = refusal.frame["details"]["oldestRevision"].as_u64();
                    if lost {
                        client.happened("positions lost");
                    } else {
                        self.check_resync(client, oldest);
                    }
                    client.happened("resyncs");
                    self.position = None;
                }
                Err(_) => sleep(client.world.core.dice.millis(10, 200)).await,
            }
        }
    }

    async fn follow(&mut self, client: &mut Client, id: &str) -> Over {
        loop {
            if client.slow && client.world.core.dice.chance(30) && !client.world.is_over() {
                // Not even heartbeats are answered.
                sleep(client.world.core.dice.millis(100, 3_500)).await;
            }
            if client.world.core.dice.chance(1) && !client.world.is_over() {
                client.happened("followers hang up");
                return Over::Lost;
            }
            let wait = Duration::from_millis(500);
            let push = match client.connected().await.push(wait).await {
                Ok(push) => push,
                Err(_) => return Over::Lost,
            };
            let Some(push) = push else {
                if self.is_finished(client) {
                    return Over::Finished;
                }
                if self.hears_nothing(client, wait).await {
                    return Over::Lost;
                }
                continue;
            };
            if client.world.core.history().setbacks() != self.setbacks {
                // It had arrived before a power cut undid it.
                return Over::Lost;
            }
            self.silent = Duration::ZERO;
            if push["channel"] != "changes" || push["subscriptionId"] != id {
                continue;
            }
            if let Some(over) = self.take(client, &push["data"]) {
                return over;
            }
        }
    }

    /// Whether the connection is dead; a living one that says nothing is a
    /// violation.
    async fn hears_nothing(&mut self, client: &mut Client, waited: Duration) -> bool {
        if self.handover.is_none() && self.pending(client).is_none() {
            self.silent = Duration::ZERO;
            return false;
        }
        self.silent += waited;
        let heard = client.connected().await.heard();
        if Instant::now() - heard > Duration::from_secs(9) {
            return true;
        }
        if self.silent > LONGEST_SILENCE {
            client.violation(format!(
                "G8: the subscription from {:?} says nothing, but revision {:?} is there",
                self.position,
                self.pending(client)
            ));
        }
        false
    }

    fn take(&mut self, client: &mut Client, data: &Value) -> Option<Over> {
        let position = self.position.unwrap_or(0);
        let revision = data["revision"].as_u64().unwrap_or(0);
        match data["event"].as_str() {
            None if data["initial"] == true => self.take_initial(client, data),
            None => {
                if self.handover.is_some() {
                    client.violation("G8: a commit before all records were handed over");
                }
                self.check_commit(client, data);
                self.learn(client, Some(revision));
                client.happened("commits followed");
            }
            Some("progress") => {
                if let Some(missed) = self.pending(client)
                    && missed <= revision
                {
                    client.violation(format!(
                        "G8: progress from {position} to {revision} leaves out {missed}"
                    ));
                }
                if revision < position {
                    client.violation(format!("G8: progress goes back to {revision}"));
                }
                self.learn(client, Some(revision));
            }
            Some("bucketDropped") => {}
            Some("resync") => {
                if data.get("revision").is_none() {
                    self.check_resync(client, data["oldestRevision"].as_u64());
                } else if client.world.plan.weather.read_errors {
                    client.happened("resyncs after read errors");
                } else {
                    client.violation("G8: a resync for no reason");
                }
                return Some(Over::Resync);
            }
            Some(event) => client.violation(format!("G8: an event {event}")),
        }
        None
    }

    /// Each record once, all of one revision, and in the end all that there
    /// were.
    fn take_initial(&mut self, client: &mut Client, data: &Value) {
        let Some(handover) = &mut self.handover else {
            client.violation(format!("G8: records were handed over after the last: {data}"));
            return;
        };
        if data["revision"] != handover.revision {
            client.violation(format!("G8: records of {}: {data}", handover.revision));
        }
        for change in data["changes"].as_array().into_iter().flatten() {
            let bucket = change["bucket"].as_str().unwrap_or_default().to_owned();
            let name = (bucket, change["key"].to_string());
            let is_insert = change["type"] == "insert" && change.get("before").is_none();
            let record = change["after"].clone();
            if !is_insert || handover.records.insert(name, record).is_some() {
                client.violation(format!("G8: {change} was handed over, or twice"));
            }
        }
        client.happened("portions handed over");
        if data["last"] == false {
            return;
        }
        let Some(Handover { revision, records }) = self.handover.take() else { return };
        for (bucket, _) in workload::buckets() {
            if self.buckets.as_ref().is_some_and(|buckets| !buckets.contains(&bucket)) {
                continue;
            }
            let there = client.world.core.history().bucket_at(bucket, revision);
            let there: BTreeMap<&str, &Value> =
                there.iter().map(|(key, record)| (key.as_str(), &**record)).collect();
            let told: BTreeMap<&str, &Value> = records
                .iter()
                .filter(|((of, _), _)| of == bucket)
                .map(|((_, key), record)| (key.as_str(), record))
                .collect();
            if there != told {
                client.violation(format!(
                    "G8: of {bucket} at {revision} there was {there:?}, handed over was {told:?}"
                ));
            }
        }
    }

    fn learn(&mut self, client: &Client, position: Option<u64>) {
        self.position = position;
        self.setbacks = client.world.core.history().setbacks();
    }

    fn is_lost(&self, client: &Client) -> bool {
        let history = client.world.core.history();
        self.position.is_some_and(|position| history.is_lost(position, self.setbacks))
    }

    fn check_commit(&self, client: &Client, data: &Value) {
        let core = client.world.core.clone();
        let history = core.history();
        let mut later = history.after(self.position.unwrap_or(0));
        let next = later.find_map(|(revision, told)| {
            let changes = self.select(told);
            (!changes.is_empty()).then(|| json!({ "revision": revision, "changes": changes }))
        });
        if next.as_ref() != Some(data) {
            client.violation(format!(
                "G8: after {:?} comes {}, the follower got {data}",
                self.position,
                next.unwrap_or_default()
            ));
        }
    }

    fn check_resync(&self, client: &Client, oldest: Option<u64>) {
        let trimmed = client.world.core.history().trimmed_to();
        let position = self.position.unwrap_or(u64::MAX);
        if position >= trimmed || oldest.is_none_or(|oldest| oldest <= position) {
            client.violation(format!(
                "G8: a resync from {position} to {oldest:?}, but the log is there after {trimmed}"
            ));
        }
    }

    fn select<'a>(&self, told: &'a Told) -> Vec<&'a Value> {
        let covers =
            |bucket: &str| self.buckets.as_ref().is_none_or(|buckets| buckets.contains(&bucket));
        let changes = told.changes.iter().filter(|change| covers(&change.bucket));
        changes.map(|change| &change.json).collect()
    }

    /// The next commit that is to be delivered.
    fn pending(&self, client: &Client) -> Option<u64> {
        let history = client.world.core.history();
        let mut later = history.after(self.position.unwrap_or(0));
        later.find(|(_, told)| !self.select(told).is_empty()).map(|(revision, _)| revision)
    }

    fn is_finished(&self, client: &Client) -> bool {
        client.world.is_quiet() && self.handover.is_none() && self.pending(client).is_none()
    }
}
