//! Leader-based group commit in three stages.
//!
//! Whoever arrives while nobody leads, leads: it processes the requests that
//! are waiting, its own included, on its own thread, so that a lone client
//! pays no hand-off. Whoever arrives while somebody leads waits in the forming
//! group.
//!
//! A group is *decided*, then *written*, then *synced* and answered. Each stage has
//! at most one thread in it, and groups go through all of them in the order in which
//! they were decided:
//!
//! ```text
//! leader 1   decide ─ write ─ sync ────────────┐ answer
//! leader 2             decide … decide ─ write ┤
//! leader 3                          decide … … ┴ write ─ sync of both ──────┐ answer
//! leader 4                                      decide … decide ─ write … … ┤
//! ```
//!
//! So the processors have something to do while the disk is busy. One sync serves all that
//! is written, and what arrives during one sync shares the next. To write a few at a time
//! would be waste, though, and every group that is not published is one more that the
//! next is decided on top of. So while a sync is under way one group is written ahead,
//! when half as many have arrived as wait for the sync; the rest goes on forming and
//! is written when the sync is over. Of 64 clients on a disk that takes 2 ms to sync, 13 %
//! more commit in a second than when the next group was written after the sync, and the
//! slowest in a hundred wait 16 ms instead of 26 (`docs/benchmarks.md`, "What was won").
//!
//! A caller need not be a thread that sleeps ([`Caller`]): who has gone on has others find
//! a thread when its turn comes to work.
//!
//! While a leader waits it goes on deciding what arrives. A leader that begins to
//! write hands the next group to its first member, instead of serving others while
//! its own caller waits.
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
/// [`seal`](Self::seal), nor in [`write`](Self::write), nor in [`sync`](Self::sync).
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

    /// Whether to write and to sync the group takes no longer than to wake a thread.
    fn is_brief(&self, group: &Self::Group) -> bool;

    /// Writes the group.
    fn write(&self, group: &mut Self::Group);

    /// Syncs what is written, these groups, and answers the requests of each in the
    /// order of arrival.
    fn sync(&self, groups: Vec<Self::Group>) -> Vec<Vec<Self::Answer>>;

    /// Answers every member of a group in which something panicked.
    fn failure(&self) -> Self::Answer;
}

pub(super) struct Pipeline<S: Stages> {
    queue: Mutex<Queue<S>>,
    /// Something happened that a leader waits for.
    leader: Condvar,
    /// How many groups have left the stage in which they are written.
    written: AtomicU64,
    max_group: usize,
}

struct Queue<S: Stages> {
    waiting: Vec<Member<S>>,
    /// Requests without an answer.
    under_way: usize,
    /// Somebody decides.
    led: bool,
    /// Somebody writes.
    writing: bool,
    /// What is written is brief.
    brief: bool,
    /// Written ahead, while another sync is under way.
    ahead: Option<Written<S>>,
    /// How many requests the sync that is under way answers.
    syncing: usize,
    /// The one who decides sleeps.
    parked: bool,
    /// As many have to arrive to wake it.
    worth_waking: usize,
}

struct Member<S: Stages> {
    request: S::Request,
    slot: Arc<dyn Caller<S::Answer>>,
}

/// A group that only has to be synced.
struct Written<S: Stages> {
    /// Its answers, if something panicked.
    group: Result<S::Group, Vec<S::Answer>>,
    slots: Vec<Arc<dyn Caller<S::Answer>>>,
}

/// Whoever submitted a request.
pub(super) trait Caller<Answer>: Send + Sync {
    /// Called without any lock of the pipeline. If it is to work for others it does so
    /// on another thread than the present one.
    fn set(&self, turn: Turn<Answer>);
}

/// A caller that sleeps meanwhile.
struct Slot<Answer> {
    turn: Mutex<Option<Turn<Answer>>>,
    changed: Condvar,
}

/// What whoever submitted a request does next.
pub(super) enum Turn<Answer> {
    /// To lead the next group.
    Lead,
    /// To sync what was written ahead.
    Sync,
    Done(Answer),
}

/// How many have to arrive before a leader that waits for the disk is woken to
/// decide them: each wake-up is a switch of threads.
const WORTH_WAKING: usize = 4;

