//! How long an input may take.
//!
//! A hang cannot be caught, only reported: when an input takes longer than
//! [`LONGEST`], a thread beside it writes the input to a file, says so and ends
//! the process. It counts seconds that it has slept itself, so that a process that
//! was stopped for a while is not taken for one that hangs.

use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// Far beyond what any input takes on a loaded machine.
pub const LONGEST: Duration = Duration::from_secs(20);

struct Running {
    target: &'static str,
    input: Vec<u8>,
    /// Seconds that the watcher has seen it run.
    seconds: u64,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
static WATCHER: Once = Once::new();

/// While it lives, an input is being fed.
pub struct Watch(());

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "a watchdog is about real time")]
    pub(crate) fn start(target: &'static str, input: &[u8]) -> Self {
        WATCHER.call_once(|| drop(std::thread::spawn(watch)));
        let running = Running { target, input: input.to_vec(), seconds: 0 };
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Self(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[expect(clippy::disallowed_methods, reason = "a watchdog is about real time")]
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = running.as_mut() else { continue };
        running.seconds += 1;
        if running.seconds <= LONGEST.as_secs() {
            continue;
        }
        let path = PathBuf::from(format!("hang-{}", running.target));
        let written = std::fs::write(&path, &running.input);
        eprintln!(
            "{}: an input takes longer than {LONGEST:?}: {path:?} {written:?}",
            running.target
        );
        std::process::abort();
    }
}
