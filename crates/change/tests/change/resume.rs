//! G8: from revision R every commit after R once, or `must resync`.

use std::time::Duration;

use tandem_base::Code;
use tandem_change::{ChangeLogOptions, Notice, log};
use tandem_transaction::Read;

use crate::support::{Store, from, no_ring, revisions};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn g8_resuming_from_every_revision_delivers_exactly_what_follows() {
    let rings = [usize::MAX, 10, 1, 0];
    for ring_commits in rings {
        let store = Store::new(ChangeLogOptions { ring_commits, ..ChangeLogOptions::default() });
        let last = store.fill(30);
        for start in 0..=last {
            let mut subscription = store.subscribe_from(start);
            let expected: Vec<u64> = (start + 1..=last).collect();
            assert_eq!(revisions(&mut subscription), expected, "ring {ring_commits} from {start}");
            assert_eq!(subscription.position(), last);
        }
    }
}

#[test]
fn g8_a_position_is_good_across_a_restart_of_the_store() {
    let first = Store::new(ChangeLogOptions::default());
    let mut subscription = first.subscribe_from(0);
    first.fill(5);
    subscription.try_next().unwrap();
    subscription.try_next().unwrap();
    let position = subscription.position();
    let storage = first.storage.clone();
    drop((subscription, first));

    let second = Store::open(storage, ChangeLogOptions::default());
    let mut subscription = second.subscribe_from(position);
    assert!(subscription.try_next_at_hand().is_none(), "only the log knows");
    assert!(!subscription.is_at_hand(9, usize::MAX));
    second.fill(2);
    assert!(subscription.try_next_at_hand().is_none(), "it still does");
    let followed = revisions(&mut subscription);
    assert_eq!(followed[..3], [3, 4, 5]);
    // What was only buffered may have been lost, so its numbers are left out.
    let newest = second.coordination.view().unwrap().revision();
    assert_eq!(followed[3..], [newest - 1, newest]);
    assert!(subscription.is_at_hand(0, 0));
    assert_eq!(subscription.try_next_at_hand().unwrap().unwrap(), None);
    second.fill(2);
    assert!(subscription.is_at_hand(2, usize::MAX) && !subscription.is_at_hand(1, usize::MAX));
    for revision in newest + 1..=newest + 2 {
        match subscription.try_next_at_hand().unwrap().unwrap() {
            Some(Notice::Commit(commit)) => assert_eq!(commit.revision, revision),
            other => panic!("{other:?} instead of {revision}"),
        }
    }
}

#[test]
fn g8_below_the_trimmed_log_the_answer_names_the_oldest_revision_that_works() {
    let store = Store::new(no_ring());
    store.fill(10);
    store.clock.advance(HOUR * 2);
    store.fill(5);
    assert_eq!(store.trim().log_entries, 10);
    let view = store.coordination.view().unwrap();
    assert_eq!(log::oldest_revision(&*view).unwrap(), 10);

    let error = store.subscribe(from(9)).unwrap_err();
    assert_eq!(error.code(), Code::ResyncRequired);
    assert_eq!(error.detail("oldestRevision").and_then(|value| value.as_u64()), Some(10));
    assert_eq!(log::read_from(&*view, 9, 1).unwrap_err().code(), Code::ResyncRequired);
    assert_eq!(revisions(&mut store.subscribe_from(10)), [11, 12, 13, 14, 15]);
    let read = log::read_from(&*view, 11, 3).unwrap();
    assert_eq!(read.iter().map(|commit| commit.revision).collect::<Vec<_>>(), [12, 13, 14]);
}

#[test]
fn g8_a_follower_that_lags_beyond_the_log_is_told_to_resync_and_nothing_else() {
    let store = Store::new(ChangeLogOptions { ring_commits: 2, ..ChangeLogOptions::default() });
    store.fill(4);
    let mut lagging = store.subscribe_from(2);
    let mut in_ring = store.subscribe_from(2);
    assert_eq!(revisions(&mut in_ring), [3, 4]);
    store.clock.advance(HOUR * 2);
    store.fill(3);
    store.trim();
    assert_eq!(lagging.try_next().unwrap(), Some(Notice::Resync { oldest_revision: 4 }));
    for _ in 0..2 {
        let error = lagging.try_next().unwrap_err();
        assert_eq!(error.code(), Code::ResyncRequired);
        assert_eq!(error.detail("oldestRevision").and_then(|value| value.as_u64()), Some(4));
    }
    assert_eq!(lagging.position(), 2);
    assert_eq!(revisions(&mut in_ring), [5, 6, 7], "position 4 is still served");
}

#[test]
fn g8_what_is_trimmed_from_the_log_is_served_from_the_ring_to_who_is_there() {
    let store = Store::new(ChangeLogOptions::default());
    let mut subscription = store.subscribe_from(0);
    store.fill(4);
    store.clock.advance(HOUR * 2);
    store.fill(1);
    store.trim();
    assert_eq!(revisions(&mut subscription), [1, 2, 3, 4, 5]);
}

#[test]
fn g8_a_revision_of_another_history_is_refused() {
    let store = Store::new(ChangeLogOptions::default());
    store.fill(3);
    let error = store.subscribe(from(4)).unwrap_err();
    assert_eq!(error.code(), Code::ResyncRequired);
    assert_eq!(error.detail("oldestRevision").and_then(|value| value.as_u64()), Some(0));
    assert_eq!(error.detail("newestRevision").and_then(|value| value.as_u64()), Some(3));
}
