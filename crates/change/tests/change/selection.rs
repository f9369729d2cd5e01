//! Buckets, predicates, progress, dropped buckets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tandem_change::{ChangeLogOptions, Notice, SubscribeOptions};
use tandem_transaction::CommitOptions;

use crate::support::{
    Store, commit_of, definition_key, drain, names, no_ring, revisions, row_key, write,
};

fn on(bucket: &str) -> SubscribeOptions {
    let buckets = Some(vec![bucket.to_owned()]);
    SubscribeOptions { buckets, from: Some(0), ..SubscribeOptions::default() }
}

#[test]
fn g7_a_commit_is_delivered_with_its_matching_changes_only() {
    let store = Store::new(ChangeLogOptions::default());
    store.commit(&[("users", "a", Some("1")), ("orders", "a", Some("1"))]);
    store.commit(&[("orders", "b", Some("2"))]);
    store.commit(&[("orders", "c", Some("1")), ("users", "c", Some("2"))]);

    let mut users = store.subscribe(on("users")).unwrap();
    let delivered: Vec<_> = drain(&mut users).into_iter().map(commit_of).collect();
    assert_eq!(delivered.iter().map(|c| c.revision).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(delivered.iter().map(|c| names(c)).collect::<Vec<_>>(), [["users/a"], ["users/c"]]);

    let predicate =
        Arc::new(|change: &tandem_transaction::Change| change.after.as_deref() == Some(&b"1"[..]));
    let options = SubscribeOptions { predicate: Some(predicate), ..on("orders") };
    let mut ones = store.subscribe(options).unwrap();
    let delivered: Vec<_> = drain(&mut ones).into_iter().map(commit_of).collect();
    assert_eq!(
        delivered.iter().map(|c| names(c)).collect::<Vec<_>>(),
        [["orders/a"], ["orders/c"]]
    );
}

#[test]
fn a_commit_that_matches_whole_is_shared_by_its_followers() {
    let store = Store::new(ChangeLogOptions::default());
    store.fill(1);
    let commits = [store.subscribe_from(0), store.subscribe(on("users")).unwrap()]
        .map(|mut subscription| commit_of(subscription.try_next().unwrap().unwrap()));
    assert!(Arc::ptr_eq(&commits[0], &commits[1]));
}

#[test]
fn what_is_known_not_to_match_is_passed_over_without_a_look() {
    let store = Store::new(ChangeLogOptions::default());
    store.fill(6);
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = looks.clone();
    let predicate = Arc::new(move |_: &tandem_transaction::Change| {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let options = SubscribeOptions { predicate: Some(predicate), ..on("users") };
    let mut subscription = store.subscribe(options).unwrap();
    subscription.skip_to(4);
    assert_eq!(subscription.position(), 4);
    // It never goes back.
    subscription.skip_to(2);
    assert_eq!(revisions(&mut subscription), [5, 6]);
    assert_eq!(looks.load(Ordering::Relaxed), 2);
}

#[test]
fn changes_of_system_buckets_are_never_delivered() {
    let store = Store::new(ChangeLogOptions::default());
    store.commit(&[("_sessions", "token", Some("secret"))]);
    store.commit(&[("_sessions", "token", None), ("users", "a", Some("1"))]);
    let mut all = store.subscribe_from(0);
    let delivered: Vec<_> = drain(&mut all).into_iter().map(commit_of).collect();
    assert_eq!(delivered.iter().map(|c| names(c)).collect::<Vec<_>>(), [["users/a"]]);
    let mut asked = store.subscribe(on("_sessions")).unwrap();
    assert_eq!(drain(&mut asked), []);
    assert_eq!(asked.position(), 2);
}

#[test]
fn progress_is_told_after_the_stated_number_of_commits_without_a_match() {
    for options in [ChangeLogOptions::default(), no_ring()] {
        let store = Store::new(options);
        store.fill(25);
        let options = SubscribeOptions { progress_commits: 10, ..on("orders") };
        let mut subscription = store.subscribe(options).unwrap();
        let progress = |revision| Notice::Progress { revision };
        assert_eq!(drain(&mut subscription), [progress(10), progress(20)]);
        assert_eq!(subscription.position(), 25);
        store.commit(&[("orders", "a", Some("1"))]);
        assert_eq!(commit_of(subscription.try_next().unwrap().unwrap()).revision, 26);
    }
}

#[test]
fn progress_is_told_after_the_stated_time_if_there_was_any() {
    let store = Store::new(ChangeLogOptions::default());
    let options = SubscribeOptions { progress_interval: Duration::from_secs(3), ..on("orders") };
    let mut subscription = store.subscribe(options).unwrap();
    store.clock.advance(Duration::from_secs(4));
    assert_eq!(subscription.try_next().unwrap(), None, "nothing was committed");
    store.fill(2);
    let progress = Notice::Progress { revision: 2 };
    assert_eq!(subscription.try_next().unwrap(), Some(progress));
    store.fill(1);
    assert_eq!(subscription.try_next().unwrap(), None, "the time has not passed again");
    store.clock.advance(Duration::from_secs(3));
    let waited = subscription.next_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(waited, Some(Notice::Progress { revision: 3 }));
}

#[test]
fn a_dropped_bucket_is_announced_to_those_who_follow_it_before_the_commits_changes() {
    let store = Store::new(ChangeLogOptions::default());
    let mut transaction = store.begin();
    write(&mut transaction, &definition_key("users"), Some("{}"));
    transaction.commit(CommitOptions::default()).unwrap();
    let mut transaction = store.begin();
    write(&mut transaction, &row_key("orders", "a"), Some("1"));
    write(&mut transaction, &definition_key("users"), None);
    let dropped_at = transaction.commit(CommitOptions::default()).unwrap().revision;

    let dropped = Notice::BucketDropped { bucket: "users".into(), revision: dropped_at };
    let mut users = store.subscribe(on("users")).unwrap();
    assert_eq!(drain(&mut users), std::slice::from_ref(&dropped));
    let mut orders = store.subscribe(on("orders")).unwrap();
    assert_eq!(commit_of(orders.try_next().unwrap().unwrap()).revision, dropped_at);
    assert_eq!(orders.try_next().unwrap(), None);

    // The position moves when the whole commit was delivered.
    let mut all = store.subscribe_from(0);
    assert_eq!(all.try_next().unwrap(), Some(dropped));
    assert_eq!(all.position(), dropped_at - 1);
    assert_eq!(names(&commit_of(all.try_next().unwrap().unwrap())), ["orders/a"]);
    assert_eq!(all.position(), dropped_at);
}
