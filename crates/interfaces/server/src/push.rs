//! What a connection's subscriptions have to say, and when.
//!
//! Nothing is queued for a subscription. A *query* subscription remembers the
//! revision that it was last evaluated at and a fingerprint of that result;
//! when a later commit has touched its bucket it is evaluated again, and the
//! result is pushed if it is another one. A *changes* subscription is a
//! position in the commits. Both run between the connection's requests, so an
//! answer always comes before the pushes that its request causes.
//!
//! ```text
//! commit ──> Feed (bucket → revision) ──> due? ──> evaluate ──> same? ──> Outbox
//! ```
//!
//! A client that does not read: above the outbox's mark results coalesce and
//! commits stay where they are; above its limit, after [`CUT_AFTER`], the
//! connection's subscriptions end with a push that says `resync`.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tandem::{Notice, Subscription};
use tandem_base::Code;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::data::{Data, write_value};
use crate::declarative::DeclarativeQuery;
use crate::frame;
use crate::limits::{Held, HeldName};
use crate::outbox::Outbox;
use crate::shared::Shared;
use crate::workers::Class;

/// How long a client whose buffer is above its limit has to catch up.
const CUT_AFTER: Duration = Duration::from_secs(2);

/// How often a changes subscription is asked whether it wants to say where it
/// is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// How long a query that could not be evaluated waits for the next try, unless
/// something else happens before.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Commits of one changes subscription that are sent before the others have
/// their turn.
const COMMITS_PER_TURN: usize = 64;

/// Ended subscriptions that a connection remembers: unsubscribing from one is
/// no error.
const REMEMBERED: usize = 1_000;

/// The subscriptions of one connection.
pub(crate) struct Subscriptions {
    active: BTreeMap<u64, Active>,
    ended: VecDeque<u64>,
    published: watch::Receiver<u64>,
    /// The feed's revision up to which everything was looked at.
    handled: u64,
    /// A changes subscription waits for room in the outbox.
    held_back: bool,
    /// A query could not be evaluated.
    failed: bool,
    hashers: (RandomState, RandomState),
}

struct Active {
    kind: Kind,
    _held: [Held; 2],
}

enum Kind {
    Query {
        name: HeldName,
        query: Arc<DeclarativeQuery>,
        evaluated_at: u64,
        last: u128,
    },
    /// `None` while it is being pulled.
    Changes(Option<Box<Subscription>>),
}

/// What became of one turn of a subscription.
enum Turn {
    Done,
    Ended,
    /// The client is too far behind: cut everything.
    Overflow,
}

impl Subscriptions {
    pub(crate) fn new(published: watch::Receiver<u64>) -> Self {
        Self {
            active: BTreeMap::new(),
            ended: VecDeque::new(),
            published,
            handled: 0,
            held_back: false,
            failed: false,
            hashers: (RandomState::new(), RandomState::new()),
        }
    }

    /// Adds a query whose first result is `first`, evaluated at the feed's
    /// revision `evaluated_at` or later.
    pub(crate) fn add_query(
        &mut self,
        id: u64,
        name: HeldName,
        query: Arc<DeclarativeQuery>,
        evaluated_at: u64,
        first: &Data,
        held: [Held; 2],
    ) {
        let last = self.fingerprint(first);
        let kind = Kind::Query { name, query, evaluated_at, last };
        self.active.insert(id, Active { kind, _held: held });
        self.handled = self.handled.min(evaluated_at);
    }

    /// Adds a position in the commits.
    pub(crate) fn add_changes(&mut self, id: u64, position: Subscription, held: [Held; 2]) {
        let kind = Kind::Changes(Some(Box::new(position)));
        self.active.insert(id, Active { kind, _held: held });
        // Commits after the asked revision may be there already.
        self.handled = 0;
    }

    /// Ends a subscription; whether there was one, now or before.
    pub(crate) fn remove(&mut self, id: u64, outbox: &Outbox) -> bool {
        if self.active.remove(&id).is_some() {
            outbox.forget(id);
            return true;
        }
        let before = self.ended.iter().position(|ended| *ended == id);
        before.is_some_and(|index| self.ended.remove(index).is_some())
    }

