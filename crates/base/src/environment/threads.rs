use std::time::Duration;

use crate::sync::thread;

/// Work for a background thread.
pub type Task = Box<dyn FnOnce() + Send + 'static>;

/// Starts background threads and lets a thread rest. A deterministic run
/// supplies its own.
pub trait Threads: Send + Sync {
    /// Runs `task` in the background under `name`. The handle joins it.
    ///
    /// # Errors
    /// When the operating system refuses another thread.
    fn spawn(&self, name: &str, task: Task) -> std::io::Result<thread::JoinHandle<()>>;

    /// Makes the calling thread rest: the back-off between two attempts.
    fn sleep(&self, duration: Duration);
}

/// Operating-system threads.
#[derive(Debug, Default)]
pub struct SystemThreads;

impl Threads for SystemThreads {
    fn spawn(&self, name: &str, task: Task) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(name.to_owned()).spawn(task)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the trait's system side")]
    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}
