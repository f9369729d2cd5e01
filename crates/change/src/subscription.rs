//! Following the commits from one position.
//!
//! ```text
//! open(from R) ──> position = R ──try_next──┬─> Commit      position = its revision
//!                        ^                  ├─> Progress    nothing matched for a while
//!                        └──────────────────┼─> BucketDropped
//!                                           └─> Resync      over: read the data anew
//! ```
//!
//! The state is the position and nothing else: each pull looks into the ring,
//! or else seeks in the log, and keeps at most one commit between two calls. A
//! follower that catches up from the log pays one seek per delivered commit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tandem_base::{Code, Error, Result};
use tandem_transaction::{Commit, Coordination, Read};

use crate::hub::{ChangeHub, Woken};
use crate::log::{check_servable, commits_after, oldest_revision, resync_required};
use crate::selection::{ChangePredicate, Selection};

/// What a subscription is to deliver, and from where.
#[derive(Clone)]
pub struct SubscribeOptions {
    /// Only changes of these buckets; `None` = of every bucket. Buckets of the
    /// system (their names begin with `_`) are delivered only with `system`.
    pub buckets: Option<Vec<String>>,
    /// Only changes that it accepts.
    pub predicate: Option<ChangePredicate>,
    /// Changes of buckets of the system, too: definitions. Their rows are no
    /// records. Default: no.
    pub system: bool,
    /// Deliver every commit after this revision; `None` = after the newest one.
    pub from: Option<u64>,
    /// Say where we are after so many commits in which nothing matched. Also
    /// how many commits one pull looks at. Default: 1 024.
    pub progress_commits: usize,
    /// Say where we are when commits went by and nothing was said for so long.
    /// Default: 5 seconds.
    pub progress_interval: Duration,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self {
            buckets: None,
            predicate: None,
            system: false,
            from: None,
            progress_commits: 1_024,
            progress_interval: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for SubscribeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscribeOptions")
            .field("buckets", &self.buckets)
            .field("predicate", &self.predicate.is_some())
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// What a subscription delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A commit with its matching changes: all of them, in their order.
    /// Revisions rise from notice to notice.
    Commit(Arc<Commit>),
    /// Nothing up to this revision matched since the last notice; resuming
    /// from here loses nothing.
    Progress {
        /// The new position.
        revision: u64,
    },
    /// A bucket of the subscription was dropped. It comes before the changes
    /// of the same commit; whether the subscription ends is for its owner to
    /// say.
    BucketDropped {
        /// The bucket's name.
        bucket: Arc<str>,
        /// The commit that dropped it.
        revision: u64,
    },
    /// The next commits were removed from the log before they were pulled. The
    /// subscription is over: read the data anew, then subscribe from there.
    Resync {
        /// The oldest revision that a subscription can start from.
        oldest_revision: u64,
    },
}

/// A standing interest in the commits of a store.
///
/// Every commit after [`position`](Self::position) that matches is delivered
/// once, in revision order, whole. It may be dropped at any time and taken up
/// again from its position, also in another process.
pub struct ChangeSubscription {
    hub: Arc<ChangeHub>,
    coordination: Arc<dyn Coordination>,
    selection: Selection,
    progress_commits: usize,
    progress_interval: Duration,
    position: u64,
    /// Notices of the one commit after `position` that was pulled.
    pulled: VecDeque<Notice>,
    pulled_revision: u64,
    /// Up to where the caller knows that nothing was missed, and since when.
    told: u64,
    told_at: Duration,
    silent_commits: usize,
    /// The log no longer reaches back to the position: to here it does.
    lost: Option<u64>,
}

/// How far a pull got.
enum Pulled {
    Found,
    BudgetSpent,
    CaughtUp,
    Lost(u64),
}

/// How many commits are taken from the ring at a time while nothing matches.
const RING_CHUNK: usize = 64;

impl ChangeSubscription {
    /// Subscribes. `hub` must be the listener of `coordination`.
    ///
    /// # Errors
    /// `RESYNC_REQUIRED` (`oldestRevision`) when not every commit after `from`
    /// can be delivered; `STORAGE_ERROR`.
    pub fn open(
        hub: Arc<ChangeHub>,
        coordination: Arc<dyn Coordination>,
        options: SubscribeOptions,
    ) -> Result<Self> {
        let view = coordination.view()?;
        if let Some(from) = options.from {
            check_servable(&*view, from)?;
        }
        let from = options.from.unwrap_or_else(|| view.revision());
        drop(view);
        Ok(Self::at(hub, coordination, options, from))
    }

