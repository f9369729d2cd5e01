use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Thread, current, park};

use crate::peer::Result;

/// The barest group commit: items that arrive while a write is under way are
/// written together by the next one. The first to arrive writes for all, so one
/// client alone pays for no hand-over; each of many is woken once.
pub struct Gathering<T> {
    queue: Mutex<Queue<T>>,
}

struct Queue<T> {
    waiting: Vec<(T, Arc<Waiter>)>,
    led: bool,
}

struct Waiter {
    thread: Thread,
    turn: AtomicU8,
}

const WAITING: u8 = 0;
const LEAD: u8 = 1;
const WRITTEN: u8 = 2;
const FAILED: u8 = 3;

impl Waiter {
    fn set(&self, turn: u8) {
        self.turn.store(turn, Ordering::Release);
        self.thread.unpark();
    }
}

impl<T> Gathering<T> {
    pub fn new() -> Self {
        Self { queue: Mutex::new(Queue { waiting: Vec::new(), led: false }) }
    }

    /// Returns when `item` was written with others by one call of `write`, the
    /// caller's or another's.
    pub fn submit(&self, item: T, write: impl Fn(Vec<T>) -> Result<()>) -> Result<()> {
        let own = Arc::new(Waiter { thread: current(), turn: AtomicU8::new(WAITING) });
        let leads = {
            let mut queue = self.queue();
            queue.waiting.push((item, own.clone()));
            !std::mem::replace(&mut queue.led, true)
        };
        if leads {
            own.turn.store(LEAD, Ordering::Relaxed);
        }
        loop {
            match own.turn.load(Ordering::Acquire) {
                WAITING => park(),
                LEAD => self.lead(&write),
                WRITTEN => return Ok(()),
                _ => return Err("a write failed".into()),
            }
        }
    }

    /// Writes what is waiting, the leader's own item among it.
    fn lead(&self, write: &impl Fn(Vec<T>) -> Result<()>) {
        let (items, waiters): (Vec<T>, Vec<_>) =
            std::mem::take(&mut self.queue().waiting).into_iter().unzip();
        let turn = if write(items).is_ok() { WRITTEN } else { FAILED };
        let next = {
            let mut queue = self.queue();
            let next = queue.waiting.first().map(|(_, waiter)| waiter.clone());
            queue.led = next.is_some();
            next
        };
        if let Some(next) = next {
            next.set(LEAD);
        }
        waiters.iter().for_each(|waiter| waiter.set(turn));
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
