//! A caller whose thread unwinds at each point that it passes in turn.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tandem::{Code, Error};
use tandem_proof_cancellation::{Point, Rehearsal, Slot, Stage, Story, Strike};

/// What the caller was told; `None` when it died.
type Told = Option<Result<u64, Error>>;

fn run(story: Story, stage: &Stage, slot: &Slot) -> Told {
    let store = stage.store();
    catch_unwind(AssertUnwindSafe(|| story.run(&store, slot))).ok()
}

fn strike(story: Story, rehearsal: &Rehearsal, cached: bool, nth: u64) -> (Point, bool) {
    let stage = Stage::new(cached);
    let slot = Slot::default();
    stage.gate.arm(nth, Strike::Panic);
    let told = run(story, &stage, &slot);
    let point = stage.gate.struck().expect("it passes here");
    let what = format!("{story:?}, cached {cached}, point {nth}, {point:?}, told {told:?}");
    let fine = |outcome: Result<bool, String>| outcome.unwrap_or_else(|e| panic!("{what}: {e}"));

    // The transaction outlives its caller: nothing more can be committed by it.
    if let Some(tx) = slot.lock().unwrap().take() {
        let again = tx.finish(tandem::CommitOptions::new());
        let died_before = told.is_none();
        assert!(again.is_err(), "{what}: committed after that: {again:?}");
        if died_before {
            let code = again.unwrap_err().code();
            assert_eq!(code, Code::TransactionAborted, "{what}");
        }
    }
    let seen = fine(rehearsal.audit(&stage, story.key()));
    match &told {
        Some(Ok(_)) => assert!(seen, "{what}: what was answered is not there"),
        Some(Err(error)) => {
            let unknown = error.code() == Code::StoreFailed;
            assert!(unknown || error.code() == Code::InternalError, "{what}");
            assert_eq!(unknown, stage.is_poisoned(), "{what}");
        }
        None => {}
    }
    assert!(!stage.is_poisoned() || point.poisons(), "{what}: poisoned by a read");
    // Whoever asks again gets the first result, or the work is done now.
    let found = if stage.is_poisoned() { stage.reopened() } else { Vec::new() };
    stage.goes_on().unwrap_or_else(|e| panic!("{what}: {e}"));
    for stage in found {
        let committed = fine(rehearsal.tell(&stage.picture()));
        stage.is_clean().unwrap_or_else(|e| panic!("{what}, reopened: {e}"));
        assert!(committed || !seen, "{what}: it was seen, and is gone");
        if let Some(key) = story.key() {
            let known = stage.store().committed(key).unwrap();
            assert_eq!(known.is_some(), committed, "{what}: the key does not tell");
            let revision = story.repeat(&stage.store()).unwrap();
            assert_eq!(revision, rehearsal.commit.0, "{what}");
            assert!(fine(rehearsal.tell(&stage.picture())), "{what}: repeated");
        }
        stage.goes_on().unwrap_or_else(|e| panic!("{what}, reopened: {e}"));
    }
    (point, seen)
}

#[test]
fn g1_g9_a_caller_that_panics_anywhere_leaves_all_or_nothing() {
    let mut counts: BTreeMap<(Point, bool), usize> = BTreeMap::new();
    for story in Story::ALL {
        for cached in [false, true] {
            let rehearsal = Rehearsal::of(story, cached);
            for nth in 1..=rehearsal.points {
                *counts.entry(strike(story, &rehearsal, cached, nth)).or_default() += 1;
            }
        }
    }
    let total: usize = counts.values().sum();
    println!("panics: {total} points; {counts:?}");
    for point in [Point::Write, Point::Sync, Point::Written, Point::Snapshot, Point::Get] {
        assert!(counts.contains_key(&(point, false)), "{point:?} is never passed");
    }
    assert!(total > 300);
}
