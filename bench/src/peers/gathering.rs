use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::peer::Result;

/// The barest group commit: items that arrive while a write is under way are
/// written together by the next one. The first to arrive writes for all, so one
/// client alone pays for no hand-over.
pub struct Gathering<T> {
    queue: Mutex<Queue<T>>,
    written: Condvar,
}

struct Queue<T> {
    gathered: Vec<T>,
    arrived: u64,
    done: u64,
    led: bool,
    failed: bool,
}

impl<T> Gathering<T> {
    pub fn new() -> Self {
        let queue = Queue { gathered: Vec::new(), arrived: 0, done: 0, led: false, failed: false };
        Self { queue: Mutex::new(queue), written: Condvar::new() }
    }

    /// Returns when `item` was written with others by one call of `write`, the
    /// caller's or another's.
    pub fn submit(&self, item: T, write: impl Fn(Vec<T>) -> Result<()>) -> Result<()> {
        let mut queue = self.queue();
        queue.gathered.push(item);
        queue.arrived += 1;
        let own = queue.arrived;
        while queue.done < own {
            if queue.failed {
                return Err("a write failed".into());
            }
            if queue.led {
                queue = self.written.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.led = true;
            let (gathered, upto) = (std::mem::take(&mut queue.gathered), queue.arrived);
            drop(queue);
            let written = write(gathered);
            queue = self.queue();
            queue.led = false;
            queue.failed = written.is_err();
            self.written.notify_all();
            written?;
            queue.done = upto;
        }
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_written_once_before_its_submission_returns() {
        let (gathering, written) = (Gathering::new(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for client in 0..8 {
                let (gathering, written) = (&gathering, &written);
                scope.spawn(move || {
                    for number in 0..100 {
                        let item = client * 100 + number;
                        let write = |items: Vec<i32>| {
                            written.lock().unwrap().extend(items);
                            Ok(())
                        };
                        gathering.submit(item, write).unwrap();
                        assert!(written.lock().unwrap().contains(&item));
                    }
                });
            }
        });
        let mut written = written.into_inner().unwrap();
        written.sort_unstable();
        assert_eq!(written, (0..800).collect::<Vec<_>>());
    }
}
