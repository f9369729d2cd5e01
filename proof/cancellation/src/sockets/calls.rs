use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, PoisonError};

use tandem_base::{SystemThreads, Threads as _};
use tandem_server::{StoreCall, StoreCalls};
use tokio::sync::oneshot;

type Answered = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Store calls that wait until somebody runs them.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(StoreCall, oneshot::Sender<()>)>,
    begun: usize,
}

impl Queue {
    /// How many calls have been asked for so far.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).begun
    }

    /// Runs the oldest call that waits; whether there was one.
    pub fn run_one(&self) -> bool {
        let next = self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.pop_front();
        let Some((call, done)) = next else { return false };
        run(call, done);
        true
    }
}

impl StoreCalls for Queue {
    fn run(&self, call: StoreCall) -> Answered {
        let (done, answered) = oneshot::channel();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.begun += 1;
        state.waiting.push_back((call, done));
        Box::pin(async { drop(answered.await) })
    }
}

/// Store calls that have a thread each.
#[derive(Default)]
pub struct Threads {
    running: std::sync::Arc<(Mutex<usize>, Condvar)>,
}

impl Threads {
    /// Waits until every call that was asked for is over.
    pub fn join(&self) {
        let (running, changed) = &*self.running;
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running > 0 {
            running = changed.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl StoreCalls for Threads {
    fn run(&self, call: StoreCall) -> Answered {
        let (done, answered) = oneshot::channel();
        let running = self.running.clone();
        *running.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let task = move || {
            run(call, done);
            *running.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
            running.1.notify_all();
        };
        SystemThreads.spawn("store call", Box::new(task)).expect("a thread starts");
        Box::pin(async { drop(answered.await) })
    }
}

fn run(call: StoreCall, done: oneshot::Sender<()>) {
    // As on a blocking thread: a panic ends the call and nothing else.
    let _died = catch_unwind(AssertUnwindSafe(call));
    let _nobody_waits = done.send(());
}
