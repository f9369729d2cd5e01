//! A caller that sleeps at each point that it passes in turn, while somebody
//! else gives it up.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tandem::Code;
use tandem_proof_cancellation::{Rehearsal, Slot, Stage, Story, Strike};

/// What happens while the caller sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum GivenUp {
    /// Every other handle on store and transaction is dropped.
    Handles,
    /// The store is closed.
    Closed,
    /// Its time limit passes, and maintenance ends it.
    Expired,
    /// Its time limit passes, and nobody has noticed yet.
    Late,
    /// Another thread rolls the transaction back.
    RolledBack,
}

const ALL: [GivenUp; 5] =
    [GivenUp::Handles, GivenUp::Closed, GivenUp::Expired, GivenUp::Late, GivenUp::RolledBack];

type Task<T> = std::thread::JoinHandle<T>;

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    #[expect(clippy::disallowed_methods, reason = "a caller of its own")]
    std::thread::spawn(work)
}

/// Whether it was committed; `None` when the caller passes fewer points.
fn give_up(story: Story, rehearsal: &Rehearsal, nth: u64, how: GivenUp) -> Option<bool> {
    let stage = Arc::new(Stage::new(false));
    let slot = Arc::new(Slot::default());
    let caller = {
        let (stage, slot, store) = (stage.clone(), slot.clone(), stage.store());
        stage.gate.arm(nth, Strike::Park);
        spawn(move || {
            let told = story.run(&store, &slot);
            slot.lock().unwrap().take();
            drop(store);
            stage.gate.finish();
            told
        })
    };
    if !stage.gate.wait_until_parked() {
        caller.join().expect("it does not panic").expect("undisturbed");
        return None;
    }
    let point = stage.gate.struck().unwrap();
    let mut expired = 0;
    let mut other = None;
    match how {
        GivenUp::Handles => {
            slot.lock().unwrap().take();
            stage.abandon();
        }
        GivenUp::Closed => stage.store().close(),
        GivenUp::Expired => {
            stage.clock.advance(Duration::from_secs(31));
            expired = stage.store().maintain_until(|| true).unwrap().expired_transactions;
        }
        GivenUp::Late => stage.clock.advance(Duration::from_secs(31)),
        GivenUp::RolledBack => {
            let tx = slot.lock().unwrap().clone();
            // Waits for the statement, or the commit, that is under way.
            other = tx.map(|tx| spawn(move || tx.cancel()));
        }
    }
    stage.gate.release();
    let told = caller.join().expect("it does not panic");
    let rolled_back = other.map(|other| other.join().expect("it does not panic")).is_some();
    let what = format!("{story:?}, {how:?}, point {nth}, {point:?}, told {told:?}");

    let fine = |outcome: Result<bool, String>| outcome.unwrap_or_else(|e| panic!("{what}: {e}"));
    stage.nothing_is_left().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(!stage.is_poisoned(), "{what}: poisoned");
    let committed = fine(rehearsal.tell(&stage.picture()));
    match &told {
        Ok(_) => assert!(committed, "{what}: what was answered is not there"),
        // The closing may come between the commit and the question for its
        // revision.
        Err(error) if error.code() == Code::Closed && story.key().is_none() => {}
        Err(error) => {
            assert!(!committed, "{what}: refused, and there");
            let expected = match how {
                GivenUp::Handles => panic!("{what}: handles of others do not matter"),
                GivenUp::Closed => &[Code::Closed][..],
                GivenUp::Expired | GivenUp::Late => &[Code::TransactionExpired],
                GivenUp::RolledBack => &[Code::TransactionNotFound],
            };
            assert!(expected.contains(&error.code()), "{what}");
        }
    }
    match how {
        GivenUp::Expired => assert_eq!(told.is_err(), expired > 0, "{what}: {expired} expired"),
        GivenUp::RolledBack if !rolled_back => assert!(told.is_ok(), "{what}"),
        _ => {}
    }
    // The process goes on: whoever opens it finds the same, and works.
    if matches!(how, GivenUp::Handles | GivenUp::Closed) {
        let reopened = Stage::over(Arc::new(stage.engine.restart(0)), false);
        assert_eq!(fine(rehearsal.tell(&reopened.picture())), committed, "{what}");
        reopened.is_clean().and_then(|()| reopened.goes_on()).unwrap();
    } else {
        assert_eq!(fine(rehearsal.audit(&stage, story.key())), committed, "{what}");
        stage.goes_on().unwrap_or_else(|e| panic!("{what}: {e}"));
    }
    Some(committed)
}

#[test]
fn g1_g9_a_caller_that_is_given_up_anywhere_leaves_all_or_nothing() {
    let mut counts: BTreeMap<GivenUp, (u64, u64)> = BTreeMap::new();
    for story in Story::ALL {
        let rehearsal = Rehearsal::of(story, false);
        for how in ALL {
            let reachable = matches!(story, Story::Open(_));
            if how == GivenUp::RolledBack && !reachable {
                continue;
            }
            let mut nth = 1;
            while let Some(committed) = give_up(story, &rehearsal, nth, how) {
                let (all, nothing) = counts.entry(how).or_default();
                *if committed { all } else { nothing } += 1;
                nth += 1;
            }
        }
    }
    println!("given up while it slept: (all, nothing) {counts:?}");
    // A transaction outlives what only others held, and nothing else.
    assert_eq!(counts[&GivenUp::Handles].1, 0, "{counts:?}");
    for how in [GivenUp::Closed, GivenUp::Expired, GivenUp::Late] {
        assert!(counts[&how].0 > 20 && counts[&how].1 > 20, "{counts:?}");
    }
}
