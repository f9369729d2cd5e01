//! Commits that no thread waits for.
//!
//! ```text
//!   task ──operations──> queue ──> a runner: runs them up to the commit ──> pipeline
//!    ^                                                                        │
//!    └──────────────────────────── woken by the answer ───────────────────────┘
//! ```
//!
//! A thread for each of 64 waiting sockets means 64 stacks and allocator heaps that take
//! turns on a few processors, and two switches of threads for each commit. So a few
//! runners serve all, and whoever is answered is a task. What runs up to a commit is short
//! but reads the store, and a read may wait for a slow disk: what has waited too long for
//! a runner gets one of its own.
//!
//! The pipeline of commits works on the threads of those who commit. A runner whose commit
//! leads a group makes room for another before it writes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem::layers::transaction::{Errand, Errands};
use tandem_base::{Error, Result};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

/// How long a call may wait for a runner that is held up.
const PATIENCE: Duration = Duration::from_millis(2);

type Call = Box<dyn FnOnce(&Arc<dyn Errands>) -> Option<Errand> + Send>;

/// See the [module](self).
pub(crate) struct Unattended {
    runtime: Handle,
    /// As many runners serve at once, unless they are held up.
    most: usize,
    /// And as many then.
    at_worst: usize,
    state: Mutex<State>,
    /// Threads that are at work here.
    busy: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Call>,
    /// How many calls have come, and how many were begun: in that order.
    come: u64,
    begun: u64,
    runners: usize,
}

impl Unattended {
    /// On the present runtime, with so many threads of it at most.
    pub(crate) fn new(at_worst: usize) -> Self {
        let runtime = Handle::current();
        let most = runtime.metrics().num_workers().min(at_worst);
        Self { runtime, most, at_worst, state: Mutex::default(), busy: watch::Sender::new(0) }
    }

    /// Runs `call` on a runner and waits until it, or what it has left behind, sends the
    /// answer. When the caller goes away, it runs to its end all the same.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&Arc<dyn Errands>, oneshot::Sender<T>) -> Option<Errand> + Send + 'static,
    ) -> Result<T> {
        let (sender, mut answer) = oneshot::channel();
        let number = self.queue(Box::new(move |errands| call(errands, sender)));
        let answered = loop {
            tokio::select! {
                biased;
                answered = &mut answer => break answered,
                () = sleep(PATIENCE) => {
                    if self.state().begun >= number {
                        break answer.await;
                    }
                    self.add_runner(self.at_worst);
                }
            }
        };
        answered.map_err(|_| Error::internal("Internal server error"))
    }

    /// Waits until no thread is at work here.
    pub(crate) async fn rests(&self) {
        let mut busy = self.busy.subscribe();
        let _sender_lives = busy.wait_for(|busy| *busy == 0).await;
    }

    fn queue(self: &Arc<Self>, call: Call) -> u64 {
        let mut state = self.state();
        state.waiting.push_back(call);
        state.come += 1;
        let number = state.come;
        drop(state);
        self.add_runner(self.most);
        number
    }

    /// Adds a runner to less than so many, if there is something to do.
    fn add_runner(self: &Arc<Self>, most: usize) {
        {
            let mut state = self.state();
            if state.waiting.is_empty() || state.runners >= most {
                return;
            }
            state.runners += 1;
        }
        let this = self.clone();
        self.lend(move || this.serve());
    }

    /// Serves what waits, on this thread.
    fn serve(self: &Arc<Self>) {
        let errands: Arc<dyn Errands> = self.clone();
        while let Some(call) = self.next() {
            // What a panic drops tells the caller, and rolls back.
            let Ok(errand) = catch_unwind(AssertUnwindSafe(|| call(&errands))) else {
                tracing::error!("a store call panicked");
                continue;
            };
            let Some(errand) = errand else { continue };
            self.state().runners -= 1;
            self.add_runner(self.most);
            errand.run();
            let mut state = self.state();
            if state.runners >= self.most {
                return;
            }
            state.runners += 1;
        }
    }

    /// The next call; a runner that gets none is none any more.
    fn next(&self) -> Option<Call> {
        let mut state = self.state();
        let call = state.waiting.pop_front();
        match call {
            Some(_) => state.begun += 1,
            None => state.runners -= 1,
        }
        call
    }

    fn lend(&self, work: impl FnOnce() + Send + 'static) {
        let busy = Busy::new(&self.busy);
        self.runtime.spawn_blocking(move || {
            work();
            drop(busy);
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Errands for Unattended {
    fn run(&self, errand: Errand) {
        self.lend(move || errand.run());
    }
}

/// Counts one thread.
struct Busy(watch::Sender<usize>);

impl Busy {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tandem_base::{Code, Environment};

    use super::*;

    #[tokio::test]
    async fn calls_that_are_held_up_hold_up_no_others() {
        let unattended = Arc::new(Unattended::new(64));
        let (mut waiting, mut gates) = (Vec::new(), Vec::new());
        for _ in 0..40 {
            let (open, gate) = channel::<()>();
            gates.push(open);
            let unattended = unattended.clone();
            waiting.push(tokio::spawn(async move {
                let held_up = move |_: &Arc<dyn Errands>, sender: oneshot::Sender<()>| {
                    let _closed = gate.recv();
                    let _gone = sender.send(());
                    None
                };
                unattended.run(held_up).await
            }));
        }
        while unattended.state().begun < 40 {
            tokio::task::yield_now().await;
        }
        let quick = |_: &Arc<dyn Errands>, sender: oneshot::Sender<u8>| {
            let _gone = sender.send(7);
            None
        };
        assert_eq!(unattended.run(quick).await.unwrap(), 7);
        drop(gates);
        for call in waiting {
            call.await.unwrap().unwrap();
        }
        unattended.rests().await;
        assert_eq!(unattended.state().runners, 0);
    }

    #[tokio::test]
    async fn a_call_that_leads_makes_room_and_is_waited_for_at_the_end() {
        let unattended = Arc::new(Unattended::new(64));
        let (open, gate) = channel::<()>();
        let leading = |_: &Arc<dyn Errands>, sender: oneshot::Sender<()>| {
            let _gone = sender.send(());
            let wait = move || {
                let _closed = gate.recv();
            };
            Some(Errand::new(&Environment::system(), wait))
        };
        unattended.run(leading).await.unwrap();
        while unattended.state().runners > 0 {
            tokio::task::yield_now().await;
        }
        let rests = tokio::time::timeout(Duration::ZERO, unattended.rests()).await;
        assert!(rests.is_err(), "a thread is at work");
        drop(open);
        unattended.rests().await;
    }

    #[tokio::test]
    async fn g9_a_call_that_panics_fails_alone() {
        let unattended = Arc::new(Unattended::new(64));
        let panics = |_: &Arc<dyn Errands>, _: oneshot::Sender<()>| panic!("on purpose");
        let error = unattended.run(panics).await.unwrap_err();
        assert_eq!(error.code(), Code::InternalError);
        unattended.rests().await;
        assert_eq!(unattended.state().runners, 0);
    }
}