/// A group is written ahead when it has one member for so many that wait for the sync
/// which is under way.
const AHEAD_PART: usize = 2;

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
            ahead: None,
            syncing: 0,
            parked: false,
            worth_waking: WORTH_WAKING,
        };
        let (queue, leader, written) = (Mutex::new(queue), Condvar::new(), AtomicU64::new(0));
        Self { queue, leader, written, max_group: max_group.max(1) }
    }

    /// Sends `request` through and sleeps meanwhile, unless it is the caller's turn to
    /// work for others.
    pub(super) fn submit(&self, stages: &S, request: S::Request) -> S::Answer
    where
        S::Answer: Send + 'static,
    {
        let slot = Arc::new(Slot { turn: Mutex::new(None), changed: Condvar::new() });
        if self.enter(request, slot.clone()) {
            self.lead(stages);
        }
        loop {
            match slot.wait() {
                Turn::Lead => self.lead(stages),
                Turn::Sync => self.sync_what_is_ahead(stages),
                Turn::Done(answer) => return answer,
            }
        }
    }

    /// Lets `request` join the forming group. Whether the caller has to
    /// [`lead`](Self::lead) it.
    #[must_use]
    pub(super) fn enter(&self, request: S::Request, slot: Arc<dyn Caller<S::Answer>>) -> bool {
        let mut queue = self.lock();
        queue.waiting.push(Member { request, slot });
        queue.under_way += 1;
        if queue.parked && queue.waiting.len() >= queue.worth_waking {
            queue.parked = false;
            self.leader.notify_all();
        }
        !std::mem::replace(&mut queue.led, true)
    }

    /// How many requests have no answer yet.
    pub(super) fn under_way(&self) -> usize {
        self.lock().under_way
    }

    /// Whether a group is forming: whoever leads it sleeps until it can be written, and
    /// what arrives until then joins it.
    pub(super) fn is_forming(&self) -> bool {
        self.lock().parked
    }

    /// Takes one group, with the caller in it, as far as it gets without waiting for a
    /// sync of others.
    pub(super) fn lead(&self, stages: &S) {
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
            let missing = queue.missing(slots.len());
            if missing == Some(0) {
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
            queue.worth_waking = missing.map_or(WORTH_WAKING, |missing| missing.min(WORTH_WAKING));
            queue.parked = !full && queue.waiting.len() < queue.worth_waking;
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
        whole = whole && contained(|| stages.write(&mut group)).is_some();
        // Before anybody else may write: the next group was decided on top of
        // one that is not there.
        let group = match whole {
            true => Ok(group),
            false => Err(slots.iter().map(|_| stages.failure()).collect()),
        };
        let written = Written { group, slots };

        let mut queue = self.lock();
        if queue.syncing > 0 {
            queue.ahead = Some(written);
            self.leave_write(&mut queue);
            return;
        }
        let ahead = queue.ahead.take();
        // What was written ahead may need a sync that is not brief.
        let brief = brief && ahead.is_none();
        let groups: Vec<_> = ahead.into_iter().chain([written]).collect();
        queue.syncing = groups.iter().map(|group| group.slots.len()).sum();
        // What is brief is over before another could have been written meanwhile.
        if !brief {
            self.leave_write(&mut queue);
        }
        drop(queue);
        self.sync(stages, groups, brief);
    }

    /// Syncs the group that was written ahead, unless another has taken it along.
    pub(super) fn sync_what_is_ahead(&self, stages: &S) {
        let mut queue = self.lock();
        if queue.syncing > 0 {
            return;
        }
        let Some(ahead) = queue.ahead.take() else { return };
        queue.syncing = ahead.slots.len();
        self.leader.notify_all();
        drop(queue);
        self.sync(stages, vec![ahead], false);
    }

    /// Syncs these groups, as `syncing` says already, and answers their members.
    fn sync(&self, stages: &S, groups: Vec<Written<S>>, is_in_write: bool) {
        let members = groups.iter().map(|group| group.slots.len()).sum::<usize>();
        let (mut whole, mut places) = (Vec::new(), Vec::new());
        for Written { group, slots } in groups {
            let failed = group.map(|group| whole.push(group)).err();
            places.push((slots, failed));
        }
        let synced = if whole.is_empty() { None } else { contained(|| stages.sync(whole)) };
        let mut synced = synced.unwrap_or_default().into_iter();
        // Before anybody else may sync: what is written was decided on top of one that
        // may be lost.
        let answers: Vec<_> = places
            .into_iter()
            .flat_map(|(slots, failed)| {
                let answers = failed.or_else(|| synced.next()).unwrap_or_default();
                let missing = (answers.len()..slots.len()).map(|_| stages.failure());
                let answers: Vec<_> = answers.into_iter().chain(missing).collect();
                slots.into_iter().zip(answers)
            })
            .collect();
        let syncs = {
            let mut queue = self.lock();
            queue.syncing = 0;
            queue.under_way -= members;
            // Whoever is about to write, or does, takes along what was written ahead.
            let taken_along = queue.parked || queue.writing;
            let ahead = queue.ahead.as_ref().filter(|_| !taken_along);
            let syncs = ahead.map(|ahead| ahead.slots[0].clone());
            if is_in_write {
                self.leave_write(&mut queue);
            }
            queue.parked = false;
            self.leader.notify_all();
            syncs
        };
        if let Some(syncs) = syncs {
            syncs.set(Turn::Sync);
        }
        for (slot, answer) in answers {
            slot.set(Turn::Done(answer));
        }
    }

    /// From now on the next group may be written.
    fn leave_write(&self, queue: &mut Queue<S>) {
        queue.writing = false;
        queue.brief = false;
        queue.parked = false;
        self.written.fetch_add(1, Ordering::Release);
        self.leader.notify_all();
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

    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Stages> Queue<S> {
    /// How many have to arrive before a group of so many members is written; `None`:
    /// it has to wait for something else.
    fn missing(&self, members: usize) -> Option<usize> {
        if self.writing || self.ahead.is_some() && self.syncing > 0 {
            return None;
        }
        Some(self.syncing.div_ceil(AHEAD_PART).saturating_sub(members))
    }
}

/// `None` if `stage` panicked.
fn contained<T>(stage: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(stage)).ok()
}

impl<Answer: Send> Caller<Answer> for Slot<Answer> {
    fn set(&self, turn: Turn<Answer>) {
        let mut present = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever took a group along may answer before its own member is told to sync it.
        if !matches!(&*present, Some(Turn::Done(_))) {
            *present = Some(turn);
        }
        self.changed.notify_one();
    }
}

impl<Answer> Slot<Answer> {
    fn wait(&self) -> Turn<Answer> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match turn.take() {
                Some(turn) => return turn,
                None => turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    /// Numbers requests when they are decided and answers with the number;
    /// writes and syncs must come in that order.
    #[derive(Default)]
    struct Numbered {
        deciding: AtomicBool,
        writing: AtomicBool,
        syncing: AtomicBool,
        decided: AtomicU64,
        written: AtomicU64,
        synced: AtomicU64,
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

        fn write(&self, group: &mut Self::Group) {
            assert!(!self.writing.swap(true, Ordering::SeqCst), "one group is written at a time");
            for (_, number) in group {
                let written = self.written.fetch_add(1, Ordering::SeqCst);
                assert_eq!(*number, written, "groups are written as they were decided");
            }
            self.writing.store(false, Ordering::SeqCst);
        }

        fn sync(&self, groups: Vec<Self::Group>) -> Vec<Vec<Self::Answer>> {
            assert!(!self.syncing.swap(true, Ordering::SeqCst), "one sync at a time");
            assert!((1..=2).contains(&groups.len()));
            let panics = groups.iter().flatten().any(|(request, _)| *request == self.panic_on);
            for (_, number) in groups.iter().flatten() {
                let synced = self.synced.fetch_add(1, Ordering::SeqCst);
                assert_eq!(*number, synced, "groups are synced as they were written");
            }
            self.syncing.store(false, Ordering::SeqCst);
            assert!(!panics, "on purpose");
            groups.into_iter().map(|group| group.into_iter().map(Some).collect()).collect()
        }

        fn failure(&self) -> Self::Answer {
            None
        }
    }

    #[test]
    fn every_request_is_answered_once_and_groups_are_written_and_synced_in_order() {
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
        assert_eq!(stages.synced.load(Ordering::SeqCst), 4_000);
    }

    #[test]
    fn g9_a_panicking_leader_fails_its_group_and_nobody_else() {
        let (pipeline, stages) =
            (Pipeline::new(8), Numbered { panic_on: 1, ..Numbered::default() });
        assert_eq!(pipeline.submit(&stages, 1), None);
        assert_eq!(pipeline.submit(&stages, 2), Some((2, 1)));
    }

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Stage {
        Decide,
        Seal,
        Write,
        Sync,
    }

    /// Panics in one stage, remembers the stages that a group came to, and which were
    /// still taken when a panic was reported.
    struct Failing {
        panics_in: Option<Stage>,
        came_to: Mutex<Vec<Stage>>,
        pipeline: std::sync::OnceLock<Arc<Pipeline<Self>>>,
        taken: Mutex<Option<(bool, bool)>>,
    }

    impl Failing {
        fn comes_to(&self, stage: Stage) {
            self.came_to.lock().unwrap().push(stage);
            assert!(self.panics_in != Some(stage), "on purpose");
        }
    }

    impl Stages for Failing {
        type Request = ();
        type Answer = bool;
        type Group = usize;

        fn decide(&self, group: &mut usize, requests: Vec<()>) {
            *group += requests.len();
            self.comes_to(Stage::Decide);
        }

        fn seal(&self, _: &mut usize) {
            self.comes_to(Stage::Seal);
        }

        fn is_brief(&self, _: &usize) -> bool {
            false
        }

        fn write(&self, _: &mut usize) {
            self.comes_to(Stage::Write);
        }

        fn sync(&self, groups: Vec<usize>) -> Vec<Vec<bool>> {
            self.comes_to(Stage::Sync);
            groups.into_iter().map(|group| vec![true; group]).collect()
        }

        fn failure(&self) -> bool {
            let queue = self.pipeline.get().expect("set").lock();
            *self.taken.lock().unwrap() = Some((queue.writing, queue.syncing > 0));
            false
        }
    }

    #[test]
    fn g1_a_group_in_which_something_panicked_comes_no_further() {
        use Stage::{Decide, Seal, Sync, Write};

        // While it is reported nobody else may write, or sync, what was decided on top.
        for (panics_in, came_to, taken) in [
            (None, &[Decide, Seal, Write, Sync][..], None),
            (Some(Decide), &[Decide, Seal], Some((true, false))),
            (Some(Seal), &[Decide, Seal], Some((true, false))),
            (Some(Write), &[Decide, Seal, Write], Some((true, false))),
            (Some(Sync), &[Decide, Seal, Write, Sync], Some((false, true))),
        ] {
            let stages = Failing {
                panics_in,
                came_to: Mutex::default(),
                pipeline: std::sync::OnceLock::new(),
                taken: Mutex::default(),
            };
            let pipeline = Arc::new(Pipeline::new(8));
            assert!(stages.pipeline.set(pipeline.clone()).is_ok());
            assert_eq!(pipeline.submit(&stages, ()), panics_in.is_none());
            assert_eq!(*stages.came_to.lock().unwrap(), came_to);
            assert_eq!(*stages.taken.lock().unwrap(), taken, "{panics_in:?}");
            assert_eq!(pipeline.under_way(), 0, "its members are answered all the same");
        }
    }

    /// Does nothing until it is told to, and remembers how large groups were.
    #[derive(Default)]
    struct Slow {
        brief: bool,
        decided: AtomicU64,
        groups: Mutex<Vec<usize>>,
        syncs: Mutex<Vec<Vec<usize>>>,
        gate: Mutex<Gate>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct Gate {
        decisions_wait: bool,
        writes_wait: bool,
        syncs_wait: bool,
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

        fn is_brief(&self, _: &Vec<u64>) -> bool {
            self.brief
        }

        fn write(&self, group: &mut Vec<u64>) {
            self.groups.lock().unwrap().push(group.len());
            self.wait_while(|gate| gate.writes_wait);
        }

        fn sync(&self, groups: Vec<Vec<u64>>) -> Vec<Vec<Option<u64>>> {
            self.syncs.lock().unwrap().push(groups.iter().map(Vec::len).collect());
            self.wait_while(|gate| gate.syncs_wait);
            groups.into_iter().map(|group| group.into_iter().map(Some).collect()).collect()
        }

        fn failure(&self) -> Option<u64> {
            None
        }
    }

    fn until(there: impl Fn() -> bool) {
        while !there() {
            std::thread::yield_now();
        }
    }

    /// What is decided, waits, and whether the leader sleeps, after each of
    /// `arrivals` while the first group is being written; then the sizes of all
    /// groups.
    fn while_writing(max_group: usize, arrivals: u64) -> (Vec<(u64, u64, bool)>, Vec<usize>) {
        // Not as brief as it says: whoever waits for it sleeps in the end.
        let (pipeline, slow) =
            (&Pipeline::new(max_group), &Slow { brief: true, ..Slow::default() });
        slow.set(|gate| gate.writes_wait = true);
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
            until(|| !slow.groups.lock().unwrap().is_empty());
            for request in 1..=arrivals {
                submit(request);
                // It has arrived, and whoever was woken for it sleeps again.
                until(|| {
                    let (decided, waiting, parked) = state();
                    let full = decided > max_group as u64;
                    decided + waiting == request + 1 && (parked || full)
                });
                states.push(state());
                under_way.push(pipeline.under_way() as u64);
            }
            slow.set(|gate| gate.writes_wait = false);
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
            slow.set(|gate| gate.writes_wait = true);
            let decided = || slow.decided.load(Ordering::SeqCst);
            let found = std::thread::scope(|scope| {
                let submit = |request| {
                    scope.spawn(move || assert_eq!(pipeline.submit(slow, request), Some(request)));
                };
                submit(0);
                until(|| !slow.groups.lock().unwrap().is_empty());
                slow.set(|gate| gate.decisions_wait = true);
                submit(1);
                until(|| decided() == 2);
                (2..2 + arrivals).for_each(submit);
                until(|| pipeline.lock().waiting.len() as u64 == arrivals);
                slow.set(|gate| gate.decisions_wait = false);
                // It sleeps until the first group is written, or more arrive.
                until(|| pipeline.lock().parked);
                let found = (decided(), pipeline.lock().waiting.len());
                slow.set(|gate| gate.writes_wait = false);
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

    /// Lets the first group be synced until so many more requests have come as far as
    /// they get, one after the other; then the sizes of the groups that each sync was for.
    fn while_syncing(members: u64, arrivals: u64) -> Vec<Vec<usize>> {
        let (pipeline, slow) = (&Pipeline::new(64), &Slow::default());
        // Members beyond the first come while it is written alone.
        slow.set(|gate| gate.writes_wait = true);
        std::thread::scope(|scope| {
            let submit = |request| {
                scope.spawn(move || assert_eq!(pipeline.submit(slow, request), Some(request)));
            };
            submit(0);
            until(|| !slow.groups.lock().unwrap().is_empty());
            (1..members).for_each(submit);
            until(|| pipeline.lock().under_way as u64 == members);
            slow.set(|gate| (gate.writes_wait, gate.syncs_wait) = (false, true));
            until(|| !slow.syncs.lock().unwrap().is_empty());
            for request in 0..arrivals {
                submit(members + request);
                until(|| {
                    let queue = pipeline.lock();
                    let all = members + request + 1;
                    let asleep = queue.parked || !queue.led && queue.ahead.is_some();
                    queue.under_way as u64 == all && asleep && !queue.writing
                });
            }
            slow.set(|gate| gate.syncs_wait = false);
        });
        assert_eq!(pipeline.under_way(), 0, "all are answered");
        slow.syncs.lock().unwrap().clone()
    }

    #[test]
    fn one_group_is_written_ahead_of_a_sync_and_the_next_sync_is_for_all_that_is_written() {
        // What was written ahead alone is synced by its own first member.
        assert_eq!(while_syncing(1, 1), [[1], [1]]);
        // The second forms the next group, whose leader takes the first along.
        assert_eq!(while_syncing(1, 2), [vec![1], vec![1, 1]]);
        assert_eq!(while_syncing(1, 5), [vec![1], vec![1, 4]]);
    }
}
