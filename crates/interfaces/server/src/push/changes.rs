use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tandem::InitialRecords;
use tandem_base::{Code, Result};
use tandem_change::{ChangeSubscription, Notice};
use tandem_record::filter::Filter;
use tandem_record::row::Row;
use tandem_transaction::Commit;
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::{Turn, event, send_resync};
use crate::encoded::initial_text;
use crate::followers::Following;
use crate::frame;
use crate::outbox::Outbox;
use crate::shared::Shared;
use crate::workers::{Class, at_once};

/// Commits of one changes subscription that are sent before the others have
/// their turn.
const COMMITS_PER_TURN: usize = 64;

/// Bytes of commits that one pull may hold, give or take one commit.
const PULL_BYTES: usize = 64 << 10;

/// How long a client may take to read the initial records. Their revision is
/// kept readable meanwhile.
const INITIAL_TIME: Duration = Duration::from_secs(60);

/// A position in the commits, or still in the records before them.
pub(crate) struct Position {
    /// Large, and mostly there for a moment or not at all.
    initial: Option<Box<InitialRecords>>,
    initial_until: Instant,
    commits: ChangeSubscription,
    filter: Option<Filter>,
    /// The last pull found the end: since then it would have been rung.
    caught_up: bool,
    _following: Following,
}

/// What one pull found.
#[derive(Default)]
struct Pulled {
    texts: Vec<Bytes>,
    bytes: usize,
    over: bool,
    /// There was nothing more to pull.
    caught_up: bool,
}

impl Position {
    /// At `commits`, of which `filter` lets through what matches before or
    /// after, with `initial` records before that, if any.
    pub(crate) fn new(
        initial: Option<InitialRecords>,
        commits: ChangeSubscription,
        filter: Option<Filter>,
        following: Following,
    ) -> Self {
        let initial_until = Instant::now() + INITIAL_TIME;
        let initial = initial.map(Box::new);
        Self { initial, initial_until, commits, filter, caught_up: false, _following: following }
    }

    /// Sends what comes next, as long as there is room for it. Nothing concerns it
    /// that was committed before the revision `since` and after it last found the
    /// end.
    pub(super) async fn push(
        mut self: Box<Self>,
        id: u64,
        since: u64,
        shared: &Arc<Shared>,
        outbox: &Outbox,
    ) -> (Option<Box<Self>>, Turn) {
        if std::mem::take(&mut self.caught_up) {
            self.commits.skip_to(since.saturating_sub(1));
        }
        loop {
            if self.initial.is_some() && Instant::now() >= self.initial_until {
                send_resync("changes", id, shared, outbox);
                return (None, Turn::Ended);
            }
            if !outbox.has_room() {
                // Stays at its position: nothing is lost, nothing is held.
                return (Some(self), Turn::HeldBack);
            }
            // However many are due: others have their turn between them.
            consume_budget().await;
            let pulled = match at_once(|| self.pull_at_hand(shared)) {
                Ok(Some(pulled)) => Ok((self, pulled)),
                Ok(None) => {
                    let pulling = shared.clone();
                    let work = move || {
                        let pulled = self.pull(&pulling)?;
                        Ok((self, pulled))
                    };
                    shared.workers.run(Class::Read, work).await
                }
                Err(error) => Err(error),
            };
            let pulled = match pulled {
                Ok((position, pulled)) => {
                    self = position;
                    pulled
                }
                Err(error) if error.code() == Code::Closed => return (None, Turn::Ended),
                Err(error) => {
                    // What was pulled is lost with it: the client is not left
                    // to wait for what will not come.
                    tracing::warn!(subscription = id, %error, "a subscription has ended");
                    send_resync("changes", id, shared, outbox);
                    return (None, Turn::Ended);
                }
            };
            for text in pulled.texts {
                shared.feed.queries.counters.pushes.add(1);
                outbox.send(frame::shared_push("changes", id, text));
            }
            if pulled.over {
                return (None, Turn::Ended);
            }
            if pulled.caught_up {
                self.caught_up = true;
                return (Some(self), Turn::Done);
            }
        }
    }

    /// When its initial records have to be read.
    pub(super) fn initial_until(&self) -> Option<Instant> {
        self.initial.as_ref().map(|_| self.initial_until)
    }

    /// Pulls what comes next, from storage if need be.
    fn pull(&mut self, shared: &Shared) -> Result<Pulled> {
        let Some(initial) = &mut self.initial else {
            return self.pull_commits(shared, |commits| Some(commits.try_next()));
        };
        let mut pulled = Pulled::default();
        let (inserts, last) = initial.next_portion()?;
        shared.feed.queries.counters.initial_records.add(inserts.len());
        pulled.add(initial_text(initial.revision(), &inserts, last));
        if last {
            self.initial = None;
        }
        Ok(pulled)
    }

    /// As [`pull`](Self::pull), if what comes next is in memory, and little: who
    /// follows closely is not sent to another thread and back for every commit.
    /// With 1,000 followers and 100 commits a second a push then took 12 µs of the
    /// server's processor time, and takes 4; half of the pushes were 220 ms late,
    /// and are 8 (docs/benchmarks.md).
    fn pull_at_hand(&mut self, shared: &Shared) -> Result<Option<Pulled>> {
        if self.initial.is_some() || !self.commits.is_at_hand(COMMITS_PER_TURN, PULL_BYTES) {
            return Ok(None);
        }
        self.pull_commits(shared, ChangeSubscription::try_next_at_hand).map(Some)
    }

    /// Pulls the commits that `next` answers, up to the end, or where that says
    /// that it cannot tell.
    fn pull_commits(
        &mut self,
        shared: &Shared,
        next: impl Fn(&mut ChangeSubscription) -> Option<Result<Option<Notice>>>,
    ) -> Result<Pulled> {
        let counters = &shared.feed.queries.counters;
        let mut pulled = Pulled::default();
        while pulled.texts.len() < COMMITS_PER_TURN && pulled.bytes < PULL_BYTES {
            let Some(next) = next(&mut self.commits) else { break };
            let text = match next? {
                None => {
                    pulled.caught_up = true;
                    break;
                }
                Some(Notice::Commit(commit)) => {
                    let left = self.left(&commit)?;
                    shared.encoded.text(&commit, &left, counters)?
                }
                Some(Notice::Progress { revision }) => {
                    event(&json!({ "event": "progress", "revision": revision }))
                }
                Some(Notice::BucketDropped { bucket, revision }) => event(&json!({
                    "event": "bucketDropped", "bucket": &*bucket, "revision": revision
                })),
                Some(Notice::Resync { oldest_revision }) => {
                    counters.resyncs.add(1);
                    pulled.over = true;
                    event(&json!({ "event": "resync", "oldestRevision": oldest_revision }))
                }
            };
            pulled.add(text);
            if pulled.over {
                break;
            }
        }
        Ok(pulled)
    }
}

impl Position {
    /// The places of the changes whose record is there and does not match any
    /// more: nothing else tells a client, which has no filters of its own.
    fn left(&self, commit: &Commit) -> Result<Vec<usize>> {
        let Some(filter) = &self.filter else { return Ok(Vec::new()) };
        let mut left = Vec::new();
        for (place, change) in commit.changes.iter().enumerate() {
            if change.before.is_some()
                && let Some(after) = &change.after
                && !filter.matches(&Row::from_stored(after.clone())?)
            {
                left.push(place);
            }
        }
        Ok(left)
    }
}

impl Pulled {
    fn add(&mut self, text: Bytes) {
        self.bytes += text.len();
        self.texts.push(text);
    }
}
