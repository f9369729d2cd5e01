//! How long an input may take.
//!
//! A hang cannot be caught, only reported: when an input takes longer than
//! [`LONGEST`], a thread beside it writes the input to a file, says so and ends
//! the process.

use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

/// Far beyond what any input takes on a loaded machine.
pub const LONGEST: Duration = Duration::from_secs(20);

struct Running {
    target: &'static str,
    input: Vec<u8>,
    since: Instant,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
static WATCHER: Once = Once::new();

/// While it lives, an input is being fed.
pub struct Watch(());

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "a watchdog is about real time")]
    pub(crate) fn start(target: &'static str, input: &[u8]) -> Self {
        WATCHER.call_once(|| drop(std::thread::spawn(watch)));
        let running = Running { target, input: input.to_vec(), since: Instant::now() };
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
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = running.as_ref().filter(|running| running.since.elapsed() > LONGEST)
        else {
            continue;
        };
        let path = PathBuf::from(format!("hang-{}", running.target));
        let written = std::fs::write(&path, &running.input);
        eprintln!(
            "{}: an input takes longer than {LONGEST:?}: {path:?} {written:?}",
            running.target
        );
        std::process::abort();
    }
}
