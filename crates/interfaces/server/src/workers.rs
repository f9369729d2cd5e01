//! Where store calls run: on blocking threads, in two classes.
//!
//! A write may wait for the disk or for another transaction's lock, a read
//! never does. Writes therefore need one of [`WRITE_PERMITS`] permits, which
//! is half of the blocking threads that the runtime has: however many writers
//! wait for a slow disk, there are threads left for everybody's reads.
//!
//! What needs nothing but memory, and little time, need not go there at all
//! ([`at_once`]): to hand a call to another thread and be woken by its answer is
//! some 15 futex calls, 40 of the 54 µs that a `store.get` once took. And what ends in a
//! commit waits for it in the task ([`Workers::commit`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use tandem::layers::transaction::{Errand, Errands};
use tandem_base::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::Span;

use crate::unattended::Unattended;

/// Writes, commits and lock waits that run at once.
const WRITE_PERMITS: usize = 256;

/// Blocking threads that a runtime for this server has to allow. With half as many or
/// less all of them may wait for a commit that no thread is left to carry out.
pub const BLOCKING_THREADS: usize = 2 * WRITE_PERMITS;

/// Whether a call may wait for the disk or for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Reads memory or cached files.
    Read,
    /// Writes, commits, or waits for a lock.
    Write,
}

/// One call of the store, to be run once.
pub type StoreCall = Box<dyn FnOnce() + Send>;

/// Runs store calls elsewhere than on blocking threads. A deterministic run
/// decides with it when each call has its turn.
pub trait StoreCalls: Send + Sync {
    /// Runs `call` to its end. The server polls the future until it is ready.
    fn run(&self, call: StoreCall) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Runs a call that waits for nothing in the task that asks for it.
///
/// # Errors
/// What `work` answers; `INTERNAL_ERROR` if it panicked.
pub(crate) fn at_once<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("a store call panicked");
        Err(Error::internal("Internal server error"))
    })
}

/// Where the outcome of a call goes. With it goes the permit, held until there is one
/// also when the caller has gone away: who comes and goes does not get past the limit.
pub(crate) struct Reply<T> {
    sender: oneshot::Sender<T>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<T> Reply<T> {
    pub(crate) fn send(self, outcome: T) {
        let _nobody_waits = self.sender.send(outcome);
    }
}

/// Runs store calls.
#[derive(Clone)]
pub(crate) struct Workers {
    writes: Arc<Semaphore>,
    /// `None` = blocking threads of the runtime.
    elsewhere: Option<Arc<dyn StoreCalls>>,
    unattended: Arc<OnceLock<Arc<Unattended>>>,
}

impl Workers {
    pub(crate) fn new(elsewhere: Option<Arc<dyn StoreCalls>>) -> Self {
        let writes = Arc::new(Semaphore::new(WRITE_PERMITS));
        Self { writes, elsewhere, unattended: Arc::default() }
    }

    /// Whether commits need not wait on threads: not when somebody decides when each
    /// call has its turn.
    pub(crate) fn commits_unattended(&self) -> bool {
        self.elsewhere.is_none()
    }

    /// Runs `call`, which goes up to a commit, and waits for what is sent when that is
    /// over. When the caller goes away, both go on to their end.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if it panicked.
    pub(crate) async fn commit<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Arc<dyn Errands>, Reply<T>) -> Option<Errand> + Send + 'static,
    ) -> Result<T> {
        let span = Span::current();
        let permit = self.writes.clone().acquire_owned().await.ok();
        let unattended = self.unattended.get_or_init(|| Arc::new(Unattended::new(WRITE_PERMITS)));
        let call = move |errands: &Arc<dyn Errands>, sender| {
            span.in_scope(|| call(errands, Reply { sender, _permit: permit }))
        };
        unattended.run(call).await
    }

    /// Waits until no thread works on a commit any more.
    pub(crate) async fn rest(&self) {
        if let Some(unattended) = self.unattended.get() {
            unattended.rests().await;
        }
    }

    /// Runs `work` on a blocking thread. When the caller goes away, `work`
    /// still runs to its end (a commit that has started is not torn), only
    /// nobody hears of it.
    ///
    /// # Errors
    /// What `work` answers; `INTERNAL_ERROR` if it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        class: Class,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let span = Span::current();
        let work = move || span.in_scope(work);
        let permit = match class {
            Class::Read => None,
            // Waiting here costs no thread; the queue is first come, first served.
            Class::Write => self.writes.clone().acquire_owned().await.ok(),
        };
        if let Some(elsewhere) = &self.elsewhere {
            let (answer, answered) = oneshot::channel();
            let call = move || {
                let _permit = permit;
                let _nobody_waits = answer.send(work());
            };
            elsewhere.run(Box::new(call)).await;
            return answered.await.map_err(|_| Error::internal("A store call was not run"))?;
        }
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match task.await {
            Ok(result) => result,
            Err(failure) => {
                tracing::error!(%failure, "a store call panicked");
                Err(Error::internal("Internal server error"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn g9_a_commit_counts_until_its_end_also_when_its_caller_has_gone_away() {
        let workers = Workers::new(None);
        let ((left, reply), (open, gate)) = (channel(), channel::<()>());
        let call = tokio::spawn({
            let workers = workers.clone();
            async move {
                let call = move |_: &Arc<dyn Errands>, answer: Reply<()>| {
                    left.send(answer).unwrap();
                    let _closed = gate.recv();
                    None
                };
                workers.commit(call).await
            }
        });
        while workers.writes.available_permits() == WRITE_PERMITS {
            tokio::task::yield_now().await;
        }
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        drop(open);
        workers.rest().await;
        assert_eq!(workers.writes.available_permits(), WRITE_PERMITS - 1, "no answer yet");
        reply.recv().unwrap().send(());
        assert_eq!(workers.writes.available_permits(), WRITE_PERMITS);
    }
}