    /// A subscription whose position was checked, or will be by the first pull.
    pub(crate) fn at(
        hub: Arc<ChangeHub>,
        coordination: Arc<dyn Coordination>,
        options: SubscribeOptions,
        position: u64,
    ) -> Self {
        let buckets = options.buckets.map(|buckets| buckets.into_iter().collect());
        Self {
            told_at: hub.environment().clock.monotonic(),
            hub,
            coordination,
            selection: Selection { buckets, predicate: options.predicate, system: options.system },
            progress_commits: options.progress_commits.max(1),
            progress_interval: options.progress_interval,
            position,
            pulled: VecDeque::new(),
            pulled_revision: position,
            told: position,
            silent_commits: 0,
            lost: None,
        }
    }

    /// The revision up to which everything has been delivered: subscribing
    /// `from` here continues without a gap or a repetition.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether everything up to now is in memory, and is no more than so many
    /// commits and bytes: how an asynchronous caller tells whether to pull
    /// [at once](Self::try_next_at_hand) or to go elsewhere.
    #[must_use]
    pub fn is_at_hand(&self, commits: usize, bytes: usize) -> bool {
        self.lost.is_some() || self.hub.has_few_after(self.position, commits, bytes)
    }

    /// Moves on to `revision`, which is committed, because the caller knows that
    /// nothing up to there matches: it need not be looked at. Does nothing to a
    /// subscription that is there already.
    pub fn skip_to(&mut self, revision: u64) {
        if self.pulled.is_empty() && self.lost.is_none() {
            self.position = self.position.max(revision);
        }
    }

    /// The next notice, if there is one now. Looks at a bounded number of
    /// commits, so `Progress` may come where more could be found.
    ///
    /// # Errors
    /// `CLOSED` when the store is closed and everything was delivered;
    /// `RESYNC_REQUIRED` after [`Notice::Resync`]; `STORAGE_ERROR`,
    /// `CORRUPTED`: the position stays where it is.
    pub fn try_next(&mut self) -> Result<Option<Notice>> {
        if let Some(known) = self.known() {
            return known.map(Some);
        }
        // Asked before the pull: what was committed before closing is pulled.
        let closed = self.hub.is_closed();
        let pulled = match self.pull_from_ring() {
            Some(pulled) => pulled,
            None => self.pull_from_log()?,
        };
        self.answer(pulled, closed)
    }

    /// As [`try_next`](Self::try_next), for where nothing may wait: `None` when
    /// what comes next is not in memory any more. Then ask `try_next` on a thread
    /// that may read storage.
    pub fn try_next_at_hand(&mut self) -> Option<Result<Option<Notice>>> {
        if let Some(known) = self.known() {
            return Some(known.map(Some));
        }
        let closed = self.hub.is_closed();
        let pulled = self.pull_from_ring()?;
        Some(self.answer(pulled, closed))
    }

    /// What there is to say without a pull.
    fn known(&mut self) -> Option<Result<Notice>> {
        if let Some(oldest) = self.lost {
            return Some(Err(resync_required(oldest)));
        }
        self.take_pulled().map(Ok)
    }

    fn answer(&mut self, pulled: Pulled, closed: bool) -> Result<Option<Notice>> {
        match pulled {
            Pulled::Found => Ok(self.take_pulled()),
            Pulled::Lost(oldest_revision) => {
                self.lost = Some(oldest_revision);
                Ok(Some(Notice::Resync { oldest_revision }))
            }
            Pulled::BudgetSpent => Ok(Some(self.progress())),
            Pulled::CaughtUp if closed => {
                Err(Error::new(Code::Closed, "The store was closed and the subscription is over"))
            }
            Pulled::CaughtUp => {
                let now = self.hub.environment().clock.monotonic();
                let due = self.progress_due().is_some_and(|due| now >= due);
                Ok(due.then(|| self.progress()))
            }
        }
    }

