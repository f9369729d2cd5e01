//! What a connection's subscriptions have to say, and when.
//!
//! Nothing is queued for a subscription. A *query* subscription is a part in a
//! [live query](crate::live) and the number of the last result that it has
//! sent. A *changes* subscription is a position in the commits. Both run
//! between the connection's requests, so an answer always comes before the
//! pushes that its request causes.
//!
//! ```text
//! commit ──> Feed ──rings──> Doorbell ──> query, changes ──> Outbox
//! ```
//!
//! A client that does not read: above the outbox's mark results coalesce and
//! commits stay where they are; above its limit, after [`CUT_AFTER`], the
//! connection's subscriptions end with a push that says `resync`.

mod changes;
mod query;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

pub(crate) use changes::Position;
pub(crate) use query::Watched;

use crate::doorbell::Doorbell;
use crate::frame;
use crate::limits::Held;
use crate::outbox::Outbox;
use crate::shared::Shared;

/// How long a client whose buffer is above its limit has to catch up.
const CUT_AFTER: Duration = Duration::from_secs(2);

/// How often a changes subscription is asked whether it wants to say where it
/// is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// How long a query that could not be evaluated waits for the next try, unless
/// something else happens before.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Ended subscriptions that a connection remembers: unsubscribing from one is
/// no error.
const REMEMBERED: usize = 1_000;

/// The subscriptions of one connection.
pub(crate) struct Subscriptions {
    active: BTreeMap<u64, Active>,
    ended: VecDeque<u64>,
    doorbell: Arc<Doorbell>,
    /// Changes that wait for room in the outbox.
    held_back: BTreeSet<u64>,
    /// Queries that could not be evaluated.
    failed: BTreeSet<u64>,
    /// When changes are next asked where they are.
    progress_due: Instant,
}

struct Active {
    /// `None` while it has its turn.
    kind: Option<Kind>,
    channel: &'static str,
    _held: [Held; 2],
}

enum Kind {
    Query(Watched),
    Changes(Box<Position>),
}

/// What became of one turn of a subscription.
enum Turn {
    Done,
    /// It wants another turn when there is room.
    HeldBack,
    /// It wants another turn later.
    Failed,
    Ended,
    /// The client is too far behind: cut everything.
    Overflow,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            active: BTreeMap::new(),
            ended: VecDeque::new(),
            doorbell: Arc::default(),
            held_back: BTreeSet::new(),
            failed: BTreeSet::new(),
            progress_due: Instant::now() + PROGRESS_INTERVAL,
        }
    }

    /// Where to ring for them.
    pub(crate) fn doorbell(&self) -> &Arc<Doorbell> {
        &self.doorbell
    }

    /// Adds a query whose first result was answered.
    pub(crate) fn add_query(&mut self, id: u64, watched: Watched, held: [Held; 2]) {
        let kind = Some(Kind::Query(watched));
        self.active.insert(id, Active { kind, channel: "subscription", _held: held });
    }

    /// Adds a position in the commits.
    pub(crate) fn add_changes(&mut self, id: u64, position: Position, held: [Held; 2]) {
        let kind = Some(Kind::Changes(Box::new(position)));
        self.active.insert(id, Active { kind, channel: "changes", _held: held });
        // There may be something to say already.
        self.doorbell.ring(id);
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
    /// to cancel: it changes nothing.
    pub(crate) async fn woken(&mut self, outbox: &Outbox) {
        if self.active.is_empty() {
            return std::future::pending().await;
        }
        let has_changes = self.positions().next().is_some();
        // Who does not read is told when the time for it is over.
        let initial_until = self.held_back.iter().filter_map(|id| self.initial_until(*id)).min();
        tokio::select! {
            biased;
            () = self.doorbell.rung() => {}
            () = outbox.below_mark(), if !self.held_back.is_empty() => {}
            () = sleep(RETRY_INTERVAL), if !self.failed.is_empty() => {}
            () = sleep_until(self.progress_due), if has_changes => {}
            () = sleep_until(initial_until.unwrap_or(self.progress_due)),
                if initial_until.is_some() => {}
        }
    }

    fn initial_until(&self, id: u64) -> Option<Instant> {
        match self.active.get(&id)?.kind.as_ref()? {
            Kind::Changes(position) => position.initial_until(),
            Kind::Query(_) => None,
        }
    }

    fn positions(&self) -> impl Iterator<Item = u64> + '_ {
        let changes = self.active.iter().filter(|(_, active)| active.channel == "changes");
        changes.map(|(id, _)| *id)
    }

    /// Sends what is due.
    pub(crate) async fn push_due(&mut self, shared: &Arc<Shared>, outbox: &Outbox) {
        if self.active.is_empty() {
            return;
        }
        shared.catch_up().await;
        // One write for all that is due.
        outbox.cork();
        // Before the doorbell: up to here, who is not found there has nothing to
        // say.
        let noted = shared.feed.newest();
        let mut due = self.doorbell.take();
        if Instant::now() >= self.progress_due {
            self.progress_due = Instant::now() + PROGRESS_INTERVAL;
            for id in self.positions() {
                due.entry(id).or_insert(noted + 1);
            }
        }
        let again = std::mem::take(&mut self.held_back).into_iter();
        due.extend(again.chain(std::mem::take(&mut self.failed)).map(|id| (id, 0)));
        for (id, since) in due {
            let kind = self.active.get_mut(&id).and_then(|active| active.kind.take());
            let (kind, turn) = match kind {
                None => continue,
                Some(Kind::Query(mut watched)) => {
                    let turn = watched.push(id, shared, outbox).await;
                    (Some(Kind::Query(watched)), turn)
                }
                Some(Kind::Changes(position)) => {
                    let (position, turn) = position.push(id, since, shared, outbox).await;
                    (position.map(Kind::Changes), turn)
                }
            };
            if let Some(active) = self.active.get_mut(&id) {
                active.kind = kind;
            }
            match turn {
                Turn::Done => {}
                Turn::HeldBack => _ = self.held_back.insert(id),
                Turn::Failed => _ = self.failed.insert(id),
                Turn::Ended => self.end(id),
                Turn::Overflow => return self.cut(shared, outbox),
            }
        }
    }

    /// Ends every subscription with a push that says so.
    fn cut(&mut self, shared: &Shared, outbox: &Outbox) {
        outbox.cut();
        let ids: Vec<u64> = self.active.keys().copied().collect();
        for id in ids {
            let channel = self.active.get(&id).map_or("subscription", |active| active.channel);
            send_resync(channel, id, shared, outbox);
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
}

/// Says that a subscription is over and the data has to be read anew.
fn send_resync(channel: &str, id: u64, shared: &Shared, outbox: &Outbox) {
    shared.feed.queries.counters.resyncs.add(1);
    let resync = json!({ "event": "resync", "revision": shared.feed.newest() });
    outbox.send(frame::push(channel, id, resync.to_string().as_bytes()));
}

fn event(event: &Value) -> Bytes {
    event.to_string().into()
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
}
