//! Leader-based group commit in two stages.
//!
//! Whoever arrives while nobody leads, leads: it processes the requests that
//! are waiting, its own included, on its own thread, so that a lone client
//! pays no hand-off. Whoever arrives while somebody leads waits in the forming
//! group.
//!
//! A group is first *decided* and then *written*. At most one group is in each
//! stage, so a group is decided while the one before it is on its way to the
//! disk, and groups are written in the order in which they were decided:
//!
//! ```text
//! leader 1   decide ─┬─ write ──────────┐ answer
//! leader 2           └ decide … decide ─┴─ write ──────────┐ answer
//! leader 3                                └ decide … decide ─┴─ write
//! ```
//!
//! While a leader waits for the disk it goes on deciding what arrives, so the
//! group is as large as the wait was long. A leader that begins to write hands
//! the next group to its first member, instead of serving others while its own
//! caller waits.
//!
//! To sleep and be woken takes about as long as to write a group that need not reach
//! the disk. So where that is all a leader waits for, and nobody but the two has
//! work for a processor, it stays awake for a moment: of two threads whose commits
//! survive the death of the process, each otherwise slept through every write of
//! the other's, and both together were slower than one alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use tandem_base::sync::atomic::{AtomicU64, Ordering};
use tandem_base::sync::{Condvar, EXPLORED, Mutex, MutexGuard, thread};

/// What is done with a group. Never two at once in [`decide`](Self::decide) and
/// [`seal`](Self::seal), nor in [`write`](Self::write).
pub(super) trait Stages {
    type Request;
    type Answer;
    /// A group on its way.
    type Group: Default;

    /// Takes more requests, at least one, into the group.
    fn decide(&self, group: &mut Self::Group, requests: Vec<Self::Request>);

    /// The group is complete, and the one before it is written: from now on
    /// the next one is decided.
    fn seal(&self, group: &mut Self::Group);

    /// Whether to write the group takes no longer than to wake a thread.
    fn is_brief(&self, group: &Self::Group) -> bool;

    /// Writes the group and answers its requests in the order of arrival.
    fn write(&self, group: Self::Group) -> Vec<Self::Answer>;

    /// Answers every member of a group in which something panicked.
    fn failure(&self) -> Self::Answer;
}

pub(super) struct Pipeline<S: Stages> {
    queue: Mutex<Queue<S::Request, S::Answer>>,
    /// Something happened that a leader waits for.
    leader: Condvar,
    /// How many groups have been written.
    written: AtomicU64,
    max_group: usize,
}

struct Queue<Request, Answer> {
    waiting: Vec<Member<Request, Answer>>,
    /// Requests without an answer.
    under_way: usize,
    /// Somebody decides.
    led: bool,
    /// Somebody writes.
    writing: bool,
    /// What is written is brief.
    brief: bool,
    /// The one who decides sleeps.
    parked: bool,
}

struct Member<Request, Answer> {
    request: Request,
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

/// How many have to arrive before a leader that waits for the disk is woken to
/// decide them: each wake-up is a switch of threads.
const WORTH_WAKING: usize = 4;

/// How often a leader looks whether a brief write is over before it sleeps. Each time
/// it offers its processor to others; if nobody wants it, all take about 50 us.
const LOOKS: u32 = if EXPLORED { 1 } else { 100 };

impl<S: Stages> Pipeline<S> {
    pub(super) fn new(max_group: usize) -> Self {
        let queue = Queue {
            waiting: Vec::new(),
            under_way: 0,
            led: false,
            writing: false,
            brief: false,
            parked: false,
        };
        let (queue, leader, written) = (Mutex::new(queue), Condvar::new(), AtomicU64::new(0));
        Self { queue, leader, written, max_group: max_group.max(1) }
    }

    /// Sends `request` through.
    pub(super) fn submit(&self, stages: &S, request: S::Request) -> S::Answer {
        let slot = Arc::new(Slot { turn: Mutex::new(Turn::Waiting), changed: Condvar::new() });
        let leads = {
            let mut queue = self.lock();
            queue.waiting.push(Member { request, slot: slot.clone() });
            queue.under_way += 1;
            if queue.parked && queue.waiting.len() >= WORTH_WAKING {
                queue.parked = false;
                self.leader.notify_all();
            }
            !std::mem::replace(&mut queue.led, true)
        };
        if !leads && let Some(answer) = slot.wait() {
            return answer;
        }
        self.lead(stages);
        // The leader is in its own group, so its answer is there.
        slot.wait().unwrap_or_else(|| stages.failure())
    }

