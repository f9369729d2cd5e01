//! G7: exactly the committed changes, in revision order, contiguous per commit.

use std::sync::Arc;

use tandem_change::{ChangeLogOptions, Notice};
use tandem_transaction::{Commit, CommitOptions};

use crate::support::{Store, commit_of, from, names, no_ring, revisions, row_key, write};

#[test]
fn g7_a_commit_is_delivered_whole_with_its_changes_in_the_order_of_their_writing() {
    for options in [ChangeLogOptions::default(), no_ring()] {
        let store = Store::new(options);
        store.commit(&[("users", "kept", Some("1"))]);
        let mut subscription = store.subscribe(Default::default()).unwrap();
        store.commit(&[
            ("users", "z", Some("1")),
            ("orders", "a", Some("2")),
            ("users", "kept", None),
            ("users", "b", Some("3")),
        ]);
        let commit = commit_of(subscription.try_next().unwrap().unwrap());
        assert_eq!(names(&commit), ["users/z", "orders/a", "users/kept", "users/b"]);
        assert_eq!(commit.changes[2].before.as_deref(), Some(&b"1"[..]));
        assert_eq!(commit.changes[2].after, None);
        assert_eq!(subscription.position(), commit.revision);
        assert_eq!(subscription.try_next().unwrap(), None);
    }
}

#[test]
fn g7_nothing_of_a_rolled_back_transaction_or_savepoint_is_delivered() {
    let store = Store::new(ChangeLogOptions::default());
    let mut subscription = store.subscribe_from(0);
    let mut transaction = store.begin();
    write(&mut transaction, &row_key("users", "gone"), Some("1"));
    transaction.rollback();
    let mut transaction = store.begin();
    write(&mut transaction, &row_key("users", "stays"), Some("1"));
    transaction.savepoint("s").unwrap();
    write(&mut transaction, &row_key("users", "undone"), Some("1"));
    transaction.rollback_to("s").unwrap();
    assert_eq!(subscription.try_next().unwrap(), None);
    transaction.commit(CommitOptions::default()).unwrap();
    let commit = commit_of(subscription.try_next().unwrap().unwrap());
    assert_eq!(names(&commit), ["users/stays"]);
}

#[test]
fn g7_a_fresh_subscription_begins_after_the_newest_commit() {
    let store = Store::new(ChangeLogOptions::default());
    let last = store.fill(3);
    let mut subscription = store.subscribe(Default::default()).unwrap();
    assert_eq!(subscription.position(), last);
    let next = store.fill(1);
    assert_eq!(revisions(&mut subscription), [next]);
}

/// Committers and followers at once; the ring is so small that followers fall
/// out of it and come back.
#[test]
fn g7_g8_concurrent_followers_see_every_commit_once_in_order_and_whole() {
    const WRITERS: usize = 4;
    const COMMITS: usize = 250;
    let options = ChangeLogOptions { ring_commits: 8, ..ChangeLogOptions::default() };
    let store = Arc::new(Store::new(options));
    let followers: Vec<_> = (0..4)
        .map(|follower| {
            let mut subscription = store.subscribe(from(0)).unwrap();
            let store = store.clone();
            std::thread::spawn(move || {
                let mut seen: Vec<Arc<Commit>> = Vec::new();
                while seen.len() < WRITERS * COMMITS {
                    let Some(notice) = subscription.next().unwrap() else { break };
                    let Notice::Commit(commit) = notice else { continue };
                    seen.push(commit);
                    // Some leave now and then, and come back where they were.
                    if follower % 2 == 0 && seen.len().is_multiple_of(50) {
                        subscription = store.subscribe_from(subscription.position());
                    }
                }
                seen
            })
        })
        .collect();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                for n in 0..COMMITS {
                    let key = format!("{writer}-{n}");
                    let row = |bucket| (bucket, &*key, Some("x"));
                    store.commit(&[row("users"), row("orders"), row("eu.users")]);
                }
            });
        }
    });
    for follower in followers {
        let seen = follower.join().unwrap();
        let revisions: Vec<u64> = seen.iter().map(|commit| commit.revision).collect();
        let expected: Vec<u64> = (1..=(WRITERS * COMMITS) as u64).collect();
        assert_eq!(revisions, expected);
        for commit in seen {
            let keys: Vec<_> = commit.changes.iter().map(|change| &change.key).collect();
            assert_eq!(keys.len(), 3);
            assert!(keys.iter().all(|key| *key == keys[0]), "changes of one transaction");
        }
    }
}
