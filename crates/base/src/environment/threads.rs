use std::thread;

/// Work for a background thread.
pub type Task = Box<dyn FnOnce() + Send + 'static>;

/// Starts background threads. A deterministic run supplies its own scheduler.
pub trait Threads: Send + Sync {
    /// Runs `task` in the background under `name`. The handle joins it.
    ///
    /// # Errors
    /// When the operating system refuses another thread.
    fn spawn(&self, name: &str, task: Task) -> std::io::Result<thread::JoinHandle<()>>;
}

/// Operating-system threads.
#[derive(Debug, Default)]
pub struct SystemThreads;

impl Threads for SystemThreads {
    fn spawn(&self, name: &str, task: Task) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(name.to_owned()).spawn(task)
    }
}
