//! The commits of the store, as the server's subscriptions hear of them.
//!
//! The store calls the committing thread's listeners; ours only moves a watch
//! channel. Whoever is woken by it pulls the new commits through one shared
//! position and notes which buckets they touched: the first one does the work,
//! the others find it done. Because an own commit has reached the store's
//! listeners before it is answered, a client's push is found due right after
//! the answer to the request that caused it.

use std::sync::{Arc, Mutex, PoisonError};

use tandem::Store;
use tandem_base::{Code, Result};
use tandem_change::{ChangeSubscription, Notice, PublishHandle, SubscribeOptions};
use tokio::sync::watch;

use crate::touched::Touched;

/// See the [module](self).
pub(crate) struct Feed {
    store: Store,
    following: Mutex<ChangeSubscription>,
    touched: Touched,
    published: watch::Receiver<u64>,
    _listening: PublishHandle,
}

impl Feed {
    /// Follows the store from now on.
    ///
    /// # Errors
    /// `CLOSED`, `STORAGE_ERROR`.
    pub(crate) fn start(store: &Store) -> Result<Self> {
        let (publish, published) = watch::channel(0);
        // Registered before the position is taken, so that nothing is missed.
        let listening = store.change_hub().on_publish(Arc::new(move |revision| {
            publish.send_replace(revision);
        }));
        let following = store.follow(SubscribeOptions::default())?;
        let touched = Touched::new(following.position());
        Ok(Self {
            store: store.clone(),
            following: Mutex::new(following),
            touched,
            published,
            _listening: listening,
        })
    }

    /// Changes when something was committed.
    pub(crate) fn signal(&self) -> watch::Receiver<u64> {
        self.published.clone()
    }

    /// Whether there are commits that nobody has noted yet.
    pub(crate) fn is_behind(&self) -> bool {
        *self.published.borrow() > self.touched.newest()
    }

    /// Notes every commit up to now, if that can be done without waiting:
    /// nobody else is at it, and the commits are in memory. Whether it was.
    pub(crate) fn catch_up_at_once(&self) -> bool {
        let Ok(mut following) = self.following.try_lock() else { return false };
        if following.reads_storage() {
            return false;
        }
        self.note_all(&mut following);
        true
    }

    /// Notes every commit up to now. May read storage when the server is far
    /// behind.
    pub(crate) fn catch_up(&self) {
        self.note_all(&mut self.following.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn note_all(&self, following: &mut ChangeSubscription) {
        loop {
            match following.try_next() {
                Ok(Some(Notice::Commit(commit))) => {
                    let buckets = commit.changes.iter().map(|change| &change.bucket);
                    self.touched.commit(commit.revision, buckets);
                }
                Ok(Some(Notice::BucketDropped { bucket, revision })) => {
                    self.touched.commit(revision, std::iter::once(&bucket));
                }
                Ok(Some(Notice::Progress { .. })) => {}
                Ok(Some(Notice::Resync { .. })) => {
                    // What happened in between is lost: everything is due.
                    match self.store.follow(SubscribeOptions::default()) {
                        Ok(anew) => *following = anew,
                        Err(error) => {
                            tracing::error!(%error, "following the commits anew failed");
                            break;
                        }
                    }
                    self.touched.everything(following.position());
                }
                Ok(None) => break,
                Err(error) => {
                    if error.code() != Code::Closed {
                        tracing::error!(%error, "following the commits failed");
                    }
                    break;
                }
            }
        }
        self.touched.publish(following.position());
    }

    /// Whether `bucket` may have changed after `revision`.
    pub(crate) fn touched_since(&self, bucket: &str, revision: u64) -> bool {
        self.touched.since(bucket, revision)
    }

    /// The newest revision that is noted.
    pub(crate) fn newest(&self) -> u64 {
        self.touched.newest()
    }
}