    /// The next notice, waiting up to `timeout` for it.
    ///
    /// # Errors
    /// As [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Notice>> {
        let clock = self.hub.environment().clock.clone();
        let deadline = clock.monotonic().saturating_add(timeout);
        self.wait(Some(deadline))
    }

    /// The next notice, however long it takes; `None` when the store is closed
    /// and everything was delivered.
    ///
    /// Not an `Iterator`, so that an error ends a loop: `while let Some(notice)
    /// = subscription.next()?`.
    ///
    /// # Errors
    /// As [`try_next`](Self::try_next), but for `CLOSED`.
    #[expect(clippy::should_implement_trait, reason = "says why above")]
    pub fn next(&mut self) -> Result<Option<Notice>> {
        match self.wait(None) {
            Err(error) if error.code() == Code::Closed => Ok(None),
            result => result,
        }
    }

    fn wait(&mut self, deadline: Option<Duration>) -> Result<Option<Notice>> {
        loop {
            if let Some(notice) = self.try_next()? {
                return Ok(Some(notice));
            }
            let until = match (deadline, self.progress_due()) {
                (Some(deadline), Some(due)) => Some(deadline.min(due)),
                (deadline, due) => deadline.or(due),
            };
            if self.hub.wait_beyond(self.position, until) == Woken::TimedOut
                && deadline.is_some_and(|end| self.hub.environment().clock.monotonic() >= end)
            {
                return self.try_next();
            }
        }
    }

    /// When the caller is to be told where we are, if there is something to
    /// tell.
    fn progress_due(&self) -> Option<Duration> {
        (self.position > self.told).then(|| self.told_at.saturating_add(self.progress_interval))
    }

    fn progress(&mut self) -> Notice {
        self.tell();
        Notice::Progress { revision: self.position }
    }

    fn tell(&mut self) {
        self.told = self.position;
        self.told_at = self.hub.environment().clock.monotonic();
        self.silent_commits = 0;
    }

    fn take_pulled(&mut self) -> Option<Notice> {
        let notice = self.pulled.pop_front()?;
        if self.pulled.is_empty() {
            self.position = self.pulled_revision;
        }
        self.tell();
        Some(notice)
    }

    /// Moves the position over what does not match, to the next commit that
    /// does, to the end, or as far as one pull may go. `None` when the next
    /// commits are in the log only.
    fn pull_from_ring(&mut self) -> Option<Pulled> {
        let mut chunk = 1;
        loop {
            let commits = self.hub.after(self.position, chunk)?;
            if commits.is_empty() {
                return Some(Pulled::CaughtUp);
            }
            for commit in commits {
                if let Some(stop) = self.look_at(commit) {
                    return Some(stop);
                }
            }
            chunk = RING_CHUNK;
        }
    }

    /// As [`pull_from_ring`](Self::pull_from_ring), from storage.
    fn pull_from_log(&mut self) -> Result<Pulled> {
        let view = self.coordination.view()?;
        if view.revision() <= self.position {
            return Ok(Pulled::CaughtUp);
        }
        let oldest = oldest_revision(&*view)?;
        if self.position < oldest {
            return Ok(Pulled::Lost(oldest));
        }
        for commit in commits_after(&*view, self.position) {
            if let Some(stop) = self.look_at(commit?) {
                return Ok(stop);
            }
        }
        self.position = self.position.max(view.revision());
        Ok(Pulled::CaughtUp)
    }

    fn look_at(&mut self, commit: Arc<Commit>) -> Option<Pulled> {
        let revision = commit.revision;
        assert!(revision > self.position, "commits are followed in revision order");
        let selected = self.selection.of(commit);
        let dropped = selected.dropped.into_iter();
        self.pulled.extend(dropped.map(|bucket| Notice::BucketDropped { bucket, revision }));
        self.pulled.extend(selected.commit.map(Notice::Commit));
        if !self.pulled.is_empty() {
            self.pulled_revision = revision;
            return Some(Pulled::Found);
        }
        self.position = revision;
        self.silent_commits += 1;
        (self.silent_commits >= self.progress_commits).then_some(Pulled::BudgetSpent)
    }
}

impl std::fmt::Debug for ChangeSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeSubscription")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
