//! Leader-based group commit.
//!
//! Whoever arrives while nobody leads, leads: it processes the requests that
//! are waiting, its own included, on its own thread, so that a lone client
//! pays no hand-off. Whoever arrives while somebody leads waits in the forming
//! group. A leader that has finished hands the next group to its first member
//! instead of serving others while its own caller waits.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A request on its way through the pipeline, with the place for its answer.
pub(super) struct Member<Request, Answer> {
    pub(super) request: Request,
    slot: Arc<Slot<Answer>>,
}

struct Slot<Answer> {
    turn: Mutex<Turn<Answer>>,
    changed: Condvar,
}

enum Turn<Answer> {
    Waiting,
    Lead,
    Done(Answer),
}

pub(super) struct Pipeline<Request, Answer> {
    queue: Mutex<Queue<Request, Answer>>,
    max_group: usize,
}

struct Queue<Request, Answer> {
    waiting: Vec<Member<Request, Answer>>,
    led: bool,
}

impl<Request, Answer> Pipeline<Request, Answer> {
    pub(super) fn new(max_group: usize) -> Self {
        let queue = Mutex::new(Queue { waiting: Vec::new(), led: false });
        Self { queue, max_group: max_group.max(1) }
    }

    /// Sends `request` through; `process` answers a whole group, in order. If
    /// `process` panics, `failure` answers every member of that group.
    pub(super) fn submit(
        &self,
        request: Request,
        process: impl FnOnce(Vec<Request>) -> Vec<Answer>,
        failure: impl Fn() -> Answer,
    ) -> Answer {
        let slot = Arc::new(Slot { turn: Mutex::new(Turn::Waiting), changed: Condvar::new() });
        let leads = {
            let mut queue = self.lock();
            queue.waiting.push(Member { request, slot: slot.clone() });
            !std::mem::replace(&mut queue.led, true)
        };
        if !leads && let Some(answer) = slot.wait() {
            return answer;
        }
        self.lead(process, &failure);
        // The leader is in its own group, so its answer is there.
        slot.wait().unwrap_or_else(failure)
    }

    /// Processes one group, answers its members and hands the next group on.
    fn lead(
        &self,
        process: impl FnOnce(Vec<Request>) -> Vec<Answer>,
        failure: &impl Fn() -> Answer,
    ) {
        let group: Vec<_> = {
            let mut queue = self.lock();
            let size = queue.waiting.len().min(self.max_group);
            queue.waiting.drain(..size).collect()
        };
        let (requests, slots): (Vec<_>, Vec<_>) =
            group.into_iter().map(|member| (member.request, member.slot)).unzip();
        let processed =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| process(requests)));
        let mut answers = processed.unwrap_or_default().into_iter();
        let next = {
            let mut queue = self.lock();
            let next = queue.waiting.first().map(|member| member.slot.clone());
            queue.led = next.is_some();
            next
        };
        if let Some(next) = next {
            next.set(Turn::Lead);
        }
        for slot in slots {
            slot.set(Turn::Done(answers.next().unwrap_or_else(failure)));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue<Request, Answer>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Answer> Slot<Answer> {
    fn set(&self, turn: Turn<Answer>) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
        self.changed.notify_one();
    }

    /// The answer, or `None` when it is this member's turn to lead.
    fn wait(&self) -> Option<Answer> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *turn, Turn::Waiting) {
                Turn::Waiting => {
                    turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
                }
                Turn::Lead => return None,
                Turn::Done(answer) => return Some(answer),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_request_is_answered_once_and_by_its_own_answer() {
        let pipeline = Pipeline::new(7);
        let groups = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let (pipeline, groups) = (&pipeline, &groups);
                scope.spawn(move || {
                    for n in 0..500 {
                        let request = thread * 1_000 + n;
                        let answer = pipeline.submit(
                            request,
                            |group: Vec<u64>| {
                                assert!(group.len() <= 7);
                                groups.fetch_add(1, Ordering::Relaxed);
                                group.into_iter().map(|request| request + 1).collect()
                            },
                            || 0,
                        );
                        assert_eq!(answer, request + 1);
                    }
                });
            }
        });
        assert!(groups.load(Ordering::Relaxed) <= 4_000);
    }

    #[test]
    fn g9_a_panicking_leader_fails_its_group_and_nobody_else() {
        let pipeline = Pipeline::<u8, &str>::new(8);
        let failed = pipeline.submit(1, |_| panic!("on purpose"), || "failed");
        assert_eq!(failed, "failed");
        assert_eq!(pipeline.submit(2, |group| vec!["done"; group.len()], || "failed"), "done");
    }
}
