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
        let mut patient = true;
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
            if patient && queue.is_soon_written() {
                let written = self.written.load(Ordering::Acquire);
                drop(queue);
                patient = self.look_whether_more_than(written);
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

    /// Whether more than so many groups are written, as soon as they are or after a moment.
    fn look_whether_more_than(&self, written: u64) -> bool {
        for _ in 0..LOOKS {
            if self.written.load(Ordering::Acquire) > written {
                return true;
            }
            thread::yield_now();
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Stages> Queue<S> {
    /// Whether what is written is so soon over that it is worth staying awake, while
    /// nobody but the two has work for a processor.
    fn is_soon_written(&self) -> bool {
        self.brief && self.under_way <= 2
    }

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
mod tests;
