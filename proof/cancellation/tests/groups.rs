//! A commit group whose leader dies, or sleeps, at each point while others wait
//! for it: the victim is the leader or a follower.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::sync::Arc;
use std::thread::{JoinHandle, yield_now};
use std::time::Duration;

use serde_json::json;
use tandem::{CheckOptions, Code, CommitOptions, CommitReceipt, Result};
use tandem_proof_cancellation::{Point, Stage, Strike};
use tandem_transaction::Coordination;

const MEMBERS: usize = 4;

fn key(member: usize) -> String {
    format!("member {member}")
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[expect(clippy::disallowed_methods, reason = "a caller of its own")]
    std::thread::spawn(work)
}

/// The first commits alone and sleeps before its write; the others form the
/// group behind it. Of these the first leads: it has decided its own commit and
/// sleeps too, so that the reads for the others are still to come.
fn gather(stage: &Arc<Stage>) -> Vec<JoinHandle<Result<CommitReceipt>>> {
    (0..MEMBERS)
        .map(|member| {
            let store = stage.store();
            let tx = store.begin().unwrap();
            let record = json!({ "id": 10 + member, "owner": "g", "email": key(member),
                "tags": [key(member)] });
            tx.bucket("accounts").insert(record).unwrap();
            if member == 0 {
                stage.gate.arm_at(Point::Write, 1, Strike::Park);
            }
            let caller = spawn(move || {
                let _store = store;
                tx.commit_with(CommitOptions::new().idempotency_key(key(member)))
            });
            if member == 0 {
                assert!(stage.gate.wait_until_parked());
            }
            let arrived = || stage.local.commits_under_way() > member;
            // A leader that still decides its own commit takes along whoever comes
            // meanwhile, and goes on without the others if the first one's write ends.
            while !(arrived() && (member == 0 || stage.local.group_is_forming())) {
                yield_now();
            }
            caller
        })
        .collect()
}

/// Which members are there: whole, and as their keys say.
fn present(stage: &Stage, what: &str) -> Vec<bool> {
    let store = stage.store();
    let there: Vec<bool> = (0..MEMBERS)
        .map(|member| {
            let by_key = store.bucket("accounts").get(10 + member as u64).unwrap().is_some();
            let tagged = store.bucket("accounts").count(json!({ "tags": key(member) })).unwrap();
            let first = store.committed(key(member).as_bytes()).unwrap();
            assert_eq!(by_key, tagged == 1, "{what}: member {member}, row and index");
            assert_eq!(by_key, first.is_some(), "{what}: member {member}, row and first result");
            assert!(first.is_none_or(|first| first.changes == 1));
            by_key
        })
        .collect();
    assert!(store.check(&CheckOptions::new()).unwrap().is_clean(), "{what}");
    there
}

/// A blow at the `nth` pass of `point`, which is answered; `None` if there are
/// fewer. Which of the threads passes it does not matter to how many there are.
fn strike(point: Point, nth: u64) -> Option<Point> {
    let stage = Arc::new(Stage::new(false));
    let callers = gather(&stage);
    stage.gate.arm_at(point, nth, Strike::Panic);
    stage.gate.release();
    let told: Vec<Option<Result<CommitReceipt>>> =
        callers.into_iter().map(|caller| caller.join().ok()).collect();
    let struck = stage.gate.struck();
    // Not while we look.
    stage.gate.arm(0, Strike::Panic);
    let what = format!("{struck:?}, the {nth}th, told {told:?}");
    stage.nothing_is_left().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(!stage.is_poisoned() || struck.is_some_and(Point::poisons), "{what}");
    let seen = present(&stage, &what);
    assert_eq!(stage.followed().len(), seen.iter().filter(|seen| **seen).count(), "{what}");
    let mut found = vec![(seen.clone(), "running")];
    for reopened in stage.reopened() {
        found.push((present(&reopened, &what), "reopened"));
        reopened.goes_on().unwrap_or_else(|e| panic!("{what}, reopened: {e}"));
    }
    for (there, which) in found {
        for (member, told) in told.iter().enumerate() {
            let (there, what) = (there[member], format!("{what}: member {member}, {which}"));
            match told {
                Some(Ok(_)) => assert!(there, "{what}: acknowledged and gone"),
                Some(Err(error)) if error.code() == Code::StoreFailed => {
                    assert!(stage.is_poisoned(), "{what}");
                }
                Some(Err(_)) => assert!(!there, "{what}: refused, and there"),
                None => assert_eq!(struck, Some(Point::Committed), "{what}"),
            }
            assert!(there || !seen[member], "{what}: it was seen, and is gone");
        }
    }
    stage.goes_on().unwrap_or_else(|e| panic!("{what}: {e}"));
    struck
}

#[test]
fn g1_g9_whoever_dies_in_a_group_takes_nobody_half_with_it() {
    let points =
        [Point::Get, Point::Write, Point::Sync, Point::Written, Point::Snapshot, Point::Committed];
    let counts = points.map(|point| (1..).map_while(|nth| strike(point, nth)).count());
    println!("panics in a group: {:?}", points.into_iter().zip(counts).collect::<Vec<_>>());
    let [reads, rest @ ..] = counts;
    // The first one's own write has begun; the group behind is one write. A sync is a call
    // of write as well.
    assert!(reads > 0);
    assert_eq!(rest, [3, 2, 4, 2, MEMBERS]);
}

#[test]
fn g9_a_group_is_carried_out_although_everybody_else_has_gone() {
    for how in ["handles dropped", "closed", "expired"] {
        let stage = Arc::new(Stage::new(false));
        let callers = gather(&stage);
        match how {
            "handles dropped" => stage.abandon(),
            "closed" => stage.store().close(),
            _ => {
                stage.clock.advance(Duration::from_secs(31));
                let report = stage.store().maintain_until(|| true).unwrap();
                assert_eq!(
                    report.expired_transactions, 0,
                    "a commit that has begun does not expire"
                );
            }
        }
        stage.gate.release();
        for caller in callers {
            let receipt = caller.join().unwrap().unwrap();
            assert_eq!(receipt.changes, 1, "{how}");
        }
        stage.nothing_is_left().unwrap();
        let figures = stage.local.statistics().snapshot();
        assert_eq!((figures.commits, figures.groups), (MEMBERS as u64, 2), "{how}");
        let reopened = Stage::over(Arc::new(stage.engine.restart(0)), false);
        assert_eq!(present(&reopened, how), [true; MEMBERS]);
    }
}