    /// Ends all of them.
    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    /// Waits until [`push_due`](Self::push_due) may have something to do. Safe
    /// to cancel: it changes nothing that matters.
    pub(crate) async fn woken(&mut self, outbox: &Outbox) {
        if self.active.is_empty() {
            return std::future::pending().await;
        }
        let has_changes =
            self.active.values().any(|active| matches!(active.kind, Kind::Changes(_)));
        let (held_back, failed) = (self.held_back, self.failed);
        tokio::select! {
            biased;
            changed = self.published.changed() => {
                if changed.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            () = outbox.below_mark(), if held_back => {}
            () = tokio::time::sleep(RETRY_INTERVAL), if failed => {}
            () = tokio::time::sleep(PROGRESS_INTERVAL), if has_changes => self.handled = 0,
        }
    }

    /// Sends what is due.
    pub(crate) async fn push_due(&mut self, shared: &Arc<Shared>, outbox: &Outbox) {
        if self.active.is_empty() {
            return;
        }
        if shared.feed.is_behind() && !shared.feed.catch_up_at_once() {
            let feed = shared.clone();
            let caught_up = shared.workers.run(Class::Read, move || {
                feed.feed.catch_up();
                Ok(())
            });
            if let Err(error) = caught_up.await {
                tracing::error!(%error, "following the commits failed");
            }
        }
        let newest = shared.feed.newest();
        if newest == self.handled && !self.held_back && !self.failed {
            return;
        }
        (self.held_back, self.failed) = (false, false);
        let ids: Vec<u64> = self.active.keys().copied().collect();
        for id in ids {
            let Some(active) = self.active.get_mut(&id) else { continue };
            let turn = match &mut active.kind {
                Kind::Changes(position) => match position.take() {
                    Some(position) => self.push_changes(id, position, shared, outbox).await,
                    None => Turn::Ended,
                },
                Kind::Query { query, evaluated_at, .. } => {
                    if !shared.feed.touched_since(query.bucket(), *evaluated_at) {
                        *evaluated_at = newest;
                        continue;
                    }
                    self.push_query(id, newest, shared, outbox).await
                }
            };
            match turn {
                Turn::Done => {}
                Turn::Ended => self.end(id),
                Turn::Overflow => return self.cut(shared, outbox),
            }
        }
        self.handled = newest;
    }

    async fn push_query(
        &mut self,
        id: u64,
        newest: u64,
        shared: &Arc<Shared>,
        outbox: &Outbox,
    ) -> Turn {
        let Some(Active { kind: Kind::Query { name, query, .. }, .. }) = self.active.get(&id)
        else {
            return Turn::Ended;
        };
        let (store, name, running) = (shared.store.clone(), name.name().to_owned(), query.clone());
        let outcome = shared
            .workers
            .run(Class::Read, move || {
                store.query_config(&name)?;
                running.evaluate(&store)
            })
            .await;
        let result = match outcome {
            Ok(result) => result,
            Err(error) => {
                let reason = match error.code() {
                    Code::BucketNotDefined => "bucket_dropped",
                    Code::QueryNotDefined => "query_undefined",
                    _ => {
                        // It is still due; the next try may find it well again.
                        self.failed = true;
                        tracing::warn!(subscription = id, %error, "a subscribed query failed");
                        return Turn::Done;
                    }
                };
                let bucket = query.bucket();
                let end = json!({ "event": "ended", "reason": reason, "bucket": bucket });
                outbox.forget(id);
                outbox.send(frame::push("subscription", id, end.to_string().as_bytes()));
                return Turn::Ended;
            }
        };
        let fingerprint = self.fingerprint(&result);
        let Some(Active { kind: Kind::Query { evaluated_at, last, .. }, .. }) =
            self.active.get_mut(&id)
        else {
            return Turn::Ended;
        };
        *evaluated_at = newest;
        if std::mem::replace(last, fingerprint) == fingerprint {
            return Turn::Done;
        }
        let push = frame::push("subscription", id, result.text());
        shared.metrics.push();
        let mut queued = outbox.push_newest(id, push);
        if let Err(push) = queued {
            // Above the limit: the client gets a moment to catch up.
            let _in_time = timeout(CUT_AFTER, outbox.below_limit()).await;
            queued = outbox.push_newest(id, push);
        }
        match queued {
            Ok(false) => Turn::Done,
            Ok(true) => {
                shared.metrics.coalesced();
                Turn::Done
            }
            Err(_) => Turn::Overflow,
        }
    }

    async fn push_changes(
        &mut self,
        id: u64,
        mut position: Box<Subscription>,
        shared: &Arc<Shared>,
        outbox: &Outbox,
    ) -> Turn {
        loop {
            if !outbox.has_room() {
                // Stays at its position: nothing is lost, nothing is held.
                self.held_back = true;
                break;
            }
            let pulled = shared
                .workers
                .run(Class::Read, move || {
                    let mut notices = Vec::new();
                    let mut bytes = 0;
                    while notices.len() < COMMITS_PER_TURN && bytes < PULL_BYTES {
                        let Some(notice) = position.try_next()? else { break };
                        let (data, over) = describe(&notice);
                        bytes += data.len();
                        notices.push(data);
                        if over {
                            return Ok((None, notices));
                        }
                    }
                    Ok((Some(position), notices))
                })
                .await;
            let (rest, notices) = match pulled {
                Ok(pulled) => pulled,
                Err(error) if error.code() == Code::Closed => return Turn::Ended,
                Err(error) => {
                    // What was pulled is lost with it: the client is not left
                    // to wait for what will not come.
                    tracing::warn!(subscription = id, %error, "a subscription has ended");
                    shared.metrics.resyncs(1);
                    let resync = json!({ "event": "resync", "revision": shared.feed.newest() });
                    outbox.send(frame::push("changes", id, resync.to_string().as_bytes()));
                    return Turn::Ended;
                }
            };
            let caught_up = notices.is_empty();
            for data in notices {
                shared.metrics.push();
                outbox.send(frame::push("changes", id, &data));
            }
            match rest {
                None => {
                    shared.metrics.resyncs(1);
                    return Turn::Ended;
                }
                Some(rest) => position = rest,
            }
            if caught_up {
                break;
            }
        }
        if let Some(active) = self.active.get_mut(&id) {
            active.kind = Kind::Changes(Some(position));
        }
        Turn::Done
    }

    /// Ends every subscription with a push that says so.
    fn cut(&mut self, shared: &Shared, outbox: &Outbox) {
        outbox.cut();
        shared.metrics.resyncs(self.active.len());
        let ids: Vec<u64> = self.active.keys().copied().collect();
        let revision = shared.feed.newest();
        for id in ids {
            let channel = match self.active.get(&id).map(|active| &active.kind) {
                Some(Kind::Changes(_)) => "changes",
                _ => "subscription",
            };
            let resync = json!({ "event": "resync", "revision": revision });
            outbox.send(frame::push(channel, id, resync.to_string().as_bytes()));
            self.end(id);
        }
    }

    fn end(&mut self, id: u64) {
        if self.active.remove(&id).is_some() {
            if self.ended.len() == REMEMBERED {
                self.ended.pop_front();
            }
            self.ended.push_back(id);
        }
    }

    /// Two results are the same when their fingerprints are: 128 bits under
    /// secret keys. Holding the results themselves would cost memory without
    /// bound.
    fn fingerprint(&self, data: &Data) -> u128 {
        let (first, second) = &self.hashers;
        let halves = (first.hash_one(data.text()), second.hash_one(data.text()));
        (u128::from(halves.0) << 64) | u128::from(halves.1)
    }
}

/// Bytes of commits that one pull may hold, give or take one commit.
const PULL_BYTES: usize = 64 << 10;

/// A notice as the wire has it, and whether it is the last.
fn describe(notice: &Notice) -> (Vec<u8>, bool) {
    match notice {
        Notice::Commit(commit) => (describe_commit(commit), false),
        Notice::Progress { revision } => {
            (json!({ "event": "progress", "revision": revision }).to_string().into_bytes(), false)
        }
        Notice::BucketDropped { bucket, revision } => {
            let dropped = json!({
                "event": "bucketDropped", "bucket": &**bucket, "revision": revision
            });
            (dropped.to_string().into_bytes(), false)
        }
        Notice::Resync { oldest_revision } => {
            let resync = json!({ "event": "resync", "oldestRevision": oldest_revision });
            (resync.to_string().into_bytes(), true)
        }
        _ => (json!({ "event": "unknown" }).to_string().into_bytes(), false),
    }
}

fn describe_commit(commit: &tandem::Commit) -> Vec<u8> {
    let mut out = format!("{{\"revision\":{},\"changes\":[", commit.revision).into_bytes();
    for (index, change) in commit.changes.iter().enumerate() {
        let kind = match change.kind {
            tandem::ChangeKind::Inserted => "insert",
            tandem::ChangeKind::Updated => "update",
            tandem::ChangeKind::Deleted => "delete",
        };
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"bucket\":");
        write_value(&mut out, &Value::from(&*change.bucket));
        out.extend_from_slice(b",\"key\":");
        write_value(&mut out, &change.key);
        for (name, record) in [("before", &change.before), ("after", &change.after)] {
            if let Some(record) = record {
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                record.write_json(&mut out);
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

/// The number in `sub-N`.
pub(crate) fn subscription_number(id: &str) -> Option<u64> {
    let digits = id.strip_prefix("sub-")?;
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_id_is_read_back_exactly() {
        assert_eq!(subscription_number("sub-7"), Some(7));
        for wrong in ["sub-", "sub-07", "sub--1", "7", "tx-7"] {
            assert_eq!(subscription_number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn equal_results_have_equal_fingerprints_and_others_do_not() {
        let subscriptions = Subscriptions::new(watch::channel(0).1);
        let of = |text: &str| subscriptions.fingerprint(&Data::raw(text.into()));
        assert_eq!(of("[1]"), of("[1]"));
        assert_ne!(of("[1]"), of("[2]"));
    }
}