    /// How many requests have no answer yet.
    pub(super) fn under_way(&self) -> usize {
        self.lock().under_way
    }

    /// Whether a group is forming: whoever leads it sleeps until the one before is
    /// written, and what arrives until then joins it.
    pub(super) fn is_forming(&self) -> bool {
        self.lock().parked
    }

    /// Takes one group through both stages and answers its members.
    fn lead(&self, stages: &S) {
        let mut group = S::Group::default();
        let mut slots = Vec::new();
        let mut whole = true;
        let mut awake = false;
        let mut queue = self.lock();
        loop {
            let room = self.max_group - slots.len();
            let arrived = queue.waiting.len().min(room);
            if arrived > 0 {
                let arrived: Vec<_> = queue.waiting.drain(..arrived).collect();
                drop(queue);
                let mut requests = Vec::with_capacity(arrived.len());
                for member in arrived {
                    requests.push(member.request);
                    slots.push(member.slot);
                }
                whole &= contained(|| stages.decide(&mut group, requests)).is_some();
                queue = self.lock();
            }
            if !queue.writing {
                break;
            }
            if queue.brief && queue.under_way <= 2 && !std::mem::replace(&mut awake, true) {
                let written = self.written.load(Ordering::Acquire);
                drop(queue);
                self.look_whether_more_than(written);
                queue = self.lock();
                continue;
            }
            let full = slots.len() == self.max_group;
            queue.parked = !full && queue.waiting.len() < WORTH_WAKING;
            if full || queue.parked {
                queue = self.leader.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.parked = false;
        }
        queue.writing = true;
        drop(queue);

        whole &= contained(|| stages.seal(&mut group)).is_some();
        let brief = whole && contained(|| stages.is_brief(&group)).unwrap_or(false);
        let next = {
            let mut queue = self.lock();
            queue.brief = brief;
            let next = queue.waiting.first().map(|member| member.slot.clone());
            queue.led = next.is_some();
            next
        };
        if let Some(next) = next {
            next.set(Turn::Lead);
        }
        let answers = if whole { contained(|| stages.write(group)) } else { None };
        // Before anybody else may write: the next group was decided on top of
        // one that is not there.
        let answers = answers.unwrap_or_else(|| slots.iter().map(|_| stages.failure()).collect());
        {
            let mut queue = self.lock();
            queue.writing = false;
            queue.brief = false;
            queue.parked = false;
            queue.under_way -= slots.len();
            self.written.fetch_add(1, Ordering::Release);
            self.leader.notify_all();
        }
        let mut answers = answers.into_iter();
        for slot in slots {
            slot.set(Turn::Done(answers.next().unwrap_or_else(|| stages.failure())));
        }
    }

    /// Returns when more than so many groups are written, or after a moment.
    fn look_whether_more_than(&self, written: u64) {
        for _ in 0..LOOKS {
            if self.written.load(Ordering::Acquire) > written {
                return;
            }
            thread::yield_now();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<S::Request, S::Answer>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` if `stage` panicked.
fn contained<T>(stage: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(stage)).ok()
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
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    /// Numbers requests when they are decided and answers with the number;
    /// writes must come in that order.
    #[derive(Default)]
    struct Numbered {
        deciding: AtomicBool,
        writing: AtomicBool,
        decided: AtomicU64,
        written: AtomicU64,
        panic_on: u64,
    }

    impl Stages for Numbered {
        type Request = u64;
        type Answer = Option<(u64, u64)>;
        type Group = Vec<(u64, u64)>;

        fn decide(&self, group: &mut Self::Group, requests: Vec<u64>) {
            assert!(!self.deciding.swap(true, Ordering::SeqCst), "one group is decided at a time");
            for request in requests {
                group.push((request, self.decided.fetch_add(1, Ordering::SeqCst)));
            }
            self.deciding.store(false, Ordering::SeqCst);
        }

        fn seal(&self, group: &mut Self::Group) {
            assert!(group.len() <= 7);
        }

        fn is_brief(&self, group: &Self::Group) -> bool {
            group.len() % 2 == 0
        }

        fn write(&self, group: Self::Group) -> Vec<Self::Answer> {
            assert!(!self.writing.swap(true, Ordering::SeqCst), "one group is written at a time");
            let panics = group.iter().any(|(request, _)| *request == self.panic_on);
            for (_, number) in &group {
                let written = self.written.fetch_add(1, Ordering::SeqCst);
                assert_eq!(*number, written, "groups are written as they were decided");
            }
            self.writing.store(false, Ordering::SeqCst);
            assert!(!panics, "on purpose");
            group.into_iter().map(Some).collect()
        }

        fn failure(&self) -> Self::Answer {
            None
        }
    }

    #[test]
    fn every_request_is_answered_once_and_groups_are_written_in_order() {
        let (pipeline, stages) = (Pipeline::new(7), Numbered::default());
        std::thread::scope(|scope| {
            for thread in 1..=8u64 {
                let (pipeline, stages) = (&pipeline, &stages);
                scope.spawn(move || {
                    for n in 0..500 {
                        let request = thread * 1_000 + n;
                        let answer = pipeline.submit(stages, request);
                        assert_eq!(answer.map(|(request, _)| request), Some(request));
                    }
                });
            }
        });
        assert_eq!(stages.written.load(Ordering::SeqCst), 4_000);
    }

    #[test]
    fn g9_a_panicking_leader_fails_its_group_and_nobody_else() {
        let (pipeline, stages) =
            (Pipeline::new(8), Numbered { panic_on: 1, ..Numbered::default() });
        assert_eq!(pipeline.submit(&stages, 1), None);
        assert_eq!(pipeline.submit(&stages, 2), Some((2, 1)));
    }

    /// Panics where it is told to, and counts the groups that are written.
    struct Failing {
        in_decide: bool,
        in_seal: bool,
        written: AtomicU64,
    }

    impl Stages for Failing {
        type Request = ();
        type Answer = bool;
        type Group = usize;

        fn decide(&self, group: &mut usize, requests: Vec<()>) {
            *group += requests.len();
            assert!(!self.in_decide, "on purpose");
        }

        fn seal(&self, _: &mut usize) {
            assert!(!self.in_seal, "on purpose");
        }

        fn is_brief(&self, _: &usize) -> bool {
            false
        }

        fn write(&self, group: usize) -> Vec<bool> {
            self.written.fetch_add(1, Ordering::SeqCst);
            vec![true; group]
        }

        fn failure(&self) -> bool {
            false
        }
    }

    #[test]
    fn g1_a_group_in_which_something_panicked_is_not_written() {
        for (in_decide, in_seal) in [(false, false), (true, false), (false, true)] {
            let stages = Failing { in_decide, in_seal, written: AtomicU64::new(0) };
            let pipeline = Pipeline::new(8);
            let whole = !in_decide && !in_seal;
            assert_eq!(pipeline.submit(&stages, ()), whole);
            assert_eq!(stages.written.load(Ordering::SeqCst), u64::from(whole));
            assert_eq!(pipeline.under_way(), 0, "its members are answered all the same");
        }
    }

    /// Panics in every write, and looks whether anybody else could write when
    /// that is reported.
    #[derive(Default)]
    struct Reported {
        pipeline: std::sync::OnceLock<Arc<Pipeline<Self>>>,
    }

    impl Stages for Reported {
        type Request = ();
        type Answer = bool;
        type Group = ();

        fn decide(&self, (): &mut (), _: Vec<()>) {}

        fn seal(&self, (): &mut ()) {}

        fn is_brief(&self, (): &()) -> bool {
            false
        }

        fn write(&self, (): ()) -> Vec<bool> {
            panic!("on purpose")
        }

        fn failure(&self) -> bool {
            self.pipeline.get().is_some_and(|pipeline| pipeline.lock().writing)
        }
    }

    #[test]
    fn g1_a_panic_is_reported_before_the_group_on_top_of_it_is_written() {
        let (pipeline, stages) = (Arc::new(Pipeline::new(8)), Reported::default());
        assert!(stages.pipeline.set(pipeline.clone()).is_ok());
        assert!(pipeline.submit(&stages, ()), "the next group could have been written already");
    }

    /// Writes nothing until it is told to, and remembers how large groups were.
    #[derive(Default)]
    struct Slow {
        decided: AtomicU64,
        groups: Mutex<Vec<usize>>,
        gate: Mutex<Gate>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct Gate {
        writes_go_on: bool,
        decisions_wait: bool,
    }

    impl Slow {
        fn wait_while(&self, waits: impl Fn(&Gate) -> bool) {
            let mut gate = self.gate.lock().unwrap();
            while waits(&gate) {
                gate = self.changed.wait(gate).unwrap();
            }
        }

        fn set(&self, change: impl FnOnce(&mut Gate)) {
            change(&mut self.gate.lock().unwrap());
            self.changed.notify_all();
        }
    }

    impl Stages for Slow {
        type Request = u64;
        type Answer = Option<u64>;
        type Group = Vec<u64>;

        fn decide(&self, group: &mut Vec<u64>, requests: Vec<u64>) {
            assert!(!requests.is_empty(), "there is something to decide");
            self.decided.fetch_add(requests.len() as u64, Ordering::SeqCst);
            self.wait_while(|gate| gate.decisions_wait);
            group.extend(requests);
        }

        fn seal(&self, _: &mut Vec<u64>) {}

        // Not as brief as it says: whoever waits for it sleeps in the end.
        fn is_brief(&self, _: &Vec<u64>) -> bool {
            true
        }

        fn write(&self, group: Vec<u64>) -> Vec<Option<u64>> {
            self.groups.lock().unwrap().push(group.len());
            self.wait_while(|gate| !gate.writes_go_on);
            group.into_iter().map(Some).collect()
        }

        fn failure(&self) -> Option<u64> {
            None
        }
    }

    /// What is decided, waits, and whether the leader sleeps, after each of
    /// `arrivals` while the first group is being written; then the sizes of all
    /// groups.
    fn while_writing(max_group: usize, arrivals: u64) -> (Vec<(u64, u64, bool)>, Vec<usize>) {
        let (pipeline, slow) = (&Pipeline::new(max_group), &Slow::default());
        let state = || {
            let queue = pipeline.lock();
            (slow.decided.load(Ordering::SeqCst), queue.waiting.len() as u64, queue.parked)
        };
        let (mut states, mut under_way) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            let submit = |request| {
                scope.spawn(move || assert_eq!(pipeline.submit(slow, request), Some(request)));
            };
            submit(0);
            while slow.groups.lock().unwrap().is_empty() {
                std::thread::yield_now();
            }
            for request in 1..=arrivals {
                submit(request);
                // It has arrived, and whoever was woken for it sleeps again.
                let settled = |(decided, waiting, parked): (u64, u64, bool)| {
                    let full = decided > max_group as u64;
                    decided + waiting == request + 1 && (parked || full)
                };
                while !settled(state()) {
                    std::thread::yield_now();
                }
                states.push(state());
                under_way.push(pipeline.under_way() as u64);
            }
            slow.set(|gate| gate.writes_go_on = true);
        });
        // Looked at now: a failure before would leave the writer waiting.
        assert!(under_way.into_iter().eq(2..=arrivals + 1), "each until it is answered");
        assert_eq!(pipeline.under_way(), 0, "all are answered");
        let groups = slow.groups.lock().unwrap().clone();
        (states, groups)
    }

    #[test]
    fn a_leader_that_waits_for_the_disk_is_woken_when_it_is_worth_it() {
        let (states, groups) = while_writing(8, 7);
        let expected = [
            (2, 0, true),
            (2, 1, true),
            (2, 2, true),
            (2, 3, true),
            (6, 0, true),
            (6, 1, true),
            (6, 2, true),
        ];
        assert_eq!(states, expected);
        assert_eq!(groups, [1, 7], "what had arrived goes with the group");
    }

    #[test]
    fn what_arrives_while_a_leader_decides_is_decided_next_if_it_is_worth_it() {
        for (arrivals, expected) in [(3, (2, 3)), (4, (6, 0)), (5, (7, 0))] {
            let (pipeline, slow) = (&Pipeline::new(8), &Slow::default());
            let decided = || slow.decided.load(Ordering::SeqCst);
            let until = |there: &dyn Fn() -> bool| {
                while !there() {
                    std::thread::yield_now();
                }
            };
            let found = std::thread::scope(|scope| {
                let submit = |request| {
                    scope.spawn(move || assert_eq!(pipeline.submit(slow, request), Some(request)));
                };
                submit(0);
                until(&|| !slow.groups.lock().unwrap().is_empty());
                slow.set(|gate| gate.decisions_wait = true);
                submit(1);
                until(&|| decided() == 2);
                (2..2 + arrivals).for_each(submit);
                until(&|| pipeline.lock().waiting.len() as u64 == arrivals);
                slow.set(|gate| gate.decisions_wait = false);
                // It sleeps until the first group is written, or more arrive.
                until(&|| pipeline.lock().parked);
                let found = (decided(), pipeline.lock().waiting.len());
                slow.set(|gate| gate.writes_go_on = true);
                found
            });
            assert_eq!(found, expected, "{arrivals}");
        }
    }

    #[test]
    fn g10_a_full_group_takes_no_more_and_the_rest_is_the_next() {
        let (states, groups) = while_writing(3, 7);
        assert_eq!(states[3..], [(2, 3, true), (4, 2, false), (4, 3, false), (4, 4, false)]);
        assert_eq!(groups, [1, 3, 3, 1]);
    }
}
