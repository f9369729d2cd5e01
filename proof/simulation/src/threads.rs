use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tandem_base::{Task, Threads};

use crate::core::Core;

/// There are no threads in a simulation: whoever asks for one is told so, and
/// nobody rests but in simulated time.
pub(crate) struct NoThreads(pub(crate) Arc<Core>);

impl Threads for NoThreads {
    fn spawn(&self, name: &str, _task: Task) -> std::io::Result<JoinHandle<()>> {
        self.0.violation(format!("a thread \"{name}\" was started in a simulation"));
        Err(std::io::Error::other("no threads in a simulation"))
    }

    fn sleep(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0.event("back off", nanos, b"");
    }
}
