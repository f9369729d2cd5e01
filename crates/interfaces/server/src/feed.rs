//! The commits of the store, as the server's subscriptions hear of them.
//!
//! The store calls the committing thread's listeners; ours only moves a watch
//! channel. Whoever is woken by it pulls the new commits through one shared
//! position and rings the subscriptions that they concern: the first one does
//! the work, the others find it done. Because an own commit has reached the
//! store's listeners before it is answered, a client's push is found due right
//! after the answer to the request that caused it.
//!
//! ```text
//! commit ──> hub ──> watch ─┬─> the connection that asked for it, after its answer
//!                           └─> one task, for commits from elsewhere
//!                                   │ catch up
//!                                   v
//!             live queries that it matches · followers that it concerns ──> doorbells
//! ```
//! A connection that nothing concerns is not woken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tandem::Store;
use tandem_base::{Code, Result};
use tandem_change::{ChangeSubscription, Notice, PublishHandle, SubscribeOptions};
use tokio::sync::watch;

use crate::followers::Followers;
use crate::live::LiveQueries;
use crate::shared::Shared;
use crate::workers::Class;

/// See the [module](self).
pub(crate) struct Feed {
    store: Store,
    following: Mutex<ChangeSubscription>,
    /// Everything up to here has been noted.
    newest: AtomicU64,
    published: watch::Receiver<u64>,
    pub(crate) queries: Arc<LiveQueries>,
    pub(crate) followers: Arc<Followers>,
    _listening: PublishHandle,
}

impl Feed {
    /// Follows the store from now on; results of live queries may take
    /// `max_live_bytes`.
    ///
    /// # Errors
    /// `CLOSED`, `STORAGE_ERROR`.
    pub(crate) fn start(store: &Store, max_live_bytes: usize) -> Result<Self> {
        let (publish, published) = watch::channel(0);
        // Registered before the position is taken, so that nothing is missed.
        let listening = store.change_hub().on_publish(Arc::new(move |revision| {
            publish.send_replace(revision);
        }));
        let following = store.follow(everything())?;
        Ok(Self {
            store: store.clone(),
            newest: AtomicU64::new(following.position()),
            following: Mutex::new(following),
            published,
            queries: Arc::new(LiveQueries::new(max_live_bytes)),
            followers: Arc::default(),
            _listening: listening,
        })
    }

    /// Whether there are commits that nobody has noted yet.
    fn is_behind(&self) -> bool {
        *self.published.borrow() > self.newest()
    }

    /// Notes every commit up to now, if that can be done without waiting:
    /// nobody else is at it, and the commits are in memory. Whether it was.
    fn catch_up_at_once(&self) -> bool {
        let Ok(mut following) = self.following.try_lock() else { return false };
        self.note_all(&mut following, ChangeSubscription::try_next_at_hand)
    }

    /// Notes every commit up to now. May read storage when the server is far
    /// behind.
    fn catch_up(&self) {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        self.note_all(&mut following, |following| Some(following.try_next()));
    }

    /// Notes what `next` answers, up to the end; `false` if that says before that
    /// it cannot tell.
    fn note_all(
        &self,
        following: &mut ChangeSubscription,
        next: impl Fn(&mut ChangeSubscription) -> Option<Result<Option<Notice>>>,
    ) -> bool {
        let noted = self.note_while(following, next);
        self.newest.store(following.position(), Ordering::Release);
        noted
    }

    fn note_while(
        &self,
        following: &mut ChangeSubscription,
        next: impl Fn(&mut ChangeSubscription) -> Option<Result<Option<Notice>>>,
    ) -> bool {
        loop {
            let Some(next) = next(following) else { return false };
            match next {
                Ok(Some(Notice::Commit(commit))) => {
                    self.queries.commit(&commit);
                    self.followers.commit(&commit);
                }
                Ok(Some(Notice::BucketDropped { bucket, .. })) => {
                    // The queries hear of it by the commit, which follows.
                    self.followers.dropped(&bucket);
                }
                Ok(Some(Notice::Progress { .. })) => {}
                Ok(Some(Notice::Resync { .. })) => {
                    // What happened in between is lost: everything is due.
                    match self.store.follow(everything()) {
                        Ok(anew) => *following = anew,
                        Err(error) => {
                            tracing::error!(%error, "following the commits anew failed");
                            return true;
                        }
                    }
                    self.queries.everything(following.position());
                    self.followers.ring_all();
                }
                Ok(None) => return true,
                Err(error) => {
                    if error.code() == Code::Closed {
                        self.followers.ring_all();
                    } else {
                        tracing::error!(%error, "following the commits failed");
                    }
                    return true;
                }
            }
        }
    }

    /// The newest revision that is noted: whoever it and those before concern has
    /// been rung.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }
}

/// Every commit, definitions too.
fn everything() -> SubscribeOptions {
    SubscribeOptions { system: true, ..SubscribeOptions::default() }
}

impl Shared {
    /// Notes every commit that there is, and rings whoever it concerns.
    pub(crate) async fn catch_up(self: &Arc<Self>) {
        if !self.feed.is_behind() || self.feed.catch_up_at_once() {
            return;
        }
        let shared = self.clone();
        let caught_up = self.workers.run(Class::Read, move || {
            shared.feed.catch_up();
            Ok(())
        });
        if let Err(error) = caught_up.await {
            tracing::error!(%error, "following the commits failed");
        }
    }

    /// Keeps the feed up with commits whose connection does not, until the
    /// server is gone.
    pub(crate) fn keep_up(self: &Arc<Self>) {
        let (shared, mut published) = (Arc::downgrade(self), self.feed.published.clone());
        tokio::spawn(async move {
            while published.changed().await.is_ok() {
                // The connection that asked for the commit is mostly first.
                tokio::task::yield_now().await;
                let Some(shared) = Weak::upgrade(&shared) else { return };
                shared.catch_up().await;
            }
        });
    }
}
