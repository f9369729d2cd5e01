//! The scheduler: one thread, and the dice decide who runs next.
//!
//! tokio's own scheduler runs tasks in the order in which they were woken, and
//! that order depends on random numbers inside tokio. Here waking a task only
//! puts it into the set of ready ones; which of them is polled next is drawn
//! from the seed. So a run is independent of the order of wakes, and thousands
//! of seeds see thousands of orders.
//!
//! ```text
//!   tokio, one thread, paused clock
//!     └─ Executor::run ── one task per poll ──> clients · connections · operator
//!     └─ the server's writer tasks (tokio::spawn)
//! ```
//!
//! tokio's clock stands still while anything can run, and then jumps to the
//! next timer.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::core::{Core, lock};

/// Names a task within a run.
pub type TaskId = u64;

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// See the [module](self).
pub struct Executor {
    core: Arc<Core>,
    tasks: RefCell<BTreeMap<TaskId, Body>>,
    ready: Arc<Ready>,
    last: Cell<TaskId>,
    aborted: RefCell<BTreeSet<TaskId>>,
}

#[derive(Default)]
struct Ready {
    tasks: Mutex<BTreeSet<TaskId>>,
    runner: Mutex<Option<Waker>>,
}

impl Ready {
    fn insert(&self, task: TaskId) {
        lock(&self.tasks).insert(task);
        if let Some(runner) = &*lock(&self.runner) {
            runner.wake_by_ref();
        }
    }
}

struct Bell {
    task: TaskId,
    ready: Arc<Ready>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.insert(self.task);
    }
}

impl Executor {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            tasks: RefCell::default(),
            ready: Arc::default(),
            last: Cell::new(0),
            aborted: RefCell::default(),
        }
    }

    /// Adds a task.
    pub fn spawn(&self, body: impl Future<Output = ()> + 'static) -> TaskId {
        let task = self.last.get() + 1;
        self.last.set(task);
        self.tasks.borrow_mut().insert(task, Box::pin(body));
        self.ready.insert(task);
        task
    }

    /// Drops a task where it stands.
    pub fn abort(&self, task: TaskId) {
        self.core.event("abort", task, b"");
        let body = self.tasks.borrow_mut().remove(&task);
        if body.is_none() && task <= self.last.get() {
            // It is running now, or over.
            self.aborted.borrow_mut().insert(task);
        }
        drop(body);
    }

    /// Runs tasks until `main` is over.
    pub async fn run<T: 'static>(self: &Rc<Self>, main: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let kept = result.clone();
        self.spawn(async move {
            let value = main.await;
            *kept.borrow_mut() = Some(value);
        });
        poll_fn(|context| {
            *lock(&self.ready.runner) = Some(context.waker().clone());
            if let Some(value) = result.borrow_mut().take() {
                return Poll::Ready(value);
            }
            // One task per poll: the server's writers have their turn between.
            if self.poll_one() {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    fn poll_one(&self) -> bool {
        let task = {
            let mut ready = lock(&self.ready.tasks);
            if ready.is_empty() {
                return false;
            }
            let at = if ready.len() == 1 { 0 } else { self.core.dice.below(ready.len()) };
            let Some(task) = ready.iter().nth(at).copied() else { return false };
            ready.remove(&task);
            task
        };
        let Some(mut body) = self.tasks.borrow_mut().remove(&task) else { return true };
        self.core.event("poll", task, b"");
        let bell = Waker::from(Arc::new(Bell { task, ready: self.ready.clone() }));
        let over = body.as_mut().poll(&mut Context::from_waker(&bell)).is_ready();
        let aborted = self.aborted.borrow_mut().remove(&task);
        if over || aborted {
            drop(body);
        } else {
            self.tasks.borrow_mut().insert(task, body);
        }
        true
    }

    /// Drops everything that is left.
    pub(crate) fn clear(&self) {
        while let Some((_, body)) = { self.tasks.borrow_mut().pop_first() } {
            drop(body);
        }
    }
}
