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
    let (pipeline, stages) = (Pipeline::new(8), Numbered { panic_on: 1, ..Numbered::default() });
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
    let (pipeline, slow) = (&Pipeline::new(max_group), &Slow { brief: true, ..Slow::default() });
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

#[test]
fn a_group_forms_while_the_one_before_it_is_written() {
    let (pipeline, slow) = (&Pipeline::new(8), &Slow::default());
    slow.set(|gate| gate.writes_wait = true);
    let forming = std::thread::scope(|scope| {
        let submit = |request| {
            scope.spawn(move || assert_eq!(pipeline.submit(slow, request), Some(request)));
        };
        submit(0);
        until(|| !slow.groups.lock().unwrap().is_empty());
        let alone = pipeline.is_forming();
        submit(1);
        until(|| pipeline.lock().parked);
        let behind = pipeline.is_forming();
        slow.set(|gate| gate.writes_wait = false);
        (alone, behind)
    });
    assert_eq!(forming, (false, true));
}

/// By the time that it is told to sync, another may have taken its group along and be
/// syncing that, and a third may have written ahead of that sync.
#[test]
fn who_is_late_to_sync_does_not_sync_beside_another() {
    let (pipeline, slow) = (&Pipeline::new(8), &Slow::default());
    slow.set(|gate| gate.syncs_wait = true);
    let synced = || slow.syncs.lock().unwrap().clone();
    let (returns, meanwhile) = std::thread::scope(|scope| {
        let submit = |request| {
            scope.spawn(move || assert_eq!(pipeline.submit(slow, request), Some(request)));
        };
        submit(0);
        until(|| !synced().is_empty());
        submit(1);
        until(|| pipeline.lock().ahead.is_some());
        let late = scope.spawn(|| pipeline.sync_what_is_ahead(slow));
        until(|| late.is_finished() || synced().len() > 1);
        let found = (late.is_finished(), synced());
        slow.set(|gate| gate.syncs_wait = false);
        found
    });
    assert!(returns);
    assert_eq!(meanwhile, [[1]]);
    assert_eq!(synced(), [[1], [1]], "by its own member, when the first sync is over");
    pipeline.sync_what_is_ahead(slow);
    assert_eq!(synced().len(), 2, "nothing is ahead");
}

#[test]
fn a_leader_stays_awake_for_what_is_soon_written_and_nobody_else_waits_for() {
    let pipeline = Pipeline::<Slow>::new(8);
    let is_soon_written = |brief, under_way| {
        let mut queue = pipeline.lock();
        (queue.brief, queue.under_way) = (brief, under_way);
        queue.is_soon_written()
    };
    assert!(is_soon_written(true, 2), "the writer's and its own");
    assert!(!is_soon_written(true, 3));
    assert!(!is_soon_written(false, 2));
    assert!(!pipeline.look_whether_more_than(0), "it does not look for ever");
    pipeline.leave_write(&mut pipeline.lock());
    assert!(pipeline.look_whether_more_than(0));
    assert!(!pipeline.look_whether_more_than(1));
}
