//! G10: memory is bounded by settings, and a slow follower delays nobody.

use std::sync::{Arc, Mutex, mpsc};

use tandem_change::{ChangeLogOptions, SubscribeOptions};

use crate::support::{PATIENCE, Store, commit_of, from, revisions};

#[test]
fn g10_a_follower_that_never_pulls_costs_no_memory_and_loses_nothing() {
    let options = ChangeLogOptions { ring_bytes: 20_000, ..ChangeLogOptions::default() };
    let store = Store::new(options);
    let mut slow = store.subscribe_from(0);
    let row = "x".repeat(1_000);
    for n in 0..500 {
        store.commit(&[("users", &n.to_string(), Some(&row))]);
        assert!(store.hub.ring_bytes() <= 20_000);
    }
    assert!(store.hub.ring_bytes() > 10_000, "the ring is in use");
    assert_eq!(revisions(&mut slow), (1..=500).collect::<Vec<_>>());
}

#[test]
fn g10_a_commit_larger_than_the_ring_is_served_from_the_log() {
    let options = ChangeLogOptions { ring_bytes: 1_000, ..ChangeLogOptions::default() };
    let store = Store::new(options);
    let mut subscription = store.subscribe_from(0);
    store.commit(&[("users", "big", Some(&"x".repeat(10_000)))]);
    assert_eq!(store.hub.ring_bytes(), 0);
    let commit = commit_of(subscription.try_next().unwrap().unwrap());
    assert_eq!(commit.changes[0].after.as_ref().map(bytes::Bytes::len), Some(10_000));
}

#[test]
fn g10_commits_go_on_while_a_follower_is_stuck_in_its_own_work() {
    let store = Store::new(ChangeLogOptions::default());
    let (entered, inside) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let predicate = Arc::new(move |_: &tandem_transaction::Change| {
        entered.send(()).unwrap();
        let _ = held.lock().unwrap().recv();
        true
    });
    let options = SubscribeOptions { predicate: Some(predicate), ..from(0) };
    let mut subscription = store.subscribe(options).unwrap();
    let follower = std::thread::spawn(move || subscription.next().unwrap());
    store.fill(1);
    inside.recv_timeout(PATIENCE).unwrap();
    // The follower stands in its predicate now, and the committer does not care.
    assert_eq!(store.fill(200), 201);
    assert!(!follower.is_finished());
    drop(release);
    let notice = follower.join().unwrap().unwrap();
    assert_eq!(commit_of(notice).revision, 1);
}
