//! Commits of callers that do not wait on a thread of their own.
//!
//! The pipeline of commits has no threads: whoever waits for a commit decides, writes
//! and syncs for others when its turn comes. A caller that has gone on (a task of a
//! server, of which thousands may wait) leaves behind how a thread is found for that.

use std::sync::Arc;

use tandem_base::{Environment, Result, Threads};

use crate::coordination::Receipt;
use crate::local::Spent;

/// Work that others wait for, and that may wait for the disk. Dropped, it is done by a
/// thread of its own: nobody waits for ever because a runtime was shut down.
#[must_use = "others wait for it"]
pub struct Errand {
    work: Option<Box<dyn FnOnce() + Send>>,
    threads: Arc<dyn Threads>,
}

impl Errand {
    /// Work to be done once.
    pub fn new(environment: &Environment, work: impl FnOnce() + Send + 'static) -> Self {
        Self { work: Some(Box::new(work)), threads: environment.threads.clone() }
    }

    /// Does it on this thread.
    pub fn run(mut self) {
        if let Some(work) = self.work.take() {
            work();
        }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            // Without another thread nothing can be done for them.
            let _refused = self.threads.spawn("tandem-errand", work);
        }
    }
}

/// Has errands done, each soon, on a thread that may wait for the disk.
pub trait Errands: Send + Sync {
    /// Returns at once, having handed it over.
    fn run(&self, errand: Errand);
}

/// What became of a commit, and what it leaves to be freed where there is time for it.
pub struct Answer {
    pub(crate) result: Result<Receipt>,
    pub(crate) spent: Spent,
}

/// Takes the answer, on whatever thread there is: it has to be quick.
pub type Then = Box<dyn FnOnce(Answer) + Send>;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn an_errand_is_done_by_whoever_runs_it_and_if_nobody_does_by_a_thread_of_its_own() {
        let present = std::thread::current().id();
        for is_run in [true, false] {
            let (sender, done) = channel();
            let errand = Errand::new(&Environment::system(), move || {
                sender.send(std::thread::current().id()).unwrap();
            });
            if is_run {
                errand.run();
                assert_eq!(done.try_recv(), Ok(present), "before it returns");
            } else {
                drop(errand);
                assert_ne!(done.recv().unwrap(), present);
            }
            assert!(done.recv().is_err(), "once");
        }
    }
}
